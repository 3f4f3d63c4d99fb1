/* SPDX-License-Identifier: Apache-2.0 */
#include "user/proxy/dial.h"

#include <errno.h>
#include <string.h>

#include "policy/h2_settings.h"
#include "user/base/limits.h"
#include "user/base/log.h"
#include "user/base/mem.h"
#include "user/proxy/attempt.h"
#include "user/proxy/connect_tunnel.h"
#include "user/proxy/response.h"
#include "user/proxy/upstream_h2.h"

static void dial_on_resolved(struct resolver_query *query, int result, struct resolver_list *list);
static void dial_on_connected(struct net_connect *connect, int result, int fd, uint32_t index);

/* For one, or for what becomes one when the backend agrees. */
static bool dial_is_for_tunnel(const struct stream *stream)
{
	return stream->is_tcp || connect_tunnel_is_asked(stream) || stream->exchange->upgrade.is_wanted;
}

static bool dial_wants_near(const struct stream *stream)
{
	return dial_is_for_tunnel(stream) && stream_wants_near(stream);
}

/* When it cannot be announced, its process stays a stranger: the other lanes do. */
static void dial_on_socket(struct net_connect *connect, int fd)
{
	struct stream *stream = container_of(connect, struct dial, connect)->stream;
	int error = near_announce(stream->proxy->relay.near, fd);

	if (error)
		log_debug("same-host lanes: a connection was not announced: %s", strerrordesc_np(-error));
}

/* NULL: no memory, and the request was answered so. */
static struct dial *dial_of(struct stream *stream)
{
	struct dial *dial = stream->attempt.dial;
	struct exchange_timeouts timeouts;

	if (dial)
		return dial;
	dial = hg_calloc(1, sizeof(*dial));
	if (!dial) {
		response_error(stream, 500, SPAN("no memory"), END_INTERNAL);
		return NULL;
	}
	dial->stream = stream;
	dial->start_ns = loop_now_ns(stream->proxy->loop);
	attempt_timeouts(stream, &timeouts);
	if (timeouts.connect_ns)
		dial->deadline_ms = proxy_now_ms(stream->proxy) + ns_to_ms(timeouts.connect_ns);
	list_init(&dial->h2_wait);
	resolver_query_init(&dial->query, dial_on_resolved);
	net_connect_init(&dial->connect, dial_on_connected);
	if (dial_wants_near(stream))
		dial->connect.on_socket = dial_on_socket;
	stream->attempt.dial = dial;
	return dial;
}

static void dial_connect(struct stream *stream, const struct address *list, uint32_t count)
{
	struct attempt *attempt = &stream->attempt;

	counter_add(stream->proxy->counters, COUNTER_UPSTREAM_CONNECTS, 1);
	net_connect_start(&attempt->dial->connect, stream->proxy->loop, list, count,
			  attempt->dial->deadline_ms, &attempt->endpoint->keepalive);
	stream_set_state(stream, STREAM_CONNECT);
}

static void dial_use_list(struct stream *stream, struct resolver_list *list)
{
	struct attempt *attempt = &stream->attempt;

	attempt->dial->addresses = list;
	upstream_pool_resolved(&stream->proxy->pool, attempt->endpoint, resolver_list_ref(list));
	dial_connect(stream, list->address_list, list->count);
}

static void dial_on_resolved(struct resolver_query *query, int result, struct resolver_list *list)
{
	struct stream *stream = container_of(query, struct dial, query)->stream;

	if (result < 0)
		attempt_failed(stream, TRY_DNS_FAILED, result);
	else
		dial_use_list(stream, list);
}

