/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/config_text.h"

#include "policy/compile/effective.h"

/* Objects of other programs, and misspelt ones: what asks for security is not passed over. */

#define STAGE                                                                                                \
	"{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: g, namespace: app}, "    \
	"spec: {listeners: [{name: h, port: 80, protocol: HTTP}, {name: i, port: 81, protocol: HTTP}]}}\n"   \
	"---\n"                                                                                              \
	"{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: r, namespace: app, "   \
	"labels: {tier: x}}, spec: {parentRefs: [{name: g}], rules: ["                                       \
	"{name: one, backendRefs: [{name: s, port: 80, weight: 3}]},"                                        \
	"{name: two, matches: [{path: {value: /b}}], backendRefs: [{name: s, port: 81}]},"                   \
	"{name: away, matches: [{path: {value: /c}}], filters: [{type: RequestRedirect, requestRedirect: "   \
	"{scheme: https}}]}]}}\n"                                                                            \
	"---\n"                                                                                              \
	"{apiVersion: v1, kind: Service, metadata: {name: s, namespace: app}, spec: {ports: [{name: web, "   \
	"port: 80}, {name: other, port: 81}]}}\n"                                                            \
	"---\n"                                                                                              \
	"{apiVersion: agentgateway.dev/v1alpha1, kind: AgentgatewayPolicy, metadata: {name: p, namespace: "  \
	"app}, spec: {targetRefs: [{kind: HTTPRoute, name: r}], traffic: {directResponse: {status: 200}}}}\n"

#define UNKNOWN_KIND(version, kind, spec)                                                                    \
	"{apiVersion: " version ", kind: " kind ", metadata: {name: x, namespace: app}, spec: {" spec "}}\n"
#define ON_ROUTE "targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r}]"

/* "h:one h:two …": the rules that are refused as a whole; "h:one!": only their backend is. */
static void refused_text(const struct config_case *c, struct text *out)
{
	for (uint32_t b = 0; b < c->snapshot->bind_count; b++) {
		const struct listener *listener = &c->snapshot->bind_list[b].listener_list[0];

		for (uint32_t i = 0; i < listener->route_count; i++) {
			const struct route *route = &listener->route_list[i];
			bool is_invalid = route->backend_count && route->backend_list[0].is_invalid;

			if (route->is_refused) {
				assert_true(is_invalid);
				assert_null(route->effective.direct);
				assert_null(route->effective.redirect);
				assert_true(route->weight_sum > 0);
			}
			if (route->is_refused || is_invalid)
				text_fmt(out, "%.*s:%.*s%s ", SPAN_FMT(listener->listener_name),
					 SPAN_FMT(route->rule_name), route->is_refused ? "" : "!");
		}
	}
}

