/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/guard/guard.h"
#include "user/stream/stream.h"

/*
 * Calls of helper services that guards make (user/callout): a stream has at most one, while it waits in state
 * GUARD. When it is done, STEP_GUARD asks the guard again, with the reply.
 */

/* guard_verifier.call() and keep() of the stream. */
int guard_call_start(void *context, const struct guard_call *call);
void guard_call_keep(void *context, uint64_t ttl_ns);
/* The reply to the stream's call; false: there is none. Valid until guard_call_drop(). */
bool guard_call_reply(const struct stream *stream, struct guard_reply *ret);
/* The request, as guards have changed it: for what came with it from the client. 0 or -ENOMEM. */
int guard_call_change(struct stream *stream, const struct header_modifier *changes);
/* The same again, after fields that the client nominated in Connection were removed. 0 or -ENOMEM. */
int guard_call_change_again(struct stream *stream);
