/* SPDX-License-Identifier: Apache-2.0 */
/* The lines of requests that wait for a place: order, bounds, and no wake-up that is lost. */
#include "tests/lib/test.h"

#include <pthread.h>
#include <string.h>

#include "user/base/mem.h"
#include "user/base/quota.h"
#include "user/base/random.h"

enum { GUESTS = 8, WORKERS = 3, MOST = 6, STEPS = 2000, SEEDS = 200 };

enum guest_state {
	GUEST_ABSENT,
	GUEST_FRESH, /* looks for a place, and has not joined */
	GUEST_TRIES, /* joined, and looks again */
	GUEST_FOUND_NONE, /* and waits next */
	GUEST_WAITS,
	GUEST_PARKED, /* for a connection that another guest opens */
	GUEST_HAS,
	GUEST_GAVE, /* the place is free, and nobody was told yet */
};

struct scene;

struct guest {
	struct pending_waiter waiter;
	struct scene *scene;
	enum guest_state state;
	bool is_woken; /* wake() was called, and has not arrived */
	uint64_t most; /* places that others may have before it takes one; 0: those of the scene */
	bool is_excluded; /* from the streams of its worker */
	bool was_parked; /* since it had the turn: another one may have the turn already */
	bool has_left; /* meanwhile: it may come again when the call has arrived */
};

/* All threads are played by one: each step of a guest may come between those of others. */
struct scene {
	struct pending *pending;
	atomic_uint_fast64_t used;
	uint64_t places;
	unsigned int streams[WORKERS]; /* free, for the guests of each worker */
	struct guest guests[GUESTS];
	uint64_t random;
	unsigned int wakes;
	unsigned int releases;
	unsigned int leaves;
	unsigned int others; /* offers and guests that are parked */
	unsigned int declines; /* of offers of streams that are still there */
};

static void on_wake(struct pending_waiter *waiter)
{
	struct guest *guest = container_of(waiter, struct guest, waiter);

	assert_false(guest->is_woken);
	guest->is_woken = true;
	guest->scene->wakes++;
}

static void scene_open(struct scene *scene, uint64_t seed, uint64_t places)
{
	memset(scene, 0, sizeof(*scene));
	scene->pending = pending_create();
	assert_non_null(scene->pending);
	scene->random = seed;
	scene->places = places;
	for (unsigned int i = 0; i < GUESTS; i++) {
		scene->guests[i].scene = scene;
		scene->guests[i].waiter.wake = on_wake;
		scene->guests[i].waiter.owner = &scene->guests[i % WORKERS];
		scene->guests[i].is_excluded = seed >> i % 64 & 1;
	}
}

static void scene_close(struct scene *scene)
{
	pending_free(scene->pending);
}

static void join(struct guest *guest)
{
	guest->was_parked = false;
	switch (pending_join(guest->scene->pending, PENDING_REQUESTS, MOST, &guest->waiter)) {
	case PENDING_IS_FIRST:
		guest->state = GUEST_TRIES;
		break;
	case PENDING_IS_BEHIND:
		guest->state = GUEST_WAITS;
		break;
	case PENDING_IS_FULL:
		guest->state = GUEST_ABSENT;
		break;
	}
}

static void leave(struct guest *guest, enum guest_state next)
{
	guest->scene->leaves++;
	guest->has_left = !pending_leave(&guest->waiter);
	assert_int_equal(guest->has_left, guest->is_woken);
	guest->state = next;
}

static unsigned int *streams_of(const struct guest *guest)
{
	return &guest->scene->streams[(guest - guest->scene->guests) % WORKERS];
}

static bool may_use_stream(const struct guest *guest)
{
	return !guest->is_excluded && *streams_of(guest);
}

static bool use_stream(struct guest *guest)
{
	bool may_use = may_use_stream(guest);

	*streams_of(guest) -= may_use;
	return may_use;
}

