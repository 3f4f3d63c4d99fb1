/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/guard/ext_authz.h"

#include <errno.h>

#include "policy/expression/expression_json.h"
#include "policy/guard/service.h"
#include "policy/headers.h"
#include "user/base/char_class.h"
#include "user/base/check.h"
#include "user/http/target.h"
#include "user/net/address.h"

/* -------------------------------------------------------------------------------- the call */

/* "/path?query", as the gateway understands the request. */
static struct span uri_of(const struct request_head *head, struct arena *arena)
{
	const struct span parts[] = { head->path, SPAN("?"), head->query };

	return head->has_query ? service_join(arena, parts, ARRAY_LEN(parts)) : head->path;
}

/* 0 or -EINVAL. */
static int take_path(struct request_head *head, struct span text)
{
	ptrdiff_t mark = span_find(text, '?');

	head->path = mark < 0 ? text : span_first(text, (size_t)mark);
	head->has_query = mark >= 0;
	head->query = mark < 0 ? (struct span){ 0 } : span_from(text, (size_t)mark + 1);
	return head->path.len && head->path.data[0] == '/' && char_class_is_target(text) ? 0 : -EINVAL;
}

/* Not to a method whose messages have another framing. 0 or -EINVAL. */
static int take_method(struct request_head *head, struct span text)
{
	head->method = method_of(text);
	head->method_text = text;
	return char_class_is_token(text) && head->method != METHOD_HEAD && head->method != METHOD_CONNECT &&
			       head->method != METHOD_TRACE
		       ? 0
		       : -EINVAL;
}

/* `:method`, `:path` or `:authority`. 0 or -EINVAL. */
static int set_pseudo(struct request_head *head, struct span name, struct span value)
{
	if (span_eq(name, SPAN(":method")))
		return take_method(head, value);
	if (span_eq(name, SPAN(":path")))
		return take_path(head, value);
	head->authority = value;
	return authority_is_valid(value) ? 0 : -EINVAL;
}

/* What comes instead of the path of the request. 0, -ENODATA, -E2BIG, -EINVAL: no path; -ENOMEM */
static int set_path(const struct ext_authz_http *http, const struct guard_facts *facts, struct arena *arena,
		    struct request_head *head)
{
	const struct span prefixed[] = { http->prefix, head->path };
	struct span text;
	int error;

	if (http->prefix.len) {
		head->path = service_join(arena, prefixed, ARRAY_LEN(prefixed));
		return head->path.data ? 0 : -ENOMEM;
	}
	if (!http->path)
		return 0;
	error = service_text(http->path, facts, arena, &text);
	return error ? error : take_path(head, text);
}

static int add_client(struct fields *fields, const struct guard_facts *facts)
{
	char text[ADDRESS_TEXT_BYTES];
	const struct expression_facts *values;
	int error = facts->facts(facts->context, EXPRESSION_NEEDS_ADDRESS, &values);
	struct span copy;

	if (error || !values->source || !values->source->address || !values->source->address->len)
		return error;
	copy = arena_copy(fields->arena, span_of(text, address_host_text(values->source->address, text)));
	return copy.data ? fields_add(fields, SPAN("x-forwarded-for"), copy) : -ENOMEM;
}

/* As services for Traefik's forwardAuth and nginx's auth_request read the request. */
static int add_forwarded(struct fields *fields, const struct guard_facts *facts)
{
	const struct request_head *head = facts->head;
	struct span uri = uri_of(head, fields->arena);
	int error = uri.data || !uri.len ? 0 : -ENOMEM;

	if (!error)
		error = fields_add(fields, SPAN("x-forwarded-method"), head->method_text);
	if (!error)
		error = fields_add(fields, SPAN("x-forwarded-proto"), facts->scheme);
	if (!error)
		error = fields_add(fields, SPAN("x-forwarded-host"), head->authority);
	if (!error && uri.len)
		error = fields_add(fields, SPAN("x-forwarded-uri"), uri);
	return error ? error : add_client(fields, facts);
}

