/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/dump/config_dump_policy.h"
#include "admin/dump/config_dump_schema.h"
#include "config/core/values/health_value.h"
#include "tests/unit/dump_compact.h"
#include "user/base/check.h"

#define S (1000000000ull)

TEST(traffic_policies_leave_out_what_is_unset)
{
	static uint16_t codes[] = { 500, 503, 599 };
	static const struct timeout_policy both = { { true, 10 * S }, { true, 0 } };
	static const struct timeout_policy none = { 0 };
	static const struct retry_policy retry = { .attempts = 2, .code_list = codes, .code_count = 3 };
	static const struct retry_policy no_codes = { .attempts = 1,
						      .backoff = { true, S / 4 },
						      .precondition_text = SPAN("request.method == \"GET\""),
						      .condition_text = SPAN("response.code == 200") };

	assert_dumped(POLICY_TIMEOUT, &both,
		      "{\"timeout\":{\"requestTimeout\":\"10s\",\"backendRequestTimeout\":\"0s\"}}");
	assert_dumped(POLICY_TIMEOUT, &none, "{\"timeout\":{}}");
	assert_dumped(POLICY_RETRY, &retry,
		      "{\"retry\":{\"attempts\":2,\"codes\":[\"500 Internal Server Error\","
		      "\"503 Service Unavailable\",\"599 <unknown status code>\"]}}");
	assert_dumped(POLICY_RETRY, &no_codes,
		      "{\"retry\":{\"attempts\":1,\"backoff\":\"250ms\",\"codes\":[],\"precondition\":"
		      "\"request.method == \\\"GET\\\"\",\"condition\":\"response.code == 200\"}}");
}

TEST(a_delay_is_dumped_as_one_text)
{
	static const struct delay_policy fixed = { .text = SPAN("2s"), .ns = 2 * S };
	static const struct delay_policy computed = { .text = SPAN("random() < 0.1 ? 500 : 0") };

	assert_dumped(POLICY_DELAY, &fixed, "{\"delay\":{\"duration\":\"2s\"}}");
	assert_dumped(POLICY_DELAY, &computed, "{\"delay\":{\"duration\":\"random() < 0.1 ? 500 : 0\"}}");
}

TEST(health_leaves_out_what_is_unset_and_shows_whole_shares_without_a_point)
{
	struct health_policy health = { .text = SPAN("response.code >= 500") };

	assert_dumped(POLICY_BACKEND_HEALTH, &(struct health_policy){ 0 }, "{\"health\":{}}");
	assert_dumped(POLICY_BACKEND_HEALTH, &health,
		      "{\"health\":{\"unhealthyExpression\":\"response.code >= 500\"}}");
	health.has_eviction = true;
	assert_dumped(POLICY_BACKEND_HEALTH, &health,
		      "{\"health\":{\"unhealthyExpression\":\"response.code >= 500\",\"eviction\":{}}}");
	health.eviction = (struct eviction_policy){ { true, 30 * S }, true, 1000000, 3, true, 250000 };
	assert_dumped(POLICY_BACKEND_HEALTH, &health,
		      "{\"health\":{\"unhealthyExpression\":\"response.code >= 500\",\"eviction\":"
		      "{\"duration\":\"30s\",\"restoreHealth\":1,\"consecutiveFailures\":3,"
		      "\"healthThreshold\":0.25}}}");
	health.eviction.restore_health = 0;
	health.eviction.consecutive_failures = 0;
	assert_dumped(POLICY_BACKEND_HEALTH, &health,
		      "{\"health\":{\"unhealthyExpression\":\"response.code >= 500\",\"eviction\":"
		      "{\"duration\":\"30s\",\"restoreHealth\":0,\"healthThreshold\":0.25}}}");
}

