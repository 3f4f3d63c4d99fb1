/* SPDX-License-Identifier: Apache-2.0 */
#include "user/client/client_tls.h"

#include <errno.h>
#include <string.h>

#include "policy/guard/guard.h"
#include "policy/match/certificate.h"
#include "policy/match/route.h"
#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/client/xfcc.h"

enum { TLS_LOG_INTERVAL_MS = 1000 };

void client_tls_free(struct client_tls *tls)
{
	if (!tls)
		return;
	list_remove(&tls->node);
	hg_free(tls->hello);
	hg_free(tls->texts);
	hg_free((char *)(uintptr_t)tls->forwarded.data);
	hg_free(tls);
}

/* ------------------------------------------------------------------------------------ ends */

void client_tls_leave_queue(struct client *client)
{
	if (!client->tls || list_is_empty(&client->tls->node))
		return;
	list_remove(&client->tls->node);
	list_remove(&client->tls->port_node);
	atomic_fetch_sub_explicit(&client->proxy->shared->counts.handshakes, 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(&client->bind->counts->handshakes, 1, memory_order_relaxed);
}

static void client_tls_log(struct client *client, const char *why)
{
	struct proxy *proxy = client->proxy;
	const struct bind *bind = client->bind->bind;
	struct span port = bind ? bind->key : SPAN("a port that was removed");
	struct span name = client->tls->server_name;
	uint64_t swallowed;

	if (!log_rate_pass(&proxy->tls_log, proxy_now_ms(proxy), TLS_LOG_INTERVAL_MS, &swallowed))
		return;
	log_info("TLS handshake failed: %s; client %.*s at %.*s, server name \"%.*s\"; %llu more since the "
		 "last such line",
		 why, (int)client->source_len, client->source, (int)port.len, port.data, (int)name.len,
		 name.len ? name.data : "", (unsigned long long)swallowed);
}

/* The output contains the reason (an alert or a response): give the client time to read it. */
static void client_tls_refuse(struct client *client, enum end_reason reason)
{
	conn_drop_tls(&client->conn);
	client_tls_leave_queue(client);
	if (conn_flush(&client->conn) < 0 || conn_has_output(&client->conn)) {
		client_close(client, reason, true);
		return;
	}
	counter_end(client->proxy->counters, reason);
	client_linger(client);
}

/* Sends an alert as a plain record (RFC 8446 6), for clients without a TLS session. */
static int client_tls_send_alert(struct client *client, uint8_t description)
{
	char alert[] = { 21, 3, 3, 0, 2, 2, (char)description };
	struct iovec segment = { alert, sizeof(alert) };

	return conn_send(&client->conn, &segment, 1, sizeof(alert));
}

static void client_tls_alert(struct client *client, uint8_t description, enum end_reason reason)
{
	(void)client_tls_send_alert(client, description);
	client_tls_refuse(client, reason);
}

bool client_tls_refuse_name(struct client *client)
{
	return client_tls_send_alert(client, 112 /* unrecognized_name */) == 0 &&
	       !conn_has_output(&client->conn);
}

/* The user has probably written http:// instead of https:// (curl http://host:443/). */
static void client_tls_answer_plain(struct client *client)
{
	static char answer[] = "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\n"
			       "content-length: 51\r\nconnection: close\r\n\r\n"
			       "this port speaks TLS: use https:// instead of http:";
	struct iovec segment = { answer, sizeof(answer) - 1 };

	(void)conn_send(&client->conn, &segment, 1, sizeof(answer));
	client_tls_refuse(client, END_TLS_PLAIN_TEXT);
}

static bool is_like_http(struct span bytes)
{
	for (size_t i = 0; i < bytes.len && i < 3; i++) {
		if (bytes.data[i] < 'A' || bytes.data[i] > 'Z')
			return false;
	}
	return bytes.len >= 3;
}

/* ------------------------------------------------------------------------------------ ClientHello */

/*
 * Ends the oldest handshake on the port or in this worker if the counts, which include the new one, exceed a
 * limit. If this worker has none, the others still shed theirs.
 */
static void client_tls_make_room(struct proxy *proxy, struct proxy_bind *bind, uint64_t all, uint64_t here)
{
	struct client_tls *oldest = NULL;

	if (here > LIMIT_TLS_PORT_HANDSHAKES && !list_is_empty(&bind->handshakes))
		oldest = list_entry(bind->handshakes.next, struct client_tls, port_node);
	else if (all > LIMIT_TLS_HANDSHAKES && !list_is_empty(&proxy->handshakes))
		oldest = list_entry(proxy->handshakes.next, struct client_tls, node);
	if (oldest)
		client_close(oldest->client, END_TLS_HANDSHAKE_LIMIT, true);
}

static void client_tls_enter_queue(struct client_tls *tls)
{
	struct proxy *proxy = tls->client->proxy;
	struct proxy_bind *bind = tls->client->bind;

	client_tls_make_room(
		proxy, bind,
		1 + atomic_fetch_add_explicit(&proxy->shared->counts.handshakes, 1, memory_order_relaxed),
		1 + atomic_fetch_add_explicit(&bind->counts->handshakes, 1, memory_order_relaxed));
	list_add_tail(&proxy->handshakes, &tls->node);
	list_add_tail(&bind->handshakes, &tls->port_node);
}

static uint64_t client_tls_hello_ms(const struct bind *bind)
{
	bool is_set = bind && bind->tls && bind->tls->handshake_timeout.is_set;

	return is_set ? ns_to_ms(bind->tls->handshake_timeout.ns) : LIMIT_CLIENT_HELLO_MS;
}

/* Copies the texts into one allocation: the parser and the configuration may be freed. */
static int client_tls_keep_texts(struct client_tls *tls, struct span listener_key)
{
	struct span name = sni_name(tls->hello);
	char *texts = hg_malloc(listener_key.len + name.len + 1);

	if (!texts)
		return -ENOMEM;
	if (listener_key.len)
		memcpy(texts, listener_key.data, listener_key.len);
	if (name.len)
		memcpy(texts + listener_key.len, name.data, name.len);
	tls->texts = texts;
	tls->listener_key = span_of(texts, listener_key.len);
	tls->server_name = span_of(texts + listener_key.len, name.len);
	return 0;
}

static void client_tls_pass_through(struct client *client)
{
	client_tls_leave_queue(client);
	client_open_tunnel(client);
}

void client_tls_passed(struct client *client)
{
	if (!client->tls || client->tls->ends_tls || client->is_closed)
		return;
	client_tls_free(client->tls);
	client->tls = NULL;
}

static uint64_t client_tls_trust(const struct listener_tls *config)
{
	return config->settings.client_trust ? config->settings.client_trust->hash : 0;
}

static void client_tls_begin_handshake(struct client *client, const struct listener *listener)
{
	const struct tls_identity *identity_list[CERTIFICATE_KEYS];
	const struct listener_tls *config = listener->tls;
	struct client_tls *tls = client->tls;
	struct proxy *proxy = client->proxy;
	uint32_t count = certificate_choose(config, tls->server_name, identity_list);
	struct tls_session *session;

	tls->ends_tls = true;
	if (count == 0) {
		client_tls_log(client, config->invalid_reason.len
					       ? config->invalid_reason.data
					       : "the listener has no certificate that can be used");
		client_tls_alert(client, 40 /* handshake_failure */, END_TLS_NO_CERTIFICATE);
		return;
	}
	session = tls_accept(&proxy->tls, &config->settings, identity_list, count);
	if (!session || conn_start_tls(&client->conn, session) < 0) {
		client_close(client, END_INTERNAL, true);
		return;
	}
	tls->forwards = config->forwards_client_certificate;
	tls->client_auth = config->settings.client_auth;
	tls->trust_hash = client_tls_trust(config);
	if (config->handshake_timeout_ns)
		client->deadline_ms = ns_to_ms(tls->begin_ns + config->handshake_timeout_ns);
	client_set_state(client, CLIENT_HANDSHAKE);
	client_tls_go_on(client);
}

/* Selects the listener of a complete hello. */
static void client_tls_choose(struct client *client)
{
	struct client_tls *tls = client->tls;
	const struct bind *bind = client->bind->bind;
	const struct listener *listener = bind ? listener_find(bind, sni_name(tls->hello)) : NULL;

	if (!bind) {
		client_close(client, END_CONFIG_REMOVED, false);
		return;
	}
	if (client_tls_keep_texts(tls, listener ? listener->key : SPAN("")) < 0) {
		client_close(client, END_INTERNAL, true);
		return;
	}
	hg_free(tls->hello);
	tls->hello = NULL;
	if (listener && listener->tls)
		client_tls_begin_handshake(client, listener);
	else
		client_tls_pass_through(client);
}

/* Feeds the next bytes of conn.in. False: more are needed. */
static bool client_tls_take_hello(struct client *client, struct span bytes)
{
	enum sni_result result = sni_feed(client->tls->hello, bytes);

	if (result == SNI_MORE)
		return false;
	if (result != SNI_BAD)
		client_tls_choose(client);
	else if (is_like_http(buf_span(&client->conn.in)))
		client_tls_answer_plain(client);
	else
		client_close(client, END_REQUEST_BAD, true);
	return true;
}

/* The hello stays in conn.in unchanged: a tunnel forwards it, or the handshake starts with it. */
void client_tls_read_hello(struct client *client)
{
	struct conn *conn = &client->conn;

	for (;;) {
		size_t before = buf_len(&conn->in);
		ssize_t len;

		if (buf_reserve(&conn->in, 2048, LIMIT_CLIENT_HELLO_BYTES + LIMIT_READ_BYTES) < 0) {
			client_close(client, END_LIMIT, true);
			return;
		}
		len = conn_recv(conn, buf_tail(&conn->in), conn->in.size - conn->in.end);
		if (len == -EAGAIN)
			return;
		if (len <= 0) {
			client_close(client, len == 0 ? END_CLIENT_FIN : END_CLIENT_RST, len < 0);
			return;
		}
		buf_commit(&conn->in, (size_t)len);
		if (client_tls_take_hello(client, span_from(buf_span(&conn->in), before)))
			return;
	}
}

void client_tls_start(struct client *client)
{
	struct proxy *proxy = client->proxy;
	struct client_tls *tls = hg_calloc(1, sizeof(*tls));

	client->tls = tls;
	if (tls) {
		list_init(&tls->node);
		list_init(&tls->port_node);
		tls->client = client;
		tls->begin_ns = loop_now_ns(proxy->loop);
		tls->hello = hg_calloc(1, sizeof(*tls->hello));
	}
	if (!tls || !tls->hello) {
		client_close(client, END_INTERNAL, true);
		return;
	}
	client_tls_enter_queue(tls);
	sni_init(tls->hello);
	client->state = CLIENT_READ_HELLO;
	client->deadline_ms = proxy_now_ms(proxy) + client_tls_hello_ms(client->bind->bind);
	client_arm(client);
	/* What followed a PROXY header. */
	if (!client_tls_take_hello(client, buf_span(&client->conn.in)))
		client_tls_read_hello(client);
}

/* ------------------------------------------------------------------------------------ handshake */

static void client_tls_fail(struct client *client, int error)
{
	const struct tls_session *session = conn_tls(&client->conn);
	bool is_verify = tls_session_failure(session) == TLS_FAIL_VERIFY;

	if (error == -EPROTO) {
		client_tls_log(client, tls_session_fault(session));
		client_tls_refuse(client, is_verify ? END_TLS_VERIFY_FAILED : END_TLS_HANDSHAKE_FAILED);
		return;
	}
	if (error == -EMSGSIZE) {
		client_tls_log(client, "the client sent too many handshake bytes");
		client_close(client, END_TLS_HANDSHAKE_FAILED, true);
		return;
	}
	client_close(client, error == -EPIPE ? END_CLIENT_FIN : END_CLIENT_RST, error != -EPIPE);
}

/* The handshake is complete: starts the inner protocol. */
static void client_tls_open(struct client *client)
{
	struct client_tls *tls = client->tls;
	const struct tls_session *session = conn_tls(&client->conn);
	const struct bind *bind = client->bind->bind;
	const struct listener *listener = bind ? listener_find(bind, tls->server_name) : NULL;
	struct counters *counters = client->proxy->counters;

	client_tls_leave_queue(client);
	histogram_add(&counters->tls_handshake, &histogram_connect,
		      loop_now_ns(client->proxy->loop) - tls->begin_ns);
	counter_add(counters, COUNTER_TLS_HANDSHAKES, 1);
	if (tls_is_resumed(session))
		counter_add(counters, COUNTER_TLS_RESUMED, 1);
	tls->is_h2 = span_eq(tls_alpn(session), SPAN("h2"));
	/* A reload has removed the listener or changed its requirements: the client may reconnect. */
	if (!listener || !client_tls_serves(client, listener)) {
		client_close(client, END_CONFIG_REMOVED, false);
		return;
	}
	if (tls->forwards && client_xfcc_make(session, &tls->forwarded) < 0)
		client_close(client, END_INTERNAL, true);
	else if (listener->protocol == PROTOCOL_HTTPS)
		client_begin_http(client, bind, guard_of_connections(&listener->guards));
	else
		client_open_tunnel(client);
}

void client_tls_go_on(struct client *client)
{
	struct proxy *proxy = client->proxy;
	uint64_t turn = loop_turn(proxy->loop);
	int result;

	/* Do not sign for a client that has already reset the connection. */
	if (conn_check(&client->conn) < 0) {
		client_close(client, conn_end_reason(client->conn.error, END_CLIENT_RST), true);
		return;
	}
	/* A signature takes as long as about a hundred requests: serve other clients between two of them. */
	if (proxy->tls_turn != turn) {
		proxy->tls_turn = turn;
		proxy->tls_turn_steps = 0;
	}
	if (proxy->tls_turn_steps >= LIMIT_TLS_TURN_STEPS) {
		loop_again(proxy->loop, &client->again);
		return;
	}
	proxy->tls_turn_steps++;
	result = conn_handshake(&client->conn);
	if (result == 0)
		client_tls_open(client);
	else if (result != -EAGAIN)
		client_tls_fail(client, result);
}

void client_tls_on_timer(struct client *client)
{
	bool is_hello = client->state == CLIENT_READ_HELLO;

	client_close(client, is_hello ? END_CLIENT_HELLO_TIMEOUT : END_TLS_HANDSHAKE_TIMEOUT, false);
}

bool client_tls_serves(const struct client *client, const struct listener *listener)
{
	const struct client_tls *tls = client->tls;
	const struct listener_tls *config = listener->tls;

	if (!client_is_tls(client))
		return true;
	if (!config || !span_eq(tls->listener_key, listener->key))
		return false;
	/*
	 * A certificate header must come from the gateway, and contain the certificate if the listener wants
	 * it.
	 */
	if (config->forwards_client_certificate != tls->forwards)
		return false;
	switch (config->settings.client_auth) {
	case TLS_CLIENT_NOT_ASKED:
	case TLS_CLIENT_UNVERIFIED:
		return true;
	case TLS_CLIENT_OPTIONAL:
	case TLS_CLIENT_REQUIRED:
		break;
	}
	return tls->client_auth == config->settings.client_auth &&
	       tls->trust_hash == client_tls_trust(config);
}

bool client_tls_is_unchanged(const struct client *client)
{
	const struct bind *bind = client->bind->bind;
	const struct client_tls *tls = client->tls;
	const struct listener *listener = bind && tls ? listener_find(bind, tls->server_name) : NULL;

	if (client_is_tls(client))
		return listener && client_tls_serves(client, listener);
	return !listener || !listener->tls;
}
