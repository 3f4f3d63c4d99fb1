/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/guard.h"

#include <string.h>

#include "user/base/limits.h"
#include "user/net/proxy_header.h"

static struct guard guard;

/* The state of the tests is their row. */
static int make(void **state)
{
	(void)state;
	guard_init(&guard, LIMIT_PROXY_HEADER_BYTES + 64);
	return 0;
}

static int drop(void **state)
{
	(void)state;
	guard_done(&guard);
	return 0;
}
TEST_GROUP(make, drop);

#define BOTH (PROXY_HEADER_V1 | PROXY_HEADER_V2)
#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V2(text) SPAN(SIGNATURE text)
/* clang-format off */
#define B(text) { text, sizeof(text) - 1 } /* SPAN() in a table */
/* clang-format on */
#define V4_BLOCK "\xc0\x00\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb"
#define V6_BLOCK                                                                                             \
	"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\xdc\x04\x01\xbb"

static enum proxy_header_result parse(struct span bytes, unsigned versions, struct proxy_header *header)
{
	return proxy_header_parse(span_of(guard_end(&guard, bytes.data, bytes.len), bytes.len), versions,
				  header);
}

static void assert_text(const struct address *address, const char *want)
{
	struct text text;

	text_init(&text);
	address_format(address, &text);
	if (!span_eq(text_span(&text), span_str(want)))
		fail_msg("%.*s, not %s", SPAN_FMT(text_span(&text)), want);
	text_done(&text);
}

/* ---- what is accepted ---- */

struct accepted {
	const char *name;
	struct span bytes;
	const char *source, *destination; /* NULL: none */
};

/* clang-format off */
static struct accepted accepted[] = {
	{ "TCP4", B("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"),
	  "192.0.2.1:56324", "198.51.100.2:443" },
	{ "TCP4 with the longest texts",
	  B("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"),
	  "255.255.255.255:65535", "255.255.255.255:65535" },
	{ "TCP4 with ports 0", B("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n"), "0.0.0.0:0", "0.0.0.0:0" },
	{ "TCP6", B("PROXY TCP6 2001:db8::1 2001:DB8::2 56324 443\r\n"),
	  "[2001:db8::1]:56324", "[2001:db8::2]:443" },
	{ "UNKNOWN alone", B("PROXY UNKNOWN\r\n"), NULL, NULL },
	{ "UNKNOWN with addresses", B("PROXY UNKNOWN ::1 ::1 1 2\r\n"), NULL, NULL },
	{ "UNKNOWN with anything", B("PROXY UNKNOWN \0\xff  x\r\n"), NULL, NULL },
	{ "TCP over IPv4", B(SIGNATURE "\x21\x11\0\x0c" V4_BLOCK), "192.0.2.1:56324", "198.51.100.2:443" },
	{ "TCP over IPv6", B(SIGNATURE "\x21\x21\0\x24" V6_BLOCK),
	  "[2001:db8::1]:56324", "[2001:db8::2]:443" },
	{ "TCP over IPv4 with TLVs", B(SIGNATURE "\x21\x11\0\x11" V4_BLOCK "\x01\0\x02h2"),
	  "192.0.2.1:56324", "198.51.100.2:443" },
	{ "TLVs that are none", B(SIGNATURE "\x21\x11\0\x0e" V4_BLOCK "\xff\xff"),
	  "192.0.2.1:56324", "198.51.100.2:443" },
	{ "LOCAL", B(SIGNATURE "\x20\0\0\0"), NULL, NULL },
	{ "LOCAL with addresses", B(SIGNATURE "\x20\x11\0\x0c" V4_BLOCK), NULL, NULL },
	{ "LOCAL with a family that does not exist", B(SIGNATURE "\x20\xff\0\0"), NULL, NULL },
	{ "an unspecified family", B(SIGNATURE "\x21\0\0\x03" "abc"), NULL, NULL },
	{ "an unspecified transport", B(SIGNATURE "\x21\x10\0\0"), NULL, NULL },
	{ "UDP over IPv4", B(SIGNATURE "\x21\x12\0\x0c" V4_BLOCK), NULL, NULL },
	{ "UDP over IPv6", B(SIGNATURE "\x21\x22\0\x24" V6_BLOCK), NULL, NULL },
};
/* clang-format on */

