/* SPDX-License-Identifier: Apache-2.0 */
#include "user/phase/route_rules.h"

#include "policy/match/normalization.h"
#include "user/base/limits.h"
#include "user/http/hop_by_hop.h"
#include "user/http/path.h"

static bool is_without_underscore(const struct field *field, void *context)
{
	(void)context;
	return span_find(field->name, '_') < 0;
}

/* False: a name contains an underscore, and the rule rejects it. */
static bool check_names(struct fields *fields, enum underscores rule)
{
	uint32_t count = fields->count;

	if (rule == UNDERSCORES_DROP)
		fields_retain(fields, is_without_underscore, NULL);
	for (uint32_t i = 0; rule == UNDERSCORES_REJECT && i < count; i++) {
		if (!is_without_underscore(&fields->list[i], NULL))
			return false;
	}
	return true;
}

static enum route_rules_verdict refuse(uint16_t status, struct span text, enum end_reason reason,
				       struct route_refusal *ret)
{
	*ret = (struct route_refusal){ .status = status, .text = text, .reason = reason };
	return ROUTE_RULES_REFUSE;
}

/* Checks TRACE, and Max-Forwards of TRACE and OPTIONS. */
static enum route_rules_verdict check_method(struct request_head *head, const struct listener *listener,
					     struct route_refusal *ret)
{
	if (head->method == METHOD_TRACE && listener->rules.trace != TRACE_METHOD_FORWARD)
		return refuse(405, SPAN("TRACE is not allowed"), END_REQUEST_BAD, ret);
	switch (hop_by_hop_count_down(head)) {
	case HOP_BY_HOP_GOES_ON:
		return ROUTE_RULES_PASS;
	case HOP_BY_HOP_ENDS_HERE:
		return ROUTE_RULES_END_HERE;
	case HOP_BY_HOP_IS_INVALID:
		return refuse(400, SPAN("Max-Forwards is not a number"), END_REQUEST_BAD, ret);
	case HOP_BY_HOP_NO_MEMORY:
		break;
	}
	return refuse(500, SPAN("no memory"), END_INTERNAL, ret);
}

/* The log keeps the path as the client sent it. */
static enum http_error normalise(struct request_head *head, const struct listener *listener,
				 struct arena *arena)
{
	struct path_rules rules;

	if (!path_rules_of(&listener->rules, &rules))
		return HTTP_ERROR_NONE;
	return path_normalise(head->path, &rules, arena, &head->path);
}

enum route_rules_verdict route_rules_apply(struct request_head *head, const struct listener *listener,
					   struct span loop_id, struct arena *arena,
					   struct route_refusal *ret_refusal)
{
	enum route_rules_verdict verdict = check_method(head, listener, ret_refusal);
	enum http_error http_error;

	if (verdict != ROUTE_RULES_PASS)
		return verdict;
	if (loop_id.len && hop_by_hop_count_laps(&head->fields, loop_id) >= LIMIT_LOOP_LAPS)
		return refuse(508, SPAN("loop detected"), END_LOOP, ret_refusal);
	if (!check_names(&head->fields, listener->rules.underscores))
		return refuse(400, SPAN("underscore in a field name"), END_REQUEST_BAD, ret_refusal);
	http_error = normalise(head, listener, arena);
	if (http_error == HTTP_ERROR_NONE)
		return ROUTE_RULES_PASS;
	*ret_refusal = (struct route_refusal){ .http_error = http_error };
	return ROUTE_RULES_REFUSE;
}

struct span route_rules_scheme(const struct fields *fields, bool is_trusted, bool is_tls)
{
	const struct field *field = is_trusted ? fields_get(fields, FIELD_X_FORWARDED_PROTO) : NULL;

	if (field && span_eq_nocase(field->value, SPAN("https")))
		return SPAN("https");
	if (field && span_eq_nocase(field->value, SPAN("http")))
		return SPAN("http");
	return is_tls ? SPAN("https") : SPAN("http");
}
