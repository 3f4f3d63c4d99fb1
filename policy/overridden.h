/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/errors.h"
#include "policy/precedence.h"

/*
 * Warnings about what a rule takes away from the gateway without saying so: its own timeouts and retries
 * replace those of weaker levels as a whole. The route is compiled; timeout, retry: what holds outside of it.
 */
void overridden_warn(const struct precedence_winner *timeout, const struct precedence_winner *retry,
		     const struct route *route, struct config_report *report);
