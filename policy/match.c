/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/match.h"

#include "user/base/limits.h"

/* Room to build a value that is not contiguous in the head. */
struct match_value {
	size_t len;
	bool is_too_long;
	char bytes[LIMIT_MATCH_VALUE_BYTES];
};

struct span match_prefix_trim(struct span prefix)
{
	while (prefix.len && prefix.data[prefix.len - 1] == '/')
		prefix.len--;
	return prefix;
}

bool match_prefix(struct span path, struct span prefix)
{
	prefix = match_prefix_trim(prefix);
	if (prefix.len == 0)
		return true;
	return span_starts(path, prefix) && (path.len == prefix.len || path.data[prefix.len] == '/');
}

enum match_result match_path(const struct route_match *match, struct span path)
{
	switch (match->path_kind) {
	case PATH_EXACT:
		return span_eq(path, match->path) ? MATCH_YES : MATCH_NO;
	case PATH_PREFIX_SEGMENTS:
		return match_prefix(path, match->path) ? MATCH_YES : MATCH_NO;
	case PATH_REGEX:
		return match_regex_run(match->path_regex, path);
	}
	return MATCH_NO;
}

static enum match_result match_text(const struct text_match *match, struct span value, bool ignore_case)
{
	if (match->kind == TEXT_REGEX)
		return match_regex_run(match->regex, value);
	if (ignore_case)
		return span_eq_nocase(value, match->value) ? MATCH_YES : MATCH_NO;
	return span_eq(value, match->value) ? MATCH_YES : MATCH_NO;
}

static void value_add(struct match_value *value, struct span s)
{
	if (sizeof(value->bytes) - value->len < s.len) {
		value->is_too_long = true;
		return;
	}
	if (s.len)
		memcpy(value->bytes + value->len, s.data, s.len);
	value->len += s.len;
}

static enum match_result match_built(const struct text_match *match, const struct match_value *value)
{
	if (value->is_too_long)
		return match->kind == TEXT_EXACT && match->value.len <= sizeof(value->bytes) ? MATCH_NO
											     : MATCH_GAVE_UP;
	return match_text(match, span_of(value->bytes, value->len), false);
}

enum pseudo {
	PSEUDO_NONE,
	PSEUDO_METHOD,
	PSEUDO_PATH,
	PSEUDO_AUTHORITY,
	PSEUDO_SCHEME,
};

static const struct {
	struct span name;
	enum pseudo pseudo;
} pseudo_names[] = {
	{ { ":method", 7 }, PSEUDO_METHOD },	    { { ":path", 5 }, PSEUDO_PATH },
	{ { ":authority", 10 }, PSEUDO_AUTHORITY }, { { ":scheme", 7 }, PSEUDO_SCHEME },
	{ { "host", 4 }, PSEUDO_AUTHORITY },
};

static enum pseudo pseudo_of(struct span name)
{
	for (size_t i = 0; i < sizeof(pseudo_names) / sizeof(pseudo_names[0]); i++) {
		if (span_eq(name, pseudo_names[i].name))
			return pseudo_names[i].pseudo;
	}
	return PSEUDO_NONE;
}

bool match_pseudo_is_known(struct span name)
{
	return pseudo_of(name) != PSEUDO_NONE;
}

/* Of an absolute-form target, or of the connection. */
static struct span scheme_of(const struct request_head *head)
{
	static const struct span http = { "http", 4 }, https = { "https", 5 };

	if (head->target.len > 8 && span_eq_nocase(span_first(head->target, 8), SPAN("https://")))
		return https;
	return head->is_secure ? https : http;
}

static enum match_result match_full_path(const struct text_match *match, const struct request_head *head)
{
	struct match_value value;

	if (!head->has_query)
		return match_text(match, head->path, false);
	if (head->query.data == head->path.data + head->path.len + 1)
		return match_text(match, span_of(head->path.data, head->path.len + 1 + head->query.len),
				  false);
	value.len = 0;
	value.is_too_long = false;
	value_add(&value, head->path);
	value_add(&value, SPAN("?"));
	value_add(&value, head->query);
	return match_built(match, &value);
}

static enum match_result match_field(const struct text_match *match, const struct fields *fields)
{
	const struct field *first = fields_find(fields, match->name);
	struct match_value value;

