/* SPDX-License-Identifier: Apache-2.0 */
#include "config/standalone/route.h"

#include "config/core/values/route_value.h"
#include "config/standalone/endpoint.h"
#include "config/standalone/mcp.h"
#include "config/standalone/policy.h"
#include "config/standalone/target.h"
#include "config/core/values/values.h"
#include "user/base/check.h"

/* -------------------------------------------------------------------------------- matches */

static bool decode_path(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct route_match *match = container_of(ret, struct route_match, path);

	match->where = config_where(d->arena, node);
	return value_path(d, node, ret);
}

static bool decode_regex(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct route_match *match = container_of(ret, struct route_match, path);

	match->where = config_where(d->arena, node);
	/* Early versions of agentgateway wrote ["re", length]. */
	if (node->kind == YAML_LIST && node->count == 2)
		node = node->first;
	return route_value_regex(d, node, ret);
}

static bool decode_method(struct decoder *d, const struct yaml_node *node, void *ret)
{
	return value_method(d, node, ret);
}

static const struct schema_row path_rows[] = {
	{ "exact", AS_TEXT(struct route_match, path), ONE_OF(struct route_match, path_kind, PATH_EXACT),
	  .decode = decode_path, .value_doc = "path", .doc = "all of it" },
	{ "pathPrefix", AS_TEXT(struct route_match, path),
	  ONE_OF(struct route_match, path_kind, PATH_PREFIX_SEGMENTS), .decode = decode_path,
	  .value_doc = "path", .doc = "whole segments" },
	{ "regex", AS_TEXT(struct route_match, path), ONE_OF(struct route_match, path_kind, PATH_REGEX),
	  .decode = decode_regex, .doc = "the whole path, [below](#regular-expressions)" },
	{ "type", .refusal = "is of manifests; here the key says it: write pathPrefix: /api, exact: /api or "
			     "regex: '/a.*'" },
	{ "value", .refusal = "is of manifests; write the value behind pathPrefix, exact or regex" },
};
static const struct schema path_schema =
	SCHEMA(path_rows, struct route_match, .is_one_of = true, .example = "pathPrefix: /api");

static const struct schema_row match_rows[] = {
	{ "path", AS_SECTION(struct route_match, &path_schema) },
	{ "headers",
	  AS_OBJECTS(struct route_match, header_list, header_count, &condition_schema, struct text_match),
	  .element = route_value_header, .doc = "all of them" },
	{ "method", AS_TEXT(struct route_match, method), .decode = decode_method, .default_doc = "any",
	  .doc = "upper case" },
	{ "query",
	  AS_OBJECTS(struct route_match, query_list, query_count, &condition_schema, struct text_match),
	  .element = route_value_query, .doc = "all of them" },
};
static const struct schema match_schema = SCHEMA(match_rows, struct route_match);

static void decode_match(struct decoder *d, const struct yaml_node *node, struct route_match *match)
{
	schema_decode(d, node, &match_schema, match);
}

/* -------------------------------------------------------------------------------- backends */

#define SPLICE_DOC                                                                                           \
	.value_doc = "`auto`, `off`, `sameHost`", .default_doc = "`auto`",                                   \
	.doc = "extension: `off`, or `sameHost`: allows the lanes `direct` and `bypass` if its process "     \
	       "runs on this host"
#define BACKEND_POLICIES_DOC "[below](#policies-of-a-backend-backendspolicies-policiespolicy)"
#define HOST_VALUES "`name:port`, `1.2.3.4:port`, `[::1]:port`, `unix:/path`"

static bool decode_ref_splice(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct backend_ref *ref = container_of(ret, struct backend_ref, splice_off);

	value_splice_end(d, node, &ref->splice_off, &ref->is_same_host);
	return true;
}

#define ENDPOINTS_DOC                                                                                        \
	.value_doc = "list", .doc = "extension: several addresses: [below](#endpoints-of-a-backend)"

