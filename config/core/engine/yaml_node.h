/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/arena.h"
#include "user/base/span.h"
#include "user/base/text.h"

/*
 * A document as a tree of maps, lists and scalars. Every node knows its place in the file. Scalars stay
 * strings: the caller that needs a number, a word or a duration interprets them
 * (config/core/engine/decode.h).
 */
enum yaml_kind {
	YAML_MAP,
	YAML_LIST,
	YAML_SCALAR,
};

struct yaml_document {
	struct span file; /* name for messages */
	struct span label; /* label for messages, set by the user: "HTTPRoute httpbin/retry"; empty: none */
	struct yaml_node *root; /* never NULL */
};

struct yaml_node {
	enum yaml_kind kind;
	bool is_quoted; /* scalar: 'x', "x", block or !!str; never null, bool or number */
	bool has_own_fault; /* `fault` of this node itself: a value that is wrong, a missing or unknown key */
	uint32_t line; /* from 1; of the value */
	uint32_t column; /* from 1, in characters */
	uint32_t key_line; /* 0: no key */
	uint32_t key_column;
	uint32_t count; /* children */
	uint32_t index; /* index among the siblings */
	struct span key; /* member of a map: its name */
	struct span text; /* scalar */
	struct yaml_node *parent; /* NULL: root */
	struct yaml_node *first; /* children in the order of the text */
	struct yaml_node *last;
	struct yaml_node *next;
	const struct yaml_document *document;
	/*
	 * The first error in this node or below it, if it concerns only its Kubernetes object
	 * (config/core/engine/errors.h): path and sentence; owned by the report. NULL: none.
	 */
	const char *fault;
};

/* Makes a node the root of its own document, for items of a Kubernetes List. NULL without memory. */
struct yaml_document *yaml_detach(struct arena *arena, struct yaml_node *node);

/* True for an unquoted empty scalar, "~" or "null". */
bool yaml_is_null(const struct yaml_node *node);
/* Returns the member of that name, even if it is null; NULL: none, or not a map. */
const struct yaml_node *yaml_get(const struct yaml_node *map, struct span key);
/* Appends "spec.rules[0].matches[1]": the path from the root of the document to the node. */
void yaml_path(const struct yaml_node *node, struct text *out);
const char *yaml_kind_name(const struct yaml_node *node); /* "a map", "a list", "a text", "nothing" */

#define yaml_each(child, node) for (const struct yaml_node *child = (node)->first; child; child = child->next)
