/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>

#include "admin/ui/query.h"
#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/stream/selection.h"

static struct arena arena;

static int begin(void **state)
{
	(void)state;
	arena_init(&arena, 1024);
	return 0;
}

static int end(void **state)
{
	(void)state;
	arena_done(&arena);
	return 0;
}

#define QUERY_TEST(name) TEST_WITH(name, begin, end)

static struct ui_query read(const char *text)
{
	struct ui_query query;
	const char *why;

	assert_int_equal(ui_query_read(span_str(text), &arena, &query, &why), 0);
	return query;
}

QUERY_TEST(parts_are_a_list_in_any_encoding)
{
	assert_int_equal(read("").parts, 0);
	assert_int_equal(read("parts=totals").parts, 1u << UI_PART_TOTALS);
	assert_int_equal(read("parts=map,streams").parts, 1u << UI_PART_MAP | 1u << UI_PART_STREAMS);
	assert_int_equal(read("parts=map%2Cstreams").parts, 1u << UI_PART_MAP | 1u << UI_PART_STREAMS);
}

QUERY_TEST(labels_are_decoded)
{
	struct ui_query query = read("route=default%2Fmy+route&endpoint=127.0.0.1%3A80&backend=b&listener=web"
				     "&key=a%2fb&since=77");

	assert_true(span_eq(query.streams.route, SPAN("default/my route")));
	assert_true(span_eq(query.streams.endpoint, SPAN("127.0.0.1:80")));
	assert_true(span_eq(query.ends.backend, SPAN("b")));
	assert_true(span_eq(query.ends.listener, SPAN("web")));
	assert_true(span_eq(query.route, SPAN("a/b")));
	assert_int_equal(query.since, 77);
	assert_false(query.streams.is_history);
	assert_true(query.ends.is_history);
}

QUERY_TEST(rows_are_limited_even_if_nobody_asks)
{
	assert_int_equal(read("").streams.limit, UI_ROWS);
	assert_int_equal(read("limit=0").streams.limit, UI_ROWS);
	assert_int_equal(read("limit=7").ends.limit, 7);
	assert_int_equal(read("limit=256").limit, UI_ROWS_MAX);
	assert_in_range(UI_ROWS_MAX, UI_ROWS, SELECTION_MAX);
}

QUERY_TEST(each_sort_has_a_name)
{
	static const char *const names[] = { "id", "deadline", "age", "bytes", "idle" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char text[32];

		snprintf(text, sizeof(text), "sort=%s", names[i]);
		assert_int_equal(read(text).streams.sort, i);
	}
}

QUERY_TEST(mistakes_are_refused_with_what_to_write)
{
	static const struct {
		const char *query;
		const char *why;
	} rows[] = {
		{ "parts=totals,nothing", "parts is a list of" },
		{ "parts=", NULL },
		{ "sort=size", "sort is id, deadline" },
		{ "limit=257", "limit is a number up to 256" },
		{ "limit=x", "limit is a number" },
		{ "since=-1", "since is a number" },
		{ "route=%2", "incomplete escape" },
		{ "key=%zz", "incomplete escape" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ui_query query;
		const char *why = "";
		int result = ui_query_read(span_str(rows[i].query), &arena, &query, &why);

		assert_int_equal(result, rows[i].why ? -EINVAL : 0);
		if (rows[i].why)
			assert_non_null(strstr(why, rows[i].why));
	}
}

QUERY_TEST(a_list_of_streams_has_no_limit_unless_one_is_given)
{
	struct stream_query query;
	const char *why;

	assert_int_equal(stream_query_read(SPAN("history=0"), &arena, &query, &why), 0);
	assert_int_equal(query.limit, 0);
	assert_false(query.is_history);
	assert_int_equal(stream_query_read(SPAN("history&limit=3&failed=1"), &arena, &query, &why), 0);
	assert_int_equal(query.limit, 3);
	assert_true(query.is_history);
	assert_true(query.is_failed_only);
}