/* Exactly one of host, endpoints, service and so on: standalone_target(). */
static const struct schema_row ref_rows[] = {
	{ "weight", AS_U64(struct backend_ref, weight), RANGE(0, WEIGHT_MAX), .default_value = 1,
	  .doc = "0 is never chosen" },
	{ "host", AS_REST(struct backend_ref), .value_doc = HOST_VALUES, .default_doc = "one of these six",
	  .doc = "the address" },
	{ "endpoints", AS_REST(struct backend_ref), ENDPOINTS_DOC },
	{ "service", AS_REST(struct backend_ref), .child = &service_schema },
	{ "backend", AS_REST(struct backend_ref), .value_doc = "name", .doc = "of a top-level backend" },
	{ "mcp", AS_REST(struct backend_ref), .value_doc = "map", .doc = "MCP servers: [below](#mcp)" },
	{ "dynamic", AS_REST(struct backend_ref), .child = &dynamic_schema, .value_doc = "map, such as `{}`",
	  .doc = "the host that each request names: [below](#dynamic-backends)" },
	{ "routeGroup", AS_REST(struct backend_ref), .value_doc = "name",
	  .doc = "of a [route group](#routegroups), whose best match serves; only with `weight`" },
	{ "policies", AS_REST(struct backend_ref), .value_doc = "map",
	  .doc = BACKEND_POLICIES_DOC
	  "; on TCP routes `tcp`, `backendTLS`, `circuitBreaker` and `proxyProtocol` only" },
	{ "splice", AS_BOOL(struct backend_ref, splice_off), .decode = decode_ref_splice, SPLICE_DOC },
	{ "ai", .refusal = NOT_YET_AI_BACKEND },
	{ "aws", .refusal = NOT_YET_AWS },
	{ "internal", .refusal = NOT_YET_INTERNAL },
	{ "invalid", .refusal = NOT_YET_INVALID },
};
const struct schema ref_schema = SCHEMA(ref_rows, struct backend_ref,
					.example = "host: \"name:port\", service: {...} or backend: name");

static void decode_ref(struct standalone *s, const struct yaml_node *node, struct span route_key, bool is_tcp,
		       struct backend_ref *ref)
{
	static const struct decode_key tcp_policy_keys[] = {
		KEY("tcp"),
		KEY("backendTLS"),
		KEY("circuitBreaker"),
		KEY("proxyProtocol"),
		KEY_REFUSED("backendTunnel", NOT_YET_BACKEND_TUNNEL),
	};
	const struct yaml_node *policies;
	struct decoder *d = s->decoder;

	schema_default(&ref_schema, ref);
	if (!schema_decode(d, node, &ref_schema, ref))
		return;
	if (!schema_refuses(&ref_schema, node))
		standalone_target(s, node, decode_text(d, "%.*s/backend%u", SPAN_FMT(route_key), node->index),
				  ref);
	if (is_tcp && ref->backend && ref->backend->kind == BACKEND_MCP)
		config_error(d->report, node,
			     "an MCP backend needs HTTP; put the route into `routes` of an HTTP listener");
	if (is_tcp && ref->backend && ref->backend->kind == BACKEND_DYNAMIC)
		config_error(d->report, node,
			     "dynamic needs the host of a request, which a connection does not have; write "
			     "host: name:port");
	policies = decode_get(node, "policies");
	if (!policies || (is_tcp && !DECODE_MAP(d, policies, tcp_policy_keys)))
		return;
	standalone_backend_policies(s, policies, &ref->inline_policies);
}

static void decode_refs(struct standalone *s, const struct yaml_node *list, struct span route_key,
			bool is_tcp, struct backend_ref **ret_list, uint32_t *ret_count)
{
	struct backend_ref *refs;
	uint32_t count = 0;

	if (!decode_list(s->decoder, list))
		return;
	refs = decode_take(s->decoder, list->count, sizeof(*refs));
	if (!refs)
		return;
	yaml_each(node, list)
		if (!decode_get(node, "routeGroup"))
			decode_ref(s, node, route_key, is_tcp, &refs[count++]);
		else if (is_tcp)
			config_error_key(s->decoder->report, decode_get(node, "routeGroup"),
					 "belongs to HTTP routes; write host: name:port");
	*ret_list = refs;
	*ret_count = count;
}

