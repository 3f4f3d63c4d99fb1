/* SPDX-License-Identifier: Apache-2.0 */

#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/guard.h"
#include "tests/lib/test.h"
#include "tests/unit/hello.h"
#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/net/sni.h"

static struct bytes stream;
static struct bytes extensions;

static enum sni_result feed(struct sni_parser *parser, const void *data, size_t len)
{
	sni_init(parser);
	return sni_feed(parser, span_of(data, len));
}

static void assert_name(const struct sni_parser *parser, const char *want)
{
	struct span name = sni_name(parser);

	assert_int_equal(name.len, strlen(want));
	assert_memory_equal(name.data, want, name.len);
}

static void assert_bad(const struct bytes *b, enum sni_reason reason)
{
	struct sni_parser parser;
	enum sni_result result = feed(&parser, b->data, b->len);

	if (result != SNI_BAD || parser.reason != reason)
		fail_msg("result %d, reason %d, not %d", result, parser.reason, reason);
	assert_int_equal(sni_name(&parser).len, 0);
}

/* Every prefix says MORE, every split point gives the same, and no byte outside is touched. */
static void assert_incremental(const struct bytes *b, const char *name)
{
	enum sni_result want = name ? SNI_FOUND : SNI_NONE;
	struct sni_parser parser;
	struct guard guard;

	guard_init(&guard, b->len);
	for (size_t len = 0; len < b->len; len++) {
		const char *prefix = guard_end(&guard, b->data, len);

		assert_int_equal(feed(&parser, prefix, len), SNI_MORE);
		assert_int_equal(sni_name(&parser).len, 0);
		assert_int_equal(sni_feed(&parser, span_of(b->data + len, b->len - len)), want);
		assert_name(&parser, name ? name : "");
	}
	sni_init(&parser);
	for (size_t at = 0; at < b->len; at++) {
		assert_int_equal(parser.result, SNI_MORE);
		sni_feed(&parser, span_of(guard_start(&guard, b->data + at, 1), 1));
	}
	assert_int_equal(parser.result, want);
	assert_int_equal(memcmp(guard_end(&guard, b->data, b->len), b->data, b->len), 0);
	guard_done(&guard);
}

/* ---- the tests ---- */

TEST(the_name_is_found_at_every_cut)
{
	static const char *const names[] = { "a", "example.com", "a-b_c.d.example", "xn--bcher-kva.example",
					     "1.2.3.4" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		hello_named(&stream, names[i], "h2,http/1.1");
		assert_incremental(&stream, names[i]);
	}
}

TEST(a_hello_without_a_name_is_complete_as_well)
{
	hello_named(&stream, NULL, "h2");
	assert_incremental(&stream, NULL);
	hello_of(&stream, NULL);
	assert_incremental(&stream, NULL);
	extensions.len = 0;
	hello_of(&stream, &extensions);
	assert_incremental(&stream, NULL);
}

TEST(a_hello_written_by_openssl_is_read)
{
	static const char hex[] =
		"16030100b5010000b10303359109a9b64e306fe5c5e83c756238dcb32b4e1ccd983ca57bd13bd8e3e841ec0000"
		"1ec02cc030c02bc02fcca9cca8c024c028c023c027009f009e006b006700ff0100006a00000014001200000f61"
		"2e622e6578616d706c652e6f7267000b000403000102000a000c000a001d0017001e0019001800230000001600"
		"0000170000000d002a0028040305030603080708080809080a080b080408050806040105010601030303010302"
		"040205020602";

	stream.len = 0;
	for (const char *at = hex; *at; at += 2) {
		const char pair[3] = { at[0], at[1], '\0' };

		put_number(&stream, (uint32_t)strtoul(pair, NULL, 16), 1);
	}
	assert_incremental(&stream, "a.b.example.org");
}

TEST(records_may_be_cut_anywhere)
{
	static struct bytes message;

	extensions.len = 0;
	put_server_name(&extensions, SPAN("www.example.com"));
	put_alpn(&extensions, "h2");
	message.len = 0;
	put_message(&message, &extensions);
	for (size_t most = 1; most <= message.len; most++) {
		struct sni_parser parser;

		stream.len = 0;
		put_records(&stream, &message, most);
		assert_int_equal(feed(&parser, stream.data, stream.len), SNI_FOUND);
		assert_name(&parser, "www.example.com");
		assert_int_equal(feed(&parser, stream.data, stream.len - 1), SNI_MORE);
		sni_init(&parser);
		for (size_t at = 0; at < stream.len; at++)
			sni_feed(&parser, span_of(stream.data + at, 1));
		assert_int_equal(parser.result, SNI_FOUND);
		assert_name(&parser, "www.example.com");
	}
}

