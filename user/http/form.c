/* SPDX-License-Identifier: Apache-2.0 */
#include "user/http/form.h"

#include <errno.h>

#include "user/base/char_class.h"

ssize_t form_decode(struct span text, char *out)
{
	size_t len = 0;

	for (size_t i = 0; i < text.len; i++) {
		int high, low;

		if (text.data[i] != '%') {
			out[len++] = text.data[i] == '+' ? ' ' : text.data[i];
			continue;
		}
		high = i + 2 < text.len ? octet_hex(text.data[i + 1]) : -1;
		low = i + 2 < text.len ? octet_hex(text.data[i + 2]) : -1;
		if (high < 0 || low < 0)
			return -EINVAL;
		out[len++] = (char)(high << 4 | low);
		i += 2;
	}
	return (ssize_t)len;
}

static bool is_unreserved(char c)
{
	return octet_is(c, OCTET_DIGIT) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '-' || c == '.' ||
	       c == '_' || c == '~';
}

void form_encode(struct text *to, struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (is_unreserved(s.data[i]))
			text_char(to, s.data[i]);
		else
			text_fmt(to, "%%%02X", (unsigned char)s.data[i]);
	}
}