static bool is_listed(const struct span *list, uint32_t count, struct span name)
{
	for (uint32_t i = 0; i < count; i++)
		if (span_eq_nocase(list[i], name))
			return true;
	return false;
}

static int add_fields_of_request(struct fields *fields, const struct ext_authz_policy *policy,
				 const struct fields *request)
{
	static const struct span standard[] = { { "authorization", 13 } };
	bool has_list = policy->request_header_count;
	const struct span *list = has_list ? policy->request_header_list : standard;
	uint32_t count = has_list ? policy->request_header_count : ARRAY_LEN(standard);
	int error = 0;

	for (uint32_t i = 0; i < request->count && !error; i++)
		if (is_listed(list, count, request->list[i].name))
			error = fields_put(fields, &request->list[i]);
	return error;
}

/* An expression without a value adds nothing. */
static int add_expressions(struct request_head *head, const struct named_expressions *added,
			   const struct guard_facts *facts)
{
	for (uint32_t i = 0; i < added->count; i++) {
		struct span name = added->list[i].name, value;
		int error = service_text(added->expression_list[i], facts, head->fields.arena, &value);

		if (error == -ENODATA)
			continue;
		if (!error && !char_class_is_text(value))
			return -E2BIG;
		if (!error)
			error = name.data[0] == ':' ? set_pseudo(head, name, value)
						    : fields_set(&head->fields, name, value);
		if (error)
			return error;
	}
	return 0;
}

/* What a client sends in its place is not passed on, either. */
static int add_partial(const struct ext_authz_policy *policy, const struct guard_body *body,
		       struct fields *fields)
{
	fields_remove(fields, EXT_AUTHZ_PARTIAL);
	if (!policy->body.most_bytes)
		return 0;
	return fields_add(fields, EXT_AUTHZ_PARTIAL, body->is_whole ? SPAN("false") : SPAN("true"));
}

static int call_head(const struct ext_authz_policy *policy, const struct guard_facts *facts,
		     const struct guard_body *body, struct arena *arena, struct request_head *head)
{
	int error;

	*head = *facts->head;
	fields_init(&head->fields, arena);
	/* They have no path, or may not have their fields. */
	if (head->method == METHOD_CONNECT || head->method == METHOD_TRACE) {
		head->method = METHOD_GET;
		head->method_text = SPAN("GET");
	}
	if (!head->path.len)
		head->path = SPAN("/");
	error = set_path(&policy->http, facts, arena, head);
	if (!error)
		error = add_fields_of_request(&head->fields, policy, &facts->head->fields);
	if (!error)
		error = add_partial(policy, body, &head->fields);
	if (!error)
		error = add_forwarded(&head->fields, facts);
	return error ? error : add_expressions(head, &policy->http.added, facts);
}

/* About a connection: what is known is its client. */
static int connection_head(const struct ext_authz_policy *policy, const struct guard_facts *facts,
			   struct arena *arena, struct request_head *head)
{
	int error;

	*head = *facts->head;
	head->authority =
		policy->ref && policy->ref->authority.len ? policy->ref->authority : SPAN("localhost");
	fields_init(&head->fields, arena);
	error = set_path(&policy->http, facts, arena, head);
	if (!error)
		error = add_client(&head->fields, facts);
	return error ? error : add_expressions(head, &policy->http.added, facts);
}

/* Instead of the body of the request; without a value: none. */
static int call_body(const struct ext_authz_http *http, const struct guard_facts *facts, struct arena *arena,
		     struct span *body)
{
	int error = http->body ? service_text(http->body, facts, arena, body) : 0;

	return error == -ENODATA ? 0 : error;
}

