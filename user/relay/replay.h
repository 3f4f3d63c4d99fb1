/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/list.h"
#include "user/base/span.h"
#include "user/obs/counters.h"

/*
 * A copy of what was taken of a request body, for a retry. It is kept in pieces, each as large as what was
 * received: nothing is moved when it grows. It costs memory only while it has content, at most
 * LIMIT_RETRY_BODY_BYTES; the sums of a client's connection and of a worker are limited, too. At a limit the
 * copy is lost, which is no error: the request continues and cannot be retried.
 */
struct replay {
	struct counters *counters; /* borrowed; the gauge COUNTER_REPLAY_HELD is the worker's sum */
	uint32_t *connection_bytes; /* borrowed: the sum of the client's connection */
	struct list segments;
	uint32_t bytes; /* body bytes */
	uint32_t held_bytes; /* memory */
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
/* Drops the copy when it is no longer needed: like lost, but not counted. Idempotent. */
void replay_drop(struct replay *replay);
