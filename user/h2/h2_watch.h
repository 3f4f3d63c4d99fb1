/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "user/base/span.h"
#include "user/h2/h2_flood.h"
#include "user/h2/h2_past.h"

/*
 * Reads the frame headers of a connection in parallel to nghttp2, which does not report frames that it
 * ignores: unknown types, DATA of closed streams. It knows lengths and types only; nghttp2 checks the frames.
 */
struct h2_frame {
	uint32_t length; /* of the payload */
	uint8_t type;
	uint8_t flags;
	uint32_t stream_id;
	bool is_empty; /* without payload, apart from padding */
	bool is_own_parent; /* a PRIORITY that makes its stream depend on itself */
};

struct h2_watch {
	uint8_t head[13]; /* RFC 9113 4.1, and Pad Length or the first half of a PRIORITY */
	uint8_t head_bytes; /* number of bytes read into head */
	uint32_t skip; /* bytes until the next frame header */
	uint32_t heads; /* HEADERS frames started */
	bool is_head; /* the bytes skipped belong to a header section, or the preface */
};

/* `preface`: a client's connection preface comes first. */
void h2_watch_init(struct h2_watch *watch, bool preface);
/* Consumes *rest up to and including the next frame header. False if *rest was used up without one. */
bool h2_watch_next(struct h2_watch *watch, struct span *rest, struct h2_frame *ret_frame);
/* True if a frame of a header section, or the preface, has started and is incomplete. */
static inline bool h2_watch_is_in_head(const struct h2_watch *watch)
{
	return watch->is_head && watch->skip;
}
/* What a received frame may be a response to; the session knows whether one was expected. */
enum h2_answer {
	H2_ANSWER_NONE,
	H2_ANSWER_OPENING, /* HEADERS: clients widen the window of a stream as soon as it is open */
	H2_ANSWER_WINDOW, /* WINDOW_UPDATE: to DATA */
	H2_ANSWER_SETTINGS,
	H2_ANSWER_PING,
};
/* Compares a client's frame with its earlier frames for the same streams. */
enum h2_past_verdict h2_frame_past(const struct h2_frame *frame, struct h2_past *past);
enum h2_answer h2_frame_answer(const struct h2_frame *frame);
/*
 * A PRIORITY of the connection (RFC 9113 6.3), or of a stream that depends on itself (RFC 7540 5.3.1):
 * nghttp2 ignores them like any other PRIORITY.
 */
bool h2_frame_is_misplaced(const struct h2_frame *frame);
/* The kind that any other received frame counts as, or H2_FLOOD_NONE. The session classifies RST_STREAM. */
enum h2_flood_kind h2_frame_flood(const struct h2_frame *frame);
