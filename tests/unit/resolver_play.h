/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/unit/play.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "user/base/clock.h"
#include "user/net/resolver.h"

/* Answers last where their age is not the claim: a test must not fail because it was held up. */
enum { LASTING_MS = 600000, QUERIES = 8 };

/*
 * The name service of these tests: what it says, how often it was asked, and a gate that holds answers back.
 */
struct service {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool is_held;
	unsigned int asked;
	unsigned int inside;
	int result;
	uint32_t count;
	uint8_t first; /* last byte of the first address */
	bool has_signal_open; /* a look-up thread could receive SIGTERM */
};

static inline int service_lookup(void *context, const char *host, struct address *list, uint32_t max,
				 uint32_t *ret_count)
{
	struct service *service = context;
	sigset_t blocked;
	int result;

	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	pthread_mutex_lock(&service->lock);
	service->has_signal_open |= !sigismember(&blocked, SIGTERM);
	service->asked++;
	service->inside++;
	pthread_cond_broadcast(&service->changed);
	while (service->is_held)
		pthread_cond_wait(&service->changed, &service->lock);
	service->inside--;
	result = strcmp(host, "missing") == 0 ? -ENOENT : service->result;
	for (uint32_t i = 0; result == 0 && i < service->count && i < max; i++) {
		char text[32];

		snprintf(text, sizeof(text), "10.0.0.%u", service->first + i);
		address_parse_ip(span_str(text), 0, &list[i]);
		*ret_count = i + 1;
	}
	pthread_mutex_unlock(&service->lock);
	return result;
}

static inline void service_set(struct service *service, bool is_held, int result, uint32_t count,
			       uint8_t first)
{
	pthread_mutex_lock(&service->lock);
	service->is_held = is_held;
	service->result = result;
	service->count = count;
	service->first = first;
	pthread_cond_broadcast(&service->changed);
	pthread_mutex_unlock(&service->lock);
}

static inline unsigned int service_asked(struct service *service)
{
	unsigned int asked;

	pthread_mutex_lock(&service->lock);
	asked = service->asked;
	pthread_mutex_unlock(&service->lock);
	return asked;
}

static inline void service_wait_inside(struct service *service, unsigned int count)
{
	pthread_mutex_lock(&service->lock);
	while (service->inside < count)
		pthread_cond_wait(&service->changed, &service->lock);
	pthread_mutex_unlock(&service->lock);
}

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
	struct service service;
	struct resolver *resolver;
	struct loop *loop;
	struct mailbox *mailbox;
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
	struct resolver_options options = {
		.refresh_ms = refresh_ms,
		.negative_ms = negative_ms,
		.threads = 2,
		.lookup = service_lookup,
		.context = &scene->service,
	};

	*scene = (struct scene){ .stop_at = 1, .service = { .count = 2, .first = 1 } };
	pthread_mutex_init(&scene->service.lock, NULL);
	pthread_cond_init(&scene->service.changed, NULL);
	scene->resolver = resolver_create(&options);
	scene->loop = loop_create(16);
	scene->mailbox = mailbox_create(scene->loop, NULL);
	scene->client = resolver_client_create(scene->resolver, scene->loop, scene->mailbox);
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
	resolver_client_close(scene->client);
	resolver_client_close(scene->client);
	mailbox_drain(scene->mailbox);
	resolver_client_free(scene->client);
	service_set(&scene->service, false, 0, 1, 1);
	resolver_free(scene->resolver);
	mailbox_free(scene->mailbox);
	loop_free(scene->loop);
	assert_false(scene->service.has_signal_open);
	pthread_cond_destroy(&scene->service.changed);
	pthread_mutex_destroy(&scene->service.lock);
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
