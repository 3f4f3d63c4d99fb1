/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/unit/pair.h"
#include "tests/unit/play.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "config/snapshot.h"
#include "tests/lib/alloc.h"
#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/client/worker_state.h"
#include "user/upstream/upstream.h"

/* A worker's pool with nothing around it; backends are plain descriptors of the test. */
struct scene {
	struct proxy proxy;
	struct counters counters;
	struct endpoint backend;
	struct keepalive_policy keepalive;
	struct upstream_wants wants;
	struct static_config *config;
};

static int scene_make(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));
	struct proxy *proxy;

	assert_non_null(scene);
	proxy = &scene->proxy;
	proxy->loop = loop_create(64);
	proxy->counters = &scene->counters;
	proxy->pool.upstreams = slab_create(sizeof(struct upstream), 32);
	proxy_set_lease(proxy, lease_create(snapshot_create()));
	assert_true(proxy->loop && proxy->pool.upstreams && proxy->lease);
	scene->config = &proxy->lease->snapshot->config;
	scene->config->pool_idle_ns = 90000000000;
	proxy->pool.loop = proxy->loop;
	proxy->pool.counters = proxy->counters;
	proxy->pool.relay = &proxy->relay;
	upstream_pool_init(&proxy->pool);
	scene->backend = (struct endpoint){ .text = SPAN("127.0.0.1:80"), .is_resolved = true };
	scene->keepalive = (struct keepalive_policy){ true, 180000000000, 180000000000, 9 };
	scene->wants.keepalive = &scene->keepalive;
	*state = scene;
	return 0;
}

static int scene_drop(void **state)
{
	struct scene *scene = *state;
	struct proxy *proxy = &scene->proxy;

	upstream_pool_done(&proxy->pool);
	assert_int_equal(proxy->pool.endpoint_count, 0);
	assert_int_equal(proxy->pool.idle_count, 0);
	loop_free(proxy->loop); /* runs what was deferred */
	assert_int_equal(slab_count(proxy->pool.upstreams), 0);
	slab_free(proxy->pool.upstreams);
	lease_unref(proxy->lease);
	assert_int_equal(counter_get(&scene->counters, COUNTER_UPSTREAM_OPEN), 0);
	assert_int_equal(counter_get(&scene->counters, COUNTER_POOL_IDLE), 0);
	free(scene);
	return 0;
}

#define SCENE_TEST(name) TEST_WITH(name, scene_make, scene_drop)

static inline struct upstream_endpoint *endpoint_of(struct scene *scene)
{
	struct upstream_endpoint *endpoint =
		upstream_pool_endpoint(&scene->proxy.pool, &scene->backend, &scene->wants);

	assert_non_null(endpoint);
	return endpoint;
}

/* A connection that has served a request and may go to the pool. */
static inline struct upstream *connect_one(struct scene *scene, struct upstream_endpoint *endpoint,
					   int *ret_far)
{
	struct address address = pair_loopback();
	struct upstream *upstream;
	int fd;

	pair_open(&fd, ret_far);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	upstream = upstream_open(&scene->proxy.pool, endpoint, fd, &address);
	assert_non_null(upstream);
	upstream->is_reusable = true;
	upstream->conn.can_read = false;
	return upstream;
}

static inline void assert_ended(int far)
{
	char byte;

	pair_wait(far, POLLIN | POLLRDHUP);
	assert_true(recv(far, &byte, 1, 0) <= 0);
	close(far);
}
