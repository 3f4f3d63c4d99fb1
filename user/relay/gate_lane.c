/* SPDX-License-Identifier: Apache-2.0 */
#include "user/relay/gate_lane.h"

#include <sys/epoll.h>

enum {
	PACE_BUSY_MS = 250,
	PACE_IDLE_MS = 1000,
};

static void gate_lane_on_event(struct loop_source *source, uint32_t events)
{
	struct gate_lane *lane = container_of(source, struct gate_lane, source);

	(void)events;
	gate_worker_poll(lane->worker);
	gate_lane_arm(lane);
}

static void gate_lane_on_tick(struct timer *timer, uint64_t now_ms)
{
	struct gate_lane *lane = container_of(timer, struct gate_lane, tick);
	uint64_t next_ms = gate_worker_tick(lane->worker, now_ms);

	if (next_ms != GATE_NO_TICK)
		timer_arm(loop_timers(lane->loop), &lane->tick, now_ms + next_ms);
}

static void gate_lane_on_pace(struct timer *timer, uint64_t now_ms)
{
	struct gate_lane *lane = container_of(timer, struct gate_lane, pace);
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
	gate_lane_arm(lane);
}

void gate_lane_watch(struct gate_lane *lane, struct list *pace)
{
	uint64_t now_ms = loop_now_ms(lane->loop);

	list_add_tail(&lane->paced, pace);
	if (timer_is_armed(&lane->pace))
		return;
	lane->paced_ms = now_ms;
	timer_arm(loop_timers(lane->loop), &lane->pace, now_ms + PACE_BUSY_MS);
}

int gate_lane_start(struct gate_lane *lane, struct gate *gate, struct loop *loop,
		    bool (*judge)(struct list *node, uint64_t elapsed_ms))
{
	int error;

	*lane = (struct gate_lane){ .loop = loop, .judge = judge };
	error = gate_worker_create(gate, &lane->worker);
	if (error)
		return error;
	timer_init(&lane->tick, gate_lane_on_tick);
	timer_init(&lane->pace, gate_lane_on_pace);
	list_init(&lane->paced);
	loop_source_init(&lane->source, gate_worker_fd(lane->worker), gate_lane_on_event);
	error = loop_source_add(loop, &lane->source, EPOLLIN);
	if (error) {
		gate_worker_free(lane->worker);
		lane->worker = NULL;
	}
	return error;
}

void gate_lane_stop(struct gate_lane *lane)
{
	if (!lane->worker)
		return;
	timer_cancel(loop_timers(lane->loop), &lane->tick);
	timer_cancel(loop_timers(lane->loop), &lane->pace);
	loop_source_remove(lane->loop, &lane->source);
	gate_worker_free(lane->worker);
	lane->worker = NULL;
}

void gate_lane_arm(struct gate_lane *lane)
{
	uint64_t now_ms = loop_now_ms(lane->loop);
	uint64_t next_ms = gate_worker_next_tick(lane->worker, now_ms);

	if (next_ms == GATE_NO_TICK)
		timer_cancel(loop_timers(lane->loop), &lane->tick);
	else if (!timer_is_armed(&lane->tick) || lane->tick.deadline_ms > now_ms + next_ms)
		timer_arm(loop_timers(lane->loop), &lane->tick, now_ms + next_ms);
}
