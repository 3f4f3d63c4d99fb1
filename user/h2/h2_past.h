/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * The client's latest streams: which it opened, ended, reset. nghttp2 forgets a stream that has ended, and
 * silently ignores frames for it, because they may have been in flight when we reset it. Frames after the
 * client's own end, or for a stream that it skipped, cannot have been (RFC 9113 5.1, 5.1.1).
 */
enum {
	H2_PAST_STREAMS = 256, /* number of streams remembered; older ones are left to nghttp2 */
	H2_PAST_WORDS = H2_PAST_STREAMS / 64,
};

struct h2_past {
	uint32_t top_id; /* the last stream opened */
	bool is_in_section; /* a header section is incomplete: nghttp2 refuses other frames */
	uint64_t opened[H2_PAST_WORDS];
	uint64_t ended[H2_PAST_WORDS];
	uint64_t reset[H2_PAST_WORDS];
};

enum h2_past_verdict {
	H2_PAST_FINE, /* or not known to be wrong */
	H2_PAST_SKIPPED, /* for a skipped stream: connection error PROTOCOL_ERROR */
	H2_PAST_ENDED, /* after END_STREAM: connection error STREAM_CLOSED */
	H2_PAST_RESET, /* after RST_STREAM: stream error STREAM_CLOSED */
};
/* Call for the client's frames in their order; `ends` is END_STREAM. */
enum h2_past_verdict h2_past_headers(struct h2_past *past, uint32_t id, bool ends);
enum h2_past_verdict h2_past_data(struct h2_past *past, uint32_t id, bool ends);
void h2_past_reset(struct h2_past *past, uint32_t id);