TEST(checks_and_ejection_are_dumped_with_their_defaults)
{
	static uint16_t codes[] = { 204 };
	struct health_policy health = { .has_active = true, .panic_percent = 30 };

	schema_default(&health_active_schema, &health.active);
	health.active.type = HEALTH_CHECK_HTTP;
	health.active.has_http = health.active.has_overrides = true;
	health.active.http.expected_list = codes;
	health.active.http.expected_count = 1;
	health.active.http.expected_response = SPAN("OK");
	health.active.port = 81;
	assert_dumped(
		POLICY_BACKEND_HEALTH, &health,
		"{\"health\":{\"active\":{\"timeout\":\"1s\",\"interval\":\"3s\",\"unhealthyThreshold\":3,"
		"\"healthyThreshold\":1,\"type\":\"HTTP\",\"http\":{\"path\":\"/\",\"method\":\"GET\","
		"\"expectedStatuses\":[\"204 No Content\"],\"expectedResponse\":\"T0s=\"},"
		"\"overrides\":{\"port\":81}},\"panicThreshold\":30}}");
	health = (struct health_policy){ .has_passive = true };
	schema_default(&health_passive_schema, &health.passive);
	assert_dumped(
		POLICY_BACKEND_HEALTH, &health,
		"{\"health\":{\"passive\":{\"interval\":\"3s\",\"consecutiveGatewayErrors\":0,"
		"\"consecutive5XxErrors\":5,\"consecutiveLocalOriginFailures\":5,"
		"\"splitExternalLocalOriginErrors\":false,\"baseEjectionTime\":\"30s\","
		"\"maxEjectionPercent\":10,\"failurePercentageThreshold\":0,\"failurePercentageVolume\":50,"
		"\"alwaysEjectOneEndpoint\":true}}}");
}

