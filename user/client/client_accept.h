/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/client/client.h"

/* How a connection of a client begins, and what its events do. */

/* Who has accepted a connection: nothing of it was read here in any case. */
enum client_origin {
	CLIENT_ACCEPTED, /* this process */
	CLIENT_TAKEN_OVER, /* another one */
	/* the same, where it bypassed TCP: its bytes are in queues of the same-host lanes */
	CLIENT_TAKEN_OVER_BYPASS,
};

/*
 * Takes a connection that was just accepted: counts it, refuses it past a limit, starts reading. Owns fd.
 * False: it was reset at once.
 */
bool client_start(struct proxy *proxy, struct proxy_bind *bind, int fd, const struct address *peer,
		  enum client_origin origin);
/*
 * The client of a stream that another process has begun: state, age and stream are the caller's to set.
 * has_requests: of a request, behind which others may follow; else of a tunnel. Owns fd; NULL: it was reset.
 */
struct client *client_take_over(struct proxy *proxy, struct proxy_bind *bind, int fd,
				const struct address *peer, bool has_requests, enum client_origin origin);
