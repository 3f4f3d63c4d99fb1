/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/values/resiliency.h"

#include "config/core/engine/duration.h"
#include "config/core/values/condition.h"
#include "config/core/values/health_value.h"
#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/base/units.h"

/* -------------------------------------------------------------------------------- delay */

/* Digits, units or a sign: intended as a duration, valid or not. */
static bool looks_like_duration(struct span text)
{
	size_t start = text.len && (text.data[0] == '-' || text.data[0] == '+');

	if (text.len == start || text.data[start] < '0' || text.data[start] > '9')
		return false;
	for (size_t i = start; i < text.len; i++) {
		char c = text.data[i];

		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') && c != '.' && (unsigned char)c < 0x80)
			return false;
	}
	return true;
}

static void decode_fixed(struct decoder *d, const struct yaml_node *node, struct span text,
			 struct delay_policy *policy)
{
	enum duration_result result = duration_parse(text, &policy->ns);
	char shown[DURATION_TEXT_BYTES];

	if (result != DURATION_OK)
		config_error(d->report, node, "the duration %s %s", QUOTE(text), duration_advice(result));
	else if (policy->ns > LIMIT_DELAY_MS * NS_PER_MS)
		config_error(d->report, node, "a delay is at most %d minutes, and %s is longer",
			     LIMIT_DELAY_MS / 60000, QUOTE(text));
	else
		policy->text = decode_keep(d, span_of(shown, duration_format(policy->ns, shown)));
}

static void decode_computed(struct decoder *d, const struct yaml_node *node, struct span text,
			    struct delay_policy *policy)
{
	policy->text = decode_keep(d, text);
	policy->expression = value_expression(d, node, policy->text, EXPRESSION_AT_HEAD);
	if (!policy->expression)
		return;
	switch (policy->expression->type) {
	case EXPRESSION_INT:
	case EXPRESSION_DOUBLE:
	case EXPRESSION_DURATION:
		return;
	default:
		break;
	}
	config_error(d->report, node,
		     "the expression %s gives %s; write one that gives a duration or a number of "
		     "milliseconds",
		     QUOTE(text), expression_type_name(policy->expression->type));
}

static bool decode_delay(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct delay_policy *policy = container_of(ret, struct delay_policy, text);
	struct span text;

	if (node->kind == YAML_SCALAR && looks_like_duration(node->text))
		decode_fixed(d, node, node->text, policy);
	else if (decode_lines(d, node, &text))
		decode_computed(d, node, text, policy);
	return true;
}

static const struct schema_row delay_rows[] = {
	{ "duration", AS_TEXT(struct delay_policy, text), .decode = decode_delay,
	  .need = "write one such as duration: 2s",
	  .value_doc = "duration up to `1h`, or an expression whose value is one, or a number of "
		       "milliseconds",
	  .doc = "delays a request before it is answered or sent to a backend; counts against "
		 "`requestTimeout`; redirects are not delayed" },
	{ "probability", .refusal = NOT_YET_PROBABILITY },
};
const struct schema delay_schema = SCHEMA(delay_rows, struct delay_policy);

/* -------------------------------------------------------------------------------- health */

static bool decode_condition(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct health_policy *policy = container_of(ret, struct health_policy, text);
	struct span text;

	if (!decode_lines(d, node, &text))
		return false;
	policy->text = text;
	policy->unhealthy = value_condition(d, node, text, EXPRESSION_AT_RESPONSE);
	return true;
}

