/* SPDX-License-Identifier: Apache-2.0 */
#include "config/standalone/attach.h"

#include "config/core/values/policy_value.h"
#include "config/core/values/values.h"
#include "config/standalone/policy.h"
#include "user/base/check.h"

/* -------------------------------------------------------------------------------- front end */

static void add_frontend(struct standalone *s, const struct yaml_node *node, enum policy_kind kind,
			 const void *object)
{
	static const char *const keys[POLICY_KIND_COUNT] = {
		[POLICY_FRONTEND_HTTP] = "frontend/http",
		[POLICY_FRONTEND_TCP] = "frontend/tcp",
		[POLICY_FRONTEND_TLS] = "frontend/tls",
		[POLICY_FRONTEND_CONNECT] = "frontend/connect",
		[POLICY_FRONTEND_PROXY] = "frontend/proxy",
		[POLICY_NETWORK_AUTHORIZATION] = "frontend/networkAuthorization",
		[POLICY_NETWORK_EXT_AUTHZ] = "frontend/networkExtAuthz",
		[POLICY_FRONTEND_ACCESS_LOG] = "frontend/accessLog",
		[POLICY_FRONTEND_METRICS] = "frontend/metrics",
		[POLICY_FRONTEND_TRACING] = "frontend/tracing",
	};
	struct targeted_policy *policy = object ? build_policy(s->builder) : NULL;

	if (!policy)
		return;
	policy->key = span_str(keys[kind]);
	policy->target = (struct policy_target){ .kind = TARGET_GATEWAY,
						 .name = SPAN("default"),
						 .namespace = SPAN("default"),
						 .attach_namespace = SPAN("default") };
	policy->value = (struct policy_value){ kind, object };
	policy->created_s = INT64_MAX;
	policy->where = config_where(s->decoder->arena, node);
}

static const struct policy_entry frontend_entries[] = {
	{ "http", POLICY_FRONTEND_HTTP, NULL },
	{ "tcp", POLICY_FRONTEND_TCP, NULL },
	{ "tls", POLICY_FRONTEND_TLS, NULL },
	{ "connect", POLICY_FRONTEND_CONNECT, NULL },
	{ "accessLog", POLICY_FRONTEND_ACCESS_LOG, NULL },
	{ "logging", POLICY_FRONTEND_ACCESS_LOG, NULL }, /* its alternative name */
	{ "tracing", POLICY_FRONTEND_TRACING, NULL },
	{ "metrics", POLICY_FRONTEND_METRICS, NULL },
	{ "proxyProtocol", POLICY_FRONTEND_PROXY, NULL },
	{ "proxy", POLICY_FRONTEND_PROXY, NULL }, /* its alternative name */
	{ "networkAuthorization", POLICY_NETWORK_AUTHORIZATION, NULL },
	{ "networkExtAuthz", POLICY_NETWORK_EXT_AUTHZ, NULL },
};

static const char *const aliases[][2] = { { "accessLog", "logging" }, { "proxyProtocol", "proxy" } };

/* True if the policy is written under its other name, too, which is reported. */
static bool is_second(struct decoder *d, const struct yaml_node *map, const struct yaml_node *node)
{
	for (size_t i = 0; i < ARRAY_LEN(aliases); i++) {
		if (!span_eq(node->key, span_str(aliases[i][1])) || !decode_get(map, aliases[i][0]))
			continue;
		config_error_key(d->report, node, "\"%s\" is another name of \"%s\"; write only one of them",
				 aliases[i][1], aliases[i][0]);
		return true;
	}
	return false;
}

static const void *frontend_value(struct standalone *s, const struct yaml_node *node, enum policy_kind kind)
{
	switch (kind) {
	case POLICY_FRONTEND_TRACING:
		return standalone_tracing(s, node);
	case POLICY_FRONTEND_ACCESS_LOG:
		return standalone_access_log(s, node);
	case POLICY_NETWORK_EXT_AUTHZ:
		return standalone_network_ext_authz(s, node);
	case POLICY_FRONTEND_PROXY:
		if (!value_trusts_proxies(s->decoder, node, &s->builder->snapshot->config))
			return NULL;
		return policy_value(s->decoder, node, kind);
	default:
		return policy_value(s->decoder, node, kind);
	}
}

