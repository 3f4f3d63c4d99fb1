/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/gatewayapi_status.h"

/* Policies that protect, and cannot do so where they are attached: nothing is open, the rest is served. */

#define SET(listeners) OBJECT("ListenerSet", "set", "parentRef: {name: g}, listeners: [" listeners "]")
#define OPEN                                                                                                 \
	OBJECT("Gateway", "g",                                                                               \
	       "allowedListeners: {namespaces: {from: Same}}, listeners: [" HTTP("a", "80") ", " HTTP(       \
		       "b", "81") ", {name: t, port: 82, protocol: TCP}]")
#define TCP_ROUTE OBJECT("TCPRoute", "t", TO_G RULES)
#define TWO_RULES                                                                                            \
	ROUTE(TO_G "rules: [{name: one, matches: [{path: {value: /a}}], " BACKEND "}, " RULE("/b", "") "]")
#define OTHER OBJECT("HTTPRoute", "z", TO_G "rules: [" RULE("/z", "") "]")
#define ROUTED_TWICE                                                                                         \
	OPEN SERVICE TCP_ROUTE ROUTE("parentRefs: [{name: g, sectionName: a}], " RULES) OBJECT(              \
		"HTTPRoute", "z", "parentRefs: [{name: g, sectionName: b}], rules: [" RULE("/b", "") "]")
#define NO_HTTP GATEWAY("{name: t, port: 82, protocol: TCP}") SERVICE TCP_ROUTE
#define NAMED                                                                                                \
	"{apiVersion: agentgateway.dev/v1alpha1, kind: AgentgatewayBackend, metadata: {name: b}, spec: "     \
	"{static: {host: a.example, port: 80}}}\n---\n"
#define TO_BACKEND "rules: [{backendRefs: [{group: agentgateway.dev, kind: AgentgatewayBackend, name: b}]}]"
#define GUARD "traffic: {csrf: {}}"
#define LACKING "traffic: {extProc: {}}"
#define BOTH(text, target, routes)                                                                           \
	{ text POLICY(target, GUARD), routes },                                                              \
	{                                                                                                    \
		text POLICY(target, LACKING), routes                                                         \
	}

