/* SPDX-License-Identifier: Apache-2.0 */
#include "user/client/client.h"
#include "user/codec/codec.h"
#include "user/http/h1_parse.h"
#include "user/http/h1_write.h"
#include "user/http/hop_by_hop.h"

/* ------------------------------------------------------------------------------------ the request */

enum http_error downstream_codec_h1_parse(struct stream *stream, struct span bytes)
{
	struct exchange *exchange = stream->exchange;
	enum http_error http_error =
		h1_parse_request(bytes, &exchange->arena, &exchange->head, &exchange->request_framing);

	/* Set these even if the head is bad: the log prints what was parsed. */
	exchange->texts.method = exchange->head.method_text;
	stream->client_major = exchange->head.version_major;
	if (http_error)
		return http_error;
	stream_note_request(stream);
	stream->client_keeps = framing_request_keeps(&exchange->head);
	stream->client_minor = exchange->head.version_minor;
	return upgrade_of_request(&exchange->head, &exchange->upgrade);
}

/* ------------------------------------------------------------------------------------ the response */

/*
 * Bytes after a request for a protocol switch that was not granted: they may belong to that protocol or to
 * the next request.
 */
static bool h1_has_doubtful_bytes(struct stream *stream)
{
	return stream->exchange->upgrade.is_wanted && !conn_is_silent(&stream->client->conn);
}

static int downstream_codec_h1_send_interim(struct stream *stream)
{
	static const struct body_framing none = { .kind = BODY_NONE };
	struct h1_write_options options = { .version_minor = 1 };
	struct conn *client = &stream->client->conn;
	int error;

	/*
	 * HTTP/1.0 has no interim responses (RFC 9110 15.2), and a client that does not read them gets no
	 * more.
	 */
	if (stream->client_minor < 1 || buf_len(&client->out) >= LIMIT_HEAD_BYTES)
		return 0;
	error = hop_by_hop_strip_response(&stream->exchange->response);
	if (!error)
		error = h1_write_response(&client->out, &stream->exchange->response, &none, &options);
	if (!error)
		error = conn_flush(client);
	stream->is_continued |= stream->exchange->response.status == 100;
	return error;
}

/* Chooses how the body is encoded for this client. */
static enum relay_encoding h1_encoding(const struct stream *stream, struct body_framing *framing)
{
	if (framing->kind == BODY_NONE || framing->kind == BODY_LENGTH)
		return ENCODE_PLAIN;
	if (stream->client_minor >= 1) {
		framing->kind = BODY_CHUNKED;
		return ENCODE_CHUNKED;
	}
	framing->kind = BODY_UNTIL_CLOSE;
	return ENCODE_PLAIN;
}

static enum h1_connection h1_connection(struct stream *stream, const struct body_framing *framing)
{
	if (!stream->client_keeps || client_is_ending(stream->client) || framing->kind == BODY_UNTIL_CLOSE ||
	    (!stream_has_whole_request(stream) && !stream_request_may_outlast(stream)) ||
	    h1_has_doubtful_bytes(stream))
		stream->close_client = true;
	if (stream->close_client)
		return H1_CONNECTION_CLOSE;
	return stream->client_minor == 0 ? H1_CONNECTION_KEEP_ALIVE : H1_CONNECTION_DEFAULT;
}

static int downstream_codec_h1_send_head(struct stream *stream, struct body_framing *framing,
					 enum relay_encoding *ret_encoding)
{
	struct h1_write_options options = { .version_minor = 1 };

	*ret_encoding = h1_encoding(stream, framing);
	options.connection = h1_connection(stream, framing);
	return h1_write_response(&stream->client->conn.out, &stream->exchange->response, framing, &options);
}

static int downstream_codec_h1_send_switch(struct stream *stream, struct span protocol)
{
	static const struct body_framing none = { .kind = BODY_NONE };
	struct h1_write_options options = { .version_minor = 1, .upgrade = protocol };

	if (protocol.len)
		options.connection = H1_CONNECTION_UPGRADE;
	stream->status = stream->exchange->response.status;
	return h1_write_response(&stream->client->conn.out, &stream->exchange->response, &none, &options);
}

