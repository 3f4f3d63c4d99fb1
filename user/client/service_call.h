/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/client/answer_cache.h"

struct callout;
struct lease;
struct proxy;

/*
 * The call of a helper service that a guard makes, about a request or a connection: it is under way, or its
 * reply has come. Zero: there is none.
 */
struct service_call {
	struct callout *callout; /* owner; NULL: none */
	const void *subject; /* guard_reply.subject */
	struct answer_key key; /* of its answer; zero: it is not kept */
};

/*
 * GUARD_PASS: *call->reply is an answer that was kept. GUARD_WAIT: on_done() follows once, from the loop,
 * unless service_call_drop() comes first. Else as guard_verifier.call(). The lease is borrowed until the call
 * is dropped.
 */
int service_call_start(struct service_call *own, struct proxy *proxy, const struct lease *lease,
		       const struct guard_call *call, void (*on_done)(struct callout *callout, void *context),
		       void *context);
/* False: no reply has come. It is valid until the call is dropped. */
bool service_call_reply(const struct service_call *own, struct guard_reply *ret);
/* Keeps the reply for so long, if the guard has named what it depends on. */
void service_call_keep(const struct service_call *own, struct proxy *proxy, uint64_t ttl_ns);
/* Idempotent. */
void service_call_drop(struct service_call *own);
