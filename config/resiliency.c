/* SPDX-License-Identifier: Apache-2.0 */
#include "config/resiliency.h"

#include <errno.h>

#include "config/duration.h"
#include "policy/expression.h"
#include "user/base/check.h"
#include "user/base/limits.h"

#define NS_PER_MS 1000000ull
#define NS_PER_S 1000000000ull

/* -------------------------------------------------------------------------------- expressions */

/* Compiles a text that was kept in the snapshot. */
static const struct expression *compile(struct decoder *d, const struct yaml_node *node, struct span text,
					enum expression_scope scope)
{
	struct expression *expression = decode_take(d, 1, sizeof(*expression));
	char error[EXPRESSION_ERROR_BYTES];
	int result;

	if (!expression || !text.data)
		return NULL;
	result = expression_compile(text, scope, d->arena, expression, error);
	if (result == -ENOMEM)
		d->failed = true;
	else if (result < 0)
		config_error(d->report, node, "the expression %s is not understood %s", QUOTE(text), error);
	return result < 0 ? NULL : expression;
}

/* -------------------------------------------------------------------------------- delay */

/* Digits, units, a sign: meant as a duration, right or wrong. */
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
	enum duration_verdict verdict = duration_parse(text, &policy->ns);
	char shown[DURATION_TEXT_BYTES];

	if (verdict != DURATION_OK)
		config_error(d->report, node, "the duration %s %s", QUOTE(text), duration_advice(verdict));
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
	policy->expression = compile(d, node, policy->text, EXPRESSION_OF_REQUEST);
	if (!policy->expression)
		return;
	switch (policy->expression->type) {
	case EXPRESSION_INT:
	case EXPRESSION_DOUBLE:
	case EXPRESSION_DURATION:
		return;
	case EXPRESSION_NONE:
	case EXPRESSION_BOOL:
	case EXPRESSION_TEXT:
	case EXPRESSION_LIST:
	case EXPRESSION_HEADERS:
		break;
	}
	config_error(d->report, node,
		     "the expression %s gives %s; write one that gives a duration or a number of "
		     "milliseconds",
		     QUOTE(text), expression_type_name(policy->expression->type));
}

const void *resiliency_delay(struct decoder *d, const struct yaml_node *node)
{
	static const struct decode_key keys[] = { KEY("duration"), KEY_LATER("probability") };
	const struct yaml_node *duration;
	struct delay_policy *policy;
	struct span text;

	if (!DECODE_MAP(d, node, keys))
		return NULL;
	policy = decode_take(d, 1, sizeof(*policy));
	duration = decode_need(d, node, "duration", "write one such as duration: 2s");
	if (!policy || !duration)
		return NULL;
	if (duration->kind == YAML_SCALAR && looks_like_duration(duration->text))
		decode_fixed(d, duration, duration->text, policy);
	else if (decode_name(d, duration, &text))
		decode_computed(d, duration, text, policy);
	return policy;
}

/* -------------------------------------------------------------------------------- health */

static bool decode_share(struct decoder *d, const struct yaml_node *node, uint32_t *ret_per_million)
{
	uint32_t percent;

	if (!d->is_manifest)
		return decode_fraction(d, node, ret_per_million);
	if (!decode_u32(d, node, 0, 100, &percent))
		return false;
	*ret_per_million = percent * 10000;
	return true;
}

static void decode_eviction(struct decoder *d, const struct yaml_node *node, struct health_policy *policy)
{
	static const struct decode_key keys[] = { KEY("duration"), KEY("restoreHealth"),
						  KEY("consecutiveFailures"), KEY("healthThreshold") };
	struct eviction_policy *eviction = &policy->eviction;

	if (!DECODE_MAP(d, node, keys))
		return;
	policy->has_eviction = true;
	decode_opt_duration(d, decode_get(node, "duration"), d->is_manifest ? NS_PER_S : NS_PER_MS,
			    &eviction->duration);
	eviction->has_restore_health =
		decode_share(d, decode_get(node, "restoreHealth"), &eviction->restore_health);
	eviction->has_health_threshold =
		decode_share(d, decode_get(node, "healthThreshold"), &eviction->health_threshold);
	decode_u32(d, decode_get(node, "consecutiveFailures"), 1, INT32_MAX, &eviction->consecutive_failures);
}

static void decode_condition(struct decoder *d, const struct yaml_node *node, struct health_policy *policy)
{
	struct span text;

	if (!decode_name(d, node, &text))
		return;
	policy->text = text;
	policy->unhealthy = compile(d, node, text, EXPRESSION_OF_RESPONSE);
	if (policy->unhealthy && policy->unhealthy->type != EXPRESSION_BOOL)
		config_error(d->report, node,
			     "the expression %s gives %s; write a condition such as response.code >= 500",
			     QUOTE(text), expression_type_name(policy->unhealthy->type));
}

const void *resiliency_health(struct decoder *d, const struct yaml_node *node)
{
	static const struct decode_key manifest_keys[] = {
		KEY("unhealthyCondition"),
		KEY_REFUSED("unhealthyExpression", "is called unhealthyCondition in manifests"),
		KEY("eviction"),
		KEY_LATER("active"),
	};
	static const struct decode_key keys[] = {
		KEY("unhealthyExpression"),
		KEY_REFUSED("unhealthyCondition", "is called unhealthyExpression in standalone files"),
		KEY("eviction"),
		KEY_LATER("active"),
	};
	struct health_policy *policy;

	if (!decode_map(d, node, d->is_manifest ? manifest_keys : keys, ARRAY_LEN(keys)))
		return NULL;
	policy = decode_take(d, 1, sizeof(*policy));
	if (!policy)
		return NULL;
	decode_condition(d, decode_get(node, d->is_manifest ? "unhealthyCondition" : "unhealthyExpression"),
			 policy);
	decode_eviction(d, decode_get(node, "eviction"), policy);
	return policy;
}