static const struct schema_row eviction_rows[] = {
	{ "duration", AS_OPT_DURATION(struct eviction_policy, duration), AT_LEAST(NS_PER_MS),
	  MANIFEST_AT_LEAST(NS_PER_S), .default_doc = "Retry-After, otherwise the backoff, otherwise `3s`",
	  .doc = "length of the first eviction, the second is twice as long, and so on" },
	{ "restoreHealth", AS_SHARE(struct eviction_policy, restore_health),
	  SET_BY(struct eviction_policy, has_restore_health), .default_doc = "unchanged",
	  .doc = "health after the eviction" },
	{ "consecutiveFailures", AS_U32(struct eviction_policy, consecutive_failures), RANGE(1, INT32_MAX),
	  .dump = DUMP_NOT_ZERO, .value_doc = "1 and more", .default_doc = "–",
	  .doc = "this many consecutive failures evict" },
	{ "healthThreshold", AS_SHARE(struct eviction_policy, health_threshold),
	  SET_BY(struct eviction_policy, has_health_threshold),
	  .doc = "lower health evicts; without both keys one failure evicts" },
};
static const struct schema eviction_schema = SCHEMA(eviction_rows, struct eviction_policy);

static const struct schema_row health_rows[] = {
	{ "unhealthyExpression", AS_TEXT(struct health_policy, text), .style = STYLE_STANDALONE,
	  .decode = decode_condition, .dump = DUMP_NOT_ZERO, .value_doc = "condition",
	  .default_doc = "5xx, `grpc-status` other than 0, connection failures",
	  .doc = "a response for which it is true is a failure; it reads `grpc-status` in the head, not "
		 "in trailers" },
	{ "unhealthyCondition", AS_TEXT(struct health_policy, text), .style = STYLE_MANIFEST,
	  .decode = decode_condition },
	{ "unhealthyExpression", .style = STYLE_MANIFEST,
	  .refusal = "is called unhealthyCondition in manifests" },
	{ "unhealthyCondition", .style = STYLE_STANDALONE,
	  .refusal = "is called unhealthyExpression in standalone files" },
	{ "eviction", AS_MAP(struct health_policy, eviction, &eviction_schema, struct eviction_policy),
	  SET_BY(struct health_policy, has_eviction) },
	{ "active", AS_MAP(struct health_policy, active, &health_active_schema, struct health_check),
	  SET_BY(struct health_policy, has_active) },
	{ "passive", AS_MAP(struct health_policy, passive, &health_passive_schema, struct passive_policy),
	  SET_BY(struct health_policy, has_passive) },
	{ "panicThreshold", AS_U32(struct health_policy, panic_percent), RANGE(0, 100), .value_doc = "0..100",
	  .dump = DUMP_NOT_ZERO,
	  .doc = "per cent of endpoints that work; if fewer do, requests go to all; `0`: if none does" },
};

static void check_health(struct decoder *d, const struct yaml_node *node, void *object)
{
	const struct health_policy *policy = object;

	if (policy->has_eviction && policy->has_passive)
		config_error(d->report, decode_get(node, "passive"),
			     "decides like `eviction` when an endpoint gets no requests; write one of them");
}

const struct schema health_schema = SCHEMA(health_rows, struct health_policy, .check = check_health);

/* -------------------------------------------------------------------------------- circuitBreaker */

/*
 * Names of Envoy Gateway. What 0 would mean is not the same in all gateways (none, or no limit), so it is
 * only allowed where it can mean one thing.
 */
static bool decode_limit(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct opt_u64 *limit = container_of(ret, struct opt_u64, value);
	uint64_t number;

	if (!decode_u64(d, node, 0, UINT32_MAX, &number))
		return false;
	if (number == 0) {
		config_error(d->report, node,
			     "0 would let nothing through; leave it out for no limit, or write 1 or more");
		return false;
	}
	*limit = (struct opt_u64){ true, number };
	return true;
}

static void check_breaker(struct decoder *d, const struct yaml_node *node, void *object)
{
	const struct circuit_breaker *breaker = object;

	if (node->kind == YAML_MAP && node->count == 0)
		config_error(d->report, node, "limits nothing; write, for example, maxConnections: 100");
	if (breaker->pending_timeout.is_set && !breaker->max_pending_requests.value)
		config_error(d->report, decode_get(node, "pendingTimeout"),
			     "has no effect, because no request waits; write maxPendingRequests, too");
}

