/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/arena.h"
#include "user/http/head.h"

/*
 * Expressions of policies: the subset of CEL that delays and health conditions need:
 *
 *         values       true false, 5, 0.1, "text" 'text', [1, 2]
 *         names        request.method .path .host .uri, request.headers["name"] or .name,
 *                      and if there is a response: response.code, response.headers["name"]
 *         operators    ? :   ||   &&   == != < <= > >= in   + -   * / %   ! -   ( )
 *         functions    random() (0.0 to 1.0), int(n), double(n), duration("500ms"),
 *                      text.startsWith(text), .endsWith(text), .contains(text)
 *
 * Types are checked when the expression is compiled; unlike in CEL, integers and decimals can be mixed. An
 * expression without a value (an absent header, a division by zero) is not an error: its value is
 * EXPRESSION_NONE, and `||` and `&&` ignore it if the other operand decides, as in CEL.
 *
 * A compiled expression is immutable. Evaluation allocates no memory, and takes at most as many steps and
 * levels as the text has bytes: LIMIT_EXPRESSION_BYTES.
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

/* The data that an expression can read. Borrowed for the call. */
struct expression_facts {
	const struct request_head *request;
	const struct fields *response_fields; /* NULL: no response; its headers have no value */
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
 * Parses `text` into memory of `arena`; strings of the expression are borrowed from `text`. Returns 0;
 * -ENOMEM; or -EINVAL with a message in `error` that has the place and what to write instead.
 */
int expression_compile(struct span text, enum expression_scope scope, struct arena *arena,
		       struct expression *ret_expression, char error[EXPRESSION_ERROR_BYTES]);
struct expression_value expression_evaluate(const struct expression *expression,
					    const struct expression_facts *facts);
const char *expression_type_name(enum expression_type type); /* "a whole number" */
