/* SPDX-License-Identifier: Apache-2.0 */
#include "user/proxy/client_mark.h"

#include "user/base/failpoint.h"

static enum estate_mark mark_of(const struct client *client)
{
	if (client->is_closed)
		return ESTATE_MARK_NONE;
	if (client->tls)
		return ESTATE_MARK_TLS;
	if (client->h2)
		return ESTATE_MARK_HTTP2;
	if (!client->http)
		return ESTATE_MARK_TUNNEL;
	if (client->state != CLIENT_IDLE || buf_len(&client->conn.in) || conn_has_output(&client->conn) ||
	    client_is_ending(client))
		return ESTATE_MARK_REQUEST;
	/*
	 * What comes to a connection that hops is queued where it goes with its owner. One that was in the
	 * kernel lane is still in its maps, by a slot that stands in a stream's row only.
	 */
	return client->conn.gate || client->conn.hop ? ESTATE_MARK_LANE : ESTATE_MARK_IDLE;
}

void client_mark(const struct client *client)
{
	enum estate_mark mark = mark_of(client);

	estate_mark(client->proxy->shared->estate, conn_fd(&client->conn), mark);
	if (mark == ESTATE_MARK_IDLE)
		failpoint(CLIENT_IDLE);
}
