/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/message.h"

#include <errno.h>

#include "tests/lib/alloc.h"
#include "user/base/check.h"
#include "user/http/body.h"

static const struct body_framing chunked = { .kind = BODY_CHUNKED };

static int read_trailers(void *context)
{
	struct span text = SPAN("0\r\nX-Sum: 1 \r\nAuthorization: a\r\nConnection: b\r\nGrpc-Status: 0\r\n"
				"set-cookie: c\r\nX-Real-IP: d\r\nX_Forwarded-Port: e\r\n"
				"Transfer_Encoding: f\r\nx-forwarded: g\r\nX-Sum:2\r\n\r\n");
	struct body_decoder decoder;
	struct fields trailers;
	struct span payload;
	struct arena arena;
	size_t consumed;
	enum http_error http_error;

	(void)context;
	arena_init(&arena, 64);
	body_decoder_init(&decoder, &chunked);
	if (body_decode(&decoder, text, &consumed, &payload) == BODY_END)
		http_error = body_trailers(&decoder, &arena, &trailers);
	else
		http_error = decoder.http_error;
	if (http_error == HTTP_ERROR_NONE) {
		assert_int_equal(trailers.count, 3);
		assert_span(trailers.list[0].name, "X-Sum");
		assert_span(trailers.list[0].value, "1");
		assert_span(trailers.list[1].name, "Grpc-Status");
		assert_span(trailers.list[2].value, "2");
	} else {
		assert_int_equal(http_error, HTTP_ERROR_NO_MEMORY);
	}
	body_decoder_done(&decoder);
	arena_done(&arena);
	return http_error == HTTP_ERROR_NONE ? 0 : -ENOMEM;
}

TEST(trailers_are_filtered_and_survive_no_memory)
{
	assert_int_equal(alloc_fail_each(read_trailers, NULL), 4);
}

TEST(a_body_without_trailers_has_none)
{
	struct body_decoder decoder;
	struct fields trailers;
	struct span payload;
	struct arena arena;
	size_t consumed;

	arena_init(&arena, 64);
	body_decoder_init(&decoder, &chunked);
	assert_int_equal(body_decode(&decoder, SPAN("0\r\n\r\n"), &consumed, &payload), BODY_END);
	assert_null(decoder.trailers);
	assert_int_equal(body_trailers(&decoder, &arena, &trailers), HTTP_ERROR_NONE);
	assert_int_equal(trailers.count, 0);
	body_decoder_done(&decoder);
	arena_done(&arena);
}

TEST(chunk_heads_are_hexadecimal)
{
	char out[CHUNK_HEAD_BYTES];

	assert_span(span_of(out, chunk_write_head(out, 1)), "1\r\n");
	assert_span(span_of(out, chunk_write_head(out, 0x1a2b)), "1a2b\r\n");
	assert_span(span_of(out, chunk_write_head(out, UINT64_MAX)), "ffffffffffffffff\r\n");
}

TEST(the_last_chunk_carries_clean_trailers_only)
{
	static const struct field http_error[] = {
		{ .name = TEXT("X"), .value = TEXT("a\r\nb") },
		{ .name = TEXT("X"), .value = TEXT("\0") },
		{ .name = TEXT("X y"), .value = TEXT("a") },
		{ .name = TEXT(""), .value = TEXT("a") },
	};
	struct fields trailers;
	struct arena arena;
	struct buf out;

	arena_init(&arena, 64);
	buf_init(&out);
	assert_int_equal(chunk_write_end(&out, NULL, 100), 0);
	assert_span(buf_span(&out), "0\r\n\r\n");
	fields_init(&trailers, &arena);
	assert_int_equal(fields_add(&trailers, SPAN("X"), SPAN("y")), 0);
	assert_int_equal(fields_add(&trailers, SPAN("Content-Length"), SPAN("3")), 0);
	assert_int_equal(fields_add(&trailers, SPAN("Z"), SPAN("")), 0);
	buf_done(&out);
	assert_int_equal(chunk_write_end(&out, &trailers, 15), -ENOBUFS);
	assert_int_equal(buf_len(&out), 0);
	assert_int_equal(chunk_write_end(&out, &trailers, 100), 0);
	assert_span(buf_span(&out), "0\r\nX: y\r\nZ: \r\n\r\n");
	for (size_t i = 0; i < ARRAY_LEN(http_error); i++) {
		fields_init(&trailers, &arena);
		assert_int_equal(fields_add(&trailers, http_error[i].name, http_error[i].value), 0);
		assert_int_equal(chunk_write_end(&out, &trailers, 1000), -EINVAL);
	}
	buf_done(&out);
	arena_done(&arena);
}

static int write_end(void *context)
{
	struct buf out;
	int error;

	(void)context;
	buf_init(&out);
	error = chunk_write_end(&out, NULL, 100);
	buf_done(&out);
	return error;
}

TEST(writing_survives_no_memory)
{
	assert_int_equal(alloc_fail_each(write_end, NULL), 1);
}
