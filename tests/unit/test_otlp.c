/* SPDX-License-Identifier: Apache-2.0 */
/* Records and messages of OTLP byte by byte; test_tracing.py (scenario) reads them with python3-protobuf. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/base/protobuf.h"
#include "user/otlp/log_record.h"
#include "user/otlp/otlp_json.h"
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

/* "name=text " or "name=[number] " for each attribute of a LogRecord. */
static const char *attributes_of(struct span rest)
{
	static char out[4096];
	struct protobuf_field field, pair, value;
	size_t len = 0;

	out[0] = '\0';
	while (protobuf_next(&rest, &field) == 1) {
		struct span inner = field.bytes;

		if (field.number != 6)
			continue;
		assert_int_equal(protobuf_next(&inner, &pair), 1);
		len += (size_t)snprintf(out + len, sizeof(out) - len, "%.*s=", SPAN_FMT(pair.bytes));
		assert_int_equal(protobuf_next(&inner, &pair), 1);
		inner = pair.bytes;
		assert_int_equal(protobuf_next(&inner, &value), 1);
		if (value.wire == PROTOBUF_LEN)
			len += (size_t)snprintf(out + len, sizeof(out) - len, "%.*s ", SPAN_FMT(value.bytes));
		else
			len += (size_t)snprintf(out + len, sizeof(out) - len, "[%llu] ",
						(unsigned long long)value.value);
	}
	return out;
}

static const struct stream_record entry = {
	.id = 7,
	.method = SPAN("GET"),
	.path = SPAN("/a"),
	.status = 200,
	.reason = END_OK,
	.bytes_in = 3,
	.duration_ns = 12 * 1000 * 1000,
	.connect_us = 250,
	.trace_id = SPAN("4bf92f3577b34da6a3ce929d0e0e4736"),
	.span_id = SPAN("00f067aa0ba902b7"),
};

TEST(a_log_record_has_the_fields_of_the_line)
{
	static const struct access_log_policy plain = { 0 };
	char memory[LIMIT_OTLP_RECORD_BYTES];
	struct otlp_writer w;

	otlp_init(&w, memory, sizeof(memory));
	log_record_write(&w, &plain, &entry, NULL, 0x0102030405060708);
	assert_int_equal(w.dropped, 0);
	/* Times, severity, the body {string_value: "request"}, then the ids. */
	assert_memory_equal(w.data,
			    "\x09\x08\x07\x06\x05\x04\x03\x02\x01\x59\x08\x07\x06\x05\x04\x03\x02\x01"
			    "\x10\x09\x1a\x04INFO\x2a\x09\x0a\x07request"
			    "\x4a\x10\x4b\xf9\x2f\x35\x77\xb3\x4d\xa6\xa3\xce\x92\x9d\x0e\x0e\x47\x36"
			    "\x52\x08\x00\xf0\x67\xaa\x0b\xa9\x02\xb7",
			    65);
	assert_string_equal(attributes_of(otlp_span(&w)),
			    "http.method=GET http.path=/a http.status=[200] "
			    "trace.id=4bf92f3577b34da6a3ce929d0e0e4736 span.id=00f067aa0ba902b7 "
			    "duration=12ms backend.connect=0.250ms bytes_in=[3] bytes_out=[0] lane=copy "
			    "stream.id=[7] close_reason=ok ");
}

TEST(what_a_policy_removes_is_in_no_part_of_a_log_record)
{
	struct span removed[] = { SPAN("http.path"),	  SPAN("trace.id"),  SPAN("span.id"),
				  SPAN("lane"),		  SPAN("duration"),  SPAN("none"),
				  SPAN("bytes_in"),	  SPAN("bytes_out"), SPAN("close_reason"),
				  SPAN("backend.connect") };
	const struct access_log_policy policy = { .remove_list = removed,
						  .remove_count = ARRAY_LEN(removed) };
	char memory[LIMIT_OTLP_RECORD_BYTES];
	struct protobuf_field field;
	struct otlp_writer w;
	struct span rest;

	otlp_init(&w, memory, sizeof(memory));
	log_record_write(&w, &policy, &entry, NULL, 1);
	assert_string_equal(attributes_of(otlp_span(&w)), "http.method=GET http.status=[200] stream.id=[7] ");
	rest = otlp_span(&w);
	while (protobuf_next(&rest, &field) == 1)
		assert_true(field.number != 9 && field.number != 10);
}

