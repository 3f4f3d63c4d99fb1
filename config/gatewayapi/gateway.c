/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/gateway.h"

#include <stdio.h>

#include "config/gatewayapi/gateway_address.h"
#include "config/gatewayapi/gateway_tls.h"
#include "config/gatewayapi/parameters.h"
#include "config/gatewayapi/service.h"
#include "config/gatewayapi/status.h"
#include "config/gatewayapi/unknown_kind.h"
#include "config/core/values/values.h"
#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/base/mem.h"

/* -------------------------------------------------------------------------------- listeners */

static const char *const protocol_words[] = { "HTTP", "TCP", "TLS", "HTTPS" };

enum tls_mode {
	MODE_TERMINATE, /* Gateway API: the default */
	MODE_PASSTHROUGH,
};

/* With passthrough, the backend terminates TLS and verifies clients. */
static void warn_of_unused(struct decoder *d, const struct yaml_node *tls)
{
	static const char *const keys[] = { "certificateRefs", "frontendValidation" };

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		const struct yaml_node *node = decode_get(tls, keys[i]);

		if (node && node->count)
			config_warning(d->report, node, "has no effect with mode Passthrough; remove it");
	}
}

static bool decode_mode(struct decoder *d, const struct yaml_node *node, enum listener_protocol protocol,
			enum tls_mode *ret_mode)
{
	static const char *const modes[] = { "Terminate", "Passthrough" };
	const struct yaml_node *tls = decode_get(node, "tls"), *mode = decode_get(tls, "mode");
	unsigned index = MODE_TERMINATE;

	if (mode && !DECODE_WORD(d, mode, modes, &index))
		return false;
	*ret_mode = (enum tls_mode)index;
	if (protocol == PROTOCOL_TLS && index == MODE_PASSTHROUGH)
		warn_of_unused(d, tls);
	if (protocol != PROTOCOL_HTTPS || index == MODE_TERMINATE)
		return true;
	config_error(d->report, mode, "HTTPS is ended here; write mode: Terminate, or protocol: TLS");
	return false;
}

static bool decode_protocol(struct decoder *d, const struct yaml_node *node, struct gateway_listener *l)
{
	static const enum listener_protocol protocol_of[] = { PROTOCOL_HTTP, PROTOCOL_TCP, PROTOCOL_TLS,
							      PROTOCOL_HTTPS };
	const struct yaml_node *written = decode_need(d, node, "protocol", "write HTTP, HTTPS, TCP or TLS");
	const struct yaml_node *tls = decode_get(node, "tls");
	enum tls_mode mode = MODE_TERMINATE;
	unsigned index;

	if (!value_protocol_supported(d, written) || !DECODE_WORD(d, written, protocol_words, &index))
		return false;
	l->has_protocol = true;
	l->listener.protocol = protocol_of[index];
	if (index >= 2 && !decode_mode(d, node, l->listener.protocol, &mode))
		return false;
	l->ends_tls = index >= 2 && mode == MODE_TERMINATE;
	if (index < 2 && tls)
		config_error_key(d->report, tls, "protocol %s cannot have tls; remove it, or write %s",
				 protocol_words[index], index ? "TLS" : "HTTPS");
	return true;
}

/* The kinds of route for a protocol, one bit each. */
static uint32_t kinds_of(const struct gateway_listener *l)
{
	switch (l->listener.protocol) {
	case PROTOCOL_HTTP:
	case PROTOCOL_HTTPS:
		return 1u << MANIFEST_HTTP_ROUTE | 1u << MANIFEST_GRPC_ROUTE;
	case PROTOCOL_TCP:
		return 1u << MANIFEST_TCP_ROUTE;
	case PROTOCOL_TLS:
		break;
	}
	return 1u << MANIFEST_TLS_ROUTE | (l->ends_tls ? 1u << MANIFEST_TCP_ROUTE : 0);
}

/* Returns the bit of a kind by its name; 0: not a kind of route. */
static uint32_t kind_named(struct span name)
{
	for (unsigned kind = MANIFEST_HTTP_ROUTE; kind <= MANIFEST_TLS_ROUTE; kind++)
		if (span_eq(name, span_str(manifest_kind_name((enum manifest_kind)kind))))
			return 1u << kind;
	return 0;
}

