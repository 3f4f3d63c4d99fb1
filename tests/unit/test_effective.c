/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>

#include "policy/guard/guard.h"
#include "tests/unit/policy_fixture.h"

static const char *const place_names[PLACE_COUNT] = {
	"gateway",
	"gateway port",
	"listener",
	"service",
	"service port",
	"route",
	"rule",
	"in the rule",
	"in the backend",
	"in the reference",
	"in the filters of the reference",
};

/* One of two. A retry policy of zeros is one that switches off, and none of these. */
static const void *object_for(enum policy_kind kind, int i)
{
	static const struct retry_policy retries[2] = { { .attempts = 1 }, { .attempts = 1 } };

	return kind == POLICY_RETRY ? (const void *)&retries[i] : objects[i];
}

/* ---- what applies after sealing */

enum owner {
	OWNER_BIND,
	OWNER_ROUTE,
	OWNER_REF,
	OWNER_TCP_REF,
};

static const void *object_of_ref(const struct backend_ref *ref, enum policy_kind kind)
{
	if (kind == POLICY_BACKEND_HTTP)
		return ref->http;
	if (kind == POLICY_BACKEND_TCP)
		return ref->tcp;
	if (kind == POLICY_BACKEND_TLS)
		return ref->tls;
	if (kind == POLICY_CIRCUIT_BREAKER)
		return ref->breaker;
	if (kind == POLICY_BACKEND_HEALTH)
		return ref->health;
	if (kind == POLICY_BACKEND_AUTH)
		return ref->auth;
	if (kind == POLICY_BACKEND_TRANSFORMATION)
		return ref->transformation;
	if (kind == POLICY_LOAD_BALANCER)
		return ref->balancer;
	if (kind == POLICY_SESSION_AFFINITY)
		return ref->affinity;
	if (kind == POLICY_BACKEND_PROXY)
		return ref->proxy;
	return kind == POLICY_REQUEST_HEADERS ? ref->request_headers : ref->response_headers;
}

static const void *object_of_route(const struct route_policies *effective, enum policy_kind kind)
{
	switch (kind) {
	case POLICY_TIMEOUT:
		return effective->timeout;
	case POLICY_RETRY:
		return effective->retry;
	case POLICY_DELAY:
		return effective->delay;
	case POLICY_REQUEST_HEADERS:
		return effective->request_headers;
	case POLICY_RESPONSE_HEADERS:
		return effective->response_headers;
	case POLICY_REDIRECT:
		return effective->redirect;
	case POLICY_URL_REWRITE:
		return effective->rewrite;
	case POLICY_HOST_REWRITE:
		return effective->host_rewrite;
	case POLICY_MIRROR:
		return effective->mirror_count ? effective->mirror_list[0] : NULL;
	case POLICY_DIRECT_RESPONSE:
		return effective->direct;
	case POLICY_CORS:
	case POLICY_JWT_AUTH:
	case POLICY_BASIC_AUTH:
	case POLICY_API_KEY:
	case POLICY_EXT_AUTHZ:
	case POLICY_REMOTE_RATE_LIMIT:
	case POLICY_AUTHORIZATION:
	case POLICY_CSRF:
	case POLICY_LIMITS:
	case POLICY_BUFFER:
	case POLICY_LOCAL_RATE_LIMIT:
	case POLICY_TRANSFORMATION:
		for (uint32_t i = 0; i < effective->guards.count; i++) {
			if (effective->guards.list[i].guard->kind == kind)
				return effective->guards.list[i].object;
		}
		return NULL;
	case POLICY_SESSION_PERSISTENCE:
		return effective->session ? effective->session->policy : NULL;
	case POLICY_FRONTEND_HTTP:
	case POLICY_FRONTEND_TCP:
	case POLICY_FRONTEND_TLS:
	case POLICY_FRONTEND_CONNECT:
	case POLICY_FRONTEND_PROXY:
	case POLICY_NETWORK_AUTHORIZATION:
	case POLICY_NETWORK_EXT_AUTHZ:
	case POLICY_FRONTEND_ACCESS_LOG:
	case POLICY_FRONTEND_METRICS:
	case POLICY_FRONTEND_TRACING:
	case POLICY_BACKEND_HTTP:
	case POLICY_BACKEND_TCP:
	case POLICY_BACKEND_TLS:
	case POLICY_BACKEND_HEALTH:
	case POLICY_CIRCUIT_BREAKER:
	case POLICY_BACKEND_PROXY:
	case POLICY_BACKEND_AUTH:
	case POLICY_BACKEND_TRANSFORMATION:
	case POLICY_LOAD_BALANCER:
	case POLICY_SESSION_AFFINITY:
	case POLICY_MCP_AUTHORIZATION:
	case POLICY_MCP_AUTHENTICATION:
	case POLICY_BACKEND_EXT_AUTHZ:
	case POLICY_BACKEND_AUTHORIZATION:
	case POLICY_KIND_COUNT:
		break;
	}
	fail_msg("kind %d does not belong to routes", kind);
	return NULL;
}

