/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <sys/uio.h>

#include "user/base/buf.h"
#include "user/base/end_reason.h"
#include "user/kernel/local/bypass.h"
#include "user/kernel/sockmap/socket.h"
#include "user/loop/loop.h"
#include "user/obs/counters.h"

/*
 * A TCP or Unix stream socket of the gateway with its two queues. The socket is registered once,
 * edge-triggered; can_read and can_write remember the kernel's last answer, so that no system call asks
 * again.
 *
 * Bytes in `out` were accepted from the caller, but not yet by the kernel, nor encrypted (TLS). The socket is
 * blocked while the kernel refuses them, and the caller stops writing. Bytes in `in` were received and not
 * used yet: the rest of a pipelined request, or an incomplete head. Both queues hold no memory while empty.
 */
struct conn {
	struct loop *loop; /* borrowed */
	struct loop_source source;
	struct buf in;
	struct buf out;
	uint64_t received_bytes;
	uint64_t sent_bytes; /* accepted by the kernel; with TLS, records (received_bytes counts plaintext) */
	bool can_read : 1; /* a recv() may find something */
	bool can_write : 1;
	bool has_eof : 1; /* recv() returned 0 */
	bool has_hup : 1; /* RDHUP, HUP or ERR was seen; the next recv() returns which */
	bool has_error : 1; /* ERR was seen; conn_check() returns the error */
	bool has_urgent : 1; /* PRI was seen: recv() may stop at the urgent mark */
	bool is_write_shut : 1;
	bool is_truncated : 1; /* TLS: has_eof is set, but no close_notify came */
	bool has_records : 1; /* TLS: records wait that the kernel has not taken */
	bool is_resumed : 1; /* resumed from another process: counts do not start with the connection */
	uint8_t pipes; /* directions that splice(2) from it or into it; if any, it joins no map */
	int16_t error; /* hard error of receiving, negative errno, 0: none; set by conn_fail() */
	int16_t send_error; /* hard error of sending; bytes received before may still be read */
	void (*on_ready)(struct conn *conn);
	/*
	 * Owned; the first member of struct conn_sockmap (conn_sockmap.h). NULL until conn_join_sockmap():
	 * most sockets never enter the maps.
	 */
	struct sockmap_socket *sockmap;
	struct conn_tls *tls; /* owner; NULL: plain. conn_tls.h */
	struct bypass *bypass; /* owner; NULL: all bytes go through TCP. conn_bypass.h */
};

static inline int conn_fail(struct conn *conn, int error)
{
	conn->error = (int16_t)error;
	return error;
}

static inline int conn_fail_send(struct conn *conn, int error)
{
	conn->send_error = (int16_t)error;
	return error;
}

struct pipe_splice;
struct tls_session;

/*
 * Takes ownership of fd. on_ready is called after every event, with the flags updated. Returns 0 or -errno,
 * then the connection is reset.
 */
int conn_open(struct conn *conn, struct loop *loop, int fd, void (*on_ready)(struct conn *conn));
/* Closes the descriptor now; idempotent. `reset` sends RST instead of FIN. Queued output is lost. */
void conn_close(struct conn *conn, bool reset);
/*
 * True if nothing of the connection but its descriptor is in this process: no queue, no byte passed up by a
 * lane, no TLS. Reads bytes that a lane has passed up into conn->in; returns false then, and the caller must
 * read them.
 */
bool conn_is_free(struct conn *conn);
static inline bool conn_is_open(const struct conn *conn)
{
	return conn->source.fd >= 0;
}
static inline int conn_fd(const struct conn *conn)
{
	return conn->source.fd;
}

/*
 * From now on the socket carries TLS; bytes in conn->in are ciphertext. Takes ownership of the session, also
 * on failure. Returns 0 or -ENOMEM.
 * Call conn_handshake() after each event. 0: done; -EAGAIN: not yet; -EPROTO: the session has the reason, and
 * an alert is on its way; -EPIPE: the peer closed; -EMSGSIZE: the handshake is too large; or an error of the
 * socket. After 0, a server's tickets leave with the next output, or in the next turn.
 */
