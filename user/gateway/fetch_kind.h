/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model_fetch.h"
#include "user/base/text.h"

/* What is fetched from URLs, and how it is read: one for each enum fetch_kind. */
struct fetch_kind_ops {
	const char *what; /* "keys" */
	const char *without; /* what happens until the first has come */
	size_t most_bytes;
	struct span accept; /* of the request */
	/*
	 * The value of a response: one reference. NULL: *why says why not, empty without memory. note: what
	 * was left out of it; may stay empty. Both are one line that may go to the log.
	 */
	struct fetched_value *(*read)(struct span text, struct span prefix, struct text *why,
				      struct text *note);
};

const struct fetch_kind_ops *fetch_kind_ops(enum fetch_kind kind);
