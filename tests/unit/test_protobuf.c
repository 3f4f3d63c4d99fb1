/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "tests/lib/guard.h"
#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/base/protobuf.h"

#define BYTES(literal) SPAN(literal)

TEST_GUARD(guard, 4096);

TEST(fields_are_read_as_the_encoding_says)
{
	/* Each of the wire types; the last varint is the largest. */
	struct span rest = BYTES("\x08\x96\x01"
				 "\x12\x07testing"
				 "\x19\x01\x02\x03\x04\x05\x06\x07\x08"
				 "\x25\x01\x02\x03\x04"
				 "\xf8\xff\xff\xff\x0f\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
	struct protobuf_field field;

	assert_int_equal(protobuf_next(&rest, &field), 1);
	assert_true(protobuf_is(&field, 1, PROTOBUF_VARINT) && field.value == 150);
	assert_int_equal(protobuf_next(&rest, &field), 1);
	assert_true(protobuf_is(&field, 2, PROTOBUF_LEN) && span_eq(field.bytes, SPAN("testing")));
	assert_int_equal(protobuf_next(&rest, &field), 1);
	assert_true(protobuf_is(&field, 3, PROTOBUF_I64) && field.value == 0x0807060504030201);
	assert_int_equal(protobuf_next(&rest, &field), 1);
	assert_true(protobuf_is(&field, 4, PROTOBUF_I32) && field.value == 0x04030201);
	assert_int_equal(protobuf_next(&rest, &field), 1);
	assert_true(protobuf_is(&field, (1 << 29) - 1, PROTOBUF_VARINT) && field.value == UINT64_MAX);
	assert_int_equal(protobuf_next(&rest, &field), 0);
}

static struct row {
	const char *name;
	struct span bytes;
} malformed[] = {
	{ "a tag that is cut off", { "\x88", sizeof("\x88") - 1 } },
	{ "a varint that is cut off", { "\x08\x96", sizeof("\x08\x96") - 1 } },
	{ "no varint", { "\x08", sizeof("\x08") - 1 } },
	{ "a varint of 65 bits",
	  { "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
	    sizeof("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02") - 1 } },
	{ "a varint of 11 bytes",
	  { "\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
	    sizeof("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01") - 1 } },
	{ "a length over the end", { "\x12\x03te", sizeof("\x12\x03te") - 1 } },
	{ "a length over everything",
	  { "\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01te",
	    sizeof("\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01te") - 1 } },
	{ "eight bytes that are cut off",
	  { "\x19\x01\x02\x03\x04\x05\x06\x07", sizeof("\x19\x01\x02\x03\x04\x05\x06\x07") - 1 } },
	{ "four bytes that are cut off", { "\x25\x01\x02\x03", sizeof("\x25\x01\x02\x03") - 1 } },
	{ "field 0", { "\x00\x01", sizeof("\x00\x01") - 1 } },
	{ "a field number of 30 bits",
	  { "\x80\x80\x80\x80\x10\x01", sizeof("\x80\x80\x80\x80\x10\x01") - 1 } },
	{ "a group", { "\x0b\x0c", sizeof("\x0b\x0c") - 1 } },
	{ "the end of a group", { "\x0c", sizeof("\x0c") - 1 } },
	{ "an unknown wire type", { "\x0e\x01", sizeof("\x0e\x01") - 1 } },
};

static void a_malformed_field_is_refused(void **state)
{
	const struct row *row = *state;
	struct span rest = span_of(guard_end(&guard, row->bytes.data, row->bytes.len), row->bytes.len);
	struct protobuf_field field;

	assert_int_equal(protobuf_next(&rest, &field), -EBADMSG);
}
TEST_ROWS(a_malformed_field_is_refused, malformed);

static struct span written(struct buf *out)
{
	struct protobuf_writer writer;

	protobuf_init(&writer, out, 4096);
	protobuf_number(&writer, 1, 150);
	protobuf_number(&writer, 1, 0);
	protobuf_bytes(&writer, 2, SPAN(""));
	protobuf_open(&writer, 3);
	protobuf_open(&writer, 4);
	protobuf_bytes(&writer, 5, SPAN("abc"));
	protobuf_close(&writer);
	protobuf_entry(&writer, 6, SPAN("k"), SPAN("v"));
	protobuf_close(&writer);
	protobuf_open(&writer, 7);
	protobuf_close(&writer);
	assert_int_equal(writer.error, 0);
	return buf_span(out);
}

TEST(messages_are_written_within_each_other)
{
	struct buf out;

	buf_init(&out);
	assert_true(span_eq(written(&out), BYTES("\x08\x96\x01"
						 "\x1a\x0f"
						 "\x22\x05\x2a\x03"
						 "abc"
						 "\x32\x06\x0a\x01k\x12\x01v"
						 "\x3a\x00")));
	buf_done(&out);
}

/* The length of a length changes at 128 and at 16384 bytes. */
TEST(a_message_of_any_length_is_read_as_it_was_written)
{
	static const size_t lengths[] = { 0, 1, 123, 124, 125, 126, 127, 128, 16379, 16380, 16381, 16384 };
	static char text[16384];

	memset(text, 'x', sizeof(text));
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		struct protobuf_field outer, inner;
		struct protobuf_writer writer;
		struct span rest;
		struct buf out;

		buf_init(&out);
		assert_int_equal(buf_append(&out, SPAN("before"), 100), 0);
		protobuf_init(&writer, &out, 65536);
		protobuf_open(&writer, 1);
		protobuf_bytes(&writer, 2, span_of(text, lengths[i]));
		protobuf_close(&writer);
		assert_int_equal(writer.error, 0);
		rest = span_from(buf_span(&out), strlen("before"));
		assert_int_equal(protobuf_next(&rest, &outer), 1);
		assert_int_equal(rest.len, 0);
		assert_int_equal(protobuf_next(&outer.bytes, &inner), lengths[i] ? 1 : 0);
		if (lengths[i])
			assert_true(span_eq(inner.bytes, span_of(text, lengths[i])));
		buf_done(&out);
	}
}

TEST(a_message_over_the_limit_is_an_error)
{
	static const char text[4096];
	struct protobuf_writer writer;
	struct buf out;

	buf_init(&out);
	protobuf_init(&writer, &out, 1000);
	protobuf_open(&writer, 1);
	protobuf_bytes(&writer, 2, span_of(text, sizeof(text)));
	protobuf_close(&writer);
	assert_int_equal(writer.error, -ENOBUFS);
	protobuf_number(&writer, 3, 1);
	assert_int_equal(writer.error, -ENOBUFS);
	buf_done(&out);
}
