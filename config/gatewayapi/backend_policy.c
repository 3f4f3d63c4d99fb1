/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/backend_policy.h"

#include "config/core/values/policy_value.h"
#include "config/gatewayapi/auth_policy.h"
#include "config/gatewayapi/backend_tls.h"
#include "user/base/check.h"

void found_add(struct found_policies *found, const struct plain_policy *plain, const void *object,
	       const struct yaml_node *node)
{
	if (!object || node->fault)
		return;
	CHECK(found->count < FOUND_POLICIES_MAX);
	found->list[found->count++] =
		(struct found_policy){ plain->prefix, plain->suffix, { plain->kind, object }, node };
}

void found_add_plain(struct decoder *d, const struct yaml_node *map, const struct plain_policy *list,
		     size_t count, struct found_policies *found)
{
	bool *outer = d->lacks_guard;

	d->lacks_guard = &found->lacks_guard;
	for (size_t i = 0; i < count; i++) {
		const struct yaml_node *node = decode_get(map, list[i].key);

		if (node)
			found_add(found, &list[i], policy_value(d, node, list[i].kind), node);
	}
	d->lacks_guard = outer;
}

bool found_decode_map(struct decoder *d, const struct yaml_node *node, const struct decode_key *keys,
		      size_t key_count, struct found_policies *found)
{
	bool *outer = d->lacks_guard;
	bool is_map;

	d->lacks_guard = &found->lacks_guard;
	is_map = decode_map(d, node, keys, key_count);
	d->lacks_guard = outer;
	return is_map;
}

/* Without it, the backend would see an unknown client, or anybody. */
static void decode_linked(struct manifests *m, const struct yaml_node *node,
			  const struct manifest_object *object, const struct plain_policy *plain,
			  linked_policy_decode *decode, struct found_policies *found)
{
	const struct yaml_node *own = decode_get(node, plain->key);
	bool *outer = m->decoder->lacks_guard;

	m->decoder->lacks_guard = &found->lacks_guard;
	if (own)
		found_add(found, plain, decode(m, own, object), own);
	m->decoder->lacks_guard = outer;
}

static void decode_mcp(struct manifests *m, const struct yaml_node *node,
		       const struct manifest_object *object, linked_policy_decode *authentication,
		       struct found_policies *found)
{
	static const struct decode_key keys[] = {
		KEY("authorization"),
		KEY("authentication"),
		KEY_REFUSED("guardrails", NOT_YET_MCP_GUARDRAILS),
	};
	static const struct plain_policy rules = { "authorization", "",
						   ":mcp-authorization:", POLICY_MCP_AUTHORIZATION },
					 tokens = { "authentication", "",
						    ":mcp-authentication:", POLICY_MCP_AUTHENTICATION };

	if (!node || !found_decode_map(m->decoder, node, keys, ARRAY_LEN(keys), found))
		return;
	if (node->count == 0)
		config_error(m->decoder->report, node, "sets nothing; write authorization or authentication");
	found_add_plain(m->decoder, node, &rules, 1, found);
	decode_linked(m, node, object, &tokens, authentication, found);
}

#define NOT_FOR_A_TARGET "has no effect on a target: connections to it have the settings of config.backend"

void backend_policies_decode(struct manifests *m, const struct yaml_node *node,
			     const struct manifest_object *object, enum backend_policy_place place,
			     const struct backend_policy_links *links, struct found_policies *found)
{
	static const struct decode_key keys[] = {
		KEY("http"),
		KEY("tcp"),
		KEY("health"),
		KEY("circuitBreaker"),
		KEY("proxyProtocol"),
		KEY("loadBalancer"),
		KEY("sessionAffinity"),
		KEY("tls"),
		KEY("auth"),
		KEY_REFUSED("tunnel", NOT_YET_BACKEND_TUNNEL),
		KEY("transformation"),
		KEY("mcp"),
		KEY_REFUSED("ai", NOT_YET_AI),
		KEY("extAuth"),
		KEY("authorization"),
	};
	static const struct decode_key target_keys[] = {
		KEY_IGNORED("http", NOT_FOR_A_TARGET),
		KEY_IGNORED("tcp", NOT_FOR_A_TARGET),
		KEY("tls"),
		KEY("auth"),
		KEY_REFUSED("tunnel", NOT_YET_BACKEND_TUNNEL),
		KEY_REFUSED("extAuth", NOT_YET_EXT_AUTHZ),
	};
	static const struct plain_policy plain[] = {
		{ "http", "", ":backend-http:", POLICY_BACKEND_HTTP },
		{ "tcp", "backend/", ":backend-tcp:", POLICY_BACKEND_TCP },
		{ "health", "", ":health:", POLICY_BACKEND_HEALTH },
		{ "circuitBreaker", "", ":circuit-breaker:", POLICY_CIRCUIT_BREAKER },
		{ "proxyProtocol", "backend/", ":backend-proxy:", POLICY_BACKEND_PROXY },
		{ "loadBalancer", "", ":load-balancer:", POLICY_LOAD_BALANCER },
		{ "sessionAffinity", "", ":session-affinity:", POLICY_SESSION_AFFINITY },
		{ "authorization", "backend/", ":backend-authorization:", POLICY_BACKEND_AUTHORIZATION },
		{ "transformation", "", ":backend-transformation:", POLICY_BACKEND_TRANSFORMATION },
	};
	static const struct plain_policy tls_kind = { "tls", "", ":tls:", POLICY_BACKEND_TLS },
					 auth_kind = { "auth", "backend/",
						       ":backend-auth:", POLICY_BACKEND_AUTH },
					 ext_kind = { "extAuth", "backend/",
						      ":backend-extauth:", POLICY_BACKEND_EXT_AUTHZ };
	const struct yaml_node *tls = decode_get(node, "tls");
	bool is_target = place == BACKEND_POLICIES_OF_TARGET;

	if (!found_decode_map(m->decoder, node, is_target ? target_keys : keys,
			      is_target ? ARRAY_LEN(target_keys) : ARRAY_LEN(keys), found))
		return;
	if (!is_target) {
		found_add_plain(m->decoder, node, plain, ARRAY_LEN(plain), found);
		decode_mcp(m, decode_get(node, "mcp"), object, links->mcp_authentication, found);
	}
	if (tls)
		found_add(found, &tls_kind, backend_tls_policy(m, tls, object), tls);
	decode_linked(m, node, object, &auth_kind, auth_policy_backend, found);
	if (!is_target)
		decode_linked(m, node, object, &ext_kind, links->ext_authz, found);
}
