/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/compile/attach.h"

#include "tests/unit/policy_fixture.h"

/* ---- targets */

static const struct missing {
	enum target_kind kind;
	const char *namespace;
	const char *name;
	const char *section;
	uint16_t port;
	const char *route_kind;
	enum policy_kind policy;
	const char *message;
} missings[] = {
	{ TARGET_GATEWAY, "infra", "none", "", 0, "", POLICY_TIMEOUT, "gateway \"infra/none\"" },
	{ TARGET_GATEWAY, "infra", "gw", "none", 0, "", POLICY_TIMEOUT,
	  "listener \"none\" of gateway \"infra/gw\"" },
	{ TARGET_GATEWAY, "infra", "gw", "", 81, "", POLICY_TIMEOUT, "gateway \"infra/gw\" port 81" },
	{ TARGET_ROUTE, "app", "none", "", 0, "", POLICY_TIMEOUT, "route \"app/none\"" },
	{ TARGET_ROUTE, "infra", "shop", "", 0, "", POLICY_TIMEOUT, "route \"infra/shop\"" },
	{ TARGET_ROUTE, "app", "shop", "second", 0, "", POLICY_TIMEOUT,
	  "rule \"second\" of route \"app/shop\"" },
	{ TARGET_ROUTE, "app", "shop", "", 0, "GRPCRoute", POLICY_TIMEOUT, "route \"app/shop\"" },
	{ TARGET_SERVICE, "app", "none.app.svc.cluster.local", "", 0, "", POLICY_BACKEND_TCP,
	  "service \"app/none" },
	{ TARGET_SERVICE, "infra", "svc.app.svc.cluster.local", "", 0, "", POLICY_BACKEND_TCP,
	  "service \"infra/svc" },
	{ TARGET_SERVICE, "app", "svc.app.svc.cluster.local", "", 81, "", POLICY_BACKEND_TCP, "port 81" },
	{ TARGET_BACKEND, "", "none", "", 0, "", POLICY_BACKEND_TCP, "backend \"none\"" },
	{ TARGET_BACKEND, "app", "app/svc.app.svc.cluster.local", "", 0, "", POLICY_BACKEND_TCP,
	  "backend \"app/app" },
};

TEST(policies_without_a_target_are_kept_and_warned_about)
{
	for (size_t i = 0; i < ARRAY_LEN(missings); i++) {
		const struct missing *missing = &missings[i];
		struct policy_target target =
			target_of(missing->kind, missing->namespace, missing->name, missing->section);
		struct targeted_policy *policy;
		struct fixture f;

		target.port = missing->port;
		target.route_kind = span_str(missing->route_kind);
		fixture_init(&f);
		policy = model_policy(&f.model, "some-key", missing->policy, objects[0], target);
		policy->is_attached = true;
		fixture_compile(&f);
		assert_false(policy->is_attached);
		assert_int_equal(f.model.snapshot->policy_count, 1);
		assert_null(f.route->effective.timeout);
		assert_null(f.ref->tcp);
		if (model_messages(&f.model, CONFIG_WARNING, missing->message) != 1 ||
		    model_messages(&f.model, CONFIG_WARNING, "has no effect") != 1)
			fail_msg("row %zu: %.*s", i, SPAN_FMT(f.model.report.message_list[0].text));
		fixture_done(&f);
	}
}

