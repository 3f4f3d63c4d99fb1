/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#include "tests/lib/alloc.h"
#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/obs/requests.h"

static struct stream_record some_record(void)
{
	return (struct stream_record){
		.gateway = SPAN("default/default"),
		.listener = SPAN("http"),
		.bind = SPAN("bind/8080"),
		.route = SPAN("default/httpbin"),
		.route_rule = SPAN("rule0"),
		.backend = SPAN("httpbin"),
		.protocol = SPAN("http"),
		.method = SPAN("GET"),
		.status = 200,
		.duration_ns = 3000000,
		.reason = END_OK,
	};
}

/* The only series with requests besides the overflow ones, which exist from the start. */
static const struct series *only_series(const struct request_metrics *m)
{
	const struct series *found = NULL;

	for (uint32_t i = 0; i < series_table_count(request_metrics_table(m)); i++) {
		const struct series *series = series_table_at(request_metrics_table(m), i);

		if (series->count == 0)
			continue;
		assert_null(found);
		found = series;
	}
	assert_non_null(found);
	return found;
}

TEST(equal_labels_are_one_series_wherever_their_bytes_lie)
{
	struct request_metrics *m = request_metrics_create();
	struct stream_record record = some_record();
	char copy[] = "default/httpbin";
	const struct series *series;

	request_metrics_add(m, &record);
	record.route = span_of(copy, sizeof(copy) - 1);
	request_metrics_add(m, &record);
	series = only_series(m);
	assert_int_equal(series->count, 2);
	assert_int_equal(series->duration.buckets[1], 2);
	assert_int_equal(series->duration.sum_ns, 6000000);
	/*
	 * The series owns its labels: the bytes they came from may change, as those of a freed snapshot do.
	 */
	memset(copy, 'x', sizeof(copy) - 1);
	assert_true(span_eq(series->labels[LABEL_ROUTE], SPAN("default/httpbin")));
	assert_true(span_eq(series->labels[LABEL_STATUS], SPAN("200")));
	assert_true(span_eq(series->labels[LABEL_REASON], SPAN("Upstream")));
	request_metrics_free(m);
}

/* The memory of a configuration that is gone may hold the next one. */
TEST(other_texts_in_the_same_place_are_another_series)
{
	struct request_metrics *m = request_metrics_create();
	struct stream_record record = some_record();
	uint32_t before = series_table_count(request_metrics_table(m));
	char route[] = "default/httpbin";

	record.route = span_of(route, sizeof(route) - 1);
	for (int i = 0; i < 3; i++) {
		request_metrics_add(m, &record);
		route[0]++;
		request_metrics_add(m, &record);
		route[0]--;
	}
	assert_int_equal(series_table_count(request_metrics_table(m)), before + 2);
	for (uint32_t i = before; i < series_table_count(request_metrics_table(m)); i++)
		assert_int_equal(series_table_at(request_metrics_table(m), i)->count, 3);
	request_metrics_free(m);
}

TEST(each_label_makes_a_series_of_its_own)
{
	struct request_metrics *m = request_metrics_create();
	struct stream_record records[REQUEST_LABEL_COUNT + 1];
	uint32_t before = series_table_count(request_metrics_table(m));

	for (size_t i = 0; i < ARRAY_LEN(records); i++)
		records[i] = some_record();
	records[LABEL_BACKEND].backend = SPAN("other");
	records[LABEL_PROTOCOL].protocol = SPAN("tcp");
	records[LABEL_METHOD].method = SPAN("POST");
	records[LABEL_STATUS].status = 404;
	records[LABEL_REASON].reason = END_NO_ROUTE;
	records[LABEL_BIND].bind = SPAN("other");
	records[LABEL_GATEWAY].gateway = SPAN("other");
	records[LABEL_LISTENER].listener = SPAN("other");
	records[LABEL_ROUTE].route = SPAN("other");
	records[LABEL_ROUTE_RULE].route_rule = SPAN("other");
	records[LABEL_ADDED].added_labels = SPAN(",team=\"a\"");
	for (size_t round = 0; round < 2; round++) {
		for (size_t i = 0; i < ARRAY_LEN(records); i++)
			request_metrics_add(m, &records[i]);
	}
	assert_int_equal(series_table_count(request_metrics_table(m)), before + ARRAY_LEN(records));
	for (uint32_t i = before; i < series_table_count(request_metrics_table(m)); i++)
		assert_int_equal(series_table_at(request_metrics_table(m), i)->count, 2);
	request_metrics_free(m);
}

TEST(bytes_that_move_from_one_label_to_the_next_are_another_series)
{
	struct request_metrics *m = request_metrics_create();
	struct stream_record record = some_record();
	uint32_t before = series_table_count(request_metrics_table(m));

	record.gateway = SPAN("ab");
	record.listener = SPAN("c");
	request_metrics_add(m, &record);
	record.gateway = SPAN("a");
	record.listener = SPAN("bc");
	request_metrics_add(m, &record);
	assert_int_equal(series_table_count(request_metrics_table(m)), before + 2);
	request_metrics_free(m);
}

TEST(missing_labels_read_unknown)
{
	struct request_metrics *m = request_metrics_create();
	struct stream_record record = { .reason = END_OK };
	const struct series *series;

	request_metrics_add(m, &record);
	series = only_series(m);
	for (uint32_t i = 0; i < REQUEST_LABEL_COUNT; i++) {
		if (i != LABEL_REASON && i != LABEL_ADDED)
			assert_true(span_eq(series->labels[i], SPAN("unknown")));
	}
	request_metrics_free(m);
}

