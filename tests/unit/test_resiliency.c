/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/config_text.h"

#include "config/build.h"
#include "policy/expression/expression.h"

/* Both styles of file around the same value. */
#define STANDALONE(policies) "binds: [{port: 3000, listeners: [{routes: [{policies: {\n" policies "}}]}]}]\n"
#define STANDALONE_BACKEND(policies)                                                                         \
	"binds: [{port: 3000, listeners: [{routes: [{backends: [{host: 'h:1', policies: {\n" policies        \
	"}}]}]}]}]\n"
#define MANIFEST(spec)                                                                                       \
	"{apiVersion: agentgateway.dev/v1alpha1, kind: AgentgatewayPolicy, metadata: {name: p, namespace: "  \
	"n}, spec: {targetRefs: [{kind: HTTPRoute, name: r}],\n" spec "}}\n"

#define S 1000000000ull

static void check_delay(const struct delay_policy *delay, const char *text, uint64_t ns, bool is_computed)
{
	assert_non_null(delay);
	assert_span_equal(delay->text, text);
	assert_int_equal(delay->ns, ns);
	assert_int_equal(delay->expression != NULL, is_computed);
}

TEST(a_delay_is_a_duration_or_an_expression_in_both_styles)
{
	static const struct {
		const char *written;
		const char *dumped;
		uint64_t ns;
		bool is_computed;
	} rows[] = {
		{ "2s", "2s", 2 * S, false },
		{ "0s", "0s", 0, false },
		{ "1.5s", "1.5s", 3 * S / 2, false },
		{ "90000ms", "1m30s", 90 * S, false },
		{ "1h", "1h0m0s", 3600 * S, false },
		{ "'random() < 0.1 ? 500 : 0'", "random() < 0.1 ? 500 : 0", 0, true },
		{ "\"duration('500ms')\"", "duration('500ms')", 0, true },
		{ "int(random() * 500.0)", "int(random() * 500.0)", 0, true },
		{ "'request.path == ''/a'' ? 2.5 : 0.0'", "request.path == '/a' ? 2.5 : 0.0", 0, true },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[512];
		struct config_case c;

		snprintf(text, sizeof(text),
			 STANDALONE("delay: {duration: %s}, directResponse: {status: 200}"), rows[i].written);
		config_case_text(&c, text);
		config_case_accepted(&c);
		check_delay(build_value_find(
				    &c.snapshot->bind_list[0].listener_list[0].route_list[0].inline_policies,
				    POLICY_DELAY),
			    rows[i].dumped, rows[i].ns, rows[i].is_computed);
		config_case_done(&c);
		snprintf(text, sizeof(text), MANIFEST("traffic: {delay: {duration: %s}}"), rows[i].written);
		config_case_text(&c, text);
		config_case_accepted(&c);
		assert_int_equal(c.snapshot->policy_list[0].value.kind, POLICY_DELAY);
		check_delay(c.snapshot->policy_list[0].value.object, rows[i].dumped, rows[i].ns,
			    rows[i].is_computed);
		config_case_done(&c);
	}
}

static const struct health_policy *health_of(const struct config_case *c)
{
	if (c->snapshot->policy_count)
		return c->snapshot->policy_list[0].value.object;
	return build_value_find(
		&c->snapshot->bind_list[0].listener_list[0].route_list[0].backend_list[0].inline_policies,
		POLICY_BACKEND_HEALTH);
}

