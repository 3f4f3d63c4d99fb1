/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/relay/conn.h"

/* The state of a connection in the maps of the kernel lane. It stays there until it is closed. */
struct conn_sockmap {
	struct sockmap_socket socket;
	struct conn *conn;
	struct counters *counters; /* borrowed; not NULL: counted in COUNTER_SOCKMAP_UPLOADS */
	struct timer retry; /* retries recv(): after EAGAIN passed bytes may not be readable yet */
};

/*
 * Puts the socket into the maps; idempotent. Returns 0, -ENOMEM, -EBUSY while a pipe uses it (try again
 * later) or when it bypasses TCP, or -errno of sockmap_socket_add().
 */
int conn_join_sockmap(struct conn *conn, struct sockmap_worker *worker);
/*
 * The same for a socket that a crashed process had in the maps. 0, -ENOMEM, or -errno of
 * sockmap_socket_resume().
 */
int conn_resume_sockmap(struct conn *conn, struct sockmap_worker *worker, struct sockmap_handle slot);
/* Call before the socket is closed or handed off. Idempotent. */
void conn_leave_sockmap(struct conn *conn);
/*
 * Counts one more request body that may leave up to LIMIT_SOCKMAP_TAKE_BYTES in conn->in; call it after
 * conn_join_sockmap(). It counts until those bytes are used (conn_review_upload()), or until the connection
 * closes. Returns false at LIMIT_SOCKMAP_UPLOADS.
 */
bool conn_count_upload(struct conn *conn, struct counters *counters);
/* Stops counting the upload once conn->in holds no more than that of any other connection. */
void conn_review_upload(struct conn *conn);
/*
 * Detaches the verdict of the kernel lane from a socket that is no longer a source, after reading passed and
 * unread bytes into conn->in, up to LIMIT_SOCKMAP_TAKE_BYTES. With more, the verdict stays attached, and
 * conn_recv() detaches it later.
 */
void conn_take_verdict_off(struct conn *conn);
/*
 * The same for one that is to leave this process: up to all that TCP keeps for one socket (tcp_rmem[2]), and
 * as much again for what comes into the window that was announced; its sender is held back beyond. True: no
 * verdict is on, and what comes from now on is in TCP's queue.
 */
bool conn_empty_sockmap(struct conn *conn);

/* Used by conn_recv(). */
/*
 * With the verdict attached, recv() may return EAGAIN or 0 shortly before passed bytes can be read. True:
 * ignore that result.
 */
bool conn_must_retry(struct conn *conn);
/* Bytes were lost or duplicated: what recv() just returned is not what the peer sent. */
bool conn_has_integrity_error(const struct conn *conn);
/*
 * Detaches the verdict if the socket is not a source any more; it stays in the maps. TCP receives better
 * without a verdict.
 */
void conn_detach(struct conn *conn);
