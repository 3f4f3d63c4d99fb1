/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/config_text.h"

#define ROUTE "binds: [{port: 3000, listeners: [{routes: [{backends: [{host: 'a:1'"
#define MANIFEST                                                                                             \
	"{apiVersion: agentgateway.dev/v1alpha1, kind: AgentgatewayPolicy, metadata: {name: p}, spec: "      \
	"{targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: g}], "

/*
 * Keys that agentgateway or Gateway API have at a place and this gateway has not: an error in a standalone
 * file; in a manifest a warning, and what a missing guard is for answers 500 (test_gatewayapi_policy.c).
 */
static const struct place {
	const char *before, *behind;
	const char *guards[24]; /* to leave them out is to open something */
	const char *others[32];
} places[] = {
	{ ROUTE "}], policies: {",
	  "}}]}]}]\n",
	  { "extProc", "oidc", "mcpGuardrails", "ai" },
	  { "a2a", "backendTunnel" } },
	{ ROUTE ", policies: {",
	  "}}]}]}]}]\n",
	  { "mcpGuardrails", "ai" },
	  { "backendTunnel", "a2a", "inferenceRouting" } },
	{ "config: {",
	  "}\n",
	  { "spiffe" },
	  { "hbone",
	    "namespace",
	    "gateway",
	    "clusterId",
	    "trustDomain",
	    "serviceAccount",
	    "xdsAddress",
	    "xdsAuthToken",
	    "localXdsPath",
	    "caAddress",
	    "caAuthToken",
	    "network",
	    "database",
	    "storage",
	    "modelCatalog",
	    "sensitiveHeaders",
	    "histograms",
	    "standardAttributes",
	    "customFunctions",
	    "additionalTrustDomains",
	    "skipValidateTrustDomain" } },
	{ "config: {logging: {", "}}\n", { NULL }, { "database" } },
	{ "backends: [{name: b, host: 'a:1', ", "}]\n", { "ai" }, { "aws", "internal" } },
	{ "", "\n", { NULL }, { "llm", "ui" } },
	{ MANIFEST "traffic: {",
	  "}}}\n",
	  { "extProc", "concurrencyLimit", "conditional" },
	  { "compression" } },
	{ MANIFEST "backend: {", "}}}\n", { "ai" }, { "tunnel" } },
	{ MANIFEST "backend: {mcp: {", "}}}}\n", { "guardrails" }, { NULL } },
};

static void check_key(const struct place *place, const char *key, bool protects)
{
	bool is_manifest = span_starts(span_str(place->before), SPAN("{apiVersion"));
	char text[512], words[64];
	struct config_case c;
	const char *said;

	assert_true(snprintf(text, sizeof(text), "%s%s: {}%s", place->before, key, place->behind) <
		    (int)sizeof(text));
	snprintf(words, sizeof(words), "\"%s\" is not supported yet", key);
	config_case_text(&c, text);
	said = config_case_lines(&c, is_manifest ? CONFIG_WARNING : CONFIG_ERROR);
	if (c.result != (is_manifest ? 0 : -EINVAL) || c.report.count[CONFIG_ERROR] != !is_manifest ||
	    !strstr(said, words) || !strstr(said, ": without it "))
		fail_msg("%s: %s", text, said);
	if (is_manifest && !strstr(said, "gets status 500") == protects)
		fail_msg("%s: %s", key, said);
	if (strstr(said, "remove it") || !strstr(said, ". Do not just leave it out: ") == protects)
		fail_msg("%s: %s", key, said);
	config_case_done(&c);
}

TEST(what_is_lost_without_a_key_is_said_and_nobody_is_told_to_leave_a_protection_out)
{
	for (size_t p = 0; p < ARRAY_LEN(places); p++) {
		for (size_t i = 0; i < ARRAY_LEN(places[p].guards) && places[p].guards[i]; i++)
			check_key(&places[p], places[p].guards[i], true);
		for (size_t i = 0; i < ARRAY_LEN(places[p].others) && places[p].others[i]; i++)
			check_key(&places[p], places[p].others[i], false);
	}
}