TEST(health_is_read_in_both_styles)
{
	static const struct {
		const char *text;
		const char *condition;
		bool has_eviction;
		struct eviction_policy want;
	} rows[] = {
		{ STANDALONE_BACKEND("health: {}"), "", false, { .duration = { 0 } } },
		{ STANDALONE_BACKEND("health: {eviction: {}}"), "", true, { .duration = { 0 } } },
		{ STANDALONE_BACKEND(
			  "health: {unhealthyExpression: 'response.code == 429', eviction: {duration: "
			  "1ms, restoreHealth: 0.5, consecutiveFailures: 3, healthThreshold: 1.0}}"),
		  "response.code == 429",
		  true,
		  { { true, S / 1000 }, true, 500000, 3, true, 1000000 } },
		{ STANDALONE_BACKEND("health: {eviction: {restoreHealth: 0}}"),
		  "",
		  true,
		  { .has_restore_health = true } },
		{ MANIFEST(
			  "backend: {health: {unhealthyCondition: response.code >= 500, eviction: {duration: "
			  "30s, restoreHealth: 100, consecutiveFailures: 3, healthThreshold: 25}}}"),
		  "response.code >= 500",
		  true,
		  { { true, 30 * S }, true, 1000000, 3, true, 250000 } },
		{ MANIFEST("backend: {health: {eviction: {restoreHealth: 1}}}"),
		  "",
		  true,
		  { .has_restore_health = true, .restore_health = 10000 } },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct health_policy *health;
		struct config_case c;

		config_case_text(&c, rows[i].text);
		config_case_accepted(&c);
		health = health_of(&c);
		assert_non_null(health);
		assert_span_equal(health->text, rows[i].condition);
		assert_int_equal(health->unhealthy != NULL, rows[i].condition[0] != '\0');
		assert_int_equal(health->has_eviction, rows[i].has_eviction);
		assert_int_equal(health->eviction.duration.is_set, rows[i].want.duration.is_set);
		assert_int_equal(health->eviction.duration.ns, rows[i].want.duration.ns);
		assert_int_equal(health->eviction.has_restore_health, rows[i].want.has_restore_health);
		assert_int_equal(health->eviction.restore_health, rows[i].want.restore_health);
		assert_int_equal(health->eviction.consecutive_failures, rows[i].want.consecutive_failures);
		assert_int_equal(health->eviction.has_health_threshold, rows[i].want.has_health_threshold);
		assert_int_equal(health->eviction.health_threshold, rows[i].want.health_threshold);
		config_case_done(&c);
	}
}

#define ACTIVE                                                                                               \
	"active: {timeout: 500ms, interval: 5s, healthyInterval: 20s, initialJitter: 1s, "                   \
	"unhealthyThreshold: 2, healthyThreshold: 4, type: HTTP, http: {hostname: h.example, "               \
	"path: '/z?a=1', method: POST, expectedStatuses: [200, 204], retriableStatuses: [503], "             \
	"expectedResponse: {type: Text, text: 'OK'}, requestBody: {binary: YQBi}}, "                         \
	"overrides: {port: 81}}, panicThreshold: 40"

TEST(active_checks_are_read_in_both_styles)
{
	static const char *const texts[] = { STANDALONE_BACKEND("health: {" ACTIVE "}"),
					     MANIFEST("backend: {health: {" ACTIVE "}}") };

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		const struct health_check *check;
		struct config_case c;

		config_case_text(&c, texts[i]);
		config_case_accepted(&c);
		assert_true(health_of(&c)->has_active);
		assert_int_equal(health_of(&c)->panic_percent, 40);
		check = &health_of(&c)->active;
		assert_int_equal(check->type, HEALTH_CHECK_HTTP);
		assert_int_equal(check->timeout_ns, S / 2);
		assert_int_equal(check->interval_ns, 5 * S);
		assert_int_equal(check->healthy_interval.ns, 20 * S);
		assert_int_equal(check->initial_jitter.ns, S);
		assert_int_equal(check->unhealthy_threshold, 2);
		assert_int_equal(check->healthy_threshold, 4);
		assert_span_equal(check->http.hostname, "h.example");
		assert_span_equal(check->http.path, "/z?a=1");
		assert_span_equal(check->http.method, "POST");
		assert_int_equal(check->http.expected_count, 2);
		assert_int_equal(check->http.expected_list[1], 204);
		assert_int_equal(check->http.retriable_list[0], 503);
		assert_span_equal(check->http.expected_response, "OK");
		assert_true(span_eq(check->http.request_body, SPAN("a\0b")));
		assert_int_equal(check->port, 81);
		config_case_done(&c);
	}
}

