/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/values/tracing_value.h"

#include <stdlib.h>
#include <string.h>

#include "config/build.h"
#include "config/core/engine/expand.h"
#include "config/core/values/access_log_value.h"
#include "config/core/values/callout_value.h"
#include "config/core/values/condition.h"
#include "config/core/values/otlp_value.h"
#include "config/core/values/resource_value.h"
#include "config/core/values/url_value.h"
#include "config/core/values/values.h"
#include "user/base/char_class.h"
#include "user/base/check.h"
#include "user/base/limits.h"

enum {
	PER_MILLION = 1000000,
};

/* -------------------------------------------------------------------------------- sampling */

/* A negative one, too: as an expression it would be a share that no request is in. */
static bool is_decimal(struct span text)
{
	if (text.len > 1 && text.data[0] == '-')
		text = span_from(text, 1);
	for (size_t i = 0; i < text.len; i++)
		if (!(text.data[i] >= '0' && text.data[i] <= '9') && text.data[i] != '.')
			return false;
	return text.len > 0;
}

static bool decode_share(struct decoder *d, const struct yaml_node *node, uint32_t *ret_per_million)
{
	struct yaml_node plain = *node;

	plain.is_quoted = false;
	return decode_fraction(d, &plain, ret_per_million);
}

static bool decode_rate(struct decoder *d, const struct yaml_node *node, struct sampling *sampling)
{
	sampling->expression = value_expression(d, node, sampling->text, EXPRESSION_AT_HEAD);
	if (!sampling->expression)
		return false;
	switch (sampling->expression->type) {
	case EXPRESSION_BOOL:
	case EXPRESSION_INT:
	case EXPRESSION_DOUBLE:
	case EXPRESSION_DYNAMIC:
		return true;
	default:
		config_error(
			d->report, node,
			"the expression %s gives %s; write one that gives true, false or a share from 0 to 1",
			QUOTE(sampling->text), expression_type_name(sampling->expression->type));
		return false;
	}
}

/* true, false, a share from 0 to 1, or an expression that gives one of these. */
static bool decode_sampling(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct sampling *sampling = container_of(ret, struct sampling, text);
	struct span text = node->kind == YAML_SCALAR ? span_trim(node->text) : (struct span){ 0 };

	if (!text.len) {
		config_error(
			d->report, node,
			"expected true, false, a share from 0 to 1, or an expression; write 0.1 for every "
			"tenth request");
		return false;
	}
	sampling->text = decode_keep(d, text);
	if (span_eq(text, SPAN("true")) || span_eq(text, SPAN("false"))) {
		sampling->per_million = span_eq(text, SPAN("true")) ? PER_MILLION : 0;
		return true;
	}
	return is_decimal(text) ? decode_share(d, node, &sampling->per_million)
				: decode_rate(d, node, sampling);
}

/* -------------------------------------------------------------------------------- attributes */

static bool decode_filter(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct tracing_policy *policy = container_of(ret, struct tracing_policy, filter_text);

	if (!decode_lines(d, node, &policy->filter_text))
		return false;
	policy->filter = value_condition(d, node, policy->filter_text, EXPRESSION_AT_END);
	policy->needs |= policy->filter ? policy->filter->needs : 0;
	return policy->filter != NULL;
}

/* An attribute of the policy replaces the usual one of its name. */
static void hide(struct decoder *d, struct tracing_policy *policy)
{
	struct span *list = decode_take(d, policy->remove_count + policy->attribute_count + 1, sizeof(*list));

	if (!list)
		return;
	policy->hidden_list = list;
	for (uint32_t i = 0; i < policy->remove_count; i++)
		list[policy->hidden_count++] = policy->remove_list[i];
	for (uint32_t i = 0; i < policy->attribute_count; i++)
		list[policy->hidden_count++] = policy->attribute_list[i].name;
}

static void compile_attributes(struct decoder *d, const struct yaml_node *nodes,
			       struct tracing_policy *policy)
{
	policy->attribute_expressions =
		value_compile_named(d, nodes, policy->attribute_list, &policy->attribute_count,
				    EXPRESSION_AT_END, &policy->needs);
	hide(d, policy);
}

/* clang-format off */
#define ATTRIBUTE_LIST                                                                                       \
	AS_LIST(SCHEMA_PAIRS, struct tracing_policy, attribute_list, attribute_count, struct header_pair),   \
	.element = value_otlp_attribute, RANGE(0, LIMIT_OTLP_ATTRIBUTES), .dump = DUMP_NOT_ZERO
