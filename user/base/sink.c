/* SPDX-License-Identifier: Apache-2.0 */
#include "user/base/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OPEN_AGAIN = O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC };

/* A terminal of another user cannot be opened again by its name, but the controlling one can as /dev/tty. */
static int open_controlling(int fd)
{
	int again = isatty(fd) ? open("/dev/tty", OPEN_AGAIN) : -1;
	unsigned int device, other;

	if (again >= 0 &&
	    (ioctl(fd, TIOCGDEV, &device) < 0 || ioctl(again, TIOCGDEV, &other) < 0 || device != other)) {
		close(again);
		return -1;
	}
	return again;
}

/* Opens a second description of the same pipe or terminal, non-blocking; -1 if that is not allowed. */
static int open_again(int fd)
{
	char path[32];
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, OPEN_AGAIN);
	return again >= 0 ? again : open_controlling(fd);
}

void sink_open(struct sink *sink, int fd)
{
	struct stat stat;
	int flags = fcntl(fd, F_GETFL);
	int again;

	*sink = (struct sink){ SINK_FILE, fd, false };
	if (fstat(fd, &stat) != 0 || S_ISREG(stat.st_mode))
		return;
	if (S_ISSOCK(stat.st_mode)) {
		sink->kind = SINK_SOCKET;
		return;
	}
	if (flags >= 0 && flags & O_NONBLOCK) {
		sink->kind = SINK_NONBLOCK;
		return;
	}
	again = open_again(fd);
	if (again >= 0)
		*sink = (struct sink){ SINK_NONBLOCK, again, true };
	else
		sink->kind = SINK_NOWAIT;
}

void sink_close(struct sink *sink)
{
	if (sink->is_owner)
		close(sink->fd);
	*sink = (struct sink){ SINK_FILE, -1, false };
}

/* Whole lines up to PIPE_BUF; part of the first line if that alone is longer. */
static size_t segment_len(struct span lines)
{
	const char *end;

	if (lines.len <= PIPE_BUF)
		return lines.len;
	end = memrchr(lines.data, '\n', PIPE_BUF);
	return end ? (size_t)(end - lines.data) + 1 : PIPE_BUF;
}

static ssize_t write_polled(int fd, struct span segment)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLOUT };

	if (poll(&poll_fd, 1, 0) <= 0) {
		errno = EAGAIN;
		return -1;
	}
	return write(fd, segment.data, segment.len);
}

static ssize_t write_nowait(struct sink *sink, struct span segment)
{
	struct iovec vector = { (void *)segment.data, segment.len };
	ssize_t written = pwritev2(sink->fd, &vector, 1, -1, RWF_NOWAIT);

	if (written >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL))
		return written;
	sink->kind = SINK_POLLED;
	return write_polled(sink->fd, segment);
}

static ssize_t write_segment(struct sink *sink, struct span segment)
{
	switch (sink->kind) {
	case SINK_FILE:
	case SINK_NONBLOCK:
		return write(sink->fd, segment.data, segment.len);
	case SINK_SOCKET:
		return send(sink->fd, segment.data, segment.len, MSG_DONTWAIT | MSG_NOSIGNAL);
	case SINK_NOWAIT:
		return write_nowait(sink, segment);
	case SINK_POLLED:
		return write_polled(sink->fd, segment);
	}
	return -1;
}

ssize_t sink_write(struct sink *sink, struct span lines)
{
	struct span segment = sink->kind == SINK_FILE ? lines : span_first(lines, segment_len(lines));
	ssize_t written;

	do
		written = write_segment(sink, segment);
	while (written < 0 && errno == EINTR);
	return written < 0 ? -errno : written;
}
