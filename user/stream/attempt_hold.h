/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/stream.h"
#include "user/upstream/dial.h"

/* The resources of a running attempt besides its connection, and how they are released. */

/* Exists while a connection is being opened or waited for. */
struct attempt_dial {
	struct dial dial;
	struct stream *stream;
	uint64_t deadline_ms; /* loop time; 0: none */
};

/* What counts the connection of the attempt; NULL: nothing does. Borrowed from the lease. */
struct quota *attempt_quota(const struct stream *stream);
/* Cancels the connection that is being opened. All these functions are idempotent. */
void attempt_stop_dial(struct stream *stream);
/* Releases the endpoint. */
void attempt_leave_endpoint(struct stream *stream);
/* Ends the running attempt but keeps its endpoint, for the log. */
void attempt_drop(struct stream *stream);
/* The retry counts no more in the limit of its backend. Idempotent; call it before the exchange is freed. */
void attempt_drop_retry(struct stream *stream);
/* Releases everything that attempts hold, except a connection bound to the stream. */
void attempt_stop(struct stream *stream);
/* Frees the kept request body, when no other attempt needs it. */
void attempt_forget_body(struct stream *stream);
