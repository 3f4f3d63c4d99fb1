/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/http/body.h"
#include "user/upstream/dial.h"

/*
 * One HTTP/1.1 request, and its response, over a connection of a pool or a new one. It is a member of its
 * owner's object. No redirect is followed.
 *
 * Life: http1_client_init() -> the request into `out` -> http1_client_start() -> on_head() -> on_body()... ->
 * on_end(), or http1_client_stop() at any time, also from a callback -> http1_client_done() in a later turn.
 * Nothing is called back from within start and stop.
 */
struct http1_client;

struct http1_client_ops {
	/* The final head; may be NULL. False: the rest is of no use, the request ends without on_end(). */
	bool (*on_head)(struct http1_client *client, const struct response_head *head);
	/* A part of the body, decoded; may be NULL. */
	void (*on_body)(struct http1_client *client, struct span payload);
	/* why: empty when the response was complete, else static. The client has stopped. */
	void (*on_end)(struct http1_client *client, struct span why);
};

struct http1_client {
	/* Set by the owner between init and start. */
	struct dial_options options; /* what it borrows lives until the client has stopped */
	uint64_t connect_ms; /* for the connection, 0: any time; options.deadline_ms follows from it */
	uint64_t head_deadline_ms; /* of the final head; loop time, 0: none; the next one too */
	uint64_t end_deadline_ms; /* of the whole response: http1_client_limit() */
	uint64_t most_bytes; /* of the response, 0: any */
	bool is_bound; /* the request authenticates its connection, which serves no other then */
	bool may_repeat; /* once, when a reused connection had died before one byte came (RFC 9110 9.2.2) */
	struct buf out; /* owner: the request, until it is with a connection */
	/* ---- */
	const struct http1_client_ops *ops; /* borrowed, like pool and scratch */
	struct upstream_pool *pool;
	char *scratch;
	enum http_method method;
	struct dial dial;
	struct upstream *upstream; /* borrowed; NULL until there is one */
	struct timer timer;
	struct arena arena; /* of the response head */
	struct body_decoder body;
	uint64_t received_end; /* of upstream->conn.received_bytes, by most_bytes */
	uint16_t interim_count;
	bool is_counted; /* in options.quota */
	bool has_head;
	bool is_held;
	bool is_over;
	struct span failed; /* why it could not be started; static */
	struct loop_deferred again;
};

/* scratch: LIMIT_READ_BYTES, used between two callbacks. */
void http1_client_init(struct http1_client *client, struct upstream_pool *pool, char *scratch,
		       enum http_method method, const struct http1_client_ops *ops);
void http1_client_start(struct http1_client *client);
/* The response is to be complete in this time, or it is as good as broken. */
void http1_client_limit(struct http1_client *client, uint64_t ms);
/* Nothing is read while held. */
void http1_client_hold(struct http1_client *client, bool is_held);
/* Nobody wants more of it: a response that is not complete ends with its connection. Idempotent. */
void http1_client_stop(struct http1_client *client);
/* Gives back its memory, after it has stopped or was never started. */
void http1_client_done(struct http1_client *client);
