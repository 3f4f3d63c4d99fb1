/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/span.h"

/* Tokens of an expression. Pure; texts are borrowed from the input. */
enum token_kind {
	TOKEN_END,
	TOKEN_NAME, /* also true, false, in */
	TOKEN_INT,
	TOKEN_DOUBLE,
	TOKEN_TEXT, /* without its quotes */
	TOKEN_SIGN, /* an operator, bracket or separator */
	TOKEN_BAD, /* see problem */
};

struct token {
	enum token_kind kind;
	struct span text;
	size_t at; /* offset in bytes */
	int64_t whole;
	double decimal;
	const char *problem;
};

/* Returns the token that starts at or after `at`. */
struct token token_read(struct span input, size_t at);
/* The offset after the token. */
size_t token_end(const struct token *token);
