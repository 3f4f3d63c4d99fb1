/* SPDX-License-Identifier: Apache-2.0 */
#include "user/http/fields.h"

#include <errno.h>

#include "user/base/check.h"

enum {
	FIELDS_FIRST_CAPACITY = 16, /* enough for typical browsers */
};

_Static_assert(FIELD_ID_COUNT <= 64, "struct fields keeps one bit a known name");

#define HOP FIELD_HOP
#define PROTECTED FIELD_PROTECTED
#define NO_TRAILER FIELD_NO_TRAILER
static const struct known_field {
	struct span name;
	unsigned int flags;
} known_fields[FIELD_ID_COUNT] = {
	[FIELD_OTHER] = { { "", 0 }, 0 },
#define KNOWN_FIELD(id, text, bits) [FIELD_##id] = { { text, sizeof(text) - 1 }, bits },
#include "user/http/known_fields.def"
#undef KNOWN_FIELD
};
#undef HOP
#undef PROTECTED
#undef NO_TRAILER

/*
 * The only known name that a name of this length and these letters can be; the caller compares. Letters are
 * folded by setting bit 5: no other byte becomes a lower-case letter that the comparison would accept.
 */
static enum field_id field_candidate(struct span name)
{
	unsigned char first = name.len ? (unsigned char)name.data[0] | 0x20u : 0;
	unsigned char third = name.len > 2 ? (unsigned char)name.data[2] | 0x20u : 0;

	switch (name.len) {
	case 2:
		return FIELD_TE;
	case 3:
		return FIELD_VIA;
	case 4:
		return first == 'h' ? FIELD_HOST : FIELD_DATE;
	case 6:
		if (first == 'c')
			return FIELD_COOKIE;
		return first == 'o' ? FIELD_ORIGIN : FIELD_EXPECT;
	case 7:
		return first == 't' ? FIELD_TRAILER : FIELD_UPGRADE;
	case 8:
		return FIELD_CDN_LOOP;
	case 9:
		return FIELD_FORWARDED;
	case 10:
		if (first == 'c')
			return FIELD_CONNECTION;
		if (first == 'k')
			return FIELD_KEEP_ALIVE;
		if (first == 't')
			return FIELD_TRACESTATE;
		return first == 'u' ? FIELD_USER_AGENT : FIELD_SET_COOKIE;
	case 11:
		return first == 't' ? FIELD_TRACEPARENT : FIELD_RETRY_AFTER;
	case 12:
		if (first == 'c')
			return FIELD_CONTENT_TYPE;
		return first == 'x' ? FIELD_X_REQUEST_ID : FIELD_MAX_FORWARDS;
	case 13:
		if (first == 'a')
			return FIELD_AUTHORIZATION;
		return third == 'c' ? FIELD_CACHE_CONTROL : FIELD_CONTENT_RANGE;
	case 14:
		return first == 'c' ? FIELD_CONTENT_LENGTH : FIELD_HTTP2_SETTINGS;
	case 15:
		return third == 'f' ? FIELD_X_FORWARDED_FOR : FIELD_X_RETRY_ATTEMPT;
	case 16:
		if (first == 'c')
			return FIELD_CONTENT_ENCODING;
		return first == 'p' ? FIELD_PROXY_CONNECTION : FIELD_X_FORWARDED_HOST;
	case 17:
		if (first == 't')
			return FIELD_TRANSFER_ENCODING;
		return first == 's' ? FIELD_SEC_WEBSOCKET_KEY : FIELD_X_FORWARDED_PROTO;
	case 19:
		return FIELD_PROXY_AUTHORIZATION;
	}
	return FIELD_OTHER;
}

enum field_id field_id_of(struct span name)
{
	enum field_id id = field_candidate(name);

	return id != FIELD_OTHER && span_eq_nocase(name, known_fields[id].name) ? id : FIELD_OTHER;
}

unsigned int field_flags_of(enum field_id id)
{
	CHECK(id < FIELD_ID_COUNT);
	return known_fields[id].flags;
}

struct span field_name_of(enum field_id id)
{
	CHECK(id < FIELD_ID_COUNT);
	return known_fields[id].name;
}

