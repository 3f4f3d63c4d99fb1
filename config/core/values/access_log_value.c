/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/values/access_log_value.h"

#include "config/core/values/callout_value.h"
#include "config/core/values/condition.h"
#include "config/core/values/otlp_value.h"
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
#define ADD_LIST(object, log)                                                                                \
	AS_LIST(SCHEMA_PAIRS, object, log add_list, log add_count, struct header_pair),                      \
	.element = decode_field, RANGE(0, LIMIT_LOG_FIELDS), .dump = DUMP_NOT_ZERO
#define REMOVE_LIST(object, log)                                                                             \
	AS_LIST(SCHEMA_NAMES, object, log remove_list, log remove_count, struct span), .dump = DUMP_NOT_ZERO
#define FIELD_ROWS                                                                                           \
	{ "add", ADD_LIST(struct access_log_policy, ),                                                       \
	  .value_doc = "`{name: expression}`",                                                               \
	  .doc = "fields at the end of a line, in place of usual ones of the same name: at most 256 bytes "  \
		 "of the value of an [expression](../docs/expressions.md); left out without a value" },      \
	{ "remove", REMOVE_LIST(struct access_log_policy, ), .value_doc = "list of names",                   \
	  .doc = "fields to leave out of the log" }
/* clang-format on */

/* -------------------------------------------------------------------------------- the collector */

static void check_otlp_fields(struct decoder *d, const struct yaml_node *node, void *object)
{
	struct access_log_otlp *otlp = object;

	check_fields(d, node, &otlp->log);
}

static void check_otlp(struct decoder *d, const struct yaml_node *node, void *object)
{
	struct access_log_otlp *otlp = object;

	value_otlp_check(d, node, &otlp->target);
}

/* clang-format off */
static const struct schema_row otlp_field_rows[] = {
	{ "add", ADD_LIST(struct access_log_otlp, log.), .value_doc = "`{name: expression}`",
	  .doc = "as `accessLog.add`, with at most 1024 bytes of a text; numbers, `true` and `false` keep "
		 "their type" },
	{ "remove", REMOVE_LIST(struct access_log_otlp, log.), .value_doc = "list of names",
	  .doc = "as `accessLog.remove`" },
};
static const struct schema otlp_field_schema =
	SCHEMA(otlp_field_rows, struct access_log_otlp, .check = check_otlp_fields);

#define OTLP_FIELDS AS_SECTION(struct access_log_otlp, &otlp_field_schema)                                   \
		, SET_BY(struct access_log_otlp, has_fields)
static const struct schema_row otlp_rows[] = {
	CALLOUT_TARGET_ROWS(struct access_log_otlp),
	{ "filter", AS_TEXT(struct access_log_otlp, log.filter_text), .decode = decode_filter,
	  SET_BY(struct access_log_otlp, has_filter), .value_doc = "condition",
	  .default_doc = "`accessLog.filter`",
	  .doc = "an [expression](../docs/expressions.md); only entries for which it is true are sent" },
	{ "fields", OTLP_FIELDS, .style = STYLE_STANDALONE },
	{ "attributes", OTLP_FIELDS, .style = STYLE_MANIFEST },
	{ "resources", OTLP_RESOURCE_LIST(struct access_log_otlp), .style = STYLE_STANDALONE,
	  .default_doc = "`service.name`: `OTEL_SERVICE_NAME`, else `headgate`",
	  .doc = "as `tracing.resources`" },
	OTLP_TARGET_ROWS(struct access_log_otlp, "/v1/logs"),
};
/* clang-format on */
const struct schema access_log_otlp_schema = SCHEMA(otlp_rows, struct access_log_otlp, .check = check_otlp);

static bool decode_otlp(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct access_log_policy *policy = ret;

	policy->otlp = schema_decode_new(d, node, &access_log_otlp_schema);
	return policy->otlp != NULL;
}

#define OTLP_ROW                                                                                             \
	{                                                                                                    \
		"otlp", AS_REST(struct access_log_policy), .decode = decode_otlp,                            \
							   .child = &access_log_otlp_schema                  \
	}

static const struct schema_row access_log_rows[] = {
	{ "filter", AS_TEXT(struct access_log_policy, filter_text), .decode = decode_filter,
	  .dump = DUMP_NOT_ZERO, .value_doc = "condition", .default_doc = "every line is written",
	  .doc = "an [expression](../docs/expressions.md) about a stream that has ended; only lines for "
		 "which it is true are written, as in `response.code >= 400`" },
	FIELD_ROWS,
	OTLP_ROW,
	{ "database", .refusal = NOT_YET_DATABASE_LOGGING },
};
const struct schema access_log_schema =
	SCHEMA(access_log_rows, struct access_log_policy, .check = check_fields);

static const struct schema_row attribute_rows[] = { FIELD_ROWS };
static const struct schema attribute_schema =
	SCHEMA(attribute_rows, struct access_log_policy, .check = check_fields);
static const struct schema_row manifest_log_rows[] = {
	{ "attributes", AS_SECTION(struct access_log_policy, &attribute_schema) },
	{ "filter", AS_TEXT(struct access_log_policy, filter_text), .decode = decode_filter },
	OTLP_ROW,
};
static const struct schema manifest_schema = SCHEMA(manifest_log_rows, struct access_log_policy);

/* What is not written is as for the lines. */
static void inherit(struct access_log_policy *policy)
{
	struct access_log_otlp *otlp = policy->otlp;
	struct access_log_policy own = otlp->log;

	otlp->log = *policy;
	otlp->log.otlp = NULL;
	if (otlp->has_filter) {
		otlp->log.filter_text = own.filter_text;
		otlp->log.filter = own.filter;
	}
	if (otlp->has_fields) {
		otlp->log.add_list = own.add_list;
		otlp->log.add_expressions = own.add_expressions;
		otlp->log.add_count = own.add_count;
		otlp->log.remove_list = own.remove_list;
		otlp->log.remove_count = own.remove_count;
	}
	policy->needs |= own.needs;
}

struct access_log_policy *
value_access_log(struct decoder *d, const struct yaml_node *node,
		 struct backend_ref *(*fn)(void *context, const struct yaml_node *node), void *context)
{
	struct access_log_policy *policy =
		schema_decode_new(d, node, d->is_manifest ? &manifest_schema : &access_log_schema);

	if (!policy || !policy->otlp)
		return policy;
	inherit(policy);
	/* Without it everybody would read in the log what the rest removes. */
	if (!value_callout_target(d, decode_get(node, "otlp"), policy->otlp->target.protocol == OTLP_GRPC, fn,
				  context, &policy->otlp->target.ref))
		policy->otlp = NULL;
	return policy;
}

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
