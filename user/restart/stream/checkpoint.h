/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/relay/relay_io.h"
#include "user/stream/stream.h"

/*
 * Maintains a stream's entry, which another process needs to resume it (user/restart/state.h). A tunnel has
 * one from its beginning; a request, or a response whose request is complete, gets one once its body is in
 * the kernel lane or it has lasted CHECKPOINT_AFTER_MS, so that short ones cost nothing. A direction is busy
 * while it is pumped, and as long as bytes of it are in this process's memory. Without a keeper there are no
 * entries.
 *
 * The driver calls these functions around each step and each pump. Other callers: only for a stream that
 * changes its process (resume.h, quiesce.h).
 */
enum { CHECKPOINT_AFTER_MS = 250 }; /* proxy->look_after_ms */

/* For a stream with an entry. */
void checkpoint_before_step(struct stream *stream, enum stream_step step);
/* For a stream that has an entry or may get one now. `next` has not been run yet. */
void checkpoint_after_step(struct stream *stream, enum stream_step step, enum stream_step next);
/* Gives an exchange without an entry one if it now qualifies. */
void checkpoint_look(struct stream *stream);
static inline bool checkpoint_is_due(const struct stream *stream)
{
	uint64_t look_ms = stream_look_ms(stream);

	return look_ms && (proxy_now_ms(stream->proxy) >= look_ms || relay_is_in_sockmap(&stream->upload) ||
			   relay_is_in_sockmap(&stream->download));
}

/* For a stream with an entry: around relay_pump() of a direction, or around a check for the response head. */
void checkpoint_before_pump(struct stream *stream, const struct relay *relay);
void checkpoint_after_pump(struct stream *stream, struct relay *relay);

/* Creates the stream's entry, with both directions busy until they have been pumped. */
void checkpoint_begin(struct stream *stream);
/* Marks the response direction free if no byte of a response was received; otherwise it stays busy. */
void checkpoint_waits(struct stream *stream);
/* Ends the entry: the connections are about to be closed or handed to others. */
void checkpoint_end(struct stream *stream);

/* Hashes of names, as stored in an entry. */
uint64_t checkpoint_listener_name(const struct listener *listener);
uint64_t checkpoint_route_name(const struct route *route);
uint64_t checkpoint_tcp_route_name(const struct tcp_route *route);
uint64_t checkpoint_backend_name(const struct backend_ref *ref);
