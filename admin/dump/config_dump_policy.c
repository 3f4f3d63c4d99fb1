/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/dump/config_dump_policy.h"

#include <stdio.h>

#include "admin/dump/config_dump_schema.h"
#include "admin/dump/config_dump_tls.h"
#include "config/core/values/access_log_value.h"
#include "config/core/values/callout_value.h"
#include "config/core/values/guard_value.h"
#include "config/core/values/policy_value.h"
#include "config/core/values/tracing_value.h"
#include "config/standalone/policy.h"
#include "policy/compile/attach.h"
#include "user/base/units.h"

/* Policies show the kind only where agentgateway does: HTTPRoute is the default. */
static bool is_kind_shown(struct span kind)
{
	return kind.len > 0 && !span_eq(kind, SPAN("HTTPRoute"));
}

/* The connect timeout has the form in which it was written. */
static void dump_backend_tcp(struct json_writer *w, const struct backend_tcp *tcp)
{
	struct backend_tcp plain = *tcp;

	if (tcp->connect_timeout_as_object)
		plain.connect_timeout.is_set = false;
	dump_rows(w, policy_schema(POLICY_BACKEND_TCP), &plain);
	if (!tcp->connect_timeout_as_object)
		return;
	json_open_object(w, "connectTimeout");
	json_u64(w, "secs", tcp->connect_timeout.ns / NS_PER_S);
	json_u64(w, "nanos", tcp->connect_timeout.ns % NS_PER_S);
	json_close(w);
}

/* Of the keys their names: with a URL, those that were fetched. */
static void dump_kids(struct json_writer *w, struct fetched *source)
{
	struct jwk_set *set = jwk_set_hold(source);

	json_open_array(w, "keys");
	for (uint32_t i = 0; set && i < set->key_count; i++)
		json_string(w, NULL, set->key_list[i].kid);
	json_close(w);
	jwk_set_unref(set);
}

static void dump_mcp_auth(struct json_writer *w, const struct jwt_auth_policy *policy)
{
	static const char *const providers[MCP_PROVIDERS] = { "auth0",	 "keycloak",  "okta",
							      "descope", "authentik", "entra" };
	static const char *const modes[] = { "strict", "optional", "permissive" };
	const struct jwt_provider *provider = &policy->providers.provider_list[0];
	const struct mcp_auth *auth = policy->mcp;

	json_open_object(w, "mcp");
	json_string(w, "issuer", auth->issuer);
	json_open_array(w, "audiences");
	for (uint32_t i = 0; i < provider->audience_count; i++)
		json_string(w, NULL, provider->audience_list[i]);
	json_close(w);
	if (auth->has_provider) {
		json_open_object(w, "provider");
		json_open_object(w, providers[auth->provider]);
		json_close(w);
		json_close(w);
	} else {
		json_null(w, "provider");
	}
	json_number(w, "resourceMetadata", auth->metadata.len ? auth->metadata : SPAN("{}"));
	json_str(w, "mode", modes[policy->mode]);
	json_null(w, "clientId");
	json_close(w);
}

static void dump_jwt_auth(struct json_writer *w, const struct jwt_auth_policy *policy)
{
	json_open_array(w, "providers");
	for (uint32_t i = 0; i < policy->providers.provider_count; i++) {
		const struct jwt_provider *provider = &policy->providers.provider_list[i];

		json_open_object(w, NULL);
		json_string(w, "issuer", provider->issuer);
		if (provider->audience_count)
			json_open_array(w, "audiences");
		for (uint32_t a = 0; a < provider->audience_count; a++)
			json_string(w, NULL, provider->audience_list[a]);
		if (provider->audience_count)
			json_close(w);
		dump_kids(w, provider->keys);
		json_close(w);
	}
	json_close(w);
	dump_rows(w, policy_schema(POLICY_JWT_AUTH), policy);
	if (policy->mcp)
		dump_mcp_auth(w, policy);
}

/* As in standalone files; the expressions of one rule all have to hold. */
static void dump_authorization(struct json_writer *w, const struct authorization_policy *policy)
{
	static const char *const effects[] = { "allow", "deny", "require" };

	json_open_array(w, "rules");
	for (uint32_t i = 0; i < policy->rule_count; i++) {
		const struct authorization_rule *rule = &policy->rule_list[i];
		struct text text;

		text_init(&text);
		for (uint32_t e = 0; e < rule->expression_count; e++)
			text_fmt(&text, rule->expression_count > 1 ? "%s(%.*s)" : "%s%.*s", e ? " && " : "",
				 SPAN_FMT(rule->text_list[e]));
		json_open_object(w, NULL);
		json_string(w, effects[rule->effect], text_span(&text));
		json_close(w);
		text_done(&text);
	}
	json_close(w);
}

/* A list, with all members in the form of standalone files. */
static void dump_rate_limit(struct json_writer *w, const struct local_rate_limit *policy)
{
	json_open_array(w, policy_kind_name(POLICY_LOCAL_RATE_LIMIT));
	for (uint32_t i = 0; i < policy->rule_count; i++) {
		json_open_object(w, NULL);
		dump_rows(w, &rate_rule_schema, &policy->rule_list[i]);
		json_close(w);
	}
	json_close(w);
}

