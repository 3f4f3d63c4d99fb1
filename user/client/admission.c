/* SPDX-License-Identifier: Apache-2.0 */
#include "user/client/admission.h"

#include <sys/socket.h>

#include "user/base/limits.h"
#include "user/client/client_peer.h"
#include "user/net/socket.h"

static uint64_t bind_max_connections(const struct bind *bind)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < bind->listener_count; i++) {
		if (!bind->listener_list[i].max_connections.is_set)
			return UINT64_MAX;
		sum += bind->listener_list[i].max_connections.value;
	}
	return sum;
}

/* 0: not derived from the descriptor limit, so only the tables limit connections. */
static uint64_t max_connections(const struct proxy *proxy)
{
	uint64_t max = proxy->lease->snapshot->config.max_connections;

	return max ? max : LIMIT_CONNECTIONS;
}

bool admission_port_is_full(const struct proxy_bind *bind)
{
	return atomic_load_explicit(&bind->counts->connections, memory_order_relaxed) >=
	       bind_max_connections(bind->bind);
}

void admission_count(struct proxy *proxy, struct proxy_bind *bind)
{
	atomic_fetch_add_explicit(&proxy->shared->counts.connections, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&bind->counts->connections, 1, memory_order_relaxed);
}

bool admission_take(struct proxy *proxy, struct proxy_bind *bind)
{
	uint64_t all = atomic_fetch_add_explicit(&proxy->shared->counts.connections, 1, memory_order_relaxed);
	uint64_t here = atomic_fetch_add_explicit(&bind->counts->connections, 1, memory_order_relaxed);

	if (all < max_connections(proxy) && here < bind_max_connections(bind->bind))
		return true;
	admission_give(proxy, bind);
	return false;
}

void admission_give(struct proxy *proxy, struct proxy_bind *bind)
{
	atomic_fetch_sub_explicit(&proxy->shared->counts.connections, 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(&bind->counts->connections, 1, memory_order_relaxed);
}

struct quota *admission_client(struct proxy *proxy, const struct address *peer)
{
	uint8_t owner[ADDRESS_OWNER_BYTES];
	size_t len = address_owner(peer, owner);

	if (!len || client_peer_is_trusted(proxy, peer))
		return NULL;
	return quota_hold(&proxy->shared->clients, span_of(owner, len));
}

/* 0: not derived from the descriptor limit. */
static uint64_t most_or_all(uint64_t most)
{
	return most ? most : UINT64_MAX;
}

bool admission_take_client(const struct proxy *proxy, struct quota *client)
{
	const struct static_config *config = &proxy->lease->snapshot->config;

	return !client || quota_take(&client->connections, most_or_all(config->connections_per_client));
}

bool admission_take_request(const struct proxy *proxy, struct quota *client)
{
	const struct static_config *config = &proxy->lease->snapshot->config;

	if (!client || quota_take(&client->requests, most_or_all(config->requests_per_client)))
		return true;
	counter_limit(proxy->counters, LIMIT_KIND_CLIENT_REQUESTS);
	return false;
}

void admission_give_request(struct quota *client)
{
	if (client)
		quota_give(&client->requests);
}

void admission_count_client(struct quota *client)
{
	if (client)
		(void)quota_take(&client->connections, UINT64_MAX);
}

void admission_give_client(struct quota *client)
{
	if (client)
		quota_give(&client->connections);
}

void admission_record(const struct proxy *proxy, const struct bind *bind)
{
	static const struct span protocols[] = {
		[BIND_HTTP] = { "http", 4 },
		[BIND_TLS] = { "tls", 3 },
		[BIND_TCP] = { "tcp", 3 },
	};

	request_metrics_connection(proxy->metrics, bind->key, bind->listener_list[0].gateway_label,
				   bind->listener_list[0].listener_name, protocols[bind->protocol]);
}

void admission_refuse(struct proxy *proxy, const struct bind *bind, int fd)
{
	static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\n"
				     "content-length: 20\r\nconnection: close\r\n\r\ntoo many connections";

	counter_add(proxy->counters, COUNTER_ACCEPT_REFUSED, 1);
	counter_end(proxy->counters, END_LIMIT);
	/*
	 * An empty send buffer accepts a short response at once; if it does not, the client gets a reset
	 * only.
	 */
	if (bind->protocol != BIND_HTTP ||
	    send(fd, answer, sizeof(answer) - 1, MSG_DONTWAIT | MSG_NOSIGNAL) <= 0 ||
	    socket_shutdown_write(fd) < 0) {
		socket_reset(fd);
		return;
	}
	/*
	 * Read the request: closing with unread bytes sends a reset after the response, and some clients then
	 * discard both.
	 */
	(void)recv(fd, proxy->relay.scratch, LIMIT_READ_BYTES, MSG_DONTWAIT);
	socket_close(fd);
}
