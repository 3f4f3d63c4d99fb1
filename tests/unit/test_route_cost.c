/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "policy/effective.h"
#include "policy/route.h"
#include "tests/unit/cpu.h"
#include "tests/unit/policy_model.h"

/* What a look-up costs, as numbers in the output of the test and as a claim that holds. */

static void seal(struct model *m)
{
	int result = policy_seal(m->snapshot, &m->report);

	assert_false(m->failed);
	if (result != 0)
		fail_msg("%d: %.*s", result,
			 m->report.message_count ? (int)m->report.message_list[0].text.len : 0,
			 m->report.message_count ? m->report.message_list[0].text.data : "");
}

#define COST_ROUNDS 20000

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

static double seal_ms, table_kib;

/*
 * Nanoseconds for one look-up, the best of five measurements; hosts in an order that the cache cannot guess.
 */
static double cost_of(uint32_t hosts)
{
	double best = 1e9;
	struct listener *l;
	uint64_t start_ns;
	struct model m;

	model_init(&m);
	l = cost_listener(&m, hosts);
	table_kib = (double)m.snapshot->arena->total_bytes;
	start_ns = cpu_ns();
	seal(&m);
	seal_ms = (double)(cpu_ns() - start_ns) / 1e6;
	table_kib = ((double)m.snapshot->arena->total_bytes - table_kib) / 1024;
	for (unsigned int run = 0; run < 5; run++) {
		struct request_head head = head_of(m.snapshot->arena, "GET", "", "/api/v1/items/42");
		uint64_t spent_ns, at = 1;

		start_ns = cpu_ns();
		for (unsigned int i = 0; i < COST_ROUNDS; i++) {
			at = at * 6364136223846793005u + 1442695040888963407u;
			const struct route *expected = &l->route_list[(at >> 33) % hosts];

			head.authority = expected->hostname_list[0];
			if (route_search(l, &head).route != expected)
				fail_msg("%.*s found another route", SPAN_FMT(head.authority));
		}
		spent_ns = cpu_ns() - start_ns;
		if ((double)spent_ns / COST_ROUNDS < best)
			best = (double)spent_ns / COST_ROUNDS;
	}
	model_done(&m);
	return best;
}

TEST(a_look_up_costs_the_same_with_any_number_of_hosts)
{
	static const uint32_t sizes[] = { 10, 100, 1000, 10000 };
	double cost[ARRAY_LEN(sizes)];

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		cost[i] = cost_of(sizes[i]);
		print_message("%6u hosts: %6.0f ns a look-up, sealed in %7.2f ms, %.0f KiB of tables\n",
			      sizes[i], cost[i], seal_ms, table_kib);
	}
	/* A linear search would be 100 times slower; caches and a busy machine get a factor of five. */
	assert_true(cost[2] < 5 * cost[0] + 200);
}
