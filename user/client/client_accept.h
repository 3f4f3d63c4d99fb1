/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/client/client.h"

/* How client connections start, and how their events are dispatched. */

/* Which process accepted a connection. Nothing has been read from it yet in any case. */
enum client_origin {
	CLIENT_ACCEPTED, /* this process */
	CLIENT_TAKEN_OVER, /* another one */
	/* another one, and its bytes bypass TCP: they are in queues of the same-host lanes */
	CLIENT_TAKEN_OVER_BYPASS,
};

/*
 * Starts a connection that was just accepted: counts it, refuses it beyond a limit, starts reading. Owns fd.
 * False: the connection was reset at once.
 */
bool client_start(struct proxy *proxy, struct proxy_bind *bind, int fd, const struct address *peer,
		  enum client_origin origin);
/*
 * Creates the client of a stream that another process started; the caller sets state, age and stream.
 * has_requests: the stream is a request, and others may follow on the connection; otherwise it is a tunnel.
 * Owns fd. NULL: the connection was reset.
 */
struct client *client_take_over(struct proxy *proxy, struct proxy_bind *bind, int fd,
				const struct address *peer, bool has_requests, enum client_origin origin);
