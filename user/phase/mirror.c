/* SPDX-License-Identifier: Apache-2.0 */
#include "user/phase/mirror.h"

#include <errno.h>

#include "policy/circuit_breaker.h"
#include "policy/guard/backend_auth.h"
#include "policy/headers.h"
#include "policy/timeout.h"
#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/client/client_announce.h"
#include "user/http/body.h"
#include "user/http/connection_auth.h"
#include "user/http/h1_write.h"
#include "user/http1/client.h"
#include "user/phase/endpoint_choice.h"
#include "user/stream/stream.h"
#include "user/upstream/upstream_choice.h"

/* A head, and a body in chunks of one byte. */
enum { MIRROR_REQUEST_BYTES = LIMIT_HEAD_WRITE_BYTES + 8 * LIMIT_RETRY_BODY_BYTES };

/* A copy that waits for the body of its request; in the stream's arena. */
struct mirror_plan {
	struct mirror_plan *next;
	const struct backend_ref *ref; /* borrowed from the lease */
	struct span head;
	bool is_chunked;
	bool is_bound;
};

/* One running copy. It owns its bytes; it borrows the backend from the configuration through its lease. */
struct mirror {
	struct proxy *proxy; /* borrowed */
	struct list node;
	struct lease *lease; /* one reference */
	const struct backend_ref *ref;
	struct upstream_endpoint *endpoint; /* one user count */
	struct http1_client client;
	struct loop_deferred release;
};

static void mirror_free(struct mirror *mirror)
{
	list_remove(&mirror->node);
	mirror->proxy->mirror_count--;
	http1_client_done(&mirror->client);
	lease_unref(mirror->lease);
	hg_free(mirror);
}

static void mirror_on_release(struct loop_deferred *deferred)
{
	mirror_free(container_of(deferred, struct mirror, release));
}

/* Ends the copy now; frees it at the end of the turn. */
static void mirror_close(struct mirror *mirror, bool is_complete)
{
	struct proxy *proxy = mirror->proxy;

	if (!is_complete)
		counter_add(proxy->counters, COUNTER_MIRROR_FAILURES, 1);
	http1_client_stop(&mirror->client);
	if (mirror->endpoint) {
		mirror->endpoint->shared->load.in_flight--;
		upstream_pool_leave(&proxy->pool, mirror->endpoint);
	}
	loop_defer(proxy->loop, &mirror->release);
}

static void mirror_on_end(struct http1_client *client, struct span why)
{
	mirror_close(container_of(client, struct mirror, client), why.len == 0);
}

static const struct http1_client_ops mirror_ops = { .on_end = mirror_on_end };

/* False without memory. */
static bool mirror_choose(struct mirror *mirror, struct client *sender)
{
	struct proxy *proxy = mirror->proxy;
	const struct static_config *config = &mirror->lease->snapshot->config;
	struct upstream_wants wants = upstream_wants_of(mirror->ref, config);
	const struct backend *backend = snapshot_backend(mirror->lease->snapshot, mirror->ref->backend);
	struct upstream_choice choice = { .backend = backend,
					  .wants = &wants,
					  .balancer = mirror->ref->balancer,
					  .endpoint_most =
						  circuit_breaker_endpoint_most(mirror->ref->breaker),
					  .last = UINT32_MAX };

	mirror->endpoint = upstream_choose(&proxy->pool, &choice);
	if (mirror->endpoint)
		mirror->endpoint = client_announce(sender, mirror->endpoint);
	if (!mirror->endpoint)
		return false;
	mirror->endpoint->shared->load.in_flight++;
	mirror->client.options = (struct dial_options){
		.where = &backend->endpoint_list[choice.index],
		.endpoint = mirror->endpoint,
		.tls = wants.tls,
		.quota = circuit_breaker_quota(backend, &backend->endpoint_list[choice.index]),
		.quota_most = circuit_breaker_most(mirror->ref->breaker, config->connections_per_backend)
	};
	return true;
}

