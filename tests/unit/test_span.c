/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/base/span.h"

TEST(equality_is_length_and_bytes_and_empty_equals_null)
{
	struct span null = { NULL, 0 };

	assert_true(span_eq(SPAN("abc"), SPAN("abc")));
	assert_false(span_eq(SPAN("abc"), SPAN("abd")));
	assert_false(span_eq(SPAN("abc"), SPAN("ab")));
	assert_true(span_eq(SPAN(""), null));
	assert_true(span_eq(null, span_str(NULL)));
	assert_true(span_eq(SPAN("a\0b"), span_of("a\0b", 3)));
	assert_false(span_eq(SPAN("a\0b"), SPAN("a\0c")));
}

TEST(case_is_ignored_for_ascii_letters_only)
{
	for (int a = 0; a < 256; a++) {
		for (int b = 0; b < 256; b++) {
			char x = (char)a, y = (char)b;
			bool is_pair = ((a ^ b) == 0x20 && (a | 0x20) >= 'a' && (a | 0x20) <= 'z');

			if (span_eq_nocase(span_of(&x, 1), span_of(&y, 1)) != (a == b || is_pair))
				fail_msg("0x%02x and 0x%02x", a, b);
		}
	}
	assert_true(span_eq_nocase(SPAN("Content-LENGTH"), SPAN("content-length")));
	assert_false(span_eq_nocase(SPAN("Content-Length"), SPAN("content-lengt")));
	assert_true(span_eq_nocase(SPAN(""), (struct span){ NULL, 0 }));
}

/* Long spans are compared in words: a byte must not change what its neighbours are taken for. */
TEST(case_is_ignored_at_every_place_of_a_long_span)
{
	char left[19], right[19], low[19];

	for (int byte = 0; byte < 256; byte++) {
		for (size_t len = 1; len <= sizeof(left); len++) {
			for (size_t at = 0; at < len; at++) {
				bool is_upper = byte >= 'A' && byte <= 'Z';

				memset(left, 0xda, sizeof(left));
				memset(right, 0xda, sizeof(right));
				left[at] = (char)byte;
				right[at] = (char)(is_upper ? byte + 32 : byte);
				assert_true(span_eq_nocase(span_of(left, len), span_of(right, len)));
				span_lower(span_of(left, len), low);
				assert_memory_equal(low, right, len);
				right[at] = (char)(byte ^ 0x80);
				assert_false(span_eq_nocase(span_of(left, len), span_of(right, len)));
				right[at] = (char)(byte ^ 0x20);
				assert_int_equal(span_eq_nocase(span_of(left, len), span_of(right, len)),
						 is_upper || (byte >= 'a' && byte <= 'z'));
			}
		}
	}
}

TEST(starts_and_ends_hold_for_every_prefix_and_suffix)
{
	struct span s = SPAN("headgate");

	for (size_t len = 0; len <= s.len; len++) {
		assert_true(span_starts(s, span_first(s, len)));
		assert_true(span_ends(s, span_from(s, s.len - len)));
	}
	assert_false(span_starts(s, SPAN("headgates")));
	assert_false(span_ends(s, SPAN("xheadgate")));
	assert_false(span_starts(s, SPAN("eadg")));
	assert_false(span_ends(s, SPAN("gat")));
	assert_true(span_starts((struct span){ NULL, 0 }, SPAN("")));
}

TEST(parts_never_reach_beyond_the_whole)
{
	struct span s = SPAN("abc");

	assert_true(span_eq(span_from(s, 1), SPAN("bc")));
	assert_int_equal(span_from(s, 3).len, 0);
	assert_ptr_equal(span_from(s, 99).data, s.data + 3);
	assert_int_equal(span_from(s, 99).len, 0);
	assert_true(span_eq(span_first(s, 2), SPAN("ab")));
	assert_true(span_eq(span_first(s, 99), s));
}

TEST(blanks_are_trimmed_at_both_ends_only)
{
	static const struct {
		const char *in, *out;
	} rows[] = { { "", "" },	 { " ", "" },	   { "\t \t", "" },    { "a", "a" },
		     { " a b ", "a b" }, { "\ta\t", "a" }, { "a \n", "a \n" }, { "\r a", "\r a" } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_true(span_eq(span_trim(span_str(rows[i].in)), span_str(rows[i].out)));
}

TEST(find_gives_the_first_index_or_none)
{
	assert_int_equal(span_find(SPAN("a,b,c"), ','), 1);
	assert_int_equal(span_find(SPAN("a,b"), 'x'), -1);
	assert_int_equal(span_find(SPAN("a\0b"), '\0'), 1);
	assert_int_equal(span_find((struct span){ NULL, 0 }, 'x'), -1);
}

TEST(split_gives_every_element_including_empty_ones)
{
	static const struct {
		const char *in;
		size_t count;
		const char *elements[5];
	} rows[] = { { "", 1, { "" } },
		     { "a", 1, { "a" } },
		     { ",", 2, { "", "" } },
		     { "a,b", 2, { "a", "b" } },
		     { ",a,,b,", 5, { "", "a", "", "b", "" } } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct span rest = span_str(rows[i].in), element;
		size_t count = 0;

		while (span_split(&rest, ',', &element)) {
			assert_true(count < rows[i].count);
			assert_true(span_eq(element, span_str(rows[i].elements[count])));
			count++;
		}
		assert_int_equal(count, rows[i].count);
		assert_false(span_split(&rest, ',', &element));
	}
}

TEST(the_order_is_by_bytes_then_by_length)
{
	static const char *const sorted[] = { "", "A", "a", "aa", "ab", "b", "ba", "\x7f", "\x80", "\xff" };

	for (size_t i = 0; i < ARRAY_LEN(sorted); i++) {
		for (size_t j = 0; j < ARRAY_LEN(sorted); j++) {
			int order = span_compare(span_str(sorted[i]), span_str(sorted[j]));

			assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
		}
	}
	assert_int_equal(span_compare((struct span){ NULL, 0 }, (struct span){ NULL, 0 }), 0);
}

TEST(numbers_are_digits_only_and_fit_63_bits)
{
	static const struct {
		const char *in;
		int result;
		uint64_t value;
	} rows[] = {
		{ "0", 0, 0 },
		{ "7", 0, 7 },
		{ "007", 0, 7 },
		{ "4294967296", 0, 4294967296u },
		{ "9223372036854775807", 0, INT64_MAX },
		{ "00000000000000000000000000000001", 0, 1 },
		{ "9223372036854775808", -ERANGE, 0 },
		{ "18446744073709551615", -ERANGE, 0 },
		{ "18446744073709551616", -ERANGE, 0 },
		{ "99999999999999999999999999", -ERANGE, 0 },
		{ "", -EINVAL, 0 },
		{ "+1", -EINVAL, 0 },
		{ "-1", -EINVAL, 0 },
		{ " 1", -EINVAL, 0 },
		{ "1 ", -EINVAL, 0 },
		{ "0x1", -EINVAL, 0 },
		{ "1_0", -EINVAL, 0 },
		{ "1.0", -EINVAL, 0 },
		{ "\xb2", -EINVAL, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t value = 77;

		if (span_parse_u63(span_str(rows[i].in), &value) != rows[i].result)
			fail_msg("\"%s\"", rows[i].in);
		assert_true(value == (rows[i].result ? 77 : rows[i].value));
	}
	assert_int_equal(span_parse_u63(SPAN("1\0"), &(uint64_t){ 0 }), -EINVAL);
}
