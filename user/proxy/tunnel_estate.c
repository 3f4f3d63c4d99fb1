/* SPDX-License-Identifier: Apache-2.0 */
#include "user/proxy/tunnel_estate.h"

#include <string.h>

#include "user/base/hash.h"
#include "user/proxy/back.h"
#include "user/proxy/client.h"
#include "user/proxy/front.h"
#include "user/relay/relay_io.h"

/* ------------------------------------------------------------------------------------ names */

uint64_t tunnel_estate_listener(const struct listener *listener)
{
	return hash_mix(hash_bytes(listener->gateway_label), hash_bytes(listener->listener_name));
}

uint64_t tunnel_estate_route(const struct route *route)
{
	return hash_mix(hash_bytes(route->key),
			hash_mix(hash_bytes(route->label), hash_bytes(route->rule_name)));
}

uint64_t tunnel_estate_tcp_route(const struct tcp_route *route)
{
	return hash_mix(hash_bytes(route->key),
			hash_mix(hash_bytes(route->label), hash_bytes(route->rule_name)));
}

uint64_t tunnel_estate_backend(const struct backend_ref *ref)
{
	return hash_bytes(ref->backend->name);
}

/* ------------------------------------------------------------------------------------ the row */

static struct estate *estate_of(const struct stream *stream)
{
	return stream->proxy->shared->estate;
}

static struct estate_tunnel *row_of(const struct stream *stream)
{
	return stream->is_in_estate ? estate_tunnel(estate_of(stream), conn_fd(&stream->client->conn)) : NULL;
}

static void way_set_busy(struct estate_way *way, bool is_busy)
{
	/* What follows in the code happens behind it, what came before it is to be seen. */
	if (!is_busy)
		atomic_thread_fence(memory_order_release);
	atomic_store_explicit(&way->is_busy, is_busy, memory_order_relaxed);
	if (is_busy)
		atomic_thread_fence(memory_order_seq_cst);
}

static struct estate_way *way_of(struct estate_tunnel *tunnel, const struct relay *relay)
{
	return &tunnel->ways[relay->direction == RELAY_IN ? 0 : 1];
}

static bool is_adoptable(const struct stream *stream)
{
	const struct conn *client = &stream->client->conn, *backend = &stream->upstream->conn;

	return stream->front == &front_h1 && stream->back == &back_h1 &&
	       relay_is_between_tcp(&stream->upload) && !client->hop && !backend->hop &&
	       !stream->backend->backend->endpoint_list[0].is_inner;
}

static uint8_t kind_of(const struct stream *stream)
{
	if (stream->is_tls)
		return ESTATE_TUNNEL_TLS;
	return stream->is_tcp ? ESTATE_TUNNEL_TCP : ESTATE_TUNNEL_HTTP;
}

/* What does not fit is cut from the end: of all texts a path may be that long. */
static void write_texts(struct estate *estate, struct estate_tunnel *tunnel, int client_fd,
			const struct stream_texts *texts)
{
	const struct span list[] = { texts->method, texts->host, texts->path };
	size_t left = ESTATE_LONG_TEXT_BYTES, bytes = 0;
	char *at;

	static_assert(ARRAY_LEN(list) == ARRAY_LEN(tunnel->text_bytes), "one length each");
	for (size_t i = 0; i < ARRAY_LEN(list); i++) {
		tunnel->text_bytes[i] = (uint16_t)(list[i].len < left ? list[i].len : left);
		left -= tunnel->text_bytes[i];
		bytes += tunnel->text_bytes[i];
	}
	at = estate_texts(estate, client_fd, bytes);
	for (size_t i = 0; i < ARRAY_LEN(list); i++) {
		if (tunnel->text_bytes[i])
			memcpy(at, list[i].data, tunnel->text_bytes[i]);
		at += tunnel->text_bytes[i];
	}
}