int conn_start_tls(struct conn *conn, struct tls_session *session);
int conn_handshake(struct conn *conn);
const struct tls_session *conn_tls(const struct conn *conn); /* NULL: plain */
/* Ends TLS, also after a failed handshake: records that wait are still sent, later bytes are plain. */
void conn_drop_tls(struct conn *conn);
/*
 * While the kernel reads a socket, or writes to it, events would wake this process for bytes that it does not
 * handle: mask them. Unmasking makes epoll report the current state. want_edge: report free send space even
 * if it was there before; the kernel would not, because no send has failed (SOCK_NOSPACE, tcp_poll). Returns
 * 0 or -errno.
 */
int conn_set_events(struct conn *conn, bool want_read, bool want_write, bool want_edge);

/*
 * Receives into the caller's memory. Returns bytes, 0 = end of stream, -EAGAIN, or another -errno, which
 * stays in conn->error. CONN_INTEGRITY_ERROR: the kernel lost or duplicated bytes of this socket
 * (sockmap_socket_has_integrity_error(), bypass_end()). Discard everything received since the last call, and
 * reset this connection and its partner.
 */
ssize_t conn_recv(struct conn *conn, void *memory, size_t size);
#define CONN_INTEGRITY_ERROR (-EBADMSG)
/*
 * The end reason of a stream or connection that ended with this conn->error or conn->send_error; `reset` is
 * returned when the peer reset the connection.
 */
enum end_reason conn_end_reason(int error, enum end_reason reset);
/*
 * Sends all pieces in order, and keeps what the kernel does not take in conn->out, up to max_kept bytes.
 * Returns 0, -ENOBUFS, -ENOMEM, or the hard error of the socket. Pieces must not point into conn->out.
 */
int conn_send(struct conn *conn, const struct iovec *segments, int count, size_t max_kept);
/*
 * Sends what it can of the pipe, which holds bytes, by splice(2); call it only for a plain connection without
 * output of its own. Returns bytes, 0: the socket takes nothing now, or the hard error of the socket.
 */
ssize_t conn_splice(struct conn *conn, struct pipe_splice *pipe);
/* Tries to send conn->out. Returns 0 (then check conn_has_output()) or the hard error. */
int conn_flush(struct conn *conn);
size_t conn_queued_bytes(const struct conn *conn);
static inline bool conn_has_output(const struct conn *conn)
{
	return buf_len(&conn->out) != 0 || conn->has_records;
}
/* True if output waits and the kernel currently takes none. */
static inline bool conn_is_blocked(const struct conn *conn)
{
	return conn_has_output(conn) && !conn->can_write;
}
/* Sends FIN, once; call it only when conn->out is empty. */
void conn_shutdown(struct conn *conn);
/* The same for an incomplete output: TLS sends no close_notify. */
void conn_shutdown_cut(struct conn *conn);
/*
 * Returns the error of a reset that arrived while no one reads, even behind unread bytes, and stores it in
 * conn->error; 0: none. A FIN is not an error.
 */
int conn_check(struct conn *conn);
/* Asks the kernel whether the peer has closed its side, also before the event was delivered. */
bool conn_has_fin(const struct conn *conn);
/* True if bytes wait after those in conn->in, also before their event; with TLS, maybe TLS messages only. */
bool conn_has_unread(const struct conn *conn);
/* Makes the next conn_recv() try the socket, although no event was seen. */
void conn_look_again(struct conn *conn);
/* Asks the kernel whether an idle connection is still open and has nothing to read. */
bool conn_is_silent(struct conn *conn);
/* True if bytes that we sent, or that wait in out, have not reached the peer's kernel. */
bool conn_is_behind(const struct conn *conn);
/*
 * Bytes that we sent and the peer's kernel has acknowledged, or that bypassed TCP into its queue; UINT64_MAX:
 * unknown (Unix sockets).
 */
uint64_t conn_acked_bytes(const struct conn *conn);
