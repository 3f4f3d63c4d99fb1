/* SPDX-License-Identifier: Apache-2.0 */
#include "user/relay/relay_io.h"

#include <errno.h>

#include "user/base/limits.h"
#include "user/relay/chunk_raw.h"

uint64_t relay_progress(const struct relay *relay)
{
	uint64_t bytes = relay->source ? relay->source->received_bytes : relay->h2_source->received_bytes;

	if (relay->sink)
		bytes += relay->sink->sent_bytes;
	else if (relay->h2_sink)
		bytes += relay->h2_sink->sent_bytes;
	return bytes;
}

void relay_note_progress(struct relay *relay, uint64_t now_ms)
{
	uint64_t progress = relay_progress(relay);

	if (progress == relay->progress_bytes)
		return;
	relay->progress_bytes = progress;
	relay->last_active_ms = now_ms;
}

void relay_fail(struct relay *relay, enum relay_fail fail)
{
	relay->state = RELAY_FAILED;
	relay->fail = fail;
}

void relay_account(struct relay *relay, enum lane_id lane, uint64_t payload_bytes)
{
	struct counters *counters = relay->shared->counters;
	bool is_in = relay->direction == RELAY_IN;

	relay->payload_bytes += payload_bytes;
	relay->lane_bytes[lane] += payload_bytes;
	tally_add(&(is_in ? counters->lane_bytes_in : counters->lane_bytes_out)[lane], payload_bytes);
}

/* ------------------------------------------------------------------------------------ sending */

bool relay_sink_is_empty(const struct relay *relay)
{
	return relay->sink ? !conn_has_output(relay->sink) : relay->h2_sink->is_end_sent;
}

int relay_push(struct relay *relay)
{
	if (relay_is_holding(relay))
		return 0;
	if (relay->sink)
		return conn_flush(relay->sink);
	/* Frames leave at the end of the turn; a stream may be reset after its end was sent. */
	return relay->h2_sink->is_reset && !relay->h2_sink->is_end_sent ? -EPIPE : 0;
}

int relay_send(struct relay *relay, const struct iovec *segments, int count)
{
	if (relay->sink)
		return conn_send(relay->sink, segments, count, LIMIT_RELAY_BYTES * 2);
	return h2_stream_write(relay->h2_sink, segments, count, LIMIT_RELAY_BYTES * 2);
}

void relay_source_ended(struct relay *relay)
{
	/* relay_replay() sends the end. */
	if (relay_is_holding(relay))
		return;
	relay->state = relay_sink_is_empty(relay) ? RELAY_DONE : RELAY_FLUSH;
}

int relay_send_payload(struct relay *relay, struct span payload)
{
	char head[CHUNK_HEAD_BYTES];
	struct iovec segments[3];
	int count = 0;

	if (payload.len == 0)
		return 0;
	if (relay->encoding == ENCODE_CHUNKED)
		segments[count++] = (struct iovec){ head, chunk_write_head(head, payload.len) };
	segments[count++] = (struct iovec){ (void *)(uintptr_t)payload.data, payload.len };
	if (relay->encoding == ENCODE_CHUNKED)
		segments[count++] = (struct iovec){ (void *)(uintptr_t) "\r\n", 2 };
	return relay_send(relay, segments, count);
}

/* ------------------------------------------------------------------------------------ the end */

/* The sink already has the line of the last chunk: leave it out. */
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

/* Called after a body; a message without one has its end in the head. */
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
	enum http_error http_error = HTTP_ERROR_NONE;
	int error;

	if (!relay->h2_sink && relay->encoding != ENCODE_CHUNKED) /* also without a sink */
		return 0;
	arena_init(&arena, 4096);
	fields_init(&trailers, &arena);
	if (relay->decoder.kind == BODY_CHUNKED)
		http_error = body_trailers(&relay->decoder, &arena, &trailers);
	else if (relay->decoder.kind == BODY_FRAMED && relay->h2_source && relay->h2_source->trailers)
		trailers = relay->h2_source->trailers->fields;
	error = http_error ? -EPROTO : relay_end_message(relay, &trailers);
	arena_done(&arena);
	return error ? error : relay_push(relay);
}
