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

/*
 * 0, -EAGAIN (a port is still being closed: try again soon) or -errno; port_plan_done() closes the opened
 * sockets.
 */
int port_plan_make(struct gateway *gateway, const struct snapshot *snapshot, struct port_plan *plan,
		   struct text *error);
/* Sends the configuration to all workers or to none: 0, and the workers own the descriptors, or -ENOMEM. */
int port_plan_send(const struct gateway *gateway, struct snapshot *snapshot, const struct port_plan *plan);
/* Records which ports are open, after the workers have the configuration. */
void port_plan_carried_out(struct gateway *gateway, const struct port_plan *plan);
void port_plan_done(struct port_plan *plan, uint32_t worker_count, bool close_fds);
