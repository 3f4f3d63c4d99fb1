/* SPDX-License-Identifier: Apache-2.0 */
#include "user/codec/codec.h"
#include "user/restart/stream/checkpoint.h"

#include <string.h>

#include "user/base/failpoint.h"
#include "user/base/hash.h"
#include "user/client/client.h"
#include "user/net/socket.h"
#include "user/phase/transform.h"
#include "user/relay/conn_bypass.h"
#include "user/relay/relay_io.h"

/* ------------------------------------------------------------------------------------ names */

uint64_t checkpoint_listener_name(const struct listener *listener)
{
	return hash_mix(hash_bytes(listener->gateway_label), hash_bytes(listener->listener_name));
}

uint64_t checkpoint_route_name(const struct route *route)
{
	return hash_mix(hash_bytes(route->key),
			hash_mix(hash_bytes(route->label), hash_bytes(route->rule_name)));
}

uint64_t checkpoint_tcp_route_name(const struct tcp_route *route)
{
	return hash_mix(hash_bytes(route->key),
			hash_mix(hash_bytes(route->label), hash_bytes(route->rule_name)));
}

uint64_t checkpoint_backend_name(const struct backend_ref *ref)
{
	return hash_bytes(ref->backend->name);
}

/* ------------------------------------------------------------------------------------ the entry */

static struct restart_state *restart_state_of(const struct stream *stream)
{
	return stream->proxy->shared->restart_state;
}

static struct restart_entry *entry_of(const struct stream *stream)
{
	return stream->is_in_restart_state
		       ? restart_entry(restart_state_of(stream), conn_fd(&stream->client->conn))
		       : NULL;
}

static void direction_set_busy(struct restart_direction *direction, bool is_busy)
{
	/* Writes before "free" are visible when it is; writes after "busy" happen after it. */
	if (!is_busy)
		atomic_thread_fence(memory_order_release);
	atomic_store_explicit(&direction->is_busy, is_busy, memory_order_relaxed);
	if (is_busy)
		atomic_thread_fence(memory_order_seq_cst);
}

static struct restart_direction *direction_of(struct restart_entry *entry, const struct relay *relay)
{
	return &entry->directions[relay->direction == RELAY_IN ? 0 : 1];
}

static bool is_resumable(const struct stream *stream)
{
	const struct conn *client = &stream->client->conn, *backend = &stream->upstream->conn;

	return stream->downstream == &downstream_codec_h1 && stream->upstream_side == &upstream_codec_h1 &&
	       !client->tls && !backend->tls && !stream_backend(stream)->endpoint_list[0].is_inner;
}

static uint8_t kind_of(const struct stream *stream)
{
	if (stream->state == STREAM_WAIT_HEAD)
		return RESTART_STREAM_REQUEST;
	if (stream->state != STREAM_TUNNEL)
		return RESTART_STREAM_RESPONSE;
	if (stream->is_tls)
		return RESTART_STREAM_TLS;
	return stream->is_tcp ? RESTART_STREAM_TCP : RESTART_STREAM_HTTP;
}

/* Truncate at the end; only the path can be this long. */
static void write_texts(struct restart_state *restart_state, struct restart_entry *entry, int client_fd,
			const struct stream_texts *texts)
{
	const struct span list[] = { texts->method, texts->host, texts->path };
	size_t left = RESTART_LONG_TEXT_BYTES, bytes = 0;
	char *at;

	static_assert(ARRAY_LEN(list) == ARRAY_LEN(entry->text_bytes), "one length each");
	for (size_t i = 0; i < ARRAY_LEN(list); i++) {
		entry->text_bytes[i] = (uint16_t)(list[i].len < left ? list[i].len : left);
		left -= entry->text_bytes[i];
		bytes += entry->text_bytes[i];
	}
	at = restart_entry_texts(restart_state, client_fd, bytes);
	for (size_t i = 0; i < ARRAY_LEN(list); i++) {
		if (entry->text_bytes[i])
			memcpy(at, list[i].data, entry->text_bytes[i]);
		at += entry->text_bytes[i];
	}
}

/* Milliseconds after start_ns; 0: no deadline. An expired one is stored as 1. */
static uint32_t since_start(const struct stream *stream, uint64_t deadline_ms)
{
	uint64_t start_ms = stream->start_ns / NS_PER_MS;
	uint64_t after_ms = deadline_ms > start_ms ? deadline_ms - start_ms : 1;

	if (!deadline_ms)
		return 0;
	return after_ms < UINT32_MAX ? (uint32_t)after_ms : UINT32_MAX;
}