static void dump_entries(struct json_writer *w, const struct named_expressions *entries)
{
	json_open_array(w, "entries");
	for (uint32_t i = 0; i < entries->count; i++) {
		json_open_object(w, NULL);
		json_string(w, "key", entries->list[i].name);
		json_string(w, "value", entries->list[i].value);
		json_close(w);
	}
	json_close(w);
}

static void dump_condition(struct json_writer *w, const struct policy_condition *condition)
{
	if (condition->text.len)
		json_string(w, "condition", condition->text);
}

/* The service is a member of the policy, as in agentgateway. */
static void dump_service(struct json_writer *w, const struct backend_ref *ref)
{
	dump_backend_reference(w, ref);
	if (ref)
		dump_inline_policies(w, &ref->inline_policies, NULL);
}

static void dump_ext_authz(struct json_writer *w, const struct ext_authz_policy *policy)
{
	dump_condition(w, &policy->condition);
	dump_service(w, policy->ref);
	dump_rows(w, &ext_authz_schema, policy);
}

static void dump_ext_authz_forms(struct json_writer *w, const struct ext_authz_policy *policy)
{
	if (!policy->case_count) {
		dump_ext_authz(w, policy);
		return;
	}
	json_open_array(w, "conditional");
	for (uint32_t i = 0; i < policy->case_count; i++) {
		json_open_object(w, NULL);
		dump_ext_authz(w, &policy->case_list[i]);
		json_close(w);
	}
	json_close(w);
}

static void dump_network_ext_authz(struct json_writer *w, const struct ext_authz_policy *policy)
{
	dump_service(w, policy->ref);
	dump_rows(w, &network_ext_authz_schema, policy);
}

static void dump_remote_limit(struct json_writer *w, const struct remote_rate_limit *policy)
{
	dump_condition(w, &policy->condition);
	dump_service(w, policy->ref);
	json_open_array(w, "descriptors");
	for (uint32_t i = 0; i < policy->descriptor_count; i++) {
		const struct rate_descriptor *descriptor = &policy->descriptor_list[i];

		json_open_object(w, NULL);
		dump_entries(w, &descriptor->entries);
		json_str(w, "type", "requests");
		if (descriptor->cost)
			json_string(w, "cost", descriptor->cost_text);
		json_close(w);
	}
	json_close(w);
	dump_rows(w, &remote_limit_schema, policy);
}

static void dump_remote_limit_forms(struct json_writer *w, const struct remote_rate_limit *policy)
{
	if (!policy->case_count) {
		dump_remote_limit(w, policy);
		return;
	}
	json_open_array(w, "conditional");
	for (uint32_t i = 0; i < policy->case_count; i++) {
		json_open_object(w, NULL);
		dump_remote_limit(w, &policy->case_list[i]);
		json_close(w);
	}
	json_close(w);
}

static void dump_access_log(struct json_writer *w, const struct access_log_policy *policy)
{
	dump_rows(w, &access_log_schema, policy);
	if (!policy->otlp)
		return;
	json_open_object(w, "otlp");
	dump_service(w, policy->otlp->target.ref);
	dump_rows(w, &access_log_otlp_schema, policy->otlp);
	json_close(w);
}

static void dump_tracing(struct json_writer *w, const struct tracing_policy *policy)
{
	dump_service(w, policy->target.ref);
	dump_rows(w, &tracing_schema, policy);
}

void dump_policy_value(struct json_writer *w, const struct policy_value *value)
{
	if (value->kind == POLICY_LOCAL_RATE_LIMIT) {
		dump_rate_limit(w, value->object);
		return;
	}
	if (value->kind == POLICY_HOST_REWRITE) {
		const struct host_rewrite *rewrite = value->object;

		json_str(w, policy_kind_name(value->kind), rewrite->kind == AUTHORITY_AUTO ? "auto" : "none");
		return;
	}
	json_open_object(w, policy_kind_name(value->kind));
	if (value->kind == POLICY_BACKEND_TCP)
		dump_backend_tcp(w, value->object);
	else if (value->kind == POLICY_AUTHORIZATION || value->kind == POLICY_MCP_AUTHORIZATION ||
		 value->kind == POLICY_NETWORK_AUTHORIZATION || value->kind == POLICY_BACKEND_AUTHORIZATION)
		dump_authorization(w, value->object);
	else if (value->kind == POLICY_JWT_AUTH || value->kind == POLICY_MCP_AUTHENTICATION)
		dump_jwt_auth(w, value->object);
	else if (value->kind == POLICY_EXT_AUTHZ || value->kind == POLICY_BACKEND_EXT_AUTHZ)
		dump_ext_authz_forms(w, value->object);
	else if (value->kind == POLICY_NETWORK_EXT_AUTHZ)
		dump_network_ext_authz(w, value->object);
	else if (value->kind == POLICY_REMOTE_RATE_LIMIT)
		dump_remote_limit_forms(w, value->object);
	else if (value->kind == POLICY_FRONTEND_ACCESS_LOG)
		dump_access_log(w, value->object);
	else if (value->kind == POLICY_FRONTEND_TRACING)
		dump_tracing(w, value->object);
	else if (value->kind == POLICY_BACKEND_TLS)
		dump_backend_tls(w, value->object);
	else if (value->kind == POLICY_FRONTEND_TLS)
		dump_frontend_tls(w, value->object);
	else
		dump_rows(w, value->kind == POLICY_MIRROR ? &mirror_schema : policy_schema(value->kind),
			  value->object);
	json_close(w);
}

