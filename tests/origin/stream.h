/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints: bodies made here: /bytes, /stream-bytes, /drip, /sse, /close-delimited, /delay, /informational.
 * The grammar is in README.md. */
#ifndef HTTPBIN_STREAM_H
#define HTTPBIN_STREAM_H

#include "tests/origin/endpoint.h"

/* Ends with a row without path. */
extern const struct endpoint stream_endpoints[];

#endif
