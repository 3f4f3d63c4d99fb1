/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/text.h"
#include "user/loop/loop.h"
#include "user/restart/inherited_fds.h"

struct gateway;

/*
 * What a gateway takes over from one that died, under the keeper (user/restart), and what a program that is
 * replaced hands over while it drains: both go the same way. Without a keeper (estate: NULL), or for the
 * first gateway, there is nothing, and all of this does nothing.
 */
struct succession {
	struct estate *estate; /* borrowed; NULL: no keeper */
	struct inherited inherited; /* until succession_end() */
	uint32_t adopted_listeners; /* in this life */
	/* From succession_end() on: what has not ended by then is killed, what nobody has adopted is gone. */
	struct timer late_timer;
	struct loop *loop; /* borrowed, like the next two */
	const atomic_uint *adoptions_left;
	struct near *near; /* those of the one before; NULL: others, or none */
	struct loop_source handoff; /* of estate->elder_fd, while the program before has not ended */
	uint32_t next_worker;
	uint32_t handed_clients, handed_streams; /* by that program */
	bool is_successor;
	bool has_timer;
};

/* Before anything is opened: collects what is of use and closes the rest. */
void succession_begin(struct succession *succession, struct estate *estate);
/* How many workers there are to be: as many as before, whose sockets they get, else what is wanted. */
uint32_t succession_workers(const struct succession *succession, uint32_t wanted);
/* The sockets of one port, one for each worker; false: there are none. */
bool succession_take_port(struct succession *succession, const struct address *address, uint32_t count,
			  int *ret_fds);
/* The ports are open and the workers run: idle clients and streams go to them, what is left is closed. */
void succession_end(struct succession *succession, struct gateway *gateway);
/* This gateway drains: the program before keeps what it has not sent yet. */
void succession_take_no_more(const struct succession *succession);
/* Nothing that it has sent is still unread. */
bool succession_has_all(const struct succession *succession);
/* What is left of the one before ends now. Behind succession_end(), or without it. */
void succession_stop(struct succession *succession, struct gateway *gateway);
/* The start has failed: a successor ends here, and leaves what it found to the next one. */
void succession_give_up(const struct succession *succession);
/* It serves: from now on its death is followed by a successor. */
void succession_ready(struct succession *succession, uint32_t worker_count);
/* Another program has the sockets of our ports: closing them resets nobody. */
bool succession_is_handed_over(const struct succession *succession);
/* That program takes connections as well: workers may hand them off (quiesce.h). The log says why not. */
bool succession_takes_connections(const struct succession *succession);
void succession_metrics(const struct succession *succession, struct text *out);
