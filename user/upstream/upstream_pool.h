/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "policy/balance.h"
#include "policy/circuit.h"
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

/* How connections to an endpoint are made, apart from its address. Borrowed during the call. */
struct upstream_wants {
	const struct keepalive_policy *keepalive;
	const struct tls_client_settings *tls; /* NULL: plaintext */
	bool bypasses; /* they may bypass TCP: this owner opted in, others of this endpoint need not */
	/* 0: none. Rules for addresses (struct backend): connections made under other rules are not used */
	uint64_t forward_key;
	unsigned proxy_version; /* of the PROXY header with which they begin (PROXY_HEADER_V1...); 0: none */
};

/* Those of a backend. Borrows from both. */
struct upstream_wants upstream_wants_of(const struct backend_ref *ref, const struct static_config *config);

/* What a backend chose by ALPN at the last handshake. */
enum upstream_spoken {
	SPOKEN_UNKNOWN,
	SPOKEN_HTTP1,
	SPOKEN_HTTP2,
};

/* Waits for the HTTP/2 connection that another dial opens, or for the turn to open one. */
struct h2_waiter {
	struct list node; /* in endpoint->h2_waiting */
	struct loop_deferred turn; /* scheduled when the wait is over */
	bool has_turn;
};

/*
 * What a worker knows of each endpoint, and its idle connections. The key is the endpoint's text, the socket
 * options, bypasses, rules for addresses, the version of a PROXY header and the TLS settings, not the
 * configuration object: a reload keeps the connections of endpoints that stay, and connections in plaintext,
 * or with other TLS settings, are never shared.
 *
 * Connections that announce a client have a record of that client (upstream_pool_announce()), so that no
 * other client gets them. Those of the endpoint's own record announce no client.
 */
struct upstream_endpoint {
	struct list node; /* in a bucket */
	struct span key; /* owner: the endpoint */
	struct span text; /* "127.0.0.1:8000"; a part of key */
	uint64_t hash;
	struct socket_keepalive keepalive;
	bool is_tls;
	bool bypasses;
	enum upstream_spoken spoken;
	uint64_t tls_hash; /* hash of the TLS settings */
	uint64_t forward_key; /* as in upstream_wants */
	unsigned proxy_version; /* likewise */
	struct span proxy_header; /* the first bytes of its connections; empty: none; a part of key */
	/*
	 * The record with what all connections to the endpoint share (load, circuit, tickets, spoken):
	 * itself, or for that of a client the endpoint's own, with one user.
	 */
	struct upstream_endpoint *shared;
	struct list
		client_node; /* in the list of its client, while that lives; see upstream_pool_announce() */
	struct tls_tickets tickets;
	struct list remembered; /* in pool->remembered: without users, but with tickets */
	uint64_t remember_until_ms;
	struct resolver_list *addresses; /* one reference; NULL: literal address, or not resolved yet */
	struct list idle; /* of struct upstream, most recently used first */
	struct list h2; /* of struct upstream_h2 that take streams, busy or not */
	struct list h2_waiting; /* of struct h2_waiter */
	bool h2_is_opening; /* a dial is opening one that the others wait for */
	uint32_t idle_count;
	uint32_t user_count; /* streams that hold it */
	struct endpoint_load load;
	struct circuit circuit; /* of calls to a helper service */
};

enum { UPSTREAM_POOL_BUCKETS = 1024 };

/* One for each worker. The owner sets the members above the line before upstream_pool_init(). */
struct upstream_pool {
	struct loop *loop; /* borrowed, like all of these */
	struct counters *counters;
	struct relay_shared *relay;
	struct resolver_client *resolver;
	struct tls_worker *tls;
	struct slab *upstreams; /* of struct upstream */
	const struct static_config *config; /* current configuration */
	const struct inner *inner; /* services of this process; NULL: none */
	/* something can be read from, or sent to, the backend of a stream */
	void (*on_stream)(void *owner);
	/*
	 * make_room: without a free descriptor, closes something idle. may_use: may *fd be used? See
	 * user/client/evict.h.
	 */
	bool (*make_room)(struct upstream_pool *pool);
	bool (*may_use)(struct upstream_pool *pool, int *fd);
	uint64_t random; /* not 0 */
	bool is_closing; /* keeps no more connections */
	/* ---- */
	struct list buckets[UPSTREAM_POOL_BUCKETS];
	struct list remembered; /* endpoints kept for their tickets, oldest first */
	uint32_t remembered_count;
	struct log_rate tls_log; /* rate of lines about failed handshakes */
	uint64_t tls_turn; /* turn in which tls_steps handshake steps ran */
	uint32_t tls_steps;
	uint32_t endpoint_count;
	uint32_t idle_count;
	struct list discarding; /* of struct upstream whose response is discarded (discard.h) */
	uint32_t discard_count;
	uint32_t shed_bucket; /* where upstream_pool_shed() starts */
};

