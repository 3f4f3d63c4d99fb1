/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/buf.h"
#include "user/loop/loop.h"
#include "user/restart/inherited_fds.h"

struct local;

/* What the gateway has when its ports are open: takeover_end() gets it. */
struct takeover_host {
	struct loop *loop; /* borrowed, like the next two; of the main thread */
	struct local *local; /* taken over from the old process; NULL: new ones, or none */
	const atomic_uint *resumptions_left; /* streams that workers have and have not resumed yet */
	uint32_t worker_count;
	void *context;
	/*
	 * Passes the connection of a client, which connected to `local`, to a worker; see
	 * worker_take_over(). 0 or -errno.
	 */
	int (*take_over)(void *context, uint32_t worker, int fd, const struct address *local, bool is_stream);
};

/*
 * Takes over the connections of a crashed gateway, under the keeper (user/restart), and those that a replaced
 * program hands over while it drains, in the same way. Without a keeper (restart_state NULL), and for the
 * first gateway, these functions do nothing.
 */
struct takeover {
	struct restart_state *restart_state; /* borrowed; NULL: no keeper */
	struct inherited_fds inherited; /* until takeover_end() */
	uint32_t taken_over_listeners; /* by this process */
	/*
	 * Armed by takeover_end(): kills children that have not ended by then, and frees slots that were
	 * not resumed.
	 */
	struct timer late_timer;
	struct takeover_host host;
	struct loop_source handoff; /* of restart_state->old_process_fd, until the old program ends */
	uint32_t next_worker;
	uint32_t handed_clients, handed_streams; /* by the old program */
	bool is_new_process;
	bool has_timer;
};

/* Collects the usable descriptors and closes the rest. Call it before anything is opened. */
void takeover_begin(struct takeover *takeover, struct restart_state *restart_state);
/* The number of workers: as many as before, because each gets the sockets of one; otherwise `wanted`. */
uint32_t takeover_workers(const struct takeover *takeover, uint32_t wanted);
/* Takes the sockets of one port, one for each worker; false: there are none. */
bool takeover_take_port(struct takeover *takeover, const struct address *address, uint32_t count,
			int *ret_fds);
/* Closes what nobody has taken of this port, on other addresses; false: there is nothing. */
bool takeover_drop_port(struct takeover *takeover, uint16_t port);
/*
 * At an upgrade: appends the health of endpoints that the old program has sent to *ret, as it was passed to
 * takeover_send_health() there. Nothing is appended if it does not come in time. Before any port is open.
 */
void takeover_take_health(struct takeover *takeover, struct buf *ret);
/* Call on SIGUSR2: the new program waits for this. */
void takeover_send_health(const struct takeover *takeover, struct span saved);
/* Call when ports are open and workers run: passes them idle clients and streams, and closes the rest. */
void takeover_end(struct takeover *takeover, const struct takeover_host *host);
/* Call when this gateway drains: the old program keeps the connections that it has not sent. */
void takeover_take_no_more(const struct takeover *takeover);
/* True if everything that the old program has sent was received. */
bool takeover_has_all(const struct takeover *takeover);
/* Releases everything left of the previous process. After takeover_end(), or instead of it. */
void takeover_stop(struct takeover *takeover);
/* The start has failed: exits if this process follows another, and leaves its descriptors to the next one. */
void takeover_give_up(const struct takeover *takeover);
/* Call when the gateway serves: from now on the keeper restarts it after a crash. */
void takeover_ready(struct takeover *takeover, uint32_t worker_count);
/* True if the new program has the sockets of our ports: closing them resets no connection. */
bool takeover_is_handed_over(const struct takeover *takeover);
/* True if the new program also takes connections (quiesce.h). Otherwise logs the reason. */
bool takeover_takes_connections(const struct takeover *takeover);