/* Writes the head as for any backend, but without Expect, which would make the backend wait. */
static int mirror_write_head(const struct stream *stream, const struct backend_ref *ref,
			     const struct body_framing *framing, struct buf *out, bool *ret_is_bound)
{
	struct h1_write_options options = { .version_minor = 1 };
	struct request_head head = stream->exchange->head;
	struct arena arena;
	int error;

	arena_init(&arena, 2048);
	error = fields_clone(&stream->exchange->head.fields, &arena, &head.fields);
	if (!error && ref->request_headers)
		error = headers_modify(&head.fields, ref->request_headers);
	if (!error)
		error = headers_rewrite(&head, stream->route->effective.rewrite,
					stream->route->effective.host_rewrite, stream->exchange->match, ref);
	if (!error && ref->auth)
		error = backend_auth_apply(ref->auth, stream->exchange->identity.token, &head, &arena);
	if (!error) {
		*ret_is_bound = connection_auth_is_sent(&head.fields);
		fields_remove_id(&head.fields, FIELD_EXPECT);
		error = h1_write_request(out, &head, framing, &options);
	}
	arena_done(&arena);
	return error;
}

static int mirror_add_segment(struct mirror *mirror, struct span bytes, bool is_chunked)
{
	char head[CHUNK_HEAD_BYTES];
	int error = 0;

	if (is_chunked)
		error = buf_append(&mirror->client.out, span_of(head, chunk_write_head(head, bytes.len)),
				   MIRROR_REQUEST_BYTES);
	if (!error)
		error = buf_append(&mirror->client.out, bytes, MIRROR_REQUEST_BYTES);
	if (!error && is_chunked)
		error = buf_append(&mirror->client.out, SPAN("\r\n"), MIRROR_REQUEST_BYTES);
	return error;
}

/* body: NULL: none. */
static int mirror_write(struct mirror *mirror, const struct mirror_plan *plan, const struct replay *body)
{
	int error = buf_append(&mirror->client.out, plan->head, MIRROR_REQUEST_BYTES);

	if (!body)
		return error;
	list_each(node, next, &body->segments) {
		const struct replay_segment *segment = list_entry(node, struct replay_segment, node);

		if (!error)
			error = mirror_add_segment(mirror, span_of(segment->data, segment->len),
						   plan->is_chunked);
	}
	return error || !plan->is_chunked ? error
					  : chunk_write_end(&mirror->client.out, NULL, MIRROR_REQUEST_BYTES);
}

static void mirror_start(struct stream *stream, const struct mirror_plan *plan, const struct replay *body)
{
	struct proxy *proxy = stream->proxy;
	struct mirror *mirror = proxy->mirror_count < LIMIT_MIRRORS ? hg_calloc(1, sizeof(*mirror)) : NULL;
	struct exchange_timeouts timeouts;
	uint64_t limit_ms = LIMIT_MIRROR_MS;

	if (!mirror) {
		counter_add(proxy->counters, COUNTER_MIRROR_DROPPED, 1);
		return;
	}
	counter_add(proxy->counters, COUNTER_MIRRORED, 1);
	mirror->proxy = proxy;
	mirror->lease = lease_ref(stream->lease);
	mirror->ref = plan->ref;
	http1_client_init(&mirror->client, &proxy->pool, proxy->relay.scratch, stream->exchange->head.method,
			  &mirror_ops);
	mirror->client.is_bound = plan->is_bound;
	list_add_tail(&proxy->mirrors, &mirror->node);
	proxy->mirror_count++;
	loop_deferred_init(&mirror->release, mirror_on_release);
	timeout_of_exchange(&mirror->lease->snapshot->config, NULL, plan->ref, &timeouts);
	if (timeouts.per_try_ns && ns_to_ms(timeouts.per_try_ns) < limit_ms)
		limit_ms = ns_to_ms(timeouts.per_try_ns);
	mirror->client.connect_ms = ns_to_ms(timeouts.connect_ns);
	mirror->client.end_deadline_ms = proxy_now_ms(proxy) + limit_ms;
	mirror->client.most_bytes = LIMIT_MIRROR_BODY_BYTES;
	mirror->client.may_repeat = method_is_idempotent(stream->exchange->head.method);
	if (mirror_write(mirror, plan, body) == 0 && mirror_choose(mirror, stream->client))
		http1_client_start(&mirror->client);
	else
		mirror_close(mirror, false);
}

