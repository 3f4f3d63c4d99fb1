/* SPDX-License-Identifier: Apache-2.0 */
#include "user/obs/seconds.h"

#include "user/base/mem.h"

struct sample {
	atomic_uint_fast64_t second; /* 0: none */
	atomic_uint_fast64_t values[SECOND_VALUE_COUNT];
};

struct seconds {
	const struct counters *counters;
	atomic_uint_fast64_t current; /* the second that has begun last; 0: none */
	atomic_uint_fast64_t base[SECOND_VALUE_COUNT]; /* of the counters when it began */
	struct sample samples[SECONDS_KEPT];
};

struct seconds *seconds_create(const struct counters *counters)
{
	struct seconds *seconds = hg_calloc(1, sizeof(*seconds));

	if (seconds)
		seconds->counters = counters;
	return seconds;
}

void seconds_free(struct seconds *seconds)
{
	hg_free(seconds);
}

static uint64_t sum_of_lanes(const atomic_uint_fast64_t *lanes)
{
	uint64_t sum = 0;

	for (uint32_t lane = 0; lane < LANE_COUNT; lane++)
		sum += tally_read(&lanes[lane]);
	return sum;
}

static void values_read(const struct counters *c, uint64_t values[SECOND_VALUE_COUNT])
{
	values[SECOND_REQUESTS] = tally_read(&c->requests);
	values[SECOND_FAILURES] = tally_read(&c->failures);
	values[SECOND_BYTES_IN] = sum_of_lanes(c->lane_bytes_in);
	values[SECOND_BYTES_OUT] = sum_of_lanes(c->lane_bytes_out);
	values[SECOND_KERNEL_BYTES] =
		tally_read(&c->lane_bytes_in[LANE_SOCKMAP]) + tally_read(&c->lane_bytes_in[LANE_DIRECT]) +
		tally_read(&c->lane_bytes_out[LANE_SOCKMAP]) + tally_read(&c->lane_bytes_out[LANE_DIRECT]);
}

void seconds_begin(struct seconds *seconds, uint64_t now_s)
{
	uint64_t current = tally_read(&seconds->current), values[SECOND_VALUE_COUNT];
	struct sample *sample = &seconds->samples[current % SECONDS_KEPT];

	values_read(seconds->counters, values);
	/* A reader that sees one of these uses neither base nor sample: they change after the fence. */
	atomic_store_explicit(&seconds->current, 0, memory_order_relaxed);
	if (current)
		atomic_store_explicit(&sample->second, 0, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	for (uint32_t i = 0; i < SECOND_VALUE_COUNT; i++) {
		uint64_t gained = values[i] - tally_read(&seconds->base[i]);

		if (current)
			atomic_store_explicit(&sample->values[i], gained, memory_order_relaxed);
		atomic_store_explicit(&seconds->base[i], values[i], memory_order_relaxed);
	}
	if (current)
		atomic_store_explicit(&sample->second, current, memory_order_release);
	atomic_store_explicit(&seconds->current, now_s, memory_order_release);
}

/* The values of the running second. False: it is over. */
static bool read_current(const struct seconds *seconds, uint64_t second, uint64_t ret[SECOND_VALUE_COUNT])
{
	uint64_t values[SECOND_VALUE_COUNT];

	if (atomic_load_explicit(&seconds->current, memory_order_acquire) != second)
		return false;
	for (uint32_t i = 0; i < SECOND_VALUE_COUNT; i++)
		ret[i] = tally_read(&seconds->base[i]);
	values_read(seconds->counters, values);
	atomic_thread_fence(memory_order_acquire);
	for (uint32_t i = 0; i < SECOND_VALUE_COUNT; i++)
		ret[i] = values[i] - ret[i];
	return tally_read(&seconds->current) == second;
}

static bool read_sample(const struct seconds *seconds, uint64_t second, uint64_t ret[SECOND_VALUE_COUNT])
{
	const struct sample *sample = &seconds->samples[second % SECONDS_KEPT];

	if (atomic_load_explicit(&sample->second, memory_order_acquire) != second)
		return false;
	for (uint32_t i = 0; i < SECOND_VALUE_COUNT; i++)
		ret[i] = tally_read(&sample->values[i]);
	atomic_thread_fence(memory_order_acquire);
	return tally_read(&sample->second) == second;
}

bool seconds_read(const struct seconds *seconds, uint64_t second, uint64_t values[SECOND_VALUE_COUNT])
{
	uint64_t found[SECOND_VALUE_COUNT];

	if (second == 0 || (!read_current(seconds, second, found) && !read_sample(seconds, second, found)))
		return false;
	for (uint32_t i = 0; i < SECOND_VALUE_COUNT; i++)
		values[i] += found[i];
	return true;
}
