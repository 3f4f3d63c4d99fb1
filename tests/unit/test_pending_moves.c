/* SPDX-License-Identifier: Apache-2.0 */
/* The line of requests that wait for a place: each state with each move. */
#include "tests/lib/test.h"

#include "user/base/pending.h"

enum move { MOVE_RELEASE, MOVE_OFFER, MOVE_WOKEN, MOVE_WAIT, MOVE_PARK, MOVE_LEAVE, MOVES };
enum { LINE_FIRST = 1, LINE_SECOND = 2, LINE_BOTH = 3 };

/* The first waiter is in this state, with or without the turn; the second waits. Then there is one move. */
static const struct {
	enum pending_state state;
	bool has_turn;
	enum move move;
	enum pending_state next_state;
	bool next_turn;
	unsigned int woken; /* who: LINE_FIRST, LINE_SECOND */
	bool second_turn;
} moves[] = {
	{ PENDING_WAITING, false, MOVE_RELEASE, PENDING_WOKEN, true, LINE_FIRST, false },
	{ PENDING_WAITING, false, MOVE_OFFER, PENDING_WOKEN, false, LINE_FIRST, false },
	{ PENDING_WAITING, false, MOVE_LEAVE, PENDING_WAITING, false, LINE_SECOND, true },
	{ PENDING_WOKEN, true, MOVE_RELEASE, PENDING_WOKEN, true, 0, false },
	{ PENDING_WOKEN, true, MOVE_OFFER, PENDING_WOKEN, true, LINE_SECOND, false },
	{ PENDING_WOKEN, true, MOVE_WOKEN, PENDING_TRYING, true, 0, false },
	{ PENDING_WOKEN, true, MOVE_LEAVE, PENDING_WOKEN, false, LINE_SECOND, true },
	{ PENDING_WOKEN, false, MOVE_RELEASE, PENDING_WOKEN, true, 0, false },
	{ PENDING_WOKEN, false, MOVE_OFFER, PENDING_WOKEN, false, LINE_SECOND, false },
	{ PENDING_WOKEN, false, MOVE_WOKEN, PENDING_TRYING, false, 0, false },
	{ PENDING_WOKEN, false, MOVE_LEAVE, PENDING_WOKEN, false, LINE_SECOND, true },
	{ PENDING_TRYING, true, MOVE_RELEASE, PENDING_TRYING, true, 0, false },
	{ PENDING_TRYING, true, MOVE_OFFER, PENDING_TRYING, true, LINE_SECOND, false },
	{ PENDING_TRYING, true, MOVE_WAIT, PENDING_WAITING, false, 0, false },
	{ PENDING_TRYING, true, MOVE_PARK, PENDING_PARKED, false, LINE_SECOND, true },
	{ PENDING_TRYING, true, MOVE_LEAVE, PENDING_TRYING, false, LINE_SECOND, true },
	{ PENDING_TRYING, false, MOVE_RELEASE, PENDING_TRYING, true, 0, false },
	{ PENDING_TRYING, false, MOVE_OFFER, PENDING_TRYING, false, LINE_SECOND, false },
	{ PENDING_TRYING, false, MOVE_WAIT, PENDING_WAITING, false, 0, false },
	{ PENDING_TRYING, false, MOVE_PARK, PENDING_PARKED, false, LINE_SECOND, true },
	{ PENDING_TRYING, false, MOVE_LEAVE, PENDING_TRYING, false, LINE_SECOND, true },
	/* The second has the turn since the first was parked. */
	{ PENDING_PARKED, false, MOVE_RELEASE, PENDING_PARKED, false, 0, true },
	{ PENDING_PARKED, false, MOVE_OFFER, PENDING_PARKED, false, 0, true },
	{ PENDING_PARKED, false, MOVE_WAIT, PENDING_WAITING, false, 0, true },
	{ PENDING_PARKED, false, MOVE_PARK, PENDING_PARKED, false, 0, true },
	{ PENDING_PARKED, false, MOVE_LEAVE, PENDING_PARKED, false, 0, true },
};

struct line_scene {
	struct pending *pending;
	struct pending_waiter first, second;
	unsigned int woken;
};

static void on_line_wake(struct pending_waiter *waiter)
{
	struct line_scene *scene = (struct line_scene *)(uintptr_t)waiter->owner;

	scene->woken |= waiter == &scene->first ? LINE_FIRST : LINE_SECOND;
}

static void line_move(struct line_scene *scene, enum move move)
{
	scene->woken = 0;
	switch (move) {
	case MOVE_RELEASE:
		pending_released(scene->pending, PENDING_REQUESTS);
		break;
	case MOVE_OFFER:
		(void)pending_offer(scene->pending, PENDING_REQUESTS, scene, 1, 0);
		break;
	case MOVE_WOKEN:
		pending_woken(&scene->first);
		break;
	case MOVE_WAIT:
		pending_wait(&scene->first);
		break;
	case MOVE_PARK:
		pending_park(&scene->first);
		break;
	case MOVE_LEAVE:
		assert_int_equal(pending_leave(&scene->first), scene->first.state != PENDING_WOKEN);
		break;
	case MOVES:
		break;
	}
}

