/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/policy_fixture.h"

/* Policies of one kind on one object at one level: member by member. */

static const struct frontend_http idle = {
	.max_buffer_bytes = 1,
	.http1_idle_timeout_ns = 7,
	.sets_http1_idle_timeout = true,
};
static const struct frontend_http pings = {
	.max_buffer_bytes = 1,
	.http1_idle_timeout_ns = 600,
	.http2_keepalive_interval = { true, 5 },
	.http2_keepalive_timeout = { true, 6 },
};
static const struct frontend_http both = {
	.max_buffer_bytes = 2,
	.http1_idle_timeout_ns = 9,
	.sets_http1_idle_timeout = true,
	.sets_max_buffer = true,
	.http2_keepalive_interval = { true, 5 },
};

static void put(struct fixture *f, enum place place, const struct frontend_http *http, const char *key,
		int64_t created_s)
{
	uint32_t at = f->model.snapshot->policy_count;

	fixture_put(f, place, POLICY_FRONTEND_HTTP, http, key);
	f->model.snapshot->policy_list[at].created_s = created_s;
}

/* The policy of that key after sealing, which may have sorted them. */
static const struct targeted_policy *policy_of(const struct fixture *f, const char *key)
{
	uint32_t at = 0;

	while (at < f->model.snapshot->policy_count &&
	       !span_eq(f->model.snapshot->policy_list[at].key, span_str(key)))
		at++;
	assert_true(at < f->model.snapshot->policy_count);
	return &f->model.snapshot->policy_list[at];
}

static void assert_lost(const struct fixture *f, const char *key, const char *to, const char *member,
			uint32_t count)
{
	const struct targeted_policy *policy = policy_of(f, key);

	assert_true(span_eq(policy->lost_to, span_str(to)));
	assert_int_equal(policy->lost_count, count);
	if (count)
		assert_true(span_eq(policy->lost_list[0], span_str(member)));
}

/* The pages of the documentation about idle connections and about PINGs, both followed. */
TEST(members_that_only_one_policy_writes_all_apply)
{
	for (int order = 0; order < 2; order++) {
		struct fixture f;

		fixture_init(&f);
		put(&f, AT_GATEWAY, order ? &pings : &idle, "a", 1);
		put(&f, AT_GATEWAY, order ? &idle : &pings, "b", 2);
		fixture_compile(&f);
		assert_int_equal(f.bind->http->http1_idle_timeout_ns, 7);
		assert_int_equal(f.bind->http->http2_keepalive_interval.ns, 5);
		assert_int_equal(f.bind->http->http2_keepalive_timeout.ns, 6);
		assert_int_equal(f.bind->http->max_buffer_bytes, 1);
		assert_int_equal(f.model.report.count[CONFIG_WARNING], 0);
		assert_lost(&f, "a", "", "", 0);
		assert_lost(&f, "b", "", "", 0);
		fixture_done(&f);
	}
}

TEST(of_members_that_two_write_the_older_counts)
{
	struct fixture f;

	fixture_init(&f);
	put(&f, AT_GATEWAY, &both, "a-younger", 200);
	put(&f, AT_GATEWAY, &idle, "b-older", 100);
	fixture_compile(&f);
	assert_int_equal(f.bind->http->http1_idle_timeout_ns, 7);
	assert_int_equal(f.bind->http->max_buffer_bytes, 2);
	assert_int_equal(f.bind->http->http2_keepalive_interval.ns, 5);
	assert_lost(&f, "a-younger", "b-older", "http1IdleTimeout", 1);
	assert_lost(&f, "b-older", "", "", 0);
	assert_int_equal(f.model.report.count[CONFIG_WARNING], 1);
	assert_int_equal(model_messages(&f.model, CONFIG_WARNING,
					"sets http1IdleTimeout without effect where policy \"b-older\" does"),
			 1);
	fixture_done(&f);
}

