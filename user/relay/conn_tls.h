/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/relay/conn.h"
#include "user/tls/session.h"

/*
 * TLS of a connection. The interface of struct conn stays the same: conn_recv() returns plaintext, conn->out
 * holds plaintext that waits for encryption, and can_read stays true while bytes wait that no event will
 * announce. Only the copy lane can serve such a connection: the kernel has no keys.
 *
 * Nothing is encrypted while records wait for the socket, so at most the records of one call wait.
 */
struct conn_tls {
	struct tls_session *session; /* owner */
	struct conn *conn;
	struct buf in; /* received ciphertext that the session has not consumed */
	struct buf out; /* records that the kernel has not taken; conn->has_records */
	struct loop_deferred again; /* continues in the next turn: a read used up its budget */
	struct loop_deferred tickets; /* sends tickets that left with no other output */
	uint32_t handshake_bytes; /* received */
	bool is_in_fed; /* the session currently reads from `in` */
	bool is_open; /* the handshake is done */
	bool can_read; /* of the socket */
	bool has_fin; /* the socket reached its end: the stream is cut unless close_notify came before */
	bool owes_fin; /* close_notify is queued last: FIN follows */
	bool holds_tickets; /* after the handshake: tickets in the session wait for the next output */
};

/* Called by conn.c in place of the operations on a plain socket. */
ssize_t conn_tls_recv(struct conn *conn, void *memory, size_t size);
int conn_tls_send(struct conn *conn, const struct iovec *segments, int count, size_t max_kept);
int conn_tls_flush(struct conn *conn);
/* True if only messages of TLS itself can be read. */
bool conn_tls_is_silent(struct conn *conn);
/* Queues close_notify after all other output; conn_tls_flush() sends it. */
void conn_tls_end(struct conn *conn);
void conn_tls_free(struct conn *conn);

/* Called by conn_tls.c. */
enum { CONN_SEGMENTS = 96 }; /* in one send */
/* Returns the bytes that the kernel took, 0: none now, or the hard error. */
ssize_t conn_send_now(struct conn *conn, const struct iovec *segments, int count);