TEST(the_name_is_lower_case)
{
	struct sni_parser parser;

	hello_named(&stream, "WWW.Example.COM", NULL);
	assert_int_equal(feed(&parser, stream.data, stream.len), SNI_FOUND);
	assert_name(&parser, "www.example.com");
}

TEST(what_follows_the_hello_is_not_looked_at)
{
	struct sni_parser parser;
	size_t len;

	hello_named(&stream, "a.example", NULL);
	len = stream.len;
	put(&stream, "\xff\xff\xff garbage", 11);
	assert_int_equal(feed(&parser, stream.data, stream.len), SNI_FOUND);
	assert_true(parser.total_bytes == len);
	assert_int_equal(sni_feed(&parser, SPAN("more")), SNI_FOUND);
	assert_name(&parser, "a.example");
	put_number(&stream, 0, 1);
	sni_init(&parser);
	assert_int_equal(sni_feed(&parser, SPAN("x")), SNI_BAD);
	assert_int_equal(sni_feed(&parser, span_of(stream.data, stream.len)), SNI_BAD);
}

TEST(names_no_host_can_have_are_refused)
{
	static const char *const names[] = {
		".a",
		"a.",
		"a..b",
		".",
		"a b",
		"a/b",
		"a:1",
		"a\x7f",
		"\xc3\xa4.example",
		"a,b",
		"*.a",
		"a\n",
		"[::1]",
		"a.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.c",
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		hello_named(&stream, names[i], NULL);
		assert_bad(&stream, SNI_REASON_NAME_BYTES);
	}
	extensions.len = 0;
	put_server_name(&extensions, SPAN("a\0b"));
	hello_of(&stream, &extensions);
	assert_bad(&stream, SNI_REASON_NAME_BYTES);
	extensions.len = 0;
	put_server_name(&extensions, SPAN(""));
	hello_of(&stream, &extensions);
	assert_bad(&stream, SNI_REASON_NAME_BYTES);
}

TEST(names_are_at_most_253_bytes_long)
{
	struct sni_parser parser;
	char name[255];

	for (size_t i = 0; i < sizeof(name); i++)
		name[i] = i % 50 == 49 ? '.' : 'n';
	name[253] = '\0';
	hello_named(&stream, name, NULL);
	assert_int_equal(feed(&parser, stream.data, stream.len), SNI_FOUND);
	assert_name(&parser, name);
	name[253] = 'n';
	name[254] = '\0';
	hello_named(&stream, name, NULL);
	assert_bad(&stream, SNI_REASON_NAME_BYTES);
}

TEST(what_is_not_tls_is_told_at_the_first_wrong_byte)
{
	static const struct {
		const char *data;
		size_t len;
		enum sni_reason reason;
	} rows[] = {
		{ "GET / HTTP/1.1\r\n", 1, SNI_REASON_NOT_TLS },
		{ "\x15\x03\x01\x00\x02\x01\x00", 1, SNI_REASON_NOT_TLS },
		{ "\x16\x02\x01", 2, SNI_REASON_NOT_TLS },
		{ "\x16\xfe\xff", 2, SNI_REASON_NOT_TLS },
		{ "\x80\x2e\x01\x03\x01", 3, SNI_REASON_SSLV2 },
		{ "\x80\x2e\x02", 3, SNI_REASON_NOT_TLS },
		{ "\xff\xff\xff", 3, SNI_REASON_NOT_TLS },
		{ "\x16\x03\x01\x00\x00", 5, SNI_REASON_RECORD },
		{ "\x16\x03\x01\x40\x01", 5, SNI_REASON_RECORD },
		{ "\x16\x03\x01\xff\xff", 5, SNI_REASON_RECORD },
		{ "\x16\x03\x01\x00\x01\x01\x17\x03\x03", 7, SNI_REASON_RECORD },
		{ "\x16\x03\x01\x00\x01\x01\x80", 7, SNI_REASON_RECORD },
		{ "\x16\x03\x01\x00\x01\x01\x16\x02", 8, SNI_REASON_RECORD },
		{ "\x16\x03\x01\x00\x04\x02\x00\x00\x10", 9, SNI_REASON_NOT_HELLO },
		{ "\x16\x03\x01\x00\x06\x01\x00\x00\x50\x02\x00", 11, SNI_REASON_NOT_HELLO },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct sni_parser parser;

		assert_int_equal(feed(&parser, rows[i].data, rows[i].len - 1), SNI_MORE);
		assert_int_equal(feed(&parser, rows[i].data, rows[i].len), SNI_BAD);
		if (parser.reason != rows[i].reason)
			fail_msg("row %zu: reason %d", i, parser.reason);
	}
}

