/* SPDX-License-Identifier: Apache-2.0 */
#include "user/phase/attempt.h"

#include <errno.h>
#include <stdio.h>

#include "policy/circuit_breaker.h"
#include "policy/guard/backend_auth.h"
#include "user/base/limits.h"
#include "user/base/units.h"
#include "user/phase/attempt_dial.h"
#include "user/phase/connect_tunnel.h"
#include "user/phase/endpoint_choice.h"
#include "user/phase/outcome.h"
#include "user/phase/replay_body.h"
#include "user/phase/transform.h"
#include "user/stream/attempt_hold.h"
#include "user/stream/downstream.h"
#include "user/stream/facts.h"
#include "user/stream/internal_fields.h"
#include "user/stream/step.h"
#include "user/stream/tracing.h"
#include "user/stream/upstream_side.h"
#include "user/tls/session.h"
#include "user/upstream/upstream.h"

/*
 * Credentials are in a copy: what reads the request afterwards, such as an expression, must not see them.
 * -ENOTSUP: the request has no place for them.
 */
static int attempt_send_head(struct stream *stream)
{
	const struct backend_auth_policy *auth = stream->backend->auth;
	struct exchange *exchange = stream->exchange;
	struct request_head plain = exchange->head;
	struct arena *arena = &exchange->response_arena;
	int error;

	if (!auth)
		return stream->upstream_side->send_head(stream);
	error = fields_clone(&plain.fields, arena, &exchange->head.fields);
	if (!error)
		error = backend_auth_apply(auth, exchange->identity.token, &exchange->head, arena);
	if (error == -EINVAL)
		error = -ENOTSUP;
	if (!error)
		error = stream->upstream_side->send_head(stream);
	exchange->head = plain;
	return error;
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
	if ((internal_fields_are_wanted(stream) && internal_fields_add(stream) < 0) ||
	    tracing_attempt_head(stream) < 0)
		return -ENOMEM;
	return attempt_send_head(stream);
}

static int attempt_begin_upload(struct stream *stream)
{
	const struct body_framing *framing = &stream->exchange->request_framing;
	enum relay_encoding encoding = stream->upstream_side->encoding(stream);
	bool keeps = attempt_keeps_body(stream);
	int error = 0;

	stream->upload_dead = false;
	if (stream->upload.state != RELAY_OFF) {
		/* A guard may have held the beginning before there was a route. */
		attempt_limit_body(stream);
		stream->exchange->replay.is_spare = !keeps;
		error = relay_replay(&stream->upload, stream->upstream_side->end(stream), encoding);
	} else {
		stream->upload.replay = keeps ? &stream->exchange->replay : NULL;
		relay_start(&stream->upload, stream->downstream->end(stream),
			    stream->upstream_side->end(stream), framing, encoding,
			    stream->lease->snapshot->config.splice.lane_pipe, proxy_now_ms(stream->proxy));
		attempt_limit_body(stream);
	}
	if (!error)
		stream_offer_sockmap(stream, &stream->upload, false);
	return error;
}

enum stream_step attempt_send(struct stream *stream)
{
	int error;

	if (stream->is_tcp) {
		outcome_connected(stream);
		return STEP_TUNNEL;
	}
	if (connect_tunnel_is_asked(stream))
		return connect_tunnel_start(stream);
	error = attempt_write_head(stream);
	if (!error)
		error = attempt_begin_upload(stream);
	if (error == -ENOTSUP)
		return step_reply_kind(stream, 501, SPAN("not supported here"),
				       SPAN("OPTIONS * has no query for the parameter of backendAuth"),
				       END_REQUEST_BAD);
	if (error == -ENOMEM || error == -EINVAL || error == -ENOBUFS)
		return step_reply(stream, 500, SPAN("the request head could not be written"), END_INTERNAL);
	stream_set_state(stream, STREAM_WAIT_HEAD);
	return STEP_PUMP;
}

enum stream_step attempt_start(struct stream *stream)
{
	const struct backend_tls *tls = stream->backend->tls;

