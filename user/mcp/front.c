/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/front.h"

#include <errno.h>
#include <unistd.h>

#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/http/h1_parse.h"
#include "user/mcp/front_serve.h"
#include "user/relay/head_reader.h"

enum { ARENA_BLOCK_BYTES = 1024 };

/* ------------------------------------------------------------------------------------ its end */

static void body_drop(struct mcp_front *front)
{
	front->hub->body_bytes -= front->body.size;
	buf_done(&front->body);
}

static void front_on_release(struct loop_deferred *deferred)
{
	struct mcp_front *front = container_of(deferred, struct mcp_front, release);

	body_decoder_done(&front->decoder);
	arena_done(&front->arena);
	body_drop(front);
	hg_free(front);
}

/* A stream closes its connection when it gives up; before that its client has left. */
static enum mcp_gone why_gone(const struct mcp_front *front)
{
	if (front->deadline_ms && loop_now_ms(front->hub->loop) >= front->deadline_ms)
		return MCP_GONE_TIMEOUT;
	return front->sink.is_resumable ? MCP_GONE_RESUMABLE : MCP_GONE_CLIENT;
}

/* Never from within a callback of the session. */
static void front_close(struct mcp_front *front)
{
	struct mcp_hub *hub = front->hub;

	if (front->state == FRONT_CLOSED)
		return;
	front_set_state(front, FRONT_CLOSED);
	front_hold(front, false);
	if (front->sink.session) {
		mcp_session_sink_gone(front->session->mux, &front->sink, why_gone(front),
				      loop_now_ms(hub->loop));
		hub_session_settle(front->session);
	}
	loop_deferred_cancel(&front->again);
	conn_close(&front->conn, false);
	list_remove(&front->node);
	hub_service_leave(hub, front->service);
	loop_defer(hub->loop, &front->release);
}

void mcp_fronts_stop(struct mcp_hub *hub)
{
	list_each(node, next, &hub->fronts)
		front_close(list_entry(node, struct mcp_front, node));
}

/* ------------------------------------------------------------------------------------ a request */

/* What cannot be read as a request: nothing of ours sends that, so no words are lost about it. */
static bool front_give_up(struct mcp_front *front)
{
	front_close(front);
	return false;
}

static void front_refuse_body(struct mcp_front *front, enum mcp_fault fault)
{
	front->keeps = false;
	body_drop(front);
	front_serve_refused(front, fault);
}

/* MCP_NONE, or why the body cannot be taken. */
static enum mcp_fault body_add(struct mcp_front *front, struct span payload)
{
	struct mcp_hub *hub = front->hub;
	size_t before = front->body.size;
	int error;

	error = buf_append(&front->body, payload, hub->targets.message_bytes);
	hub->body_bytes += front->body.size - before;
	if (error == 0 && hub->body_bytes >= LIMIT_MCP_BODIES_BYTES)
		error = -ENOMEM;
	return error == 0 ? MCP_NONE : error == -ENOMEM ? MCP_NO_MEMORY : MCP_TOO_LARGE;
}

static void front_begin_request(struct mcp_front *front, const struct body_framing *framing)
{
	front->keeps = framing_request_keeps(&front->head);
	body_decoder_done(&front->decoder);
	body_decoder_init(&front->decoder, framing);
	front_set_state(front, FRONT_BODY);
	if (framing->kind == BODY_LENGTH && framing->length > front->hub->targets.message_bytes) {
		front_refuse_body(front, MCP_TOO_LARGE);
		return;
	}
	if (fields_list_has(&front->head.fields, FIELD_EXPECT, SPAN("100-continue")) &&
	    buf_len(&front->conn.in) == 0) {
		struct span text = SPAN("HTTP/1.1 100 Continue\r\n\r\n");
		struct iovec piece = { (void *)(uintptr_t)text.data, text.len };

		front->is_broken = conn_send(&front->conn, &piece, 1, LIMIT_HEAD_BYTES) < 0;
	}
}

/* True: the state has changed. */
static bool front_read_head(struct mcp_front *front)
{
	static const struct head_limits limits = {
		/* A stream has checked them, and its rules may have added to them. */
		.line_bytes = LIMIT_HEAD_WRITE_BYTES,
		.head_bytes = LIMIT_HEAD_WRITE_BYTES,
		.fields = LIMIT_HEADERS_MAX + LIMIT_HEADERS,
	};
	struct body_framing framing;
	struct span bytes;

	switch (head_read(&front->conn, &front->scan, &limits, front->hub->targets.scratch, LIMIT_READ_BYTES,
			  &front->arena, &bytes)) {
	case HEAD_READ_MORE:
		return false;
	case HEAD_READ_DONE:
		break;
	case HEAD_READ_BAD:
	case HEAD_READ_EOF:
	case HEAD_READ_ERROR:
	case HEAD_READ_MEMORY:
		return front_give_up(front);
	}
	if (h1_parse_request(bytes, &front->arena, &front->head, &framing) != BAD_NONE)
		return front_give_up(front);
	front_begin_request(front, &framing);
	return true;
}

