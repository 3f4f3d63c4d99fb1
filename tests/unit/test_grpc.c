/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/message.h"

#include <errno.h>
#include <stdio.h>

#include "tests/lib/alloc.h"
#include "tests/lib/test_arena.h"
#include "user/base/check.h"
#include "user/http/grpc.h"

TEST_ARENA(arena, 4096);

/* ---- calls ---- */

static bool is_call(const char *name, const char *value)
{
	struct fields fields;

	fields_init(&fields, &arena);
	if (name)
		assert_int_equal(fields_add(&fields, span_str(name), span_str(value)), 0);
	return grpc_is_call(&fields);
}

TEST(a_call_is_known_by_its_content_type_without_subtype_and_parameters)
{
	static const struct {
		const char *name;
		const char *value;
		bool want;
	} table[] = {
		{ "content-type", "application/grpc", true },
		{ "content-type", "application/grpc+proto", true },
		{ "content-type", "application/grpc+json", true },
		{ "content-type", "application/grpc;charset=utf-8", true },
		{ "content-type", "application/grpc ; charset=utf-8", true },
		{ "content-type", "application/grpc-web+proto", false },
		{ "content-type", "application/grpc-web-text", false },
		{ "content-type", "application/grpcx", false },
		{ "content-type", "application/grpc x", false },
		{ "content-type", "application/grpc +proto", false },
		{ "Content-Type", "Application/GRPC", true },
		{ "content-type", "application/grp", false },
		{ "content-type", "application/json", false },
		{ "content-type", "text/application/grpc", false },
		{ "content-type", " application/grpc", false }, /* a parser has cut blanks off */
		{ "content-type", "", false },
		{ "accept", "application/grpc", false },
		{ NULL, NULL, false },
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		if (is_call(table[i].name, table[i].value) != table[i].want)
			fail_msg("%s: %s", table[i].name, table[i].value);
	}
}

/* ---- statuses of HTTP ---- */

TEST(errors_of_http_become_the_statuses_of_the_protocol_page)
{
	static const struct {
		uint16_t http;
		enum grpc_status grpc;
	} table[] = {
		{ 400, GRPC_INTERNAL },	     { 401, GRPC_UNAUTHENTICATED }, { 403, GRPC_PERMISSION_DENIED },
		{ 404, GRPC_UNIMPLEMENTED }, { 429, GRPC_UNAVAILABLE },	    { 502, GRPC_UNAVAILABLE },
		{ 503, GRPC_UNAVAILABLE },   { 504, GRPC_UNAVAILABLE },	    { 407, GRPC_UNAUTHENTICATED },
		{ 200, GRPC_UNKNOWN },	     { 301, GRPC_UNKNOWN },	    { 405, GRPC_UNKNOWN },
		{ 413, GRPC_UNKNOWN },	     { 431, GRPC_UNKNOWN },	    { 500, GRPC_UNKNOWN },
		{ 501, GRPC_UNKNOWN },	     { 599, GRPC_UNKNOWN },
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		if (grpc_status_of_http(table[i].http) != table[i].grpc)
			fail_msg("%u became %d", table[i].http, grpc_status_of_http(table[i].http));
	}
	/* On the wire it is the number that counts. */
	assert_int_equal(GRPC_PERMISSION_DENIED, 7);
	assert_int_equal(GRPC_UNIMPLEMENTED, 12);
	assert_int_equal(GRPC_INTERNAL, 13);
	assert_int_equal(GRPC_UNAVAILABLE, 14);
	assert_int_equal(GRPC_UNAUTHENTICATED, 16);
	assert_int_equal(GRPC_UNKNOWN, 2);
}

/* ---- answers ---- */

static void assert_answer(enum grpc_status status, struct span text, const char *number, const char *message)
{
	struct fields fields;
	const struct field *field;

	fields_init(&fields, &arena);
	assert_int_equal(grpc_answer(&fields, status, text), 0);
	assert_int_equal(fields.count, message ? 3 : 2);
	assert_span(fields_get(&fields, FIELD_CONTENT_TYPE)->value, "application/grpc");
	field = fields_find(&fields, SPAN("grpc-status"));
	assert_non_null(field);
	assert_span(field->value, number);
	assert_int_equal(grpc_status_read(&fields), status);
	field = fields_find(&fields, SPAN("grpc-message"));
	if (!message) {
		assert_null(field);
		return;
	}
	assert_non_null(field);
	assert_span(field->value, message);
}

TEST(an_answer_is_type_status_and_message)
{
	assert_answer(GRPC_UNAVAILABLE, SPAN("no healthy backends"), "14", "no healthy backends");
	assert_answer(GRPC_OK, SPAN(""), "0", NULL);
	assert_answer(GRPC_UNIMPLEMENTED, SPAN("route not found"), "12", "route not found");
}

