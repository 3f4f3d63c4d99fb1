/* SPDX-License-Identifier: Apache-2.0 */
#include "user/phase/guard_call.h"

#include <errno.h>

#include "policy/headers.h"
#include "user/callout/callout.h"

/* Changes that guards have made, in their order; in the arena of the request. */
struct guard_change {
	struct guard_change *next;
	const struct header_modifier *changes;
};

static void on_done(struct callout *callout, void *context)
{
	struct stream *stream = context;

	proxy_trace(stream->proxy, stream->id, TRACE_CALLOUT, callout_result(callout), callout_us(callout));
	stream_run(stream, STEP_GUARD);
}

void guard_call_keep(void *context, uint64_t ttl_ns)
{
	struct stream *stream = context;

	service_call_keep(&stream->exchange->call, stream->proxy, ttl_ns);
}

int guard_call_start(void *context, const struct guard_call *call)
{
	struct stream *stream = context;

	return service_call_start(&stream->exchange->call, stream->proxy, stream->lease, call, on_done,
				  stream);
}

bool guard_call_reply(const struct stream *stream, struct guard_reply *ret)
{
	return service_call_reply(&stream->exchange->call, ret);
}

int guard_call_change(struct stream *stream, const struct header_modifier *changes)
{
	struct exchange *exchange = stream->exchange;
	struct guard_change *change = arena_take(&exchange->arena, sizeof(*change)), **at;

	if (!change)
		return -ENOMEM;
	for (at = &exchange->guard_changes; *at; at = &(*at)->next)
		;
	change->changes = changes;
	*at = change;
	return headers_modify(&exchange->head.fields, changes);
}

int guard_call_change_again(struct stream *stream)
{
	int error = 0;

	for (const struct guard_change *at = stream->exchange->guard_changes; at && !error; at = at->next)
		error = headers_modify(&stream->exchange->head.fields, at->changes);
	return error;
}
