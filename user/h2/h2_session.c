/* SPDX-License-Identifier: Apache-2.0 */
#include "user/h2/h2_session.h"

#include <errno.h>

#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/h2/h2_internal.h"

enum {
	WINDOW_DEFAULT = 65535, /* RFC 9113 6.9.2 */
	WINDOW_MAX = INT32_MAX,
	BLOCK_BOUND_BYTES = 32, /* changes of the table's size, a priority */
};

/* ---- start ---- */

/* We open windows ourselves, and h2_floods.def limits resets. */
static int options_new(nghttp2_option **ret_option)
{
	nghttp2_option *option;

	if (nghttp2_option_new(&option) < 0)
		return -ENOMEM;
	nghttp2_option_set_no_auto_window_update(option, 1);
	nghttp2_option_set_max_continuations(option, LIMIT_H2_CONTINUATIONS);
	/* nghttp2 silently drops larger ones: h2_session_list() must refuse them before. */
	nghttp2_option_set_max_send_header_block_length(option,
							LIMIT_H2_HEAD_WRITE_BYTES + BLOCK_BOUND_BYTES);
	nghttp2_option_set_stream_reset_rate_limit(option, UINT64_MAX, UINT64_MAX);
	*ret_option = option;
	return 0;
}

static int library_new(struct h2_session *session)
{
	bool is_server = session->options.role == H2_SERVER;
	nghttp2_mem memory = h2_memory();
	nghttp2_session_callbacks *callbacks;
	nghttp2_option *option;
	int error = h2_callbacks_new(&callbacks);

	if (error)
		return error;
	error = options_new(&option);
	if (!error) {
		error = (is_server ? nghttp2_session_server_new3 : nghttp2_session_client_new3)(
			&session->library, callbacks, session, option, &memory);
		nghttp2_option_del(option);
	}
	nghttp2_session_callbacks_del(callbacks);
	return error < 0 ? -ENOMEM : 0;
}

/*
 * Disables the priority tree of RFC 7540: streams take turns frame by frame, and a peer cannot make us keep a
 * tree of its design.
 */
static int settings_submit(struct h2_session *session)
{
	const struct h2_options *options = &session->options;
	nghttp2_settings_entry entries[] = {
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options->window_bytes },
		{ NGHTTP2_SETTINGS_MAX_FRAME_SIZE, options->frame_bytes },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, options->head_limits.bytes },
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options->max_streams },
		{ NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1 },
		{ NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1 },
	};
	size_t count = options->allows_connect_protocol ? ARRAY_LEN(entries) : ARRAY_LEN(entries) - 1;

	if (options->role == H2_CLIENT) {
		entries[3] = (nghttp2_settings_entry){ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 };
		count = 4;
	}
	if (nghttp2_submit_settings(session->library, NGHTTP2_FLAG_NONE, entries, count) < 0 ||
	    nghttp2_session_set_local_window_size(session->library, NGHTTP2_FLAG_NONE, 0,
						  (int32_t)options->connection_window_bytes) < 0)
		return -ENOMEM;
	session->is_settings_due = true;
	return 0;
}

struct h2_session *h2_session_create(const struct h2_options *options)
{
	struct h2_session *session = hg_calloc(1, sizeof(*session));

	if (!session)
		return NULL;
	CHECK(options->window_bytes > 0 && options->window_bytes <= WINDOW_MAX);
	CHECK(options->connection_window_bytes <= WINDOW_MAX);
	session->options = *options;
	if (session->options.connection_window_bytes < WINDOW_DEFAULT)
		session->options.connection_window_bytes = WINDOW_DEFAULT;
	list_init(&session->streams);
	list_init(&session->ready);
	list_init(&session->spare);
	h2_watch_init(&session->watch, options->role == H2_SERVER);
	if (library_new(session) < 0 || settings_submit(session) < 0) {
		h2_session_free(session);
		return NULL;
	}
	return session;
}

/* ---- end ---- */

void h2_session_abort(struct h2_session *session)
{
	if (session->is_aborted)
		return;
	session->is_aborted = true;
	list_each(node, next, &session->streams) {
		struct h2_stream *stream = list_entry(node, struct h2_stream, node);

		stream->is_closed = true;
		if (!h2_stream_is_complete(stream)) {
			if (session->options.role == H2_CLIENT && !stream->is_started)
				stream->is_unseen = true;
			h2_stream_note_reset(stream, session->is_failed ? session->error_code : H2_CANCEL);
		}
		if (!stream->is_given && !stream->news)
			h2_stream_free(stream);
	}
	session->open_streams = 0;
	buf_done(&session->staged);
}

