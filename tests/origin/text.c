/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/origin/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool text_is(struct text text, const char *literal)
{
	return strlen(literal) == text.size && memcmp(text.at, literal, text.size) == 0;
}

bool text_is_nocase(struct text text, const char *literal)
{
	return strlen(literal) == text.size && strncasecmp(text.at, literal, text.size) == 0;
}

bool text_same_nocase(struct text a, struct text b)
{
	return a.size == b.size && strncasecmp(a.at, b.at, a.size) == 0;
}

bool text_starts(struct text text, const char *prefix)
{
	size_t size = strlen(prefix);

	return text.size >= size && memcmp(text.at, prefix, size) == 0;
}

struct text text_trim(struct text text)
{
	while (text.size > 0 && (text.at[0] == ' ' || text.at[0] == '\t')) {
		text.at++;
		text.size--;
	}
	while (text.size > 0 && (text.at[text.size - 1] == ' ' || text.at[text.size - 1] == '\t'))
		text.size--;
	return text;
}

bool text_has_token(struct text list, const char *token)
{
	while (list.size > 0) {
		const char *comma = memchr(list.at, ',', list.size);
		size_t size = comma ? (size_t)(comma - list.at) : list.size;

		if (text_is_nocase(text_trim((struct text){ list.at, size }), token))
			return true;
		if (!comma)
			return false;
		list.at += size + 1;
		list.size -= size + 1;
	}
	return false;
}

