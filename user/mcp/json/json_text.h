/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/json_writer.h"

/*
 * JSON as text (RFC 8259). mcp_json_check() reads a whole text once, with a library; what it has accepted is
 * then walked with the functions below, which find values without building anything. They must be given
 * nothing else: on text that was not checked they stay inside it, but what they find means nothing.
 */
struct mcp_json_checker; /* memory that one thread uses again and again */

struct mcp_json_checker *mcp_json_checker_create(void);
void mcp_json_checker_free(struct mcp_json_checker *c);
/*
 * 0 when `text` is one JSON value in UTF-8, no deeper than LIMIT_MCP_DEPTH, else -EBADMSG, -ELOOP (too deep)
 * or -ENOMEM. Numbers may have any size: nobody here computes with them.
 */
int mcp_json_check(struct mcp_json_checker *c, struct span text);

enum mcp_json_type {
	MCP_JSON_NONE, /* there is no such value */
	MCP_JSON_OBJECT,
	MCP_JSON_ARRAY,
	MCP_JSON_STRING,
	MCP_JSON_NUMBER,
	MCP_JSON_TRUE,
	MCP_JSON_FALSE,
	MCP_JSON_NULL,
};

/* Of a value's own text, without blanks around it. */
enum mcp_json_type mcp_json_type(struct span value);
/* The value without the blanks around it. */
struct span mcp_json_trim(struct span text);

/* A walk over the members of an object or the elements of an array; over anything else it ends at once. */
struct mcp_json_walk {
	struct span left;
	bool is_object;
};

struct mcp_json_walk mcp_json_walk_of(struct span value);
/* *ret_key: between the quotes, empty for arrays. false at the end. */
bool mcp_json_next(struct mcp_json_walk *walk, struct span *ret_key, struct span *ret_value);

/*
 * The members of these names: ret_values[i] is that of names[i], or empty. A name that occurs twice, or one
 * that is written with escapes, could mean something else to the next reader: then the answer is false.
 */
bool mcp_json_members(struct span object, const struct span *names, size_t count, struct span *ret_values);
/*
 * The same; *has_alias becomes true if another name of the object could be one of these for a reader that
 * ignores the case of letters, as encoding/json of Go does, or is written with escapes.
 */
bool mcp_json_members_strict(struct span object, const struct span *names, size_t count,
			     struct span *ret_values, bool *has_alias);
/* The first member of that name, or an empty span. */
struct span mcp_json_member(struct span object, struct span name);
/* Between the quotes of a string, escapes left alone; empty for anything else. */
struct span mcp_json_string(struct span value);
/* Whether these bytes, which were not checked, may stand between the quotes of a string. */
bool mcp_json_is_inner(struct span bytes);
/* Whether a string's inner text means `plain`, which is ASCII. */
bool mcp_json_means(struct span inner, struct span plain);
/* Adds what a string's inner text means; half a surrogate pair becomes U+FFFD. */
void mcp_json_unescape(struct text *to, struct span inner);
