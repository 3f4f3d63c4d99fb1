/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "user/base/span.h"

/* Part of config/model.h: expressions of policies, and responses that a route defines. */

struct expression; /* policy/expression/expression.h: compiled, in the arena */

struct header_pair {
	struct span name; /* lower case */
	struct span value;
};

/* Names with expressions, as in `{x-user: jwt.sub}`. */
struct named_expressions {
	struct header_pair *list; /* their values are expressions, as written */
	const struct expression **expression_list; /* NULL until they are compiled */
	uint32_t count;
};

/* When one of several forms of a policy counts. */
struct policy_condition {
	struct span text; /* as written; empty: always */
	const struct expression *expression; /* NULL: always */
};

struct direct_case;

struct direct_response {
	uint16_t status;
	struct span body;
	struct span body_text; /* the expression as written; empty: `body` */
	const struct expression *body_expression;
	struct header_pair *header_list; /* their values are expressions, as written */
	const struct expression **header_expressions;
	uint32_t header_count;
	/* Not empty: the first one whose condition is true counts, and the members above are not used. */
	struct direct_case *case_list;
	uint32_t case_count;
};

struct direct_case {
	struct policy_condition condition;
	struct direct_response response;
};
