/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/test.h"
#include "user/base/check.h"

struct outer {
	int first;
	char inner[3];
	int last;
};

TEST(a_true_condition_does_nothing_and_runs_once)
{
	int runs = 0;

	CHECK(++runs == 1);
	assert_int_equal(runs, 1);
}

TEST(a_false_condition_says_where_and_aborts)
{
	char text[512] = "";
	int fds[2], status;
	pid_t child;

	assert_int_equal(pipe(fds), 0);
	fflush(NULL);
	child = fork();
	if (child == 0) {
		struct rlimit none = { 0, 0 };

		setrlimit(RLIMIT_CORE, &none);
		signal(SIGABRT, SIG_DFL);
		dup2(fds[1], STDERR_FILENO);
		CHECK(1 + 1 == 3);
		_exit(0);
	}
	close(fds[1]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(read(fds[0], text, sizeof(text) - 1) > 0);
	close(fds[0]);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	assert_non_null(strstr(text, "test_check.c:"));
	assert_non_null(strstr(text, "broken invariant: 1 + 1 == 3\n"));
}

TEST(a_member_leads_back_to_its_object)
{
	struct outer object;

	assert_ptr_equal(container_of(&object.inner, struct outer, inner), &object);
	assert_ptr_equal(container_of(&object.last, struct outer, last), &object);
	assert_int_equal(ARRAY_LEN(object.inner), 3);
}
