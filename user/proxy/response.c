/* SPDX-License-Identifier: Apache-2.0 */
#include "user/proxy/response.h"

#include "policy/headers.h"
#include "user/base/limits.h"
#include "user/http/h1_write.h"
#include "user/http/hop.h"
#include "user/http/reply.h"
#include "user/proxy/attempt.h"
#include "user/proxy/client.h"
#include "user/proxy/tunnel.h"
#include "user/proxy/upstream.h"

/* The request body, if there is one, was read to its end. */
static bool request_is_complete(const struct stream *stream)
{
	if (stream->request_framing.kind == BODY_NONE)
		return true;
	return stream->upload.state != RELAY_OFF && stream->upload.decoder.is_done;
}

/*
 * Whether the rest of the request body may be relayed after the response is complete, so that both
 * connections stay. Not when the client still waits for a 100: it may never send the body, and go on with
 * another request instead.
 */
static bool request_may_outlast(const struct stream *stream)
{
	return stream->response.status < 400 && stream->upstream->is_reusable && !stream->upload_dead &&
	       (stream->is_continued || !fields_have(&stream->head.fields, FIELD_EXPECT));
}

/*
 * Bytes behind a request that asked for another protocol, and did not get it, may be the begin of that
 * protocol as well as the next request.
 */
static bool request_has_doubtful_bytes(struct stream *stream)
{
	return stream->upgrade.is_wanted && !conn_is_silent(&stream->client->conn);
}

bool response_interim(struct stream *stream)
{
	static const struct body_framing none = { .kind = BODY_NONE };
	struct h1_write_options options = { .version_minor = 1 };
	struct conn *client = &stream->client->conn;
	int error = 0;

	/* HTTP/1.0 has no interim responses (RFC 9110 15.2); who reads none gets no more of them. */
	if (stream->client_minor >= 1 && buf_len(&client->out) < LIMIT_HEAD_BYTES) {
		error = hop_strip_response(&stream->response);
		if (!error)
			error = h1_write_response(&client->out, &stream->response, &none, &options);
		if (!error)
			error = conn_flush(client);
		stream->is_continued |= stream->response.status == 100;
	}
	arena_reset(&stream->response_arena);
	if (error) {
		stream_finish(stream, client->send_error ? END_CLIENT_RST : END_INTERNAL, STREAM_END_RESET);
		return false;
	}
	return true;
}

static int response_prepare_head(struct stream *stream)
{
	const struct route_policies *policies = &stream->route->effective;
	int error = hop_strip_response(&stream->response);

	if (!error && stream->lease->snapshot->config.via)
		error = hop_add_via(&stream->response.fields, stream->response.version_major,
				    stream->response.version_minor);
	if (!error && policies->response_headers)
		error = headers_modify(&stream->response.fields, policies->response_headers);
	if (!error && stream->backend->response_headers)
		error = headers_modify(&stream->response.fields, stream->backend->response_headers);
	return error;
}

/* False when the client was answered with an error instead. */
static bool response_write_head(struct stream *stream, const struct body_framing *framing,
				const struct h1_write_options *options)
{
	int error = response_prepare_head(stream);

	if (!error)
		error = h1_write_response(&stream->client->conn.out, &stream->response, framing, options);
	if (error)
		response_error(stream, 500, SPAN("the response head could not be written"), END_INTERNAL);
	return !error;
}

static bool response_switch(struct stream *stream)
{
	static const struct body_framing none = { .kind = BODY_NONE };
	struct h1_write_options options = { .connection = H1_CONNECTION_UPGRADE, .version_minor = 1 };
	const struct field *upgrade = fields_get(&stream->response.fields, FIELD_UPGRADE);

	if (!stream->upgrade.is_wanted || !upgrade) {
		attempt_failed(stream, TRY_RESPONSE_BAD, 0);
		return false;
	}
	if (!upgrade_accepts(&stream->response, &stream->upgrade)) {
		struct text text;

		text_init(&text);
		text_str(&text, "request upgrade failed, backend tried ");
		text_escaped(&text, upgrade->value);
		text_str(&text, " but ");
		text_escaped(&text, stream->upgrade.protocol);
		text_str(&text, " was requested");
		response_error(stream, 502, arena_copy(&stream->arena, text_span(&text)),
			       END_UPGRADE_MISMATCH);
		text_done(&text);
		return false;
	}
	options.upgrade = upgrade->value;
	if (!response_write_head(stream, &none, &options))
		return false;
	stream->status = 101;
	stream->head_sent = true;
	stream->is_upgraded = true;
	tunnel_start(stream);
	return false;
}

/* How the body travels on to this client. */
static enum relay_encoding response_encoding(const struct stream *stream, struct body_framing *framing)
{
	if (framing->kind != BODY_CHUNKED && framing->kind != BODY_UNTIL_CLOSE)
		return ENCODE_PLAIN;
	if (stream->client_minor >= 1) {
		framing->kind = BODY_CHUNKED;
		return ENCODE_CHUNKED;
	}
	framing->kind = BODY_UNTIL_CLOSE;
	return ENCODE_PLAIN;
}

static enum h1_connection response_connection(struct stream *stream, const struct body_framing *framing)
{
	if (!stream->client_keeps || client_is_ending(stream->client) || framing->kind == BODY_UNTIL_CLOSE ||
	    (!request_is_complete(stream) && !request_may_outlast(stream)) ||
	    request_has_doubtful_bytes(stream))
		stream->close_client = true;
	if (stream->close_client)
		return H1_CONNECTION_CLOSE;
	return stream->client_minor == 0 ? H1_CONNECTION_KEEP_ALIVE : H1_CONNECTION_DEFAULT;
}

