/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/gateway/gateway.h"

/*
 * The ports of a configuration that is to come into force: what is new is opened, or taken over from a
 * gateway that died; what stays keeps its sockets; then all workers hear of it, or none.
 */
/* fds: worker_count for each bind, -1 where the port is open already. */
struct port_plan {
	uint32_t bind_count;
	struct gateway_port **ports;
	int *fds;
};

/* 0, -EAGAIN (a port is being closed: try again soon) or -errno; port_plan_done() closes what it opened. */
int port_plan_make(struct gateway *gateway, const struct snapshot *snapshot, struct port_plan *plan,
		   struct text *error);
/* All workers or none: 0, then the descriptors are theirs, or -ENOMEM. */
int port_plan_send(const struct gateway *gateway, struct snapshot *snapshot, const struct port_plan *plan);
/* The workers have it: which ports are open is noted. */
void port_plan_carried_out(struct gateway *gateway, const struct port_plan *plan);
void port_plan_done(struct port_plan *plan, uint32_t worker_count, bool close_fds);
