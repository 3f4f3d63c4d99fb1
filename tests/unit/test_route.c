/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>

#include "policy/compile/effective.h"
#include "policy/match/match.h"
#include "policy/match/route.h"
#include "policy/match/route_table.h"
#include "tests/unit/policy_model.h"
#include "user/base/limits.h"

static void compile(struct model *m)
{
	int result = policy_compile(m->snapshot, &m->report);

	assert_false(m->failed);
	if (result != 0)
		fail_msg("%d: %.*s", result,
			 m->report.message_count ? (int)m->report.message_list[0].text.len : 0,
			 m->report.message_count ? m->report.message_list[0].text.data : "");
}

static const char *found_key(const struct listener *listener, const char *method, const char *authority,
			     const char *target)
{
	static char key[64];
	struct route_found found;
	struct request_head head;
	struct arena arena;

	arena_init(&arena, 1024);
	head = head_of(&arena, method, authority, target);
	found = route_search(listener, &head);
	snprintf(key, sizeof(key), "%.*s", found.route ? (int)found.route->key.len : 1,
		 found.route ? found.route->key.data : "-");
	arena_done(&arena);
	return key;
}

/* ---- listeners */

TEST(listeners_are_chosen_by_host)
{
	struct bind *bind;
	struct model m;

	model_init(&m);
	bind = model_bind(&m, 80);
	model_listener(&m, bind, "n", "g", "any", "");
	model_listener(&m, bind, "n", "g", "wild", "*.example.com");
	model_listener(&m, bind, "n", "g", "exact", "a.example.com");
	model_listener(&m, bind, "n", "g", "twin", "a.example.com");
	compile(&m);
	assert_text(listener_find(bind, SPAN("A.example.com"))->key, "exact");
	assert_text(listener_find(bind, SPAN("b.example.com"))->key, "wild");
	assert_text(listener_find(bind, SPAN("example.com"))->key, "any");
	assert_text(listener_find(bind, SPAN(""))->key, "any");
	assert_int_equal(model_messages(&m, CONFIG_WARNING, "\"twin\" gets no requests"), 1);
	assert_int_equal(m.report.count[CONFIG_WARNING], 1);
	model_done(&m);
}

TEST(no_listener_fits_an_unknown_host)
{
	struct bind *bind;
	struct model m;

	model_init(&m);
	bind = model_bind(&m, 80);
	model_listener(&m, bind, "n", "g", "exact", "a.example.com");
	compile(&m);
	assert_null(listener_find(bind, SPAN("b.example.com")));
	assert_null(listener_find(bind, SPAN("")));
	model_done(&m);
}

/* ---- precedence */

struct contender {
	enum path_match_kind kind;
	const char *path;
	const char *method;
	uint32_t headers; /* that many of x-0, x-1, … have to be there */
	uint32_t queries; /* and q0, q1, … */
	int64_t created_s;
	const char *key;
};

