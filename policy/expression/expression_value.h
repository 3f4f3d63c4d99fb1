/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "user/base/span.h"

/*
 * A value of an expression. Also a node of the immutable trees that an expression reads: the claims of a
 * token, the metadata of a key (expression_json.h makes one of JSON). Texts, items and members are borrowed.
 */
enum expression_type {
	EXPRESSION_NONE, /* no value: something is absent, or a limit was reached (gave_up) */
	EXPRESSION_NULL, /* of JSON, and a token or key that the request does not have */
	EXPRESSION_BOOL,
	EXPRESSION_INT,
	EXPRESSION_DOUBLE,
	EXPRESSION_TEXT,
	EXPRESSION_DURATION,
	EXPRESSION_TIME,
	EXPRESSION_ADDRESS,
	EXPRESSION_NETWORK,
	EXPRESSION_LIST,
	EXPRESSION_MAP,
	EXPRESSION_HEADERS, /* only before [name] and on the right of `in` */
	EXPRESSION_DYNAMIC, /* of an expression: its type is known when it is evaluated. Not of a value */
};

struct fields;

struct expression_value {
	enum expression_type type;
	uint32_t count; /* LIST: items; MAP: members; NETWORK: bits of the prefix, 0..128 */
	union {
		bool gave_up; /* NONE */
		bool is_true;
		int64_t whole;
		double decimal;
		struct span text;
		uint64_t duration_ns;
		uint64_t time_ns; /* since 1970 */
		uint8_t address[16]; /* IPv4 as ::ffff:a.b.c.d (RFC 4291 2.5.5.2) */
		const struct expression_value *items;
		const struct expression_member *members; /* in the byte order of their names, each once */
		const struct fields *fields;
	};
};

struct expression_member {
	struct span name;
	struct expression_value value;
};

static inline struct expression_value expression_bool(bool is_true)
{
	return (struct expression_value){ .type = EXPRESSION_BOOL, .is_true = is_true };
}

static inline struct expression_value expression_int(int64_t whole)
{
	return (struct expression_value){ .type = EXPRESSION_INT, .whole = whole };
}

static inline struct expression_value expression_double(double decimal)
{
	return (struct expression_value){ .type = EXPRESSION_DOUBLE, .decimal = decimal };
}

static inline struct expression_value expression_span(struct span text)
{
	return (struct expression_value){ .type = EXPRESSION_TEXT, .text = text };
}

/* NULL if it has no member of that name. */
const struct expression_value *expression_member(const struct expression_value *map, struct span name);
/* A boolean, number, duration, time or address as text: its length; 0: another type. */
enum { EXPRESSION_SCALAR_BYTES = 64 };
size_t expression_scalar_text(struct expression_value value, char out[EXPRESSION_SCALAR_BYTES]);
const char *expression_type_name(enum expression_type type); /* "a whole number" */
