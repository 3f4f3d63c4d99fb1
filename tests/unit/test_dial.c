/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/dial_play.h"

#define SCENE_TEST(name) TEST_WITH(name, scene_make, scene_drop)

/* ---- sharing ---- */

SCENE_TEST(a_burst_of_requests_opens_one_connection)
{
	struct scene *scene = *state;

	ask_all(scene, CLIENTS);
	assert_int_equal(connects(scene), 0);
	hold(scene, false);
	UNTIL(scene, answered(scene, 200) == CLIENTS);
	assert_int_equal(connects(scene), 1);
	assert_int_equal(scene->backend_count, 1);
	assert_int_equal(scene->backends[0].streams, CLIENTS);
	/* And it is used again. */
	for (int i = 0; i < CLIENTS; i++)
		ask(scene, i);
	UNTIL(scene, answered(scene, 200) == CLIENTS);
	assert_int_equal(connects(scene), 1);
	assert_int_equal(scene->backends[0].streams, 2 * CLIENTS);
}

/* The next request of a client that waits is an event, too. */
SCENE_TEST(a_try_that_waits_does_so_whatever_its_client_sends)
{
	struct scene *scene = *state;

	ask_all(scene, 4);
	ask(scene, 1);
	for (int i = 0; i < 5; i++)
		step(scene);
	assert_int_equal(streams_in(scene, STREAM_RESOLVE), 1);
	assert_int_equal(streams_in(scene, STREAM_CONNECT), 3);
	hold(scene, false);
	UNTIL(scene, scene->backend_count == 1 && scene->backends[0].streams == 5);
	assert_int_equal(connects(scene), 1);
}

SCENE_TEST(a_connection_without_room_is_joined_by_another)
{
	struct scene *scene = *state;

	scene->max_streams = 2;
	hold(scene, false);
	ask(scene, 0);
	UNTIL(scene, answered(scene, 200) == 1);
	for (int i = 0; i < 5; i++) /* the backend's SETTINGS are known */
		step(scene);
	scene->is_silent = true;
	for (int i = 0; i < 5; i++) {
		ask(scene, i);
		UNTIL(scene, streams_in(scene, STREAM_WAIT_HEAD) == i + 1);
		for (int n = 0; n < 5; n++)
			step(scene);
	}
	assert_int_equal(connects(scene), 3);
	assert_int_equal(scene->backends[0].streams, 1 + 2);
	assert_int_equal(scene->backends[1].streams, 2);
	assert_int_equal(scene->backends[2].streams, 1);
}

/* Each request is tried once and repeated three times. */
SCENE_TEST(a_backend_that_refuses_is_not_asked_on_ever_more_connections)
{
	struct scene *scene = *state;

	scene->is_refusing = true;
	hold(scene, false);
	for (int i = 0; i < CLIENTS; i++) {
		ask(scene, i);
		UNTIL(scene, status_of(scene, i) == 503);
	}
	assert_int_equal(connects(scene), LIMIT_H2_REFUSED_CONNECTIONS);
	/* All of them were asked, one after the other. */
	for (int i = 0; i < scene->backend_count; i++)
		assert_int_equal(scene->backends[i].streams, CLIENTS);
	scene->is_refusing = false;
	ask(scene, 0);
	UNTIL(scene, answered(scene, 200) == 1);
	assert_int_equal(connects(scene), LIMIT_H2_REFUSED_CONNECTIONS);
}

/* ---- passing the turn ---- */

SCENE_TEST(when_the_opener_leaves_the_next_one_opens)
{
	struct scene *scene = *state;

	ask_all(scene, 4);
	leave(scene, 0);
	UNTIL(scene, streams_in(scene, STREAM_CONNECT) == 2); /* one of the three opens now */
	assert_int_equal(streams_in(scene, STREAM_RESOLVE), 1);
	hold(scene, false);
	UNTIL(scene, answered(scene, 200) == 3);
	assert_int_equal(connects(scene), 1);
	assert_int_equal(scene->backends[0].streams, 3);
}

