/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/epoll.h>

#include "user/base/log.h"
#include "user/base/mem.h"
#include "user/base/units.h"
#include "user/kernel/near/near_adopt.h"
#include "user/kernel/near/near_worker.h"
#include "user/relay/conn_hop.h"
#include "user/relay/relay_io.h"

/*
 * The lane direct: the processes at both far ends run on this host, and the send() of one puts the bytes into
 * the other's queue (user/kernel/near/near.h). The copy lane still pumps such a direction, because what the
 * kernel does not carry arrives on our socket as usual; in addition, the kernel must learn how much of it was
 * sent on. Bytes that the kernel carries cause no event: times and counts are read from memory shared with it
 * (relay_refresh()), on demand and by a slow timer.
 *
 * A direction enters from the copy lane, when none of its bytes wait in user space, and stays.
 */
enum {
	/*
	 * The accepted socket of a backend is known shortly after connect(), and at the latest when the
	 * backend has sent something. A direction asks this often before it treats a silent backend as
	 * remote.
	 */
	NEAR_LOOKS_MAX = 15,
	NEAR_BUSY_MS = 250,
	NEAR_IDLE_MS = 1000,
};

/* The program counts a message before the redirect, and subtracts it again if the redirect was refused. */
static uint64_t direct_more(uint64_t now_bytes, uint64_t *seen_bytes)
{
	uint64_t more = now_bytes > *seen_bytes ? now_bytes - *seen_bytes : 0;

	*seen_bytes += more;
	return more;
}

static void lane_near_refresh(struct relay *relay)
{
	struct relay_near *near = relay->near;
	struct near_stats stats = near_direction_stats(&near->direction);
	uint64_t direct_bytes = direct_more(stats.direct_bytes, &near->direct_bytes);
	uint64_t active_ms = stats.last_active_ns / NS_PER_MS;

	if (active_ms > relay->last_active_ms)
		relay->last_active_ms = active_ms;
	if (direct_bytes)
		relay_account(relay, LANE_DIRECT, direct_bytes);
	relay->source->received_bytes += direct_bytes;
	if (relay->source->hop)
		hop_note_other(relay->source->hop, direct_bytes);
	relay->sink->sent_bytes += direct_bytes;
	near->sent_bytes += direct_bytes;
}

/* The kernel set last_active_ms: the bytes must not count as progress of this moment. */
static void near_account(struct relay *relay)
{
	lane_near_refresh(relay);
	relay->progress_bytes = relay_progress(relay);
}

static void near_on_watch(struct timer *timer, uint64_t now_ms)
{
	struct near_watch *watch = container_of(timer, struct near_watch, timer);
	bool is_busy = false;

	list_each(node, next, &watch->running) {
		struct relay *relay = list_entry(node, struct relay_near, watch)->relay;
		uint64_t before = relay->payload_bytes;

		near_account(relay);
		is_busy |= relay->payload_bytes != before;
	}
	if (!list_is_empty(&watch->running))
		timer_arm(loop_timers(watch->loop), timer, now_ms + (is_busy ? NEAR_BUSY_MS : NEAR_IDLE_MS));
}

static void near_on_ring(struct loop_source *source, uint32_t events)
{
	(void)events;
	near_worker_poll(container_of(source, struct near_watch, source)->worker);
}

static void near_on_retry(struct timer *timer, uint64_t now_ms)
{
	struct near_watch *watch = container_of(timer, struct near_watch, retry);

	if (near_worker_retry(watch->worker) && !timer_is_armed(timer))
		timer_arm(loop_timers(watch->loop), timer, now_ms + NEAR_IDLE_MS);
}

static void near_on_waiting(struct near_worker *worker)
{
	struct near_watch *watch = worker->owner;

	if (!timer_is_armed(&watch->retry))
		timer_arm(loop_timers(watch->loop), &watch->retry, loop_now_ms(watch->loop) + NEAR_IDLE_MS);
}

int lane_near_init(struct relay_shared *shared, struct near *near, struct loop *loop)
{
	struct near_watch *watch = &shared->near_watch;
	int error;

	if (!near)
		return 0;
	watch->loop = loop;
	error = near_worker_create(near, &watch->worker);
	if (error)
		return error;
	list_init(&watch->running);
	timer_init(&watch->timer, near_on_watch);
	timer_init(&watch->retry, near_on_retry);
	loop_source_init(&watch->source, near_worker_fd(watch->worker), near_on_ring);
	error = loop_source_add(loop, &watch->source, EPOLLIN);
	if (error) {
		near_worker_free(watch->worker);
		watch->worker = NULL;
		return error;
	}
	watch->worker->on_waiting = near_on_waiting;
	watch->worker->owner = watch;
	shared->near = near;
	return 0;
}

void lane_near_done(struct relay_shared *shared)
{
	struct near_watch *watch = &shared->near_watch;

	if (!watch->worker)
		return;
	timer_cancel(loop_timers(watch->loop), &watch->timer);
	timer_cancel(loop_timers(watch->loop), &watch->retry);
	loop_source_remove(watch->loop, &watch->source);
	near_worker_free(watch->worker);
	watch->worker = NULL;
}

static void near_watch_add(struct relay *relay)
{
	struct near_watch *watch = &relay->shared->near_watch;

	list_add_tail(&watch->running, &relay->near->watch);
	if (!timer_is_armed(&watch->timer))
		timer_arm(loop_timers(watch->loop), &watch->timer, loop_now_ms(watch->loop) + NEAR_BUSY_MS);
}

static void near_watch_remove(struct relay *relay)
{
	struct near_watch *watch = &relay->shared->near_watch;

	list_remove(&relay->near->watch);
	if (list_is_empty(&watch->running))
		timer_cancel(loop_timers(watch->loop), &watch->timer);
}

