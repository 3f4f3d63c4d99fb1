/* SPDX-License-Identifier: Apache-2.0 */
#include "user/relay/conn.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "user/kernel/common/tcp_progress.h"
#include "user/net/pipe_splice.h"
#include "user/net/socket.h"
#include "user/relay/conn_sockmap.h"
#include "user/relay/conn_bypass.h"
#include "user/relay/conn_tls.h"

#define CONN_EVENTS (EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET)

static void conn_on_event(struct loop_source *source, uint32_t events)
{
	struct conn *conn = container_of(source, struct conn, source);

	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		conn->can_read = true;
	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		conn->has_hup = true;
	if (events & EPOLLERR)
		conn->has_error = true;
	if (events & EPOLLPRI)
		conn->has_urgent = true;
	if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		conn->can_write = true;
	/* A closed peer will not free queue space, so no event will follow. */
	if (conn->bypass && conn->has_hup && bypass_waits(conn->bypass))
		conn->can_write = true;
	if (conn->tls) {
		conn->tls->can_read |= conn->can_read;
		/* The owner no longer flushes: send the rest here. */
		if (conn->tls->owes_fin && conn->can_write)
			(void)conn_flush(conn);
	}
	conn->on_ready(conn);
}

int conn_open(struct conn *conn, struct loop *loop, int fd, void (*on_ready)(struct conn *conn))
{
	int error;

	*conn = (struct conn){ .loop = loop, .on_ready = on_ready, .can_read = true, .can_write = true };
	loop_source_init(&conn->source, fd, conn_on_event);
	error = loop_source_add(loop, &conn->source, CONN_EVENTS);
	if (error < 0) {
		/*
		 * The socket may have been used before: reset it, so that its peer sees a truncated message.
		 */
		socket_reset(fd);
		conn->source.fd = -1;
	}
	return error;
}

static void conn_forget_fd(struct conn *conn)
{
	conn->source.fd = -1;
	conn->can_read = false;
	conn->can_write = false;
	buf_done(&conn->in);
	buf_done(&conn->out);
}

