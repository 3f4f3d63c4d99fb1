/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/config_text.h"

#include "policy/compile/effective.h"
#include "policy/match/route.h"

/* Several objects that want the same: the port, the connections. */

#define API "apiVersion: gateway.networking.k8s.io/v1"
#define GATEWAY(name, class, protocol)                                                                       \
	"{" API ", kind: Gateway, metadata: {name: " name                                                    \
	"}, spec: {" class "listeners: [{name: l, port: 80, protocol: " protocol "}]}}\n---\n"
#define CLASS(name, controller)                                                                              \
	"{" API ", kind: GatewayClass, metadata: {name: " name "}, spec: {controllerName: " controller       \
	"}}\n---\n"
#define ROUTE(gateway)                                                                                       \
	"{" API ", kind: HTTPRoute, metadata: {name: r}, spec: {parentRefs: [{name: " gateway                \
	"}], rules: [{filters: [{type: RequestRedirect, requestRedirect: {scheme: https}}]}]}}\n---\n"
#define POLICY(gateway)                                                                                      \
	"{apiVersion: agentgateway.dev/v1alpha1, kind: AgentgatewayPolicy, metadata: {name: p}, spec: "      \
	"{targetRefs: [{kind: Gateway, name: " gateway "}], traffic: {timeouts: {request: 1s}}}}\n"

TEST(gateways_of_other_classes_are_left_to_their_programs)
{
	static const struct {
		const char *text;
		const char *gateways; /* of the listeners of port 80; NULL: refused */
	} rows[] = {
		/* Different protocols on one port: refused when both were meant. */
		{ GATEWAY("a", "gatewayClassName: agentgateway, ", "HTTP")
			  GATEWAY("b", "gatewayClassName: nginx, ", "TCP") ROUTE("b") POLICY("b"),
		  "a " },
		{ GATEWAY("a", "gatewayClassName: headgate, ", "HTTP") GATEWAY("b", "", "TCP"), NULL },
		{ GATEWAY("a", "gatewayClassName: any, ", "HTTP") ROUTE("a"), "a " },
		{ GATEWAY("a", "", "HTTP") ROUTE("a"), "a " },
		{ GATEWAY("a", "gatewayClassName: mine, ", "HTTP") GATEWAY(
			  "b", "gatewayClassName: other, ", "TCP") CLASS("mine", "headgate.dev/gateway"),
		  "a " },
		{ GATEWAY("a", "gatewayClassName: mine, ", "HTTP") GATEWAY(
			  "b", "gatewayClassName: other, ", "TCP") CLASS("other", "k8s.nginx.org/nginx"),
		  "a " },
		{ GATEWAY("a", "gatewayClassName: mine, ", "HTTP")
			  GATEWAY("b", "gatewayClassName: agentgateway, ", "TCP")
				  CLASS("mine", "agentgateway.dev/agentgateway")
					  CLASS("agentgateway", "somebody.else/gateway"),
		  "a " },
		{ GATEWAY("a", "gatewayClassName: istio, ", "HTTP") CLASS("istio", "istio.io/controller"),
		  "" },
		{ GATEWAY("a", "gatewayClassName: x, ", "HTTP") GATEWAY("b", "gatewayClassName: y, ", "TCP"),
		  "a " },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config_case c;
		struct text found;

		config_case_text(&c, rows[i].text);
		assert_int_equal(c.result, 0);
		text_init(&found);
		for (uint32_t b = 0; c.snapshot && b < c.snapshot->bind_count; b++) {
			assert_int_equal(policy_compile(c.snapshot, &c.report), 0);
			for (uint32_t l = 0; l < c.snapshot->bind_list[b].listener_count; l++)
				text_fmt(&found, "%.*s ",
					 SPAN_FMT(c.snapshot->bind_list[b].listener_list[l].gateway_name));
		}
		if (rows[i].gateways && !span_eq(text_span(&found), span_str(rows[i].gateways)))
			fail_msg("%s: %.*s", rows[i].text, SPAN_FMT(text_span(&found)));
		text_done(&found);
		config_case_done(&c);
	}
}

