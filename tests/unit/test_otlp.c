/* SPDX-License-Identifier: Apache-2.0 */
/* Records and messages of OTLP byte by byte; test_tracing.py (scenario) reads them with python3-protobuf. */
#include <stdlib.h>
#include <string.h>

#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/base/protobuf.h"
#include "user/otlp/otlp_message.h"
#include "user/otlp/otlp_writer.h"

static void written_is(const struct otlp_writer *w, struct span want)
{
	assert_int_equal(w->len, want.len);
	assert_memory_equal(w->data, want.data, want.len);
}

TEST(fields_are_written_as_the_encoding_says)
{
	const uint64_t id[] = { 0x0102030405060708, 0x090a0b0c0d0e0f10 };
	char memory[256];
	struct otlp_writer w;

	otlp_init(&w, memory, sizeof(memory));
	otlp_id(&w, 1, id, 2);
	otlp_text(&w, 5, SPAN("GET"));
	otlp_text(&w, 5, SPAN(""));
	otlp_number(&w, 6, 300);
	otlp_fixed64(&w, 7, 0x0102030405060708);
	otlp_fixed32(&w, 16, 0x0301);
	written_is(&w, SPAN("\x0a\x10\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10"
			    "\x2a\x03GET\x30\xac\x02\x39\x08\x07\x06\x05\x04\x03\x02\x01"
			    "\x85\x01\x01\x03\x00\x00"));
}

TEST(attributes_have_the_type_of_their_value)
{
	const struct expression_value yes = expression_bool(true), no = expression_bool(false);
	const struct expression_value half = expression_double(0.5), none = { 0 };
	char memory[256];
	struct otlp_writer w;

	otlp_init(&w, memory, sizeof(memory));
	otlp_text_attribute(&w, 9, SPAN("a"), SPAN("xy"));
	otlp_int_attribute(&w, 9, SPAN("b"), 0);
	otlp_value_attribute(&w, 9, SPAN("c"), &yes);
	otlp_value_attribute(&w, 9, SPAN("d"), &no);
	otlp_value_attribute(&w, 9, SPAN("e"), &half);
	otlp_value_attribute(&w, 9, SPAN("f"), &none);
	otlp_text_attribute(&w, 9, SPAN("g"), SPAN(""));
	written_is(&w, SPAN("\x4a\x09\x0a\x01"
			    "a\x12\x04\x0a\x02xy"
			    "\x4a\x07\x0a\x01"
			    "b\x12\x02\x18\x00"
			    "\x4a\x07\x0a\x01"
			    "c\x12\x02\x10\x01"
			    "\x4a\x07\x0a\x01"
			    "d\x12\x02\x10\x00"
			    "\x4a\x0e\x0a\x01"
			    "e\x12\x09\x21\x00\x00\x00\x00\x00\x00\xe0\x3f"));
}

