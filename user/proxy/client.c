/* SPDX-License-Identifier: Apache-2.0 */
#include "user/proxy/client.h"

#include <errno.h>

#include "user/base/failpoint.h"
#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/http/reply.h"
#include "user/net/socket.h"
#include "user/proxy/admission.h"
#include "user/proxy/client_h2.h"
#include "user/proxy/client_mark.h"
#include "user/proxy/client_peer.h"
#include "user/proxy/client_tls.h"
#include "user/proxy/front.h"
#include "user/proxy/give.h"
#include "user/proxy/room.h"
#include "user/relay/conn_hop.h"
#include "user/relay/head_reader.h"
#include "user/proxy/stream.h"
#include "user/proxy/tunnel.h"

#define TO(state) (1u << CLIENT_##state)

static const unsigned int client_next_states[] = {
#define CLIENT_STATE(id, name, action, next) next,
#include "user/proxy/client_states.def"
#undef CLIENT_STATE
};

#undef TO

bool client_state_allows(enum client_state from, enum client_state to)
{
	return client_next_states[from] >> to & 1;
}

/* The timer of the state (idle and head deadlines, or the end of the linger), or the age. */
void client_arm(struct client *client)
{
	struct timer_wheel *wheel = loop_timers(client->proxy->loop);
	uint64_t at_ms = 0;

	switch (client->state) {
	case CLIENT_IDLE:
	case CLIENT_READ_HEAD:
	case CLIENT_READ_HELLO:
	case CLIENT_HANDSHAKE:
	case CLIENT_LINGER:
		at_ms = client->deadline_ms;
		break;
	case CLIENT_H2:
		at_ms = client_h2_due_ms(client->h2);
		break;
	case CLIENT_STREAM:
	case CLIENT_CLOSED:
	case CLIENT_STATE_COUNT:
		break;
	}
	if (client->age_ms && client->state != CLIENT_CLOSED && (!at_ms || client->age_ms < at_ms))
		at_ms = client->age_ms;
	if (at_ms)
		timer_arm(wheel, &client->timer, at_ms);
	else
		timer_cancel(wheel, &client->timer);
}

void client_set_state(struct client *client, enum client_state state)
{
	CHECK(client_state_allows(client->state, state));
	client->state = state;
	room_note(client);
	client_mark(client);
	client_arm(client);
}

static void client_free(struct client *client)
{
	hg_free(client->http);
	client_tls_free(client->tls);
	client_h2_free(client->h2);
	proxy_bind_unref(client->bind);
	proxy_mind_memory(client->proxy);
	slab_give(client->proxy->clients, client->handle);
}

/* All but its descriptor. */
static void client_leave(struct client *client, enum end_reason reason)
{
	struct proxy *proxy = client->proxy;

	CHECK(!client->stream);
	client->is_closed = true;
	/* Ends of streams were counted by the stream. */
	if (client->state != CLIENT_STREAM && reason != END_OK)
		counter_end(proxy->counters, reason);
	if (client->h2)
		client_h2_finish_streams(client, reason);
	client_tls_leave_queue(client);
	client_set_state(client, CLIENT_CLOSED);
	proxy_trace(proxy, client->handle, TRACE_CLIENT_END, (uint32_t)reason, client->requests);
	loop_deferred_cancel(&client->again);
	counter_add(proxy->counters, COUNTER_DOWNSTREAM_RECEIVED, client->conn.received_bytes);
	counter_add(proxy->counters, COUNTER_DOWNSTREAM_SENT, client->conn.sent_bytes);
	counter_add(proxy->counters, COUNTER_HOP_CLIENT_BYTES, conn_hop_bytes(&client->conn));
	gauge_sub(proxy->counters, COUNTER_DOWNSTREAM_OPEN, 1);
	admission_give(proxy, client->bind);
	loop_defer(proxy->loop, &client->again);
}

void client_close(struct client *client, enum end_reason reason, bool reset)
{
	if (client->is_closed)
		return;
	client_leave(client, reason);
	conn_close(&client->conn, reset);
}

