/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/expression/expression_node.h"

/* One evaluation: its steps, its memory, and what values are to each other. */
struct evaluation {
	const struct expression_facts *facts;
	uint32_t steps_left;
	bool gave_up;
	struct expression_value locals[LIMIT_EXPRESSION_LOCALS];
};

static const struct expression_value expression_no_value = { .type = EXPRESSION_NONE };

struct expression_value run_give_up(struct evaluation *e);
/* False: none of so many steps is left, and the evaluation has given up. */
static inline bool run_steps(struct evaluation *e, size_t steps)
{
	if (e->gave_up || steps > e->steps_left) {
		e->gave_up = true;
		return false;
	}
	e->steps_left -= (uint32_t)steps;
	return true;
}
/* For work that grows with a text. */
bool run_bytes(struct evaluation *e, size_t bytes);
static inline char *run_scratch_bytes(struct expression_scratch *scratch)
{
	return scratch->large ? scratch->large : scratch->own;
}
static inline size_t run_scratch_size(const struct expression_scratch *scratch)
{
	return scratch->large ? scratch->large_bytes : sizeof(scratch->own);
}
/*
 * For all parts of a value, each as often as it occurs: one list may be several items of another, so that
 * whoever copies a small value, or writes it out, may need far more time and memory than it has.
 */
bool run_parts(struct evaluation *e, const struct expression_value *value);
/* Scratch memory for bytes, for values, or for members; NULL: it is full, and the evaluation has given up. */
char *run_take_bytes(struct evaluation *e, size_t size);
struct expression_value *run_take_values(struct evaluation *e, size_t count);
struct expression_member *run_take_members(struct evaluation *e, size_t count);
/* The memory that was taken last shrinks to what was used of it. */
void run_keep_bytes(struct evaluation *e, const char *taken, size_t used);

/* A boolean, number, duration, time or address as text; NONE for others. */
struct expression_value run_text(struct evaluation *e, struct expression_value value);
/* Any value but headers as JSON: a text in quotes. */
struct expression_value run_json(struct evaluation *e, struct expression_value value);
/* The value if it is in the set, an address as text or a text as address if that is; else NONE. */
struct expression_value run_as(struct evaluation *e, struct expression_value value, uint32_t set);

/* Values of different types differ, but whole and decimal numbers can be equal, and texts be addresses. */
bool run_equal(struct evaluation *e, struct expression_value a, struct expression_value b);
/* Negative, 0, positive in *ret_order; false if these have no order: different types, NaN. */
bool run_order(struct expression_value a, struct expression_value b, int *ret_order);
