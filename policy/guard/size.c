/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/guard/size.h"

#include "user/base/limits.h"

/* Bytes of a field besides its name and value: ": " and the end of the line. */
enum { FIELD_MORE_BYTES = 4 };

static uint64_t header_bytes(const struct fields *fields)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < fields->count; i++)
		bytes += fields->list[i].name.len + fields->list[i].value.len + FIELD_MORE_BYTES;
	return bytes;
}

static int refuse_body(const struct guard_facts *facts, uint64_t most_bytes, struct guard_answer *answer)
{
	if (facts->declared_bytes <= most_bytes)
		return GUARD_PASS;
	answer->status = 413;
	answer->body = SIZE_REFUSED;
	return GUARD_REFUSE;
}

int limits_check(const void *object, const struct guard_facts *facts, struct guard_answer *answer)
{
	const struct request_limits *limits = object;

	if (limits->header_bytes.is_set && header_bytes(&facts->head->fields) > limits->header_bytes.value) {
		answer->status = 431;
		answer->reason = END_HEAD_TOO_LARGE;
		answer->body = SPAN("request headers too large");
		return GUARD_REFUSE;
	}
	return limits->body_bytes.is_set ? refuse_body(facts, limits->body_bytes.value, answer) : GUARD_PASS;
}

int buffer_check(const void *object, const struct guard_facts *facts, struct guard_answer *answer)
{
	const struct buffer_side *request = &((const struct buffer_policy *)object)->request;

	return request->is_closed ? refuse_body(facts, request->max_bytes, answer) : GUARD_PASS;
}

static bool limit_of(const struct guard_use *use, bool is_response, uint64_t *ret_most_bytes)
{
	if (use->guard->kind == POLICY_LIMITS && !is_response) {
		const struct request_limits *limits = use->object;

		*ret_most_bytes = limits->body_bytes.value;
		return limits->body_bytes.is_set;
	}
	if (use->guard->kind == POLICY_BUFFER) {
		const struct buffer_policy *buffer = use->object;
		const struct buffer_side *side = is_response ? &buffer->response : &buffer->request;

		*ret_most_bytes = side->max_bytes;
		return side->is_closed;
	}
	return false;
}

const struct guard_use *size_guard(const struct guard_list *list, bool is_response, uint64_t *ret_most_bytes)
{
	const struct guard_use *strictest = NULL;
	uint64_t most_bytes;

	for (uint32_t i = 0; i < list->count; i++) {
		if (!limit_of(&list->list[i], is_response, &most_bytes) ||
		    (strictest && most_bytes >= *ret_most_bytes))
			continue;
		strictest = &list->list[i];
		*ret_most_bytes = most_bytes;
	}
	return strictest;
}

uint32_t size_to_hold(const struct guard_list *list, bool is_response, uint64_t otherwise)
{
	uint64_t most_bytes = otherwise;

	for (uint32_t i = 0; i < list->count; i++) {
		const struct buffer_policy *buffer = list->list[i].object;
		const struct buffer_side *side;

		if (list->list[i].guard->kind != POLICY_BUFFER)
			continue;
		side = is_response ? &buffer->response : &buffer->request;
		if (side->is_closed)
			most_bytes = side->max_bytes;
	}
	return most_bytes < LIMIT_HELD_MOST_BYTES ? (uint32_t)most_bytes : LIMIT_HELD_MOST_BYTES;
}
