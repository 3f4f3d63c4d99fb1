/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/h2_settings.h"
#include "user/relay/h2_link.h"
#include "user/upstream/upstream.h"

/*
 * The additional state of a backend connection with HTTP/2: the link, and the streams that share it, each
 * with its own owner. It takes streams while it is in its endpoint's list. When it is retired (GOAWAY of
 * either side, an address that the name no longer has, an error), it serves its remaining streams and closes
 * with the last.
 */
struct upstream_h2 {
	struct h2_link link;
	struct upstream *upstream; /* borrowed */
	struct list node; /* in endpoint->h2 while it takes streams */
	uint32_t stream_count;
	/* one reference: of the backend that it is counted for, while it has streams; NULL: not counted */
	struct quota *quota;
	uint32_t most_streams; /* that the backend allowed when bytes of it were last read */
	/* Waiters that had no use for its streams: how many since the last offer, the number of the last. */
	uint32_t declined_count;
	uint64_t declined_number;
	bool is_settling; /* waits for the first SETTINGS: one stream, others wait */
	bool is_dead; /* the socket has ended; its streams are notified */
	bool is_eof; /* the end was a FIN */
	int error; /* -errno, 0 */
};

/* Translates the configuration into options of a session. */
struct h2_options h2_options_of(enum h2_role role, const struct h2_settings *settings);
/* Makes a new connection an HTTP/2 connection and shares it. 0 or -ENOMEM. */
int upstream_h2_start(struct upstream *upstream);
/* Adds a stream, and removes one that has ended; the last one starts the idle timer, or closes. */
void upstream_h2_join(struct upstream *upstream);
void upstream_h2_leave(struct upstream *upstream);
/*
 * The connection, which has a stream now, takes over what the caller has taken from the quota, and gives it
 * back with its last stream.
 */
void upstream_h2_take_count(struct upstream *upstream, struct quota *quota);
/*
 * The waiter with this number had no use for a free stream of the connection with this handle, if it still
 * exists: it is offered to those behind.
 */
void upstream_h2_declined(struct upstream_pool *pool, uint64_t handle, uint64_t number);
/* For upstream->idle_timer: no SETTINGS came, or the connection was idle. */
void upstream_h2_on_timer(struct upstream *upstream);
/* The connection refused a stream: the endpoint's other connections are preferred from now on. */
void upstream_h2_demote(struct upstream *upstream);
/* Takes no more streams; closes now if it has none. */
void upstream_h2_retire(struct upstream *upstream);
void upstream_h2_close(struct upstream *upstream); /* for upstream_close() */
void upstream_h2_free(struct upstream_h2 *h2); /* NULL allowed */
