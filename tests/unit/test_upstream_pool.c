/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/pool_play.h"

static uint64_t count(const struct scene *scene, enum counter_id id)
{
	return counter_get(&scene->counters, id);
}

/* ---- endpoints */

SCENE_TEST(an_endpoint_is_its_text_and_its_socket_options)
{
	struct scene *scene = *state;
	struct upstream_pool *pool = &scene->proxy.pool;
	struct upstream_endpoint *first = endpoint_of(scene);
	struct upstream_endpoint *again = endpoint_of(scene);
	struct upstream_endpoint *other, *options;
	char text[] = "127.0.0.1:80";

	assert_ptr_equal(first, again);
	assert_int_equal(first->user_count, 2);
	scene->backend.text = span_of(text, strlen(text));
	again = endpoint_of(scene);
	assert_ptr_equal(first, again); /* another snapshot, the same text */
	text[0] = '9';
	assert_true(span_eq(first->text, SPAN("127.0.0.1:80")));
	other = endpoint_of(scene);
	assert_ptr_not_equal(first, other);
	scene->keepalive.retries = 3;
	options = endpoint_of(scene);
	assert_ptr_not_equal(other, options);
	assert_int_equal(pool->endpoint_count, 3);
	for (int i = 0; i < 3; i++)
		upstream_pool_leave(pool, first);
	upstream_pool_leave(pool, other);
	upstream_pool_leave(pool, options);
	assert_int_equal(pool->endpoint_count, 0);
}

SCENE_TEST(an_endpoint_that_failed_is_remembered_until_its_time_is_over)
{
	struct scene *scene = *state;
	struct upstream_pool *pool = &scene->proxy.pool;
	struct upstream_endpoint *endpoint = endpoint_of(scene);

	balance_connect_failed(&endpoint->load, loop_now_ms(scene->proxy.loop));
	upstream_pool_leave(pool, endpoint);
	assert_int_equal(pool->endpoint_count, 1);
	assert_ptr_equal(endpoint_of(scene), endpoint);
	assert_int_equal(endpoint->load.failures, 1);
	endpoint->load.avoid_until_ms = loop_now_ms(scene->proxy.loop);
	upstream_pool_leave(pool, endpoint);
	assert_int_equal(pool->endpoint_count, 1);
	/* Met again by another one in its bucket it goes. */
	scene->keepalive.retries = 1;
	upstream_pool_leave(pool, endpoint_of(scene));
	assert_int_equal(pool->endpoint_count, 0);
}

SCENE_TEST(a_host_that_a_client_chose_and_that_failed_leaves_nothing_behind)
{
	struct scene *scene = *state;
	struct upstream_pool *pool = &scene->proxy.pool;
	struct upstream_endpoint *endpoint;

	scene->wants.forward_key = 1;
	endpoint = endpoint_of(scene);
	balance_connect_failed(&endpoint->load, loop_now_ms(scene->proxy.loop));
	upstream_pool_leave(pool, endpoint);
	assert_int_equal(pool->endpoint_count, 0);
}

SCENE_TEST(plain_text_and_each_tls_identity_have_an_endpoint_of_their_own)
{
	static const struct tls_client_settings ours = { .hash = 1 }, same = { .hash = 1 };
	static const struct tls_client_settings other = { .hash = 2 }, nothing = { .hash = 0 };
	static const struct tls_client_settings *const list[] = { NULL, &ours, &other, &nothing };
	struct scene *scene = *state;
	struct upstream_pool *pool = &scene->proxy.pool;
	struct upstream_endpoint *found[ARRAY_LEN(list)];

	for (size_t i = 0; i < ARRAY_LEN(list); i++) {
		scene->wants.tls = list[i];
		found[i] = endpoint_of(scene);
		for (size_t before = 0; before < i; before++)
			assert_ptr_not_equal(found[before], found[i]);
	}
	/* Of another snapshot, and the same. */
	scene->wants.tls = &same;
	assert_ptr_equal(endpoint_of(scene), found[1]);
	upstream_pool_leave(pool, found[1]);
	for (size_t i = 0; i < ARRAY_LEN(list); i++)
		upstream_pool_leave(pool, found[i]);
	assert_int_equal(pool->endpoint_count, 0);
}

