/* SPDX-License-Identifier: Apache-2.0 */
#include "user/client/client_accept.h"

#include "user/base/limits.h"
#include "user/client/admission.h"
#include "user/client/client_h2.h"
#include "user/client/client_peer.h"
#include "user/client/client_proxy.h"
#include "user/client/client_tls.h"
#include "user/client/evict.h"
#include "user/net/socket.h"

/* ------------------------------------------------------------------------------------ protocols */

static void client_begin(struct client *client, const struct bind *bind)
{
	switch (bind->protocol) {
	case BIND_HTTP:
		client_begin_http(client, bind, bind->network);
		break;
	case BIND_TCP:
		client_open_tunnel(client);
		break;
	case BIND_TLS:
		client_tls_start(client);
		break;
	}
}

/* Call after a PROXY header. Its port has a configuration. */
static void client_begin_if(struct client *client, bool is_settled)
{
	if (!is_settled)
		return;
	client_begin(client, client->bind->bind);
	client->proxy->handler->on_state(client);
}

/* ------------------------------------------------------------------------------------ events */

static void client_run(struct client *client)
{
	switch (client->state) {
	case CLIENT_IDLE:
		if (!client->proxy->is_handing_off || !client->proxy->handler->hand_off(client))
			client_read_head(client);
		break;
	case CLIENT_READ_HEAD:
		client_read_head(client);
		break;
	case CLIENT_READ_PROXY:
		client_begin_if(client, client_proxy_read(client));
		break;
	case CLIENT_READ_HELLO:
		client_tls_read_hello(client);
		break;
	case CLIENT_HANDSHAKE:
		client_tls_go_on(client);
		break;
	case CLIENT_ASKED:
		client_check_asked(client);
		break;
	case CLIENT_STREAM:
		client->proxy->handler->on_ready(client->stream);
		break;
	case CLIENT_LINGER:
		client_read_linger(client);
		break;
	case CLIENT_H2:
		h2_link_run(&client->h2->link);
		break;
	case CLIENT_CLOSED:
	case CLIENT_STATE_COUNT:
		break;
	}
}

static void client_on_ready(struct conn *conn)
{
	client_run(container_of(conn, struct client, conn));
}

static void client_on_again(struct loop_deferred *deferred)
{
	struct client *client = container_of(deferred, struct client, again);

	if (client->state == CLIENT_CLOSED)
		client_free(client);
	else
		client_run(client);
}

static void client_on_age(struct client *client)
{
	client->age_ms = 0;
	client->is_age_over = true;
	/* A running exchange completes with its own reason, so the expiry is counted here. */
	if (client->stream)
		counter_end(client->proxy->counters, END_MAX_AGE);
	else
		client_close_idle(client, END_MAX_AGE);
	if (!client->is_closed)
		client_arm(client);
}

static void client_on_timer(struct timer *timer, uint64_t now_ms)
{
	struct client *client = container_of(timer, struct client, timer);

	if (client->age_ms && now_ms >= client->age_ms) {
		client_on_age(client);
		return;
	}
	switch (client->state) {
	case CLIENT_IDLE:
		client_on_idle(client);
		break;
	case CLIENT_READ_HEAD:
		client_on_head_timer(client, now_ms);
		break;
	case CLIENT_READ_PROXY:
		client_begin_if(client, client_proxy_on_timer(client));
		break;
	case CLIENT_READ_HELLO:
	case CLIENT_HANDSHAKE:
		client_tls_on_timer(client);
		break;
	case CLIENT_LINGER:
		if (client->h2 && client_h2_is_reading(client)) {
			client->deadline_ms = now_ms + LIMIT_LINGER_MS;
			client_arm(client);
		} else {
			client_close(client, END_OK, false);
		}
		break;
	case CLIENT_H2:
		client_h2_on_timer(client, now_ms);
		break;
	case CLIENT_ASKED:
	case CLIENT_STREAM:
	case CLIENT_CLOSED:
	case CLIENT_STATE_COUNT:
		break;
	}
}

/* ------------------------------------------------------------------------------------ start */

