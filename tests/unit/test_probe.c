/* SPDX-License-Identifier: Apache-2.0 */
#include "user/kernel/common/probe.h"

#include "tests/lib/test.h"
#include "user/base/check.h"

TEST(reasons_have_separators_between_them_only)
{
	static const struct {
		const char *why;
		const char *reasons;
	} rows[] = {
		{ "", "" }, { "old; ", "old" }, { "old; no types; ", "old; no types" }, { "a;b", "a;b" }
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct text why;

		text_init(&why);
		text_str(&why, rows[i].why);
		assert_true(span_eq(probe_reasons(&why), span_str(rows[i].reasons)));
		text_done(&why);
	}
}
