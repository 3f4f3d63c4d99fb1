/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "admin/dump/status.h"
#include "config/gatewayapi/condition.h"
#include "config/snapshot.h"
#include "policy/compile/effective.h"
#include "tests/unit/gatewayapi_status.h"
#include "tests/unit/json_tree.h"
#include "user/base/limits.h"

/*
 * Conditions by the text of Gateway API v1 and by what its conformance tests ask for. A broken part of an
 * object gets its condition, and everything else is served.
 */

#define BACKEND_TLS(name, second, ref)                                                                       \
	"{" API "kind: BackendTLSPolicy, metadata: {name: " name                                             \
	", creationTimestamp: '2026-01-01T00:00:" second "Z'}, spec: {targetRefs: [{group: '', kind: "       \
	"Service, name: s}], validation: {hostname: x.example, caCertificateRefs: [{" ref "}]}}}\n---\n"

/* -------------------------------------------------------------------------------- conditions as lines */

static void add_conditions(struct text *out, const char *what, const struct conditions *conditions)
{
	for (unsigned i = 0; i < CONDITION_TYPE_COUNT; i++) {
		const struct status_condition *one = &conditions->of[i];

		if (one->is_set)
			text_fmt(out, "%s %s=%s/%s: %.*s\n", what, condition_name((enum condition_type)i),
				 one->is_true ? "True" : "False", one->reason, SPAN_FMT(one->message));
	}
}

static void add_object(struct text *out, const struct status_object *object)
{
	char what[200];

	snprintf(what, sizeof(what), "%s %.*s", object->kind, SPAN_FMT(object->name));
	add_conditions(out, what, &object->conditions);
	for (const struct status_listener *l = object->listener_list; l; l = l->next) {
		snprintf(what, sizeof(what), "listener %.*s", SPAN_FMT(l->name));
		add_conditions(out, what, &l->conditions);
		text_fmt(out, "%s routes=%u kinds=", what, l->attached_routes);
		for (uint32_t i = 0; i < l->kind_count; i++)
			text_fmt(out, "%s%s", i ? "," : "", l->kind_list[i]);
		text_char(out, '\n');
	}
	for (const struct status_parent *parent = object->parent_list; parent; parent = parent->next) {
		snprintf(what, sizeof(what), "%s %.*s at %.*s%s%.*s", object->kind, SPAN_FMT(object->name),
			 SPAN_FMT(parent->name), parent->section.len ? "/" : "", SPAN_FMT(parent->section));
		add_conditions(out, what, &parent->conditions);
	}
}

struct row {
	const char *text;
	const char *lines; /* each is the beginning of a line */
	uint32_t binds;
};

static void check(const struct row *row)
{
	struct span rest = span_str(row->lines), wanted;
	struct config_case c;
	struct text found;

	config_case_text(&c, row->text);
	assert_int_equal(c.result, 0);
	assert_int_equal(policy_compile(c.snapshot, &c.report), 0);
	text_init(&found);
	text_char(&found, '\n');
	for (const struct status_object *object = c.snapshot->status_list; object; object = object->next)
		add_object(&found, object);
	while (span_split(&rest, '\n', &wanted)) {
		char line[300];
		int len = snprintf(line, sizeof(line), "\n%.*s", SPAN_FMT(wanted));

		if (!memmem(found.data, found.len, line, (size_t)len))
			fail_msg("no line \"%.*s\" for\n%s\nbut%s%s", SPAN_FMT(wanted), row->text, found.data,
				 config_case_lines(&c, CONFIG_ERROR));
	}
	if (c.snapshot->bind_count != row->binds)
		fail_msg("%u ports instead of %u for\n%s", c.snapshot->bind_count, row->binds, row->text);
	text_done(&found);
	config_case_done(&c);
}

static void check_all(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		check(&rows[i]);
}

/* -------------------------------------------------------------------------------- Gateways */

