/* SPDX-License-Identifier: Apache-2.0 */
#include "user/client/worker_state.h"

#include "config/snapshot.h"
#include "user/base/clock.h"
#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/base/units.h"
#include "user/http/reply.h"
#include "user/otlp/exporter.h"

struct lease *lease_create(struct snapshot *snapshot)
{
	struct lease *lease = hg_calloc(1, sizeof(*lease));

	if (!lease)
		return NULL;
	lease->snapshot = snapshot;
	lease->refs = 1;
	return lease;
}

struct lease *lease_ref(struct lease *lease)
{
	lease->refs++;
	return lease;
}

void lease_unref(struct lease *lease)
{
	if (!lease || --lease->refs)
		return;
	snapshot_unref(lease->snapshot);
	hg_free(lease);
}

/* NULL: the records of this signal are not sent. */
static const struct otlp_target *collector_of(const struct snapshot *snapshot, enum otlp_signal signal)
{
	if (signal == OTLP_TRACES)
		return snapshot->tracing ? &snapshot->tracing->target : NULL;
	return snapshot->access_log && snapshot->access_log->otlp ? &snapshot->access_log->otlp->target
								  : NULL;
}

static void retarget_exporters(struct proxy *proxy, struct snapshot *snapshot)
{
	for (unsigned i = 0; i < OTLP_SIGNAL_COUNT; i++)
		if (proxy->exporters[i])
			exporter_retarget(proxy->exporters[i], snapshot,
					  collector_of(snapshot, (enum otlp_signal)i));
}

void proxy_set_lease(struct proxy *proxy, struct lease *lease)
{
	const struct lease *old = proxy->lease;
	bool is_copy = old && lease && snapshot_base(old->snapshot) == snapshot_base(lease->snapshot);

	/* Drop contexts made from the previous settings; sessions hold what they use. */
	if (!is_copy)
		tls_worker_forget(&proxy->tls);
	proxy->lease = lease;
	proxy->pool.config = lease ? &lease->snapshot->config : NULL;
	proxy->head_budget.most_bytes = lease ? lease->snapshot->config.worker_head_bytes : 0;
	if (lease)
		retarget_exporters(proxy, lease->snapshot);
}

void proxy_bind_unref(struct proxy_bind *bind)
{
	if (--bind->refs == 0)
		hg_free(bind);
}

uint64_t proxy_ticket_s(void *context)
{
	const struct proxy *proxy = context;

	return (loop_now_ms(proxy->loop) - proxy->shared->ticket_start_ms) / 1000;
}

/* Write lines in batches: one wake-up for many lines, none while nothing is logged. */
enum { PROXY_LOG_DELAY_MS = 10 };

void proxy_on_log_timer(struct timer *timer, uint64_t now_ms)
{
	struct proxy *proxy = container_of(timer, struct proxy, log_timer);

	if (access_log_flush(proxy->log))
		timer_arm(loop_timers(proxy->loop), timer, now_ms + PROXY_LOG_DELAY_MS);
}

void proxy_log_soon(struct proxy *proxy)
{
	if (!timer_is_armed(&proxy->log_timer))
		timer_arm(loop_timers(proxy->loop), &proxy->log_timer,
			  proxy_now_ms(proxy) + PROXY_LOG_DELAY_MS);
}

bool proxy_may_export(struct proxy *proxy, enum otlp_signal signal)
{
	if (!proxy->exporters[signal])
		proxy->exporters[signal] = exporter_create(&proxy->callouts, signal);
	return proxy->exporters[signal] && exporter_has_room(proxy->exporters[signal]);
}

enum { PROXY_REST_MS = 250 };

void proxy_on_rest_timer(struct timer *timer, uint64_t now_ms)
{
	struct proxy *proxy = container_of(timer, struct proxy, rest_timer);
	size_t before = mem_kept_bytes();
	size_t after = mem_rest();

	if (after > LIMIT_WORKER_REST_BYTES || after != before)
		timer_arm(loop_timers(proxy->loop), timer, now_ms + PROXY_REST_MS);
}

void proxy_mind_memory(struct proxy *proxy)
{
	if (mem_kept_bytes() > LIMIT_WORKER_REST_BYTES && !timer_is_armed(&proxy->rest_timer))
		timer_arm(loop_timers(proxy->loop), &proxy->rest_timer, proxy_now_ms(proxy) + PROXY_REST_MS);
}

uint64_t proxy_wall_us(struct proxy *proxy)
{
	if (proxy->wall_turn != loop_turn(proxy->loop) || proxy->wall_us == 0) {
		proxy->wall_us = clock_wall_us();
		proxy->wall_turn = loop_turn(proxy->loop);
	}
	return proxy->wall_us;
}

struct span proxy_date(struct proxy *proxy)
{
	uint64_t now_s = proxy_wall_us(proxy) / US_PER_S;

	if (proxy->date_s != now_s) {
		proxy->date_s = now_s;
		http_date(now_s, proxy->date);
	}
	return span_of(proxy->date, HTTP_DATE_BYTES - 1);
}