static const struct schema_row per_endpoint_rows[] = {
	{ "maxConnections", AS_OPT_U64(struct circuit_breaker, endpoint_connections), .decode = decode_limit,
	  .need = "write maxConnections: 100, for example", .value_doc = "1 and more",
	  .doc = "connections in use to one endpoint of the backend; while it has so many, requests go to "
		 "the others" },
};
static const struct schema per_endpoint_schema = SCHEMA(per_endpoint_rows, struct circuit_breaker);

static const struct schema_row retry_percent_rows[] = {
	{ "numerator", AS_U32(struct retry_budget, percent.numerator), RANGE(0, INT32_MAX),
	  .need = "write the share, as in numerator: 20", .value_doc = "0 and more",
	  .doc = "per cent, unless `denominator` says otherwise" },
	{ "denominator", AS_U32(struct retry_budget, percent.denominator), RANGE(1, INT32_MAX),
	  .default_value = 100, .value_doc = "1 and more", .doc = "of the numerator" },
};
static const struct schema retry_percent_schema = SCHEMA(retry_percent_rows, struct retry_budget);

static const struct schema_row retry_budget_rows[] = {
	{ "percent", AS_SECTION(struct retry_budget, &retry_percent_schema),
	  SET_BY(struct retry_budget, has_percent), .default_doc = "20 %",
	  .doc = "retries, as a share of the backend's requests under way" },
	{ "minRetryConcurrency", AS_U32(struct retry_budget, min_retries), RANGE(0, INT32_MAX),
	  .default_value = 3, .value_doc = "0 and more",
	  .doc = "retries that are allowed, however few requests are under way" },
};
static const struct schema retry_budget_schema = SCHEMA(retry_budget_rows, struct retry_budget);

static const struct schema_row circuit_breaker_rows[] = {
	{ "maxConnections", AS_OPT_U64(struct circuit_breaker, max_connections), .decode = decode_limit,
	  .value_doc = "1 and more", .default_doc = "`config.limits.connectionsPerBackend`",
	  .doc = "connections in use to all its endpoints; idle ones do not count, nor do further requests "
		 "on an HTTP/2 connection" },
	{ "maxPendingRequests", AS_OPT_U64(struct circuit_breaker, max_pending_requests),
	  RANGE(0, UINT32_MAX), .value_doc = "0 and more", .default_doc = "0",
	  .doc = "requests that wait for a place, first come, first served; beyond it, and with `0`, a "
		 "request that finds another limit reached is refused at once" },
	{ "pendingTimeout", AS_OPT_DURATION(struct circuit_breaker, pending_timeout), AT_LEAST(NS_PER_MS),
	  .default_doc = "`10s`", .doc = "extension: how long a request waits, at most; then it is refused" },
	{ "maxParallelRequests", AS_OPT_U64(struct circuit_breaker, max_parallel_requests),
	  .decode = decode_limit, .value_doc = "1 and more", .default_doc = "no limit",
	  .doc = "HTTP requests under way, WebSockets and CONNECT tunnels included" },
	{ "maxParallelRetries", AS_OPT_U64(struct circuit_breaker, max_parallel_retries),
	  RANGE(0, UINT32_MAX), .value_doc = "0 and more", .default_doc = "no limit",
	  .doc = "attempts of retry policies that wait or are under way; at the limit a failure is final" },
	{ "maxRequestsPerConnection", AS_OPT_U64(struct circuit_breaker, max_requests_per_connection),
	  .decode = decode_limit, .value_doc = "1 and more", .default_doc = "no limit",
	  .doc = "after so many requests a connection is closed; an HTTP/2 one ends its running ones" },
	{ "perEndpoint", AS_SECTION(struct circuit_breaker, &per_endpoint_schema) },
	{ "retryBudget",
	  AS_MAP(struct circuit_breaker, retry_budget, &retry_budget_schema, struct retry_budget),
	  SET_BY(struct circuit_breaker, has_retry_budget) },
};
const struct schema circuit_breaker_schema =
	SCHEMA(circuit_breaker_rows, struct circuit_breaker, .check = check_breaker);