/* From strong to weak; every pair is tried in both orders of definition. All fit GET /a/b/c. */
static const struct contender contenders[] = {
	{ PATH_EXACT, "/a/b/c", "GET", 0, 0, 0, "r" },
	{ PATH_EXACT, "/a/b/c", NULL, 2, 0, 0, "r" },
	{ PATH_EXACT, "/a/b/c", NULL, 1, 2, 0, "r" },
	{ PATH_EXACT, "/a/b/c", NULL, 1, 0, 0, "r" },
	{ PATH_EXACT, "/a/b/c", NULL, 0, 1, 0, "r" },
	{ PATH_EXACT, "/a/b/c", NULL, 0, 0, 1000, "z" },
	{ PATH_EXACT, "/a/b/c", NULL, 0, 0, 2000, "a" },
	{ PATH_EXACT, "/a/b/c", NULL, 0, 0, 0, "a.2.0.http" },
	{ PATH_EXACT, "/a/b/c", NULL, 0, 0, INT64_MAX, "a.10.0.http" },
	{ PATH_EXACT, "/a/b/c", NULL, 0, 0, 0, "b" },
	{ PATH_REGEX, "/a/b/.{1,300}", NULL, 0, 0, 0, "r" },
	{ PATH_PREFIX_SEGMENTS, "/a/b/c", "GET", 0, 0, 0, "o" },
	{ PATH_REGEX, "/a/.*.", "GET", 0, 0, 0, "p" },
	{ PATH_REGEX, "/a/.*.", NULL, 1, 0, 0, "q" },
	{ PATH_PREFIX_SEGMENTS, "/a/b/c", NULL, 0, 1, 0, "r" },
	{ PATH_PREFIX_SEGMENTS, "/a/b/c/", NULL, 0, 0, 5, "r" },
	{ PATH_PREFIX_SEGMENTS, "/a/b/c", NULL, 0, 0, 0, "a" },
	{ PATH_REGEX, "/a/.*.", NULL, 0, 0, 0, "b" },
	{ PATH_REGEX, "/a/.*", NULL, 0, 0, 0, "r" },
	{ PATH_PREFIX_SEGMENTS, "/a/b/", NULL, 0, 0, 0, "r" },
	{ PATH_REGEX, "/.*", NULL, 0, 0, 0, "r" },
	{ PATH_PREFIX_SEGMENTS, "/a", "GET", 2, 2, 0, "r" },
	{ PATH_PREFIX_SEGMENTS, "/a", NULL, 0, 0, 0, "r" },
	{ PATH_REGEX, ".*", NULL, 0, 0, 0, "s" },
	{ PATH_PREFIX_SEGMENTS, "/", "GET", 0, 0, 0, "r" },
	{ PATH_PREFIX_SEGMENTS, "/", NULL, 0, 0, 0, "r" },
};

static void contender_add(struct model *m, struct listener *listener, const struct contender *c)
{
	static const char *const headers[] = { "x-0", "x-1" }, *const queries[] = { "q0", "q1" };
	struct route *route = model_route(m, listener, c->key);
	struct route_match *match = model_match(m, route, c->kind, c->path);

	assert_false(m->failed);
	route->created_s = c->created_s;
	route->rule_name = span_of(c, sizeof(*c)); /* tells which one it was */
	match->method = span_str(c->method);
	for (uint32_t i = 0; i < c->headers; i++)
		model_header(m, match, headers[i], TEXT_EXACT, "1");
	for (uint32_t i = 0; i < c->queries; i++)
		model_query(m, match, queries[i], TEXT_EXACT, "1");
}

static const struct route *route_of(const struct listener *listener, const struct request_head *head,
				    const struct route_match **ret_match)
{
	struct route_found found = route_search(listener, head);

	*ret_match = found.match;
	return found.route;
}

static const struct contender *precedence_of(const struct contender *first, const struct contender *second)
{
	const struct route_match *match;
	const struct route *route;
	struct listener *listener;
	struct request_head head;
	struct model m;

	model_init(&m);
	listener = model_listener(&m, model_bind(&m, 80), "n", "g", "l", "");
	contender_add(&m, listener, first);
	contender_add(&m, listener, second);
	compile(&m);
	head = head_of(m.snapshot->arena, "GET", "example.com", "/a/b/c?q0=1&q1=1");
	assert_int_equal(fields_add(&head.fields, SPAN("X-0"), SPAN("1")), 0);
	assert_int_equal(fields_add(&head.fields, SPAN("X-1"), SPAN("1")), 0);
	route = route_of(listener, &head, &match);
	assert_non_null(route);
	assert_ptr_equal(match, &route->match_list[0]);
	first = (const struct contender *)route->rule_name.data;
	model_done(&m);
	return first;
}

TEST(every_match_beats_every_weaker_one)
{
	for (size_t strong = 0; strong < ARRAY_LEN(contenders); strong++) {
		for (size_t weak = strong + 1; weak < ARRAY_LEN(contenders); weak++) {
			const struct contender *a = &contenders[strong], *b = &contenders[weak];

			if (precedence_of(a, b) != a || precedence_of(b, a) != a)
				fail_msg("%s (row %zu) does not beat %s (row %zu)", a->path, strong, b->path,
					 weak);
		}
	}
}

