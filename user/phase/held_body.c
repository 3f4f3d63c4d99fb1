/* SPDX-License-Identifier: Apache-2.0 */
#include "user/phase/held_body.h"

#include <errno.h>

#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/phase/replay_body.h"
#include "user/stream/downstream.h"
#include "user/stream/step.h"

/*
 * The client waits for a 100 before it sends its body, and no backend can say so yet (RFC 9110 10.1.1). No
 * backend is asked for a second one.
 */
static int invite(struct stream *stream)
{
	struct exchange *exchange = stream->exchange;
	int error;

	if (!fields_have(&exchange->head.fields, FIELD_EXPECT))
		return 0;
	fields_remove(&exchange->head.fields, SPAN("expect"));
	exchange->response = (struct response_head){ .status = 100 };
	fields_init(&exchange->response.fields, &exchange->response_arena);
	error = stream->downstream->send_interim(stream);
	stream->interim_count++;
	exchange->response = (struct response_head){ 0 };
	return error;
}

static int begin(struct stream *stream)
{
	struct exchange *exchange = stream->exchange;
	int error = invite(stream);

	/* An error of the client's connection ends the stream when it is read. */
	if (error == -ENOMEM)
		return error;
	relay_hold(&stream->upload, stream->downstream->end(stream), &exchange->request_framing,
		   &exchange->replay, proxy_now_ms(stream->proxy));
	if (stream->route)
		attempt_limit_body(stream);
	return 0;
}

int held_body_get(void *context, uint32_t most_bytes, struct guard_body *ret_body)
{
	struct stream *stream = context;
	struct exchange *exchange = stream->exchange;
	struct replay *replay = &exchange->replay;
	int error = 0;

	/* One byte more tells whether there are more. */
	CHECK(most_bytes <= LIMIT_HELD_MOST_BYTES + 1);
	*ret_body = (struct guard_body){ .bytes = SPAN(""), .is_whole = true };
	if (exchange->request_framing.kind == BODY_NONE)
		return GUARD_PASS;
	if (replay->wanted_bytes < most_bytes)
		replay->wanted_bytes = most_bytes;
	if (stream->upload.state == RELAY_OFF)
		error = begin(stream);
	else if (stream->route) /* a guard of the listener may have begun, before there was one */
		attempt_limit_body(stream);
	if (error)
		return error;
	if (!relay_has_held(&stream->upload)) {
		exchange->is_holding = true;
		return GUARD_WAIT;
	}
	error = replay_join(replay, &ret_body->bytes);
	ret_body->is_whole = stream->upload.decoder.is_done && ret_body->bytes.len <= most_bytes;
	ret_body->bytes = span_first(ret_body->bytes, most_bytes);
	return error ? error : GUARD_PASS;
}

enum stream_step held_body_lost(struct stream *stream)
{
	stream->close_client = true;
	return step_reply(stream, 503, SPAN("too many request bodies are held"), END_LIMIT);
}

enum stream_step held_body_moved(struct stream *stream)
{
	struct exchange *exchange = stream->exchange;

	if (!relay_has_held(&stream->upload))
		return STEP_WAIT;
	exchange->is_holding = false;
	exchange->held_ms = proxy_now_ms(stream->proxy);
	proxy_trace(stream->proxy, stream->id, TRACE_BODY_HELD, exchange->replay.bytes,
		    stream->upload.decoder.is_done);
	return STEP_GUARD;
}
