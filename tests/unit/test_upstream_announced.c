/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/pool_play.h"

/* Connections that announce a client with a PROXY header. */

static struct upstream_endpoint *announced_of(struct scene *scene, struct list *records, const char *header)
{
	struct upstream_pool *pool = &scene->proxy.pool;
	struct upstream_endpoint *shared, *record;

	scene->wants.proxy_version = 1;
	shared = endpoint_of(scene);
	record = records ? upstream_pool_find_announced(pool, shared, records) : NULL;
	if (!record)
		record = upstream_pool_announce(pool, shared, records, span_str(header));
	assert_non_null(record);
	assert_ptr_equal(record->shared, shared);
	assert_true(span_eq(record->proxy_header, span_str(header)));
	return record;
}

SCENE_TEST(connections_that_announce_a_client_are_for_this_client_and_end_with_it)
{
	struct scene *scene = *state;
	struct upstream_pool *pool = &scene->proxy.pool;
	struct upstream_endpoint *plain = endpoint_of(scene), *shared;
	struct list clients[2], *one = &clients[0], *other = &clients[1];
	struct upstream_endpoint *first, *second;
	struct upstream *upstream;
	int far;

	list_init(one);
	list_init(other);
	first = announced_of(scene, one, "one");
	second = announced_of(scene, other, "other");
	shared = first->shared;
	assert_ptr_not_equal(shared, plain);
	assert_ptr_not_equal(first, second);
	assert_ptr_equal(second->shared, shared);
	assert_true(span_eq(shared->proxy_header, SPAN("PROXY UNKNOWN\r\n")));
	assert_int_equal(plain->proxy_header.len, 0);
	upstream = connect_one(scene, first, &far);
	upstream_pool_give(pool, upstream);
	upstream_pool_leave(pool, first);
	assert_null(upstream_pool_take(pool, second, false));
	assert_null(upstream_pool_take(pool, shared, false));
	assert_null(upstream_pool_take(pool, plain, false));
	assert_ptr_equal(announced_of(scene, one, "one"), first);
	assert_ptr_equal(upstream_pool_take(pool, first, false), upstream);
	/* It is in use when the client ends. */
	upstream_pool_forget_client(pool, one);
	assert_true(list_is_empty(one));
	upstream_pool_give(pool, upstream);
	assert_ended(far);
	upstream_pool_leave(pool, first);
	/* Idle when the client ends. */
	upstream_pool_give(pool, connect_one(scene, second, &far));
	upstream_pool_leave(pool, second);
	assert_int_equal(pool->endpoint_count, 3);
	upstream_pool_forget_client(pool, other);
	assert_ended(far);
	assert_int_equal(pool->endpoint_count, 1);
	upstream_pool_leave(pool, plain);
}

SCENE_TEST(a_connection_for_one_use_is_not_kept)
{
	struct scene *scene = *state;
	struct upstream_endpoint *record = announced_of(scene, NULL, "tunnel");
	int far;

	upstream_pool_give(&scene->proxy.pool, connect_one(scene, record, &far));
	assert_ended(far);
	upstream_pool_leave(&scene->proxy.pool, record);
}

SCENE_TEST(a_client_keeps_few_connections_and_they_go_when_descriptors_are_short)
{
	struct scene *scene = *state;
	struct upstream_pool *pool = &scene->proxy.pool;
	struct upstream_endpoint *record;
	int far[LIMIT_ANNOUNCED_IDLE + 1], many[LIMIT_ANNOUNCED_ENDPOINTS + 1];
	char text[] = "127.0.0.1:a";
	struct list client;

	list_init(&client);
	record = announced_of(scene, &client, "client");
	for (size_t i = 0; i < ARRAY_LEN(far); i++)
		upstream_pool_give(pool, connect_one(scene, record, &far[i]));
	upstream_pool_leave(pool, record);
	assert_ended(far[0]);
	for (size_t i = 1; i < ARRAY_LEN(far); i++) {
		assert_int_equal(pool->idle_count, ARRAY_LEN(far) - i);
		assert_true(upstream_pool_shed(pool));
		assert_ended(far[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(many); i++) {
		text[sizeof(text) - 2]++;
		scene->backend.text = span_str(text);
		record = announced_of(scene, &client, "client");
		upstream_pool_give(pool, connect_one(scene, record, &many[i]));
		upstream_pool_leave(pool, record);
	}
	assert_ended(many[0]);
	assert_int_equal(pool->idle_count, LIMIT_ANNOUNCED_ENDPOINTS);
	upstream_pool_forget_client(pool, &client);
	for (size_t i = 1; i < ARRAY_LEN(many); i++)
		assert_ended(many[i]);
}

static int announce_one(void *context)
{
	struct scene *scene = context;
	struct upstream_pool *pool = &scene->proxy.pool;
	struct upstream_endpoint *shared = upstream_pool_endpoint(pool, &scene->backend, &scene->wants);
	struct upstream_endpoint *record =
		shared ? upstream_pool_announce(pool, shared, NULL, SPAN("one")) : NULL;

	if (record)
		upstream_pool_leave(pool, record);
	assert_int_equal(pool->endpoint_count, 0);
	return record ? 0 : -ENOMEM;
}

SCENE_TEST(without_memory_nothing_of_a_client_is_left)
{
	struct scene *scene = *state;

	scene->wants.proxy_version = 2;
	assert_int_equal(alloc_fail_each(announce_one, scene), 2);
}
