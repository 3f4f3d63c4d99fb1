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

struct mcp_json_checker;
/* That of the worker. NULL: no memory. */
struct mcp_json_checker *verify_json_checker(struct proxy *proxy);
