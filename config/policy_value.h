/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/decode.h"

/*
 * Policies that both configuration styles have: one decoder each, which knows where the styles differ in
 * names of keys, in what is required, and in ranges (d->is_manifest). Each returns the object of its kind
 * (policy_kinds.def), or NULL after an error.
 */
const void *policy_value_frontend_http(struct decoder *d, const struct yaml_node *node);
const void *policy_value_frontend_tcp(struct decoder *d, const struct yaml_node *node);
const void *policy_value_frontend_connect(struct decoder *d, const struct yaml_node *node);
/* `remove`: the list of fields to leave out; NULL: none. */
const void *policy_value_access_log(struct decoder *d, const struct yaml_node *remove);
const void *policy_value_direct_response(struct decoder *d, const struct yaml_node *node);
const void *policy_value_backend_http(struct decoder *d, const struct yaml_node *node);
const void *policy_value_backend_tcp(struct decoder *d, const struct yaml_node *node);

/* `remove` of a header modifier: names that a modifier may touch. */
void policy_value_removals(struct decoder *d, const struct yaml_node *list, struct header_modifier *modifier);
