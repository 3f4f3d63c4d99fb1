/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/text.h"
#include "user/loop/loop.h"
#include "user/restart/inherited_fds.h"

struct gateway;

/*
 * What a gateway takes over from one that died, under the keeper (user/restart), and what a program that is
 * replaced hands over while it drains: both go the same way. Without a keeper (restart state: NULL), or for
 * the first gateway, there is nothing, and all of this does nothing.
 */
struct takeover {
	struct restart_state *restart_state; /* borrowed; NULL: no keeper */
	struct inherited_fds inherited; /* until takeover_end() */
	uint32_t taken_over_listeners; /* in this life */
	/* From takeover_end() on: what has not ended by then is killed, what nobody has resumed is gone. */
	struct timer late_timer;
	struct loop *loop; /* borrowed, like the next two */
	const atomic_uint *resumptions_left;
	struct local *local; /* those of the one before; NULL: others, or none */
	struct loop_source
		handoff; /* of restart state->old_process_fd, while the program before has not ended */
	uint32_t next_worker;
	uint32_t handed_clients, handed_streams; /* by that program */
	bool is_new_process;
	bool has_timer;
};

/* Before anything is opened: collects what is of use and closes the rest. */
void takeover_begin(struct takeover *takeover, struct restart_state *restart_state);
/* How many workers there are to be: as many as before, whose sockets they get, else what is wanted. */
uint32_t takeover_workers(const struct takeover *takeover, uint32_t wanted);
/* The sockets of one port, one for each worker; false: there are none. */
bool takeover_take_port(struct takeover *takeover, const struct address *address, uint32_t count,
			int *ret_fds);
/* The ports are open and the workers run: idle clients and streams go to them, what is left is closed. */
void takeover_end(struct takeover *takeover, struct gateway *gateway);
/* This gateway drains: the program before keeps what it has not sent yet. */
void takeover_take_no_more(const struct takeover *takeover);
/* Nothing that it has sent is still unread. */
bool takeover_has_all(const struct takeover *takeover);
/* What is left of the one before ends now. Behind takeover_end(), or without it. */
void takeover_stop(struct takeover *takeover, struct gateway *gateway);
/* The start has failed: the new process ends here, and leaves what it found to the next one. */
void takeover_give_up(const struct takeover *takeover);
/* It serves: from now on its crash is followed by the new process. */
void takeover_ready(struct takeover *takeover, uint32_t worker_count);
/* Another program has the sockets of our ports: closing them resets nobody. */
bool takeover_is_handed_over(const struct takeover *takeover);
/* That program takes connections as well: workers may hand them off (quiesce.h). The log says why not. */
bool takeover_takes_connections(const struct takeover *takeover);
void takeover_metrics(const struct takeover *takeover, struct text *out);
