/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/expression/expression_table.h"

#include "config/core/engine/typo.h"
#include "user/base/check.h"

#define AT(point) (1u << EXPRESSION_AT_##point)
/* This point and all later ones. */
#define FROM(point) (2 * AT(END) - AT(point))

#define VARIABLE(id, name, points, type, item, words)                                                        \
	[EXPRESSION_VARIABLE_##id] = { name, points, EXPRESSION_##type, EXPRESSION_##item, words },
const struct expression_variable expression_variables[EXPRESSION_VARIABLES] = {
#include "policy/expression/variables.def"
};
#undef VARIABLE

enum type_set {
	NONE,
	INT = EXPRESSION_SET(INT),
	DOUBLE = EXPRESSION_SET(DOUBLE),
	TEXT = EXPRESSION_SET(TEXT),
	LIST = EXPRESSION_SET(LIST),
	MAP = EXPRESSION_SET(MAP),
	HEADERS = EXPRESSION_SET(HEADERS),
	NETWORK = EXPRESSION_SET(NETWORK),
	ADDRESS = EXPRESSION_SET(ADDRESS),
	SCALAR = INT | DOUBLE | TEXT | ADDRESS | NETWORK | EXPRESSION_SET(BOOL) | EXPRESSION_SET(DURATION) |
		 EXPRESSION_SET(TIME),
	PLAIN = SCALAR | LIST | MAP | EXPRESSION_SET(NULL),
	ANY = PLAIN | HEADERS,
};

#define FUNCTION(id, name, form, receiver, first, second, least, type, item, words, example)                 \
	[EXPRESSION_FUNCTION_##                                                                              \
		id] = { name,	EXPRESSION_##form##_FORM, receiver,	     { first, second },              \
			least,	EXPRESSION_##type,	  EXPRESSION_##item, words,                          \
			example },
const struct expression_function expression_functions[EXPRESSION_FUNCTIONS] = {
#include "policy/expression/functions.def"
};
#undef FUNCTION

const char *expression_type_name(enum expression_type type)
{
	static const char *const names[] = {
		[EXPRESSION_NONE] = "nothing",
		[EXPRESSION_NULL] = "null",
		[EXPRESSION_BOOL] = "true or false",
		[EXPRESSION_INT] = "a whole number",
		[EXPRESSION_DOUBLE] = "a decimal number",
		[EXPRESSION_TEXT] = "a text",
		[EXPRESSION_DURATION] = "a duration",
		[EXPRESSION_TIME] = "a time",
		[EXPRESSION_ADDRESS] = "an address",
		[EXPRESSION_NETWORK] = "a network",
		[EXPRESSION_LIST] = "a list",
		[EXPRESSION_MAP] = "a map",
		[EXPRESSION_HEADERS] = "a set of headers",
		[EXPRESSION_DYNAMIC] = "a value whose type is not known before the request",
	};

	return names[type];
}

const char *expression_set_name(uint32_t set)
{
	if ((set & (INT | DOUBLE)) == (INT | DOUBLE))
		return set & TEXT ? "a number or a text" : "a number";
	if ((set & (LIST | MAP)) == (LIST | MAP))
		return set & TEXT ? "a text, a list or a map" : "a list or a map";
	if ((set & (MAP | HEADERS)) == (MAP | HEADERS))
		return "a map or a set of headers";
	for (uint32_t type = 0; type < EXPRESSION_DYNAMIC; type++) {
		if (set >> type & 1)
			return expression_type_name((enum expression_type)type);
	}
	return expression_type_name(EXPRESSION_NONE);
}

uint32_t expression_function_most(const struct expression_function *function)
{
	uint32_t count = (function->arguments[0] != 0) + (function->arguments[1] != 0);

	return count > function->least ? count : function->least;
}

const struct expression_variable *expression_find_variable(struct span name)
{
	for (size_t i = 0; i < EXPRESSION_VARIABLES; i++) {
		if (span_eq(name, span_str(expression_variables[i].name)))
			return &expression_variables[i];
	}
	return NULL;
}

static bool is_under(struct span object, const char *name)
{
	return strlen(name) > object.len && name[object.len] == '.' &&
	       memcmp(name, object.data, object.len) == 0;
}

bool expression_is_object(struct span name)
{
	for (size_t i = 0; i < EXPRESSION_VARIABLES; i++) {
		if (is_under(name, expression_variables[i].name))
			return true;
	}
	return false;
}

const struct expression_function *expression_find_function(struct span name, bool has_receiver)
{
	for (size_t i = 0; i < EXPRESSION_FUNCTIONS; i++) {
		const struct expression_function *function = &expression_functions[i];

		if (span_eq(name, span_str(function->name)) && (function->receiver != 0) == has_receiver)
			return function;
	}
	return NULL;
}

/* ---- refusals */

const char *expression_point_name(enum expression_point point)
{
	static const char *const names[] = {
		[EXPRESSION_AT_CONNECTION] = "for a connection",
		[EXPRESSION_AT_HEAD] = "before authentication",
		[EXPRESSION_AT_REQUEST] = "after authentication",
		[EXPRESSION_AT_TRANSFORM] = "in transformations of requests that routes and listeners have",
		[EXPRESSION_AT_BACKEND] = "after a backend is chosen",
		[EXPRESSION_AT_MCP] = "for messages to MCP backends",
		[EXPRESSION_AT_RESPONSE] = "when there is a response",
		[EXPRESSION_AT_ANSWER] = "in transformations of responses",
		[EXPRESSION_AT_END] = "in logs",
	};

	return names[point];
}

static struct span object_of(struct span name)
{
	ptrdiff_t dot = span_find(name, '.');

	return dot < 0 ? name : span_first(name, (size_t)dot);
}

/* Adds names to a sentence: "a, b, c". */
struct enumeration {
	struct text *out;
	const char *names[EXPRESSION_VARIABLES + EXPRESSION_FUNCTIONS];
	size_t count;
};

static void enumerate(struct enumeration *list, const char *name)
{
	if (list->count < ARRAY_LEN(list->names))
		list->names[list->count++] = name;
}

static void enumeration_print(const struct enumeration *list, const char *suffix)
{
	for (size_t i = 0; i < list->count; i++)
		text_fmt(list->out, "%s%s%s", i ? ", " : "", list->names[i], suffix);
}

/* ", perhaps x": compared without the first bytes, which are those of the name. */
static void suggest(const struct enumeration *list, struct span name, size_t skipped, const char *suffix)
{
	const char *rests[ARRAY_LEN(list->names)];
	const char *meant;

	for (size_t i = 0; i < list->count; i++)
		rests[i] = list->names[i] + skipped;
	meant = typo_meant(span_from(name, skipped), rests, list->count);
	if (meant)
		text_fmt(list->out, ", perhaps %.*s%s%s", SPAN_FMT(span_first(name, skipped)), meant, suffix);
}

/* All variables of the point that are in the object; with an empty object the objects themselves. */
static void enumerate_variables(struct enumeration *list, struct span object, enum expression_point point)
{
	struct span last = { NULL, 0 };

	for (size_t i = 0; i < EXPRESSION_VARIABLES; i++) {
		const struct expression_variable *variable = &expression_variables[i];
		struct span own = object_of(span_str(variable->name));

		if (!expression_exists_at(variable, point))
			continue;
		if (object.len && span_eq(own, object))
			enumerate(list, variable->name);
		else if (!object.len && !span_eq(own, last))
			enumerate(list, variable->name);
		last = own;
	}
}

static enum expression_point first_point(struct span name)
{
	uint32_t points = 0;
	enum expression_point point = EXPRESSION_AT_CONNECTION;

	for (size_t i = 0; i < EXPRESSION_VARIABLES; i++) {
		const char *own = expression_variables[i].name;

		if (span_eq(name, span_str(own)) || is_under(name, own))
			points |= expression_variables[i].points;
	}
	while (point < EXPRESSION_AT_END && !(points >> point & 1))
		point++;
	return point;
}

static void print_objects(struct enumeration *list, enum expression_point point)
{
	struct span last = { NULL, 0 };
	bool is_first = true;

	text_fmt(list->out, "; %s there are ", expression_point_name(point));
	for (size_t i = 0; i < EXPRESSION_VARIABLES; i++) {
		struct span own = object_of(span_str(expression_variables[i].name));

		if (!expression_exists_at(&expression_variables[i], point) || span_eq(own, last))
			continue;
		text_fmt(list->out, "%s%.*s", is_first ? "" : ", ", SPAN_FMT(own));
		is_first = false;
		last = own;
	}
}

void expression_refuse_variable(struct span name, enum expression_point point, struct text *out)
{
	struct enumeration list = { .out = out };
	struct span object = object_of(name);
	bool exists = expression_find_variable(name) || expression_is_object(name);

	if (exists) {
		text_fmt(out, "%.*s does not exist here, only %s", SPAN_FMT(name),
			 expression_point_name(first_point(name)));
		print_objects(&list, point);
		return;
	}
	text_fmt(out, "%.*s is not known", SPAN_FMT(name));
	if (span_eq(object, SPAN("llm")) || span_eq(object, SPAN("llmRequest"))) {
		text_str(out, ": the gateway does not read requests to models; leave out what needs it");
		return;
	}
	if (expression_find_variable(object) || expression_is_object(object)) {
		enumerate_variables(&list, object, point);
		suggest(&list, name, name.len > object.len ? object.len + 1 : 0, "");
		text_str(out, "; there are ");
		enumeration_print(&list, "");
		return;
	}
	for (size_t i = 0; i < EXPRESSION_VARIABLES; i++) {
		if (expression_exists_at(&expression_variables[i], point))
			enumerate(&list, expression_variables[i].name);
	}
	suggest(&list, name, 0, "");
	print_objects(&list, point);
}

void expression_refuse_function(struct span name, struct text *out)
{
	struct enumeration list = { .out = out };

	if (expression_find_function(name, true)) {
		text_fmt(out, "%.*s() is called with a value and a dot before it, as in %s", SPAN_FMT(name),
			 expression_find_function(name, true)->example);
		return;
	}
	for (size_t i = 0; i < EXPRESSION_FUNCTIONS; i++) {
		if (!expression_functions[i].receiver)
			enumerate(&list, expression_functions[i].name);
	}
	text_fmt(out, "%.*s() is not known", SPAN_FMT(name));
	suggest(&list, name, 0, "()");
	text_str(out, "; there are ");
	enumeration_print(&list, "()");
}

void expression_refuse_method(struct span name, enum expression_type type, struct text *out)
{
	const struct expression_function *function = expression_find_function(name, true);
	struct enumeration list = { .out = out };

	if (function) {
		text_fmt(out, "%.*s() needs %s before the dot, not %s", SPAN_FMT(name),
			 expression_set_name(function->receiver), expression_type_name(type));
		return;
	}
	function = expression_find_function(name, false);
	if (function) {
		text_fmt(out, "%.*s() is called without a value and a dot before it, as in %s",
			 SPAN_FMT(name), function->example);
		return;
	}
	for (size_t i = 0; i < EXPRESSION_FUNCTIONS; i++) {
		uint32_t set = expression_functions[i].receiver;

		if (set && (type == EXPRESSION_DYNAMIC || set >> type & 1 ||
			    (type == EXPRESSION_ADDRESS && set & TEXT)))
			enumerate(&list, expression_functions[i].name);
	}
	text_fmt(out, "%.*s() is not known", SPAN_FMT(name));
	suggest(&list, name, 0, "()");
	text_fmt(out, "; %s has ", expression_type_name(type));
	enumeration_print(&list, "()");
	if (!list.count)
		text_str(out, "no methods");
}
