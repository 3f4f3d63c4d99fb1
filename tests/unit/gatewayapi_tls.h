/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/compile/effective.h"
#include "tests/unit/config_text.h"
#include "tests/unit/tls_files.h"

/*
 * Manifests with certificates: in a text, $(FILE) is a file of
 * tests/unit/tls_files.h in base64, $[FILE] the same as a quoted text. Secrets
 * a and b of namespace app, and ConfigMaps ca and ca2, are added to every one.
 */
#define OBJECT(version, kind, namespace, name, rest)                                                         \
	"{apiVersion: " version ", kind: " kind ", metadata: {name: " name                                   \
	", namespace: " namespace "}, " rest "}\n---\n"
#define API "gateway.networking.k8s.io/v1"
#define GATEWAY(name, spec) OBJECT(API, "Gateway", "app", name, "spec: {" spec "}")
#define SECRET(namespace, name, rest)                                                                        \
	OBJECT("v1", "Secret", namespace, name, "type: kubernetes.io/tls, " rest)
#define CONFIG_MAP(name, data) OBJECT("v1", "ConfigMap", "app", name, "data: " data)
#define SERVICE(name, ports) OBJECT("v1", "Service", "app", name, "spec: {ports: [" ports "]}")
#define ROUTE(kind, name, more, service)                                                                     \
	OBJECT(API, kind, "app", name,                                                                       \
	       "spec: {" more "parentRefs: [{name: g}], rules: [{backendRefs: [{name: " service              \
	       ", port: 80}]}]}")
#define POLICY(name, kind, target, rest)                                                                     \
	OBJECT("agentgateway.dev/v1alpha1", "AgentgatewayPolicy", "app", name,                               \
	       "spec: {targetRefs: [{kind: " kind ", name: " target "}], " rest "}")
#define GRANT(namespace, kind, from, to, more)                                                               \
	OBJECT(API, "ReferenceGrant", namespace, "grant",                                                    \
	       "spec: {from: [{group: gateway.networking.k8s.io, kind: " kind ", namespace: " from           \
	       "}], to: [{group: '', kind: " to more "}]}")
#define A_DATA "data: {tls.crt: $(a.crt), tls.key: $(a.key)}"

static const char manifest_credentials[] =
	SECRET("app", "a", A_DATA) SECRET("app", "b", "data: {tls.crt: $(b.crt), tls.key: $(b.key)}")
		CONFIG_MAP("ca", "{ca.crt: $[a.crt]}") CONFIG_MAP("ca2", "{ca.crt: $[b.crt]}");

static inline int manifest_files_make(void **state)
{
	if (tls_files_make(state) < 0)
		return -1;
	tls_run("for f in *.crt *.key; do base64 -w0 $f > $f.base64; "
		"awk 'BEGIN{printf \"\\\"\"} {printf \"%s\\\\n\", $0} END{printf "
		"\"\\\"\"}' $f > $f.text; done");
	return 0;
}

static inline void manifest_add_file(struct text *out, struct span name, const char *form)
{
	char path[100], bytes[8192];
	size_t len;
	FILE *file;

	snprintf(path, sizeof(path), "%.*s.%s", SPAN_FMT(name), form);
	file = fopen(path, "r");
	if (!file)
		fail_msg("no file %s", path);
	len = fread(bytes, 1, sizeof(bytes), file);
	fclose(file);
	text_add(out, span_of(bytes, len));
}

static inline void manifest_expand(struct text *out, const char *text)
{
	for (; *text; text++) {
		bool is_file = text[0] == '$' && (text[1] == '(' || text[1] == '[');
		size_t len;

		if (!is_file) {
			text_char(out, *text);
			continue;
		}
		len = strcspn(text + 2, ")]");
		manifest_add_file(out, span_of(text + 2, len), text[1] == '(' ? "base64" : "text");
		text += 2 + len;
	}
}

/* Loaded and compiled. */
static inline void manifest_load(struct config_case *c, const char *text)
{
	struct config_source source = { .path = "a.yaml", .has_text = true, .text = { 0 } };
	struct text all;

	text_init(&all);
	manifest_expand(&all, text);
	manifest_expand(&all, manifest_credentials);
	source.text = text_span(&all);
	config_case_sources(c, &source, 1);
	text_done(&all);
	config_case_accepted(c);
	assert_int_equal(policy_compile(c->snapshot, &c->report), 0);
	for (unsigned i = 0; i < CONFIG_SEVERITY_COUNT; i++) {
		text_clear(&c->messages[i]);
		config_report_print(&c->report, (enum config_severity)i, "", &c->messages[i]);
	}
}

static inline const struct listener *manifest_listener(const struct config_case *c, const char *name)
{
	static const struct listener none;

	for (uint32_t b = 0; b < c->snapshot->bind_count; b++)
		for (uint32_t l = 0; l < c->snapshot->bind_list[b].listener_count; l++)
			if (span_eq(c->snapshot->bind_list[b].listener_list[l].listener_name, span_str(name)))
				return &c->snapshot->bind_list[b].listener_list[l];
	fail_msg("no listener %s", name);
	return &none;
}
