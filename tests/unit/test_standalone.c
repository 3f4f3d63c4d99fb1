/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/config_text.h"

#include "config/build.h"

/* Everything up to the elements of `routes`. */
#define ROUTES "binds: [{port: 3000, listeners: [{routes: [" /* 43 characters */
#define END "]}]}]\n"

static const struct route *only_route(const struct config_case *c)
{
	config_case_accepted(c);
	assert_int_equal(c->snapshot->bind_count, 1);
	assert_int_equal(c->snapshot->bind_list[0].listener_count, 1);
	assert_int_equal(c->snapshot->bind_list[0].listener_list[0].route_count, 1);
	return &c->snapshot->bind_list[0].listener_list[0].route_list[0];
}

/* -------------------------------------------------------------------------------- what is accepted */

TEST(the_documented_minimum_gives_the_documented_keys)
{
	struct config_case c;
	const struct listener *listener;
	const struct backend_http *http;
	const struct backend_tcp *tcp;
	const struct route *route;
	const struct bind *bind;

	config_case_text(&c, "binds:\n"
			     "- port: 3000\n"
			     "  listeners:\n"
			     "  - routes:\n"
			     "    - backends:\n"
			     "      - host: localhost:8080\n"
			     "        policies:\n"
			     "          http:\n"
			     "            requestTimeout: 1s\n"
			     "          tcp:\n"
			     "            connectTimeout:\n"
			     "              secs: 10\n"
			     "              nanos: 0\n"
			     "            keepalives: {}\n");
	route = only_route(&c);
	bind = &c.snapshot->bind_list[0];
	listener = &bind->listener_list[0];
	assert_span_equal(bind->key, "bind/3000");
	assert_span_equal(bind->address_text, "[::]:3000");
	assert_int_equal(address_port(&bind->address), 3000);
	assert_int_equal(bind->protocol, BIND_HTTP);
	assert_span_equal(listener->key, "default/default/bind/3000/listener0");
	assert_span_equal(listener->gateway_name, "default");
	assert_span_equal(listener->gateway_namespace, "default");
	assert_span_equal(listener->listener_name, "listener0");
	assert_int_equal(listener->hostname.len, 0);
	assert_span_equal(route->key, "default/default/bind/3000/listener0/default/route0");
	assert_span_equal(route->name, "route0");
	assert_span_equal(route->namespace, "default");
	assert_int_equal(route->match_count, 1);
	assert_int_equal(route->match_list[0].path_kind, PATH_PREFIX_SEGMENTS);
	assert_span_equal(route->match_list[0].path, "/");
	assert_int_equal(weights_of(route), 1);
	assert_span_equal(route->backend_list[0].backend_name,
			  "/default/default/bind/3000/listener0/default/route0/backend0");
	assert_ptr_equal(route->backend_list[0].backend, &c.snapshot->backend_list[0]);
	assert_int_equal(c.snapshot->backend_count, 1);
	assert_span_equal(c.snapshot->backend_list[0].name,
			  "default/default/bind/3000/listener0/default/route0/backend0");
	assert_span_equal(c.snapshot->backend_list[0].target, "localhost:8080");
	assert_true(c.snapshot->backend_list[0].is_listed);
	http = build_value_find(&route->backend_list[0].inline_policies, POLICY_BACKEND_HTTP);
	assert_true(http->request_timeout.is_set);
	assert_int_equal(http->request_timeout.ns, 1000000000);
	assert_int_equal(http->version, BACKEND_HTTP_AUTO);
	tcp = build_value_find(&route->backend_list[0].inline_policies, POLICY_BACKEND_TCP);
	assert_int_equal(tcp->connect_timeout.ns, 10000000000);
	assert_true(tcp->connect_timeout_as_object);
	assert_true(tcp->keepalives.enabled);
	assert_int_equal(tcp->keepalives.time_ns, 180000000000);
	assert_int_equal(tcp->keepalives.interval_ns, 180000000000);
	assert_int_equal(tcp->keepalives.retries, 9);
	/* In the order of the dump. */
	assert_int_equal(route->backend_list[0].inline_policies.value_list[0].kind, POLICY_BACKEND_HTTP);
	assert_int_equal(route->backend_list[0].inline_policies.value_list[1].kind, POLICY_BACKEND_TCP);
	config_case_done(&c);
}