TEST(gateways_and_listeners_have_their_conditions)
{
	static const struct row rows[] = {
		{ G,
		  "Gateway g Accepted=True/Accepted\nGateway g Programmed=True/Programmed\n"
		  "Gateway g ResolvedRefs=True/ResolvedRefs\nlistener a Accepted=True/Accepted\n"
		  "listener a Programmed=True/Programmed\nlistener a ResolvedRefs=True/ResolvedRefs\n"
		  "listener a Conflicted=False/NoConflicts\nlistener a routes=0 kinds=HTTPRoute,GRPCRoute",
		  1 },
		/* GatewayListenerUnsupportedProtocol */
		{ GATEWAY("{name: b, port: 81, protocol: INVALID}"),
		  "Gateway g Accepted=False/ListenersNotValid\nGateway g Programmed=False/Invalid\n"
		  "listener b Accepted=False/UnsupportedProtocol\nlistener b Programmed=False/Invalid\n"
		  "listener b routes=0 kinds=\n",
		  0 },
		{ GATEWAY(HTTP("a", "80") ", {name: b, port: 81, protocol: UDP}"),
		  "Gateway g Accepted=True/ListenersNotValid: these listeners are not valid: b "
		  "(UnsupportedProtocol)\nGateway g Programmed=True/Programmed\nlistener a Accepted=True\n"
		  "listener b Accepted=False/UnsupportedProtocol",
		  1 },
		{ GATEWAY(HTTP("a", "80") ", {name: b, port: 0, protocol: HTTP}"),
		  "listener b Accepted=False/UnsupportedValue: spec.listeners[1].port: \n"
		  "listener b Programmed=False/Invalid",
		  1 },
		{ GATEWAY("{name: a, port: 80, protocol: HTTP, tls: {}}"),
		  "listener a Accepted=False/UnsupportedValue: spec.listeners[0].tls: protocol HTTP cannot",
		  0 },
		/* GatewayInvalidRouteKind */
		{ GATEWAY("{name: a, port: 80, protocol: HTTP, allowedRoutes: {kinds: [{kind: Wrong}]}}"),
		  "listener a ResolvedRefs=False/InvalidRouteKinds\nlistener a Accepted=True\n"
		  "listener a routes=0 kinds=\nGateway g ResolvedRefs=False/ListenersNotResolved",
		  1 },
		{ GATEWAY("{name: a, port: 80, protocol: HTTP, allowedRoutes: {kinds: [{kind: HTTPRoute}, "
			  "{kind: Wrong}]}}"),
		  "listener a ResolvedRefs=False/InvalidRouteKinds\nlistener a routes=0 kinds=HTTPRoute\n",
		  1 },
		/* GatewayInvalidTLSConfiguration, GatewaySecretMissingReferenceGrant */
		{ GATEWAY("{name: a, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: none}]}}"),
		  "listener a ResolvedRefs=False/InvalidCertificateRef\nlistener a Accepted=True/Accepted\n"
		  "listener a Programmed=False/Invalid\nGateway g Accepted=True/Accepted\n"
		  "Gateway g ResolvedRefs=False/ListenersNotResolved\nGateway g Programmed=False/Invalid",
		  1 },
		{ GATEWAY("{name: a, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: none, "
			  "namespace: other}]}}"),
		  "listener a ResolvedRefs=False/RefNotPermitted\nlistener a Programmed=False/Invalid", 1 },
		{ GATEWAY("{name: a, port: 443, protocol: HTTPS, tls: {certificateRefs: [{kind: Pod, name: "
			  "none}]}}"),
		  "listener a ResolvedRefs=False/InvalidCertificateRef", 1 },
		{ GATEWAY("{name: a, port: 443, protocol: HTTPS}"),
		  "listener a ResolvedRefs=False/InvalidCertificateRef", 1 },
		/* ListenerSetReferenceGrant */
		{ OBJECT("Gateway", "g",
			 "listeners: [" HTTP("a", "80") "], allowedListeners: {namespaces: {from: All}}")
			  OBJECT("ListenerSet", "set",
				 "parentRef: {name: g}, listeners: [{name: b, port: 443, protocol: HTTPS, "
				 "tls: {certificateRefs: [{name: none, namespace: other}]}}]"),
		  "ListenerSet set Accepted=False/ListenersNotValid: no listener is served: b (Invalid)\n"
		  "ListenerSet set Programmed=False/ListenersNotValid\n"
		  "listener b ResolvedRefs=False/RefNotPermitted\nlistener b Accepted=True/Accepted",
		  2 },
		/* GatewayInvalidFrontendClientCertificateValidation */
		{ OBJECT("Gateway", "g",
			 "tls: {frontend: {default: {validation: {caCertificateRefs: [{group: '', kind: "
			 "ConfigMap, name: none}]}}}}, listeners: [{name: a, port: 443, protocol: HTTPS}, "
			 "{name: b, port: 80, protocol: HTTP}]"),
		  "listener a ResolvedRefs=False/InvalidCACertificateRef\n"
		  "listener a Accepted=False/NoValidCACertificate\nlistener a Programmed=False/Invalid\n"
		  "listener b Programmed=True\nGateway g Accepted=True/ListenersNotValid",
		  2 },
		{ OBJECT("Gateway", "g",
			 "tls: {frontend: {default: {validation: {caCertificateRefs: [{group: '', kind: Pod, "
			 "name: none}]}}}}, listeners: [{name: a, port: 443, protocol: HTTPS}]"),
		  "listener a ResolvedRefs=False/InvalidCACertificateKind\n"
		  "listener a Accepted=False/NoValidCACertificate",
		  1 },
		{ OBJECT("Gateway", "g",
			 "tls: {frontend: {default: {validation: {mode: AllowInsecureFallback, "
			 "caCertificateRefs: [{group: '', kind: ConfigMap, name: c, namespace: n}]}}}}, "
			 "listeners: [{name: a, port: 443, protocol: HTTPS}]"),
		  "listener a ResolvedRefs=False/RefNotPermitted\n"
		  "Gateway g InsecureFrontendValidationMode=True/ConfigurationChanged",
		  1 },
		/* GatewayInvalidTLSBackendConfiguration */
		{ OBJECT("Gateway", "g",
			 "tls: {backend: {clientCertificateRef: {name: none}}}, listeners: [" HTTP("a",
												   "80") "]"),
		  "Gateway g ResolvedRefs=False/InvalidClientCertificateRef\n"
		  "Gateway g Accepted=True/Accepted\n"
		  "Gateway g Programmed=True",
		  1 },
		{ OBJECT("Gateway", "g",
			 "tls: {backend: {clientCertificateRef: {name: none, namespace: n}}}, "
			 "listeners: [{name: a, port: 80, protocol: HTTP}]"),
		  "Gateway g ResolvedRefs=False/RefNotPermitted", 1 },
		/* An error outside of the listeners may be about what protects them. */
		{ OBJECT("Gateway", "g", "tls: {frontend: {perPort: 1}}, listeners: [" HTTP("a", "80") "]"),
		  "Gateway g Accepted=False/Invalid: spec.tls.frontend.perPort: expected a list\n"
		  "Gateway g Programmed=False/Invalid\nlistener a Programmed=False/Invalid",
		  0 },
		{ "{" API "kind: Gateway, " META("g") "}\n---\n" OBJECT("Gateway", "h",
									"listeners: [" HTTP("a", "80") "]"),
		  "Gateway g Accepted=False/Invalid: \"spec\" is missing\nGateway h Accepted=True", 1 },
		{ "{" API "kind: GatewayClass, " META("headgate") "spec: {controllerName: "
								  "headgate.dev/gateway}}\n",
		  "GatewayClass headgate Accepted=True/Accepted", 0 },
	};

	check_all(rows, ARRAY_LEN(rows));
}

