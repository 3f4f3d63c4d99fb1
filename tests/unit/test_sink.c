/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/base/sink.h"
#include "user/base/sink_thread.h"

TEST(every_way_of_writing_says_again_on_a_full_pipe)
{
	static const enum sink_kind kinds[] = { SINK_NONBLOCK, SINK_NOWAIT, SINK_POLLED };
	char line[PIPE_BUF];

	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	alarm(10);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct sink sink;
		ssize_t written;
		int pipe_fds[2];
		size_t segments = 0;

		assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
		sink_open(&sink, pipe_fds[1]);
		assert_int_equal(sink.kind, SINK_NONBLOCK);
		assert_true(sink.is_owner);
		if (kinds[i] != SINK_NONBLOCK) {
			sink_close(&sink);
			sink = (struct sink){ .kind = kinds[i], .fd = pipe_fds[1] };
		}
		while ((written = sink_write(&sink, span_of(line, sizeof(line)))) > 0)
			segments++;
		assert_int_equal(written, -EAGAIN);
		assert_true(segments >= 1);
		sink_close(&sink);
		close(pipe_fds[0]);
		close(pipe_fds[1]);
	}
	alarm(0);
}

TEST(pieces_for_a_pipe_end_with_a_line)
{
	char lines[3 * PIPE_BUF];
	struct sink sink;
	int pipe_fds[2];

	memset(lines, 'x', sizeof(lines));
	for (size_t at = 999; at < sizeof(lines); at += 1000)
		lines[at] = '\n';
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	sink_open(&sink, pipe_fds[1]);
	assert_int_equal(sink_write(&sink, span_of(lines, sizeof(lines))), 4000);
	/* A line longer than PIPE_BUF goes in parts. */
	memset(lines, 'x', sizeof(lines));
	assert_int_equal(sink_write(&sink, span_of(lines, sizeof(lines))), PIPE_BUF);
	sink_close(&sink);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

TEST(each_kind_of_descriptor_has_its_way)
{
	struct sink sink;
	FILE *file = tmpfile();
	int pair[2], pipe_fds[2];

	sink_open(&sink, fileno(file));
	assert_int_equal(sink.kind, SINK_FILE);
	sink_close(&sink);
	fclose(file);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	sink_open(&sink, pair[0]);
	assert_int_equal(sink.kind, SINK_SOCKET);
	sink_close(&sink);
	close(pair[0]);
	close(pair[1]);
	/* One that is non-blocking already is used as it is. */
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK), 0);
	sink_open(&sink, pipe_fds[1]);
	assert_int_equal(sink.kind, SINK_NONBLOCK);
	assert_int_equal(sink.fd, pipe_fds[1]);
	assert_false(sink.is_owner);
	sink_close(&sink);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

TEST(a_terminal_is_opened_again_and_can_be_full)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), terminal;
	char line[1024];
	struct sink sink;
	ssize_t written;

	if (master < 0)
		skip();
	assert_int_equal(grantpt(master), 0);
	assert_int_equal(unlockpt(master), 0);
	terminal = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(terminal >= 0);
	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	sink_open(&sink, terminal);
	assert_int_equal(sink.kind, SINK_NONBLOCK);
	assert_true(sink.is_owner);
	alarm(10);
	do
		written = sink_write(&sink, span_of(line, sizeof(line)));
	while (written > 0);
	alarm(0);
	assert_int_equal(written, -EAGAIN);
	sink_close(&sink);
	close(terminal);
	close(master);
}

TEST(a_closed_reader_is_an_error_and_no_signal)
{
	int pair[2], pipe_fds[2];
	struct sink sink;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	close(pair[1]);
	sink_open(&sink, pair[0]);
	assert_int_equal(sink_write(&sink, SPAN("x\n")), -EPIPE);
	sink_close(&sink);
	close(pair[0]);
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	sink_open(&sink, pipe_fds[1]);
	close(pipe_fds[0]);
	assert_int_equal(sink_write(&sink, SPAN("x\n")), -EPIPE);
	sink_close(&sink);
	close(pipe_fds[1]);
}

/* Writes until the sink is full: never waits for the reader. */
static bool fills(struct sink *sink)
{
	char line[1000];
	ssize_t written;

	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	alarm(10);
	do
		written = sink_write(sink, span_of(line, sizeof(line)));
	while (written > 0);
	alarm(0);
	return written == -EAGAIN;
}

