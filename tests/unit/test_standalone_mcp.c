/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/config_text.h"
#include "config/build.h"
#include "tests/unit/dump_compact.h"

#define TARGET "targets: [{name: a, stdio: {cmd: cat}}]"
#define MCP "mcp: {" TARGET ", "
#define STDIO(text) "mcp: {targets: [{name: a, stdio: {" text "}}]}\n"
#define REMOTE(text) "mcp: {targets: [{name: a, mcp: {" text "}}]}\n"

static const struct mcp_servers *only_mcp(const struct config_case *c)
{
	config_case_accepted(c);
	for (uint32_t i = 0; i < c->snapshot->backend_count; i++) {
		if (c->snapshot->backend_list[i].kind == BACKEND_MCP)
			return c->snapshot->backend_list[i].mcp;
	}
	fail_msg("no MCP backend");
	return NULL;
}

TEST(a_port_of_its_own_is_a_bind_with_one_route_to_one_inner_endpoint)
{
	const struct mcp_servers *servers;
	const struct backend *backend;
	const struct route *route;
	struct config_case c;

	config_case_text(&c, "mcp:\n"
			     "  policies: {timeout: {requestTimeout: 1s}}\n"
			     "  targets:\n"
			     "  - name: everything\n"
			     "    stdio:\n"
			     "      cmd: npx\n"
			     "      args: [\"@modelcontextprotocol/server-everything\", -y]\n"
			     "      env: {A: '1', B: x=y}\n"
			     "      clearEnv: true\n");
	servers = only_mcp(&c);
	assert_int_equal(c.snapshot->bind_count, 1);
	assert_int_equal(c.snapshot->bind_list[0].port, 3000);
	assert_span_equal(c.snapshot->bind_list[0].listener_list[0].key, "mcp");
	route = &c.snapshot->bind_list[0].listener_list[0].route_list[0];
	assert_span_equal(route->key, "mcp:default");
	assert_non_null(build_value_find(&route->inline_policies, POLICY_TIMEOUT));
	assert_int_equal(route->match_count, 2);
	assert_span_equal(route->match_list[0].path, "/mcp");
	assert_span_equal(route->match_list[1].path, "/sse");
	assert_span_equal(route->backend_list[0].backend_name, "/mcp");
	backend = route->backend_list[0].backend;
	assert_ptr_equal(backend->mcp, servers);
	assert_int_equal(backend->endpoint_count, 1);
	assert_true(backend->endpoint_list[0].is_inner);
	assert_span_equal(backend->endpoint_list[0].text, "mcp");
	assert_int_equal(servers->server_count, 1);
	assert_span_equal(servers->name_list[0], "everything");
	assert_string_equal(servers->server_list[0].command, "npx");
	assert_int_equal(servers->server_list[0].argument_count, 2);
	assert_string_equal(servers->server_list[0].argument_list[1], "-y");
	assert_null(servers->server_list[0].argument_list[2]);
	assert_string_equal(servers->server_list[0].environment_list[1], "B=x=y");
	assert_null(servers->server_list[0].environment_list[2]);
	assert_true(servers->server_list[0].clear_environment);
	assert_false(servers->states || servers->failures || servers->only_localhost);
	assert_int_equal(servers->prefixes, MCP_PREFIXES_CONDITIONAL);
	assert_int_equal(c.snapshot->config.mcp_session_ttl_ns, 1800000000000);
	config_case_done(&c);
}

TEST(agentgateways_spelling_of_clear_env_is_known)
{
	struct config_case c;

	config_case_text(&c, "mcp: {targets: [{name: a, stdio: {cmd: npx, clear_env: true}}]}\n");
	assert_true(only_mcp(&c)->server_list[0].clear_environment);
	config_case_done(&c);
}

