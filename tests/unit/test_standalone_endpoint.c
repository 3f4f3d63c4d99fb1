/* SPDX-License-Identifier: Apache-2.0 */
/* `endpoints`: several addresses of one backend of a standalone file. */
#include "policy/compile/effective.h"
#include "tests/unit/config_text.h"
#include "tests/unit/dump_compact.h"

#define ROUTE(backend) "gateways: {default: {port: 80}}\nroutes: [{backends: [{" backend "}]}]\n"
#define THREE                                                                                                \
	"endpoints: [{host: 'b.example:81', priority: 2}, {host: '10.0.0.1:80', weight: 3}, "                \
	"{host: 'unix:/run/c.sock', weight: 0}]"

static const struct backend *only_backend(struct config_case *c)
{
	config_case_accepted(c);
	assert_int_equal(policy_compile(c->snapshot, &c->report), 0);
	return c->snapshot->bind_list[0].listener_list[0].route_list[0].backend_list[0].backend;
}

static void assert_three(const char *yaml)
{
	const struct backend *backend;
	struct config_case c;
	char *dump;

	config_case_text(&c, yaml);
	backend = only_backend(&c);
	assert_int_equal(backend->kind, BACKEND_HOST);
	assert_int_equal(backend->endpoint_count, 3);
	assert_span_equal(backend->endpoint_list[0].text, "10.0.0.1:80");
	assert_int_equal(backend->endpoint_list[0].weight, 3);
	assert_span_equal(backend->endpoint_list[1].text, "unix:/run/c.sock");
	assert_int_equal(backend->endpoint_list[1].weight, 0);
	assert_span_equal(backend->endpoint_list[2].text, "b.example:81");
	assert_int_equal(backend->endpoint_list[2].priority, 2);
	assert_int_equal(backend->groups.group_count, 2);
	/* Names of endpoints are for DNS and TLS: the Host stays that of the client. */
	assert_false(backend->rewrites_host);
	dump = compact_dump(c.snapshot);
	assert_has(dump, "\"target\":\"b.example:81\",\"endpoints\":["
			 "{\"host\":\"10.0.0.1:80\",\"weight\":3,\"priority\":0},"
			 "{\"host\":\"unix:/run/c.sock\",\"weight\":0,\"priority\":0},"
			 "{\"host\":\"b.example:81\",\"weight\":1,\"priority\":2}]");
	free(dump);
	config_case_done(&c);
}

TEST(a_backend_of_a_route_or_a_named_one_has_several_endpoints)
{
	assert_three(ROUTE(THREE));
	assert_three("backends: [{name: a, " THREE "}]\n" ROUTE("backend: a"));
}

TEST(one_address_is_a_list_of_one_without_groups)
{
	struct config_case c;

	config_case_text(&c, ROUTE("endpoints: [{host: 'a.example:80', weight: 7}]"));
	assert_int_equal(only_backend(&c)->groups.group_count, 0);
	config_case_done(&c);
}

