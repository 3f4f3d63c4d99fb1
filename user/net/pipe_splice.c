/* SPDX-License-Identifier: Apache-2.0 */
#include "user/net/pipe_splice.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "user/base/check.h"
#include "user/net/socket.h"

enum { PIPE_BYTES_MIN = 64 * 1024 }; /* default size of a new pipe, pipe(7) */

void pipe_splice_init(struct pipe_splice *pipe)
{
	*pipe = (struct pipe_splice){ .read_fd = -1, .write_fd = -1 };
}

static void pipe_splice_close(struct pipe_splice *pipe)
{
	socket_close(pipe->read_fd);
	socket_close(pipe->write_fd);
	pipe_splice_init(pipe);
}

/*
 * The kernel refuses sizes above fs.pipe-max-size, and growth once the user's pipes hold more pages than
 * fs.pipe-user-pages-soft; a smaller pipe works, too, with more system calls.
 */
static size_t pipe_grow(int fd)
{
	int size = LIMIT_PIPE_BYTES;

	while (size > PIPE_BYTES_MIN && fcntl(fd, F_SETPIPE_SZ, size) < 0)
		size /= 2;
	size = fcntl(fd, F_GETPIPE_SZ);
	return size > 0 ? (size_t)size : PIPE_BYTES_MIN;
}

void pipe_pool_init(struct pipe_pool *pool)
{
	pool->count = 0;
	pool->created_count = 0;
	pool->fds_below = 0;
}

void pipe_pool_done(struct pipe_pool *pool)
{
	while (pool->count > 0)
		pipe_splice_close(&pool->idle[--pool->count]);
}

int pipe_pool_take(struct pipe_pool *pool, struct pipe_splice *ret_pipe)
{
	int fds[2];

	if (pool->count > 0) {
		*ret_pipe = pool->idle[--pool->count];
		return 0;
	}
	if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) < 0)
		return -errno;
	*ret_pipe = (struct pipe_splice){ .read_fd = fds[0], .write_fd = fds[1] };
	/* The copy lane works, too, and connections need the descriptors. */
	if (pool->fds_below && ((uint64_t)fds[0] >= pool->fds_below || (uint64_t)fds[1] >= pool->fds_below)) {
		pipe_splice_close(ret_pipe);
		return -EMFILE;
	}
	ret_pipe->size_bytes = (uint32_t)pipe_grow(fds[1]);
	pool->created_count++;
	return 0;
}

void pipe_pool_give(struct pipe_pool *pool, struct pipe_splice *pipe)
{
	if (!pipe_splice_is_open(pipe))
		return;
	if (pipe->held_bytes > 0 || pool->count == LIMIT_IDLE_PIPES) {
		pipe_splice_close(pipe);
		return;
	}
	pool->idle[pool->count++] = *pipe;
	pipe_splice_init(pipe);
}

static ssize_t splice_step(int from_fd, int to_fd, size_t max, unsigned int flags)
{
	ssize_t len;

	do {
		len = splice(from_fd, NULL, to_fd, NULL, max, SPLICE_F_MOVE | SPLICE_F_NONBLOCK | flags);
	} while (len < 0 && errno == EINTR);
	return len < 0 ? -errno : len;
}

ssize_t pipe_splice_in(int fd, struct pipe_splice *pipe, size_t max)
{
	size_t room = pipe->size_bytes - pipe->held_bytes;
	ssize_t len;

	CHECK(max > 0);
	if (room == 0)
		return -ENOBUFS;
	len = splice_step(fd, pipe->write_fd, max < room ? max : room, 0);
	if (len > 0)
		pipe->held_bytes += (uint32_t)len;
	return len == -EAGAIN && pipe->held_bytes > 0 ? -ENOBUFS : len;
}

ssize_t pipe_splice_out(struct pipe_splice *pipe, int fd, bool is_more)
{
	ssize_t len;

	CHECK(pipe->held_bytes > 0);
	len = splice_step(pipe->read_fd, fd, pipe->held_bytes, is_more ? SPLICE_F_MORE : 0);
	if (len > 0)
		pipe->held_bytes -= (uint32_t)len;
	return len;
}
