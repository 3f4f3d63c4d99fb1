/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/list.h"
#include "user/kernel/near/near.h"

/*
 * One thread's share of the lane hop: the ring by which senders that wait for room at their receiver are told
 * of it. No event loop inside: the owner polls near_worker_fd() for reading, and calls near_worker_poll().
 */
struct ring_buffer;

struct near_worker {
	struct near *near; /* borrowed */
	uint32_t ring; /* the one it reads */
	struct ring_buffer *events; /* owner */
	struct list waiting; /* of struct hop */
	uint32_t poll_budget;
	/* The first of them has begun to wait; set by the owner, or NULL. */
	void (*on_waiting)(struct near_worker *worker);
	void *owner; /* whatever on_waiting wants */
};

/* Events handled by one near_worker_poll(); the descriptor stays readable while more are left. */
#define NEAR_POLL_EVENTS 256u

/* Takes a free ring. 0, -ENOSPC (all are taken), -ENOMEM, -errno. */
int near_worker_create(struct near *near, struct near_worker **ret_worker);
void near_worker_free(struct near_worker *worker); /* NULL allowed; all its hops are stopped */
/* Readable (level) while events wait. */
int near_worker_fd(const struct near_worker *worker);
/* Calls on_room of the hops that have an event. A callback may stop and start any. */
void near_worker_poll(struct near_worker *worker);
/*
 * The same for all that wait, once a second while it says that some still do. A receiver that was closed by
 * an application which had said FIN before tells nobody, and a full ring has room for no event.
 */
bool near_worker_retry(struct near_worker *worker);
