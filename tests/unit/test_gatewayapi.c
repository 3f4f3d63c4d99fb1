/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/config_text.h"

#include "config/build.h"

#define MANIFESTS "tests/data/manifests/"

static void load_files(struct config_case *c, const char *first, const char *second)
{
	const struct config_source list[] = { { .path = first }, { .path = second } };

	config_case_sources(c, list, second ? 2 : 1);
}

static const struct listener *only_listener(const struct config_case *c)
{
	config_case_accepted(c);
	assert_int_equal(c->snapshot->bind_count, 1);
	assert_int_equal(c->snapshot->bind_list[0].listener_count, 1);
	return &c->snapshot->bind_list[0].listener_list[0];
}

static const struct listener *find_listener(const struct config_case *c, const char *key)
{
	for (uint32_t i = 0; i < c->snapshot->bind_count; i++)
		for (uint32_t k = 0; k < c->snapshot->bind_list[i].listener_count; k++)
			if (span_eq(c->snapshot->bind_list[i].listener_list[k].key, span_str(key)))
				return &c->snapshot->bind_list[i].listener_list[k];
	fail_msg("no listener %s", key);
	return NULL;
}

/* -------------------------------------------------------------------------------- the documented manifests
 */

TEST(per_try_timeout_page)
{
	const struct timeout_policy *timeout;
	const struct retry_policy *retry;
	const struct listener *listener;
	const struct backend *backend;
	const struct route *route;
	struct config_case c;

	load_files(&c, MANIFESTS "gateway.yaml", MANIFESTS "per-try-timeout.yaml");
	listener = only_listener(&c);
	assert_span_equal(listener->key, "agentgateway-system/agentgateway-proxy.http");
	assert_span_equal(listener->gateway_name, "agentgateway-proxy");
	assert_span_equal(listener->gateway_namespace, "agentgateway-system");
	assert_span_equal(listener->listener_name, "http");
	assert_int_equal(listener->protocol, PROTOCOL_HTTP);
	assert_span_equal(c.snapshot->bind_list[0].key, "bind/8080");
	assert_int_equal(listener->route_count, 1);
	route = &listener->route_list[0];
	assert_span_equal(route->key, "httpbin/retry.0.0.http");
	assert_span_equal(route->name, "retry");
	assert_span_equal(route->namespace, "httpbin");
	assert_span_equal(route->kind, "HTTPRoute");
	assert_int_equal(route->rule_name.len, 0);
	assert_span_equal(route->hostname_list[0], "retry.example");
	assert_int_equal(route->match_list[0].path_kind, PATH_PREFIX_SEGMENTS);
	assert_span_equal(route->match_list[0].path, "/");
	assert_int_equal(route->inline_policies.value_count, 2);
	assert_int_equal(route->inline_policies.value_list[0].kind, POLICY_TIMEOUT);
	timeout = route->inline_policies.value_list[0].object;
	assert_false(timeout->request.is_set);
	assert_int_equal(timeout->backend_request.ns, 5000000000);
	retry = route->inline_policies.value_list[1].object;
	assert_int_equal(retry->attempts, 3);
	assert_int_equal(retry->backoff.ns, 1000000000);
	assert_int_equal(retry->code_list[0], 517);
	assert_span_equal(route->backend_list[0].service_name, "httpbin/httpbin.httpbin.svc.cluster.local");
	assert_int_equal(route->backend_list[0].service_port, 8000);
	assert_int_equal(route->backend_list[0].weight, 1);
	backend = route->backend_list[0].backend;
	assert_int_equal(backend->kind, BACKEND_SERVICE);
	assert_false(backend->rewrites_host);
	assert_int_equal(backend->endpoint_count, 1);
	assert_true(backend->endpoint_list[0].is_resolved);
	assert_span_equal(backend->endpoint_list[0].text, "127.0.0.1:8000");
	config_case_done(&c);
}

