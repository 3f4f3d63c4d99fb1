/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/clock_ahead.h"
#include "tests/unit/resolver_play.h"

#include "tests/lib/alloc.h"
#include "user/base/limits.h"
#include "user/base/log.h"
#include "user/base/mem.h"

TEST(a_name_is_looked_up_once_and_then_known)
{
	struct scene scene;

	scene_open(&scene);
	assert_int_equal(ask(&scene, 0, "name"), -EINPROGRESS);
	assert_int_equal(scene.askers[0].calls, 0);
	play(scene.loop);
	assert_int_equal(scene.askers[0].result, 0);
	assert_first(&scene.askers[0], 2, 1);
	assert_int_equal(ask(&scene, 1, "name"), 0);
	assert_ptr_equal(scene.askers[0].list, scene.askers[1].list);
	assert_int_equal(name_server_asked(&scene.server), 1);
	scene_close(&scene);
}

TEST(literals_need_no_look_up)
{
	static const char *const rows[] = { "192.0.2.1", "::1" };
	struct scene scene;

	scene_open(&scene);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(ask(&scene, 0, rows[i]), 0);
		assert_int_equal(scene.askers[0].list->count, 1);
		assert_int_equal(address_port(&scene.askers[0].list->address_list[0]), 80);
	}
	assert_int_equal(name_server_asked(&scene.server), 0);
	scene_close(&scene);
}

TEST(what_no_host_can_be_called_is_refused_at_once)
{
	static const char *const rows[] = { "", "a b", "a/b", "a\nb", "a\"", "\xc3\xa4.example", "[::1]" };
	char long_name[256];
	struct scene scene;

	scene_open(&scene);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(ask(&scene, 0, rows[i]), -EINVAL);
	memset(long_name, 'a', 254);
	long_name[254] = '\0';
	assert_int_equal(ask(&scene, 0, long_name), -EINVAL);
	long_name[253] = '\0';
	assert_int_equal(ask(&scene, 0, long_name), -EINPROGRESS);
	scene_close(&scene);
}

TEST(all_who_wait_for_a_name_share_one_look_up_and_one_list)
{
	struct scene scene;

	scene_open(&scene);
	name_server_set(&scene.server, true, 0, 3, 7);
	for (int i = 0; i < QUERIES; i++)
		assert_int_equal(ask(&scene, i, "name"), -EINPROGRESS);
	name_server_set(&scene.server, false, 0, 3, 7);
	scene.stop_at = QUERIES;
	play(scene.loop);
	for (int i = 0; i < QUERIES; i++) {
		assert_int_equal(scene.askers[i].calls, 1);
		assert_first(&scene.askers[i], 3, 7);
		assert_ptr_equal(scene.askers[i].list, scene.askers[0].list);
	}
	assert_int_equal(name_server_asked(&scene.server), 1);
	scene_close(&scene);
}

TEST(two_workers_share_the_process_cache)
{
	struct scene scene;
	struct resolver_client *other;
	struct resolver_query query;
	struct resolver_list *list = NULL;

	scene_open(&scene);
	assert_int_equal(ask(&scene, 0, "name"), -EINPROGRESS);
	play(scene.loop);
	other = resolver_client_create(scene.resolver, scene.loop);
	resolver_query_init(&query, on_result);
	assert_int_equal(resolver_query_start(other, SPAN("name"), 80, &query, &list), 0);
	assert_ptr_equal(list, scene.askers[0].list);
	resolver_list_unref(list);
	assert_int_equal(name_server_asked(&scene.server), 1);
	resolver_client_free(other);
	scene_close(&scene);
}

TEST(an_old_answer_is_renewed_by_one_worker_while_the_others_keep_it)
{
	enum { REFRESH_MS = 60000 };
	struct scene scene;
	struct resolver_client *other;
	struct resolver_list *list = NULL;

	scene_open_aging(&scene, REFRESH_MS, LASTING_MS);
	other = resolver_client_create(scene.resolver, scene.loop);
	assert_int_equal(ask(&scene, 0, "name"), -EINPROGRESS);
	play(scene.loop);
	name_server_set(&scene.server, true, 0, 1, 50);
	clock_put_forward(REFRESH_MS + REFRESH_MS / 8);
	assert_int_equal(ask(&scene, 0, "name"), 0);
	name_server_wait_held(&scene.server, 1);
	assert_int_equal(resolver_query_start(other, SPAN("name"), 80, &scene.askers[1].query, &list), 0);
	assert_ptr_equal(list, scene.askers[0].list);
	resolver_list_unref(list);
	play_for(scene.loop, 50);
	assert_int_equal(name_server_asked(&scene.server), 2);
	resolver_client_free(other);
	scene_close(&scene);
}