static void dial_open(struct stream *stream)
{
	struct attempt *attempt = &stream->attempt;
	const struct endpoint *endpoint = &stream->backend->backend->endpoint_list[attempt->endpoint_index];
	struct dial *dial = dial_of(stream);
	struct resolver_list *list = NULL;
	int result;

	if (!dial)
		return;
	if (endpoint->is_resolved) {
		dial_connect(stream, &endpoint->address, 1);
		return;
	}
	result = resolver_query_start(stream->proxy->resolver, endpoint->host, endpoint->port, &dial->query,
				      &list);
	if (result == 0)
		dial_use_list(stream, list);
	else if (result == -EINPROGRESS)
		stream_set_state(stream, STREAM_RESOLVE);
	else
		attempt_failed(stream, TRY_DNS_FAILED, result);
}

/* A pool that is never empty must not keep a backend whose name has moved on. */
static void dial_follow_name(struct stream *stream)
{
	struct attempt *attempt = &stream->attempt;
	const struct endpoint *endpoint = &stream->backend->backend->endpoint_list[attempt->endpoint_index];
	struct resolver_list *list;

	if (endpoint->is_resolved ||
	    (list_is_empty(&attempt->endpoint->idle) && list_is_empty(&attempt->endpoint->h2)))
		return;
	list = resolver_known(stream->proxy->resolver, endpoint->host, endpoint->port);
	if (list)
		upstream_pool_resolved(&stream->proxy->pool, attempt->endpoint, list);
}

/* A CONNECT makes a tunnel of a connection of its own. */
static bool dial_is_http2(const struct stream *stream)
{
	return !stream->is_tcp && !connect_tunnel_is_asked(stream) &&
	       h2_to_backend(stream->backend, stream->is_grpc);
}

/* After a connection that died, or refused, a new one: but not for each stream that a backend refuses. */
static bool dial_wants_fresh(const struct attempt *attempt)
{
	uint32_t count = 0;

	if (!attempt->is_fresh || !attempt->was_refused)
		return attempt->is_fresh;
	list_each (node, next, &attempt->endpoint->h2) {
		if (++count == LIMIT_H2_REFUSED_CONNECTIONS)
			return false;
	}
	return true;
}

/*
 * A connection that has room, or the one that is being opened, or a new one. So a burst of requests to an
 * endpoint without a connection opens one and not hundreds.
 */
static void dial_share(struct stream *stream)
{
	struct attempt *attempt = &stream->attempt;
	struct upstream_endpoint *endpoint = attempt->endpoint;
	struct upstream *upstream =
		dial_wants_fresh(attempt) ? NULL : upstream_pool_share(&stream->proxy->pool, endpoint);
	struct dial *dial;

	if (upstream) {
		proxy_trace(stream->proxy, stream->id, TRACE_UPSTREAM_REUSED,
			    (uint32_t)conn_fd(&upstream->conn), 0);
		attempt_send(stream, upstream);
		return;
	}
	dial = dial_of(stream);
	if (!dial)
		return;
	/* It opens, or waits for who does. With a shared connection dial_stop() passes the turn on. */
	dial->is_its_turn = false;
	if (endpoint->h2_is_opening) {
		attempt->is_fresh = false;
		list_add_tail(&endpoint->h2_waiting, &dial->h2_wait);
		stream_set_state(stream, STREAM_CONNECT);
	} else {
		dial->is_opening_h2 = true;
		endpoint->h2_is_opening = true;
		dial_open(stream);
	}
}

bool dial_is_waiting(const struct stream *stream)
{
	const struct dial *dial = stream->attempt.dial;

	return dial && (dial->is_its_turn || !list_is_empty(&dial->h2_wait));
}

uint64_t dial_deadline_ms(const struct stream *stream)
{
	return stream->attempt.dial ? stream->attempt.dial->deadline_ms : 0;
}

void dial_resume(struct stream *stream)
{
	struct dial *dial = stream->attempt.dial;

	if (dial->is_its_turn)
		dial_share(stream);
}

void dial_on_settled(struct upstream_endpoint *endpoint)
{
	struct list waiting;

	list_init(&waiting);
	list_splice(&waiting, &endpoint->h2_waiting);
	endpoint->h2_is_opening = false;
	while (!list_is_empty(&waiting)) {
		struct dial *next = list_entry(waiting.next, struct dial, h2_wait);

		list_remove(&next->h2_wait);
		dial_share(next->stream);
	}
}