	attempt_leave_endpoint(stream);
	/* Never fall back to plain text or to weaker settings. */
	if (tls && tls->invalid_reason.len)
		return step_reply_kind(stream, 500, SPAN("TLS to the backend cannot be set up"),
				       tls->invalid_reason, END_BACKEND_TLS_INVALID);
	attempt_begin_try(stream);
	if (stream->exchange)
		arena_reset(&stream->exchange->response_arena);
	tracing_attempt_begin(stream);
	if (!attempt_admit(stream))
		return attempt_overload(stream);
	switch (place_choose(stream)) {
	case 0:
		return attempt_dial(stream);
	case -EACCES:
		return attempt_forbid(stream);
	case -EINVAL:
		return step_reply(stream, 400, SPAN("the request names no host to reach"), END_REQUEST_BAD);
	default:
		return step_reply(stream, 500, SPAN("no memory"), END_INTERNAL);
	}
}

static enum stream_step attempt_give_up(struct stream *stream);

enum stream_step attempt_again(struct stream *stream)
{
	struct attempt *attempt = &stream->attempt;
	int error;

	if (attempt->is_retry) {
		/* The client may have closed during the pause. */
		if (stream->downstream->has_closed(stream)) {
			attempt_drop(stream);
			return attempt_give_up(stream);
		}
		attempt->retries_done++;
		counter_add(stream->proxy->counters, COUNTER_RETRIES, 1);
		proxy_trace(stream->proxy, stream->id, TRACE_RETRY, attempt->retries_done, 0);
	}
	place_add_previous_host(stream);
	error = place_change_backend(stream);
	return error ? transform_failed(stream, error) : STEP_ATTEMPT;
}

/* ------------------------------------------------------------------------------------ what failed */

static bool attempt_can_replay(const struct stream *stream)
{
	/* A resumed request cannot be repeated: its head is in the crashed process. */
	return !stream->head_sent && !stream->is_resumed && relay_can_replay(&stream->upload);
}

/*
 * True if a free repeat is safe. A reused connection died without a response byte: the backend closed it
 * while the request was in flight. The repeat is safe if the method is idempotent (RFC 9110 9.2.2), or if the
 * backend did not see the request. A stream that the backend reports as not processed (RFC 9113 8.7) counts
 * as never sent.
 */
static bool attempt_is_free(const struct stream *stream, enum try_outcome outcome, int error)
{
	bool is_unseen;

	if (outcome != TRY_RESET || !stream->upstream || stream->upstream_side->has_response(stream) ||
	    stream->attempt.free_retries >= LIMIT_FREE_RETRIES || !attempt_can_replay(stream))
		return false;
	is_unseen = stream->upstream_side->is_unseen(stream, error);
	/* On a live connection the backend reset the stream on purpose. */
	if (stream->upstream_side->is_shared && (is_unseen || stream->upstream_side->is_alive(stream)))
		return is_unseen;
	if (!stream->upstream->served)
		return false;
	return is_unseen || method_is_idempotent(stream->exchange->head.method);
}

/*
 * True if the attempt may move. A refused connection has reached no backend: the request goes to another
 * endpoint once, whatever its method and without a policy.
 */
static bool attempt_may_move(struct stream *stream, enum try_outcome outcome, int error)
{
	if (outcome != TRY_CONNECT_FAILED || (error != -ECONNREFUSED && error != -ENOENT) ||
	    stream->attempt.was_moved || (!stream->is_tcp && !attempt_can_replay(stream)))
		return false;
	place_add_previous_host(stream);
	return stream->attempt.previous_hosts && place_has_elsewhere(stream);
}

static enum stream_step attempt_move(struct stream *stream)
{
	stream->attempt.was_moved = true;
	counter_add(stream->proxy->counters, COUNTER_RETRIES_ELSEWHERE, 1);
	return STEP_ATTEMPT_AGAIN;
}

/* The retries of a backend, if they are limited. */
static struct quota *attempt_retry_quota(const struct stream *stream, uint64_t *ret_most)
{
	const struct circuit_breaker *breaker = stream->backend->breaker;
	struct quota *quota = stream->backend->backend->quota;

