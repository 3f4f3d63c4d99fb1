/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "tests/lib/guard.h"
#include "user/base/check.h"
#include "user/net/proxy_protocol.h"

#define V2_SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

static struct guard guard;

static int guard_make(void **state)
{
	(void)state;
	guard_init(&guard, 4096);
	return 0;
}

static int guard_drop(void **state)
{
	(void)state;
	guard_done(&guard);
	return 0;
}

static enum proxy_protocol_verdict parse(const void *data, size_t len, struct proxy_protocol *ret_header)
{
	return proxy_protocol_parse(span_of(guard_end(&guard, data, len), len), ret_header);
}

static void assert_address(const struct address *a, const char *want)
{
	struct text out;

	text_init(&out);
	address_format(a, &out);
	assert_string_equal(out.data, want);
	text_done(&out);
}

/* Every prefix of a header says MORE; what follows it belongs to the stream. */
static void assert_header(const char *data, size_t len, enum proxy_protocol_verdict want, const char *source,
			  const char *destination)
{
	struct proxy_protocol header = { .len = 77 };
	char longer[1024];

	for (size_t part = 0; part < len; part++) {
		if (parse(data, part, &header) != PROXY_PROTOCOL_MORE)
			fail_msg("%zu of %zu bytes", part, len);
		assert_int_equal(header.len, 77);
	}
	assert_int_equal(parse(data, len, &header), want);
	assert_int_equal(header.len, len);
	memcpy(longer, data, len);
	memcpy(longer + len, "GET / HTTP/1.1\r\n\r\n", 18);
	assert_int_equal(parse(longer, len + 18, &header), want);
	assert_int_equal(header.len, len);
	assert_int_equal(header.version, data[0] == 'P' ? 1 : 2);
	assert_address(&header.source, source);
	assert_address(&header.destination, destination);
}