static int endpoint_once(void *context)
{
	struct scene *scene = context;
	struct upstream_endpoint *endpoint =
		upstream_pool_endpoint(&scene->proxy.pool, &scene->backend, &scene->wants);

	if (!endpoint)
		return -ENOMEM;
	upstream_pool_leave(&scene->proxy.pool, endpoint);
	return 0;
}

SCENE_TEST(without_memory_there_is_no_endpoint)
{
	assert_int_equal(alloc_fail_each(endpoint_once, *state), 1);
}

/* ---- taking and giving */

SCENE_TEST(the_connection_used_last_is_taken_first)
{
	struct scene *scene = *state;
	struct upstream_pool *pool = &scene->proxy.pool;
	struct upstream_endpoint *endpoint = endpoint_of(scene);
	struct upstream *list[3];
	int far[3];

	assert_null(upstream_pool_take(pool, endpoint, false));
	for (int i = 0; i < 3; i++)
		list[i] = connect_one(scene, endpoint, &far[i]);
	for (int i = 0; i < 3; i++)
		upstream_pool_give(pool, list[i]);
	assert_int_equal(count(scene, COUNTER_POOL_IDLE), 3);
	for (int i = 2; i >= 0; i--) {
		assert_ptr_equal(upstream_pool_take(pool, endpoint, false), list[i]);
		assert_false(timer_is_armed(&list[i]->idle_timer));
	}
	assert_null(upstream_pool_take(pool, endpoint, false));
	assert_int_equal(count(scene, COUNTER_POOL_HITS), 3);
	for (int i = 0; i < 3; i++) {
		upstream_close(list[i], false);
		upstream_close(list[i], true);
		close(far[i]);
	}
	upstream_pool_leave(pool, endpoint);
}

SCENE_TEST(the_oldest_goes_when_the_pool_is_full)
{
	struct scene *scene = *state;
	struct upstream_pool *pool = &scene->proxy.pool;
	struct upstream_endpoint *endpoint = endpoint_of(scene);
	int far[3];

	scene->config->pool_max_size = (struct opt_u64){ true, 2 };
	for (int i = 0; i < 3; i++)
		upstream_pool_give(pool, connect_one(scene, endpoint, &far[i]));
	assert_int_equal(pool->idle_count, 2);
	assert_int_equal(count(scene, COUNTER_POOL_EVICTED), 1);
	assert_ended(far[0]);
	close(far[1]);
	close(far[2]);
	upstream_pool_leave(pool, endpoint);
}

SCENE_TEST(what_must_not_be_kept_is_closed)
{
	struct scene *scene = *state;
	struct upstream_pool *pool = &scene->proxy.pool;
	struct upstream_endpoint *endpoint = endpoint_of(scene);

	for (int why = 0; why < 6; why++) {
		struct upstream *upstream;
		int far;

		upstream = connect_one(scene, endpoint, &far);
		upstream->is_reusable = why != 0;
		scene->config->pool_max_size = (struct opt_u64){ why == 1, 0 };
		scene->config->pool_idle_ns = why == 2 ? 0 : 90000000000;
		scene->proxy.pool.is_closing = why == 3;
		upstream->conn.has_hup = why == 4;
		if (why == 5) {
			/* Bytes that nobody asked for, announced while the exchange still ran. */
			assert_int_equal(write(far, "x", 1), 1);
			pair_wait(conn_fd(&upstream->conn), POLLIN);
			upstream->conn.can_read = true;
		}
		upstream_pool_give(pool, upstream);
		assert_int_equal(pool->idle_count, 0);
		assert_ended(far);
	}
	scene->proxy.pool.is_closing = false;
	upstream_pool_leave(pool, endpoint);
}