	if (!breaker || !quota || (!breaker->max_parallel_retries.is_set && !breaker->has_retry_budget))
		return NULL;
	/* This request is one of them, also after its attempt has failed. */
	*ret_most = circuit_breaker_retries(breaker,
					    atomic_load_explicit(&quota->requests, memory_order_relaxed) +
						    !stream->attempt.is_request_counted);
	return quota;
}

/* Other workers may decide at the same time: one more each. */
static bool attempt_retries_are_full(const struct stream *stream)
{
	uint64_t most = 0, others;
	struct quota *quota = attempt_retry_quota(stream, &most);

	if (!quota)
		return false;
	others = atomic_load_explicit(&quota->retries, memory_order_relaxed);
	/* The retry whose response is judged still has its own place. */
	if (stream->exchange->retry_quota == quota)
		others--;
	return others >= most;
}

/* An expression that gives up is no reason to send the request again. */
static bool attempt_fits_condition(struct stream *stream, const struct retry_policy *policy)
{
	const struct response_head *response = &stream->exchange->response;
	struct stream_facts f;

	if (!retry_asks_condition(policy, response->status) ||
	    stream_facts_fill(&f, stream, policy->condition->needs, &stream->exchange->arena) < 0)
		return false;
	f.facts.response_fields = &response->fields;
	f.facts.response_code = response->status;
	return expression_test(policy->condition, &f.facts) == EXPRESSION_IS_TRUE;
}

static enum retry_decision attempt_decide(struct stream *stream, enum try_outcome outcome,
					  uint64_t *ret_delay_ns)
{
	const struct static_config *config = &stream->lease->snapshot->config;
	const struct retry_policy *policy = stream->exchange->retry;
	const struct field *after = NULL;
	enum retry_decision decision;
	struct retry_facts facts = {
		.outcome = outcome,
		.status = outcome == TRY_RESPONSE ? stream->exchange->response.status : 0,
		.retries_done = stream->attempt.retries_done,
		.can_replay = attempt_can_replay(stream),
		.is_sending = !stream_has_whole_request(stream),
		.active_requests = stream->proxy->active_requests,
		.active_retries = stream->proxy->active_retries,
		.random = proxy_random(stream->proxy),
	};

	/* MCP tools are not idempotent, and nothing shows whether a call has begun: no repeats. */
	if (internal_fields_are_wanted(stream))
		policy = NULL;
	if (outcome == TRY_RESPONSE) {
		after = fields_get(&stream->exchange->response.fields, FIELD_RETRY_AFTER);
		facts.fits_condition = attempt_fits_condition(stream, policy);
	}
	if (after)
		facts.has_retry_after =
			retry_after_parse(after->value, proxy_wall_us(stream->proxy) / US_PER_S,
					  &facts.retry_after_ns) == 0;
	decision = retry_decide(policy, &config->retry, &facts, ret_delay_ns);
	if (decision != RETRY_YES && decision <= RETRY_NO_CLIENT)
		return decision;
	if (decision == RETRY_YES && attempt_retries_are_full(stream)) {
		counter_limit(stream->proxy->counters, stream->backend->breaker->has_retry_budget
							       ? LIMIT_KIND_BREAKER_BUDGET
							       : LIMIT_KIND_BREAKER_RETRIES);
		return RETRY_NO_QUOTA;
	}
	/* has_closed() makes a system call: ask last, when it decides. */
	facts.client_has_closed = stream->downstream->has_closed(stream);
	return facts.client_has_closed ? RETRY_NO_CLIENT : decision;
}

static void attempt_count(struct stream *stream, enum retry_decision decision)
{
	if (decision == RETRY_NO_BUDGET)
		counter_add(stream->proxy->counters, COUNTER_RETRY_BUDGET_EXHAUSTED, 1);
	else if (decision == RETRY_NO_REPLAY)
		counter_add(stream->proxy->counters, COUNTER_RETRY_NO_BODY, 1);
}

