/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/message.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/lib/alloc.h"
#include "tests/lib/test_arena.h"
#include "user/base/check.h"

TEST_ARENA(arena, 1024);

/* "name=value" pairs into an empty list. */
static struct fields fields_from(const char *const *pairs)
{
	struct fields fields;

	fields_init(&fields, &arena);
	for (; *pairs; pairs++) {
		const char *equals = strchr(*pairs, '=');

		assert_int_equal(
			fields_add(&fields, span_of(*pairs, (size_t)(equals - *pairs)), span_str(equals + 1)),
			0);
	}
	return fields;
}

#define FIELDS(...) fields_from((const char *const[]){ __VA_ARGS__, NULL })

/* "name=value name=value" */
static void assert_fields(const struct fields *fields, const char *expected)
{
	char text[512] = "";
	uint64_t seen = 0;

	for (uint32_t i = 0; i < fields->count; i++) {
		size_t len = strlen(text);

		snprintf(text + len, sizeof(text) - len, "%s%.*s=%.*s", i ? " " : "",
			 SPAN_FMT(fields->list[i].name), SPAN_FMT(fields->list[i].value));
		assert_int_equal(fields->list[i].id, field_id_of(fields->list[i].name));
		seen |= UINT64_C(1) << fields->list[i].id;
	}
	assert_string_equal(text, expected);
	assert_int_equal(fields->seen, seen);
}

TEST(every_known_name_is_recognised_in_any_case)
{
	for (unsigned int id = FIELD_OTHER + 1; id < FIELD_ID_COUNT; id++) {
		struct span name = field_name_of(id);
		char text[64];

		assert_int_equal(field_id_of(name), id);
		for (size_t i = 0; i < name.len; i++) {
			assert_false(isupper((unsigned char)name.data[i]));
			text[i] = (char)toupper((unsigned char)name.data[i]);
		}
		assert_int_equal(field_id_of(span_of(text, name.len)), id);
	}
}

TEST(names_that_differ_in_one_byte_are_not_known)
{
	for (unsigned int id = FIELD_OTHER + 1; id < FIELD_ID_COUNT; id++) {
		struct span name = field_name_of(id);
		char text[64];

		assert_int_equal(field_id_of(span_first(name, name.len - 1)), FIELD_OTHER);
		memcpy(text, name.data, name.len);
		text[name.len] = 'x';
		assert_int_equal(field_id_of(span_of(text, name.len + 1)), FIELD_OTHER);
		for (size_t i = 0; i < name.len; i++) {
			for (unsigned int byte = 0; byte < 256; byte++) {
				if (tolower((int)byte) == name.data[i])
					continue;
				text[i] = (char)byte;
				assert_int_equal(field_id_of(span_of(text, name.len)), FIELD_OTHER);
			}
			text[i] = name.data[i];
		}
	}
	assert_int_equal(field_id_of(SPAN("")), FIELD_OTHER);
}

TEST(flags_come_from_the_table)
{
	assert_int_equal(field_flags_of(FIELD_OTHER), 0);
	assert_int_equal(field_flags_of(FIELD_CONNECTION), FIELD_HOP | FIELD_NO_TRAILER);
	assert_int_equal(field_flags_of(FIELD_HOST), FIELD_PROTECTED | FIELD_NO_TRAILER);
	assert_int_equal(field_flags_of(FIELD_TRAILER), FIELD_NO_TRAILER);
}

TEST(lookups_find_the_first_and_ignore_case)
{
	struct fields fields = FIELDS("Host=a", "X-One=1", "x-one=2", "Via=b", "via=c");

	assert_span(fields_get(&fields, FIELD_VIA)->value, "b");
	assert_span(fields_find(&fields, SPAN("VIA"))->value, "b");
	assert_span(fields_find(&fields, SPAN("X-ONE"))->value, "1");
	assert_null(fields_find(&fields, SPAN("X-Two")));
	assert_null(fields_find(&fields, SPAN("Cookie")));
	assert_null(fields_get(&fields, FIELD_COOKIE));
	assert_int_equal(fields_count_of(&fields, FIELD_VIA), 2);
	assert_int_equal(fields_count_of(&fields, FIELD_COOKIE), 0);
	assert_true(fields_have(&fields, FIELD_HOST));
	assert_false(fields_have(&fields, FIELD_DATE));
}

TEST(removing_keeps_the_order_of_the_rest)
{
	struct fields fields = FIELDS("A=1", "Via=2", "B=3", "a=4", "VIA=5", "C=6");

	fields_remove_id(&fields, FIELD_VIA);
	assert_fields(&fields, "A=1 B=3 a=4 C=6");
	fields_remove(&fields, SPAN("a"));
	assert_fields(&fields, "B=3 C=6");
	fields_remove(&fields, SPAN("Nothing"));
	fields_remove_id(&fields, FIELD_VIA);
	fields_remove(&fields, SPAN("c"));
	assert_fields(&fields, "B=3");
	fields_remove(&fields, SPAN("B"));
	assert_fields(&fields, "");
	assert_null(fields_find(&fields, SPAN("B")));
}

