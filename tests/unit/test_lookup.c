/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/play.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/name_server.h"
#include "user/base/clock.h"
#include "user/base/limits.h"
#include "user/net/lookup.h"

struct scene {
	struct name_server server;
	struct lookup_options options;
	struct loop *loop;
	struct lookup *lookup;
	unsigned int calls;
	int result;
	uint32_t count;
	struct address list[LIMIT_ADDRESSES];
};

static void on_done(void *context, int result, struct address *list, uint32_t count)
{
	struct scene *scene = context;

	scene->calls++;
	scene->lookup = NULL;
	scene->result = result;
	scene->count = count;
	memcpy(scene->list, list, count * sizeof(*list));
	loop_stop(scene->loop);
}

static int scene_make(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	assert_int_equal(lookup_init(), 0);
	name_server_start(&scene->server);
	scene->loop = loop_create(16);
	*state = scene;
	return setenv("RES_OPTIONS", "timeout:1 attempts:1", 1);
}

static int scene_drop(void **state)
{
	struct scene *scene = *state;

	lookup_cancel(scene->lookup);
	loop_free(scene->loop);
	name_server_stop(&scene->server);
	free(scene);
	return 0;
}

static void start(struct scene *scene, const char *host)
{
	unsigned int before = scene->calls;

	scene->options.servers = scene->server.address;
	scene->lookup = lookup_start(scene->loop, &scene->options, host, on_done, scene);
	assert_non_null(scene->lookup);
	assert_int_equal(scene->calls, before);
}

static int look_up(struct scene *scene, const char *host)
{
	start(scene, host);
	play(scene->loop);
	return scene->result;
}

static void assert_first(const struct scene *scene, const char *want)
{
	struct address address;

	assert_true(scene->count >= 1);
	assert_int_equal(address_parse_ip(span_str(want), 0, &address), 0);
	assert_true(address_eq(&scene->list[0], &address));
}

#define PLAYED(name) TEST_WITH(name, scene_make, scene_drop)

PLAYED(localhost_and_names_below_it_have_a_loopback_address_and_are_not_asked_for)
{
	static const char *const rows[] = { "localhost", "localhost.", "LocalHost", "a.localhost",
					    "a.b.localhost." };
	struct scene *scene = *state;
	struct address v4, v6;

	assert_int_equal(address_parse_ip(SPAN("127.0.0.0"), 0, &v4), 0);
	assert_int_equal(address_parse_ip(SPAN("::1"), 0, &v6), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(look_up(scene, rows[i]), 0);
		assert_true(scene->count >= 1);
		for (uint32_t j = 0; j < scene->count; j++)
			assert_true(address_in(&scene->list[j], &v4, 8) ||
				    address_in(&scene->list[j], &v6, 128));
	}
	assert_int_equal(name_server_asked(&scene->server), 0);
}

PLAYED(a_number_is_its_own_answer)
{
	static const char *const rows[][2] = { { "192.0.2.7", "192.0.2.7" },
					       { "2001:db8::7", "2001:db8::7" },
					       { "127.1", "127.0.0.1" } };
	struct scene *scene = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(look_up(scene, rows[i][0]), 0);
		assert_int_equal(scene->count, 1);
		assert_first(scene, rows[i][1]);
	}
	assert_int_equal(name_server_asked(&scene->server), 0);
}

PLAYED(a_name_has_the_addresses_that_the_server_says_and_no_more_than_the_limit)
{
	struct scene *scene = *state;

	assert_int_equal(look_up(scene, "name.test"), 0);
	assert_int_equal(scene->count, 2);
	assert_first(scene, "10.0.0.1");
	name_server_set(&scene->server, false, 0, LIMIT_ADDRESSES + 5, 9);
	assert_int_equal(look_up(scene, "name.test"), 0);
	assert_int_equal(scene->count, LIMIT_ADDRESSES);
	assert_first(scene, "10.0.0.9");
}

/* The server has no IPv6; localhost has both. */
PLAYED(only_addresses_of_the_wanted_family_are_used_but_numbers_always)
{
	static const struct {
		enum lookup_family family;
		int named; /* of a name that has IPv4 only */
		bool v4, v6; /* localhost may have them */
	} rows[] = { { LOOKUP_V4_ONLY, 0, true, false },
		     { LOOKUP_V6_ONLY, -ENOENT, false, true },
		     { LOOKUP_V4_FIRST, 0, true, true } };
	struct scene *scene = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		scene->options.family = rows[i].family;
		assert_int_equal(look_up(scene, "name.test"), rows[i].named);
		assert_int_equal(look_up(scene, "localhost"), 0);
		assert_true(scene->count >= 1);
		for (uint32_t j = 0; j < scene->count; j++)
			assert_true(scene->list[j].any.sa_family == AF_INET ? rows[i].v4 : rows[i].v6);
		assert_int_equal(scene->list[0].any.sa_family, rows[i].v4 ? AF_INET : AF_INET6);
		assert_int_equal(look_up(scene, "2001:db8::7"), 0);
		assert_int_equal(look_up(scene, "192.0.2.7"), 0);
	}
}

PLAYED(what_the_server_cannot_say_is_an_error)
{
	static const int rows[] = { -ENOENT, -EAGAIN, -EIO };
	struct scene *scene = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		name_server_set(&scene->server, false, rows[i], 0, 0);
		assert_int_equal(look_up(scene, "name.test"), rows[i]);
		assert_int_equal(scene->count, 0);
	}
	name_server_set(&scene->server, false, 0, 0, 0);
	assert_int_equal(look_up(scene, "name.test"), -ENOENT);
	assert_int_equal(look_up(scene, "a..b"), -ENOENT);
}

PLAYED(a_server_that_is_silent_is_given_up_after_the_time_of_resolv_conf)
{
	struct scene *scene = *state;
	uint64_t begin_ms = clock_now_ms();

	name_server_set(&scene->server, true, 0, 1, 1);
	assert_int_equal(look_up(scene, "name.test."), -EAGAIN);
	assert_true(clock_now_ms() - begin_ms >= 990);
}

PLAYED(a_cancelled_look_up_is_never_done_and_closes_its_sockets)
{
	struct scene *scene = *state;
	uint64_t wakeups;

	name_server_set(&scene->server, true, 0, 1, 1);
	start(scene, "name.test");
	name_server_wait_held(&scene->server, 1);
	lookup_cancel(scene->lookup);
	name_server_set(&scene->server, false, 0, 1, 1);
	wakeups = loop_wakeups(scene->loop);
	play_for(scene->loop, 50);
	assert_true(loop_wakeups(scene->loop) == wakeups);
	start(scene, "localhost"); /* known at once, and not told yet */
	lookup_cancel(scene->lookup);
	scene->lookup = NULL;
	play_for(scene->loop, 20);
	assert_int_equal(scene->calls, 0);
	lookup_cancel(NULL);
}

TEST(errors_have_words)
{
	assert_string_equal(lookup_error_text(-ENOENT), "no such name, or it has no address");
	assert_string_equal(lookup_error_text(-EAGAIN), "no name server answered");
	assert_string_equal(lookup_error_text(-ENOMEM), "Cannot allocate memory");
}
