/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "user/base/failpoint.h"
#include "user/base/limits.h"
#include "user/net/socket.h"
#include "user/relay/chunk_raw.h"
#include "user/relay/conn_sockmap.h"
#include "user/relay/relay_io.h"

/*
 * The copy lane: one recv() into the worker's scratch memory, decoding there, and one sendmsg() from the same
 * memory. Only what the sink refuses is kept, in sink->out, and the source is not read until that is sent.
 * Streams of HTTP/2 connections are read from and written to their queues in the same way; h2_link.h handles
 * their frames. Without a sink (relay_hold()), what was read is kept only in *relay->replay.
 */
enum { COPY_SEGMENTS = 64 };

struct copy_batch {
	struct iovec segments[COPY_SEGMENTS + 3]; /* chunk head, payload, CRLF, end */
	int count;
	size_t payload_bytes;
	size_t consumed;
	bool is_end;
	bool is_invalid;
};

/*
 * Queued bytes up to this size wait for the payload that follows, so that a head and its body leave in one
 * call.
 */
enum { COPY_JOIN_BYTES = 4096 };
/* After less than this, TCP does not wait for a second segment, nor the sender for its acknowledgement. */
enum { COPY_QUICKACK_BYTES = 16 * 1024 };

static bool copy_sink_is_ready(struct relay *relay)
{
	if (relay_is_holding(relay))
		return !relay_has_held(relay);
	if (relay->h2_sink)
		return h2_stream_can_write(relay->h2_sink);
	if (buf_len(&relay->sink->out) <= COPY_JOIN_BYTES)
		return !conn_is_blocked(relay->sink);
	return conn_flush(relay->sink) == 0 && !conn_has_output(relay->sink);
}

/* Decodes as much of `in` as fits one batch. */
static void copy_decode(struct relay *relay, struct span in, struct copy_batch *batch)
{
	batch->count = 1; /* [0] is the chunk head */
	batch->payload_bytes = 0;
	batch->consumed = 0;
	batch->is_end = false;
	batch->is_invalid = false;
	while (batch->count <= COPY_SEGMENTS) {
		struct span payload;
		size_t consumed = 0;
		enum body_step step =
			body_decode(&relay->decoder, span_from(in, batch->consumed), &consumed, &payload);

		batch->consumed += consumed;
		if (step == BODY_DATA) {
			batch->segments[batch->count++] =
				(struct iovec){ (void *)(uintptr_t)payload.data, payload.len };
			batch->payload_bytes += payload.len;
			continue;
		}
		batch->is_end = step == BODY_END;
		batch->is_invalid = step == BODY_BAD;
		return;
	}
}

static void copy_remember(struct relay *relay, const struct copy_batch *batch)
{
	for (int i = 1; relay->replay && i < batch->count; i++)
		replay_add(relay->replay, span_of(batch->segments[i].iov_base, batch->segments[i].iov_len));
}

static int copy_send(struct relay *relay, struct copy_batch *batch)
{
	char head[CHUNK_HEAD_BYTES];
	int first = 1;
	int error;

	if (batch->payload_bytes == 0)
		return 0;
	if (relay_is_holding(relay)) {
		/* A request counts as it comes, a response as it is sent. */
		if (relay->direction == RELAY_IN)
			relay_account(relay, LANE_COPY, batch->payload_bytes);
		return relay->replay->is_lost ? -ENOMEM : 0;
	}
	if (relay->encoding == ENCODE_CHUNKED) {
		batch->segments[0] = (struct iovec){ head, chunk_write_head(head, batch->payload_bytes) };
		batch->segments[batch->count++] = (struct iovec){ (void *)(uintptr_t) "\r\n", 2 };
		first = 0;
		if (batch->is_end && body_trailer_bytes(&relay->decoder).len == 0)
			batch->segments[batch->count++] =
				(struct iovec){ (void *)(uintptr_t) "0\r\n\r\n", 5 };
	}
	error = relay_send(relay, batch->segments + first, batch->count - first);
	failpoint(COPY_SENT);
	if (!error)
		relay_account(relay, LANE_COPY, batch->payload_bytes);
	return error;
}

