/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/errors.h"
#include "policy/compile/precedence.h"

/*
 * Warns about settings of the gateway that a rule silently loses: its own timeouts and retries replace those
 * of weaker levels as a whole. The route is compiled; timeout, retry: the policies that apply outside of it.
 */
void overridden_warn(const struct precedence_winner *timeout, const struct precedence_winner *retry,
		     const struct route *route, struct config_report *report);
