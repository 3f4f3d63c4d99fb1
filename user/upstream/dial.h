/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/quota.h"
#include "user/net/connect.h"
#include "user/net/resolver.h"
#include "user/tls/fault.h"
#include "user/upstream/upstream.h"

/*
 * How a caller that has chosen an endpoint gets a connection to it: an existing one (dial_reuse), or a new
 * one after resolving and connecting. A burst of requests to an HTTP/2 endpoint without a connection opens
 * one, not hundreds: the others wait for it, and each is woken in a turn of its own.
 *
 * Life: dial_init -> dial_start -> on_done, or dial_cancel at any time. The caller owns the object, and may
 * free it after dial_cancel(), also in on_done().
 */
enum dial_protocol {
	DIAL_HTTP1,
	DIAL_HTTP2, /* plaintext: prior knowledge; TLS: the backend must choose h2 */
	DIAL_EITHER, /* TLS: the backend chooses (ALPN) */
	DIAL_BYTES, /* tunnel: the protocol inside is not known */
};

enum dial_state {
	DIAL_IDLE,
	DIAL_WAITING, /* until another dial has opened its connection, or for the turn to open one */
	DIAL_RESOLVING,
	DIAL_CONNECTING,
	DIAL_TLS, /* connected, handshake in progress */
};

enum dial_result {
	DIAL_UNDER_WAY, /* on_done() follows */
	DIAL_DONE, /* connected */
	DIAL_DNS_FAILED,
	DIAL_CONNECT_FAILED,
	DIAL_TIMEOUT,
	DIAL_FULL, /* options.quota is used up: no connection was tried */
	/* The TLS handshake failed; the reason is in dial->fault. */
	DIAL_TLS_FAILED,
	DIAL_TLS_VERIFY_FAILED, /* the certificate is not that of the backend */
	DIAL_TLS_TIMEOUT,
};

struct dial_options {
	/* borrowed until the dial has ended, like the next two */
	const struct endpoint *where;
	struct upstream_endpoint *endpoint; /* in the pool; the caller's user count outlasts the dial */
	const struct tls_client_settings *tls; /* NULL: plaintext; the settings of `endpoint` */
	uint64_t deadline_ms; /* loop time, 0: none; for connect and handshake together */
	enum dial_protocol protocol;
	bool is_fresh; /* use no reused connection: one was closed, or refused */
	bool was_refused; /* with is_fresh, HTTP/2: refused by an open connection */
	bool may_repeat; /* as in upstream_pool_take() */
	bool is_exclusive; /* tunnel: never a pooled connection */
	struct quota *quota; /* borrowed; counts the connection that it opens; NULL: nothing does */
	struct quota_most quota_most;
	bool is_quiet; /* the caller reports failed handshakes: no line in the log */
	/* borrowed; NULL: none. Addresses that it may not reach fail with NET_CONNECT_FORBIDDEN. */
	const struct backend *forward;
	struct address avoid; /* len 0: none; an attempt with it fails with NET_CONNECT_AVOIDED */
};

/* The handshake of a connected socket. */
struct dial_tls {
	struct upstream *upstream; /* owner; NULL: no handshake */
	struct timer timer;
	struct loop_deferred again; /* continues when the turn's share of handshakes was used up */
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
	struct resolver_list *addresses; /* one reference; NULL: literal address */
	struct h2_waiter waiter; /* in options.endpoint->h2_waiting */
	uint64_t start_ns;
	bool is_counted; /* in options.quota; the owner of the connection may take the count over */
	bool is_opening_h2; /* other dials wait for this connection, which may become a shared one */
	/*
	 * Called when the name is resolved, the socket is connected, or it has the turn to connect. May be
	 * NULL.
	 */
	void (*on_progress)(struct dial *dial);
	/* Called before a dial that has waited tries again, to set options.quota_most. May be NULL. */
	void (*on_turn)(struct dial *dial);
	/*
	 * Called once, from the loop, never inside dial_start(). upstream: with DIAL_DONE; error: -errno or
	 * 0.
	 */
	void (*on_done)(struct dial *dial, enum dial_result result, int error, struct upstream *upstream);
};

/* True if such a connection, or that of another dial, may become a shared one. */
static inline bool dial_may_share(enum dial_protocol protocol)
{
	return protocol == DIAL_HTTP2 || protocol == DIAL_EITHER;
}

/* A result without a connection in words, as in "no connection in time"; static. */
struct span dial_result_text(enum dial_result result);

/* Returns an open connection that takes another request, or NULL. Notices new addresses of the name. */
struct upstream *dial_reuse(struct upstream_pool *pool, const struct dial_options *options);

void dial_init(struct dial *dial, struct upstream_pool *pool, const struct dial_options *options,
	       void (*on_done)(struct dial *dial, enum dial_result result, int error,
			       struct upstream *upstream));
/*
 * Opens a connection, or waits for the one that is being opened. Returns DIAL_UNDER_WAY, or DIAL_DNS_FAILED
 * with *ret_error for a cached failure: a retry would get the same; or DIAL_FULL at the quota.
 */
enum dial_result dial_start(struct dial *dial, int *ret_error);
/* The caller's time is over: counts a failure of the endpoint, if it was asked. Call dial_cancel() next. */
void dial_expire(struct dial *dial);
/* Ends the dial without on_done(); waiting dials continue. Idempotent. */
void dial_cancel(struct dial *dial);
