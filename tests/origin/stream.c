/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/origin/stream.h"
#include "tests/origin/pattern.h"
#include "tests/origin/reply.h"
#include "tests/origin/worker.h"

#include <stdio.h>
#include <string.h>

#define BYTES_MAX (1ull << 40)
#define CHUNK_MAX (1ull << 20)
#define OCTET_STREAM "application/octet-stream"

static void bytes_start(struct conn *conn)
{
	uint64_t size, offset = 0;

	if (!endpoint_number(conn, BYTES_MAX, &size))
		return;
	if (conn->exchange.request.query.size > 0)
		offset = query_u64(conn->exchange.request.query, "offset", 0);
	reply_head(conn, 200, OCTET_STREAM, size);
	reply_head_end(conn);
	if (reply_has_body(conn, 200))
		conn_send_pattern(conn, offset, size);
	reply_done(conn);
}

static void close_delimited_start(struct conn *conn)
{
	uint64_t size;

	if (!endpoint_number(conn, BYTES_MAX, &size))
		return;
	reply_head(conn, 200, OCTET_STREAM, REPLY_UNTIL_CLOSE);
	reply_head_end(conn);
	if (reply_has_body(conn, 200))
		conn_send_pattern(conn, 0, size);
	reply_done(conn);
}

struct chunks_state {
	uint64_t left;
	uint64_t offset;
	uint64_t chunk;
	uint32_t crc;
	bool has_trailer;
};

static void chunks_start(struct conn *conn)
{
	struct chunks_state *state = CONN_STATE(conn, struct chunks_state);
	struct text query = conn->exchange.request.query;

	if (!endpoint_number(conn, BYTES_MAX, &state->left))
		return;
	state->chunk = query_u64(query, "chunk", 16384);
	state->has_trailer = query_u64(query, "trailer", 0) != 0;
	if (state->chunk == 0 || state->chunk > CHUNK_MAX) {
		reply_line(conn, 400, "chunk must be from 1 to 1048576");
		return;
	}
	reply_head(conn, 200, OCTET_STREAM, REPLY_CHUNKED);
	if (state->has_trailer && conn->exchange.request.minor == 1)
		reply_field(conn, "Trailer", TEXT("X-Length, X-Crc32"));
	reply_head_end(conn);
	if (!reply_has_body(conn, 200))
		reply_done(conn);
}

static bool chunks_pump(struct conn *conn)
{
	struct chunks_state *state = CONN_STATE(conn, struct chunks_state);
	char trailer[96] = "";
	bool has_moved = false;

	while (state->left > 0 && conn_out_has_capacity(conn)) {
		uint64_t chunk = state->chunk < state->left ? state->chunk : state->left;
		uint64_t left = chunk;

		if (conn->exchange.is_chunked)
			buffer_printf(&conn->out, "%llx\r\n", (unsigned long long)chunk);
		while (left > 0) {
			size_t piece;
			const char *bytes = pattern_at(state->offset, &piece);

			if (piece > left)
				piece = (size_t)left;
			buffer_add(&conn->out, bytes, piece);
			if (state->has_trailer)
				state->crc = crc32_add(state->crc, bytes, piece);
			state->offset += piece;
			left -= piece;
		}
		if (conn->exchange.is_chunked)
			buffer_add(&conn->out, "\r\n", 2);
		state->left -= chunk;
		has_moved = true;
	}
	if (state->left > 0)
		return has_moved;
	if (state->has_trailer)
		snprintf(trailer, sizeof(trailer), "X-Length: %llu\r\nX-Crc32: %08x\r\n",
			 (unsigned long long)state->offset, state->crc);
	reply_end(conn, (struct text){ trailer, strlen(trailer) });
	return true;
}

struct drip_state {
	uint64_t total;
	uint64_t done;
	uint64_t start_ns;
	uint64_t duration_ns;
	uint64_t status;
	bool has_head;
};

