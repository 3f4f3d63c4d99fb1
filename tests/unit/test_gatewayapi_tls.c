/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/config_text.h"

#include "tests/lib/alloc.h"
#include "tests/unit/gatewayapi_tls.h"

TEST_GROUP(manifest_files_make, tls_files_drop);

/* TLS of Gateways: listeners, their certificates, and who may be their client.
 */

#define LISTENERS(list) GATEWAY("g", "listeners: [" list "]")
#define HTTPS(tls) "{name: h, port: 443, protocol: HTTPS, tls: {" tls "}}"

/* --------------------------------------------------------------------------------
 * listeners */

TEST(listeners_of_tls_share_a_port_and_end_it_or_pass_it_through)
{
	static const char text[] = LISTENERS("{name: h, port: 443, protocol: HTTPS, hostname: "
					     "a.example.com, tls: {certificateRefs: "
					     "[{name: a}, {kind: Secret, group: '', name: b}]}},"
					     "{name: t, port: 443, protocol: TLS, hostname: b.example.com, "
					     "tls: {mode: Terminate, "
					     "certificateRefs: [{name: b}]}},"
					     "{name: p, port: 443, protocol: TLS, hostname: c.example.com, "
					     "tls: {mode: Passthrough}}")
		ROUTE("HTTPRoute", "web", "hostnames: [a.example.com], ", "s")
			ROUTE("GRPCRoute", "calls", "hostnames: [a.example.com], ", "s")
				ROUTE("TLSRoute", "names", "hostnames: [b.example.com, c.example.com], ", "s")
					ROUTE("TCPRoute", "bytes", "", "s")
						SERVICE("s", "{name: web, port: 80}");
	const struct listener *h, *t, *p;
	struct config_case c;

	manifest_load(&c, text);
	assert_int_equal(c.snapshot->bind_count, 1);
	assert_int_equal(c.snapshot->bind_list[0].protocol, BIND_TLS);
	h = manifest_listener(&c, "h");
	t = manifest_listener(&c, "t");
	p = manifest_listener(&c, "p");
	assert_int_equal(h->protocol, PROTOCOL_HTTPS);
	assert_int_equal(h->tls->identity_count, 2);
	assert_int_equal(h->tls->invalid_reason.len, 0);
	assert_span_equal(h->tls->source_list[0].cert, "Secret app/a");
	assert_span_equal(h->tls->settings.params.alpn, "\x02h2\x08http/1.1");
	assert_int_equal(h->tls->settings.client_auth, TLS_CLIENT_NOT_ASKED);
	/* The HTTPRoute comes first by age and name no more than by kind: they claim
	 * one host name. */
	assert_int_equal(h->route_count, 1);
	assert_int_equal(t->tls->identity_count, 1);
	assert_ptr_equal(t->tls->identity_list[0], h->tls->identity_list[1]);
	/* TLSRoute and TCPRoute. */
	assert_int_equal(t->tcp_route_count, 2);
	assert_null(p->tls);
	assert_int_equal(p->tcp_route_count, 1);
	config_case_done(&c);
}

