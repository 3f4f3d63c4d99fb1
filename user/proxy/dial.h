/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/proxy/stream.h"

/*
 * How a try gets its connection to the endpoint it chose: an idle one, a shared one of HTTP/2, or a new one
 * after name and connect. Ends in attempt_send() or attempt_failed(), at once or later. What it needs
 * (struct dial) is there while a connection is being opened or waited for, and no longer.
 */
void dial_start(struct stream *stream);
/* In CONNECT: goes on when it is this try's turn to open the HTTP/2 connection that it waited for. */
void dial_resume(struct stream *stream);
/*
 * The HTTP/2 connection that tries wait for is there and its SETTINGS say how many it takes; or it has ended,
 * and one of them opens the next.
 */
void dial_on_settled(struct upstream_endpoint *endpoint);
/* The try has its connection, or gives up what is under way. Idempotent. */
void dial_stop(struct stream *stream);
