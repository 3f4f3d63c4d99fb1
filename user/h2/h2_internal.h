/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <nghttp2/nghttp2.h>

#include "user/h2/h2_past.h"
#include "user/h2/h2_session.h"
#include "user/h2/h2_watch.h"

/*
 * What h2_session.c (the connection), h2_stream.c (its streams) and h2_callbacks.c (what nghttp2 tells)
 * share. Nobody else includes this but tests that look inside: nghttp2 stays behind it.
 *
 * Rules of the house:
 *   - no callback ends the session: it notes, and the function that called nghttp2 decides afterwards;
 *   - the only fatal result of a callback is that of no memory;
 *   - nghttp2's pointer of a stream is the struct h2_stream, or &h2_abandoned once its owner released it.
 */
struct h2_session {
	nghttp2_session *library; /* owner */
	struct h2_options options;
	struct list streams; /* all of them, by node */
	struct list ready; /* those with news */
	struct list spare; /* memory of released ones, owner */
	uint32_t spare_count;
	uint32_t open_streams;
	struct h2_head *block; /* owner: header section that is being received, or NULL */
	struct h2_stream *block_stream; /* whose it is */
	int32_t last_peer_id; /* newest stream of the peer */
	struct buf staged; /* frames made while receiving */
	struct buf *out; /* where frames go now */
	size_t out_max;
	uint64_t written_bytes; /* h2_session_written() */
	uint64_t frames; /* received */
	size_t waiting_bytes; /* in `out` of all streams */
	size_t received_bytes; /* payload whose window of the connection is to be given back */
	nghttp2_nv *list; /* owner: room for a head on its way out */
	size_t list_size;
	char status[24]; /* digits of a status on its way out */
	struct h2_watch watch;
	struct h2_past past;
	int32_t after_reset_id; /* of this slice: the client reset it, and sends for it; 0: none */
	struct h2_flood flood;
	enum h2_flood_kind flood_kind; /* the limit that was passed */
	uint32_t due_window_updates; /* of the peer: explained by DATA we sent */
	uint32_t due_pings; /* answers to ours */
	uint64_t now_ms;
	uint64_t ping_sent;
	uint64_t ping_acked;
	uint64_t ping_count; /* of the peer */
	uint32_t error_code;
	bool is_staging; /* no DATA now */
	bool is_failed;
	bool is_ending; /* the owner wants no more streams */
	bool is_refusing; /* and the peer was told the last one */
	bool is_aborted;
	bool has_no_memory;
	bool has_goaway;
	bool is_settled;
	bool is_settings_due; /* the answer to ours */
};

extern const char h2_abandoned; /* address only */

/* ---- h2_callbacks.c ---- */

nghttp2_mem h2_memory(void); /* that of the thread (mem_keep) */
/* 0 or -ENOMEM */
int h2_callbacks_new(nghttp2_session_callbacks **ret_callbacks);
ssize_t h2_read_payload(nghttp2_session *library, int32_t id, uint8_t *data, size_t max, uint32_t *flags,
			nghttp2_data_source *source, void *context);

/* ---- h2_session.c ---- */

void h2_session_count(struct h2_session *session, enum h2_flood_kind kind);
/* The fields of a head in session->list. Their number, -ENOMEM, or -ENOBUFS (LIMIT_H2_HEAD_WRITE_BYTES). */
ssize_t h2_session_list(struct h2_session *session, const struct h2_head *head);

/* ---- h2_stream.c ---- */

/* What was written and not framed is not sent any more. */
void h2_stream_drop_out(struct h2_stream *stream);
/* Known to nobody yet. NULL on no memory. */
struct h2_stream *h2_stream_create(struct h2_session *session, int32_t id);
void h2_stream_free(struct h2_stream *stream);
void h2_stream_tell(struct h2_stream *stream, enum h2_news news);
/* Notes the end of both directions, and tells. Without effect on a stream that is reset already. */
void h2_stream_note_reset(struct h2_stream *stream, uint32_t code);
static inline bool h2_stream_is_complete(const struct h2_stream *stream)
{
	return stream->has_end && stream->is_end_sent;
}
