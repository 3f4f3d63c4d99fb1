/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/values/condition.h"

#include <errno.h>

#include "user/base/check.h"

const struct expression *value_expression(struct decoder *d, const struct yaml_node *node, struct span text,
					  enum expression_point point)
{
	struct expression *expression = decode_take(d, 1, sizeof(*expression));
	char error[EXPRESSION_ERROR_BYTES];
	int result;

	if (!expression || !text.data)
		return NULL;
	result = expression_compile(text, point, d->arena, expression, error);
	if (result == -ENOMEM)
		d->failed = true;
	else if (result < 0)
		config_error(d->report, node, "the expression %s is not understood %s", QUOTE(text), error);
	return result < 0 ? NULL : expression;
}

const struct expression *value_condition(struct decoder *d, const struct yaml_node *node, struct span text,
					 enum expression_point point)
{
	const struct expression *expression = value_expression(d, node, text, point);

	if (!expression || expression_is_condition(expression))
		return expression;
	config_error(d->report, node, "the expression %s gives %s; write a condition such as %s", QUOTE(text),
		     expression_type_name(expression->type),
		     point == EXPRESSION_AT_RESPONSE ? "response.code >= 500" : "request.method == \"GET\"");
	return NULL;
}

bool value_request_condition(struct decoder *d, const struct yaml_node *node, void *member)
{
	struct policy_condition *condition = container_of(member, struct policy_condition, text);

	if (!decode_lines(d, node, &condition->text))
		return false;
	condition->expression = value_condition(d, node, condition->text, EXPRESSION_AT_REQUEST);
	return condition->expression != NULL;
}

/* -------------------------------------------------------------------------------- several forms */

bool value_has_cases(const struct yaml_node *node)
{
	return decode_get(node, "conditional") != NULL;
}

bool value_cases(struct decoder *d, const struct yaml_node *node, const struct schema *entry, void *ret_list,
		 uint32_t *ret_count)
{
	const struct yaml_node *list = decode_get(node, "conditional");
	char *cases;

	yaml_each(member, node)
		if (!span_eq(member->key, SPAN("conditional")))
			config_error_key(d->report, member,
					 "stands beside `conditional`, whose entries have all keys; write it "
					 "into each entry, or into a last one without condition");
	if (!decode_list(d, list))
		return false;
	if (!list->count) {
		config_error(d->report, list, "is empty; write conditional: [{condition: ..., ...}]");
		return false;
	}
	cases = decode_take(d, list->count, entry->size_bytes);
	if (!cases)
		return false;
	yaml_each(child, list) {
		void *object = cases + child->index * entry->size_bytes;

		schema_default(entry, object);
		schema_decode(d, child, entry, object);
		if (!decode_get(child, "condition") && child->next)
			config_error(d->report, child,
				     "has no condition, so the entries behind it would never count; write "
				     "condition, or make it the last one");
	}
	*(void **)ret_list = cases;
	*ret_count = list->count;
	return true;
}

bool value_no_case(struct decoder *d, const struct yaml_node *node, void *element)
{
	(void)d;
	(void)node;
	(void)element;
	return false;
}

/* -------------------------------------------------------------------------------- names with expressions */

static const struct yaml_node *value_node(const struct decoder *d, const struct yaml_node *pair)
{
	return d->is_manifest ? decode_get(pair, "value") : pair;
}

bool value_pair(struct decoder *d, const struct yaml_node *node, const struct yaml_node **ret_name_node,
		struct span *ret_name, struct span *ret_value)
{
	static const struct decode_key keys[] = { KEY("name"), KEY("value") };

	*ret_name_node = node;
	*ret_name = node->key;
	if (d->is_manifest) {
		if (!DECODE_MAP(d, node, keys))
			return false;
		*ret_name_node = decode_need(d, node, "name", "write the name of the header");
		if (!decode_need(d, node, "value", "write an expression") ||
		    !decode_string(d, *ret_name_node, ret_name))
			return false;
	}
	return decode_lines(d, value_node(d, node), ret_value);
}

const struct expression **value_pairs_compile(struct decoder *d, const struct yaml_node *nodes,
					      enum expression_point point, const struct header_pair *list,
					      uint32_t count, uint32_t *needs)
{
	const struct expression **expressions;
	uint32_t at = 0;

	if (!nodes || count != nodes->count)
		return NULL;
	expressions = decode_take(d, count, sizeof(*expressions));
	if (!expressions)
		return NULL;
	yaml_each(node, nodes) {
		const struct expression *expression =
			value_expression(d, value_node(d, node), list[at].value, point);

		*needs |= expression ? expression->needs : 0;
		expressions[at++] = expression;
	}
	return expressions;
}