void upstream_pool_init(struct upstream_pool *pool);
/* Closes one idle connection, the least recently used of some endpoint; false: there is none. */
bool upstream_pool_shed(struct upstream_pool *pool);
/* Closes every connection without a user. */
void upstream_pool_done(struct upstream_pool *pool);
/* Returns the endpoint's record with one more user; NULL without memory. */
struct upstream_endpoint *upstream_pool_endpoint(struct upstream_pool *pool, const struct endpoint *endpoint,
						 const struct upstream_wants *wants);
void upstream_pool_leave(struct upstream_pool *pool, struct upstream_endpoint *endpoint);

/*
 * Exchange a use of the endpoint's own record for a use of the client's record in `records`, whose
 * connections begin with this header. The first returns NULL if there is none yet, and the caller keeps its
 * use. The second makes it; NULL without memory, and the use is gone. records: NULL: for one connection,
 * which is not kept. Beyond LIMIT_ANNOUNCED_ENDPOINTS the idle connections of the record that was used
 * longest ago are closed.
 */
struct upstream_endpoint *upstream_pool_find_announced(struct upstream_pool *pool,
						       struct upstream_endpoint *endpoint,
						       struct list *records);
struct upstream_endpoint *upstream_pool_announce(struct upstream_pool *pool,
						 struct upstream_endpoint *endpoint, struct list *records,
						 struct span header);
/* The client has ended: closes the connections that announce it as soon as nothing uses them. */
void upstream_pool_forget_client(struct upstream_pool *pool, struct list *records);
/* False: its connections announce a client that has ended, or are for one use: they must not be kept. */
static inline bool upstream_endpoint_keeps(const struct upstream_endpoint *endpoint)
{
	return endpoint->shared == endpoint || !list_is_empty(&endpoint->client_node);
}

/*
 * Returns an idle connection that is open and silent, or NULL. may_repeat: where counters show without a
 * system call that nothing is to be read (conn_is_drained()), skip the check that it is still open, because a
 * request that it does not take will be sent on another one.
 */
struct upstream *upstream_pool_take(struct upstream_pool *pool, struct upstream_endpoint *endpoint,
				    bool may_repeat);
/* Returns an HTTP/2 connection that takes one more stream, or NULL. */
struct upstream *upstream_pool_share(struct upstream_pool *pool, struct upstream_endpoint *endpoint);
/* True if that connection is counted already, because it is in use: its stream needs no place. */
bool upstream_pool_can_share(const struct upstream_endpoint *endpoint);
/*
 * Call when the HTTP/2 connection that others wait for has its SETTINGS, which tell how many streams it
 * takes; or when it has ended, and one of the waiting dials opens the next. Each continues in a turn of its
 * own.
 */
void upstream_pool_settled(struct upstream_pool *pool, struct upstream_endpoint *endpoint);
/* Call when the dial that others waited for ended without a connection: the first of them opens one. */
void upstream_pool_pass_turn(struct upstream_pool *pool, struct upstream_endpoint *endpoint);
/* Keeps an idle connection for reuse; closes it when the pool is full, or it must not be kept or shared. */
void upstream_pool_give(struct upstream_pool *pool, struct upstream *upstream);
/*
 * The same for a connection that stands for one client: it waits in that client's list, whose oldest is
 * closed beyond LIMIT_BOUND_CONNECTIONS. The client closes what is left in the list when it ends.
 */
void upstream_pool_bind(struct upstream_pool *pool, struct upstream *upstream, struct list *bound);
/* One of such a list that leads to the endpoint, is silent and open; or NULL. */
struct upstream *upstream_pool_take_bound(struct upstream_pool *pool, struct list *bound,
					  const struct upstream_endpoint *endpoint);
void upstream_pool_close_bound(struct list *bound);
/* Removes a connection that is idle or being discarded (discard.h). Idempotent. */
void upstream_pool_drop(struct upstream_pool *pool, struct upstream *upstream);
/* Sets new addresses of a named endpoint; closes idle connections to other addresses. Takes the reference. */
void upstream_pool_resolved(struct upstream_endpoint *endpoint, struct resolver_list *addresses);
