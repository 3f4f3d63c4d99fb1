/* SPDX-License-Identifier: Apache-2.0 */
#include "config/standalone/policy.h"

#include "config/core/values/access_log_value.h"
#include "config/core/values/callout_value.h"
#include "config/core/values/policy_value.h"
#include "config/core/values/tracing_value.h"
#include "config/standalone/target.h"
#include "user/base/check.h"

enum {
	POLICY_NAMES_MAX = 48, /* in one set */
};

#define ELSEWHERE_BACKEND "belongs to a backend; write it under backends[].policies"

/* -------------------------------------------------------------------------------- mirror */

static bool decode_mirror_target(struct decoder *d, const struct yaml_node *node, void *ret)
{
	static const struct decode_key keys[] = { KEY("host"), KEY("endpoints"), KEY("service"),
						  KEY("backend") };
	struct backend_ref *ref = decode_take(d, 1, sizeof(*ref));
	struct standalone *s = d->style;

	if (!ref || !DECODE_MAP(d, node, keys) ||
	    !standalone_target(s, node, decode_text(d, "%.*s/mirror", SPAN_FMT(s->base)), ref))
		return false;
	if (ref->backend->kind == BACKEND_MCP) {
		config_error(d->report, node,
			     "an MCP backend gets no copies: its messages belong to sessions; name a host");
		return false;
	}
	ref->weight = 1;
	*(struct backend_ref **)ret = ref;
	return true;
}

static const struct schema_row mirror_rows[] = {
	{ "backend", AS_REF(struct mirror_policy, ref), .decode = decode_mirror_target,
	  .need = "write backend: {host: \"name:port\"}", .value_doc = "`{host}`, `{service}` or `{backend}`",
	  .doc = "as under `backends[]`; copies are HTTP/1.1: a backend with `version: HTTP/2.0` is "
		 "refused" },
	{ "percentage", AS_SHARE(struct mirror_policy, per_million), .default_value = 1000000,
	  .dump = DUMP_DECIMAL, .default_doc = "1.0", .doc = "of the requests" },
};
const struct schema mirror_schema = SCHEMA(mirror_rows, struct mirror_policy);

static const void *decode_mirror(struct decoder *d, const struct yaml_node *node)
{
	struct mirror_policy *policy = schema_decode_new(d, node, &mirror_schema);
	struct standalone *s = d->style;

	if (!policy || !policy->ref)
		return NULL;
	policy->backend = (struct backend *)policy->ref->backend;
	return build_push(d, &s->builder->mirrors, policy) ? policy : NULL;
}

/* -------------------------------------------------------------------------------- helper services */

/* Decodes `host`, `service` or `backend` of a policy, and `policies` beside it. */
static struct backend_ref *decode_service(void *context, const struct yaml_node *node)
{
	struct standalone *s = context;
	struct decoder *d = s->decoder;
	struct backend_ref *ref = decode_take(d, 1, sizeof(*ref));
	const struct yaml_node *policies = decode_get(node, "policies");
	struct span name = decode_text(d, "%.*s/callout%u", SPAN_FMT(s->base), s->builder->callouts.count);

	if (!ref || !name.data || !standalone_target(s, node, name, ref))
		return NULL;
	if (ref->backend->kind == BACKEND_MCP || ref->backend->kind == BACKEND_DYNAMIC) {
		config_error(d->report, node, "this backend is no service that can be asked; name a host");
		return NULL;
	}
	ref->weight = 1;
	if (policies)
		standalone_callout_policies(s, policies, &ref->inline_policies);
	return ref;
}

static const void *decode_ext_authz(struct standalone *s, const struct yaml_node *node)
{
	struct ext_authz_policy *policy = value_ext_authz(s->decoder, node);

	return policy && value_ext_authz_targets(s->decoder, node, policy, decode_service, s) ? policy : NULL;
}

static const void *decode_remote_limit(struct standalone *s, const struct yaml_node *node)
{
	struct remote_rate_limit *policy = value_remote_limit(s->decoder, node);

	return policy && value_remote_limit_targets(s->decoder, node, policy, decode_service, s) ? policy
												 : NULL;
}

const void *standalone_network_ext_authz(struct standalone *s, const struct yaml_node *node)
{
	struct ext_authz_policy *policy = schema_decode_new(s->decoder, node, &network_ext_authz_schema);

	s->base = SPAN("frontend/networkExtAuthz");
	return policy && value_callout_target(s->decoder, node, false, decode_service, s, &policy->ref)
		       ? policy
		       : NULL;
}

