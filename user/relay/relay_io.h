/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/relay/relay.h"

/* What lanes do to the ends of their direction. Nothing here knows a lane. */

extern const struct lane lane_copy;
extern const struct lane lane_pipe;
extern const struct lane lane_sockmap;
extern const struct lane lane_near;

/* Bytes go from socket to socket as they are: what every lane but the copying one needs. */
static inline bool relay_is_between_sockets(const struct relay *relay)
{
	return relay->source && relay->sink && !relay->source->tls && !relay->sink->tls;
}
/* ... and all of them through TCP: what the lanes pipe and sockmap see is TCP's queue. */
static inline bool relay_is_between_tcp(const struct relay *relay)
{
	return relay_is_between_sockets(relay) && !relay->source->hop && !relay->sink->hop;
}

/* User space moves its bytes, or has the kernel move them when it says so. */
static inline bool relay_is_by_hand(const struct relay *relay)
{
	return relay->lane == &lane_copy || relay->lane == &lane_pipe;
}
static inline bool relay_is_in_sockmap(const struct relay *relay)
{
	return relay->lane == &lane_sockmap;
}
/* Also when it has ended there. */
static inline bool relay_is_in_direct(const struct relay *relay)
{
	return relay->lane == &lane_near;
}

/* 0 or -errno as conn_send, like the next one. */
int relay_send(struct relay *relay, const struct iovec *pieces, int count);
/* Payload with the relay's framing, past the lanes: a replayed body. */
int relay_send_payload(struct relay *relay, struct span payload);
int relay_push(struct relay *relay); /* what waits in the sink's queue: 0 or its error */
bool relay_sink_is_empty(const struct relay *relay);
int relay_send_end(struct relay *relay); /* what ends the message in the sink's framing */
void relay_source_ended(struct relay *relay); /* the message is complete: FLUSH or DONE */
void relay_fail(struct relay *relay, enum relay_fail fail);
void relay_account(struct relay *relay, enum lane_id lane, uint64_t payload_bytes);
/* What has gone through both ends; only compared with an earlier value. */
uint64_t relay_progress(const struct relay *relay);
/* last_active_ms, when something has. */
void relay_note_progress(struct relay *relay, uint64_t now_ms);
/* Goes on with the direction that another process had in the sockmap lane. 0 or -errno. */
int lane_sockmap_adopt(struct relay *relay);
/* The same of the lane direct. */
int lane_near_adopt(struct relay *relay);
/* Asks a direction to go back to the copy lane: in a turn of its own, this may be that of the other way. */
void lane_sockmap_recall(struct relay_gate *gate);
/* The copy lane's pump: also of lanes that copy at times. */
bool lane_copy_pump(struct relay *relay);
