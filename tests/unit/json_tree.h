/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* JSON that the product wrote, read into a tree by another reader than its own. */
#include <cjson/cJSON.h>

#include "user/base/mem.h"
#include "user/base/span.h"

struct json_value;

static inline bool json_is_blank(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (!memchr(" \t\r\n", s.data[i], 4))
			return false;
	}
	return true;
}

/* NULL on no memory, on anything that is not one JSON text, and on trailing bytes. */
static inline struct json_value *json_parse(struct span text)
{
	static cJSON_Hooks hooks = { hg_malloc, hg_free };
	const char *end = NULL;
	cJSON *root;

	if (text.len == 0)
		return NULL;
	cJSON_InitHooks(&hooks);
	root = cJSON_ParseWithLengthOpts(text.data, text.len, &end, 0);
	if (root && !json_is_blank(span_from(text, (size_t)(end - text.data)))) {
		cJSON_Delete(root);
		return NULL;
	}
	return (struct json_value *)root;
}

static inline const cJSON *tree(const struct json_value *value)
{
	return (const cJSON *)value;
}

static inline void json_free(struct json_value *root)
{
	cJSON_Delete((cJSON *)root);
}

static inline const struct json_value *json_member(const struct json_value *object, const char *key)
{
	return (const struct json_value *)cJSON_GetObjectItemCaseSensitive(tree(object), key);
}

static inline const struct json_value *json_first(const struct json_value *container)
{
	if (!cJSON_IsArray(tree(container)) && !cJSON_IsObject(tree(container)))
		return NULL;
	return (const struct json_value *)tree(container)->child;
}

static inline const struct json_value *json_next(const struct json_value *value)
{
	return value ? (const struct json_value *)tree(value)->next : NULL;
}

static inline const char *json_text(const struct json_value *value)
{
	const char *text = cJSON_GetStringValue(tree(value));

	return text ? text : "";
}

static inline uint64_t json_whole(const struct json_value *value)
{
	double number = cJSON_IsNumber(tree(value)) ? tree(value)->valuedouble : 0;

	if (!(number > 0))
		return 0;
	return number < 18446744073709549568.0 ? (uint64_t)number : UINT64_MAX;
}

static inline bool json_is_null(const struct json_value *value)
{
	return cJSON_IsNull(tree(value));
}

/* The member's text. */
static inline const char *json_member_text(const struct json_value *object, const char *key)
{
	return json_text(json_member(object, key));
}
static inline uint64_t json_member_whole(const struct json_value *object, const char *key)
{
	return json_whole(json_member(object, key));
}
