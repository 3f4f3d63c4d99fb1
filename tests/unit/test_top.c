/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "admin/top/top.h"
#include "admin/top/top_view.h"
#include "tests/lib/alloc.h"
#include "tests/lib/test.h"
#include "user/base/check.h"

#define STREAM(id, age, in, out)                                                                             \
	"{\"id\":" #id ",\"age_ms\":" #age ",\"bytes_in\":" #in ",\"bytes_out\":" #out                       \
	",\"client\":\"10.0.0.1:5\",\"route\":\"ns/"                                                         \
	"r\",\"endpoint\":null,\"protocol\":\"http\",\"state\":\"RELAY\","                                   \
	"\"lane\":\"copy/pipe\",\"deadline\":\"stream_idle\",\"deadline_left_ms\":65000}"

static struct top_table parsed(const char *json)
{
	struct top_table table;

	assert_int_equal(top_table_parse(span_str(json), &table), 0);
	return table;
}

TEST(rows_hold_what_the_list_says)
{
	struct top_table table = parsed("[" STREAM(2, 100, 5, 6) "," STREAM(1, 90, 7, 8) ",{\"id\":3}]");
	struct top_row *row = &table.row_list[0];

	assert_int_equal(table.row_count, 3);
	assert_int_equal(row->id, 1);
	assert_int_equal(row->bytes_in, 7);
	assert_int_equal(row->bytes_out, 8);
	assert_int_equal(row->age_ms, 90);
	assert_string_equal(row->client, "10.0.0.1:5");
	assert_string_equal(row->endpoint, "");
	assert_string_equal(row->lane, "copy/pipe");
	assert_true(row->has_deadline);
	assert_int_equal(row->deadline_left_ms, 65000);
	assert_false(table.row_list[2].has_deadline);
	top_table_done(&table);
}

TEST(what_is_not_a_list_is_refused)
{
	static const char *const wrong[] = { "", "{}", "null", "[1", "3", "\"x\"", "not found\n" };
	struct top_table table;

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_int_equal(top_table_parse(span_str(wrong[i]), &table), -EPROTO);
	table = parsed("[]");
	assert_int_equal(table.row_count, 0);
	top_table_done(&table);
	/* Elements that are no objects are rows without anything. */
	table = parsed("[1,null]");
	assert_int_equal(table.row_count, 2);
	top_table_done(&table);
}

#define HOSTILE                                                                                              \
	"[{\"id\":1,\"client\":\"a\\u001b[2J\\u0007\\u00e4\",\"route\":\"x\\ny\","                           \
	"\"path\":\"/\\u009b\",\"lane\":1}]"

/* All lines, each with a newline. Returns the number of rows. */
static size_t draw(const struct top_table *table, struct top_view view, size_t columns, struct text *out)
{
	const struct top_row *list[16];
	size_t count = top_view_rows(&view, table, list);

	top_view_sum(&view, table, count, out);
	text_char(out, '\n');
	top_view_titles(&view, columns, out);
	text_char(out, '\n');
	for (size_t i = 0; i < count; i++) {
		top_view_line(&view, list[i], columns, out);
		text_char(out, '\n');
	}
	return count;
}

TEST(control_bytes_of_clients_do_not_reach_the_terminal)
{
	struct top_table table = parsed(HOSTILE);
	struct text out;

	text_init(&out);
	draw(&table, (struct top_view){ 0 }, 0, &out);
	assert_int_equal(top_table_detail(SPAN(HOSTILE), 1, &out), 0);
	for (size_t i = 0; i < out.len; i++)
		assert_true(out.data[i] == '\n' || (out.data[i] >= 0x20 && out.data[i] < 0x7f));
	assert_non_null(strstr(out.data, "a?[2J???"));
	assert_non_null(strstr(out.data, "x?y"));
	text_done(&out);
	top_table_done(&table);
}

TEST(rates_are_differences_and_averages_for_new_streams)
{
	struct top_table before =
		parsed("[" STREAM(1, 0, 100, 1000) "," STREAM(3, 0, 5, 5) "," STREAM(4, 0, 900, 0) "]");
	struct top_table now =
		parsed("[" STREAM(1, 0, 300, 5000) "," STREAM(2, 4000, 8000, 0) "," STREAM(4, 0, 100, 0) "]");

	top_table_rates(&now, &before, 2000);
	assert_int_equal(now.row_list[0].rate_in, 100);
	assert_int_equal(now.row_list[0].rate_out, 2000);
	assert_int_equal(now.row_list[1].rate_in, 2000); /* 8000 bytes in the 4 s of its life */
	assert_int_equal(now.row_list[2].rate_in, 0); /* another stream under the same number */
	top_table_rates(&now, NULL, 0);
	assert_int_equal(now.row_list[0].rate_in, 0);
	assert_int_equal(now.row_list[1].rate_in, 2000);
	top_table_done(&before);
	top_table_done(&now);
}