/* A reference to a group of routes has nothing but its weight. */
static void decode_delegate(struct standalone *s, const struct yaml_node *node, struct route *route)
{
	struct route_delegate *delegate = &route->delegate_list[route->delegate_count];
	struct decoder *d = s->decoder;
	struct backend_ref ref = { 0 };

	schema_default(&ref_schema, &ref);
	yaml_each(member, node)
		if (!span_eq(member->key, SPAN("weight")) && !span_eq(member->key, SPAN("routeGroup")))
			config_error_key(d->report, member,
					 "stands beside routeGroup, whose routes have their own; write it "
					 "under them, or under this route");
	if (!schema_decode(d, node, &ref_schema, &ref) ||
	    !decode_name(d, decode_get(node, "routeGroup"), &delegate->name))
		return;
	delegate->weight = ref.weight;
	route->delegate_count++;
}

static void decode_delegates(struct standalone *s, const struct yaml_node *list, struct route *route)
{
	uint32_t count = 0;

	if (!list || list->kind != YAML_LIST)
		return;
	yaml_each(node, list)
		count += decode_get(node, "routeGroup") != NULL;
	if (!count)
		return;
	route->delegate_list = decode_take(s->decoder, count, sizeof(*route->delegate_list));
	if (!route->delegate_list)
		return;
	yaml_each(node, list)
		if (decode_get(node, "routeGroup"))
			decode_delegate(s, node, route);
}

static bool decode_backend_splice(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct backend *backend = container_of(ret, struct backend, splice_off);

	value_splice_end(d, node, &backend->splice_off, &backend->is_same_host);
	return true;
}

static const struct schema_row named_backend_rows[] = {
	{ "name", AS_TEXT(struct backend, name), .need = "write the name that routes use", .doc = "unique" },
	{ "host", AS_REST(struct backend), .value_doc = HOST_VALUES, .default_doc = "one of these three",
	  .doc = "the address" },
	{ "endpoints", AS_REST(struct backend), .child = &endpoint_schema, ENDPOINTS_DOC },
	{ "mcp", AS_REST(struct backend), .value_doc = "map", .doc = "MCP servers: [below](#mcp)" },
	{ "policies", AS_REST(struct backend), .value_doc = "map", .doc = BACKEND_POLICIES_DOC },
	{ "splice", AS_BOOL(struct backend, splice_off), .decode = decode_backend_splice, SPLICE_DOC },
	{ "ai", .refusal = NOT_YET_AI_BACKEND },
	{ "aws", .refusal = NOT_YET_AWS },
	{ "dynamic", .refusal = "belongs to the backends of a route; write it there" },
	{ "internal", .refusal = NOT_YET_INTERNAL },
};
const struct schema named_backend_schema =
	SCHEMA(named_backend_rows, struct backend, .example = "name: NAME, and host: \"name:port\" below it");

static void decode_address(struct standalone *s, const struct yaml_node *node, struct backend *target)
{
	static const char *const choices[] = { "host", "endpoints", "mcp" };
	struct decoder *d = s->decoder;
	const struct yaml_node *chosen;
	unsigned index;

	chosen = decode_choice(d, node, choices, ARRAY_LEN(choices), &index);
	if (!chosen)
		return;
	if (index == 0)
		value_target(d, chosen, target);
	else if (index == 1)
		standalone_endpoints(d, chosen, target);
	else
		standalone_mcp_backend(s, chosen, target);
}

static void decode_named_backend(struct standalone *s, const struct yaml_node *node)
{
	struct decoder *d = s->decoder;
	struct backend target = { .is_listed = true }, *backend;

	if (!schema_decode(d, node, &named_backend_schema, &target))
		return;
	if (!schema_refuses(&named_backend_schema, node))
		decode_address(s, node, &target);
	standalone_backend_policies(s, decode_get(node, "policies"), &target.inline_policies);
	if (!target.name.len || !target.endpoint_count)
		return;
	backend = build_backend(s->builder);
	if (!backend)
		return;
	*backend = target;
	if (!name_map_get(&s->named_backends, backend->name))
		name_map_put(d, &s->named_backends, backend->name, backend);
	else
		config_error(d->report, decode_get(node, "name"),
			     "there is another backend with the name %s; give each its "
			     "own",
			     QUOTE(backend->name));
}