TEST(targets_behind_http_have_an_address_and_a_path)
{
	static const struct {
		const char *text, *endpoint, *path;
		enum mcp_transport transport;
	} rows[] = {
		{ "mcp: {host: 'http://tools.example:8000/mcp?a=b'}", "tools.example:8000", "/mcp?a=b",
		  MCP_HTTP },
		{ "mcp: {host: 'http://tools.example/mcp'}", "tools.example:80", "/mcp", MCP_HTTP },
		{ "mcp: {host: '127.0.0.1:8000'}", "127.0.0.1:8000", "/", MCP_HTTP },
		{ "sse: {host: tools.example, port: 81, path: /sse}", "tools.example:81", "/sse", MCP_SSE },
		{ "mcp: {backend: b}", "b.example:1", "/mcp", MCP_HTTP },
		{ "sse: {backend: /b}", "b.example:1", "/sse", MCP_SSE },
		{ "mcp: {backend: b, path: /x}", "b.example:1", "/x", MCP_HTTP },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct mcp_server *server;
		struct config_case c;
		char text[256];

		snprintf(text, sizeof(text),
			 "backends: [{name: b, host: 'b.example:1'}]\nmcp: {targets: [{name: a, %s}]}\n",
			 rows[i].text);
		config_case_text(&c, text);
		server = &only_mcp(&c)->server_list[0];
		assert_int_equal(server->transport, rows[i].transport);
		assert_span_equal(server->path, rows[i].path);
		assert_int_equal(server->backend->endpoint_count, 1);
		assert_span_equal(server->backend->endpoint_list[0].text, rows[i].endpoint);
		config_case_done(&c);
	}
}

TEST(routes_and_named_backends_have_mcp_too)
{
	const struct mcp_servers *servers;
	const struct route *route;
	struct config_case c;

	config_case_text(&c, "config: {mcp: {sessionTtl: 5s}}\n"
			     "backends: [{name: tools, mcp: {" TARGET ", statefulMode: stateless,"
			     " prefixMode: always, failureMode: failOpen, dnsRebindingProtection: true}}]\n"
			     "binds: [{port: 80, listeners: [{routes: [{backends: [{backend: tools}]},"
			     " {backends: [{mcp: {" TARGET "}}]}]}]}]\n");
	config_case_accepted(&c);
	servers = c.snapshot->bind_list[0].listener_list[0].route_list[0].backend_list[0].backend->mcp;
	assert_true(servers->states && servers->failures && servers->only_localhost);
	assert_int_equal(servers->prefixes, MCP_PREFIXES_ALWAYS);
	assert_int_equal(c.snapshot->config.mcp_session_ttl_ns, 5000000000);
	assert_int_equal(c.snapshot->backend_count, 2);
	assert_int_equal(c.snapshot->backend_list[1].kind, BACKEND_MCP);
	route = &c.snapshot->bind_list[0].listener_list[0].route_list[1];
	assert_span_equal(route->backend_list[0].backend_name,
			  "/default/default/bind/80/listener0/default/route1/backend0");
	config_case_done(&c);
}

TEST(the_dump_has_the_targets_and_hides_the_environment)
{
	struct config_case c;
	char *dump;

	config_case_text(&c, "backends: [{name: b, host: 'b.example:1'}]\n"
			     "mcp: {targets: [{name: a, stdio: {cmd: cat, args: [-u], env: {KEY: secret}}},"
			     " {name: c, mcp: {backend: b}}], prefixMode: never}\n");
	config_case_accepted(&c);
	dump = compact_dump(c.snapshot);
	assert_has(dump, "{\"mcp\":{\"name\":\"mcp\",\"namespace\":\"\",\"target\":{\"targets\":["
			 "{\"name\":\"a\",\"stdio\":{\"cmd\":\"cat\",\"args\":[\"-u\"],"
			 "\"env\":{\"KEY\":\"<redacted>\"}}},"
			 "{\"name\":\"c\",\"mcp\":{\"backend\":{\"backend\":\"b\"},\"path\":\"/mcp\"}}],"
			 "\"stateful\":true,\"prefixMode\":\"never\",\"failureMode\":\"failClosed\"");
	assert_null(strstr(dump, "secret"));
	free(dump);
	config_case_done(&c);
}