/* The names of those that are served on an API server, and of the classes that get a status. */
TEST(on_an_api_server_only_a_gateway_class_of_this_program_makes_a_gateway_its_own)
{
	static const struct {
		const char *text, *found;
	} rows[] = {
		{ GATEWAY("a", "gatewayClassName: mine, ", "HTTP") CLASS("mine", "headgate.dev/gateway"),
		  "GatewayClass mine, Gateway a, " },
		/* agentgateway itself may run there. */
		{ GATEWAY("a", "gatewayClassName: agentgateway, ", "HTTP")
			  CLASS("agentgateway", "agentgateway.dev/agentgateway"),
		  "" },
		{ GATEWAY("a", "gatewayClassName: headgate, ", "HTTP"), "" },
		{ GATEWAY("a", "gatewayClassName: x, ", "HTTP"), "" },
		{ GATEWAY("a", "", "HTTP"), "" },
		{ GATEWAY("a", "gatewayClassName: x, ", "HTTP") CLASS("x", "istio.io/controller")
			  CLASS("mine", "headgate.dev/gateway"),
		  "GatewayClass mine, " },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config_case c;
		struct text found;

		config_case_with(&c, rows[i].text, &(struct config_setting){ .is_cluster = true });
		config_case_accepted(&c);
		text_init(&found);
		for (const struct status_object *one = c.snapshot->status_list; one; one = one->next)
			text_fmt(&found, "%s %.*s, ", one->kind, SPAN_FMT(one->name));
		if (!span_eq(text_span(&found), span_str(rows[i].found)))
			fail_msg("%s: %.*s", rows[i].text, SPAN_FMT(text_span(&found)));
		text_done(&found);
		config_case_done(&c);
	}
}

TEST(a_class_of_another_program_has_no_status_of_this_one)
{
	struct config_case c;

	config_case_text(&c, GATEWAY("a", "gatewayClassName: headgate, ", "HTTP")
				     CLASS("other", "istio.io/controller")
					     CLASS("y", "agentgateway.dev/agentgateway"));
	config_case_accepted(&c);
	for (const struct status_object *one = c.snapshot->status_list; one; one = one->next)
		assert_false(span_eq(one->name, SPAN("other")));
	config_case_done(&c);
}

/* What is said about them is no warning: it is as it should be. */
TEST(what_belongs_to_another_program_is_an_information)
{
	struct config_case c;

	config_case_text(&c, GATEWAY("a", "gatewayClassName: agentgateway, ", "HTTP")
				     GATEWAY("b", "gatewayClassName: nginx, ", "TCP") ROUTE("b") POLICY("b"));
	config_case_accepted(&c);
	assert_int_equal(c.report.count[CONFIG_WARNING], 0);
	config_case_says(&c, CONFIG_INFO, "a.yaml:3:105: Gateway default/b: spec.gatewayClassName: ",
			 "Gateways of class \"nginx\" belong to another program");
	config_case_says(&c, CONFIG_INFO, "a.yaml:5:", "the Gateway default/b belongs to another program");
	config_case_says(&c, CONFIG_INFO, "a.yaml:7:", "the Gateway default/b belongs to another program");
	config_case_done(&c);
}

#define RIVAL(kind, name, created, spec)                                                                     \
	"{" API "alpha2, kind: " kind ", metadata: {name: " name ", creationTimestamp: " created             \
	"}, spec: {parentRefs: [{name: g}], " spec "rules: [{backendRefs: [{name: s, port: 1}]}]}}\n---\n"
#define OLD "2020-01-01T00:00:00Z"
#define NEW "2026-01-01T00:00:00Z"

