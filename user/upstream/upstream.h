/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/http/h1_parse.h"
#include "user/http/head_scan.h"
#include "user/relay/conn.h"
#include "user/upstream/upstream_pool.h"

struct upstream_h2;

/*
 * A connection to a backend. It serves one owner at a time, a stream or a mirrored request. In between it is
 * idle in the pool, where any byte or end of stream closes it (an unsolicited response must never be taken
 * for that of a request). An HTTP/2 connection serves many streams at a time: upstream_h2.h.
 */
struct upstream {
	struct conn conn;
	struct upstream_pool *pool; /* borrowed */
	struct upstream_h2 *h2; /* owner; NULL: HTTP/1 or a tunnel */
	uint64_t handle;
	struct upstream_endpoint *endpoint; /* borrowed: holds a user count */
	void *owner; /* borrowed; NULL while idle */
	void (*on_event)(void *owner); /* something can be read or sent */
	uint64_t address_hash; /* of the peer: address_hash() */
	struct list idle_node; /* of endpoint->idle, of pool->discarding, or bound to a client */
	struct timer idle_timer;
	struct loop_deferred release; /* frees at the end of the turn */
	struct head_scan scan; /* of the current response head */
	uint32_t begun; /* requests of streams */
	uint64_t served; /* requests completed */
	uint64_t discard_bytes; /* left of a discarded response (discard.h) */
	uint64_t request_start_bytes; /* sent_bytes when the current request started */
	uint32_t keep_alive_s; /* the backend's own idle limit, 0: unknown */
	bool has_response_bytes : 1; /* of the current request */
	bool is_reusable : 1; /* the last message ended cleanly and both sides keep the connection */
	bool is_discarding : 1; /* the owner is the upstream itself */
	bool is_bound : 1; /* it stands for one client (connection_auth.h): never in the pool */
	bool is_last : 1; /* its backend wants no further request on it (circuitBreaker) */
	bool is_closed : 1;
};

/* Takes ownership of the connected fd. NULL on failure; the connection is then reset. */
struct upstream *upstream_open(struct upstream_pool *pool, struct upstream_endpoint *endpoint, int fd,
			       const struct address *address);
/* Closes now, frees at the end of the turn. Idempotent. */
void upstream_close(struct upstream *upstream, bool reset);
/* Binds an idle or new connection to its next owner, until it is closed or given to the pool. */
void upstream_attach(struct upstream *upstream, void *owner, void (*on_event)(void *owner));

enum upstream_head {
	UPSTREAM_HEAD_MORE,
	UPSTREAM_HEAD_DONE,
	UPSTREAM_HEAD_BAD, /* *ret_error */
	UPSTREAM_HEAD_EOF, /* the backend closed; has_response_bytes: part of a response came */
	UPSTREAM_HEAD_ERROR, /* conn.error */
	UPSTREAM_HEAD_MEMORY,
};

/*
 * Reads one response head into `arena`. Bytes after it stay in conn.in. Repeated calls continue where the
 * last one stopped; after DONE the next call starts a new head (after a 1xx).
 */
enum upstream_head upstream_read_head(struct upstream *upstream, size_t most, struct arena *arena,
				      struct response_head *ret_head, enum http_error *ret_error);
