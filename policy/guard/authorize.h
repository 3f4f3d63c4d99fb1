/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/guard/guard.h"

struct expression_facts;

/*
 * Rules about who may do what: struct authorization_policy, with the rules of all levels. Any rule that
 * denies and holds refuses; so does any that is required and does not hold; if there are rules that allow,
 * one of them must hold. An expression without a value is false; one that reaches a limit refuses the
 * request, whatever its effect, because the client can cause that. If a rule reads the client's address and
 * it is not known, nothing is allowed.
 */
bool authorization_allows(const struct authorization_policy *policy, const struct expression_facts *facts);
/* For requests, and for connections (networkAuthorization). */
int authorization_check(const void *object, const struct guard_facts *facts, struct guard_answer *answer);
