/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/relay_play.h"

#include <sys/ioctl.h>
#include <sys/resource.h>

/* ---- large bodies */

static unsigned char pattern_byte(uint64_t offset)
{
	return (unsigned char)(offset * 2654435761u >> 13);
}

/* Sends as much as the source's connection takes. */
static uint64_t feed(uint64_t sent, uint64_t total)
{
	static char segment[65536];

	while (sent < total) {
		size_t len = total - sent < sizeof(segment) ? (size_t)(total - sent) : sizeof(segment);
		ssize_t taken;

		for (size_t i = 0; i < len; i++)
			segment[i] = (char)pattern_byte(sent + i);
		taken = send(stage.near, segment, len, MSG_NOSIGNAL);
		if (taken < 0)
			return sent;
		sent += (uint64_t)taken;
	}
	return sent;
}

static uint64_t drain(uint64_t got, size_t most)
{
	static char segment[65536];
	size_t left = most;

	while (left) {
		ssize_t len = recv(stage.far, segment, left < sizeof(segment) ? left : sizeof(segment), 0);

		if (len <= 0)
			return got;
		for (ssize_t i = 0; i < len; i++)
			assert_int_equal((unsigned char)segment[i], pattern_byte(got + (uint64_t)i));
		got += (uint64_t)len;
		left -= (size_t)len;
	}
	return got;
}

static void run_large(bool pipe, uint64_t total)
{
	struct body_framing framing = length_of(total);
	uint64_t sent = 0, got = 0;
	unsigned int idle = 0;

	scene_open(&framing, ENCODE_PLAIN, pipe);
	while (got < total) {
		uint64_t before = got;

		sent = feed(sent, total);
		if (sent == total && idle == 0)
			assert_true(send(stage.near, "NEXT", 4, MSG_NOSIGNAL) == 4 || errno == EAGAIN);
		pump();
		got = drain(got, 50000 + (size_t)(got % 99991));
		idle = got == before ? idle + 1 : sent == total;
		if (idle > 2)
			usleep(200);
		assert_true(idle < 5 * PAIR_WAIT_MS);
	}
	assert_int_equal(stage.relay.state, RELAY_DONE);
	assert_int_equal(stage.relay.payload_bytes, total);
	assert_int_equal(stage.relay.decoder.payload_bytes, total);
	assert_int_equal(stage.relay.lane_bytes[pipe ? LANE_PIPE : LANE_COPY], total);
	scene_close();
}

TEST(megabytes_pass_a_slow_reader_whole_in_both_lanes)
{
	run_large(false, 5000011);
	run_large(true, 5000011);
	run_large(true, LIMIT_PIPE_MIN_BODY_BYTES);
}

TEST(a_blocked_sink_stops_the_source_and_bounds_what_waits)
{
	for (int pipe = 0; pipe <= 1; pipe++) {
		uint64_t total = 1ull << 30;
		struct body_framing framing = length_of(total);
		uint64_t sent = 0, before;
		size_t bound = pipe ? LIMIT_PIPE_BYTES : LIMIT_RELAY_BYTES;
		uint64_t received;

		scene_open(&framing, ENCODE_PLAIN, pipe);
		for (int idle = 0; idle < 40; idle = sent == before ? idle + 1 : 0) {
			before = sent;
			sent = feed(sent, total);
			pump();
			usleep(500);
		}
		assert_true(sent < 64u << 20);
		assert_in_range(relay_buffered(&stage.relay), 1, bound);
		assert_int_equal(counter_get(&stage.counters, COUNTER_RELAY_BUFFERED),
				 relay_buffered(&stage.relay));
		received = stage.source.received_bytes;
		for (int i = 0; i < 10; i++) {
			stage.source.can_read = true;
			assert_false(relay_pump(&stage.relay, 3));
		}
		assert_int_equal(stage.source.received_bytes, received);
		scene_close();
	}
}

TEST(one_turn_moves_a_bounded_number_of_bytes)
{
	uint64_t total = 1ull << 30;
	struct body_framing framing = length_of(total);
	int room_bytes = 4 << 20, queued = 0;
	uint64_t sent = 0;

	scene_open(&framing, ENCODE_PLAIN, false);
	/* Neither side may block before the budget ends. */
	setsockopt(conn_fd(&stage.sink), SOL_SOCKET, SO_SNDBUF, &room_bytes, sizeof(room_bytes));
	setsockopt(conn_fd(&stage.source), SOL_SOCKET, SO_RCVBUF, &room_bytes, sizeof(room_bytes));
	sent = feed(sent, total);
	assert_true(sent > LIMIT_TURN_BYTES + LIMIT_READ_BYTES);
	for (int i = 0; i < PAIR_WAIT_MS && (uint64_t)queued <= LIMIT_TURN_BYTES + LIMIT_READ_BYTES; i++) {
		usleep(1000);
		assert_int_equal(ioctl(conn_fd(&stage.source), FIONREAD, &queued), 0);
	}
	wake();
	assert_true(relay_pump(&stage.relay, 2));
	assert_in_range(stage.source.received_bytes, LIMIT_TURN_BYTES, LIMIT_TURN_BYTES + LIMIT_READ_BYTES);
	assert_int_equal(stage.relay.last_active_ms, 2);
	scene_close();
}

TEST(without_pipes_the_copy_lane_serves)
{
	struct rlimit old, none;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	struct body_framing framing = length_of(LIMIT_PIPE_MIN_BODY_BYTES);
	uint64_t sent = 0, got = 0;

	scene_open(&framing, ENCODE_PLAIN, true);
	assert_int_equal(stage.relay.lane->id, LANE_PIPE);
	none = (struct rlimit){ 3, old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	while (got < LIMIT_PIPE_MIN_BODY_BYTES) {
		sent = feed(sent, LIMIT_PIPE_MIN_BODY_BYTES);
		pump();
		got = drain(got, 1 << 20);
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(stage.relay.state, RELAY_DONE);
	assert_int_equal(stage.relay.lane_bytes[LANE_COPY], LIMIT_PIPE_MIN_BODY_BYTES);
	scene_close();
}

TEST(what_was_read_before_goes_first_through_the_pipe_lane_too)
{
	uint64_t total = LIMIT_PIPE_MIN_BODY_BYTES;
	struct body_framing framing = length_of(total);
	char first[3000];
	uint64_t sent = sizeof(first), got = 0;

	for (size_t i = 0; i < sizeof(first); i++)
		first[i] = (char)pattern_byte(i);
	scene_open(&framing, ENCODE_PLAIN, true);
	assert_int_equal(buf_append(&stage.source.in, span_of(first, sizeof(first)), 10000), 0);
	while (got < total) {
		sent = feed(sent, total);
		pump();
		got = drain(got, 1 << 20);
	}
	assert_int_equal(stage.relay.state, RELAY_DONE);
	assert_true(stage.relay.decoder.is_done);
	assert_int_equal(stage.relay.lane_bytes[LANE_PIPE], total - sizeof(first));
	assert_int_equal(stage.relay.lane_bytes[LANE_COPY], sizeof(first));
	scene_close();
}
