/* SPDX-License-Identifier: Apache-2.0 */
#include "user/relay/conn_hop.h"

#include <errno.h>

#include "user/base/mem.h"

/* There is room at its receiver. */
static void conn_on_room(struct hop *hop)
{
	struct conn *conn = hop->owner;

	conn->can_write = true;
	conn->on_ready(conn);
}

int conn_start_hop(struct conn *conn, struct near_worker *worker)
{
	struct hop *hop;
	int error;

	if (conn->hop)
		return 0;
	if (conn->tls || conn->gate || conn->pipes)
		return -EBUSY;
	hop = hg_calloc(1, sizeof(*hop));
	if (!hop)
		return -ENOMEM;
	error = hop_start(hop, worker, conn_fd(conn));
	if (error) {
		hg_free(hop);
		return error;
	}
	hop->on_room = conn_on_room;
	hop->owner = conn;
	conn->hop = hop;
	/* What came before in TCP's queue may have had its event. */
	conn->can_read = true;
	return 0;
}

uint64_t conn_hop_bytes(const struct conn *conn)
{
	return conn->hop ? hop_sent_bytes(conn->hop) + hop_received_bytes(conn->hop) : 0;
}

void conn_stop_hop(struct conn *conn)
{
	if (!conn->hop)
		return;
	hop_stop(conn->hop);
	hg_free(conn->hop);
	conn->hop = NULL;
}