const void *standalone_tracing(struct standalone *s, const struct yaml_node *node)
{
	s->base = SPAN("frontend/tracing");
	return value_tracing(s->decoder, node, decode_service, s);
}

const void *standalone_access_log(struct standalone *s, const struct yaml_node *node)
{
	s->base = SPAN("frontend/accessLog");
	return value_access_log(s->decoder, node, decode_service, s);
}

/* -------------------------------------------------------------------------------- sets of policies */

/* clang-format off */
#define REFUSED(name, why) { name, POLICY_KIND_COUNT, why }
/* clang-format on */

/* In the order of the dump. */
/* clang-format off */
#define TRAFFIC_POLICIES                                                                                     \
	{ "timeout", POLICY_TIMEOUT, NULL }, { "retry", POLICY_RETRY, NULL },                                \
		{ "delay", POLICY_DELAY, NULL }, { "requestHeaderModifier", POLICY_REQUEST_HEADERS, NULL },  \
		{ "responseHeaderModifier", POLICY_RESPONSE_HEADERS, NULL },                                 \
		{ "requestRedirect", POLICY_REDIRECT, NULL }, { "urlRewrite", POLICY_URL_REWRITE, NULL },    \
		{ "requestMirror", POLICY_MIRROR, NULL },                                                    \
		{ "directResponse", POLICY_DIRECT_RESPONSE, NULL },                                          \
		{ "sessionPersistence", POLICY_SESSION_PERSISTENCE, NULL }
/* Those that guard a route or a listener. */
#define GUARD_POLICIES                                                                                       \
	{ "cors", POLICY_CORS, NULL }, { "jwtAuth", POLICY_JWT_AUTH, NULL },                                 \
		{ "mcpAuthentication", POLICY_MCP_AUTHENTICATION, NULL },                                    \
		{ "basicAuth", POLICY_BASIC_AUTH, NULL }, { "apiKey", POLICY_API_KEY, NULL },                \
		{ "extAuthz", POLICY_EXT_AUTHZ, NULL }, { "authorization", POLICY_AUTHORIZATION, NULL },     \
		{ "localRateLimit", POLICY_LOCAL_RATE_LIMIT, NULL },                                         \
		{ "remoteRateLimit", POLICY_REMOTE_RATE_LIMIT, NULL }, { "limits", POLICY_LIMITS, NULL },    \
		{ "buffer", POLICY_BUFFER, NULL }, { "transformations", POLICY_TRANSFORMATION, NULL },       \
		{ "csrf", POLICY_CSRF, NULL }
#define BACKEND_POLICIES                                                                                     \
	{ "http", POLICY_BACKEND_HTTP, NULL }, { "tcp", POLICY_BACKEND_TCP, NULL },                          \
		{ "backendTLS", POLICY_BACKEND_TLS, NULL }, { "health", POLICY_BACKEND_HEALTH, NULL },       \
		{ "circuitBreaker", POLICY_CIRCUIT_BREAKER, NULL },                                          \
		{ "proxyProtocol", POLICY_BACKEND_PROXY, NULL },                                             \
		{ "backendAuth", POLICY_BACKEND_AUTH, NULL },                                                \
		{ "loadBalancer", POLICY_LOAD_BALANCER, NULL },                                              \
		{ "sessionAffinity", POLICY_SESSION_AFFINITY, NULL },                                        \
		{ "mcpAuthorization", POLICY_MCP_AUTHORIZATION, NULL }
/* clang-format on */
/* All policies of agentgateway that this gateway does not support. */
#define LATER_POLICIES                                                                                       \
	REFUSED("extProc", NOT_YET_EXT_PROC), REFUSED("oidc", NOT_YET_OIDC),                                 \
		REFUSED("mcpGuardrails", NOT_YET_MCP_GUARDRAILS), REFUSED("a2a", NOT_YET_A2A),               \
		REFUSED("ai", NOT_YET_AI),                                                                   \
		REFUSED("hostRewrite", "is for manifests; write urlRewrite: {authority: auto}, or none"),    \
		REFUSED("backendTunnel", NOT_YET_BACKEND_TUNNEL),                                            \
		REFUSED("inferenceRouting", NOT_YET_INFERENCE_ROUTING)

