/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <sys/uio.h>

#include "user/base/buf.h"
#include "user/base/end_reason.h"
#include "user/kernel/near/hop.h"
#include "user/kernel/sockmap/socket.h"
#include "user/loop/loop.h"
#include "user/obs/counters.h"

/*
 * One TCP or Unix stream socket of ours with its two queues. The socket is edge-triggered and registered
 * once; can_read and can_write remember what the kernel last said, so that nobody asks it twice.
 *
 * Bytes in `out` were accepted from us and not yet by the kernel, nor (TLS) encrypted. When the kernel
 * refused them the socket is blocked, and whoever feeds it stops. Bytes in `in` were received and not yet
 * used: the rest of a pipelined request, or a head that is not complete. Both hold no memory while empty.
 */
struct conn {
	struct loop *loop; /* borrowed */
	struct loop_source source;
	struct buf in;
	struct buf out;
	uint64_t received_bytes;
	uint64_t sent_bytes; /* taken by the kernel; unlike those received, TLS counts with them */
	bool can_read : 1; /* a recv() may find something */
	bool can_write : 1;
	bool has_eof : 1; /* recv() returned 0 */
	bool has_hup : 1; /* RDHUP, HUP or ERR was seen: the next recv() tells which */
	bool has_error : 1; /* ERR was seen: conn_check() tells which */
	bool has_urgent : 1; /* PRI was seen: a recv() may stop short at the urgent mark */
	bool is_write_shut : 1;
	bool is_truncated : 1; /* TLS: has_eof, without the close_notify that tells an end from a cut */
	bool has_records : 1; /* TLS: encrypted, and not taken by the kernel */
	bool is_adopted : 1; /* another process had it: its counts do not begin with the connection */
	uint8_t pipes; /* directions that splice(2) from it or into it: meanwhile it joins no map */
	int16_t error; /* hard error of receiving, negative errno, 0 = none: conn_fail() */
	int16_t send_error; /* the same of sending: what was received before may still be read */
	void (*on_ready)(struct conn *conn);
	/*
	 * Owner, of the first member of struct conn_gate (conn_gate.h). NULL until conn_join_gate(): most
	 * sockets never go there.
	 */
	struct gate_socket *gate;
	struct conn_tls *tls; /* owner; NULL: plain. conn_tls.h */
	struct hop *hop; /* owner; NULL: all its bytes go through TCP. conn_hop.h */
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

struct tls_session;

/*
 * Takes ownership of fd. on_ready is called after every event with the flags brought up to date. 0 or -errno
 * (the connection is reset then).
 */
int conn_open(struct conn *conn, struct loop *loop, int fd, void (*on_ready)(struct conn *conn));
/* Closes the descriptor now; idempotent. `reset` sends RST instead of FIN. Queued output is lost. */
void conn_close(struct conn *conn, bool reset);
/*
 * Nothing of it is in this process any more but its descriptor: no queue, no byte passed up by a lane, no
 * TLS. Takes what a lane has passed up into conn->in for that: false then, and it is to be read.
 */
bool conn_is_free(struct conn *conn);
/* Of one that is free, and in no lane: its descriptor, which stays open and is the caller's. */
int conn_give(struct conn *conn);
static inline bool conn_is_open(const struct conn *conn)
{
	return conn->source.fd >= 0;
}
static inline int conn_fd(const struct conn *conn)
{
	return conn->source.fd;
}

/*
 * From here on the socket carries TLS; what waits in conn->in was ciphertext. Takes the session, also when it
 * fails: 0 or -ENOMEM. Then conn_handshake() after each event: 0: done; -EAGAIN; -EPROTO: the session says
 * why (an alert is on its way); -EPIPE: the peer closed; -EMSGSIZE: too much of it; or an error of the
 * socket. Done: tickets of a server leave with what is sent next, or in the next turn.
 */
int conn_start_tls(struct conn *conn, struct tls_session *session);
int conn_handshake(struct conn *conn);
const struct tls_session *conn_tls(const struct conn *conn); /* NULL: plain */
/* TLS is over, or never came to be: what waits in conn->out still goes out, and bytes are as they come. */
void conn_drop_tls(struct conn *conn);
/*
 * While the kernel reads a socket, or writes to it, its events would wake us for bytes that are not ours:
 * they are masked, and unmasking looks anew. want_edge: report free send space even if it was there before,
 * since nobody has tried to send and so the kernel would not tell (SOCK_NOSPACE, tcp_poll). 0 or -errno.
 */
int conn_set_events(struct conn *conn, bool want_read, bool want_write, bool want_edge);

/*
 * Into memory of the caller. Bytes, 0 = end of stream, -EAGAIN, other -errno (remembered in conn->error).
 * CONN_POISONED: the kernel lost or doubled bytes of this socket (gate_socket_is_poisoned(), hop_end());
 * nothing of what was received since the last call is to be believed, so the connection and its partner are
 * reset.
 */
ssize_t conn_recv(struct conn *conn, void *memory, size_t size);
#define CONN_POISONED (-EBADMSG)
/*
 * Why a stream or connection ends that met this conn->error or conn->send_error; `reset` when its peer broke
 * it.
 */
enum end_reason conn_end_reason(int error, enum end_reason reset);
/*
 * Sends all pieces in order; what the kernel does not take is kept in conn->out (at most max_kept bytes). 0,
 * -ENOBUFS, -ENOMEM, or the hard error of the socket. Pieces may point anywhere but into conn->out.
 */
int conn_send(struct conn *conn, const struct iovec *pieces, int count, size_t max_kept);
/* Tries to empty conn->out. 0 (look at conn_has_output) or the hard error. */
int conn_flush(struct conn *conn);
size_t conn_queued_bytes(const struct conn *conn);
static inline bool conn_has_output(const struct conn *conn)
{
	return buf_len(&conn->out) != 0 || conn->has_records;
}
/* The kernel takes nothing at the moment. */
static inline bool conn_is_blocked(const struct conn *conn)
{
	return conn_has_output(conn) && !conn->can_write;
}
/* FIN, once; only with nothing left in conn->out. */
void conn_shutdown(struct conn *conn);
/* The same where what was sent is not all there was: TLS has no close_notify then. */
void conn_shutdown_cut(struct conn *conn);
/*
 * Asks for a reset that was announced while nobody reads, also one that lies behind bytes not read yet: 0, or
 * the error, remembered in conn->error. A FIN is not an error.
 */
int conn_check(struct conn *conn);
/* Asks the kernel whether the peer has closed its side, also where its event has not been seen yet. */
bool conn_has_fin(const struct conn *conn);
/* Bytes wait behind those in conn->in, also where their event has not been seen yet; TLS: maybe its own. */
bool conn_has_unread(const struct conn *conn);
/* The next conn_recv() asks the socket, whose event may not have been seen yet. */
void conn_look_again(struct conn *conn);
/* Asks the kernel whether an idle connection is still silent and open: true when nothing is to be read. */
bool conn_is_silent(struct conn *conn);
/*
 * Bytes that we sent, or that wait in out, are not with the peer's kernel yet: it does not take them, or not
 * so fast.
 */
bool conn_is_behind(const struct conn *conn);
/*
 * Payload bytes of ours that the peer's kernel has acknowledged, or that hopped into its queue; UINT64_MAX
 * when unknown (Unix sockets).
 */
uint64_t conn_acked_bytes(const struct conn *conn);
