/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/http/head.h"
#include "user/http/refusal.h"

/* Rules on single fields of a request that are the same in all versions of HTTP. */

/*
 * RFC 9112 3.2, RFC 9113 8.3.1: requires one valid Host, equal to head->authority if the target had one;
 * otherwise head->authority becomes the value of Host. HTTP/1.0 needs neither, HTTP/2 one of them.
 * default_port is that of the scheme, 0 for CONNECT.
 */
enum http_error head_check_host(struct request_head *head, uint16_t default_port);
/* RFC 9110 10.1.1: only 100-continue is allowed. */
enum http_error head_check_expect(const struct fields *fields);
