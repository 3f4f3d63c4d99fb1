/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/compile/attach.h"

/*
 * Merges several policies of one kind on one object at one level: members that only one of them sets all
 * apply, and if two set a member, that of the stronger policy wins (attachment_compare()). Kinds whose
 * members depend on each other are not merged, such as a retry policy, a header modifier or a redirect.
 */
enum { MERGE_FIELDS_MAX = 16 };

/* The result of merging two or more policies. */
struct merge {
	void *object;
	struct attachment *owner[MERGE_FIELDS_MAX]; /* the policy that set each member; NULL: none */
};

/* True if policies of this kind can be merged. */
bool merge_is_possible(enum policy_kind kind);
/* Starts with the object of one policy. NULL without memory. */
struct merge *merge_begin(struct attachment *attachment);
/*
 * Adds another policy. If both set a member, notes it at the policy that loses it
 * (targeted_policy.lost_list), unless the values are equal. 0 or -ENOMEM.
 */
int merge_add(struct merge *merge, struct attachment *other);
bool merge_has(const struct merge *merge, const struct attachment *attachment); /* true if it set a member */
/* Returns the policy that set all members, `otherwise` if none is set, NULL if several policies did. */
const struct attachment *merge_sole_owner(const struct merge *merge, const struct attachment *otherwise);
