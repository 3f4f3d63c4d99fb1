/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/route.h"

#include <stdio.h>
#include <stdlib.h>

#include "config/gatewayapi/delegation.h"
#include "config/gatewayapi/service.h"
#include "config/gatewayapi/status.h"
#include "config/gatewayapi/unknown_kind.h"
#include "config/core/values/route_value.h"
#include "config/core/values/values.h"
#include "user/base/check.h"
#include "user/base/limits.h"

/* -------------------------------------------------------------------------------- parents */

/* The best result of a parentRef; the messages use the condition reasons of Gateway API. */
enum parent_result {
	PARENT_NO_LISTENER, /* no listener with that name and port */
	PARENT_NO_KIND, /* the listener takes other kinds of route */
	PARENT_NOT_ALLOWED,
	PARENT_NO_HOSTNAME,
	PARENT_TAKEN,
};

struct parent_ref {
	struct manifest_ref gateway;
	struct span section;
	uint16_t port; /* 0: any */
	struct status_parent *status;
};

static bool is_parent(const struct route_source *source, const struct gateway_listener *l)
{
	for (uint32_t i = 0; i < source->parents.count; i++)
		if (((const struct route_parent *)source->parents.list[i])->listener == l)
			return true;
	return false;
}

static enum parent_result try_listener(struct manifests *m, struct route_source *source,
				       const struct parent_ref *parent, struct gateway_listener *l)
{
	const struct manifest_object *object = source->object;
	struct route_parent found = { .listener = l, .status = parent->status }, *kept;

	if ((parent->section.len && !span_eq(parent->section, l->listener.listener_name)) ||
	    (parent->port && parent->port != l->port))
		return PARENT_NO_LISTENER;
	if (!gateway_admits_kind(l, object->kind))
		return PARENT_NO_KIND;
	if (!gateway_admits_namespace(m, l, object->namespace))
		return PARENT_NOT_ALLOWED;
	if (!gateway_hostnames(m->decoder, l->listener.hostname, source->hostname_list,
			       source->hostname_count, &found.hostname_list, &found.hostname_count))
		return PARENT_NO_HOSTNAME;
	if (is_parent(source, l))
		return PARENT_TAKEN;
	kept = decode_take(m->decoder, 1, sizeof(*kept));
	if (kept) {
		*kept = found;
		build_push(m->decoder, &source->parents, kept);
	}
	return PARENT_TAKEN;
}

static void refuse_parent(struct decoder *d, const struct yaml_node *node, const struct parent_ref *parent,
			  const char *reason, const char *sentence)
{
	config_warning(d->report, node, "%s: %s", reason, sentence);
	status_fail(d, &parent->status->conditions, CONDITION_ACCEPTED, reason, "%s", sentence);
}

static void report_parent(struct decoder *d, const struct yaml_node *node, const struct route_source *source,
			  const struct parent_ref *parent, enum parent_result result)
{
	char sentence[400];

	switch (result) {
	case PARENT_NO_LISTENER:
		refuse_parent(d, node, parent, "NoMatchingParent",
			      "the parent has no listener with this sectionName and port; nothing is served "
			      "there: write those of a listener, or leave them out");
		return;
	case PARENT_NO_KIND:
		snprintf(sentence, sizeof(sentence),
			 "no listener of the parent with this sectionName and port takes routes of kind "
			 "%s; nothing is served there: name another one, or look at its protocol and "
			 "allowedRoutes.kinds",
			 manifest_kind_name(source->object->kind));
		refuse_parent(d, node, parent, "NotAllowedByListeners", sentence);
		return;
	case PARENT_NOT_ALLOWED:
		snprintf(sentence, sizeof(sentence),
			 "the listener does not take routes from namespace %s; extend "
			 "allowedRoutes.namespaces of the listener",
			 QUOTE(source->object->namespace));
		refuse_parent(d, node, parent, "NotAllowedByListeners", sentence);
		return;
	case PARENT_NO_HOSTNAME:
		refuse_parent(
			d, node, parent, "NoMatchingListenerHostname",
			"no hostname of this route fits the hostname of the listener; nothing is served "
			"there: change one of them, or name another listener");
		return;
	case PARENT_TAKEN:
		return;
	}
}

