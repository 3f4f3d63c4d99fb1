/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/stream.h"

/*
 * CONNECT (RFC 9110 9.3.6). Off unless frontendPolicies.connect.mode of the port is `route`. Then routes
 * choose a backend as for any other request, its path being "/", and our 200 makes both connections a tunnel.
 * The connection goes to the backend of the route, never to the host that the client has named: this is no
 * open proxy. Bytes that follow the head belong to the tunnel, so after any other answer the connection ends.
 */

/* Before routing. False: the port makes no tunnels, connect_tunnel_refuse() answers. */
bool connect_tunnel_admit(struct stream *stream);
/* The answer of a gateway, or a route, that makes no tunnels: 405, and the end of the connection. */
enum stream_step connect_tunnel_refuse(struct stream *stream);
/* A backend was chosen: what there is to do before the first attempt. 0 or -ENOMEM. */
int connect_tunnel_prepare(struct stream *stream);
/* The backend is connected: our 200, and STEP_TUNNEL. */
enum stream_step connect_tunnel_start(struct stream *stream);

static inline bool connect_tunnel_is_asked(const struct stream *stream)
{
	return stream->exchange->head.method == METHOD_CONNECT;
}
