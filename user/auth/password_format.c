/* SPDX-License-Identifier: Apache-2.0 */
#include "user/auth/password_format.h"

#include "user/base/check.h"

enum {
	BCRYPT_COST_MAX = 14, /* 2^14 rounds: a second */
	ROUNDS_MAX = 1000000, /* of SHA and MD5: a second */
	YESCRYPT_MEMORY_MAX = 14, /* 2^15 blocks of 4 KiB: 128 MiB */
	SCRYPT_MEMORY_MAX = 16, /* 2^16 blocks of 1 KiB */
	FRAGMENT_MIN = 12, /* characters of a hash that a text like ":$5$" does not have */
};

enum cost_kind {
	COST_FIXED,
	COST_BCRYPT, /* two digits: the logarithm of the rounds */
	COST_ROUNDS, /* rounds=N, optional; also ",rounds=N" behind the name */
	COST_COUNT, /* N */
	COST_YESCRYPT, /* flags, then the logarithm of the blocks as a digit of base 64 */
	COST_SCRYPT, /* the logarithm of the blocks as a digit of base 64 */
};

/* crypt(5): $name$...$hash. */
static const struct password_form {
	struct span name; /* with both $ */
	size_t hash_bytes; /* behind the last $ */
	uint32_t segments_min; /* between the name and the hash */
	uint32_t segments_max;
	enum password_scheme scheme;
	enum cost_kind cost;
} forms[] = {
	{ SPAN("$apr1$"), 22, 1, 1, PASSWORD_APR1, COST_FIXED },
	{ SPAN("$1$"), 22, 1, 1, PASSWORD_CRYPT, COST_FIXED },
	{ SPAN("$2a$"), 53, 1, 1, PASSWORD_CRYPT, COST_BCRYPT },
	{ SPAN("$2b$"), 53, 1, 1, PASSWORD_CRYPT, COST_BCRYPT },
	{ SPAN("$2x$"), 53, 1, 1, PASSWORD_CRYPT, COST_BCRYPT },
	{ SPAN("$2y$"), 53, 1, 1, PASSWORD_CRYPT, COST_BCRYPT },
	{ SPAN("$3$"), 32, 1, 1, PASSWORD_CRYPT, COST_FIXED },
	{ SPAN("$5$"), 43, 1, 2, PASSWORD_CRYPT, COST_ROUNDS },
	{ SPAN("$6$"), 86, 1, 2, PASSWORD_CRYPT, COST_ROUNDS },
	{ SPAN("$7$"), 43, 1, 1, PASSWORD_CRYPT, COST_SCRYPT },
	{ SPAN("$y$"), 43, 2, 2, PASSWORD_CRYPT, COST_YESCRYPT },
	{ SPAN("$gy$"), 43, 2, 2, PASSWORD_CRYPT, COST_YESCRYPT },
	{ SPAN("$sha1$"), 28, 2, 2, PASSWORD_CRYPT, COST_COUNT },
	{ SPAN("$md5$"), 22, 1, 2, PASSWORD_CRYPT, COST_FIXED },
	{ SPAN("$md5,"), 22, 2, 3, PASSWORD_CRYPT, COST_ROUNDS },
};

static const char digits[] = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

static bool is_digit64(char c)
{
	return span_find(SPAN(digits), c) >= 0;
}

static size_t digits_length(struct span s)
{
	size_t len = 0;

	while (len < s.len && is_digit64(s.data[len]))
		len++;
	return len;
}

static const struct password_form *form_of(struct span text)
{
	for (size_t i = 0; i < ARRAY_LEN(forms); i++)
		if (span_starts(text, forms[i].name))
			return &forms[i];
	return NULL;
}

/* Up to the next $; segments also have `=` and `,`. */
static bool segment_length(struct span s, size_t *ret)
{
	size_t len = 0;

	while (len < s.len && (is_digit64(s.data[len]) || s.data[len] == '=' || s.data[len] == ','))
		len++;
	*ret = len;
	return len < s.len && s.data[len] == '$';
}

