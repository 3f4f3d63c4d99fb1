/* SPDX-License-Identifier: Apache-2.0 */
/* The chunk walk of bpf/chunked.h against the strict parser of user/http/body.h, sharing no code. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/chunked.h"
#include "tests/bpf/rig.h"
#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/http/body.h"

static enum walk_verdict walk_text(struct sockmap_chunk *c, const char *text, size_t len)
{
	return chunk_walk(c, (const unsigned char *)text, len);
}

/* Longest prefix that the walk covers, and how many payload bytes are in it. */
static size_t walked_prefix(const char *bytes, size_t len, uint64_t *ret_payload)
{
	struct sockmap_chunk c = { 0 };
	size_t at = 0;

	*ret_payload = 0;
	while (at < len) {
		bool is_payload = c.phase == WALK_DATA;

		if (walk_text(&c, bytes + at, 1) != WALK_COVERED)
			break;
		*ret_payload += is_payload;
		at++;
	}
	return at;
}

/* The parser's opinion of a prefix: it goes on after it, with so many payload bytes in it. */
static bool parser_continues(const char *bytes, size_t len, uint64_t *ret_payload)
{
	struct body_framing framing = { .kind = BODY_CHUNKED };
	struct body_decoder decoder;
	struct span in = span_of(bytes, len);
	enum body_step step = BODY_MORE;

	body_decoder_init(&decoder, &framing);
	while (in.len > 0) {
		struct span payload;
		size_t consumed = 0;

		step = body_decode(&decoder, in, &consumed, &payload);
		in = span_from(in, consumed);
		if (step == BODY_END || step == BODY_BAD)
			break;
	}
	*ret_payload = decoder.payload_bytes;
	body_decoder_done(&decoder);
	return step != BODY_END && step != BODY_BAD && in.len == 0;
}

static void check_agreement(const char *bytes, size_t len)
{
	uint64_t walked_payload, parsed_payload;
	size_t prefix = walked_prefix(bytes, len, &walked_payload);

	assert_true(parser_continues(bytes, prefix, &parsed_payload));
	assert_int_equal(walked_payload, parsed_payload);
}

static const struct {
	const char *text;
	size_t covered; /* bytes up to the one that stops the walk */
	enum walk_verdict verdict;
} stops[] = {
	{ "5\r\nhello\r\n", 10, WALK_COVERED },
	{ "A\r\n0123456789\r\n", 15, WALK_COVERED },
	{ "a\r\n0123456789\r\n1\r\nx\r\n", 21, WALK_COVERED },
	{ "00000005\r\nhello\r\n", 17, WALK_COVERED },
	{ "ffffffff\r\nx", 11, WALK_COVERED },
	{ "0\r\n\r\n", 2, WALK_LAST },
	{ "000\r\n", 4, WALK_LAST },
	{ "1\r\nx\r\n0\r\nTrailer: a\r\n\r\n", 8, WALK_LAST },
	{ "5;ext=1\r\nhello\r\n", 1, WALK_SYNTAX },
	{ "5 \r\nhello\r\n", 1, WALK_SYNTAX },
	{ " 5\r\nhello\r\n", 0, WALK_SYNTAX },
	{ "5\nhello\r\n", 1, WALK_SYNTAX },
	{ "5\r\r\nhello\r\n", 2, WALK_SYNTAX },
	{ "+5\r\nhello\r\n", 0, WALK_SYNTAX },
	{ "0x5\r\nhello\r\n", 1, WALK_SYNTAX },
	{ "\r\n", 0, WALK_SYNTAX },
	{ "g\r\n", 0, WALK_SYNTAX },
	{ "@\r\n", 0, WALK_SYNTAX },
	{ "`\r\n", 0, WALK_SYNTAX },
	{ "5\r\nhelloX\r\n", 8, WALK_SYNTAX },
	{ "5\r\nhello\n", 8, WALK_SYNTAX },
	{ "5\r\nhello\r\r\n", 9, WALK_SYNTAX },
	{ "000000005\r\nhello\r\n", 8, WALK_LONG },
	{ "123456789\r\n", 8, WALK_LONG },
};

TEST(walk_stops_where_the_table_says)
{
	for (size_t i = 0; i < ARRAY_LEN(stops); i++) {
		struct sockmap_chunk c = { 0 };
		size_t len = strlen(stops[i].text);
		uint64_t payload;

		assert_int_equal(walk_text(&c, stops[i].text, len), stops[i].verdict);
		assert_int_equal(walked_prefix(stops[i].text, len, &payload), stops[i].covered);
		check_agreement(stops[i].text, len);
	}
}

TEST(a_refused_piece_leaves_the_state_alone)
{
	struct sockmap_chunk before = { .left = 3, .phase = WALK_DATA, .digits = 1 };
	struct sockmap_chunk c = before;

	assert_int_equal(walk_text(&c, "abc\r\n0\r\n", 8), WALK_LAST);
	assert_memory_equal(&c, &before, sizeof(c));
}

/* Chunks, some of them spoiled by one random byte. Returns the length. */
static size_t random_stream(char *out, size_t size, uint64_t *random)
{
	size_t len = 0;

	while (len + 400 < size && random_u32(random) % 12) {
		uint32_t payload = random_u32(random) % 300 + 1;

		len += (size_t)snprintf(out + len, size - len, random_u32(random) % 2 ? "%x\r\n" : "%04X\r\n",
					payload);
		for (uint32_t i = 0; i < payload; i++)
			out[len++] = (char)random_u32(random);
		out[len++] = '\r';
		out[len++] = '\n';
	}
	if (random_u32(random) % 3 == 0)
		len += (size_t)snprintf(out + len, size - len, "0\r\n\r\nGET / HTTP/1.1\r\n");
	if (len > 0 && random_u32(random) % 3 == 0)
		out[random_u32(random) % len] = (char)("\r\n;0 5aG"[random_u32(random) % 8]);
	return len;
}

TEST(walk_and_parser_agree_on_random_streams)
{
	uint64_t random = 20260101;
	char bytes[4096];

	for (int round = 0; round < 20000; round++)
		check_agreement(bytes, random_stream(bytes, sizeof(bytes), &random));
}

TEST(every_split_gives_the_same_state)
{
	uint64_t random = 7;
	char bytes[1500];

	for (int round = 0; round < 60; round++) {
		size_t len = random_stream(bytes, sizeof(bytes), &random);
		uint64_t payload;
		size_t prefix = walked_prefix(bytes, len, &payload);
		struct sockmap_chunk whole = { 0 };

		assert_int_equal(walk_text(&whole, bytes, prefix), WALK_COVERED);
		for (size_t split = 0; split <= prefix; split++) {
			struct sockmap_chunk parts = { 0 };

			assert_int_equal(walk_text(&parts, bytes, split), WALK_COVERED);
			assert_int_equal(walk_text(&parts, bytes + split, prefix - split), WALK_COVERED);
			assert_memory_equal(&parts, &whole, sizeof(whole));
		}
	}
}

TEST(plain_chunks_are_covered_completely)
{
	char bytes[64];

	for (uint32_t size = 1; size < 40; size++) {
		struct sockmap_chunk c = { 0 };
		int head = snprintf(bytes, sizeof(bytes), "%x\r\n", size);

		memset(bytes + head, 'x', size);
		memcpy(bytes + head + size, "\r\n", 2);
		assert_int_equal(walk_text(&c, bytes, (size_t)head + size + 2), WALK_COVERED);
		assert_int_equal(c.phase, WALK_SIZE_FIRST);
		assert_int_equal(c.left, 0);
	}
}
