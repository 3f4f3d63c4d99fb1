/* SPDX-License-Identifier: Apache-2.0 */
/* The current form of a file: what it looks like, what is refused, and that its YAML means the same. */
#include "config/convert.h"
#include "config/core/engine/yaml.h"
#include "config/core/engine/yaml_write.h"
#include "tests/unit/config_text.h"
#include "user/base/limits.h"

static int convert(const char *text, struct config_report *report, struct text *out)
{
	struct config_source source = { .path = "a.yaml", .has_text = true, .text = span_str(text) };

	config_report_init(report);
	text_init(out);
	return config_convert(&source, report, out);
}

static void converts(const char *text, const char *want)
{
	struct config_report report;
	struct text out;
	int r = convert(text, &report, &out);

	if (r < 0)
		fail_msg("result %d: %.*s", r,
			 report.message_count ? (int)report.message_list[0].text.len : 0,
			 report.message_count ? report.message_list[0].text.data : "");
	assert_span_equal(text_span(&out), want);
	text_done(&out);
	config_report_done(&report);
}

static void refuses(const char *text, const char *place, const char *words)
{
	struct config_case c = { 0 };
	struct text out;

	assert_int_equal(convert(text, &c.report, &out), -EINVAL);
	text_init(&c.messages[CONFIG_ERROR]);
	config_report_print(&c.report, CONFIG_ERROR, "", &c.messages[CONFIG_ERROR]);
	config_case_says(&c, CONFIG_ERROR, place, words);
	text_done(&out);
	config_case_done(&c);
}

TEST(binds_become_gateways_with_routes_that_name_them)
{
	converts("binds: [{port: 80, listeners: [{routes: [{backends: [{host: 'a:1'}]}]}]}]\n",
		 "gateways:\n"
		 "  default:\n"
		 "    port: 80\n"
		 "routes:\n"
		 "- backends:\n"
		 "  - host: 'a:1'\n");
	converts("binds: [{port: 80, listeners: [{name: web, routes: [{name: r}]}]},\n"
		 "  {port: 81, listeners: [{hostname: a.b, protocol: TLS, tcpRoutes: [{}]}, {protocol: TLS,\n"
		 "   tcpRoutes: []}]}, {port: 82, listeners: [{routes: []}]}]\n",
		 "gateways:\n"
		 "  web:\n"
		 "    port: 80\n"
		 "  default:\n"
		 "    port: 81\n"
		 "    listeners:\n"
		 "    - hostname: a.b\n"
		 "      protocol: TLS\n"
		 "    - protocol: TLS\n"
		 "  port82:\n"
		 "    port: 82\n"
		 "routes:\n"
		 "- gateways: web\n"
		 "  name: r\n"
		 "tcpRoutes:\n"
		 "- gateways: default/listener0\n");
}

TEST(mcp_with_a_port_of_its_own_gets_a_gateway)
{
	converts("mcp: {port: 81, targets: [{name: a, stdio: {cmd: 'true'}}]}\n", "gateways:\n"
										  "  mcp:\n"
										  "    port: 81\n"
										  "mcp:\n"
										  "  gateways: mcp\n"
										  "  targets:\n"
										  "  - name: a\n"
										  "    stdio:\n"
										  "      cmd: 'true'\n");
	converts("gateways: {default: {port: 80}}\nmcp: {targets: [{name: a, stdio: {cmd: b}}]}\n",
		 "gateways:\n"
		 "  default:\n"
		 "    port: 80\n"
		 "mcp:\n"
		 "  targets:\n"
		 "  - name: a\n"
		 "    stdio:\n"
		 "      cmd: b\n");
}

TEST(variables_stay_variables)
{
	setenv("HEADGATE_TEST_PORT", "81", 1);
	converts("binds: [{port: $HEADGATE_TEST_PORT, listeners: [{routes: []}]}]\n",
		 "gateways:\n"
		 "  default:\n"
		 "    port: $HEADGATE_TEST_PORT\n");
	refuses("binds: [{port: ${HEADGATE_TEST_PORT}, listeners: [{routes: []}]}]\n",
		"a.yaml: ", "is YAML only after its variables are expanded");
}

#define LISTENERS(a, b)                                                                                      \
	"binds: [{port: 80, listeners: [{" a "routes: []}]}, {port: 81, listeners: [{" b "routes: []}]}]\n"
#define POLICY(name)                                                                                         \
	"policies: [{name: {name: p}, target: {gateway: {listenerName: " name                                \
	"}}, policy: {retry: {codes: []}}}]\n"

