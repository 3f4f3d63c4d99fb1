/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/worker/worker.h"

/* The inside of struct worker, for worker*.c. */

struct worker {
	pthread_t thread;
	struct loop *loop;
	struct mailbox *mailbox;
	struct mailbox *owner; /* borrowed */
	struct message stop; /* here, so that the end needs no memory */
	struct resolver_client *resolver;
	struct proxy proxy;
	struct counters counters;
	struct pipe_pool pipes;
	struct trace *own_trace; /* owner; NULL: it outlives the gateway */
	struct worker_ports ports;
	atomic_bool has_closed; /* nothing is accepted any more */
	struct timer fresh_timer; /* closes connections that said nothing before the ports closed */
	struct timer ticket_timer; /* forgets keys of TLS tickets, also where no client comes */
};
