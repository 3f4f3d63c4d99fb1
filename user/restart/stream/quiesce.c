/* SPDX-License-Identifier: Apache-2.0 */
#include "user/restart/stream/quiesce.h"

#include <string.h>

#include "user/base/mem.h"
#include "user/relay/relay_io.h"
#include "user/restart/stream/checkpoint.h"
#include "user/restart/stream/resume.h"
#include "user/upstream/upstream.h"

enum {
	GIVE_LOOK_MS = 250,
	GIVE_LOOKS = 8, /* for so long both ways rest, as long as bytes of one are moved */
	GIVE_STILL_MS = 500,
};

static void give(struct proxy *proxy, struct given *given)
{
	given->worker = proxy->index;
	given->message.run = proxy->shared->on_given;
	mailbox_send(proxy->shared->given_to, &given->message);
}

/* ------------------------------------------------------------------------------------ clients */

bool give_may_client(const struct client *client)
{
	return client->proxy->is_giving && client->http && !client->tls && !client->h2 && !client->conn.hop &&
	       !client->is_age_over && client->bind->bind;
}

bool give_client(struct client *client)
{
	struct given *given;

	if (!give_may_client(client) || client->state != CLIENT_IDLE || client->is_closed ||
	    !conn_is_free(&client->conn))
		return false;
	given = hg_calloc(1, sizeof(*given));
	if (!given)
		return false;
	given->item.kind = HANDOVER_CLIENT;
	given->item.backend_fd = -1;
	given->item.client_fd = client_give(client);
	give(client->proxy, given);
	return true;
}

/* ------------------------------------------------------------------------------------ streams */

/* A configuration that has forgotten it would have it reset, and that of the other program is like ours. */
static bool has_place(const struct stream *stream)
{
	const struct bind *bind = stream->client->bind->bind;
	const struct estate_stream *row =
		estate_stream(stream->proxy->shared->estate, conn_fd(&stream->client->conn));

	return bind && stream_has_place(bind, row);
}

static bool is_movable(struct stream *stream)
{
	if (!stream->proxy->is_giving || stream->is_kept || !stream->is_in_estate ||
	    (stream->state != STREAM_RELAY && stream->state != STREAM_TUNNEL))
		return false;
	/* Its bytes are in queues that go with this process: in lane direct, too, the sink hops. */
	if (!relay_is_between_tcp(&stream->download))
		return false;
	if (!stream->give_looks)
		stream->is_kept = !has_place(stream);
	return !stream->is_kept;
}

static struct estate_way *way_of(const struct stream *stream, const struct relay *relay)
{
	struct estate_stream *row =
		estate_stream(stream->proxy->shared->estate, conn_fd(&stream->client->conn));

	return &row->ways[relay->direction == RELAY_IN ? 0 : 1];
}

static bool is_clean(const struct stream *stream, const struct relay *relay)
{
	const struct estate_way *way = way_of(stream, relay);

	return !way->is_busy && way->lane != ESTATE_LANE_SOCKMAP;
}

static void go_on(struct stream *stream, struct relay *relay)
{
	relay_rest(relay, false);
	if (relay->state != RELAY_OPEN)
		return;
	conn_look_again(relay->source);
	stream_pump_again(stream);
}

static void let_go_on(struct stream *stream)
{
	struct relay *ways[] = { &stream->upload, &stream->download };

	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		if (ways[i]->is_resting)
			go_on(stream, ways[i]);
	}
}

static bool moves(const struct stream *stream)
{
	uint64_t active_ms = stream->upload.last_active_ms > stream->download.last_active_ms
				     ? stream->upload.last_active_ms
				     : stream->download.last_active_ms;

	return proxy_now_ms(stream->proxy) < active_ms + GIVE_STILL_MS;
}

/*
 * At first both ways: of two that are busy all the time one would never be at rest when the other is. But the
 * reader of one may wait for what the other would bring: then only a way that is busy rests, which could move
 * nothing at that moment.
 */