static const char *kinds_text(const struct gateway_listener *l)
{
	static const char *const texts[] = {
		[PROTOCOL_HTTP] = "HTTPRoute and GRPCRoute",
		[PROTOCOL_HTTPS] = "HTTPRoute and GRPCRoute",
		[PROTOCOL_TCP] = "TCPRoute",
		[PROTOCOL_TLS] = "TLSRoute",
	};

	return l->listener.protocol == PROTOCOL_TLS && l->ends_tls ? "TLSRoute and TCPRoute"
								   : texts[l->listener.protocol];
}

static void decode_kinds(struct decoder *d, const struct yaml_node *list, struct gateway_listener *l)
{
	static const struct decode_key keys[] = { KEY("group"), KEY("kind") };

	if (!decode_list(d, list))
		return;
	l->kinds = 0;
	yaml_each(node, list) {
		struct span name = { 0 }, group = SPAN(GROUP_GATEWAY);
		uint32_t kind = 0;

		if (!DECODE_MAP(d, node, keys))
			continue;
		decode_string(d, decode_get(node, "group"), &group);
		if (decode_string(d, decode_need(d, node, "kind", "write one such as HTTPRoute"), &name) &&
		    span_eq(group, SPAN(GROUP_GATEWAY)))
			kind = kind_named(name) & kinds_of(l);
		l->kinds |= kind;
		if (!kind)
			status_fail(d, &l->status->conditions, CONDITION_RESOLVED_REFS, "InvalidRouteKinds",
				    "allowedRoutes.kinds: routes of kind %s in group %s cannot attach; the "
				    "protocol of the listener takes %s",
				    QUOTE(name), QUOTE(group), kinds_text(l));
	}
	if (l->kinds == 0)
		config_warning(d->report, list, "no route can attach to this listener; its protocol takes %s",
			       kinds_text(l));
}

void gateway_decode_namespaces(struct decoder *d, const struct yaml_node *namespaces,
			       struct allowed_namespaces *allowed)
{
	static const struct decode_key keys[] = { KEY("from"), KEY("selector") };
	static const char *const words[] = { "Same", "All", "Selector", "None" };
	static const enum routes_from from_of[] = { ROUTES_FROM_SAME, ROUTES_FROM_ALL, ROUTES_FROM_SELECTOR,
						    ROUTES_FROM_NONE };
	uint32_t errors = d->report->count[CONFIG_ERROR];
	const struct yaml_node *selector;
	unsigned index;

	if (!DECODE_MAP(d, namespaces, keys))
		return;
	if (DECODE_WORD(d, decode_get(namespaces, "from"), words, &index))
		allowed->from = from_of[index];
	selector = decode_get(namespaces, "selector");
	if (allowed->from == ROUTES_FROM_SELECTOR && !selector)
		config_error(d->report, namespaces,
			     "from: Selector needs a selector; write selector: {matchLabels: {...}}");
	/* Report errors of the selector here once, not for every route. */
	manifest_selector_fits(d, selector, NULL, (struct span){ 0 });
	if (d->report->count[CONFIG_ERROR] == errors)
		allowed->selector = selector;
}

static void decode_allowed(struct decoder *d, const struct yaml_node *node, struct gateway_listener *l)
{
	static const struct decode_key keys[] = { KEY("namespaces"), KEY("kinds") };

	l->kinds = l->has_protocol ? kinds_of(l) : 0;
	if (!l->has_protocol || !DECODE_MAP(d, node, keys))
		return;
	decode_kinds(d, decode_get(node, "kinds"), l);
	gateway_decode_namespaces(d, decode_get(node, "namespaces"), &l->allowed);
}

/* Its names; a name of its own tells a listener of a ListenerSet from one of the Gateway. */
static void name_listener(struct decoder *d, const struct gateway_source *source, struct gateway_listener *l)
{
	const struct manifest_object *gateway = source->gateway, *set = source->owner;

	l->listener.gateway_name = gateway->name;
	l->listener.gateway_namespace = gateway->namespace;
	if (set == gateway) {
		l->listener.key = decode_text(d, "%.*s/%.*s.%.*s", SPAN_FMT(gateway->namespace),
					      SPAN_FMT(gateway->name), SPAN_FMT(l->listener.listener_name));
		return;
	}
	l->listener.set_name = set->name;
	l->listener.set_namespace = set->namespace;
	l->listener.key = decode_text(d, "%.*s/%.*s.%.*s/%.*s.%.*s", SPAN_FMT(gateway->namespace),
				      SPAN_FMT(gateway->name), SPAN_FMT(set->namespace), SPAN_FMT(set->name),
				      SPAN_FMT(l->listener.listener_name));
}

