/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/attach.h"

/*
 * The contest between policies of one kind for one object (a bind, a rule, a backend reference): every
 * candidate is entered with its level, in any order, and the strongest one remains as it is: members that it
 * does not set are not taken from a weaker one.
 */
struct contest_winner {
	const void *object; /* borrowed; NULL: none yet */
	enum policy_level level;
	struct attachment *attachment; /* NULL: inline */
};

struct contest {
	struct contest_winner of[POLICY_KIND_COUNT];
};

/*
 * Enters an attached policy. Among equals attachment_compare() decides and the loser is warned about, once
 * for each policy. LEVEL_NONE does nothing; any other level marks the policy as attached.
 */
void contest_enter(struct contest *contest, struct attachment *attachment, enum policy_level level,
		   struct config_report *report);
/* Enters values written in place; of two of one kind the first counts. */
void contest_enter_inline(struct contest *contest, const struct policy_values *values,
			  enum policy_level level);
static inline const void *contest_object(const struct contest *contest, enum policy_kind kind)
{
	return contest->of[kind].object;
}
/* The stronger of two for one kind; NULL when neither has any. */
const void *contest_stronger(const struct contest *a, const struct contest *b, enum policy_kind kind);