TEST(a_cancelled_query_is_never_called)
{
	struct scene scene;

	scene_open(&scene);
	name_server_set(&scene.server, true, 0, 1, 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(ask(&scene, i, "name"), -EINPROGRESS);
	resolver_query_cancel(&scene.askers[1].query);
	resolver_query_cancel(&scene.askers[1].query);
	name_server_set(&scene.server, false, 0, 1, 1);
	scene.stop_at = 2;
	play(scene.loop);
	play_for(scene.loop, 10);
	assert_int_equal(scene.askers[0].calls, 1);
	assert_int_equal(scene.askers[1].calls, 0);
	assert_int_equal(scene.askers[2].calls, 1);
	scene_close(&scene);
}

static void cancel_the_next(struct asker *asker)
{
	struct resolver_list *list = NULL;

	resolver_query_cancel(&asker[1].query);
	/* Asking again from inside the answer is served from what has just arrived. */
	assert_int_equal(resolver_query_start(asker->scene->client, SPAN("name"), 80, &asker[1].query, &list),
			 0);
	resolver_list_unref(list);
}

TEST(an_answer_may_cancel_its_neighbour_and_ask_again)
{
	struct scene scene;

	scene_open(&scene);
	name_server_set(&scene.server, true, 0, 1, 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(ask(&scene, i, "name"), -EINPROGRESS);
	scene.askers[0].at_result = cancel_the_next;
	name_server_set(&scene.server, false, 0, 1, 1);
	scene.stop_at = 2;
	play(scene.loop);
	assert_int_equal(scene.askers[1].calls, 0);
	assert_int_equal(scene.askers[2].calls, 1);
	scene_close(&scene);
}

TEST(the_least_recently_used_names_make_room)
{
	struct scene scene;

	scene_open(&scene);
	scene.stop_at = 0;
	for (int i = 0; i < LIMIT_RESOLVE_NAMES + 100; i++) {
		struct resolver_list *list = NULL;
		char host[16];
		int result;

		snprintf(host, sizeof(host), "n%d", i);
		scene.stop_at = scene.calls + 1;
		result =
			resolver_query_start(scene.client, span_str(host), 80, &scene.askers[0].query, &list);
		assert_int_equal(result, -EINPROGRESS);
		play(scene.loop);
	}
	assert_int_equal(name_server_asked(&scene.server), LIMIT_RESOLVE_NAMES + 100);
	scene_close(&scene);
}

TEST(a_client_that_is_freed_while_a_look_up_runs_hears_nothing_more)
{
	struct scene scene;
	uint64_t wakeups;

	scene_open(&scene);
	name_server_set(&scene.server, true, 0, 1, 1);
	assert_int_equal(ask(&scene, 0, "name"), -EINPROGRESS);
	assert_int_equal(ask(&scene, 1, "other"), -EINPROGRESS);
	name_server_wait_held(&scene.server, 2);
	resolver_query_cancel(&scene.askers[0].query);
	resolver_query_cancel(&scene.askers[1].query);
	resolver_client_free(scene.client);
	scene.client = NULL;
	name_server_set(&scene.server, false, 0, 1, 1);
	wakeups = loop_wakeups(scene.loop);
	play_for(scene.loop, 50);
	assert_true(loop_wakeups(scene.loop) == wakeups);
	scene_close(&scene);
	assert_int_equal(scene.calls, 0);
}

static int create_query_and_free(void *context)
{
	struct scene *scene = context;
	struct resolver_client *client = resolver_client_create(scene->resolver, scene->loop);
	struct resolver_query query;
	struct resolver_list *list = NULL;
	int result;

	if (!client)
		return -ENOMEM;
	resolver_query_init(&query, on_result);
	result = resolver_query_start(client, SPAN("name"), 80, &query, &list);
	resolver_list_unref(list);
	if (result == 0) {
		list = NULL;
		result = resolver_query_start(client, SPAN("192.0.2.1"), 80, &query, &list);
		resolver_list_unref(list);
	}
	resolver_client_free(client);
	return result;
}

TEST(each_allocation_of_a_query_may_fail)
{
	struct scene scene;

	scene_open(&scene);
	assert_int_equal(ask(&scene, 0, "name"), -EINPROGRESS);
	play(scene.loop);
	assert_int_equal(alloc_fail_each(create_query_and_free, &scene), 3);
	mem_fail_nth(2);
	assert_int_equal(ask(&scene, 1, "other"), -ENOMEM);
	mem_fail_nth(0);
	assert_int_equal(ask(&scene, 1, "other"), -EINPROGRESS);
	scene_close(&scene);
}

static int look_up_a_new_name(void *context)
{
	struct scene *scene = context;
	static unsigned int serial;
	char host[16];
	int result;

	snprintf(host, sizeof(host), "a%u", serial++);
	scene->stop_at = scene->calls + 1;
	result = ask(scene, 0, host);
	if (result == -EINPROGRESS) {
		play(scene->loop);
		result = scene->askers[0].result;
	}
	/* c-ares without memory may take an answer for nonsense, or for none. */
	return result == -EIO || result == -EAGAIN || result == -ENOENT ? -ENOMEM : result;
}

TEST(each_allocation_of_a_look_up_may_fail)
{
	struct scene scene;

	log_set_level(LOG_ERROR);
	scene_open(&scene);
	assert_true(alloc_fail_each(look_up_a_new_name, &scene) > 20);
	assert_int_equal(look_up_a_new_name(&scene), 0);
	scene_close(&scene);
	log_set_level(LOG_INFO);
}

TEST_GROUP(be_hasty, NULL);