static const void *object_of(const struct fixture *f, enum owner owner, enum policy_kind kind)
{
	switch (owner) {
	case OWNER_BIND:
		return kind == POLICY_FRONTEND_HTTP	 ? (const void *)f->bind->http
		       : kind == POLICY_FRONTEND_TLS	 ? (const void *)f->bind->tls
		       : kind == POLICY_FRONTEND_CONNECT ? (const void *)f->bind->connect
		       : kind == POLICY_FRONTEND_PROXY	 ? (const void *)f->bind->proxy
							 : (const void *)f->bind->tcp;
	case OWNER_ROUTE:
		return object_of_route(&f->route->effective, kind);
	case OWNER_REF:
		return object_of_ref(f->ref, kind);
	case OWNER_TCP_REF:
		return object_of_ref(f->tcp_ref, kind);
	}
	return NULL;
}

/* ---- every place against every other */

#define BIT(place) (1u << (place))
#define GATEWAY_PLACES (BIT(AT_GATEWAY) | BIT(AT_GATEWAY_PORT) | BIT(AT_LISTENER))
#define ROUTE_PLACES (GATEWAY_PLACES | BIT(AT_ROUTE) | BIT(AT_RULE) | BIT(IN_RULE))
#define SERVICE_PLACES (BIT(AT_SERVICE) | BIT(AT_SERVICE_PORT) | BIT(IN_BACKEND))
#define REF_PLACES (ROUTE_PLACES | MODIFIER_PLACES)
#define MODIFIER_PLACES (SERVICE_PLACES | BIT(IN_REF) | BIT(IN_REF_FILTERS))
#define TCP_PLACES (GATEWAY_PLACES | BIT(AT_ROUTE) | BIT(AT_RULE) | SERVICE_PLACES)

/* Which places can set a kind for an owner; places outside the set must not. */
static const struct domain {
	enum policy_kind kind;
	enum owner owner;
	unsigned int places;
} domains[] = {
	{ POLICY_FRONTEND_HTTP, OWNER_BIND, GATEWAY_PLACES },
	{ POLICY_FRONTEND_TCP, OWNER_BIND, GATEWAY_PLACES },
	{ POLICY_FRONTEND_TLS, OWNER_BIND, GATEWAY_PLACES },
	{ POLICY_FRONTEND_CONNECT, OWNER_BIND, GATEWAY_PLACES },
	{ POLICY_FRONTEND_PROXY, OWNER_BIND, GATEWAY_PLACES },
	{ POLICY_TIMEOUT, OWNER_ROUTE, ROUTE_PLACES },
	{ POLICY_RETRY, OWNER_ROUTE, ROUTE_PLACES },
	{ POLICY_DELAY, OWNER_ROUTE, ROUTE_PLACES },
	{ POLICY_REQUEST_HEADERS, OWNER_ROUTE, ROUTE_PLACES },
	{ POLICY_RESPONSE_HEADERS, OWNER_ROUTE, ROUTE_PLACES },
	{ POLICY_REDIRECT, OWNER_ROUTE, ROUTE_PLACES },
	{ POLICY_URL_REWRITE, OWNER_ROUTE, ROUTE_PLACES },
	{ POLICY_HOST_REWRITE, OWNER_ROUTE, ROUTE_PLACES },
	{ POLICY_TRANSFORMATION, OWNER_ROUTE, ROUTE_PLACES },
	{ POLICY_MIRROR, OWNER_ROUTE, ROUTE_PLACES },
	{ POLICY_DIRECT_RESPONSE, OWNER_ROUTE, ROUTE_PLACES },
	{ POLICY_SESSION_PERSISTENCE, OWNER_ROUTE, ROUTE_PLACES },
	{ POLICY_CORS, OWNER_ROUTE, ROUTE_PLACES },
	{ POLICY_CSRF, OWNER_ROUTE, ROUTE_PLACES },
	{ POLICY_LOCAL_RATE_LIMIT, OWNER_ROUTE, ROUTE_PLACES },
	{ POLICY_LIMITS, OWNER_ROUTE, ROUTE_PLACES },
	{ POLICY_BUFFER, OWNER_ROUTE, ROUTE_PLACES },
	{ POLICY_BACKEND_HTTP, OWNER_REF, REF_PLACES },
	{ POLICY_BACKEND_TCP, OWNER_REF, REF_PLACES },
	{ POLICY_BACKEND_TLS, OWNER_REF, REF_PLACES },
	{ POLICY_BACKEND_HEALTH, OWNER_REF, REF_PLACES },
	{ POLICY_CIRCUIT_BREAKER, OWNER_REF, REF_PLACES },
	{ POLICY_BACKEND_PROXY, OWNER_REF, REF_PLACES },
	{ POLICY_BACKEND_AUTH, OWNER_REF, REF_PLACES },
	{ POLICY_BACKEND_TRANSFORMATION, OWNER_REF, REF_PLACES },
	{ POLICY_LOAD_BALANCER, OWNER_REF, REF_PLACES },
	{ POLICY_SESSION_AFFINITY, OWNER_REF, REF_PLACES },
	{ POLICY_REQUEST_HEADERS, OWNER_REF, MODIFIER_PLACES },
	{ POLICY_RESPONSE_HEADERS, OWNER_REF, MODIFIER_PLACES },
	{ POLICY_BACKEND_HTTP, OWNER_TCP_REF, TCP_PLACES },
	{ POLICY_BACKEND_TCP, OWNER_TCP_REF, TCP_PLACES },
	{ POLICY_BACKEND_TLS, OWNER_TCP_REF, TCP_PLACES },
	{ POLICY_BACKEND_HEALTH, OWNER_TCP_REF, TCP_PLACES },
	{ POLICY_CIRCUIT_BREAKER, OWNER_TCP_REF, TCP_PLACES },
	{ POLICY_BACKEND_PROXY, OWNER_TCP_REF, TCP_PLACES },
	{ POLICY_LOAD_BALANCER, OWNER_TCP_REF, TCP_PLACES },
	{ POLICY_SESSION_AFFINITY, OWNER_TCP_REF, TCP_PLACES },
};

