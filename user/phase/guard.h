/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/stream.h"

/*
 * Runs the guards of a listener or a route (policy/guard): they refuse a request before a backend is chosen,
 * let alone connected, and add fields to each of its responses. A guard that cannot decide refuses with 500.
 */

/*
 * True: all guards of the list have passed. False: *ret_step is the response, or STEP_WAIT in state GUARD;
 * then STEP_GUARD calls this again, beginning with the guard that waits.
 */
bool guard_pass(struct stream *stream, const struct guard_list *list, enum stream_step *ret_step);
/* The body of the request has become larger than a policy of its route allows. */
enum stream_step guard_refuse_body(struct stream *stream);