TEST(server_end_policies_are_attached_with_defaults_filled_in)
{
	const struct frontend_http *http;
	const struct frontend_tcp *tcp;
	struct config_case c;

	config_case_text(&c, "frontendPolicies:\n"
			     "  http: {http1IdleTimeout: 1s, http2KeepaliveInterval: 5s}\n"
			     "  tcp: {keepalives: {time: 30s, interval: 5s, retries: 3}}\n"
			     "  accessLog: {remove: [http.path]}\n");
	config_case_accepted(&c);
	assert_int_equal(c.snapshot->policy_count, 3);
	assert_span_equal(c.snapshot->policy_list[0].key, "frontend/accessLog");
	assert_span_equal(c.snapshot->policy_list[1].key, "frontend/http");
	assert_span_equal(c.snapshot->policy_list[2].key, "frontend/tcp");
	for (int i = 0; i < 3; i++) {
		assert_false(c.snapshot->policy_list[i].has_name);
		assert_int_equal(c.snapshot->policy_list[i].target.kind, TARGET_GATEWAY);
		assert_span_equal(c.snapshot->policy_list[i].target.name, "default");
		assert_span_equal(c.snapshot->policy_list[i].target.namespace, "default");
	}
	http = c.snapshot->policy_list[1].value.object;
	assert_int_equal(http->http1_idle_timeout_ns, 1000000000);
	assert_int_equal(http->max_buffer_bytes, 2097152);
	assert_false(http->http1_max_headers.is_set);
	assert_int_equal(http->http2_keepalive_interval.ns, 5000000000);
	assert_false(http->http2_keepalive_timeout.is_set);
	tcp = c.snapshot->policy_list[2].value.object;
	assert_int_equal(tcp->keepalives.time_ns, 30000000000);
	assert_int_equal(tcp->keepalives.interval_ns, 5000000000);
	assert_int_equal(tcp->keepalives.retries, 3);
	assert_true(tcp->keepalives.enabled);
	config_case_says(&c, CONFIG_WARNING, "a.yaml:1:1: the configuration listens on no port",
			 "write gateways: {");
	config_case_done(&c);
}

TEST(route_policies_come_in_the_order_of_the_dump)
{
	static const enum policy_kind order[] = { POLICY_TIMEOUT,	  POLICY_RETRY,
						  POLICY_REQUEST_HEADERS, POLICY_RESPONSE_HEADERS,
						  POLICY_URL_REWRITE,	  POLICY_MIRROR };
	const struct header_modifier *headers;
	const struct timeout_policy *timeout;
	const struct mirror_policy *mirror;
	const struct retry_policy *retry;
	const struct url_rewrite *rewrite;
	const struct route *route;
	struct config_case c;

	config_case_text(&c, ROUTES
			 "{policies: {requestMirror: {backend: {host: '127.0.0.1:9'}, percentage: 0.25},"
			 "urlRewrite: {path: {prefix: /x}, authority: {port: 81}},"
			 "responseHeaderModifier: {remove: [Server]},"
			 "requestHeaderModifier: {add: {X-A: ' b '}, set: {x-b: ''}},"
			 "retry: {attempts: 3, backoff: 1s, codes: [517, 503, 517]},"
			 "timeout: {requestTimeout: 10s, backendRequestTimeout: 5s}},"
			 "backends: [{host: 'a:80', weight: 3}, {host: 'b:80', weight: 0}]}" END);
	route = only_route(&c);
	assert_int_equal(weights_of(route), 3);
	assert_int_equal(route->inline_policies.value_count, ARRAY_LEN(order));
	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		assert_int_equal(route->inline_policies.value_list[i].kind, order[i]);
	timeout = route->inline_policies.value_list[0].object;
	assert_int_equal(timeout->request.ns, 10000000000);
	assert_int_equal(timeout->backend_request.ns, 5000000000);
	retry = route->inline_policies.value_list[1].object;
	assert_int_equal(retry->attempts, 3);
	assert_int_equal(retry->backoff.ns, 1000000000);
	assert_int_equal(retry->code_count, 2);
	assert_int_equal(retry->code_list[0], 517);
	headers = route->inline_policies.value_list[2].object;
	assert_span_equal(headers->add_list[0].name, "x-a");
	assert_span_equal(headers->add_list[0].value, "b");
	assert_int_equal(headers->set_count, 1);
	rewrite = route->inline_policies.value_list[4].object;
	assert_int_equal(rewrite->authority_kind, AUTHORITY_PORT);
	assert_int_equal(rewrite->port, 81);
	assert_int_equal(rewrite->path_kind, PATH_PREFIX);
	mirror = route->inline_policies.value_list[5].object;
	assert_int_equal(mirror->per_million, 250000);
	assert_span_equal(mirror->backend->target, "127.0.0.1:9");
	assert_ptr_equal(mirror->backend, mirror->ref->backend);
	assert_in_range((uintptr_t)mirror->backend, (uintptr_t)c.snapshot->backend_list,
			(uintptr_t)(c.snapshot->backend_list + c.snapshot->backend_count - 1));
	config_case_done(&c);
}

