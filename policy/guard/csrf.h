/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/guard/guard.h"

/*
 * Cross-site request forgery for struct csrf_policy: refuses what a page of another site makes a browser
 * send with the user's cookies. GET, HEAD and OPTIONS pass, because they must not change anything (RFC 9110
 * 9.2.1). Sec-Fetch-Site decides if the browser sends it (Fetch Metadata 2.3), otherwise Origin, which must
 * be that of the request itself: the scheme of the facts, and its authority. A request with neither is not of
 * a browser. `null` and repeated fields are refused.
 */
int csrf_check(const void *object, const struct guard_facts *facts, struct guard_answer *answer);
