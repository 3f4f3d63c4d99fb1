/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/stream.h"

/*
 * From a complete request to the first attempt: route, policies, the head that goes to the backend. The front
 * has parsed it: head, framing, upgrade and the log's texts are set.
 */
/* STEP_ROUTE: the answer of a redirect or an error, a delay, or STEP_FORWARD. */
enum stream_step exchange_route(struct stream *stream);
/* STEP_FORWARD, after the route and its delay: the answer of the configuration, or STEP_ATTEMPT. */
enum stream_step exchange_forward(struct stream *stream);
