/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "tests/lib/guard.h"
#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/net/address.h"

static struct address parsed(const char *text)
{
	struct address a;

	if (address_parse(span_str(text), &a) != 0)
		fail_msg("not accepted: %s", text);
	return a;
}

static struct address ip(const char *text)
{
	struct address a;

	if (address_parse_ip(span_str(text), 0, &a) != 0)
		fail_msg("not accepted: %s", text);
	return a;
}

static void assert_format(const struct address *a, const char *want)
{
	struct text out;

	text_init(&out);
	address_format(a, &out);
	assert_string_equal(out.data, want);
	text_done(&out);
}

static void assert_host(const struct address *a, const char *want)
{
	char out[ADDRESS_TEXT_BYTES];
	size_t len = address_host_text(a, out);

	assert_true(len <= sizeof(out));
	assert_int_equal(len, strlen(want));
	assert_memory_equal(out, want, len);
}

TEST(what_is_parsed_is_formatted_the_same)
{
	static const struct {
		const char *in, *out, *host;
		uint16_t port;
	} rows[] = {
		{ "1.2.3.4:80", "1.2.3.4:80", "1.2.3.4", 80 },
		{ "0.0.0.0:0", "0.0.0.0:0", "0.0.0.0", 0 },
		{ "255.255.255.255:65535", "255.255.255.255:65535", "255.255.255.255", 65535 },
		{ "[::1]:80", "[::1]:80", "::1", 80 },
		{ "[::]:1", "[::]:1", "::", 1 },
		{ "[2001:DB8:0::1]:443", "[2001:db8::1]:443", "2001:db8::1", 443 },
		{ "[::ffff:1.2.3.4]:5", "[::ffff:1.2.3.4]:5", "::ffff:1.2.3.4", 5 },
		{ "unix:/run/a.sock", "unix:/run/a.sock", "unix:/run/a.sock", 0 },
		{ "unix:rel", "unix:rel", "unix:rel", 0 },
		{ "unix:/a b", "unix:/a b", "unix:/a?b", 0 },
		{ "unix:/a\"\n", "unix:/a\\\"\\x0a", "unix:/a??", 0 },
	};
	struct guard guard;

	guard_init(&guard, 256);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t len = strlen(rows[i].in);
		struct address a;

		assert_int_equal(address_parse(span_of(guard_end(&guard, rows[i].in, len), len), &a), 0);
		assert_format(&a, rows[i].out);
		assert_host(&a, rows[i].host);
		assert_int_equal(address_port(&a), rows[i].port);
		assert_int_equal(address_is_unix(&a), strncmp(rows[i].in, "unix:", 5) == 0);
	}
	guard_done(&guard);
}

TEST(what_is_no_address_is_refused_and_leaves_the_output_alone)
{
	static const char *const rows[] = {
		"",
		":",
		":80",
		"1.2.3.4",
		"1.2.3.4:",
		"1.2.3.4:65536",
		"1.2.3.4:999999",
		"1.2.3.4:000080",
		"1.2.3.4:-1",
		"1.2.3.4:+1",
		"1.2.3.4:8 ",
		" 1.2.3.4:80",
		"1.2.3:80",
		"1.2.3.4.5:80",
		"1.2.3.256:80",
		"01.2.3.4:80",
		"::1:80",
		"::1",
		"[::1]",
		"[::1]80",
		"[::1]:",
		"[::1:80",
		"[1.2.3.4]:80",
		"[]:80",
		"[::1%lo]:80",
		"[::g]:80",
		"localhost:80",
		"example.com:80",
		"1.2.3.4:80:80",
		"unix:",
		"0x7f000001:80",
		"2130706433:80",
		"[1:2:3:4:5:6:7:8:9]:80",
		"[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc]:80",
	};
	static const char with_nul[] = "1.2.3.4\0:80";

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct address a = { .len = 77 };

		if (address_parse(span_str(rows[i]), &a) != -EINVAL)
			fail_msg("accepted: \"%s\"", rows[i]);
		assert_int_equal(a.len, 77);
	}
	assert_int_equal(address_parse(SPAN(with_nul), &(struct address){ .len = 0 }), -EINVAL);
}

