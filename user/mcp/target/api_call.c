/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/target/api_call.h"

#include <errno.h>

#include "user/base/char_class.h"
#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/http/form.h"
#include "user/mcp/json/json_text.h"

static const struct span groups[] = { [OPENAPI_PATH] = SPAN("path"),
				      [OPENAPI_QUERY] = SPAN("query"),
				      [OPENAPI_HEADER] = SPAN("header"),
				      [OPENAPI_PLACES] = SPAN("body") };

enum { GROUPS = OPENAPI_PLACES + 1, NAME_SHOWN_BYTES = 64 };

void api_call_init(struct api_call *call)
{
	arena_init(&call->arena, 512);
	fields_init(&call->fields, &call->arena);
	text_init(&call->target);
	text_init(&call->why);
	call->body = (struct span){ 0 };
}

void api_call_done(struct api_call *call)
{
	arena_done(&call->arena);
	text_done(&call->target);
	text_done(&call->why);
}

/* "query.limit is missing": name may be empty. */
static int refuse(struct api_call *call, struct span group, struct span name, const char *what)
{
	text_add(&call->why, group);
	text_str(&call->why, name.len && group.len ? "." : "");
	text_add(&call->why, span_first(name, NAME_SHOWN_BYTES));
	text_char(&call->why, ' ');
	text_str(&call->why, what);
	return text_error(&call->why) ? -ENOMEM : -EINVAL;
}

/* ------------------------------------------------------------------------------------ values */

/* What a single value means. False: it is a list, an object or null. */
static bool add_single(struct text *to, struct span value)
{
	switch (mcp_json_type(value)) {
	case MCP_JSON_STRING:
		mcp_json_unescape(to, mcp_json_string(value));
		return true;
	case MCP_JSON_NUMBER:
	case MCP_JSON_TRUE:
	case MCP_JSON_FALSE:
		text_add(to, value);
		return true;
	default:
		return false;
	}
}

static bool is_absent(struct span value)
{
	return !value.len || mcp_json_type(value) == MCP_JSON_NULL;
}

/* What a value means, with commas between those of a list: not encoded. */
static int add_value(struct api_call *call, const struct openapi_parameter *parameter, struct span value,
		     struct text *to)
{
	struct mcp_json_walk walk = mcp_json_walk_of(value);
	struct span key, element;
	size_t start = to->len;
	bool is_valid = mcp_json_type(value) == MCP_JSON_ARRAY || add_single(to, value);

	while (is_valid && !walk.is_object && mcp_json_next(&walk, &key, &element)) {
		text_str(to, to->len > start ? "," : "");
		is_valid = add_single(to, element);
	}
	if (!is_valid)
		return refuse(call, groups[parameter->place], parameter->name,
			      "must be a single value, or a list of them");
	if (to->len > LIMIT_OPENAPI_URL_BYTES)
		return refuse(call, groups[parameter->place], parameter->name, "is too long; write less");
	return text_error(to);
}

/* ------------------------------------------------------------------------------------ path */

static bool has_dot_segment(struct span path)
{
	size_t start = 0;

	for (size_t i = 0; i <= path.len; i++) {
		struct span segment;

		if (i < path.len && path.data[i] != '/' && path.data[i] != '\\')
			continue;
		segment = span_of(path.data + start, i - start);
		/* Some servers take what follows a semicolon for parameters of the segment. */
		if (span_find(segment, ';') >= 0)
			segment.len = (size_t)span_find(segment, ';');
		if (span_eq(segment, SPAN(".")) || span_eq(segment, SPAN("..")))
			return true;
		start = i + 1;
	}
	return false;
}

/*
 * `plain` gets the path as a server could read it that decodes before it splits: dot segments are looked for
 * there.
 */
static int add_path_value(struct api_call *call, const struct openapi_parameter *parameter, struct span value,
			  struct text *plain)
{
	size_t start = plain->len;
	struct span added;
	int error = add_value(call, parameter, value, plain);

