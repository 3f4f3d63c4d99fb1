/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/limits.h"
#include "user/base/span.h"

/* The last changes of endpoints' health, for GET /endpoints?history=1. A ring of the main thread. */
enum health_event {
	HEALTH_EVENT_UNHEALTHY, /* its checks fail */
	HEALTH_EVENT_HEALTHY, /* they pass again */
	HEALTH_EVENT_EJECTED, /* by outcomes of requests */
	HEALTH_EVENT_RETURNED, /* a check ended the ejection */
};

enum { HEALTH_WHY_BYTES = 192 }; /* a reason with two names of certificates */

struct health_change {
	uint64_t wall_us;
	enum health_event event;
	char backend[96]; /* texts end with 0, and are cut */
	char endpoint[72];
	char why[HEALTH_WHY_BYTES]; /* empty: nothing to say */
};

struct health_history {
	struct health_change *list; /* owner, LIMIT_HEALTH_HISTORY; NULL: nothing has happened */
	uint64_t total; /* the newest one is at (total - 1) % LIMIT_HEALTH_HISTORY */
};

void health_history_done(struct health_history *history);
/* Without memory the change is not kept. */
void health_history_add(struct health_history *history, uint64_t wall_us, enum health_event event,
			struct span backend, struct span endpoint, const char *why);
const char *health_event_name(enum health_event event);
