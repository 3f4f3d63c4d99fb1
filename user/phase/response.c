/* SPDX-License-Identifier: Apache-2.0 */
#include "user/phase/response.h"

#include <errno.h>

#include "policy/guard/size.h"
#include "policy/headers.h"
#include "user/base/text.h"
#include "user/http/body.h"
#include "user/http/grpc.h"
#include "user/http/hop_by_hop.h"
#include "user/phase/affinity.h"
#include "user/phase/session.h"
#include "user/phase/transform.h"
#include "user/phase/transform_body.h"
#include "user/stream/downstream.h"
#include "user/stream/step.h"
#include "user/stream/upstream_side.h"

/* A recipient with a clock adds a missing Date (RFC 9110 6.6.1). 0 or -ENOMEM. */
static int response_add_date(struct stream *stream)
{
	struct fields *fields = &stream->exchange->response.fields;

	if (fields_have(fields, FIELD_DATE) || stream->exchange->response.status < 200)
		return 0;
	return fields_put(fields, &(struct field){ SPAN("Date"), proxy_date(stream->proxy), FIELD_DATE });
}

static int response_prepare_head(struct stream *stream)
{
	const struct route_policies *policies = &stream->route->effective;
	int error = hop_by_hop_strip_response(&stream->exchange->response);

	if (!error)
		error = response_add_date(stream);
	if (!error && stream->lease->snapshot->config.via)
		error = hop_by_hop_add_via(&stream->exchange->response.fields,
					   stream->exchange->response.version_major,
					   stream->exchange->response.version_minor);
	if (!error)
		error = guard_apply(&stream->exchange->guard_fields, &stream->exchange->response.fields);
	if (!error)
		error = guard_apply_additions(&stream->exchange->guard_additions,
					      &stream->exchange->response.fields);
	if (!error && policies->response_headers)
		error = headers_modify(&stream->exchange->response.fields, policies->response_headers);
	if (!error && stream->backend->response_headers)
		error = headers_modify(&stream->exchange->response.fields, stream->backend->response_headers);
	if (!error && policies->session)
		error = session_answer(stream);
	if (!error)
		error = affinity_answer(stream);
	if (!error)
		error = transform_answer(stream);
	return error;
}

/*
 * True if the bytes received together with the head are not a valid body. Nothing was forwarded yet, so the
 * client can still get an error response.
 */
static bool response_begins_badly(const struct stream *stream, const struct body_framing *framing)
{
	const struct conn *conn = stream->upstream_side->end(stream).conn;
	struct span rest = conn ? buf_span(&conn->in) : (struct span){ 0 };
	enum body_step step = BODY_DATA;
	struct body_decoder decoder;

	if (framing->kind != BODY_CHUNKED || !rest.len)
		return false;
	body_decoder_init(&decoder, framing);
	while (step == BODY_DATA) {
		struct span payload;
		size_t consumed = 0;

		step = body_decode(&decoder, rest, &consumed, &payload);
		rest = span_from(rest, consumed);
	}
	body_decoder_done(&decoder);
	return step == BODY_BAD;
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
	step = step_reply(stream, 502, arena_copy(&stream->exchange->arena, text_span(&text)),
			  END_UPGRADE_MISMATCH);
	text_done(&text);
	return step;
}

static enum stream_step response_no_head(struct stream *stream)
{
	return step_reply(stream, 500, SPAN("the response head could not be written"), END_INTERNAL);
}

static enum stream_step response_switch(struct stream *stream)
{
	const struct field *upgrade = fields_get(&stream->exchange->response.fields, FIELD_UPGRADE);
	struct span protocol;

