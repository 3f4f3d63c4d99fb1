/* SPDX-License-Identifier: Apache-2.0 */
#include "user/driver/expire.h"

#include "user/phase/attempt_dial.h"
#include "user/phase/outcome.h"
#include "user/phase/response.h"
#include "user/phase/tunnel.h"
#include "user/restart/stream/checkpoint.h"
#include "user/stream/deadline.h"
#include "user/stream/step.h"
#include "user/stream/upstream_side.h"

/* The request body is being sent, and nothing has moved for too long: one of the two sides is to blame. */
static enum stream_step on_stream_idle(struct stream *stream)
{
	if (stream->state == STREAM_RELAY)
		return step_end(stream, END_STREAM_IDLE, response_truncated(stream));
	if (stream->state == STREAM_HOLD)
		return step_reply(stream, 504, SPAN("stream idle timeout"), END_STREAM_IDLE);
	/* Without a backend, a guard waits for the body. */
	return step_reply(stream, stream->upstream && stream->upstream_side->is_behind(stream) ? 504 : 408,
			  SPAN("stream idle timeout"), END_STREAM_IDLE);
}

static enum stream_step on_body_stall(struct stream *stream)
{
	return step_reply(stream, 408, SPAN("request body stalled"), END_BODY_STALL);
}

static enum stream_step fire(struct stream *stream, enum stream_deadline due)
{
	switch (due) {
	case DEADLINE_REQUEST:
		outcome_failed(stream, TRY_REQUEST_TIMEOUT);
		return step_reply(stream, 504, SPAN("request timeout"), END_REQUEST_TIMEOUT);
	case DEADLINE_GUARD:
		return step_reply(stream, 504, SPAN("request timeout"), END_GUARD_TIMEOUT);
	case DEADLINE_PER_TRY:
		return step_fail(stream, TRY_PER_TRY_TIMEOUT, 0);
	case DEADLINE_CONNECT:
		return attempt_expire_dial(stream);
	case DEADLINE_PENDING:
		return attempt_expire_pending(stream);
	case DEADLINE_BACKOFF:
		return STEP_ATTEMPT_AGAIN;
	case DEADLINE_DELAY:
		return STEP_FORWARD;
	case DEADLINE_STREAM_IDLE:
		return on_stream_idle(stream);
	case DEADLINE_READ_STALL:
		return step_end(stream, END_READ_STALL, STREAM_END_RESET);
	case DEADLINE_BODY_STALL:
		return on_body_stall(stream);
	case DEADLINE_STALLED:
		return step_end(stream, END_STALLED, STREAM_END_RESET);
	case DEADLINE_TUNNEL_IDLE:
		return step_end(stream, END_TUNNEL_IDLE, tunnel_end(stream));
	case DEADLINE_HALF_CLOSED:
		return step_end(stream, END_HALF_CLOSED, tunnel_end(stream));
	case DEADLINE_REPLY:
		return step_end(stream, stream->reason,
				stream->state == STREAM_RELAY ? STREAM_END_LINGER : STREAM_END_RESET);
	case DEADLINE_NONE:
	case DEADLINE_COUNT:
		break;
	}
	return STEP_WAIT;
}

void expire_on_timer(struct timer *timer, uint64_t now_ms)
{
	struct stream *stream = container_of(timer, struct stream, timer);
	uint64_t at_ms;
	enum stream_deadline due = deadline_next(stream, &at_ms);

	if (due == DEADLINE_NONE || at_ms > now_ms || stream->is_unseen) {
		if (checkpoint_is_due(stream))
			checkpoint_look(stream);
		stream_arm(stream);
		return;
	}
	proxy_trace(stream->proxy, stream->id, TRACE_TIMER, (uint32_t)due, now_ms - at_ms);
	stream_run(stream, fire(stream, due));
}
