/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/arena.h"
#include "user/http/head.h"

/*
 * Expressions of policies: the part of CEL that delays and health conditions need. What is understood:
 *
 *	values       true false, 5, 0.1, "text" 'text', [1, 2]
 *	names        request.method .path .host .uri, request.headers["name"] or .name,
 *	             and where there is a response: response.code, response.headers["name"]
 *	operators    ? :   ||   &&   == != < <= > >= in   + -   * / %   ! -   ( )
 *	functions    random() (0.0 to 1.0), int(n), double(n), duration("500ms"),
 *	             text.startsWith(text), .endsWith(text), .contains(text)
 *
 * Types are checked when the expression is compiled; whole numbers and decimals mix, as they do not in CEL.
 * An expression without a value - a header that is not there, a division by zero - is no error of the
 * program: it is EXPRESSION_NONE, and `||` and `&&` take no notice of it where the other side decides, as in
 * CEL.
 *
 * A compiled expression is immutable. Evaluation takes no memory from the heap, and no more steps and levels
 * than the text has bytes: at most LIMIT_EXPRESSION_BYTES.
 */
enum expression_type {
	EXPRESSION_NONE,
	EXPRESSION_BOOL,
	EXPRESSION_INT,
	EXPRESSION_DOUBLE,
	EXPRESSION_TEXT,
	EXPRESSION_DURATION,
	EXPRESSION_LIST, /* only on the right of `in` */
	EXPRESSION_HEADERS, /* only before [name] and on the right of `in` */
};

enum expression_scope {
	EXPRESSION_OF_REQUEST,
	EXPRESSION_OF_RESPONSE, /* request and response */
};

struct expression_node;

struct expression {
	const struct expression_node *root;
	enum expression_type type; /* of its value */
};

/* What an expression may look at. Borrowed for the call. */
struct expression_facts {
	const struct request_head *request;
	const struct fields *response_fields; /* NULL: no response came; its headers have no value */
	uint16_t response_code;
	uint64_t random;
};

struct expression_value {
	enum expression_type type;
	union {
		bool is_true;
		int64_t whole;
		double decimal;
		struct span text;
		uint64_t duration_ns;
	};
};

#define EXPRESSION_ERROR_BYTES 256

/*
 * Reads `text` into memory of `arena`; texts of the expression are borrowed from `text`. 0; -ENOMEM; or
 * -EINVAL with a sentence in error that says where and what to write instead.
 */
int expression_compile(struct span text, enum expression_scope scope, struct arena *arena,
		       struct expression *ret_expression, char error[EXPRESSION_ERROR_BYTES]);
struct expression_value expression_evaluate(const struct expression *expression,
					    const struct expression_facts *facts);
const char *expression_type_name(enum expression_type type); /* "a whole number" */
