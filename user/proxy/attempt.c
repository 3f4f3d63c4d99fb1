/* SPDX-License-Identifier: Apache-2.0 */
#include "user/proxy/attempt.h"

#include <errno.h>
#include <stdio.h>

#include "user/base/limits.h"
#include "user/proxy/back.h"
#include "user/proxy/connect_tunnel.h"
#include "user/proxy/dial.h"
#include "user/proxy/exchange.h"
#include "user/proxy/front.h"
#include "user/proxy/outcome.h"
#include "user/proxy/response.h"
#include "user/proxy/tunnel.h"
#include "user/proxy/upstream_h2.h"

void attempt_init(struct stream *stream)
{
	stream->attempt.endpoint_index = UINT32_MAX;
}

static void attempt_leave_endpoint(struct stream *stream)
{
	struct attempt *attempt = &stream->attempt;

	if (!attempt->endpoint)
		return;
	attempt->endpoint->load.in_flight--;
	upstream_pool_leave(&stream->proxy->pool, attempt->endpoint);
	attempt->endpoint = NULL;
}

/* The endpoint stays known, for the log, until another try takes one or the stream ends. */
void attempt_stop_try(struct stream *stream)
{
	struct attempt *attempt = &stream->attempt;

	dial_stop(stream);
	if (attempt->is_retry) {
		attempt->is_retry = false;
		stream->proxy->active_retries--;
	}
}

void attempt_stop(struct stream *stream)
{
	attempt_stop_try(stream);
	attempt_leave_endpoint(stream);
}

static const struct keepalive_policy *attempt_keepalive(const struct stream *stream)
{
	const struct backend_tcp *tcp = stream->backend->tcp;

	return tcp ? &tcp->keepalives : &stream->lease->snapshot->config.upstream_keepalives;
}

static int attempt_choose(struct stream *stream)
{
	struct attempt *attempt = &stream->attempt;

	attempt->endpoint = upstream_pool_choose(&stream->proxy->pool, stream->backend->backend,
						 attempt_keepalive(stream), attempt->endpoint_index,
						 &attempt->endpoint_index);
	if (!attempt->endpoint)
		return -ENOMEM;
	attempt->tries_here++;
	attempt->endpoint->load.in_flight++;
	return 0;
}

static void attempt_on_upstream(void *owner)
{
	stream_on_upstream(owner);
}

static int attempt_write_head(struct stream *stream)
{
	char digits[24];
	struct span number;
	int error;

	if (stream->attempt.retries_done) {
		number = arena_copy(&stream->exchange->arena,
				    span_of(digits, text_u64(digits, stream->attempt.retries_done)));
		error = number.data
				? fields_set(&stream->exchange->head.fields, SPAN("x-retry-attempt"), number)
				: -ENOMEM;
		if (error)
			return error;
	}
	return stream->back->send_head(stream);
}

static int attempt_begin_upload(struct stream *stream)
{
	const struct body_framing *framing = &stream->exchange->request_framing;
	enum relay_encoding encoding = stream->back->encoding(stream);
	bool can_keep = framing->kind == BODY_CHUNKED || framing->kind == BODY_FRAMED ||
			(framing->kind == BODY_LENGTH && framing->length <= LIMIT_RETRY_BODY_BYTES);
	int error = 0;

	stream->upload_dead = false;
	if (stream->upload.state != RELAY_OFF) {
		error = relay_replay(&stream->upload, stream->back->end(stream), encoding);
	} else {
		stream->upload.replay = can_keep ? &stream->exchange->replay : NULL;
		relay_start(&stream->upload, stream->front->end(stream), stream->back->end(stream), framing,
			    encoding, stream->lease->snapshot->config.splice.lane_pipe,
			    proxy_now_ms(stream->proxy));
	}
	if (!error)
		stream_offer_gate(stream, &stream->upload, false);
	return error;
}

