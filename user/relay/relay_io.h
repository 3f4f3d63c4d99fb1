/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/relay/relay.h"

/* What lanes do with the ends of their direction. Nothing in this file depends on a lane. */

extern const struct lane lane_copy;
extern const struct lane lane_pipe;
extern const struct lane lane_sockmap;
extern const struct lane lane_local;

/* True if the bytes go unchanged from socket to socket: a condition of every lane but copy. */
static inline bool relay_is_between_sockets(const struct relay *relay)
{
	return relay->source && relay->sink && !relay->source->tls && !relay->sink->tls;
}
/* True if, in addition, all of them go through TCP: the lane sockmap sees only TCP's queue. */
static inline bool relay_is_between_tcp(const struct relay *relay)
{
	return relay_is_between_sockets(relay) && !relay->source->bypass && !relay->sink->bypass;
}

/* True if user space moves the bytes, itself or by splice(2). */
static inline bool relay_is_by_hand(const struct relay *relay)
{
	return relay->lane == &lane_copy || relay->lane == &lane_pipe;
}
static inline bool relay_is_in_sockmap(const struct relay *relay)
{
	return relay->lane == &lane_sockmap;
}
/* There is no sink yet: the copy lane keeps what it reads (relay_hold()). */
static inline bool relay_is_holding(const struct relay *relay)
{
	return relay->lane && !relay->sink && !relay->h2_sink;
}
/* Also true after the direction has ended in that lane. */
static inline bool relay_is_in_direct(const struct relay *relay)
{
	return relay->lane == &lane_local;
}

/* Both return 0 or -errno like conn_send(). */
int relay_send(struct relay *relay, const struct iovec *segments, int count);
/* Sends payload with the relay's framing, outside of the lanes: a replayed body. */
int relay_send_payload(struct relay *relay, struct span payload);
int relay_push(struct relay *relay); /* sends what waits in the sink's queue; 0 or its error */
bool relay_sink_is_empty(const struct relay *relay);
int relay_send_end(struct relay *relay); /* sends the end of the message in the sink's framing */
void relay_source_ended(struct relay *relay); /* the message is complete: FLUSH or DONE */
void relay_fail(struct relay *relay, enum relay_fail fail);
void relay_account(struct relay *relay, enum lane_id lane, uint64_t payload_bytes);
/* Bytes through both ends; meaningful only in comparison with an earlier value. */
uint64_t relay_progress(const struct relay *relay);
/* Sets last_active_ms if bytes have moved. */
void relay_note_progress(struct relay *relay, uint64_t now_ms);
/* Resumes the direction that another process had in the sockmap lane. Returns 0 or -errno. */
int lane_sockmap_resume(struct relay *relay);
/* The same for the lane `direct`. */
int lane_local_resume(struct relay *relay);
/*
 * Asks a direction to return to the copy lane, in a turn of its own: the caller may be in the turn of the
 * opposite direction.
 */
void lane_sockmap_recall(struct relay_sockmap *sockmap);
/* True while relay_replay() has bytes that the sink has not taken. */
static inline bool relay_is_replaying(const struct relay *relay)
{
	return relay->replay && relay->replay->left_bytes;
}
/*
 * Sends what replay_rewind() has made ready, as far as the sink takes it, and then the end if the source is
 * complete. Each piece is one chunk. Returns 0 or -errno like conn_send().
 */
int lane_copy_replay(struct relay *relay);
/* The pump of the copy lane, used also by lanes that copy at times. */
bool lane_copy_pump(struct relay *relay);
