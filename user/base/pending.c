/* SPDX-License-Identifier: Apache-2.0 */
#include "user/base/pending.h"

#include "user/base/mem.h"

struct pending *pending_create(void)
{
	struct pending *pending = hg_calloc(1, sizeof(*pending));

	if (!pending)
		return NULL;
	pthread_mutex_init(&pending->lock, NULL);
	for (int kind = 0; kind < PENDING_KINDS; kind++)
		list_init(&pending->lines[kind].waiting);
	return pending;
}

void pending_free(struct pending *pending)
{
	if (!pending)
		return;
	CHECK(pending->waiter_count == 0);
	pthread_mutex_destroy(&pending->lock);
	hg_free(pending);
}

static struct pending_line *line_of(struct pending_waiter *waiter)
{
	return &waiter->pending->lines[waiter->kind];
}

/* Nearly always at the head or at the tail. */
static void line_add(struct pending_line *line, struct pending_waiter *waiter)
{
	struct list *before = line->waiting.prev;

	if (!list_is_empty(&line->waiting) &&
	    list_entry(line->waiting.next, struct pending_waiter, node)->number > waiter->number) {
		list_add_head(&line->waiting, &waiter->node);
	} else {
		while (before != &line->waiting &&
		       list_entry(before, struct pending_waiter, node)->number > waiter->number)
			before = before->prev;
		list_add_head(before, &waiter->node);
	}
}

static struct pending_waiter *line_first(const struct pending_line *line)
{
	return list_is_empty(&line->waiting) ? NULL
					     : list_entry(line->waiting.next, struct pending_waiter, node);
}

/* Under the lock; the caller calls wake() of the result, if there is one, after it. */
static struct pending_waiter *line_pass_turn(struct pending_line *line)
{
	struct pending_waiter *first = line_first(line);

	if (line->has_turn || !first)
		return NULL;
	list_remove(&first->node);
	line->has_turn = first->has_turn = true;
	if (first->state == PENDING_WAITING) {
		first->state = PENDING_WOKEN;
		return first;
	}
	/* It tries an offer: if it has seen no place without the turn, pending_wait() wakes it again. */
	first->seen = atomic_load(&line->releases) - 1;
	return NULL;
}

static void line_drop_turn(struct pending_line *line, struct pending_waiter *waiter)
{
	line->has_turn = waiter->has_turn = false;
}

/* Like line_pass_turn(). One that has the turn, or tries another offer, comes anyway. */
static struct pending_waiter *line_offer(struct pending_line *line, const void *owner, uint64_t what,
					 uint64_t behind)
{
	list_each(node, next, &line->waiting) {
		struct pending_waiter *waiter = list_entry(node, struct pending_waiter, node);

		if (waiter->owner != owner || waiter->number <= behind || waiter->state != PENDING_WAITING)
			continue;
		waiter->state = PENDING_WOKEN;
		waiter->offered = what;
		return waiter;
	}
	return NULL;
}

static struct pending_waiter *line_pass_offer(struct pending_line *line, struct pending_waiter *waiter)
{
	uint64_t what = waiter->offered;

	waiter->offered = 0;
	return what ? line_offer(line, waiter->owner, what, waiter->number) : NULL;
}

static void call_wake(struct pending_waiter *waiter)
{
	if (waiter)
		waiter->wake(waiter);
}

enum pending_result pending_join(struct pending *pending, enum pending_kind kind, uint64_t most,
				 struct pending_waiter *waiter)
{
	struct pending_line *line = &pending->lines[kind];
	bool is_first;

	pthread_mutex_lock(&pending->lock);
	if (pending->waiter_count >= most) {
		pthread_mutex_unlock(&pending->lock);
		return PENDING_IS_FULL;
	}
	list_init(&waiter->node);
	waiter->pending = pending;
	waiter->kind = kind;
	waiter->number = ++pending->next_number;
	pending->waiter_count++;
	/* Before `releases` is read: pending_released() does the opposite. */
	atomic_fetch_add(&line->count, 1);
	waiter->has_turn = false;
	waiter->offered = 0;
	waiter->seen = atomic_load(&line->releases);
	/* Those that are parked do not want a place now. */
	is_first = !line->has_turn && list_is_empty(&line->waiting);
	if (is_first) {
		line->has_turn = waiter->has_turn = true;
		waiter->state = PENDING_TRYING;
	} else {
		line_add(line, waiter);
		waiter->state = PENDING_WAITING;
	}
	pthread_mutex_unlock(&pending->lock);
	return is_first ? PENDING_IS_FIRST : PENDING_IS_BEHIND;
}

/*
 * It is in its old position again. The first, which gets the turn, may not have tried since one of the two
 * was parked.
 */
