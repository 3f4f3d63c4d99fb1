/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/relay/relay.h"

/*
 * Between the kernel lane and the copy lane. The kernel forwards chunk lines as they are (after walking
 * them), so when it hands a body back the sink may be in the middle of one. Until the next boundary the
 * framing is therefore completed byte by byte instead of generated: still through the strict decoder, and
 * without extensions.
 */
enum chunk_raw_state {
	CHUNK_RAW_NONE,
	CHUNK_RAW_INSIDE, /* the sink waits for the rest of a chunk or chunk line */
	CHUNK_RAW_LAST, /* the sink has the line of the last chunk: trailers and the end are generated */
};

/* Takes a part of `in`. False when the relay has failed or the message has ended. */
bool chunk_raw_step(struct relay *relay, struct span in, size_t *ret_used);
