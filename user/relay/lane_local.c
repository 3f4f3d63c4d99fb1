/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/epoll.h>

#include "user/base/log.h"
#include "user/base/mem.h"
#include "user/base/units.h"
#include "user/kernel/local/resume.h"
#include "user/kernel/local/local_worker.h"
#include "user/relay/conn_bypass.h"
#include "user/relay/relay_io.h"

/*
 * The lane direct: the processes at both far ends run on this host, and the send() of one puts the bytes into
 * the other's queue (user/kernel/local/local.h). The copy lane still pumps such a direction, because what the
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
	LOCAL_LOOKS_MAX = 15,
	LOCAL_BUSY_MS = 250,
	LOCAL_IDLE_MS = 1000,
};

/* The program counts a message before the redirect, and subtracts it again if the redirect was refused. */
static uint64_t direct_more(uint64_t now_bytes, uint64_t *seen_bytes)
{
	uint64_t more = now_bytes > *seen_bytes ? now_bytes - *seen_bytes : 0;

	*seen_bytes += more;
	return more;
}

static void lane_local_refresh(struct relay *relay)
{
	struct relay_local *local = relay->local;
	struct local_stats stats = local_direction_stats(&local->direction);
	uint64_t direct_bytes = direct_more(stats.direct_bytes, &local->direct_bytes);
	uint64_t active_ms = stats.last_active_ns / NS_PER_MS;

	if (active_ms > relay->last_active_ms)
		relay->last_active_ms = active_ms;
	if (direct_bytes)
		relay_account(relay, LANE_DIRECT, direct_bytes);
	relay->source->received_bytes += direct_bytes;
	if (relay->source->bypass)
		bypass_note_other(relay->source->bypass, direct_bytes);
	relay->sink->sent_bytes += direct_bytes;
	local->sent_bytes += direct_bytes;
}

/* The kernel set last_active_ms: the bytes must not count as progress of this moment. */
static void local_account(struct relay *relay)
{
	lane_local_refresh(relay);
	relay->progress_bytes = relay_progress(relay);
}

static void local_on_watch(struct timer *timer, uint64_t now_ms)
{
	struct local_watch *watch = container_of(timer, struct local_watch, timer);
	bool is_busy = false;

	list_each(node, next, &watch->running) {
		struct relay *relay = list_entry(node, struct relay_local, watch)->relay;
		uint64_t before = relay->payload_bytes;

		local_account(relay);
		is_busy |= relay->payload_bytes != before;
	}
	if (!list_is_empty(&watch->running))
		timer_arm(loop_timers(watch->loop), timer,
			  now_ms + (is_busy ? LOCAL_BUSY_MS : LOCAL_IDLE_MS));
}

static void local_on_ring(struct loop_source *source, uint32_t events)
{
	(void)events;
	local_worker_poll(container_of(source, struct local_watch, source)->worker);
}

static void local_on_retry(struct timer *timer, uint64_t now_ms)
{
	struct local_watch *watch = container_of(timer, struct local_watch, retry);

	if (local_worker_retry(watch->worker) && !timer_is_armed(timer))
		timer_arm(loop_timers(watch->loop), timer, now_ms + LOCAL_IDLE_MS);
}

static void local_on_waiting(struct local_worker *worker)
{
	struct local_watch *watch = worker->owner;

	if (!timer_is_armed(&watch->retry))
		timer_arm(loop_timers(watch->loop), &watch->retry, loop_now_ms(watch->loop) + LOCAL_IDLE_MS);
}

int lane_local_init(struct relay_shared *shared, struct local *local, struct loop *loop)
{
	struct local_watch *watch = &shared->local_watch;
	int error;

	if (!local)
		return 0;
	watch->loop = loop;
	error = local_worker_create(local, &watch->worker);
	if (error)
		return error;
	list_init(&watch->running);
	timer_init(&watch->timer, local_on_watch);
	timer_init(&watch->retry, local_on_retry);
	loop_source_init(&watch->source, local_worker_fd(watch->worker), local_on_ring);
	error = loop_source_add(loop, &watch->source, EPOLLIN);
	if (error) {
		local_worker_free(watch->worker);
		watch->worker = NULL;
		return error;
	}
	watch->worker->on_waiting = local_on_waiting;
	watch->worker->owner = watch;
	shared->local = local;
	return 0;
}

void lane_local_done(struct relay_shared *shared)
{
	struct local_watch *watch = &shared->local_watch;

	if (!watch->worker)
		return;
	timer_cancel(loop_timers(watch->loop), &watch->timer);
	timer_cancel(loop_timers(watch->loop), &watch->retry);
	loop_source_remove(watch->loop, &watch->source);
	local_worker_free(watch->worker);
	watch->worker = NULL;
}

static void local_watch_add(struct relay *relay)
{
	struct local_watch *watch = &relay->shared->local_watch;

	list_add_tail(&watch->running, &relay->local->watch);
	if (!timer_is_armed(&watch->timer))
		timer_arm(loop_timers(watch->loop), &watch->timer, loop_now_ms(watch->loop) + LOCAL_BUSY_MS);
}

static void local_watch_remove(struct relay *relay)
{
	struct local_watch *watch = &relay->shared->local_watch;

	list_remove(&relay->local->watch);
	if (list_is_empty(&watch->running))
		timer_cancel(loop_timers(watch->loop), &watch->timer);
}

void relay_allow_direct(struct relay *relay)
{
	if (relay->shared->local && relay_is_between_sockets(relay))
		relay->local_looks = LOCAL_LOOKS_MAX;
}

