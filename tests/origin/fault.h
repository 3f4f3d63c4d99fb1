/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints: failures on purpose: /unstable, /close, and the /counter of tries. The grammar is in README.md.
 */
#ifndef HTTPBIN_FAULT_H
#define HTTPBIN_FAULT_H

#include "tests/origin/endpoint.h"

/* Ends with a row without path. */
extern const struct endpoint fault_endpoints[];

#endif