TEST(every_byte_but_visible_ascii_is_percent_encoded)
{
	assert_answer(GRPC_UNKNOWN, SPAN("100% \"of\" it~"), "2", "100%25 \"of\" it~");
	assert_answer(GRPC_UNKNOWN, SPAN("a\r\nb: c\t\x7f\x1f"), "2", "a%0D%0Ab: c%09%7F%1F");
	assert_answer(GRPC_UNKNOWN, SPAN("gr\xc3\xbc\xc3\x9f\xff"), "2", "gr%C3%BC%C3%9F%FF");
	assert_answer(GRPC_UNKNOWN, span_of("\0", 1), "2", "%00");
	for (unsigned int byte = 0; byte < 256; byte++) {
		char text = (char)byte;
		char want[4];

		if (byte >= 0x20 && byte < 0x7f && byte != '%')
			snprintf(want, sizeof(want), "%c", text);
		else
			snprintf(want, sizeof(want), "%%%02X", byte);
		assert_answer(GRPC_UNKNOWN, span_of(&text, 1), "2", want);
	}
}

TEST(a_long_message_is_cut_between_characters)
{
	char text[GRPC_MESSAGE_BYTES + 2], want[GRPC_MESSAGE_BYTES + 1];

	memset(text, 'x', sizeof(text));
	memset(want, 'x', sizeof(want));
	want[GRPC_MESSAGE_BYTES] = '\0';
	assert_answer(GRPC_UNKNOWN, span_of(text, sizeof(text)), "2", want);
	memcpy(text + GRPC_MESSAGE_BYTES - 2, "\xe2\x82\xac", 3);
	want[GRPC_MESSAGE_BYTES - 2] = '\0';
	assert_answer(GRPC_UNKNOWN, span_of(text, sizeof(text)), "2", want);
}

TEST(an_answer_replaces_what_was_set_and_keeps_its_own_copy)
{
	char text[] = "gone";
	struct fields fields;

	fields_init(&fields, &arena);
	assert_int_equal(fields_add(&fields, SPAN("content-type"), SPAN("text/plain")), 0);
	assert_int_equal(fields_add(&fields, SPAN("grpc-status"), SPAN("0")), 0);
	assert_int_equal(grpc_answer(&fields, GRPC_INTERNAL, span_of(text, 4)), 0);
	text[0] = 'x';
	assert_int_equal(fields.count, 3);
	assert_span(fields_get(&fields, FIELD_CONTENT_TYPE)->value, "application/grpc");
	assert_int_equal(grpc_status_read(&fields), GRPC_INTERNAL);
	assert_span(fields_find(&fields, SPAN("grpc-message"))->value, "gone");
}

static int answer_once(void *context)
{
	static char text[3000]; /* beyond the first block of an arena */
	struct arena own;
	struct fields fields;
	int error;

	(void)context;
	arena_init(&own, 64);
	fields_init(&fields, &own);
	error = grpc_answer(&fields, GRPC_UNAVAILABLE, span_of(text, sizeof(text)));
	if (!error && (fields.count != 3 || grpc_status_read(&fields) != GRPC_UNAVAILABLE ||
		       fields_find(&fields, SPAN("grpc-message"))->value.len != GRPC_MESSAGE_BYTES * 3))
		error = -EINVAL;
	arena_done(&own);
	return error;
}

TEST(without_memory_there_is_no_answer)
{
	assert_true(alloc_fail_each(answer_once, NULL) >= 3);
}

/* ---- statuses of gRPC ---- */

TEST(a_status_is_up_to_three_digits_and_nothing_else)
{
	static const struct {
		const char *text;
		int want;
	} table[] = {
		{ "0", 0 },	{ "14", 14 }, { "16", 16 }, { "999", 999 }, { "007", 7 },
		{ "1000", -1 }, { "", -1 },   { "-1", -1 }, { "+1", -1 },   { "1.0", -1 },
		{ "x", -1 },	{ "1a", -1 }, { " 1", -1 }, { "OK", -1 },   { "1,2", -1 },
	};
	struct fields fields;

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		fields_init(&fields, &arena);
		assert_int_equal(fields_add(&fields, SPAN("Grpc-Status"), span_str(table[i].text)), 0);
		if (grpc_status_read(&fields) != table[i].want)
			fail_msg("\"%s\" is %d", table[i].text, grpc_status_read(&fields));
	}
	fields_init(&fields, &arena);
	assert_int_equal(grpc_status_read(&fields), -1);
	assert_int_equal(fields_add(&fields, SPAN("status"), SPAN("0")), 0);
	assert_int_equal(grpc_status_read(&fields), -1);
}