void attempt_send(struct stream *stream, struct upstream *upstream)
{
	int error;

	dial_stop(stream);
	stream->upstream = upstream;
	if (upstream->h2) {
		stream->back = &back_h2;
		upstream_h2_join(upstream);
	} else {
		stream->back = &back_h1;
		upstream_attach(upstream, stream, attempt_on_upstream);
	}
	if (stream->is_tcp) {
		outcome_connected(stream);
		tunnel_start(stream);
		return;
	}
	if (connect_tunnel_is_asked(stream)) {
		connect_tunnel_start(stream);
		return;
	}
	error = attempt_write_head(stream);
	if (!error)
		error = attempt_begin_upload(stream);
	if (error == -ENOMEM || error == -EINVAL || error == -ENOBUFS) {
		response_error(stream, 500, SPAN("the request head could not be written"), END_INTERNAL);
		return;
	}
	stream_set_state(stream, STREAM_WAIT_HEAD);
	stream_pump(stream);
}

void attempt_timeouts(const struct stream *stream, struct exchange_timeouts *ret_timeouts)
{
	timeout_of_exchange(&stream->lease->snapshot->config,
			    stream->route ? &stream->route->effective : NULL, stream->backend, ret_timeouts);
}

static void attempt_begin_exchange(struct stream *stream)
{
	struct exchange *exchange = stream->exchange;
	struct exchange_timeouts timeouts;

	attempt_timeouts(stream, &timeouts);
	exchange->try_deadline_ms =
		timeouts.per_try_ns ? proxy_now_ms(stream->proxy) + ns_to_ms(timeouts.per_try_ns) : 0;
	arena_reset(&exchange->response_arena);
}

void attempt_start(struct stream *stream)
{
	attempt_leave_endpoint(stream);
	if (stream->exchange)
		attempt_begin_exchange(stream);
	if (attempt_choose(stream) < 0) {
		response_error(stream, 500, SPAN("no memory"), END_INTERNAL);
		return;
	}
	dial_start(stream);
}

/* Each endpoint of the backend gets a try, then another backend of the rule. 0 or -ENOMEM. */
static int attempt_change_backend(struct stream *stream)
{
	const struct route *route = stream->route;
	const struct backend_ref *next = stream->backend;

	if (stream->attempt.tries_here >= next->backend->endpoint_count)
		next = balance_backend_again(route->backend_list, route->backend_count, next,
					     proxy_random(stream->proxy));
	if (next == stream->backend || next->backend->endpoint_count == 0)
		return 0;
	attempt_leave_endpoint(stream);
	stream->backend = next;
	stream->attempt.tries_here = 0;
	stream->attempt.endpoint_index = UINT32_MAX;
	return exchange_use_backend(stream);
}

void attempt_again(struct stream *stream)
{
	if (attempt_change_backend(stream) < 0)
		response_error(stream, 500, SPAN("no memory"), END_INTERNAL);
	else
		attempt_start(stream);
}

static bool method_is_idempotent(enum http_method method)
{
	switch (method) {
	case METHOD_GET:
	case METHOD_HEAD:
	case METHOD_PUT:
	case METHOD_DELETE:
	case METHOD_OPTIONS:
	case METHOD_TRACE:
		return true;
	case METHOD_POST:
	case METHOD_PATCH:
	case METHOD_CONNECT:
	case METHOD_OTHER:
		break;
	}
	return false;
}

static bool attempt_can_replay(const struct stream *stream)
{
	return !stream->head_sent && relay_can_replay(&stream->upload);
}

/*
 * A reused connection died without one response byte: the backend closed it while the request was on its way.
 * Repeating is safe when the method is (RFC 9110 9.2.2), or when the backend did not see the request. A
 * stream that the backend says it did not process (RFC 9113 8.7) is as good as never sent.
 */
static bool attempt_is_free(const struct stream *stream, enum try_outcome outcome, int error)
{
	const struct upstream *upstream = stream->upstream;

	if (outcome != TRY_RESET || !upstream || stream->back->has_response(stream) ||
	    stream->attempt.free_retries >= LIMIT_FREE_RETRIES || !attempt_can_replay(stream))
		return false;
	/* Of a connection that lives, the stream was reset on purpose. */
	if (stream->back_h2 && (stream->back->is_unseen(stream, error) || !upstream->h2->is_dead))
		return stream->back->is_unseen(stream, error);
	if (!upstream->served)
		return false;
	return method_is_idempotent(stream->exchange->head.method) || stream->back->is_unseen(stream, error);
}