/* Kinds with listeners. */
static bool parent_kind(const struct manifest_ref *ref, enum manifest_kind *ret)
{
	static const enum manifest_kind kinds[] = { MANIFEST_GATEWAY, MANIFEST_LISTENER_SET,
						    MANIFEST_X_LISTENER_SET };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		*ret = kinds[i];
		if (span_eq(ref->kind, span_str(manifest_kind_name(*ret))) &&
		    span_eq(ref->group, span_str(manifest_kind_group(*ret))))
			return true;
	}
	return false;
}

/* The entry of `parents[]` that corresponds to the parentRef; false: no memory. */
static bool begin_status(struct decoder *d, const struct route_source *source, struct parent_ref *parent)
{
	struct status_parent *status = status_parent_new(d, source->object->status);

	if (!status)
		return false;
	status->group = decode_keep(d, parent->gateway.group);
	status->kind = parent->gateway.kind;
	status->namespace = parent->gateway.namespace;
	status->name = parent->gateway.name;
	status->section = parent->section;
	status->port = parent->port;
	parent->status = status;
	return true;
}

/* A Gateway with an error has no listeners, or fewer: the error is the reason. */
static enum parent_result try_listeners(struct manifests *m, struct route_source *source,
					const struct parent_ref *parent, enum manifest_kind kind)
{
	struct gateway_listener *first =
		gateway_listeners(m, kind, parent->gateway.namespace, parent->gateway.name);
	enum parent_result best = PARENT_NO_LISTENER;

	for (struct gateway_listener *l = first; l; l = l->next) {
		enum parent_result result = try_listener(m, source, parent, l);

		if (result > best)
			best = result;
	}
	return best;
}

static void decode_parent(struct manifests *m, const struct yaml_node *node, struct route_source *source)
{
	static const struct decode_key keys[] = { KEY("name"), KEY("namespace"),   KEY("group"),
						  KEY("kind"), KEY("sectionName"), KEY("port") };
	struct decoder *d = m->decoder;
	const struct manifest_object *object;
	struct parent_ref parent = { 0 };
	enum manifest_kind kind;
	char sentence[600];

	if (!DECODE_MAP(d, node, keys) ||
	    !manifest_ref(d, node, source->object, GROUP_GATEWAY, "Gateway", &parent.gateway))
		return;
	decode_name(d, decode_get(node, "sectionName"), &parent.section);
	decode_port(d, decode_get(node, "port"), &parent.port);
	if (source->object->kind == MANIFEST_HTTP_ROUTE && span_eq(parent.gateway.kind, SPAN("HTTPRoute")) &&
	    span_eq(parent.gateway.group, SPAN(GROUP_GATEWAY))) {
		if (!node->fault)
			source->route_list[source->route_count++] = parent.gateway;
		return;
	}
	if (!parent_kind(&parent.gateway, &kind)) {
		config_info(d->report, node, "skipped: parents of kind %s are not used",
			    QUOTE(parent.gateway.kind));
		return;
	}
	object = manifest_find(m, kind, parent.gateway.namespace, parent.gateway.name);
	if (object && object->is_foreign) {
		config_info(d->report, node, "skipped: the Gateway %.*s/%.*s belongs to another program",
			    SPAN_FMT(parent.gateway.namespace), SPAN_FMT(parent.gateway.name));
		return;
	}
	if (!begin_status(d, source, &parent))
		return;
	if (node->fault) {
		status_fail(d, &parent.status->conditions, CONDITION_ACCEPTED, "UnsupportedValue", "%s",
			    node->fault);
		return;
	}
	if (!object) {
		snprintf(sentence, sizeof(sentence),
			 "there is no %s %.*s/%.*s; nothing is served there: add it, "
			 "or name another one",
			 manifest_kind_name(kind), SPAN_FMT(parent.gateway.namespace),
			 SPAN_FMT(parent.gateway.name));
		parent.status->is_missing = true;
		refuse_parent(d, node, &parent, "NoMatchingParent", sentence);
		return;
	}
	report_parent(d, node, source, &parent, try_listeners(m, source, &parent, kind));
}

