/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "user/base/end_reason.h"

static void every_reason_has_words_of_its_own(void **state)
{
	(void)state;
	for (int i = 0; i < END_REASON_COUNT; i++) {
		const char *text = end_reason_text((enum end_reason)i);

		assert_int_equal(strspn(text, "abcdefghijklmnopqrstuvwxyz_"), strlen(text));
		assert_true(strlen(text) > 0);
		assert_true(strlen(end_reason_explanation((enum end_reason)i)) > 10);
		for (int j = 0; j < i; j++)
			assert_string_not_equal(text, end_reason_text((enum end_reason)j));
	}
}

static void timers_of_ours_are_exactly_the_class_timeout(void **state)
{
	(void)state;
	for (int i = 0; i < END_REASON_COUNT; i++) {
		enum end_reason reason = (enum end_reason)i;

		assert_int_equal(end_reason_is_timer(reason),
				 strcmp(end_reason_class(reason), "Timeout") == 0);
	}
	assert_false(end_reason_is_timer(END_USER_TIMEOUT));
	assert_true(end_reason_is_timer(END_CONNECT_TIMEOUT));
}

static void classes_are_the_documented_ones(void **state)
{
	static const char *const classes[] = { "Upstream",	 "DirectResponse", "UpstreamFailure",
					       "InvalidRequest", "NotFound",	   "NoHealthyBackend",
					       "Internal",	 "Timeout" };

	(void)state;
	for (int i = 0; i < END_REASON_COUNT; i++) {
		int known = 0;

		for (size_t j = 0; j < sizeof(classes) / sizeof(classes[0]); j++)
			known += strcmp(end_reason_class((enum end_reason)i), classes[j]) == 0;
		assert_int_equal(known, 1);
	}
	assert_string_equal(end_reason_text(END_OK), "ok");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_reason_has_words_of_its_own),
		cmocka_unit_test(timers_of_ours_are_exactly_the_class_timeout),
		cmocka_unit_test(classes_are_the_documented_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