static void arrive(struct guest *guest)
{
	if (guest->state != GUEST_ABSENT || guest->is_woken || use_stream(guest))
		return;
	if (pending_has(guest->scene->pending, PENDING_REQUESTS))
		join(guest);
	else
		guest->state = GUEST_FRESH;
}

/* True if guests that came before want a place, too, and were not parked. */
static bool overtakes(const struct guest *guest)
{
	for (unsigned int i = 0; i < GUESTS; i++) {
		const struct guest *other = &guest->scene->guests[i];

		if (!other->was_parked && other->waiter.number < guest->waiter.number &&
		    (other->state == GUEST_TRIES || other->state == GUEST_FOUND_NONE ||
		     other->state == GUEST_WAITS))
			return true;
	}
	return false;
}

/* A thread looks for a stream and waits in one go. */
static void wait_again(struct guest *guest)
{
	uint64_t what = pending_decline(&guest->waiter);

	guest->state = GUEST_WAITS;
	pending_wait(&guest->waiter);
	if (!what || !*streams_of(guest))
		return;
	guest->scene->declines++;
	(void)pending_offer(guest->scene->pending, PENDING_REQUESTS, guest->waiter.owner, what,
			    guest->waiter.number);
}

static uint64_t places_of(const struct guest *guest)
{
	return guest->most ? guest->most : guest->scene->places;
}

/* The call arrives, or the guest takes its next step; false: it has none. */
static bool step(struct guest *guest)
{
	struct scene *scene = guest->scene;

	if (guest->is_woken) {
		guest->is_woken = false;
		if (!guest->has_left) {
			assert_int_equal(guest->state, GUEST_WAITS);
			pending_woken(&guest->waiter);
			guest->was_parked &= !pending_has_turn(&guest->waiter);
			guest->state = GUEST_TRIES;
		}
		guest->has_left = false;
		return true;
	}
	switch (guest->state) {
	case GUEST_FRESH:
		if (use_stream(guest))
			guest->state = GUEST_ABSENT;
		else if (quota_take(&scene->used, places_of(guest)))
			guest->state = GUEST_HAS;
		else
			join(guest);
		return true;
	case GUEST_TRIES:
		if (use_stream(guest)) {
			leave(guest, GUEST_ABSENT);
		} else if (pending_has_turn(&guest->waiter) && quota_take(&scene->used, places_of(guest))) {
			assert_false(overtakes(guest));
			leave(guest, GUEST_HAS);
		} else if (pending_has_turn(&guest->waiter)) {
			guest->state = GUEST_FOUND_NONE;
		} else {
			wait_again(guest);
		}
		return true;
	case GUEST_FOUND_NONE:
		if (use_stream(guest))
			leave(guest, GUEST_ABSENT);
		else
			wait_again(guest);
		return true;
	case GUEST_GAVE:
		guest->state = GUEST_ABSENT;
		scene->releases++;
		pending_released(scene->pending, PENDING_REQUESTS);
		return true;
	case GUEST_ABSENT:
	case GUEST_WAITS:
	case GUEST_PARKED:
	case GUEST_HAS:
		break;
	}
	return false;
}

static void park(struct guest *guest)
{
	if (guest->state != GUEST_TRIES)
		return;
	guest->scene->others++;
	guest->state = GUEST_PARKED;
	guest->was_parked = true;
	pending_park(&guest->waiter);
}

/* The other guest's connection is open; the next step looks whether it has something for this one. */
static void unpark(struct guest *guest)
{
	if (guest->state == GUEST_PARKED)
		guest->state = GUEST_FOUND_NONE;
}

static void offer(struct guest *guest)
{
	guest->scene->others++;
	++*streams_of(guest);
	(void)pending_offer(guest->scene->pending, PENDING_REQUESTS, guest->waiter.owner, 1, 0);
}

static void give(struct guest *guest)
{
	if (guest->state != GUEST_HAS)
		return;
	quota_give(&guest->scene->used);
	guest->state = GUEST_GAVE;
}

static void give_up(struct guest *guest)
{
	if (guest->state == GUEST_TRIES || guest->state == GUEST_WAITS || guest->state == GUEST_PARKED)
		leave(guest, GUEST_ABSENT);
}

