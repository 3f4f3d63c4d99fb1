/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "user/base/limits.h"

/*
 * splice(2) between two sockets through a pipe, without copying bytes to user space, in non-blocking steps
 * and with an exact count of the bytes in the pipe. Each worker pools its pipes; one that still holds bytes
 * is closed, never pooled, because the bytes belong to a stream.
 */
struct pipe_splice {
	int read_fd; /* owner; -1: none */
	int write_fd; /* owner */
	uint32_t size_bytes; /* capacity that the kernel granted */
	uint32_t held_bytes; /* bytes in the pipe */
};

struct pipe_pool {
	unsigned int count;
	uint64_t created_count;
	uint64_t fds_below; /* new pipes must have smaller numbers; 0: any */
	struct pipe_splice idle[LIMIT_IDLE_PIPES]; /* last in, first out: its pages are still in the cache */
};

void pipe_pool_init(struct pipe_pool *pool);
void pipe_pool_done(struct pipe_pool *pool);
/*
 * Takes a pipe of LIMIT_PIPE_BYTES, or of what the kernel allows (fs.pipe-max-size, fs.pipe-user-pages-soft).
 * Returns 0, -EMFILE, -ENFILE, or -ENOMEM.
 */
int pipe_pool_take(struct pipe_pool *pool, struct pipe_splice *ret_pipe);
/* Pools the pipe if it is empty, closes it otherwise, and sets *pipe to "none". Idempotent. */
void pipe_pool_give(struct pipe_pool *pool, struct pipe_splice *pipe);

void pipe_splice_init(struct pipe_splice *pipe); /* to "none" */
static inline bool pipe_splice_is_open(const struct pipe_splice *pipe)
{
	return pipe->read_fd >= 0;
}

/*
 * Moves at most max bytes (> 0) from a socket into the pipe. Returns the bytes moved, 0 when the peer sent
 * FIN, -EAGAIN when the pipe is empty and the socket has nothing to read, -ENOBUFS when the pipe holds bytes
 * and nothing moved: either side may be the cause (a pipe counts pages, not bytes), so move bytes out and
 * call again. Or -errno: -EINVAL if the descriptor cannot splice.
 */
ssize_t pipe_splice_in(int fd, struct pipe_splice *pipe, size_t max);
/*
 * Moves bytes from the pipe (held_bytes > 0) into a socket. is_more: further bytes of the message follow, a
 * partial segment may wait for them. Returns the bytes moved, -EAGAIN when the socket takes nothing, or
 * -errno. splice(2) has no flag against SIGPIPE: the program ignores the signal (user/loop/signals.h).
 */
ssize_t pipe_splice_out(struct pipe_splice *pipe, int fd, bool is_more);