/* Where requests have passed their guards already. */
#define GUARD_ELSEWHERE "guards a route; write it under routes[].policies"
#define GUARDS_ELSEWHERE                                                                                     \
	REFUSED("cors", GUARD_ELSEWHERE), REFUSED("jwtAuth", GUARD_ELSEWHERE),                               \
		REFUSED("mcpAuthentication", GUARD_ELSEWHERE), REFUSED("basicAuth", GUARD_ELSEWHERE),        \
		REFUSED("apiKey", GUARD_ELSEWHERE), REFUSED("localRateLimit", GUARD_ELSEWHERE),              \
		REFUSED("remoteRateLimit", GUARD_ELSEWHERE), REFUSED("limits", GUARD_ELSEWHERE),             \
		REFUSED("buffer", GUARD_ELSEWHERE), REFUSED("csrf", GUARD_ELSEWHERE)

static const struct policy_entry route_entries[] = {
	TRAFFIC_POLICIES,
	GUARD_POLICIES,
	LATER_POLICIES,
	REFUSED("http", ELSEWHERE_BACKEND),
	REFUSED("tcp", ELSEWHERE_BACKEND),
	{ "backendTLS", POLICY_BACKEND_TLS, NULL },
	REFUSED("health", ELSEWHERE_BACKEND),
	REFUSED("proxyProtocol", ELSEWHERE_BACKEND),
	{ "backendAuth", POLICY_BACKEND_AUTH, NULL },
	REFUSED("loadBalancer", ELSEWHERE_BACKEND),
	REFUSED("sessionAffinity", ELSEWHERE_BACKEND),
	{ "mcpAuthorization", POLICY_MCP_AUTHORIZATION, NULL },
};

static const struct policy_entry backend_entries[] = {
	BACKEND_POLICIES,
	{ "requestHeaderModifier", POLICY_REQUEST_HEADERS, NULL },
	{ "responseHeaderModifier", POLICY_RESPONSE_HEADERS, NULL },
	REFUSED("delay", "belongs to a route; write it under routes[].policies"),
	REFUSED("timeout", "belongs to a route; write it under routes[].policies, or use http.requestTimeout "
			   "here"),
	REFUSED("retry", "belongs to a route; write it under routes[].policies"),
	REFUSED("sessionPersistence", "belongs to a route; write it under routes[].policies"),
	REFUSED("requestRedirect", "is not supported yet on a backend; write it under routes[].policies"),
	{ "extAuthz", POLICY_BACKEND_EXT_AUTHZ, NULL },
	{ "authorization", POLICY_BACKEND_AUTHORIZATION, NULL },
	{ "transformations", POLICY_BACKEND_TRANSFORMATION, NULL },
	GUARDS_ELSEWHERE,
	LATER_POLICIES,
};

static const struct policy_entry target_entries[] = {
	{ "requestHeaderModifier", POLICY_REQUEST_HEADERS, NULL },
	{ "backendTLS", POLICY_BACKEND_TLS, NULL },
	{ "backendAuth", POLICY_BACKEND_AUTH, NULL },
	REFUSED("responseHeaderModifier", "has no effect on an MCP target; write it under the policies of "
					  "the route"),
	REFUSED("timeout", "belongs to a route; write it under routes[].policies, or policies of mcp"),
	REFUSED("http", "is not supported yet on an MCP target"),
	REFUSED("tcp", "is not supported yet on an MCP target"),
	REFUSED("health", "is not supported yet on an MCP target"),
	REFUSED("proxyProtocol", "is not supported yet on an MCP target; write it under the policies of the "
				 "backend that the target names"),
	REFUSED("loadBalancer", "is not supported yet on an MCP target"),
	REFUSED("sessionAffinity", "is not supported yet on an MCP target"),
	REFUSED("sessionPersistence", "belongs to a route; write it under routes[].policies"),
	REFUSED("mcpAuthorization",
		"is for all targets of a backend; write it under the policies of the route, "
		"the backend or mcp, and name the target in the rule (mcp.tool.target)"),
	REFUSED("extAuthz", GUARD_ELSEWHERE),
	REFUSED("authorization", GUARD_ELSEWHERE),
	REFUSED("transformations",
		"has no effect on an MCP target; write it under the policies of the route"),
	GUARDS_ELSEWHERE,
	LATER_POLICIES,
};