static void rest(struct stream *stream)
{
	struct relay *ways[] = { &stream->upload, &stream->download };
	bool is_both = stream->give_looks < GIVE_LOOKS && (!stream->give_looks || moves(stream));

	if (!is_both)
		stream->give_looks = GIVE_LOOKS;
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		if (is_both || !is_clean(stream, ways[i]))
			relay_rest(ways[i], true);
		else if (ways[i]->is_resting)
			go_on(stream, ways[i]);
	}
}

/* Its row, when all of it is in the kernel and no lane has it. */
static const struct estate_stream *row_at_rest(struct stream *stream)
{
	const struct estate_stream *row;
	/* Both are asked each time: asking is what takes a connection out of its lane. */
	bool is_client_free = conn_is_free(&stream->client->conn);
	bool is_free = conn_is_free(&stream->upstream->conn) && is_client_free;

	/* What a lane has passed up is here by now, and goes on first. */
	if (!is_free) {
		if (buf_len(&stream->client->conn.in) || buf_len(&stream->upstream->conn.in))
			stream_pump_again(stream);
		return NULL;
	}
	checkpoint_after_pump(stream, &stream->upload);
	checkpoint_after_pump(stream, &stream->download);
	row = estate_adoptable(stream->proxy->shared->estate, conn_fd(&stream->client->conn));
	if (!row)
		return NULL;
	for (size_t way = 0; way < ARRAY_LEN(row->ways); way++) {
		if (row->ways[way].lane == ESTATE_LANE_SOCKMAP)
			return NULL;
	}
	return row;
}

static void fill_item(struct handover_item *item, struct estate *estate, const struct estate_stream *row,
		      int client_fd)
{
	item->kind = HANDOVER_STREAM;
	item->row = *row;
	/* They are places of this process. */
	item->row.client_slot = (struct estate_slot){ 0 };
	item->row.backend_slot = (struct estate_slot){ 0 };
	memcpy(item->texts, estate->long_texts[client_fd], sizeof(item->texts));
}

void give_stream(struct stream *stream)
{
	const struct estate_stream *row;
	struct given *given;

	if (!is_movable(stream)) {
		let_go_on(stream);
		return;
	}
	row = row_at_rest(stream);
	if (!row)
		rest(stream);
	given = row ? hg_calloc(1, sizeof(*given)) : NULL;
	if (!given)
		return;
	fill_item(&given->item, stream->proxy->shared->estate, row, conn_fd(&stream->client->conn));
	checkpoint_end(stream);
	stream_part(stream, &given->item.client_fd, &given->item.backend_fd);
	give(stream->proxy, given);
}

static void on_timer(struct timer *timer, uint64_t now_ms)
{
	struct proxy *proxy = container_of(timer, struct proxy, give_timer);
	uint32_t cursor = 0;
	uint64_t handle;
	struct stream *stream;

	while ((stream = slab_next(proxy->streams, &cursor, &handle)) != NULL) {
		give_stream(stream);
		if (stream->give_looks < GIVE_LOOKS)
			stream->give_looks++;
	}
	timer_arm(loop_timers(proxy->loop), timer, now_ms + GIVE_LOOK_MS);
}

/* ------------------------------------------------------------------------------------ life */

void give_init(struct proxy *proxy)
{
	timer_init(&proxy->give_timer, on_timer);
}

void give_begin(struct proxy *proxy)
{
	uint32_t cursor = 0;
	uint64_t handle;
	struct client *client;

	proxy->is_giving = true;
	on_timer(&proxy->give_timer, proxy_now_ms(proxy));
	while ((client = slab_next(proxy->clients, &cursor, &handle)) != NULL)
		(void)give_client(client);
}

void give_end(struct proxy *proxy)
{
	uint32_t cursor = 0;
	uint64_t handle;
	struct stream *stream;

	timer_cancel(loop_timers(proxy->loop), &proxy->give_timer);
	proxy->is_giving = false;
	while ((stream = slab_next(proxy->streams, &cursor, &handle)) != NULL) {
		if (stream->state == STREAM_CLOSED)
			continue;
		if (stream->upload.is_resting)
			go_on(stream, &stream->upload);
		if (stream->download.is_resting)
			go_on(stream, &stream->download);
	}
}
