/* SPDX-License-Identifier: Apache-2.0 */
#include "user/base/stream_state.h"

#define TO(state) (1u << STREAM_##state)

static const struct {
	const char *name;
	const char *action;
	unsigned int next;
} stream_states[] = {
#define STREAM_STATE(id, name, action, next) { name, action, next },
#include "user/base/stream_states.def"
#undef STREAM_STATE
};

const char *stream_state_name(enum stream_state state)
{
	return stream_states[state].name;
}

const char *stream_state_action(enum stream_state state)
{
	return stream_states[state].action;
}

bool stream_state_allows(enum stream_state from, enum stream_state to)
{
	return stream_states[from].next >> to & 1;
}