SCENE_TEST(a_connection_that_spoke_or_ended_is_not_given_out)
{
	struct scene *scene = *state;
	struct upstream_pool *pool = &scene->proxy.pool;
	struct upstream_endpoint *endpoint = endpoint_of(scene);
	struct upstream *good;
	int far[4];

	good = connect_one(scene, endpoint, &far[0]);
	upstream_pool_give(pool, good);
	for (int i = 1; i < 4; i++) {
		struct upstream *upstream = connect_one(scene, endpoint, &far[i]);

		upstream_pool_give(pool, upstream);
		if (i == 1)
			assert_int_equal(write(far[i], "HTTP/1.1 200 OK\r\n", 17), 17);
		else if (i == 2)
			shutdown(far[i], SHUT_WR);
		else
			setsockopt(far[i], SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 },
				   sizeof(struct linger));
		if (i == 3)
			close(far[i]);
		pair_wait(conn_fd(&upstream->conn), POLLIN);
	}
	assert_ptr_equal(upstream_pool_take(pool, endpoint, false), good);
	assert_int_equal(count(scene, COUNTER_POOL_STALE), 3);
	assert_int_equal(count(scene, COUNTER_UPSTREAM_OPEN), 1);
	upstream_close(good, false);
	for (int i = 0; i < 3; i++)
		close(far[i]);
	upstream_pool_leave(pool, endpoint);
}

SCENE_TEST(a_connection_that_spoke_since_the_last_event_is_not_given_out_even_if_the_request_may_be_repeated)
{
	struct scene *scene = *state;
	struct upstream_pool *pool = &scene->proxy.pool;
	struct upstream_endpoint *endpoint = endpoint_of(scene);

	for (int is_end = 0; is_end <= 1; is_end++) {
		struct upstream *upstream;
		int far;

		upstream = connect_one(scene, endpoint, &far);
		upstream_pool_give(pool, upstream);
		play_turn(scene->proxy.loop);
		if (is_end)
			shutdown(far, SHUT_WR);
		else
			assert_int_equal(write(far, "HTTP/1.1 200 OK\r\n", 17), 17);
		pair_wait(conn_fd(&upstream->conn), POLLIN);
		assert_null(upstream_pool_take(pool, endpoint, true));
		assert_int_equal(count(scene, COUNTER_POOL_STALE), is_end + 1);
		close(far);
	}
	upstream_pool_leave(pool, endpoint);
}

static void pool_await_empty(struct scene *scene)
{
	for (int i = 0; i < PAIR_WAIT_MS && scene->proxy.pool.idle_count; i++)
		play_for(scene->proxy.loop, 1);
	assert_int_equal(scene->proxy.pool.idle_count, 0);
}

SCENE_TEST(an_event_on_an_idle_connection_ends_it_but_free_space_does_not)
{
	struct scene *scene = *state;
	struct upstream_pool *pool = &scene->proxy.pool;
	struct upstream_endpoint *endpoint = endpoint_of(scene);
	int far;

	upstream_pool_give(pool, connect_one(scene, endpoint, &far));
	play_for(scene->proxy.loop, 5); /* EPOLLOUT of the new socket */
	assert_int_equal(pool->idle_count, 1);
	assert_int_equal(write(far, "x", 1), 1);
	pool_await_empty(scene);
	assert_int_equal(count(scene, COUNTER_POOL_STALE), 1);
	assert_ended(far);
	upstream_pool_leave(pool, endpoint);
}

/* ---- how long */

SCENE_TEST(idle_connections_end_after_the_shorter_of_both_limits)
{
	static const struct {
		uint64_t limit_ms;
		uint32_t keep_alive_s;
		uint64_t want_ms; /* 0: not kept */
	} table[] = {
		{ 90000, 0, 90000 },  { 90000, 5, 4000 },	    { 90000, 1, 0 },   { 90000, 91, 90000 },
		{ 90000, 92, 90000 }, { 90000, UINT32_MAX, 90000 }, { 2000, 5, 2000 }, { 0, 0, 0 },
	};
	struct scene *scene = *state;
	struct upstream_pool *pool = &scene->proxy.pool;
	struct upstream_endpoint *endpoint = endpoint_of(scene);

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct upstream *upstream;
		int far;

		upstream = connect_one(scene, endpoint, &far);
		upstream->keep_alive_s = table[i].keep_alive_s;
		scene->config->pool_idle_ns = table[i].limit_ms * 1000000;
		upstream_pool_give(pool, upstream);
		assert_int_equal(pool->idle_count, table[i].want_ms != 0);
		if (table[i].want_ms) {
			assert_int_equal(upstream->idle_timer.deadline_ms,
					 loop_now_ms(scene->proxy.loop) + table[i].want_ms);
			upstream_close(upstream, false);
		}
		close(far);
	}
	upstream_pool_leave(pool, endpoint);
}

