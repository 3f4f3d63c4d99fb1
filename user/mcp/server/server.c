/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/server/server.h"

#include <unistd.h>

#include "policy/guard/mcp_access.h"
#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/mcp/server/server_serve.h"

static struct mcp_server_conn *server_of(struct http1_server *http)
{
	return container_of(http, struct mcp_server_conn, http);
}

/* ------------------------------------------------------------------------------------ end */

static void body_drop(struct mcp_server_conn *server)
{
	server->hub->body_bytes -= server->body.size;
	buf_done(&server->body);
}

static void access_drop(struct mcp_server_conn *server)
{
	mcp_access_unref(server->access);
	server->access = NULL;
	server->is_denied = server->lacks_access = false;
}

static void server_on_free(struct http1_server *http)
{
	access_drop(server_of(http));
	body_drop(server_of(http));
	hg_free(server_of(http));
}

/* The stream closes the connection when its deadline passes; an earlier close comes from the client. */
static enum mcp_gone why_gone(const struct mcp_server_conn *server)
{
	if (server->deadline_ms && loop_now_ms(server->hub->loop) >= server->deadline_ms)
		return MCP_GONE_TIMEOUT;
	return server->sink.is_resumable ? MCP_GONE_RESUMABLE : MCP_GONE_CLIENT;
}

static void server_on_closed(struct http1_server *http)
{
	struct mcp_server_conn *server = server_of(http);
	struct mcp_hub *hub = server->hub;

	server_hold(server, false);
	if (server->sink.session) {
		mcp_session_sink_gone(server->session->mcp_session, &server->sink, why_gone(server),
				      loop_now_ms(hub->loop));
		hub_session_settle(server->session);
	}
	list_remove(&server->node);
	hub_service_leave(hub, server->service);
}

void mcp_server_stop(struct mcp_hub *hub)
{
	list_each(node, next, &hub->server_conns)
		http1_server_close(&list_entry(node, struct mcp_server_conn, node)->http);
}

/* ------------------------------------------------------------------------------------ a request */

static void server_refuse_body(struct mcp_server_conn *server, enum mcp_fault fault)
{
	body_drop(server);
	server_serve_refused(server, fault);
}

static void server_on_head(struct http1_server *http, const struct body_framing *framing)
{
	struct mcp_server_conn *server = server_of(http);

	server->method = server->name = server->why = server->client = (struct span){ 0 };
	server->deadline_ms = 0;
	server->has_stream = server->is_single = server->is_initialize = false;
	server->session = NULL;
	access_drop(server);
	mcp_sink_init(&server->sink, &server_sink_ops);
	if (framing->kind == BODY_LENGTH && framing->length > server->hub->targets.message_bytes)
		server_refuse_body(server, MCP_TOO_LARGE);
}

static void server_on_body(struct http1_server *http, struct span payload)
{
	struct mcp_server_conn *server = server_of(http);
	struct mcp_hub *hub = server->hub;
	size_t before = server->body.size;
	int error = buf_append(&server->body, payload, hub->targets.message_bytes);

	hub->body_bytes += server->body.size - before;
	if (error == 0 && hub->body_bytes >= LIMIT_MCP_BODIES_BYTES)
		error = -ENOMEM;
	if (error)
		server_refuse_body(server, error == -ENOMEM ? MCP_NO_MEMORY : MCP_TOO_LARGE);
}

static void server_on_request(struct http1_server *http)
{
	server_serve(server_of(http));
	/* Requests that wait for a response have references of their own. */
	mcp_access_unref(server_of(http)->access);
	server_of(http)->access = NULL;
	body_drop(server_of(http));
}

/* The session may still use the sink: it reports the end. */
static bool server_on_sent(struct http1_server *http)
{
	server_hold(server_of(http), false);
	return !server_of(http)->sink.session;
}

static const struct http1_server_ops server_ops = {
	/* The stream has checked the limits of the configuration, and its rules may have added fields. */
	.limits = {
		.line_bytes = LIMIT_HEAD_WRITE_BYTES,
		.head_bytes = LIMIT_HEAD_WRITE_BYTES,
		.fields = LIMIT_HEADERS_MAX + LIMIT_HEADERS,
	},
	.is_internal = true,
	.on_head = server_on_head,
	.on_body = server_on_body,
	.on_request = server_on_request,
	.on_sent = server_on_sent,
	.on_closed = server_on_closed,
	.on_free = server_on_free,
};

void mcp_server_open(struct mcp_hub *hub, struct hub_service *service, int fd)
{
	struct mcp_server_conn *server = hg_calloc(1, sizeof(*server));

	if (!server) {
		close(fd);
		return;
	}
	if (http1_server_start(&server->http, hub->loop, fd, &server_ops) < 0) {
		hg_free(server);
		return;
	}
	server->hub = hub;
	server->service = service;
	service->users++;
	mcp_sink_init(&server->sink, &server_sink_ops);
	list_add_tail(&hub->server_conns, &server->node);
}
