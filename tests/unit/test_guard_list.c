/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "policy/compile/precedence.h"
#include "policy/expression/expression.h"
#include "policy/guard/guard.h"
#include "tests/unit/policy_fixture.h"

static void put(struct fixture *f, enum place place, const char *key, bool is_gateway_phase)
{
	struct targeted_policy *policy =
		model_policy(&f->model, key, POLICY_CORS, objects[0], target_at(place));

	policy->is_gateway_phase = is_gateway_phase;
}

TEST(a_guard_of_the_gateway_phase_guards_its_listener_and_no_route)
{
	struct fixture f;

	fixture_init(&f);
	put(&f, AT_LISTENER, "l", true);
	fixture_compile(&f);
	assert_int_equal(f.listener->guards.count, 1);
	assert_true(span_eq(f.listener->guards.list[0].rule, SPAN("l")));
	assert_int_equal(f.route->effective.guards.count, 0);
	fixture_done(&f);
}

/* Nothing that a listener adds may be lost, nor decide for another one. */
TEST(rules_about_connections_add_up_for_each_listener_and_decide_at_once_where_all_agree)
{
	struct authorization_rule rules[2] = { 0 };
	struct authorization_policy policies[] = { { &rules[0], 1, 0 }, { &rules[1], 1, 0 } };
	struct expression expressions[2];

	for (size_t i = 0; i < 2; i++)
		rules[i].expression_list = &expressions[i];
	for (uint32_t attached = 0; attached <= 2; attached++) {
		struct fixture f;

		fixture_init(&f);
		for (uint32_t i = 0; i < attached; i++)
			fixture_put(&f, i ? AT_LISTENER : AT_GATEWAY, POLICY_NETWORK_AUTHORIZATION,
				    &policies[i], i ? "l" : "g");
		fixture_compile(&f);
		assert_int_equal(f.listener->guards.count, attached > 0);
		assert_int_equal(model_messages(&f.model, CONFIG_WARNING, ""), 0);
		if (attached) {
			const struct authorization_policy *all = f.listener->guards.list[0].object;

			assert_ptr_equal(guard_of_connections(&f.listener->guards), f.listener->guards.list);
			assert_int_equal(all->rule_count, attached);
		}
		assert_int_equal(f.bind->network != NULL,
				 attached == 1 || (attached && f.bind->listener_count == 1));
		assert_int_equal(f.route->effective.guards.count, 0);
		fixture_done(&f);
	}
}

TEST(rules_of_a_backend_add_up_for_its_references_and_are_refused_where_there_are_no_requests)
{
	struct authorization_rule rules[2] = { 0 };
	struct authorization_policy policies[] = { { &rules[0], 1, 0 }, { &rules[1], 1, 0 } };
	struct fixture f;

	fixture_init(&f);
	fixture_put(&f, AT_SERVICE, POLICY_BACKEND_AUTHORIZATION, &policies[0], "k");
	fixture_put(&f, IN_REF, POLICY_BACKEND_AUTHORIZATION, &policies[1], "");
	assert_int_equal(policy_compile(f.model.snapshot, &f.model.report), -EINVAL);
	assert_int_equal(model_messages(&f.model, CONFIG_ERROR, "would not apply to this route"), 1);
	assert_int_equal(f.ref->guards.count, 1);
	assert_int_equal(((const struct authorization_policy *)f.ref->guards.list[0].object)->rule_count, 2);
	assert_int_equal(f.route->effective.guards.count, 0);
	fixture_done(&f);
}

TEST(the_service_of_a_backend_decides_before_its_rules_and_is_the_most_specific_one)
{
	struct authorization_rule rule = { 0 };
	struct authorization_policy rules = { &rule, 1, 0 };
	struct ext_authz_policy outer = { 0 }, inner = { 0 };
	struct fixture f;

	fixture_init(&f);
	fixture_put(&f, AT_SERVICE, POLICY_BACKEND_AUTHORIZATION, &rules, "k");
	fixture_put(&f, AT_SERVICE, POLICY_BACKEND_EXT_AUTHZ, &outer, "e");
	fixture_put(&f, IN_REF, POLICY_BACKEND_EXT_AUTHZ, &inner, "");
	/* Of the fixture's TCP route. */
	assert_int_equal(policy_compile(f.model.snapshot, &f.model.report), -EINVAL);
	assert_int_equal(model_messages(&f.model, CONFIG_ERROR, "extAuthz of backend"), 1);
	assert_int_equal(f.ref->guards.count, 2);
	assert_ptr_equal(f.ref->guards.list[0].object, &inner);
	assert_int_equal(f.ref->guards.list[1].guard->kind, POLICY_BACKEND_AUTHORIZATION);
	assert_int_equal(f.route->effective.guards.count, 0);
	fixture_done(&f);
}

