/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/relay/conn.h"

struct local_worker;

/*
 * Makes the connection bypass TCP in both directions from now on, until it is closed, if the process at the
 * other end is known to be on this host (user/kernel/local/bypass.h). Lane sockmap cannot use it then, nor
 * can lane pipe read from it until it has left by cost.
 * Returns 0, also if it bypasses TCP already; -ENOMEM; -EBUSY with TLS, or while such a lane uses it;
 * -EOPNOTSUPP if it was resumed from another process: how much was read of it is unknown, so its end could
 * not be verified; or -errno of bypass_start(): after -EAGAIN, try again later.
 */
int conn_start_bypass(struct conn *conn, struct local_worker *worker);
/*
 * The same for a connection that bypassed TCP in a process that crashed; call it before anything is read.
 * Returns 0, -ENOMEM, or -errno of bypass_resume(): reset the connection.
 */
int conn_resume_bypass(struct conn *conn, struct local_worker *worker);
/*
 * Stores the read position for the process that resumes the connection after a crash. Call it only while no
 * one reads and conn->in is empty.
 */
static inline void conn_note_bypass(const struct conn *conn)
{
	if (conn->bypass)
		bypass_note_read(conn->bypass, conn->received_bytes);
}
/*
 * Like conn_is_silent(), without a system call: false if only the kernel knows. It sees the end of the stream
 * only after the event.
 */
bool conn_is_drained(const struct conn *conn);
/* Bytes that bypassed TCP, both directions; 0 without bypass. */
uint64_t conn_bypass_bytes(const struct conn *conn);
/* True: it bypasses TCP, and both ends still do so. */
bool conn_bypasses(const struct conn *conn);
/*
 * The choice by cost (user/kernel/local/README.md, Cost): connections leave the lane for good after
 * LIMIT_TCP_BODIES bodies in a row that cost less through TCP. Call conn_note_body() when a response begins,
 * with the length of its body if lane pipe could move it, or 0. Call conn_choose_tcp() before a request is
 * sent to this source.
 */
void conn_note_body(struct conn *source, struct conn *sink, uint64_t length);
void conn_choose_tcp(struct conn *source);
/*
 * Call when the bypass has refused a message: bypass_leave(). True: send again, TCP carries it. The log says
 * who left, and why.
 */
bool conn_leave_bypass(struct conn *conn);
/* Call before the socket is closed. Idempotent. */
void conn_stop_bypass(struct conn *conn);