static struct pending_waiter *line_return(struct pending_line *line, struct pending_waiter *waiter)
{
	bool was_parked = waiter->state == PENDING_PARKED, had_turn = waiter->has_turn;

	if (was_parked)
		atomic_fetch_add(&line->count, 1);
	if (was_parked || had_turn)
		line_add(line, waiter);
	if (had_turn)
		line_drop_turn(line, waiter);
	waiter->state = PENDING_WAITING;
	waiter->offered = 0;
	return was_parked || (had_turn && line_first(line) != waiter) ? line_pass_turn(line) : NULL;
}

void pending_wait(struct pending_waiter *waiter)
{
	struct pending_line *line = line_of(waiter);
	struct pending_waiter *woken = waiter;

	pthread_mutex_lock(&waiter->pending->lock);
	CHECK(waiter->state == PENDING_TRYING || waiter->state == PENDING_PARKED);
	if (waiter->has_turn && atomic_load(&line->releases) != waiter->seen)
		waiter->state = PENDING_WOKEN;
	else
		woken = line_return(line, waiter);
	pthread_mutex_unlock(&waiter->pending->lock);
	call_wake(woken);
}

uint64_t pending_decline(struct pending_waiter *waiter)
{
	uint64_t what;

	pthread_mutex_lock(&waiter->pending->lock);
	what = waiter->offered;
	waiter->offered = 0;
	pthread_mutex_unlock(&waiter->pending->lock);
	return what;
}

/* It gives up its position; what it had goes to others. */
static void line_remove(struct pending_line *line, struct pending_waiter *waiter,
			struct pending_waiter *ret_woken[2])
{
	/* Whoever is behind somebody that waits is woken after that one. */
	bool was_next = waiter->has_turn || line_first(line) == waiter;

	list_remove(&waiter->node);
	if (waiter->state != PENDING_PARKED)
		atomic_fetch_sub(&line->count, 1);
	if (waiter->has_turn)
		line_drop_turn(line, waiter);
	ret_woken[0] = was_next ? line_pass_turn(line) : NULL;
	ret_woken[1] = line_pass_offer(line, waiter);
}

void pending_park(struct pending_waiter *waiter)
{
	struct pending_waiter *woken[2];

	pthread_mutex_lock(&waiter->pending->lock);
	CHECK(waiter->state == PENDING_TRYING || waiter->state == PENDING_PARKED);
	line_remove(line_of(waiter), waiter, woken);
	waiter->state = PENDING_PARKED;
	pthread_mutex_unlock(&waiter->pending->lock);
	call_wake(woken[0]);
	call_wake(woken[1]);
}

void pending_woken(struct pending_waiter *waiter)
{
	pthread_mutex_lock(&waiter->pending->lock);
	CHECK(waiter->state == PENDING_WOKEN);
	waiter->state = PENDING_TRYING;
	waiter->seen = atomic_load(&line_of(waiter)->releases);
	pthread_mutex_unlock(&waiter->pending->lock);
}

bool pending_has_turn(struct pending_waiter *waiter)
{
	bool has_turn;

	pthread_mutex_lock(&waiter->pending->lock);
	has_turn = waiter->has_turn;
	pthread_mutex_unlock(&waiter->pending->lock);
	return has_turn;
}

bool pending_leave(struct pending_waiter *waiter)
{
	struct pending *pending = waiter->pending;
	struct pending_line *line = line_of(waiter);
	struct pending_waiter *woken[2];
	bool is_free;

	pthread_mutex_lock(&pending->lock);
	is_free = waiter->state != PENDING_WOKEN;
	line_remove(line, waiter, woken);
	pending->waiter_count--;
	pthread_mutex_unlock(&pending->lock);
	call_wake(woken[0]);
	call_wake(woken[1]);
	return is_free;
}

void pending_released(struct pending *pending, enum pending_kind kind)
{
	struct pending_waiter *first;

	if (!pending)
		return;
	/* Before `count` is read. */
	atomic_fetch_add(&pending->lines[kind].releases, 1);
	if (atomic_load(&pending->lines[kind].count) == 0)
		return;
	pthread_mutex_lock(&pending->lock);
	first = line_pass_turn(&pending->lines[kind]);
	pthread_mutex_unlock(&pending->lock);
	call_wake(first);
}

bool pending_offer(struct pending *pending, enum pending_kind kind, const void *owner, uint64_t what,
		   uint64_t behind)
{
	struct pending_waiter *found;

	if (!pending_has(pending, kind))
		return false;
	pthread_mutex_lock(&pending->lock);
	found = line_offer(&pending->lines[kind], owner, what, behind);
	pthread_mutex_unlock(&pending->lock);
	call_wake(found);
	return found != NULL;
}
