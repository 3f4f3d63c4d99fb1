/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/origin/fault.h"
#include "tests/origin/counter.h"
#include "tests/origin/pattern.h"
#include "tests/origin/reply.h"
#include "tests/origin/worker.h"

#include <string.h>

#define RST_DELAY_MS 50u

static struct text key_of(const struct conn *conn)
{
	struct text key = TEXT("default");

	query_find(conn->exchange.request.query, "key", &key);
	return key;
}

static void key_reply(struct conn *conn, const char *name, struct text key, uint64_t count)
{
	struct buffer *json = &conn->worker->scratch;

	buffer_clear(json);
	buffer_puts(json, "{\"key\": ");
	json_string(json, key);
	buffer_printf(json, ", \"%s\": %llu}\n", name, (unsigned long long)count);
	reply_json(conn, json);
}

struct unstable_state {
	uint64_t attempt;
};

static void unstable_start(struct conn *conn)
{
	struct unstable_state *state = CONN_STATE(conn, struct unstable_state);
	struct text query = conn->exchange.request.query, key = key_of(conn), mode = TEXT("status");
	uint64_t code = query_u64(query, "code", 503);

	query_find(query, "mode", &mode);
	if (code < 200 || code > 999 ||
	    (!text_is(mode, "status") && !text_is(mode, "rst") && !text_is(mode, "close") &&
	     !text_is(mode, "delay"))) {
		reply_line(conn, 400, "mode must be status, rst, close or delay, code from 200 to 999");
		return;
	}
	state->attempt = counter_add(key, 1);
	if (state->attempt > query_u64(query, "fail", 1)) {
		key_reply(conn, "attempt", key, state->attempt);
	} else if (text_is(mode, "status")) {
		struct text retry_after;

		if (!query_find(query, "retry-after", &retry_after)) {
			reply_line(conn, (unsigned)code, "not yet");
			return;
		}
		reply_head(conn, (unsigned)code, NULL, 0);
		reply_field(conn, "Retry-After", retry_after);
		reply_head_end(conn);
		reply_done(conn);
	} else if (text_is(mode, "rst")) {
		conn_end(conn, END_RST, 0);
	} else if (text_is(mode, "close")) {
		conn_end(conn, END_FIN, 0);
	} else {
		conn->exchange.due_ns =
			conn->worker->now_ns + query_seconds_ms(query, "delay", 5000) * NS_PER_MS;
	}
}

static bool unstable_pump(struct conn *conn)
{
	if (conn->worker->now_ns < conn->exchange.due_ns) {
		conn_wake_at(conn, conn->exchange.due_ns);
		return false;
	}
	key_reply(conn, "attempt", key_of(conn), CONN_STATE(conn, struct unstable_state)->attempt);
	return true;
}

static void counter_start(struct conn *conn)
{
	struct text key = key_of(conn);
	uint64_t count = counter_add(key, 0);

	if (query_u64(conn->exchange.request.query, "reset", 0) != 0)
		counter_reset(key);
	key_reply(conn, "count", key, count);
}

static void close_rst_start(struct conn *conn)
{
	conn_end(conn, END_RST, 0);
}

static void close_fin_start(struct conn *conn)
{
	conn_end(conn, END_FIN, 0);
}

static void mid_head_start(struct conn *conn)
{
	reply_head(conn, 200, "text/plain", 100);
	buffer_puts(&conn->out, "X-Unfinished: th");
	conn_end(conn, query_u64(conn->exchange.request.query, "rst", 0) ? END_RST : END_FIN, RST_DELAY_MS);
}

static void mid_body(struct conn *conn, enum conn_ending ending)
{
	struct text query = conn->exchange.request.query;
	uint64_t promised = query_u64(query, "cl", 1000), sent = query_u64(query, "send", 100);

	reply_head(conn, 200, "application/octet-stream", promised);
	reply_head_end(conn);
	conn_send_pattern(conn, 0, sent);
	conn_end(conn, ending, RST_DELAY_MS);
}

static void mid_body_start(struct conn *conn)
{
	mid_body(conn, END_FIN);
}

static void rst_mid_body_start(struct conn *conn)
{
	mid_body(conn, END_RST);
}

/* Sends a complete chunk, then the head of a second one and half of its data. */
static void mid_chunk_start(struct conn *conn)
{
	struct text query = conn->exchange.request.query;
	bool is_clean_cut = query_u64(query, "boundary", 0) != 0;
	size_t size;
	const char *pattern = pattern_at(0, &size);

	reply_head(conn, 200, "application/octet-stream", REPLY_CHUNKED);
	reply_head_end(conn);
	reply_piece(conn, pattern, 256);
	if (!is_clean_cut) {
		buffer_puts(&conn->out, "100\r\n");
		buffer_add(&conn->out, pattern + 256, 128);
	}
	conn_end(conn, query_u64(query, "rst", 0) ? END_RST : END_FIN, RST_DELAY_MS);
}

static void close_after_start(struct conn *conn)
{
	conn->exchange.is_kept = false;
	reply_line(conn, 200, "closing");
}

/* Sends a good response without Connection: close, then closes anyway. */
static void close_silent_start(struct conn *conn)
{
	reply_line(conn, 200, "closing without notice");
	conn_end(conn, query_u64(conn->exchange.request.query, "rst", 0) ? END_RST : END_FIN, RST_DELAY_MS);
}

const struct endpoint fault_endpoints[] = {
	{ .path = "/unstable", .start = unstable_start, .pump = unstable_pump },
	{ .path = "/counter", .start = counter_start },
	{ .path = "/close/rst", .start = close_rst_start },
	{ .path = "/close/fin", .start = close_fin_start },
	{ .path = "/close/mid-head", .start = mid_head_start },
	{ .path = "/close/mid-body", .start = mid_body_start },
	{ .path = "/close/rst-mid-body", .start = rst_mid_body_start },
	{ .path = "/close/mid-chunk", .start = mid_chunk_start },
	{ .path = "/close/after", .start = close_after_start },
	{ .path = "/close/silent", .start = close_silent_start },
	{ .path = NULL },
};
