/* SPDX-License-Identifier: Apache-2.0 */
/* Tracing in both forms of files, in the older form, and in the dump; resources of the environment. */
#include <stdlib.h>

#include "admin/dump/config_dump_policy.h"
#include "config/snapshot.h"
#include "policy/compile/effective.h"
#include "policy/expression/expression_value.h"
#include "tests/unit/config_text.h"
#include "tests/unit/dump_compact.h"

#define BEGIN "frontendPolicies:\n  tracing: {"
#define END "}\n"
#define AT " frontendPolicies.tracing"
#define MANIFEST                                                                                             \
	"apiVersion: agentgateway.dev/v1alpha1\nkind: AgentgatewayPolicy\nmetadata: {name: p, namespace: "   \
	"d}\nspec: {targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: g}], frontend: {"   \
	"tracing: {"

TEST(what_says_nothing_useful_is_refused_with_what_to_write)
{
	static const struct config_refusal rows[] = {
		{ BEGIN END, "a.yaml:2:12:" AT ": ", "host" },
		{ BEGIN "host: 'c:4317', randomSampling: 2" END,
		  "a.yaml:2:45:" AT ".randomSampling: ", "from 0.0 to 1.0" },
		{ BEGIN "host: 'c:4317', randomSampling: -0.1" END,
		  "a.yaml:2:45:" AT ".randomSampling: ", "from 0.0 to 1.0" },
		{ BEGIN "host: 'c:4317', randomSampling: '\"a\"'" END,
		  "a.yaml:2:45:" AT ".randomSampling: ", "true, false or a share" },
		{ BEGIN "host: 'c:4317', clientSampling: response.code == 200" END,
		  "a.yaml:2:45:" AT ".clientSampling: ", "is not understood" },
		{ BEGIN "host: 'c:4317', clientSampling: []" END,
		  "a.yaml:2:45:" AT ".clientSampling: ", "0.1 for every tenth" },
		{ BEGIN "host: 'c:4317', path: /v1/traces" END,
		  "a.yaml:2:35:" AT ".path: ", "protocol: http" },
		{ BEGIN "host: 'c:4317', protocol: http, path: traces" END,
		  "a.yaml:2:51:" AT ".path: ", "is not a path" },
		{ BEGIN "host: 'c:4317', protocol: http/xml" END,
		  "a.yaml:2:39:" AT ".protocol: ", "did you mean http?" },
		{ BEGIN "host: 'c:4317', attributes: {'a b': 'true'}" END,
		  "a.yaml:2:49:" AT ".attributes[\"a b\"]: ", "ASCII without blanks" },
		{ BEGIN "host: 'c:4317', resources: {a: request.path}" END,
		  "a.yaml:2:44:" AT ".resources.a: ", "is not understood" },
		{ BEGIN "host: 'c:4317', resources: {a: source.address}" END,
		  "a.yaml:2:44:" AT ".resources.a: ", "no value without a request" },
		{ BEGIN "host: 'c:4317', filter: response.code" END,
		  "a.yaml:2:37:" AT ".filter: ", "write a condition" },
		{ "config: {tracing: {}}\n", "a.yaml:1:19: config.tracing: ", "names no collector" },
		{ "config: {tracing: {otlpEndpoint: 'http://c:4317', otlpProtocol: zipkin}}\n",
		  "a.yaml:1:65: config.tracing.otlpProtocol: ", "one of grpc, http, http/json" },
		{ "config: {tracing: {otlpEndpoint: 'http://c:4317', headers: {host: x}}}\n",
		  "a.yaml:1:61: config.tracing.headers.host: ", "Host" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		config_refused(&rows[i]);
}

TEST(a_collector_that_is_not_there_leaves_only_tracing_out)
{
	struct config_case c;

	config_case_text(&c, MANIFEST "backendRef: {name: none, port: 4317}}}}\n");
	assert_int_equal(c.result, 0);
	assert_int_equal(c.snapshot->policy_count, 0);
	assert_non_null(strstr(config_case_lines(&c, CONFIG_WARNING), "nothing reaches this collector"));
	config_case_done(&c);
}

static char *dumped(const struct config_case *c)
{
	struct json_writer w;
	struct text out;
	char *have;

	text_init(&out);
	json_begin(&w, &out);
	json_open_object(&w, NULL);
	dump_policy_value(&w, &c->snapshot->policy_list[0].value);
	json_close(&w);
	have = compact(text_span(&out));
	text_done(&out);
	return have;
}

#define REST                                                                                                 \
	"\"attributes\":{\"a\":\"request.path\"},\"resources\":{\"b\":\"1\"},\"remove\":[\"lane\"],"         \
	"\"randomSampling\":\"0.25\",\"filter\":\"response.code > 0\","                                      \
	"\"path\":\"/t\",\"protocol\":\"http\"}}"

TEST(both_forms_and_the_dump_agree)
{
	struct config_case c;
	char *have;

	config_case_text(&c,
			 BEGIN "host: 'c:4318', attributes: {a: request.path}, resources: {b: '1'}, "
			       "remove: [lane], randomSampling: 0.25, filter: response.code > 0, path: /t, "
			       "protocol: http, policies: {http: {requestTimeout: 3s}}" END);
	config_case_accepted(&c);
	have = dumped(&c);
	assert_non_null(strstr(have, "{\"tracing\":{\"backend\":\""));
	assert_non_null(strstr(have, "\"requestTimeout\":\"3s\""));
	assert_non_null(strstr(have, REST));
	free(have);
	config_case_done(&c);

	config_case_text(&c,
			 MANIFEST "url: 'http://c:4318', attributes: {add: [{name: a, expression: "
				  "request.path}], remove: [lane]}, resources: [{name: b, expression: '1'}], "
				  "randomSampling: '0.25', filter: response.code > 0, path: /t, protocol: "
				  "HTTP}}}\n");
	config_case_accepted(&c);
	have = dumped(&c);
	assert_non_null(strstr(have, REST));
	free(have);
	config_case_done(&c);
}

static const struct tracing_policy *loaded(struct config_case *c, const char *text)
{
	config_case_text(c, text);
	config_case_accepted(c);
	assert_int_equal(policy_compile(c->snapshot, &c->report), 0);
	assert_non_null(c->snapshot->tracing);
	return c->snapshot->tracing;
}

#define LISTENER "binds: [{port: 80, listeners: [{routes: [{backends: [{host: 'b:1'}]}]}]}]\n"

/* "name=value " for each; numbers in brackets. */
static const char *resources_of(const struct tracing_policy *policy)
{
	static char out[1024];
	size_t len = 0;

	for (uint32_t i = 0; i < policy->target.resource_count; i++) {
		const struct otlp_resource *one = &policy->target.resource_list[i];

		if (one->value->type == EXPRESSION_TEXT)
			len += (size_t)snprintf(out + len, sizeof(out) - len, "%.*s=%.*s ",
						SPAN_FMT(one->name), SPAN_FMT(one->value->text));
		else
			len += (size_t)snprintf(out + len, sizeof(out) - len, "%.*s=[%lld] ",
						SPAN_FMT(one->name), (long long)one->value->whole);
	}
	return out;
}

TEST(resources_come_from_the_file_then_from_the_environment)
{
	static const struct {
		const char *attributes, *service, *want;
	} rows[] = {
		{ "", "", "service.name=headgate b=[1] " },
		{ "team=a%20b,broken,c=%4", "", "service.name=headgate team=a b c=%4 b=[1] " },
		{ "service.name=env, b = 2", "", "service.name=env b=[1] " },
		{ "service.name=env", "named", "service.name=named b=[1] " },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config_case c;

		setenv("OTEL_RESOURCE_ATTRIBUTES", rows[i].attributes, 1);
		setenv("OTEL_SERVICE_NAME", rows[i].service, 1);
		assert_string_equal(
			resources_of(loaded(&c, BEGIN "host: 'c:4317', resources: {b: '1'}" END LISTENER)),
			rows[i].want);
		config_case_done(&c);
	}
	unsetenv("OTEL_RESOURCE_ATTRIBUTES");
	unsetenv("OTEL_SERVICE_NAME");
}

TEST(shares_are_numbers_and_the_rest_are_expressions)
{
	struct config_case c;
	const struct tracing_policy *policy =
		loaded(&c, BEGIN
		       "host: 'c:4317', randomSampling: '0.5', clientSampling: random() < 0.1" END LISTENER);

	assert_int_equal(policy->random.per_million, 500000);
	assert_null(policy->random.expression);
	assert_non_null(policy->client.expression);
	config_case_done(&c);
	policy = loaded(&c, BEGIN "host: 'c:4317', randomSampling: true, clientSampling: false" END LISTENER);
	assert_int_equal(policy->random.per_million, 1000000);
	assert_int_equal(policy->client.per_million, 0);
	assert_true(policy->client.text.len);
	config_case_done(&c);
}

/* The environment goes before the file, and the names of traces before those of all signals. */
TEST(the_older_form_takes_the_environment)
{
	struct config_case c;
	const struct tracing_policy *policy;

	setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://lost:1", 1);
	setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://env:4318/base", 1);
	setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", 1);
	setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1500", 1);
	setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-a=1, x-b=2", 1);
	policy = loaded(&c,
			"config: {tracing: {otlpEndpoint: 'http://file:4317', headers: {x-c: '3'}, fields: "
			"{add: {a: request.path}, remove: [lane]}}}\n" LISTENER);
	assert_true(span_eq(policy->endpoint, SPAN("http://env:4318/base")));
	assert_true(span_eq(policy->target.path, SPAN("/base")));
	assert_int_equal(policy->target.protocol, OTLP_HTTP);
	assert_int_equal(policy->target.timeout_ms, 1500);
	assert_int_equal(policy->target.ref->request_headers->set_count, 3);
	assert_int_equal(policy->attribute_count, 1);
	assert_int_equal(policy->hidden_count, 2);
	config_case_done(&c);
	setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", 1);
	assert_int_equal(loaded(&c, "config: {tracing: {}}\n" LISTENER)->target.protocol, OTLP_HTTP_JSON);
	config_case_done(&c);
	setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/xml", 1);
	config_case_text(&c, "config: {tracing: {}}\n");
	assert_non_null(
		strstr(config_case_lines(&c, CONFIG_ERROR), "write grpc, http/protobuf or http/json"));
	config_case_done(&c);
	unsetenv("OTEL_EXPORTER_OTLP_ENDPOINT");
	unsetenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
	unsetenv("OTEL_EXPORTER_OTLP_PROTOCOL");
	unsetenv("OTEL_EXPORTER_OTLP_TIMEOUT");
	unsetenv("OTEL_EXPORTER_OTLP_HEADERS");
}

TEST(the_newer_form_replaces_the_older_one)
{
	struct config_case c;
	const struct tracing_policy *policy = loaded(
		&c, BEGIN "host: 'new:4317'" END "config: {tracing: {otlpEndpoint: 'old:4317'}}\n" LISTENER);

	assert_false(policy->endpoint.len);
	config_case_done(&c);
}
