/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/values/named_value.h"

#include "config/core/values/condition.h"
#include "config/core/values/transform_value.h"
#include "user/base/char_class.h"
#include "user/base/limits.h"

bool value_named(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct header_pair *pair = ret;

	return transform_value_name(d, node, node->key, &pair->name) && decode_lines(d, node, &pair->value);
}

bool value_metadatum(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct header_pair *pair = ret;

	pair->name = decode_keep(d, node->key);
	return pair->name.data && decode_lines(d, node, &pair->value);
}

bool value_map_of(struct decoder *d, const struct yaml_node *node,
		  bool (*element)(struct decoder *d, const struct yaml_node *node, void *element),
		  struct header_pair **ret_list, uint32_t *ret_count)
{
	if (!decode_any_map(d, node))
		return false;
	if (node->count > LIMIT_CALLOUT_NAMES) {
		config_error(d->report, node, "has %u entries; %d are the most", node->count,
			     LIMIT_CALLOUT_NAMES);
		return false;
	}
	return schema_decode_list(d, node, element, sizeof(**ret_list), ret_list, ret_count);
}

void value_named_compile(struct decoder *d, const struct yaml_node *nodes, struct named_expressions *named,
			 enum expression_point point,
			 const struct yaml_node *(*value_of)(const struct decoder *d,
							     const struct yaml_node *node))
{
	const struct expression **list = decode_take(d, named->count, sizeof(*list));
	uint32_t at = 0;

	if (!list || !nodes || named->count != nodes->count)
		return;
	yaml_each(node, nodes) {
		list[at] = value_expression(d, value_of(d, node), named->list[at].value, point);
		at++;
	}
	named->expression_list = list;
}

const struct yaml_node *value_itself(const struct decoder *d, const struct yaml_node *node)
{
	(void)d;
	return node;
}

bool value_field_name(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct span name;

	if (!decode_name(d, node, &name))
		return false;
	if (!char_class_is_token(name)) {
		config_error(d->report, node, "%s is not the name of a header; write one such as cookie",
			     QUOTE(name));
		return false;
	}
	*(struct span *)ret = decode_lower(d, name);
	return true;
}
