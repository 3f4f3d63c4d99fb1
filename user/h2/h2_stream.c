/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/h2/h2_internal.h"

const char h2_abandoned;

/* ---- life ---- */

struct h2_stream *h2_stream_create(struct h2_session *session, int32_t id)
{
	struct list *node = list_pop(&session->spare);
	struct h2_stream *stream =
		node ? list_entry(node, struct h2_stream, node) : hg_malloc(sizeof(*stream));

	if (!stream)
		return NULL;
	session->spare_count -= node != NULL;
	*stream = (struct h2_stream){ .session = session, .id = id };
	list_init(&stream->ready);
	list_init(&stream->node);
	list_add_tail(&session->streams, &stream->node);
	return stream;
}

static void heads_free(struct h2_head *head)
{
	while (head) {
		struct h2_head *next = head->next;

		h2_head_free(head);
		head = next;
	}
}

static void forget_block(struct h2_stream *stream)
{
	struct h2_session *session = stream->session;

	if (!session || session->block_stream != stream)
		return;
	h2_head_free(session->block);
	session->block = NULL;
	session->block_stream = NULL;
}

void h2_stream_drop_out(struct h2_stream *stream)
{
	if (stream->session)
		stream->session->waiting_bytes -= buf_len(&stream->out);
	buf_done(&stream->out);
}

/* Bytes that could be sent at once: the stream's window, and what others have left of the connection's. */
static size_t stream_window(const struct h2_stream *stream)
{
	const struct h2_session *session = stream->session;
	int32_t of_stream, of_session;

	if (!session || stream->is_closed)
		return 0;
	of_stream = nghttp2_session_get_stream_remote_window_size(session->library, stream->id);
	of_session = nghttp2_session_get_remote_window_size(session->library);
	if (of_session <= 0 || (size_t)of_session <= session->waiting_bytes)
		return 0;
	of_session -= (int32_t)session->waiting_bytes;
	return of_stream <= 0 ? 0 : (size_t)(of_stream < of_session ? of_stream : of_session);
}

size_t h2_stream_read_bytes(const struct h2_stream *stream, uint64_t taken_bytes)
{
	bool is_alone = stream->session && stream->session->waiting_bytes == 0;
	size_t most = is_alone || taken_bytes >= 16 * LIMIT_H2_WRITE_BYTES ? LIMIT_READ_BYTES
		      : taken_bytes >= 4 * LIMIT_H2_WRITE_BYTES		   ? 2 * LIMIT_H2_WRITE_BYTES
									   : LIMIT_H2_WRITE_BYTES;
	size_t window = most > LIMIT_H2_WRITE_BYTES ? stream_window(stream) : 0;

	if (window < LIMIT_H2_WRITE_BYTES)
		return LIMIT_H2_WRITE_BYTES;
	return window < most ? window : most;
}

void h2_stream_drop_heads(struct h2_stream *stream)
{
	struct h2_session *session = stream->session;

	if (!session)
		return;
	session->head_bytes -= stream->head_bytes;
	if (session->options.head_budget)
		head_budget_drop(session->options.head_budget, stream->head_bytes);
	stream->head_bytes = 0;
}

void h2_stream_free(struct h2_stream *stream)
{
	struct h2_session *session = stream->session;

	h2_stream_drop_heads(stream);
	forget_block(stream);
	list_remove(&stream->ready);
	list_remove(&stream->node);
	buf_done(&stream->in);
	h2_stream_drop_out(stream);
	heads_free(stream->head);
	h2_head_free(stream->trailers);
	h2_head_free(stream->end_trailers);
	if (session && session->spare_count < LIMIT_H2_SPARE_STREAMS) {
		list_add_head(&session->spare, &stream->node);
		session->spare_count++;
	} else {
		hg_free(stream);
	}
}

void h2_stream_tell(struct h2_stream *stream, enum h2_news news)
{
	stream->news |= news;
	if (list_is_empty(&stream->ready))
		list_add_tail(&stream->session->ready, &stream->ready);
}

void h2_stream_note_reset(struct h2_stream *stream, uint32_t code)
{
	if (stream->is_reset)
		return;
	stream->is_reset = true;
	stream->error_code = code;
	h2_stream_drop_out(stream);
	/* An owner that never saw the stream need not see its end. */
	if (stream->is_given || stream->news)
		h2_stream_tell(stream, H2_NEWS_RESET);
}

/* ---- heads ---- */

static bool can_send(const struct h2_stream *stream)
{
	return stream->session && !stream->is_reset && !stream->is_closed && !stream->session->is_aborted;
}

struct h2_stream *h2_stream_open(struct h2_session *session, const struct h2_head *head, bool is_end)
{
	const nghttp2_data_provider payload = { .read_callback = h2_read_payload };
	struct h2_stream *stream;
	ssize_t count;

