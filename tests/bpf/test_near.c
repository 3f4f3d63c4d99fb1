/* SPDX-License-Identifier: Apache-2.0 */
/* The same-host lanes: bytes, ends, readers that stop. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/bpf/actor.h"
#include "tests/bpf/near_rig.h"
#include "tests/bpf/rig.h"
#include "user/base/check.h"

static bool says(struct near_tunnel *t, int from, int to, const char *text)
{
	char bytes[256] = "";

	return tunnel_send(t, from, text, strlen(text), 500) == strlen(text) &&
	       tunnel_receive(t, to, bytes, strlen(text), 500) == strlen(text) &&
	       memcmp(bytes, text, strlen(text)) == 0;
}

static void check_first_words(bool wants_direct, int family, enum near_lane expected)
{
	struct near *near = near_rig_load(NULL);
	struct near_tunnel_options options = { .wants_direct = wants_direct, .family = family };
	struct near_tunnel t;

	tunnel_open(near, &t, &options);
	assert_int_equal(near_look(near, t.front), 1);
	assert_true(says(&t, t.client, t.server, "passed before"));
	assert_int_equal(near_look(near, t.back), 1);
	tunnel_start(&t);
	assert_true(says(&t, t.client, t.server, "request"));
	assert_true(says(&t, t.server, t.client, "answer"));
	assert_int_equal(near_direction_stats(&t.up.direction).lane, expected);
	assert_int_equal(near_direction_stats(&t.down.direction).lane, expected);
	assert_int_equal(near_direction_stats(&t.up.direction).near_bytes +
				 near_direction_stats(&t.up.direction).direct_bytes, 7);
	assert_int_equal(t.up.copied_bytes, 13);
	assert_int_equal(t.down.copied_bytes, 0);
	assert_true(near_direction_stats(&t.down.direction).last_active_ns > 0);
	assert_int_equal(near_count_directions(near), 2);
	tunnel_close(&t);
	assert_int_equal(near_count_directions(near), 0);
	near_free(near);
}

static void words_go_near(void **state)
{
	(void)state;
	check_first_words(false, AF_INET, NEAR_LANE_NEAR);
	check_first_words(false, AF_INET6, NEAR_LANE_NEAR);
}

static void words_go_direct(void **state)
{
	(void)state;
	check_first_words(true, AF_INET, NEAR_LANE_DIRECT);
	check_first_words(true, AF_INET6, NEAR_LANE_DIRECT);
}

/* ---------------------------------------------------------------------------------------- integrity */

struct traffic {
	struct actor writers[2], readers[2]; /* client to server, server to client */
};

static bool traffic_is_over(void *arg)
{
	struct traffic *f = arg;

	return f->readers[0].is_finished && f->readers[1].is_finished && f->writers[0].is_finished &&
	       f->writers[1].is_finished;
}

