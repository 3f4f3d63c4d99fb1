/* SPDX-License-Identifier: Apache-2.0 */
#include "config/load.h"
#include "policy/compile/effective.h"
#include "tests/lib/alloc.h"
#include "tests/unit/dump_compact.h"
#include "user/base/check.h"

#define S (1000000000ull)

/* ---- objects of the documentation's pages, as the loader makes them */

static const struct frontend_http idle_http = {
	.max_buffer_bytes = 2097152,
	.http1_idle_timeout_ns = 1 * S,
};
static const struct frontend_http keepalive_http = {
	.max_buffer_bytes = 2097152,
	.http1_idle_timeout_ns = 600 * S,
	.http2_keepalive_interval = { true, 5 * S },
	.http2_keepalive_timeout = { true, 30 * S },
};
static const struct frontend_tcp keepalive_tcp = { { true, 30 * S, 5 * S, 3 } };

static struct targeted_policy gateway_policy(struct span key, struct span name, struct span namespace,
					     enum policy_kind kind, const void *object)
{
	return (struct targeted_policy){
		.key = key,
		.has_name = true,
		.name_kind = SPAN("AgentgatewayPolicy"),
		.name = name,
		.namespace = namespace,
		.target = { .kind = TARGET_GATEWAY,
			    .name = SPAN("agentgateway-proxy"),
			    .namespace = namespace,
			    .attach_namespace = SPAN("agentgateway-system") },
		.value = { kind, object },
	};
}

TEST(the_policies_of_the_idle_and_keepalive_pages_come_out_to_the_letter)
{
	struct targeted_policy list[] = {
		gateway_policy(
			SPAN("frontend/agentgateway-system/idle-time:frontend-http:agentgateway-system/"
			     "agentgateway-proxy"),
			SPAN("idle-time"), SPAN("agentgateway-system"), POLICY_FRONTEND_HTTP, &idle_http),
		gateway_policy(
			SPAN("frontend/httpbin/httpbin-keepalive:frontend-http:httpbin/agentgateway-proxy"),
			SPAN("httpbin-keepalive"), SPAN("httpbin"), POLICY_FRONTEND_HTTP, &keepalive_http),
		gateway_policy(
			SPAN("frontend/httpbin/httpbin-keepalive:frontend-tcp:httpbin/agentgateway-proxy"),
			SPAN("httpbin-keepalive"), SPAN("httpbin"), POLICY_FRONTEND_TCP, &keepalive_tcp),
	};
	static const char *const files[] = { "idle-timeout", "http2-keepalive", "tcp-keepalive" };
	struct snapshot snapshot = { .policy_list = list, .policy_count = ARRAY_LEN(list) };
	char *dump = compact_dump(&snapshot);

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		char *want = compact_file(files[i]);

		assert_has(dump, want);
		free(want);
	}
	free(dump);
}

