/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/worker/worker.h"

/* The private part of struct worker, for worker*.c. */

struct worker {
	pthread_t thread;
	struct loop *loop;
	struct mailbox *mailbox;
	struct mailbox *owner; /* borrowed */
	struct message stop; /* embedded, so that stopping needs no memory */
	struct resolver_client *resolver;
	struct proxy proxy;
	struct counters counters;
	struct pipe_pool pipes;
	struct seconds *seconds; /* owner */
	struct trace *own_trace; /* owner; NULL: the trace outlives the gateway */
	struct worker_ports ports;
	atomic_bool has_closed; /* the ports are closed */
	struct timer fresh_timer; /* closes connections that sent nothing before the ports closed */
	uint32_t exporters_left; /* that still send, after the end */
	struct timer ticket_timer; /* erases keys of TLS tickets, also without clients */
};