void h2_session_free(struct h2_session *session)
{
	h2_session_abort(session);
	list_each(node, next, &session->streams) {
		struct h2_stream *stream = list_entry(node, struct h2_stream, node);

		h2_stream_drop_heads(stream);
		stream->session = NULL;
		list_remove(&stream->ready);
		list_remove(&stream->node);
		if (!stream->is_given)
			h2_stream_free(stream);
	}
	for (struct list *node; (node = list_pop(&session->spare));)
		hg_free(list_entry(node, struct h2_stream, node));
	nghttp2_session_del(session->library);
	h2_head_free(session->block);
	hg_free(session->list);
	hg_free(session);
}

void h2_session_fail(struct h2_session *session, uint32_t code)
{
	session->is_failed = true;
	session->error_code = code;
	if (nghttp2_session_terminate_session(session->library, code) < 0)
		session->has_no_memory = true;
}

void h2_session_count(struct h2_session *session, enum h2_flood_kind kind)
{
	if (!h2_flood_count(&session->flood, &session->options.flood_limits, kind, session->now_ms) &&
	    session->flood_kind == H2_FLOOD_NONE)
		session->flood_kind = kind;
}

/* Ends the connection for what callbacks have recorded, outside of them. */
static void session_judge(struct h2_session *session)
{
	size_t queue_max = LIMIT_H2_QUEUE_FRAMES + 2 * (size_t)session->open_streams;

	if (nghttp2_session_get_outbound_queue_size(session->library) > queue_max &&
	    session->flood_kind == H2_FLOOD_NONE)
		session->flood_kind = H2_FLOOD_QUEUE;
	if (!session->is_failed && session->flood_kind != H2_FLOOD_NONE)
		h2_session_fail(session, H2_ENHANCE_YOUR_CALM);
}

/* ---- output ---- */

static int session_pull(struct h2_session *session, struct buf *out, size_t max_bytes)
{
	session->out = out;
	session->out_max = max_bytes;
	while (buf_len(out) < max_bytes) {
		const uint8_t *data;
		ssize_t len = nghttp2_session_mem_send(session->library, &data);

		if (len == 0)
			break;
		if (len < 0 || buf_append(out, span_of(data, (size_t)len), SIZE_MAX) < 0) {
			session->has_no_memory = true;
			return -ENOMEM;
		}
	}
	return session->has_no_memory ? -ENOMEM : 0;
}

/*
 * Received frames make nghttp2 queue frames, and it tells only while making them which streams they reset and
 * whether they end the connection. So make them at once, except payload.
 */
static int session_stage(struct h2_session *session)
{
	int error;

	if (nghttp2_session_get_outbound_queue_size(session->library) == 0)
		return 0;
	session->is_staging = true;
	error = session_pull(session, &session->staged, LIMIT_H2_STAGED_BYTES);
	session->is_staging = false;
	return error;
}

int h2_session_output(struct h2_session *session, struct buf *out, size_t max_bytes)
{
	int error;

	if (session->has_no_memory)
		return -ENOMEM;
	if (session->is_aborted)
		return 0;
	if (buf_len(&session->staged)) {
		error = buf_append(out, buf_span(&session->staged), SIZE_MAX);
		if (error)
			return error;
		buf_done(&session->staged);
	}
	error = session_pull(session, out, max_bytes);
	session_judge(session);
	return error;
}

bool h2_session_wants_output(const struct h2_session *session)
{
	return !session->is_aborted && !session->has_no_memory &&
	       (buf_len(&session->staged) || nghttp2_session_want_write(session->library));
}

bool h2_session_is_over(const struct h2_session *session)
{
	return session->is_aborted || session->has_no_memory ||
	       (!h2_session_wants_output(session) && !nghttp2_session_want_read(session->library));
}

/* ---- input ---- */

/* True for a stream that was open and has ended. */
static bool session_is_stray(const struct h2_session *session, const struct h2_frame *frame)
{
	return frame->stream_id && session->options.role == H2_SERVER &&
	       (int64_t)frame->stream_id <= session->last_peer_id &&
	       !nghttp2_session_get_stream_user_data(session->library, (int32_t)frame->stream_id);
}

/*
 * A stream explains some frames that others need not answer: windows that clients widen as soon as it is
 * open, the priorities that our SETTINGS ask for (RFC 9218), GREASE. What many streams have left is no more
 * than what all that may be open at once explain.
 */
static void session_explain(const struct h2_session *session, uint32_t *due, uint32_t more)
{
	uint32_t most = more * session->options.max_streams;

	*due = *due + more < most ? *due + more : most;
}

static bool session_explains(uint32_t *due)
{
	bool is_due = *due != 0;

	*due -= is_due;
	return is_due;
}

