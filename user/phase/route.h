/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/stream.h"

/*
 * From a complete request to the first attempt: route, policies, the head for the backend. The downstream
 * codec has parsed the request: head, framing, upgrade and the log's texts are set.
 */
/* STEP_ROUTE: exchange_guard(), or an error. */
enum stream_step exchange_route(struct stream *stream);
/*
 * STEP_GUARD: the guards of the listener, the search for the route, its guards; then a redirect or an error,
 * a delay, or STEP_FORWARD. Called again with each answer that a guard waited for: also one of a backend,
 * then STEP_ATTEMPT follows.
 */
enum stream_step exchange_guard(struct stream *stream);
/* STEP_FORWARD, after routing and any delay: the response that the configuration defines, or STEP_ATTEMPT. */
enum stream_step exchange_forward(struct stream *stream);
