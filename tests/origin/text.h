/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spans of received bytes, a growing byte buffer, and small parsers: tokens, numbers, query strings, JSON
 * text. Shares no code with the gateway on purpose: this program must judge independently. A buffer that
 * cannot grow keeps its content and sets has_failed; its owner checks once, at the end of a turn, and closes
 * the connection.
 */
#ifndef HTTPBIN_TEXT_H
#define HTTPBIN_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
	const char *at;
	size_t size;
};

struct buffer {
	char *data;
	size_t start; /* first byte that was not consumed */
	size_t end; /* first free byte */
	size_t cap;
	bool has_failed;
};

#define TEXT(literal) ((struct text){ (literal), sizeof(literal) - 1 })

bool text_is(struct text text, const char *literal);
bool text_is_nocase(struct text text, const char *literal);
bool text_same_nocase(struct text a, struct text b);
bool text_starts(struct text text, const char *prefix);
/* Whether the comma-separated list contains the token, ignoring case (RFC 9110 5.6.1). */
bool text_has_token(struct text list, const char *token);
struct text text_trim(struct text text);
bool text_is_tchar(unsigned char c);
/*
 * Parses the whole text as decimal digits. False for an empty text, any other byte, or a number above
 * 2^63-1.
 */
bool text_u64(struct text text, uint64_t *ret_number);

/*
 * Decodes percent escapes and plus into out. Returns the size written, at most cap; an invalid escape is
 * copied.
 */
size_t text_unescape(struct text text, char *out, size_t cap);

/* Iterates over "a=1&b=2"; false at the end. Neither part is decoded. */
bool query_next(struct text *rest, struct text *ret_name, struct text *ret_value);
bool query_find(struct text query, const char *name, struct text *ret_value);
uint64_t query_u64(struct text query, const char *name, uint64_t fallback);
/* Parses decimal seconds ("0.25"); returns milliseconds. */
uint64_t query_seconds_ms(struct text query, const char *name, uint64_t fallback_ms);
bool text_seconds_ms(struct text text, uint64_t *ret_ms);

size_t buffer_size(const struct buffer *buffer);
/* Reserves size more bytes; false (and has_failed) without memory. */
bool buffer_reserve(struct buffer *buffer, size_t size);
void buffer_add(struct buffer *buffer, const void *data, size_t size);
void buffer_add_text(struct buffer *buffer, struct text text);
void buffer_puts(struct buffer *buffer, const char *string);
void buffer_u64(struct buffer *buffer, uint64_t number);
void buffer_printf(struct buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buffer_take(struct buffer *buffer, size_t size);
void buffer_clear(struct buffer *buffer);
void buffer_free(struct buffer *buffer);

/*
 * Appends a quoted JSON string; bytes from 0x7f up become \u00XX, so every received byte can be restored
 * (Latin-1).
 */
void json_string(struct buffer *buffer, struct text text);

#endif