#define REMOVE_LIST                                                                                          \
	AS_LIST(SCHEMA_NAMES, struct tracing_policy, remove_list, remove_count, struct span),                \
	RANGE(0, LIMIT_OTLP_ATTRIBUTES), .dump = DUMP_NOT_ZERO
#define SAMPLING_WORDS "`true`, `false`, 0.0..1.0, or an expression"
#define SAMPLING_ROWS                                                                                        \
	{ "randomSampling", AS_TEXT(struct tracing_policy, random.text), .decode = decode_sampling,          \
	  .dump = DUMP_NOT_ZERO, .value_doc = SAMPLING_WORDS, .default_doc = "none",                         \
	  .doc = "how many of the requests that belong to no trace get spans; an "                           \
		 "[expression](../docs/expressions.md) about the request gives true, false or a share" },    \
	{ "clientSampling", AS_TEXT(struct tracing_policy, client.text), .decode = decode_sampling,          \
	  .dump = DUMP_NOT_ZERO, .value_doc = SAMPLING_WORDS, .default_doc = "all",                          \
	  .doc = "the same for those whose client sends a `traceparent` that says it is sampled; one that "  \
		 "says it is not gets none, and is passed on as it is" }
/* clang-format on */

static void check_manifest_attributes(struct decoder *d, const struct yaml_node *node, void *object)
{
	compile_attributes(d, decode_get(node, "add"), object);
}

static const struct schema_row manifest_attribute_rows[] = {
	{ "add", ATTRIBUTE_LIST, .style = STYLE_MANIFEST },
	{ "remove", REMOVE_LIST, .style = STYLE_MANIFEST },
};
static const struct schema manifest_attribute_schema =
	SCHEMA(manifest_attribute_rows, struct tracing_policy, .check = check_manifest_attributes);

static void check_tracing(struct decoder *d, const struct yaml_node *node, void *object)
{
	struct tracing_policy *policy = object;

	if (!d->is_manifest)
		compile_attributes(d, decode_get(node, "attributes"), policy);
	value_otlp_check(d, node, &policy->target);
}

/* clang-format off */
static const struct schema_row tracing_rows[] = {
	CALLOUT_TARGET_ROWS(struct tracing_policy),
	{ "attributes", ATTRIBUTE_LIST, .style = STYLE_STANDALONE, .value_doc = "`{name: expression}`",
	  .doc = "attributes of the span of a request, beside those that it has; `span.name` is its name. "
		 "One without a value is left out" },
	{ "attributes", AS_SECTION(struct tracing_policy, &manifest_attribute_schema),
	  .style = STYLE_MANIFEST },
	{ "resources", OTLP_RESOURCE_LIST(struct tracing_policy),
	  .default_doc = "`service.name`: `OTEL_SERVICE_NAME`, else `headgate`",
	  .doc = "attributes of the gateway: [expressions](../docs/expressions.md) without a request, as in "
		 "`service.name: '\"shop\"'`; more in the environment: `OTEL_RESOURCE_ATTRIBUTES`" },
	{ "remove", REMOVE_LIST, .style = STYLE_STANDALONE, .value_doc = "list of names",
	  .doc = "attributes to leave out of spans: [names](../docs/tasks/tracing.md#attributes)" },
	SAMPLING_ROWS,
	{ "filter", AS_TEXT(struct tracing_policy, filter_text), .decode = decode_filter,
	  .dump = DUMP_NOT_ZERO, .value_doc = "condition", .default_doc = "every span is sent",
	  .doc = "an [expression](../docs/expressions.md) about a stream that has ended; only spans for "
		 "which it is true are sent" },
	OTLP_TARGET_ROWS(struct tracing_policy, "/v1/traces"),
};
/* clang-format on */
const struct schema tracing_schema = SCHEMA(tracing_rows, struct tracing_policy, .check = check_tracing);

struct tracing_policy *value_tracing(struct decoder *d, const struct yaml_node *node,
				     struct backend_ref *(*fn)(void *context, const struct yaml_node *node),
				     void *context)
{
	struct tracing_policy *policy = schema_decode_new(d, node, &tracing_schema);

	return policy && value_callout_target(d, node, policy->target.protocol == OTLP_GRPC, fn, context,
					      &policy->target.ref)
		       ? policy
		       : NULL;
}

