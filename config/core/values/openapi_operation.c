/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/values/openapi_operation.h"

#include <string.h>

#include "policy/headers.h"
#include "user/base/char_class.h"
#include "user/base/check.h"
#include "user/base/json_writer.h"
#include "user/base/limits.h"

enum {
	TITLE_BYTES = 64,
	TYPE_BYTES = 1024, /* of a content type; RFC 6838 4.2: 127 for each of its two names */
};

/* The parameters of an operation while it is read. */
struct parameters {
	struct openapi_parameter list[LIMIT_OPENAPI_PARAMETERS];
	const struct yaml_node *node_list[LIMIT_OPENAPI_PARAMETERS];
	uint32_t count;
};

static const char *const places[OPENAPI_PLACES] = { "path", "query", "header" };

#define LEAVE_OUT(document, node, ...)                                                                       \
	config_warning((document)->d->report, node, "is not offered as a tool: " __VA_ARGS__)

static bool is_true(const struct yaml_node *map, const char *key)
{
	return span_eq(openapi_text(map, key), SPAN("true"));
}

/* -------------------------------------------------------------------------------- parameters */

/* Not for headers that the gateway sets, or that say who is asking (OpenAPI 3.1 4.8.12.1). */
static bool may_be_argument(struct span name)
{
	static const struct span no[] = {
		SPAN("accept"), SPAN("authorization"), SPAN("content-"),  SPAN("cookie"),
		SPAN("expect"), SPAN("forwarded"),     SPAN("headgate-"), SPAN("mcp-"),
		SPAN("proxy-"), SPAN("x-forwarded-"),  SPAN("via")
	};

	for (size_t i = 0; i < ARRAY_LEN(no); i++)
		if (span_eq_nocase(span_first(name, no[i].len), no[i]))
			return false;
	return headers_may_modify(name);
}

static bool is_style_known(const struct yaml_node *node, enum openapi_place place)
{
	struct span style = openapi_text(node, "style");

	return !decode_get(node, "content") &&
	       (!style.len || span_eq(style, place == OPENAPI_QUERY ? SPAN("form") : SPAN("simple")));
}

/* Where to put it: a parameter of the operation replaces that of the path. NULL: too many. */
static struct openapi_parameter *slot_of(struct parameters *parameters, const struct openapi_parameter *one,
					 const struct yaml_node *node)
{
	uint32_t at = 0;

	for (; at < parameters->count; at++) {
		struct span name = parameters->list[at].name;

		if (parameters->list[at].place == one->place &&
		    (span_eq(name, one->name) ||
		     (one->place == OPENAPI_HEADER && span_eq_nocase(name, one->name))))
			break;
	}
	if (at == LIMIT_OPENAPI_PARAMETERS)
		return NULL;
	parameters->count += at == parameters->count;
	parameters->node_list[at] = node;
	return &parameters->list[at];
}

/* False: reported. */
static bool add_parameter(struct openapi_document *document, const struct yaml_node *node,
			  struct parameters *parameters)
{
	struct openapi_parameter one = { .name = openapi_text(node, "name"), .place = OPENAPI_PLACES };
	struct span place = openapi_text(node, "in");
	struct openapi_parameter *slot;

	for (int i = 0; i < OPENAPI_PLACES; i++)
		if (span_eq(place, span_str(places[i])))
			one.place = (enum openapi_place)i;
	if (!one.name.len || (one.place == OPENAPI_PLACES && !span_eq(place, SPAN("cookie"))) ||
	    (one.place == OPENAPI_HEADER && !char_class_is_token(one.name))) {
		config_error(document->d->report, node,
			     "is no parameter; write in: path, query or header, and name: ...");
		return false;
	}
	if (one.place == OPENAPI_HEADER && !may_be_argument(one.name))
		return true;
	one.is_required = is_true(node, "required") || one.place == OPENAPI_PATH;
	one.is_repeated =
		one.place == OPENAPI_QUERY && !span_eq(openapi_text(node, "explode"), SPAN("false"));
	if (one.place == OPENAPI_PLACES || !is_style_known(node, one.place)) {
		if (one.is_required)
			LEAVE_OUT(document, node,
				  "it needs this cookie, or style; make the parameter optional, or write "
				  "style: form (query) or simple (path, header)");
		return !one.is_required;
	}
	slot = slot_of(parameters, &one, node);
	if (slot)
		*slot = one;
	else
		LEAVE_OUT(document, node, "it has more than %d parameters", LIMIT_OPENAPI_PARAMETERS);
	return slot;
}

static bool read_parameters(struct openapi_document *document, const struct yaml_node *list,
			    struct parameters *parameters)
{
	if (!list)
		return true;
	yaml_each(child, list) {
		const struct yaml_node *node = openapi_resolve(document, child);

		if (!node || !add_parameter(document, node, parameters))
			return false;
	}
	return true;
}

