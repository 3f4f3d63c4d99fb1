/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of user/kernel that need no kernel: version table, slots, credit, reasons, states. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/base/mem.h"
#include "user/kernel/sockmap/direction.h"
#include "user/kernel/common/probe.h"
#include "user/kernel/sockmap/slots.h"

static const struct {
	const char *release, *version, *signature;
	struct probe_version expected;
	bool is_sound;
} kernels[] = {
	{ "6.18.44-vm", "Linux version 6.18.44-vm (builder@host) #1 SMP", "", { 6, 18, 44 }, true },
	{ "6.16.0", "", "", { 6, 16, 0 }, true },
	{ "7.0.0-rc1", "", "", { 7, 0, 0 }, true },
	{ "6.15.2", "", "", { 6, 15, 2 }, false },
	{ "6.15.3", "", "", { 6, 15, 3 }, true },
	{ "6.14.11", "", "", { 6, 14, 11 }, false },
	{ "6.13.12", "", "", { 6, 13, 12 }, false },
	{ "6.12.33", "", "", { 6, 12, 33 }, false },
	{ "6.12.34", "", "", { 6, 12, 34 }, true },
	{ "6.11.0-29-generic", "", "Ubuntu 6.11.0-29.29~24.04.1-generic 6.11.11", { 6, 11, 11 }, false },
	{ "6.8.0-60-generic", "", "Ubuntu 6.8.0-60.63-generic 6.8.12", { 6, 8, 12 }, false },
	{ "6.6.93", "", "", { 6, 6, 93 }, false },
	{ "6.6.94", "", "", { 6, 6, 94 }, true },
	{ "6.4.16", "", "", { 6, 4, 16 }, false },
	{ "6.1.0-37-amd64",
	  "Linux version 6.1.0-37-amd64 (x) #1 SMP Debian 6.1.140-1 (2025-05-22)",
	  "",
	  { 6, 1, 140 },
	  false },
	{ "6.1.0-38-amd64",
	  "Linux version 6.1.0-38-amd64 (x) #1 SMP Debian 6.1.147-1 (2025-08-02)",
	  "",
	  { 6, 1, 147 },
	  true },
	{ "6.1.142", "", "", { 6, 1, 142 }, true },
	{ "6.0.19", "", "", { 6, 0, 19 }, false },
	{ "5.15.190", "", "", { 5, 15, 190 }, false },
	{ "5.14.0-503.el9.x86_64", "", "", { 5, 14, 0 }, false },
	{ "6.1", "", "", { 6, 1, 0 }, false },
};

TEST(kernels_are_judged_by_their_upstream_version)
{
	for (size_t i = 0; i < ARRAY_LEN(kernels); i++) {
		struct probe_version v = { 0 };

		assert_int_equal(
			probe_parse_version(kernels[i].release, kernels[i].version, kernels[i].signature, &v),
			0);
		assert_memory_equal(&v, &kernels[i].expected, sizeof(v));
		assert_int_equal(probe_judge_version(&v) == NULL, kernels[i].is_sound);
	}
}

TEST(a_release_without_numbers_is_refused)
{
	struct probe_version v = { 1, 2, 3 };

	assert_int_equal(probe_parse_version("custom", "", "", &v), -EINVAL);
	assert_int_equal(probe_parse_version("", "", "", &v), -EINVAL);
	assert_int_equal(v.patch, 3);
}

#define SLOTS 8

static struct sockmap_slots slots_make(void)
{
	struct sockmap_slots slots = { .count = SLOTS, .max_credit_bytes = 1000 };

	slots.records = aligned_alloc(64, SLOTS * sizeof(struct sockmap_record));
	assert_non_null(slots.records);
	memset(slots.records, 0, SLOTS * sizeof(struct sockmap_record));
	return slots;
}

TEST(a_recycled_slot_carries_a_new_generation)
{
	struct sockmap_slots slots = slots_make();
	struct sockmap_handle first, second;
	uint32_t cursor = 3;

	assert_int_equal(slots_take(&slots, &cursor, 5, 77, &first), 0);
	assert_int_equal(first.index, 3);
	assert_int_equal(cursor, 4);
	slots.records[3].kernel.passed_bytes = 9;
	slots.records[3].user.mode = SOCKMAP_MODE_KERNEL;
	assert_int_equal(slots.records[3].user.generation, first.generation);
	slots_give(&slots, first);
	assert_int_not_equal(slots.records[3].user.generation, first.generation);
	cursor = 3;
	assert_int_equal(slots_take(&slots, &cursor, 6, 78, &second), 0);
	assert_int_equal(second.index, 3);
	assert_int_not_equal(second.generation, first.generation);
	assert_int_equal(slots.records[3].kernel.passed_bytes, 0);
	assert_int_equal(slots.records[3].user.mode, SOCKMAP_MODE_USER);
	assert_int_equal(slots.records[3].user.worker, 6);
	assert_true(slots.records[3].user.limit_bytes == SOCKMAP_NO_LIMIT);
	free(slots.records);
}

