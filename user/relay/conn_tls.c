/* SPDX-License-Identifier: Apache-2.0 */
#include "user/relay/conn_tls.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "user/base/limits.h"
#include "user/base/mem.h"

enum {
	/* Largest plaintext of a record (RFC 8446 5.1). */
	RECORD_BYTES = 16 * 1024,
	/* Reads of one conn_recv() that bring TLS messages and no byte of plaintext. */
	TURN_READS = 2,
};

/* Ciphertext on its way into a session, one buffer for each thread. Empty between calls. */
static _Thread_local char received[LIMIT_READ_BYTES];

static void conn_tls_on_again(struct loop_deferred *deferred)
{
	struct conn *conn = container_of(deferred, struct conn_tls, again)->conn;

	conn->can_read = true;
	conn->on_ready(conn);
}

static void conn_tls_on_tickets(struct loop_deferred *deferred);

int conn_start_tls(struct conn *conn, struct tls_session *session)
{
	struct conn_tls *tls = hg_calloc(1, sizeof(*tls));

	if (!tls) {
		tls_session_free(session);
		return -ENOMEM;
	}
	CHECK(!conn->tls && !conn->sockmap && !conn->pipes);
	tls->session = session;
	tls->conn = conn;
	tls->can_read = conn->can_read;
	/* Bytes received before it was known that the connection is TLS. */
	tls->in = conn->in;
	conn->in = (struct buf){ 0 };
	loop_deferred_init(&tls->again, conn_tls_on_again);
	loop_deferred_init(&tls->tickets, conn_tls_on_tickets);
	conn->tls = tls;
	return 0;
}

void conn_tls_free(struct conn *conn)
{
	struct conn_tls *tls = conn->tls;

	if (!tls)
		return;
	loop_deferred_cancel(&tls->again);
	loop_deferred_cancel(&tls->tickets);
	tls_session_free(tls->session);
	buf_done(&tls->in);
	buf_done(&tls->out);
	hg_free(tls);
	conn->tls = NULL;
	conn->has_records = false;
}

void conn_drop_tls(struct conn *conn)
{
	if (!conn->tls)
		return;
	conn->can_read = true;
	/* Plaintext that was not encrypted is dropped; only records are still sent. */
	buf_done(&conn->out);
	conn->out = conn->tls->out;
	conn->tls->out = (struct buf){ 0 };
	conn_tls_free(conn);
}

/* Appends the session's output to the records that wait. */
static int conn_tls_take_output(struct conn *conn)
{
	struct conn_tls *tls = conn->tls;
	struct buf *output = tls_output(tls->session);
	int error = 0;

	tls->holds_tickets = false;
	loop_deferred_cancel(&tls->tickets);
	if (buf_len(output) == 0)
		return 0;
	if (buf_len(&tls->out) == 0) {
		buf_done(&tls->out);
		tls->out = *output;
		*output = (struct buf){ 0 };
	} else {
		error = buf_append(&tls->out, buf_span(output), BUF_MAX_BYTES);
		buf_done(output);
	}
	conn->has_records = buf_len(&tls->out) != 0;
	return error;
}

/* Sends records. Returns 0 (then check conn->has_records) or the hard error. */
static int conn_tls_send_records(struct conn *conn)
{
	struct conn_tls *tls = conn->tls;

	while (buf_len(&tls->out) && conn->can_write) {
		struct span left = buf_span(&tls->out);
		struct iovec segment = { (void *)(uintptr_t)left.data, left.len };
		ssize_t len = conn_send_now(conn, &segment, 1);

		if (len < 0)
			return (int)len;
		buf_consume(&tls->out, (size_t)len);
		if ((size_t)len < left.len)
			conn->can_write = false;
	}
	buf_release(&tls->out);
	conn->has_records = buf_len(&tls->out) != 0;
	if (tls->owes_fin && !conn_has_output(conn) && !tls->holds_tickets) {
		tls->owes_fin = false;
		shutdown(conn_fd(conn), SHUT_WR);
	}
	return conn->send_error;
}

/* Sends messages of TLS itself (handshake, KeyUpdate, alerts). Returns 0 or an error of the connection. */
static int conn_tls_send_own(struct conn *conn)
{
	bool is_some = buf_len(tls_output(conn->tls->session)) != 0;
	int error = conn_tls_take_output(conn);

	/* They pile up only if the peer does not read. */
	if (!error && is_some && buf_len(&conn->tls->out) > LIMIT_RELAY_BYTES * 4)
		error = -ENOBUFS;
	return error ? error : conn_tls_send_records(conn);
}

static void conn_tls_on_tickets(struct loop_deferred *deferred)
{
	struct conn *conn = container_of(deferred, struct conn_tls, tickets)->conn;
	int error = conn_tls_send_own(conn);

	/* The next write returns the error. */
	if (error && !conn->send_error)
		conn_fail_send(conn, error);
}

/* ------------------------------------------------------------------------------------ receiving */

