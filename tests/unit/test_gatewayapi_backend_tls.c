/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/gatewayapi_tls.h"

TEST_GROUP(manifest_files_make, tls_files_drop);

/* TLS to backends: who asks for it, and what is not served where it cannot be
 * had. */

#define BACKEND_TLS(name, targets, rest)                                                                     \
	OBJECT(API, "BackendTLSPolicy", "app", name, "spec: {targetRefs: [" targets "], " rest "}")
#define AGED(name, created, targets, rest)                                                                   \
	OBJECT(API, "BackendTLSPolicy", "app", name ", creationTimestamp: '" created "'",                    \
	       "spec: {targetRefs: [" targets "], " rest "}")
#define TO(service) "{group: '', kind: Service, name: " service "}"
#define TO_PORT(service, port) "{group: '', kind: Service, name: " service ", sectionName: " port "}"
#define VALID(host) "validation: {hostname: " host ", caCertificateRefs: [" CA "]}"
#define CA "{group: '', kind: ConfigMap, name: ca}"
#define HTTP GATEWAY("g", "listeners: [{name: h, port: 80, protocol: HTTP}]")
#define STAGE                                                                                                \
	HTTP ROUTE("HTTPRoute", "r", "", "s") SERVICE("s", "{name: web, port: 80}, {name: alt, port: 81}")

static const struct backend_tls *tls_of(const struct config_case *c)
{
	const struct listener *listener = manifest_listener(c, "h");

	if (listener->route_count)
		return listener->route_list[0].backend_list[0].tls;
	return listener->tcp_route_count ? listener->tcp_route_list[0].backend_list[0].tls : NULL;
}

TEST(a_policy_says_how_a_service_is_spoken_to)
{
	static const char text[] = STAGE BACKEND_TLS(
		"p", TO("s"),
		"validation: {hostname: A.example.com, caCertificateRefs: [" CA "], subjectAltNames: [{type: "
		"Hostname, hostname: B.example.com}, {type: URI, uri: "
		"'spiffe://example.com/App'}]}, options: "
		"{a.example.com/size: '3'}");
	const struct backend_tls *tls;
	struct config_case c;

	manifest_load(&c, text);
	tls = tls_of(&c);
	assert_non_null(tls);
	assert_int_equal(tls->invalid_reason.len, 0);
	assert_span_equal(tls->settings.hostname, "a.example.com");
	assert_int_equal(tls->settings.name_count, 2);
	assert_span_equal(tls->settings.name_list[0], "b.example.com");
	assert_span_equal(tls->settings.name_list[1], "spiffe://example.com/App");
	assert_int_equal(tls->settings.verify, TLS_VERIFY_FULL);
	assert_int_equal(tls->settings.trust->certificate_count, 1);
	assert_span_equal(tls->root_source, "ConfigMap app/ca");
	assert_int_not_equal(tls->settings.hash, 0);
	config_case_says(&c, CONFIG_WARNING, "", "the option \"a.example.com/size\"; it has no effect");
	assert_span_equal(c.snapshot->policy_list[0].key, "app/p:backend-tls:app/s.app.svc.cluster.local");
	config_case_done(&c);
}