static void downstream_codec_h1_begin_tunnel(struct stream *stream)
{
	client_become_tunnel(stream->client);
}

static int downstream_codec_h1_send_reply(struct stream *stream, struct reply *reply)
{
	if (!stream->client_keeps || !stream_has_whole_request(stream) || client_is_ending(stream->client) ||
	    h1_has_doubtful_bytes(stream))
		stream->close_client = true;
	reply->close = stream->close_client;
	reply->keep_alive_1_0 = !reply->close && stream->client_minor == 0;
	return reply_write(&stream->client->conn.out, reply);
}

static int downstream_codec_h1_flush(struct stream *stream)
{
	struct conn *client = &stream->client->conn;
	int error = conn_flush(client);

	return error ? error : !conn_has_output(client);
}

static int downstream_codec_h1_check(struct stream *stream)
{
	return conn_check(&stream->client->conn);
}

static bool downstream_codec_h1_has_closed(const struct stream *stream)
{
	return conn_has_fin(&stream->client->conn);
}

static bool downstream_codec_h1_has_answer(const struct stream *stream)
{
	(void)stream;
	return false; /* the stream would have ended already */
}

static uint32_t downstream_codec_h1_reset_code(const struct stream *stream)
{
	(void)stream;
	return 0;
}

static bool downstream_codec_h1_is_behind(const struct stream *stream)
{
	return conn_has_output(&stream->client->conn);
}

static bool downstream_codec_h1_is_waiting(const struct stream *stream, uint64_t *ret_acked_bytes)
{
	const struct conn *client = &stream->client->conn;

	*ret_acked_bytes = conn_acked_bytes(client);
	return conn_is_behind(client);
}

static void downstream_codec_h1_touch(struct stream *stream)
{
	(void)stream;
}

static bool downstream_codec_h1_has_more(struct stream *stream)
{
	return stream->client->conn.can_read || buf_len(&stream->client->conn.in);
}

/* can_read is only a guess while the kernel lane reads. */
static bool downstream_codec_h1_has_unread(const struct stream *stream)
{
	const struct conn *client = &stream->client->conn;

	return buf_len(&client->in) || conn_has_unread(client);
}

static struct relay_end downstream_codec_h1_end(const struct stream *stream)
{
	return (struct relay_end){ .conn = &stream->client->conn };
}

static void downstream_codec_h1_finish(struct stream *stream, enum end_reason reason, enum stream_end end)
{
	struct client *client = stream->client;

	client->stream = NULL;
	if (end == STREAM_END_LINGER)
		client_linger(client);
	else if (end == STREAM_END_CLEAN && !stream->close_client)
		client_next(client);
	else
		client_close(client, reason, end == STREAM_END_RESET);
}

const struct downstream downstream_codec_h1 = {
	.has_answer = downstream_codec_h1_has_answer,
	.reset_code = downstream_codec_h1_reset_code,
	.is_behind = downstream_codec_h1_is_behind,
	.is_waiting = downstream_codec_h1_is_waiting,
	.touch = downstream_codec_h1_touch,
	.send_interim = downstream_codec_h1_send_interim,
	.send_head = downstream_codec_h1_send_head,
	.send_switch = downstream_codec_h1_send_switch,
	.begin_tunnel = downstream_codec_h1_begin_tunnel,
	.send_reply = downstream_codec_h1_send_reply,
	.flush = downstream_codec_h1_flush,
	.check = downstream_codec_h1_check,
	.has_closed = downstream_codec_h1_has_closed,
	.has_more = downstream_codec_h1_has_more,
	.has_unread = downstream_codec_h1_has_unread,
	.end = downstream_codec_h1_end,
	.finish = downstream_codec_h1_finish,
};