/* The direction whose body is in the entry. */
static const struct relay *body_of(const struct stream *stream)
{
	return stream->state == STREAM_WAIT_HEAD ? &stream->upload : &stream->download;
}

/* An expired age is stored as 1 ms (in the past). */
static uint64_t age_of(const struct client *client)
{
	return client->is_age_over ? 1 : client->age_ms;
}

static uint64_t listener_of(const struct stream *stream)
{
	return stream->listener ? checkpoint_listener_name(stream->listener) : 0;
}

static uint64_t route_of(const struct stream *stream)
{
	if (stream->route)
		return checkpoint_route_name(stream->route);
	return stream->tcp_route ? checkpoint_tcp_route_name(stream->tcp_route) : 0;
}

static uint64_t endpoint_of(const struct stream *stream)
{
	return hash_bytes(stream_endpoint(stream)->text);
}

static uint8_t version_of(const struct stream *stream)
{
	return (uint8_t)(stream->client_major << 4 | stream->client_minor);
}

/* client_keeps: while a request waits, close_client is not set yet. */
static bool closes_client(const struct stream *stream)
{
	return stream->close_client || !stream->client_keeps;
}

static uint8_t retries_of(const struct stream *stream)
{
	return (uint8_t)(stream->attempt.retries_done < UINT8_MAX ? stream->attempt.retries_done : UINT8_MAX);
}

static uint32_t request_end_of(const struct stream *stream)
{
	return stream->exchange ? since_start(stream, stream->exchange->request_deadline_ms) : 0;
}

static uint32_t try_end_of(const struct stream *stream)
{
	return stream->exchange ? since_start(stream, stream->exchange->try_deadline_ms) : 0;
}

static void write_entry(const struct stream *stream, struct restart_entry *entry)
{
	const struct relay *body = body_of(stream);

#define STREAM_FIELD(type, member, taken, put_back, is_sound) entry->member = taken;
#define BODY_FIELD(type, member, taken, put_back, is_sound)
#include "user/restart/stream_fields.def"
#undef STREAM_FIELD
#undef BODY_FIELD
}

static void write_body(const struct relay *relay, struct restart_entry *entry)
{
#define STREAM_FIELD(type, member, taken, put_back, is_sound)
#define BODY_FIELD(type, member, taken, put_back, is_sound) entry->member = taken;
#include "user/restart/stream_fields.def"
#undef STREAM_FIELD
#undef BODY_FIELD
}

void checkpoint_begin(struct stream *stream)
{
	static const struct stream_texts none;
	struct restart_state *restart_state = restart_state_of(stream);
	int client_fd = conn_fd(&stream->client->conn), backend_fd = conn_fd(&stream->upstream->conn);
	struct restart_entry *entry = restart_entry(restart_state, client_fd);
	const struct stream_texts *texts = stream->exchange ? &stream->exchange->texts : stream->texts;

	if (!entry)
		return;
	direction_set_busy(&entry->directions[0], true);
	direction_set_busy(&entry->directions[1], true);
	if (backend_fd >= RESTART_DESCRIPTORS || !is_resumable(stream) ||
	    socket_cookie(client_fd, &entry->client_cookie) < 0 ||
	    socket_cookie(backend_fd, &entry->backend_cookie) < 0)
		return;
	stream->is_in_restart_state = true;
	entry->backend_fd = backend_fd;
	write_entry(stream, entry);
	write_texts(restart_state, entry, client_fd, texts ? texts : &none);
	failpoint(ENTRY_BEGUN);
	conn_status_set(restart_state, backend_fd, CONN_STATUS_BACKEND);
	conn_status_set(restart_state, client_fd, conn_status_of_kind(entry->kind));
	failpoint(ENTRY_STATUS_SET);
	/* Both directions stay busy until they have been pumped. */
}

/* ------------------------------------------------------------------------------------ while it runs */

void checkpoint_before_pump(struct stream *stream, const struct relay *relay)
{
	struct restart_entry *entry = entry_of(stream);

	/* The kernel lane has its own journal (user/kernel/sockmap/resume.h). */
	if (entry && !relay_is_in_sockmap(relay)) {
		direction_set_busy(direction_of(entry, relay), true);
		failpoint(DIRECTION_BUSY);
	}
}

