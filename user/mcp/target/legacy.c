/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/target/legacy.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/mcp/target/remote_fields.h"

struct legacy {
	struct mcp_target target;
	struct remote_peer peer;
	struct arena arena;
	struct span path;
	struct span endpoint; /* in arena; empty: not said yet */
	struct remote_client client; /* who has opened it; for the stream, and what waits */
	struct remote_request *stream; /* NULL: has ended */
	struct list posts; /* of struct remote_request */
	struct list waiting; /* of struct legacy_message: for the endpoint */
	size_t waiting_bytes;
	bool is_held;
	bool is_lost;
	struct text why;
	struct loop_deferred lost;
	struct loop_deferred release;
};

struct legacy_message {
	struct list node;
	uint64_t call;
	size_t len;
	char text[];
};

static const struct remote_request_ops stream_ops;
static const struct remote_request_ops post_ops;

/* ------------------------------------------------------------------------------------ end */

static struct loop *legacy_loop(const struct legacy *legacy)
{
	return legacy->peer.targets->loop;
}

static void legacy_stop(struct legacy *legacy)
{
	struct list *node;

	if (legacy->stream)
		remote_request_stop(legacy->stream);
	legacy->stream = NULL;
	list_each(post, next, &legacy->posts)
		remote_request_stop(list_entry(post, struct remote_request, node));
	while ((node = list_pop(&legacy->waiting)) != NULL)
		hg_free(list_entry(node, struct legacy_message, node));
	legacy->waiting_bytes = 0;
}

static void legacy_free(struct legacy *legacy)
{
	struct mcp_targets *targets = legacy->peer.targets;

	legacy_stop(legacy);
	list_remove(&legacy->target.node);
	loop_deferred_cancel(&legacy->lost);
	loop_deferred_cancel(&legacy->release);
	remote_peer_done(&legacy->peer);
	arena_done(&legacy->arena);
	remote_client_done(&legacy->client);
	text_done(&legacy->why);
	hg_free(legacy);
	if (list_is_empty(&targets->list) && targets->on_empty)
		targets->on_empty(targets);
}

static void legacy_on_release(struct loop_deferred *deferred)
{
	legacy_free(container_of(deferred, struct legacy, release));
}

/* Its owner learns it at the end of the turn: never from within a call of its own. */
static void legacy_lose(struct legacy *legacy, struct span why)
{
	if (legacy->is_lost)
		return;
	legacy->is_lost = true;
	text_add(&legacy->why, why);
	loop_defer(legacy_loop(legacy), &legacy->lost);
}

static void legacy_on_lost(struct loop_deferred *deferred)
{
	struct legacy *legacy = container_of(deferred, struct legacy, lost);

	legacy_stop(legacy);
	if (legacy->target.events)
		legacy->target.events->on_lost(legacy->target.owner, text_span(&legacy->why), SPAN(""));
}

/* ------------------------------------------------------------------------------------ the endpoint */

static int legacy_post(struct legacy *legacy, uint64_t call, const struct fields *client,
		       const struct iovec *segments, int count, size_t bytes)
{
	struct remote_ask ask = { .method = METHOD_POST,
				  .client = client,
				  .path = legacy->endpoint,
				  .segments = segments,
				  .count = count,
				  .bytes = bytes,
				  .head_ms = call ? 0 : LIMIT_MCP_NOTICE_MS };
	struct remote_request *request = NULL;
	struct arena arena;
	struct fields fields;

	arena_init(&arena, 256);
	fields_init(&fields, &arena);
	ask.fields = &fields;
	if (fields_add(&fields, SPAN("content-type"), SPAN("application/json")) == 0)
		request = remote_request_start(&legacy->peer, &ask, &post_ops, legacy);
	arena_done(&arena);
	if (!request)
		return -ENOMEM;
	request->call = call;
	list_add_tail(&legacy->posts, &request->node);
	return 0;
}

static void legacy_send_waiting(struct legacy *legacy)
{
	struct list *node;

	while ((node = list_pop(&legacy->waiting)) != NULL) {
		struct legacy_message *message = list_entry(node, struct legacy_message, node);
		struct iovec segment = { message->text, message->len };

		if (legacy_post(legacy, message->call, &legacy->client.fields, &segment, 1, message->len) < 0)
			legacy_lose(legacy, SPAN("no memory for a message"));
		hg_free(message);
	}
	legacy->waiting_bytes = 0;
}

