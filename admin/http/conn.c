/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/http/conn.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/uio.h>

#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/http/body.h"
#include "user/http/head_scan.h"
#include "user/net/io.h"
#include "user/net/socket.h"

enum {
	ARENA_BLOCK_BYTES = 4096,
	READ_BYTES = 4096,
	REQUESTS_PER_EVENT = 16, /* pipelined requests; the rest waits for the next turn */
};

#define NEXT(id) (1u << CONN_##id)

static const struct {
	uint32_t deadline_ms;
	uint32_t events;
	uint32_t next;
} states[CONN_STATE_COUNT] = {
#define CONN_STATE(id, deadline_ms, events, next) { deadline_ms, events, next },
#include "admin/http/conn_states.def"
#undef CONN_STATE
};

struct admin_ticket {
	struct admin_conn *conn; /* NULL: the connection has ended */
};

struct admin_conn {
	struct loop *loop; /* borrowed */
	const struct admin_owner *owner; /* borrowed */
	struct loop_source source; /* source.fd: owner */
	struct timer timer;
	struct loop_deferred again;
	struct loop_deferred release;
	enum conn_state state;
	bool is_unix;
	bool is_running; /* inside conn_run(), which sends a response given now */
	bool is_eof; /* the client has sent FIN */
	bool ends; /* close after this response */
	struct buf in; /* owner */
	struct buf out; /* owner: head of the response */
	struct text body; /* owner: body of the response */
	size_t body_sent;
	uint64_t swallowed_bytes; /* in LINGER */
	struct head_scan scan;
	struct body_decoder decoder;
	struct arena arena; /* owner: memory of the running request */
	struct admin_request request;
	struct admin_ticket *ticket; /* borrowed; freed by admin_ticket_redeem() */
};

static void conn_run(struct admin_conn *conn);

/* ---- states */

static void conn_arm(struct admin_conn *conn)
{
	timer_arm(loop_timers(conn->loop), &conn->timer,
		  loop_now_ms(conn->loop) + states[conn->state].deadline_ms);
}

bool conn_state_allows(enum conn_state from, enum conn_state to)
{
	return states[from].next >> to & 1u;
}

static void conn_set_state(struct admin_conn *conn, enum conn_state state)
{
	CHECK(conn_state_allows(conn->state, state));
	conn->state = state;
	if (state == CONN_CLOSED)
		timer_cancel(loop_timers(conn->loop), &conn->timer);
	else
		conn_arm(conn);
}

enum conn_state admin_conn_state(const struct admin_conn *conn)
{
	return conn->state;
}

uint64_t admin_conn_waits_ms(const struct admin_conn *conn)
{
	uint64_t since_ms = conn->timer.deadline_ms - states[conn->state].deadline_ms;

	return loop_now_ms(conn->loop) - since_ms;
}

static void conn_release(struct loop_deferred *deferred)
{
	struct admin_conn *conn = container_of(deferred, struct admin_conn, release);

	body_decoder_done(&conn->decoder);
	arena_done(&conn->arena);
	buf_done(&conn->in);
	buf_done(&conn->out);
	text_done(&conn->body);
	hg_free(conn);
}

static void conn_drop_ticket(struct admin_conn *conn)
{
	if (conn->ticket)
		conn->ticket->conn = NULL;
	conn->ticket = NULL;
}

void admin_conn_close(struct admin_conn *conn)
{
	if (conn->state == CONN_CLOSED)
		return;
	conn_set_state(conn, CONN_CLOSED);
	conn_drop_ticket(conn);
	loop_deferred_cancel(&conn->again);
	loop_source_remove(conn->loop, &conn->source);
	socket_close(conn->source.fd);
	conn->owner->on_closed(conn->owner->context, conn);
	loop_defer(conn->loop, &conn->release);
}

/* responses */

