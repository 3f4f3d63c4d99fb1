/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/client/worker_state.h"

/*
 * Limits client connections: of the process (config.limits.maxConnections), of a port (the sum of the limits
 * of its listeners), and of one client's address (config.limits.connectionsPerClient).
 */

/*
 * Returns the counts of the client's address and takes a reference, which quota_drop() drops. NULL: no
 * limit, because the address may speak for others (config.forwarded.trusted), or no memory.
 */
struct quota *admission_client(struct proxy *proxy, const struct address *peer);

/* Counts one more. False if that exceeds a limit; then it is not counted. */
bool admission_take(struct proxy *proxy, struct proxy_bind *bind);
bool admission_take_client(const struct proxy *proxy, struct quota *client);
bool admission_take_request(const struct proxy *proxy, struct quota *client);
void admission_give_request(struct quota *client);
/* True if the port has reached its limit. */
bool admission_port_is_full(const struct proxy_bind *bind);
/* Counts one more without checking the limits. */
void admission_count(struct proxy *proxy, struct proxy_bind *bind);
void admission_count_client(struct quota *client);
void admission_give(struct proxy *proxy, struct proxy_bind *bind);
void admission_give_client(struct quota *client);
/*
 * Counts the connection in the metrics, under the first listener of the bind: the listener that serves is
 * known only per request.
 */
void admission_record(const struct proxy *proxy, const struct bind *bind);
/* Closes fd: HTTP clients get a 503, others a reset. */
void admission_refuse(struct proxy *proxy, const struct bind *bind, int fd);
