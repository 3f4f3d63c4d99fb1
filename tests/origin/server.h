/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets, one a worker, and the address line that tells a test the origin is ready. */
#ifndef HTTPBIN_SERVER_H
#define HTTPBIN_SERVER_H

#include "tests/origin/options.h"

/* Listens, starts the workers, prints "listening on ADDR:PORT". False after one line on stderr. */
bool server_start(const struct options *options);

#endif