TEST(the_route_of_the_per_try_page_comes_out_to_the_letter)
{
	static uint16_t codes[] = { 517 };
	static const struct timeout_policy timeout = { .backend_request = { true, 5 * S } };
	static const struct retry_policy retry = {
		.attempts = 3, .backoff = { true, 1 * S }, .code_list = codes, .code_count = 1
	};
	struct policy_value inline_list[] = { { POLICY_TIMEOUT, &timeout }, { POLICY_RETRY, &retry } };
	struct backend backend = { .kind = BACKEND_SERVICE };
	struct backend_ref ref = { .weight = 1,
				   .service_name = SPAN("httpbin/httpbin.httpbin.svc.cluster.local"),
				   .service_port = 8000,
				   .backend = &backend };
	struct route_match match = { .path_kind = PATH_PREFIX_SEGMENTS, .path = SPAN("/") };
	struct span hostname = SPAN("retry.example");
	struct route route = { .key = SPAN("httpbin/retry.0.0.http"),
			       .name = SPAN("retry"),
			       .namespace = SPAN("httpbin"),
			       .kind = SPAN("HTTPRoute"),
			       .hostname_list = &hostname,
			       .hostname_count = 1,
			       .match_list = &match,
			       .match_count = 1,
			       .backend_list = &ref,
			       .backend_count = 1,
			       .inline_policies = { inline_list, 2 } };
	struct listener listener = { .key = SPAN("agentgateway-system/agentgateway-proxy.http"),
				     .gateway_name = SPAN("agentgateway-proxy"),
				     .gateway_namespace = SPAN("agentgateway-system"),
				     .listener_name = SPAN("http"),
				     .route_list = &route,
				     .route_count = 1 };
	struct bind bind = { .key = SPAN("bind/8080"),
			     .address_text = SPAN("[::]:8080"),
			     .listener_list = &listener,
			     .listener_count = 1 };
	struct snapshot snapshot = {
		.bind_list = &bind, .bind_count = 1, .backend_list = &backend, .backend_count = 1
	};
	char *dump = compact_dump(&snapshot);
	char *want = compact_file("per-try-timeout");

	/* Without the outer braces: it is the only member of `listeners`. */
	want[strlen(want) - 1] = '\0';
	assert_has(dump, want + 1);
	assert_has(dump, "\"binds\":[{\"key\":\"bind/8080\",\"address\":\"[::]:8080\",\"protocol\":\"http\","
			 "\"tunnelProtocol\":\"direct\",\"listeners\":{\"agentgateway-system/");
	assert_has(dump, "\"backends\":[],");
	free(want);
	free(dump);
}

TEST(the_standalone_page_shows_its_policies_on_the_reference)
{
	static const struct backend_http http = { .request_timeout = { true, 1 * S } };
	static const struct backend_tcp tcp = { { true, 180 * S, 180 * S, 9 }, true, { true, 10 * S }, true };
	struct policy_value inline_list[] = { { POLICY_BACKEND_HTTP, &http }, { POLICY_BACKEND_TCP, &tcp } };
	struct backend backend = { .kind = BACKEND_HOST,
				   .name = SPAN(
					   "default/default/bind/3000/listener0/default/route0/backend0"),
				   .target = SPAN("localhost:8080"),
				   .is_listed = true };
	struct backend_ref ref = { .weight = 1,
				   .backend_name = SPAN(
					   "/default/default/bind/3000/listener0/default/route0/backend0"),
				   .inline_policies = { inline_list, 2 },
				   .backend = &backend };
	struct route_match match = { .path_kind = PATH_PREFIX_SEGMENTS, .path = SPAN("/") };
	struct route route = { .key = SPAN("default/default/bind/3000/listener0/default/route0"),
			       .name = SPAN("route0"),
			       .namespace = SPAN("default"),
			       .match_list = &match,
			       .match_count = 1,
			       .backend_list = &ref,
			       .backend_count = 1 };
	struct listener listener = { .key = SPAN("default/default/bind/3000/listener0"),
				     .gateway_name = SPAN("default"),
				     .gateway_namespace = SPAN("default"),
				     .listener_name = SPAN("listener0"),
				     .route_list = &route,
				     .route_count = 1 };
	struct bind bind = { .key = SPAN("bind/3000"),
			     .address_text = SPAN("[::]:3000"),
			     .listener_list = &listener,
			     .listener_count = 1 };
	struct snapshot snapshot = {
		.bind_list = &bind, .bind_count = 1, .backend_list = &backend, .backend_count = 1
	};
	char *dump = compact_dump(&snapshot);
	char *want = compact_file("standalone-backend-timeouts");

	want[strlen(want) - 1] = '\0';
	assert_has(dump, want + 1);
	assert_has(dump,
		   "\"backends\":[{\"backend\":{\"host\":{\"name\":\"default/default/bind/3000/listener0/"
		   "default/route0/backend0\",\"namespace\":\"\",\"target\":\"localhost:8080\"}}}]");
	free(want);
	free(dump);
}

