/* SPDX-License-Identifier: Apache-2.0 */
#include "user/upstream/dial.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "user/base/limits.h"
#include "user/base/log.h"
#include "user/base/quota.h"
#include "user/net/own_address.h"
#include "user/relay/conn_bypass.h"
#include "user/upstream/dial_tls.h"
#include "user/upstream/forward.h"
#include "user/upstream/inner.h"
#include "user/upstream/upstream_h2.h"

static void dial_on_resolved(struct resolver_query *query, int result, struct resolver_list *list);
/* The header is shorter than any send buffer, so an error is that of a socket or of this host. */
static int dial_send_proxy_header(struct upstream *upstream)
{
	struct span header = upstream->endpoint->proxy_header;
	struct iovec segment = { (void *)(uintptr_t)header.data, header.len };

	return header.len ? conn_send(&upstream->conn, &segment, 1, 0) : 0;
}

static void dial_on_connected(struct net_connect *connect, int result, int fd, uint32_t index);
static void dial_on_turn(struct loop_deferred *deferred);

struct span dial_result_text(enum dial_result result)
{
	switch (result) {
	case DIAL_DNS_FAILED:
		return SPAN("its name does not resolve");
	case DIAL_TIMEOUT:
	case DIAL_TLS_TIMEOUT:
		return SPAN("no connection in time");
	case DIAL_TLS_FAILED:
	case DIAL_TLS_VERIFY_FAILED:
		return SPAN("no TLS with it");
	case DIAL_FULL:
		return SPAN("too many connections to it");
	case DIAL_DONE:
	case DIAL_UNDER_WAY:
	case DIAL_CONNECT_FAILED:
		break;
	}
	return SPAN("no connection");
}

/* ------------------------------------------------------------------------------------ reuse */

/* A pool that is never empty must not keep a backend whose name has new addresses. */
static void dial_follow_name(struct upstream_pool *pool, const struct dial_options *options)
{
	const struct endpoint *where = options->where;
	struct resolver_list *list;

	if (where->is_resolved ||
	    (list_is_empty(&options->endpoint->idle) && list_is_empty(&options->endpoint->h2)))
		return;
	list = resolver_known(pool->resolver, where->host, where->port, options->forward != NULL);
	if (list)
		upstream_pool_resolved(options->endpoint, list);
}

/*
 * After a connection that was closed or refused a stream, open a new one; but not for each stream that a
 * backend refuses.
 */
static bool dial_wants_fresh(const struct dial_options *options)
{
	uint32_t count = 0;

	if (!options->is_fresh || !options->was_refused)
		return options->is_fresh;
	list_each(node, next, &options->endpoint->h2) {
		if (++count == LIMIT_H2_REFUSED_CONNECTIONS)
			return false;
	}
	return true;
}

struct upstream *dial_reuse(struct upstream_pool *pool, const struct dial_options *options)
{
	struct upstream *upstream = NULL;

	if (dial_may_share(options->protocol)) {
		dial_follow_name(pool, options);
		if (!dial_wants_fresh(options))
			upstream = upstream_pool_share(pool, options->endpoint);
		if (upstream || options->protocol == DIAL_HTTP2)
			return upstream;
	}
	if (options->is_fresh || options->is_exclusive)
		return NULL;
	dial_follow_name(pool, options);
	return upstream_pool_take(pool, options->endpoint, options->may_repeat);
}

/* ------------------------------------------------------------------------------------ new connections */

/* Without the announcement the same-host lanes do not know the process, and other lanes are used. */
static void dial_on_socket(struct net_connect *connect, int fd)
{
	struct dial *dial = container_of(connect, struct dial, connect);
	int error = local_announce(dial->pool->relay->local, fd);

	if (error)
		log_debug("same-host lanes: a connection was not announced: %s", strerrordesc_np(-error));
}

static bool dial_evict(struct net_connect *connect)
{
	struct upstream_pool *pool = container_of(connect, struct dial, connect)->pool;

	return pool->make_room && pool->make_room(pool);
}