static unsigned int count_of(const struct scene *scene, enum guest_state state)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < GUESTS; i++)
		count += scene->guests[i].state == state;
	return count;
}

/* Everything that has begun takes its course, and nobody comes or goes. */
static void settle(struct scene *scene)
{
	unsigned int rounds = 0;
	bool has_moved;

	do {
		has_moved = false;
		for (unsigned int i = 0; i < GUESTS; i++)
			has_moved |= step(&scene->guests[i]);
		assert_true(++rounds < 100);
	} while (has_moved);
}

static void assert_settled(struct scene *scene)
{
	unsigned int waits = count_of(scene, GUEST_WAITS);

	settle(scene);
	waits = count_of(scene, GUEST_WAITS);
	assert_int_equal(scene->used, count_of(scene, GUEST_HAS));
	assert_int_equal(scene->pending->waiter_count, waits + count_of(scene, GUEST_PARKED));
	assert_true(waits <= MOST);
	if (waits)
		assert_int_equal(scene->used, scene->places);
	for (unsigned int i = 0; i < GUESTS; i++)
		assert_false(scene->guests[i].state == GUEST_WAITS && may_use_stream(&scene->guests[i]));
	/* A place wakes one, or is found by one that was about to wait; one that leaves wakes one. */
	assert_true(scene->wakes <=
		    2 * (scene->releases + scene->leaves + 2 * scene->others + scene->declines));
}

static void act(struct scene *scene)
{
	uint64_t random = random_next(&scene->random);
	struct guest *guest = &scene->guests[random % GUESTS];

	switch (random / GUESTS % 11) {
	case 0:
	case 1:
		arrive(guest);
		break;
	case 2:
		give(guest);
		break;
	case 3:
		if (random / 1024 % 4 == 0)
			give_up(guest);
		break;
	case 4:
		park(guest);
		break;
	case 5:
		unpark(guest);
		break;
	case 6:
		offer(guest);
		break;
	default:
		(void)step(guest);
	}
}

TEST(nobody_waits_for_a_place_that_is_free)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct scene scene;

		scene_open(&scene, seed * 0x9e3779b97f4a7c15u, 1 + seed % 3);
		for (unsigned int i = 0; i < STEPS; i++) {
			act(&scene);
			assert_true(scene.used <= scene.places);
			if (i % 20 == 19)
				assert_settled(&scene);
		}
		for (unsigned int i = 0; i < GUESTS; i++) {
			give_up(&scene.guests[i]);
			give(&scene.guests[i]);
			(void)step(&scene.guests[i]);
		}
		for (unsigned int i = 0; i < GUESTS * 2; i++) {
			settle(&scene);
			for (unsigned int k = 0; k < GUESTS; k++)
				give(&scene.guests[k]);
		}
		assert_int_equal(scene.used, 0);
		assert_int_equal(scene.pending->waiter_count, 0);
		scene_close(&scene);
	}
}

/* All places are taken, and guests come one after another. */
static void fill(struct scene *scene)
{
	scene_open(scene, 1, 3);
	while (quota_take(&scene->used, 3))
		;
	for (unsigned int i = 0; i < MOST; i++) {
		arrive(&scene->guests[i]);
		settle(scene);
		assert_int_equal(scene->guests[i].state, GUEST_WAITS);
	}
}

static void free_one(struct scene *scene)
{
	quota_give(&scene->used);
	pending_released(scene->pending, PENDING_REQUESTS);
	settle(scene);
}

TEST(who_comes_first_gets_the_first_place)
{
	struct scene scene;

	fill(&scene);
	arrive(&scene.guests[MOST]);
	assert_int_equal(scene.guests[MOST].state, GUEST_ABSENT);
	for (unsigned int i = 0; i < MOST; i++) {
		assert_int_equal(count_of(&scene, GUEST_WAITS), MOST - i);
		free_one(&scene);
		assert_int_equal(scene.guests[i].state, GUEST_HAS);
	}
	scene_close(&scene);
}

