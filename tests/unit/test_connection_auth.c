/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"
#include "tests/lib/test_arena.h"
#include "user/base/check.h"
#include "user/http/connection_auth.h"

TEST_ARENA(arena, 4096);

static bool is_sent(const char *name, const char *value)
{
	struct fields fields;

	fields_init(&fields, &arena);
	assert_int_equal(fields_add(&fields, SPAN("Authorization"), SPAN("Basic YTpi")), 0);
	assert_int_equal(fields_add(&fields, span_str(name), span_str(value)), 0);
	return connection_auth_is_sent(&fields);
}

TEST(credentials_of_a_connection_are_known_by_their_scheme)
{
	assert_true(is_sent("Authorization", "NTLM TlRMTVNTUAAB"));
	assert_true(is_sent("authorization", "ntlm x"));
	assert_true(is_sent("Authorization", "Negotiate YII="));
	assert_true(is_sent("Proxy-Authorization", "NEGOTIATE YII="));
	assert_true(is_sent("Authorization", "NTLM"));
	assert_false(is_sent("Authorization", "Bearer NTLM"));
	assert_false(is_sent("Authorization", "NTLMv2 x"));
	assert_false(is_sent("Authorization", ""));
	assert_false(is_sent("X-Authorization", "NTLM x"));
}

static bool is_asked(uint16_t status, const char *name, const char *value)
{
	struct response_head head = { .status = status };

	fields_init(&head.fields, &arena);
	assert_int_equal(fields_add(&head.fields, SPAN("WWW-Authenticate"), SPAN("Basic realm=x")), 0);
	assert_int_equal(fields_add(&head.fields, span_str(name), span_str(value)), 0);
	return connection_auth_is_asked(&head);
}

TEST(a_challenge_for_them_is_found_in_a_401_or_407_wherever_it_stands)
{
	assert_true(is_asked(401, "WWW-Authenticate", "NTLM"));
	assert_true(is_asked(401, "www-authenticate", "Basic realm=\"a, b\", negotiate"));
	assert_true(is_asked(401, "WWW-Authenticate", "Negotiate oYG2, NTLM"));
	assert_true(is_asked(407, "Proxy-Authenticate", "ntlm"));
	assert_false(is_asked(200, "WWW-Authenticate", "NTLM"));
	assert_false(is_asked(401, "WWW-Authenticate", "Bearer realm=\"ntlm\""));
	assert_false(is_asked(401, "WWW-Authenticate", ","));
	assert_false(is_asked(401, "X-Authenticate", "NTLM"));
}
