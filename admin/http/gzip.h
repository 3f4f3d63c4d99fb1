/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/text.h"

/* Content coding of responses (RFC 9110 8.4, 12.5.3; RFC 1952). */

/* True if a value of Accept-Encoding allows gzip: by name or "*", without q=0. An empty value does not. */
bool gzip_is_accepted(struct span accept_encoding);
/* Appends the compressed text. 0 or -ENOMEM (*out is then unspecified). */
int gzip_compress(struct span in, struct text *out);
