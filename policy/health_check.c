/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/health_check.h"

#include "user/base/units.h"

static unsigned int load_out(const struct endpoint_health *health)
{
	return atomic_load_explicit(&health->out, memory_order_relaxed);
}

static bool is_ejection_over(const struct endpoint_health *health, uint64_t now_ms)
{
	return now_ms >= atomic_load_explicit(&health->evicted_until_ms, memory_order_relaxed);
}

static uint32_t count_up(uint32_t count)
{
	return count < UINT32_MAX ? count + 1 : count;
}

/* The bits that a passed check clears. */
static unsigned int note_passed(struct endpoint_health *health, const struct health_check *check,
				uint64_t now_ms)
{
	unsigned int clears = 0;

	health->checks_failed = 0;
	health->checks_passed = count_up(health->checks_passed);
	if (!check || !health->was_checked || health->checks_passed >= check->healthy_threshold)
		clears |= HEALTH_OUT_CHECKS;
	if (is_ejection_over(health, now_ms))
		clears |= HEALTH_OUT_EJECTED;
	return clears;
}

/* The bits that a failed one sets. */
static unsigned int note_failed(struct endpoint_health *health, const struct health_check *check,
				enum check_result result)
{
	health->checks_passed = 0;
	health->checks_failed = count_up(health->checks_failed);
	health->checks_failed_total++;
	return check && (result == CHECK_REFUSED || !health->was_checked ||
			 health->checks_failed >= check->unhealthy_threshold)
		       ? HEALTH_OUT_CHECKS
		       : 0;
}

enum check_change health_check_record(struct endpoint_health *health, const struct health_check *check,
				      enum check_result result, uint64_t now_ms)
{
	unsigned int old = load_out(health), clears = 0, sets = 0;

	if (result == CHECK_PASSED)
		clears = note_passed(health, check, now_ms);
	else
		sets = note_failed(health, check, result);
	health->was_checked = true;
	health->checks_total++;
	clears &= old;
	sets &= ~old;
	if (clears)
		atomic_fetch_and_explicit(&health->out, ~clears, memory_order_relaxed);
	if (sets)
		atomic_fetch_or_explicit(&health->out, sets, memory_order_relaxed);
	if (clears && clears == old)
		atomic_store_explicit(&health->back_ms, now_ms, memory_order_relaxed);
	if (sets)
		return CHECK_MAKES_UNHEALTHY;
	if (clears & HEALTH_OUT_CHECKS)
		return CHECK_MAKES_HEALTHY;
	return clears ? CHECK_ENDS_EJECTION : CHECK_CHANGES_NOTHING;
}

bool health_check_is_due(const struct endpoint_health *health, uint64_t now_ms)
{
	return (load_out(health) & HEALTH_OUT_EJECTED) && is_ejection_over(health, now_ms);
}

/* Maps `random` to 0..most without division. */
static uint64_t random_up_to(uint64_t random, uint64_t most)
{
	return (uint64_t)((unsigned __int128)random * (most + 1) >> 64);
}

uint64_t health_check_first_ms(const struct health_check *check, uint32_t count, uint64_t random)
{
	uint64_t interval_ms = check->interval_ns / NS_PER_MS;
	uint64_t most_ms = count < interval_ms ? count : interval_ms;

	if (check->initial_jitter.is_set)
		most_ms = check->initial_jitter.ns / NS_PER_MS;
	return random_up_to(random, most_ms);
}

uint64_t health_check_next_ms(const struct endpoint_health *health, const struct health_check *check,
			      uint64_t random)
{
	bool passes = health->checks_passed && !(load_out(health) & HEALTH_OUT_CHECKS);
	uint64_t ns =
		passes && check->healthy_interval.is_set ? check->healthy_interval.ns : check->interval_ns;
	uint64_t ms = ns / NS_PER_MS;

	return ms - ms / 10 + random_up_to(random, ms / 10 * 2);
}