static bool is_refused(const struct manifests *m, const struct manifest_object *object, struct span section)
{
	return unknown_kind_refuses(m, &(struct unknown_kind_question){ object->kind, object->namespace,
									object->name, section,
									MANIFEST_GATEWAY });
}

/* A listener is known from its name on, with which its status begins. NULL: there is none. */
static struct gateway_listener *new_listener(struct decoder *d, const struct yaml_node *node,
					     struct gateway_source *source)
{
	struct gateway_listener *l = decode_take(d, 1, sizeof(*l));
	struct span name;

	if (!l || !decode_name(d, decode_need(d, node, "name", "every listener has a name"), &name))
		return NULL;
	if (name_map_get(&source->names, name)) {
		config_error(d->report, decode_get(node, "name"),
			     "there is another listener %s; give each its own name", QUOTE(name));
		return NULL;
	}
	l->status = decode_take(d, 1, sizeof(*l->status));
	if (!l->status || !name_map_put(d, &source->names, name, l))
		return NULL;
	l->status->name = l->listener.listener_name = name;
	l->listener.status = l->status;
	*source->status_tail = l->status;
	source->status_tail = &l->status->next;
	return l;
}

static void fill_status(struct decoder *d, const struct gateway_listener *l)
{
	const char *why = l->node->fault ? l->node->fault
					 : "its protocol is not supported; write HTTP, HTTPS, TLS or TCP";
	struct conditions *conditions = &l->status->conditions;

	for (unsigned kind = MANIFEST_HTTP_ROUTE; kind <= MANIFEST_TLS_ROUTE; kind++)
		if (l->kinds & 1u << kind)
			l->status->kind_list[l->status->kind_count++] =
				manifest_kind_name((enum manifest_kind)kind);
	if (l->is_valid)
		return;
	status_fail(d, conditions, CONDITION_ACCEPTED,
		    l->has_protocol ? "UnsupportedValue" : "UnsupportedProtocol", "%s", why);
	status_fail(d, conditions, CONDITION_PROGRAMMED, "Invalid", "%s", why);
}

static void decode_values(struct decoder *d, const struct yaml_node *node, struct gateway_listener *l)
{
	const struct yaml_node *hostname = decode_get(node, "hostname");

	decode_port(d, decode_need(d, node, "port", "write the port to listen on"), &l->port);
	if (hostname && (hostname->kind != YAML_SCALAR || hostname->text.len))
		value_hostname(d, hostname, true, &l->listener.hostname);
	if (decode_protocol(d, node, l) && l->listener.protocol == PROTOCOL_TCP && l->listener.hostname.len)
		config_error_key(d->report, hostname,
				 "plain TCP carries no host name; remove hostname, or use protocol: TLS");
	decode_allowed(d, decode_get(node, "allowedRoutes"), l);
}

static struct gateway_listener *decode_listener(struct manifests *m, const struct yaml_node *node,
						struct gateway_source *source)
{
	static const struct decode_key keys[] = {
		KEY("name"), KEY("hostname"), KEY("port"), KEY("protocol"), KEY("allowedRoutes"), KEY("tls"),
	};
	struct decoder *d = m->decoder;
	struct gateway_listener *l;

	if (!DECODE_MAP(d, node, keys))
		return NULL;
	l = new_listener(d, node, source);
	if (!l)
		return NULL;
	l->gateway = source->gateway;
	l->owner = source->owner;
	l->node = node;
	decode_values(d, node, l);
	name_listener(d, source, l);
	l->listener.where = config_where(d->arena, node);
	l->listener.client = source->tls.identity;
	if (l->ends_tls && !node->fault)
		l->listener.tls =
			gateway_tls_listener(m,
					     &(struct gateway_tls_listener){ source->owner, node, l->port,
									     &l->status->conditions },
					     &source->tls);
	l->is_valid = !node->fault && l->has_protocol;
	fill_status(d, l);
	/* What refuses a whole Gateway refuses its sets; what refuses a listener of it, only that. */
	l->is_refused = is_refused(m, source->owner, l->listener.listener_name) ||
			is_refused(m, source->gateway, (struct span){ 0 });
	value_splice_end(d, manifest_splice(source->gateway), &l->listener.splice_off,
			 &l->listener.is_same_host);
	return l;
}

