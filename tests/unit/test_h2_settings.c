/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/config_text.h"

#include "policy/compile/effective.h"
#include "policy/h2_settings.h"

#define S 1000000000ull

/* -------------------------------------------------------------------------------- connections */

#define STANDALONE(config, http)                                                                             \
	"config: {" config "}\n"                                                                             \
	"frontendPolicies: {http: {" http "}}\n"                                                             \
	"binds: [{port: 80, listeners: [{routes: []}]}]\n"
#define MANIFEST(http)                                                                                       \
	"{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: g}, spec: {listeners: "  \
	"[{name: h, port: 80, protocol: HTTP}]}}\n---\n"                                                     \
	"{apiVersion: agentgateway.dev/v1alpha1, kind: AgentgatewayPolicy, metadata: {name: p}, spec: {"     \
	"targetRefs: [{kind: Gateway, name: g}], frontend: {http: {" http "}}}}\n"

/* Every member in order: padding between them may differ. */
static void print(const struct h2_settings *s, char out[300])
{
	snprintf(out, 300, "%u %u %u %u %u %u %u %u %u %lu %lu", s->window_bytes, s->connection_window_bytes,
		 s->frame_bytes, s->max_streams, s->max_head_bytes, s->max_headers, s->floods[H2_FLOOD_RESET],
		 s->floods[H2_FLOOD_EARLY_RESET], s->floods[H2_FLOOD_GLITCH], s->ping_interval_ns,
		 s->ping_timeout_ns);
}

