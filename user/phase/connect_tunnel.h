/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/stream.h"

/*
 * CONNECT (RFC 9110 9.3.6). Off unless frontendPolicies.connect.mode of the port is `route`. Then routes
 * choose a backend as for any other request, with the path "/", and our 200 makes both connections a tunnel.
 * It leads to the backend of the route, never to the host that the client has named: this is no open proxy.
 * Bytes after the head belong to the tunnel, so after any other response the connection ends.
 */

/* Call before routing. False: the port allows no tunnels, and connect_tunnel_refuse() responds. */
bool connect_tunnel_admit(struct stream *stream);
/* Responds 405 and ends the connection, when the port or the route allows no tunnels. */
enum stream_step connect_tunnel_refuse(struct stream *stream);
/* Prepares the first attempt, after a backend was chosen. 0 or -ENOMEM. */
int connect_tunnel_prepare(struct stream *stream);
/* The backend is connected: sends our 200. STEP_TUNNEL. */
enum stream_step connect_tunnel_start(struct stream *stream);

static inline bool connect_tunnel_is_asked(const struct stream *stream)
{
	return stream->exchange->head.method == METHOD_CONNECT;
}
