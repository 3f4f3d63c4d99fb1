/* SPDX-License-Identifier: Apache-2.0 */
/* The life of an HTTP/1 connection: head, body, response, next request. */
#ifndef HTTPBIN_HTTP_H
#define HTTPBIN_HTTP_H

#include "tests/origin/conn.h"

conn_step_fn http_step;

#endif