int ext_authz_http_call(const struct ext_authz_policy *policy, const struct guard_facts *facts,
			const struct ext_authz_question *question, struct guard_answer *answer)
{
	struct request_head head;
	struct guard_call call = { .kind = CALLOUT_EXT_AUTHZ,
				   .ref = policy->ref,
				   .head = &head,
				   .body = question->body.bytes,
				   .may_repeat = true,
				   .subject = policy,
				   .cache_key = question->cache_key,
				   .most_entries = policy->cache.most_entries,
				   .reply = question->reply };
	struct arena *arena = answer->fields.arena;
	int result = policy->is_of_connections ? connection_head(policy, facts, arena, &head)
					       : call_head(policy, facts, &question->body, arena, &head);

	if (!result)
		result = call_body(&policy->http, facts, arena, &call.body);

	/* A client can cause both: the mode is for failures of the service. */
	if (result == -E2BIG)
		return service_refuse_length(answer);
	if (result == -ENODATA || result == -EINVAL) {
		answer->status = 403;
		answer->body = EXT_AUTHZ_REFUSED;
		answer->why =
			SPAN("`path` or a pseudo header has no value that the service can be asked with");
		return GUARD_REFUSE;
	}
	if (result < 0)
		return result;
	result = facts->verifier->call(facts->verifier->context, &call);
	return result >= 0 ? result : ext_authz_not_asked(policy, answer, result);
}

/* -------------------------------------------------------------------------------- the response */

/* Fields of the message or its connection (RFC 9110 7.6.1) are not for the request. */
static bool is_taken(const struct fields *response, const struct field *field)
{
	if (fields_list_has(response, FIELD_CONNECTION, field->name))
		return false;
	switch (field->id) {
	case FIELD_CONTENT_TYPE:
	case FIELD_CONTENT_ENCODING:
	case FIELD_CONTENT_RANGE:
	case FIELD_DATE:
	case FIELD_SET_COOKIE:
	case FIELD_CACHE_CONTROL:
	case FIELD_RETRY_AFTER:
		return false;
	default:
		return headers_may_modify(field->name) && !span_eq_nocase(field->name, SPAN("server"));
	}
}

/*
 * A field that the service could have sent and has not is removed: else it would be the client's. So is one
 * of its connection (RFC 9110 7.6.1).
 */
static int take_listed(const struct ext_authz_http *http, const struct fields *response, struct arena *arena,
		       struct header_modifier *changes)
{
	int error = 0;

	for (uint32_t i = 0; i < http->response_header_count && !error; i++) {
		struct span name = http->response_header_list[i];
		bool is_hop = fields_list_has(response, FIELD_CONNECTION, name);
		struct span value = { 0 };

		if (!is_hop)
			value = service_values(response, name, arena, &error);
		if (value.data)
			service_set(changes, name, value);
		else
			service_remove(changes, name);
	}
	return error;
}

static int take_all(const struct fields *response, struct arena *arena, struct header_modifier *changes)
{
	int error = 0;

	for (uint32_t i = 0; i < response->count && !error; i++) {
		struct span name, value;

		if (!is_taken(response, &response->list[i]))
			continue;
		name = service_lower(arena, response->list[i].name);
		value = service_values(response, response->list[i].name, arena, &error);
		if (!name.data || !value.data)
			return -ENOMEM;
		service_set(changes, name, value);
	}
	return error;
}

static int admit(const struct ext_authz_policy *policy, const struct guard_facts *facts,
		 struct guard_answer *answer)
{
	const struct fields *response = facts->reply->fields;
	const struct ext_authz_http *http = &policy->http;
	struct arena *arena = answer->fields.arena;
	struct header_modifier *changes =
		service_changes(arena, http->takes_all ? response->count : http->response_header_count);
	int error = changes ? 0 : -ENOMEM;

	if (!error)
		error = http->takes_all ? take_all(response, arena, changes)
					: take_listed(http, response, arena, changes);
	answer->request = changes;
	return error ? error : ext_authz_admit(policy, facts);
}

