/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/server/server.h"

#include <errno.h>
#include <unistd.h>

#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/http/h1_parse.h"
#include "user/mcp/server/server_serve.h"
#include "user/relay/head_reader.h"

enum { ARENA_BLOCK_BYTES = 1024 };

/* ------------------------------------------------------------------------------------ end */

static void body_drop(struct mcp_server_conn *server)
{
	server->hub->body_bytes -= server->body.size;
	buf_done(&server->body);
}

static void server_on_release(struct loop_deferred *deferred)
{
	struct mcp_server_conn *server = container_of(deferred, struct mcp_server_conn, release);

	body_decoder_done(&server->decoder);
	arena_done(&server->arena);
	body_drop(server);
	hg_free(server);
}

/* The stream closes the connection when its deadline passes; an earlier close comes from the client. */
static enum mcp_gone why_gone(const struct mcp_server_conn *server)
{
	if (server->deadline_ms && loop_now_ms(server->hub->loop) >= server->deadline_ms)
		return MCP_GONE_TIMEOUT;
	return server->sink.is_resumable ? MCP_GONE_RESUMABLE : MCP_GONE_CLIENT;
}

/* Must not be called from a callback of the session. */
static void server_close(struct mcp_server_conn *server)
{
	struct mcp_hub *hub = server->hub;

	if (server->state == SERVER_CLOSED)
		return;
	server_set_state(server, SERVER_CLOSED);
	server_hold(server, false);
	if (server->sink.session) {
		mcp_session_sink_gone(server->session->mcp_session, &server->sink, why_gone(server),
				      loop_now_ms(hub->loop));
		hub_session_settle(server->session);
	}
	loop_deferred_cancel(&server->again);
	conn_close(&server->conn, false);
	list_remove(&server->node);
	hub_service_leave(hub, server->service);
	loop_defer(hub->loop, &server->release);
}

void mcp_server_stop(struct mcp_hub *hub)
{
	list_each(node, next, &hub->server_conns)
		server_close(list_entry(node, struct mcp_server_conn, node));
}

/* ------------------------------------------------------------------------------------ a request */

/* Malformed request on an internal connection: close it. */
static bool server_give_up(struct mcp_server_conn *server)
{
	server_close(server);
	return false;
}

static void server_refuse_body(struct mcp_server_conn *server, enum mcp_fault fault)
{
	server->keeps = false;
	body_drop(server);
	server_serve_refused(server, fault);
}

/* Stores payload. MCP_NONE, or why the body is refused. */
static enum mcp_fault body_add(struct mcp_server_conn *server, struct span payload)
{
	struct mcp_hub *hub = server->hub;
	size_t before = server->body.size;
	int error;

	error = buf_append(&server->body, payload, hub->targets.message_bytes);
	hub->body_bytes += server->body.size - before;
	if (error == 0 && hub->body_bytes >= LIMIT_MCP_BODIES_BYTES)
		error = -ENOMEM;
	return error == 0 ? MCP_NONE : error == -ENOMEM ? MCP_NO_MEMORY : MCP_TOO_LARGE;
}

static void server_begin_request(struct mcp_server_conn *server, const struct body_framing *framing)
{
	server->keeps = framing_request_keeps(&server->head);
	body_decoder_done(&server->decoder);
	body_decoder_init(&server->decoder, framing);
	server_set_state(server, SERVER_BODY);
	if (framing->kind == BODY_LENGTH && framing->length > server->hub->targets.message_bytes) {
		server_refuse_body(server, MCP_TOO_LARGE);
		return;
	}
	if (fields_list_has(&server->head.fields, FIELD_EXPECT, SPAN("100-continue")) &&
	    buf_len(&server->conn.in) == 0) {
		struct span text = SPAN("HTTP/1.1 100 Continue\r\n\r\n");
		struct iovec segment = { (void *)(uintptr_t)text.data, text.len };

		server->is_broken = conn_send(&server->conn, &segment, 1, LIMIT_HEAD_BYTES) < 0;
	}
}

/* True: the state has changed. */
static bool server_read_head(struct mcp_server_conn *server)
{
	static const struct head_limits limits = {
		/*
		 * The stream has checked the limits of the configuration, and its rules may have added
		 * fields.
		 */
		.line_bytes = LIMIT_HEAD_WRITE_BYTES,
		.head_bytes = LIMIT_HEAD_WRITE_BYTES,
		.fields = LIMIT_HEADERS_MAX + LIMIT_HEADERS,
	};
	struct body_framing framing;
	struct span bytes;

	switch (head_read(&server->conn, &server->scan, &limits, server->hub->targets.scratch,
			  LIMIT_READ_BYTES, &server->arena, &bytes)) {
	case HEAD_READ_MORE:
		return false;
	case HEAD_READ_DONE:
		break;
	case HEAD_READ_BAD:
	case HEAD_READ_EOF:
	case HEAD_READ_ERROR:
	case HEAD_READ_MEMORY:
		return server_give_up(server);
	}
	if (h1_parse_request(bytes, &server->arena, &server->head, &framing) != HTTP_ERROR_NONE)
		return server_give_up(server);
	server_begin_request(server, &framing);
	return true;
}

