/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "user/base/end_reason.h"
#include "user/http/head.h"

/*
 * A guard decides about one request from its head and from facts that the caller knows, and adds fields to
 * every response that the request gets, whoever makes it. guards.def has all guards in their order.
 */

/* What a guard knows besides its policy. */
struct guard_facts {
	const struct request_head *head; /* as received; its path is normalized */
	struct span scheme; /* of the client's connection, or what a trusted proxy says: http or https */
};

enum guard_verdict {
	GUARD_PASS,
	GUARD_ANSWER, /* the guard answers what was asked: no refusal */
	GUARD_REFUSE,
	GUARD_WAIT, /* not known yet: asked again when the stream gets STEP_GUARD */
};

struct guard_answer {
	/*
	 * In and out, for every response: each replaces fields of its name, or removes them if its value is
	 * empty; `vary` is added to what the response names itself. Its arena is that of the request.
	 */
	struct fields fields;
	/* With GUARD_ANSWER and GUARD_REFUSE. */
	uint16_t status;
	struct span body;
};

enum guard_phase {
	GUARD_PHASE_GATEWAY = 1,
	GUARD_PHASE_ROUTE = 2,
};

struct guard_kind {
	const char *name; /* as in the dump */
	enum policy_kind kind;
	unsigned phases; /* enum guard_phase */
	enum end_reason reason; /* of a refusal */
	/* A verdict; an error, such as -ENOMEM, refuses the request with 500. */
	int (*check)(const void *object, const struct guard_facts *facts, struct guard_answer *answer);
};

enum guard_id {
#define GUARD(id, name, kind, phases, reason, function) GUARD_##id,
#include "policy/guard/guards.def"
#undef GUARD
	GUARD_COUNT,
};

extern const struct guard_kind guard_kinds[GUARD_COUNT]; /* in the order in which they decide */

const struct guard_kind *guard_kind_of(enum policy_kind kind); /* NULL: policies of this kind guard nothing */

/* Puts the fields of the guards into a response, as struct guard_answer describes. 0 or -ENOMEM. */
int guard_apply(const struct fields *from, struct fields *response);
