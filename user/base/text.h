/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/span.h"

/*
 * Growing text for dumps, logs and error messages: never for bytes of a stream. After a failed allocation the
 * text keeps its content and remembers the failure, which text_error() returns once at the end.
 */
struct text {
	char *data; /* owner; NUL-terminated when len > 0 */
	size_t len;
	size_t size;
	bool failed;
	bool is_borrowed; /* data is the caller's and never grows */
};

void text_init(struct text *t);
/* Into `size` bytes of the caller's, NUL included. What does not fit is a failure; no text_done(). */
void text_borrow(struct text *t, char *memory, size_t size);
void text_done(struct text *t);
void text_clear(struct text *t);
void text_add(struct text *t, struct span s);
void text_str(struct text *t, const char *s);
void text_char(struct text *t, char c);
void text_fmt(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* For foreign bytes: control bytes, quotes, backslashes and bytes above 0x7e become \xNN, quotes \". */
void text_escaped(struct text *t, struct span s);
/* One byte of that: 1, 2 or 4 characters. */
size_t text_escape(char out[4], unsigned char c);
struct span text_span(const struct text *t);
int text_error(const struct text *t); /* 0 or -ENOMEM */

/* Writes the decimal digits of `value` to out (at least 21 bytes); returns the length. No terminator. */
size_t text_u64(char *out, uint64_t value);
/*
 * Writes lower-case hexadecimal digits without leading zeros to out (at least 17 bytes); returns the length.
 */
size_t text_hex(char *out, uint64_t value);