void standalone_named_backends(struct standalone *s, const struct yaml_node *list)
{
	if (!decode_list(s->decoder, list))
		return;
	yaml_each(node, list)
		decode_named_backend(s, node);
}

/* -------------------------------------------------------------------------------- routes */

static struct span route_key(struct decoder *d, struct span base, struct span namespace, struct span name,
			     struct span rule_name)
{
	return decode_text(d, "%.*s/%.*s/%.*s%s%.*s", SPAN_FMT(base), SPAN_FMT(namespace), SPAN_FMT(name),
			   rule_name.len ? "/" : "", SPAN_FMT(rule_name));
}

static bool decode_route_splice(struct decoder *d, const struct yaml_node *node, void *ret)
{
	*(bool *)ret = value_splice_route(d, node);
	return true;
}

/* clang-format off */
#define ROUTE_NAMES(object)                                                                                  \
	{ "name", AS_TEXT(object, name), .default_doc = "`route<index>`",                                    \
	  .doc = "name for policies, the log and the metrics" },                                             \
		{ "namespace", AS_TEXT(object, namespace), .default_text = "default",                        \
		  .doc = "of the name" },                                                                    \
		{ "ruleName", AS_TEXT(object, rule_name), .doc = "for policies" }
/* clang-format on */
/* clang-format off */
#define ROUTE_GATEWAYS(object)                                                                               \
	{ "gateways", AS_REST(object), .value_doc = "name, or list of names", .default_doc = "`default`",    \
	  .doc = "at the top level only: `gateway` or `gateway/listener`; on each it is a route of its own" }
/* clang-format on */
#define ROUTE_HOSTNAMES(object)                                                                              \
	AS_LIST(SCHEMA_NAMES, object, hostname_list, hostname_count, struct span),                           \
		.element = route_value_hostname, .value_doc = "list of names, `*.` wildcards, addresses",    \
		.default_doc = "any"
/* clang-format off */
#define ROUTE_SPLICE(object)                                                                                 \
	{ "splice", AS_BOOL(object, splice_off), .decode = decode_route_splice,                              \
	  .value_doc = "`auto`, `off`", .default_doc = "`auto`",                                             \
	  .doc = "extension: `off` keeps this route out of the kernel lanes" }
/* clang-format on */

static const struct schema_row route_rows[] = {
	ROUTE_GATEWAYS(struct route),
	ROUTE_NAMES(struct route),
	{ "hostnames", ROUTE_HOSTNAMES(struct route), .doc = "any of them" },
	{ "matches", AS_REST(struct route), .child = &match_schema, .value_doc = "list",
	  .default_doc = "one with `path: {pathPrefix: /}`", .doc = "any of them" },
	{ "policies", AS_REST(struct route), .value_doc = "map",
	  .doc = "[below](#policies-of-a-route-routespolicies-policiespolicy)" },
	{ "backends", AS_REST(struct route), .value_doc = "list",
	  .doc = "[below](#backends-of-a-route); none: 500, unless the route redirects or has a direct "
		 "response" },
	ROUTE_SPLICE(struct route),
	{ "halfClose", AS_WORD(struct route, half_close), .word_base = HALF_CLOSE_END, WORDS("end", "keep"),
	  .default_doc = "as `frontendPolicies.http.halfClose`",
	  .doc = "extension: for a request whose HTTP/1 client closes its side while it waits" },
};
const struct schema route_schema = SCHEMA(route_rows, struct route);

static const struct schema_row tcp_route_rows[] = {
	ROUTE_GATEWAYS(struct tcp_route),
	ROUTE_NAMES(struct tcp_route),
	{ "hostnames", ROUTE_HOSTNAMES(struct tcp_route), .doc = "SNI: with `protocol: TLS` only" },
	{ "backends", AS_REST(struct tcp_route), .value_doc = "list",
	  .doc = "[below](#backends-of-a-route); none: the gateway closes connections" },
	ROUTE_SPLICE(struct tcp_route),
	{ "policies", AS_REST(struct tcp_route), .value_doc = "map",
	  .doc = "`backendTLS` only: [below](#policies-of-a-backend-backendspolicies-policiespolicy)" },
	{ "matches", .refusal = "belongs to HTTP routes; a TCP route can only be chosen by hostnames, on a "
				"listener with protocol TLS" },
};
const struct schema tcp_route_schema = SCHEMA(tcp_route_rows, struct tcp_route);