/* Where the lengths of a hello lie, counted from the first byte of the stream. */
TEST(a_length_that_lies_is_never_believed)
{
	static const struct {
		size_t at;
		unsigned int size;
		const char *what;
	} lengths[] = {
		{ 6, 3, "message" },	   { 43, 1, "session" },    { 48, 2, "ciphers" },
		{ 54, 1, "compressions" }, { 56, 2, "extensions" }, { 60, 2, "name extension" },
		{ 62, 2, "name list" },	   { 65, 2, "name" },
	};
	static const uint32_t values[] = { 0, 1, 2, 3, 5, 33, 254, 255, 256, 16383, 65535, 0xffffff };

	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		uint32_t right = 0;

		extensions.len = 0;
		put_server_name(&extensions, SPAN("www.example.com"));
		hello_of(&stream, &extensions);
		for (unsigned int j = 0; j < lengths[i].size; j++)
			right = right << 8 | stream.data[lengths[i].at + j];
		for (size_t k = 0; k < ARRAY_LEN(values); k++) {
			uint32_t value = values[k] & ((1u << 8 * lengths[i].size) - 1);
			struct sni_parser parser;

			if (value == right)
				continue;
			for (unsigned int j = 0; j < lengths[i].size; j++)
				stream.data[lengths[i].at + j] =
					(unsigned char)(value >> 8 * (lengths[i].size - 1 - j));
			if (feed(&parser, stream.data, stream.len) == SNI_FOUND)
				fail_msg("%s length %u instead of %u was believed", lengths[i].what, value,
					 right);
		}
	}
}

TEST(a_session_has_at_most_32_bytes)
{
	static struct bytes message;
	struct sni_parser parser;

	extensions.len = 0;
	put_server_name(&extensions, SPAN("a.example"));
	for (uint32_t len = 0; len < 40; len++) {
		message.len = 0;
		stream.len = 0;
		put_message_with_session(&message, len, &extensions);
		put_records(&stream, &message, 1 << 14);
		assert_int_equal(feed(&parser, stream.data, stream.len), len <= 32 ? SNI_FOUND : SNI_BAD);
	}
}

TEST(extensions_fill_the_message_and_lists_their_extension)
{
	static struct bytes message;
	size_t begin;

	/* One byte behind the extensions. */
	extensions.len = 0;
	put_server_name(&extensions, SPAN("a.example"));
	message.len = 0;
	put_message(&message, &extensions);
	put_number(&message, 0, 1);
	put_end(&message, 4, 3);
	stream.len = 0;
	put_records(&stream, &message, 1 << 14);
	assert_bad(&stream, SNI_REASON_LENGTHS);

	/* One byte behind the list of names, inside the extension. */
	extensions.len = 0;
	put_server_name(&extensions, SPAN("a.example"));
	put_number(&extensions, 0, 1);
	begin = 4;
	put_end(&extensions, begin, 2);
	hello_of(&stream, &extensions);
	assert_bad(&stream, SNI_REASON_LENGTHS);

	/* A list of names without a name; an extension of one byte; one longer than the rest. */
	extensions.len = 0;
	put(&extensions, "\0\0\0\2\0\0", 6);
	hello_of(&stream, &extensions);
	assert_bad(&stream, SNI_REASON_LENGTHS);
	extensions.len = 0;
	put(&extensions, "\0\0\0\1\0", 5);
	hello_of(&stream, &extensions);
	assert_bad(&stream, SNI_REASON_LENGTHS);
	extensions.len = 0;
	put(&extensions, "\0\0\0\3\0\1\0", 7);
	hello_of(&stream, &extensions);
	assert_bad(&stream, SNI_REASON_LENGTHS);
	extensions.len = 0;
	put(&extensions, "\0\x2b\0\2\0", 5);
	hello_of(&stream, &extensions);
	assert_bad(&stream, SNI_REASON_LENGTHS);
	extensions.len = 0;
	put(&extensions, "\0\x2b\0", 3);
	hello_of(&stream, &extensions);
	assert_bad(&stream, SNI_REASON_LENGTHS);
}