	if (head->http_error != HTTP_ERROR_NONE || h2_session_capacity(session) == 0)
		return NULL;
	count = h2_session_list(session, head);
	stream = count < 0 ? NULL : h2_stream_create(session, 0);
	if (!stream)
		return NULL;
	stream->id = nghttp2_submit_request(session->library, NULL, session->list, (size_t)count,
					    is_end ? NULL : &payload, stream);
	if (stream->id < 0) {
		h2_stream_free(stream);
		return NULL;
	}
	session->open_streams++;
	stream->is_given = true;
	stream->is_end_queued = is_end;
	return stream;
}

int h2_stream_send_head(struct h2_stream *stream, const struct h2_head *head, bool is_end)
{
	const nghttp2_data_provider payload = { .read_callback = h2_read_payload };
	struct h2_session *session = stream->session;
	ssize_t count;
	int error;

	if (!can_send(stream))
		return -EPIPE;
	if (head->http_error != HTTP_ERROR_NONE)
		return -EINVAL;
	CHECK(!stream->is_head_queued);
	count = h2_session_list(session, head);
	if (count < 0)
		return (int)count;
	if (head->status < 200)
		error = nghttp2_submit_headers(session->library, NGHTTP2_FLAG_NONE, stream->id, NULL,
					       session->list, (size_t)count, NULL);
	else
		error = nghttp2_submit_response(session->library, stream->id, session->list, (size_t)count,
						is_end ? NULL : &payload);
	if (error < 0)
		return -ENOMEM;
	stream->is_head_queued = head->status >= 200;
	stream->is_end_queued |= is_end;
	return 0;
}

struct h2_head *h2_stream_head(struct h2_stream *stream)
{
	struct h2_head *head = stream->head;

	if (!head)
		return NULL;
	stream->head = head->next;
	head->next = NULL;
	return head;
}

/* ---- payload ---- */

/* Only missing memory for a frame can fail here: the session returns that at its next call. */
static void note_memory(struct h2_session *session, int error)
{
	session->has_no_memory |= error == NGHTTP2_ERR_NOMEM;
}

static void stream_resume(struct h2_stream *stream)
{
	if (!stream->is_deferred)
		return;
	stream->is_deferred = false;
	note_memory(stream->session, nghttp2_session_resume_data(stream->session->library, stream->id));
}

int h2_stream_write(struct h2_stream *stream, const struct iovec *segments, int count, size_t max_kept)
{
	size_t bytes = 0;
	int error;

	if (!can_send(stream) || stream->is_end_queued)
		return -EPIPE;
	for (int i = 0; i < count; i++)
		bytes += segments[i].iov_len;
	if (buf_len(&stream->out) + bytes > max_kept)
		return -ENOBUFS;
	error = buf_reserve(&stream->out, bytes, max_kept);
	if (error)
		return error;
	for (int i = 0; i < count; i++)
		buf_append(&stream->out, span_of(segments[i].iov_base, segments[i].iov_len), max_kept);
	stream->session->written_bytes += bytes;
	stream->session->waiting_bytes += bytes;
	if (bytes)
		stream_resume(stream);
	return 0;
}

int h2_stream_end(struct h2_stream *stream, struct h2_head *trailers)
{
	ssize_t count = 0;

	if (!can_send(stream) || stream->is_end_queued)
		return -EPIPE;
	if (trailers && trailers->http_error != HTTP_ERROR_NONE)
		return -EINVAL;
	/* Check the trailers now: they are sent with the last payload, too late to fail. */
	if (trailers)
		count = h2_session_list(stream->session, trailers);
	if (count < 0)
		return (int)count;
	stream->is_end_queued = true;
	stream->end_trailers = trailers;
	stream_resume(stream);
	return 0;
}

void h2_stream_consume(struct h2_stream *stream, size_t len)
{
	struct h2_session *session = stream->session;

	buf_consume(&stream->in, len);
	buf_release(&stream->in);
	if (session && !stream->is_closed && !stream->is_reset && !stream->has_end)
		note_memory(session, nghttp2_session_consume_stream(session->library, stream->id, len));
}

/* ---- the end ---- */

static void send_reset(struct h2_stream *stream, uint32_t code)
{
	struct h2_session *session = stream->session;

	note_memory(session,
		    nghttp2_submit_rst_stream(session->library, NGHTTP2_FLAG_NONE, stream->id, code));
}

void h2_stream_reset(struct h2_stream *stream, uint32_t code)
{
	if (!can_send(stream))
		return;
	stream->is_reset = true;
	stream->error_code = code;
	h2_stream_drop_out(stream);
	send_reset(stream, code);
}

void h2_stream_release(struct h2_stream *stream, uint32_t code)
{
	h2_stream_reset(stream, code);
	if (stream->session && !stream->is_closed)
		nghttp2_session_set_stream_user_data(stream->session->library, stream->id,
						     (void *)(uintptr_t)&h2_abandoned);
	h2_stream_free(stream);
}
