/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/config_text.h"

#include "config/build.h"

#define POLICY                                                                                               \
	"{apiVersion: agentgateway.dev/v1alpha1, kind: AgentgatewayPolicy, metadata: {name: p, namespace: "  \
	"n}, spec: {\n"
#define TO_GATEWAY "targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: g}], "
#define TO_LISTENER                                                                                          \
	"targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: g, sectionName: l}], "
#define TO_ROUTE "targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r}], "
#define TO_SERVICE "targetRefs: [{group: '', kind: Service, name: s}], "
#define TO_BACKEND "targetRefs: [{kind: AgentgatewayBackend, group: agentgateway.dev, name: b}], "
#define END "}}\n"

TEST(keys_and_targets_are_those_of_the_documentation)
{
	static const struct {
		const char *text;
		const char *key;
		enum target_kind kind;
		const char *name;
		const char *section;
		uint16_t port;
		enum policy_kind policy;
	} rows[] = {
		{ POLICY TO_GATEWAY "frontend: {tcp: {keepalive: {}}}" END, "frontend/n/p:frontend-tcp:n/g",
		  TARGET_GATEWAY, "g", "", 0, POLICY_FRONTEND_TCP },
		{ POLICY TO_GATEWAY "frontend: {connect: {mode: Route}}" END,
		  "frontend/n/p:frontend-connect:n/g", TARGET_GATEWAY, "g", "", 0, POLICY_FRONTEND_CONNECT },
		{ "config: {proxyProtocol: {trusted: [10.0.0.0/8]}}\n---\n" POLICY TO_GATEWAY
		  "frontend: {proxyProtocol: {version: All, mode: Optional}}" END,
		  "frontend/n/p:frontend-proxy:n/g", TARGET_GATEWAY, "g", "", 0, POLICY_FRONTEND_PROXY },
		{ POLICY TO_GATEWAY "frontend: {http: {}}" END, "frontend/n/p:frontend-http:n/g",
		  TARGET_GATEWAY, "g", "", 0, POLICY_FRONTEND_HTTP },
		{ POLICY TO_GATEWAY "frontend: {accessLog: {attributes: {remove: [a]}}}" END,
		  "frontend/n/p:frontend-logging:n/g", TARGET_GATEWAY, "g", "", 0,
		  POLICY_FRONTEND_ACCESS_LOG },
		{ POLICY TO_GATEWAY "traffic: {timeouts: {request: 2s}}" END, "traffic/n/p:timeout:n/g",
		  TARGET_GATEWAY, "g", "", 0, POLICY_TIMEOUT },
		{ POLICY TO_LISTENER "traffic: {timeouts: {request: 2s}}" END, "traffic/n/p:timeout:n/g/l",
		  TARGET_GATEWAY, "g", "l", 0, POLICY_TIMEOUT },
		{ POLICY TO_ROUTE "traffic: {retry: {attempts: 3}}" END, "traffic/n/p:retry:n/r",
		  TARGET_ROUTE, "r", "", 0, POLICY_RETRY },
		{ POLICY TO_ROUTE "traffic: {delay: {duration: 2s}}" END, "traffic/n/p:delay:n/r",
		  TARGET_ROUTE, "r", "", 0, POLICY_DELAY },
		{ POLICY TO_SERVICE "backend: {health: {}}" END, "n/p:health:n/s.n.svc.cluster.local",
		  TARGET_SERVICE, "s.n.svc.cluster.local", "", 0, POLICY_BACKEND_HEALTH },
		{ POLICY TO_SERVICE "backend: {circuitBreaker: {maxConnections: 1}}" END,
		  "n/p:circuit-breaker:n/s.n.svc.cluster.local", TARGET_SERVICE, "s.n.svc.cluster.local", "",
		  0, POLICY_CIRCUIT_BREAKER },
		{ POLICY TO_SERVICE "backend: {proxyProtocol: {version: V1}}" END,
		  "backend/n/p:backend-proxy:n/s.n.svc.cluster.local", TARGET_SERVICE,
		  "s.n.svc.cluster.local", "", 0, POLICY_BACKEND_PROXY },
		{ POLICY TO_LISTENER "backend: {health: {}}" END, "n/p:health:n/g/l", TARGET_GATEWAY, "g",
		  "l", 0, POLICY_BACKEND_HEALTH },
		{ POLICY "targetRefs: [{kind: HTTPRoute, name: r, sectionName: rule}], traffic: "
			 "{directResponse: {status: 503}}" END,
		  "traffic/n/p:direct-response:n/r/rule", TARGET_ROUTE, "r", "rule", 0,
		  POLICY_DIRECT_RESPONSE },
		{ POLICY TO_ROUTE "traffic: {headerModifiers: {request: {set: [{name: a, value: b}]}}}" END,
		  "traffic/n/p:header-modifier:n/r", TARGET_ROUTE, "r", "", 0, POLICY_REQUEST_HEADERS },
		{ POLICY TO_ROUTE "traffic: {headerModifiers: {response: {remove: [a]}}}" END,
		  "traffic/n/p:resp-header-modifier:n/r", TARGET_ROUTE, "r", "", 0, POLICY_RESPONSE_HEADERS },
		{ POLICY TO_SERVICE "backend: {tcp: {connectTimeout: 1s}}" END,
		  "backend/n/p:backend-tcp:n/s.n.svc.cluster.local", TARGET_SERVICE, "s.n.svc.cluster.local",
		  "", 0, POLICY_BACKEND_TCP },
		{ POLICY "targetRefs: [{group: '', kind: Service, name: s, sectionName: 8000}], backend: "
			 "{http: {version: HTTP2}}" END,
		  "n/p:backend-http:n/s.n.svc.cluster.local/8000", TARGET_SERVICE, "s.n.svc.cluster.local",
		  "", 8000, POLICY_BACKEND_HTTP },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct targeted_policy *policy;
		struct config_case c;

		config_case_text(&c, rows[i].text);
		config_case_accepted(&c);
		assert_int_equal(c.snapshot->policy_count, 1);
		policy = &c.snapshot->policy_list[0];
		assert_span_equal(policy->key, rows[i].key);
		assert_int_equal(policy->target.kind, rows[i].kind);
		assert_span_equal(policy->target.name, rows[i].name);
		assert_span_equal(policy->target.namespace, "n");
		assert_span_equal(policy->target.section, rows[i].section);
		assert_int_equal(policy->target.port, rows[i].port);
		assert_int_equal(policy->value.kind, rows[i].policy);
		assert_int_equal(policy->created_s, INT64_MAX);
		assert_span_equal(policy->name_kind, "AgentgatewayPolicy");
		config_case_done(&c);
	}
}

