/* SPDX-License-Identifier: Apache-2.0 */
#include "user/relay/conn_hop.h"

#include <errno.h>

#include "user/base/check.h"
#include "user/base/failpoint.h"
#include "user/base/mem.h"
#include "user/kernel/common/delivery.h"
#include "user/kernel/near/near_adopt.h"

/* The receiver has space again. */
static void conn_on_room(struct hop *hop)
{
	struct conn *conn = hop->owner;

	conn->can_write = true;
	conn->on_ready(conn);
}

/* Part of what the connection has received may have come by the lane direct, not through its socket. */
static int conn_begin_hop(struct conn *conn, struct hop *hop, struct near_worker *worker)
{
	uint64_t position = 0;
	/* Before the bypass starts: TCP counts everything read so far, and nothing that bypasses it later. */
	int error = conn->received_bytes ? delivery_position(conn_fd(conn), &position) : 0;

	if (error)
		return -EAGAIN;
	error = hop_start(hop, worker, conn_fd(conn));
	if (error)
		return error;
	hop_note_other(hop, conn->received_bytes - position);
	hop_note_before(hop, position);
	hop_note_read(hop, conn->received_bytes);
	return 0;
}

static int conn_enter_hop(struct conn *conn, struct near_worker *worker, bool is_adopted)
{
	struct hop *hop = hg_calloc(1, sizeof(*hop));
	int error;

	if (!hop)
		return -ENOMEM;
	error = is_adopted ? hop_adopt(hop, worker, conn_fd(conn), &conn->received_bytes)
			   : conn_begin_hop(conn, hop, worker);
	if (error) {
		hg_free(hop);
		return error;
	}
	hop->on_room = conn_on_room;
	hop->owner = conn;
	conn->hop = hop;
	/* The event for bytes already in TCP's queue may have been delivered. */
	conn->can_read = true;
	failpoint(HOP_STARTED);
	return 0;
}

int conn_start_hop(struct conn *conn, struct near_worker *worker)
{
	if (conn->hop)
		return 0;
	if (conn->tls || conn->gate || conn->pipes)
		return -EBUSY;
	return conn->is_adopted ? -EOPNOTSUPP : conn_enter_hop(conn, worker, false);
}

int conn_adopt_hop(struct conn *conn, struct near_worker *worker)
{
	CHECK(!conn->hop && !conn->received_bytes);
	return worker ? conn_enter_hop(conn, worker, true) : -EOPNOTSUPP;
}

bool conn_is_drained(const struct conn *conn)
{
	return conn->hop && !conn->has_eof && !conn->has_hup && !conn->error && !buf_len(&conn->in) &&
	       hop_is_drained(conn->hop, conn->received_bytes);
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
