/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints: what reads request bodies: /echo, /upload, /early, /expect-reject. The grammar is in README.md.
 */
#ifndef HTTPBIN_UPLOAD_H
#define HTTPBIN_UPLOAD_H

#include "tests/origin/endpoint.h"

/* Ends with a row without path. */
extern const struct endpoint upload_endpoints[];

#endif