/* 0 and all of `bytes` is taken; 1: the message is complete, or was answered; -errno. */
static int front_take(struct mcp_front *front, struct span bytes, size_t *ret_used)
{
	*ret_used = 0;
	for (;;) {
		enum mcp_fault fault;
		struct span payload;
		size_t used;
		enum body_step step =
			body_decode(&front->decoder, span_from(bytes, *ret_used), &used, &payload);

		*ret_used += used;
		if (step == BODY_MORE)
			return 0;
		if (step == BODY_END)
			return 1;
		if (step == BODY_BAD)
			return -EPROTO;
		fault = body_add(front, payload);
		if (!fault)
			continue;
		front_refuse_body(front, fault);
		return 1;
	}
}

/* What came with the head. */
static int front_take_kept(struct mcp_front *front)
{
	size_t used;
	int result = front_take(front, buf_span(&front->conn.in), &used);

	buf_consume(&front->conn.in, used);
	buf_release(&front->conn.in);
	return result;
}

/* Behind a request nothing may come before its response. */
static int front_take_read(struct mcp_front *front)
{
	char *scratch = front->hub->targets.scratch;
	ssize_t len = conn_recv(&front->conn, scratch, LIMIT_READ_BYTES);
	size_t used;
	int result;

	if (len <= 0)
		return len == 0 ? -EPIPE : (int)len;
	result = front_take(front, span_of(scratch, (size_t)len), &used);
	return used == (size_t)len || result < 0 || front->state != FRONT_BODY ? result : -EPROTO;
}

static bool front_read_body(struct mcp_front *front)
{
	uint64_t turn_end = front->conn.received_bytes + LIMIT_TURN_BYTES;
	int result = front_take_kept(front);

	while (result == 0) {
		if (front->conn.received_bytes >= turn_end) {
			loop_again(front->hub->loop, &front->again);
			return false;
		}
		result = front_take_read(front);
	}
	if (result == -EAGAIN)
		return false;
	if (result < 0)
		return front_give_up(front);
	if (front->state == FRONT_BODY) {
		front_set_state(front, FRONT_WAIT);
		front_serve(front);
		body_drop(front);
	}
	return true;
}

/* ------------------------------------------------------------------------------------ a response */

/* The only thing that may come is the end. */
static bool front_watch(struct mcp_front *front)
{
	char byte;

	if (front->conn.has_hup && conn_recv(&front->conn, &byte, sizeof(byte)) != -EAGAIN)
		return front_give_up(front);
	if (front->is_holding && !conn_has_output(&front->conn))
		front_hold(front, false);
	return false;
}

static bool front_flush(struct mcp_front *front)
{
	/* The session has not let go of it, or the other end is behind: either comes with an event. */
	if (front->sink.session || conn_has_output(&front->conn))
		return front->conn.has_hup ? front_give_up(front) : false;
	front_hold(front, false);
	if (!front->keeps)
		return front_give_up(front);
	arena_reset(&front->arena);
	head_scan_init(&front->scan, false);
	front->method = front->name = front->why = front->client = (struct span){ 0 };
	front->deadline_ms = 0;
	front->has_stream = front->is_single = front->is_initialize = false;
	front->session = NULL;
	mcp_sink_init(&front->sink, &front_sink_ops);
	front_set_state(front, FRONT_HEAD);
	return true;
}

static void front_run(struct mcp_front *front)
{
	bool goes_on = true;

	while (goes_on) {
		if (front->state == FRONT_CLOSED)
			return;
		if (front->is_broken || conn_flush(&front->conn) < 0) {
			front_close(front);
			return;
		}
		switch (front->state) {
		case FRONT_HEAD:
			goes_on = front_read_head(front);
			break;
		case FRONT_BODY:
			goes_on = front_read_body(front);
			break;
		case FRONT_WAIT:
		case FRONT_EVENTS:
			goes_on = front_watch(front);
			break;
		case FRONT_FLUSH:
			goes_on = front_flush(front);
			break;
		case FRONT_CLOSED:
		case FRONT_STATE_COUNT:
			return;
		}
	}
}

static void front_on_ready(struct conn *conn)
{
	front_run(container_of(conn, struct mcp_front, conn));
}

static void front_on_again(struct loop_deferred *deferred)
{
	front_run(container_of(deferred, struct mcp_front, again));
}

void mcp_front_open(struct mcp_hub *hub, struct hub_service *service, int fd)
{
	struct mcp_front *front = hg_calloc(1, sizeof(*front));

	if (!front) {
		close(fd);
		return;
	}
	if (conn_open(&front->conn, hub->loop, fd, front_on_ready) < 0) {
		hg_free(front);
		return;
	}
	front->hub = hub;
	front->service = service;
	service->users++;
	head_scan_init(&front->scan, false);
	arena_init(&front->arena, ARENA_BLOCK_BYTES);
	mcp_sink_init(&front->sink, &front_sink_ops);
	loop_deferred_init(&front->again, front_on_again);
	loop_deferred_init(&front->release, front_on_release);
	list_add_tail(&hub->fronts, &front->node);
	front_run(front);
}
