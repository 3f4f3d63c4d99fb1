/* SPDX-License-Identifier: Apache-2.0 */
#include "user/health/health_history.h"

#include <stdio.h>

#include "user/base/mem.h"

void health_history_done(struct health_history *history)
{
	hg_free(history->list);
	*history = (struct health_history){ 0 };
}

void health_history_add(struct health_history *history, uint64_t wall_us, enum health_event event,
			struct span backend, struct span endpoint, const char *why)
{
	struct health_change *change;

	if (!history->list)
		history->list = hg_calloc(LIMIT_HEALTH_HISTORY, sizeof(*history->list));
	if (!history->list)
		return;
	change = &history->list[history->total++ % LIMIT_HEALTH_HISTORY];
	*change = (struct health_change){ .wall_us = wall_us, .event = event };
	snprintf(change->backend, sizeof(change->backend), "%.*s", SPAN_FMT(backend));
	snprintf(change->endpoint, sizeof(change->endpoint), "%.*s", SPAN_FMT(endpoint));
	snprintf(change->why, sizeof(change->why), "%s", why);
}

const char *health_event_name(enum health_event event)
{
	static const char *const names[] = {
		[HEALTH_EVENT_UNHEALTHY] = "unhealthy",
		[HEALTH_EVENT_HEALTHY] = "healthy",
		[HEALTH_EVENT_EJECTED] = "ejected",
		[HEALTH_EVENT_RETURNED] = "returned",
	};

	return names[event];
}