static enum retry_verdict attempt_decide(struct stream *stream, enum try_outcome outcome,
					 uint64_t *ret_delay_ns)
{
	const struct static_config *config = &stream->lease->snapshot->config;
	const struct retry_policy *policy = stream->route ? stream->route->effective.retry : NULL;
	const struct field *after = NULL;
	struct retry_facts facts = {
		.outcome = outcome,
		.status = outcome == TRY_RESPONSE ? stream->exchange->response.status : 0,
		.retries_done = stream->attempt.retries_done,
		.can_replay = attempt_can_replay(stream),
		.active_requests = stream->proxy->active_requests,
		.active_retries = stream->proxy->active_retries,
		.random = proxy_random(stream->proxy),
	};

	if (outcome == TRY_RESPONSE)
		after = fields_get(&stream->exchange->response.fields, FIELD_RETRY_AFTER);
	if (after)
		facts.has_retry_after =
			retry_after_parse(after->value, proxy_wall_us(stream->proxy) / 1000000u,
					  &facts.retry_after_ns) == 0;
	return retry_decide(policy, &config->retry, &facts, ret_delay_ns);
}

static void attempt_drop_upstream(struct stream *stream, enum try_outcome outcome)
{
	relay_detach(&stream->upload);
	/* A backend that still works on the abandoned try learns it from the reset. */
	if (stream->upstream)
		stream->back->drop(stream,
				   outcome == TRY_PER_TRY_TIMEOUT || outcome == TRY_REQUEST_TIMEOUT);
}

static void attempt_repeat(struct stream *stream, uint64_t delay_ns)
{
	struct attempt *attempt = &stream->attempt;

	attempt->retries_done++;
	proxy_trace(stream->proxy, stream->id, TRACE_RETRY, attempt->retries_done, 0);
	attempt->is_retry = true;
	stream->proxy->active_retries++;
	counter_add(stream->proxy->counters, COUNTER_RETRIES, 1);
	if (delay_ns == 0) {
		attempt_again(stream);
		return;
	}
	stream->exchange->backoff_end_ms = proxy_now_ms(stream->proxy) + ns_to_ms(delay_ns);
	stream_set_state(stream, STREAM_BACKOFF);
}

static struct span attempt_error_text(struct stream *stream, const char *what, int error)
{
	char text[160];
	const char *why = error ? strerrordesc_np(-error) : NULL;
	int len = snprintf(text, sizeof(text), "upstream call failed: %s: %s", what, why ? why : "failed");

