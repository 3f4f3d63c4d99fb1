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
	waiter->state = PENDING_WAITING;
}

/* Under the lock; the caller calls wake() after it. NULL is fine, here and there. */
static struct pending_waiter *line_wake(struct pending_waiter *waiter)
{
	if (waiter) {
		list_remove(&waiter->node);
		waiter->state = PENDING_WOKEN;
		line_of(waiter)->active_count++;
	}
	return waiter;
}

static struct pending_waiter *line_first(const struct pending_line *line)
{
	return list_is_empty(&line->waiting) ? NULL
					     : list_entry(line->waiting.next, struct pending_waiter, node);
}

/* NULL: nobody waits, or another one tries, and wakes the next when it leaves. */
static struct pending_waiter *line_wake_first(struct pending_line *line)
{
	return line->active_count ? NULL : line_wake(line_first(line));
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
	waiter->number = pending->next_number++;
	pending->waiter_count++;
	/* Before `releases` is read: pending_released() does the opposite. */
	is_first = atomic_fetch_add(&line->count, 1) == 0;
	waiter->state = PENDING_TRYING;
	waiter->seen = atomic_load(&line->releases);
	if (is_first)
		line->active_count++;
	else
		line_add(line, waiter);
	pthread_mutex_unlock(&pending->lock);
	return is_first ? PENDING_IS_FIRST : PENDING_IS_BEHIND;
}

void pending_wait(struct pending_waiter *waiter)
{
	struct pending_line *line = line_of(waiter);
	bool is_over;

	pthread_mutex_lock(&waiter->pending->lock);
	CHECK(waiter->state == PENDING_TRYING);
	is_over = atomic_load(&line->releases) != waiter->seen;
	if (is_over) {
		waiter->state = PENDING_WOKEN;
	} else {
		line->active_count--;
		line_add(line, waiter);
	}
	pthread_mutex_unlock(&waiter->pending->lock);
	if (is_over)
		waiter->wake(waiter);
}

void pending_woken(struct pending_waiter *waiter)
{
	pthread_mutex_lock(&waiter->pending->lock);
	CHECK(waiter->state == PENDING_WOKEN);
	waiter->state = PENDING_TRYING;
	waiter->seen = atomic_load(&line_of(waiter)->releases);
	pthread_mutex_unlock(&waiter->pending->lock);
}

bool pending_leave(struct pending_waiter *waiter)
{
	struct pending *pending = waiter->pending;
	struct pending_line *line = line_of(waiter);
	struct pending_waiter *next = NULL;
	bool is_free;

	pthread_mutex_lock(&pending->lock);
	is_free = waiter->state != PENDING_WOKEN;
	if (waiter->state != PENDING_WAITING)
		line->active_count--;
	/* Whoever is behind somebody that waits is woken after that one. */
	if (waiter->state != PENDING_WAITING || line_first(line) == waiter) {
		list_remove(&waiter->node);
		next = line_wake_first(line);
	}
	list_remove(&waiter->node);
	pending->waiter_count--;
	atomic_fetch_sub(&line->count, 1);
	pthread_mutex_unlock(&pending->lock);
	call_wake(next);
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
	first = line_wake_first(&pending->lines[kind]);
	pthread_mutex_unlock(&pending->lock);
	call_wake(first);
}

void pending_offer(struct pending *pending, enum pending_kind kind, const void *owner)
{
	struct pending_waiter *found = NULL;

	if (!pending_has(pending, kind))
		return;
	pthread_mutex_lock(&pending->lock);
	list_each(node, next, &pending->lines[kind].waiting) {
		struct pending_waiter *waiter = list_entry(node, struct pending_waiter, node);

		if (waiter->owner == owner) {
			found = line_wake(waiter);
			break;
		}
	}
	pthread_mutex_unlock(&pending->lock);
	call_wake(found);
}
