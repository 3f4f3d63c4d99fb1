/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/stream.h"

/*
 * Injected delays: a request whose route has a delay policy waits in state DELAY, with the timer of its
 * stream, before it is answered or forwarded (STEP_FORWARD). The wait counts towards requestTimeout, which
 * ends it with a 504. The request body waits in its socket meanwhile; a client that resets ends the stream,
 * as in every state.
 */

/* True if the stream waits now. */
bool delay_start(struct stream *stream);