static void assert_order(const struct top_table *table, struct top_view view, const uint64_t *want,
			 size_t want_count)
{
	const struct top_row *list[16];

	assert_int_equal(top_view_rows(&view, table, list), want_count);
	for (size_t i = 0; i < want_count; i++)
		if (list[i]->id != want[i])
			fail_msg("by %s: row %zu is %llu", top_sort_name(&view), i,
				 (unsigned long long)list[i]->id);
}

static struct top_view sorted_by(const char *name, bool is_history)
{
	struct top_view view = { .is_history = is_history };

	for (; view.sort < top_sort_count(); view.sort++)
		if (strcmp(top_sort_name(&view), name) == 0)
			return view;
	fail_msg("no order %s", name);
	return view;
}

TEST(the_fastest_stream_comes_first)
{
	struct top_table table = parsed("[" STREAM(1, 1000, 1, 1) "," STREAM(2, 1000, 500, 1) "," STREAM(
		3, 0, 9, 9) "," STREAM(4, 0, 0, 0) "," STREAM(5, 7, 0, 0) "," STREAM(6, 1000, 1, 900) "]");

	top_table_rates(&table, NULL, 0);
	assert_order(&table, (struct top_view){ 0 }, (uint64_t[]){ 6, 2, 1, 3, 5, 4 }, 6);
	assert_order(&table, sorted_by("bytes", false), (uint64_t[]){ 6, 2, 3, 1, 5, 4 }, 6);
	assert_order(&table, sorted_by("age", false), (uint64_t[]){ 6, 2, 1, 5, 3, 4 }, 6);
	top_table_done(&table);
}

#define LEFT(id, left, endpoint)                                                                             \
	"{\"id\":" #id ",\"deadline_left_ms\":" #left ",\"endpoint\":\"" endpoint "\",\"route\":\"r" #id "\"}"
#define ENDED(id, at, reason, timer)                                                                         \
	"{\"id\":" #id ",\"status\":50" #id ",\"ended_at\":\"2026-01-01T00:00:" at                           \
	"Z\",\"close_reason\":\"" reason "\",\"timer\":" timer "}"

TEST(other_orders_and_their_reverse)
{
	struct top_table table =
		parsed("[" LEFT(1, 900, "b") "," LEFT(2, null, "a") "," LEFT(3, 20, "c") "]");
	struct top_table ended = parsed("[" ENDED(1, "05.1", "ok", "null") "," ENDED(
		2, "07.0", "request_timeout", "\"request_timeout\"") "," ENDED(3, "05.0", "limit",
									       "null") "]");
	struct top_view view = sorted_by("time left", false);

	assert_order(&table, view, (uint64_t[]){ 3, 1, 2 }, 3);
	view.is_reversed = true;
	assert_order(&table, view, (uint64_t[]){ 2, 1, 3 }, 3);
	assert_order(&table, sorted_by("endpoint", false), (uint64_t[]){ 2, 1, 3 }, 3);
	assert_order(&ended, sorted_by("end", true), (uint64_t[]){ 2, 1, 3 }, 3);
	assert_order(&ended, sorted_by("reason", true), (uint64_t[]){ 3, 1, 2 }, 3);
	top_table_done(&table);
	top_table_done(&ended);
}

TEST(a_filter_looks_into_every_text_and_at_the_whole_status)
{
	struct top_table table = parsed("[" ENDED(1, "05.1", "ok", "null") "," ENDED(
		2, "07.0", "request_timeout", "\"request_timeout\"") "," LEFT(3, 20, "10.0.0.7:8080") "]");

	assert_order(&table, (struct top_view){ .filter = "TIMEOUT" }, (uint64_t[]){ 2 }, 1);
	assert_order(&table, (struct top_view){ .filter = ":8080" }, (uint64_t[]){ 3 }, 1);
	assert_order(&table, (struct top_view){ .filter = "502" }, (uint64_t[]){ 2 }, 1);
	assert_order(&table, (struct top_view){ .filter = "50" }, NULL, 0);
	top_table_done(&table);
}

TEST(a_narrow_terminal_has_whole_columns_and_whole_ports)
{
	struct top_table table =
		parsed("[" LEFT(1, 3600000, "backend-with-a-long-name.example:65535") "," LEFT(
			2, 0,
			"[2001:db8:0:1:2:3:4:5]:8443") "," LEFT(3, 0,
								"unix:/run/a-rather-long-name.sock") "]");

	for (size_t columns = 1; columns < 260; columns++) {
		for (int is_history = 0; is_history < 2; is_history++) {
			struct text out;
			struct span rest, line;

			text_init(&out);
			draw(&table, (struct top_view){ .is_history = is_history }, columns, &out);
			rest = text_span(&out);
			(void)span_split(&rest, '\n', &line);
			while (span_split(&rest, '\n', &line) && (line.len || rest.len))
				assert_true(line.len <= columns);
			if (columns >= 80) {
				assert_non_null(strstr(out.data, "backend-with-a~:65535"));
				assert_non_null(strstr(out.data, "[2001:db8:0:1:2~:8443"));
				assert_non_null(strstr(out.data, "unix:/run/a-rather-lo"));
			}
			assert_int_equal(strstr(out.data, " ROUTE") != NULL,
					 columns >= (is_history ? 117 : 105));
			text_done(&out);
		}
	}
	top_table_done(&table);
}

