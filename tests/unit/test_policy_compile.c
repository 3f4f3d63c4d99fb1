/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>

#include "tests/lib/alloc.h"
#include "tests/unit/policy_fixture.h"
#include "user/base/limits.h"

/* ---- binds */

TEST(without_a_policy_connections_get_the_defaults)
{
	struct fixture f;

	fixture_init(&f);
	fixture_compile(&f);
	assert_ptr_equal(f.bind->http, &frontend_http_default);
	assert_int_equal(f.bind->http->max_buffer_bytes, 2097152);
	assert_int_equal(f.bind->http->http1_idle_timeout_ns, 600000000000);
	assert_false(f.bind->http->http1_max_headers.is_set);
	assert_null(f.bind->tcp);
	assert_null(f.model.snapshot->access_log);
	fixture_done(&f);
}

TEST(a_port_policy_means_one_bind_of_the_gateway)
{
	struct fixture f;
	struct bind *other;

	fixture_init(&f);
	other = model_bind(&f.model, 8081);
	model_listener(&f.model, other, "infra", "gw", "second", "");
	fixture_put(&f, AT_GATEWAY_PORT, POLICY_FRONTEND_TCP, objects[0], "port");
	fixture_put(&f, AT_GATEWAY, POLICY_FRONTEND_TCP, objects[1], "all");
	fixture_compile(&f);
	assert_ptr_equal(f.bind->tcp, objects[0]);
	assert_ptr_equal(other->tcp, objects[1]);
	assert_int_equal(f.model.report.count[CONFIG_WARNING], 0);
	fixture_done(&f);
}

TEST(a_listener_policy_for_connections_needs_the_port_for_itself)
{
	struct fixture f;

	fixture_init(&f);
	model_listener(&f.model, f.bind, "infra", "gw", "other", "x.example.com");
	fixture_put(&f, AT_LISTENER, POLICY_FRONTEND_TCP, objects[0], "k");
	fixture_put(&f, AT_LISTENER, POLICY_TIMEOUT, objects[1], "t");
	fixture_compile(&f);
	assert_null(f.bind->tcp);
	assert_ptr_equal(f.route->effective.timeout, objects[1]);
	assert_false(f.model.snapshot->policy_list[0].is_attached);
	assert_int_equal(model_messages(&f.model, CONFIG_WARNING, "attach it to the gateway"), 1);
	assert_int_equal(f.model.report.count[CONFIG_WARNING], 1);
	fixture_done(&f);
}

TEST(two_gateways_on_one_port_share_the_stronger_policy)
{
	struct fixture f;

	fixture_init(&f);
	model_listener(&f.model, f.bind, "infra", "second", "other", "x.example.com");
	model_policy(&f.model, "b", POLICY_FRONTEND_TCP, objects[0],
		     target_of(TARGET_GATEWAY, "infra", "gw", ""));
	model_policy(&f.model, "a", POLICY_FRONTEND_TCP, objects[1],
		     target_of(TARGET_GATEWAY, "infra", "second", ""));
	fixture_compile(&f);
	assert_ptr_equal(f.bind->tcp, objects[1]);
	assert_int_equal(f.model.report.count[CONFIG_WARNING], 1);
	fixture_done(&f);
}

TEST(the_access_log_policy_is_for_the_process)
{
	struct fixture f;

	fixture_init(&f);
	fixture_put(&f, AT_GATEWAY, POLICY_FRONTEND_ACCESS_LOG, objects[0], "a");
	fixture_put(&f, AT_GATEWAY, POLICY_FRONTEND_ACCESS_LOG, objects[1], "b");
	model_policy(&f.model, "0", POLICY_FRONTEND_ACCESS_LOG, objects[1],
		     target_of(TARGET_GATEWAY, "infra", "none", ""));
	fixture_compile(&f);
	assert_ptr_equal(f.model.snapshot->access_log, objects[0]);
	assert_int_equal(f.model.report.count[CONFIG_WARNING], 2);
	fixture_done(&f);
}

/* ---- routes and references */

TEST(all_mirrors_of_a_rule_apply)
{
	static const struct mirror_policy first, second;
	struct fixture f;

	fixture_init(&f);
	fixture_put(&f, AT_ROUTE, POLICY_MIRROR, objects[0], "weak");
	fixture_put(&f, IN_RULE, POLICY_MIRROR, &first, "");
	fixture_put(&f, IN_RULE, POLICY_TIMEOUT, objects[1], "");
	fixture_put(&f, IN_RULE, POLICY_MIRROR, &second, "");
	fixture_compile(&f);
	assert_int_equal(f.route->effective.mirror_count, 2);
	assert_ptr_equal(f.route->effective.mirror_list[0], &first);
	assert_ptr_equal(f.route->effective.mirror_list[1], &second);
	fixture_done(&f);
}