static char plain_letter(char c)
{
	if (c == '_')
		return '-';
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool field_names_are_alike(struct span a, struct span b)
{
	for (size_t i = 0; a.len == b.len && i < a.len; i++) {
		if (plain_letter(a.data[i]) != plain_letter(b.data[i]))
			return false;
	}
	return a.len == b.len;
}

void fields_init(struct fields *f, struct arena *arena)
{
	*f = (struct fields){ .arena = arena };
}

static int fields_grow(struct fields *f, uint32_t capacity)
{
	struct field *list = arena_room(f->arena, capacity * sizeof(*list));

	if (!list)
		return -ENOMEM;
	if (f->count)
		memcpy(list, f->list, f->count * sizeof(*list));
	f->list = list;
	f->capacity = capacity;
	return 0;
}

int fields_put(struct fields *f, const struct field *field)
{
	if (f->count == f->capacity) {
		int error = fields_grow(f, f->capacity ? f->capacity * 2 : FIELDS_FIRST_CAPACITY);

		if (error)
			return error;
	}
	f->list[f->count++] = *field;
	f->seen |= UINT64_C(1) << field->id;
	return 0;
}

int fields_add(struct fields *f, struct span name, struct span value)
{
	struct field field = { .name = name, .value = value, .id = field_id_of(name) };

	return fields_put(f, &field);
}

const struct field *fields_get(const struct fields *f, enum field_id id)
{
	if (!fields_have(f, id))
		return NULL;
	for (uint32_t i = 0; i < f->count; i++) {
		if (f->list[i].id == id)
			return &f->list[i];
	}
	return NULL;
}

static bool field_is(const struct field *field, enum field_id id, struct span name)
{
	return field->id == id && (id != FIELD_OTHER || span_eq_nocase(field->name, name));
}

const struct field *fields_find(const struct fields *f, struct span name)
{
	enum field_id id = field_id_of(name);

	if (!fields_have(f, id))
		return NULL;
	for (uint32_t i = 0; i < f->count; i++) {
		if (field_is(&f->list[i], id, name))
			return &f->list[i];
	}
	return NULL;
}

bool fields_have_weight(struct span parameters)
{
	struct span parameter;

	while (span_split(&parameters, ';', &parameter)) {
		parameter = span_trim(parameter);
		if (parameter.len < 3 || !span_eq_nocase(span_first(parameter, 2), SPAN("q=")))
			continue;
		for (size_t i = 2; i < parameter.len; i++) {
			if (parameter.data[i] != '0' && parameter.data[i] != '.')
				return true;
		}
		return false;
	}
	return true;
}

uint32_t fields_count_of(const struct fields *f, enum field_id id)
{
	uint32_t count = 0;

	if (!fields_have(f, id))
		return 0;
	for (uint32_t i = 0; i < f->count; i++)
		count += f->list[i].id == id;
	return count;
}

void fields_retain(struct fields *f, bool (*keep)(const struct field *field, void *context), void *context)
{
	uint32_t kept = 0;
	uint64_t seen = 0;

	for (uint32_t i = 0; i < f->count; i++) {
		if (!keep(&f->list[i], context))
			continue;
		seen |= UINT64_C(1) << f->list[i].id;
		f->list[kept++] = f->list[i];
	}
	f->count = kept;
	f->seen = seen;
}

/* Removes the fields of this name from index `from` on; the others keep their order. */
static void fields_drop(struct fields *f, uint32_t from, enum field_id id, struct span name)
{
	uint32_t kept = from;
	bool has_id = false;

	for (uint32_t i = 0; i < from; i++)
		has_id |= f->list[i].id == id;
	for (uint32_t i = from; i < f->count; i++) {
		if (field_is(&f->list[i], id, name))
			continue;
		has_id |= f->list[i].id == id;
		f->list[kept++] = f->list[i];
	}
	f->count = kept;
	if (!has_id)
		f->seen &= ~(UINT64_C(1) << id);
}

void fields_remove_id(struct fields *f, enum field_id id)
{
	CHECK(id != FIELD_OTHER);
	if (fields_have(f, id))
		fields_drop(f, 0, id, field_name_of(id));
}

void fields_remove(struct fields *f, struct span name)
{
	enum field_id id = field_id_of(name);

	if (fields_have(f, id))
		fields_drop(f, 0, id, name);
}

int fields_replace(struct fields *f, const struct field *field)
{
	for (uint32_t i = 0; fields_have(f, field->id) && i < f->count; i++) {
		if (!field_is(&f->list[i], field->id, field->name))
			continue;
		f->list[i] = *field;
		fields_drop(f, i + 1, field->id, field->name);
		return 0;
	}
	return fields_put(f, field);
}

int fields_set(struct fields *f, struct span name, struct span value)
{
	struct field field = { .name = name, .value = value, .id = field_id_of(name) };

	return fields_replace(f, &field);
}

bool fields_list_has(const struct fields *f, enum field_id id, struct span token)
{
	if (!fields_have(f, id))
		return false;
	for (uint32_t i = 0; i < f->count; i++) {
		struct span rest = f->list[i].value;
		struct span element;

		if (f->list[i].id != id)
			continue;
		while (span_split(&rest, ',', &element)) {
			if (span_eq_nocase(span_trim(element), token))
				return true;
		}
	}
	return false;
}

int fields_clone(const struct fields *f, struct arena *arena, struct fields *ret_copy)
{
	struct fields copy = { .arena = arena };
	uint32_t capacity = f->count ? f->count : FIELDS_FIRST_CAPACITY;

	if (fields_grow(&copy, capacity) < 0)
		return -ENOMEM;
	if (f->count)
		memcpy(copy.list, f->list, f->count * sizeof(*copy.list));
	copy.count = f->count;
	copy.seen = f->seen;
	*ret_copy = copy;
	return 0;
}
