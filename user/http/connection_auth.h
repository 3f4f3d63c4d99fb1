/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/http/head.h"

/*
 * NTLM and Negotiate (RFC 4559) prove who a client is for a connection, not for a request: the server takes
 * every later request of that connection for one of that client.
 */

/* The request carries such credentials, in Authorization or Proxy-Authorization. */
bool connection_auth_is_sent(const struct fields *request);
/* A 401 or 407 that asks for them. */
bool connection_auth_is_asked(const struct response_head *response);
