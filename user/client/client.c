/* SPDX-License-Identifier: Apache-2.0 */
#include "user/client/client.h"

#include <errno.h>

#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/client/admission.h"
#include "user/client/client_h2.h"
#include "user/client/client_network.h"
#include "user/client/client_tls.h"
#include "user/relay/conn_bypass.h"
#include "user/relay/head_reader.h"

#define TO(state) (1u << CLIENT_##state)

static const unsigned int client_next_states[] = {
#define CLIENT_STATE(id, name, action, next) next,
#include "user/client/client_states.def"
#undef CLIENT_STATE
};

#undef TO

bool client_state_allows(enum client_state from, enum client_state to)
{
	return client_next_states[from] >> to & 1;
}

/*
 * Arms the timer for the deadline of the state (idle, head, or linger) or for the age, whichever is earlier.
 */
void client_arm(struct client *client)
{
	struct timer_wheel *wheel = loop_timers(client->proxy->loop);
	uint64_t at_ms = 0;

	switch (client->state) {
	case CLIENT_READ_HEAD:
		at_ms = client->deadline_ms;
		if (client->http->head_due_ms && (!at_ms || client->http->head_due_ms < at_ms))
			at_ms = client->http->head_due_ms;
		break;
	case CLIENT_IDLE:
	case CLIENT_READ_PROXY:
	case CLIENT_READ_HELLO:
	case CLIENT_HANDSHAKE:
	case CLIENT_LINGER:
		at_ms = client->deadline_ms;
		break;
	case CLIENT_H2:
		at_ms = client_h2_due_ms(client->h2);
		break;
	case CLIENT_ASKED: /* the call has a deadline */
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

static bool client_is_idle(const struct client *client)
{
	return client->state == CLIENT_IDLE ||
	       (client->state == CLIENT_H2 && client->h2->stream_count == 0 && !client->h2->link.is_ended);
}

void client_note_idle(struct client *client)
{
	struct proxy *proxy = client->proxy;
	bool is_idle = client_is_idle(client);

	if (!client->http || is_idle == !list_is_empty(&client->http->idle_node))
		return;
	if (is_idle) {
		list_add_tail(&proxy->idle_clients, &client->http->idle_node);
		tally_add(&proxy->idle_count, 1);
	} else {
		list_remove(&client->http->idle_node);
		tally_add(&proxy->idle_count, (uint64_t)-1);
	}
}

void client_set_state(struct client *client, enum client_state state)
{
	CHECK(client_state_allows(client->state, state));
	client->state = state;
	client_note_idle(client);
	client->proxy->handler->on_state(client);
	client_arm(client);
}

void client_free(struct client *client)
{
	hg_free(client->http);
	client_tls_free(client->tls);
	hg_free(client->announced);
	client_h2_free(client->h2);
	proxy_bind_unref(client->bind);
	quota_drop(client->peer);
	proxy_mind_memory(client->proxy);
	slab_give(client->proxy->clients, client->handle);
}

/* Closes the connections to backends that only this client may use. */
static void client_drop_upstreams(struct client *client)
{
	if (!client->http)
		return;
	upstream_pool_close_bound(&client->http->bound);
	upstream_pool_forget_client(&client->proxy->pool, &client->http->announced);
}

void client_close(struct client *client, enum end_reason reason, bool reset)
{
	struct proxy *proxy = client->proxy;

	if (client->is_closed)
		return;
	CHECK(!client->stream);
	client->is_closed = true;
	/* Ends of streams are counted by the stream. */
	if (client->state != CLIENT_STREAM && !client_h2_counts(client->h2) && reason != END_OK)
		counter_end(proxy->counters, reason);
	if (client->h2)
		client_h2_finish_streams(client, reason);
	client_drop_upstreams(client);
	client_tls_leave_queue(client);
	if (client->state == CLIENT_ASKED)
		client_network_stop(client);
	client_set_state(client, CLIENT_CLOSED);
	proxy_trace(proxy, client->handle, TRACE_CLIENT_END, (uint32_t)reason, client->requests);
	loop_deferred_cancel(&client->again);
	counter_add(proxy->counters, COUNTER_DOWNSTREAM_RECEIVED, client->conn.received_bytes);
	counter_add(proxy->counters, COUNTER_DOWNSTREAM_SENT, client->conn.sent_bytes);
	counter_add(proxy->counters, COUNTER_BYPASS_CLIENT_BYTES, conn_bypass_bytes(&client->conn));
	gauge_sub(proxy->counters, COUNTER_DOWNSTREAM_OPEN, 1);
	admission_give(proxy, client->bind);
	admission_give_client(client->peer);
	loop_defer(proxy->loop, &client->again);
	conn_close(&client->conn, reset);
}

bool client_is_ending(const struct client *client)
{
	const struct proxy *proxy = client->proxy;

	return (proxy->is_draining && !proxy->handler->may_hand_off(client)) || client->is_age_over ||
	       !client->bind->bind;
}

void client_close_idle(struct client *client, enum end_reason reason)
{
	if (client->state == CLIENT_H2)
		client_h2_end(client, reason);
	else if (!client->stream && client->state != CLIENT_LINGER)
		client_close(client, reason, false);
}

/* Bytes still in the socket count, too; their event comes in this turn or the next. */
bool client_has_begun(const struct client *client)
{
	/* HTTP/2 tells the client which requests were processed. */
	if (client->h2)
		return false;
	return client->state == CLIENT_READ_HEAD || buf_len(&client->conn.in) ||
	       (!client->stream && conn_has_unread(&client->conn));
}

void clients_drain(struct proxy *proxy, bool with_fresh)
{
	uint32_t cursor = 0;
	uint64_t handle;
	struct client *client;

	while ((client = slab_next(proxy->clients, &cursor, &handle)) != NULL) {
		if (client->is_closed || client_has_begun(client) || proxy->handler->may_hand_off(client))
			continue;
		if (with_fresh || client->conn.received_bytes > client->proxy_header_bytes)
			client_close_idle(client, END_DRAINED);
	}
}

/* ------------------------------------------------------------------------------------ HTTP */

void client_use_listener(struct client *client, const struct listener *listener)
{
	if (listener->http1_idle.is_set && client->http)
		client->http->idle_timeout_ms = ns_to_ms(listener->http1_idle.ns);
}

static uint64_t client_due_ms(const struct client *client, uint64_t timeout_ms)
{
	return timeout_ms ? proxy_now_ms(client->proxy) + timeout_ms : 0;
}

static void client_begin_idle(struct client *client)
{
	head_scan_init(&client->http->scan, false);
	client->deadline_ms = client_due_ms(client, client->http->idle_timeout_ms);
}

void client_next(struct client *client)
{
	bool is_handed_off = client->proxy->is_handing_off && client->proxy->handler->may_hand_off(client);

	client_begin_idle(client);
	client_set_state(client, CLIENT_IDLE);
	if (!is_handed_off &&
	    (proxy_is_closing(client->proxy) || client->is_age_over || !client->bind->bind)) {
		client_close(client, client->is_age_over ? END_OK : END_DRAINED, false);
		return;
	}
	if (buf_len(&client->conn.in))
		counter_add(client->proxy->counters, COUNTER_PIPELINED, 1);
	if (is_handed_off || buf_len(&client->conn.in) || client->conn.can_read)
		loop_again(client->proxy->loop, &client->again);
}

/* Each byte of a head restarts the idle time; the time for the whole head starts with its first byte. */
static void client_note_head(struct client *client)
{
	struct client_http *http = client->http;

	if (!head_scan_has_begun(&http->scan))
		return;
	client->deadline_ms = client_due_ms(client, http->idle_timeout_ms);
	if (client->state == CLIENT_READ_HEAD) {
		client_arm(client);
		return;
	}
	http->head_due_ms = client_due_ms(client, http->head_timeout_ms);
	client_set_state(client, CLIENT_READ_HEAD);
}

/* If the listener was removed, there are no HTTP/2 settings to send. */
static void client_start_h2(struct client *client, struct span head)
{
	if (client->bind->bind)
		client_h2_start(client, head);
	else
		client_close(client, END_CONFIG_REMOVED, false);
}

/* Over TLS, HTTP/2 needs ALPN (RFC 9113 3.2). */
static bool client_may_speak_h2(const struct client *client)
{
	return !client_is_tls(client) || client->tls->is_h2;
}

enum { CLIENT_HEAD_BLOCK_BYTES = 2048 };

/* The stream takes the arena over. */
static void client_begin_request(struct client *client, struct arena *arena, struct span head,
				 enum http_error http_error)
{
	if (client->proxy->handler->begin_request(client, arena, head, http_error))
		return;
	arena_done(arena);
	client_close(client, END_LIMIT, true);
}

/* Reads a head into a temporary arena, which the stream takes over once the head is complete. */
void client_read_head(struct client *client)
{
	struct client_http *http = client->http;
	struct arena arena;
	uint64_t received = client->conn.received_bytes;
	struct span head = { 0 };
	enum head_read result;
	enum http_error http_error;

	client->proxy->handler->on_reading(client);
	arena_init(&arena, CLIENT_HEAD_BLOCK_BYTES);
	result = head_read(&client->conn, &http->scan, &http->limits, client->proxy->relay.scratch,
			   LIMIT_READ_BYTES, &arena, &head);
	if (result == HEAD_READ_MORE) {
		arena_done(&arena);
		if (client->conn.received_bytes != received || client->state == CLIENT_IDLE)
			client_note_head(client);
		client->proxy->handler->on_state(client);
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
	http_error = result == HEAD_READ_BAD ? http->scan.http_error : HTTP_ERROR_NONE;
	if (result == HEAD_READ_MEMORY)
		http_error = HTTP_ERROR_NO_MEMORY;
	client_begin_request(client, &arena, head, http_error);
}

/* The head is incomplete: answer 408 without parsing it (RFC 9110 15.5.9). */
static void client_refuse_late_head(struct client *client)
{
	struct arena arena;

	arena_init(&arena, CLIENT_HEAD_BLOCK_BYTES);
	client_begin_request(client, &arena, (struct span){ 0 }, HTTP_ERROR_HEAD_LATE);
}

/* A byte may have arrived in this turn without its event having been delivered: look before closing. */
void client_on_idle(struct client *client)
{
	enum client_state state = client->state;

	if (!conn_has_unread(&client->conn)) {
		client_close(client, END_KEEPALIVE_IDLE, false);
		return;
	}
	conn_look_again(&client->conn);
	client_read_head(client);
	/* The bytes were not part of a request (part of a TLS record, or an empty line). */
	if (client->state == state && client->deadline_ms &&
	    client->deadline_ms <= proxy_now_ms(client->proxy))
		client_close(client, END_KEEPALIVE_IDLE, false);
}

void client_on_head_timer(struct client *client, uint64_t now_ms)
{
	uint64_t head_due_ms = client->http->head_due_ms;

	if (head_due_ms && head_due_ms <= now_ms &&
	    (!client->deadline_ms || head_due_ms <= client->deadline_ms))
		client_refuse_late_head(client);
	else
		client_on_idle(client);
}

static struct client_http *client_http_create(const struct static_config *config, const struct bind *bind)
{
	struct client_http *http = hg_calloc(1, sizeof(*http));

	if (!http)
		return NULL;
	http->idle_timeout_ms = ns_to_ms(bind->http->http1_idle_timeout_ns);
	http->head_timeout_ms = ns_to_ms(config->timeouts.client_header_min_ns);
	http->limits = client_head_limits(config, bind->http);
	return http;
}

int client_make_http(struct client *client, const struct bind *bind)
{
	client->http = client_http_create(&client->proxy->lease->snapshot->config, bind);
	if (!client->http)
		return -ENOMEM;
	client->http->client = client;
	list_init(&client->http->idle_node);
	list_init(&client->http->bound);
	list_init(&client->http->announced);
	return 0;
}

static void client_start_http(struct client *client, const struct bind *bind)
{
	if (client_make_http(client, bind) < 0) {
		client_close(client, END_INTERNAL, true);
		return;
	}
	client_begin_idle(client);
	/* Set the state directly: the initial state has no transition to IDLE. */
	client->state = CLIENT_IDLE;
	client_note_idle(client);
	client_arm(client);
	client_read_head(client);
}

/* ------------------------------------------------------------------------------------ networkExtAuthz */

static void client_start_tunnel(struct client *client)
{
	bool is_tls = client->tls;

	/* A reset that arrived together with the ClientHello has no event of its own. */
	if (conn_check(&client->conn) < 0) {
		client_close(client, conn_end_reason(client->conn.error, END_CLIENT_RST), true);
		return;
	}
	if (!client->proxy->handler->begin_tunnel(client, is_tls,
						  is_tls ? client->tls->server_name : (struct span){ 0 }))
		client_close(client, END_LIMIT, true);
	client_tls_passed(client);
}

static void client_admitted(struct client *client, bool is_tunnel)
{
	const struct bind *bind = client->bind->bind;

	if (is_tunnel && client_tls_is_unchanged(client))
		client_start_tunnel(client);
	else if (!is_tunnel && bind)
		client_start_http(client, bind);
	else
		client_close(client, END_CONFIG_REMOVED, false);
}

static void client_on_answer(struct client *client)
{
	bool is_tunnel = client->question->is_tunnel;
	enum end_reason reason;

	if (client_network_answer(client, &reason) != GUARD_PASS)
		client_close(client, reason, true);
	else
		client_admitted(client, is_tunnel);
	client->proxy->handler->on_state(client);
}

/* Starts it, or asks first. */
static void client_ask(struct client *client, const struct guard_use *use, bool is_tunnel)
{
	enum end_reason reason;

	switch (use ? client_network_ask(client, use, is_tunnel, client_on_answer, &reason) : GUARD_PASS) {
	case GUARD_PASS:
		client_admitted(client, is_tunnel);
		break;
	case GUARD_WAIT:
		client_set_state(client, CLIENT_ASKED);
		/* An end that came together with a PROXY header or a ClientHello has no event of its own. */
		client_check_asked(client);
		break;
	default:
		client_close(client, reason, true);
	}
}

/* What a client of HTTP has sent is for later. Without anything its end tells that it has gone. */
void client_check_asked(struct client *client)
{
	struct conn *conn = &client->conn;

	if (conn_check(conn) < 0)
		client_close(client, conn_end_reason(conn->error, END_CLIENT_RST), true);
	else if (!client->question->is_tunnel && conn_has_fin(conn) && !buf_len(&conn->in) &&
		 !conn_has_unread(conn))
		client_close(client, END_CLIENT_FIN, false);
}

void client_begin_http(struct client *client, const struct bind *bind, const struct guard_use *network)
{
	enum end_reason reason = client_network_begins(client, network);

	if (reason == END_OK)
		client_ask(client, bind->network_ext_authz, false);
	else
		client_close(client, reason, true);
}

/* ------------------------------------------------------------------------------------ tunnels */

void client_become_tunnel(struct client *client)
{
	client_drop_upstreams(client);
	hg_free(client->http);
	client->http = NULL;
	client->proxy->handler->on_state(client);
}

void client_open_tunnel(struct client *client)
{
	const struct guard_use *service;
	enum end_reason reason = client_network_of_tunnel(client, &service);

	if (reason == END_OK)
		client_ask(client, service, true);
	else
		client_close(client, reason, true);
}

/* ------------------------------------------------------------------------------------ linger */

void client_read_linger(struct client *client)
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
