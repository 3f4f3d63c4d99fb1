/* SPDX-License-Identifier: Apache-2.0 */
/* `gateways` with `routes` and `tcpRoutes` beside them, and `binds`: two forms of one configuration. */
#include "tests/unit/config_text.h"
#include "tests/unit/dump_compact.h"

/* Replaces every occurrence. */
static char *replaced(char *text, const char *old, const char *new)
{
	struct text out;
	char *at = text, *next;

	text_init(&out);
	while ((next = strstr(at, old))) {
		text_add(&out, span_of(at, (size_t)(next - at)));
		text_str(&out, new);
		at = next + strlen(old);
	}
	text_str(&out, at);
	assert_int_equal(text_error(&out), 0);
	next = strdup(out.data);
	text_done(&out);
	free(text);
	return next;
}

static char *dump_of(const char *yaml)
{
	struct config_case c;
	char *dump;

	config_case_text(&c, yaml);
	config_case_accepted(&c);
	dump = compact_dump(c.snapshot);
	config_case_done(&c);
	return dump;
}

TEST(both_forms_have_the_same_dump_but_for_the_names_of_listeners)
{
	char *gateways = dump_of("gateways:\n"
				 "  web:\n"
				 "    port: 8080\n"
				 "    listeners:\n"
				 "    - {name: a, hostname: a.example.com, maxConnections: 5}\n"
				 "    - {name: b, hostname: '*.example.com', splice: 'off'}\n"
				 "  pg: {port: 5432, protocol: TCP, bind: 127.0.0.1}\n"
				 "routes:\n"
				 "- gateways: web/a\n"
				 "  policies: {timeout: {requestTimeout: 1s}}\n"
				 "  backends: [{host: 'a:80', weight: 3}, {host: 'b:80'}]\n"
				 "- gateways: [web]\n"
				 "  name: both\n"
				 "  matches: [{path: {exact: /both}}]\n"
				 "  policies: {requestMirror: {backend: {host: 'm:80'}}}\n"
				 "  backends: [{host: 'c:80'}]\n"
				 "tcpRoutes:\n"
				 "- {gateways: pg, backends: [{host: 'db:5432'}]}\n");
	char *binds = dump_of(
		"binds:\n"
		"- port: 8080\n"
		"  listeners:\n"
		"  - name: a\n"
		"    hostname: a.example.com\n"
		"    maxConnections: 5\n"
		"    routes:\n"
		"    - policies: {timeout: {requestTimeout: 1s}}\n"
		"      backends: [{host: 'a:80', weight: 3}, {host: 'b:80'}]\n"
		"    - name: both\n"
		"      matches: [{path: {exact: /both}}]\n"
		"      policies: {requestMirror: {backend: {host: 'm:80'}}}\n"
		"      backends: [{host: 'c:80'}]\n"
		"  - name: b\n"
		"    hostname: '*.example.com'\n"
		"    splice: 'off'\n"
		"    routes:\n"
		"    - name: both\n"
		"      matches: [{path: {exact: /both}}]\n"
		"      policies: {requestMirror: {backend: {host: 'm:80'}}}\n"
		"      backends: [{host: 'c:80'}]\n"
		"- port: 5432\n"
		"  bind: 127.0.0.1\n"
		"  listeners: [{protocol: TCP, name: pg, tcpRoutes: [{backends: [{host: 'db:5432'}]}]}]\n");

	binds = replaced(binds, "default/default/bind/8080/", "gateway/web/");
	binds = replaced(binds, "default/default/bind/127.0.0.1:5432/", "gateway/");
	binds = replaced(binds, "\"listenerName\":\"a\"", "\"listenerName\":\"web/a\"");
	binds = replaced(binds, "\"listenerName\":\"b\"", "\"listenerName\":\"web/b\"");
	assert_string_equal(gateways, binds);
	free(gateways);
	free(binds);
}

TEST(routes_without_gateways_are_on_the_one_called_default)
{
	char *dump = dump_of("gateways: {default: {port: 80}, other: {port: 81}}\n"
			     "routes: [{backends: []}, {gateways: [], backends: []}, {gateways: other}]\n");

	assert_has(dump, "\"gateway/default/default/route0\"");
	assert_has(dump, "\"gateway/default/default/route1\"");
	assert_has(dump, "\"gateway/other/default/route0\"");
	free(dump);
}

TEST(tls_alone_makes_a_gateway_https)
{
	static const struct config_refusal row = {
		"gateways: {default: {port: 80, tls: {cert: a}}}\nroutes: [{}]\n",
		"a.yaml:1:37: gateways.default.tls: ", "has cert without key; write both"
	};

	config_refused(&row);
}

