/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/relay/conn.h"

/* A connection that is in the maps of the kernel lane: it stays there until it is closed. */
struct conn_gate {
	struct gate_socket socket;
	struct conn *conn;
	struct counters *counters; /* borrowed; not NULL: it counts in COUNTER_GATE_UPLOADS */
	struct timer retry; /* passed bytes may not be readable yet although recv() said EAGAIN */
};

/*
 * Puts the socket into the maps; idempotent. 0, -ENOMEM, -EBUSY while a pipe uses it (a later try may do) or
 * when it hops, or -errno of gate_socket_add().
 */
int conn_join_gate(struct conn *conn, struct gate_worker *worker);
/* The same for a socket that another process had put there. 0, -ENOMEM, or -errno of gate_socket_adopt(). */
int conn_adopt_gate(struct conn *conn, struct gate_worker *worker, struct gate_handle slot);
/* Before it is closed, or given away. Idempotent. */
void conn_leave_gate(struct conn *conn);
/*
 * One request body more of those that may leave LIMIT_GATE_TAKE_BYTES in conn->in, after conn_join_gate(). It
 * counts until they are used up (conn_review_upload()), or the connection is closed. false: there are
 * LIMIT_GATE_UPLOADS.
 */
bool conn_count_upload(struct conn *conn, struct counters *counters);
/* What it has left behind is no more than any other connection may hold: it does not count any more. */
void conn_review_upload(struct conn *conn);
/*
 * Takes the verdict of the kernel lane off a socket that is no source any more: what was passed up on it and
 * not read yet is read into conn->in. Up to LIMIT_GATE_TAKE_BYTES: beyond it stays on, and conn_recv() takes
 * it off later.
 */
void conn_take_verdict_off(struct conn *conn);
/*
 * The same for one that is to leave this process: up to LIMIT_GATE_EMPTY_BYTES, while its sender is held
 * back. True: no verdict is on, and what comes from now on is in TCP's queue.
 */
bool conn_empty_gate(struct conn *conn);

/* For conn_recv(). */
/*
 * With the verdict on, recv() may say EAGAIN or 0 a moment before a passed piece can be read: true when the
 * word does not count.
 */
bool conn_must_retry(struct conn *conn);
/* Bytes came up with a hole or twice: what recv() just gave is not what the peer sent. */
bool conn_is_poisoned(const struct conn *conn);
/* Nobody's source any more: TCP keeps what it receives better by itself. In the maps. */
void conn_detach(struct conn *conn);
