/* SPDX-License-Identifier: Apache-2.0 */
#include "user/base/span.h"

#include <errno.h>

static inline unsigned char lower(unsigned char c)
{
	return (unsigned char)(c - 'A') < 26 ? (unsigned char)(c | 0x20) : c;
}

bool span_eq_nocase(struct span a, struct span b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++) {
		if (lower((unsigned char)a.data[i]) != lower((unsigned char)b.data[i]))
			return false;
	}
	return true;
}

bool span_starts(struct span s, struct span prefix)
{
	return s.len >= prefix.len && span_eq(span_first(s, prefix.len), prefix);
}

bool span_ends(struct span s, struct span suffix)
{
	return s.len >= suffix.len && span_eq(span_from(s, s.len - suffix.len), suffix);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

struct span span_trim(struct span s)
{
	while (s.len && is_blank(s.data[0]))
		s = span_from(s, 1);
	while (s.len && is_blank(s.data[s.len - 1]))
		s.len--;
	return s;
}

ptrdiff_t span_find(struct span s, char c)
{
	const char *hit = s.len ? memchr(s.data, c, s.len) : NULL;

	return hit ? hit - s.data : -1;
}

bool span_split(struct span *rest, char separator, struct span *ret_element)
{
	ptrdiff_t at;

	if (!rest->data)
		return false;
	at = span_find(*rest, separator);
	if (at < 0) {
		*ret_element = *rest;
		*rest = (struct span){ NULL, 0 };
		return true;
	}
	*ret_element = span_first(*rest, (size_t)at);
	*rest = span_from(*rest, (size_t)at + 1);
	return true;
}

int span_compare(struct span a, struct span b)
{
	size_t len = a.len < b.len ? a.len : b.len;
	int order = len ? memcmp(a.data, b.data, len) : 0;

	if (order != 0)
		return order;
	return (a.len > b.len) - (a.len < b.len);
}

int span_parse_u63(struct span s, uint64_t *ret_value)
{
	uint64_t value = 0;

	if (s.len == 0)
		return -EINVAL;
	for (size_t i = 0; i < s.len; i++) {
		unsigned int digit = (unsigned int)(unsigned char)s.data[i] - '0';

		if (digit > 9)
			return -EINVAL;
		if (value > ((uint64_t)INT64_MAX - digit) / 10)
			return -ERANGE;
		value = value * 10 + digit;
	}
	*ret_value = value;
	return 0;
}
