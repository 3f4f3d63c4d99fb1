/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/config_text.h"

#include "config/build.h"
#include "policy/compile/effective.h"
#include "policy/match/route.h"
#include "tests/unit/policy_model.h"

#define OBJECT(kind, name, created)                                                                          \
	"{apiVersion: gateway.networking.k8s.io/v1, kind: " kind ", metadata: {name: " name                  \
	", namespace: app" created "}, spec: "
#define BEGIN                                                                                                \
	OBJECT("Gateway", "g", "")                                                                           \
	"{listeners: [{name: h, port: 80, protocol: HTTP}, "                                                 \
	"{name: w, port: 81, protocol: HTTP, hostname: '*.x.com'}]}}\n---\n"
#define OLD ", creationTimestamp: 2025-01-01T00:00:00Z"
#define NEW ", creationTimestamp: 2026-01-01T00:00:00Z"
#define TO_H "parentRefs: [{name: g, sectionName: h}]"
#define RULES "rules: [{backendRefs: [{name: s, port: 1}]}]"
#define GRPC(spec) OBJECT("GRPCRoute", "r", "") "{\n" spec "}}\n---\n"

static const struct listener *first_listener(const struct config_case *c)
{
	config_case_accepted(c);
	return &c->snapshot->bind_list[0].listener_list[0];
}

/* GRPCRouteMultipleGateways of Gateway API v1.7 */
TEST(a_route_of_two_gateways_is_served_by_both)
{
	const char *texts[] = { BEGIN,
				OBJECT("Gateway", "g2", "") "{listeners: [{name: h, port: 90, protocol: "
							    "HTTP}]}}\n---\n",
				GRPC("parentRefs: [{name: g, sectionName: h}, {name: g2}], " RULES) };
	struct config_case c;

	config_case_texts(&c, texts, 3);
	assert_int_equal(first_listener(&c)->route_count, 1);
	assert_int_equal(c.snapshot->bind_count, 3);
	assert_int_equal(c.snapshot->bind_list[1].listener_list[0].route_count, 0);
	assert_int_equal(c.snapshot->bind_list[2].listener_list[0].route_count, 1);
	config_case_done(&c);
}

/* -------------------------------------------------------------------------------- rules */