TEST(three_policies_merge_and_the_same_value_is_no_clash)
{
	struct fixture f;

	fixture_init(&f);
	put(&f, AT_GATEWAY, &pings, "c", 300);
	put(&f, AT_GATEWAY, &idle, "a", 100);
	put(&f, AT_GATEWAY, &both, "b", 200);
	fixture_compile(&f);
	assert_int_equal(f.bind->http->http1_idle_timeout_ns, 7);
	assert_int_equal(f.bind->http->max_buffer_bytes, 2);
	assert_int_equal(f.bind->http->http2_keepalive_timeout.ns, 6);
	assert_lost(&f, "b", "a", "http1IdleTimeout", 1);
	/* The interval is the same in both. */
	assert_lost(&f, "c", "", "", 0);
	assert_int_equal(f.model.report.count[CONFIG_WARNING], 1);
	fixture_done(&f);
}

/* The connection is there before its listener is known: only what comes after a request can differ. */
TEST(of_listeners_that_share_a_port_each_may_have_its_idle_time)
{
	struct listener *other;
	struct fixture f;

	fixture_init(&f);
	other = model_listener(&f.model, f.bind, "infra", "gw", "other", "x.example.com");
	put(&f, AT_LISTENER, &idle, "a", 1);
	put(&f, AT_GATEWAY, &pings, "b", 2);
	fixture_compile(&f);
	assert_ptr_equal(f.bind->http, &pings);
	assert_int_equal(f.bind->listener_list[0].http1_idle.ns, 7);
	assert_true(other->http1_idle.is_set);
	assert_int_equal(other->http1_idle.ns, 600);
	assert_int_equal(f.model.report.count[CONFIG_WARNING], 0);
	fixture_done(&f);

	fixture_init(&f);
	other = model_listener(&f.model, f.bind, "infra", "gw", "other", "x.example.com");
	put(&f, AT_LISTENER, &both, "a", 1);
	fixture_compile(&f);
	assert_ptr_equal(f.bind->http, &frontend_http_default);
	assert_int_equal(f.bind->listener_list[0].http1_idle.ns, 9);
	assert_int_equal(model_messages(&f.model, CONFIG_WARNING, "effect except for http1IdleTimeout"), 1);
	fixture_done(&f);

	/* Without such a policy a request changes nothing. */
	fixture_init(&f);
	other = model_listener(&f.model, f.bind, "infra", "gw", "other", "x.example.com");
	put(&f, AT_GATEWAY, &idle, "a", 1);
	fixture_compile(&f);
	assert_false(f.bind->listener_list[0].http1_idle.is_set || other->http1_idle.is_set);
	fixture_done(&f);
}

/* They are asked for when a request has chosen its listener. */
TEST(of_listeners_that_share_a_port_each_may_have_its_rules_for_requests)
{
	static const struct frontend_http raw = { .normalize_path = NORMALIZE_OFF,
						  .trace = TRACE_METHOD_FORWARD };
	static const struct frontend_http lax = { .escaped_slashes = ESCAPED_KEEP,
						  .trace = TRACE_METHOD_DENY,
						  .semicolons = SEMICOLONS_STRIP,
						  .underscores = UNDERSCORES_DROP };
	const struct listener *other;
	struct fixture f;

	fixture_init(&f);
	other = model_listener(&f.model, f.bind, "infra", "gw", "other", "x.example.com");
	put(&f, AT_LISTENER, &raw, "a", 1);
	put(&f, AT_GATEWAY, &lax, "b", 2);
	fixture_compile(&f);
	assert_int_equal(f.bind->listener_list[0].rules.normalize_path, NORMALIZE_OFF);
	assert_int_equal(f.bind->listener_list[0].rules.escaped_slashes, ESCAPED_KEEP);
	assert_int_equal(f.bind->listener_list[0].rules.trace, TRACE_METHOD_FORWARD);
	assert_int_equal(f.bind->listener_list[0].rules.underscores, UNDERSCORES_DROP);
	assert_int_equal(f.bind->listener_list[0].rules.semicolons, SEMICOLONS_STRIP);
	assert_int_equal(other->rules.normalize_path, 0);
	assert_int_equal(other->rules.escaped_slashes, ESCAPED_KEEP);
	assert_int_equal(other->rules.trace, TRACE_METHOD_DENY);
	assert_int_equal(f.model.report.count[CONFIG_WARNING], 0);
	fixture_done(&f);

	/* Of another gateway on the port nothing is taken over. */
	fixture_init(&f);
	other = model_listener(&f.model, f.bind, "infra", "second", "other", "x.example.com");
	put(&f, AT_GATEWAY, &raw, "a", 1);
	fixture_compile(&f);
	assert_int_equal(f.bind->listener_list[0].rules.normalize_path, NORMALIZE_OFF);
	assert_int_equal(other->rules.normalize_path, 0);
	fixture_done(&f);

	/* The only listener: what is in force for its connections. */
	fixture_init(&f);
	put(&f, AT_LISTENER, &raw, "a", 1);
	put(&f, AT_GATEWAY, &lax, "b", 2);
	fixture_compile(&f);
	assert_int_equal(f.listener->rules.normalize_path, NORMALIZE_OFF);
	assert_int_equal(f.listener->rules.escaped_slashes, 0);
	fixture_done(&f);
}

