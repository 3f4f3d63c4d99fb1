/* SPDX-License-Identifier: Apache-2.0 */

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/loop/timer.h"

enum { TIMERS = 300 };

/* A timer that remembers when it fired and may do something about it. */
struct alarm {
	struct timer timer;
	struct play *play;
	unsigned int fired;
	uint64_t fired_at_ms;
	unsigned int order; /* among all that fired */
	void (*then)(struct alarm *alarm, uint64_t now_ms);
};

struct play {
	struct timer_wheel wheel;
	unsigned int order;
	struct alarm alarms[TIMERS];
};

static struct play play;

static void on_fire(struct timer *timer, uint64_t now_ms)
{
	struct alarm *alarm = container_of(timer, struct alarm, timer);

	assert_false(timer_is_armed(timer));
	if (now_ms < timer->deadline_ms)
		fail_msg("deadline %llu fired at %llu", (unsigned long long)timer->deadline_ms,
			 (unsigned long long)now_ms);
	alarm->fired++;
	alarm->fired_at_ms = now_ms;
	alarm->order = alarm->play->order++;
	if (alarm->then)
		alarm->then(alarm, now_ms);
}

static void play_init(uint64_t now_ms)
{
	memset(&play, 0, sizeof(play));
	timer_wheel_init(&play.wheel, now_ms);
	for (int i = 0; i < TIMERS; i++) {
		play.alarms[i].play = &play;
		timer_init(&play.alarms[i].timer, on_fire);
	}
}

static void arm(int i, uint64_t deadline_ms)
{
	timer_arm(&play.wheel, &play.alarms[i].timer, deadline_ms);
}

/* Times where digits of the wheel roll over, and a few that are nothing special. */
static const uint64_t starts[] = {
	0,
	1,
	62,
	63,
	64,
	4095,
	4096,
	262143,
	262144,
	16777215,
	1000000007,
	4294967295u,
	4294967296u,
	((uint64_t)1 << 35) - 1,
	((uint64_t)1 << 36) - 1,
	(uint64_t)1 << 36,
	1700000000000u,
	((uint64_t)1 << 42) - 2,
};

TEST(every_distance_fires_at_its_deadline_and_not_a_tick_before)
{
	for (size_t s = 0; s < ARRAY_LEN(starts); s++) {
		for (uint64_t distance = 1; distance < (uint64_t)1 << 37; distance += 1 + distance / 7) {
			uint64_t deadline_ms = starts[s] + distance;

			play_init(starts[s]);
			arm(0, deadline_ms);
			assert_int_equal(play.wheel.armed_count, 1);
			assert_int_equal(timer_wheel_advance(&play.wheel, deadline_ms - 1), 0);
			assert_true(timer_is_armed(&play.alarms[0].timer));
			assert_int_equal(timer_wheel_advance(&play.wheel, deadline_ms), 1);
			assert_int_equal(play.alarms[0].fired, 1);
			assert_true(play.alarms[0].fired_at_ms == deadline_ms);
			assert_int_equal(play.wheel.armed_count, 0);
		}
	}
}

TEST(following_the_wheels_own_advice_fires_on_time_with_few_wake_ups)
{
	for (size_t s = 0; s < ARRAY_LEN(starts); s++) {
		for (uint64_t distance = 1; distance < (uint64_t)1 << 36; distance += 1 + distance / 3) {
			uint64_t now_ms = starts[s];
			unsigned int wake_ups = 0;

			play_init(now_ms);
			arm(0, now_ms + distance);
			while (play.alarms[0].fired == 0) {
				uint64_t next_ms = timer_wheel_next(&play.wheel, UINT64_MAX);

				assert_true(next_ms > 0 && now_ms + next_ms <= starts[s] + distance);
				now_ms += next_ms;
				timer_wheel_advance(&play.wheel, now_ms);
				assert_true(++wake_ups <= TIMER_WHEEL_LEVELS + 2);
			}
			assert_true(now_ms == starts[s] + distance);
		}
	}
}

TEST(one_long_sleep_fires_all_in_the_order_of_their_deadlines)
{
	for (size_t s = 0; s < ARRAY_LEN(starts); s++) {
		play_init(starts[s]);
		for (int i = 0; i < TIMERS; i++)
			arm(i, starts[s] + 1 + (uint64_t)((i * 7919) % TIMERS) * 977);
		assert_int_equal(timer_wheel_advance(&play.wheel, starts[s] + 1 + TIMERS * 977), TIMERS);
		for (int i = 0; i < TIMERS; i++)
			assert_int_equal(play.alarms[i].order, (i * 7919) % TIMERS);
	}
}

