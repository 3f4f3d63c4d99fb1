/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/values/access_log_value.h"

#include "config/core/values/condition.h"
#include "user/base/check.h"
#include "user/base/limits.h"

enum { NAME_BYTES_MAX = 64 };

static bool decode_filter(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct access_log_policy *policy = container_of(ret, struct access_log_policy, filter_text);

	if (!decode_lines(d, node, &policy->filter_text))
		return false;
	policy->filter = value_condition(d, node, policy->filter_text, EXPRESSION_AT_END);
	policy->needs |= policy->filter ? policy->filter->needs : 0;
	return policy->filter != NULL;
}

/* Names need no quotes in a line, nor in JSON, whose first three members stay. */
static bool is_name(struct span name)
{
	if (span_eq(name, SPAN("level")) || span_eq(name, SPAN("time")) || span_eq(name, SPAN("scope")))
		return false;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.data[i];

		if (!((c | 0x20) >= 'a' && (c | 0x20) <= 'z') && !(c >= '0' && c <= '9') &&
		    !memchr("._-/", c, 4))
			return false;
	}
	return name.len && name.len <= NAME_BYTES_MAX;
}

/* A member of a map, or {name, expression} in manifests. */
static const struct yaml_node *expression_of(const struct decoder *d, const struct yaml_node *node)
{
	return d->is_manifest ? decode_get(node, "expression") : node;
}

bool value_named_expression(struct decoder *d, const struct yaml_node *node,
			    bool (*is_valid)(struct span name), const char *advice, struct header_pair *pair)
{
	static const struct decode_key keys[] = { KEY("name"), KEY("expression") };
	const struct yaml_node *name_node = node;
	struct span name = node->key;

	if (d->is_manifest) {
		if (!DECODE_MAP(d, node, keys))
			return false;
		name_node = decode_need(d, node, "name", "write the name");
		if (!decode_need(d, node, "expression", "write an expression") ||
		    !decode_string(d, name_node, &name))
			return false;
	}
	if (!is_valid(name)) {
		config_error(d->report, name_node, "%s is not the name of a %s", QUOTE(name), advice);
		return false;
	}
	pair->name = decode_keep(d, name);
	return decode_lines(d, expression_of(d, node), &pair->value);
}

static bool decode_field(struct decoder *d, const struct yaml_node *node, void *ret)
{
	return value_named_expression(
		d, node, is_name,
		"field that is free; write up to 64 letters, digits and ._-/, other than level, "
		"time and scope",
		ret);
}

/* Lists of manifests may repeat a name. Prometheus reads no page on which a sample has a label twice. */
static void refuse_repeats(struct decoder *d, const struct yaml_node *nodes, const struct header_pair *list)
{
	uint32_t at = 0;

	yaml_each(child, nodes) {
		for (uint32_t i = 0; i < at; i++)
			if (span_eq(list[i].name, list[at].name))
				config_error(d->report, child,
					     "has the name %s, as another entry has; remove one",
					     QUOTE(list[at].name));
		at++;
	}
}

const struct expression **value_compile_named(struct decoder *d, const struct yaml_node *nodes,
					      const struct header_pair *list, uint32_t *count,
					      enum expression_point point, uint32_t *needs)
{
	const struct expression **expressions = decode_take(d, *count, sizeof(*expressions));
	uint32_t at = 0;

	if (!nodes || !expressions || *count != nodes->count) {
		*count = 0;
		return NULL;
	}
	refuse_repeats(d, nodes, list);
	yaml_each(child, nodes) {
		const struct expression *expression =
			value_expression(d, expression_of(d, child), list[at].value, point);

		expressions[at++] = expression;
		*needs |= expression ? expression->needs : 0;
	}
	return expressions;
}

static void check_fields(struct decoder *d, const struct yaml_node *node, void *object)
{
	struct access_log_policy *policy = object;

	policy->add_expressions = value_compile_named(d, decode_get(node, "add"), policy->add_list,
						      &policy->add_count, EXPRESSION_AT_END, &policy->needs);
}

