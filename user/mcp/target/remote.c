/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/target/remote.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/mcp/target/remote_fields.h"

enum { RETRY_MS = 1000, RETRY_MAX_MS = 30000, LAST_ID_BYTES = 1024, SESSION_BYTES = 1024 };

enum remote_kind {
	REMOTE_POST,
	REMOTE_STREAM, /* the GET for messages that belong to no request */
	REMOTE_RESUME, /* a GET for the rest of a POST's event stream */
	REMOTE_DELETE,
};

struct remote {
	struct mcp_target target;
	struct remote_peer peer;
	struct list requests;
	struct arena arena;
	struct span path;
	struct span session; /* in arena; empty: none */
	/* headers of the last message of a target with a session, for requests of our own */
	struct remote_client client;
	enum mcp_version version; /* of the last message */
	uint32_t redirects;
	bool is_path_known; /* it has sent a response other than a redirect */
	struct buf last_id; /* of the stream's last event */
	struct timer retry; /* of the stream */
	uint64_t retry_ms;
	bool has_stream; /* wanted, and not refused */
	bool is_held;
	bool is_lost;
	bool is_closed;
	struct text why;
	struct loop_deferred lost;
	struct loop_deferred release;
};

/* One HTTP request, with the data to resume its response. */
struct remote_post {
	struct remote *remote;
	struct buf last_id;
	struct remote_client client; /* of the message */
	struct buf copy; /* of the message, kept until the path of the target is known */
	size_t method_len; /* in `copy`, after the message; then the name */
	size_t name_len;
	enum mcp_version version; /* of the message */
	uint32_t redirects;
	uint32_t resumes;
	uint16_t status;
	enum mcp_fault fault; /* of the last invalid message in the response */
	bool is_answered;
};

static const struct remote_request_ops remote_request_ops;

/* ------------------------------------------------------------------------------------ end */

static struct loop *remote_loop(const struct remote *remote)
{
	return remote->peer.targets->loop;
}

static void remote_free(struct remote *remote)
{
	struct mcp_targets *targets = remote->peer.targets;

	list_remove(&remote->target.node);
	timer_cancel(loop_timers(targets->loop), &remote->retry);
	loop_deferred_cancel(&remote->lost);
	loop_deferred_cancel(&remote->release);
	remote_peer_done(&remote->peer);
	arena_done(&remote->arena);
	remote_client_done(&remote->client);
	buf_done(&remote->last_id);
	text_done(&remote->why);
	hg_free(remote);
	if (list_is_empty(&targets->list) && targets->on_empty)
		targets->on_empty(targets);
}

static void remote_on_release(struct loop_deferred *deferred)
{
	remote_free(container_of(deferred, struct remote, release));
}

static struct remote_post *post_of(const struct remote_request *request)
{
	return request->owner;
}

static void post_free(struct remote_post *post)
{
	buf_done(&post->last_id);
	buf_done(&post->copy);
	remote_client_done(&post->client);
	hg_free(post);
}

static void remote_stop_request(struct remote_request *request)
{
	struct remote_post *post = post_of(request);

	remote_request_stop(request);
	post_free(post);
}

static void remote_stop_all(struct remote *remote)
{
	list_each(node, next, &remote->requests)
		remote_stop_request(list_entry(node, struct remote_request, node));
	timer_cancel(loop_timers(remote_loop(remote)), &remote->retry);
}

/* The owner is notified at the end of the turn, never from within its own call. */
static void remote_lose(struct remote *remote, struct span why)
{
	if (remote->is_lost || remote->is_closed)
		return;
	remote->is_lost = true;
	remote->has_stream = false;
	text_add(&remote->why, why);
	loop_defer(remote_loop(remote), &remote->lost);
}

static void remote_on_lost(struct loop_deferred *deferred)
{
	struct remote *remote = container_of(deferred, struct remote, lost);

	remote_stop_all(remote);
	if (remote->target.events)
		remote->target.events->on_lost(remote->target.owner, text_span(&remote->why), SPAN(""));
}

static void remote_call_lost(struct remote *remote, uint64_t call, struct span why)
{
	if (remote->target.events)
		remote->target.events->on_call_lost(remote->target.owner, call, why);
}

/* ------------------------------------------------------------------------------------ requests */

