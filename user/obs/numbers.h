/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/obs/access_log.h"
#include "user/obs/counters.h"
#include "user/obs/paths.h"
#include "user/obs/requests.h"
#include "user/obs/seconds.h"
#include "user/obs/trace.h"

/* What one worker provides to readers. */
struct worker_numbers {
	const struct counters *counters; /* borrowed, readable from any thread */
	struct request_metrics *requests; /* borrowed */
	const struct access_log *access_log; /* may be NULL */
	const struct trace *trace; /* may be NULL */
	const struct path_metrics *paths; /* may be NULL, as the next */
	const struct seconds *seconds;
};
