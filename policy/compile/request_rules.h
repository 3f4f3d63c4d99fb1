/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"

/* The rules of a listener for requests, made from policies of connections (frontendPolicies.http). */

bool request_rules_are_set(const struct frontend_http *http); /* true if the policy sets one of them */
void request_rules_take(struct request_rules *rules,
			const struct frontend_http *http); /* those that it sets */
