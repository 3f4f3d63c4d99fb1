/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

/* What a stream is doing. The trace names states, too, also the trace of a gateway that crashed. */
enum stream_state {
#define STREAM_STATE(id, name, action, next) STREAM_##id,
#include "user/base/stream_states.def"
#undef STREAM_STATE
	STREAM_STATE_COUNT,
};

const char *stream_state_name(enum stream_state state); /* static */
const char *stream_state_action(enum stream_state state); /* in words: "waiting for …"; static */
bool stream_state_allows(enum stream_state from, enum stream_state to);
