/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/client/worker_state.h"
#include "user/http/head_scan.h"
#include "user/relay/conn.h"

struct client_h2;
struct client_question;
struct client_tls;
struct h2_stream;
struct stream;

/*
 * A connection from a client. HTTP/1: serves one request after the other, each as a stream. TCP and TLS: one
 * stream for its whole life. HTTP/2: many streams at once, see client_h2.h. Timers of the connection, not of
 * a request, live here: idle (from accept, and between requests), slow head (from its first byte), the age of
 * the connection, and the linger after a last response.
 */
enum client_state {
#define CLIENT_STATE(id, name, action, next) CLIENT_##id,
#include "user/client/client_states.def"
#undef CLIENT_STATE
	CLIENT_STATE_COUNT,
};

/* "[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:65535" */
#define CLIENT_SOURCE_BYTES 53

/* The state needed to read requests, with settings of the configuration in force at accept. */
struct client_http {
	struct client *client;
	struct list idle_node; /* in proxy->idle_clients while the connection is idle (evict.h) */
	/* of struct upstream: connections used by this client only (upstream_pool_bind()) */
	struct list bound;
	/* of struct upstream_endpoint: of connections that announce this client (client_announce()) */
	struct list announced;
	struct head_scan scan;
	struct head_limits limits;
	uint64_t idle_timeout_ms; /* 0: off */
	uint64_t head_timeout_ms; /* from the first byte of a head; 0: off */
	uint64_t head_due_ms; /* deadline of the current head, loop time; 0: none */
};

struct client {
	struct conn conn;
	struct proxy *proxy; /* borrowed */
	struct proxy_bind *bind; /* one reference */
	struct quota *peer; /* one reference: the counts of its address; NULL: no limit */
	uint64_t handle;
	struct stream *stream; /* the running one, or NULL; always NULL with h2 */
	struct client_http *http; /* owner; NULL: a tunnel (TCP, TLS, or an upgraded connection) */
	struct client_h2 *h2; /* owner; NULL: not HTTP/2 */
	char source[CLIENT_SOURCE_BYTES]; /* "ip:port", "[ip]:port": of a PROXY header, or of the peer */
	uint8_t source_len;
	uint8_t peer_ip_at; /* offset of the address, without port, in source */
	uint8_t peer_ip_len;
	enum client_state state : 8;
	bool is_trusted : 1; /* X-Forwarded-* fields of the client are kept */
	bool is_age_over : 1; /* maxConnectionAge passed: the running exchange is the last */
	bool is_closed : 1;
	uint16_t proxy_header_bytes; /* received before the first byte of the client itself */
	uint32_t requests; /* wraps */
	union {
		struct {
			uint32_t linger_left; /* bytes */
			uint32_t replay_bytes; /* of all its streams (struct replay) */
		};
		/* owner; in state ASKED only, when there is no stream: client_network.h */
		struct client_question *question;
	};
	struct client_tls *tls; /* owner; NULL: plain */
	/* owner: where the client connected, as a PROXY header announced; NULL: to this connection */
	struct address *announced;
	/* deadline of the state, loop time; 0: none. In READ_HEAD: deadline for the next byte */
	uint64_t deadline_ms;
	uint64_t age_ms; /* when maxConnectionAge expires, loop time; 0: no limit, or it has expired */
	struct timer timer; /* armed for the earlier of the two */
	struct loop_deferred again; /* a request may be buffered in conn.in; when closed: frees the client */
};

/*
 * What a client calls for its streams: proxy->handler (client_events.h). A client knows nothing else about
 * its streams.
 */
