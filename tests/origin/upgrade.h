/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints: protocol switches: /ws, /ws-refuse, /upgrade-raw. The grammar is in README.md. */
#ifndef HTTPBIN_UPGRADE_H
#define HTTPBIN_UPGRADE_H

#include "tests/origin/endpoint.h"

/* Ends with a row without path. */
extern const struct endpoint upgrade_endpoints[];

#endif
