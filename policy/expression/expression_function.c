/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/expression/expression_function.h"

#include <stdlib.h>

#include "policy/expression/expression_fact.h"
#include "policy/expression/expression_ip.h"
#include "policy/match/match_regex.h"
#include "policy/match/match_value.h"
#include "user/base/char_class.h"

/* ---- texts */

static struct expression_value call_starts_with(struct evaluation *e, const struct expression_value *values)
{
	(void)e;
	return expression_bool(span_starts(values[0].text, values[1].text));
}

static struct expression_value call_ends_with(struct evaluation *e, const struct expression_value *values)
{
	(void)e;
	return expression_bool(span_ends(values[0].text, values[1].text));
}

/* The first place, or NULL. */
static const char *find(struct span text, struct span part)
{
	if (!part.len)
		return text.data ? text.data : "";
	return text.len ? memmem(text.data, text.len, part.data, part.len) : NULL;
}

static struct expression_value call_contains(struct evaluation *e, const struct expression_value *values)
{
	if (!run_bytes(e, values[0].text.len))
		return expression_no_value;
	return expression_bool(find(values[0].text, values[1].text));
}

struct expression_value function_matches(struct evaluation *e, const struct match_regex *regex,
					 struct span text)
{
	enum match_result result;

	/* Of the steps of the automaton (LIMIT_REGEX_STEPS) so many cost as much as one of ours. */
	if (!run_steps(e, 1 + text.len * match_regex_size(regex) / 64))
		return expression_no_value;
	result = match_regex_search(regex, text);
	return result == MATCH_GAVE_UP ? run_give_up(e) : expression_bool(result == MATCH_YES);
}

/* Bytes before which a character begins: all but the following ones of UTF-8 (RFC 3629 3). */
static bool is_start(char c)
{
	return ((unsigned char)c & 0xc0) != 0x80;
}

static struct expression_value call_size(struct evaluation *e, const struct expression_value *values)
{
	int64_t count = 0;

	if (values[0].type != EXPRESSION_TEXT)
		return expression_int(values[0].count);
	if (!run_bytes(e, values[0].text.len))
		return expression_no_value;
	for (size_t i = 0; i < values[0].text.len; i++)
		count += is_start(values[0].text.data[i]);
	return expression_int(count);
}

static struct expression_value change_case(struct evaluation *e, struct span text, char first, char last)
{
	char *bytes = run_take_bytes(e, text.len);

	if (!bytes)
		return expression_no_value;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];

		bytes[i] = c >= first && c <= last ? (char)(c ^ 0x20) : c;
	}
	return expression_span(span_of(bytes, text.len));
}

static struct expression_value call_lower(struct evaluation *e, const struct expression_value *values)
{
	return change_case(e, values[0].text, 'A', 'Z');
}

static struct expression_value call_upper(struct evaluation *e, const struct expression_value *values)
{
	return change_case(e, values[0].text, 'a', 'z');
}

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct expression_value call_trim(struct evaluation *e, const struct expression_value *values)
{
	struct span text = values[0].text;

	if (!run_bytes(e, text.len))
		return expression_no_value;
	while (text.len && is_blank(text.data[0]))
		text = span_from(text, 1);
	while (text.len && is_blank(text.data[text.len - 1]))
		text.len--;
	return expression_span(text);
}

/* The number of separators, at most `most`. */
static size_t count_parts(struct span text, struct span separator, size_t most)
{
	size_t count = 0;
	const char *at;

	while (count < most && (at = find(text, separator))) {
		text = span_from(text, (size_t)(at - text.data) + separator.len);
		count++;
	}
	return count;
}

static struct expression_value call_split(struct evaluation *e, const struct expression_value *values)
{
	bool has_limit = values[2].type == EXPRESSION_INT && values[2].whole >= 0;
	size_t most = has_limit ? (size_t)values[2].whole : SIZE_MAX, count;
	struct span text = values[0].text, separator = values[1].text;
	struct expression_value *items;

	if (!separator.len || !run_bytes(e, text.len))
		return expression_no_value;
	count = most ? 1 + count_parts(text, separator, most - 1) : 0;
	items = run_take_values(e, count);
	if (!items)
		return expression_no_value;
	for (size_t i = 0; i < count; i++) {
		const char *at = i + 1 < count ? find(text, separator) : NULL;
		size_t len = at ? (size_t)(at - text.data) : text.len;

		items[i] = expression_span(span_first(text, len));
		text = span_from(text, len + separator.len);
	}
	return (struct expression_value){ .type = EXPRESSION_LIST, .count = (uint32_t)count, .items = items };
}

/* The byte where character `index` begins; the length behind the last one; -1: beyond. */
static ptrdiff_t byte_of(struct span text, int64_t index)
{
	for (size_t i = 0; i < text.len; i++) {
		if (is_start(text.data[i]) && index-- == 0)
			return (ptrdiff_t)i;
	}
	return index == 0 ? (ptrdiff_t)text.len : -1;
}

