/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/target/remote_request.h"

#include <errno.h>
#include <string.h>

#include "config/snapshot.h"
#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/http/connection_auth.h"
#include "user/http/h1_write.h"
#include "user/mcp/target/remote_fields.h"
#include "user/upstream/upstream.h"

/* ------------------------------------------------------------------------------------ the peer */

int remote_peer_init(struct remote_peer *peer, struct mcp_targets *targets, const struct remote_place *place)
{
	*peer = (struct remote_peer){ .targets = targets,
				      .where = *place->where,
				      .tls = place->tls,
				      .modifier = place->modifier,
				      .connect_ms =
					      place->connect_ms ? place->connect_ms : LIMIT_MCP_CONNECT_MS };
	arena_init(&peer->arena, 256);
	peer->where.health = NULL;
	peer->where.text = arena_copy(&peer->arena, place->where->text);
	peer->where.host = arena_copy(&peer->arena, place->where->host);
	peer->authority = arena_copy(&peer->arena, place->authority);
	if (peer->where.text.data && peer->where.host.data && peer->authority.data)
		peer->endpoint = upstream_pool_endpoint(
			targets->pool, &peer->where,
			&(struct upstream_wants){ .keepalive = place->keepalive,
						  .tls = place->tls,
						  .proxy_version = place->proxy_version });
	if (peer->endpoint) {
		peer->snapshot = peer->tls || peer->modifier ? snapshot_ref(place->snapshot) : NULL;
		return 0;
	}
	arena_done(&peer->arena);
	return -ENOMEM;
}

void remote_peer_done(struct remote_peer *peer)
{
	if (!peer->endpoint)
		return;
	upstream_pool_leave(peer->targets->pool, peer->endpoint);
	peer->endpoint = NULL;
	snapshot_unref(peer->snapshot);
	peer->snapshot = NULL;
	arena_done(&peer->arena);
}

/* ------------------------------------------------------------------------------------ references */

struct span remote_reference(struct arena *arena, const struct remote_base *base, struct span reference)
{
	struct span data = reference, none = { 0 }, authority = base->authority, path = base->path;
	struct span scheme = base->is_tls ? SPAN("https://") : SPAN("http://");
	ptrdiff_t slash;
	char *joined;

	if (span_starts(data, scheme)) {
		data = span_from(data, scheme.len);
		if (data.len <= authority.len ||
		    !span_eq_nocase(span_first(data, authority.len), authority) ||
		    data.data[authority.len] != '/')
			return none;
		data = span_from(data, authority.len);
	}
	for (size_t i = 0; i < data.len; i++) {
		if (data.data[i] <= ' ' || data.data[i] >= 0x7f || data.data[i] == '#' ||
		    (data.data[i] == ':' && span_find(span_first(data, i), '/') < 0 &&
		     span_find(span_first(data, i), '?') < 0))
			return none;
	}
	if (!data.len || span_starts(data, SPAN("//")))
		return none;
	if (data.data[0] == '/')
		return arena_copy(arena, data);
	/* Relative to the directory of the base path. */
	slash = span_find(path, '?');
	path = slash < 0 ? path : span_first(path, (size_t)slash);
	while (path.len && path.data[path.len - 1] != '/')
		path.len--;
	joined = arena_bytes(arena, path.len + data.len);
	if (!joined)
		return none;
	memcpy(joined, path.data, path.len);
	memcpy(joined + path.len, data.data, data.len);
	return span_of(joined, path.len + data.len);
}

/* ------------------------------------------------------------------------------------ end */

static void request_on_release(struct loop_deferred *deferred)
{
	struct remote_request *request = container_of(deferred, struct remote_request, release);

	http1_client_done(&request->client);
	buf_done(&request->text);
	events_reader_done(&request->events);
	hg_free(request);
}

void remote_request_stop(struct remote_request *request)
{
	if (request->is_over)
		return;
	request->is_over = true;
	list_remove(&request->node);
	http1_client_stop(&request->client);
	/* From here on nothing refers to the peer, so its owner may free it. */
	loop_defer(request->client.pool->loop, &request->release);
}

/* on_end() comes last: the owner may free the peer in it. */
static void request_end(struct remote_request *request, struct span why)
{
	if (request->is_over)
		return;
	remote_request_stop(request);
	request->ops->on_end(request, why);
}

void remote_request_limit(struct remote_request *request, uint64_t ms)
{
	http1_client_limit(&request->client, ms);
}

void remote_request_hold(struct remote_request *request, bool is_held)
{
	http1_client_hold(&request->client, is_held);
}

/* ------------------------------------------------------------------------------------ the response */

static bool is_media_type(const struct fields *fields, struct span type)
{
	const struct field *field = fields_get(fields, FIELD_CONTENT_TYPE);
	struct span rest, value;

	if (!field)
		return false;
	rest = field->value;
	return span_split(&rest, ';', &value) && span_eq_nocase(span_trim(value), type);
}

static bool client_on_head(struct http1_client *client, const struct response_head *head)
{
	struct remote_request *request = container_of(client, struct remote_request, client);

	request->is_events = is_media_type(&head->fields, SPAN("text/event-stream"));
	request->is_text = is_media_type(&head->fields, SPAN("application/json"));
	if (!request->ops->on_head(request, head))
		remote_request_stop(request);
	return !request->is_over;
}