static void legacy_on_endpoint(struct legacy *legacy, struct span data)
{
	if (legacy->endpoint.len)
		return;
	legacy->endpoint = remote_reference(
		&legacy->arena,
		&(struct remote_base){ legacy->peer.authority, legacy->path, legacy->peer.tls != NULL },
		data);
	if (legacy->endpoint.len)
		legacy_send_waiting(legacy);
	else
		legacy_lose(legacy, SPAN("its endpoint event does not name a path of the same server"));
}

/* ------------------------------------------------------------------------------------ responses */

static bool stream_on_head(struct remote_request *request, const struct response_head *head)
{
	char why[64];

	if (head->status == 200 && request->is_events)
		return true;
	snprintf(why, sizeof(why), "no event stream, but a response with status %u", head->status);
	legacy_lose(request->owner, span_str(why));
	((struct legacy *)request->owner)->stream = NULL;
	return false;
}

/* Once the answer is there, nothing of its POST is needed, and the response to that may never come. */
static void legacy_release_posts(struct legacy *legacy)
{
	list_each(node, next, &legacy->posts) {
		struct remote_request *request = list_entry(node, struct remote_request, node);

		if (request->call && !request->client.end_deadline_ms &&
		    !legacy->target.events->is_waited_for(legacy->target.owner, request->call))
			remote_request_limit(request, LIMIT_MCP_CHILD_PAUSE_MS);
	}
}

static void stream_on_event(struct remote_request *request, const struct events_event *event)
{
	struct legacy *legacy = request->owner;

	if (span_eq(event->name, SPAN("endpoint"))) {
		legacy_on_endpoint(legacy, event->data);
	} else if ((event->name.len && !span_eq(event->name, SPAN("message"))) || !legacy->target.events ||
		   legacy->is_lost) {
		return;
	} else if (event->is_cut) {
		legacy->target.events->on_call_lost(legacy->target.owner, event->call,
						    SPAN(EVENTS_TOO_LARGE));
	} else if (event->data.len) {
		legacy->target.received++;
		(void)legacy->target.events->on_message(legacy->target.owner, 0, event->data);
		if (legacy->target.events)
			legacy_release_posts(legacy);
	}
}

static void stream_on_text(struct remote_request *request, struct span text)
{
	(void)request;
	(void)text;
}

static void stream_on_end(struct remote_request *request, struct span why)
{
	struct legacy *legacy = request->owner;

	legacy->stream = NULL;
	legacy_lose(legacy, why.len ? why : SPAN("its event stream has ended"));
}

static const struct remote_request_ops stream_ops = {
	.on_head = stream_on_head,
	.on_event = stream_on_event,
	.on_text = stream_on_text,
	.on_end = stream_on_end,
};

static void post_failed(struct legacy *legacy, uint64_t call, struct span why)
{
	if (call && legacy->target.events && !legacy->is_lost &&
	    legacy->target.events->is_waited_for(legacy->target.owner, call))
		legacy->target.events->on_call_lost(legacy->target.owner, call, why);
}

static bool post_on_head(struct remote_request *request, const struct response_head *head)
{
	bool is_taken = head->status >= 200 && head->status < 300;
	char why[64];

	request->is_events = false;
	request->is_text = false;
	remote_request_limit(request, LIMIT_MCP_CHILD_PAUSE_MS);
	snprintf(why, sizeof(why), "it refused the message with status %u", head->status);
	if (!is_taken)
		post_failed(request->owner, request->call, span_str(why));
	return true;
}

static void post_on_event(struct remote_request *request, const struct events_event *event)
{
	(void)request;
	(void)event;
}

static void post_on_end(struct remote_request *request, struct span why)
{
	if (why.len && !request->client.has_head)
		post_failed(request->owner, request->call, why);
}

static const struct remote_request_ops post_ops = {
	.on_head = post_on_head,
	.on_event = post_on_event,
	.on_text = stream_on_text,
	.on_end = post_on_end,
};

/* ------------------------------------------------------------------------------------ the target */

static int legacy_keep(struct legacy *legacy, const struct mcp_out *out)
{
	struct legacy_message *message;

	message = hg_malloc(sizeof(*message) + out->bytes);
	if (!message)
		return -ENOMEM;
	*message = (struct legacy_message){ .call = out->call };
	for (int i = 0; i < out->count; i++) {
		memcpy(message->text + message->len, out->segments[i].iov_base, out->segments[i].iov_len);
		message->len += out->segments[i].iov_len;
	}
	legacy->waiting_bytes += message->len;
	list_add_tail(&legacy->waiting, &message->node);
	return 0;
}

static size_t legacy_queued(const struct legacy *legacy)
{
	return legacy->waiting_bytes + remote_requests_bytes(&legacy->posts);
}

