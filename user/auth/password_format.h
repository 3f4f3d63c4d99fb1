/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/span.h"

/*
 * The forms of a hashed password that htpasswd(1) and mkpasswd(1) write: crypt(5), Apache's apr1 and {SHA}.
 * Here only what can be seen in the text; password_hash.h computes.
 */
enum password_scheme {
	PASSWORD_CRYPT, /* whatever libcrypt knows */
	PASSWORD_APR1, /* MD5 in 1000 rounds, as $1$ with another name */
	PASSWORD_SHA1, /* {SHA} and base64 */
};

enum {
	PASSWORD_HASH_BYTES = 256, /* longest hash; those of crypt(5) are shorter than 200 */
	PASSWORD_BYTES = 511, /* longest password that crypt(3) takes */
};

/*
 * Bytes of the complete hash that starts `text` with a `$`, or 0: as `$apr1$salt$22 characters`. What follows
 * it does not matter, unless it would make the hash longer. No name of an environment variable looks like it.
 */
size_t password_hash_length(struct span text);
/*
 * Bytes of what looks like a hash that was not copied completely: it starts with the name of a form, as
 * `$apr1$`, and goes on with at least some of the characters of a hash. 0: it does not.
 */
size_t password_hash_fragment(struct span text);

/*
 * NULL, and the scheme, for one complete hash; otherwise what is wrong with it, for a message. Refuses hashes
 * that take longer than some seconds to verify, or more than some 100 MiB: every attempt would cost that.
 */
const char *password_format_check(struct span hash, enum password_scheme *ret_scheme);
/* What a hash of a weak form lacks, for a warning; NULL: nothing. */
const char *password_format_weakness(struct span hash);
