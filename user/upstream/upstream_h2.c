/* SPDX-License-Identifier: Apache-2.0 */
#include "user/upstream/upstream_h2.h"

#include <errno.h>

#include "user/base/clock.h"
#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/base/quota.h"
#include "user/base/units.h"

static void upstream_h2_arm_idle(struct upstream_h2 *h2)
{
	struct upstream *upstream = h2->upstream;
	struct timer_wheel *wheel = loop_timers(upstream->pool->loop);
	uint64_t idle_ms = upstream->pool->config->pool_idle_ns / NS_PER_MS;

	/* The timer currently waits for the first SETTINGS. */
	if (h2->is_settling)
		return;
	if (h2->stream_count)
		timer_cancel(wheel, &upstream->idle_timer);
	else
		timer_arm(wheel, &upstream->idle_timer, loop_now_ms(upstream->pool->loop) + idle_ms);
}

void upstream_h2_join(struct upstream *upstream)
{
	struct upstream_h2 *h2 = upstream->h2;

	h2->stream_count++;
	counter_add(upstream->pool->counters, COUNTER_UPSTREAM_H2_STREAMS, 1);
	upstream_h2_arm_idle(h2);
	h2_link_touch(&h2->link);
}

void upstream_h2_take_count(struct upstream *upstream, struct quota *quota)
{
	CHECK(!upstream->h2->quota);
	upstream->h2->quota = quota_ref(quota);
}

static void upstream_h2_give_count(struct upstream_h2 *h2)
{
	if (!h2->quota)
		return;
	quota_give_connection(h2->quota);
	quota_drop(h2->quota);
	h2->quota = NULL;
}

/*
 * Those who wait in this worker may use it, although no connection is given back: first those behind the last
 * one that had no use for it.
 */
static void upstream_h2_offer(struct upstream_h2 *h2)
{
	const struct upstream *upstream = h2->upstream;

	/* In no list: it takes no more streams. */
	if (!h2->quota || list_is_empty(&h2->node))
		return;
	h2->declined_count = 0;
	if (quota_offer_stream(h2->quota, upstream->pool, upstream->handle, h2->declined_number) ||
	    !h2->declined_number)
		return;
	h2->declined_number = 0;
	(void)quota_offer_stream(h2->quota, upstream->pool, upstream->handle, 0);
}

void upstream_h2_declined(struct upstream_pool *pool, uint64_t handle, uint64_t number)
{
	struct upstream *upstream = slab_find(pool->upstreams, handle);
	struct upstream_h2 *h2 = upstream ? upstream->h2 : NULL;

	if (!h2 || !h2->quota || list_is_empty(&h2->node) || h2_session_capacity(h2->link.session) == 0)
		return;
	h2->declined_number = number;
	if (++h2->declined_count < LIMIT_H2_DECLINED_OFFERS)
		(void)quota_offer_stream(h2->quota, pool, handle, number);
}

/* Sends what was written last: a reset, or the last window. */
static void upstream_h2_end(struct upstream *upstream)
{
	if (!upstream->h2->is_dead) {
		(void)h2_session_refuse_more(upstream->h2->link.session);
		h2_link_push(&upstream->h2->link);
	}
	upstream_close(upstream, false);
}

void upstream_h2_leave(struct upstream *upstream)
{
	struct upstream_h2 *h2 = upstream->h2;
	bool is_kept = !list_is_empty(&h2->node) && !h2->is_settling && !upstream->pool->is_closing &&
		       upstream_endpoint_keeps(upstream->endpoint);

	CHECK(h2->stream_count > 0);
	h2->stream_count--;
	h2_link_touch(&h2->link);
	if (h2->stream_count) {
		upstream_h2_offer(h2);
		return;
	}
	upstream_h2_give_count(h2);
	if (is_kept && upstream->pool->config->pool_idle_ns)
		upstream_h2_arm_idle(h2);
	else
		upstream_h2_end(upstream);
}

void upstream_h2_demote(struct upstream *upstream)
{
	struct list *node = &upstream->h2->node;

	if (list_is_empty(node))
		return;
	list_remove(node);
	list_add_tail(&upstream->endpoint->h2, node);
}

void upstream_h2_retire(struct upstream *upstream)
{
	list_remove(&upstream->h2->node);
	if (upstream->h2->stream_count == 0 && !upstream->is_closed)
		upstream_h2_end(upstream);
}

/* ------------------------------------------------------------------------------------ the link */

static void upstream_h2_on_news(struct h2_link *link, struct h2_stream *h2_stream)
{
	struct upstream_h2 *h2 = container_of(link, struct upstream_h2, link);

	if (h2_session_has_goaway(link->session))
		list_remove(&h2->node);
	h2_stream->news = 0;
	if (h2_stream->owner)
		h2_stream->on_event(h2_stream->owner);
}

