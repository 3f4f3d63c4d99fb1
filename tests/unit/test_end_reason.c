/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "tests/lib/test.h"
#include "user/base/end_reason.h"

TEST(every_reason_has_words_of_its_own)
{
	for (int i = 0; i < END_REASON_COUNT; i++) {
		const char *text = end_reason_text((enum end_reason)i);

		assert_int_equal(strspn(text, "abcdefghijklmnopqrstuvwxyz_"), strlen(text));
		assert_true(strlen(text) > 0);
		assert_true(strlen(end_reason_explanation((enum end_reason)i)) > 10);
		for (int j = 0; j < i; j++)
			assert_string_not_equal(text, end_reason_text((enum end_reason)j));
	}
}

TEST(timers_of_ours_are_exactly_the_class_timeout)
{
	for (int i = 0; i < END_REASON_COUNT; i++) {
		enum end_reason reason = (enum end_reason)i;

		assert_int_equal(end_reason_is_timer(reason),
				 strcmp(end_reason_class(reason), "Timeout") == 0);
	}
	assert_false(end_reason_is_timer(END_USER_TIMEOUT));
	assert_true(end_reason_is_timer(END_CONNECT_TIMEOUT));
}

TEST(classes_are_the_documented_ones)
{
	static const char *const classes[] = { "Upstream",	 "DirectResponse", "UpstreamFailure",
					       "InvalidRequest", "NotFound",	   "NoHealthyBackend",
					       "Internal",	 "Timeout",	   "JwtAuth",
					       "BasicAuth",	 "APIKeyAuth",	   "Authorization",
					       "RateLimit",	 "ExtAuth" };

	for (int i = 0; i < END_REASON_COUNT; i++) {
		int known = 0;

		for (size_t j = 0; j < sizeof(classes) / sizeof(classes[0]); j++)
			known += strcmp(end_reason_class((enum end_reason)i), classes[j]) == 0;
		assert_int_equal(known, 1);
	}
	assert_string_equal(end_reason_text(END_OK), "ok");
}
