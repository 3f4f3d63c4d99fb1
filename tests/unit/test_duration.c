/* SPDX-License-Identifier: Apache-2.0 */

#include "config/core/engine/duration.h"
#include "tests/lib/guard.h"
#include "tests/lib/test.h"
#include "user/base/check.h"

#define US 1000ull
#define MS 1000000ull
#define S 1000000000ull
#define M (60 * S)
#define H (3600 * S)

TEST_GUARD(guard, 256);

/* The text lies against a forbidden page: one byte read too far ends the test. */
static enum duration_result parse(const char *text, uint64_t *ret_ns)
{
	size_t len = strlen(text);

	return duration_parse(span_of(guard_end(&guard, text, len), len), ret_ns);
}

static enum duration_result parse_gep(const char *text, uint64_t *ret_ns)
{
	size_t len = strlen(text);

	return duration_parse_gep2257(span_of(guard_end(&guard, text, len), len), ret_ns);
}

TEST(go_durations_mean_what_go_says)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} rows[] = {
		{ "0", 0 },
		{ "0s", 0 },
		{ "+5s", 5 * S },
		{ "5s", 5 * S },
		{ "30s", 30 * S },
		{ "1478s", 1478 * S },
		{ "5.0s", 5 * S },
		{ "5.6s", 5600 * MS },
		{ "5.s", 5 * S },
		{ ".5s", 500 * MS },
		{ "1.0s", S },
		{ "1.004s", 1004 * MS },
		{ "100.00100s", 100001 * MS },
		{ "10ns", 10 },
		{ "11us", 11 * US },
		{ "12\xc2\xb5s", 12 * US },
		{ "12\xce\xbcs", 12 * US },
		{ "13ms", 13 * MS },
		{ "14s", 14 * S },
		{ "15m", 15 * M },
		{ "16h", 16 * H },
		{ "3h30m", 3 * H + 30 * M },
		{ "10.5s4m", 4 * M + 10500 * MS },
		{ "1h2m3s4ms5us6ns", H + 2 * M + 3 * S + 4 * MS + 5 * US + 6 },
		{ "39h9m14.425s", 39 * H + 9 * M + 14425 * MS },
		{ "52763797000ns", 52763797000 },
		{ "0.3333333333333333333h", 20 * M - 1 },
		{ "9223372036854775807ns", INT64_MAX },
		{ "9223372036854775.807us", INT64_MAX },
		{ "2562047h47m16.854775807s", INT64_MAX },
		{ "0.9223372036854775807h", 3320413933267 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t ns = 42;

		if (parse(rows[i].text, &ns) != DURATION_OK || ns != rows[i].ns)
			fail_msg("%s gave %llu instead of %llu", rows[i].text, (unsigned long long)ns,
				 (unsigned long long)rows[i].ns);
	}
}

TEST(wrong_go_durations_are_told_and_change_nothing)
{
	static const struct {
		const char *text;
		enum duration_result result;
	} rows[] = {
		{ "", DURATION_EMPTY },
		{ "5", DURATION_NO_UNIT },
		{ "1.5", DURATION_NO_UNIT },
		{ "1m5", DURATION_NO_UNIT },
		{ "1.2.3s", DURATION_NO_UNIT },
		{ "-1s", DURATION_NEGATIVE },
		{ "-0s", DURATION_NEGATIVE },
		{ "1d", DURATION_UNKNOWN_UNIT },
		{ "1w", DURATION_UNKNOWN_UNIT },
		{ "1S", DURATION_UNKNOWN_UNIT },
		{ "1 s", DURATION_UNKNOWN_UNIT },
		{ "1s ", DURATION_UNKNOWN_UNIT },
		{ "1sec", DURATION_UNKNOWN_UNIT },
		{ "00-1s", DURATION_UNKNOWN_UNIT },
		{ "s", DURATION_NO_NUMBER },
		{ ".", DURATION_NO_NUMBER },
		{ ".s", DURATION_NO_NUMBER },
		{ "+", DURATION_NO_NUMBER },
		{ " 1s", DURATION_NO_NUMBER },
		{ "9223372036854775808ns", DURATION_TOO_LARGE },
		{ "9223372036854775808h", DURATION_TOO_LARGE },
		{ "99999999999999999999999s", DURATION_TOO_LARGE },
		{ "2562047h47m16.854775808s", DURATION_TOO_LARGE },
		{ "3000000h", DURATION_TOO_LARGE },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t ns = 42;
		enum duration_result result = parse(rows[i].text, &ns);

		if (result != rows[i].result || ns != 42)
			fail_msg("\"%s\" gave result %d instead of %d", rows[i].text, result, rows[i].result);
		assert_true(strlen(duration_advice(result)) > 20);
	}
	assert_string_equal(duration_advice(DURATION_OK), "");
}

