/* SPDX-License-Identifier: Apache-2.0 */
#include "user/phase/reply.h"

#include "policy/guard/guard.h"
#include "user/base/limits.h"
#include "user/http/grpc.h"
#include "user/stream/attempt_hold.h"
#include "user/stream/call_hold.h"
#include "user/stream/downstream.h"
#include "user/stream/step.h"
#include "user/stream/upstream_side.h"

/* Call only before response headers were sent: a running response uses these buffers. */
static void reply_drop_attempt(struct stream *stream)
{
	attempt_drop(stream);
	stream_drop_call(stream);
	relay_detach(&stream->upload);
	/* A response that was held back. */
	relay_stop(&stream->download);
	relay_init(&stream->download, &stream->proxy->relay, RELAY_OUT);
	replay_drop(&stream->exchange->answer);
	if (stream->upstream)
		stream->upstream_side->drop(stream, true);
}

static int reply_add_facts(struct stream *stream, struct fields *fields, const struct stream_reply *answer)
{
	enum end_reason reason = answer->reason;
	int error = 0;

	fields_init(fields, &stream->exchange->arena);
	if (answer->location.len)
		error = fields_add(fields, SPAN("location"), answer->location);
	/* RFC 9110 15.5.6: a 405 lists the allowed methods. */
	if (!error && answer->status == 405 && reason != END_LOCAL_REPLY)
		error = fields_add(fields, SPAN("allow"),
				   SPAN("GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH"));
	for (uint32_t i = 0; !error && answer->fields && i < answer->fields->count; i++)
		error = fields_put(fields, &answer->fields->list[i]);
	if (!error && (reason == END_BACKEND_OVERLOADED || reason == END_PENDING_OVERFLOW ||
		       reason == END_PENDING_TIMEOUT))
		error = fields_add(fields, SPAN("x-headgate-overloaded"), SPAN("true"));
	if (!error)
		error = guard_apply(&stream->exchange->guard_fields, fields);
	if (!error)
		error = guard_apply_additions(&stream->exchange->guard_additions, fields);
	if (!error && stream->lease->snapshot->config.expose_close_reason && reason != END_LOCAL_REPLY)
		error = fields_add(fields, SPAN("x-headgate-close-reason"),
				   span_str(end_reason_text(reason)));
	return error;
}

/*
 * gRPC clients ignore the HTTP status: our own error becomes a gRPC status in a Trailers-Only response. A
 * response that a rule defines is sent as written.
 */
static int reply_say_as_grpc(struct stream *stream, struct reply *reply, struct fields *fields,
			     enum end_reason reason)
{
	enum grpc_status status = grpc_status_of_http(reply->status);
	struct span text = reply->body;

	if (!stream->is_grpc || reason == END_LOCAL_REPLY)
		return 0;
	if (reason == END_NO_BACKEND)
		status = GRPC_UNAVAILABLE;
	stream->grpc_status = (int16_t)status;
	stream->status = 200;
	reply->status = 200;
	reply->body = (struct span){ 0 };
	return grpc_answer(fields, status, text);
}

enum stream_step reply_start(struct stream *stream)
{
	const struct stream_reply *answer = &stream->exchange->reply;
	struct fields fields;
	struct reply reply = {
		.status = answer->status,
		/* Services may refuse with a status that has none, and the reason may be exposed there. */
		.body = reply_may_have_body(answer->status) ? answer->body : SPAN(""),
		.content_type = answer->type,
		.fields = &fields,
		.is_head = stream->exchange->head.method == METHOD_HEAD,
		.date = proxy_date(stream->proxy),
	};

	reply_drop_attempt(stream);
	stream->reason = answer->reason;
	stream->status = answer->status;
	if (reply_add_facts(stream, &fields, answer) < 0 ||
	    reply_say_as_grpc(stream, &reply, &fields, answer->reason) < 0 ||
	    stream->downstream->send_reply(stream, &reply) < 0)
		return step_end(stream, END_INTERNAL, STREAM_END_RESET);
	stream->head_sent = true;
	stream->download.payload_bytes = reply.is_head ? 0 : reply.body.len;
	stream->exchange->reply_deadline_ms = proxy_now_ms(stream->proxy) + LIMIT_REPLY_MS;
	stream_set_state(stream, STREAM_REPLY);
	return reply_flush(stream);
}

enum stream_step reply_flush(struct stream *stream)
{
	int result = stream->downstream->flush(stream);

	if (result < 0)
		return step_end(stream, END_CLIENT_RST, STREAM_END_RESET);
	if (result == 0)
		return STEP_WAIT;
	return step_end(stream, stream->reason, stream->close_client ? STREAM_END_LINGER : STREAM_END_CLEAN);
}
