/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints that read request bodies: /echo, /upload, /early, /expect-reject. README.md has the list. */
#ifndef HTTPBIN_UPLOAD_H
#define HTTPBIN_UPLOAD_H

#include "tests/origin/endpoint.h"

/* The last row has no path. */
extern const struct endpoint upload_endpoints[];

#endif
