/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/expression/expression_run.h"

/*
 * Calls a function of the form CALL. values: the receiver, if it is a method, and the arguments; each has a
 * type of its set or is NONE because it was not given. Those that have no value were seen before.
 */
struct expression_value function_call(struct evaluation *e, enum expression_function_id id,
				      const struct expression_value values[3]);
struct expression_value function_matches(struct evaluation *e, const struct match_regex *regex,
					 struct span text);