TEST(targets_are_names_addresses_and_sockets)
{
	static const struct {
		const char *host;
		enum backend_kind kind;
		bool is_resolved;
		bool rewrites_host;
		const char *authority;
		const char *endpoint;
	} rows[] = {
		{ "localhost:8080", BACKEND_HOST, false, true, "localhost:8080", "localhost:8080" },
		{ "WWW.Example.com:80", BACKEND_HOST, false, true, "www.example.com", "www.example.com:80" },
		{ "my_service:443", BACKEND_HOST, false, true, "my_service:443", "my_service:443" },
		{ "example.com.:81", BACKEND_HOST, false, true, "example.com.:81", "example.com.:81" },
		{ "127.0.0.1:8000", BACKEND_HOST, true, false, "127.0.0.1:8000", "127.0.0.1:8000" },
		{ "[::1]:8000", BACKEND_HOST, true, false, "[::1]:8000", "[::1]:8000" },
		{ "[2001:DB8::1]:80", BACKEND_HOST, true, false, "[2001:db8::1]", "[2001:db8::1]:80" },
		{ "unix:/run/app.sock", BACKEND_UNIX, true, false, "", "unix:/run/app.sock" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct backend *backend;
		struct config_case c;
		char text[200];

		snprintf(text, sizeof(text), ROUTES "{backends: [{host: '%s'}]}" END, rows[i].host);
		config_case_text(&c, text);
		backend = only_route(&c)->backend_list[0].backend;
		assert_int_equal(backend->kind, rows[i].kind);
		assert_span_equal(backend->target, rows[i].host);
		assert_int_equal(backend->endpoint_count, 1);
		assert_int_equal(backend->endpoint_list[0].is_resolved, rows[i].is_resolved);
		assert_int_equal(backend->rewrites_host, rows[i].rewrites_host);
		assert_span_equal(backend->authority, rows[i].authority);
		assert_span_equal(backend->endpoint_list[0].text, rows[i].endpoint);
		config_case_done(&c);
	}
}

TEST(named_backends_and_services_can_be_referenced)
{
	const struct route *route;
	struct config_case c;

	config_case_text(&c, "backends:\n"
			     "- {name: zeta, host: 'z:1', policies: {http: {requestTimeout: 1s, version: "
			     "HTTP/2.0}}, splice: off}\n"
			     "- {name: alpha, host: 'a:1'}\n" ROUTES
			     "{backends: [{backend: zeta}, {backend: /alpha}, {backend: zeta, splice: auto},"
			     "{backend: alpha, splice: sameHost},"
			     "{service: {name: ns/svc.local, port: 81}}]}" END);
	route = only_route(&c);
	assert_int_equal(c.snapshot->backend_count, 3);
	assert_span_equal(c.snapshot->backend_list[0].name, "alpha");
	assert_span_equal(c.snapshot->backend_list[1].name, "ns/svc.local");
	assert_span_equal(c.snapshot->backend_list[2].name, "zeta");
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(c.snapshot->backend_list[i].index, i);
	assert_ptr_equal(route->backend_list[0].backend, &c.snapshot->backend_list[2]);
	assert_ptr_equal(route->backend_list[1].backend, &c.snapshot->backend_list[0]);
	assert_ptr_equal(route->backend_list[2].backend, &c.snapshot->backend_list[2]);
	assert_span_equal(route->backend_list[0].backend_name, "/zeta");
	assert_true(route->backend_list[0].backend->splice_off);
	assert_false(route->backend_list[1].backend->splice_off);
	assert_true(route->backend_list[3].is_same_host);
	assert_false(route->backend_list[3].backend->is_same_host || route->backend_list[3].splice_off);
	assert_span_equal(route->backend_list[4].service_name, "ns/svc.local");
	assert_int_equal(route->backend_list[4].service_port, 81);
	assert_int_equal(route->backend_list[4].backend->kind, BACKEND_SERVICE);
	assert_span_equal(route->backend_list[4].backend->endpoint_list[0].text, "svc.local:81");
	assert_false(route->backend_list[4].backend->is_listed);
	config_case_done(&c);
}

TEST(matches_hold_what_was_written)
{
	const struct route *route;
	struct config_case c;

	config_case_text(
		&c, ROUTES
		"{name: n, ruleName: r, namespace: s, hostnames: ['WWW.x.y', '*.Z', 10.0.0.1], matches: ["
		"{path: {exact: /a}, method: GET, headers: [{name: X-Y, value: {exact: '1'}},"
		"{name: ':authority', value: {regex: 'a.*'}}], query: [{name: Q, value: {regex: '^b$'}}]},"
		"\n{path: {regex: '/[0-9]+'}}, {path: {regex: ['/old', 4]}}, {method: POST}],"
		"backends: [{host: 'a:1'}]}" END);
	route = only_route(&c);
	assert_span_equal(route->key, "default/default/bind/3000/listener0/s/n/r");
	assert_span_equal(route->rule_name, "r");
	assert_int_equal(route->hostname_count, 3);
	assert_span_equal(route->hostname_list[0], "www.x.y");
	assert_span_equal(route->hostname_list[1], "*.z");
	assert_int_equal(route->match_count, 4);
	assert_int_equal(route->match_list[0].path_kind, PATH_EXACT);
	assert_span_equal(route->match_list[0].method, "GET");
	assert_span_equal(route->match_list[0].header_list[0].name, "x-y");
	assert_int_equal(route->match_list[0].header_list[1].kind, TEXT_REGEX);
	assert_span_equal(route->match_list[0].query_list[0].name, "Q");
	assert_span_equal(route->match_list[0].query_list[0].value, "^b$");
	assert_int_equal(route->match_list[1].path_kind, PATH_REGEX);
	assert_span_equal(route->match_list[1].where,
			  "a.yaml:2:16: binds[0].listeners[0].routes[0].matches[1].path.regex");
	assert_span_equal(route->match_list[2].path, "/old");
	assert_span_equal(route->match_list[3].path, "/");
	config_case_done(&c);
}

TEST(tcp_and_tls_listeners_carry_tcp_routes)
{
	struct config_case c;
	const struct bind *tcp, *tls;

	config_case_text(&c, "config: {enableIpv6: false}\n"
			     "binds:\n"
			     "- port: 9443\n"
			     "  listeners:\n"
			     "  - {name: b, protocol: TLS, hostname: '*.x', tcpRoutes: [{hostnames: [a.x], "
			     "backends: [{host: 'a:1'}]}]}\n"
			     "  - {name: a, protocol: TLS, tcpRoutes: [{backends: [{host: 'b:1', weight: 2}, "
			     "{host: 'c:1'}]}]}\n"
			     "- port: 10000\n"
			     "  listeners: [{protocol: TCP, maxConnections: 7, tcpRoutes: [{name: r, "
			     "backends: [{host: 'd:1',"
			     " policies: {tcp: {connectTimeout: 1s, keepalives: {enabled: false}}}}]}]}]\n");
	config_case_accepted(&c);
	assert_int_equal(c.snapshot->bind_count, 2);
	tcp = &c.snapshot->bind_list[0];
	tls = &c.snapshot->bind_list[1];
	assert_span_equal(tcp->key, "bind/10000");
	assert_int_equal(tcp->protocol, BIND_TCP);
	assert_span_equal(tcp->address_text, "0.0.0.0:10000");
	assert_int_equal(tcp->listener_list[0].max_connections.value, 7);
	assert_span_equal(tcp->listener_list[0].tcp_route_list[0].key,
			  "default/default/bind/10000/listener0/default/r");
	assert_int_equal(tls->protocol, BIND_TLS);
	assert_span_equal(tls->listener_list[0].key, "default/default/bind/9443/a");
	assert_span_equal(tls->listener_list[1].hostname, "*.x");
	assert_int_equal(weights_of(&tls->listener_list[0].tcp_route_list[0]), 3);
	assert_span_equal(tls->listener_list[1].tcp_route_list[0].hostname_list[0], "a.x");
	config_case_done(&c);
}

TEST(attached_policies_name_their_targets)
{
	const struct targeted_policy *list;
	struct config_case c;

	config_case_text(
		&c, "policies:\n"
		    "- {name: {name: d}, target: {gateway: {}}, phase: gateway, policy: {timeout: "
		    "{requestTimeout: 1s}}}\n"
		    "- {name: {name: c, namespace: n}, target: {gateway: {gatewayName: g, gatewayNamespace: "
		    "m, listenerName: l}},"
		    " policy: {retry: {codes: []}}}\n"
		    "- {name: {name: b}, target: {route: {name: r, namespace: s, ruleName: t}}, policy: "
		    "{http: {}}}\n"
		    "- {name: {name: a}, target: {backend: {service: {hostname: h, namespace: k, port: 8}}},"
		    " policy: {tcp: {keepalives: {}, connectTimeout: 2s}}}\n"
		    "- {name: {name: e}, target: {backend: {backend: {name: x}}}, policy: "
		    "{requestHeaderModifier: {}}}\n");
	config_case_accepted(&c);
	assert_int_equal(c.snapshot->policy_count, 5);
	list = c.snapshot->policy_list;
	assert_span_equal(list[0].key, "default/a");
	assert_int_equal(list[0].target.kind, TARGET_SERVICE);
	assert_span_equal(list[0].target.name, "h");
	assert_int_equal(list[0].target.port, 8);
	assert_int_equal(list[0].value.kind, POLICY_BACKEND_TCP);
	assert_false(((const struct backend_tcp *)list[0].value.object)->connect_timeout_as_object);
	assert_int_equal(list[1].target.kind, TARGET_ROUTE);
	assert_span_equal(list[1].target.section, "t");
	assert_int_equal(list[2].target.kind, TARGET_GATEWAY);
	assert_span_equal(list[2].key, "default/d");
	assert_span_equal(list[2].name_kind, "Local");
	assert_true(list[2].is_gateway_phase);
	assert_span_equal(list[2].target.name, "default");
	assert_int_equal(list[3].target.kind, TARGET_BACKEND);
	assert_span_equal(list[4].key, "n/c");
	assert_span_equal(list[4].target.section, "l");
	assert_span_equal(list[4].target.attach_namespace, "m");
	assert_int_equal(((const struct retry_policy *)list[4].value.object)->attempts, 1);
	config_case_done(&c);
}

TEST(the_static_part_has_defaults_and_takes_every_key)
{
	const struct static_config *s;
	struct config_case c;

	config_case_text(&c, "config: {}\n");
	config_case_accepted(&c);
	s = &c.snapshot->config;
	assert_span_equal(s->admin_addr, "localhost:15000");
	assert_span_equal(s->stats_addr, "[::]:15020");
	assert_span_equal(s->readiness_addr, "[::]:15021");
	assert_true(s->ipv6_enabled && s->user_timeout && s->access_log && s->splice.lane_pipe &&
		    s->splice.lane_sockmap && s->splice.adaptive);
	assert_false(s->splice.lane_direct || s->splice.lane_bypass || s->splice.force);
	assert_int_equal(s->worker_threads, 0);
	assert_int_equal(s->termination_max_ns, 5000000000);
	assert_int_equal(s->connect_timeout_ns, 10000000000);
	assert_int_equal(s->pool_idle_ns, 90000000000);
	assert_int_equal(s->upstream_keepalives.retries, 9);
	assert_int_equal(s->max_headers, 100);
	assert_int_equal(s->max_head_bytes, 65536);
	assert_int_equal(s->forwarded, FORWARDED_APPEND);
	config_case_done(&c);

	config_case_text(
		&c, "config:\n"
		    "  adminAddr: 127.0.0.1:1\n"
		    "  statsAddr: 'off'\n"
		    "  readinessAddr: unix:/run/r.sock\n"
		    "  enableIpv6: false\n"
		    "  workerThreads: 3\n"
		    "  connectionTerminationDeadline: 20s\n"
		    "  connectionMinTerminationDeadline: 1s\n"
		    "  backend: {keepalives: {enabled: false}, connectTimeout: 3s, poolIdleTimeout: 1m, "
		    "poolMaxSize: 5}\n"
		    "  logging: {level: debug, format: json, accessLog: false}\n"
		    "  dns: {refresh: 5s}\n"
		    "  timeouts: {streamIdle: 1s, tunnelIdle: 2s, halfClosed: 3s, clientHeaderMin: 4s, "
		    "maxConnectionAge: 5s,"
		    " maxConnectionAgeJitter: 6s}\n"
		    "  splice: {mode: require, minBodyBytes: 1, creditBytes: 65536, maxTotalCredit: 131072, "
		    "lanes: [sockmap, bypass, direct], force: true, adaptive: false}\n"
		    "  limits: {maxConnections: 10, requestLineBytes: 1000, headBytes: 2000, headers: 20}\n"
		    "  forwarded: {mode: off, trusted: [10.0.0.0/8, '::1']}\n"
		    "  via: true\n"
		    "  retry: {honorRetryAfter: true, retryAfterMax: 1s, fullJitter: true, budgetPercent: "
		    "20, budgetMin: 3}\n"
		    "  exposeCloseReason: true\n"
		    "  userTimeout: false\n");
	config_case_accepted(&c);
	s = &c.snapshot->config;
	assert_span_equal(s->admin_addr, "127.0.0.1:1");
	assert_span_equal(s->stats_addr, "off");
	assert_span_equal(s->readiness_addr, "unix:/run/r.sock");
	assert_false(s->ipv6_enabled || s->user_timeout || s->access_log || s->upstream_keepalives.enabled);
	assert_int_equal(s->worker_threads, 3);
	assert_int_equal(s->termination_max_ns, 20000000000);
	assert_int_equal(s->termination_min_ns, 1000000000);
	assert_int_equal(s->connect_timeout_ns, 3000000000);
	assert_int_equal(s->pool_idle_ns, 60000000000);
	assert_int_equal(s->pool_max_size.value, 5);
	assert_span_equal(s->log_level, "debug");
	assert_span_equal(s->log_format, "json");
	assert_int_equal(s->dns_refresh_ns, 5000000000);
	assert_int_equal(s->timeouts.stream_idle_ns, 1000000000);
	assert_int_equal(s->timeouts.tunnel_idle_ns, 2000000000);
	assert_int_equal(s->timeouts.half_closed_ns, 3000000000);
	assert_int_equal(s->timeouts.client_header_min_ns, 4000000000);
	assert_int_equal(s->timeouts.max_connection_age_ns, 5000000000);
	assert_int_equal(s->timeouts.max_connection_age_jitter_ns, 6000000000);
	assert_int_equal(s->splice.mode, SPLICE_REQUIRE);
	assert_int_equal(s->splice.credit_bytes, 65536);
	assert_true(!s->splice.lane_pipe && s->splice.lane_sockmap && !s->splice.adaptive);
	assert_true(s->splice.lane_direct && s->splice.lane_bypass && s->splice.force);
	assert_int_equal(s->max_connections, 10);
	assert_int_equal(s->max_request_line_bytes, 1000);
	assert_int_equal(s->max_head_bytes, 2000);
	assert_int_equal(s->max_headers, 20);
	assert_int_equal(s->forwarded, FORWARDED_OFF);
	assert_int_equal(s->trusted_count, 2);
	assert_int_equal(s->trusted_list[0].prefix_bits, 8);
	assert_int_equal(s->trusted_list[1].prefix_bits, 128);
	assert_true(s->via && s->expose_close_reason && s->retry.honor_retry_after && s->retry.full_jitter);
	assert_int_equal(s->retry.retry_after_max_ns, 1000000000);
	assert_int_equal(s->retry.budget_percent, 20);
	assert_int_equal(s->retry.budget_min, 3);
	config_case_done(&c);
}

TEST(values_of_agentgateway_mean_here_what_comes_nearest)
{
	static const struct {
		const char *text, *level, *warning;
		uint32_t workers;
	} rows[] = {
		{ "workerThreads: auto", "info", NULL, 0 },
		{ "workerThreads: '4'", "info", NULL, 4 },
		{ "logging: {level: trace}", "debug", "trace says no more than debug", 0 },
		{ "logging: {level: 'warn,agent_core=trace'}", "warn", "levels of parts", 0 },
		{ "logging: {level: 'agent_core=trace, debug'}", "debug", "levels of parts", 0 },
		{ "logging: {level: agent_core=trace}", "info", "levels of parts", 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config_case c;
		char text[100];

		snprintf(text, sizeof(text), "config: {%s}\n", rows[i].text);
		config_case_text(&c, text);
		config_case_accepted(&c);
		assert_int_equal(c.snapshot->config.worker_threads, rows[i].workers);
		assert_span_equal(c.snapshot->config.log_level, rows[i].level);
		if (rows[i].warning)
			config_case_says(&c, CONFIG_WARNING, "a.yaml:1:", rows[i].warning);
		config_case_done(&c);
	}
}

TEST(workers_may_be_a_share_of_the_processors)
{
	struct config_case c;

	config_case_text(&c, "config: {workerThreads: 1%}\n");
	config_case_accepted(&c);
	assert_in_range(c.snapshot->config.worker_threads, 1, 8);
	config_case_done(&c);
}

TEST(a_byte_order_mark_in_front_of_a_file_is_no_part_of_it)
{
	static const char *const texts[] = {
		"\xef\xbb\xbf"
		"binds:\n- port: 80\n  listeners:\n  - routes:\n    - backends: [{host: 'a:1'}]\n",
		"\xef\xbb\xbf{\"binds\": [{\"port\": 80, \"listeners\": [{\"routes\": [{\"backends\": "
		"[{\"host\": \"a:1\"}]}]}]}]}",
		"\xef\xbb\xbf"
		"apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: $g}\n"
		"spec: {listeners: [{name: l, port: 80, protocol: HTTP}]}\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct config_case c;

		config_case_text(&c, texts[i]);
		config_case_accepted(&c);
		assert_int_equal(c.snapshot->bind_count, 1);
		config_case_done(&c);
	}
}
