/* SPDX-License-Identifier: Apache-2.0 */
#include "user/restart/stream/quiesce.h"

#include <errno.h>
#include <string.h>

#include "user/base/log.h"
#include "user/relay/conn_sockmap.h"
#include "user/relay/relay_io.h"
#include "user/restart/handoff_channel.h"
#include "user/restart/stream/checkpoint.h"
#include "user/restart/stream/resume.h"
#include "user/upstream/upstream.h"

enum {
	QUIESCE_LOOK_MS = 250,
	QUIESCE_FULL_MS = 5, /* the new program has not read yet what is under way */
	QUIESCE_STILL_MS = 500,
	QUIESCE_FRESH_MS = 100, /* after a failed hand-off, for the first byte of a connection */
};

/* True: the new program has it, and the caller closes it here. */
static bool hand_off(struct proxy *proxy, int client_fd, int backend_fd)
{
	struct restart_state *restart_state = proxy->shared->restart_state;
	int error;

	if (proxy->is_handoff_full)
		return false;
	error = handoff_send(restart_state->new_process_fd, restart_state, client_fd, backend_fd);
	if (error == -EAGAIN) {
		proxy->is_handoff_full = true;
		timer_arm(loop_timers(proxy->loop), &proxy->quiesce_timer,
			  proxy_now_ms(proxy) + QUIESCE_FULL_MS);
	} else if (error) {
		log_warn("upgrade: the new program takes no more connections (%s): the others stay here",
			 strerrordesc_np(-error));
		quiesce_end(proxy);
		/* A drain that has closed idle clients already left these to the new program. */
		timer_arm(loop_timers(proxy->loop), &proxy->quiesce_timer,
			  proxy_now_ms(proxy) + QUIESCE_FRESH_MS);
	}
	return !error;
}

/* ------------------------------------------------------------------------------------ clients */

bool quiesce_may_client(const struct client *client)
{
	return client->proxy->is_handing_off && client->http && !client->tls && !client->h2 &&
	       !client->conn.bypass && !client->is_age_over && client->bind->bind;
}

bool quiesce_client(struct client *client)
{
	if (!quiesce_may_client(client) || client->state != CLIENT_IDLE || client->is_closed ||
	    !conn_is_free(&client->conn))
		return false;
	conn_leave_sockmap(&client->conn);
	if (!hand_off(client->proxy, conn_fd(&client->conn), -1))
		return false;
	client_close(client, END_OK, false);
	return true;
}

/* ------------------------------------------------------------------------------------ streams */

/* The stream must be in the restart state. */
static const struct restart_entry *entry_of(const struct stream *stream)
{
	return &stream->proxy->shared->restart_state->streams[conn_fd(&stream->client->conn)];
}

static bool may_move(const struct stream *stream)
{
	return stream->proxy->is_handing_off && !stream->is_kept && stream->is_in_restart_state &&
	       (stream->state == STREAM_RELAY || stream->state == STREAM_TUNNEL) &&
	       /* Bytes of a bypassing sink are in queues that end with this process. */
	       relay_is_between_tcp(&stream->download);
}

static bool is_clean(const struct stream *stream, const struct relay *relay)
{
	const struct restart_direction *direction =
		&entry_of(stream)->directions[relay->direction == RELAY_IN ? 0 : 1];

	return !direction->is_busy && direction->lane != RESTART_LANE_SOCKMAP;
}

static void go_on(struct stream *stream, struct relay *relay)
{
	if (!relay->is_quiesced)
		return;
	relay_quiesce(relay, false);
	if (relay->state != RELAY_OPEN)
		return;
	conn_look_again(relay->source);
	stream_pump_again(stream);
}

static void unquiesce(struct stream *stream)
{
	if (stream->state == STREAM_CLOSED)
		return;
	go_on(stream, &stream->upload);
	go_on(stream, &stream->download);
}

static bool moves(struct relay *relay, uint64_t now_ms)
{
	relay_refresh(relay, now_ms);
	return now_ms < relay->last_active_ms + QUIESCE_STILL_MS;
}

