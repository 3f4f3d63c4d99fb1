/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/guard/guard.h"
#include "user/stream/stream.h"

/*
 * The body of a request that a guard reads before a backend is chosen. The stream waits in state GUARD with
 * exchange->is_holding; STEP_PUMP keeps what comes (relay_hold()). The first attempt sends it.
 */

/* guard_verifier.body() of the stream. */
int held_body_get(void *context, uint32_t most_bytes, struct guard_body *ret_body);
/*
 * While exchange->is_holding, after the upload was pumped. STEP_GUARD: what the guard asked for is there. The
 * response if it cannot be kept: no guard decides without it.
 */
enum stream_step held_body_moved(struct stream *stream);
enum stream_step held_body_lost(struct stream *stream);
