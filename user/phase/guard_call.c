/* SPDX-License-Identifier: Apache-2.0 */
#include "user/phase/guard_call.h"

#include <errno.h>

#include "policy/headers.h"
#include "policy/transform.h"
#include "user/callout/callout.h"
#include "user/stream/facts.h"

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

/*
 * The head that the service gets. Expressions see who the client is, and this head as the request. Errors of
 * guard_verifier.call().
 */
static int make_head(struct stream *stream, const struct guard_call *call, struct request_head *ret)
{
	const struct transformation *own = call->ref ? call->ref->transformation : NULL;
	struct arena *arena = &stream->exchange->arena;
	struct transform_count count = { 0 };
	struct stream_facts f;
	int error;

	*ret = *call->head;
	if (!own || !own->request.is_set)
		return 0;
	error = fields_clone(&call->head->fields, arena, &ret->fields);
	if (!error)
		error = stream_facts_fill(&f, stream, own->request.needs, arena);
	if (error)
		return error;
	f.facts.request = ret;
	stream_facts_backend(&f, call->ref->backend, false);
	error = transform_note(&own->request, &f.facts, arena, &count);
	if (!error)
		error = transform_request(&own->request, &f.facts, NULL, ret, arena, &count);
	/* The method of gRPC, which a policy of the backend that is meant for others must not change. */
	if (call->is_grpc)
		ret->path = call->head->path;
	proxy_trace(stream->proxy, stream->id, TRACE_TRANSFORM, count.changed, count.failed);
	return error;
}

int guard_call_start(void *context, const struct guard_call *call)
{
	struct stream *stream = context;
	struct guard_call own = *call;
	struct request_head head;
	int error = make_head(stream, call, &head);

	if (error)
		return error;
	own.head = &head;
	own.token = stream->exchange->identity.token;
	return service_call_start(&stream->exchange->call, stream->proxy, stream->lease, &own, on_done,
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
