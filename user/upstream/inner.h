/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/span.h"

/*
 * Services of this process that are called like backends: HTTP/1.1 over one end of a socket pair. All rules
 * for backends (deadlines, retries, pools, back-pressure, drains) apply to them, and streams need not know
 * about them.
 */
struct mcp_access_table; /* policy/guard/mcp_access.h */

struct inner {
	void *context;
	/* What clients may use there, by the numbers that internal fields contain. */
	struct mcp_access_table *accesses;
	/*
	 * Opens a connection to the service of this name; takes fd in any case. From any worker. Returns 0,
	 * or -errno: there is no such service, or it accepts no more.
	 */
	int (*open)(void *context, struct span service, int fd);
};