struct client_handler {
	/*
	 * Serves an HTTP/1 request with this head. bad: why the head is invalid; the handler sends the error
	 * response. The bytes of the head are in `arena`, which the handler takes over. False: no stream (a
	 * limit, or no memory), and the caller keeps the arena.
	 */
	bool (*begin_request)(struct client *client, struct arena *arena, struct span head,
			      enum http_error http_error);
	/* Serves a stream of an HTTP/2 connection, and takes it over. */
	void (*begin_h2_request)(struct client *client, struct h2_stream *h2_stream);
	/* Serves a connection of a TCP or TLS route. False: no stream. */
	bool (*begin_tunnel)(struct client *client, bool is_tls, struct span sni);
	/* The client's side of the stream has an event. */
	void (*on_ready)(struct stream *stream);
	/* The connection has ended, and so the stream must. */
	void (*on_close)(struct stream *stream, enum end_reason reason);
	/* Logs why the connection ended when no stream logs it. error: more about it, or empty. */
	void (*log_end)(struct client *client, enum end_reason reason, struct span error);
	/*
	 * on_state: the state of the client has changed. on_reading: the client is about to receive bytes
	 * that may belong to a request.
	 */
	void (*on_state)(const struct client *client);
	void (*on_reading)(const struct client *client);
	/*
	 * may_hand_off: another process could continue the connection once it is idle. hand_off: hands an
	 * idle connection over; true on success.
	 */
	bool (*may_hand_off)(const struct client *client);
	bool (*hand_off)(struct client *client);
};

bool client_state_allows(enum client_state from, enum client_state to);

/* For the files of this directory: changes the state, and arms the timer of the state. */
void client_set_state(struct client *client, enum client_state state);
void client_arm(struct client *client);
/* Adds the client to the list of idle clients (evict.h) or removes it, according to its state. */
void client_note_idle(struct client *client);
/* Handlers of the timer, or of another event of the state. client_on_idle(): the idle deadline. */
void client_on_idle(struct client *client);
void client_read_head(struct client *client);
void client_read_linger(struct client *client);
/* State ASKED: the client may have left. */
void client_check_asked(struct client *client);
/*
 * The deadline of READ_HEAD: answers 408 if the head has taken too long, closes if no byte arrived in time.
 */
void client_on_head_timer(struct client *client, uint64_t now_ms);
/* The limits of a head on a port with these settings. */
static inline struct head_limits client_head_limits(const struct static_config *config,
						    const struct frontend_http *http)
{
	return (struct head_limits){ .line_bytes = config->max_request_line_bytes,
				     .head_bytes = config->max_head_bytes,
				     .fields = http->http1_max_headers.is_set
						       ? (uint32_t)http->http1_max_headers.value
						       : config->max_headers };
}
/* Allocates client->http. 0 or -ENOMEM. */
int client_make_http(struct client *client, const struct bind *bind);
/* Frees a closed client. */
void client_free(struct client *client);
/*
 * Starts HTTP, or the tunnel of a TCP or TLS route; after a TLS handshake, too. network: the rules about the
 * connection; NULL: none. With networkExtAuthz it starts when the service has admitted the client.
 */
void client_begin_http(struct client *client, const struct bind *bind, const struct guard_use *network);
void client_open_tunnel(struct client *client);

/*
 * Closes the connection now and frees the client at the end of the turn. No HTTP/1 stream may be running;
 * streams of HTTP/2 end first. Idempotent.
 */
void client_close(struct client *client, enum end_reason reason, bool reset);
/* The running stream is a tunnel from now on: no request follows. */
void client_become_tunnel(struct client *client);
/* Applies the listener's idle timeout to the wait for the next request. */
void client_use_listener(struct client *client, const struct listener *listener);
/* The stream has ended, and the connection may serve another request. */
void client_next(struct client *client);
/* The stream has ended: the client gets time to read the last bytes before the connection closes. */
void client_linger(struct client *client);
/* True if the running exchange must be the last one: drain, age, port removed. */
bool client_is_ending(const struct client *client);
/* Closes an idle connection; an HTTP/2 connection takes no more requests and closes after its streams. */
void client_close_idle(struct client *client, enum end_reason reason);
/* True if a request may have started: it gets a response, which ends the connection. */
bool client_has_begun(const struct client *client);
/*
 * The worker drains: ends the clients that are idle, except those that wait for another process
 * (may_hand_off). with_fresh: also those that have not sent a byte yet.
 */
void clients_drain(struct proxy *proxy, bool with_fresh);