static void attempt_drop_upstream(struct stream *stream, enum try_outcome outcome)
{
	relay_detach(&stream->upload);
	/* After a timeout, a reset tells the backend to stop working on the abandoned request. */
	if (stream->upstream)
		stream->upstream_side->drop(stream,
					    outcome == TRY_PER_TRY_TIMEOUT || outcome == TRY_REQUEST_TIMEOUT);
}

static enum stream_step attempt_repeat(struct stream *stream, uint64_t delay_ns)
{
	struct attempt *attempt = &stream->attempt;
	uint64_t delay_ms = ns_to_ms(delay_ns), most;

	if (attempt->needs_pause && delay_ms < LIMIT_RETRY_PAUSE_MS)
		delay_ms = LIMIT_RETRY_PAUSE_MS;
	attempt->needs_pause = false;
	attempt->is_retry = true;
	stream->proxy->active_retries++;
	attempt_drop_retry(stream);
	stream->exchange->retry_quota = attempt_retry_quota(stream, &most);
	if (stream->exchange->retry_quota)
		(void)quota_take(&stream->exchange->retry_quota->retries, UINT64_MAX);
	if (delay_ms == 0)
		return STEP_ATTEMPT_AGAIN;
	stream->exchange->backoff_end_ms = proxy_now_ms(stream->proxy) + delay_ms;
	stream_set_state(stream, STREAM_BACKOFF);
	return STEP_WAIT;
}

#define CALL_FAILED "upstream call failed: "

static struct span attempt_error_text(struct stream *stream, const char *what, struct span why)
{
	char text[64 + TLS_FAULT_BYTES];
	int len = snprintf(text, sizeof(text), CALL_FAILED "%s: %.*s", what, SPAN_FMT(why));

	return arena_copy(&stream->exchange->arena,
			  span_of(text, (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1));
}

/* The TLS library's text may name certificates and addresses: it is for the log only. */
static enum stream_step attempt_reply_failed(struct stream *stream, const char *what, const char *kind,
					     enum end_reason reason)
{
	int error = stream->attempt.failed_error;
	const char *why = error ? strerrordesc_np(-error) : NULL;
	struct span fault = { 0 };

	/* A tunnel has no response. */
	if (!stream->exchange)
		return step_reply(stream, 503, fault, reason);
	if (stream->exchange->fault.len)
		fault = attempt_error_text(stream, what, stream->exchange->fault);
	if (!kind)
		kind = why ? why : "failed";
	return step_reply_kind(stream, 503, attempt_error_text(stream, what, span_str(kind)), fault, reason);
}

/* No attempt follows. */
static enum stream_step attempt_give_up(struct stream *stream)
{
	int error = stream->attempt.failed_error;

