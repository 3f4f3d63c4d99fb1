/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/text.h"

/*
 * JSON out and in.
 *
 * Out: a writer that prints as it goes, so that a list of a hundred thousand streams needs no tree. Members
 * come out in the order they are added, pretty-printed with two blanks, empty containers as {} and [].
 * Whole numbers keep all their digits. Strings are UTF-8: bytes that are not come out as \u00NN, control
 * bytes escaped (RFC 8259 7). Lack of memory shows once, in text_error() of the text.
 *
 * In: a parsed tree (cJSON, only used here).
 */
enum { JSON_DEPTH = 32 };

struct json_writer {
	struct text *out; /* borrowed */
	uint32_t depth;
	uint32_t filled; /* bit per depth: the container there has a member */
	uint32_t arrays; /* bit per depth: it is an array */
	struct span key; /* of the next value; data == NULL: none */
};

void json_begin(struct json_writer *w, struct text *out);
/* For keys that are not literals: applies to the next value, whose own key argument must be NULL. */
void json_key(struct json_writer *w, struct span key);
/* key: NULL in arrays, at the top, and after json_key(). */
void json_open_object(struct json_writer *w, const char *key);
void json_open_array(struct json_writer *w, const char *key);
void json_close(struct json_writer *w);
void json_string(struct json_writer *w, const char *key, struct span value);
void json_str(struct json_writer *w, const char *key, const char *value); /* NULL: null */
void json_string_or_null(struct json_writer *w, const char *key, struct span value); /* empty: null */
void json_u64(struct json_writer *w, const char *key, uint64_t value);
void json_bool(struct json_writer *w, const char *key, bool value);
void json_null(struct json_writer *w, const char *key);
void json_duration(struct json_writer *w, const char *key, uint64_t ns); /* "10m0s", config/core/duration.h */
/* A number given by its text, e.g. "0.5". */
void json_number(struct json_writer *w, const char *key, struct span digits);
void json_base64(struct json_writer *w, const char *key, struct span bytes); /* RFC 4648 4, padded */

/* ---- reading */

struct json_value;

/* NULL on no memory, on anything that is not one JSON text, and on trailing bytes. */
struct json_value *json_parse(struct span text);
void json_free(struct json_value *root); /* NULL is fine */
/* All accept NULL and a value of another type, and then say NULL, 0 or an empty text. */
const struct json_value *json_member(const struct json_value *object, const char *key);
const struct json_value *json_first(const struct json_value *container);
const struct json_value *json_next(const struct json_value *value);
const char *json_text(const struct json_value *value);
/* Whole part of a number; exact up to 2^53. */
uint64_t json_whole(const struct json_value *value);
bool json_is_null(const struct json_value *value); /* true for null, false when there is no value */
/* The member's text. */
static inline const char *json_member_text(const struct json_value *object, const char *key)
{
	return json_text(json_member(object, key));
}
static inline uint64_t json_member_whole(const struct json_value *object, const char *key)
{
	return json_whole(json_member(object, key));
}
