/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/top/top.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "admin/top/top_client.h"
#include "admin/top/top_screen.h"
#include "admin/top/top_view.h"
#include "user/base/clock.h"
#include "user/base/mem.h"

enum {
	EXIT_NO_ANSWER = 1,
	EXIT_USAGE = 2,
};

static const char usage[] =
	"usage: headgate top [--admin ADDR] [--interval SECONDS] [--once]\n"
	"  --admin ADDR        ip:port, localhost:port or unix:/path (ADMIN_ADDR, or localhost:15000)\n"
	"  --interval SECONDS  time between two updates, 0.1 to 3600 (1)\n"
	"  --once              print one table and exit\n";

static bool parse_interval(const char *text, uint64_t *ret_ms)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end || !(seconds >= 0.1 && seconds <= 3600))
		return false;
	*ret_ms = (uint64_t)(seconds * 1000 + 0.5);
	return true;
}

/* Returns -1 to continue, otherwise the exit status. */
static int parse_options(int argc, char **argv, struct top_options *options)
{
	static const struct option list[] = {
		{ "admin", required_argument, NULL, 'a' },
		{ "interval", required_argument, NULL, 'i' },
		{ "once", no_argument, NULL, '1' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int option;

	optind = 1;
	while ((option = getopt_long(argc, argv, "a:i:1h", list, NULL)) != -1) {
		switch (option) {
		case 'a':
			options->admin = optarg;
			break;
		case 'i':
			if (!parse_interval(optarg, &options->interval_ms)) {
				fprintf(stderr, "headgate top: --interval takes seconds from 0.1 to 3600\n");
				return EXIT_USAGE;
			}
			break;
		case '1':
			options->is_once = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			fputs(usage, stderr);
			return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "headgate top: unexpected argument \"%s\"\n%s", argv[optind], usage);
		return EXIT_USAGE;
	}
	return -1;
}

static int look(const char *admin, struct top_table *ret_table)
{
	struct text body, error;
	int result;

	text_init(&body);
	text_init(&error);
	result = top_fetch(span_str(admin), "GET", "/streams", &body, &error);
	if (result == 0)
		result = top_table_parse(text_span(&body), ret_table);
	if (result && !error.len)
		text_str(&error, "the list of streams cannot be read: is this the admin port of a gateway?");
	if (result)
		fprintf(stderr, "headgate top: %.*s\n", SPAN_FMT(text_span(&error)));
	text_done(&body);
	text_done(&error);
	return result;
}

static void pause_ms(uint64_t ms)
{
	struct timespec time = { (time_t)(ms / 1000), (long)(ms % 1000 * 1000000) };

	nanosleep(&time, NULL);
}

static int show(const struct top_table *table)
{
	const struct top_row **list = hg_malloc((table->row_count + 1) * sizeof(*list));
	const struct top_view view = { 0 };
	struct text out;
	size_t count;

	if (!list) {
		fprintf(stderr, "headgate top: no memory\n");
		return EXIT_NO_ANSWER;
	}
	count = top_view_rows(&view, table, list);
	text_init(&out);
	top_view_sum(&view, table, count, &out);
	text_char(&out, '\n');
	top_view_titles(&view, 0, &out);
	text_char(&out, '\n');
	for (size_t i = 0; i < count; i++) {
		top_view_line(&view, list[i], 0, &out);
		text_char(&out, '\n');
	}
	fwrite(out.data, 1, out.len, stdout);
	fflush(stdout);
	text_done(&out);
	hg_free(list);
	return 0;
}

/* Prints the changes since *before, then replaces it with the new list. */
static int top_step(const struct top_options *options, struct top_table *before, uint64_t *before_ms)
{
	struct top_table table;
	uint64_t now_ms;

	if (look(options->admin, &table) != 0)
		return EXIT_NO_ANSWER;
	now_ms = clock_now_ms();
	top_table_rates(&table, before, now_ms - *before_ms);
	top_table_done(before);
	*before = table;
	*before_ms = now_ms;
	return show(&table);
}

int top_main(int argc, char **argv)
{
	const char *admin = getenv("ADMIN_ADDR");
	struct top_options options = { admin && *admin ? admin : "localhost:15000", 1000, false };
	struct top_table before;
	uint64_t before_ms;
	int status = parse_options(argc, argv, &options);

	if (status >= 0)
		return status;
	if (look(options.admin, &before) != 0)
		return EXIT_NO_ANSWER;
	if (!options.is_once && top_screen_run(&options)) {
		top_table_done(&before);
		return 0;
	}
	before_ms = clock_now_ms();
	do {
		pause_ms(options.interval_ms);
		status = top_step(&options, &before, &before_ms);
	} while (status == 0 && !options.is_once);
	top_table_done(&before);
	return status;
}
