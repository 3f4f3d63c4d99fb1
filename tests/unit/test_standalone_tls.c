/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/config_text.h"
#include "tests/unit/dump_compact.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include "config/build.h"
#include "policy/compile/certificate_list.h"
#include "policy/compile/effective.h"
#include "policy/match/certificate.h"
#include "tests/lib/alloc.h"
#include "tests/unit/tls_files.h"

TEST_GROUP(tls_files_make, tls_files_drop);

#define A "cert: a.crt, key: a.key"
#define B "cert: b.crt, key: b.key"
#define HTTPS(tls) "binds: [{port: 443, listeners: [{protocol: HTTPS, routes: [], tls: {" tls "}}]}]\n"
#define ROUTE "routes: [{backends: [{host: 'x:1'}]}]"
#define TCP_ROUTE "tcpRoutes: [{backends: [{host: 'x:1'}]}]"

static void load(struct config_case *c, const char *text)
{
	config_case_text(c, text);
	config_case_accepted(c);
	assert_int_equal(policy_compile(c->snapshot, &c->report), 0);
}

static const struct listener *listener_of(const struct config_case *c, const char *name)
{
	for (uint32_t b = 0; b < c->snapshot->bind_count; b++)
		for (uint32_t l = 0; l < c->snapshot->bind_list[b].listener_count; l++)
			if (span_eq(c->snapshot->bind_list[b].listener_list[l].listener_name, span_str(name)))
				return &c->snapshot->bind_list[b].listener_list[l];
	fail_msg("no listener %s", name);
	return NULL;
}

/* -------------------------------------------------------------------------------- listeners */

static const char sharing[] =
	"frontendPolicies: {tls: {handshakeTimeout: 3s, minVersion: TLS_V1_3, keyExchangeGroups: [P-256]}}\n"
	"binds:\n"
	"- port: 443\n"
	"  listeners:\n"
	"  - {name: h, protocol: HTTPS, hostname: a.example.com, " ROUTE ",\n"
	"     tls: {" A ", certificates: [{" B "}, {cert: rsa.crt, key: rsa.key}], root: b.crt}}\n"
	"  - {name: o, protocol: HTTPS, hostname: o.example.com, " ROUTE ",\n"
	"     tls: {" A ", root: b.crt, clientAuth: optional, forwardClientCertificate: true,\n"
	"           minTLSVersion: TLS_V1_2, keyExchangeGroups: [X25519]}}\n"
	"  - {name: t, protocol: TLS, hostname: b.example.com, " TCP_ROUTE ", tls: {" B "}}\n"
	"  - {name: p, protocol: TLS, hostname: c.example.com, " TCP_ROUTE "}\n";

TEST(https_and_tls_listeners_share_a_port_and_complete_their_settings)
{
	const struct listener *h, *o, *t;
	struct config_case c;

	load(&c, sharing);
	h = listener_of(&c, "h");
	o = listener_of(&c, "o");
	t = listener_of(&c, "t");
	assert_int_equal(c.snapshot->bind_list[0].protocol, BIND_TLS);
	assert_int_equal(h->protocol, PROTOCOL_HTTPS);
	assert_int_equal(h->tls->identity_count, 3);
	assert_int_equal(h->tls->settings.client_auth, TLS_CLIENT_REQUIRED);
	assert_int_equal(h->tls->settings.params.min_version, TLS_VERSION_1_3);
	assert_int_equal(h->tls->handshake_timeout_ns, 3000000000u);
	assert_span_equal(h->tls->settings.params.alpn, "\x02h2\x08http/1.1");
	assert_span_equal(h->tls->settings.scope, "default/default/bind/443/h");
	assert_int_not_equal(h->tls->settings.hash, 0);
	assert_int_equal(o->tls->settings.client_auth, TLS_CLIENT_OPTIONAL);
	assert_int_equal(o->tls->settings.params.min_version, TLS_VERSION_1_2);
	assert_false(span_eq(o->tls->settings.params.groups, h->tls->settings.params.groups));
	assert_true(o->tls->forwards_client_certificate);
	assert_int_equal(t->tls->settings.params.alpn.len, 0);
	assert_int_equal(t->tls->settings.client_auth, TLS_CLIENT_NOT_ASKED);
	assert_null(listener_of(&c, "p")->tls);
	/* Each file was read once. */
	assert_ptr_equal(h->tls->identity_list[0], o->tls->identity_list[0]);
	assert_ptr_equal(h->tls->identity_list[1], t->tls->identity_list[0]);
	assert_ptr_equal(h->tls->settings.client_trust, o->tls->settings.client_trust);
	config_case_done(&c);
}

