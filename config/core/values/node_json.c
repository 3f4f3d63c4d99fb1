/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/values/node_json.h"

#include "user/base/json_writer.h"

enum { DEPTH_MAX = 16 };

static size_t digits_length(struct span s)
{
	size_t len = 0;

	while (len < s.len && s.data[len] >= '0' && s.data[len] <= '9')
		len++;
	return len;
}

/* RFC 8259 6. */
static bool is_number(struct span s)
{
	size_t len;

	if (s.len && s.data[0] == '-')
		s = span_from(s, 1);
	len = digits_length(s);
	if (len == 0 || (len > 1 && s.data[0] == '0'))
		return false;
	s = span_from(s, len);
	if (s.len && s.data[0] == '.') {
		len = digits_length(span_from(s, 1));
		if (len == 0)
			return false;
		s = span_from(s, 1 + len);
	}
	if (s.len && (s.data[0] == 'e' || s.data[0] == 'E')) {
		s = span_from(s, 1);
		if (s.len && (s.data[0] == '-' || s.data[0] == '+'))
			s = span_from(s, 1);
		len = digits_length(s);
		if (len == 0)
			return false;
		s = span_from(s, len);
	}
	return s.len == 0;
}

static void add_scalar(const struct yaml_node *node, struct text *out)
{
	if (yaml_is_null(node))
		text_str(out, "null");
	else if (!node->is_quoted && (span_eq(node->text, SPAN("true")) ||
				      span_eq(node->text, SPAN("false")) || is_number(node->text)))
		text_add(out, node->text);
	else
		json_quote(out, node->text);
}

bool node_json_add(const struct yaml_node *node, uint32_t levels, size_t most_bytes, struct text *out)
{
	bool is_map = node->kind == YAML_MAP, is_valid = levels > 0;

	if (node->kind == YAML_SCALAR) {
		add_scalar(node, out);
		return out->len <= most_bytes;
	}
	text_char(out, is_map ? '{' : '[');
	for (const struct yaml_node *child = node->first; child && is_valid; child = child->next) {
		if (child != node->first)
			text_char(out, ',');
		if (is_map) {
			json_quote(out, child->key);
			text_char(out, ':');
		}
		is_valid = out->len <= most_bytes && node_json_add(child, levels - 1, most_bytes, out);
	}
	text_char(out, is_map ? '}' : ']');
	return is_valid;
}

bool node_json(struct decoder *d, const struct yaml_node *node, struct span *ret)
{
	struct span kept = { 0 };
	struct text text;
	bool is_valid;

	text_init(&text);
	is_valid = node_json_add(node, DEPTH_MAX, SIZE_MAX, &text);
	if (!is_valid)
		config_error(d->report, node, "has more than %d levels of maps and lists", DEPTH_MAX);
	else if (text_error(&text))
		d->failed = true;
	else
		kept = decode_keep(d, text_span(&text));
	text_done(&text);
	*ret = kept;
	return kept.data != NULL;
}
