/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets, one for each worker, and the line that reports the address when the origin is ready. */
#ifndef HTTPBIN_SERVER_H
#define HTTPBIN_SERVER_H

#include "tests/origin/options.h"

/*
 * Listens, starts the workers, prints "listening on ADDR:PORT". False after it has printed an error line to
 * stderr.
 */
bool server_start(const struct options *options);

#endif
