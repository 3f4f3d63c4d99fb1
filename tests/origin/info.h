/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints: answers about the request, and simple answers: /headers, /get, /anything, /status, /redirect,
 * .... The grammar is in README.md. */
#ifndef HTTPBIN_INFO_H
#define HTTPBIN_INFO_H

#include "tests/origin/endpoint.h"

/* Ends with a row without path. */
extern const struct endpoint info_endpoints[];

#endif
