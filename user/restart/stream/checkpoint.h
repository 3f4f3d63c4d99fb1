/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/relay/relay_io.h"
#include "user/stream/stream.h"

/*
 * What another process needs of a stream, kept where it outlives this one (user/restart/state.h): of a tunnel
 * from its beginning on; of a request, and of a response whose request is complete, once its body rides the
 * kernel lane or it has lasted a while, so that short ones cost nothing. A direction is busy while it is
 * pumped, and stays so as long as bytes of it are in this process's memory. Nothing of this without a keeper.
 *
 * The driver calls this around each step and each pump, and nobody else does but for a stream that changes
 * its process (resume.h, quiesce.h).
 */
enum { CHECKPOINT_AFTER_MS = 250 }; /* proxy->look_after_ms */

/* Of a stream that has an entry. */
void checkpoint_before_step(struct stream *stream, enum stream_step step);
/* The same, or of one that may get an entry now. `next` has not been taken yet. */
void checkpoint_after_step(struct stream *stream, enum stream_step step, enum stream_step next);
/* An exchange without an entry may have become one that is kept. */
void checkpoint_look(struct stream *stream);
static inline bool checkpoint_is_due(const struct stream *stream)
{
	uint64_t look_ms = stream_look_ms(stream);

	return look_ms && (proxy_now_ms(stream->proxy) >= look_ms || relay_is_in_sockmap(&stream->upload) ||
			   relay_is_in_sockmap(&stream->download));
}

/* Of a stream that has an entry: around relay_pump() of a direction, or a look for the head of an answer. */
void checkpoint_before_pump(struct stream *stream, const struct relay *relay);
void checkpoint_after_pump(struct stream *stream, struct relay *relay);

/*
 * Of a stream that begins here in the middle: its entry, with both directions busy until they have been
 * pumped.
 */
void checkpoint_begin(struct stream *stream);
/* Nothing of an answer has come yet, or its direction stays busy. */
void checkpoint_waits(struct stream *stream);
/* Its connections are about to be closed, or given to others. */
void checkpoint_end(struct stream *stream);

/* How names are known there. */
uint64_t checkpoint_listener_name(const struct listener *listener);
uint64_t checkpoint_route_name(const struct route *route);
uint64_t checkpoint_tcp_route_name(const struct tcp_route *route);
uint64_t checkpoint_backend_name(const struct backend_ref *ref);
