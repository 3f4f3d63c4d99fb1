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

#include "tests/bpf/bypass_rig.h"
#include "tests/bpf/local_rig.h"
#include "tests/lib/test.h"
#include "user/kernel/local/resume.h"
#include "user/kernel/local/local_worker.h"

enum { SLOTS = 64, RINGS = 8 };

static const struct local_options small = { .direction_count = SLOTS, .worker_count = RINGS };

/* What a dead process has left: its descriptors, as if they had been in a table that lives on. */
struct legacy {
	int fds[LOCAL_DESCRIPTORS_MAX];
	uint32_t count;
};

static struct legacy die(struct local *local)
{
	struct legacy left;

	left.count = local_descriptors(local, left.fds);
	assert_true(left.count > 0);
	for (uint32_t i = 0; i < left.count; i++)
		left.fds[i] = left.fds[i] < 0 ? -1 : fcntl(left.fds[i], F_DUPFD_CLOEXEC, 0);
	local_free(local);
	return left;
}

static int inherit(const struct legacy *left, const struct local_options *options, struct local **ret_local)
{
	struct text why;
	int error;

	text_init(&why);
	error = local_inherit(left->fds, left->count, options, ret_local, &why);
	assert_int_equal(error != 0, why.len > 0);
	text_done(&why);
	return error;
}

static struct local *new_process_of(struct local *local)
{
	struct legacy left = die(local);

	assert_int_equal(inherit(&left, &small, &local), 0);
	return local;
}

static void direction_resume(struct local *local, struct local_rig_direction *direction, int want)
{
	/* The memory of the dead one. */
	direction->direction = (struct local_direction){ 0 };
	assert_int_equal(
		local_direction_resume(&direction->direction, local, direction->source, direction->target),
		want);
}

static bool is_direct(void *arg)
{
	const struct local_tunnel *t = arg;

	return local_direction_stats(&t->up.direction).lane == LOCAL_LANE_DIRECT &&
	       local_direction_stats(&t->down.direction).lane == LOCAL_LANE_DIRECT;
}

static void tunnel_ride(struct local_tunnel *t, uint64_t *position)
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
	struct local *local = local_rig_load(&small);
	struct local_tunnel_options options = { 0 };
	struct local_tunnel t;
	uint64_t position = 0, up;

	tunnel_open(local, &t, &options);
	tunnel_start(&t);
	tunnel_ride(&t, &position);
	up = position;
	pair_send(t.client, 1, up, 1000);
	t.local = local = new_process_of(local);
	/* As between the crash and the resume: the gate is open, and stays so. */
	pair_send(t.client, 1, up + 1000, 3000);
	direction_resume(local, &t.up, 0);
	direction_resume(local, &t.down, 0);
	assert_int_equal(local_count_directions(local), 2);
	pair_send(t.client, 1, up + 4000, 2000);
	assert_true(tunnel_check(&t, t.server, 1, up, 6000, 20000));
	tunnel_ride(&t, &position); /* counts from `position` on, for the other way */
	assert_int_equal(local_direction_check(&t.up.direction), 0);
	assert_int_equal(local_direction_check(&t.down.direction), 0);
	tunnel_close(&t);
	assert_int_equal(local_sweep(local), 0);
	assert_int_equal(local_count_directions(local), 0);
	local_free(local);
}

TEST(a_direction_is_resumed_once_and_what_is_left_is_swept)
{
	struct local *local = local_rig_load(&small);
	struct local_tunnel_options options = { 0 };
	struct local_tunnel t;
	uint64_t position = 0;

	tunnel_open(local, &t, &options);
	tunnel_start(&t);
	tunnel_ride(&t, &position);
	t.local = local = new_process_of(local);
	assert_int_equal(local_count_directions(local), 0);
	direction_resume(local, &t.up, 0);
	struct local_direction again = { 0 };
	assert_int_equal(local_direction_resume(&again, local, t.front, t.back), -ENOENT);
	assert_int_equal(local_sweep(local), 1);
	assert_int_equal(rig_count_elements(local->map_fds[LOCAL_MAP_OF]), 1);
	direction_resume(local, &t.down, -ENOENT);
	assert_int_equal(local_count_directions(local), 1);
	/* The source is free for a new one. */
	struct local_direction_options fresh = { .source_fd = t.back, .target_fd = t.front };
	assert_int_equal(local_direction_start(&t.down.direction, local, &fresh), 0);
	tunnel_ride(&t, &position);
	assert_int_equal(local_sweep(local), 0);
	tunnel_close(&t);
	local_free(local);
}

