/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "config/core/engine/decode.h"
#include "user/base/check.h"
#include "user/base/text.h"

/*
 * Rows that describe a part of the configuration. One row defines a key: where its value is stored, its type
 * and range, its default, the effect of a reload, its form in the dump, and a line for the reference. The
 * decoder, the defaults, the dump (admin/dump/config_dump_schema.h), the reload warnings and the tables in
 * config/README.md (tests/unit/test_reference.c) all use the rows, so they always know the same keys. Rows
 * have the order of the dump.
 *
 *         static const struct schema_row dns_rows[] = {
 *                 { "refresh", AS_DURATION(struct static_config, dns_refresh_ns), AT_LEAST(NS_PER_S),
 *                   .default = 30 * NS_PER_S, .reload = RELOAD_START,
 *                   .doc = "names are resolved again this often" },
 *                 { "edns0", .refusal = NOT_YET_EDNS0 },
 *         };
 */
enum schema_type {
	SCHEMA_NOTHING, /* no value: a refused key, or a member that only the dump has */
	SCHEMA_BOOL, /* bool */
	SCHEMA_U16, /* uint16_t within the range */
	SCHEMA_U32, /* uint32_t within the range */
	SCHEMA_U64, /* uint64_t within the range */
	SCHEMA_DURATION, /* uint64_t nanoseconds, at least the minimum of the range */
	SCHEMA_SHARE, /* uint32_t per million: 0.0 to 1.0; in manifests 0 to 100 */
	SCHEMA_TEXT, /* struct span; empty: not set */
	SCHEMA_WORD, /* an enum: word_base plus the index of the word; less than word_base: not set */
	SCHEMA_WORD_TEXT, /* struct span: the word itself; empty: not set */
	SCHEMA_FLAGS, /* a list of words: consecutive bools, one per word */
	SCHEMA_BYTES, /* struct span that may be empty; dumped as base64 */
	SCHEMA_CODES, /* uint16_t list of HTTP statuses; needs `decode` */
	SCHEMA_CIDRS, /* struct cidr list; needs `element` */
	SCHEMA_NAMES, /* struct span list; names without `element` */
	SCHEMA_PAIRS, /* struct header_pair list, a map in standalone files; needs `element` */
	SCHEMA_REF, /* struct backend_ref *: a target; needs `decode` */
	/* list of objects; needs `element`; the rows of `child`, if it has any, are only for the reference */
	SCHEMA_OBJECTS,
	SCHEMA_REST, /* no member: `decode` checks the value, or the decoder of the object reads it */
	SCHEMA_MAP, /* an object with the rows of `child` */
};

enum schema_style {
	STYLE_BOTH,
	STYLE_STANDALONE,
	STYLE_MANIFEST, /* no default, dump and reference: another row has the same member */
};

/* A key that may be a word or a map has two rows. */
enum schema_form {
	FORM_ANY,
	FORM_WORD,
	FORM_MAP,
};

/* When a changed value takes effect. */
enum schema_reload {
	RELOAD_AT_ONCE,
	RELOAD_ACCEPT, /* for connections accepted after the reload */
	RELOAD_START, /* at the next start; the reload warns */
};

enum schema_dump {
	DUMP_SET, /* omitted if it is optional and not set */
	DUMP_NULL, /* null if it is not set */
	DUMP_NOT_ZERO, /* omitted if it is 0, false or empty */
	DUMP_DECIMAL, /* shares: 1.0, not 1 */
	DUMP_TUPLES, /* pairs: a list of [name, value], omitted if it is empty */
};

struct schema_range {
	uint64_t min;
	uint64_t max; /* 0: no range */
};

