/* SPDX-License-Identifier: Apache-2.0 */
#include "user/relay/conn_bypass.h"
#include "user/upstream/upstream.h"

#include "user/base/limits.h"
#include "user/net/socket.h"
#include "user/relay/head_reader.h"
#include "user/upstream/upstream_h2.h"

static void upstream_on_ready(struct conn *conn)
{
	struct upstream *upstream = container_of(conn, struct upstream, conn);

	if (upstream->h2) {
		h2_link_run(&upstream->h2->link);
		return;
	}
	if (upstream->owner) {
		upstream->on_event(upstream->owner);
		return;
	}
	/* Any input on an idle connection closes it; the edge for free send space is no input. */
	if (conn->can_read && !conn_is_silent(conn)) {
		counter_add(upstream->pool->counters, COUNTER_POOL_STALE, 1);
		upstream_close(upstream, false);
	}
}

static void upstream_release(struct loop_deferred *deferred)
{
	struct upstream *upstream = container_of(deferred, struct upstream, release);

	upstream_h2_free(upstream->h2);
	slab_give(upstream->pool->upstreams, upstream->handle);
}

static void upstream_on_idle(struct timer *timer, uint64_t now_ms)
{
	struct upstream *upstream = container_of(timer, struct upstream, idle_timer);

	(void)now_ms;
	if (upstream->is_discarding) {
		upstream_close(upstream, false);
		return;
	}
	if (upstream->h2) {
		upstream_h2_on_timer(upstream);
		return;
	}
	counter_end(upstream->pool->counters, END_POOL_IDLE);
	upstream_close(upstream, false);
}

struct upstream *upstream_open(struct upstream_pool *pool, struct upstream_endpoint *endpoint, int fd,
			       const struct address *address)
{
	uint64_t handle;
	struct upstream *upstream = slab_take(pool->upstreams, &handle);

	if (!upstream) {
		socket_reset(fd);
		return NULL;
	}
	upstream->pool = pool;
	upstream->handle = handle;
	upstream->address_hash = address_hash(address);
	upstream->endpoint = endpoint;
	list_init(&upstream->idle_node);
	timer_init(&upstream->idle_timer, upstream_on_idle);
	loop_deferred_init(&upstream->release, upstream_release);
	if (conn_open(&upstream->conn, pool->loop, fd, upstream_on_ready) < 0) {
		slab_give(pool->upstreams, handle);
		return NULL;
	}
	endpoint->user_count++;
	counter_add(pool->counters, COUNTER_UPSTREAM_OPEN, 1);
	return upstream;
}

void upstream_close(struct upstream *upstream, bool reset)
{
	struct upstream_pool *pool = upstream->pool;

	if (upstream->is_closed)
		return;
	upstream->is_closed = true;
	upstream->owner = NULL;
	upstream_pool_drop(pool, upstream);
	if (upstream->h2)
		upstream_h2_close(upstream);
	timer_cancel(loop_timers(pool->loop), &upstream->idle_timer);
	counter_add(pool->counters, COUNTER_UPSTREAM_RECEIVED, upstream->conn.received_bytes);
	counter_add(pool->counters, COUNTER_UPSTREAM_SENT, upstream->conn.sent_bytes);
	counter_add(pool->counters, COUNTER_BYPASS_BACKEND_BYTES, conn_bypass_bytes(&upstream->conn));
	gauge_sub(pool->counters, COUNTER_UPSTREAM_OPEN, 1);
	upstream_pool_leave(pool, upstream->endpoint);
	upstream->endpoint = NULL;
	loop_defer(pool->loop, &upstream->release);
	conn_close(&upstream->conn, reset);
}

void upstream_attach(struct upstream *upstream, void *owner, void (*on_event)(void *owner))
{
	upstream->owner = owner;
	upstream->on_event = on_event;
	upstream->has_response_bytes = false;
	upstream->is_reusable = false;
	upstream->keep_alive_s = 0;
	upstream->request_start_bytes = upstream->conn.sent_bytes;
	head_scan_init(&upstream->scan, true);
}

enum upstream_head upstream_read_head(struct upstream *upstream, size_t most, struct arena *arena,
				      struct response_head *ret_head, enum http_error *ret_error)
{
	static const struct head_limits limits = { LIMIT_HEAD_BYTES, LIMIT_HEAD_BYTES, LIMIT_HEADERS_MAX };
	uint64_t received = upstream->conn.received_bytes;
	struct span bytes;
	enum head_read result = head_read(&upstream->conn, &upstream->scan, &limits,
					  upstream->pool->relay->scratch, most, arena, &bytes);

	upstream->has_response_bytes |= upstream->conn.received_bytes != received;
	switch (result) {
	case HEAD_READ_MORE:
		return UPSTREAM_HEAD_MORE;
	case HEAD_READ_DONE:
		*ret_error = h1_parse_response(bytes, arena, ret_head);
		head_scan_init(&upstream->scan, true);
		return *ret_error ? UPSTREAM_HEAD_BAD : UPSTREAM_HEAD_DONE;
	case HEAD_READ_BAD:
		*ret_error = upstream->scan.http_error;
		return UPSTREAM_HEAD_BAD;
	case HEAD_READ_EOF:
		return UPSTREAM_HEAD_EOF;
	case HEAD_READ_ERROR:
		return UPSTREAM_HEAD_ERROR;
	case HEAD_READ_MEMORY:
		break;
	}
	return UPSTREAM_HEAD_MEMORY;
}