TEST(a_bypass_goes_on_and_knows_how_much_was_read)
{
	struct local *local = local_rig_load(&small);
	struct bypass_pair_options options = { 0 };
	struct local_worker *worker;
	struct bypass_pair pair;
	uint64_t received = 0;
	struct bypass bypass = { 0 };

	pair_open(local, &pair, &options);
	pair_send(pair.app, 1, 0, 5000);
	assert_true(pair_expect(pair.own, 1, 0, 5000));
	bypass_note_read(&pair.bypass, 5000);
	pair_send(pair.app, 1, 5000, 700);
	pair_send(pair.own, 2, 0, 900);
	/* Its process is gone, and so are what it knew and its ring. */
	local_worker_free(pair.worker);
	local = new_process_of(local);
	pair_send(pair.app, 1, 5700, 300);
	assert_int_equal(local_worker_create(local, &worker), 0);
	assert_int_equal(bypass_resume(&bypass, worker, pair.own, &received), 0);
	assert_int_equal(received, 5000);
	assert_int_equal(bypass_count(local), 1);
	assert_true(pair_expect(pair.own, 1, 5000, 1000));
	pair_send(pair.own, 2, 900, 100);
	assert_true(pair_expect(pair.app, 2, 0, 1000));
	/* The proof at its end counts from its beginning. */
	rig_close(&pair.app);
	assert_string_equal(pair_next(pair.own), "end");
	assert_int_equal(bypass_end(&bypass, pair.own, 6000), 0);
	assert_int_equal(bypass_end(&bypass, pair.own, 5998), -EBADMSG);
	struct bypass again = { 0 };
	assert_true(bypass_resume(&again, worker, pair.own, &received) < 0);
	bypass_stop(&bypass);
	assert_int_equal(local_sweep(local), 0);
	assert_int_equal(rig_count_elements(local->map_fds[LOCAL_MAP_BYPASS_OF]), 0);
	local_worker_free(worker);
	rig_close(&pair.own);
	local_free(local);
}

static bool is_in_map(const struct local *local, uint64_t cookie)
{
	uint64_t value;

	return bpf_map_lookup_elem(local->map_fds[LOCAL_MAP_SOCKETS], &cookie, &value) == 0;
}

/* The process ends within bypass_leave(): the application's socket is still in the map. */
TEST(a_bypass_that_was_about_to_leave_leaves)
{
	static const char big[60000];
	struct bypass_pair_options options = { .app_receive = 16384 };
	struct local *local = local_rig_load(&small);
	struct local_worker *worker;
	struct bypass again = { 0 };
	struct bypass_pair pair;
	uint64_t received;

	pair_open(local, &pair, &options);
	assert_int_equal(send(pair.own, big, sizeof(big), MSG_DONTWAIT | MSG_NOSIGNAL), -1);
	pair.bypass.out->user.mode = LOCAL_MODE_CLOSED;
	local_worker_free(pair.worker);
	local = new_process_of(local);
	assert_true(is_in_map(local, pair.bypass.far_cookie));
	assert_int_equal(local_worker_create(local, &worker), 0);
	assert_int_equal(bypass_resume(&again, worker, pair.own, &received), 0);
	assert_true(again.has_left);
	assert_false(is_in_map(local, again.far_cookie));
	assert_int_equal(bypass_count(local), 0);
	assert_int_equal(local_count_directions(local), 0);
	pair_send(pair.own, 1, 0, 100);
	assert_true(pair_expect(pair.app, 1, 0, 100));
	bypass_stop(&again);
	local_worker_free(worker);
	rig_close(&pair.own);
	rig_close(&pair.app);
	local_free(local);
}

