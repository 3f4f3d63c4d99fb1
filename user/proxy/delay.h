/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/proxy/stream.h"

/*
 * Injected delays: a request whose route has a delay policy waits in state DELAY, with the timer of its
 * stream, before it is answered or sent on (exchange_go_on()). The wait counts against requestTimeout, which
 * ends it with its 504. The body of the request waits in its socket meanwhile; a client that resets ends the
 * stream, as in every state.
 */

/* True when the stream waits now. */
bool delay_start(struct stream *stream);
/*
 * The delay of one request in nanoseconds, at most LIMIT_DELAY_MS. An expression whose value is not above 0,
 * or that has none, delays nothing.
 */
uint64_t delay_of_request(const struct delay_policy *policy, const struct request_head *head,
			  uint64_t random);