TEST(a_listener_without_routes_has_empty_objects)
{
	struct listener listeners[] = {
		{ .key = SPAN("a"), .protocol = PROTOCOL_TCP },
		{ .key = SPAN("b"),
		  .protocol = PROTOCOL_TLS,
		  .max_connections = { true, 7 },
		  .is_same_host = true },
	};
	struct bind bind = { .listener_list = listeners, .listener_count = 2 };
	struct snapshot snapshot = { .bind_list = &bind, .bind_count = 1 };
	char *dump = compact_dump(&snapshot);

	assert_has(dump, "\"protocol\":\"TCP\",\"routes\":{},\"tcpRoutes\":{}}");
	assert_has(dump, "\"protocol\":{\"TLS\":null},\"routes\":{},\"tcpRoutes\":{},\"maxConnections\":7,"
			 "\"splice\":\"sameHost\"}");
	free(dump);
}

TEST(tcp_routes_nest_their_reference)
{
	struct backend backend = { .kind = BACKEND_HOST };
	struct backend_ref refs[] = {
		{ .weight = 3, .backend_name = SPAN("/x"), .backend = &backend },
		{ .weight = 0,
		  .service_name = SPAN("ns/h"),
		  .service_port = 5,
		  .backend = &backend,
		  .is_same_host = true },
		{ .weight = 1, .is_invalid = true, .backend = &backend, .splice_off = true },
	};
	struct span hostname = SPAN("*.example.com");
	struct tcp_route route = { .key = SPAN("k"),
				   .name = SPAN("n"),
				   .namespace = SPAN("ns"),
				   .hostname_list = &hostname,
				   .hostname_count = 1,
				   .backend_list = refs,
				   .backend_count = 3,
				   .splice_off = true };
	struct listener listener = { .protocol = PROTOCOL_TLS,
				     .tcp_route_list = &route,
				     .tcp_route_count = 1 };
	struct bind bind = { .protocol = BIND_TLS, .listener_list = &listener, .listener_count = 1 };
	struct snapshot snapshot = { .bind_list = &bind, .bind_count = 1 };
	char *dump = compact_dump(&snapshot);

	assert_has(dump,
		   "\"tcpRoutes\":{\"k\":{\"key\":\"k\",\"name\":\"n\",\"namespace\":\"ns\",\"hostnames\":"
		   "[\"*.example.com\"],\"backends\":[{\"weight\":3,\"backend\":{\"backend\":\"/x\"}},"
		   "{\"weight\":0,\"backend\":{\"service\":{\"name\":\"ns/h\",\"port\":5}},"
		   "\"splice\":\"sameHost\"},"
		   "{\"weight\":1,\"backend\":{\"invalid\":null},\"splice\":\"off\"}],\"splice\":\"off\"}}");
	free(dump);
}

TEST(matches_show_what_was_written)
{
	struct text_match headers[] = {
		{ .name = SPAN("x-a"), .kind = TEXT_EXACT, .value = SPAN("1") },
		{ .name = SPAN(":method"), .kind = TEXT_REGEX, .value = SPAN("G.*\"") },
	};
	struct text_match query = { .name = SPAN("q"), .value = SPAN("v") };
	struct route_match matches[] = {
		{ .path_kind = PATH_EXACT, .path = SPAN("/x") },
		{ .path_kind = PATH_REGEX,
		  .path = SPAN("/a.*"),
		  .method = SPAN("GET"),
		  .header_list = headers,
		  .header_count = 2,
		  .query_list = &query,
		  .query_count = 1 },
	};
	struct route route = { .key = SPAN("k"),
			       .name = SPAN("n"),
			       .namespace = SPAN("ns"),
			       .rule_name = SPAN("rule"),
			       .kind = SPAN("GRPCRoute"),
			       .match_list = matches,
			       .match_count = 2 };
	struct listener listener = { .route_list = &route, .route_count = 1 };
	struct bind bind = { .listener_list = &listener, .listener_count = 1 };
	struct snapshot snapshot = { .bind_list = &bind, .bind_count = 1 };
	char *dump = compact_dump(&snapshot);

	assert_has(dump,
		   "\"ruleName\":\"rule\",\"kind\":\"GRPCRoute\",\"matches\":[{\"path\":{\"exact\":\"/x\"}},"
		   "{\"headers\":[{\"name\":\"x-a\",\"value\":{\"exact\":\"1\"}},{\"name\":\":method\","
		   "\"value\":{\"regex\":\"G.*\\\"\"}}],\"path\":{\"regex\":\"/a.*\"},\"method\":\"GET\","
		   "\"query\":[{\"name\":\"q\",\"value\":{\"exact\":\"v\"}}]}]}");
	free(dump);
}

