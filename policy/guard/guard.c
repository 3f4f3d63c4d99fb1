/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/guard/guard.h"

#include "policy/guard/authenticate.h"
#include "policy/guard/authorize.h"
#include "policy/guard/cors.h"
#include "policy/guard/csrf.h"
#include "policy/guard/ext_authz.h"
#include "policy/guard/rate_limit.h"
#include "policy/guard/remote_limit.h"
#include "policy/guard/size.h"
#include "policy/guard/transform_case.h"
#include "user/base/check.h"

#define CONNECTION GUARD_PHASE_CONNECTION
#define GATEWAY GUARD_PHASE_GATEWAY
#define ROUTE GUARD_PHASE_ROUTE
#define BACKEND GUARD_PHASE_BACKEND

const struct guard_kind guard_kinds[GUARD_COUNT] = {
#define GUARD(id, name, kind, phases, reason, function)                                                      \
	[GUARD_##id] = { name, kind, phases, reason, function },
#include "policy/guard/guards.def"
#undef GUARD
};

const struct guard_kind *guard_kind_of(enum policy_kind kind)
{
	for (size_t i = 0; i < GUARD_COUNT; i++) {
		if (guard_kinds[i].kind == kind)
			return &guard_kinds[i];
	}
	return NULL;
}

const struct guard_use *guard_of_connections(const struct guard_list *list)
{
	return list->count && list->list[0].guard->phases & GUARD_PHASE_CONNECTION ? &list->list[0] : NULL;
}

void guard_refusal_text(const struct guard_use *use, const struct guard_answer *answer, struct span rule,
			struct text *out)
{
	text_fmt(out, "%.*s (", SPAN_FMT(answer->why.len ? answer->why : answer->body));
	if (answer->part)
		text_fmt(out, "rule %u of ", answer->part);
	text_fmt(out, "%s of ", use->guard->name);
	text_escaped(out, rule);
	text_char(out, ')');
}

#define VARY SPAN("vary")

/* True if a Vary field of the response names `wanted` or all fields (RFC 9110 12.5.5). */
static bool varies(const struct fields *response, struct span wanted)
{
	for (uint32_t i = 0; i < response->count; i++) {
		const struct field *field = &response->list[i];
		struct span rest = field->value, element;

		if (!span_eq_nocase(field->name, VARY))
			continue;
		while (span_split(&rest, ',', &element)) {
			element = span_trim(element);
			if (span_eq_nocase(element, wanted) || span_eq(element, SPAN("*")))
				return true;
		}
	}
	return false;
}

static bool is_rate_field(const struct field *field)
{
	return span_eq_nocase(field->name, SPAN("x-ratelimit-limit")) ||
	       span_eq_nocase(field->name, SPAN("x-ratelimit-remaining")) ||
	       span_eq_nocase(field->name, SPAN("x-ratelimit-reset"));
}

/* True if the backend has limits of its own: their fields make sense only together. */
static bool has_rates(const struct fields *response)
{
	for (uint32_t i = 0; i < response->count; i++) {
		if (is_rate_field(&response->list[i]))
			return true;
	}
	return false;
}

int guard_apply(const struct fields *from, struct fields *response)
{
	bool skips_rates = from->count && has_rates(response);
	int error = 0;

	for (uint32_t i = 0; i < from->count && !error; i++) {
		const struct field *field = &from->list[i];

		if (skips_rates && is_rate_field(field))
			continue;
		if (span_eq_nocase(field->name, VARY))
			error = varies(response, field->value)
					? 0
					: fields_add(response, field->name, field->value);
		else if (field->id == FIELD_SET_COOKIE)
			error = fields_put(response, field);
		else if (field->value.len)
			error = fields_set(response, field->name, field->value);
		else
			fields_remove(response, field->name);
	}
	return error;
}

/* Of which a response has one at most (RFC 9110 5.3). name: in lower case. */
static bool is_single(struct span name)
{
	static const struct span names[] = { { "age", 3 },
					     { "content-location", 16 },
					     { "content-range", 13 },
					     { "content-type", 12 },
					     { "date", 4 },
					     { "etag", 4 },
					     { "expires", 7 },
					     { "last-modified", 13 },
					     { "location", 8 },
					     { "retry-after", 11 },
					     { "server", 6 } };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (span_eq(name, names[i]))
			return true;
	return false;
}

static int apply_addition(const struct guard_addition *addition, struct fields *response)
{
	const struct field *field = &addition->field;
	bool is_there = fields_find(response, field->name) != NULL;
	enum append_action action = addition->action;

	if (action == (is_there ? APPEND_IF_ABSENT : APPEND_REPLACES_ONLY))
		return 0;
	if (action == APPEND_ALWAYS && is_single(field->name))
		action = APPEND_REPLACES;
	if (action == APPEND_REPLACES || action == APPEND_REPLACES_ONLY)
		fields_remove(response, field->name);
	return field->value.len ? fields_put(response, field) : 0;
}

int guard_apply_additions(const struct guard_additions *additions, struct fields *response)
{
	int error = 0;

	for (const struct guard_addition *at = additions->first; at && !error; at = at->next)
		error = apply_addition(at, response);
	return error;
}