TEST(mcp_is_served_by_gateways_or_at_its_own_port)
{
	char *own = dump_of("gateways: {web: {port: 80}}\n"
			    "mcp: {targets: [{name: a, stdio: {cmd: 'true'}}]}\n"),
	     *named = dump_of("gateways: {web: {port: 80}, b: {port: 81}}\n"
			      "mcp: {gateways: [web, b], targets: [{name: a, stdio: {cmd: 'true'}}]}\n"),
	     *implied = dump_of("gateways: {default: {port: 80}}\n"
				"mcp: {targets: [{name: a, stdio: {cmd: 'true'}}]}\n"),
	     *port = dump_of("gateways: {default: {port: 80}}\n"
			     "mcp: {port: 81, targets: [{name: a, stdio: {cmd: 'true'}}]}\n");

	assert_has(own, "\"key\":\"bind/3000\"");
	assert_has(named, "\"key\":\"gateway/web/mcp:default\"");
	assert_has(named, "\"key\":\"gateway/b/mcp:default\"");
	assert_null(strstr(named, "bind/3000"));
	assert_has(implied, "\"key\":\"gateway/default/mcp:default\"");
	assert_has(port, "\"key\":\"mcp:default\"");
	free(own);
	free(named);
	free(implied);
	free(port);
}

