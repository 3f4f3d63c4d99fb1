/* SPDX-License-Identifier: Apache-2.0 */
#include "config/snapshot.h"
#include "policy/compile/effective.h"
#include "tests/unit/config_text.h"

#define POLICY "binds: [{port: 3000, listeners: [{routes: [{backends: [{host: 'a:1'}], policies: {\n"
#define IN_POLICY " binds[0].listeners[0].routes[0].policies."
#define END "}}]}]}]\n"
#define KEY_SET                                                                                              \
	"'{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"new\","                                  \
	"\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}'"

TEST(a_policy_that_could_not_decide_is_refused)
{
	static const struct config_refusal rows[] = {
		{ POLICY "basicAuth: {mode: strict}" END,
		  "a.yaml:2:12:" IN_POLICY "basicAuth: ", "\"htpasswd\" is missing" },
		{ POLICY "basicAuth: {mode: strict, htpasswd: ''}" END,
		  "a.yaml:2:37:" IN_POLICY "basicAuth.htpasswd: ", "has no user" },
		{ POLICY "basicAuth: {mode: strict, htpasswd: 'a:s3cr3t'}" END,
		  "a.yaml:2:37:" IN_POLICY "basicAuth.htpasswd: ",
		  "line 1: the user \"a\" has no password hash in a known form" },
		{ POLICY "basicAuth: {mode: strict, htpasswd: 12345678}" END,
		  "a.yaml:2:37:" IN_POLICY "basicAuth.htpasswd: ", "is not \"name:hash\"" },
		{ POLICY "basicAuth: {mode: strict, htpasswd: {file: /nowhere}}" END,
		  "a.yaml:2:44:" IN_POLICY "basicAuth.htpasswd.file: ", "cannot be read" },
		{ POLICY "basicAuth: {mode: permissive, htpasswd: 'a:OzJ6/2K4ZAKEY'}" END,
		  "a.yaml:2:19:" IN_POLICY "basicAuth.mode: ", "strict, optional" },
		{ POLICY "apiKey: {mode: strict, keys: []}" END,
		  "a.yaml:2:30:" IN_POLICY "apiKey.keys: ", "is empty" },
		{ POLICY "apiKey: {mode: strict, keys: [{}]}" END,
		  "a.yaml:2:31:" IN_POLICY "apiKey.keys[0]: ", "has neither \"key\" nor \"keyHash\"" },
		{ POLICY "apiKey: {mode: strict, keys: [{key: ''}]}" END,
		  "a.yaml:2:37:" IN_POLICY "apiKey.keys[0].key: ", "1 to 1024 bytes" },
		{ POLICY "apiKey: {mode: strict, keys: [{keyHash: s3cr3t}]}" END,
		  "a.yaml:2:41:" IN_POLICY "apiKey.keys[0].keyHash: ", "64 hexadecimal digits" },
		{ POLICY "apiKey: {mode: strict, keys: [{key: s3cr3t}, {key: s3cr3t}]}" END,
		  "a.yaml:2:9:" IN_POLICY "apiKey: ", "the key at index 1 occurs twice" },
		{ POLICY "apiKey: {mode: strict, keys: [{key: s3cr3t, metadata: {key: a}}]}" END,
		  "a.yaml:2:31:" IN_POLICY "apiKey.keys[0]: ", "has the name \"key\"" },
		{ POLICY "apiKey: {mode: strict, keys: [{key: a}], location: {header: {name: host}}}" END,
		  "a.yaml:2:62:" IN_POLICY "apiKey.location.header.name: ", "" },
		{ POLICY
		  "apiKey: {mode: strict, keys: [{key: a}], location: {expression: response.code}}" END,
		  "a.yaml:2:65:" IN_POLICY "apiKey.location.expression: ", "is not understood" },
		{ POLICY "jwtAuth: {mode: strict, issuer: a, jwks: '{}'}" END,
		  "a.yaml:2:42:" IN_POLICY "jwtAuth.jwks: ", "is not a set of keys" },
		{ POLICY "jwtAuth: {mode: strict, issuer: a, jwks: '{\"keys\":[]}'}" END,
		  "a.yaml:2:42:" IN_POLICY "jwtAuth.jwks: ", "has no keys" },
		{ POLICY "jwtAuth: {mode: strict, issuer: a, jwks: '{\"keys\":[{\"kty\":\"oct\"}]}'}" END,
		  "a.yaml:2:42:" IN_POLICY "jwtAuth.jwks: ", "no key that can verify tokens" },
		{ POLICY "jwtAuth: {mode: strict, issuer: a, jwks: {url: 'ftp://a'}}" END,
		  "a.yaml:2:48:" IN_POLICY "jwtAuth.jwks.url: ", "begins with https://" },
		{ POLICY "jwtAuth: {mode: strict, jwks: " KEY_SET "}" END,
		  "a.yaml:2:10:" IN_POLICY "jwtAuth: ", "\"issuer\" is missing" },
		{ POLICY "jwtAuth: {mode: strict, issuer: a, providers: [{issuer: a, jwks: " KEY_SET
			 "}]}" END,
		  "a.yaml:2:10:" IN_POLICY "jwtAuth: ", "beside the members of one provider" },
		{ POLICY "jwtAuth: {mode: strict, providers: []}" END,
		  "a.yaml:2:36:" IN_POLICY "jwtAuth.providers: ", "is empty" },
		{ POLICY "authorization: {rules: []}" END,
		  "a.yaml:2:24:" IN_POLICY "authorization.rules: ", "is empty, so nothing would be refused" },
		{ POLICY "authorization: {rules: [{}]}" END,
		  "a.yaml:2:25:" IN_POLICY "authorization.rules[0]: ", "exactly one of these keys" },
		{ POLICY "authorization: {rules: [{deny: 'true', allow: 'true'}]}" END,
		  "a.yaml:2:26:" IN_POLICY "authorization.rules[0].deny: ", "exclude each other" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		config_refused(&rows[i]);
}

TEST(no_message_contains_a_secret)
{
	static const char *const texts[] = {
		POLICY "basicAuth: {mode: strict, htpasswd: 'a:s3cr3t'}" END,
		POLICY "basicAuth: {mode: strict, htpasswd: 's3cr3t'}" END,
		POLICY "basicAuth: {mode: strict, htpasswd: [s3cr3t]}" END,
		POLICY "basicAuth: {mode: strict, htpasswd: 'a:$apr1$s3cr3tsalt$s3cr3thash'}" END,
		POLICY "apiKey: {mode: strict, keys: [{keyHash: s3cr3t}]}" END,
		POLICY "apiKey: {mode: strict, keys: [{key: [s3cr3t]}]}" END,
		POLICY "apiKey: {mode: strict, keys: [{key: s3cr3t}, {key: s3cr3t}]}" END,
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		config_keeps_secret(texts[i], "s3cr3t");
}

TEST(an_expression_may_have_several_lines)
{
	struct config_case c;

	config_case_text(&c,
			 POLICY "authorization: {rules: [\"request.method == 'GET'\\n\\t&& true\\n\"]}" END);
	config_case_accepted(&c);
	config_case_done(&c);
	config_case_text(&c, POLICY "authorization: {rules: [\"true\\a\"]}" END);
	config_case_says(&c, CONFIG_ERROR,
			 "a.yaml:2:", "contains a control character; write a text of one line");
	config_case_done(&c);
}

TEST(without_a_mode_standalone_policies_are_optional_and_warn)
{
	struct config_case c;
	const struct api_key_policy *policy;

	config_case_text(&c, POLICY "apiKey: {keys: [{key: a}]}" END);
	config_case_accepted(&c);
	config_case_says(&c, CONFIG_WARNING,
			 "a.yaml:2:9:" IN_POLICY "apiKey: ", "requests without credentials pass");
	policy = c.snapshot->bind_list[0].listener_list[0].route_list[0].inline_policies.value_list[0].object;
	assert_int_equal(policy->mode, CREDENTIAL_OPTIONAL);
	assert_true(c.snapshot->has_secrets);
	config_case_done(&c);
}

#define TOOLS                                                                                                \
	"mcp: {port: 3000, targets: [{name: a, mcp: {host: 'http://b:1/mcp'}}], policies: {\n"               \
	"mcpAuthentication: {audiences: [a], resourceMetadata: {}, "

/* RFC 8414 3.2 and the documents of each product say where an issuer has its keys. */
TEST(keys_that_are_not_written_are_where_the_provider_has_them)
{
	static const struct {
		const char *keys;
		const char *url; /* NULL: the issuer does not say; it has to be written */
	} rows[] = {
		{ "issuer: 'https://i/r/'", "https://i/r/.well-known/jwks.json" },
		{ "issuer: 'https://i/r', provider: {keycloak: {}}",
		  "https://i/r/protocol/openid-connect/certs" },
		{ "issuer: 'https://i:8443', provider: {auth0: {}}", "https://i:8443/.well-known/jwks.json" },
		{ "issuer: 'https://i/r', provider: {okta: {}}", "https://i/r/.well-known/jwks.json" },
		{ "issuer: 'https://i/r/', provider: {authentik: {}}", "https://i/r/jwks/" },
		{ "issuer: 'https://i', provider: {entra: {}}", NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config_case c;
		char text[1024];

		snprintf(text, sizeof(text), TOOLS "%s}}}\n", rows[i].keys);
		config_case_text(&c, text);
		if (!rows[i].url) {
			config_case_says(&c, CONFIG_ERROR, "a.yaml:2:20: mcp.policies.mcpAuthentication: ",
					 "write jwks: {url: https://...}");
		} else {
			config_case_accepted(&c);
			assert_int_equal(c.snapshot->fetch_count, 1);
			assert_span_equal(c.snapshot->fetch_list[0].url, rows[i].url);
		}
		config_case_done(&c);
	}
}

#define MANIFESTS                                                                                            \
	"{apiVersion: v1, kind: Secret, metadata: {name: s, labels: {a: b}},\n"                              \
	" stringData: {one: 'k1', two: '{\"key\": \"k2\", \"metadata\": {\"t\": 1}}'}}\n"                    \
	"---\n"                                                                                              \
	"{apiVersion: v1, kind: Secret, metadata: {name: u}, stringData: {.htaccess: 'a:OzJ6/2K4ZAKEY'}}\n"  \
	"---\n"                                                                                              \
	"{apiVersion: agentgateway.dev/v1alpha1, kind: AgentgatewayPolicy, metadata: {name: p}, spec:\n"     \
	" {targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: g}], traffic: {"

TEST(manifests_take_users_and_keys_from_secrets_and_are_strict)
{
	struct config_case c;
	uint32_t found = 0;

	config_case_text(&c, MANIFESTS "apiKeyAuthentication: {secretSelector: {matchLabels: {a: b}}},\n"
				       "basicAuthentication: {secretRef: {name: u}},\n"
				       "jwtAuthentication: {providers: [{issuer: i, jwks: {inline: " KEY_SET
				       "}}]}}}}\n");
	config_case_accepted(&c);
	for (uint32_t i = 0; i < c.snapshot->policy_count; i++) {
		const struct policy_value *value = &c.snapshot->policy_list[i].value;

		if (value->kind == POLICY_API_KEY) {
			const struct api_key_policy *policy = value->object;

			assert_int_equal(policy->keys.key_count, 2);
			assert_int_equal(policy->mode, CREDENTIAL_STRICT);
			found++;
		} else if (value->kind == POLICY_BASIC_AUTH) {
			const struct basic_auth_policy *policy = value->object;

			assert_non_null(htpasswd_find(&policy->users, SPAN("a")));
			assert_int_equal(policy->mode, CREDENTIAL_STRICT);
			found++;
		} else if (value->kind == POLICY_JWT_AUTH) {
			const struct jwt_auth_policy *policy = value->object;

			assert_int_equal(policy->mode, CREDENTIAL_STRICT);
			assert_int_equal(policy->providers.provider_list[0].required_count, 1);
			found++;
		}
	}
	assert_int_equal(found, 3);
	config_case_done(&c);
}

/* Its targets answer 500: test_authorization.py. */
/* Of other objects, a warning: what the policy is for is not served. */
TEST(what_is_missing_in_manifests_is_an_error)
{
	static const struct {
		const char *policy;
		const char *words;
		enum config_severity severity;
	} rows[] = {
		{ "apiKeyAuthentication: {secretSelector: {matchLabels: {a: c}}}", "finds no keys",
		  CONFIG_WARNING },
		{ "apiKeyAuthentication: {secretRef: {name: x}}", "there is no Secret default/x",
		  CONFIG_WARNING },
		{ "apiKeyAuthentication: {}", "secretRef", CONFIG_ERROR },
		{ "basicAuthentication: {secretRef: {name: x}}", "there is no Secret default/x",
		  CONFIG_WARNING },
		{ "basicAuthentication: {secretRef: {name: s}}", "it has no .htaccess", CONFIG_ERROR },
		{ "basicAuthentication: {users: ['a:plain']}", "has no password hash in a known form",
		  CONFIG_ERROR },
		{ "jwtAuthentication: {providers: []}", "is empty", CONFIG_ERROR },
		{ "authorization: {action: Allow}", "\"policy\" is missing", CONFIG_ERROR },
		{ "authorization: {action: Permit, policy: {matchExpressions: ['true']}}", "Allow",
		  CONFIG_ERROR },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config_case c;
		char text[2048];

		snprintf(text, sizeof(text), "%s%s}}}\n", MANIFESTS, rows[i].policy);
		config_case_text(&c, text);
		if (!strstr(config_case_lines(&c, rows[i].severity), rows[i].words))
			fail_msg("%s: %s", rows[i].policy, config_case_lines(&c, rows[i].severity));
		assert_int_equal(c.report.count[CONFIG_ERROR] == 0, rows[i].severity == CONFIG_WARNING);
		config_case_done(&c);
	}
}

/* clang-format off */
#define TOKENS \
	"{apiVersion: v1, kind: Service, metadata: {name: keys}, spec: {ports: [{port: 8443}]}}\n---\n" \
	"{apiVersion: agentgateway.dev/v1alpha1, kind: AgentgatewayBackend, metadata: {name: b},\n" \
	" spec: {static: {host: issuer.example, port: 80}}}\n---\n" \
	"{apiVersion: agentgateway.dev/v1alpha1, kind: AgentgatewayPolicy, metadata: {name: p}, spec:\n" \
	" {targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: g}], traffic: {" \
	"jwtAuthentication: {providers: [{issuer: i, jwks: {remote: {"
#define OF_SERVICE "backendRef: {kind: Service, name: keys, port: 8443}"
#define OF_BACKEND "backendRef: {group: agentgateway.dev, kind: AgentgatewayBackend, name: b}"
#define TOKENS_END "}}}]}}}}\n"
#define IS_OF(api, kind, name, spec) \
	"---\n{apiVersion: " api ", kind: " kind ", metadata: {name: " name "}, spec: {" spec "}}\n"
#define STANDARD(kind, name, spec) IS_OF("gateway.networking.k8s.io/v1", kind, name, spec)
#define SERVICE_TLS \
	STANDARD("BackendTLSPolicy", "t", "targetRefs: [{group: '', kind: Service, name: keys}], " \
		 "validation: {hostname: issuer.example, wellKnownCACertificates: System}")
#define BACKEND_OWN_TLS \
	STANDARD("BackendTLSPolicy", "t", \
		 "targetRefs: [{group: agentgateway.dev, kind: AgentgatewayBackend, name: b}], " \
		 "validation: {hostname: issuer.example, wellKnownCACertificates: System}")
#define ROUTED \
	STANDARD("Gateway", "g", \
		 "gatewayClassName: headgate, listeners: [{name: a, port: 80, protocol: HTTP}]") \
	STANDARD("HTTPRoute", "r", "parentRefs: [{name: g}], rules: [{backendRefs: [" \
		 "{group: agentgateway.dev, kind: AgentgatewayBackend, name: b}]}]")
#define LATER(policies) \
	IS_OF("agentgateway.dev/v1alpha1", "AgentgatewayPolicy", "q", \
	      "targetRefs: [{group: agentgateway.dev, kind: AgentgatewayBackend, name: b}], backend: {" \
	      policies "}")
#define OTHER_TOKENS \
	"mcp: {authentication: {issuer: i, resourceMetadata: {}, jwks: {" OF_SERVICE ", jwksPath: k}}}"
/* clang-format on */

TEST(keys_of_a_service_are_fetched_as_policies_of_the_service_say)
{
	static const struct {
		const char *remote, *more, *url, *path;
		uint32_t keep_s;
		bool is_tls;
	} rows[] = {
		{ OF_SERVICE ", jwksPath: org/keys", "",
		  "default/keys.default.svc.cluster.local:8443/org/keys", "/org/keys", 0, false },
		{ OF_SERVICE ", jwksPath: '/keys?appid=1', cacheDuration: 10m", SERVICE_TLS,
		  "default/keys.default.svc.cluster.local:8443/keys?appid=1", "/keys?appid=1", 600, true },
		{ OF_BACKEND ", jwksPath: keys, cacheDuration: 100h", "", "default/b/keys", "/keys", 86400,
		  false },
		{ OF_BACKEND ", jwksPath: keys", BACKEND_OWN_TLS, "default/b/keys", "/keys", 0, true },
		{ "url: 'https://issuer.example/keys', cacheDuration: 5m", "", "https://issuer.example/keys",
		  "/keys", 300, true },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct fetch_source *remote;
		struct config_case c;
		struct text warnings;
		char text[2048];

		snprintf(text, sizeof(text), TOKENS "%s" TOKENS_END "%s", rows[i].remote, rows[i].more);
		config_case_text(&c, text);
		config_case_accepted(&c);
		assert_int_equal(c.snapshot->fetch_count, 1);
		remote = &c.snapshot->fetch_list[0];
		assert_span_equal(remote->url, rows[i].url);
		assert_span_equal(remote->path, rows[i].path);
		assert_int_equal(remote->keep_s, rows[i].keep_s);
		assert_int_equal(policy_compile(c.snapshot, &c.report), 0);
		assert_int_equal(remote->tls != NULL, rows[i].is_tls);
		text_init(&warnings);
		config_report_print(&c.report, CONFIG_WARNING, "", &warnings);
		assert_int_equal(strstr(warnings.data, "not protected") == NULL, rows[i].is_tls);
		text_done(&warnings);
		config_case_done(&c);
	}
}

TEST(keys_that_cannot_be_fetched_leave_no_policy)
{
	static const struct {
		const char *remote, *words;
		enum config_severity severity;
	} rows[] = {
		{ "backendRef: {name: none, port: 1}, jwksPath: k", "nobody may enter", CONFIG_WARNING },
		{ OF_SERVICE, "\"jwksPath\" is missing; write the path", CONFIG_ERROR },
		{ OF_SERVICE ", jwksPath: 'a b'", "is not a path", CONFIG_ERROR },
		{ OF_SERVICE ", jwksPath: k, cacheDuration: 1m", "is too short; write 5m0s or more",
		  CONFIG_ERROR },
		{ OF_SERVICE ", url: 'https://a/k'", "exclude each other", CONFIG_ERROR },
		{ "url: 'https://a/k', jwksPath: k", "write it into url", CONFIG_ERROR },
		{ "jwksPath: k", "exactly one of these keys is needed: url, backendRef", CONFIG_ERROR },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config_case c;
		char text[2048];

		snprintf(text, sizeof(text), TOKENS "%s" TOKENS_END, rows[i].remote);
		config_case_text(&c, text);
		config_case_says(&c, rows[i].severity, "a.yaml:", rows[i].words);
		for (uint32_t p = 0; c.snapshot && p < c.snapshot->policy_count; p++)
			assert_int_not_equal(c.snapshot->policy_list[p].value.kind, POLICY_JWT_AUTH);
		config_case_done(&c);
	}
}

/* The second policy, which names a service, too, is decoded before the first one names the backend. */
TEST(a_backend_that_a_policy_asks_is_not_called_if_a_later_policy_cannot_protect_it)
{
	static const struct {
		const char *later;
		bool is_refused;
	} rows[] = {
		{ "http: {requestTimeout: 1s}", false },
		{ "ai: {}", true },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct backend_ref *route;
		struct config_case c;
		char text[4096];
		uint32_t asked = 0;

		snprintf(text, sizeof(text),
			 TOKENS OF_BACKEND ", jwksPath: k" TOKENS_END ROUTED LATER("%s, " OTHER_TOKENS),
			 rows[i].later);
		config_case_text(&c, text);
		config_case_accepted(&c);
		route = &c.snapshot->bind_list[0].listener_list[0].route_list[0].backend_list[0];
		assert_int_equal(route->backend->kind == BACKEND_INVALID, rows[i].is_refused);
		for (uint32_t f = 0; f < c.snapshot->fetch_count; f++)
			if (span_eq(c.snapshot->fetch_list[f].ref->backend->name, SPAN("b")))
				asked += c.snapshot->fetch_list[f].ref->backend->endpoint_count;
		assert_int_equal(asked, rows[i].is_refused ? 0 : 1);
		/* The other one asks for tokens at a backend that is no MCP backend. */
		assert_int_equal(policy_compile(c.snapshot, &c.report), rows[i].is_refused ? 0 : -EINVAL);
		config_case_done(&c);
	}
}
