/* SPDX-License-Identifier: Apache-2.0 */
#include "user/phase/mirror.h"

#include "policy/headers.h"
#include "policy/timeout.h"
#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/http/connection_auth.h"
#include "user/http/h1_write.h"
#include "user/http1/client.h"
#include "user/phase/endpoint_choice.h"
#include "user/stream/stream.h"

/* One copy under way. It owns its bytes; of the configuration it borrows the backend, through its lease. */
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

/* Ends it now; freed at the end of the turn. */
static void mirror_close(struct mirror *mirror, bool is_complete)
{
	struct proxy *proxy = mirror->proxy;

	if (!is_complete)
		counter_add(proxy->counters, COUNTER_MIRROR_FAILURES, 1);
	http1_client_stop(&mirror->client);
	if (mirror->endpoint) {
		mirror->endpoint->load.in_flight--;
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
static bool mirror_choose(struct mirror *mirror)
{
	struct proxy *proxy = mirror->proxy;
	const struct static_config *config = &mirror->lease->snapshot->config;
	struct upstream_wants wants = place_wants(mirror->ref, config);
	const struct backend *backend = mirror->ref->backend;
	uint32_t index;

	mirror->endpoint = upstream_pool_choose(&proxy->pool, backend, &wants, NULL, UINT32_MAX, &index);
	if (!mirror->endpoint)
		return false;
	mirror->endpoint->load.in_flight++;
	mirror->client.options = (struct dial_options){ .where = &backend->endpoint_list[index],
							.endpoint = mirror->endpoint,
							.tls = wants.tls,
							.quota = backend->quota,
							.quota_most = config->connections_per_backend };
	return true;
}

/* On a copy of the head: the mirror's own header rules and host name, and no body. */
static int mirror_write_request(struct mirror *mirror, const struct stream *stream)
{
	struct h1_write_options options = { .version_minor = 1 };
	struct body_framing framing = { .kind = BODY_NONE,
					.announces_length =
						stream->exchange->request_framing.kind != BODY_NONE };
	struct request_head head = stream->exchange->head;
	int error = fields_clone(&stream->exchange->head.fields, &mirror->client.arena, &head.fields);

	if (!error && mirror->ref->request_headers)
		error = headers_modify(&head.fields, mirror->ref->request_headers);
	if (!error)
		error = headers_rewrite(&head, stream->route->effective.rewrite, stream->exchange->match,
					mirror->ref);
	if (error)
		return error;
	mirror->client.is_bound = connection_auth_is_sent(&head.fields);
	fields_remove_id(&head.fields, FIELD_EXPECT);
	error = h1_write_request(&mirror->client.out, &head, &framing, &options);
	arena_reset(&mirror->client.arena);
	return error;
}

static void mirror_start(struct stream *stream, const struct backend_ref *ref)
{
	struct proxy *proxy = stream->proxy;
	struct mirror *mirror = hg_calloc(1, sizeof(*mirror));
	struct exchange_timeouts timeouts;
	uint64_t limit_ms = LIMIT_MIRROR_MS;

	if (!mirror) {
		counter_add(proxy->counters, COUNTER_MIRROR_DROPPED, 1);
		return;
	}
	counter_add(proxy->counters, COUNTER_MIRRORED, 1);
	mirror->proxy = proxy;
	mirror->lease = lease_ref(stream->lease);
	mirror->ref = ref;
	http1_client_init(&mirror->client, &proxy->pool, proxy->relay.scratch, stream->exchange->head.method,
			  &mirror_ops);
	list_add_tail(&proxy->mirrors, &mirror->node);
	proxy->mirror_count++;
	loop_deferred_init(&mirror->release, mirror_on_release);
	timeout_of_exchange(&mirror->lease->snapshot->config, NULL, ref, &timeouts);
	if (timeouts.per_try_ns && ns_to_ms(timeouts.per_try_ns) < limit_ms)
		limit_ms = ns_to_ms(timeouts.per_try_ns);
	mirror->client.connect_ms = ns_to_ms(timeouts.connect_ns);
	mirror->client.end_deadline_ms = proxy_now_ms(proxy) + limit_ms;
	mirror->client.most_bytes = LIMIT_MIRROR_BODY_BYTES;
	mirror->client.may_repeat = method_is_idempotent(stream->exchange->head.method);
	if (mirror_write_request(mirror, stream) == 0 && mirror_choose(mirror))
		http1_client_start(&mirror->client);
	else
		mirror_close(mirror, false);
}

static bool mirror_leads_somewhere(const struct mirror_policy *policy)
{
	const struct backend_ref *ref = policy->ref;

	return ref && ref->backend->kind != BACKEND_INVALID && ref->backend->endpoint_count &&
	       !(ref->tls && ref->tls->invalid_reason.len);
}

void mirror_request(struct stream *stream)
{
	const struct route_policies *policies = &stream->route->effective;
	struct proxy *proxy = stream->proxy;

	for (uint32_t i = 0; i < policies->mirror_count; i++) {
		const struct mirror_policy *policy = policies->mirror_list[i];

		if (stream->exchange->upgrade.is_wanted || !mirror_leads_somewhere(policy) ||
		    proxy_random(proxy) % 1000000u >= policy->per_million)
			continue;
		if (proxy->mirror_count < LIMIT_MIRRORS)
			mirror_start(stream, policy->ref);
		else
			counter_add(proxy->counters, COUNTER_MIRROR_DROPPED, 1);
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