static void request_take_events(struct remote_request *request, struct span payload)
{
	struct events_event event;
	int result;

	while (!request->is_over && (result = events_read(&request->events, &payload, &event)) != 0) {
		if (result < 0) {
			request_end(request, result == -ENOMEM ? SPAN("no memory for an event")
							       : SPAN("an event that is too large"));
			return;
		}
		request->ops->on_event(request, &event);
	}
}

static void request_take_text(struct remote_request *request, struct span payload)
{
	int error = buf_append(&request->text, payload, request->message_bytes);

	if (error)
		request_end(request, error == -ENOBUFS ? SPAN("a message that is too large")
						       : SPAN("no memory for a message"));
}

static void client_on_body(struct http1_client *client, struct span payload)
{
	struct remote_request *request = container_of(client, struct remote_request, client);

	if (request->is_events)
		request_take_events(request, payload);
	else if (request->is_text)
		request_take_text(request, payload);
}

/* A BOM is no JSON, but receivers may ignore it (RFC 8259 8.1). */
static struct span without_bom(struct span text)
{
	return span_starts(text, SPAN("\xef\xbb\xbf")) ? span_from(text, 3) : text;
}

static void client_on_end(struct http1_client *client, struct span why)
{
	struct remote_request *request = container_of(client, struct remote_request, client);

	if (!why.len && request->is_text && request->ops->on_text && buf_len(&request->text))
		request->ops->on_text(request, without_bom(buf_span(&request->text)));
	request_end(request, why);
}

static const struct http1_client_ops client_ops = {
	.on_head = client_on_head,
	.on_body = client_on_body,
	.on_end = client_on_end,
};

/* ------------------------------------------------------------------------------------ the request */

static int request_write(struct remote_request *request, const struct remote_peer *peer,
			 const struct remote_ask *ask)
{
	static const struct span names[] = {
		[METHOD_GET] = SPAN("GET"),	  [METHOD_HEAD] = SPAN("HEAD"),
		[METHOD_POST] = SPAN("POST"),	  [METHOD_PUT] = SPAN("PUT"),
		[METHOD_DELETE] = SPAN("DELETE"), [METHOD_OPTIONS] = SPAN("OPTIONS"),
		[METHOD_PATCH] = SPAN("PATCH"),
	};
	bool has_length = ask->bytes || ask->method == METHOD_POST || ask->method == METHOD_PUT ||
			  ask->method == METHOD_PATCH;
	struct h1_write_options options = { .version_minor = 1 };
	struct body_framing framing = { .kind = has_length ? BODY_LENGTH : BODY_NONE, .length = ask->bytes };
	struct request_head head = { .method = ask->method,
				     .method_text = names[ask->method],
				     .path = ask->path,
				     .authority = peer->authority,
				     .version_major = 1,
				     .version_minor = 1,
				     .fields = *ask->fields };
	ptrdiff_t query = span_find(ask->path, '?');
	int error;

	if (query >= 0) {
		head.has_query = true;
		head.query = span_from(ask->path, (size_t)query + 1);
		head.path = span_first(ask->path, (size_t)query);
	}
	error = remote_add_client(&head.fields, ask->client, peer->modifier);
	request->client.is_bound = connection_auth_is_sent(&head.fields);
	if (!error)
		error = h1_write_request(&request->client.out, &head, &framing, &options);
	for (int i = 0; i < ask->count && !error; i++)
		error = buf_append(&request->client.out,
				   span_of(ask->segments[i].iov_base, ask->segments[i].iov_len),
				   BUF_MAX_BYTES);
	return error;
}

struct remote_request *remote_request_start(struct remote_peer *peer, const struct remote_ask *ask,
					    const struct remote_request_ops *ops, void *owner)
{
	struct mcp_targets *targets = peer->targets;
	struct remote_request *request = hg_calloc(1, sizeof(*request));

	if (!request)
		return NULL;
	list_init(&request->node);
	request->owner = owner;
	request->ops = ops;
	request->message_bytes = targets->message_bytes;
	http1_client_init(&request->client, targets->pool, targets->scratch, ask->method, &client_ops);
	request->client.options =
		(struct dial_options){ .where = &peer->where, .endpoint = peer->endpoint, .tls = peer->tls };
	request->client.connect_ms = peer->connect_ms;
	request->client.may_repeat = ask->may_repeat;
	if (ask->head_ms)
		request->client.head_deadline_ms = loop_now_ms(targets->loop) + ask->head_ms;
	buf_init(&request->text);
	events_reader_init(&request->events, targets->message_bytes);
	loop_deferred_init(&request->release, request_on_release);
	if (request_write(request, peer, ask) < 0) {
		request_on_release(&request->release);
		return NULL;
	}
	http1_client_start(&request->client);
	return request;
}

static uint32_t count_notices(const struct list *requests)
{
	uint32_t count = 0;

	list_each(node, next, requests)
		count += list_entry(node, const struct remote_request, node)->call == 0;
	return count;
}

bool remote_requests_have_room(const struct mcp_targets *targets, const struct list *requests, size_t waiting,
			       const struct mcp_out *out)
{
	return mcp_targets_have_room(targets, waiting + remote_requests_bytes(requests), out->bytes) &&
	       (out->call || count_notices(requests) < LIMIT_MCP_NOTICES);
}

size_t remote_requests_bytes(const struct list *requests)
{
	size_t bytes = 0;

	list_each(node, next, requests) {
		const struct remote_request *request = list_entry(node, const struct remote_request, node);

		bytes += buf_len(&request->client.out);
		if (request->client.upstream)
			bytes += buf_len(&request->client.upstream->conn.out);
	}
	return bytes;
}
