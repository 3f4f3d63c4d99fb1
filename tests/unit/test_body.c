/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/message.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/guard.h"
#include "user/base/check.h"
#include "user/http/body.h"

TEST_GUARD(test_guard, 16 * 1024);

static const struct body_framing chunked = { .kind = BODY_CHUNKED };

/* Every bodies entry is a complete chunked body; `more` bytes of the next message follow it in the tests. */
static const struct good {
	struct span text;
	const char *payload;
	const char *trailers; /* raw */
} goods[] = {
	{ TEXT("0\r\n\r\n"), "", "" },
	{ TEXT("3\r\nabc\r\n0\r\n\r\n"), "abc", "" },
	{ TEXT("3\r\nabc\r\n1\r\n\n\r\n00000\r\n\r\n"), "abc\n", "" },
	{ TEXT("0000A\r\n0123456789\r\n0\r\n\r\n"), "0123456789", "" },
	{ TEXT("a;x\r\n0123456789\r\n0;last\r\n\r\n"), "0123456789", "" },
	{ TEXT("1;a=b;c=d\r\nx\r\n0\r\n\r\n"), "x", "" },
	{ TEXT("1;a=\"b \\\" \\\\;\t\x80\";c\r\nx\r\n0\r\n\r\n"), "x", "" },
	{ TEXT("1;a=\"\"\r\nx\r\n0\r\n\r\n"), "x", "" },
	{ TEXT("2\r\n\r\n\r\n0\r\n\r\n"), "\r\n", "" },
	{ TEXT("0\r\nX: y\r\n\r\n"), "", "X: y\r\n" },
	{ TEXT("1\r\nx\r\n0\r\nGrpc-Status: 0\r\nEmpty:\r\nHigh: \xff\r\n\r\n"), "x",
	  "Grpc-Status: 0\r\nEmpty:\r\nHigh: \xff\r\n" },
};

