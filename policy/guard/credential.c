/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/guard/credential.h"

#include <errno.h>
#include <sys/types.h>

#include "user/http/form.h"

/* -------------------------------------------------------------------------------- headers */

/* What follows the prefix. A value with another prefix is for another policy: absent. */
static int value_behind(struct span prefix, struct span value, struct span *ret_value)
{
	if (value.len < prefix.len || !span_eq_nocase(span_first(value, prefix.len), prefix))
		return CREDENTIAL_ABSENT;
	*ret_value = span_trim(span_from(value, prefix.len));
	return ret_value->len ? CREDENTIAL_FOUND : CREDENTIAL_INVALID;
}

static int find_header(const struct credential_location *location, const struct fields *fields,
		       struct span *ret_value)
{
	const struct field *found = NULL;

	for (uint32_t i = 0; i < fields->count; i++) {
		if (!span_eq_nocase(fields->list[i].name, location->name))
			continue;
		if (found)
			return CREDENTIAL_INVALID;
		found = &fields->list[i];
	}
	return found ? value_behind(location->prefix, found->value, ret_value) : CREDENTIAL_ABSENT;
}

static bool is_another(const struct field *field, void *context)
{
	const struct credential_location *location = context;

	return !field_names_are_alike(field->name, location->name);
}

/* -------------------------------------------------------------------------------- query */

static int decode_into(struct arena *arena, struct span text, struct span *ret)
{
	char *out = arena_bytes(arena, text.len + 1);
	ssize_t len;

	if (!out)
		return -ENOMEM;
	len = form_decode(text, out);
	*ret = span_of(out, len < 0 ? 0 : (size_t)len);
	return len < 0 ? -EINVAL : 0;
}

/* 1 if the parameter has the name, 0 if not, -ENOMEM. */
static int is_parameter(struct arena *arena, struct span pair, struct span name, struct span *ret_value)
{
	ptrdiff_t equals = span_find(pair, '=');
	struct span written = equals < 0 ? pair : span_first(pair, (size_t)equals), decoded;
	int error = 0;

	*ret_value = equals < 0 ? (struct span){ 0 } : span_from(pair, (size_t)equals + 1);
	if (span_eq(written, name))
		return 1;
	if (span_find(written, '%') < 0 && span_find(written, '+') < 0)
		return 0;
	error = decode_into(arena, written, &decoded);
	return error == -ENOMEM ? -ENOMEM : error == 0 && span_eq(decoded, name);
}

static int find_parameter(const struct credential_location *location, struct span query, struct arena *arena,
			  struct span *ret_value)
{
	struct span pair, value, found = { 0 };
	int count = 0, error;

	while (span_split(&query, '&', &pair)) {
		int result = is_parameter(arena, pair, location->name, &value);

		if (result < 0)
			return result;
		if (result && count++ == 0)
			found = value;
	}
	if (count != 1)
		return count ? CREDENTIAL_INVALID : CREDENTIAL_ABSENT;
	error = decode_into(arena, found, ret_value);
	if (error == -ENOMEM)
		return error;
	return error == 0 && ret_value->len ? CREDENTIAL_FOUND : CREDENTIAL_INVALID;
}

/* Appends with a separator between; *at points behind the last byte. */
static char *append(char *start, char *at, struct span separator, struct span s)
{
	if (at != start) {
		memcpy(at, separator.data, separator.len);
		at += separator.len;
	}
	if (s.len)
		memcpy(at, s.data, s.len);
	return at + s.len;
}

static int remove_parameter(const struct credential_location *location, struct request_head *head,
			    struct arena *arena)
{
	char *out = arena_bytes(arena, head->query.len + 1), *at = out;
	struct span rest = head->query, pair, value;

	if (!out)
		return -ENOMEM;
	while (span_split(&rest, '&', &pair)) {
		int result = is_parameter(arena, pair, location->name, &value);

		if (result < 0)
			return result;
		if (!result)
			at = append(out, at, SPAN("&"), pair);
	}
	head->query = span_of(out, (size_t)(at - out));
	head->has_query = head->query.len > 0;
	return 0;
}

static int insert_parameter(struct span text, struct request_head *head, struct arena *arena)
{
	char *out = arena_bytes(arena, head->query.len + 1 + text.len), *at = out;

	/* The asterisk-form has no query (RFC 9112 3.2.4). */
	if (span_eq(head->path, SPAN("*")))
		return -EINVAL;
	if (!out)
		return -ENOMEM;
	at = append(out, at, SPAN("&"), head->query);
	at = append(out, at, SPAN("&"), text);
	head->query = span_of(out, (size_t)(at - out));
	head->has_query = true;
	return 0;
}

/* -------------------------------------------------------------------------------- cookies */

/* RFC 6265 5.4: name=value pairs, separated by "; ". */
static bool is_cookie(struct span pair, struct span name, struct span *ret_value)
{
	ptrdiff_t equals = span_find(pair, '=');

	if (equals < 0 || !span_eq(span_trim(span_first(pair, (size_t)equals)), name))
		return false;
	*ret_value = span_trim(span_from(pair, (size_t)equals + 1));
	return true;
}