TEST(among_matches_of_one_route_the_first_wins)
{
	const struct route_match *match;
	struct listener *listener;
	struct request_head head;
	struct route *route;
	struct model m;

	model_init(&m);
	listener = model_listener(&m, model_bind(&m, 80), "n", "g", "l", "");
	route = model_route(&m, listener, "r");
	model_header(&m, model_match(&m, route, PATH_PREFIX_SEGMENTS, "/"), "x", TEXT_EXACT, "1");
	model_header(&m, model_match(&m, route, PATH_PREFIX_SEGMENTS, "/"), "y", TEXT_EXACT, "1");
	compile(&m);
	head = head_of(m.snapshot->arena, "GET", "a", "/");
	assert_null(route_of(listener, &head, &match));
	assert_int_equal(fields_add(&head.fields, SPAN("Y"), SPAN("1")), 0);
	assert_ptr_equal(route_of(listener, &head, &match), route);
	assert_ptr_equal(match, &route->match_list[1]);
	assert_int_equal(fields_add(&head.fields, SPAN("X"), SPAN("1")), 0);
	assert_ptr_equal(route_of(listener, &head, &match), route);
	assert_ptr_equal(match, &route->match_list[0]);
	model_done(&m);
}

/* ---- a whole table */

static void add_simple(struct model *m, struct listener *listener, const char *key, const char *host,
		       enum path_match_kind kind, const char *path)
{
	struct route *route = model_route(m, listener, key);

	if (host)
		model_host(m, route, host);
	model_match(m, route, kind, path);
}

TEST(a_host_without_a_fitting_rule_falls_through)
{
	struct listener *l;
	struct model m;

	model_init(&m);
	l = model_listener(&m, model_bind(&m, 80), "n", "g", "l", "");
	add_simple(&m, l, "exact", "a.example.com", PATH_PREFIX_SEGMENTS, "/exact");
	add_simple(&m, l, "long", "*.example.com", PATH_PREFIX_SEGMENTS, "/long");
	add_simple(&m, l, "short", "*.com", PATH_REGEX, "/sho.*");
	add_simple(&m, l, "any", NULL, PATH_EXACT, "/any");
	compile(&m);
	assert_string_equal(found_key(l, "GET", "a.example.com", "/exact/1"), "exact");
	assert_string_equal(found_key(l, "GET", "a.example.com:8080", "/long"), "long");
	assert_string_equal(found_key(l, "GET", "A.Example.com", "/short"), "short");
	assert_string_equal(found_key(l, "GET", "a.example.com", "/any"), "any");
	assert_string_equal(found_key(l, "GET", "a.example.com", "/none"), "-");
	assert_string_equal(found_key(l, "GET", "b.example.com", "/exact"), "-");
	assert_string_equal(found_key(l, "GET", "example.org", "/short"), "-");
	assert_string_equal(found_key(l, "GET", "", "/any"), "any");
	model_done(&m);
}

static const struct {
	const char *target;
	const char *key;
} path_cases[] = {
	{ "/", "root" },
	{ "/a", "a" },
	{ "/a/", "a" },
	{ "/a/b", "exact" },
	{ "/a/b/", "ab" },
	{ "/a/b/c", "ab" },
	{ "/a/bc", "a" },
	{ "/ab", "root" },
	{ "/a/b/c/d/e", "abcde" },
	{ "/a/b/c/d/ex", "ab" },
	{ "/a/b/c/d/e/f/g/h", "abcde" },
	{ "/img/1.png", "regex" },
	{ "/img/1.pngx", "root" },
	{ "/a/1.png", "regex" },
	{ "/a/b?x=/a/b/c/d/e", "exact" },
	{ "*", "root" },
};

TEST(the_longest_prefix_wins_at_any_depth)
{
	struct listener *l;
	struct model m;

	model_init(&m);
	l = model_listener(&m, model_bind(&m, 80), "n", "g", "l", "");
	add_simple(&m, l, "root", NULL, PATH_PREFIX_SEGMENTS, "/");
	add_simple(&m, l, "a", NULL, PATH_PREFIX_SEGMENTS, "/a");
	add_simple(&m, l, "ab", NULL, PATH_PREFIX_SEGMENTS, "/a/b/");
	add_simple(&m, l, "abcde", NULL, PATH_PREFIX_SEGMENTS, "/a/b/c/d/e");
	add_simple(&m, l, "exact", NULL, PATH_EXACT, "/a/b");
	add_simple(&m, l, "regex", NULL, PATH_REGEX, "/[^/]+/[0-9]\\.png");
	compile(&m);
	for (size_t i = 0; i < ARRAY_LEN(path_cases); i++) {
		const char *key = found_key(l, "GET", "a", path_cases[i].target);

		if (strcmp(key, path_cases[i].key) != 0)
			fail_msg("%s found %s, not %s", path_cases[i].target, key, path_cases[i].key);
	}
	model_done(&m);
}