	switch (stream->attempt.failed_outcome) {
	case TRY_CONNECT_FAILED:
		return attempt_reply_failed(stream, "Connect", NULL, END_CONNECT_REFUSED);
	case TRY_BACKEND_FULL:
		if (stream->attempt.is_overloaded)
			return step_reply(stream, 503, SPAN("the backend is overloaded"),
					  error == -ENOBUFS ? END_PENDING_OVERFLOW : END_BACKEND_OVERLOADED);
		return step_reply(stream, 503, SPAN("too many connections to the backend"),
				  END_BACKEND_LIMIT);
	case TRY_PENDING_TIMEOUT:
		return step_reply(stream, 503, SPAN("the backend is overloaded"), END_PENDING_TIMEOUT);
	case TRY_TLS_FAILED:
		return attempt_reply_failed(stream, "Connect", "the TLS handshake failed",
					    END_BACKEND_TLS_FAILED);
	case TRY_TLS_VERIFY_FAILED:
		return attempt_reply_failed(stream, "Connect", "the backend's certificate is not valid",
					    END_BACKEND_TLS_UNVERIFIED);
	case TRY_CONNECT_TIMEOUT:
		return step_reply(stream, 504, SPAN("upstream call timeout"), END_CONNECT_TIMEOUT);
	case TRY_TLS_TIMEOUT:
		return step_reply(stream, 504, SPAN("upstream call timeout"), END_BACKEND_TLS_TIMEOUT);
	case TRY_PER_TRY_TIMEOUT:
		return step_reply(stream, 504, SPAN("upstream call timeout"), END_PER_TRY_TIMEOUT);
	case TRY_DNS_FAILED:
		return step_reply(stream, 503, SPAN("backends required DNS resolution which failed"),
				  END_DNS_FAILED);
	case TRY_RESET:
		return attempt_reply_failed(
			stream, "SendRequest", error ? NULL : "connection closed before message completed",
			error ? conn_end_reason(error, END_UPSTREAM_RST) : END_UPSTREAM_FIN);
	case TRY_RESPONSE_BAD:
		return step_reply(stream, 502, SPAN(CALL_FAILED "malformed response"), END_RESPONSE_BAD);
	case TRY_REQUEST_TIMEOUT:
		return step_reply(stream, 504, SPAN("request timeout"), END_REQUEST_TIMEOUT);
	case TRY_RESPONSE:
		/* The body is gone; a success status without it would be wrong, so send 503. */
		return step_reply(stream,
				  stream->exchange->response.status < 400 ? 503
									  : stream->exchange->response.status,
				  SPAN("no other attempt: the client has closed its side"), END_CLIENT_FIN);
	}
	return STEP_WAIT;
}

/* The retry policy repeats responses with this status. */
static enum stream_step attempt_repeat_response(struct stream *stream)
{
	attempt_drop(stream);
	relay_detach(&stream->upload);
	stream->upstream_side->discard(stream);
	return attempt_repeat(stream, stream->exchange->repeat_pause_ns);
}

/* Part of a head was received: the backend worked on the request, so it is not repeated. */
static enum stream_step attempt_break_off(struct stream *stream)
{
	outcome_failed(stream, TRY_RESET);
	attempt_drop(stream);
	attempt_drop_upstream(stream, TRY_RESET);
	return attempt_give_up(stream);
}

static enum stream_step attempt_take_failure(struct stream *stream)
{
	enum try_outcome outcome = stream->attempt.failed_outcome;
	int error = stream->attempt.failed_error;
	bool is_free = attempt_is_free(stream, outcome, error);
	enum retry_decision decision;
	uint64_t delay_ns = 0;

	if (!is_free)
		outcome_failed(stream, outcome);
	if (outcome == TRY_RESPONSE_BAD)
		counter_add(stream->proxy->counters, COUNTER_BAD_RESPONSES, 1);
	attempt_drop(stream);
	stream->attempt.was_refused =
		outcome == TRY_RESET && stream->upstream && stream->upstream_side->is_shared &&
		stream->upstream_side->is_alive(stream) && stream->upstream_side->is_unseen(stream, error);
	if (stream->attempt.was_refused)
		stream->upstream_side->demote(stream);
	attempt_drop_upstream(stream, outcome);
	if (is_free) {
		counter_add(stream->proxy->counters, COUNTER_RETRIES_REUSED, 1);
		stream->attempt.free_retries++;
		stream->attempt.is_fresh = true;
		return STEP_ATTEMPT;
	}
	decision = stream->is_tcp ? RETRY_NO_POLICY : attempt_decide(stream, outcome, &delay_ns);
	if (decision != RETRY_YES && attempt_may_move(stream, outcome, error))
		return attempt_move(stream);
	attempt_count(stream, decision);
	return decision == RETRY_YES ? attempt_repeat(stream, delay_ns) : attempt_give_up(stream);
}

enum stream_step attempt_failed(struct stream *stream)
{
	tracing_attempt_failed(stream);
	if (stream->attempt.failed_outcome == TRY_RESPONSE)
		return attempt_repeat_response(stream);
	if (stream->attempt.failed_outcome == TRY_RESET && stream->upstream &&
	    stream->upstream_side->has_response(stream))
		return attempt_break_off(stream);
	return attempt_take_failure(stream);
}

/*
 * With TLS 1.3 the backend verifies our certificate after our side of the handshake is complete (RFC 8446
 * 4.4.2): its alert comes instead of the first response byte, and it has read nothing of the request.
 */
static bool attempt_is_refused(struct stream *stream, int error)
{
	const struct conn *conn = &stream->upstream->conn;
	const struct tls_session *session = conn_tls(conn);

	if (error != -EPROTO || !session || conn->received_bytes)
		return false;
	attempt_note_fault(stream, tls_session_fault(session));
	counter_add(stream->proxy->counters, COUNTER_UPSTREAM_TLS_FAILURES, 1);
	balance_connect_failed(&stream->attempt.endpoint->shared->load, proxy_now_ms(stream->proxy));
	return true;
}

/*
 * A final head: the attempt is repeated if the retry policy names its status, otherwise it is the response.
 */
static enum stream_step attempt_take_final(struct stream *stream)
{
	uint64_t delay_ns;
	enum retry_decision decision = attempt_decide(stream, TRY_RESPONSE, &delay_ns);

