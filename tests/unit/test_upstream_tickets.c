/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"
#include "tests/unit/tls_play.h"

#include <stdio.h>

#include "user/base/limits.h"
#include "user/upstream/upstream_pool.h"

/* A worker's pool without connections, and tickets of real handshakes. */
struct scene {
	struct tls_play play;
	struct static_config config;
	struct keepalive_policy keepalive;
	struct upstream_pool pool;
};

static int scene_make(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	tls_play_init(&scene->play);
	scene->pool.loop = loop_create(16);
	scene->pool.config = &scene->config;
	assert_non_null(scene->pool.loop);
	upstream_pool_init(&scene->pool);
	*state = scene;
	return 0;
}

static int scene_drop(void **state)
{
	struct scene *scene = *state;

	upstream_pool_done(&scene->pool);
	assert_int_equal(scene->pool.endpoint_count, 0);
	assert_int_equal(scene->pool.remembered_count, 0);
	loop_free(scene->pool.loop);
	tls_play_done(&scene->play);
	free(scene);
	return 0;
}

#define SCENE_TEST(name) TEST_WITH(name, scene_make, scene_drop)

/* The newest of a handshake. */
static struct ssl_session_st *ticket_of(struct tls_play *from)
{
	struct ssl_session_st *ticket;

	tls_play_meet(from, "a.example", NULL);
	ticket = from->ticket;
	assert_non_null(ticket);
	from->ticket = NULL;
	return ticket;
}

SCENE_TEST(the_newest_tickets_are_kept_and_the_newest_is_taken_first)
{
	struct scene *scene = *state;
	struct ssl_session_st *list[TLS_TICKETS_MAX + 2];
	struct tls_tickets tickets = { 0 };

	assert_null(tls_tickets_take(&tickets));
	for (size_t i = 0; i < ARRAY_LEN(list); i++) {
		list[i] = ticket_of(&scene->play);
		tls_tickets_keep(&tickets, list[i]);
	}
	assert_int_equal(tickets.count, TLS_TICKETS_MAX);
	for (size_t i = ARRAY_LEN(list); i-- > 3;) {
		assert_ptr_equal(tls_tickets_take(&tickets), list[i]);
		tls_resume_free(list[i]);
	}
	tls_tickets_done(&tickets);
	assert_int_equal(tickets.count, 0);
	tls_tickets_done(&tickets);
}

static struct upstream_endpoint *endpoint_of(struct scene *scene, unsigned int number)
{
	char text[32];
	struct endpoint where = { .is_resolved = true };
	struct upstream_wants wants = { .keepalive = &scene->keepalive, .tls = &scene->play.client_settings };
	struct upstream_endpoint *endpoint;

	snprintf(text, sizeof(text), "10.0.0.1:%u", number);
	where.text = span_str(text);
	endpoint = upstream_pool_endpoint(&scene->pool, &where, &wants);
	assert_non_null(endpoint);
	return endpoint;
}

SCENE_TEST(an_endpoint_with_a_ticket_is_remembered_for_a_while)
{
	struct scene *scene = *state;
	struct upstream_pool *pool = &scene->pool;
	struct upstream_endpoint *endpoint = endpoint_of(scene, 1), *again;

	upstream_pool_leave(pool, endpoint);
	assert_int_equal(pool->endpoint_count, 0); /* without one it is not */
	endpoint = endpoint_of(scene, 1);
	tls_tickets_keep(&endpoint->tickets, ticket_of(&scene->play));
	upstream_pool_leave(pool, endpoint);
	assert_int_equal(pool->remembered_count, 1);
	again = endpoint_of(scene, 1);
	assert_ptr_equal(again, endpoint);
	assert_int_equal(again->tickets.count, 1);
	assert_int_equal(pool->remembered_count, 0);
	upstream_pool_leave(pool, again);
	/* Its time is over when the next one is remembered. */
	endpoint->remember_until_ms = loop_now_ms(pool->loop);
	endpoint = endpoint_of(scene, 2);
	tls_tickets_keep(&endpoint->tickets, ticket_of(&scene->play));
	upstream_pool_leave(pool, endpoint);
	assert_int_equal(pool->remembered_count, 1);
	assert_int_equal(pool->endpoint_count, 1);
	/* Used up, it is nothing worth keeping. */
	endpoint = endpoint_of(scene, 2);
	tls_tickets_done(&endpoint->tickets);
	upstream_pool_leave(pool, endpoint);
	assert_int_equal(pool->endpoint_count, 0);
}

SCENE_TEST(of_too_many_remembered_endpoints_the_oldest_goes)
{
	struct scene *scene = *state;
	struct upstream_pool *pool = &scene->pool;

	for (unsigned int i = 0; i < LIMIT_TLS_REMEMBERED + 2; i++) {
		struct upstream_endpoint *endpoint = endpoint_of(scene, i);

		tls_tickets_keep(&endpoint->tickets, ticket_of(&scene->play));
		/* One that failed stays, but without its ticket. */
		if (i == 0)
			balance_connect_failed(&endpoint->load, loop_now_ms(pool->loop));
		upstream_pool_leave(pool, endpoint);
	}
	assert_int_equal(pool->remembered_count, LIMIT_TLS_REMEMBERED);
	assert_int_equal(pool->endpoint_count, LIMIT_TLS_REMEMBERED + 1);
	for (unsigned int i = 0; i < 3; i++) {
		struct upstream_endpoint *endpoint = endpoint_of(scene, i);

		assert_int_equal(endpoint->tickets.count, i == 2);
		endpoint->load.failures = 0;
		upstream_pool_leave(pool, endpoint);
	}
}
