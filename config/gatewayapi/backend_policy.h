/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/object.h"

/*
 * Policies of an object, before they are created for their targets; and the kinds of `backend`, which
 * AgentgatewayPolicy and AgentgatewayBackend (`policies`) share.
 */
enum { FOUND_POLICIES_MAX = POLICY_KIND_COUNT }; /* every kind once */

struct found_policy {
	const char *prefix; /* "frontend/" */
	const char *suffix; /* ":frontend-tcp:" */
	struct policy_value value;
	const struct yaml_node *node;
};

struct found_policies {
	struct found_policy list[FOUND_POLICIES_MAX];
	uint32_t count;
	/* One that protects is not supported, or lacks a part: what it is for must not be served. */
	bool lacks_guard;
};

/* A kind with schema rows. */
struct plain_policy {
	const char *key;
	const char *prefix;
	const char *suffix;
	enum policy_kind kind;
};

/* Adds one; NULL, or an error at the node: it was refused. */
void found_add(struct found_policies *found, const struct plain_policy *plain, const void *object,
	       const struct yaml_node *node);
void found_add_plain(struct decoder *d, const struct yaml_node *map, const struct plain_policy *list,
		     size_t count, struct found_policies *found);
/* Decodes a map, and records whether it asks for a guard that is missing. False: not a map. */
bool found_decode_map(struct decoder *d, const struct yaml_node *node, const struct decode_key *keys,
		      size_t key_count, struct found_policies *found);

enum backend_policy_place {
	BACKEND_POLICIES, /* of a policy, or of a backend */
	BACKEND_POLICIES_OF_TARGET, /* of a target of an MCP backend */
};

/* Decodes a policy that names other objects, for `object`; NULL: reported. */
typedef const void *linked_policy_decode(struct manifests *m, const struct yaml_node *node,
					 const struct manifest_object *object);

/* Those that name backends, and so belong to a layer above: callout_policy.h. */
struct backend_policy_links {
	linked_policy_decode *ext_authz;
	linked_policy_decode *mcp_authentication;
};

/* Credentials of `tls` are in the namespace of `object`. links: not used for targets. */
void backend_policies_decode(struct manifests *m, const struct yaml_node *node,
			     const struct manifest_object *object, enum backend_policy_place place,
			     const struct backend_policy_links *links, struct found_policies *found);
#define GUARD_REFUSAL "a policy that protects is not supported here"
