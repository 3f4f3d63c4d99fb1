/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/origin/conn.h"
#include "tests/origin/pattern.h"
#include "tests/origin/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define RUN_ROUNDS 32
/* The last send of a turn may exceed it by WRITE_SLICES slices of the pattern. */
#define RUN_SENT_BYTES (256u * 1024u)
#define PATTERN_COPY_MAX 4096u
#define WRITE_SLICES 4
#define LINGER_NS ((uint64_t)CONN_LINGER_MS * NS_PER_MS)

struct conn *conn_create(struct worker *worker, int fd, conn_step_fn *step)
{
	struct conn *conn = worker_conn_alloc(worker);
	struct buffer in, out, stash, trailer;

	if (!conn) {
		close(fd);
		return NULL;
	}
	in = conn->in;
	out = conn->out;
	stash = conn->exchange.stash;
	trailer = conn->exchange.body.trailer;
	*conn = (struct conn){
		.worker = worker, .fd = fd, .step = step, .in = in, .out = out, .is_writable = true
	};
	conn->exchange.stash = stash;
	conn->exchange.body.trailer = trailer;
	conn->timer_index = TIMERS_NONE;
	conn->serial = worker_serial_next();
	conn->idle_since_ns = worker->now_ns;
	buffer_clear(&conn->in);
	buffer_clear(&conn->out);
	if (!buffer_reserve(&conn->in, CONN_IN_BYTES)) {
		conn_close(conn);
		return NULL;
	}
	return conn;
}

void conn_free(struct conn *conn)
{
	buffer_free(&conn->in);
	buffer_free(&conn->out);
	buffer_free(&conn->exchange.stash);
	buffer_free(&conn->exchange.body.trailer);
	free(conn);
}

void conn_close(struct conn *conn)
{
	if (conn->is_closed)
		return;
	conn->is_closed = true;
	close(conn->fd);
	worker_conn_closed(conn->worker, conn);
}

void conn_reset(struct conn *conn)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };

	if (conn->is_closed)
		return;
	setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	conn_close(conn);
}

void conn_wake_at(struct conn *conn, uint64_t when_ns)
{
	conn->deadline_ns = when_ns;
	if (when_ns != 0)
		timers_add(&conn->worker->timers, conn, when_ns);
}

struct text conn_input(const struct conn *conn)
{
	return (struct text){ conn->in.data + conn->in.start, buffer_size(&conn->in) };
}

void conn_take(struct conn *conn, size_t size)
{
	conn->in.start += size;
	if (conn->in.start == conn->in.end && conn->in.start > conn->in_floor)
		conn->in.start = conn->in.end = conn->in_floor;
}

bool conn_out_has_capacity(const struct conn *conn)
{
	return conn->pattern_left == 0 && buffer_size(&conn->out) < CONN_OUT_HIGH;
}

bool conn_out_is_empty(const struct conn *conn)
{
	return conn->pattern_left == 0 && buffer_size(&conn->out) == 0;
}

void conn_send_pattern(struct conn *conn, uint64_t offset, uint64_t size)
{
	size_t piece;

	if (size <= PATTERN_COPY_MAX) {
		const char *bytes = pattern_at(offset, &piece);

		buffer_add(&conn->out, bytes, (size_t)size);
		return;
	}
	conn->pattern_offset = offset;
	conn->pattern_left = size;
}

static bool in_make_room(struct conn *conn)
{
	struct buffer *in = &conn->in;
	size_t used = buffer_size(in);

	if (in->end < in->cap)
		return true;
	if (in->start > conn->in_floor) {
		memmove(in->data + conn->in_floor, in->data + in->start, used);
		in->start = conn->in_floor;
		in->end = in->start + used;
		return true;
	}
	/*
	 * A head may exceed the buffer. Grow it only between two exchanges: texts of an exchange point into
	 * it.
	 */
	if (conn->in_floor == 0 && in->start == 0 && conn->step == worker_http_step &&
	    in->cap < REQUEST_MAX_BYTES)
		return buffer_reserve(in, in->cap);
	return false;
}

static bool conn_read(struct conn *conn)
{
	ssize_t got;
	size_t room;

	if (!conn->is_readable || conn->in_eof || !in_make_room(conn))
		return false;
	room = conn->in.cap - conn->in.end;
	got = recv(conn->fd, conn->in.data + conn->in.end, room, 0);
	if (got > 0) {
		conn->in.end += (size_t)got;
		/*
		 * A short read has emptied the socket: new bytes cause a new edge, but a FIN that has
		 * already arrived does not.
		 */
		if ((size_t)got < room && !conn->has_rdhup)
			conn->is_readable = false;
		return true;
	}
	if (got == 0) {
		conn->in_eof = true;
		worker_conn_eof(conn->worker, conn);
		return true;
	}
	if (errno == EAGAIN) {
		conn->is_readable = false;
		return false;
	}
	if (errno == EINTR)
		return true;
	worker_conn_aborted(conn->worker, conn);
	conn_close(conn);
	return false;
}

