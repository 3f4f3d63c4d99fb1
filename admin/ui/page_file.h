/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/span.h"

/* The files of the page, which are part of the program. */
struct page_file {
	struct span name;
	const char *content_type;
	struct span content;
};

/* NULL: there is no such file. An empty name is the page itself. */
const struct page_file *page_file_find(struct span name);
