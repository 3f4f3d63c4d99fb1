/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies that are held back until all of them has come. */
#include "tests/unit/relay_play.h"

#include <stdio.h>

#include "tests/lib/alloc.h"
#include "user/base/check.h"

static void hold_open(const struct body_framing *framing, enum relay_direction direction,
		      uint32_t wanted_bytes)
{
	scene_prepare();
	relay_init(&stage.relay, &stage.shared, direction);
	stage.replay.wanted_bytes = wanted_bytes;
	relay_hold(&stage.relay, of_conn(&stage.source), framing, &stage.replay, 1);
}

static void assert_held(const char *want)
{
	struct span body;

	assert_int_equal(stage.relay.state, RELAY_OPEN);
	assert_true(stage.relay.decoder.is_done);
	assert_int_equal(replay_join(&stage.replay, &body), 0);
	if (!span_eq(body, span_str(want)))
		fail_msg("\"%.*s\" is held, not \"%s\"", SPAN_FMT(body), want);
}

static void send_on(enum relay_encoding encoding)
{
	assert_int_equal(relay_replay(&stage.relay, of_conn(&stage.sink), encoding), 0);
	pump();
}

TEST(a_held_body_is_sent_when_it_is_complete_and_not_before)
{
	static const char text[] = "3\r\nabc\r\n5\r\ndefgh\r\n0\r\nX: y\r\n\r\nNEXT";

	for (size_t cut = 0; cut < strlen(text); cut++) {
		hold_open(&chunked, RELAY_IN, 100);
		put(span_of(text, cut));
		pump();
		put(span_str(text + cut));
		pump();
		pump();
		collect();
		assert_int_equal(stage.got_len, 0);
		assert_held("abcdefgh");
		assert_int_equal(stage.relay.payload_bytes, 8);
		assert_int_equal(counter_get(&stage.counters, COUNTER_REPLAY_HELD), 0);
		send_on(ENCODE_CHUNKED);
		/* It was joined: one piece. */
		assert_got("8\r\nabcdefgh\r\n0\r\nX: y\r\n\r\n");
		assert_int_equal(stage.relay.state, RELAY_DONE);
		assert_int_equal(stage.relay.payload_bytes, 8);
		scene_close();
	}
}

TEST(a_changed_body_has_neither_the_old_bytes_nor_its_trailers)
{
	for (size_t direction = 0; direction < 2; direction++) {
		hold_open(&chunked, direction ? RELAY_OUT : RELAY_IN, 100);
		put(SPAN("3\r\nabc\r\n0\r\nX: y\r\n\r\n"));
		pump();
		assert_held("abc");
		assert_int_equal(relay_change_body(&stage.relay, SPAN("other")), 0);
		assert_held("other");
		send_on(ENCODE_PLAIN);
		assert_got("other");
		assert_int_equal(stage.relay.state, RELAY_DONE);
		assert_int_equal(stage.relay.payload_bytes, direction ? 5 : 3);
		scene_close();
	}
}

TEST(a_message_without_a_body_may_get_one_and_lose_it)
{
	static const struct body_framing none = { .kind = BODY_NONE };

	hold_open(&none, RELAY_IN, 100);
	put(SPAN("NEXT"));
	pump();
	assert_held("");
	assert_int_equal(buf_len(&stage.source.in), 0);
	assert_int_equal(relay_change_body(&stage.relay, SPAN("new")), 0);
	send_on(ENCODE_PLAIN);
	assert_got("new");
	assert_int_equal(stage.relay.state, RELAY_DONE);
	scene_close();

	hold_open(&(struct body_framing){ .kind = BODY_LENGTH, .length = 3 }, RELAY_IN, 100);
	put(SPAN("old"));
	pump();
	assert_int_equal(relay_change_body(&stage.relay, SPAN("")), 0);
	send_on(ENCODE_PLAIN);
	assert_got("");
	assert_int_equal(stage.relay.state, RELAY_DONE);
	scene_close();
}

