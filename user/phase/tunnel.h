/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/stream.h"

/*
 * Two directions of opaque bytes: TCP routes, TLS passthrough, connections upgraded by the backend's 101, and
 * CONNECT (connect_tunnel.h).
 * A FIN travels as a FIN once everything before it was delivered; a reset travels as a reset.
 */

/* A TCP or TLS connection: chooses route and backend; an attempt comes next. */
enum stream_step tunnel_open(struct stream *stream, struct span sni);
/* STEP_TUNNEL: both connections are there. */
enum stream_step tunnel_start(struct stream *stream);
/* A part of it: both directions, in the copy lane and with leave for the sockmap lane. */
void tunnel_start_directions(struct stream *stream);
bool tunnel_is_half_closed(const struct stream *stream);
/* In TUNNEL, when both directions were pumped: passes a FIN on; STEP_END when it is over. */
enum stream_step tunnel_pumped(struct stream *stream, bool was_half_closed);
/*
 * How a tunnel ends that a deadline of ours ends: with FIN both ways when everything that was sent is on its
 * way to its reader, else with a reset both ways, so that nothing that was cut looks whole.
 */
enum stream_end tunnel_end(struct stream *stream);