int client_give(struct client *client)
{
	CHECK(!client->is_closed);
	client_leave(client, END_OK);
	return conn_give(&client->conn);
}

bool client_is_ending(const struct client *client)
{
	return (client->proxy->is_draining && !give_may_client(client)) || client->is_age_over ||
	       !client->bind->bind;
}

void client_close_idle(struct client *client, enum end_reason reason)
{
	if (client->state == CLIENT_H2)
		client_h2_end(client, reason);
	else if (!client->stream && client->state != CLIENT_LINGER)
		client_close(client, reason, false);
}

/* ------------------------------------------------------------------------------------ HTTP */

void client_use_listener(struct client *client, const struct listener *listener)
{
	if (listener->http1_idle.is_set && client->http)
		client->http->idle_timeout_ms = ns_to_ms(listener->http1_idle.ns);
}

static void client_begin_idle(struct client *client)
{
	uint64_t now_ms = proxy_now_ms(client->proxy);

	head_scan_init(&client->http->scan, false);
	client->deadline_ms = client->http->idle_timeout_ms ? now_ms + client->http->idle_timeout_ms : 0;
}

void client_next(struct client *client)
{
	bool is_given = give_may_client(client);

	client_begin_idle(client);
	client_set_state(client, CLIENT_IDLE);
	if (!is_given && (proxy_is_closing(client->proxy) || client->is_age_over || !client->bind->bind)) {
		client_close(client, client->is_age_over ? END_OK : END_DRAINED, false);
		return;
	}
	if (buf_len(&client->conn.in))
		counter_add(client->proxy->counters, COUNTER_PIPELINED, 1);
	if (is_given || buf_len(&client->conn.in) || client->conn.can_read)
		loop_again(client->proxy->loop, &client->again);
}

/* Its first byte ends the idle time: a head that begins just before that is over is not lost. */
static void client_begin_head(struct client *client)
{
	if (client->state == CLIENT_READ_HEAD || !head_scan_has_begun(&client->http->scan))
		return;
	client->deadline_ms = client->http->head_timeout_ms
				      ? proxy_now_ms(client->proxy) + client->http->head_timeout_ms
				      : 0;
	client_set_state(client, CLIENT_READ_HEAD);
}

/* HTTP/2 in front of a port that is no more has nothing to say, and no settings to say it with. */
static void client_start_h2(struct client *client, struct span head)
{
	if (client->bind->bind)
		client_h2_start(client, head);
	else
		client_close(client, END_CONFIG_REMOVED, false);
}

/* Over TLS only what was agreed on (RFC 9113 3.2). */
static bool client_may_speak_h2(const struct client *client)
{
	return !client_is_tls(client) || client->tls->is_h2;
}

enum { CLIENT_HEAD_BLOCK_BYTES = 2048 };

/* The arena becomes the stream's. */
static void client_begin_request(struct client *client, struct arena *arena, struct span head,
				 enum http_bad bad)
{
	if (front_h1_begin(client, arena, head, bad))
		return;
	arena_done(arena);
	client_close(client, END_LIMIT, true);
}

/* The stream exists before the head is complete only within this call: its arena takes the head. */
static void client_read_head(struct client *client)
{
	struct client_http *http = client->http;
	struct arena arena;
	struct span head = { 0 };
	enum head_read result;
	enum http_bad bad;

	client_mark_reading(client);
	failpoint(CLIENT_READING);
	arena_init(&arena, CLIENT_HEAD_BLOCK_BYTES);
	result = head_read(&client->conn, &http->scan, &http->limits, client->proxy->relay.scratch,
			   LIMIT_READ_BYTES, &arena, &head);
	failpoint(CLIENT_READ);
	if (result == HEAD_READ_MORE) {
		arena_done(&arena);
		client_begin_head(client);
		client_mark(client);
		return;
	}
	if (result == HEAD_READ_EOF || result == HEAD_READ_ERROR) {
		arena_done(&arena);
		client_close(client,
			     result == HEAD_READ_EOF ? END_OK
						     : conn_end_reason(client->conn.error, END_CLIENT_RST),
			     result == HEAD_READ_ERROR);
		return;
	}
	if (result == HEAD_READ_DONE && client->requests == 0 && client_h2_is_preface(head) &&
	    client_may_speak_h2(client)) {
		client_start_h2(client, head);
		arena_done(&arena);
		return;
	}
	bad = result == HEAD_READ_BAD ? http->scan.bad : BAD_NONE;
	if (result == HEAD_READ_MEMORY)
		bad = BAD_NO_MEMORY;
	client_begin_request(client, &arena, head, bad);
}

