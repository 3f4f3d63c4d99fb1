/* SPDX-License-Identifier: Apache-2.0 */
#include "user/codec/codec.h"
#include "user/phase/attempt_dial.h"

#include <errno.h>
#include <string.h>

#include "policy/circuit_breaker.h"
#include "policy/h2_settings.h"
#include "user/base/mem.h"
#include "user/client/client.h"
#include "user/http/connection_auth.h"
#include "user/net/socket.h"
#include "user/phase/connect_tunnel.h"
#include "user/phase/endpoint_choice.h"
#include "user/stream/attempt_hold.h"
#include "user/stream/attempt_wait.h"
#include "user/stream/step.h"
#include "user/tls/session.h"
#include "user/upstream/alpn.h"
#include "user/upstream/upstream_h2.h"

void attempt_timeouts(const struct stream *stream, struct exchange_timeouts *ret_timeouts)
{
	timeout_of_exchange(&stream->lease->snapshot->config,
			    stream->route ? &stream->route->effective : NULL, stream->backend, ret_timeouts);
}

void attempt_begin_try(struct stream *stream)
{
	struct exchange_timeouts timeouts;

	if (!stream->exchange)
		return;
	attempt_timeouts(stream, &timeouts);
	stream->exchange->try_deadline_ms =
		timeouts.per_try_ns ? proxy_now_ms(stream->proxy) + ns_to_ms(timeouts.per_try_ns) : 0;
}

/* A tunnel has no response, so it keeps no text. */
void attempt_note_fault(struct stream *stream, const char *fault)
{
	if (stream->exchange)
		stream->exchange->fault = arena_copy(&stream->exchange->arena, span_str(fault));
}

static enum try_outcome attempt_outcome_of(enum dial_result result)
{
	switch (result) {
	case DIAL_DNS_FAILED:
		return TRY_DNS_FAILED;
	case DIAL_TIMEOUT:
		return TRY_CONNECT_TIMEOUT;
	case DIAL_TLS_FAILED:
		return TRY_TLS_FAILED;
	case DIAL_TLS_VERIFY_FAILED:
		return TRY_TLS_VERIFY_FAILED;
	case DIAL_TLS_TIMEOUT:
		return TRY_TLS_TIMEOUT;
	case DIAL_FULL:
		return TRY_BACKEND_FULL;
	case DIAL_UNDER_WAY:
	case DIAL_DONE:
	case DIAL_CONNECT_FAILED:
		break;
	}
	return TRY_CONNECT_FAILED;
}

enum stream_step attempt_expire_dial(struct stream *stream)
{
	struct dial *dial = &stream->attempt.dial->dial;

	dial_expire(dial);
	return step_fail(stream, dial->state == DIAL_TLS ? TRY_TLS_TIMEOUT : TRY_CONNECT_TIMEOUT, 0);
}

/* The attempt fails without contacting a backend. */
static enum stream_step attempt_refuse_by(struct stream *stream, enum limit_kind kind)
{
	counter_limit(stream->proxy->counters, kind);
	stream->attempt.is_overloaded = kind != LIMIT_KIND_BACKEND_CONNECTIONS;
	/* The next attempt would find the same in this turn of the loop. */
	stream->attempt.needs_pause = true;
	place_add_previous_host(stream);
	return step_fail(stream,
			 kind == LIMIT_KIND_BREAKER_PENDING_TIMEOUT ? TRY_PENDING_TIMEOUT : TRY_BACKEND_FULL,
			 kind == LIMIT_KIND_BREAKER_PENDING ? -ENOBUFS : 0);
}

static struct quota_most attempt_most(const struct stream *stream)
{
	return circuit_breaker_most(stream->backend->breaker,
				    stream->lease->snapshot->config.connections_per_backend);
}

/* The same for an attempt: nothing while others wait. */
static struct quota_most attempt_most_now(const struct stream *stream)
{
	return attempt_wait_may_take(stream, PENDING_CONNECTIONS) ? attempt_most(stream)
								  : (struct quota_most){ 0 };
}

/* Which limit has refused a connection, as far as the counts still show it. */
static enum limit_kind attempt_full_kind(const struct stream *stream)
{
	struct quota_most most = attempt_most(stream);
	const struct quota *quota = attempt_quota(stream);

	if (quota->parent && quota_is_full(quota, most.part))
		return LIMIT_KIND_BREAKER_ENDPOINT;
	return most.whole < stream->lease->snapshot->config.connections_per_backend
		       ? LIMIT_KIND_BREAKER_CONNECTIONS
		       : LIMIT_KIND_BACKEND_CONNECTIONS;
}

