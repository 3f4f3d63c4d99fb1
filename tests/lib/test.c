/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

extern const struct test *__start_tests[], *__stop_tests[];

__attribute__((weak)) const struct test_group test_group;

static int by_order(const void *left, const void *right)
{
	const struct test *const *a = left, *const *b = right;

	return (*a)->order < (*b)->order ? -1 : 1;
}

/* cmocka would give the state of a group to all its tests, also to those with a row. */
static size_t add(struct CMUnitTest *tests, const struct test *test, void *group_state)
{
	for (size_t i = 0; i < test->rows; i++) {
		tests[i] = test->unit;
		if (!tests[i].initial_state)
			tests[i].initial_state = group_state;
		if (test->row_bytes) {
			tests[i].initial_state = (char *)test->unit.initial_state + i * test->row_bytes;
			tests[i].name = *(const char **)tests[i].initial_state;
		}
	}
	return test->rows;
}

int main(int argc, char **argv)
{
	size_t most = 0, count = 0;
	struct CMUnitTest *tests;
	void *group_state = NULL;
	int failed;

	qsort(__start_tests, (size_t)(__stop_tests - __start_tests), sizeof(*__start_tests), by_order);
	for (const struct test **test = __start_tests; test < __stop_tests; test++)
		most += (*test)->rows;
	tests = calloc(most, sizeof(*tests));
	if (!tests)
		return EXIT_FAILURE;
	if (test_group.setup && test_group.setup(&group_state) != 0)
		return EXIT_FAILURE;
	for (const struct test **test = __start_tests; test < __stop_tests; test++)
		count += add(tests + count, *test, group_state);
	/* As the program does (user/loop/signals.c): splice(2) has no flag against SIGPIPE. */
	signal(SIGPIPE, SIG_IGN);
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	failed = _cmocka_run_group_tests(argv[0], tests, count, NULL, NULL);
	if (test_group.teardown && test_group.teardown(&group_state) != 0)
		return EXIT_FAILURE;
	free(tests);
	return failed;
}
