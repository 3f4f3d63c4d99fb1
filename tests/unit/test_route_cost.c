/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a look-up costs, in steps: entries that are tried, passes of automata, places of a table that are
 * looked at. The code that takes them is compiled into this file, so that it can be counted.
 */
#include <stdio.h>

#include "policy/compile/effective.h"
#include "policy/match/match.h"
#include "policy/match/regex_union.h"
#include "tests/unit/policy_model.h"

static struct {
	unsigned int entries; /* of which the conditions were looked at */
	unsigned int passes; /* of automata that stand for many expressions */
} spent;

static enum match_result counted_conditions(const struct route_match *match, const struct request_head *head,
					    struct regex_budget *budget)
{
	spent.entries++;
	return match_conditions(match, head, budget);
}

static int counted_pass(const struct regex_union *many, struct span value, uint32_t *fits,
			struct regex_budget *budget)
{
	spent.passes++;
	return regex_union_run(many, value, fits, budget);
}

#define match_conditions counted_conditions
#define regex_union_run counted_pass
#include "policy/match/host_index.c"
#include "policy/match/route_index.c"
#include "policy/match/route_list.c"
#include "policy/match/route_table.c"
#include "policy/match/route.c"
#undef match_conditions
#undef regex_union_run

/* How many places of a table are looked at until its entries are found. */
struct probes {
	uint64_t entries, sum, most;
};

static void probes_add(struct probes *probes, uint64_t at, uint64_t home, uint64_t mask)
{
	uint64_t count = ((at - home) & mask) + 1;

	probes->entries++;
	probes->sum += count;
	if (count > probes->most)
		probes->most = count;
}

static void probes_add_hosts(struct probes *probes, const struct host_index *index)
{
	for (uint64_t at = 0; at <= index->mask; at++) {
		const struct host_bucket *bucket = index->slots[at];

		if (bucket)
			probes_add(probes, at, hash_mix(bucket->hash, bucket->is_wildcard) & index->mask,
				   index->mask);
	}
}

static void probes_add_values(struct probes *probes, const struct route_index *index)
{
	for (uint64_t at = 0; index && at <= index->mask; at++) {
		if (index->slots[at].chain.first)
			probes_add(probes, at, index->slots[at].hash & index->mask, index->mask);
	}
}

static struct probes probes_of(const struct route_table *table)
{
	struct probes probes = { 0 };

	probes_add_hosts(&probes, table->hosts);
	for (uint64_t at = 0; at <= table->mask; at++) {
		const struct path_group *group = table->slots[at];

		if (!group)
			continue;
		probes_add(&probes, at, hash_mix(group->hash, 0) & table->mask, table->mask);
		probes_add_values(&probes, group->list.index);
	}
	return probes;
}

/* The tables are at most half full: one and a half places on average, and a few more for the unluckiest. */
static void assert_short_probes(const struct route_table *table, uint64_t entries)
{
	struct probes probes = probes_of(table);

	print_message("%zu entries of tables, %zu places until they are found, at most %zu for one\n",
		      probes.entries, probes.sum, probes.most);
	assert_int_equal(probes.entries, entries);
	assert_true(probes.sum <= 2 * entries);
	assert_true(probes.most <= 64);
}

static void compile(struct model *m)
{
	int result = policy_compile(m->snapshot, &m->report);

	assert_false(m->failed);
	if (result != 0)
		fail_msg("%d: %.*s", result,
			 m->report.message_count ? (int)m->report.message_list[0].text.len : 0,
			 m->report.message_count ? m->report.message_list[0].text.data : "");
}

/* The entries that this look-up tries; it has to find `expected`. */
static unsigned int entries_tried(const struct listener *l, const struct request_head *head,
				  const struct route *expected)
{
	spent.entries = spent.passes = 0;
	if (route_search(l, head).route != expected)
		fail_msg("%.*s %.*s found another route", SPAN_FMT(head->authority), SPAN_FMT(head->target));
	return spent.entries;
}

struct cost_table {
	char host[32];
	struct span hostname;
	struct span paths[4];
	struct route_match match[4];
};

