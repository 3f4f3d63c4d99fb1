/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "user/base/limits.h"
#include "user/obs/access_line.h"

struct expression_facts;

/* The fields that an accessLog policy adds to one line. */
struct log_fields {
	struct access_extras extras;
	struct access_extra list[LIMIT_LOG_FIELDS];
	size_t used;
	char values[LIMIT_LOG_FIELDS * LIMIT_LOG_VALUE_BYTES];
};

static inline bool log_fields_are_wanted(const struct access_log_policy *policy)
{
	return policy && (policy->filter || policy->add_count);
}

/* False: the filter drops the entry. One that gives up keeps it: no client may hide from the log. */
bool log_filter_wants(const struct access_log_policy *policy, const struct expression_facts *facts);
/*
 * Evaluates the filter and the fields; `facts` needs its scratch memory. False: the filter wants no line.
 */
bool log_fields_fill(struct log_fields *fields, const struct access_log_policy *policy,
		     const struct expression_facts *facts);
