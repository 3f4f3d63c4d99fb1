/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies. The first byte of an input chooses how the rest is framed: an even number of bits set means
 * chunked, which is what this is about. What has to hold:
 *   - the decoder gives the same answer however the bytes are cut;
 *   - what we accept, strict llhttp ends at the same byte with the same payload, but for extensions that it
 *     cannot read;
 *   - what llhttp accepts and we refuse is one of the things we refuse on purpose;
 *   - payload and trailers, written again, decode to the same payload and trailers.
 */
#include <errno.h>
#include <llhttp.h>
#include <stdio.h>
#include <stdlib.h>

#include "user/http/body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition) must((condition), __LINE__, #condition)

static void must(bool condition, int line, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "line %d: broken: %s\n", line, what);
	abort();
}

/* ---- our reading ---- */

struct result {
	enum body_step step;
	enum http_error http_error;
	size_t consumed;
	uint64_t framing_bytes;
	struct buf payload;
	struct body_decoder decoder;
};

static void result_done(struct result *result)
{
	buf_done(&result->payload);
	body_decoder_done(&result->decoder);
}

static void take(struct result *result, struct span in)
{
	char *copy = malloc(in.len ? in.len : 1);
	struct span rest = span_of(copy, in.len);

	MUST(copy);
	if (in.len)
		memcpy(copy, in.data, in.len);
	do {
		struct span payload;
		size_t consumed;

		result->step = body_decode(&result->decoder, rest, &consumed, &payload);
		MUST(consumed <= rest.len);
		MUST((result->step == BODY_DATA) == (payload.len > 0));
		MUST(result->step != BODY_DATA || payload.data + payload.len == rest.data + consumed);
		MUST(buf_append(&result->payload, payload, SIZE_MAX) == 0);
		result->consumed += consumed;
		rest = span_from(rest, consumed);
	} while (result->step == BODY_DATA);
	MUST(result->step != BODY_MORE || rest.len == 0);
	free(copy);
}

static struct result decode(const struct body_framing *framing, struct span in, size_t first, size_t piece)
{
	struct result result = { .step = BODY_MORE };
	size_t given = 0;
	size_t next = first;

	buf_init(&result.payload);
	body_decoder_init(&result.decoder, framing);
	do {
		size_t len = next < in.len - given ? next : in.len - given;

		take(&result, span_of(in.data + given, len));
		given += len;
		next = piece;
	} while (result.step == BODY_MORE && given < in.len);
	result.http_error = result.decoder.http_error;
	result.framing_bytes = result.decoder.framing_bytes;
	MUST((result.step == BODY_BAD) == (result.http_error != HTTP_ERROR_NONE));
	MUST(result.decoder.payload_bytes == buf_len(&result.payload));
	if (result.step == BODY_END)
		MUST(result.framing_bytes + result.decoder.payload_bytes == result.consumed);
	return result;
}

static struct span bytes_of(const struct buf *buf)
{
	return buf->data ? buf_span(buf) : SPAN("");
}

static void must_same(const struct result *whole, struct result part)
{
	MUST(part.step == whole->step && part.http_error == whole->http_error &&
	     part.consumed == whole->consumed);
	MUST(part.framing_bytes == whole->framing_bytes);
	MUST(part.decoder.chunk_state == whole->decoder.chunk_state);
	MUST(part.decoder.left == whole->decoder.left);
	MUST(span_eq(bytes_of(&part.payload), bytes_of(&whole->payload)));
	if (whole->step != BODY_BAD)
		MUST(span_eq(body_trailer_bytes(&part.decoder), body_trailer_bytes(&whole->decoder)));
	result_done(&part);
}

static struct result decode_every_way(const struct body_framing *framing, struct span in)
{
	struct result whole = decode(framing, in, in.len, 1);
	size_t stride = in.len / 64 + 1;

	for (size_t cut = 0; cut < in.len; cut += stride)
		must_same(&whole, decode(framing, in, cut, in.len));
	must_same(&whole, decode(framing, in, stride, stride));
	return whole;
}

/* ---- the other reading ---- */

struct reading {
	struct buf payload;
	unsigned int completed;
	bool is_paused;
};

static int reading_body(llhttp_t *parser, const char *at, size_t len)
{
	MUST(buf_append(&((struct reading *)parser->data)->payload, span_of(at, len), SIZE_MAX) == 0);
	return 0;
}

static int reading_complete(llhttp_t *parser)
{
	((struct reading *)parser->data)->completed++;
	return HPE_PAUSED;
}

/* Where llhttp sees the end of the chunked body `in`, or 0 when it does not. */
static size_t read_again(struct span in, struct reading *reading)
{
	static const char head[] = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
	static llhttp_settings_t settings;
	llhttp_t parser;
	int result;

	llhttp_settings_init(&settings);
	settings.on_body = reading_body;
	settings.on_message_complete = reading_complete;
	llhttp_init(&parser, HTTP_REQUEST, &settings);
	parser.data = reading;
	MUST(llhttp_execute(&parser, head, sizeof(head) - 1) == HPE_OK);
	result = llhttp_execute(&parser, in.data, in.len);
	if (result != HPE_PAUSED || reading->completed != 1)
		return 0;
	return (size_t)(llhttp_get_error_pos(&parser) - in.data);
}

