/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/guard/guard.h"

/*
 * Guards that ask for a credential: struct basic_auth_policy (RFC 7617), struct api_key_policy and struct
 * jwt_auth_policy (RFC 6750). Without a valid one the request gets 401, or 407 if the credential is for
 * proxies; when it could not be verified, 503. A valid one is noted in facts->identity, and the answer names
 * its place, so that no backend gets it.
 */
int basic_auth_check(const void *object, const struct guard_facts *facts, struct guard_answer *answer);
int api_key_check(const void *object, const struct guard_facts *facts, struct guard_answer *answer);
int jwt_auth_check(const void *object, const struct guard_facts *facts, struct guard_answer *answer);