	/* Nobody is answered on a tunnel. */
	if (!stream->exchange)
		return (struct span){ 0 };
	return arena_copy(&stream->exchange->arena,
			  span_of(text, (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1));
}

/* The last try failed too. */
static void attempt_give_up(struct stream *stream, enum try_outcome outcome, int error)
{
	switch (outcome) {
	case TRY_CONNECT_FAILED:
		response_error(stream, 503, attempt_error_text(stream, "Connect", error),
			       END_CONNECT_REFUSED);
		break;
	case TRY_CONNECT_TIMEOUT:
		response_error(stream, 504, SPAN("upstream call timeout"), END_CONNECT_TIMEOUT);
		break;
	case TRY_PER_TRY_TIMEOUT:
		response_error(stream, 504, SPAN("upstream call timeout"), END_PER_TRY_TIMEOUT);
		break;
	case TRY_DNS_FAILED:
		response_error(stream, 503, SPAN("backends required DNS resolution which failed"),
			       END_DNS_FAILED);
		break;
	case TRY_RESET:
		response_error(
			stream, 503,
			error ? attempt_error_text(stream, "SendRequest", error)
			      : SPAN("upstream call failed: SendRequest: connection closed before message "
				     "completed"),
			error ? conn_end_reason(error, END_UPSTREAM_RST) : END_UPSTREAM_FIN);
		break;
	case TRY_RESPONSE_BAD:
		response_error(stream, 502, SPAN("upstream call failed: malformed response"),
			       END_RESPONSE_BAD);
		break;
	case TRY_REQUEST_TIMEOUT:
		response_error(stream, 504, SPAN("request timeout"), END_REQUEST_TIMEOUT);
		break;
	case TRY_RESPONSE:
		break;
	}
}

/* Without an address, or for want of something here, the endpoint was not even asked. */
static void attempt_note_connect(struct stream *stream, enum try_outcome outcome, int error)
{
	if ((outcome != TRY_CONNECT_FAILED && outcome != TRY_CONNECT_TIMEOUT) ||
	    stream->state == STREAM_RESOLVE || dial_is_waiting(stream))
		return;
	counter_add(stream->proxy->counters, COUNTER_UPSTREAM_CONNECT_FAILURES, 1);
	if (!net_connect_failed_here(error))
		balance_connect_failed(&stream->attempt.endpoint->load, proxy_now_ms(stream->proxy));
}

void attempt_failed(struct stream *stream, enum try_outcome outcome, int error)
{
	bool is_free = attempt_is_free(stream, outcome, error);
	enum retry_verdict verdict;
	uint64_t delay_ns = 0;

	attempt_note_connect(stream, outcome, error);
	if (!is_free)
		outcome_failed(stream, outcome);
	if (outcome == TRY_RESPONSE_BAD)
		counter_add(stream->proxy->counters, COUNTER_BAD_RESPONSES, 1);
	attempt_stop_try(stream);
	stream->attempt.was_refused = outcome == TRY_RESET && stream->back_h2 &&
				      !stream->upstream->h2->is_dead &&
				      stream->back->is_unseen(stream, error);
	if (stream->attempt.was_refused)
		upstream_h2_demote(stream->upstream);
	attempt_drop_upstream(stream, outcome);
	if (is_free) {
		counter_add(stream->proxy->counters, COUNTER_RETRIES_REUSED, 1);
		stream->attempt.free_retries++;
		stream->attempt.is_fresh = true;
		attempt_start(stream);
		return;
	}
	verdict = stream->is_tcp ? RETRY_NO_POLICY : attempt_decide(stream, outcome, &delay_ns);
	if (verdict == RETRY_NO_BUDGET)
		counter_add(stream->proxy->counters, COUNTER_RETRY_BUDGET_EXHAUSTED, 1);
	if (verdict == RETRY_YES)
		attempt_repeat(stream, delay_ns);
	else
		attempt_give_up(stream, outcome, error);
}

/* A final head whose status the retry policy names: true when the try is repeated. */
static bool attempt_retries_status(struct stream *stream)
{
	uint64_t delay_ns;
	enum retry_verdict verdict = attempt_decide(stream, TRY_RESPONSE, &delay_ns);

	if (verdict == RETRY_NO_BUDGET)
		counter_add(stream->proxy->counters, COUNTER_RETRY_BUDGET_EXHAUSTED, 1);
	if (verdict != RETRY_YES)
		return false;
	attempt_stop_try(stream);
	attempt_drop_upstream(stream, TRY_RESPONSE);
	attempt_repeat(stream, delay_ns);
	return true;
}

static bool attempt_take_head(struct stream *stream)
{
	uint16_t status = stream->exchange->response.status;

	if (status < 200 && status != 101) {
		if (++stream->interim_count > LIMIT_INTERIM_RESPONSES) {
			attempt_failed(stream, TRY_RESPONSE_BAD, 0);
			return false;
		}
		return response_interim(stream);
	}
	outcome_response(stream);
	if (attempt_retries_status(stream))
		return false;
	return response_start(stream);
}

static void attempt_on_eof(struct stream *stream, int error)
{
	if (!stream->back->has_response(stream)) {
		attempt_failed(stream, TRY_RESET, error);
		return;
	}
	/* A part of a head: somebody worked on the request, so it is not repeated. */
	outcome_failed(stream, TRY_RESET);
	attempt_stop_try(stream);
	attempt_drop_upstream(stream, TRY_RESET);
	attempt_give_up(stream, TRY_RESET, error);
}

bool attempt_read_response(struct stream *stream)
{
	while (stream->state == STREAM_WAIT_HEAD) {
		enum http_bad bad = BAD_NONE;

		switch (stream->back->read_head(stream, &bad)) {
		case UPSTREAM_HEAD_MORE:
			return true;
		case UPSTREAM_HEAD_DONE:
			if (!attempt_take_head(stream))
				return false;
			break;
		case UPSTREAM_HEAD_BAD:
			attempt_failed(stream, TRY_RESPONSE_BAD, 0);
			return false;
		case UPSTREAM_HEAD_EOF:
			attempt_on_eof(stream, 0);
			return false;
		case UPSTREAM_HEAD_ERROR:
			attempt_on_eof(stream, stream->back->error(stream));
			return false;
		case UPSTREAM_HEAD_MEMORY:
			response_error(stream, 500, SPAN("no memory"), END_INTERNAL);
			return false;
		}
	}
	return true;
}