/* Sends one batch from `in`. False when the direction has ended or failed; *ret_used is what was consumed. */
static bool copy_step(struct relay *relay, struct span in, size_t *ret_used)
{
	struct copy_batch batch;
	bool end_is_sent;
	int error;

	if (relay->chunk_raw == CHUNK_RAW_INSIDE)
		return chunk_raw_step(relay, in, ret_used);
	copy_decode(relay, in, &batch);
	*ret_used = batch.consumed;
	copy_remember(relay, &batch);
	end_is_sent =
		!relay->h2_sink && batch.payload_bytes != 0 && body_trailer_bytes(&relay->decoder).len == 0;
	error = copy_send(relay, &batch);
	if (!error && batch.is_end && !end_is_sent)
		error = relay_send_end(relay);
	if (error) {
		relay_fail(relay,
			   error == -ENOMEM || error == -ENOBUFS ? RELAY_FAIL_MEMORY : RELAY_FAIL_SINK);
		return false;
	}
	if (batch.is_invalid) {
		relay_fail(relay, RELAY_FAIL_SOURCE_BAD);
		return false;
	}
	if (batch.is_end) {
		relay_source_ended(relay);
		return false;
	}
	return true;
}

/* RFC 9112 9.8: a body that ends with the connection is incomplete without TLS's close_notify. */
static bool copy_is_cut(const struct relay *relay)
{
	return relay->source && relay->source->is_truncated && relay->decoder.kind == BODY_UNTIL_CLOSE;
}

static void copy_end_of_source(struct relay *relay)
{
	if (body_decode_eof(&relay->decoder) < 0 || copy_is_cut(relay))
		relay_fail(relay, RELAY_FAIL_SOURCE_SHORT);
	else if (relay_send_end(relay) < 0)
		relay_fail(relay, RELAY_FAIL_SINK);
	else
		relay_source_ended(relay);
}

static size_t copy_read_bytes(const struct relay *relay)
{
	if (relay_is_holding(relay)) {
		/* Payload is at most what was read. */
		size_t room = relay->replay->wanted_bytes - relay->replay->bytes;

		if (room < REPLAY_STEP_BYTES)
			return REPLAY_STEP_BYTES;
		return room < LIMIT_READ_BYTES ? room : LIMIT_READ_BYTES;
	}
	return relay->h2_sink ? h2_stream_read_bytes(relay->h2_sink, relay->payload_bytes) : LIMIT_READ_BYTES;
}

/* Sends what was received before the relay started. */
static bool copy_from_queue(struct relay *relay)
{
	struct conn *source = relay->source;

	while (buf_len(&source->in) && copy_sink_is_ready(relay)) {
		size_t used = 0;
		struct span in = span_first(buf_span(&source->in), copy_read_bytes(relay));
		bool goes_on = copy_step(relay, in, &used);

		buf_consume(&source->in, used);
		buf_release(&source->in);
		if (!goes_on)
			return false;
	}
	return buf_len(&source->in) == 0;
}

/* Bytes after the end of the message belong to the next one: they wait in source->in. */
static bool copy_from_scratch(struct relay *relay, struct span in)
{
	size_t used = 0;

	while (in.len) {
		bool goes_on = copy_step(relay, in, &used);

		in = span_from(in, used);
		if (!goes_on || !copy_sink_is_ready(relay)) {
			if (in.len && buf_append(&relay->source->in, in, LIMIT_RELAY_BYTES) < 0)
				relay_fail(relay, RELAY_FAIL_MEMORY);
			return goes_on;
		}
	}
	return true;
}

static void copy_fail_stream(struct relay *relay)
{
	const struct h2_stream *source = relay->h2_source;
	bool has_bad_trailers = source->trailers && source->trailers->http_error != HTTP_ERROR_NONE;

	if (source->is_invalid)
		relay->decoder.http_error = HTTP_ERROR_LENGTH_MISMATCH;
	if (source->is_invalid && has_bad_trailers)
		relay->decoder.http_error = source->trailers->http_error;
	relay_fail(relay, source->is_invalid ? RELAY_FAIL_SOURCE_BAD : RELAY_FAIL_SOURCE_ERROR);
}

