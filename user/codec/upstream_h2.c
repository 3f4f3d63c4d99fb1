/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "user/codec/codec.h"
#include "user/upstream/upstream_h2.h"

static void upstream_codec_h2_bind(struct stream *stream)
{
	upstream_h2_join(stream->upstream);
}

static bool upstream_codec_h2_is_alive(const struct stream *stream)
{
	return !stream->upstream->h2->is_dead;
}

static void upstream_codec_h2_demote(struct stream *stream)
{
	upstream_h2_demote(stream->upstream);
}

static uint32_t upstream_codec_h2_reset_code(const struct stream *stream)
{
	return stream->upstream_codec_h2 && stream->upstream_codec_h2->is_reset_by_peer
		       ? stream->upstream_codec_h2->error_code
		       : 0;
}

static bool upstream_codec_h2_says_length(const struct stream *stream)
{
	return fields_have(&stream->exchange->upstream_head->fields, FIELD_CONTENT_LENGTH);
}

static const struct fields *upstream_codec_h2_trailers(const struct stream *stream)
{
	return stream->upstream_codec_h2 && stream->upstream_codec_h2->trailers
		       ? &stream->upstream_codec_h2->trailers->fields
		       : NULL;
}

static void upstream_codec_h2_touch(struct stream *stream)
{
	h2_link_touch(&stream->upstream->h2->link);
}

static int upstream_codec_h2_send_head(struct stream *stream)
{
	bool is_end = stream->exchange->request_framing.kind == BODY_NONE;
	struct h2_head *head =
		h2_head_from_request(&stream->exchange->head, &stream->exchange->request_framing);
	struct upstream *upstream = stream->upstream;

	if (!head)
		return -ENOMEM;
	stream->upstream_codec_h2 = h2_stream_open(upstream->h2->link.session, head, is_end);
	h2_head_free(head);
	if (!stream->upstream_codec_h2)
		return -ENOMEM;
	stream->upstream_codec_h2->owner = stream;
	stream->upstream_codec_h2->on_event = stream->proxy->pool.on_stream;
	return 0;
}

static enum relay_encoding upstream_codec_h2_encoding(const struct stream *stream)
{
	(void)stream;
	return ENCODE_PLAIN;
}

/*
 * True if the backend violated a rule of the stream, or, after this head, of HTTP/2 itself. Nothing of the
 * response was relayed, and nothing of it will be.
 */
static bool upstream_codec_h2_is_broken(const struct stream *stream, const struct h2_head *head)
{
	const struct upstream_h2 *h2 = stream->upstream->h2;
	const struct h2_stream *h2_stream = stream->upstream_codec_h2;

	if (h2_stream->is_invalid)
		return !head || !h2_stream->has_end;
	return head && !h2_stream->has_end && h2->is_dead && h2->error == -EPROTO;
}

static enum upstream_head upstream_codec_h2_read_head(struct stream *stream, enum http_error *ret_error)
{
	struct h2_stream *h2_stream = stream->upstream_codec_h2;
	struct h2_head *head = h2_stream_head(h2_stream);

	if (upstream_codec_h2_is_broken(stream, head)) {
		h2_head_free(head);
		*ret_error = HTTP_ERROR_LENGTH_MISMATCH;
		return UPSTREAM_HEAD_BAD;
	}
	if (head) {
		h2_head_free(stream->exchange->upstream_head);
		stream->exchange->upstream_head = head;
		*ret_error = head->http_error ? head->http_error
					      : h2_head_to_response(head, &stream->exchange->response_arena,
								    &stream->exchange->response);
		return *ret_error ? UPSTREAM_HEAD_BAD : UPSTREAM_HEAD_DONE;
	}
	if (!h2_stream->is_reset)
		return UPSTREAM_HEAD_MORE;
	return stream->upstream->h2->is_eof ? UPSTREAM_HEAD_EOF : UPSTREAM_HEAD_ERROR;
}

