/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that wait in line for a connection to a backend of HTTP/2, and share those that others open. */
#define DIAL_PLAY_POLICIES ", circuitBreaker: {maxConnections: 1, maxPendingRequests: 4, pendingTimeout: 60s}"
#include "tests/unit/dial_play.h"

#define SCENE_TEST(name) TEST_WITH(name, scene_make, scene_drop)

/* One request has the only stream of the only connection, and so many others wait in line. */
static void wait_in_line(struct scene *scene, int count)
{
	hold(scene, false);
	scene->max_streams = 1;
	ask(scene, 0);
	UNTIL(scene, answered(scene, 200) == 1);
	for (int i = 0; i < 5; i++) /* the backend's SETTINGS are known */
		step(scene);
	scene->is_silent = true;
	ask(scene, 0);
	UNTIL(scene, streams_in(scene, STREAM_WAIT_HEAD) == 1);
	for (int i = 1; i <= count; i++) {
		ask(scene, i);
		UNTIL(scene, streams_in(scene, STREAM_PENDING) == i);
	}
}

SCENE_TEST(one_that_waits_for_the_connection_of_another_may_wait_longer_than_a_connect)
{
	struct scene *scene = *state;
	uint64_t begin_ms;

	wait_in_line(scene, 2);
	scene->proxy.lease->snapshot->config.connect_timeout_ns = 200 * 1000000ull;
	scene->max_streams = 100;
	scene->is_mute = true;
	assert_int_equal(shutdown(scene->backends[0].fd, SHUT_RDWR), 0);
	/*
	 * The first request is repeated. The next connection is open, and says nothing: one request is
	 * there, and the other may share it.
	 */
	UNTIL(scene, scene->backend_count == 2 && streams_in(scene, STREAM_WAIT_HEAD) == 1 &&
			     streams_in(scene, STREAM_PENDING) == 2);
	begin_ms = clock_now_ms();
	while (clock_now_ms() < begin_ms + 400) {
		step(scene);
		assert_int_equal(streams_in(scene, STREAM_PENDING), 2);
	}
	scene->is_mute = scene->is_silent = false;
	UNTIL(scene, answered(scene, 200) == 3);
}
