/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/proxy/stream.h"

/*
 * Two directions of opaque bytes: TCP routes, TLS passthrough, connections upgraded by the backend's 101, and
 * CONNECT (connect_tunnel.h).
 * A FIN travels as a FIN once everything before it was delivered; a reset travels as a reset.
 */

/* A TCP or TLS connection: chooses route and backend and begins to connect. */
void tunnel_open(struct stream *stream, struct span sni);
/* Both connections are there. */
void tunnel_start(struct stream *stream);
void tunnel_pump(struct stream *stream);
bool tunnel_is_half_closed(const struct stream *stream);