	if (!stream->exchange->upgrade.is_wanted || !upgrade)
		return step_fail(stream, TRY_RESPONSE_BAD, 0);
	/* Otherwise the backend's next bytes would reach a client that still sends its request. */
	if (stream->upload.state != RELAY_DONE)
		return step_fail(stream, TRY_RESPONSE_BAD, 0);
	if (!upgrade_accepts(&stream->exchange->response, &stream->exchange->upgrade))
		return response_refuse_switch(stream, upgrade->value);
	protocol = upgrade->value; /* response_prepare_head() removes the field, not its bytes */
	if (response_prepare_head(stream) < 0 || stream->downstream->send_switch(stream, protocol) < 0)
		return response_no_head(stream);
	stream->head_sent = true;
	stream->is_upgraded = true;
	return STEP_TUNNEL;
}

/* The head is written. 0, or -errno like conn_send(). */
static int response_begin_download(struct stream *stream, const struct body_framing *framing,
				   enum relay_encoding encoding)
{
	const struct guard_use *size;
	uint64_t most_bytes;

	if (stream->state == STREAM_HOLD) {
		stream->exchange->answer.is_spare = true;
		return relay_replay(&stream->download, stream->downstream->end(stream), encoding);
	}
	relay_start(&stream->download, stream->upstream_side->end(stream), stream->downstream->end(stream),
		    framing, encoding, stream->lease->snapshot->config.splice.lane_pipe,
		    proxy_now_ms(stream->proxy));
	size = size_guard(&stream->route->effective.guards, true, &most_bytes);
	if (size && framing->kind != BODY_LENGTH)
		relay_limit(&stream->download, most_bytes);
	stream_offer_sockmap(stream, &stream->download, stream_has_whole_request(stream));
	return 0;
}

static enum stream_step response_untransformed(struct stream *stream, int error)
{
	switch (error) {
	case -ENOBUFS:
		return step_reply(stream, 503, SPAN("too many bodies are held"), END_LIMIT);
	case -E2BIG:
	case -EBADMSG:
	case -EMEDIUMTYPE:
		return step_reply(stream, 502, SPAN("the response cannot be transformed"),
				  END_BODY_UNCHANGED);
	default:
		return response_no_head(stream);
	}
}

/* The length is known now, but trailers need chunks. */
static struct body_framing response_held_framing(const struct stream *stream)
{
	const struct relay *download = &stream->download;
	bool has_trailers = body_trailer_bytes(&download->decoder).len ||
			    (download->h2_source && download->h2_source->trailers);
	uint64_t bytes = stream->exchange->answer.bytes;

	if (download->decoder.kind == BODY_NONE || download->decoder.kind == BODY_LENGTH ||
	    (bytes && !has_trailers))
		return framing_of_length(bytes);
	return (struct body_framing){ .kind = download->decoder.kind };
}

/* framing: of the backend's body, which a transformation may have replaced. */
static enum stream_step response_send(struct stream *stream, const struct body_framing *framing)
{
	struct body_framing out = *framing;
	enum relay_encoding encoding;
	int error = response_prepare_head(stream);

	if (error)
		return response_untransformed(stream, error);
	if (stream->state == STREAM_HOLD)
		out = response_held_framing(stream);
	else if (transform_makes_answer(stream))
		out.announces_length = false;
	if (stream->downstream->send_head(stream, &out, &encoding) < 0)
		return response_no_head(stream);
	stream->status = stream->exchange->response.status;
	stream->head_sent = true;
	if (stream->is_grpc)
		stream->grpc_status = (int16_t)grpc_status_read(&stream->exchange->response.fields);
	error = response_begin_download(stream, framing, encoding);
	if (error)
		return step_end(stream, conn_end_reason(error, END_CLIENT_RST), STREAM_END_RESET);
	stream_set_state(stream, STREAM_RELAY);
	return STEP_PUMP;
}

static enum stream_step response_too_large(struct stream *stream)
{
	return step_reply(stream, 502, SPAN("response body too large"), END_BODY_TOO_LARGE);
}

static enum stream_step response_hold(struct stream *stream, const struct body_framing *framing)
{
	uint32_t most_bytes = transform_most_bytes(stream, true);
	struct exchange *exchange = stream->exchange;

