/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/values/route_value.h"

#include <errno.h>

#include "config/core/values/values.h"
#include "policy/match/match_regex.h"
#include "policy/match/match_value.h"
#include "user/base/check.h"
#include "user/base/limits.h"

bool route_value_regex_compiles(struct decoder *d, const struct yaml_node *node, struct span pattern,
				size_t memory_bytes)
{
	struct match_regex *regex;
	struct text reason;
	int r;

	text_init(&reason);
	r = match_regex_create(pattern, memory_bytes, &regex, &reason);
	if (r == 0)
		match_regex_free(regex);
	else if (r == -ENOMEM || text_error(&reason) < 0)
		d->failed = true;
	else
		config_error(d->report, node, "the regular expression %s does not compile: %.*s",
			     QUOTE(pattern), SPAN_FMT(text_span(&reason)));
	text_done(&reason);
	return r == 0;
}

bool route_value_regex(struct decoder *d, const struct yaml_node *node, struct span *ret)
{
	struct span s;

	if (!decode_string(d, node, &s))
		return false;
	if (s.len == 0 || s.len > LIMIT_ROUTE_REGEX_BYTES) {
		config_error(d->report, node, "a regular expression has 1 to %d bytes, this one has %zu",
			     LIMIT_ROUTE_REGEX_BYTES, s.len);
		return false;
	}
	/* policy_compile() would refuse the configuration, and knows no nodes. */
	if (d->is_manifest && !route_value_regex_compiles(d, node, s, match_regex_memory(1)))
		return false;
	s = decode_keep(d, s);
	if (!s.data)
		return false;
	*ret = s;
	return true;
}

bool route_value_hostname(struct decoder *d, const struct yaml_node *node, void *ret)
{
	return value_hostname(d, node, true, ret);
}

/* -------------------------------------------------------------------------------- headers and query */

static bool decode_exact(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct text_match *match = container_of(ret, struct text_match, value);

	match->where = config_where(d->arena, node);
	if (!decode_string(d, node, &match->value))
		return false;
	match->value = decode_keep(d, match->value);
	return match->value.data != NULL;
}

static bool decode_regex(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct text_match *match = container_of(ret, struct text_match, value);

	match->where = config_where(d->arena, node);
	return route_value_regex(d, node, ret);
}

/* The previous row decodes the type. */
static bool decode_typed(struct decoder *d, const struct yaml_node *node, void *ret)
{
	const struct text_match *match = container_of(ret, struct text_match, value);

	return match->kind == TEXT_REGEX ? decode_regex(d, node, ret) : decode_exact(d, node, ret);
}

static const struct schema_row text_rows[] = {
	{ "exact", AS_TEXT(struct text_match, value), ONE_OF(struct text_match, kind, TEXT_EXACT),
	  .decode = decode_exact, .doc = "all of it" },
	{ "regex", AS_TEXT(struct text_match, value), ONE_OF(struct text_match, kind, TEXT_REGEX),
	  .decode = decode_regex, .doc = "all of it, [below](#regular-expressions)" },
};
static const struct schema text_schema = SCHEMA(text_rows, struct text_match, .is_one_of = true);

static const struct schema_row condition_rows[] = {
	{ "type", AS_WORD(struct text_match, kind), WORDS("Exact", "RegularExpression"),
	  .style = STYLE_MANIFEST },
	{ "name", AS_TEXT(struct text_match, name), .need = "write the name of the header or query parameter",
	  .doc = "of a header, also `:method`, `:path`, `:authority`, `:scheme`" },
	{ "value", AS_SECTION(struct text_match, &text_schema), .style = STYLE_STANDALONE,
	  .need = "write value: {exact: \"...\"} or value: {regex: \"...\"}" },
	{ "value", AS_TEXT(struct text_match, value), .style = STYLE_MANIFEST, .decode = decode_typed,
	  .need = "write the value to compare with" },
};
const struct schema condition_schema = SCHEMA(condition_rows, struct text_match);

bool route_value_query(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct text_match match = { 0 };

	if (!schema_decode(d, node, &condition_schema, &match) || !match.name.len || !match.value.data)
		return false;
	*(struct text_match *)ret = match;
	return true;
}

bool route_value_header(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct text_match *match = ret;

	if (!route_value_query(d, node, ret))
		return false;
	if (d->is_manifest && match->name.data[0] == ':' && !match_pseudo_is_known(match->name)) {
		config_error(d->report, node,
			     "there is no pseudo header %s; write :method, :path, :authority or :scheme",
			     QUOTE(match->name));
		return false;
	}
	match->name = decode_lower(d, match->name);
	return match->name.data != NULL;
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
