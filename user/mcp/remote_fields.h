/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/text.h"
#include "user/http/fields.h"

/* Fields of requests to targets behind HTTP. */

/*
 * A value for Mcp-Name: `plain` when a header can hold it, else its bytes in base64 between "=?base64?" and
 * "?=".
 */
void remote_header_value(struct text *to, struct span plain);
/*
 * A field that repeats what the body says: `value` is the inner text of a JSON string; empty: none. 0 or
 * -ENOMEM.
 */
int remote_add_mirrored(struct fields *fields, struct span name, struct span value);
