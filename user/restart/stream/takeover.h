/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/loop/loop.h"
#include "user/restart/inherited_fds.h"

struct local;

/* What the gateway has when its ports are open: takeover_end() gets it. */
struct takeover_host {
	struct loop *loop; /* borrowed, like the next two; of the main thread */
	struct local *local; /* those of the gateway before; NULL: others, or none */
	const atomic_uint *resumptions_left; /* streams that workers have and have not resumed yet */
	uint32_t worker_count;
	void *context;
	/* A worker gets the connection of a client of this port, as worker_take_over() says: 0 or -errno. */
	int (*take_over)(void *context, uint32_t worker, int fd, uint16_t port, bool is_stream);
};

/*
 * What a gateway takes over from one that died, under the keeper (user/restart), and what a program that is
 * replaced hands over while it drains: both go the same way. Without a keeper (restart state: NULL), or for
 * the first gateway, there is nothing, and all of this does nothing.
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
	struct loop_source
		handoff; /* of restart state->old_process_fd, while the program before has not ended */
	uint32_t next_worker;
	uint32_t handed_clients, handed_streams; /* by that program */
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
/* The ports are open and the workers run: idle clients and streams go to them, what is left is closed. */
void takeover_end(struct takeover *takeover, const struct takeover_host *host);
/* This gateway drains: the program before keeps what it has not sent yet. */
void takeover_take_no_more(const struct takeover *takeover);
/* Nothing that it has sent is still unread. */
bool takeover_has_all(const struct takeover *takeover);
/* Releases everything left of the previous process. After takeover_end(), or instead of it. */
void takeover_stop(struct takeover *takeover);
/* The start has failed: exits if this process follows another, and leaves its descriptors to the next one. */
void takeover_give_up(const struct takeover *takeover);
/* The gateway serves: from now on a crash is followed by a restart. */
void takeover_ready(struct takeover *takeover, uint32_t worker_count);
/* True if the new program has the sockets of our ports: closing them resets no connection. */
bool takeover_is_handed_over(const struct takeover *takeover);
/* That program takes connections as well: workers may hand them off (quiesce.h). The log says why not. */
bool takeover_takes_connections(const struct takeover *takeover);
