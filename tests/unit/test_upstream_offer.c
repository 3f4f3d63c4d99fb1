/* SPDX-License-Identifier: Apache-2.0 */
/* An HTTP/2 connection offers its free streams to requests that wait for a connection. */
#include "tests/unit/pool_play.h"

#include "tests/unit/h2_play.h"
#include "user/base/clock.h"
#include "user/base/quota.h"
#include "user/upstream/upstream_choice.h"
#include "user/upstream/upstream_h2.h"

enum { GUESTS = LIMIT_H2_DECLINED_OFFERS + 4 };

struct guest {
	struct pending_waiter waiter;
	bool is_woken;
};

/* One connection with two streams; guests wait, the first with the turn, which no place ends. */
struct offer_scene {
	struct scene *scene;
	struct upstream *upstream;
	struct upstream_endpoint *endpoint;
	struct quota_table *table;
	struct quota *quota;
	struct h2_session *peer;
	uint32_t streams; /* that it allows */
	struct buf out;
	int far;
	struct pending_waiter first;
	struct guest guests[GUESTS];
	unsigned int wakes;
	const struct guest *woken; /* the last one */
};

static struct offer_scene offers;

static void on_wake(struct pending_waiter *waiter)
{
	struct guest *guest = container_of(waiter, struct guest, waiter);

	guest->is_woken = true;
	offers.woken = guest;
	offers.wakes++;
}

static void on_first(struct pending_waiter *waiter)
{
	(void)waiter;
}

