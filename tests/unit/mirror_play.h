/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/lib/name_server.h"
#include "tests/unit/pair.h"
#include "tests/unit/play.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "config/snapshot.h"
#include "user/base/clock.h"
#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/phase/mirror.h"
#include "user/driver/driver.h"
#include "user/upstream/upstream.h"

#define MS 1000000ull

/* A worker without clients: streams are only heads to copy, the mirror's backend is played by the test. */
struct scene {
	struct proxy proxy;
	struct counters counters;
	struct static_config *config;
	struct resolver *resolver;
	int listener;
	struct endpoint endpoint;
	struct backend backend;
	struct backend_ref ref;
	struct mirror_policy policy;
	const struct mirror_policy *policies[1];
	struct route route;
	struct exchange exchange;
	struct stream stream;
	struct backend_ref own; /* what the request itself is for */
	struct name_server names;
};

static inline void scene_make_proxy(struct scene *scene)
{
	struct resolver_options options = { .lookup.servers = scene->names.address };
	struct proxy *proxy = &scene->proxy;

	name_server_start(&scene->names);
	scene->names.network = INADDR_LOOPBACK - 1;
	name_server_set(&scene->names, false, 0, 1, 1);
	proxy->loop = loop_create(64);
	proxy->counters = &scene->counters;
	proxy->pool.upstreams = slab_create(sizeof(struct upstream), 64);
	proxy_set_lease(proxy, lease_create(snapshot_create()));
	proxy->relay.scratch = malloc(LIMIT_READ_BYTES);
	proxy->pool.random = 1;
	scene->resolver = resolver_create(&options);
	proxy->pool.resolver = resolver_client_create(scene->resolver, proxy->loop);
	assert_true(proxy->loop && proxy->pool.upstreams && proxy->lease && proxy->relay.scratch &&
		    proxy->pool.resolver);
	scene->config = &proxy->lease->snapshot->config;
	scene->config->pool_idle_ns = 90000 * MS;
	scene->config->connect_timeout_ns = 10000 * MS;
	proxy->pool.loop = proxy->loop;
	proxy->pool.counters = proxy->counters;
	proxy->pool.relay = &proxy->relay;
	proxy->pool.on_stream = driver_on_upstream;
	upstream_pool_init(&proxy->pool);
	list_init(&proxy->mirrors);
	list_init(&proxy->idle_clients);
}

static inline void scene_make_stream(struct scene *scene)
{
	struct stream *stream = &scene->stream;

	stream->exchange = &scene->exchange;
	stream->proxy = &scene->proxy;
	stream->lease = scene->proxy.lease;
	stream->route = &scene->route;
	stream->backend = &scene->own;
	arena_init(&stream->exchange->arena, 2048);
	stream->exchange->head = (struct request_head){
		.method = METHOD_GET,
		.method_text = SPAN("GET"),
		.target = SPAN("/a?b"),
		.path = SPAN("/a"),
		.query = SPAN("b"),
		.has_query = true,
		.authority = SPAN("asked.example"),
		.version_major = 1,
		.version_minor = 1,
	};
	fields_init(&stream->exchange->head.fields, &stream->exchange->arena);
	assert_int_equal(fields_add(&stream->exchange->head.fields, SPAN("x-mine"), SPAN("1")), 0);
	stream->exchange->request_framing.kind = BODY_NONE;
}

static inline int scene_make(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));
	struct address address = pair_loopback();

	assert_non_null(scene);
	scene_make_proxy(scene);
	scene->listener = pair_listen(&address, 16);
	scene->endpoint = (struct endpoint){ .text = SPAN("mirror"),
					     .is_resolved = true,
					     .address = address,
					     .port = address_port(&address) };
	scene->backend = (struct backend){ .kind = BACKEND_HOST,
					   .name = SPAN("mirror"),
					   .endpoint_list = &scene->endpoint,
					   .endpoint_count = 1 };
	scene->proxy.lease->snapshot->backend_list = &scene->backend;
	scene->ref = (struct backend_ref){ .weight = 1, .backend = &scene->backend };
	scene->policy = (struct mirror_policy){ .ref = &scene->ref, .per_million = 1000000 };
	scene->policies[0] = &scene->policy;
	scene->route.effective.mirror_list = scene->policies;
	scene->route.effective.mirror_count = 1;
	scene_make_stream(scene);
	*state = scene;
	return 0;
}

static inline uint64_t count(const struct scene *scene, enum counter_id id)
{
	return counter_get(&scene->counters, id);
}

static inline int scene_drop(void **state)
{
	struct scene *scene = *state;
	struct proxy *proxy = &scene->proxy;

	mirrors_stop(proxy);
	assert_int_equal(proxy->mirror_count, 0);
	assert_true(list_is_empty(&proxy->mirrors));
	upstream_pool_done(&proxy->pool);
	assert_int_equal(proxy->pool.endpoint_count, 0);
	resolver_client_free(proxy->pool.resolver);
	resolver_free(scene->resolver);
	name_server_stop(&scene->names);
	loop_free(proxy->loop);
	assert_int_equal(slab_count(proxy->pool.upstreams), 0);
	slab_free(proxy->pool.upstreams);
	assert_int_equal(proxy->lease->refs, 1);
	lease_unref(proxy->lease);
	assert_int_equal(count(scene, COUNTER_UPSTREAM_OPEN), 0);
	assert_int_equal(count(scene, COUNTER_POOL_IDLE), 0);
	arena_done(&scene->exchange.arena);
	free(proxy->relay.scratch);
	close(scene->listener);
	free(scene);
	return 0;
}

/* Turns of the loop until the condition holds. */
#define UNTIL(scene, condition)                                                                              \
	do {                                                                                                 \
		uint64_t give_up_ms = clock_now_ms() + PAIR_WAIT_MS;                                         \
		while (!(condition)) {                                                                       \
			if (clock_now_ms() > give_up_ms)                                                     \
				fail_msg("not within %d ms: %s", PAIR_WAIT_MS, #condition);                  \
			play_for((scene)->proxy.loop, 2);                                                    \
		}                                                                                            \
	} while (0)

static inline void mirror_one(struct scene *scene)
{
	play_for(scene->proxy.loop, 1); /* what the clock of the loop says is of now */
	mirror_request(&scene->stream);
}

static inline bool is_readable(int fd)
{
	struct pollfd item = { .fd = fd, .events = POLLIN };

	return poll(&item, 1, 0) == 1;
}

static inline int accept_one(struct scene *scene)
{
	int fd;

	UNTIL(scene, is_readable(scene->listener));
	fd = accept4(scene->listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

/* The head that came, with its end. */
static inline const char *read_head(struct scene *scene, int fd)
{
	static char head[4096];
	size_t len = 0;

	head[0] = '\0';
	while (!strstr(head, "\r\n\r\n")) {
		ssize_t got;

		UNTIL(scene, is_readable(fd));
		got = recv(fd, head + len, sizeof(head) - 1 - len, 0);
		assert_true(got > 0);
		len += (size_t)got;
		head[len] = '\0';
	}
	return head;
}

static inline void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}