TEST(a_guard_of_the_route_phase_guards_the_routes_of_its_target)
{
	struct fixture f;

	fixture_init(&f);
	put(&f, AT_GATEWAY, "g", false);
	fixture_compile(&f);
	assert_int_equal(f.listener->guards.count, 0);
	assert_int_equal(f.route->effective.guards.count, 1);
	assert_true(span_eq(f.route->effective.guards.list[0].rule, SPAN("g")));
	fixture_done(&f);
}

TEST(both_phases_have_winners_of_their_own)
{
	struct fixture f;

	fixture_init(&f);
	put(&f, AT_GATEWAY, "a", true);
	put(&f, AT_LISTENER, "b", true);
	put(&f, AT_LISTENER, "c", false);
	put(&f, AT_RULE, "d", false);
	fixture_compile(&f);
	assert_true(span_eq(f.listener->guards.list[0].rule, SPAN("b")));
	assert_true(span_eq(f.route->effective.guards.list[0].rule, SPAN("d")));
	assert_int_equal(model_messages(&f.model, CONFIG_WARNING, ""), 0);
	fixture_done(&f);
}

TEST(a_refused_route_needs_no_guards)
{
	struct fixture f;

	fixture_init(&f);
	f.route->is_refused = true;
	put(&f, AT_GATEWAY, "g", false);
	fixture_compile(&f);
	assert_int_equal(f.route->effective.guards.count, 0);
	fixture_done(&f);
}

