/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/client/client.h"
#include "user/upstream/upstream_pool.h"

/*
 * Exchanges a use of an endpoint's own record for a use of the client's, if connections to the endpoint
 * begin with a PROXY header (policy proxyProtocol): the header announces this client, and no other client
 * gets these connections. Returns `endpoint` if they begin without one. NULL without memory: the use is gone.
 */
struct upstream_endpoint *client_announce(struct client *client, struct upstream_endpoint *endpoint);
