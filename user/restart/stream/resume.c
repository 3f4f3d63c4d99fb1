/* SPDX-License-Identifier: Apache-2.0 */
#include "user/codec/codec.h"
#include "user/restart/stream/resume.h"

#include "user/base/failpoint.h"
#include "user/base/hash.h"
#include "user/client/client_accept.h"
#include "user/kernel/sockmap/adopt.h"
#include "user/net/socket.h"
#include "user/phase/endpoint_choice.h"
#include "user/phase/tunnel.h"
#include "user/relay/conn_gate.h"
#include "user/relay/conn_hop.h"
#include "user/restart/stream/checkpoint.h"
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

static bool is_exchange(const struct estate_stream *row)
{
	return row->kind == ESTATE_STREAM_REQUEST || row->kind == ESTATE_STREAM_RESPONSE;
}

static bool is_http(const struct estate_stream *row)
{
	return row->kind == ESTATE_STREAM_HTTP || is_exchange(row);
}

static bool find_backend(struct adopted_place *place, const struct estate_stream *row,
			 const struct backend_ref *list, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct backend *backend = list[i].backend;

		if (checkpoint_backend_name(&list[i]) != row->backend)
			continue;
		for (uint32_t at = 0; at < backend->endpoint_count; at++) {
			if (hash_bytes(backend->endpoint_list[at].text) != row->endpoint)
				continue;
			place->backend = &list[i];
			place->endpoint_index = at;
			return true;
		}
	}
	return false;
}

static bool find_route(struct adopted_place *place, const struct estate_stream *row)
{
	const struct listener *listener = place->listener;

	for (uint32_t i = 0; is_http(row) && i < listener->route_count; i++) {
		const struct route *route = &listener->route_list[i];

		if (checkpoint_route_name(route) == row->route &&
		    find_backend(place, row, route->backend_list, route->backend_count)) {
			place->route = route;
			return true;
		}
	}
	for (uint32_t i = 0; !is_http(row) && i < listener->tcp_route_count; i++) {
		const struct tcp_route *route = &listener->tcp_route_list[i];

		if (checkpoint_tcp_route_name(route) == row->route &&
		    find_backend(place, row, route->backend_list, route->backend_count)) {
			place->tcp_route = route;
			return true;
		}
	}
	return false;
}

/* Who has spoken plain text on a port that is of TLS by now does not go on with it. */
static bool is_of(const struct bind *bind, const struct estate_stream *row)
{
	if (is_http(row))
		return bind->protocol == BIND_HTTP;
	return bind->protocol == (row->kind == ESTATE_STREAM_TLS ? BIND_TLS : BIND_TCP);
}

static bool find_place(struct adopted_place *place, const struct estate_stream *row, const struct bind *bind)
{
	*place = (struct adopted_place){ 0 };
	if (!is_of(bind, row))
		return false;
	for (uint32_t i = 0; i < bind->listener_count; i++) {
		place->listener = &bind->listener_list[i];
		if (checkpoint_listener_name(place->listener) == row->listener && find_route(place, row))
			return true;
	}
	return false;
}

bool stream_has_place(const struct bind *bind, const struct estate_stream *row)
{
	struct adopted_place place;

	return find_place(&place, row, bind);
}

/* ------------------------------------------------------------------------------------ the stream */

/* Lengths are not believed: whoever wrote them has died of something. */
static int keep_texts(struct stream *stream, struct estate *estate, const struct estate_stream *row,
		      int client_fd)
{
	size_t bytes = (size_t)row->text_bytes[0] + row->text_bytes[1] + row->text_bytes[2];
	const char *at = estate_texts(estate, client_fd, bytes);
	struct stream_texts texts = { 0 };
	struct span all;

	if (!at || !bytes)
		return 0;
	all = span_of(at, bytes);
	if (stream->exchange)
		all = arena_copy(&stream->exchange->arena, all);
	if (!all.data)
		return -ENOMEM;
	texts.method = span_of(all.data, row->text_bytes[0]);
	texts.host = span_of(all.data + row->text_bytes[0], row->text_bytes[1]);
	texts.path = span_of(texts.host.data + row->text_bytes[1], row->text_bytes[2]);
	if (!stream->exchange)
		return stream_keep_texts(stream, &texts);
	stream->exchange->texts = texts;
	return 0;
}

/* What the ways go on with. */
struct resumed_past {
	uint32_t request_end_ms, try_end_ms; /* since the stream began; 0: none */
	struct body_framing framing;
	enum relay_encoding encoding;
	uint8_t chunk_state;
};

static void put_route(struct stream *stream, const struct adopted_place *place)
{
	stream->route = place->route;
	stream->tcp_route = place->tcp_route;
}

