/* SPDX-License-Identifier: Apache-2.0 */
#include "user/proxy/response.h"

#include <errno.h>

#include "policy/headers.h"
#include "user/base/text.h"
#include "user/base/limits.h"
#include "user/http/grpc.h"
#include "user/http/hop.h"
#include "user/proxy/attempt.h"
#include "user/proxy/back.h"
#include "user/proxy/front.h"
#include "user/proxy/stream_estate.h"
#include "user/proxy/tunnel.h"

bool response_request_is_complete(const struct stream *stream)
{
	if (stream->exchange->request_framing.kind == BODY_NONE)
		return true;
	return stream->upload.state != RELAY_OFF && stream->upload.decoder.is_done;
}

/* Not when the client still waits for a 100: it may never send the body, and go on with another request
 * instead. */
bool response_request_may_outlast(const struct stream *stream)
{
	return stream->exchange->response.status < 400 && stream->upstream->is_reusable &&
	       !stream->upload_dead &&
	       (stream->is_continued || !fields_have(&stream->exchange->head.fields, FIELD_EXPECT));
}

void response_interim(struct stream *stream)
{
	int error = stream->front->send_interim(stream);

	arena_reset(&stream->exchange->response_arena);
	if (error)
		stream_finish(stream, stream->front->check(stream) < 0 ? END_CLIENT_RST : END_INTERNAL,
			      STREAM_END_RESET);
}

static int response_prepare_head(struct stream *stream)
{
	const struct route_policies *policies = &stream->route->effective;
	int error = hop_strip_response(&stream->exchange->response);

	if (!error && stream->lease->snapshot->config.via)
		error = hop_add_via(&stream->exchange->response.fields,
				    stream->exchange->response.version_major,
				    stream->exchange->response.version_minor);
	if (!error && policies->response_headers)
		error = headers_modify(&stream->exchange->response.fields, policies->response_headers);
	if (!error && stream->backend->response_headers)
		error = headers_modify(&stream->exchange->response.fields, stream->backend->response_headers);
	return error;
}

static enum stream_step response_refuse_switch(struct stream *stream, struct span offered)
{
	struct text text;
	enum stream_step step;

	text_init(&text);
	text_str(&text, "request upgrade failed, backend tried ");
	text_escaped(&text, offered);
	text_str(&text, " but ");
	text_escaped(&text, stream->exchange->upgrade.protocol);
	text_str(&text, " was requested");
	step = response_error(stream, 502, arena_copy(&stream->exchange->arena, text_span(&text)),
			      END_UPGRADE_MISMATCH);
	text_done(&text);
	return step;
}

static enum stream_step response_no_head(struct stream *stream)
{
	return response_error(stream, 500, SPAN("the response head could not be written"), END_INTERNAL);
}

static enum stream_step response_switch(struct stream *stream)
{
	const struct field *upgrade = fields_get(&stream->exchange->response.fields, FIELD_UPGRADE);
	struct span protocol;

	if (!stream->exchange->upgrade.is_wanted || !upgrade)
		return attempt_failed(stream, TRY_RESPONSE_BAD, 0);
	if (!upgrade_accepts(&stream->exchange->response, &stream->exchange->upgrade))
		return response_refuse_switch(stream, upgrade->value);
	protocol = upgrade->value; /* the field itself goes with the others of the connection */
	if (response_prepare_head(stream) < 0 || stream->front->send_switch(stream, protocol) < 0)
		return response_no_head(stream);
	stream->head_sent = true;
	stream->is_upgraded = true;
	return tunnel_start(stream);
}

enum stream_step response_start(struct stream *stream)
{
	struct body_framing framing;
	struct body_framing out;
	enum relay_encoding encoding;

