/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/*
 * Tests that register themselves and run in the order of the file; main() is in test.c.
 *
 *	TEST(a_span_equals_itself)
 *	{
 *		assert_true(span_eq(SPAN("a"), SPAN("a")));
 *	}
 *
 * The name is the claim. `void **state` is there for tests that want what a setup left; setups and teardowns
 * return 0 when they succeed. The argument of a program chooses tests: `test_span '*equals*'`.
 */
#define TEST(name) TEST_WITH(name, NULL, NULL)

/*
 * With a setup in front and a teardown behind, NULL for none. A file whose tests share them names them once:
 * #define SCENE_TEST(name) TEST_WITH(name, scene_make, scene_drop)
 */
#define TEST_WITH(name, setup, teardown)                                                                     \
	static void name(void **state);                                                                      \
	TEST_REGISTER(name, 1, 0, #name, name, setup, teardown, NULL);                                       \
	static void name(void **state __attribute__((unused)))

/* One test for each row of an array: a structure that begins with `const char *name`. *state is the row. */
#define TEST_ROWS(function, array)                                                                           \
	TEST_REGISTER(function, sizeof(array) / sizeof((array)[0]), sizeof((array)[0]), NULL, function,      \
		      NULL, NULL, array)

/*
 * At most once in a program: before its first test and behind its last one, NULL for none. What setup leaves
 * in *state is that of the tests without a setup of their own.
 */
#define TEST_GROUP(setup, teardown) const struct test_group test_group = { setup, teardown }

struct test_group {
	CMFixtureFunction setup, teardown;
};

extern const struct test_group test_group;

struct test {
	unsigned int order; /* rising in the file: compilers keep no order of their own */
	size_t rows, row_bytes;
	struct CMUnitTest unit;
};

/* Pointers, because a compiler may align a large object of a section further than its size. */
#define TEST_REGISTER(label, row_count, row_size, ...)                                                       \
	static const struct test label##_test = { __COUNTER__, row_count, row_size, { __VA_ARGS__ } };       \
	static const struct test *label##_entry __attribute__((used, section("tests"))) = &label##_test
