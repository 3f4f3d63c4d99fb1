/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same-host lanes outlive their process: another struct near goes on with the descriptors of one that was
 * forgotten, with nothing stopped and nothing given back, as by kill -9.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "tests/bpf/hop_rig.h"
#include "tests/bpf/near_rig.h"
#include "tests/lib/test.h"
#include "user/kernel/near/near_adopt.h"
#include "user/kernel/near/near_worker.h"

enum { SLOTS = 64, RINGS = 8 };

static const struct near_options small = { .direction_count = SLOTS, .worker_count = RINGS };

/* What a dead process has left: its descriptors, as if they had been in a table that lives on. */
struct legacy {
	int fds[NEAR_DESCRIPTORS_MAX];
	uint32_t count;
};

static struct legacy die(struct near *near)
{
	struct legacy left;

	left.count = near_descriptors(near, left.fds);
	assert_true(left.count > 0);
	for (uint32_t i = 0; i < left.count; i++)
		left.fds[i] = left.fds[i] < 0 ? -1 : fcntl(left.fds[i], F_DUPFD_CLOEXEC, 0);
	near_free(near);
	return left;
}

static int inherit(const struct legacy *left, const struct near_options *options, struct near **ret_near)
{
	struct text why;
	int error;

	text_init(&why);
	error = near_inherit(left->fds, left->count, options, ret_near, &why);
	assert_int_equal(error != 0, why.len > 0);
	text_done(&why);
	return error;
}

static struct near *heir_of(struct near *near)
{
	struct legacy left = die(near);

	assert_int_equal(inherit(&left, &small, &near), 0);
	return near;
}

static void way_adopt(struct near *near, struct near_way *way, int want)
{
	/* The memory of the dead one. */
	way->direction = (struct near_direction){ 0 };
	assert_int_equal(near_direction_adopt(&way->direction, near, way->source, way->target), want);
}

static bool is_direct(void *arg)
{
	const struct near_tunnel *t = arg;

	return near_direction_stats(&t->up.direction).lane == NEAR_LANE_DIRECT &&
	       near_direction_stats(&t->down.direction).lane == NEAR_LANE_DIRECT;
}

static void tunnel_ride(struct near_tunnel *t, uint64_t *position)
{
	for (int i = 0; i < 1000 && !is_direct(t); i++, (*position)++) {
		pair_send(t->client, 1, *position, 1);
		assert_true(tunnel_check(t, t->server, 1, *position, 1, 20000));
		pair_send(t->server, 2, *position, 1);
		assert_true(tunnel_check(t, t->client, 2, *position, 1, 20000));
	}
	assert_true(is_direct(t));
}

/* Unread bytes in the receiver's queue, more while nobody is there, and passed ones behind them. */
TEST(a_direction_goes_on_with_what_its_queues_hold)
{
	struct near *near = near_rig_load(&small);
	struct near_tunnel_options options = { 0 };
	struct near_tunnel t;
	uint64_t position = 0, up;

	tunnel_open(near, &t, &options);
	tunnel_start(&t);
	tunnel_ride(&t, &position);
	up = position;
	pair_send(t.client, 1, up, 1000);
	t.near = near = heir_of(near);
	/* As between the death and the adoption: the gate is open, and stays so. */
	pair_send(t.client, 1, up + 1000, 3000);
	way_adopt(near, &t.up, 0);
	way_adopt(near, &t.down, 0);
	assert_int_equal(near_count_directions(near), 2);
	pair_send(t.client, 1, up + 4000, 2000);
	assert_true(tunnel_check(&t, t.server, 1, up, 6000, 20000));
	tunnel_ride(&t, &position); /* counts from `position` on, for the other way */
	assert_int_equal(near_direction_check(&t.up.direction), 0);
	assert_int_equal(near_direction_check(&t.down.direction), 0);
	tunnel_close(&t);
	assert_int_equal(near_sweep(near), 0);
	assert_int_equal(near_count_directions(near), 0);
	near_free(near);
}

TEST(a_direction_is_adopted_once_and_what_is_left_is_swept)
{
	struct near *near = near_rig_load(&small);
	struct near_tunnel_options options = { 0 };
	struct near_tunnel t;
	uint64_t position = 0;

	tunnel_open(near, &t, &options);
	tunnel_start(&t);
	tunnel_ride(&t, &position);
	t.near = near = heir_of(near);
	assert_int_equal(near_count_directions(near), 0);
	way_adopt(near, &t.up, 0);
	struct near_direction again = { 0 };
	assert_int_equal(near_direction_adopt(&again, near, t.front, t.back), -ENOENT);
	assert_int_equal(near_sweep(near), 1);
	assert_int_equal(rig_count_elements(near->map_fds[NEAR_MAP_OF]), 1);
	way_adopt(near, &t.down, -ENOENT);
	assert_int_equal(near_count_directions(near), 1);
	/* The source is free for a new one. */
	struct near_direction_options fresh = { .source_fd = t.back, .target_fd = t.front };
	assert_int_equal(near_direction_start(&t.down.direction, near, &fresh), 0);
	tunnel_ride(&t, &position);
	assert_int_equal(near_sweep(near), 0);
	tunnel_close(&t);
	near_free(near);
}

