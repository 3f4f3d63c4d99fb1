/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/expression/expression_table.h"

struct match_regex;

/* A compiled expression as a tree, shared by the reader and the evaluation. */
enum expression_op {
	EXPRESSION_CONSTANT, /* value */
	EXPRESSION_ITEMS, /* a chain through right, each value in left: a list, or what coalesce() gets */
	EXPRESSION_MEMBERS, /* a map: a chain in the order of the names, value.text; left NULL: it is empty */
	EXPRESSION_VARIABLE, /* id */
	EXPRESSION_LOCAL, /* id: the name that exists() and the like give an item */
	EXPRESSION_SELECT, /* left: headers, map or list; right: name or position */
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
	EXPRESSION_CALL, /* id: a function; its values in left, right, other */
	EXPRESSION_MATCHES, /* left, regex */
	EXPRESSION_HAS, /* left */
	EXPRESSION_HAS_OBJECT, /* value.text: the name that variables begin with */
	EXPRESSION_OR_ELSE, /* default(): left, right */
	EXPRESSION_FIRST, /* coalesce(): left is a chain */
	EXPRESSION_EACH, /* id: exists() or the like; left: list; right: for each item, serial: its local */
	EXPRESSION_RANDOM,
	EXPRESSION_BODY_JSON, /* id: the variable of a body */
};

struct expression_node {
	enum expression_op op;
	enum expression_type type; /* of the value; NONE never */
	enum expression_type item; /* of the items of a list; DYNAMIC: not known */
	uint32_t id;
	uint32_t serial; /* RANDOM: distinguishes the calls */
	const struct expression_node *left;
	const struct expression_node *right;
	const struct expression_node *other;
	const struct match_regex *regex; /* MATCHES */
	struct expression_value value; /* CONSTANT */
};