	if (error)
		return error;
	added = span_of(plain->data + start, plain->len - start);
	if (!added.len)
		return refuse(call, groups[OPENAPI_PATH], parameter->name, "is empty; write a value");
	for (size_t i = 0; i < added.len; i++)
		if ((unsigned char)added.data[i] < ' ' || added.data[i] == 0x7f)
			return refuse(call, groups[OPENAPI_PATH], parameter->name,
				      "has control characters; remove them");
	form_encode(&call->target, added);
	return 0;
}

static const struct openapi_parameter *parameter_of(const struct openapi_operation *operation,
						    enum openapi_place place, struct span name)
{
	for (uint32_t i = 0; i < operation->parameter_count; i++) {
		const struct openapi_parameter *parameter = &operation->parameter_list[i];

		if (parameter->place == place && span_eq(parameter->name, name))
			return parameter;
	}
	return NULL;
}

static int add_path(struct api_call *call, const struct openapi_operation *operation,
		    const struct span *values, struct text *plain)
{
	struct span rest = operation->path;

	while (rest.len) {
		ptrdiff_t open = span_find(rest, '{'), close;
		struct span literal = open < 0 ? rest : span_first(rest, (size_t)open);
		const struct openapi_parameter *parameter;
		int error;

		text_add(&call->target, literal);
		text_add(plain, literal);
		if (open < 0)
			break;
		rest = span_from(rest, (size_t)open + 1);
		close = span_find(rest, '}');
		/* The loader has checked it. */
		CHECK(close >= 0);
		parameter = parameter_of(operation, OPENAPI_PATH, span_first(rest, (size_t)close));
		CHECK(parameter);
		error = add_path_value(call, parameter, values[parameter - operation->parameter_list], plain);
		if (error)
			return error;
		rest = span_from(rest, (size_t)close + 1);
	}
	if (text_error(plain))
		return -ENOMEM;
	return has_dot_segment(text_span(plain))
		       ? refuse(call, groups[OPENAPI_PATH], (struct span){ 0 },
				"leads to another path; no value may have a segment . or ..")
		       : 0;
}

/* ------------------------------------------------------------------------------------ query */

static int add_pair(struct api_call *call, const struct openapi_parameter *parameter, struct span value,
		    const char **separator)
{
	struct text plain;
	int error;

	text_init(&plain);
	error = add_value(call, parameter, value, &plain);
	text_str(&call->target, *separator);
	form_encode(&call->target, parameter->name);
	text_char(&call->target, '=');
	form_encode(&call->target, text_span(&plain));
	*separator = "&";
	text_done(&plain);
	if (!error && call->target.len > LIMIT_OPENAPI_URL_BYTES)
		return refuse(call, groups[OPENAPI_QUERY], parameter->name, "is too long; write less");
	return error;
}

static int add_query(struct api_call *call, const struct openapi_parameter *parameter, struct span value,
		     const char **separator)
{
	struct mcp_json_walk walk = mcp_json_walk_of(value);
	struct span key, element;
	int error = 0;

	if (!parameter->is_repeated || mcp_json_type(value) != MCP_JSON_ARRAY)
		return add_pair(call, parameter, value, separator);
	while (!error && mcp_json_next(&walk, &key, &element))
		error = mcp_json_type(element) == MCP_JSON_ARRAY
				? refuse(call, groups[OPENAPI_QUERY], parameter->name,
					 "must be a single value, or a list of them")
				: add_pair(call, parameter, element, separator);
	return error;
}

/* ------------------------------------------------------------------------------------ header */

/* A value is visible ASCII, blanks inside it, and other UTF-8: no line ends, whatever decodes it. */
static int add_header(struct api_call *call, const struct openapi_parameter *parameter, struct span value)
{
	struct span trimmed, copy;
	struct text text;
	int error;

	text_init(&text);
	error = add_value(call, parameter, value, &text);
	trimmed = span_trim(text_span(&text));
	if (!error && !char_class_is_text(trimmed))
		error = refuse(call, groups[OPENAPI_HEADER], parameter->name,
			       "has characters that a header cannot have; remove line ends and control "
			       "characters");
	if (!error) {
		copy = trimmed.len ? arena_copy(&call->arena, trimmed) : SPAN("");
		error = copy.data ? fields_add(&call->fields, parameter->name, copy) : -ENOMEM;
	}
	text_done(&text);
	return error;
}

