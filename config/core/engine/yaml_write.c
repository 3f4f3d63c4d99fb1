/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/engine/yaml_write.h"

enum { INDENT = 2 };

static void indent(struct text *out, unsigned columns)
{
	while (columns--)
		text_char(out, ' ');
}

/* ---- scalars */

static bool has_control(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.data[i] < ' ' || s.data[i] == 0x7f)
			return true;
	return false;
}

static void write_double_quoted(struct span s, struct text *out)
{
	text_char(out, '"');
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.data[i];

		if (c == '"' || c == '\\')
			text_fmt(out, "\\%c", c);
		else if (c == '\n')
			text_str(out, "\\n");
		else if (c < ' ' || c == 0x7f)
			text_fmt(out, "\\x%02x", c);
		else
			text_char(out, s.data[i]);
	}
	text_char(out, '"');
}

static void write_quoted(struct span s, struct text *out)
{
	if (has_control(s)) {
		write_double_quoted(s, out);
		return;
	}
	text_char(out, '\'');
	for (size_t i = 0; i < s.len; i++) {
		if (s.data[i] == '\'')
			text_char(out, '\'');
		text_char(out, s.data[i]);
	}
	text_char(out, '\'');
}

/* A plain scalar of several lines has line breaks if some of them were empty; then it is no number. */
static void write_scalar(const struct yaml_node *node, struct text *out)
{
	if (node->is_quoted || has_control(node->text))
		write_quoted(node->text, out);
	else
		text_add(out, node->text);
}

/* Whether a key was quoted is not known: only words of letters, digits and a few others stay plain. */
static void write_key(struct span key, struct text *out)
{
	bool is_plain = key.len > 0 && key.data[0] != '-';

	for (size_t i = 0; i < key.len; i++) {
		char c = key.data[i];

		is_plain &= (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			    c == '-' || c == '_' || c == '.' || c == '/';
	}
	if (is_plain)
		text_add(out, key);
	else
		write_quoted(key, out);
	text_char(out, ':');
}

/* ---- maps and lists */

static void write_value(const struct yaml_node *node, unsigned column, struct text *out);

static void write_members(const struct yaml_node *map, unsigned column, bool is_inline, struct text *out)
{
	yaml_each(member, map) {
		if (!is_inline)
			indent(out, column);
		is_inline = false;
		write_key(member->key, out);
		write_value(member, column, out);
	}
}

static void write_elements(const struct yaml_node *list, unsigned column, struct text *out)
{
	yaml_each(element, list) {
		indent(out, column);
		text_char(out, '-');
		if (element->kind == YAML_MAP && element->count) {
			text_char(out, ' ');
			write_members(element, column + INDENT, true, out);
		} else if (element->kind == YAML_LIST && element->count) {
			text_char(out, '\n');
			write_elements(element, column + INDENT, out);
		} else {
			write_value(element, column, out);
		}
	}
}

/* Behind "key:" or "-"; column: of the key. */
static void write_value(const struct yaml_node *node, unsigned column, struct text *out)
{
	if (node->kind == YAML_SCALAR) {
		if (node->text.len || node->is_quoted)
			text_char(out, ' ');
		write_scalar(node, out);
		text_char(out, '\n');
	} else if (!node->count) {
		text_str(out, node->kind == YAML_MAP ? " {}\n" : " []\n");
	} else if (node->kind == YAML_MAP) {
		text_char(out, '\n');
		write_members(node, column + INDENT, false, out);
	} else {
		text_char(out, '\n');
		write_elements(node, column, out);
	}
}

void yaml_write(const struct yaml_node *node, struct text *out)
{
	if (node->kind == YAML_MAP && node->count)
		write_members(node, 0, false, out);
	else if (node->kind == YAML_LIST && node->count)
		write_elements(node, 0, out);
	else
		write_value(node, 0, out);
}