/* What a variable stands for must not be lost, nor a policy lose its listener. */
TEST(a_variable_that_stands_for_more_than_a_text_is_refused)
{
	setenv("HEADGATE_TEST_BINDS", "[{port: 80, listeners: [{routes: []}]}]", 1);
	setenv("HEADGATE_TEST_ROUTES", "[{}]", 1);
	setenv("HEADGATE_TEST_KEY", "binds", 1);
	setenv("HEADGATE_TEST_NAME", "a", 1);
	refuses("binds: $HEADGATE_TEST_BINDS\n", "a.yaml:1:8: binds: ", "stands for more than a text");
	refuses("binds: [{port: 80, listeners: [{routes: $HEADGATE_TEST_ROUTES}]}]\n",
		"a.yaml:1:41: binds[0].listeners[0].routes: ", "stands for more than a text");
	refuses("$HEADGATE_TEST_KEY: [{port: 80, listeners: [{routes: []}]}]\n",
		"a.yaml:1:21: ", "stands for more than a text");
	refuses(LISTENERS("name: $HEADGATE_TEST_NAME, hostname: b, ", "") POLICY("a"),
		"a.yaml:2:63: policies[0].target.gateway.listenerName: ", "write both names in the same way");
	refuses(LISTENERS("name: a, hostname: b, ", "") POLICY("$HEADGATE_TEST_NAME"),
		"a.yaml:2:63: policies[0].target.gateway.listenerName: ", "write both names in the same way");
}

TEST(a_policy_names_the_listener_by_its_new_name)
{
	converts(LISTENERS("name: a, hostname: b, ", "") POLICY("a"), "gateways:\n"
								      "  default:\n"
								      "    port: 80\n"
								      "    listeners:\n"
								      "    - name: a\n"
								      "      hostname: b\n"
								      "  port81:\n"
								      "    port: 81\n"
								      "policies:\n"
								      "- name:\n"
								      "    name: p\n"
								      "  target:\n"
								      "    gateway:\n"
								      "      listenerName: default/a\n"
								      "  policy:\n"
								      "    retry:\n"
								      "      codes: []\n");
}

TEST(what_has_no_place_in_the_new_form_is_refused)
{
	refuses(LISTENERS("", "") POLICY("listener0"),
		"a.yaml:2:63: policies[0].target.gateway.listenerName: ", "2 listeners have this name");
	refuses(LISTENERS("", "") POLICY("default"), "a.yaml:2:63: policies[0].target.gateway.listenerName: ",
		"names no listener now, but would name a new gateway");
	refuses(LISTENERS("name: a/b, hostname: c, ", ""),
		"a.yaml:1:39: binds[0].listeners[0].name: ", "give it a name without \"/\"");
	refuses("binds: [{port: 80, listeners: [{}]}]\n", "a.yaml:1:32: ", "requires 'routes'");
	refuses("config: {}\n---\n"
		"apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: g}\n"
		"spec: {gatewayClassName: agentgateway, listeners: [{name: a, port: 80, protocol: HTTP}]}\n",
		"a.yaml:3:1: ",
		"this \"Gateway\" is not converted: Kubernetes manifests are a form of their own");
	refuses("apiVersion: gateway.networking.x-k8s.io/v1alpha1\nkind: XListenerSet\n"
		"metadata: {name: s}\n"
		"spec: {parentRef: {name: g}, listeners: [{name: a, port: 80, protocol: HTTP}]}\n",
		"a.yaml:1:1: ", "one is apiVersion: gateway.networking.k8s.io/v1 and kind: ListenerSet");
}

static void write(const char *text, struct text *out)
{
	struct yaml_source source = { .file = SPAN("a.yaml"), .text = span_str(text) };
	struct yaml_budget budget = { LIMIT_CONFIG_NODES };
	struct yaml_documents documents = { 0 };
	struct config_report report;
	struct arena arena;

	config_report_init(&report);
	arena_init(&arena, 4096);
	assert_int_equal(yaml_load(&arena, &source, &budget, &report, &documents), 0);
	text_init(out);
	yaml_write(documents.list[0]->root, out);
	assert_int_equal(text_error(out), 0);
	arena_done(&arena);
	config_report_done(&report);
}

TEST(yaml_is_read_as_it_was_written)
{
	static const char *const rows[][2] = {
		{ "{a: {b: [1, 'x', [], {}, [2, [3]], {c: d}]}}",
		  "a:\n  b:\n  - 1\n  - 'x'\n  - []\n  - {}\n  -\n    - 2\n    -\n      - 3\n  - c: d\n" },
		{ "a: \"tab\\t\\u00e4 'q' \\\"\\\\\"", "a: \"tab\\x09\xc3\xa4 'q' \\\"\\\\\"\n" },
		{ "a: 'it''s: #1'", "a: 'it''s: #1'\n" },
		{ "a: |\n  two\n  lines\n", "a: \"two\\nlines\\n\"\n" },
		{ "a: one\n\n  two\n", "a: \"one\\ntwo\"\n" },
		{ "{a: , b: null, c: '', 'd e': ~, '5': x, '-': y}",
		  "a:\nb: null\nc: ''\n'd e': ~\n5: x\n'-': y\n" },
		{ "[a, {b: c, d: e}]", "- a\n- b: c\n  d: e\n" },
		{ "{a: x, b: [{c: [1]}]}", "a: x\nb:\n- c:\n  - 1\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct text out, again;

		write(rows[i][0], &out);
		assert_span_equal(text_span(&out), rows[i][1]);
		text_char(&out, '\0');
		write(out.data, &again);
		assert_span_equal(text_span(&again), rows[i][1]);
		text_done(&out);
		text_done(&again);
	}
}
