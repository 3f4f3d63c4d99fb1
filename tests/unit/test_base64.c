/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "tests/lib/test.h"
#include "user/base/base64.h"
#include "user/base/check.h"

TEST(base64_is_read_as_it_is_written_in_secrets)
{
	static const struct {
		const char *text;
		const char *bytes; /* NULL: refused */
	} rows[] = {
		{ "", "" },
		{ "Zg==", "f" },
		{ "Zm8=", "fo" },
		{ "Zm9v", "foo" },
		{ "Zm9vYg==", "foob" },
		{ " Zm\n9v\r\n", "foo" },
		{ "+/+/", "\xfb\xff\xbf" },
		{ "Zg", NULL },
		{ "Zg=", NULL },
		{ "Z===", NULL },
		{ "====", NULL },
		{ "Zg==Zg==", NULL },
		{ "Zm9v=", NULL },
		{ "Zm-_", NULL },
		{ "Zg==a", NULL },
		{ "Zm8=b", NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char out[16];
		ssize_t len = base64_decode(span_str(rows[i].text), out);

		if (rows[i].bytes ? len != (ssize_t)strlen(rows[i].bytes) ||
					    memcmp(out, rows[i].bytes, (size_t)len) != 0
				  : len != -EINVAL)
			fail_msg("%s: %zd", rows[i].text, len);
	}
}

TEST(the_url_form_has_one_text_for_given_bytes)
{
	static const struct {
		const char *text;
		const char *bytes; /* NULL: refused */
	} rows[] = {
		{ "", "" },
		{ "Zg", "f" },
		{ "Zm8", "fo" },
		{ "Zm9v", "foo" },
		{ "-_-_", "\xfb\xff\xbf" },
		{ "Zm9vYmFy", "foobar" },
		{ "Z", NULL },
		{ "Zh", NULL },
		{ "Zm9", NULL },
		{ "Zm9vY", NULL },
		{ "Zg==", NULL },
		{ "Zm8=", NULL },
		{ "+/+/", NULL },
		{ " Zg", NULL },
		{ "Zm\n9v", NULL },
		{ "Zm9v\xc3", NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char out[16];
		ssize_t len = base64url_decode(span_str(rows[i].text), out);

		if (rows[i].bytes ? len != (ssize_t)strlen(rows[i].bytes) ||
					    memcmp(out, rows[i].bytes, (size_t)len) != 0
				  : len != -EINVAL)
			fail_msg("%s: %zd", rows[i].text, len);
	}
}

static void assert_encoded(struct span bytes, const char *want)
{
	char out[32];
	struct text text;

	text_borrow(&text, out, sizeof(out));
	base64_encode(&text, bytes);
	assert_int_equal(text_error(&text), 0);
	assert_string_equal(out, want);
}

TEST(bytes_are_written_with_their_padding)
{
	assert_encoded(SPAN("f"), "Zg==");
	assert_encoded(SPAN("fo"), "Zm8=");
	assert_encoded(SPAN("foo"), "Zm9v");
	assert_encoded(SPAN("foob"), "Zm9vYg==");
	assert_encoded(SPAN("the sample nonce"), "dGhlIHNhbXBsZSBub25jZQ=="); /* RFC 6455 1.3 */
	assert_encoded(SPAN("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10"),
		       "AQIDBAUGBwgJCgsMDQ4PEA=="); /* RFC 6455 4.1 */
	assert_encoded(SPAN("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
		       "/////////////////////w==");
}

/* Each of the 64 digits at a place of its own. */
TEST(every_digit_stands_for_its_six_bits)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (unsigned int value = 0; value < 64; value++) {
		char byte = (char)(value << 2), want[5] = { digits[value], 'A', '=', '=' };

		assert_encoded(span_of(&byte, 1), want);
	}
}

TEST(what_does_not_fit_is_a_failure)
{
	char out[8];
	struct text text;

	text_borrow(&text, out, sizeof(out));
	base64_encode(&text, SPAN("foofoo"));
	assert_true(text_error(&text) < 0);
}