static void dump_values(struct json_writer *w, const struct policy_values *values)
{
	for (uint32_t i = 0; i < values->value_count; i++) {
		json_open_object(w, NULL);
		dump_policy_value(w, &values->value_list[i]);
		json_close(w);
	}
}

void dump_inline_policies(struct json_writer *w, const struct policy_values *values,
			  const struct policy_values *more)
{
	if (values->value_count == 0 && (!more || more->value_count == 0))
		return;
	json_open_array(w, "inlinePolicies");
	dump_values(w, values);
	if (more)
		dump_values(w, more);
	json_close(w);
}

static void dump_gateway_target(struct json_writer *w, const struct policy_target *target)
{
	json_open_object(w, "gateway");
	json_string(w, "gatewayName", target->name);
	json_string(w, "gatewayNamespace", target->namespace);
	json_string_or_null(w, "listenerName", target->section);
	if (target->port)
		json_u64(w, "port", target->port);
	json_close(w);
}

static void dump_route_target(struct json_writer *w, const struct policy_target *target)
{
	json_open_object(w, "route");
	json_string(w, "name", target->name);
	json_string(w, "namespace", target->namespace);
	if (target->section.len)
		json_string(w, "ruleName", target->section);
	if (is_kind_shown(target->route_kind))
		json_string(w, "kind", target->route_kind);
	json_close(w);
}

static void dump_backend_target(struct json_writer *w, const struct policy_target *target)
{
	json_open_object(w, "backend");
	if (target->kind == TARGET_SERVICE) {
		json_open_object(w, "service");
		json_string(w, "hostname", target->name);
		json_string(w, "namespace", target->namespace);
		if (target->port)
			json_u64(w, "port", target->port);
	} else {
		json_open_object(w, "backend");
		json_string(w, "name", target->name);
		json_string(w, "namespace", target->namespace);
		if (target->section.len)
			json_string(w, "section", target->section);
	}
	json_close(w);
	json_close(w);
}

static void dump_set_target(struct json_writer *w, const struct policy_target *target)
{
	json_open_object(w, "listenerSet");
	json_string(w, "name", target->name);
	json_string(w, "namespace", target->namespace);
	json_string_or_null(w, "section", target->section);
	json_close(w);
}

static void dump_target(struct json_writer *w, const struct policy_target *target)
{
	json_open_object(w, "target");
	switch (target->kind) {
	case TARGET_GATEWAY:
		dump_gateway_target(w, target);
		break;
	case TARGET_ROUTE:
		dump_route_target(w, target);
		break;
	case TARGET_LISTENER_SET:
		dump_set_target(w, target);
		break;
	case TARGET_BACKEND:
	case TARGET_SERVICE:
		dump_backend_target(w, target);
		break;
	}
	json_close(w);
}

static void dump_policy_name(struct json_writer *w, const struct targeted_policy *policy)
{
	if (!policy->has_name) {
		json_null(w, "name");
		return;
	}
	json_open_object(w, "name");
	json_string(w, "kind", policy->name_kind);
	json_string(w, "name", policy->name);
	json_string(w, "namespace", policy->namespace);
	json_close(w);
}

/* Members that lost to another policy; without "members" all of them. */
static void dump_lost(struct json_writer *w, const struct targeted_policy *policy)
{
	if (!policy->lost_to.len)
		return;
	json_open_object(w, "lost");
	json_string(w, "to", policy->lost_to);
	if (policy->lost_count)
		json_open_array(w, "members");
	for (uint32_t i = 0; i < policy->lost_count; i++)
		json_string(w, NULL, policy->lost_list[i]);
	if (policy->lost_count)
		json_close(w);
	json_close(w);
}

void dump_targeted_policy(struct json_writer *w, const struct targeted_policy *policy)
{
	enum policy_section section = policy_section_of(policy->value.kind);

	json_open_object(w, NULL);
	json_string(w, "key", policy->key);
	dump_policy_name(w, policy);
	dump_target(w, &policy->target);
	json_open_object(w, "policy");
	switch (section) {
	case SECTION_FRONTEND:
		json_open_object(w, "frontend");
		break;
	case SECTION_TRAFFIC:
		json_open_object(w, "traffic");
		json_str(w, "phase", policy->is_gateway_phase ? "gateway" : "route");
		break;
	case SECTION_BACKEND:
		json_open_object(w, "backend");
		break;
	}
	dump_policy_value(w, &policy->value);
	json_close(w);
	json_close(w);
	dump_lost(w, policy);
	json_close(w);
}
