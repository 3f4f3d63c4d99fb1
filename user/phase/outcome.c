/* SPDX-License-Identifier: Apache-2.0 */
#include "user/phase/outcome.h"

#include "policy/health.h"
#include "user/base/units.h"
#include "user/stream/facts.h"
#include "user/stream/upstream_side.h"

enum { OUTCOME_LOG_MS = 1000 }; /* minimum interval between log lines about evictions */

static struct endpoint_health *health_of(const struct stream *stream)
{
	return stream_endpoint(stream)->health;
}

/* The eviction time when the policy sets none: the backend's Retry-After, or the retry backoff. */
static uint64_t pause_of(const struct stream *stream, const struct fields *response, uint16_t status)
{
	const struct retry_policy *retry = stream->route ? stream->route->effective.retry : NULL;
	const struct field *after = NULL;
	uint64_t ns = 0;

	if (response && (status == 429 || status == 503))
		after = fields_get(response, FIELD_RETRY_AFTER);
	if (after && retry_after_parse(after->value, proxy_wall_us(stream->proxy) / US_PER_S, &ns) == 0 && ns)
		return ns_to_ms(ns);
	return retry && retry->backoff.is_set ? ns_to_ms(retry->backoff.ns) : 0;
}

static void log_eviction(struct proxy *proxy, const struct endpoint_health *health,
			 const struct stream *stream, uint16_t status, uint64_t eviction_ms)
{
	uint64_t suppressed;

	if (!log_rate_pass(&proxy->eviction_log, proxy_now_ms(proxy), OUTCOME_LOG_MS, &suppressed))
		return;
	log_warn("endpoint %.*s of backend %.*s is evicted for %llu ms by its health policy, the last status "
		 "was %u (%llu more evictions since the last such line)",
		 SPAN_FMT(health->text), SPAN_FMT(stream->backend->backend->name),
		 (unsigned long long)eviction_ms, status, (unsigned long long)suppressed);
}

static void outcome_note(struct stream *stream, const struct fields *response, uint16_t status)
{
	const struct health_policy *policy = stream->backend->health;
	struct endpoint_health *health = health_of(stream);
	struct proxy *proxy = stream->proxy;
	static const struct request_head no_head;
	struct health_outcome outcome = {
		.backend = stream_backend(stream),
		.request = stream->exchange ? &stream->exchange->head : &no_head,
		.response = response,
		.status = status,
		.random = proxy_random(proxy),
		.pause_ms = pause_of(stream, response, status),
	};
	struct stream_facts f;
	uint64_t eviction_ms = 0;

	/* A resumed request has lost the fields that a condition may use. */
	if (!health || (stream->is_resumed && policy->unhealthy))
		return;
	if (policy->unhealthy && stream->exchange &&
	    stream_facts_fill(&f, stream, policy->unhealthy->needs, &stream->exchange->arena) == 0)
		outcome.facts = &f.facts;
	switch (health_record(health, policy, &outcome, proxy_now_ms(proxy), &eviction_ms)) {
	case HEALTH_GOOD:
		return;
	case HEALTH_EVICTED:
		counter_add(proxy->counters, COUNTER_EVICTIONS, 1);
		log_eviction(proxy, health, stream, status, eviction_ms);
		break;
	case HEALTH_BAD:
		break;
	}
	counter_add(proxy->counters, COUNTER_UNHEALTHY, 1);
}

void outcome_response(struct stream *stream)
{
	struct body_framing framing;

	if (!stream->backend->health || stream->upstream_side->framing(stream, &framing) ||
	    (framing.kind == BODY_TUNNEL && !stream->exchange->upgrade.is_wanted))
		return;
	outcome_note(stream, &stream->exchange->response.fields, stream->exchange->response.status);
}

/* False between two attempts, and when the client is the slow side. */
static bool is_backend_late(const struct stream *stream)
{
	if (stream->state == STREAM_WAIT_HEAD)
		return relay_is_finished(&stream->upload) || stream->upstream_side->is_behind(stream);
	return stream->state == STREAM_RESOLVE || stream->state == STREAM_CONNECT;
}

void outcome_failed(struct stream *stream, enum try_outcome outcome)
{
	if (!stream->backend || !stream->backend->health || !stream->attempt.endpoint)
		return;
	switch (outcome) {
	case TRY_CONNECT_FAILED:
	case TRY_DNS_FAILED:
	case TRY_TLS_FAILED:
	case TRY_TLS_VERIFY_FAILED:
	case TRY_RESET:
		outcome_note(stream, NULL, 503);
		break;
	case TRY_CONNECT_TIMEOUT:
	case TRY_TLS_TIMEOUT:
		outcome_note(stream, NULL, 504);
		break;
	case TRY_PER_TRY_TIMEOUT:
	case TRY_REQUEST_TIMEOUT:
		if (is_backend_late(stream))
			outcome_note(stream, NULL, 504);
		break;
	case TRY_RESPONSE_BAD:
		outcome_note(stream, NULL, 502);
		break;
	case TRY_RESPONSE:
	case TRY_BACKEND_FULL:
	case TRY_PENDING_TIMEOUT:
		break;
	}
}

void outcome_connected(struct stream *stream)
{
	if (stream->backend->health)
		outcome_note(stream, NULL, 200);
}
