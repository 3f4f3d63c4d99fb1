/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/list.h"
#include "user/base/span.h"
#include "user/obs/counters.h"

enum { REPLAY_STEP_BYTES = 512 }; /* relay_hold() may keep so many more: it reads no single bytes */

/*
 * What was taken of a body: a copy of that of a request for a retry, or a body that is held back for a policy
 * (relay_hold()). It is kept in pieces, each as large as what was received: nothing is moved when it grows.
 * It costs memory only while it has content, at most LIMIT_RETRY_BODY_BYTES, or about wanted_bytes if that is
 * more; the sums of a client's connection and of a worker are limited, too. At a limit the content is lost,
 * which is no error for a retry: the request continues and cannot be retried.
 */
struct replay {
	struct counters *counters; /* borrowed; two gauges of them are the worker's sums */
	uint32_t *connection_bytes; /* borrowed: the sum of the client's connection */
	struct list segments;
	struct replay_segment *next; /* the one that is sent next; NULL: all were sent */
	uint32_t next_offset; /* in it */
	uint32_t left_bytes; /* of the body, not sent yet: from next on */
	uint32_t bytes; /* body bytes */
	uint32_t held_bytes; /* memory */
	uint32_t wanted_bytes; /* relay_hold() waits for so many body bytes; 0: none are held */
	bool is_lost; /* not everything that was added is kept */
	bool is_spare; /* dropped when all of it was sent: no attempt may follow */
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
/*
 * All of it as one text, which is valid until the content changes. Moves it, unless it is in one piece. 0 or
 * -ENOMEM.
 */
int replay_join(struct replay *replay, struct span *ret_bytes);
/*
 * For a held body: another content, which may be a part of the old one. 0; -ENOMEM, -ENOBUFS (a limit): the
 * old one stays.
 */
int replay_set(struct replay *replay, struct span bytes);
/* All of it is to be sent, from the first byte on. */
void replay_rewind(struct replay *replay);
/* At most so many bytes to send, at least one while left_bytes is not 0; replay_sent() takes them off. */
struct span replay_next(const struct replay *replay, size_t most);
void replay_sent(struct replay *replay, size_t bytes);
/* Drops the copy when it is no longer needed: like lost, but not counted. Idempotent. */
void replay_drop(struct replay *replay);