/* 1: a local process. 0: finally not local. -EAGAIN: not known yet. */
static int local_ask(const struct relay *relay, const struct conn *conn)
{
	int answer = local_look(relay->shared->local, conn_fd(conn));

	if (answer > 0)
		return 1;
	return answer == 0 && conn->received_bytes == 0 ? -EAGAIN : 0;
}

/* Takes `local`, whose direction has started, or frees it after an error. */
static bool local_attach(struct relay *relay, struct relay_local *local, int error)
{
	if (error) {
		hg_free(local);
		return false;
	}
	local->relay = relay;
	local->sent_bytes = relay->sink->sent_bytes;
	relay->local = local;
	local_watch_add(relay);
	return true;
}

/*
 * Returns 1 or -errno. What the gateway itself sends to the receiver must not get into TCP's queue, so the
 * connection has to bypass TCP (user/kernel/local/README.md); and so has that of the source, which receives
 * in the opposite direction.
 */
static int local_start(struct relay *relay)
{
	struct local_direction_options options = {
		.source_fd = conn_fd(relay->source),
		.target_fd = conn_fd(relay->sink),
		.source_bypasses = relay->source->bypass != NULL,
		.read_bytes = relay->source->received_bytes,
	};
	struct relay_local *local;
	int error;

	if (!conn_bypasses(relay->source) || !conn_bypasses(relay->sink))
		return -ENOENT;
	local = hg_calloc(1, sizeof(*local));
	if (!local)
		return -ENOMEM;
	error = local_direction_start(&local->direction, relay->shared->local, &options);
	return local_attach(relay, local, error) ? 1 : error;
}

/* Accounts what the lane carried in another process. */
static void local_remember(struct relay *relay)
{
	struct relay_local *local = relay->local;
	struct local_stats stats = local_direction_stats(&local->direction);

	local->direct_bytes = stats.direct_bytes;
	relay->lane_bytes[LANE_DIRECT] = stats.direct_bytes;
	relay->payload_bytes += stats.direct_bytes;
}

int lane_local_resume(struct relay *relay)
{
	struct relay_local *local;
	int error;

	if (!relay->shared->local)
		return -EOPNOTSUPP;
	local = hg_calloc(1, sizeof(*local));
	if (!local)
		return -ENOMEM;
	error = local_direction_resume(&local->direction, relay->shared->local, conn_fd(relay->source),
				       conn_fd(relay->sink));
	if (!local_attach(relay, local, error))
		return error;
	relay->local_looks = 0;
	relay->lane = &lane_local;
	local_remember(relay);
	return 0;
}

/* While the answer is not known, no other lane takes the sockets. */
static enum lane_answer lane_local_enter(struct relay *relay)
{
	int answer;

	if (!relay->local_looks)
		return LANE_NO;
	if (buf_len(&relay->source->in) || conn_has_output(relay->sink))
		return LANE_LATER;
	relay->local_looks--;
	if (relay->source->has_eof || relay->source->has_hup || relay->sink->has_hup ||
	    (relay->source->sockmap && relay->source->sockmap->is_source)) {
		relay->local_looks = 0;
		return LANE_NO;
	}
	answer = local_ask(relay, relay->source);
	if (answer == 1)
		answer = local_ask(relay, relay->sink);
	if (answer == 1)
		answer = local_start(relay);
	if (answer == -EAGAIN)
		return LANE_LATER;
	relay->local_looks = 0;
	if (answer != 1)
		return LANE_NO;
	relay->lane->leave(relay);
	relay->lane = &lane_local;
	return LANE_ENTERED;
}

static void local_has_integrity_error(struct relay *relay)
{
	struct local_stats stats = local_direction_stats(&relay->local->direction);

	log_warn("same-host lanes: stream reset, byte counts do not add up: %s",
		 local_reason_explanation(stats.reason));
	relay_fail(relay, RELAY_FAIL_INTEGRITY_ERROR);
}

static void lane_local_settle(struct relay *relay)
{
	struct relay_local *local = relay->local;
	uint64_t sent_bytes = relay->sink->sent_bytes - local->sent_bytes;

	if (sent_bytes)
		local_direction_forwarded(&local->direction, sent_bytes);
	local->sent_bytes += sent_bytes;
	if (relay->state != RELAY_FAILED && local_direction_check(&local->direction) < 0)
		local_has_integrity_error(relay);
}

static void lane_local_leave(struct relay *relay)
{
	/* Makes the counts as final as they can be: later bytes are lost with the connections. */
	local_direction_close(&relay->local->direction);
	local_account(relay);
	local_direction_stop(&relay->local->direction);
	local_watch_remove(relay);
	hg_free(relay->local);
	relay->local = NULL;
}

static bool lane_local_is_settled(struct relay *relay)
{
	local_direction_close(&relay->local->direction);
	return local_direction_check(&relay->local->direction) == 0 && conn_is_silent(relay->source);
}

static void lane_local_describe(const struct relay *relay, struct lane_view *ret_view)
{
	struct local_stats stats = local_direction_stats(&relay->local->direction);

	ret_view->state = local_lane_text(stats.lane);
	ret_view->reason = stats.reason == LOCAL_REASON_NONE ? NULL : local_reason_text(stats.reason);
	ret_view->pauses = stats.falls;
}

const struct lane lane_local = {
	.id = LANE_DIRECT,
	.pump = lane_copy_pump,
	.leave = lane_local_leave,
	.enter = lane_local_enter,
	.refresh = lane_local_refresh,
	.settle = lane_local_settle,
	.is_settled = lane_local_is_settled,
	.describe = lane_local_describe,
};
