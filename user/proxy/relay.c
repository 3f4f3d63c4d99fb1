/* SPDX-License-Identifier: Apache-2.0 */
#include "user/proxy/relay.h"

#include <errno.h>

#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/proxy/chunk_raw.h"

void relay_init(struct relay *relay, struct relay_shared *shared, enum relay_direction direction)
{
	*relay = (struct relay){ .shared = shared, .direction = direction, .state = RELAY_OFF };
	pipe_splice_init(&relay->pipe);
}

static const struct lane *relay_choose(const struct body_framing *framing, enum relay_encoding encoding,
				       bool allow_pipe)
{
	if (allow_pipe && encoding == ENCODE_PLAIN && framing->kind == BODY_LENGTH &&
	    framing->length >= LIMIT_PIPE_MIN_BODY_BYTES)
		return &lane_pipe;
	return &lane_copy;
}

/* splice(2) does not see what a sock map has passed up, so it keeps away from sockets that are in one. */
static bool relay_may_use_pipe(const struct relay *relay)
{
	return relay_is_between_conns(relay) && !gate_socket_is_added(relay->source->gate) &&
	       !gate_socket_is_added(relay->sink->gate);
}

/* What has gone through both ends; only compared with an earlier value. */
static uint64_t relay_progress(const struct relay *relay)
{
	uint64_t bytes = relay->source ? relay->source->received_bytes : relay->h2_source->received_bytes;

	if (relay->sink)
		bytes += relay->sink->sent_bytes;
	else if (relay->h2_sink)
		bytes += relay->h2_sink->sent_bytes;
	return bytes;
}

void relay_start(struct relay *relay, struct relay_end source, struct relay_end sink,
		 const struct body_framing *framing, enum relay_encoding encoding, bool allow_pipe,
		 uint64_t now_ms)
{
	/* Whether its length is as announced was checked below the stream; the trailers come behind it. */
	static const struct body_framing framed = { .kind = BODY_FRAMED };

	CHECK(relay->state == RELAY_OFF);
	relay->source = source.conn;
	relay->h2_source = source.h2;
	relay->sink = sink.conn;
	relay->h2_sink = sink.h2;
	relay->encoding = encoding;
	relay->last_active_ms = now_ms;
	relay->progress_bytes = relay_progress(relay);
	relay->probe_ms = (uint32_t)now_ms;
	body_decoder_init(&relay->decoder, source.h2 && framing->kind != BODY_NONE ? &framed : framing);
	relay->lane = relay_choose(framing, encoding, allow_pipe && relay_may_use_pipe(relay));
	relay->state = RELAY_OPEN;
	/* Without a body there is still the head that waits in the sink. */
	if (framing->kind == BODY_NONE)
		relay_source_ended(relay);
}

void relay_allow_gate(struct relay *relay, bool is_adaptive, uint64_t min_body_bytes, uint32_t credit_bytes)
{
	relay->gate_is_adaptive = is_adaptive;
	relay->gate_credit_bytes = credit_bytes;
	relay->gate_allowed = relay->shared->gate != NULL && relay_is_between_conns(relay) &&
			      (relay->decoder.kind != BODY_LENGTH || relay->decoder.left >= min_body_bytes);
	/* A pipe would take the bytes first. */
	if (relay->gate_allowed && !is_adaptive && relay->decoder.kind == BODY_LENGTH)
		relay->lane = &lane_copy;
}

static void relay_note_progress(struct relay *relay, uint64_t now_ms)
{
	uint64_t progress = relay_progress(relay);

	if (progress == relay->progress_bytes)
		return;
	relay->progress_bytes = progress;
	relay->last_active_ms = now_ms;
}

static void relay_refresh_gate(struct relay *relay)
{
	struct gate_direction_stats stats;
	uint64_t redirected, copied, moved;
	uint64_t active_ms;

	stats = gate_direction_stats(&relay->gate->direction);
	active_ms = stats.last_active_ns / 1000000u;
	if (active_ms > relay->last_active_ms)
		relay->last_active_ms = active_ms;
	moved = stats.redirected_bytes + stats.copied_bytes - relay->gate->moved;
	redirected = stats.redirected_bytes - stats.redirected_framing_bytes;
	copied = stats.copied_bytes - stats.copied_framing_bytes;
	/* The program counts framing first: a look in between sees too little, the next one the rest. */
	if (redirected > relay->gate->redirected && redirected <= stats.redirected_bytes) {
		relay_account(relay, LANE_SOCKMAP, redirected - relay->gate->redirected);
		relay->gate->redirected = redirected;
	}
	if (copied != relay->gate->copied)
		relay_account(relay, LANE_COPY, copied - relay->gate->copied);
	relay->gate->copied = copied;
	relay->source->received_bytes += moved;
	relay->sink->sent_bytes += moved;
	relay->gate->moved += moved;
}