struct schema_row {
	const char *key; /* NULL: only in the dump */
	enum schema_type type;
	size_t object_bytes; /* of the object with the member; tests compare it with the schema's */
	size_t offset;
	size_t count_offset; /* lists: of the uint32_t count */
	bool is_optional;
	size_t set_offset; /* optional: of the bool that is true if the member is set */
	/* One of several keys: offset of the enum that selects one of them, and the value for this key. */
	bool is_choice;
	size_t choice_offset;
	unsigned choice;
	enum schema_form form;
	enum schema_style style;
	struct schema_range range; /* lists: range of the length */
	struct schema_range manifest_range; /* if it differs */
	const char *const *words;
	const char *const *manifest_words; /* if they differ */
	uint32_t word_count;
	uint32_t word_base;
	uint64_t default_value; /* numbers, bools, durations; words: the enum; flags: one bit each */
	const char *default_text; /* texts */
	const struct schema *child;
	size_t child_bytes;
	const char *need; /* required: what to write if the key is missing */
	const char *refusal; /* reason for the refusal, and what to write instead */
	/* Replaces the decoder of the type; `member` is the place of the value. False: reported. */
	bool (*decode)(struct decoder *d, const struct yaml_node *node, void *member);
	/* Decodes one element of a list. Invalid elements (false: reported) are omitted. */
	bool (*element)(struct decoder *d, const struct yaml_node *node, void *element);
	size_t element_bytes;
	enum schema_reload reload;
	/* RELOAD_START, if only some changes need a restart; the arguments are the members. */
	bool (*needs_start)(const void *old, const void *new);
	/* Name in the dump, if it differs from the key, and for rows without a value that the dump shows. */
	const char *shown_as;
	enum schema_dump dump;
	/* For the reference: */
	bool is_hidden; /* known only to print its message */
	const char *doc;
	const char *value_doc; /* if the type does not describe the value */
	const char *default_doc; /* if the value does not describe the default */
};

struct schema {
	const struct schema_row *rows;
	size_t row_count;
	size_t size_bytes; /* of the object */
	bool is_one_of; /* exactly one of the keys must be set; each row has ONE_OF() */
	const char *example; /* what to write if the value is not a map; NULL: the first key */
	const void *default_object; /* the defaults as an object, if other code needs it; or NULL */
	/* Checks conflicts between keys, after all rows, also after errors. May be NULL. */
	void (*check)(struct decoder *d, const struct yaml_node *node, void *object);
};
#define SCHEMA(list, type, ...)                                                                              \
	{                                                                                                    \
		.rows = (list), .row_count = ARRAY_LEN(list), .size_bytes = sizeof(type), __VA_ARGS__        \
	}

/* The offset of a member; does not compile if the member has another type. */
#define SCHEMA_AT(object, member, type) _Generic(((object *)NULL)->member, type : offsetof(object, member))
#define SCHEMA_VALUE(kind, object, member, kept_as)                                                          \
	.type = (kind), .object_bytes = sizeof(object), .offset = SCHEMA_AT(object, member, kept_as)

#define AS_BOOL(object, member) SCHEMA_VALUE(SCHEMA_BOOL, object, member, bool)
#define AS_U16(object, member) SCHEMA_VALUE(SCHEMA_U16, object, member, uint16_t)
#define AS_U32(object, member) SCHEMA_VALUE(SCHEMA_U32, object, member, uint32_t)
#define AS_U64(object, member) SCHEMA_VALUE(SCHEMA_U64, object, member, uint64_t)
#define AS_DURATION(object, member) SCHEMA_VALUE(SCHEMA_DURATION, object, member, uint64_t)
#define AS_SHARE(object, member) SCHEMA_VALUE(SCHEMA_SHARE, object, member, uint32_t)
#define AS_TEXT(object, member) SCHEMA_VALUE(SCHEMA_TEXT, object, member, struct span)
#define AS_BYTES(object, member) SCHEMA_VALUE(SCHEMA_BYTES, object, member, struct span)
#define AS_REF(object, member) SCHEMA_VALUE(SCHEMA_REF, object, member, struct backend_ref *)
#define AS_OBJECTS(object, list, count, schema, kind)                                                        \
	AS_LIST(SCHEMA_OBJECTS, object, list, count, kind), .child = (schema), .child_bytes = sizeof(kind)
