/* SPDX-License-Identifier: Apache-2.0 */
#include "user/stream/attempt_wait.h"

#include <errno.h>

#include "policy/circuit_breaker.h"
#include "user/base/mem.h"
#include "user/upstream/upstream_h2.h"

static struct quota *quota_of(const struct stream *stream)
{
	return stream->backend->backend->quota;
}

bool attempt_wait_is_on(const struct stream *stream)
{
	const struct circuit_breaker *breaker = stream->backend->breaker;

	return breaker && breaker->max_pending_requests.value && quota_of(stream);
}

static bool has_joined(const struct stream *stream, enum pending_kind kind)
{
	const struct attempt_wait *wait = stream->attempt.wait;

	return wait && wait->has_joined && wait->waiter.kind == kind;
}

bool attempt_wait_may_take(const struct stream *stream, enum pending_kind kind)
{
	if (!attempt_wait_is_on(stream))
		return true;
	if (has_joined(stream, kind))
		return pending_has_turn(&stream->attempt.wait->waiter);
	return !pending_has(atomic_load(&quota_of(stream)->pending), kind);
}

bool attempt_wait_needs_stream(const struct stream *stream)
{
	return has_joined(stream, PENDING_CONNECTIONS) && stream->attempt.wait->waiter.offered &&
	       !pending_has_turn(&stream->attempt.wait->waiter);
}

/* In the worker of the stream. */
static void on_message(struct message *message, void *context)
{
	struct attempt_wait *wait = container_of(message, struct attempt_wait, message);

	(void)context;
	if (!wait->stream) {
		hg_free(wait);
		return;
	}
	pending_woken(&wait->waiter);
	stream_run(wait->stream, STEP_ATTEMPT);
}

/* In the thread that gives a place back. */
static void on_wake(struct pending_waiter *waiter)
{
	struct attempt_wait *wait = container_of(waiter, struct attempt_wait, waiter);

	mailbox_send(wait->mailbox, &wait->message);
}

static struct attempt_wait *wait_create(struct stream *stream)
{
	struct attempt_wait *wait = hg_calloc(1, sizeof(*wait));
	uint64_t timeout_ns = circuit_breaker_pending_ns(stream->backend->breaker);

	if (!wait)
		return NULL;
	wait->waiter.wake = on_wake;
	wait->message.run = on_message;
	wait->mailbox = stream->proxy->mailbox;
	wait->stream = stream;
	wait->deadline_ms = proxy_now_ms(stream->proxy) + ns_to_ms(timeout_ns);
	return wait;
}

int attempt_wait_join(struct stream *stream, enum pending_kind kind, bool may_share)
{
	struct attempt_wait *wait = stream->attempt.wait;
	struct pending *pending = quota_pending(quota_of(stream));
	enum pending_result result;

	if (wait && wait->has_joined) {
		uint64_t declined = pending_decline(&wait->waiter);

		pending_wait(&wait->waiter);
		if (declined)
			upstream_h2_declined(&stream->proxy->pool, declined, wait->waiter.number);
		return PENDING_IS_BEHIND;
	}
	if (!wait)
		wait = stream->attempt.wait = wait_create(stream);
	if (!wait || !pending)
		return -ENOMEM;
	/* The pool offers streams of its connections. */
	wait->waiter.owner = may_share ? &stream->proxy->pool : NULL;
	result = pending_join(pending, kind, stream->backend->breaker->max_pending_requests.value,
			      &wait->waiter);
	wait->has_joined = result != PENDING_IS_FULL;
	if (wait->has_joined)
		counter_add(stream->proxy->counters, COUNTER_PENDING_REQUESTS, 1);
	return (int)result;
}

bool attempt_wait_park(struct stream *stream)
{
	if (!has_joined(stream, PENDING_CONNECTIONS))
		return false;
	pending_park(&stream->attempt.wait->waiter);
	return true;
}

/* False: the message frees it. */
static bool wait_leave(struct attempt_wait *wait, struct stream *stream)
{
	wait->has_joined = false;
	gauge_sub(stream->proxy->counters, COUNTER_PENDING_REQUESTS, 1);
	return pending_leave(&wait->waiter);
}

void attempt_wait_leave(struct stream *stream, enum pending_kind kind)
{
	/* It has taken the place in its turn, so no message is under way. */
	if (has_joined(stream, kind))
		CHECK(wait_leave(stream->attempt.wait, stream));
}

void attempt_wait_drop(struct stream *stream)
{
	struct attempt_wait *wait = stream->attempt.wait;

	if (!wait)
		return;
	stream->attempt.wait = NULL;
	if (!wait->has_joined || wait_leave(wait, stream))
		hg_free(wait);
	else
		wait->stream = NULL;
}
