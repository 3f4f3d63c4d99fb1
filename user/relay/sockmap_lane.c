/* SPDX-License-Identifier: Apache-2.0 */
#include "user/relay/sockmap_lane.h"

#include <sys/epoll.h>

enum {
	PACE_BUSY_MS = 250,
	PACE_IDLE_MS = 1000,
};

static void sockmap_lane_on_event(struct loop_source *source, uint32_t events)
{
	struct sockmap_lane *lane = container_of(source, struct sockmap_lane, source);

	(void)events;
	sockmap_worker_poll(lane->worker);
	sockmap_lane_arm(lane);
}

static void sockmap_lane_on_tick(struct timer *timer, uint64_t now_ms)
{
	struct sockmap_lane *lane = container_of(timer, struct sockmap_lane, tick);
	uint64_t next_ms = sockmap_worker_tick(lane->worker, now_ms);

	if (next_ms != SOCKMAP_NO_TICK)
		timer_arm(loop_timers(lane->loop), &lane->tick, now_ms + next_ms);
}

static void sockmap_lane_on_pace(struct timer *timer, uint64_t now_ms)
{
	struct sockmap_lane *lane = container_of(timer, struct sockmap_lane, pace);
	uint64_t elapsed_ms = now_ms > lane->paced_ms ? now_ms - lane->paced_ms : 1;
	bool is_busy = false;
	struct list seen;

	/* judge() may remove this and other directions: move each one to `seen` before calling it. */
	list_init(&seen);
	while (!list_is_empty(&lane->paced)) {
		struct list *node = list_pop(&lane->paced);

		list_add_tail(&seen, node);
		is_busy |= lane->judge(node, elapsed_ms);
	}
	while (!list_is_empty(&seen))
		list_add_tail(&lane->paced, list_pop(&seen));
	lane->paced_ms = now_ms;
	if (!list_is_empty(&lane->paced))
		timer_arm(loop_timers(lane->loop), timer, now_ms + (is_busy ? PACE_BUSY_MS : PACE_IDLE_MS));
	sockmap_lane_arm(lane);
}

void sockmap_lane_watch(struct sockmap_lane *lane, struct list *pace)
{
	uint64_t now_ms = loop_now_ms(lane->loop);

	list_add_tail(&lane->paced, pace);
	if (timer_is_armed(&lane->pace))
		return;
	lane->paced_ms = now_ms;
	timer_arm(loop_timers(lane->loop), &lane->pace, now_ms + PACE_BUSY_MS);
}

int sockmap_lane_start(struct sockmap_lane *lane, struct sockmap *sockmap, struct loop *loop,
		       bool (*judge)(struct list *node, uint64_t elapsed_ms))
{
	int error;

	*lane = (struct sockmap_lane){ .loop = loop, .judge = judge };
	error = sockmap_worker_create(sockmap, &lane->worker);
	if (error)
		return error;
	timer_init(&lane->tick, sockmap_lane_on_tick);
	timer_init(&lane->pace, sockmap_lane_on_pace);
	list_init(&lane->paced);
	loop_source_init(&lane->source, sockmap_worker_fd(lane->worker), sockmap_lane_on_event);
	error = loop_source_add(loop, &lane->source, EPOLLIN);
	if (error) {
		sockmap_worker_free(lane->worker);
		lane->worker = NULL;
	}
	return error;
}

void sockmap_lane_stop(struct sockmap_lane *lane)
{
	if (!lane->worker)
		return;
	timer_cancel(loop_timers(lane->loop), &lane->tick);
	timer_cancel(loop_timers(lane->loop), &lane->pace);
	loop_source_remove(lane->loop, &lane->source);
	sockmap_worker_free(lane->worker);
	lane->worker = NULL;
}

void sockmap_lane_arm(struct sockmap_lane *lane)
{
	uint64_t now_ms = loop_now_ms(lane->loop);
	uint64_t next_ms = sockmap_worker_next_tick(lane->worker, now_ms);

	if (next_ms == SOCKMAP_NO_TICK)
		timer_cancel(loop_timers(lane->loop), &lane->tick);
	else if (!timer_is_armed(&lane->tick) || lane->tick.deadline_ms > now_ms + next_ms)
		timer_arm(loop_timers(lane->loop), &lane->tick, now_ms + next_ms);
}