TEST(a_certificate_that_cannot_be_used_leaves_a_listener_that_refuses_handshakes)
{
	static const struct {
		const char *tls;
		const char *more;
		const char *words; /* of the warning, and of the reason */
	} rows[] = {
		{ "certificateRefs: [{name: missing}]", "",
		  "InvalidCertificateRef: there is no Secret app/missing" },
		{ "certificateRefs: [{name: a, namespace: far}]", "",
		  "RefNotPermitted: Secret far/a is in another namespace, and no "
		  "ReferenceGrant" },
		{ "certificateRefs: [{name: a, namespace: far}]",
		  GRANT("far", "Gateway", "far", "Secret", "") SECRET("far", "a", A_DATA),
		  "RefNotPermitted" },
		{ "certificateRefs: [{name: a, namespace: far}]",
		  GRANT("far", "HTTPRoute", "app", "Secret", ""), "RefNotPermitted" },
		{ "certificateRefs: [{name: a, namespace: far}]",
		  GRANT("far", "Gateway", "app", "Secret", ", name: other"), "RefNotPermitted" },
		{ "certificateRefs: [{kind: ConfigMap, name: ca}]", "",
		  "InvalidCertificateRef: objects of kind \"ConfigMap\" in group \"\" "
		  "cannot be used here" },
		{ "certificateRefs: [{group: cert-manager.io, kind: Certificate, name: "
		  "a}]",
		  "", "InvalidCertificateRef: objects of kind \"Certificate\"" },
		{ "certificateRefs: [{name: x}]", SECRET("app", "x", "data: {}"),
		  "InvalidCertificateRef: Secret app/x: it has no tls.crt" },
		{ "certificateRefs: [{name: x}]", SECRET("app", "x", "data: {tls.crt: $(a.crt)}"),
		  "it has no tls.key" },
		{ "certificateRefs: [{name: x}]", SECRET("app", "x", "data: {tls.crt: '?', tls.key: '?'}"),
		  "its tls.crt is not in base64; write it so, or in stringData" },
		{ "certificateRefs: [{name: x}]",
		  SECRET("app", "x", "data: {tls.crt: $(a.crt), tls.key: $(b.key)}"), "Secret app/x: " },
		{ "certificateRefs: [{name: x}]",
		  SECRET("app", "x", "data: {tls.crt: $(a.crt), tls.key: $(locked.key)}"), "Secret app/x: " },
		{ "certificateRefs: [{name: x}]",
		  SECRET("app", "x", "stringData: {tls.crt: hush-hush, tls.key: hush-hush}"),
		  "Secret app/x: " },
		{ "certificateRefs: [{name: x}]", SECRET("app", "x", "data: hush-hush"),
		  "it has no tls.crt" },
		{ "certificateRefs: []", "", "InvalidCertificateRef: there is no certificate" },
		{ "options: {a.example.com/size: '3'}", "", "there is no certificate" },
		{ "certificateRefs: [{name: a}], options: "
		  "{gateway.istio.io/tls-terminate-mode: ISTIO_MUTUAL}",
		  "", "the option \"gateway.istio.io/tls-terminate-mode\"" },
		{ "certificateRefs: [{name: a}], options: "
		  "{agentgateway.dev/tls-certificate-source: DYNAMIC_CA}",
		  "", "the option \"agentgateway.dev/tls-certificate-source\"" },
		{ "certificateRefs: [{name: a}], frontendValidation: {caCertificateRefs: "
		  "[{name: none}]}",
		  "", "InvalidCACertificateRef: there is no ConfigMap app/none" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct listener_tls *tls;
		struct config_case c;
		char text[2000];

		snprintf(text, sizeof(text), "%s%s", rows[i].more,
			 "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, "
			 "metadata: {name: g, "
			 "namespace: app}, spec: {listeners: [{name: h, port: 443, "
			 "protocol: HTTPS, tls: {");
		strcat(strcat(text, rows[i].tls), "}}]}}\n---\n");
		manifest_load(&c, text);
		tls = manifest_listener(&c, "h")->tls;
		config_case_says(&c, CONFIG_WARNING, "a.yaml:", rows[i].words);
		if (tls->identity_count || !memmem(tls->invalid_reason.data, tls->invalid_reason.len,
						   rows[i].words, strlen(rows[i].words)))
			fail_msg("%s: %u certificates, \"%.*s\"", rows[i].tls, tls->identity_count,
				 SPAN_FMT(tls->invalid_reason));
		if (strstr(config_case_lines(&c, CONFIG_WARNING), "hush"))
			fail_msg("tells a secret: %s", config_case_lines(&c, CONFIG_WARNING));
		config_case_done(&c);
	}
}

TEST(secrets_are_granted_by_their_namespace_written_as_text_and_used_as_far_as_they_go)
{
	static const struct {
		const char *text;
		uint32_t count;
		const char *warning; /* NULL: none */
	} rows[] = {
		{ LISTENERS(HTTPS("certificateRefs: [{name: a, namespace: far}]"))
			  GRANT("far", "Gateway", "app", "Secret", "") SECRET("far", "a", A_DATA),
		  1, NULL },
		{ LISTENERS(HTTPS("certificateRefs: [{name: a, namespace: far}]"))
			  GRANT("far", "Gateway", "app", "Secret", ", name: a") SECRET("far", "a", A_DATA),
		  1, NULL },
		{ LISTENERS(HTTPS("certificateRefs: [{name: x}]"))
			  SECRET("app", "x",
				 "stringData: {tls.crt: $[a.crt], tls.key: $[a.key]}, data: "
				 "{tls.crt: x}"),
		  1, NULL },
		{ LISTENERS(HTTPS("certificateRefs: [{name: none}, {name: b}]")), 1,
		  "the listener has no such certificate" },
		{ LISTENERS(HTTPS("certificateRefs: [{name: b}], options: {a.example.com/size: '3'}")), 1,
		  "does not know the option \"a.example.com/size\"; it has no effect" },
		{ LISTENERS(HTTPS("certificateRefs: [{name: x}]")) SECRET("app", "x", A_DATA)
			  SECRET("app", "x", "data: {}"),
		  1, "is not used: this object is already in" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config_case c;

		manifest_load(&c, rows[i].text);
		assert_int_equal(manifest_listener(&c, "h")->tls->identity_count, rows[i].count);
		assert_int_equal(manifest_listener(&c, "h")->tls->invalid_reason.len, 0);
		if (rows[i].warning)
			config_case_says(&c, CONFIG_WARNING, "", rows[i].warning);
		else if (c.report.count[CONFIG_WARNING])
			fail_msg("%s", config_case_lines(&c, CONFIG_WARNING));
		config_case_done(&c);
	}
}

TEST(kinds_of_routes_follow_what_a_listener_does_with_tls)
{
	static const struct {
		const char *listener;
		const char *kind;
		bool is_taken;
	} rows[] = {
		{ "TLS, tls: {mode: Terminate, certificateRefs: [{name: a}]}", "TLSRoute", true },
		{ "TLS, tls: {mode: Terminate, certificateRefs: [{name: a}]}", "TCPRoute", true },
		{ "TLS, tls: {mode: Terminate, certificateRefs: [{name: a}]}", "HTTPRoute", false },
		{ "TLS, tls: {mode: Terminate, certificateRefs: [{name: a}]}, "
		  "allowedRoutes: {kinds: [{kind: "
		  "TLSRoute}]}",
		  "TCPRoute", false },
		{ "TLS, tls: {mode: Passthrough}", "TLSRoute", true },
		{ "TLS, tls: {mode: Passthrough}", "TCPRoute", false },
		{ "HTTPS, tls: {certificateRefs: [{name: a}]}", "HTTPRoute", true },
		{ "HTTPS, tls: {certificateRefs: [{name: a}]}", "GRPCRoute", true },
		{ "HTTPS, tls: {certificateRefs: [{name: a}]}", "TLSRoute", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct listener *listener;
		struct config_case c;
		char text[2000];

		snprintf(text, sizeof(text),
			 "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, "
			 "metadata: {name: g, "
			 "namespace: app}, spec: {listeners: [{name: h, port: 443, "
			 "protocol: %s}]}}\n---\n"
			 "{apiVersion: gateway.networking.k8s.io/v1, kind: %s, metadata: "
			 "{name: r, namespace: "
			 "app}, spec: {parentRefs: [{name: g, sectionName: h, port: 443}], "
			 "rules: "
			 "[{backendRefs: [{name: s, port: 80}]}]}}\n---\n" SERVICE("s", "{port: 80}"),
			 rows[i].listener, rows[i].kind);
		manifest_load(&c, text);
		listener = manifest_listener(&c, "h");
		if ((listener->route_count + listener->tcp_route_count > 0) != rows[i].is_taken)
			fail_msg("%s on %s", rows[i].kind, rows[i].listener);
		config_case_done(&c);
	}
}

/* --------------------------------------------------------------------------------
 * clients */

#define CLIENTS(tls, listeners) GATEWAY("g", "tls: {" tls "}, listeners: [" listeners "]")
#define ON(port) "{name: 'p" port "', port: " port ", protocol: HTTPS, tls: {certificateRefs: [{name: a}]}}"
#define REFS(name) "caCertificateRefs: [{group: '', kind: ConfigMap, name: " name "}]"

TEST(clients_are_verified_by_default_by_port_and_by_listener)
{
	static const char text[] = CLIENTS(
		"frontend: {default: {validation: {" REFS(
			"ca") "}}, perPort: ["
			      "{port: 444, tls: {validation: {mode: "
			      "AllowInsecureFallback, " REFS("ca2") "}}},"
								    "{port: 445, tls: {}}, {port: 446, tls: "
								    "{validation: {" REFS("none") "}}}]}",
		ON("443") "," ON("444") "," ON("445") "," ON(
			"446") ","
			       "{name: own, port: 447, protocol: HTTPS, tls: "
			       "{certificateRefs: [{name: a}], "
			       "frontendValidation: {caCertificateRefs: [{kind: Secret, "
			       "name: own}, {name: ca2}, {name: "
			       "none}]}}}, {name: t, port: 448, protocol: TLS, tls: {mode: "
			       "Terminate, certificateRefs: "
			       "[{name: a}]}}, {name: plain, port: 80, protocol: HTTP}")
		SECRET("app", "own", "data: {ca.crt: $(a.crt)}");
	const struct listener_tls *tls;
	struct config_case c;

	manifest_load(&c, text);
	tls = manifest_listener(&c, "p443")->tls;
	assert_int_equal(tls->settings.client_auth, TLS_CLIENT_REQUIRED);
	assert_span_equal(tls->root_source, "ConfigMap app/ca");
	assert_int_equal(tls->settings.client_trust->certificate_count, 1);
	assert_ptr_equal(manifest_listener(&c, "t")->tls->settings.client_trust, tls->settings.client_trust);
	tls = manifest_listener(&c, "p444")->tls;
	assert_int_equal(tls->settings.client_auth, TLS_CLIENT_UNVERIFIED);
	assert_span_equal(tls->root_source, "ConfigMap app/ca2");
	config_case_says(&c, CONFIG_WARNING, "", "InsecureFrontendValidationMode: clients without");
	assert_int_equal(manifest_listener(&c, "p445")->tls->settings.client_auth, TLS_CLIENT_NOT_ASKED);
	tls = manifest_listener(&c, "p446")->tls;
	assert_int_equal(tls->identity_count, 0);
	assert_span_equal(tls->invalid_reason, "NoValidCACertificate: InvalidCACertificateRef: there is "
					       "no ConfigMap app/none");
	tls = manifest_listener(&c, "own")->tls;
	assert_int_equal(tls->settings.client_trust->certificate_count, 2);
	assert_span_equal(tls->root_source, "Secret app/own, ConfigMap app/ca2");
	config_case_says(&c, CONFIG_WARNING, "",
			 "there is no ConfigMap app/none; the other "
			 "references are used");
	assert_null(manifest_listener(&c, "plain")->tls);
	config_case_done(&c);
}

TEST(authorities_that_cannot_be_used_are_reported_by_their_reason)
{
	static const struct {
		const char *ref;
		const char *more;
		const char *words;
	} rows[] = {
		{ "{kind: ConfigMap, name: none}", "",
		  "InvalidCACertificateRef: there is no ConfigMap app/none" },
		{ "{kind: ConfigMap, name: x}", CONFIG_MAP("x", "{}"), "ConfigMap app/x: it has no ca.crt" },
		{ "{kind: ConfigMap, name: x}", CONFIG_MAP("x", "{ca.crt: hush}"), "ConfigMap app/x: " },
		{ "{kind: Service, name: x}", "", "InvalidCACertificateKind: objects of kind \"Service\"" },
		{ "{kind: ConfigMap, name: x, namespace: far}", "", "RefNotPermitted: ConfigMap far/x" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct listener_tls *tls;
		struct config_case c;
		char text[3000];

		snprintf(text, sizeof(text),
			 "%s{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, "
			 "metadata: {name: g, "
			 "namespace: app}, spec: {tls: {frontend: {default: {validation: "
			 "{caCertificateRefs: "
			 "[%s]}}}}, listeners: [" ON("443") "]}}\n---\n",
			 rows[i].more, rows[i].ref);
		manifest_load(&c, text);
		config_case_says(&c, CONFIG_WARNING, "a.yaml:", rows[i].words);
		tls = manifest_listener(&c, "p443")->tls;
		assert_int_equal(tls->identity_count, 0);
		assert_int_equal(tls->settings.client_auth, TLS_CLIENT_NOT_ASKED);
		assert_true(span_starts(tls->invalid_reason, SPAN("NoValidCACertificate: ")));
		config_case_done(&c);
	}
}

/* --------------------------------------------------------------------------------
 * settings */

TEST(policies_of_a_gateway_set_versions_ciphers_groups_and_protocols)
{
	static const char text[] = LISTENERS(HTTPS("certificateRefs: [{name: a}]"))
		POLICY("p", "Gateway", "g",
		       "frontend: {tls: {handshakeTimeout: 3s, alpnProtocols: "
		       "[http/1.1], minProtocolVersion: "
		       "'1.3', maxProtocolVersion: '1.3', cipherSuites: "
		       "[TLS13_AES_256_GCM_SHA384], "
		       "keyExchangeGroups: [P-256, X25519]}}");
	const struct listener_tls *tls;
	struct config_case c;

	manifest_load(&c, text);
	tls = manifest_listener(&c, "h")->tls;
	assert_int_equal(tls->handshake_timeout_ns, 3000000000u);
	assert_int_equal(tls->settings.params.min_version, TLS_VERSION_1_3);
	assert_span_equal(tls->settings.params.alpn, "\x08http/1.1");
	assert_span_equal(tls->settings.params.suites, "TLS_AES_256_GCM_SHA384");
	assert_int_not_equal(tls->settings.params.groups.len, 0);
	config_case_done(&c);
}

/* -------------------------------------------------------------------------------- memory */

static const char everything[] = GATEWAY(
	"g", "tls: {frontend: {default: {validation: {caCertificateRefs: [{name: ca}, {name: ca2}, {name: "
	     "none}]}}, perPort: [{port: 444, tls: {}}]}, backend: {clientCertificateRef: {name: b}}}, "
	     "listeners: [{name: h, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: a}, {name: "
	     "none}]}}]") ROUTE("HTTPRoute", "r", "",
				"s") SERVICE("s", "{name: web, port: 80}, {port: 81, appProtocol: https}")
	OBJECT(API, "BackendTLSPolicy", "app", "p",
	       "spec: {targetRefs: [{group: '', kind: Service, name: s, sectionName: web}, {group: '', kind: "
	       "Service, name: s, sectionName: x}], validation: {hostname: a, caCertificateRefs: [{group: "
	       "'', "
	       "kind: ConfigMap, name: ca}], subjectAltNames: [{type: Hostname, hostname: b}]}}");

static int load_everything(void *context)
{
	const struct config_source *source = context;
	struct config_report report;
	struct snapshot *snapshot = NULL;
	int result;

	config_report_init(&report);
	result = config_load(source, 1, NULL, &report, &snapshot);
	if (result == 0)
		result = policy_compile(snapshot, &report);
	snapshot_unref(snapshot);
	config_report_done(&report);
	return result;
}

TEST(each_allocation_of_a_load_with_secrets_may_fail)
{
	struct config_source source = { .path = "a.yaml", .has_text = true, .text = { 0 } };
	struct text all;

	text_init(&all);
	manifest_expand(&all, everything);
	manifest_expand(&all, manifest_credentials);
	source.text = text_span(&all);
	assert_true(alloc_fail_each(load_everything, &source) > 10);
	text_done(&all);
}
