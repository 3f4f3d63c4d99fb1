/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/origin/raw.h"
#include "tests/origin/pattern.h"
#include "tests/origin/worker.h"

#include <stdio.h>
#include <sys/socket.h>

#define RATE_TICK_MS 10u

struct sink_state {
	uint64_t start_ns;
	uint64_t length;
	uint64_t pattern_bad_at;
	uint32_t crc;
	bool is_pattern_bad;
};

uint64_t raw_rate_allows(uint64_t rate, uint64_t start_ns, uint64_t taken, uint64_t now_ns)
{
	uint64_t allowed;

	if (rate == 0)
		return UINT64_MAX;
	allowed = (uint64_t)((unsigned __int128)rate * (now_ns - start_ns) / 1000000000u);
	return allowed > taken ? allowed - taken : 0;
}

bool raw_echo_step(struct conn *conn)
{
	struct text input = conn_input(conn);

	if (input.size == 0) {
		if (!conn->in_eof || !conn_out_is_empty(conn))
			return false;
		conn_end(conn, END_GRACEFUL, 0);
		return true;
	}
	if (!conn_out_has_capacity(conn))
		return false;
	if (conn_out_is_empty(conn)) {
		struct buffer in = conn->in;

		conn->in = conn->out;
		conn->out = in;
		buffer_clear(&conn->in);
		if (conn->in.cap < CONN_IN_BYTES && !buffer_reserve(&conn->in, CONN_IN_BYTES))
			conn_close(conn);
		return true;
	}
	buffer_add_text(&conn->out, input);
	conn_take(conn, input.size);
	return true;
}

static bool source_step(struct conn *conn)
{
	conn->in.start = conn->in.end = 0;
	if (conn->pattern_left > 0)
		return false;
	conn_end(conn, END_GRACEFUL, 0);
	return true;
}

static bool sink_step(struct conn *conn)
{
	struct sink_state *state = CONN_STATE(conn, struct sink_state);
	struct text input = conn_input(conn);
	uint64_t allowed = raw_rate_allows(conn->worker->options->rate_bytes_per_s, state->start_ns,
					   state->length, conn->worker->now_ns);

	if (input.size > 0 && allowed == 0) {
		conn_wake_at(conn, conn->worker->now_ns + (uint64_t)RATE_TICK_MS * NS_PER_MS);
		return false;
	}
	if (input.size > allowed)
		input.size = (size_t)allowed;
	if (input.size > 0) {
		state->crc = crc32_add(state->crc, input.at, input.size);
		state->is_pattern_bad |= !pattern_matches(state->length, input.at, input.size);
		state->length += input.size;
		conn_take(conn, input.size);
		return true;
	}
	if (!conn->in_eof)
		return false;
	buffer_printf(&conn->out, "bytes=%llu crc32=%08x pattern=%s\n", (unsigned long long)state->length,
		      state->crc, state->is_pattern_bad ? "bad" : "ok");
	conn_end(conn, END_GRACEFUL, 0);
	return true;
}

/* Reads so many bytes, then closes; if a byte is unread, the kernel sends RST instead of FIN. */
static bool limit_step(struct conn *conn)
{
	struct sink_state *state = CONN_STATE(conn, struct sink_state);
	const struct options *options = conn->worker->options;
	struct text input = conn_input(conn);
	uint64_t allowed = raw_rate_allows(options->rate_bytes_per_s, state->start_ns, state->length,
					   conn->worker->now_ns);

	if (input.size > 0 && allowed == 0)
		conn_wake_at(conn, conn->worker->now_ns + (uint64_t)RATE_TICK_MS * NS_PER_MS);
	if (input.size > allowed)
		input.size = (size_t)allowed;
	state->length += input.size;
	conn_take(conn, input.size);
	if (state->length >= options->mode_bytes || (conn->in_eof && buffer_size(&conn->in) == 0)) {
		if (options->mode == MODE_TCP_RESET)
			conn_reset(conn);
		else
			conn_close(conn);
	}
	return input.size > 0;
}

bool raw_mode_step(struct conn *conn)
{
	CONN_STATE(conn, struct sink_state)->start_ns = conn->worker->now_ns;
	switch (conn->worker->options->mode) {
	case MODE_TCP_SOURCE:
		conn_send_pattern(conn, 0, conn->worker->options->mode_bytes);
		conn->step = source_step;
		return true;
	case MODE_TCP_SINK:
		conn->step = sink_step;
		return true;
	case MODE_TCP_DISCARD:
	case MODE_TCP_RESET:
		conn->step = limit_step;
		return true;
	case MODE_HTTP:
	case MODE_TCP_ECHO:
		break;
	}
	conn->step = raw_echo_step;
	return true;
}