/* `hosts` hosts with four rules each, the way a manifest of many small services looks. */
static struct listener *cost_listener(struct model *m, uint32_t hosts)
{
	struct listener *l = model_listener(m, model_bind(m, 80), "n", "g", "l", "");
	struct cost_table *table = model_take(m, hosts * sizeof(*table));
	static const struct span paths[] = {
		{ "/", 1 }, { "/api", 4 }, { "/api/v1/items", 13 }, { "/health", 7 }
	};

	assert_false(m->failed);
	l->route_list = model_take(m, hosts * sizeof(*l->route_list));
	assert_non_null(l->route_list);
	l->route_count = hosts;
	for (uint32_t i = 0; i < hosts; i++) {
		int len = snprintf(table[i].host, sizeof(table[i].host), "service-%u.example.com", i);

		table[i].hostname = span_of(table[i].host, (size_t)len);
		for (uint32_t p = 0; p < 4; p++)
			table[i].match[p] =
				(struct route_match){ .path_kind = p == 3 ? PATH_EXACT : PATH_PREFIX_SEGMENTS,
						      .path = paths[p] };
		l->route_list[i] = (struct route){
			.key = table[i].hostname,
			.hostname_list = &table[i].hostname,
			.hostname_count = 1,
			.match_list = table[i].match,
			.match_count = 4,
		};
	}
	return l;
}

/* The most entries that a look-up tries: of every host, and of a host that there is not. */
static unsigned int most_tried_among_hosts(uint32_t hosts)
{
	unsigned int most = 0;
	struct listener *l;
	struct model m;

	model_init(&m);
	l = cost_listener(&m, hosts);
	compile(&m);
	assert_short_probes(l->table, hosts * (1 + 4)); /* itself and its paths */
	struct request_head head = head_of(m.snapshot->arena, "GET", "", "/api/v1/items/42");
	for (uint32_t i = 0; i < hosts; i++) {
		unsigned int tried;

		head.authority = l->route_list[i].hostname_list[0];
		tried = entries_tried(l, &head, &l->route_list[i]);
		if (tried > most)
			most = tried;
	}
	head.authority = SPAN("stranger.example.com");
	assert_int_equal(entries_tried(l, &head, NULL), 0);
	model_done(&m);
	return most;
}

TEST(a_look_up_takes_as_many_steps_with_any_number_of_hosts)
{
	static const uint32_t sizes[] = { 10, 100, 1000, 10000 };

	/* The longest prefix of the host that is asked for fits. */
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		assert_int_equal(most_tried_among_hosts(sizes[i]), 1);
}

/* ---- routes that differ by a condition alone */

enum difference {
	BY_METHOD,
	BY_HEADER,
	BY_QUERY,
	BY_PATH_PATTERN,
	BY_HEADER_PATTERN,
	BY_UNANCHORED_PATTERN,
};

static const char *const difference_names[] = { "method",	"header",	  "query",
						"path pattern", "header pattern", "unanchored" };

struct condition_table {
	char text[48];
	struct route_match match;
	struct text_match condition;
};

static struct span text_of(struct condition_table *row, const char *before, uint32_t i, const char *behind)
{
	int len = snprintf(row->text, sizeof(row->text), "%s%05u%s", before, i, behind);

	return span_of(row->text, (size_t)len);
}

static void difference_set(struct condition_table *row, enum difference kind, uint32_t i)
{
	struct route_match *match = &row->match;

	*match = (struct route_match){ .path_kind = PATH_PREFIX_SEGMENTS, .path = SPAN("/") };
	row->condition = (struct text_match){ .name = SPAN("x-tenant"), .kind = TEXT_EXACT };
	if (kind == BY_METHOD) {
		match->method = text_of(row, "M", i, "");
	} else if (kind == BY_PATH_PATTERN) {
		match->path_kind = PATH_REGEX;
		match->path = text_of(row, "/tenant-", i, "/[0-9]+/[a-z]*");
	} else if (kind == BY_QUERY) {
		match->query_list = &row->condition;
		match->query_count = 1;
		row->condition.value = text_of(row, "tenant-", i, "");
	} else {
		match->header_list = &row->condition;
		match->header_count = 1;
		row->condition.kind = kind == BY_HEADER ? TEXT_EXACT : TEXT_REGEX;
		row->condition.value = text_of(row, kind == BY_UNANCHORED_PATTERN ? ".*t-" : "tenant-", i,
					       kind == BY_HEADER	   ? ""
					       : kind == BY_HEADER_PATTERN ? "(?:-[a-z]+)?"
									   : ".*");
	}
}