static struct restart_slot slot_of(const struct conn *conn)
{
	if (!conn->sockmap)
		return (struct restart_slot){ 0 };
	return (struct restart_slot){ conn->sockmap->slot.index, conn->sockmap->slot.generation };
}

/* True if the body can be resumed here: the rest of the decoder's state is only in this process. */
static bool is_at_a_mark(const struct relay *relay)
{
	const struct body_decoder *decoder = &relay->decoder;

	if (decoder->is_limited)
		return false;
	if (decoder->kind != BODY_CHUNKED)
		return true;
	return relay->chunk_raw == 0 &&
	       (decoder->chunk_state == CHUNK_SIZE_FIRST || decoder->chunk_state == CHUNK_DATA);
}

/* True if all bytes are in the kernel, so that another process could resume the direction. */
static bool is_clean(const struct relay *relay)
{
	const struct sockmap_socket *sockmap = relay->source->sockmap;

	if (relay->counted_bytes)
		return false;
	if (relay->state == RELAY_DONE || relay_is_in_sockmap(relay))
		return true;
	/* Only this process counts bytes that the lane has passed up and that were not read yet. */
	return relay->state == RELAY_OPEN && (relay_is_by_hand(relay) || relay_is_in_direct(relay)) &&
	       is_at_a_mark(relay) && !(sockmap && sockmap->is_source);
}

static uint8_t lane_of(const struct relay *relay)
{
	if (relay->state == RELAY_DONE)
		return RESTART_LANE_DONE;
	if (relay_is_in_direct(relay))
		return RESTART_LANE_DIRECT;
	return relay_is_in_sockmap(relay) ? RESTART_LANE_SOCKMAP : RESTART_LANE_COPY;
}

static void write_direction(struct restart_direction *direction, const struct relay *relay)
{
	/* Also true after a previous process ended it. */
	direction->is_direct = relay_is_in_direct(relay) || relay->lane_bytes[LANE_DIRECT];
	direction->copied_bytes = relay_bytes_before(relay, LANE_COPY);
	if (direction->is_direct)
		direction->direct_bytes = relay_bytes_before(relay, LANE_DIRECT);
	else
		direction->piped_bytes = relay_bytes_before(relay, LANE_PIPE);
	direction->sockmap_bytes = relay_bytes_before(relay, LANE_SOCKMAP);
	direction->active_ms = relay->last_active_ms;
	direction->lane = lane_of(relay);
}

void checkpoint_after_pump(struct stream *stream, struct relay *relay)
{
	struct restart_entry *entry = entry_of(stream);
	struct restart_direction *direction;

	if (!entry)
		return;
	failpoint(DIRECTION_PUMPED);
	direction = direction_of(entry, relay);
	/*
	 * A direction in the kernel lane is free while it is pumped. If it has left the lane, the writes
	 * below must be seen together.
	 */
	direction_set_busy(direction, true);
	/* A pipelined request is buffered in this process. */
	if (!is_clean(relay) || (stream->exchange && buf_len(&stream->client->conn.in)))
		return;
	entry->client_slot = slot_of(&stream->client->conn);
	entry->backend_slot = slot_of(&stream->upstream->conn);
	entry->client_bypasses = stream->client->conn.bypass != NULL;
	entry->backend_bypasses = stream->upstream->conn.bypass != NULL;
	conn_note_bypass(relay->source);
	/* Count its last bytes: the kernel reports no end. */
	if (relay->state == RELAY_DONE && relay_is_in_direct(relay))
		relay_refresh(relay, proxy_now_ms(stream->proxy));
	write_direction(direction, relay);
	failpoint(DIRECTION_HALF);
	if (relay == body_of(stream))
		write_body(relay, entry);
	failpoint(DIRECTION_WRITTEN);
	direction_set_busy(direction, false);
	failpoint(DIRECTION_FREE);
}

void checkpoint_waits(struct stream *stream)
{
	struct restart_entry *entry = entry_of(stream);
	struct conn *backend;

	if (!entry || stream->state != STREAM_WAIT_HEAD)
		return;
	backend = &stream->upstream->conn;
	/* Part of an interim (1xx) response is still buffered. */
	if (buf_len(&backend->in) || conn_has_output(&stream->client->conn))
		return;
	entry->backend_bypasses = backend->bypass != NULL;
	conn_note_bypass(backend);
	entry->directions[1] =
		(struct restart_direction){ .active_ms = stream->download.last_active_ms, .is_busy = true };
	failpoint(DIRECTION_WRITTEN);
	direction_set_busy(&entry->directions[1], false);
	failpoint(DIRECTION_FREE);
}