/* Every prefix says MORE, what follows is left, and no byte outside is touched. */
static void assert_accepted(struct span bytes, const char *source, const char *destination)
{
	struct proxy_header header;
	char followed[LIMIT_PROXY_HEADER_BYTES + 16];

	for (size_t len = 0; len < bytes.len; len++)
		assert_int_equal(parse(span_first(bytes, len), BOTH, &header), PROXY_HEADER_MORE);
	for (int i = 0; i < 2; i++) {
		memcpy(followed, bytes.data, bytes.len);
		memcpy(followed + bytes.len, "PROXY TCP4 \r\n", 13);
		assert_int_equal(parse(span_of(followed, bytes.len + (i ? 13 : 0)), BOTH, &header),
				 PROXY_HEADER_DONE);
		assert_int_equal(header.bytes, bytes.len);
		assert_int_equal(header.has_addresses, source != NULL);
		if (source) {
			assert_text(&header.source, source);
			assert_text(&header.destination, destination);
		}
	}
}

static void a_header_is_read_whole(void **state)
{
	const struct accepted *row = *state;

	assert_accepted(row->bytes, row->source, row->destination);
}
TEST_ROWS(a_header_is_read_whole, accepted);

/* Both names have 108 bytes, and TCP has no such address. */
TEST(unix_sockets_announce_nothing)
{
	char bytes[16 + 216] = SIGNATURE "\x21\x31\0\xd8";

	assert_accepted(span_of(bytes, sizeof(bytes)), NULL, NULL);
	bytes[13] = '\x32';
	assert_accepted(span_of(bytes, sizeof(bytes)), NULL, NULL);
}

TEST(a_header_may_be_as_long_as_its_limit_and_no_longer)
{
	char bytes[LIMIT_PROXY_HEADER_BYTES] = SIGNATURE "\x21\x11";
	struct proxy_header header;
	unsigned block_bytes = LIMIT_PROXY_HEADER_BYTES - 16;

	memcpy(bytes + 16, V4_BLOCK, 12);
	bytes[14] = (char)(block_bytes >> 8);
	bytes[15] = (char)block_bytes;
	assert_accepted(span_of(bytes, sizeof(bytes)), "192.0.2.1:56324", "198.51.100.2:443");
	block_bytes++;
	bytes[14] = (char)(block_bytes >> 8);
	bytes[15] = (char)block_bytes;
	assert_int_equal(parse(span_of(bytes, 15), BOTH, &header), PROXY_HEADER_MORE);
	assert_int_equal(parse(span_of(bytes, 16), BOTH, &header), PROXY_HEADER_BAD);
}

/* ---- what is refused ---- */

struct refused {
	const char *name;
	struct span bytes;
	size_t known_at; /* how many of them are needed to see it; 0: all */
};