static bool dial_may_use(struct net_connect *connect, int *fd)
{
	struct upstream_pool *pool = container_of(connect, struct dial, connect)->pool;

	return !pool->may_use || pool->may_use(pool, fd);
}

/* False also if the kernel does not say: a client chose the address. */
static bool dial_is_elsewhere(const struct address *address)
{
	int result = own_address_has(address);

	if (result < 0)
		log_warn("dynamicForwardProxy: a host is refused, because the kernel does not say whether it "
			 "is this one: %s",
			 strerrordesc_np(-result));
	return result == 0;
}

static bool dial_may_connect(struct net_connect *connect, const struct address *address)
{
	const struct backend *backend = container_of(connect, struct dial, connect)->options.forward;

	return forward_may_reach(backend, address) &&
	       (forward_is_allowed(backend, address) || dial_is_elsewhere(address));
}

static bool dial_bypasses(const struct dial *dial)
{
	return dial->options.endpoint->bypasses && dial->pool->relay->local;
}

void dial_init(struct dial *dial, struct upstream_pool *pool, const struct dial_options *options,
	       void (*on_done)(struct dial *dial, enum dial_result result, int error,
			       struct upstream *upstream))
{
	*dial = (struct dial){ .pool = pool, .options = *options, .on_done = on_done };
	dial->start_ns = loop_now_ns(pool->loop);
	list_init(&dial->waiter.node);
	loop_deferred_init(&dial->waiter.turn, dial_on_turn);
	resolver_query_init(&dial->query, dial_on_resolved);
	net_connect_init(&dial->connect, dial_on_connected);
	dial_tls_init(dial);
	dial->connect.make_room = dial_evict;
	dial->connect.may_use = dial_may_use;
	if (dial->options.forward) {
		dial->query.is_chosen = true;
		dial->connect.may_connect = dial_may_connect;
	}
	if (dial->options.avoid.len)
		dial->connect.avoid = &dial->options.avoid;
	if (dial_bypasses(dial))
		dial->connect.on_socket = dial_on_socket;
}

static void dial_connect(struct dial *dial, const struct address *list, uint32_t count)
{
	counter_add(dial->pool->counters, COUNTER_UPSTREAM_CONNECTS, 1);
	net_connect_start(&dial->connect, dial->pool->loop, list, count, dial->options.deadline_ms,
			  &dial->options.endpoint->keepalive);
	dial->state = DIAL_CONNECTING;
}

static void dial_use_list(struct dial *dial, struct resolver_list *list)
{
	dial->addresses = list;
	upstream_pool_resolved(dial->options.endpoint, resolver_list_ref(list));
	dial_connect(dial, list->address_list, list->count);
}

/* Connects to a service of this process over a socket pair. Never called inside dial_start(). */
static void dial_inner(struct dial *dial)
{
	const struct inner *inner = dial->pool->inner;
	struct address address = { .len = sizeof(address.un.sun_family), .un.sun_family = AF_UNIX };
	struct upstream *upstream = NULL;
	int ends[2], error = inner ? 0 : -ENOENT;

	counter_add(dial->pool->counters, COUNTER_UPSTREAM_CONNECTS, 1);
	if (!error && socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0)
		error = -errno;
	if (!error) {
		error = inner->open(inner->context, dial->options.where->text, ends[1]);
		if (error)
			close(ends[0]);
		else
			upstream = upstream_open(dial->pool, dial->options.endpoint, ends[0], &address);
	}
	if (upstream) {
		dial->on_done(dial, DIAL_DONE, 0, upstream);
		return;
	}
	counter_add(dial->pool->counters, COUNTER_UPSTREAM_CONNECT_FAILURES, 1);
	dial->on_done(dial, DIAL_CONNECT_FAILED, error ? error : -EMFILE, NULL);
}

static bool dial_count(struct dial *dial)
{
	struct quota *quota = dial->options.quota;

	if (!quota || dial->is_counted)
		return true;
	dial->is_counted = quota_take_connection(quota, dial->options.quota_most);
	return dial->is_counted;
}

