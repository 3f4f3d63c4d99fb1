/* SPDX-License-Identifier: Apache-2.0 */
#include "user/relay/replay.h"

#include <errno.h>
#include <string.h>

#include "user/base/limits.h"
#include "user/base/mem.h"

enum {
	SEGMENT_MIN_BYTES = 512, /* for bodies that come in small parts */
	SEGMENT_MAX_BYTES = 16 * 1024,
};

void replay_init(struct replay *replay, struct counters *counters, uint32_t *connection_bytes)
{
	*replay = (struct replay){ .counters = counters, .connection_bytes = connection_bytes };
	list_init(&replay->segments);
}

/* The worker's sum of memory. */
static enum counter_id gauge_of(const struct replay *replay)
{
	return replay->wanted_bytes ? COUNTER_BODIES_HELD : COUNTER_REPLAY_HELD;
}

static void replay_count(struct replay *replay, size_t more)
{
	replay->held_bytes += (uint32_t)more;
	*replay->connection_bytes += (uint32_t)more;
	counter_add(replay->counters, gauge_of(replay), more);
}

static void replay_uncount(struct replay *replay, size_t less)
{
	replay->held_bytes -= (uint32_t)less;
	*replay->connection_bytes -= (uint32_t)less;
	gauge_sub(replay->counters, gauge_of(replay), less);
}

static void replay_empty(struct replay *replay)
{
	for (struct list *node; (node = list_pop(&replay->segments));)
		hg_free(list_entry(node, struct replay_segment, node));
	replay_uncount(replay, replay->held_bytes);
	replay->bytes = 0;
	replay->left_bytes = 0;
	replay->next = NULL;
}

void replay_drop(struct replay *replay)
{
	replay->is_lost = true;
	if (replay->held_bytes)
		replay_empty(replay);
}

static bool replay_may_hold(const struct replay *replay, size_t more)
{
	uint64_t connection =
		replay->wanted_bytes ? LIMIT_HELD_CONNECTION_BYTES : LIMIT_REPLAY_CONNECTION_BYTES;
	uint64_t worker = replay->wanted_bytes ? LIMIT_HELD_WORKER_BYTES : LIMIT_REPLAY_WORKER_BYTES;

	return *replay->connection_bytes + more <= connection &&
	       counter_get(replay->counters, gauge_of(replay)) + more <= worker;
}

static struct replay_segment *segment_create(size_t size)
{
	struct replay_segment *segment = hg_malloc(sizeof(*segment) + size);

	if (!segment)
		return NULL;
	segment->len = 0;
	segment->size = (uint32_t)size;
	list_init(&segment->node);
	return segment;
}

static void segment_add(struct replay *replay, struct replay_segment *segment)
{
	list_add_tail(&replay->segments, &segment->node);
	replay_count(replay, sizeof(*segment) + segment->size);
}

/* Returns a piece with free space, of `want` bytes if it is new. NULL at a limit, or without memory. */
static struct replay_segment *replay_room(struct replay *replay, size_t want)
{
	struct replay_segment *segment;
	size_t size = want < SEGMENT_MIN_BYTES ? SEGMENT_MIN_BYTES : want;

	if (!list_is_empty(&replay->segments)) {
		segment = list_entry(replay->segments.prev, struct replay_segment, node);
		if (segment->len < segment->size)
			return segment;
	}
	if (size > SEGMENT_MAX_BYTES)
		size = SEGMENT_MAX_BYTES;
	if (!replay_may_hold(replay, sizeof(*segment) + size))
		return NULL;
	segment = segment_create(size);
	if (segment)
		segment_add(replay, segment);
	return segment;
}

static void segment_fill(struct replay *replay, struct replay_segment *segment, struct span bytes)
{
	if (bytes.len)
		memcpy(segment->data + segment->len, bytes.data, bytes.len);
	segment->len += (uint32_t)bytes.len;
	replay->bytes += (uint32_t)bytes.len;
}

static bool replay_take(struct replay *replay, struct span bytes)
{
	uint32_t held = replay->wanted_bytes + REPLAY_STEP_BYTES;
	uint32_t most_bytes = held > LIMIT_RETRY_BODY_BYTES ? held : LIMIT_RETRY_BODY_BYTES;

	if (bytes.len > most_bytes - replay->bytes)
		return false;
	while (bytes.len) {
		struct replay_segment *segment = replay_room(replay, bytes.len);
		struct span part;

		if (!segment)
			return false;
		part = span_first(bytes, segment->size - segment->len);
		segment_fill(replay, segment, part);
		bytes = span_from(bytes, part.len);
	}
	return true;
}

void replay_add(struct replay *replay, struct span bytes)
{
	if (replay->is_lost || replay_take(replay, bytes))
		return;
	replay_drop(replay);
	counter_add(replay->counters, COUNTER_REPLAY_LOST, !replay->wanted_bytes);
}

/* -------------------------------------------------------------------------------- held bodies */

static struct replay_segment *first_of(const struct replay *replay)
{
	return list_is_empty(&replay->segments)
		       ? NULL
		       : list_entry(replay->segments.next, struct replay_segment, node);
}

int replay_join(struct replay *replay, struct span *ret)
{
	struct replay_segment *first = first_of(replay), *whole;
	char *at;

	*ret = first ? span_of(first->data, first->len) : SPAN("");
	if (!first || first->len == replay->bytes)
		return 0;
	whole = segment_create(replay->bytes);
	if (!whole)
		return -ENOMEM;
	at = whole->data;
	list_each(node, next, &replay->segments) {
		const struct replay_segment *segment = list_entry(node, struct replay_segment, node);

		memcpy(at, segment->data, segment->len);
		at += segment->len;
	}
	replay_empty(replay);
	whole->len = replay->bytes = whole->size;
	segment_add(replay, whole);
	*ret = span_of(whole->data, whole->len);
	return 0;
}

int replay_set(struct replay *replay, struct span bytes)
{
	struct replay_segment *segment;

	if (bytes.len > LIMIT_HELD_CONNECTION_BYTES || !replay_may_hold(replay, sizeof(*segment) + bytes.len))
		return -ENOBUFS;
	segment = segment_create(bytes.len);
	if (!segment)
		return -ENOMEM;
	if (bytes.len)
		memcpy(segment->data, bytes.data, bytes.len);
	replay_empty(replay);
	segment->len = replay->bytes = segment->size;
	segment_add(replay, segment);
	return 0;
}

void replay_rewind(struct replay *replay)
{
	replay->next = first_of(replay);
	replay->next_offset = 0;
	replay->left_bytes = replay->bytes;
}

struct span replay_next(const struct replay *replay, size_t most)
{
	const struct replay_segment *next = replay->next;

	return next ? span_first(span_of(next->data + replay->next_offset, next->len - replay->next_offset),
				 most)
		    : SPAN("");
}

void replay_sent(struct replay *replay, size_t bytes)
{
	replay->next_offset += (uint32_t)bytes;
	replay->left_bytes -= (uint32_t)bytes;
	if (replay->next_offset < replay->next->len)
		return;
	replay->next = replay->next->node.next == &replay->segments
			       ? NULL
			       : list_entry(replay->next->node.next, struct replay_segment, node);
	replay->next_offset = 0;
}