static enum http_error upstream_codec_h2_framing(struct stream *stream, struct body_framing *ret_framing)
{
	return h2_head_response_framing(stream->exchange->upstream_head, &stream->exchange->response,
					stream->exchange->head.method, ret_framing);
}

static struct relay_end upstream_codec_h2_end(const struct stream *stream)
{
	return (struct relay_end){ .h2 = stream->upstream_codec_h2 };
}

static int upstream_codec_h2_error(const struct stream *stream)
{
	const struct upstream_h2 *h2 = stream->upstream->h2;

	if (h2->is_dead)
		return h2->error;
	return stream->upstream_codec_h2->is_reset ? -ECONNRESET : 0;
}

static int upstream_codec_h2_check(struct stream *stream)
{
	return stream->upstream_codec_h2->is_reset && !stream->upstream_codec_h2->has_end ? -ECONNRESET : 0;
}

static bool upstream_codec_h2_has_response(const struct stream *stream)
{
	return stream->exchange->upstream_head != NULL;
}

static bool upstream_codec_h2_is_unseen(const struct stream *stream, int error)
{
	(void)error;
	return stream->upstream_codec_h2->is_unseen;
}

static bool upstream_codec_h2_is_behind(const struct stream *stream)
{
	return buf_len(&stream->upstream_codec_h2->out) != 0;
}

static void upstream_codec_h2_let_go(struct stream *stream, uint32_t code)
{
	struct upstream *upstream = stream->upstream;

	stream->upstream = NULL;
	h2_head_free(stream->exchange->upstream_head);
	stream->exchange->upstream_head = NULL;
	if (stream->upstream_codec_h2)
		h2_stream_release(stream->upstream_codec_h2, code);
	stream->upstream_codec_h2 = NULL;
	upstream_h2_leave(upstream);
}

static void upstream_codec_h2_drop(struct stream *stream, bool reset)
{
	(void)reset; /* RST_STREAM leaves the connection open, so the backend is always notified */
	upstream_codec_h2_let_go(stream, H2_CANCEL);
}

static void upstream_codec_h2_discard(struct stream *stream)
{
	upstream_codec_h2_drop(stream, false);
}

/* Forwards the client's error code to the backend. */
static uint32_t upstream_codec_h2_code(const struct stream *stream)
{
	uint32_t code = stream->downstream->reset_code(stream);

	return code ? code : H2_CANCEL;
}

static void upstream_codec_h2_finish(struct stream *stream, enum stream_end end)
{
	bool is_complete = stream->upstream_codec_h2 && stream->upstream_codec_h2->has_end &&
			   stream->upstream_codec_h2->is_end_sent;

	(void)end;
	if (is_complete)
		stream->upstream->served++;
	upstream_codec_h2_let_go(stream, is_complete ? H2_NO_ERROR : upstream_codec_h2_code(stream));
}

const struct upstream_side upstream_codec_h2 = {
	.is_shared = true,
	.bind = upstream_codec_h2_bind,
	.is_alive = upstream_codec_h2_is_alive,
	.demote = upstream_codec_h2_demote,
	.reset_code = upstream_codec_h2_reset_code,
	.says_length = upstream_codec_h2_says_length,
	.trailers = upstream_codec_h2_trailers,
	.touch = upstream_codec_h2_touch,
	.send_head = upstream_codec_h2_send_head,
	.encoding = upstream_codec_h2_encoding,
	.read_head = upstream_codec_h2_read_head,
	.framing = upstream_codec_h2_framing,
	.end = upstream_codec_h2_end,
	.error = upstream_codec_h2_error,
	.check = upstream_codec_h2_check,
	.has_response = upstream_codec_h2_has_response,
	.is_unseen = upstream_codec_h2_is_unseen,
	.is_behind = upstream_codec_h2_is_behind,
	.drop = upstream_codec_h2_drop,
	.discard = upstream_codec_h2_discard,
	.finish = upstream_codec_h2_finish,
};
