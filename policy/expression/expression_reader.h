/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/expression/expression_node.h"
#include "policy/expression/expression_token.h"

/* The state of parsing: the next token, the first failure, nodes and their types. */
struct reader {
	struct span input;
	enum expression_point point;
	struct arena *arena;
	char *error; /* EXPRESSION_ERROR_BYTES */
	struct token token; /* the next one */
	uint32_t depth;
	uint32_t serial; /* of the next random() */
	uint32_t needs; /* enum expression_needs */
	bool may_be_object; /* in has(): has(source.identity) */
	uint32_t local_count;
	struct reader_local {
		struct span name;
		enum expression_type type;
	} locals[LIMIT_EXPRESSION_LOCALS]; /* names that exists() and the like give an item */
	int result; /* 0, or the first failure */
};

/* A token for a message; control bytes were refused before. */
#define WORD(token) (int)((token).text.len > 40 ? 40 : (token).text.len), (token).text.data

/* Keeps the first failure. Returns NULL. */
const struct expression_node *reader_fail(struct reader *r, size_t at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* The same with a sentence that one of the tables writes: refuse(name, how, out). */
const struct expression_node *reader_fail_text(struct reader *r, size_t at, const struct text *sentence);
void reader_advance(struct reader *r);
bool reader_at_sign(const struct reader *r, const char *sign);
bool reader_at_name(const struct reader *r, const char *name);
/* Returns true and consumes the token if it is this sign. */
bool reader_accept(struct reader *r, const char *sign);
/* The same, but fails if it is another token. */
bool reader_expect(struct reader *r, const char *sign);

/* NULL after a failure, or without memory. */
struct expression_node *reader_node(struct reader *r, enum expression_op op, enum expression_type type,
				    const struct expression_node *left, const struct expression_node *right);
const struct expression_node *reader_constant(struct reader *r, struct expression_value value);
/* Whether a value of this type can be in the set: dynamic ones can, and addresses are texts as well. */
bool reader_fits(enum expression_type type, uint32_t set);
/* Returns NULL unless the node, which may be NULL, fits. */
const struct expression_node *reader_need(struct reader *r, const struct expression_node *node, uint32_t set,
					  size_t at, const char *what);
/* Of two values one of which is taken: NONE if they are of different types, DYNAMIC if that is not known. */
enum expression_type reader_common_type(enum expression_type a, enum expression_type b);
bool reader_comparable(enum expression_type a, enum expression_type b);
/* False and a failure: so many links of a chain, each a level of the tree, are too many. */
bool reader_may_link(struct reader *r, uint32_t links);
