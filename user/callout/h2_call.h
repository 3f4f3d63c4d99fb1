/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/h2/h2_head.h"
#include "user/upstream/dial.h"

struct h2_stream;

/*
 * One request and its response as a stream of a shared HTTP/2 connection: the request is complete when it is
 * sent, and the response is kept until it is complete. It is a member of its owner's object.
 *
 * Life: h2_call_init() -> h2_call_start() -> on_end(), or h2_call_stop() at any time -> h2_call_done() in a
 * later turn. Neither start nor stop calls back.
 */
struct h2_call {
	/* Set by the owner between init and start. */
	struct dial_options
		options; /* protocol DIAL_HTTP2; borrowed members live until the call has stopped */
	uint64_t connect_ms; /* limit for connecting, 0: none */
	uint64_t end_deadline_ms; /* of the whole call; loop time */
	size_t most_bytes; /* limit of the response body */
	bool is_single; /* the connection takes no other stream after this one */
	/* owner: the request; its body follows */
	struct h2_head *head;
	struct span body; /* borrowed until the call has stopped */
	/* why: empty if the response is complete, otherwise a static text. The call has stopped. */
	void (*on_end)(struct h2_call *call, struct span why);
	/* ---- */
	/* The response, after on_end() with an empty `why`. */
	struct h2_head *response; /* owner */
	struct h2_head *trailers; /* owner; NULL: none */
	struct buf in; /* owner: the body */
	struct upstream_pool *pool; /* borrowed */
	struct dial dial;
	struct upstream *upstream; /* borrowed; NULL until connected */
	struct h2_stream *stream; /* one reference; NULL until it is sent */
	struct timer timer;
	struct loop_deferred again;
	struct span failed; /* why the call could not be started; static */
	int dial_error; /* -errno of a failed connect, 0: none */
	uint16_t interim_count;
	bool is_counted; /* in options.quota */
	bool is_repeated; /* sent again, because the first connection had not accepted it */
	bool was_sent;
	bool was_late;
	bool is_over;
};

void h2_call_init(struct h2_call *call, struct upstream_pool *pool);
void h2_call_start(struct h2_call *call);
/* Ends the call; if it is not complete, its stream is reset. Idempotent. */
void h2_call_stop(struct h2_call *call);
/* Frees its memory, after it has stopped or if it was never started. */
void h2_call_done(struct h2_call *call);