TEST(a_route_without_matches_serves_everything)
{
	const struct route_match *match;
	struct listener *listener;
	struct request_head head;
	struct model m;

	model_init(&m);
	listener = model_listener(&m, model_bind(&m, 80), "n", "g", "l", "");
	model_host(&m, model_route(&m, listener, "r"), "a");
	compile(&m);
	head = head_of(m.snapshot->arena, "GET", "a", "/x");
	assert_non_null(route_of(listener, &head, &match));
	assert_ptr_equal(match, &route_match_any);
	head = head_of(m.snapshot->arena, "GET", "b", "/x");
	assert_null(route_of(listener, &head, &match));
	model_done(&m);
}

/* Each alone is within its bound. */
TEST(the_expressions_of_a_listener_have_a_budget_for_one_request)
{
	static char path[LIMIT_REQUEST_LINE_BYTES];
	char pattern[64];
	struct listener *l;
	struct request_head head;
	struct model m;

	memset(path, 'a', 1000);
	path[0] = '/';
	model_init(&m);
	l = model_listener(&m, model_bind(&m, 80), "n", "g", "l", "");
	for (int i = 0; i < 7; i++) {
		snprintf(pattern, sizeof(pattern), ".*%db{100}", i);
		add_simple(&m, l, "deny", NULL, PATH_REGEX, pattern);
	}
	add_simple(&m, l, "any", NULL, PATH_PREFIX_SEGMENTS, "/");
	compile(&m);
	assert_true(l->regex_steps >= LIMIT_REGEX_REQUEST_STEPS);
	head = head_of(m.snapshot->arena, "GET", "a", path);
	assert_text(route_search(l, &head).route->key, "any");
	l->regex_steps = 7 * 1000 * 100;
	assert_true(route_search(l, &head).gave_up && !route_search(l, &head).route);
	path[100] = '\0';
	head = head_of(m.snapshot->arena, "GET", "a", path);
	assert_text(route_search(l, &head).route->key, "any");
	model_done(&m);
}

/* Whoever can make a match give up would choose the next route: a deny rule would be open. */
TEST(a_match_that_gives_up_ends_the_search_without_a_route)
{
	static char path[LIMIT_REQUEST_LINE_BYTES];
	struct route_found found;
	struct listener *l;
	struct request_head head;
	struct model m;

	memset(path, 'a', sizeof(path) - 1);
	path[0] = '/';
	model_init(&m);
	l = model_listener(&m, model_bind(&m, 80), "n", "g", "l", "");
	add_simple(&m, l, "deny", NULL, PATH_REGEX, "/a[ab]{1,200}.*b.*");
	add_simple(&m, l, "any", NULL, PATH_PREFIX_SEGMENTS, "/");
	compile(&m);
	head = head_of(m.snapshot->arena, "GET", "a", path);
	found = route_search(l, &head);
	assert_null(found.route);
	assert_true(found.gave_up);
	path[1000] = '\0';
	head = head_of(m.snapshot->arena, "GET", "a", path);
	found = route_search(l, &head);
	assert_text(found.route->key, "any");
	assert_false(found.gave_up);
	path[999] = 'b';
	head = head_of(m.snapshot->arena, "GET", "a", path);
	assert_text(route_search(l, &head).route->key, "deny");
	model_done(&m);
}

TEST(a_match_of_higher_rank_is_found_before_one_gives_up)
{
	static char path[LIMIT_REQUEST_LINE_BYTES];
	struct route_found found;
	struct listener *l;
	struct request_head head;
	struct model m;

	memset(path, 'a', sizeof(path) - 1);
	path[0] = '/';
	model_init(&m);
	l = model_listener(&m, model_bind(&m, 80), "n", "g", "l", "");
	add_simple(&m, l, "longer", NULL, PATH_REGEX, "/aaaaaaaaaaaaaaaaaaaaaaaaaaaa.*");
	add_simple(&m, l, "deny", NULL, PATH_REGEX, "/a[ab]{1,200}.*b.*");
	compile(&m);
	head = head_of(m.snapshot->arena, "GET", "a", path);
	found = route_search(l, &head);
	assert_text(found.route->key, "longer");
	assert_false(found.gave_up);
	model_done(&m);
}