TEST(manifest_durations_follow_gep_2257)
{
	static const struct {
		const char *text;
		enum duration_result result;
		uint64_t ns;
	} rows[] = {
		{ "0s", DURATION_OK, 0 },
		{ "1h", DURATION_OK, H },
		{ "1m", DURATION_OK, M },
		{ "500ms", DURATION_OK, 500 * MS },
		{ "2h45m", DURATION_OK, 2 * H + 45 * M },
		{ "1h1m1s1ms", DURATION_OK, H + M + S + MS },
		{ "99999h99999h99999h99999h", DURATION_OK, 4 * 99999 * H },
		{ "", DURATION_EMPTY, 42 },
		{ "0", DURATION_NO_UNIT, 42 },
		{ "5", DURATION_NO_UNIT, 42 },
		{ "1m5", DURATION_NO_UNIT, 42 },
		{ "1.5s", DURATION_DECIMALS, 42 },
		{ ".5s", DURATION_DECIMALS, 42 },
		{ "-1s", DURATION_NEGATIVE, 42 },
		{ "+1s", DURATION_NO_NUMBER, 42 },
		{ "1d", DURATION_UNKNOWN_UNIT, 42 },
		{ "5us", DURATION_SMALL_UNIT, 42 },
		{ "5ns", DURATION_SMALL_UNIT, 42 },
		{ "100000s", DURATION_TOO_MANY_DIGITS, 42 },
		{ "1s1s1s1s1s", DURATION_TOO_MANY_GROUPS, 42 },
		{ "s", DURATION_NO_NUMBER, 42 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t ns = 42;
		enum duration_result result = parse_gep(rows[i].text, &ns);

		if (result != rows[i].result || ns != rows[i].ns)
			fail_msg("\"%s\" gave result %d and %llu", rows[i].text, result,
				 (unsigned long long)ns);
		assert_int_equal(strlen(duration_advice(result)) > 20, result != DURATION_OK);
	}
}

TEST(durations_are_printed_like_go)
{
	static const struct {
		uint64_t ns;
		const char *text;
	} rows[] = {
		{ 0, "0s" },
		{ 1, "1ns" },
		{ 999, "999ns" },
		{ 1100, "1.1\xc2\xb5s" },
		{ 1234, "1.234\xc2\xb5s" },
		{ 500 * MS, "500ms" },
		{ 2200 * US, "2.2ms" },
		{ 1234567, "1.235ms" },
		{ 999999600, "1s" },
		{ S, "1s" },
		{ 1500 * MS, "1.5s" },
		{ 3300 * MS, "3.3s" },
		{ 15 * S, "15s" },
		{ M, "1m0s" },
		{ 90 * S, "1m30s" },
		{ 3 * M, "3m0s" },
		{ 245 * S, "4m5s" },
		{ 4 * M + 5001 * MS, "4m5.001s" },
		{ 8 * M + 400, "8m0s" },
		{ 9 * M + 13123456789, "9m13.123s" },
		{ 600 * S, "10m0s" },
		{ H, "1h0m0s" },
		{ 5 * H + 6 * M + 7001 * MS, "5h6m7.001s" },
		{ 24 * H, "24h0m0s" },
		{ INT64_MAX, "2562047h47m16.855s" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char *out = guard_end(&guard, "", 0);
		size_t len;

		out = guard_end(&guard, (char[DURATION_TEXT_BYTES]){ 0 }, DURATION_TEXT_BYTES);
		len = duration_format(rows[i].ns, out);
		if (len != strlen(rows[i].text) || memcmp(out, rows[i].text, len) != 0)
			fail_msg("%llu became %.*s instead of %s", (unsigned long long)rows[i].ns, (int)len,
				 out, rows[i].text);
	}
}

TEST(what_is_printed_reads_back)
{
	uint64_t seed = 12345;

	for (int i = 0; i < 20000; i++) {
		char out[DURATION_TEXT_BYTES];
		uint64_t ns, again;

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		ns = (seed >> 1) >> (seed % 50);
		if (ns >= S)
			ns -= ns % MS;
		else if (ns >= MS)
			ns -= ns % US;
		assert_int_equal(duration_parse(span_of(out, duration_format(ns, out)), &again), DURATION_OK);
		assert_int_equal(again, ns);
	}
}
