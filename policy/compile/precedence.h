/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/compile/merge.h"

/*
 * Precedence among policies of one kind for one object (a bind, a rule, a backend reference): every
 * candidate is entered with its level, in any order, and the strongest level remains, without members of
 * weaker ones. Policies of one level are merged if their kind allows it.
 */
struct precedence_winner {
	const void *object; /* borrowed; NULL: none yet */
	enum policy_level level;
	struct attachment *attachment; /* the strongest of its level; NULL: inline */
	struct merge *merge; /* NULL: a single policy */
};

/* Of kinds whose policies all count, instead of the strongest. */
enum { PRECEDENCE_ADDED = 32 };

/* One policy that was entered, whether it won or not. */
struct precedence_candidate {
	const struct precedence_candidate *next; /* entered before */
	enum policy_kind kind;
	enum policy_level level;
	const void *object; /* borrowed */
	const struct attachment *attachment; /* NULL: inline */
	struct span where; /* of the object with the inline value; may be empty */
};

struct precedence {
	struct precedence_winner of[POLICY_KIND_COUNT];
	struct precedence_added {
		enum policy_kind kind;
		const void *object; /* borrowed */
	} added[PRECEDENCE_ADDED];
	uint32_t added_count;
	/*
	 * For `headgate explain route`: a list of all candidates, shared with what a copy of this was made
	 * from. The arena is borrowed; NULL: none are kept.
	 */
	struct arena *candidate_arena;
	const struct precedence_candidate *candidate_list;
	bool lacks_memory; /* the list is not complete */
	bool is_full; /* there were more */
};

/* True if the policies of a kind add up over all levels: rules about who may do what. */
static inline bool precedence_adds_up(enum policy_kind kind)
{
	return kind == POLICY_AUTHORIZATION || kind == POLICY_MCP_AUTHORIZATION ||
	       kind == POLICY_NETWORK_AUTHORIZATION || kind == POLICY_BACKEND_AUTHORIZATION;
}

/*
 * Enters an attached policy. Within a level attachment_compare() decides, for each member if the kind can be
 * merged, and the loser causes a warning, once per policy. LEVEL_NONE does nothing; any other level marks
 * the policy as attached.
 */
void precedence_enter(struct precedence *precedence, struct attachment *attachment, enum policy_level level,
		      struct config_report *report);
/*
 * Enters inline values; of two of one kind the first one counts. `where` is that of their object. False: more
 * than PRECEDENCE_ADDED add up.
 */
bool precedence_enter_inline(struct precedence *precedence, const struct policy_values *values,
			     enum policy_level level, struct span where);
/* Why this policy wins against another one of its level, "is older". */
const char *precedence_win_reason(const struct attachment *winner, const struct attachment *loser);
/* True if the candidate wins, is a part of the merged winner, or is of a kind that adds up. */
bool precedence_counts(const struct precedence *precedence, const struct precedence_candidate *candidate);
static inline const void *precedence_object(const struct precedence *precedence, enum policy_kind kind)
{
	return precedence->of[kind].object;
}
/* What a route leaves to those that it delegates to: its own policies become weaker than theirs. */
void precedence_inherit(struct precedence *precedence);
/* Returns the stronger of two for one kind; NULL if neither has any. */
const void *precedence_stronger(const struct precedence *a, const struct precedence *b,
				enum policy_kind kind);
