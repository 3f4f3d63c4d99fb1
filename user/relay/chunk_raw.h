/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/relay/relay.h"

/*
 * Used between the kernel lane and the copy lane. The kernel forwards chunk lines as they are (after walking
 * them), so the sink may be in the middle of a chunk when the kernel hands a body back. Until the next chunk
 * boundary, the framing is therefore completed byte by byte instead of generated; it still goes through the
 * strict decoder, and extensions are removed.
 */
enum chunk_raw_state {
	CHUNK_RAW_NONE,
	CHUNK_RAW_INSIDE, /* the sink expects the rest of a chunk or chunk line */
	CHUNK_RAW_LAST, /* the sink has the line of the last chunk: generate trailers and the end */
};

/* Consumes part of `in`. False when the relay has failed or the message has ended. */
bool chunk_raw_step(struct relay *relay, struct span in, size_t *ret_used);
