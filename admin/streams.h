/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "admin/hooks.h"

/*
 * The list of streams as JSON: an array of objects whose names are those of the access log where both have
 * them (bytes_in, lane, close_reason, …). What a stream does not have is null; times are whole
 * milliseconds.
 */

/*
 * Sorts the list: running streams by id, the history by the time of the end, newest first, at most
 * LIMIT_HISTORY_STREAMS of it. 0 or -ENOMEM.
 */
int streams_write(struct stream_list *list, bool is_history, struct text *out);