static int add_fields(const struct remote *remote, struct fields *fields, enum remote_kind kind,
		      struct span last_id)
{
	bool is_post = kind == REMOTE_POST;
	int error = 0;

	if (kind != REMOTE_DELETE)
		error = fields_add(fields, SPAN("accept"),
				   is_post ? SPAN("application/json, text/event-stream")
					   : SPAN("text/event-stream"));
	if (!error && is_post)
		error = fields_add(fields, SPAN("content-type"), SPAN("application/json"));
	if (!error && remote->session.len)
		error = fields_add(fields, SPAN("mcp-session-id"), remote->session);
	if (!error && remote->version != MCP_VERSION_NONE)
		error = fields_add(fields, SPAN("mcp-protocol-version"), mcp_version_text(remote->version));
	if (!error && last_id.len)
		error = fields_add(fields, SPAN("last-event-id"), last_id);
	return error;
}

/* Keeps the message for a redirect. Without memory, or for a long message, redirects are not followed. */
static void post_keep(struct remote_post *post, const struct mcp_out *out)
{
	size_t bytes = out->bytes + out->method.len + out->name.len;

	if (bytes > LIMIT_MCP_FRAME_BYTES || buf_reserve(&post->copy, bytes, LIMIT_MCP_FRAME_BYTES) < 0)
		return;
	for (int i = 0; i < out->count; i++) {
		memcpy(buf_tail(&post->copy), out->segments[i].iov_base, out->segments[i].iov_len);
		buf_commit(&post->copy, out->segments[i].iov_len);
	}
	(void)buf_append(&post->copy, out->method, LIMIT_MCP_FRAME_BYTES);
	(void)buf_append(&post->copy, out->name, LIMIT_MCP_FRAME_BYTES);
	post->method_len = out->method.len;
	post->name_len = out->name.len;
	remote_client_keep(&post->client, out->fields);
}

/* 0, or -ENOMEM (also if a value does not fit into a header). */
static int remote_ask(struct remote *remote, enum remote_kind kind, const struct mcp_out *out, uint64_t call,
		      struct span last_id, struct remote_request **ret_request)
{
	static const enum http_method methods[] = { [REMOTE_POST] = METHOD_POST,
						    [REMOTE_STREAM] = METHOD_GET,
						    [REMOTE_RESUME] = METHOD_GET,
						    [REMOTE_DELETE] = METHOD_DELETE };
	struct remote_post *post = hg_calloc(1, sizeof(*post));
	struct remote_request *request = NULL;
	struct arena arena;
	struct fields fields;
	struct remote_ask ask = { .method = methods[kind], .path = remote->path, .fields = &fields };

	if (!post)
		return -ENOMEM;
	post->remote = remote;
	buf_init(&post->last_id);
	buf_init(&post->copy);
	remote_client_init(&post->client);
	ask.client =
		out && (out->fields || out->version == MCP_2026_07_28) ? out->fields : &remote->client.fields;
	if (out && !remote->is_path_known)
		post_keep(post, out);
	if (out) {
		post->version = out->version;
		ask.segments = out->segments;
		ask.count = out->count;
		ask.bytes = out->bytes;
	}
	ask.head_ms = kind == REMOTE_DELETE	     ? LIMIT_MCP_CHILD_PAUSE_MS
		      : kind == REMOTE_POST && !call ? LIMIT_MCP_NOTICE_MS
						     : 0;
	arena_init(&arena, 512);
	fields_init(&fields, &arena);
	if (add_fields(remote, &fields, kind, last_id) == 0 &&
	    (!out || out->version < MCP_2026_07_28 ||
	     (remote_add_mirrored(&fields, SPAN("mcp-method"), out->method) == 0 &&
	      remote_add_mirrored(&fields, SPAN("mcp-name"), out->name) == 0)))
		request = remote_request_start(&remote->peer, &ask, &remote_request_ops, post);
	arena_done(&arena);
	if (!request) {
		post_free(post);
		return -ENOMEM;
	}
	request->kind = kind;
	request->call = call;
	list_add_tail(&remote->requests, &request->node);
	if (remote->is_held)
		remote_request_hold(request, true);
	if (ret_request)
		*ret_request = request;
	return 0;
}

/* ------------------------------------------------------------------------------------ the GET stream */