TEST(an_ip_has_no_port_no_brackets_and_no_zone)
{
	static const char *const bad[] = { "",	   "1.2.3.4:80", "[::1]", "fe80::1%eth0",
					   "::1 ", "1",		 "a",	  "1.2.3.4\n" };
	struct address a;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (address_parse_ip(span_str(bad[i]), 1, &a) != -EINVAL)
			fail_msg("accepted: \"%s\"", bad[i]);
	}
	assert_int_equal(address_parse_ip(SPAN("::1"), 8080, &a), 0);
	assert_format(&a, "[::1]:8080");
	assert_int_equal(a.len, sizeof(struct sockaddr_in6));
	assert_int_equal(address_parse_ip(SPAN("9.8.7.6"), 8080, &a), 0);
	assert_format(&a, "9.8.7.6:8080");
	assert_int_equal(a.len, sizeof(struct sockaddr_in));
}

TEST(a_unix_path_fits_or_is_refused)
{
	char path[200];
	struct address a = { .len = 77 };

	memset(path, 'p', sizeof(path));
	assert_int_equal(address_set_unix(&a, span_of(path, 108)), -ENAMETOOLONG);
	assert_int_equal(address_set_unix(&a, span_of(path, 200)), -ENAMETOOLONG);
	assert_int_equal(address_set_unix(&a, span_of("", 0)), -EINVAL);
	assert_int_equal(address_set_unix(&a, span_of("a\0b", 3)), -EINVAL);
	assert_int_equal(a.len, 77);
	assert_int_equal(address_set_unix(&a, span_of(path, 107)), 0);
	assert_int_equal(a.un.sun_path[107], '\0');
	assert_int_equal(a.len, offsetof(struct sockaddr_un, sun_path) + 108);
}

TEST(unix_peers_of_any_kind_have_a_harmless_text)
{
	struct address unnamed = { .len = sizeof(sa_family_t), .un = { .sun_family = AF_UNIX } };
	struct address abstract = { .len = sizeof(sa_family_t) + 6, .un = { AF_UNIX, "\0a,\r\n;" } };
	struct address full = { .len = sizeof(struct sockaddr_un), .un = { .sun_family = AF_UNIX } };
	char want[200] = "unix:";

	assert_host(&unnamed, "unix:");
	assert_format(&unnamed, "unix:");
	assert_host(&abstract, "unix:@a????");
	assert_format(&abstract, "unix:@a,\\x0d\\x0a;");
	memset(full.un.sun_path, 'x', sizeof(full.un.sun_path));
	memset(want + 5, 'x', sizeof(full.un.sun_path));
	assert_host(&full, want);
}

TEST(no_address_is_no_crash)
{
	struct address none = { .len = 0 };

	assert_format(&none, "none");
	assert_host(&none, "");
	assert_int_equal(address_port(&none), 0);
	assert_false(address_is_unix(&none));
	assert_true(address_eq(&none, &none));
	assert_false(address_in(&none, &none, 0));
	address_unmap(&none);
	address_set_port(&none, 1);
	assert_int_equal(none.len, 0);
}

