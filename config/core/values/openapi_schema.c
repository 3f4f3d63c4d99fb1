/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/values/openapi_schema.h"

#include "config/core/values/node_json.h"
#include "user/base/char_class.h"
#include "user/base/check.h"
#include "user/base/json_writer.h"
#include "user/base/limits.h"

/* Of a default or an enum: with OPENAPI_NESTING schemas around it less than LIMIT_MCP_DEPTH. */
enum { VALUE_LEVELS = 12 };

struct span openapi_text(const struct yaml_node *map, const char *key)
{
	const struct yaml_node *member = decode_get(map, key);

	return member && member->kind == YAML_SCALAR ? member->text : (struct span){ 0 };
}

/* -------------------------------------------------------------------------------- references */

bool openapi_spend(struct openapi_document *document, size_t cost)
{
	if (cost < document->effort_left) {
		document->effort_left -= cost;
		return true;
	}
	if (document->effort_left)
		config_error(document->d->report, document->root,
			     "its references repeat more than %d values; refer to smaller objects, or remove "
			     "operations",
			     LIMIT_OPENAPI_EFFORT);
	document->effort_left = 0;
	return false;
}

/* A part of a JSON pointer in a URL: RFC 6901 4 and 6. NULL without memory, or if it is malformed. */
static const struct yaml_node *step(struct openapi_document *document, const struct yaml_node *at,
				    struct span part)
{
	const struct yaml_node *found = NULL;
	uint64_t index;
	struct text key;

	text_init(&key);
	for (size_t i = 0; i < part.len; i++) {
		char c = part.data[i];

		if (c == '%' && i + 2 < part.len && octet_is(part.data[i + 1], OCTET_HEX) &&
		    octet_is(part.data[i + 2], OCTET_HEX)) {
			c = (char)(octet_hex(part.data[i + 1]) << 4 | octet_hex(part.data[i + 2]));
			i += 2;
		} else if (c == '~' && i + 1 < part.len) {
			c = part.data[++i] == '1' ? '/' : '~';
		}
		text_char(&key, c);
	}
	if (text_error(&key))
		document->d->failed = true;
	else if (at->kind == YAML_MAP)
		found = yaml_get(at, text_span(&key));
	else if (at->kind == YAML_LIST && span_parse_u63(text_span(&key), &index) == 0)
		for (found = at->first; found && found->index != index;)
			found = found->next;
	text_done(&key);
	return found;
}

static const struct yaml_node *follow(struct openapi_document *document, const struct yaml_node *reference)
{
	const struct yaml_node *at = document->root;
	struct span path = reference->text, part;

	if (reference->kind != YAML_SCALAR || !span_starts(path, SPAN("#/"))) {
		config_error(document->d->report, reference,
			     "%s is not in this document; write it as one, with references that begin with "
			     "#/",
			     FOUND(reference));
		return NULL;
	}
	path = span_from(path, 2);
	while (at && span_split(&path, '/', &part)) {
		if (!openapi_spend(document, at->count + part.len))
			return NULL;
		at = step(document, at, part);
	}
	if (!at || yaml_is_null(at)) {
		config_error(document->d->report, reference,
			     "there is no %s in this document; add it, or correct the reference",
			     FOUND(reference));
		return NULL;
	}
	return at;
}

const struct yaml_node *openapi_resolve(struct openapi_document *document, const struct yaml_node *node)
{
	const struct yaml_node *reference, *at = node;

	if (at && !openapi_spend(document, at->count + 1))
		at = NULL;
	for (uint32_t i = 0; at && (reference = decode_get(at, "$ref")); i++) {
		if (i == OPENAPI_NESTING) {
			config_error(document->d->report, node,
				     "refers to itself, or to the end of more than %d references; write the "
				     "object in place",
				     OPENAPI_NESTING);
			at = NULL;
			break;
		}
		at = follow(document, reference);
		if (at && !openapi_spend(document, at->count + 1))
			at = NULL;
	}
	document->is_broken |= node && !at;
	return at;
}

/* -------------------------------------------------------------------------------- schemas */

static bool is_bool(const struct yaml_node *node)
{
	return node->kind == YAML_SCALAR && !node->is_quoted &&
	       (span_eq(node->text, SPAN("true")) || span_eq(node->text, SPAN("false")));
}

static bool is_one_of(struct span key, const char *const *keys, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (span_eq(key, span_str(keys[i])))
			return true;
	return false;
}

