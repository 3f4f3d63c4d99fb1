/* SPDX-License-Identifier: Apache-2.0 */
#include "user/base/choice_reason.h"

static const char *const words[] = {
#define CHOICE_REASON(id, word) word,
#include "user/base/choice_reasons.def"
#undef CHOICE_REASON
};

const char *choice_reason_word(enum choice_reason reason)
{
	return words[reason];
}
