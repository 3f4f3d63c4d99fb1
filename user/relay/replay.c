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

void replay_drop(struct replay *replay)
{
	replay->is_lost = true;
	if (replay->held_bytes == 0)
		return;
	for (struct list *node; (node = list_pop(&replay->segments));)
		hg_free(list_entry(node, struct replay_segment, node));
	*replay->connection_bytes -= replay->held_bytes;
	gauge_sub(replay->counters, COUNTER_REPLAY_HELD, replay->held_bytes);
	replay->held_bytes = 0;
	replay->bytes = 0;
}

static bool replay_may_hold(const struct replay *replay, size_t more)
{
	return *replay->connection_bytes + more <= LIMIT_REPLAY_CONNECTION_BYTES &&
	       counter_get(replay->counters, COUNTER_REPLAY_HELD) + more <= LIMIT_REPLAY_WORKER_BYTES;
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
	segment = hg_malloc(sizeof(*segment) + size);
	if (!segment)
		return NULL;
	segment->len = 0;
	segment->size = (uint32_t)size;
	list_init(&segment->node);
	list_add_tail(&replay->segments, &segment->node);
	replay->held_bytes += (uint32_t)(sizeof(*segment) + size);
	*replay->connection_bytes += (uint32_t)(sizeof(*segment) + size);
	counter_add(replay->counters, COUNTER_REPLAY_HELD, sizeof(*segment) + size);
	return segment;
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
		memcpy(segment->data + segment->len, part.data, part.len);
		segment->len += (uint32_t)part.len;
		replay->bytes += (uint32_t)part.len;
		bytes = span_from(bytes, part.len);
	}
	return true;
}

int replay_join(const struct replay *replay, struct arena *arena, struct span *ret_bytes)
{
	char *bytes = arena_bytes(arena, replay->bytes + 1);
	size_t at = 0;

	if (!bytes)
		return -ENOMEM;
	list_each(node, next, &replay->segments) {
		const struct replay_segment *segment = list_entry(node, struct replay_segment, node);

		memcpy(bytes + at, segment->data, segment->len);
		at += segment->len;
	}
	*ret_bytes = span_of(bytes, at);
	return 0;
}

void replay_add(struct replay *replay, struct span bytes)
{
	if (replay->is_lost || replay_take(replay, bytes))
		return;
	replay_drop(replay);
	counter_add(replay->counters, COUNTER_REPLAY_LOST, 1);
}
