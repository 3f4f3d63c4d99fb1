/* SPDX-License-Identifier: Apache-2.0 */
/* Connections without HTTP: the --tcp-... modes, and the echo after /upgrade-raw. */
#ifndef HTTPBIN_RAW_H
#define HTTPBIN_RAW_H

#include "tests/origin/conn.h"

/* The first step of a connection in a --tcp-... mode. */
conn_step_fn raw_mode_step;
/* Echoes everything; after the peer's FIN it sends the last byte, then FIN. */
conn_step_fn raw_echo_step;

/*
 * How many bytes a reader limited to `rate` bytes/s may read now, if it has read `taken` bytes since
 * start_ns. Rate 0: no limit.
 */
uint64_t raw_rate_allows(uint64_t rate, uint64_t start_ns, uint64_t taken, uint64_t now_ns);

#endif