/* -------------------------------------------------------------------------------- config.tracing */

/* The first of these variables that is set, and not empty; NULL: none. */
static const char *environment_of(const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const char *text = expand_environment(names[i]);

		if (text && *text)
			return text;
	}
	return NULL;
}

/* As agentgateway: its own names, then those of OpenTelemetry for traces, then those for all. */
#define ENVIRONMENT(word)                                                                                    \
	environment_of((const char *const[]){ "OTLP_" word, "OTEL_EXPORTER_OTLP_TRACES_" word,               \
					      "OTEL_EXPORTER_OTLP_" word },                                  \
		       3)

static bool add_header(struct decoder *d, const struct yaml_node *node, struct span name, struct span value,
		       struct header_pair *pair)
{
	if (!value_header_name(d, node, name, &pair->name))
		return false;
	if (!char_class_is_text(value)) {
		config_error(d->report, node, "the value of the header %s is no text of one line",
			     QUOTE(name));
		return false;
	}
	pair->value = decode_keep(d, value);
	return pair->value.data != NULL;
}

static bool decode_header(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct span value;

	return decode_string(d, node, &value) && add_header(d, node, node->key, value, ret);
}

static bool decode_headers(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct tracing_policy *policy = container_of(ret, struct tracing_policy, header_list);

	return decode_any_map(d, node) &&
	       schema_decode_list(d, node, decode_header, sizeof(struct header_pair), &policy->header_list,
				  &policy->header_count);
}

/* "name=value,name=value", beside those of the file. */
static void take_headers(struct decoder *d, const struct yaml_node *node, struct tracing_policy *policy)
{
	const char *text = ENVIRONMENT("HEADERS");
	struct span rest = text ? span_str(text) : (struct span){ 0 }, pair;
	struct header_pair *list =
		decode_take(d, policy->header_count + LIMIT_OTLP_ATTRIBUTES, sizeof(*list));
	uint32_t count = policy->header_count;

	if (!list)
		return;
	if (count)
		memcpy(list, policy->header_list, count * sizeof(*list));
	while (count < policy->header_count + LIMIT_OTLP_ATTRIBUTES && span_split(&rest, ',', &pair)) {
		ptrdiff_t mark = span_find(pair, '=');

		if (!span_trim(pair).len)
			continue;
		if (mark < 0) {
			config_error(d->report, node,
				     "the environment has OTLP headers that are not name=value,name=value");
			return;
		}
		if (!add_header(d, node, span_trim(span_first(pair, (size_t)mark)),
				span_trim(span_from(pair, (size_t)mark + 1)), &list[count]))
			return;
		count++;
	}
	policy->header_list = list;
	policy->header_count = count;
}

static void take_protocol(struct decoder *d, const struct yaml_node *node, struct tracing_policy *policy)
{
	const char *text = ENVIRONMENT("PROTOCOL");

	if (!text)
		return;
	if (strcmp(text, "grpc") == 0)
		policy->target.protocol = OTLP_GRPC;
	else if (strcmp(text, "http") == 0 || strcmp(text, "http/protobuf") == 0)
		policy->target.protocol = OTLP_HTTP;
	else if (strcmp(text, "http/json") == 0)
		policy->target.protocol = OTLP_HTTP_JSON;
	else
		config_error(d->report, node,
			     "the environment asks for the OTLP protocol %s; write grpc, http/protobuf or "
			     "http/json",
			     QUOTE(span_str(text)));
}

static void take_timeout(struct decoder *d, const struct yaml_node *node, struct tracing_policy *policy)
{
	const char *text = ENVIRONMENT("TIMEOUT");
	char *end;
	long ms;

	policy->target.timeout_ms = OTLP_TIMEOUT_MS;
	if (!text)
		return;
	ms = strtol(text, &end, 10);
	if (*end || ms < 1 || ms > 3600 * 1000)
		config_error(d->report, node,
			     "the environment has the OTLP timeout %s; write milliseconds, as in 10000",
			     QUOTE(span_str(text)));
	else
		policy->target.timeout_ms = (uint64_t)ms;
}

