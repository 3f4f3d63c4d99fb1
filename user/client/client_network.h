/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/client/client.h"

struct guard_use;

/*
 * networkAuthorization, when a connection is accepted (TLS: after the handshake; passed through: after the
 * ClientHello). True if the connection may stay. False: the metric counts the refusal, and `why` has what the
 * log shows; the caller closes the connection without a byte. A rule that cannot be evaluated refuses.
 */
bool client_network_admits(struct client *client, const struct guard_use *use, struct text *why);

/*
 * The same for a connection that will carry requests; NULL admits. What a trusted proxy connects is decided
 * for each request, whose head names the client. END_OK, or why the caller closes the connection, which is
 * logged already.
 */
enum end_reason client_network_begins(struct client *client, const struct guard_use *use);
