/* SPDX-License-Identifier: Apache-2.0 */
#include "user/phase/guard_call.h"

#include <errno.h>

#include "policy/headers.h"
#include "user/base/mem.h"
#include "user/callout/callout.h"
#include "user/phase/answer_cache.h"
#include "user/stream/call_hold.h"

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

/* True: *call->reply is an answer that was kept. */
static bool find_kept(struct stream *stream, const struct guard_call *call)
{
	struct proxy *proxy = stream->proxy;
	struct answer_key *key = &stream->exchange->answer_key;
	struct siphash hash;

	*key = (struct answer_key){ 0 };
	if (!call->cache_key.len)
		return false;
	if (!proxy->answers)
		proxy->answers = answer_cache_create();
	if (!proxy->answers)
		return false;
	siphash_start(&hash, &proxy->shared->hash_key);
	siphash_add(&hash, call->cache_key);
	*key = (struct answer_key){ .policy = call->subject,
				    .generation = stream->lease->snapshot->generation,
				    .most_entries = call->most_entries,
				    .hash = siphash_end(&hash) };
	return answer_cache_find(proxy->answers, key, loop_now_ns(proxy->loop), call->reply);
}

void guard_call_keep(void *context, uint64_t ttl_ns)
{
	struct stream *stream = context;
	const struct answer_key *key = &stream->exchange->answer_key;
	struct guard_reply reply;

	if (key->policy && guard_call_reply(stream, &reply))
		answer_cache_put(stream->proxy->answers, key, loop_now_ns(stream->proxy->loop), ttl_ns,
				 &reply);
}

int guard_call_start(void *context, const struct guard_call *call)
{
	struct stream *stream = context;
	struct exchange *exchange = stream->exchange;
	const struct callout_request request = {
		.kind = call->kind,
		.ref = call->ref,
		.snapshot = stream->lease->snapshot,
		.default_ms = LIMIT_CALLOUT_MS,
		.head = call->head,
		.body = call->body,
		.is_grpc = call->is_grpc,
		.may_repeat = call->may_repeat,
	};
	int error;

	stream_drop_call(stream);
	if (find_kept(stream, call)) {
		callout_spare(&stream->proxy->callouts, call->kind, CALLOUT_KEPT);
		return GUARD_PASS;
	}
	if (!call->ref ||
	    snapshot_backend(stream->lease->snapshot, call->ref->backend)->endpoint_count == 0 ||
	    (call->ref->tls && call->ref->tls->invalid_reason.len))
		error = -EHOSTDOWN;
	else
		error = callout_start(&stream->proxy->callouts, &request, on_done, stream,
				      &exchange->callout);
	exchange->call_subject = call->subject;
	if (error)
		callout_spare(&stream->proxy->callouts, call->kind, CALLOUT_SKIPPED);
	return error ? error : GUARD_WAIT;
}

bool guard_call_reply(const struct stream *stream, struct guard_reply *ret)
{
	const struct callout *callout = stream->exchange->callout;
	const struct callout_response *response;

	if (!callout || !callout_is_done(callout))
		return false;
	response = callout_response(callout);
	*ret = (struct guard_reply){ .subject = stream->exchange->call_subject,
				     .fault = callout_fault(callout),
				     .status = response->status,
				     .fields = &response->fields,
				     .body = response->body };
	return true;
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