static const struct refused {
	struct span text;
	enum http_error http_error;
} refuseds[] = {
	/* Sizes. */
	{ TEXT("\r\n"), HTTP_ERROR_CHUNK_SIZE },
	{ TEXT("g\r\n"), HTTP_ERROR_CHUNK_SIZE },
	{ TEXT("0x3\r\nabc\r\n"), HTTP_ERROR_CHUNK_SIZE },
	{ TEXT("+3\r\nabc\r\n"), HTTP_ERROR_CHUNK_SIZE },
	{ TEXT("-1\r\n"), HTTP_ERROR_CHUNK_SIZE },
	{ TEXT(" 3\r\nabc\r\n"), HTTP_ERROR_CHUNK_SIZE },
	{ TEXT("3 \r\nabc\r\n"), HTTP_ERROR_CHUNK_SIZE },
	{ TEXT("3\t\r\nabc\r\n"), HTTP_ERROR_CHUNK_SIZE },
	{ TEXT("3_0\r\n"), HTTP_ERROR_CHUNK_SIZE },
	{ TEXT("3,4\r\n"), HTTP_ERROR_CHUNK_SIZE },
	{ TEXT("3\0\r\n"), HTTP_ERROR_CHUNK_SIZE },
	{ TEXT("\xef\xbc\x93\r\n"), HTTP_ERROR_CHUNK_SIZE },
	{ TEXT("8000000000000000\r\n"), HTTP_ERROR_CHUNK_SIZE },
	{ TEXT("ffffffffffffffff\r\n"), HTTP_ERROR_CHUNK_SIZE },
	{ TEXT("10000000000000000\r\n"), HTTP_ERROR_CHUNK_SIZE },
	{ TEXT("100000000000000003\r\nabc"), HTTP_ERROR_CHUNK_SIZE },
	/* Line ends. */
	{ TEXT("3\nabc\r\n"), HTTP_ERROR_CHUNK_LINE },
	{ TEXT("3\rabc\r\n"), HTTP_ERROR_CHUNK_LINE },
	{ TEXT("3\r\r\nabc"), HTTP_ERROR_CHUNK_LINE },
	{ TEXT("3;a\nabc\r\n"), HTTP_ERROR_CHUNK_LINE },
	{ TEXT("3;a\rX\r\n"), HTTP_ERROR_CHUNK_LINE },
	{ TEXT("3;a=b\nabc\r\n"), HTTP_ERROR_CHUNK_LINE },
	{ TEXT("3;a=\"b\"\nabc\r\n"), HTTP_ERROR_CHUNK_LINE },
	{ TEXT("0\n\r\n"), HTTP_ERROR_CHUNK_LINE },
	/* Extensions. */
	{ TEXT("3;\r\nabc\r\n"), HTTP_ERROR_CHUNK_EXTENSION },
	{ TEXT("3;\nabc\r\n"), HTTP_ERROR_CHUNK_EXTENSION },
	{ TEXT("3;a=\r\nabc\r\n"), HTTP_ERROR_CHUNK_EXTENSION },
	{ TEXT("3;=b\r\nabc\r\n"), HTTP_ERROR_CHUNK_EXTENSION },
	{ TEXT("3; a\r\nabc\r\n"), HTTP_ERROR_CHUNK_EXTENSION },
	{ TEXT("3;a \r\nabc\r\n"), HTTP_ERROR_CHUNK_EXTENSION },
	{ TEXT("3;a= b\r\nabc\r\n"), HTTP_ERROR_CHUNK_EXTENSION },
	{ TEXT("3;a;;b\r\nabc\r\n"), HTTP_ERROR_CHUNK_EXTENSION },
	{ TEXT("3;a=b=c\r\nabc\r\n"), HTTP_ERROR_CHUNK_EXTENSION },
	{ TEXT("3;a\x01\r\nabc\r\n"), HTTP_ERROR_CHUNK_EXTENSION },
	{ TEXT("3;a=\"\n\"\r\nabc\r\n"), HTTP_ERROR_CHUNK_EXTENSION },
	{ TEXT("3;a=\"\r\n\"\r\nabc\r\n"), HTTP_ERROR_CHUNK_EXTENSION },
	{ TEXT("3;a=\"\\\r\n\"\r\nabc\r\n"), HTTP_ERROR_CHUNK_EXTENSION },
	{ TEXT("3;a=\"\x7f\"\r\nabc\r\n"), HTTP_ERROR_CHUNK_EXTENSION },
	{ TEXT("3;a=\"\\\x01\"\r\nabc\r\n"), HTTP_ERROR_CHUNK_EXTENSION },
	{ TEXT("3;a=\"\\\x7f\"\r\nabc\r\n"), HTTP_ERROR_CHUNK_EXTENSION },
	{ TEXT("3;a=\"\0\"\r\nabc\r\n"), HTTP_ERROR_CHUNK_EXTENSION },
	{ TEXT("3;a=\"b\"c\r\nabc\r\n"), HTTP_ERROR_CHUNK_EXTENSION },
	{ TEXT("3;a=b\"c\"\r\nabc\r\n"), HTTP_ERROR_CHUNK_EXTENSION },
	{ TEXT("3;\x80\r\nabc\r\n"), HTTP_ERROR_CHUNK_EXTENSION },
	/* Behind the data. */
	{ TEXT("3\r\nabc\n0\r\n\r\n"), HTTP_ERROR_CHUNK_END },
	{ TEXT("3\r\nabcX\r\n"), HTTP_ERROR_CHUNK_END },
	{ TEXT("3\r\nabc\rX"), HTTP_ERROR_CHUNK_END },
	{ TEXT("3\r\nabc0\r\n\r\n"), HTTP_ERROR_CHUNK_END },
	/* The end and the trailer section. */
	{ TEXT("0\r\n\n"), HTTP_ERROR_TRAILER },
	{ TEXT("0\r\n\rX"), HTTP_ERROR_TRAILER },
	{ TEXT("0\r\nX: y\n\r\n"), HTTP_ERROR_TRAILER },
	{ TEXT("0\r\nX: y\rZ: a\r\n\r\n"), HTTP_ERROR_TRAILER },
	{ TEXT("0\r\nX: y\r\n z\r\n\r\n"), HTTP_ERROR_TRAILER },
	{ TEXT("0\r\n X: y\r\n\r\n"), HTTP_ERROR_TRAILER },
	{ TEXT("0\r\n: y\r\n\r\n"), HTTP_ERROR_TRAILER },
	{ TEXT("0\r\nX : y\r\n\r\n"), HTTP_ERROR_TRAILER },
	{ TEXT("0\r\nX\r\n\r\n"), HTTP_ERROR_TRAILER },
	{ TEXT("0\r\nX: \0\r\n\r\n"), HTTP_ERROR_TRAILER },
	{ TEXT("0\r\nX: \x7f\r\n\r\n"), HTTP_ERROR_TRAILER },
	{ TEXT("0\r\nContent-Length: 3\r\n\r\n"), HTTP_ERROR_TRAILER },
	{ TEXT("0\r\nX: y\r\ntransfer-encoding: chunked\r\n\r\n"), HTTP_ERROR_TRAILER },
	{ TEXT("0\r\nHost: b\r\n\r\n"), HTTP_ERROR_TRAILER },
	{ TEXT("0\r\nGET / HTTP/1.1\r\n\r\n"), HTTP_ERROR_TRAILER },
};

