/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/span.h"

/*
 * Services of this process that are called like backends: HTTP/1.1 over one end of a socket pair. So whatever
 * holds for a backend (deadlines, retries, pools, back-pressure, drains) holds for them, and streams know
 * nothing of it.
 */
struct inner {
	void *context;
	/*
	 * Somebody connects to the service of this name; takes fd, whatever comes of it. From any worker. 0,
	 * or -errno: there is no such service, or it takes no more.
	 */
	int (*open)(void *context, struct span service, int fd);
};