void standalone_frontend_policies(struct standalone *s, const struct yaml_node *node)
{
	struct decoder *d = s->decoder;

	if (!policy_entries_known(d, node, frontend_entries, ARRAY_LEN(frontend_entries)))
		return;
	if (node->count == 0)
		config_warning(d->report, node,
			       "is empty and has no effect; remove it, or write what it is to set, as in "
			       "frontendPolicies: {http: {http1IdleTimeout: 5m}}");
	for (size_t i = 0; i < ARRAY_LEN(frontend_entries); i++) {
		const struct policy_entry *entry = &frontend_entries[i];
		const struct yaml_node *child = entry->refusal ? NULL : decode_get(node, entry->name);

		if (child && !is_second(d, node, child))
			add_frontend(s, child, entry->kind, frontend_value(s, child, entry->kind));
	}
}

/* -------------------------------------------------------------------------------- attached policies */

static const struct schema_row gateway_target_rows[] = {
	{ "gatewayName", AS_TEXT(struct policy_target, name), .default_doc = "`default`",
	  .doc = "`default` for standalone files" },
	{ "gatewayNamespace", AS_TEXT(struct policy_target, namespace), .default_doc = "`default`",
	  .doc = "the `namespace` of its listeners" },
	{ "listenerName", AS_TEXT(struct policy_target, section), .default_doc = "all",
	  .doc = "one of them" },
	{ "port", AS_U16(struct policy_target, port), RANGE(1, UINT16_MAX), .default_doc = "all",
	  .doc = "one of them" },
};
static const struct schema gateway_target_schema = SCHEMA(gateway_target_rows, struct policy_target);

static const struct schema_row route_target_rows[] = {
	{ "name", AS_TEXT(struct policy_target, name), .need = "write the name of the route",
	  .doc = "of the route" },
	{ "namespace", AS_TEXT(struct policy_target, namespace), .default_doc = "`default`",
	  .doc = "of the route" },
	{ "ruleName", AS_TEXT(struct policy_target, section), .default_doc = "all", .doc = "one of them" },
	{ "kind", AS_TEXT(struct policy_target, route_kind), .default_doc = "any",
	  .doc = "`HTTPRoute` or `GRPCRoute`" },
};
static const struct schema route_target_schema = SCHEMA(route_target_rows, struct policy_target);

static const struct schema_row named_target_rows[] = {
	{ "name", AS_TEXT(struct policy_target, name), .need = "write the name of the backend",
	  .doc = "of a top-level backend" },
	{ "namespace", AS_TEXT(struct policy_target, namespace), .doc = "of the name" },
	{ "section", .refusal = NOT_YET_SECTION },
};
static const struct schema named_target_schema = SCHEMA(named_target_rows, struct policy_target);

static const struct schema_row service_target_rows[] = {
	{ "hostname", AS_TEXT(struct policy_target, name), .need = "write the host name of the service",
	  .doc = "of the service" },
	{ "namespace", AS_TEXT(struct policy_target, namespace), .doc = "of the service" },
	{ "port", AS_U16(struct policy_target, port), RANGE(1, UINT16_MAX), .default_doc = "all",
	  .doc = "one of them" },
};
static const struct schema service_target_schema = SCHEMA(service_target_rows, struct policy_target);

static const struct schema_row backend_target_rows[] = {
	{ "backend", AS_SECTION(struct policy_target, &named_target_schema),
	  ONE_OF(struct policy_target, kind, TARGET_BACKEND) },
	{ "service", AS_SECTION(struct policy_target, &service_target_schema),
	  ONE_OF(struct policy_target, kind, TARGET_SERVICE) },
};
static const struct schema backend_target_schema =
	SCHEMA(backend_target_rows, struct policy_target, .is_one_of = true);

static const struct schema_row target_rows[] = {
	{ "gateway", AS_SECTION(struct policy_target, &gateway_target_schema),
	  ONE_OF(struct policy_target, kind, TARGET_GATEWAY) },
	{ "route", AS_SECTION(struct policy_target, &route_target_schema),
	  ONE_OF(struct policy_target, kind, TARGET_ROUTE) },
	{ "backend", AS_SECTION(struct policy_target, &backend_target_schema),
	  ONE_OF(struct policy_target, kind, TARGET_BACKEND) },
	{ "listenerSet", .refusal = NOT_YET_LISTENER_SET },
};
static const struct schema target_schema = SCHEMA(target_rows, struct policy_target, .is_one_of = true);

