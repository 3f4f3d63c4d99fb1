/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model_direct.h"

/* Part of config/model.h: changes of messages by expressions (policy/transform.h). */

/*
 * Of one message, in the order: metadata, replace, add, set, remove. Values of pairs are expressions, as
 * written. The body is made after the metadata, of the message as it was before.
 */
struct transform_side {
	bool is_set;
	/* Names in lower case; also :method, :path and :authority of requests, :status of responses. */
	struct header_pair *add_list;
	const struct expression **add_expressions;
	uint32_t add_count;
	struct header_pair *set_list;
	const struct expression **set_expressions;
	uint32_t set_count;
	struct span *remove_list;
	uint32_t remove_count;
	struct span replace_text; /* as written; empty: all headers stay */
	const struct expression *replace; /* gives a map */
	struct named_expressions metadata; /* members of the variable `metadata` */
	struct span body_text; /* as written; empty: the body stays */
	const struct expression *body;
	uint32_t needs; /* enum expression_needs, of all its expressions */
};

struct transform_case;

struct transformation {
	struct transform_side request, response;
	/* Not empty: the first one whose condition is true counts, and the members above are not used. */
	struct transform_case *case_list;
	uint32_t case_count;
};

struct transform_case {
	struct policy_condition condition;
	struct transformation transformation; /* without cases */
};
