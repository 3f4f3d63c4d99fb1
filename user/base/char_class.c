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

/* Bytes of eight that no text may contain, and HTAB. */
static inline uint64_t stops_of_text(const char *at)
{
	uint64_t word = char_class_load(at);

	return char_class_below(word, 0x20) | char_class_equal(word, 0x7f);
}

bool char_class_is_text(struct span s)
{
	const char *end;
	uint64_t stops = 0;

	if (s.len == 0)
		return true;
	end = s.data + s.len;
	if (s.len < sizeof(uint64_t))
		return char_class_skip(s.data, end, OCTET_TEXT) == end;
	for (const char *at = s.data; end - at > (ptrdiff_t)sizeof(uint64_t); at += sizeof(uint64_t))
		stops |= stops_of_text(at);
	/* The last word overlaps the one before. */
	stops |= stops_of_text(end - sizeof(uint64_t));
	return !stops || char_class_skip_text(s.data, end) == end;
}
