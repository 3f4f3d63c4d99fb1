/* SPDX-License-Identifier: Apache-2.0 */
#include "user/phase/delay.h"

#include "user/base/clock.h"
#include "user/base/limits.h"
#include "user/base/units.h"
#include "user/stream/facts.h"

#define DELAY_MAX_NS (LIMIT_DELAY_MS * NS_PER_MS)

static uint64_t ns_of_ms(double ms)
{
	if (!(ms > 0))
		return 0;
	return ms < LIMIT_DELAY_MS ? (uint64_t)(ms * (double)NS_PER_MS) : DELAY_MAX_NS;
}

static uint64_t delay_of_value(struct expression_value value)
{
	switch (value.type) {
	case EXPRESSION_INT:
		return ns_of_ms((double)value.whole);
	case EXPRESSION_DOUBLE:
		return ns_of_ms(value.decimal);
	case EXPRESSION_DURATION:
		return value.duration_ns < DELAY_MAX_NS ? value.duration_ns : DELAY_MAX_NS;
	default:
		return 0;
	}
}

/* In nanoseconds. An expression without a value, or with one not above 0, causes no delay. */
static uint64_t delay_of_request(const struct delay_policy *policy, struct stream *stream)
{
	struct stream_facts f;

	if (!policy->expression)
		return policy->ns;
	if (stream_facts_fill(&f, stream, policy->expression->needs, &stream->exchange->arena) != 0)
		return 0;
	return delay_of_value(expression_evaluate(policy->expression, &f.facts));
}

bool delay_start(struct stream *stream)
{
	const struct delay_policy *policy = stream->route->effective.delay;
	struct proxy *proxy = stream->proxy;
	uint64_t ns = policy ? delay_of_request(policy, stream) : 0;

	if (ns == 0)
		return false;
	counter_add(proxy->counters, COUNTER_DELAYS, 1);
	/* Count the processing time before the delay only. */
	histogram_add(&proxy->counters->request_processing, &histogram_processing,
		      clock_now_ns() - stream->start_ns);
	stream->exchange->user.delay_ms = (uint32_t)ns_to_ms(ns); /* at most LIMIT_DELAY_MS */
	stream->exchange->delay_end_ms = proxy_now_ms(proxy) + stream->exchange->user.delay_ms;
	stream_set_state(stream, STREAM_DELAY);
	return true;
}