TEST(setting_replaces_the_first_and_drops_the_others)
{
	struct fields fields = FIELDS("A=1", "Via=2", "a=3", "via=4", "B=5");

	assert_int_equal(fields_set(&fields, SPAN("via"), SPAN("9")), 0);
	assert_fields(&fields, "A=1 via=9 a=3 B=5");
	assert_int_equal(fields_set(&fields, SPAN("A"), SPAN("8")), 0);
	assert_fields(&fields, "A=8 via=9 B=5");
	assert_int_equal(fields_set(&fields, SPAN("Date"), SPAN("7")), 0);
	assert_int_equal(fields_set(&fields, SPAN("D"), SPAN("6")), 0);
	assert_fields(&fields, "A=8 via=9 B=5 Date=7 D=6");
}

static bool is_not(const struct field *field, void *context)
{
	return field != context;
}

TEST(retain_can_tell_a_single_field)
{
	struct fields fields = FIELDS("A=1", "Via=2", "A=3", "Via=4");

	fields_retain(&fields, is_not, &fields.list[1]);
	assert_fields(&fields, "A=1 A=3 Via=4");
	fields_retain(&fields, is_not, &fields.list[2]);
	assert_fields(&fields, "A=1 A=3");
}

TEST(list_elements_are_compared_whole_and_without_case)
{
	struct fields fields =
		FIELDS("Connection=keep-alive", "X=close", "Connection=, Upgrade ,\tTE\t,closed,");

	assert_true(fields_list_has(&fields, FIELD_CONNECTION, SPAN("Keep-Alive")));
	assert_true(fields_list_has(&fields, FIELD_CONNECTION, SPAN("upgrade")));
	assert_true(fields_list_has(&fields, FIELD_CONNECTION, SPAN("te")));
	assert_false(fields_list_has(&fields, FIELD_CONNECTION, SPAN("close")));
	assert_false(fields_list_has(&fields, FIELD_TE, SPAN("te")));
}

TEST(a_clone_does_not_see_later_changes)
{
	struct fields fields = FIELDS("A=1", "Via=2");
	struct fields copy;

	assert_int_equal(fields_clone(&fields, &arena, &copy), 0);
	fields_remove_id(&fields, FIELD_VIA);
	assert_int_equal(fields_set(&fields, SPAN("A"), SPAN("9")), 0);
	assert_fields(&copy, "A=1 Via=2");
	fields = FIELDS("A=1");
	fields_remove(&fields, SPAN("A"));
	assert_int_equal(fields_clone(&fields, &arena, &copy), 0);
	assert_fields(&copy, "");
	assert_int_equal(fields_add(&copy, SPAN("B"), SPAN("2")), 0);
	assert_fields(&copy, "B=2");
}

TEST(a_list_grows_past_any_capacity)
{
	struct fields fields;

	fields_init(&fields, &arena);
	for (unsigned int i = 0; i < 1000; i++)
		assert_int_equal(fields_add(&fields, i % 2 ? SPAN("Via") : SPAN("X"), SPAN("v")), 0);
	assert_int_equal(fields.count, 1000);
	assert_int_equal(fields_count_of(&fields, FIELD_VIA), 500);
}

static int add_set_clone(void *context)
{
	struct arena own;
	struct fields fields;
	struct fields copy;
	int error = 0;

	(void)context;
	arena_init(&own, 64);
	fields_init(&fields, &own);
	for (int i = 0; !error && i < 20; i++) {
		uint32_t count = fields.count;

		error = fields_add(&fields, SPAN("A"), SPAN("1"));
		if (error)
			assert_int_equal(fields.count, count);
	}
	if (!error)
		error = fields_set(&fields, SPAN("B"), SPAN("2"));
	if (!error)
		error = fields_clone(&fields, &own, &copy);
	arena_done(&own);
	return error;
}

TEST(no_memory_is_an_error_and_changes_nothing)
{
	assert_true(alloc_fail_each(add_set_clone, NULL) >= 3);
}

TEST(methods_are_case_sensitive)
{
	assert_int_equal(method_of(SPAN("GET")), METHOD_GET);
	assert_int_equal(method_of(SPAN("PATCH")), METHOD_PATCH);
	assert_int_equal(method_of(SPAN("OPTIONS")), METHOD_OPTIONS);
	assert_int_equal(method_of(SPAN("get")), METHOD_OTHER);
	assert_int_equal(method_of(SPAN("QUERY")), METHOD_OTHER);
	assert_int_equal(method_of(SPAN("GE")), METHOD_OTHER);
	assert_int_equal(method_of(SPAN("")), METHOD_OTHER);
}

TEST(reasons_are_canonical)
{
	assert_span(status_reason(100), "Continue");
	assert_span(status_reason(200), "OK");
	assert_span(status_reason(414), "URI Too Long");
	assert_span(status_reason(503), "Service Unavailable");
	assert_span(status_reason(511), "Network Authentication Required");
	assert_span(status_reason(599), "");
	assert_span(status_reason(0), "");
	assert_span(status_reason(65535), "");
}

TEST(every_refusal_has_a_text_and_a_status)
{
	for (unsigned int http_error = HTTP_ERROR_NONE + 1; http_error < HTTP_ERROR_COUNT; http_error++) {
		assert_true(strlen(http_error_text(http_error)) > 5);
		assert_in_range(http_error_status(http_error), 400, 505);
	}
}
