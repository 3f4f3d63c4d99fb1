/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/expression/expression_run.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/core/engine/duration.h"
#include "policy/expression/expression_ip.h"
#include "user/base/clock.h"
#include "user/base/json_writer.h"
#include "user/base/units.h"

/* ---- limits */

struct expression_value run_give_up(struct evaluation *e)
{
	e->gave_up = true;
	return expression_no_value;
}

bool run_bytes(struct evaluation *e, size_t bytes)
{
	return run_steps(e, 1 + bytes / 64);
}

/* Depth: as write_json(). */
static bool run_part(struct evaluation *e, const struct expression_value *value, size_t name_bytes)
{
	bool is_left = run_bytes(e, name_bytes + (value->type == EXPRESSION_TEXT ? value->text.len : 0));

	return is_left && run_parts(e, value);
}

bool run_parts(struct evaluation *e, const struct expression_value *value)
{
	bool is_left = true;

	for (uint32_t i = 0; value->type == EXPRESSION_LIST && is_left && i < value->count; i++)
		is_left = run_part(e, &value->items[i], 0);
	for (uint32_t i = 0; value->type == EXPRESSION_MAP && is_left && i < value->count; i++)
		is_left = run_part(e, &value->members[i].value, value->members[i].name.len);
	return is_left;
}

static void *take(struct evaluation *e, size_t size, size_t align)
{
	struct expression_scratch *scratch = e->facts->scratch;
	size_t start = scratch ? (scratch->used + align - 1) & ~(align - 1) : 0;

	if (!scratch || start > run_scratch_size(scratch) || run_scratch_size(scratch) - start < size) {
		e->gave_up = true;
		return NULL;
	}
	scratch->used = start + size;
	return run_scratch_bytes(scratch) + start;
}

char *run_take_bytes(struct evaluation *e, size_t size)
{
	return run_bytes(e, size) ? take(e, size, 1) : NULL;
}

static void *take_many(struct evaluation *e, size_t count, size_t size, size_t align)
{
	if (count > LIMIT_EXPRESSION_STEPS || !run_steps(e, count)) {
		e->gave_up = true;
		return NULL;
	}
	return take(e, count * size, align);
}

struct expression_value *run_take_values(struct evaluation *e, size_t count)
{
	return take_many(e, count, sizeof(struct expression_value), _Alignof(struct expression_value));
}

struct expression_member *run_take_members(struct evaluation *e, size_t count)
{
	return take_many(e, count, sizeof(struct expression_member), _Alignof(struct expression_member));
}

void run_keep_bytes(struct evaluation *e, const char *taken, size_t used)
{
	e->facts->scratch->used = (size_t)(taken - run_scratch_bytes(e->facts->scratch)) + used;
}

/* ---- texts */

/* The shortest digits that are read as the same number. */
static size_t format_double(double decimal, char out[32])
{
	int len = 0;

	for (int digits = 15; digits <= 17; digits++) {
		len = snprintf(out, 32, "%.*g", digits, decimal);
		if (strtod(out, NULL) == decimal)
			break;
	}
	return (size_t)len;
}

size_t expression_scalar_text(struct expression_value value, char out[EXPRESSION_SCALAR_BYTES])
{
	enum { ROOM = EXPRESSION_SCALAR_BYTES };
	static_assert(DURATION_TEXT_BYTES <= ROOM && CLOCK_RFC3339_BYTES <= ROOM &&
			      EXPRESSION_IP_BYTES <= ROOM,
		      "they have room");

	switch (value.type) {
	case EXPRESSION_BOOL:
		return (size_t)snprintf(out, ROOM, "%s", value.is_true ? "true" : "false");
	case EXPRESSION_INT:
		return (size_t)snprintf(out, ROOM, "%lld", (long long)value.whole);
	case EXPRESSION_DOUBLE:
		return format_double(value.decimal, out);
	case EXPRESSION_DURATION:
		return duration_format(value.duration_ns, out);
	case EXPRESSION_TIME:
		clock_rfc3339(value.time_ns / NS_PER_US, out);
		return strlen(out);
	case EXPRESSION_ADDRESS:
	case EXPRESSION_NETWORK:
		return expression_ip_format(value, out);
	default:
		return 0;
	}
}

struct expression_value run_text(struct evaluation *e, struct expression_value value)
{
	char shown[EXPRESSION_SCALAR_BYTES];
	size_t len;
	char *bytes;

	if (value.type == EXPRESSION_TEXT)
		return value;
	len = expression_scalar_text(value, shown);
	bytes = len ? run_take_bytes(e, len) : NULL;
	if (!bytes)
		return expression_no_value;
	memcpy(bytes, shown, len);
	return expression_span(span_of(bytes, len));
}

