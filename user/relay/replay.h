/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/list.h"
#include "user/base/span.h"
#include "user/obs/counters.h"

/*
 * What was taken of a request body, kept for an attempt that may have to repeat it. In pieces, each as large
 * as what came: nothing is moved when it grows. It costs memory only while it has content, at most
 * LIMIT_RETRY_BODY_BYTES of it; a client's connection and a worker have limits for all of theirs together.
 * Where one is met the copy is lost, which is no error: the request goes on and is not repeatable.
 */
struct replay {
	struct counters *counters; /* borrowed; the gauge COUNTER_REPLAY_HELD is the worker's sum */
	uint32_t *connection_bytes; /* borrowed: the sum of the client's connection */
	struct list pieces;
	uint32_t bytes; /* of the body */
	uint32_t held_bytes; /* of memory */
	bool is_lost; /* not everything that was added is here */
};

struct replay_piece {
	struct list node;
	uint32_t len;
	uint32_t size;
	char data[];
};

void replay_init(struct replay *replay, struct counters *counters, uint32_t *connection_bytes);
/* Without effect on one that is lost. At a limit or without memory it is lost from now on, and counted. */
void replay_add(struct replay *replay, struct span bytes);
/* No longer needed: as lost, but not counted. Idempotent. */
void replay_drop(struct replay *replay);