TEST(a_body_over_its_limit_is_read_no_further_and_may_still_be_sent_on)
{
	static char bytes[3 * LIMIT_READ_BYTES];
	const struct body_framing framing = length_of(sizeof(bytes));
	uint64_t received;

	memset(bytes, 'x', sizeof(bytes));
	hold_open(&framing, RELAY_IN, 10);
	put(span_of(bytes, sizeof(bytes)));
	pump();
	received = stage.source.received_bytes;
	assert_in_range(stage.replay.bytes, 10, 10 + REPLAY_STEP_BYTES);
	pump();
	assert_int_equal(stage.source.received_bytes, received);
	assert_false(stage.relay.decoder.is_done);
	send_on(ENCODE_PLAIN);
	for (int tries = 0; tries < 10 * PAIR_WAIT_MS && stage.got_len < sizeof(bytes); tries++) {
		pair_wait(stage.far, POLLIN);
		collect();
		pump();
	}
	assert_int_equal(stage.got_len, sizeof(bytes));
	assert_int_equal(stage.relay.state, RELAY_DONE);
	scene_close();
}

TEST(a_slow_reader_gets_a_large_held_body_in_pieces)
{
	static char bytes[900 * 1024];
	const struct body_framing framing = length_of(sizeof(bytes));
	struct span body;
	size_t sent = 0;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 7 + i / 251);
	hold_open(&framing, RELAY_OUT, sizeof(bytes));
	while (sent < sizeof(bytes)) {
		ssize_t len = send(stage.near, bytes + sent, sizeof(bytes) - sent, MSG_NOSIGNAL);

		sent += len > 0 ? (size_t)len : 0;
		pump();
	}
	for (int tries = 0; tries < 10 * PAIR_WAIT_MS && !stage.relay.decoder.is_done; tries++)
		pump();
	assert_int_equal(replay_join(&stage.replay, &body), 0);
	stage.replay.is_spare = true;
	send_on(ENCODE_PLAIN);
	assert_in_range(conn_queued_bytes(&stage.sink), 0, LIMIT_RELAY_BYTES);
	assert_int_equal(counter_get(&stage.counters, COUNTER_RELAY_BUFFERED), relay_buffered(&stage.relay));
	for (int tries = 0; tries < 10 * PAIR_WAIT_MS && stage.got_len < sizeof(bytes); tries++) {
		pair_wait(stage.far, POLLIN);
		collect();
		pump();
	}
	assert_int_equal(stage.got_len, sizeof(bytes));
	assert_memory_equal(stage.got, bytes, sizeof(bytes));
	assert_int_equal(stage.relay.state, RELAY_DONE);
	assert_int_equal(stage.relay.payload_bytes, sizeof(bytes));
	assert_null(stage.relay.replay);
	scene_close();
}

TEST(a_source_that_ends_early_or_lies_is_no_body)
{
	hold_open(&(struct body_framing){ .kind = BODY_LENGTH, .length = 9 }, RELAY_IN, 100);
	put(SPAN("abc"));
	shutdown(stage.near, SHUT_WR);
	pair_wait(conn_fd(&stage.source), POLLRDHUP);
	stage.source.has_hup = true;
	pump();
	assert_int_equal(stage.relay.fail, RELAY_FAIL_SOURCE_SHORT);
	scene_close();

	hold_open(&chunked, RELAY_IN, 100);
	put(SPAN("3\r\nabc0\r\n"));
	pump();
	assert_int_equal(stage.relay.fail, RELAY_FAIL_SOURCE_BAD);
	scene_close();
}

