/* SPDX-License-Identifier: Apache-2.0 */
#include "user/http1/server.h"

#include <errno.h>

#include "user/base/limits.h"
#include "user/http/h1_parse.h"
#include "user/http/h1_write.h"

enum {
	ARENA_BLOCK_BYTES = 1024,
	READ_BYTES = 16 * 1024,
	REQUESTS_PER_EVENT = 16, /* pipelined requests; the rest waits for the next turn */
	SEGMENTS = 32,
};

#define NEXT(id) (1u << HTTP1_SERVER_##id)

static const struct {
	uint32_t deadline_ms;
	uint32_t next;
} states[HTTP1_SERVER_STATE_COUNT] = {
#define SERVER_STATE(id, deadline_ms, next) { deadline_ms, next },
#include "user/http1/server_states.def"
#undef SERVER_STATE
};

/* ------------------------------------------------------------------------------------ states */

bool http1_server_allows(enum http1_server_state from, enum http1_server_state to)
{
	return states[from].next >> to & 1u;
}

static void server_arm(struct http1_server *server)
{
	struct loop *loop = server->conn.loop;

	server->progress_bytes = server->conn.sent_bytes;
	if (!server->ops->is_internal)
		timer_arm(loop_timers(loop), &server->timer,
			  loop_now_ms(loop) + states[server->state].deadline_ms);
}

static void server_set_state(struct http1_server *server, enum http1_server_state state)
{
	CHECK(http1_server_allows(server->state, state));
	server->state = state;
	server_arm(server);
}

uint64_t http1_server_waits_ms(const struct http1_server *server)
{
	uint64_t since_ms = server->timer.deadline_ms - states[server->state].deadline_ms;

	return loop_now_ms(server->conn.loop) - since_ms;
}

static void server_on_release(struct loop_deferred *deferred)
{
	struct http1_server *server = container_of(deferred, struct http1_server, release);

	body_decoder_done(&server->decoder);
	arena_done(&server->arena);
	text_done(&server->rest);
	server->ops->on_free(server);
}

void http1_server_close(struct http1_server *server)
{
	if (server->state == HTTP1_SERVER_CLOSED)
		return;
	server_set_state(server, HTTP1_SERVER_CLOSED);
	timer_cancel(loop_timers(server->conn.loop), &server->timer);
	loop_deferred_cancel(&server->again);
	if (server->ops->on_closed)
		server->ops->on_closed(server);
	conn_close(&server->conn, false);
	loop_defer(server->conn.loop, &server->release);
}

void http1_server_break(struct http1_server *server)
{
	server->is_broken = true;
	loop_again(server->conn.loop, &server->again);
}

/* ------------------------------------------------------------------------------------ the request */

/* Reports an error after which the next request cannot be found. */
static void server_refuse(struct http1_server *server, uint16_t status, const char *why)
{
	server->head = (struct request_head){ .version_major = 1, .version_minor = 1 };
	server->keeps = false;
	if (server->ops->on_error)
		server->ops->on_error(server, status, why);
	else
		http1_server_close(server);
}

static void server_refuse_error(struct http1_server *server, enum http_error http_error)
{
	server_refuse(server, http_error_status(http_error), http_error_text(http_error));
}

static bool is_continue_expected(const struct http1_server *server)
{
	return server->head.version_minor > 0 &&
	       fields_list_has(&server->head.fields, FIELD_EXPECT, SPAN("100-continue"));
}

static void server_begin_request(struct http1_server *server, struct span bytes)
{
	struct body_framing framing;
	enum http_error http_error = h1_parse_request(bytes, &server->arena, &server->head, &framing);

	if (http_error != HTTP_ERROR_NONE) {
		server_refuse_error(server, http_error);
		return;
	}
	server->keeps = framing_request_keeps(&server->head);
	body_decoder_done(&server->decoder);
	body_decoder_init(&server->decoder, &framing);
	server_set_state(server, HTTP1_SERVER_BODY);
	if (server->ops->on_head)
		server->ops->on_head(server, &framing);
	/* RFC 9110 10.1.1: a client that has sent some of the body does not wait. */
	if (server->state == HTTP1_SERVER_BODY && framing.kind != BODY_NONE && is_continue_expected(server) &&
	    buf_len(&server->conn.in) == 0) {
		struct span text = SPAN("HTTP/1.1 100 Continue\r\n\r\n");
		struct iovec segment = { (void *)(uintptr_t)text.data, text.len };

		(void)http1_server_send(server, &segment, 1, LIMIT_HEAD_BYTES);
	}
}

