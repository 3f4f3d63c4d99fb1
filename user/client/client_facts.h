/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/expression/expression.h"
#include "user/client/client.h"
#include "user/net/address.h"

/* What expressions can read of a connection. */
struct client_facts {
	struct expression_source source;
	struct address address, raw_address, destination;
};

/*
 * Sets source, destination and sni of `facts`, of what costs something only `needs` (enum expression_needs).
 * fields: of the request, which name the client behind a trusted proxy; NULL: none yet. The texts of a
 * certificate are in `arena`. Borrowed until the connection ends or the request changes. 0 or -ENOMEM.
 */
int client_facts_fill(struct client_facts *f, const struct client *client, const struct fields *fields,
		      uint32_t needs, struct arena *arena, struct expression_facts *facts);