/* False: no copy can be made. */
static bool mirror_plan_make(struct stream *stream, const struct backend_ref *ref, struct mirror_plan *plan)
{
	struct body_framing framing = stream->exchange->request_framing;
	struct buf head;
	int error;

	if (framing.kind == BODY_LENGTH && framing.length > LIMIT_RETRY_BODY_BYTES)
		return false;
	if (framing.kind == BODY_FRAMED)
		framing.kind = BODY_CHUNKED;
	*plan = (struct mirror_plan){ .ref = ref, .is_chunked = framing.kind == BODY_CHUNKED };
	buf_init(&head);
	error = mirror_write_head(stream, ref, &framing, &head, &plan->is_bound);
	if (!error) {
		plan->head = arena_copy(&stream->exchange->arena, buf_span(&head));
		error = plan->head.data ? 0 : -ENOMEM;
	}
	buf_done(&head);
	return !error;
}

static void mirror_add(struct stream *stream, const struct backend_ref *ref)
{
	struct mirror_plan plan, *kept;

	if (!mirror_plan_make(stream, ref, &plan)) {
		counter_add(stream->proxy->counters, COUNTER_MIRROR_DROPPED, 1);
		return;
	}
	if (stream->exchange->request_framing.kind == BODY_NONE) {
		mirror_start(stream, &plan, NULL);
		return;
	}
	kept = arena_take(&stream->exchange->arena, sizeof(*kept));
	if (!kept) {
		counter_add(stream->proxy->counters, COUNTER_MIRROR_DROPPED, 1);
		return;
	}
	*kept = plan;
	kept->next = stream->exchange->mirror_plans;
	stream->exchange->mirror_plans = kept;
}

void mirror_body_moved(struct stream *stream)
{
	struct exchange *exchange = stream->exchange;
	const struct replay *body = &exchange->replay;

	if (!body->is_lost && !stream_has_whole_request(stream))
		return;
	for (const struct mirror_plan *plan = exchange->mirror_plans; plan; plan = plan->next) {
		if (body->is_lost)
			counter_add(stream->proxy->counters, COUNTER_MIRROR_DROPPED, 1);
		else
			mirror_start(stream, plan, body);
	}
	exchange->mirror_plans = NULL;
}

static bool mirror_leads_somewhere(const struct stream *stream, const struct mirror_policy *policy)
{
	const struct backend_ref *ref = policy->ref;

	return ref && ref->backend->kind != BACKEND_INVALID &&
	       snapshot_backend(stream->lease->snapshot, ref->backend)->endpoint_count &&
	       !(ref->tls && ref->tls->invalid_reason.len);
}

void mirror_request(struct stream *stream)
{
	const struct route_policies *policies = &stream->route->effective;
	const struct backend_ref *chosen = stream->backend;
	struct proxy *proxy = stream->proxy;

	for (uint32_t i = 0; i < policies->mirror_count + chosen->mirror_count; i++) {
		const struct mirror_policy *policy =
			i < policies->mirror_count ? policies->mirror_list[i]
						   : chosen->mirror_list[i - policies->mirror_count];

		if (stream->exchange->upgrade.is_wanted || !mirror_leads_somewhere(stream, policy) ||
		    proxy_random(proxy) % 1000000u >= policy->per_million)
			continue;
		mirror_add(stream, policy->ref);
	}
}

void mirrors_stop(struct proxy *proxy)
{
	list_each(node, next, &proxy->mirrors) {
		struct mirror *mirror = list_entry(node, struct mirror, node);

		if (!mirror->client.is_over)
			mirror_close(mirror, true);
		loop_deferred_cancel(&mirror->release);
		mirror_free(mirror);
	}
}
