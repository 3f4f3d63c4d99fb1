/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/unit/play.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/name_server.h"
#include "user/base/clock.h"
#include "user/net/resolver.h"

/* Answers last where their age is not the claim: a test must not fail because it was held up. */
enum { LASTING_MS = 600000, QUERIES = 8 };

struct scene;

struct asker {
	struct resolver_query query;
	struct scene *scene;
	unsigned int calls;
	int result;
	struct resolver_list *list;
	void (*at_result)(struct asker *asker);
};

struct scene {
	struct name_server server;
	struct resolver *resolver;
	struct loop *loop;
	struct resolver_client *client;
	unsigned int calls;
	unsigned int stop_at;
	struct asker askers[QUERIES];
};

static inline void on_result(struct resolver_query *query, int result, struct resolver_list *list)
{
	struct asker *asker = container_of(query, struct asker, query);

	asker->calls++;
	asker->result = result;
	resolver_list_unref(asker->list);
	asker->list = list;
	if (asker->at_result)
		asker->at_result(asker);
	if (++asker->scene->calls == asker->scene->stop_at)
		loop_stop(asker->scene->loop);
}

static inline void scene_open_aging(struct scene *scene, uint64_t refresh_ms, uint64_t negative_ms)
{
	struct resolver_options options = { .refresh_ms = refresh_ms, .negative_ms = negative_ms };

	*scene = (struct scene){ .stop_at = 1 };
	name_server_start(&scene->server);
	options.lookup.servers = scene->server.address;
	scene->resolver = resolver_create(&options);
	scene->loop = loop_create(64);
	scene->client = resolver_client_create(scene->resolver, scene->loop);
	assert_non_null(scene->client);
	for (int i = 0; i < QUERIES; i++) {
		scene->askers[i].scene = scene;
		resolver_query_init(&scene->askers[i].query, on_result);
	}
}

static inline void scene_open(struct scene *scene)
{
	scene_open_aging(scene, LASTING_MS, LASTING_MS);
}

static inline void scene_close(struct scene *scene)
{
	for (int i = 0; i < QUERIES; i++) {
		resolver_query_cancel(&scene->askers[i].query);
		resolver_list_unref(scene->askers[i].list);
	}
	resolver_client_free(scene->client);
	resolver_free(scene->resolver);
	loop_free(scene->loop);
	name_server_stop(&scene->server);
}

/* Starts query `i`, with the loop's clock up to date; keeps a list that is known at once. */
static inline int ask(struct scene *scene, int i, const char *host)
{
	struct asker *asker = &scene->askers[i];
	struct resolver_list *list = NULL;
	int result;

	play_for(scene->loop, 0);
	result = resolver_query_start(scene->client, span_str(host), 80, &asker->query, &list);
	if (list) {
		resolver_list_unref(asker->list);
		asker->list = list;
	}
	return result;
}

static inline void assert_first(const struct asker *asker, uint32_t count, unsigned int first)
{
	struct text out;
	char want[64];

	assert_non_null(asker->list);
	assert_int_equal(asker->list->count, count);
	text_init(&out);
	address_format(&asker->list->address_list[0], &out);
	snprintf(want, sizeof(want), "10.0.0.%u:80", first);
	assert_string_equal(out.data, want);
	text_done(&out);
}

/* Asks again until query `i` is answered at once with `first` at the front. */
static inline void await_first(struct scene *scene, int i, const char *host, uint32_t count,
			       unsigned int first)
{
	uint64_t until = clock_now_ms() + 10000;
	char last[16];
	struct address want;

	snprintf(last, sizeof(last), "10.0.0.%u", first);
	assert_int_equal(address_parse_ip(span_str(last), 80, &want), 0);
	while (clock_now_ms() < until) {
		resolver_query_cancel(&scene->askers[i].query);
		if (ask(scene, i, host) == 0 && address_eq(&scene->askers[i].list->address_list[0], &want)) {
			assert_int_equal(scene->askers[i].list->count, count);
			return;
		}
		play_for(scene->loop, 5);
	}
	fail_msg("%s never became %s", host, last);
}

/* One time-out of c-ares, so that a question that was lost ends. */
static inline int be_hasty(void **state)
{
	(void)state;
	return setenv("RES_OPTIONS", "timeout:1 attempts:1", 1);
}
