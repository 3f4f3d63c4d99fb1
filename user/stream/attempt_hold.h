/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/stream.h"
#include "user/upstream/dial.h"

/* What a running attempt holds besides its connection, and how it lets go of that. */

/* While a connection is being opened or waited for. */
struct attempt_dial {
	struct dial dial;
	struct stream *stream;
};

/* Gives up the connection that is being opened. Idempotent, like all of these. */
void attempt_stop_dial(struct stream *stream);
/* Gives the endpoint back. */
void attempt_leave_endpoint(struct stream *stream);
/* Ends the running attempt but keeps its endpoint, for the log. */
void attempt_drop(struct stream *stream);
/* Gives up all that the attempts hold, except a connection that is bound to the stream. */
void attempt_stop(struct stream *stream);
/* No other attempt needs the request body. */
void attempt_forget_body(struct stream *stream);