TEST(one_entry_for_each_kind_and_target)
{
	struct config_case c;

	config_case_text(&c, POLICY "targetRefs: [{kind: HTTPRoute, name: a}, {kind: HTTPRoute, name: b}], "
				    "strategy: {inheritance: Default},"
				    "traffic: {phase: PreRouting, timeouts: {request: 5s}, retry: {attempts: "
				    "3, codes: [500]}}" END);
	config_case_accepted(&c);
	assert_int_equal(c.snapshot->policy_count, 4);
	assert_span_equal(c.snapshot->policy_list[0].key, "traffic/n/p:retry:n/a");
	assert_span_equal(c.snapshot->policy_list[1].key, "traffic/n/p:retry:n/b");
	assert_span_equal(c.snapshot->policy_list[2].key, "traffic/n/p:timeout:n/a");
	assert_span_equal(c.snapshot->policy_list[3].key, "traffic/n/p:timeout:n/b");
	assert_true(c.snapshot->policy_list[0].is_gateway_phase);
	config_case_done(&c);
}

/* The entries have the keys of the policy one level deeper than in files. */
TEST(a_direct_response_may_have_conditions)
{
	const struct direct_response *direct;
	struct config_case c;

	config_case_text(
		&c, POLICY TO_GATEWAY
		"traffic: {directResponse: {conditional: [{condition: 'request.path == \"/a\"', policy: "
		"{status: 204}}, {policy: {status: 503, body: x}}]}}" END);
	config_case_accepted(&c);
	direct = c.snapshot->policy_list[0].value.object;
	assert_int_equal(direct->case_count, 2);
	assert_non_null(direct->case_list[0].condition.expression);
	assert_int_equal(direct->case_list[0].response.status, 204);
	assert_null(direct->case_list[1].condition.expression);
	assert_int_equal(direct->case_list[1].response.status, 503);
	config_case_done(&c);
	config_case_text(&c, POLICY TO_GATEWAY
			 "traffic: {directResponse: {conditional: [{policy: {status: 204, body: x}}]}}" END);
	config_case_says(&c, CONFIG_ERROR, "a.yaml:2:", "has no body; remove body");
	config_case_done(&c);
}

