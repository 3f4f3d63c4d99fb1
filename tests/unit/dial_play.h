/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/unit/h2_play.h"
#include "tests/lib/name_server.h"
#include "tests/unit/pair.h"
#include "tests/unit/play.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "config/load.h"
#include "policy/compile/effective.h"
#include "user/base/clock.h"
#include "user/client/client_accept.h"
#include "user/driver/client_events.h"
#include "user/gateway/backend_counts.h"
#include "user/stream/history.h"
#include "user/driver/driver.h"
#include "user/upstream/upstream.h"

#ifndef DIAL_PLAY_POLICIES
#define DIAL_PLAY_POLICIES "" /* of the backend, behind others */
#endif

/*
 * A worker with real clients of HTTP/1 and one route to a backend of HTTP/2, which the test plays. The name
 * of the backend is looked up only when the test lets it: until then the first attempt is opening a
 * connection, and the others wait for it.
 */
enum { CLIENTS = 6, BACKENDS = 4 };

struct backend_conn {
	int fd;
	struct h2_session *session;
	struct buf out;
	uint32_t streams; /* that were asked for */
	struct h2_stream *open[2 * CLIENTS];
	uint32_t open_count;
};

struct scene {
	struct proxy proxy;
	struct proxy_shared shared;
	struct counters counters;
	struct pipe_pool pipes;
	struct resolver *resolver;
	struct quota_table *quotas;
	struct proxy_bind *bind;
	struct proxy_counts counts;
	int listener;
	struct address address;
	struct name_server names;
	int sink;
	int clients[CLIENTS]; /* the test's ends; -1: closed */
	char answers[CLIENTS][1024];
	size_t answer_lens[CLIENTS];
	struct backend_conn backends[BACKENDS];
	int backend_count;
	uint32_t max_streams; /* of a backend connection */
	bool is_mute; /* nothing is read or sent at the backend */
	bool is_silent; /* the backend does not answer */
	bool is_refusing; /* it answers with REFUSED_STREAM */
};

static inline void hold(struct scene *scene, bool is_held)
{
	name_server_set(&scene->names, is_held, 0, 1, 1);
}

static inline struct snapshot *scene_config(const struct scene *scene)
{
	char text[512];
	struct config_source source = { .path = "a.yaml", .has_text = true };
	struct config_report report;
	struct snapshot *snapshot = NULL;

	snprintf(text, sizeof(text),
		 "binds:\n- port: 8080\n  listeners:\n  - routes:\n    - backends:\n"
		 "      - host: \"backend.test:%u\"\n        policies: {http: {version: HTTP/2.0}%s}\n",
		 address_port(&scene->address), DIAL_PLAY_POLICIES);
	source.text = span_str(text);
	config_report_init(&report);
	assert_int_equal(config_load(&source, 1, NULL, &report, &snapshot), 0);
	assert_int_equal(policy_compile(snapshot, &report), 0);
	config_report_done(&report);
	assert_int_equal(backend_counts_attach(scene->quotas, snapshot), 0);
	snapshot->config.connections_per_backend = 1000;
	snapshot->config.access_log = false;
	return snapshot;
}

static inline void scene_make_proxy(struct scene *scene)
{
	struct resolver_options options = { .lookup.servers = scene->names.address };
	struct proxy *proxy = &scene->proxy;

	proxy->loop = loop_create(256);
	proxy->mailbox = mailbox_create(proxy->loop, proxy);
	proxy->driver = &stream_driver;
	proxy->handler = &stream_handler;
	timer_init(&proxy->log_timer, proxy_on_log_timer);
	proxy->shared = &scene->shared;
	proxy->counters = &scene->counters;
	proxy->metrics = request_metrics_create();
	proxy->paths = path_metrics_create();
	proxy->log = access_log_create(scene->sink);
	proxy->history = stream_history_create(0, NULL);
	proxy->trace = trace_create();
	proxy->clients = slab_create(sizeof(struct client), 64);
	proxy->streams = slab_create(sizeof(struct stream), 64);
	proxy->pool.upstreams = slab_create(sizeof(struct upstream), 64);
	proxy->relay.scratch = malloc(LIMIT_READ_BYTES);
	pipe_pool_init(&scene->pipes);
	proxy->relay.pipes = &scene->pipes;
	proxy->relay.counters = &scene->counters;
	proxy->pool.random = 1;
	proxy->pool.loop = proxy->loop;
	proxy->pool.counters = proxy->counters;
	proxy->pool.relay = &proxy->relay;
	proxy->pool.on_stream = driver_on_upstream;
	upstream_pool_init(&proxy->pool);
	list_init(&proxy->mirrors);
	list_init(&proxy->idle_clients);
	scene->resolver = resolver_create(&options);
	proxy->pool.resolver = resolver_client_create(scene->resolver, proxy->loop);
	proxy_set_lease(proxy, lease_create(scene_config(scene)));
	assert_true(proxy->metrics && proxy->log && proxy->history && proxy->trace && proxy->clients &&
		    proxy->streams && proxy->pool.upstreams && proxy->relay.scratch && proxy->pool.resolver &&
		    proxy->lease);
}

