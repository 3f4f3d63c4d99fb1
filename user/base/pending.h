/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "user/base/list.h"

/*
 * Who waits for a place at a backend (policy circuitBreaker), in all threads: one line for each kind of
 * place, in the order in which the waiters came. Places are counted elsewhere (quota.h): whoever gives one
 * back calls pending_released(), which wakes the first waiter; that one tries to take a place in its thread.
 *
 *   pending_join() --others are before it--> WAITING --a place was given back, or the one before left--.
 *        | nobody is                            ^                                                      |
 *        v                                      |                                                      v
 *      TRYING --no place: pending_wait()--------'<---------- TRYING <------pending_woken()---------- WOKEN
 *        |                                                     |
 *        '------------ a place, or it gives up: pending_leave()'
 *
 * No wake-up is lost: a waiter that has found no place waits only if none was given back since it began to
 * try (pending_wait()), and one that leaves wakes the next. No herd: a place that is given back wakes one
 * waiter, and one that leaves another. Neither wakes anybody while another one tries or is to try: that one
 * takes the place, or tries again if places were given back, and wakes the next when it leaves. So nobody is
 * overtaken.
 */
enum pending_kind {
	PENDING_REQUESTS,
	PENDING_CONNECTIONS,
	PENDING_KINDS,
};

enum pending_state {
	PENDING_TRYING,
	PENDING_WAITING, /* in its line */
	PENDING_WOKEN, /* wake() was called, pending_woken() not yet */
};

struct pending {
	pthread_mutex_t lock;
	uint64_t next_number;
	uint64_t waiter_count; /* in both lines */
	struct pending_line {
		struct list waiting; /* of struct pending_waiter, by number */
		atomic_uint_fast64_t count; /* of waiters in any state */
		atomic_uint_fast64_t releases; /* places that were given back */
		uint64_t active_count; /* of waiters that are TRYING or WOKEN */
	} lines[PENDING_KINDS];
};

/* Belongs to one thread; the members are under the lock of `pending`. */
struct pending_waiter {
	struct list node;
	struct pending *pending; /* borrowed */
	enum pending_kind kind;
	enum pending_state state;
	uint64_t number;
	uint64_t seen; /* releases when it began to try */
	const void *owner; /* the same for all waiters of a thread */
	/* Called from any thread, without the lock; makes the thread of the waiter call pending_woken(). */
	void (*wake)(struct pending_waiter *waiter);
};

enum pending_result {
	PENDING_IS_FIRST, /* TRYING: try once more, then pending_wait() */
	PENDING_IS_BEHIND, /* WAITING */
	PENDING_IS_FULL, /* it did not join */
};

struct pending *pending_create(void); /* NULL on no memory */
void pending_free(struct pending *pending); /* nobody waits; NULL is fine */

/* The caller has set owner and wake. most: waiters in both lines together. */
enum pending_result pending_join(struct pending *pending, enum pending_kind kind, uint64_t most,
				 struct pending_waiter *waiter);
/* The waiter found no place: it is in its old position again, or was woken at once. */
void pending_wait(struct pending_waiter *waiter);
/* WOKEN becomes TRYING. */
void pending_woken(struct pending_waiter *waiter);
/* Leaves the line. False: a wake() is under way, and the caller frees the waiter when it arrives. */
bool pending_leave(struct pending_waiter *waiter);

/* A place was given back. pending NULL: nobody waits. */
void pending_released(struct pending *pending, enum pending_kind kind);
/* Something became usable for waiters of this owner only: wakes the first of these. NULL as above. */
void pending_offer(struct pending *pending, enum pending_kind kind, const void *owner);
/* True if somebody is in this line: who comes now does not take a place, but joins. NULL as above. */
static inline bool pending_has(const struct pending *pending, enum pending_kind kind)
{
	return pending && atomic_load_explicit(&pending->lines[kind].count, memory_order_relaxed) > 0;
}
