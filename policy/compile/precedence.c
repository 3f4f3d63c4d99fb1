/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/compile/precedence.h"

const char *precedence_win_reason(const struct attachment *winner, const struct attachment *loser)
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
			QUOTE(winner->policy->key), precedence_win_reason(winner, loser));
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
			SPAN_FMT(text_span(&names)), QUOTE(policy->lost_to),
			precedence_win_reason(winner, loser));
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

static bool is_kept(const struct precedence *precedence, const struct precedence_candidate *candidate)
{
	for (const struct precedence_candidate *at = precedence->candidate_list; at; at = at->next)
		if (at->object == candidate->object && at->level == candidate->level)
			return true;
	return false;
}

static void keep(struct precedence *precedence, const struct precedence_candidate *candidate)
{
	struct precedence_candidate *kept;

	if (!precedence->candidate_arena || is_kept(precedence, candidate))
		return;
	kept = arena_take(precedence->candidate_arena, sizeof(*kept));
	if (!kept) {
		precedence->lacks_memory = true;
		return;
	}
	*kept = *candidate;
	kept->next = precedence->candidate_list;
	precedence->candidate_list = kept;
}

bool precedence_counts(const struct precedence *precedence, const struct precedence_candidate *candidate)
{
	const struct precedence_winner *winner = &precedence->of[candidate->kind];

	if (precedence_adds_up(candidate->kind) || winner->object == candidate->object)
		return true;
	return winner->merge && candidate->attachment && merge_has(winner->merge, candidate->attachment);
}

static bool is_added(const struct precedence *precedence, const void *object)
{
	for (uint32_t i = 0; i < precedence->added_count; i++)
		if (precedence->added[i].object == object)
			return true;
	return false;
}

/* False: there are too many. */
static bool add(struct precedence *precedence, enum policy_kind kind, const void *object)
{
	if (is_added(precedence, object))
		return true;
	if (precedence->added_count == PRECEDENCE_ADDED) {
		precedence->is_full = true;
		return false;
	}
	precedence->added[precedence->added_count++] = (struct precedence_added){ kind, object };
	return true;
}

/* The winner only names the policy in messages. */
static void enter_added(struct precedence *precedence, struct attachment *attachment, enum policy_level level,
			struct config_report *report)
{
	const struct policy_value *value = &attachment->policy->value;
	struct precedence_winner *winner = &precedence->of[value->kind];

	if (!add(precedence, value->kind, value->object))
		config_message_at(report, CONFIG_ERROR, attachment->policy->where,
				  "more than %d policies of this kind apply to one route; join some of them",
				  PRECEDENCE_ADDED);
	if (level >= winner->level)
		*winner = (struct precedence_winner){ value->object, level, attachment, NULL };
}

void precedence_enter(struct precedence *precedence, struct attachment *attachment, enum policy_level level,
		      struct config_report *report)
{
	struct precedence_winner *winner = &precedence->of[attachment->policy->value.kind];

	if (level == LEVEL_NONE)
		return;
	attachment->policy->is_attached = true;
	keep(precedence, &(struct precedence_candidate){ .kind = attachment->policy->value.kind,
							 .level = level,
							 .object = attachment->policy->value.object,
							 .attachment = attachment,
							 .where = attachment->policy->where });
	if (precedence_adds_up(attachment->policy->value.kind)) {
		enter_added(precedence, attachment, level, report);
		return;
	}
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

bool precedence_enter_inline(struct precedence *precedence, const struct policy_values *values,
			     enum policy_level level, struct span where)
{
	bool has_room = true;

	for (uint32_t i = 0; i < values->value_count; i++) {
		const struct policy_value *value = &values->value_list[i];
		struct precedence_winner *winner = &precedence->of[value->kind];

		keep(precedence,
		     &(struct precedence_candidate){
			     .kind = value->kind, .level = level, .object = value->object, .where = where });
		if (precedence_adds_up(value->kind))
			has_room &= add(precedence, value->kind, value->object);
		if (level > winner->level)
			*winner = (struct precedence_winner){ value->object, level, NULL, NULL };
	}
	return has_room;
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
