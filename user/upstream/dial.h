/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/net/connect.h"
#include "user/net/resolver.h"
#include "user/tls/fault.h"
#include "user/upstream/upstream.h"

/*
 * How whoever has chosen an endpoint gets a connection to it: one that is there (dial_reuse), or a new one
 * after name and connect. A burst of requests to an HTTP/2 endpoint without a connection opens one and not
 * hundreds: the others wait for it, and each is woken in a turn of its own.
 *
 * Life: dial_init -> dial_start -> on_done, or dial_cancel at any time. The object is its owner's, which may
 * free it after dial_cancel(), also from on_done().
 */
enum dial_protocol {
	DIAL_HTTP1,
	DIAL_HTTP2, /* plain text: with prior knowledge; TLS: nothing else will do */
	DIAL_EITHER, /* TLS: what the backend chooses (ALPN) */
	DIAL_BYTES, /* of a tunnel: nobody here knows what is inside */
};

enum dial_state {
	DIAL_IDLE,
	DIAL_WAITING, /* for the connection that another dial opens, or for the turn to open one */
	DIAL_RESOLVING,
	DIAL_CONNECTING,
	DIAL_TLS, /* connected, in the handshake */
};

enum dial_result {
	DIAL_UNDER_WAY, /* on_done() comes later */
	DIAL_DONE, /* a connection */
	DIAL_DNS_FAILED,
	DIAL_CONNECT_FAILED,
	DIAL_TIMEOUT,
	/* The handshake of TLS; dial->fault says why. */
	DIAL_TLS_FAILED,
	DIAL_TLS_VERIFY_FAILED, /* the backend is not who it should be */
	DIAL_TLS_TIMEOUT,
};

struct dial_options {
	/* borrowed until the dial is over, like the next two */
	const struct endpoint *where;
	struct upstream_endpoint *endpoint; /* of the pool; a user count of the caller's lasts longer */
	const struct tls_client_settings *tls; /* NULL: plain text; those that the endpoint is kept under */
	uint64_t deadline_ms; /* loop time, 0: none; of connect and handshake together */
	enum dial_protocol protocol;
	bool is_fresh; /* no connection that was used before: one had died, or refused */
	bool was_refused; /* with is_fresh, HTTP/2: by a connection that lives */
	bool may_repeat; /* upstream_pool_take() */
	bool is_exclusive; /* a tunnel: never one of the pool */
	/* To the same-host lanes, before it connects; so never one of the pool, where not all of them are. */
	bool is_announced;
	struct address avoid; /* len 0: none; an attempt that meets it ends with NET_CONNECT_AVOIDED */
};

/* The handshake, once connected. */
struct dial_tls {
	struct upstream *upstream; /* owner; NULL: none under way */
	struct timer timer;
	struct loop_deferred again; /* the turn had had its part of handshakes */
	uint64_t start_ns;
	struct tls_fault fault;
};

struct dial {
	struct upstream_pool *pool; /* borrowed */
	struct dial_options options;
	enum dial_state state;
	struct resolver_query query;
	struct net_connect connect;
	struct dial_tls tls;
	struct resolver_list *addresses; /* one reference; NULL: a literal address */
	struct h2_waiter waiter; /* in options.endpoint->h2_waiting */
	uint64_t start_ns;
	bool is_opening_h2; /* others wait for the connection that this one opens, which may become one */
	/* Resolved, connected, or its turn to open a connection: state has changed. May be NULL. */
	void (*on_progress)(struct dial *dial);
	/*
	 * Once, from the loop, never from within dial_start(). upstream: with DIAL_DONE; error: -errno or 0.
	 */
	void (*on_done)(struct dial *dial, enum dial_result result, int error, struct upstream *upstream);
};

/* A connection that exists and takes another request, or NULL. Follows a name that has moved. */
struct upstream *dial_reuse(struct upstream_pool *pool, const struct dial_options *options);

void dial_init(struct dial *dial, struct upstream_pool *pool, const struct dial_options *options,
	       void (*on_done)(struct dial *dial, enum dial_result result, int error,
			       struct upstream *upstream));
/*
 * Opens a connection, or waits for the one that is being opened. DIAL_UNDER_WAY, or DIAL_DNS_FAILED with
 * *ret_error: the answer was known already (cached), and a repetition at once would get the same.
 */
enum dial_result dial_start(struct dial *dial, int *ret_error);
/*
 * Its owner's patience is over: the endpoint is said to have failed, if it was asked. dial_cancel() follows.
 */
void dial_expire(struct dial *dial);
/* Gives up what is under way, without on_done(); who waits for it goes on. Idempotent. */
void dial_cancel(struct dial *dial);
