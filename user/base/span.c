/* SPDX-License-Identifier: Apache-2.0 */
#include "user/base/span.h"

#include <errno.h>

static inline unsigned char lower(unsigned char c)
{
	return (unsigned char)(c - 'A') < 26 ? (unsigned char)(c | 0x20) : c;
}

#define EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

/* lower() of eight bytes. A sum of seven-bit values carries only into the top bit of its own byte. */
static inline uint64_t lower_word(uint64_t word)
{
	uint64_t low = word & EACH_BYTE(0x7f);
	uint64_t from_a = low + EACH_BYTE(0x80 - 'A');
	uint64_t past_z = low + EACH_BYTE(0x7f - 'Z');
	uint64_t upper = (from_a ^ past_z) & ~word & EACH_BYTE(0x80);

	return word | upper >> 2;
}

static inline bool word_eq_nocase(const char *a, const char *b)
{
	uint64_t left, right;

	memcpy(&left, a, sizeof(left));
	memcpy(&right, b, sizeof(right));
	return left == right || lower_word(left) == lower_word(right);
}

bool span_eq_nocase(struct span a, struct span b)
{
	size_t i = 0;

	if (a.len != b.len)
		return false;
	for (; a.len - i >= sizeof(uint64_t); i += sizeof(uint64_t)) {
		if (!word_eq_nocase(a.data + i, b.data + i))
			return false;
	}
	/* The last word overlaps the one before. */
	if (i && i < a.len)
		return word_eq_nocase(a.data + a.len - sizeof(uint64_t), b.data + a.len - sizeof(uint64_t));
	for (; i < a.len; i++) {
		if (lower((unsigned char)a.data[i]) != lower((unsigned char)b.data[i]))
			return false;
	}
	return true;
}

void span_lower(struct span s, char *to)
{
	size_t i = 0;

	for (; s.len - i >= sizeof(uint64_t); i += sizeof(uint64_t)) {
		uint64_t word;

		memcpy(&word, s.data + i, sizeof(word));
		word = lower_word(word);
		memcpy(to + i, &word, sizeof(word));
	}
	for (; i < s.len; i++)
		to[i] = (char)lower((unsigned char)s.data[i]);
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

size_t span_utf8_len(struct span s)
{
	unsigned char first = (unsigned char)s.data[0];
	size_t len = first < 0xc2 ? first < 0x80 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
	unsigned char second = s.len > 1 ? (unsigned char)s.data[1] : 0;

	if (len > s.len)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if (((unsigned char)s.data[i] & 0xc0) != 0x80)
			return 0;
	}
	/* Overlong forms, surrogates, and what lies past U+10FFFF. */
	if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
	    (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f))
		return 0;
	return len;
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
