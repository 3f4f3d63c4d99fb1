/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/gateway/gateway.h"

/*
 * The ports of a new configuration: new ports are opened, or taken over from a crashed gateway; existing ones
 * keep their sockets; then all workers get the configuration, or none does.
 */
/* fds: worker_count descriptors for each bind, -1 if the port is already open. */
struct port_plan {
	uint32_t bind_count;
	struct gateway_port **ports;
	int *fds;
};

/* After which a port is tried again that another program has, or that this one may not open. */
enum { PORT_PLAN_RETRY_MS = 30 * 1000, PORT_PLAN_CLOSED_MAX = 256 };

/*
 * 0, -EAGAIN (a port is still being closed: try again soon) or -errno; port_plan_done() closes the opened
 * sockets. A port of a Gateway of an API server that cannot be opened is left out (gateway_port.error).
 */
int port_plan_make(struct gateway *gateway, const struct snapshot *snapshot, struct port_plan *plan,
		   struct text *error);
/* Sends the configuration to all workers or to none: 0, and the workers own the descriptors, or -ENOMEM. */
int port_plan_send(const struct gateway *gateway, struct snapshot *snapshot, const struct port_plan *plan);
/* Records which ports are open, after the workers have the configuration. */
void port_plan_carried_out(struct gateway *gateway, const struct port_plan *plan);
/*
 * Fills the list, of at most `max`, with the listeners in force whose port could not be opened, and returns
 * their number.
 */
uint32_t port_plan_closed(struct gateway *gateway, const struct snapshot *snapshot,
			  const struct status_listener **list, uint32_t max);
void port_plan_done(struct port_plan *plan, uint32_t worker_count, bool close_fds);
