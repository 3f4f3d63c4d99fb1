/* SPDX-License-Identifier: Apache-2.0 */
#include "user/phase/endpoint_choice.h"

#include <errno.h>

#include "policy/balance.h"
#include "policy/circuit_breaker.h"
#include "policy/headers.h"
#include "user/base/mem.h"
#include "user/base/text.h"
#include "user/client/client_announce.h"
#include "user/http/target.h"
#include "user/phase/affinity.h"
#include "user/phase/session.h"
#include "user/phase/transform.h"
#include "user/stream/attempt_hold.h"
#include "user/stream/attempt_wait.h"
#include "user/upstream/forward.h"
#include "user/upstream/upstream.h"
#include "user/upstream/upstream_choice.h"

static const struct list *place_bound(const struct stream *stream)
{
	const struct client *client = stream->client;

	return stream->exchange && !stream->downstream_codec_h2 && client->http &&
			       !list_is_empty(&client->http->bound)
		       ? &client->http->bound
		       : NULL;
}

/* The endpoint of `ref` to which a connection bound to this client leads; UINT32_MAX: none. */
static uint32_t place_bound_index(const struct stream *stream, const struct backend_ref *ref)
{
	const struct backend *backend = snapshot_backend(stream->lease->snapshot, ref->backend);
	const struct list *bound = place_bound(stream);

	if (!bound)
		return UINT32_MAX;
	for (uint32_t i = 0; i < backend->endpoint_count; i++) {
		list_each(node, next, bound) {
			const struct upstream *upstream = list_entry(node, struct upstream, idle_node);

			if (span_eq(upstream->endpoint->text, backend->endpoint_list[i].text) &&
			    !previous_hosts_has(stream->attempt.previous_hosts, backend->index, i))
				return i;
		}
	}
	return UINT32_MAX;
}

const struct backend_ref *place_bound_backend(const struct stream *stream)
{
	const struct route *route = stream->route;

	for (uint32_t i = 0; place_bound(stream) && i < route->backend_count; i++) {
		if (route->backend_list[i].weight &&
		    place_bound_index(stream, &route->backend_list[i]) != UINT32_MAX)
			return &route->backend_list[i];
	}
	return NULL;
}

static struct span place_lower(struct arena *arena, struct span host)
{
	char *lower = arena_bytes(arena, host.len);

	for (size_t i = 0; lower && i < host.len; i++)
		lower[i] =
			(char)(host.data[i] >= 'A' && host.data[i] <= 'Z' ? host.data[i] + 32 : host.data[i]);
	return span_of(lower, lower ? host.len : 0);
}

/* The host that the request names, after rewrites; its default port is that of the scheme to the backend. */
static int place_requested(struct stream *stream, struct endpoint **ret_endpoint)
{
	struct arena *arena = &stream->exchange->arena;
	struct span authority = stream->exchange->head.authority, host = authority_host(authority),
		    digits = authority_port(authority);
	bool is_v6 = host.len > 2 && host.data[0] == '[';
	struct endpoint *endpoint = arena_take(arena, sizeof(*endpoint));
	uint64_t port = stream->backend->tls ? 443 : 80;
	struct text text;

	if (!endpoint)
		return -ENOMEM;
	if (host.len == 0 ||
	    (digits.len && (span_parse_u63(digits, &port) < 0 || port < 1 || port > UINT16_MAX)))
		return -EINVAL;
	if (is_v6)
		host = span_of(host.data + 1, host.len - 2);
	*endpoint = (struct endpoint){ .port = (uint16_t)port, .host = place_lower(arena, host) };
	endpoint->is_resolved = address_parse_ip(endpoint->host, endpoint->port, &endpoint->address) == 0;
	if (is_v6 && !endpoint->is_resolved)
		return -EINVAL;
	text_init(&text);
	text_fmt(&text, is_v6 ? "[%.*s]:%u" : "%.*s:%u", SPAN_FMT(endpoint->host), endpoint->port);
	endpoint->text = text_error(&text) ? (struct span){ 0 } : arena_copy(arena, text_span(&text));
	text_done(&text);
	*ret_endpoint = endpoint;
	return endpoint->host.data && endpoint->text.data ? 0 : -ENOMEM;
}