TEST(a_deadline_in_the_past_fires_at_the_next_tick)
{
	play_init(1000);
	arm(0, 0);
	arm(1, 999);
	arm(2, 1000);
	assert_int_equal(timer_wheel_next(&play.wheel, 1000), 1);
	assert_int_equal(timer_wheel_advance(&play.wheel, 1000), 0);
	assert_int_equal(timer_wheel_advance(&play.wheel, 1001), 3);
}

TEST(beyond_the_horizon_it_waits_and_fires_at_the_real_deadline)
{
	static const uint64_t distances[] = { ((uint64_t)1 << 35) - 1, (uint64_t)1 << 35, (uint64_t)1 << 36,
					      (uint64_t)1 << 40, ((uint64_t)1 << 45) + 12345 };

	for (size_t i = 0; i < ARRAY_LEN(distances); i++) {
		uint64_t now_ms = 5, deadline_ms = now_ms + distances[i];
		unsigned int wake_ups = 0;

		play_init(now_ms);
		arm(0, deadline_ms);
		while (now_ms < deadline_ms) {
			uint64_t next_ms = timer_wheel_next(&play.wheel, (uint64_t)1 << 34);

			assert_int_equal(play.alarms[0].fired, 0);
			assert_true(next_ms > 0 && next_ms <= deadline_ms - now_ms);
			now_ms += next_ms;
			timer_wheel_advance(&play.wheel, now_ms);
			assert_true(++wake_ups < 10000);
		}
		assert_int_equal(play.alarms[0].fired, 1);
	}
	play_init(5);
	arm(0, UINT64_MAX);
	assert_int_equal(timer_wheel_advance(&play.wheel, (uint64_t)1 << 50), 0);
	assert_true(timer_is_armed(&play.alarms[0].timer));
	timer_cancel(&play.wheel, &play.alarms[0].timer);
	assert_int_equal(play.wheel.armed_count, 0);
}

TEST(cancelled_and_rearmed_timers_keep_no_old_deadline)
{
	play_init(100);
	timer_cancel(&play.wheel, &play.alarms[0].timer);
	arm(0, 150);
	timer_cancel(&play.wheel, &play.alarms[0].timer);
	timer_cancel(&play.wheel, &play.alarms[0].timer);
	assert_int_equal(play.wheel.armed_count, 0);
	arm(1, 150);
	arm(1, 5000);
	arm(2, 5000);
	arm(2, 150);
	assert_int_equal(play.wheel.armed_count, 2);
	timer_wheel_advance(&play.wheel, 4999);
	assert_int_equal(play.alarms[0].fired, 0);
	assert_int_equal(play.alarms[1].fired, 0);
	assert_int_equal(play.alarms[2].fired, 1);
	timer_wheel_advance(&play.wheel, 5000);
	assert_int_equal(play.alarms[1].fired, 1);
}

TEST(an_empty_wheel_asks_for_nothing_and_skips_any_distance)
{
	play_init(0);
	assert_int_equal(timer_wheel_next(&play.wheel, 60000), 60000);
	assert_int_equal(timer_wheel_advance(&play.wheel, (uint64_t)1 << 60), 0);
	assert_true(play.wheel.now_ms == (uint64_t)1 << 60);
	assert_int_equal(timer_wheel_advance(&play.wheel, 5), 0);
	assert_true(play.wheel.now_ms == (uint64_t)1 << 60);
	arm(0, ((uint64_t)1 << 60) + 70);
	assert_int_equal(timer_wheel_next(&play.wheel, 10), 10);
	assert_int_equal(timer_wheel_advance(&play.wheel, ((uint64_t)1 << 60) + 70), 1);
}

static void rearm_twice(struct alarm *alarm, uint64_t now_ms)
{
	if (alarm->fired < 3)
		timer_arm(&alarm->play->wheel, &alarm->timer, now_ms + 10);
}

TEST(a_callback_may_arm_its_own_timer_again)
{
	play_init(63);
	play.alarms[0].then = rearm_twice;
	arm(0, 64);
	assert_int_equal(timer_wheel_advance(&play.wheel, 74), 2);
	assert_int_equal(timer_wheel_advance(&play.wheel, 1000), 1);
	assert_true(play.alarms[0].fired_at_ms == 84);
	assert_int_equal(play.wheel.armed_count, 0);
}

static void cancel_neighbours(struct alarm *alarm, uint64_t now_ms)
{
	(void)now_ms;
	for (int i = 0; i < TIMERS; i++)
		timer_cancel(&alarm->play->wheel, &alarm->play->alarms[i].timer);
}

TEST(a_callback_may_cancel_those_due_in_the_same_tick)
{
	play_init(4000);
	for (int i = 0; i < TIMERS; i++) {
		play.alarms[i].then = cancel_neighbours;
		arm(i, i < TIMERS / 2 ? 4096 : 5000);
	}
	assert_int_equal(timer_wheel_advance(&play.wheel, 10000), 1);
	assert_int_equal(play.wheel.armed_count, 0);
}