/* What a body came to, whatever the pieces it was given. */
struct result {
	enum body_step step;
	enum http_error http_error;
	size_t consumed;
	uint64_t framing_bytes;
	char payload[512];
	size_t payload_bytes;
	char trailers[256];
};

static void take(struct result *result, struct body_decoder *decoder, struct span in)
{
	struct span payload;
	size_t consumed;

	for (;;) {
		result->step = body_decode(decoder, in, &consumed, &payload);
		assert_true(consumed <= in.len);
		assert_true((result->step == BODY_DATA) == (payload.len > 0));
		if (payload.len) {
			assert_true(payload.data >= in.data);
			assert_true(payload.data + payload.len == in.data + consumed);
			assert_true(result->payload_bytes + payload.len <= sizeof(result->payload));
			memcpy(result->payload + result->payload_bytes, payload.data, payload.len);
			result->payload_bytes += payload.len;
		}
		result->consumed += consumed;
		in = span_from(in, consumed);
		if (result->step != BODY_DATA)
			break;
	}
	if (result->step == BODY_MORE)
		assert_int_equal(in.len, 0);
}

static struct result decode(struct guard *guard, const struct body_framing *framing, struct span text,
			    size_t first, size_t segment)
{
	struct result result = { .step = BODY_MORE };
	struct body_decoder decoder;
	size_t given = 0;
	size_t next = first;

	body_decoder_init(&decoder, framing);
	for (;;) {
		size_t len = next < text.len - given ? next : text.len - given;

		take(&result, &decoder, span_of(guard_end(guard, text.data + given, len), len));
		given += len;
		if (result.step != BODY_MORE || given == text.len)
			break;
		next = segment;
	}
	result.http_error = decoder.http_error;
	result.framing_bytes = decoder.framing_bytes;
	assert_int_equal(decoder.payload_bytes, result.payload_bytes);
	if (decoder.trailers)
		snprintf(result.trailers, sizeof(result.trailers), "%.*s",
			 SPAN_FMT(body_trailer_bytes(&decoder)));
	if (result.step == BODY_END)
		assert_int_equal(decoder.payload_bytes + decoder.framing_bytes, result.consumed);
	body_decoder_done(&decoder);
	return result;
}

