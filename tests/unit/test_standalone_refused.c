/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/config_text.h"

/* Everything up to the elements of `routes`. */
#define ROUTES "binds: [{port: 3000, listeners: [{routes: [" /* 43 characters */
#define END "]}]}]\n"

#define R43 "a.yaml:1:44: binds[0].listeners[0].routes[0]"
#define IN_ROUTE ": binds[0].listeners[0].routes[0]"

TEST(wrong_structure_is_refused)
{
	static const struct config_refusal rows[] = {
		{ "foo: 1\n",
		  "a.yaml:1:1: foo: ", "unknown key \"foo\"; known here: config, gateways, routes" },
		{ "workerThreads: 2\n", "a.yaml:1:1: workerThreads: ", "it belongs under config" },
		{ "config: {routes: []}\n", "a.yaml:1:10: config.routes: ", "it belongs at the top level" },
		{ "bind: []\n", "a.yaml:1:1: bind: ", "did you mean \"binds\"?" },
		{ "Binds: []\n", "a.yaml:1:1: Binds: ", "did you mean \"binds\"?" },
		{ "policies: {cors: {}}\n", "a.yaml:1:11: policies: ", "under routes[].policies" },
		{ "binds: {}\n",
		  "a.yaml:1:8: binds: ", "expected a list, found a map; begin each element with \"- \"" },
		{ "binds: [3000]\n", "a.yaml:1:9: binds[0]: ", "expected a map, found \"3000\"" },
		{ "- a\n", "a.yaml:1:1: ", "this is a list" },
		{ "binds: [{port: 80, listeners: [{protocol: UDP}]}]\n",
		  "a.yaml:1:43: binds[0].listeners[0].protocol: ",
		  "UDP listeners are not supported yet; use HTTP, HTTPS, TCP or TLS" },
		{ "binds: [{port: 80, listeners: [{protocol: https}]}]\n",
		  "a.yaml:1:43: binds[0].listeners[0].protocol: ", "did you mean HTTPS?" },
		{ "binds: [{port: 80, listeners: [{protocol: FTP}]}]\n",
		  "a.yaml:1:43: binds[0].listeners[0].protocol: ",
		  "expected one of HTTP, TCP, TLS, HTTPS, found" },
		{ "config: 5\n", "a.yaml:1:9: config: ", "expected a map, found \"5\"" },
		{ "config: {}\n---\nconfig: {}\n",
		  "a.yaml:3:1: ", "there is already a standalone configuration in a.yaml line 1" },
		{ "llm: {port: 4000}\n", "a.yaml:1:1: llm: ", "\"llm\" is not supported yet" },
		{ "binds: [{port: 70000, listeners: [{routes: []}]}]\n", "a.yaml:1:16: binds[0].port: ",
		  "expected a whole number from 1 to 65535, found \"70000\"" },
		{ "binds: [{port: '80', listeners: [{routes: []}]}]\n",
		  "a.yaml:1:16: binds[0].port: ", "remove the quotes" },
		{ "binds: [{port: 080, listeners: [{routes: []}]}]\n",
		  "a.yaml:1:16: binds[0].port: ", "found \"080\"" },
		{ "binds: [{listeners: [{routes: []}]}]\n",
		  "a.yaml:1:9: binds[0]: ", "\"port\" is missing; write the port" },
		{ "binds: [{port: 80}]\n", "a.yaml:1:9: binds[0]: ", "\"listeners\" is missing" },
		{ "binds: [{port: 80, listeners: []}]\n",
		  "a.yaml:1:31: binds[0].listeners: ", "needs 1 to 65536 listeners" },
		{ "binds: [{port: 80, listeners: [{routes: []}]}, {port: 80, listeners: [{routes: []}]}]\n",
		  "a.yaml:1:55: binds[1].port: ", "port 80 is configured twice on [::]:80; " },
		{ "binds: [{port: 80, tunnelProtocol: connect, listeners: [{routes: []}]}]\n",
		  "a.yaml:1:36: binds[0].tunnelProtocol: ", "tunnelProtocol connect is not supported yet" },
		{ "binds: [{port: 80, tunnelProtocol: proxy, listeners: [{routes: []}]}]\n",
		  "a.yaml:1:36: binds[0].tunnelProtocol: ", "needs the networks of the proxies" },
		{ "gateways: {a: {port: 80, tunnelProtocol: proxy}}\n",
		  "a.yaml:1:42: gateways.a.tunnelProtocol: ", "config: {proxyProtocol: {trusted: " },
		{ "frontendPolicies: {proxyProtocol: {version: all}}\n",
		  "a.yaml:1:35: frontendPolicies.proxyProtocol: ", "needs the networks of the proxies" },
		{ "frontendPolicies: {proxy: {}}\nconfig: {proxyProtocol: {trusted: []}}\n",
		  "a.yaml:1:27: frontendPolicies.proxy: ", "needs the networks of the proxies" },
		{ "config: {proxyProtocol: {trusted: [10.0.0.0/8]}}\n"
		  "frontendPolicies: {proxyProtocol: {}, proxy: {}}\n",
		  "a.yaml:2:39: frontendPolicies.proxy: ", "another name of \"proxyProtocol\"" },
		{ "config: {proxyProtocol: {trusted: [10.0.0.0/8]}}\n"
		  "frontendPolicies: {proxyProtocol: {version: v3}}\n",
		  "a.yaml:2:45: frontendPolicies.proxyProtocol.version: ", "unknown word \"v3\"" },
		{ "backends: [{name: b, host: 'a:1', policies: {circuitBreaker: {maxConnections: 0}}}]\n",
		  "a.yaml:1:79: backends[0].policies.circuitBreaker.maxConnections: ",
		  "0 would let nothing through; leave it out for no limit" },
		{ "backends: [{name: b, host: 'a:1', policies: {proxyProtocol: {version: all}}}]\n",
		  "a.yaml:1:71: backends[0].policies.proxyProtocol.version: ", "v1, v2" },
		{ "backends: [{name: b, host: 'a:1', policies: {circuitBreaker: {}}}]\n",
		  "a.yaml:1:62: backends[0].policies.circuitBreaker: ", "limits nothing" },
		{ "backends: [{name: b, host: 'a:1', policies: {circuitBreaker: {maxConnections: 1, "
		  "pendingTimeout: 1s}}}]\n",
		  "a.yaml:1:98: backends[0].policies.circuitBreaker.pendingTimeout: ",
		  "write maxPendingRequests" },
		{ "backends: [{name: b, host: 'a:1', policies: {circuitBreaker: {perEndpoint: {}}}}]\n",
		  "a.yaml:1:76: backends[0].policies.circuitBreaker.perEndpoint: ",
		  "write maxConnections: 100" },
		{ "config: {proxyProtocol: {trusted: [10.0.0.0/33]}}\n",
		  "a.yaml:1:36: config.proxyProtocol.trusted[0]: ", "is not a network" },
		{ "binds: [{port: 80, listeners: [{protocol: http, routes: []}]}]\n",
		  "a.yaml:1:43: binds[0].listeners[0].protocol: ", "did you mean HTTP?" },
		{ "binds: [{port: 80, listeners: [{protocol: HTTPS, routes: []}]}]\n",
		  "a.yaml:1:43: binds[0].listeners[0].protocol: ", "HTTPS listener requires 'tls'" },
		{ "binds: [{port: 80, listeners: [{protocol: TLS, tls: {cert: a}, tcpRoutes: []}]}]\n",
		  "a.yaml:1:53: binds[0].listeners[0].tls: ", "has cert without key; write both" },
		{ "binds: [{port: 80, listeners: [{protocol: TCP, tls: {cert: a}, tcpRoutes: []}]}]\n",
		  "a.yaml:1:48: binds[0].listeners[0].tls: ", "protocol TCP cannot have tls" },
		{ "binds: [{port: 80, listeners: [{tls: {cert: a}, routes: []}]}]\n",
		  "a.yaml:1:33: binds[0].listeners[0].tls: ", "protocol HTTP cannot have tls" },
		{ "binds: [{port: 80, listeners: [{routes: [], tcpRoutes: []}]}]\n",
		  "a.yaml:1:45: binds[0].listeners[0].tcpRoutes: ",
		  "only 'routes' or 'tcpRoutes' may be set" },
		{ "binds: [{port: 80, listeners: [{tcpRoutes: []}]}]\n",
		  "a.yaml:1:32: binds[0].listeners[0]: ",
		  "protocol HTTP requires 'routes'; tcpRoutes need protocol: TCP" },
		{ "binds: [{port: 80, listeners: [{}]}]\n",
		  "a.yaml:1:32: binds[0].listeners[0]: ", "protocol HTTP requires 'routes'" },
		{ "binds: [{port: 80, listeners: [{protocol: TCP, routes: []}]}]\n",
		  "a.yaml:1:32: binds[0].listeners[0]: ",
		  "protocol TCP requires 'tcpRoutes'; routes need protocol: HTTP" },
		{ "binds: [{port: 80, listeners: [{protocol: TCP, hostname: a, tcpRoutes: []}]}]\n",
		  "a.yaml:1:48: binds[0].listeners[0].hostname: ", "plain TCP carries no host name" },
		{ "binds: [{port: 80, listeners: [{protocol: TCP, tcpRoutes: []}, {protocol: TCP, tcpRoutes: "
		  "[]}]}]\n",
		  "a.yaml:1:64: binds[0].listeners[1]: ", "more than one TCP listener" },
		{ "binds: [{port: 80, listeners: [{routes: []}, {protocol: TCP, tcpRoutes: []}]}]\n",
		  "a.yaml:1:46: binds[0].listeners[1]: ", "listeners of protocol HTTP and TCP" },
		{ "binds: [{port: 80, listeners: [{hostname: a.b, routes: []}, {hostname: A.b, routes: "
		  "[]}]}]\n",
		  "a.yaml:1:61: binds[0].listeners[1]: ", "port 80 has another listener for \"a.b\"" },
		{ "binds: [{port: 80, listeners: [{name: x, hostname: a, routes: []}, {name: x, routes: "
		  "[]}]}]\n",
		  "a.yaml:1:68: binds[0].listeners[1]: ",
		  "exists twice, first at a.yaml:1:32: binds[0].listeners[0]" },
		{ "binds: [{port: 80, listeners: [{hostname: 'a.*', routes: []}]}]\n",
		  "a.yaml:1:43: binds[0].listeners[0].hostname: ", "a wildcard stands alone in front" },
		{ "binds: [{port: 80, listeners: [{policies: {oidc: {}}, routes: []}]}]\n",
		  "a.yaml:1:44: binds[0].listeners[0].policies.oidc: ",
		  "is not supported yet, and it protects: without it users need no login" },
		{ "binds: [{port: 80, listeners: [{policies: {timeout: {}}, routes: []}]}]\n",
		  "a.yaml:1:44: binds[0].listeners[0].policies.timeout: ", "unknown key \"timeout\"" },
		{ "binds: [{port: 80, listeners: [{protocol: TCP, tcpRoutes: [{hostnames: [a.b]}]}]}]\n",
		  "a.yaml:1:61: binds[0].listeners[0].tcpRoutes[0].hostnames: ", "use protocol: TLS" },
		{ "binds: [{port: 80, listeners: [{protocol: TCP, tcpRoutes: [{matches: []}]}]}]\n",
		  "a.yaml:1:61: binds[0].listeners[0].tcpRoutes[0].matches: ", "belongs to HTTP routes" },
		{ "backends: [{name: a, host: 'a:1'}, {name: a, host: 'b:1'}]\n",
		  "a.yaml:1:43: backends[1].name: ", "there is another backend with the name \"a\"" },
		{ "backends: [{host: 'a:1'}]\n", "a.yaml:1:12: backends[0]: ", "\"name\" is missing" },
		{ "backends: [{name: a, ai: {}}]\n",
		  "a.yaml:1:22: backends[0].ai: ", "is not supported yet" },
		{ "a: $HEADGATE_TEST_IS_NOT_SET\n",
		  "a.yaml:1:4: ", "the environment variable HEADGATE_TEST_IS_NOT_SET is not set" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		config_refused(&rows[i]);
}

TEST(wrong_routes_are_refused)
{
	static const struct config_refusal rows[] = {
		{ ROUTES "{hosts: [a], backends: []}" END,
		  "a.yaml:1:45" IN_ROUTE ".hosts: ", "unknown key \"hosts\"" },
		{ ROUTES "{match: [], backends: []}" END,
		  "a.yaml:1:45" IN_ROUTE ".match: ", "did you mean \"matches\"?" },
		{ ROUTES "{name: 5}" END, "a.yaml:1:51" IN_ROUTE ".name: ", "put it in quotes: \"5\"" },
		{ ROUTES "{name: true}" END, "a.yaml:1:51" IN_ROUTE ".name: ", "put it in quotes: \"true\"" },
		{ ROUTES "{name: ''}" END, "a.yaml:1:51" IN_ROUTE ".name: ", "is empty" },
		{ ROUTES "{name: r}, {name: r}" END,
		  "a.yaml:1:55: binds[0].listeners[0].routes[1]: ", "exists twice, first at a.yaml:1:44" },
		{ ROUTES "{hostnames: ['a b']}" END,
		  "a.yaml:1:57" IN_ROUTE ".hostnames[0]: ", "is not a host name" },
		{ ROUTES "{hostnames: ['a:80']}" END,
		  "a.yaml:1:57" IN_ROUTE ".hostnames[0]: ", "without scheme and port" },
		{ ROUTES "{matches: [{path: {exact: a}}]}" END,
		  "a.yaml:1:70" IN_ROUTE ".matches[0].path.exact: ", "begin it with /" },
		{ ROUTES "{matches: [{path: {exact: '/a b'}}]}" END,
		  "a.yaml:1:70" IN_ROUTE ".matches[0].path.exact: ", "percent-encoded" },
		{ ROUTES "{matches: [{path: {pathPrefix: '/a?b'}}]}" END,
		  "a.yaml:1:75" IN_ROUTE ".matches[0].path.pathPrefix: ", "a path ends before the query" },
		{ ROUTES "{matches: [{path: {exact: /a, regex: /b}}]}" END,
		  "a.yaml:1:74" IN_ROUTE ".matches[0].path.regex: ",
		  "\"exact\" and \"regex\" exclude each other" },
		{ ROUTES "{matches: [{path: {}}]}" END,
		  "a.yaml:1:62" IN_ROUTE ".matches[0].path: ", "exact, pathPrefix, regex" },
		{ ROUTES "{matches: [{path: /a}]}" END,
		  "a.yaml:1:62" IN_ROUTE ".matches[0].path: ", "expected a map, found \"/a\"" },
		{ ROUTES "{matches: [{method: 'G T'}]}" END,
		  "a.yaml:1:64" IN_ROUTE ".matches[0].method: ", "is not a method" },
		{ ROUTES "{matches: [{headers: [{name: a}]}]}" END,
		  "a.yaml:1:66" IN_ROUTE ".matches[0].headers[0]: ", "\"value\" is missing" },
		{ ROUTES "{matches: [{headers: [{name: a, value: {exact: 1}}]}]}" END,
		  "a.yaml:1:91" IN_ROUTE ".matches[0].headers[0].value.exact: ", "put it in quotes" },
		{ ROUTES "{matches: [{query: [{name: a, value: {regex: ''}}]}]}" END,
		  "a.yaml:1:89" IN_ROUTE ".matches[0].query[0].value.regex: ", "1 to 1024 bytes" },
		{ ROUTES "{backends: [{host: 'a'}]}" END,
		  "a.yaml:1:63" IN_ROUTE ".backends[0].host: ", "\"a\" has no port" },
		{ ROUTES "{backends: [{host: 'a:0'}]}" END,
		  "a.yaml:1:63" IN_ROUTE ".backends[0].host: ", "from 1 to 65535" },
		{ ROUTES "{backends: [{host: 'a:http'}]}" END,
		  "a.yaml:1:63" IN_ROUTE ".backends[0].host: ", "no usable port" },
		{ ROUTES "{backends: [{host: '::1'}]}" END,
		  "a.yaml:1:63" IN_ROUTE ".backends[0].host: ", "as in [::1]:8080" },
		{ ROUTES "{backends: [{host: '::1:80'}]}" END,
		  "a.yaml:1:63" IN_ROUTE ".backends[0].host: ", "in brackets" },
		{ ROUTES "{backends: [{host: '1:2:3'}]}" END,
		  "a.yaml:1:63" IN_ROUTE ".backends[0].host: ", "more than one colon" },
		{ ROUTES "{backends: [{host: 'u:p@a:80'}]}" END,
		  "a.yaml:1:63" IN_ROUTE ".backends[0].host: ", "user and password in an address" },
		{ ROUTES "{backends: [{host: 'http://u:p@a:80/'}]}" END,
		  "a.yaml:1:63" IN_ROUTE ".backends[0].host: ", "user and password in an address" },
		{ ROUTES "{backends: [{host: '[::1]'}]}" END,
		  "a.yaml:1:63" IN_ROUTE ".backends[0].host: ", "as [::1]:8080" },
		{ ROUTES "{backends: [{host: '[a]:80'}]}" END,
		  "a.yaml:1:63" IN_ROUTE ".backends[0].host: ", "neither a host name" },
		{ ROUTES "{backends: [{host: 'http://a:80'}]}" END,
		  "a.yaml:1:63" IN_ROUTE ".backends[0].host: ", "is a URL" },
		{ ROUTES "{backends: [{host: 'http://a'}]}" END,
		  "a.yaml:1:63" IN_ROUTE ".backends[0].host: ", "is a URL" },
		{ ROUTES "{backends: [{host: 'https://a'}]}" END,
		  "a.yaml:1:63" IN_ROUTE ".backends[0].host: ", "443 for https, and backendTLS: {}" },
		{ ROUTES "{backends: ['a:80']}" END,
		  "a.yaml:1:56" IN_ROUTE ".backends[0]: ", "found \"a:80\"; write host: \"name:port\"" },
		{ ROUTES "{matches: [{path: /api}]}" END,
		  "a.yaml:1:62" IN_ROUTE ".matches[0].path: ", "found \"/api\"; write pathPrefix: /api" },
		{ ROUTES "{matches: [{path: {type: PathPrefix}}]}" END,
		  "a.yaml:1:63" IN_ROUTE ".matches[0].path.type: ", "is of manifests; here the key says it" },
		{ ROUTES "{backends: [{host: 'a b:80'}]}" END,
		  "a.yaml:1:63" IN_ROUTE ".backends[0].host: ", "neither a host name" },
		{ ROUTES "{backends: [{host: 'unix:x'}]}" END,
		  "a.yaml:1:63" IN_ROUTE ".backends[0].host: ", "unix:/path" },
		{ ROUTES "{backends: [{host: 8080}]}" END,
		  "a.yaml:1:63" IN_ROUTE ".backends[0].host: ", "expected a text" },
		{ ROUTES "{backends: [{}]}" END,
		  "a.yaml:1:56" IN_ROUTE ".backends[0]: ", "host, service, backend" },
		{ ROUTES "{backends: [{host: 'a:1', backend: b}]}" END,
		  "a.yaml:1:70" IN_ROUTE ".backends[0].backend: ",
		  "\"host\" and \"backend\" exclude each other" },
		{ ROUTES "{backends: [{backend: b}]}" END, "a.yaml:1:66" IN_ROUTE ".backends[0].backend: ",
		  "there is no backend \"b\"; add it to the top-level list" },
		{ ROUTES "{backends: [{service: {name: a, port: 1}}]}" END,
		  "a.yaml:1:73" IN_ROUTE ".backends[0].service.name: ", "namespace/host name" },
		{ ROUTES "{backends: [{mcp: {}}]}" END,
		  "a.yaml:1:62" IN_ROUTE ".backends[0].mcp: ", "\"targets\" is missing" },
		{ ROUTES "{backends: [{internal: forward}]}" END,
		  "a.yaml:1:57" IN_ROUTE ".backends[0].internal: ", "is not supported yet" },
		{ ROUTES "{backends: [{host: 'a:1', weight: -1}]}" END,
		  "a.yaml:1:78" IN_ROUTE ".backends[0].weight: ", "from 0 to 1000000" },
		{ ROUTES "{backends: [{host: 'a:1', weight: 1.5}]}" END,
		  "a.yaml:1:78" IN_ROUTE ".backends[0].weight: ", "expected a whole number" },
		{ ROUTES "{backends: [{host: 'a:1', splice: on}]}" END,
		  "a.yaml:1:78" IN_ROUTE ".backends[0].splice: ", "auto" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		config_refused(&rows[i]);
}

TEST(every_error_of_a_file_is_reported)
{
	struct config_case c;

	config_case_text(&c, "config: {via: 1, foo: 2}\n"
			     "binds:\n"
			     "- port: 99999\n"
			     "  listeners:\n"
			     "  - routes:\n"
			     "    - policies: {timeout: {requestTimeout: 5}, ai: {}}\n"
			     "      backends: [{host: x}, {hots: y}]\n"
			     "frontendPolicies: {http: {http1IdleTimeout: 1d}}\n");
	assert_int_equal(c.result, -EINVAL);
	assert_int_equal(c.report.count[CONFIG_ERROR], 8);
	config_case_says(&c, CONFIG_ERROR,
			 "a.yaml:1:15: config.via: ", "expected true or false, found \"1\"");
	config_case_says(&c, CONFIG_ERROR, "a.yaml:1:18: config.foo: ", "unknown key");
	config_case_says(&c, CONFIG_ERROR, "a.yaml:3:9: binds[0].port: ", "65535");
	config_case_says(&c, CONFIG_ERROR,
			 "a.yaml:6:44: binds[0].listeners[0].routes[0].policies.timeout.requestTimeout: ",
			 "has no unit");
	config_case_says(&c, CONFIG_ERROR, "a.yaml:6:48: binds[0].listeners[0].routes[0].policies.ai: ",
			 "is not supported yet");
	config_case_says(&c, CONFIG_ERROR,
			 "a.yaml:7:25: binds[0].listeners[0].routes[0].backends[0].host: ", "has no port");
	config_case_says(&c, CONFIG_ERROR, "a.yaml:7:30: binds[0].listeners[0].routes[0].backends[1].hots: ",
			 "did you mean \"host\"?");
	config_case_says(&c, CONFIG_ERROR, "a.yaml:8:45: frontendPolicies.http.http1IdleTimeout: ", "24h");
	config_case_done(&c);
}

TEST(a_route_to_nowhere_is_a_warning)
{
	struct config_case c;

	config_case_text(&c, ROUTES "{name: a}, {name: b, policies: {directResponse: {status: 200}}}" END);
	config_case_accepted(&c);
	assert_int_equal(c.report.count[CONFIG_WARNING], 1);
	config_case_says(&c, CONFIG_WARNING, R43 ": ", "has no backends and answers every request with 500");
	config_case_done(&c);
}