TEST(a_mirror_gets_what_belongs_to_its_backend)
{
	struct mirror_policy mirror = { 0 };
	struct backend_ref ref = { .service_port = 80 };
	struct fixture f;

	fixture_init(&f);
	ref.backend = f.backend;
	mirror.ref = &ref;
	fixture_put(&f, AT_GATEWAY, POLICY_MIRROR, &mirror, "m");
	fixture_put(&f, AT_SERVICE_PORT, POLICY_BACKEND_TCP, objects[0], "s");
	fixture_put(&f, AT_RULE, POLICY_BACKEND_TCP, objects[1], "r");
	fixture_compile(&f);
	assert_ptr_equal(ref.tcp, objects[0]);
	assert_ptr_equal(f.ref->tcp, objects[1]);
	fixture_done(&f);
}

TEST(weights_labels_and_lanes_are_filled_in)
{
	struct fixture f;

	fixture_init(&f);
	model_ref(&f.model, f.route, f.backend, 41)->splice_off = true;
	f.tcp_route->splice_off = true;
	fixture_compile(&f);
	assert_int_equal(f.route->weight_sum, 42);
	assert_int_equal(f.tcp_route->weight_sum, 1);
	assert_text(f.route->label, "app/shop");
	assert_text(f.tcp_route->label, "app/shop");
	assert_text(f.listener->gateway_label, "infra/gw");
	assert_false(f.route->backend_list[0].splice_off);
	assert_true(f.route->backend_list[1].splice_off);
	assert_true(f.tcp_ref->splice_off);
	fixture_done(&f);
}

TEST(the_backend_may_switch_lanes_off)
{
	struct fixture f;

	fixture_init(&f);
	f.backend->splice_off = true;
	fixture_compile(&f);
	assert_true(f.ref->splice_off);
	assert_true(f.tcp_ref->splice_off);
	fixture_done(&f);
}

TEST(a_backend_on_this_host_is_paired_where_nobody_says_off)
{
	struct fixture f;

	fixture_init(&f);
	f.backend->is_same_host = true;
	f.tcp_route->splice_off = true;
	fixture_compile(&f);
	assert_true(f.ref->is_same_host);
	assert_false(f.tcp_ref->is_same_host);
	fixture_done(&f);

	fixture_init(&f);
	f.ref->is_same_host = true;
	f.listener->splice_off = true;
	fixture_compile(&f);
	assert_true(f.ref->splice_off && f.tcp_ref->splice_off);
	assert_false(f.ref->is_same_host || f.tcp_ref->is_same_host);
	fixture_done(&f);
}

TEST(clients_of_a_port_are_of_this_host_where_all_its_listeners_say_so)
{
	struct fixture f;
	struct listener *other;

	fixture_init(&f);
	f.listener->is_same_host = true;
	fixture_compile(&f);
	assert_true(f.bind->is_same_host);
	fixture_done(&f);

	fixture_init(&f);
	f.listener->is_same_host = true;
	other = model_listener(&f.model, f.bind, "infra", "gw", "other", "x.example.com");
	fixture_compile(&f);
	assert_false(f.bind->is_same_host);
	assert_false(other->is_same_host);
	fixture_done(&f);
}

TEST(weights_that_overflow_are_refused)
{
	struct fixture f;

	fixture_init(&f);
	model_ref(&f.model, f.route, f.backend, UINT64_MAX);
	assert_int_equal(policy_compile(f.model.snapshot, &f.model.report), -EINVAL);
	assert_int_equal(model_messages(&f.model, CONFIG_ERROR, "add up to more than 2^64"), 1);
	fixture_done(&f);
}

/* ---- expressions */

TEST(each_expression_is_compiled_once)
{
	struct route_match *first, *second;
	struct fixture f;

	fixture_init(&f);
	first = model_match(&f.model, f.route, PATH_REGEX, "/a+");
	model_header(&f.model, first, "x", TEXT_REGEX, "b+");
	second = model_match(&f.model, f.route, PATH_REGEX, "b+");
	model_query(&f.model, second, "q", TEXT_REGEX, "/a+");
	fixture_compile(&f);
	assert_non_null(first->path_regex);
	assert_ptr_equal(first->path_regex, second->query_list[0].regex);
	assert_ptr_equal(second->path_regex, first->header_list[0].regex);
	assert_ptr_not_equal(first->path_regex, second->path_regex);
	fixture_done(&f);
}

TEST(all_bad_expressions_and_names_are_reported_with_their_place)
{
	struct route_match *match;
	struct fixture f;

	fixture_init(&f);
	match = model_match(&f.model, f.route, PATH_REGEX, "/(a");
	match->where = SPAN("f.yaml:3:5: routes[0].path");
	model_header(&f.model, match, ":host", TEXT_EXACT, "b");
	model_header(&f.model, match, "x", TEXT_REGEX, "[z");
	assert_int_equal(policy_compile(f.model.snapshot, &f.model.report), -EINVAL);
	assert_int_equal(f.model.report.count[CONFIG_ERROR], 3);
	assert_int_equal(model_messages(&f.model, CONFIG_ERROR,
					"f.yaml:3:5: routes[0].path: the regular expression "
					"\"/(a\" does not compile: \"/(a\" has a missing closing )"),
			 1);
	assert_int_equal(model_messages(&f.model, CONFIG_ERROR, "expression \"[z\""), 1);
	assert_int_equal(model_messages(&f.model, CONFIG_ERROR, "no pseudo header \":host\""), 1);
	fixture_done(&f);
}

