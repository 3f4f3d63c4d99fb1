/* SPDX-License-Identifier: Apache-2.0 */
#include "user/relay/head_reader.h"

#include <errno.h>

#include "user/base/limits.h"

static enum head_read head_take(struct span bytes, const struct head_scan *scan, struct arena *arena,
				struct span *ret_head)
{
	*ret_head = arena_copy(arena, span_from(span_first(bytes, scan->head_bytes), scan->lead_bytes));
	return ret_head->data ? HEAD_READ_DONE : HEAD_READ_MEMORY;
}

/* The usual case: the head is complete in the scratch memory, and no buffer is needed. */
static enum head_read head_from_scratch(struct conn *conn, struct head_scan *scan,
					const struct head_limits *limits, struct span bytes,
					struct arena *arena, struct span *ret_head)
{
	enum scan_step step = head_scan_run(scan, bytes, limits);
	struct span keep = bytes;
	enum head_read result = HEAD_READ_MORE;

	if (step == SCAN_BAD)
		return HEAD_READ_BAD;
	if (step == SCAN_DONE) {
		result = head_take(bytes, scan, arena, ret_head);
		keep = span_from(bytes, scan->head_bytes);
	}
	if (keep.len && buf_append(&conn->in, keep, LIMIT_HEAD_BYTES + LIMIT_READ_BYTES) < 0)
		return HEAD_READ_MEMORY;
	return result;
}

static enum head_read head_from_queue(struct conn *conn, struct head_scan *scan,
				      const struct head_limits *limits, struct arena *arena,
				      struct span *ret_head)
{
	struct span bytes = buf_span(&conn->in);
	enum scan_step step;
	enum head_read result;

	if (bytes.len <= scan->offset)
		return HEAD_READ_MORE;
	step = head_scan_run(scan, bytes, limits);
	if (step == SCAN_BAD)
		return HEAD_READ_BAD;
	if (step == SCAN_MORE)
		return HEAD_READ_MORE;
	result = head_take(bytes, scan, arena, ret_head);
	buf_consume(&conn->in, scan->head_bytes);
	buf_release(&conn->in);
	return result;
}

enum head_read head_read(struct conn *conn, struct head_scan *scan, const struct head_limits *limits,
			 char *scratch, size_t most, struct arena *arena, struct span *ret_head)
{
	for (;;) {
		enum head_read result = head_from_queue(conn, scan, limits, arena, ret_head);
		bool is_direct = buf_len(&conn->in) == 0;
		ssize_t len;

		if (result != HEAD_READ_MORE)
			return result;
		if (!is_direct && buf_reserve(&conn->in, 4096, LIMIT_HEAD_BYTES + LIMIT_READ_BYTES) < 0)
			return HEAD_READ_MEMORY;
		len = is_direct ? conn_recv(conn, scratch, most)
				: conn_recv(conn, buf_tail(&conn->in), conn->in.size - conn->in.end);
		if (len == -EAGAIN)
			return HEAD_READ_MORE;
		if (len <= 0)
			return len == 0 ? HEAD_READ_EOF : HEAD_READ_ERROR;
		if (!is_direct) {
			buf_commit(&conn->in, (size_t)len);
			continue;
		}
		result =
			head_from_scratch(conn, scan, limits, span_of(scratch, (size_t)len), arena, ret_head);
		if (result != HEAD_READ_MORE)
			return result;
	}
}
