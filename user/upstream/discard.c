/* SPDX-License-Identifier: Apache-2.0 */
#include "user/upstream/discard.h"

#include <errno.h>

#include "user/base/limits.h"

/* -EAGAIN: more bytes follow. */
static int discard_read(struct upstream *upstream)
{
	struct conn *conn = &upstream->conn;
	size_t kept = buf_len(&conn->in);

	if (kept > upstream->discard_bytes)
		return -EPROTO;
	buf_consume(&conn->in, kept);
	upstream->discard_bytes -= kept;
	while (upstream->discard_bytes) {
		size_t most = upstream->discard_bytes < LIMIT_READ_BYTES ? upstream->discard_bytes
									 : LIMIT_READ_BYTES;
		ssize_t len = conn_recv(conn, upstream->pool->relay->scratch, most);

		if (len <= 0)
			return len ? (int)len : -EPIPE;
		upstream->discard_bytes -= (size_t)len;
	}
	return 0;
}

static void discard_pump(void *owner)
{
	struct upstream *upstream = owner;
	int error = discard_read(upstream);

	if (error == -EAGAIN)
		return;
	if (error) {
		upstream_close(upstream, false);
		return;
	}
	upstream_pool_drop(upstream->pool, upstream);
	upstream->served++;
	upstream_pool_give(upstream->pool, upstream);
}

void upstream_discard(struct upstream *upstream, uint64_t bytes)
{
	struct upstream_pool *pool = upstream->pool;
	struct conn *conn = &upstream->conn;

	if (!upstream->is_reusable || bytes > LIMIT_DISCARD_BYTES || conn_has_output(conn) ||
	    pool->discard_count >= LIMIT_DISCARDS) {
		upstream_close(upstream, false);
		return;
	}
	upstream->owner = upstream;
	upstream->on_event = discard_pump;
	upstream->discard_bytes = bytes;
	upstream->is_discarding = true;
	list_add_tail(&pool->discarding, &upstream->idle_node);
	pool->discard_count++;
	timer_arm(loop_timers(pool->loop), &upstream->idle_timer, loop_now_ms(pool->loop) + LIMIT_DISCARD_MS);
	discard_pump(upstream);
}
