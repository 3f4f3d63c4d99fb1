/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/types.h>

#include "user/base/text.h"

/*
 * A name or value of a query as forms write it (URL 5.1): %XX, and + for a blank. `out` has text.len bytes.
 * Returns the bytes written, or -EINVAL.
 */
ssize_t form_decode(struct span text, char *out);
/* Appends it so: everything but unreserved characters (RFC 3986 2.3) as %XX. */
void form_encode(struct text *to, struct span s);
