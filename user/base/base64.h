/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/types.h>

#include "user/base/text.h"

/* RFC 4648 4, padded. */
void base64_encode(struct text *to, struct span bytes);
/*
 * As in the data of a Secret: blanks and line ends between the characters are skipped. Bytes written to
 * `out`, which has room for three quarters of the text; -EINVAL.
 */
ssize_t base64_decode(struct span text, char *out);
/* RFC 4648 5 without padding, of a number of bytes that needs none: four characters for three bytes. */
void base64url_encode(struct span bytes, char *out);
/*
 * RFC 4648 5 without padding, as RFC 7515 2 wants it: one text for given bytes, so no other characters, and
 * the bits after the last byte are 0. Bytes written to `out`, which has room for three quarters of the text;
 * -EINVAL.
 */
ssize_t base64url_decode(struct span text, char *out);