static struct expression_value call_substring(struct evaluation *e, const struct expression_value *values)
{
	struct span text = values[0].text;
	ptrdiff_t start, end = (ptrdiff_t)text.len;

	if (values[1].whole < 0 || !run_bytes(e, text.len))
		return expression_no_value;
	start = byte_of(text, values[1].whole);
	if (values[2].type == EXPRESSION_INT)
		end = values[2].whole < 0 ? -1 : byte_of(text, values[2].whole);
	if (start < 0 || end < start)
		return expression_no_value;
	return expression_span(span_from(span_first(text, (size_t)end), (size_t)start));
}

static struct expression_value call_replace(struct evaluation *e, const struct expression_value *values)
{
	struct span text = values[0].text, old = values[1].text, now = values[2].text;
	size_t count, len = 0;
	char *bytes;

	if (!old.len || !run_bytes(e, text.len))
		return values[0];
	count = count_parts(text, old, SIZE_MAX);
	/* Their product fits. */
	if (count > UINT32_MAX || now.len > UINT32_MAX)
		return run_give_up(e);
	bytes = run_take_bytes(e, text.len - count * old.len + count * now.len);
	if (!bytes)
		return expression_no_value;
	for (; count; count--) {
		size_t before = (size_t)(find(text, old) - text.data);

		memcpy(bytes + len, text.data, before);
		len += before;
		if (now.len)
			memcpy(bytes + len, now.data, now.len);
		len += now.len;
		text = span_from(text, before + old.len);
	}
	if (text.len)
		memcpy(bytes + len, text.data, text.len);
	return expression_span(span_of(bytes, len + text.len));
}

/* ---- maps */

/* Both are in the order of their names, and so is the result: expression_member() relies on that. */
static struct expression_value call_merge(struct evaluation *e, const struct expression_value *values)
{
	const struct expression_value *old = &values[0], *new = &values[1];
	struct expression_member *members = run_take_members(e, (size_t)old->count + new->count);
	uint32_t i = 0, j = 0, count = 0;

	while (members && (i < old->count || j < new->count)) {
		int order = i == old->count   ? 1
			    : j == new->count ? -1
					      : span_compare(old->members[i].name, new->members[j].name);

		members[count] = order < 0 ? old->members[i] : new->members[j];
		i += order <= 0;
		j += order >= 0;
		if (!run_bytes(e, members[count++].name.len))
			return expression_no_value;
	}
	return members ? (struct expression_value){ .type = EXPRESSION_MAP,
						    .count = count,
						    .members = members }
		       : expression_no_value;
}

/* ---- parts of a request */

static struct expression_value call_cookie(struct evaluation *e, const struct expression_value *values)
{
	return fact_cookie(e, values[0].fields, values[1].text);
}

/* Into `bytes`, which has room for all of it; returns the length. */
static size_t form_decode(struct span encoded, char *bytes)
{
	size_t len = 0;

	for (size_t at = 0; at < encoded.len;)
		bytes[len++] = match_form_next(encoded, &at);
	return len;
}

static bool form_is(struct span encoded, struct span plain)
{
	size_t at = 0, i = 0;

	while (at < encoded.len) {
		if (i == plain.len || match_form_next(encoded, &at) != plain.data[i])
			return false;
		i++;
	}
	return i == plain.len;
}

/* The next parameter of that name, still encoded. */
static bool query_next(struct span *rest, struct span name, struct span *ret_value)
{
	struct span pair;

	while (rest->len && span_split(rest, '&', &pair)) {
		ptrdiff_t equal = span_find(pair, '=');
		struct span key = equal < 0 ? pair : span_first(pair, (size_t)equal);

		if (!form_is(key, name))
			continue;
		*ret_value = equal < 0 ? span_from(pair, pair.len) : span_from(pair, (size_t)equal + 1);
		return true;
	}
	return false;
}

static struct span query_of(struct span text)
{
	ptrdiff_t mark = span_find(text, '?');
	struct span query = mark < 0 ? span_from(text, text.len) : span_from(text, (size_t)mark + 1);
	ptrdiff_t hash = span_find(query, '#');

	return hash < 0 ? query : span_first(query, (size_t)hash);
}

static struct expression_value call_query(struct evaluation *e, const struct expression_value *values)
{
	struct span query = query_of(values[0].text), rest = query, value;
	struct expression_value *items;
	uint32_t count = 0;

	if (!run_bytes(e, query.len))
		return expression_no_value;
	while (query_next(&rest, values[1].text, &value))
		count++;
	items = count ? run_take_values(e, count) : NULL;
	if (!items)
		return expression_no_value;
	rest = query;
	for (uint32_t i = 0; query_next(&rest, values[1].text, &value); i++) {
		char *bytes = run_take_bytes(e, value.len);
		size_t len;

		if (!bytes)
			return expression_no_value;
		len = form_decode(value, bytes);
		run_keep_bytes(e, bytes, len);
		items[i] = expression_span(span_of(bytes, len));
	}
	return (struct expression_value){ .type = EXPRESSION_LIST, .count = count, .items = items };
}

