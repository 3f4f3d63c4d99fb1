/* SPDX-License-Identifier: Apache-2.0 */
/* Reasons for which a gate closes that ordinary traffic hardly ever meets: each provoked, no byte lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "tests/bpf/actor.h"
#include "tests/bpf/rig.h"

static uint64_t closings(const struct gate *gate, enum gate_reason reason)
{
	uint64_t counts[GATE_REASON_COUNT];

	assert_int_equal(gate_read_closings(gate, counts), 0);
	return counts[reason];
}

static void finish(struct gate *gate, struct rig *rig, struct rig_stream *s)
{
	rig_stream_close(s);
	assert_int_equal(gate_count_taken(gate), 0);
	assert_int_equal(atomic_load(&gate->slots.credit_bytes), 0);
	assert_int_equal(rig->worker->totals.poisoned, 0);
	rig_free(rig);
	gate_free(gate);
}

/* One piece with more chunks than the program walks: user space passes it on, and the lane goes on. */
static void a_piece_of_very_many_chunks_is_left_to_user_space(void **state)
{
	enum { CHUNK = 6, COUNT = 10000 };
	static const char one[] = "5\r\nhello\r\n";
	const size_t one_len = sizeof(one) - 1;
	static char piece[COUNT * CHUNK + 1], got[sizeof(piece)];
	struct gate_direction_options options = { .framing = GATE_CHUNKED_BODY };
	struct gate *gate = rig_gate(NULL);
	struct rig *rig = rig_create(gate);
	struct rig_stream s;

	(void)state;
	for (int i = 0; i < COUNT; i++)
		memcpy(piece + i * CHUNK, "1\r\nx\r\n", CHUNK);
	rig_stream_open(rig, &s, NULL);
	rig_stream_add(&s);
	rig_start(&s.down, &options);
	for (int round = 0; round < 3; round++) {
		uint64_t redirected = gate_direction_stats(&s.down.direction).redirected_bytes;

		assert_true(send_all(rig, s.server, piece, COUNT * CHUNK));
		assert_int_equal(receive_some(rig, s.client, got, COUNT * CHUNK, 2000), COUNT * CHUNK);
		assert_memory_equal(got, piece, COUNT * CHUNK);
		assert_true(closings(gate, GATE_REASON_CHUNK_MANY) > (uint64_t)round);
		assert_int_equal(s.down.end, RIG_RUNNING);
		/* An ordinary one rides the kernel again. */
		assert_true(send_all(rig, s.server, one, one_len));
		assert_int_equal(receive_some(rig, s.client, got, one_len, 2000), one_len);
		assert_memory_equal(got, one, one_len);
		assert_true(gate_direction_stats(&s.down.direction).redirected_bytes > redirected);
	}
	finish(gate, rig, &s);
}

/* Writes the pattern until nothing has been taken for a while; how much was. */
static uint64_t write_until_full(struct rig *rig, int fd, uint64_t seed)
{
	char piece[16384];
	uint64_t position = 0, quiet_since = now_ms();

	while (now_ms() - quiet_since < 30) {
		pattern_fill(piece, seed, position, sizeof(piece));
		ssize_t sent = send(fd, piece, sizeof(piece), MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent > 0) {
			position += (uint64_t)sent;
			quiet_since = now_ms();
		}
		rig_turn(rig, sent > 0 ? 0 : 1);
	}
	return position;
}

/* Both readers have stopped: what waits for the one must not be put in front of what the other has sent. */
static void a_busy_peer_closes_the_gate_before_credit_is_used_up(void **state)
{
	static const struct rig_buffers small = {
		.front_receive = 32768, .front_send = 262144, .back_receive = 32768, .back_send = 32768,
		.client_receive = 32768, .client_send = 32768, .server_receive = 32768, .server_send = 32768,
	};
	struct gate *gate = rig_gate(NULL);
	struct rig *rig = rig_create(gate);
	struct rig_stream s;
	struct gate_direction_options within = { .framing = GATE_UNTIL_CLOSE };
	struct gate_direction_options beyond = { .framing = GATE_UNTIL_CLOSE, .credit_bytes = 1 << 20 };
	struct actor server = { 0 }, client = { 0 };
	uint64_t up, down;

	(void)state;
	rig_stream_open(rig, &s, &small);
	rig_stream_add(&s);
	rig_start(&s.up, &within);
	rig_start(&s.down, &beyond);
	up = write_until_full(rig, s.client, 1);
	assert_int_equal(closings(gate, GATE_REASON_BUSY_PEER), 0);
	down = write_until_full(rig, s.server, 2);
	assert_true(closings(gate, GATE_REASON_BUSY_PEER) > 0);
	/* The credit of this direction alone would have taken more. */
	assert_true(down < 1 << 20);
	/* What was passed up waits behind what was redirected the other way: both read at once. */
	actor_read(&server, s.server, 1, up, 20000);
	actor_read(&client, s.client, 2, down, 20000);
	assert_true(rig_run(rig, actor_finished, &server, 5000));
	assert_true(rig_run(rig, actor_finished, &client, 5000));
	actor_join(&server);
	actor_join(&client);
	assert_int_equal(server.wrong_at, -1);
	assert_int_equal(client.wrong_at, -1);
	assert_int_equal(server.done, up);
	assert_int_equal(client.done, down);
	assert_int_equal(s.up.end, RIG_RUNNING);
	assert_int_equal(s.down.end, RIG_RUNNING);
	finish(gate, rig, &s);
}

/* The total is given away: who comes then gets none, works all the same, and what was given comes back. */
static void without_credit_left_a_stream_works_within_the_buffers(void **state)
{
	enum { CREDIT = 300000 };
	struct gate_options options = { .slot_count = 64, .worker_count = 1, .max_credit_bytes = 2 * CREDIT };
	struct gate *gate = rig_gate(&options);
	struct rig *rig = rig_create(gate);
	struct rig_stream first, second;
	uint64_t without;

	(void)state;
	rig_stream_open(rig, &first, NULL);
	rig_tunnel(&first, CREDIT);
	assert_int_equal(atomic_load(&gate->slots.credit_bytes), 2 * CREDIT);
	rig_stream_open(rig, &second, NULL);
	rig_tunnel(&second, CREDIT);
	assert_int_equal(atomic_load(&gate->slots.credit_bytes), 2 * CREDIT);
	assert_int_equal(gate_socket_record(&second.front_socket)->user.credit_bytes, 0);
	without = write_until_full(rig, second.server, 3);
	for (uint64_t at = 0; at < without; at += 8192)
		expect(rig, second.client, 3, at, without - at < 8192 ? without - at : 8192);
	assert_int_equal(second.down.end, RIG_RUNNING);
	rig_stream_close(&first);
	assert_int_equal(atomic_load(&gate->slots.credit_bytes), 0);
	finish(gate, rig, &second);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_piece_of_very_many_chunks_is_left_to_user_space),
		cmocka_unit_test(a_busy_peer_closes_the_gate_before_credit_is_used_up),
		cmocka_unit_test(without_credit_left_a_stream_works_within_the_buffers),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
