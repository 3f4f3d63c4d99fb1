/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/keepalive.h"

#include <limits.h>

#include "user/base/units.h"

/* Maximum values of Linux (include/net/tcp.h: MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL, MAX_TCP_KEEPCNT). */
#define KERNEL_SECONDS_MAX 32767
#define KERNEL_COUNT_MAX 127

/* Rounds up: never probes earlier than configured. */
static int kernel_seconds(uint64_t ns)
{
	uint64_t seconds = ns / NS_PER_S + (ns % NS_PER_S != 0);

	if (seconds < 1)
		return 1;
	return seconds > KERNEL_SECONDS_MAX ? KERNEL_SECONDS_MAX : (int)seconds;
}

void keepalive_options_of(const struct keepalive_policy *policy, bool user_timeout,
			  struct socket_keepalive *ret_options)
{
	uint64_t total_ms;

	*ret_options = (struct socket_keepalive){ 0 };
	if (!policy || !policy->enabled)
		return;
	ret_options->is_on = true;
	ret_options->idle_s = kernel_seconds(policy->time_ns);
	ret_options->interval_s = kernel_seconds(policy->interval_ns);
	ret_options->count = policy->retries > KERNEL_COUNT_MAX ? KERNEL_COUNT_MAX : (int)policy->retries;
	if (ret_options->count < 1)
		ret_options->count = 1;
	if (!user_timeout)
		return;
	total_ms = 1000 *
		   ((uint64_t)ret_options->idle_s + (uint64_t)ret_options->interval_s * ret_options->count);
	ret_options->user_timeout_ms = total_ms > INT_MAX ? INT_MAX : (unsigned int)total_ms;
}
