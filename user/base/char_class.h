/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

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
const char *char_class_skip(const char *at, const char *end, unsigned int classes);
/* The same for OCTET_TEXT and OCTET_TARGET, eight bytes at a time: they are most of a head. */
const char *char_class_skip_text(const char *at, const char *end);
const char *char_class_skip_target(const char *at, const char *end);
/* True if not empty and every byte is in one of the classes. */
bool char_class_all(struct span s, unsigned int classes);
bool char_class_is_token(struct span s);
/* These three may be empty. */
bool char_class_is_text(struct span s);
bool char_class_is_target(struct span s);
/* Visible ASCII without quotes and backslashes: needs no quotes in a log line. */
bool char_class_is_word(struct span s);