/* As before for whoever has nothing left. */
TEST(a_policy_that_loses_all_of_it_has_no_effect)
{
	static const struct frontend_http other = { .http1_idle_timeout_ns = 8,
						    .sets_http1_idle_timeout = true };
	struct fixture f;

	fixture_init(&f);
	put(&f, AT_GATEWAY, &idle, "a", 100);
	put(&f, AT_GATEWAY, &other, "b", 200);
	fixture_compile(&f);
	assert_ptr_equal(f.bind->http, &idle);
	assert_lost(&f, "b", "a", "http1IdleTimeout", 1);
	assert_int_equal(model_messages(&f.model, CONFIG_WARNING, "has no effect where policy \"a\""), 1);
	fixture_done(&f);
}

TEST(a_stronger_level_is_not_filled_from_a_weaker_one)
{
	struct fixture f;

	fixture_init(&f);
	put(&f, AT_GATEWAY, &pings, "a", 100);
	put(&f, AT_GATEWAY, &idle, "b", 100);
	put(&f, AT_GATEWAY_PORT, &both, "c", 200);
	fixture_compile(&f);
	assert_ptr_equal(f.bind->http, &both);
	assert_int_equal(f.model.report.count[CONFIG_WARNING], 0);
	fixture_done(&f);
}

TEST(timeouts_and_the_http_of_backends_merge_retries_do_not)
{
	static const struct timeout_policy request = { .request = { true, 1 } };
	static const struct timeout_policy attempt = { .backend_request = { true, 2 } };
	static const struct backend_http version = { .version = BACKEND_HTTP2 };
	static const struct backend_http limit = { .request_timeout = { true, 3 } };
	static const struct retry_policy one = { .attempts = 1 }, two = { .attempts = 2 };
	struct fixture f;

	fixture_init(&f);
	fixture_put(&f, AT_ROUTE, POLICY_TIMEOUT, &request, "a");
	fixture_put(&f, AT_ROUTE, POLICY_TIMEOUT, &attempt, "b");
	fixture_put(&f, AT_SERVICE, POLICY_BACKEND_HTTP, &version, "c");
	fixture_put(&f, AT_SERVICE, POLICY_BACKEND_HTTP, &limit, "d");
	fixture_put(&f, AT_RULE, POLICY_RETRY, &one, "e");
	fixture_put(&f, AT_RULE, POLICY_RETRY, &two, "f");
	fixture_compile(&f);
	assert_int_equal(f.route->effective.timeout->request.ns, 1);
	assert_int_equal(f.route->effective.timeout->backend_request.ns, 2);
	assert_int_equal(f.ref->http->version, BACKEND_HTTP2);
	assert_int_equal(f.ref->http->request_timeout.ns, 3);
	assert_ptr_equal(f.route->effective.retry, &one);
	assert_int_equal(f.model.report.count[CONFIG_WARNING], 1);
	assert_lost(&f, "f", "e", "", 0);
	fixture_done(&f);
}

TEST_GROUP(NULL, NULL);