/* What the frame counts as, considering what we have sent. */
static enum h2_flood_kind session_flood_of(struct h2_session *session, const struct h2_frame *frame)
{
	enum h2_flood_kind kind = h2_frame_flood(frame);
	bool is_due;

	switch (h2_frame_answer(frame)) {
	case H2_ANSWER_NONE:
		break;
	case H2_ANSWER_OPENING:
		session->due_window_updates += LIMIT_H2_WINDOW_UPDATES;
		session_explain(session, &session->due_priorities, LIMIT_H2_PRIORITIES);
		session_explain(session, &session->due_unknown_frames, LIMIT_H2_UNKNOWN_FRAMES);
		break;
	case H2_ANSWER_WINDOW:
		is_due = session_explains(&session->due_window_updates);
		return is_due ? H2_FLOOD_NONE : H2_FLOOD_WINDOW_UPDATE;
	case H2_ANSWER_SETTINGS:
		is_due = session->is_settings_due;
		session->is_settings_due = false;
		return is_due ? H2_FLOOD_NONE : H2_FLOOD_GLITCH;
	case H2_ANSWER_PING:
		is_due = session_explains(&session->due_pings);
		return is_due ? H2_FLOOD_NONE : H2_FLOOD_GLITCH;
	}
	if ((kind == H2_FLOOD_PRIORITY && session_explains(&session->due_priorities)) ||
	    (kind == H2_FLOOD_UNKNOWN && session_explains(&session->due_unknown_frames)))
		return H2_FLOOD_NONE;
	return kind == H2_FLOOD_NONE && session_is_stray(session, frame) ? H2_FLOOD_STRAY : kind;
}

/* Detects violations that nghttp2 ignores because it has forgotten the stream. */
static void session_judge_past(struct h2_session *session, const struct h2_frame *frame)
{
	switch (h2_frame_past(frame, &session->past)) {
	case H2_PAST_FINE:
		break;
	case H2_PAST_SKIPPED:
		h2_session_fail(session, H2_PROTOCOL_ERROR);
		break;
	case H2_PAST_ENDED:
		h2_session_fail(session, H2_STREAM_CLOSED);
		break;
	case H2_PAST_RESET:
		session->after_reset_id = (int32_t)frame->stream_id;
		break;
	}
}

/* Counts the frames of a slice; returns how many of its bytes may be processed. */
static size_t session_watch(struct h2_session *session, struct span slice)
{
	struct span rest = slice;
	struct h2_frame frame;

	while (h2_watch_next(&session->watch, &rest, &frame)) {
		enum h2_flood_kind kind = session_flood_of(session, &frame);

		session->frames++;
		if (h2_frame_is_misplaced(&frame))
			h2_session_fail(session, H2_PROTOCOL_ERROR);
		else if (session->options.role == H2_SERVER)
			session_judge_past(session, &frame);
		if (kind != H2_FLOOD_NONE)
			h2_session_count(session, kind);
		if (session->flood_kind != H2_FLOOD_NONE || session->is_failed)
			break;
	}
	return slice.len - rest.len;
}

/* Handles a negative result of nghttp2_session_mem_recv(). */
static int session_refuse(struct h2_session *session, ssize_t result)
{
	if (session->has_no_memory || result == NGHTTP2_ERR_NOMEM) {
		session->has_no_memory = true;
		return -ENOMEM;
	}
	if (session->flood_kind == H2_FLOOD_NONE && result == NGHTTP2_ERR_FLOODED)
		session->flood_kind = H2_FLOOD_QUEUE;
	if (session->flood_kind == H2_FLOOD_NONE && result == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS)
		session->flood_kind = H2_FLOOD_CONTINUATION;
	h2_session_fail(session,
			result == NGHTTP2_ERR_BAD_CLIENT_MAGIC ? H2_PROTOCOL_ERROR : H2_ENHANCE_YOUR_CALM);
	return 0;
}

/*
 * Opens the window of the connection at once, whether or not streams are read: only its own window stops a
 * slow stream.
 */
static int session_give_back(struct h2_session *session)
{
	size_t bytes = session->received_bytes;

	session->received_bytes = 0;
	if (bytes == 0 || nghttp2_session_consume_connection(session->library, bytes) == 0)
		return 0;
	session->has_no_memory = true;
	return -ENOMEM;
}

/* Resets a stream after nghttp2 knows it, which may be in the same slice; at most one for each slice. */
static void session_answer_late(struct h2_session *session)
{
	if (session->after_reset_id &&
	    nghttp2_submit_rst_stream(session->library, NGHTTP2_FLAG_NONE, session->after_reset_id,
				      H2_STREAM_CLOSED) < 0)
		session->has_no_memory = true;
	session->after_reset_id = 0;
}

