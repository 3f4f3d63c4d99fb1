/* SPDX-License-Identifier: Apache-2.0 */
/* The filter of the access log and the fields that a policy adds. */
#include "user/client/log_fields.h"

#include "admin/dump/config_dump_policy.h"
#include "config/snapshot.h"
#include "policy/expression/expression.h"
#include "tests/lib/test_arena.h"
#include "tests/unit/config_text.h"
#include "tests/unit/dump_compact.h"

TEST_ARENA(arena, 16 * 1024);

#define BEGIN "frontendPolicies:\n  accessLog: {"
#define END "}\n"
#define AT " frontendPolicies.accessLog."

TEST(what_no_line_could_have_is_refused)
{
	static const struct config_refusal rows[] = {
		{ BEGIN "filter: 'response.code +'" END, "a.yaml:2:23:" AT "filter: ", "is not understood" },
		{ BEGIN "filter: response.code" END, "a.yaml:2:23:" AT "filter: ", "write a condition" },
		{ BEGIN "add: {'a b': 'true'}" END,
		  "a.yaml:2:28:" AT "add[\"a b\"]: ", "is not the name of a field" },
		{ BEGIN "add: {'': 'true'}" END, "a.yaml:2:", "is not the name of a field" },
		/* JSON would have two members of this name. */
		{ BEGIN "add: {time: 'true'}" END,
		  "a.yaml:2:27:" AT "add.time: ", "\"time\" is not the name of a field that is free" },
		{ BEGIN "add: {a: 'nothing.known'}" END, "a.yaml:2:24:" AT "add.a: ", "is not understood" },
		{ BEGIN "database: {}" END, "a.yaml:2:15:" AT "database: ", "not supported yet" },
		{ BEGIN "otlp: {}" END, "a.yaml:2:21:" AT "otlp: ", "host" },
		{ BEGIN "otlp: collector" END, "a.yaml:2:21:" AT "otlp: ", "expected a map" },
		{ BEGIN "otlp: {host: 'a:1', filter: response.code}" END,
		  "a.yaml:2:43:" AT "otlp.filter: ", "write a condition" },
		{ BEGIN "otlp: {host: 'a:1', fields: {add: {'a b': 'true'}}}" END,
		  "a.yaml:2:57:" AT "otlp.fields.add[\"a b\"]: ", "is not the name of a field" },
		{ BEGIN "otlp: {host: 'a:1', add: {a: 'true'}}" END, "a.yaml:2:35:" AT "otlp.add: ",
		  "known here: host, service, backend, policies, filter, fields" },
		{ BEGIN "otlp: {host: 'a:1', path: /v1/logs}" END,
		  "a.yaml:2:41:" AT "otlp.path: ", "protocol: http" },
		{ BEGIN "otlp: {host: 'a:1', protocol: http, path: logs}" END,
		  "a.yaml:2:57:" AT "otlp.path: ", "is not a path" },
		{ BEGIN "otlp: {host: 'a:1', protocol: tcp}" END,
		  "a.yaml:2:45:" AT "otlp.protocol: ", "grpc" },
		{ BEGIN "otlp: {host: 'a:1', resources: {a: request.path}}" END,
		  "a.yaml:2:50:" AT "otlp.resources.a: ", "is not understood" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		config_refused(&rows[i]);
}

static const struct access_log_policy *policy_of(const struct config_case *c)
{
	assert_int_equal(c->snapshot->policy_count, 1);
	return c->snapshot->policy_list[0].value.object;
}

/* "name=value" for each field, with "!" behind those without quotes; NULL: no line. */
static const char *line_of(const char *policy, const struct expression_facts *known)
{
	static struct log_fields fields;
	struct config_case c;
	struct text text;
	struct span copy = { 0 };

	text_init(&text);
	text_fmt(&text, BEGIN "%s" END, policy);
	config_case_text(&c, text.data);
	config_case_accepted(&c);
	text_clear(&text);
	text_str(&text, "");
	if (log_fields_fill(&fields, policy_of(&c), known)) {
		for (uint32_t i = 0; i < fields.extras.count; i++)
			text_fmt(&text, "%s%.*s=%.*s%s", i ? " " : "", SPAN_FMT(fields.list[i].name),
				 SPAN_FMT(fields.list[i].value), fields.list[i].is_plain ? "!" : "");
		copy = arena_copy(&arena, text_span(&text));
	}
	config_case_done(&c);
	text_done(&text);
	return copy.data;
}

TEST(a_line_has_the_fields_with_a_value_if_the_filter_wants_it)
{
	static const struct {
		const char *policy, *want;
	} rows[] = {
		{ "filter: response.code >= 400", "" },
		{ "filter: response.code < 400", NULL },
		/* Without a value it is not true. */
		{ "filter: 'request.headers[\"none\"] == \"a\"'", NULL },
		{ "add: {team: 'request.headers[\"x-team\"]', none: jwt.sub, code: response.code, ok: "
		  "'true'}",
		  "team=ops code=503! ok=true!" },
		{ "add: {half: '0.5', wrong: '1 / 0', list: '[1, 2]', took: 'request.endTime - "
		  "request.startTime'}",
		  "half=0.5! list=[1,2] took=1.5s" },
		{ "filter: 'request.method == \"GET\"', add: {path: request.path, server: "
		  "'response.headers.server'}",
		  "path=/a server=x" },
	};
	struct expression_scratch scratch;
	struct request_head head = { .method_text = SPAN("GET"), .path = SPAN("/a"), .version_major = 1 };
	struct fields response;
	const struct expression_facts known = { .request = &head,
						.response_fields = &response,
						.response_code = 503,
						.scratch = &scratch,
						.start_ns = 1000000000,
						.end_ns = 2500000000 };

	fields_init(&head.fields, &arena);
	fields_init(&response, &arena);
	assert_int_equal(fields_add(&head.fields, SPAN("X-Team"), SPAN("ops")), 0);
	assert_int_equal(fields_add(&response, SPAN("Server"), SPAN("x")), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *have = line_of(rows[i].policy, &known);

		if (!have != !rows[i].want || (have && strcmp(have, rows[i].want) != 0))
			fail_msg("row %zu: %s", i, have ? have : "no line");
	}
}

TEST(a_client_can_neither_hide_nor_fill_the_log)
{
	struct expression_scratch scratch;
	struct request_head head = { .method_text = SPAN("GET"), .path = SPAN("/"), .version_major = 1 };
	const struct expression_facts known = { .request = &head, .scratch = &scratch };
	size_t size = LIMIT_EXPRESSION_SCRATCH_BYTES;
	char *value = arena_bytes(&arena, size);
	const char *have;

	memset(value, 'a', size);
	fields_init(&head.fields, &arena);
	assert_int_equal(fields_add(&head.fields, SPAN("x"), span_of(value, size)), 0);
	have = line_of("filter: 'request.headers[\"x\"] + request.headers[\"x\"] == \"A\"', add: {x: "
		       "'request.headers[\"x\"]'}",
		       &known);
	assert_non_null(have);
	assert_int_equal(strlen(have), strlen("x=") + LIMIT_LOG_VALUE_BYTES);
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

TEST(both_forms_and_the_dump_agree)
{
	static const char *const texts[] = {
		BEGIN "filter: response.code >= 400, add: {a: backend.name}, remove: [lane]" END,
		"apiVersion: agentgateway.dev/v1alpha1\nkind: AgentgatewayPolicy\nmetadata: {name: p, "
		"namespace: d}\n"
		"spec: {targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: g}], frontend: {"
		"accessLog: {filter: response.code >= 400, attributes: {add: [{name: a, expression: "
		"backend.name}], "
		"remove: [lane]}}}}\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct config_case c;
		char *have;

		config_case_text(&c, texts[i]);
		config_case_accepted(&c);
		have = dumped(&c);
		assert_string_equal(have,
				    "{\"accessLog\":{\"filter\":\"response.code >= 400\",\"add\":{\"a\":"
				    "\"backend.name\"},\"remove\":[\"lane\"]}}");
		free(have);
		config_case_done(&c);
	}
}

#define MANIFEST                                                                                             \
	"apiVersion: agentgateway.dev/v1alpha1\nkind: AgentgatewayPolicy\nmetadata: {name: p, namespace: "   \
	"d}\nspec: {targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: g}], frontend: {"   \
	"accessLog: {"
#define OTLP_DUMP                                                                                            \
	"\"filter\":\"response.code >= 500\",\"fields\":{\"add\":{\"b\":\"request.path\"},\"remove\":["      \
	"\"http.path\"]},\"path\":\"/l\",\"protocol\":\"http\"}}}"

TEST(the_collector_is_the_same_in_both_forms_and_in_the_dump)
{
	static const char *const texts[] = {
		BEGIN "remove: [lane], otlp: {host: 'c:4318', filter: response.code >= 500, fields: {add: "
		      "{b: request.path}, remove: [http.path]}, path: /l, protocol: http, policies: {http: "
		      "{requestTimeout: 3s}}}" END,
		MANIFEST "attributes: {remove: [lane]}, otlp: {url: 'http://c:4318', filter: response.code "
			 ">= 500, attributes: {add: [{name: b, expression: request.path}], remove: "
			 "[http.path]}, path: /l, protocol: HTTP}}}}\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct config_case c;
		char *have;

		config_case_text(&c, texts[i]);
		config_case_accepted(&c);
		have = dumped(&c);
		assert_non_null(
			strstr(have, "{\"accessLog\":{\"remove\":[\"lane\"],\"otlp\":{\"backend\":\""));
		assert_non_null(strstr(have, OTLP_DUMP));
		assert_true(!strstr(have, "\"requestTimeout\":\"3s\"") == (i == 1));
		free(have);
		config_case_done(&c);
	}
}

TEST(a_collector_has_the_filter_and_fields_of_the_lines_unless_it_has_its_own)
{
	static const struct {
		const char *policy;
		bool has_filter, has_fields;
	} rows[] = {
		{ "otlp: {host: 'c:1'}", false, false },
		{ "otlp: {host: 'c:1', filter: 'false'}", true, false },
		{ "otlp: {host: 'c:1', fields: {add: {b: '1'}}}", false, true },
		{ "otlp: {host: 'c:1', fields: {}}", false, true },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct access_log_policy *lines, *sent;
		struct config_case c;
		struct text text;

		text_init(&text);
		text_fmt(&text, BEGIN "%s, filter: 'true', add: {a: request.path}, remove: [lane, route]" END,
			 rows[i].policy);
		config_case_text(&c, text.data);
		config_case_accepted(&c);
		lines = policy_of(&c);
		sent = &lines->otlp->log;
		assert_true((sent->filter != lines->filter) == rows[i].has_filter);
		assert_int_equal(sent->remove_count, rows[i].has_fields ? 0 : 2);
		assert_true((sent->add_list != lines->add_list) == rows[i].has_fields);
		assert_null(sent->otlp);
		assert_true(lines->needs == (lines->needs | sent->needs));
		assert_true(span_eq(lines->otlp->target.path, SPAN("/v1/logs")));
		config_case_done(&c);
		text_done(&text);
	}
}

TEST(a_collector_that_is_not_there_leaves_only_the_export_out)
{
	struct config_case c;
	char *have;

	config_case_text(&c, MANIFEST "filter: response.code >= 400, attributes: {remove: [lane]}, otlp: "
				      "{backendRef: {name: none, port: 4317}}}}}\n");
	config_case_accepted(&c);
	have = dumped(&c);
	assert_string_equal(have,
			    "{\"accessLog\":{\"filter\":\"response.code >= 400\",\"remove\":[\"lane\"]}}");
	free(have);
	assert_non_null(strstr(config_case_lines(&c, CONFIG_WARNING), "nothing reaches this collector"));
	config_case_done(&c);
}
