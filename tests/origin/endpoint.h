/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one path does. http.c calls the functions in this order:
 *   start   once; after the whole request body, or with is_early as soon as the head is there
 *   body    for each piece of the body; returns how much of it was taken (all, when it is NULL); with
 * is_early it may be called before and after start pump    on every step between start and the answer's last
 * byte; makes output while conn_out_has_capacity, arms conn_wake_at when it waits for time body_end once,
 * when the body is complete and start was called (is_early only) reply_done says that the answer is complete.
 */
#ifndef HTTPBIN_ENDPOINT_H
#define HTTPBIN_ENDPOINT_H

#include "tests/origin/conn.h"

struct endpoint {
	const char *path;
	bool is_prefix; /* path ends with '/', the rest is the argument */
	bool is_early;
	bool is_silent; /* never answers 100 Continue by itself */
	void (*start)(struct conn *conn);
	size_t (*body)(struct conn *conn, struct text data);
	bool (*pump)(struct conn *conn);
	void (*body_end)(struct conn *conn);
};

/* The endpoint of a path; the one that answers 404 for a path nobody owns. */
const struct endpoint *endpoint_find(struct text path);
/* What follows the prefix in the path. */
struct text endpoint_argument(const struct conn *conn);
/* The argument as a number; answers 404 and returns false when it is none. */
bool endpoint_number(struct conn *conn, uint64_t max, uint64_t *ret_number);

#endif
