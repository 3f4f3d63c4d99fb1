/* SPDX-License-Identifier: Apache-2.0 */
#include "user/stream/step.h"

#include <errno.h>

#include "user/stream/downstream.h"

enum stream_step step_end(struct stream *stream, enum end_reason reason, enum stream_end end)
{
	stream->ending_reason = reason;
	stream->ending = end;
	return STEP_END;
}

enum stream_step step_fail(struct stream *stream, enum try_outcome outcome, int error)
{
	stream->attempt.failed_outcome = outcome;
	stream->attempt.failed_error = error;
	return STEP_FAILED;
}

enum stream_step step_reply(struct stream *stream, uint16_t status, struct span body, enum end_reason reason)
{
	if (stream->is_tcp || stream->head_sent)
		return step_end(stream, reason, STREAM_END_RESET);
	stream->exchange->error = body;
	stream->exchange->reply = (struct stream_reply){ .status = status, .reason = reason, .body = body };
	return STEP_REPLY;
}

enum stream_step step_reply_kind(struct stream *stream, uint16_t status, struct span kind, struct span detail,
				 enum end_reason reason)
{
	enum stream_step step = step_reply(stream, status, detail.len ? detail : kind, reason);

	if (step == STEP_REPLY && !stream->lease->snapshot->config.expose_close_reason)
		stream->exchange->reply.body = kind;
	return step;
}

enum stream_step step_local_reply(struct stream *stream, uint16_t status, struct span body,
				  struct span location)
{
	stream->exchange->reply = (struct stream_reply){
		.status = status, .reason = END_LOCAL_REPLY, .body = body, .location = location
	};
	return STEP_REPLY;
}

static enum end_reason reason_of_bad_request(uint16_t status)
{
	if (status == 408)
		return END_HEAD_TIMEOUT;
	return status == 414 || status == 431 ? END_HEAD_TOO_LARGE : END_REQUEST_BAD;
}

enum stream_step step_bad_request(struct stream *stream, enum http_error http_error)
{
	uint16_t status = http_error_status(http_error);
	enum end_reason reason = stream->head_sent ? END_REQUEST_BAD : reason_of_bad_request(status);

	counter_add(stream->proxy->counters, COUNTER_BAD_REQUESTS, 1);
	stream->exchange->error = span_str(http_error_text(http_error));
	stream->close_client = true;
	if (stream->head_sent || stream->downstream->check(stream) == -EPROTO)
		return step_end(stream, reason, STREAM_END_RESET);
	stream->exchange->reply = (struct stream_reply){ .status = status, .reason = reason };
	return STEP_REPLY;
}
