/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/schema.h"

/* Rows of the policies that ask a helper service; both styles share them. The service itself is separate. */

extern const struct schema ext_authz_schema; /* struct ext_authz_policy */
extern const struct schema network_ext_authz_schema; /* the same, of connections; standalone files only */
extern const struct schema remote_limit_schema; /* struct remote_rate_limit */

/* NULL after an error. `remoteRateLimit`; in manifests `rateLimit`, with `global` or `conditional`. */
struct ext_authz_policy *value_ext_authz(struct decoder *d, const struct yaml_node *node);
struct remote_rate_limit *value_remote_limit(struct decoder *d, const struct yaml_node *node);

/*
 * Decodes the service of each form of a policy, with a function of the style (NULL: reported), and registers
 * it. False: reported, and the policy is of no use.
 */
bool value_ext_authz_targets(struct decoder *d, const struct yaml_node *node, struct ext_authz_policy *policy,
			     struct backend_ref *(*fn)(void *context, const struct yaml_node *node),
			     void *context);
bool value_remote_limit_targets(struct decoder *d, const struct yaml_node *node,
				struct remote_rate_limit *policy,
				struct backend_ref *(*fn)(void *context, const struct yaml_node *node),
				void *context);

/*
 * Decodes a service that is not asked about a request, with a function of the style (NULL: reported), and
 * registers it. False: reported, or there is no node.
 */
bool value_callout_target(struct decoder *d, const struct yaml_node *node, bool is_grpc,
			  struct backend_ref *(*fn)(void *context, const struct yaml_node *node),
			  void *context, struct backend_ref **ret);
/* Registers one that was decoded otherwise; without a reference there is none. False: that, or no memory. */
bool value_register_callout(struct decoder *d, struct callout_target kind);

/*
 * Where the service is, in the rows of a policy; the styles decode it: value_callout_target(). REQUEST: it is
 * asked about a request of a client. more: policies of such a service, for the reference.
 */
/* clang-format off */
#define CALLOUT_TARGET_ROWS(object) CALLOUT_TARGET_ROWS_WITH(object, "")
#define REQUEST_CALLOUT_TARGET_ROWS(object) CALLOUT_TARGET_ROWS_WITH(object, ", `transformations.request`")
#define CALLOUT_TARGET_ROWS_WITH(object, more)                                                               \
	{ "host", AS_REST(object), .style = STYLE_STANDALONE, .value_doc = "`name:port`",                    \
	  .default_doc = "–", .doc = "as under `backends[]`; write `host`, `service` or `backend`" },    \
	{ "service", AS_REST(object), .style = STYLE_STANDALONE, .value_doc = "`{name, port}`",              \
	  .default_doc = "–", .doc = "the same" },                                                           \
	{ "backend", AS_REST(object), .style = STYLE_STANDALONE, .value_doc = "name",                        \
	  .default_doc = "–", .doc = "the same" },                                                           \
	{ "policies", AS_REST(object), .style = STYLE_STANDALONE, .value_doc = "map", .default_doc = "–",    \
	  .doc = "of the service, as of a backend: `backendTLS`, `http.requestTimeout`, `tcp`, `health`, "   \
		 "`backendAuth`, `requestHeaderModifier`" more },                                            \
	{ "backendRef", AS_REST(object), .style = STYLE_MANIFEST },                                          \
	{ "url", AS_REST(object), .style = STYLE_MANIFEST }
/* clang-format on */