/* -------------------------------------------------------------------------------- the path */

bool openapi_path_is_valid(struct span path)
{
	struct span rest = path, segment;

	while (span_split(&rest, '/', &segment))
		if (span_eq(segment, SPAN(".")) || span_eq(segment, SPAN("..")) ||
		    span_find(segment, '%') >= 0)
			return false;
	for (size_t i = 0; i < path.len; i++)
		if (!octet_is(path.data[i], OCTET_TARGET) || strchr("?\\\"<>^`|{}", path.data[i]))
			return false;
	return !path.len || path.data[0] == '/';
}

static bool has_path_parameter(const struct parameters *parameters, struct span name)
{
	for (uint32_t i = 0; i < parameters->count; i++)
		if (parameters->list[i].place == OPENAPI_PATH && span_eq(parameters->list[i].name, name))
			return true;
	return false;
}

/* A path in which each {name} is a parameter. False: reported. */
static bool check_template(struct openapi_document *document, const struct openapi_source *source,
			   const struct parameters *parameters)
{
	struct span rest = source->path;
	bool is_valid = true;
	struct text plain;

	text_init(&plain);
	while (rest.len && is_valid) {
		ptrdiff_t open = span_find(rest, '{'), close;

		text_add(&plain, open < 0 ? rest : span_first(rest, (size_t)open));
		if (open < 0)
			break;
		rest = span_from(rest, (size_t)open + 1);
		close = span_find(rest, '}');
		is_valid = close > 0 && has_path_parameter(parameters, span_first(rest, (size_t)close));
		text_char(&plain, 'x');
		rest = span_from(rest, (size_t)close + 1);
	}
	document->d->failed |= text_error(&plain) != 0;
	is_valid = is_valid && plain.len && openapi_path_is_valid(text_span(&plain));
	text_done(&plain);
	if (!is_valid)
		config_error(document->d->report, source->node,
			     "%s is not a path; write one that begins with /, without a query, and each name "
			     "in {} as a parameter with in: path",
			     QUOTE(source->path));
	return is_valid;
}

/* -------------------------------------------------------------------------------- the body */

static bool is_json(struct span type)
{
	struct span rest = type, name;

	if (type.len > TYPE_BYTES || !span_split(&rest, ';', &name) || !char_class_is_text(type))
		return false;
	name = span_trim(name);
	return span_eq_nocase(name, SPAN("application/json")) || span_eq(name, SPAN("*/*")) ||
	       (name.len > 5 && span_eq_nocase(span_from(name, name.len - 5), SPAN("+json")));
}

/* *ret_schema: of the body. False: reported. */
static bool read_body(struct openapi_document *document, const struct openapi_source *source,
		      struct openapi_operation *operation, const struct yaml_node **ret_schema)
{
	const struct yaml_node *written = decode_get(source->node, "requestBody");
	const struct yaml_node *body = openapi_resolve(document, written);
	const struct yaml_node *content = decode_get(body, "content");

	*ret_schema = NULL;
	if (content && !openapi_spend(document, content->count))
		return false;
	operation->is_body_required = is_true(body, "required");
	for (const struct yaml_node *media = content ? content->first : NULL; media; media = media->next) {
		if (operation->content_type.len || !is_json(media->key))
			continue;
		operation->content_type =
			span_eq(media->key, SPAN("*/*")) ? SPAN("application/json") : media->key;
		*ret_schema = decode_get(media, "schema");
	}
	if (operation->is_body_required && !operation->content_type.len) {
		LEAVE_OUT(document, written, "its body cannot be JSON; add application/json to its content");
		return false;
	}
	return !written || body;
}

/* -------------------------------------------------------------------------------- the tool */

/* An object with the parameters of one place. */
static void add_place(struct openapi_document *document, const struct parameters *parameters,
		      enum openapi_place place, struct text *required, struct text *out)
{
	bool has_any = false, needs_any = false;

	for (uint32_t i = 0; i < parameters->count; i++) {
		const struct openapi_parameter *parameter = &parameters->list[i];
		const struct yaml_node *node = parameters->node_list[i];

		if (parameter->place != place || document->is_too_large)
			continue;
		if (!has_any)
			text_fmt(out, "\"%s\":{\"type\":\"object\",\"properties\":{", places[place]);
		text_str(out, has_any ? "," : "");
		json_quote(out, parameter->name);
		text_char(out, ':');
		openapi_schema_add(document, decode_get(node, "schema"), openapi_text(node, "description"),
				   out);
		has_any = true;
	}
	for (uint32_t i = 0; i < parameters->count; i++) {
		if (parameters->list[i].place != place || !parameters->list[i].is_required ||
		    document->is_too_large)
			continue;
		text_str(out, needs_any ? "," : "},\"required\":[");
		json_quote(out, parameters->list[i].name);
		needs_any = true;
	}
	if (needs_any)
		text_fmt(required, "\"%s\",", places[place]);
	text_str(out, needs_any ? "]}," : has_any ? "}}," : "");
}

