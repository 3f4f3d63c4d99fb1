/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "policy/compile/effective.h"
#include "policy/match/match.h"
#include "policy/match/route.h"
#include "policy/match/route_index.h"
#include "policy/match/route_table.h"
#include "tests/unit/policy_model.h"

/*
 * The index of a list of routes against its definition: all entries, by precedence, the first that does not
 * fail. Tables and requests are made from few parts, so that they collide often.
 */

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static bool one_in(uint64_t *random, unsigned int n)
{
	return next_random(random) % n == 0;
}

static const char *pick(uint64_t *random, const char *const *list, size_t count)
{
	return list[next_random(random) % count];
}
#define PICK(random, list) pick((random), (list), ARRAY_LEN(list))

static void compile(struct model *m)
{
	assert_int_equal(policy_compile(m->snapshot, &m->report), 0);
	assert_false(m->failed);
}

/* ---- random tables */

static const char *const paths[] = { "/", "/a", "/a/b" };
static const char *const header_names[] = { "x-tenant", "x-one", "cookie", "host", ":path", ":method" };
static const char *const query_names[] = { "q", "r s" };
static const char *const values[] = {
	"0",  "1",  "2",   "3",	 "4",	 "5",	 "6",	 "7",	"a",	     "b",	  "A",	       "aa",
	"ab", "ba", "GET", "/a", "/a/b", "1, 2", "1; 2", "a b", "a.example", "A.EXAMPLE", "b.example",
};
static const char *const patterns[] = {
	"a.*",
	".*a",
	"[0-9]",
	"[0-4]",
	"1|2",
	".*, .*",
	"1[,;] 2",
	"",
	"GET",
	"/a.*",
	"a+b*",
	"(?i)AB?",
	"[^a]*",
	"a?",
	".",
	".*b",
	"x{3}",
	"[ab]{2}",
	"a[ab]{1,200}.*b.*",
};
static const char *const path_patterns[] = {
	"/.*",	  "/a/.*",	"/a/[a-z]", ".*b",    "/[ab]*",	 "/a",	      "/a/b/c",
	"/[^/]*", "/a/(?:b|c)", "/a/..?",   ".*/.*b", "/x{0,9}", "/.*/.*/.*", "/a[ab/]{1,200}.*b.*"
};
static const char *const methods[] = { "GET", "POST", "PUT" };

/* Headers of one table: with few of them each has many values. */
struct names {
	uint64_t first, count;
};

static const char *name_pick(const struct names *names, uint64_t *random)
{
	return header_names[(names->first + next_random(random) % names->count) % ARRAY_LEN(header_names)];
}

static void random_text(struct model *m, struct route_match *match, const struct names *names,
			uint64_t *random)
{
	bool is_regex = one_in(random, 2);
	const char *value = is_regex ? PICK(random, patterns) : PICK(random, values);

	if (one_in(random, 3))
		model_query(m, match, PICK(random, query_names), is_regex ? TEXT_REGEX : TEXT_EXACT, value);
	else
		model_header(m, match, name_pick(names, random), is_regex ? TEXT_REGEX : TEXT_EXACT, value);
}

static void random_route(struct model *m, struct listener *listener, const struct names *names,
			 uint64_t *random)
{
	static char keys[MODEL_ROOM][8];
	char *key = keys[listener->route_count];
	struct route_match *match;
	struct route *route;

	snprintf(key, sizeof(keys[0]), "%u", listener->route_count);
	route = model_route(m, listener, key);
	for (unsigned int i = 0; i < 1 + next_random(random) % 3; i++) {
		if (one_in(random, 3))
			match = model_match(m, route, PATH_REGEX, PICK(random, path_patterns));
		else
			match = model_match(m, route, one_in(random, 3) ? PATH_EXACT : PATH_PREFIX_SEGMENTS,
					    PICK(random, paths));
		if (one_in(random, 4))
			match->method = span_str(PICK(random, methods));
		while (!one_in(random, 3))
			random_text(m, match, names, random);
	}
}

static struct span long_text(struct arena *arena, struct span start, size_t len, char c)
{
	char *text = arena_bytes(arena, len);

	assert_non_null(text);
	memset(text, c, len);
	memcpy(text, start.data, start.len);
	return span_of(text, len);
}

static struct request_head random_request(struct arena *arena, uint64_t *random)
{
	static const char *const targets[] = {
		"/",	       "/a",	   "/a/b",	   "/a/b/c",  "/a/c",	      "/b",	   "/x?q=1",
		"/a?q=ab&q=2", "/a?q=%61", "/a/b?r+s=a+b", "/?r+s=3", "/a?q=1&r+s=7", "/a/b?q=%4", "/a?q",
		"/xxx",	       "*",
	};
	struct request_head head =
		head_of(arena, PICK(random, methods), one_in(random, 3) ? "A.example" : "b.example",
			PICK(random, targets));

