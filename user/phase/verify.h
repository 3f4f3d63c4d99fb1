/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/guard/guard.h"
#include "user/stream/stream.h"

/*
 * Verifies credentials for the guards of a stream, with what its worker has: tokens at once, passwords by
 * the threads of the process. The stream of a password waits in state GUARD, and gets STEP_GUARD with the
 * verdict.
 */
struct guard_verifier verify_for(struct stream *stream);

/* The tree of a text that is JSON, in `arena`; NULL: it is not. 0; -E2BIG: too many values; -ENOMEM. */
int verify_json(struct proxy *proxy, struct span text, struct arena *arena,
		const struct expression_value **ret);