	if (stream->back->framing(stream, &framing))
		return attempt_failed(stream, TRY_RESPONSE_BAD, 0);
	if (framing.kind == BODY_TUNNEL)
		return response_switch(stream);
	if (stream->exchange->upgrade.must_switch && stream->exchange->response.status < 300)
		return response_error(stream, 502, SPAN("the backend did not open the WebSocket"),
				      END_UPGRADE_MISMATCH);
	out = framing;
	if (response_prepare_head(stream) < 0 || stream->front->send_head(stream, &out, &encoding) < 0)
		return response_no_head(stream);
	stream->status = stream->exchange->response.status;
	stream->head_sent = true;
	if (stream->is_grpc)
		stream->grpc_status = (int16_t)grpc_status_read(&stream->exchange->response.fields);
	relay_start(&stream->download, stream->back->end(stream), stream->front->end(stream), &framing,
		    encoding, stream->lease->snapshot->config.splice.lane_pipe,
		    proxy_now_ms(stream->proxy));
	stream_offer_gate(stream, &stream->download, response_request_is_complete(stream));
	stream_set_state(stream, STREAM_RELAY);
	stream_estate_answers(stream);
	return STEP_WAIT;
}

bool response_done(struct stream *stream)
{
	if (!relay_is_finished(&stream->upload) && !stream->close_client &&
	    response_request_may_outlast(stream)) {
		stream_arm(stream);
		return false;
	}
	if (!response_request_is_complete(stream) ||
	    (stream->close_client && stream->front->has_more(stream)))
		stream_finish(stream, END_OK, STREAM_END_LINGER);
	else
		stream_finish(stream, END_OK, STREAM_END_CLEAN);
	return true;
}

enum stream_end response_truncated(const struct stream *stream)
{
	/* With a length or chunks the client sees that bytes are missing; else only a reset can say so. */
	if (stream->download.encoding == ENCODE_CHUNKED || stream->download.decoder.kind == BODY_LENGTH)
		return STREAM_END_CLOSE;
	return stream->back->says_length(stream) ? STREAM_END_CLOSE : STREAM_END_RESET;
}

/* ------------------------------------------------------------------------------------ our own answers */

/* Only while nothing was answered: a backend's answer that is under way reads from what this gives back. */
static void response_drop_attempt(struct stream *stream)
{
	attempt_drop(stream);
	relay_detach(&stream->upload);
	if (stream->upstream)
		stream->back->drop(stream, true);
}

/* An answer of our own. */
struct local_answer {
	uint16_t status;
	enum end_reason reason;
	struct span body;
	struct span type; /* of the body; empty: text */
	struct span location; /* empty: none */
};

static int response_add_facts(struct stream *stream, struct fields *fields, const struct local_answer *answer)
{
	enum end_reason reason = answer->reason;
	int error = 0;

	fields_init(fields, &stream->exchange->arena);
	if (answer->location.len)
		error = fields_add(fields, SPAN("location"), answer->location);
	/* RFC 9110 15.5.6: a 405 says what would do. */
	if (!error && answer->status == 405 && reason != END_LOCAL_REPLY)
		error = fields_add(fields, SPAN("allow"),
				   SPAN("GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH"));
	if (!error && stream->lease->snapshot->config.expose_close_reason && reason != END_LOCAL_REPLY)
		error = fields_add(fields, SPAN("x-headgate-close-reason"),
				   span_str(end_reason_text(reason)));
	return error;
}

/*
 * Who made a gRPC call does not look at the status: an error of ours travels as one of gRPC, in a head that
 * is the whole response. What a rule answers on purpose stays as it was written.
 */
