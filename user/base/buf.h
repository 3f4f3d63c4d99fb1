/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/types.h>

#include "user/base/span.h"

/*
 * A byte queue with one contiguous run of content: bytes are appended at the end and consumed at the start.
 * It owns no memory while it is empty and released, so an idle connection costs no buffer. The caller sets
 * the limit: buf_reserve() does not grow past max_bytes. Every idle connection has several of these, so the
 * positions have 32 bits.
 */
#define BUF_MAX_BYTES ((size_t)1 << 31) /* whatever limit the caller sets */

struct buf {
	char *data; /* owner; NULL when never filled or released */
	uint32_t start; /* first unconsumed byte */
	uint32_t end; /* one past the last byte */
	uint32_t size; /* allocated: never more than BUF_MAX_BYTES */
};

void buf_init(struct buf *b);
void buf_done(struct buf *b);
static inline size_t buf_len(const struct buf *b)
{
	return b->end - b->start;
}
static inline struct span buf_span(const struct buf *b)
{
	/* NULL + 0 is undefined in C17. */
	return (struct span){ b->data ? b->data + b->start : NULL, b->end - b->start };
}
/*
 * Makes space for `more` bytes after the content, by moving or growing it. 0, -ENOMEM, or -ENOBUFS past
 * max_bytes.
 */
int buf_reserve(struct buf *b, size_t more, size_t max_bytes);
static inline char *buf_tail(struct buf *b)
{
	return b->data + b->end;
}
void buf_commit(struct buf *b, size_t len); /* after writing `len` bytes at buf_tail() */
void buf_consume(struct buf *b, size_t len); /* len <= buf_len */
int buf_append(struct buf *b, struct span s, size_t max_bytes);
/* Frees the memory if the queue is empty. */
void buf_release(struct buf *b);
