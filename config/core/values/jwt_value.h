/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/values/credential_value.h"

/* Policies that ask for signed tokens. */
extern const struct schema jwt_auth_schema; /* struct jwt_auth_policy */

/* Reads a set of keys for the provider. False: reported. */
bool jwt_read_keys(struct decoder *d, const struct yaml_node *node, struct span text,
		   struct jwt_provider *provider);
/* Keys behind a URL: the gateway fetches them. keep_s 0: as long as the response says. False: reported. */
bool jwt_remote_keys(struct decoder *d, const struct yaml_node *node, struct span url, uint32_t keep_s,
		     struct jwt_provider *provider);
/*
 * Decode a row `jwks`: text, {file} or {url}, and in manifests {url} or {backendRef}, which
 * jwt_decode_services() completes: until then the provider has no keys, and no token is valid.
 */
bool jwt_decode_keys(struct decoder *d, const struct yaml_node *node, void *provider);
bool jwt_decode_remote(struct decoder *d, const struct yaml_node *node, void *provider);
/*
 * Decodes the services with keys of the policy at `node`, with a function of the style (NULL: reported).
 * False: reported, and the policy is of no use.
 */
bool jwt_decode_services(struct decoder *d, const struct yaml_node *node, struct jwt_auth_policy *policy,
			 struct backend_ref *(*fn)(void *context, const struct yaml_node *node),
			 void *context);
extern const struct schema jwt_options_schema; /* struct jwt_provider */
/* `check` of a provider's schema: sets the default of jwtValidationOptions. */
void jwt_provider_check(struct decoder *d, const struct yaml_node *node, void *provider);
/* Decodes a provider whose keys are written beside those of the policy. NULL: no memory. */
struct jwt_provider *jwt_decode_single(struct decoder *d, const struct yaml_node *node,
				       const struct schema *schema, struct jwt_auth_policy *policy);
/* What follows from the members: the id, the location, the challenges. */
void jwt_auth_finish(struct jwt_auth_policy *policy);