	if (framing->kind == BODY_LENGTH && framing->length > most_bytes)
		return response_too_large(stream);
	exchange->answer.wanted_bytes = most_bytes + 1;
	relay_hold(&stream->download, stream->upstream_side->end(stream), framing, &exchange->answer,
		   proxy_now_ms(stream->proxy));
	stream_set_state(stream, STREAM_HOLD);
	return STEP_PUMP;
}

static enum stream_step response_broken(struct stream *stream)
{
	const struct relay *download = &stream->download;

	switch (download->fail) {
	case RELAY_FAIL_SOURCE_SHORT:
		return step_reply(stream, 502, SPAN("the response ended too early"), END_UPSTREAM_FIN);
	case RELAY_FAIL_SOURCE_ERROR:
		stream->reset_code = stream->upstream_side->reset_code(stream);
		return step_reply(stream, 502, SPAN("the response ended too early"),
				  conn_end_reason(relay_source_error(download), END_UPSTREAM_RST));
	case RELAY_FAIL_SOURCE_BAD:
		counter_add(stream->proxy->counters, COUNTER_BAD_RESPONSES, 1);
		return step_reply(stream, 502, SPAN("malformed response"), END_RESPONSE_BAD);
	default:
		return response_untransformed(stream, -ENOBUFS);
	}
}

enum stream_step response_held(struct stream *stream)
{
	const struct relay *download = &stream->download;
	struct body_framing framing = { .kind = download->decoder.kind };

	if (download->state == RELAY_FAILED)
		return response_broken(stream);
	if (!relay_has_held(download))
		return STEP_WAIT;
	if (!download->decoder.is_done ||
	    stream->exchange->answer.bytes >= stream->exchange->answer.wanted_bytes)
		return response_too_large(stream);
	proxy_trace(stream->proxy, stream->id, TRACE_BODY_HELD, stream->exchange->answer.bytes, 1);
	return response_send(stream, &framing);
}

enum stream_step response_start(struct stream *stream)
{
	struct body_framing framing;
	const struct guard_use *size;
	uint64_t most_bytes;

	if (stream->upstream_side->framing(stream, &framing))
		return step_fail(stream, TRY_RESPONSE_BAD, 0);
	if (framing.kind == BODY_TUNNEL)
		return response_switch(stream);
	if (response_begins_badly(stream, &framing))
		return step_fail(stream, TRY_RESPONSE_BAD, 0);
	if (stream->exchange->upgrade.must_switch && stream->exchange->response.status < 300)
		return step_reply(stream, 502, SPAN("the backend did not open the WebSocket"),
				  END_UPGRADE_MISMATCH);
	size = size_guard(&stream->route->effective.guards, true, &most_bytes);
	if (size && framing.kind == BODY_LENGTH && framing.length > most_bytes)
		return step_reply(stream, 502, SPAN("response body too large"), size->guard->reason);
	if (transform_must_refuse(stream))
		return response_untransformed(stream, -EMEDIUMTYPE);
	return transform_holds_answer(stream) ? response_hold(stream, &framing)
					      : response_send(stream, &framing);
}

enum stream_step response_done(struct stream *stream)
{
	if (!relay_is_finished(&stream->upload) && !stream->close_client &&
	    stream_request_may_outlast(stream)) {
		stream_arm(stream);
		return STEP_WAIT;
	}
	if (!stream_has_whole_request(stream) ||
	    (stream->close_client && stream->downstream->has_more(stream)))
		return step_end(stream, END_OK, STREAM_END_LINGER);
	return step_end(stream, END_OK, STREAM_END_CLEAN);
}

enum stream_end response_truncated(const struct stream *stream)
{
	/* With a length or chunks the client notices missing bytes; otherwise only a reset shows it. */
	if (stream->download.encoding == ENCODE_CHUNKED || stream->download.decoder.kind == BODY_LENGTH)
		return STREAM_END_CLOSE;
	return stream->upstream_side->says_length(stream) ? STREAM_END_CLOSE : STREAM_END_RESET;
}
