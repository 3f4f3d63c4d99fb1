/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/clock_ahead.h"
#include "tests/unit/resolver_play.h"

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#include "user/base/limits.h"
#include "user/base/log.h"
#include "user/base/mem.h"

/* Long enough for a slow machine: the clock is put forward. */
enum { REFRESH_MS = 60000, NEGATIVE_MS = 20000 };

TEST(an_old_answer_serves_while_the_new_one_is_fetched)
{
	struct resolver_list *before;
	struct scene scene;

	scene_open_aging(&scene, REFRESH_MS, LASTING_MS);
	assert_int_equal(ask(&scene, 0, "name"), -EINPROGRESS);
	play(scene.loop);
	before = scene.askers[0].list;
	service_set(&scene.service, true, 0, 1, 50);
	clock_put_forward(REFRESH_MS + REFRESH_MS / 4);
	assert_int_equal(ask(&scene, 1, "name"), 0);
	assert_ptr_equal(scene.askers[1].list, before);
	service_wait_inside(&scene.service, 1);
	assert_int_equal(ask(&scene, 1, "name"), 0);
	service_set(&scene.service, false, 0, 1, 50);
	await_first(&scene, 1, "name", 1, 50);
	assert_int_equal(service_asked(&scene.service), 2);
	scene_close(&scene);
}

TEST(an_answer_nobody_asked_for_in_a_while_is_not_given_out_unchecked)
{
	struct scene scene;

	scene_open_aging(&scene, REFRESH_MS, LASTING_MS);
	assert_int_equal(ask(&scene, 0, "name"), -EINPROGRESS);
	play(scene.loop);
	service_set(&scene.service, false, 0, 1, 50);
	clock_put_forward(2 * REFRESH_MS + 20);
	assert_int_equal(ask(&scene, 1, "name"), -EINPROGRESS);
	scene.stop_at = 2;
	play(scene.loop);
	assert_first(&scene.askers[1], 1, 50);
	scene_close(&scene);
}

TEST(an_unchanged_answer_keeps_its_list)
{
	struct scene scene;

	scene_open_aging(&scene, REFRESH_MS, LASTING_MS);
	assert_int_equal(ask(&scene, 0, "name"), -EINPROGRESS);
	play(scene.loop);
	clock_put_forward(2 * REFRESH_MS + 20);
	assert_int_equal(ask(&scene, 1, "name"), -EINPROGRESS);
	scene.stop_at = 2;
	play(scene.loop);
	assert_int_equal(service_asked(&scene.service), 2);
	assert_ptr_equal(scene.askers[0].list, scene.askers[1].list);
	scene_close(&scene);
}

TEST(a_failed_refresh_keeps_the_old_addresses_and_is_tried_again_soon)
{
	struct scene scene;

	log_set_level(LOG_ERROR);
	scene_open_aging(&scene, REFRESH_MS, NEGATIVE_MS);
	assert_int_equal(ask(&scene, 0, "name"), -EINPROGRESS);
	play(scene.loop);
	service_set(&scene.service, false, -EAGAIN, 0, 0);
	clock_put_forward(2 * REFRESH_MS + 20);
	assert_int_equal(ask(&scene, 1, "name"), -EINPROGRESS);
	scene.stop_at = 2;
	play(scene.loop);
	assert_int_equal(scene.askers[1].result, 0);
	assert_first(&scene.askers[1], 2, 1);
	assert_int_equal(service_asked(&scene.service), 2);
	assert_int_equal(ask(&scene, 2, "name"), 0);
	clock_put_forward(NEGATIVE_MS + 10);
	service_set(&scene.service, false, 0, 1, 60);
	assert_int_equal(ask(&scene, 2, "name"), 0);
	assert_first(&scene.askers[2], 2, 1);
	await_first(&scene, 2, "name", 1, 60);
	scene_close(&scene);
	log_set_level(LOG_INFO);
}