static const struct schema_row name_rows[] = {
	{ "name", AS_TEXT(struct targeted_policy, name), .need = "write the name of the policy",
	  .doc = "unique" },
	{ "namespace", AS_TEXT(struct targeted_policy, namespace), .default_text = "default",
	  .doc = "of the name" },
};
static const struct schema name_schema = SCHEMA(name_rows, struct targeted_policy);

static bool decode_phase(struct decoder *d, const struct yaml_node *node, void *ret)
{
	static const char *const phases[] = { "route", "gateway" };
	unsigned phase = 0;

	DECODE_WORD(d, node, phases, &phase);
	*(bool *)ret = phase == 1;
	return true;
}

static const struct schema_row attached_rows[] = {
	{ "name", AS_SECTION(struct targeted_policy, &name_schema),
	  .need = "write name: {name: my-policy, namespace: default}" },
	{ "target", AS_MAP(struct targeted_policy, target, &target_schema, struct policy_target),
	  .need = "write target: {route: {name: ...}}, {gateway: {}} or {backend: {backend: {name: ...}}}" },
	{ "phase", AS_BOOL(struct targeted_policy, is_gateway_phase), .decode = decode_phase,
	  .value_doc = "`route`, `gateway`", .default_doc = "`route`",
	  .doc = "`gateway`: policies that refuse requests decide before a route is chosen" },
	{ "policy", AS_REST(struct targeted_policy), .value_doc = "map",
	  .need = "write the policy, as in policy: {timeout: {requestTimeout: 5s}}",
	  .doc = "exactly one, of a route or a backend; precedence: "
		 "[which policy wins](#which-policy-wins)" },
};
const struct schema attached_schema = SCHEMA(attached_rows, struct targeted_policy);

/* Gateways and routes are in `default` unless configured otherwise, and the gateway's name is `default`. */
static void target_default(struct policy_target *target)
{
	bool is_gateway = target->kind == TARGET_GATEWAY;

	if (!target->namespace.len && (is_gateway || target->kind == TARGET_ROUTE))
		target->namespace = SPAN("default");
	if (!target->name.len && is_gateway)
		target->name = SPAN("default");
	target->attach_namespace = target->namespace;
}

static void decode_attached(struct standalone *s, const struct yaml_node *node)
{
	struct targeted_policy policy = { .created_s = INT64_MAX,
					  .has_name = true,
					  .name_kind = SPAN("Local") };
	uint32_t errors = s->decoder->report->count[CONFIG_ERROR];
	struct decoder *d = s->decoder;
	struct targeted_policy *kept;
	bool is_valid;

	schema_default(&attached_schema, &policy);
	if (!schema_decode(d, node, &attached_schema, &policy))
		return;
	is_valid = d->report->count[CONFIG_ERROR] == errors;
	target_default(&policy.target);
	policy.key = decode_text(d, "%.*s/%.*s", SPAN_FMT(policy.namespace), SPAN_FMT(policy.name));
	is_valid &= standalone_single_policy(
		s, decode_get(node, "policy"), policy.key,
		policy.target.kind == TARGET_BACKEND || policy.target.kind == TARGET_SERVICE, &policy.value);
	policy.where = config_where(d->arena, node);
	kept = is_valid ? build_policy(s->builder) : NULL;
	if (kept)
		*kept = policy;
}

void standalone_attached_policies(struct standalone *s, const struct yaml_node *list)
{
	if (list && list->kind == YAML_MAP) {
		config_error(
			s->decoder->report, list,
			"expected a list, found a map; write policies of a route under routes[].policies, "
			"or [{name: {name: NAME}, target: {...}, policy: {...}}]");
		return;
	}
	if (!decode_list(s->decoder, list))
		return;
	yaml_each(node, list)
		decode_attached(s, node);
}

const struct policy_entry *standalone_frontend_entries(size_t *ret_count)
{
	*ret_count = ARRAY_LEN(frontend_entries);
	return frontend_entries;
}