TEST(attached_policies_show_section_phase_and_target)
{
	static const struct timeout_policy timeout = { .request = { true, 2 * S } };
	static const struct backend_http http = { .request_timeout = { true, 3 * S } };
	struct targeted_policy list[] = {
		{ .key = SPAN("traffic/httpbin/timeout:timeout:httpbin/httpbin-timeout/timeout"),
		  .has_name = true,
		  .name_kind = SPAN("AgentgatewayPolicy"),
		  .name = SPAN("timeout"),
		  .namespace = SPAN("httpbin"),
		  .target = { .kind = TARGET_ROUTE,
			      .name = SPAN("httpbin-timeout"),
			      .namespace = SPAN("httpbin"),
			      .section = SPAN("timeout"),
			      .route_kind = SPAN("HTTPRoute") },
		  .value = { POLICY_TIMEOUT, &timeout } },
		{ .key = SPAN("traffic/gw"),
		  .target = { .kind = TARGET_GATEWAY,
			      .name = SPAN("gw"),
			      .namespace = SPAN("ns"),
			      .section = SPAN("http") },
		  .is_gateway_phase = true,
		  .value = { POLICY_TIMEOUT, &timeout } },
		{ .key = SPAN("backend/svc"),
		  .target = { .kind = TARGET_SERVICE,
			      .name = SPAN("h"),
			      .namespace = SPAN("ns"),
			      .port = 80 },
		  .value = { POLICY_BACKEND_HTTP, &http } },
		{ .key = SPAN("backend/named"),
		  .target = { .kind = TARGET_BACKEND, .name = SPAN("b"), .namespace = SPAN("ns") },
		  .value = { POLICY_BACKEND_HTTP, &http } },
	};
	struct snapshot snapshot = { .policy_list = list, .policy_count = ARRAY_LEN(list) };
	char *dump = compact_dump(&snapshot);

	assert_has(dump,
		   "{\"key\":\"traffic/httpbin/timeout:timeout:httpbin/httpbin-timeout/timeout\",\"name\":"
		   "{\"kind\":\"AgentgatewayPolicy\",\"name\":\"timeout\",\"namespace\":\"httpbin\"},"
		   "\"target\":{\"route\":{\"name\":\"httpbin-timeout\",\"namespace\":\"httpbin\","
		   "\"ruleName\":\"timeout\"}},\"policy\":{\"traffic\":{\"phase\":\"route\",\"timeout\":"
		   "{\"requestTimeout\":\"2s\"}}}}");
	assert_has(
		dump,
		"{\"key\":\"traffic/gw\",\"name\":null,\"target\":{\"gateway\":{\"gatewayName\":\"gw\","
		"\"gatewayNamespace\":\"ns\",\"listenerName\":\"http\"}},\"policy\":{\"traffic\":{\"phase\":"
		"\"gateway\",");
	assert_has(dump, "\"target\":{\"backend\":{\"service\":{\"hostname\":\"h\",\"namespace\":\"ns\","
			 "\"port\":80}}},\"policy\":{\"backend\":{\"http\":{\"version\":null,"
			 "\"requestTimeout\":\"3s\"}}}}");
	assert_has(dump, "\"target\":{\"backend\":{\"backend\":{\"name\":\"b\",\"namespace\":\"ns\"}}}");
	free(dump);
}

/* ---- the whole */