static enum dial_result dial_open(struct dial *dial, int *ret_error)
{
	const struct endpoint *where = dial->options.where;
	struct resolver_list *list = NULL;

	if (!dial_count(dial))
		return DIAL_FULL;
	if (where->is_inner) {
		dial->state = DIAL_CONNECTING;
		loop_again(dial->pool->loop, &dial->waiter.turn);
		return DIAL_UNDER_WAY;
	}
	if (where->is_resolved) {
		dial_connect(dial, &where->address, 1);
		return DIAL_UNDER_WAY;
	}
	*ret_error =
		resolver_query_start(dial->pool->resolver, where->host, where->port, &dial->query, &list);
	if (*ret_error == 0) {
		dial_use_list(dial, list);
		return DIAL_UNDER_WAY;
	}
	if (*ret_error != -EINPROGRESS)
		return DIAL_DNS_FAILED;
	dial->state = DIAL_RESOLVING;
	return DIAL_UNDER_WAY;
}

enum dial_result dial_start(struct dial *dial, int *ret_error)
{
	struct upstream_endpoint *endpoint = dial->options.endpoint;

	*ret_error = 0;
	/* If the backend is known to choose HTTP/1.1, each request needs its own connection. */
	if (!dial_may_share(dial->options.protocol) ||
	    (dial->options.protocol == DIAL_EITHER && endpoint->shared->spoken == SPOKEN_HTTP1))
		return dial_open(dial, ret_error);
	/* Opens a connection, or waits for the dial that is opening one. */
	dial->waiter.has_turn = false;
	if (endpoint->h2_is_opening) {
		dial->options.is_fresh = false;
		dial->state = DIAL_WAITING;
		list_add_tail(&endpoint->h2_waiting, &dial->waiter.node);
		return DIAL_UNDER_WAY;
	}
	dial->is_opening_h2 = true;
	endpoint->h2_is_opening = true;
	return dial_open(dial, ret_error);
}

void dial_progress(struct dial *dial)
{
	if (dial->on_progress)
		dial->on_progress(dial);
}

static void dial_on_resolved(struct resolver_query *query, int result, struct resolver_list *list)
{
	struct dial *dial = container_of(query, struct dial, query);

	if (result < 0) {
		dial->on_done(dial, DIAL_DNS_FAILED, result, NULL);
		return;
	}
	dial_use_list(dial, list);
	dial_progress(dial);
}

/* Does not blame the endpoint if it was not asked: it has no address, or this process lacks a resource. */
void dial_note_failure(struct dial *dial, int error)
{
	counter_add(dial->pool->counters, COUNTER_UPSTREAM_CONNECT_FAILURES, 1);
	if (!net_connect_failed_here(error))
		balance_connect_failed(&dial->options.endpoint->shared->load, loop_now_ms(dial->pool->loop));
}

void dial_finish(struct dial *dial, struct upstream *upstream, bool is_http2)
{
	struct upstream_endpoint *endpoint = dial->options.endpoint;
	bool is_tls = dial->options.tls != NULL;

	histogram_add(is_tls ? &dial->pool->counters->upstream_connect_tls
			     : &dial->pool->counters->upstream_connect,
		      &histogram_connect, loop_now_ns(dial->pool->loop) - dial->start_ns);
	balance_connected(&endpoint->shared->load);
	if (is_http2 && upstream_h2_start(upstream) < 0) {
		upstream_close(upstream, true);
		dial_note_failure(dial, -ENOMEM);
		dial->on_done(dial, DIAL_CONNECT_FAILED, -ENOMEM, NULL);
		return;
	}
	/* Waiting dials keep waiting for the backend's SETTINGS, or open their own connections. */
	if (dial->is_opening_h2 && !is_http2)
		upstream_pool_settled(dial->pool, endpoint);
	dial->is_opening_h2 = false;
	dial->on_done(dial, DIAL_DONE, 0, upstream);
}