/* True if another endpoint of the backend, which the request has not tried, has room. */
static bool attempt_has_room(const struct stream *stream)
{
	const struct backend *backend = stream_backend(stream);
	uint64_t most = attempt_most(stream).part;

	for (uint32_t i = 0; i < backend->endpoint_count; i++) {
		const struct quota *quota = backend->endpoint_list[i].quota;

		if (quota && !quota_is_full(quota, most) &&
		    !previous_hosts_has(stream->attempt.previous_hosts, backend->index, i))
			return true;
	}
	return false;
}

static enum dial_protocol attempt_protocol(const struct stream *stream);

/* A limit is reached: the request waits for a place, or is refused. */
static enum stream_step attempt_wait(struct stream *stream, enum pending_kind place, enum limit_kind limit)
{
	bool may_share = place == PENDING_CONNECTIONS && dial_may_share(attempt_protocol(stream));
	int result;

	if (!attempt_wait_is_on(stream))
		return attempt_refuse_by(stream, limit);
	attempt_stop_dial(stream);
	attempt_leave_endpoint(stream);
	result = attempt_wait_join(stream, place, may_share);
	switch (result) {
	case PENDING_IS_FIRST:
		return STEP_ATTEMPT;
	case PENDING_IS_BEHIND:
		if (stream->state != STREAM_PENDING) {
			proxy_trace(stream->proxy, stream->id, TRACE_PENDING, limit, 0);
			stream_set_state(stream, STREAM_PENDING);
		}
		return STEP_WAIT;
	default:
		return attempt_refuse_by(stream,
					 result == PENDING_IS_FULL ? LIMIT_KIND_BREAKER_PENDING : limit);
	}
}

enum stream_step attempt_expire_pending(struct stream *stream)
{
	return attempt_refuse_by(stream, LIMIT_KIND_BREAKER_PENDING_TIMEOUT);
}

static enum stream_step attempt_refuse(struct stream *stream)
{
	enum limit_kind kind = attempt_full_kind(stream);

	if (kind != LIMIT_KIND_BREAKER_ENDPOINT || stream->attempt.was_moved || !attempt_has_room(stream))
		return attempt_wait(stream, PENDING_CONNECTIONS, kind);
	/* Another worker took the last connection of the endpoint after it was chosen. */
	attempt_stop_dial(stream);
	stream->attempt.was_moved = true;
	return STEP_ATTEMPT;
}

bool attempt_admit(struct stream *stream)
{
	const struct circuit_breaker *breaker = stream->backend->breaker;
	struct quota *quota = stream->backend->backend->quota;

	if (!circuit_breaker_counts_requests(breaker) || !quota || stream->is_tcp ||
	    stream->attempt.is_request_counted)
		return true;
	if (!breaker->max_parallel_requests.is_set) {
		stream->attempt.is_request_counted = quota_take(&quota->requests, UINT64_MAX);
		return true;
	}
	stream->attempt.is_request_counted =
		attempt_wait_may_take(stream, PENDING_REQUESTS) &&
		quota_take(&quota->requests, breaker->max_parallel_requests.value);
	if (stream->attempt.is_request_counted)
		attempt_wait_leave(stream, PENDING_REQUESTS);
	return stream->attempt.is_request_counted;
}

enum stream_step attempt_overload(struct stream *stream)
{
	return attempt_wait(stream, PENDING_REQUESTS, LIMIT_KIND_BREAKER_REQUESTS);
}

/* Counts a request on the connection; the last one that its backend wants ends it. */
static void attempt_use(const struct stream *stream, struct upstream *upstream)
{
	const struct circuit_breaker *breaker = stream->backend->breaker;

	upstream->begun++;
	if (!breaker || !breaker->max_requests_per_connection.is_set ||
	    upstream->begun < breaker->max_requests_per_connection.value)
		return;
	upstream->is_last = true;
	if (upstream->h2)
		upstream_h2_retire(upstream);
}

enum stream_step attempt_forbid(struct stream *stream)
{
	return step_reply(stream, 403, SPAN("this host must not be reached through the gateway"),
			  END_FORWARD_FORBIDDEN);
}

static enum stream_step attempt_take(struct stream *stream, struct upstream *upstream)
{
	struct attempt *attempt = &stream->attempt;

	attempt_stop_dial(stream);
	attempt_wait_drop(stream);
	stream->upstream = upstream;
	stream->upstream_side = upstream_codec_of(upstream);
	stream->upstream_side->bind(stream);
	attempt_use(stream, upstream);
	/* A shared connection counts as long as any stream uses it. */
	if (attempt->is_counted && upstream->h2 && !upstream->h2->quota) {
		upstream_h2_take_count(upstream, attempt_quota(stream));
		attempt->is_counted = false;
	}
	return STEP_CONNECTED;
}

