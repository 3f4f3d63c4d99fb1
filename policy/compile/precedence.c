/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/compile/precedence.h"

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
	loser->policy->lost_to = winner->policy->key;
	attachment_warn(report, loser->policy,
			"has no effect where policy %s sets the same at the same level: that one %s; "
			"keep only one of them",
			QUOTE(winner->policy->key), win_reason(winner, loser));
}

/* Warns that some members of a policy lost; its others apply. */
static void loss_warn(struct config_report *report, const struct attachment *winner, struct attachment *loser)
{
	const struct targeted_policy *policy = loser->policy;
	struct text names;

	if (loser->is_tied)
		return;
	loser->is_tied = true;
	text_init(&names);
	for (uint32_t i = 0; i < policy->lost_count; i++) {
		text_str(&names, i ? ", " : "");
		text_add(&names, policy->lost_list[i]);
	}
	attachment_warn(report, policy,
			"sets %.*s without effect where policy %s does at the same level: that one %s; "
			"the rest of it is merged with the other; keep each in only one of them",
			SPAN_FMT(text_span(&names)), QUOTE(policy->lost_to), win_reason(winner, loser));
	text_done(&names);
}

static void merge_tie(struct precedence_winner *winner, struct attachment *added,
		      struct config_report *report)
{
	bool is_weaker = attachment_compare(winner->attachment, added) < 0;
	struct attachment *stronger = is_weaker ? winner->attachment : added;
	struct attachment *weaker = is_weaker ? added : winner->attachment;
	const struct attachment *sole;

	if (!winner->merge)
		winner->merge = merge_begin(winner->attachment);
	if (!winner->merge || merge_add(winner->merge, added) < 0) {
		report->failed = true;
		return;
	}
	sole = merge_sole_owner(winner->merge, stronger);
	winner->object = sole ? sole->policy->value.object : winner->merge->object;
	winner->attachment = stronger;
	if (!merge_has(winner->merge, weaker))
		tie_warn(report, stronger, weaker);
	else if (weaker->policy->lost_count)
		loss_warn(report, stronger, weaker);
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
		if (merge_is_possible(attachment->policy->value.kind)) {
			merge_tie(winner, attachment, report);
			return;
		}
		if (attachment_compare(winner->attachment, attachment) < 0) {
			tie_warn(report, winner->attachment, attachment);
			return;
		}
		tie_warn(report, attachment, winner->attachment);
	}
	*winner = (struct precedence_winner){ attachment->policy->value.object, level, attachment, NULL };
}

void precedence_enter_inline(struct precedence *precedence, const struct policy_values *values,
			     enum policy_level level)
{
	for (uint32_t i = 0; i < values->value_count; i++) {
		const struct policy_value *value = &values->value_list[i];
		struct precedence_winner *winner = &precedence->of[value->kind];

		if (level > winner->level)
			*winner = (struct precedence_winner){ value->object, level, NULL, NULL };
	}
}

const void *precedence_stronger(const struct precedence *a, const struct precedence *b, enum policy_kind kind)
{
	return a->of[kind].level >= b->of[kind].level ? a->of[kind].object : b->of[kind].object;
}

void precedence_inherit(struct precedence *precedence)
{
	for (unsigned kind = 0; kind < POLICY_KIND_COUNT; kind++) {
		struct precedence_winner *winner = &precedence->of[kind];

		if (winner->level > LEVEL_PARENT)
			winner->level = LEVEL_PARENT;
	}
}
