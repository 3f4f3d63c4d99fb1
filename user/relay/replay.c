/* SPDX-License-Identifier: Apache-2.0 */
#include "user/relay/replay.h"

#include "user/base/limits.h"
#include "user/base/mem.h"

enum {
	PIECE_MIN_BYTES = 512, /* for bodies that come in small parts */
	PIECE_MAX_BYTES = 16 * 1024,
};

void replay_init(struct replay *replay, struct counters *counters, uint32_t *connection_bytes)
{
	*replay = (struct replay){ .counters = counters, .connection_bytes = connection_bytes };
	list_init(&replay->pieces);
}

void replay_drop(struct replay *replay)
{
	replay->is_lost = true;
	if (replay->held_bytes == 0)
		return;
	for (struct list *node; (node = list_pop(&replay->pieces));)
		hg_free(list_entry(node, struct replay_piece, node));
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
static struct replay_piece *replay_room(struct replay *replay, size_t want)
{
	struct replay_piece *piece;
	size_t size = want < PIECE_MIN_BYTES ? PIECE_MIN_BYTES : want;

	if (!list_is_empty(&replay->pieces)) {
		piece = list_entry(replay->pieces.prev, struct replay_piece, node);
		if (piece->len < piece->size)
			return piece;
	}
	if (size > PIECE_MAX_BYTES)
		size = PIECE_MAX_BYTES;
	if (!replay_may_hold(replay, sizeof(*piece) + size))
		return NULL;
	piece = hg_malloc(sizeof(*piece) + size);
	if (!piece)
		return NULL;
	piece->len = 0;
	piece->size = (uint32_t)size;
	list_init(&piece->node);
	list_add_tail(&replay->pieces, &piece->node);
	replay->held_bytes += (uint32_t)(sizeof(*piece) + size);
	*replay->connection_bytes += (uint32_t)(sizeof(*piece) + size);
	counter_add(replay->counters, COUNTER_REPLAY_HELD, sizeof(*piece) + size);
	return piece;
}

static bool replay_take(struct replay *replay, struct span bytes)
{
	if (bytes.len > LIMIT_RETRY_BODY_BYTES - replay->bytes)
		return false;
	while (bytes.len) {
		struct replay_piece *piece = replay_room(replay, bytes.len);
		struct span part;

		if (!piece)
			return false;
		part = span_first(bytes, piece->size - piece->len);
		memcpy(piece->data + piece->len, part.data, part.len);
		piece->len += (uint32_t)part.len;
		replay->bytes += (uint32_t)part.len;
		bytes = span_from(bytes, part.len);
	}
	return true;
}

void replay_add(struct replay *replay, struct span bytes)
{
	if (replay->is_lost || replay_take(replay, bytes))
		return;
	replay_drop(replay);
	counter_add(replay->counters, COUNTER_REPLAY_LOST, 1);
}