static int session_feed_slice(struct h2_session *session, struct span slice)
{
	ssize_t result;
	int error;

	result = nghttp2_session_mem_recv(session->library, (const uint8_t *)slice.data,
					  session_watch(session, slice));
	if (result < 0)
		return session_refuse(session, result);
	session_answer_late(session);
	error = session_give_back(session);
	if (!error)
		error = session_stage(session);
	session_judge(session);
	return error;
}

int h2_session_feed(struct h2_session *session, struct span bytes, uint64_t now_ms)
{
	session->now_ms = now_ms;
	session->fed_bytes += bytes.len;
	while (bytes.len && !session->is_failed && !session->is_aborted && !session->has_no_memory) {
		struct span slice = span_first(bytes, LIMIT_H2_SLICE_BYTES);
		int error = session_feed_slice(session, slice);

		if (error)
			return error;
		bytes = span_from(bytes, slice.len);
	}
	return h2_session_failure(session);
}

/* ---- state ---- */

int h2_session_failure(const struct h2_session *session)
{
	if (session->has_no_memory)
		return -ENOMEM;
	return session->is_failed || session->is_aborted ? -EPROTO : 0;
}

enum h2_flood_kind h2_session_flood(const struct h2_session *session)
{
	return session->flood_kind;
}

struct h2_stream *h2_session_next(struct h2_session *session)
{
	struct list *node = list_pop(&session->ready);
	struct h2_stream *stream = node ? list_entry(node, struct h2_stream, ready) : NULL;

	if (stream)
		stream->is_given = true;
	return stream;
}

uint64_t h2_session_open_section(const struct h2_session *session)
{
	bool is_open = session->past.is_in_section || h2_watch_is_in_head(&session->watch);

	return is_open ? (uint64_t)session->watch.heads + 1 : 0;
}

uint64_t h2_session_frames(const struct h2_session *session)
{
	return session->frames;
}

uint64_t h2_session_written(const struct h2_session *session)
{
	return session->written_bytes;
}

struct h2_stream *h2_session_any(struct h2_session *session)
{
	return list_is_empty(&session->streams) ? NULL
						: list_entry(session->streams.next, struct h2_stream, node);
}

uint32_t h2_session_most_streams(const struct h2_session *session)
{
	return nghttp2_session_get_remote_settings(session->library, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

uint32_t h2_session_capacity(const struct h2_session *session)
{
	uint32_t peer_max = h2_session_most_streams(session);
	uint32_t next_id = nghttp2_session_get_next_stream_id(session->library);
	uint32_t left = next_id > INT32_MAX ? 0 : (INT32_MAX - next_id) / 2 + 1;
	uint32_t most = peer_max > session->open_streams ? peer_max - session->open_streams : 0;

	if (session->options.role == H2_SERVER || session->is_failed || session->is_aborted ||
	    session->is_ending || session->has_goaway || session->has_no_memory)
		return 0;
	return most < left ? most : left;
}

bool h2_session_is_settled(const struct h2_session *session)
{
	return session->is_settled;
}

bool h2_session_has_goaway(const struct h2_session *session)
{
	return session->has_goaway;
}

/* ---- shutdown ---- */

int h2_session_announce_end(struct h2_session *session)
{
	if (session->is_ending)
		return 0;
	session->is_ending = true;
	/* A client takes no requests: it only has to open none. */
	if (session->options.role == H2_CLIENT || session->is_aborted)
		return 0;
	return nghttp2_submit_shutdown_notice(session->library) < 0 ? -ENOMEM : 0;
}

int h2_session_refuse_more(struct h2_session *session)
{
	int32_t last = nghttp2_session_get_last_proc_stream_id(session->library);

	if (session->is_refusing || session->is_aborted)
		return 0;
	session->is_ending = true;
	session->is_refusing = true;
	if (nghttp2_submit_goaway(session->library, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, NULL, 0) < 0)
		return -ENOMEM;
	/* Make it now: a stream that arrives before it is sent must not be accepted and then cut off. */
	return session_stage(session);
}

int h2_session_ping(struct h2_session *session, uint64_t id)
{
	uint8_t opaque[8];

	CHECK(id > 0);
	for (size_t i = 0; i < sizeof(opaque); i++)
		opaque[i] = (uint8_t)(id >> (56 - 8 * i));
	if (nghttp2_submit_ping(session->library, NGHTTP2_FLAG_NONE, opaque) < 0)
		return -ENOMEM;
	session->ping_sent = id;
	session->due_pings++;
	return 0;
}

uint64_t h2_session_pings(const struct h2_session *session)
{
	return session->ping_count + session->ping_acked;
}

uint64_t h2_session_ping_acked(const struct h2_session *session)
{
	return session->ping_acked;
}
