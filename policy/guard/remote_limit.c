/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/guard/remote_limit.h"

#include <errno.h>

#include "policy/guard/rate_limit.h"
#include "policy/guard/service.h"
#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/base/protobuf.h"

/*
 * The messages of Envoy's API v3: RateLimitRequest, RateLimitDescriptor and RateLimitResponse. The numbers
 * are those of their fields.
 */
#define LIMIT_METHOD SPAN("/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit")

enum { CODE_OK = 1 }; /* RateLimitResponse.Code */

/* There is no valid answer: what the policy says then. why: static. */
static int failed(const struct remote_rate_limit *policy, struct guard_answer *answer, struct span why)
{
	if (policy->failure_mode == CALLOUT_FAILURE_ALLOW)
		return GUARD_PASS;
	answer->status = 500;
	answer->body = SPAN("rate limit failed");
	answer->why = why;
	answer->reason = END_RATE_LIMIT_FAILED;
	return GUARD_REFUSE;
}

/* -------------------------------------------------------------------------------- the call */

/* The values of all entries. 0; -ENODATA: one has none; -E2BIG: nobody can tell; -ENOMEM. */
static int find_values(const struct rate_descriptor *descriptor, const struct guard_facts *facts,
		       struct arena *arena, struct span *values)
{
	for (uint32_t i = 0; i < descriptor->entries.count; i++) {
		int error = service_text(descriptor->entries.expression_list[i], facts, arena, &values[i]);

		if (error)
			return error;
		values[i] = service_utf8(arena, values[i]);
		if (!values[i].data)
			return -ENOMEM;
	}
	return 0;
}

/* What the request counts for; 0 without a value: the service then counts 1. */
static int find_cost(const struct rate_descriptor *descriptor, const struct guard_facts *facts,
		     struct arena *arena, bool *ret_has, uint64_t *ret_cost)
{
	struct span text;
	int error;

	*ret_has = false;
	if (!descriptor->cost)
		return 0;
	error = service_text(descriptor->cost, facts, arena, &text);
	if (error)
		return error == -ENODATA ? 0 : error;
	*ret_has = span_parse_u63(text, ret_cost) == 0;
	return 0;
}

/* RateLimitUnit; 0: a word that is none. */
static uint64_t unit_of(struct span word)
{
	static const char *const units[] = { "second", "minute", "hour", "day", "month", "year", "week" };

	for (uint32_t i = 0; i < ARRAY_LEN(units); i++)
		if (span_eq_nocase(word, span_str(units[i])))
			return i + 1;
	return 0;
}

/* RateLimitOverride {requests_per_unit 1, unit 2}, if the request has one. 0, -E2BIG, -ENOMEM. */
static int put_override(struct protobuf_writer *w, const struct rate_descriptor *descriptor,
			const struct guard_facts *facts)
{
	const struct expression_value *unit, *most;
	const struct expression_facts *values;
	struct expression_value map;
	int error;

	if (!descriptor->override)
		return 0;
	error = facts->facts(facts->context, descriptor->override->needs, &values);
	if (error)
		return error;
	map = expression_evaluate(descriptor->override, values);
	if (map.type == EXPRESSION_NONE && map.gave_up)
		return -E2BIG;
	unit = expression_member(&map, SPAN("unit"));
	most = expression_member(&map, SPAN("requestsPerUnit"));
	if (!unit || unit->type != EXPRESSION_TEXT || !unit_of(unit->text) || !most ||
	    most->type != EXPRESSION_INT || most->whole < 0 || most->whole > UINT32_MAX)
		return 0;
	protobuf_open(w, 2);
	protobuf_number(w, 1, (uint64_t)most->whole);
	protobuf_number(w, 2, unit_of(unit->text));
	protobuf_close(w);
	return 0;
}