void tunnel_estate_begin(struct stream *stream)
{
	static const struct stream_texts none;
	const struct stream_texts *texts;
	const struct endpoint *endpoint;
	int client_fd = conn_fd(&stream->client->conn), backend_fd = conn_fd(&stream->upstream->conn);
	struct estate_tunnel *tunnel = estate_tunnel(estate_of(stream), client_fd);

	if (!tunnel || backend_fd >= ESTATE_DESCRIPTORS || !is_adoptable(stream))
		return;
	endpoint = &stream->backend->backend->endpoint_list[stream->attempt.endpoint_index];
	stream->is_in_estate = true;
	way_set_busy(&tunnel->ways[0], true);
	way_set_busy(&tunnel->ways[1], true);
	tunnel->id = stream->id;
	tunnel->start_ns = stream->start_ns;
	tunnel->age_ms = stream->client->age_ms;
	tunnel->listener = stream->listener ? tunnel_estate_listener(stream->listener) : 0;
	tunnel->route = stream->route ? tunnel_estate_route(stream->route)
			: stream->tcp_route ? tunnel_estate_tcp_route(stream->tcp_route) : 0;
	tunnel->backend = tunnel_estate_backend(stream->backend);
	tunnel->endpoint = hash_bytes(endpoint->text);
	tunnel->backend_fd = backend_fd;
	tunnel->status = stream->status;
	tunnel->kind = kind_of(stream);
	tunnel->version = (uint8_t)(stream->client_major << 4 | stream->client_minor);
	tunnel->is_upgraded = stream->is_upgraded;
	tunnel->retries = (uint8_t)(stream->attempt.retries_done < UINT8_MAX ? stream->attempt.retries_done
									      : UINT8_MAX);
	texts = stream->exchange ? &stream->exchange->texts : stream->texts;
	write_texts(estate_of(stream), tunnel, client_fd, texts ? texts : &none);
	estate_mark(estate_of(stream), backend_fd, ESTATE_MARK_BACKEND);
	/* Both ways stay busy until they have been pumped. */
}

/* ------------------------------------------------------------------------------------ while it runs */

void tunnel_estate_pumping(struct stream *stream, const struct relay *relay)
{
	struct estate_tunnel *tunnel = row_of(stream);

	/* What the kernel lane does has a journal of its own (user/kernel/sockmap/adopt.h). */
	if (tunnel && !relay_is_in_sockmap(relay))
		way_set_busy(way_of(tunnel, relay), true);
}

static struct estate_slot slot_of(const struct conn *conn)
{
	if (!conn->gate)
		return (struct estate_slot){ 0 };
	return (struct estate_slot){ conn->gate->slot.index, conn->gate->slot.generation };
}

/* Is all of it in the kernel, so that another process could go on? */
static bool is_clean(const struct relay *relay)
{
	const struct gate_socket *gate = relay->source->gate;

	if (relay->counted_bytes)
		return false;
	if (relay->state == RELAY_DONE || relay_is_in_sockmap(relay))
		return true;
	/* What the lane has passed up and nobody has read is counted by us alone. */
	return relay->state == RELAY_OPEN && relay->lane == &lane_copy && !(gate && gate->is_source);
}

void tunnel_estate_pumped(struct stream *stream, const struct relay *relay)
{
	struct estate_tunnel *tunnel = row_of(stream);
	struct estate_way *way;

	if (!tunnel)
		return;
	way = way_of(tunnel, relay);
	if (!is_clean(relay)) {
		way_set_busy(way, true);
		return;
	}
	tunnel->client_slot = slot_of(&stream->client->conn);
	tunnel->backend_slot = slot_of(&stream->upstream->conn);
	way->copied_bytes = relay_bytes_before(relay, LANE_COPY);
	way->sockmap_bytes = relay_bytes_before(relay, LANE_SOCKMAP);
	way->active_ms = relay->last_active_ms;
	way->lane = relay->state == RELAY_DONE ? ESTATE_LANE_DONE
		    : relay_is_in_sockmap(relay) ? ESTATE_LANE_SOCKMAP : ESTATE_LANE_COPY;
	way_set_busy(way, false);
}

void tunnel_estate_end(struct stream *stream)
{
	struct estate_tunnel *tunnel = row_of(stream);

	if (!tunnel)
		return;
	way_set_busy(&tunnel->ways[0], true);
	way_set_busy(&tunnel->ways[1], true);
	estate_mark(estate_of(stream), tunnel->backend_fd, ESTATE_MARK_NONE);
	stream->is_in_estate = false;
}
