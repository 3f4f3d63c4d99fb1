/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/rule.h"

#include "config/gatewayapi/filter.h"
#include "config/gatewayapi/backend.h"
#include "config/gatewayapi/delegation.h"
#include "config/gatewayapi/service.h"
#include "config/core/values/policy_value.h"
#include "config/core/values/route_value.h"
#include "config/core/values/values.h"
#include "user/base/check.h"
#include "user/base/limits.h"

/* -------------------------------------------------------------------------------- matches */

static bool decode_path(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct route_match *match = container_of(ret, struct route_match, path);
	static const struct decode_key keys[] = { KEY("type"), KEY("value") };
	static const char *const types[] = { "PathPrefix", "Exact", "RegularExpression" };
	static const enum path_match_kind kind_of[] = { PATH_PREFIX_SEGMENTS, PATH_EXACT, PATH_REGEX };
	const struct yaml_node *value;
	unsigned index = 0;

	if (!DECODE_MAP(d, node, keys))
		return false;
	DECODE_WORD(d, decode_get(node, "type"), types, &index);
	match->path_kind = kind_of[index];
	value = decode_get(node, "value");
	match->where = config_where(d->arena, value ? value : node);
	return index == 2 ? route_value_regex(d, value, ret) : value_path(d, value, ret);
}

#define HEADER_CONDITIONS                                                                                    \
	AS_OBJECTS(struct route_match, header_list, header_count, &condition_schema, struct text_match),     \
		.element = route_value_header, RANGE(0, LIMIT_HEADERS)

static const struct schema_row http_match_rows[] = {
	{ "path", AS_TEXT(struct route_match, path), .decode = decode_path },
	{ "headers", HEADER_CONDITIONS },
	{ "queryParams",
	  AS_OBJECTS(struct route_match, query_list, query_count, &condition_schema, struct text_match),
	  .element = route_value_query, RANGE(0, LIMIT_HEADERS) },
	{ "method", AS_WORD_TEXT(struct route_match, method),
	  WORDS("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH") },
};

static void check_match(struct decoder *d, const struct yaml_node *node, void *object)
{
	struct route_match *match = object;

	value_first_of_name(d, decode_get(node, "headers"), match->header_list, sizeof(*match->header_list),
			    &match->header_count);
	value_first_of_name(d, decode_get(node, "queryParams"), match->query_list, sizeof(*match->query_list),
			    &match->query_count);
}

static const struct schema http_match_schema =
	SCHEMA(http_match_rows, struct route_match, .check = check_match);

static void decode_http_match(struct decoder *d, const struct yaml_node *node, struct route_match *match)
{
	schema_decode(d, node, &http_match_schema, match);
}

/* -------------------------------------------------------------------------------- gRPC matches */

/* Identifiers joined by dots, as in a .proto file; a method is one identifier. */
static bool is_grpc_name(struct span name, bool is_service)
{
	struct span label;

	if (!is_service && span_find(name, '.') >= 0)
		return false;
	while (span_split(&name, '.', &label)) {
		if (label.len == 0 || (label.data[0] >= '0' && label.data[0] <= '9'))
			return false;
		for (size_t i = 0; i < label.len; i++) {
			char c = label.data[i];

			if (!((c | 0x20) >= 'a' && (c | 0x20) <= 'z') && !(c >= '0' && c <= '9') && c != '_')
				return false;
		}
	}
	return true;
}

/* One half of a method match. Absent or empty: any. */
static bool decode_grpc_name(struct decoder *d, const struct yaml_node *node, bool is_regex, bool is_service,
			     struct span *ret)
{
	struct span name;

	if (!node || (node->kind == YAML_SCALAR && node->text.len == 0))
		return true;
	if (is_regex) {
		/* Each half by itself: an open group or class at its end would include the other half. */
		if (!route_value_regex(d, node, &name) ||
		    !route_value_regex_compiles(d, node, name, LIMIT_REGEX_LEAST_BYTES))
			return false;
		*ret = name;
		return true;
	}
	if (!decode_name(d, node, &name))
		return false;
	if (!is_grpc_name(name, is_service)) {
		config_error(d->report, node,
			     is_service
				     ? "%s is not a gRPC service; write it with its package, as in "
				       "shop.v1.Cart, or use type: RegularExpression"
				     : "%s is not a gRPC method; write its name alone, as in GetItem, or use "
				       "type: RegularExpression",
			     QUOTE(name));
		return false;
	}
	*ret = name;
	return true;
}

