/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/h2_raw.h"

#include <string.h>

#include "user/h2/h2_watch.h"

/* ---- counting ---- */

TEST(a_counter_halves_every_second)
{
	const struct h2_flood_limits limits = { .per_second = { [H2_FLOOD_PING] = 100 } };
	struct h2_flood flood = { 0 };
	uint64_t now_ms = 5000;

	for (int i = 0; i < 200; i++)
		assert_true(h2_flood_count(&flood, &limits, H2_FLOOD_PING, now_ms));
	assert_false(h2_flood_count(&flood, &limits, H2_FLOOD_PING, now_ms + 999));
	assert_true(h2_flood_count(&flood, &limits, H2_FLOOD_PING, now_ms + 1000));
	assert_int_equal(flood.recent[H2_FLOOD_PING], 101);
	assert_true(h2_flood_count(&flood, &limits, H2_FLOOD_PING, now_ms + 3000));
	assert_int_equal(flood.recent[H2_FLOOD_PING], 101 / 4 + 1);
	assert_true(h2_flood_count(&flood, &limits, H2_FLOOD_PING, now_ms + 1000 * 1000));
	assert_int_equal(flood.recent[H2_FLOOD_PING], 1);
	assert_int_equal(flood.total[H2_FLOOD_PING], 204);
	/* A clock that goes back. */
	assert_true(h2_flood_count(&flood, &limits, H2_FLOOD_PING, 0));
	assert_int_equal(flood.recent[H2_FLOOD_PING], 2);
}

TEST(a_steady_rate_below_the_limit_goes_on_for_ever)
{
	const struct h2_flood_limits limits = { .per_second = { [H2_FLOOD_PING] = 100 } };
	struct h2_flood flood = { 0 };

	for (uint64_t now_ms = 0; now_ms < 1000 * 1000; now_ms += 10)
		assert_true(h2_flood_count(&flood, &limits, H2_FLOOD_PING, now_ms));
}

TEST(the_life_of_a_connection_has_its_own_limit)
{
	const struct h2_flood_limits limits = { .in_life = { [H2_FLOOD_PROVOKED_RESET] = 3 } };
	struct h2_flood flood = { 0 };

	for (uint64_t i = 0; i < 3; i++)
		assert_true(h2_flood_count(&flood, &limits, H2_FLOOD_PROVOKED_RESET, i * 1000000));
	assert_false(h2_flood_count(&flood, &limits, H2_FLOOD_PROVOKED_RESET, 100000000));
	for (int i = 0; i < 100000; i++)
		assert_true(h2_flood_count(&flood, &limits, H2_FLOOD_PING, 0));
}

TEST(every_kind_has_a_name_and_its_default)
{
	assert_int_equal(h2_flood_defaults.per_second[H2_FLOOD_EARLY_RESET], 50);
	assert_int_equal(h2_flood_defaults.in_life[H2_FLOOD_PROVOKED_RESET], 500);
	assert_int_equal(h2_flood_defaults.per_second[H2_FLOOD_NONE], 0);
	for (unsigned int a = 0; a < H2_FLOOD_COUNT; a++) {
		assert_true(strlen(h2_flood_name(a)) > 0);
		for (unsigned int b = 0; b < a; b++)
			assert_string_not_equal(h2_flood_name(a), h2_flood_name(b));
	}
}

/* ---- frame headers ---- */

