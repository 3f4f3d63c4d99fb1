/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/list.h"
#include "user/kernel/near/near.h"

/*
 * One thread's part of the lane hop: the ring that reports space at the receiver to waiting senders. It
 * contains no event loop: the owner polls near_worker_fd() for reading and calls near_worker_poll().
 */
struct ring_buffer;

struct near_worker {
	struct near *near; /* borrowed */
	uint32_t ring; /* the ring that it reads */
	struct ring_buffer *events; /* owner */
	struct list waiting; /* of struct hop */
	uint32_t poll_budget;
	/* Called when the first of them starts to wait; set by the owner, or NULL. */
	void (*on_waiting)(struct near_worker *worker);
	void *owner; /* for on_waiting() */
};

/* Events handled by one near_worker_poll(); the descriptor stays readable while more are left. */
#define NEAR_POLL_EVENTS 256u

/* Takes a free ring. Returns 0, -ENOSPC (all are taken), -ENOMEM, -errno. */
int near_worker_create(struct near *near, struct near_worker **ret_worker);
void near_worker_free(struct near_worker *worker); /* NULL allowed; stop all its hops first */
/* Readable (level) while events wait. */
int near_worker_fd(const struct near_worker *worker);
/* Calls on_room() of the hops that have an event. A callback may stop and start any hop. */
void near_worker_poll(struct near_worker *worker);
/*
 * Does the same for all that wait; call it once a second while it returns true. A receiver whose application
 * closed it after a FIN causes no event, and neither does a full ring.
 */
bool near_worker_retry(struct near_worker *worker);
