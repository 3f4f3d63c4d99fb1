/* SPDX-License-Identifier: Apache-2.0 */
#include "config/standalone/route.h"

#include "config/core/route_value.h"
#include "config/standalone/policy.h"
#include "config/standalone/target.h"
#include "config/core/values.h"
#include "user/base/check.h"

/* -------------------------------------------------------------------------------- matches */

static void decode_path_match(struct decoder *d, const struct yaml_node *node, struct route_match *match)
{
	static const struct decode_key keys[] = { KEY("exact"), KEY("pathPrefix"), KEY("regex") };
	static const char *const choices[] = { "exact", "pathPrefix", "regex" };
	const struct yaml_node *chosen;
	unsigned index;

	if (!DECODE_MAP(d, node, keys))
		return;
	chosen = decode_choice(d, node, choices, ARRAY_LEN(choices), &index);
	if (!chosen)
		return;
	match->where = config_where(d->arena, chosen);
	if (index < 2) {
		match->path_kind = index == 0 ? PATH_EXACT : PATH_PREFIX_SEGMENTS;
		value_path(d, chosen, &match->path);
		return;
	}
	match->path_kind = PATH_REGEX;
	/* Early versions of the original wrote ["re", length]. */
	if (chosen->kind == YAML_LIST && chosen->count == 2)
		chosen = chosen->first;
	value_regex(d, chosen, &match->path);
}

static void decode_match(struct decoder *d, const struct yaml_node *node, struct route_match *match)
{
	static const struct decode_key keys[] = { KEY("path"), KEY("headers"), KEY("method"), KEY("query") };

	if (!DECODE_MAP(d, node, keys))
		return;
	decode_path_match(d, decode_get(node, "path"), match);
	value_method(d, decode_get(node, "method"), &match->method);
	route_value_headers(d, decode_get(node, "headers"), match);
	route_value_query(d, decode_get(node, "query"), match);
}

/* -------------------------------------------------------------------------------- backends */

static const struct decode_key ref_keys[] = {
	KEY("weight"),	      KEY("host"),	KEY("service"),	       KEY("backend"),
	KEY("policies"),      KEY("splice"),	KEY_LATER("dynamic"),  KEY_LATER("mcp"),
	KEY_LATER("ai"),      KEY_LATER("aws"), KEY_LATER("internal"), KEY_LATER("routeGroup"),
	KEY_LATER("invalid"),
};

/* A refused kind of backend has its own message: none about a missing host on top. */
static bool has_refused_kind(const struct yaml_node *node)
{
	for (size_t i = 0; i < ARRAY_LEN(ref_keys); i++)
		if (ref_keys[i].refusal && yaml_get(node, span_str(ref_keys[i].name)))
			return true;
	return false;
}

static void decode_ref(struct standalone *s, const struct yaml_node *node, struct span route_key, bool is_tcp,
		       struct backend_ref *ref)
{
	static const struct decode_key tcp_policy_keys[] = {
		KEY("tcp"),
		KEY_REFUSED("backendTLS",
			    "is not supported yet: this gateway does not speak TLS itself; remove it"),
		KEY_LATER("backendTunnel"),
	};
	const struct yaml_node *policies;
	struct decoder *d = s->decoder;

	if (!DECODE_MAP(d, node, ref_keys))
		return;
	route_value_weight(d, decode_get(node, "weight"), &ref->weight);
	value_splice_end(d, decode_get(node, "splice"), &ref->splice_off, &ref->is_same_host);
	if (!has_refused_kind(node))
		standalone_target(s, node, decode_text(d, "%.*s/backend%u", SPAN_FMT(route_key), node->index),
				  ref);
	policies = decode_get(node, "policies");
	if (!policies || (is_tcp && !DECODE_MAP(d, policies, tcp_policy_keys)))
		return;
	standalone_backend_policies(s, policies, &ref->inline_policies);
}

static void decode_refs(struct standalone *s, const struct yaml_node *list, struct span route_key,
			bool is_tcp, struct backend_ref **ret_list, uint32_t *ret_count)
{
	struct backend_ref *refs;

	if (!decode_list(s->decoder, list))
		return;
	refs = decode_take(s->decoder, list->count, sizeof(*refs));
	if (!refs)
		return;
	yaml_each(node, list)
		decode_ref(s, node, route_key, is_tcp, &refs[node->index]);
	*ret_list = refs;
	*ret_count = list->count;
}

