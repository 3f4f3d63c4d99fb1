/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "user/base/list.h"
#include "user/loop/timer.h"
#include "user/client/worker_state.h"

/*
 * The listening ports of one worker: configurations open, change and remove them, the drain closes them all.
 * Everything here belongs to the worker's thread.
 *
 * Invariant: a port that goes away resets no connection. Closing a listening socket resets what waits in its
 * queue and every handshake under way; so first no new handshake may begin (net_listener_bar), then what has
 * completed is accepted, then the socket closes.
 */
struct worker_ports {
	struct proxy *proxy; /* borrowed; its loop must be there from worker_ports_apply() on */
	int syn_filter_program; /* borrowed; user/net/syn_filter.h, negative: none */
	struct list list; /* of struct worker_port */
	struct timer grace; /* from the bar to the close */
	struct timer retry; /* of ports that could not be opened */
	void (*on_closed)(struct worker_ports *ports);
};

/* A listening socket handed over together with its port. */
struct worker_listen {
	uint16_t port;
	struct worker_port *spare; /* of worker_ports_prepare() */
	int fd; /* taken by worker_ports_apply(); -1: the worker already listens on this port */
	struct proxy_counts *counts; /* borrowed: of the port in the process */
};

/* on_closed: what worker_ports_close() began is over. */
void worker_ports_init(struct worker_ports *ports, struct proxy *proxy, int syn_filter_program,
		       void (*on_closed)(struct worker_ports *ports));
/*
 * What worker_ports_apply() may need of memory, so that it cannot fail half-way; what is left of it goes with
 * worker_ports_release(). 0, or -ENOMEM with nothing to release.
 */
int worker_ports_prepare(struct worker_listen *listens, size_t count);
void worker_ports_release(struct worker_listen *listens, size_t count);
/*
 * What waits at ports that `listens` does not name is accepted while the old configuration is in force: a
 * request that has arrived is answered, the others end as idle connections do. Nothing new begins there. To
 * be followed by worker_ports_apply() in the same turn: handshakes that are not complete by then are lost.
 */
void worker_ports_flush_removed(struct worker_ports *ports, const struct worker_listen *listens,
				size_t count);
/*
 * Opens the ports of `listens` (prepared) that are new, closes those it does not name, and ties all of them
 * to proxy->lease. Open connections of a port that is closed, or whose protocol has changed, keep a
 * proxy_bind without configuration. A port that cannot be opened leaves its connections to the other workers;
 * it is logged, counted and tried again with the next configuration and every WORKER_PORTS_RETRY_MS.
 */
void worker_ports_apply(struct worker_ports *ports, struct worker_listen *listens, size_t count);
/* Takes fd: a connection that came in at this port, as if it had just been accepted. False: it was reset. */
bool worker_ports_adopt(struct worker_ports *ports, uint16_t number, int fd);
/*
 * Takes client_fd, and the descriptor of its backend: a stream that another process had (resume.h).
 * False: it was reset, and counted when nobody else has it (is_lost).
 */
bool worker_ports_adopt_stream(struct worker_ports *ports, uint16_t number, int client_fd, bool is_lost);
/*
 * The drain: nothing new begins; what was under way is accepted for WORKER_PORTS_GRACE_MS; then the sockets
 * close and on_closed() is called.
 */
void worker_ports_close(struct worker_ports *ports);
/* The sockets close now, whatever waits there; on_closed() is not called any more. Idempotent. */
void worker_ports_stop(struct worker_ports *ports);
/* Stops and frees all ports, after the last turn of the loop. */
void worker_ports_done(struct worker_ports *ports);
