/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/unit/pair.h"
#include "tests/unit/play.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "config/snapshot.h"
#include "user/base/clock.h"
#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/mcp/target/remote_request.h"
#include "user/upstream/upstream.h"

/* A thread with a target behind HTTP, which the test plays: it accepts, reads and answers by hand. */
struct scene {
	struct loop *loop;
	struct counters counters;
	struct relay_shared relay;
	struct upstream_pool pool;
	struct snapshot *snapshot;
	struct resolver *resolver;
	int listener;
	struct endpoint endpoint;
	struct keepalive_policy keepalive;
	struct mcp_targets targets;
	struct mcp_target *target;
	struct text got; /* "call:message\n" */
	struct text lost_calls; /* "call:why\n" */
	struct text lost; /* why */
	bool closes_at_message;
	enum mcp_fault fault; /* of every message */
	bool is_empty;
};

static inline enum mcp_fault scene_on_message(void *owner, uint64_t call, struct span text)
{
	struct scene *scene = owner;

	text_fmt(&scene->got, "%llu:%.*s\n", (unsigned long long)call, SPAN_FMT(text));
	if (scene->closes_at_message && scene->target) {
		mcp_target_close(scene->target);
		scene->target = NULL;
	}
	return scene->fault;
}

/* An answer to a call contains its number as an id, as the tests write it; a lost call gets none. */
static inline bool scene_is_waited_for(void *owner, uint64_t call)
{
	struct scene *scene = owner;
	char id[32], lost[32];

	snprintf(id, sizeof(id), "{\"id\":%llu,", (unsigned long long)call);
	snprintf(lost, sizeof(lost), "%llu:", (unsigned long long)call);
	return (!scene->got.data || !strstr(scene->got.data, id)) &&
	       (!scene->lost_calls.data || !strstr(scene->lost_calls.data, lost));
}

static inline void scene_on_call_lost(void *owner, uint64_t call, struct span why)
{
	struct scene *scene = owner;

	text_fmt(&scene->lost_calls, "%llu:%.*s\n", (unsigned long long)call, SPAN_FMT(why));
}

static inline void scene_on_lost(void *owner, struct span why, struct span last)
{
	struct scene *scene = owner;

	(void)last;
	assert_int_equal(scene->lost.len, 0);
	text_add(&scene->lost, why);
}

static const struct mcp_target_events scene_events = { scene_on_message, scene_on_call_lost,
						       scene_is_waited_for, scene_on_lost };

static inline void scene_on_empty(struct mcp_targets *targets)
{
	container_of(targets, struct scene, targets)->is_empty = true;
}

static inline void scene_make_pool(struct scene *scene)
{
	struct resolver_options options = { .lookup.servers = "127.0.0.1:1" }; /* nobody */

	scene->loop = loop_create(4 * LIMIT_MCP_NOTICES);
	scene->snapshot = snapshot_create();
	scene->snapshot->config.pool_idle_ns = 90000ull * NS_PER_MS;
	scene->relay.scratch = malloc(LIMIT_READ_BYTES);
	scene->relay.counters = &scene->counters;
	scene->resolver = resolver_create(&options);
	scene->pool = (struct upstream_pool){
		.loop = scene->loop,
		.counters = &scene->counters,
		.relay = &scene->relay,
		.resolver = resolver_client_create(scene->resolver, scene->loop),
		.upstreams = slab_create(sizeof(struct upstream), 2 * LIMIT_MCP_NOTICES),
		.config = &scene->snapshot->config,
		.random = 1,
	};
	upstream_pool_init(&scene->pool);
}

static inline struct scene *scene_create(void)
{
	struct scene *scene = calloc(1, sizeof(*scene));
	struct address address = pair_loopback();

	assert_non_null(scene);
	scene_make_pool(scene);
	scene->listener = pair_listen(&address, 16);
	scene->endpoint = (struct endpoint){ .text = SPAN("tools"),
					     .host = SPAN("no-such-host"),
					     .is_resolved = true,
					     .address = address,
					     .port = address_port(&address) };
	scene->targets = (struct mcp_targets){ .loop = scene->loop,
					       .scratch = malloc(LIMIT_READ_BYTES),
					       .pool = &scene->pool,
					       .message_bytes = LIMIT_MCP_MESSAGE_BYTES,
					       .max_children = LIMIT_MCP_CHILDREN,
					       .on_empty = scene_on_empty };
	list_init(&scene->targets.list);
	text_init(&scene->got);
	text_init(&scene->lost_calls);
	text_init(&scene->lost);
	play_for(scene->loop, 1); /* what the clock of the loop says is of now */
	return scene;
}

static inline struct remote_place scene_place(const struct scene *scene)
{
	return (struct remote_place){ .where = &scene->endpoint,
				      .authority = SPAN("tools.example:81"),
				      .keepalive = &scene->keepalive };
}

static inline int scene_drop(void **state)
{
	struct scene *scene = *state;

	mcp_targets_abort(&scene->targets);
	assert_true(list_is_empty(&scene->targets.list));
	play_for(scene->loop, 1); /* what is freed at the end of turns */
	upstream_pool_done(&scene->pool);
	assert_int_equal(scene->pool.endpoint_count, 0);
	resolver_client_free(scene->pool.resolver);
	resolver_free(scene->resolver);
	loop_free(scene->loop);
	assert_int_equal(slab_count(scene->pool.upstreams), 0);
	slab_free(scene->pool.upstreams);
	snapshot_unref(scene->snapshot);
	text_done(&scene->got);
	text_done(&scene->lost_calls);
	text_done(&scene->lost);
	free(scene->relay.scratch);
	free(scene->targets.scratch);
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
			play_for((scene)->loop, 2);                                                          \
		}                                                                                            \
	} while (0)

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

/* One request: its head, and the body of as many bytes as that says. */
static inline const char *read_request(struct scene *scene, int fd)
{
	static char request[64 * 1024];
	size_t len = 0, want = SIZE_MAX;

	request[0] = '\0';
	while (len < want) {
		char *end, *length;
		ssize_t got;

		UNTIL(scene, is_readable(fd));
		got = recv(fd, request + len, sizeof(request) - 1 - len, 0);
		assert_true(got > 0);
		len += (size_t)got;
		request[len] = '\0';
		end = strstr(request, "\r\n\r\n");
		if (!end)
			continue;
		length = strcasestr(request, "\r\ncontent-length:");
		want = (size_t)(end + 4 - request);
		if (length && length < end)
			want += strtoul(length + 17, NULL, 10);
	}
	assert_int_equal(len, want);
	return request;
}

static inline void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static inline void say_json(int fd, const char *fields, const char *json)
{
	char head[1024];

	snprintf(head, sizeof(head),
		 "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n%s"
		 "Content-Length: %zu\r\n\r\n",
		 fields, strlen(json));
	say(fd, head);
	say(fd, json);
}

static inline bool is_closed(int fd)
{
	char byte;

	return is_readable(fd) && recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) <= 0;
}

static inline const char *text_of(const struct text *text)
{
	return text->data ? text->data : "";
}

static inline int tell(struct scene *scene, uint64_t call, const char *method, const char *name,
		       enum mcp_version version, const char *message)
{
	struct iovec segment = { .iov_base = (char *)(uintptr_t)message, .iov_len = strlen(message) };
	struct mcp_out out = { .segments = &segment,
			       .count = 1,
			       .bytes = strlen(message),
			       .kind = call ? MCP_REQUEST : MCP_NOTIFICATION,
			       .method = span_str(method),
			       .name = span_str(name),
			       .version = version,
			       .call = call };

	return mcp_target_send(scene->target, &out);
}