static void arm_neighbour_now(struct alarm *alarm, uint64_t now_ms)
{
	timer_arm(&alarm->play->wheel, &alarm->play->alarms[1].timer, now_ms);
	timer_arm(&alarm->play->wheel, &alarm->play->alarms[2].timer, now_ms + 1);
}

TEST(what_a_callback_arms_for_now_fires_in_the_same_sleep_but_not_the_same_tick)
{
	play_init(0);
	play.alarms[0].then = arm_neighbour_now;
	arm(0, 64);
	arm(1, 9999);
	assert_int_equal(timer_wheel_advance(&play.wheel, 64), 1);
	assert_int_equal(timer_wheel_advance(&play.wheel, 65), 2);
	assert_true(play.alarms[1].fired_at_ms == 65);
	assert_true(play.alarms[2].fired_at_ms == 65);
}

/* ---- against a list of deadlines that is searched from end to end ---- */

struct model {
	bool is_armed[TIMERS];
	uint64_t due_ms[TIMERS]; /* the deadline, or the tick after arming where that is later */
	unsigned int fired[TIMERS];
};

static struct model model;
static unsigned int seed;

static uint64_t random_distance(void)
{
	uint64_t bits = (uint64_t)rand_r(&seed) % 38;
	uint64_t value = (uint64_t)rand_r(&seed) << 31 ^ (uint64_t)rand_r(&seed);

	return rand_r(&seed) % 8 ? value & (((uint64_t)1 << bits) - 1) : (uint64_t)1 << bits;
}

static void model_arm(int i)
{
	uint64_t deadline_ms = play.wheel.now_ms + random_distance();

	if (rand_r(&seed) % 16 == 0)
		deadline_ms = play.wheel.now_ms - (uint64_t)rand_r(&seed) % 100;
	arm(i, deadline_ms);
	model.is_armed[i] = true;
	model.due_ms[i] = deadline_ms > play.wheel.now_ms ? deadline_ms : play.wheel.now_ms + 1;
}

static void model_cancel(int i)
{
	timer_cancel(&play.wheel, &play.alarms[i].timer);
	model.is_armed[i] = false;
}

/*
 * Compares with the model at each firing, then does something to another timer, often one that is due as
 * well.
 */
static void model_then(struct alarm *alarm, uint64_t now_ms)
{
	int i = (int)(alarm - play.alarms);

	assert_true(model.is_armed[i]);
	assert_true(model.due_ms[i] == now_ms);
	for (int j = 0; j < TIMERS; j++)
		assert_true(!model.is_armed[j] || model.due_ms[j] >= now_ms);
	model.is_armed[i] = false;
	model.fired[i]++;
	switch (rand_r(&seed) % 4) {
	case 0:
		model_arm(i);
		break;
	case 1:
		model_arm(rand_r(&seed) % TIMERS);
		break;
	case 2:
		model_cancel(rand_r(&seed) % TIMERS);
		break;
	default:
		break;
	}
}

static void model_compare(void)
{
	uint64_t first_ms = UINT64_MAX, armed = 0;

	for (int i = 0; i < TIMERS; i++) {
		assert_int_equal(timer_is_armed(&play.alarms[i].timer), model.is_armed[i]);
		assert_int_equal(play.alarms[i].fired, model.fired[i]);
		if (!model.is_armed[i])
			continue;
		armed++;
		assert_true(model.due_ms[i] > play.wheel.now_ms);
		if (model.due_ms[i] < first_ms)
			first_ms = model.due_ms[i];
	}
	assert_true(play.wheel.armed_count == armed);
	if (armed)
		assert_true(timer_wheel_next(&play.wheel, UINT64_MAX) <= first_ms - play.wheel.now_ms);
	assert_true(timer_wheel_next(&play.wheel, UINT64_MAX) > 0);
}

TEST(it_behaves_like_a_list_that_is_searched)
{
	unsigned int fired = 0;

	seed = (unsigned int)time(NULL);
	print_message("seed %u\n", seed);
	for (size_t s = 0; s < ARRAY_LEN(starts); s++) {
		play_init(starts[s] + 200);
		memset(&model, 0, sizeof(model));
		for (int i = 0; i < TIMERS; i++)
			play.alarms[i].then = model_then;
		for (int step = 0; step < 1500; step++) {
			for (int i = rand_r(&seed) % 8; i > 0; i--)
				model_arm(rand_r(&seed) % TIMERS);
			if (rand_r(&seed) % 4 == 0)
				model_cancel(rand_r(&seed) % TIMERS);
			fired += timer_wheel_advance(
				&play.wheel,
				play.wheel.now_ms + (rand_r(&seed) % 3 ? random_distance() >> 8 : 1));
			model_compare();
		}
	}
	assert_true(fired > 1000);
}