static const char *name_of(const void *object, enum policy_kind kind)
{
	return object == object_for(kind, 0)   ? "the weak one"
	       : object == object_for(kind, 1) ? "the strong one"
					       : "none of them";
}

static bool is_inline(enum place place)
{
	return place >= IN_RULE;
}

static void check_pair(const struct domain *d, enum place weak, enum place strong, bool is_strong_first)
{
	const void *expected = object_for(d->kind, 1), *found;
	struct fixture f;

	fixture_init(&f);
	if (is_strong_first)
		fixture_put(&f, strong, d->kind, object_for(d->kind, 1), "a-strong");
	fixture_put(&f, weak, d->kind, object_for(d->kind, 0), "b-weak");
	if (!is_strong_first)
		fixture_put(&f, strong, d->kind, object_for(d->kind, 1), "c-strong");
	fixture_compile(&f);
	/* Two inline lists of one reference are one level: the first that is read counts. */
	if (weak == IN_REF && strong == IN_REF_FILTERS)
		expected = object_for(d->kind, 0);
	found = object_of(&f, d->owner, d->kind);
	if (found != expected)
		fail_msg("kind %d of owner %d: %s (weak) against %s (strong) gives %s", d->kind, d->owner,
			 place_names[weak], place_names[strong], name_of(found, d->kind));
	assert_int_equal(f.model.report.count[CONFIG_WARNING], 0);
	for (uint32_t i = 0; i < f.model.snapshot->policy_count; i++)
		assert_true(f.model.snapshot->policy_list[i].is_attached);
	fixture_done(&f);
}

TEST(every_place_beats_every_weaker_one_for_every_kind)
{
	unsigned int pairs = 0;

	for (size_t i = 0; i < ARRAY_LEN(domains); i++) {
		const struct domain *d = &domains[i];

		for (enum place weak = 0; weak < PLACE_COUNT; weak++) {
			for (enum place strong = weak + 1; strong < PLACE_COUNT; strong++) {
				if (!(d->places & BIT(weak)) || !(d->places & BIT(strong)))
					continue;
				check_pair(d, weak, strong, false);
				check_pair(d, weak, strong, true);
				pairs++;
			}
		}
	}
	assert_int_equal(pairs, 5 * 3 + 17 * 15 + 10 * 55 + 2 * 10 + 8 * 28);
}