void conn_close(struct conn *conn, bool reset)
{
	struct linger hard = { .l_onoff = 1, .l_linger = 0 };

	if (!conn_is_open(conn))
		return;
	/*
	 * Closing with unread bytes must reset; TCP does not count those passed up by a verdict or bypassed.
	 */
	if (sockmap_socket_is_added(conn->sockmap) && !sockmap_socket_is_drained(conn->sockmap))
		reset = true;
	if (conn->bypass && bypass_has_unread(conn_fd(conn)))
		reset = true;
	/* Do not send close_notify when output is lost. */
	if (conn->tls && !reset && !conn->is_write_shut && !conn_has_output(conn)) {
		conn_tls_end(conn);
		(void)conn_flush(conn);
	}
	loop_source_remove(conn->loop, &conn->source);
	conn_leave_sockmap(conn);
	conn_stop_bypass(conn);
	conn_tls_free(conn);
	if (reset)
		setsockopt(conn_fd(conn), SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(conn_fd(conn));
	conn_forget_fd(conn);
}

bool conn_is_free(struct conn *conn)
{
	if (conn->tls || conn->bypass || conn->error || conn->send_error)
		return false;
	return conn_empty_sockmap(conn) && !conn->error && !buf_len(&conn->in) && !conn_has_output(conn);
}

int conn_set_events(struct conn *conn, bool want_read, bool want_write, bool want_edge)
{
	uint32_t events = EPOLLRDHUP | EPOLLET | (want_read ? (uint32_t)(EPOLLIN | EPOLLPRI) : 0u) |
			  (want_write ? (uint32_t)EPOLLOUT : 0u);

	if (want_read)
		conn->can_read = true;
	if (want_write)
		conn->can_write = true;
	return want_edge ? loop_source_rearm(conn->loop, &conn->source, events)
			 : loop_source_modify(conn->loop, &conn->source, events);
}

/*
 * The kernel lane reads its sockets, and that may have consumed the error of the connection: recv() then
 * returns 0, as after a FIN. A reset after a FIN sets EPIPE, which is still pending.
 */
static bool conn_was_reset(const struct conn *conn)
{
	struct pollfd look = { .fd = conn_fd(conn) };
	struct tcp_progress_view view;

	if (conn->is_write_shut || conn->send_error || tcp_progress_look(conn_fd(conn), &view) ||
	    !tcp_progress_is_closed(&view))
		return false;
	/* Do not read SO_ERROR, because that clears it: conn_check() may need it later. */
	return poll(&look, 1, 0) >= 0 && !(look.revents & POLLERR);
}

ssize_t conn_recv(struct conn *conn, void *memory, size_t size)
{
	uint64_t passed = 0; /* bytes that came through TCP to a connection with bypass */
	ssize_t len;
	int recv_error;

	if (conn->error)
		return conn->error;
	if (conn->has_eof)
		return 0;
	if (!conn->can_read)
		return -EAGAIN;
	if (conn->tls)
		return conn_tls_recv(conn, memory, size);
	if (conn->sockmap)
		conn_review_upload(conn);
	if (conn->bypass)
		passed = bypass_passed(conn->bypass);
	do
		len = recv(conn_fd(conn), memory, size, MSG_DONTWAIT);
	while (len < 0 && errno == EINTR);
	recv_error = errno;
	/*
	 * Check after recv(): the program reports the error before it passes the bytes, maybe during this
	 * call.
	 */
	if (conn_has_integrity_error(conn)) {
		conn->error = CONN_INTEGRITY_ERROR;
		return conn->error;
	}
	if (len > 0) {
		conn->received_bytes += (uint64_t)len;
		if (sockmap_socket_is_added(conn->sockmap) && conn->sockmap->is_source) {
			/* A short read is no sign of an empty queue there. */
			sockmap_socket_note_read(conn->sockmap, (uint64_t)len);
			conn_detach(conn);
			return len;
		}
		/*
		 * A short read means that the queue is empty, except at an urgent mark: bytes that come later
		 * cause a new edge, but an announced end of the stream does not.
		 */
		if ((size_t)len < size && !conn->has_hup && !conn->has_urgent &&
		    (!conn->bypass || bypass_is_empty(conn->bypass, passed)))
			conn->can_read = false;
		return len;
	}
	if (len == 0) {
		if (conn_must_retry(conn))
			return -EAGAIN;
		/*
		 * A send that met a reset has consumed the error: recv() returns 0 although there was no FIN.
		 * EPIPE is different: the FIN came first.
		 */
		if (conn->send_error && conn->send_error != -EPIPE) {
			conn->error = conn->send_error;
			return conn->error;
		}
		if (conn->sockmap && conn_was_reset(conn)) {
			conn->error = -ECONNRESET;
			return conn->error;
		}
		if (conn->bypass && bypass_end(conn->bypass, conn_fd(conn), conn->received_bytes)) {
			conn->error = CONN_INTEGRITY_ERROR;
			return conn->error;
		}
		conn->has_eof = true;
		return 0;
	}
	if (recv_error == EAGAIN) {
		conn->has_urgent = false;
		if (conn_must_retry(conn))
			return -EAGAIN;
		conn->can_read = false;
		if (conn->bypass)
			bypass_note_empty(conn->bypass, passed);
		if (sockmap_socket_is_added(conn->sockmap))
			conn_detach(conn);
		/* Bytes were lost when the verdict was detached: no event follows. */
		if (conn_has_integrity_error(conn))
			conn->error = CONN_INTEGRITY_ERROR;
		return conn->error ? conn->error : -EAGAIN;
	}
	return conn_fail(conn, -recv_error);
}

enum end_reason conn_end_reason(int error, enum end_reason reset)
{
	if (error == CONN_INTEGRITY_ERROR)
		return END_INTEGRITY_ERROR;
	return socket_failure_of(error) == SOCKET_FAILURE_TIMED_OUT ? END_USER_TIMEOUT : reset;
}

/* What is sent: pieces of memory, or what a pipe holds. */
struct outgoing {
	struct msghdr message;
	struct pipe_splice *pipe; /* NULL: the message */
};

static ssize_t outgoing_step(const struct outgoing *outgoing, int fd)
{
	ssize_t len;

	if (outgoing->pipe)
		return pipe_splice_out(outgoing->pipe, fd, false);
	do
		len = sendmsg(fd, &outgoing->message, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (len < 0 && errno == EINTR);
	return len < 0 ? -errno : len;
}

/*
 * Returns bytes or -errno; *ret_is_refused: the receiver of the bypass is full. What cannot bypass TCP goes
 * through it from then on.
 */
static ssize_t conn_try_send(struct conn *conn, const struct outgoing *outgoing, bool *ret_is_refused)
{
	uint64_t refusals = conn->bypass ? bypass_refusals(conn->bypass) : 0;
	ssize_t len = outgoing_step(outgoing, conn_fd(conn));

	*ret_is_refused = len < 0 && conn->bypass && bypass_refusals(conn->bypass) != refusals;
	if (*ret_is_refused && conn_leave_bypass(conn))
		return conn_try_send(conn, outgoing, ret_is_refused);
	return len;
}

static ssize_t conn_send_outgoing(struct conn *conn, const struct outgoing *outgoing)
{
	bool is_refused;
	ssize_t len;

	if (conn->send_error)
		return conn->send_error;
	if (!conn->can_write)
		return 0;
	len = conn_try_send(conn, outgoing, &is_refused);
	if (is_refused) {
		/* Request conn_on_room(), then try again: the receiver may have read meanwhile. */
		bypass_wait(conn->bypass);
		len = conn_try_send(conn, outgoing, &is_refused);
	}
	if (is_refused)
		len = -EAGAIN;
	if (len >= 0) {
		conn->sent_bytes += (uint64_t)len;
		return len;
	}
	if (len == -EAGAIN) {
		conn->can_write = false;
		return 0;
	}
	return conn_fail_send(conn, (int)len);
}

ssize_t conn_send_now(struct conn *conn, const struct iovec *segments, int count)
{
	const struct outgoing outgoing = {
		.message = { .msg_iov = (struct iovec *)segments, .msg_iovlen = (size_t)count },
	};

	return conn_send_outgoing(conn, &outgoing);
}

ssize_t conn_splice(struct conn *conn, struct pipe_splice *pipe)
{
	const struct outgoing outgoing = { .pipe = pipe };

	return conn_send_outgoing(conn, &outgoing);
}

size_t conn_queued_bytes(const struct conn *conn)
{
	return buf_len(&conn->out) + (conn->tls ? buf_len(&conn->tls->out) : 0);
}

/*
 * The socket took part of the bytes: it is full, and an event follows. The receiver of a bypass says so only
 * when the rest is sent: conn_send_now().
 */
static void conn_note_partial(struct conn *conn)
{
	if (!conn->bypass)
		conn->can_write = false;
}

int conn_flush(struct conn *conn)
{
	if (conn->tls)
		return conn_tls_flush(conn);
	while (conn_has_output(conn) && conn->can_write) {
		struct span left = buf_span(&conn->out);
		struct iovec segment = { (void *)(uintptr_t)left.data, left.len };
		ssize_t len = conn_send_now(conn, &segment, 1);

		if (len < 0)
			return (int)len;
		buf_consume(&conn->out, (size_t)len);
		if ((size_t)len < left.len)
			conn_note_partial(conn);
	}
	if (!conn_has_output(conn))
		buf_release(&conn->out);
	return conn->send_error;
}

int conn_send(struct conn *conn, const struct iovec *segments, int count, size_t max_kept)
{
	struct iovec all[CONN_SEGMENTS];
	size_t queued = buf_len(&conn->out);
	size_t sent;
	ssize_t len;

	if (conn->tls)
		return conn_tls_send(conn, segments, count, max_kept);
	CHECK(count < CONN_SEGMENTS);
	/*
	 * Queued bytes go first, in the same call, so that a head and the start of its body leave together.
	 */
	all[0] = (struct iovec){ conn->out.data + conn->out.start, queued };
	for (int i = 0; i < count; i++)
		all[i + 1] = segments[i];
	len = queued ? conn_send_now(conn, all, count + 1) : conn_send_now(conn, segments, count);
	if (len < 0)
		return (int)len;
	sent = (size_t)len;
	if (queued) {
		size_t used = sent < queued ? sent : queued;

		buf_consume(&conn->out, used);
		sent -= used;
	}
	for (int i = 0; i < count; i++) {
		struct span rest;
		int error;

		if (sent >= segments[i].iov_len) {
			sent -= segments[i].iov_len;
			continue;
		}
		rest = span_of((const char *)segments[i].iov_base + sent, segments[i].iov_len - sent);
		sent = 0;
		conn_note_partial(conn);
		error = buf_append(&conn->out, rest, max_kept);
		if (error)
			return error;
	}
	return conn_flush(conn);
}

static void conn_end_output(struct conn *conn, bool is_cut)
{
	CHECK(!conn_has_output(conn));
	if (conn->is_write_shut || !conn_is_open(conn))
		return;
	conn->is_write_shut = true;
	if (conn->tls) {
		if (!is_cut)
			conn_tls_end(conn);
		conn->tls->owes_fin = true;
		(void)conn_flush(conn);
		return;
	}
	/* ENOTCONN after a reset is ignored: the reading side reports it. */
	shutdown(conn_fd(conn), SHUT_WR);
}

void conn_shutdown(struct conn *conn)
{
	conn_end_output(conn, false);
}

void conn_shutdown_cut(struct conn *conn)
{
	conn_end_output(conn, true);
}

int conn_check(struct conn *conn)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (conn->error || !conn->has_error)
		return conn->error;
	/*
	 * recv() would first return what came before the reset. Reading SO_ERROR clears it, so keep it here.
	 */
	conn->has_error = false;
	if (getsockopt(conn_fd(conn), SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error)
		conn_fail(conn, -error);
	return conn->error;
}

bool conn_has_fin(const struct conn *conn)
{
	struct pollfd item = { .fd = conn_fd(conn), .events = POLLRDHUP };

	return conn->has_eof || conn->has_hup || (poll(&item, 1, 0) > 0 && (item.revents & POLLRDHUP));
}

bool conn_has_unread(const struct conn *conn)
{
	char byte;

	if (conn->tls && (buf_len(&conn->tls->in) || tls_has_unread(conn->tls->session)))
		return true;
	return recv(conn_fd(conn), &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

void conn_look_again(struct conn *conn)
{
	conn->can_read = true;
	if (conn->tls)
		conn->tls->can_read = true;
}

bool conn_is_silent(struct conn *conn)
{
	uint64_t look = 0;
	char byte;
	ssize_t len;

	if (conn->has_eof || conn->has_hup || conn->error || buf_len(&conn->in))
		return false;
	if (conn->tls)
		return conn_tls_is_silent(conn);
	if (conn_has_integrity_error(conn) ||
	    (sockmap_socket_is_added(conn->sockmap) && !sockmap_socket_is_drained(conn->sockmap)))
		return false;
	/* Bytes are counted before they can be read: take the counts before checking the queue. */
	if (conn->bypass)
		look = bypass_look(conn->bypass, conn->received_bytes);
	len = recv(conn_fd(conn), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	if (len >= 0 || errno != EAGAIN)
		return false;
	if (conn->bypass)
		bypass_note_silent(conn->bypass, look);
	return true;
}

bool conn_is_behind(const struct conn *conn)
{
	int queued = 0;

	return conn_has_output(conn) || (ioctl(conn_fd(conn), SIOCOUTQ, &queued) == 0 && queued > 0);
}

uint64_t conn_acked_bytes(const struct conn *conn)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	if (getsockopt(conn_fd(conn), IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return UINT64_MAX;
	/* The SYN counts as one byte (tcpi_bytes_acked, RFC 4898). */
	return (info.tcpi_bytes_acked ? info.tcpi_bytes_acked - 1 : 0) +
	       (conn->bypass ? bypass_sent_bytes(conn->bypass) : 0);
}