static void winner_is(const char *protocol, const char *routes, const char *sni, const char *winner)
{
	struct config_case c;
	const struct tcp_route *found;
	char text[3000];

	snprintf(text, sizeof(text),
		 "{" API ", kind: Gateway, metadata: {name: g}, spec: {listeners: [{name: l, port: 80, "
		 "protocol: %s}]}}\n---\n%s"
		 "{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {ports: [{port: 1}]}}\n",
		 protocol, routes);
	config_case_text(&c, text);
	config_case_accepted(&c);
	assert_int_equal(policy_compile(c.snapshot, &c.report), 0);
	found = tcp_route_find(&c.snapshot->bind_list[0].listener_list[0], span_str(sni));
	assert_non_null(found);
	assert_span_equal(found->name, winner);
	config_case_done(&c);
}

/* Gateway API, GEP-713 and the routes: the oldest wins, then the first by name. */
TEST(of_tcp_and_tls_routes_the_oldest_has_the_connections)
{
	winner_is("TCP", RIVAL("TCPRoute", "a", NEW, "") RIVAL("TCPRoute", "b", OLD, ""), "", "b");
	winner_is("TCP", RIVAL("TCPRoute", "a", OLD, "") RIVAL("TCPRoute", "b", NEW, ""), "", "a");
	winner_is("TCP", RIVAL("TCPRoute", "b", OLD, "") RIVAL("TCPRoute", "a", OLD, ""), "", "a");
	winner_is("TLS, tls: {mode: Passthrough}",
		  RIVAL("TLSRoute", "a", NEW, "hostnames: [x.y, z.y], ")
			  RIVAL("TLSRoute", "b", OLD, "hostnames: [w.y, x.y], "),
		  "x.y", "b");
	winner_is("TLS, tls: {mode: Passthrough}",
		  RIVAL("TLSRoute", "a", NEW, "hostnames: [x.y, z.y], ")
			  RIVAL("TLSRoute", "b", OLD, "hostnames: [w.y, x.y], "),
		  "z.y", "a");
	winner_is("TLS, hostname: a.x.y, tls: {mode: Passthrough}",
		  RIVAL("TLSRoute", "a", OLD, "hostnames: ['*.x.y'], ")
			  RIVAL("TLSRoute", "b", NEW, "hostnames: [a.x.y], "),
		  "a.x.y", "b");
	winner_is("TLS, hostname: '*.x.y', tls: {mode: Passthrough}",
		  RIVAL("TLSRoute", "a", OLD, "hostnames: ['*.y'], ")
			  RIVAL("TLSRoute", "b", NEW, "hostnames: ['*.x.y'], "),
		  "a.x.y", "b");
}

static void route_is(const char *listener, const char *kind, const char *old, const char *new,
		     const char *winner)
{
	struct request_head head = { .authority = SPAN("a.x.y"), .path = SPAN("/"), .version_major = 1 };
	struct config_case c;
	struct route_found found;
	struct arena arena;
	char text[3000];

	snprintf(text, sizeof(text),
		 "{" API ", kind: Gateway, metadata: {name: g}, spec: {listeners: [{name: l, port: 80, "
		 "protocol: HTTP, hostname: '%s'}]}}\n---\n"
		 "{" API ", kind: %s, metadata: {name: old, creationTimestamp: " OLD
		 "}, spec: {parentRefs: [{name: g}], %s rules: [{backendRefs: [{name: s, port: 1}]}]}}\n---\n"
		 "{" API ", kind: %s, metadata: {name: new, creationTimestamp: " NEW
		 "}, spec: {parentRefs: [{name: g}], %s rules: [{backendRefs: [{name: s, port: 1}]}]}}\n---\n"
		 "{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {ports: [{port: 1}]}}\n",
		 listener, kind, old, kind, new);
	config_case_text(&c, text);
	config_case_accepted(&c);
	assert_int_equal(policy_compile(c.snapshot, &c.report), 0);
	arena_init(&arena, 256);
	fields_init(&head.fields, &arena);
	found = route_search(&c.snapshot->bind_list[0].listener_list[0], &head);
	assert_non_null(found.route);
	assert_span_equal(found.route->name, winner);
	arena_done(&arena);
	config_case_done(&c);
}