TEST(a_method_match_becomes_a_path)
{
	static const struct {
		const char *match;
		enum path_match_kind kind;
		const char *path;
	} rows[] = {
		{ "method: {service: shop.v1.Cart, method: GetItem}", PATH_EXACT, "/shop.v1.Cart/GetItem" },
		{ "method: {type: Exact, service: _a.B2, method: C_3}", PATH_EXACT, "/_a.B2/C_3" },
		{ "method: {service: shop.v1.Cart}", PATH_PREFIX_SEGMENTS, "/shop.v1.Cart" },
		{ "method: {service: shop.v1.Cart, method: ''}", PATH_PREFIX_SEGMENTS, "/shop.v1.Cart" },
		{ "method: {method: GetItem}", PATH_REGEX, "/[^/]+/GetItem" },
		{ "method: {type: RegularExpression, service: 'a|b', method: Get.*}", PATH_REGEX,
		  "/(?:a|b)/(?:Get.*)" },
		{ "method: {type: RegularExpression, service: 'a.*'}", PATH_REGEX, "/(?:a.*)/(?:[^/]+)" },
		{ "method: {type: RegularExpression, method: 'a.*'}", PATH_REGEX, "/(?:[^/]+)/(?:a.*)" },
		{ "headers: [{name: X, value: y}]", PATH_PREFIX_SEGMENTS, "/" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[1000];
		const char *texts[] = { BEGIN, text };
		const struct route_match *match;
		struct config_case c;

		snprintf(text, sizeof(text), GRPC(TO_H ", rules: [{matches: [{%s}]}]"), rows[i].match);
		config_case_texts(&c, texts, 2);
		match = &first_listener(&c)->route_list[0].match_list[0];
		assert_int_equal(match->path_kind, rows[i].kind);
		assert_span_equal(match->path, rows[i].path);
		assert_int_equal(match->method.len, 0);
		config_case_done(&c);
	}
}

TEST(a_rule_is_a_route_that_knows_it_is_grpc)
{
	static const char text[] = BEGIN GRPC(
		"hostnames: [A.x.com], parentRefs: [{name: g}], rules: [{name: one, matches: [{method: "
		"{service: a}, headers: [{name: Who, type: RegularExpression, value: 'm.*'}]}, {}], filters: "
		"["
		"{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: b}]}}, "
		"{type: ResponseHeaderModifier, responseHeaderModifier: {remove: [c]}}, "
		"{type: RequestMirror, requestMirror: {backendRef: {name: t, port: 2}}}], "
		"backendRefs: [{name: s, port: 1, weight: 9, filters: [{type: RequestHeaderModifier, "
		"requestHeaderModifier: {add: [{name: d, value: e}]}}]}, {name: t, port: 2}]}, {}]");
	const struct listener *h, *w;
	const struct route *route;
	struct config_case c;

	config_case_text(&c, text);
	h = first_listener(&c);
	w = &c.snapshot->bind_list[1].listener_list[0];
	assert_int_equal(h->route_count, 2);
	assert_int_equal(w->route_count, 2);
	route = &h->route_list[0];
	assert_span_equal(route->key, "app/r.0.0.grpc.h");
	assert_span_equal(w->route_list[1].key, "app/r.1.0.grpc.w");
	assert_span_equal(route->kind, "GRPCRoute");
	assert_span_equal(route->rule_name, "one");
	assert_span_equal(route->hostname_list[0], "a.x.com");
	assert_true(route->is_grpc && h->route_list[1].is_grpc);
	assert_int_equal(route->match_count, 2);
	assert_span_equal(route->match_list[0].header_list[0].name, "who");
	assert_int_equal(route->match_list[0].header_list[0].kind, TEXT_REGEX);
	assert_int_equal(route->inline_policies.value_count, 3);
	assert_non_null(build_value_find(&route->inline_policies, POLICY_MIRROR));
	assert_int_equal(route->backend_list[0].weight, 9);
	assert_int_equal(route->backend_list[0].filters.value_count, 1);
	assert_int_equal(weights_of(route), 10);
	config_case_says(&c, CONFIG_WARNING, "a.yaml:", "this rule has no backendRefs");
	assert_int_equal(policy_compile(c.snapshot, &c.report), 0);
	config_case_done(&c);
}

#define RULE(match) GRPC(TO_H ", rules: [{matches: [{" match "}]}]")
#define METHOD "a.yaml:2:70: GRPCRoute app/r: spec.rules[0].matches[0].method"

TEST(what_a_grpc_route_cannot_have_is_refused)
{
	static const struct config_refusal rows[] = {
		{ RULE("method: {}"), METHOD ": ", "names neither a service nor a method" },
		{ RULE("method: {service: '', method: ''}"), METHOD ": ", "names neither a service nor" },
		{ RULE("method: {service: /a.B}"), "a.yaml:2:80: ", "\"/a.B\" is not a gRPC service" },
		{ RULE("method: {service: a..B}"), "a.yaml:2:80: ", "write it with its package" },
		{ RULE("method: {service: a.}"), "a.yaml:2:80: ", "is not a gRPC service" },
		{ RULE("method: {service: a.1}"), "a.yaml:2:80: ", "is not a gRPC service" },
		{ RULE("method: {service: 'a.b*'}"), "a.yaml:2:80: ", "use type: RegularExpression" },
		{ RULE("method: {method: a.B}"), "a.yaml:2:79: ", "\"a.B\" is not a gRPC method" },
		{ RULE("method: {type: Prefix, service: a}"), "a.yaml:2:77: ", "Exact, RegularExpression" },
		{ RULE("method: {type: RegularExpression, service: 'a)|(b'}"),
		  "a.yaml:2:105: ", "does not compile" },
		{ RULE("method: {type: RegularExpression, service: a, method: '('}"),
		  "a.yaml:2:116: ", "does not compile" },
		{ RULE("path: {value: /a}"), "a.yaml:2:62: ", "write method: {service: ..., method: ...}" },
		{ RULE("queryParams: []"), "a.yaml:2:62: ", "calls have no query" },
		{ GRPC(TO_H ", rules: [{timeouts: {request: 1s}}]"),
		  "a.yaml:2:51: ", "attach an AgentgatewayPolicy with traffic.timeouts" },
		{ GRPC(TO_H ", rules: [{retry: {attempts: 1}}]"), "a.yaml:2:51: ", "traffic.retry" },
		{ GRPC(TO_H ", rules: [{filters: [{type: URLRewrite, urlRewrite: {hostname: a.b}}]}]"),
		  "a.yaml:2:68: ", "a GRPCRoute cannot have filters of type URLRewrite" },
		{ GRPC(TO_H ", rules: [{filters: [{type: RequestRedirect, requestRedirect: {}}]}]"),
		  "a.yaml:2:68: ", "a GRPCRoute cannot have filters of type RequestRedirect" },
		{ GRPC(TO_H ", rule: []"), "a.yaml:2:42: ", "did you mean \"rules\"?" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		config_refused(&rows[i]);
}

TEST(two_halves_of_an_expression_share_one_bound)
{
	char half[601], text[2000];
	struct config_case c;

	memset(half, 'a', sizeof(half) - 1);
	half[sizeof(half) - 1] = '\0';
	snprintf(text, sizeof(text), RULE("method: {type: RegularExpression, service: %s, method: %s}"), half,
		 half);
	config_case_text(&c, text);
	assert_int_equal(c.result, 0);
	config_case_says(&c, CONFIG_ERROR, METHOD ": ", "more than 1024 bytes together");
	config_case_done(&c);
}

/* -------------------------------------------------------------------------------- precedence */

static const char *found_rule(const struct listener *listener, const char *path)
{
	static char name[20];
	struct route_found found;
	struct request_head head;
	struct arena arena;

	arena_init(&arena, 1024);
	head = head_of(&arena, "POST", "x", path);
	found = route_search(listener, &head);
	snprintf(name, sizeof(name), "%.*s", found.route ? (int)found.route->rule_name.len : 1,
		 found.route ? found.route->rule_name.data : "-");
	arena_done(&arena);
	return name;
}

TEST(the_longer_service_then_the_longer_method_wins)
{
	/* Every rule but the first would win by the length of its path. */
	static const char text[] = BEGIN GRPC(
		TO_H ", rules: [{name: any, matches: [{}]}, "
		     "{name: method, matches: [{method: {method: VeryLongMethodName}}]}, "
		     "{name: tail, matches: [{method: {type: RegularExpression, method: '.*Name'}}]}, "
		     "{name: service, matches: [{method: {service: a.B}}]}, "
		     "{name: both, matches: [{method: {type: RegularExpression, service: 'a.B', method: "
		     "'V.*'}}]}, "
		     "{name: longer, matches: [{method: {type: RegularExpression, service: 'a[.]C'}}]}, "
		     "{name: exact, matches: [{method: {service: a.B, method: Get}}]}]");
	static const struct {
		const char *path;
		const char *rule;
	} rows[] = {
		{ "/z.Z/Other", "any" },
		{ "/z.Z/VeryLongMethodName", "method" },
		{ "/z.Z/SomeName", "tail" },
		{ "/a.B/Other", "service" },
		{ "/a.B/SomeName", "service" },
		{ "/a.B/VeryLongMethodName", "both" },
		{ "/a.C/VeryLongMethodName", "longer" },
		{ "/a.B/Get", "exact" },
		{ "/a.B/Get/more", "service" },
		{ "/", "any" },
	};
	const struct listener *listener;
	struct config_case c;

	config_case_text(&c, text);
	listener = first_listener(&c);
	assert_int_equal(policy_compile(c.snapshot, &c.report), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (strcmp(found_rule(listener, rows[i].path), rows[i].rule) != 0)
			fail_msg("%s: %s instead of %s", rows[i].path, found_rule(listener, rows[i].path),
				 rows[i].rule);
	config_case_done(&c);
}

/* -------------------------------------------------------------------------------- beside HTTPRoute */

#define HTTP_OF(name, created, hosts)                                                                        \
	OBJECT("HTTPRoute", name, created) "{" hosts "parentRefs: [{name: g}], " RULES "}}\n---\n"
#define GRPC_OF(name, created, hosts)                                                                        \
	OBJECT("GRPCRoute", name, created) "{" hosts "parentRefs: [{name: g}], " RULES "}}\n---\n"
#define HOSTS(names) "hostnames: [" names "], "

/* "h: names of routes; w: names" of the listeners, HTTPRoutes and GRPCRoutes as they come out. */
static void served(const struct config_case *c, struct text *out)
{
	for (uint32_t b = 0; b < c->snapshot->bind_count; b++) {
		const struct listener *listener = &c->snapshot->bind_list[b].listener_list[0];

		text_fmt(out, "%.*s:", SPAN_FMT(listener->listener_name));
		for (uint32_t r = 0; r < listener->route_count; r++)
			text_fmt(out, " %.*s", SPAN_FMT(listener->route_list[r].name));
		text_str(out, b ? "" : "; ");
	}
}

TEST(of_routes_of_two_kinds_with_a_common_host_name_one_is_served)
{
	static const struct {
		const char *claim;
		const char *text;
		const char *served;
		const char *warning; /* NULL: none */
	} rows[] = {
		{ "different names", HTTP_OF("a", "", HOSTS("a.x.com")) GRPC_OF("b", "", HOSTS("b.x.com")),
		  "h: a b; w: a b", NULL },
		{ "the same name: first by name",
		  HTTP_OF("b", "", HOSTS("a.x.com")) GRPC_OF("a", "", HOSTS("a.x.com")), "h: a; w: a",
		  "listener app/g.h: GRPCRoute app/a has one of its host names there, and comes first by "
		  "name" },
		{ "the older one, whatever its name",
		  HTTP_OF("b", OLD, HOSTS("a.x.com")) GRPC_OF("a", NEW, HOSTS("a.x.com")), "h: b; w: b",
		  "HTTPRoute app/b has one of its host names there, and is older" },
		{ "a time over none", HTTP_OF("a", "", HOSTS("a.x.com")) GRPC_OF("b", NEW, HOSTS("a.x.com")),
		  "h: b; w: b", "is older" },
		{ "of one name: the HTTPRoute",
		  GRPC_OF("a", "", HOSTS("a.x.com")) HTTP_OF("a", "", HOSTS("a.x.com")), "h: a; w: a",
		  "HTTPRoute app/a" },
		{ "one of several names",
		  HTTP_OF("a", "", HOSTS("b.x.com, a.x.com")) GRPC_OF("b", "", HOSTS("c.x.com, a.x.com")),
		  "h: a; w: a", "HTTPRoute app/a" },
		{ "a wildcard over a name",
		  HTTP_OF("a", "", HOSTS("'*.x.com'")) GRPC_OF("b", "", HOSTS("a.b.x.com")), "h: a; w: a",
		  "HTTPRoute app/a" },
		{ "a name below a wildcard",
		  HTTP_OF("a", "", HOSTS("a.b.x.com")) GRPC_OF("b", "", HOSTS("'*.x.com'")), "h: a; w: a",
		  "HTTPRoute app/a" },
		{ "a wildcard over a wildcard",
		  HTTP_OF("a", "", HOSTS("'*.x.com'")) GRPC_OF("b", "", HOSTS("'*.b.x.com'")), "h: a; w: a",
		  "HTTPRoute app/a" },
		{ "a wildcard below a wildcard",
		  HTTP_OF("a", "", HOSTS("'*.b.x.com'")) GRPC_OF("b", "", HOSTS("'*.x.com'")), "h: a; w: a",
		  "HTTPRoute app/a" },
		{ "the same wildcard",
		  HTTP_OF("a", "", HOSTS("'*.x.com'")) GRPC_OF("b", "", HOSTS("'*.x.com'")), "h: a; w: a",
		  "HTTPRoute app/a" },
		{ "a wildcard does not stand for its own name",
		  HTTP_OF("a", "", HOSTS("'*.b.x.com'")) GRPC_OF("b", "", HOSTS("b.x.com")), "h: a b; w: a b",
		  NULL },
		{ "wildcards side by side",
		  HTTP_OF("a", "", HOSTS("'*.a.x.com'")) GRPC_OF("b", "", HOSTS("'*.b.x.com'")),
		  "h: a b; w: a b", NULL },
		{ "every name", HTTP_OF("a", "", "") GRPC_OF("b", "", HOSTS("b.x.com")), "h: a; w: a",
		  "HTTPRoute app/a" },
		{ "every name, later", HTTP_OF("a", "", HOSTS("b.x.com")) GRPC_OF("b", "", ""), "h: a; w: a",
		  "HTTPRoute app/a" },
		{ "only where both are attached",
		  HTTP_OF("a", "", HOSTS("a.com")) GRPC_OF("b", "", HOSTS("a.com, b.x.com")), "h: a; w: b",
		  "listener app/g.h: HTTPRoute app/a" },
		{ "what the listener cuts off does not count",
		  HTTP_OF("a", "", HOSTS("'*.com'")) GRPC_OF("b", "", HOSTS("y.com")), "h: a; w: a",
		  "listener app/g.h: HTTPRoute app/a" },
		{ "who lost claims nothing",
		  HTTP_OF("a", "", HOSTS("a.x.com")) GRPC_OF("b", "", HOSTS("a.x.com, c.x.com"))
			  HTTP_OF("c", "", HOSTS("c.x.com")),
		  "h: a c; w: a c", "HTTPRoute app/a" },
		{ "routes of one kind share names",
		  GRPC_OF("a", "", HOSTS("a.x.com")) GRPC_OF("b", "", HOSTS("a.x.com")), "h: a b; w: a b",
		  NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *texts[] = { BEGIN, rows[i].text };
		struct config_case c;
		struct text names;

		config_case_texts(&c, texts, 2);
		config_case_accepted(&c);
		text_init(&names);
		served(&c, &names);
		if (!span_eq(text_span(&names), span_str(rows[i].served)))
			fail_msg("%s: %.*s", rows[i].claim, SPAN_FMT(text_span(&names)));
		if (rows[i].warning)
			config_case_says(&c, CONFIG_WARNING, "b.yaml:", rows[i].warning);
		else if (strstr(config_case_lines(&c, CONFIG_WARNING), "host names"))
			fail_msg("%s: %s", rows[i].claim, config_case_lines(&c, CONFIG_WARNING));
		text_done(&names);
		config_case_done(&c);
	}
}

TEST(ties_compare_namespace_and_name_as_one_text)
{
	static const char form[] =
		"{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: g}, spec: "
		"{listeners: "
		"[{name: h, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}]}}\n---\n"
		"{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: x, namespace: "
		"%s}, "
		"spec: {parentRefs: [{name: g, namespace: default}], " RULES "}}\n---\n"
		"{apiVersion: gateway.networking.k8s.io/v1, kind: GRPCRoute, metadata: {name: x, namespace: "
		"%s}, "
		"spec: {parentRefs: [{name: g, namespace: default}], " RULES "}}\n";
	static const struct {
		const char *http;
		const char *grpc;
		const char *served;
	} rows[] = {
		{ "a", "a-b", "a-b/x.0.0.grpc.h" }, /* '-' comes before '/' */
		{ "a-b", "a", "a-b/x.0.0.h" },
		{ "a", "a0", "a/x.0.0.h" }, /* '0' comes after it */
		{ "a0", "a", "a/x.0.0.grpc.h" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config_case c;
		char text[1200];

		snprintf(text, sizeof(text), form, rows[i].http, rows[i].grpc);
		config_case_text(&c, text);
		assert_int_equal(first_listener(&c)->route_count, 1);
		assert_span_equal(first_listener(&c)->route_list[0].key, rows[i].served);
		config_case_done(&c);
	}
}

/* -------------------------------------------------------------------------------- listeners, grants,
 * policies */

TEST(listeners_admit_the_kinds_they_name)
{
	static const struct {
		const char *kinds;
		const char *served; /* names of routes */
	} rows[] = {
		{ "{}", "grpc http " },
		{ "{kinds: [{kind: GRPCRoute}]}", "grpc " },
		{ "{kinds: [{kind: HTTPRoute}]}", "http " },
		{ "{kinds: [{kind: HTTPRoute}, {kind: GRPCRoute, group: gateway.networking.k8s.io}]}",
		  "grpc http " },
		{ "{kinds: [{kind: GRPCRoute, group: x}]}", "" },
		{ "{kinds: [{kind: TCPRoute}]}", "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		static const char routes[] =
			HTTP_OF("http", "", HOSTS("a.b")) GRPC_OF("grpc", "", HOSTS("b.b"));
		char gateway[500];
		const char *texts[] = { gateway, routes };
		const struct listener *listener;
		struct config_case c;
		struct text names;

		snprintf(gateway, sizeof(gateway),
			 OBJECT("Gateway", "g", "") "{listeners: [{name: h, port: 80, protocol: HTTP, "
						    "allowedRoutes: %s}]}}\n---\n",
			 rows[i].kinds);
		config_case_texts(&c, texts, 2);
		listener = first_listener(&c);
		text_init(&names);
		text_str(&names, "");
		for (uint32_t r = 0; r < listener->route_count; r++)
			text_fmt(&names, "%.*s ", SPAN_FMT(listener->route_list[r].name));
		if (!span_eq(text_span(&names), span_str(rows[i].served)))
			fail_msg("%s: %.*s", rows[i].kinds, SPAN_FMT(text_span(&names)));
		if (!rows[i].served[0])
			config_case_says(&c, CONFIG_WARNING,
					 "a.yaml:", "its protocol takes HTTPRoute and GRPCRoute");
		text_done(&names);
		config_case_done(&c);
	}
}

TEST(a_grant_for_one_kind_is_none_for_the_other)
{
	static const struct {
		const char *kind;
		bool is_invalid;
	} rows[] = { { "GRPCRoute", false }, { "HTTPRoute", true } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char grant[500];
		const char *texts[] = {
			BEGIN, GRPC(TO_H ", rules: [{backendRefs: [{name: s, namespace: far, port: 1}]}]"),
			grant
		};
		struct config_case c;

		snprintf(grant, sizeof(grant),
			 "{apiVersion: gateway.networking.k8s.io/v1beta1, kind: ReferenceGrant, metadata: "
			 "{name: x, "
			 "namespace: far}, spec: {from: [{group: gateway.networking.k8s.io, kind: %s, "
			 "namespace: "
			 "app}], to: [{group: '', kind: Service}]}}\n---\n{apiVersion: v1, kind: Service, "
			 "metadata: {name: s, namespace: far}, spec: {ports: [{port: 1}]}}\n",
			 rows[i].kind);
		config_case_texts(&c, texts, 3);
		assert_int_equal(first_listener(&c)->route_list[0].backend_list[0].is_invalid,
				 rows[i].is_invalid);
		config_case_done(&c);
	}
}

#define POLICY(name, target, timeout)                                                                        \
	"{apiVersion: agentgateway.dev/v1alpha1, kind: AgentgatewayPolicy, metadata: {name: " name           \
	", namespace: app}, spec: {" target ", traffic: {timeouts: {request: " timeout "}}}}\n---\n"

TEST(policies_attach_to_the_route_of_the_kind_they_name)
{
	static const char text[] = BEGIN OBJECT("HTTPRoute", "r", "") "{" HOSTS(
		"a.b") "parentRefs: [{name: g, "
		       "sectionName: h}], " RULES "}}\n---\n" OBJECT("GRPCRoute", "r", "") "{" HOSTS("b.b")
			       TO_H
		", rules: [{name: one, backendRefs: [{name: s, port: 1}]}, {name: two, matches: [{method: "
		"{service: a}}]}]}}\n---\n" POLICY("p", "targetRefs: [{kind: GRPCRoute, name: r}]", "1s")
			POLICY("q", "targetRefs: [{kind: GRPCRoute, name: r, sectionName: two}]", "2s")
				POLICY("g", "targetRefs: [{kind: Gateway, name: g}]", "3s");
	static const struct {
		const char *key;
		uint64_t seconds;
	} rows[] = {
		{ "app/r.0.0.grpc.h", 1 },
		{ "app/r.0.0.h", 3 },
		{ "app/r.1.0.grpc.h", 2 },
	};
	const struct listener *listener;
	struct config_case c;

	config_case_text(&c, text);
	listener = first_listener(&c);
	assert_int_equal(policy_compile(c.snapshot, &c.report), 0);
	assert_int_equal(listener->route_count, ARRAY_LEN(rows));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_span_equal(listener->route_list[i].key, rows[i].key);
		assert_int_equal(listener->route_list[i].effective.timeout->request.ns,
				 rows[i].seconds * 1000000000u);
	}
	assert_int_equal(c.snapshot->policy_count, 3);
	assert_span_equal(c.snapshot->policy_list[1].key, "traffic/app/p:timeout:app/r");
	assert_span_equal(c.snapshot->policy_list[1].target.route_kind, "GRPCRoute");
	for (uint32_t i = 0; i < 3; i++)
		assert_true(c.snapshot->policy_list[i].is_attached);
	config_case_done(&c);
}

TEST(selectors_find_grpc_routes)
{
	static const char text[] =
		"{apiVersion: gateway.networking.k8s.io/v1, kind: GRPCRoute, metadata: {name: r, namespace: "
		"app, "
		"labels: {k: v}}, spec: {}}\n---\n"
		"{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: s, namespace: "
		"app, "
		"labels: {k: v}}, spec: {}}\n---\n" POLICY(
			"p", "targetSelectors: [{kind: GRPCRoute, matchLabels: {k: v}}]", "1s");
	struct config_case c;

	config_case_text(&c, text);
	config_case_accepted(&c);
	assert_int_equal(c.snapshot->policy_count, 1);
	assert_span_equal(c.snapshot->policy_list[0].target.name, "r");
	assert_span_equal(c.snapshot->policy_list[0].target.route_kind, "GRPCRoute");
	config_case_done(&c);
}