static void decode_named_backend(struct standalone *s, const struct yaml_node *node)
{
	static const struct decode_key keys[] = { KEY("name"),	    KEY("host"),	 KEY("policies"),
						  KEY("splice"),    KEY_LATER("mcp"),	 KEY_LATER("ai"),
						  KEY_LATER("aws"), KEY_LATER("dynamic") };
	struct decoder *d = s->decoder;
	struct backend target = { 0 }, *backend;
	bool is_good;

	if (!DECODE_MAP(d, node, keys))
		return;
	is_good =
		decode_name(d, decode_need(d, node, "name", "write the name that routes use"), &target.name);
	if (!decode_get(node, "mcp") && !decode_get(node, "ai") && !decode_get(node, "aws") &&
	    !decode_get(node, "dynamic"))
		is_good &= value_target(d, decode_need(d, node, "host", "write host: name:port"), &target);
	else
		is_good = false;
	standalone_backend_policies(s, decode_get(node, "policies"), &target.inline_policies);
	value_splice_end(d, decode_get(node, "splice"), &target.splice_off, &target.is_same_host);
	target.is_listed = true;
	if (!is_good)
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

struct route_names {
	struct span name;
	struct span namespace;
	struct span rule_name;
	struct span key;
};

static bool decode_names(struct decoder *d, const struct yaml_node *node, const struct listener *listener,
			 struct route_names *ret)
{
	*ret = (struct route_names){ .namespace = SPAN("default") };
	if (!decode_name(d, decode_get(node, "name"), &ret->name))
		ret->name = decode_text(d, "route%u", node->index);
	decode_name(d, decode_get(node, "namespace"), &ret->namespace);
	decode_name(d, decode_get(node, "ruleName"), &ret->rule_name);
	ret->key = decode_text(d, "%.*s/%.*s/%.*s%s%.*s", SPAN_FMT(listener->key), SPAN_FMT(ret->namespace),
			       SPAN_FMT(ret->name), ret->rule_name.len ? "/" : "", SPAN_FMT(ret->rule_name));
	return ret->key.data != NULL;
}

static void decode_route(struct standalone *s, const struct yaml_node *node, const struct listener *listener,
			 struct route *route)
{
	static const struct decode_key keys[] = {
		KEY("name"),	KEY("namespace"), KEY("ruleName"), KEY("hostnames"),
		KEY("matches"), KEY("policies"),  KEY("backends"), KEY("splice"),
	};
	struct decoder *d = s->decoder;
	struct route_names names;

	if (!DECODE_MAP(d, node, keys) || !decode_names(d, node, listener, &names))
		return;
	route->key = names.key;
	route->name = names.name;
	route->namespace = names.namespace;
	route->rule_name = names.rule_name;
	route->created_s = INT64_MAX;
	route->where = config_where(d->arena, node);
	route_value_hostnames(d, decode_get(node, "hostnames"), &route->hostname_list,
			      &route->hostname_count);
	route_value_matches(d, decode_get(node, "matches"), decode_match, route);
	standalone_route_policies(s, decode_get(node, "policies"), route->key, &route->inline_policies);
	decode_refs(s, decode_get(node, "backends"), route->key, false, &route->backend_list,
		    &route->backend_count);
	route->splice_off = value_splice_route(d, decode_get(node, "splice"));
	if (route->backend_count == 0 && !build_value_find(&route->inline_policies, POLICY_REDIRECT) &&
	    !build_value_find(&route->inline_policies, POLICY_DIRECT_RESPONSE))
		config_warning(d->report, node,
			       "this route has no backends and answers every request with 500; add backends, "
			       "requestRedirect or directResponse");
}

void standalone_routes(struct standalone *s, const struct yaml_node *list, struct listener *listener)
{
	if (!decode_list(s->decoder, list))
		return;
	listener->route_list = decode_take(s->decoder, list->count, sizeof(*listener->route_list));
	if (!listener->route_list)
		return;
	listener->route_count = list->count;
	yaml_each(node, list)
		decode_route(s, node, listener, &listener->route_list[node->index]);
}

static void decode_tcp_route(struct standalone *s, const struct yaml_node *node,
			     const struct listener *listener, struct tcp_route *route)
{
	static const struct decode_key keys[] = {
		KEY("name"),
		KEY("namespace"),
		KEY("ruleName"),
		KEY("hostnames"),
		KEY("backends"),
		KEY("splice"),
		KEY_REFUSED("policies",
			    "is not supported yet for TCP routes; write policies.tcp under backends"),
		KEY_REFUSED("matches", "belongs to HTTP routes; a TCP route can only be chosen by hostnames, "
				       "on a listener with "
				       "protocol TLS"),
	};
	struct decoder *d = s->decoder;
	struct route_names names;

	if (!DECODE_MAP(d, node, keys) || !decode_names(d, node, listener, &names))
		return;
	route->key = names.key;
	route->name = names.name;
	route->namespace = names.namespace;
	route->rule_name = names.rule_name;
	route->where = config_where(d->arena, node);
	route_value_hostnames(d, decode_get(node, "hostnames"), &route->hostname_list,
			      &route->hostname_count);
	if (listener->protocol == PROTOCOL_TCP && decode_get(node, "hostnames"))
		config_error_key(d->report, decode_get(node, "hostnames"),
				 "plain TCP carries no host name; use protocol: TLS "
				 "on the listener, or remove hostnames");
	decode_refs(s, decode_get(node, "backends"), route->key, true, &route->backend_list,
		    &route->backend_count);
	route->splice_off = value_splice_route(d, decode_get(node, "splice"));
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
	yaml_each(node, list)
		decode_tcp_route(s, node, listener, &listener->tcp_route_list[node->index]);
}
