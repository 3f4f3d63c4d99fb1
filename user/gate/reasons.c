/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gate/reasons.h"

#include "user/base/check.h"

static const struct {
	const char *text;
	const char *explanation;
	bool is_poison;
} rows[] = {
#define GATE_REASON(id, text, is_poison, explanation) { text, explanation, is_poison },
#include "bpf/gate_reasons.def"
#undef GATE_REASON
};

const char *gate_reason_text(enum gate_reason reason)
{
	CHECK((unsigned int)reason < ARRAY_LEN(rows));
	return rows[reason].text;
}

const char *gate_reason_explanation(enum gate_reason reason)
{
	CHECK((unsigned int)reason < ARRAY_LEN(rows));
	return rows[reason].explanation;
}

bool gate_reason_is_poison(enum gate_reason reason)
{
	CHECK((unsigned int)reason < ARRAY_LEN(rows));
	return rows[reason].is_poison;
}
