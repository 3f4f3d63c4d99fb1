/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "user/base/limits.h"
#include "user/codec/codec.h"
#include "user/client/client.h"
#include "user/http/connection_auth.h"
#include "user/http/h1_write.h"
#include "user/relay/conn_bypass.h"
#include "user/upstream/discard.h"

static void upstream_codec_h1_bind(struct stream *stream)
{
	upstream_attach(stream->upstream, stream, stream->proxy->pool.on_stream);
	conn_choose_tcp(&stream->upstream->conn);
}

static bool upstream_codec_h1_is_alive(const struct stream *stream)
{
	return conn_is_open(&stream->upstream->conn) && !stream->upstream->conn.error;
}

static void upstream_codec_h1_nothing(struct stream *stream)
{
	(void)stream;
}

static uint32_t upstream_codec_h1_reset_code(const struct stream *stream)
{
	(void)stream;
	return 0;
}

static bool upstream_codec_h1_says_length(const struct stream *stream)
{
	(void)stream;
	return false;
}

/* Chunked trailers pass through the relay and are not kept. */
static const struct fields *upstream_codec_h1_trailers(const struct stream *stream)
{
	(void)stream;
	return NULL;
}

static int upstream_codec_h1_send_head(struct stream *stream)
{
	struct h1_write_options options = { .version_minor = 1 };
	struct body_framing framing = stream->exchange->request_framing;

	if (framing.kind == BODY_FRAMED)
		framing.kind = BODY_CHUNKED;
	stream->upstream->is_bound |= connection_auth_is_sent(&stream->exchange->head.fields);
	if (stream->exchange->upgrade.is_wanted) {
		options.connection = H1_CONNECTION_UPGRADE;
		options.upgrade = stream->exchange->upgrade.protocol;
	}
	return h1_write_request(&stream->upstream->conn.out, &stream->exchange->head, &framing, &options);
}

static enum relay_encoding upstream_codec_h1_encoding(const struct stream *stream)
{
	enum body_kind kind = stream->exchange->request_framing.kind;

	return kind == BODY_CHUNKED || kind == BODY_FRAMED ? ENCODE_CHUNKED : ENCODE_PLAIN;
}

static enum upstream_head upstream_codec_h1_read_head(struct stream *stream, enum http_error *ret_error)
{
	/* The bytes after the head must fit in the window of an HTTP/2 client's stream. */
	size_t most = stream->downstream_codec_h2 ? h2_stream_read_bytes(stream->downstream_codec_h2, 0)
						  : LIMIT_READ_BYTES;

	return upstream_read_head(stream->upstream, most, &stream->exchange->response_arena,
				  &stream->exchange->response, ret_error);
}

static enum http_error upstream_codec_h1_framing(struct stream *stream, struct body_framing *ret_framing)
{
	struct upstream *upstream = stream->upstream;
	enum http_error http_error =
		framing_response(&stream->exchange->response, stream->exchange->head.method, ret_framing);

	if (http_error || ret_framing->kind == BODY_TUNNEL)
		return http_error;
	upstream->is_reusable =
		framing_response_keeps(&stream->exchange->response) && ret_framing->kind != BODY_UNTIL_CLOSE;
	upstream->keep_alive_s = framing_keep_alive_s(&stream->exchange->response);
	upstream->is_bound |= connection_auth_is_asked(&stream->exchange->response);
	return HTTP_ERROR_NONE;
}

static struct relay_end upstream_codec_h1_end(const struct stream *stream)
{
	return (struct relay_end){ .conn = &stream->upstream->conn };
}

static int upstream_codec_h1_error(const struct stream *stream)
{
	return stream->upstream->conn.error;
}

static int upstream_codec_h1_check(struct stream *stream)
{
	return conn_check(&stream->upstream->conn);
}

static bool upstream_codec_h1_has_response(const struct stream *stream)
{
	return stream->upstream->has_response_bytes;
}