#define NOT_OF_CALLS "has no effect on requests to a service that is asked; leave it out"
static const struct policy_entry callout_entries[] = {
	{ "requestHeaderModifier", POLICY_REQUEST_HEADERS, NULL },
	{ "http", POLICY_BACKEND_HTTP, NULL },
	{ "tcp", POLICY_BACKEND_TCP, NULL },
	{ "backendTLS", POLICY_BACKEND_TLS, NULL },
	{ "health", POLICY_BACKEND_HEALTH, NULL },
	{ "proxyProtocol", POLICY_BACKEND_PROXY, NULL },
	{ "backendAuth", POLICY_BACKEND_AUTH, NULL },
	REFUSED("timeout", "belongs to a route; write http.requestTimeout here"),
	REFUSED("retry", NOT_OF_CALLS),
	REFUSED("delay", NOT_OF_CALLS),
	REFUSED("responseHeaderModifier", NOT_OF_CALLS),
	{ "transformations", POLICY_BACKEND_TRANSFORMATION, NULL },
	REFUSED("requestRedirect", NOT_OF_CALLS),
	REFUSED("circuitBreaker", NOT_OF_CALLS),
	REFUSED("mcpAuthorization", NOT_OF_CALLS),
	REFUSED("extAuthz", GUARD_ELSEWHERE),
	REFUSED("authorization", GUARD_ELSEWHERE),
	GUARDS_ELSEWHERE,
	LATER_POLICIES,
};

static const struct policy_entry tcp_route_entries[] = {
	{ "backendTLS", POLICY_BACKEND_TLS, NULL },
	REFUSED("tcp", ELSEWHERE_BACKEND),
	REFUSED("proxyProtocol", ELSEWHERE_BACKEND),
};

static const struct policy_entry listener_entries[] = {
#define LISTENER_POLICY(name, kind, refusal) { name, kind, refusal },
#include "config/standalone/listener_policies.def"
#undef LISTENER_POLICY
};

static const struct policy_entry single_entries[] = { TRAFFIC_POLICIES, GUARD_POLICIES, BACKEND_POLICIES,
						      LATER_POLICIES };

bool policy_entries_known(struct decoder *d, const struct yaml_node *node, const struct policy_entry *list,
			  size_t count)
{
	struct decode_key keys[POLICY_NAMES_MAX];

	CHECK(count <= POLICY_NAMES_MAX);
	for (size_t i = 0; i < count; i++)
		keys[i] = (struct decode_key){ list[i].name, list[i].refusal, false };
	return decode_map(d, node, keys, count);
}

/* Some have a target, which is named after the object with the policy. */
static const void *decode_entry(struct standalone *s, const struct policy_entry *entry,
				const struct yaml_node *node, struct span base)
{
	s->base = base;
	switch (entry->kind) {
	case POLICY_MIRROR:
		return decode_mirror(s->decoder, node);
	case POLICY_EXT_AUTHZ:
	case POLICY_BACKEND_EXT_AUTHZ:
		return decode_ext_authz(s, node);
	case POLICY_REMOTE_RATE_LIMIT:
		return decode_remote_limit(s, node);
	default:
		return policy_value(s->decoder, node, entry->kind);
	}
}

/* mcpAuthentication is jwtAuth with more: the most specific one of both applies. */
static enum policy_kind kind_of(const struct policy_entry *entry)
{
	return entry->kind == POLICY_MCP_AUTHENTICATION ? POLICY_JWT_AUTH : entry->kind;
}

static void decode_entries(struct standalone *s, const struct yaml_node *node,
			   const struct policy_entry *entries, size_t entry_count, struct span base,
			   struct policy_values *ret)
{
	if (!policy_entries_known(s->decoder, node, entries, entry_count) ||
	    !build_values(s->decoder, ret, POLICY_KIND_COUNT))
		return;
	for (size_t i = 0; i < entry_count; i++) {
		const struct yaml_node *child = entries[i].refusal ? NULL : decode_get(node, entries[i].name);

		if (child)
			build_value(ret, kind_of(&entries[i]), decode_entry(s, &entries[i], child, base));
	}
	if (decode_get(node, "jwtAuth") && decode_get(node, "mcpAuthentication"))
		config_error(s->decoder->report, decode_get(node, "jwtAuth"),
			     "excludes mcpAuthentication, which verifies tokens, too; write one of them");
}

void standalone_route_policies(struct standalone *s, const struct yaml_node *node, struct span base,
			       struct policy_values *ret)
{
	decode_entries(s, node, route_entries, ARRAY_LEN(route_entries), base, ret);
}

void standalone_tcp_route_policies(struct standalone *s, const struct yaml_node *node,
				   struct policy_values *ret)
{
	decode_entries(s, node, tcp_route_entries, ARRAY_LEN(tcp_route_entries), (struct span){ 0 }, ret);
}