/* Depth: that of the tree that was read (expression_json()), or of the expression. */
static void write_json(struct evaluation *e, struct expression_value value, struct text *out)
{
	char shown[EXPRESSION_SCALAR_BYTES];

	if (!run_steps(e, 1))
		return;
	switch (value.type) {
	case EXPRESSION_NONE:
	case EXPRESSION_NULL:
	case EXPRESSION_HEADERS:
	case EXPRESSION_DYNAMIC:
		text_str(out, "null");
		return;
	case EXPRESSION_BOOL:
	case EXPRESSION_INT:
	case EXPRESSION_DOUBLE:
		text_add(out, span_of(shown, expression_scalar_text(value, shown)));
		return;
	case EXPRESSION_TEXT:
		json_quote(out, value.text);
		return;
	case EXPRESSION_DURATION:
	case EXPRESSION_TIME:
	case EXPRESSION_ADDRESS:
	case EXPRESSION_NETWORK:
		json_quote(out, span_of(shown, expression_scalar_text(value, shown)));
		return;
	case EXPRESSION_LIST:
	case EXPRESSION_MAP:
		break;
	}
	text_char(out, value.type == EXPRESSION_LIST ? '[' : '{');
	for (uint32_t i = 0; i < value.count && !e->gave_up; i++) {
		if (i)
			text_char(out, ',');
		if (value.type == EXPRESSION_MAP) {
			json_quote(out, value.members[i].name);
			text_char(out, ':');
		}
		write_json(e, value.type == EXPRESSION_LIST ? value.items[i] : value.members[i].value, out);
	}
	text_char(out, value.type == EXPRESSION_LIST ? ']' : '}');
}

struct expression_value run_json(struct evaluation *e, struct expression_value value)
{
	struct expression_scratch *scratch = e->facts->scratch;
	struct text out;
	char *start;

	if (!scratch)
		return run_give_up(e);
	start = run_scratch_bytes(scratch) + scratch->used;
	text_borrow(&out, start, run_scratch_size(scratch) - scratch->used);
	write_json(e, value, &out);
	if (text_error(&out) || !run_bytes(e, out.len))
		return run_give_up(e);
	scratch->used += out.len;
	return expression_span(span_of(start, out.len));
}

struct expression_value run_as(struct evaluation *e, struct expression_value value, uint32_t set)
{
	if (set >> value.type & 1)
		return value;
	if (value.type == EXPRESSION_ADDRESS && set & EXPRESSION_SET(TEXT))
		return run_text(e, value);
	if (value.type == EXPRESSION_TEXT && set & EXPRESSION_SET(ADDRESS))
		return expression_ip_parse(value.text);
	return expression_no_value;
}

/* ---- comparing */

static bool is_number(struct expression_value value)
{
	return value.type == EXPRESSION_INT || value.type == EXPRESSION_DOUBLE;
}

static double as_double(struct expression_value value)
{
	return value.type == EXPRESSION_INT ? (double)value.whole : value.decimal;
}

static int order_of(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

bool run_order(struct expression_value a, struct expression_value b, int *ret_order)
{
	double x, y;

	if (is_number(a) && is_number(b) && !(a.type == EXPRESSION_INT && b.type == EXPRESSION_INT)) {
		x = as_double(a);
		y = as_double(b);
		*ret_order = (x > y) - (x < y);
		return x == x && y == y;
	}
	if (a.type != b.type)
		return false;
	if (a.type == EXPRESSION_TEXT)
		*ret_order = span_compare(a.text, b.text);
	else if (a.type == EXPRESSION_INT)
		*ret_order = (a.whole > b.whole) - (a.whole < b.whole);
	else if (a.type == EXPRESSION_BOOL)
		*ret_order = a.is_true - b.is_true;
	else if (a.type == EXPRESSION_DURATION || a.type == EXPRESSION_TIME)
		*ret_order = order_of(a.type == EXPRESSION_TIME ? a.time_ns : a.duration_ns,
				      b.type == EXPRESSION_TIME ? b.time_ns : b.duration_ns);
	else
		return false;
	return true;
}

static bool equal_items(struct evaluation *e, struct expression_value a, struct expression_value b)
{
	if (a.count != b.count)
		return false;
	for (uint32_t i = 0; i < a.count; i++) {
		bool is_list = a.type == EXPRESSION_LIST;

		if (!is_list && !span_eq(a.members[i].name, b.members[i].name))
			return false;
		if (!run_equal(e, is_list ? a.items[i] : a.members[i].value,
			       is_list ? b.items[i] : b.members[i].value))
			return false;
	}
	return true;
}

bool run_equal(struct evaluation *e, struct expression_value a, struct expression_value b)
{
	int order = 0;

	if (!run_steps(e, 1))
		return false;
	if (a.type == EXPRESSION_ADDRESS && b.type == EXPRESSION_TEXT)
		b = expression_ip_parse(b.text);
	else if (a.type == EXPRESSION_TEXT && b.type == EXPRESSION_ADDRESS)
		a = expression_ip_parse(a.text);
	if (is_number(a) && is_number(b))
		return run_order(a, b, &order) && order == 0;
	if (a.type != b.type)
		return false;
	if (a.type == EXPRESSION_TEXT)
		return span_eq(a.text, b.text);
	if (a.type == EXPRESSION_NULL)
		return true;
	if (a.type == EXPRESSION_ADDRESS || a.type == EXPRESSION_NETWORK)
		return expression_ip_eq(a, b);
	if (a.type == EXPRESSION_LIST || a.type == EXPRESSION_MAP)
		return equal_items(e, a, b);
	return run_order(a, b, &order) && order == 0;
}
