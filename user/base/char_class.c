/* SPDX-License-Identifier: Apache-2.0 */
#include "user/base/char_class.h"

#define VISIBLE (OCTET_TARGET | OCTET_TEXT)
#define PLAIN (VISIBLE | OCTET_QUOTED)
#define UPPER_NAME (PLAIN | OCTET_TOKEN)
#define NAME (UPPER_NAME | OCTET_LOWER_TOKEN)
#define NAME_HOST (NAME | OCTET_HOST)
#define PLAIN_HOST (PLAIN | OCTET_HOST)

const uint8_t octet_classes[256] = {
	['\t'] = OCTET_TEXT | OCTET_QUOTED,
	[' '] = OCTET_TEXT | OCTET_QUOTED,
	['!'] = NAME_HOST,
	['"'] = VISIBLE,
	['#'] = OCTET_TEXT | OCTET_QUOTED | OCTET_TOKEN | OCTET_LOWER_TOKEN,
	['$'] = NAME_HOST,
	['%'] = NAME,
	['&'] = NAME_HOST,
	['\''] = NAME_HOST,
	['('] = PLAIN_HOST,
	[')'] = PLAIN_HOST,
	['*'] = NAME_HOST,
	['+'] = NAME_HOST,
	[','] = PLAIN,
	['-'] = NAME_HOST,
	['.'] = NAME_HOST,
	['/'] = PLAIN,
	['0' ... '9'] = NAME_HOST | OCTET_DIGIT | OCTET_HEX,
	[':'] = PLAIN,
	[';'] = PLAIN_HOST,
	['<'] = PLAIN,
	['='] = PLAIN_HOST,
	['>'] = PLAIN,
	['?'] = PLAIN,
	['@'] = PLAIN,
	['A' ... 'F'] = UPPER_NAME | OCTET_HOST | OCTET_HEX,
	['G' ... 'Z'] = UPPER_NAME | OCTET_HOST,
	['['] = PLAIN,
	['\\'] = VISIBLE,
	[']'] = PLAIN,
	['^'] = NAME,
	['_'] = NAME_HOST,
	['`'] = NAME,
	['a' ... 'f'] = NAME_HOST | OCTET_HEX,
	['g' ... 'z'] = NAME_HOST,
	['{'] = PLAIN,
	['|'] = NAME,
	['}'] = PLAIN,
	['~'] = NAME_HOST,
	[0x80 ... 0xff] = OCTET_TEXT | OCTET_QUOTED,
};

const char *char_class_skip(const char *at, const char *end, unsigned int classes)
{
	while (at < end && octet_is(*at, classes))
		at++;
	return at;
}

/* ---------------------------------------------------------------------------- eight bytes at a time */

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

static inline uint64_t load(const char *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof(word));
	return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? word : __builtin_bswap64(word);
}

/*
 * The top bit of every byte below `bound` (at most 0x80). Bytes above the lowest hit may be flagged wrongly,
 * because a borrow propagates upwards: use only the lowest bit.
 */
static inline uint64_t below(uint64_t word, uint8_t bound)
{
	return (word - EACH(bound)) & ~word & EACH(0x80u);
}

static inline uint64_t equal(uint64_t word, uint8_t byte)
{
	return below(word ^ EACH(byte), 1);
}

/* Bytes that the class may not contain, and with stops_of_text() HTAB. */
static inline uint64_t stops_of_text(const char *at)
{
	uint64_t word = load(at);

	return below(word, 0x20) | equal(word, 0x7f);
}

static inline uint64_t stops_of_visible(const char *at)
{
	uint64_t word = load(at);

	return below(word, 0x21) | equal(word, 0x7f) | (word & EACH(0x80u));
}

static inline uint64_t stops_of_target(const char *at)
{
	return stops_of_visible(at) | equal(load(at), '#');
}

static inline uint64_t stops_of_word(const char *at)
{
	return stops_of_visible(at) | equal(load(at), '"') | equal(load(at), '\\');
}

/* False if a byte of s, which has at least eight, may be a stop. The last word overlaps the one before. */
static inline bool has_no_stop(struct span s, uint64_t (*stops)(const char *at))
{
	const char *last = s.data + s.len - sizeof(uint64_t);
	uint64_t found = stops(last);

	for (const char *at = s.data; at < last; at += sizeof(uint64_t))
		found |= stops(at);
	return !found;
}

const char *char_class_skip_text(const char *at, const char *end)
{
	for (;;) {
		while (end - at >= 8) {
			uint64_t stop = stops_of_text(at);

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

const char *char_class_skip_target(const char *at, const char *end)
{
	for (; end - at >= 8; at += 8) {
		uint64_t stop = stops_of_target(at);

		if (stop)
			return at + __builtin_ctzll(stop) / 8;
	}
	return char_class_skip(at, end, OCTET_TARGET);
}

/* ---------------------------------------------------------------------------- whole spans */

bool char_class_all(struct span s, unsigned int classes)
{
	return s.len > 0 && char_class_skip(s.data, s.data + s.len, classes) == s.data + s.len;
}

bool char_class_is_token(struct span s)
{
	return char_class_all(s, OCTET_TOKEN);
}

bool char_class_is_target(struct span s)
{
	return s.len == 0 || char_class_skip_target(s.data, s.data + s.len) == s.data + s.len;
}

bool char_class_is_text(struct span s)
{
	if (s.len < sizeof(uint64_t))
		return s.len == 0 || char_class_all(s, OCTET_TEXT);
	return has_no_stop(s, stops_of_text) ||
	       char_class_skip_text(s.data, s.data + s.len) == s.data + s.len;
}

bool char_class_is_word(struct span s)
{
	size_t len = 0;

	if (s.len >= sizeof(uint64_t))
		return has_no_stop(s, stops_of_word);
	/* qdtext is without quotes and backslashes. */
	while (len < s.len && (unsigned char)(s.data[len] - '!') < 0x7f - '!' &&
	       octet_is(s.data[len], OCTET_QUOTED))
		len++;
	return len == s.len;
}