/* clang-format off */
static struct refused refused[] = {
	{ "LF without CR", B("PROXY UNKNOWN\n"), 0 },
	{ "CR without LF", B("PROXY UNKNOWN\rx"), 0 },
	{ "CR CR LF", B("PROXY UNKNOWN\r\r\n"), 15 },
	{ "another protocol", B("PROXY TCP5 1.1.1.1 2.2.2.2 1 2\r\n"), 0 },
	{ "lower case", B("PROXY tcp4 1.1.1.1 2.2.2.2 1 2\r\n"), 0 },
	{ "no protocol", B("PROXY \r\n"), 0 },
	{ "UNKNOWN and more letters", B("PROXY UNKNOWNS\r\n"), 0 },
	{ "TCP4 alone", B("PROXY TCP4\r\n"), 0 },
	{ "one port", B("PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n"), 0 },
	{ "three ports", B("PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n"), 0 },
	{ "a space at the end", B("PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n"), 0 },
	{ "two spaces", B("PROXY TCP4  1.1.1.1 2.2.2.2 1 2\r\n"), 0 },
	{ "a tab", B("PROXY TCP4\t1.1.1.1 2.2.2.2 1 2\r\n"), 0 },
	{ "IPv6 in TCP4", B("PROXY TCP4 ::1 ::2 1 2\r\n"), 0 },
	{ "IPv4 in TCP6", B("PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n"), 0 },
	{ "two families", B("PROXY TCP6 ::1 2.2.2.2 1 2\r\n"), 0 },
	{ "a leading zero in an address", B("PROXY TCP4 01.1.1.1 2.2.2.2 1 2\r\n"), 0 },
	{ "three numbers", B("PROXY TCP4 1.1.1 2.2.2.2 1 2\r\n"), 0 },
	{ "a number over 255", B("PROXY TCP4 1.1.1.256 2.2.2.2 1 2\r\n"), 0 },
	{ "a zone", B("PROXY TCP6 fe80::1%lo ::2 1 2\r\n"), 0 },
	{ "a leading zero in a port", B("PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n"), 0 },
	{ "a port over 65535", B("PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n"), 0 },
	{ "a negative port", B("PROXY TCP4 1.1.1.1 2.2.2.2 -1 2\r\n"), 0 },
	{ "an empty port", B("PROXY TCP4 1.1.1.1 2.2.2.2 1 \r\n"), 0 },
	{ "a NUL in an address", B("PROXY TCP4 1.1.1.1\0 2.2.2.2 1 2\r\n"), 0 },
	{ "version 1 in the binary form", B(SIGNATURE "\x11\x11\0\x0c" V4_BLOCK), 13 },
	{ "version 3", B(SIGNATURE "\x31\x11\0\x0c" V4_BLOCK), 13 },
	{ "another command", B(SIGNATURE "\x22\x11\0\x0c" V4_BLOCK), 13 },
	{ "another family", B(SIGNATURE "\x21\x41\0\0"), 0 },
	{ "another transport", B(SIGNATURE "\x21\x13\0\x0c" V4_BLOCK), 0 },
	{ "IPv4 that is too short", B(SIGNATURE "\x21\x11\0\x0b" V4_BLOCK), 27 },
	{ "IPv6 that is too short", B(SIGNATURE "\x21\x21\0\x23" V6_BLOCK), 51 },
	{ "UDP that is too short", B(SIGNATURE "\x21\x12\0\x0b" V4_BLOCK), 27 },
	{ "Unix sockets that are too short", B(SIGNATURE "\x21\x31\0\x0c" V4_BLOCK), 0 },
};
/* clang-format on */

static void a_header_that_is_not_valid_is_refused(void **state)
{
	const struct refused *row = *state;
	size_t known_at = row->known_at ? row->known_at : row->bytes.len;
	struct proxy_header header;

	for (size_t len = 0; len <= row->bytes.len; len++) {
		enum proxy_header_result want = len < known_at ? PROXY_HEADER_MORE : PROXY_HEADER_BAD;

		assert_int_equal(parse(span_first(row->bytes, len), BOTH, &header), want);
		assert_int_equal(header.fault != NULL, want == PROXY_HEADER_BAD);
		assert_false(header.has_addresses);
	}
}
TEST_ROWS(a_header_that_is_not_valid_is_refused, refused);

TEST(a_line_has_at_most_107_bytes)
{
	char bytes[109] = "PROXY UNKNOWN ";
	struct proxy_header header;

	memset(bytes + 14, 'x', sizeof(bytes) - 14);
	memcpy(bytes + 105, "\r\n", 2);
	assert_accepted(span_of(bytes, 107), NULL, NULL);
	memcpy(bytes + 105, "x\r\n", 3);
	assert_int_equal(parse(span_of(bytes, 106), BOTH, &header), PROXY_HEADER_MORE);
	assert_int_equal(parse(span_of(bytes, 107), BOTH, &header), PROXY_HEADER_BAD);
	assert_int_equal(parse(span_of(bytes, 108), BOTH, &header), PROXY_HEADER_BAD);
}

/* ---- what is no header ---- */

struct other {
	const char *name;
	struct span bytes;
	size_t known_at;
};