static void decode_head(struct manifests *m, struct route_source *source)
{
	const struct yaml_node *parents;
	struct decoder *d = m->decoder;
	const struct yaml_node *hostnames = decode_get(source->object->spec, "hostnames");

	if (decode_list(d, hostnames))
		schema_decode_list(d, hostnames, route_value_hostname, sizeof(struct span),
				   &source->hostname_list, &source->hostname_count);
	/* Without its names it would have every name of its listeners. */
	if (hostnames && hostnames->fault && !source->hostname_count)
		source->is_nameless = true;
	source->splice_off = value_splice_route(d, manifest_splice(source->object));
	parents = decode_get(source->object->spec, "parentRefs");
	if (!decode_list(d, parents))
		return;
	source->has_parent_refs = parents->count > 0;
	source->route_list = decode_take(d, parents->count, sizeof(*source->route_list));
	if (!source->route_list)
		return;
	yaml_each(node, parents)
		decode_parent(m, node, source);
}

/* Routes without parents may be there to be delegated to. */
static void warn_of_orphan(struct decoder *d, const struct route_source *source)
{
	if (!source->has_parent_refs && !source->is_named)
		config_warning(d->report, source->object->spec,
			       "there are no parentRefs, so no Gateway serves this route; write "
			       "parentRefs: [{name: the name of a Gateway}]");
}

/* -------------------------------------------------------------------------------- HTTPRoute or GRPCRoute */

/* The older route first, then by name, then HTTPRoute before GRPCRoute. */
static int source_order(const void *left, const void *right)
{
	const struct manifest_object *a = (*(struct route_source *const *)left)->object,
				     *b = (*(struct route_source *const *)right)->object;
	int order = manifest_order(a, b);

	return order ? order : (a->kind > b->kind) - (a->kind < b->kind);
}

static bool is_conflicted(const struct route_parent *parent)
{
	return parent->listener->owners.is_wanted[0] && parent->listener->owners.is_wanted[1];
}

static struct host_names names_of(const struct route_parent *parent)
{
	return (struct host_names){ parent->hostname_list, parent->hostname_count };
}

static bool prepare_owners(struct decoder *d, const struct pointer_list *sources)
{
	for (uint32_t i = 0; i < sources->count; i++) {
		const struct route_source *source = sources->list[i];

		for (uint32_t k = 0; k < source->parents.count; k++) {
			const struct route_parent *parent = source->parents.list[k];

			if (is_conflicted(parent) &&
			    !hostname_owners_prepare(d, &parent->listener->owners, names_of(parent)))
				return false;
		}
	}
	return true;
}

static void take_hostnames(struct decoder *d, const struct route_source *source, struct route_parent *parent)
{
	const struct manifest_object *object = source->object, *holder;

	holder = hostname_owners_take(&parent->listener->owners, names_of(parent), object);
	if (!holder)
		return;
	parent->is_lost = true;
	status_fail(d, &parent->status->conditions, CONDITION_ACCEPTED, "HostnameConflict",
		    "%s %.*s/%.*s has one of the host names at listener %.*s, and %s",
		    manifest_kind_name(holder->kind), SPAN_FMT(holder->namespace), SPAN_FMT(holder->name),
		    SPAN_FMT(parent->listener->listener.key),
		    holder->created_s < object->created_s ? "is older" : "comes first by name");
	config_warning(d->report, object->root,
		       "is not served by listener %.*s: %s %.*s/%.*s has one of its host names there, and "
		       "%s; give one of the two another hostname",
		       SPAN_FMT(parent->listener->listener.key), manifest_kind_name(holder->kind),
		       SPAN_FMT(holder->namespace), SPAN_FMT(holder->name),
		       holder->created_s < object->created_s ? "is older" : "comes first by name");
}