/* A call is POST /service/method, so a method match becomes a path match. */
static bool decode_grpc_method(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct route_match *match = container_of(ret, struct route_match, path);
	static const struct decode_key keys[] = { KEY("type"), KEY("service"), KEY("method") };
	static const char *const types[] = { "Exact", "RegularExpression" };
	static const struct span any = { "[^/]+", 5 };
	struct span service = { 0 }, method = { 0 };
	unsigned index = 0;
	bool is_valid;

	if (!DECODE_MAP(d, node, keys))
		return false;
	is_valid = !decode_get(node, "type") || DECODE_WORD(d, decode_get(node, "type"), types, &index);
	is_valid &= decode_grpc_name(d, decode_get(node, "service"), index == 1, true, &service);
	is_valid &= decode_grpc_name(d, decode_get(node, "method"), index == 1, false, &method);
	if (!is_valid)
		return false;
	if (!service.len && !method.len) {
		config_error(d->report, node,
			     "names neither a service nor a method; write service: shop.v1.Cart, method: "
			     "GetItem, or one of them");
		return false;
	}
	match->where = config_where(d->arena, node);
	match->grpc_service_bytes = (uint32_t)service.len;
	match->grpc_method_bytes = (uint32_t)method.len;
	if (index == 0 && service.len) {
		match->path_kind = method.len ? PATH_EXACT : PATH_PREFIX_SEGMENTS;
		match->path = decode_text(d, "/%.*s%s%.*s", SPAN_FMT(service), method.len ? "/" : "",
					  SPAN_FMT(method));
		return true;
	}
	match->path_kind = PATH_REGEX;
	match->path = decode_text(d, index == 1 ? "/(?:%.*s)/(?:%.*s)" : "/%.*s/%.*s",
				  SPAN_FMT(service.len ? service : any), SPAN_FMT(method.len ? method : any));
	if (match->path.len > LIMIT_ROUTE_REGEX_BYTES)
		config_error(d->report, node, "the two expressions have more than %d bytes together",
			     LIMIT_ROUTE_REGEX_BYTES);
	return true;
}

static const struct schema_row grpc_match_rows[] = {
	{ "method", AS_TEXT(struct route_match, path), .decode = decode_grpc_method },
	{ "headers", HEADER_CONDITIONS },
	{ "path", .refusal = "does not exist in a GRPCRoute; write method: {service: ..., method: ...}" },
	{ "queryParams", .refusal = "does not exist in a GRPCRoute: calls have no query; remove it" },
};
static const struct schema grpc_match_schema =
	SCHEMA(grpc_match_rows, struct route_match, .check = check_match);

static void decode_grpc_match(struct decoder *d, const struct yaml_node *node, struct route_match *match)
{
	schema_decode(d, node, &grpc_match_schema, match);
}

/* -------------------------------------------------------------------------------- backendRefs */

static void decode_ref(struct manifests *m, const struct yaml_node *node,
		       const struct manifest_object *object, bool is_http, struct backend_ref *ref)
{
	static const struct decode_key http_keys[] = { KEY("name"),   KEY("namespace"), KEY("group"),
						       KEY("kind"),   KEY("port"),	KEY("weight"),
						       KEY("filters") };
	static const struct decode_key other_keys[] = { KEY("name"), KEY("namespace"), KEY("group"),
							KEY("kind"), KEY("port"),      KEY("weight") };
	struct decoder *d = m->decoder;

	if (!(is_http ? DECODE_MAP(d, node, http_keys) : DECODE_MAP(d, node, other_keys)))
		return;
	ref->weight = 1;
	decode_u64(d, decode_get(node, "weight"), 0, WEIGHT_MAX, &ref->weight);
	backend_ref_decode(m, node, object, is_http ? BACKEND_USER_HTTP : BACKEND_USER_TCP, ref);
	if (is_http && !filters_decode_ref(m, decode_get(node, "filters"), object, &ref->filters))
		service_ref_refuse(m, SPAN("invalid/filter"), FILTER_REFUSAL, ref);
}

void rule_decode_refs(struct manifests *m, const struct yaml_node *list, const struct manifest_object *object,
		      struct backend_ref **ret_list, uint32_t *ret_count)
{
	struct backend_ref *refs;

	if (!decode_list(m->decoder, list))
		return;
	refs = decode_take(m->decoder, list->count, sizeof(*refs));
	if (!refs)
		return;
	yaml_each(node, list)
		decode_ref(m, node, object, false, &refs[node->index]);
	*ret_list = refs;
	*ret_count = list->count;
}

/* True for a reference to another HTTPRoute, which has routes instead of a backend. */
static bool is_delegation(struct decoder *d, const struct yaml_node *node,
			  const struct manifest_object *object, struct manifest_ref *ret_target)
{
	const struct yaml_node *kind = decode_get(node, "kind");

	return object->kind == MANIFEST_HTTP_ROUTE && kind && kind->kind == YAML_SCALAR &&
	       span_eq(kind->text, span_str(manifest_kind_name(MANIFEST_HTTP_ROUTE))) &&
	       manifest_ref(d, node, object, GROUP_GATEWAY, "HTTPRoute", ret_target) &&
	       span_eq(ret_target->group, SPAN(GROUP_GATEWAY));
}

