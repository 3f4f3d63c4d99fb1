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
 * back calls pending_released(), which gives the turn to the first waiter; that one tries to take a place in
 * its thread. At most one waiter of a line has the turn, and only that one may take a place.
 *
 *   pending_join() --others wait or try--> WAITING --gets the turn, or an offer--> WOKEN --pending_woken()--.
 *        | nobody does                       ^ ^                                                            |
 *        v                                   | '------no place: pending_wait()-----------------------.      |
 *     TRYING with the turn                   |                                                     TRYING <-'
 *        |                                   '--no connection: pending_wait()-- PARKED <--pending_park()--|
 *        '--a place, or it gives up: pending_leave()                                                      |
 *                 ^---------------------------------------------------------------------------------------'
 *
 * No wake-up is lost: a waiter with the turn that has found no place waits only if none was given back since
 * it began to try (pending_wait()), and one that leaves passes the turn on. No herd: a place that is given
 * back wakes one waiter, and one that leaves another. Nobody is overtaken: the turn goes to the first in the
 * line, and while somebody has it, a place that is given back wakes nobody.
 *
 * A waiter is parked while another one opens a connection that both may share: it may have to wait long, and
 * passes the turn on, but keeps its number. When it is back in the line, the first one gets the turn.
 *
 * An offer is for the waiters of one thread: a stream on a shared connection needs no place. Who gets one
 * does not have the turn, and stays in the line while it tries; when it leaves, the next one of this thread
 * behind it gets the offer. A waiter that cannot use it declines, and the caller offers it to those behind.
 */
enum pending_kind {
	PENDING_REQUESTS,
	PENDING_CONNECTIONS,
	PENDING_KINDS,
};

enum pending_state {
	PENDING_TRYING,
	PENDING_WAITING,
	PENDING_WOKEN, /* wake() was called, pending_woken() not yet */
	PENDING_PARKED, /* waits for a connection that another one opens */
};

struct pending {
	pthread_mutex_t lock;
	uint64_t next_number;
	uint64_t waiter_count; /* in both lines */
	struct pending_line {
		struct list waiting; /* by number: those without the turn that are not parked */
		atomic_uint_fast64_t count; /* of waiters that are not parked */
		atomic_uint_fast64_t releases; /* places that were given back */
		bool has_turn; /* somebody has the turn */
	} lines[PENDING_KINDS];
};

/* Belongs to one thread; the members are under the lock of `pending`. */
struct pending_waiter {
	struct list node;
	struct pending *pending; /* borrowed */
	enum pending_kind kind;
	enum pending_state state;
	uint64_t number; /* from 1 on, in the order in which they came */
	bool has_turn; /* may take a place */
	uint64_t offered; /* what woke it, and is not passed on yet: pending_offer(); 0: nothing */
	uint64_t seen; /* releases when it began to try with the turn */
	const void *owner; /* who makes offers to it: the same for all waiters of a thread; NULL: nobody */
	/* Called from any thread, without the lock; makes the thread of the waiter call pending_woken(). */
	void (*wake)(struct pending_waiter *waiter);
};

enum pending_result {
	PENDING_IS_FIRST, /* TRYING with the turn: try once more, then pending_wait() */
	PENDING_IS_BEHIND, /* WAITING */
	PENDING_IS_FULL, /* it did not join */
};

struct pending *pending_create(void); /* NULL on no memory */
void pending_free(struct pending *pending); /* nobody waits; NULL is fine */

/* The caller has set owner and wake. most: waiters in both lines together. */
enum pending_result pending_join(struct pending *pending, enum pending_kind kind, uint64_t most,
				 struct pending_waiter *waiter);
/* The waiter, which tried or was parked, found no place: it is in its old position, or was woken at once. */
void pending_wait(struct pending_waiter *waiter);
/*
 * Before pending_wait(): returns what the waiter was offered and could not use, which the caller offers to
 * those behind it if it is still there. 0: nothing. Called by the thread of the waiter.
 */
uint64_t pending_decline(struct pending_waiter *waiter);
/* The waiter waits for something else than a place: the next one tries. Idempotent. */
void pending_park(struct pending_waiter *waiter);
/* True if it may take a place now. */
bool pending_has_turn(struct pending_waiter *waiter);
/* WOKEN becomes TRYING. */
void pending_woken(struct pending_waiter *waiter);
/* Leaves the line. False: a wake() is under way, and the caller frees the waiter when it arrives. */
bool pending_leave(struct pending_waiter *waiter);

/* A place was given back. pending NULL: nobody waits. */
void pending_released(struct pending *pending, enum pending_kind kind);
/*
 * Something that is not counted as a place became usable for waiters of this owner, in whose thread this is
 * called: wakes the first one with a higher number than `behind` that is not woken already. False: there is
 * none. what: names it, not 0. NULL as above.
 */
bool pending_offer(struct pending *pending, enum pending_kind kind, const void *owner, uint64_t what,
		   uint64_t behind);
/*
 * True if somebody in this line wants a place: who comes now does not take one, but joins. One that is parked
 * does not: it must not keep others from a place that it would not take. NULL as above.
 */
static inline bool pending_has(const struct pending *pending, enum pending_kind kind)
{
	return pending && atomic_load_explicit(&pending->lines[kind].count, memory_order_relaxed) > 0;
}
