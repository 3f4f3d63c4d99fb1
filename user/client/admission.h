/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/client/worker_state.h"

/*
 * How many client connections there may be: in the process (config.limits.maxConnections), on a port, the sum
 * of what its listeners allow, and of one client's address (config.limits.connectionsPerClient).
 */

/*
 * What is counted of the clients of an address, with one more user: admission_forget(). NULL: no limit,
 * since the address is trusted to speak for others (config.forwarded.trusted), or no memory.
 */
struct quota *admission_client(struct proxy *proxy, const struct address *peer);
void admission_forget(struct proxy *proxy, struct quota *client);

/* Counts one more; false when it is one too many, and then it is not counted. */
bool admission_take(struct proxy *proxy, struct proxy_bind *bind);
bool admission_take_client(const struct proxy *proxy, struct quota *client);
bool admission_take_request(const struct proxy *proxy, struct quota *client);
void admission_give_request(struct quota *client);
/* Whether it was the limit of the port. */
bool admission_port_is_full(const struct proxy_bind *bind);
/* Counts one more, whatever the limits say. */
void admission_count(struct proxy *proxy, struct proxy_bind *bind);
void admission_count_client(struct quota *client);
void admission_give(struct proxy *proxy, struct proxy_bind *bind);
void admission_give_client(struct quota *client);
/* In the metrics, by the first listener of the bind: which one serves is known per request only. */
void admission_record(const struct proxy *proxy, const struct bind *bind);
/* Takes fd: 503 to a client of HTTP, a reset to others. */
void admission_refuse(struct proxy *proxy, const struct bind *bind, int fd);