static void assert_every_split(struct guard *guard, struct span text)
{
	struct result whole = decode(guard, &chunked, text, text.len, 1);

	for (size_t cut = 0; cut <= text.len + 1; cut++) {
		/* The last round gives one byte at a time. */
		struct result part = decode(guard, &chunked, text, cut <= text.len ? cut : 1,
					    cut <= text.len ? text.len : 1);

		if (part.step != whole.step || part.http_error != whole.http_error ||
		    part.consumed != whole.consumed || part.framing_bytes != whole.framing_bytes ||
		    part.payload_bytes != whole.payload_bytes ||
		    memcmp(part.payload, whole.payload, whole.payload_bytes) != 0 ||
		    (whole.step == BODY_END && strcmp(part.trailers, whole.trailers) != 0))
			fail_msg("cut at %zu: step %d \"%s\", %zu consumed, %zu payload for:\n%.*s", cut,
				 part.step, http_error_text(part.http_error), part.consumed,
				 part.payload_bytes, SPAN_FMT(text));
	}
}

TEST(good_bodies_are_decoded_to_their_last_byte)
{
	struct guard *guard = *state;

	for (size_t i = 0; i < ARRAY_LEN(goods); i++) {
		char with_rest[512];
		size_t len = goods[i].text.len;
		struct result result;

		memcpy(with_rest, goods[i].text.data, len);
		memcpy(with_rest + len, "GET / \n\r\0", 9);
		result = decode(guard, &chunked, span_of(with_rest, len + 9), len + 9, 1);
		assert_int_equal(result.step, BODY_END);
		assert_int_equal(result.consumed, len);
		assert_int_equal(result.payload_bytes, strlen(goods[i].payload));
		assert_memory_equal(result.payload, goods[i].payload, result.payload_bytes);
		assert_string_equal(result.trailers, goods[i].trailers);
	}
}

TEST(every_prefix_of_a_good_body_says_more)
{
	struct guard *guard = *state;

	for (size_t i = 0; i < ARRAY_LEN(goods); i++) {
		for (size_t len = 0; len < goods[i].text.len; len++) {
			struct result result =
				decode(guard, &chunked, span_first(goods[i].text, len), len, 1);

			assert_int_equal(result.step, BODY_MORE);
			assert_int_equal(result.consumed, len);
		}
	}
}

TEST(every_split_gives_the_same)
{
	for (size_t i = 0; i < ARRAY_LEN(goods); i++)
		assert_every_split(*state, goods[i].text);
	for (size_t i = 0; i < ARRAY_LEN(refuseds); i++)
		assert_every_split(*state, refuseds[i].text);
}

TEST(bad_bodies_are_refused_for_their_reason)
{
	struct guard *guard = *state;

	for (size_t i = 0; i < ARRAY_LEN(refuseds); i++) {
		struct result result = decode(guard, &chunked, refuseds[i].text, refuseds[i].text.len, 1);

		assert_bad(result.http_error, refuseds[i].http_error, refuseds[i].text);
		assert_int_equal(result.step, BODY_BAD);
	}
}

TEST(the_largest_size_is_the_largest_off_t)
{
	struct result result = decode(*state, &chunked, SPAN("007fffffffffffffff\r\nabc"), 100, 1);

	assert_int_equal(result.step, BODY_MORE);
	assert_int_equal(result.payload_bytes, 3);
}

static struct result decode_repeated(struct guard *guard, const char *start, char fill, size_t count,
				     const char *end)
{
	size_t start_len = strlen(start);
	size_t end_len = strlen(end);
	size_t len = start_len + count + end_len;
	char *text = malloc(len);
	struct result result;

	assert_non_null(text);
	memcpy(text, start, start_len);
	memset(text + start_len, fill, count);
	memcpy(text + start_len + count, end, end_len);
	result = decode(guard, &chunked, span_of(text, len), len, 1);
	free(text);
	return result;
}

TEST(chunk_lines_are_bounded)
{
	assert_int_equal(decode_repeated(*state, "", '0', LIMIT_CHUNK_LINE_BYTES, "\r\n\r\n").step, BODY_END);
	assert_int_equal(decode_repeated(*state, "", '0', LIMIT_CHUNK_LINE_BYTES + 1, "\r\n\r\n").http_error,
			 HTTP_ERROR_CHUNK_LINE);
	assert_int_equal(decode_repeated(*state, "0;", 'a', LIMIT_CHUNK_LINE_BYTES - 2, "\r\n\r\n").step,
			 BODY_END);
	assert_int_equal(
		decode_repeated(*state, "0;", 'a', LIMIT_CHUNK_LINE_BYTES - 1, "\r\n\r\n").http_error,
		HTTP_ERROR_CHUNK_LINE);
	assert_int_equal(decode_repeated(*state, "0;a=\"", ' ', 1000, "\"\r\n\r\n").http_error,
			 HTTP_ERROR_CHUNK_LINE);
}