static void dial_on_connected(struct net_connect *connect, int result, int fd, uint32_t index)
{
	struct dial *dial = container_of(connect, struct dial, connect);
	struct stream *stream = dial->stream;
	struct attempt *attempt = &stream->attempt;
	struct upstream *upstream;
	uint64_t now_ms = proxy_now_ms(stream->proxy);

	if (result < 0) {
		bool is_late = dial->deadline_ms && now_ms >= dial->deadline_ms;

		attempt_failed(stream, is_late ? TRY_CONNECT_TIMEOUT : TRY_CONNECT_FAILED, result);
		return;
	}
	histogram_add(&stream->proxy->counters->upstream_connect, &histogram_connect,
		      loop_now_ns(stream->proxy->loop) - dial->start_ns);
	balance_connected(&attempt->endpoint->load);
	proxy_trace(stream->proxy, stream->id, TRACE_UPSTREAM_CONNECTED, (uint32_t)fd,
		    (loop_now_ns(stream->proxy->loop) - dial->start_ns) / 1000u);
	upstream = upstream_open(stream->proxy, attempt->endpoint, fd, &connect->list[index]);
	if (upstream && dial->is_opening_h2 && upstream_h2_start(upstream) < 0) {
		upstream_close(upstream, true);
		upstream = NULL;
	}
	if (!upstream) {
		attempt_failed(stream, TRY_CONNECT_FAILED, -EMFILE);
		return;
	}
	/* Those that wait go on waiting for what the backend allows: dial_on_settled(). */
	dial->is_opening_h2 = false;
	attempt_send(stream, upstream);
}

/* The try that others waited for is over without a connection: the first of them opens one. */
static void dial_pass_turn(struct dial *dial)
{
	struct upstream_endpoint *endpoint = dial->stream->attempt.endpoint;
	struct dial *next;

	if (!dial->is_opening_h2 && !dial->is_its_turn)
		return;
	if (dial->is_opening_h2)
		endpoint->h2_is_opening = false;
	else if (endpoint->h2_is_opening)
		return;
	if (list_is_empty(&endpoint->h2_waiting))
		return;
	next = list_entry(endpoint->h2_waiting.next, struct dial, h2_wait);
	list_remove(&next->h2_wait);
	next->is_its_turn = true;
	loop_again(next->stream->proxy->loop, &next->stream->again);
}

void dial_start(struct stream *stream)
{
	struct attempt *attempt = &stream->attempt;
	struct upstream *upstream = NULL;

	if (dial_is_http2(stream) && stream->exchange->upgrade.is_wanted) {
		response_error(stream, 501,
			       SPAN("the backend speaks HTTP/2: no protocol upgrade on the way to it"),
			       END_UPGRADE_MISMATCH);
		return;
	}
	if (dial_is_http2(stream)) {
		dial_follow_name(stream);
		dial_share(stream);
		return;
	}
	/* The process behind a connection of the pool is not known: it was not announced. */
	if (!attempt->is_fresh && !stream->is_tcp && !dial_wants_near(stream)) {
		dial_follow_name(stream);
		upstream = upstream_pool_take(&stream->proxy->pool, attempt->endpoint);
	}
	if (!upstream) {
		dial_open(stream);
		return;
	}
	proxy_trace(stream->proxy, stream->id, TRACE_UPSTREAM_REUSED, (uint32_t)conn_fd(&upstream->conn), 0);
	attempt_send(stream, upstream);
}

void dial_stop(struct stream *stream)
{
	struct dial *dial = stream->attempt.dial;

	if (!dial)
		return;
	stream->attempt.dial = NULL;
	list_remove(&dial->h2_wait);
	dial_pass_turn(dial);
	resolver_query_cancel(&dial->query);
	net_connect_cancel(&dial->connect);
	resolver_list_unref(dial->addresses);
	hg_free(dial);
}