TEST(wrong_mcp_is_refused)
{
	static const struct config_refusal rows[] = {
		{ "mcp: {}\n", "a.yaml:1:6: mcp: ", "\"targets\" is missing; write targets: [{name:" },
		{ "mcp: {targets: []}\n",
		  "a.yaml:1:16: mcp.targets: ", "needs 1 to 32 targets, this one has 0" },
		{ MCP "gateways: [a]}\n", "a.yaml", "there is no gateway \"a\"" },
		{ MCP "statefulMode: maybe}\n", "a.yaml", "stateful, stateless" },
		{ MCP "prefixMode: on}\n", "a.yaml", "conditional, always, never" },
		{ MCP "failureMode: open}\n", "a.yaml", "failClosed, failOpen" },
		{ MCP "port: 80}\nbinds: [{port: 80, listeners: [{routes: []}]}]\n", "a.yaml",
		  "port 80 is used by a gateway or bind, and by mcp; give mcp another, as in port: 81" },
		{ "mcp: {targets: [{stdio: {cmd: cat}}]}\n", "a.yaml",
		  "write a name of its own for each target" },
		{ "mcp: {targets: [{name: a_b, stdio: {cmd: cat}}]}\n", "a.yaml",
		  "\"a_b\" cannot be the name" },
		{ "mcp: {targets: [{name: -a, stdio: {cmd: cat}}]}\n", "a.yaml",
		  "\"-a\" cannot be the name" },
		{ "mcp: {targets: [{name: a, stdio: {cmd: cat}}, {name: a, stdio: {cmd: cat}}]}\n", "a.yaml",
		  "there is another target with the name \"a\"" },
		{ "mcp: {targets: [{name: a}]}\n", "a.yaml", "stdio" },
		{ "mcp: {targets: [{name: a, policies: {}, stdio: {cmd: cat}}]}\n", "a.yaml",
		  "remove policies, or use env" },
		{ STDIO(""), "a.yaml", "\"cmd\" is missing; write the program to start" },
		{ STDIO("cmd: ''"), "a.yaml", "" },
		{ STDIO("cmd: \"a\\0b\""), "a.yaml", "NUL" },
		{ STDIO("cmd: a, env: {A=B: c}"), "a.yaml", "cannot be the name of an environment variable" },
		{ STDIO("cmd: a, env: [c]"), "a.yaml", "expected a map" },
		{ REMOTE("host: 'https://a/b c'"), "a.yaml", "is not a path" },
		{ REMOTE("host: 'http://a/b c'"), "a.yaml", "is not a path" },
		{ REMOTE("host: 'u:p@a'"), "a.yaml", "user and password in an address are not supported" },
		{ REMOTE("host: 'https://u:p@a/mcp'"), "a.yaml", "with requestHeaderModifier" },
		{ REMOTE("host: 'u:p@a', port: 80, path: /mcp"), "a.yaml",
		  "user and password in an address" },
		{ REMOTE("host: 'https://u@a:1'"), "a.yaml", "with requestHeaderModifier" },
		{ REMOTE("host: a, port: 80"), "a.yaml", "write both port and path, or neither" },
		{ REMOTE("host: a, port: 80, path: x"), "a.yaml",
		  "is not a path; write one that begins with /" },
		{ REMOTE("backend: b"), "a.yaml", "there is no backend \"b\" with a host" },
		{ "backends: [{name: b, mcp: {" TARGET "}}]\n" REMOTE("backend: b"), "a.yaml",
		  "there is no backend \"b\" with a host" },
		{ "backends: [{name: b, host: 'a:1'}]\n" REMOTE("backend: b, port: 5"), "a.yaml",
		  "a backend has its own port; remove port" },
		{ "backends: [{name: b, host: 'a:1', mcp: {" TARGET "}}]\n", "a.yaml",
		  "exclude each other; write only one of them" },
		{ "binds: [{port: 80, listeners: [{protocol: TCP, tcpRoutes: [{backends: [{mcp: {" TARGET
		  "}}]}]}]}]\n",
		  "a.yaml", "an MCP backend needs HTTP" },
		{ "binds: [{port: 80, listeners: [{routes: [{policies: {requestMirror: {backend: {backend: "
		  "b}}},"
		  " backends: [{host: 'a:1'}]}]}]}]\nbackends: [{name: b, mcp: {" TARGET "}}]\n",
		  "a.yaml", "an MCP backend gets no copies" },
		{ "config: {mcp: {sessionTtl: soon}}\n", "a.yaml", "soon" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		config_refused(&rows[i]);
}