SCENE_TEST(a_try_that_waits_may_leave)
{
	struct scene *scene = *state;

	ask_all(scene, 4);
	leave(scene, 2);
	UNTIL(scene, streams_in(scene, STREAM_CONNECT) == 2);
	assert_int_equal(streams_in(scene, STREAM_RESOLVE), 1);
	hold(scene, false);
	UNTIL(scene, answered(scene, 200) == 3);
	assert_int_equal(scene->backends[0].streams, 3);
}

/* Both events come in one turn: the second leaves between getting its turn and using it. */
SCENE_TEST(who_leaves_with_its_turn_passes_it_on)
{
	struct scene *scene = *state;

	ask_all(scene, 4);
	leave(scene, 0);
	leave(scene, 1);
	usleep(20000);
	UNTIL(scene, streams_in(scene, STREAM_RESOLVE) + streams_in(scene, STREAM_CONNECT) == 2);
	UNTIL(scene, streams_in(scene, STREAM_RESOLVE) == 1);
	hold(scene, false);
	UNTIL(scene, answered(scene, 200) == 2);
	assert_int_equal(connects(scene), 1);
}

SCENE_TEST(everybody_leaves_and_the_next_request_opens_anew)
{
	struct scene *scene = *state;

	ask_all(scene, 4);
	for (int i = 0; i < 4; i++)
		leave(scene, i);
	UNTIL(scene, slab_count(scene->proxy.streams) == 0);
	hold(scene, false);
	ask(scene, 0);
	UNTIL(scene, answered(scene, 200) == 1);
	assert_int_equal(connects(scene), 1);
}

/* Nobody listens: both try, one after the other, and is told. */
SCENE_TEST(when_the_opener_fails_the_next_one_tries)
{
	struct scene *scene = *state;

	close(scene->listener);
	scene->listener = -1;
	ask_all(scene, 4);
	hold(scene, false);
	UNTIL(scene, answered(scene, 503) == 4);
	assert_int_equal(connects(scene), 4);
	assert_int_equal(slab_count(scene->proxy.pool.upstreams), 0);
	scene->listener = pair_listen(&scene->address, 16);
	assert_int_equal(fcntl(scene->listener, F_SETFL, O_NONBLOCK), 0);
	ask(scene, 5);
	UNTIL(scene, answered(scene, 200) == 1);
	assert_int_equal(connects(scene), 5);
}

SCENE_TEST(waiting_counts_against_the_connect_timeout)
{
	struct scene *scene = *state;

	scene->proxy.lease->snapshot->config.connect_timeout_ns = 400 * 1000000ull;
	ask(scene, 0);
	UNTIL(scene, streams_in(scene, STREAM_RESOLVE) == 1);
	for (int i = 1; i < 4; i++)
		ask(scene, i);
	UNTIL(scene, answered(scene, 504) == 4);
	assert_int_equal(connects(scene), 0);
	/* Nobody asked the endpoint: that it could not be reached is not known. */
	assert_int_equal(counter_get(&scene->counters, COUNTER_UPSTREAM_CONNECT_FAILURES), 0);
	assert_int_equal(scene->proxy.pool.endpoint_count, 0); /* nothing worth keeping of it */
	scene->proxy.lease->snapshot->config.connect_timeout_ns = 60000 * 1000000ull;
	hold(scene, false);
	ask(scene, 5);
	UNTIL(scene, answered(scene, 200) == 1);
}

/* ---- what goes no further ---- */

SCENE_TEST(an_upgrade_has_no_way_to_a_backend_of_http_2)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
				      "Upgrade: websocket\r\n"
				      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
	struct scene *scene = *state;
	struct address peer = pair_loopback();
	int fd;

	pair_open(&fd, &scene->clients[0]);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(fcntl(scene->clients[0], F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(send(scene->clients[0], request, sizeof(request) - 1, 0), sizeof(request) - 1);
	(void)client_start(&scene->proxy, scene->bind, fd, &peer, CLIENT_ACCEPTED);
	UNTIL(scene, status_of(scene, 0) == 501);
	assert_int_equal(connects(scene), 0);
}
