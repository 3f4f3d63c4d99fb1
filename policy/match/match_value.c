/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/match/match_value.h"

#include "user/base/char_class.h"
static void value_add(struct match_room *room, struct span s)
{
	if (sizeof(room->bytes) - room->len < s.len) {
		room->is_too_long = true;
		return;
	}
	if (s.len)
		memcpy(room->bytes + room->len, s.data, s.len);
	room->len += s.len;
}

static enum match_result room_value(const struct match_room *room, struct span *ret_value)
{
	if (room->is_too_long)
		return MATCH_GAVE_UP;
	*ret_value = span_of(room->bytes, room->len);
	return MATCH_YES;
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

bool match_name_is_host(struct span name)
{
	return pseudo_of(name) == PSEUDO_AUTHORITY;
}

/* The scheme of an absolute-form target, otherwise that of the connection. */
static struct span scheme_of(const struct request_head *head)
{
	static const struct span http = { "http", 4 }, https = { "https", 5 };

	if (head->target.len > 8 && span_eq_nocase(span_first(head->target, 8), SPAN("https://")))
		return https;
	return head->is_secure ? https : http;
}

static enum match_result full_path(const struct request_head *head, struct match_room *room,
				   struct span *ret_value)
{
	*ret_value = head->path;
	if (!head->has_query)
		return MATCH_YES;
	ret_value->len += 1 + head->query.len;
	if (head->query.data == head->path.data + head->path.len + 1)
		return MATCH_YES;
	value_add(room, head->path);
	value_add(room, SPAN("?"));
	value_add(room, head->query);
	return room_value(room, ret_value);
}

static enum match_result field_value(struct span name, const struct fields *fields, struct match_room *room,
				     struct span *ret_value)
{
	const struct field *first = fields_find(fields, name);

	if (!first)
		return MATCH_NO;
	for (const struct field *f = first + 1; f < fields->list + fields->count; f++) {
		if (!span_eq_nocase(f->name, name))
			continue;
		if (room->len == 0 && !room->is_too_long)
			value_add(room, first->value);
		value_add(room, first->id == FIELD_COOKIE ? SPAN("; ") : SPAN(", "));
		value_add(room, f->value);
	}
	if (room->len || room->is_too_long)
		return room_value(room, ret_value);
	*ret_value = first->value;
	return MATCH_YES;
}

static enum match_result header_value(struct span name, const struct request_head *head,
				      struct match_room *room, struct span *ret_value)
{
	switch (pseudo_of(name)) {
	case PSEUDO_NONE:
		return field_value(name, &head->fields, room, ret_value);
	case PSEUDO_METHOD:
		*ret_value = head->method_text;
		return MATCH_YES;
	case PSEUDO_PATH:
		return full_path(head, room, ret_value);
	case PSEUDO_AUTHORITY:
		*ret_value = head->authority;
		return head->authority.len ? MATCH_YES : MATCH_NO;
	case PSEUDO_SCHEME:
		*ret_value = scheme_of(head);
		return MATCH_YES;
	}
	return MATCH_NO;
}

char match_form_next(struct span s, size_t *at)
{
	char c = s.data[(*at)++];
	int high, low;

	if (c == '+')
		return ' ';
	if (c != '%' || s.len - *at < 2)
		return c;
	high = octet_hex(s.data[*at]);
	low = octet_hex(s.data[*at + 1]);
	if (high < 0 || low < 0)
		return c;
	*at += 2;
	return (char)(high << 4 | low);
}

static bool form_eq(struct span encoded, struct span plain)
{
	size_t at = 0, i = 0;

	while (at < encoded.len) {
		if (i == plain.len || match_form_next(encoded, &at) != plain.data[i])
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

bool match_query_eq(struct span name, struct span value, const struct request_head *head)
{
	struct span encoded;

	return query_find(head->query, name, &encoded) && form_eq(encoded, value);
}

static enum match_result query_value(struct span name, struct span query, struct match_room *room,
				     struct span *ret_value)
{
	struct span encoded;

	if (!query_find(query, name, &encoded))
		return MATCH_NO;
	*ret_value = encoded;
	if (span_find(encoded, '%') < 0 && span_find(encoded, '+') < 0)
		return MATCH_YES;
	for (size_t at = 0; at < encoded.len;) {
		char c = match_form_next(encoded, &at);

		value_add(room, span_of(&c, 1));
	}
	return room_value(room, ret_value);
}

enum match_result match_value_find(enum match_subject subject, struct span name,
				   const struct request_head *head, struct match_room *room,
				   struct span *ret_value)
{
	room->len = 0;
	room->is_too_long = false;
	switch (subject) {
	case MATCH_METHOD:
		*ret_value = head->method_text;
		return MATCH_YES;
	case MATCH_PATH:
		*ret_value = head->path;
		return MATCH_YES;
	case MATCH_HEADER:
		return header_value(name, head, room, ret_value);
	case MATCH_QUERY:
		return query_value(name, head->query, room, ret_value);
	}
	return MATCH_NO;
}