TEST(the_top_level_has_the_documented_members_in_order)
{
	static const char *const keys[] = { "workloads", "services", "binds", "policies",
					    "backends",	 "version",  "config" };
	static const char *const config_keys[] = {
		"ipv6Enabled",
		"network",
		"terminationMaxDeadline",
		"terminationMinDeadline",
		"numWorkerThreads",
		"adminAddr",
		"statsAddr",
		"readinessAddr",
		"selfAddr",
		"hbone",
		"xds",
		"ca",
		"tracing",
		"metrics",
		"logging",
		"dns",
		"proxyMetadata",
		"threadingMode",
		"sessionEncoder",
		"backend",
	};
	struct snapshot snapshot = { .config = { .connect_timeout_ns = 10 * S,
						 .pool_idle_ns = 90 * S,
						 .termination_max_ns = 5 * S,
						 .upstream_keepalives = { true, 180 * S, 180 * S, 9 } } };
	const struct json_value *member;
	struct json_value *root;
	struct text out;
	char *dump;

	text_init(&out);
	assert_int_equal(config_dump(&snapshot, &facts, &out), 0);
	root = json_parse(text_span(&out));
	member = json_first(root);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++, member = json_next(member))
		assert_ptr_equal(member, json_member(root, keys[i]));
	assert_null(member);
	member = json_first(json_member(root, "config"));
	for (size_t i = 0; i < ARRAY_LEN(config_keys); i++, member = json_next(member))
		assert_ptr_equal(member, json_member(json_member(root, "config"), config_keys[i]));
	member = json_member(root, "version");
	assert_ptr_equal(json_first(member), json_member(member, "version"));
	json_free(root);
	dump = compact(text_span(&out));
	assert_has(
		dump,
		"\"terminationMaxDeadline\":\"5s\",\"terminationMinDeadline\":\"0s\",\"numWorkerThreads\":2,"
		"\"adminAddr\":\"localhost:15000\",\"statsAddr\":\"[::]:15020\",\"readinessAddr\":\"off\"");
	assert_has(dump,
		   "\"backend\":{\"keepalives\":{\"enabled\":true,\"time\":\"3m0s\",\"interval\":\"3m0s\","
		   "\"retries\":9},\"connectTimeout\":\"10s\",\"poolIdleTimeout\":\"1m30s\",\"poolMaxSize\":"
		   "null}");
	free(dump);
	text_done(&out);
}

TEST(the_manifests_of_the_documentation_load_and_come_out_to_the_letter)
{
	static const struct {
		const char *manifest;
		bool has_gateway;
		bool is_listener; /* the expected text is the only member of a `listeners` object */
	} cases[] = {
		{ "idle-timeout", true, false },
		{ "tcp-keepalive", true, false },
		{ "http2-keepalive", true, false },
		{ "per-try-timeout", true, true },
		{ "standalone-backend-timeouts", false, true },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char path[128];
		struct config_source sources[] = { { .path = path },
						   { .path = "tests/data/manifests/gateway.yaml" } };
		char *want = compact_file(cases[i].manifest), *dump;
		struct config_report report;
		struct snapshot *snapshot;

		snprintf(path, sizeof(path), "tests/data/manifests/%s.yaml", cases[i].manifest);
		config_report_init(&report);
		assert_int_equal(config_load(sources, cases[i].has_gateway ? 2 : 1, NULL, &report, &snapshot),
				 0);
		assert_int_equal(policy_compile(snapshot, &report), 0);
		dump = compact_dump(snapshot);
		if (cases[i].is_listener)
			want[strlen(want) - 1] = '\0';
		assert_has(dump, cases[i].is_listener ? want + 1 : want);
		free(dump);
		free(want);
		snapshot_unref(snapshot);
		config_report_done(&report);
	}
}

static int dump_something(void *context)
{
	struct text out;
	int error;

	text_init(&out);
	error = config_dump(context, &facts, &out);
	text_done(&out);
	return error;
}

TEST(dumping_survives_lack_of_memory)
{
	struct snapshot snapshot = { 0 };

	assert_true(alloc_fail_each(dump_something, &snapshot) >= 3);
}
