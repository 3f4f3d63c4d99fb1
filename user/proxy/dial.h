/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/net/connect.h"
#include "user/net/resolver.h"
#include "user/proxy/stream.h"

/*
 * How a try gets its connection to the endpoint it chose: an idle one, a shared one of HTTP/2, or a new one
 * after name and connect. Ends in attempt_send() or attempt_failed(), at once or later.
 */

/* What a try needs while a connection is being opened or waited for; it is freed with dial_stop(). */
struct dial {
	struct stream *stream; /* its owner */
	struct resolver_query query;
	struct net_connect connect;
	struct resolver_list *addresses; /* one reference; NULL: a literal address, borrowed from the lease */
	struct list h2_wait; /* in endpoint->h2_waiting */
	uint64_t start_ns;
	uint64_t deadline_ms; /* loop time; 0: none */
	bool is_opening_h2; /* others wait for the connection that this try opens */
	bool is_its_turn; /* to open one, after the try that it waited for gave up */
};

void dial_start(struct stream *stream);
/* In CONNECT: goes on when it is this try's turn to open the HTTP/2 connection that it waited for. */
void dial_resume(struct stream *stream);
/*
 * The HTTP/2 connection that tries wait for is there and its SETTINGS say how many it takes; or it has ended,
 * and one of them opens the next.
 */
void dial_on_settled(struct upstream_endpoint *endpoint);
/* It waits for the connection that another try opens, or for its turn: nothing was asked of the endpoint. */
bool dial_is_waiting(const struct stream *stream);
/* When connecting is over, loop time; 0: nothing is being opened, or there is no limit. */
uint64_t dial_deadline_ms(const struct stream *stream);
/* The try has its connection, or gives up what is under way. Idempotent. */
void dial_stop(struct stream *stream);
