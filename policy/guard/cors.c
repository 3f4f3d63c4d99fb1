/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/guard/cors.h"

#include "policy/guard/origin.h"
#include "user/base/char_class.h"
#include "user/base/check.h"

#define ANY SPAN("*")

/* The fields of a response that let a page read it. */
static const struct span readers[] = { { "access-control-allow-origin", 27 },
				       { "access-control-allow-credentials", 32 },
				       { "access-control-expose-headers", 29 } };

/* False: the value is not what browsers send, and is not repeated in a response. */
static bool is_name_list(struct span value)
{
	for (size_t i = 0; i < value.len; i++) {
		char c = value.data[i];

		if (!octet_is(c, OCTET_TOKEN) && c != ',' && c != ' ' && c != '\t')
			return false;
	}
	return value.len > 0;
}

static struct span request_value(const struct guard_facts *facts, struct span name)
{
	const struct field *field = fields_find(&facts->head->fields, name);

	return field ? field->value : (struct span){ 0 };
}

/* Empty: no origin, or one that the policy does not allow. */
static struct span allowed_origin(const struct cors_policy *policy, const struct fields *fields)
{
	const struct field *field = fields_get(fields, FIELD_ORIGIN);
	struct span none = { 0 };
	struct origin origin;

	if (!field || fields_count_of(fields, FIELD_ORIGIN) != 1)
		return none;
	/* `null` and the like: repeated, it would be a permission for every sandboxed frame. */
	if (!origin_parse(field->value, &origin))
		return policy->any_origin && !policy->allow_credentials ? ANY : none;
	if (policy->any_origin)
		return field->value;
	for (uint32_t i = 0; i < policy->pattern_count; i++) {
		if (origin_matches(&policy->pattern_list[i], &origin))
			return field->value;
	}
	return none;
}

static int put(struct guard_answer *answer, struct span name, struct span value)
{
	return value.len ? fields_set(&answer->fields, name, value) : 0;
}

/*
 * For a preflight: the configured list. For `*` the names in the request, because with credentials `*` is a
 * name like any other, and never stands for Authorization (Fetch 3.3.5).
 */
static struct span listed(const struct cors_policy *policy, struct span list, struct span asked)
{
	if (!span_eq(list, ANY))
		return list;
	if (is_name_list(asked))
		return asked;
	return policy->allow_credentials ? (struct span){ 0 } : list;
}

static int permit_request(const struct cors_policy *policy, const struct guard_facts *facts,
			  struct span method, struct guard_answer *answer)
{
	struct span headers =
		listed(policy, policy->headers, request_value(facts, SPAN("access-control-request-headers")));
	int error =
		put(answer, SPAN("access-control-allow-methods"), listed(policy, policy->methods, method));

	if (!error)
		error = put(answer, SPAN("access-control-allow-headers"), headers);
	if (!error)
		error = put(answer, SPAN("access-control-max-age"), policy->max_age);
	return error;
}

/* For a request of an origin that is not allowed: also without the fields that the backend sends. */
static int permit_reading(const struct cors_policy *policy, struct span origin, struct guard_answer *answer)
{
	const struct span values[] = {
		origin,
		policy->allow_credentials && origin.len ? SPAN("true") : (struct span){ 0 },
		origin.len ? policy->exposed : (struct span){ 0 },
	};
	int error = 0;

	for (size_t i = 0; i < ARRAY_LEN(readers) && !error; i++)
		error = fields_set(&answer->fields, readers[i], values[i]);
	return error;
}

int cors_check(const void *object, const struct guard_facts *facts, struct guard_answer *answer)
{
	const struct cors_policy *policy = object;
	const struct fields *fields = &facts->head->fields;
	struct span method = request_value(facts, SPAN("access-control-request-method"));
	struct span origin = allowed_origin(policy, fields);
	bool is_preflight =
		facts->head->method == METHOD_OPTIONS && method.len && fields_have(fields, FIELD_ORIGIN);
	int error = fields_set(&answer->fields, SPAN("vary"), SPAN("Origin"));

	if (!error)
		error = permit_reading(policy, origin, answer);
	if (!error && is_preflight && origin.len)
		error = permit_request(policy, facts, method, answer);
	if (error)
		return error;
	answer->status = 200;
	answer->body = (struct span){ 0 };
	return is_preflight ? GUARD_ANSWER : GUARD_PASS;
}
