/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/config_text.h"

#define API "apiVersion: gateway.networking.k8s.io/v1"
#define GATEWAY                                                                                              \
	"{" API ", kind: Gateway, metadata: {name: g, namespace: n}, spec: {listeners: [{name: l, port: "    \
	"80, protocol: HTTP}]}}\n---\n"
#define ROUTE                                                                                                \
	"{" API ", kind: HTTPRoute, metadata: {name: r, namespace: n}, spec: {parentRefs: [{name: g}], "     \
	"rules: [{backendRefs: [{group: agentgateway.dev, kind: AgentgatewayBackend, name: b}]}]}}\n---\n"
#define BACKEND                                                                                              \
	"{apiVersion: agentgateway.dev/v1alpha1, kind: AgentgatewayBackend, metadata: {name: b, namespace: " \
	"n}, spec: {\n"
#define END "}}\n"
#define IN "AgentgatewayBackend n/b: spec."
#define MCP(target) BACKEND "mcp: {targets: [" target "]}" END

TEST(wrong_backends_are_refused_with_what_to_write)
{
	static const struct config_refusal rows[] = {
		{ BACKEND END, "a.yaml:1:", "static, dynamicForwardProxy, mcp" },
		{ BACKEND "static: {host: h, port: 1}, mcp: {targets: []}" END,
		  "a.yaml:2:", "exclude each other" },
		{ BACKEND "static: {host: h}" END, "a.yaml:2:9: " IN "static: ", "\"port\" is missing" },
		{ BACKEND "static: {port: 1}" END,
		  "a.yaml:2:9: " IN "static: ", "write host and port, or unixPath" },
		{ BACKEND "static: {host: h, port: 1, unixPath: /a}" END,
		  "a.yaml:2:38: " IN "static.unixPath: ", "excludes host and port" },
		{ BACKEND "static: {unixPath: a}" END,
		  "a.yaml:2:20: " IN "static.unixPath: ", "absolute path" },
		{ BACKEND "static: {host: 'http://h', port: 1}" END,
		  "a.yaml:2:16: " IN "static.host: ", "write the name or the address alone" },
		{ BACKEND "static: {host: '[h]', port: 1}" END,
		  "a.yaml:2:16: " IN "static.host: ", "neither a host name nor an address" },
		{ BACKEND "dynamicForwardProxy: {a: b}" END, "a.yaml:2:", "unknown key \"a\"" },
		{ MCP("{name: t, stdio: {cmd: x}}"), "a.yaml:2:", "does not exist in manifests" },
		{ MCP("{name: T, static: {host: h, port: 1}}"),
		  "a.yaml:2:", "cannot be the name of a target" },
		{ MCP("{name: t, static: {host: h, port: 1}}, {name: t, static: {host: h, port: 1}}"),
		  "a.yaml:2:", "another target with the name" },
		{ MCP("{name: t, static: {host: h, port: 1, path: x}}"), "a.yaml:2:", "is not a path" },
		{ MCP("{name: t, static: {host: h, port: 1, protocol: stdio}}"),
		  "a.yaml:2:", "expected one of StreamableHTTP, SSE" },
		{ MCP("{name: t, static: {backendRef: {name: s}, port: 1, policies: {tls: {}}}}"),
		  "a.yaml:2:", "excludes backendRef" },
		{ MCP("{name: t, selector: {}}"), "a.yaml:2:", "selects nothing" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		config_refused(&rows[i]);
}

/* What cannot be served never refuses the rest. */
TEST(a_backend_without_support_makes_its_references_invalid)
{
	static const struct {
		const char *text;
		const char *words;
	} rows[] = {
		{ "", "there is no such AgentgatewayBackend" },
		{ BACKEND "ai: {}" END, "its \"ai\" is not supported yet" },
		{ BACKEND "aws: {agentCore: {}}" END, "its \"aws\" is not supported yet" },
		{ BACKEND "a2a: {host: h, port: 1}" END, "its \"a2a\" is not supported yet" },
		{ BACKEND "static: {host: h, port: 1}, policies: {mcp: {guardrails: {}}}" END,
		  "a policy that protects is not supported here" },
		{ MCP("{name: t, selector: {services: {matchLabels: {a: b}}}}"), "it has no target" },
		{ MCP("{name: t, static: {backendRef: {name: s}, port: 1}}"),
		  "a Service that it names as a target cannot be used" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config_case c;
		char text[2000];

		snprintf(text, sizeof(text), GATEWAY ROUTE "%s", rows[i].text);
		config_case_text(&c, text);
		config_case_accepted(&c);
		config_case_says(&c, CONFIG_WARNING, "a.yaml:3:", rows[i].words);
		assert_true(
			c.snapshot->bind_list[0].listener_list[0].route_list[0].backend_list[0].is_invalid);
		config_case_done(&c);
	}
}

TEST(a_session_of_mcp_has_the_settings_of_its_manifest)
{
	struct config_case c;
	const struct mcp_servers *servers = NULL;

	config_case_text(
		&c, GATEWAY ROUTE BACKEND
		"mcp: {sessionRouting: Stateless, failureMode: FailOpen, prefixMode: Never, targets: ["
		"{name: a, static: {host: h.example, port: 81, protocol: SSE}}, "
		"{name: b, static: {host: '::1', port: 82, path: /x}}]}" END);
	config_case_accepted(&c);
	for (uint32_t i = 0; i < c.snapshot->backend_count; i++)
		if (c.snapshot->backend_list[i].kind == BACKEND_MCP)
			servers = c.snapshot->backend_list[i].mcp;
	if (!servers) {
		fail_msg("no backend of the kind MCP");
		return;
	}
	assert_int_equal(servers->states, MCP_STATES_NONE);
	assert_int_equal(servers->failures, MCP_FAILURES_OPEN);
	assert_int_equal(servers->prefixes, MCP_PREFIXES_NEVER);
	assert_int_equal(servers->server_count, 2);
	assert_int_equal(servers->server_list[0].transport, MCP_SSE);
	assert_span_equal(servers->server_list[0].path, "/sse");
	assert_span_equal(servers->server_list[1].path, "/x");
	assert_span_equal(servers->server_list[1].backend->endpoint_list[0].text, "[::1]:82");
	config_case_done(&c);
}

TEST(parameters_of_a_gateway_set_the_log_and_are_otherwise_a_note)
{
	static const char parameters[] =
		"{apiVersion: agentgateway.dev/v1alpha1, kind: AgentgatewayParameters, metadata: {name: p}, "
		"spec: {logging: {level: 'a=trace,warn', format: json}, image: {}}}\n---\n"
		"{" API
		", kind: Gateway, metadata: {name: g}, spec: {%slisteners: [{name: l, port: 80, protocol: "
		"HTTP}]}}\n";
	static const char ref[] = "infrastructure: {parametersRef: {group: agentgateway.dev, kind: "
				  "AgentgatewayParameters, name: p}}, ";

	for (int is_used = 0; is_used < 2; is_used++) {
		struct config_case c;
		char text[1000];

		snprintf(text, sizeof(text), parameters, is_used ? ref : "");
		config_case_text(&c, text);
		config_case_accepted(&c);
		assert_int_equal(c.report.count[CONFIG_WARNING], 0);
		assert_span_equal(c.snapshot->config.log_level, is_used ? "warn" : "info");
		assert_span_equal(c.snapshot->config.log_format, is_used ? "json" : "");
		config_case_says(&c, CONFIG_INFO, "a.yaml:1:",
				 is_used ? "no effect on a host" : "no Gateway and no GatewayClass refers");
		config_case_done(&c);
	}
}
