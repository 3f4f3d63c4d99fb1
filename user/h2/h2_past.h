/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * What a client has said of its latest streams: which it opened, ended, reset. nghttp2 forgets a stream that
 * is over, and passes in silence over frames that come for it, since they may have been under way when it was
 * reset here. Those behind the client's own end, or of a stream that it skipped, never were (RFC 9113 5.1,
 * 5.1.1).
 */
enum {
	H2_PAST_STREAMS = 256, /* looked back at; what is older is left to nghttp2 */
	H2_PAST_WORDS = H2_PAST_STREAMS / 64,
};

struct h2_past {
	uint32_t top_id; /* the last stream opened */
	bool is_in_section; /* a header section is not complete: other frames are for nghttp2 to refuse */
	uint64_t opened[H2_PAST_WORDS];
	uint64_t ended[H2_PAST_WORDS];
	uint64_t reset[H2_PAST_WORDS];
};

enum h2_past_verdict {
	H2_PAST_FINE, /* or not known to be wrong */
	H2_PAST_SKIPPED, /* of a stream that can be opened no more: PROTOCOL_ERROR of the connection */
	H2_PAST_ENDED, /* behind END_STREAM: STREAM_CLOSED of the connection */
	H2_PAST_RESET, /* behind RST_STREAM: STREAM_CLOSED of the stream */
};
/* The client's frames in their order; `ends` is END_STREAM. */
enum h2_past_verdict h2_past_headers(struct h2_past *past, uint32_t id, bool ends);
enum h2_past_verdict h2_past_data(struct h2_past *past, uint32_t id, bool ends);
void h2_past_reset(struct h2_past *past, uint32_t id);
