/* SPDX-License-Identifier: Apache-2.0 */
#include "user/restart/stream/conn_status.h"

#include "user/base/failpoint.h"
#include "user/relay/conn_hop.h"
#include "user/stream/stream.h"

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
	/* Of one that was in the kernel lane the slot stands in a stream's row only. */
	if (client->conn.gate)
		return ESTATE_MARK_LANE;
	return client->conn.hop ? ESTATE_MARK_IDLE_HOP : ESTATE_MARK_IDLE;
}

void client_mark(const struct client *client)
{
	struct estate *estate = client->proxy->shared->estate;
	enum estate_mark mark;

	if (!estate)
		return;
	mark = mark_of(client);
	/* Its row says more; who begins a stream in the call that begins a client has written both. */
	if (client->stream && client->stream->is_in_estate && !client->is_closed)
		return;
	if (mark == ESTATE_MARK_IDLE_HOP)
		conn_note_hop(&client->conn);
	estate_mark(estate, conn_fd(&client->conn), mark);
	if (mark == ESTATE_MARK_IDLE || mark == ESTATE_MARK_IDLE_HOP)
		failpoint(CLIENT_IDLE);
	if (mark == ESTATE_MARK_REQUEST && client->state == CLIENT_STREAM)
		failpoint(CLIENT_READ);
}

void client_mark_reading(const struct client *client)
{
	estate_mark(client->proxy->shared->estate, conn_fd(&client->conn), ESTATE_MARK_REQUEST);
	failpoint(CLIENT_READING);
}
