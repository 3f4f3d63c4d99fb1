/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

/*
 * One I/O step on a non-blocking stream socket: bytes moved, 0 = the peer sent FIN (reads only), -EAGAIN, or
 * another -errno. Interrupted calls are repeated. Writes never raise SIGPIPE: a closed peer is -EPIPE.
 */
ssize_t io_read(int fd, void *data, size_t size_bytes); /* size_bytes > 0 */
/* is_more: further bytes follow at once, so a partial segment may wait for them (MSG_MORE). */
ssize_t io_write(int fd, const void *data, size_t len, bool is_more);
ssize_t io_writev(int fd, const struct iovec *list, size_t count, bool is_more);
/* Peeks: >0 if bytes wait, 0 at the end of the stream, -EAGAIN if the connection is open and silent. */
ssize_t io_peek(int fd);
