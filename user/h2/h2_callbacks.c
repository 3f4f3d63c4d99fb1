/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/h2/h2_internal.h"

enum {
	WINDOW_DEFAULT = 65535, /* RFC 9113 6.9.2: until the peer has seen our SETTINGS */
};

/* The stream with this id; NULL if it is unknown or its owner has released it. */
static struct h2_stream *stream_of(nghttp2_session *library, int32_t id)
{
	void *data = nghttp2_session_get_stream_user_data(library, id);

	return data == &h2_abandoned ? NULL : data;
}

static int no_memory(struct h2_session *session)
{
	session->has_no_memory = true;
	return NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* ---- header sections ---- */

static void block_drop(struct h2_session *session)
{
	h2_head_free(session->block);
	session->block = NULL;
	session->block_stream = NULL;
}

static int on_begin_frame(nghttp2_session *library, const nghttp2_frame_hd *frame, void *context)
{
	struct h2_session *session = context;

	/* Trailers of a stream that we reset may be in flight, but not many of them. */
	if (frame->type == NGHTTP2_HEADERS && frame->stream_id <= session->last_peer_id &&
	    !nghttp2_session_get_stream_user_data(library, frame->stream_id))
		h2_session_count(session, H2_FLOOD_GLITCH);
	return 0;
}

static enum h2_head_kind kind_of_section(const struct h2_session *session, const struct h2_stream *stream)
{
	if (session->options.role == H2_SERVER)
		return stream->is_started ? H2_HEAD_TRAILERS : H2_HEAD_REQUEST;
	return stream->is_final ? H2_HEAD_TRAILERS : H2_HEAD_RESPONSE;
}

/*
 * All streams have equal urgency and are "incremental", so they take turns frame by frame; the client's
 * priorities (RFC 9218) are ignored.
 */
static struct h2_stream *stream_begin(struct h2_session *session, int32_t id)
{
	const nghttp2_extpri in_turn = { .urgency = NGHTTP2_EXTPRI_DEFAULT_URGENCY, .inc = 1 };
	struct h2_stream *stream = h2_stream_create(session, id);

	if (!stream)
		return NULL;
	nghttp2_session_change_extpri_stream_priority(session->library, id, &in_turn, 1);
	nghttp2_session_set_stream_user_data(session->library, id, stream);
	session->open_streams++;
	session->last_peer_id = id;
	return stream;
}

static int on_begin_headers(nghttp2_session *library, const nghttp2_frame *frame, void *context)
{
	struct h2_session *session = context;
	struct h2_stream *stream;

	block_drop(session);
	stream = frame->headers.cat == NGHTTP2_HCAT_REQUEST ? stream_begin(session, frame->hd.stream_id)
							    : stream_of(library, frame->hd.stream_id);
	if (!stream)
		return frame->headers.cat == NGHTTP2_HCAT_REQUEST ? no_memory(session) : 0;
	session->block = h2_head_create(kind_of_section(session, stream));
	session->block_stream = stream;
	stream->is_started = true;
	return session->block ? 0 : no_memory(session);
}

static void count_excess(struct h2_session *session, uint64_t before, uint64_t now)
{
	for (uint64_t i = before / LIMIT_H2_EXCESS_BYTES; i < now / LIMIT_H2_EXCESS_BYTES; i++)
		h2_session_count(session, H2_FLOOD_GLITCH);
}

/* Small heads are free; larger ones have to be worth what the client has sent for them. */
static uint64_t heads_most(const struct h2_session *session)
{
	uint64_t most = session->fed_bytes * LIMIT_H2_HEAD_FACTOR;

	if (most < LIMIT_H2_HEADS_FREE_BYTES)
		most = LIMIT_H2_HEADS_FREE_BYTES;
	return most < session->options.heads_bytes ? most : session->options.heads_bytes;
}

/* What a field adds to the head is held until the stream is released. */
static void section_hold(struct h2_session *session, uint32_t bytes)
{
	struct head_budget *budget = session->options.head_budget;

	session->block_stream->head_bytes += bytes;
	session->head_bytes += bytes;
	if (budget && !head_budget_hold(budget, bytes))
		session->block->http_error = HTTP_ERROR_HEADS_OF_WORKER;
	if (session->options.heads_bytes && session->head_bytes > heads_most(session))
		session->block->http_error = HTTP_ERROR_HEADS_OF_CONNECTION;
}

/*
 * A section that violates a rule or a limit is read to its end, so that the owner can respond, but its fields
 * are not stored. A section far over its limit gets no response.
 */
static int section_add(struct h2_session *session, struct span name, struct span value)
{
	struct h2_head *block = session->block;
	uint64_t limit = session->options.head_limits.bytes, most = limit * LIMIT_H2_SECTION_FACTOR;
	uint64_t before;

	if (!block)
		return 0;
	before = block->list_bytes;
	if (h2_head_add(block, name, value, &session->options.head_limits) < 0)
		return no_memory(session);
	if (block->http_error == HTTP_ERROR_NONE && session->options.role == H2_SERVER)
		section_hold(session, block->list_bytes - (uint32_t)before);
	/*
	 * Fields over the limit cost work although they are not stored: an occasional 431 is allowed, but no
	 * stream of them.
	 */
	if (block->list_bytes > limit)
		count_excess(session, before > limit ? before - limit : 0, block->list_bytes - limit);
	return block->list_bytes > most ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE : 0;
}

static int on_header(nghttp2_session *library, const nghttp2_frame *frame, const uint8_t *name,
		     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *context)
{
	(void)library;
	(void)frame;
	(void)flags;
	return section_add(context, span_of(name, name_len), span_of(value, value_len));
}

/* Called for fields that nghttp2 would ignore silently. It refuses no field that we would accept. */
static int on_invalid_header(nghttp2_session *library, const nghttp2_frame *frame, nghttp2_rcbuf *name,
			     nghttp2_rcbuf *value, uint8_t flags, void *context)
{
	nghttp2_vec name_bytes = nghttp2_rcbuf_get_buf(name);
	nghttp2_vec value_bytes = nghttp2_rcbuf_get_buf(value);
	struct h2_session *session = context;
	int result;

	(void)library;
	(void)frame;
	(void)flags;
	result = section_add(session, span_of(name_bytes.base, name_bytes.len),
			     span_of(value_bytes.base, value_bytes.len));
	if (result == 0 && session->block && session->block->http_error == HTTP_ERROR_NONE)
		session->block->http_error = HTTP_ERROR_SECOND_READER;
	return result;
}

static void interim_limit(struct h2_session *session, struct h2_stream *stream)
{
	unsigned int count = 0;

	for (const struct h2_head *head = stream->head; head; head = head->next)
		count++;
	if (count > LIMIT_INTERIM_RESPONSES)
		session->has_no_memory |=
			nghttp2_submit_rst_stream(session->library, NGHTTP2_FLAG_NONE, stream->id,
						  NGHTTP2_ENHANCE_YOUR_CALM) == NGHTTP2_ERR_NOMEM;
}

static void head_arrived(struct h2_session *session, struct h2_stream *stream, struct h2_head *head)
{
	struct h2_head **at = &stream->head;

	while (*at)
		at = &(*at)->next;
	*at = head;
	stream->is_final |= head->kind == H2_HEAD_RESPONSE &&
			    (head->status >= 200 || head->http_error != HTTP_ERROR_NONE);
	h2_stream_tell(stream, H2_NEWS_HEAD);
	if (head->kind == H2_HEAD_RESPONSE)
		interim_limit(session, stream);
}

static void end_arrived(struct h2_stream *stream)
{
	stream->has_end = true;
	h2_stream_tell(stream, H2_NEWS_END);
}

static void section_arrived(struct h2_session *session, const nghttp2_frame *frame)
{
	struct h2_stream *stream = session->block_stream;
	struct h2_head *head = session->block;

	if (!head || stream->id != frame->hd.stream_id || stream->is_reset)
		return;
	session->block = NULL;
	session->block_stream = NULL;
	head->has_end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
	if (h2_head_finish(head) != HTTP_ERROR_NONE) {
		stream->is_invalid = true;
		h2_session_count(session, H2_FLOOD_GLITCH);
	}
	if (head->kind == H2_HEAD_TRAILERS) {
		h2_head_free(stream->trailers);
		stream->trailers = head;
	} else {
		head_arrived(session, stream, head);
	}
	if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		end_arrived(stream);
}

/* ---- payload ---- */

static int on_data_chunk(nghttp2_session *library, uint8_t flags, int32_t id, const uint8_t *data, size_t len,
			 void *context)
{
	struct h2_session *session = context;
	struct h2_stream *stream = stream_of(library, id);
	size_t most = session->options.window_bytes;

	(void)flags;
	session->received_bytes += len;
	if (!stream || stream->is_reset)
		return 0;
	/* nghttp2 resets a stream that exceeds its window, but still delivers the bytes. */
	if (buf_len(&stream->in) + len > (most > WINDOW_DEFAULT ? most : WINDOW_DEFAULT))
		return 0;
	if (buf_append(&stream->in, span_of(data, len), SIZE_MAX) < 0)
		return no_memory(session);
	stream->received_bytes += len;
	h2_stream_tell(stream, H2_NEWS_DATA);
	return 0;
}

/* The trailers after the last DATA frame, RFC 9113 8.1. */
static int trailers_submit(struct h2_session *session, struct h2_stream *stream)
{
	ssize_t count = h2_session_list(session, stream->end_trailers);

	if (count < 0 ||
	    nghttp2_submit_trailer(session->library, stream->id, session->list, (size_t)count) < 0)
		return no_memory(session);
	return 0;
}

ssize_t h2_read_payload(nghttp2_session *library, int32_t id, uint8_t *data, size_t max, uint32_t *flags,
			nghttp2_data_source *source, void *context)
{
	struct h2_session *session = context;
	struct h2_stream *stream = stream_of(library, id);
	size_t bytes;

	(void)data;
	(void)source;
	if (session->is_staging)
		return NGHTTP2_ERR_PAUSE;
	if (!stream || stream->is_reset)
		return NGHTTP2_ERR_DEFERRED;
	bytes = buf_len(&stream->out);
	if (bytes == 0 && !stream->is_end_queued) {
		stream->is_deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (bytes > max)
		return (ssize_t)max;
	if (!stream->is_end_queued)
		return (ssize_t)bytes;
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	if (stream->end_trailers && stream->end_trailers->fields.count) {
		int error = trailers_submit(session, stream);

		if (error)
			return error;
		*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
	}
	return (ssize_t)bytes;
}

/* Writes one DATA frame from the stream's buffer straight to the frame buffer. */
static int on_send_data(nghttp2_session *library, nghttp2_frame *frame, const uint8_t *head, size_t len,
			nghttp2_data_source *source, void *context)
{
	struct h2_session *session = context;
	struct h2_stream *stream = stream_of(library, frame->hd.stream_id);

	(void)source;
	CHECK(stream && len <= buf_len(&stream->out));
	if (buf_reserve(session->out, 9 + len, SIZE_MAX) < 0)
		return no_memory(session);
	buf_append(session->out, span_of(head, 9), SIZE_MAX);
	buf_append(session->out, span_first(buf_span(&stream->out), len), SIZE_MAX);
	buf_consume(&stream->out, len);
	buf_release(&stream->out);
	session->waiting_bytes -= len;
	stream->sent_bytes += len;
	session->due_window_updates += LIMIT_H2_WINDOW_UPDATES;
	if (len && buf_len(&stream->out) == 0)
		h2_stream_tell(stream, H2_NEWS_ROOM);
	return buf_len(session->out) >= session->out_max ? NGHTTP2_ERR_PAUSE : 0;
}

/* ---- frames ---- */

static void ping_acked(struct h2_session *session, const uint8_t *opaque)
{
	uint64_t id = 0;

	for (size_t i = 0; i < 8; i++)
		id = id << 8 | opaque[i];
	/* Other bytes are no response to a PING of ours. */
	if (id > session->ping_acked && id <= session->ping_sent)
		session->ping_acked = id;
}

static void reset_arrived(struct h2_session *session, struct h2_stream *stream, uint32_t code)
{
	h2_session_count(session, H2_FLOOD_RESET);
	if (!stream || stream->is_reset)
		return;
	if (session->options.role == H2_SERVER && !stream->is_head_sent)
		h2_session_count(session, H2_FLOOD_EARLY_RESET);
	stream->is_reset_by_peer = true;
	stream->is_unseen = session->options.role == H2_CLIENT && code == H2_REFUSED_STREAM;
	h2_stream_note_reset(stream, code);
}

static int on_frame_received(nghttp2_session *library, const nghttp2_frame *frame, void *context)
{
	struct h2_session *session = context;
	struct h2_stream *stream;

	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		section_arrived(session, frame);
		break;
	case NGHTTP2_DATA:
		stream = stream_of(library, frame->hd.stream_id);
		if (stream && !stream->is_reset && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
			end_arrived(stream);
		break;
	case NGHTTP2_RST_STREAM:
		reset_arrived(session, stream_of(library, frame->hd.stream_id), frame->rst_stream.error_code);
		break;
	case NGHTTP2_PING:
		if (frame->hd.flags & NGHTTP2_FLAG_ACK)
			ping_acked(session, frame->ping.opaque_data);
		else
			session->ping_count++;
		break;
	case NGHTTP2_SETTINGS:
		if (!(frame->hd.flags & NGHTTP2_FLAG_ACK))
			session->is_settled = true;
		break;
	case NGHTTP2_GOAWAY:
		session->has_goaway = true;
		break;
	}
	return 0;
}

/* ---- requests that are refused before their owner sees them ---- */

/* True if the client violated a rule before the owner knew of the stream. */
static bool is_stillborn(const struct h2_session *session, const struct h2_stream *stream)
{
	return session->options.role == H2_SERVER && !stream->is_given && stream->head && !stream->news;
}

static void stillborn_take_head(struct h2_session *session, struct h2_stream *stream)
{
	struct h2_head *head = session->block;

	if (!stream || session->options.role != H2_SERVER || stream != session->block_stream || !head ||
	    head->kind != H2_HEAD_REQUEST)
		return;
	session->block = NULL;
	session->block_stream = NULL;
	if (head->http_error == HTTP_ERROR_NONE)
		head->http_error = HTTP_ERROR_SECOND_READER;
	stream->head = head;
}

static void end_sent(struct h2_stream *stream)
{
	stream->is_end_sent = true;
	h2_stream_tell(stream, H2_NEWS_ROOM);
}

static void headers_sent(struct h2_stream *stream, const nghttp2_frame *frame)
{
	const nghttp2_nv *first = frame->headers.nva;

	stream->is_started = true;
	stream->is_head_sent |= frame->headers.nvlen && first->namelen == 7 && first->value[0] != '1';
	if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		end_sent(stream);
}

/*
 * A request that nghttp2 refuses before it is complete: pass what is known of it to the owner, for the log.
 */
static int on_invalid_frame(nghttp2_session *library, const nghttp2_frame *frame, int error, void *context)
{
	struct h2_session *session = context;
	struct h2_stream *stream = stream_of(library, frame->hd.stream_id);

	(void)error;
	if (frame->hd.type == NGHTTP2_HEADERS)
		stillborn_take_head(session, stream);
	return 0;
}

/*
 * nghttp2 resets a stream on which the peer violated a rule; resets by our owners are already noted. A stream
 * that was refused by the limit has no pointer, a released one has &h2_abandoned.
 */
static void reset_sent(nghttp2_session *library, struct h2_session *session, const nghttp2_frame *frame)
{
	void *data = nghttp2_session_get_stream_user_data(library, frame->hd.stream_id);
	struct h2_stream *stream = data;

	if (data == &h2_abandoned || (stream && stream->is_reset))
		return;
	h2_session_count(session, frame->rst_stream.error_code == NGHTTP2_REFUSED_STREAM
					  ? H2_FLOOD_GLITCH
					  : H2_FLOOD_PROVOKED_RESET);
	if (!stream)
		return;
	stream->is_invalid = true;
	stillborn_take_head(session, stream);
	if (is_stillborn(session, stream))
		h2_stream_tell(stream, H2_NEWS_HEAD);
	h2_stream_note_reset(stream, frame->rst_stream.error_code);
}

/*
 * nghttp2 ends the connection in many places, but always by a GOAWAY. INTERNAL_ERROR means that its encoder
 * had no memory.
 */
static void goaway_sent(struct h2_session *session, const nghttp2_goaway *frame)
{
	if (frame->error_code == NGHTTP2_NO_ERROR || session->is_failed)
		return;
	if (frame->error_code == NGHTTP2_INTERNAL_ERROR) {
		session->has_no_memory = true;
		return;
	}
	session->is_failed = true;
	session->error_code = frame->error_code;
	/* nghttp2 itself limits the values of a SETTINGS frame. */
	if (frame->error_code == NGHTTP2_ENHANCE_YOUR_CALM && session->flood_kind == H2_FLOOD_NONE)
		session->flood_kind = H2_FLOOD_SETTINGS;
}

static int on_frame_sent(nghttp2_session *library, const nghttp2_frame *frame, void *context)
{
	struct h2_session *session = context;
	struct h2_stream *stream;

	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		stream = stream_of(library, frame->hd.stream_id);
		if (stream)
			headers_sent(stream, frame);
		break;
	case NGHTTP2_DATA:
		stream = frame->hd.flags & NGHTTP2_FLAG_END_STREAM ? stream_of(library, frame->hd.stream_id)
								   : NULL;
		if (stream)
			end_sent(stream);
		break;
	case NGHTTP2_RST_STREAM:
		reset_sent(library, session, frame);
		break;
	case NGHTTP2_GOAWAY:
		goaway_sent(session, &frame->goaway);
		break;
	}
	return 0;
}

static int on_stream_close(nghttp2_session *library, int32_t id, uint32_t code, void *context)
{
	void *data = nghttp2_session_get_stream_user_data(library, id);
	struct h2_session *session = context;
	struct h2_stream *stream = data;

	if (!data)
		return 0;
	session->open_streams--;
	if (data == &h2_abandoned)
		return 0;
	stream->is_closed = true;
	if (!h2_stream_is_complete(stream) && !stream->is_reset) {
		/* Closed by a GOAWAY that does not cover it, or before it was sent. */
		stream->is_unseen = session->options.role == H2_CLIENT;
		h2_stream_note_reset(stream, code);
	}
	if (!stream->is_given && !stream->news)
		h2_stream_free(stream);
	return 0;
}

/* ---- memory ---- */

static void *library_malloc(size_t size_bytes, void *context)
{
	(void)context;
	return mem_take(size_bytes);
}

static void *library_calloc(size_t count, size_t size_bytes, void *context)
{
	(void)context;
	return mem_take_zeroed(count, size_bytes);
}

static void *library_realloc(void *old, size_t size_bytes, void *context)
{
	(void)context;
	return mem_retake(old, size_bytes);
}

static void library_free(void *memory, void *context)
{
	(void)context;
	mem_give(memory);
}

nghttp2_mem h2_memory(void)
{
	return (nghttp2_mem){
		.malloc = library_malloc,
		.free = library_free,
		.calloc = library_calloc,
		.realloc = library_realloc,
	};
}

int h2_callbacks_new(nghttp2_session_callbacks **ret_callbacks)
{
	nghttp2_session_callbacks *callbacks;

	if (nghttp2_session_callbacks_new(&callbacks) < 0)
		return -ENOMEM;
	nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
	nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_invalid_header_callback2(callbacks, on_invalid_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
	nghttp2_session_callbacks_set_send_data_callback(callbacks, on_send_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_received);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
	nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
	*ret_callbacks = callbacks;
	return 0;
}