/*
 * The table against the plain reading of the rules: all routes in precedence order, first fit. Hosts, paths
 * and requests are made from few parts, so that they collide often.
 */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static const char *pick(uint64_t *random, const char *const *list, size_t count)
{
	return list[next_random(random) % count];
}

static int class_of_host(struct span pattern, struct span host)
{
	if (pattern.len == 0)
		return 0;
	if (pattern.data[0] != '*')
		return span_eq(pattern, host) ? 1000 : -1;
	pattern = span_from(pattern, 1);
	return host.len > pattern.len && span_ends(host, pattern) ? (int)pattern.len : -1;
}

static size_t plain_len(struct span prefix)
{
	while (prefix.len > 1 && prefix.data[prefix.len - 1] == '/')
		prefix.len--;
	return prefix.len;
}

static bool plain_fits(struct span prefix, struct span path)
{
	prefix.len = plain_len(prefix);
	return span_eq(prefix, SPAN("/")) || span_eq(prefix, path) ||
	       (span_starts(path, prefix) && path.data[prefix.len] == '/');
}

static bool plain_match(const struct route_match *match, const struct request_head *head)
{
	if (match->method.len && !span_eq(match->method, head->method_text))
		return false;
	if (match->path_kind == PATH_PREFIX_SEGMENTS)
		return plain_fits(match->path, head->path);
	return match_path(match, head->path, NULL) == MATCH_YES;
}

static const struct route *plain_find(const struct listener *listener, const struct request_head *head)
{
	const struct route *best = NULL;
	long best_rank = -1;

	for (uint32_t i = 0; i < listener->route_count; i++) {
		const struct route *route = &listener->route_list[i];
		const struct route_match *match = &route->match_list[0];
		int class = class_of_host(route->hostname_list[0], head->authority);
		size_t len =
			match->path_kind == PATH_PREFIX_SEGMENTS ? plain_len(match->path) : match->path.len;
		long rank = class * 10000L + (match->path_kind == PATH_EXACT ? 5000 : 0) + (long)len * 2 +
			    (match->method.len > 0);

		if (class >= 0 && rank > best_rank && plain_match(match, head)) {
			best = route;
			best_rank = rank;
		}
	}
	return best;
}

static void random_route(struct model *m, struct listener *listener, uint64_t *random)
{
	static const char *const hosts[] = { "", "a.b.c", "b.c", "*.c", "*.b.c", "*.a.b.c", "x.c", "*.x.c" };
	static const char *const paths[] = { "/",  "/a",   "/a/",      "/a/b", "/a/b/c",
					     "/b", "/b/b", "/b/b/b/b", "/ab" };
	static const char *const regexes[] = { "/a/.*", "/.*b", "/[ab]*", ".*" };
	static const char *const keys[] = { "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11" };
	struct route *route = model_route(m, listener, keys[listener->route_count % ARRAY_LEN(keys)]);
	enum path_match_kind kind = next_random(random) % 8 < 6 ? PATH_PREFIX_SEGMENTS : PATH_EXACT;
	struct route_match *match;

	model_host(m, route, pick(random, hosts, 1 + next_random(random) % ARRAY_LEN(hosts)));
	match = model_match(m, route, kind, pick(random, paths, ARRAY_LEN(paths)));
	if (next_random(random) % 5 == 0)
		*match = (struct route_match){ .path_kind = PATH_REGEX,
					       .path = span_str(pick(random, regexes, ARRAY_LEN(regexes))) };
	if (next_random(random) % 3 == 0)
		match->method = SPAN("POST");
}

static void compare_with_plain_search(const struct listener *listener, struct arena *arena, uint64_t seed)
{
	static const char *const hosts[] = { "a.b.c", "b.c", "c", "x.c", "y.x.c", "z.a.b.c", "q", "a.b.c.c" };
	static const char *const targets[] = { "/",  "/a",     "/a/",	     "/a/b", "/a/b/c", "/a/b/c/d",
					       "/b", "/b/b/b", "/b/b/b/b/b", "/ab",  "/ab/c",  "/x" };

	for (size_t i = 0; i < ARRAY_LEN(hosts) * ARRAY_LEN(targets) * 2; i++) {
		const char *host = hosts[i / 2 % ARRAY_LEN(hosts)];
		const char *target = targets[i / 2 / ARRAY_LEN(hosts)];
		struct request_head head = head_of(arena, i % 2 ? "POST" : "GET", host, target);
		const struct route_match *match;

		if (route_of(listener, &head, &match) != plain_find(listener, &head))
			fail_msg("seed %#lx: %.*s %s%s", (unsigned long)seed, SPAN_FMT(head.method_text),
				 host, target);
	}
}