/* RateLimitDescriptor {entries 1 {key 1, value 2}, limit 2, hits_addend 3 {value 1}} */
static int put_descriptor(struct protobuf_writer *w, const struct rate_descriptor *descriptor,
			  const struct guard_facts *facts, struct arena *arena, uint32_t *count)
{
	struct span *values = arena_take(arena, descriptor->entries.count * sizeof(*values));
	uint64_t cost = 0;
	bool has_cost;
	int error = values ? find_values(descriptor, facts, arena, values) : -ENOMEM;

	if (!error)
		error = find_cost(descriptor, facts, arena, &has_cost, &cost);
	if (error)
		return error == -ENODATA ? 0 : error;
	protobuf_open(w, 2);
	for (uint32_t i = 0; i < descriptor->entries.count; i++)
		protobuf_entry(w, 1, descriptor->entries.list[i].name, values[i]);
	error = put_override(w, descriptor, facts);
	if (has_cost) {
		protobuf_open(w, 3);
		protobuf_number(w, 1, cost);
		protobuf_close(w);
	}
	protobuf_close(w);
	(*count)++;
	return error ? error : w->error;
}

/* RateLimitRequest {domain 1, descriptors 2} */
static int put_request(struct protobuf_writer *w, const struct remote_rate_limit *policy,
		       const struct guard_facts *facts, struct arena *arena, uint32_t *count)
{
	int error = 0;

	*count = 0;
	protobuf_bytes(w, 1, policy->domain);
	for (uint32_t i = 0; i < policy->descriptor_count && !error; i++)
		error = put_descriptor(w, &policy->descriptor_list[i], facts, arena, count);
	return error ? error : w->error;
}

static int call(const struct remote_rate_limit *policy, const struct guard_facts *facts,
		struct guard_answer *answer)
{
	const struct request_head head = { .path = LIMIT_METHOD };
	struct guard_call wanted = { .kind = CALLOUT_RATE_LIMIT,
				     .ref = policy->ref,
				     .head = &head,
				     .is_grpc = true,
				     .subject = policy };
	struct protobuf_writer writer;
	struct buf message;
	uint32_t count;
	int result;

	buf_init(&message);
	protobuf_init(&writer, &message, LIMIT_CALLOUT_REQUEST_BYTES);
	result = put_request(&writer, policy, facts, answer->fields.arena, &count);
	wanted.body = buf_span(&message);
	if (!result)
		result = count ? facts->verifier->call(facts->verifier->context, &wanted) : GUARD_PASS;
	buf_done(&message);
	if (result >= 0 || result == -ENOMEM)
		return result;
	/* A client can cause these: the mode is for failures of the service. */
	if (service_refuse_request(answer, result))
		return GUARD_REFUSE;
	return failed(policy, answer, SPAN("the service cannot be asked now"));
}

/* -------------------------------------------------------------------------------- the response */

/* Of one DescriptorStatus. */
struct limit_status {
	bool has_limit;
	uint64_t limit, left, reset_s;
};

/* What a RateLimitResponse says. Spans are in its message. */
struct limit_response {
	uint64_t code;
	struct limit_status least; /* of the descriptor that has least left */
	struct span body;
};

/* The one number of a message {requests_per_unit 1} or {seconds 1}; 0 if it is negative. */
static int read_first(struct span message, uint64_t *ret)
{
	struct protobuf_field field;
	int result;

	*ret = 0;
	while ((result = protobuf_next(&message, &field)) > 0)
		if (protobuf_is(&field, 1, PROTOBUF_VARINT))
			*ret = field.value <= INT64_MAX ? field.value : 0;
	return result;
}

/* DescriptorStatus {code 1, current_limit 2, limit_remaining 3, duration_until_reset 4} */
static int read_limit_status(struct span message, struct limit_status *ret)
{
	struct protobuf_field field;
	int result;

	*ret = (struct limit_status){ 0 };
	while ((result = protobuf_next(&message, &field)) > 0) {
		if (protobuf_is(&field, 2, PROTOBUF_LEN)) {
			ret->has_limit = true;
			result = read_first(field.bytes, &ret->limit);
		} else if (protobuf_is(&field, 3, PROTOBUF_VARINT)) {
			ret->left = field.value;
		} else if (protobuf_is(&field, 4, PROTOBUF_LEN)) {
			result = read_first(field.bytes, &ret->reset_s);
		}
		if (result < 0)
			return result;
	}
	return result;
}