	attempt_count(stream, decision);
	if (decision != RETRY_YES)
		return STEP_RESPONSE;
	stream->exchange->repeat_pause_ns = delay_ns;
	return step_fail(stream, TRY_RESPONSE, 0);
}

/* STEP_WAIT, or STEP_END if the client is gone. */
static enum stream_step attempt_pass_interim(struct stream *stream)
{
	int error = stream->downstream->send_interim(stream);

	arena_reset(&stream->exchange->response_arena);
	if (!error)
		return STEP_WAIT;
	return step_end(stream, stream->downstream->check(stream) < 0 ? END_CLIENT_RST : END_INTERNAL,
			STREAM_END_RESET);
}

static enum stream_step attempt_take_head(struct stream *stream)
{
	uint16_t status = stream->exchange->response.status;

	if (internal_fields_are_wanted(stream))
		internal_fields_take(stream);
	if (status == INTERNAL_FIELDS_STATUS && internal_fields_are_wanted(stream)) {
		arena_reset(&stream->exchange->response_arena);
		/* A FIN that arrived together with the request has no event of its own. */
		return internal_fields_client_left(stream)
			       ? step_end(stream, END_CLIENT_GAVE_UP, STREAM_END_RESET)
			       : STEP_WAIT;
	}
	if (status >= 200 || status == 101) {
		stream->head_us = stream_us_since(stream, stream->start_ns);
		tracing_attempt_response(stream, status);
		outcome_response(stream);
		return attempt_take_final(stream);
	}
	if (++stream->interim_count > LIMIT_INTERIM_RESPONSES)
		return step_fail(stream, TRY_RESPONSE_BAD, 0);
	return attempt_pass_interim(stream);
}

static enum stream_step attempt_on_eof(struct stream *stream, int error)
{
	bool is_refused = !stream->upstream_side->has_response(stream) && attempt_is_refused(stream, error);

	return step_fail(stream, is_refused ? TRY_TLS_FAILED : TRY_RESET, error);
}

enum stream_step attempt_read_response(struct stream *stream)
{
	enum stream_step step = STEP_WAIT;

	while (stream->state == STREAM_WAIT_HEAD && step == STEP_WAIT) {
		enum http_error http_error = HTTP_ERROR_NONE;

		switch (stream->upstream_side->read_head(stream, &http_error)) {
		case UPSTREAM_HEAD_MORE:
			return STEP_WAIT;
		case UPSTREAM_HEAD_DONE:
			step = attempt_take_head(stream);
			break;
		case UPSTREAM_HEAD_BAD:
			return step_fail(stream, TRY_RESPONSE_BAD, 0);
		case UPSTREAM_HEAD_EOF:
			return attempt_on_eof(stream, 0);
		case UPSTREAM_HEAD_ERROR:
			return attempt_on_eof(stream, stream->upstream_side->error(stream));
		case UPSTREAM_HEAD_MEMORY:
			return step_reply(stream, 500, SPAN("no memory"), END_INTERNAL);
		}
	}
	return step;
}
