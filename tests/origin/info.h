/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Endpoints about the request, and simple responses: /headers, /get, /anything, /status, /redirect ….
 * README.md has the list.
 */
#ifndef HTTPBIN_INFO_H
#define HTTPBIN_INFO_H

#include "tests/origin/endpoint.h"

/* The last row has no path. */
extern const struct endpoint info_endpoints[];

#endif