TEST(checks_have_the_defaults_of_envoy_gateway)
{
	const struct health_policy *health;
	struct config_case c;

	config_case_text(&c, STANDALONE_BACKEND("health: {active: {type: HTTP}}"));
	config_case_accepted(&c);
	health = health_of(&c);
	assert_int_equal(health->active.timeout_ns, S);
	assert_int_equal(health->active.interval_ns, 3 * S);
	assert_int_equal(health->active.unhealthy_threshold, 3);
	assert_int_equal(health->active.healthy_threshold, 1);
	assert_false(health->active.healthy_interval.is_set);
	assert_span_equal(health->active.http.path, "/");
	assert_span_equal(health->active.http.method, "GET");
	assert_false(health->has_passive);
	config_case_done(&c);
	config_case_text(&c, STANDALONE_BACKEND("health: {passive: {}, active: {type: GRPC, grpc: {service: "
						"a.B}}}"));
	config_case_accepted(&c);
	health = health_of(&c);
	assert_int_equal(health->active.type, HEALTH_CHECK_GRPC);
	assert_span_equal(health->active.grpc_service, "a.B");
	assert_true(health->has_passive);
	assert_int_equal(health->passive.interval_ns, 3 * S);
	assert_int_equal(health->passive.gateway_errors, 0);
	assert_int_equal(health->passive.server_errors, 5);
	assert_int_equal(health->passive.local_failures, 5);
	assert_false(health->passive.splits_local);
	assert_int_equal(health->passive.base_ejection.ns, 30 * S);
	assert_true(health->passive.base_ejection.is_set);
	assert_int_equal(health->passive.most_percent, 10);
	assert_int_equal(health->passive.failure_percent, 0);
	assert_true(health->passive.always_one);
	config_case_done(&c);
	config_case_text(
		&c, STANDALONE_BACKEND("health: {active: {type: TCP, tcp: {send: {text: \"PING\\r\\n\"}, "
				       "receive: {type: Text, text: PONG}}}}"));
	config_case_accepted(&c);
	assert_span_equal(health_of(&c)->active.tcp.send, "PING\r\n");
	assert_span_equal(health_of(&c)->active.tcp.receive, "PONG");
	config_case_done(&c);
}

#define IN_POLICIES ": binds[0].listeners[0].routes[0].policies."
#define IN_BACKEND ": binds[0].listeners[0].routes[0].backends[0].policies."
#define LOCAL ", directResponse: {status: 200}"