TEST(every_written_value_is_the_effective_one)
{
	static const struct {
		const char *text;
		const char *expected; /* as print() says it */
	} rows[] = {
		{ STANDALONE("", ""), "65536 1048576 16384 100 65536 128 100 50 100 0 0" },
		{ MANIFEST(""), "65536 1048576 16384 100 65536 128 100 50 100 0 0" },
		{ STANDALONE(
			  "http2: {maxConcurrentStreams: 7, headers: 9}, limits: {headBytes: 1000, "
			  "http2Floods: {resets: 11, earlyResets: 6, glitches: 13}}",
			  "http2WindowSize: 1, http2ConnectionWindowSize: 70000, http2FrameSize: 16777215, "
			  "http2KeepaliveInterval: 5ms, http2KeepaliveTimeout: 7ms"),
		  "1 70000 16777215 7 1000 9 11 6 13 5000000 7000000" },
		{ MANIFEST("http2WindowSize: 1, http2ConnectionWindowSize: 70000, http2FrameSize: 16777215, "
			   "http2KeepaliveInterval: 5s, http2KeepaliveTimeout: 30s"),
		  "1 70000 16777215 100 65536 128 100 50 100 5000000000 30000000000" },
		/* A PING is answered within 20 s when nothing else is said; alone the timeout does nothing.
		 */
		{ STANDALONE("", "http2KeepaliveInterval: 5s"),
		  "65536 1048576 16384 100 65536 128 100 50 100 5000000000 20000000000" },
		{ STANDALONE("", "http2KeepaliveTimeout: 5s"),
		  "65536 1048576 16384 100 65536 128 100 50 100 0 0" },
		/* The window of a connection is never smaller than that of a stream by default, nor than
		   65535. */
		{ STANDALONE("", "http2WindowSize: 2147483647"),
		  "2147483647 2147483647 16384 100 65536 128 100 50 100 0 0" },
		{ STANDALONE("", "http2ConnectionWindowSize: 1"),
		  "65536 65535 16384 100 65536 128 100 50 100 0 0" },
		{ STANDALONE("limits: {http2Floods: {resets: 1, earlyResets: 1}}", ""),
		  "65536 1048576 16384 100 65536 128 1 1 100 0 0" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[300];
		struct h2_settings found;
		struct config_case c;

		config_case_text(&c, rows[i].text);
		config_case_accepted(&c);
		assert_int_equal(policy_compile(c.snapshot, &c.report), 0);
		h2_settings_of_client(c.snapshot->bind_list[0].http, &c.snapshot->config, &found);
		print(&found, text);
		if (strcmp(text, rows[i].expected) != 0)
			fail_msg("%s:\n%s instead of\n%s", rows[i].text, text, rows[i].expected);
		config_case_done(&c);
	}
}

TEST(a_timeout_without_pings_is_warned_about)
{
	struct config_case c;

	config_case_text(&c, "frontendPolicies: {http: {http2KeepaliveTimeout: 5s}}\n");
	config_case_accepted(&c);
	config_case_says(&c, CONFIG_WARNING, "a.yaml:1:50: frontendPolicies.http.http2KeepaliveTimeout: ",
			 "write http2KeepaliveInterval too");
	config_case_done(&c);
}

TEST(backends_get_pings_only_when_asked)
{
	static const struct {
		const char *text;
		uint64_t interval_ns;
		uint64_t timeout_ns;
	} rows[] = {
		{ "config: {}\n", 0, 0 },
		{ "config: {backend: {http2KeepaliveInterval: 1m}}\n", 60 * S, 20 * S },
		{ "config: {backend: {http2KeepaliveInterval: 1m, http2KeepaliveTimeout: 3s}}\n", 60 * S,
		  3 * S },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct h2_settings found;
		struct config_case c;

		config_case_text(&c, rows[i].text);
		config_case_accepted(&c);
		h2_settings_of_backend(&c.snapshot->config, &found);
		assert_int_equal(found.ping_interval_ns, rows[i].interval_ns);
		assert_int_equal(found.ping_timeout_ns, rows[i].timeout_ns);
		assert_int_equal(found.max_streams, 0);
		assert_int_equal(found.window_bytes, 65536);
		assert_int_equal(found.connection_window_bytes, 1048576);
		assert_int_equal(found.frame_bytes, 16384);
		assert_int_equal(found.max_head_bytes, 65536);
		assert_int_equal(found.floods[H2_FLOOD_GLITCH], 100);
		config_case_done(&c);
	}
}

TEST(values_out_of_range_are_refused)
{
	static const struct config_refusal rows[] = {
		{ "config: {http2: {maxConcurrentStreams: 0}}\n",
		  "a.yaml:1:40: config.http2.maxConcurrentStreams: ", "from 1 to 1000" },
		{ "config: {http2: {maxConcurrentStreams: 1001}}\n", "a.yaml:1:40: ", "from 1 to 1000" },
		{ "config: {http2: {headers: 7}}\n", "a.yaml:1:27: config.http2.headers: ", "from 8 to 128" },
		{ "config: {http2: {headers: 129}}\n", "a.yaml:1:27: ", "from 8 to 128" },
		{ "config: {limits: {http2Floods: {resets: 0}}}\n",
		  "a.yaml:1:41: config.limits.http2Floods.resets: ", "from 1 to 1000000" },
		{ "config: {limits: {http2Floods: {outboundQueue: 1}}}\n",
		  "a.yaml:1:33: config.limits.http2Floods.outboundQueue: ", "unknown key" },
		{ "config: {http2: {maxStreams: 1}}\n",
		  "a.yaml:1:18: config.http2.maxStreams: ", "unknown key" },
		{ "config: {backend: {http2KeepaliveInterval: 0s}}\n",
		  "a.yaml:1:44: config.backend.http2KeepaliveInterval: ", "write 1ms or more" },
		{ "config: {backend: {http2KeepaliveTimeout: 1s}}\n",
		  "a.yaml:1:43: config.backend.http2KeepaliveTimeout: ", "write http2KeepaliveInterval too" },
		{ "frontendPolicies: {http: {http2ConnectionWindowSize: 0}}\n",
		  "a.yaml:1:54: frontendPolicies.http.http2ConnectionWindowSize: ", "from 1 to 2147483647" },
		{ "frontendPolicies: {http: {http2FrameSize: 16777216}}\n",
		  "a.yaml:1:43: ", "from 16384 to 16777215" },
		{ "frontendPolicies: {http: {http2KeepaliveInterval: 0s}}\n",
		  "a.yaml:1:51: frontendPolicies.http.http2KeepaliveInterval: ", "write 1ms or more" },
		{ MANIFEST("http2KeepaliveInterval: 500ms"), "a.yaml:3:", "write 1s or more" },
		{ MANIFEST("http2FrameSize: 16383"), "a.yaml:3:", "from 16384 to 16777215" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		config_refused(&rows[i]);
}

/* -------------------------------------------------------------------------------- versions */

#define BEGIN                                                                                                \
	"{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: g}, spec: {listeners: "  \
	"[{name: h, port: 80, protocol: HTTP}]}}\n---\n"
#define ROUTE(kind)                                                                                          \
	"{apiVersion: gateway.networking.k8s.io/v1, kind: " kind                                             \
	", metadata: {name: r}, spec: {parentRefs: "                                                         \
	"[{name: g}], rules: [{filters: [{type: RequestMirror, requestMirror: {backendRef: {name: s, port: " \
	"80}}}], backendRefs: [{name: s, port: 80}]}]}}\n---\n"
#define PORT(more)                                                                                           \
	"{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {ports: [{port: 80" more "}]}}\n---\n"
#define POLICY(target, http)                                                                                 \
	"{apiVersion: agentgateway.dev/v1alpha1, kind: AgentgatewayPolicy, metadata: {name: p}, spec: {"     \
	"targetRefs: [" target "], backend: {http: {" http "}}}}\n"
#define GATEWAY "{kind: Gateway, name: g}"
#define SERVICE "{kind: Service, name: s, group: ''}"

TEST(the_version_is_that_of_the_policy_then_of_the_service_then_of_grpc)
{
	static const struct {
		const char *text;
		enum backend_http_version version;
		enum backend_http_version of_mirror; /* a policy of the gateway or rule does not reach it */
	} rows[] = {
		{ ROUTE("HTTPRoute") PORT(""), BACKEND_HTTP_AUTO, BACKEND_HTTP_AUTO },
		{ ROUTE("GRPCRoute") PORT(""), BACKEND_HTTP2, BACKEND_HTTP2 },
		{ ROUTE("HTTPRoute") PORT(", appProtocol: kubernetes.io/h2c"), BACKEND_HTTP2, BACKEND_HTTP2 },
		{ ROUTE("HTTPRoute") PORT(", appProtocol: kubernetes.io/ws"), BACKEND_HTTP1, BACKEND_HTTP1 },
		{ ROUTE("GRPCRoute") PORT(", appProtocol: kubernetes.io/ws"), BACKEND_HTTP1, BACKEND_HTTP1 },
		{ ROUTE("HTTPRoute") PORT(", appProtocol: example.com/x"), BACKEND_HTTP_AUTO,
		  BACKEND_HTTP_AUTO },
		{ ROUTE("HTTPRoute") PORT("") POLICY(SERVICE, "version: HTTP2"), BACKEND_HTTP2,
		  BACKEND_HTTP2 },
		{ ROUTE("HTTPRoute") PORT("") POLICY(GATEWAY, "version: HTTP2"), BACKEND_HTTP2,
		  BACKEND_HTTP_AUTO },
		{ ROUTE("HTTPRoute") PORT(", appProtocol: kubernetes.io/h2c")
			  POLICY(SERVICE, "version: HTTP1"),
		  BACKEND_HTTP1, BACKEND_HTTP1 },
		/* A policy that says nothing of the version leaves the word to the Service. */
		{ ROUTE("HTTPRoute") PORT(", appProtocol: kubernetes.io/h2c")
			  POLICY(SERVICE, "requestTimeout: 1s"),
		  BACKEND_HTTP2, BACKEND_HTTP2 },
		{ ROUTE("GRPCRoute") PORT("") POLICY(GATEWAY, "version: HTTP1"), BACKEND_HTTP1,
		  BACKEND_HTTP2 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *texts[] = { BEGIN, rows[i].text };
		const struct route *route;
		struct config_case c;

		config_case_texts(&c, texts, 2);
		config_case_accepted(&c);
		assert_int_equal(policy_compile(c.snapshot, &c.report), 0);
		route = &c.snapshot->bind_list[0].listener_list[0].route_list[0];
		if (route->backend_list[0].http_version != rows[i].version ||
		    route->effective.mirror_list[0]->ref->http_version != rows[i].of_mirror)
			fail_msg("%s: %d, mirror %d", rows[i].text, route->backend_list[0].http_version,
				 route->effective.mirror_list[0]->ref->http_version);
		/* Copies are HTTP/1.1. */
		assert_int_equal(c.report.count[CONFIG_WARNING], rows[i].of_mirror == BACKEND_HTTP2);
		config_case_done(&c);
	}
}

TEST(standalone_files_write_the_version_as_the_protocol_does)
{
	static const struct {
		const char *text;
		enum backend_http_version version;
	} rows[] = {
		{ "version: HTTP/2.0", BACKEND_HTTP2 },
		{ "version: HTTP/1.1", BACKEND_HTTP1 },
		{ "requestTimeout: 1s", BACKEND_HTTP_AUTO },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config_case c;
		char text[300];

		snprintf(text, sizeof(text),
			 "binds: [{port: 80, listeners: [{routes: [{backends: [{host: 'a:1', policies: "
			 "{http: {%s}}}]}]}]}]\n",
			 rows[i].text);
		config_case_text(&c, text);
		config_case_accepted(&c);
		assert_int_equal(policy_compile(c.snapshot, &c.report), 0);
		assert_int_equal(
			c.snapshot->bind_list[0].listener_list[0].route_list[0].backend_list[0].http_version,
			rows[i].version);
		assert_int_equal(c.report.count[CONFIG_WARNING], 0);
		config_case_done(&c);
	}
}

TEST(a_mirror_that_is_told_to_speak_http_2_is_refused)
{
	static const struct {
		const char *version;
		int result;
	} rows[] = { { "HTTP/2.0", -EINVAL }, { "HTTP/1.1", 0 } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config_case c;
		struct text errors;
		char text[300];

		snprintf(text, sizeof(text),
			 "backends: [{name: m, host: 'a:1', policies: {http: {version: %s}}}]\n"
			 "binds: [{port: 80, listeners: [{routes: [{backends: [{host: 'a:1'}], policies: "
			 "{requestMirror: {backend: {backend: /m}}}}]}]}]\n",
			 rows[i].version);
		config_case_text(&c, text);
		config_case_accepted(&c);
		assert_int_equal(policy_compile(c.snapshot, &c.report), rows[i].result);
		text_init(&errors);
		config_report_print(&c.report, CONFIG_ERROR, "", &errors);
		assert_int_equal(rows[i].result != 0, errors.len != 0);
		if (errors.len)
			assert_non_null(strstr(errors.data, "name one that speaks HTTP/1.1"));
		text_done(&errors);
		config_case_done(&c);
	}
}

TEST(only_grpc_calls_go_as_http2_when_nobody_says)
{
	static const struct {
		enum backend_http_version version;
		bool is_grpc_call;
		bool is_http2;
	} rows[] = {
		{ BACKEND_HTTP_AUTO, false, false }, { BACKEND_HTTP_AUTO, true, true },
		{ BACKEND_HTTP1, false, false },     { BACKEND_HTTP1, true, false },
		{ BACKEND_HTTP2, false, true },	     { BACKEND_HTTP2, true, true },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct backend_ref ref = { .http_version = rows[i].version };

		assert_int_equal(h2_to_backend(&ref, rows[i].is_grpc_call), rows[i].is_http2);
	}
}