#define LISTENER(name, port, protocol, more) "{name: " name ", port: " port ", protocol: " protocol more "}"
#define HOST ", hostname: x.example"
#define CONFLICT(name, reason)                                                                               \
	"listener " name " Conflicted=True/" reason "\nlistener " name " Accepted=False/" reason             \
	"\nlistener " name " Programmed=False/" reason "\n"

#define C_SERVED                                                                                             \
	"listener c Programmed=True\nGateway g Accepted=True/ListenersNotValid: these listeners are not "    \
	"valid: a (HostnameConflict), b (HostnameConflict)"
#define NONE_SERVED "Gateway g Accepted=False/ListenersNotValid\nGateway g Programmed=False/Invalid"

TEST(listeners_that_are_not_distinct_are_conflicted)
{
	static const struct row rows[] = {
		/* None of one Gateway wins; the others of the port are served. */
		{ GATEWAY(LISTENER("a", "80", "HTTP", HOST) ", " LISTENER(
			  "b", "80", "HTTP", HOST) ", " LISTENER("c", "80", "HTTP", "")),
		  CONFLICT("a", "HostnameConflict") CONFLICT("b", "HostnameConflict") C_SERVED, 1 },
		{ GATEWAY(LISTENER("a", "80", "HTTP", "") ", " LISTENER("b", "80", "TCP", "")),
		  CONFLICT("a", "ProtocolConflict") CONFLICT("b", "ProtocolConflict") NONE_SERVED, 0 },
		{ GATEWAY(LISTENER("a", "80", "TCP", "") ", " LISTENER("b", "80", "TCP", "")),
		  CONFLICT("a", "ProtocolConflict") CONFLICT("b", "ProtocolConflict"), 0 },
		/* Of two Gateways the older one wins, in any order of the files. */
		{ AT("Gateway", "new", "09",
		     "listeners: [" LISTENER("n", "80", "HTTP", HOST) ", " LISTENER(
			     "m", "80", "HTTP", ", hostname: y.example") "]")
			  AT("Gateway", "old", "01", "listeners: [" LISTENER("o", "80", "HTTP", HOST) "]"),
		  CONFLICT("n", "HostnameConflict") "listener o Accepted=True/Accepted\n"
						    "listener o Programmed=True\nlistener m Programmed=True",
		  1 },
		{ AT("Gateway", "new", "09", "listeners: [" LISTENER("n", "80", "TCP", "") "]")
			  AT("Gateway", "old", "01", "listeners: [" LISTENER("o", "80", "HTTP", "") "]"),
		  CONFLICT("n", "ProtocolConflict") "listener o Programmed=True", 1 },
		/* Of the same age: by name. */
		{ OBJECT("Gateway", "b", "listeners: [" LISTENER("lb", "80", "HTTP", "") "]")
			  OBJECT("Gateway", "a", "listeners: [" LISTENER("la", "80", "HTTP", "") "]"),
		  CONFLICT("lb", "HostnameConflict") "listener la Programmed=True", 1 },
		/* A listener that is not served takes nothing away. */
		{ AT("Gateway", "old", "01",
		     "listeners: [{name: o, port: 80, protocol: HTTP, hostname: '-'}]")
			  AT("Gateway", "new", "09", "listeners: [" LISTENER("n", "80", "TCP", "") "]"),
		  "listener o Accepted=False/UnsupportedValue\nlistener n Programmed=True", 1 },
	};

	check_all(rows, ARRAY_LEN(rows));
}

