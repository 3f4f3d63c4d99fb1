/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/gateway/check_guard.h"
#include "user/net/address.h"

/*
 * Decides about one request as the gateway does, with the functions of the request path, and writes what it
 * finds instead of sending anything:
 *
 *         request    method, scheme, host, path as routes compare it, client
 *         port, listener, guards (of the listener)
 *         route      key, rule, where, match, policies, guards, backends with weights and what each receives;
 *                    groups, each with the route in it that serves the request
 *         result     what the client gets, in words
 */
struct check_request {
	const struct snapshot *snapshot; /* borrowed */
	struct span method, authority, target; /* of the URL */
	bool is_tls;
	const char *const *header_list; /* "name: value" */
	size_t header_count;
	struct address client;
	struct address destination; /* that the client connects to, without port; len 0: that of the URL */

	/* set by check_request(): */
	struct arena arena; /* owner: the head */
	struct request_head head;
	const struct bind *bind;
	const struct listener *listener;
	struct span scheme; /* for guards and redirects */
	struct check_guard guard;
	struct json_writer *w;
};

/*
 * Parses "METHOD URL" or "URL". False after one line on standard error. The spans are borrowed from the text.
 */
bool check_request_parse(struct span text, struct check_request *ret);
/* Writes the members of the open object. 0, -EINVAL after one line on standard error, or -ENOMEM. */
int check_request(struct check_request *request, struct json_writer *w);