TEST(a_held_body_may_be_sent_to_one_end_after_another)
{
	hold_open(&(struct body_framing){ .kind = BODY_LENGTH, .length = 3 }, RELAY_IN, 100);
	put(SPAN("abc"));
	pump();
	send_on(ENCODE_PLAIN);
	assert_got("abc");
	assert_true(relay_can_replay(&stage.relay));
	relay_detach(&stage.relay);
	conn_close(&stage.sink, true);
	close(stage.far);
	side_open(&stage.sink, &stage.far);
	stage.got_len = 0;
	send_on(ENCODE_PLAIN);
	assert_got("abc");
	scene_close();
}

/* ---- memory */

TEST(all_held_bodies_together_have_limits)
{
	static char bytes[1 << 20];
	struct counters counters = { 0 };
	uint32_t connection_bytes = 0;
	struct replay list[4];

	for (size_t i = 0; i < ARRAY_LEN(list); i++) {
		replay_init(&list[i], &counters, &connection_bytes);
		list[i].wanted_bytes = LIMIT_HELD_MOST_BYTES;
		for (size_t at = 0; i < 3 && at < 15 * sizeof(bytes) && !list[i].is_lost; at += sizeof(bytes))
			replay_add(&list[i], span_of(bytes, sizeof(bytes)));
		/* The third one is too much for its connection. */
		assert_int_equal(list[i].is_lost, i == 2);
	}
	assert_int_equal(counter_get(&counters, COUNTER_REPLAY_LOST), 0);
	assert_int_equal(replay_set(&list[0], span_of(bytes, sizeof(bytes))), 0);
	assert_int_equal(list[0].bytes, sizeof(bytes));
	counter_add(&counters, COUNTER_BODIES_HELD, LIMIT_HELD_WORKER_BYTES);
	assert_int_equal(replay_set(&list[0], SPAN("a")), -ENOBUFS);
	assert_int_equal(list[0].bytes, sizeof(bytes));
	replay_add(&list[3], SPAN("a"));
	assert_true(list[3].is_lost);
	gauge_sub(&counters, COUNTER_BODIES_HELD, LIMIT_HELD_WORKER_BYTES);
	for (size_t i = 0; i < ARRAY_LEN(list); i++)
		replay_drop(&list[i]);
	assert_int_equal(counter_get(&counters, COUNTER_BODIES_HELD), 0);
	assert_int_equal(counter_get(&counters, COUNTER_REPLAY_HELD), 0);
	assert_int_equal(connection_bytes, 0);
}

static int hold_once(void *context)
{
	char more[1024];
	int len = snprintf(more, sizeof(more), "258\r\n%0600d\r\n0\r\nX: y\r\n\r\n", 0);
	struct span body;
	int result;

	(void)context;
	relay_init(&stage.relay, &stage.shared, RELAY_IN);
	replay_init(&stage.replay, &stage.counters, &stage.replay_bytes);
	stage.replay.wanted_bytes = 10000;
	relay_hold(&stage.relay, of_conn(&stage.source), &chunked, &stage.replay, 1);
	put(SPAN("3\r\nabc\r\n"));
	pump();
	put(span_of(more, (size_t)len));
	pump();
	result = stage.relay.state == RELAY_OPEN && !stage.replay.is_lost ? 0 : -ENOMEM;
	if (result == 0) {
		assert_true(stage.relay.decoder.is_done);
		result = replay_join(&stage.replay, &body);
		assert_int_equal(stage.replay.bytes, 603);
	}
	if (result == 0)
		result = relay_change_body(&stage.relay, SPAN("other"));
	relay_stop(&stage.relay);
	replay_drop(&stage.replay);
	buf_done(&stage.source.in);
	while (recv(conn_fd(&stage.source), stage.scratch, sizeof(stage.scratch), MSG_DONTWAIT) > 0)
		;
	return result;
}

TEST(each_allocation_may_fail)
{
	static const struct body_framing none = { .kind = BODY_NONE };

	hold_open(&none, RELAY_IN, 1);
	relay_stop(&stage.relay);
	assert_true(alloc_fail_each(hold_once, NULL) >= 5);
	scene_close();
}