static void put_kind(struct stream *stream, const struct estate_stream *row)
{
	stream->is_tcp = !is_http(row);
	stream->is_tls = row->kind == ESTATE_STREAM_TLS;
	stream->head_sent = is_http(row) && row->kind != ESTATE_STREAM_REQUEST;
}

static void put_version(struct stream *stream, uint8_t version)
{
	stream->client_major = version >> 4;
	stream->client_minor = version & 0xf;
}

static void put_closes_client(struct stream *stream, bool closes_client)
{
	stream->close_client = closes_client;
	stream->client_keeps = !closes_client;
}

static void fill_stream(struct stream *stream, const struct estate_stream *row,
			const struct adopted_place *place, struct resumed_past *past)
{
	stream->is_adopted = true;
#define STREAM_FIELD(type, member, taken, put_back, is_sound) put_back;
#define BODY_FIELD(type, member, taken, put_back, is_sound) put_back;
#include "user/restart/stream_fields.def"
#undef STREAM_FIELD
#undef BODY_FIELD
}

/* 0 or -errno: backend_fd is closed then. */
static int bind_upstream(struct stream *stream, int backend_fd, bool hops)
{
	struct upstream_wants wants = place_wants(stream->backend, &stream->lease->snapshot->config);
	struct proxy *proxy = stream->proxy;
	struct attempt *attempt = &stream->attempt;
	struct address address = { 0 };

	/* Should its endpoint have TLS by now, nobody who wants that may be given this connection later. */
	wants.tls = NULL;
	(void)socket_peer(backend_fd, &address);
	attempt->endpoint = upstream_pool_endpoint(
		&proxy->pool, &stream->backend->backend->endpoint_list[attempt->endpoint_index], &wants);
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
	stream->upstream->conn.is_adopted = true;
	/* Also where it fails: the stream ends with both of its sides. */
	stream->back = back_of(stream->upstream);
	stream->back->bind(stream);
	return hops ? conn_adopt_hop(&stream->upstream->conn, proxy->relay.near_watch.worker) : 0;
}