	while (!one_in(random, 4)) {
		struct span name = span_str(header_names[next_random(random) % 3]);
		struct span value = span_str(PICK(random, values));

		if (one_in(random, 8))
			value = long_text(arena, value, 5000, 'a');
		assert_int_equal(fields_add(&head.fields, name, value), 0);
	}
	if (one_in(random, 30) && head.path.len > 1)
		head.path = long_text(arena, head.path, 8000, one_in(random, 2) ? 'a' : '/');
	if (one_in(random, 30)) {
		head.has_query = true;
		head.query = long_text(arena, SPAN("q=%41"), 9000, 'b');
	}
	return head;
}

/* ---- the definition */

static size_t weight_of(const struct route_match *match)
{
	size_t len = match->path.len;

	return match->path_kind == PATH_EXACT ? 1000 + len : len;
}

/* Whether x goes before y, which comes later in the configuration. */
static bool goes_before(const struct route_match *x, const struct route_match *y)
{
	if (weight_of(x) != weight_of(y))
		return weight_of(x) > weight_of(y);
	if ((x->method.len > 0) != (y->method.len > 0))
		return x->method.len > 0;
	if (x->header_count != y->header_count)
		return x->header_count > y->header_count;
	return x->query_count >= y->query_count;
}

static enum match_result plain_result(const struct route_match *match, const struct request_head *head)
{
	if (match->path_kind != PATH_REGEX && match_path(match, head->path, NULL) != MATCH_YES)
		return MATCH_NO;
	return match_conditions(match, head, NULL);
}

static struct route_found plain_search(const struct listener *listener, const struct request_head *head)
{
	struct route_found best = { 0 };
	enum match_result best_result = MATCH_NO;

	for (uint32_t r = 0; r < listener->route_count; r++) {
		const struct route *route = &listener->route_list[r];

		for (uint32_t i = 0; i < route->match_count; i++) {
			const struct route_match *match = &route->match_list[i];
			enum match_result result = plain_result(match, head);

			if (result == MATCH_NO || (best.match && goes_before(best.match, match)))
				continue;
			best = (struct route_found){ .route = route, .match = match };
			best_result = result;
		}
	}
	return best_result == MATCH_GAVE_UP ? (struct route_found){ .gave_up = true } : best;
}

/* ---- comparison */

struct seen {
	unsigned int indexes, found, gave_up, plain;
};

static void index_look(const struct route_list *list, const struct request_head *head, struct seen *seen)
{
	const struct route_entry *heads[ROUTE_HEADS];

	if (!list->index)
		return;
	seen->indexes++;
	if (route_index_search(list->index, head, heads, NULL) < 0)
		seen->plain++;
}

static void compare(const struct listener *listener, const struct request_head *head, uint64_t seed,
		    struct seen *seen)
{
	struct route_found is = route_search(listener, head), must = plain_search(listener, head);

	if (is.route != must.route || is.match != must.match || is.gave_up != must.gave_up)
		fail_msg("seed %#lx: %.*s %.*s: route %.*s, not %.*s", (unsigned long)seed,
			 SPAN_FMT(head->method_text), SPAN_FMT(span_first(head->target, 40)),
			 is.route ? (int)is.route->key.len : 1, is.route ? is.route->key.data : "-",
			 must.route ? (int)must.route->key.len : 1, must.route ? must.route->key.data : "-");
	seen->found += is.route != NULL;
	seen->gave_up += is.gave_up;
	index_look(&listener->table->bucket_list[0].patterns, head, seen);
}

TEST(the_index_finds_what_a_search_of_all_entries_finds)
{
	uint64_t random = 0x9e3779b97f4a7c15u;
	struct seen seen = { 0 };

	for (unsigned int round = 0; round < 150; round++) {
		struct names names = { round, 1 + next_random(&random) % ARRAY_LEN(header_names) };
		uint64_t seed = random;
		struct listener *listener;
		struct arena arena;
		struct model m;

		model_init(&m);
		arena_init(&arena, 4096);
		listener = model_listener(&m, model_bind(&m, 80), "n", "g", "l", "");
		for (uint64_t i = 8 + next_random(&random) % (MODEL_ROOM - 8); i-- > 0;)
			random_route(&m, listener, &names, &random);
		compile(&m);
		for (unsigned int i = 0; i < 200; i++) {
			struct request_head head = random_request(&arena, &random);

			compare(listener, &head, seed, &seen);
			arena_reset(&arena);
		}
		arena_done(&arena);
		model_done(&m);
	}
	print_message("%u found, %u gave up; index of patterns asked %u times, no answer %u times\n",
		      seen.found, seen.gave_up, seen.indexes, seen.plain);
	assert_true(seen.found > 1000 && seen.gave_up > 100 && seen.indexes > 1000 && seen.plain > 100);
}

