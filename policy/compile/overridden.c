/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/compile/overridden.h"

static bool is_limit(const struct opt_duration *limit)
{
	return limit->is_set && limit->ns;
}

/*
 * A rule's own timeouts replace the gateway's as a whole. The author of the gateway's limit may not know
 * that this rule now has no such limit.
 */
static void warn_of_limit(const struct precedence_winner *outer, const struct route *route,
			  struct config_report *report)
{
	const struct timeout_policy *hidden = outer->object, *own = route->effective.timeout;
	const char *name = NULL;

	if (!hidden || !own || hidden == own || !outer->attachment)
		return;
	if (is_limit(&hidden->request) && !own->request.is_set)
		name = "request";
	else if (is_limit(&hidden->backend_request) && !own->backend_request.is_set)
		name = "backendRequest";
	if (name)
		config_message_at(report, CONFIG_WARNING, route->where,
				  "the limit %s of policy %s does not apply here: the timeouts of this rule "
				  "replace that policy as a whole; write %s here, too, 0s for none",
				  name, QUOTE(outer->attachment->policy->key), name);
}

/* The same for retries: a rule that sets `attempts` loses the backoff and the statuses of the gateway. */
static void warn_of_retry(const struct precedence_winner *outer, const struct route *route,
			  struct config_report *report)
{
	const struct retry_policy *hidden = outer->object, *own = route->effective.retry;
	const char *name = NULL;

	if (!hidden || !own || hidden == own || !outer->attachment || !hidden->attempts)
		return;
	/* A non-NULL list without entries was written as []. */
	if (hidden->code_count && !own->code_list)
		name = "codes";
	else if (hidden->backoff.is_set && !own->backoff.is_set)
		name = "backoff";
	if (name)
		config_message_at(report, CONFIG_WARNING, route->where,
				  "%s of the retries of policy %s does not apply here: the retries of this "
				  "rule replace that policy as a whole; write %s here, too",
				  name, QUOTE(outer->attachment->policy->key), name);
}

void overridden_warn(const struct precedence_winner *timeout, const struct precedence_winner *retry,
		     const struct route *route, struct config_report *report)
{
	warn_of_limit(timeout, route, report);
	warn_of_retry(retry, route, report);
}