/* -------------------------------------------------------------------------------- routes */

#define PARENT "HTTPRoute r at g"

TEST(routes_have_conditions_for_each_parent)
{
	static const struct row rows[] = {
		{ G SERVICE ROUTE(TO_G RULES),
		  PARENT " Accepted=True/Accepted\n" PARENT " ResolvedRefs=True/ResolvedRefs\n"
			 "listener a routes=1",
		  1 },
		/* HTTPRouteInvalidParentRefNotMatchingSectionName, …ListenerPort */
		{ G SERVICE ROUTE("parentRefs: [{name: g, sectionName: z}, {name: g}], " RULES),
		  PARENT "/z Accepted=False/NoMatchingParent\n" PARENT " Accepted=True/Accepted\n"
			 "listener a routes=1",
		  1 },
		{ G SERVICE ROUTE("parentRefs: [{name: g, port: 8}], " RULES),
		  PARENT " Accepted=False/NoMatchingParent\nlistener a routes=0", 1 },
		{ G SERVICE ROUTE("parentRefs: [{name: none}], " RULES),
		  "HTTPRoute r at none Accepted=False/NoMatchingParent", 1 },
		/* HTTPRouteDisallowedKind, HTTPRouteInvalidCrossNamespaceParentRef */
		{ GATEWAY(LISTENER("a", "80", "TCP", "")) SERVICE ROUTE(TO_G RULES),
		  PARENT " Accepted=False/NotAllowedByListeners\nlistener a routes=0", 1 },
		{ G SERVICE "{" API "kind: HTTPRoute, metadata: {name: r, namespace: n}, spec: {parentRefs: "
			    "[{name: g, namespace: default}], rules: [{}]}}\n",
		  PARENT " Accepted=False/NotAllowedByListeners", 1 },
		/* GatewayWithAttachedRoutes */
		{ GATEWAY(LISTENER("a", "80", "HTTP", HOST))
			  SERVICE ROUTE(TO_G "hostnames: [y.example], " RULES),
		  PARENT " Accepted=False/NoMatchingListenerHostname\nlistener a routes=0", 1 },
		{ GATEWAY("{name: a, port: 443, protocol: HTTPS}") ROUTE(TO_G RULES),
		  "listener a routes=1\nlistener a Programmed=False\n" PARENT " ResolvedRefs=False", 1 },
		/* HTTPRouteInvalidNonExistentBackendRef, …UnknownKind, …CrossNamespaceBackendRef */
		{ G ROUTE(TO_G RULES),
		  PARENT " ResolvedRefs=False/BackendNotFound\n" PARENT " Accepted=True/Accepted", 1 },
		{ G SERVICE ROUTE(TO_G "rules: [{backendRefs: [{name: s, port: 81}]}]"),
		  PARENT " ResolvedRefs=False/BackendNotFound", 1 },
		{ G ROUTE(TO_G "rules: [{backendRefs: [{group: x.y, kind: Odd, name: s, port: 80}]}]"),
		  PARENT " ResolvedRefs=False/InvalidKind", 1 },
		{ G ROUTE(TO_G "rules: [{backendRefs: [{name: s, namespace: n, port: 80}]}]"),
		  PARENT " ResolvedRefs=False/RefNotPermitted", 1 },
		/* A kind of filter that is unknown, alone and beside a valid rule. */
		{ G SERVICE ROUTE(TO_G "rules: [{filters: [{type: Odd}], " BACKEND "}]"),
		  PARENT " Accepted=False/UnsupportedValue: spec.rules[0].filters[0].type: \nlistener a "
			 "routes=0",
		  1 },
		{ G SERVICE ROUTE(TO_G "rules: [{" BACKEND "}, {filters: [{type: Odd}], matches: [{path: "
				       "{value: /x}}], " BACKEND "}]"),
		  PARENT " Accepted=True/Accepted\n" PARENT
			 " PartiallyInvalid=True/UnsupportedValue: Dropped Rule(s) 1: "
			 "spec.rules[1].filters[0].type: \nlistener a routes=1",
		  1 },
		{ G SERVICE ROUTE(TO_G "rules: [{filters: [{type: RequestRedirect, requestRedirect: {port: "
				       "1}}, {type: URLRewrite, urlRewrite: {hostname: a.b}}]}]"),
		  PARENT " Accepted=False/IncompatibleFilters", 1 },
		{ G SERVICE ROUTE(TO_G "hostnames: ['-'], " RULES),
		  PARENT " Accepted=False/UnsupportedValue: spec.hostnames[0]: \nlistener a routes=0", 1 },
	};

	check_all(rows, ARRAY_LEN(rows));
}