TEST(sizes_and_times_are_short)
{
	struct top_table table =
		parsed("[" STREAM(1, 192000, 999, 1000) "," STREAM(2, 172800000, 99949, 99950) "]");
	struct text out;

	text_init(&out);
	draw(&table, (struct top_view){ 0 }, 80, &out);
	assert_non_null(strstr(out.data, "    0  3m12s RELAY     copy/pipe "));
	assert_non_null(strstr(out.data, "    0  2d00h RELAY     copy/pipe "));
	assert_non_null(strstr(out.data, " stream_idle      1m05s\n"));
	assert_non_null(strstr(out.data, "2 streams, 0B/s from clients"));
	text_clear(&out);
	draw(&table, (struct top_view){ 0 }, 0, &out);
	assert_non_null(strstr(out.data, "   999  1.0K "));
	assert_non_null(strstr(out.data, " 99.9K  100K "));
	text_done(&out);
	top_table_done(&table);
}

TEST(details_begin_with_the_reason)
{
	static const char json[] =
		"[{\"id\":1},{\"id\":2,\"bytes_in\":5,\"error\":null,\"lane_bytes_in\":{\"copy\":5},"
		"\"close_reason\":\"ok\"}]";
	struct text out;

	text_init(&out);
	assert_int_equal(top_table_detail(SPAN(json), 2, &out), 0);
	assert_string_equal(out.data, "close_reason             ok\n"
				      "id                       2\n"
				      "bytes_in                 5\n"
				      "lane_bytes_in.copy       5\n");
	assert_int_equal(top_table_detail(SPAN(json), 3, &out), -ENOENT);
	assert_int_equal(top_table_detail(SPAN("{}"), 3, &out), -EPROTO);
	/* Lists have no names: neither as a row, which has no id, nor in one. */
	text_clear(&out);
	assert_int_equal(top_table_detail(SPAN("[[1]]"), 0, &out), -ENOENT);
	assert_int_equal(top_table_detail(SPAN("[{\"id\":1,\"x\":[7]}]"), 1, &out), 0);
	assert_string_equal(out.data, "id                       1\n");
	text_done(&out);
}

static int parse(void *context)
{
	struct top_table table;
	struct text detail;
	int error = top_table_parse(span_str(context), &table);

	/* Without memory the parser cannot tell a broken text from a whole one. */
	if (error)
		return -ENOMEM;
	top_table_done(&table);
	text_init(&detail);
	error = top_table_detail(span_str(context), 1, &detail);
	text_done(&detail);
	return error ? -ENOMEM : 0;
}

TEST(parsing_survives_lack_of_memory)
{
	assert_true(alloc_fail_each(parse, (void *)"[" STREAM(1, 1, 1, 1) "]") > 10);
}

TEST(wrong_arguments_and_a_gateway_that_is_not_there_have_their_status)
{
	static const struct {
		const char *arguments[4];
		int status;
	} cases[] = {
		{ { "--interval", "0" }, 2 },
		{ { "--interval", "x" }, 2 },
		{ { "--interval", "3601" }, 2 },
		{ { "--wrong" }, 2 },
		{ { "extra" }, 2 },
		{ { "--admin" }, 2 },
		{ { "--help" }, 0 },
		{ { "--admin", "127.0.0.1:1", "--once" }, 1 },
		{ { "--admin", "nonsense" }, 1 },
		{ { "--admin", "off" }, 1 },
	};
	int saved_out = dup(STDOUT_FILENO), saved_error = dup(STDERR_FILENO),
	    null = open("/dev/null", O_WRONLY);

	fflush(stdout);
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *argv[6] = { (char *)"top" };
		int argc = 1, status;

		while (argc < 5 && cases[i].arguments[argc - 1]) {
			argv[argc] = (char *)cases[i].arguments[argc - 1];
			argc++;
		}
		status = top_main(argc, argv);
		if (status != cases[i].status) {
			dup2(saved_error, STDERR_FILENO);
			fail_msg("%s: %d", cases[i].arguments[0], status);
		}
	}
	fflush(stdout);
	dup2(saved_out, STDOUT_FILENO);
	dup2(saved_error, STDERR_FILENO);
	close(saved_out);
	close(saved_error);
	close(null);
}
