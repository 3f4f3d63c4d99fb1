/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints that switch protocols: /ws, /ws-refuse, /upgrade-raw. README.md has the list. */
#ifndef HTTPBIN_UPGRADE_H
#define HTTPBIN_UPGRADE_H

#include "tests/origin/endpoint.h"

/* The last row has no path. */
extern const struct endpoint upgrade_endpoints[];

#endif
