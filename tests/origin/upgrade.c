/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/origin/upgrade.h"
#include "tests/origin/raw.h"
#include "tests/origin/reply.h"
#include "tests/origin/sha1.h"
#include "tests/origin/websocket.h"
#include "tests/origin/worker.h"

#include <string.h>

#define PUSH_MAX 4096u

static void switch_to(struct conn *conn, conn_step_fn *step)
{
	conn->exchange.is_active = false;
	conn->in_floor = 0;
	conn->deadline_ns = 0;
	memset(&conn->exchange.state, 0, sizeof(conn->exchange.state));
	conn->step = step;
}

static void switching_head(struct conn *conn, const char *protocol)
{
	const char *name = conn->worker->options->name;

	reply_status_line(conn, 101);
	if (name)
		reply_field(conn, "x-origin", (struct text){ name, strlen(name) });
	reply_field(conn, "Connection", TEXT("Upgrade"));
	reply_field(conn, "Upgrade", (struct text){ protocol, strlen(protocol) });
}

static void upgrade_required(struct conn *conn, const char *protocol)
{
	reply_head(conn, 426, NULL, 0);
	reply_field(conn, "Upgrade", (struct text){ protocol, strlen(protocol) });
	reply_head_end(conn);
	reply_done(conn);
}

static void protocol_field(struct conn *conn)
{
	struct text list = conn->exchange.request.websocket_protocol;
	const char *comma = list.size ? memchr(list.at, ',', list.size) : NULL;

	if (comma)
		list.size = (size_t)(comma - list.at);
	if (list.size > 0)
		reply_field(conn, "Sec-WebSocket-Protocol", text_trim(list));
}

static void ws_start(struct conn *conn)
{
	const struct request *request = &conn->exchange.request;
	uint64_t push = query_u64(request->query, "push", 0);
	char accept[SHA1_BASE64_BYTES];

	if (!request->wants_upgrade || !text_has_token(request->upgrade, "websocket") ||
	    request->minor == 0) {
		upgrade_required(conn, "websocket");
		return;
	}
	if (!text_is(request->method, "GET") || request->websocket_key.size != 24 ||
	    !text_is(request->websocket_version, "13")) {
		reply_line(conn, 400,
			   "a WebSocket handshake is a GET with version 13 and a key of 24 characters");
		return;
	}
	websocket_accept(request->websocket_key, accept);
	switching_head(conn, "websocket");
	reply_field(conn, "Sec-WebSocket-Accept", (struct text){ accept, SHA1_BASE64_BYTES });
	protocol_field(conn);
	reply_head_end(conn);
	for (uint64_t i = 0; i < push && i < PUSH_MAX; i++)
		websocket_push(conn, i);
	switch_to(conn, websocket_step);
}

static void ws_refuse_start(struct conn *conn)
{
	reply_line(conn, 403, "no upgrade here");
}

static void upgrade_raw_start(struct conn *conn)
{
	const struct request *request = &conn->exchange.request;
	char text[PUSH_MAX];
	struct text push = { "", 0 };

	if (!request->wants_upgrade || !text_has_token(request->upgrade, "echo") || request->minor == 0) {
		upgrade_required(conn, "echo");
		return;
	}
	switching_head(conn, "echo");
	reply_head_end(conn);
	if (query_find(request->query, "push", &push))
		buffer_add(&conn->out, text, text_unescape(push, text, sizeof(text)));
	switch_to(conn, raw_echo_step);
}

const struct endpoint upgrade_endpoints[] = {
	{ .path = "/ws", .start = ws_start },
	{ .path = "/ws-refuse", .start = ws_refuse_start },
	{ .path = "/upgrade-raw", .start = upgrade_raw_start },
	{ .path = NULL },
};