static int place_choose_dynamic(struct stream *stream, const struct upstream_wants *wants)
{
	struct attempt *attempt = &stream->attempt;
	struct endpoint *endpoint;
	int error = place_requested(stream, &endpoint);

	if (error)
		return error;
	/* A name is checked when it is resolved. */
	if (endpoint->is_resolved && !forward_may_reach(stream->backend->backend, &endpoint->address))
		return -EACCES;
	attempt->endpoint_index = 0;
	stream->exchange->requested = endpoint;
	attempt->endpoint = upstream_pool_endpoint(&stream->proxy->pool, endpoint, wants);
	return attempt->endpoint ? 0 : -ENOMEM;
}

/* Where there is only one endpoint, nothing was chosen. */
static void place_trace(const struct stream *stream, enum choice_reason reason)
{
	if (stream_backend(stream)->endpoint_count > 1)
		proxy_trace(stream->proxy, stream->id, TRACE_ENDPOINT, reason,
			    stream->attempt.endpoint_index);
}

/* The endpoint of the session, if it may be used. 0 or -ENOMEM. */
static int place_choose_session(struct stream *stream, struct upstream_choice *choice)
{
	bool has_failed = false;

	choice->index = session_endpoint(stream);
	choice->reason = CHOICE_SESSION;
	if (choice->index != UINT32_MAX)
		stream->attempt.endpoint = upstream_choose_this(&stream->proxy->pool, choice, &has_failed);
	return has_failed ? -ENOMEM : 0;
}

static int place_choose_any(struct stream *stream, const struct upstream_wants *wants)
{
	const struct affinity *affinity = stream->backend->affinity;
	struct attempt *attempt = &stream->attempt;
	int error = 0;
	struct upstream_choice choice = {
		.backend = stream_backend(stream),
		.wants = wants,
		.balancer = stream->backend->balancer,
		.previous_hosts = attempt->previous_hosts,
		.endpoint_most = circuit_breaker_endpoint_most(stream->backend->breaker),
		/* A key that moved to another endpoint would lose what that one knows of it. */
		.needs_stream = !affinity && attempt_wait_needs_stream(stream),
		.announced = stream->client->http ? &stream->client->http->announced : NULL,
		.last = attempt->endpoint_index
	};

	if (stream->route && stream->route->effective.session)
		error = place_choose_session(stream, &choice);
	if (!error && !attempt->endpoint) {
		if (affinity)
			error = affinity_hash(stream, affinity, &choice.hash);
		choice.has_hash = affinity && error == 0;
		if (error != -ENOMEM)
			attempt->endpoint = upstream_choose(&stream->proxy->pool, &choice);
	}
	if (!attempt->endpoint)
		return -ENOMEM;
	attempt->endpoint_index = choice.index;
	place_trace(stream, choice.reason);
	return 0;
}

/* An endpoint of a backend with a list of them. 0 or -ENOMEM. */
static int place_choose_listed(struct stream *stream, const struct upstream_wants *wants)
{
	uint32_t bound = place_bound_index(stream, stream->backend);
	const struct backend *backend = stream_backend(stream);
	struct attempt *attempt = &stream->attempt;

	if (bound == UINT32_MAX)
		return place_choose_any(stream, wants);
	attempt->endpoint_index = bound;
	attempt->endpoint =
		upstream_pool_endpoint(&stream->proxy->pool, &backend->endpoint_list[bound], wants);
	place_trace(stream, CHOICE_BOUND);
	return attempt->endpoint ? 0 : -ENOMEM;
}

int place_choose(struct stream *stream)
{
	struct attempt *attempt = &stream->attempt;
	const struct static_config *config = &stream->lease->snapshot->config;
	struct upstream_wants wants = upstream_wants_of(stream->backend, config);
	int error;

	/* A tunnel may go direct if the client's connection bypasses TCP as well. */
	wants.bypasses |=
		stream->backend->is_same_host && config->splice.lane_direct && stream->client->conn.bypass;
	error = stream_backend(stream)->kind == BACKEND_DYNAMIC ? place_choose_dynamic(stream, &wants)
								: place_choose_listed(stream, &wants);
	if (error)
		return error;
	attempt->endpoint = client_announce(stream->client, attempt->endpoint);
	if (!attempt->endpoint)
		return -ENOMEM;
	attempt->endpoint->shared->load.in_flight++;
	return 0;
}

