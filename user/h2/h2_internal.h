/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <nghttp2/nghttp2.h>

#include "user/h2/h2_past.h"
#include "user/h2/h2_session.h"
#include "user/h2/h2_watch.h"

/*
 * Shared by h2_session.c (the connection), h2_stream.c (its streams) and h2_callbacks.c (nghttp2's
 * callbacks). No other file includes this but tests of the internals: nghttp2 is hidden behind it.
 *
 * Rules:
 *   - no callback ends the session: it stores a flag, and the function that called nghttp2 decides
 *     afterwards;
 *   - the only fatal result of a callback is that of missing memory;
 *   - nghttp2's pointer for a stream is the struct h2_stream, or &h2_abandoned after its owner has released
 *     it.
 */
struct h2_session {
	nghttp2_session *library; /* owner */
	struct h2_options options;
	struct list streams; /* all of them, by node */
	struct list ready; /* those with news */
	struct list spare; /* memory of released streams, owner */
	uint32_t spare_count;
	uint32_t open_streams;
	struct h2_head *block; /* owner: header section that is being received, or NULL */
	struct h2_stream *block_stream; /* its stream */
	uint64_t head_bytes; /* of the requests under way */
	uint64_t fed_bytes; /* received in all */
	int32_t last_peer_id; /* newest stream of the peer */
	struct buf staged; /* frames made while receiving */
	struct buf *out; /* where frames are written now */
	size_t out_max;
	uint64_t written_bytes; /* h2_session_written() */
	uint64_t frames; /* received */
	size_t waiting_bytes; /* in `out` of all streams */
	size_t received_bytes; /* payload whose connection window must be given back */
	nghttp2_nv *list; /* owner: array for a head to be sent */
	size_t list_size;
	char status[24]; /* digits of a status to be sent */
	struct h2_watch watch;
	struct h2_past past;
	int32_t after_reset_id; /* in this slice: stream with frames after the client's reset; 0: none */
	struct h2_flood flood;
	enum h2_flood_kind flood_kind; /* the limit that was exceeded */
	uint32_t due_window_updates; /* allowed to the peer by DATA that we sent */
	uint32_t due_priorities; /* PRIORITY and PRIORITY_UPDATE: explained by streams */
	uint32_t due_unknown_frames;
	uint32_t due_pings; /* expected acknowledgements */
	uint64_t now_ms;
	uint64_t ping_sent;
	uint64_t ping_acked;
	uint64_t ping_count; /* of the peer */
	uint32_t error_code;
	bool is_staging; /* no DATA is made now */
	bool is_failed;
	bool is_ending; /* the owner wants no more streams */
	bool is_refusing; /* and the peer got a GOAWAY with the last stream */
	bool is_aborted;
	bool has_no_memory;
	bool has_goaway;
	bool is_settled;
	bool is_settings_due; /* the peer's acknowledgement is outstanding */
};

extern const char h2_abandoned; /* address only */

/* ---- h2_callbacks.c ---- */

nghttp2_mem h2_memory(void); /* allocates for this thread (mem_keep) */
/* 0 or -ENOMEM */
int h2_callbacks_new(nghttp2_session_callbacks **ret_callbacks);
ssize_t h2_read_payload(nghttp2_session *library, int32_t id, uint8_t *data, size_t max, uint32_t *flags,
			nghttp2_data_source *source, void *context);

/* ---- h2_session.c ---- */

void h2_session_count(struct h2_session *session, enum h2_flood_kind kind);

/* ---- h2_list.c ---- */

/*
 * Puts the fields of a head into session->list. Returns their number, -ENOMEM, or -ENOBUFS
 * (LIMIT_H2_HEAD_WRITE_BYTES).
 */
ssize_t h2_session_list(struct h2_session *session, const struct h2_head *head);

/* ---- h2_stream.c ---- */

/* Drops bytes that were written and not yet framed. */
void h2_stream_drop_out(struct h2_stream *stream);
/* A stream that no owner knows yet. NULL without memory. */
struct h2_stream *h2_stream_create(struct h2_session *session, int32_t id);
/* Its heads count no more. */
void h2_stream_drop_heads(struct h2_stream *stream);
void h2_stream_free(struct h2_stream *stream);
void h2_stream_tell(struct h2_stream *stream, enum h2_news news);
/* Records the end of both directions and notifies the owner. No effect if the stream is already reset. */
void h2_stream_note_reset(struct h2_stream *stream, uint32_t code);
static inline bool h2_stream_is_complete(const struct h2_stream *stream)
{
	return stream->has_end && stream->is_end_sent;
}
