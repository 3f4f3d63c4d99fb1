/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/expression/expression.h"

/* A compiled expression as a tree, shared by the reader and the evaluation. */
enum expression_op {
	EXPRESSION_CONSTANT, /* value */
	EXPRESSION_ITEMS, /* a chain of constants through right: [1, 2] */
	EXPRESSION_METHOD,
	EXPRESSION_PATH,
	EXPRESSION_HOST,
	EXPRESSION_URI,
	EXPRESSION_CODE,
	EXPRESSION_REQUEST_HEADERS,
	EXPRESSION_RESPONSE_HEADERS,
	EXPRESSION_HEADER, /* left: headers, right: name */
	EXPRESSION_CHOOSE, /* left ? right : other */
	EXPRESSION_OR,
	EXPRESSION_AND,
	EXPRESSION_NOT,
	EXPRESSION_EQUAL,
	EXPRESSION_UNEQUAL,
	EXPRESSION_LESS,
	EXPRESSION_LESS_EQUAL,
	EXPRESSION_MORE,
	EXPRESSION_MORE_EQUAL,
	EXPRESSION_IN,
	EXPRESSION_ADD,
	EXPRESSION_SUBTRACT,
	EXPRESSION_MULTIPLY,
	EXPRESSION_DIVIDE,
	EXPRESSION_REMAINDER,
	EXPRESSION_NEGATE,
	EXPRESSION_RANDOM,
	EXPRESSION_TO_INT,
	EXPRESSION_TO_DOUBLE,
	EXPRESSION_STARTS_WITH,
	EXPRESSION_ENDS_WITH,
	EXPRESSION_CONTAINS,
};

struct expression_node {
	enum expression_op op;
	enum expression_type type; /* of the value; NONE never */
	const struct expression_node *left;
	const struct expression_node *right;
	const struct expression_node *other;
	struct expression_value value; /* CONSTANT */
	uint32_t serial; /* RANDOM: distinguishes the calls */
};