TEST(trailer_sections_are_bounded)
{
	size_t room = LIMIT_TRAILER_BYTES - strlen("X: \r\n\r\n");
	char many[LIMIT_HEADERS * 6 + 32];
	size_t len = (size_t)sprintf(many, "0\r\n");
	struct result result;

	assert_int_equal(decode_repeated(*state, "0\r\nX: ", 'a', room, "\r\n\r\n").step, BODY_END);
	assert_int_equal(decode_repeated(*state, "0\r\nX: ", 'a', room + 1, "\r\n\r\n").http_error,
			 HTTP_ERROR_TRAILER_TOO_LONG);
	for (int i = 0; i < LIMIT_HEADERS; i++)
		len += (size_t)sprintf(many + len, "a:\r\n");
	sprintf(many + len, "\r\n");
	result = decode(*state, &chunked, span_str(many), 7, 11);
	assert_int_equal(result.step, BODY_END);
	sprintf(many + len, "a:\r\n\r\n");
	result = decode(*state, &chunked, span_str(many), 7, 11);
	assert_int_equal(result.http_error, HTTP_ERROR_TOO_MANY_FIELDS);
}

/* `count` chunks of one byte each, the rest of the line filled with zeros. */
static enum body_step tiny_chunks(unsigned int count, struct body_decoder *decoder)
{
	enum body_step step = BODY_MORE;

	for (unsigned int i = 0; i < count && step != BODY_BAD; i++) {
		struct span in = SPAN("1\r\nx\r\n");

		do {
			struct span payload;
			size_t consumed;

			step = body_decode(decoder, in, &consumed, &payload);
			in = span_from(in, consumed);
		} while (step == BODY_DATA);
	}
	return step;
}

TEST(more_framing_than_payload_is_abuse)
{
	const unsigned int fine = LIMIT_CHUNK_OVERHEAD_BYTES / 4; /* 5 bytes of framing for 1 of payload */
	struct body_decoder decoder;

	body_decoder_init(&decoder, &chunked);
	assert_int_equal(tiny_chunks(fine, &decoder), BODY_MORE);
	assert_int_equal(tiny_chunks(2, &decoder), BODY_BAD);
	assert_int_equal(decoder.http_error, HTTP_ERROR_CHUNK_OVERHEAD);
	body_decoder_done(&decoder);
}

TEST(payload_earns_room_for_framing)
{
	char big[1024 * 8 + 16];
	size_t len = (size_t)sprintf(big, "2000\r\n");
	struct body_decoder decoder;
	struct span payload;
	struct span in;
	size_t consumed;

	memset(big + len, 'x', 0x2000);
	memcpy(big + len + 0x2000, "\r\n", 2);
	body_decoder_init(&decoder, &chunked);
	assert_int_equal(tiny_chunks(LIMIT_CHUNK_OVERHEAD_BYTES / 4 - 2, &decoder), BODY_MORE);
	in = span_of(big, len + 0x2000 + 2);
	assert_int_equal(body_decode(&decoder, in, &consumed, &payload), BODY_DATA);
	assert_int_equal(body_decode(&decoder, span_from(in, consumed), &consumed, &payload), BODY_MORE);
	assert_int_equal(tiny_chunks(0x2000 / 4, &decoder), BODY_MORE);
	body_decoder_done(&decoder);
}

