/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "user/base/span.h"
#include "user/http/h2_flood.h"

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
};

struct h2_watch {
	uint8_t head[10]; /* RFC 9113 4.1, and Pad Length */
	uint8_t head_bytes; /* of it, read so far */
	uint32_t skip; /* bytes until the next frame header */
};

/* `preface`: a client's connection preface comes first. */
void h2_watch_init(struct h2_watch *watch, bool preface);
/*
 * Cuts bytes off *rest up to and with the next frame header. False when *rest was used up without one.
 */
bool h2_watch_next(struct h2_watch *watch, struct span *rest, struct h2_frame *ret_frame);
/*
 * What a received frame counts as, or H2_FLOOD_NONE. WINDOW_UPDATE on the connection always counts here: how
 * many are due is the session's to know. So is what RST_STREAM means.
 */
enum h2_flood_kind h2_frame_flood(const struct h2_frame *frame);
