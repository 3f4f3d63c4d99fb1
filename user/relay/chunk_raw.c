/* SPDX-License-Identifier: Apache-2.0 */
#include "user/relay/chunk_raw.h"

#include <errno.h>

#include "user/base/limits.h"
#include "user/relay/relay_io.h"

static bool is_extension(uint8_t state)
{
	return state >= CHUNK_EXT_NAME_FIRST && state <= CHUNK_EXT_QUOTED_END;
}

static bool raw_send(struct relay *relay, struct span bytes)
{
	struct iovec segment = { (void *)(uintptr_t)bytes.data, bytes.len };
	int error = bytes.len ? conn_send(relay->sink, &segment, 1, LIMIT_RELAY_BYTES * 2) : 0;

	if (!error)
		return true;
	relay_fail(relay, error == -ENOMEM || error == -ENOBUFS ? RELAY_FAIL_MEMORY : RELAY_FAIL_SINK);
	return false;
}

/* Sends the rest of a chunk's payload. */
static bool raw_payload(struct relay *relay, struct span in, size_t *ret_used)
{
	struct span payload;
	enum body_step step =
		body_decode(&relay->decoder, span_first(in, relay->decoder.left), ret_used, &payload);

	CHECK(step == BODY_DATA);
	relay_account(relay, LANE_COPY, payload.len);
	return raw_send(relay, payload);
}

/* Sends one byte of a chunk line. */
static bool raw_framing(struct relay *relay, struct span in, size_t *ret_used)
{
	struct body_decoder *decoder = &relay->decoder;
	uint8_t before = decoder->chunk_state;
	struct span payload;

	if (body_decode(decoder, span_first(in, 1), ret_used, &payload) == BODY_BAD) {
		relay_fail(relay, RELAY_FAIL_SOURCE_BAD);
		return false;
	}
	/* The CR after an extension is part of the line, the extension is not. */
	if (is_extension(decoder->chunk_state) ||
	    (is_extension(before) && decoder->chunk_state != CHUNK_SIZE_LF))
		return true;
	return raw_send(relay, span_first(in, 1));
}

bool chunk_raw_step(struct relay *relay, struct span in, size_t *ret_used)
{
	struct body_decoder *decoder = &relay->decoder;
	bool goes_on = true;

	*ret_used = 0;
	while (goes_on && relay->chunk_raw == CHUNK_RAW_INSIDE && *ret_used < in.len) {
		struct span rest = span_from(in, *ret_used);
		size_t used = 0;

		goes_on = decoder->chunk_state == CHUNK_DATA ? raw_payload(relay, rest, &used)
							     : raw_framing(relay, rest, &used);
		*ret_used += used;
		if (decoder->chunk_state == CHUNK_SIZE_FIRST)
			relay->chunk_raw = CHUNK_RAW_NONE;
		else if (decoder->chunk_state == CHUNK_TRAILER_LINE)
			relay->chunk_raw = CHUNK_RAW_LAST;
	}
	return goes_on;
}
