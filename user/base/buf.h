/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/types.h>

#include "user/base/span.h"

/*
 * A byte queue with one contiguous run of content: bytes are appended at the end and consumed at the front.
 * It owns no memory while it is empty and was released, so an idle connection costs no buffer. The bound is
 * the caller's: buf_reserve refuses to grow past max_bytes. Several are in every idle connection, and what is
 * bounded needs no 64 bits.
 */
#define BUF_MAX_BYTES ((size_t)1 << 31) /* whatever the caller says */

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
 * Room for `more` bytes after the content, moving or growing as needed. 0, -ENOMEM, or -ENOBUFS past
 * max_bytes.
 */
int buf_reserve(struct buf *b, size_t more, size_t max_bytes);
static inline char *buf_tail(struct buf *b)
{
	return b->data + b->end;
}
void buf_commit(struct buf *b, size_t len); /* bytes written at buf_tail */
void buf_consume(struct buf *b, size_t len); /* len <= buf_len */
int buf_append(struct buf *b, struct span s, size_t max_bytes);
/* Gives memory back when empty. */
void buf_release(struct buf *b);
