/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "user/base/arena.h"
#include "user/base/span.h"

/*
 * The header section of one message: an ordered list, names as received, looked up without regard to
 * case. Known names (known_fields.def) are recognised once, when a field is added, and are compared by id
 * from then on. Changes keep the order of what stays.
 */

enum field_id {
	FIELD_OTHER,
#define KNOWN_FIELD(id, name, flags) FIELD_##id,
#include "user/http/known_fields.def"
#undef KNOWN_FIELD
	FIELD_ID_COUNT,
};

enum field_flags {
	FIELD_HOP = 1,
	FIELD_PROTECTED = 2,
	FIELD_NO_TRAILER = 4,
};

struct field {
	struct span name;
	struct span value; /* without surrounding blanks */
	enum field_id id;
};

struct fields {
	struct field *list; /* in the arena */
	uint32_t count;
	uint32_t capacity;
	struct arena *arena; /* borrowed: memory of the list and of what is added */
	uint64_t seen; /* bit (id) for every known field present: a quick "no" */
};

enum field_id field_id_of(struct span name);
/* The same name where "_" and "-" are one: CGI and its heirs read both so. */
bool field_names_are_alike(struct span a, struct span b);
unsigned int field_flags_of(enum field_id id);
struct span field_name_of(enum field_id id); /* lower case */

void fields_init(struct fields *f, struct arena *arena);
/* Spans are stored as given: they must live as long as the arena. 0 or -ENOMEM. */
int fields_add(struct fields *f, struct span name, struct span value);
/* The same for a field of another list, whose name is known already. */
int fields_put(struct fields *f, const struct field *field);
static inline bool fields_have(const struct fields *f, enum field_id id)
{
	return (f->seen >> id) & 1u;
}
/* First field of that name, or NULL. */
const struct field *fields_get(const struct fields *f, enum field_id id);
const struct field *fields_find(const struct fields *f, struct span name);
uint32_t fields_count_of(const struct fields *f, enum field_id id);
void fields_remove_id(struct fields *f, enum field_id id);
void fields_remove(struct fields *f, struct span name);
/* Replaces every field of that name by one. 0 or -ENOMEM. */
int fields_set(struct fields *f, struct span name, struct span value);
/*
 * Keeps the fields for which `keep` says true, in their order. The pointer given to it is that of the
 * field before anything moved, so that a single field can be told by its address.
 */
void fields_retain(struct fields *f, bool (*keep)(const struct field *field, void *context), void *context);
/*
 * True when a comma-separated list field of this id contains the token, compared without case (RFC 9110
 * 5.6.1).
 */
bool fields_list_has(const struct fields *f, enum field_id id, struct span token);
/* A copy whose list lives in `arena`; the bytes stay shared. */
int fields_clone(const struct fields *f, struct arena *arena, struct fields *ret_copy);
