/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints for strictness tests: malformed responses, /bad/KIND. README.md has the list. */
#ifndef HTTPBIN_BAD_H
#define HTTPBIN_BAD_H

#include "tests/origin/endpoint.h"

/* The last row has no path. */
extern const struct endpoint bad_endpoints[];

#endif