TEST(a_client_cannot_make_series_with_methods)
{
	struct request_metrics *m = request_metrics_create();
	uint32_t before = series_table_count(request_metrics_table(m));
	char method[16];

	for (int i = 0; i < 1000; i++) {
		struct stream_record record = some_record();

		snprintf(method, sizeof(method), "M%d", i);
		record.method = span_str(method);
		request_metrics_add(m, &record);
	}
	assert_int_equal(series_table_count(request_metrics_table(m)), before + 1);
	assert_true(span_eq(only_series(m)->labels[LABEL_METHOD], SPAN("OTHER")));
	request_metrics_free(m);
}

TEST(past_the_bound_one_series_takes_the_rest)
{
	struct request_metrics *m = request_metrics_create();
	const struct series *overflow;
	uint64_t sum = 0;
	char route[32];

	for (int i = 0; i < 2 * LIMIT_METRIC_SERIES; i++) {
		struct stream_record record = some_record();

		snprintf(route, sizeof(route), "default/route%d", i);
		record.route = span_str(route);
		request_metrics_add(m, &record);
	}
	assert_int_equal(series_table_count(request_metrics_table(m)), LIMIT_METRIC_SERIES);
	overflow = series_table_at(request_metrics_table(m), SERIES_REQUEST);
	assert_true(span_eq(overflow->labels[LABEL_ROUTE], SPAN("overflow")));
	assert_int_equal(overflow->count, LIMIT_METRIC_SERIES + 3);
	for (uint32_t i = 0; i < series_table_count(request_metrics_table(m)); i++)
		sum += series_table_at(request_metrics_table(m), i)->count;
	assert_int_equal(sum, 2 * LIMIT_METRIC_SERIES);
	request_metrics_free(m);
}

TEST(connections_have_their_four_labels)
{
	struct request_metrics *m = request_metrics_create();
	const struct series *series;

	for (int i = 0; i < 3; i++)
		request_metrics_connection(m, SPAN("bind/1"), SPAN("ns/gw"), (struct span){ 0 },
					   SPAN("http"));
	series = only_series(m);
	assert_int_equal(series->kind, SERIES_CONNECTION);
	assert_int_equal(series->count, 3);
	for (uint32_t i = 0; i < REQUEST_LABEL_COUNT; i++) {
		bool is_own =
			i == LABEL_BIND || i == LABEL_GATEWAY || i == LABEL_LISTENER || i == LABEL_PROTOCOL;

		assert_int_equal(series->labels[i].len > 0, is_own);
	}
	assert_true(span_eq(series->labels[LABEL_LISTENER], SPAN("unknown")));
	request_metrics_free(m);
}

TEST(without_memory_requests_are_still_counted)
{
	struct request_metrics *m = request_metrics_create();
	struct stream_record record = some_record();

	mem_fail_nth(1);
	request_metrics_add(m, &record);
	mem_fail_nth(0);
	assert_true(span_eq(only_series(m)->labels[LABEL_ROUTE], SPAN("overflow")));
	request_metrics_free(m);
}

static int create_and_free(void *context)
{
	struct request_metrics *m = request_metrics_create();

	(void)context;
	request_metrics_free(m);
	return m ? 0 : -ENOMEM;
}

TEST(refusals_count_by_policy_and_rule)
{
	struct request_metrics *m = request_metrics_create();
	uint32_t before = series_table_count(request_metrics_table(m));
	const struct series *series;

	request_metrics_refusal(m, SPAN("cors"), SPAN("default/a"));
	request_metrics_refusal(m, SPAN("cors"), SPAN("default/a"));
	request_metrics_refusal(m, SPAN("cors"), SPAN("default/b"));
	assert_int_equal(series_table_count(request_metrics_table(m)), before + 2);
	series = series_table_at(request_metrics_table(m), before);
	assert_int_equal(series->kind, SERIES_GUARD);
	assert_int_equal(series->count, 2);
	assert_true(span_eq(series->labels[LABEL_OF_RULE], SPAN("default/a")));
	request_metrics_free(m);
}

TEST(creating_survives_lack_of_memory)
{
	assert_int_equal(alloc_fail_each(create_and_free, NULL), 5);
}

struct reader {
	struct request_metrics *m;
	atomic_bool stop;
	uint64_t seen;
};

/* Every series that shows is complete at once. */
static void *read_all(void *argument)
{
	struct reader *reader = argument;

	while (!atomic_load(&reader->stop)) {
		for (uint32_t i = 0; i < series_table_count(request_metrics_table(reader->m)); i++) {
			const struct series *series = series_table_at(request_metrics_table(reader->m), i);

			reader->seen += atomic_load_explicit(&series->count, memory_order_relaxed);
			if (series->kind == SERIES_GUARD)
				continue;
			if (series->labels[LABEL_BIND].len == 0 || series->labels[LABEL_BIND].data[0] == '\0')
				return (void *)1;
		}
	}
	return NULL;
}

TEST(reading_while_the_worker_writes_sees_whole_series)
{
	struct reader reader = { .m = request_metrics_create() };
	pthread_t thread;
	void *result;
	char route[32];

	assert_int_equal(pthread_create(&thread, NULL, read_all, &reader), 0);
	for (int i = 0; i < 20000; i++) {
		struct stream_record record = some_record();

		snprintf(route, sizeof(route), "default/route%d", i % 3000);
		record.route = span_str(route);
		request_metrics_add(reader.m, &record);
	}
	atomic_store(&reader.stop, true);
	pthread_join(thread, &result);
	assert_null(result);
	request_metrics_free(reader.m);
}
