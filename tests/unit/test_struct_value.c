/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "policy/guard/struct_value.h"
#include "tests/lib/alloc.h"
#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/base/units.h"

static const struct expression_value items[] = {
	{ .type = EXPRESSION_BOOL, .is_true = true },
	{ .type = EXPRESSION_BOOL },
	{ .type = EXPRESSION_NULL },
	{ .type = EXPRESSION_TEXT, .text = { "", 0 } },
	{ .type = EXPRESSION_INT, .whole = 0 },
	{ .type = EXPRESSION_INT, .whole = -7 },
	{ .type = EXPRESSION_DOUBLE, .decimal = 0.5 },
	{ .type = EXPRESSION_DURATION, .duration_ns = 90 * NS_PER_S },
	{ .type = EXPRESSION_TEXT, .text = { "a\xff\xc3\xa4", 4 } },
};
static const struct expression_member inner_members[] = {
	{ { "list", 4 }, { .type = EXPRESSION_LIST, .count = ARRAY_LEN(items), .items = items } },
};
static const struct expression_member members[] = {
	{ { "", 0 }, { .type = EXPRESSION_TEXT, .text = { "x", 1 } } },
	{ { "map", 3 }, { .type = EXPRESSION_MAP, .count = 1, .members = inner_members } },
	{ { "none", 4 }, { .type = EXPRESSION_MAP } },
};
static const struct expression_value tree = { .type = EXPRESSION_MAP,
					      .count = ARRAY_LEN(members),
					      .members = members };

/* Writes a map, and reads it back. */
static int again(const struct expression_value *map, struct arena *arena, struct expression_value *ret)
{
	struct protobuf_writer w;
	struct buf out;
	int error;

	buf_init(&out);
	protobuf_init(&w, &out, 4096);
	error = struct_value_write(map, arena, &w);
	if (!error)
		error = w.error;
	if (!error)
		error = struct_value_read(buf_span(&out), arena, ret);
	buf_done(&out);
	return error;
}

TEST(a_map_is_read_as_it_was_written_with_every_value_of_json)
{
	const struct expression_value *list;
	struct expression_value got;
	struct arena arena;

	arena_init(&arena, 4096);
	assert_int_equal(again(&tree, &arena, &got), 0);
	assert_int_equal(got.count, 3);
	assert_true(span_eq(expression_member(&got, SPAN(""))->text, SPAN("x")));
	assert_int_equal(expression_member(&got, SPAN("none"))->type, EXPRESSION_MAP);
	list = expression_member(expression_member(&got, SPAN("map")), SPAN("list"));
	assert_int_equal(list->count, ARRAY_LEN(items));
	for (size_t i = 0; i < 7; i++)
		assert_int_equal(list->items[i].type, items[i].type);
	assert_true(list->items[0].is_true && !list->items[1].is_true);
	assert_int_equal(list->items[3].text.len, 0);
	assert_int_equal(list->items[4].whole, 0);
	assert_int_equal(list->items[5].whole, -7);
	assert_true(list->items[6].decimal == 0.5);
	/* What JSON does not have is a text, and a text is UTF-8. */
	assert_true(span_eq(list->items[7].text, SPAN("1m30s")));
	assert_true(span_eq(list->items[8].text, SPAN("a!\xc3\xa4")));
	arena_done(&arena);
}

/* Maps, or lists, within each other. */
static struct expression_value nested(struct arena *arena, unsigned depth, bool is_list)
{
	struct expression_value value = { .type = EXPRESSION_MAP };

	for (unsigned i = 0; i < depth; i++) {
		struct expression_member *member = arena_take(arena, sizeof(*member));

		assert_non_null(member);
		*member = (struct expression_member){ SPAN("a"), value };
		value = (struct expression_value){ .type = EXPRESSION_MAP, .count = 1, .members = member };
		if (is_list && i + 1 < depth)
			value = (struct expression_value){ .type = EXPRESSION_LIST,
							   .count = 1,
							   .items = &member->value };
	}
	return value;
}

TEST(what_is_too_deep_to_be_read_is_not_written)
{
	for (unsigned is_list = 0; is_list < 2; is_list++) {
		struct expression_value deep, got;
		struct arena arena;

		arena_init(&arena, 4096);
		deep = nested(&arena, STRUCT_VALUE_DEPTH, is_list);
		assert_int_equal(again(&deep, &arena, &got), 0);
		deep = nested(&arena, STRUCT_VALUE_DEPTH + 1, is_list);
		assert_int_equal(again(&deep, &arena, &got), -E2BIG);
		arena_done(&arena);
	}
}

static int write_all(void *context)
{
	struct expression_value got;
	struct arena arena;
	int error;

	(void)context;
	arena_init(&arena, 64);
	error = again(&tree, &arena, &got);
	arena_done(&arena);
	return error;
}

TEST(each_allocation_may_fail)
{
	assert_true(alloc_fail_each(write_all, NULL) > 3);
}