TEST(equality_and_hash_look_at_family_host_port_and_scope_only)
{
	static const char *const rows[] = { "1.2.3.4:80", "1.2.3.4:81",		 "1.2.3.5:80", "[::1]:80",
					    "[::2]:80",	  "[::ffff:1.2.3.4]:80", "unix:/a",    "unix:/b" };
	struct address a, b;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (size_t j = 0; j < ARRAY_LEN(rows); j++) {
			a = parsed(rows[i]);
			b = parsed(rows[j]);
			assert_int_equal(address_eq(&a, &b), i == j);
			assert_int_equal(address_hash(&a) == address_hash(&b), i == j);
		}
	}
	a = parsed("[fe80::1]:80");
	b = a;
	b.v6.sin6_flowinfo = 5;
	assert_true(address_eq(&a, &b));
	b.v6.sin6_scope_id = 2;
	assert_false(address_eq(&a, &b));
	a = parsed("unix:/a");
	b = a;
	b.len = sizeof(struct sockaddr_un);
	assert_true(address_eq(&a, &b));
	assert_int_equal(address_hash(&a), address_hash(&b));
}

TEST(a_mapped_address_becomes_ipv4_and_nothing_else_changes)
{
	static const struct {
		const char *in, *out;
	} rows[] = { { "[::ffff:1.2.3.4]:80", "1.2.3.4:80" },
		     { "1.2.3.4:80", "1.2.3.4:80" },
		     { "[::1]:80", "[::1]:80" },
		     { "[::1.2.3.4]:80", "[::1.2.3.4]:80" },
		     { "unix:/a", "unix:/a" } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct address a = parsed(rows[i].in);
		struct address want = parsed(rows[i].out);

		address_unmap(&a);
		assert_true(address_eq(&a, &want));
		assert_int_equal(a.len, want.len);
	}
}

TEST(any_and_port_are_set_in_place)
{
	struct address a;

	address_set_any(&a, false, 80);
	assert_format(&a, "0.0.0.0:80");
	address_set_any(&a, true, 80);
	assert_format(&a, "[::]:80");
	address_set_port(&a, 443);
	assert_format(&a, "[::]:443");
	a = parsed("unix:/a");
	address_set_port(&a, 443);
	assert_format(&a, "unix:/a");
}

TEST(an_address_is_in_a_network_exactly_when_the_prefix_bits_agree)
{
	static const struct {
		const char *address, *network;
		uint8_t bits;
		bool is_in;
	} rows[] = {
		{ "10.1.2.3", "10.0.0.0", 8, true },
		{ "11.1.2.3", "10.0.0.0", 8, false },
		{ "10.1.2.3", "10.1.2.3", 32, true },
		{ "10.1.2.2", "10.1.2.3", 32, false },
		{ "10.1.2.2", "10.1.2.3", 31, true },
		{ "10.1.2.129", "10.1.2.0", 25, false },
		{ "10.1.2.127", "10.1.2.0", 25, true },
		{ "200.1.2.3", "0.0.0.0", 0, true },
		{ "200.1.2.3", "128.0.0.0", 1, true },
		{ "100.1.2.3", "128.0.0.0", 1, false },
		{ "10.1.2.3", "10.1.2.3", 33, false },
		{ "::ffff:10.1.2.3", "10.0.0.0", 8, true },
		{ "10.1.2.3", "::ffff:10.0.0.0", 104, true },
		{ "11.1.2.3", "::ffff:10.0.0.0", 104, false },
		{ "10.1.2.3", "::ffff:0.0.0.0", 96, true },
		{ "2001:db8::1", "2001:db8::", 32, true },
		{ "2001:db9::1", "2001:db8::", 32, false },
		{ "2001:db8::1", "2001:db8::1", 128, true },
		{ "2001:db8::1", "2001:db8::", 128, false },
		{ "2001:db8::1", "::", 0, true },
		{ "10.1.2.3", "::", 0, false },
		{ "::1", "0.0.0.0", 0, false },
		{ "::1", "::1", 200, false },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct address a = ip(rows[i].address);
		struct address network = ip(rows[i].network);

		if (address_in(&a, &network, rows[i].bits) != rows[i].is_in)
			fail_msg("%s in %s/%u", rows[i].address, rows[i].network, rows[i].bits);
	}
}

TEST(a_unix_socket_is_in_no_network)
{
	struct address a = parsed("unix:/a");

	assert_false(address_in(&a, &a, 0));
}