TEST(idle_timeout_page)
{
	const struct targeted_policy *policy;
	const struct frontend_http *http;
	struct config_case c;

	load_files(&c, MANIFESTS "gateway.yaml", MANIFESTS "idle-timeout.yaml");
	assert_span_equal(only_listener(&c)->route_list[0].rule_name, "timeout");
	assert_int_equal(c.snapshot->policy_count, 1);
	policy = &c.snapshot->policy_list[0];
	assert_span_equal(policy->key, "frontend/agentgateway-system/"
				       "idle-time:frontend-http:agentgateway-system/agentgateway-proxy");
	assert_true(policy->has_name);
	assert_span_equal(policy->name_kind, "AgentgatewayPolicy");
	assert_span_equal(policy->name, "idle-time");
	assert_span_equal(policy->namespace, "agentgateway-system");
	assert_int_equal(policy->target.kind, TARGET_GATEWAY);
	assert_int_equal(policy->target.section.len, 0);
	http = policy->value.object;
	assert_int_equal(http->http1_idle_timeout_ns, 1000000000);
	assert_int_equal(http->max_buffer_bytes, 2097152);
	assert_false(http->http1_max_headers.is_set || http->http2_frame_bytes.is_set);
	config_case_done(&c);
}

/* The page puts the policy into another namespace than the Gateway; the dump shows what was written. */
TEST(keepalive_page)
{
	const struct frontend_http *http;
	const struct frontend_tcp *tcp;
	struct config_case c;

	load_files(&c, MANIFESTS "gateway.yaml", MANIFESTS "tcp-keepalive.yaml");
	config_case_accepted(&c);
	assert_span_equal(c.snapshot->policy_list[0].key,
			  "frontend/httpbin/httpbin-keepalive:frontend-tcp:httpbin/agentgateway-proxy");
	assert_span_equal(c.snapshot->policy_list[0].target.namespace, "httpbin");
	tcp = c.snapshot->policy_list[0].value.object;
	assert_true(tcp->keepalives.enabled);
	assert_int_equal(tcp->keepalives.time_ns, 30000000000);
	assert_int_equal(tcp->keepalives.interval_ns, 5000000000);
	assert_int_equal(tcp->keepalives.retries, 3);
	config_case_done(&c);

	load_files(&c, MANIFESTS "gateway.yaml", MANIFESTS "http2-keepalive.yaml");
	config_case_accepted(&c);
	assert_span_equal(c.snapshot->policy_list[0].key,
			  "frontend/httpbin/httpbin-keepalive:frontend-http:httpbin/agentgateway-proxy");
	http = c.snapshot->policy_list[0].value.object;
	assert_int_equal(http->http1_idle_timeout_ns, 600000000000);
	assert_int_equal(http->http2_keepalive_interval.ns, 5000000000);
	assert_int_equal(http->http2_keepalive_timeout.ns, 30000000000);
	config_case_done(&c);
}

TEST(two_objects_of_one_name_name_both_places)
{
	struct config_case c;

	load_files(&c, MANIFESTS "gateway.yaml", MANIFESTS "gateway.yaml");
	assert_int_equal(c.result, 0);
	assert_int_equal(c.report.count[CONFIG_ERROR], 3);
	config_case_says(&c, CONFIG_ERROR, MANIFESTS "gateway.yaml:16:1: Service httpbin/httpbin: ",
			 "this object is already in " MANIFESTS "gateway.yaml line 16");
	config_case_done(&c);
}

