/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/base/text.h"
#include "user/mcp/session/session_internal.h"

/* ---- one line ---- */

static bool has_line_ends(const struct mcp_out *out)
{
	for (int i = 0; i < out->count; i++) {
		struct span segment = span_of(out->segments[i].iov_base, out->segments[i].iov_len);

		if (span_find(segment, '\n') >= 0 || span_find(segment, '\r') >= 0)
			return true;
	}
	return false;
}

/*
 * Replaces line ends with blanks. Valid JSON has line ends only between tokens, never in strings. On a pipe
 * they would split the message, and its parts would reach the target as messages that nobody has validated.
 */
static int make_one_line(struct mcp_out *out, struct text *text, struct iovec *segment)
{
	if (!has_line_ends(out))
		return 0;
	for (int i = 0; i < out->count; i++)
		text_add(text, span_of(out->segments[i].iov_base, out->segments[i].iov_len));
	if (text_error(text))
		return -ENOMEM;
	for (size_t i = 0; i < text->len; i++) {
		if (text->data[i] == '\n' || text->data[i] == '\r')
			text->data[i] = ' ';
	}
	*segment = (struct iovec){ .iov_base = text->data, .iov_len = text->len };
	out->segments = segment;
	out->count = 1;
	return 0;
}

/* ---- towards targets ---- */

/* A request can be refused; other messages of a shared session concern requests that end anyway. */
static bool can_do_without(const struct mcp_session *s, const struct mcp_out *out)
{
	return out->kind == MCP_REQUEST || s->setup.kind == MCP_SESSION_SHARED;
}

int mcp_send_target(struct mcp_session *s, uint32_t target, struct mcp_out *out)
{
	struct mcp_session_target *t = &s->targets[target];
	struct iovec segment;
	struct text text;
	int error;

	if (t->is_lost || t->is_failing)
		return 0;
	text_init(&text);
	out->version = s->setup.kind == MCP_SESSION_SHARED ? MCP_2026_07_28 : t->version;
	out->fields = s->speaker ? s->speaker->fields : NULL;
	error = make_one_line(out, &text, &segment);
	if (!error)
		error = s->setup.link->send(s->setup.context, target, out);
	text_done(&text);
	if (error == -ENOBUFS && can_do_without(s, out))
		return error;
	t->is_failing |= error != 0;
	s->is_failing |= error != 0;
	return 0;
}

void mcp_send_target_text(struct mcp_session *s, uint32_t target, enum mcp_kind kind, struct span method,
			  struct span text)
{
	struct iovec segment = { .iov_base = (char *)text.data, .iov_len = text.len };
	struct mcp_out out = {
		.segments = &segment,
		.count = 1,
		.bytes = text.len,
		.kind = kind,
		.method = method,
	};

	(void)mcp_send_target(s, target, &out);
}

/* ---- towards the client ---- */

static void client_keep(struct mcp_session *s, const struct mcp_out *out, bool was_sent, uint64_t now_ms)
{
	int lost = mcp_backlog_add(&s->backlog, out->event, was_sent, out->kind, out->segments, out->count,
				   now_ms);

	if (lost && !was_sent && s->setup.watch)
		s->setup.watch->odd(s->setup.context, UINT32_MAX, MCP_ODD_DROPPED);
}

static void sink_break(struct mcp_session *s, struct mcp_sink *sink)
{
	sink->is_broken = true;
	list_remove(&sink->node);
	list_add_tail(&s->settling, &sink->node);
}

static void sink_send_line(struct mcp_session *s, struct mcp_sink *sink, uint32_t stream, struct mcp_out *out,
			   uint64_t now_ms)
{
	out->version = s->version;
	if (s->setup.kind == MCP_SESSION_STATEFUL)
		out->event = (uint64_t)stream << 32 | ++s->events;
	if (sink && !sink->is_broken) {
		if (sink->ops->send(sink, out)) {
			if (sink->is_resumable && out->event)
				client_keep(s, out, true, now_ms);
			return;
		}
		sink_break(s, sink);
		return;
	}
	/* Only the client of a stateful session can come back for the message. */
	if (!sink && s->setup.kind == MCP_SESSION_STATEFUL)
		client_keep(s, out, false, now_ms);
}

static void sink_send(struct mcp_session *s, struct mcp_sink *sink, uint32_t stream, struct mcp_out *out,
		      uint64_t now_ms)
{
	struct iovec segment;
	struct text text;

	text_init(&text);
	if (make_one_line(out, &text, &segment) == 0)
		sink_send_line(s, sink, stream, out, now_ms);
	else if (sink)
		sink_break(s, sink);
	text_done(&text);
}