/* The step functions return whether there is more to do now. */
static bool server_read_head(struct http1_server *server)
{
	char scratch[READ_BYTES];
	struct span bytes;

	switch (head_read(&server->conn, &server->scan, &server->ops->limits, scratch, sizeof(scratch),
			  &server->arena, &bytes)) {
	case HEAD_READ_MORE:
		if (server->state == HTTP1_SERVER_IDLE && buf_len(&server->conn.in))
			server_set_state(server, HTTP1_SERVER_HEAD);
		return false;
	case HEAD_READ_DONE:
		server_begin_request(server, bytes);
		return true;
	case HEAD_READ_BAD:
		server_refuse_error(server, server->scan.http_error);
		return true;
	case HEAD_READ_EOF:
	case HEAD_READ_ERROR:
	case HEAD_READ_MEMORY:
		break;
	}
	http1_server_close(server);
	return false;
}

/* Decodes the received bytes, until the request is complete, or was answered. */
static void server_decode(struct http1_server *server)
{
	struct buf *in = &server->conn.in;

	while (server->state == HTTP1_SERVER_BODY) {
		struct span payload;
		size_t used;
		enum body_step step = body_decode(&server->decoder, buf_span(in), &used, &payload);

		if (step == BODY_DATA)
			server->ops->on_body(server, payload);
		buf_consume(in, used);
		if (step == BODY_MORE)
			return;
		if (step == BODY_BAD) {
			server_refuse_error(server, server->decoder.http_error);
		} else if (step == BODY_END) {
			server_set_state(server, HTTP1_SERVER_ANSWER);
			server->ops->on_request(server);
		}
	}
}

static bool server_read_body(struct http1_server *server)
{
	struct conn *conn = &server->conn;
	uint64_t turn_end = conn->received_bytes + LIMIT_TURN_BYTES;

	for (;;) {
		ssize_t len;

		server_decode(server);
		buf_release(&conn->in);
		if (server->state != HTTP1_SERVER_BODY)
			return true;
		if (conn->received_bytes >= turn_end) {
			loop_again(conn->loop, &server->again);
			return false;
		}
		len = buf_reserve(&conn->in, READ_BYTES, READ_BYTES);
		if (!len)
			len = conn_recv(conn, buf_tail(&conn->in), READ_BYTES);
		if (len == -EAGAIN) {
			buf_release(&conn->in);
			return false;
		}
		if (len <= 0) {
			http1_server_close(server);
			return false;
		}
		buf_commit(&conn->in, (size_t)len);
	}
}

/* ------------------------------------------------------------------------------------ the response */

void http1_server_send_head(struct http1_server *server, const struct response_head *head,
			    const struct body_framing *framing, const struct iovec *segments, int count)
{
	struct h1_write_options options = { .version_minor = 1 };
	struct iovec all[SEGMENTS] = { { 0 } };
	struct buf bytes;

	buf_init(&bytes);
	/* The rest of a refused request cannot be told from the next one. */
	server->keeps &= server->state >= HTTP1_SERVER_ANSWER;
	if (head->status >= 200 && !server->keeps)
		options.connection = H1_CONNECTION_CLOSE;
	else if (head->status >= 200 && server->head.version_minor == 0)
		options.connection = H1_CONNECTION_KEEP_ALIVE;
	CHECK(count < SEGMENTS);
	if (h1_write_response(&bytes, head, framing, &options) < 0) {
		http1_server_break(server);
	} else {
		all[0] = (struct iovec){ bytes.data + bytes.start, buf_len(&bytes) };
		for (int i = 0; i < count; i++)
			all[i + 1] = segments[i];
		(void)http1_server_send(server, all, count + 1, BUF_MAX_BYTES);
	}
	buf_done(&bytes);
}

bool http1_server_send(struct http1_server *server, const struct iovec *segments, int count, size_t most)
{
	if (conn_send(&server->conn, segments, count, most) == 0)
		return true;
	http1_server_break(server);
	return false;
}

void http1_server_begin_stream(struct http1_server *server)
{
	server_set_state(server, HTTP1_SERVER_STREAM);
}

void http1_server_end(struct http1_server *server, struct text *rest)
{
	if (rest) {
		server->rest = *rest;
		server->rest_sent = 0;
		text_init(rest);
	}
	server_set_state(server, HTTP1_SERVER_SEND);
	loop_again(server->conn.loop, &server->again);
}

/* One write per turn: a long response to a fast reader must not block the loop. */
static void server_send_rest(struct http1_server *server)
{
	struct span rest =
		span_first(span_from(text_span(&server->rest), server->rest_sent), LIMIT_TURN_BYTES);
	struct iovec segment = { (void *)(uintptr_t)rest.data, rest.len };

	if (http1_server_send(server, &segment, 1, LIMIT_TURN_BYTES)) {
		server->rest_sent += rest.len;
		loop_again(server->conn.loop, &server->again);
	}
}

