/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/http/conn.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/net/socket.h"

struct admin_ticket {
	struct admin_conn *conn; /* NULL: the connection has ended, or no longer waits */
};

static struct admin_conn *conn_of(struct http1_server *http)
{
	return container_of(http, struct admin_conn, http);
}

static void conn_drop_ticket(struct admin_conn *conn)
{
	if (conn->ticket)
		conn->ticket->conn = NULL;
	conn->ticket = NULL;
}

/* ---- responses */

void admin_conn_answer(struct admin_conn *conn, struct admin_answer *answer)
{
	struct http1_server *http = &conn->http;
	struct response_head head;
	struct body_framing framing;
	int error = text_error(&answer->body);

	conn_drop_ticket(conn);
	http->keeps &= !answer->close;
	if (!error)
		error = admin_answer_head(answer, &http->head, &http->arena, &head, &framing);
	/* No memory for the response: the client sees the connection end. */
	if (error)
		http1_server_break(http);
	else
		http1_server_send_head(http, &head, &framing, NULL, 0);
	http1_server_end(http, &answer->body);
}

void admin_conn_say(struct admin_conn *conn, uint16_t status, const char *format, ...)
{
	struct admin_answer answer = { .status = status };
	char line[1024];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	text_init(&answer.body);
	if (len > 0)
		text_str(&answer.body, line);
	admin_conn_answer(conn, &answer);
}

struct admin_ticket *admin_ticket_take(struct admin_conn *conn)
{
	struct admin_ticket *ticket = hg_calloc(1, sizeof(*ticket));

	CHECK(!conn->ticket);
	if (ticket)
		ticket->conn = conn;
	conn->ticket = ticket;
	return ticket;
}

struct admin_conn *admin_ticket_redeem(struct admin_ticket *ticket)
{
	struct admin_conn *conn = ticket->conn;

	if (conn)
		conn->ticket = NULL;
	hg_free(ticket);
	return conn;
}

/* ---- requests */

static void conn_refuse_body(struct http1_server *http)
{
	admin_conn_say(conn_of(http), 413, "the body is too large: no endpoint here reads one\n");
}

static void conn_on_head(struct http1_server *http, const struct body_framing *framing)
{
	if (framing->kind == BODY_LENGTH && framing->length > LIMIT_ADMIN_REQUEST_BYTES)
		conn_refuse_body(http);
}

static void conn_on_body(struct http1_server *http, struct span payload)
{
	(void)payload;
	if (http->decoder.payload_bytes > LIMIT_ADMIN_REQUEST_BYTES)
		conn_refuse_body(http);
}

static void conn_on_request(struct http1_server *http)
{
	struct admin_conn *conn = conn_of(http);

	conn->owner->on_request(conn->owner->context, conn, &http->head);
}

static void conn_on_error(struct http1_server *http, uint16_t status, const char *why)
{
	admin_conn_say(conn_of(http), status, "%s\n", why);
}

static void conn_on_closed(struct http1_server *http)
{
	struct admin_conn *conn = conn_of(http);

	conn_drop_ticket(conn);
	conn->owner->on_closed(conn->owner->context, conn);
}

static void conn_on_free(struct http1_server *http)
{
	hg_free(conn_of(http));
}

static const struct http1_server_ops conn_ops = {
	.limits = {
		.line_bytes = LIMIT_REQUEST_LINE_BYTES,
		.head_bytes = LIMIT_ADMIN_REQUEST_BYTES,
		.fields = LIMIT_HEADERS,
	},
	.on_head = conn_on_head,
	.on_body = conn_on_body,
	.on_request = conn_on_request,
	.on_error = conn_on_error,
	.on_closed = conn_on_closed,
	.on_free = conn_on_free,
};

static bool is_loopback(struct address peer)
{
	struct address network;

	address_unmap(&peer);
	return (address_parse_ip(SPAN("127.0.0.0"), 0, &network) == 0 && address_in(&peer, &network, 8)) ||
	       (address_parse_ip(SPAN("::1"), 0, &network) == 0 && address_in(&peer, &network, 128));
}

static void conn_set_peer(struct admin_conn *conn, const struct address *peer)
{
	struct address host = *peer;

	conn->is_unix = address_is_unix(peer);
	conn->is_local = conn->is_unix || is_loopback(*peer);
	if (!conn->is_unix)
		address_set_port(&host, 0);
	conn->peer_hash = address_hash(&host);
}

int admin_conn_start(struct loop *loop, int fd, const struct address *peer, const struct admin_owner *owner,
		     struct admin_conn **ret_conn)
{
	struct admin_conn *conn = hg_calloc(1, sizeof(*conn));
	int error;

	if (!conn) {
		socket_close(fd);
		return -ENOMEM;
	}
	conn->owner = owner;
	conn_set_peer(conn, peer);
	error = http1_server_start(&conn->http, loop, fd, &conn_ops);
	if (error)
		hg_free(conn);
	else
		*ret_conn = conn;
	return error;
}