bool text_is_tchar(unsigned char c)
{
	if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
		return true;
	return c > 0x20 && c < 0x7f && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

bool text_u64(struct text text, uint64_t *ret_number)
{
	uint64_t number = 0;

	if (text.size == 0)
		return false;
	for (size_t i = 0; i < text.size; i++) {
		unsigned digit = (unsigned)(unsigned char)text.at[i] - '0';

		if (digit > 9 || number > ((uint64_t)INT64_MAX - digit) / 10)
			return false;
		number = number * 10 + digit;
	}
	*ret_number = number;
	return true;
}

bool text_seconds_ms(struct text text, uint64_t *ret_ms)
{
	const char *dot = text.size ? memchr(text.at, '.', text.size) : NULL;
	uint64_t whole = 0, scale = 100, fraction = 0;
	struct text head = { text.at, dot ? (size_t)(dot - text.at) : text.size };

	if (head.size > 0 && (!text_u64(head, &whole) || whole > 100000000))
		return false;
	if (head.size == 0 && (!dot || text.size == 1))
		return false;
	for (size_t i = head.size + 1; i < text.size; i++) {
		unsigned digit = (unsigned)(unsigned char)text.at[i] - '0';

		if (digit > 9)
			return false;
		fraction += digit * scale;
		scale /= 10;
	}
	*ret_ms = whole * 1000 + fraction;
	return true;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

size_t text_unescape(struct text text, char *out, size_t cap)
{
	size_t size = 0;

	for (size_t i = 0; i < text.size && size < cap; i++) {
		char c = text.at[i];

		if (c == '+') {
			c = ' ';
		} else if (c == '%' && i + 2 < text.size && hex_value(text.at[i + 1]) >= 0 &&
			   hex_value(text.at[i + 2]) >= 0) {
			c = (char)(hex_value(text.at[i + 1]) * 16 + hex_value(text.at[i + 2]));
			i += 2;
		}
		out[size++] = c;
	}
	return size;
}

bool query_next(struct text *rest, struct text *ret_name, struct text *ret_value)
{
	while (rest->size > 0) {
		const char *amp = memchr(rest->at, '&', rest->size);
		struct text pair = { rest->at, amp ? (size_t)(amp - rest->at) : rest->size };
		const char *equals = pair.size ? memchr(pair.at, '=', pair.size) : NULL;
		size_t step = pair.size + (amp ? 1 : 0);

		rest->at += step;
		rest->size -= step;
		if (pair.size == 0)
			continue;
		ret_name->at = pair.at;
		ret_name->size = equals ? (size_t)(equals - pair.at) : pair.size;
		ret_value->at = equals ? equals + 1 : pair.at + pair.size;
		ret_value->size = equals ? pair.size - ret_name->size - 1 : 0;
		return true;
	}
	return false;
}

bool query_find(struct text query, const char *name, struct text *ret_value)
{
	struct text key, value;

	while (query_next(&query, &key, &value)) {
		if (text_is(key, name)) {
			*ret_value = value;
			return true;
		}
	}
	return false;
}

uint64_t query_u64(struct text query, const char *name, uint64_t fallback)
{
	struct text value;
	uint64_t number;

	return query_find(query, name, &value) && text_u64(value, &number) ? number : fallback;
}

uint64_t query_seconds_ms(struct text query, const char *name, uint64_t fallback_ms)
{
	struct text value;
	uint64_t ms;

	return query_find(query, name, &value) && text_seconds_ms(value, &ms) ? ms : fallback_ms;
}

size_t buffer_size(const struct buffer *buffer)
{
	return buffer->end - buffer->start;
}

bool buffer_reserve(struct buffer *buffer, size_t size)
{
	size_t used = buffer_size(buffer);
	size_t cap = buffer->cap ? buffer->cap : 4096;
	char *data;

	if (buffer->has_failed)
		return false;
	if (buffer->cap - buffer->end >= size)
		return true;
	if (buffer->start > 0 && buffer->cap - used >= size) {
		memmove(buffer->data, buffer->data + buffer->start, used);
		buffer->start = 0;
		buffer->end = used;
		return true;
	}
	while (cap - buffer->end < size)
		cap *= 2;
	data = realloc(buffer->data, cap);
	if (!data) {
		buffer->has_failed = true;
		return false;
	}
	buffer->data = data;
	buffer->cap = cap;
	return true;
}

void buffer_add(struct buffer *buffer, const void *data, size_t size)
{
	if (size == 0 || !buffer_reserve(buffer, size))
		return;
	memcpy(buffer->data + buffer->end, data, size);
	buffer->end += size;
}

void buffer_add_text(struct buffer *buffer, struct text text)
{
	buffer_add(buffer, text.at, text.size);
}

void buffer_puts(struct buffer *buffer, const char *string)
{
	buffer_add(buffer, string, strlen(string));
}

void buffer_u64(struct buffer *buffer, uint64_t number)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	buffer_add(buffer, digits + at, sizeof(digits) - at);
}

void buffer_printf(struct buffer *buffer, const char *format, ...)
{
	va_list list, again;
	int size;

	va_start(list, format);
	va_copy(again, list);
	size = vsnprintf(NULL, 0, format, list);
	if (size > 0 && buffer_reserve(buffer, (size_t)size + 1)) {
		vsnprintf(buffer->data + buffer->end, (size_t)size + 1, format, again);
		buffer->end += (size_t)size;
	}
	va_end(again);
	va_end(list);
}

void buffer_take(struct buffer *buffer, size_t size)
{
	buffer->start += size;
	if (buffer->start == buffer->end)
		buffer->start = buffer->end = 0;
}

void buffer_clear(struct buffer *buffer)
{
	buffer->start = buffer->end = 0;
	buffer->has_failed = false;
}

void buffer_free(struct buffer *buffer)
{
	free(buffer->data);
	*buffer = (struct buffer){ 0 };
}

void json_string(struct buffer *buffer, struct text text)
{
	size_t plain = 0;

	buffer_add(buffer, "\"", 1);
	for (size_t i = 0; i < text.size; i++) {
		unsigned char c = (unsigned char)text.at[i];

		if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\')
			continue;
		buffer_add(buffer, text.at + plain, i - plain);
		buffer_printf(buffer, "\\u%04x", c);
		plain = i + 1;
	}
	if (text.size > plain)
		buffer_add(buffer, text.at + plain, text.size - plain);
	buffer_add(buffer, "\"", 1);
}
