/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Why an endpoint was chosen. */
enum choice_reason {
#define CHOICE_REASON(id, word) CHOICE_##id,
#include "user/base/choice_reasons.def"
#undef CHOICE_REASON
	CHOICE_REASON_COUNT,
};

const char *choice_reason_word(enum choice_reason reason);