static inline int scene_make(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	scene->quotas = calloc(1, sizeof(*scene->quotas));
	assert_non_null(scene->quotas);
	name_server_start(&scene->names);
	scene->names.network = INADDR_LOOPBACK - 1;
	hold(scene, true);
	scene->address = pair_loopback();
	scene->listener = pair_listen(&scene->address, 16);
	assert_int_equal(fcntl(scene->listener, F_SETFL, O_NONBLOCK), 0);
	scene->sink = open("/dev/null", O_WRONLY | O_CLOEXEC);
	scene->max_streams = 100;
	for (int i = 0; i < CLIENTS; i++)
		scene->clients[i] = -1;
	scene_make_proxy(scene);
	scene->bind = calloc(1, sizeof(*scene->bind));
	assert_non_null(scene->bind);
	*scene->bind = (struct proxy_bind){
		.proxy = &scene->proxy,
		.refs = 1,
		.bind = scene->proxy.lease->snapshot->bind_list,
		.counts = &scene->counts,
	};
	*state = scene;
	return 0;
}

/* Streams that are complete, or all. */
static inline void backend_release(struct backend_conn *backend, bool all)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < backend->open_count; i++) {
		struct h2_stream *stream = backend->open[i];

		if (all || stream->is_reset || stream->is_end_sent)
			h2_stream_release(stream, H2_CANCEL);
		else
			backend->open[kept++] = stream;
	}
	backend->open_count = kept;
}

static inline struct stream *next_stream(struct scene *scene, uint32_t *cursor)
{
	uint64_t handle;

	return slab_next(scene->proxy.streams, cursor, &handle);
}

static inline void end_all(struct scene *scene)
{
	uint32_t cursor = 0;
	uint64_t handle;
	struct stream *stream;
	struct client *client;

	while ((stream = next_stream(scene, &cursor)) != NULL)
		driver_abort(stream, END_DRAIN_DEADLINE);
	cursor = 0;
	while ((client = slab_next(scene->proxy.clients, &cursor, &handle)) != NULL)
		client_close(client, END_DRAIN_DEADLINE, false);
}

static inline void scene_drop_proxy(struct scene *scene)
{
	struct proxy *proxy = &scene->proxy;

	end_all(scene);
	upstream_pool_done(&proxy->pool);
	assert_int_equal(proxy->pool.endpoint_count, 0);
	resolver_client_free(proxy->pool.resolver);
	resolver_free(scene->resolver);
	name_server_stop(&scene->names);
	timer_cancel(loop_timers(proxy->loop), &proxy->log_timer);
	mailbox_drain(proxy->mailbox);
	mailbox_free(proxy->mailbox);
	loop_free(proxy->loop); /* runs what was deferred */
	assert_int_equal(slab_count(proxy->clients), 0);
	assert_int_equal(slab_count(proxy->streams), 0);
	assert_int_equal(slab_count(proxy->pool.upstreams), 0);
	assert_int_equal(counter_get(&scene->counters, COUNTER_UPSTREAM_OPEN), 0);
	assert_int_equal(counter_get(&scene->counters, COUNTER_STREAMS_OPEN), 0);
	assert_int_equal(atomic_load(&scene->counts.connections), 0);
	slab_free(proxy->clients);
	slab_free(proxy->streams);
	slab_free(proxy->pool.upstreams);
	path_metrics_free(proxy->paths);
	request_metrics_free(proxy->metrics);
	access_log_free(proxy->log);
	stream_history_free(proxy->history);
	trace_free(proxy->trace);
	pipe_pool_done(&scene->pipes);
	lease_unref(proxy->lease);
	free(scene->quotas);
	free(proxy->relay.scratch);
	buf_done(&proxy->relay.frames);
}

static inline int scene_drop(void **state)
{
	struct scene *scene = *state;

	scene_drop_proxy(scene);
	assert_int_equal(scene->bind->refs, 1);
	free(scene->bind);
	for (int i = 0; i < scene->backend_count; i++) {
		backend_release(&scene->backends[i], true);
		h2_session_free(scene->backends[i].session);
		buf_done(&scene->backends[i].out);
		close(scene->backends[i].fd);
	}
	for (int i = 0; i < CLIENTS; i++)
		if (scene->clients[i] >= 0)
			close(scene->clients[i]);
	if (scene->listener >= 0)
		close(scene->listener);
	close(scene->sink);
	free(scene);
	return 0;
}

/* ---- the backend ---- */

