/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "user/base/span.h"
#include "user/h2/h2_flood.h"
#include "user/h2/h2_past.h"

/*
 * Reads the frame headers of a connection beside nghttp2, which tells nobody of frames it ignores: unknown
 * types, DATA of streams that are gone. Knows lengths and types, judges nothing: what is wrong with a frame
 * is for nghttp2 to say.
 */
struct h2_frame {
	uint32_t length; /* of the payload */
	uint8_t type;
	uint8_t flags;
	uint32_t stream_id;
	bool is_empty; /* without payload, padding aside */
	bool is_own_parent; /* a PRIORITY that makes its stream depend on itself */
};

struct h2_watch {
	uint8_t head[13]; /* RFC 9113 4.1, and Pad Length or the first half of a PRIORITY */
	uint8_t head_bytes; /* of it, read so far */
	uint32_t skip; /* bytes until the next frame header */
	uint32_t heads; /* HEADERS frames begun */
	bool is_head; /* what is skipped is of a header section, or the preface */
};

/* `preface`: a client's connection preface comes first. */
void h2_watch_init(struct h2_watch *watch, bool preface);
/* Cuts bytes off *rest up to and with the next frame header. False when *rest was used up without one. */
bool h2_watch_next(struct h2_watch *watch, struct span *rest, struct h2_frame *ret_frame);
/* A frame of a header section has begun and is not complete, or the preface. */
static inline bool h2_watch_is_in_head(const struct h2_watch *watch)
{
	return watch->is_head && watch->skip;
}
/* What a received frame has to do with others; whether it was due is the session's to know. */
enum h2_answer {
	H2_ANSWER_NONE,
	H2_ANSWER_OPENING, /* HEADERS: clients widen the window of a stream as soon as it is open */
	H2_ANSWER_WINDOW, /* WINDOW_UPDATE: to DATA */
	H2_ANSWER_SETTINGS,
	H2_ANSWER_PING,
};
/* What a client's frame says of its streams, against what it said before. */
enum h2_past_verdict h2_frame_past(const struct h2_frame *frame, struct h2_past *past);
enum h2_answer h2_frame_answer(const struct h2_frame *frame);
/*
 * A PRIORITY of the connection (RFC 9113 6.3), or of a stream that depends on itself (RFC 7540 5.3.1):
 * nghttp2 passes over them like over any other PRIORITY.
 */
bool h2_frame_is_misplaced(const struct h2_frame *frame);
/*
 * What any other received frame counts as, or H2_FLOOD_NONE. What RST_STREAM means is the session's to know.
 */
enum h2_flood_kind h2_frame_flood(const struct h2_frame *frame);
