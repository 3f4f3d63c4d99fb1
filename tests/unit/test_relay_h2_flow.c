/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/relay_h2_play.h"

/* ---- slow sinks */

enum { BIG_BYTES = 3 * 1024 * 1024 + 5 };

static char big[BIG_BYTES];

static void fill_big(void)
{
	uint32_t value = 1;

	for (size_t i = 0; i < sizeof(big); i++) {
		value = value * 1664525u + 1013904223u;
		big[i] = (char)(value >> 24);
	}
}

/* What the far stream has, compared and given back. */
static size_t read_far_stream(size_t at)
{
	size_t len = buf_len(&to.theirs->in);

	assert_true(at + len <= BIG_BYTES);
	assert_memory_equal(buf_span(&to.theirs->in).data, big + at, len);
	h2_stream_consume(to.theirs, len);
	return len;
}

static size_t read_far_conn(size_t at)
{
	static char bytes[256 * 1024];
	ssize_t len = recv(stage.far, bytes, sizeof(bytes), 0);

	if (len <= 0)
		return 0;
	assert_true(at + (size_t)len <= BIG_BYTES);
	assert_memory_equal(bytes, big + at, len);
	return (size_t)len;
}

/* Sends what the near socket takes. */
static size_t push_near(size_t at)
{
	ssize_t len = at < BIG_BYTES ? send(stage.near, big + at, BIG_BYTES - at, MSG_NOSIGNAL) : 0;

	return len > 0 ? (size_t)len : 0;
}

static void assert_bounded(void)
{
	struct relay *relay = &stage.relay;
	size_t held = buf_len(relay->sink ? &relay->sink->out : &relay->h2_sink->out);

	if (relay->state == RELAY_OPEN)
		held += buf_len(relay->source ? &relay->source->in : &relay->h2_source->in);
	assert_int_equal(relay_buffered(relay), held);
	assert_true(relay_buffered(&stage.relay) <= LIMIT_RELAY_BYTES + 65535);
	assert_int_equal(counter_get(&stage.counters, COUNTER_RELAY_BUFFERED), relay_buffered(&stage.relay));
}

TEST(a_stream_that_takes_nothing_stops_the_connection_it_comes_from)
{
	struct body_framing framing = length_of(BIG_BYTES);
	size_t sent = 0, got = 0, more;

	fill_big();
	scene_prepare();
	begin(of_conn(&stage.source), to_open(false), &framing, ENCODE_PLAIN);
	for (int idle = 0; idle < 100; idle = more ? 0 : idle + 1) { /* until nothing moves any more */
		more = push_near(sent);
		sent += more;
		turn();
		assert_bounded();
		usleep(200);
	}
	assert_int_equal(stage.relay.state, RELAY_OPEN);
	assert_int_equal(buf_len(&to.theirs->in), 65535); /* the window of a stream */
	assert_in_range(buf_len(&to.ours->out), 1, LIMIT_RELAY_BYTES);
	assert_true(stage.relay.payload_bytes <= 65535 + LIMIT_RELAY_BYTES);
	for (int idle = 0; got < BIG_BYTES && idle < 5 * PAIR_WAIT_MS; idle++) {
		sent += push_near(sent);
		turn();
		assert_bounded();
		more = read_far_stream(got);
		got += more;
		if (more)
			idle = 0;
		else
			usleep(200);
	}
	turn();
	assert_int_equal(got, BIG_BYTES);
	assert_true(to.theirs->has_end);
	assert_int_equal(stage.relay.state, RELAY_DONE);
	end();
}