TEST(header_url_and_mirror_policies_have_the_original_shapes)
{
	struct header_pair add = { SPAN("x-add"), SPAN("1") }, set = { SPAN("x-set"), SPAN("2") };
	struct span removed = SPAN("x-gone");
	struct header_modifier headers = { &add, 1, &set, 1, &removed, 1 };
	struct redirect_policy redirect = { .scheme = SPAN("https"),
					    .url = { .authority_kind = AUTHORITY_PORT,
						     .port = 8443,
						     .path_kind = PATH_PREFIX,
						     .path = SPAN("/new") },
					    .status = 301 };
	struct url_rewrite full = { .authority_kind = AUTHORITY_FULL,
				    .authority = SPAN("h:1"),
				    .path_kind = PATH_FULL,
				    .path = SPAN("/p") };
	struct url_rewrite host = { .authority_kind = AUTHORITY_HOST, .authority = SPAN("h") };
	struct url_rewrite none = { .authority_kind = AUTHORITY_NONE };
	struct backend_ref ref = { .service_name = SPAN("ns/svc"), .service_port = 80 };
	struct mirror_policy half = { .ref = &ref, .per_million = 500000 };
	struct mirror_policy whole = { .ref = NULL, .per_million = 1000000 };
	struct direct_response direct = { .status = 418, .body = SPAN("hello\n") };
	struct access_log_policy access_log = { .remove_list = &removed, .remove_count = 1 };
	struct span texts[] = { SPAN("a"), SPAN("b") };
	struct authorization_rule rules[] = { { AUTHORIZATION_DENY, texts, NULL, 2 },
					      { AUTHORIZATION_ALLOW, texts, NULL, 1 } };
	struct buffer_policy buffer = { .request = { true, true, 9, BUFFER_FAIL_CLOSED } };
	struct authorization_policy network = { rules, 2, 0 };
	struct ext_authz_policy asked = { .ref = &ref,
					  .protocol = EXT_AUTHZ_HTTP,
					  .http = { .path_text = SPAN("\"/a\"") },
					  .failure_mode = CALLOUT_FAILURE_DENY };

	assert_dumped(POLICY_REQUEST_HEADERS, &headers,
		      "{\"requestHeaderModifier\":{\"add\":{\"x-add\":\"1\"},\"set\":{\"x-set\":\"2\"},"
		      "\"remove\":[\"x-gone\"]}}");
	assert_dumped(POLICY_RESPONSE_HEADERS, &(struct header_modifier){ 0 },
		      "{\"responseHeaderModifier\":{}}");
	assert_dumped(POLICY_REDIRECT, &redirect,
		      "{\"requestRedirect\":{\"scheme\":\"https\",\"authority\":{\"port\":8443},"
		      "\"path\":{\"prefix\":\"/new\"},\"status\":301}}");
	assert_dumped(POLICY_URL_REWRITE, &full,
		      "{\"urlRewrite\":{\"authority\":{\"full\":\"h:1\"},\"path\":{\"full\":\"/p\"}}}");
	assert_dumped(POLICY_URL_REWRITE, &host, "{\"urlRewrite\":{\"authority\":{\"host\":\"h\"}}}");
	assert_dumped(POLICY_URL_REWRITE, &none, "{\"urlRewrite\":{\"authority\":\"none\"}}");
	assert_dumped(POLICY_MIRROR, &half,
		      "{\"requestMirror\":{\"backend\":{\"service\":{\"name\":\"ns/svc\",\"port\":80}},"
		      "\"percentage\":0.5}}");
	assert_dumped(POLICY_MIRROR, &whole,
		      "{\"requestMirror\":{\"backend\":{\"invalid\":null},\"percentage\":1.0}}");
	assert_dumped(POLICY_DIRECT_RESPONSE, &direct,
		      "{\"directResponse\":{\"body\":\"aGVsbG8K\",\"status\":418}}");
	assert_dumped(POLICY_FRONTEND_CONNECT, &(struct frontend_connect){ CONNECT_ROUTE },
		      "{\"connect\":{\"mode\":\"route\"}}");
	assert_dumped(POLICY_FRONTEND_PROXY, &(struct frontend_proxy){ PROXY_VERSION_ALL, PROXY_OPTIONAL },
		      "{\"proxy\":{\"version\":\"all\",\"mode\":\"optional\"}}");
	assert_dumped(POLICY_CIRCUIT_BREAKER,
		      &(struct circuit_breaker){ .max_connections = { true, 7 },
						 .endpoint_connections = { true, 2 },
						 .max_pending_requests = { true, 9 },
						 .pending_timeout = { true, 2 * S },
						 .has_retry_budget = true,
						 .retry_budget = { true, { 1, 3 }, 4 } },
		      "{\"circuitBreaker\":{\"maxConnections\":7,\"maxPendingRequests\":9,"
		      "\"pendingTimeout\":\"2s\",\"perEndpoint\":{\"maxConnections\":2},"
		      "\"retryBudget\":{\"percent\":{\"numerator\":1,\"denominator\":3},"
		      "\"minRetryConcurrency\":4}}}");
	assert_dumped(POLICY_BACKEND_PROXY, &(struct backend_proxy){ PROXY_VERSION_2 },
		      "{\"proxyProtocol\":{\"version\":\"v2\"}}");
	assert_dumped(POLICY_LIMITS, &(struct request_limits){ .body_bytes = { true, 0 } },
		      "{\"limits\":{\"maxRequestBytes\":0}}");
	assert_dumped(POLICY_BUFFER, &buffer,
		      "{\"buffer\":{\"request\":{\"maxBytes\":9,\"failureMode\":\"failClosed\"}}}");
	assert_dumped(POLICY_NETWORK_AUTHORIZATION, &network,
		      "{\"networkAuthorization\":{\"rules\":[{\"deny\":\"(a) && (b)\"},{\"allow\":\"a\"}]}}");
	assert_dumped(POLICY_NETWORK_EXT_AUTHZ, &asked,
		      "{\"networkExtAuthz\":{\"service\":{\"name\":\"ns/svc\",\"port\":80},"
		      "\"protocol\":{\"http\":{\"path\":\"\\\"/a\\\"\"}},"
		      "\"failureMode\":\"deny\"}}");
	assert_dumped(POLICY_FRONTEND_ACCESS_LOG, &access_log, "{\"accessLog\":{\"remove\":[\"x-gone\"]}}");
}

