/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/span.h"

/* JSON of our own, read into a tree (cJSON, only used here). What strangers send: user/mcp/json_text.h. */
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
