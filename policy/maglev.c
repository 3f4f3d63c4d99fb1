/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/maglev.h"

#include <errno.h>
#include <stdlib.h>

#include "user/base/hash.h"
#include "user/base/limits.h"
#include "user/base/mem.h"

enum {
	SLOTS_PER_ENDPOINT_MIN = 10, /* fewer, and shares differ much */
};
#define SLOT_FREE UINT16_MAX

/*
 * Sizes by the number of endpoints; primes. Measured: when one of 20 leaves, 7 % more keys move than its own
 * with 65537 slots; of 50 it is 6 % with 655373; of 190 it is 10 % with 5000011, of 300 16 %, of 1,000 75 %.
 * For 10 % the number of slots has to grow with the square of the endpoints. A table for 1,000 with 67108879
 * slots still has 15 %, takes 134 MB, and 20 times as long as one with 5000011 for every change of the list.
 */
static const struct {
	uint32_t endpoints;
	uint32_t slots;
} sizes[] = { { 20, 65537 }, { 64, 655373 }, { UINT32_MAX, LIMIT_MAGLEV_SLOTS } };

/* The finalizer of MurmurHash3: every bit of a key changes every bit of the result. */
static uint64_t mix(uint64_t h)
{
	h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdu;
	h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53u;
	return h ^ (h >> 33);
}

uint32_t maglev_find(const struct maglev *table, uint64_t hash, uint32_t attempt)
{
	uint64_t h = mix(hash + attempt * 0x9e3779b97f4a7c15u);

	return table->slot_list[(unsigned __int128)h * table->size >> 64];
}

bool maglev_is_prime(uint32_t number)
{
	if (number < 4 || number % 2 == 0)
		return number == 2 || number == 3;
	for (uint64_t i = 3; i * i <= number; i += 2)
		if (number % i == 0)
			return false;
	return true;
}

uint32_t maglev_size(uint32_t endpoint_count, uint32_t wanted)
{
	uint32_t i = 0;

	if (wanted / SLOTS_PER_ENDPOINT_MIN >= endpoint_count)
		return wanted;
	while (endpoint_count > sizes[i].endpoints)
		i++;
	return sizes[i].slots;
}

/* An endpoint that takes slots: its own order of them, and how many it has. */
struct bidder {
	uint64_t hash;
	uint32_t index; /* in the list */
	uint32_t weight;
	uint32_t slots;
	uint32_t next; /* slot to try */
	uint32_t step;
	uint32_t rank; /* by hash, so that the order of the list does not matter */
};

static int by_hash(const void *a, const void *b)
{
	const struct bidder *x = a, *y = b;

	return (x->hash > y->hash) - (x->hash < y->hash);
}

/* Whose turn comes first: with every turn an endpoint advances by 1/weight. */
static bool is_earlier(const struct bidder *a, const struct bidder *b)
{
	uint64_t at_a = (uint64_t)(a->slots + 1) * b->weight, at_b = (uint64_t)(b->slots + 1) * a->weight;

	return at_a != at_b ? at_a < at_b : a->rank < b->rank;
}

/* Restores the order of a heap below `at`. */
static void sink(struct bidder *heap, uint32_t count, uint32_t at)
{
	for (;;) {
		uint32_t first = at, child = 2 * at + 1;
		struct bidder moved;

		if (child < count && is_earlier(&heap[child], &heap[first]))
			first = child;
		if (child + 1 < count && is_earlier(&heap[child + 1], &heap[first]))
			first = child + 1;
		if (first == at)
			return;
		moved = heap[at];
		heap[at] = heap[first];
		heap[first] = moved;
		at = first;
	}
}

static uint32_t list_bidders(const struct endpoint *list, uint32_t count, uint32_t size,
			     struct bidder *bidders)
{
	uint32_t bidder_count = 0;

	for (uint32_t i = 0; i < count && i < SLOT_FREE; i++) {
		uint64_t hash = mix(hash_bytes(list[i].text));

		if (list[i].weight)
			bidders[bidder_count++] =
				(struct bidder){ .hash = hash,
						 .index = i,
						 .weight = list[i].weight,
						 .next = (uint32_t)(mix(hash + 1) % size),
						 .step = (uint32_t)(mix(hash + 2) % (size - 1) + 1) };
	}
	if (bidder_count > 1)
		qsort(bidders, bidder_count, sizeof(*bidders), by_hash);
	for (uint32_t i = 0; i < bidder_count; i++)
		bidders[i].rank = i;
	return bidder_count;
}

/* The steps of a prime number of slots lead to each of them. */
static void take_slot(struct bidder *bidder, struct maglev *table)
{
	while (table->slot_list[bidder->next] != SLOT_FREE)
		bidder->next = (uint32_t)(((uint64_t)bidder->next + bidder->step) % table->size);
	table->slot_list[bidder->next] = (uint16_t)bidder->index;
	bidder->slots++;
}

int maglev_build(const struct endpoint *list, uint32_t count, uint32_t size, struct arena *arena,
		 struct maglev **ret_table)
{
	struct bidder *bidders = hg_malloc((count + 1) * sizeof(*bidders));
	uint32_t bidder_count = bidders ? list_bidders(list, count, size, bidders) : 0;
	struct maglev *table = NULL;

	*ret_table = NULL;
	if (bidder_count)
		table = arena_room(arena, sizeof(*table) + size * sizeof(table->slot_list[0]));
	if (!bidders || (bidder_count && !table)) {
		hg_free(bidders);
		return -ENOMEM;
	}
	if (table) {
		table->size = size;
		memset(table->slot_list, 0xff, size * sizeof(table->slot_list[0]));
		for (uint32_t at = bidder_count; at--;)
			sink(bidders, bidder_count, at);
		for (uint32_t i = 0; i < size; i++) {
			take_slot(&bidders[0], table);
			sink(bidders, bidder_count, 0);
		}
	}
	hg_free(bidders);
	*ret_table = table;
	return 0;
}