/* 0: all of `bytes` was taken; 1: the message is complete, or was answered; or -errno. */
static int server_take(struct mcp_server_conn *server, struct span bytes, size_t *ret_used)
{
	*ret_used = 0;
	for (;;) {
		enum mcp_fault fault;
		struct span payload;
		size_t used;
		enum body_step step =
			body_decode(&server->decoder, span_from(bytes, *ret_used), &used, &payload);

		*ret_used += used;
		if (step == BODY_MORE)
			return 0;
		if (step == BODY_END)
			return 1;
		if (step == BODY_BAD)
			return -EPROTO;
		fault = body_add(server, payload);
		if (!fault)
			continue;
		server_refuse_body(server, fault);
		return 1;
	}
}

/* Takes body bytes that arrived with the head. */
static int server_take_kept(struct mcp_server_conn *server)
{
	size_t used;
	int result = server_take(server, buf_span(&server->conn.in), &used);

	buf_consume(&server->conn.in, used);
	buf_release(&server->conn.in);
	return result;
}

/* No bytes may follow a request before its response. */
static int server_take_read(struct mcp_server_conn *server)
{
	char *scratch = server->hub->targets.scratch;
	ssize_t len = conn_recv(&server->conn, scratch, LIMIT_READ_BYTES);
	size_t used;
	int result;

	if (len <= 0)
		return len == 0 ? -EPIPE : (int)len;
	result = server_take(server, span_of(scratch, (size_t)len), &used);
	return used == (size_t)len || result < 0 || server->state != SERVER_BODY ? result : -EPROTO;
}

static bool server_read_body(struct mcp_server_conn *server)
{
	uint64_t turn_end = server->conn.received_bytes + LIMIT_TURN_BYTES;
	int result = server_take_kept(server);

	while (result == 0) {
		if (server->conn.received_bytes >= turn_end) {
			loop_again(server->hub->loop, &server->again);
			return false;
		}
		result = server_take_read(server);
	}
	if (result == -EAGAIN)
		return false;
	if (result < 0)
		return server_give_up(server);
	if (server->state == SERVER_BODY) {
		server_set_state(server, SERVER_WAIT);
		server_serve(server);
		body_drop(server);
	}
	return true;
}

/* ------------------------------------------------------------------------------------ a response */

/* Only the end of the connection is expected. */
static bool server_watch(struct mcp_server_conn *server)
{
	char byte;

	if (server->conn.has_hup && conn_recv(&server->conn, &byte, sizeof(byte)) != -EAGAIN)
		return server_give_up(server);
	if (server->is_holding && !conn_has_output(&server->conn))
		server_hold(server, false);
	return false;
}

static bool server_flush(struct mcp_server_conn *server)
{
	/* The session still uses the sink, or the peer reads slowly: an event will follow in both cases. */
	if (server->sink.session || conn_has_output(&server->conn))
		return server->conn.has_hup ? server_give_up(server) : false;
	server_hold(server, false);
	if (!server->keeps)
		return server_give_up(server);
	arena_reset(&server->arena);
	head_scan_init(&server->scan, false);
	server->method = server->name = server->why = server->client = (struct span){ 0 };
	server->deadline_ms = 0;
	server->has_stream = server->is_single = server->is_initialize = false;
	server->session = NULL;
	mcp_sink_init(&server->sink, &server_sink_ops);
	server_set_state(server, SERVER_HEAD);
	return true;
}

static void server_run(struct mcp_server_conn *server)
{
	bool goes_on = true;

	while (goes_on) {
		if (server->state == SERVER_CLOSED)
			return;
		if (server->is_broken || conn_flush(&server->conn) < 0) {
			server_close(server);
			return;
		}
		switch (server->state) {
		case SERVER_HEAD:
			goes_on = server_read_head(server);
			break;
		case SERVER_BODY:
			goes_on = server_read_body(server);
			break;
		case SERVER_WAIT:
		case SERVER_EVENTS:
			goes_on = server_watch(server);
			break;
		case SERVER_FLUSH:
			goes_on = server_flush(server);
			break;
		case SERVER_CLOSED:
		case SERVER_STATE_COUNT:
			return;
		}
	}
}

static void server_on_ready(struct conn *conn)
{
	server_run(container_of(conn, struct mcp_server_conn, conn));
}

static void server_on_again(struct loop_deferred *deferred)
{
	server_run(container_of(deferred, struct mcp_server_conn, again));
}

void mcp_server_open(struct mcp_hub *hub, struct hub_service *service, int fd)
{
	struct mcp_server_conn *server = hg_calloc(1, sizeof(*server));

	if (!server) {
		close(fd);
		return;
	}
	if (conn_open(&server->conn, hub->loop, fd, server_on_ready) < 0) {
		hg_free(server);
		return;
	}
	server->hub = hub;
	server->service = service;
	service->users++;
	head_scan_init(&server->scan, false);
	arena_init(&server->arena, ARENA_BLOCK_BYTES);
	mcp_sink_init(&server->sink, &server_sink_ops);
	loop_deferred_init(&server->again, server_on_again);
	loop_deferred_init(&server->release, server_on_release);
	list_add_tail(&hub->server_conns, &server->node);
	server_run(server);
}