TEST(lengths_end_exactly)
{
	struct body_framing framing = { .kind = BODY_LENGTH, .length = 5 };
	struct span text = SPAN("helloNEXT");

	for (size_t cut = 0; cut <= text.len; cut++) {
		struct result result = decode(*state, &framing, text, cut, text.len);

		if (result.step == BODY_MORE) /* a piece that ended exactly at the end asks once more */
			fail_msg("cut at %zu", cut);
		assert_int_equal(result.step, BODY_END);
		assert_int_equal(result.consumed, 5);
		assert_memory_equal(result.payload, "hello", 5);
	}
	assert_int_equal(decode(*state, &framing, SPAN("hell"), 2, 1).step, BODY_MORE);
}

TEST(bodies_without_bytes_end_at_once)
{
	static const struct body_framing nones[] = {
		{ .kind = BODY_NONE },
		{ .kind = BODY_NONE, .announces_length = true, .announced = 9 },
		{ .kind = BODY_LENGTH, .length = 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(nones); i++) {
		assert_int_equal(decode(*state, &nones[i], SPAN(""), 0, 1).step, BODY_END);
		assert_int_equal(decode(*state, &nones[i], SPAN("abc"), 3, 1).consumed, 0);
	}
}

TEST(bodies_until_close_are_all_payload)
{
	static const enum body_kind kinds[] = { BODY_UNTIL_CLOSE, BODY_TUNNEL };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct body_framing framing = { .kind = kinds[i] };
		struct result result = decode(*state, &framing, SPAN("0\r\n\r\nabc"), 2, 3);

		assert_int_equal(result.step, BODY_MORE);
		assert_int_equal(result.payload_bytes, 8);
	}
}

static int eof_after(const struct body_framing *framing, struct span text)
{
	struct result result = { .step = BODY_MORE };
	struct body_decoder decoder;
	int answer;

	body_decoder_init(&decoder, framing);
	take(&result, &decoder, text);
	answer = body_decode_eof(&decoder);
	if (answer == 0) {
		struct span payload;
		size_t consumed;

		assert_int_equal(body_decode(&decoder, SPAN(""), &consumed, &payload), BODY_END);
	}
	body_decoder_done(&decoder);
	return answer;
}

TEST(the_end_of_the_connection_ends_only_what_it_may)
{
	assert_int_equal(eof_after(&(struct body_framing){ .kind = BODY_UNTIL_CLOSE }, SPAN("")), 0);
	assert_int_equal(eof_after(&(struct body_framing){ .kind = BODY_UNTIL_CLOSE }, SPAN("abc")), 0);
	assert_int_equal(eof_after(&(struct body_framing){ .kind = BODY_TUNNEL }, SPAN("abc")), 0);
	assert_int_equal(eof_after(&(struct body_framing){ .kind = BODY_NONE }, SPAN("")), 0);
	assert_int_equal(eof_after(&(struct body_framing){ .kind = BODY_LENGTH, .length = 3 }, SPAN("abc")),
			 0);
	assert_int_equal(eof_after(&(struct body_framing){ .kind = BODY_LENGTH, .length = 4 }, SPAN("abc")),
			 -EPROTO);
	assert_int_equal(eof_after(&chunked, SPAN("0\r\n\r\n")), 0);
	assert_int_equal(eof_after(&chunked, SPAN("0\r\n\r")), -EPROTO);
	assert_int_equal(eof_after(&chunked, SPAN("3\r\nabc\r\n")), -EPROTO);
	assert_int_equal(eof_after(&chunked, SPAN("")), -EPROTO);
	assert_int_equal(eof_after(&chunked, SPAN("x")), -EPROTO);
}

TEST(answers_are_repeated)
{
	struct body_decoder decoder;
	struct span payload;
	size_t consumed;

	body_decoder_init(&decoder, &chunked);
	assert_int_equal(body_decode(&decoder, SPAN("0\r\n\r\n"), &consumed, &payload), BODY_END);
	assert_int_equal(body_decode(&decoder, SPAN("0\r\n\r\n"), &consumed, &payload), BODY_END);
	assert_int_equal(consumed, 0);
	body_decoder_done(&decoder);
	body_decoder_init(&decoder, &chunked);
	assert_int_equal(body_decode(&decoder, SPAN("x"), &consumed, &payload), BODY_BAD);
	assert_int_equal(body_decode(&decoder, SPAN("0\r\n\r\n"), &consumed, &payload), BODY_BAD);
	assert_int_equal(decoder.http_error, HTTP_ERROR_CHUNK_SIZE);
	body_decoder_done(&decoder);
}