/* `namespace` is no misspelt `name`, and a key that nobody has checked has no message of its own. */
TEST(what_is_missing_beside_a_similar_key_is_said_after_another_error_too)
{
	static const struct {
		const char *text, *words;
	} rows[] = {
		{ "{apiVersion: v1, Kind: Service}\n", "\"kind\" is missing" },
		{ "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {Name: g}}\n",
		  "\"name\" is missing" },
		{ "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: r}, spec: "
		  "{parentRefs: [{name: g}], rules: [{backendRefs: [{namespace: b, port: 80}]}]}}\n",
		  "\"name\" is missing" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config_case c;
		char text[400];

		snprintf(text, sizeof(text), "{apiVersion: v1}\n---\n%s", rows[i].text);
		config_case_text(&c, text);
		config_case_says(&c, CONFIG_ERROR, "a.yaml:3:", rows[i].words);
		config_case_done(&c);
	}
}

/* -------------------------------------------------------------------------------- routes and listeners */

#define GATEWAY                                                                                              \
	"{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: g, namespace: infra}, "  \
	"spec: {listeners: ["                                                                                \
	"{name: all, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}},"                   \
	"{name: wild, port: 80, protocol: HTTP, hostname: '*.x.com', allowedRoutes: {namespaces: {from: "    \
	"All}}},"                                                                                            \
	"{name: exact, port: 81, protocol: HTTP, hostname: a.x.com, allowedRoutes: {namespaces: {from: "     \
	"All}}},"                                                                                            \
	"{name: same, port: 82, protocol: HTTP},"                                                            \
	"{name: labels, port: 83, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {"  \
	"matchExpressions: [{key: tier, operator: In, values: [a, b]}, {key: off, operator: "                \
	"DoesNotExist}]}}}},"                                                                                \
	"{name: none, port: 84, protocol: HTTP, allowedRoutes: {namespaces: {from: None}}},"                 \
	"{name: tls, port: 85, protocol: TLS, tls: {mode: Passthrough}, allowedRoutes: {namespaces: {from: " \
	"All}}},"                                                                                            \
	"{name: tcp, port: 86, protocol: TCP, allowedRoutes: {namespaces: {from: All}}},"                    \
	"{name: closed, port: 87, protocol: HTTP, allowedRoutes: {kinds: [{kind: GRPCRoute}]}}"              \
	"]}}\n---\n{apiVersion: v1, kind: Namespace, metadata: {name: app, labels: {tier: b}}}\n---\n"       \
	"{apiVersion: v1, kind: Namespace, metadata: {name: odd, labels: {tier: b, off: ''}}}\n---\n"
#define ROUTE(namespace, spec)                                                                               \
	"{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: r, "                   \
	"namespace: " namespace ", creationTimestamp: 2026-01-31T23:59:59Z}, spec: {" spec "}}\n"
#define RULES ", rules: [{backendRefs: [{name: s, port: 1}]}]"

TEST(parents_decide_which_listeners_serve_a_route)
{
	static const struct {
		const char *claim;
		const char *route;
		const char *listeners; /* names in the order of the keys */
		const char *warning;
	} rows[] = {
		{ "every listener that admits it",
		  ROUTE("app", "parentRefs: [{name: g, namespace: infra}]" RULES), "all exact labels wild ",
		  NULL },
		{ "the namespace of the Gateway", ROUTE("infra", "parentRefs: [{name: g}]" RULES),
		  "all exact same wild ", NULL },
		{ "a section",
		  ROUTE("app", "parentRefs: [{name: g, namespace: infra, sectionName: exact}]" RULES),
		  "exact ", NULL },
		{ "a port", ROUTE("app", "parentRefs: [{name: g, namespace: infra, port: 80}]" RULES),
		  "all wild ", NULL },
		{ "two parents, each listener once",
		  ROUTE("app", "parentRefs: [{name: g, namespace: infra, port: 80}, {name: g, namespace: "
			       "infra, sectionName: all}]" RULES),
		  "all wild ", NULL },
		{ "labels that do not fit",
		  ROUTE("odd", "parentRefs: [{name: g, namespace: infra, sectionName: labels}]" RULES), "",
		  "does not take routes from namespace \"odd\"" },
		{ "a namespace without labels",
		  ROUTE("x", "parentRefs: [{name: g, namespace: infra, sectionName: labels}]" RULES), "",
		  "does not take routes from namespace \"x\"" },
		{ "another namespace",
		  ROUTE("app", "parentRefs: [{name: g, namespace: infra, sectionName: same}]" RULES), "",
		  "extend allowedRoutes.namespaces" },
		{ "from None", ROUTE("infra", "parentRefs: [{name: g, sectionName: none}]" RULES), "",
		  "does not take routes" },
		{ "another kind only", ROUTE("infra", "parentRefs: [{name: g, sectionName: closed}]" RULES),
		  "", "no listener " },
		{ "a TCP listener", ROUTE("infra", "parentRefs: [{name: g, sectionName: tcp}]" RULES), "",
		  "no listener " },
		{ "no parents at all", ROUTE("app", "rules: []"), "", "there are no parentRefs" },
		{ "no such section", ROUTE("infra", "parentRefs: [{name: g, sectionName: nope}]" RULES), "",
		  "no listener " },
		{ "no such Gateway", ROUTE("app", "parentRefs: [{name: g}]" RULES), "",
		  "there is no Gateway app/g" },
		{ "host names that no listener has",
		  ROUTE("app", "hostnames: [b.y], parentRefs: [{name: g, namespace: infra, sectionName: "
			       "wild}]" RULES),
		  "", "no hostname of this route fits" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *texts[] = { GATEWAY, rows[i].route };
		struct config_case c;
		struct text names;

		config_case_texts(&c, texts, 2);
		config_case_accepted(&c);
		text_init(&names);
		text_str(&names, "");
		for (uint32_t b = 0; b < c.snapshot->bind_count; b++)
			for (uint32_t l = 0; l < c.snapshot->bind_list[b].listener_count; l++)
				if (c.snapshot->bind_list[b].listener_list[l].route_count)
					text_fmt(&names, "%.*s ",
						 SPAN_FMT(c.snapshot->bind_list[b]
								  .listener_list[l]
								  .listener_name));
		/* Binds are in the order of ports, which is not that of the names: compare as sets. */
		for (const char *at = rows[i].listeners; *at; at = strchr(at, ' ') + 1) {
			char word[40];

			snprintf(word, sizeof(word), "%.*s", (int)(strchr(at, ' ') + 1 - at), at);
			if (!names.len || !strstr(names.data, word))
				fail_msg("%s: %s is missing in \"%.*s\"", rows[i].claim, word,
					 SPAN_FMT(text_span(&names)));
		}
		assert_int_equal(names.len, strlen(rows[i].listeners));
		if (rows[i].warning)
			config_case_says(&c, CONFIG_WARNING, "b.yaml:1:", rows[i].warning);
		text_done(&names);
		config_case_done(&c);
	}
}

TEST(host_names_that_the_listener_serves_stay_as_the_route_has_them)
{
	static const char route[] =
		ROUTE("app", "hostnames: [a.x.com, b.y.com, '*.x.com', '*.a.x.com', x.com, '*.com'],"
			     "parentRefs: [{name: g, namespace: infra}]" RULES);
	const char *texts[] = { GATEWAY, route };
	const struct route *r;
	struct config_case c;

	config_case_texts(&c, texts, 2);
	config_case_accepted(&c);
	r = &find_listener(&c, "infra/g.all")->route_list[0];
	assert_int_equal(r->hostname_count, 6);
	assert_int_equal(r->created_s, 1769903999);
	r = &find_listener(&c, "infra/g.wild")->route_list[0];
	assert_int_equal(r->hostname_count, 4);
	assert_span_equal(r->hostname_list[0], "a.x.com");
	assert_span_equal(r->hostname_list[1], "*.x.com");
	assert_span_equal(r->hostname_list[2], "*.a.x.com");
	assert_span_equal(r->hostname_list[3], "*.com");
	r = &find_listener(&c, "infra/g.exact")->route_list[0];
	assert_int_equal(r->hostname_count, 3);
	assert_span_equal(r->hostname_list[0], "a.x.com");
	assert_span_equal(r->hostname_list[1], "*.x.com");
	assert_span_equal(r->hostname_list[2], "*.com");
	config_case_done(&c);
}

TEST(every_rule_is_a_route_and_every_listener_has_its_own_references)
{
	static const char route[] = ROUTE(
		"app", "parentRefs: [{name: g, namespace: infra, port: 80}], rules: ["
		       "{name: one, matches: [{path: {type: Exact, value: /a}, method: GET}, {headers: "
		       "[{name: H, value: v}],"
		       "queryParams: [{type: RegularExpression, name: q, value: '.*'}]}], backendRefs: "
		       "[{name: s, port: 1, weight: 3,"
		       "filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: A, "
		       "value: b}]}}]}, {name: s, port: 1}]},"
		       "{filters: [{type: RequestRedirect, requestRedirect: {hostname: h.x, port: 8, "
		       "statusCode: 301,"
		       "path: {type: ReplacePrefixMatch, replacePrefixMatch: /n}}}]},"
		       "{timeouts: {request: 0s}, retry: {attempts: 0}, filters: ["
		       "{type: RequestMirror, requestMirror: {backendRef: {name: s, port: 1}, fraction: "
		       "{numerator: 1, denominator: 4}}},"
		       "{type: RequestMirror, requestMirror: {backendRef: {name: t, port: 1}, percent: 10}},"
		       "{type: URLRewrite, urlRewrite: {hostname: new.x, path: {type: ReplaceFullPath, "
		       "replaceFullPath: /z}}},"
		       "{type: ResponseHeaderModifier, responseHeaderModifier: {remove: [b], add: [{name: c, "
		       "value: d}]}}],"
		       "backendRefs: [{name: s, port: 1}]}]");
	static const char services[] =
		"{apiVersion: v1, kind: Service, metadata: {name: s, namespace: app}, spec: {ports: [{port: "
		"1}]}}\n---\n{apiVersion: v1, kind: Service, metadata: {name: t, namespace: app}, spec: "
		"{ports: [{port: 1}]}}\n";
	const char *texts[] = { GATEWAY, route, services };
	const struct redirect_policy *redirect;
	const struct mirror_policy *mirror;
	const struct retry_policy *retry;
	const struct url_rewrite *rewrite;
	const struct listener *all, *wild;
	const struct route *r;
	struct config_case c;

	config_case_texts(&c, texts, 3);
	config_case_accepted(&c);
	all = find_listener(&c, "infra/g.all");
	wild = find_listener(&c, "infra/g.wild");
	assert_int_equal(all->route_count, 3);
	r = &all->route_list[0];
	assert_span_equal(r->key, "app/r.0.0.all");
	assert_span_equal(r->rule_name, "one");
	assert_int_equal(r->match_count, 2);
	assert_int_equal(r->match_list[0].path_kind, PATH_EXACT);
	assert_span_equal(r->match_list[1].path, "/");
	assert_span_equal(r->match_list[1].header_list[0].name, "h");
	assert_int_equal(r->match_list[1].query_list[0].kind, TEXT_REGEX);
	assert_int_equal(weights_of(r), 4);
	assert_int_equal(r->backend_list[0].filters.value_count, 1);
	assert_ptr_equal(r->backend_list[0].backend, r->backend_list[1].backend);
	assert_ptr_not_equal(r->backend_list, wild->route_list[0].backend_list);
	assert_ptr_equal(r->backend_list[0].backend, wild->route_list[0].backend_list[0].backend);
	assert_span_equal(wild->route_list[0].key, "app/r.0.0.wild");

	r = &all->route_list[1];
	redirect = build_value_find(&r->inline_policies, POLICY_REDIRECT);
	assert_int_equal(redirect->status, 301);
	assert_int_equal(redirect->url.authority_kind, AUTHORITY_FULL);
	assert_span_equal(redirect->url.authority, "h.x:8");
	assert_int_equal(redirect->url.path_kind, PATH_PREFIX);

	r = &all->route_list[2];
	assert_int_equal(r->inline_policies.value_count, 6);
	assert_int_equal(r->inline_policies.value_list[0].kind, POLICY_TIMEOUT);
	/* No retries, whatever the gateway says. */
	assert_int_equal(r->inline_policies.value_list[1].kind, POLICY_RETRY);
	retry = r->inline_policies.value_list[1].object;
	assert_int_equal(retry->attempts, 0);
	mirror = r->inline_policies.value_list[2].object;
	assert_int_equal(mirror->per_million, 250000);
	assert_ptr_equal(mirror->backend, r->backend_list[0].backend);
	mirror = r->inline_policies.value_list[3].object;
	assert_int_equal(mirror->per_million, 100000);
	rewrite = build_value_find(&r->inline_policies, POLICY_URL_REWRITE);
	assert_span_equal(rewrite->authority, "new.x");
	assert_int_equal(rewrite->path_kind, PATH_FULL);
	assert_int_equal(c.snapshot->backend_count, 2);
	config_case_done(&c);
}

TEST(tcp_and_tls_routes_attach_to_their_listeners)
{
	static const char routes[] = "{apiVersion: gateway.networking.k8s.io/v1alpha2, kind: TCPRoute, "
				     "metadata: {name: t, namespace: app}, spec: {"
				     "parentRefs: [{name: g, namespace: infra}], rules: [{name: only, "
				     "backendRefs: [{name: s, port: 1}, {name: u, port: 1}]}]}}\n"
				     "---\n"
				     "{apiVersion: gateway.networking.k8s.io/v1alpha2, kind: TLSRoute, "
				     "metadata: {name: l, namespace: app}, spec: {"
				     "hostnames: [A.b.c], parentRefs: [{name: g, namespace: infra}], rules: "
				     "[{backendRefs: [{name: s, port: 1}]}]}}\n";
	const char *texts[] = { GATEWAY, routes };
	const struct listener *tcp, *tls;
	struct config_case c;

	config_case_texts(&c, texts, 2);
	config_case_accepted(&c);
	tcp = find_listener(&c, "infra/g.tcp");
	tls = find_listener(&c, "infra/g.tls");
	assert_int_equal(tcp->tcp_route_count, 1);
	assert_span_equal(tcp->tcp_route_list[0].key, "app/t.0.0.tcp");
	assert_span_equal(tcp->tcp_route_list[0].kind, "TCPRoute");
	assert_span_equal(tcp->tcp_route_list[0].rule_name, "only");
	assert_int_equal(weights_of(&tcp->tcp_route_list[0]), 2);
	assert_int_equal(tls->tcp_route_count, 1);
	assert_span_equal(tls->tcp_route_list[0].hostname_list[0], "a.b.c");
	assert_int_equal(find_listener(&c, "infra/g.all")->route_count, 0);
	config_case_done(&c);
}

TEST(gateways_share_ports_when_they_agree)
{
	static const char two[] = "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: "
				  "{name: a}, spec: {listeners: ["
				  "{name: x, port: 80, protocol: HTTP, hostname: a.x}]}}\n---\n"
				  "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: "
				  "{name: b}, spec: {gatewayClassName: c, listeners: ["
				  "{name: x, port: 80, protocol: HTTP, hostname: b.x}, {name: y, port: 8080, "
				  "protocol: TCP}]}}\n";
	struct config_case c;

	config_case_text(&c, two);
	config_case_accepted(&c);
	assert_int_equal(c.snapshot->bind_count, 2);
	assert_span_equal(c.snapshot->bind_list[0].key, "bind/80");
	assert_int_equal(c.snapshot->bind_list[0].listener_count, 2);
	assert_span_equal(c.snapshot->bind_list[0].listener_list[0].key, "default/a.x");
	assert_span_equal(c.snapshot->bind_list[0].listener_list[1].key, "default/b.x");
	config_case_done(&c);
}

TEST(a_list_is_taken_apart_and_other_kinds_are_skipped)
{
	struct config_case c;

	config_case_text(&c, "apiVersion: v1\n"
			     "kind: List\n"
			     "items:\n"
			     "- apiVersion: gateway.networking.k8s.io/v1\n"
			     "  kind: Gateway\n"
			     "  metadata: {name: g}\n"
			     "  spec: {listeners: [{name: h, port: 80, protocol: HTTP, foo: 1}]}\n"
			     "- apiVersion: apps/v1\n"
			     "  kind: Deployment\n"
			     "  metadata: {name: d}\n"
			     "- apiVersion: networking.istio.io/v1\n"
			     "  kind: Gateway\n"
			     "  metadata: {name: g}\n");
	assert_int_equal(c.result, 0);
	assert_int_equal(c.report.count[CONFIG_ERROR], 1);
	config_case_says(&c, CONFIG_ERROR,
			 "a.yaml:7:58: Gateway default/g: spec.listeners[0].foo: ", "unknown key \"foo\"");
	assert_int_equal(c.report.count[CONFIG_INFO], 2);
	config_case_says(&c, CONFIG_INFO, "a.yaml:8:3: Deployment default/d: ",
			 "skipped: objects of kind \"Deployment\" (\"apps/v1\") are not used");
	config_case_done(&c);
}

TEST(the_static_part_may_stand_beside_manifests)
{
	static const char gateway[] =
		"apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: g}\n"
		"spec: {listeners: [{name: h, port: 80, protocol: HTTP}]}\n";
	const char *good[] = { "config: {connectionTerminationDeadline: 1.5s}\n", gateway };
	const char *bad[] = { "config: {}\nbinds: []\n", gateway };
	struct config_case c;

	config_case_texts(&c, good, 2);
	config_case_accepted(&c);
	assert_int_equal(c.snapshot->config.termination_max_ns, 1500000000);
	assert_int_equal(c.snapshot->bind_count, 1);
	config_case_done(&c);
	config_case_texts(&c, bad, 2);
	assert_int_equal(c.result, -EINVAL);
	config_case_says(&c, CONFIG_ERROR, "a.yaml:1:1: ",
			 "next to Kubernetes manifests (b.yaml) may only have the section config");
	config_case_done(&c);
}

TEST(dollars_in_manifests_stay)
{
	static const char route[] = ROUTE(
		"infra", "parentRefs: [{name: g, sectionName: all}], rules: [{matches: [{path: {type: "
			 "RegularExpression, value: '^/$HOME$'}}], backendRefs: [{name: s, port: 1}]}]");
	const char *texts[] = { GATEWAY, route };
	struct config_case c;

	config_case_texts(&c, texts, 2);
	config_case_accepted(&c);
	assert_span_equal(find_listener(&c, "infra/g.all")->route_list[0].match_list[0].path, "^/$HOME$");
	config_case_done(&c);
}
