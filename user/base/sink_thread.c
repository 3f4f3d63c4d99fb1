/* SPDX-License-Identifier: Apache-2.0 */
#include "user/base/sink_thread.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "user/base/limits.h"
#include "user/base/mem.h"

struct sink_thread {
	pthread_t id;
	int from; /* of a pipe that keeps the borders of writes; the thread closes it */
	int to; /* borrowed */
};

/* Another process may make the shared description non-blocking at any time: wait then, too. */
static ssize_t write_all(int fd, const char *data, size_t len)
{
	for (size_t at = 0; at < len;) {
		struct pollfd writable = { .fd = fd, .events = POLLOUT };
		ssize_t written = write(fd, data + at, len - at);

		if (written < 0 && errno == EAGAIN)
			(void)poll(&writable, 1, -1);
		else if (written < 0 && errno != EINTR)
			return -errno;
		at += written < 0 ? 0 : (size_t)written;
	}
	return 0;
}

/* Until the other end of the pipe is closed, or the destination is gone: then the pipe says EPIPE. */
static void *thread_main(void *argument)
{
	const struct sink_thread *thread = argument;
	char segment[PIPE_BUF];
	ssize_t len;

	do
		len = read(thread->from, segment, sizeof(segment));
	while ((len < 0 && errno == EINTR) || (len > 0 && write_all(thread->to, segment, (size_t)len) == 0));
	close(thread->from);
	return NULL;
}

static int thread_start(struct sink_thread *thread, const int ends[2])
{
	if (fcntl(ends[1], F_SETFL, O_NONBLOCK | O_DIRECT) < 0)
		return -errno;
	return -pthread_create(&thread->id, NULL, thread_main, thread);
}

int sink_thread_start(struct sink *sink, struct sink_thread **ret_thread)
{
	struct sink_thread *thread;
	int ends[2], error;

	*ret_thread = NULL;
	if (sink->kind != SINK_NOWAIT && sink->kind != SINK_POLLED)
		return 0;
	/* O_DIRECT: a read returns one write, which ends with a line where possible (pipe(7)). */
	if (pipe2(ends, O_CLOEXEC | O_DIRECT) < 0)
		return -errno;
	thread = hg_malloc(sizeof(*thread));
	error = -ENOMEM;
	if (thread) {
		*thread = (struct sink_thread){ .from = ends[0], .to = sink->fd };
		error = thread_start(thread, ends);
	}
	if (error) {
		hg_free(thread);
		close(ends[0]);
		close(ends[1]);
		return error;
	}
	*sink = (struct sink){ SINK_NONBLOCK, ends[1], true };
	*ret_thread = thread;
	return 0;
}

void sink_thread_end(struct sink_thread *thread)
{
	struct timespec end;

	if (!thread)
		return;
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += LIMIT_LOG_END_MS / 1000;
	/* One that still waits for the reader keeps its memory: the process ends. */
	if (pthread_timedjoin_np(thread->id, NULL, &end) == 0)
		hg_free(thread);
}
