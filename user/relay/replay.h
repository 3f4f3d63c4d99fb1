/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/arena.h"
#include "user/base/list.h"
#include "user/base/span.h"
#include "user/obs/counters.h"

enum { REPLAY_STEP_BYTES = 512 }; /* relay_hold() may keep so many more: it reads no single bytes */

/*
 * A copy of what was taken of a request body: for a retry, or held before the first attempt (relay_hold()).
 * It is kept in pieces, each as large as what was received: nothing is moved when it grows. It costs memory
 * only while it has content, at most LIMIT_RETRY_BODY_BYTES, or about wanted_bytes if that is more; the sums
 * of a client's connection and of a worker are limited, too. At a limit the copy is lost, which is no error
 * for a retry: the request continues and cannot be retried.
 */
struct replay {
	struct counters *counters; /* borrowed; the gauge COUNTER_REPLAY_HELD is the worker's sum */
	uint32_t *connection_bytes; /* borrowed: the sum of the client's connection */
	struct list segments;
	uint32_t bytes; /* body bytes */
	uint32_t held_bytes; /* memory */
	uint32_t wanted_bytes; /* relay_hold() waits for so many body bytes; 0: none are held */
	bool is_lost; /* not everything that was added is kept */
};

struct replay_segment {
	struct list node;
	uint32_t len;
	uint32_t size;
	char data[];
};

void replay_init(struct replay *replay, struct counters *counters, uint32_t *connection_bytes);
/* No effect if the copy is lost. At a limit or without memory, the copy is lost from now on, and counted. */
void replay_add(struct replay *replay, struct span bytes);
/* All of it in one piece. 0 or -ENOMEM. */
int replay_join(const struct replay *replay, struct arena *arena, struct span *ret_bytes);
/* Drops the copy when it is no longer needed: like lost, but not counted. Idempotent. */
void replay_drop(struct replay *replay);