static void stream_wait(struct remote *remote)
{
	if (!remote->has_stream || remote->is_lost || remote->is_closed)
		return;
	timer_arm(loop_timers(remote_loop(remote)), &remote->retry,
		  loop_now_ms(remote_loop(remote)) + remote->retry_ms);
	remote->retry_ms = remote->retry_ms * 2 < RETRY_MAX_MS ? remote->retry_ms * 2 : RETRY_MAX_MS;
}

static void stream_open(struct remote *remote)
{
	if (remote_ask(remote, REMOTE_STREAM, NULL, 0, buf_span(&remote->last_id), NULL) < 0)
		stream_wait(remote);
}

static void remote_on_retry(struct timer *timer, uint64_t now_ms)
{
	(void)now_ms;
	stream_open(container_of(timer, struct remote, retry));
}

/* ------------------------------------------------------------------------------------ responses */

/* Stores the server's session id. It is a valid header value, because the head was parsed. */
static void remote_note_session(struct remote *remote, const struct response_head *head)
{
	const struct field *field = fields_find(&head->fields, SPAN("mcp-session-id"));

	if (!field || remote->session.len || !field->value.len || field->value.len > SESSION_BYTES)
		return;
	remote->session = arena_copy(&remote->arena, field->value);
}

/* Before its first other response a target may name another path, as frameworks that add a slash do. */
/* It must not name another server: a target must not choose who gets a message. */
static bool post_redirects(struct remote *remote, const struct remote_request *request,
			   const struct response_head *head)
{
	const struct field *location = fields_find(&head->fields, SPAN("location"));
	struct remote_base base = { remote->peer.authority, remote->path, remote->peer.tls != NULL };
	struct remote_post *post = post_of(request);
	struct span body = buf_span(&post->copy), path;
	struct iovec segment;
	struct mcp_out out = {
		.segments = &segment, .count = 1, .version = post->version, .fields = &post->client.fields
	};
	struct remote_request *again;

	if (!location || !body.len || post->redirects >= LIMIT_MCP_REDIRECTS ||
	    remote->redirects >= LIMIT_MCP_REDIRECTS)
		return false;
	path = remote_reference(&remote->arena, &base, location->value);
	if (!path.len)
		return false;
	remote->redirects += !span_eq(path, remote->path);
	remote->path = path;
	out.bytes = body.len - post->method_len - post->name_len;
	out.method = span_of(body.data + out.bytes, post->method_len);
	out.name = span_of(out.method.data + out.method.len, post->name_len);
	segment = (struct iovec){ (void *)(uintptr_t)body.data, out.bytes };
	if (remote_ask(remote, REMOTE_POST, &out, request->call, SPAN(""), &again) < 0)
		return false;
	post_of(again)->redirects = post->redirects + 1;
	return true;
}

/* False: the message was sent to another path instead. */
static bool on_post_head(struct remote *remote, struct remote_request *request,
			 const struct response_head *head)
{
	if ((head->status == 307 || head->status == 308) && post_redirects(remote, request, head)) {
		post_free(post_of(request));
		return false;
	}
	remote->is_path_known |= head->status < 300 || head->status > 399;
	if (!request->call) /* no content is expected */
		remote_request_limit(request, LIMIT_MCP_CHILD_PAUSE_MS);
	if (head->status == 404 && remote->session.len)
		remote_lose(remote, SPAN("its session has ended (404)"));
	else if (head->status >= 200 && head->status < 300)
		remote_note_session(remote, head);
	else
		/* an error can have a JSON body that explains it, but no stream */
		request->is_events = false;
	return true;
}

static void on_stream_head(struct remote *remote, struct remote_request *request,
			   const struct response_head *head)
{
	if (head->status == 200 && request->is_events) {
		remote->retry_ms = RETRY_MS;
		return;
	}
	if (head->status == 404 && remote->session.len)
		remote_lose(remote, SPAN("its session has ended (404)"));
	/* 405: the server has no stream. Other errors are permanent, too, except 429 and 5xx. */
	if (head->status != 429 && head->status < 500)
		remote->has_stream = false;
}

