/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/server/server.h"

#include <errno.h>

#include "user/base/end_reason.h"
#include "user/base/limits.h"
#include "user/http/h1_write.h"
#include "user/mcp/protocol/events.h"

enum { NOTE_BYTES = 256, SESSION_SHOWN_BYTES = 8 };
/* The same as in user/stream/internal_fields.h. */
enum { INTERNAL_FIELDS_STATUS = 199 };

#define RETRY_AFTER_S "5"

/* ------------------------------------------------------------------------------------ internal fields */

/* The end reason of the stream, although the exchange is complete; NULL: none. */
static const char *reason_of(enum mcp_fault fault)
{
	switch (fault) {
	case MCP_NONE:
		return NULL;
	case MCP_NO_SESSION:
	case MCP_ENDED:
		return end_reason_text(END_MCP_NO_SESSION);
	case MCP_TOO_MANY_CALLS:
	case MCP_TARGET_BUSY:
	case MCP_TOO_MANY_SESSIONS:
	case MCP_TOO_MANY_OF_CLIENT:
	case MCP_NO_MEMORY:
		return end_reason_text(END_MCP_LIMIT);
	case MCP_NO_TARGET:
	case MCP_TARGET_LOST:
	case MCP_TARGET_PROTOCOL_ERROR:
		return end_reason_text(END_MCP_TARGET_DIED);
	default:
		if (mcp_fault_is_denial(fault))
			return end_reason_text(END_MCP_AUTHORIZATION);
		return mcp_fault_status(fault) >= 400 ? end_reason_text(END_MCP_REFUSED) : NULL;
	}
}

/* Appends a value without control bytes, truncated: the text becomes a header field. */
static void add_note(struct text *text, const char *key, struct span value)
{
	if (!value.len)
		return;
	if (text->len)
		text_char(text, '\t');
	text_str(text, key);
	text_char(text, '=');
	value = span_first(value, NOTE_BYTES);
	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.data[i];

		text_char(text, c < ' ' || c == 0x7f ? '?' : (char)c);
	}
}

/* 0, also for a request that does not come from a stream. */
static int add_notes(const struct mcp_server_conn *server, struct fields *fields, enum mcp_fault fault)
{
	struct span kept = { 0 };
	struct text text;
	int error = 0;

	if (!server->has_stream)
		return 0;
	text_init(&text);
	add_note(&text, "mcp.method", server->method);
	add_note(&text, "mcp.tool", server->name);
	if (server->session)
		add_note(&text, "mcp.session",
			 span_first(hub_session_id(server->session), SESSION_SHOWN_BYTES));
	if (server->is_denied && fault == MCP_NONE)
		add_note(&text, "reason", span_str(end_reason_text(END_MCP_AUTHORIZATION)));
	else
		add_note(&text, "reason", span_str(reason_of(fault)));
	add_note(&text, "mcp.error", server->why);
	if (text.len) {
		kept = text_error(&text) ? kept : arena_copy(fields->arena, text_span(&text));
		error = kept.data ? fields_add(fields, SPAN("headgate-note"), kept) : -1;
	}
	text_done(&text);
	return error;
}

/* ------------------------------------------------------------------------------------ heads */

static void head_init(struct mcp_server_conn *server, struct response_head *head, unsigned int status)
{
	*head = (struct response_head){ .status = (uint16_t)status, .version_major = 1, .version_minor = 1 };
	fields_init(&head->fields, &server->http.arena);
}

void server_send_internal_fields(struct mcp_server_conn *server)
{
	struct body_framing framing = { .kind = BODY_NONE };
	struct response_head head;

	head_init(server, &head, INTERNAL_FIELDS_STATUS);
	if (add_notes(server, &head.fields, MCP_NONE) == 0 && head.fields.count)
		http1_server_send_head(&server->http, &head, &framing, NULL, 0);
}

/* Adds Mcp-Session-Id. 0 or -ENOMEM. */
static int add_session(struct mcp_server_conn *server, struct fields *fields)
{
	struct span id = hub_session_id(server->session), kept;

	if (!id.len)
		return 0;
	kept = arena_copy(fields->arena, id);
	return kept.data ? fields_add(fields, SPAN("mcp-session-id"), kept) : -ENOMEM;
}

/* Faults after which a client may repeat the request unchanged. */
static bool fault_is_of_the_moment(enum mcp_fault fault)
{
	return fault == MCP_TOO_MANY_SESSIONS || fault == MCP_TOO_MANY_OF_CLIENT ||
	       fault == MCP_TOO_MANY_CALLS || fault == MCP_TARGET_BUSY || fault == MCP_NO_MEMORY;
}

void server_answer(struct mcp_server_conn *server, unsigned int status, struct span type, struct span allow,
		   enum mcp_fault fault, const struct iovec *segments, int count)
{
	struct body_framing framing = { .kind = BODY_NONE };
	struct response_head head;
	int error;

	for (int i = 0; i < count; i++)
		framing.length += segments[i].iov_len;
	if (framing.length)
		framing.kind = BODY_LENGTH;
	else if (status != 204)
		framing.announces_length = true;
	head_init(server, &head, status);
	error = add_notes(server, &head.fields, fault);
	if (!error && type.len)
		error = fields_add(&head.fields, SPAN("content-type"), type);
	if (!error && fault_is_of_the_moment(fault))
		error = fields_add(&head.fields, SPAN("retry-after"), SPAN(RETRY_AFTER_S));
	if (!error && allow.len)
		error = fields_add(&head.fields, SPAN("allow"), allow);
	/* The session id grants access to the session: send it only to the client that opened it. */
	if (!error && server->is_initialize && fault == MCP_NONE && server->session)
		error = add_session(server, &head.fields);
	if (error)
		http1_server_break(&server->http);
	else
		http1_server_send_head(&server->http, &head, &framing, segments, count);
	http1_server_end(&server->http, NULL);
}

