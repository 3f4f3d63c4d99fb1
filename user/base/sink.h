/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/types.h>

#include "user/base/span.h"

/*
 * The destination of lines: standard output, which may be a file, a pipe, a terminal or a socket. Writing
 * never waits for a reader, and the description that was passed in keeps its flags: O_NONBLOCK belongs to the
 * open file description, which a shell, a container runtime or another program may share. Therefore a pipe or
 * terminal is opened a second time (/proc/self/fd/N, or /dev/tty), and a socket gets MSG_DONTWAIT; if neither
 * works, RWF_NOWAIT or poll(2) is used. After poll(2) a write may wait all the same: another process may have
 * filled the pipe, and a terminal has room for a part of the line. sink_thread_start() keeps that from the
 * caller.
 *
 * A write to a pipe is at most PIPE_BUF bytes and ends with a line where possible: then it is atomic
 * (pipe(7)), and lines of several workers do not mix.
 */
enum sink_kind {
	SINK_FILE, /* disk: write(2) */
	SINK_SOCKET, /* send(2) with MSG_DONTWAIT */
	SINK_NONBLOCK, /* our own description, or one that is already non-blocking */
	SINK_NOWAIT, /* pwritev2(2) with RWF_NOWAIT, pipes from Linux 6.5 on */
	SINK_POLLED, /* write(2) after poll(2) */
};

struct sink {
	enum sink_kind kind;
	int fd;
	bool is_owner; /* of fd */
};

void sink_open(struct sink *sink, int fd); /* fd is borrowed until sink_close */
void sink_close(struct sink *sink);
/*
 * Returns bytes written (a prefix of `lines`, at least 1), -EAGAIN if the reader is not ready, or another
 * -errno.
 */
ssize_t sink_write(struct sink *sink, struct span lines);
