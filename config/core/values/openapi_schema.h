/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/decode.h"

enum { OPENAPI_NESTING = 16 }; /* schemas inside each other; references to references */

/* An OpenAPI document while it is read: its references, and its schemas as JSON Schema. */
struct openapi_document {
	struct decoder *d; /* borrowed, like root */
	const struct yaml_node *root;
	size_t most_bytes; /* of a tool with its references resolved */
	size_t effort_left; /* see openapi_spend() */
	const struct yaml_node *open_list[OPENAPI_NESTING]; /* schemas that are being written */
	uint32_t open_count;
	bool is_too_large; /* set by openapi_schema_add(), which then writes only a part */
	bool is_broken; /* a reference was reported */
};

/*
 * To be called before so many values or bytes are read that references may repeat: a small document can name
 * a large object very often. False: LIMIT_OPENAPI_EFFORT is used up, which is reported once.
 */
bool openapi_spend(struct openapi_document *document, size_t cost);
/* The text of a single value, or empty. */
struct span openapi_text(const struct yaml_node *map, const char *key);
/*
 * The object that the node refers to by $ref, or the node itself. NULL: reported; the reference is not local,
 * leads nowhere, or to itself. NULL for NULL.
 */
const struct yaml_node *openapi_resolve(struct openapi_document *document, const struct yaml_node *node);
/*
 * Appends the schema (NULL: of any value) as JSON Schema 2020-12 without references. A schema within itself,
 * or deeper than OPENAPI_NESTING, is {}: any value. description: replaces that of the schema, unless it is
 * empty.
 */
void openapi_schema_add(struct openapi_document *document, const struct yaml_node *schema,
			struct span description, struct text *out);
