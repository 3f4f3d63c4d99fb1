/* SPDX-License-Identifier: Apache-2.0 */
#include "user/proxy/tunnel_adopt.h"

#include "user/base/hash.h"
#include "user/kernel/sockmap/adopt.h"
#include "user/net/socket.h"
#include "user/proxy/attempt_place.h"
#include "user/proxy/back.h"
#include "user/proxy/client.h"
#include "user/proxy/front.h"
#include "user/proxy/tunnel.h"
#include "user/proxy/tunnel_estate.h"
#include "user/upstream/upstream.h"

/* ------------------------------------------------------------------------------------ names */

/* Where it went, in the configuration of now. */
struct adopted_place {
	const struct listener *listener;
	const struct route *route;
	const struct tcp_route *tcp_route;
	const struct backend_ref *backend;
	uint32_t endpoint_index;
};

static bool find_backend(struct adopted_place *place, const struct estate_tunnel *tunnel,
			 const struct backend_ref *list, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct backend *backend = list[i].backend;

		if (tunnel_estate_backend(&list[i]) != tunnel->backend)
			continue;
		for (uint32_t at = 0; at < backend->endpoint_count; at++) {
			if (hash_bytes(backend->endpoint_list[at].text) != tunnel->endpoint)
				continue;
			place->backend = &list[i];
			place->endpoint_index = at;
			return true;
		}
	}
	return false;
}

static bool find_route(struct adopted_place *place, const struct estate_tunnel *tunnel)
{
	const struct listener *listener = place->listener;

	for (uint32_t i = 0; tunnel->kind == ESTATE_TUNNEL_HTTP && i < listener->route_count; i++) {
		const struct route *route = &listener->route_list[i];

		if (tunnel_estate_route(route) == tunnel->route &&
		    find_backend(place, tunnel, route->backend_list, route->backend_count)) {
			place->route = route;
			return true;
		}
	}
	for (uint32_t i = 0; tunnel->kind != ESTATE_TUNNEL_HTTP && i < listener->tcp_route_count; i++) {
		const struct tcp_route *route = &listener->tcp_route_list[i];

		if (tunnel_estate_tcp_route(route) == tunnel->route &&
		    find_backend(place, tunnel, route->backend_list, route->backend_count)) {
			place->tcp_route = route;
			return true;
		}
	}
	return false;
}

static bool find_place(struct adopted_place *place, const struct estate_tunnel *tunnel,
		       const struct bind *bind)
{
	*place = (struct adopted_place){ 0 };
	for (uint32_t i = 0; i < bind->listener_count; i++) {
		place->listener = &bind->listener_list[i];
		if (tunnel_estate_listener(place->listener) == tunnel->listener && find_route(place, tunnel))
			return true;
	}
	return false;
}

/* ------------------------------------------------------------------------------------ the stream */

static int keep_texts(struct stream *stream, struct estate *estate, const struct estate_tunnel *tunnel,
		      int client_fd)
{
	size_t bytes = (size_t)tunnel->text_bytes[0] + tunnel->text_bytes[1] + tunnel->text_bytes[2];
	const char *at = estate_texts(estate, client_fd, bytes);
	struct stream_texts texts = { 0 };

	if (!at || !bytes)
		return 0;
	texts.method = span_of(at, tunnel->text_bytes[0]);
	texts.host = span_of(at + tunnel->text_bytes[0], tunnel->text_bytes[1]);
	texts.path = span_of(texts.host.data + tunnel->text_bytes[1], tunnel->text_bytes[2]);
	return stream_keep_texts(stream, &texts);
}

static void fill_stream(struct stream *stream, const struct estate_tunnel *tunnel,
			const struct adopted_place *place)
{
	stream->id = tunnel->id;
	stream->start_ns = tunnel->start_ns;
	stream->is_adopted = true;
	stream->close_client = true;
	stream->is_tcp = tunnel->kind != ESTATE_TUNNEL_HTTP;
	stream->is_tls = tunnel->kind == ESTATE_TUNNEL_TLS;
	stream->is_upgraded = tunnel->is_upgraded;
	stream->head_sent = tunnel->kind == ESTATE_TUNNEL_HTTP;
	stream->status = tunnel->status;
	stream->client_major = tunnel->version >> 4;
	stream->client_minor = tunnel->version & 0xf;
	stream->attempt.retries_done = tunnel->retries;
	stream->listener = place->listener;
	stream->route = place->route;
	stream->tcp_route = place->tcp_route;
	stream->backend = place->backend;
}

/* 0 or -errno: backend_fd is closed then. */
static int bind_upstream(struct stream *stream, const struct adopted_place *place, int backend_fd)
{
	struct upstream_wants wants = place_wants(stream->backend, &stream->lease->snapshot->config);
	struct proxy *proxy = stream->proxy;
	struct attempt *attempt = &stream->attempt;
	struct address address = { 0 };

	(void)socket_peer(backend_fd, &address);
	attempt->endpoint_index = place->endpoint_index;
	attempt->endpoint = upstream_pool_endpoint(
		&proxy->pool, &stream->backend->backend->endpoint_list[place->endpoint_index], &wants);
	if (!attempt->endpoint) {
		socket_reset(backend_fd);
		return -ENOMEM;
	}
	attempt->endpoint->load.in_flight++;
	stream->upstream = upstream_open(&proxy->pool, attempt->endpoint, backend_fd, &address);
	if (!stream->upstream)
		return -ENOMEM;
	/* Nobody was told what has become of it meanwhile. */
	stream->upstream->conn.has_error = true;
	stream->back = back_of(stream->upstream);
	stream->back->bind(stream);
	return 0;
}

