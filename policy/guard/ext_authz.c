/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/guard/ext_authz.h"

#include <errno.h>

#include "policy/guard/service.h"
#include "policy/headers.h"
#include "user/base/text.h"

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
	if (error == -ENOMEM)
		return error;
	if (service_refuse_request(answer, error))
		return GUARD_REFUSE;
	return ext_authz_failed(policy, answer, SPAN("the service cannot be asked now"));
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

		if (!is_passed_on(&field) || fields_list_has(fields, FIELD_CONNECTION, field.name))
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

/* What the answer depends on; empty: an expression has no value, the service is asked. 0, -E2BIG, -ENOMEM. */
static int write_key(const struct answer_cache_policy *cache, const struct guard_facts *facts,
		     const struct guard_body *body, struct arena *arena, struct text *key)
{
	if (!cache->is_set)
		return 0;
	for (uint32_t i = 0; i < cache->key_count; i++) {
		struct span value;
		int error = service_text(cache->expression_list[i], facts, arena, &value);

		if (error == -ENODATA)
			text_clear(key);
		if (error)
			return error == -ENODATA ? 0 : error;
		/* With its length, no value can stand for another two. */
		text_fmt(key, "%zu:", value.len);
		text_add(key, value);
	}
	/* The service is told which of the two it is. */
	if (body->bytes.len)
		text_add(key, body->is_whole ? SPAN("whole:") : SPAN("part:"));
	text_add(key, body->bytes);
	return text_error(key) ? -ENOMEM : 0;
}

int ext_authz_evaluate(const struct expression *expression, const struct guard_facts *facts,
		       const struct expression_value *json, struct expression_value *ret_value)
{
	const struct expression_facts *request;
	struct expression_facts values;
	int error = facts->facts(facts->context, expression->needs, &request);

	if (error)
		return error;
	values = *request;
	values.response_fields = facts->reply->fields;
	values.response_code = facts->reply->status;
	values.response_body = facts->reply->body;
	values.response_json = json;
	*ret_value = expression_evaluate(expression, &values);
	return ret_value->type == EXPRESSION_NONE && ret_value->gave_up ? -E2BIG : 0;
}

/* 0: the answer is not kept. */
static uint64_t ttl_of(const struct answer_cache_policy *cache, const struct guard_facts *facts)
{
	const struct fields *fields = facts->reply->fields;
	struct expression_value ttl;

	if (fields_list_has(fields, FIELD_CACHE_CONTROL, SPAN("no-store")) ||
	    fields_list_has(fields, FIELD_CACHE_CONTROL, SPAN("no-cache")))
		return 0;
	if (!cache->ttl)
		return cache->ttl_ns;
	if (ext_authz_evaluate(cache->ttl, facts, NULL, &ttl) < 0 || ttl.type != EXPRESSION_DURATION)
		return 0;
	return ttl.duration_ns;
}

int ext_authz_admit(const struct ext_authz_policy *policy, const struct guard_facts *facts)
{
	uint64_t ttl_ns = policy->cache.is_set && !facts->reply->is_kept ? ttl_of(&policy->cache, facts) : 0;

	if (ttl_ns)
		facts->verifier->keep(facts->verifier->context, ttl_ns);
	return GUARD_PASS;
}

static int read_reply(const struct ext_authz_policy *policy, const struct guard_facts *facts,
		      struct guard_answer *answer)
{
	const struct guard_reply *reply = facts->reply;
	bool is_http = policy->protocol == EXT_AUTHZ_HTTP;

	if (reply->fault.len)
		return is_http && ext_authz_http_refuses(reply->status)
			       ? ext_authz_deny(policy, answer, reply->fault)
			       : ext_authz_failed(policy, answer, reply->fault);
	return is_http ? ext_authz_http_read(policy, facts, answer)
		       : ext_authz_grpc_read(policy, facts, answer);
}

static int ask_with_key(const struct ext_authz_policy *policy, const struct guard_facts *facts,
			const struct ext_authz_question *question, struct guard_answer *answer)
{
	struct guard_facts then = *facts;
	int result = policy->protocol == EXT_AUTHZ_HTTP
			     ? ext_authz_http_call(policy, facts, question, answer)
			     : ext_authz_grpc_call(policy, facts, question, answer);

	then.reply = question->reply;
	return result == GUARD_PASS && question->cache_key.len ? read_reply(policy, &then, answer) : result;
}

static int ask_service(const struct ext_authz_policy *policy, const struct guard_facts *facts,
		       struct guard_answer *answer)
{
	struct guard_reply kept;
	struct ext_authz_question question = { .reply = &kept };
	int result = take_body(policy, facts, answer, &question.body);
	struct text key;

	if (result != GUARD_PASS)
		return result;
	text_init(&key);
	result = write_key(&policy->cache, facts, &question.body, answer->fields.arena, &key);
	question.cache_key = text_span(&key);
	if (!result)
		result = ask_with_key(policy, facts, &question, answer);
	else if (result == -E2BIG)
		result = service_refuse_length(answer);
	text_done(&key);
	return result;
}

int ext_authz_check(const void *object, const struct guard_facts *facts, struct guard_answer *answer)
{
	const struct ext_authz_policy *policy = object;
	const void *form = policy;
	int result = 1;

	if (facts->reply)
		return read_reply(facts->reply->subject, facts, answer);
	if (policy->case_count)
		result = service_choose(policy->case_list, sizeof(*policy), policy->case_count, facts, &form);
	if (result == -E2BIG)
		return service_refuse_length(answer);
	if (result <= 0)
		return result < 0 ? result : GUARD_PASS;
	return ask_service(form, facts, answer);
}
