/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "tests/lib/alloc.h"
#include "tests/lib/guard.h"
#include "tests/lib/test.h"
#include "tests/unit/json_tree.h"
#include "user/base/check.h"
#include "user/base/json_writer.h"

static void assert_text(struct text *text, const char *want)
{
	assert_int_equal(text_error(text), 0);
	assert_string_equal(text->data, want);
	text_done(text);
}

TEST(objects_keep_their_order_and_are_indented_by_two)
{
	struct text out;
	struct json_writer w;

	text_init(&out);
	json_begin(&w, &out);
	json_open_object(&w, NULL);
	json_str(&w, "z", "first");
	json_open_array(&w, "list");
	json_u64(&w, NULL, 1);
	json_open_object(&w, NULL);
	json_close(&w);
	json_open_array(&w, NULL);
	json_close(&w);
	json_close(&w);
	json_open_object(&w, "a");
	json_null(&w, "nothing");
	json_bool(&w, "yes", true);
	json_key(&w, SPAN("k\"ey"));
	json_bool(&w, NULL, false);
	json_close(&w);
	json_close(&w);
	assert_text(&out, "{\n  \"z\": \"first\",\n  \"list\": [\n    1,\n    {},\n    []\n  ],\n  \"a\": {\n"
			  "    \"nothing\": null,\n    \"yes\": true,\n    \"k\\\"ey\": false\n  }\n}\n");
}

TEST(whole_numbers_keep_all_digits)
{
	static const struct {
		uint64_t value;
		const char *want;
	} cases[] = {
		{ 0, "[\n  0\n]\n" },
		{ 9007199254740993u, "[\n  9007199254740993\n]\n" },
		{ UINT64_MAX, "[\n  18446744073709551615\n]\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct text out;
		struct json_writer w;

		text_init(&out);
		json_begin(&w, &out);
		json_open_array(&w, NULL);
		json_u64(&w, NULL, cases[i].value);
		json_close(&w);
		assert_text(&out, cases[i].want);
	}
}

TEST(strings_are_always_valid_json)
{
	static const struct {
		struct span in;
		const char *want;
	} cases[] = {
		{ SPAN(""), "\"\"" },
		{ SPAN("plain /?&=<>"), "\"plain /?&=<>\"" },
		{ SPAN("a\"b\\c"), "\"a\\\"b\\\\c\"" },
		{ SPAN("\n\t\r\x01\x1f\x7f"), "\"\\n\\t\\r\\u0001\\u001f\\u007f\"" },
		{ SPAN("\0"), "\"\\u0000\"" },
		{ SPAN("\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80"),
		  "\"\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80\"" },
		{ SPAN("\xff\xfe"), "\"\\u00ff\\u00fe\"" },
		{ SPAN("\xc3"), "\"\\u00c3\"" }, /* cut off */
		{ SPAN("\xc3("), "\"\\u00c3(\"" },
		{ SPAN("\xc0\xaf"), "\"\\u00c0\\u00af\"" }, /* overlong */
		{ SPAN("\xe0\x80\xaf"), "\"\\u00e0\\u0080\\u00af\"" }, /* overlong */
		{ SPAN("\xed\xa0\x80"), "\"\\u00ed\\u00a0\\u0080\"" }, /* surrogate */
		{ SPAN("\xf4\x90\x80\x80"), "\"\\u00f4\\u0090\\u0080\\u0080\"" }, /* past U+10FFFF */
		{ SPAN("\xf0\x8f\xbf\xbf"), "\"\\u00f0\\u008f\\u00bf\\u00bf\"" }, /* overlong */
	};
	struct guard guard;

	guard_init(&guard, 64);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct text out;
		struct json_writer w;

		text_init(&out);
		json_begin(&w, &out);
		json_string(&w, NULL,
			    span_of(guard_end(&guard, cases[i].in.data, cases[i].in.len), cases[i].in.len));
		assert_text(&out, cases[i].want);
	}
	guard_done(&guard);
}

TEST(every_pair_of_bytes_makes_a_text_that_parses)
{
	for (unsigned int first = 0; first < 256; first++) {
		for (unsigned int second = 0; second < 256; second++) {
			unsigned char bytes[2] = { (unsigned char)first, (unsigned char)second };
			struct json_value *root;
			struct json_writer w;
			struct text out;

			text_init(&out);
			json_begin(&w, &out);
			json_open_array(&w, NULL);
			json_string(&w, NULL, span_of(bytes, 2));
			json_close(&w);
			root = json_parse(text_span(&out));
			assert_non_null(root);
			/* ASCII comes back as it was; the parser hands out C strings, so not past a NUL. */
			if (first > 0 && first < 0x80 && second < 0x80)
				assert_true(span_eq(span_str(json_text(json_first(root))),
						    span_of(bytes, second ? 2 : 1)));
			json_free(root);
			text_done(&out);
		}
	}
}

TEST(null_stands_for_nothing)
{
	struct text out;
	struct json_writer w;

	text_init(&out);
	json_begin(&w, &out);
	json_open_object(&w, NULL);
	json_str(&w, "none", NULL);
	json_string_or_null(&w, "empty", (struct span){ 0 });
	json_string_or_null(&w, "some", SPAN("x"));
	json_close(&w);
	assert_text(&out, "{\n  \"none\": null,\n  \"empty\": null,\n"
			  "  \"some\": \"x\"\n}\n");
}

TEST(base64_follows_the_examples_of_rfc_4648)
{
	static const char *const cases[][2] = {
		{ "", "\"\"" },
		{ "f", "\"Zg==\"" },
		{ "fo", "\"Zm8=\"" },
		{ "foo", "\"Zm9v\"" },
		{ "foob", "\"Zm9vYg==\"" },
		{ "fooba", "\"Zm9vYmE=\"" },
		{ "foobar", "\"Zm9vYmFy\"" },
		{ "\xff\xfe\xfd", "\"//79\"" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct text out;
		struct json_writer w;

		text_init(&out);
		json_begin(&w, &out);
		json_base64(&w, NULL, span_str(cases[i][0]));
		assert_text(&out, cases[i][1]);
	}
}

static int write_something(void *context)
{
	struct text out;
	struct json_writer w;
	int error;

	(void)context;
	text_init(&out);
	json_begin(&w, &out);
	json_open_array(&w, NULL);
	for (uint64_t i = 0; i < 500; i++)
		json_u64(&w, NULL, i);
	json_close(&w);
	error = text_error(&out);
	text_done(&out);
	return error;
}

TEST(lack_of_memory_shows_at_the_end)
{
	assert_true(alloc_fail_each(write_something, NULL) > 3);
}