size_t password_hash_length(struct span text)
{
	const struct password_form *form = form_of(span_first(text, PASSWORD_HASH_BYTES));
	size_t at, len;

	if (!form)
		return 0;
	at = form->name.len;
	for (uint32_t segments = 0; segments <= form->segments_max; segments++) {
		struct span rest = span_from(text, at);

		if (!segment_length(span_first(rest, PASSWORD_HASH_BYTES), &len)) {
			len = digits_length(rest);
			/* bcrypt has no $ between its salt and its hash. */
			return segments >= form->segments_min && len == form->hash_bytes &&
					       at + len < PASSWORD_HASH_BYTES
				       ? at + len
				       : 0;
		}
		at += len + 1;
	}
	return 0;
}

size_t password_hash_fragment(struct span text)
{
	size_t len = 0;

	while (len < text.len && (is_digit64(text.data[len]) || text.data[len] == '$' ||
				  text.data[len] == '=' || text.data[len] == ','))
		len++;
	return len >= FRAGMENT_MIN && form_of(span_first(text, len)) ? len : 0;
}

static uint64_t number_at(struct span s)
{
	uint64_t value = 0;
	size_t len = 0;

	while (len < s.len && s.data[len] >= '0' && s.data[len] <= '9')
		len++;
	return span_parse_u63(span_first(s, len), &value) == 0 ? value : UINT64_MAX;
}

static bool is_costly(const struct password_form *form, struct span hash)
{
	struct span rest = span_from(hash, form->name.len);
	ptrdiff_t digit;

	switch (form->cost) {
	case COST_FIXED:
		return false;
	case COST_BCRYPT:
		return number_at(rest) > BCRYPT_COST_MAX;
	case COST_ROUNDS:
		return span_starts(rest, SPAN("rounds=")) && number_at(span_from(rest, 7)) > ROUNDS_MAX;
	case COST_COUNT:
		return number_at(rest) > ROUNDS_MAX;
	case COST_YESCRYPT:
		digit = rest.len > 1 ? span_find(SPAN(digits), rest.data[1]) : -1;
		return rest.data[0] != 'j' || digit < 0 || digit > YESCRYPT_MEMORY_MAX;
	case COST_SCRYPT:
		digit = span_find(SPAN(digits), rest.data[0]);
		return digit < 0 || digit > SCRYPT_MEMORY_MAX;
	}
	return true;
}

static bool is_traditional(struct span hash)
{
	size_t len = digits_length(hash);

	return (len == 13 && hash.len == 13) ||
	       (hash.len == 20 && hash.data[0] == '_' && digits_length(span_from(hash, 1)) == 19);
}

const char *password_format_check(struct span hash, enum password_scheme *ret_scheme)
{
	const struct password_form *form = form_of(hash);

	*ret_scheme = PASSWORD_CRYPT;
	if (hash.len == 0)
		return "has no password hash";
	if (span_starts(hash, SPAN("{SHA}"))) {
		*ret_scheme = PASSWORD_SHA1;
		return hash.len == 5 + 28 && hash.data[hash.len - 1] == '='
			       ? NULL
			       : "has a {SHA} hash that is not 28 characters of base64";
	}
	if (is_traditional(hash))
		return NULL;
	if (!form)
		return "has no password hash in a known form; write it with htpasswd -B or mkpasswd";
	if (password_hash_length(hash) != hash.len)
		return "has an incomplete password hash; copy all of it";
	if (is_costly(form, hash))
		return "has a password hash that takes too long, or too much memory, to verify; use a "
		       "smaller cost (bcrypt: 14 at most)";
	*ret_scheme = form->scheme;
	return NULL;
}

const char *password_format_weakness(struct span hash)
{
	if (span_starts(hash, SPAN("{SHA}")) || span_starts(hash, SPAN("$3$")))
		return "has an unsalted hash, which tables reverse";
	if (hash.len == 13 && is_traditional(hash))
		return "has a hash of the first 8 characters only";
	return NULL;
}
