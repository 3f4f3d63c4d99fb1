/* SPDX-License-Identifier: Apache-2.0 */
#include "user/http/trace_context.h"

#include "user/base/text.h"

enum {
	KEY_BYTES = 256, /* of a member of tracestate */
	TENANT_BYTES = 241, /* before the @ of a key with two parts */
	SYSTEM_BYTES = 14, /* behind it */
	VALUE_BYTES = 256,
};

/* Only lower case digits (3.2.2). */
static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool trace_number(const char *at, size_t digits, uint64_t *ret)
{
	uint64_t number = 0;

	for (size_t i = 0; i < digits; i++) {
		int digit = digit_of(at[i]);

		if (digit < 0)
			return false;
		number = number << 4 | (uint64_t)digit;
	}
	*ret = number;
	return true;
}

bool trace_context_parse(struct span value, struct trace_context *ret)
{
	struct trace_context context;
	const char *at = value.data;
	uint64_t version, flags;

	if (value.len < TRACE_PARENT_BYTES || !trace_number(at, 2, &version) || version == 0xff)
		return false;
	if (at[2] != '-' || at[TRACE_SPAN_AT - 1] != '-' || at[TRACE_SPAN_AT + TRACE_SPAN_DIGITS] != '-')
		return false;
	/* A later version may append members, each behind a dash. */
	if (value.len > TRACE_PARENT_BYTES && (version == 0 || at[TRACE_PARENT_BYTES] != '-'))
		return false;
	if (!trace_number(at + TRACE_ID_AT, 16, &context.trace_id[0]) ||
	    !trace_number(at + TRACE_ID_AT + 16, 16, &context.trace_id[1]) ||
	    !trace_number(at + TRACE_SPAN_AT, TRACE_SPAN_DIGITS, &context.span_id) ||
	    !trace_number(at + TRACE_PARENT_BYTES - 2, 2, &flags))
		return false;
	context.flags = flags & (TRACE_SAMPLED | TRACE_RANDOM);
	if (!(context.trace_id[0] | context.trace_id[1]) || !context.span_id)
		return false;
	*ret = context;
	return true;
}

bool trace_context_find(const struct fields *fields, struct trace_context *ret)
{
	if (!fields_have(fields, FIELD_TRACEPARENT) || fields_count_of(fields, FIELD_TRACEPARENT) != 1)
		return false;
	return trace_context_parse(fields_get(fields, FIELD_TRACEPARENT)->value, ret);
}

static char *write_number(char *at, uint64_t number, size_t digits)
{
	for (size_t i = digits; i > 0; i--, number >>= 4)
		at[i - 1] = "0123456789abcdef"[number & 15];
	return at + digits;
}

void trace_context_write(const struct trace_context *context, char out[TRACE_PARENT_BYTES])
{
	char *at = write_number(out, 0, 2);

	*at++ = '-';
	at = write_number(at, context->trace_id[0], 16);
	at = write_number(at, context->trace_id[1], 16);
	*at++ = '-';
	at = write_number(at, context->span_id, TRACE_SPAN_DIGITS);
	*at++ = '-';
	write_number(at, context->flags, 2);
}

/* ------------------------------------------------------------------------------------ tracestate */

static bool is_key_part(struct span part, size_t most, bool may_begin_with_digit)
{
	if (part.len == 0 || part.len > most)
		return false;
	for (size_t i = 0; i < part.len; i++) {
		char c = part.data[i];
		bool is_letter = c >= 'a' && c <= 'z';
		bool is_digit = c >= '0' && c <= '9';

		if (!is_letter && !(is_digit && (i || may_begin_with_digit)) &&
		    !(i && (c == '_' || c == '-' || c == '*' || c == '/')))
			return false;
	}
	return true;
}

static bool is_key(struct span key)
{
	ptrdiff_t mark = span_find(key, '@');

	if (mark < 0)
		return is_key_part(key, KEY_BYTES, true);
	return is_key_part(span_first(key, (size_t)mark), TENANT_BYTES, true) &&
	       is_key_part(span_from(key, (size_t)mark + 1), SYSTEM_BYTES, false);
}

static bool is_value(struct span value)
{
	if (value.len == 0 || value.len > VALUE_BYTES || value.data[value.len - 1] == ' ')
		return false;
	for (size_t i = 0; i < value.len; i++) {
		char c = value.data[i];

		if (c < ' ' || c > '~' || c == '=')
			return false;
	}
	return true;
}

bool trace_state_is_valid(struct span value)
{
	struct span keys[TRACE_STATE_MEMBERS], rest = value, member;
	size_t count = 0;

	while (span_split(&rest, ',', &member)) {
		ptrdiff_t mark;

		member = span_trim(member);
		if (member.len == 0)
			continue;
		mark = span_find(member, '=');
		if (mark < 0 || count == TRACE_STATE_MEMBERS)
			return false;
		keys[count] = span_first(member, (size_t)mark);
		if (!is_key(keys[count]) || !is_value(span_from(member, (size_t)mark + 1)))
			return false;
		for (size_t i = 0; i < count; i++)
			if (span_eq(keys[i], keys[count]))
				return false;
		count++;
	}
	return true;
}
