/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>

#include "user/base/base64.h"
#include "user/client/client_h2.h"
#include "user/codec/codec.h"
#include "user/http/hop_by_hop.h"

/* ------------------------------------------------------------------------------------ the request */

/*
 * WebSocket over HTTP/2 (RFC 8441): an HTTP/1 backend gets an Upgrade with a key that only we and the backend
 * see. Bytes after the head are the tunnel, not a body.
 */
static enum http_error downstream_codec_h2_make_upgrade(struct stream *stream, struct span protocol)
{
	enum { KEY_BYTES = 24 };
	char *key = arena_bytes(&stream->exchange->arena, KEY_BYTES + 1);
	uint64_t random[2] = { proxy_random(stream->proxy), proxy_random(stream->proxy) };
	struct text text;

	if (!key)
		return HTTP_ERROR_NO_MEMORY;
	/* RFC 6455 4.1: the key protects against caches and confused servers; it is no secret. */
	text_borrow(&text, key, KEY_BYTES + 1);
	base64_encode(&text, span_of(random, sizeof(random)));
	if (fields_set(&stream->exchange->head.fields, SPAN("Sec-WebSocket-Key"), text_span(&text)) < 0)
		return HTTP_ERROR_NO_MEMORY;
	stream->exchange->upgrade =
		(struct upgrade_request){ .is_wanted = true, .must_switch = true, .protocol = protocol };
	stream->exchange->request_framing = (struct body_framing){ .kind = BODY_NONE };
	return HTTP_ERROR_NONE;
}

enum http_error downstream_codec_h2_take(struct stream *stream, struct h2_stream *h2_stream)
{
	struct h2_head *head = h2_stream_head(h2_stream);
	struct span protocol = { 0 };
	enum http_error http_error;

	CHECK(head);
	h2_stream->owner = stream;
	stream->downstream_codec_h2 = h2_stream;
	stream->exchange->downstream_head = head;
	http_error = head->http_error;
	stream->exchange->texts.host = head->authority;
	stream->exchange->texts.path = head->path;
	stream->client_keeps = true;
	stream->client_major = 2;
	stream->client_minor = 1;
	if (!http_error)
		http_error = h2_head_to_request(head, &stream->exchange->arena, &stream->exchange->head,
						&protocol);
	stream->exchange->texts.method = stream->exchange->head.method_text;
	if (http_error)
		return http_error;
	stream_note_request(stream);
	http_error =
		h2_head_request_framing(head, &stream->exchange->head, &stream->exchange->request_framing);
	return !http_error && protocol.len ? downstream_codec_h2_make_upgrade(stream, protocol) : http_error;
}

/* True if we reset the stream because the client violated a rule on it. */
static bool downstream_codec_h2_was_refused(const struct h2_stream *h2_stream)
{
	return h2_stream->is_reset && h2_stream->is_invalid && !h2_stream->is_reset_by_peer;
}

/* ------------------------------------------------------------------------------------ the response */

static int downstream_codec_h2_write_head(struct stream *stream, const struct response_head *response,
					  const struct body_framing *framing, bool is_end)
{
	struct h2_head *head = h2_head_from_response(response, framing);
	int error = head ? h2_stream_send_head(stream->downstream_codec_h2, head, is_end) : -ENOMEM;

	h2_head_free(head);
	h2_link_touch(&stream->client->h2->link);
	return error;
}

static int downstream_codec_h2_send_interim(struct stream *stream)
{
	static const struct body_framing none = { .kind = BODY_NONE };
	int error = hop_by_hop_strip_response(&stream->exchange->response);

	if (!error)
		error = downstream_codec_h2_write_head(stream, &stream->exchange->response, &none, false);
	stream->is_continued |= stream->exchange->response.status == 100;
	return error;
}

/* Starts the graceful shutdown of a connection that must end, at its next response. */
static void downstream_codec_h2_mind_end(struct stream *stream)
{
	struct client *client = stream->client;

	if (client_is_ending(client))
		client_h2_end(client, client->is_age_over ? END_OK : END_DRAINED);
}

static int downstream_codec_h2_send_head(struct stream *stream, struct body_framing *framing,
					 enum relay_encoding *ret_encoding)
{
	*ret_encoding = ENCODE_PLAIN;
	downstream_codec_h2_mind_end(stream);
	return downstream_codec_h2_write_head(stream, &stream->exchange->response, framing,
					      framing->kind == BODY_NONE);
}

static int downstream_codec_h2_send_switch(struct stream *stream, struct span protocol)
{
	static const struct body_framing tunnel = { .kind = BODY_TUNNEL };
	struct response_head head = stream->exchange->response;

	(void)protocol; /* the client named it, and a 200 accepts it (RFC 8441 5) */
	head.status = 200;
	fields_remove(&head.fields, SPAN("sec-websocket-accept"));
	stream->status = 200;
	return downstream_codec_h2_write_head(stream, &head, &tunnel, false);
}

/* Nothing to do: other streams share the connection. */
static void downstream_codec_h2_begin_tunnel(struct stream *stream)
{
	(void)stream;
}