void relay_refresh(struct relay *relay, uint64_t now_ms)
{
	if (relay->h2_sink || relay->h2_source)
		relay_note_progress(relay, now_ms);
	if (relay->lane == &lane_sockmap)
		relay_refresh_gate(relay);
	else if (relay->lane == &lane_near)
		lane_near_refresh(relay);
	else
		return;
	/* The kernel noted when they moved. */
	relay->progress_bytes = relay_progress(relay);
}

bool relay_can_replay(const struct relay *relay)
{
	/* What was taken, not what was sent: a batch that the dead sink refused is gone from the source as
	 * well. */
	return (!relay->was_in_kernel && relay->decoder.payload_bytes == 0 && relay->payload_bytes == 0) ||
	       (relay->replay && !relay->replay_overflow);
}

/* The gauge follows in steps, so that a relay that never waits costs it nothing. */
static void relay_count_buffered(struct relay *relay, size_t now_bytes)
{
	if (now_bytes == relay->counted_bytes)
		return;
	counter_add(relay->shared->counters, COUNTER_RELAY_BUFFERED, now_bytes);
	gauge_sub(relay->shared->counters, COUNTER_RELAY_BUFFERED, relay->counted_bytes);
	relay->counted_bytes = (uint32_t)now_bytes;
}

void relay_detach(struct relay *relay)
{
	if (relay->lane)
		relay->lane->leave(relay);
	relay->lane = NULL;
	relay->sink = NULL;
	relay->h2_sink = NULL;
	relay_count_buffered(relay, 0);
}

int relay_replay(struct relay *relay, struct relay_end sink, enum relay_encoding encoding)
{
	int error;

	CHECK(!relay->sink && !relay->h2_sink);
	relay->lane = &lane_copy;
	relay->sink = sink.conn;
	relay->h2_sink = sink.h2;
	relay->encoding = encoding;
	relay->gate_allowed = false;
	relay->fail = RELAY_FAIL_NONE;
	relay->progress_bytes = relay_progress(relay);
	relay->state = relay->decoder.kind == BODY_NONE ? RELAY_FLUSH : RELAY_OPEN;
	if (relay->state == RELAY_FLUSH)
		return 0;
	error = relay->replay ? relay_send_payload(relay, buf_span(relay->replay)) : 0;
	if (error || !relay->decoder.is_done)
		return error;
	error = relay_send_end(relay);
	if (!error)
		relay_source_ended(relay);
	return error;
}

/* The sink has the line of the last chunk already: the same without it. */
static int relay_send_trailers(struct relay *relay, const struct fields *trailers)
{
	struct buf end;
	int error;

	buf_init(&end);
	error = chunk_write_end(&end, trailers->count ? trailers : NULL, LIMIT_RELAY_BYTES);
	if (!error)
		error = buf_append(&relay->sink->out, span_from(buf_span(&end), SPAN("0\r\n").len),
				   LIMIT_RELAY_BYTES * 2);
	buf_done(&end);
	return error;
}

/* Behind a body; a message without one had its end in the head. */
static int relay_end_stream(struct relay *relay, const struct fields *trailers)
{
	struct h2_head *head = NULL;
	int error;

	if (trailers->count) {
		head = h2_head_from_trailers(trailers);
		if (!head)
			return -ENOMEM;
	}
	error = h2_stream_end(relay->h2_sink, head);
	if (error)
		h2_head_free(head);
	return error;
}

static int relay_end_message(struct relay *relay, const struct fields *trailers)
{
	if (relay->h2_sink)
		return relay_end_stream(relay, trailers);
	if (relay->chunk_raw == CHUNK_RAW_LAST)
		return relay_send_trailers(relay, trailers);
	return chunk_write_end(&relay->sink->out, trailers->count ? trailers : NULL, LIMIT_RELAY_BYTES * 2);
}

int relay_send_end(struct relay *relay)
{
	struct arena arena;
	struct fields trailers;
	enum http_bad bad = BAD_NONE;
	int error;

	if (!relay->h2_sink && relay->encoding != ENCODE_CHUNKED)
		return 0;
	arena_init(&arena, 4096);
	fields_init(&trailers, &arena);
	if (relay->decoder.kind == BODY_CHUNKED)
		bad = body_trailers(&relay->decoder, &arena, &trailers);
	else if (relay->h2_source && relay->h2_source->trailers)
		trailers = relay->h2_source->trailers->fields;
	error = bad ? -EPROTO : relay_end_message(relay, &trailers);
	arena_done(&arena);
	return error ? error : relay_push(relay);
}

void relay_stop(struct relay *relay)
{
	relay_detach(relay);
	body_decoder_done(&relay->decoder);
	hg_free(relay->gate);
	relay->gate = NULL;
	if (!relay_is_finished(relay))
		relay->state = RELAY_OFF;
}

