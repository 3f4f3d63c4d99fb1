/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/precedence.h"

static const char *win_reason(const struct attachment *winner, const struct attachment *loser)
{
	if (winner->is_foreign != loser->is_foreign)
		return "is in the namespace of the gateway";
	return winner->policy->created_s != loser->policy->created_s ? "is older" : "comes first by key";
}

static void tie_warn(struct config_report *report, const struct attachment *winner, struct attachment *loser)
{
	if (loser->is_tied)
		return;
	loser->is_tied = true;
	attachment_warn(report, loser->policy,
			"has no effect where policy %s sets the same at the same level: that one %s; "
			"keep only one of them",
			QUOTE(winner->policy->key), win_reason(winner, loser));
}

void precedence_enter(struct precedence *precedence, struct attachment *attachment, enum policy_level level,
		   struct config_report *report)
{
	struct precedence_winner *winner = &precedence->of[attachment->policy->value.kind];

	if (level == LEVEL_NONE)
		return;
	attachment->policy->is_attached = true;
	if (winner->attachment == attachment || level < winner->level)
		return;
	if (level == winner->level && winner->attachment) {
		if (attachment_compare(winner->attachment, attachment) < 0) {
			tie_warn(report, winner->attachment, attachment);
			return;
		}
		tie_warn(report, attachment, winner->attachment);
	}
	*winner = (struct precedence_winner){ attachment->policy->value.object, level, attachment };
}

void precedence_enter_inline(struct precedence *precedence, const struct policy_values *values,
			  enum policy_level level)
{
	for (uint32_t i = 0; i < values->value_count; i++) {
		const struct policy_value *value = &values->value_list[i];
		struct precedence_winner *winner = &precedence->of[value->kind];

		if (level > winner->level)
			*winner = (struct precedence_winner){ value->object, level, NULL };
	}
}

const void *precedence_stronger(const struct precedence *a, const struct precedence *b, enum policy_kind kind)
{
	return a->of[kind].level >= b->of[kind].level ? a->of[kind].object : b->of[kind].object;
}