/* Keeps the bytes that the session was fed but has not consumed. */
static int conn_tls_keep_rest(struct conn_tls *tls)
{
	struct span rest = tls_rest(tls->session);
	int error = 0;

	if (tls->is_in_fed)
		buf_consume(&tls->in, buf_len(&tls->in) - rest.len);
	else if (rest.len)
		error = buf_append(&tls->in, rest, sizeof(received));
	tls->is_in_fed = false;
	buf_release(&tls->in);
	return error;
}

/* Feeds the session. Returns bytes; 0: end of the socket; -EAGAIN; or an error of the socket. */
static ssize_t conn_tls_fill(struct conn *conn, size_t most)
{
	struct conn_tls *tls = conn->tls;
	ssize_t len;

	if (buf_len(&tls->in)) {
		tls->is_in_fed = true;
		tls_feed(tls->session, buf_span(&tls->in));
		return (ssize_t)buf_len(&tls->in);
	}
	if (tls->has_fin)
		return 0;
	if (!tls->can_read)
		return -EAGAIN;
	do
		len = recv(conn_fd(conn), received, most, MSG_DONTWAIT);
	while (len < 0 && errno == EINTR);
	if (len < 0) {
		tls->can_read = errno != EAGAIN;
		return -errno;
	}
	if (len == 0) {
		tls->has_fin = true;
		return 0;
	}
	if ((size_t)len < most && !conn->has_hup && !conn->has_urgent)
		tls->can_read = false;
	tls_feed(tls->session, span_of(received, (size_t)len));
	return len;
}

/* Decrypts all that was fed. Returns bytes, 0: none; *ret_end: 1 not ended, 0 close_notify, or -errno. */
static size_t conn_tls_decrypt(struct conn_tls *tls, char *memory, size_t size, ssize_t *ret_end)
{
	size_t got = 0;

	*ret_end = 1;
	while (got < size) {
		ssize_t len = tls_read(tls->session, memory + got, size - got);

		if (len == -EAGAIN)
			break;
		if (len <= 0) {
			*ret_end = len;
			break;
		}
		got += (size_t)len;
	}
	return got;
}

static ssize_t conn_tls_end_of_input(struct conn *conn, ssize_t end)
{
	if (end == 0) {
		conn->has_eof = true;
		return 0;
	}
	conn_fail(conn, (int)end);
	return end;
}

/* No event announces bytes that are already in memory. */
static void conn_tls_note_readable(struct conn *conn)
{
	struct conn_tls *tls = conn->tls;

	conn->can_read = tls->can_read || tls->has_fin || buf_len(&tls->in) || tls_has_unread(tls->session);
}

/* Returns -EAGAIN; continues in the next turn if only the budget of this call is used up. */
static ssize_t conn_tls_wait(struct conn *conn)
{
	struct conn_tls *tls = conn->tls;

	if (tls->can_read || buf_len(&tls->in))
		loop_again(conn->loop, &tls->again);
	conn->can_read = false;
	return -EAGAIN;
}

ssize_t conn_tls_recv(struct conn *conn, void *memory, size_t size)
{
	struct conn_tls *tls = conn->tls;
	size_t most = size < sizeof(received) ? size : sizeof(received);

	for (int reads = 0; reads < TURN_READS; reads++) {
		ssize_t end, filled;
		size_t got = conn_tls_decrypt(tls, memory, size, &end);
		int error;

		if (got == 0 && end == 1) {
			filled = conn_tls_fill(conn, most);
			if (filled == -EAGAIN)
				return conn_tls_wait(conn);
			if (filled == 0) {
				conn->is_truncated = true;
				return conn_tls_end_of_input(conn, 0);
			}
			if (filled < 0)
				return conn_tls_end_of_input(conn, filled);
			got = conn_tls_decrypt(tls, memory, size, &end);
			error = conn_tls_keep_rest(tls);
			if (!error && !tls->holds_tickets)
				error = conn_tls_send_own(conn);
			if (error == -ENOMEM || error == -ENOBUFS)
				return conn_tls_end_of_input(conn, error);
		}
		if (got) {
			conn->received_bytes += got;
			conn_tls_note_readable(conn);
			conn->can_read |= end != 1;
			return (ssize_t)got;
		}
		if (end != 1)
			return conn_tls_end_of_input(conn, end);
	}
	return conn_tls_wait(conn);
}

bool conn_tls_is_silent(struct conn *conn)
{
	struct conn_tls *tls = conn->tls;

	for (int reads = 0; reads < TURN_READS; reads++) {
		ssize_t filled;

		if (tls_peek(tls->session) != -EAGAIN)
			return false;
		/* The event for bytes that came within this turn may not have been delivered yet. */
		tls->can_read = true;
		filled = conn_tls_fill(conn, sizeof(received));
		if (filled == -EAGAIN) {
			conn->can_read = false;
			return !tls_is_within_record(tls->session);
		}
		if (filled <= 0)
			return false;
		/* The peek makes the session consume the bytes. */
		filled = tls_peek(tls->session);
		if (conn_tls_keep_rest(tls) < 0 || filled != -EAGAIN || conn_tls_send_own(conn) < 0)
			return false;
	}
	return false;
}

