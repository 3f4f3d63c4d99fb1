/* SPDX-License-Identifier: Apache-2.0 */
#include "user/codec/codec.h"
#include "user/restart/stream/resume.h"

#include "policy/circuit_breaker.h"
#include "user/base/failpoint.h"
#include "user/base/hash.h"
#include "user/base/quota.h"
#include "user/client/client_accept.h"
#include "user/kernel/sockmap/resume.h"
#include "user/net/socket.h"
#include "user/phase/endpoint_choice.h"
#include "user/phase/tunnel.h"
#include "user/relay/conn_sockmap.h"
#include "user/relay/conn_bypass.h"
#include "user/restart/stream/checkpoint.h"
#include "user/stream/attempt_hold.h"
#include "user/upstream/upstream.h"

/* ------------------------------------------------------------------------------------ names */

/* Where the entry's names lead in the current configuration. */
struct resumed_place {
	const struct snapshot *snapshot;
	const struct listener *listener;
	const struct route *route;
	const struct tcp_route *tcp_route;
	const struct backend_ref *backend;
	uint32_t endpoint_index;
};

static bool is_exchange(const struct restart_entry *entry)
{
	return entry->kind == RESTART_STREAM_REQUEST || entry->kind == RESTART_STREAM_RESPONSE;
}

static bool is_http(const struct restart_entry *entry)
{
	return entry->kind == RESTART_STREAM_HTTP || is_exchange(entry);
}

static bool find_backend(struct resumed_place *place, const struct restart_entry *entry,
			 const struct backend_ref *list, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct backend *backend = snapshot_backend(place->snapshot, list[i].backend);

		if (checkpoint_backend_name(&list[i]) != entry->backend)
			continue;
		for (uint32_t at = 0; at < backend->endpoint_count; at++) {
			if (hash_bytes(backend->endpoint_list[at].text) != entry->endpoint)
				continue;
			place->backend = &list[i];
			place->endpoint_index = at;
			return true;
		}
	}
	return false;
}

static bool find_route(struct resumed_place *place, const struct restart_entry *entry)
{
	const struct listener *listener = place->listener;

	for (uint32_t i = 0; is_http(entry) && i < listener->route_count; i++) {
		const struct route *route = &listener->route_list[i];

		if (checkpoint_route_name(route) == entry->route &&
		    find_backend(place, entry, route->backend_list, route->backend_count)) {
			place->route = route;
			return true;
		}
	}
	for (uint32_t i = 0; !is_http(entry) && i < listener->tcp_route_count; i++) {
		const struct tcp_route *route = &listener->tcp_route_list[i];

		if (checkpoint_tcp_route_name(route) == entry->route &&
		    find_backend(place, entry, route->backend_list, route->backend_count)) {
			place->tcp_route = route;
			return true;
		}
	}
	return false;
}

/* A plain-text connection cannot continue on a port that now uses TLS. */
static bool is_of(const struct bind *bind, const struct restart_entry *entry)
{
	if (is_http(entry))
		return bind->protocol == BIND_HTTP;
	return bind->protocol == (entry->kind == RESTART_STREAM_TLS ? BIND_TLS : BIND_TCP);
}

static bool find_place(struct resumed_place *place, const struct restart_entry *entry,
		       const struct snapshot *snapshot, const struct bind *bind)
{
	*place = (struct resumed_place){ .snapshot = snapshot };
	if (!is_of(bind, entry))
		return false;
	for (uint32_t i = 0; i < bind->listener_count; i++) {
		place->listener = &bind->listener_list[i];
		if (checkpoint_listener_name(place->listener) == entry->listener && find_route(place, entry))
			return true;
	}
	return false;
}

bool stream_has_place(const struct snapshot *snapshot, const struct bind *bind,
		      const struct restart_entry *entry)
{
	struct resumed_place place;

	return find_place(&place, entry, snapshot, bind);
}

/* ------------------------------------------------------------------------------------ the stream */

