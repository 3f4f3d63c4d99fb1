/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/client/worker_state.h"

/*
 * How many client connections there may be: in the process (config.limits.maxConnections) and on a port, the
 * sum of what its listeners allow.
 */

/* Counts one more; false when it is one too many, and then it is not counted. */
bool admission_take(struct proxy *proxy, struct proxy_bind *bind);
/* Whether it was the limit of the port. */
bool admission_port_is_full(const struct proxy_bind *bind);
/* Counts one more, whatever the limits say. */
void admission_count(struct proxy *proxy, struct proxy_bind *bind);
void admission_give(struct proxy *proxy, struct proxy_bind *bind);
/* In the metrics, by the first listener of the bind: which one serves is known per request only. */
void admission_record(const struct proxy *proxy, const struct bind *bind);
/* Takes fd: 503 to a client of HTTP, a reset to others. */
void admission_refuse(struct proxy *proxy, const struct bind *bind, int fd);
