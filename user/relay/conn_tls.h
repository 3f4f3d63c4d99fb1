/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/relay/conn.h"
#include "user/tls/session.h"

/*
 * TLS of a connection. Above it nothing changes: conn_recv() gives the bytes inside, conn->out holds what
 * waits to be encrypted, and can_read stays true while something waits that no event will announce. Only the
 * copy lane can carry such an end: the kernel has no keys.
 *
 * Nothing is encrypted while records wait for the socket, so no more of them wait than one call made.
 */
struct conn_tls {
	struct tls_session *session; /* owner */
	struct conn *conn;
	struct buf in; /* ciphertext that was received and not taken yet */
	struct buf out; /* records that the kernel did not take; conn->has_records */
	struct loop_deferred again; /* a budget was over */
	struct loop_deferred tickets; /* nobody took them along */
	uint32_t handshake_bytes; /* received */
	bool is_in_fed; /* the session looks at `in` */
	bool is_open; /* the handshake is done */
	bool can_read; /* of the socket */
	bool has_fin; /* the socket gave its end; behind close_notify it is one, else the stream is cut */
	bool owes_fin; /* close_notify is the last that waits: FIN follows */
	bool holds_tickets; /* the handshake has just ended: they wait in the session for what is sent next */
};

/* What conn.c calls, in place of what a plain socket needs. */
ssize_t conn_tls_recv(struct conn *conn, void *memory, size_t size);
int conn_tls_send(struct conn *conn, const struct iovec *pieces, int count, size_t max_kept);
int conn_tls_flush(struct conn *conn);
/* Nothing is to be read but messages of TLS itself. */
bool conn_tls_is_silent(struct conn *conn);
/* close_notify behind everything else; conn_tls_flush() sends it. */
void conn_tls_end(struct conn *conn);
void conn_tls_free(struct conn *conn);

/* What conn_tls.c calls. */
enum { CONN_PIECES = 96 }; /* of one send */
/* Bytes the kernel took; 0: none now; or the hard error. */
ssize_t conn_send_now(struct conn *conn, const struct iovec *pieces, int count);