TEST(of_policies_with_one_target_the_oldest_counts_and_a_port_has_its_own)
{
	static const struct {
		const char *policies;
		const char *hostname;
		const char *warning; /* NULL: none */
	} rows[] = {
		{ BACKEND_TLS("p-2", TO("s"), VALID("second")) BACKEND_TLS("p", TO("s"), VALID("first")),
		  "first",
		  "Conflicted: has no effect there: BackendTLSPolicy app/p has this "
		  "target, and comes "
		  "first by name" },
		{ AGED("a", "2026-01-02T00:00:00Z", TO("s"), VALID("younger"))
			  AGED("b", "2026-01-01T00:00:00Z", TO("s"), VALID("older")),
		  "older", "and is older" },
		{ BACKEND_TLS("a", TO("s"), VALID("a"))
			  AGED("b", "2026-01-01T00:00:00Z", TO("s"), VALID("b")),
		  "b", "and is older" },
		{ BACKEND_TLS("a", TO("s"), VALID("whole"))
			  BACKEND_TLS("b", TO_PORT("s", "web"), VALID("port")),
		  "port", NULL },
		{ BACKEND_TLS("a", TO("s"), VALID("whole"))
			  BACKEND_TLS("b", TO_PORT("s", "alt"), VALID("port")),
		  "whole", NULL },
		{ BACKEND_TLS("a", TO_PORT("s", "web"), VALID("first"))
			  BACKEND_TLS("b", TO_PORT("s", "web"), VALID("second")),
		  "first", "Conflicted" },
		/* The loser's authorities do not matter, the winner's do. */
		{ BACKEND_TLS("a", TO("s"), VALID("first")) BACKEND_TLS(
			  "b", TO("s"), "validation: {hostname: b, wellKnownCACertificates: Mine}"),
		  "first", "Conflicted" },
		{ OBJECT("gateway.networking.k8s.io/v1alpha3", "BackendTLSPolicy", "app", "p",
			 "spec: {targetRefs: [" TO("s") "], " VALID("older.version") "}"),
		  "older.version", NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct backend_tls *tls;
		struct config_case c;
		char text[4000];

		snprintf(text, sizeof(text), "%s%s", STAGE, rows[i].policies);
		manifest_load(&c, text);
		tls = tls_of(&c);
		assert_non_null(tls);
		assert_int_equal(tls->invalid_reason.len, 0);
		assert_span_equal(tls->settings.hostname, rows[i].hostname);
		if (rows[i].warning)
			config_case_says(&c, CONFIG_WARNING, "a.yaml:", rows[i].warning);
		config_case_done(&c);
	}
}

TEST(what_cannot_be_carried_out_is_not_spoken_to_at_all)
{
	static const struct {
		const char *policy;
		const char *reason; /* part of it, and of a warning */
	} rows[] = {
		{ "validation: {hostname: a, caCertificateRefs: [{group: '', kind: "
		  "ConfigMap, name: none}]}",
		  "InvalidCACertificateRef: there is no ConfigMap app/none" },
		{ "validation: {hostname: a, caCertificateRefs: [{group: '', kind: "
		  "ConfigMap, name: empty}]}",
		  "InvalidCACertificateRef: ConfigMap app/empty: it has no ca.crt" },
		{ "validation: {hostname: a, caCertificateRefs: [{group: '', kind: "
		  "ConfigMap, name: bad}]}",
		  "InvalidCACertificateRef: ConfigMap app/bad: " },
		{ "validation: {hostname: a, caCertificateRefs: [{group: '', kind: "
		  "Service, name: s}]}",
		  "InvalidKind: objects of kind \"Service\"" },
		{ "validation: {hostname: a, caCertificateRefs: [{kind: ConfigMap, name: "
		  "ca, namespace: far}]}",
		  "ConfigMap far/ca is in another namespace" },
		{ "validation: {hostname: a}", "has no authorities" },
		{ "validation: {hostname: a, wellKnownCACertificates: System, "
		  "caCertificateRefs: [" CA "]}",
		  "has both" },
		{ "validation: {hostname: a, wellKnownCACertificates: Mine}", "no such set of authorities" },
		{ "validation: {caCertificateRefs: [" CA "]}", "hostname is no host name" },
		{ "validation: {hostname: '*.a', caCertificateRefs: [" CA "]}", "hostname is no host name" },
		{ VALID("a") ", pins: [x]", "this gateway does not know \"pins\"" },
		{ "validation: {hostname: a, caCertificateRefs: [" CA "], minVersion: '1.3'}",
		  "this gateway does not know \"minVersion\"" },
		{ "validation: {hostname: a, caCertificateRefs: [" CA "], subjectAltNames: [{type: Address, "
		  "hostname: b}]}",
		  "is not a name" },
		{ "validation: {hostname: a, caCertificateRefs: [" CA "], subjectAltNames: [{type: URI, uri: "
		  "b}]}",
		  "is not a URI" },
		{ "options: {}", "a part of it is missing" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct backend_tls *tls;
		struct config_case c;
		char text[4000];

		snprintf(text, sizeof(text),
			 "%s{apiVersion: gateway.networking.k8s.io/v1, kind: BackendTLSPolicy, "
			 "metadata: {name: "
			 "p, namespace: app}, spec: {targetRefs: [" TO("s") "], %s}}\n---\n",
			 STAGE CONFIG_MAP("empty", "{}") CONFIG_MAP("bad", "{ca.crt: x}"), rows[i].policy);
		manifest_load(&c, text);
		config_case_says(&c, CONFIG_WARNING, "a.yaml:", rows[i].reason);
		config_case_says(&c, CONFIG_WARNING, "a.yaml:", "gets status 500");
		tls = tls_of(&c);
		assert_non_null(tls);
		if (!memmem(tls->invalid_reason.data, tls->invalid_reason.len, rows[i].reason,
			    strlen(rows[i].reason)))
			fail_msg("%s: %.*s", rows[i].policy, SPAN_FMT(tls->invalid_reason));
		config_case_done(&c);
	}
}

TEST(a_port_that_does_not_exist_leaves_no_port_in_clear_text)
{
	struct config_case c;

	manifest_load(&c, STAGE BACKEND_TLS("p", TO_PORT("s", "wbe"), VALID("a")));
	config_case_says(&c, CONFIG_WARNING,
			 "a.yaml:", "TargetNotFound: Service app/s has no port named \"wbe\"");
	assert_non_null(tls_of(&c));
	assert_true(span_starts(tls_of(&c)->invalid_reason, SPAN("TargetNotFound")));
	config_case_done(&c);
	/* The port has one of its own. */
	manifest_load(&c, STAGE BACKEND_TLS("p", TO_PORT("s", "wbe") ", " TO_PORT("s", "web"), VALID("a")));
	assert_non_null(tls_of(&c));
	assert_int_equal(tls_of(&c)->invalid_reason.len, 0);
	config_case_done(&c);
}

TEST(an_app_protocol_of_tls_is_served_where_somebody_says_how)
{
	static const struct {
		const char *port;
		const char *more;
		bool is_refused;
	} rows[] = {
		{ "{port: 80, appProtocol: https}", "", true },
		{ "{port: 80, appProtocol: HTTPS}", "", true },
		{ "{port: 80, appProtocol: kubernetes.io/wss}", "", true },
		{ "{port: 80, appProtocol: https}", BACKEND_TLS("p", TO("s"), VALID("a")), false },
		{ "{port: 80, appProtocol: kubernetes.io/wss}", BACKEND_TLS("p", TO("s"), VALID("a")),
		  false },
		{ "{port: 80, appProtocol: https}",
		  POLICY("p", "Service", "s", "backend: {tls: {caCertificateRefs: [{name: ca}]}}"), false },
		{ "{port: 80, appProtocol: https}",
		  POLICY("p", "Gateway", "g", "backend: {tls: {insecureSkipVerify: All}}"), false },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config_case c;
		char text[4000];

		snprintf(text, sizeof(text), HTTP ROUTE("HTTPRoute", "r", "", "s") SERVICE("s", "%s") "%s",
			 rows[i].port, rows[i].more);
		manifest_load(&c, text);
		assert_non_null(tls_of(&c));
		assert_int_equal(tls_of(&c)->invalid_reason.len > 0, rows[i].is_refused);
		if (rows[i].is_refused)
			config_case_says(&c, CONFIG_WARNING, "a.yaml:",
					 "Service asks for TLS (appProtocol), and no policy configures");
		config_case_done(&c);
	}
}

TEST(what_is_passed_through_is_encrypted_already_and_what_ends_here_is_not)
{
	static const struct {
		const char *listener;
		const char *kind;
		const char *policy;
		int tls; /* 0: plain, 1: TLS, 2: refused */
	} rows[] = {
		{ "TLS, tls: {mode: Passthrough}", "TLSRoute", BACKEND_TLS("p", TO("s"), VALID("a")), 0 },
		{ "TLS, tls: {certificateRefs: [{name: a}]}", "TLSRoute",
		  BACKEND_TLS("p", TO("s"), VALID("a")), 1 },
		{ "TLS, tls: {certificateRefs: [{name: a}]}", "TCPRoute",
		  BACKEND_TLS("p", TO("s"), VALID("a")), 1 },
		{ "TCP", "TCPRoute", BACKEND_TLS("p", TO("s"), VALID("a")), 1 },
		{ "TLS, tls: {mode: Passthrough}", "TLSRoute", "", 0 },
		{ "TLS, tls: {certificateRefs: [{name: a}]}", "TLSRoute", "", 2 },
		{ "TCP", "TCPRoute", "", 0 },
		{ "TLS, tls: {certificateRefs: [{name: a}]}", "TLSRoute",
		  OBJECT("gateway.networking.k8s.io/v9", "BackendTLSPolicy", "app", "p",
			 "spec: {targetRefs: [" TO("s") "]}"),
		  2 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct backend_tls *tls;
		struct config_case c;
		char text[4000];

		snprintf(text, sizeof(text),
			 "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, "
			 "metadata: {name: g, "
			 "namespace: app}, spec: {listeners: [{name: h, port: 443, "
			 "protocol: %s}]}}\n---\n"
			 "{apiVersion: gateway.networking.k8s.io/v1, kind: %s, metadata: "
			 "{name: r, namespace: "
			 "app}, spec: {parentRefs: [{name: g}], rules: [{backendRefs: "
			 "[{name: s, port: 80}]}]}}"
			 "\n---\n" SERVICE("s", "{port: 80, appProtocol: https}") "%s",
			 rows[i].listener, rows[i].kind, rows[i].policy);
		manifest_load(&c, text);
		tls = tls_of(&c);
		if ((tls ? tls->invalid_reason.len ? 2 : 1 : 0) != rows[i].tls)
			fail_msg("row %zu: %s", i, tls ? "TLS, or refused" : "plain");
		config_case_done(&c);
	}
}

/* BackendTLSPolicyGRPCRoute of Gateway API v1.7 */
TEST(a_policy_counts_for_the_calls_of_a_grpc_route)
{
	const struct backend_tls *tls;
	struct config_case c;

	manifest_load(&c, HTTP ROUTE("GRPCRoute", "r", "", "s")
				  SERVICE("s", "{port: 80, appProtocol: kubernetes.io/h2c}")
					  BACKEND_TLS("p", TO("s"), VALID("a.example.com")));
	tls = tls_of(&c);
	assert_non_null(tls);
	assert_int_equal(tls->invalid_reason.len, 0);
	assert_span_equal(tls->settings.hostname, "a.example.com");
	config_case_done(&c);
}

/* --------------------------------------------------------------------------------
 * AgentgatewayPolicy */

TEST(policies_of_agentgateway_say_it_with_their_own_words)
{
	static const char text[] = STAGE POLICY("p", "Service", "s",
						"backend: {tls: {mtlsCertificateRef: [{name: a}], "
						"caCertificateRefs: [{name: ca2}], "
						"insecureSkipVerify: Hostname, sni: B.example.com, "
						"alpnProtocols: [h2], keyExchangeGroups: "
						"[X25519]}}");
	const struct backend_tls *tls;
	struct config_case c;

	manifest_load(&c, text);
	tls = tls_of(&c);
	assert_non_null(tls);
	assert_int_equal(tls->invalid_reason.len, 0);
	assert_span_equal(tls->source.cert, "Secret app/a");
	assert_non_null(tls->settings.identity);
	assert_span_equal(tls->root_source, "ConfigMap app/ca2");
	assert_int_equal(tls->settings.verify, TLS_VERIFY_CHAIN);
	assert_span_equal(tls->settings.hostname, "b.example.com");
	assert_span_equal(tls->settings.params.alpn, "\x02h2");
	config_case_done(&c);
	manifest_load(&c, STAGE POLICY("p", "Service", "s",
				       "backend: {tls: {insecureSkipVerify: All, "
				       "verifySubjectAltNames: [x]}}"));
	assert_int_equal(tls_of(&c)->settings.verify, TLS_VERIFY_NONE);
	config_case_says(&c, CONFIG_WARNING, "", "insecureSkipVerify accepts any name of the backend");
	config_case_done(&c);
	/* The authorities of the Secret, where no others are named. */
	manifest_load(&c, STAGE POLICY("p", "HTTPRoute", "r",
				       "backend: {tls: {mtlsCertificateRef: [{name: x}], "
				       "verifySubjectAltNames: [x.example.com]}}")
				  SECRET("app", "x",
					 "data: {tls.crt: $(a.crt), tls.key: $(a.key), "
					 "ca.crt: $(b.crt)}"));
	assert_span_equal(tls_of(&c)->root_source, "Secret app/x");
	assert_int_equal(tls_of(&c)->settings.name_count, 1);
	config_case_done(&c);
	/* No other is taken in place of the one that was asked for. */
	manifest_load(&c, STAGE POLICY("p", "Gateway", "g",
				       "backend: {tls: {mtlsCertificateRef: [{name: none}], "
				       "caCertificateRefs: [{name: ca}]}}"));
	assert_true(span_starts(tls_of(&c)->invalid_reason,
				SPAN("InvalidClientCertificateRef: there is no Secret app/none")));
	config_case_done(&c);
}

/* --------------------------------------------------------------------------------
 * the Gateway as a client */

TEST(a_gateway_shows_its_certificate_where_nobody_says_another_one)
{
	static const struct {
		const char *tls;
		const char *policy;
		const char *source; /* NULL: none is shown */
		const char *reason;
	} rows[] = {
		{ "tls: {backend: {clientCertificateRef: {name: a}}}", BACKEND_TLS("p", TO("s"), VALID("a")),
		  "Secret app/a", NULL },
		{ "backendTLS: {clientCertificateRef: {name: a}}", BACKEND_TLS("p", TO("s"), VALID("a")),
		  "Secret app/a", NULL },
		{ "tls: {backend: {clientCertificateRef: {name: a}}}",
		  POLICY("p", "Service", "s",
			 "backend: {tls: {mtlsCertificateRef: [{name: b}], "
			 "caCertificateRefs: [{name: ca}]}}"),
		  "Secret app/b", NULL },
		{ "tls: {backend: {clientCertificateRef: {name: none}}}",
		  BACKEND_TLS("p", TO("s"), VALID("a")), "",
		  "InvalidClientCertificateRef: there is no Secret app/none" },
		{ "tls: {backend: {clientCertificateRef: {name: a, namespace: far}}}",
		  BACKEND_TLS("p", TO("s"), VALID("a")), "", "RefNotPermitted: Secret far/a" },
		{ "tls: {backend: {clientCertificateRef: {name: a}}}", "", NULL, NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct backend_tls *tls;
		struct config_case c;
		char text[4000];

		snprintf(text, sizeof(text),
			 "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, "
			 "metadata: {name: g, "
			 "namespace: app}, spec: {%s, listeners: [{name: h, port: 80, "
			 "protocol: HTTP}]}}\n---\n" ROUTE("HTTPRoute", "r", "", "s")
				 SERVICE("s", "{port: 80}") "%s",
			 rows[i].tls, rows[i].policy);
		manifest_load(&c, text);
		tls = tls_of(&c);
		assert_int_equal(tls != NULL, rows[i].source != NULL);
		if (tls)
			assert_span_equal(tls->source.cert, rows[i].source);
		if (tls && rows[i].reason) {
			assert_null(tls->settings.identity);
			config_case_says(&c, CONFIG_WARNING, "a.yaml:", rows[i].reason);
			assert_true(span_starts(tls->invalid_reason, span_str(rows[i].reason)));
		}
		config_case_done(&c);
	}
}