static void version_1_lines_are_read(void **state)
{
	static const struct {
		const char *line;
		enum proxy_protocol_verdict verdict;
		const char *source, *destination;
	} rows[] = {
		{ "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n", PROXY_PROTOCOL_ADDRESSES, "192.0.2.1:56324",
		  "192.0.2.2:443" },
		{ "PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n", PROXY_PROTOCOL_ADDRESSES, "0.0.0.0:0",
		  "255.255.255.255:65535" },
		{ "PROXY TCP6 2001:db8::1 ::1 1 2\r\n", PROXY_PROTOCOL_ADDRESSES, "[2001:db8::1]:1",
		  "[::1]:2" },
		{ "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
		  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 "
		  "65535\r\n",
		  PROXY_PROTOCOL_ADDRESSES, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
		  "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535" },
		{ "PROXY UNKNOWN\r\n", PROXY_PROTOCOL_LOCAL, "none", "none" },
		{ "PROXY UNKNOWN ffff::1 anything at all 1\r\n", PROXY_PROTOCOL_LOCAL, "none", "none" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_header(rows[i].line, strlen(rows[i].line), rows[i].verdict, rows[i].source,
			      rows[i].destination);
}

static void version_1_lines_that_break_the_grammar_are_refused(void **state)
{
	static const char *const rows[] = {
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\r\n",
		"PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 \r\n",
		"PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n",
		"PROXY TCP4 ::1 ::1 1 2\r\n",
		"PROXY TCP4 192.0.2.1 ::1 1 2\r\n",
		"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
		"PROXY TCP6 [::1] [::1] 1 2\r\n",
		"PROXY TCP5 ::1 ::1 1 2\r\n",
		"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
		"PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n",
		"PROXY UNKNOWNX\r\n",
		"PROXY \r\n",
		"PROXY TCP4\r\n",
		"PROXY UNKNOWN\nGET / HTTP/1.1\r\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct proxy_protocol header = { .len = 77 };

		if (parse(rows[i], strlen(rows[i]), &header) != PROXY_PROTOCOL_BAD)
			fail_msg("not refused: %s", rows[i]);
		assert_int_equal(header.len, 77);
	}
}

static void version_1_ends_within_107_bytes(void **state)
{
	struct proxy_protocol header;
	char line[120] = "PROXY UNKNOWN ";

	(void)state;
	memset(line + 14, 'x', sizeof(line) - 14);
	assert_int_equal(parse(line, 106, &header), PROXY_PROTOCOL_MORE);
	assert_int_equal(parse(line, 107, &header), PROXY_PROTOCOL_TOO_LONG);
	assert_int_equal(parse(line, 120, &header), PROXY_PROTOCOL_TOO_LONG);
	memcpy(line + 105, "\r\n", 2);
	assert_int_equal(parse(line, 106, &header), PROXY_PROTOCOL_MORE);
	assert_int_equal(parse(line, 107, &header), PROXY_PROTOCOL_LOCAL);
	memcpy(line + 105, "x\r\n", 3);
	assert_int_equal(parse(line, 106, &header), PROXY_PROTOCOL_MORE);
	assert_int_equal(parse(line, 108, &header), PROXY_PROTOCOL_TOO_LONG);
}

/* A version 2 header: command, family, addresses, and `extra` bytes of TLVs. */
static size_t v2(char *out, unsigned char command, unsigned char family, const void *addresses, size_t len,
		 size_t extra)
{
	size_t total = len + extra;

	memcpy(out, V2_SIGNATURE, 12);
	out[12] = (char)command;
	out[13] = (char)family;
	out[14] = (char)(total >> 8);
	out[15] = (char)total;
	memcpy(out + 16, addresses, len);
	memset(out + 16 + len, 0xee, extra);
	return 16 + total;
}

static const char v4_block[12] = "\xc0\0\2\1\xc0\0\2\2\xdc\4\1\xbb";
static const char v6_block[36] =
	"\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\1\0\2";

static void version_2_headers_are_read_and_tlvs_skipped(void **state)
{
	static const size_t extras[] = { 0, 1, 3, 200 };
	char unix_block[216] = { 0 };
	char data[1024];
	char full[120] = "unix:";

	(void)state;
	snprintf(unix_block, 108, "/run/client");
	snprintf(unix_block + 108, 108, "/run/server");
	for (size_t i = 0; i < ARRAY_LEN(extras); i++) {
		size_t len = v2(data, 0x21, 0x11, v4_block, 12, extras[i]);

		assert_header(data, len, PROXY_PROTOCOL_ADDRESSES, "192.0.2.1:56324", "192.0.2.2:443");
		len = v2(data, 0x21, 0x21, v6_block, 36, extras[i]);
		assert_header(data, len, PROXY_PROTOCOL_ADDRESSES, "[2001:db8::1]:1", "[::1]:2");
		len = v2(data, 0x21, 0x31, unix_block, 216, extras[i]);
		assert_header(data, len, PROXY_PROTOCOL_ADDRESSES, "unix:/run/client", "unix:/run/server");
		len = v2(data, 0x21, 0x00, "", 0, extras[i]);
		assert_header(data, len, PROXY_PROTOCOL_LOCAL, "none", "none");
		len = v2(data, 0x20, 0x11, v4_block, 12, extras[i]);
		assert_header(data, len, PROXY_PROTOCOL_LOCAL, "none", "none");
		len = v2(data, 0x20, 0x00, "", 0, extras[i]);
		assert_header(data, len, PROXY_PROTOCOL_LOCAL, "none", "none");
	}
	memset(unix_block, 'u', 108);
	memset(unix_block + 108, 0, 108);
	memset(full + 5, 'u', 108);
	assert_header(data, v2(data, 0x21, 0x31, unix_block, 216, 0), PROXY_PROTOCOL_ADDRESSES, full,
		      "unix:");
}

static void version_2_headers_that_break_the_grammar_are_refused(void **state)
{
	static const struct {
		unsigned char command, family;
		size_t len;
	} rows[] = {
		{ 0x22, 0x11, 12 }, { 0x11, 0x11, 12 }, { 0x31, 0x11, 12 }, { 0x2f, 0x00, 0 },
		{ 0x00, 0x00, 0 },  { 0x21, 0x11, 11 }, { 0x21, 0x11, 0 },  { 0x21, 0x21, 35 },
		{ 0x21, 0x31, 36 }, { 0x21, 0x12, 12 }, { 0x21, 0x22, 36 }, { 0x21, 0x10, 12 },
		{ 0x21, 0x41, 36 }, { 0x21, 0x01, 36 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct proxy_protocol header = { .len = 77 };
		char data[128];
		size_t len = v2(data, rows[i].command, rows[i].family, v6_block, rows[i].len, 0);

		if (parse(data, len, &header) != PROXY_PROTOCOL_BAD)
			fail_msg("row %zu not refused", i);
		assert_int_equal(header.len, 77);
	}
}

static void version_2_is_at_most_536_bytes_long(void **state)
{
	struct proxy_protocol header;
	char data[1024];
	size_t len = v2(data, 0x21, 0x11, v4_block, 12, 536 - 16 - 12);

	(void)state;
	assert_int_equal(len, 536);
	assert_header(data, len, PROXY_PROTOCOL_ADDRESSES, "192.0.2.1:56324", "192.0.2.2:443");
	v2(data, 0x21, 0x11, v4_block, 12, 536 - 16 - 12 + 1);
	assert_int_equal(parse(data, 16, &header), PROXY_PROTOCOL_TOO_LONG);
	v2(data, 0x20, 0x00, "", 0, 0);
	data[14] = data[15] = (char)0xff;
	assert_int_equal(parse(data, 16, &header), PROXY_PROTOCOL_TOO_LONG);
}

static void anything_else_is_absent_at_the_first_byte_that_differs(void **state)
{
	static const struct {
		const char *data;
		size_t len;
	} rows[] = {
		{ "GET / HTTP/1.1\r\n", 1 },
		{ "PRI * HTTP/2.0", 3 },
		{ "PROXY\t", 6 },
		{ "PROXY\r\n", 6 },
		{ "\r\nGET", 3 },
		{ "\r\n\r\n\r", 5 },
		{ "\r\n\r\n\0\r\nQUIT\r", 12 },
		{ "proxy ", 1 },
		{ "\x16\x03\x01", 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct proxy_protocol header;

		assert_int_equal(parse(rows[i].data, rows[i].len - 1, &header), PROXY_PROTOCOL_MORE);
		if (parse(rows[i].data, rows[i].len, &header) != PROXY_PROTOCOL_ABSENT)
			fail_msg("row %zu not absent", i);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(version_1_lines_are_read),
		cmocka_unit_test(version_1_lines_that_break_the_grammar_are_refused),
		cmocka_unit_test(version_1_ends_within_107_bytes),
		cmocka_unit_test(version_2_headers_are_read_and_tlvs_skipped),
		cmocka_unit_test(version_2_headers_that_break_the_grammar_are_refused),
		cmocka_unit_test(version_2_is_at_most_536_bytes_long),
		cmocka_unit_test(anything_else_is_absent_at_the_first_byte_that_differs),
	};

	return cmocka_run_group_tests(tests, guard_make, guard_drop);
}
