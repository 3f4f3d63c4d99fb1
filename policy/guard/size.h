/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/guard/guard.h"

/*
 * How large a message may be: `limits` of this gateway, `buffer` of agentgateway. No body is held back: a
 * body that declares its length is refused by its head, others when they have become too long, by
 * body_decoder.most_bytes.
 */
int limits_check(const void *object, const struct guard_facts *facts, struct guard_answer *answer);
int buffer_check(const void *object, const struct guard_facts *facts, struct guard_answer *answer);

/* The strictest guard of a list for bodies of requests or responses. NULL: any size may pass. */
const struct guard_use *size_guard(const struct guard_list *list, bool is_response, uint64_t *ret_most_bytes);

/*
 * How much of a body may be held back for a policy that reads it: what `buffer` says, else `otherwise`; never
 * more than LIMIT_HELD_MOST_BYTES.
 */
uint32_t size_to_hold(const struct guard_list *list, bool is_response, uint64_t otherwise);

#define SIZE_REFUSED SPAN("request body too large")