/*
 * True if no byte of the request was sent, or if the backend closed before one arrived. A FIN acknowledges
 * everything received before it was sent, so the backend had seen nothing of a request that it does not
 * acknowledge. A reset proves nothing: a backend that reads a request and resets at once is quicker than its
 * delayed acknowledgement.
 */
static bool upstream_codec_h1_is_unseen(const struct stream *stream, int error)
{
	const struct upstream *upstream = stream->upstream;

	if (upstream->conn.sent_bytes == upstream->request_start_bytes)
		return true;
	return (error == 0 || error == -EPIPE) &&
	       conn_acked_bytes(&upstream->conn) <= upstream->request_start_bytes;
}

static bool upstream_codec_h1_is_behind(const struct stream *stream)
{
	return conn_is_behind(&stream->upstream->conn);
}

static void upstream_codec_h1_drop(struct stream *stream, bool reset)
{
	struct upstream *upstream = stream->upstream;

	stream->upstream = NULL;
	upstream_close(upstream, reset);
}

/* A body of unknown length may never end. */
static void upstream_codec_h1_discard(struct stream *stream)
{
	struct upstream *upstream = stream->upstream;
	struct body_framing framing;
	bool is_known = stream->upload.state == RELAY_DONE &&
			upstream_codec_h1_framing(stream, &framing) == HTTP_ERROR_NONE &&
			(framing.kind == BODY_NONE || framing.kind == BODY_LENGTH);

	stream->upstream = NULL;
	if (is_known)
		upstream_discard(upstream, framing.kind == BODY_LENGTH ? framing.length : 0);
	else
		upstream_close(upstream, false);
}

/*
 * A connection with NTLM or Negotiate authentication stays bound to one HTTP/1 client; streams of HTTP/2
 * share their connection, so none of them can have one.
 */
static void keep(struct stream *stream, struct upstream *upstream)
{
	upstream->served++;
	if (upstream->is_bound && !stream->downstream_codec_h2 && !stream->client->is_closed &&
	    stream->client->http)
		upstream_pool_bind(&stream->proxy->pool, upstream, &stream->client->http->bound);
	else
		upstream_pool_give(&stream->proxy->pool, upstream);
}

/*
 * Keeps the connection only if both messages were relayed to their last byte and nothing follows, whatever
 * happens to the client's connection.
 */
static void upstream_codec_h1_finish(struct stream *stream, enum stream_end end)
{
	struct upstream *upstream = stream->upstream;

	stream->upstream = NULL;
	if (upstream->is_reusable && stream->upload.state == RELAY_DONE &&
	    stream->download.state == RELAY_DONE && buf_len(&upstream->conn.in) == 0) {
		keep(stream, upstream);
	} else {
		upstream_close(upstream, end == STREAM_END_RESET);
	}
}

const struct upstream_side upstream_codec_h1 = {
	.bind = upstream_codec_h1_bind,
	.is_alive = upstream_codec_h1_is_alive,
	.demote = upstream_codec_h1_nothing,
	.reset_code = upstream_codec_h1_reset_code,
	.says_length = upstream_codec_h1_says_length,
	.trailers = upstream_codec_h1_trailers,
	.touch = upstream_codec_h1_nothing,
	.send_head = upstream_codec_h1_send_head,
	.encoding = upstream_codec_h1_encoding,
	.read_head = upstream_codec_h1_read_head,
	.framing = upstream_codec_h1_framing,
	.end = upstream_codec_h1_end,
	.error = upstream_codec_h1_error,
	.check = upstream_codec_h1_check,
	.has_response = upstream_codec_h1_has_response,
	.is_unseen = upstream_codec_h1_is_unseen,
	.is_behind = upstream_codec_h1_is_behind,
	.drop = upstream_codec_h1_drop,
	.discard = upstream_codec_h1_discard,
	.finish = upstream_codec_h1_finish,
};
