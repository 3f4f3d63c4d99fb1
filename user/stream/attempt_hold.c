/* SPDX-License-Identifier: Apache-2.0 */
#include "user/stream/attempt_hold.h"

#include "policy/circuit_breaker.h"
#include "user/base/mem.h"
#include "user/stream/attempt_wait.h"

void attempt_stop_dial(struct stream *stream)
{
	struct attempt *attempt = &stream->attempt;

	if (!attempt->dial)
		return;
	dial_cancel(&attempt->dial->dial);
	hg_free(attempt->dial);
	attempt->dial = NULL;
}

void attempt_leave_endpoint(struct stream *stream)
{
	struct attempt *attempt = &stream->attempt;

	if (!attempt->endpoint)
		return;
	attempt->endpoint->shared->load.in_flight--;
	upstream_pool_leave(&stream->proxy->pool, attempt->endpoint);
	attempt->endpoint = NULL;
}

struct quota *attempt_quota(const struct stream *stream)
{
	uint32_t at = stream->attempt.endpoint_index;
	const struct backend *backend = stream_backend(stream);

	return at < backend->endpoint_count ? circuit_breaker_quota(backend, &backend->endpoint_list[at])
					    : backend->quota;
}

void attempt_drop_retry(struct stream *stream)
{
	struct exchange *exchange = stream->exchange;

	if (exchange && exchange->retry_quota) {
		quota_give(&exchange->retry_quota->retries);
		exchange->retry_quota = NULL;
	}
}

/* The endpoint stays set until another attempt takes one or the stream ends. */
void attempt_drop(struct stream *stream)
{
	struct attempt *attempt = &stream->attempt;

	attempt_stop_dial(stream);
	attempt_wait_drop(stream);
	if (attempt->is_counted)
		quota_give_connection(attempt_quota(stream));
	attempt->is_counted = false;
	if (attempt->is_request_counted)
		quota_give_request(stream->backend->backend->quota);
	attempt->is_request_counted = false;
	attempt_drop_retry(stream);
	if (attempt->is_retry) {
		attempt->is_retry = false;
		stream->proxy->active_retries--;
	}
}

void attempt_stop(struct stream *stream)
{
	attempt_drop(stream);
	attempt_leave_endpoint(stream);
	hg_free(stream->attempt.previous_hosts);
	stream->attempt.previous_hosts = NULL;
}

void attempt_forget_body(struct stream *stream)
{
	replay_drop(&stream->exchange->replay);
	stream->upload.replay = NULL;
}