void gateway_listeners_decode(struct manifests *m, struct gateway_source *source)
{
	struct decoder *d = m->decoder;
	const struct yaml_node *list =
		decode_need(d, source->owner->spec, "listeners",
			    "write listeners: [{name: http, port: 80, protocol: HTTP}]");

	if (!decode_list(d, list))
		return;
	if (list->count > LIMIT_CONFIG_LISTENERS) {
		config_error(d->report, list, "a %s has at most %d listeners, this one has %u",
			     manifest_kind_name(source->owner->kind), LIMIT_CONFIG_LISTENERS, list->count);
		return;
	}
	yaml_each(node, list) {
		struct gateway_listener *l = decode_listener(m, node, source);

		if (!l || !build_push(d, &m->listeners, l))
			continue;
		*source->tail = l;
		source->tail = &l->next;
		gateway_addresses_apply(m, source, l);
	}
	name_map_done(&source->names);
}

static void refuse_broken(struct decoder *d, const struct gateway_source *source)
{
	static const char *const parts[] = { "listeners", NULL };
	const struct manifest_object *owner = source->owner;
	struct conditions *conditions = &owner->status->conditions;
	const struct yaml_node *list = decode_get(owner->spec, "listeners");
	const char *fault = manifest_fault(owner, parts);

	if (!fault && list && list->has_own_fault)
		fault = list->fault;
	if (!fault)
		return;
	status_fail(d, conditions, CONDITION_ACCEPTED, "Invalid", "%s", fault);
	status_fail(d, conditions, CONDITION_PROGRAMMED, "Invalid", "%s", fault);
	for (struct gateway_listener *l = source->first; l; l = l->next) {
		l->is_valid = false;
		status_fail(d, &l->status->conditions, CONDITION_PROGRAMMED, "Invalid",
			    "the %s is not accepted: %s", manifest_kind_name(owner->kind), fault);
	}
}

void gateway_source_add(struct manifests *m, struct gateway_source *source)
{
	const struct manifest_object *owner = source->owner;
	struct decoder *d = m->decoder;
	struct span key = decode_text(d, "%d/%.*s/%.*s", (int)owner->kind, SPAN_FMT(owner->namespace),
				      SPAN_FMT(owner->name));

	refuse_broken(d, source);
	if (key.data)
		name_map_put(d, &m->gateways, key, source);
}

/* None unless it says otherwise, as in Gateway API. */
static void decode_allowed_listeners(struct decoder *d, const struct yaml_node *node,
				     struct allowed_namespaces *allowed)
{
	static const struct decode_key keys[] = { KEY("namespaces") };

	allowed->from = ROUTES_FROM_NONE;
	if (DECODE_MAP(d, node, keys))
		gateway_decode_namespaces(d, decode_get(node, "namespaces"), allowed);
}

static void decode_gateway(struct manifests *m, const struct manifest_object *gateway)
{
	static const struct decode_key keys[] = {
		KEY("gatewayClassName"),
		KEY("listeners"),
		KEY("addresses"),
		KEY("infrastructure"),
		KEY("allowedListeners"),
		KEY("backendTLS"), /* the older form of tls.backend */
		KEY("tls"),
		KEY_IGNORED("defaultScope", NOT_YET_DEFAULT_SCOPE),
	};
	struct decoder *d = m->decoder;
	struct gateway_source *source = decode_take(d, 1, sizeof(*source));
	bool is_map;

	if (!source)
		return;
	*source = (struct gateway_source){ .gateway = gateway,
					   .owner = gateway,
					   .tail = &source->first,
					   .status_tail = &gateway->status->listener_list };
	if (!gateway->spec)
		config_error(d->report, gateway->root, "\"spec\" is missing; write spec: {listeners: [...]}");
	d->unknown_is_harmless = unknown_kind_is_harmless_word;
	is_map = DECODE_MAP(d, gateway->spec, keys);
	d->unknown_is_harmless = NULL;
	if (is_map) {
		parameters_check(m, gateway,
				 decode_get(decode_get(gateway->spec, "infrastructure"), "parametersRef"));
		gateway_addresses_decode(m, decode_get(gateway->spec, "addresses"), source);
		gateway_tls_decode(m, gateway, &source->tls);
		decode_allowed_listeners(d, decode_get(gateway->spec, "allowedListeners"),
					 &source->allowed_sets);
		gateway_listeners_decode(m, source);
	}
	gateway_source_add(m, source);
}

