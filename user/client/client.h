/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/client/worker_state.h"
#include "user/http/head_scan.h"
#include "user/relay/conn.h"

struct client_h2;
struct client_tls;
struct h2_stream;
struct stream;

/*
 * A connection from a client. HTTP: serves one request after the other, each a stream. TCP and TLS: one
 * stream for its whole life. HTTP/2: many streams at once, see client_h2.h. The timers that belong to the
 * connection and not to a request live here: idle (from accept on, and between requests), slow head (from its
 * first byte on), the age of the connection, and the linger after a last answer.
 */
enum client_state {
#define CLIENT_STATE(id, name, action, next) CLIENT_##id,
#include "user/client/client_states.def"
#undef CLIENT_STATE
	CLIENT_STATE_COUNT,
};

/* "[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:65535" */
#define CLIENT_SOURCE_BYTES 53

/* What reading requests needs: values of the configuration in force when the connection was accepted. */
struct client_http {
	struct client *client;
	struct list idle_node; /* in proxy->idle_clients while nothing is under way (evict.h) */
	struct list bound; /* of struct upstream: this client's alone (upstream_pool_bind()) */
	struct head_scan scan;
	struct head_limits limits;
	uint64_t idle_timeout_ms; /* 0: off */
	uint64_t head_timeout_ms; /* from its first byte on; 0: off */
	uint64_t head_due_ms; /* of the head under way, loop time; 0: none */
};

struct client {
	struct conn conn;
	struct proxy *proxy; /* borrowed */
	struct proxy_bind *bind; /* one reference */
	struct quota *peer; /* held: what is counted of its address; NULL: no limit */
	uint64_t handle;
	struct stream *stream; /* the running one, or NULL; always NULL with h2 */
	struct client_http *http; /* owner; NULL: a tunnel, of TCP or TLS or since it became one */
	struct client_h2 *h2; /* owner; NULL: not HTTP/2 */
	char source[CLIENT_SOURCE_BYTES]; /* "ip:port", "[ip]:port" */
	uint8_t source_len;
	uint8_t peer_ip_at; /* the address alone, within source */
	uint8_t peer_ip_len;
	enum client_state state : 8;
	bool is_trusted; /* its X-Forwarded-* are kept */
	bool is_age_over; /* maxConnectionAge passed: the running exchange is the last */
	bool is_closed;
	uint32_t linger_left; /* bytes */
	uint32_t replay_bytes; /* of all its streams (struct replay) */
	uint32_t requests; /* wraps */
	struct client_tls *tls; /* owner; NULL: plain */
	uint64_t deadline_ms; /* of the state, loop time; 0: none. Of a head: that of silence */
	uint64_t age_ms; /* when maxConnectionAge is over, loop time; 0: never, or it is */
	struct timer timer; /* the nearer of both */
	struct loop_deferred again; /* a request may be waiting in conn.in; or, closed, it is to be freed */
};

/*
 * Who serves what comes from clients, for what stands below: proxy->handler (client_events.h). A client knows
 * of its streams only that they are there.
 */
struct client_handler {
	/*
	 * The head of a request of HTTP/1; bad: why it is none, and the answer says so. Its bytes live in
	 * `arena`, which becomes the handler's. False: no stream (a limit, or memory), the arena stays the
	 * caller's.
	 */
	bool (*begin_request)(struct client *client, struct arena *arena, struct span head,
			      enum http_error http_error);
	/* A stream of an HTTP/2 connection. Takes it. */
	void (*begin_h2_request)(struct client *client, struct h2_stream *h2_stream);
	/* A connection of a TCP or TLS route. False: no stream. */
	bool (*begin_tunnel)(struct client *client, bool is_tls, struct span sni);
	/* Something has happened at the client's side of the stream. */
	void (*on_ready)(struct stream *stream);
	/* The connection is over: the stream ends. */
	void (*on_close)(struct stream *stream, enum end_reason reason);
	/* No stream says in the log what became of the connection. */
	void (*log_end)(struct client *client, enum end_reason reason);
	/* Its state has changed, or bytes are about to be received that may be of a request. */
	void (*on_state)(const struct client *client);
	void (*on_reading)(const struct client *client);
	/* Another process could go on with it as soon as it is idle; idle: true when it was handed over. */
	bool (*may_hand_off)(const struct client *client);
	bool (*hand_off)(struct client *client);
};

bool client_state_allows(enum client_state from, enum client_state to);

/* For the files that are part of a client: changes the state, and arms the timer of the state. */
void client_set_state(struct client *client, enum client_state state);
void client_arm(struct client *client);
/* It has become one that may end to make room (evict.h), or is one no more. */
void client_note_idle(struct client *client);
/* The same, by the timer or another event of the state. */
void client_on_idle(struct client *client);
void client_read_head(struct client *client);
void client_read_linger(struct client *client);
/* The same while a head is under way: 408 when it has taken too long, a close when no byte of it came. */
void client_on_head_timer(struct client *client, uint64_t now_ms);
/* What reading requests needs: 0 or -ENOMEM. */
int client_make_http(struct client *client, const struct bind *bind);
/* Gives back what is left of one that is closed. */
void client_free(struct client *client);
/* The same, for what a TLS handshake has let in: HTTP, or the bytes of a TCP or TLS route. */
void client_begin_http(struct client *client, const struct bind *bind);
void client_open_tunnel(struct client *client, bool is_tls, struct span sni);

/*
 * Closes now, frees at the end of the turn. No stream may be running, but those of HTTP/2: they end first.
 * Idempotent.
 */
void client_close(struct client *client, enum end_reason reason, bool reset);
/* The running stream is a tunnel from now on: no request follows. */
void client_become_tunnel(struct client *client);
/* The request is for this listener: it may say how long the connection waits for the next one. */
void client_use_listener(struct client *client, const struct listener *listener);
/* The stream is over and the connection may serve another request. */
void client_next(struct client *client);
/* The stream is over; what was sent is to be read by the client before the connection closes. */
void client_linger(struct client *client);
/* Whether the running exchange must be the last one: drain, age, port removed. */
bool client_is_ending(const struct client *client);
/* Closes the connection when nothing runs on it; one of HTTP/2 takes no more requests and closes then. */
void client_close_idle(struct client *client, enum end_reason reason);