static const struct frame_case {
	struct span head; /* and the first byte of the payload, where it matters */
	bool is_empty;
	enum h2_flood_kind kind;
} frames[] = {
	{ TEXT("\0\0\0\0\0\0\0\0\1"), true, H2_FLOOD_EMPTY_DATA },
	{ TEXT("\0\0\0\0\1\0\0\0\1"), true, H2_FLOOD_NONE }, /* END_STREAM */
	{ TEXT("\0\0\1\0\0\0\0\0\1"), false, H2_FLOOD_NONE },
	{ TEXT("\0\0\1\0\10\0\0\0\1\0"), true, H2_FLOOD_EMPTY_DATA }, /* PADDED: the length of the padding */
	{ TEXT("\0\0\6\0\10\0\0\0\1\5"), true, H2_FLOOD_EMPTY_DATA },
	{ TEXT("\0\0\6\0\10\0\0\0\1\4"), false, H2_FLOOD_NONE },
	{ TEXT("\0\0\6\0\10\0\0\0\1\xff"), true, H2_FLOOD_EMPTY_DATA }, /* more padding than there is room */
	{ TEXT("\0\0\0\0\10\0\0\0\1"), true, H2_FLOOD_EMPTY_DATA }, /* too short for what it says */
	{ TEXT("\0\0\0\1\0\0\0\0\1"), true, H2_FLOOD_NONE },
	{ TEXT("\0\0\0\2\0\0\0\0\1"), true, H2_FLOOD_PRIORITY },
	{ TEXT("\0\0\0\3\0\0\0\0\1"), true, H2_FLOOD_NONE },
	{ TEXT("\0\0\0\4\0\0\0\0\0"), true, H2_FLOOD_SETTINGS },
	{ TEXT("\0\0\0\4\1\0\0\0\0"), true, H2_FLOOD_NONE }, /* ACK */
	{ TEXT("\0\0\0\5\0\0\0\0\1"), true, H2_FLOOD_NONE },
	{ TEXT("\0\0\0\6\0\0\0\0\0"), true, H2_FLOOD_PING },
	{ TEXT("\0\0\0\6\1\0\0\0\0"), true, H2_FLOOD_NONE }, /* ACK */
	{ TEXT("\0\0\0\7\0\0\0\0\0"), true, H2_FLOOD_GLITCH },
	{ TEXT("\0\0\0\x8\0\0\0\0\0"), true, H2_FLOOD_NONE }, /* the session judges it */
	{ TEXT("\0\0\0\x8\0\x80\0\0\0"), true, H2_FLOOD_NONE }, /* the reserved bit */
	{ TEXT("\0\0\0\x8\0\0\0\0\1"), true, H2_FLOOD_NONE },
	{ TEXT("\0\0\0\x9\0\0\0\0\1"), true, H2_FLOOD_NONE },
	{ TEXT("\0\0\0\xa\0\0\0\0\1"), true, H2_FLOOD_UNKNOWN },
	{ TEXT("\0\0\0\x10\0\0\0\0\0"), true, H2_FLOOD_PRIORITY },
	{ TEXT("\0\0\0\xff\0\0\0\0\1"), true, H2_FLOOD_UNKNOWN },
};

TEST(a_frame_header_says_what_it_counts_as)
{
	for (size_t i = 0; i < ARRAY_LEN(frames); i++) {
		struct span rest = frames[i].head;
		struct h2_watch watch;
		struct h2_frame frame;

		h2_watch_init(&watch, false);
		assert_true(h2_watch_next(&watch, &rest, &frame));
		assert_int_equal(rest.len, 0);
		assert_int_equal(frame.length, frames[i].head.data[2]);
		assert_int_equal(frame.is_empty, frames[i].is_empty);
		assert_int_equal(frame.stream_id, frames[i].head.data[8]);
		if (h2_frame_flood(&frame) != frames[i].kind)
			fail_msg("row %zu is %s", i, h2_flood_name(h2_frame_flood(&frame)));
	}
}