TEST(a_connect_timeout_is_dumped_the_way_it_was_written)
{
	struct backend_tcp tcp = { { true, 180 * S, 180 * S, 9 }, true, { true, 2500000000u }, false };
	struct backend_http http = { .version = BACKEND_HTTP2 };

	assert_dumped(POLICY_BACKEND_TCP, &tcp,
		      "{\"tcp\":{\"keepalives\":{\"enabled\":true,\"time\":\"3m0s\",\"interval\":\"3m0s\","
		      "\"retries\":9},\"connectTimeout\":\"2.5s\"}}");
	tcp.connect_timeout_as_object = true;
	assert_dumped(POLICY_BACKEND_TCP, &tcp,
		      "{\"tcp\":{\"keepalives\":{\"enabled\":true,\"time\":\"3m0s\",\"interval\":\"3m0s\","
		      "\"retries\":9},\"connectTimeout\":{\"secs\":2,\"nanos\":500000000}}}");
	assert_dumped(POLICY_BACKEND_HTTP, &http, "{\"http\":{\"version\":\"HTTP/2.0\"}}");
}

TEST(every_kind_of_policy_has_its_name)
{
	static const char *const names[] = {
#define POLICY_KIND(id, section, dump_name, type) dump_name,
#include "config/policy_kinds.def"
#undef POLICY_KIND
	};
	/* Large enough for any of them: all zero is a valid object of every kind. */
	static const _Alignas(16) char zero[512];
	char want[64];

	for (uint32_t kind = 0; kind < POLICY_KIND_COUNT; kind++) {
		struct policy_value value = { (enum policy_kind)kind, zero };
		struct json_writer w;
		struct text out;

		text_init(&out);
		json_begin(&w, &out);
		json_open_object(&w, NULL);
		dump_policy_value(&w, &value);
		json_close(&w);
		snprintf(want, sizeof(want), "{\n  \"%s\": %c", names[kind],
			 kind == POLICY_LOCAL_RATE_LIMIT ? '['
			 : kind == POLICY_HOST_REWRITE	 ? '"'
							 : '{');
		assert_true(span_starts(text_span(&out), span_str(want)));
		text_done(&out);
	}
}

TEST(every_status_of_the_registry_has_its_phrase)
{
	static const struct {
		uint16_t status;
		const char *want;
	} cases[] = {
		{ 100, "100 Continue" },
		{ 200, "200 OK" },
		{ 404, "404 Not Found" },
		{ 413, "413 Payload Too Large" },
		{ 422, "422 Unprocessable Entity" },
		{ 418, "418 I'm a teapot" },
		{ 421, "421 Misdirected Request" },
		{ 425, "425 Too Early" },
		{ 429, "429 Too Many Requests" },
		{ 451, "451 Unavailable For Legal Reasons" },
		{ 500, "500 Internal Server Error" },
		{ 503, "503 Service Unavailable" },
		{ 504, "504 Gateway Timeout" },
		{ 506, "506 Variant Also Negotiates" },
		{ 511, "511 Network Authentication Required" },
		{ 509, "509 <unknown status code>" },
		{ 517, "517 <unknown status code>" },
		{ 999, "999 <unknown status code>" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char out[STATUS_TEXT_BYTES];

		assert_true(
			span_eq(span_of(out, status_text(cases[i].status, out)), span_str(cases[i].want)));
	}
	for (uint16_t status = 100; status < 1000; status++) {
		char out[STATUS_TEXT_BYTES];

		assert_true(status_text(status, out) < sizeof(out));
	}
}
