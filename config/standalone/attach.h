/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/standalone/standalone.h"

/*
 * Policies of standalone files that are attached by name: `frontendPolicies`, which are attached to the
 * gateway default/default under the keys frontend/http, frontend/tcp, frontend/tls, frontend/connect and
 * frontend/accessLog, and the elements of `policies`, whose key is namespace/name.
 */
extern const struct schema attached_schema; /* struct targeted_policy */

void standalone_frontend_policies(struct standalone *s, const struct yaml_node *node);
void standalone_attached_policies(struct standalone *s, const struct yaml_node *list);

struct policy_entry;
/* The keys of `frontendPolicies`, for readers. */
const struct policy_entry *standalone_frontend_entries(size_t *ret_count);