/* ------------------------------------------------------------------------------------ sending */

/* Joins small pieces into one record. */
static int conn_tls_gather(struct tls_session *session, const struct iovec **segments, int *count)
{
	char record[RECORD_BYTES];
	size_t len = 0;

	while (*count && len + (*segments)->iov_len <= sizeof(record)) {
		if ((*segments)->iov_len)
			memcpy(record + len, (*segments)->iov_base, (*segments)->iov_len);
		len += (*segments)->iov_len;
		(*segments)++;
		(*count)--;
	}
	return len ? tls_write(session, span_of(record, len)) : 0;
}

static int conn_tls_encrypt(struct conn *conn, const struct iovec *segments, int count)
{
	struct tls_session *session = conn->tls->session;
	int error = 0;

	while (!error && count) {
		if (count == 1 || segments[0].iov_len >= RECORD_BYTES) {
			if (segments[0].iov_len)
				error = tls_write(session,
						  span_of(segments[0].iov_base, segments[0].iov_len));
			segments++;
			count--;
		} else {
			error = conn_tls_gather(session, &segments, &count);
		}
	}
	return error ? error : conn_tls_take_output(conn);
}

/* Encrypts as much of conn->out as one call may. */
static int conn_tls_encrypt_queue(struct conn *conn)
{
	struct span queued = span_first(buf_span(&conn->out), LIMIT_READ_BYTES);
	struct iovec segment = { (void *)(uintptr_t)queued.data, queued.len };
	int error = conn_tls_encrypt(conn, &segment, 1);

	if (!error)
		buf_consume(&conn->out, queued.len);
	return error;
}

int conn_tls_flush(struct conn *conn)
{
	int error = conn_tls_send_records(conn);

	while (!error && buf_len(&conn->out) && !conn->has_records) {
		error = conn_tls_encrypt_queue(conn);
		if (!error)
			error = conn_tls_send_records(conn);
	}
	buf_release(&conn->out);
	if (error && !conn->send_error)
		conn_fail_send(conn, error);
	return error;
}

int conn_tls_send(struct conn *conn, const struct iovec *segments, int count, size_t max_kept)
{
	struct iovec all[CONN_SEGMENTS];
	size_t queued;
	int error = conn->has_records ? conn_tls_flush(conn) : 0;

	for (int i = 0; !error && conn->has_records && i < count; i++)
		error = buf_append(&conn->out, span_of(segments[i].iov_base, segments[i].iov_len), max_kept);
	if (error || conn->has_records)
		return error;
	/* A queued head and the start of its body leave in one record. */
	queued = buf_len(&conn->out);
	all[0] = (struct iovec){ queued ? conn->out.data + conn->out.start : NULL, queued };
	for (int i = 0; i < count; i++)
		all[i + 1] = segments[i];
	error = conn_tls_encrypt(conn, queued ? all : segments, queued ? count + 1 : count);
	if (error)
		return error;
	buf_consume(&conn->out, queued);
	buf_release(&conn->out);
	return conn_tls_send_records(conn);
}

void conn_tls_end(struct conn *conn)
{
	if (!conn->tls->is_open)
		return;
	tls_close(conn->tls->session);
	(void)conn_tls_take_output(conn);
}

/* ------------------------------------------------------------------------------------ handshake */

static int conn_tls_step(struct conn *conn)
{
	struct conn_tls *tls = conn->tls;
	int result = tls_handshake(tls->session);
	int kept = conn_tls_keep_rest(tls);
	int sent;

	/* Tickets leave with the first output of the owner, if it writes within this turn. */
	tls->holds_tickets = result == 0 && tls_output_can_wait(tls->session);
	if (tls->holds_tickets)
		loop_again(conn->loop, &tls->tickets);
	sent = tls->holds_tickets ? 0 : conn_tls_send_own(conn);
	if (result != 0 && result != -EAGAIN)
		return result;
	if (kept < 0)
		return kept;
	return sent < 0 ? sent : result;
}

int conn_handshake(struct conn *conn)
{
	struct conn_tls *tls = conn->tls;
	int result;

	tls->can_read |= conn->can_read;
	result = conn_tls_step(conn);
	while (result == -EAGAIN) {
		ssize_t len = conn_tls_fill(conn, sizeof(received));

		if (len == -EAGAIN) {
			conn->can_read = false;
			return -EAGAIN;
		}
		if (len <= 0)
			return len ? (int)len : -EPIPE;
		tls->handshake_bytes += (uint32_t)len;
		if (tls->handshake_bytes > LIMIT_TLS_HANDSHAKE_BYTES)
			return -EMSGSIZE;
		result = conn_tls_step(conn);
	}
	if (result == 0) {
		tls->is_open = true;
		conn_tls_note_readable(conn);
	}
	return result;
}

const struct tls_session *conn_tls(const struct conn *conn)
{
	return conn->tls ? conn->tls->session : NULL;
}
