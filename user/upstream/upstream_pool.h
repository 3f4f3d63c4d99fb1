/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "policy/balance.h"
#include "policy/keepalive.h"
#include "user/base/list.h"
#include "user/base/log.h"
#include "user/base/slab.h"
#include "user/net/resolver.h"
#include "user/net/socket.h"
#include "user/relay/relay.h"
#include "user/upstream/tls_tickets.h"

struct inner;
struct tls_worker;
struct upstream;

/* How connections to an endpoint are made, besides its address. Borrowed for the call. */
struct upstream_wants {
	const struct keepalive_policy *keepalive;
	const struct tls_client_settings *tls; /* NULL: plain text */
	bool hops; /* they may hop: this owner agreed, not every one of this endpoint has to */
};

/* What TLS chose of HTTP when it was asked last (ALPN). */
enum upstream_spoken {
	SPOKEN_UNKNOWN,
	SPOKEN_HTTP1,
	SPOKEN_HTTP2,
};

/* Waits for the HTTP/2 connection that another one opens, or for the turn to open one. */
struct h2_waiter {
	struct list node; /* in endpoint->h2_waiting */
	struct loop_deferred turn; /* it waits no more */
	bool has_turn;
};

/*
 * What a worker knows of each endpoint, and the idle connections to it. Keyed by the endpoint's text, the
 * socket options, hops and the TLS settings asked for, not by the configuration object, so a reload keeps
 * connections to endpoints that stay; and plain text, or another identity, never shares one.
 */
struct upstream_endpoint {
	struct list node; /* in a bucket */
	struct span key; /* owner: the endpoint itself */
	struct span text; /* "127.0.0.1:8000"; a part of key */
	uint64_t hash;
	struct socket_keepalive keepalive;
	bool is_tls;
	bool hops;
	enum upstream_spoken spoken;
	uint64_t tls_hash; /* of the settings */
	struct tls_tickets tickets;
	struct list remembered; /* in pool->remembered: without users, but with tickets */
	uint64_t remember_until_ms;
	struct resolver_list *addresses; /* one reference; NULL: literal address, or not resolved yet */
	struct list idle; /* of struct upstream, most recently used first */
	struct list h2; /* of struct upstream_h2 that take streams, in use or not */
	struct list h2_waiting; /* of struct h2_waiter */
	bool h2_is_opening; /* an attempt is opening one that the others wait for */
	uint32_t idle_count;
	uint32_t user_count; /* streams that hold it */
	struct endpoint_load load;
};

enum { UPSTREAM_POOL_BUCKETS = 1024 };

/* One worker's. Its owner sets the members above the line before upstream_pool_init(). */
struct upstream_pool {
	struct loop *loop; /* borrowed, like all of these */
	struct counters *counters;
	struct relay_shared *relay;
	struct resolver_client *resolver;
	struct tls_worker *tls;
	struct slab *upstreams; /* of struct upstream */
	const struct static_config *config; /* in force */
	const struct inner *inner; /* services of this process; NULL: none */
	/* something is to be read from, or may be sent on, an HTTP/2 stream */
	void (*on_stream)(void *owner);
	/* A descriptor is short: ends something idle. May *fd be used? Both: user/client/evict.h */
	bool (*make_room)(struct upstream_pool *pool);
	bool (*may_use)(struct upstream_pool *pool, int *fd);
	uint64_t random; /* not 0 */
	bool is_closing; /* nothing is kept any more */
	/* ---- */
	struct list buckets[UPSTREAM_POOL_BUCKETS];
	struct list remembered; /* endpoints kept for their tickets, the longest first */
	uint32_t remembered_count;
	struct log_rate tls_log; /* lines about handshakes that failed */
	uint64_t tls_turn; /* in which there were tls_steps of handshakes */
	uint32_t tls_steps;
	uint32_t endpoint_count;
	uint32_t idle_count;
	struct list discarding; /* of struct upstream: the rest of an answer is read (discard.h) */
	uint32_t discard_count;
	uint32_t shed_bucket; /* where upstream_pool_shed() looks first */
};

void upstream_pool_init(struct upstream_pool *pool);
/* Closes one idle connection, the one unused longest of some endpoint; false: there is none. */
bool upstream_pool_shed(struct upstream_pool *pool);
/* Closes every connection without a user. */
void upstream_pool_done(struct upstream_pool *pool);
/* The endpoint's record, with one more user; NULL on no memory. */
struct upstream_endpoint *upstream_pool_endpoint(struct upstream_pool *pool, const struct endpoint *endpoint,
						 const struct upstream_wants *wants);
/*
 * One of the backend's endpoints, with one more user: the power of two choices among a window of those where
 * the request has not been (tried; NULL: nowhere). Where it has been at all of them, `last` (an index, or
 * UINT32_MAX) is taken only when it is the only one. NULL on no memory.
 */
struct upstream_endpoint *upstream_pool_choose(struct upstream_pool *pool, const struct backend *backend,
					       const struct upstream_wants *wants,
					       const struct tried_endpoints *tried, uint32_t last,
					       uint32_t *ret_index);
void upstream_pool_leave(struct upstream_pool *pool, struct upstream_endpoint *endpoint);
/*
 * An idle connection that is silent and open, or NULL. may_repeat: whether it is still open need not be
 * asked, since a request that it does not take goes on over another one.
 */
struct upstream *upstream_pool_take(struct upstream_pool *pool, struct upstream_endpoint *endpoint,
				    bool may_repeat);
/* A connection of HTTP/2 that takes one more stream, or NULL. */
struct upstream *upstream_pool_share(struct upstream_pool *pool, struct upstream_endpoint *endpoint);
/*
 * The HTTP/2 connection that others wait for is there and its SETTINGS say how many streams it takes; or it
 * has ended, and one of them opens the next. Each goes on in a turn of its own.
 */
void upstream_pool_settled(struct upstream_pool *pool, struct upstream_endpoint *endpoint);
/* The dial that others waited for is over without a connection: the first of them opens one. */
void upstream_pool_pass_turn(struct upstream_pool *pool, struct upstream_endpoint *endpoint);
/* Keeps an idle connection for reuse; closes it when the pool is full, or it must not be kept. */
void upstream_pool_give(struct upstream_pool *pool, struct upstream *upstream);
/* Takes out of the pool what is idle there, or reads the rest of an answer (discard.h). Idempotent. */
void upstream_pool_drop(struct upstream_pool *pool, struct upstream *upstream);
/* New addresses of a named endpoint: idle connections to others close. Takes the reference. */
void upstream_pool_resolved(struct upstream_endpoint *endpoint, struct resolver_list *addresses);
