/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "tests/lib/alloc.h"
#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/obs/paths.h"

static struct stream_record some_record(void)
{
	return (struct stream_record){
		.bind = SPAN("bind/8080"),
		.listener = SPAN("http"),
		.route = SPAN("default/httpbin"),
		.route_rule = SPAN("rule0"),
		.backend = SPAN("httpbin"),
		.endpoint = SPAN("127.0.0.1:8000"),
		.status = 200,
		.bytes_in = 10,
		.bytes_out = 1000,
		.duration_ns = 3000000,
		.reason = END_OK,
	};
}

static const struct series *at(const struct path_metrics *m, uint32_t index)
{
	return series_table_at(path_metrics_table(m), index);
}

TEST(a_request_counts_for_one_path)
{
	struct path_metrics *m = path_metrics_create();
	struct stream_record record = some_record();
	const struct path_numbers *numbers;
	struct latency_sum sum = { 0 };

	path_metrics_add(m, &record, 7);
	record.status = 504;
	record.reason = END_REQUEST_TIMEOUT;
	path_metrics_add(m, &record, 9);
	/* The first series is the overflow. */
	assert_int_equal(series_table_count(path_metrics_table(m)), 2);
	assert_int_equal(at(m, 0)->count, 0);
	assert_int_equal(at(m, 1)->count, 2);
	assert_true(span_eq(at(m, 1)->labels[PATH_ENDPOINT], SPAN("127.0.0.1:8000")));
	numbers = at(m, 1)->extra;
	assert_int_equal(numbers->failures, 1);
	assert_int_equal(numbers->bytes_in, 20);
	assert_int_equal(numbers->bytes_out, 2000);
	assert_int_equal(numbers->last_s, 9);
	latency_collect(&numbers->latency, 9, &sum);
	assert_in_range(latency_percentile(&sum, 500), 2900, 3100);
	path_metrics_free(m);
}

TEST(other_texts_in_the_same_place_are_another_path)
{
	struct path_metrics *m = path_metrics_create();
	struct stream_record record = some_record();
	char route[] = "default/a";

	record.route = span_of(route, sizeof(route) - 1);
	path_metrics_add(m, &record, 7);
	route[8] = 'b';
	path_metrics_add(m, &record, 7);
	assert_int_equal(series_table_count(path_metrics_table(m)), 3);
	assert_true(span_eq(at(m, 1)->labels[PATH_ROUTE], SPAN("default/a")));
	assert_true(span_eq(at(m, 2)->labels[PATH_ROUTE], SPAN("default/b")));
	path_metrics_free(m);
}

TEST(beyond_the_limit_one_path_collects_the_rest)
{
	struct path_metrics *m = path_metrics_create();
	struct stream_record record = some_record();
	uint64_t count = 0;

	for (uint32_t i = 0; i < LIMIT_PATH_SERIES + 10; i++) {
		char route[32];

		record.route = span_of(route, (size_t)snprintf(route, sizeof(route), "default/%u", i));
		path_metrics_add(m, &record, 7);
	}
	assert_int_equal(series_table_count(path_metrics_table(m)), LIMIT_PATH_SERIES);
	for (uint32_t i = 0; i < LIMIT_PATH_SERIES; i++)
		count += at(m, i)->count;
	assert_int_equal(count, LIMIT_PATH_SERIES + 10);
	assert_int_equal(at(m, 0)->count, 11);
	path_metrics_free(m);
}

static int create(void *context)
{
	struct path_metrics *m = path_metrics_create();

	(void)context;
	path_metrics_free(m);
	return m ? 0 : -12;
}

TEST(each_allocation_may_fail)
{
	assert_int_equal(alloc_fail_each(create, NULL), 3);
}

TEST(a_failure_is_what_its_client_did_not_want)
{
	static const struct {
		uint16_t status;
		enum end_reason reason;
		bool has_failed;
	} rows[] = {
		{ 200, END_OK, false },
		{ 404, END_NO_ROUTE, false },
		{ 503, END_OK, true },
		{ 504, END_REQUEST_TIMEOUT, true },
		{ 200, END_STREAM_IDLE, true },
		{ 0, END_UPSTREAM_RST, true },
		{ 0, END_CLIENT_FIN, false },
		{ 401, END_JWT_AUTH, false },
		{ 429, END_RATE_LIMIT, false },
		{ 0, END_TUNNEL_IDLE, true },
		{ 0, END_INTEGRITY_ERROR, true },
		{ 302, END_LOCAL_REPLY, false },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct stream_record record = { .status = rows[i].status, .reason = rows[i].reason };

		assert_int_equal(stream_record_has_failed(&record), rows[i].has_failed);
	}
}