TEST(what_asks_for_security_is_not_served_without_it)
{
	static const char all[] = "h:one h:two h:away i:one i:two i:away ";
	static const struct {
		const char *text;
		const char *refused;
		const char *words; /* of the warning */
	} rows[] = {
		{ UNKNOWN_KIND("gateway.networking.k8s.io/v1alpha2", "BackendTLSPolicy",
			       "targetRef: {group: '', kind: Service, name: s}, tls: {hostname: a}"),
		  "h:one! h:two! i:one! i:two! ", "does not know that version of \"BackendTLSPolicy\"" },
		{ UNKNOWN_KIND("gateway.networking.k8s.io/v2", "BackendTLSPolicy",
			       "targetRefs: [{group: '', kind: Service, name: s, sectionName: other}]"),
		  "h:two! i:two! ", "write it as gateway.networking.k8s.io/v1" },
		{ UNKNOWN_KIND("agentgateway.dev/v1beta1", "AgentgatewayPolicy", ON_ROUTE ", traffic: {}"),
		  all, "write it as agentgateway.dev/v1alpha1" },
		{ UNKNOWN_KIND("gateway.networking.k8s.io/v1", "BackendTLSPolicy",
			       ON_ROUTE ", validation: {hostname: a, wellKnownCACertificates: System}"),
		  all, "InvalidKind: a BackendTLSPolicy is for Services" },
		{ UNKNOWN_KIND("gateway.networking.k8s.io/v2", "ReferenceGrant", "from: [], to: []"), "",
		  "does not know version \"v2\" of ReferenceGrant and reads it as v1" },
		{ UNKNOWN_KIND("gateway.envoyproxy.io/v1alpha1", "SecurityPolicy", ON_ROUTE ", cors: {}"),
		  all,
		  "is a policy that this gateway does not know, and asks for security; what it names gets "
		  "status 500" },
		{ UNKNOWN_KIND("gateway.envoyproxy.io/v1alpha1", "SecurityPolicy",
			       "targetRef: {kind: HTTPRoute, name: r, sectionName: away}"),
		  "h:away i:away ", "gets status 500" },
		{ UNKNOWN_KIND("security.istio.io/v1", "AuthorizationPolicy",
			       "targetRefs: [{kind: Gateway, name: g, sectionName: i}], action: DENY"),
		  "i:one i:two i:away ", "gets status 500" },
		{ UNKNOWN_KIND("gateway.envoyproxy.io/v1alpha1", "ClientTrafficPolicy",
			       "targetRefs: [{kind: Gateway, name: g}], tls: {minVersion: '1.3'}"),
		  all, "asks for security" },
		{ UNKNOWN_KIND("gateway.kgateway.dev/v1alpha1", "TrafficPolicy",
			       "targetSelectors: [{kind: HTTPRoute, matchLabels: {tier: x}}], extAuth: {}"),
		  all, "asks for security" },
		{ UNKNOWN_KIND("gateway.kgateway.dev/v1alpha1", "TrafficPolicy",
			       "targetSelectors: [{kind: HTTPRoute, matchLabels: {tier: y}}], extAuth: {}"),
		  "", "asks for security" },
		{ UNKNOWN_KIND("agentgateway.dev/v1alpha1", "AgentGatewayPolicy", ON_ROUTE ", traffic: {}"),
		  all, "did you mean AgentgatewayPolicy of agentgateway.dev?" },
		{ UNKNOWN_KIND("agentgatway.dev/v1alpha1", "AgentgatewayPolicy", ON_ROUTE ", traffic: {}"),
		  all, "did you mean AgentgatewayPolicy of agentgateway.dev?" },
		{ UNKNOWN_KIND("agentgateway.dev/v1alpha1", "Nonsense", ON_ROUTE), all, "does not know" },
		{ UNKNOWN_KIND("agentgateway.dev/v1alpha1", "Nonsense", "a: b"), "",
		  "is not supported by this gateway and has no effect" },
		{ UNKNOWN_KIND("gateway.networking.k8s.io/v1", "HttpRoute", "parentRefs: [{name: g}]"), "",
		  "did you mean HTTPRoute of gateway.networking.k8s.io?" },
		{ UNKNOWN_KIND("v1", "Sevice", "ports: []"), "", "did you mean Service of v1?" },
		{ UNKNOWN_KIND("gateway.envoyproxy.io/v1alpha1", "BackendTrafficPolicy",
			       ON_ROUTE ", timeout: {http: {requestTimeout: 1s}}, url: {authority: a}"),
		  "", "has no effect" },
		{ UNKNOWN_KIND("security.istio.io/v1", "PeerAuthentication", "mtls: {mode: STRICT}"), "",
		  "has no effect" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *texts[] = { STAGE, rows[i].text };
		struct config_case c;
		struct text refused;

		config_case_texts(&c, texts, 2);
		config_case_accepted(&c);
		config_case_says(&c, CONFIG_WARNING, "b.yaml:1:", rows[i].words);
		assert_int_equal(policy_compile(c.snapshot, &c.report), 0);
		text_init(&refused);
		refused_text(&c, &refused);
		if (!span_eq(text_span(&refused), span_str(rows[i].refused)))
			fail_msg("%s: refused are %.*s", rows[i].text, SPAN_FMT(text_span(&refused)));
		text_done(&refused);
		config_case_done(&c);
	}
}

/* What a directory of manifests holds besides must not cry for attention. */
TEST(what_has_nothing_to_do_with_a_gateway_is_an_information)
{
	static const char *const rows[] = {
		UNKNOWN_KIND("apps/v1", "Deployment", "template: {spec: {securityContext: {}}}"),
		UNKNOWN_KIND("v1", "ServiceAccount", ""),
		UNKNOWN_KIND("v1", "Node", ""),
		UNKNOWN_KIND("networking.istio.io/v1", "Gateway", "servers: [{tls: {mode: SIMPLE}}]"),
		UNKNOWN_KIND("networking.k8s.io/v1", "NetworkPolicy", "podSelector: {}"),
		UNKNOWN_KIND("rbac.authorization.k8s.io/v1", "ClusterRole", ""),
		UNKNOWN_KIND("autoscaling/v2", "HorizontalPodAutoscaler",
			     "scaleTargetRef: {kind: Deployment}"),
		UNKNOWN_KIND("serving.knative.dev/v1", "Service", ""),
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *texts[] = { STAGE, rows[i] };
		struct config_case c;

		config_case_texts(&c, texts, 2);
		config_case_accepted(&c);
		if (c.report.count[CONFIG_WARNING])
			fail_msg("%s: %s", rows[i], config_case_lines(&c, CONFIG_WARNING));
		config_case_says(&c, CONFIG_INFO, "b.yaml:1:1: ", "skipped: objects of kind");
		config_case_done(&c);
	}
}

TEST(a_version_that_does_not_exist_is_refused)
{
	static const char *const versions[] = { "nonsense", "1", "v", "v1gamma1", "v1alpha", "v1beta1x", "" };

	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		char text[500];
		const struct config_refusal refusal = {
			text, "a.yaml:1:14: ", "is not a version; write apiVersion: agentgateway.dev/v1alpha1"
		};

		snprintf(text, sizeof(text),
			 "{apiVersion: agentgateway.dev/%s, kind: AgentgatewayPolicy, metadata: {name: p}, "
			 "spec: {targetRefs: [{kind: Gateway, name: g}], traffic: {timeouts: {request: "
			 "1s}}}}\n",
			 versions[i]);
		config_refused(&refusal);
	}
}

TEST_GROUP(NULL, NULL);