/* Not of JSON Schema, invalid there, or without meaning where references are resolved. */
static bool is_dropped(const struct yaml_node *member)
{
	static const char *const keys[] = { "nullable",	    "discriminator", "xml",
					    "externalDocs", "example",	     "definitions" };
	static const char *const no_bools[] = { "required", "exclusiveMinimum", "exclusiveMaximum" };

	return span_starts(member->key, SPAN("x-")) || span_starts(member->key, SPAN("$")) ||
	       is_one_of(member->key, keys, ARRAY_LEN(keys)) ||
	       (is_bool(member) && is_one_of(member->key, no_bools, ARRAY_LEN(no_bools)));
}

/* True if the operation cannot become a tool: the rest of it need not be written. */
static bool is_full(struct openapi_document *document, const struct text *out)
{
	document->is_too_large |= out->len > document->most_bytes || text_error(out);
	return document->is_too_large;
}

static void add_value(struct openapi_document *document, const struct yaml_node *node, struct text *out)
{
	document->is_too_large |= !node_json_add(node, VALUE_LEVELS, document->most_bytes, out);
}

/* The value of a keyword: a schema, a list of them, or another value. */
static void add_node(struct openapi_document *document, const struct yaml_node *node, struct text *out)
{
	bool is_list = node->kind == YAML_LIST && node->first && node->first->kind == YAML_MAP;

	if (node->kind != YAML_MAP && !is_list) {
		add_value(document, node, out);
	} else if (is_list) {
		text_char(out, '[');
		for (const struct yaml_node *child = node->first; child && !is_full(document, out);
		     child = child->next) {
			text_str(out, child == node->first ? "" : ",");
			openapi_schema_add(document, child, SPAN(""), out);
		}
		text_char(out, ']');
	} else {
		openapi_schema_add(document, node, SPAN(""), out);
	}
}

static void add_names(struct openapi_document *document, const struct yaml_node *map, struct text *out)
{
	text_char(out, '{');
	for (const struct yaml_node *child = map->first; child && !is_full(document, out);
	     child = child->next) {
		text_str(out, child == map->first ? "" : ",");
		json_quote(out, child->key);
		text_char(out, ':');
		openapi_schema_add(document, child, SPAN(""), out);
	}
	text_char(out, '}');
}

static void add_keyword(struct openapi_document *document, const struct yaml_node *schema,
			const struct yaml_node *member, struct text *out)
{
	static const char *const names[] = { "properties", "patternProperties", "dependentSchemas" };
	static const char *const values[] = { "default", "enum", "const", "examples" };
	bool may_be_null = member->kind == YAML_SCALAR && span_eq(member->key, SPAN("type")) &&
			   span_eq(openapi_text(schema, "nullable"), SPAN("true"));

	json_quote(out, member->key);
	text_str(out, may_be_null ? ":[" : ":");
	if (is_one_of(member->key, values, ARRAY_LEN(values)))
		add_value(document, member, out);
	else if (member->kind == YAML_MAP && is_one_of(member->key, names, ARRAY_LEN(names)))
		add_names(document, member, out);
	else
		add_node(document, member, out);
	text_str(out, may_be_null ? ",\"null\"]" : "");
}

static void add_map(struct openapi_document *document, const struct yaml_node *schema,
		    struct span description, struct text *out)
{
	const char *comma = description.len ? "," : "";

	if (description.len) {
		text_str(out, "\"description\":");
		json_quote(out, description);
	}
	for (const struct yaml_node *member = schema->first; member && !is_full(document, out);
	     member = member->next) {
		if (is_dropped(member) || (description.len && span_eq(member->key, SPAN("description"))))
			continue;
		text_str(out, comma);
		add_keyword(document, schema, member, out);
		comma = ",";
	}
}

static bool is_open(const struct openapi_document *document, const struct yaml_node *schema)
{
	for (uint32_t i = 0; i < document->open_count; i++)
		if (document->open_list[i] == schema)
			return true;
	return document->open_count == OPENAPI_NESTING;
}

void openapi_schema_add(struct openapi_document *document, const struct yaml_node *schema,
			struct span description, struct text *out)
{
	static const struct yaml_node any = { .kind = YAML_MAP };
	const struct yaml_node *target;

	if (is_full(document, out))
		return;
	target = document->is_broken ? NULL : openapi_resolve(document, schema);
	if (target && is_bool(target)) {
		text_add(out, target->text);
		return;
	}
	if (!target || target->kind != YAML_MAP || is_open(document, target))
		target = &any;
	text_char(out, '{');
	if (target != &any)
		document->open_list[document->open_count++] = target;
	add_map(document, target, description, out);
	document->open_count -= target != &any;
	text_char(out, '}');
}