static void turn_until(bool (*is_so)(void))
{
	uint64_t give_up_ms = clock_now_ms() + PAIR_WAIT_MS;
	char bytes[4096];
	ssize_t len;

	while (!is_so()) {
		assert_true(clock_now_ms() < give_up_ms);
		play_for(offers.scene->proxy.loop, 1);
		while ((len = recv(offers.far, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
			assert_int_equal(h2_session_feed(offers.peer, span_of(bytes, (size_t)len), 1000), 0);
	}
}

/* The setting of the backend counts here when its acknowledgment has come. */
static bool is_allowed(void)
{
	return nghttp2_session_get_local_settings(offers.peer->library,
						  NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS) == offers.streams;
}

static bool has_ended(void)
{
	return offers.upstream->h2->is_dead;
}

/* What the backend has to say arrives. */
static void serve(void)
{
	ssize_t len;

	assert_int_equal(h2_session_output(offers.peer, &offers.out, SIZE_MAX), 0);
	len = send(offers.far, buf_span(&offers.out).data, buf_len(&offers.out), MSG_NOSIGNAL);
	assert_int_equal(len, buf_len(&offers.out));
	buf_consume(&offers.out, (size_t)len);
	turn_until(is_allowed);
}

static void allow(uint32_t streams)
{
	nghttp2_settings_entry entry = { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, streams };

	assert_int_equal(nghttp2_submit_settings(offers.peer->library, NGHTTP2_FLAG_NONE, &entry, 1), 0);
	offers.streams = streams;
	serve();
}

static void wait_in_line(unsigned int count)
{
	struct pending *pending = quota_pending(offers.quota);

	offers.first = (struct pending_waiter){ .wake = on_first };
	assert_int_equal(pending_join(pending, PENDING_CONNECTIONS, UINT64_MAX, &offers.first),
			 PENDING_IS_FIRST);
	for (unsigned int i = 0; i < count; i++) {
		offers.guests[i].waiter =
			(struct pending_waiter){ .wake = on_wake, .owner = &offers.scene->proxy.pool };
		assert_int_equal(
			pending_join(pending, PENDING_CONNECTIONS, UINT64_MAX, &offers.guests[i].waiter),
			PENDING_IS_BEHIND);
	}
}

static void leave_line(unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		if (offers.guests[i].is_woken) {
			offers.guests[i].is_woken = false;
			pending_woken(&offers.guests[i].waiter);
		}
	for (unsigned int i = count; i > 0; i--)
		(void)pending_leave(&offers.guests[i - 1].waiter);
	(void)pending_leave(&offers.first);
}

/* As a stream does that was woken, but cannot use the endpoint. */
static void decline(struct guest *guest)
{
	uint64_t what;

	assert_true(guest->is_woken);
	guest->is_woken = false;
	pending_woken(&guest->waiter);
	what = pending_decline(&guest->waiter);
	assert_int_equal(what, offers.upstream->handle);
	pending_wait(&guest->waiter);
	upstream_h2_declined(&offers.scene->proxy.pool, what, guest->waiter.number);
}

static int offer_make(void **state)
{
	struct h2_options options = h2_play_options(H2_SERVER);
	struct quota_most most = { 1, 1 };

	assert_int_equal(scene_make(state), 0);
	memset(&offers, 0, sizeof(offers));
	offers.scene = *state;
	offers.scene->proxy.relay.scratch = malloc(LIMIT_READ_BYTES);
	offers.scene->proxy.relay.counters = &offers.scene->counters;
	offers.table = calloc(1, sizeof(*offers.table));
	assert_true(offers.scene->proxy.relay.scratch && offers.table);
	offers.quota = quota_hold(offers.table, SPAN("b"));
	offers.endpoint = endpoint_of(offers.scene);
	offers.upstream = connect_one(offers.scene, offers.endpoint, &offers.far);
	options.max_streams = offers.streams = 2;
	offers.peer = h2_session_create(&options);
	assert_true(offers.quota && offers.peer);
	assert_int_equal(upstream_h2_start(offers.upstream), 0);
	assert_true(quota_take_connection(offers.quota, most));
	for (int i = 0; i < 2; i++)
		upstream_h2_join(offers.upstream);
	upstream_h2_take_count(offers.upstream, offers.quota);
	return 0;
}

static int offer_drop(void **state)
{
	h2_session_free(offers.peer);
	buf_done(&offers.out);
	close(offers.far);
	upstream_pool_leave(&offers.scene->proxy.pool, offers.endpoint);
	quota_drop(offers.quota);
	free(offers.table);
	upstream_pool_done(&offers.scene->proxy.pool); /* sends what a connection has to say at its end */
	buf_done(&offers.scene->proxy.relay.frames);
	free(offers.scene->proxy.relay.scratch);
	return scene_drop(state);
}

#define OFFER_TEST(name) TEST_WITH(name, offer_make, offer_drop)

static void end_streams(void)
{
	while (offers.upstream->h2->stream_count > 1)
		upstream_h2_leave(offers.upstream);
	upstream_h2_leave(offers.upstream);
}

OFFER_TEST(settings_offer_streams_and_so_do_settings_that_allow_more)
{
	wait_in_line(2);
	serve();
	assert_int_equal(offers.wakes, 1);
	assert_true(offers.guests[0].is_woken);
	allow(2);
	allow(1);
	assert_int_equal(offers.wakes, 1);
	allow(3);
	assert_int_equal(offers.wakes, 2);
	assert_true(offers.guests[1].is_woken);
	leave_line(2);
	end_streams();
}

OFFER_TEST(what_one_has_no_use_for_is_offered_to_the_next)
{
	wait_in_line(3);
	serve();
	decline(&offers.guests[0]);
	assert_true(offers.guests[1].is_woken);
	decline(&offers.guests[1]);
	assert_true(offers.guests[2].is_woken);
	decline(&offers.guests[2]);
	assert_int_equal(offers.wakes, 3);
	leave_line(3);
	end_streams();
}

OFFER_TEST(an_offer_asks_few_and_the_next_offer_asks_those_behind_them_before_it_begins_again)
{
	unsigned int asked = 0;

	wait_in_line(GUESTS);
	serve();
	while (asked < GUESTS && offers.guests[asked].is_woken)
		decline(&offers.guests[asked++]);
	assert_int_equal(asked, LIMIT_H2_DECLINED_OFFERS);
	upstream_h2_leave(offers.upstream);
	while (asked < GUESTS && offers.guests[asked].is_woken)
		decline(&offers.guests[asked++]);
	assert_int_equal(asked, GUESTS);
	upstream_h2_join(offers.upstream);
	upstream_h2_leave(offers.upstream);
	assert_true(offers.guests[0].is_woken);
	leave_line(GUESTS);
	end_streams();
}

OFFER_TEST(one_that_declines_ends_the_offer_if_nothing_is_free)
{
	wait_in_line(2);
	serve();
	allow(0);
	decline(&offers.guests[0]);
	assert_int_equal(offers.wakes, 1);
	leave_line(2);
	end_streams();
}

OFFER_TEST(a_connection_that_takes_no_more_streams_offers_none)
{
	wait_in_line(2);
	serve();
	decline(&offers.guests[0]);
	assert_true(offers.guests[1].is_woken);
	upstream_h2_retire(offers.upstream);
	decline(&offers.guests[1]);
	upstream_h2_leave(offers.upstream);
	allow(9);
	assert_int_equal(offers.wakes, 2);
	leave_line(2);
	end_streams();
}

OFFER_TEST(a_connection_that_has_ended_offers_none)
{
	wait_in_line(2);
	serve();
	decline(&offers.guests[0]);
	decline(&offers.guests[1]);
	assert_int_equal(shutdown(offers.far, SHUT_RDWR), 0);
	turn_until(has_ended);
	upstream_h2_leave(offers.upstream);
	assert_int_equal(offers.wakes, 2);
	leave_line(2);
	end_streams();
}

/* Why the only endpoint is chosen: by a request that needs a stream, or with so many connections to it. */
static enum choice_reason choose(bool needs_stream, uint64_t endpoint_most)
{
	struct upstream_pool *pool = &offers.scene->proxy.pool;
	struct endpoint endpoint = offers.scene->backend;
	struct backend backend = { .endpoint_list = &endpoint, .endpoint_count = 1 };
	struct upstream_choice choice = { .backend = &backend,
					  .wants = &offers.scene->wants,
					  .needs_stream = needs_stream,
					  .endpoint_most = endpoint_most,
					  .last = UINT32_MAX };

	endpoint.weight = 1;
	endpoint.quota = offers.quota;
	assert_ptr_equal(upstream_choose(pool, &choice), offers.endpoint);
	upstream_pool_leave(pool, offers.endpoint);
	return choice.reason;
}

OFFER_TEST(an_idle_connection_needs_a_place_so_it_is_no_stream_for_a_request_that_may_take_none)
{
	struct upstream_pool *pool = &offers.scene->proxy.pool;

	serve();
	assert_int_equal(choose(true, 0), CHOICE_LEAST_REQUESTS);
	assert_int_equal(choose(false, 1), CHOICE_LEAST_REQUESTS);
	end_streams();
	assert_ptr_equal(upstream_pool_share(pool, offers.endpoint), offers.upstream);
	assert_int_equal(choose(true, 0), CHOICE_ALL_FULL);
	/* Another worker has the only connection that the endpoint may have. */
	assert_true(quota_take_connection(offers.quota, (struct quota_most){ 1, 1 }));
	assert_int_equal(choose(false, 1), CHOICE_ALL_FULL);
	quota_give_connection(offers.quota);
}
