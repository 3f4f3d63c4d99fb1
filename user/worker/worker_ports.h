/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "user/base/list.h"
#include "user/loop/timer.h"
#include "user/client/worker_state.h"

/*
 * The listening ports of one worker: configurations open, change and remove them, the drain closes them all.
 * Used only by the worker's thread.
 *
 * Invariant: closing a port resets no connection. Closing a listening socket resets the connections in its
 * queue and every handshake under way; so first no new handshake is admitted (net_listener_bar), then
 * completed ones are accepted, then the socket is closed.
 */
struct worker_ports {
	struct proxy *proxy; /* borrowed; its loop must exist from worker_ports_apply() on */
	int syn_filter_program; /* borrowed; user/net/syn_filter.h, negative: none */
	struct list list; /* of struct worker_port */
	struct timer grace; /* between net_listener_bar() and the close */
	struct timer retry; /* of ports that could not be opened */
	void (*on_closed)(struct worker_ports *ports);
};

/* A listening socket passed together with its address. */
struct worker_listen {
	struct address address;
	struct worker_port *spare; /* from worker_ports_prepare() */
	int fd; /* worker_ports_apply() takes it; -1: the worker already listens on this address */
	struct proxy_counts *counts; /* borrowed: of this port in the process */
};

/* on_closed: called when worker_ports_close() has finished. */
void worker_ports_init(struct worker_ports *ports, struct proxy *proxy, int syn_filter_program,
		       void (*on_closed)(struct worker_ports *ports));
/*
 * Allocates what worker_ports_apply() may need, so that it cannot fail half-way; worker_ports_release() frees
 * the rest. 0, or -ENOMEM with nothing to release.
 */
int worker_ports_prepare(struct worker_listen *listens, size_t count);
void worker_ports_release(struct worker_listen *listens, size_t count);
/*
 * Accepts what waits at ports that `listens` does not name, while the old configuration is current: a request
 * that has arrived gets a response, other connections end like idle ones. Admits nothing new there. Call
 * worker_ports_apply() in the same turn: handshakes that have not completed by then are lost.
 */
void worker_ports_flush_removed(struct worker_ports *ports, const struct worker_listen *listens,
				size_t count);
/*
 * Opens the new ports of `listens` (prepared), closes those it does not name, and binds all of them to
 * proxy->lease. Open connections of a port that was closed, or whose protocol has changed, keep a proxy_bind
 * without a configuration. A port that cannot be opened leaves its connections to the other workers; it is
 * logged, counted, and tried again with the next configuration and every WORKER_PORTS_RETRY_MS.
 */
void worker_ports_apply(struct worker_ports *ports, struct worker_listen *listens, size_t count);
/*
 * Takes fd, a connection to the address `local` (IPv4 never as a mapped one), as if it had just been
 * accepted: at the port that the kernel would choose for a new one.
 */
void worker_ports_take_over(struct worker_ports *ports, const struct address *local, int fd);
/*
 * Takes client_fd and the descriptor of its backend: a stream of another process (resume.h) at the port that
 * has its listener. Resets and counts a stream that cannot be resumed.
 */
void worker_ports_resume_stream(struct worker_ports *ports, const struct address *local, int client_fd);
/*
 * For the drain: admits nothing new, accepts what was under way for WORKER_PORTS_GRACE_MS, then closes the
 * sockets and calls on_closed().
 */
void worker_ports_close(struct worker_ports *ports);
/* Closes the sockets now, whatever waits there, without on_closed(). Idempotent. */
void worker_ports_stop(struct worker_ports *ports);
/* Stops and frees all ports, after the last turn of the loop. */
void worker_ports_done(struct worker_ports *ports);