/* Validate the lengths: the process that wrote them crashed. */
static int keep_texts(struct stream *stream, struct restart_state *restart_state,
		      const struct restart_entry *entry, int client_fd)
{
	size_t bytes = (size_t)entry->text_bytes[0] + entry->text_bytes[1] + entry->text_bytes[2];
	const char *at = restart_entry_texts(restart_state, client_fd, bytes);
	struct stream_texts texts = { 0 };
	struct span all;

	if (!at || !bytes)
		return 0;
	all = span_of(at, bytes);
	if (stream->exchange)
		all = arena_copy(&stream->exchange->arena, all);
	if (!all.data)
		return -ENOMEM;
	texts.method = span_of(all.data, entry->text_bytes[0]);
	texts.host = span_of(all.data + entry->text_bytes[0], entry->text_bytes[1]);
	texts.path = span_of(texts.host.data + entry->text_bytes[1], entry->text_bytes[2]);
	if (!stream->exchange)
		return stream_keep_texts(stream, &texts, NULL, NULL);
	stream->exchange->texts = texts;
	return 0;
}

/* Values with which the directions continue. */
struct resumed_past {
	uint32_t request_end_ms, try_end_ms; /* since the stream began; 0: none */
	struct body_framing framing;
	enum relay_encoding encoding;
	uint8_t chunk_state;
};

static void put_route(struct stream *stream, const struct resumed_place *place)
{
	stream->route = place->route;
	stream->tcp_route = place->tcp_route;
}