void standalone_route(struct standalone *s, const struct yaml_node *node, uint32_t index, struct span base,
		      struct route *route)
{
	struct decoder *d = s->decoder;

	schema_default(&route_schema, route);
	if (!schema_decode(d, node, &route_schema, route))
		return;
	if (!route->name.len)
		route->name = decode_text(d, "route%u", index);
	route->key = route_key(d, base, route->namespace, route->name, route->rule_name);
	route->created_s = INT64_MAX;
	route->where = config_where(d->arena, node);
	route_value_matches(d, decode_get(node, "matches"), decode_match, route);
	standalone_route_policies(s, decode_get(node, "policies"), route->key, &route->inline_policies);
	decode_delegates(s, decode_get(node, "backends"), route);
	decode_refs(s, decode_get(node, "backends"), route->key, false, &route->backend_list,
		    &route->backend_count);
	if (route->backend_count == 0 && !route->delegate_count &&
	    !build_value_find(&route->inline_policies, POLICY_REDIRECT) &&
	    !build_value_find(&route->inline_policies, POLICY_DIRECT_RESPONSE))
		config_warning(d->report, node,
			       "this route has no backends and answers every request with 500; add backends, "
			       "requestRedirect or directResponse");
}

void standalone_refuse_gateways(struct decoder *d, const struct yaml_node *node)
{
	const struct yaml_node *gateways = decode_get(node, "gateways");

	if (gateways)
		config_error_key(d->report, gateways,
				 "belongs to routes at the top level; this one belongs to the object around "
				 "it: remove gateways, or move the route to the top level");
}

void standalone_routes(struct standalone *s, const struct yaml_node *list, struct listener *listener)
{
	if (!decode_list(s->decoder, list))
		return;
	listener->route_list = decode_take(s->decoder, list->count, sizeof(*listener->route_list));
	if (!listener->route_list)
		return;
	listener->route_count = list->count;
	yaml_each(node, list) {
		standalone_refuse_gateways(s->decoder, node);
		standalone_route(s, node, node->index, listener->key, &listener->route_list[node->index]);
	}
}

void standalone_tcp_route(struct standalone *s, const struct yaml_node *node, uint32_t index,
			  const struct listener *listener, struct tcp_route *route)
{
	struct decoder *d = s->decoder;

	schema_default(&tcp_route_schema, route);
	if (!schema_decode(d, node, &tcp_route_schema, route))
		return;
	if (!route->name.len)
		route->name = decode_text(d, "route%u", index);
	route->key = route_key(d, listener->key, route->namespace, route->name, route->rule_name);
	route->where = config_where(d->arena, node);
	if (listener->protocol == PROTOCOL_TCP && decode_get(node, "hostnames"))
		config_error_key(d->report, decode_get(node, "hostnames"),
				 "plain TCP carries no host name; use protocol: TLS "
				 "on the listener, or remove hostnames");
	standalone_tcp_route_policies(s, decode_get(node, "policies"), &route->inline_policies);
	decode_refs(s, decode_get(node, "backends"), route->key, true, &route->backend_list,
		    &route->backend_count);
	if (route->backend_count == 0)
		config_warning(d->report, node,
			       "this route has no backends and closes every connection; add backends");
}

void standalone_tcp_routes(struct standalone *s, const struct yaml_node *list, struct listener *listener)
{
	if (!decode_list(s->decoder, list))
		return;
	listener->tcp_route_list = decode_take(s->decoder, list->count, sizeof(*listener->tcp_route_list));
	if (!listener->tcp_route_list)
		return;
	listener->tcp_route_count = list->count;
	yaml_each(node, list) {
		standalone_refuse_gateways(s->decoder, node);
		standalone_tcp_route(s, node, node->index, listener, &listener->tcp_route_list[node->index]);
	}
}
