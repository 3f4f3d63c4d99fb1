/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/relay/relay_io.h"

/*
 * The pipe lane: splice(2) from socket to pipe to socket, for plain bodies of known length. The bytes are
 * never seen, only counted, so the decoder's remaining length is the exact budget and the next message stays
 * in the socket. Bytes read before the lane started go through the copy lane first.
 */

/* Updates the decoder, because all other code reads the body's position there. */
static void pipe_note_taken(struct relay *relay, uint64_t bytes)
{
	relay->decoder.left -= bytes;
	relay->decoder.payload_bytes += bytes;
	relay->decoder.is_done = relay->decoder.left == 0;
}

static void pipe_give(struct relay *relay)
{
	if (!pipe_splice_is_open(&relay->pipe))
		return;
	relay->source->pipes--;
	relay->sink->pipes--;
	gauge_sub(relay->shared->counters, COUNTER_PIPES, 1);
	pipe_pool_give(relay->shared->pipes, &relay->pipe);
}

/* Call only with an empty pipe. */
static bool pipe_fall_back(struct relay *relay)
{
	pipe_give(relay);
	relay->lane = &lane_copy;
	return lane_copy_pump(relay);
}

/* Sends bytes queued in user space on either side before any that are in the kernel. */
static bool pipe_is_clear(struct relay *relay)
{
	while (buf_len(&relay->source->in) && !conn_is_blocked(relay->sink) && relay->state == RELAY_OPEN) {
		struct span payload = span_first(buf_span(&relay->source->in), relay->decoder.left);
		int error = relay_send_payload(relay, payload);

		if (error) {
			relay_fail(relay, error == -ENOMEM ? RELAY_FAIL_MEMORY : RELAY_FAIL_SINK);
			return false;
		}
		pipe_note_taken(relay, payload.len);
		buf_consume(&relay->source->in, payload.len);
		relay_account(relay, LANE_COPY, payload.len);
		if (relay->decoder.is_done) {
			relay_source_ended(relay);
			return false;
		}
	}
	if (conn_flush(relay->sink) < 0) {
		relay_fail(relay, RELAY_FAIL_SINK);
		return false;
	}
	buf_release(&relay->source->in);
	return relay->state == RELAY_OPEN && !conn_has_output(relay->sink);
}

/* Moves what the pipe holds. False if the sink takes nothing more, or failed. */
static bool pipe_drain(struct relay *relay)
{
	while (relay->pipe.held_bytes) {
		ssize_t len = conn_splice(relay->sink, &relay->pipe);

		if (len < 0)
			relay_fail(relay, RELAY_FAIL_SINK);
		if (len <= 0)
			return false;
	}
	return true;
}

/*
 * Returns bytes moved, or -EAGAIN if the direction cannot continue now. splice(2) stops before an urgent mark
 * and returns 0 there, as at the end of the stream; recv() gets past the mark.
 */
static ssize_t pipe_fill(struct relay *relay)
{
	struct conn *source = relay->source;
	uint64_t left = relay->decoder.left;
	size_t max = left < LIMIT_PIPE_BYTES ? (size_t)left : LIMIT_PIPE_BYTES;
	ssize_t len = pipe_splice_in(conn_fd(source), &relay->pipe, max);

	if (len > 0) {
		source->received_bytes += (uint64_t)len;
		relay->probe_reads++;
		pipe_note_taken(relay, (uint64_t)len);
		relay_account(relay, LANE_PIPE, (uint64_t)len);
		return len;
	}
	if (len == 0 || (len == -EAGAIN && source->has_urgent))
		return 0;
	if (len == -EAGAIN) {
		source->can_read = false;
	} else if (len != -ENOBUFS) {
		conn_fail(source, (int)len);
		relay_fail(relay, RELAY_FAIL_SOURCE_ERROR);
	}
	return -EAGAIN;
}

static bool lane_pipe_pump(struct relay *relay)
{
	size_t budget = LIMIT_TURN_BYTES * 4;

	if (!pipe_is_clear(relay))
		return false;
	if (!pipe_splice_is_open(&relay->pipe)) {
		/* The opposite direction may have put the sockets into a map since this lane was chosen. */
		if (relay->source->sockmap || relay->sink->sockmap)
			return pipe_fall_back(relay);
		if (pipe_pool_take(relay->shared->pipes, &relay->pipe) < 0)
			return pipe_fall_back(relay);
		relay->source->pipes++;
		relay->sink->pipes++;
		counter_add(relay->shared->counters, COUNTER_PIPES, 1);
	}
	CHECK(!relay->source->sockmap && !relay->sink->sockmap);
	for (;;) {
		ssize_t moved;

		if (!relay->sink->can_write || !pipe_drain(relay))
			return false;
		if (relay->decoder.is_done) {
			pipe_give(relay);
			relay_source_ended(relay);
			return false;
		}
		if (budget == 0)
			return true;
		if (!relay->source->can_read || relay->is_quiesced)
			return false;
		moved = pipe_fill(relay);
		if (moved < 0)
			return false;
		if (moved == 0)
			return pipe_fall_back(relay);
		budget -= (size_t)moved < budget ? (size_t)moved : budget;
	}
}

static void lane_pipe_leave(struct relay *relay)
{
	pipe_give(relay);
}

const struct lane lane_pipe = {
	.id = LANE_PIPE,
	.may_leave = true,
	.pump = lane_pipe_pump,
	.leave = lane_pipe_leave,
};