static bool on_head(struct remote_request *request, const struct response_head *head)
{
	struct remote_post *post = post_of(request);

	post->status = head->status;
	switch ((enum remote_kind)request->kind) {
	case REMOTE_POST:
		return on_post_head(post->remote, request, head);
	case REMOTE_STREAM:
		on_stream_head(post->remote, request, head);
		break;
	case REMOTE_RESUME:
		request->is_events &= head->status == 200;
		break;
	case REMOTE_DELETE:
		break;
	}
	return true;
}

/* Once the response was delivered, only the end of the stream is expected: do not wait long for it. */
static void note_answer(struct remote_request *request)
{
	struct remote_post *post = post_of(request);
	const struct mcp_target *target = &post->remote->target;

	if (post->is_answered || !request->call || !target->events ||
	    target->events->is_waited_for(target->owner, request->call))
		return;
	post->is_answered = true;
	remote_request_limit(request, LIMIT_MCP_CHILD_PAUSE_MS);
}

/* Delivers a message. An invalid one is not a response: on_post_end() reports that. */
static void remote_deliver(struct remote_request *request, struct span text)
{
	struct remote *remote = post_of(request)->remote;
	enum mcp_fault fault;

	if (!remote->target.events || remote->is_lost || !text.len)
		return;
	remote->target.received++;
	fault = remote->target.events->on_message(remote->target.owner,
						  request->call ? request->call : MCP_CALL_NONE, text);
	if (request->is_over) /* the session has stopped it in on_message() */
		return;
	if (fault)
		post_of(request)->fault = fault;
	note_answer(request);
}

static void on_event(struct remote_request *request, const struct events_event *event)
{
	struct remote_post *post = post_of(request);
	struct remote *remote = post->remote;
	struct buf *last_id = request->kind == REMOTE_STREAM ? &remote->last_id : &post->last_id;

	if (event->id.len && event->id.len <= LAST_ID_BYTES) {
		buf_consume(last_id, buf_len(last_id));
		/* Without memory the stream resumes earlier; the session ignores repeated events. */
		(void)buf_append(last_id, event->id, LAST_ID_BYTES);
	}
	if (event->name.len && !span_eq(event->name, SPAN("message")))
		return;
	if (event->is_cut) {
		remote_call_lost(remote, event->call, SPAN(EVENTS_TOO_LARGE));
		if (!request->is_over)
			note_answer(request);
		return;
	}
	remote_deliver(request, event->data);
}

static void on_text(struct remote_request *request, struct span text)
{
	remote_deliver(request, text);
}

/* Resumes an event stream that ended before the response to the call, if its events had ids. */
static bool post_resumes(struct remote *remote, const struct remote_post *post, uint64_t call)
{
	struct remote_request *request;

	/* From 2026-07-28 on the client repeats the request itself, and nobody may do it on its behalf. */
	if (post->version == MCP_2026_07_28 || !buf_len(&post->last_id) ||
	    post->resumes >= LIMIT_MCP_RESUMES || remote->is_lost ||
	    remote_ask(remote, REMOTE_RESUME, NULL, call, buf_span(&post->last_id), &request) < 0)
		return false;
	post_of(request)->resumes = post->resumes + 1;
	return true;
}

static void on_post_end(struct remote *remote, const struct remote_post *post, uint64_t call, struct span why)
{
	char text[160];

	if (!call || post->is_answered || post_resumes(remote, post, call))
		return;
	if (!why.len) {
		remote_explain(text, sizeof(text), post->status, post->fault);
		why = span_str(text);
	}
	remote_call_lost(remote, call, why);
}

static void on_end(struct remote_request *request, struct span why)
{
	struct remote_post *post = post_of(request);
	struct remote *remote = post->remote;

	switch ((enum remote_kind)request->kind) {
	case REMOTE_POST:
	case REMOTE_RESUME:
		on_post_end(remote, post, request->call, why);
		break;
	case REMOTE_STREAM:
		stream_wait(remote);
		break;
	case REMOTE_DELETE:
		loop_defer(remote_loop(remote), &remote->release);
		break;
	}
	post_free(post);
}

static const struct remote_request_ops remote_request_ops = {
	.on_head = on_head,
	.on_event = on_event,
	.on_text = on_text,
	.on_end = on_end,
};

/* ------------------------------------------------------------------------------------ the target */