TEST(the_certificates_of_a_name_are_one_for_each_kind_of_key)
{
	const struct tls_identity *chosen[CERTIFICATE_KEYS];
	const struct listener *h;
	struct config_case c;

	load(&c, sharing);
	h = listener_of(&c, "h");
	assert_int_equal(certificate_choose(h->tls, SPAN("a.example.com"), chosen), 2);
	assert_ptr_equal(chosen[0], h->tls->identity_list[0]);
	assert_ptr_equal(chosen[1], h->tls->identity_list[2]);
	assert_int_equal(certificate_choose(h->tls, SPAN("x.w.example.com"), chosen), 1);
	assert_ptr_equal(chosen[0], h->tls->identity_list[0]);
	assert_int_equal(certificate_choose(h->tls, SPAN("b.example.com"), chosen), 1);
	assert_ptr_equal(chosen[0], h->tls->identity_list[1]);
	config_case_done(&c);
}

TEST(a_list_of_ciphers_and_protocols_is_taken_from_the_listener_else_from_the_front_end)
{
	const struct tls_params *own, *other;
	struct config_case c;

	load(&c, "frontendPolicies:\n"
		 "  tls: {alpn: [[104, 50], acme], cipherSuites: [TLS_AES_256_GCM_SHA384]}\n"
		 "binds: [{port: 443, listeners: [\n"
		 "  {name: own, protocol: HTTPS, " ROUTE ", hostname: a.test,\n"
		 "   tls: {" A ", cipherSuites: [ECDHE-RSA-AES128-GCM-SHA256], maxTlsVersion: TLS_V1_2}},\n"
		 "  {name: other, protocol: HTTPS, " ROUTE ", tls: {" A "}}]}]\n");
	own = &listener_of(&c, "own")->tls->settings.params;
	other = &listener_of(&c, "other")->tls->settings.params;
	assert_int_equal(own->max_version, TLS_VERSION_1_2);
	assert_int_equal(own->suites.len, 0);
	assert_true(own->ciphers.len > 0);
	assert_int_equal(other->ciphers.len, 0);
	assert_span_equal(other->suites, "TLS_AES_256_GCM_SHA384");
	assert_span_equal(other->alpn, "\x02h2\x04"
				       "acme");
	config_case_done(&c);
}

TEST(without_front_end_policies_a_handshake_has_fifteen_seconds)
{
	struct config_case c;

	load(&c, "binds: [{port: 443, listeners: [\n"
		 "  {name: a, protocol: HTTPS, hostname: a.test, " ROUTE ", tls: {" A "}},\n"
		 "  {name: b, protocol: HTTPS, hostname: b.test, " ROUTE ", tls: {" A "}}]}]\n");
	assert_int_equal(listener_of(&c, "a")->tls->handshake_timeout_ns, 15000000000u);
	assert_null(c.snapshot->bind_list[0].tls);
	config_case_done(&c);
}

/* -------------------------------------------------------------------------------- backends */

