/* SPDX-License-Identifier: Apache-2.0 */
/* Manifests about the choice of endpoints: sessions of rules, zones of slices. */
#include "policy/compile/effective.h"
#include "tests/unit/config_text.h"

#define MANIFESTS "tests/data/manifests/"

static void load(struct config_case *c, const char *config)
{
	const struct config_source list[] = {
		{ .path = MANIFESTS "gateway.yaml" },
		{ .path = MANIFESTS "session-persistence.yaml" },
		{ .path = "config.yaml", .has_text = true, .text = span_str(config) }
	};

	config_case_sources(c, list, ARRAY_LEN(list));
	config_case_accepted(c);
	if (c->report.count[CONFIG_WARNING])
		fail_msg("%s", config_case_lines(c, CONFIG_WARNING));
	assert_int_equal(policy_compile(c->snapshot, &c->report), 0);
}

static const struct route *route_of(const struct config_case *c, const char *key)
{
	const struct listener *listener = &c->snapshot->bind_list[0].listener_list[0];

	for (uint32_t i = 0; i < listener->route_count; i++)
		if (span_eq(listener->route_list[i].key, span_str(key)))
			return &listener->route_list[i];
	fail_msg("no route %s", key);
	return NULL;
}

TEST(rules_have_sessions_in_both_forms_of_gateway_api)
{
	static const struct {
		const char *key, *name, *scope, *path;
		enum session_type type;
		uint64_t absolute_s;
	} rows[] = {
		{ "shop/cart.0.0.http", "cart-session", "shop/cart/0", "/", SESSION_COOKIE, 3600 },
		{ "shop/cart.1.0.http", "cart-session", "shop/cart/1", "/v17", SESSION_COOKIE, 86400 },
		{ "shop/cart.2.0.http", "x-cart", "shop/cart/2", "/", SESSION_HEADER, 0 },
		{ "shop/cart-grpc.0.0.grpc.http", "cart-call", "shop/cart-grpc/0", "/", SESSION_HEADER, 0 },
	};
	struct config_case c;

	load(&c, "config: {via: true}\n");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct route_session *session = route_of(&c, rows[i].key)->effective.session;

		assert_non_null(session);
		assert_span_equal(session->name, rows[i].name);
		assert_span_equal(session->scope, rows[i].scope);
		assert_span_equal(session->policy->cookie.path, rows[i].path);
		assert_int_equal(session->policy->type, rows[i].type);
		assert_int_equal(session->policy->absolute.ns, rows[i].absolute_s * 1000000000);
		assert_int_equal(session->policy->cookie.lifetime,
				 i < 2 ? SESSION_LIFETIME_PERMANENT : SESSION_LIFETIME_SESSION);
	}
	assert_true(span_starts(route_of(&c, "shop/cart.3.0.http")->effective.session->name,
				SPAN("headgate-session-")));
	config_case_done(&c);
}

TEST(hints_of_slices_prefer_a_zone_where_the_gateway_knows_its_own)
{
	static const char *const zones[] = { "a", "b", "c" };
	static const char *const firsts[] = { "10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.1:8080" };
	static const uint32_t local[] = { 1, 2, 0 };

	for (size_t i = 0; i < ARRAY_LEN(zones); i++) {
		const struct backend *backend;
		struct config_case c;
		char config[32];

		snprintf(config, sizeof(config), "config: {zone: %s}\n", zones[i]);
		load(&c, config);
		backend = route_of(&c, "shop/cart.3.0.http")->backend_list[0].backend;
		assert_true(backend->prefers_zone);
		assert_span_equal(backend->endpoint_list[0].text, firsts[i]);
		assert_int_equal(backend->zone_groups.group_count, local[i] ? 2 : 0);
		if (local[i])
			assert_int_equal(backend->zone_groups.group_list[0].count, local[i]);
		config_case_done(&c);
	}
}

#define SLICES(second)                                                                                       \
	"{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: g, namespace: n}, "      \
	"spec: {listeners: [{name: l, port: 80, protocol: HTTP}]}}\n---\n"                                   \
	"{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: r, namespace: n}, "    \
	"spec: {parentRefs: [{name: g}], rules: [{backendRefs: [{name: s, port: 80}]}]}}\n---\n"             \
	"{apiVersion: v1, kind: Service, metadata: {name: s, namespace: n}, spec: {ports: [{port: 80}]}}\n"  \
	"---\n{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: s1, namespace: n, "    \
	"labels: {kubernetes.io/service-name: s}}, addressType: IPv4, ports: [{name: '', port: 80}], "       \
	"endpoints: [{addresses: [10.0.0.1], zone: a, hints: {forZones: [{name: a}]}}, {" second "}]}\n"

TEST(hints_count_only_if_all_endpoints_have_some)
{
	static const char *const texts[] = {
		SLICES("addresses: [10.0.0.2], hints: {forZones: [{name: b}]}"),
		SLICES("addresses: [10.0.0.2], zone: b"),
	};
	struct config_case c;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		const struct listener *listener;

		config_case_text(&c, texts[i]);
		config_case_accepted(&c);
		listener = &c.snapshot->bind_list[0].listener_list[0];
		assert_int_equal(listener->route_list[0].backend_list[0].backend->prefers_zone, i == 0);
		config_case_done(&c);
	}
}

#define RULE(session)                                                                                        \
	"{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: g, namespace: n}, "      \
	"spec: {listeners: [{name: l, port: 80, protocol: HTTP}]}}\n---\n"                                   \
	"{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: r, namespace: n}, "    \
	"spec: {parentRefs: [{name: g}], rules: [{backendRefs: [{name: s, port: 80}], sessionPersistence: "  \
	"{" session "}}]}}\n---\n"                                                                           \
	"{apiVersion: v1, kind: Service, metadata: {name: s, namespace: n}, spec: {ports: [{port: 80}]}}\n"

TEST(a_rule_with_a_wrong_session_is_refused)
{
	static const struct config_refusal rows[] = {
		{ RULE("cookieConfig: {lifetimeType: Permanent}"), "a.yaml:3:", "needs absoluteTimeout" },
		{ RULE("type: Coookie"), "a.yaml:3:", "Cookie" },
		{ RULE("absoluteTimeout: 1d"), "a.yaml:3:", "1d" },
		{ RULE("header: {name: a}"), "a.yaml:3:", "needs type: Header" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		config_refused(&rows[i]);
}
