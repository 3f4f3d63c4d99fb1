/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/health_group.h"

struct group_count {
	uint64_t all;
	uint64_t usable; /* without the endpoint in question */
	uint64_t ejected; /* the same */
};

static bool is_ejected(const struct endpoint_health *health)
{
	return health && (atomic_load_explicit(&health->out, memory_order_relaxed) & HEALTH_OUT_EJECTED) != 0;
}

static struct group_count group_count(const struct backend *backend, const struct endpoint_health *without,
				      uint64_t now_ms)
{
	struct group_count count = { .all = backend->endpoint_count };

	for (uint32_t i = 0; i < backend->endpoint_count; i++) {
		const struct endpoint_health *health = backend->endpoint_list[i].health;

		if (health && health == without)
			continue;
		count.usable += !health_is_evicted(health, now_ms);
		count.ejected += is_ejected(health);
	}
	return count;
}

void health_group_init(struct health_group *group, const struct backend_ref *ref)
{
	*group = (struct health_group){ .ref = ref,
					.is_locked = ATOMIC_FLAG_INIT,
					.panic_percent = ref->health->panic_percent };
}

static bool may_eject(const struct group_count *count, const struct passive_policy *policy)
{
	uint64_t most = count->all * policy->most_percent / 100;

	if (most == 0 && policy->always_one)
		most = 1;
	return count->usable > 0 && count->ejected < most;
}

bool health_group_begin_ejection(const struct backend *backend, const struct endpoint_health *health,
				 const struct passive_policy *policy, uint64_t now_ms)
{
	struct health_group *group = backend->health_group;
	struct group_count count;

	/* Ejections are rare, and a count takes microseconds: nobody waits for long. */
	while (atomic_flag_test_and_set_explicit(&group->is_locked, memory_order_acquire))
		;
	count = group_count(backend, health, now_ms);
	if (may_eject(&count, policy))
		return true;
	health_group_end_ejection(backend);
	return false;
}

void health_group_end_ejection(const struct backend *backend)
{
	atomic_flag_clear_explicit(&backend->health_group->is_locked, memory_order_release);
}

bool health_group_panics(const struct backend *backend, uint64_t now_ms)
{
	struct health_group *group = backend->health_group;
	uint64_t slice = now_ms / HEALTH_PANIC_SLICE_MS + 1;
	struct group_count count;
	bool is_panicking;

	if (!group || !group->panic_percent)
		return false;
	if (atomic_load_explicit(&group->looked_at, memory_order_relaxed) == slice)
		return atomic_load_explicit(&group->is_panicking, memory_order_relaxed);
	count = group_count(backend, NULL, now_ms);
	is_panicking = count.usable * 100 < count.all * group->panic_percent;
	atomic_store_explicit(&group->is_panicking, is_panicking, memory_order_relaxed);
	atomic_store_explicit(&group->looked_at, slice, memory_order_relaxed);
	return is_panicking;
}
