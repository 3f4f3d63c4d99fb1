/* SPDX-License-Identifier: Apache-2.0 */
#include "user/client/service_call.h"

#include <errno.h>

#include "config/snapshot.h"
#include "user/base/limits.h"
#include "user/base/siphash.h"
#include "user/callout/callout.h"
#include "user/client/worker_state.h"

/* True: *call->reply is an answer that was kept. */
static bool find_kept(struct service_call *own, struct proxy *proxy, const struct lease *lease,
		      const struct guard_call *call)
{
	struct siphash hash;

	if (!call->cache_key.len)
		return false;
	if (!proxy->answers)
		proxy->answers = answer_cache_create();
	if (!proxy->answers)
		return false;
	siphash_start(&hash, &proxy->shared->hash_key);
	siphash_add(&hash, call->cache_key);
	own->key = (struct answer_key){ .policy = call->subject,
					.generation = lease->snapshot->generation,
					.most_entries = call->most_entries,
					.hash = siphash_end(&hash) };
	return answer_cache_find(proxy->answers, &own->key, loop_now_ns(proxy->loop), call->reply);
}

static bool may_be_asked(const struct snapshot *snapshot, const struct backend_ref *ref)
{
	return ref && snapshot_backend(snapshot, ref->backend)->endpoint_count &&
	       !(ref->tls && ref->tls->invalid_reason.len);
}

int service_call_start(struct service_call *own, struct proxy *proxy, const struct lease *lease,
		       const struct guard_call *call, void (*on_done)(struct callout *callout, void *context),
		       void *context)
{
	const struct callout_request request = {
		.kind = call->kind,
		.ref = call->ref,
		.snapshot = lease->snapshot,
		.default_ms = LIMIT_CALLOUT_MS,
		.head = call->head,
		.body = call->body,
		.token = call->token,
		.is_grpc = call->is_grpc,
		.may_repeat = call->may_repeat,
	};
	int error = -EHOSTDOWN;

	service_call_drop(own);
	*own = (struct service_call){ .subject = call->subject };
	if (find_kept(own, proxy, lease, call)) {
		callout_spare(&proxy->callouts, call->kind, CALLOUT_KEPT);
		return GUARD_PASS;
	}
	if (may_be_asked(lease->snapshot, call->ref))
		error = callout_start(&proxy->callouts, &request, on_done, context, &own->callout);
	if (error)
		callout_spare(&proxy->callouts, call->kind, CALLOUT_SKIPPED);
	return error ? error : GUARD_WAIT;
}

bool service_call_reply(const struct service_call *own, struct guard_reply *ret)
{
	const struct callout_response *response;

	if (!own->callout || !callout_is_done(own->callout))
		return false;
	response = callout_response(own->callout);
	*ret = (struct guard_reply){ .subject = own->subject,
				     .fault = callout_fault(own->callout),
				     .status = response->status,
				     .fields = &response->fields,
				     .body = response->body };
	return true;
}

void service_call_keep(const struct service_call *own, struct proxy *proxy, uint64_t ttl_ns)
{
	struct guard_reply reply;

	if (own->key.policy && service_call_reply(own, &reply))
		answer_cache_put(proxy->answers, &own->key, loop_now_ns(proxy->loop), ttl_ns, &reply);
}

void service_call_drop(struct service_call *own)
{
	callout_free(own->callout);
	own->callout = NULL;
}