TEST(the_most_specific_name_of_a_route_wins_whatever_the_name_of_the_listener)
{
	static const char *const kinds[] = { "HTTPRoute", "GRPCRoute" };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		route_is("a.x.y", kinds[i], "hostnames: ['*.x.y'],", "hostnames: [a.x.y],", "new");
		route_is("a.x.y", kinds[i], "hostnames: ['*.y'],", "hostnames: ['*.x.y'],", "new");
		route_is("*.x.y", kinds[i], "hostnames: ['*.y'],", "hostnames: ['*.x.y'],", "new");
		route_is("*.x.y", kinds[i], "", "hostnames: ['*.y'],", "new");
		route_is("*.x.y", kinds[i], "hostnames: ['*.y'],", "hostnames: ['*.y'],", "old");
		route_is("a.x.y", kinds[i], "hostnames: ['*.y'],", "hostnames: [b.x.y],", "old");
	}
}

TEST(the_route_that_gets_no_connections_is_warned_about)
{
	/* clang-format off */
	static const char text[] =
		"{" API ", kind: Gateway, metadata: {name: g}, spec: {listeners: [{name: l, port: 80, "
		"protocol: TLS, tls: {mode: Passthrough}}]}}\n---\n"
		RIVAL("TLSRoute", "a", NEW, "hostnames: [x.y, z.y], ")
		RIVAL("TLSRoute", "b", OLD, "hostnames: [w.y, x.y], ")
		RIVAL("TLSRoute", "c", NEW, "hostnames: ['*.y'], ")
		"{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {ports: [{port: 1}]}}\n";
	/* clang-format on */
	struct config_case c;
	struct text warnings;

	config_case_text(&c, text);
	config_case_accepted(&c);
	assert_int_equal(policy_compile(c.snapshot, &c.report), 0);
	assert_int_equal(c.report.count[CONFIG_WARNING], 1);
	text_init(&warnings);
	config_report_print(&c.report, CONFIG_WARNING, "", &warnings);
	assert_non_null(strstr(warnings.data,
			       "TLSRoute default/a: spec.rules[0]: gets no connections from listener "
			       "\"default/g.l\" for x.y: route default/b has them"));
	text_done(&warnings);
	config_case_done(&c);
}

TEST_GROUP(NULL, NULL);

TEST(what_one_object_asks_in_vain_does_not_refuse_the_others)
{
	static const char text[] =
		"{" API ", kind: Gateway, metadata: {name: g}, spec: {\n"
		"allowedListeners: {namespaces: {from: All}},\n"
		"newIdea: {},\n"
		"listeners: [{name: u, port: 53, protocol: UDP},\n"
		"{name: l, port: 80, protocol: HTTP}]}}\n---\n"
		"{" API ", kind: HTTPRoute, metadata: {name: r}, spec: {parentRefs: [{name: g}], rules: [\n"
		"{name: cors, filters: [{type: CORS, cors: {allowOrigins: [https://a.test]}}], "
		"backendRefs: [{name: s, port: 1}]},\n"
		"{name: auth, filters: [\n{type: ExtensionRef}], backendRefs: [{name: s, port: 1}]},\n"
		"{name: sticky,\nsessionPersistence: {}, backendRefs: [{name: s, port: 1}]},\n"
		"{name: ref, backendRefs: [{name: s, port: 1, filters: [\n{type: CORS, cors: "
		"{}}]}]}]}}\n---\n"
		"{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {ports: [{port: 1}]}}\n";
	static const struct {
		const char *place, *words;
	} warnings[] = {
		{ "a.yaml:3:", "unknown key \"newIdea\" has no effect" },
		{ "a.yaml:4:", "this listener is not served: UDP is not supported yet" },
		{ "a.yaml:10:", "requests to this get 500: the filter ExtensionRef is not supported yet" },
		{ "a.yaml:14:", "write it under rules[].filters" },
	};
	static const bool is_refused[] = { false, true, false, false };
	const struct listener *listener;
	struct config_case c;

	config_case_text(&c, text);
	config_case_accepted(&c);
	for (size_t i = 0; i < ARRAY_LEN(warnings); i++)
		config_case_says(&c, CONFIG_WARNING, warnings[i].place, warnings[i].words);
	assert_int_equal(c.report.count[CONFIG_WARNING], ARRAY_LEN(warnings));
	assert_int_equal(c.snapshot->bind_count, 1);
	listener = &c.snapshot->bind_list[0].listener_list[0];
	assert_int_equal(listener->route_count, ARRAY_LEN(is_refused));
	for (size_t i = 0; i < ARRAY_LEN(is_refused); i++)
		assert_int_equal(listener->route_list[i].is_refused, is_refused[i]);
	assert_int_equal(listener->route_list[3].backend_list[0].backend->kind, BACKEND_INVALID);
	config_case_done(&c);
}