/* A terminal of another user; where it is the controlling one, it can be opened all the same. */
static void fill_a_terminal_of_another(bool is_controlling)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), terminal;
	struct sink_thread *thread;
	struct sink sink;

	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
		_exit(1);
	terminal = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (terminal < 0 || fchmod(terminal, 0600) < 0 || setsid() < 0 ||
	    (is_controlling && ioctl(terminal, TIOCSCTTY, 0) < 0) || setresuid(65534, 65534, 65534) < 0)
		_exit(2);
	sink_open(&sink, terminal);
	if ((sink.kind == SINK_NONBLOCK) != is_controlling || sink_thread_start(&sink, &thread) < 0)
		_exit(3);
	_exit(sink.kind == SINK_NONBLOCK && fills(&sink) ? 0 : 4);
}

TEST(a_terminal_of_another_user_never_makes_anybody_wait)
{
	if (geteuid() != 0)
		skip();
	for (int is_controlling = 0; is_controlling < 2; is_controlling++) {
		pid_t child = fork();
		int status;

		if (child == 0)
			fill_a_terminal_of_another(is_controlling);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
}

TEST(a_thread_writes_whole_lines_in_order_and_ends_with_its_sink)
{
	struct sink_thread *thread;
	struct sink sink;
	char line[32], got[64 * 1024];
	size_t len = 0;
	int pipe_fds[2];
	ssize_t more;

	assert_int_equal(pipe(pipe_fds), 0);
	sink = (struct sink){ .kind = SINK_POLLED, .fd = pipe_fds[1] };
	assert_int_equal(sink_thread_start(&sink, &thread), 0);
	assert_int_equal(sink.kind, SINK_NONBLOCK);
	for (int i = 0; i < 1000; i++) {
		int bytes = snprintf(line, sizeof(line), "line %d\n", i);

		while (sink_write(&sink, span_of(line, (size_t)bytes)) == -EAGAIN)
			usleep(1000);
	}
	sink_close(&sink);
	sink_thread_end(thread);
	close(pipe_fds[1]);
	while ((more = read(pipe_fds[0], got + len, sizeof(got) - len)) > 0)
		len += (size_t)more;
	close(pipe_fds[0]);
	for (int i = 0, at = 0; i < 1000; i++) {
		int bytes = snprintf(line, sizeof(line), "line %d\n", i);

		assert_true((size_t)(at + bytes) <= len);
		assert_memory_equal(got + at, line, (size_t)bytes);
		at += bytes;
	}
}

TEST(a_thread_waits_for_a_full_pipe_that_another_process_has_made_non_blocking)
{
	struct sink_thread *thread;
	char got[64 * 1024];
	struct sink sink;
	int pipe_fds[2];
	ssize_t more;

	assert_int_equal(pipe2(pipe_fds, O_NONBLOCK), 0);
	assert_true(fcntl(pipe_fds[1], F_SETPIPE_SZ, 4096) >= 0);
	memset(got, 'x', sizeof(got));
	while (write(pipe_fds[1], got, 64) > 0)
		;
	sink = (struct sink){ .kind = SINK_POLLED, .fd = pipe_fds[1] };
	assert_int_equal(sink_thread_start(&sink, &thread), 0);
	assert_int_equal(sink_write(&sink, SPAN("last\n")), 5);
	usleep(100000); /* the thread tries meanwhile */
	for (char text[5] = ""; memcmp(text, "last\n", 5) != 0; memcpy(text, got + more - 5, 5)) {
		struct pollfd readable = { .fd = pipe_fds[0], .events = POLLIN };

		assert_int_equal(poll(&readable, 1, 10000), 1);
		more = read(pipe_fds[0], got, sizeof(got));
		assert_true(more >= 5);
	}
	sink_close(&sink);
	sink_thread_end(thread);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

TEST(when_the_destination_is_gone_a_thread_says_so)
{
	struct sink_thread *thread;
	struct sink sink;
	int pipe_fds[2];
	ssize_t written;

	(void)signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe(pipe_fds), 0);
	sink = (struct sink){ .kind = SINK_NOWAIT, .fd = pipe_fds[1] };
	assert_int_equal(sink_thread_start(&sink, &thread), 0);
	close(pipe_fds[0]);
	alarm(10);
	do
		written = sink_write(&sink, SPAN("x\n"));
	while (written != -EPIPE);
	alarm(0);
	sink_close(&sink);
	sink_thread_end(thread);
	close(pipe_fds[1]);
}