static void decode_http_refs(struct manifests *m, const struct yaml_node *list,
			     const struct manifest_object *object, struct rule_source *rule)
{
	struct route *route = &rule->template;
	struct decoder *d = m->decoder;

	if (!decode_list(d, list))
		return;
	route->backend_list = decode_take(d, list->count, sizeof(*route->backend_list));
	rule->delegation_list = decode_take(d, list->count, sizeof(*rule->delegation_list));
	if (!route->backend_list || !rule->delegation_list)
		return;
	yaml_each(node, list) {
		struct manifest_ref target;

		if (is_delegation(d, node, object, &target))
			delegation_decode(m, node, &target, &rule->delegation_list[rule->delegation_count++]);
		else
			decode_ref(m, node, object, true, &route->backend_list[route->backend_count++]);
	}
}

/* -------------------------------------------------------------------------------- rules */

static const struct timeout_policy *decode_timeouts(struct decoder *d, const struct yaml_node *node)
{
	static const struct decode_key keys[] = { KEY("request"), KEY("backendRequest") };
	struct timeout_policy *timeout;

	if (!DECODE_MAP(d, node, keys))
		return NULL;
	timeout = decode_take(d, 1, sizeof(*timeout));
	if (!timeout)
		return NULL;
	decode_opt_duration(d, decode_get(node, "request"), 0, &timeout->request);
	decode_opt_duration(d, decode_get(node, "backendRequest"), 0, &timeout->backend_request);
	if (timeout->request.is_set && timeout->request.ns &&
	    timeout->backend_request.ns > timeout->request.ns)
		config_error(d->report, decode_get(node, "backendRequest"),
			     "is longer than the request timeout, which covers all "
			     "attempts; write a shorter one");
	return timeout->request.is_set || timeout->backend_request.is_set ? timeout : NULL;
}

#define GRPC_RULE_HAS_NO                                                                                     \
	"does not exist in a GRPCRoute; attach an AgentgatewayPolicy with traffic.timeouts or traffic.retry"

void rule_decode(struct manifests *m, const struct yaml_node *node, const struct manifest_object *object,
		 struct rule_source *rule)
{
	static const struct decode_key http_keys[] = {
		KEY("name"),
		KEY("matches"),
		KEY("filters"),
		KEY("backendRefs"),
		KEY("timeouts"),
		KEY("retry"),
		KEY("sessionPersistence"),
	};
	static const struct decode_key grpc_keys[] = {
		KEY("name"),
		KEY("matches"),
		KEY("filters"),
		KEY("backendRefs"),
		KEY_REFUSED("timeouts", GRPC_RULE_HAS_NO),
		KEY_REFUSED("retry", GRPC_RULE_HAS_NO),
		KEY("sessionPersistence"),
	};
	struct route *route = &rule->template;
	struct policy_values *values = &route->inline_policies;
	struct decoder *d = m->decoder;
	const struct timeout_policy *timeout;
	const struct yaml_node *retry, *session;

	if (!(route->is_grpc ? DECODE_MAP(d, node, grpc_keys) : DECODE_MAP(d, node, http_keys)))
		return;
	decode_name(d, decode_get(node, "name"), &route->rule_name);
	route_value_matches(d, decode_get(node, "matches"),
			    route->is_grpc ? decode_grpc_match : decode_http_match, route);
	if (!build_values(d, values, FILTER_KINDS))
		return;
	if (!route->is_grpc) {
		timeout = decode_timeouts(d, decode_get(node, "timeouts"));
		if (timeout)
			build_value(values, POLICY_TIMEOUT, timeout);
		retry = decode_get(node, "retry");
		if (retry)
			build_value(values, POLICY_RETRY, policy_value(d, retry, POLICY_RETRY));
	}
	session = decode_get(node, "sessionPersistence");
	if (session)
		build_value(values, POLICY_SESSION_PERSISTENCE,
			    policy_value(d, session, POLICY_SESSION_PERSISTENCE));
	route->rule_index = node->index;
	route->is_refused = !filters_decode(m, decode_get(node, "filters"), object, values);
	decode_http_refs(m, decode_get(node, "backendRefs"), object, rule);
}

static bool has_filter(const struct yaml_node *filters, const char *wanted)
{
	yaml_each(node, filters) {
		const struct yaml_node *type = decode_get(node, "type");

		if (type && type->kind == YAML_SCALAR && span_eq(type->text, span_str(wanted)))
			return true;
	}
	return false;
}

bool rule_has_incompatible_filters(const struct yaml_node *rule)
{
	const struct yaml_node *filters = decode_get(rule, "filters");

	return filters && filters->kind == YAML_LIST && has_filter(filters, "RequestRedirect") &&
	       has_filter(filters, "URLRewrite");
}