TEST(a_negative_number_has_ten_bytes)
{
	char memory[64];
	struct otlp_writer w;

	otlp_init(&w, memory, sizeof(memory));
	otlp_int_attribute(&w, 9, SPAN("n"), -1);
	written_is(&w, SPAN("\x4a\x10\x0a\x01n\x12\x0b\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
}

/* A collector refuses the whole message otherwise. */
TEST(texts_are_utf8)
{
	static const struct {
		const char *from, *want;
	} rows[] = {
		{ "\xc3\xa4", "\xc3\xa4" },
		{ "a\xff"
		  "b",
		  "a!b" },
		{ "\xe2\x82\xac\xe2\x82", "\xe2\x82\xac!!" },
		{ "\xed\xa0\x80", "!!!" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char memory[64];
		struct otlp_writer w;

		otlp_init(&w, memory, sizeof(memory));
		otlp_text(&w, 1, span_str(rows[i].from));
		assert_int_equal(w.len, 2 + strlen(rows[i].want));
		assert_memory_equal(memory + 2, rows[i].want, strlen(rows[i].want));
	}
}

TEST(long_texts_are_cut_and_what_does_not_fit_is_counted)
{
	char text[LIMIT_OTLP_VALUE_BYTES + 100], memory[LIMIT_OTLP_VALUE_BYTES + 64];
	struct otlp_writer w;
	size_t len;

	memset(text, 'a', sizeof(text));
	otlp_init(&w, memory, sizeof(memory));
	otlp_text_attribute(&w, 9, SPAN("k"), span_of(text, sizeof(text)));
	len = w.len;
	assert_true(len > LIMIT_OTLP_VALUE_BYTES && len < LIMIT_OTLP_VALUE_BYTES + 16);
	otlp_text_attribute(&w, 9, SPAN("k"), span_of(text, 100));
	assert_int_equal(w.dropped, 1);
	assert_int_equal(w.len, len);
	/* Each size of memory: nothing is written behind its end (AddressSanitizer). */
	for (size_t size = 1; size < 40; size++) {
		char *small = malloc(size);

		assert_non_null(small);
		otlp_init(&w, small, size);
		otlp_text_attribute(&w, 9, SPAN("key"), SPAN("value"));
		otlp_int_attribute(&w, 9, SPAN("key"), -1);
		otlp_fixed64(&w, 7, 1);
		otlp_fixed32(&w, 7, 1);
		otlp_number(&w, 7, UINT64_MAX);
		otlp_text(&w, 5, SPAN("text"));
		assert_true(w.len <= size);
		free(small);
	}
}

TEST(removed_attributes_are_left_out)
{
	const struct span removed[] = { SPAN("a"), SPAN("b") };
	char memory[64];
	struct otlp_writer w;

	otlp_init(&w, memory, sizeof(memory));
	w.removed_list = removed;
	w.removed_count = 2;
	otlp_text_attribute(&w, 9, SPAN("a"), SPAN("x"));
	otlp_int_attribute(&w, 9, SPAN("b"), 1);
	assert_int_equal(w.len, 0);
	assert_int_equal(w.dropped, 0);
	otlp_int_attribute(&w, 9, SPAN("c"), 1);
	assert_true(w.len > 0);
}

TEST(a_message_has_the_resource_and_all_records)
{
	const struct expression_value name = expression_span(SPAN("shop"));
	const struct otlp_resource resource = { SPAN("service.name"), &name };
	const struct otlp_target target = { .resource_list = (struct otlp_resource *)&resource,
					    .resource_count = 1 };
	struct protobuf_field resource_spans, field, inner;
	unsigned records = 0;
	struct span rest;
	struct buf batch, out;

	buf_init(&batch);
	buf_init(&out);
	assert_int_equal(otlp_append_record(&batch, SPAN("\x2a\x01x")), 0);
	assert_int_equal(otlp_append_record(&batch, SPAN("\x2a\x01y")), 0);
	assert_int_equal(otlp_write_message(&out, &target, buf_span(&batch)), 0);
	rest = buf_span(&out);
	assert_int_equal(protobuf_next(&rest, &resource_spans), 1);
	assert_int_equal(rest.len, 0);
	rest = resource_spans.bytes;
	assert_int_equal(protobuf_next(&rest, &field), 1);
	assert_true(field.number == 1 && memmem(field.bytes.data, field.bytes.len, "shop", 4));
	assert_int_equal(protobuf_next(&rest, &field), 1);
	assert_int_equal(rest.len, 0);
	rest = field.bytes;
	assert_int_equal(protobuf_next(&rest, &inner), 1);
	assert_true(inner.number == 1 && memmem(inner.bytes.data, inner.bytes.len, "headgate", 8));
	while (protobuf_next(&rest, &inner) == 1) {
		assert_int_equal(inner.number, 2);
		assert_int_equal(inner.bytes.len, 3);
		records++;
	}
	assert_int_equal(records, 2);
	buf_done(&batch);
	buf_done(&out);
}

TEST(a_response_says_how_many_records_it_rejects)
{
	static const struct {
		struct span response;
		uint64_t want;
	} rows[] = {
		{ { "", 0 }, 0 },
		{ { "\x0a\x02\x08\x07", 4 }, 7 },
		{ { "\x0a\x06\x12\x02no\x08\x01", 8 }, 1 },
		{ { "\x0a\x09\x08", 3 }, 0 }, /* cut off */
		{ { "<html>", 6 }, 0 },
		{ { "{}", 2 }, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(otlp_rejected(rows[i].response), rows[i].want);
}