#define AS_REST(object) .type = SCHEMA_REST, .object_bytes = sizeof(object)
/* _Generic treats an enum as unsigned int. */
#define AS_WORD(object, member) SCHEMA_VALUE(SCHEMA_WORD, object, member, unsigned)
#define AS_WORD_TEXT(object, member) SCHEMA_VALUE(SCHEMA_WORD_TEXT, object, member, struct span)
#define AS_FLAGS(object, first) SCHEMA_VALUE(SCHEMA_FLAGS, object, first, bool)
#define AS_LIST(kind, object, list, count, element)                                                          \
	SCHEMA_VALUE(kind, object, list, element *), .count_offset = SCHEMA_AT(object, count, uint32_t),     \
						     .element_bytes = sizeof(element)
/* The rows of another schema; AS_SECTION: for members of the same object. */
#define AS_MAP(object, member, schema, kind)                                                                 \
	SCHEMA_VALUE(SCHEMA_MAP, object, member, kind), .child = (schema), .child_bytes = sizeof(kind)
#define AS_SECTION(object, schema)                                                                           \
	.type = SCHEMA_MAP, .object_bytes = sizeof(object), .child = (schema), .child_bytes = sizeof(object)

#define ONE_OF(object, member, value)                                                                        \
	.is_choice = true, .choice_offset = SCHEMA_AT(object, member, unsigned), .choice = (value)
#define SET_BY(object, flag) .is_optional = true, .set_offset = SCHEMA_AT(object, flag, bool)
#define AS_OPT_U64(object, member) AS_U64(object, member.value), SET_BY(object, member.is_set)
#define AS_OPT_DURATION(object, member) AS_DURATION(object, member.ns), SET_BY(object, member.is_set)

#define RANGE(least, most) .range = { least, most }
#define AT_LEAST(least) .range = { least, INT64_MAX }
#define MANIFEST_RANGE(least, most) .manifest_range = { least, most }
#define MANIFEST_AT_LEAST(least) .manifest_range = { least, INT64_MAX }
#define WORDS(...)                                                                                           \
	.words = (const char *const[]){ __VA_ARGS__ },                                                       \
	.word_count = sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(const char *)
/* clang-format off */
#define MANIFEST_WORDS(...) .manifest_words = (const char *const[]){ __VA_ARGS__ }
/* clang-format on */

/* Writes the defaults into a zeroed object. */
void schema_default(const struct schema *schema, void *object);
/* Decodes the keys into the object, over its values. False: not a map, or NULL. */
bool schema_decode(struct decoder *d, const struct yaml_node *node, const struct schema *schema,
		   void *object);
/* The same without a look at further keys: for maps that hold the members of several objects. */
void schema_decode_members(struct decoder *d, const struct yaml_node *node, const struct schema *schema,
			   void *object);
/* Decodes the elements of a list or map, without invalid ones. NULL: none. */
bool schema_decode_list(struct decoder *d, const struct yaml_node *node,
			bool (*element)(struct decoder *d, const struct yaml_node *node, void *element),
			size_t element_bytes, void *ret_list, uint32_t *ret_count);
/* True if the map has a key that the rows refuse. */
bool schema_refuses(const struct schema *schema, const struct yaml_node *node);
/* Returns a new object of the snapshot with defaults. NULL after an error without a usable object. */
void *schema_decode_new(struct decoder *d, const struct yaml_node *node, const struct schema *schema);

/*
 * Appends the changed keys that take effect only at the next start, as paths with ", " between them.
 * text_error() reports lack of memory.
 */
void schema_late_keys(const struct schema *schema, const void *old, const void *new, struct text *out);

/* Access to values, for output: */
const void *schema_member(const struct schema_row *row, const void *object);
/* bool, numbers, durations, shares, and words as their index; flags: one bit each */
uint64_t schema_number(const struct schema_row *row, const void *object);
uint32_t schema_count(const struct schema_row *row, const void *object); /* of a list; 0: not a list */
/* strings and words; empty: not set, or another type */
struct span schema_text(const struct schema_row *row, const void *object);
bool schema_is_set(const struct schema_row *row, const void *object);