/* The one who waited for room is dead, and the reader makes some: the event is nobody's. */
TEST(an_event_of_a_dead_process_calls_nobody)
{
	struct local *local = local_rig_load(&small);
	struct bypass_pair_options options = { 0 };
	struct local_worker *worker;
	struct bypass_pair pair;
	uint64_t filled;

	pair_open(local, &pair, &options);
	filled = pair_fill(pair.own, 2, 0, 64 << 20);
	bypass_wait(&pair.bypass);
	local_worker_free(pair.worker);
	/* Whoever were to call it would find this. */
	memset(&pair.bypass, 0xa5, sizeof(pair.bypass));
	local = new_process_of(local);
	assert_true(pair_expect(pair.app, 2, 0, filled));
	assert_int_equal(local_worker_create(local, &worker), 0);
	local_worker_poll(worker);
	local_worker_free(worker);
	assert_int_equal(local_sweep(local), 2);
	assert_int_equal(local_count_directions(local), 0);
	rig_close(&pair.own);
	rig_close(&pair.app);
	local_free(local);
}

static int listener_count(struct local *local)
{
	struct local_listener key, *before = NULL;
	int count = 0;

	while (bpf_map_get_next_key(local->map_fds[LOCAL_MAP_LISTENERS], before, &key) == 0) {
		before = &key;
		count++;
	}
	return count;
}

TEST(listeners_stay_until_they_are_added_again_and_then_the_others_go)
{
	struct local *local = local_rig_load(&small);
	struct sockaddr_storage kept, gone;
	int listeners[2] = { rig_listen(AF_INET, &kept, 0, 0), rig_listen(AF_INET, &gone, 0, 0) };
	int client = rig_socket(AF_INET, 0, 0), front;

	assert_int_equal(local_listener_add(local, (struct sockaddr *)&kept), 0);
	assert_int_equal(local_listener_add(local, (struct sockaddr *)&gone), 0);
	local = new_process_of(local);
	assert_int_equal(listener_count(local), 2);
	/* Whoever connects in between is known. */
	front = rig_accept(client, listeners[0], &kept);
	assert_int_equal(local_look(local, front), 1);
	assert_int_equal(local_listener_add(local, (struct sockaddr *)&kept), 0);
	local_listeners_settle(local);
	assert_int_equal(listener_count(local), 1);
	assert_int_equal(local_listener_remove(local, (struct sockaddr *)&kept), 0);
	rig_close(&front);
	rig_close(&client);
	rig_close(&listeners[0]);
	rig_close(&listeners[1]);
	local_free(local);
}

TEST(other_lanes_than_those_that_are_left_are_refused_and_nothing_is_closed)
{
	static const struct local_options others[] = {
		{ .direction_count = 2 * SLOTS, .worker_count = RINGS },
		{ .direction_count = SLOTS, .worker_count = RINGS + 1 },
	};
	struct local *local = local_rig_load(&small);
	struct legacy left = die(local);

	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		assert_int_equal(inherit(&left, &others[i], &local), -EPROTO);
	assert_int_equal(inherit(&left, &small, &local), 0);
	local_free(local);
}

/* A slot that somebody was just taking or giving back is nobody's. */
TEST(slots_that_are_between_two_owners_are_swept)
{
	struct local *local = local_rig_load(&small);
	struct local_handle slots[3];

	for (size_t i = 0; i < ARRAY_LEN(slots); i++)
		assert_int_equal(local_slot_take(local, &slots[i]), 0);
	local_slot_give(local, slots[1]);
	local = new_process_of(local);
	assert_int_equal(local->left_count, 2);
	assert_int_equal(local->free_count, SLOTS - 2);
	assert_int_equal(local_sweep(local), 2);
	assert_int_equal(local->free_count, SLOTS);
	/* Those nobody had come first: the others rest. */
	assert_int_equal(local_slot_take(local, &slots[0]), 0);
	assert_int_equal(slots[0].generation, 1);
	local_slot_give(local, slots[0]);
	local_free(local);
}