static void line_bring(struct line_scene *scene, enum pending_state state, bool has_turn)
{
	struct pending_waiter model = { .owner = scene, .wake = on_line_wake };

	scene->pending = pending_create();
	scene->first = scene->second = model;
	assert_int_equal(pending_join(scene->pending, PENDING_REQUESTS, 2, &scene->first), PENDING_IS_FIRST);
	assert_int_equal(pending_join(scene->pending, PENDING_REQUESTS, 2, &scene->second),
			 PENDING_IS_BEHIND);
	if (state != PENDING_PARKED)
		line_move(scene, MOVE_WAIT);
	if (state == PENDING_WOKEN || state == PENDING_TRYING)
		line_move(scene, has_turn ? MOVE_RELEASE : MOVE_OFFER);
	if (state == PENDING_TRYING)
		line_move(scene, MOVE_WOKEN);
	if (state == PENDING_PARKED)
		line_move(scene, MOVE_PARK);
	assert_int_equal(scene->first.state, state);
	assert_int_equal(pending_has_turn(&scene->first), has_turn);
}

TEST(each_move_wakes_whom_it_should)
{
	for (size_t i = 0; i < ARRAY_LEN(moves); i++) {
		struct line_scene scene;

		line_bring(&scene, moves[i].state, moves[i].has_turn);
		line_move(&scene, moves[i].move);
		assert_int_equal(scene.first.state, moves[i].next_state);
		assert_int_equal(scene.first.has_turn, moves[i].next_turn);
		assert_int_equal(scene.woken, moves[i].woken);
		assert_int_equal(scene.second.has_turn, moves[i].second_turn);
		if (moves[i].move != MOVE_LEAVE)
			(void)pending_leave(&scene.first);
		(void)pending_leave(&scene.second);
		pending_free(scene.pending);
	}
}

TEST(one_that_tries_an_offer_gets_the_turn_and_tries_again)
{
	struct line_scene scene;

	line_bring(&scene, PENDING_TRYING, false);
	line_move(&scene, MOVE_RELEASE);
	line_move(&scene, MOVE_WAIT);
	assert_int_equal(scene.woken, LINE_FIRST);
	assert_true(pending_has_turn(&scene.first));
	line_move(&scene, MOVE_WOKEN);
	line_move(&scene, MOVE_WAIT);
	assert_int_equal(scene.woken, 0);
	assert_true(pending_leave(&scene.first));
	(void)pending_leave(&scene.second);
	pending_free(scene.pending);
}

/* Nobody looked for a place that became free while the only waiter was parked. */
TEST(one_that_was_parked_looks_for_a_place_again_before_those_who_came_later)
{
	struct line_scene scene;

	line_bring(&scene, PENDING_PARKED, false);
	pending_woken(&scene.second);
	pending_wait(&scene.second);
	line_move(&scene, MOVE_WAIT);
	assert_int_equal(scene.woken, LINE_FIRST);
	assert_true(pending_has_turn(&scene.first));
	assert_false(pending_leave(&scene.first));
	(void)pending_leave(&scene.second);
	pending_free(scene.pending);
}

/* It came before the one that has the turn. */
TEST(the_turn_goes_to_the_first_although_it_came_back_late)
{
	struct line_scene scene;

	line_bring(&scene, PENDING_PARKED, false);
	pending_woken(&scene.second);
	line_move(&scene, MOVE_WAIT);
	assert_int_equal(scene.woken, 0);
	pending_wait(&scene.second);
	assert_int_equal(scene.woken, LINE_FIRST);
	assert_false(pending_leave(&scene.first));
	(void)pending_leave(&scene.second);
	pending_free(scene.pending);
}

/* It need not join, for which the line may be full. */
TEST(who_comes_while_the_only_other_one_is_parked_tries_at_once)
{
	struct line_scene scene;

	line_bring(&scene, PENDING_PARKED, false);
	assert_true(pending_has(scene.pending, PENDING_REQUESTS));
	assert_false(pending_leave(&scene.second));
	assert_false(pending_has(scene.pending, PENDING_REQUESTS));
	line_move(&scene, MOVE_PARK);
	line_move(&scene, MOVE_WAIT);
	assert_true(pending_has(scene.pending, PENDING_REQUESTS));
	line_move(&scene, MOVE_WOKEN);
	line_move(&scene, MOVE_PARK);
	assert_false(pending_has(scene.pending, PENDING_REQUESTS));
	assert_int_equal(pending_join(scene.pending, PENDING_REQUESTS, 2, &scene.second), PENDING_IS_FIRST);
	(void)pending_leave(&scene.second);
	assert_true(pending_leave(&scene.first));
	assert_false(pending_has(scene.pending, PENDING_REQUESTS));
	pending_free(scene.pending);
}