static bool server_end_exchange(struct http1_server *server)
{
	if (!server->keeps && !server->ops->is_internal && !server->conn.has_eof) {
		/*
		 * A close with unread bytes would send RST, which may destroy the response in transit
		 * (RFC 9112 9.6).
		 */
		conn_shutdown(&server->conn);
		server->linger_end = server->conn.received_bytes + LIMIT_LINGER_BYTES;
		server_set_state(server, HTTP1_SERVER_LINGER);
		return true;
	}
	if (!server->keeps) {
		http1_server_close(server);
		return false;
	}
	text_done(&server->rest);
	arena_reset(&server->arena);
	head_scan_init(&server->scan, false);
	server_set_state(server, HTTP1_SERVER_IDLE);
	return true;
}

static bool server_is_abandoned(struct http1_server *server)
{
	char byte;

	if (conn_check(&server->conn) < 0)
		return true;
	return server->ops->is_internal && server->conn.has_hup &&
	       (server->state == HTTP1_SERVER_SEND || conn_recv(&server->conn, &byte, 1) != -EAGAIN);
}

static bool server_respond(struct http1_server *server)
{
	const struct http1_server_ops *ops = server->ops;
	bool is_sent = !conn_has_output(&server->conn);
	bool is_over =
		is_sent && (!ops->on_sent || ops->on_sent(server)) && server->state == HTTP1_SERVER_SEND;

	if (is_over && server->rest_sent >= server->rest.len)
		return server_end_exchange(server);
	if (server_is_abandoned(server)) {
		http1_server_close(server);
		return false;
	}
	if (server->progress_bytes != server->conn.sent_bytes)
		server_arm(server);
	if (is_over)
		server_send_rest(server);
	return false;
}

static bool server_linger(struct http1_server *server)
{
	struct conn *conn = &server->conn;
	uint64_t turn_end = conn->received_bytes + LIMIT_TURN_BYTES;
	char scratch[READ_BYTES];
	ssize_t len;

	do
		len = conn_recv(conn, scratch, sizeof(scratch));
	while (len > 0 && conn->received_bytes < turn_end);
	if ((len <= 0 && len != -EAGAIN) || conn->received_bytes > server->linger_end)
		http1_server_close(server);
	else if (len > 0)
		loop_again(conn->loop, &server->again);
	return false;
}

/* ------------------------------------------------------------------------------------ events */

static bool server_step(struct http1_server *server)
{
	switch (server->state) {
	case HTTP1_SERVER_IDLE:
	case HTTP1_SERVER_HEAD:
		return server_read_head(server);
	case HTTP1_SERVER_BODY:
		return server_read_body(server);
	case HTTP1_SERVER_ANSWER:
	case HTTP1_SERVER_STREAM:
	case HTTP1_SERVER_SEND:
		return server_respond(server);
	case HTTP1_SERVER_LINGER:
		return server_linger(server);
	case HTTP1_SERVER_CLOSED:
	case HTTP1_SERVER_STATE_COUNT:
		break;
	}
	return false;
}

static void server_run(struct http1_server *server)
{
	unsigned int requests = 0;

	do {
		if (server->state == HTTP1_SERVER_CLOSED)
			return;
		if (server->is_broken || conn_flush(&server->conn) < 0) {
			http1_server_close(server);
			return;
		}
		if (server->state == HTTP1_SERVER_IDLE && ++requests > REQUESTS_PER_EVENT) {
			loop_again(server->conn.loop, &server->again);
			return;
		}
	} while (server_step(server));
}

static void server_on_ready(struct conn *conn)
{
	server_run(container_of(conn, struct http1_server, conn));
}

static void server_on_again(struct loop_deferred *deferred)
{
	server_run(container_of(deferred, struct http1_server, again));
}

static void server_on_deadline(struct timer *timer, uint64_t now_ms)
{
	struct http1_server *server = container_of(timer, struct http1_server, timer);

	(void)now_ms;
	if (server->state == HTTP1_SERVER_HEAD && buf_len(&server->conn.in))
		server_refuse(server, 408, "the request head was not complete in time");
	else if (server->state == HTTP1_SERVER_BODY)
		server_refuse(server, 408, "the request body was not complete in time");
	else if (server->state == HTTP1_SERVER_ANSWER)
		server_refuse(server, 504, "the workers did not answer in time");
	else
		http1_server_close(server);
}

int http1_server_start(struct http1_server *server, struct loop *loop, int fd,
		       const struct http1_server_ops *ops)
{
	int error = conn_open(&server->conn, loop, fd, server_on_ready);

	if (error)
		return error;
	server->ops = ops;
	server->state = HTTP1_SERVER_HEAD;
	head_scan_init(&server->scan, false);
	arena_init(&server->arena, ARENA_BLOCK_BYTES);
	text_init(&server->rest);
	timer_init(&server->timer, server_on_deadline);
	loop_deferred_init(&server->again, server_on_again);
	loop_deferred_init(&server->release, server_on_release);
	server_arm(server);
	loop_again(loop, &server->again);
	return 0;
}