TEST(a_log_record_without_memory_for_all_of_it_says_how_many_attributes_it_lacks)
{
	static const struct access_log_policy plain = { 0 };

	/* Its head, which has 65 bytes, and the number always fit. */
	for (size_t size = 65 + OTLP_NUMBER_BYTES; size < 400; size++) {
		char *memory = malloc(size);
		struct protobuf_field field;
		uint64_t lacking = 0;
		struct otlp_writer w;
		struct span rest;

		assert_non_null(memory);
		otlp_init(&w, memory, size);
		log_record_write(&w, &plain, &entry, NULL, 1);
		assert_true(w.len <= size && (w.dropped > 0 || size > 300));
		rest = otlp_span(&w);
		while (protobuf_next(&rest, &field) == 1)
			lacking = protobuf_is(&field, 7, PROTOBUF_VARINT) ? field.value : lacking;
		assert_int_equal(lacking, w.dropped);
		free(memory);
	}
}

TEST(a_log_record_in_json_has_the_same_fields)
{
	static struct span removed[] = { SPAN("duration"),     SPAN("lane"),	   SPAN("backend.connect"),
					 SPAN("bytes_in"),     SPAN("bytes_out"),  SPAN("trace.id"),
					 SPAN("close_reason"), SPAN("http.method") };
	const struct access_log_policy policy = { .remove_list = removed,
						  .remove_count = ARRAY_LEN(removed) };
	const struct expression_value half = expression_double(0.5), yes = expression_bool(true);
	struct otlp_resource resources[] = { { SPAN("a"), &half }, { SPAN("b"), &yes } };
	const struct otlp_target target = { .resource_list = resources, .resource_count = 2 };
	char memory[LIMIT_OTLP_RECORD_BYTES];
	struct stream_record quoted = entry;
	struct buf batch, message;
	struct otlp_writer w;
	struct text json;

	buf_init(&batch);
	buf_init(&message);
	text_init(&json);
	quoted.path = SPAN("/\"\xc3\xa4");
	otlp_init(&w, memory, sizeof(memory));
	log_record_write(&w, &policy, &quoted, NULL, 1700000000000000001);
	assert_int_equal(otlp_append_record(&batch, otlp_span(&w)), 0);
	assert_int_equal(otlp_write_message(&message, &target, buf_span(&batch)), 0);
	assert_int_equal(otlp_json_write(&json, OTLP_LOGS, buf_span(&message)), 0);
	assert_non_null(strstr(json.data, "{\"resourceLogs\":[{\"resource\":{\"attributes\":["
					  "{\"key\":\"a\",\"value\":{\"doubleValue\":0.5}},"
					  "{\"key\":\"b\",\"value\":{\"boolValue\":true}}]},"
					  "\"scopeLogs\":[{\"scope\":{\"name\":\"headgate\","));
	assert_non_null(strstr(json.data,
			       "\"logRecords\":[{\"timeUnixNano\":\"1700000000000000001\","
			       "\"observedTimeUnixNano\":\"1700000000000000001\","
			       "\"severityNumber\":9,\"severityText\":\"INFO\","
			       "\"body\":{\"stringValue\":\"request\"},\"attributes\":["
			       "{\"key\":\"http.path\",\"value\":{\"stringValue\":\"/\\\"\xc3\xa4\"}},"
			       "{\"key\":\"http.status\",\"value\":{\"intValue\":\"200\"}},"
			       "{\"key\":\"span.id\",\"value\":{\"stringValue\":\"00f067aa0ba902b7\"}},"
			       "{\"key\":\"stream.id\",\"value\":{\"intValue\":\"7\"}}],"
			       "\"spanId\":\"00f067aa0ba902b7\"}]}]}]}"));
	/* Cut off: no JSON, and nothing behind its end is read. */
	assert_int_equal(
		otlp_json_write(&json, OTLP_LOGS, span_first(buf_span(&message), buf_len(&message) - 1)),
		-EBADMSG);
	text_done(&json);
	buf_done(&batch);
	buf_done(&message);
}

