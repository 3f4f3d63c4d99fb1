/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/relay/replay.h"

static struct counters counters;
static uint32_t connection_bytes;
static char body[LIMIT_RETRY_BODY_BYTES];

static int setup(void **state)
{
	(void)state;
	memset(&counters, 0, sizeof(counters));
	connection_bytes = 0;
	for (size_t i = 0; i < sizeof(body); i++)
		body[i] = (char)(i * 31 + (i >> 8));
	return 0;
}

static uint64_t held(void)
{
	return counter_get(&counters, COUNTER_REPLAY_HELD);
}

static void assert_content(const struct replay *replay, size_t len)
{
	size_t at = 0;

	list_each(node, next, &replay->segments) {
		const struct replay_segment *segment = list_entry(node, struct replay_segment, node);

		assert_true(at + segment->len <= len);
		assert_memory_equal(segment->data, body + at, segment->len);
		at += segment->len;
	}
	assert_int_equal(at, len);
	assert_int_equal(replay->bytes, len);
	assert_int_equal(replay->held_bytes, held());
	assert_int_equal(replay->held_bytes, connection_bytes);
}

TEST_WITH(parts_of_any_size_come_back_in_order_and_cost_little_more_than_themselves, setup, NULL)
{
	static const size_t sizes[] = { 1, 100, 511, 512, 513, 4096, 16384, 20000, 65536 };

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct replay replay;

		replay_init(&replay, &counters, &connection_bytes);
		for (size_t at = 0; at < sizeof(body); at += sizes[i]) {
			size_t rest = sizeof(body) - at;

			replay_add(&replay, span_of(body + at, sizes[i] < rest ? sizes[i] : rest));
			assert_false(replay.is_lost);
		}
		assert_content(&replay, sizeof(body));
		assert_true(replay.held_bytes <= sizeof(body) + sizeof(body) / 8);
		replay_drop(&replay);
		assert_int_equal(held(), 0);
		assert_int_equal(connection_bytes, 0);
	}
	assert_int_equal(counter_get(&counters, COUNTER_REPLAY_LOST), 0);
}

TEST_WITH(one_byte_too_many_gives_everything_back_and_is_counted_once, setup, NULL)
{
	struct replay replay;

	replay_init(&replay, &counters, &connection_bytes);
	replay_add(&replay, span_of(body, sizeof(body)));
	replay_add(&replay, SPAN("x"));
	replay_add(&replay, SPAN("y"));
	assert_true(replay.is_lost);
	assert_int_equal(held(), 0);
	assert_int_equal(connection_bytes, 0);
	assert_int_equal(counter_get(&counters, COUNTER_REPLAY_LOST), 1);
	replay_drop(&replay);
	assert_int_equal(counter_get(&counters, COUNTER_REPLAY_LOST), 1);
}

/* `limit` bytes for all of them, each of a connection of its own or not. */
static void fill(uint32_t *of_connection, size_t step, size_t limit)
{
	enum { MOST = LIMIT_REPLAY_WORKER_BYTES / LIMIT_RETRY_BODY_BYTES + 1 };
	static struct replay replays[MOST];
	size_t count = 0;

	do {
		CHECK(count < MOST);
		replay_init(&replays[count], &counters, of_connection + count * step);
		replay_add(&replays[count], span_of(body, sizeof(body)));
		assert_true(held() <= limit);
	} while (!replays[count++].is_lost);
	assert_int_equal(count, limit / LIMIT_RETRY_BODY_BYTES);
	assert_int_equal(counter_get(&counters, COUNTER_REPLAY_LOST), 1);
	/* What others give back may be used. */
	replay_drop(&replays[0]);
	replay_init(&replays[0], &counters, of_connection);
	replay_add(&replays[0], span_of(body, sizeof(body)));
	assert_false(replays[0].is_lost);
	while (count)
		replay_drop(&replays[--count]);
	assert_int_equal(held(), 0);
}

TEST_WITH(a_connection_has_a_limit_for_all_its_bodies, setup, NULL)
{
	fill(&connection_bytes, 0, LIMIT_REPLAY_CONNECTION_BYTES);
}

TEST_WITH(a_worker_has_a_limit_for_all_its_connections, setup, NULL)
{
	static uint32_t connections[LIMIT_REPLAY_WORKER_BYTES / LIMIT_RETRY_BODY_BYTES + 1];

	fill(connections, 1, LIMIT_REPLAY_WORKER_BYTES);
}

TEST_WITH(without_memory_the_body_is_not_kept, setup, NULL)
{
	struct replay replay;

	for (unsigned long nth = 1; nth <= 2; nth++) {
		replay_init(&replay, &counters, &connection_bytes);
		mem_fail_nth(nth);
		replay_add(&replay, span_of(body, 1000));
		replay_add(&replay, span_of(body, 1000));
		mem_fail_nth(0);
		assert_true(replay.is_lost);
		assert_int_equal(held(), 0);
	}
	assert_int_equal(connection_bytes, 0);
}
