/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/expression/expression.h"
#include "user/base/text.h"

/* The names of expressions: variables.def and functions.def as tables. Immutable. */

/* Sets of types, of arguments. A dynamic value is checked when it is evaluated. */
#define EXPRESSION_SET(type) (1u << EXPRESSION_##type)

enum expression_variable_id {
#define VARIABLE(id, name, points, type, item, words) EXPRESSION_VARIABLE_##id,
#include "policy/expression/variables.def"
#undef VARIABLE
	EXPRESSION_VARIABLES,
};

enum expression_function_id {
#define FUNCTION(id, name, form, receiver, first, second, least, type, item, words, example)                 \
	EXPRESSION_FUNCTION_##id,
#include "policy/expression/functions.def"
#undef FUNCTION
	EXPRESSION_FUNCTIONS,
};

enum expression_form {
	EXPRESSION_CALL_FORM,
	EXPRESSION_WRITTEN_FORM,
	EXPRESSION_SPECIAL_FORM,
};

struct expression_variable {
	const char *name;
	uint32_t points; /* bit per enum expression_point */
	enum expression_type type, item;
	const char *words;
};

struct expression_function {
	const char *name;
	enum expression_form form;
	uint32_t receiver; /* set of types; 0: none */
	uint32_t arguments[2];
	uint32_t least;
	enum expression_type type, item;
	const char *words, *example;
};

extern const struct expression_variable expression_variables[EXPRESSION_VARIABLES];
extern const struct expression_function expression_functions[EXPRESSION_FUNCTIONS];

/* What is wanted, of a set: "a text", "a number". */
const char *expression_set_name(uint32_t set);
uint32_t expression_function_most(const struct expression_function *function); /* arguments */

static inline bool expression_exists_at(const struct expression_variable *variable,
					enum expression_point point)
{
	return variable->points >> point & 1;
}

/* The variable of exactly this name, at whatever point; NULL: none. */
const struct expression_variable *expression_find_variable(struct span name);
/* Whether names begin with this one and a dot: "source", "source.identity". */
bool expression_is_object(struct span name);
/* NULL: none. has_receiver: a method. */
const struct expression_function *expression_find_function(struct span name, bool has_receiver);

/* The sentences of refusals, with what exists at the point and the name that was probably meant. */
void expression_refuse_variable(struct span name, enum expression_point point, struct text *out);
void expression_refuse_function(struct span name, struct text *out);
void expression_refuse_method(struct span name, enum expression_type type, struct text *out);
/* "after authentication": the point from which the variable exists. */
const char *expression_point_name(enum expression_point point);