static struct other others[] = {
	{ "a request", B("GET / HTTP/1.1\r\n"), 1 },
	{ "a request with a similar method", B("PROXYING / HTTP/1.1\r\n"), 6 },
	{ "a request behind an empty line", B("\r\nGET / HTTP/1.1\r\n"), 3 },
	{ "the preface of HTTP/2", B("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 3 },
	{ "a ClientHello", B("\x16\x03\x01\x02\0\x01\0"), 1 },
};

static void other_bytes_are_no_header(void **state)
{
	const struct other *row = *state;
	struct proxy_header header;

	for (size_t len = 0; len <= row->bytes.len; len++)
		assert_int_equal(parse(span_first(row->bytes, len), BOTH, &header),
				 len < row->known_at ? PROXY_HEADER_MORE : PROXY_HEADER_NONE);
}
TEST_ROWS(other_bytes_are_no_header, others);

TEST(only_the_configured_versions_are_accepted)
{
	struct span v1 = SPAN("PROXY UNKNOWN\r\n"), v2 = V2("\x20\0\0\0");
	struct proxy_header header;

	assert_int_equal(parse(v1, PROXY_HEADER_V1, &header), PROXY_HEADER_DONE);
	assert_int_equal(parse(v2, PROXY_HEADER_V2, &header), PROXY_HEADER_DONE);
	assert_int_equal(parse(span_first(v1, 5), PROXY_HEADER_V2, &header), PROXY_HEADER_MORE);
	assert_int_equal(parse(span_first(v1, 6), PROXY_HEADER_V2, &header), PROXY_HEADER_BAD);
	assert_int_equal(parse(span_first(v2, 12), PROXY_HEADER_V1, &header), PROXY_HEADER_BAD);
	assert_non_null(header.fault);
}

/* ---- what is written ---- */

struct written {
	const char *name;
	const char *source, *destination; /* NULL: not known */
	struct proxy_announcement announcement; /* without addresses */
	struct span want;
	const char *want_source, *want_destination; /* as our own reader reads them; NULL: none */
};

#define CLIENT(number) .version = PROXY_HEADER_V##number, .has_client = true
#define FOUR "192.0.2.1:56324", "198.51.100.2:443"
#define SIX "[2001:db8::1]:56324", "[2001:db8::2]:443"
/* clang-format off */
#define TLS13 .tls_version = B("TLSv1.3"), .tls_cipher = B("TLS_X")
#define TLS13_TLVS "\x21\0\x07TLSv1.3\x23\0\x05TLS_X"

static struct written written[] = {
	{ "TCP4", FOUR, { CLIENT(1) }, B("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"), FOUR },
	{ "TCP6", SIX, { CLIENT(1) }, B("PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n"), SIX },
	{ "the longest line",
	  "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
	  "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
	  { CLIENT(1) },
	  B("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
	    "65535 65535\r\n"),
	  "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
	  "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535" },
	{ "two families in version 1", "192.0.2.1:1", "[2001:db8::2]:2", { CLIENT(1) },
	  B("PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 1 2\r\n"), "[::ffff:192.0.2.1]:1", "[2001:db8::2]:2" },
	{ "no client in version 1", FOUR, { .version = PROXY_HEADER_V1 },
	  B("PROXY UNKNOWN\r\n"), NULL, NULL },
	{ "a Unix socket in version 1", "unix:/run/a", "unix:/run/b", { CLIENT(1) }, B("PROXY UNKNOWN\r\n"),
	  NULL, NULL },
	{ "version 1 announces no TLS", FOUR, { CLIENT(1), TLS13, .authority = B("a.example") },
	  B("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"), FOUR },
	{ "IPv4", FOUR, { CLIENT(2) }, B(SIGNATURE "\x21\x11\0\x0c" V4_BLOCK), FOUR },
	{ "IPv6", SIX, { CLIENT(2) }, B(SIGNATURE "\x21\x21\0\x24" V6_BLOCK), SIX },
	{ "two families", "[2001:db8::1]:56324", "192.0.2.2:443", { CLIENT(2) },
	  B(SIGNATURE "\x21\x21\0\x24" "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
	    "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\x02\x02" "\xdc\x04\x01\xbb"),
	  "[2001:db8::1]:56324", "[::ffff:192.0.2.2]:443" },
	{ "no client", FOUR, { .version = PROXY_HEADER_V2, .authority = B("a"), TLS13 },
	  B(SIGNATURE "\x20\0\0\0"), NULL, NULL },
	{ "a Unix socket", "unix:/run/a", "unix:/run/b", { CLIENT(2) },
	  B(SIGNATURE "\x21\0\0\0"), NULL, NULL },
	{ "an unknown destination", "192.0.2.1:1", NULL, { CLIENT(2), .authority = B("a.b") },
	  B(SIGNATURE "\x21\0\0\x06\x02\0\x03" "a.b"), NULL, NULL },
	{ "a server name that is passed through", FOUR, { CLIENT(2), .authority = B("a.example") },
	  B(SIGNATURE "\x21\x11\0\x18" V4_BLOCK "\x02\0\x09" "a.example"), FOUR },
	{ "TLS without a certificate", FOUR,
	  { CLIENT(2), TLS13, .alpn = B("h2"), .authority = B("a.example") },
	  B(SIGNATURE "\x21\x11\0\x37" V4_BLOCK "\x01\0\x02h2\x02\0\x09" "a.example\x20\0\x17"
	    "\x01\0\0\0\x01" TLS13_TLVS), FOUR },
	{ "a certificate that was verified", FOUR,
	  { CLIENT(2), TLS13, .has_certificate = true, .is_verified = true, .common_name = B("me") },
	  B(SIGNATURE "\x21\x11\0\x2b" V4_BLOCK "\x20\0\x1c" "\x07\0\0\0\0" TLS13_TLVS
	    "\x22\0\x02me"), FOUR },
	{ "a certificate of an earlier connection", FOUR,
	  { CLIENT(2), TLS13, .has_certificate = true, .is_verified = true, .is_resumed = true },
	  B(SIGNATURE "\x21\x11\0\x26" V4_BLOCK "\x20\0\x17" "\x05\0\0\0\0" TLS13_TLVS), FOUR },
	{ "a certificate that was not verified has no name", FOUR,
	  { CLIENT(2), TLS13, .has_certificate = true, .common_name = B("me") },
	  B(SIGNATURE "\x21\x11\0\x26" V4_BLOCK "\x20\0\x17" "\x07\0\0\0\x01" TLS13_TLVS), FOUR },
};
/* clang-format on */

static void set_address(const char *text, struct address *ret_address)
{
	*ret_address = (struct address){ 0 };
	if (text)
		assert_int_equal(address_parse(span_str(text), ret_address), 0);
}

static void a_header_is_written_as_our_own_reader_reads_it(void **state)
{
	const struct written *row = *state;
	struct proxy_announcement announcement = row->announcement;
	char out[PROXY_HEADER_OUT_BYTES];
	size_t len;

	set_address(row->source, &announcement.source);
	set_address(row->destination, &announcement.destination);
	len = proxy_header_write(&announcement, out);
	assert_int_equal(len, row->want.len);
	assert_memory_equal(out, row->want.data, len);
	assert_accepted(span_of(out, len), row->want_source, row->want_destination);
}
TEST_ROWS(a_header_is_written_as_our_own_reader_reads_it, written);

TEST(the_longest_header_fits_and_longer_texts_are_left_out)
{
	static char texts[PROXY_TEXT_BYTES + 1];
	struct span longest = span_of(texts, PROXY_TEXT_BYTES), longer = span_of(texts, PROXY_TEXT_BYTES + 1);
	struct proxy_announcement announcement = { CLIENT(2),
						   .alpn = longest,
						   .authority = longest,
						   .tls_version = longest,
						   .tls_cipher = longest,
						   .common_name = longest,
						   .has_certificate = true,
						   .is_verified = true };
	char *out = guard_end(&guard, "", 0) - PROXY_HEADER_OUT_BYTES;

	set_address("[2001:db8::1]:1", &announcement.source);
	set_address("[2001:db8::2]:2", &announcement.destination);
	assert_int_equal(proxy_header_write(&announcement, out), PROXY_HEADER_OUT_BYTES);
	announcement.authority = longer;
	assert_int_equal(proxy_header_write(&announcement, out),
			 PROXY_HEADER_OUT_BYTES - 3 - PROXY_TEXT_BYTES);
}
