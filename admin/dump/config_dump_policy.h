/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "user/base/json_writer.h"

/* Policies in the dump: single policy objects, inline lists, attached policies. */

/* Writes one member with the key `dump_name` of policy_kinds.def, e.g. "timeout": {…}. */
void dump_policy_value(struct json_writer *w, const struct policy_value *value);
/*
 * Writes "inlinePolicies": [{"timeout": {…}}, {"retry": {…}}]; nothing if both lists are empty. more may be
 * NULL.
 */
void dump_inline_policies(struct json_writer *w, const struct policy_values *values,
			  const struct policy_values *more);
/* Writes one element of the top-level `policies`. */
void dump_targeted_policy(struct json_writer *w, const struct targeted_policy *policy);
