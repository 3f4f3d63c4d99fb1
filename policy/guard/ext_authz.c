/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/guard/ext_authz.h"

#include <errno.h>

#include "policy/guard/service.h"
#include "policy/headers.h"

/* Without an answer the backend must not take a client's fields for those of the service. */
static int forget_fields(const struct ext_authz_policy *policy, struct guard_answer *answer)
{
	const struct ext_authz_http *http = &policy->http;
	struct header_modifier *changes;

	if (policy->protocol != EXT_AUTHZ_HTTP || !http->response_header_count)
		return 0;
	changes = service_changes(answer->fields.arena, http->response_header_count);
	if (!changes)
		return -ENOMEM;
	for (uint32_t i = 0; i < http->response_header_count; i++)
		service_remove(changes, http->response_header_list[i]);
	answer->request = changes;
	return 0;
}

int ext_authz_failed(const struct ext_authz_policy *policy, struct guard_answer *answer, struct span why)
{
	int error;

	if (policy->failure_mode != CALLOUT_FAILURE_ALLOW)
		return ext_authz_deny(policy, answer, why);
	error = forget_fields(policy, answer);
	return error ? error : GUARD_PASS;
}

int ext_authz_deny(const struct ext_authz_policy *policy, struct guard_answer *answer, struct span why)
{
	bool has_status = policy->failure_mode == CALLOUT_FAILURE_STATUS;

	answer->why = why;
	answer->reason = END_EXT_AUTHZ_FAILED;
	answer->status = has_status ? policy->failure_status : 403;
	answer->body = has_status ? SPAN("Authorization service unavailable") : EXT_AUTHZ_REFUSED;
	return GUARD_REFUSE;
}

int ext_authz_not_asked(const struct ext_authz_policy *policy, struct guard_answer *answer, int error)
{
	switch (error) {
	case -ENOMEM:
		return error;
	case -ENOBUFS:
	case -EINVAL:
		return service_refuse_length(answer);
	default:
		return ext_authz_failed(policy, answer, SPAN("the service cannot be asked now"));
	}
}

/* The gateway frames the response itself, and the reply has a type of its own. */
static bool is_passed_on(const struct field *field)
{
	return headers_may_modify(field->name) && field->id != FIELD_CONTENT_TYPE && field->id != FIELD_DATE;
}

int ext_authz_refuse(struct guard_answer *answer, uint16_t status, const struct fields *fields,
		     struct span body)
{
	struct arena *arena = answer->fields.arena;
	struct fields *response = arena_take(arena, sizeof(*response));
	const struct field *type = fields_get(fields, FIELD_CONTENT_TYPE);
	int error = response ? 0 : -ENOMEM;

	if (!error)
		fields_init(response, arena);
	for (uint32_t i = 0; i < fields->count && !error; i++) {
		struct field field = fields->list[i];

		if (!is_passed_on(&field))
			continue;
		field.name = arena_copy(arena, field.name);
		field.value = arena_copy(arena, field.value);
		error = field.name.data && field.value.data ? fields_put(response, &field) : -ENOMEM;
	}
	answer->response = response;
	answer->status = status;
	answer->why = SPAN("the service refuses the request");
	answer->body = arena_copy(arena, body);
	answer->type = type ? arena_copy(arena, type->value) : (struct span){ 0 };
	return error || !answer->body.data || (type && !answer->type.data) ? -ENOMEM : GUARD_REFUSE;
}

int ext_authz_note(const struct guard_facts *facts, struct arena *arena, const struct expression_value *map)
{
	struct expression_value *kept = arena_take(arena, sizeof(*kept));

	if (!kept)
		return -ENOMEM;
	*kept = *map;
	facts->identity->ext_authz = kept;
	return 0;
}

static int refuse_size(struct guard_answer *answer)
{
	answer->status = 413;
	answer->body = EXT_AUTHZ_REFUSED;
	answer->why = SPAN("the request body is larger than the service gets");
	answer->reason = END_BODY_TOO_LARGE;
	return GUARD_REFUSE;
}

/* GUARD_PASS with what the service gets of the body, which is nothing if the policy does not ask for it. */
static int take_body(const struct ext_authz_policy *policy, const struct guard_facts *facts,
		     struct guard_answer *answer, struct guard_body *ret_body)
{
	const struct ext_authz_body *rule = &policy->body;
	int result;

	*ret_body = (struct guard_body){ 0 };
	if (!rule->most_bytes)
		return GUARD_PASS;
	if (!rule->allows_partial && facts->declared_bytes > rule->most_bytes)
		return refuse_size(answer);
	/* One byte more tells whether there are more. */
	result = facts->verifier->body(facts->verifier->context, rule->most_bytes + 1, ret_body);
	if (result != GUARD_PASS || ret_body->bytes.len <= rule->most_bytes)
		return result;
	if (!rule->allows_partial)
		return refuse_size(answer);
	*ret_body = (struct guard_body){ .bytes = span_first(ret_body->bytes, rule->most_bytes) };
	return GUARD_PASS;
}

static int ask_service(const struct ext_authz_policy *policy, const struct guard_facts *facts,
		       struct guard_answer *answer)
{
	struct guard_body body;
	int result = take_body(policy, facts, answer, &body);

	if (result != GUARD_PASS)
		return result;
	return policy->protocol == EXT_AUTHZ_HTTP ? ext_authz_http_call(policy, facts, &body, answer)
						  : ext_authz_grpc_call(policy, facts, &body, answer);
}

int ext_authz_check(const void *object, const struct guard_facts *facts, struct guard_answer *answer)
{
	const struct ext_authz_policy *policy = object;
	const void *form = policy;
	bool is_http;
	int result = 1;

	if (!facts->reply) {
		if (policy->case_count)
			result = service_choose(policy->case_list, sizeof(*policy), policy->case_count, facts,
						&form);
		if (result == -E2BIG)
			return service_refuse_length(answer);
		if (result <= 0)
			return result < 0 ? result : GUARD_PASS;
		return ask_service(form, facts, answer);
	}
	policy = facts->reply->subject;
	is_http = policy->protocol == EXT_AUTHZ_HTTP;
	if (facts->reply->fault.len)
		return is_http && ext_authz_http_refuses(facts->reply->status)
			       ? ext_authz_deny(policy, answer, facts->reply->fault)
			       : ext_authz_failed(policy, answer, facts->reply->fault);
	return is_http ? ext_authz_http_read(policy, facts, answer)
		       : ext_authz_grpc_read(policy, facts, answer);
}
