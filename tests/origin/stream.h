/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Endpoints with generated bodies: /bytes, /stream-bytes, /drip, /sse, /close-delimited, /delay,
 * /informational. README.md has the list.
 */
#ifndef HTTPBIN_STREAM_H
#define HTTPBIN_STREAM_H

#include "tests/origin/endpoint.h"

/* The last row has no path. */
extern const struct endpoint stream_endpoints[];

#endif