TEST(full_slots_say_so_and_lose_none)
{
	struct sockmap_slots slots = slots_make();
	struct sockmap_handle taken[SLOTS], more;
	uint32_t cursor = 6;

	for (int i = 0; i < SLOTS; i++)
		assert_int_equal(slots_take(&slots, &cursor, 0, 0, &taken[i]), 0);
	assert_int_equal(slots_take(&slots, &cursor, 0, 0, &more), -ENOSPC);
	assert_int_equal(atomic_load(&slots.used), SLOTS);
	slots_give(&slots, taken[2]);
	assert_int_equal(slots_take(&slots, &cursor, 0, 0, &more), 0);
	assert_int_equal(more.index, taken[2].index);
	free(slots.records);
}

TEST(only_old_slots_are_reclaimed)
{
	struct sockmap_slots slots = slots_make();
	struct sockmap_handle slot;
	uint32_t cursor = 0;

	assert_false(slots_reclaim(&slots, 0, SLOTS_ORPHAN_NS * 2, SLOTS_ORPHAN_NS));
	assert_int_equal(slots_take(&slots, &cursor, 0, 100, &slot), 0);
	assert_false(slots_reclaim(&slots, slot.index, 100 + SLOTS_ORPHAN_NS - 1, SLOTS_ORPHAN_NS));
	/* Taken by another process after this one had looked at the clock. */
	assert_false(slots_reclaim(&slots, slot.index, 99, SLOTS_ORPHAN_NS));
	assert_true(slots_reclaim(&slots, slot.index, 100 + SLOTS_ORPHAN_NS, SLOTS_ORPHAN_NS));
	assert_int_not_equal(slots.records[slot.index].user.generation, slot.generation);
	free(slots.records);
}

struct reclaimer {
	struct sockmap_slots slots;
	uint64_t reclaimed;
	atomic_bool is_over;
};

static void *reclaimer_run(void *arg)
{
	struct reclaimer *r = arg;

	while (!atomic_load(&r->is_over))
		r->reclaimed += slots_reclaim(&r->slots, 0, SLOTS_ORPHAN_NS * 2, SLOTS_ORPHAN_NS);
	return NULL;
}

/* A slot that was free for long is young from the first moment on; another process may be looking at it. */
TEST(a_slot_just_taken_is_never_reclaimed)
{
	struct reclaimer r = { .slots = slots_make() };
	struct sockmap_handle slot;
	pthread_t thread;
	uint32_t cursor;

	assert_int_equal(pthread_create(&thread, NULL, reclaimer_run, &r), 0);
	for (int round = 0; round < 5000000 && r.slots.records[0].user.generation % 2 == 0; round++) {
		cursor = 0;
		__atomic_store_n(&r.slots.records[0].user.claimed_ns, 1, __ATOMIC_RELEASE);
		if (slots_take(&r.slots, &cursor, 0, SLOTS_ORPHAN_NS * 2, &slot) == 0)
			slots_give(&r.slots, slot);
	}
	atomic_store(&r.is_over, true);
	pthread_join(thread, NULL);
	assert_int_equal(r.reclaimed, 0);
	free(r.slots.records);
}

TEST(credit_is_given_up_to_the_total)
{
	struct sockmap_slots slots = { .max_credit_bytes = 1000 };

	assert_true(slots_reserve_credit(&slots, 600));
	assert_false(slots_reserve_credit(&slots, 401));
	assert_false(slots_reserve_credit(&slots, UINT64_MAX));
	assert_true(slots_reserve_credit(&slots, 400));
	slots_return_credit(&slots, 600);
	assert_true(slots_reserve_credit(&slots, 600));
	assert_true(slots_reserve_credit(&slots, 0));
}

TEST(reasons_have_texts_and_poisons_stand_at_the_end)
{
	static const struct {
		const struct reason_table *table;
		uint32_t count, first_integrity_error;
	} tables[] = { { &sockmap_reasons, SOCKMAP_REASON_COUNT, SOCKMAP_REASON_INTEGRITY_GAP },
		       { &local_reasons, LOCAL_REASON_COUNT, LOCAL_REASON_INTEGRITY_FORWARDED } };

	(void)state;
	for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++) {
		assert_int_equal(tables[t].table->count, tables[t].count);
		for (uint32_t i = 0; i < tables[t].count; i++) {
			const struct reason *reason = reason_row(tables[t].table, i);

			assert_true(strlen(reason->text) > 0);
			assert_true(strlen(reason->explanation) > 0);
			/* The programs tell them apart by order. */
			assert_int_equal(reason->is_integrity_error, i >= tables[t].first_integrity_error);
		}
	}
}

TEST(every_running_state_can_end)
{
#define STATE_BIT(id) (1u << DIRECTION_##id)
#define DIRECTION_STATE(id, text, explanation, next) [DIRECTION_##id] = next,
	static const uint32_t next_states[DIRECTION_STATE_COUNT] = {
#include "user/kernel/sockmap/direction_states.def"
	};
#undef DIRECTION_STATE
	uint32_t reached = STATE_BIT(IDLE);

	for (int i = 0; i < DIRECTION_STATE_COUNT; i++) {
		assert_true(strlen(sockmap_direction_state_text((enum sockmap_direction_state)i)) > 0);
		assert_true(i == DIRECTION_IDLE || next_states[i] & STATE_BIT(IDLE));
		reached |= next_states[i];
	}
	assert_int_equal(reached, (1u << DIRECTION_STATE_COUNT) - 1);
#undef STATE_BIT
}