/* The headers are a modifier of the calls. */
static bool add_modifier(struct decoder *d, struct tracing_policy *policy, struct backend_ref *ref)
{
	struct header_modifier *modifier = decode_take(d, 1, sizeof(*modifier));

	if (!policy->header_count)
		return true;
	if (!modifier || !build_values(d, &ref->inline_policies, 1))
		return false;
	modifier->set_list = policy->header_list;
	modifier->set_count = policy->header_count;
	build_value(&ref->inline_policies, POLICY_REQUEST_HEADERS, modifier);
	return true;
}

static void set_collector(struct decoder *d, const struct yaml_node *node, struct tracing_policy *policy)
{
	const struct yaml_node *written = decode_get(node, "otlpEndpoint");
	const struct yaml_node *at = written ? written : node; /* the text may be of the environment */
	struct backend_ref *ref = decode_take(d, 1, sizeof(*ref));
	struct url_target url;

	if (!ref || !url_decode(d, at, policy->endpoint, SPAN("config/tracing"), &url) ||
	    !add_modifier(d, policy, ref))
		return;
	if (!span_eq(url.path, SPAN("/")))
		policy->target.path = url.path;
	ref->weight = 1;
	ref->where = config_where(d->arena, node);
	ref->backend = url.backend;
	ref->backend_name = url.backend->name;
	if (build_ref(build_of(d), ref) &&
	    value_register_callout(
		    d, (struct callout_target){ ref, policy->target.protocol == OTLP_GRPC, false }))
		policy->target.ref = ref;
}

static void check_config_tracing(struct decoder *d, const struct yaml_node *node, void *object)
{
	const char *endpoint = ENVIRONMENT("ENDPOINT");
	struct tracing_policy *policy = object;

	if (endpoint)
		policy->endpoint = decode_keep(d, span_str(endpoint));
	if (!policy->endpoint.len) {
		config_error(d->report, node,
			     "names no collector; write otlpEndpoint: http://name:4317, or set "
			     "OTEL_EXPORTER_OTLP_ENDPOINT");
		return;
	}
	take_headers(d, node, policy);
	take_protocol(d, node, policy);
	take_timeout(d, node, policy);
	resource_value_complete(d, NULL, &policy->target);
	set_collector(d, node, policy);
}

static void check_fields(struct decoder *d, const struct yaml_node *node, void *object)
{
	compile_attributes(d, decode_get(node, "add"), object);
}

static const struct schema_row field_rows[] = {
	{ "add", ATTRIBUTE_LIST, .value_doc = "`{name: expression}`",
	  .doc = "as `frontendPolicies.tracing.attributes`" },
	{ "remove", REMOVE_LIST, .value_doc = "list of names",
	  .doc = "as `frontendPolicies.tracing.remove`" },
};
static const struct schema field_schema = SCHEMA(field_rows, struct tracing_policy, .check = check_fields);

/* clang-format off */
static const struct schema_row config_tracing_rows[] = {
	{ "otlpEndpoint", AS_TEXT(struct tracing_policy, endpoint), .shown_as = "endpoint",
	  .value_doc = "`http://name:port`, `https://name:port/path`",
	  .default_doc = "`OTEL_EXPORTER_OTLP_ENDPOINT`",
	  .doc = "the collector; the environment goes before the file: `OTLP_ENDPOINT`, "
		 "`OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, `OTEL_EXPORTER_OTLP_ENDPOINT`; so do the next two" },
	{ "headers",
	  AS_LIST(SCHEMA_OBJECTS, struct tracing_policy, header_list, header_count, struct header_pair),
	  .decode = decode_headers, .element = decode_header, .value_doc = "`{name: text}`",
	  .default_doc = "none",
	  .doc = "of the calls; never shown. Those of `OTEL_EXPORTER_OTLP_HEADERS` come on top" },
	{ "otlpProtocol", AS_WORD(struct tracing_policy, target.protocol), WORDS("grpc", "http", "http/json"),
	  .shown_as = "protocol", .default_doc = "`OTEL_EXPORTER_OTLP_PROTOCOL`, else `grpc`",
	  .doc = "the environment also says `http/protobuf`, which is `http`" },
	{ "fields", AS_SECTION(struct tracing_policy, &field_schema) },
	SAMPLING_ROWS,
	{ "path", AS_TEXT(struct tracing_policy, target.path), .decode = value_otlp_path,
	  .default_text = "/v1/traces", .doc = "over HTTP, unless the URL has one" },
};
/* clang-format on */
const struct schema config_tracing_schema =
	SCHEMA(config_tracing_rows, struct tracing_policy, .check = check_config_tracing);