TEST(tls_to_backends_stands_with_backends_routes_and_attached_policies)
{
	const struct route *route;
	struct config_case c;

	load(&c, "backends:\n"
		 "- {name: named, host: 'n:1', policies: {backendTLS: {root: a.crt, hostname: n.test}}}\n"
		 "policies:\n"
		 "- name: {name: p}\n"
		 "  target: {route: {name: attached}}\n"
		 "  policy: {backendTLS: {root: b.crt, insecureHost: true}}\n"
		 "binds:\n"
		 "- port: 80\n"
		 "  listeners:\n"
		 "  - routes:\n"
		 "    - policies:\n"
		 "        backendTLS: {insecure: true}\n"
		 "        requestMirror: {backend: {backend: named}}\n"
		 "      backends:\n"
		 "      - host: x:1\n"
		 "      - backend: named\n"
		 "      - host: x:2\n"
		 "        policies: {backendTLS: {root: a.crt, " B ", subjectAltNames: [u.test]}}\n"
		 "    - {name: attached, backends: [{host: 'x:1'}]}\n"
		 "- port: 81\n"
		 "  listeners:\n"
		 "  - protocol: TCP\n"
		 "    tcpRoutes:\n"
		 "    - policies: {backendTLS: {root: a.crt, alpn: [acme]}}\n"
		 "      backends:\n"
		 "      - host: x:1\n"
		 "      - {host: 'x:2', policies: {backendTLS: {insecure: true}}}\n");
	route = &c.snapshot->bind_list[0].listener_list[0].route_list[0];
	if (!span_eq(route->name, SPAN("route0")))
		route++;
	assert_int_equal(route->backend_list[0].tls->settings.verify, TLS_VERIFY_NONE);
	assert_null(route->backend_list[0].tls->settings.trust);
	assert_span_equal(route->backend_list[1].tls->settings.hostname, "n.test");
	assert_non_null(route->backend_list[2].tls->settings.identity);
	assert_span_equal(route->backend_list[2].tls->settings.name_list[0], "u.test");
	assert_int_not_equal(route->backend_list[2].tls->settings.hash, 0);
	assert_span_equal(route->effective.mirror_list[0]->ref->tls->settings.hostname, "n.test");
	route = &c.snapshot->bind_list[0].listener_list[0].route_list[0];
	if (span_eq(route->name, SPAN("route0")))
		route++;
	assert_int_equal(route->backend_list[0].tls->settings.verify, TLS_VERIFY_CHAIN);

	const struct tcp_route *tcp = &c.snapshot->bind_list[1].listener_list[0].tcp_route_list[0];

	assert_span_equal(tcp->backend_list[0].tls->settings.params.alpn, "\x04"
									  "acme");
	assert_int_equal(tcp->backend_list[1].tls->settings.verify, TLS_VERIFY_NONE);
	config_case_done(&c);
}

TEST(the_host_of_a_backend_behind_tls_is_written_as_in_a_url_of_https)
{
	static const char *const hosts[][2] = {
		{ "n.test:443", "n.test" }, { "n.test:80", "n.test:80" }, { "n.test:8443", "n.test:8443" },
		{ "'[::1]:443'", "[::1]" }, { "'[::1]:80'", "[::1]:80" },
	};
	struct config_case c;
	char text[200];

	for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
		snprintf(text, sizeof(text),
			 "binds: [{port: 80, listeners: [{routes: [{backends: [{host: %s,\n"
			 "policies: {backendTLS: {insecure: true}}}]}]}]}]\n",
			 hosts[i][0]);
		load(&c, text);
		assert_span_equal(
			c.snapshot->bind_list[0].listener_list[0].route_list[0].backend_list[0].authority,
			hosts[i][1]);
		config_case_done(&c);
	}
}

TEST(an_mcp_target_of_https_or_with_a_policy_is_spoken_to_in_tls)
{
	static const struct mcp_servers none;
	const struct mcp_servers *servers = &none;
	struct config_case c;

	load(&c, "backends:\n"
		 "- {name: n, host: 'n.test:443', policies: {backendTLS: {root: a.crt}}}\n"
		 "mcp:\n"
		 "  targets:\n"
		 "  - {name: a, mcp: {host: 'https://a.test/mcp'}}\n"
		 "  - {name: b, mcp: {host: 'http://a.test/mcp'}}\n"
		 "  - {name: c, mcp: {backend: n}}\n");
	for (uint32_t i = 0; i < c.snapshot->backend_count; i++)
		if (c.snapshot->backend_list[i].mcp)
			servers = c.snapshot->backend_list[i].mcp;
	assert_int_equal(servers->server_count, 3);
	assert_true(servers->server_list[0].tls->settings.trust->is_system);
	assert_int_equal(servers->server_list[0].backend->endpoint_list[0].port, 443);
	assert_span_equal(servers->server_list[0].authority, "a.test");
	assert_null(servers->server_list[1].tls);
	assert_false(servers->server_list[2].tls->settings.trust->is_system);
	assert_span_equal(servers->server_list[2].authority, "n.test");
	/* The one authority that is not the system's. */
	assert_int_equal(c.snapshot->certificate_count, 1);
	config_case_done(&c);
}