static int find_cookie(const struct credential_location *location, const struct fields *fields,
		       struct span *ret_value)
{
	struct span pair, value;
	int count = 0;

	for (uint32_t i = 0; i < fields->count; i++) {
		struct span rest = fields->list[i].value;

		if (fields->list[i].id != FIELD_COOKIE)
			continue;
		while (span_split(&rest, ';', &pair))
			if (is_cookie(pair, location->name, &value) && count++ == 0)
				*ret_value = value;
	}
	if (count != 1)
		return count ? CREDENTIAL_INVALID : CREDENTIAL_ABSENT;
	return ret_value->len ? CREDENTIAL_FOUND : CREDENTIAL_INVALID;
}

static bool is_no_empty_cookie(const struct field *field, void *context)
{
	(void)context;
	return field->id != FIELD_COOKIE || field->value.len > 0;
}

static int remove_cookie(const struct credential_location *location, struct fields *fields,
			 struct arena *arena)
{
	for (uint32_t i = 0; i < fields->count; i++) {
		struct field *field = &fields->list[i];
		struct span rest = field->value, pair, value;
		char *out, *at;

		if (field->id != FIELD_COOKIE)
			continue;
		out = at = arena_bytes(arena, 2 * field->value.len + 1);
		if (!out)
			return -ENOMEM;
		while (span_split(&rest, ';', &pair))
			if (!is_cookie(pair, location->name, &value))
				at = append(out, at, SPAN("; "), span_trim(pair));
		field->value = span_of(out, (size_t)(at - out));
	}
	fields_retain(fields, is_no_empty_cookie, NULL);
	return 0;
}

/* A request has one field with cookies (RFC 6265 5.4). */
static int insert_cookie(struct span text, struct fields *fields, struct arena *arena)
{
	for (uint32_t i = 0; i < fields->count; i++) {
		struct field *field = &fields->list[i];
		char *out, *at;

		if (field->id != FIELD_COOKIE)
			continue;
		out = at = arena_bytes(arena, field->value.len + 2 + text.len);
		if (!out)
			return -ENOMEM;
		at = append(out, at, SPAN("; "), field->value);
		at = append(out, at, SPAN("; "), text);
		field->value = span_of(out, (size_t)(at - out));
		return 0;
	}
	return fields_put(fields, &(struct field){ SPAN("cookie"), text, FIELD_COOKIE });
}

/* -------------------------------------------------------------------------------- all */

int credential_find(const struct credential_location *location, const struct request_head *head,
		    struct arena *arena, struct span *ret_value)
{
	switch ((enum location_kind)location->kind) {
	case LOCATION_HEADER:
		return find_header(location, &head->fields, ret_value);
	case LOCATION_QUERY:
		return find_parameter(location, head->query, arena, ret_value);
	case LOCATION_COOKIE:
		return find_cookie(location, &head->fields, ret_value);
	case LOCATION_EXPRESSION:
		break;
	}
	return CREDENTIAL_INVALID;
}

int credential_remove(const struct credential_location *location, struct request_head *head,
		      struct arena *arena)
{
	switch ((enum location_kind)location->kind) {
	case LOCATION_HEADER:
		fields_retain(&head->fields, is_another, (void *)location);
		return 0;
	case LOCATION_QUERY:
		return remove_parameter(location, head, arena);
	case LOCATION_COOKIE:
		return remove_cookie(location, &head->fields, arena);
	case LOCATION_EXPRESSION:
		break;
	}
	return 0;
}

bool credential_removes(const struct credential_location *a, const struct credential_location *b)
{
	if (a->kind != b->kind)
		return false;
	return a->kind == LOCATION_HEADER ? field_names_are_alike(a->name, b->name)
					  : span_eq(a->name, b->name);
}

void credential_write(const struct credential_location *location, struct span secret, struct text *to)
{
	switch ((enum location_kind)location->kind) {
	case LOCATION_HEADER:
		text_add(to, location->prefix);
		text_add(to, secret);
		return;
	case LOCATION_QUERY:
		form_encode(to, location->name);
		text_char(to, '=');
		form_encode(to, secret);
		return;
	case LOCATION_COOKIE:
		text_add(to, location->name);
		text_char(to, '=');
		text_add(to, secret);
		return;
	case LOCATION_EXPRESSION:
		return;
	}
}

int credential_insert(const struct credential_location *location, struct span text, struct request_head *head,
		      struct arena *arena)
{
	switch ((enum location_kind)location->kind) {
	case LOCATION_HEADER:
		return fields_add(&head->fields, location->name, text);
	case LOCATION_QUERY:
		return insert_parameter(text, head, arena);
	case LOCATION_COOKIE:
		return insert_cookie(text, &head->fields, arena);
	case LOCATION_EXPRESSION:
		break;
	}
	return 0;
}