TEST(selectors_find_objects_of_their_own_namespace)
{
	struct config_case c;

	config_case_text(&c, "{apiVersion: v1, kind: Service, metadata: {name: a, namespace: n, labels: {k: "
			     "v}}, spec: {}}\n---\n"
			     "{apiVersion: v1, kind: Service, metadata: {name: b, namespace: n, labels: {k: "
			     "w}}, spec: {}}\n---\n"
			     "{apiVersion: v1, kind: Service, metadata: {name: c, namespace: m, labels: {k: "
			     "v}}, spec: {}}\n---\n" POLICY
			     "targetSelectors: [{group: '', kind: Service, matchLabels: {k: v}}], backend: "
			     "{http: {requestTimeout: 1s}}" END);
	config_case_accepted(&c);
	assert_int_equal(c.snapshot->policy_count, 1);
	assert_span_equal(c.snapshot->policy_list[0].target.name, "a.n.svc.cluster.local");
	config_case_done(&c);

	config_case_text(&c, POLICY
			 "targetSelectors: [{kind: Gateway, matchLabels: {k: v}}], frontend: {http: {}}" END);
	config_case_accepted(&c);
	config_case_says(&c, CONFIG_WARNING,
			 "a.yaml:2:19: ", "selects nothing: no Gateway in namespace \"n\" has these labels");
	config_case_done(&c);
}

static void put_labels(struct text *out, unsigned int count)
{
	text_char(out, '{');
	for (unsigned int i = 0; i < count; i++)
		text_fmt(out, "k%u: v, ", i);
	text_char(out, '}');
}

static void put_services(struct text *out, unsigned int count, unsigned int labels)
{
	for (unsigned int i = 0; i < count; i++) {
		text_fmt(out, "{apiVersion: v1, kind: Service, metadata: {name: s%u, namespace: n, ", i);
		text_str(out, "labels: ");
		put_labels(out, labels);
		text_str(out, "}, spec: {}}\n---\n");
	}
}

static void put_selectors(struct text *out, const char *begin, const char *kind, unsigned int labels,
			  const char *end)
{
	text_fmt(out, "%stargetSelectors: [", begin);
	for (unsigned int i = 0; i < 16; i++) {
		text_fmt(out, "{kind: %s, matchLabels: ", kind);
		put_labels(out, labels);
		text_str(out, "}, ");
	}
	text_fmt(out, "], %s", end);
}

