/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/types.h>

#include "user/base/span.h"

/*
 * Where lines go: standard output, be it a file, a pipe, a terminal or a socket. Writing never waits for a
 * reader, and the description that was handed in keeps its flags: O_NONBLOCK belongs to the open file
 * description, which a shell, a container runtime or another program may share. A pipe or terminal is
 * therefore opened a second time (/proc/self/fd/N), a socket gets MSG_DONTWAIT; where neither works
 * RWF_NOWAIT or poll(2) decides.
 *
 * A write to a pipe is at most PIPE_BUF bytes and ends with a line where it can: then it is atomic
 * (pipe(7)), and lines of several workers do not mix.
 */
enum sink_kind {
	SINK_FILE, /* disk: write(2) */
	SINK_SOCKET, /* send(2) with MSG_DONTWAIT */
	SINK_NONBLOCK, /* a description of our own, or one that is non-blocking already */
	SINK_NOWAIT, /* pwritev2(2) with RWF_NOWAIT, pipes from Linux 6.5 on */
	SINK_POLLED, /* write(2) after poll(2) said yes */
};

struct sink {
	enum sink_kind kind;
	int fd;
	bool is_owner; /* of fd */
};

void sink_open(struct sink *sink, int fd); /* fd is borrowed until sink_close */
void sink_close(struct sink *sink);
/*
 * Bytes written (a prefix of `lines`, at least 1), -EAGAIN when the reader is not ready, or another -errno.
 */
ssize_t sink_write(struct sink *sink, struct span lines);
