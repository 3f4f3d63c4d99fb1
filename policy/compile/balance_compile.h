/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/compile/effective_route.h"

/* Policies about the choice among the endpoints of backends. */

/* Sets balancer and affinity of a reference, and what its backend needs for them. */
void balance_compile_ref(const struct compile *compile, const struct precedence *outer,
			 const struct precedence *own, struct backend_ref *ref);
/*
 * Sets route->effective.session. Each rule has its own sessions, also if several have one policy, or one
 * backend. policy NULL: none. 0 or -ENOMEM.
 */
int balance_compile_session(const struct compile *compile, const struct session_persistence *policy,
			    struct route *route);