void admin_conn_answer(struct admin_conn *conn, struct admin_answer *answer)
{
	int error = text_error(&answer->body);

	conn_drop_ticket(conn);
	conn->ends = answer->close || !conn->request.keeps;
	if (!error)
		error = admin_answer_write(answer, &conn->request, conn->ends, &conn->arena, &conn->out,
					   &conn->body);
	text_done(&answer->body);
	if (error) {
		/* No memory for the response: the client sees the connection end. */
		admin_conn_close(conn);
		return;
	}
	conn->body_sent = 0;
	conn_set_state(conn, CONN_SEND);
	if (!conn->is_running)
		conn_run(conn);
}

void admin_conn_say(struct admin_conn *conn, uint16_t status, const char *format, ...)
{
	struct admin_answer answer = { .status = status };
	char line[1024];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	text_init(&answer.body);
	if (len > 0)
		text_str(&answer.body, line);
	admin_conn_answer(conn, &answer);
}

/* Reports an error after which the next request cannot be found, and closes. */
static void conn_refuse(struct admin_conn *conn, uint16_t status, const char *why)
{
	conn->request = (struct admin_request){ .keeps = false };
	admin_conn_say(conn, status, "%s\n", why);
}

struct admin_ticket *admin_ticket_take(struct admin_conn *conn)
{
	struct admin_ticket *ticket = hg_calloc(1, sizeof(*ticket));

	CHECK(!conn->ticket);
	if (ticket)
		ticket->conn = conn;
	conn->ticket = ticket;
	return ticket;
}

struct admin_conn *admin_ticket_redeem(struct admin_ticket *ticket)
{
	struct admin_conn *conn = ticket->conn;

	if (conn)
		conn->ticket = NULL;
	hg_free(ticket);
	return conn;
}

/* ---- reading requests */

static void conn_hand_up(struct admin_conn *conn)
{
	conn_set_state(conn, CONN_ANSWER);
	conn->owner->on_request(conn->owner->context, conn, &conn->request);
}

/* The head is complete. */
static void conn_begin_request(struct admin_conn *conn)
{
	struct body_framing *framing = &conn->request.framing;
	struct span head = span_first(buf_span(&conn->in), conn->scan.head_bytes);
	enum http_error http_error =
		admin_request_parse(span_from(head, conn->scan.lead_bytes), &conn->arena, &conn->request);

	if (http_error != HTTP_ERROR_NONE) {
		conn_refuse(conn, http_error_status(http_error), http_error_text(http_error));
		return;
	}
	conn->request.is_unix = conn->is_unix;
	buf_consume(&conn->in, conn->scan.head_bytes);
	if (framing->kind == BODY_NONE) {
		conn_hand_up(conn);
		return;
	}
	if (framing->kind == BODY_LENGTH && framing->length > LIMIT_ADMIN_REQUEST_BYTES) {
		conn_refuse(conn, 413, "the body is too large: no endpoint here reads one");
		return;
	}
	body_decoder_done(&conn->decoder);
	body_decoder_init(&conn->decoder, framing);
	conn_set_state(conn, CONN_BODY);
}

/* The step functions return whether there is more to do with the buffered bytes. */
static bool conn_step_head(struct admin_conn *conn)
{
	static const struct head_limits limits = {
		.line_bytes = LIMIT_REQUEST_LINE_BYTES,
		.head_bytes = LIMIT_ADMIN_REQUEST_BYTES,
		.fields = LIMIT_HEADERS,
	};

	switch (head_scan_run(&conn->scan, buf_span(&conn->in), &limits)) {
	case SCAN_MORE:
		if (conn->is_eof)
			admin_conn_close(conn);
		return false;
	case SCAN_BAD:
		conn_refuse(conn, http_error_status(conn->scan.http_error),
			    http_error_text(conn->scan.http_error));
		return true;
	case SCAN_DONE:
		conn_begin_request(conn);
		return true;
	}
	return false;
}

static bool conn_send_continue(struct admin_conn *conn)
{
	conn->request.wants_continue = false;
	return buf_append(&conn->out, SPAN("HTTP/1.1 100 Continue\r\n\r\n"), SIZE_MAX) == 0 &&
	       io_write(conn->source.fd, conn->out.data + conn->out.start, buf_len(&conn->out), false) ==
		       (ssize_t)buf_len(&conn->out);
}