/* -------------------------------------------------------------------------------- all Gateways */

void gateways_decode(struct manifests *m)
{
	for (uint32_t i = 0; i < m->objects[MANIFEST_GATEWAY].count; i++) {
		const struct manifest_object *gateway = m->objects[MANIFEST_GATEWAY].list[i];

		if (!gateway->is_foreign)
			decode_gateway(m, gateway);
	}
}

struct gateway_source *gateway_source_find(const struct manifests *m, enum manifest_kind kind,
					   struct span namespace, struct span name)
{
	char key[600];
	int len = snprintf(key, sizeof(key), "%d/%.*s/%.*s", (int)kind, SPAN_FMT(namespace), SPAN_FMT(name));

	return len < (int)sizeof(key) ? name_map_get(&m->gateways, span_of(key, (size_t)len)) : NULL;
}

struct gateway_listener *gateway_listeners(const struct manifests *m, enum manifest_kind kind,
					   struct span namespace, struct span name)
{
	const struct gateway_source *source = gateway_source_find(m, kind, namespace, name);

	return source ? source->first : NULL;
}

/* -------------------------------------------------------------------------------- admission */

bool gateway_admits_kind(const struct gateway_listener *l, enum manifest_kind kind)
{
	return l->kinds & (1u << kind);
}

bool gateway_admits_namespace(struct manifests *m, const struct gateway_listener *l, struct span namespace)
{
	return gateway_allows(m, &l->allowed, l->owner->namespace, namespace);
}

bool gateway_allows(struct manifests *m, const struct allowed_namespaces *allowed, struct span own,
		    struct span namespace)
{
	const struct manifest_object *object;

	switch (allowed->from) {
	case ROUTES_FROM_SAME:
		return span_eq(own, namespace);
	case ROUTES_FROM_ALL:
		return true;
	case ROUTES_FROM_NONE:
		return false;
	case ROUTES_FROM_SELECTOR:
		break;
	}
	object = manifest_find(m, MANIFEST_NAMESPACE, (struct span){ 0 }, namespace);
	return allowed->selector && manifest_selector_fits(m->decoder, allowed->selector,
							   object ? object->labels : NULL, namespace);
}

static bool is_wildcard(struct span name)
{
	return span_starts(name, SPAN("*."));
}

/* True if `wider` (exact or wildcard) matches `name`. */
static bool covers(struct span wider, struct span name)
{
	if (!is_wildcard(wider))
		return span_eq(wider, name);
	return span_ends(name, span_from(wider, 1));
}

/* True if a name exists that both match. */
static bool intersect(struct span a, struct span b)
{
	return covers(a, b) || covers(b, a);
}

bool gateway_hostnames(struct decoder *d, struct span listener_hostname, const struct span *name_list,
		       uint32_t name_count, struct span **ret_list, uint32_t *ret_count)
{
	struct span *names;
	uint32_t count = 0;

	*ret_list = NULL;
	*ret_count = 0;
	if (name_count == 0)
		return true;
	names = decode_take(d, name_count, sizeof(*names));
	if (!names)
		return false;
	for (uint32_t i = 0; i < name_count; i++) {
		if (listener_hostname.len == 0 || intersect(listener_hostname, name_list[i]))
			names[count++] = name_list[i];
	}
	*ret_list = names;
	*ret_count = count;
	return count > 0;
}

void gateways_done(struct manifests *m)
{
	for (uint32_t i = 0; i < m->listeners.count; i++) {
		struct gateway_listener *l = m->listeners.list[i];

		build_list_done(&l->routes);
		build_list_done(&l->tcp_routes);
		hostname_owners_done(&l->owners);
	}
}
