/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "admin/top/top.h"
#include "admin/top/top_table.h"
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

TEST(control_bytes_of_clients_do_not_reach_the_terminal)
{
	struct top_table table =
		parsed("[{\"id\":1,\"client\":\"a\\u001b[2J\\u0007\\u00e4\",\"route\":\"x\\ny\"}]");
	struct text out;

	text_init(&out);
	top_table_draw(&table, 0, 0, &out);
	for (size_t i = 0; i < out.len; i++)
		assert_true(out.data[i] == '\n' || (out.data[i] >= 0x20 && out.data[i] < 0x7f));
	assert_non_null(strstr(out.data, "a?[2J???"));
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

TEST(the_fastest_stream_comes_first)
{
	struct top_table table = parsed("[" STREAM(1, 1000, 1, 1) "," STREAM(2, 1000, 500, 1) "," STREAM(
		3, 0, 9, 9) "," STREAM(4, 0, 0, 0) "," STREAM(5, 7, 0, 0) "," STREAM(6, 1000, 1, 900) "]");
	static const uint64_t want[] = { 6, 2, 1, 3, 5, 4 };

	top_table_rates(&table, NULL, 0);
	top_table_rank(&table);
	for (size_t i = 0; i < ARRAY_LEN(want); i++)
		assert_int_equal(table.row_list[i].id, want[i]);
	top_table_done(&table);
}

TEST(the_table_fits_the_terminal)
{
	struct top_table table = parsed("[" STREAM(1, 3600000, 1, 1) "," STREAM(2, 0, 999, 1000) "," STREAM(
		3, 172800000, 99950, 18446744073709551615) "]");

	for (size_t rows = 0; rows < 8; rows++) {
		for (size_t columns = 0; columns < 200; columns += 7) {
			struct text out;
			struct span rest, line;
			size_t count = 0;

			text_init(&out);
			top_table_draw(&table, rows, columns, &out);
			rest = text_span(&out);
			while (span_split(&rest, '\n', &line) && (line.len || rest.len)) {
				count++;
				if (columns)
					assert_true(line.len <= columns);
			}
			if (columns)
				assert_int_equal(count, rows == 0 || rows > 5 ? 5 : rows < 2 ? 2 : rows);
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
	top_table_draw(&table, 0, 0, &out);
	assert_non_null(strstr(out.data, "    999    1.0K  3m12s RELAY"));
	assert_non_null(strstr(out.data, "  99.9K    100K  2d00h RELAY"));
	assert_non_null(strstr(out.data, "stream_idle       1m05s 1\n"));
	assert_non_null(strstr(out.data, "2 streams, 0B/s from clients"));
	text_done(&out);
	top_table_done(&table);
}

static int parse_and_copy(void *context)
{
	struct top_table table, copy;
	int error = top_table_parse(span_str(context), &table);

	/* Without memory the parser cannot tell a broken text from a whole one. */
	if (error)
		return -ENOMEM;
	error = top_table_copy(&table, &copy);
	if (!error)
		top_table_done(&copy);
	top_table_done(&table);
	return error;
}

TEST(parsing_survives_lack_of_memory)
{
	assert_true(alloc_fail_each(parse_and_copy, (void *)"[" STREAM(1, 1, 1, 1) "]") > 10);
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