TEST(the_numbers_of_the_states_are_fixed)
{
	struct body_decoder decoder;
	struct span payload;
	size_t consumed;

	assert_int_equal(CHUNK_SIZE_FIRST, 0);
	assert_int_equal(CHUNK_SIZE, 1);
	assert_int_equal(CHUNK_SIZE_LF, 2);
	assert_int_equal(CHUNK_DATA, 3);
	assert_int_equal(CHUNK_DATA_CR, 4);
	assert_int_equal(CHUNK_DATA_LF, 5);
	assert_int_equal(CHUNK_END, 18);
	/* A walk elsewhere hands back a chunk half read. */
	body_decoder_init(&decoder, &chunked);
	decoder.chunk_state = CHUNK_DATA;
	decoder.left = 2;
	assert_int_equal(body_decode(&decoder, SPAN("ab\r\n0\r\n\r\n"), &consumed, &payload), BODY_DATA);
	assert_span(payload, "ab");
	assert_int_equal(decoder.chunk_state, CHUNK_DATA_CR);
	assert_int_equal(body_decode(&decoder, SPAN("\r\n0\r\n\r\n"), &consumed, &payload), BODY_END);
	body_decoder_done(&decoder);
}

struct limited {
	enum http_error http_error;
	size_t payload_bytes, trailer_bytes;
};

/* What two calls of body_decode() deliver of the text, split at `cut`. */
static struct limited decode_limited(const struct body_framing *framing, struct span text, size_t cut,
				     uint64_t most_bytes)
{
	struct limited result = { 0 };
	struct body_decoder d;

	body_decoder_init(&d, framing);
	body_decoder_limit(&d, most_bytes);
	for (int part = 0; part < 2; part++) {
		struct span rest = part ? span_from(text, cut) : span_first(text, cut), payload;
		enum body_step step = BODY_DATA;

		while (step == BODY_DATA) {
			size_t consumed = 0;

			step = body_decode(&d, rest, &consumed, &payload);
			result.payload_bytes += payload.len;
			rest = span_from(rest, consumed);
		}
	}
	result.http_error = d.http_error;
	result.trailer_bytes = body_trailer_bytes(&d).len;
	body_decoder_done(&d);
	return result;
}

TEST(a_limited_body_may_have_so_many_bytes_and_delivers_no_more_wherever_its_bytes_are_split)
{
	static const struct body_framing framed = { .kind = BODY_FRAMED };
	static const struct {
		const struct body_framing *framing;
		struct span text;
		uint64_t bytes;
		size_t trailer_bytes;
	} rows[] = {
		{ &chunked, TEXT("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), 5, 0 },
		{ &chunked, TEXT("3\r\nabc\r\n2\r\nde\r\n0\r\nA: b\r\nC: d\r\n\r\n"), 5, 12 },
		{ &chunked, TEXT("0\r\n\r\n"), 0, 0 },
		{ &chunked, TEXT("0\r\nA: b\r\n\r\n"), 0, 6 },
		{ &framed, TEXT("abcde"), 5, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (size_t cut = 0; cut <= rows[i].text.len; cut++) {
			for (uint64_t most = 0; most < 8; most++) {
				bool is_refused = most < rows[i].bytes;
				struct limited got = decode_limited(rows[i].framing, rows[i].text, cut, most);

				assert_int_equal(got.http_error, is_refused ? HTTP_ERROR_BODY_TOO_LARGE : 0);
				assert_true(got.payload_bytes <= most);
				assert_true(is_refused || got.payload_bytes == rows[i].bytes);
				assert_int_equal(got.trailer_bytes, is_refused ? 0 : rows[i].trailer_bytes);
			}
		}
	}
}