TEST(wrong_endpoints_are_refused)
{
	static const struct config_refusal rows[] = {
		{ ROUTE("endpoints: []"), "a.yaml:2:", "has 0 entries; write 1 to 65536" },
		{ ROUTE("endpoints: {}"), "a.yaml:2:", "expected a list" },
		{ ROUTE("endpoints: ['10.0.0.1:80']"), "a.yaml:2:", "write host: 10.0.0.1:8000" },
		{ ROUTE("endpoints: [{weight: 1}]"), "a.yaml:2:", "\"host\" is missing" },
		{ ROUTE("endpoints: [{host: '10.0.0.1'}]"), "a.yaml:2:", "has no port" },
		{ ROUTE("endpoints: [{host: 'a:1', weight: 1000001}]"), "a.yaml:2:", "1000000" },
		{ ROUTE("endpoints: [{host: 'a:1', priority: 128}]"), "a.yaml:2:", "127" },
		{ ROUTE("endpoints: [{host: 'a:1', wieght: 1}]"), "a.yaml:2:", "did you mean \"weight\"?" },
		{ ROUTE("endpoints: [{host: 'a:1', weight: 0}, {host: 'b:1', weight: 0}]"),
		  "a.yaml:2:", "write a weight of 1 or more" },
		{ ROUTE("endpoints: [{host: 'A:1'}, {host: 'a:1'}]"), "a.yaml:2:", "occurs twice" },
		{ ROUTE("host: 'a:1', endpoints: [{host: 'b:1'}]"), "a.yaml:2:", "exclude each other" },
		{ "backends: [{name: a, host: 'a:1', endpoints: [{host: 'b:1'}]}]\n",
		  "a.yaml:1:", "exclude each other" },
		{ "backends: [{name: a}]\n", "a.yaml:1:", "host, endpoints, mcp" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		config_refused(&rows[i]);
}

TEST(zones_of_endpoints_workloads_and_services_are_read)
{
	static const char list[] =
		"config: {zone: b}\n" ROUTE("endpoints: [{host: 'a:1', zone: a}, {host: 'b:1', zone: b}]");
	static const char service[] =
		"config: {zone: b}\nservices: [{namespace: n, hostname: s, ports: {80: 80}, loadBalancer: "
		"{routingPreferences: [%s], mode: %s}}]\n"
		"workloads:\n- {workloadIps: [10.0.0.1], locality: {zone: a}, services: {n/s: {}}}\n"
		"- {workloadIps: [10.0.0.2], locality: {region: r, zone: b}, services: {n/s: {}}}\n"
		"gateways: {default: {port: 80}}\n"
		"routes: [{backends: [{service: {name: n/s, port: 80}}]}]\n";
	const struct backend *backend;
	struct config_case c;
	char yaml[1024];

	config_case_text(&c, list);
	backend = only_backend(&c);
	assert_span_equal(backend->endpoint_list[0].text, "b:1");
	assert_int_equal(backend->zone_groups.group_count, 2);
	assert_false(backend->prefers_zone);
	config_case_done(&c);
	for (int i = 0; i < 3; i++) {
		snprintf(yaml, sizeof(yaml), service, i ? "Zone" : "", i < 2 ? "Failover" : "Standard");
		config_case_text(&c, yaml);
		backend = only_backend(&c);
		assert_span_equal(backend->endpoint_list[0].text, "10.0.0.2:80");
		assert_int_equal(backend->zone_groups.group_count, 2);
		assert_int_equal(backend->prefers_zone, i == 1);
		config_case_done(&c);
	}
}

#define POLICY(text) ROUTE("host: 'a:1', policies: {loadBalancer: {" text "}}")

TEST(the_policy_of_a_backend_has_slow_start_and_zones)
{
	static const struct config_refusal rows[] = {
		{ POLICY(""), "a.yaml:2:", "sets nothing; write consistentHash, slowStart or zoneAware" },
		{ POLICY("slowStart: {}"), "a.yaml:2:", "write how long, as in window: 60s" },
		{ POLICY("slowStart: {window: 0s}"), "a.yaml:2:", "1ms" },
		{ POLICY("zoneAware: {}"), "a.yaml:2:", "write preferLocal: {}" },
		{ POLICY("zoneAware: {preferLocal: {force: {}}}"), "a.yaml:2:", "is not supported yet" },
		{ "gateways: {default: {port: 80}}\nroutes: [{policies: {loadBalancer: {}}}]\n",
		  "a.yaml:2:", "belongs to a backend" },
	};
	const struct load_balancer *balancer;
	struct config_case c;
	char *dump;

	config_case_text(&c, POLICY("slowStart: {window: 90s}, zoneAware: {preferLocal: {}}"));
	assert_int_equal(only_backend(&c)->slow_start_ms, 90000);
	balancer = c.snapshot->bind_list[0].listener_list[0].route_list[0].backend_list[0].balancer;
	assert_true(balancer && balancer->prefers_zone && balancer->has_slow_start);
	dump = compact_dump(c.snapshot);
	assert_has(dump, "{\"loadBalancer\":{\"slowStart\":{\"window\":\"1m30s\"},"
			 "\"zoneAware\":{\"preferLocal\":{}}}}");
	free(dump);
	config_case_done(&c);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		config_refused(&rows[i]);
}

static const struct affinity *affinity_of(const struct config_case *c)
{
	return c->snapshot->bind_list[0].listener_list[0].route_list[0].backend_list[0].affinity;
}

TEST(consistent_hashing_has_the_keys_of_envoy_gateway)
{
	static const struct {
		const char *hash;
		uint32_t keys;
		const char *dump;
	} rows[] = {
		{ "type: SourceIP", 1, "{\"type\":\"SourceIP\"}" },
		{ "type: Header, header: {name: X-User}", 1,
		  "{\"type\":\"Header\",\"header\":{\"name\":\"x-user\"}}" },
		{ "type: Headers, headers: [{name: a}, {name: b}]", 2,
		  "{\"type\":\"Headers\",\"headers\":[{\"name\":\"a\"},{\"name\":\"b\"}]}" },
		{ "type: Cookie, cookie: {name: sid}", 1,
		  "{\"type\":\"Cookie\",\"cookie\":{\"name\":\"sid\"}}" },
		{ "type: Cookie, cookie: {name: sid, ttl: 0s}", 1,
		  "{\"type\":\"Cookie\",\"cookie\":{\"name\":\"sid\",\"ttl\":\"0s\"}}" },
		{ "type: Cookie, cookie: {name: sid, ttl: 90s, attributes: {SameSite: Strict, Secure: ''}}",
		  1,
		  "{\"type\":\"Cookie\",\"cookie\":{\"name\":\"sid\",\"ttl\":\"1m30s\",\"attributes\":{"
		  "\"SameSite\":\"Strict\",\"Secure\":\"\"}}}" },
		{ "type: QueryParams, queryParams: [{name: u}], tableSize: 101", 1,
		  "{\"type\":\"QueryParams\",\"queryParams\":[{\"name\":\"u\"}],\"tableSize\":101}" },
		{ "type: Expression, expression: 'jwt.sub'", 1,
		  "{\"type\":\"Expression\",\"expression\":\"jwt.sub\"}" },
	};
	char yaml[512], want[512];
	struct config_case c;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char *dump;

		snprintf(yaml, sizeof(yaml),
			 ROUTE("endpoints: [{host: 'a:1'}, {host: 'b:1'}], policies: {loadBalancer: "
			       "{type: ConsistentHash, consistentHash: {%s}}}"),
			 rows[i].hash);
		config_case_text(&c, yaml);
		assert_int_equal(only_backend(&c)->groups.group_count, 1);
		assert_non_null(only_backend(&c)->groups.group_list[0].table);
		assert_int_equal(affinity_of(&c)->key_count, rows[i].keys);
		dump = compact_dump(c.snapshot);
		snprintf(want, sizeof(want), "{\"type\":\"ConsistentHash\",\"consistentHash\":%s}",
			 rows[i].dump);
		assert_has(dump, want);
		free(dump);
		config_case_done(&c);
	}
}

TEST(session_affinity_is_a_policy_of_its_own_and_comes_first)
{
	struct config_case c;
	char *dump;

	config_case_text(&c, ROUTE("endpoints: [{host: 'a:1'}, {host: 'b:1'}], policies: {sessionAffinity: "
				   "{source: 'request.headers[\"x-user\"]'}, loadBalancer: {consistentHash: "
				   "{type: SourceIP}}}"));
	assert_non_null(only_backend(&c)->groups.group_list[0].table);
	assert_span_equal(affinity_of(&c)->source, "request.headers[\"x-user\"]");
	dump = compact_dump(c.snapshot);
	assert_has(dump, "{\"sessionAffinity\":{\"source\":\"request.headers[\\\"x-user\\\"]\"}}");
	free(dump);
	config_case_done(&c);
}

#define HASH(text) POLICY("consistentHash: {" text "}")

TEST(wrong_keys_of_consistent_hashing_are_refused)
{
	static const struct config_refusal rows[] = {
		{ HASH(""), "a.yaml:2:", "write what the key is, as in type: SourceIP" },
		{ HASH("type: Header"), "a.yaml:2:", "\"header\" is missing; the type needs it" },
		{ HASH("type: SourceIP, header: {name: a}"), "a.yaml:2:", "does not belong to this type" },
		{ HASH("type: Header, header: {name: host}"), "a.yaml:2:", "" },
		{ HASH("type: Cookie, cookie: {name: 'a\"b'}"), "a.yaml:2:", "quotation mark" },
		{ HASH("type: Cookie, cookie: {name: 'a b', ttl: 1h}"), "a.yaml:2:", "letters, digits" },
		{ HASH("type: Cookie, cookie: {name: a, attributes: {Path: /}}"), "a.yaml:2:", "add ttl" },
		{ HASH("type: Cookie, cookie: {name: a, ttl: 1h, attributes: {max-age: '1'}}"),
		  "a.yaml:2:", "is what ttl is for" },
		{ HASH("type: Cookie, cookie: {name: a, ttl: 1h, attributes: {Path: '/; Secure'}}"),
		  "a.yaml:2:", "is not an attribute of a cookie" },
		{ HASH("type: Cookie, cookie: {name: a, ttl: 1h, attributes: {'a b': c}}"),
		  "a.yaml:2:", "is not an attribute of a cookie" },
		{ HASH("type: QueryParams, queryParams: [{}]"),
		  "a.yaml:2:", "write the name of the parameter" },
		{ HASH("type: Expression, expression: 'request.'"), "a.yaml:2:", "is not understood" },
		{ HASH("type: SourceIP, tableSize: 100"), "a.yaml:2:", "100 is not a prime number" },
		{ HASH("type: SourceIP, tableSize: 5000012"), "a.yaml:2:", "5000011" },
		{ POLICY("type: LeastRequest, consistentHash: {type: SourceIP}"),
		  "a.yaml:2:", "excludes consistentHash" },
		{ POLICY("type: ConsistentHash"), "a.yaml:2:", "needs consistentHash" },
		{ POLICY("type: RoundRobin"), "a.yaml:2:", "write LeastRequest" },
		{ ROUTE("host: 'a:1', policies: {sessionAffinity: {}}"), "a.yaml:2:", "write an expression" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		config_refused(&rows[i]);
}

TEST(endpoints_of_a_backend_whose_host_clients_name_have_no_limit)
{
	struct config_case c;

	config_case_text(
		&c, ROUTE("dynamic: {}, policies: {circuitBreaker: {perEndpoint: {maxConnections: 1}}}"));
	config_case_accepted(&c);
	assert_int_equal(policy_compile(c.snapshot, &c.report), -EINVAL);
	config_case_done(&c);
	config_case_text(
		&c, ROUTE("host: 'a:1', policies: {circuitBreaker: {perEndpoint: {maxConnections: 1}}}"));
	assert_true(only_backend(&c)->counts_endpoints);
	config_case_done(&c);
	config_case_text(&c, ROUTE("host: 'a:1', policies: {circuitBreaker: {maxConnections: 1}}"));
	assert_false(only_backend(&c)->counts_endpoints);
	config_case_done(&c);
}

TEST(tables_are_bounded_together)
{
	char yaml[4096] = "gateways: {default: {port: 80}}\nroutes: [{backends: [";
	struct config_case c;

	for (int i = 0; i < 9; i++)
		snprintf(yaml + strlen(yaml), sizeof(yaml) - strlen(yaml),
			 "{endpoints: [{host: 'a%d:1'}, {host: 'b:1'}], policies: {loadBalancer: "
			 "{consistentHash: {type: SourceIP, tableSize: 5000011}}}}, ",
			 i);
	strcat(yaml, "]}]\n");
	config_case_text(&c, yaml);
	config_case_accepted(&c);
	assert_int_equal(policy_compile(c.snapshot, &c.report), -EINVAL);
	config_case_done(&c);
}

#define SESSION(text)                                                                                        \
	"gateways: {default: {port: 80}}\nroutes: [{policies: {sessionPersistence: {" text "}}, "            \
	"backends: [{host: 'a:1'}]}]\n"

static const struct route *only_route(const struct config_case *c)
{
	config_case_accepted(c);
	return &c->snapshot->bind_list[0].listener_list[0].route_list[0];
}

TEST(sessions_are_written_as_in_gateway_api_1_6_and_1_7)
{
	static const char *const texts[] = {
		SESSION("sessionName: s, absoluteTimeout: 1h, type: Cookie, cookieConfig: {lifetimeType: "
			"Permanent}"),
		SESSION("absoluteTimeout: 1h, cookie: {name: s, lifetimeType: Permanent}"),
	};
	struct config_case c;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		const struct route_session *session;
		char *dump;

		config_case_text(&c, texts[i]);
		assert_int_equal(only_route(&c)->backend_count, 1);
		assert_int_equal(policy_compile(c.snapshot, &c.report), 0);
		session = only_route(&c)->effective.session;
		assert_non_null(session);
		assert_span_equal(session->name, "s");
		assert_span_equal(session->scope, "default/route0/0");
		assert_true(c.snapshot->has_sessions);
		dump = compact_dump(c.snapshot);
		assert_has(dump,
			   "{\"sessionPersistence\":{\"sessionName\":\"s\",\"absoluteTimeout\":\"1h0m0s\","
			   "\"type\":\"Cookie\",\"cookie\":{\"path\":\"/\",\"lifetimeType\":"
			   "\"Permanent\",\"sameSite\":\"Lax\"}}}");
		free(dump);
		config_case_done(&c);
	}
	config_case_text(&c, SESSION("type: Header, header: {name: X-S}, idleTimeout: 5m"));
	assert_int_equal(policy_compile(c.snapshot, &c.report), 0);
	assert_span_equal(only_route(&c)->effective.session->name, "x-s");
	config_case_done(&c);
}

TEST(each_rule_has_a_name_and_a_scope_of_its_own)
{
	struct span names[2];
	struct config_case c;

	config_case_text(&c,
			 "gateways: {default: {port: 80}}\n"
			 "routes: [{name: a, backends: [{host: 'a:1'}]}, {name: b, ruleName: x, backends: "
			 "[{host: 'a:1'}]}]\n"
			 "policies: [{name: {name: p}, target: {gateway: {gatewayName: default, "
			 "gatewayNamespace: default}}, policy: {sessionPersistence: {}}}]\n");
	config_case_accepted(&c);
	assert_int_equal(policy_compile(c.snapshot, &c.report), 0);
	for (uint32_t i = 0; i < 2; i++) {
		const struct route *route = &c.snapshot->bind_list[0].listener_list[0].route_list[i];

		assert_non_null(route->effective.session);
		names[i] = route->effective.session->name;
		assert_span_equal(route->effective.session->scope, i ? "default/b/x" : "default/a/0");
		assert_true(span_starts(names[i], SPAN("headgate-session-")));
		assert_int_equal(names[i].len, strlen("headgate-session-") + 8);
	}
	assert_false(span_eq(names[0], names[1]));
	config_case_done(&c);
}

TEST(wrong_sessions_and_keys_are_refused)
{
	static const struct config_refusal rows[] = {
		{ SESSION("cookie: {lifetimeType: Permanent}"), "a.yaml:2:", "needs absoluteTimeout" },
		{ SESSION("sessionName: 'a b'"), "a.yaml:2:", "cannot be the name of a cookie" },
		{ SESSION("sessionName: a, cookie: {name: b}"), "a.yaml:2:", "is another name than \"a\"" },
		{ SESSION("cookie: {path: shop}"), "a.yaml:2:", "write one such as /shop" },
		{ SESSION("cookie: {}, cookieConfig: {}"), "a.yaml:2:", "is the older name of cookie" },
		{ SESSION("type: Header, cookie: {}"), "a.yaml:2:", "write type: Cookie" },
		{ SESSION("header: {name: a}"), "a.yaml:2:", "needs type: Header" },
		{ SESSION("type: Header, sessionName: host"), "a.yaml:2:", "" },
		{ SESSION("absoluteTimeout: 10ms"), "a.yaml:2:", "1s" },
		{ "config: {session: {key: abc}}\n", "a.yaml:1:", "write 64 hexadecimal digits" },
		{ ROUTE("host: 'a:1', policies: {sessionPersistence: {}}"),
		  "a.yaml:2:", "belongs to a route" },
	};
	struct config_case c;
	char *dump;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		config_refused(&rows[i]);
	config_case_text(
		&c, "config: {session: {key: '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d"
		    "1e1f'}}\n" ROUTE("host: 'a:1'"));
	config_case_accepted(&c);
	assert_non_null(c.snapshot->session_key);
	dump = compact_dump(c.snapshot);
	assert_has(dump, "\"session\":{\"key\":\"<redacted>\"}");
	assert_null(strstr(dump, "0001020304"));
	free(dump);
	config_case_done(&c);
}