/* llhttp has no quoted pairs, and reads a second extension only behind one without a token value. */
static bool has_extension(struct span in)
{
	return span_find(in, ';') >= 0;
}

static bool is_refused_on_purpose(enum http_error http_error)
{
	return http_error == HTTP_ERROR_CHUNK_LINE || http_error == HTTP_ERROR_CHUNK_OVERHEAD ||
	       http_error == HTTP_ERROR_CHUNK_EXTENSION || http_error == HTTP_ERROR_TRAILER ||
	       http_error == HTTP_ERROR_TRAILER_TOO_LONG || http_error == HTTP_ERROR_TOO_MANY_FIELDS;
}

static void compare_with_llhttp(struct span in, const struct result *ours)
{
	struct reading reading = { 0 };
	size_t end;

	buf_init(&reading.payload);
	end = read_again(ours->step == BODY_END ? span_first(in, ours->consumed) : in, &reading);
	if (ours->step == BODY_END) {
		MUST(end == ours->consumed || (end == 0 && has_extension(in)));
		if (end)
			MUST(span_eq(bytes_of(&reading.payload), bytes_of(&ours->payload)));
	} else if (end) {
		MUST(ours->step == BODY_BAD && is_refused_on_purpose(ours->http_error));
	}
	buf_done(&reading.payload);
}

/* ---- writing again ---- */

static void must_fields_same(const struct fields *a, const struct fields *b)
{
	MUST(a->count == b->count);
	for (uint32_t i = 0; i < a->count; i++) {
		MUST(span_eq(a->list[i].name, b->list[i].name));
		MUST(span_eq(a->list[i].value, b->list[i].value));
	}
}

static void write_again(const struct result *ours)
{
	static const struct body_framing chunked = { .kind = BODY_CHUNKED };
	struct span payload = bytes_of(&ours->payload);
	struct reading reading = { 0 };
	struct fields trailers;
	struct fields trailers_again;
	struct result again;
	struct arena arena;
	struct buf out;

	arena_init(&arena, 1024);
	buf_init(&out);
	MUST(body_trailers(&ours->decoder, &arena, &trailers) == HTTP_ERROR_NONE);
	while (payload.len) {
		struct span chunk = span_first(payload, payload.len / 2 + 1);
		char head[CHUNK_HEAD_BYTES];

		MUST(buf_append(&out, span_of(head, chunk_write_head(head, chunk.len)), SIZE_MAX) == 0);
		MUST(buf_append(&out, chunk, SIZE_MAX) == 0);
		MUST(buf_append(&out, SPAN("\r\n"), SIZE_MAX) == 0);
		payload = span_from(payload, chunk.len);
	}
	MUST(chunk_write_end(&out, &trailers, SIZE_MAX) == 0);
	again = decode(&chunked, buf_span(&out), buf_len(&out), 1);
	MUST(again.step == BODY_END && again.consumed == buf_len(&out));
	MUST(span_eq(bytes_of(&again.payload), bytes_of(&ours->payload)));
	MUST(body_trailers(&again.decoder, &arena, &trailers_again) == HTTP_ERROR_NONE);
	must_fields_same(&trailers, &trailers_again);
	buf_init(&reading.payload);
	MUST(read_again(buf_span(&out), &reading) == buf_len(&out));
	MUST(span_eq(bytes_of(&reading.payload), bytes_of(&ours->payload)));
	buf_done(&reading.payload);
	result_done(&again);
	buf_done(&out);
	arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct body_framing framing = { .kind = BODY_CHUNKED };
	struct result result;
	struct span in;

	if (size == 0)
		return 0;
	in = span_of(data + 1, size - 1);
	if (__builtin_popcount(data[0]) % 2) {
		framing.kind = data[0] & 1 ? BODY_LENGTH : BODY_UNTIL_CLOSE;
		framing.length = framing.kind == BODY_LENGTH ? data[0] / 2u + 1 : 0;
	}
	result = decode_every_way(&framing, in);
	if (framing.kind == BODY_CHUNKED) {
		compare_with_llhttp(in, &result);
		if (result.step == BODY_END)
			write_again(&result);
	} else if (framing.kind == BODY_LENGTH) {
		MUST((result.step == BODY_END) == (in.len >= framing.length));
		MUST(buf_len(&result.payload) == (in.len < framing.length ? in.len : framing.length));
	} else {
		MUST(result.step == BODY_MORE && span_eq(bytes_of(&result.payload), in));
	}
	MUST((body_decode_eof(&result.decoder) == 0) ==
	     (result.step == BODY_END || framing.kind == BODY_UNTIL_CLOSE));
	result_done(&result);
	return 0;
}