TEST(the_table_finds_what_a_plain_search_finds)
{
	uint64_t random = 0x9e3779b97f4a7c15u;

	for (unsigned int round = 0; round < 500; round++) {
		uint64_t seed = random;
		struct listener *listener;
		struct model m;

		model_init(&m);
		listener = model_listener(&m, model_bind(&m, 80), "n", "g", "l", "");
		for (unsigned int i = 0; i < 12; i++)
			random_route(&m, listener, &random);
		compile(&m);
		compare_with_plain_search(listener, m.snapshot->arena, seed);
		model_done(&m);
	}
}

/* ---- TCP */

static struct tcp_route *add_tcp(struct model *m, struct listener *listener, const char *key,
				 const char *host)
{
	struct tcp_route *route = MODEL_NEXT(m, listener->tcp_route_list, listener->tcp_route_count);
	struct span *hosts = model_take(m, sizeof(*hosts));

	assert_false(m->failed);
	*hosts = span_str(host);
	*route = (struct tcp_route){ .key = span_str(key),
				     .hostname_list = hosts,
				     .hostname_count = host ? 1 : 0 };
	return route;
}

TEST(tcp_routes_are_chosen_by_server_name)
{
	struct listener *l;
	struct model m;

	model_init(&m);
	l = model_listener(&m, model_bind(&m, 443), "n", "g", "l", "");
	l->protocol = PROTOCOL_TLS;
	add_tcp(&m, l, "any", NULL);
	add_tcp(&m, l, "wild", "*.example.com");
	add_tcp(&m, l, "exact2", "a.example.com");
	add_tcp(&m, l, "exact10", "a.example.com");
	compile(&m);
	assert_text(tcp_route_find(l, SPAN("A.example.com"))->key, "exact2");
	assert_text(tcp_route_find(l, SPAN("b.example.com"))->key, "wild");
	assert_text(tcp_route_find(l, SPAN("example.com"))->key, "any");
	assert_text(tcp_route_find(l, SPAN(""))->key, "any");
	model_done(&m);
}

TEST(without_tls_host_names_of_tcp_routes_do_not_matter)
{
	struct listener *l;
	struct model m;

	model_init(&m);
	l = model_listener(&m, model_bind(&m, 443), "n", "g", "l", "");
	l->protocol = PROTOCOL_TCP;
	assert_null(l->tcp_route_list);
	add_tcp(&m, l, "young", "a.example.com")->created_s = 200;
	add_tcp(&m, l, "old", "b.example.com")->created_s = 100;
	compile(&m);
	assert_text(tcp_route_find(l, SPAN(""))->key, "old");
	model_done(&m);
}

TEST(a_listener_without_routes_finds_none)
{
	struct listener *l;
	struct model m;

	model_init(&m);
	l = model_listener(&m, model_bind(&m, 443), "n", "g", "l", "");
	compile(&m);
	assert_null(tcp_route_find(l, SPAN("a")));
	assert_string_equal(found_key(l, "GET", "a", "/"), "-");
	model_done(&m);
}

/* ---- bounds */

TEST(a_listener_with_too_many_combinations_is_refused)
{
	static struct span hosts[1024];
	static struct route_match matches[1025];
	struct route *route;
	struct model m;

	model_init(&m);
	route = model_route(&m, model_listener(&m, model_bind(&m, 80), "n", "g", "l", ""), "r");
	route->hostname_list = hosts;
	route->hostname_count = ARRAY_LEN(hosts);
	route->match_list = matches;
	route->match_count = ARRAY_LEN(matches);
	assert_int_equal(policy_compile(m.snapshot, &m.report), -EINVAL);
	assert_int_equal(model_messages(&m, CONFIG_ERROR, "more than 1048576 combinations"), 1);
	model_done(&m);
}