TEST(a_priority_says_whether_its_stream_depends_on_itself)
{
	static const struct {
		struct span frame;
		bool is_own_parent;
	} rows[] = {
		{ TEXT("\0\0\5\2\0\0\0\0\7\0\0\0\7\0"), true },
		{ TEXT("\0\0\5\2\0\0\0\0\7\x80\0\0\7\0"), true },
		{ TEXT("\0\0\5\2\0\0\0\0\7\0\0\0\5\0"), false },
		{ TEXT("\0\0\3\2\0\0\0\0\7\0\0\7"), false }, /* of another length: for nghttp2 */
		{ TEXT("\0\0\4\3\0\0\0\0\7\0\0\0\7"), false }, /* RST_STREAM */
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (size_t segment = 1; segment <= rows[i].frame.len; segment++) {
			struct span bytes = rows[i].frame;
			struct h2_frame frame = { 0 };
			struct h2_watch watch;
			int seen = 0;

			h2_watch_init(&watch, false);
			while (bytes.len) {
				struct span rest = span_first(bytes, segment);

				bytes = span_from(bytes, rest.len);
				while (h2_watch_next(&watch, &rest, &frame))
					seen++;
			}
			assert_int_equal(seen, 1);
			assert_int_equal(frame.is_own_parent, rows[i].is_own_parent);
			assert_int_equal(h2_frame_is_misplaced(&frame), rows[i].is_own_parent);
		}
	}
}

/* Frames of many lengths; the sum of what is seen must not depend on the cuts. */
static uint64_t watch_sum(struct span bytes, size_t segment)
{
	struct h2_watch watch;
	struct h2_frame frame;
	uint64_t sum = 0;

	h2_watch_init(&watch, true);
	while (bytes.len) {
		struct span rest = span_first(bytes, segment);

		bytes = span_from(bytes, rest.len);
		while (h2_watch_next(&watch, &rest, &frame))
			sum = sum * 31 + frame.length + frame.type * 1000000u + frame.stream_id * 7 +
			      frame.is_empty;
		assert_int_equal(rest.len, 0);
	}
	return sum;
}

TEST(the_cut_of_the_bytes_does_not_matter)
{
	struct buf bytes = { 0 };
	uint64_t whole;
	uint64_t expected = 0;

	h2_raw_bytes(&bytes, SPAN(H2_PREFACE));
	for (uint32_t i = 0; i < 200; i++) {
		bool is_padded = i % 3 == 0 && i;

		h2_raw_frame(&bytes, i % 12, is_padded ? RAW_PADDED : 0, i, h2_zeros(i * 7 % 500));
		expected = expected * 31 + i * 7 % 500 + (i % 12) * 1000000u + i * 7 +
			   (i * 7 % 500 == 0 || (is_padded && i % 12 == 0 && i * 7 % 500 == 1));
	}
	whole = watch_sum(buf_span(&bytes), SIZE_MAX);
	assert_int_equal(whole, expected);
	for (size_t segment = 1; segment < 40; segment++)
		assert_int_equal(watch_sum(buf_span(&bytes), segment), whole);
	buf_done(&bytes);
}

/* ---- floods of a connection ---- */

#define REQUEST H2_GET_A

static struct h2_raw raw;