static void attempt_on_progress(struct dial *dial)
{
	struct stream *stream = container_of(dial, struct attempt_dial, dial)->stream;

	if (dial->is_counted)
		attempt_wait_leave(stream, PENDING_CONNECTIONS);
	/* Without a place it does not connect yet: pendingTimeout applies. */
	if (!dial->is_counted && dial->state == DIAL_WAITING && attempt_wait_park(stream))
		stream_set_state(stream, STREAM_PENDING);
	else
		stream_set_state(stream, dial->state == DIAL_RESOLVING ? STREAM_RESOLVE : STREAM_CONNECT);
}

/* Others may wait by now, or it may be its turn. */
static void attempt_on_turn(struct dial *dial)
{
	struct stream *stream = container_of(dial, struct attempt_dial, dial)->stream;

	dial->options.quota_most = attempt_most_now(stream);
	/* The time of the attempt begins after that in the line. Without a place it opens no connection. */
	if (stream->state == STREAM_PENDING)
		attempt_begin_try(stream);
}

static void attempt_note_dialed(const struct dial *dial, struct stream *stream,
				const struct upstream *upstream)
{
	const struct tls_session *session = conn_tls(&upstream->conn);
	uint32_t fd = (uint32_t)conn_fd(&upstream->conn);

	stream->connect_us = stream_us_since(stream, dial->start_ns);
	proxy_trace(stream->proxy, stream->id, TRACE_UPSTREAM_CONNECTED, fd, stream->connect_us);
	if (session)
		proxy_trace(stream->proxy, stream->id, TRACE_UPSTREAM_TLS, fd, tls_is_resumed(session));
}

static void attempt_on_dialed(struct dial *dial, enum dial_result result, int error,
			      struct upstream *upstream)
{
	struct stream *stream = container_of(dial, struct attempt_dial, dial)->stream;

	if (result == DIAL_FULL) {
		stream_run(stream, attempt_refuse(stream));
		return;
	}
	if (result != DIAL_DONE) {
		proxy_trace(stream->proxy, stream->id, TRACE_UPSTREAM_FAILED, (uint32_t)-error, 0);
		if (error == NET_CONNECT_AVOIDED) {
			stream_run(stream, step_end(stream, END_LOOP, STREAM_END_RESET));
			return;
		}
		if (error == NET_CONNECT_FORBIDDEN) {
			stream_run(stream, attempt_forbid(stream));
			return;
		}
		if (dial->tls.fault.text[0])
			attempt_note_fault(stream, dial->tls.fault.text);
		stream_run(stream, step_fail(stream, attempt_outcome_of(result), error));
		return;
	}
	stream->attempt.is_counted = dial->is_counted;
	dial->is_counted = false;
	/*
	 * A new HTTP/2 connection is shared by now, and the next attempt may use it, too; a CONNECT always
	 * opens its own.
	 */
	if (upstream->h2)
		stream->attempt.is_fresh = false;
	attempt_note_dialed(dial, stream, upstream);
	stream_run(stream, attempt_take(stream, upstream));
}

/*
 * Why the request needs HTTP/1.1, or an empty span. HTTP/2 streams have no Upgrade, and an HTTP/2 connection
 * that NTLM or Negotiate has authenticated would serve other clients with the identity of the first.
 */
static struct span attempt_needs_http1(const struct stream *stream)
{
	if (stream->exchange->upgrade.is_wanted)
		return SPAN("the backend speaks HTTP/2: no protocol upgrade on the way to it");
	if (connection_auth_is_sent(&stream->exchange->head.fields))
		return SPAN("the backend speaks HTTP/2, whose connections are shared: NTLM and Negotiate "
			    "authenticate a connection and need HTTP/1.1");
	return (struct span){ 0 };
}

/* A CONNECT turns a connection of its own into a tunnel. */
static enum dial_protocol attempt_protocol(const struct stream *stream)
{
	const struct backend_ref *ref = stream->backend;

	if (stream->is_tcp || connect_tunnel_is_asked(stream))
		return DIAL_BYTES;
	if (h2_to_backend(ref, stream->is_grpc))
		return DIAL_HTTP2;
	if (!ref->tls || ref->http_version == BACKEND_HTTP1 || attempt_needs_http1(stream).len)
		return DIAL_HTTP1;
	return alpn_has_choice(&ref->tls->settings) ? DIAL_EITHER : DIAL_HTTP1;
}

/*
 * The local address of the client's connection: a backend with this address would be this port, in an endless
 * loop.
 */
static void attempt_avoid(const struct stream *stream, struct address *ret_address)
{
	if (socket_local(conn_fd(&stream->client->conn), ret_address) < 0)
		ret_address->len = 0;
	else
		address_unmap(ret_address);
}