static void drip_start(struct conn *conn)
{
	struct drip_state *state = CONN_STATE(conn, struct drip_state);
	struct text query = conn->exchange.request.query;

	state->total = query_u64(query, "numbytes", 10);
	state->duration_ns = query_seconds_ms(query, "duration", 2000) * NS_PER_MS;
	state->status = query_u64(query, "code", 200);
	state->start_ns = conn->worker->now_ns + query_seconds_ms(query, "delay", 0) * NS_PER_MS;
	if (state->total > 100000000 || state->status < 200 || state->status > 999)
		reply_line(conn, 400, "numbytes must be at most 100000000, code from 200 to 999");
}

static bool drip_pump(struct conn *conn)
{
	struct drip_state *state = CONN_STATE(conn, struct drip_state);
	uint64_t now_ns = conn->worker->now_ns, due;

	if (now_ns < state->start_ns) {
		conn_wake_at(conn, state->start_ns);
		return false;
	}
	if (!state->has_head) {
		state->has_head = true;
		reply_head(conn, (unsigned)state->status, OCTET_STREAM,
			   state->status == 204 || state->status == 304 ? REPLY_NO_LENGTH : state->total);
		reply_head_end(conn);
		if (!reply_has_body(conn, (unsigned)state->status)) {
			reply_done(conn);
			return true;
		}
	}
	if (!conn_out_has_capacity(conn))
		return false;
	/* Byte i is due at i/total of the duration, the first one with the head. */
	due = state->total;
	if (state->duration_ns > 0 && now_ns - state->start_ns < state->duration_ns && state->total > 0)
		due = (uint64_t)((unsigned __int128)state->total * (now_ns - state->start_ns) /
				 state->duration_ns) +
		      1;
	due = due < state->total ? due : state->total;
	if (due > state->done + CONN_OUT_HIGH)
		due = state->done + CONN_OUT_HIGH;
	if (due > state->done && buffer_reserve(&conn->out, due - state->done)) {
		memset(conn->out.data + conn->out.end, '*', due - state->done);
		conn->out.end += due - state->done;
		state->done = due;
	}
	if (state->done == state->total) {
		reply_done(conn);
		return true;
	}
	due = (uint64_t)((unsigned __int128)state->duration_ns * state->done / state->total);
	conn_wake_at(conn, state->start_ns + due + 1);
	return false;
}

struct sse_state {
	uint64_t count; /* 0: endless */
	uint64_t done;
	uint64_t interval_ns;
	uint64_t next_ns;
	uint64_t pad;
};

static void sse_start(struct conn *conn)
{
	struct sse_state *state = CONN_STATE(conn, struct sse_state);
	struct text query = conn->exchange.request.query;
	bool is_open_ended = query_u64(query, "close", 0) != 0;

	state->count = query_u64(query, "n", 10);
	state->interval_ns = query_u64(query, "interval", 100) * NS_PER_MS;
	state->pad = query_u64(query, "pad", 0);
	state->next_ns = conn->worker->now_ns;
	if (state->pad > CHUNK_MAX) {
		reply_line(conn, 400, "pad must be at most 1048576");
		return;
	}
	reply_head(conn, 200, "text/event-stream", is_open_ended ? REPLY_UNTIL_CLOSE : REPLY_CHUNKED);
	reply_field(conn, "Cache-Control", TEXT("no-cache"));
	reply_head_end(conn);
	if (!reply_has_body(conn, 200))
		reply_done(conn);
}

