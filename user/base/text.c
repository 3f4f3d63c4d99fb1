/* SPDX-License-Identifier: Apache-2.0 */
#include "user/base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "user/base/mem.h"

void text_init(struct text *t)
{
	*t = (struct text){ 0 };
}

void text_borrow(struct text *t, char *memory, size_t size)
{
	*t = (struct text){ .data = memory, .size = size, .is_borrowed = true };
}

void text_done(struct text *t)
{
	hg_free(t->data);
	text_init(t);
}

void text_clear(struct text *t)
{
	t->len = 0;
	t->failed = false;
	if (t->data)
		t->data[0] = '\0';
}

static bool text_grow(struct text *t, size_t more)
{
	size_t size = t->size ? t->size : 128;
	char *data;

	if (t->failed)
		return false;
	if (t->is_borrowed) {
		t->failed = true;
		return false;
	}
	while (size - t->len <= more)
		size *= 2;
	data = hg_realloc(t->data, size);
	if (!data) {
		t->failed = true;
		return false;
	}
	t->data = data;
	t->size = size;
	return true;
}

static inline bool text_room(struct text *t, size_t more)
{
	return (t->size - t->len > more && !t->failed) || text_grow(t, more);
}

void text_add(struct text *t, struct span s)
{
	if (s.len == 0 || !text_room(t, s.len))
		return;
	memcpy(t->data + t->len, s.data, s.len);
	t->len += s.len;
	t->data[t->len] = '\0';
}

void text_str(struct text *t, const char *s)
{
	text_add(t, span_str(s));
}

void text_char(struct text *t, char c)
{
	text_add(t, span_of(&c, 1));
}

void text_fmt(struct text *t, const char *format, ...)
{
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (len <= 0 || !text_room(t, (size_t)len))
		return;
	va_start(args, format);
	vsnprintf(t->data + t->len, t->size - t->len, format, args);
	va_end(args);
	t->len += (size_t)len;
}

size_t text_escape(char out[4], unsigned char c)
{
	static const char digits[] = "0123456789abcdef";

	if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
		out[0] = (char)c;
		return 1;
	}
	out[0] = '\\';
	out[1] = 'x';
	out[2] = digits[c >> 4];
	out[3] = digits[c & 15];
	if (c != '"' && c != '\\')
		return 4;
	out[1] = (char)c;
	return 2;
}

void text_escaped(struct text *t, struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		char out[4];

		text_add(t, span_of(out, text_escape(out, (unsigned char)s.data[i])));
	}
}

struct span text_span(const struct text *t)
{
	return span_of(t->data, t->len);
}

int text_error(const struct text *t)
{
	return t->failed ? -ENOMEM : 0;
}

size_t text_u64(char *out, uint64_t value)
{
	char digits[20];
	size_t len = 0;

	do {
		digits[len++] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	for (size_t i = 0; i < len; i++)
		out[i] = digits[len - 1 - i];
	return len;
}

size_t text_hex(char *out, uint64_t value)
{
	size_t len = value ? (size_t)(67 - __builtin_clzll(value)) / 4 : 1;

	for (size_t i = len; i > 0; i--) {
		out[i - 1] = "0123456789abcdef"[value & 15];
		value >>= 4;
	}
	return len;
}