void mcp_send_client(struct mcp_session *s, const struct mcp_request *r, struct mcp_out *out, uint64_t now_ms)
{
	if (!r)
		sink_send(s, s->stream, MCP_STREAM_OWN, out, now_ms);
	else if (r->stream)
		sink_send(s, r->sink, r->stream, out, now_ms);
}

void mcp_send_result(struct mcp_session *s, const struct mcp_request *r, struct span result, uint64_t now_ms)
{
	struct span parts[] = { SPAN("{\"jsonrpc\":\"2.0\",\"id\":"), r->id, SPAN(",\"result\":"), result,
				SPAN("}") };
	struct iovec segments[ARRAY_LEN(parts)];
	struct mcp_out out = {
		.segments = segments,
		.count = ARRAY_LEN(parts),
		.kind = MCP_RESULT,
		.status = 200,
		.method = r->method_text,
		.name = r->name,
	};

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		segments[i] = (struct iovec){ .iov_base = (char *)parts[i].data, .iov_len = parts[i].len };
		out.bytes += parts[i].len;
	}
	mcp_send_client(s, r, &out, now_ms);
}

void mcp_session_reason(const struct mcp_session *s, uint32_t target, struct span reason, struct text *to)
{
	text_add(to, s->setup.names.targets[target]);
	text_str(to, ": ");
	text_add(to, span_first(reason, LIMIT_MCP_REASON_BYTES));
}

static void send_fault(struct mcp_session *s, struct mcp_sink *sink, uint32_t stream, struct span id,
		       enum mcp_fault fault, struct span detail, uint64_t now_ms)
{
	struct span last =
		SPAN("{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32603,\"message\":\"no memory left\"}}");
	struct iovec segment;
	struct mcp_out out = { .segments = &segment, .count = 1, .kind = MCP_ERROR };
	struct span written;
	struct text text;

	text_init(&text);
	mcp_fault_write(&text, id, fault, detail, (struct span){ NULL, 0 });
	written = text_error(&text) ? last : text_span(&text);
	segment = (struct iovec){ .iov_base = (char *)written.data, .iov_len = written.len };
	out.bytes = written.len;
	out.status = mcp_fault_status(fault);
	out.fault = fault;
	out.why = detail;
	sink_send(s, sink, stream, &out, now_ms);
	text_done(&text);
}

void mcp_session_tell_changed(struct mcp_session *s, uint32_t target, uint64_t now_ms)
{
	static const struct {
		uint8_t capability;
		struct span text;
	} rows[] = {
		{ MCP_CAN_TOOLS,
		  SPAN("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}") },
		{ MCP_CAN_PROMPTS,
		  SPAN("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/prompts/list_changed\"}") },
		{ MCP_CAN_RESOURCES,
		  SPAN("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/resources/list_changed\"}") },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows) && s->setup.kind == MCP_SESSION_STATEFUL; i++) {
		struct iovec segment = { .iov_base = (char *)rows[i].text.data, .iov_len = rows[i].text.len };
		struct mcp_out out = { .segments = &segment,
				       .count = 1,
				       .bytes = segment.iov_len,
				       .kind = MCP_NOTIFICATION,
				       .status = 200 };

		if (s->targets[target].capabilities & rows[i].capability)
			mcp_send_client(s, NULL, &out, now_ms);
	}
}

void mcp_request_end(struct mcp_session *s, struct mcp_request *r)
{
	struct mcp_sink *sink = r->sink;

	mcp_request_free(s, r);
	if (sink && --sink->open == 0 && sink != s->stream) {
		list_remove(&sink->node);
		list_add_tail(&s->settling, &sink->node);
	}
}

void mcp_send_fault(struct mcp_session *s, struct mcp_sink *sink, struct span id, enum mcp_fault fault,
		    struct span detail, uint64_t now_ms)
{
	send_fault(s, sink, sink->stream, id, fault, detail, now_ms);
}

void mcp_send_refusal(struct mcp_session *s, struct mcp_sink *sink, const struct mcp_message *m,
		      enum mcp_fault fault, uint64_t now_ms)
{
	struct span value = m->name.len ? m->name : m->uri.len ? m->uri : m->task;
	struct text name;

	text_init(&name);
	if (mcp_fault_is_denial(fault) && fault != MCP_DENIED_METHOD && fault != MCP_DENIED_FORM)
		mcp_json_unescape(&name, mcp_json_string(value));
	mcp_send_fault(s, sink, m->id, fault, text_error(&name) ? (struct span){ 0 } : text_span(&name),
		       now_ms);
	text_done(&name);
}

void mcp_request_fail(struct mcp_session *s, struct mcp_request *r, enum mcp_fault fault, struct span detail,
		      uint64_t now_ms)
{
	if (r->stream)
		send_fault(s, r->sink, r->stream, r->id, fault, detail, now_ms);
	mcp_request_end(s, r);
}