/* 302 to the place that the policy names. An expression without a value: the response as it is. */
static int redirect(const struct ext_authz_policy *policy, const struct guard_facts *facts,
		    struct guard_answer *answer)
{
	struct arena *arena = answer->fields.arena;
	struct fields *response;
	struct span location;
	int error = service_text(policy->http.redirect, facts, arena, &location);

	if (error == -ENODATA || error == -E2BIG || (!error && !char_class_is_text(location)))
		return ext_authz_refuse(answer, facts->reply->status, facts->reply->fields,
					facts->reply->body);
	response = error ? NULL : arena_take(arena, sizeof(*response));
	if (!response)
		return -ENOMEM;
	fields_init(response, arena);
	answer->status = 302;
	answer->why = SPAN("the service refuses the request");
	answer->response = response;
	error = fields_add(response, SPAN("location"), location);
	return error ? error : GUARD_REFUSE;
}

/* One member; an expression without a value: none. 1 with a member, 0, -E2BIG or -ENOMEM. */
static int read_metadatum(const struct named_expressions *metadata, uint32_t index,
			  const struct guard_facts *facts, const struct expression_value *json,
			  struct arena *arena, struct expression_member *ret_member)
{
	const struct expression *expression = metadata->expression_list[index];
	struct expression_value value;
	int error = ext_authz_evaluate(expression, facts, json, &value);

	if (error || value.type == EXPRESSION_NONE)
		return error;
	ret_member->name = metadata->list[index].name;
	error = expression_copy(&value, arena, &ret_member->value);
	return error ? error : 1;
}

/* The body, if the metadata is part of it and it is JSON. */
static int read_json(const struct named_expressions *metadata, const struct guard_facts *facts,
		     const struct expression_value **ret)
{
	uint32_t needs = 0;

	for (uint32_t i = 0; i < metadata->count; i++)
		needs |= metadata->expression_list[i]->needs;
	if (!(needs & EXPRESSION_NEEDS_JSON))
		return 0;
	return facts->verifier->json(facts->verifier->context, facts->reply->body, ret);
}

static int read_metadata(const struct ext_authz_policy *policy, const struct guard_facts *facts,
			 struct arena *arena)
{
	const struct named_expressions *metadata = &policy->http.metadata;
	struct expression_value map = { .type = EXPRESSION_MAP };
	const struct expression_value *json = NULL;
	struct expression_member *members;
	int result;

	if (!metadata->count)
		return 0;
	members = arena_take(arena, metadata->count * sizeof(*members));
	result = members ? read_json(metadata, facts, &json) : -ENOMEM;
	if (result)
		return result;
	for (uint32_t i = 0; i < metadata->count; i++) {
		result = read_metadatum(metadata, i, facts, json, arena, &members[map.count]);
		if (result < 0)
			return result;
		map.count += (uint32_t)result;
	}
	result = expression_sort(members, map.count);
	map.members = members;
	return result ? result : ext_authz_note(facts, arena, &map);
}

int ext_authz_http_read(const struct ext_authz_policy *policy, const struct guard_facts *facts,
			struct guard_answer *answer)
{
	const struct guard_reply *reply = facts->reply;
	int error = reply->status < 500 ? read_metadata(policy, facts, answer->fields.arena) : 0;

	/* The answer is the service's, but a client may choose what it says: no failure mode admits it. */
	if (error)
		return error == -ENOMEM ? error : service_refuse_length(answer);
	if (reply->status >= 200 && reply->status < 300)
		return admit(policy, facts, answer);
	if (!ext_authz_http_refuses(reply->status))
		return ext_authz_failed(policy, answer, SPAN("the service answers with an error"));
	if (policy->http.redirect && (reply->status == 401 || reply->status == 403))
		return redirect(policy, facts, answer);
	return ext_authz_refuse(answer, reply->status, reply->fields, reply->body);
}
