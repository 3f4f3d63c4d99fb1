/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/compile/precedence.h"
#include "policy/guard/guard.h"

/*
 * The guards of one phase for a listener or a route, in the order in which they decide: the winner of each
 * kind. 0 or -ENOMEM.
 */
int guard_list_build(const struct precedence *precedence, enum guard_phase phase, struct arena *arena,
		     struct guard_list *ret_list);
/* The rules of all levels as one policy; inner: NULL or more of them. NULL without memory. */
const struct authorization_policy *guard_list_join(const struct precedence *outer,
						   const struct precedence *inner, enum policy_kind kind,
						   struct arena *arena);