static void checkpoint_answers(struct stream *stream)
{
	struct restart_entry *entry = entry_of(stream);

	if (!entry)
		return;
	/* The entry has one body: it cannot hold the rest of the request and the response. */
	if (stream->upload.state != RELAY_DONE) {
		checkpoint_end(stream);
		return;
	}
	direction_set_busy(&entry->directions[0], true);
	direction_set_busy(&entry->directions[1], true);
	write_entry(stream, entry);
	conn_status_set(restart_state_of(stream), conn_fd(&stream->client->conn), CONN_STATUS_RESPONSE);
	checkpoint_after_pump(stream, &stream->upload);
}

/* The client may never send the body, and send another request instead (RFC 9110 10.1.1). */
static bool waits_for_100(const struct stream *stream)
{
	return fields_have(&stream->exchange->head.fields, FIELD_EXPECT) && !stream->is_continued &&
	       stream->upload.state != RELAY_DONE;
}

/* The new process does not have the request head, so it cannot complete an upgrade. */
static bool is_sent_request(const struct stream *stream)
{
	const struct exchange *exchange = stream->exchange;

	return stream->state == STREAM_WAIT_HEAD && !exchange->upgrade.is_wanted &&
	       !transform_changes_answer(stream) && !exchange->upgrade.must_switch;
}

/* True if the exchange may get an entry, now or later. */
static bool is_candidate(const struct stream *stream)
{
	if (stream->is_in_restart_state || stream->is_grpc || !stream->exchange || !stream->upstream)
		return false;
	return is_sent_request(stream) ||
	       (stream->state == STREAM_RELAY && stream->upload.state == RELAY_DONE);
}

void checkpoint_look(struct stream *stream)
{
	if (!is_candidate(stream) || waits_for_100(stream))
		return;
	checkpoint_begin(stream);
	checkpoint_after_pump(stream, &stream->upload);
	if (stream->state == STREAM_WAIT_HEAD)
		checkpoint_waits(stream);
	else
		checkpoint_after_pump(stream, &stream->download);
}

void checkpoint_end(struct stream *stream)
{
	struct restart_entry *entry = entry_of(stream);

	if (!entry)
		return;
	direction_set_busy(&entry->directions[0], true);
	direction_set_busy(&entry->directions[1], true);
	conn_status_set(restart_state_of(stream), entry->backend_fd, CONN_STATUS_NONE);
	if (entry->kind >= RESTART_STREAM_REQUEST)
		conn_status_set(restart_state_of(stream), conn_fd(&stream->client->conn),
				CONN_STATUS_REQUEST);
	stream->is_in_restart_state = false;
	failpoint(ENTRY_ENDED);
}

/* ------------------------------------------------------------------------------------ steps */

void checkpoint_before_step(struct stream *stream, enum stream_step step)
{
	if (step == STEP_FAILED || step == STEP_REPLY || step == STEP_END)
		checkpoint_end(stream);
}

/* The end of one direction of a tunnel counts as progress, which is set after the pump: write it. */
static void checkpoint_progress(struct stream *stream)
{
	const struct restart_entry *entry = entry_of(stream);

	if (entry && entry->directions[0].active_ms != stream->upload.last_active_ms)
		checkpoint_after_pump(stream, &stream->upload);
}

void checkpoint_after_step(struct stream *stream, enum stream_step step, enum stream_step next)
{
	/* The next step ends the entry. */
	if (next != STEP_WAIT && next != STEP_PUMP)
		return;
	if (step == STEP_TUNNEL && stream->state == STREAM_TUNNEL)
		checkpoint_begin(stream);
	else if (!stream->is_in_restart_state && next == STEP_WAIT)
		checkpoint_look(stream);
	else if (step == STEP_RESPONSE && stream->state == STREAM_RELAY)
		checkpoint_answers(stream);
	else if (step == STEP_PUMP && stream->state == STREAM_WAIT_HEAD)
		checkpoint_waits(stream);
	else if (step == STEP_PUMP && stream->state == STREAM_TUNNEL)
		checkpoint_progress(stream);
}