/* ------------------------------------------------------------------------------------ arguments */

/* Each member once, and only names that `find` knows. */
static int take_values(struct api_call *call, const struct openapi_operation *operation,
		       enum openapi_place place, struct span object, struct span *values)
{
	struct mcp_json_walk walk = mcp_json_walk_of(object);
	struct span inner, value;
	struct text name;
	int error = 0;

	if (is_absent(object))
		return 0;
	if (mcp_json_type(object) != MCP_JSON_OBJECT)
		return refuse(call, groups[place], (struct span){ 0 }, "must be an object");
	text_init(&name);
	while (!error && mcp_json_next(&walk, &inner, &value)) {
		const struct openapi_parameter *parameter;

		text_clear(&name);
		mcp_json_unescape(&name, inner);
		parameter = parameter_of(operation, place, text_span(&name));
		if (text_error(&name))
			error = -ENOMEM;
		else if (!parameter)
			error = refuse(call, groups[place], text_span(&name), "is no parameter of this tool");
		else if (values[parameter - operation->parameter_list].len)
			error = refuse(call, groups[place], text_span(&name), "is there twice");
		else
			values[parameter - operation->parameter_list] = value;
	}
	text_done(&name);
	return error;
}

/* The objects with the values of each place, and the body. */
static int take_groups(struct api_call *call, struct span arguments, struct span *ret_groups)
{
	struct mcp_json_walk walk = mcp_json_walk_of(arguments);
	struct span inner, value;

	if (is_absent(arguments))
		return 0;
	if (mcp_json_type(arguments) != MCP_JSON_OBJECT)
		return refuse(call, SPAN("arguments"), (struct span){ 0 }, "must be an object");
	while (mcp_json_next(&walk, &inner, &value)) {
		size_t at = 0;

		while (at < GROUPS && !mcp_json_means(inner, groups[at]))
			at++;
		if (at == GROUPS)
			return refuse(call, (struct span){ 0 }, inner,
				      "is no argument of this tool; write path, query, header or body, as "
				      "in its schema");
		if (ret_groups[at].len)
			return refuse(call, groups[at], (struct span){ 0 }, "is there twice");
		ret_groups[at] = value;
	}
	return 0;
}

static int take_arguments(struct api_call *call, const struct openapi_operation *operation,
			  struct span arguments, struct span *values)
{
	struct span objects[GROUPS] = { 0 };
	int error = take_groups(call, arguments, objects);

	for (int i = 0; i < OPENAPI_PLACES && !error; i++)
		error = take_values(call, operation, (enum openapi_place)i, objects[i], values);
	for (uint32_t i = 0; i < operation->parameter_count && !error; i++)
		if (operation->parameter_list[i].is_required && is_absent(values[i]))
			error = refuse(call, groups[operation->parameter_list[i].place],
				       operation->parameter_list[i].name, "is missing");
	call->body = objects[OPENAPI_PLACES];
	if (!error && call->body.len && !operation->content_type.len)
		error = refuse(call, groups[OPENAPI_PLACES], (struct span){ 0 },
			       "is no argument of this tool");
	if (!error && !call->body.len && operation->is_body_required)
		error = refuse(call, groups[OPENAPI_PLACES], (struct span){ 0 }, "is missing");
	return error;
}

int api_call_make(struct api_call *call, const struct openapi_operation *operation, struct span arguments)
{
	struct span values[LIMIT_OPENAPI_PARAMETERS] = { 0 };
	const char *separator = "?";
	struct text plain;
	int error;

	text_init(&plain);
	error = take_arguments(call, operation, arguments, values);
	if (!error)
		error = add_path(call, operation, values, &plain);
	text_done(&plain);
	for (uint32_t i = 0; i < operation->parameter_count && !error; i++) {
		const struct openapi_parameter *parameter = &operation->parameter_list[i];

		if (is_absent(values[i]) || parameter->place == OPENAPI_PATH)
			continue;
		error = parameter->place == OPENAPI_QUERY ? add_query(call, parameter, values[i], &separator)
							  : add_header(call, parameter, values[i]);
	}
	return error ? error : text_error(&call->target);
}
