/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/proxy/stream.h"

/* From a complete request head to the first try: parse, route, policies, the head that goes to the backend.
 */
/* `head` lives in the stream's arena. */
void exchange_start(struct stream *stream, struct span head);
/* The same for a head that was parsed elsewhere: it, its framing and the log's texts are set. */
void exchange_begin(struct stream *stream);
/* After stream->backend was chosen: the head that goes to it. 0 or -ENOMEM. */
int exchange_use_backend(struct stream *stream);
/* After the route and its delay: the answer of the configuration, or the first try. */
void exchange_go_on(struct stream *stream);