static bool conn_step_body(struct admin_conn *conn)
{
	size_t consumed = 0;
	struct span payload;
	enum body_step step = body_decode(&conn->decoder, buf_span(&conn->in), &consumed, &payload);

	buf_consume(&conn->in, consumed);
	switch (step) {
	case BODY_DATA:
		if (conn->decoder.payload_bytes > LIMIT_ADMIN_REQUEST_BYTES)
			conn_refuse(conn, 413, "the body is too large: no endpoint here reads one");
		return true;
	case BODY_MORE:
		if (conn->is_eof)
			admin_conn_close(conn);
		else if (conn->request.wants_continue && !conn_send_continue(conn))
			admin_conn_close(conn);
		buf_consume(&conn->out, buf_len(&conn->out));
		return false;
	case BODY_END:
		conn_hand_up(conn);
		return true;
	case BODY_BAD:
		conn_refuse(conn, http_error_status(conn->decoder.http_error),
			    http_error_text(conn->decoder.http_error));
		return true;
	}
	return false;
}

/* ---- sending */

static void conn_next_request(struct admin_conn *conn)
{
	text_done(&conn->body);
	buf_release(&conn->out);
	arena_reset(&conn->arena);
	head_scan_init(&conn->scan, false);
	if (buf_len(&conn->in) > 0 || conn->is_eof) {
		conn_set_state(conn, CONN_HEAD);
	} else {
		buf_release(&conn->in);
		conn_set_state(conn, CONN_IDLE);
	}
}

static void conn_end_answer(struct admin_conn *conn)
{
	if (!conn->ends) {
		conn_next_request(conn);
		return;
	}
	/*
	 * A close with unread bytes would send RST, which may destroy the response in transit (RFC 9112
	 * 9.6).
	 */
	if (conn->is_eof || socket_shutdown_write(conn->source.fd) != 0)
		admin_conn_close(conn);
	else
		conn_set_state(conn, CONN_LINGER);
}

static ssize_t conn_write(struct admin_conn *conn)
{
	struct span body = span_first(span_from(text_span(&conn->body), conn->body_sent), LIMIT_TURN_BYTES);
	struct iovec list[2];
	size_t count = 0;

	if (buf_len(&conn->out) > 0)
		list[count++] = (struct iovec){ conn->out.data + conn->out.start, buf_len(&conn->out) };
	if (body.len > 0)
		list[count++] = (struct iovec){ (void *)body.data, body.len };
	return io_writev(conn->source.fd, list, count, false);
}

/* One write per event: a long response to a fast reader must not block the loop. */
static bool conn_step_send(struct admin_conn *conn)
{
	ssize_t written = conn_write(conn);
	size_t head_len = buf_len(&conn->out);

	if (written == -EAGAIN)
		return false;
	if (written <= 0) {
		admin_conn_close(conn);
		return false;
	}
	if ((size_t)written < head_len) {
		buf_consume(&conn->out, (size_t)written);
	} else {
		buf_consume(&conn->out, head_len);
		conn->body_sent += (size_t)written - head_len;
	}
	if (buf_len(&conn->out) > 0 || conn->body_sent < conn->body.len) {
		conn_arm(conn);
		return false;
	}
	conn_end_answer(conn);
	return conn->state == CONN_HEAD;
}

/* ---- events */

/* Returns false if the connection has ended. */
static bool conn_read(struct admin_conn *conn)
{
	ssize_t got;

	if (buf_reserve(&conn->in, READ_BYTES, LIMIT_ADMIN_REQUEST_BYTES + READ_BYTES) != 0) {
		admin_conn_close(conn);
		return false;
	}
	got = io_read(conn->source.fd, buf_tail(&conn->in), READ_BYTES);
	if (got == -EAGAIN)
		return true;
	if (got < 0) {
		admin_conn_close(conn);
		return false;
	}
	conn->is_eof = got == 0;
	buf_commit(&conn->in, (size_t)got);
	return true;
}