void standalone_backend_policies(struct standalone *s, const struct yaml_node *node,
				 struct policy_values *ret)
{
	decode_entries(s, node, backend_entries, ARRAY_LEN(backend_entries), SPAN("backends"), ret);
}

void standalone_target_policies(struct standalone *s, const struct yaml_node *node, struct policy_values *ret)
{
	decode_entries(s, node, target_entries, ARRAY_LEN(target_entries), (struct span){ 0 }, ret);
}

void standalone_callout_policies(struct standalone *s, const struct yaml_node *node,
				 struct policy_values *ret)
{
	decode_entries(s, node, callout_entries, ARRAY_LEN(callout_entries), (struct span){ 0 }, ret);
}

static void add_listener_policy(struct standalone *s, const struct yaml_node *node,
				const struct policy_entry *entry, struct span key,
				const struct listener *listener)
{
	const void *object = decode_entry(s, entry, node, key);
	struct targeted_policy *policy = object ? build_policy(s->builder) : NULL;

	if (!policy)
		return;
	policy->key = key;
	policy->target = (struct policy_target){ .kind = TARGET_GATEWAY,
						 .name = listener->gateway_name,
						 .namespace = listener->gateway_namespace,
						 .attach_namespace = listener->gateway_namespace,
						 .section = listener->listener_name,
						 .listener_key = listener->key };
	policy->is_gateway_phase = true;
	policy->value = (struct policy_value){ entry->kind, object };
	policy->created_s = INT64_MAX;
	policy->where = config_where(s->decoder->arena, node);
}

bool standalone_listener_policies_known(struct standalone *s, const struct yaml_node *node)
{
	return policy_entries_known(s->decoder, node, listener_entries, ARRAY_LEN(listener_entries));
}

void standalone_listener_policies(struct standalone *s, const struct yaml_node *node, struct span prefix,
				  const struct listener *listener)
{
	unsigned index = 0;

	for (size_t i = 0; i < ARRAY_LEN(listener_entries); i++) {
		const struct policy_entry *entry = &listener_entries[i];
		const struct yaml_node *child = entry->refusal ? NULL : decode_get(node, entry->name);

		if (child)
			add_listener_policy(s, child, entry,
					    decode_text(s->decoder, "%.*s/%u", SPAN_FMT(prefix), index++),
					    listener);
	}
}

bool standalone_single_policy(struct standalone *s, const struct yaml_node *node, struct span base,
			      bool is_of_backend, struct policy_value *ret)
{
	if (!policy_entries_known(s->decoder, node, single_entries, ARRAY_LEN(single_entries)))
		return false;
	if (node->count != 1) {
		config_error(s->decoder->report, node,
			     "'policies' must contain exactly 1 policy each; this one has %u: write "
			     "one element of the list for each",
			     node->count);
		return false;
	}
	for (size_t i = 0; i < ARRAY_LEN(single_entries); i++) {
		struct policy_entry entry = single_entries[i];
		const struct yaml_node *child = entry.refusal ? NULL : decode_get(node, entry.name);

		if (!child)
			continue;
		if (is_of_backend && entry.kind == POLICY_EXT_AUTHZ)
			entry.kind = POLICY_BACKEND_EXT_AUTHZ;
		if (is_of_backend && entry.kind == POLICY_AUTHORIZATION)
			entry.kind = POLICY_BACKEND_AUTHORIZATION;
		if (is_of_backend && entry.kind == POLICY_TRANSFORMATION)
			entry.kind = POLICY_BACKEND_TRANSFORMATION;
		ret->kind = kind_of(&entry);
		ret->object = decode_entry(s, &entry, child, base);
		return ret->object != NULL;
	}
	return false;
}

const struct policy_entry *standalone_policy_entries(enum policy_place place, size_t *ret_count)
{
#define ENTRIES(list)                                                                                        \
	{                                                                                                    \
		list, ARRAY_LEN(list)                                                                        \
	}
	static const struct {
		const struct policy_entry *list;
		size_t count;
	} places[] = {
		[POLICIES_OF_ROUTE] = ENTRIES(route_entries),
		[POLICIES_OF_TCP_ROUTE] = ENTRIES(tcp_route_entries),
		[POLICIES_OF_BACKEND] = ENTRIES(backend_entries),
		[POLICIES_OF_TARGET] = ENTRIES(target_entries),
		[POLICIES_OF_LISTENER] = ENTRIES(listener_entries),
		[POLICIES_ATTACHED] = ENTRIES(single_entries),
	};
#undef ENTRIES

	*ret_count = places[place].count;
	return places[place].list;
}