TEST(a_hop_goes_on_and_knows_how_much_was_read)
{
	struct near *near = near_rig_load(&small);
	struct hop_pair_options options = { 0 };
	struct near_worker *worker;
	struct hop_pair pair;
	uint64_t received = 0;
	struct hop hop = { 0 };

	pair_open(near, &pair, &options);
	pair_send(pair.app, 1, 0, 5000);
	assert_true(pair_expect(pair.own, 1, 0, 5000));
	hop_note_read(&pair.hop, 5000);
	pair_send(pair.app, 1, 5000, 700);
	pair_send(pair.own, 2, 0, 900);
	/* Its process is gone, and so are what it knew and its ring. */
	near_worker_free(pair.worker);
	near = heir_of(near);
	pair_send(pair.app, 1, 5700, 300);
	assert_int_equal(near_worker_create(near, &worker), 0);
	assert_int_equal(hop_adopt(&hop, worker, pair.own, &received), 0);
	assert_int_equal(received, 5000);
	assert_int_equal(hop_count(near), 1);
	assert_true(pair_expect(pair.own, 1, 5000, 1000));
	pair_send(pair.own, 2, 900, 100);
	assert_true(pair_expect(pair.app, 2, 0, 1000));
	/* The proof at its end counts from its beginning. */
	rig_close(&pair.app);
	assert_string_equal(pair_next(pair.own), "end");
	assert_int_equal(hop_end(&hop, pair.own, 6000), 0);
	assert_int_equal(hop_end(&hop, pair.own, 5998), -EBADMSG);
	struct hop again = { 0 };
	assert_true(hop_adopt(&again, worker, pair.own, &received) < 0);
	hop_stop(&hop);
	assert_int_equal(near_sweep(near), 0);
	assert_int_equal(rig_count_elements(near->map_fds[NEAR_MAP_HOP_OF]), 0);
	near_worker_free(worker);
	rig_close(&pair.own);
	near_free(near);
}

/* The one who waited for room is dead, and the reader makes some: the event is nobody's. */
TEST(an_event_of_a_dead_process_calls_nobody)
{
	struct near *near = near_rig_load(&small);
	struct hop_pair_options options = { 0 };
	struct near_worker *worker;
	struct hop_pair pair;
	uint64_t filled;

	pair_open(near, &pair, &options);
	filled = pair_fill(pair.own, 2, 0, 64 << 20);
	hop_wait(&pair.hop);
	near_worker_free(pair.worker);
	/* Whoever were to call it would find this. */
	memset(&pair.hop, 0xa5, sizeof(pair.hop));
	near = heir_of(near);
	assert_true(pair_expect(pair.app, 2, 0, filled));
	assert_int_equal(near_worker_create(near, &worker), 0);
	near_worker_poll(worker);
	near_worker_free(worker);
	assert_int_equal(near_sweep(near), 2);
	assert_int_equal(near_count_directions(near), 0);
	rig_close(&pair.own);
	rig_close(&pair.app);
	near_free(near);
}

static int listener_count(struct near *near)
{
	struct near_listener key, *before = NULL;
	int count = 0;

	while (bpf_map_get_next_key(near->map_fds[NEAR_MAP_LISTENERS], before, &key) == 0) {
		before = &key;
		count++;
	}
	return count;
}

TEST(listeners_stay_until_they_are_added_again_and_then_the_others_go)
{
	struct near *near = near_rig_load(&small);
	struct sockaddr_storage kept, gone;
	int listeners[2] = { rig_listen(AF_INET, &kept, 0, 0), rig_listen(AF_INET, &gone, 0, 0) };
	int client = rig_socket(AF_INET, 0, 0), front;

	assert_int_equal(near_listener_add(near, (struct sockaddr *)&kept), 0);
	assert_int_equal(near_listener_add(near, (struct sockaddr *)&gone), 0);
	near = heir_of(near);
	assert_int_equal(listener_count(near), 2);
	/* Whoever connects in between is known. */
	front = rig_accept(client, listeners[0], &kept);
	assert_int_equal(near_look(near, front), 1);
	assert_int_equal(near_listener_add(near, (struct sockaddr *)&kept), 0);
	near_listeners_settle(near);
	assert_int_equal(listener_count(near), 1);
	assert_int_equal(near_listener_remove(near, (struct sockaddr *)&kept), 0);
	rig_close(&front);
	rig_close(&client);
	rig_close(&listeners[0]);
	rig_close(&listeners[1]);
	near_free(near);
}

TEST(other_lanes_than_those_that_are_left_are_refused_and_nothing_is_closed)
{
	static const struct near_options others[] = {
		{ .direction_count = 2 * SLOTS, .worker_count = RINGS },
		{ .direction_count = SLOTS, .worker_count = RINGS + 1 },
	};
	struct near *near = near_rig_load(&small);
	struct legacy left = die(near);

	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		assert_int_equal(inherit(&left, &others[i], &near), -EPROTO);
	assert_int_equal(inherit(&left, &small, &near), 0);
	near_free(near);
}

/* A slot that somebody was just taking or giving back is nobody's. */
TEST(slots_that_are_between_two_owners_are_swept)
{
	struct near *near = near_rig_load(&small);
	struct near_handle slots[3];

	for (size_t i = 0; i < ARRAY_LEN(slots); i++)
		assert_int_equal(near_slot_take(near, &slots[i]), 0);
	near_slot_give(near, slots[1]);
	near = heir_of(near);
	assert_int_equal(near->left_count, 2);
	assert_int_equal(near->free_count, SLOTS - 2);
	assert_int_equal(near_sweep(near), 2);
	assert_int_equal(near->free_count, SLOTS);
	/* Those nobody had come first: the others rest. */
	assert_int_equal(near_slot_take(near, &slots[0]), 0);
	assert_int_equal(slots[0].generation, 1);
	near_slot_give(near, slots[0]);
	near_free(near);
}
