/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/relay/conn.h"

struct near_worker;

/*
 * From here on its bytes hop, both ways, where the process at the other end is known to be on this host
 * (user/kernel/near/hop.h): for good, and instead of the lanes pipe and sockmap. 0, also when it did before;
 * -ENOMEM; -EBUSY with TLS, or where such a lane has it; -EOPNOTSUPP where another process had it: what was
 * read of it is not known here, and could not be proved at its end; -errno of hop_start(): -EAGAIN may do
 * later.
 */
int conn_start_hop(struct conn *conn, struct near_worker *worker);
/*
 * The same for a connection that hopped in another process, which is dead; nothing of it was read here so
 * far. 0, -ENOMEM, or -errno of hop_adopt(): reset it.
 */
int conn_adopt_hop(struct conn *conn, struct near_worker *worker);
/* For whoever adopts it, should this process die: nobody reads from it now, and nothing waits in conn->in. */
static inline void conn_note_hop(const struct conn *conn)
{
	if (conn->hop)
		hop_note_read(conn->hop, conn->received_bytes);
}
/*
 * As conn_is_silent(), without a system call: false where only the kernel knows. The end of the stream is
 * seen when its event is.
 */
bool conn_is_drained(const struct conn *conn);
/* Past TCP, both ways; 0 when it does not hop. */
uint64_t conn_hop_bytes(const struct conn *conn);
/* Before its socket is closed. Idempotent. */
void conn_stop_hop(struct conn *conn);
