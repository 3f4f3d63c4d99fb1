/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/http/body.h"
#include "user/upstream/dial.h"

/*
 * One HTTP/1.1 request and its response, over a pooled or a new connection. It is a member of its owner's
 * object. Redirects are not followed.
 *
 * Life: http1_client_init() -> the owner writes the request into `out` -> http1_client_start() -> on_head()
 * -> on_body()... -> on_end(), or http1_client_stop() at any time, also from a callback ->
 * http1_client_done() in a later turn. Neither start nor stop calls back.
 */
struct http1_client;

struct http1_client_ops {
	/*
	 * The final head; may be NULL. False: the owner does not need the rest; the request ends without
	 * on_end().
	 */
	bool (*on_head)(struct http1_client *client, const struct response_head *head);
	/* A decoded part of the body; may be NULL. */
	void (*on_body)(struct http1_client *client, struct span payload);
	/* why: empty if the response was complete, otherwise a static text. The client has stopped. */
	void (*on_end)(struct http1_client *client, struct span why);
};

struct http1_client {
	/* Set by the owner between init and start. */
	struct dial_options options; /* borrowed members must live until the client has stopped */
	uint64_t connect_ms; /* limit for connecting, 0: none; options.deadline_ms is derived from it */
	uint64_t head_deadline_ms; /* of the final head; loop time, 0: none, like the next one */
	uint64_t end_deadline_ms; /* of the whole response; see http1_client_limit() */
	uint64_t most_bytes; /* limit of the response; 0: none */
	bool is_bound; /* the request authenticates its connection, which then serves no other */
	/* once, if a reused connection died before the first response byte (RFC 9110 9.2.2) */
	bool may_repeat;
	struct buf out; /* owner: the request, until it is passed to a connection */
	/* ---- */
	const struct http1_client_ops *ops; /* borrowed, like pool and scratch */
	struct upstream_pool *pool;
	char *scratch;
	enum http_method method;
	struct dial dial;
	struct upstream *upstream; /* borrowed; NULL until connected */
	struct timer timer;
	struct arena arena; /* of the response head */
	struct body_decoder body;
	uint64_t received_end; /* limit for upstream->conn.received_bytes, from most_bytes */
	int dial_error; /* -errno of a failed connect, 0: none */
	uint16_t interim_count;
	bool is_counted; /* in options.quota */
	bool was_sent; /* the request, or a part of it, was passed to a connection */
	bool has_head;
	bool is_held;
	bool is_over;
	struct span failed; /* why the request could not be started; static */
	struct loop_deferred again;
};

/* scratch: LIMIT_READ_BYTES; holds no data between two events, so it can be shared. */
void http1_client_init(struct http1_client *client, struct upstream_pool *pool, char *scratch,
		       enum http_method method, const struct http1_client_ops *ops);
void http1_client_start(struct http1_client *client);
/* The response must be complete within this time from now, otherwise it counts as failed. */
void http1_client_limit(struct http1_client *client, uint64_t ms);
/* While held, nothing is read. */
void http1_client_hold(struct http1_client *client, bool is_held);
/* Ends the request; if the response is not complete, its connection closes. Idempotent. */
void http1_client_stop(struct http1_client *client);
/* Frees its memory, after it has stopped or if it was never started. */
void http1_client_done(struct http1_client *client);
