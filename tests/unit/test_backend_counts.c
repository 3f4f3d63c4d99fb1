/* SPDX-License-Identifier: Apache-2.0 */
/* Counts of backends and of their endpoints, over snapshots and copies of them. */
#include "tests/lib/test.h"
#include "tests/unit/policy_model.h"
#include "user/base/mem.h"
#include "user/gateway/backend_counts.h"

#include <errno.h>

static struct quota_table table;

static struct backend *counts_model(struct model *m, bool counts_endpoints)
{
	struct backend *backend;

	model_init(m);
	backend = model_backend(m, BACKEND_SERVICE, "ns", "ns/svc");
	assert_non_null(backend);
	backend->endpoint_list = model_take(m, 2 * sizeof(struct endpoint));
	assert_non_null(backend->endpoint_list);
	backend->endpoint_count = 2;
	backend->endpoint_list[0].text = SPAN("10.0.0.1:80");
	backend->endpoint_list[1].text = SPAN("10.0.0.2:80");
	backend->counts_endpoints = counts_endpoints;
	return m->snapshot->backend_list;
}

static void assert_nothing_is_left(void)
{
	for (int s = 0; s < QUOTA_SHARDS; s++) {
		for (int b = 0; b < QUOTA_BUCKETS; b++)
			assert_null(table.shards[s].buckets[b]);
	}
}

TEST(endpoints_are_counted_only_where_a_policy_limits_them)
{
	struct model m;
	struct backend *backend = counts_model(&m, false);

	assert_int_equal(backend_counts_attach(&table, m.snapshot), 0);
	assert_non_null(backend->quota);
	assert_null(backend->endpoint_list[0].quota);
	model_done(&m);
	assert_nothing_is_left();
}

TEST(a_reload_and_a_change_of_endpoints_keep_the_counts)
{
	const struct quota_most most = { 9, 9 };
	struct endpoint now[2] = { { .text = SPAN("10.0.0.2:80") }, { .text = SPAN("10.0.0.3:80") } };
	struct model old, new;
	struct backend *before = counts_model(&old, true), *after = counts_model(&new, true);
	struct snapshot *copy, *second;
	struct quota *quota;

	assert_int_equal(backend_counts_attach(&table, old.snapshot), 0);
	quota = before->endpoint_list[1].quota;
	assert_ptr_equal(quota->parent, before->quota);
	assert_ptr_not_equal(quota, before->endpoint_list[0].quota);
	assert_true(quota_take_connection(quota, most));
	assert_int_equal(backend_counts_attach(&table, new.snapshot), 0);
	assert_ptr_equal(after->endpoint_list[1].quota, quota);
	model_done(&old);

	copy = snapshot_copy(new.snapshot);
	assert_non_null(copy);
	assert_int_equal(snapshot_set_endpoints(copy, 0, now, 2), 0);
	assert_int_equal(backend_counts_attach(&table, copy), 0);
	assert_ptr_equal(copy->backend_list[0].endpoint_list[0].quota, quota);
	assert_int_equal(copy->backend_list[0].endpoint_list[1].quota->connections, 0);
	second = snapshot_copy(copy);
	assert_non_null(second);
	assert_int_equal(backend_counts_attach(&table, second), 0);
	snapshot_unref(copy);
	model_done(&new);
	assert_int_equal(second->backend_list[0].endpoint_list[0].quota->connections, 1);
	quota_give_connection(quota);
	snapshot_unref(second);
	assert_nothing_is_left();
}

TEST(without_memory_the_snapshot_gives_back_what_it_got)
{
	for (uint64_t nth = 1; nth < 5; nth++) {
		struct model m;

		counts_model(&m, true);
		mem_fail_nth(nth);
		assert_int_equal(backend_counts_attach(&table, m.snapshot), -ENOMEM);
		mem_fail_nth(0);
		model_done(&m);
		assert_nothing_is_left();
	}
}