/* ---- values that compare otherwise */

/* Twenty routes, each for one value of a header. */
static struct listener *header_listener(struct model *m, const char *name, const char *before, size_t len)
{
	struct listener *l = model_listener(m, model_bind(m, 80), "n", "g", "l", "");

	for (uint32_t i = 0; i < 20; i++) {
		char *value = arena_bytes(m->snapshot->arena, len + 1);

		assert_non_null(value);
		snprintf(value, len + 1, "%s%0*u", before, (int)(len - strlen(before)), i);
		model_header(m, model_match(m, model_route(m, l, value), PATH_PREFIX_SEGMENTS, "/"), name,
			     TEXT_EXACT, value);
	}
	compile(m);
	return l;
}

TEST(the_host_is_found_whatever_its_case)
{
	struct request_head head;
	struct listener *l;
	struct model m;

	model_init(&m);
	l = header_listener(&m, ":authority", "Tenant.example:", 17);
	head = head_of(m.snapshot->arena, "GET", "tENANT.example:07", "/");
	assert_ptr_equal(route_search(l, &head).route, &l->route_list[7]);
	model_done(&m);
}

TEST(values_too_long_to_be_joined_end_the_search_where_one_of_them_might_fit)
{
	struct request_head head;
	struct listener *l;
	struct model m;

	model_init(&m);
	l = header_listener(&m, "x-tenant", "a, ", LIMIT_MATCH_VALUE_BYTES + 1);
	head = head_of(m.snapshot->arena, "GET", "a", "/");
	assert_int_equal(fields_add(&head.fields, SPAN("x-tenant"), SPAN("a")), 0);
	assert_int_equal(fields_add(&head.fields, SPAN("x-tenant"),
				    span_from(l->route_list[7].match_list[0].header_list[0].value, 3)),
			 0);
	assert_true(route_search(l, &head).gave_up);
	model_done(&m);
}

/* ---- bounds */

static struct listener *pattern_listener(struct model *m, const char *before, const char *behind,
					 uint32_t count)
{
	struct listener *l = model_listener(m, model_bind(m, 80), "n", "g", "l", "");
	struct route_match *matches = model_take(m, count * sizeof(*matches));
	struct route *route = model_route(m, l, "r");

	assert_false(m->failed);
	route->match_list = matches;
	route->match_count = count;
	for (uint32_t i = 0; i < count; i++) {
		char *text = arena_bytes(m->snapshot->arena, 1100);

		assert_non_null(text);
		snprintf(text, 1100, "%s%04u%s", before, i, behind);
		matches[i] = (struct route_match){ .path_kind = PATH_REGEX, .path = span_str(text) };
	}
	return l;
}

static const struct route_match *match_of(const struct model *m, const struct listener *l, const char *target)
{
	struct request_head head = head_of(m->snapshot->arena, "GET", "a", target);

	return route_search(l, &head).match;
}

TEST(when_more_patterns_fit_than_there_is_room_for_each_is_tried)
{
	struct listener *l;
	struct model m;

	model_init(&m);
	l = pattern_listener(&m, "(?:/all|/one", ")", 4 * LIMIT_ROUTE_FITS);
	compile(&m);
	assert_non_null(l->table->bucket_list[0].patterns.index);
	assert_ptr_equal(match_of(&m, l, "/one0201"), &l->route_list[0].match_list[201]);
	assert_ptr_equal(match_of(&m, l, "/all"), &l->route_list[0].match_list[0]);
	assert_null(match_of(&m, l, "/one02011"));
	model_done(&m);
}

TEST(patterns_whose_automaton_would_be_too_large_are_tried_in_turn)
{
	struct request_head head;
	struct listener *l;
	struct model m;
	char *path;

	model_init(&m);
	l = pattern_listener(&m, "/", "[a-z]{500}(?:bb|cc){40}", 1000);
	compile(&m);
	path = arena_bytes(m.snapshot->arena, 2000);
	assert_non_null(path);
	snprintf(path, 2000, "/0999%0500d%080d", 0, 0);
	for (char *c = path + 5; *c; c++)
		*c = 'b';
	head = head_of(m.snapshot->arena, "GET", "a", path);
	assert_ptr_equal(route_search(l, &head).match, &l->route_list[0].match_list[999]);
	model_done(&m);
}
