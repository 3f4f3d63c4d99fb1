/* SPDX-License-Identifier: Apache-2.0 */
#include "user/base/end_reason.h"

static const struct {
	const char *text;
	const char *class;
	const char *explanation;
	bool is_timer;
} end_reasons[] = {
#define END_REASON(id, text, timer, class, explanation) { text, class, explanation, timer },
#include "user/base/end_reasons.def"
#undef END_REASON
};

const char *end_reason_text(enum end_reason reason)
{
	return end_reasons[reason].text;
}

const char *end_reason_class(enum end_reason reason)
{
	return end_reasons[reason].class;
}

const char *end_reason_explanation(enum end_reason reason)
{
	return end_reasons[reason].explanation;
}

bool end_reason_is_timer(enum end_reason reason)
{
	return end_reasons[reason].is_timer;
}
