/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/step.h"

/*
 * The response that a route defines instead of asking a backend. True: *ret_step is the response, also if a
 * condition gave up: one that refuses must not fail open. False: the policy has conditions, and none is true.
 */
bool direct_answers(struct stream *stream, const struct direct_response *direct, enum stream_step *ret_step);