static void dial_on_connected(struct net_connect *connect, int result, int fd, uint32_t index)
{
	struct dial *dial = container_of(connect, struct dial, connect);
	uint64_t deadline_ms = dial->options.deadline_ms;
	struct upstream *upstream;
	int error;

	if (result < 0) {
		bool is_late = deadline_ms && loop_now_ms(dial->pool->loop) >= deadline_ms;

		dial_note_failure(dial, result);
		dial->on_done(dial, is_late ? DIAL_TIMEOUT : DIAL_CONNECT_FAILED, result, NULL);
		return;
	}
	upstream = upstream_open(dial->pool, dial->options.endpoint, fd, &connect->list[index]);
	if (!upstream) {
		dial_note_failure(dial, -EMFILE);
		dial->on_done(dial, DIAL_CONNECT_FAILED, -EMFILE, NULL);
		return;
	}
	/* Before the first byte: bypass_start(). */
	if (dial_bypasses(dial))
		(void)conn_start_bypass(&upstream->conn, dial->pool->relay->local_watch.worker);
	error = dial_send_proxy_header(upstream);
	if (error) {
		upstream_close(upstream, true);
		dial_note_failure(dial, error);
		dial->on_done(dial, DIAL_CONNECT_FAILED, error, NULL);
		return;
	}
	if (dial->options.tls)
		dial_tls_start(dial, upstream);
	else
		dial_finish(dial, upstream, dial->options.protocol == DIAL_HTTP2);
}

/* ------------------------------------------------------------------------------------ waiting */

/* If it gets a shared connection, it keeps the turn until dial_cancel() passes it on. */
static void dial_on_turn(struct loop_deferred *deferred)
{
	struct dial *dial = container_of(deferred, struct dial, waiter.turn);
	struct upstream *upstream;
	enum dial_result result;
	int error;

	if (dial->options.where->is_inner) {
		dial_inner(dial);
		return;
	}
	if (dial->on_turn)
		dial->on_turn(dial);
	upstream = dial_reuse(dial->pool, &dial->options);
	if (upstream && !(upstream->h2 && upstream->h2->quota) && !dial_count(dial)) {
		if (!upstream->h2)
			upstream_pool_give(dial->pool, upstream);
		dial->on_done(dial, DIAL_FULL, 0, NULL);
		return;
	}
	if (upstream) {
		dial->on_done(dial, DIAL_DONE, 0, upstream);
		return;
	}
	result = dial_start(dial, &error);
	if (result == DIAL_UNDER_WAY)
		dial_progress(dial);
	else
		dial->on_done(dial, result, error, NULL);
}

/* A dial that has the turn and ends without a connection passes it on, unless another dial opens one. */
static void dial_pass_turn(struct dial *dial)
{
	struct upstream_endpoint *endpoint = dial->options.endpoint;

	if (!dial->is_opening_h2 && (!dial->waiter.has_turn || endpoint->h2_is_opening))
		return;
	dial->is_opening_h2 = false;
	dial->waiter.has_turn = false;
	upstream_pool_pass_turn(dial->pool, endpoint);
}

/* ------------------------------------------------------------------------------------ the end */

void dial_expire(struct dial *dial)
{
	if (dial->state == DIAL_CONNECTING || dial->state == DIAL_TLS)
		dial_note_failure(dial, -ETIMEDOUT);
	if (dial->state == DIAL_TLS)
		dial_tls_expire(dial);
}

void dial_cancel(struct dial *dial)
{
	list_remove(&dial->waiter.node);
	loop_deferred_cancel(&dial->waiter.turn);
	dial_pass_turn(dial);
	resolver_query_cancel(&dial->query);
	net_connect_cancel(&dial->connect);
	dial_tls_cancel(dial);
	resolver_list_unref(dial->addresses);
	dial->addresses = NULL;
	if (dial->is_counted)
		quota_give_connection(dial->options.quota);
	dial->is_counted = false;
	dial->state = DIAL_IDLE;
}
