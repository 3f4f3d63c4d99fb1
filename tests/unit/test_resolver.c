/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/clock_ahead.h"
#include "tests/unit/resolver_play.h"

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
	name_server_set(&scene.server, true, 0, 1, 50);
	clock_put_forward(REFRESH_MS + REFRESH_MS / 4);
	assert_int_equal(ask(&scene, 1, "name"), 0);
	assert_ptr_equal(scene.askers[1].list, before);
	name_server_wait_held(&scene.server, 1);
	assert_int_equal(ask(&scene, 1, "name"), 0);
	name_server_set(&scene.server, false, 0, 1, 50);
	await_first(&scene, 1, "name", 1, 50);
	assert_int_equal(name_server_asked(&scene.server), 2);
	scene_close(&scene);
}

TEST(an_answer_nobody_asked_for_in_a_while_is_not_given_out_unchecked)
{
	struct scene scene;

	scene_open_aging(&scene, REFRESH_MS, LASTING_MS);
	assert_int_equal(ask(&scene, 0, "name"), -EINPROGRESS);
	play(scene.loop);
	name_server_set(&scene.server, false, 0, 1, 50);
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
	assert_int_equal(name_server_asked(&scene.server), 2);
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
	name_server_set(&scene.server, false, -EAGAIN, 0, 0);
	clock_put_forward(2 * REFRESH_MS + 20);
	assert_int_equal(ask(&scene, 1, "name"), -EINPROGRESS);
	scene.stop_at = 2;
	play(scene.loop);
	assert_int_equal(scene.askers[1].result, 0);
	assert_first(&scene.askers[1], 2, 1);
	assert_int_equal(name_server_asked(&scene.server), 2);
	assert_int_equal(ask(&scene, 2, "name"), 0);
	clock_put_forward(NEGATIVE_MS + 10);
	name_server_set(&scene.server, false, 0, 1, 60);
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
		name_server_set(&scene.server, false, errors[i], 0, 0);
		assert_int_equal(ask(&scene, 0, "name"), -EINPROGRESS);
		play(scene.loop);
		assert_int_equal(scene.askers[0].result, errors[i]);
		assert_null(scene.askers[0].list);
		assert_int_equal(ask(&scene, 1, "name"), errors[i]);
		assert_int_equal(name_server_asked(&scene.server), 1);
		name_server_set(&scene.server, false, 0, 1, 9);
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
	name_server_set(&scene.server, false, 0, 0, 0);
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
	name_server_set(&scene.server, false, 0, LIMIT_ADDRESSES + 5, 1);
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
	name_server_set(&scene.server, true, 0, 1, 1);
	assert_int_equal(ask(&scene, 0, "slow"), -EINPROGRESS);
	name_server_wait_held(&scene.server, 1);
	/* The gate opens for everybody, but "slow" is the one that was inside first. */
	assert_int_equal(ask(&scene, 1, "missing"), -EINPROGRESS);
	name_server_wait_held(&scene.server, 2);
	name_server_set(&scene.server, false, 0, 1, 1);
	scene.stop_at = 2;
	play(scene.loop);
	assert_int_equal(scene.askers[0].result, 0);
	assert_int_equal(scene.askers[1].result, -ENOENT);
	scene_close(&scene);
	log_set_level(LOG_INFO);
}

/* All but the first RESOLVER_LOOKUPS wait until one of these has ended. */
TEST(the_queue_is_bounded_and_drains)
{
	static struct asker crowd[RESOLVER_LOOKUPS + LIMIT_RESOLVE_QUEUE + 8];
	struct scene scene;
	int refused = 0;

	scene_open(&scene);
	name_server_set(&scene.server, true, 0, 1, 1);
	for (size_t i = 0; i < ARRAY_LEN(crowd); i++) {
		struct resolver_list *list = NULL;
		char host[16];
		int result;

		crowd[i].scene = &scene;
		resolver_query_init(&crowd[i].query, on_result);
		snprintf(host, sizeof(host), "n%zu", i);
		result = resolver_query_start(scene.client, span_str(host), 80, &crowd[i].query, &list);
		if (result == -ENOBUFS)
			refused++;
		else
			assert_int_equal(result, -EINPROGRESS);
	}
	assert_int_equal(refused, 8);
	name_server_wait_held(&scene.server, RESOLVER_LOOKUPS);
	play_for(scene.loop, 20);
	assert_int_equal(name_server_asked(&scene.server), RESOLVER_LOOKUPS);
	name_server_set(&scene.server, false, 0, 1, 1);
	scene.stop_at = RESOLVER_LOOKUPS + LIMIT_RESOLVE_QUEUE;
	play(scene.loop);
	for (size_t i = 0; i < ARRAY_LEN(crowd) - 8; i++) {
		assert_int_equal(crowd[i].result, 0);
		resolver_list_unref(crowd[i].list);
	}
	scene_close(&scene);
}

static int ask_chosen(struct scene *scene, struct asker *asker, const char *host, bool is_chosen)
{
	struct resolver_list *list = NULL;

	asker->scene = scene;
	resolver_query_init(&asker->query, on_result);
	asker->query.is_chosen = is_chosen;
	return resolver_query_start(scene->client, span_str(host), 80, &asker->query, &list);
}

