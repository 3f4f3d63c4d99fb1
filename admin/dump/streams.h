/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "admin/hooks.h"

/*
 * The list of streams as JSON: an array of objects with the names of the access log where both have them
 * (bytes_in, lane, close_reason, …). Absent values are null; times are integers in milliseconds.
 */

/* Writes the rows in their order. 0 or -ENOMEM. */
int streams_write(const struct stream_list *list, bool is_history, struct text *out);
