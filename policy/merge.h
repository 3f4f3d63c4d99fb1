/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/attach.h"

/*
 * Several policies of one kind on one object at one level: members that only one of them writes all apply,
 * and of those that two write the stronger policy's counts (attachment_compare()). Kinds whose members do not
 * stand alone are not merged: a retry policy, a header modifier, a redirect are one thing each.
 */
enum { MERGE_FIELDS_MAX = 16 };

/* What two or more policies have become. */
struct merge {
	void *object;
	struct attachment *owner[MERGE_FIELDS_MAX]; /* who wrote each member; NULL: nobody */
};

/* Policies of this kind can be merged. */
bool merge_is_possible(enum policy_kind kind);
/* The beginning, of the object of one policy. NULL: no memory. */
struct merge *merge_begin(struct attachment *attachment);
/*
 * Takes another policy in. Every member that two of them write is noted at the policy that loses it
 * (targeted_policy.lost_list), unless both say the same. 0 or -ENOMEM.
 */
int merge_add(struct merge *merge, struct attachment *other);
bool merge_has(const struct merge *merge, const struct attachment *attachment); /* a member of that one */
/* The policy that gave all there is, `otherwise` when nobody gave anything; NULL: several did. */
const struct attachment *merge_sole_owner(const struct merge *merge, const struct attachment *otherwise);