/* -------------------------------------------------------------------------------- policies */

#define AGENTGATEWAY "AgentgatewayPolicy p at g"

TEST(policies_have_conditions_for_each_ancestor)
{
	static const struct row rows[] = {
		{ ROUTED POLICY("kind: HTTPRoute, name: r", "traffic: {timeouts: {request: 1s}}"),
		  AGENTGATEWAY " Accepted=True/Accepted\n" AGENTGATEWAY " Attached=True/Attached", 1 },
		{ ROUTED POLICY("kind: Service, name: s, group: ''", "backend: {http: {requestTimeout: 1s}}"),
		  AGENTGATEWAY " Accepted=True/Accepted", 1 },
		{ ROUTED POLICY("kind: HTTPRoute, name: none", "traffic: {timeouts: {request: 1s}}"),
		  "AgentgatewayPolicy p at none Accepted=False/TargetNotFound\n"
		  "AgentgatewayPolicy p at none Attached=False/TargetNotFound",
		  1 },
		{ ROUTED POLICY("kind: HTTPRoute, name: r", "traffic: {timeouts: {request: 1}}"),
		  AGENTGATEWAY " Accepted=False/Invalid: spec.traffic.timeouts.request: ", 1 },
		{ ROUTED POLICY("kind: Gateway, name: g",
				"frontend: {accessLog: {attributes: {remove: [lane]}, "
				"otlp: {backendRef: {name: none, port: 1}}}}"),
		  AGENTGATEWAY " Accepted=False/Invalid: backendRef: nothing reaches this collector", 1 },
		/* BackendTLSPolicyInvalidCACertificateRef, …InvalidKind, …ConflictResolution */
		{ ROUTED BACKEND_TLS("b", "01", "group: '', kind: ConfigMap, name: none"),
		  "BackendTLSPolicy b at g Accepted=False/NoValidCACertificate\n"
		  "BackendTLSPolicy b at g ResolvedRefs=False/InvalidCACertificateRef",
		  1 },
		{ ROUTED BACKEND_TLS("b", "01", "group: '', kind: Pod, name: none"),
		  "BackendTLSPolicy b at g Accepted=False/NoValidCACertificate\n"
		  "BackendTLSPolicy b at g ResolvedRefs=False/InvalidKind",
		  1 },
		{ ROUTED BACKEND_TLS("b", "09", "group: '', kind: Pod, name: none")
			  BACKEND_TLS("a", "01", "group: '', kind: Pod, name: none"),
		  "BackendTLSPolicy b at g Accepted=False/Conflicted\n"
		  "BackendTLSPolicy a at g Accepted=False/NoValidCACertificate",
		  1 },
		{ ROUTED "{" API "kind: BackendTLSPolicy, " META(
			  "b") "spec: {targetRefs: [{group: '', kind: "
			       "Service, name: s}], validation: {hostname: x.example, "
			       "wellKnownCACertificates: "
			       "System, newer: 1}}}\n",
		  "BackendTLSPolicy b at g Accepted=False/Invalid", 1 },
		{ ROUTED "{" API "kind: BackendTLSPolicy, " META(
			  "b") "spec: {targetRefs: [{group: agentgateway.dev, kind: AgentgatewayBackend, "
			       "name: none}], validation: {hostname: x.example, wellKnownCACertificates: "
			       "System}}}\n",
		  "BackendTLSPolicy b at none Accepted=False/TargetNotFound", 1 },
	};

	check_all(rows, ARRAY_LEN(rows));
}