static inline void backend_accept(struct scene *scene)
{
	struct h2_options options = h2_play_options(H2_SERVER);
	struct backend_conn *backend = &scene->backends[scene->backend_count];
	int fd = -1;

	if (scene->listener >= 0)
		fd = accept4(scene->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	assert_true(scene->backend_count < BACKENDS);
	options.max_streams = scene->max_streams;
	*backend = (struct backend_conn){ .fd = fd, .session = h2_session_create(&options) };
	assert_non_null(backend->session);
	scene->backend_count++;
}

static inline void backend_serve(struct scene *scene, struct backend_conn *backend)
{
	char bytes[4096];
	struct h2_stream *stream;
	ssize_t len;

	while ((len = recv(backend->fd, bytes, sizeof(bytes), 0)) > 0)
		assert_int_equal(h2_session_feed(backend->session, span_of(bytes, (size_t)len), 1000), 0);
	while ((stream = h2_session_next(backend->session)) != NULL) {
		bool is_new = (stream->news & H2_NEWS_HEAD) != 0;

		stream->news = 0;
		if (!is_new)
			continue;
		backend->streams++;
		if (scene->is_refusing) {
			h2_stream_release(stream, H2_REFUSED_STREAM);
			continue;
		}
		assert_true(backend->open_count < ARRAY_LEN(backend->open));
		backend->open[backend->open_count++] = stream;
		if (!scene->is_silent)
			assert_int_equal(h2_play_answer(stream, ":status=200\n", true), 0);
	}
	assert_int_equal(h2_session_output(backend->session, &backend->out, SIZE_MAX), 0);
	backend_release(backend, false);
	len = send(backend->fd, buf_span(&backend->out).data, buf_len(&backend->out), MSG_NOSIGNAL);
	if (len > 0)
		buf_consume(&backend->out, (size_t)len);
}

/* ---- clients ---- */

static inline void ask(struct scene *scene, int i)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
	struct address peer = pair_loopback();

	if (scene->clients[i] < 0) {
		int fd;

		pair_open(&fd, &scene->clients[i]);
		assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
		assert_int_equal(fcntl(scene->clients[i], F_SETFL, O_NONBLOCK), 0);
		(void)client_start(&scene->proxy, scene->bind, fd, &peer, CLIENT_ACCEPTED);
	}
	scene->answer_lens[i] = 0;
	scene->answers[i][0] = '\0';
	assert_int_equal(send(scene->clients[i], request, sizeof(request) - 1, MSG_NOSIGNAL),
			 sizeof(request) - 1);
}

static inline void leave(struct scene *scene, int i)
{
	setsockopt(scene->clients[i], SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger));
	close(scene->clients[i]);
	scene->clients[i] = -1;
}

static inline void listen_to(struct scene *scene, int i)
{
	size_t *len = &scene->answer_lens[i];
	ssize_t got = scene->clients[i] < 0 ? 0
					    : recv(scene->clients[i], scene->answers[i] + *len,
						   sizeof(scene->answers[i]) - 1 - *len, 0);

	if (got > 0)
		*len += (size_t)got;
	scene->answers[i][*len] = '\0';
}

/* 0 while the head has not come. */
static inline int status_of(const struct scene *scene, int i)
{
	return strstr(scene->answers[i], "\r\n\r\n") ? atoi(scene->answers[i] + strlen("HTTP/1.1 ")) : 0;
}

static inline int answered(const struct scene *scene, int status)
{
	int count = 0;

	for (int i = 0; i < CLIENTS; i++)
		count += status_of(scene, i) == status;
	return count;
}

/* ---- turns ---- */

static inline void step(struct scene *scene)
{
	backend_accept(scene);
	for (int i = 0; i < scene->backend_count && !scene->is_mute; i++)
		backend_serve(scene, &scene->backends[i]);
	play_for(scene->proxy.loop, 1);
	for (int i = 0; i < CLIENTS; i++)
		listen_to(scene, i);
}

#define UNTIL(scene, condition)                                                                              \
	do {                                                                                                 \
		uint64_t give_up_ms = clock_now_ms() + PAIR_WAIT_MS;                                         \
		while (!(condition)) {                                                                       \
			if (clock_now_ms() > give_up_ms)                                                     \
				fail_msg("not within %d ms: %s", PAIR_WAIT_MS, #condition);                  \
			step(scene);                                                                         \
		}                                                                                            \
	} while (0)

static inline int streams_in(struct scene *scene, enum stream_state state)
{
	uint32_t cursor = 0;
	struct stream *stream;
	int count = 0;

	while ((stream = next_stream(scene, &cursor)) != NULL)
		count += stream->state == state;
	return count;
}

/* Clients 0 to count-1, the first of which opens the connection. */
static inline void ask_all(struct scene *scene, int count)
{
	ask(scene, 0);
	UNTIL(scene, streams_in(scene, STREAM_RESOLVE) == 1);
	for (int i = 1; i < count; i++) {
		ask(scene, i);
		UNTIL(scene, streams_in(scene, STREAM_CONNECT) == i);
	}
	assert_int_equal(streams_in(scene, STREAM_RESOLVE), 1);
}

static inline uint64_t connects(const struct scene *scene)
{
	return counter_get(&scene->counters, COUNTER_UPSTREAM_CONNECTS);
}