static int response_say_as_grpc(struct stream *stream, struct reply *reply, struct fields *fields,
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

static enum stream_step response_reply(struct stream *stream, const struct local_answer *answer)
{
	struct fields fields;
	struct reply reply = {
		.status = answer->status,
		.body = answer->body,
		.content_type = answer->type,
		.fields = &fields,
		.is_head = stream->exchange->head.method == METHOD_HEAD,
		.date = proxy_date(stream->proxy),
	};

	stream->reason = answer->reason;
	stream->status = answer->status;
	if (response_add_facts(stream, &fields, answer) < 0 ||
	    response_say_as_grpc(stream, &reply, &fields, answer->reason) < 0 ||
	    stream->front->send_reply(stream, &reply) < 0) {
		stream_finish(stream, END_INTERNAL, STREAM_END_RESET);
		return STEP_WAIT;
	}
	stream->head_sent = true;
	stream->download.payload_bytes = reply.is_head ? 0 : reply.body.len;
	stream->exchange->reply_deadline_ms = proxy_now_ms(stream->proxy) + LIMIT_REPLY_MS;
	stream_set_state(stream, STREAM_REPLY);
	response_flush_reply(stream);
	return STEP_WAIT;
}

enum stream_step response_error(struct stream *stream, uint16_t status, struct span body,
				enum end_reason reason)
{
	if (stream->is_tcp || stream->head_sent) {
		stream_finish(stream, reason, STREAM_END_RESET);
		return STEP_WAIT;
	}
	response_drop_attempt(stream);
	stream->exchange->error = body;
	return response_reply(stream,
			      &(struct local_answer){ .status = status, .reason = reason, .body = body });
}

enum stream_step response_local(struct stream *stream, uint16_t status, struct span body,
				struct span location)
{
	return response_reply(stream, &(struct local_answer){ .status = status,
							      .reason = END_LOCAL_REPLY,
							      .body = body,
							      .location = location });
}

static bool is_secret(const struct field *field)
{
	return field->id == FIELD_AUTHORIZATION || field->id == FIELD_PROXY_AUTHORIZATION ||
	       field->id == FIELD_COOKIE;
}

enum stream_step response_trace(struct stream *stream)
{
	const struct request_head *head = &stream->exchange->head;
	struct local_answer answer = { .status = 200,
				       .reason = END_LOCAL_REPLY,
				       .type = SPAN("message/http") };
	struct text text;

	text_init(&text);
	text_fmt(&text, "%.*s %.*s HTTP/%s\r\n", SPAN_FMT(head->method_text), SPAN_FMT(head->target),
		 head->version_major == 2 ? "2" : head->version_minor ? "1.1" : "1.0");
	for (uint32_t i = 0; i < head->fields.count; i++) {
		const struct field *field = &head->fields.list[i];

		if (!is_secret(field))
			text_fmt(&text, "%.*s: %.*s\r\n", SPAN_FMT(field->name), SPAN_FMT(field->value));
	}
	text_str(&text, "\r\n");
	if (!text_error(&text))
		answer.body = arena_copy(&stream->exchange->arena, text_span(&text));
	text_done(&text);
	if (!answer.body.data)
		return response_error(stream, 500, SPAN("no memory"), END_INTERNAL);
	return response_reply(stream, &answer);
}

static enum end_reason response_bad_reason(uint16_t status)
{
	if (status == 408)
		return END_HEAD_TIMEOUT;
	return status == 414 || status == 431 ? END_HEAD_TOO_LARGE : END_REQUEST_BAD;
}

enum stream_step response_bad_request(struct stream *stream, enum http_bad bad)
{
	uint16_t status = http_bad_status(bad);

	counter_add(stream->proxy->counters, COUNTER_BAD_REQUESTS, 1);
	stream->exchange->error = span_str(http_bad_text(bad));
	stream->close_client = true;
	if (stream->head_sent || stream->front->check(stream) == -EPROTO) {
		stream_finish(stream, stream->head_sent ? END_REQUEST_BAD : response_bad_reason(status),
			      STREAM_END_RESET);
		return STEP_WAIT;
	}
	response_drop_attempt(stream);
	return response_reply(stream, &(struct local_answer){ .status = status,
							      .reason = response_bad_reason(status) });
}

void response_flush_reply(struct stream *stream)
{
	int result = stream->front->flush(stream);

	if (result < 0)
		stream_finish(stream, END_CLIENT_RST, STREAM_END_RESET);
	else if (result > 0)
		stream_finish(stream, stream->reason,
			      stream->close_client ? STREAM_END_LINGER : STREAM_END_CLEAN);
}