TEST(every_place_alone_sets_what_it_may_and_nothing_else)
{
	for (size_t i = 0; i < ARRAY_LEN(domains); i++) {
		const struct domain *d = &domains[i];

		for (enum place place = 0; place < PLACE_COUNT; place++) {
			const void *expected = d->places & BIT(place) ? object_for(d->kind, 1) : NULL;
			struct fixture f;

			if (!expected && d->owner == OWNER_BIND)
				expected = d->kind == POLICY_FRONTEND_HTTP ? &frontend_http_default : NULL;
			fixture_init(&f);
			fixture_put(&f, place, d->kind, object_for(d->kind, 1), "k");
			if (guard_kind_of(d->kind) && BIT(place) & (BIT(AT_SERVICE) | BIT(AT_SERVICE_PORT))) {
				assert_int_equal(policy_compile(f.model.snapshot, &f.model.report), -EINVAL);
				fixture_done(&f);
				continue;
			}
			fixture_compile(&f);
			if (object_of(&f, d->owner, d->kind) != expected)
				fail_msg("kind %d of owner %d at %s gives %s", d->kind, d->owner,
					 place_names[place],
					 name_of(object_of(&f, d->owner, d->kind), d->kind));
			fixture_done(&f);
		}
	}
}

TEST(nothing_is_merged)
{
	static const struct timeout_policy weak = { .request = { true, 1 }, .backend_request = { true, 2 } };
	static const struct timeout_policy strong = { .request = { true, 3 } };
	struct fixture f;

	fixture_init(&f);
	fixture_put(&f, AT_GATEWAY, POLICY_TIMEOUT, &weak, "weak");
	fixture_put(&f, AT_ROUTE, POLICY_TIMEOUT, &strong, "strong");
	fixture_compile(&f);
	assert_int_equal(f.route->effective.timeout->request.ns, 3);
	assert_false(f.route->effective.timeout->backend_request.is_set);
	fixture_done(&f);
}

