/* SPDX-License-Identifier: Apache-2.0 */
#include "user/base/buf.h"

#include <errno.h>

#include "user/base/check.h"
#include "user/base/mem.h"

void buf_init(struct buf *b)
{
	*b = (struct buf){ 0 };
}

void buf_done(struct buf *b)
{
	hg_give(b->data);
	buf_init(b);
}

int buf_reserve(struct buf *b, size_t more, size_t max_bytes)
{
	size_t len = buf_len(b);
	size_t size = b->size ? b->size : 512;
	char *data;

	if (b->size - b->end >= more)
		return 0;
	if (max_bytes > BUF_MAX_BYTES)
		max_bytes = BUF_MAX_BYTES;
	if (more > max_bytes || len > max_bytes - more)
		return -ENOBUFS;
	if (b->size >= len + more) {
		memmove(b->data, b->data + b->start, len);
		b->start = 0;
		b->end = (uint32_t)len;
		return 0;
	}
	while (size < len + more)
		size *= 2;
	data = hg_take(size);
	if (!data)
		return -ENOMEM;
	if (len)
		memcpy(data, b->data + b->start, len);
	hg_give(b->data);
	*b = (struct buf){ .data = data, .end = (uint32_t)len, .size = (uint32_t)size };
	return 0;
}

void buf_commit(struct buf *b, size_t len)
{
	CHECK(len <= b->size - b->end);
	b->end += (uint32_t)len;
}

void buf_consume(struct buf *b, size_t len)
{
	CHECK(len <= buf_len(b));
	b->start += (uint32_t)len;
	if (b->start == b->end) {
		b->start = 0;
		b->end = 0;
	}
}

int buf_append(struct buf *b, struct span s, size_t max_bytes)
{
	int error = buf_reserve(b, s.len, max_bytes);

	if (error)
		return error;
	if (s.len) {
		memcpy(buf_tail(b), s.data, s.len);
		b->end += (uint32_t)s.len;
	}
	return 0;
}

void buf_release(struct buf *b)
{
	if (buf_len(b) == 0)
		buf_done(b);
}