static void upstream_h2_settle(struct upstream_h2 *h2)
{
	if (!h2->is_settling)
		return;
	h2->is_settling = false;
	upstream_h2_arm_idle(h2);
	upstream_pool_settled(h2->upstream->pool, h2->upstream->endpoint);
}

/* A backend that sends no SETTINGS keeps its streams; those that wait for it open another connection. */
void upstream_h2_on_timer(struct upstream *upstream)
{
	struct upstream_h2 *h2 = upstream->h2;

	if (!h2->is_settling)
		counter_end(upstream->pool->counters, END_POOL_IDLE);
	list_remove(&h2->node);
	upstream_h2_settle(h2);
	upstream_h2_retire(upstream);
}

static void upstream_h2_on_fed(struct h2_link *link)
{
	struct upstream_h2 *h2 = container_of(link, struct upstream_h2, link);
	uint32_t before = h2->most_streams;

	if (!h2_session_is_settled(link->session))
		return;
	h2->most_streams = h2_session_most_streams(link->session);
	if (!h2->is_settling && h2->most_streams <= before)
		return;
	upstream_h2_settle(h2);
	upstream_h2_offer(h2);
}

static void upstream_h2_on_end(struct h2_link *link, enum h2_link_end end)
{
	struct upstream_h2 *h2 = container_of(link, struct upstream_h2, link);
	struct upstream *upstream = h2->upstream;
	struct h2_stream *h2_stream;

	list_remove(&h2->node);
	h2->is_dead = true;
	h2->is_eof = end == H2_LINK_EOF || end == H2_LINK_OVER;
	h2->error = upstream->conn.error ? upstream->conn.error : upstream->conn.send_error;
	if (!h2->error && !h2->is_eof)
		h2->error = end == H2_LINK_PING ? -ETIMEDOUT : -EPROTO;
	if (end == H2_LINK_PING)
		counter_end(upstream->pool->counters, END_PING_TIMEOUT);
	h2_session_abort(link->session);
	/*
	 * Each stream reacts on its own: it retries the attempt, replies, or ends. The last one closes the
	 * connection.
	 */
	h2->stream_count++;
	while ((h2_stream = h2_session_next(link->session)) != NULL) {
		h2_stream->news = 0;
		if (h2_stream->owner)
			h2_stream->on_event(h2_stream->owner);
	}
	upstream_h2_settle(h2);
	upstream_h2_leave(upstream);
}

/* ------------------------------------------------------------------------------------ life */

struct h2_options h2_options_of(enum h2_role role, const struct h2_settings *settings)
{
	struct h2_options options = {
		.role = role,
		.window_bytes = settings->window_bytes,
		.connection_window_bytes = settings->connection_window_bytes,
		.frame_bytes = settings->frame_bytes,
		.max_streams = settings->max_streams,
		.head_limits = { .bytes = settings->max_head_bytes, .fields = settings->max_headers },
	};

	/* No flood limits for backends: they belong to the operator. */
	if (role == H2_SERVER) {
		options.flood_limits = h2_flood_defaults;
		memcpy(options.flood_limits.per_second, settings->floods,
		       sizeof(options.flood_limits.per_second));
	}
	return options;
}

int upstream_h2_start(struct upstream *upstream)
{
	struct h2_settings settings;
	struct h2_options options;
	struct upstream_h2 *h2 = hg_calloc(1, sizeof(*h2));

	if (!h2)
		return -ENOMEM;
	h2_settings_of_backend(upstream->pool->config, &settings);
	options = h2_options_of(H2_CLIENT, &settings);
	list_init(&h2->node);
	h2->upstream = upstream;
	if (h2_link_open(&h2->link, upstream->pool->relay, &upstream->conn, &options) < 0) {
		hg_free(h2);
		return -ENOMEM;
	}
	h2->link.on_news = upstream_h2_on_news;
	h2->link.on_end = upstream_h2_on_end;
	h2->link.on_fed = upstream_h2_on_fed;
	h2->is_settling = true;
	timer_arm(loop_timers(upstream->pool->loop), &upstream->idle_timer,
		  loop_now_ms(upstream->pool->loop) + LIMIT_H2_SETTLE_MS);
	h2_link_set_ping(&h2->link, ns_to_ms(settings.ping_interval_ns), ns_to_ms(settings.ping_timeout_ns));
	upstream->h2 = h2;
	upstream->is_reusable = true;
	list_add_head(&upstream->endpoint->h2, &h2->node);
	/* Its SETTINGS may have come with the last bytes of the handshake: no event will announce them. */
	if (conn_tls(&upstream->conn) && upstream->conn.can_read)
		loop_again(upstream->pool->loop, &h2->link.again);
	return 0;
}

void upstream_h2_close(struct upstream *upstream)
{
	list_remove(&upstream->h2->node);
	h2_link_close(&upstream->h2->link);
	upstream_h2_settle(upstream->h2);
}

void upstream_h2_free(struct upstream_h2 *h2)
{
	if (!h2)
		return;
	h2_link_done(&h2->link);
	hg_free(h2);
}
