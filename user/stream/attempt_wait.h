/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/pending.h"
#include "user/loop/mailbox.h"
#include "user/stream/stream.h"

/*
 * A stream that waits for a place at its backend: for a request (maxParallelRequests of circuitBreaker), then
 * for a connection. The lines are those of the backend's count, so a reload keeps them; the stream waits with
 * the limits of its own snapshot.
 */
struct attempt_wait {
	struct pending_waiter waiter;
	struct message message; /* to the worker: the waiter was woken */
	struct stream *stream; /* NULL: has left; freed when the message arrives */
	struct mailbox *mailbox; /* borrowed; of the worker */
	uint64_t deadline_ms; /* loop time; for both places together */
	bool has_joined;
};

/* True if its policy lets requests wait. */
bool attempt_wait_is_on(const struct stream *stream);
/* False if others wait for such a place, and it is not the stream's turn to take one. */
bool attempt_wait_may_take(const struct stream *stream, enum pending_kind kind);
/* True if it was woken for a stream on an open connection, and may not open another one. */
bool attempt_wait_needs_stream(const struct stream *stream);
/*
 * It has found no place. PENDING_IS_FIRST: try once more, at once. PENDING_IS_BEHIND: it waits, and the
 * driver gets STEP_ATTEMPT when it is its turn. PENDING_IS_FULL: too many wait. Or -ENOMEM. may_share: a
 * stream on a connection of this worker would do as well.
 */
int attempt_wait_join(struct stream *stream, enum pending_kind kind, bool may_share);
/*
 * It waits for a connection that another attempt opens: it keeps its position, but the next one tries.
 * False: it is in no line.
 */
bool attempt_wait_park(struct stream *stream);
/* It has such a place: the next one in the line is woken. */
void attempt_wait_leave(struct stream *stream, enum pending_kind kind);
/* The attempt ends. Idempotent. */
void attempt_wait_drop(struct stream *stream);
