/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/client/log_fields.h"
#include "user/client/worker_state.h"

/*
 * An entry of the access log, of a stream or connection that has ended: a line on standard output, unless the
 * log is off, and a record for the collector of the accessLog policy, if it names one. Each has a filter and
 * fields of its own.
 */

/* True: the policy has expressions, so log_entry_write() needs facts, for policy->needs. */
static inline bool log_entry_has_expressions(const struct access_log_policy *policy)
{
	return log_fields_are_wanted(policy) ||
	       (policy && policy->otlp && log_fields_are_wanted(&policy->otlp->log));
}

/*
 * `lease`: of the stream. facts: with scratch memory; NULL: not known, then an entry has only its usual
 * fields, and no filter drops it.
 */
void log_entry_write(struct proxy *proxy, const struct lease *lease, const struct stream_record *record,
		     const struct expression_facts *facts);