TEST(a_configuration_has_a_bounded_number_of_expressions)
{
	struct text_match *list;
	struct fixture f;

	for (unsigned excess = 0; excess < 2; excess++) {
		struct route_match *match;

		fixture_init(&f);
		match = model_match(&f.model, f.route, PATH_PREFIX_SEGMENTS, "/");
		list = model_take(&f.model, (LIMIT_REGEX_COUNT + 2) * sizeof(*list));
		for (unsigned i = 0; i < LIMIT_REGEX_COUNT + 2; i++) {
			/* The last two are alike: a pattern that is there already, or one too many. */
			unsigned number = i < LIMIT_REGEX_COUNT ? i : excess ? LIMIT_REGEX_COUNT : 7;
			char *pattern = model_take(&f.model, 16);

			list[i] = (struct text_match){ .name = SPAN("x"), .kind = TEXT_REGEX };
			list[i].value = span_of(pattern, (size_t)snprintf(pattern, 16, "a%u", number));
		}
		match->header_list = list;
		match->header_count = LIMIT_REGEX_COUNT + 2;
		assert_int_equal(policy_compile(f.model.snapshot, &f.model.report), excess ? -EINVAL : 0);
		assert_int_equal(f.model.report.count[CONFIG_ERROR], excess);
		assert_int_equal(model_messages(&f.model, CONFIG_ERROR, "4096 different regular"), excess);
		fixture_done(&f);
	}
}

/* ---- memory */

static int count_rule(void *context, const struct watched_route *watched)
{
	unsigned *count = context;

	assert_non_null(watched->precedence->candidate_list);
	assert_non_null(watched->ref_list[0].candidate_list);
	++*count;
	return 0;
}

/* context: not NULL if somebody looks on. */
static int compile_once(void *context)
{
	unsigned count = 0;
	struct arena arena;
	const struct route_watch watch = { SPAN("app/shop"), &arena, count_rule, &count };
	static const struct mirror_policy mirror;
	struct route_match *match;
	struct fixture f;
	int result;

	arena_init(&arena, 4096);
	fixture_build(&f);
	result = -ENOMEM;
	if (!f.model.failed) {
		match = model_match(&f.model, f.route, PATH_REGEX, "/a+");
		model_header(&f.model, match, "x", TEXT_REGEX, "b+");
		model_match(&f.model, f.route, PATH_PREFIX_SEGMENTS, "/b");
		model_match(&f.model, f.route, PATH_EXACT, "/c");
		for (enum place place = 0; place < PLACE_COUNT; place++)
			fixture_put(&f, place, POLICY_BACKEND_TCP, objects[0], "k");
		fixture_put(&f, AT_GATEWAY, POLICY_RETRY, objects[0], "1");
		fixture_put(&f, AT_GATEWAY, POLICY_RETRY, objects[1], "2");
		fixture_put(&f, IN_RULE, POLICY_MIRROR, &mirror, "");
		model_policy(&f.model, "3", POLICY_TIMEOUT, objects[0],
			     target_of(TARGET_GATEWAY, "app", "gw", ""));
		model_policy(&f.model, "4", POLICY_TIMEOUT, objects[0],
			     target_of(TARGET_ROUTE, "app", "none", ""));
	}
	if (!f.model.failed)
		result = policy_compile_watched(f.model.snapshot, &f.model.report, context ? &watch : NULL);
	if (f.model.snapshot)
		fixture_done(&f);
	arena_done(&arena);
	assert_true(result || count == (context ? 2 : 0));
	return result;
}

TEST(sealing_survives_every_failed_allocation)
{
	assert_true(alloc_fail_each(compile_once, NULL) > 10);
	assert_true(alloc_fail_each(compile_once, (void *)"watched") > 10);
}

TEST(a_route_is_watched_by_its_name_with_or_without_namespace_and_rule)
{
	static const struct {
		const char *name;
		bool fits;
	} cases[] = { { "api", true },		{ "ns/api", true },	{ "api/rule1", true },
		      { "ns/api/rule1", true }, { "ap", false },	{ "apis", false },
		      { "api/", false },	{ "api/rule2", false }, { "ns/ap", false },
		      { "ns", false },		{ "", false },		{ "/api", false },
		      { "ns/api/", false } };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct route_watch watch = { .name = span_str(cases[i].name) };

		if (route_watch_fits(&watch, SPAN("ns/api"), SPAN("rule1")) != cases[i].fits)
			fail_msg("%s", cases[i].name);
	}
}

TEST(an_empty_snapshot_can_be_compiled)
{
	struct model m;

	model_init(&m);
	assert_int_equal(policy_compile(m.snapshot, &m.report), 0);
	model_done(&m);
}
