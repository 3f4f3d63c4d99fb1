/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/base64.h"

#include <errno.h>

static int digit_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
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
		int digit = digit_of(text.data[i]);

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