TEST(one_that_finds_no_place_keeps_its_position)
{
	struct scene scene;

	fill(&scene);
	pending_released(scene.pending, PENDING_REQUESTS); /* somebody else takes it before */
	pending_released(scene.pending, PENDING_REQUESTS);
	(void)step(&scene.guests[1]);
	(void)step(&scene.guests[1]);
	settle(&scene);
	assert_int_equal(count_of(&scene, GUEST_WAITS), MOST);
	for (unsigned int i = 0; i < 3; i++) {
		free_one(&scene);
		assert_int_equal(scene.guests[i].state, GUEST_HAS);
	}
	for (unsigned int i = 3; i < MOST; i++)
		give_up(&scene.guests[i]);
	settle(&scene);
	scene_close(&scene);
}

/* Streams of a new connection: each waiter of its thread that takes one wakes the next. */
TEST(an_offer_goes_on_to_the_next_of_its_owner)
{
	struct scene scene;

	fill(&scene);
	offer(&scene.guests[1]);
	(void)step(&scene.guests[1]);
	leave(&scene.guests[1], GUEST_ABSENT);
	assert_int_equal(scene.wakes, 2);
	assert_true(scene.guests[1 + WORKERS].is_woken);
	offer(&scene.guests[2]);
	(void)step(&scene.guests[2]);
	park(&scene.guests[2]);
	assert_int_equal(scene.wakes, 4);
	assert_true(scene.guests[2 + WORKERS].is_woken);
	settle(&scene);
	for (unsigned int i = 0; i < MOST; i++)
		give_up(&scene.guests[i]);
	settle(&scene);
	scene_close(&scene);
}

TEST(who_comes_does_not_pass_those_who_wait)
{
	struct scene scene;

	fill(&scene);
	give_up(&scene.guests[MOST - 1]);
	quota_give(&scene.used);
	pending_released(scene.pending, PENDING_REQUESTS); /* the first is woken, and has not moved yet */
	arrive(&scene.guests[MOST]);
	assert_int_equal(scene.guests[MOST].state, GUEST_WAITS);
	settle(&scene);
	assert_int_equal(scene.guests[0].state, GUEST_HAS);
	assert_int_equal(scene.guests[MOST].state, GUEST_WAITS);
	for (unsigned int i = 1; i <= MOST; i++)
		give_up(&scene.guests[i]);
	settle(&scene);
	scene_close(&scene);
}

/* Two configurations may have different limits for one backend. */
TEST(one_that_leaves_lets_the_next_try_which_may_be_content_with_less)
{
	struct scene scene;

	scene_open(&scene, 1, 3);
	assert_true(quota_take(&scene.used, 3));
	scene.guests[0].most = 1;
	for (unsigned int i = 0; i < 3; i++) {
		arrive(&scene.guests[i]);
		settle(&scene);
		assert_int_equal(scene.guests[i].state, GUEST_WAITS);
	}
	give_up(&scene.guests[0]);
	settle(&scene);
	assert_int_equal(scene.guests[1].state, GUEST_HAS);
	assert_int_equal(scene.guests[2].state, GUEST_HAS);
	scene_close(&scene);
}

TEST(an_offer_wakes_the_first_of_its_owner_only)
{
	struct scene scene;

	fill(&scene);
	assert_false(pending_offer(scene.pending, PENDING_CONNECTIONS, scene.guests[2].waiter.owner, 1, 0));
	assert_int_equal(scene.wakes, 0);
	assert_true(pending_offer(scene.pending, PENDING_REQUESTS, scene.guests[2].waiter.owner, 1, 0));
	assert_int_equal(scene.wakes, 1);
	assert_true(scene.guests[2].is_woken);
	assert_false(pending_offer(scene.pending, PENDING_REQUESTS, scene.guests[2].waiter.owner, 1,
				   scene.guests[2 + WORKERS].waiter.number));
	assert_false(pending_offer(NULL, PENDING_REQUESTS, &scene, 1, 0));
	pending_released(NULL, PENDING_REQUESTS);
	for (unsigned int i = 0; i < MOST; i++)
		give_up(&scene.guests[i]);
	settle(&scene);
	scene_close(&scene);
}

