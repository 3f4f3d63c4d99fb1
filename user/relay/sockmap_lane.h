/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/kernel/sockmap/worker.h"
#include "user/loop/loop.h"

/*
 * Connects a worker's part of the kernel lane with its loop: the ring of events, the short timer that all
 * waiting directions share, and the slow timer that checks whether running directions are still in the right
 * lane: four times a second while bytes move, once while they do not, never without directions.
 */
struct sockmap_lane {
	struct loop *loop; /* borrowed */
	struct sockmap_worker *worker; /* owner */
	struct loop_source source;
	struct timer tick;
	struct list paced; /* nodes of directions in the kernel lane whose pace is watched */
	struct timer pace;
	uint64_t paced_ms; /* when they were last judged */
	bool (*judge)(struct list *pace, uint64_t elapsed_ms);
};

/*
 * judge: checks one watched direction, elapsed_ms after the last check; returns true if bytes moved. Returns
 * 0 or -errno; on an error the worker runs without the lane.
 */
int sockmap_lane_start(struct sockmap_lane *lane, struct sockmap *sockmap, struct loop *loop,
		       bool (*judge)(struct list *pace, uint64_t elapsed_ms));
/* Call after every socket has left the maps. Idempotent on a zeroed struct. */
void sockmap_lane_stop(struct sockmap_lane *lane);
/* Watches the pace of a direction until its node is removed (list_remove). */
void sockmap_lane_watch(struct sockmap_lane *lane, struct list *pace);
/* Call after steps of directions: arms the timer for the next short wait. */
void sockmap_lane_arm(struct sockmap_lane *lane);