TEST(nothing_appears_twice_and_only_hosts_are_named)
{
	extensions.len = 0;
	put_server_name(&extensions, SPAN("a.example"));
	put_server_name(&extensions, SPAN("b.example"));
	hello_of(&stream, &extensions);
	assert_bad(&stream, SNI_REASON_DUPLICATE);

	/* Two names in one list, then a name of type 1. */
	extensions.len = 0;
	put(&extensions, "\0\0\0\xa\0\x8\0\0\1a\0\0\1b", 14);
	hello_of(&stream, &extensions);
	assert_bad(&stream, SNI_REASON_DUPLICATE);
	extensions.len = 0;
	put(&extensions, "\0\0\0\6\0\4\1\0\1a", 10);
	hello_of(&stream, &extensions);
	assert_bad(&stream, SNI_REASON_NAME_TYPE);
}

TEST(a_hello_larger_than_the_limit_is_refused_as_soon_as_it_says_so)
{
	struct sni_parser parser;
	static struct bytes message;
	size_t around;

	extensions.len = 0;
	put_server_name(&extensions, SPAN("a.example"));
	hello_of(&stream, &extensions);
	around = stream.len + 4;
	extensions.len = 0;
	put_padding(&extensions, (uint32_t)(LIMIT_CLIENT_HELLO_BYTES - around));
	put_server_name(&extensions, SPAN("a.example"));
	hello_of(&stream, &extensions);
	assert_int_equal(stream.len, LIMIT_CLIENT_HELLO_BYTES);
	assert_int_equal(feed(&parser, stream.data, stream.len), SNI_FOUND);

	extensions.len = 0;
	put_padding(&extensions, (uint32_t)(LIMIT_CLIENT_HELLO_BYTES - around + 1));
	put_server_name(&extensions, SPAN("a.example"));
	hello_of(&stream, &extensions);
	assert_int_equal(feed(&parser, stream.data, 8), SNI_MORE);
	assert_int_equal(feed(&parser, stream.data, 9), SNI_BAD);
	assert_int_equal(parser.reason, SNI_REASON_TOO_LARGE);

	/* Record headers count: a message within the limit in records of one byte is not. */
	extensions.len = 0;
	put_padding(&extensions, 6000);
	put_server_name(&extensions, SPAN("a.example"));
	message.len = 0;
	put_message(&message, &extensions);
	stream.len = 0;
	put_records(&stream, &message, 1);
	assert_int_equal(feed(&parser, stream.data, stream.len), SNI_BAD);
	assert_int_equal(parser.reason, SNI_REASON_TOO_LARGE);
	assert_int_equal(parser.total_bytes, LIMIT_CLIENT_HELLO_BYTES);
}

TEST(every_single_byte_change_gives_a_result_and_no_crash)
{
	struct guard guard;

	hello_named(&stream, "www.example.com", "h2");
	guard_init(&guard, stream.len);
	for (size_t at = 0; at < stream.len; at++) {
		for (unsigned int flip = 1; flip < 256; flip++) {
			char *copy = guard_end(&guard, stream.data, stream.len);
			struct sni_parser whole, single;

			copy[at] = (char)(copy[at] ^ (char)flip);
			feed(&whole, copy, stream.len);
			sni_init(&single);
			for (size_t i = 0; i < stream.len; i++)
				sni_feed(&single, span_of(copy + i, 1));
			assert_int_equal(whole.result, single.result);
			assert_int_equal(whole.reason, single.reason);
			assert_true(span_eq(sni_name(&whole), sni_name(&single)));
		}
	}
	guard_done(&guard);
}
