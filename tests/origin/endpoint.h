/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions of one path. http.c calls them in this order:
 *   start     once: after the whole request body, or with is_early after the head
 *   body      for each part of the body; returns how much of it was taken (all of it, if body is NULL). With
 *             is_early it may be called before and after start
 *   pump      in every step between start and the last byte of the response: produces output while
 *             conn_out_has_capacity() is true, and calls conn_wake_at() to wait for a time
 *   body_end  once, when the body is complete and start was called (is_early only)
 * reply_done() ends the response.
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

/* The endpoint of a path; for an unknown path the one that answers 404. */
const struct endpoint *endpoint_find(struct text path);
/* The part of the path after the prefix. */
struct text endpoint_argument(const struct conn *conn);
/* The argument as a number; if it is not a number, answers 404 and returns false. */
bool endpoint_number(struct conn *conn, uint64_t max, uint64_t *ret_number);

#endif