TEST(a_span_in_json_has_all_members_and_every_kind_of_value)
{
	static const uint64_t id[] = { 0x0123456789abcdef, 0xfedcba9876543210 };
	static const struct span status = { "\x12\x02no\x18\x02", 6 };
	const struct expression_value values[] = { expression_double(0.1), expression_double(-HUGE_VAL),
						   expression_double(NAN) };
	const struct otlp_target target = { 0 };
	char memory[LIMIT_OTLP_RECORD_BYTES];
	struct buf batch, message;
	struct otlp_writer w;
	struct text json;

	buf_init(&batch);
	buf_init(&message);
	text_init(&json);
	otlp_init(&w, memory, sizeof(memory));
	otlp_id(&w, 1, id, 2);
	otlp_id(&w, 2, id, 1);
	otlp_text(&w, 3, SPAN("a=1"));
	otlp_id(&w, 4, id + 1, 1);
	otlp_text(&w, 5, SPAN("n"));
	otlp_number(&w, 6, 2);
	otlp_fixed64(&w, 7, 1);
	otlp_fixed64(&w, 8, 2);
	otlp_int_attribute(&w, 9, SPAN("i"), -5);
	for (size_t i = 0; i < ARRAY_LEN(values); i++)
		otlp_value_attribute(&w, 9, SPAN("d"), &values[i]);
	otlp_number(&w, 10, 3);
	otlp_bytes(&w, 15, status.data, status.len);
	otlp_fixed32(&w, 16, 257);
	assert_int_equal(otlp_append_record(&batch, otlp_span(&w)), 0);
	assert_int_equal(otlp_write_message(&message, &target, buf_span(&batch)), 0);
	assert_int_equal(otlp_json_write(&json, OTLP_TRACES, buf_span(&message)), 0);
	assert_non_null(strstr(json.data,
			       "\"spans\":[{\"traceId\":\"0123456789abcdeffedcba9876543210\","
			       "\"spanId\":\"0123456789abcdef\",\"traceState\":\"a=1\","
			       "\"parentSpanId\":\"fedcba9876543210\",\"name\":\"n\",\"kind\":2,"
			       "\"startTimeUnixNano\":\"1\",\"endTimeUnixNano\":\"2\",\"attributes\":["
			       "{\"key\":\"i\",\"value\":{\"intValue\":\"-5\"}},"
			       "{\"key\":\"d\",\"value\":{\"doubleValue\":0.10000000000000001}},"
			       "{\"key\":\"d\",\"value\":{\"doubleValue\":\"-Infinity\"}},"
			       "{\"key\":\"d\",\"value\":{\"doubleValue\":\"NaN\"}}],"
			       "\"droppedAttributesCount\":3,\"status\":{\"message\":\"no\",\"code\":2},"
			       "\"flags\":257}]}]}]}"));
	text_done(&json);
	buf_done(&batch);
	buf_done(&message);
}

TEST(a_response_in_json_says_how_many_records_it_rejects)
{
	static const struct {
		const char *response;
		uint64_t want;
	} rows[] = {
		{ "", 0 },
		{ "{}", 0 },
		{ "{\"partialSuccess\":{\"rejectedLogRecords\":\"7\"}}", 7 },
		{ "{\"partialSuccess\":{\"errorMessage\":\"no\",\"rejectedLogRecords\":3}}", 3 },
		{ "{\"partialSuccess\":{\"rejectedLogRecords\":\"1207\"}}", 1207 },
		{ "\n { \"partialSuccess\" : { \"rejectedLogRecords\" : \"3\" } }\n", 3 },
		{ "{\"partialSuccess\":{\"rejectedSpans\":\"7\"}}", 0 },
		{ "{\"partialSuccess\":{\"rejectedLogRecords\":-1}}", 0 },
		{ "{\"partialSuccess\":{\"rejectedLogRecords\":", 0 },
		{ "<html>", 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(otlp_json_rejected(OTLP_LOGS, span_str(rows[i].response)), rows[i].want);
}
