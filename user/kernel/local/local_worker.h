/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/list.h"
#include "user/kernel/local/local.h"

/*
 * One thread's part of the lane bypass: the ring that reports space at the receiver to waiting senders. It
 * contains no event loop: the owner polls local_worker_fd() for reading and calls local_worker_poll().
 */
struct ring_buffer;

struct local_worker {
	struct local *local; /* borrowed */
	uint32_t ring; /* the ring that it reads */
	struct ring_buffer *events; /* owner */
	struct list waiting; /* of struct bypass */
	uint32_t poll_budget;
	/* Called when the first of them starts to wait; set by the owner, or NULL. */
	void (*on_waiting)(struct local_worker *worker);
	void *owner; /* for on_waiting() */
};

/* Events handled by one local_worker_poll(); the descriptor stays readable while more are left. */
#define LOCAL_POLL_EVENTS 256u

/* Takes a free ring. Returns 0, -ENOSPC (all are taken), -ENOMEM, -errno. */
int local_worker_create(struct local *local, struct local_worker **ret_worker);
void local_worker_free(struct local_worker *worker); /* NULL allowed; stop all its bypasses first */
/* Readable (level) while events wait. */
int local_worker_fd(const struct local_worker *worker);
/* Calls on_room() of the bypasses that have an event. A callback may stop and start any bypass. */
void local_worker_poll(struct local_worker *worker);
/*
 * Does the same for all that wait; call it once a second while it returns true. A receiver whose application
 * closed it after a FIN causes no event, and neither does a full ring.
 */
bool local_worker_retry(struct local_worker *worker);