void server_begin_events(struct mcp_server_conn *server)
{
	struct body_framing framing = { .kind = BODY_CHUNKED };
	struct response_head head;
	int error;

	/*
	 * Otherwise the stream would not know that the request was accepted, and would not notice when the
	 * client leaves.
	 */
	if (server->has_stream && server->http.head.method == METHOD_GET)
		server_send_internal_fields(server);
	head_init(server, &head, 200);
	error = add_notes(server, &head.fields, MCP_NONE);
	if (!error)
		error = fields_add(&head.fields, SPAN("content-type"), SPAN("text/event-stream"));
	if (!error)
		error = fields_add(&head.fields, SPAN("cache-control"), SPAN("no-cache, no-transform"));
	if (!error && server->is_initialize && server->session)
		error = add_session(server, &head.fields);
	http1_server_begin_stream(&server->http);
	if (error)
		http1_server_break(&server->http);
	else
		http1_server_send_head(&server->http, &head, &framing, NULL, 0);
	/* Free the memory: an event stream may be idle for hours. */
	server->method = server->name = server->why = server->client = (struct span){ 0 };
	server->sink.fields = NULL;
	arena_done(&server->http.arena);
}

/* ------------------------------------------------------------------------------------ the sink */

/* Holds the targets of a client that does not read, unless other clients share them. */
void server_hold(struct mcp_server_conn *server, bool is_held)
{
	if (server->is_holding == is_held || (is_held && server->session->kind == MCP_SESSION_SHARED))
		return;
	server->is_holding = is_held;
	if (server->sink.session)
		hub_session_hold(server->session, is_held);
}

bool server_send_event(struct mcp_server_conn *server, struct span name, struct span id,
		       const struct iovec *segments, int count)
{
	struct buf *frame = &server->hub->frame;
	char head[CHUNK_HEAD_BYTES];
	struct iovec all[3];
	bool is_sent;

	if (server->http.is_broken || server->http.state != HTTP1_SERVER_STREAM)
		return false;
	if (events_write(frame, name, id, segments, count, BUF_MAX_BYTES) < 0) {
		http1_server_break(&server->http);
		return false;
	}
	all[0] = (struct iovec){ head, chunk_write_head(head, buf_len(frame)) };
	all[1] = (struct iovec){ frame->data + frame->start, buf_len(frame) };
	all[2] = (struct iovec){ (char[]){ '\r', '\n' }, 2 };
	is_sent = http1_server_send(&server->http, all, 3,
				    LIMIT_MCP_STREAM_FACTOR * server->hub->targets.message_bytes);
	buf_consume(frame, buf_len(frame));
	if (frame->size > LIMIT_MCP_FRAME_BYTES)
		buf_release(frame);
	if (is_sent && conn_is_blocked(&server->http.conn))
		server_hold(server, true);
	/* Now: the session detaches a broken sink, and nobody could release its targets later. */
	if (!is_sent)
		server_hold(server, false);
	return is_sent;
}

static bool on_send(struct mcp_sink *sink, const struct mcp_out *out)
{
	struct mcp_server_conn *server = container_of(sink, struct mcp_server_conn, sink);
	bool is_answer = out->kind == MCP_RESULT || out->kind == MCP_ERROR;
	char id[MCP_EVENT_ID_BYTES];
	size_t id_len = 0;

	if (mcp_fault_is_denial(out->fault))
		server->is_denied = true;
	if (server->http.state == HTTP1_SERVER_ANSWER && server->is_single && is_answer) {
		if (out->kind == MCP_ERROR) {
			server->is_initialize = false;
			bool has_words = out->why.len && !mcp_fault_is_denial(out->fault);

			server->why = arena_copy(&server->http.arena,
						 has_words ? out->why : mcp_fault_text(out->fault));
		}
		server_answer(server, out->status ? out->status : 200, SPAN("application/json"), SPAN(""),
			      out->fault, out->segments, out->count);
		return !server->http.is_broken;
	}
	if (server->http.state == HTTP1_SERVER_ANSWER)
		server_begin_events(server);
	/* Clients of 2024-11-05 cannot resume. */
	if (out->event && !sink->is_only)
		id_len = mcp_event_id_write(id, out->event);
	if (!server_send_event(server, SPAN(""), span_of(id, id_len), out->segments, out->count))
		return false;
	sink->is_resumable |= id_len > 0;
	return true;
}

static void on_done(struct mcp_sink *sink)
{
	struct mcp_server_conn *server = container_of(sink, struct mcp_server_conn, sink);
	struct span last = SPAN("0\r\n\r\n");
	struct iovec segment = { (void *)(uintptr_t)last.data, last.len };

	if (server->http.state == HTTP1_SERVER_CLOSED)
		return;
	server->session->used_ms = loop_now_ms(server->hub->loop);
	if (server->is_holding)
		hub_session_hold(server->session, false);
	server->is_holding = false;
	if (server->http.state == HTTP1_SERVER_ANSWER)
		server_begin_events(server);
	if (server->http.state == HTTP1_SERVER_STREAM) {
		(void)http1_server_send(&server->http, &segment, 1, BUF_MAX_BYTES);
		http1_server_end(&server->http, NULL);
	}
}

uint64_t server_deadline_ms(const struct mcp_sink *sink)
{
	return sink->ops == &server_sink_ops ? container_of(sink, struct mcp_server_conn, sink)->deadline_ms
					     : 0;
}

const struct mcp_sink_ops server_sink_ops = { .send = on_send, .done = on_done };
