/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * A borrowed run of bytes: never owned, never NUL-terminated, valid as long as the memory that it points
 * into. An empty span may have data == NULL.
 */
struct span {
	const char *data;
	size_t len;
};

#define SPAN(literal) ((struct span){ (literal), sizeof(literal) - 1 })
#define SPAN_FMT(s) (int)(s).len, (s).data /* for "%.*s" */

static inline struct span span_of(const void *data, size_t len)
{
	return (struct span){ (const char *)data, len };
}

static inline struct span span_str(const char *text)
{
	return (struct span){ text, text ? strlen(text) : 0 };
}

static inline bool span_eq(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline struct span span_from(struct span s, size_t start)
{
	if (start > s.len)
		start = s.len;
	/* An empty span may have no data, and NULL + 0 is undefined in C17. */
	return start == 0 ? s : (struct span){ s.data + start, s.len - start };
}

static inline struct span span_first(struct span s, size_t len)
{
	return (struct span){ s.data, len < s.len ? len : s.len };
}

bool span_eq_nocase(struct span a, struct span b); /* ASCII letters only, RFC 9110 5.1 */
/* A copy of all s.len bytes with ASCII letters in lower case. */
void span_lower(struct span s, char *to);
bool span_starts(struct span s, struct span prefix);
bool span_ends(struct span s, struct span suffix);
struct span span_trim(struct span s); /* strips SP and HTAB at both ends (OWS, RFC 9110 5.6.3) */
/* Length of the well-formed UTF-8 character that s begins with (RFC 3629 4), or 0. s.len > 0. */
size_t span_utf8_len(struct span s);
/* First index of byte c, or -1. */
ptrdiff_t span_find(struct span s, char c);
/* Removes the next element, up to `separator`, from *rest; false if *rest is exhausted. */
bool span_split(struct span *rest, char separator, struct span *ret_element);
int span_compare(struct span a, struct span b); /* byte order; a prefix sorts first */
/*
 * 1*DIGIT, no sign, no blanks, at most INT64_MAX. 0, -EINVAL or -ERANGE; *ret_value is unchanged on failure.
 */
int span_parse_u63(struct span s, uint64_t *ret_value);
