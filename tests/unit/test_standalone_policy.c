/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/config_text.h"

#include "config/build.h"

/* One policy of a route: the value begins at line 2, column 1. */
#define POLICY "binds: [{port: 3000, listeners: [{routes: [{backends: [{host: 'a:1'}], policies: {\n"
#define IN_POLICY " binds[0].listeners[0].routes[0].policies."
/* One policy of a backend. */
#define BACKEND "binds: [{port: 3000, listeners: [{routes: [{backends: [{host: 'a:1', policies: {\n"
#define IN_BACKEND " binds[0].listeners[0].routes[0].backends[0].policies."
#define END "}}]}]}]\n"
#define TEN "aaaaaaaaaa"
#define LONG TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN /* for a socket */
#define END_BACKEND "}}]}]}]}]\n"

TEST(wrong_route_policies_are_refused)
{
	static const struct config_refusal rows[] = {
		{ POLICY "timeouts: {}" END,
		  "a.yaml:2:1:" IN_POLICY "timeouts: ", "did you mean \"timeout\"?" },
		{ POLICY "timeout: {requestTimeout: 5}" END,
		  "a.yaml:2:27:" IN_POLICY "timeout.requestTimeout: ",
		  "the duration \"5\" has no unit; add one: 5s" },
		{ POLICY "timeout: {requestTimeout: -1s}" END,
		  "a.yaml:2:27:" IN_POLICY "timeout.requestTimeout: ", "the duration \"-1s\" is negative" },
		{ POLICY "timeout: {requestTimeout: 1d}" END,
		  "a.yaml:2:27:" IN_POLICY "timeout.requestTimeout: ", "one day is 24h" },
		{ POLICY "timeout: {requestTimeout: []}" END,
		  "a.yaml:2:27:" IN_POLICY "timeout.requestTimeout: ",
		  "expected a duration such as 30s or 500ms, found a list" },
		{ POLICY "timeout: {request: 5s}" END,
		  "a.yaml:2:11:" IN_POLICY "timeout.request: ", "did you mean \"requestTimeout\"?" },
		{ POLICY "timeout: {}" END, "a.yaml:2:10:" IN_POLICY "timeout: ", "sets nothing" },
		{ POLICY "retry: {attempts: 3}" END,
		  "a.yaml:2:8:" IN_POLICY "retry: ", "\"codes\" is missing; write codes: []" },
		{ POLICY "retry: {attempts: 0, codes: []}" END,
		  "a.yaml:2:19:" IN_POLICY "retry.attempts: ", "from 1 to 255, found \"0\"" },
		{ POLICY "retry: {attempts: 256, codes: []}" END,
		  "a.yaml:2:19:" IN_POLICY "retry.attempts: ", "from 1 to 255" },
		{ POLICY "retry: {codes: [99]}" END,
		  "a.yaml:2:17:" IN_POLICY "retry.codes[0]: ", "from 100 to 999, found \"99\"" },
		{ POLICY "retry: {codes: [503, 1000]}" END,
		  "a.yaml:2:22:" IN_POLICY "retry.codes[1]: ", "from 100 to 999" },
		{ POLICY "retry: {codes: 503}" END,
		  "a.yaml:2:16:" IN_POLICY "retry.codes: ", "expected a list" },
		{ POLICY "retry: {codes: [], condition: x}" END,
		  "a.yaml:2:31:" IN_POLICY "retry.condition: ", "x is not known; when there is a response" },
		{ POLICY "retry: {codes: [], condition: response.code}" END,
		  "a.yaml:2:31:" IN_POLICY "retry.condition: ", "write a condition" },
		{ POLICY "retry: {codes: [], precondition: 'response.code == 1'}" END,
		  "a.yaml:2:34:" IN_POLICY "retry.precondition: ", "is not understood" },
		{ POLICY "requestHeaderModifier: {set: {'a b': c}}" END,
		  "a.yaml:2:31:" IN_POLICY "requestHeaderModifier.set[\"a b\"]: ",
		  "\"a b\" is not a header name" },
		{ POLICY "requestHeaderModifier: {set: {a: 1}}" END,
		  "a.yaml:2:34:" IN_POLICY "requestHeaderModifier.set.a: ", "put it in quotes: \"1\"" },
		{ POLICY "requestHeaderModifier: {add: {a: \"x\\ny\"}}" END,
		  "a.yaml:2:34:" IN_POLICY "requestHeaderModifier.add.a: ",
		  "control character or line break" },
		{ POLICY "requestHeaderModifier: {set: {Content-Length: '5'}}" END,
		  "a.yaml:2:31:" IN_POLICY "requestHeaderModifier.set.Content-Length: ",
		  "belongs to message framing" },
		{ POLICY "responseHeaderModifier: {remove: [Transfer-Encoding]}" END,
		  "a.yaml:2:35:" IN_POLICY "responseHeaderModifier.remove[0]: ",
		  "belongs to message framing" },
		{ POLICY "requestHeaderModifier: {set: {host: a}}" END,
		  "a.yaml:2:31:" IN_POLICY "requestHeaderModifier.set.host: ", "use urlRewrite" },
		{ POLICY "requestHeaderModifier: {set: {':path': a}}" END,
		  "a.yaml:2:31:" IN_POLICY "requestHeaderModifier.set[\":path\"]: ", "is not a header name" },
		{ POLICY "urlRewrite: {path: {full: /a, prefix: /b}}" END,
		  "a.yaml:2:31:" IN_POLICY "urlRewrite.path.prefix: ", "exclude each other" },
		{ POLICY "urlRewrite: {path: {full: a}}" END,
		  "a.yaml:2:27:" IN_POLICY "urlRewrite.path.full: ", "begin it with /" },
		{ POLICY "urlRewrite: {authority: {port: 0}}" END,
		  "a.yaml:2:32:" IN_POLICY "urlRewrite.authority.port: ", "from 1 to 65535" },
		{ POLICY "urlRewrite: {authority: {host: 'a:1'}}" END,
		  "a.yaml:2:32:" IN_POLICY "urlRewrite.authority.host: ", "without scheme and port" },
		{ POLICY "urlRewrite: {authority: {full: 'a/b'}}" END,
		  "a.yaml:2:32:" IN_POLICY "urlRewrite.authority.full: ", "is not an authority" },
		{ POLICY "urlRewrite: {authority: Auto}" END,
		  "a.yaml:2:25:" IN_POLICY "urlRewrite.authority: ", "did you mean auto?" },
		{ POLICY "urlRewrite: {authority: {}}" END,
		  "a.yaml:2:25:" IN_POLICY "urlRewrite.authority: ", "full, host, port" },
		{ POLICY "requestRedirect: {status: 200}" END,
		  "a.yaml:2:27:" IN_POLICY "requestRedirect.status: ", "from 300 to 399" },
		{ POLICY "requestRedirect: {status: 304}" END,
		  "a.yaml:2:27:" IN_POLICY "requestRedirect.status: ", "use 301, 302, 303, 307 or 308" },
		{ POLICY "requestRedirect: {scheme: ftp}" END,
		  "a.yaml:2:27:" IN_POLICY "requestRedirect.scheme: ",
		  "expected one of http, https, found \"ftp\"" },
		{ POLICY "requestRedirect: {}" END,
		  "a.yaml:2:18:" IN_POLICY "requestRedirect: ", "would never end" },
		{ POLICY "directResponse: {body: x}" END,
		  "a.yaml:2:17:" IN_POLICY "directResponse: ", "\"status\" is missing" },
		{ POLICY "directResponse: {status: 100}" END,
		  "a.yaml:2:26:" IN_POLICY "directResponse.status: ", "from 200 to 599" },
		{ POLICY "directResponse: {status: 204, body: x}" END,
		  "a.yaml:2:17:" IN_POLICY "directResponse: ", "has no body" },
		{ POLICY "requestMirror: {percentage: 0.5}" END,
		  "a.yaml:2:16:" IN_POLICY "requestMirror: ", "\"backend\" is missing" },
		{ POLICY "requestMirror: {backend: {host: 'b:1'}, percentage: 50}" END,
		  "a.yaml:2:53:" IN_POLICY "requestMirror.percentage: ", "from 0.0 to 1.0" },
		{ POLICY "requestMirror: {backend: {host: b}}" END,
		  "a.yaml:2:33:" IN_POLICY "requestMirror.backend.host: ", "has no port" },
		{ POLICY "http: {requestTimeout: 1s}" END,
		  "a.yaml:2:1:" IN_POLICY "http: ", "write it under backends[].policies" },
		{ POLICY "ai: {}" END, "a.yaml:2:1:" IN_POLICY "ai: ", "is not supported yet" },
		{ POLICY "cors: {allowOrigins: ['null']}" END,
		  "a.yaml:2:23:" IN_POLICY "cors.allowOrigins[0]: ", "every sandboxed frame" },
		{ POLICY "cors: {allowOrigins: ['https://a.test/']}" END,
		  "a.yaml:2:23:" IN_POLICY "cors.allowOrigins[0]: ", "is not an origin" },
		{ POLICY "cors: {allowOrigins: ['https://a*.test']}" END,
		  "a.yaml:2:23:" IN_POLICY "cors.allowOrigins[0]: ", "is not an origin" },
		{ POLICY "cors: {allowHeaders: ['a b']}" END,
		  "a.yaml:2:23:" IN_POLICY "cors.allowHeaders[0]: ", "is not the name of a header" },
		{ POLICY "cors: {allowMethods: ['a b']}" END,
		  "a.yaml:2:23:" IN_POLICY "cors.allowMethods[0]: ", "is not a method" },
		{ POLICY "cors: {maxAge: 1500ms}" END,
		  "a.yaml:2:16:" IN_POLICY "cors.maxAge: ", "whole seconds" },
		{ POLICY "oidc: {}" END, "a.yaml:2:1:" IN_POLICY "oidc: ", "is not supported yet" },
		{ POLICY "backendAuth: {}" END, "a.yaml:2:14:" IN_POLICY "backendAuth: ", "sets nothing" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		config_refused(&rows[i]);
}

TEST(wrong_backend_policies_are_refused)
{
	static const struct config_refusal rows[] = {
		{ BACKEND "tcp: {}" END_BACKEND, "a.yaml:2:6:" IN_BACKEND "tcp: ",
		  "says nothing; write keepalives, connectTimeout or both" },
		{ BACKEND "tcp: {keepalives: {}, connectTimeout: {secs: 1}}" END_BACKEND,
		  "a.yaml:2:39:" IN_BACKEND "tcp.connectTimeout: ", "\"nanos\" is missing; write both" },
		{ BACKEND "tcp: {keepalives: {}, connectTimeout: {secs: 0, nanos: 0}}" END_BACKEND,
		  "a.yaml:2:39:" IN_BACKEND "tcp.connectTimeout: ", "would refuse every connection" },
		{ BACKEND "tcp: {keepalives: {}, connectTimeout: {secs: 1, nanos: 1000000000}}" END_BACKEND,
		  "a.yaml:2:56:" IN_BACKEND "tcp.connectTimeout.nanos: ", "from 0 to 999999999" },
		{ BACKEND "tcp: {keepalives: {}, connectTimeout: 0s}" END_BACKEND,
		  "a.yaml:2:39:" IN_BACKEND "tcp.connectTimeout: ", "is too short; write 1ms or more" },
		{ BACKEND "tcp: {keepalives: {time: 500ms}, connectTimeout: 1s}" END_BACKEND,
		  "a.yaml:2:26:" IN_BACKEND "tcp.keepalives.time: ", "is too short; write 1s or more" },
		{ BACKEND "tcp: {keepalives: {time: 10h}, connectTimeout: 1s}" END_BACKEND,
		  "a.yaml:2:26:" IN_BACKEND "tcp.keepalives.time: ", "1s to 32767s" },
		{ BACKEND "tcp: {keepalives: {retries: 128}, connectTimeout: 1s}" END_BACKEND,
		  "a.yaml:2:29:" IN_BACKEND "tcp.keepalives.retries: ", "from 1 to 127" },
		{ BACKEND "tcp: {keepalives: {on: true}, connectTimeout: 1s}" END_BACKEND,
		  "a.yaml:2:20:" IN_BACKEND "tcp.keepalives.on: ", "unknown key" },
		{ BACKEND "http: {version: HTTP/3}" END_BACKEND,
		  "a.yaml:2:17:" IN_BACKEND "http.version: ", "HTTP/1.1" },
		{ BACKEND "http: {requestTimeout: 1.5}" END_BACKEND,
		  "a.yaml:2:24:" IN_BACKEND "http.requestTimeout: ", "has no unit" },
		{ BACKEND "timeout: {requestTimeout: 1s}" END_BACKEND,
		  "a.yaml:2:1:" IN_BACKEND "timeout: ", "belongs to a route" },
		{ BACKEND "backendAuth: {}" END_BACKEND,
		  "a.yaml:2:14:" IN_BACKEND "backendAuth: ", "sets nothing" },
		{ BACKEND "htp: {}" END_BACKEND, "a.yaml:2:1:" IN_BACKEND "htp: ", "did you mean \"http\"?" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		config_refused(&rows[i]);
}

TEST(wrong_front_end_and_attached_policies_are_refused)
{
	static const struct config_refusal rows[] = {
		{ "frontendPolicies: {https: {}}\n",
		  "a.yaml:1:20: frontendPolicies.https: ", "did you mean \"http\"?" },
		{ "frontendPolicies: {connect: {}}\n",
		  "a.yaml:1:29: frontendPolicies.connect: ", "\"mode\" is missing" },
		{ "frontendPolicies: {connect: {mode: tunnel}}\n",
		  "a.yaml:1:36: frontendPolicies.connect.mode: ", "one of deny, route" },
		{ "frontendPolicies: {tcp: {}}\n",
		  "a.yaml:1:25: frontendPolicies.tcp: ", "\"keepalives\" is missing" },
		{ "frontendPolicies: {tcp: {keepalive: {}, keepalives: {}}}\n",
		  "a.yaml:1:26: frontendPolicies.tcp.keepalive: ", "did you mean \"keepalives\"?" },
		{ "frontendPolicies: {http: {http1MaxHeaders: 5000}}\n",
		  "a.yaml:1:44: frontendPolicies.http.http1MaxHeaders: ", "from 1 to 4096" },
		{ "frontendPolicies: {http: {http1IdleTimeout: 0s}}\n",
		  "a.yaml:1:45: frontendPolicies.http.http1IdleTimeout: ", "write 1ms or more" },
		{ "frontendPolicies: {http: {http2FrameSize: 100}}\n",
		  "a.yaml:1:43: frontendPolicies.http.http2FrameSize: ", "from 16384 to 16777215" },
		{ "frontendPolicies: {http: {http2WindowSize: 2147483648}}\n",
		  "a.yaml:1:44: frontendPolicies.http.http2WindowSize: ", "from 1 to 2147483647" },
		{ "frontendPolicies: {http: {maxConnectionDuration: 1s}}\n",
		  "a.yaml:1:27: frontendPolicies.http.maxConnectionDuration: ",
		  "use config.timeouts.maxConnectionAge" },
		{ "frontendPolicies: {accessLog: {filter: x}}\n",
		  "a.yaml:1:40: frontendPolicies.accessLog.filter: ", "is not understood" },
		{ "frontendPolicies: {accessLog: {}, logging: {}}\n",
		  "a.yaml:1:35: frontendPolicies.logging: ", "is another name of \"accessLog\"" },
		{ "policies: [{target: {gateway: {}}, policy: {retry: {codes: []}}}]\n",
		  "a.yaml:1:12: policies[0]: ", "\"name\" is missing" },
		{ "policies: [{name: {name: a}, policy: {retry: {codes: []}}}]\n",
		  "a.yaml:1:12: policies[0]: ", "\"target\" is missing" },
		{ "policies: [{name: {name: a}, target: {gateway: {}}}]\n",
		  "a.yaml:1:12: policies[0]: ", "\"policy\" is missing" },
		{ "policies: [{name: {name: a}, target: {}, policy: {retry: {codes: []}}}]\n",
		  "a.yaml:1:38: policies[0].target: ", "gateway, route, backend" },
		{ "policies: [{name: {name: a}, target: {gateway: {}}, policy: {}}]\n",
		  "a.yaml:1:61: policies[0].policy: ", "must contain exactly 1 policy each; this one has 0" },
		{ "policies: [{name: {name: a}, target: {gateway: {}}, policy: {retry: {codes: []}, timeout: "
		  "{requestTimeout: 1s}}}]\n",
		  "a.yaml:1:61: policies[0].policy: ", "must contain exactly 1 policy each; this one has 2" },
		{ "policies: [{name: {name: a}, target: {gateway: {}}, policy: {ai: {}}}]\n",
		  "a.yaml:1:62: policies[0].policy.ai: ", "is not supported yet" },
		{ "policies: [{name: {name: a}, target: {gateway: {}}, phase: x, policy: {retry: {codes: "
		  "[]}}}]\n",
		  "a.yaml:1:60: policies[0].phase: ", "route, gateway" },
		{ "policies: [{name: {name: a}, target: {route: {}}, policy: {retry: {codes: []}}}]\n",
		  "a.yaml:1:46: policies[0].target.route: ", "\"name\" is missing" },
		{ "policies: [{name: {name: a}, target: {listenerSet: {}}, policy: {retry: {codes: []}}}]\n",
		  "a.yaml:1:39: policies[0].target.listenerSet: ", "is not supported yet" },
		{ "policies:\n- &p {name: {name: a}, target: {gateway: {}}, policy: {retry: {codes: []}}}\n- "
		  "*p\n",
		  "a.yaml:2:3: policies[1]: ", "the policy \"default/a\" exists twice" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		config_refused(&rows[i]);
}

TEST(wrong_static_values_are_refused)
{
	static const struct config_refusal rows[] = {
		{ "config: {listener: {}}\n",
		  "a.yaml:1:10: config.listener: ", "has been removed; move it to frontendPolicies" },
		{ "config: {adminAddr: 15000}\n", "a.yaml:1:21: config.adminAddr: ", "put it in quotes" },
		{ "config: {adminAddr: localhost}\n",
		  "a.yaml:1:21: config.adminAddr: ", "localhost:port, unix:/path or off" },
		{ "config: {adminAddr: 'example.com:80'}\n",
		  "a.yaml:1:21: config.adminAddr: ", "is not a listening address" },
		{ "config: {adminAddr: 'unix:/" LONG "'}\n",
		  "a.yaml:1:21: config.adminAddr: ", "write unix:/path with at most 107 bytes of path" },
		{ "config: {statsAddr: 'localhost:0'}\n",
		  "a.yaml:1:21: config.statsAddr: ", "is not a listening address" },
		{ "config: {enableIpv6: yes}\n",
		  "a.yaml:1:22: config.enableIpv6: ", "expected true or false, found \"yes\"" },
		{ "config: {workerThreads: 0}\n", "a.yaml:1:25: config.workerThreads: ", "from 1 to 256" },
		{ "config: {workerThreads: 0%}\n", "a.yaml:1:25: config.workerThreads: ", "1% to 100%" },
		{ "config: {workerThreads: 101%}\n", "a.yaml:1:25: config.workerThreads: ", "1% to 100%" },
		{ "config: {connectionMinTerminationDeadline: 6s}\n",
		  "a.yaml:1:44: config.connectionMinTerminationDeadline: ", "which is 5s when not set" },
		{ "config: {backend: {connectTimeout: 10}}\n",
		  "a.yaml:1:36: config.backend.connectTimeout: ", "has no unit" },
		{ "config: {backend: {poolSize: 1}}\n",
		  "a.yaml:1:20: config.backend.poolSize: ", "did you mean \"poolMaxSize\"?" },
		{ "config: {backend: {poolMaxSize: -1}}\n",
		  "a.yaml:1:33: config.backend.poolMaxSize: ", "expected a whole number" },
		{ "config: {logging: {level: verbose}}\n",
		  "a.yaml:1:27: config.logging.level: ", "expected one of error, warn, info, debug" },
		{ "config: {logging: {filter: x}}\n", "a.yaml:1:20: config.logging.filter: ", "has moved" },
		{ "config: {dns: {refresh: 10ms}}\n",
		  "a.yaml:1:25: config.dns.refresh: ", "write 1s or more" },
		{ "config: {dns: {edns0: 1}}\n",
		  "a.yaml:1:23: config.dns.edns0: ", "expected true or false" },
		{ "config: {timeouts: {idle: 1s}}\n",
		  "a.yaml:1:21: config.timeouts.idle: ", "known here: streamIdle, tunnelIdle" },
		{ "config: {timeouts: {maxConnectionAgeJitter: 1s}}\n",
		  "a.yaml:1:45: config.timeouts.maxConnectionAgeJitter: ",
		  "varies maxConnectionAge; set that too" },
		{ "config: {splice: {mode: on}}\n",
		  "a.yaml:1:25: config.splice.mode: ", "auto, off, require" },
		{ "config: {splice: {lanes: [near]}}\n",
		  "a.yaml:1:27: config.splice.lanes[0]: ", "expected one of pipe, sockmap, direct, bypass" },
		{ "config: {splice: {mode: require, lanes: [pipe]}}\n",
		  "a.yaml:1:18: config.splice: ", "write lanes: [pipe, sockmap], or mode: auto" },
		{ "config: {splice: {force: true}}\n",
		  "a.yaml:1:26: config.splice.force: ", "about the lanes direct and bypass only" },
		{ "config: {splice: {creditBytes: 1}}\n",
		  "a.yaml:1:32: config.splice.creditBytes: ", "from 65536" },
		{ "config: {splice: {creditBytes: 65537, maxTotalCredit: 65536}}\n",
		  "a.yaml:1:18: config.splice: ", "no stream could be spliced" },
		{ "config: {limits: {maxConnections: 100001}}\n",
		  "a.yaml:1:35: config.limits.maxConnections: ", "from 1 to 100000" },
		{ "config: {limits: {requestLineBytes: 8193}}\n",
		  "a.yaml:1:37: config.limits.requestLineBytes: ", "from 128 to 8192" },
		{ "config: {limits: {headBytes: 70000}}\n",
		  "a.yaml:1:30: config.limits.headBytes: ", "from 512 to 65536" },
		{ "config: {limits: {headers: 101}}\n",
		  "a.yaml:1:28: config.limits.headers: ", "from 8 to 100" },
		{ "config: {forwarded: {trusted: [a]}}\n",
		  "a.yaml:1:32: config.forwarded.trusted[0]: ", "is not a network" },
		{ "config: {forwarded: {trusted: [10.0.0.0/33]}}\n",
		  "a.yaml:1:32: config.forwarded.trusted[0]: ", "is not a network" },
		{ "config: {retry: {budgetPercent: 101}}\n",
		  "a.yaml:1:33: config.retry.budgetPercent: ", "from 0 to 100" },
		{ "config: {xdsAddress: x}\n", "a.yaml:1:10: config.xdsAddress: ", "is not supported yet" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		config_refused(&rows[i]);
}

/* As YAML 1.2 10.3.2 writes numbers. */
TEST(a_share_is_any_number_of_yaml)
{
	static const struct {
		const char *written;
		const char *words; /* NULL: accepted */
		uint32_t per_million;
	} rows[] = {
		{ "0.5", NULL, 500000 },
		{ ".5", NULL, 500000 },
		{ "5e-1", NULL, 500000 },
		{ "+0.5", NULL, 500000 },
		{ "0.50E0", NULL, 500000 },
		{ "1", NULL, 1000000 },
		{ "1.", NULL, 1000000 },
		{ "1.0", NULL, 1000000 },
		{ "0", NULL, 0 },
		{ "0.29", NULL, 290000 },
		{ "0.000001", NULL, 1 },
		{ "0.999999", NULL, 999999 },
		{ "0.0000009", NULL, 0 },
		{ "-0.0", NULL, 0 },
		{ "'0.5'", "remove the quotes", 0 },
		{ "50%", "write 0.5 for 50%", 0 },
		{ "1.000001", "from 0.0 to 1.0", 0 },
		{ "-0.1", "from 0.0 to 1.0", 0 },
		{ "0x1", "from 0.0 to 1.0", 0 },
		{ ".inf", "from 0.0 to 1.0", 0 },
		{ ".", "from 0.0 to 1.0", 0 },
		{ "5e", "from 0.0 to 1.0", 0 },
		{ "half", "from 0.0 to 1.0", 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct mirror_policy *mirror;
		struct config_case c;
		char text[300];

		snprintf(text, sizeof(text),
			 "binds: [{port: 1, listeners: [{routes: [{policies: {requestMirror: {backend: "
			 "{host: 'a:1'}, percentage: %s}}, backends: [{host: 'a:1'}]}]}]}]\n",
			 rows[i].written);
		config_case_text(&c, text);
		if (rows[i].words) {
			assert_int_equal(c.result, -EINVAL);
			config_case_says(&c, CONFIG_ERROR, "a.yaml:1:105: ", rows[i].words);
		} else {
			config_case_accepted(&c);
			mirror = build_value_find(
				&c.snapshot->bind_list[0].listener_list[0].route_list[0].inline_policies,
				POLICY_MIRROR);
			if (mirror->per_million != rows[i].per_million)
				fail_msg("%s: %u", rows[i].written, mirror->per_million);
		}
		config_case_done(&c);
	}
}

TEST(attempts_255_becomes_254)
{
	const struct retry_policy *retry;
	struct config_case c;

	config_case_text(&c, POLICY "retry: {attempts: 255, codes: []}" END);
	config_case_accepted(&c);
	retry = build_value_find(&c.snapshot->bind_list[0].listener_list[0].route_list[0].inline_policies,
				 POLICY_RETRY);
	assert_int_equal(retry->attempts, 254);
	config_case_done(&c);
}

TEST(a_null_is_like_a_missing_key)
{
	struct config_case c;

	config_case_text(&c, "config:\nbackends: ~\n" POLICY "timeout: , retry: null" END);
	config_case_accepted(&c);
	assert_int_equal(c.snapshot->bind_list[0].listener_list[0].route_list[0].inline_policies.value_count,
			 0);
	config_case_done(&c);
}

TEST(empty_frontend_policies_are_warned_about)
{
	struct config_case c;

	config_case_text(&c, "frontendPolicies: {}\n");
	config_case_accepted(&c);
	config_case_says(&c, CONFIG_WARNING, "a.yaml:1:19: frontendPolicies: ", "is empty and has no effect");
	config_case_done(&c);
}
