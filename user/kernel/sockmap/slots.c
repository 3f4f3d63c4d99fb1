/* SPDX-License-Identifier: Apache-2.0 */
#include "user/kernel/sockmap/slots.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "user/base/check.h"

static bool generation_swap(struct sockmap_record *record, uint32_t from, uint32_t to)
{
	return __atomic_compare_exchange_n(&record->user.generation, &from, to, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_RELAXED);
}

static bool is_taken(uint32_t generation)
{
	return generation & 1;
}

/* Clears all but generation and claimed_ns, the first and the last member, which are already set. */
static void record_clear(struct sockmap_record *record, uint16_t worker)
{
	struct sockmap_user *user = &record->user;

	memset(&record->kernel, 0, sizeof(record->kernel));
	memset(&record->journal, 0, sizeof(record->journal));
	memset((char *)user + sizeof(user->generation), 0,
	       offsetof(struct sockmap_user, claimed_ns) - sizeof(user->generation));
	user->worker = worker;
	user->limit_bytes = SOCKMAP_NO_LIMIT;
	user->memory_max_bytes = UINT32_MAX;
}

int slots_take(struct sockmap_slots *slots, uint32_t *cursor, uint16_t worker, uint64_t now_ns,
	       struct sockmap_handle *ret_slot)
{
	uint32_t probes = slots->count < SLOTS_PROBES ? slots->count : SLOTS_PROBES;

	for (uint32_t i = 0; i < probes; i++) {
		uint32_t index = (*cursor + i) % slots->count;
		struct sockmap_record *record = &slots->records[index];
		uint32_t generation = __atomic_load_n(&record->user.generation, __ATOMIC_RELAXED);

		if (is_taken(generation))
			continue;
		/*
		 * Set the time before taking the slot: a taken slot must never look old, see slots_reclaim().
		 * A thread that loses the race makes another's slot a little younger.
		 */
		__atomic_store_n(&record->user.claimed_ns, now_ns, __ATOMIC_RELAXED);
		if (!generation_swap(record, generation, generation + 1))
			continue;
		record_clear(record, worker);
		atomic_fetch_add(&slots->used, 1);
		*cursor = (index + 1) % slots->count;
		*ret_slot = (struct sockmap_handle){ .index = index, .generation = generation + 1 };
		return 0;
	}
	/* The next search starts elsewhere. */
	*cursor = (*cursor + probes) % slots->count;
	return -ENOSPC;
}

uint32_t slots_first_free(const struct sockmap_slots *slots, uint32_t from)
{
	for (uint32_t i = 0; i < slots->count; i++) {
		uint32_t index = (from + i) % slots->count;

		if (!is_taken(__atomic_load_n(&slots->records[index].user.generation, __ATOMIC_RELAXED)))
			return index;
	}
	return from;
}

void slots_give(struct sockmap_slots *slots, struct sockmap_handle slot)
{
	generation_swap(&slots->records[slot.index], slot.generation, slot.generation + 1);
	atomic_fetch_sub(&slots->used, 1);
}

bool slots_reserve_credit(struct sockmap_slots *slots, uint64_t bytes)
{
	uint64_t reserved = atomic_load(&slots->credit_bytes);

	do {
		if (bytes > slots->max_credit_bytes || reserved > slots->max_credit_bytes - bytes)
			return false;
	} while (!atomic_compare_exchange_weak(&slots->credit_bytes, &reserved, reserved + bytes));
	return true;
}

void slots_return_credit(struct sockmap_slots *slots, uint64_t bytes)
{
	uint64_t before = atomic_fetch_sub(&slots->credit_bytes, bytes);

	CHECK(before >= bytes);
}

bool slots_reclaim(struct sockmap_slots *slots, uint32_t index, uint64_t now_ns, uint64_t age_ns)
{
	struct sockmap_record *record = &slots->records[index];
	uint32_t generation = __atomic_load_n(&record->user.generation, __ATOMIC_ACQUIRE);

	uint64_t claimed_ns = __atomic_load_n(&record->user.claimed_ns, __ATOMIC_RELAXED);

	/* claimed_ns > now_ns: taken after the caller read the clock. */
	if (!is_taken(generation) || claimed_ns > now_ns || now_ns - claimed_ns < age_ns)
		return false;
	return generation_swap(record, generation, generation + 1);
}
