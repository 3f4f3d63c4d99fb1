/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/guard/guard.h"

/*
 * A transformation runs among the guards (guards.def), and guards nothing itself: this names the case that
 * counts in answer->transformation, and the caller applies it (policy/transform.h).
 */
int transform_check(const void *object, const struct guard_facts *facts, struct guard_answer *answer);