/* What has come of the head is not enough to say more about the request (RFC 9110 15.5.9). */
static void client_refuse_late_head(struct client *client)
{
	struct arena arena;

	arena_init(&arena, CLIENT_HEAD_BLOCK_BYTES);
	client_begin_request(client, &arena, (struct span){ 0 }, BAD_HEAD_LATE);
}

/* A byte may have come in this turn, whose event is still to be delivered. */
static void client_on_idle(struct client *client)
{
	if (!conn_has_unread(&client->conn)) {
		client_close(client, END_KEEPALIVE_IDLE, false);
		return;
	}
	conn_look_again(&client->conn);
	client_read_head(client);
	/* It was no byte of a request: a piece of a TLS record, or an empty line. */
	if (client->state == CLIENT_IDLE && client->deadline_ms &&
	    client->deadline_ms <= proxy_now_ms(client->proxy))
		client_close(client, END_KEEPALIVE_IDLE, false);
}

/* ------------------------------------------------------------------------------------ tunnels */

void client_become_tunnel(struct client *client)
{
	hg_free(client->http);
	client->http = NULL;
	client_mark(client);
}

void client_open_tunnel(struct client *client, bool is_tls, struct span sni)
{
	struct stream *stream;

	/* It came with the ClientHello, and has no event of its own. */
	if (conn_check(&client->conn) < 0) {
		client_close(client, conn_end_reason(client->conn.error, END_CLIENT_RST), true);
		return;
	}
	stream = stream_create(client, &front_h1, true);
	if (!stream) {
		client_close(client, END_LIMIT, true);
		return;
	}
	client->stream = stream;
	stream->is_tls = is_tls;
	stream->close_client = true;
	client_set_state(client, CLIENT_STREAM);
	stream_run(stream, tunnel_open(stream, sni));
}

/* ------------------------------------------------------------------------------------ linger */

static void client_read_linger(struct client *client)
{
	struct conn *conn = &client->conn;
	uint64_t budget = conn->received_bytes + LIMIT_TURN_BYTES;

	while (conn->received_bytes < budget) {
		ssize_t len = conn_recv(conn, client->proxy->relay.scratch, LIMIT_READ_BYTES);

		if (len == -EAGAIN)
			return;
		if (len <= 0 || (size_t)len > client->linger_left) {
			client_close(client, END_OK, false);
			return;
		}
		client->linger_left -= (uint32_t)len;
	}
	loop_again(client->proxy->loop, &client->again);
}

void client_linger(struct client *client)
{
	client->linger_left = LIMIT_LINGER_BYTES;
	client->deadline_ms = proxy_now_ms(client->proxy) + LIMIT_LINGER_MS;
	client_set_state(client, CLIENT_LINGER);
	buf_done(&client->conn.in);
	conn_shutdown(&client->conn);
	if (client->conn.can_read)
		loop_again(client->proxy->loop, &client->again);
}

/* ------------------------------------------------------------------------------------ events */

