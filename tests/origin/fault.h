/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Endpoints that fail on purpose: /unstable, /close, and /counter for their attempts. README.md has the
 * list.
 */
#ifndef HTTPBIN_FAULT_H
#define HTTPBIN_FAULT_H

#include "tests/origin/endpoint.h"

/* The last row has no path. */
extern const struct endpoint fault_endpoints[];

#endif
