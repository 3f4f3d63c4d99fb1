/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi_route.h"

#include "config/gatewayapi_rule.h"
#include "config/gatewayapi_service.h"
#include "config/values.h"
#include "user/base/check.h"

/* One route object while it is decoded. */
struct route_source {
	const struct manifest_object *object;
	struct span *hostname_list; /* as written, lower case */
	uint32_t hostname_count;
	bool splice_off;
	struct pointer_list parents; /* struct gateway_listener, each once */
};

/* -------------------------------------------------------------------------------- parents */

/* How far the best listener of a parentRef got; the messages follow the condition reasons of Gateway API. */
enum parent_verdict {
	PARENT_NO_LISTENER, /* none of that name, port and protocol */
	PARENT_NOT_ALLOWED,
	PARENT_NO_HOSTNAME,
	PARENT_TAKEN,
};

struct parent_ref {
	struct manifest_ref gateway;
	struct span section;
	uint16_t port; /* 0: any */
};

static bool is_parent(const struct route_source *source, const struct gateway_listener *l)
{
	for (uint32_t i = 0; i < source->parents.count; i++)
		if (source->parents.list[i] == l)
			return true;
	return false;
}

static enum parent_verdict try_listener(struct manifests *m, struct route_source *source,
					const struct parent_ref *parent, struct gateway_listener *l)
{
	const struct manifest_object *object = source->object;
	struct span *names;
	uint32_t count;

	if ((parent->section.len && !span_eq(parent->section, l->listener.listener_name)) ||
	    (parent->port && parent->port != l->port))
		return PARENT_NO_LISTENER;
	if (!gateway_admits_kind(l, object->kind))
		return PARENT_NO_LISTENER;
	if (!gateway_admits_namespace(m, l, object->namespace))
		return PARENT_NOT_ALLOWED;
	if (!gateway_hostnames(m->decoder, l->listener.hostname, source->hostname_list,
			       source->hostname_count, &names, &count))
		return PARENT_NO_HOSTNAME;
	if (!is_parent(source, l))
		build_push(m->decoder, &source->parents, l);
	return PARENT_TAKEN;
}

static void report_parent(struct decoder *d, const struct yaml_node *node, const struct route_source *source,
			  enum parent_verdict verdict)
{
	switch (verdict) {
	case PARENT_NO_LISTENER:
		config_warning(
			d->report, node,
			"the Gateway has no listener for a %s with this sectionName and port; nothing is "
			"served there",
			manifest_kind_name(source->object->kind));
		return;
	case PARENT_NOT_ALLOWED:
		config_warning(d->report, node,
			       "the listener does not take routes from namespace %s; extend allowedRoutes."
			       "namespaces of the listener",
			       QUOTE(source->object->namespace));
		return;
	case PARENT_NO_HOSTNAME:
		config_warning(
			d->report, node,
			"no hostname of this route fits the hostname of the listener; nothing is served "
			"there");
		return;
	case PARENT_TAKEN:
		return;
	}
}

static void decode_parent(struct manifests *m, const struct yaml_node *node, struct route_source *source)
{
	static const struct decode_key keys[] = { KEY("name"), KEY("namespace"),   KEY("group"),
						  KEY("kind"), KEY("sectionName"), KEY("port") };
	enum parent_verdict best = PARENT_NO_LISTENER;
	struct decoder *d = m->decoder;
	struct gateway_listener *first;
	struct parent_ref parent = { 0 };

	if (!DECODE_MAP(d, node, keys) ||
	    !manifest_ref(d, node, source->object, GROUP_GATEWAY, "Gateway", &parent.gateway))
		return;
	decode_name(d, decode_get(node, "sectionName"), &parent.section);
	decode_port(d, decode_get(node, "port"), &parent.port);
	if (!span_eq(parent.gateway.kind, SPAN("Gateway")) ||
	    !span_eq(parent.gateway.group, SPAN(GROUP_GATEWAY))) {
		config_info(d->report, node, "skipped: parents of kind %s are not used",
			    QUOTE(parent.gateway.kind));
		return;
	}
	if (!manifest_find(m, MANIFEST_GATEWAY, parent.gateway.namespace, parent.gateway.name)) {
		config_warning(d->report, node,
			       "there is no Gateway %.*s/%.*s in the loaded files; nothing is served there",
			       SPAN_FMT(parent.gateway.namespace), SPAN_FMT(parent.gateway.name));
		return;
	}
	first = gateway_listeners(m, parent.gateway.namespace, parent.gateway.name);
	for (struct gateway_listener *l = first; l; l = l->next) {
		enum parent_verdict verdict = try_listener(m, source, &parent, l);

		if (verdict > best)
			best = verdict;
	}
	if (best != PARENT_TAKEN)
		report_parent(d, node, source, best);
}