TEST(a_kind_that_cannot_work_on_its_target_is_warned_about)
{
	static const struct {
		enum policy_kind kind;
		enum place place;
		const char *message;
	} cases[] = {
		{ POLICY_TIMEOUT, AT_SERVICE, "(timeout on service" },
		{ POLICY_RETRY, AT_SERVICE, "attach it to a gateway or a route" },
		{ POLICY_FRONTEND_HTTP, AT_ROUTE, "(hTTP on route" },
		{ POLICY_FRONTEND_TCP, AT_SERVICE, "attach it to a gateway" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct fixture f;

		fixture_init(&f);
		fixture_put(&f, cases[i].place, cases[i].kind, objects[0], "k");
		fixture_compile(&f);
		assert_int_equal(model_messages(&f.model, CONFIG_WARNING, cases[i].message), 1);
		assert_int_equal(f.model.report.count[CONFIG_WARNING], 1);
		assert_false(f.model.snapshot->policy_list[0].is_attached);
		fixture_done(&f);
	}
}

TEST(a_service_that_no_rule_names_is_a_target)
{
	struct fixture f;

	fixture_init(&f);
	model_backend(&f.model, BACKEND_HOST, "", "unused");
	model_policy(&f.model, "k", POLICY_BACKEND_TCP, objects[0],
		     target_of(TARGET_BACKEND, "", "unused", ""));
	fixture_compile(&f);
	assert_true(f.model.snapshot->policy_list[0].is_attached);
	assert_int_equal(f.model.report.count[CONFIG_WARNING], 0);
	fixture_done(&f);
}

/* ---- namespaces of gateways */

TEST(a_policy_reaches_the_only_gateway_of_that_name_elsewhere)
{
	struct targeted_policy *policy;
	struct fixture f;

	fixture_init(&f);
	policy = model_policy(&f.model, "k", POLICY_FRONTEND_TCP, objects[0],
			      target_of(TARGET_GATEWAY, "app", "gw", ""));
	fixture_compile(&f);
	assert_ptr_equal(f.bind->tcp, objects[0]);
	assert_true(policy->is_attached);
	assert_text(policy->target.namespace, "app");
	assert_text(policy->target.attach_namespace, "infra");
	assert_int_equal(
		model_messages(&f.model, CONFIG_WARNING, "in namespace \"infra\", the only one there is"), 1);
	assert_int_equal(f.model.report.count[CONFIG_WARNING], 1);
	fixture_done(&f);
}

TEST(with_several_gateways_of_that_name_elsewhere_it_reaches_none)
{
	struct targeted_policy *policy;
	struct fixture f;

	fixture_init(&f);
	model_listener(&f.model, model_bind(&f.model, 8081), "prod", "gw", "http", "");
	policy = model_policy(&f.model, "k", POLICY_FRONTEND_TCP, objects[0],
			      target_of(TARGET_GATEWAY, "app", "gw", ""));
	fixture_compile(&f);
	assert_null(f.bind->tcp);
	assert_false(policy->is_attached);
	assert_int_equal(model_messages(&f.model, CONFIG_WARNING, "2 others have one"), 1);
	assert_int_equal(f.model.report.count[CONFIG_WARNING], 1);
	fixture_done(&f);
}

TEST(the_gateway_of_the_own_namespace_is_preferred)
{
	struct fixture f;

	fixture_init(&f);
	model_listener(&f.model, model_bind(&f.model, 8081), "app", "gw", "http", "");
	model_policy(&f.model, "k", POLICY_FRONTEND_TCP, objects[0],
		     target_of(TARGET_GATEWAY, "app", "gw", ""));
	fixture_compile(&f);
	assert_null(f.bind->tcp);
	assert_ptr_equal(f.model.snapshot->bind_list[1].tcp, objects[0]);
	assert_int_equal(f.model.report.count[CONFIG_WARNING], 0);
	fixture_done(&f);
}

TEST(a_policy_from_elsewhere_loses_against_one_of_the_gateways_namespace)
{
	struct fixture f;

	fixture_init(&f);
	model_policy(&f.model, "a", POLICY_FRONTEND_TCP, objects[0],
		     target_of(TARGET_GATEWAY, "app", "gw", ""))
		->created_s = 1;
	model_policy(&f.model, "b", POLICY_FRONTEND_TCP, objects[1],
		     target_of(TARGET_GATEWAY, "infra", "gw", ""));
	fixture_compile(&f);
	assert_ptr_equal(f.bind->tcp, objects[1]);
	assert_int_equal(model_messages(&f.model, CONFIG_WARNING, "is in the namespace of the gateway"), 1);
	fixture_done(&f);
}
