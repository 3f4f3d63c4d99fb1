/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints: malformed answers for the strictness tests: /bad/KIND. The grammar is in README.md. */
#ifndef HTTPBIN_BAD_H
#define HTTPBIN_BAD_H

#include "tests/origin/endpoint.h"

/* Ends with a row without path. */
extern const struct endpoint bad_endpoints[];

#endif