static bool sse_pump(struct conn *conn)
{
	struct sse_state *state = CONN_STATE(conn, struct sse_state);
	struct buffer *scratch = &conn->worker->scratch;
	bool has_moved = false;

	while (state->next_ns <= conn->worker->now_ns && conn_out_has_capacity(conn)) {
		buffer_clear(scratch);
		buffer_printf(scratch, "data: %llu", (unsigned long long)state->done);
		if (state->pad > 0 && buffer_reserve(scratch, state->pad + 1)) {
			scratch->data[scratch->end] = ' ';
			memset(scratch->data + scratch->end + 1, 'x', state->pad);
			scratch->end += state->pad + 1;
		}
		buffer_puts(scratch, "\n\n");
		reply_piece(conn, scratch->data, scratch->end);
		state->next_ns += state->interval_ns;
		state->done++;
		has_moved = true;
		if (state->count > 0 && state->done >= state->count) {
			reply_end(conn, (struct text){ "", 0 });
			return true;
		}
	}
	if (state->next_ns > conn->worker->now_ns)
		conn_wake_at(conn, state->next_ns);
	return has_moved;
}

static void delay_start(struct conn *conn)
{
	uint64_t ms, code = query_u64(conn->exchange.request.query, "code", 200);

	if (!text_seconds_ms(endpoint_argument(conn), &ms)) {
		reply_line(conn, 404, "the path needs a number of seconds here");
		return;
	}
	if (code < 200 || code > 999) {
		reply_line(conn, 400, "code must be from 200 to 999");
		return;
	}
	conn->exchange.due_ns = conn->worker->now_ns + ms * NS_PER_MS;
}

static bool delay_pump(struct conn *conn)
{
	struct text query = conn->exchange.request.query;
	uint64_t size = query_u64(query, "body", 0);
	unsigned code = (unsigned)query_u64(query, "code", 200);

	if (conn->worker->now_ns < conn->exchange.due_ns) {
		conn_wake_at(conn, conn->exchange.due_ns);
		return false;
	}
	reply_head(conn, code, OCTET_STREAM, code == 204 || code == 304 ? REPLY_NO_LENGTH : size);
	reply_head_end(conn);
	if (reply_has_body(conn, code))
		conn_send_pattern(conn, 0, size);
	reply_done(conn);
	return true;
}

struct informational_state {
	uint64_t code;
	uint64_t left;
	uint64_t gap_ns;
};

static void informational_start(struct conn *conn)
{
	struct informational_state *state = CONN_STATE(conn, struct informational_state);
	struct text query = conn->exchange.request.query;

	state->code = query_u64(query, "code", 103);
	state->left = query_u64(query, "n", 1);
	state->gap_ns = query_u64(query, "gap", 0) * NS_PER_MS;
	conn->exchange.due_ns = conn->worker->now_ns;
	if (state->code < 100 || state->code > 199 || state->code == 101)
		reply_line(conn, 400, "code must be from 100 to 199 and not 101");
}

static bool informational_pump(struct conn *conn)
{
	struct informational_state *state = CONN_STATE(conn, struct informational_state);
	bool has_moved = false;

	while (conn->worker->now_ns >= conn->exchange.due_ns && conn_out_has_capacity(conn)) {
		has_moved = true;
		if (state->left == 0) {
			reply_line(conn, 200, "final");
			return true;
		}
		reply_status_line(conn, (unsigned)state->code);
		if (state->code == 103)
			reply_field(conn, "Link", TEXT("</style.css>; rel=preload; as=style"));
		reply_head_end(conn);
		state->left--;
		conn->exchange.due_ns += state->gap_ns;
	}
	if (conn->worker->now_ns < conn->exchange.due_ns)
		conn_wake_at(conn, conn->exchange.due_ns);
	return has_moved;
}

const struct endpoint stream_endpoints[] = {
	{ .path = "/bytes/", .is_prefix = true, .start = bytes_start },
	{ .path = "/stream-bytes/", .is_prefix = true, .start = chunks_start, .pump = chunks_pump },
	{ .path = "/close-delimited/", .is_prefix = true, .start = close_delimited_start },
	{ .path = "/drip", .start = drip_start, .pump = drip_pump },
	{ .path = "/sse", .start = sse_start, .pump = sse_pump },
	{ .path = "/delay/", .is_prefix = true, .start = delay_start, .pump = delay_pump },
	{ .path = "/informational", .start = informational_start, .pump = informational_pump },
	{ .path = NULL },
};