static int downstream_codec_h2_send_reply(struct stream *stream, struct reply *reply)
{
	struct iovec body = { (void *)(uintptr_t)reply->body.data, reply->body.len };
	struct body_framing framing;
	struct response_head head;
	struct arena arena;
	bool is_end = reply->is_head || body.iov_len == 0;
	int error;

	downstream_codec_h2_mind_end(stream);
	arena_init(&arena, 1024);
	error = reply_head(reply, &arena, &head, &framing);
	if (!error)
		error = downstream_codec_h2_write_head(stream, &head, &framing, is_end);
	if (!error && !is_end)
		error = h2_stream_write(stream->downstream_codec_h2, &body, 1, body.iov_len);
	if (!error && !is_end)
		error = h2_stream_end(stream->downstream_codec_h2, NULL);
	arena_done(&arena);
	return error;
}

static int downstream_codec_h2_flush(struct stream *stream)
{
	if (stream->downstream_codec_h2->is_end_sent)
		return 1;
	return stream->downstream_codec_h2->is_reset ? -EPIPE : 0;
}

/*
 * A reset after both sides have ended means nothing; a reset after our end only cancels the rest of the
 * request.
 */
static int downstream_codec_h2_check(struct stream *stream)
{
	const struct h2_stream *h2_stream = stream->downstream_codec_h2;
	bool is_complete = h2_stream->is_end_sent && h2_stream->has_end;

	if (!h2_stream->is_reset || is_complete)
		return 0;
	return downstream_codec_h2_was_refused(h2_stream) ? -EPROTO : -ECONNRESET;
}

/*
 * END_STREAM of a request does not mean that the client is gone; a client that gives up resets its streams.
 */
static bool downstream_codec_h2_has_closed(const struct stream *stream)
{
	(void)stream;
	return false;
}

static bool downstream_codec_h2_has_answer(const struct stream *stream)
{
	return stream->downstream_codec_h2->is_reset_by_peer && stream->downstream_codec_h2->is_end_sent;
}

static uint32_t downstream_codec_h2_reset_code(const struct stream *stream)
{
	const struct h2_stream *h2_stream = stream->downstream_codec_h2;

	return h2_stream && h2_stream->is_reset_by_peer ? h2_stream->error_code : 0;
}

static bool downstream_codec_h2_is_behind(const struct stream *stream)
{
	return buf_len(&stream->downstream_codec_h2->out) != 0;
}

/* The client's window limits what it takes (is_behind()); its kernel is not asked. */
static bool downstream_codec_h2_is_waiting(const struct stream *stream, uint64_t *ret_acked_bytes)
{
	*ret_acked_bytes = 0;
	return downstream_codec_h2_is_behind(stream);
}

static void downstream_codec_h2_touch(struct stream *stream)
{
	h2_link_touch(&stream->client->h2->link);
}

static bool downstream_codec_h2_has_more(struct stream *stream)
{
	(void)stream;
	return false;
}

static bool downstream_codec_h2_has_unread(const struct stream *stream)
{
	return buf_len(&stream->downstream_codec_h2->in) != 0;
}

static struct relay_end downstream_codec_h2_end(const struct stream *stream)
{
	return (struct relay_end){ .h2 = stream->downstream_codec_h2 };
}

/* ------------------------------------------------------------------------------------ the end */

/* The error code of the RST_STREAM for a stream that is not complete. */
static uint32_t downstream_codec_h2_code(const struct stream *stream, enum stream_end end)
{
	if (end == STREAM_END_CLEAN || end == STREAM_END_LINGER)
		return H2_NO_ERROR;
	if (stream->reset_code)
		return stream->reset_code;
	switch (stream->reason) {
	case END_REQUEST_BAD:
		return H2_PROTOCOL_ERROR;
	case END_TUNNEL_IDLE:
	case END_HALF_CLOSED:
	case END_STREAM_IDLE:
	case END_STALLED:
	case END_ADMIN_KILL:
	case END_DRAIN_DEADLINE:
		return H2_CANCEL;
	default:
		return H2_INTERNAL_ERROR;
	}
}

static void downstream_codec_h2_finish(struct stream *stream, enum end_reason reason, enum stream_end end)
{
	(void)reason;
	h2_stream_release(stream->downstream_codec_h2, downstream_codec_h2_code(stream, end));
	stream->downstream_codec_h2 = NULL;
	client_h2_stream_over(stream->client);
}

const struct downstream downstream_codec_h2 = {
	.has_window = true,
	.has_answer = downstream_codec_h2_has_answer,
	.reset_code = downstream_codec_h2_reset_code,
	.is_behind = downstream_codec_h2_is_behind,
	.is_waiting = downstream_codec_h2_is_waiting,
	.touch = downstream_codec_h2_touch,
	.send_interim = downstream_codec_h2_send_interim,
	.send_head = downstream_codec_h2_send_head,
	.send_switch = downstream_codec_h2_send_switch,
	.begin_tunnel = downstream_codec_h2_begin_tunnel,
	.send_reply = downstream_codec_h2_send_reply,
	.flush = downstream_codec_h2_flush,
	.check = downstream_codec_h2_check,
	.has_closed = downstream_codec_h2_has_closed,
	.has_more = downstream_codec_h2_has_more,
	.has_unread = downstream_codec_h2_has_unread,
	.end = downstream_codec_h2_end,
	.finish = downstream_codec_h2_finish,
};
