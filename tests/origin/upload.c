/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/origin/upload.h"
#include "tests/origin/pattern.h"
#include "tests/origin/raw.h"
#include "tests/origin/reply.h"
#include "tests/origin/worker.h"

#include <sys/socket.h>

#define RATE_TICK_MS 10u
#define RATE_BUFFER 65536
#define OCTET_STREAM "application/octet-stream"

static void echo_start(struct conn *conn)
{
	const struct request *request = &conn->exchange.request;
	bool is_chunked = request->framing == FRAMING_CHUNKED;

	reply_head(conn, 200, OCTET_STREAM, is_chunked ? REPLY_CHUNKED : request->length);
	reply_head_end(conn);
}

static size_t echo_body(struct conn *conn, struct text data)
{
	if (!conn_out_has_capacity(conn))
		return 0;
	if (reply_has_body(conn, 200))
		reply_piece(conn, data.at, data.size);
	return data.size;
}

static void echo_body_end(struct conn *conn)
{
	reply_end(conn, body_trailer(&conn->exchange.body));
}

struct upload_state {
	uint64_t start_ns;
	uint64_t rate;
	uint64_t fnv;
	uint32_t crc;
	bool is_started;
	bool is_pattern_bad;
	bool has_sum;
	bool has_fnv;
};

static void upload_begin(struct conn *conn, struct upload_state *state)
{
	struct text query = conn->exchange.request.query;
	int size = RATE_BUFFER;

	state->is_started = true;
	state->start_ns = conn->worker->now_ns;
	state->rate = query_u64(query, "rate", 0);
	state->has_sum = query_u64(query, "sum", 1) != 0;
	state->has_fnv = query_u64(query, "fnv", 0) != 0;
	state->fnv = FNV_START;
	/* With megabytes of kernel buffer a slow reader would cause no back-pressure for long. */
	if (state->rate > 0)
		setsockopt(conn->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
}

static size_t upload_body(struct conn *conn, struct text data)
{
	struct upload_state *state = CONN_STATE(conn, struct upload_state);
	uint64_t length = conn->exchange.body.length, allowed;

	if (!state->is_started)
		upload_begin(conn, state);
	allowed = raw_rate_allows(state->rate, state->start_ns, length, conn->worker->now_ns);
	if (allowed < data.size)
		data.size = (size_t)allowed;
	if (data.size == 0)
		conn_wake_at(conn, conn->worker->now_ns + (uint64_t)RATE_TICK_MS * NS_PER_MS);
	if (state->has_sum) {
		state->crc = crc32_add(state->crc, data.at, data.size);
		state->is_pattern_bad |= !pattern_matches(length, data.at, data.size);
	}
	if (state->has_fnv)
		state->fnv = fnv_add(state->fnv, data.at, data.size);
	return data.size;
}

static void upload_start(struct conn *conn)
{
	struct upload_state *state = CONN_STATE(conn, struct upload_state);
	struct buffer *json = &conn->worker->scratch;
	const struct body *body = &conn->exchange.body;

	if (!state->is_started)
		upload_begin(conn, state);
	buffer_clear(json);
	buffer_printf(json, "{\"length\": %llu", (unsigned long long)body->length);
	if (state->has_sum)
		buffer_printf(json, ", \"crc32\": \"%08x\", \"is_pattern\": %s", state->crc,
			      state->is_pattern_bad ? "false" : "true");
	if (state->has_fnv)
		buffer_printf(json, ", \"fnv1a64\": \"%016llx\"", (unsigned long long)state->fnv);
	buffer_printf(
		json,
		", \"chunks\": %llu, \"chunk_extensions\": %llu, \"connection\": %llu, \"request\": %llu}\n",
		(unsigned long long)body->chunks, (unsigned long long)body->extensions,
		(unsigned long long)conn->serial, (unsigned long long)conn->exchange.serial);
	reply_json(conn, json);
}

static void early_start(struct conn *conn)
{
	struct text argument = endpoint_argument(conn), how;
	uint64_t status;
	bool is_hard;

	if (argument.size != 3 || !text_u64(argument, &status) || status < 200) {
		reply_line(conn, 404, "the path needs a status from 200 to 999 here");
		return;
	}
	if (!query_find(conn->exchange.request.query, "close", &how)) {
		reply_line(conn, (unsigned)status, "early answer");
		return;
	}
	is_hard = text_is(how, "hard");
	conn->exchange.is_kept = false;
	reply_line(conn, (unsigned)status, "early answer");
	conn_end(conn, is_hard ? END_FIN : END_GRACEFUL, 0);
}

static void expect_reject_start(struct conn *conn)
{
	bool is_kept = query_u64(conn->exchange.request.query, "keep", 0) != 0;

	if (!is_kept)
		conn->exchange.is_kept = false;
	reply_line(conn, 417, "this body is not wanted");
	if (!is_kept)
		conn_end(conn, END_GRACEFUL, 0);
}

const struct endpoint upload_endpoints[] = {
	{ .path = "/echo",
	  .is_early = true,
	  .start = echo_start,
	  .body = echo_body,
	  .body_end = echo_body_end },
	{ .path = "/upload", .start = upload_start, .body = upload_body },
	{ .path = "/early/", .is_prefix = true, .is_early = true, .is_silent = true, .start = early_start },
	{ .path = "/expect-reject", .is_early = true, .is_silent = true, .start = expect_reject_start },
	{ .path = NULL },
};