TEST(what_is_wrong_is_said_with_what_to_write)
{
	static const struct config_refusal rows[] = {
		{ STANDALONE("delay: {}" LOCAL), "a.yaml:2:8" IN_POLICIES "delay: ",
		  "\"duration\" is missing; write one such as duration: 2s" },
		{ STANDALONE("delay: 2s" LOCAL), "a.yaml:2:8" IN_POLICIES "delay: ", "expected a map" },
		{ STANDALONE("delay: {duration: 5}" LOCAL),
		  "a.yaml:2:19" IN_POLICIES "delay.duration: ", "the duration \"5\" has no unit" },
		{ STANDALONE("delay: {duration: '5'}" LOCAL),
		  "a.yaml:2:19" IN_POLICIES "delay.duration: ", "the duration \"5\" has no unit" },
		{ STANDALONE("delay: {duration: -1s}" LOCAL),
		  "a.yaml:2:19" IN_POLICIES "delay.duration: ", "the duration \"-1s\"" },
		{ STANDALONE("delay: {duration: 1d}" LOCAL),
		  "a.yaml:2:19" IN_POLICIES "delay.duration: ", "the duration \"1d\"" },
		{ STANDALONE("delay: {duration: 61m}" LOCAL), "a.yaml:2:19" IN_POLICIES "delay.duration: ",
		  "a delay is at most 60 minutes, and \"61m\" is longer" },
		{ STANDALONE("delay: {duration: 'random() < 0.1'}" LOCAL),
		  "a.yaml:2:19" IN_POLICIES "delay.duration: ",
		  "gives true or false; write one that gives a duration or a number of milliseconds" },
		{ STANDALONE("delay: {duration: 'request.path'}" LOCAL),
		  "a.yaml:2:19" IN_POLICIES "delay.duration: ", "gives a text; write one" },
		{ STANDALONE("delay: {duration: 'response.code'}" LOCAL),
		  "a.yaml:2:19" IN_POLICIES "delay.duration: ",
		  "is not understood at character 1: response.code does not exist here, only when there is a "
		  "response; before authentication there are request, source, destination" },
		{ STANDALONE("delay: {duration: 'rand()'}" LOCAL),
		  "a.yaml:2:19" IN_POLICIES "delay.duration: ", "rand() is not known, perhaps random()" },
		{ STANDALONE("delay: {duration: 1s, probability: 0.1}" LOCAL),
		  "a.yaml:2:23" IN_POLICIES "delay.probability: ", "is not supported yet" },
		{ STANDALONE("health: {}" LOCAL),
		  "a.yaml:2:1" IN_POLICIES "health: ", "belongs to a backend" },
		{ STANDALONE_BACKEND("delay: {duration: 1s}"),
		  "a.yaml:2:1" IN_BACKEND "delay: ", "belongs to a route" },
		{ STANDALONE_BACKEND("health: {unhealthyCondition: 'true'}"),
		  "a.yaml:2:10" IN_BACKEND "health.unhealthyCondition: ",
		  "is called unhealthyExpression in standalone files" },
		{ STANDALONE_BACKEND("health: {unhealthyExpression: response.code}"),
		  "a.yaml:2:31" IN_BACKEND "health.unhealthyExpression: ",
		  "gives a whole number; write a condition such as response.code >= 500" },
		{ STANDALONE_BACKEND("health: {unhealthyExpression: 'response.code >'}"),
		  "a.yaml:2:31" IN_BACKEND "health.unhealthyExpression: ", "expected a value" },
		{ STANDALONE_BACKEND("health: {unhealthyExpression: true}"),
		  "a.yaml:2:31" IN_BACKEND "health.unhealthyExpression: ", "expected" },
		{ STANDALONE_BACKEND("health: {eviction: {restoreHealth: 100}}"),
		  "a.yaml:2:36" IN_BACKEND "health.eviction.restoreHealth: ",
		  "expected a number from 0.0 to 1.0" },
		{ STANDALONE_BACKEND("health: {eviction: {healthThreshold: -1}}"),
		  "a.yaml:2:38" IN_BACKEND "health.eviction.healthThreshold: ",
		  "expected a number from 0.0 to 1.0" },
		{ STANDALONE_BACKEND("health: {eviction: {consecutiveFailures: 0}}"),
		  "a.yaml:2:42" IN_BACKEND "health.eviction.consecutiveFailures: ",
		  "expected a whole number from 1" },
		{ STANDALONE_BACKEND("health: {eviction: {duration: 0s}}"),
		  "a.yaml:2:31" IN_BACKEND "health.eviction.duration: ", "write 1ms or more" },
		{ STANDALONE_BACKEND("health: {eviction: {maxEjectionPercent: 5}}"),
		  "a.yaml:2:21" IN_BACKEND "health.eviction.maxEjectionPercent: ", "unknown key" },
		{ STANDALONE_BACKEND("health: {active: {}}"), "a.yaml:2:18" IN_BACKEND "health.active: ",
		  "\"type\" is missing; write type: HTTP, TCP or GRPC" },
		{ STANDALONE_BACKEND("health: {active: {type: http}}"),
		  "a.yaml:2:25" IN_BACKEND "health.active.type: ", "HTTP" },
		{ STANDALONE_BACKEND("health: {active: true}"),
		  "a.yaml:2:18" IN_BACKEND "health.active: ", "write {type: HTTP, http: {path: /healthz}}" },
		{ STANDALONE_BACKEND("health: {active: {type: TCP, http: {path: /}}}"),
		  "a.yaml:2:36" IN_BACKEND "health.active.http: ",
		  "is for checks of type: HTTP; write that type, or leave it out" },
		{ STANDALONE_BACKEND("health: {active: {type: HTTP, interval: 1ms}}"),
		  "a.yaml:2:41" IN_BACKEND "health.active.interval: ", "write 10ms or more" },
		{ STANDALONE_BACKEND("health: {active: {type: HTTP, unhealthyThreshold: 0}}"),
		  "a.yaml:2:51" IN_BACKEND "health.active.unhealthyThreshold: ",
		  "expected a whole number from 1" },
		{ STANDALONE_BACKEND("health: {active: {type: HTTP, http: {path: healthz}}}"),
		  "a.yaml:2:44" IN_BACKEND "health.active.http.path: ",
		  "does not start with /; write a path such as /healthz" },
		{ STANDALONE_BACKEND("health: {active: {type: HTTP, http: {path: '/a b'}}}"),
		  "a.yaml:2:44" IN_BACKEND "health.active.http.path: ", "encode it with %" },
		{ STANDALONE_BACKEND("health: {active: {type: HTTP, http: {expectedStatuses: []}}}"),
		  "a.yaml:2:56" IN_BACKEND "health.active.http.expectedStatuses: ", "has no status" },
		{ STANDALONE_BACKEND("health: {active: {type: HTTP, http: {requestBody: {text: a}}}}"),
		  "a.yaml:2:51" IN_BACKEND "health.active.http.requestBody: ",
		  "is not sent with GET; write method: POST" },
		{ STANDALONE_BACKEND("health: {active: {type: HTTP, http: {method: HEAD, expectedResponse: "
				     "{text: a}}}}"),
		  "a.yaml:2:70" IN_BACKEND "health.active.http.expectedResponse: ",
		  "a response to HEAD has no body" },
		{ STANDALONE_BACKEND("health: {active: {type: TCP, tcp: {send: {binary: '*'}}}}"),
		  "a.yaml:2:51" IN_BACKEND "health.active.tcp.send.binary: ", "is not base64" },
		{ STANDALONE_BACKEND("health: {active: {type: TCP, tcp: {send: {type: Binary, text: a}}}}"),
		  "a.yaml:2:49" IN_BACKEND "health.active.tcp.send.type: ",
		  "does not agree with `text`; write type: Text" },
		{ STANDALONE_BACKEND("health: {active: {type: TCP, tcp: {send: {text: ''}}}}"),
		  "a.yaml:2:49" IN_BACKEND "health.active.tcp.send.text: ", "has 0 bytes; write 1 to 1024" },
		{ STANDALONE_BACKEND("health: {eviction: {}, passive: {}}"),
		  "a.yaml:2:33" IN_BACKEND "health.passive: ",
		  "decides like `eviction` when an endpoint gets no requests; write one of them" },
		{ STANDALONE_BACKEND("health: {passive: {consecutive5XxErrors: 0}}"),
		  "a.yaml:2:19" IN_BACKEND "health.passive: ", "ejects nothing; write consecutive5XxErrors" },
		{ STANDALONE_BACKEND(
			  "health: {passive: {maxEjectionPercent: 0, alwaysEjectOneEndpoint: false}}"),
		  "a.yaml:2:19" IN_BACKEND "health.passive: ",
		  "ejects nothing; write maxEjectionPercent of 1 or more" },
		{ STANDALONE_BACKEND("health: {panicThreshold: 101}"),
		  "a.yaml:2:26" IN_BACKEND "health.panicThreshold: ",
		  "expected a whole number from 0 to 100" },
		{ MANIFEST("traffic: {delay: {duration: 1d}}"),
		  "a.yaml:2:29: AgentgatewayPolicy n/p: spec.traffic.delay.duration: ",
		  "the duration \"1d\"" },
		{ MANIFEST("backend: {health: {unhealthyExpression: 'true'}}"),
		  "a.yaml:2:20: AgentgatewayPolicy n/p: spec.backend.health.unhealthyExpression: ",
		  "is called unhealthyCondition in manifests" },
		{ MANIFEST("backend: {health: {eviction: {duration: 500ms}}}"),
		  "a.yaml:2:41: AgentgatewayPolicy n/p: spec.backend.health.eviction.duration: ",
		  "write 1s or more" },
		{ MANIFEST("backend: {health: {eviction: {restoreHealth: 0.5}}}"),
		  "a.yaml:2:46: AgentgatewayPolicy n/p: spec.backend.health.eviction.restoreHealth: ",
		  "expected a whole number from 0 to 100" },
		{ MANIFEST("backend: {health: {eviction: {healthThreshold: 101}}}"),
		  "a.yaml:2:48: AgentgatewayPolicy n/p: spec.backend.health.eviction.healthThreshold: ",
		  "expected a whole number from 0 to 100" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		config_refused(&rows[i]);
}
