/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "user/codec/codec.h"
#include "user/upstream/upstream_h2.h"

static void back_h2_bind(struct stream *stream)
{
	upstream_h2_join(stream->upstream);
}

static bool back_h2_is_alive(const struct stream *stream)
{
	return !stream->upstream->h2->is_dead;
}

static void back_h2_demote(struct stream *stream)
{
	upstream_h2_demote(stream->upstream);
}

static uint32_t back_h2_reset_code(const struct stream *stream)
{
	return stream->back_h2 && stream->back_h2->is_reset_by_peer ? stream->back_h2->error_code : 0;
}

static bool back_h2_says_length(const struct stream *stream)
{
	return fields_have(&stream->exchange->back_head->fields, FIELD_CONTENT_LENGTH);
}

static const struct fields *back_h2_trailers(const struct stream *stream)
{
	return stream->back_h2 && stream->back_h2->trailers ? &stream->back_h2->trailers->fields : NULL;
}

static void back_h2_touch(struct stream *stream)
{
	h2_link_touch(&stream->upstream->h2->link);
}

static int back_h2_send_head(struct stream *stream)
{
	bool is_end = stream->exchange->request_framing.kind == BODY_NONE;
	struct h2_head *head =
		h2_head_from_request(&stream->exchange->head, &stream->exchange->request_framing);
	struct upstream *upstream = stream->upstream;

	if (!head)
		return -ENOMEM;
	stream->back_h2 = h2_stream_open(upstream->h2->link.session, head, is_end);
	h2_head_free(head);
	if (!stream->back_h2)
		return -ENOMEM;
	stream->back_h2->owner = stream;
	return 0;
}

static enum relay_encoding back_h2_encoding(const struct stream *stream)
{
	(void)stream;
	return ENCODE_PLAIN;
}

/*
 * The backend broke a rule on the stream; or, behind this head, HTTP/2 itself: nothing of the response has
 * been passed on, and none of it will be.
 */
static bool back_h2_is_broken(const struct stream *stream, const struct h2_head *head)
{
	const struct upstream_h2 *h2 = stream->upstream->h2;
	const struct h2_stream *h2_stream = stream->back_h2;

	if (h2_stream->is_bad)
		return !head || !h2_stream->has_end;
	return head && !h2_stream->has_end && h2->is_dead && h2->error == -EPROTO;
}

static enum upstream_head back_h2_read_head(struct stream *stream, enum http_bad *ret_bad)
{
	struct h2_stream *h2_stream = stream->back_h2;
	struct h2_head *head = h2_stream_head(h2_stream);

	if (back_h2_is_broken(stream, head)) {
		h2_head_free(head);
		*ret_bad = BAD_LENGTH_MISMATCH;
		return UPSTREAM_HEAD_BAD;
	}
	if (head) {
		h2_head_free(stream->exchange->back_head);
		stream->exchange->back_head = head;
		*ret_bad = head->bad ? head->bad
				     : h2_head_to_response(head, &stream->exchange->response_arena,
							   &stream->exchange->response);
		return *ret_bad ? UPSTREAM_HEAD_BAD : UPSTREAM_HEAD_DONE;
	}
	if (!h2_stream->is_reset)
		return UPSTREAM_HEAD_MORE;
	return stream->upstream->h2->is_eof ? UPSTREAM_HEAD_EOF : UPSTREAM_HEAD_ERROR;
}

static enum http_bad back_h2_framing(struct stream *stream, struct body_framing *ret_framing)
{
	return h2_head_response_framing(stream->exchange->back_head, &stream->exchange->response,
					stream->exchange->head.method, ret_framing);
}

static struct relay_end back_h2_end(const struct stream *stream)
{
	return (struct relay_end){ .h2 = stream->back_h2 };
}

static int back_h2_error(const struct stream *stream)
{
	const struct upstream_h2 *h2 = stream->upstream->h2;

	if (h2->is_dead)
		return h2->error;
	return stream->back_h2->is_reset ? -ECONNRESET : 0;
}

static int back_h2_check(struct stream *stream)
{
	return stream->back_h2->is_reset && !stream->back_h2->has_end ? -ECONNRESET : 0;
}

static bool back_h2_has_response(const struct stream *stream)
{
	return stream->exchange->back_head != NULL;
}

static bool back_h2_is_unseen(const struct stream *stream, int error)
{
	(void)error;
	return stream->back_h2->is_unseen;
}

static bool back_h2_is_behind(const struct stream *stream)
{
	return buf_len(&stream->back_h2->out) != 0;
}

static void back_h2_let_go(struct stream *stream, uint32_t code)
{
	struct upstream *upstream = stream->upstream;

	stream->upstream = NULL;
	h2_head_free(stream->exchange->back_head);
	stream->exchange->back_head = NULL;
	if (stream->back_h2)
		h2_stream_release(stream->back_h2, code);
	stream->back_h2 = NULL;
	upstream_h2_leave(upstream);
}

static void back_h2_drop(struct stream *stream, bool reset)
{
	(void)reset; /* a stream costs its connection nothing: it always notices */
	back_h2_let_go(stream, H2_CANCEL);
}

static void back_h2_discard(struct stream *stream)
{
	back_h2_drop(stream, false);
}

/* A client's own reason to give up is the backend's to know. */
static uint32_t back_h2_code(const struct stream *stream)
{
	uint32_t code = stream->front->reset_code(stream);

	return code ? code : H2_CANCEL;
}

static void back_h2_finish(struct stream *stream, enum stream_end end)
{
	bool is_complete = stream->back_h2 && stream->back_h2->has_end && stream->back_h2->is_end_sent;

	(void)end;
	if (is_complete)
		stream->upstream->served++;
	back_h2_let_go(stream, is_complete ? H2_NO_ERROR : back_h2_code(stream));
}

const struct back back_h2 = {
	.is_shared = true,
	.bind = back_h2_bind,
	.is_alive = back_h2_is_alive,
	.demote = back_h2_demote,
	.reset_code = back_h2_reset_code,
	.says_length = back_h2_says_length,
	.trailers = back_h2_trailers,
	.touch = back_h2_touch,
	.send_head = back_h2_send_head,
	.encoding = back_h2_encoding,
	.read_head = back_h2_read_head,
	.framing = back_h2_framing,
	.end = back_h2_end,
	.error = back_h2_error,
	.check = back_h2_check,
	.has_response = back_h2_has_response,
	.is_unseen = back_h2_is_unseen,
	.is_behind = back_h2_is_behind,
	.drop = back_h2_drop,
	.discard = back_h2_discard,
	.finish = back_h2_finish,
};
