/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/h2_settings.h"
#include "user/relay/h2_link.h"
#include "user/upstream/upstream.h"

/*
 * What a backend connection has more when it speaks HTTP/2: the link, and the streams that share it, each
 * with its own owner. It takes streams while it is in its endpoint's list; retired (GOAWAY of either side, an
 * address that is no more, an error) it serves those it has and closes with the last.
 */
struct upstream_h2 {
	struct h2_link link;
	struct upstream *upstream; /* borrowed */
	struct list node; /* in endpoint->h2 while it takes streams */
	uint32_t stream_count;
	bool is_settling; /* its first SETTINGS have not come: one stream, the others wait */
	bool is_dead; /* the socket has ended; waits for its streams to notice */
	bool is_eof; /* by FIN */
	int error; /* -errno, 0 */
};

/* What the configuration says, in the words of the session. */
struct h2_options h2_options_of(enum h2_role role, const struct h2_settings *settings);
/* Makes a new connection one of HTTP/2 and shares it. 0 or -ENOMEM. */
int upstream_h2_start(struct upstream *upstream);
/* One more stream of it, for one that is over the other; the last one starts the idle timer, or closes. */
void upstream_h2_join(struct upstream *upstream);
void upstream_h2_leave(struct upstream *upstream);
/* For upstream->idle_timer: no SETTINGS came, or nothing to do. */
void upstream_h2_on_timer(struct upstream *upstream);
/* It refused a stream: while it takes any, others of its endpoint come first. */
void upstream_h2_demote(struct upstream *upstream);
/* Takes no more streams; closes now when it has none. */
void upstream_h2_retire(struct upstream *upstream);
void upstream_h2_close(struct upstream *upstream); /* for upstream_close() */
void upstream_h2_free(struct upstream_h2 *h2); /* NULL is fine */
