/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/alloc.h"
#include "tests/lib/guard.h"
#include "tests/lib/test.h"
#include "user/base/mem.h"

/* Whether reading this byte ends the process. */
static bool kills(const char *byte)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		/* cmocka turns the signal into a failed test otherwise. */
		signal(SIGSEGV, SIG_DFL);
		_exit(*(const volatile char *)byte == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

TEST(bytes_lie_between_pages_that_kill)
{
	static const size_t lens[] = { 0, 1, 3, 4095, 4096, 4097, 10000 };
	char text[10000];
	struct guard guard;

	memset(text, 1, sizeof(text));
	guard_init(&guard, sizeof(text));
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		char *at = guard_end(&guard, text, lens[i]);

		assert_memory_equal(at, text, lens[i]);
		assert_true(kills(at + lens[i]));
		at = guard_start(&guard, text, lens[i]);
		assert_memory_equal(at, text, lens[i]);
		assert_true(kills(at - 1));
		assert_false(lens[i] > 0 && kills(at + lens[i] - 1));
	}
	guard_done(&guard);
}

TEST(the_bytes_of_the_last_input_are_gone)
{
	struct guard guard;
	char *at;

	guard_init(&guard, 100);
	guard_end(&guard, "secret", 6);
	at = guard_end(&guard, "abc", 3);
	assert_int_equal((unsigned char)at[-1], 0xa5);
	assert_int_equal((unsigned char)at[-3], 0xa5);
	guard_done(&guard);
}

static int two_allocations(void *context)
{
	int *runs = context;
	char *first = hg_malloc(10), *second;

	(*runs)++;
	if (!first)
		return -ENOMEM;
	second = hg_calloc(2, 20);
	hg_free(first);
	if (!second)
		return -ENOMEM;
	hg_free(second);
	return 0;
}

TEST(each_allocation_fails_once)
{
	int runs = 0;

	assert_int_equal(alloc_fail_each(two_allocations, &runs), 2);
	assert_int_equal(runs, 3);
}