/* Each within its own bounds, and too much work or memory together. */
TEST(selectors_have_a_bound_together)
{
	static const char stranger[] = "{apiVersion: other.example/v1, kind: SecurityPolicy, "
				       "metadata: {name: p, namespace: n}, spec: {";
	static const struct {
		const char *begin, *end, *kind;
		unsigned int services, labels;
		const char *advice;
	} rows[] = {
		{ POLICY, "backend: {http: {requestTimeout: 1s}}" END, "Service", 60, 250,
		  "all files together look at more than 50000000 labels and objects; write fewer" },
		{ stranger, "extAuth: {}}}", "Service", 60, 250,
		  "all files together look at more than 50000000 labels and objects; write fewer" },
		{ POLICY, "backend: {http: {requestTimeout: 1s}, tcp: {}, health: {}}" END, "Service", 33500,
		  1, "100000 times a policy to an object is the most" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config_case c;
		struct text text;

		text_init(&text);
		put_services(&text, rows[i].services, rows[i].labels);
		put_selectors(&text, rows[i].begin, rows[i].kind, rows[i].labels, rows[i].end);
		text_char(&text, '\0');
		assert_int_equal(text_error(&text), 0);
		config_case_text(&c, text.data);
		assert_int_equal(c.result, -EINVAL);
		if (!strstr(config_case_lines(&c, CONFIG_ERROR), rows[i].advice))
			fail_msg("row %zu: %.300s", i, config_case_lines(&c, CONFIG_ERROR));
		config_case_done(&c);
		text_done(&text);
	}
}

#define IN "AgentgatewayPolicy n/p: spec."

TEST(a_section_that_sets_nothing_is_a_warning)
{
	static const char *const rows[][2] = {
		{ POLICY TO_GATEWAY "frontend: {}" END, "spec.frontend: is empty and has no effect" },
		{ POLICY TO_ROUTE "traffic: {}" END, "spec.traffic: is empty and has no effect" },
		{ POLICY TO_SERVICE "backend: {}" END, "spec.backend: is empty and has no effect" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config_case c;

		config_case_text(&c, rows[i][0]);
		config_case_accepted(&c);
		config_case_says(&c, CONFIG_WARNING, "a.yaml:2:", rows[i][1]);
		config_case_done(&c);
	}
}

TEST(what_is_not_supported_is_left_out_with_a_warning)
{
	static const struct config_refusal rows[] = {
		{ POLICY "targetRefs: [{kind: Pod, name: g}], backend: {http: {}}" END,
		  "a.yaml:2:14: " IN "targetRefs[0]: ", "cannot have objects of kind \"Pod\"" },
		{ POLICY "targetSelectors: [{kind: Pod, matchLabels: {a: b}}], backend: {http: {}}" END,
		  "a.yaml:2:19: " IN "targetSelectors[0]: ", "cannot have objects of kind \"Pod\"" },
		{ POLICY TO_GATEWAY "frontend: {http: {maxConnectionDuration: 1h}}" END,
		  "a.yaml:2:116: " IN "frontend.http.maxConnectionDuration: ",
		  "use config.timeouts.maxConnectionAge" },
		{ POLICY TO_GATEWAY "backend: {transformation: {request: {body: \"'a'\", remove: [c]}}}" END,
		  "a.yaml:2:", "another attempt may go to another backend" },
		{ POLICY TO_GATEWAY "backend: {auth: {aws: {}}}" END,
		  "a.yaml:2:", "\"aws\" is not supported yet" },
		{ "{apiVersion: gateway.networking.k8s.io/v1, kind: TCPRoute, metadata: {name: r}, spec: "
		  "{parentRefs: [], rules: [\n{matches: [], backendRefs: []}]}}\n",
		  "a.yaml:2:11: TCPRoute default/r: spec.rules[0].matches: ",
		  "a connection has nothing to match; remove it" },
		{ "# nothing\n---\n# at all\n", "a.yaml:1:1: ", "listens on no port" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config_case c;

		config_case_text(&c, rows[i].text);
		config_case_accepted(&c);
		config_case_says(&c, CONFIG_WARNING, rows[i].place, rows[i].words);
		config_case_done(&c);
	}
}

TEST(wrong_policies_are_refused)
{
	static const struct config_refusal rows[] = {
		{ POLICY TO_GATEWAY "frontend: {proxyProtocol: {}}" END,
		  "a.yaml:2:101: " IN "frontend.proxyProtocol: ", "needs the networks of the proxies" },
		{ POLICY TO_GATEWAY "traffic: {retry: {condition: x}}" END,
		  "a.yaml:2:", "is not understood" },
		{ POLICY TO_GATEWAY "traffic: {transformation: {}}" END, "a.yaml:2:", "changes nothing" },
		{ POLICY TO_GATEWAY "backend: {auth: {}}" END, "a.yaml:2:", "sets nothing" },
		{ POLICY TO_GATEWAY "rateLimit: {}" END, "a.yaml:2:", "it belongs under traffic" },
		{ POLICY TO_GATEWAY "strategy: {}" END, "a.yaml:1:108:", "spec: sets nothing" },
		{ POLICY "frontend: {http: {}}" END,
		  "a.yaml:1:108: AgentgatewayPolicy n/p: spec: ", "targetRefs, targetSelectors" },
		{ POLICY TO_GATEWAY "targetSelectors: [], frontend: {http: {}}" END,
		  "a.yaml:2:75: " IN "targetSelectors: ", "exclude each other" },
		{ POLICY "targetRefs: [], frontend: {http: {}}" END,
		  "a.yaml:2:13: " IN "targetRefs: ", "1 to 16 targets, this one has 0" },
		{ POLICY "targetRefs: [{kind: Gateway, name: g}]" END,
		  "a.yaml:1:108: AgentgatewayPolicy n/p: spec: ",
		  "at least one of frontend, traffic and backend" },
		{ POLICY TO_GATEWAY "front: {}, backend: {http: {}}" END,
		  "a.yaml:2:75: " IN "front: ", "did you mean \"frontend\"?" },
		{ POLICY "targetRefs: [{kind: Gateway, name: g, namespace: x}], backend: {http: {}}" END,
		  "a.yaml:2:39: " IN "targetRefs[0].namespace: ", "of its own namespace" },
		{ POLICY "targetRefs: [{kind: Gateway}], backend: {http: {}}" END,
		  "a.yaml:2:14: " IN "targetRefs[0]: ", "\"name\" is missing" },
		{ POLICY TO_ROUTE "frontend: {http: {}}" END,
		  "a.yaml:2:14: " IN "targetRefs[0]: ", "can only target a Gateway" },
		{ POLICY TO_SERVICE "traffic: {retry: {}}" END,
		  "a.yaml:2:14: " IN "targetRefs[0]: ", "not a Service" },
		{ POLICY "targetRefs: [{kind: Service, name: s, sectionName: http}], backend: {http: {}}" END,
		  "a.yaml:2:52: " IN "targetRefs[0].sectionName: ", "is a port number" },
		{ POLICY TO_GATEWAY "strategy: {inheritance: Override}, traffic: {retry: {}}" END,
		  "a.yaml:2:99: " IN "strategy.inheritance: ", "Override is not supported yet" },
		{ POLICY TO_GATEWAY "frontend: {tcp: {keepalives: {}}}" END,
		  "a.yaml:2:92: " IN "frontend.tcp.keepalives: ", "did you mean \"keepalive\"?" },
		{ POLICY TO_GATEWAY "frontend: {tcp: {keepalive: {retries: 65}}}" END,
		  "a.yaml:2:113: " IN "frontend.tcp.keepalive.retries: ", "from 1 to 64" },
		{ POLICY TO_GATEWAY "frontend: {tcp: {keepalive: {time: 1.5s}}}" END,
		  "a.yaml:2:110: " IN "frontend.tcp.keepalive.time: ", "write 1s500ms instead of 1.5s" },
		{ POLICY TO_GATEWAY "frontend: {http: {http1IdleTimeout: 500ms}}" END,
		  "a.yaml:2:111: " IN "frontend.http.http1IdleTimeout: ", "write 1s or more" },
		{ POLICY TO_GATEWAY "frontend: {http: {http1IdleTimeout: 1d}}" END,
		  "a.yaml:2:111: " IN "frontend.http.http1IdleTimeout: ", "one day is 24h" },
		{ POLICY TO_GATEWAY "frontend: {tls: {minProtocolVersion: '1.1'}}" END,
		  "a.yaml:2:112: " IN "frontend.tls.minProtocolVersion: ", "unknown word" },
		{ POLICY TO_GATEWAY "frontend: {tls: {handshakeTimeout: 50ms}}" END,
		  "a.yaml:2:110: " IN "frontend.tls.handshakeTimeout: ", "write 100ms or more" },
		{ POLICY TO_GATEWAY "traffic: {timeouts: {}}" END,
		  "a.yaml:2:95: " IN "traffic.timeouts: ", "sets nothing; write request or backendRequest" },
		{ POLICY TO_GATEWAY "traffic: {timeouts: {request: 0s}}" END,
		  "a.yaml:2:105: " IN "traffic.timeouts.request: ", "write 1ms or more" },
		{ POLICY TO_GATEWAY "traffic: {timeouts: {request: 1s, backendRequest: 2s}}" END,
		  "a.yaml:2:125: " IN "traffic.timeouts.backendRequest: ",
		  "longer than the request timeout" },
		{ POLICY TO_GATEWAY "traffic: {retry: {codes: [1]}}" END,
		  "a.yaml:2:101: " IN "traffic.retry.codes[0]: ", "from 100 to 999" },
		{ POLICY TO_GATEWAY "traffic: {directResponse: {status: 204, body: x}}" END,
		  "a.yaml:2:101: " IN "traffic.directResponse: ", "has no body; remove body" },
		{ POLICY TO_GATEWAY "traffic: {cors: {allowOrigins: ['*', 'https://a.test']}}" END,
		  "a.yaml:2:106: " IN "traffic.cors.allowOrigins: ", "write it alone" },
		{ POLICY TO_GATEWAY "traffic: {cors: {maxAge: 5s}}" END,
		  "a.yaml:2:100: " IN "traffic.cors.maxAge: ", "whole number" },
		{ POLICY TO_SERVICE "backend: {http: {}}, traffic: {retry: {}}" END,
		  "a.yaml:2:14: " IN "targetRefs[0]: ", "not a Service" },
		{ POLICY TO_BACKEND "traffic: {retry: {}}" END,
		  "a.yaml:2:14: " IN "targetRefs[0]: ", "not an AgentgatewayBackend" },
		{ POLICY "targetRefs: [{kind: Gateway, name: g, port: 80}], backend: {http: {}}" END,
		  "a.yaml:2:45: " IN "targetRefs[0].port: ", "only a policy with nothing but frontend" },
		{ POLICY "targetRefs: [{kind: Gateway, name: g, sectionName: a, port: 80}], frontend: {}" END,
		  "a.yaml:2:61: " IN "targetRefs[0].port: ", "excludes sectionName" },
		{ POLICY TO_GATEWAY "backend: {tcp: {connectTimeout: 50ms}}" END,
		  "a.yaml:2:107: " IN "backend.tcp.connectTimeout: ", "write 100ms or more" },
		{ POLICY TO_GATEWAY "backend: {tcp: {connectTimeout: {secs: 1, nanos: 0}}}" END,
		  "a.yaml:2:107: " IN "backend.tcp.connectTimeout: ", "expected a duration" },
		{ POLICY TO_GATEWAY "backend: {http: {version: HTTP/2.0}}" END,
		  "a.yaml:2:101: " IN "backend.http.version: ", "did you mean HTTP2?" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		config_refused(&rows[i]);
}

#define GATEWAY(spec)                                                                                        \
	"{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: g}, spec: {\n" spec "}}" \
	"\n"
#define ROUTE(rule)                                                                                          \
	"{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: r}, spec: "            \
	"{parentRefs: [], rules: [\n" rule "]}}\n"
#define IN_GATEWAY "Gateway default/g: spec."
#define IN_ROUTE "HTTPRoute default/r: spec.rules[0]"

TEST(wrong_gateways_and_routes_are_refused)
{
	static const struct config_refusal rows[] = {
		{ "{kind: Gateway, metadata: {name: g}}\n", "a.yaml:1:1: ", "\"apiVersion\" is missing" },
		{ "{apiVersion: v1, metadata: {name: g}}\n", "a.yaml:1:1: ", "\"kind\" is missing" },
		{ "{apiVersion: v1, kind: Service}\n", "a.yaml:1:1: ", "\"metadata\" is missing" },
		{ "{apiVersion: v1, kind: Service, metadata: {namespace: x}}\n",
		  "a.yaml:1:43: metadata: ", "\"name\" is missing" },
		{ "{apiVersion: v1, kind: Namespace, metadata: {name: x, creationTimestamp: "
		  "2026-13-01T00:00:00Z}}\n",
		  "a.yaml:1:74: Namespace x: metadata.creationTimestamp: ", "is not a time stamp" },
		{ "{apiVersion: v1, kind: Namespace, metadata: {name: x, labels: {a: 1}}}\n",
		  "a.yaml:1:67: Namespace x: metadata.labels.a: ", "put it in quotes" },
		{ "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: g}}\n",
		  "a.yaml:1:1: Gateway default/g: ", "\"spec\" is missing" },
		{ GATEWAY(""), "a.yaml:1:86: Gateway default/g: spec: ", "\"listeners\" is missing" },
		{ GATEWAY("listeners: [{port: 80, protocol: HTTP}]"),
		  "a.yaml:2:13: " IN_GATEWAY "listeners[0]: ", "\"name\" is missing" },
		{ GATEWAY("listenrs: []"), "a.yaml:2:1: " IN_GATEWAY "listenrs: ", "did you mean" },
		{ GATEWAY("clientAuth: {}, listeners: [{name: a, port: 1, protocol: HTTP}]"),
		  "a.yaml:2:1: " IN_GATEWAY "clientAuth: ", "unknown key" },
		{ GATEWAY("listeners: [{name: a, port: 0, protocol: HTTP}]"),
		  "a.yaml:2:29: " IN_GATEWAY "listeners[0].port: ", "65535" },
		{ GATEWAY("listeners: [{name: a, port: 1, protocol: HTTPS, tls: {mode: Passthrough}}]"),
		  "a.yaml:2:61: " IN_GATEWAY "listeners[0].tls.mode: ", "or protocol: TLS" },
		{ GATEWAY("listeners: [{name: a, port: 1, protocol: http}]"),
		  "a.yaml:2:42: " IN_GATEWAY "listeners[0].protocol: ", "did you mean HTTP?" },
		{ GATEWAY("listeners: [{name: a, port: 1, protocol: TLS, tls: {mode: terminate}}]"),
		  "a.yaml:2:59: " IN_GATEWAY "listeners[0].tls.mode: ", "did you mean Terminate?" },
		{ GATEWAY("listeners: [{name: a, port: 1, protocol: HTTP, tls: {mode: Passthrough}}]"),
		  "a.yaml:2:48: " IN_GATEWAY "listeners[0].tls: ", "protocol HTTP cannot have tls" },
		{ GATEWAY("listeners: [{name: a, port: 1, protocol: TCP, hostname: a.b}]"),
		  "a.yaml:2:47: " IN_GATEWAY "listeners[0].hostname: ", "plain TCP carries no host name" },
		{ GATEWAY("listeners: [{name: a, port: 1, protocol: HTTP, allowedRoutes: {namespaces: {from: "
			  "Selector}}}]"),
		  "a.yaml:2:76: " IN_GATEWAY "listeners[0].allowedRoutes.namespaces: ",
		  "from: Selector needs a selector" },
		{ GATEWAY("listeners: [{name: a, port: 1, protocol: HTTP, allowedRoutes: {namespaces: {from: "
			  "Selector, selector: {"
			  "matchExpressions: [{key: a, operator: Equals}]}}}}]"),
		  "a.yaml:2:142: " IN_GATEWAY
		  "listeners[0].allowedRoutes.namespaces.selector.matchExpressions[0].operator: ",
		  "In, NotIn" },
		{ GATEWAY("listeners: [{name: a, port: 1, protocol: HTTP}, {name: a, port: 1, protocol: "
			  "HTTP, hostname: x.y}]"),
		  "a.yaml:2:56: " IN_GATEWAY "listeners[1].name: ", "there is another listener \"a\"" },
		{ "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: r}, specs: "
		  "{}, spec: {"
		  "parentRefs: []}}\n",
		  "a.yaml:1:82: HTTPRoute default/r: specs: ", "did you mean \"spec\"?" },
		{ GATEWAY("listeners: [{name: a, port: 1, protocol: HTTP, hostname: [a]}]"),
		  "a.yaml:2:58: " IN_GATEWAY "listeners[0].hostname: ", "expected a text, found a list" },
		{ "{apiVersion: gateway.networking.k8s.io/v1, kind: TCPRoute, metadata: {name: r}, spec: "
		  "{parentRefs: [], rules: [\n"
		  "{backendRefs: []}, {backendRefs: []}]}}\n",
		  "a.yaml:1:111: TCPRoute default/r: spec.rules: ", "can have only one rule" },
		{ "{apiVersion: gateway.networking.k8s.io/v1, kind: TCPRoute, metadata: {name: r}, spec: "
		  "{parentRefs: [], hostnames: [], rules: []}}\n",
		  "a.yaml:1:104: TCPRoute default/r: spec.hostnames: ", "unknown key \"hostnames\"" },
		{ ROUTE("{match: []}"), "a.yaml:2:2: " IN_ROUTE ".match: ", "did you mean \"matches\"?" },
		{ ROUTE("{timeouts: {request: 1.5s}}"),
		  "a.yaml:2:22: " IN_ROUTE ".timeouts.request: ", "has decimals" },
		{ ROUTE("{timeouts: {request: 5}}"),
		  "a.yaml:2:22: " IN_ROUTE ".timeouts.request: ", "has no unit" },
		{ ROUTE("{timeouts: {request: 1d}}"),
		  "a.yaml:2:22: " IN_ROUTE ".timeouts.request: ", "one day is 24h" },
		{ ROUTE("{timeouts: {request: -1s}}"),
		  "a.yaml:2:22: " IN_ROUTE ".timeouts.request: ", "is negative" },
		{ ROUTE("{timeouts: {request: 1s, backendRequest: 2s}}"),
		  "a.yaml:2:42: " IN_ROUTE ".timeouts.backendRequest: ",
		  "is longer than the request timeout" },
		{ ROUTE("{retry: {attempts: -1}}"),
		  "a.yaml:2:20: " IN_ROUTE ".retry.attempts: ", "expected a whole number" },
		{ ROUTE("{matches: [{path: {type: Prefix, value: /}}]}"),
		  "a.yaml:2:26: " IN_ROUTE ".matches[0].path.type: ", "PathPrefix" },
		{ ROUTE("{matches: [{path: {value: a}}]}"),
		  "a.yaml:2:27: " IN_ROUTE ".matches[0].path.value: ", "begin it with /" },
		{ ROUTE("{matches: [{method: get}]}"),
		  "a.yaml:2:21: " IN_ROUTE ".matches[0].method: ", "did you mean GET?" },
		{ ROUTE("{filters: [{type: URLRewrite}]}"),
		  "a.yaml:2:12: " IN_ROUTE ".filters[0]: ", "\"urlRewrite\" is missing" },
		{ ROUTE("{filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, "
			"replacePrefixMatch: /}}}]}"),
		  "a.yaml:2:94: " IN_ROUTE ".filters[0].urlRewrite.path.replacePrefixMatch: ",
		  "does not fit type ReplaceFullPath" },
		{ ROUTE("{filters: [{type: URLRewrite, urlRewrite: {}}, {type: RequestRedirect, "
			"requestRedirect: {}}]}"),
		  "a.yaml:2:11: " IN_ROUTE ".filters: ", "exclude each other in one rule" },
		{ ROUTE("{filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: te, "
			"value: x}]}}]}"),
		  "a.yaml:2:73: " IN_ROUTE ".filters[0].requestHeaderModifier.set[0].name: ",
		  "belongs to message framing" },
		{ ROUTE("{backendRefs: [{name: s, port: 1, weight: 1000001}]}"),
		  "a.yaml:2:43: " IN_ROUTE ".backendRefs[0].weight: ", "from 0 to 1000000" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		config_refused(&rows[i]);
}