/* Sends what has arrived on a stream; the end is a flag of the stream, not in the bytes. */
static bool copy_from_stream(struct relay *relay)
{
	struct h2_stream *source = relay->h2_source;

	while (buf_len(&source->in) && copy_sink_is_ready(relay)) {
		struct span in = buf_span(&source->in);
		size_t used = 0;
		bool goes_on;

		if (in.len > copy_read_bytes(relay))
			in.len = copy_read_bytes(relay);
		goes_on = copy_step(relay, in, &used);
		h2_stream_consume(source, used);
		if (!goes_on)
			return false;
	}
	if (buf_len(&source->in))
		return false;
	if (source->is_invalid || (source->is_reset && !source->has_end))
		copy_fail_stream(relay);
	else if (source->has_end)
		copy_end_of_source(relay);
	return false;
}

/* Bytes that the kernel lane has passed up exist only in this process: send them on. */
static bool copy_rest(struct relay *relay)
{
	(void)conn_empty_sockmap(relay->source);
	return buf_len(&relay->source->in) != 0;
}

static bool copy_move(struct relay *relay)
{
	struct conn *source = relay->source;
	uint64_t budget = source->received_bytes + LIMIT_TURN_BYTES;

	if (!copy_from_queue(relay) || !copy_sink_is_ready(relay))
		return false;
	if (relay->is_quiesced)
		return copy_rest(relay);
	while (source->received_bytes < budget) {
		ssize_t len = conn_recv(source, relay->shared->scratch, copy_read_bytes(relay));

		if (len == -EAGAIN)
			return false;
		if (len < 0) {
			relay_fail(relay, RELAY_FAIL_SOURCE_ERROR);
			return false;
		}
		if (len == 0) {
			copy_end_of_source(relay);
			return false;
		}
		failpoint(COPY_READ);
		relay->probe_reads++;
		if (relay_wants_quickack(relay) && len >= COPY_QUICKACK_BYTES)
			socket_acknowledge(conn_fd(source));
		if (!copy_from_scratch(relay, span_of(relay->shared->scratch, (size_t)len)) ||
		    !copy_sink_is_ready(relay))
			return false;
	}
	return source->can_read;
}

int lane_copy_replay(struct relay *relay)
{
	struct replay *replay = relay->replay;
	int error = 0;

	while (relay_is_replaying(relay) && copy_sink_is_ready(relay)) {
		struct span piece = replay_next(replay, copy_read_bytes(relay));

		error = relay_send_payload(relay, piece);
		if (error)
			return error;
		replay_sent(replay, piece.len);
		if (relay->direction == RELAY_OUT)
			relay_account(relay, LANE_COPY, piece.len);
	}
	if (relay_is_replaying(relay))
		return 0;
	if (replay && replay->is_spare) {
		replay_drop(replay);
		relay->replay = NULL;
	}
	if (relay->decoder.is_done)
		error = relay_send_end(relay);
	if (!error && relay->decoder.is_done)
		relay_source_ended(relay);
	return error;
}

/* False: the sink does not take more, or the direction has ended. */
static bool copy_goes_on(struct relay *relay)
{
	int error;

	if (!relay_is_replaying(relay) || relay_is_holding(relay))
		return true;
	error = lane_copy_replay(relay);
	if (error)
		relay_fail(relay,
			   error == -ENOMEM || error == -ENOBUFS ? RELAY_FAIL_MEMORY : RELAY_FAIL_SINK);
	return relay->state == RELAY_OPEN && !relay_is_replaying(relay);
}

bool lane_copy_pump(struct relay *relay)
{
	bool again = copy_goes_on(relay) && copy_sink_is_ready(relay) &&
		     (relay->h2_source ? copy_from_stream(relay) : copy_move(relay));

	if (relay->state != RELAY_OPEN)
		return false;
	if (relay_push(relay) < 0) {
		relay_fail(relay, RELAY_FAIL_SINK);
		return false;
	}
	return again;
}

static void lane_copy_leave(struct relay *relay)
{
	(void)relay;
}

const struct lane lane_copy = {
	.id = LANE_COPY,
	.may_leave = true,
	.pump = lane_copy_pump,
	.leave = lane_copy_leave,
};
