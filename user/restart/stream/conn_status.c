/* SPDX-License-Identifier: Apache-2.0 */
#include "user/restart/stream/conn_status.h"

#include "user/base/failpoint.h"
#include "user/relay/conn_bypass.h"
#include "user/stream/stream.h"

static enum conn_status status_of(const struct client *client)
{
	if (client->is_closed)
		return CONN_STATUS_NONE;
	if (client->tls)
		return CONN_STATUS_TLS;
	if (client->h2)
		return CONN_STATUS_HTTP2;
	if (client->state == CLIENT_READ_PROXY || client->state == CLIENT_ASKED)
		return CONN_STATUS_REQUEST;
	if (!client->http)
		return CONN_STATUS_TUNNEL;
	if (client->state != CLIENT_IDLE || buf_len(&client->conn.in) || conn_has_output(&client->conn) ||
	    client_is_ending(client))
		return CONN_STATUS_REQUEST;
	/* The slot of a connection that was in the kernel lane is stored only in a stream's entry. */
	if (client->conn.sockmap)
		return CONN_STATUS_LANE;
	return client->conn.bypass ? CONN_STATUS_IDLE_BYPASS : CONN_STATUS_IDLE;
}

void client_set_conn_status(const struct client *client)
{
	struct restart_state *restart_state = client->proxy->shared->restart_state;
	enum conn_status status;

	if (!restart_state)
		return;
	status = status_of(client);
	/* The stream's entry has more, and starting the stream has already set the status. */
	if (client->stream && client->stream->is_in_restart_state && !client->is_closed)
		return;
	if (status == CONN_STATUS_IDLE_BYPASS)
		conn_note_bypass(&client->conn);
	conn_status_set(restart_state, conn_fd(&client->conn), status);
	if (status == CONN_STATUS_IDLE || status == CONN_STATUS_IDLE_BYPASS)
		failpoint(CLIENT_IDLE);
	if (status == CONN_STATUS_REQUEST && client->state == CLIENT_STREAM)
		failpoint(CLIENT_READ);
}

void client_set_reading(const struct client *client)
{
	conn_status_set(client->proxy->shared->restart_state, conn_fd(&client->conn), CONN_STATUS_REQUEST);
	failpoint(CLIENT_READING);
}