static void decode_head(struct manifests *m, struct route_source *source)
{
	const struct yaml_node *parents, *hostnames = decode_get(source->object->spec, "hostnames");
	struct decoder *d = m->decoder;

	if (decode_list(d, hostnames)) {
		source->hostname_list = decode_take(d, hostnames->count, sizeof(struct span));
		if (!source->hostname_list)
			return;
		yaml_each(node, hostnames)
			if (value_hostname(d, node, true, &source->hostname_list[source->hostname_count]))
				source->hostname_count++;
	}
	source->splice_off = manifest_splice_off(m, source->object);
	parents = decode_get(source->object->spec, "parentRefs");
	if (!parents)
		config_warning(d->report, source->object->spec,
			       "there are no parentRefs, so no Gateway serves this route; write "
			       "parentRefs: [{name: the name of a Gateway}]");
	if (decode_list(d, parents))
		yaml_each(node, parents)
			decode_parent(m, node, source);
}

/* -------------------------------------------------------------------------------- copies for the listeners
 */

/* References are sealed per listener (policies of its Gateway), so each copy of a route has its own. */
static struct backend_ref *copy_refs(struct manifests *m, const struct backend_ref *list, uint32_t count)
{
	struct backend_ref *copy = decode_take(m->decoder, count, sizeof(*copy));

	for (uint32_t i = 0; copy && i < count; i++) {
		copy[i] = list[i];
		if (!build_ref(m->builder, &copy[i]))
			return NULL;
	}
	return copy;
}

static struct span route_key(struct decoder *d, const struct manifest_object *object, uint32_t rule,
			     const struct gateway_listener *l)
{
	return decode_text(d, "%.*s/%.*s.%u.0.%.*s", SPAN_FMT(object->namespace), SPAN_FMT(object->name),
			   rule, SPAN_FMT(l->listener.listener_name));
}

static void add_http(struct manifests *m, const struct route_source *source, const struct route *template,
		     uint32_t rule, struct gateway_listener *l)
{
	struct decoder *d = m->decoder;
	struct route *route = decode_take(d, 1, sizeof(*route));

	if (!route)
		return;
	*route = *template;
	route->key = route_key(d, source->object, rule, l);
	route->backend_list = copy_refs(m, template->backend_list, template->backend_count);
	if (route->backend_list &&
	    gateway_hostnames(d, l->listener.hostname, source->hostname_list, source->hostname_count,
			      &route->hostname_list, &route->hostname_count))
		build_push(d, &l->routes, route);
}

static void add_tcp(struct manifests *m, const struct route_source *source, const struct tcp_route *template,
		    uint32_t rule, struct gateway_listener *l)
{
	struct decoder *d = m->decoder;
	struct tcp_route *route = decode_take(d, 1, sizeof(*route));

	if (!route)
		return;
	*route = *template;
	route->key = route_key(d, source->object, rule, l);
	route->backend_list = copy_refs(m, template->backend_list, template->backend_count);
	if (route->backend_list &&
	    gateway_hostnames(d, l->listener.hostname, source->hostname_list, source->hostname_count,
			      &route->hostname_list, &route->hostname_count))
		build_push(d, &l->tcp_routes, route);
}

/* -------------------------------------------------------------------------------- routes */