SCENE_TEST(the_idle_timer_closes_with_fin)
{
	struct scene *scene = *state;
	struct upstream_pool *pool = &scene->proxy.pool;
	struct upstream_endpoint *endpoint = endpoint_of(scene);
	char byte;
	int far;

	scene->config->pool_idle_ns = 20000000;
	upstream_pool_give(pool, connect_one(scene, endpoint, &far));
	pool_await_empty(scene);
	assert_int_equal(atomic_load(&scene->counters.ends[END_POOL_IDLE]), 1);
	assert_int_equal(recv(far, &byte, 1, 0), 0);
	close(far);
	upstream_pool_leave(pool, endpoint);
}

/* ---- addresses */

SCENE_TEST(new_addresses_close_idle_connections_to_others)
{
	struct scene *scene = *state;
	struct upstream_pool *pool = &scene->proxy.pool;
	struct upstream_endpoint *endpoint = endpoint_of(scene);
	struct resolver_list *list = resolver_list_create(1);
	struct upstream *stays, *goes;
	int far[2];

	assert_non_null(list);
	stays = connect_one(scene, endpoint, &far[0]);
	goes = connect_one(scene, endpoint, &far[1]);
	assert_int_equal(address_parse(SPAN("127.0.0.9:1"), &list->address_list[0]), 0);
	stays->address_hash = address_hash(&list->address_list[0]);
	assert_int_not_equal(goes->address_hash, stays->address_hash);
	upstream_pool_give(pool, stays);
	upstream_pool_give(pool, goes);
	upstream_pool_resolved(endpoint, resolver_list_ref(list));
	assert_int_equal(pool->idle_count, 1);
	assert_ended(far[1]);
	upstream_pool_resolved(endpoint, list); /* the same again: its reference is given back */
	assert_ptr_equal(upstream_pool_take(pool, endpoint, false), stays);
	upstream_close(stays, false);
	close(far[0]);
	upstream_pool_leave(pool, endpoint);
}

/* ---- the end */

SCENE_TEST(connections_keep_their_endpoint_and_the_pool_closes_all)
{
	struct scene *scene = *state;
	struct upstream_pool *pool = &scene->proxy.pool;
	struct upstream_endpoint *endpoint = endpoint_of(scene);
	int far[3];

	for (int i = 0; i < 3; i++)
		upstream_pool_give(pool, connect_one(scene, endpoint, &far[i]));
	upstream_pool_leave(pool, endpoint);
	assert_int_equal(pool->endpoint_count, 1);
	upstream_pool_done(pool);
	assert_int_equal(pool->endpoint_count, 0);
	for (int i = 0; i < 3; i++)
		assert_ended(far[i]);
}

SCENE_TEST(without_a_slot_the_descriptor_is_closed)
{
	struct scene *scene = *state;
	struct upstream_endpoint *endpoint = endpoint_of(scene);
	struct address address = pair_loopback();
	uint64_t handles[32];
	int fd, far;

	for (size_t i = 0; i < ARRAY_LEN(handles); i++)
		assert_non_null(slab_take(scene->proxy.pool.upstreams, &handles[i]));
	pair_open(&fd, &far);
	assert_null(upstream_open(&scene->proxy.pool, endpoint, fd, &address));
	assert_ended(far);
	for (size_t i = 0; i < ARRAY_LEN(handles); i++)
		slab_give(scene->proxy.pool.upstreams, handles[i]);
	upstream_pool_leave(&scene->proxy.pool, endpoint);
}