static void conn_step_linger(struct admin_conn *conn)
{
	conn->swallowed_bytes += buf_len(&conn->in);
	buf_consume(&conn->in, buf_len(&conn->in));
	if (conn->is_eof || conn->swallowed_bytes > LIMIT_LINGER_BYTES)
		admin_conn_close(conn);
}

static bool conn_step(struct admin_conn *conn)
{
	switch (conn->state) {
	case CONN_IDLE:
		if (conn->is_eof)
			admin_conn_close(conn);
		else if (buf_len(&conn->in) > 0)
			conn_set_state(conn, CONN_HEAD);
		return conn->state == CONN_HEAD;
	case CONN_HEAD:
		return conn_step_head(conn);
	case CONN_BODY:
		return conn_step_body(conn);
	case CONN_SEND:
		return conn_step_send(conn);
	case CONN_LINGER:
		conn_step_linger(conn);
		return false;
	case CONN_ANSWER:
	case CONN_CLOSED:
	case CONN_STATE_COUNT:
		return false;
	}
	return false;
}

static void conn_run(struct admin_conn *conn)
{
	unsigned int answers = 0;

	conn->is_running = true;
	while (conn_step(conn)) {
		/* A pipelined request follows a response that was sent at once. */
		if (conn->state == CONN_SEND && ++answers > REQUESTS_PER_EVENT) {
			loop_again(conn->loop, &conn->again);
			break;
		}
	}
	conn->is_running = false;
	if (conn->state != CONN_CLOSED &&
	    loop_source_modify(conn->loop, &conn->source, states[conn->state].events) != 0)
		admin_conn_close(conn);
}

static void conn_on_event(struct loop_source *source, uint32_t events)
{
	struct admin_conn *conn = container_of(source, struct admin_conn, source);
	bool is_reading = states[conn->state].events & EPOLLIN;

	if (conn->state == CONN_ANSWER && events & (EPOLLHUP | EPOLLERR)) {
		admin_conn_close(conn);
		return;
	}
	if (!is_reading || conn_read(conn))
		conn_run(conn);
}

static void conn_on_again(struct loop_deferred *deferred)
{
	conn_run(container_of(deferred, struct admin_conn, again));
}

static void conn_on_deadline(struct timer *timer, uint64_t now_ms)
{
	struct admin_conn *conn = container_of(timer, struct admin_conn, timer);

	(void)now_ms;
	switch (conn->state) {
	case CONN_HEAD:
		if (buf_len(&conn->in) > 0) {
			conn_refuse(conn, 408, "the request head was not complete in time");
			return;
		}
		break;
	case CONN_BODY:
		conn_refuse(conn, 408, "the request body was not complete in time");
		return;
	case CONN_ANSWER:
		conn_refuse(conn, 504, "the workers did not answer in time");
		return;
	case CONN_IDLE:
	case CONN_SEND:
	case CONN_LINGER:
	case CONN_CLOSED:
	case CONN_STATE_COUNT:
		break;
	}
	admin_conn_close(conn);
}

int admin_conn_start(struct loop *loop, int fd, bool is_unix, const struct admin_owner *owner,
		     struct admin_conn **ret_conn)
{
	struct admin_conn *conn = hg_calloc(1, sizeof(*conn));
	int error;

	if (!conn)
		return -ENOMEM;
	conn->loop = loop;
	conn->owner = owner;
	conn->is_unix = is_unix;
	conn->state = CONN_HEAD;
	buf_init(&conn->in);
	buf_init(&conn->out);
	text_init(&conn->body);
	arena_init(&conn->arena, ARENA_BLOCK_BYTES);
	head_scan_init(&conn->scan, false);
	body_decoder_init(&conn->decoder, &(struct body_framing){ BODY_NONE, 0, false, 0 });
	timer_init(&conn->timer, conn_on_deadline);
	loop_deferred_init(&conn->again, conn_on_again);
	loop_deferred_init(&conn->release, conn_release);
	loop_source_init(&conn->source, fd, conn_on_event);
	error = loop_source_add(loop, &conn->source, states[CONN_HEAD].events);
	if (error) {
		conn_release(&conn->release);
		return error;
	}
	conn_arm(conn);
	*ret_conn = conn;
	return 0;
}