/* clang-format off */
#define FIELD_ROWS                                                                                           \
	{ "add", AS_LIST(SCHEMA_PAIRS, struct access_log_policy, add_list, add_count, struct header_pair),   \
	  .element = decode_field, RANGE(0, LIMIT_LOG_FIELDS), .dump = DUMP_NOT_ZERO,                        \
	  .value_doc = "`{name: expression}`",                                                               \
	  .doc = "fields at the end of a line, in place of usual ones of the same name: at most 256 bytes "  \
		 "of the value of an [expression](../docs/expressions.md); left out without a value" },      \
	{ "remove", AS_LIST(SCHEMA_NAMES, struct access_log_policy, remove_list, remove_count, struct span), \
	  .value_doc = "list of names", .dump = DUMP_NOT_ZERO, .doc = "fields to leave out of the log" }
/* clang-format on */

static const struct schema_row access_log_rows[] = {
	{ "filter", AS_TEXT(struct access_log_policy, filter_text), .decode = decode_filter,
	  .dump = DUMP_NOT_ZERO, .value_doc = "condition", .default_doc = "every line is written",
	  .doc = "an [expression](../docs/expressions.md) about a stream that has ended; only lines for "
		 "which it is true are written, as in `response.code >= 400`" },
	FIELD_ROWS,
	{ "otlp", .refusal = NOT_YET_OTLP },
	{ "database", .refusal = NOT_YET_OTLP },
};
const struct schema access_log_schema =
	SCHEMA(access_log_rows, struct access_log_policy, .check = check_fields);

static const struct schema_row attribute_rows[] = { FIELD_ROWS };
static const struct schema attribute_schema =
	SCHEMA(attribute_rows, struct access_log_policy, .check = check_fields);
static const struct schema_row manifest_log_rows[] = {
	{ "attributes", AS_SECTION(struct access_log_policy, &attribute_schema) },
	{ "filter", AS_TEXT(struct access_log_policy, filter_text), .decode = decode_filter },
	{ "otlp", .refusal = NOT_YET_OTLP },
};
const struct schema manifest_access_log_schema = SCHEMA(manifest_log_rows, struct access_log_policy);

/* -------------------------------------------------------------------------------- metrics */

/* Of Prometheus, and not one that the metrics of requests have. */
static bool is_label(struct span name)
{
	static const char *const own[] = { "backend", "protocol", "method", "status",	  "reason", "bind",
					   "gateway", "listener", "route",  "route_rule", "le" };

	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		if (span_eq(name, span_str(own[i])))
			return false;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.data[i];

		if (!((c | 0x20) >= 'a' && (c | 0x20) <= 'z') && c != '_' && !(i && c >= '0' && c <= '9'))
			return false;
	}
	return name.len && name.len <= NAME_BYTES_MAX && !span_starts(name, SPAN("__"));
}

static bool decode_label(struct decoder *d, const struct yaml_node *node, void *ret)
{
	return value_named_expression(
		d, node, is_label,
		"label that is free; write up to 64 letters, digits and _, other than the labels "
		"that the metric has",
		ret);
}

static void check_labels(struct decoder *d, const struct yaml_node *node, void *object)
{
	struct metrics_policy *policy = object;

	policy->add_expressions = value_compile_named(d, decode_get(node, "add"), policy->add_list,
						      &policy->add_count, EXPRESSION_AT_END, &policy->needs);
}

static const struct schema_row metrics_rows[] = {
	{ "add", AS_LIST(SCHEMA_PAIRS, struct metrics_policy, add_list, add_count, struct header_pair),
	  .element = decode_label, RANGE(0, LIMIT_METRIC_LABELS), .dump = DUMP_NOT_ZERO,
	  .need = "write the labels, as in add: {team: 'request.headers[\"x-team\"]'}",
	  .value_doc = "`{label: expression}`",
	  .doc = "labels of `agentgateway_requests_total` and `agentgateway_request_duration_seconds`: "
		 "at most "
		 "64 bytes of the value of an [expression](../docs/expressions.md); `unknown` without one, "
		 "`other` for all but the first 100 values that a worker has seen" },
};
const struct schema metrics_schema = SCHEMA(metrics_rows, struct metrics_policy, .check = check_labels);

static const struct schema_row manifest_metrics_rows[] = {
	{ "attributes", AS_SECTION(struct metrics_policy, &metrics_schema),
	  .need = "write attributes: {add: [{name: ..., expression: ...}]}" },
};
const struct schema manifest_metrics_schema = SCHEMA(manifest_metrics_rows, struct metrics_policy);
