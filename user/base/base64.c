/* SPDX-License-Identifier: Apache-2.0 */
#include "user/base/base64.h"

#include <errno.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct text *to, struct span bytes)
{
	for (size_t i = 0; i < bytes.len; i += 3) {
		size_t left = bytes.len - i;
		uint32_t bits = 0;
		char quad[4];

		for (size_t k = 0; k < 3; k++)
			bits = bits << 8 | (k < left ? (unsigned char)bytes.data[i + k] : 0);
		for (size_t k = 0; k < 4; k++)
			quad[k] = k <= left ? alphabet[bits >> (18 - 6 * k) & 63] : '=';
		text_add(to, span_of(quad, sizeof(quad)));
	}
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

ssize_t base64_decode(struct span text, char *out)
{
	unsigned digits = 0, padding = 0;
	uint32_t bits = 0;
	size_t len = 0;

	for (size_t i = 0; i < text.len; i++) {
		int digit = (int)span_find(SPAN(alphabet), text.data[i]);

		if (is_blank(text.data[i]))
			continue;
		padding += text.data[i] == '=';
		if (padding ? text.data[i] != '=' || padding > 2 : digit < 0)
			return -EINVAL;
		bits = bits << 6 | (uint32_t)(padding ? 0 : digit);
		if (++digits < 4)
			continue;
		for (unsigned k = 0; k + padding < 3; k++)
			out[len++] = (char)(bits >> (16 - 8 * k));
		digits = 0;
		bits = 0;
		/* Nothing but padding may follow, and that is complete. */
		if (padding)
			padding = 2;
	}
	return digits ? -EINVAL : (ssize_t)len;
}

static int url_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

ssize_t base64url_decode(struct span text, char *out)
{
	unsigned bit_count = 0;
	uint32_t bits = 0;
	size_t len = 0;

	for (size_t i = 0; i < text.len; i++) {
		int digit = url_digit(text.data[i]);

		if (digit < 0)
			return -EINVAL;
		bits = bits << 6 | (uint32_t)digit;
		bit_count += 6;
		if (bit_count < 8)
			continue;
		bit_count -= 8;
		out[len++] = (char)(bits >> bit_count);
		bits &= (1u << bit_count) - 1;
	}
	return bits || bit_count == 6 ? -EINVAL : (ssize_t)len;
}