void relay_fail(struct relay *relay, enum relay_fail fail)
{
	relay->state = RELAY_FAILED;
	relay->fail = fail;
}

int relay_source_error(const struct relay *relay)
{
	return relay->source ? relay->source->error : -ECONNRESET;
}

int relay_sink_error(const struct relay *relay)
{
	return relay->sink ? relay->sink->send_error : -ECONNRESET;
}

size_t relay_buffered(const struct relay *relay)
{
	size_t bytes = relay->pipe.held_bytes;

	if (!relay->sink && !relay->h2_sink)
		return 0;
	bytes += buf_len(relay->sink ? &relay->sink->out : &relay->h2_sink->out);
	if (relay->state == RELAY_OPEN)
		bytes += buf_len(relay->source ? &relay->source->in : &relay->h2_source->in);
	return bytes;
}

void relay_account(struct relay *relay, enum lane_id lane, uint64_t payload_bytes)
{
	atomic_uint_fast64_t *total = &relay->shared->lane_bytes[relay->direction][lane];

	relay->payload_bytes += payload_bytes;
	relay->lane_bytes[lane] += payload_bytes;
	atomic_store_explicit(total, atomic_load_explicit(total, memory_order_relaxed) + payload_bytes,
			      memory_order_relaxed);
	switch (lane) {
	case LANE_COPY:
		counter_add(relay->shared->counters, COUNTER_SPLICED_COPY, payload_bytes);
		break;
	case LANE_PIPE:
		counter_add(relay->shared->counters, COUNTER_SPLICED_PIPE, payload_bytes);
		break;
	case LANE_SOCKMAP:
		counter_add(relay->shared->counters, COUNTER_SPLICED_SOCKMAP, payload_bytes);
		break;
	case LANE_NEAR:
		counter_add(relay->shared->counters, COUNTER_SPLICED_NEAR, payload_bytes);
		break;
	case LANE_DIRECT:
		counter_add(relay->shared->counters, COUNTER_SPLICED_DIRECT, payload_bytes);
		break;
	case LANE_COUNT:
		break;
	}
}

bool relay_sink_is_empty(const struct relay *relay)
{
	return relay->sink ? !conn_has_output(relay->sink) : relay->h2_sink->is_end_sent;
}

int relay_push(struct relay *relay)
{
	if (relay->sink)
		return conn_flush(relay->sink);
	/* Frames leave at the end of the turn; the end of a stream may have been followed by its reset. */
	return relay->h2_sink->is_reset && !relay->h2_sink->is_end_sent ? -EPIPE : 0;
}

int relay_send(struct relay *relay, const struct iovec *pieces, int count)
{
	if (relay->sink)
		return conn_send(relay->sink, pieces, count, LIMIT_RELAY_BYTES * 2);
	return h2_stream_write(relay->h2_sink, pieces, count, LIMIT_RELAY_BYTES * 2);
}

void relay_source_ended(struct relay *relay)
{
	relay->state = relay_sink_is_empty(relay) ? RELAY_DONE : RELAY_FLUSH;
}

static void relay_flush(struct relay *relay)
{
	if (relay_push(relay) < 0)
		relay_fail(relay, RELAY_FAIL_SINK);
	else if (relay_sink_is_empty(relay))
		relay->state = RELAY_DONE;
}

bool relay_pump(struct relay *relay, uint64_t now_ms)
{
	bool again = false;

	if (relay->state == RELAY_OFF)
		return false;
	if (relay->state == RELAY_OPEN)
		again = relay->lane->pump(relay);
	if (relay->state == RELAY_OPEN && relay->near_looks)
		lane_near_enter(relay);
	if (relay->state == RELAY_OPEN && relay->gate_allowed && relay->lane != &lane_sockmap &&
	    relay->lane != &lane_near && !relay->near_looks && lane_sockmap_enter(relay))
		again = relay->lane->pump(relay);
	if (relay->state == RELAY_FLUSH)
		relay_flush(relay);
	if (relay->lane == &lane_near)
		lane_near_settle(relay);
	if (relay->sink || relay->h2_sink)
		relay_note_progress(relay, now_ms);
	relay_count_buffered(relay, relay_buffered(relay));
	return again;
}

int relay_send_payload(struct relay *relay, struct span payload)
{
	char head[CHUNK_HEAD_BYTES];
	struct iovec pieces[3];
	int count = 0;

	if (payload.len == 0)
		return 0;
	if (relay->encoding == ENCODE_CHUNKED)
		pieces[count++] = (struct iovec){ head, chunk_write_head(head, payload.len) };
	pieces[count++] = (struct iovec){ (void *)(uintptr_t)payload.data, payload.len };
	if (relay->encoding == ENCODE_CHUNKED)
		pieces[count++] = (struct iovec){ (void *)(uintptr_t)"\r\n", 2 };
	return relay_send(relay, pieces, count);
}
