/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/base/sink.h"

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
			sink = (struct sink){ kinds[i], pipe_fds[1], false };
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
