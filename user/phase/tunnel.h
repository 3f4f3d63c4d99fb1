/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/stream.h"

/*
 * Two directions of opaque bytes: TCP routes, TLS passthrough, connections upgraded by the backend's 101, and
 * CONNECT (connect_tunnel.h). A FIN is forwarded as a FIN once everything before it was delivered; a reset is
 * forwarded as a reset.
 */

/* Starts a TCP or TLS connection: chooses route and backend; an attempt follows. */
enum stream_step tunnel_open(struct stream *stream, struct span sni);
/* STEP_TUNNEL: both connections are established. */
enum stream_step tunnel_start(struct stream *stream);
/*
 * Starts both directions, in the copy lane and with permission for the sockmap lane; part of tunnel_start().
 */
void tunnel_start_directions(struct stream *stream);
bool tunnel_is_half_closed(const struct stream *stream);
/* In TUNNEL, after both directions were pumped: forwards a FIN; STEP_END when the tunnel is over. */
enum stream_step tunnel_pumped(struct stream *stream, bool was_half_closed);
/*
 * How to end a tunnel at one of our deadlines: with FIN in both directions if all bytes sent so far are in
 * the send queues towards their readers, otherwise with a reset in both directions, so that no truncated data
 * looks complete.
 */
enum stream_end tunnel_end(struct stream *stream);