/* A silent name server: whatever clients choose, names of the configuration are asked for. */
TEST(names_that_clients_choose_leave_half_of_the_look_ups_and_the_queue_to_others)
{
	static struct asker crowd[RESOLVER_LOOKUPS / 2 + LIMIT_RESOLVE_QUEUE + 1],
		ours[RESOLVER_LOOKUPS / 2 + 1];
	struct scene scene;

	scene_open(&scene);
	name_server_set(&scene.server, true, 0, 1, 1);
	for (size_t i = 0; i < ARRAY_LEN(crowd); i++) {
		char host[16];

		snprintf(host, sizeof(host), "n%zu", i);
		assert_int_equal(ask_chosen(&scene, &crowd[i], host, true),
				 i + 1 < ARRAY_LEN(crowd) ? -EINPROGRESS : -ENOBUFS);
	}
	name_server_wait_held(&scene.server, RESOLVER_LOOKUPS / 2);
	for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
		char host[16];

		snprintf(host, sizeof(host), "o%zu", i);
		/* The first one already waits, because a client chose it, too. */
		assert_int_equal(ask_chosen(&scene, &ours[i], i ? host : "n500", false), -EINPROGRESS);
	}
	name_server_wait_held(&scene.server, RESOLVER_LOOKUPS);
	play_for(scene.loop, 20);
	assert_int_equal(name_server_asked(&scene.server), RESOLVER_LOOKUPS);
	name_server_set(&scene.server, false, 0, 1, 1);
	scene.stop_at = ARRAY_LEN(crowd) - 1 + ARRAY_LEN(ours);
	play(scene.loop);
	for (size_t i = 0; i + 1 < ARRAY_LEN(crowd); i++)
		resolver_list_unref(crowd[i].list);
	for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
		assert_int_equal(ours[i].result, 0);
		resolver_list_unref(ours[i].list);
	}
	scene_close(&scene);
}

TEST(a_name_whose_turn_comes_without_memory_fails)
{
	struct asker crowd[RESOLVER_LOOKUPS + 2] = { 0 };
	struct scene scene;

	log_set_level(LOG_ERROR);
	scene_open(&scene);
	name_server_set(&scene.server, true, 0, 1, 1);
	for (size_t i = 0; i < ARRAY_LEN(crowd); i++) {
		struct resolver_list *list = NULL;
		char host[16];

		crowd[i].scene = &scene;
		resolver_query_init(&crowd[i].query, on_result);
		snprintf(host, sizeof(host), "n%zu", i);
		assert_int_equal(
			resolver_query_start(scene.client, span_str(host), 80, &crowd[i].query, &list),
			-EINPROGRESS);
	}
	/* What c-ares refuses stands for want of memory: no further look-up begins. */
	strcpy(scene.server.address, "nonsense");
	name_server_set(&scene.server, false, 0, 1, 1);
	scene.stop_at = ARRAY_LEN(crowd);
	play(scene.loop);
	for (size_t i = 0; i < ARRAY_LEN(crowd); i++) {
		assert_int_equal(crowd[i].result, i < RESOLVER_LOOKUPS ? 0 : -ENOMEM);
		resolver_list_unref(crowd[i].list);
	}
	scene_close(&scene);
	log_set_level(LOG_INFO);
}

TEST(look_ups_do_not_hold_up_the_end)
{
	struct scene scene;
	char host[16];

	scene_open(&scene);
	name_server_set(&scene.server, true, 0, 1, 1);
	for (int i = 0; i < RESOLVER_LOOKUPS + 2; i++) {
		snprintf(host, sizeof(host), "n%d", i);
		assert_int_equal(ask(&scene, 0, host), -EINPROGRESS);
		resolver_query_cancel(&scene.askers[0].query);
	}
	/* Descriptors and memory are gone with it, as the asan profile and the loop see. */
	scene_close(&scene);
	assert_int_equal(scene.calls, 0);
}

TEST(a_resolver_without_memory_is_not_made)
{
	struct resolver_options options = { .refresh_ms = 0 };

	mem_fail_nth(1);
	errno = 0;
	assert_null(resolver_create(&options));
	assert_int_equal(errno, ENOMEM);
	mem_fail_nth(0);
	resolver_free(NULL);
}

TEST(an_address_that_answers_no_questions_is_no_name_server)
{
	struct resolver_options options = { .lookup.servers = "127.0.0.1:1,127.0.0.2:1" };
	struct scene scene;

	log_set_level(LOG_ERROR);
	scene_open(&scene);
	resolver_client_free(scene.client);
	resolver_free(scene.resolver);
	scene.resolver = resolver_create(&options);
	scene.client = resolver_client_create(scene.resolver, scene.loop);
	assert_int_equal(ask(&scene, 0, "name"), -EINPROGRESS);
	play(scene.loop);
	assert_int_equal(scene.askers[0].result, -EAGAIN);
	scene_close(&scene);
	log_set_level(LOG_INFO);
}

TEST_GROUP(be_hasty, NULL);
