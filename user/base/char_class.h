/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <endian.h>

#include "user/base/span.h"

/*
 * The character classes of the HTTP grammar, and functions that skip runs of a class. All code that decides
 * whether a byte is allowed somewhere uses them, so that scan, parser, decoder and writer cannot disagree.
 */
enum octet_class {
	OCTET_TOKEN = 1, /* tchar, RFC 9110 5.6.2 */
	OCTET_TARGET = 2, /* allowed in a request target: visible ASCII except '#' */
	OCTET_TEXT = 4, /* field values, reason phrases: HTAB, SP, visible, obs-text (RFC 9110 5.5) */
	OCTET_QUOTED = 8, /* qdtext: OCTET_TEXT except '"' and '\' (RFC 9110 5.6.4) */
	OCTET_HOST = 16, /* reg-name without '%' and ',' (RFC 3986 3.2.2): needs no decoding or splitting */
	OCTET_DIGIT = 32,
	OCTET_HEX = 64,
	OCTET_LOWER_TOKEN = 128, /* OCTET_TOKEN except upper case: field names in HTTP/2 */
};

extern const uint8_t octet_classes[256];

static inline bool octet_is(char c, unsigned int classes)
{
	return (octet_classes[(unsigned char)c] & classes) != 0;
}

/* What a hexadecimal digit stands for; -1: it is none. */
static inline int octet_hex(char c)
{
	if (!octet_is(c, OCTET_HEX))
		return -1;
	return octet_is(c, OCTET_DIGIT) ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* The first byte at or after `at` that is in none of the classes, or `end`. */
static inline const char *char_class_skip(const char *at, const char *end, unsigned int classes)
{
	while (at < end && octet_is(*at, classes))
		at++;
	return at;
}

#define CHAR_CLASS_EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

static inline uint64_t char_class_load(const char *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof(word));
	return le64toh(word);
}

/*
 * The top bit of every byte below `bound` (at most 0x80). Bytes above the lowest hit may be flagged wrongly,
 * because a borrow propagates upwards: use only the lowest bit.
 */
static inline uint64_t char_class_below(uint64_t word, uint8_t bound)
{
	return (word - CHAR_CLASS_EACH(bound)) & ~word & CHAR_CLASS_EACH(0x80u);
}

static inline uint64_t char_class_equal(uint64_t word, uint8_t byte)
{
	return char_class_below(word ^ CHAR_CLASS_EACH(byte), 1);
}

/* Like char_class_skip(OCTET_TEXT), eight bytes at a time, because field values are most of a head. */
static inline const char *char_class_skip_text(const char *at, const char *end)
{
	for (;;) {
		while (end - at >= 8) {
			uint64_t word = char_class_load(at);
			uint64_t stop = char_class_below(word, 0x20) | char_class_equal(word, 0x7f);

			if (stop) {
				at += __builtin_ctzll(stop) / 8;
				break;
			}
			at += 8;
		}
		while (at < end && octet_is(*at, OCTET_TEXT)) {
			at++;
			if (end - at >= 8)
				break;
		}
		if (at == end || !octet_is(*at, OCTET_TEXT))
			return at;
	}
}

/* Like char_class_skip(OCTET_TARGET), eight bytes at a time. */
static inline const char *char_class_skip_target(const char *at, const char *end)
{
	while (end - at >= 8) {
		uint64_t word = char_class_load(at);
		uint64_t stop = char_class_below(word, 0x21) | char_class_equal(word, 0x7f) |
				char_class_equal(word, '#') | (word & CHAR_CLASS_EACH(0x80u));

		if (stop)
			return at + __builtin_ctzll(stop) / 8;
		at += 8;
	}
	return char_class_skip(at, end, OCTET_TARGET);
}

/* True if not empty and every byte is in one of the classes. */
bool char_class_all(struct span s, unsigned int classes);
bool char_class_is_token(struct span s);
/* These two may be empty. */
bool char_class_is_text(struct span s);
bool char_class_is_target(struct span s);
