/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "user/base/arena.h"
#include "user/base/span.h"

/*
 * The header section of one message: an ordered list, with names as received and look-up regardless of case.
 * Known names (known_fields.def) are recognised once, when a field is added, and compared by id afterwards.
 * Changes keep the order of the remaining fields.
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
	struct arena *arena; /* borrowed: memory of the list and of added fields */
	uint64_t seen; /* bit (id) for each known field present, for a fast negative answer */
};

enum field_id field_id_of(struct span name);
/* The same name where "_" and "-" are one: CGI and its heirs read both so. */
bool field_names_are_alike(struct span a, struct span b);
unsigned int field_flags_of(enum field_id id);
struct span field_name_of(enum field_id id); /* lower case */

void fields_init(struct fields *f, struct arena *arena);
/* Stores spans as given: they must live as long as the arena. 0 or -ENOMEM. */
int fields_add(struct fields *f, struct span name, struct span value);
/* The same for a field whose id is already known. */
int fields_put(struct fields *f, const struct field *field);
static inline bool fields_have(const struct fields *f, enum field_id id)
{
	return (f->seen >> id) & 1u;
}
/* The first field with this name, or NULL. */
const struct field *fields_get(const struct fields *f, enum field_id id);
const struct field *fields_find(const struct fields *f, struct span name);
uint32_t fields_count_of(const struct fields *f, enum field_id id);
/* Parameters of an element of Accept or the like: a weight of zero is a no (RFC 9110 12.4.2). */
bool fields_have_weight(struct span parameters);
void fields_remove_id(struct fields *f, enum field_id id);
void fields_remove(struct fields *f, struct span name);
/* Replaces all fields of this name by one. 0 or -ENOMEM. */
int fields_set(struct fields *f, struct span name, struct span value);
/* The same for a field whose id is already known. */
int fields_replace(struct fields *f, const struct field *field);
/*
 * Keeps the fields for which `keep` returns true, in their order. It gets the pointer to the field before any
 * field is moved, so that a single field can be identified by its address.
 */
void fields_retain(struct fields *f, bool (*keep)(const struct field *field, void *context), void *context);
/*
 * True if a comma-separated list field with this id contains the token, compared regardless of case (RFC 9110
 * 5.6.1).
 */
bool fields_list_has(const struct fields *f, enum field_id id, struct span token);
/* Copies the list into `arena`; the bytes stay shared. */
int fields_clone(const struct fields *f, struct arena *arena, struct fields *ret_copy);