TEST(the_lines_have_one_bound_and_their_own_order)
{
	struct pending *pending = pending_create();
	struct pending_waiter waiters[3] = { { .wake = on_wake }, { .wake = on_wake }, { .wake = on_wake } };

	assert_non_null(pending);
	assert_int_equal(pending_join(pending, PENDING_REQUESTS, 2, &waiters[0]), PENDING_IS_FIRST);
	assert_int_equal(pending_join(pending, PENDING_CONNECTIONS, 2, &waiters[1]), PENDING_IS_FIRST);
	assert_int_equal(pending_join(pending, PENDING_CONNECTIONS, 2, &waiters[2]), PENDING_IS_FULL);
	assert_true(pending_leave(&waiters[0]));
	assert_false(pending_has(pending, PENDING_REQUESTS));
	assert_int_equal(pending_join(pending, PENDING_CONNECTIONS, 1, &waiters[2]), PENDING_IS_FULL);
	assert_true(pending_leave(&waiters[1]));
	pending_free(pending);
	mem_fail_nth(1);
	assert_null(pending_create());
	mem_fail_nth(0);
	pending_free(NULL);
}

/* ---- threads: one that is not woken would wait forever */

enum { THREADS = 3, ROUNDS = 10000, FEW = 1 };

struct sleeper {
	struct pending_waiter waiter;
	struct quota *quota;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool is_woken;
};

static void on_sleeper(struct pending_waiter *waiter)
{
	struct sleeper *sleeper = container_of(waiter, struct sleeper, waiter);

	pthread_mutex_lock(&sleeper->lock);
	sleeper->is_woken = true;
	pthread_cond_signal(&sleeper->cond);
	pthread_mutex_unlock(&sleeper->lock);
}

static void sleep_until_woken(struct sleeper *sleeper)
{
	pthread_mutex_lock(&sleeper->lock);
	while (!sleeper->is_woken)
		pthread_cond_wait(&sleeper->cond, &sleeper->lock);
	sleeper->is_woken = false;
	pthread_mutex_unlock(&sleeper->lock);
	pending_woken(&sleeper->waiter);
}

static void get_place(struct sleeper *sleeper)
{
	struct pending *pending = quota_pending(sleeper->quota);

	if (!pending_has(pending, PENDING_REQUESTS) && quota_take(&sleeper->quota->requests, FEW))
		return;
	if (pending_join(pending, PENDING_REQUESTS, UINT64_MAX, &sleeper->waiter) == PENDING_IS_BEHIND)
		sleep_until_woken(sleeper);
	while (!quota_take(&sleeper->quota->requests, FEW)) {
		pending_wait(&sleeper->waiter);
		sleep_until_woken(sleeper);
	}
	assert_true(pending_leave(&sleeper->waiter));
}

static void *come_and_go(void *context)
{
	struct sleeper *sleeper = context;

	for (int i = 0; i < ROUNDS; i++) {
		get_place(sleeper);
		assert_true(atomic_load(&sleeper->quota->requests) <= FEW);
		quota_give_request(sleeper->quota);
	}
	return NULL;
}

TEST(threads_that_wait_are_woken)
{
	static struct quota_table table;
	struct quota *quota = quota_hold(&table, SPAN("a"));
	struct sleeper sleepers[THREADS];
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++) {
		sleepers[i] = (struct sleeper){ .quota = quota, .waiter.wake = on_sleeper };
		pthread_mutex_init(&sleepers[i].lock, NULL);
		pthread_cond_init(&sleepers[i].cond, NULL);
		assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, &sleepers[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(quota->requests, 0);
	for (int i = 0; i < THREADS; i++) {
		pthread_mutex_destroy(&sleepers[i].lock);
		pthread_cond_destroy(&sleepers[i].cond);
	}
	quota_drop(quota);
}
