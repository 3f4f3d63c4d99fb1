/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/guard/guard.h"

/*
 * Cross-origin resource sharing (Fetch 3.3) for struct cors_policy: answers preflights, and gives responses
 * the fields that let a page of an allowed origin read them. The backend's own Access-Control fields never
 * widen what the policy allows. A request is a preflight only with Origin and Access-Control-Request-Method;
 * other OPTIONS requests are passed on. Several Origin fields are an origin that is not allowed.
 */
int cors_check(const void *object, const struct guard_facts *facts, struct guard_answer *answer);