/* ---- addresses */

static struct expression_value call_contains_ip(struct evaluation *e, const struct expression_value *values)
{
	(void)e;
	return expression_bool(expression_network_has(values[0], values[1]));
}

static struct expression_value call_ip(struct evaluation *e, const struct expression_value *values)
{
	(void)e;
	return values[0];
}

static struct expression_value call_is_ip(struct evaluation *e, const struct expression_value *values)
{
	(void)e;
	return expression_bool(expression_ip_parse(values[0].text).type != EXPRESSION_NONE);
}

static struct expression_value call_ip_prefix(struct evaluation *e, const struct expression_value *values)
{
	(void)e;
	return expression_network_of(values[0], values[1].whole);
}

/* ---- conversions */

static struct expression_value call_string(struct evaluation *e, const struct expression_value *values)
{
	return run_text(e, values[0]);
}

static struct expression_value call_to_json(struct evaluation *e, const struct expression_value *values)
{
	return run_json(e, values[0]);
}

static struct expression_value text_to_int(struct span text)
{
	bool is_negative = text.len && text.data[0] == '-';
	uint64_t whole = 0;

	if (span_parse_u63(span_from(text, is_negative), &whole) != 0)
		return expression_no_value;
	return expression_int(is_negative ? -(int64_t)whole : (int64_t)whole);
}

/* Digits, a point, an exponent: what strtod() reads beyond that is no number in CEL. */
static struct expression_value text_to_double(struct span text)
{
	char copy[64], *end;
	double decimal;

	if (!text.len || text.len >= sizeof(copy))
		return expression_no_value;
	for (size_t i = 0; i < text.len; i++) {
		if (!octet_is(text.data[i], OCTET_DIGIT) && (!text.data[i] || !strchr("+-.eE", text.data[i])))
			return expression_no_value;
	}
	memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	decimal = strtod(copy, &end);
	return *end ? expression_no_value : expression_double(decimal);
}

static struct expression_value call_int(struct evaluation *e, const struct expression_value *values)
{
	double decimal = values[0].decimal;

	(void)e;
	if (values[0].type == EXPRESSION_TEXT)
		return text_to_int(values[0].text);
	if (values[0].type == EXPRESSION_INT)
		return values[0];
	/* False for NaN, too. */
	return decimal > -0x1p63 && decimal < 0x1p63 ? expression_int((int64_t)decimal) : expression_no_value;
}

static struct expression_value call_double(struct evaluation *e, const struct expression_value *values)
{
	(void)e;
	if (values[0].type == EXPRESSION_TEXT)
		return text_to_double(values[0].text);
	return values[0].type == EXPRESSION_INT ? expression_double((double)values[0].whole) : values[0];
}

static struct expression_value (*const calls[EXPRESSION_FUNCTIONS])(struct evaluation *e,
								    const struct expression_value *values) = {
	[EXPRESSION_FUNCTION_STARTS_WITH] = call_starts_with,
	[EXPRESSION_FUNCTION_ENDS_WITH] = call_ends_with,
	[EXPRESSION_FUNCTION_CONTAINS] = call_contains,
	[EXPRESSION_FUNCTION_SIZE] = call_size,
	[EXPRESSION_FUNCTION_LOWER] = call_lower,
	[EXPRESSION_FUNCTION_UPPER] = call_upper,
	[EXPRESSION_FUNCTION_TRIM] = call_trim,
	[EXPRESSION_FUNCTION_SPLIT] = call_split,
	[EXPRESSION_FUNCTION_SUBSTRING] = call_substring,
	[EXPRESSION_FUNCTION_REPLACE] = call_replace,
	[EXPRESSION_FUNCTION_COOKIE] = call_cookie,
	[EXPRESSION_FUNCTION_QUERY] = call_query,
	[EXPRESSION_FUNCTION_CONTAINS_IP] = call_contains_ip,
	[EXPRESSION_FUNCTION_IP] = call_ip,
	[EXPRESSION_FUNCTION_IS_IP] = call_is_ip,
	[EXPRESSION_FUNCTION_IP_PREFIX] = call_ip_prefix,
	[EXPRESSION_FUNCTION_MERGE] = call_merge,
	[EXPRESSION_FUNCTION_TO_JSON] = call_to_json,
	[EXPRESSION_FUNCTION_STRING] = call_string,
	[EXPRESSION_FUNCTION_INT] = call_int,
	[EXPRESSION_FUNCTION_DOUBLE] = call_double,
};

struct expression_value function_call(struct evaluation *e, enum expression_function_id id,
				      const struct expression_value values[3])
{
	return calls[id](e, values);
}
