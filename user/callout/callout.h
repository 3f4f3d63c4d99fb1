/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "user/base/callout_kind.h"
#include "user/callout/callouts.h"
#include "user/http/head.h"

struct callout_request {
	enum callout_kind kind;
	/* Borrowed until the call is freed, like its snapshot. Its backend has endpoints. */
	const struct backend_ref *ref;
	const struct snapshot *snapshot;
	uint64_t default_ms; /* deadline, if the backend policy has none */
	/*
	 * The rest is borrowed for callout_start(). HTTP: the head; Content-Length is added. gRPC: its path
	 * is the method, as in "/package.Service/Method", and the body is the message; fields are metadata.
	 */
	const struct request_head *head;
	struct span body;
	struct span token; /* of the client, for `passthrough`; empty: none */
	bool is_grpc;
	bool may_repeat; /* the service may see it twice, if a reused connection dies */
};

/* Valid until the call is freed. */
struct callout_response {
	uint16_t status; /* of HTTP; gRPC: 200 */
	struct fields fields;
	struct span body; /* of gRPC: the message */
	int grpc_status; /* of an error; 0 and less: none came, or it is no error */
};

/* One call. It owns its bytes; its owner frees it. */
struct callout;

/*
 * Starts a call; on_done() follows once, from the loop. 0; -ENOMEM; -EBUSY: too many are under way;
 * -EHOSTDOWN: no endpoint has answered lately (policy/circuit.h); -EINVAL: the head cannot be written.
 */
int callout_start(struct callouts *callouts, const struct callout_request *request,
		  void (*on_done)(struct callout *callout, void *context), void *context,
		  struct callout **ret_callout);
/* Ends it, if it runs, and frees it at the end of the turn. NULL allowed. */
void callout_free(struct callout *callout);

bool callout_is_done(const struct callout *callout);
enum callout_result callout_result(const struct callout *callout); /* when it is done, like the next ones */
struct span callout_fault(const struct callout *callout); /* why there is no response; empty: there is */
/* With a fault only its statuses count: that of a head that came over HTTP, 0: none; and that of gRPC. */
const struct callout_response *callout_response(const struct callout *callout);
uint32_t callout_us(const struct callout *callout); /* from start to end */
/* Counts a call that was not made: CALLOUT_SKIPPED or CALLOUT_KEPT. */
void callout_spare(struct callouts *callouts, enum callout_kind kind, enum callout_result result);
