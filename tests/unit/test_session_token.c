/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/alloc.h"
#include "tests/lib/test.h"
#include "user/auth/session_token.h"
#include "user/base/check.h"

#include <errno.h>

#define DIGITS "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F"

static const struct session_token some = { .endpoint = 0x0123456789abcdef,
					   .issued_s = 1700000000,
					   .used_s = 1700000100 };

static struct session_key key_of(const char *digits)
{
	struct session_key key = { 0 };

	assert_true(session_key_parse(span_str(digits), &key));
	return key;
}

TEST(a_key_is_64_hexadecimal_digits)
{
	static const char *const wrong[] = { "", "00", (DIGITS "0"), ("g" DIGITS) };
	struct session_key key = key_of(DIGITS);

	assert_true(key.is_configured);
	for (int i = 0; i < SESSION_KEY_BYTES; i++)
		assert_int_equal(key.bytes[i], i);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_false(session_key_parse(span_first(span_str(wrong[i]), 64 + (i == 2)), &key));
}

TEST(a_key_without_configuration_is_random)
{
	struct session_key *a = session_key_create(NULL), *b = session_key_create(NULL),
			   *copy = session_key_create(a);

	assert_true(a && b && copy);
	assert_false(a->is_configured);
	assert_memory_not_equal(a->bytes, b->bytes, SESSION_KEY_BYTES);
	assert_memory_equal(a->bytes, copy->bytes, SESSION_KEY_BYTES);
	session_key_free(a);
	session_key_free(b);
	session_key_free(copy);
	session_key_free(NULL);
}

TEST(a_token_comes_back_and_keeps_its_form)
{
	struct session_key key = key_of(DIGITS);
	struct session_token token = { 0 };
	char text[SESSION_TOKEN_TEXT_BYTES];

	assert_int_equal(session_token_write(&key, SPAN("ns/route/0"), &some, text), 0);
	assert_int_equal(session_token_read(&key, SPAN("ns/route/0"), span_of(text, sizeof(text)), &token),
			 0);
	assert_true(token.endpoint == some.endpoint);
	assert_int_equal(token.issued_s, some.issued_s);
	assert_int_equal(token.used_s, some.used_s);
	/* Gateways of several releases share sessions: computed with Python's hmac. */
	assert_memory_equal(text, "AWVT8QBlU_FkASNFZ4mrze-rwfN03zGm3AS-C3ldgcTu", sizeof(text));
}

TEST(no_other_text_key_or_scope_is_valid)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/ ";
	struct session_key key = key_of(DIGITS), other = key;
	struct session_token token;
	char text[SESSION_TOKEN_TEXT_BYTES + 1] = "", changed[SESSION_TOKEN_TEXT_BYTES];

	other.bytes[31] ^= 1;
	assert_int_equal(session_token_write(&key, SPAN("a/b/0"), &some, text), 0);
	for (size_t len = 0; len <= sizeof(text); len++) {
		int want = len == SESSION_TOKEN_TEXT_BYTES ? 0 : -EBADMSG;

		assert_int_equal(session_token_read(&key, SPAN("a/b/0"), span_of(text, len), &token), want);
	}
	for (size_t at = 0; at < SESSION_TOKEN_TEXT_BYTES; at++) {
		memcpy(changed, text, sizeof(changed));
		for (size_t d = 0; d < sizeof(digits) - 1; d++) {
			changed[at] = digits[d];
			assert_int_equal(session_token_read(&key, SPAN("a/b/0"),
							    span_of(changed, sizeof(changed)), &token),
					 digits[d] == text[at] ? 0 : -EBADMSG);
		}
	}
	text[SESSION_TOKEN_TEXT_BYTES] = '\0';
	assert_int_equal(session_token_read(&other, SPAN("a/b/0"), span_str(text), &token), -EBADMSG);
	assert_int_equal(session_token_read(&key, SPAN("a/b/1"), span_str(text), &token), -EBADMSG);
}

TEST(the_name_of_an_endpoint_depends_on_key_backend_and_address)
{
	struct session_key key = key_of(DIGITS), other = key;
	uint64_t tags[5];

	other.bytes[0] ^= 1;
	assert_int_equal(session_endpoint_tag(&key, SPAN("b"), SPAN("10.0.0.1:80"), &tags[0]), 0);
	assert_int_equal(session_endpoint_tag(&key, SPAN("b"), SPAN("10.0.0.1:81"), &tags[1]), 0);
	assert_int_equal(session_endpoint_tag(&key, SPAN("c"), SPAN("10.0.0.1:80"), &tags[2]), 0);
	assert_int_equal(session_endpoint_tag(&key, SPAN("b1"), SPAN("0.0.0.1:80"), &tags[3]), 0);
	assert_int_equal(session_endpoint_tag(&other, SPAN("b"), SPAN("10.0.0.1:80"), &tags[4]), 0);
	for (size_t i = 0; i < ARRAY_LEN(tags); i++)
		for (size_t k = 0; k < i; k++)
			assert_true(tags[i] != tags[k]);
}
