/* SPDX-License-Identifier: Apache-2.0 */
/* Reasons for which a gate closes that ordinary traffic hardly ever meets: each provoked, no byte lost. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/bpf/actor.h"
#include "tests/bpf/rig.h"
#include "tests/bpf/traffic.h"
#include "tests/lib/test.h"

static uint64_t closings(const struct sockmap *sockmap, enum sockmap_reason reason)
{
	uint64_t counts[SOCKMAP_REASON_COUNT];

	assert_int_equal(sockmap_read_closings(sockmap, counts), 0);
	return counts[reason];
}

/* One piece with more chunks than the program walks: user space passes it on, and the lane goes on. */
TEST(a_piece_of_very_many_chunks_is_left_to_user_space)
{
	enum { CHUNK = 6, COUNT = 10000 };
	static const char one[] = "5\r\nhello\r\n";
	const size_t one_len = sizeof(one) - 1;
	static char piece[COUNT * CHUNK + 1], got[sizeof(piece)];
	struct sockmap_direction_options options = { .framing = SOCKMAP_CHUNKED_BODY };
	struct sockmap *sockmap = rig_sockmap(NULL);
	struct rig *rig = rig_create(sockmap);
	struct rig_stream s;

	for (int i = 0; i < COUNT; i++)
		memcpy(piece + i * CHUNK, "1\r\nx\r\n", CHUNK);
	rig_stream_open(rig, &s, NULL);
	rig_stream_add(&s);
	rig_start(&s.down, &options);
	for (int round = 0; round < 3; round++) {
		uint64_t redirected = sockmap_direction_stats(&s.down.direction).redirected_bytes;

		assert_true(send_all(rig, s.server, piece, COUNT * CHUNK));
		assert_int_equal(receive_some(rig, s.client, got, COUNT * CHUNK, 20000), COUNT * CHUNK);
		assert_memory_equal(got, piece, COUNT * CHUNK);
		assert_true(closings(sockmap, SOCKMAP_REASON_CHUNK_MANY) > (uint64_t)round);
		assert_int_equal(s.down.end, RIG_RUNNING);
		/* An ordinary one rides the kernel again. */
		assert_true(send_all(rig, s.server, one, one_len));
		assert_int_equal(receive_some(rig, s.client, got, one_len, 20000), one_len);
		assert_memory_equal(got, one, one_len);
		assert_true(sockmap_direction_stats(&s.down.direction).redirected_bytes > redirected);
	}
	rig_stream_close(&s);
	rig_teardown(rig, sockmap);
}

/* The total is given away: who comes then gets none, works all the same, and what was given comes back. */
TEST(without_credit_left_a_stream_works_within_the_buffers)
{
	enum { CREDIT = 300000 };
	struct sockmap_options options = { .slot_count = 64, .worker_count = 1, .max_credit_bytes = CREDIT };
	struct sockmap *sockmap = rig_sockmap(&options);
	struct rig *rig = rig_create(sockmap);
	struct rig_stream first, second;
	uint64_t without;

	rig_stream_open(rig, &first, NULL);
	rig_tunnel(&first, CREDIT);
	assert_int_equal(atomic_load(&sockmap->slots.credit_bytes), CREDIT);
	rig_stream_open(rig, &second, NULL);
	rig_tunnel(&second, CREDIT);
	assert_int_equal(atomic_load(&sockmap->slots.credit_bytes), CREDIT);
	assert_int_equal(sockmap_socket_record(&second.front_socket)->user.credit_bytes, 0);
	without = send_until_full(rig, second.client, 3, 0, UINT64_MAX, 30);
	for (uint64_t at = 0; at < without; at += 8192)
		expect(rig, second.server, 3, at, without - at < 8192 ? without - at : 8192);
	assert_int_equal(second.up.end, RIG_RUNNING);
	rig_stream_close(&first);
	assert_int_equal(atomic_load(&sockmap->slots.credit_bytes), 0);
	rig_stream_close(&second);
	rig_teardown(rig, sockmap);
}