/* Both ways at once until both ends have seen the end of the other; what each lane carried is added. */
static void check_traffic(const struct near_tunnel_options *options, uint64_t seed, bool starts_late,
			  const struct traffic *shape, uint64_t bytes, uint32_t piece,
			  uint64_t carried[NEAR_LANE_COUNT])
{
	struct near *near = near_rig_load(NULL);
	struct near_tunnel t;
	struct traffic f = *shape;
	int fds[2];

	tunnel_open(near, &t, options);
	fds[0] = t.client;
	fds[1] = t.server;
	if (!starts_late)
		tunnel_start(&t);
	for (int i = 0; i < 2; i++) {
		f.readers[i].expects_eof = f.writers[i].shuts_down = true;
		actor_read(&f.readers[i], fds[1 - i], seed + (uint64_t)i, bytes, piece);
		actor_write(&f.writers[i], fds[i], seed + (uint64_t)i, bytes, piece);
	}
	/* Bytes are under way in every buffer when the lanes begin. */
	tunnel_run_for(&t, 2);
	if (starts_late)
		tunnel_start(&t);
	assert_true(tunnel_run(&t, traffic_is_over, &f, 30000));
	for (int i = 0; i < 2; i++) {
		actor_join(&f.readers[i]);
		actor_join(&f.writers[i]);
		assert_int_equal(f.readers[i].wrong_at, -1);
		assert_int_equal(f.readers[i].done, bytes);
		assert_true(f.readers[i].saw_eof);
		assert_int_equal(f.writers[i].error, 0);
	}
	/* The FIN may be read before the gateway has looked for the other one. */
	tunnel_run_for(&t, 5);
	const struct near_way *ways[2] = { &t.up, &t.down };
	for (int i = 0; i < 2; i++) {
		struct near_stats stats = near_direction_stats(&ways[i]->direction);

		assert_int_equal(ways[i]->error, 0);
		assert_true(ways[i]->is_over);
		assert_int_equal(stats.near_bytes + stats.direct_bytes + ways[i]->copied_bytes, bytes);
		carried[NEAR_LANE_COPY] += ways[i]->copied_bytes;
		carried[NEAR_LANE_NEAR] += stats.near_bytes;
		carried[NEAR_LANE_DIRECT] += stats.direct_bytes;
	}
	tunnel_close(&t);
	near_free(near);
}

/* Fast, and with random pauses of writers and readers, so that every change of lane comes up. */
static void check_integrity(bool wants_direct)
{
	struct near_tunnel_options options = { .wants_direct = wants_direct };
	uint64_t carried[NEAR_LANE_COUNT] = { 0 };

	for (uint64_t round = 0; round < 8; round++) {
		struct traffic shape = { 0 };

		for (int i = 0; i < 2; i++) {
			shape.readers[i].pause_us = round % 2 ? 3000 : 0;
			shape.readers[i].pause_every = round % 2 ? 100 : 0;
			shape.writers[i].pause_us = round % 4 == 2 ? 300 : 0;
			shape.writers[i].pause_every = round % 4 == 2 ? 10 : 0;
		}
		options.family = round % 3 == 2 ? AF_INET6 : AF_INET;
		options.server_receive = options.client_receive = round >= 4 ? 32768 : 0;
		options.back_send = options.front_send = round >= 6 ? 32768 : 0;
		check_traffic(&options, 10 * round, round % 4 == 3, &shape, 12 << 20,
			      round % 2 ? 30000 : 100000, carried);
	}
	printf("copy %llu, near %llu, direct %llu KiB\n", (unsigned long long)carried[0] >> 10,
	       (unsigned long long)carried[1] >> 10, (unsigned long long)carried[2] >> 10);
	assert_true(carried[NEAR_LANE_COPY] > 0);
	assert_true(carried[NEAR_LANE_NEAR] > 0);
	assert_int_equal(carried[NEAR_LANE_DIRECT] > 0, wants_direct);
}

static void bytes_stay_in_order_near(void **state)
{
	(void)state;
	check_integrity(false);
}

static void bytes_stay_in_order_direct(void **state)
{
	(void)state;
	check_integrity(true);
}

/* Messages of a few bytes, back and forth: the lanes begin and end at every byte position. */
static void small_messages_stay_in_order(void **state)
{
	struct near_tunnel_options options = { .wants_direct = true };
	struct traffic shape = { 0 };
	uint64_t carried[NEAR_LANE_COUNT] = { 0 };

	(void)state;
	shape.readers[0].pause_us = shape.readers[1].pause_us = 200;
	shape.readers[0].pause_every = shape.readers[1].pause_every = 50;
	check_traffic(&options, 77, true, &shape, 300000, 7, carried);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_go_near),
		cmocka_unit_test(words_go_direct),
		cmocka_unit_test(bytes_stay_in_order_near),
		cmocka_unit_test(bytes_stay_in_order_direct),
		cmocka_unit_test(small_messages_stay_in_order),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