static void decode_http_rule(struct manifests *m, const struct yaml_node *node,
			     const struct route_source *source)
{
	const struct manifest_object *object = source->object;
	struct route template = {
		.name = object->name,
		.namespace = object->namespace,
		.kind = span_str(manifest_kind_name(object->kind)),
		.splice_off = source->splice_off,
		.created_s = object->created_s,
		.where = config_where(m->decoder->arena, node),
	};

	rule_decode_http(m, node, object, &template);
	if (template.backend_count == 0 && !build_value_find(&template.inline_policies, POLICY_REDIRECT))
		config_warning(m->decoder->report, node,
			       "this rule has no backendRefs and answers every request with 500");
	for (uint32_t i = 0; i < source->parents.count; i++)
		add_http(m, source, &template, node->index, source->parents.list[i]);
}

static void decode_tcp_rule(struct manifests *m, const struct yaml_node *node,
			    const struct route_source *source)
{
	static const struct decode_key keys[] = { KEY("name"), KEY("backendRefs") };
	const struct manifest_object *object = source->object;
	struct tcp_route template = {
		.name = object->name,
		.namespace = object->namespace,
		.kind = span_str(manifest_kind_name(object->kind)),
		.splice_off = source->splice_off,
		.where = config_where(m->decoder->arena, node),
	};

	if (!DECODE_MAP(m->decoder, node, keys))
		return;
	decode_name(m->decoder, decode_get(node, "name"), &template.rule_name);
	rule_decode_refs(
		m,
		decode_need(m->decoder, node, "backendRefs", "write backendRefs: [{name: ..., port: ...}]"),
		object, false, &template.backend_list, &template.backend_count);
	for (uint32_t i = 0; i < source->parents.count; i++)
		add_tcp(m, source, &template, node->index, source->parents.list[i]);
}

static void decode_rules(struct manifests *m, const struct route_source *source)
{
	struct decoder *d = m->decoder;
	bool is_http = source->object->kind == MANIFEST_HTTP_ROUTE;
	const struct yaml_node *rules = decode_get(source->object->spec, "rules");

	if (!rules && !is_http)
		rules = decode_need(d, source->object->spec, "rules", "write rules: [{backendRefs: [...]}]");
	if (!decode_list(d, rules))
		return;
	if (!is_http && rules->count > 1)
		config_error(
			d->report, rules,
			"a %s can have only one rule: connections have nothing to tell rules apart; make it "
			"one rule with several backendRefs, or several routes",
			manifest_kind_name(source->object->kind));
	yaml_each(node, rules) {
		if (is_http)
			decode_http_rule(m, node, source);
		else
			decode_tcp_rule(m, node, source);
	}
}

static void decode_route(struct manifests *m, const struct manifest_object *object)
{
	static const struct decode_key http_keys[] = { KEY("hostnames"), KEY("parentRefs"), KEY("rules"),
						       KEY_LATER("useDefaultGateways") };
	static const struct decode_key tcp_keys[] = { KEY("parentRefs"), KEY("rules"),
						      KEY_LATER("useDefaultGateways") };
	struct route_source source = { .object = object };
	struct decoder *d = m->decoder;

	if (!object->spec) {
		config_error(d->report, object->root,
			     "\"spec\" is missing; write spec: {parentRefs: [...], rules: [...]}");
		return;
	}
	if (!(object->kind == MANIFEST_TCP_ROUTE ? DECODE_MAP(d, object->spec, tcp_keys)
						 : DECODE_MAP(d, object->spec, http_keys)))
		return;
	decode_head(m, &source);
	decode_rules(m, &source);
	build_list_done(&source.parents);
}

void routes_decode(struct manifests *m)
{
	static const enum manifest_kind kinds[] = { MANIFEST_HTTP_ROUTE, MANIFEST_TCP_ROUTE,
						    MANIFEST_TLS_ROUTE };

	for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
		for (uint32_t i = 0; i < m->objects[kinds[k]].count; i++)
			decode_route(m, m->objects[kinds[k]].list[i]);
}