static void client_start_age(struct client *client)
{
	const struct static_config *config = &client->proxy->lease->snapshot->config;
	uint64_t age_ns = config->timeouts.max_connection_age_ns;

	if (!age_ns)
		return;
	if (config->timeouts.max_connection_age_jitter_ns)
		age_ns += proxy_random(client->proxy) % config->timeouts.max_connection_age_jitter_ns;
	client->age_ms = proxy_now_ms(client->proxy) + ns_to_ms(age_ns);
}

static struct client *client_create(struct proxy *proxy, struct proxy_bind *bind, int fd,
				    enum client_origin origin)
{
	uint64_t handle;
	struct client *client = slab_take(proxy->clients, &handle);

	if (!client) {
		socket_reset(fd);
		return NULL;
	}
	client->proxy = proxy;
	client->bind = bind;
	client->handle = handle;
	timer_init(&client->timer, client_on_timer);
	loop_deferred_init(&client->again, client_on_again);
	if (conn_open(&client->conn, proxy->loop, fd, client_on_ready) < 0) {
		slab_give(proxy->clients, handle);
		return NULL;
	}
	/* The loop reports no error that occurred before accept: check for one. */
	client->conn.has_error = true;
	if (client_peer_bypass(client, bind->bind, origin) < 0) {
		conn_close(&client->conn, true);
		slab_give(proxy->clients, handle);
		return NULL;
	}
	bind->refs++;
	return client;
}

/*
 * Creates the client of a connection that admission has counted; `counted` is its address's quota. NULL: the
 * connection was reset.
 */
static struct client *client_enter(struct proxy *proxy, struct proxy_bind *bind, int fd,
				   const struct address *peer, struct quota *counted,
				   enum client_origin origin)
{
	struct client *client;

	client_peer_set_options(proxy, bind->bind, fd);
	client = client_create(proxy, bind, fd, origin);
	if (!client) {
		admission_give(proxy, bind);
		admission_give_client(counted);
		quota_drop(counted);
		counter_end(proxy->counters, END_LIMIT);
		return NULL;
	}
	client->peer = counted;
	counter_add(proxy->counters, COUNTER_DOWNSTREAM_OPEN, 1);
	proxy_trace(proxy, client->handle, TRACE_ACCEPT, (uint32_t)fd, address_port(&bind->address));
	admission_record(proxy, bind->bind);
	client_peer_name(client, peer);
	return client;
}

bool client_start(struct proxy *proxy, struct proxy_bind *bind, int fd, const struct address *peer,
		  enum client_origin origin)
{
	const struct bind *config = bind->bind;
	struct client_proxy arrival;
	struct quota *counted;
	struct client *client;

	counter_add(proxy->counters, COUNTER_ACCEPTED, 1);
	if (!config || !client_proxy_admits(proxy, config, fd, peer, origin, &arrival)) {
		socket_reset(fd);
		return false;
	}
	counted = arrival.is_expected ? NULL : admission_client(proxy, client_proxy_peer(&arrival, peer));
	if (!evict_admit(proxy, bind, counted, &fd)) {
		quota_drop(counted);
		admission_refuse(proxy, config, fd);
		return false;
	}
	client = client_enter(proxy, bind, fd, peer, counted, origin);
	if (!client || !client_proxy_take(client, &arrival))
		return false;
	client_start_age(client);
	if (arrival.is_expected)
		client_begin_if(client, client_proxy_start(client));
	else
		client_begin(client, config);
	proxy->handler->on_state(client);
	return true;
}

struct client *client_take_over(struct proxy *proxy, struct proxy_bind *bind, int fd,
				const struct address *peer, bool has_requests, enum client_origin origin)
{
	struct client_proxy arrival;
	struct quota *counted;
	struct client *client;

	counter_add(proxy->counters, COUNTER_ACCEPTED, 1);
	if (!client_proxy_admits(proxy, bind->bind, fd, peer, origin, &arrival)) {
		socket_reset(fd);
		return NULL;
	}
	counted = admission_client(proxy, client_proxy_peer(&arrival, peer));
	/* It was admitted by the previous process, so the number does not grow. */
	admission_count(proxy, bind);
	admission_count_client(counted);
	client = client_enter(proxy, bind, fd, peer, counted, origin);
	if (!client || !client_proxy_take(client, &arrival))
		return NULL;
	client->requests = has_requests;
	if (has_requests && client_make_http(client, bind->bind) < 0) {
		client_close(client, END_INTERNAL, true);
		return NULL;
	}
	return client;
}