static void add_input(struct openapi_document *document, const struct openapi_operation *operation,
		      const struct parameters *parameters, const struct yaml_node *body, struct text *out)
{
	struct text required;

	text_init(&required);
	text_str(out, "{\"type\":\"object\",\"properties\":{");
	for (int i = 0; i < OPENAPI_PLACES; i++)
		add_place(document, parameters, (enum openapi_place)i, &required, out);
	if (operation->content_type.len) {
		text_str(out, "\"body\":");
		openapi_schema_add(document, body, SPAN(""), out);
		text_str(&required, operation->is_body_required ? "\"body\"," : "");
	}
	/* Each part may have left a comma. */
	out->len -= out->len && out->data[out->len - 1] == ',';
	text_fmt(out, "},\"required\":[%.*s]}", (int)(required.len ? required.len - 1 : 0),
		 required.len ? required.data : "");
	out->failed |= text_error(&required) != 0;
	text_done(&required);
}

/* The longest part of the text that has at most so many bytes and no half character. */
static struct span cut(struct span text, size_t bytes)
{
	if (text.len <= bytes)
		return text;
	while (bytes && ((unsigned char)text.data[bytes] & 0xc0) == 0x80)
		bytes--;
	return span_first(text, bytes);
}

static void add_tool(struct openapi_document *document, const struct openapi_source *source,
		     const struct openapi_operation *operation, const struct parameters *parameters,
		     const struct yaml_node *body, struct text *out)
{
	struct span summary = openapi_text(source->node, "summary");
	struct span description = openapi_text(source->node, "description");

	text_str(out, "{\"name\":");
	json_quote(out, operation->tool);
	if (summary.len) {
		text_str(out, ",\"title\":");
		json_quote(out, cut(summary, TITLE_BYTES));
	}
	text_str(out, ",\"description\":");
	json_quote(out, description.len ? description : summary.len ? summary : operation->tool);
	text_str(out, ",\"inputSchema\":");
	add_input(document, operation, parameters, body, out);
	text_char(out, '}');
}

static bool describe(struct openapi_document *document, const struct openapi_source *source,
		     struct openapi_operation *operation, const struct parameters *parameters,
		     const struct yaml_node *body)
{
	struct text text;

	text_init(&text);
	document->is_too_large = document->is_broken = false;
	add_tool(document, source, operation, parameters, body, &text);
	document->is_too_large |= text.len > document->most_bytes;
	/* What is left out was written nevertheless. */
	(void)openapi_spend(document, text.len / 8);
	if (text_error(&text))
		document->d->failed = true;
	else if (document->is_too_large && !document->is_broken)
		LEAVE_OUT(document, source->node,
			  "with all its references it is too deep, or has more than %zu bytes; make its "
			  "schemas smaller",
			  document->most_bytes);
	else
		operation->description = decode_keep(document->d, text_span(&text));
	text_done(&text);
	return operation->description.len && !document->is_broken;
}

static bool keep_parameters(struct decoder *d, const struct parameters *parameters,
			    struct openapi_operation *operation)
{
	operation->parameter_list = decode_take(d, parameters->count, sizeof(*parameters->list));
	if (!operation->parameter_list)
		return false;
	memcpy(operation->parameter_list, parameters->list, parameters->count * sizeof(*parameters->list));
	operation->parameter_count = parameters->count;
	for (uint32_t i = 0; i < parameters->count; i++)
		operation->parameter_list[i].name = decode_keep(d, parameters->list[i].name);
	operation->content_type = decode_keep(d, operation->content_type);
	return !d->failed;
}

bool openapi_operation_read(struct openapi_document *document, const struct openapi_source *source,
			    struct span prefix, struct span name, struct openapi_operation *ret)
{
	struct openapi_operation operation = { .tool = name, .method = source->method };
	const struct yaml_node *body;
	struct parameters parameters = { .count = 0 };

	if (!read_parameters(document, decode_get(source->item, "parameters"), &parameters) ||
	    !read_parameters(document, decode_get(source->node, "parameters"), &parameters) ||
	    !read_body(document, source, &operation, &body) ||
	    !check_template(document, source, &parameters) ||
	    !describe(document, source, &operation, &parameters, body) ||
	    !keep_parameters(document->d, &parameters, &operation))
		return false;
	operation.path = decode_text(document->d, "%.*s%.*s", SPAN_FMT(prefix), SPAN_FMT(source->path));
	*ret = operation;
	return true;
}