/* HTTPRoutes and GRPCRoutes of one listener do not share host names. `sources` has both kinds. */
static void settle_hosts(struct decoder *d, const struct pointer_list *sources)
{
	bool is_any_conflicted = false;

	for (uint32_t i = 0; i < sources->count; i++) {
		const struct route_source *source = sources->list[i];
		bool is_grpc = source->object->kind == MANIFEST_GRPC_ROUTE;

		for (uint32_t k = 0; k < source->parents.count; k++) {
			const struct route_parent *parent = source->parents.list[k];

			parent->listener->owners.is_wanted[is_grpc] = true;
			is_any_conflicted |= is_conflicted(parent);
		}
	}
	if (!is_any_conflicted || !prepare_owners(d, sources))
		return;
	qsort(sources->list, sources->count, sizeof(void *), source_order);
	for (uint32_t i = 0; i < sources->count; i++) {
		const struct route_source *source = sources->list[i];

		for (uint32_t k = 0; k < source->parents.count; k++)
			if (is_conflicted(source->parents.list[k]))
				take_hostnames(d, source, source->parents.list[k]);
	}
}

/* -------------------------------------------------------------------------------- copies for the listeners
 */

static struct span route_key(struct decoder *d, const struct manifest_object *object, uint32_t rule,
			     const struct gateway_listener *l)
{
	return decode_text(d, "%.*s/%.*s.%u.0.%s%.*s", SPAN_FMT(object->namespace), SPAN_FMT(object->name),
			   rule, object->kind == MANIFEST_GRPC_ROUTE ? "grpc." : "",
			   SPAN_FMT(l->listener.listener_name));
}

static void add_route(struct manifests *m, struct delegation_source *all, const struct route_source *source,
		      const struct rule_source *rule, const struct route_parent *parent)
{
	struct route *route =
		route_copy_add(m, &(struct route_copy){ .object = source->object,
							.template = &rule->template,
							.listener = parent->listener,
							.key = route_key(m->decoder, source->object,
									 rule->index, parent->listener),
							.hostname_list = parent->hostname_list,
							.hostname_count = parent->hostname_count,
							.refusal = rule_refusal(source, rule) });

	if (route)
		delegation_expand(m, all, source, rule, parent->listener, route);
}

static void add_tcp(struct manifests *m, const struct route_source *source, const struct rule_source *rule,
		    const struct route_parent *parent)
{
	const char *refusal = rule_refusal(source, rule);
	struct decoder *d = m->decoder;
	struct tcp_route *route = decode_take(d, 1, sizeof(*route));

	if (!route)
		return;
	*route = rule->tcp;
	route->key = route_key(d, source->object, rule->index, parent->listener);
	route->hostname_list = parent->hostname_list;
	route->hostname_count = parent->hostname_count;
	if (route_is_refused(m, source->object, route->rule_name, parent->listener))
		refusal = UNKNOWN_KIND_REFUSAL;
	route->backend_list = route_copy_refs(m, refusal, rule->tcp.backend_list, &route->backend_count);
	status_use_services(m, route->backend_list, route->backend_count, parent->listener->gateway);
	if (route->backend_list)
		build_push(d, &parent->listener->tcp_routes, route);
}

/* -------------------------------------------------------------------------------- routes */

/* Decodes keys, host names and parents of a route; NULL: not usable. */
static struct route_source *decode_source(struct manifests *m, const struct manifest_object *object)
{
	static const struct decode_key http_keys[] = { KEY("hostnames"), KEY("parentRefs"), KEY("rules"),
						       KEY_IGNORED("useDefaultGateways",
								   NOT_YET_USE_DEFAULT_GATEWAYS) };
	static const struct decode_key tcp_keys[] = { KEY("parentRefs"), KEY("rules"),
						      KEY_IGNORED("useDefaultGateways",
								  NOT_YET_USE_DEFAULT_GATEWAYS) };
	struct decoder *d = m->decoder;
	struct route_source *source;

	if (!object->spec)
		config_error(d->report, object->root,
			     "\"spec\" is missing; write spec: {parentRefs: [...], rules: [...]}");
	if (!(object->kind == MANIFEST_TCP_ROUTE ? DECODE_MAP(d, object->spec, tcp_keys)
						 : DECODE_MAP(d, object->spec, http_keys)))
		return NULL;
	source = decode_take(d, 1, sizeof(*source));
	if (!source)
		return NULL;
	source->object = object;
	decode_head(m, source);
	return source;
}

