/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/test.h"
#include "user/base/limits.h"
#include "user/base/log_writer.h"

enum { SECONDS = 20, LINES = 4 * LIMIT_LOG_BYTES / 64 };

static const char line[] = "a line of sixty-four bytes, with its end, as long as all others\n";

/* In a process of its own, whose standard error is fd: 0 when is_right said so. */
static int in_process(int fd, bool (*is_right)(void))
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		/* One that waits ends by this signal. */
		(void)alarm(SECONDS);
		dup2(fd, STDERR_FILENO);
		log_writer_open();
		_exit(is_right() ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static bool put_too_many(void)
{
	for (int i = 0; i < LINES; i++)
		log_writer_put(span_of(line, sizeof(line) - 1));
	return log_writer_dropped() > 0 && log_writer_take_gap() == 0;
}

static bool put_too_many_with_thread(void)
{
	if (log_writer_start() != 0 || !put_too_many())
		return false;
	log_writer_end(10);
	return log_writer_dropped() == LINES;
}

static bool put_for_nobody(void)
{
	put_too_many();
	return log_writer_dropped() == LINES;
}

static bool put_all(void)
{
	put_too_many();
	log_writer_end(0);
	return log_writer_dropped() == 0;
}

static void fill(int fd)
{
	char bytes[4096] = { 0 };

	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	while (write(fd, bytes, sizeof(bytes)) > 0)
		;
	while (write(fd, bytes, 1) > 0)
		;
	assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
}

TEST(nobody_waits_for_the_reader_of_a_full_pipe)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	fill(fds[1]);
	assert_int_equal(in_process(fds[1], put_too_many), 0);
	assert_int_equal(in_process(fds[1], put_too_many_with_thread), 0);
	/* The description that others share still waits. */
	assert_int_equal(fcntl(fds[1], F_GETFL) & O_NONBLOCK, 0);
	close(fds[0]);
	close(fds[1]);
}

TEST(nobody_waits_for_the_reader_of_a_full_socket)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	fill(fds[1]);
	assert_int_equal(in_process(fds[1], put_too_many), 0);
	close(fds[0]);
	close(fds[1]);
}

TEST(lines_are_dropped_and_counted_when_the_reader_has_gone)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	close(fds[0]);
	assert_int_equal(in_process(fds[1], put_for_nobody), 0);
	close(fds[1]);
}

TEST(a_file_gets_every_line)
{
	FILE *file = tmpfile();

	assert_int_equal(in_process(fileno(file), put_all), 0);
	assert_int_equal(lseek(fileno(file), 0, SEEK_END), LINES * 64);
	fclose(file);
}

static bool put_slowly(void)
{
	for (int i = 0; i < 3000; i++)
		log_writer_put(span_of(line, sizeof(line) - 1));
	log_writer_end(SECONDS * 1000);
	return log_writer_dropped() + 3000 > 0;
}

TEST(what_waits_is_written_when_the_reader_comes_back_and_the_end_waits_for_it)
{
	char bytes[4096];
	size_t len = 0, lines = 0;
	int fds[2], status;
	pid_t pid;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(fcntl(fds[1], F_SETPIPE_SZ, 4096), 4096);
	pid = fork();
	if (pid == 0) {
		close(fds[0]);
		dup2(fds[1], STDERR_FILENO);
		close(fds[1]);
		(void)alarm(SECONDS);
		log_writer_open();
		_exit(log_writer_start() == 0 && put_slowly() ? 0 : 1);
	}
	close(fds[1]);
	usleep(50000);
	for (ssize_t got; (got = read(fds[0], bytes, sizeof(bytes))) > 0; len += (size_t)got) {
		for (ssize_t i = 0; i < got; i++)
			lines += bytes[i] == '\n';
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	/* The buffer's, and a page in the pipe. */
	assert_true(lines >= LIMIT_LOG_BYTES / 64);
	assert_int_equal(len, lines * 64);
	close(fds[0]);
}