static int setup(void **state)
{
	(void)state;
	h2_raw_begin(&raw, H2_SERVER);
	assert_int_equal(h2_raw_turn(&raw), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	h2_raw_end(&raw);
	return 0;
}

#define CASE(name) TEST_WITH(name, setup, teardown)

static void put_ping(uint32_t i)
{
	(void)i;
	h2_raw_frame(&raw.in, RAW_PING, 0, 0, SPAN("12345678"));
}

/* Answers with other bytes than our PING had, of which there is one. */
static void put_ping_answer(uint32_t i)
{
	if (i == 0)
		assert_int_equal(h2_session_ping(raw.session, 1), 0);
	h2_raw_frame(&raw.in, RAW_PING, RAW_ACK, 0, SPAN("12345678"));
}

static void put_settings(uint32_t i)
{
	(void)i;
	h2_raw_frame(&raw.in, RAW_SETTINGS, 0, 0, SPAN(""));
}

/* On a stream that is gone: its owner left. */
static void put_empty_data(uint32_t i)
{
	if (i == 0)
		h2_raw_headers(&raw.in, 1, SPAN(REQUEST), 0);
	h2_raw_frame(&raw.in, RAW_DATA, i % 2 ? RAW_PADDED : 0, 1, i % 2 ? SPAN("\1\0") : SPAN(""));
}

static void put_window_update(uint32_t i)
{
	(void)i;
	h2_raw_number(&raw.in, RAW_WINDOW_UPDATE, 0, 1);
}

static void put_priority(uint32_t i)
{
	h2_raw_frame(&raw.in, RAW_PRIORITY, 0, 2 * i + 1, SPAN("\0\0\0\0\1"));
}

static void put_priority_update(uint32_t i)
{
	(void)i;
	h2_raw_frame(&raw.in, RAW_PRIORITY_UPDATE, 0, 0, SPAN("\0\0\0\1u=1"));
}

static void put_unknown(uint32_t i)
{
	h2_raw_frame(&raw.in, 0x20 + i % 100, 0, i, SPAN("grease"));
}

static void put_stream_priority(uint32_t i)
{
	if (i == 0)
		h2_raw_headers(&raw.in, 1, SPAN(REQUEST), RAW_END_STREAM);
	h2_raw_frame(&raw.in, RAW_PRIORITY_UPDATE, 0, 0, SPAN("\0\0\0\1u=1"));
}

static void put_stream_unknown(uint32_t i)
{
	if (i == 0)
		h2_raw_headers(&raw.in, 1, SPAN(REQUEST), RAW_END_STREAM);
	h2_raw_frame(&raw.in, 0x20 + i % 100, 0, 1, SPAN("grease"));
}

static void put_goaway(uint32_t i)
{
	(void)i;
	h2_raw_frame(&raw.in, RAW_GOAWAY, 0, 0, SPAN("\0\0\0\0\0\0\0\0"));
}

static void put_early_reset(uint32_t i)
{
	h2_raw_headers(&raw.in, 2 * i + 1, SPAN(REQUEST), RAW_END_STREAM);
	h2_raw_number(&raw.in, RAW_RST_STREAM, 2 * i + 1, H2_CANCEL);
}

/* Of a stream that is gone. */
static void put_late_reset(uint32_t i)
{
	if (i == 0)
		h2_raw_headers(&raw.in, 1, SPAN(REQUEST), RAW_END_STREAM);
	h2_raw_number(&raw.in, RAW_RST_STREAM, 1, H2_CANCEL);
}

/* MadeYouReset: the client breaks a rule on the stream, and we are the one who resets it. */
static void put_overflow(uint32_t i)
{
	h2_raw_headers(&raw.in, 2 * i + 1, SPAN(REQUEST), RAW_END_STREAM);
	h2_raw_number(&raw.in, RAW_WINDOW_UPDATE, 2 * i + 1, INT32_MAX);
}

static void put_too_much_payload(uint32_t i)
{
	h2_raw_headers(&raw.in, 2 * i + 1, SPAN(REQUEST "content-length=1\n"), 0);
	h2_raw_frame(&raw.in, RAW_DATA, 0, 2 * i + 1, SPAN("ab"));
}

static void put_upper_case(uint32_t i)
{
	h2_raw_headers(&raw.in, 2 * i + 1, SPAN(REQUEST "Upper=x\n"), RAW_END_STREAM);
}

/* Streams over the limit, from a client that does not acknowledge it. */
static void put_refused(uint32_t i)
{
	h2_raw_headers(&raw.in, 2 * i + 1, SPAN(REQUEST), RAW_END_STREAM);
}

static void put_bad_head(uint32_t i)
{
	h2_raw_headers(&raw.in, 2 * i + 1, SPAN(REQUEST "a=\1\n"), RAW_END_STREAM);
}

static const struct attack {
	const char *name;
	void (*put)(uint32_t i);
	enum h2_flood_kind kind;
	uint32_t most; /* how many are taken */
} attacks[] = {
	{ "ping", put_ping, H2_FLOOD_PING, 200 },
	{ "ping answer", put_ping_answer, H2_FLOOD_GLITCH, 201 },
	{ "settings", put_settings, H2_FLOOD_SETTINGS, 99 }, /* and the one of setup() */
	{ "empty data", put_empty_data, H2_FLOOD_EMPTY_DATA, 200 },
	{ "window update", put_window_update, H2_FLOOD_WINDOW_UPDATE, 200 },
	{ "priority", put_priority, H2_FLOOD_PRIORITY, 200 },
	{ "priority update", put_priority_update, H2_FLOOD_PRIORITY, 200 },
	{ "unknown", put_unknown, H2_FLOOD_UNKNOWN, 200 },
	/* The first of each brings its stream, which explains ten. */
	{ "priority of a stream", put_stream_priority, H2_FLOOD_PRIORITY, 210 },
	{ "unknown of a stream", put_stream_unknown, H2_FLOOD_UNKNOWN, 210 },
	{ "goaway", put_goaway, H2_FLOOD_GLITCH, 200 },
	{ "reset again", put_late_reset, H2_FLOOD_RESET, 200 },
	{ "rapid reset", put_early_reset, H2_FLOOD_EARLY_RESET, 100 },
	{ "window overflow", put_overflow, H2_FLOOD_PROVOKED_RESET, 100 },
	{ "too much payload", put_too_much_payload, H2_FLOOD_PROVOKED_RESET, 100 },
	{ "upper case", put_upper_case, H2_FLOOD_PROVOKED_RESET, 100 },
	{ "bad head", put_bad_head, H2_FLOOD_GLITCH, 0 },
};

static void release_all(struct h2_session *session)
{
	struct h2_stream *stream;

	while ((stream = h2_session_next(session)))
		h2_stream_release(stream, H2_CANCEL);
}

/* One at a time: the limit is exact. */
TEST(each_flood_ends_the_connection_at_its_limit)
{
	for (size_t a = 0; a < ARRAY_LEN(attacks); a++) {
		uint32_t taken = 0;

		if (attacks[a].most == 0)
			continue;
		h2_raw_begin(&raw, H2_SERVER);
		assert_int_equal(h2_raw_turn(&raw), 0);
		for (; taken < 1000; taken++) {
			attacks[a].put(taken);
			if (h2_raw_turn(&raw) < 0)
				break;
			release_all(raw.session);
		}
		if (taken != attacks[a].most)
			fail_msg("%s: %u instead of %u", attacks[a].name, taken, attacks[a].most);
		h2_raw_expect_failure(&raw, H2_ENHANCE_YOUR_CALM, attacks[a].kind);
		h2_raw_end(&raw);
	}
}

/* All at once, in one piece of bytes: no answer grows with the attack. */
TEST(a_flood_in_one_piece_is_noticed_within_it)
{
	for (size_t a = 0; a < ARRAY_LEN(attacks); a++) {
		h2_raw_begin(&raw, H2_SERVER);
		assert_int_equal(h2_raw_turn(&raw), 0);
		for (uint32_t i = 0; i < 20000; i++)
			attacks[a].put(i);
		if (h2_raw_turn(&raw) != -EPROTO)
			fail_msg("%s goes on", attacks[a].name);
		assert_true(buf_len(&raw.out) < 256 * 1024);
		h2_raw_expect_failure(&raw, H2_ENHANCE_YOUR_CALM, attacks[a].kind);
		h2_raw_end(&raw);
	}
}

TEST(a_limit_of_none_is_none)
{
	struct h2_options options = h2_play_options(H2_SERVER);

	memset(&options.flood_limits, 0, sizeof(options.flood_limits));
	for (size_t a = 0; a < ARRAY_LEN(attacks); a++) {
		h2_raw_begin_with(&raw, &options);
		for (uint32_t i = 0; i < 1500; i++) {
			attacks[a].put(i);
			if (h2_raw_turn(&raw) < 0)
				fail_msg("%s ends at %u", attacks[a].name, i);
			release_all(raw.session);
		}
		h2_raw_end(&raw);
	}
}

CASE(window_updates_that_answer_data_do_not_count)
{
	struct h2_stream *stream;

	h2_raw_headers(&raw.in, 1, SPAN(REQUEST), RAW_END_STREAM);
	assert_int_equal(h2_raw_turn(&raw), 0);
	stream = h2_session_next(raw.session);
	assert_int_equal(h2_play_answer(stream, ":status=200\n", false), 0);
	for (int frame = 0; frame < 40; frame++) {
		assert_int_equal(h2_play_write(stream, SPAN("x")), 0);
		assert_int_equal(h2_raw_turn(&raw), 0);
		for (uint32_t i = 0; i < LIMIT_H2_WINDOW_UPDATES; i++)
			put_window_update(i);
		assert_int_equal(h2_raw_turn(&raw), 0);
	}
	assert_int_equal(h2_session_flood(raw.session), H2_FLOOD_NONE);
	h2_session_next(raw.session);
	h2_stream_release(stream, H2_CANCEL);
}

CASE(a_reset_behind_our_response_is_no_early_one)
{
	for (uint32_t i = 0; i < 99; i++) {
		struct h2_stream *stream;

		h2_raw_headers(&raw.in, 2 * i + 1, SPAN(REQUEST), RAW_END_STREAM);
		assert_int_equal(h2_raw_turn(&raw), 0);
		stream = h2_session_next(raw.session);
		assert_int_equal(h2_play_answer(stream, ":status=200\n", false), 0);
		assert_int_equal(h2_raw_turn(&raw), 0);
		h2_raw_number(&raw.in, RAW_RST_STREAM, 2 * i + 1, H2_CANCEL);
		assert_int_equal(h2_raw_turn(&raw), 0);
		h2_session_next(raw.session);
		assert_true(stream->is_reset_by_peer);
		h2_stream_release(stream, H2_CANCEL);
	}
	assert_int_equal(h2_session_flood(raw.session), H2_FLOOD_NONE);
}

CASE(resets_of_our_own_do_not_count)
{
	for (uint32_t i = 0; i < 600; i++) {
		struct h2_stream *stream;

		h2_raw_headers(&raw.in, 2 * i + 1, SPAN(REQUEST), RAW_END_STREAM);
		assert_int_equal(h2_raw_turn(&raw), 0);
		stream = h2_session_next(raw.session);
		if (i % 2)
			h2_stream_reset(stream, H2_INTERNAL_ERROR);
		if (i % 3)
			assert_int_equal(h2_raw_turn(&raw), 0);
		h2_stream_release(stream, H2_CANCEL);
	}
	assert_int_equal(h2_raw_turn(&raw), 0);
	assert_int_equal(raw.session->open_streams, 0);
	assert_int_equal(h2_session_flood(raw.session), H2_FLOOD_NONE);
}

/*
 * Who does not read our answers cannot make us keep them without bound. (Resets have another: a stream counts
 * as open until its RST_STREAM was made.)
 */
TEST(an_outbound_queue_is_bounded)
{
	struct h2_options options = h2_play_options(H2_SERVER);
	static void (*const puts[])(uint32_t) = { put_ping, put_settings, put_refused };

	memset(&options.flood_limits, 0, sizeof(options.flood_limits));
	for (size_t a = 0; a < ARRAY_LEN(puts); a++) {
		int error = 0;

		h2_raw_begin_with(&raw, &options);
		for (uint32_t i = 0; i < 100000 && !error; i++) {
			puts[a](i);
			error = h2_raw_feed(&raw);
		}
		release_all(raw.session);
		assert_int_equal(error, -EPROTO);
		assert_int_equal(h2_session_output(raw.session, &raw.out, SIZE_MAX), 0);
		assert_true(buf_len(&raw.out) < 1024 * 1024);
		h2_raw_expect_failure(&raw, H2_ENHANCE_YOUR_CALM, H2_FLOOD_QUEUE);
		h2_raw_end(&raw);
	}
}