	if (!first)
		return MATCH_NO;
	value.len = 0;
	value.is_too_long = false;
	for (const struct field *f = first + 1; f < fields->list + fields->count; f++) {
		if (!span_eq_nocase(f->name, match->name))
			continue;
		if (value.len == 0 && !value.is_too_long)
			value_add(&value, first->value);
		value_add(&value, first->id == FIELD_COOKIE ? SPAN("; ") : SPAN(", "));
		value_add(&value, f->value);
	}
	if (value.len == 0 && !value.is_too_long)
		return match_text(match, first->value, false);
	return match_built(match, &value);
}

static enum match_result match_header(const struct text_match *match, const struct request_head *head)
{
	switch (pseudo_of(match->name)) {
	case PSEUDO_NONE:
		return match_field(match, &head->fields);
	case PSEUDO_METHOD:
		return match_text(match, head->method_text, false);
	case PSEUDO_PATH:
		return match_full_path(match, head);
	case PSEUDO_AUTHORITY:
		return head->authority.len ? match_text(match, head->authority, true) : MATCH_NO;
	case PSEUDO_SCHEME:
		return match_text(match, scheme_of(head), false);
	}
	return MATCH_NO;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		return (c | 0x20) - 'a' + 10;
	return -1;
}

/* The next decoded byte of a form-urlencoded text; *at < s.len. */
static char form_next(struct span s, size_t *at)
{
	char c = s.data[(*at)++];
	int high, low;

	if (c == '+')
		return ' ';
	if (c != '%' || s.len - *at < 2)
		return c;
	high = hex_digit(s.data[*at]);
	low = hex_digit(s.data[*at + 1]);
	if (high < 0 || low < 0)
		return c;
	*at += 2;
	return (char)(high << 4 | low);
}

static bool form_eq(struct span encoded, struct span plain)
{
	size_t at = 0, i = 0;

	while (at < encoded.len) {
		if (i == plain.len || form_next(encoded, &at) != plain.data[i])
			return false;
		i++;
	}
	return i == plain.len;
}

static bool query_find(struct span query, struct span name, struct span *ret_encoded)
{
	struct span pair;

	while (span_split(&query, '&', &pair)) {
		ptrdiff_t equals = span_find(pair, '=');
		struct span key = equals < 0 ? pair : span_first(pair, (size_t)equals);

		if (!form_eq(key, name))
			continue;
		*ret_encoded = equals < 0 ? span_from(pair, pair.len) : span_from(pair, (size_t)equals + 1);
		return true;
	}
	return false;
}

static enum match_result match_query(const struct text_match *match, struct span query)
{
	struct match_value value;
	struct span encoded;

	if (!query_find(query, match->name, &encoded))
		return MATCH_NO;
	if (match->kind == TEXT_EXACT)
		return form_eq(encoded, match->value) ? MATCH_YES : MATCH_NO;
	if (span_find(encoded, '%') < 0 && span_find(encoded, '+') < 0)
		return match_text(match, encoded, false);
	value.len = 0;
	value.is_too_long = false;
	for (size_t at = 0; at < encoded.len;) {
		char c = form_next(encoded, &at);

		value_add(&value, span_of(&c, 1));
	}
	return match_built(match, &value);
}

/* What is known not to fit does not, whatever else is not known. */
static enum match_result match_and(enum match_result one, enum match_result other)
{
	if (one == MATCH_NO || other == MATCH_NO)
		return MATCH_NO;
	return one == MATCH_GAVE_UP ? one : other;
}

enum match_result match_conditions(const struct route_match *match, const struct request_head *head)
{
	enum match_result result = MATCH_YES;

	if (match->method.len && !span_eq(match->method, head->method_text))
		return MATCH_NO;
	for (uint32_t i = 0; i < match->header_count && result != MATCH_NO; i++)
		result = match_and(result, match_header(&match->header_list[i], head));
	for (uint32_t i = 0; i < match->query_count && result != MATCH_NO; i++)
		result = match_and(result, match_query(&match->query_list[i], head->query));
	if (result != MATCH_NO && match->path_kind == PATH_REGEX)
		result = match_and(result, match_path(match, head->path));
	return result;
}
