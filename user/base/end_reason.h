/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

enum end_reason {
#define END_REASON(id, text, timer, class, explanation) END_##id,
#include "user/base/end_reasons.def"
#undef END_REASON
	END_REASON_COUNT,
};

const char *end_reason_text(enum end_reason reason);
const char *end_reason_class(enum end_reason reason);
const char *end_reason_explanation(enum end_reason reason);
bool end_reason_is_timer(enum end_reason reason);