static struct listener *difference_listener(struct model *m, enum difference kind, uint32_t count)
{
	struct listener *l = model_listener(m, model_bind(m, 80), "n", "g", "l", "");
	struct condition_table *table = model_take(m, count * sizeof(*table));

	assert_false(m->failed);
	l->route_list = model_take(m, count * sizeof(*l->route_list));
	assert_non_null(l->route_list);
	l->route_count = count;
	for (uint32_t i = 0; i < count; i++) {
		difference_set(&table[i], kind, i);
		l->route_list[i] = (struct route){
			.key = span_of(table[i].text, strlen(table[i].text)),
			.match_list = &table[i].match,
			.match_count = 1,
		};
	}
	return l;
}

/* A request for the i-th route; `text` has to live as long. */
static struct request_head difference_request(struct model *m, enum difference kind, uint32_t i,
					      char text[64])
{
	struct request_head head;

	snprintf(text, 64, "%s%05u%s",
		 kind == BY_METHOD  ? "M"
		 : kind == BY_QUERY ? "/x?a=b&x-tenant=tenant-"
				    : "/tenant-",
		 i, kind >= BY_PATH_PATTERN || kind == BY_HEADER ? "/42/a" : "");
	head = head_of(m->snapshot->arena, kind == BY_METHOD ? text : "GET", "a",
		       kind == BY_METHOD ? "/" : text);
	assert_int_equal(fields_add(&head.fields, SPAN("User-Agent"), SPAN("test")), 0);
	assert_int_equal(fields_add(&head.fields, SPAN("X-Tenant"), span_of(text + 1, 12)), 0);
	return head;
}

/* The most entries that a look-up tries, of some that are spread over all routes. */
static unsigned int most_tried(enum difference kind, uint32_t count)
{
	enum { LOOK_UPS = 64 };
	unsigned int most = 0;
	struct listener *l;
	struct model m;

	model_init(&m);
	l = difference_listener(&m, kind, count);
	compile(&m);
	/* The path "/" is one, and so is each value. */
	assert_short_probes(l->table, kind == BY_PATH_PATTERN			      ? 0
				      : kind > BY_PATH_PATTERN || count < ENTRIES_MIN ? 1
										      : 1 + count);
	for (uint32_t i = 0; i < LOOK_UPS; i++) {
		uint32_t at = (uint32_t)((uint64_t)i * count / LOOK_UPS);
		char text[64];
		struct request_head head = difference_request(&m, kind, at, text);
		unsigned int tried = entries_tried(l, &head, &l->route_list[at]);

		assert_int_equal(spent.passes, kind >= BY_PATH_PATTERN && count >= ENTRIES_MIN);
		if (tried > most)
			most = tried;
	}
	model_done(&m);
	return most;
}

TEST(a_look_up_tries_as_few_entries_with_any_number_of_conditions)
{
	static const uint32_t sizes[] = { 10, 100, 1000, 4000, 10000 };

	for (enum difference kind = BY_METHOD; kind <= BY_UNANCHORED_PATTERN; kind++) {
		for (size_t i = 0; i < ARRAY_LEN(sizes) - (kind >= BY_PATH_PATTERN); i++) {
			unsigned int most = most_tried(kind, sizes[i]);

			print_message("%14s %6u: %u tried\n", difference_names[kind], sizes[i], most);
			/* Few have no index and are tried in turn. */
			assert_int_equal(most, sizes[i] < ENTRIES_MIN ? sizes[i] : 1);
		}
	}
}