static int remote_send(struct mcp_target *target, const struct mcp_out *out)
{
	struct remote *remote = container_of(target, struct remote, target);
	int error;

	if (remote->is_lost)
		return -EPIPE;
	/* 2026-07-28: cancelled by closing the response, see remote_forget(). */
	if (out->version == MCP_2026_07_28 && span_eq(out->method, mcp_method_text(MCP_METHOD_CANCELLED)))
		return 0;
	if (!remote_requests_have_room(remote->peer.targets, &remote->requests, 0, out))
		return -ENOBUFS;
	remote->version = out->version;
	if (out->version != MCP_2026_07_28)
		remote_client_keep(&remote->client, out->fields);
	error = remote_ask(remote, REMOTE_POST, out, out->call, SPAN(""), NULL);
	if (error)
		return error;
	target->sent++;
	if (span_eq(out->method, SPAN("notifications/initialized")) && !remote->has_stream) {
		remote->has_stream = true;
		/* In the next turn, after the POST. */
		timer_arm(loop_timers(remote_loop(remote)), &remote->retry, loop_now_ms(remote_loop(remote)));
	}
	return 0;
}

static void remote_forget(struct mcp_target *target, uint64_t call)
{
	struct remote *remote = container_of(target, struct remote, target);

	list_each(node, next, &remote->requests) {
		struct remote_request *request = list_entry(node, struct remote_request, node);

		if (request->call == call)
			remote_stop_request(request);
	}
}

static void remote_hold(struct mcp_target *target, bool is_held)
{
	struct remote *remote = container_of(target, struct remote, target);

	remote->is_held = is_held;
	list_each(node, next, &remote->requests)
		remote_request_hold(list_entry(node, struct remote_request, node), is_held);
}

static void remote_describe(const struct mcp_target *target, struct mcp_target_view *ret_view)
{
	const struct remote *remote = container_of(target, const struct remote, target);

	*ret_view = (struct mcp_target_view){ .state = remote->is_lost ? "lost" : "open",
					      .sent = target->sent,
					      .received = target->received };
	ret_view->queued_bytes = remote_requests_bytes(&remote->requests);
}

static void remote_close(struct mcp_target *target)
{
	struct remote *remote = container_of(target, struct remote, target);
	struct remote_request *request = NULL;

	remote->is_closed = true;
	remote->is_held = false;
	loop_deferred_cancel(&remote->lost);
	remote_stop_all(remote);
	if (!remote->is_lost && remote->session.len)
		(void)remote_ask(remote, REMOTE_DELETE, NULL, 0, SPAN(""), &request);
	if (request)
		remote_request_limit(request, LIMIT_MCP_CHILD_PAUSE_MS); /* its end releases the target */
	else
		loop_defer(remote_loop(remote), &remote->release);
}

static void remote_abort(struct mcp_target *target)
{
	struct remote *remote = container_of(target, struct remote, target);

	remote_stop_all(remote);
	remote_free(remote);
}

static const struct mcp_target_ops remote_ops = {
	.send = remote_send,
	.forget = remote_forget,
	.hold = remote_hold,
	.describe = remote_describe,
	.close = remote_close,
	.abort = remote_abort,
};

int remote_open(struct mcp_targets *targets, const struct remote_options *options,
		const struct mcp_target_events *events, void *owner, struct mcp_target **ret_target)
{
	struct remote *remote = hg_calloc(1, sizeof(*remote));

	if (!remote)
		return -ENOMEM;
	arena_init(&remote->arena, 256);
	remote->path = arena_copy(&remote->arena, options->path);
	if (!remote->path.data || remote_peer_init(&remote->peer, targets, &options->place) < 0) {
		arena_done(&remote->arena);
		hg_free(remote);
		return -ENOMEM;
	}
	remote->target.ops = &remote_ops;
	remote->target.events = events;
	remote->target.owner = owner;
	list_init(&remote->requests);
	remote_client_init(&remote->client);
	buf_init(&remote->last_id);
	text_init(&remote->why);
	timer_init(&remote->retry, remote_on_retry);
	loop_deferred_init(&remote->lost, remote_on_lost);
	loop_deferred_init(&remote->release, remote_on_release);
	remote->retry_ms = RETRY_MS;
	list_add_tail(&targets->list, &remote->target.node);
	*ret_target = &remote->target;
	return 0;
}