static enum stream_step attempt_open(struct stream *stream, struct dial_options *options)
{
	struct attempt *attempt = &stream->attempt;
	struct exchange_timeouts timeouts;
	enum dial_result result;
	int error;

	attempt->dial = hg_malloc(sizeof(*attempt->dial));
	if (!attempt->dial)
		return step_reply(stream, 500, SPAN("no memory"), END_INTERNAL);
	attempt_timeouts(stream, &timeouts);
	if (timeouts.connect_ns)
		options->deadline_ms = proxy_now_ms(stream->proxy) + ns_to_ms(timeouts.connect_ns);
	attempt->dial->deadline_ms = options->deadline_ms;
	if (stream->is_tcp)
		attempt_avoid(stream, &options->avoid);
	attempt->dial->stream = stream;
	dial_init(&attempt->dial->dial, &stream->proxy->pool, options, attempt_on_dialed);
	attempt->dial->dial.on_progress = attempt_on_progress;
	attempt->dial->dial.on_turn = attempt_on_turn;
	result = dial_start(&attempt->dial->dial, &error);
	if (result == DIAL_UNDER_WAY) {
		attempt_on_progress(&attempt->dial->dial);
		return STEP_WAIT;
	}
	/*
	 * The result is known at once: if every endpoint was tried, the next attempts would fail at once as
	 * well.
	 */
	if (result == DIAL_FULL)
		return attempt_refuse(stream);
	place_add_previous_host(stream);
	attempt->needs_pause = !place_has_elsewhere(stream);
	return step_fail(stream, attempt_outcome_of(result), error);
}

/* True if the request may be repeated even if the backend has seen it: attempt_is_free(). */
static bool attempt_may_repeat(const struct stream *stream)
{
	return stream->exchange && stream->exchange->request_framing.kind == BODY_NONE &&
	       method_is_idempotent(stream->exchange->head.method) &&
	       stream->attempt.free_retries < LIMIT_FREE_RETRIES;
}

/* Counts an idle connection that becomes used; one that others use already is counted. */
static bool attempt_count(struct stream *stream, const struct upstream *upstream,
			  const struct dial_options *options)
{
	if (!options->quota || (upstream->h2 && upstream->h2->quota))
		return true;
	stream->attempt.is_counted = quota_take_connection(options->quota, options->quota_most);
	return stream->attempt.is_counted;
}

static struct upstream *attempt_take_bound(struct stream *stream, const struct dial_options *options)
{
	struct client_http *http = stream->client->http;

	if (!http || stream->downstream_codec_h2 || options->is_fresh ||
	    (options->protocol != DIAL_HTTP1 && options->protocol != DIAL_EITHER))
		return NULL;
	return upstream_pool_take_bound(&stream->proxy->pool, &http->bound, options->endpoint);
}

enum stream_step attempt_dial(struct stream *stream)
{
	struct attempt *attempt = &stream->attempt;
	const struct backend_ref *ref = stream->backend;
	bool is_dynamic = ref->backend->kind == BACKEND_DYNAMIC;
	struct dial_options options = {
		.where = is_dynamic ? stream->exchange->requested : stream_endpoint(stream),
		.endpoint = attempt->endpoint,
		.tls = ref->tls ? &ref->tls->settings : NULL,
		.protocol = attempt_protocol(stream),
		.is_fresh = attempt->is_fresh,
		.may_repeat = attempt_may_repeat(stream),
		.was_refused = attempt->was_refused,
		.is_exclusive = stream->is_tcp,
		.quota = attempt_quota(stream),
		.quota_most = attempt_most_now(stream),
		.forward = is_dynamic ? ref->backend : NULL,
	};
	struct upstream *upstream;

	stream->connect_us = 0;
	if (stream->exchange)
		stream->exchange->fault = (struct span){ 0 };
	if (options.protocol == DIAL_HTTP2 && attempt_needs_http1(stream).len)
		return step_reply(stream, 501, attempt_needs_http1(stream), END_UPGRADE_MISMATCH);
	upstream = attempt_take_bound(stream, &options);
	if (!upstream)
		upstream = dial_reuse(&stream->proxy->pool, &options);
	if (!upstream)
		return attempt_open(stream, &options);
	if (!attempt_count(stream, upstream, &options)) {
		if (!upstream->h2)
			upstream_pool_give(&stream->proxy->pool, upstream);
		return attempt_refuse(stream);
	}
	proxy_trace(stream->proxy, stream->id, TRACE_UPSTREAM_REUSED, (uint32_t)conn_fd(&upstream->conn), 0);
	return attempt_take(stream, upstream);
}
