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

void base64url_encode(struct span bytes, char *out)
{
	for (size_t i = 0; i + 3 <= bytes.len; i += 3) {
		uint32_t bits = 0;

		for (size_t k = 0; k < 3; k++)
			bits = bits << 8 | (unsigned char)bytes.data[i + k];
		for (size_t k = 0; k < 4; k++) {
			char digit = alphabet[bits >> (18 - 6 * k) & 63];

			*out++ = digit == '+' ? '-' : digit == '/' ? '_' : digit;
		}
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

/* The value of a digit and one more; 0: none. */
/* clang-format off */
static const uint8_t url_digits[256] = {
	['A'] = 1, ['B'] = 2, ['C'] = 3, ['D'] = 4, ['E'] = 5, ['F'] = 6, ['G'] = 7, ['H'] = 8,
	['I'] = 9, ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
	['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
	['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
	['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
	['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
	['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
	['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['-'] = 63, ['_'] = 64,
};
/* clang-format on */

ssize_t base64url_decode(struct span text, char *out)
{
	unsigned bit_count = 0;
	uint32_t bits = 0;
	size_t len = 0;

	for (size_t i = 0; i < text.len; i++) {
		unsigned digit = url_digits[(unsigned char)text.data[i]];

		if (digit == 0)
			return -EINVAL;
		bits = bits << 6 | (digit - 1);
		bit_count += 6;
		if (bit_count < 8)
			continue;
		bit_count -= 8;
		out[len++] = (char)(bits >> bit_count);
		bits &= (1u << bit_count) - 1;
	}
	return bits || bit_count == 6 ? -EINVAL : (ssize_t)len;
}