TEST(a_name_without_addresses_fails_for_a_moment_without_asking_again)
{
	static const int errors[] = { -ENOENT, -EAGAIN, -EIO };
	struct scene scene;

	log_set_level(LOG_ERROR);
	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		scene_open_aging(&scene, LASTING_MS, NEGATIVE_MS);
		service_set(&scene.service, false, errors[i], 0, 0);
		assert_int_equal(ask(&scene, 0, "name"), -EINPROGRESS);
		play(scene.loop);
		assert_int_equal(scene.askers[0].result, errors[i]);
		assert_null(scene.askers[0].list);
		assert_int_equal(ask(&scene, 1, "name"), errors[i]);
		assert_int_equal(service_asked(&scene.service), 1);
		service_set(&scene.service, false, 0, 1, 9);
		clock_put_forward(NEGATIVE_MS + 10);
		assert_int_equal(ask(&scene, 1, "name"), -EINPROGRESS);
		scene.stop_at = 2;
		play(scene.loop);
		assert_first(&scene.askers[1], 1, 9);
		scene_close(&scene);
	}
	log_set_level(LOG_INFO);
}

TEST(no_address_at_all_is_no_such_name)
{
	struct scene scene;

	log_set_level(LOG_ERROR);
	scene_open(&scene);
	service_set(&scene.service, false, 0, 0, 0);
	assert_int_equal(ask(&scene, 0, "name"), -EINPROGRESS);
	play(scene.loop);
	assert_int_equal(scene.askers[0].result, -ENOENT);
	scene_close(&scene);
	log_set_level(LOG_INFO);
}

TEST(only_the_first_addresses_of_a_long_answer_are_kept)
{
	struct scene scene;

	scene_open(&scene);
	service_set(&scene.service, false, 0, LIMIT_ADDRESSES + 5, 1);
	assert_int_equal(ask(&scene, 0, "name"), -EINPROGRESS);
	play(scene.loop);
	assert_first(&scene.askers[0], LIMIT_ADDRESSES, 1);
	scene_close(&scene);
}

TEST(a_name_that_hangs_does_not_hold_up_another)
{
	struct scene scene;

	log_set_level(LOG_ERROR);
	scene_open(&scene);
	service_set(&scene.service, true, 0, 1, 1);
	assert_int_equal(ask(&scene, 0, "slow"), -EINPROGRESS);
	service_wait_inside(&scene.service, 1);
	/* The gate opens for everybody, but "slow" is the one that was inside first. */
	assert_int_equal(ask(&scene, 1, "missing"), -EINPROGRESS);
	service_wait_inside(&scene.service, 2);
	service_set(&scene.service, false, 0, 1, 1);
	scene.stop_at = 2;
	play(scene.loop);
	assert_int_equal(scene.askers[0].result, 0);
	assert_int_equal(scene.askers[1].result, -ENOENT);
	scene_close(&scene);
	log_set_level(LOG_INFO);
}

static unsigned int idle_threads; /* before there was a resolver; a sanitizer may have one of its own */

static unsigned int threads_of_this_process(void)
{
	unsigned int count = 0;
	DIR *directory = opendir("/proc/self/task");

	assert_non_null(directory);
	for (struct dirent *entry = readdir(directory); entry; entry = readdir(directory))
		count += entry->d_name[0] != '.';
	closedir(directory);
	return count;
}

static void await_threads(unsigned int count)
{
	uint64_t until = clock_now_ms() + 10000;

	while (threads_of_this_process() != count && clock_now_ms() < until)
		usleep(1000);
	assert_int_equal(threads_of_this_process(), count);
}