/* changes: of the request; NULL: the field is for every response. */
static int take_header(struct span message, struct guard_answer *answer, struct header_modifier *changes)
{
	struct span name, value;
	int error = service_read_header(message, &name, &value);

	if (error)
		return error;
	return changes ? service_take_header(changes, answer->fields.arena, name, value)
		       : service_answer_field(answer, name, value);
}

/*
 * RateLimitResponse {overall_code 1, statuses 2, response_headers_to_add 3, request_headers_to_add 4,
 * raw_body 5}
 */
static int read_field(const struct protobuf_field *field, struct limit_response *ret,
		      struct guard_answer *answer, struct header_modifier *changes)
{
	struct limit_status status;
	int error;

	if (protobuf_is(field, 1, PROTOBUF_VARINT))
		ret->code = field->value;
	if (field->wire != PROTOBUF_LEN)
		return 0;
	switch (field->number) {
	case 2:
		error = read_limit_status(field->bytes, &status);
		if (!error && status.has_limit && (!ret->least.has_limit || status.left < ret->least.left))
			ret->least = status;
		return error;
	case 3:
		return take_header(field->bytes, answer, NULL);
	case 4:
		return take_header(field->bytes, answer, changes);
	case 5:
		ret->body = field->bytes;
		return 0;
	default:
		return 0;
	}
}

static int read_response(struct span message, struct limit_response *ret, struct guard_answer *answer,
			 struct header_modifier *changes)
{
	struct protobuf_field field;
	int result;

	*ret = (struct limit_response){ 0 };
	while ((result = protobuf_next(&message, &field)) > 0) {
		result = read_field(&field, ret, answer, changes);
		if (result < 0)
			return result;
	}
	return result;
}

/* A refusal shows its own limit; otherwise one that localRateLimit has shown stays. */
static int put_rates(struct fields *fields, const struct limit_status *status, bool is_refused)
{
	int error;

	if (!status->has_limit || (!is_refused && fields_find(fields, SPAN("x-ratelimit-limit"))))
		return 0;
	error = rate_limit_put(fields, SPAN("x-ratelimit-limit"), status->limit);
	if (!error)
		error = rate_limit_put(fields, SPAN("x-ratelimit-remaining"), status->left);
	if (!error)
		error = rate_limit_put(fields, SPAN("x-ratelimit-reset"), status->reset_s);
	if (!error && is_refused && status->reset_s)
		error = rate_limit_put(fields, SPAN("retry-after"), status->reset_s);
	return error;
}

static int read_answer(const struct remote_rate_limit *policy, struct span message,
		       struct guard_answer *answer)
{
	struct header_modifier *changes =
		service_changes(answer->fields.arena, service_count_fields(message));
	struct limit_response response;
	int error = changes ? read_response(message, &response, answer, changes) : -ENOMEM;

	if (error == -ENOMEM)
		return error;
	/* An exceeded limit is one, whatever else the answer has. */
	if (error && response.code <= CODE_OK)
		return failed(policy, answer, SPAN("a malformed answer of the service"));
	error = put_rates(&answer->fields, &response.least, response.code != CODE_OK);
	if (error)
		return error;
	if (response.code == CODE_OK) {
		answer->request = changes;
		return GUARD_PASS;
	}
	answer->status = 429;
	answer->why = SPAN("rate limit exceeded");
	answer->body = response.body.len ? arena_copy(answer->fields.arena, response.body)
					 : SPAN("rate limit exceeded");
	return answer->body.data ? GUARD_REFUSE : -ENOMEM;
}

int remote_limit_check(const void *object, const struct guard_facts *facts, struct guard_answer *answer)
{
	const struct guard_reply *reply = facts->reply;
	const struct remote_rate_limit *policy = object;
	const void *form = policy;
	int result = 1;

	if (reply && reply->fault.len)
		return failed(reply->subject, answer, reply->fault);
	if (reply)
		return read_answer(reply->subject, reply->body, answer);
	if (policy->case_count)
		result = service_choose(policy->case_list, sizeof(*policy), policy->case_count, facts, &form);
	if (result == -E2BIG)
		return service_refuse_length(answer);
	if (result <= 0)
		return result < 0 ? result : GUARD_PASS;
	return call(form, facts, answer);
}