static void client_run(struct client *client)
{
	switch (client->state) {
	case CLIENT_IDLE:
		if (!give_client(client))
			client_read_head(client);
		break;
	case CLIENT_READ_HEAD:
		client_read_head(client);
		break;
	case CLIENT_READ_HELLO:
		client_tls_read_hello(client);
		break;
	case CLIENT_HANDSHAKE:
		client_tls_go_on(client);
		break;
	case CLIENT_STREAM:
		stream_on_client(client->stream);
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
	/* A running exchange completes and has a reason of its own: the timer is counted here. */
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
		client_refuse_late_head(client);
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

static struct client_http *client_http_create(const struct static_config *config, const struct bind *bind)
{
	struct client_http *http = hg_calloc(1, sizeof(*http));

	if (!http)
		return NULL;
	http->idle_timeout_ms = ns_to_ms(bind->http->http1_idle_timeout_ns);
	http->head_timeout_ms = ns_to_ms(config->timeouts.client_header_min_ns);
	http->limits.line_bytes = config->max_request_line_bytes;
	http->limits.head_bytes = config->max_head_bytes;
	http->limits.fields = bind->http->http1_max_headers.is_set
				      ? (uint32_t)bind->http->http1_max_headers.value
				      : config->max_headers;
	return http;
}

static int client_make_http(struct client *client, const struct bind *bind)
{
	client->http = client_http_create(&client->proxy->lease->snapshot->config, bind);
	if (!client->http)
		return -ENOMEM;
	client->http->client = client;
	list_init(&client->http->idle_node);
	return 0;
}

void client_begin_http(struct client *client, const struct bind *bind)
{
	if (client_make_http(client, bind) < 0) {
		client_close(client, END_INTERNAL, true);
		return;
	}
	client_begin_idle(client);
	/* Also from the state it is in at first. */
	client->state = CLIENT_IDLE;
	room_note(client);
	client_arm(client);
	client_read_head(client);
}

static void client_begin(struct client *client, const struct bind *bind)
{
	switch (bind->protocol) {
	case BIND_HTTP:
		client_begin_http(client, bind);
		break;
	case BIND_TCP:
		client_open_tunnel(client, false, (struct span){ 0 });
		break;
	case BIND_TLS:
		client_tls_start(client);
		break;
	}
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
	/* Nobody was told what has become of it before it was accepted. */
	client->conn.has_error = true;
	if (client_peer_hop(client, bind->bind, origin) < 0) {
		conn_close(&client->conn, true);
		slab_give(proxy->clients, handle);
		return NULL;
	}
	bind->refs++;
	return client;
}

/* Of a connection that admission has counted. NULL: it was reset. */
static struct client *client_enter(struct proxy *proxy, struct proxy_bind *bind, int fd,
				   const struct address *peer, enum client_origin origin)
{
	struct client *client;

	client_peer_set_options(proxy, bind->bind, fd);
	client = client_create(proxy, bind, fd, origin);
	if (!client) {
		admission_give(proxy, bind);
		counter_end(proxy->counters, END_LIMIT);
		return NULL;
	}
	counter_add(proxy->counters, COUNTER_DOWNSTREAM_OPEN, 1);
	proxy_trace(proxy, client->handle, TRACE_ACCEPT, (uint32_t)fd, bind->port);
	admission_record(proxy, bind->bind);
	client_peer_name(client, peer);
	return client;
}

bool client_start(struct proxy *proxy, struct proxy_bind *bind, int fd, const struct address *peer,
		  enum client_origin origin)
{
	const struct bind *config = bind->bind;
	struct client *client;

	counter_add(proxy->counters, COUNTER_ACCEPTED, 1);
	if (!config) {
		socket_reset(fd);
		return false;
	}
	if (!room_admit(proxy, bind, &fd)) {
		admission_refuse(proxy, config, fd);
		return false;
	}
	client = client_enter(proxy, bind, fd, peer, origin);
	if (!client)
		return false;
	client_start_age(client);
	client_begin(client, config);
	client_mark(client);
	return true;
}

struct client *client_adopt(struct proxy *proxy, struct proxy_bind *bind, int fd, const struct address *peer,
			    uint64_t age_ms, bool has_requests, enum client_origin origin)
{
	struct client *client;

	counter_add(proxy->counters, COUNTER_ACCEPTED, 1);
	/* It was let in once, and is not more than there were. */
	admission_count(proxy, bind);
	client = client_enter(proxy, bind, fd, peer, origin);
	if (!client)
		return NULL;
	client->age_ms = age_ms;
	client->requests = has_requests;
	if (has_requests && client_make_http(client, bind->bind) < 0) {
		client_close(client, END_INTERNAL, true);
		return NULL;
	}
	return client;
}