static int adopt_gates(struct stream *stream, const struct estate_tunnel *tunnel)
{
	const struct estate_slot *slots[] = { &tunnel->client_slot, &tunnel->backend_slot };
	struct conn *conns[] = { &stream->client->conn, &stream->upstream->conn };
	struct gate_lane *lane = stream->proxy->relay.gate;
	int error = 0;

	for (size_t i = 0; i < ARRAY_LEN(slots) && !error; i++) {
		struct gate_handle slot = { slots[i]->index, slots[i]->generation };

		if (slot.generation)
			error = lane ? conn_adopt_gate(conns[i], lane->worker, slot) : -EOPNOTSUPP;
	}
	return error;
}

static int adopt_way(struct relay *relay, const struct estate_way *way)
{
	const struct relay_past past = {
		.lane_bytes = { [LANE_COPY] = way->copied_bytes, [LANE_SOCKMAP] = way->sockmap_bytes },
		.last_active_ms = way->active_ms,
		.is_done = way->lane == ESTATE_LANE_DONE,
		.is_in_sockmap = way->lane == ESTATE_LANE_SOCKMAP,
	};

	return relay_adopt(relay, &past);
}

static int go_on(struct stream *stream, const struct estate_tunnel *tunnel)
{
	int error = adopt_gates(stream, tunnel);

	if (error)
		return error;
	tunnel_start_ways(stream);
	error = adopt_way(&stream->upload, &tunnel->ways[0]);
	return error ? error : adopt_way(&stream->download, &tunnel->ways[1]);
}

/* Both descriptors are closed when it comes to nothing. */
static bool adopt_stream(struct client *client, const struct estate_tunnel *tunnel,
			 const struct adopted_place *place)
{
	struct estate *estate = client->proxy->shared->estate;
	struct stream *stream = stream_create(client, &front_h1, true);
	int client_fd = conn_fd(&client->conn);
	int error;

	if (!stream) {
		socket_reset(tunnel->backend_fd);
		client_close(client, END_LIMIT, true);
		return false;
	}
	client->stream = stream;
	client_set_state(client, CLIENT_STREAM);
	fill_stream(stream, tunnel, place);
	error = keep_texts(stream, estate, tunnel, client_fd);
	if (error)
		socket_reset(tunnel->backend_fd);
	else
		error = bind_upstream(stream, place, tunnel->backend_fd);
	if (!error)
		error = go_on(stream, tunnel);
	if (error) {
		proxy_trace(stream->proxy, stream->id, TRACE_UPSTREAM_FAILED, (uint32_t)-error, 0);
		stream_finish(stream, END_INTERNAL, STREAM_END_RESET);
		return false;
	}
	stream_set_state(stream, STREAM_TUNNEL);
	tunnel_estate_begin(stream);
	/* Events of before are lost: looked at once, it says itself what it waits for. */
	stream_pump_again(stream);
	return true;
}

/* Closed, they are in no map any more. */
static void forget_slot(const struct proxy *proxy, const struct estate_slot *slot)
{
	if (proxy->relay.gate && slot->generation)
		gate_slot_forget(proxy->relay.gate->worker->gate,
				 (struct gate_handle){ slot->index, slot->generation });
}

static bool adopt_client(struct proxy *proxy, struct proxy_bind *bind, int client_fd,
			 const struct estate_tunnel *tunnel)
{
	struct adopted_place place;
	struct client *client;
	struct address peer;

	if (!bind->bind || !find_place(&place, tunnel, bind->bind) || socket_peer(client_fd, &peer) < 0) {
		socket_reset(client_fd);
		socket_reset(tunnel->backend_fd);
		return false;
	}
	address_unmap(&peer);
	client = client_adopt(proxy, bind, client_fd, &peer, tunnel->age_ms);
	if (!client) {
		socket_reset(tunnel->backend_fd);
		return false;
	}
	return adopt_stream(client, tunnel, &place);
}

bool tunnel_adopt(struct proxy *proxy, struct proxy_bind *bind, int client_fd)
{
	struct estate *estate = proxy->shared->estate;
	const struct estate_tunnel *row = estate_tunnel(estate, client_fd);
	struct estate_tunnel tunnel;

	CHECK(row != NULL);
	tunnel = *row;
	/* The marks are over, whatever becomes of it: both numbers may soon be others'. */
	estate_mark(estate, tunnel.backend_fd, ESTATE_MARK_NONE);
	estate_mark(estate, client_fd, ESTATE_MARK_NONE);
	if (adopt_client(proxy, bind, client_fd, &tunnel))
		return true;
	forget_slot(proxy, &tunnel.client_slot);
	forget_slot(proxy, &tunnel.backend_slot);
	return false;
}
