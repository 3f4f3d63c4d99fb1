/* SPDX-License-Identifier: Apache-2.0 */
#include "user/http/field_name.h"

#include "user/base/check.h"

/* No known name is longer (known_fields.def). */
enum { NAME_BYTES = 32 };

enum field_id field_name_id(struct span name)
{
	char plain[NAME_BYTES];

	if (name.len > NAME_BYTES)
		return FIELD_OTHER;
	for (size_t i = 0; i < name.len; i++)
		plain[i] = name.data[i] == '_' ? '-' : name.data[i];
	return field_id_of(span_of(plain, name.len));
}

bool field_name_is_read_as(struct span field, struct span name)
{
	for (size_t i = 0; field.len == name.len && i < name.len; i++) {
		char c = field.data[i] == '_' || field.data[i] == '.' ? '-' : field.data[i];

		if (c != name.data[i] && (c | 0x20) != name.data[i])
			return false;
	}
	return field.len == name.len;
}

enum trusted_kind {
	TRUSTED_NONE,
	TRUSTED_IDENTITY,
	TRUSTED_ORIGIN,
};

static const struct trusted_field {
	struct span name; /* without its "*" */
	enum trusted_kind kind;
	bool is_prefix;
} trusted_fields[] = {
#define TRUSTED_FIELD(text, kind_name, doc)                                                                  \
	{                                                                                                    \
		.name = { text, sizeof(text) - 1 - (text[sizeof(text) - 2] == '*') },                        \
		.kind = TRUSTED_##kind_name,                                                                 \
		.is_prefix = text[sizeof(text) - 2] == '*',                                                  \
	},
#include "user/http/trusted_fields.def"
#undef TRUSTED_FIELD
};

/* A bit for the first letter of each name: most other names begin with another one. */
static const uint32_t first_letters = 0
#define TRUSTED_FIELD(text, ...) | 1u << (text[0] & 31)
#include "user/http/trusted_fields.def"
#undef TRUSTED_FIELD
	;

static enum trusted_kind trusted_kind_of(struct span name)
{
	char first = name.len ? (char)(name.data[0] | 0x20) : 0;

	if (!(first_letters >> (first & 31) & 1u))
		return TRUSTED_NONE;
	for (size_t i = 0; i < ARRAY_LEN(trusted_fields); i++) {
		const struct trusted_field *field = &trusted_fields[i];

		if (first != field->name.data[0] || name.len < field->name.len ||
		    (name.len > field->name.len && !field->is_prefix))
			continue;
		if (field_name_is_read_as(span_first(name, field->name.len), field->name))
			return field->kind;
	}
	return TRUSTED_NONE;
}

bool field_name_is_forwarding(struct span name)
{
	return trusted_kind_of(name) != TRUSTED_NONE;
}

bool spelling_is_identity(struct span name)
{
	return trusted_kind_of(name) == TRUSTED_IDENTITY;
}

static bool has_underscore(struct span name)
{
	return span_find(name, '_') >= 0;
}

bool field_name_is_framing_lookalike(const struct field *field)
{
	enum field_id id;

	if (field->id != FIELD_OTHER || !has_underscore(field->name))
		return false;
	id = field_name_id(field->name);
	return id == FIELD_CONTENT_LENGTH || (field_flags_of(id) & FIELD_HOP);
}

bool field_name_may_trail(const struct field *field)
{
	enum field_id id = field->id == FIELD_OTHER ? field_name_id(field->name) : field->id;

	return !(field_flags_of(id) & (FIELD_NO_TRAILER | FIELD_HOP)) &&
	       !field_name_is_forwarding(field->name);
}