TEST(wrong_gateways_are_refused)
{
	static const struct config_refusal rows[] = {
		{ "gateways: []\n", "a.yaml:1:11: gateways: ", "expected a map, found a list" },
		{ "gateways: {a: 80}\n", "a.yaml:1:15: gateways.a: ", "write port: 8080, indented below it" },
		{ "gateways: {a: {}}\n", "a.yaml:1:15: gateways.a: ", "\"port\" is missing; write the port" },
		{ "gateways: {a/b: {port: 80}}\n",
		  "a.yaml:1:12: gateways[\"a/b\"]: ", "write one without \"/\"" },
		{ "gateways: {a: {port: 80}, b: {port: 80}}\n",
		  "a.yaml:1:37: gateways.b.port: ", "port 80 is configured twice on [::]:80; " },
		{ "gateways: {a: {port: 80}}\nbinds: [{port: 80, listeners: [{routes: []}]}]\n",
		  "a.yaml:1:22: gateways.a.port: ", "port 80 is configured twice on [::]:80; " },
		{ "gateways: {a: {port: 80, hostname: b}}\n",
		  "a.yaml:1:26: gateways.a.hostname: ", "belongs to a listener" },
		{ "gateways: {a: {port: 80, oidc: {}}}\n",
		  "a.yaml:1:26: gateways.a.oidc: ", "without it users need no login" },
		{ "gateways: {a: {port: 80, listeners: [{extProc: {}}]}}\n",
		  "a.yaml:1:39: gateways.a.listeners[0].extProc: ",
		  "it protects: without it the external processor neither sees" },
		{ "gateways: {a: {port: 80, policies: {cors: {}}}}\n",
		  "a.yaml:1:26: gateways.a.policies: ", "write its members here, without policies" },
		{ "gateways: {a: {port: 80, routes: []}}\n",
		  "a.yaml:1:26: gateways.a.routes: ", "belongs to the top level" },
		{ "gateways: {a: {port: 80, listeners: []}}\n",
		  "a.yaml:1:37: gateways.a.listeners: ", "needs 1 to 65536 listeners" },
		{ "gateways: {a: {port: 80, splice: 'off', listeners: [{}]}}\n",
		  "a.yaml:1:26: gateways.a.splice: ", "is a key of a listener" },
		{ "gateways: {a: {port: 80, listeners: [{name: b, hostname: b}, {name: b}]}}\n",
		  "a.yaml:1:62: gateways.a.listeners[1]: ", "exists twice, first at a.yaml:1:38" },
		{ "gateways: {a: {port: 80, listeners: [{}, {}]}}\n",
		  "a.yaml:1:42: gateways.a.listeners[1]: ",
		  "port 80 has another listener for all host names" },
		{ "gateways: {a: {port: 80, listeners: [{}, {protocol: TCP}]}}\n",
		  "a.yaml:1:42: gateways.a.listeners[1]: ", "listeners of protocol HTTP and TCP" },
		{ "gateways: {a: {port: 80, protocol: HTTPS}}\n",
		  "a.yaml:1:36: gateways.a.protocol: ", "HTTPS listener requires 'tls'" },
		{ "gateways: {a: {port: 80, protocol: HTTP, tls: {cert: a}}}\n",
		  "a.yaml:1:42: gateways.a.tls: ", "protocol HTTP cannot have tls" },
		{ "gateways: {a: {port: 80}}\nroutes: [{}]\n", "a.yaml:2:10: routes[0]: ",
		  "\"gateways\" is missing, and there is no gateway with the name default" },
		{ "routes: [{gateways: web}]\n",
		  "a.yaml:1:21: routes[0].gateways: ", "there is no gateway \"web\"; write the name of one" },
		{ "gateways: {website: {port: 80}}\nroutes: [{gateways: [webiste]}]\n",
		  "a.yaml:2:22: routes[0].gateways[0]: ", "did you mean \"website\"?" },
		{ "gateways: {a: {port: 80}}\nroutes: [{gateways: a/b}]\n",
		  "a.yaml:2:21: routes[0].gateways: ", "there is no gateway \"a/b\"" },
		{ "gateways: {a: {port: 80, protocol: TCP}}\nroutes: [{gateways: a}]\n",
		  "a.yaml:2:21: routes[0].gateways: ", "the gateway \"a\" has no listener for HTTP" },
		{ "gateways: {a: {port: 80}}\ntcpRoutes: [{gateways: a}]\n",
		  "a.yaml:2:24: tcpRoutes[0].gateways: ", "the gateway \"a\" has no listener for TCP" },
		/* Once, not for each of the listeners. */
		{ "gateways: {a: {port: 80}, b: {port: 81}}\nroutes: [{gateways: [a, b], foo: 1}]\n",
		  "a.yaml:2:29: routes[0].foo: ", "unknown key \"foo\"" },
		{ "gateways: {a: {port: 80}}\nroutes: [{gateways: a, name: r}, {gateways: a, name: r}]\n",
		  "a.yaml:2:34: routes[1]: ", "exists twice, first at a.yaml:2:10" },
		{ "binds: [{port: 80, listeners: [{routes: [{gateways: [a]}]}]}]\n",
		  "a.yaml:1:43: binds[0].listeners[0].routes[0].gateways: ",
		  "belongs to routes at the top level" },
		{ "gateways: {a: {port: 80}}\n"
		  "mcp: {gateways: a, port: 81, targets: [{name: b, stdio: {cmd: c}}]}\n",
		  "a.yaml:2:20: mcp.port: ", "remove port, or gateways" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		config_refused(&rows[i]);
}

TEST(a_gateway_without_routes_is_accepted_with_a_warning)
{
	struct config_case c;

	config_case_text(&c, "gateways: {a: {port: 80, listeners: [{hostname: x}, {}]}, "
			     "b: {port: 81, protocol: TCP}}\n"
			     "routes: [{gateways: a/listener1}]\n");
	config_case_accepted(&c);
	config_case_says(&c, CONFIG_WARNING, "a.yaml:1:38: gateways.a.listeners[0]: ",
			 "answers every request with 404; add routes: [{gateways: [a/listener0], ...}]");
	config_case_says(&c, CONFIG_WARNING, "a.yaml:1:62: gateways.b: ", "closes every connection");
	config_case_done(&c);
}

TEST(conditions_of_a_direct_response_are_checked)
{
#define DIRECT "gateways: {default: {port: 80}}\nroutes: [{policies: {directResponse: "
	static const struct config_refusal rows[] = {
		{ DIRECT "{conditional: []}}}]\n",
		  "a.yaml:2:52: routes[0].policies.directResponse.conditional: ",
		  "is empty; write conditional: [{condition: ..., ...}]" },
		{ DIRECT "{conditional: {}}}}]\n",
		  "a.yaml:2:52: routes[0].policies.directResponse.conditional: ",
		  "expected a list, found a map" },
		{ DIRECT "{conditional: [{status: 200}], status: 201}}}]\n",
		  "a.yaml:2:69: routes[0].policies.directResponse.status: ", "stands beside `conditional`" },
		{ DIRECT "{conditional: [{status: 200}, {status: 201}]}}}]\n",
		  "a.yaml:2:53: routes[0].policies.directResponse.conditional[0]: ", "would never count" },
		{ DIRECT "{conditional: [{condition: 'true'}]}}}]\n",
		  "a.yaml:2:53: routes[0].policies.directResponse.conditional[0]: ",
		  "\"status\" is missing" },
		{ DIRECT "{conditional: [{condition: 'request.nope', status: 200}]}}}]\n",
		  "a.yaml:2:65: routes[0].policies.directResponse.conditional[0].condition: ",
		  "is not understood" },
		{ DIRECT "{conditional: [{condition: '1 + 1', status: 200}]}}}]\n",
		  "a.yaml:2:65: routes[0].policies.directResponse.conditional[0].condition: ",
		  "write a condition such as request.method" },
		{ DIRECT "{conditional: [{condition: 'response.code == 200', status: 200}]}}}]\n",
		  "a.yaml:2:65: routes[0].policies.directResponse.conditional[0].condition: ",
		  "response.code" },
		{ DIRECT "{status: 204, bodyExpression: '\"a\"'}}}]\n",
		  "a.yaml:2:38: routes[0].policies.directResponse: ", "has no body; remove body" },
		{ DIRECT "{status: 200, body: a, bodyExpression: '\"a\"'}}}]\n",
		  "a.yaml:2:61: routes[0].policies.directResponse.bodyExpression: ", "write only one" },
		{ DIRECT "{status: 200, headers: {content-length: '1'}}}}]\n",
		  "a.yaml:2:62: routes[0].policies.directResponse.headers.content-length: ",
		  "content-length" },
		{ DIRECT "{status: 200, headers: {x-a: 'a b'}}}}]\n",
		  "a.yaml:2:67: routes[0].policies.directResponse.headers.x-a: ", "is not understood" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		config_refused(&rows[i]);
}

TEST(wrong_route_groups_are_refused)
{
#define NAMES(what) "gateways: {default: {port: 80}}\nroutes: [{backends: [{" what "}]}]\n"
	static const struct config_refusal rows[] = {
		{ NAMES("routeGroup: a"), "a.yaml:2:10: routes[0]: ", "there is no route group \"a\"" },
		{ NAMES("routeGroup: a, host: 'b:1'") "routeGroups: [{name: a, routes: []}]\n",
		  "a.yaml:2:38: routes[0].backends[0].host: ", "stands beside routeGroup" },
		/* clang-format off */
		{ NAMES("routeGroup: b")
		  "routeGroups: [{name: b, routes: [{backends: [{routeGroup: b}]}]}]\n",
		  "a.yaml:3:34: routeGroups[0].routes[0]: ", "comes back to itself here" },
		/* clang-format on */
		{ NAMES("routeGroup: a") "routeGroups: [{name: a, routes: []}, {name: a, routes: []}]\n",
		  "a.yaml:3:45: routeGroups[1].name: ", "there is another route group" },
		{ NAMES("routeGroup: a") "routeGroups: [{name: a, routes: [{foo: 1}]}]\n",
		  "a.yaml:3:35: routeGroups[0].routes[0].foo: ", "unknown key \"foo\"" },
		{ "routeGroups: [{name: a, routes: [{foo: 1}]}]\n",
		  "a.yaml:1:35: routeGroups[0].routes[0].foo: ", "unknown key \"foo\"" },
		{ "routeGroups: [{name: a, routes: [{gateways: b}]}]\n",
		  "a.yaml:1:35: routeGroups[0].routes[0].gateways: ", "belongs to routes at the top level" },
		{ "gateways: {a: {port: 80, protocol: TCP}}\n"
		  "tcpRoutes: [{gateways: a, backends: [{routeGroup: a}]}]\n",
		  "a.yaml:2:39: tcpRoutes[0].backends[0].routeGroup: ", "belongs to HTTP routes" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		config_refused(&rows[i]);
}

/* Each group names the next one twice. */
TEST(groups_that_multiply_or_are_too_deep_are_refused)
{
	static const unsigned depths[] = { 9, 8 };
	static const char *const says[] = { "more than 8 route groups name each other",
					    "groups with more than 16384 routes" };

	for (unsigned n = 0; n < ARRAY_LEN(depths); n++) {
		struct config_case c;
		struct text text;

		text_init(&text);
		text_str(&text, NAMES("routeGroup: g0") "routeGroups:\n");
		for (unsigned i = 0; i <= depths[n]; i++) {
			text_fmt(&text, "- name: g%u\n  routes:\n", i);
			for (unsigned j = 0; i < depths[n] && j < (n ? 4 : 1); j++)
				text_fmt(&text, "  - backends: [{routeGroup: g%u}]\n", i + 1);
			if (i == depths[n])
				text_str(&text, "  - policies: {directResponse: {status: 200}}\n");
		}
		text_char(&text, '\0');
		config_case_text(&c, text.data);
		assert_int_equal(c.result, -EINVAL);
		config_case_says(&c, CONFIG_ERROR, "a.yaml:", says[n]);
		config_case_done(&c);
		text_done(&text);
	}
}