static const struct backend_ref *place_list(const struct stream *stream, uint32_t *ret_count)
{
	*ret_count = stream->is_tcp ? stream->tcp_route->backend_count : stream->route->backend_count;
	return stream->is_tcp ? stream->tcp_route->backend_list : stream->route->backend_list;
}

bool place_has_elsewhere(const struct stream *stream)
{
	uint32_t count;
	const struct backend_ref *list = place_list(stream, &count);

	return balance_has_elsewhere(stream->lease->snapshot->backend_list, list, count, stream->backend,
				     stream->attempt.previous_hosts);
}

bool place_may_change_backend(const struct stream *stream)
{
	return stream->route->backend_count > 1;
}

void place_keep_plain(struct stream *stream)
{
	if (!place_may_change_backend(stream))
		return;
	stream->exchange->plain_head = stream->exchange->head;
	stream->exchange->plain_metadata = stream->exchange->metadata;
}

int place_use_backend(struct stream *stream)
{
	int error = 0;

	if (place_may_change_backend(stream)) {
		stream->exchange->head = stream->exchange->plain_head;
		stream->exchange->metadata = stream->exchange->plain_metadata;
		error = fields_clone(&stream->exchange->plain_head.fields, &stream->exchange->arena,
				     &stream->exchange->head.fields);
	}
	if (!error)
		error = transform_for_backend(stream);
	if (!error && stream->backend->request_headers)
		error = headers_modify(&stream->exchange->head.fields, stream->backend->request_headers);
	if (!error)
		error = headers_rewrite(&stream->exchange->head,
					stream->backend->rewrite ? stream->backend->rewrite
								 : stream->route->effective.rewrite,
					stream->route->effective.host_rewrite, stream->exchange->match,
					stream->backend);
	return error;
}

void place_add_previous_host(struct stream *stream)
{
	struct attempt *attempt = &stream->attempt;

	if (!attempt->previous_hosts)
		attempt->previous_hosts = hg_calloc(1, sizeof(*attempt->previous_hosts));
	if (attempt->previous_hosts && attempt->endpoint_index != UINT32_MAX)
		previous_hosts_add(attempt->previous_hosts, stream->backend->backend->index,
				   attempt->endpoint_index);
}

static bool has_same_guards(const struct guard_list *a, const struct guard_list *b)
{
	if (a->count != b->count)
		return false;
	for (uint32_t i = 0; i < a->count; i++)
		if (a->list[i].object != b->list[i].object)
			return false;
	return true;
}

/*
 * Guards of another backend would see a request that was changed for this one; and what a service said for
 * this backend, the next one must not take for what one said for it.
 */
static bool place_may_move_to(const struct stream *stream, const struct backend_ref *next)
{
	const struct guard_list *own = &stream->backend->guards;

	for (uint32_t i = 0; i < own->count; i++)
		if (own->list[i].guard->kind == POLICY_BACKEND_EXT_AUTHZ)
			return has_same_guards(own, &next->guards);
	return next->guards.count == 0;
}

int place_change_backend(struct stream *stream)
{
	struct attempt *attempt = &stream->attempt;
	const struct snapshot *snapshot = stream->lease->snapshot;
	const struct backend_ref *next = stream->backend;
	const struct backend *backend = stream_backend(stream);
	uint32_t count;
	const struct backend_ref *list = place_list(stream, &count);

	/*
	 * With more endpoints than can be recorded, or without memory to record them, the number of tries
	 * decides.
	 */
	if (++attempt->tries_here >= backend->endpoint_count ||
	    !balance_has_untried(backend, attempt->previous_hosts))
		next = balance_backend_again(snapshot->backend_list, list, count, next,
					     attempt->previous_hosts, proxy_random(stream->proxy));
	if (next == stream->backend || snapshot_backend(snapshot, next->backend)->endpoint_count == 0 ||
	    !place_may_move_to(stream, next))
		return 0;
	attempt_leave_endpoint(stream);
	stream->backend = next;
	attempt->tries_here = 0;
	attempt->endpoint_index = UINT32_MAX;
	return stream->exchange ? place_use_backend(stream) : 0;
}