static void put_kind(struct stream *stream, const struct restart_entry *entry)
{
	stream->is_tcp = !is_http(entry);
	stream->is_tls = entry->kind == RESTART_STREAM_TLS;
	stream->head_sent = is_http(entry) && entry->kind != RESTART_STREAM_REQUEST;
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

static void fill_stream(struct stream *stream, const struct restart_entry *entry,
			const struct resumed_place *place, struct resumed_past *past)
{
	stream->is_resumed = true;
#define STREAM_FIELD(type, member, taken, put_back, is_sound) put_back;
#define BODY_FIELD(type, member, taken, put_back, is_sound) put_back;
#include "user/restart/stream_fields.def"
#undef STREAM_FIELD
#undef BODY_FIELD
}

/* The connection is there, so no limit refuses it; the next ones may exceed it less. */
static void count_upstream(struct stream *stream)
{
	const struct circuit_breaker *breaker = stream->backend->breaker;
	struct quota *quota = stream->backend->backend->quota;
	const struct quota_most any = { UINT64_MAX, UINT64_MAX };

	stream->attempt.is_counted = quota && quota_take_connection(attempt_quota(stream), any);
	stream->attempt.is_request_counted = quota && circuit_breaker_counts_requests(breaker) &&
					     !stream->is_tcp && quota_take(&quota->requests, UINT64_MAX);
	/* Nobody knows how many requests it has had, for whom it is authenticated, and whom it announces. */
	stream->upstream->is_last = true;
}

/* 0 or -errno; on error backend_fd is closed. */
static int bind_upstream(struct stream *stream, int backend_fd, bool bypasses)
{
	struct upstream_wants wants = upstream_wants_of(stream->backend, &stream->lease->snapshot->config);
	struct proxy *proxy = stream->proxy;
	struct attempt *attempt = &stream->attempt;
	struct address address = { 0 };

	/* The endpoint may use TLS by now: no request that needs TLS may get this plain connection later. */
	wants.tls = NULL;
	(void)socket_peer(backend_fd, &address);
	attempt->endpoint = upstream_pool_endpoint(&proxy->pool, stream_endpoint(stream), &wants);
	if (!attempt->endpoint) {
		socket_reset(backend_fd);
		return -ENOMEM;
	}
	attempt->endpoint->shared->load.in_flight++;
	stream->upstream = upstream_open(&proxy->pool, attempt->endpoint, backend_fd, &address);
	if (!stream->upstream)
		return -ENOMEM;
	count_upstream(stream);
	/* Errors that occurred meanwhile raise no event: check for one. */
	stream->upstream->conn.has_error = true;
	stream->upstream->conn.is_resumed = true;
	/* Bind also on error: the stream ends with both of its sides. */
	stream->upstream_side = upstream_codec_of(stream->upstream);
	stream->upstream_side->bind(stream);
	return bypasses ? conn_resume_bypass(&stream->upstream->conn, proxy->relay.local_watch.worker) : 0;
}

static int resume_sockmap_sockets(struct stream *stream, const struct restart_entry *entry)
{
	const struct restart_slot *slots[] = { &entry->client_slot, &entry->backend_slot };
	struct conn *conns[] = { &stream->client->conn, &stream->upstream->conn };
	struct sockmap_lane *lane = stream->proxy->relay.sockmap;
	int error = 0;

	for (size_t i = 0; i < ARRAY_LEN(slots) && !error; i++) {
		struct sockmap_handle slot = { slots[i]->index, slots[i]->generation };

		if (slot.generation)
			error = lane ? conn_resume_sockmap(conns[i], lane->worker, slot) : -EOPNOTSUPP;
	}
	return error;
}

static int resume_direction(struct relay *relay, const struct restart_direction *direction,
			    const struct resumed_past *body)
{
	const struct relay_past past = {
		.lane_bytes = { [LANE_COPY] = direction->copied_bytes,
				[LANE_PIPE] = direction->is_direct ? 0 : direction->piped_bytes,
				[LANE_SOCKMAP] = direction->sockmap_bytes,
				[LANE_DIRECT] = direction->is_direct ? direction->direct_bytes : 0 },
		.last_active_ms = direction->active_ms,
		.is_done = direction->lane == RESTART_LANE_DONE,
		.is_in_sockmap = direction->lane == RESTART_LANE_SOCKMAP,
		.is_in_direct = direction->lane == RESTART_LANE_DIRECT,
		.left = body->framing.length,
		.chunk_state = body->chunk_state,
	};

	return relay_resume(relay, &past);
}

/* The request body is complete; only its counts are resumed, for the log. */
static int request_body_end(struct stream *stream, const struct restart_entry *entry,
			    const struct resumed_past *past)
{
	static const struct body_framing none = { .kind = BODY_NONE };
	uint64_t now_ms = proxy_now_ms(stream->proxy);
	int error;

	relay_start(&stream->upload, stream->downstream->end(stream), stream->upstream_side->end(stream),
		    &none, ENCODE_PLAIN, false, now_ms);
	error = resume_direction(&stream->upload, &entry->directions[0], past);
	(void)relay_pump(&stream->upload, now_ms);
	/* No byte has moved since: idle times continue. */
	stream->upload.last_active_ms = entry->directions[0].active_ms;
	return error;
}

/*
 * The method decides the framing of the response; the fields are lost, so the request cannot be attempted
 * again.
 */
static int request_go_on(struct stream *stream, const struct restart_entry *entry,
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
	if (entry->directions[0].lane == RESTART_LANE_DONE)
		return request_body_end(stream, entry, past);
	exchange->request_framing = past->framing;
	relay_start(&stream->upload, stream->downstream->end(stream), stream->upstream_side->end(stream),
		    &exchange->request_framing, past->encoding,
		    stream->lease->snapshot->config.splice.lane_pipe, proxy_now_ms(stream->proxy));
	stream_offer_sockmap(stream, &stream->upload, false);
	error = resume_direction(&stream->upload, &entry->directions[0], past);
	/* Count it against this worker's limit if possible; a worker may get more of them than its limit. */
	if (!error && entry->directions[0].lane == RESTART_LANE_SOCKMAP)
		(void)conn_count_upload(&stream->client->conn, stream->upload.shared->counters);
	return error;
}

/* Resumes the response to a complete request. */
static int response_go_on(struct stream *stream, const struct restart_entry *entry,
			  const struct resumed_past *past)
{
	struct relay_end client = stream->downstream->end(stream),
			 backend = stream->upstream_side->end(stream);
	uint64_t now_ms = proxy_now_ms(stream->proxy);
	int error = request_body_end(stream, entry, past);

	if (error)
		return error;
	relay_start(&stream->download, backend, client, &past->framing, past->encoding,
		    stream->lease->snapshot->config.splice.lane_pipe, now_ms);
	stream_offer_sockmap(stream, &stream->download, true);
	stream->upstream->has_response_bytes = true;
	return resume_direction(&stream->download, &entry->directions[1], past);
}

static int tunnel_go_on(struct stream *stream, const struct restart_entry *entry,
			const struct resumed_past *past)
{
	int error;

	tunnel_start_directions(stream);
	stream_offer_direct(stream, &stream->upload);
	stream_offer_direct(stream, &stream->download);
	error = resume_direction(&stream->upload, &entry->directions[0], past);
	return error ? error : resume_direction(&stream->download, &entry->directions[1], past);
}

/* The direction whose body is in the entry. */
static const struct restart_direction *body_direction(const struct restart_entry *entry)
{
	return &entry->directions[entry->kind == RESTART_STREAM_RESPONSE];
}

static bool has_body(const struct restart_entry *entry)
{
	return entry->kind == RESTART_STREAM_RESPONSE ||
	       (entry->kind == RESTART_STREAM_REQUEST && entry->directions[0].lane != RESTART_LANE_DONE);
}

static bool has_sound_framing(const struct restart_entry *entry)
{
	if (!has_body(entry) || entry->body_kind == BODY_LENGTH || entry->body_kind == BODY_CHUNKED)
		return true;
	return entry->body_kind == BODY_UNTIL_CLOSE && entry->kind == RESTART_STREAM_RESPONSE;
}

static bool has_sound_encoding(const struct restart_entry *entry)
{
	return !is_exchange(entry) || entry->body_encoding <= ENCODE_CHUNKED;
}

static bool has_sound_length(const struct restart_entry *entry)
{
	if (!has_body(entry) || entry->body_kind == BODY_UNTIL_CLOSE)
		return true;
	return entry->body_left <= INT64_MAX && (entry->body_kind != BODY_LENGTH || entry->body_left > 0 ||
						 body_direction(entry)->lane == RESTART_LANE_DONE);
}

static bool has_sound_chunk(const struct restart_entry *entry)
{
	if (!has_body(entry) || entry->body_kind != BODY_CHUNKED)
		return true;
	return entry->body_state == (entry->body_left > 0 ? CHUNK_DATA : CHUNK_SIZE_FIRST);
}

static bool has_sound_directions(const struct restart_entry *entry)
{
	for (size_t direction = 0; direction < ARRAY_LEN(entry->directions); direction++) {
		if (entry->directions[direction].lane > RESTART_LANE_DONE)
			return false;
		if (entry->directions[direction].lane == RESTART_LANE_SOCKMAP &&
		    (!entry->client_slot.generation || !entry->backend_slot.generation))
			return false;
	}
	if (entry->kind == RESTART_STREAM_RESPONSE)
		return entry->directions[0].lane == RESTART_LANE_DONE;
	return entry->kind != RESTART_STREAM_REQUEST || entry->directions[1].lane == RESTART_LANE_COPY;
}

/* Validate the entry: the process that wrote it crashed. */
static bool is_sound(const struct restart_entry *entry)
{
#define STREAM_FIELD(type, member, taken, put_back, is_sound)                                                \
	if (!(is_sound))                                                                                     \
		return false;
#define BODY_FIELD STREAM_FIELD
#include "user/restart/stream_fields.def"
#undef STREAM_FIELD
#undef BODY_FIELD
	return has_sound_directions(entry);
}

static int go_on(struct stream *stream, const struct restart_entry *entry, const struct resumed_past *past)
{
	int error = resume_sockmap_sockets(stream, entry);

	if (error)
		return error;
	failpoint(RESUME_SOCKETS);
	switch (entry->kind) {
	case RESTART_STREAM_REQUEST:
		return request_go_on(stream, entry, past);
	case RESTART_STREAM_RESPONSE:
		return response_go_on(stream, entry, past);
	default:
		return tunnel_go_on(stream, entry, past);
	}
}

static enum stream_state state_of(const struct restart_entry *entry)
{
	if (entry->kind == RESTART_STREAM_REQUEST)
		return STREAM_WAIT_HEAD;
	return entry->kind == RESTART_STREAM_RESPONSE ? STREAM_RELAY : STREAM_TUNNEL;
}

static void disarm(const struct conn *conn)
{
	if (conn->sockmap && !conn->sockmap->inbound)
		sockmap_source_disarm(conn->sockmap);
}

/* On failure both descriptors are closed. */
static bool resume_stream(struct client *client, const struct restart_entry *entry,
			  const struct resumed_place *place)
{
	struct restart_state *restart_state = client->proxy->shared->restart_state;
	struct stream *stream = stream_create(client, &downstream_codec_h1, !is_exchange(entry));
	int client_fd = conn_fd(&client->conn);
	struct resumed_past past = { 0 };
	int error;

	if (!stream) {
		socket_reset(entry->backend_fd);
		client_close(client, END_LIMIT, true);
		return false;
	}
	client->stream = stream;
	fill_stream(stream, entry, place, &past);
	client_set_state(client, CLIENT_STREAM);
	if (is_exchange(entry))
		client_use_listener(client, place->listener);
	error = keep_texts(stream, restart_state, entry, client_fd);
	if (error)
		socket_reset(entry->backend_fd);
	else
		error = bind_upstream(stream, entry->backend_fd, entry->backend_bypasses);
	if (!error)
		error = go_on(stream, entry, &past);
	if (error) {
		disarm(&client->conn);
		if (stream->upstream)
			disarm(&stream->upstream->conn);
		proxy_trace(stream->proxy, stream->id, TRACE_UPSTREAM_FAILED, (uint32_t)-error, 0);
		stream_finish(stream, END_INTERNAL, STREAM_END_RESET);
		return false;
	}
	stream_set_state(stream, state_of(entry));
	checkpoint_begin(stream);
	failpoint(RESUME_ENTRY);
	/* Nothing was read yet: if this process crashes as well, the next one finds the same state. */
	checkpoint_after_pump(stream, &stream->upload);
	if (stream->state == STREAM_WAIT_HEAD)
		checkpoint_waits(stream);
	else
		checkpoint_after_pump(stream, &stream->download);
	/*
	 * Earlier events are lost: pump once, which finds what the stream waits for. Bytes that arrived in
	 * between arrived in time: no deadline fires before that pump.
	 */
	stream->is_unseen = true;
	stream_pump_again(stream);
	return true;
}

/* Forgets the slot: a closed socket has left the maps. */
static void forget_slot(const struct proxy *proxy, const struct restart_slot *slot, uint64_t cookie)
{
	if (proxy->relay.sockmap && slot->generation)
		sockmap_slot_forget(proxy->relay.sockmap->worker->sockmap,
				    (struct sockmap_handle){ slot->index, slot->generation }, cookie);
}

static bool take_over_client(struct proxy *proxy, struct proxy_bind *bind, int client_fd,
			     const struct restart_entry *entry)
{
	struct resumed_place place;
	struct client *client;
	struct address peer;

	if (!bind->bind || !is_sound(entry) ||
	    !find_place(&place, entry, proxy->lease->snapshot, bind->bind) ||
	    socket_peer(client_fd, &peer) < 0) {
		socket_reset(client_fd);
		socket_reset(entry->backend_fd);
		return false;
	}
	address_unmap(&peer);
	client = client_take_over(proxy, bind, client_fd, &peer, is_exchange(entry),
				  entry->client_bypasses ? CLIENT_TAKEN_OVER_BYPASS : CLIENT_TAKEN_OVER);
	if (!client) {
		socket_reset(entry->backend_fd);
		return false;
	}
	return resume_stream(client, entry, &place);
}

bool stream_resume(struct proxy *proxy, struct proxy_bind *bind, int client_fd)
{
	struct restart_state *restart_state = proxy->shared->restart_state;
	struct restart_entry *entry = restart_entry(restart_state, client_fd);
	struct restart_entry kept;

	CHECK(entry != NULL);
	kept = *entry;
	/* The crashed process may have set it before closing, and handoff_send() has. */
	socket_set_abort(client_fd, false);
	socket_set_abort(kept.backend_fd, false);
	for (size_t direction = 0; direction < ARRAY_LEN(entry->directions); direction++)
		atomic_store(&entry->directions[direction].is_busy, true);
	/* Clear the status in any case: the descriptor numbers may soon be reused. */
	conn_status_set(restart_state, kept.backend_fd, CONN_STATUS_NONE);
	conn_status_set(restart_state, client_fd, CONN_STATUS_NONE);
	failpoint(RESUME_BEGUN);
	if (take_over_client(proxy, bind, client_fd, &kept))
		return true;
	forget_slot(proxy, &kept.client_slot, kept.client_cookie);
	forget_slot(proxy, &kept.backend_slot, kept.backend_cookie);
	return false;
}
