/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "user/base/span.h"

/* Tokens of an expression. Pure; texts are borrowed from the input. */
enum token_kind {
	TOKEN_END,
	TOKEN_NAME, /* also true, false, null, in */
	TOKEN_INT,
	TOKEN_DOUBLE,
	TOKEN_TEXT, /* without its quotes, see token_unescape() */
	TOKEN_SIGN, /* an operator, bracket or separator */
	TOKEN_BAD, /* see problem */
};

struct token {
	enum token_kind kind;
	struct span text;
	size_t at; /* offset in bytes */
	size_t end; /* the offset after it */
	bool has_escapes; /* TEXT */
	int64_t whole;
	double decimal;
	const char *problem;
};

/* Returns the token that starts at or after `at`. */
struct token token_read(struct span input, size_t at);
/*
 * Writes what the text means, at most text.len bytes, and returns the length: \\ \" \' \n \r \t \xHH \uHHHH.
 * -1: it has another escape.
 */
ptrdiff_t token_unescape(const struct token *token, char *out);
