/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/expression/expression_json.h"

#include <errno.h>
#include <stdlib.h>

#include "user/base/limits.h"
#include "user/base/text.h"
#include "user/mcp/json/json_text.h"

static int read_value(struct span json, struct arena *arena, struct expression_value *ret);

static uint32_t count_of(struct span json)
{
	struct mcp_json_walk walk = mcp_json_walk_of(json);
	struct span key, value;
	uint32_t count = 0;

	while (mcp_json_next(&walk, &key, &value))
		count++;
	return count;
}

static int read_string(struct span inner, struct arena *arena, struct span *ret)
{
	struct text plain;
	int result;

	*ret = inner;
	if (span_find(inner, '\\') < 0)
		return 0;
	text_init(&plain);
	mcp_json_unescape(&plain, inner);
	*ret = arena_copy(arena, text_span(&plain));
	result = text_error(&plain);
	text_done(&plain);
	return ret->data ? result : -ENOMEM;
}

/* The text was checked, so that it is a number; one that is too large for a double is infinite. */
static int read_number(struct span json, struct expression_value *ret)
{
	bool is_negative = json.data[0] == '-';
	char copy[128];
	uint64_t whole;

	if (span_parse_u63(span_from(json, is_negative), &whole) == 0) {
		*ret = expression_int(is_negative ? -(int64_t)whole : (int64_t)whole);
		return 0;
	}
	if (json.len >= sizeof(copy))
		return -EBADMSG;
	memcpy(copy, json.data, json.len);
	copy[json.len] = '\0';
	*ret = expression_double(strtod(copy, NULL));
	return 0;
}

static int read_array(struct span json, struct arena *arena, struct expression_value *ret)
{
	uint32_t count = count_of(json), i = 0;
	struct expression_value *items = arena_take(arena, count * sizeof(*items));
	struct mcp_json_walk walk = mcp_json_walk_of(json);
	struct span key, value;
	int result = items ? 0 : -ENOMEM;

	while (result == 0 && i < count && mcp_json_next(&walk, &key, &value))
		result = read_value(value, arena, &items[i++]);
	*ret = (struct expression_value){ .type = EXPRESSION_LIST, .count = i, .items = items };
	return result;
}

static int read_object(struct span json, struct arena *arena, struct expression_value *ret)
{
	uint32_t count = count_of(json), i = 0;
	struct expression_member *members = arena_take(arena, count * sizeof(*members));
	struct mcp_json_walk walk = mcp_json_walk_of(json);
	struct span key, value;
	int result = members ? 0 : -ENOMEM;

	for (; result == 0 && i < count && mcp_json_next(&walk, &key, &value); i++) {
		result = read_string(key, arena, &members[i].name);
		if (result == 0)
			result = read_value(value, arena, &members[i].value);
	}
	if (result == 0)
		result = expression_sort(members, i);
	*ret = (struct expression_value){ .type = EXPRESSION_MAP, .count = i, .members = members };
	return result;
}

static int read_value(struct span json, struct arena *arena, struct expression_value *ret)
{
	switch (mcp_json_type(json)) {
	case MCP_JSON_OBJECT:
		return read_object(json, arena, ret);
	case MCP_JSON_ARRAY:
		return read_array(json, arena, ret);
	case MCP_JSON_STRING:
		ret->type = EXPRESSION_TEXT;
		return read_string(mcp_json_string(json), arena, &ret->text);
	case MCP_JSON_NUMBER:
		return read_number(json, ret);
	case MCP_JSON_TRUE:
	case MCP_JSON_FALSE:
		*ret = expression_bool(mcp_json_type(json) == MCP_JSON_TRUE);
		return 0;
	case MCP_JSON_NULL:
		*ret = (struct expression_value){ .type = EXPRESSION_NULL };
		return 0;
	case MCP_JSON_NONE:
		break;
	}
	return -EBADMSG;
}

static int by_name(const void *a, const void *b)
{
	const struct expression_member *x = a, *y = b;

	return span_compare(x->name, y->name);
}

int expression_sort(struct expression_member *members, uint32_t count)
{
	qsort(members, count, sizeof(*members), by_name);
	for (uint32_t i = 1; i < count; i++) {
		if (span_eq(members[i - 1].name, members[i].name))
			return -EBADMSG;
	}
	return 0;
}

static int copy_list(const struct expression_value *from, struct arena *arena, struct expression_value *ret)
{
	struct expression_value *items = arena_take(arena, from->count * sizeof(*items));
	int error = items ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < from->count && !error; i++)
		error = expression_copy(&from->items[i], arena, &items[i]);
	ret->items = items;
	return error;
}

static int copy_map(const struct expression_value *from, struct arena *arena, struct expression_value *ret)
{
	struct expression_member *members = arena_take(arena, from->count * sizeof(*members));
	int error = members ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < from->count && !error; i++) {
		members[i].name = arena_copy(arena, from->members[i].name);
		error = members[i].name.data
				? expression_copy(&from->members[i].value, arena, &members[i].value)
				: -ENOMEM;
	}
	ret->members = members;
	return error;
}

int expression_copy(const struct expression_value *from, struct arena *arena, struct expression_value *ret)
{
	*ret = *from;
	switch (from->type) {
	case EXPRESSION_TEXT:
		ret->text = arena_copy(arena, from->text);
		return ret->text.data ? 0 : -ENOMEM;
	case EXPRESSION_LIST:
		return copy_list(from, arena, ret);
	case EXPRESSION_MAP:
		return copy_map(from, arena, ret);
	case EXPRESSION_HEADERS:
		*ret = (struct expression_value){ .type = EXPRESSION_NULL };
		return 0;
	default:
		return 0;
	}
}

size_t expression_size(const struct expression_value *value, size_t most)
{
	size_t bytes = sizeof(*value);

	if (value->type == EXPRESSION_TEXT)
		bytes += value->text.len;
	for (uint32_t i = 0; value->type == EXPRESSION_LIST && i < value->count && bytes <= most; i++)
		bytes += expression_size(&value->items[i], most - bytes);
	for (uint32_t i = 0; value->type == EXPRESSION_MAP && i < value->count && bytes <= most; i++) {
		bytes += sizeof(struct span) + value->members[i].name.len;
		if (bytes <= most)
			bytes += expression_size(&value->members[i].value, most - bytes);
	}
	return bytes;
}

/* Each value but the first has a comma, bracket or brace before it. */
bool expression_json_is_small(struct span text)
{
	size_t count = 0;

	for (size_t i = 0; i < text.len; i++)
		count += text.data[i] == ',' || text.data[i] == '[' || text.data[i] == '{';
	return count < LIMIT_EXPRESSION_JSON_VALUES;
}

int expression_json(struct span text, struct mcp_json_checker *checker, struct arena *arena,
		    struct expression_value *ret_value)
{
	int result = mcp_json_check(checker, text);

	return result ? result : read_value(mcp_json_trim(text), arena, ret_value);
}