static int legacy_send(struct mcp_target *target, const struct mcp_out *out)
{
	struct legacy *legacy = container_of(target, struct legacy, target);
	const struct fields *client = out->fields;
	int error;

	if (legacy->is_lost)
		return -EPIPE;
	if (!remote_requests_have_room(legacy->peer.targets, &legacy->posts, legacy->waiting_bytes, out))
		return -ENOBUFS;
	if (!client && out->version != MCP_2026_07_28)
		client = &legacy->client.fields;
	if (legacy->endpoint.len)
		error = legacy_post(legacy, out->call, client, out->segments, out->count, out->bytes);
	else
		error = legacy_keep(legacy, out);
	if (!error)
		target->sent++;
	return error;
}

/* Its answer would come on the stream of all. */
static void legacy_forget(struct mcp_target *target, uint64_t call)
{
	struct legacy *legacy = container_of(target, struct legacy, target);

	list_each(node, next, &legacy->posts) {
		struct remote_request *request = list_entry(node, struct remote_request, node);

		if (request->call == call)
			remote_request_limit(request, LIMIT_MCP_CHILD_PAUSE_MS);
	}
}

static void legacy_hold(struct mcp_target *target, bool is_held)
{
	struct legacy *legacy = container_of(target, struct legacy, target);

	legacy->is_held = is_held;
	if (legacy->stream)
		remote_request_hold(legacy->stream, is_held);
}

static void legacy_describe(const struct mcp_target *target, struct mcp_target_view *ret_view)
{
	const struct legacy *legacy = container_of(target, const struct legacy, target);

	*ret_view = (struct mcp_target_view){ .state = legacy->is_lost	      ? "lost"
						       : legacy->endpoint.len ? "open"
									      : "opening",
					      .sent = target->sent,
					      .received = target->received,
					      .queued_bytes = legacy_queued(legacy) };
}

static void legacy_close(struct mcp_target *target)
{
	struct legacy *legacy = container_of(target, struct legacy, target);

	legacy->is_lost = true;
	loop_deferred_cancel(&legacy->lost);
	legacy_stop(legacy);
	loop_defer(legacy_loop(legacy), &legacy->release);
}

static void legacy_abort(struct mcp_target *target)
{
	legacy_free(container_of(target, struct legacy, target));
}

static const struct mcp_target_ops legacy_ops = {
	.send = legacy_send,
	.forget = legacy_forget,
	.hold = legacy_hold,
	.describe = legacy_describe,
	.close = legacy_close,
	.abort = legacy_abort,
};

static int legacy_start(struct legacy *legacy)
{
	struct remote_ask ask = { .method = METHOD_GET,
				  .path = legacy->path,
				  .client = &legacy->client.fields,
				  .head_ms = LIMIT_MCP_CONNECT_MS };
	struct arena arena;
	struct fields fields;

	arena_init(&arena, 256);
	fields_init(&fields, &arena);
	ask.fields = &fields;
	if (fields_add(&fields, SPAN("accept"), SPAN("text/event-stream")) == 0)
		legacy->stream = remote_request_start(&legacy->peer, &ask, &stream_ops, legacy);
	arena_done(&arena);
	return legacy->stream ? 0 : -ENOMEM;
}

int legacy_open(struct mcp_targets *targets, const struct legacy_options *options,
		const struct mcp_target_events *events, void *owner, struct mcp_target **ret_target)
{
	struct legacy *legacy = hg_calloc(1, sizeof(*legacy));

	if (!legacy)
		return -ENOMEM;
	arena_init(&legacy->arena, 256);
	legacy->path = arena_copy(&legacy->arena, options->path);
	if (!legacy->path.data || remote_peer_init(&legacy->peer, targets, &options->place) < 0) {
		arena_done(&legacy->arena);
		hg_free(legacy);
		return -ENOMEM;
	}
	remote_client_init(&legacy->client);
	remote_client_keep(&legacy->client, options->client);
	legacy->target.ops = &legacy_ops;
	list_init(&legacy->posts);
	list_init(&legacy->waiting);
	text_init(&legacy->why);
	loop_deferred_init(&legacy->lost, legacy_on_lost);
	loop_deferred_init(&legacy->release, legacy_on_release);
	if (legacy_start(legacy) < 0) {
		remote_client_done(&legacy->client);
		remote_peer_done(&legacy->peer);
		arena_done(&legacy->arena);
		hg_free(legacy);
		return -ENOMEM;
	}
	legacy->target.events = events;
	legacy->target.owner = owner;
	list_add_tail(&targets->list, &legacy->target.node);
	*ret_target = &legacy->target;
	return 0;
}