static int adopt_gates(struct stream *stream, const struct estate_stream *row)
{
	const struct estate_slot *slots[] = { &row->client_slot, &row->backend_slot };
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

static int adopt_way(struct relay *relay, const struct estate_way *way, const struct resumed_past *body)
{
	const struct relay_past past = {
		.lane_bytes = { [LANE_COPY] = way->copied_bytes,
				[LANE_PIPE] = way->is_direct ? 0 : way->piped_bytes,
				[LANE_SOCKMAP] = way->sockmap_bytes,
				[LANE_DIRECT] = way->is_direct ? way->direct_bytes : 0 },
		.last_active_ms = way->active_ms,
		.is_done = way->lane == ESTATE_LANE_DONE,
		.is_in_sockmap = way->lane == ESTATE_LANE_SOCKMAP,
		.is_in_direct = way->lane == ESTATE_LANE_DIRECT,
		.left = body->framing.length,
		.chunk_state = body->chunk_state,
	};

	return relay_adopt(relay, &past);
}

/* The body of a request that is complete; what it was is told in the log. */
static int request_body_end(struct stream *stream, const struct estate_stream *row,
			    const struct resumed_past *past)
{
	static const struct body_framing none = { .kind = BODY_NONE };
	uint64_t now_ms = proxy_now_ms(stream->proxy);
	int error;

	relay_start(&stream->upload, stream->front->end(stream), stream->back->end(stream), &none,
		    ENCODE_PLAIN, false, now_ms);
	error = adopt_way(&stream->upload, &row->ways[0], past);
	(void)relay_pump(&stream->upload, now_ms);
	/* Idle times go on: no byte has moved since. */
	stream->upload.last_active_ms = row->ways[0].active_ms;
	return error;
}

/* Its method decides how its answer is framed; its fields are gone, and with them every other attempt. */
static int request_go_on(struct stream *stream, const struct estate_stream *row,
			 const struct resumed_past *past)
{
	struct exchange *exchange = stream->exchange;
	uint64_t start_ms = stream->start_ns / NS_PER_MS;
	int error;

	exchange->head.method = method_of(exchange->texts.method);
	exchange->head.version_major = stream->client_major;
	exchange->head.version_minor = stream->client_minor;
	exchange->request_deadline_ms = past->request_end_ms ? start_ms + past->request_end_ms : 0;
	exchange->try_deadline_ms = past->try_end_ms ? start_ms + past->try_end_ms : 0;
	if (row->ways[0].lane == ESTATE_LANE_DONE)
		return request_body_end(stream, row, past);
	exchange->request_framing = past->framing;
	relay_start(&stream->upload, stream->front->end(stream), stream->back->end(stream),
		    &exchange->request_framing, past->encoding,
		    stream->lease->snapshot->config.splice.lane_pipe, proxy_now_ms(stream->proxy));
	stream_offer_gate(stream, &stream->upload, false);
	error = adopt_way(&stream->upload, &row->ways[0], past);
	/* Counted as far as this worker may have more of them: it may have got those of others. */
	if (!error && row->ways[0].lane == ESTATE_LANE_SOCKMAP)
		(void)conn_count_upload(&stream->client->conn, stream->upload.shared->counters);
	return error;
}

/* The answer to a request that was complete. */
static int response_go_on(struct stream *stream, const struct estate_stream *row,
			  const struct resumed_past *past)
{
	struct relay_end client = stream->front->end(stream), backend = stream->back->end(stream);
	uint64_t now_ms = proxy_now_ms(stream->proxy);
	int error = request_body_end(stream, row, past);

	if (error)
		return error;
	relay_start(&stream->download, backend, client, &past->framing, past->encoding,
		    stream->lease->snapshot->config.splice.lane_pipe, now_ms);
	stream_offer_gate(stream, &stream->download, true);
	stream->upstream->has_response_bytes = true;
	return adopt_way(&stream->download, &row->ways[1], past);
}

static int tunnel_go_on(struct stream *stream, const struct estate_stream *row,
			const struct resumed_past *past)
{
	int error;

	tunnel_start_ways(stream);
	stream_offer_direct(stream, &stream->upload);
	stream_offer_direct(stream, &stream->download);
	error = adopt_way(&stream->upload, &row->ways[0], past);
	return error ? error : adopt_way(&stream->download, &row->ways[1], past);
}

/* The way whose body stands in the row. */
static const struct estate_way *body_way(const struct estate_stream *row)
{
	return &row->ways[row->kind == ESTATE_STREAM_RESPONSE];
}

static bool has_body(const struct estate_stream *row)
{
	return row->kind == ESTATE_STREAM_RESPONSE ||
	       (row->kind == ESTATE_STREAM_REQUEST && row->ways[0].lane != ESTATE_LANE_DONE);
}

static bool has_sound_framing(const struct estate_stream *row)
{
	if (!has_body(row) || row->body_kind == BODY_LENGTH || row->body_kind == BODY_CHUNKED)
		return true;
	return row->body_kind == BODY_UNTIL_CLOSE && row->kind == ESTATE_STREAM_RESPONSE;
}

static bool has_sound_encoding(const struct estate_stream *row)
{
	return !is_exchange(row) || row->body_encoding <= ENCODE_CHUNKED;
}

static bool has_sound_length(const struct estate_stream *row)
{
	if (!has_body(row) || row->body_kind == BODY_UNTIL_CLOSE)
		return true;
	return row->body_left <= INT64_MAX && (row->body_kind != BODY_LENGTH || row->body_left > 0 ||
					       body_way(row)->lane == ESTATE_LANE_DONE);
}

static bool has_sound_chunk(const struct estate_stream *row)
{
	if (!has_body(row) || row->body_kind != BODY_CHUNKED)
		return true;
	return row->body_state == (row->body_left > 0 ? CHUNK_DATA : CHUNK_SIZE_FIRST);
}

static bool has_sound_ways(const struct estate_stream *row)
{
	for (size_t way = 0; way < ARRAY_LEN(row->ways); way++) {
		if (row->ways[way].lane > ESTATE_LANE_DONE)
			return false;
		if (row->ways[way].lane == ESTATE_LANE_SOCKMAP &&
		    (!row->client_slot.generation || !row->backend_slot.generation))
			return false;
	}
	if (row->kind == ESTATE_STREAM_RESPONSE)
		return row->ways[0].lane == ESTATE_LANE_DONE;
	return row->kind != ESTATE_STREAM_REQUEST || row->ways[1].lane == ESTATE_LANE_COPY;
}

/* The process that wrote the row crashed: nothing of it is believed without a look. */
static bool is_sound(const struct estate_stream *row)
{
#define STREAM_FIELD(type, member, taken, put_back, is_sound)                                                \
	if (!(is_sound))                                                                                     \
		return false;
#define BODY_FIELD STREAM_FIELD
#include "user/restart/stream_fields.def"
#undef STREAM_FIELD
#undef BODY_FIELD
	return has_sound_ways(row);
}

static int go_on(struct stream *stream, const struct estate_stream *row, const struct resumed_past *past)
{
	int error = adopt_gates(stream, row);

	if (error)
		return error;
	failpoint(ADOPT_SOCKETS);
	switch (row->kind) {
	case ESTATE_STREAM_REQUEST:
		return request_go_on(stream, row, past);
	case ESTATE_STREAM_RESPONSE:
		return response_go_on(stream, row, past);
	default:
		return tunnel_go_on(stream, row, past);
	}
}

static enum stream_state state_of(const struct estate_stream *row)
{
	if (row->kind == ESTATE_STREAM_REQUEST)
		return STREAM_WAIT_HEAD;
	return row->kind == ESTATE_STREAM_RESPONSE ? STREAM_RELAY : STREAM_TUNNEL;
}

static void disarm(const struct conn *conn)
{
	if (conn->gate && !conn->gate->inbound)
		gate_source_disarm(conn->gate);
}

/* Both descriptors are closed when it comes to nothing. */
static bool adopt_stream(struct client *client, const struct estate_stream *row,
			 const struct adopted_place *place)
{
	struct estate *estate = client->proxy->shared->estate;
	struct stream *stream = stream_create(client, &front_h1, !is_exchange(row));
	int client_fd = conn_fd(&client->conn);
	struct resumed_past past = { 0 };
	int error;

	if (!stream) {
		socket_reset(row->backend_fd);
		client_close(client, END_LIMIT, true);
		return false;
	}
	client->stream = stream;
	fill_stream(stream, row, place, &past);
	client_set_state(client, CLIENT_STREAM);
	if (is_exchange(row))
		client_use_listener(client, place->listener);
	error = keep_texts(stream, estate, row, client_fd);
	if (error)
		socket_reset(row->backend_fd);
	else
		error = bind_upstream(stream, row->backend_fd, row->backend_hops);
	if (!error)
		error = go_on(stream, row, &past);
	if (error) {
		disarm(&client->conn);
		if (stream->upstream)
			disarm(&stream->upstream->conn);
		proxy_trace(stream->proxy, stream->id, TRACE_UPSTREAM_FAILED, (uint32_t)-error, 0);
		stream_finish(stream, END_INTERNAL, STREAM_END_RESET);
		return false;
	}
	stream_set_state(stream, state_of(row));
	checkpoint_begin(stream);
	failpoint(ADOPT_ROW);
	/* Nothing was read so far: should this process die as well, the next one finds what it has found. */
	checkpoint_after_pump(stream, &stream->upload);
	if (stream->state == STREAM_WAIT_HEAD)
		checkpoint_waits(stream);
	else
		checkpoint_after_pump(stream, &stream->download);
	/* Events of before are lost: looked at once, it says itself what it waits for. What came while nobody
	 * was there came in time: no deadline before that. */
	stream->is_unseen = true;
	stream_pump_again(stream);
	return true;
}

/* Closed, they are in no map any more. */
static void forget_slot(const struct proxy *proxy, const struct estate_slot *slot, uint64_t cookie)
{
	if (proxy->relay.gate && slot->generation)
		gate_slot_forget(proxy->relay.gate->worker->gate,
				 (struct gate_handle){ slot->index, slot->generation }, cookie);
}

static bool adopt_client(struct proxy *proxy, struct proxy_bind *bind, int client_fd,
			 const struct estate_stream *row)
{
	struct adopted_place place;
	struct client *client;
	struct address peer;

	if (!bind->bind || !is_sound(row) || !find_place(&place, row, bind->bind) ||
	    socket_peer(client_fd, &peer) < 0) {
		socket_reset(client_fd);
		socket_reset(row->backend_fd);
		return false;
	}
	address_unmap(&peer);
	client = client_adopt(proxy, bind, client_fd, &peer, is_exchange(row),
			      row->client_hops ? CLIENT_ADOPTED_HOP : CLIENT_ADOPTED);
	if (!client) {
		socket_reset(row->backend_fd);
		return false;
	}
	return adopt_stream(client, row, &place);
}

bool stream_adopt(struct proxy *proxy, struct proxy_bind *bind, int client_fd)
{
	struct estate *estate = proxy->shared->estate;
	struct estate_stream *row = estate_stream(estate, client_fd);
	struct estate_stream kept;

	CHECK(row != NULL);
	kept = *row;
	/* The crashed process may have set it before closing, and handoff_send() has. */
	socket_set_abort(client_fd, false);
	socket_set_abort(kept.backend_fd, false);
	for (size_t way = 0; way < ARRAY_LEN(row->ways); way++)
		atomic_store(&row->ways[way].is_busy, true);
	/* The marks are over, whatever becomes of it: both numbers may soon be others'. */
	estate_mark(estate, kept.backend_fd, ESTATE_MARK_NONE);
	estate_mark(estate, client_fd, ESTATE_MARK_NONE);
	failpoint(ADOPT_BEGUN);
	if (adopt_client(proxy, bind, client_fd, &kept))
		return true;
	forget_slot(proxy, &kept.client_slot, kept.client_cookie);
	forget_slot(proxy, &kept.backend_slot, kept.backend_cookie);
	return false;
}