TEST(a_limit_that_a_rule_hides_without_saying_so_is_a_warning)
{
	static const struct timeout_policy both = { .request = { true, 1 }, .backend_request = { true, 2 } },
					   off = { .request = { true, 0 } },
					   request = { .request = { true, 3 } },
					   backend = { .backend_request = { true, 4 } },
					   none = { .request = { true, 0 }, .backend_request = { true, 0 } };
	static const struct {
		const struct timeout_policy *outer;
		const struct timeout_policy *own;
		const char *warning; /* NULL: none */
	} rows[] = {
		{ &both, &request, "the limit backendRequest of policy \"weak\" does not apply here" },
		{ &request, &backend, "the limit request of policy \"weak\" does not apply here" },
		{ &both, &none, NULL },
		{ &off, &backend, NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fixture f;

		fixture_init(&f);
		fixture_put(&f, AT_GATEWAY, POLICY_TIMEOUT, rows[i].outer, "weak");
		fixture_put(&f, AT_ROUTE, POLICY_TIMEOUT, rows[i].own, "strong");
		fixture_compile(&f);
		assert_int_equal(model_messages(&f.model, CONFIG_WARNING, "does not apply here"),
				 rows[i].warning ? 1 : 0);
		if (rows[i].warning)
			assert_int_equal(model_messages(&f.model, CONFIG_WARNING, rows[i].warning), 1);
		fixture_done(&f);
	}
}

TEST(what_a_rule_with_retries_of_its_own_loses_of_those_of_the_gateway_is_a_warning)
{
	static uint16_t codes[] = { 503 };
	static const struct retry_policy
		full = { .attempts = 2, .backoff = { true, 5 }, .code_list = codes, .code_count = 1 },
		bare = { .attempts = 1 },
		same = { .attempts = 1, .backoff = { true, 0 }, .code_list = codes, .code_count = 1 },
		paused = { .attempts = 1, .backoff = { true, 1 } },
		none = { .attempts = 1, .code_list = codes }, off = { .attempts = 0 };
	static const struct {
		const struct retry_policy *outer;
		const struct retry_policy *own;
		const char *warning; /* NULL: none */
	} rows[] = {
		{ &full, &bare, "codes of the retries of policy \"weak\" does not apply here" },
		{ &full, &paused, "write codes here, too" },
		{ &full, &none, "backoff of the retries of policy \"weak\"" },
		{ &full, &same, NULL },
		{ &full, &off, NULL },
		{ &bare, &full, NULL },
		{ &off, &bare, NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fixture f;

		fixture_init(&f);
		fixture_put(&f, AT_GATEWAY, POLICY_RETRY, rows[i].outer, "weak");
		fixture_put(&f, AT_ROUTE, POLICY_RETRY, rows[i].own, "strong");
		fixture_compile(&f);
		assert_int_equal(f.model.report.count[CONFIG_WARNING], rows[i].warning ? 1 : 0);
		if (rows[i].warning)
			assert_int_equal(model_messages(&f.model, CONFIG_WARNING, rows[i].warning), 1);
		fixture_done(&f);
	}
}

TEST(kinds_do_not_get_in_each_others_way)
{
	static const struct timeout_policy timeout = { .request = { true, 1 } };
	static const struct retry_policy retry = { .attempts = 1 };
	struct fixture f;

	fixture_init(&f);
	fixture_put(&f, IN_RULE, POLICY_TIMEOUT, &timeout, "");
	fixture_put(&f, AT_GATEWAY, POLICY_RETRY, &retry, "retry");
	fixture_compile(&f);
	assert_ptr_equal(f.route->effective.timeout, &timeout);
	assert_ptr_equal(f.route->effective.retry, &retry);
	assert_null(f.route->effective.rewrite);
	fixture_done(&f);
}

TEST(no_attempts_switch_off_what_weaker_levels_retry)
{
	static const struct retry_policy retry = { .attempts = 3 }, none = { .attempts = 0 };
	struct fixture f;

	fixture_init(&f);
	fixture_put(&f, AT_GATEWAY, POLICY_RETRY, &retry, "retry");
	fixture_put(&f, IN_RULE, POLICY_RETRY, &none, "");
	fixture_compile(&f);
	assert_null(f.route->effective.retry);
	fixture_done(&f);
}

/* ---- ties */

struct tie {
	int64_t created[2];
	const char *keys[2];
	int winner;
	const char *reason;
};

static const struct tie ties[] = {
	{ { 100, 200 }, { "z", "a" }, 0, "is older" },
	{ { 200, 100 }, { "a", "z" }, 1, "is older" },
	{ { INT64_MAX, 100 }, { "a", "z" }, 1, "is older" },
	{ { 100, 100 }, { "b", "a" }, 1, "comes first by key" },
	{ { INT64_MAX, INT64_MAX }, { "a", "b" }, 0, "comes first by key" },
};

static void check_tie(const struct domain *d, enum place place, const struct tie *tie)
{
	struct fixture f;
	const char *loser = tie->keys[!tie->winner];
	struct listener *other;
	struct route copy;
	char text[256];

	fixture_init(&f);
	/* The same rule hangs on a second listener: still one warning. */
	copy = *f.route;
	copy.backend_count = 0;
	other = model_listener(&f.model, f.bind, "infra", "gw", "other", "x.example.com");
	other->route_list = &copy;
	other->route_count = 1;
	for (int i = 0; i < 2; i++) {
		fixture_put(&f, place, d->kind, object_for(d->kind, i), tie->keys[i]);
		f.model.snapshot->policy_list[i].created_s = tie->created[i];
	}
	fixture_compile(&f);
	if (object_of(&f, d->owner, d->kind) != object_for(d->kind, tie->winner))
		fail_msg("kind %d at %s: %s wins", d->kind, place_names[place], loser);
	snprintf(text, sizeof(text), "policy %s (", loser);
	assert_int_equal(model_messages(&f.model, CONFIG_WARNING, text), 1);
	assert_int_equal(model_messages(&f.model, CONFIG_WARNING, tie->reason), 1);
	assert_int_equal(f.model.report.count[CONFIG_WARNING], 1);
	assert_true(f.model.snapshot->policy_list[0].is_attached);
	assert_true(f.model.snapshot->policy_list[1].is_attached);
	fixture_done(&f);
}

TEST(ties_go_to_the_older_then_to_the_smaller_key_with_one_warning)
{
	for (size_t i = 0; i < ARRAY_LEN(domains); i++) {
		for (enum place place = 0; place < PLACE_COUNT; place++) {
			bool is_bind_listener = domains[i].owner == OWNER_BIND && place == AT_LISTENER;

			if (!(domains[i].places & BIT(place)) || is_inline(place) || is_bind_listener)
				continue;
			for (size_t t = 0; t < ARRAY_LEN(ties); t++)
				check_tie(&domains[i], place, &ties[t]);
		}
	}
}

TEST(of_two_inline_values_of_a_kind_the_first_counts)
{
	struct fixture f;

	fixture_init(&f);
	fixture_put(&f, IN_RULE, POLICY_TIMEOUT, objects[0], "");
	fixture_put(&f, IN_RULE, POLICY_TIMEOUT, objects[1], "");
	fixture_compile(&f);
	assert_ptr_equal(f.route->effective.timeout, objects[0]);
	fixture_done(&f);
}