bool response_start(struct stream *stream)
{
	struct body_framing framing;
	struct body_framing out;
	struct h1_write_options options = { .version_minor = 1 };
	struct upstream *upstream = stream->upstream;
	enum relay_encoding encoding;

	if (framing_response(&stream->response, stream->head.method, &framing)) {
		attempt_failed(stream, TRY_RESPONSE_BAD, 0);
		return false;
	}
	if (framing.kind == BODY_TUNNEL)
		return response_switch(stream);
	upstream->is_reusable = framing_response_keeps(&stream->response) && framing.kind != BODY_UNTIL_CLOSE;
	upstream->keep_alive_s = framing_keep_alive_s(&stream->response);
	out = framing;
	encoding = response_encoding(stream, &out);
	options.connection = response_connection(stream, &out);
	if (!response_write_head(stream, &out, &options))
		return false;
	stream->status = stream->response.status;
	stream->head_sent = true;
	relay_start(&stream->download, &upstream->conn, &stream->client->conn, &framing, encoding,
		    stream->lease->snapshot->config.splice.lane_pipe, proxy_now_ms(stream->proxy));
	stream_offer_gate(stream, &stream->download, request_is_complete(stream));
	stream_set_state(stream, STREAM_RELAY);
	return true;
}

bool response_done(struct stream *stream)
{
	struct client *client = stream->client;

	if (!relay_is_finished(&stream->upload) && !stream->close_client && request_may_outlast(stream)) {
		stream_arm(stream);
		return false;
	}
	if (!request_is_complete(stream) ||
	    (stream->close_client && (client->conn.can_read || buf_len(&client->conn.in))))
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
	return STREAM_END_RESET;
}

/* ------------------------------------------------------------------------------------ our own answers */

static void response_drop_try(struct stream *stream)
{
	struct upstream *upstream = stream->upstream;

	attempt_stop_try(stream);
	stream->upstream = NULL;
	relay_detach(&stream->upload);
	if (upstream)
		upstream_close(upstream, true);
}

static int response_add_facts(struct stream *stream, struct fields *fields, struct span location,
			      enum end_reason reason)
{
	int error = 0;

	fields_init(fields, &stream->arena);
	if (location.len)
		error = fields_add(fields, SPAN("location"), location);
	if (!error && stream->lease->snapshot->config.expose_close_reason && reason != END_LOCAL_REPLY)
		error = fields_add(fields, SPAN("x-headgate-close-reason"),
				   span_str(end_reason_text(reason)));
	return error;
}

static void response_reply(struct stream *stream, uint16_t status, struct span body, struct span location,
			   enum end_reason reason)
{
	struct fields fields;
	struct reply reply = {
		.status = status,
		.body = body,
		.fields = &fields,
		.is_head = stream->head.method == METHOD_HEAD,
		.date = proxy_date(stream->proxy),
	};

	stream->reason = reason;
	stream->status = status;
	if (!stream->client_keeps || !request_is_complete(stream) || client_is_ending(stream->client) ||
	    request_has_doubtful_bytes(stream))
		stream->close_client = true;
	reply.close = stream->close_client;
	reply.keep_alive_1_0 = !reply.close && stream->client_minor == 0;
	if (response_add_facts(stream, &fields, location, reason) < 0 ||
	    reply_write(&stream->client->conn.out, &reply) < 0) {
		stream_finish(stream, END_INTERNAL, STREAM_END_RESET);
		return;
	}
	stream->head_sent = true;
	stream->download.payload_bytes = reply.is_head ? 0 : body.len;
	stream->reply_deadline_ms = proxy_now_ms(stream->proxy) + LIMIT_REPLY_MS;
	stream_set_state(stream, STREAM_REPLY);
	response_flush_reply(stream);
}

void response_error(struct stream *stream, uint16_t status, struct span body, enum end_reason reason)
{
	response_drop_try(stream);
	if (stream->is_tcp || stream->head_sent) {
		stream_finish(stream, reason, STREAM_END_RESET);
		return;
	}
	stream->error = body;
	response_reply(stream, status, body, (struct span){ 0 }, reason);
}

void response_local(struct stream *stream, uint16_t status, struct span body, struct span location)
{
	response_reply(stream, status, body, location, END_LOCAL_REPLY);
}

void response_bad_request(struct stream *stream, enum http_bad bad)
{
	uint16_t status = http_bad_status(bad);

	counter_add(stream->proxy->counters, COUNTER_BAD_REQUESTS, 1);
	response_drop_try(stream);
	stream->error = span_str(http_bad_text(bad));
	stream->is_bad_request = true;
	stream->close_client = true;
	if (stream->head_sent)
		stream_finish(stream, END_REQUEST_BAD, STREAM_END_RESET);
	else
		response_reply(stream, status, (struct span){ 0 }, (struct span){ 0 },
			       status == 414 || status == 431 ? END_HEAD_TOO_LARGE : END_REQUEST_BAD);
}

void response_flush_reply(struct stream *stream)
{
	struct conn *client = &stream->client->conn;

	if (conn_flush(client) < 0) {
		stream_finish(stream, END_CLIENT_RST, STREAM_END_RESET);
		return;
	}
	if (conn_has_output(client))
		return;
	stream_finish(stream, stream->reason, stream->close_client ? STREAM_END_LINGER : STREAM_END_CLEAN);
}
