/* SPDX-License-Identifier: Apache-2.0 */
#include "user/h2/h2_watch.h"

enum {
	PREFACE_BYTES = 24, /* RFC 9113 3.4 */
	HEAD_BYTES = 9,
	PARENT_BYTES = 4, /* RFC 7540 6.3: id of another stream, below the top bit */
	FLAG_END_STREAM = 1, /* of DATA and HEADERS */
	FLAG_END_HEADERS = 4, /* of HEADERS and CONTINUATION */
	FLAG_ACK = 1, /* of SETTINGS and PING */
	FLAG_PADDED = 8, /* of DATA */
};

/* RFC 9113 6, RFC 9218 7.1 */
enum frame_type {
	FRAME_DATA = 0,
	FRAME_HEADERS = 1,
	FRAME_PRIORITY = 2,
	FRAME_RST_STREAM = 3,
	FRAME_SETTINGS = 4,
	FRAME_PUSH_PROMISE = 5,
	FRAME_PING = 6,
	FRAME_GOAWAY = 7,
	FRAME_WINDOW_UPDATE = 8,
	FRAME_CONTINUATION = 9,
	FRAME_PRIORITY_UPDATE = 16,
};

void h2_watch_init(struct h2_watch *watch, bool preface)
{
	*watch = (struct h2_watch){ .skip = preface ? PREFACE_BYTES : 0, .is_head = preface };
}

static uint32_t frame_length(const uint8_t *head)
{
	return (uint32_t)head[0] << 16 | (uint32_t)head[1] << 8 | head[2];
}

static uint32_t stream_id(const uint8_t *at)
{
	return ((uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3]) & INT32_MAX;
}

/* More than 9 bytes for the padding length of a DATA frame, and for the parent of a PRIORITY. */
static size_t head_wanted(const struct h2_watch *watch)
{
	if (watch->head_bytes < HEAD_BYTES)
		return HEAD_BYTES;
	if (watch->head[3] == FRAME_DATA && (watch->head[4] & FLAG_PADDED) && frame_length(watch->head) > 0)
		return HEAD_BYTES + 1;
	if (watch->head[3] == FRAME_PRIORITY && frame_length(watch->head) >= PARENT_BYTES)
		return HEAD_BYTES + PARENT_BYTES;
	return HEAD_BYTES;
}

static struct h2_frame frame_of(const uint8_t *head, size_t head_bytes)
{
	struct h2_frame frame = {
		.length = frame_length(head),
		.type = head[3],
		.flags = head[4],
		.stream_id = stream_id(head + 5),
	};

	frame.is_empty = frame.length == 0 || (frame.type == FRAME_DATA && head_bytes > HEAD_BYTES &&
					       frame.length <= 1u + head[HEAD_BYTES]);
	frame.is_own_parent = head_bytes == HEAD_BYTES + PARENT_BYTES && frame.type == FRAME_PRIORITY &&
			      stream_id(head + HEAD_BYTES) == frame.stream_id;
	return frame;
}

bool h2_watch_next(struct h2_watch *watch, struct span *rest, struct h2_frame *ret_frame)
{
	struct span skipped = span_first(*rest, watch->skip);

	*rest = span_from(*rest, skipped.len);
	watch->skip -= (uint32_t)skipped.len;
	while (watch->skip == 0 && rest->len > 0) {
		size_t more = watch->head_bytes || rest->len < HEAD_BYTES ? 1 : HEAD_BYTES;

		memcpy(watch->head + watch->head_bytes, rest->data, more);
		watch->head_bytes += (uint8_t)more;
		*rest = span_from(*rest, more);
		if (watch->head_bytes < head_wanted(watch))
			continue;
		*ret_frame = frame_of(watch->head, watch->head_bytes);
		watch->skip = ret_frame->length - (watch->head_bytes - HEAD_BYTES);
		watch->head_bytes = 0;
		watch->is_head = ret_frame->type == FRAME_HEADERS || ret_frame->type == FRAME_CONTINUATION;
		watch->heads += ret_frame->type == FRAME_HEADERS;
		return true;
	}
	return false;
}

enum h2_answer h2_frame_answer(const struct h2_frame *frame)
{
	switch (frame->type) {
	case FRAME_SETTINGS:
		return frame->flags & FLAG_ACK ? H2_ANSWER_SETTINGS : H2_ANSWER_NONE;
	case FRAME_PING:
		return frame->flags & FLAG_ACK ? H2_ANSWER_PING : H2_ANSWER_NONE;
	case FRAME_WINDOW_UPDATE:
		return H2_ANSWER_WINDOW;
	case FRAME_HEADERS:
		return H2_ANSWER_OPENING;
	}
	return H2_ANSWER_NONE;
}

enum h2_past_verdict h2_frame_past(const struct h2_frame *frame, struct h2_past *past)
{
	bool ends = frame->flags & FLAG_END_STREAM;
	bool ends_section = frame->flags & FLAG_END_HEADERS;

	if (past->is_in_section) {
		past->is_in_section = frame->type != FRAME_CONTINUATION || !ends_section;
		return H2_PAST_FINE;
	}
	past->is_in_section = frame->type == FRAME_HEADERS && !ends_section;
	if (frame->type == FRAME_HEADERS)
		return h2_past_headers(past, frame->stream_id, ends);
	if (frame->type == FRAME_DATA)
		return h2_past_data(past, frame->stream_id, ends);
	if (frame->type == FRAME_RST_STREAM)
		h2_past_reset(past, frame->stream_id);
	return H2_PAST_FINE;
}

bool h2_frame_is_misplaced(const struct h2_frame *frame)
{
	return frame->type == FRAME_PRIORITY && (frame->stream_id == 0 || frame->is_own_parent);
}

enum h2_flood_kind h2_frame_flood(const struct h2_frame *frame)
{
	switch (frame->type) {
	case FRAME_DATA:
		return frame->is_empty && !(frame->flags & FLAG_END_STREAM) ? H2_FLOOD_EMPTY_DATA
									    : H2_FLOOD_NONE;
	case FRAME_PRIORITY:
	case FRAME_PRIORITY_UPDATE:
		return H2_FLOOD_PRIORITY;
	case FRAME_SETTINGS:
		return frame->flags & FLAG_ACK ? H2_FLOOD_NONE : H2_FLOOD_SETTINGS;
	case FRAME_PING:
		return frame->flags & FLAG_ACK ? H2_FLOOD_NONE : H2_FLOOD_PING;
	case FRAME_GOAWAY:
		/* Two are polite. */
		return H2_FLOOD_GLITCH;
	case FRAME_WINDOW_UPDATE:
	case FRAME_HEADERS:
	case FRAME_RST_STREAM:
	case FRAME_PUSH_PROMISE:
	case FRAME_CONTINUATION:
		return H2_FLOOD_NONE;
	}
	/* GREASE (RFC 9113 5.5, 10.5) and extensions that we do not know. */
	return H2_FLOOD_UNKNOWN;
}
