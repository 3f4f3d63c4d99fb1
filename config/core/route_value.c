/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/route_value.h"

#include "config/core/values.h"
#include "user/base/check.h"

#define WEIGHT_MAX 1000000u

void route_value_hostnames(struct decoder *d, const struct yaml_node *list, struct span **ret_list,
			   uint32_t *ret_count)
{
	struct span *names;
	uint32_t count = 0;

	if (!decode_list(d, list))
		return;
	names = decode_take(d, list->count, sizeof(*names));
	if (!names)
		return;
	yaml_each(node, list)
		if (value_hostname(d, node, true, &names[count]))
			count++;
	*ret_list = names;
	*ret_count = count;
}

/* -------------------------------------------------------------------------------- headers and query */

/* {exact: ...} or {regex: ...}; NULL after an error. */
static const struct yaml_node *standalone_value(struct decoder *d, const struct yaml_node *node,
						enum text_match_kind *ret_kind)
{
	static const struct decode_key keys[] = { KEY("exact"), KEY("regex") };
	static const char *const choices[] = { "exact", "regex" };
	const struct yaml_node *value, *chosen;
	unsigned index;

	value = decode_need(d, node, "value", "write value: {exact: \"...\"} or value: {regex: \"...\"}");
	if (!DECODE_MAP(d, value, keys))
		return NULL;
	chosen = decode_choice(d, value, choices, ARRAY_LEN(choices), &index);
	if (chosen)
		*ret_kind = index == 0 ? TEXT_EXACT : TEXT_REGEX;
	return chosen;
}

static const struct yaml_node *manifest_value(struct decoder *d, const struct yaml_node *node,
					      enum text_match_kind *ret_kind)
{
	static const char *const types[] = { "Exact", "RegularExpression" };
	unsigned index = 0;

	DECODE_WORD(d, decode_get(node, "type"), types, &index);
	*ret_kind = index == 0 ? TEXT_EXACT : TEXT_REGEX;
	return decode_need(d, node, "value", "write the value to compare with");
}

static bool text_condition(struct decoder *d, const struct yaml_node *node, bool is_header,
			   struct text_match *ret)
{
	static const struct decode_key standalone_keys[] = { KEY("name"), KEY("value") };
	static const struct decode_key manifest_keys[] = { KEY("type"), KEY("name"), KEY("value") };
	const struct yaml_node *value;
	struct span name;
	bool is_good;

	if (!(d->is_manifest ? DECODE_MAP(d, node, manifest_keys) : DECODE_MAP(d, node, standalone_keys)))
		return false;
	is_good = decode_name(d,
			      decode_need(d, node, "name",
					  is_header ? "write the name of the header"
						    : "write the name of the query parameter"),
			      &name);
	value = d->is_manifest ? manifest_value(d, node, &ret->kind) : standalone_value(d, node, &ret->kind);
	if (!is_good || !value)
		return false;
	ret->name = is_header ? decode_lower(d, name) : name;
	ret->where = config_where(d->arena, value);
	if (ret->kind == TEXT_REGEX)
		return value_regex(d, value, &ret->value);
	if (!decode_string(d, value, &ret->value))
		return false;
	ret->value = decode_keep(d, ret->value);
	return ret->value.data != NULL;
}

static void text_conditions(struct decoder *d, const struct yaml_node *list, bool is_header,
			    struct text_match **ret_list, uint32_t *ret_count)
{
	struct text_match *texts;
	uint32_t count = 0;

	if (!decode_list(d, list))
		return;
	texts = decode_take(d, list->count, sizeof(*texts));
	if (!texts)
		return;
	yaml_each(node, list)
		if (text_condition(d, node, is_header, &texts[count]))
			count++;
	*ret_list = texts;
	*ret_count = count;
}

void route_value_headers(struct decoder *d, const struct yaml_node *list, struct route_match *match)
{
	text_conditions(d, list, true, &match->header_list, &match->header_count);
}

void route_value_query(struct decoder *d, const struct yaml_node *list, struct route_match *match)
{
	text_conditions(d, list, false, &match->query_list, &match->query_count);
}

/* -------------------------------------------------------------------------------- matches, weights */

void route_value_matches(struct decoder *d, const struct yaml_node *list,
			 void (*decode)(struct decoder *d, const struct yaml_node *node,
					struct route_match *match),
			 struct route *route)
{
	uint32_t count = list && decode_list(d, list) && list->count ? list->count : 1;

	route->match_list = decode_take(d, count, sizeof(*route->match_list));
	if (!route->match_list)
		return;
	route->match_count = count;
	for (uint32_t i = 0; i < count; i++) {
		route->match_list[i].path_kind = PATH_PREFIX_SEGMENTS;
		route->match_list[i].path = SPAN("/");
	}
	if (!list || list->kind != YAML_LIST)
		return;
	yaml_each(node, list)
		decode(d, node, &route->match_list[node->index]);
}

void route_value_weight(struct decoder *d, const struct yaml_node *node, uint64_t *ret)
{
	*ret = 1;
	decode_u64(d, node, 0, WEIGHT_MAX, ret);
}
