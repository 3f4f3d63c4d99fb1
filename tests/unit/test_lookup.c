/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/net/lookup.h"

/* Names that need no name server; where the C library asks one all the same, it must not be waited for. */

TEST(localhost_and_names_below_it_always_have_a_loopback_address)
{
	static const char *const rows[] = { "localhost", "localhost.", "LocalHost", "a.localhost",
					    "a.b.localhost." };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct address list[LIMIT_ADDRESSES];
		struct address v4, v6;
		uint32_t count = 0;

		assert_int_equal(lookup_system(NULL, rows[i], list, LIMIT_ADDRESSES, &count), 0);
		assert_true(count >= 1);
		assert_int_equal(address_parse_ip(SPAN("127.0.0.0"), 0, &v4), 0);
		assert_int_equal(address_parse_ip(SPAN("::1"), 0, &v6), 0);
		for (uint32_t j = 0; j < count; j++)
			assert_true(address_in(&list[j], &v4, 8) || address_in(&list[j], &v6, 128));
	}
}

TEST(a_literal_is_its_own_answer)
{
	struct address list[2];
	uint32_t count = 0;

	assert_int_equal(lookup_system(NULL, "192.0.2.7", list, 2, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(list[0].len, sizeof(struct sockaddr_in));
	assert_int_equal(address_port(&list[0]), 0);
	assert_int_equal(lookup_system(NULL, "2001:db8::7", list, 2, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(list[0].len, sizeof(struct sockaddr_in6));
}

TEST(no_more_than_max_are_returned)
{
	struct address list[2] = { { .len = 0 }, { .len = 77 } };
	uint32_t count = 0;

	assert_int_equal(lookup_system(NULL, "localhost", list, 1, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(list[1].len, 77);
}

TEST(what_has_no_address_is_an_error_and_leaves_the_count_alone)
{
	static const char *const rows[] = { "a..b", "name with blanks" };
	struct address list[2];
	uint32_t count = 77;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int error = lookup_system(NULL, rows[i], list, 2, &count);

		assert_true(error == -ENOENT || error == -EAGAIN || error == -EIO);
		assert_int_equal(count, 77);
	}
}

TEST(errors_have_words)
{
	assert_string_equal(lookup_error_text(-ENOENT), "no such name, or it has no address");
	assert_string_equal(lookup_error_text(-EAGAIN), "no name server answered");
	assert_string_equal(lookup_error_text(-ENOMEM), "Cannot allocate memory");
}

static int be_hasty(void **state)
{
	(void)state;
	return setenv("RES_OPTIONS", "timeout:1 attempts:1", 1);
}

TEST_GROUP(be_hasty, NULL);