void relay_allow_direct(struct relay *relay)
{
	if (relay->shared->near && relay_is_between_sockets(relay))
		relay->near_looks = NEAR_LOOKS_MAX;
}

/* 1: a local process. 0: finally not local. -EAGAIN: not known yet. */
static int near_ask(const struct relay *relay, const struct conn *conn)
{
	int answer = near_look(relay->shared->near, conn_fd(conn));

	if (answer > 0)
		return 1;
	return answer == 0 && conn->received_bytes == 0 ? -EAGAIN : 0;
}

/*
 * Returns 1 or -errno. What the gateway itself sends to the receiver must not get into TCP's queue while the
 * receiver has not read the other queue. So this connection bypasses TCP, whatever `lanes` says about other
 * connections (user/kernel/near/README.md).
 */
static int near_start(struct relay *relay)
{
	struct near_direction_options options = {
		.source_fd = conn_fd(relay->source),
		.target_fd = conn_fd(relay->sink),
		.source_hops = relay->source->hop != NULL,
		.read_bytes = relay->source->received_bytes,
	};
	int error = conn_start_hop(relay->sink, relay->shared->near_watch.worker);
	struct relay_near *near;

	if (error)
		return error;
	near = hg_calloc(1, sizeof(*near));
	if (!near)
		return -ENOMEM;
	error = near_direction_start(&near->direction, relay->shared->near, &options);
	if (error) {
		hg_free(near);
		return error;
	}
	near->relay = relay;
	near->sent_bytes = relay->sink->sent_bytes;
	relay->near = near;
	near_watch_add(relay);
	return 1;
}

/* Accounts what the lane carried in another process. */
static void near_remember(struct relay *relay)
{
	struct relay_near *near = relay->near;
	struct near_stats stats = near_direction_stats(&near->direction);

	near->direct_bytes = stats.direct_bytes;
	relay->lane_bytes[LANE_DIRECT] = stats.direct_bytes;
	relay->payload_bytes += stats.direct_bytes;
}

int lane_near_adopt(struct relay *relay)
{
	struct relay_near *near;
	int error;

	if (!relay->shared->near)
		return -EOPNOTSUPP;
	near = hg_calloc(1, sizeof(*near));
	if (!near)
		return -ENOMEM;
	error = near_direction_adopt(&near->direction, relay->shared->near, conn_fd(relay->source),
				     conn_fd(relay->sink));
	if (error) {
		hg_free(near);
		return error;
	}
	near->relay = relay;
	near->sent_bytes = relay->sink->sent_bytes;
	relay->near = near;
	relay->near_looks = 0;
	relay->lane = &lane_near;
	near_watch_add(relay);
	near_remember(relay);
	return 0;
}

/* While the answer is not known, no other lane takes the sockets. */
static enum lane_answer lane_near_enter(struct relay *relay)
{
	int answer;

	if (!relay->near_looks)
		return LANE_NO;
	if (buf_len(&relay->source->in) || conn_has_output(relay->sink))
		return LANE_LATER;
	relay->near_looks--;
	if (relay->source->has_eof || relay->source->has_hup || relay->sink->has_hup ||
	    (relay->source->gate && relay->source->gate->is_source)) {
		relay->near_looks = 0;
		return LANE_NO;
	}
	answer = near_ask(relay, relay->source);
	if (answer == 1)
		answer = near_ask(relay, relay->sink);
	if (answer == 1)
		answer = near_start(relay);
	if (answer == -EAGAIN)
		return LANE_LATER;
	relay->near_looks = 0;
	if (answer != 1)
		return LANE_NO;
	relay->lane->leave(relay);
	relay->lane = &lane_near;
	return LANE_ENTERED;
}

static void near_poisoned(struct relay *relay)
{
	struct near_stats stats = near_direction_stats(&relay->near->direction);

	log_warn("same-host lanes: stream reset, byte counts do not add up: %s",
		 near_reason_explanation(stats.reason));
	relay_fail(relay, RELAY_FAIL_POISONED);
}

static void lane_near_settle(struct relay *relay)
{
	struct relay_near *near = relay->near;
	uint64_t sent_bytes = relay->sink->sent_bytes - near->sent_bytes;

	if (sent_bytes)
		near_direction_forwarded(&near->direction, sent_bytes);
	near->sent_bytes += sent_bytes;
	if (relay->state != RELAY_FAILED && near_direction_check(&near->direction) < 0)
		near_poisoned(relay);
}

static void lane_near_leave(struct relay *relay)
{
	/* Makes the counts as final as they can be: later bytes are lost with the connections. */
	near_direction_close(&relay->near->direction);
	near_account(relay);
	near_direction_stop(&relay->near->direction);
	near_watch_remove(relay);
	hg_free(relay->near);
	relay->near = NULL;
}

static bool lane_near_is_settled(struct relay *relay)
{
	near_direction_close(&relay->near->direction);
	return near_direction_check(&relay->near->direction) == 0 && conn_is_silent(relay->source);
}

static void lane_near_describe(const struct relay *relay, struct lane_view *ret_view)
{
	struct near_stats stats = near_direction_stats(&relay->near->direction);

	ret_view->state = near_lane_text(stats.lane);
	ret_view->reason = stats.reason == NEAR_REASON_NONE ? NULL : near_reason_text(stats.reason);
	ret_view->pauses = stats.falls;
}

const struct lane lane_near = {
	.id = LANE_DIRECT,
	.pump = lane_copy_pump,
	.leave = lane_near_leave,
	.enter = lane_near_enter,
	.refresh = lane_near_refresh,
	.settle = lane_near_settle,
	.is_settled = lane_near_is_settled,
	.describe = lane_near_describe,
};
