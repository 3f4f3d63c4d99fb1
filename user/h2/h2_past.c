/* SPDX-License-Identifier: Apache-2.0 */
#include "user/h2/h2_past.h"

/* Client streams have odd ids; the slot of a stream in the ring, which has one bit for each. */
static uint32_t slot_of(uint32_t id)
{
	return (id >> 1) % H2_PAST_STREAMS;
}

static bool has(const uint64_t *set, uint32_t id)
{
	return set[slot_of(id) / 64] >> slot_of(id) % 64 & 1;
}

static void put(uint64_t *set, uint32_t id)
{
	set[slot_of(id) / 64] |= UINT64_C(1) << slot_of(id) % 64;
}

static void drop(struct h2_past *past, uint32_t id)
{
	uint64_t mask = ~(UINT64_C(1) << slot_of(id) % 64);

	past->opened[slot_of(id) / 64] &= mask;
	past->ended[slot_of(id) / 64] &= mask;
	past->reset[slot_of(id) / 64] &= mask;
}

static bool is_remembered(const struct h2_past *past, uint32_t id)
{
	return (id & 1) && id <= past->top_id && past->top_id - id < 2 * H2_PAST_STREAMS;
}

/*
 * Clears the slots of skipped streams, which belonged to older ones; a jump over the whole ring clears all.
 */
static void open_stream(struct h2_past *past, uint32_t id)
{
	uint32_t first = past->top_id ? past->top_id + 2 : 1;

	if (id - first >= 2 * H2_PAST_STREAMS)
		first = id - 2 * (H2_PAST_STREAMS - 1);
	for (uint32_t skipped = first; skipped < id; skipped += 2)
		drop(past, skipped);
	drop(past, id);
	put(past->opened, id);
	past->top_id = id;
}

static enum h2_past_verdict past_judge(struct h2_past *past, uint32_t id, bool ends)
{
	if (!is_remembered(past, id) || !has(past->opened, id))
		return H2_PAST_FINE;
	if (has(past->reset, id))
		return H2_PAST_RESET;
	if (has(past->ended, id))
		return H2_PAST_ENDED;
	if (ends)
		put(past->ended, id);
	return H2_PAST_FINE;
}

enum h2_past_verdict h2_past_headers(struct h2_past *past, uint32_t id, bool ends)
{
	if ((id & 1) && id > past->top_id)
		open_stream(past, id);
	else if (is_remembered(past, id) && !has(past->opened, id))
		return H2_PAST_SKIPPED;
	return past_judge(past, id, ends);
}

enum h2_past_verdict h2_past_data(struct h2_past *past, uint32_t id, bool ends)
{
	return past_judge(past, id, ends);
}

void h2_past_reset(struct h2_past *past, uint32_t id)
{
	if (is_remembered(past, id) && has(past->opened, id))
		put(past->reset, id);
}
