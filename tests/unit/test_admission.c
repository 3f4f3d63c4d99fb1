/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/pair.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "config/snapshot.h"
#include "user/base/limits.h"
#include "user/net/socket.h"
#include "user/client/admission.h"

/* A worker that only counts; two listeners of one port. */
struct scene {
	struct proxy proxy;
	struct proxy_shared shared;
	struct counters counters;
	struct listener listeners[2];
	struct bind bind;
	struct proxy_bind port;
	struct proxy_counts counts;
};

static int scene_make(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	scene->proxy.shared = &scene->shared;
	scene->proxy.counters = &scene->counters;
	scene->proxy.lease = lease_create(snapshot_create());
	scene->proxy.relay.scratch = malloc(LIMIT_READ_BYTES);
	assert_true(scene->proxy.lease && scene->proxy.relay.scratch);
	scene->proxy.lease->snapshot->config.max_connections = 100;
	scene->bind = (struct bind){ .listener_list = scene->listeners, .listener_count = 2 };
	scene->port.bind = &scene->bind;
	scene->port.counts = &scene->counts;
	*state = scene;
	return 0;
}

static int scene_drop(void **state)
{
	struct scene *scene = *state;

	lease_unref(scene->proxy.lease);
	free(scene->proxy.relay.scratch);
	free(scene);
	return 0;
}

#define SCENE_TEST(name) TEST_WITH(name, scene_make, scene_drop)

/* ---- counting ---- */

/* How many are let in before the first that is not. */
static unsigned int admitted(struct scene *scene)
{
	unsigned int count = 0;

	while (count < 1000 && admission_take(&scene->proxy, &scene->port))
		count++;
	assert_int_equal(atomic_load(&scene->counts.connections), count);
	assert_int_equal(atomic_load(&scene->shared.counts.connections), count);
	for (unsigned int i = 0; i < count; i++)
		admission_give(&scene->proxy, &scene->port);
	assert_int_equal(atomic_load(&scene->counts.connections), 0);
	assert_int_equal(atomic_load(&scene->shared.counts.connections), 0);
	return count;
}

SCENE_TEST(a_port_takes_what_its_listeners_allow_together)
{
	struct scene *scene = *state;

	scene->listeners[0].max_connections = (struct opt_u64){ true, 3 };
	scene->listeners[1].max_connections = (struct opt_u64){ true, 4 };
	assert_int_equal(admitted(scene), 7);
	scene->listeners[1].max_connections = (struct opt_u64){ true, 0 };
	assert_int_equal(admitted(scene), 3);
	scene->listeners[0].max_connections = (struct opt_u64){ true, 0 };
	assert_int_equal(admitted(scene), 0);
}

SCENE_TEST(one_listener_without_a_limit_leaves_that_of_the_process)
{
	struct scene *scene = *state;

	scene->listeners[0].max_connections = (struct opt_u64){ true, 3 };
	assert_int_equal(admitted(scene), 100);
	scene->proxy.lease->snapshot->config.max_connections = 5;
	assert_int_equal(admitted(scene), 5);
	scene->listeners[1].max_connections = (struct opt_u64){ true, 1 };
	assert_int_equal(admitted(scene), 4);
}

SCENE_TEST(other_ports_count_in_the_process_and_not_here)
{
	struct scene *scene = *state;
	struct proxy_counts there = { 0 };
	struct proxy_bind other = { .bind = &scene->bind, .counts = &there };

	scene->proxy.lease->snapshot->config.max_connections = 3;
	assert_true(admission_take(&scene->proxy, &other));
	assert_true(admission_take(&scene->proxy, &other));
	assert_true(admission_take(&scene->proxy, &scene->port));
	assert_false(admission_take(&scene->proxy, &scene->port));
	assert_int_equal(atomic_load(&there.connections), 2);
	assert_int_equal(atomic_load(&scene->counts.connections), 1);
	admission_give(&scene->proxy, &other);
	assert_true(admission_take(&scene->proxy, &scene->port));
}

enum { THREADS = 4, ROUNDS = 3000000 };

static void *come_and_go(void *context)
{
	struct scene *scene = context;

	for (int i = 0; i < ROUNDS; i++) {
		if (admission_take(&scene->proxy, &scene->port))
			admission_give(&scene->proxy, &scene->port);
	}
	return NULL;
}

/* Workers accept at the same time, and are refused at the same time. */
SCENE_TEST(workers_at_once_lose_no_count)
{
	struct scene *scene = *state;
	pthread_t threads[THREADS];

	scene->proxy.lease->snapshot->config.max_connections = 2;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, scene), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(atomic_load(&scene->counts.connections), 0);
	assert_int_equal(atomic_load(&scene->shared.counts.connections), 0);
}

/* ---- refusing ---- */

static void assert_refused(struct scene *scene, uint64_t count)
{
	assert_int_equal(counter_get(&scene->counters, COUNTER_ACCEPT_REFUSED), count);
	assert_int_equal(atomic_load(&scene->counters.ends[END_LIMIT]), count);
}

/* The request is already here, unread: closing over it would destroy the answer. */
SCENE_TEST(a_client_of_http_reads_a_503_and_an_end)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
	struct scene *scene = *state;
	char answer[1024] = { 0 };
	size_t len = 0;
	ssize_t got;
	int near, far;

	scene->bind.protocol = BIND_HTTP;
	pair_open(&near, &far);
	assert_int_equal(send(far, request, sizeof(request) - 1, 0), sizeof(request) - 1);
	pair_wait(near, POLLIN);
	admission_refuse(&scene->proxy, &scene->bind, near);
	do {
		pair_wait(far, POLLIN);
		got = recv(far, answer + len, sizeof(answer) - 1 - len, 0);
		assert_true(got >= 0);
		len += (size_t)got;
	} while (got > 0);
	assert_string_equal(answer, "HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\n"
				    "content-length: 20\r\nconnection: close\r\n\r\ntoo many connections");
	assert_int_equal(socket_error(far), 0); /* no reset behind it */
	assert_refused(scene, 1);
	close(far);
}

static void assert_reset(int far)
{
	char bytes[64 * 1024];
	ssize_t got;

	do {
		pair_wait(far, POLLIN);
		got = recv(far, bytes, sizeof(bytes), 0);
	} while (got > 0);
	assert_int_equal(got, -1);
	assert_int_equal(errno, ECONNRESET);
	close(far);
}

SCENE_TEST(other_clients_are_reset)
{
	static const enum bind_protocol protocols[] = { BIND_TCP, BIND_TLS };
	struct scene *scene = *state;

	for (int i = 0; i < 2; i++) {
		int near, far;

		scene->bind.protocol = protocols[i];
		pair_open(&near, &far);
		admission_refuse(&scene->proxy, &scene->bind, near);
		assert_reset(far);
		assert_refused(scene, (uint64_t)i + 1);
	}
}

SCENE_TEST(a_client_whose_socket_takes_no_answer_is_reset)
{
	static char zeros[64 * 1024];
	struct scene *scene = *state;
	int near, far;

	scene->bind.protocol = BIND_HTTP;
	pair_open(&near, &far);
	while (send(near, zeros, sizeof(zeros), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		;
	admission_refuse(&scene->proxy, &scene->bind, near);
	assert_reset(far);
	assert_refused(scene, 1);
}