static void out_sent(struct conn *conn, size_t size)
{
	size_t head = buffer_size(&conn->out);

	conn->sent_bytes += size;
	if (size < head) {
		buffer_take(&conn->out, size);
		return;
	}
	buffer_clear(&conn->out);
	conn->pattern_offset += size - head;
	conn->pattern_left -= size - head;
}

static ssize_t out_send(struct conn *conn, size_t *ret_wanted)
{
	struct iovec slices[WRITE_SLICES];
	struct msghdr message = { .msg_iov = slices };
	uint64_t offset = conn->pattern_offset, left = conn->pattern_left;
	size_t count = 0, wanted = buffer_size(&conn->out);

	if (left == 0) {
		*ret_wanted = wanted;
		return send(conn->fd, conn->out.data + conn->out.start, wanted, MSG_NOSIGNAL);
	}
	if (wanted > 0)
		slices[count++] = (struct iovec){ conn->out.data + conn->out.start, wanted };
	while (left > 0 && count < WRITE_SLICES) {
		size_t piece;
		const char *bytes = pattern_at(offset, &piece);

		if (piece > left)
			piece = (size_t)left;
		slices[count++] = (struct iovec){ (void *)(uintptr_t)bytes, piece };
		wanted += piece;
		offset += piece;
		left -= piece;
	}
	message.msg_iovlen = count;
	*ret_wanted = wanted;
	return sendmsg(conn->fd, &message, MSG_NOSIGNAL);
}

static bool conn_write(struct conn *conn)
{
	size_t wanted;
	ssize_t sent;

	if (!conn->is_writable || conn_out_is_empty(conn))
		return false;
	sent = out_send(conn, &wanted);
	if (sent >= 0) {
		out_sent(conn, (size_t)sent);
		conn->is_writable = (size_t)sent == wanted;
		return true;
	}
	if (errno == EAGAIN) {
		conn->is_writable = false;
		return false;
	}
	if (errno == EINTR)
		return true;
	worker_conn_aborted(conn->worker, conn);
	conn_close(conn);
	return false;
}

void conn_run(struct conn *conn)
{
	uint64_t sent_before = conn->sent_bytes;

	for (int round = 0; round < RUN_ROUNDS && conn->sent_bytes - sent_before < RUN_SENT_BYTES; round++) {
		bool has_moved = conn_read(conn);

		if (!conn->is_closed)
			has_moved |= conn->step(conn);
		if (conn->in.has_failed || conn->out.has_failed || conn->exchange.stash.has_failed)
			conn_close(conn);
		if (!conn->is_closed)
			has_moved |= conn_write(conn);
		if (conn->is_closed || !has_moved)
			return;
	}
	worker_conn_ready(conn->worker, conn);
}

static bool linger_step(struct conn *conn)
{
	bool had_input = buffer_size(&conn->in) > 0;
	bool is_http = conn->worker->options->mode == MODE_HTTP;

	conn->in.start = conn->in.end = 0;
	if (conn->in_eof || (is_http && conn->worker->now_ns >= conn->idle_since_ns + LINGER_NS))
		conn_close(conn);
	return had_input;
}

static bool end_step(struct conn *conn)
{
	uint64_t now_ns = conn->worker->now_ns;

	conn->in.start = conn->in.end = 0;
	if (!conn_out_is_empty(conn))
		return false;
	switch (conn->ending) {
	case END_FIN:
		conn_close(conn);
		return true;
	case END_RST:
		if (conn->end_delay_ms > 0) {
			conn->idle_since_ns = now_ns + conn->end_delay_ms * NS_PER_MS;
			conn->end_delay_ms = 0;
			conn_wake_at(conn, conn->idle_since_ns);
		}
		if (now_ns < conn->idle_since_ns)
			return false;
		conn_reset(conn);
		return true;
	case END_GRACEFUL:
		break;
	}
	if (conn->in_eof) {
		conn_close(conn);
		return true;
	}
	shutdown(conn->fd, SHUT_WR);
	conn->is_out_shut = true;
	conn->idle_since_ns = now_ns;
	conn->step = linger_step;
	conn_wake_at(conn, now_ns + LINGER_NS);
	return true;
}

void conn_end(struct conn *conn, enum conn_ending ending, uint64_t delay_ms)
{
	conn->ending = ending;
	conn->end_delay_ms = delay_ms;
	conn->idle_since_ns = 0;
	conn->exchange.is_active = false;
	conn->in_floor = 0;
	conn->in.start = conn->in.end = 0;
	conn->step = end_step;
	conn_wake_at(conn, 0);
}