/* -------------------------------------------------------------------------------- what is served */

#define GRANT(to)                                                                                            \
	"{" API "kind: ReferenceGrant, metadata: {name: x, namespace: n}, spec: {from: [{group: "            \
	"gateway.networking.k8s.io, kind: HTTPRoute, namespace: default}], to: [{group: '', kind: Service, " \
	"name: " to "}]}}\n---\n"
#define FAR_SERVICE                                                                                          \
	"{apiVersion: v1, kind: Service, metadata: {name: s, namespace: n}, spec: "                          \
	"{ports: [{port: 80}]}}\n---\n"
#define FAR ROUTE(TO_G "rules: [{backendRefs: [{name: s, namespace: n, port: 80}]}]")

TEST(what_is_wrong_answers_500_and_the_rest_is_served)
{
	static const struct {
		const char *text, *routes;
	} rows[] = {
		{ G SERVICE ROUTE(TO_G "rules: [" RULE("/a", WRONG) ", " RULE("/b", "") "]"),
		  "/a 500\n/b ok\n" },
		/* Which requests the wrong match is for is unknown: another rule must not take them. */
		{ G SERVICE ROUTE(TO_G "rules: [" RULE("x", "") ", " RULE("/b", "") "]"), "/b 500\n" },
		{ G SERVICE ROUTE(
			  TO_G "rules: [{matches: [{path: {type: RegularExpression, value: '/('}}], " BACKEND
			       "}, " RULE("/b", "") "]"),
		  "/b 500\n" },
		{ G SERVICE ROUTE(TO_G "rules: [{matches: [{headers: [{name: ':odd', value: a}]}], " BACKEND
				       "}, " RULE("/b", "") "]"),
		  "/b 500\n" },
		{ G SERVICE ROUTE(TO_G "odd: 1, " RULES), "/ 500\n" },
		{ G SERVICE ROUTE(TO_G "hostnames: ['-', a.example], " RULES), "/ 500\n" },
		/* Without its names the route would have all of the listener. */
		{ G SERVICE ROUTE(TO_G "hostnames: ['-'], " RULES), "" },
		{ G SERVICE ROUTE("parentRefs: [{name: g, odd: 1}], " RULES), "" },
		{ G SERVICE OBJECT("HTTPRoute", "other", TO_G "rules: 1") ROUTE(TO_G RULES), "/ ok\n" },
		{ G "{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {ports: [{port: 80}, {port: "
		    "no}]}}\n---\n" ROUTE(TO_G RULES),
		  "/ 500\n" },
		/* A grant with an error allows nothing, or it would allow every name. */
		{ G FAR_SERVICE GRANT("s") FAR, "/ ok\n" },
		{ G FAR_SERVICE GRANT("[s]") FAR, "/ 500\n" },
		/* Policies: what may protect, and what does not. */
		{ ROUTED POLICY("kind: HTTPRoute, name: r", "traffic: {rateLimits: {}}"), "/ 500\n" },
		{ ROUTED POLICY("kind: Gateway, name: g", "traffic: {rateLimits: {}}"), "/ 500\n" },
		{ ROUTED POLICY("kind: Service, name: s, group: ''", "backend: {tlss: {}}"), "/ 500\n" },
		{ ROUTED POLICY("kind: HTTPRoute, name: r", "traffic: {headerModifiers: {request: 1}}"),
		  "/ 500\n" },
		{ ROUTED POLICY("kind: HTTPRoute, name: r", "traffic: {timeouts: {request: 1}}"), "/ ok\n" },
		{ ROUTED POLICY("kind: HTTPRoute, name: r, sectionName: [1]", "traffic: {timeouts: {}}"),
		  "/ 500\n" },
		{ ROUTED POLICY("kind: HTTPRoute, name: r",
				"targetSelectors: [], traffic: {timeouts: {request: 1s}}"),
		  "/ 500\n" },
		{ ROUTED POLICY("kind: HTTPRoute, name: r", "strategy: {inheritance: Override}"), "/ 500\n" },
		{ ROUTED
		  "{apiVersion: agentgateway.dev/v1alpha1, kind: AgentgatewayPolicy, metadata: {}, spec: "
		  "{targetRefs: [{kind: HTTPRoute, name: r}], traffic: {timeouts: {request: 1s}}}}\n",
		  "/ 500\n" },
		/* A kind or group that is misspelt must not cost the guard; TCPRoutes have no policies. */
		{ ROUTED POLICY("kind: HTTPRuote, name: r", "traffic: {csrf: {}}"), "/ 500\n" },
		{ ROUTED POLICY("kind: HTTPRoute, name: r, group: ''", "traffic: {csrf: {}}"), "/ 500\n" },
		{ ROUTED "{apiVersion: agentgateway.dev/v1alpha1, kind: AgentgatewayPolicy, " META(
			  "p") "spec: {targetSelectors: [{kind: HTTPRuote, matchLabels: {}}], traffic: "
			       "{csrf: {}}}}\n",
		  "/ 500\n" },
		{ ROUTED POLICY("kind: TCPRoute, name: r", "traffic: {csrf: {}}"), "/ ok\n" },
		/* Two policies of one name: the second is left out. */
		{ ROUTED POLICY("kind: HTTPRoute, name: none", "traffic: {timeouts: {request: 1s}}")
			  POLICY("kind: HTTPRoute, name: r", "traffic: {csrf: {}}"),
		  "/ 500\n" },
		{ ROUTED
		  "{apiVersion: agentgateway.dev/v1alpha1, spec: {targetRefs: [{kind: HTTPRoute, name: "
		  "r}], jwt: {}}}\n",
		  "/ 500\n" },
		{ ROUTED "{" API "kind: BackendTLSPolicy, " META(
			  "b") "odd: 1, spec: {targetRefs: [{group: '', kind: "
			       "Service, name: s}], validation: {hostname: x.example, "
			       "wellKnownCACertificates: "
			       "System}}}\n",
		  "/ 500\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		serves(rows[i].text, rows[i].routes);
}

/* If the rules of a group are too many, none is served: those left would get the requests of the others. */
TEST(a_delegation_over_the_limit_is_refused_as_a_whole)
{
	enum { CHILD_RULES = 300, PARENT_RULES = LIMIT_DELEGATED_ROUTES / CHILD_RULES + 1 };
	uint32_t refused = 0, served = 0;
	const struct listener *listener;
	struct config_case c;
	struct text text;

	text_init(&text);
	text_str(&text, G SERVICE);
	for (unsigned k = 0; k < 2; k++) {
		text_fmt(&text, "{" API "kind: HTTPRoute, metadata: {name: %s}, spec: {%srules: [",
			 k ? "child" : "r", k ? "" : TO_G);
		for (unsigned i = 0; i < (k ? CHILD_RULES : PARENT_RULES); i++)
			text_fmt(&text, "{matches: [{path: {value: /%u}}], backendRefs: [{%s}]}, ", i,
				 k ? "name: s, port: 80"
				   : "group: gateway.networking.k8s.io, kind: HTTPRoute, name: child");
		text_str(&text, "]}}\n---\n");
	}
	text_char(&text, '\0');
	config_case_text(&c, text.data);
	assert_int_equal(c.result, 0);
	listener = &c.snapshot->bind_list[0].listener_list[0];
	for (uint32_t i = 0; i < listener->route_count; i++) {
		const struct route *route = &listener->route_list[i];

		refused += route->group == PARENT_RULES && route->is_refused;
		served += route->group == PARENT_RULES && !route->is_refused;
	}
	assert_int_equal(refused, 1);
	assert_int_equal(served, 0);
	text_done(&text);
	config_case_done(&c);
}

/* -------------------------------------------------------------------------------- forms */

static const char shown[] =
	"{" API "kind: Gateway, metadata: {name: g, generation: 7}, spec: {listeners: [" HTTP(
		"a", "80") "]}}\n---\n"
			   "{" API "kind: HTTPRoute, metadata: {name: r, generation: 3}, spec: {" TO_G RULES
			   "}}\n";

TEST(status_has_the_form_of_the_kubernetes_api)
{
	const struct span address = SPAN("192.0.2.1");
	const struct json_value *gateway, *route, *one;
	struct json_value *root;
	struct config_case c;
	struct text out;

	config_case_text(&c, shown);
	assert_int_equal(c.result, 0);
	text_init(&out);
	status_write(c.snapshot, &(struct status_host){ .address_list = &address, .address_count = 1 }, &out);
	root = json_parse(text_span(&out));
	gateway = json_first(json_member(root, "items"));
	route = json_member(json_next(gateway), "status");
	gateway = json_member(gateway, "status");
	one = json_first(json_member(gateway, "addresses"));
	assert_string_equal(json_member_text(one, "value"), "192.0.2.1");
	assert_string_equal(json_member_text(one, "type"), "IPAddress");
	one = json_first(json_member(gateway, "conditions"));
	assert_int_equal(json_member_whole(one, "observedGeneration"), 7);
	one = json_first(json_member(gateway, "listeners"));
	assert_int_equal(json_member_whole(one, "attachedRoutes"), 1);
	one = json_first(json_member(one, "supportedKinds"));
	assert_string_equal(json_member_text(one, "group"), "gateway.networking.k8s.io");
	assert_string_equal(json_member_text(json_next(one), "kind"), "GRPCRoute");
	one = json_first(json_member(route, "parents"));
	assert_string_equal(json_member_text(one, "controllerName"), "headgate.dev/gateway");
	assert_string_equal(json_member_text(json_member(one, "parentRef"), "name"), "g");
	one = json_next(json_first(json_member(one, "conditions")));
	assert_string_equal(json_member_text(one, "type"), "ResolvedRefs");
	assert_string_equal(json_member_text(one, "status"), "False");
	assert_string_equal(json_member_text(one, "reason"), "BackendNotFound");
	assert_int_equal(json_member_whole(one, "observedGeneration"), 3);
	json_free(root);
	text_done(&out);
	config_case_done(&c);
}

/* GatewayNameMaximumLength of Gateway API v1.7 */
TEST(a_gateway_may_have_the_longest_name_of_kubernetes)
{
	char name[254], text[3000], line[600];
	struct row row = { text, line, 1 };

	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	snprintf(text, sizeof(text),
		 "{" API "kind: Gateway, metadata: {name: %s}, spec: {listeners: [" HTTP(
			 "a", "80") "]}}\n---\n" SERVICE ROUTE("parentRefs: [{name: %s}], " RULES),
		 name, name);
	snprintf(line, sizeof(line), "listener a routes=1 kinds=HTTPRoute,GRPCRoute");
	check(&row);
}

TEST(status_is_a_table_for_people)
{
	struct config_case c;
	struct text out;

	config_case_text(&c, shown);
	text_init(&out);
	status_table(c.snapshot, &(struct status_host){ 0 }, &out);
	assert_non_null(strstr(out.data, "\nGateway default/g           True        True        True\n"));
	assert_non_null(
		strstr(out.data, "\n  listener a                True        True        True        1\n"));
	assert_non_null(
		strstr(out.data, "\n    ResolvedRefs=False BackendNotFound: there is no such Service"));
	text_done(&out);
	config_case_done(&c);
}

TEST_GROUP(NULL, NULL);