TEST(a_guard_that_would_guard_nothing_is_refused)
{
	static const struct {
		enum place place;
		bool is_gateway_phase;
		const char *words;
	} rows[] = {
		{ AT_SERVICE, false, "guards nothing: attach it to a gateway or a route" },
		{ AT_SERVICE, true, "guards nothing: attach it to a gateway or a route" },
		{ AT_ROUTE, true, "needs a gateway as its target" },
		{ AT_RULE, true, "needs a gateway as its target" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fixture f;

		fixture_init(&f);
		put(&f, rows[i].place, "k", rows[i].is_gateway_phase);
		assert_int_equal(policy_compile(f.model.snapshot, &f.model.report), -EINVAL);
		assert_int_equal(model_messages(&f.model, CONFIG_ERROR, rows[i].words), 1);
		fixture_done(&f);
	}
}

/* Of policies[] of a file; written at a listener; of a manifest. */
static const char *const written[] = { "Local", "", "AgentgatewayPolicy" };

/* A guard with a timeout beside it, which stays a warning. */
static void put_pair(struct fixture *f, struct policy_target target, const char *name_kind)
{
	static const enum policy_kind kind_list[] = { POLICY_CORS, POLICY_TIMEOUT };

	for (size_t i = 0; i < ARRAY_LEN(kind_list); i++) {
		struct targeted_policy *policy =
			model_policy(&f->model, i ? "t" : "g", kind_list[i], objects[0], target);

		policy->has_name = *name_kind;
		policy->name_kind = span_str(name_kind);
	}
}

TEST(a_guard_of_a_file_whose_target_lacks_the_part_or_serves_no_http_is_refused)
{
	const struct policy_target targets[] = {
		target_of(TARGET_ROUTE, "app", "shop", "none"),
		target_of(TARGET_GATEWAY, "infra", "gw", "none"),
		target_of(TARGET_GATEWAY, "infra", "gw", ""),
		target_of(TARGET_GATEWAY, "infra", "gw", "http"),
	};

	for (size_t k = 0; k < ARRAY_LEN(targets) * 2; k++) {
		size_t i = k / 2;
		struct fixture f;

		fixture_init(&f);
		f.listener->protocol = i < 2 ? PROTOCOL_HTTP : PROTOCOL_TCP;
		put_pair(&f, targets[i], written[k % 2]);
		assert_int_equal(policy_compile(f.model.snapshot, &f.model.report), -EINVAL);
		assert_int_equal(model_messages(&f.model, CONFIG_ERROR, "(cors on"), 1);
		assert_int_equal(model_messages(&f.model, CONFIG_ERROR, "guards nothing: nothing"), 1);
		assert_int_equal(model_messages(&f.model, CONFIG_WARNING, "has no effect"), i < 2);
		fixture_done(&f);
	}
}

TEST(a_guard_without_a_target_is_refused_in_a_file_that_is_complete)
{
	static const char *const kinds[] = { "", "GRPCRoute" };

	for (unsigned i = 0; i < 2 * ARRAY_LEN(written); i++) {
		struct policy_target target =
			target_of(TARGET_ROUTE, "app", kinds[i % 2][0] ? "shop" : "none", "");
		bool is_of_file = i / 2 < 2;
		struct fixture f;

		target.route_kind = span_str(kinds[i % 2]);
		fixture_init(&f);
		put_pair(&f, target, written[i / 2]);
		assert_int_equal(policy_compile(f.model.snapshot, &f.model.report), is_of_file ? -EINVAL : 0);
		assert_int_equal(model_messages(&f.model, CONFIG_ERROR, "guards nothing: nothing"),
				 is_of_file);
		assert_int_equal(model_messages(&f.model, CONFIG_WARNING, "has no effect"),
				 is_of_file ? 1 : 2);
		fixture_done(&f);
	}
}

/* Dropping one could drop a rule that denies. */
TEST(rules_of_more_policies_than_add_up_are_refused_attached_or_written_in_the_rule)
{
	static struct authorization_policy policies[PRECEDENCE_ADDED + 1];
	static const uint32_t attached_list[] = { PRECEDENCE_ADDED - 1, PRECEDENCE_ADDED,
						  PRECEDENCE_ADDED + 1 };

	for (size_t i = 0; i < ARRAY_LEN(attached_list); i++) {
		uint32_t attached = attached_list[i], inline_count = i < 2;
		struct fixture f;

		fixture_init(&f);
		for (uint32_t p = 0; p < attached; p++)
			fixture_put(&f, p % 2 ? AT_GATEWAY : AT_RULE, POLICY_AUTHORIZATION, &policies[p],
				    "k");
		if (inline_count)
			fixture_put(&f, IN_RULE, POLICY_AUTHORIZATION, &policies[attached], "");
		assert_int_equal(policy_compile(f.model.snapshot, &f.model.report), i ? -EINVAL : 0);
		assert_int_equal(model_messages(&f.model, CONFIG_ERROR, "join some of them"), i > 0);
		fixture_done(&f);
	}
}

/* Its backend is a service, whose messages the gateway does not read. */
TEST(policies_for_mcp_backends_are_refused_where_a_route_has_none)
{
	static const struct {
		enum policy_kind kind;
		const char *words;
	} rows[] = {
		{ POLICY_MCP_AUTHORIZATION, "mcpAuthorization does not guard this backend" },
		{ POLICY_MCP_AUTHENTICATION, "mcp.authentication guards nothing" },
	};
	static const struct {
		enum place place;
		bool is_refused;
	} places[] = { { AT_GATEWAY, false }, { AT_LISTENER, false }, { AT_ROUTE, true },
		       { AT_RULE, true },     { IN_RULE, true },      { IN_REF, true } };

	for (size_t i = 0; i < ARRAY_LEN(rows) * ARRAY_LEN(places); i++) {
		bool is_refused = places[i / 2].is_refused;
		struct fixture f;

		fixture_init(&f);
		fixture_put(&f, places[i / 2].place, rows[i % 2].kind, objects[0], "k");
		assert_int_equal(policy_compile(f.model.snapshot, &f.model.report), is_refused ? -EINVAL : 0);
		assert_int_equal(model_messages(&f.model, CONFIG_ERROR, rows[i % 2].words), is_refused);
		fixture_done(&f);
	}
}

/* agentgateway's; others may come between them. */
TEST(guards_decide_in_the_order_of_their_table)
{
	static const char *const names[] = {
		"networkAuthorization", "cors",		  "jwtAuth", "basicAuth", "apiKey",
		"authorization",	"localRateLimit", "buffer",  "csrf",
	};
	size_t next = 0;

	for (size_t i = 0; i < GUARD_COUNT; i++)
		next += next < ARRAY_LEN(names) && strcmp(guard_kinds[i].name, names[next]) == 0;
	assert_int_equal(next, ARRAY_LEN(names));
	for (size_t i = 0; i < GUARD_COUNT; i++) {
		assert_ptr_equal(guard_kind_of(guard_kinds[i].kind), &guard_kinds[i]);
		assert_true(guard_kinds[i].phases &
			    (GUARD_PHASE_ROUTE | GUARD_PHASE_CONNECTION | GUARD_PHASE_BACKEND));
	}
	assert_null(guard_kind_of(POLICY_TIMEOUT));
}