/* Gateway API, HTTPHeaderFilter and HTTPHeaderMatch: later entries with an equivalent name are ignored. */
TEST(of_equivalent_names_in_one_filter_or_match_the_first_counts)
{
	static const char text[] =
		"{" API ", kind: Gateway, metadata: {name: g}, spec: {listeners: [{name: l, port: 80, "
		"protocol: HTTP}]}}\n---\n"
		"{" API ", kind: HTTPRoute, metadata: {name: r}, spec: {parentRefs: [{name: g}], rules: [\n"
		"{matches: [{headers: [{name: X-A, value: '1'}, {name: x-b, value: '2'},\n"
		"{name: x-a, value: '3'}],\n"
		"queryParams: [{name: q, value: '1'}, {name: Q, value: '2'},\n"
		"{name: q, value: '3'}]}],\n"
		"filters: [{type: RequestHeaderModifier, requestHeaderModifier: "
		"{set: [{name: x-s, value: a},\n"
		"{name: X-S, value: b}], add: [{name: x-s, value: c}, {name: x-t, value: d},\n"
		"{name: X-T, value: e}]}}],\n"
		"backendRefs: [{name: s, port: 1}]}]}}\n---\n"
		"{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {ports: [{port: 1}]}}\n";
	static const char *const ignored[] = { "a.yaml:5:1: ", "a.yaml:7:1: ", "a.yaml:9:1: ",
					       "a.yaml:10:1: " };
	const struct header_modifier *modifier;
	const struct route_match *match;
	const struct route *route;
	struct config_case c;

	config_case_text(&c, text);
	config_case_accepted(&c);
	assert_int_equal(c.report.count[CONFIG_WARNING], ARRAY_LEN(ignored));
	for (size_t i = 0; i < ARRAY_LEN(ignored); i++)
		config_case_says(&c, CONFIG_WARNING, ignored[i], "has no effect: ");
	route = &c.snapshot->bind_list[0].listener_list[0].route_list[0];
	match = &route->match_list[0];
	assert_int_equal(match->header_count, 2);
	assert_span_equal(match->header_list[0].value, "1");
	assert_span_equal(match->header_list[1].name, "x-b");
	assert_int_equal(match->query_count, 2);
	assert_span_equal(match->query_list[0].value, "1");
	assert_span_equal(match->query_list[1].name, "Q");
	modifier = route->inline_policies.value_list[0].object;
	assert_int_equal(modifier->set_count, 1);
	assert_span_equal(modifier->set_list[0].value, "a");
	assert_int_equal(modifier->add_count, 2);
	assert_span_equal(modifier->add_list[1].value, "d");
	config_case_done(&c);
}