static void decode_sources(struct manifests *m, enum manifest_kind kind, struct pointer_list *sources)
{
	for (uint32_t i = 0; i < m->objects[kind].count; i++) {
		struct route_source *source = decode_source(m, m->objects[kind].list[i]);

		if (source && !build_push(m->decoder, sources, source))
			build_list_done(&source->parents);
	}
}

static void decode_all_rules(struct manifests *m, const struct pointer_list *sources)
{
	for (uint32_t i = 0; i < sources->count; i++)
		route_rules_decode(m, sources->list[i]);
}

/* `all`: of HTTPRoutes and GRPCRoutes; NULL: a TCPRoute or TLSRoute. */
static void add_rules(struct manifests *m, struct delegation_source *all, const struct route_source *source)
{
	for (uint32_t i = 0; i < source->rules.count; i++) {
		const struct rule_source *rule = source->rules.list[i];

		for (uint32_t k = 0; k < source->parents.count; k++) {
			const struct route_parent *parent = source->parents.list[k];

			if (parent->is_lost || source->is_nameless || rule->is_unknown)
				continue;
			if (all)
				add_route(m, all, source, rule, parent);
			else
				add_tcp(m, source, rule, parent);
		}
	}
}

static void add_all_http(struct manifests *m, const struct pointer_list *sources)
{
	struct pointer_list routes = { 0 };
	struct delegation_source all = { .routes = &routes, .budget = LIMIT_DELEGATED_ROUTES };

	for (uint32_t i = 0; i < sources->count; i++)
		if (((struct route_source *)sources->list[i])->object->kind == MANIFEST_HTTP_ROUTE)
			build_push(m->decoder, &routes, sources->list[i]);
	for (uint32_t i = 0; i < sources->count; i++)
		add_rules(m, &all, sources->list[i]);
	for (uint32_t i = 0; i < sources->count; i++)
		warn_of_orphan(m->decoder, sources->list[i]);
	build_list_done(&routes);
}

/* The conditions of the route are those of each parent; counts the routes of listeners. */
static void settle_status(const struct route_source *source)
{
	const struct conditions *own = &source->object->status->conditions;

	for (struct status_parent *parent = source->object->status->parent_list; parent;
	     parent = parent->next)
		for (unsigned i = 0; i < CONDITION_TYPE_COUNT; i++)
			if (own->of[i].is_set && !parent->conditions.of[i].is_set)
				parent->conditions.of[i] = own->of[i];
	for (uint32_t i = 0; i < source->parents.count; i++) {
		const struct route_parent *parent = source->parents.list[i];

		if (!parent->is_lost && !parent->listener->is_copy &&
		    !condition_is_false(own, CONDITION_ACCEPTED))
			parent->listener->status->attached_routes++;
	}
}

static void sources_done(struct pointer_list *sources)
{
	for (uint32_t i = 0; i < sources->count; i++) {
		struct route_source *source = sources->list[i];

		settle_status(source);
		build_list_done(&source->parents);
		build_list_done(&source->rules);
	}
	build_list_done(sources);
}

void routes_decode(struct manifests *m)
{
	struct pointer_list http = { 0 }, tcp = { 0 };

	decode_sources(m, MANIFEST_HTTP_ROUTE, &http);
	decode_sources(m, MANIFEST_GRPC_ROUTE, &http);
	settle_hosts(m->decoder, &http);
	decode_all_rules(m, &http);
	add_all_http(m, &http);
	sources_done(&http);
	decode_sources(m, MANIFEST_TCP_ROUTE, &tcp);
	decode_sources(m, MANIFEST_TLS_ROUTE, &tcp);
	decode_all_rules(m, &tcp);
	for (uint32_t i = 0; i < tcp.count; i++) {
		add_rules(m, NULL, tcp.list[i]);
		warn_of_orphan(m->decoder, tcp.list[i]);
	}
	sources_done(&tcp);
}