TEST(a_connection_that_takes_nothing_stops_the_stream_it_comes_from)
{
	int bytes = 64 * 1024; /* of the kernel */
	size_t got = 0, before;

	fill_big();
	scene_prepare();
	setsockopt(conn_fd(&stage.sink), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	setsockopt(stage.far, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	begin(from_open(H2_POST), of_conn(&stage.sink), &until_close, ENCODE_PLAIN);
	say(big, BIG_BYTES);
	say_end(NULL);
	do {
		before = stage.relay.payload_bytes;
		turn();
		assert_bounded();
		stage.sink.can_write = false; /* as the kernel says when it is full: pump() tries again */
	} while (before != stage.relay.payload_bytes);
	assert_int_equal(stage.relay.state, RELAY_OPEN);
	assert_true(buf_len(&stage.sink.out) <= LIMIT_RELAY_BYTES);
	assert_int_equal(buf_len(&from.ours->in), 65535);
	assert_true(buf_len(&from.theirs->out) > 0);
	for (int idle = 0; got < BIG_BYTES && idle < 5 * PAIR_WAIT_MS; idle++) {
		size_t more = read_far_conn(got);

		got += more;
		turn();
		assert_bounded();
		if (more)
			idle = 0;
		else
			usleep(200);
	}
	assert_int_equal(got, BIG_BYTES);
	assert_int_equal(stage.relay.state, RELAY_DONE);
	end();
}

/* More than one batch waits on the stream, its end among it, when the sink stops taking bytes. */
TEST(an_end_that_waits_behind_bytes_is_not_taken_before_them)
{
	enum { LEN = 900 * 1024 };
	struct h2_options options[2] = { h2_play_options(H2_CLIENT), h2_play_options(H2_SERVER) };
	int bytes = 16 * 1024;
	size_t got = 0;

	fill_big();
	scene_prepare();
	setsockopt(conn_fd(&stage.sink), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	setsockopt(stage.far, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	options[1].window_bytes = LEN;
	h2_play_begin(&from.play, &options[0], &options[1]);
	assert_int_equal(h2_play_turn(&from.play), 0);
	begin(from_stream(H2_POST), of_conn(&stage.sink), &until_close, ENCODE_PLAIN);
	say(big, LEN);
	say_end(NULL);
	assert_int_equal(h2_play_turn(&from.play), 0);
	assert_int_equal(buf_len(&from.ours->in), LEN);
	assert_true(from.ours->has_end);
	for (int idle = 0; got < LEN && idle < 5 * PAIR_WAIT_MS; idle++) {
		size_t more;

		turn();
		assert_true(buf_len(&stage.sink.out) <= LIMIT_RELAY_BYTES);
		more = read_far_conn(got);
		got += more;
		if (more)
			idle = 0;
		else
			usleep(200);
	}
	assert_int_equal(got, LEN);
	assert_int_equal(stage.relay.state, RELAY_DONE);
	end();
}

TEST(a_stream_that_takes_nothing_stops_the_stream_it_comes_from)
{
	size_t got = 0;

	fill_big();
	scene_prepare();
	begin(from_open(H2_POST), to_open(false), &until_close, ENCODE_PLAIN);
	say(big, BIG_BYTES);
	say_end(NULL);
	turn();
	assert_bounded();
	assert_int_equal(buf_len(&to.theirs->in), 65535);
	/* What is read for a closed window waits in between. */
	assert_in_range(buf_len(&from.ours->in), 65535 - LIMIT_H2_WRITE_BYTES, 65535);
	assert_in_range(stage.relay.payload_bytes, 65535, 65535 + LIMIT_RELAY_BYTES);
	while (got < BIG_BYTES) {
		size_t more = read_far_stream(got);

		assert_true(more > 0);
		got += more;
		turn();
		assert_bounded();
	}
	assert_true(to.theirs->has_end);
	assert_int_equal(stage.relay.state, RELAY_DONE);
	end();
}

/* The idle timer must not fire on a peer that gives, or takes, little by little. */
TEST(whatever_passes_an_end_counts_as_progress)
{
	scene_prepare();
	begin(from_open(H2_POST), to_open(false), &until_close, ENCODE_PLAIN);
	say("abc", 3);
	assert_int_equal(h2_play_turn(&from.play), 0);
	relay_pump(&stage.relay, 100);
	assert_int_equal(stage.relay.last_active_ms, 100); /* received */
	relay_pump(&stage.relay, 200);
	assert_int_equal(stage.relay.last_active_ms, 100);
	assert_int_equal(h2_play_turn(&to.play), 0);
	relay_pump(&stage.relay, 300);
	assert_int_equal(stage.relay.last_active_ms, 300); /* made frames of */
	relay_pump(&stage.relay, 400);
	assert_int_equal(stage.relay.last_active_ms, 300);
	end();
}

/* ---- repeated tries */

static void sink_drop(enum sink_kind kind)
{
	relay_detach(&stage.relay);
	assert_int_equal(relay_buffered(&stage.relay), 0);
	assert_int_equal(counter_get(&stage.counters, COUNTER_RELAY_BUFFERED), 0);
	if (kind == TO_H2) {
		side_close(&to);
		return;
	}
	conn_close(&stage.sink, true);
	close(stage.far);
	side_open(&stage.sink, &stage.far);
	stage.got_len = 0;
}

static void run_repeat(enum source_kind source, enum sink_kind first, enum sink_kind second, size_t cut,
		       bool is_ended)
{
	struct body_framing framing = framing_of(source);
	bool has_trailers = source == FROM_H2 || source == FROM_CHUNKED;
	struct relay_end source_end_of;

	scene_prepare();
	stage.relay.replay = &stage.replay;
	source_end_of = source_open(source);
	begin(source_end_of, sink_open(first), &framing, first == TO_CHUNKED ? ENCODE_CHUNKED : ENCODE_PLAIN);
	source_send(source, span_first(SPAN(PAYLOAD), cut));
	if (is_ended)
		source_end(source);
	turn();
	assert_true(relay_can_replay(&stage.relay));
	sink_drop(first);
	assert_int_equal(relay_replay(&stage.relay, sink_open(second),
				      second == TO_CHUNKED ? ENCODE_CHUNKED : ENCODE_PLAIN),
			 0);
	source_send(source, span_from(SPAN(PAYLOAD), cut));
	if (!is_ended)
		source_end(source);
	turn();
	assert_int_equal(stage.relay.state, RELAY_DONE);
	assert_arrived(second, has_trailers);
	end();
}

TEST(a_repeated_try_may_go_to_an_end_of_another_kind_at_every_point)
{
	static const enum source_kind sources[] = { FROM_H2, FROM_LENGTH, FROM_CHUNKED };

	for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
		for (int first = 0; first < SINK_KINDS; first++) {
			for (int second = 0; second < SINK_KINDS; second++) {
				if (sources[i] != FROM_H2 && first != TO_H2 && second != TO_H2)
					continue; /* test_relay.c */
				for (size_t cut = 0; cut <= PAYLOAD_BYTES; cut++)
					run_repeat(sources[i], (enum sink_kind)first, (enum sink_kind)second,
						   cut, false);
				run_repeat(sources[i], (enum sink_kind)first, (enum sink_kind)second,
					   PAYLOAD_BYTES, true);
			}
		}
	}
}

TEST(a_repeated_try_without_a_body_is_its_head)
{
	static const struct body_framing none = { .kind = BODY_NONE };

	scene_prepare();
	begin(from_open(H2_POST), to_open(true), &none, ENCODE_PLAIN);
	turn();
	assert_int_equal(stage.relay.state, RELAY_DONE);
	sink_drop(TO_H2);
	assert_int_equal(buf_append(&stage.sink.out, SPAN("head"), 100), 0);
	assert_int_equal(relay_replay(&stage.relay, of_conn(&stage.sink), ENCODE_PLAIN), 0);
	assert_int_equal(stage.relay.state, RELAY_FLUSH);
	turn();
	assert_int_equal(stage.relay.state, RELAY_DONE);
	assert_got("head");
	end();
}