TEST(threads_are_started_for_look_ups_and_end_when_no_name_waits)
{
	struct scene scene;

	await_threads(idle_threads);
	scene_open(&scene);
	assert_int_equal(threads_of_this_process(), idle_threads);
	service_set(&scene.service, true, 0, 1, 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(ask(&scene, i, (const char *[]){ "a", "b", "c" }[i]), -EINPROGRESS);
	service_wait_inside(&scene.service, 2);
	assert_int_equal(threads_of_this_process(), idle_threads + 2);
	service_set(&scene.service, false, 0, 1, 1);
	scene.stop_at = 3;
	play(scene.loop);
	await_threads(idle_threads);
	scene_close(&scene);
}

TEST(a_look_up_without_a_thread_fails_and_the_next_is_tried)
{
	struct scene scene;
	pthread_attr_t before;
	pthread_attr_t huge;

	scene_open(&scene);
	assert_int_equal(pthread_getattr_default_np(&before), 0);
	pthread_attr_init(&huge);
	assert_int_equal(pthread_attr_setstacksize(&huge, (size_t)1 << 47), 0);
	assert_int_equal(pthread_setattr_default_np(&huge), 0);
	assert_int_equal(ask(&scene, 0, "name"), -ENOMEM);
	assert_int_equal(pthread_setattr_default_np(&before), 0);
	assert_int_equal(ask(&scene, 0, "name"), -EINPROGRESS);
	play(scene.loop);
	assert_first(&scene.askers[0], 2, 1);
	pthread_attr_destroy(&huge);
	pthread_attr_destroy(&before);
	scene_close(&scene);
}

TEST(the_queue_is_bounded)
{
	static struct asker crowd[LIMIT_RESOLVE_QUEUE + 8];
	struct scene scene;
	int refused = 0;

	scene_open(&scene);
	service_set(&scene.service, true, 0, 1, 1);
	for (size_t i = 0; i < ARRAY_LEN(crowd); i++) {
		struct resolver_list *list = NULL;
		char host[16];
		int result;

		crowd[i].scene = &scene;
		resolver_query_init(&crowd[i].query, on_result);
		snprintf(host, sizeof(host), "n%zu", i);
		result = resolver_query_start(scene.client, span_str(host), 80, &crowd[i].query, &list);
		if (i == 1)
			service_wait_inside(&scene.service, 2);
		if (result == -ENOBUFS)
			refused++;
		else
			assert_int_equal(result, -EINPROGRESS);
	}
	assert_int_equal(refused, 8 - 2);
	for (size_t i = 0; i < ARRAY_LEN(crowd); i++)
		resolver_query_cancel(&crowd[i].query);
	scene_close(&scene);
}

TEST(a_thread_that_hangs_does_not_hold_up_the_end)
{
	static struct scene scene;
	uint64_t start_ms;

	scene_open(&scene);
	service_set(&scene.service, true, 0, 1, 1);
	assert_int_equal(ask(&scene, 0, "name"), -EINPROGRESS);
	service_wait_inside(&scene.service, 1);
	resolver_query_cancel(&scene.askers[0].query);
	resolver_client_close(scene.client);
	mailbox_drain(scene.mailbox);
	resolver_client_free(scene.client);
	start_ms = clock_now_ms();
	resolver_free(scene.resolver);
	assert_in_range(clock_now_ms() - start_ms, RESOLVER_JOIN_MS, RESOLVER_JOIN_MS + 5000);
	mailbox_free(scene.mailbox);
	loop_free(scene.loop);
	/*
	 * The thread left behind ends by itself and frees the rest: the leak check of the asan profile sees
	 * it.
	 */
	service_set(&scene.service, false, 0, 1, 1);
	pthread_mutex_lock(&scene.service.lock);
	while (scene.service.inside > 0) {
		pthread_mutex_unlock(&scene.service.lock);
		usleep(1000);
		pthread_mutex_lock(&scene.service.lock);
	}
	pthread_mutex_unlock(&scene.service.lock);
	usleep(50000);
}

TEST(a_resolver_without_memory_is_not_made)
{
	struct resolver_options options = { .threads = 1 };

	mem_fail_nth(1);
	errno = 0;
	assert_null(resolver_create(&options));
	assert_int_equal(errno, ENOMEM);
	mem_fail_nth(0);
	resolver_free(NULL);
}

TEST(the_defaults_resolve_localhost_of_this_machine)
{
	struct resolver_options options = { .refresh_ms = 0 };
	struct scene scene = { .stop_at = 1 };
	struct resolver_list *list = NULL;

	scene.resolver = resolver_create(&options);
	scene.loop = loop_create(16);
	scene.mailbox = mailbox_create(scene.loop, NULL);
	scene.client = resolver_client_create(scene.resolver, scene.loop, scene.mailbox);
	scene.askers[0].scene = &scene;
	resolver_query_init(&scene.askers[0].query, on_result);
	assert_int_equal(
		resolver_query_start(scene.client, SPAN("localhost"), 80, &scene.askers[0].query, &list),
		-EINPROGRESS);
	play(scene.loop);
	assert_int_equal(scene.askers[0].result, 0);
	assert_int_equal(address_port(&scene.askers[0].list->address_list[0]), 80);
	resolver_list_unref(scene.askers[0].list);
	resolver_client_close(scene.client);
	resolver_client_free(scene.client);
	resolver_free(scene.resolver);
	mailbox_free(scene.mailbox);
	loop_free(scene.loop);
}

static int be_hasty(void **state)
{
	(void)state;
	idle_threads = threads_of_this_process();
	return setenv("RES_OPTIONS", "timeout:1 attempts:1", 1);
}

TEST_GROUP(be_hasty, NULL);