/*
 * Both directions rest as long as bytes move, which are only those that this process holds: of two that are
 * busy all the time one would never be at rest when the other is. But the reader of one may wait for what the
 * other would bring: once nothing moves, only a direction that holds bytes rests, which could move nothing
 * anyway.
 */
static void rest(struct stream *stream)
{
	struct relay *directions[] = { &stream->upload, &stream->download };
	uint64_t now_ms = proxy_now_ms(stream->proxy);

	stream->has_stalled |= !moves(&stream->upload, now_ms) && !moves(&stream->download, now_ms);
	for (size_t i = 0; i < ARRAY_LEN(directions); i++) {
		if (!stream->has_stalled || !is_clean(stream, directions[i]))
			relay_quiesce(directions[i], true);
		else
			go_on(stream, directions[i]);
	}
}

/* True if all bytes are in the kernel, and in no lane. */
static bool is_at_rest(struct stream *stream)
{
	struct conn *client = &stream->client->conn, *backend = &stream->upstream->conn;
	/* Call it for both each time: the call takes a connection out of its lane. */
	bool is_client_free = conn_is_free(client);

	/* Bytes that a lane has passed up are here now: send them first. */
	if (!conn_is_free(backend) || !is_client_free) {
		if ((buf_len(&client->in) && !conn_is_blocked(backend)) ||
		    (buf_len(&backend->in) && !conn_is_blocked(client)))
			stream_pump_again(stream);
		return false;
	}
	/* The slots belong to this process, and are in the entry. */
	conn_leave_sockmap(client);
	conn_leave_sockmap(backend);
	checkpoint_after_pump(stream, &stream->upload);
	checkpoint_after_pump(stream, &stream->download);
	return restart_entry_resumable(stream->proxy->shared->restart_state, conn_fd(client)) != NULL;
}

/* The new program has the same configuration, and would reset a stream without a route. */
static bool has_place(const struct stream *stream)
{
	const struct bind *bind = stream->client->bind->bind;

	return bind && stream_has_place(stream->proxy->lease->snapshot, bind, entry_of(stream));
}

void quiesce_stream(struct stream *stream)
{
	if (!may_move(stream)) {
		unquiesce(stream);
	} else if (!is_at_rest(stream)) {
		rest(stream);
	} else if (!has_place(stream)) {
		stream->is_kept = true;
		unquiesce(stream);
	} else if (hand_off(stream->proxy, conn_fd(&stream->client->conn), entry_of(stream)->backend_fd)) {
		checkpoint_end(stream);
		stream_part(stream);
	}
}

static void on_timer(struct timer *timer, uint64_t now_ms)
{
	struct proxy *proxy = container_of(timer, struct proxy, quiesce_timer);
	uint32_t cursor = 0;
	uint64_t handle;
	struct stream *stream;
	struct client *client;

	if (!proxy->is_handing_off) {
		if (proxy_is_closing(proxy))
			clients_drain(proxy, true);
		return;
	}
	proxy->is_handoff_full = false;
	timer_arm(loop_timers(proxy->loop), timer, now_ms + QUIESCE_LOOK_MS);
	while ((stream = slab_next(proxy->streams, &cursor, &handle)) != NULL)
		quiesce_stream(stream);
	cursor = 0;
	while ((client = slab_next(proxy->clients, &cursor, &handle)) != NULL)
		(void)quiesce_client(client);
}

/* ------------------------------------------------------------------------------------ life */

void quiesce_init(struct proxy *proxy)
{
	timer_init(&proxy->quiesce_timer, on_timer);
}

void quiesce_begin(struct proxy *proxy)
{
	proxy->is_handing_off = true;
	on_timer(&proxy->quiesce_timer, proxy_now_ms(proxy));
}

void quiesce_end(struct proxy *proxy)
{
	uint32_t cursor = 0;
	uint64_t handle;
	struct stream *stream;

	timer_cancel(loop_timers(proxy->loop), &proxy->quiesce_timer);
	proxy->is_handing_off = false;
	while ((stream = slab_next(proxy->streams, &cursor, &handle)) != NULL)
		unquiesce(stream);
}
