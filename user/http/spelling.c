/* SPDX-License-Identifier: Apache-2.0 */
#include "user/http/spelling.h"

#include "user/base/check.h"

/* No known name is longer (known_fields.def). */
enum { NAME_BYTES = 32 };

enum field_id spelling_id(struct span name)
{
	char plain[NAME_BYTES];

	if (name.len > NAME_BYTES)
		return FIELD_OTHER;
	for (size_t i = 0; i < name.len; i++)
		plain[i] = name.data[i] == '_' ? '-' : name.data[i];
	return field_id_of(span_of(plain, name.len));
}

bool spelling_is_read_as(struct span field, struct span name)
{
	for (size_t i = 0; field.len == name.len && i < name.len; i++) {
		char c = field.data[i] == '_' ? '-' : field.data[i];

		if (c != name.data[i] && (c | 0x20) != name.data[i])
			return false;
	}
	return field.len == name.len;
}

bool spelling_is_claim(struct span name)
{
	static const struct span claims[] = {
		{ "forwarded", 9 },	      { "x-forwarded", 11 },
		{ "x-forwarded-for", 15 },    { "x-forwarded-proto", 17 },
		{ "x-forwarded-host", 16 },   { "x-forwarded-port", 16 },
		{ "x-forwarded-server", 18 }, { "x-real-ip", 9 },
		{ "x-retry-attempt", 15 },    { "x-forwarded-client-cert", 23 },
	};

	if (name.len < 9 || name.len > 23)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(claims); i++) {
		if (spelling_is_read_as(name, claims[i]))
			return true;
	}
	return false;
}

static bool has_underscore(struct span name)
{
	return span_find(name, '_') >= 0;
}

bool spelling_is_framing_twin(const struct field *field)
{
	enum field_id id;

	if (field->id != FIELD_OTHER || !has_underscore(field->name))
		return false;
	id = spelling_id(field->name);
	return id == FIELD_CONTENT_LENGTH || (field_flags_of(id) & FIELD_HOP);
}

bool spelling_may_trail(const struct field *field)
{
	enum field_id id = field->id == FIELD_OTHER ? spelling_id(field->name) : field->id;

	return !(field_flags_of(id) & (FIELD_NO_TRAILER | FIELD_HOP)) && !spelling_is_claim(field->name);
}