/* -------------------------------------------------------------------------------- what is refused */

#define TLS_AT(column) "a.yaml:1:" #column ": binds[0].listeners[0].tls"

TEST(what_cannot_be_carried_out_is_an_error_at_its_key)
{
	static const struct config_refusal rows[] = {
		{ HTTPS(""), TLS_AT(68) ": ", "has no certificate" },
		{ HTTPS("key: a.key"), TLS_AT(68) ": ", "has key without cert; write both" },
		{ HTTPS("cert: none.crt, key: a.key"), TLS_AT(75) ".cert: ", "No such file or directory" },
		{ HTTPS("cert: a.crt, key: none.key"), TLS_AT(87) ".key: ", "No such file or directory" },
		{ HTTPS("cert: ., key: a.key"), TLS_AT(75) ".cert: ", "is no regular file" },
		{ HTTPS("cert: a.crt, key: b.key"), TLS_AT(75) ".cert: ", "a.crt" },
		{ HTTPS("cert: a.key, key: a.key"), TLS_AT(75) ".cert: ", "a.key" },
		{ HTTPS("cert: a.crt, key: locked.key"), TLS_AT(75) ".cert: ", "encrypted" },
		{ HTTPS(A ", certificates: [{" A "}, {cert: b.crt, key: a.key}]"),
		  TLS_AT(143) ".certificates[1].cert: ", "b.crt" },
		{ HTTPS(A ", certificates: [{cert: b.crt}]"),
		  TLS_AT(109) ".certificates[0]: ", "\"key\" is missing" },
		{ HTTPS(A ", root: a.key"), TLS_AT(100) ".root: ", "a.key" },
		{ HTTPS(A ", clientAuth: optional"), TLS_AT(94) ".clientAuth: ", "write root, too" },
		{ HTTPS(A ", forwardClientCertificate: true"),
		  TLS_AT(94) ".forwardClientCertificate: ", "write root, too" },
		{ HTTPS(A ", root: a.crt, clientAuth: never"),
		  TLS_AT(119) ".clientAuth: ", "one of optional, unverified, required" },
		{ HTTPS(A ", cipherSuites: [TLS_AES_128_GCM_SHA256, RC4]"),
		  TLS_AT(133) ".cipherSuites[1]: ", "RC4" },
		{ HTTPS(A ", keyExchangeGroups: [P-1]"), TLS_AT(114) ".keyExchangeGroups[0]: ", "P-1" },
		{ HTTPS(A ", minTLSVersion: TLS_V1_1"), TLS_AT(109) ".minTLSVersion: ", "RFC 8996" },
		{ HTTPS(A ", minTLSVersion: TLS_V1_3, maxTLSVersion: TLS_V1_2"), TLS_AT(68) ": ",
		  "least version of TLS is above" },
		{ HTTPS(A ", mode: dynamicCa"), TLS_AT(100) ".mode: ", "not supported yet" },
		{ HTTPS(A ", spiffe: {}"), TLS_AT(94) ".spiffe: ", "not supported yet" },
		{ HTTPS(A ", alpn: [h2]"), TLS_AT(94) ".alpn: ", "unknown" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		config_refused(&rows[i]);
}

TEST(listeners_of_one_port_agree_and_have_names_of_their_own)
{
	static const struct config_refusal rows[] = {
		{ "binds: [{port: 443, listeners: [{protocol: HTTPS, " ROUTE ", tls: {" A "}},\n"
		  "{protocol: TLS, " TCP_ROUTE "}]}]\n",
		  "a.yaml:2:1: binds[0].listeners[1]: ", "another listener for all host names" },
		{ "binds: [{port: 443, listeners: [{protocol: HTTPS, " ROUTE ", tls: {" A "}},\n"
		  "{hostname: a.test, " ROUTE "}]}]\n",
		  "a.yaml:2:1: binds[0].listeners[1]: ", "listeners of protocol HTTPS and HTTP" },
		{ "binds: [{port: 443, listeners: [{protocol: HTTPS, " TCP_ROUTE ", tls: {" A "}}]}]\n",
		  "a.yaml:1:33: binds[0].listeners[0]: ",
		  "protocol HTTPS requires 'routes'; tcpRoutes need protocol: TLS" },
		{ "binds: [{port: 443, listeners: [{protocol: TLS, " ROUTE ", tls: {" A "}}]}]\n",
		  "a.yaml:1:33: binds[0].listeners[0]: ",
		  "protocol TLS requires 'tcpRoutes'; routes need protocol: HTTPS" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		config_refused(&rows[i]);
}

#define BACKEND_TLS(tls) "backends: [{name: n, host: 'n:1', policies: {backendTLS: {" tls "}}}]\n"
#define BACKEND_AT(column) "a.yaml:1:" #column ": backends[0].policies.backendTLS"

TEST(tls_to_a_backend_that_cannot_be_carried_out_is_an_error)
{
	static const struct config_refusal rows[] = {
		{ BACKEND_TLS("root: none"), BACKEND_AT(65) ".root: ", "No such file or directory" },
		{ BACKEND_TLS("root: a.key"), BACKEND_AT(65) ".root: ", "a.key" },
		{ BACKEND_TLS("root: a.crt, cert: a.crt"), BACKEND_AT(58) ": ", "has cert without key" },
		{ BACKEND_TLS("root: a.crt, cert: a.crt, key: b.key"), BACKEND_AT(78) ".cert: ", "a.crt" },
		{ BACKEND_TLS("root: a.crt, hostname: '*.a'"), BACKEND_AT(82) ".hostname: ", "wildcard" },
		{ BACKEND_TLS("root: a.crt, keyExchangeGroups: [P-1]"),
		  BACKEND_AT(92) ".keyExchangeGroups[0]: ", "P-1" },
		{ BACKEND_TLS("root: a.crt, alpn: ['']"), BACKEND_AT(79) ".alpn[0]: ", "empty" },
		{ BACKEND_TLS("spiffe: {}"), BACKEND_AT(59) ".spiffe: ", "not supported yet" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		config_refused(&rows[i]);
}

TEST(a_key_that_others_own_is_refused_with_who_should_own_it)
{
	struct config_case c;

	int status = 0;
	pid_t child;

	/* Root may read everything; the gateway gives that up, too (user/gateway/privilege.h). */
	assert_int_equal(chmod(".", 0755), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		if (geteuid() == 0 && setresuid(65534, 65534, 65534) < 0)
			_exit(1);
		config_case_text(&c, HTTPS(B));
		_exit(strstr(config_case_lines(&c, CONFIG_ERROR),
			     "b.key\" may not be read by the user that the gateway runs as (uid 65534)")
			      ? 0
			      : 2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

TEST(every_file_that_is_named_is_noted_once_also_those_that_are_wrong)
{
	static const char *const names[] = { "a.crt", "a.key", "none.crt" };
	struct config_case c;

	config_case_text(&c, HTTPS(A ", certificates: [{cert: none.crt, key: a.key}], root: a.crt"));
	assert_int_equal(c.result, -EINVAL);
	assert_int_equal(c.report.named_count, ARRAY_LEN(names));
	for (uint32_t i = 0; i < c.report.named_count; i++) {
		assert_span_equal(c.report.named_list[i].path, names[i]);
		assert_int_equal(c.report.named_list[i].signature == 0, i == 2);
	}
	config_case_done(&c);
}

/* -------------------------------------------------------------------------------- the list */

static void count_lines(void *context, const char *sentence)
{
	struct text *out = context;

	text_str(out, sentence);
	text_char(out, '\n');
}

static void expect_warnings(const struct config_case *c, int64_t now_s, const char *words, unsigned lines)
{
	unsigned count = 0;
	struct text out;

	text_init(&out);
	certificate_warn(c->snapshot, now_s, count_lines, &out);
	for (size_t i = 0; i < out.len; i++)
		count += out.data[i] == '\n';
	if (count != lines || (words && !strstr(out.data, words)))
		fail_msg("%u lines, expected %u with \"%s\":\n%s", count, lines, words,
			 out.len ? out.data : "");
	text_done(&out);
}

TEST(certificates_in_use_are_listed_once_for_a_use_and_warned_about_in_time)
{
	const struct certificate_entry *list;
	const int64_t day_s = 24 * 3600;
	struct config_case c;
	int64_t end_s;

	load(&c, sharing);
	list = c.snapshot->certificate_list;
	/* a, b and rsa of listeners, b as authority. */
	assert_int_equal(c.snapshot->certificate_count, 4);
	for (uint32_t i = 1; i < 4; i++)
		assert_true(list[i - 1].certificate->not_after_s <= list[i].certificate->not_after_s);
	for (uint32_t i = 0; i < 4; i++)
		if (span_eq(list[i].certificate->subject, SPAN("CN=b")))
			assert_int_equal(list[i].place_count, 2);
	end_s = list[0].certificate->not_after_s;
	expect_warnings(&c, end_s - 40 * day_s, "is not valid yet", 4);
	expect_warnings(&c, end_s - 10 * day_s, " and 1 more expires in 1", 4);
	expect_warnings(&c, end_s - 10 * day_s, "replace it soon", 4);
	expect_warnings(&c, end_s - 6 * day_s, "replace it now", 4);
	expect_warnings(&c, end_s + day_s, "has expired", 4);
	config_case_done(&c);
}

TEST(thirty_and_seven_days_are_whole_days)
{
	const int64_t day_s = 24 * 3600, end_s = 1000 * day_s;
	const struct tls_certificate certificate = { .subject = SPAN("CN=a"), .not_after_s = end_s };
	struct certificate_entry entry = { .certificate = &certificate };
	struct config_case c = { 0 };

	c.snapshot = snapshot_create();
	assert_non_null(c.snapshot);
	c.snapshot->certificate_list = &entry;
	c.snapshot->certificate_count = 1;
	expect_warnings(&c, end_s - 30 * day_s, NULL, 0);
	expect_warnings(&c, end_s - 30 * day_s + 1, "expires in 29 days; replace it soon", 1);
	expect_warnings(&c, end_s - 7 * day_s, "expires in 7 days; replace it soon", 1);
	expect_warnings(&c, end_s - 7 * day_s + 1, "expires in 6 days; replace it now", 1);
	expect_warnings(&c, end_s, "expires in 0 days; replace it now", 1);
	expect_warnings(&c, end_s + 1, "has expired", 1);
	snapshot_unref(c.snapshot);
}

/* -------------------------------------------------------------------------------- the dump */

static const char dumped[] =
	"frontendPolicies:\n"
	"  tls: {alpn: [h2], minVersion: TLS_V1_2, cipherSuites: [TLS_AES_128_GCM_SHA256]}\n"
	"backends:\n"
	"- {name: n, host: 'n:1',\n"
	"   policies: {backendTLS: {root: a.crt, hostname: n.test, alpn: [h2]}}}\n"
	"- {name: s, host: 'n:2', policies: {backendTLS: {insecureHost: true, " B "}}}\n"
	"binds: [{port: 443, listeners: [{protocol: TLS, " TCP_ROUTE ", tls: {" A ",\n"
	"root: b.crt, clientAuth: unverified, maxTLSVersion: TLS_V1_3, keyExchangeGroups: [X25519]}}]}]\n";

/* Parts of the dump without blanks, each of which is in it. */
static const char *const dump_parts[] = {
	"\"tLS\":{\"handshakeTimeout\":\"15s\",\"alpn\":[[104,50]],\"minVersion\":\"TLS_V1_2\","
	"\"cipherSuites\":[\"TLS_AES_128_GCM_SHA256\"]}",
	"\"backendTLS\":{\"root\":\"a.crt\",\"hostname\":\"n.test\",\"alpn\":[\"h2\"]}",
	"\"backendTLS\":{\"cert\":\"b.crt\",\"key\":\"b.key\",\"insecureHost\":true,\"systemRoots\":true,"
	"\"certificate\":{\"subject\":\"CN=b\"",
	"\"protocol\":{\"TLS\":{\"cert\":\"a.crt\",\"key\":\"a.key\",\"root\":\"b.crt\","
	"\"clientAuth\":\"unverified\",\"maxTLSVersion\":\"TLS_V1_3\","
	"\"keyExchangeGroups\":[\"X25519\"],"
	"\"certificates\":[{\"cert\":\"a.crt\",\"key\":\"a.key\",\"subject\":\"CN=a\",\"issuer\":\"CN=a\","
	"\"names\":[\"a.example.com\",\"*.w.example.com\"]",
};

TEST(the_dump_shows_what_was_written_and_what_everybody_may_see_of_certificates)
{
	struct config_case c;
	struct text out;
	char *shown;

	load(&c, dumped);
	text_init(&out);
	assert_int_equal(config_dump(c.snapshot, &(struct config_dump_facts){ 0 }, &out), 0);
	shown = compact(text_span(&out));
	for (size_t i = 0; i < ARRAY_LEN(dump_parts); i++)
		if (!strstr(shown, dump_parts[i]))
			fail_msg("no %s in:\n%s", dump_parts[i], shown);
	assert_null(strstr(shown, "PRIVATE"));
	free(shown);
	text_done(&out);
	config_case_done(&c);
}

/* -------------------------------------------------------------------------------- memory */

/* The snapshot in force; NULL: none. */
static const struct snapshot *in_force;

static int load_once(void *context)
{
	const struct config_source source = { .path = "a.yaml", .has_text = true, .text = span_str(context) };
	struct snapshot *snapshot = NULL;
	struct config_report report;
	int result;

	config_report_init(&report);
	result = config_load(&source, 1, in_force, &report, &snapshot);
	if (result == 0)
		result = policy_compile(snapshot, &report);
	snapshot_unref(snapshot);
	config_report_done(&report);
	return result;
}

TEST(each_allocation_of_a_load_may_fail)
{
	assert_true(alloc_fail_each(load_once, (void *)sharing) > 20);
	assert_true(alloc_fail_each(load_once, (void *)BACKEND_TLS("root: a.crt, " B)) > 20);
}

/* A reload of the text, and whether each of the listener's identities is that of before. */
static void expect_shared(const struct config_case *before, const char *shared)
{
	const struct config_source source = { .path = "a.yaml", .has_text = true, .text = span_str(sharing) };
	const struct listener *old = listener_of(before, "h"), *new;
	struct config_case after = { 0 };

	config_report_init(&after.report);
	assert_int_equal(config_load(&source, 1, before->snapshot, &after.report, &after.snapshot), 0);
	new = listener_of(&after, "h");
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(new->tls->identity_list[i] == old->tls->identity_list[i], shared[i] == '1');
	/* All are noted again, wherever they come from. */
	assert_int_equal(after.report.named_count, before->report.named_count);
	snapshot_unref(after.snapshot);
	config_report_done(&after.report);
}

TEST(a_reload_shares_what_has_not_changed_and_reads_what_has)
{
	struct config_case c;

	load(&c, sharing);
	expect_shared(&c, "111");
	/* The same bytes with the same times; but not the same file. */
	tls_run("cp -p b.crt b.new && mv b.new b.crt");
	expect_shared(&c, "101");
	assert_int_equal(chmod("a.key", 0640), 0);
	expect_shared(&c, "001");
	config_case_done(&c);
}

TEST(what_is_shared_outlives_the_snapshot_it_came_from_and_each_allocation_may_fail)
{
	const struct config_source source = { .path = "a.yaml", .has_text = true, .text = span_str(sharing) };
	struct snapshot *second = NULL;
	struct config_report report;
	struct config_case first;

	load(&first, sharing);
	in_force = first.snapshot;
	assert_true(alloc_fail_each(load_once, (void *)sharing) > 20);
	in_force = NULL;
	config_report_init(&report);
	assert_int_equal(config_load(&source, 1, first.snapshot, &report, &second), 0);
	config_case_done(&first);
	assert_int_equal(policy_compile(second, &report), 0);
	assert_int_equal(second->certificate_count, 4);
	assert_true(second->certificate_list[0].certificate->subject.len > 0);
	snapshot_unref(second);
	config_report_done(&report);
}
