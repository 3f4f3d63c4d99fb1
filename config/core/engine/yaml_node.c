/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/engine/yaml_node.h"

#include "user/base/check.h"

static void set_document(struct yaml_node *node, const struct yaml_document *document)
{
	node->document = document;
	for (struct yaml_node *child = node->first; child; child = child->next)
		set_document(child, document);
}

struct yaml_document *yaml_detach(struct arena *arena, struct yaml_node *node)
{
	struct yaml_document *document = arena_take(arena, sizeof(*document));

	if (!document)
		return NULL;
	document->file = node->document->file;
	document->root = node;
	node->parent = NULL;
	set_document(node, document);
	return document;
}

bool yaml_is_null(const struct yaml_node *node)
{
	static const char *const words[] = { "", "~", "null", "Null", "NULL" };

	if (node->kind != YAML_SCALAR || node->is_quoted)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (span_eq(node->text, span_str(words[i])))
			return true;
	return false;
}

const struct yaml_node *yaml_get(const struct yaml_node *map, struct span key)
{
	if (map->kind != YAML_MAP)
		return NULL;
	yaml_each(child, map)
		if (span_eq(child->key, key))
			return child;
	return NULL;
}

const char *yaml_kind_name(const struct yaml_node *node)
{
	switch (node->kind) {
	case YAML_MAP:
		return "a map";
	case YAML_LIST:
		return "a list";
	case YAML_SCALAR:
		break;
	}
	return yaml_is_null(node) ? "nothing" : "a single value";
}

static bool is_path_word(struct span key)
{
	for (size_t i = 0; i < key.len; i++) {
		char c = key.data[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '_' || c == '-'))
			return false;
	}
	return key.len > 0;
}

void yaml_path(const struct yaml_node *node, struct text *out)
{
	if (!node->parent)
		return;
	yaml_path(node->parent, out);
	if (node->parent->kind == YAML_LIST) {
		text_fmt(out, "[%u]", node->index);
	} else if (is_path_word(node->key)) {
		if (node->parent->parent)
			text_char(out, '.');
		text_add(out, node->key);
	} else {
		text_str(out, "[\"");
		text_escaped(out, node->key);
		text_str(out, "\"]");
	}
}