TEST(a_guard_whose_target_lacks_the_part_refuses_the_target)
{
	static const struct {
		const char *text, *routes;
	} rows[] = {
		BOTH(ROUTED_TWICE, "kind: Gateway, name: g, sectionName: c", "/ 500\n/b 500\ntcp 500\n"),
		BOTH(NO_HTTP, "kind: Gateway, name: g", "tcp 500\n"),
		BOTH(G SERVICE TWO_RULES OTHER, "kind: HTTPRoute, name: r, sectionName: two",
		     "/a 500\n/b 500\n/z ok\n"),
		/* A listener without HTTP has no requests to guard. */
		BOTH(ROUTED_TWICE, "kind: Gateway, name: g, sectionName: t", "/ ok\n/b ok\ntcp 500\n"),
		{ ROUTED_TWICE POLICY("kind: Gateway, name: g", GUARD), "/ ok\n/b ok\ntcp ok\n" },
		/* What is not there needs no protection. */
		{ ROUTED POLICY("kind: HTTPRoute, name: none, sectionName: x", GUARD), "/ ok\n" },
		{ ROUTED POLICY("kind: GRPCRoute, name: r", GUARD), "/ ok\n" },
		{ ROUTED POLICY("kind: Gateway, name: none, sectionName: x", GUARD), "/ ok\n" },
		{ GATEWAY(HTTP("a", "80") ", {name: b, port: 81, protocol: HTTP, odd: 1}")
			  SERVICE ROUTE(TO_G RULES) POLICY("kind: Gateway, name: g, sectionName: b", GUARD),
		  "/ ok\n" },
		/* A policy that protects nothing refuses nothing. */
		{ ROUTED POLICY("kind: HTTPRoute, name: r, sectionName: x",
				"traffic: {timeouts: {request: 1s}}"),
		  "/ ok\n" },
		/* Of a ListenerSet. */
		{ OPEN SERVICE SET(HTTP("s", "83"))
			  ROUTE("parentRefs: [{kind: ListenerSet, name: set}], " RULES)
				  POLICY("kind: ListenerSet, name: set", GUARD),
		  "/ ok\n" },
		{ OPEN SERVICE SET(HTTP("s", "83"))
			  ROUTE("parentRefs: [{kind: ListenerSet, name: set}], " RULES)
				  POLICY("kind: ListenerSet, name: set, sectionName: x", GUARD),
		  "/ 500\n" },
		/* Of an AgentgatewayBackend the whole is refused. */
		{ G NAMED ROUTE(TO_G TO_BACKEND) POLICY(
			  "group: agentgateway.dev, kind: AgentgatewayBackend, name: b, sectionName: x",
			  "backend: {ai: {}}"),
		  "/ 500\n" },
		{ G SERVICE ROUTE(TO_G RULES)
			  POLICY("group: '', kind: Service, name: s, sectionName: '80'", "backend: {ai: {}}"),
		  "/ 500\n" },
		{ G SERVICE ROUTE(TO_G RULES)
			  POLICY("group: '', kind: Service, name: s, sectionName: '81'", "backend: {ai: {}}"),
		  "/ 500\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		serves(rows[i].text, rows[i].routes);
}

#define OF_TARGETS(targets, more)                                                                            \
	"{apiVersion: agentgateway.dev/v1alpha1, kind: AgentgatewayPolicy, metadata: {name: p}, spec: "      \
	"{" targets ", " more "}}\n---\n"

/* It is an error of the policy, so its target must be found in spite of it. */
TEST(a_guard_whose_target_is_written_wrong_refuses_what_it_may_mean)
{
	static const struct {
		const char *text, *routes;
	} rows[] = {
		{ ROUTED OTHER OF_TARGETS("targetRefs: {kind: HTTPRoute, name: r}", GUARD),
		  "/ 500\n/z ok\n" },
		{ ROUTED OTHER OF_TARGETS("targetRef: {kind: HTTPRoute, name: r}", GUARD), "/ 500\n/z ok\n" },
		{ ROUTED OTHER OF_TARGETS("targetrefs: [{kind: HTTPRoute, name: r}]", GUARD),
		  "/ 500\n/z ok\n" },
		{ ROUTED OTHER OF_TARGETS("targetRefs: [{kind: HTTPRoute, name: z}], "
					  "targetRef: {kind: HTTPRoute, name: r}",
					  GUARD),
		  "/ 500\n/z 500\n" },
		{ ROUTED OTHER POLICY("kind: HTTPRoute, nam: r", GUARD), "/ 500\n/z 500\n" },
		{ ROUTED OTHER POLICY("kind: HTTPRoute, nam: r", "traffic: {timeouts: {request: 1s}}"),
		  "/ ok\n/z ok\n" },
		{ ROUTED OTHER OF_TARGETS("targetSelectors: [{kind: HTTPRoute}]", GUARD), "/ 500\n/z 500\n" },
		{ ROUTED OTHER OF_TARGETS("targetSelectors: [{kind: HTTPRoute, matchLabels: {a: [b]}}]",
					  GUARD),
		  "/ 500\n/z 500\n" },
		{ ROUTED OTHER OF_TARGETS("targetSelectors: [{kind: HTTPRoute, matchLabels: {a: b}}]", GUARD),
		  "/ ok\n/z ok\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		serves(rows[i].text, rows[i].routes);
}

/* Kinds that policies cannot target here, and ports that a Service does not have. */
TEST(what_a_policy_cannot_protect_is_not_served_without_it)
{
	static const struct {
		const char *text, *routes;
	} rows[] = {
		BOTH(ROUTED_TWICE, "kind: TCPRoute, name: t", "/ ok\n/b ok\ntcp 500\n"),
		{ ROUTED_TWICE POLICY("kind: TCPRoute, name: t", "traffic: {timeouts: {request: 1s}}"),
		  "/ ok\n/b ok\ntcp ok\n" },
		{ ROUTED_TWICE OF_TARGETS("targetSelectors: [{kind: TCPRoute, matchLabels: {}}]", GUARD),
		  "/ ok\n/b ok\ntcp 500\n" },
		{ ROUTED POLICY("group: '', kind: Service, name: s, sectionName: '81'",
				"backend: {tls: {insecureSkipVerify: All}}"),
		  "/ 500\n" },
		{ ROUTED POLICY("group: '', kind: Service, name: s, sectionName: '80'",
				"backend: {tls: {insecureSkipVerify: All}}"),
		  "/ ok\n" },
		{ ROUTED POLICY("group: '', kind: Service, name: s, sectionName: '81'",
				"backend: {http: {}}"),
		  "/ ok\n" },
		{ ROUTED POLICY("kind: Gateway, name: g, sectionName: x",
				"backend: {tls: {insecureSkipVerify: All}}"),
		  "/ 500\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		serves(rows[i].text, rows[i].routes);
}

#define NETWORK                                                                                              \
	"frontend: {networkAuthorization: {action: Deny, policy: {matchExpressions: ["                       \
	"'source.address == \"10.0.0.1\"']}}}"

/* It decides about connections of every protocol. */
TEST(a_guard_of_connections_needs_a_listener_and_no_http)
{
	static const struct {
		const char *text, *routes;
	} rows[] = {
		{ NO_HTTP POLICY("kind: Gateway, name: g", NETWORK), "tcp ok\n" },
		{ ROUTED_TWICE POLICY("kind: Gateway, name: g, sectionName: t", NETWORK),
		  "/ ok\n/b ok\ntcp ok\n" },
		{ ROUTED_TWICE POLICY("kind: Gateway, name: g, sectionName: x", NETWORK),
		  "/ 500\n/b 500\ntcp 500\n" },
		{ NO_HTTP POLICY("kind: Gateway, name: g", NETWORK ", traffic: {csrf: {}}"), "tcp 500\n" },
		{ ROUTED_TWICE POLICY("kind: Gateway, name: g, port: 82", NETWORK), "/ ok\n/b ok\ntcp ok\n" },
		{ ROUTED_TWICE POLICY("kind: Gateway, name: g, port: 83", NETWORK),
		  "/ 500\n/b 500\ntcp 500\n" },
		{ ROUTED_TWICE SET(HTTP("s", "83")) POLICY("kind: Gateway, name: g, port: 83", NETWORK),
		  "/ ok\n/b ok\ntcp ok\n" },
		{ ROUTED_TWICE SET(HTTP("s", "84")) POLICY("kind: Gateway, name: g, port: 83", NETWORK),
		  "/ 500\n/b 500\ntcp 500\n" },
		{ ROUTED_TWICE POLICY("kind: Gateway, name: g, port: 83",
				      "frontend: {tcp: {keepalive: {retries: 3}}}"),
		  "/ ok\n/b ok\ntcp ok\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		serves(rows[i].text, rows[i].routes);
}

#define NAME_63 "rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr"
#define NAME_253 NAME_63 NAME_63 NAME_63 NAME_63 "r"
#define NAMED_ROUTE(name, version)                                                                           \
	G SERVICE OBJECT("HTTPRoute", name,                                                                  \
			 TO_G RULES) "{apiVersion: agentgateway.dev/" version                                \
				     ", kind: AgentgatewayPolicy, metadata: {name: p}, spec: "               \
				     "{targetRefs: [{kind: HTTPRoute, name: " name "}], " LACKING "}}\n"

/* The longest name of Kubernetes has its policies; no object has a longer one. */
TEST(an_object_with_a_long_name_is_not_open)
{
	struct config_case c;

	serves(NAMED_ROUTE(NAME_253, "v1alpha1"), "/ 500\n");
	serves(NAMED_ROUTE(NAME_253, "v9"), "/ 500\n");
	serves(NAMED_ROUTE(NAME_253 "r", "v9"), "");
	serves(NAMED_ROUTE(NAME_253 NAME_253 NAME_253, "v9"), "");
	config_case_text(&c, NAMED_ROUTE(NAME_253 "r", "v9"));
	config_case_says(&c, CONFIG_ERROR, "a.yaml:5:", "has 254 bytes; 253 are the most");
	config_case_done(&c);
}

TEST(a_guard_that_cannot_decide_before_a_route_is_chosen_refuses_its_targets)
{
	static const struct {
		const char *text, *routes;
	} rows[] = {
		{ ROUTED POLICY("kind: Gateway, name: g", "traffic: {phase: PreRouting, csrf: {}}"),
		  "/ 500\n" },
		{ ROUTED POLICY("kind: Gateway, name: g", "traffic: {phase: PreRouting, cors: {}}"),
		  "/ ok\n" },
		{ ROUTED OTHER POLICY("kind: HTTPRoute, name: r", "traffic: {phase: PreRouting, cors: {}}"),
		  "/ 500\n/z ok\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		serves(rows[i].text, rows[i].routes);
}

#define LACKS(traffic) ROUTED OTHER POLICY("kind: HTTPRoute, name: r", "traffic: {" traffic "}")

#define GLOBAL                                                                                               \
	"global: {domain: d, url: 'http://a.example:1', descriptors: [{entries: [{name: a, expression: "     \
	"request.path}]}]}"
#define LIMITED(limits) LACKS("rateLimit: " limits)

TEST(limits_of_a_service_have_conditions_and_stand_beside_those_of_the_gateway)
{
	static const struct {
		const char *text, *error;
	} rows[] = {
		{ LIMITED("{" GLOBAL "}"), NULL },
		{ LIMITED("{local: [{requests: 1, unit: Seconds}], " GLOBAL "}"), NULL },
		{ LIMITED("{conditional: [{condition: 'request.path == \"/a\"', policy: {" GLOBAL
			  "}}, {policy: {" GLOBAL "}}]}"),
		  NULL },
		{ LIMITED("{conditional: [{policy: {" GLOBAL "}}], " GLOBAL "}"),
		  "stands beside `conditional`" },
		{ LIMITED("{conditional: [{policy: {}}]}"), "write global: {backendRef" },
		{ LIMITED("{" GLOBAL ", locl: []}"), "locl" },
		{ LIMITED("{global: {domain: d, url: 'ftp://a:1', descriptors: [{entries: [{name: a, "
			  "expression: request.path}]}]}}"),
		  "scheme other than http:// and https://" },
		{ LIMITED("{}"), "write a list of limits" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config_case c;

		serves(rows[i].text, rows[i].error ? "/ 500\n/z ok\n" : "/ ok\n/z ok\n");
		config_case_text(&c, rows[i].text);
		if (rows[i].error)
			config_case_says(&c, CONFIG_ERROR, "a.yaml:", rows[i].error);
		config_case_done(&c);
	}
}

TEST(a_map_in_place_of_a_word_is_an_error)
{
	static const char text[] =
		LACKS("extAuth: {url: 'http://a.example:1', grpc: {}, failureMode: {denyWithStatus: 503}}");
	struct config_case c;

	serves(text, "/ 500\n/z ok\n");
	config_case_text(&c, text);
	config_case_says(&c, CONFIG_ERROR, "a.yaml:", "expected one of FailClosed, FailOpen, found a map");
	config_case_done(&c);
}

/* A reference that breaks is no error of the object, but it must not be served without what it lacks. */
TEST(a_guard_that_lacks_a_secret_keys_or_a_feature_refuses_its_target_only)
{
	static const char *const rows[] = {
		LACKS("apiKeyAuthentication: {secretRef: {name: k}}"),
		LACKS("apiKeyAuthentication: {secretSelector: {matchLabels: {a: b}}}"),
		LACKS("apiKeyAuthentication: {configMapSelector: {matchLabels: {a: b}}}"),
		LACKS("basicAuthentication: {secretRef: {name: k}}"),
		LACKS("rateLimit: {global: {domain: d, backendRef: {name: none, port: 1}, "
		      "descriptors: [{entries: [{name: a, expression: request.path}]}]}}"),
		LACKS("rateLimit: {conditional: [{policy: {local: [{requests: 1, unit: Seconds}], " GLOBAL
		      "}}]}"),
		LACKS("extAuth: {backendRef: {name: none, port: 1}, grpc: {}}"),
		LACKS("rateLimit: {local: [{tokens: 1, unit: Seconds}]}"),
		LACKS("rateLimit: {local: [{requests: 1, tokens: 1, unit: Seconds}]}"),
		LACKS("jwtAuthentication: {providers: [{issuer: a, "
		      "jwks: {remote: {jwksPath: /k, backendRef: {name: none, port: 1}}}}]}"),
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config_case c;

		config_case_text(&c, rows[i]);
		config_case_accepted(&c);
		config_case_says(&c, CONFIG_WARNING, "a.yaml:", "gets status 500");
		config_case_done(&c);
		serves(rows[i], "/ 500\n/z ok\n");
	}
}

#define ASKS(name)                                                                                           \
	POLICY("kind: HTTPRoute, name: r", "traffic: {extAuth: {backendRef: {" name "}, grpc: {}}}")
#define JUDGE                                                                                                \
	"{apiVersion: v1, kind: Service, metadata: {name: judge}, spec: {ports: [{port: 80, name: http}]}}"  \
	"\n---\n"
#define REFUSED_JUDGE                                                                                        \
	"{apiVersion: agentgateway.dev/v1alpha1, kind: AgentgatewayPolicy, metadata: {name: q}, spec: "      \
	"{targetRefs: [{group: '', kind: Service, name: judge}], backend: {ai: {}}}}\n---\n"
#define GUARDED(service)                                                                                     \
	"{apiVersion: agentgateway.dev/v1alpha1, kind: AgentgatewayBackend, metadata: {name: a}, spec: "     \
	"{static: {host: b.example, port: 80}, policies: {extAuth: {backendRef: {" service                   \
	"}, grpc: {}}}}}\n---\n"
#define TO_GUARDED                                                                                           \
	ROUTE(TO_G "rules: [{backendRefs: [{group: agentgateway.dev, kind: AgentgatewayBackend, name: a}]}]")
#define NAMED_B "group: agentgateway.dev, kind: AgentgatewayBackend, name: b"
#define ITSELF "group: agentgateway.dev, kind: AgentgatewayBackend, name: a"
#define B_WITH(policies)                                                                                     \
	"{apiVersion: agentgateway.dev/v1alpha1, kind: AgentgatewayBackend, metadata: {name: b}, spec: "     \
	"{static: {host: a.example, port: 80}, policies: {" policies "}}}\n---\n"
#define B_ASKS(service) B_WITH("extAuth: {backendRef: {" service "}, grpc: {}}")

TEST(the_order_of_a_file_does_not_matter_to_services_that_policies_ask)
{
	static const struct {
		const char *text, *routes;
	} rows[] = {
		{ ROUTED JUDGE ASKS("name: judge, port: 80"), "/ ok\n" },
		{ ASKS("name: judge, port: 80") JUDGE ROUTED, "/ ok\n" },
		{ ROUTED JUDGE ASKS("name: judge, port: 81"), "/ 500\n" },
		/* Another policy may protect the service itself. */
		{ ROUTED JUDGE REFUSED_JUDGE ASKS("name: judge, port: 80"), "/ 500\n" },
		{ ROUTED JUDGE ASKS("name: judge, port: 80") REFUSED_JUDGE, "/ 500\n" },
		{ G GUARDED("name: judge, port: 80") TO_GUARDED JUDGE, "/ ok\n" },
		{ G GUARDED(NAMED_B) NAMED TO_GUARDED, "/ ok\n" },
		{ G NAMED GUARDED(NAMED_B) TO_GUARDED, "/ ok\n" },
		{ G GUARDED(NAMED_B) TO_GUARDED, "/ 500\n" },
		/* Its own guards are for requests of routes, and may ask others in turn. */
		{ G GUARDED(NAMED_B) B_WITH("http: {requestTimeout: 1s}") TO_GUARDED, "/ ok\n" },
		{ G GUARDED(NAMED_B) B_ASKS("name: judge, port: 80") TO_GUARDED JUDGE, "/ 500\n" },
		{ G B_ASKS("name: judge, port: 80") GUARDED(NAMED_B) TO_GUARDED JUDGE, "/ 500\n" },
		{ G GUARDED(NAMED_B) B_WITH("authorization: {policy: {matchExpressions: ['true']}}")
			  TO_GUARDED,
		  "/ 500\n" },
		{ G GUARDED(NAMED_B) B_ASKS(ITSELF) TO_GUARDED, "/ 500\n" },
		{ G GUARDED(ITSELF) TO_GUARDED, "/ 500\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		serves(rows[i].text, rows[i].routes);
}

TEST_GROUP(NULL, NULL);

#define NAMED_POLICY(name, target, more)                                                                     \
	"{apiVersion: agentgateway.dev/v1alpha1, kind: AgentgatewayPolicy, metadata: {name: " name           \
	"}, spec: {targetRefs: [{" target "}], " more "}}\n---\n"
#define ASKED_BY(name)                                                                                       \
	NAMED_POLICY(name, "kind: Gateway, name: g",                                                         \
		     "traffic: {extAuth: {backendRef: {name: s, "                                            \
		     "port: 80}, grpc: {}}}")
#define NO_SERVICE "backend: {extAuth: {backendRef: {name: none, port: 80}, grpc: {}}}"
#define REFUSED_BY(name) NAMED_POLICY(name, "kind: Service, name: s, group: ''", NO_SERVICE)

TEST(a_service_that_a_policy_refuses_is_not_asked_whatever_the_order_of_the_policies)
{
	serves(G SERVICE NAMED ROUTE(TO_G TO_BACKEND) ASKED_BY("a"), "/ ok\n");
	serves(G SERVICE NAMED ROUTE(TO_G TO_BACKEND) REFUSED_BY("a") ASKED_BY("b"), "/ 500\n");
	serves(G SERVICE NAMED ROUTE(TO_G TO_BACKEND) ASKED_BY("a") REFUSED_BY("b"), "/ 500\n");
	/* Its error refuses what it is meant for. */
	serves(G SERVICE NAMED ROUTE(TO_G TO_BACKEND) ASKED_BY("a")
		       NAMED_POLICY("b", "kind: Servic, name: s, group: ''", NO_SERVICE),
	       "/ 500\n");
}

#define TOKENS_OF_JUDGE                                                                                      \
	"mcp: {authentication: {issuer: i, resourceMetadata: {}, jwks: {backendRef: {name: judge, port: "    \
	"80}, jwksPath: k}}}"

/* Both policies are for backends and name a service, so the order of the file decides who is first. */
TEST(a_backend_that_is_refused_after_a_policy_has_named_it_is_not_served)
{
	serves(G SERVICE JUDGE NAMED ROUTE(TO_G TO_BACKEND)
		       NAMED_POLICY("a", "kind: Service, name: s, group: ''",
				    "backend: {extAuth: {backendRef: {" NAMED_B "}, grpc: {}}}")
			       NAMED_POLICY("b", NAMED_B, "backend: {ai: {}, " TOKENS_OF_JUDGE "}"),
	       "/ 500\n");
}
