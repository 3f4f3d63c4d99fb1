/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/top/top_view.h"

#include <stdio.h>
#include <stdlib.h>

#include "user/base/check.h"

enum { CELL_BYTES = 128 };

/* ---- numbers */

/* "999", "1.0K", "12.3M": at most five characters. */
static void put_size(char out[CELL_BYTES], uint64_t bytes)
{
	static const char units[] = "KMGTPE";
	double value = (double)bytes;
	size_t unit = 0;

	if (bytes < 1000) {
		snprintf(out, CELL_BYTES, "%u", (unsigned int)bytes);
		return;
	}
	for (value /= 1000; value >= 999.95 && unit + 1 < sizeof(units) - 1; unit++)
		value /= 1000;
	snprintf(out, CELL_BYTES, value < 99.95 ? "%.1f%c" : "%.0f%c", value, units[unit]);
}

/* "0.4s", "12s", "3m12s", "5h03m", "2d04h". */
static void put_time(char out[CELL_BYTES], uint64_t ms)
{
	unsigned long long s = ms / 1000;

	if (s < 10)
		snprintf(out, CELL_BYTES, "%llu.%llus", s, (unsigned long long)(ms % 1000 / 100));
	else if (s < 60)
		snprintf(out, CELL_BYTES, "%llus", s);
	else if (s < 3600)
		snprintf(out, CELL_BYTES, "%llum%02llus", s / 60, s % 60);
	else if (s < 86400)
		snprintf(out, CELL_BYTES, "%lluh%02llum", s / 3600, s % 3600 / 60);
	else
		snprintf(out, CELL_BYTES, "%llud%02lluh", s / 86400, s % 86400 / 3600);
}

/* ---- columns */

static void put_rate(char out[CELL_BYTES], const struct top_row *row)
{
	put_size(out, row->rate_in + row->rate_out);
}

static void put_rate_in(char out[CELL_BYTES], const struct top_row *row)
{
	put_size(out, row->rate_in);
}

static void put_rate_out(char out[CELL_BYTES], const struct top_row *row)
{
	put_size(out, row->rate_out);
}

static void put_in(char out[CELL_BYTES], const struct top_row *row)
{
	put_size(out, row->bytes_in);
}

static void put_out(char out[CELL_BYTES], const struct top_row *row)
{
	put_size(out, row->bytes_out);
}

static void put_age(char out[CELL_BYTES], const struct top_row *row)
{
	put_time(out, row->age_ms);
}

static void put_left(char out[CELL_BYTES], const struct top_row *row)
{
	if (row->has_deadline)
		put_time(out, row->deadline_left_ms);
}

static void put_ended(char out[CELL_BYTES], const struct top_row *row)
{
	snprintf(out, CELL_BYTES, "%.8s", strlen(row->ended_at) > 11 ? row->ended_at + 11 : "");
}

static void put_status(char out[CELL_BYTES], const struct top_row *row)
{
	if (row->status)
		snprintf(out, CELL_BYTES, "%u", (unsigned int)row->status);
}

static void put_fired(char out[CELL_BYTES], const struct top_row *row)
{
	snprintf(out, CELL_BYTES, "%s", *row->timer ? "fired" : "");
}

static void put_id(char out[CELL_BYTES], const struct top_row *row)
{
	snprintf(out, CELL_BYTES, "%llu", (unsigned long long)row->id);
}

#define PUT_TEXT(member)                                                                                     \
	static void put_##member(char out[CELL_BYTES], const struct top_row *row)                            \
	{                                                                                                    \
		snprintf(out, CELL_BYTES, "%s", row->member);                                                \
	}
PUT_TEXT(state)
PUT_TEXT(lane)
PUT_TEXT(endpoint)
PUT_TEXT(deadline)
PUT_TEXT(close_reason)
PUT_TEXT(route)
PUT_TEXT(client)
PUT_TEXT(request)
PUT_TEXT(protocol)
#undef PUT_TEXT

enum {
	RUNNING = 1,
	HISTORY = 2,
	BOTH = RUNNING | HISTORY,
};

/* rank: those with a low one are shown first where space is short. Rank 0 fits 80 columns. */
/* clang-format off */
static const struct column {
	const char *title;
	unsigned int lists;
	unsigned int rank;
	unsigned int width;
	bool is_right;
	bool is_address;
	void (*put)(char out[CELL_BYTES], const struct top_row *row);
} column_list[] = {
	{ "ENDED",    HISTORY, 0,  8, false, false, put_ended },
	{ "B/s",      RUNNING, 0,  5, true,  false, put_rate },
	{ "AGE",      RUNNING, 0,  6, true,  false, put_age },
	{ "TOOK",     HISTORY, 0,  6, true,  false, put_age },
	{ "STA",      HISTORY, 0,  3, true,  false, put_status },
	{ "STATE",    RUNNING, 0,  9, false, false, put_state },
	{ "WHY",      HISTORY, 0, 25, false, false, put_close_reason },
	{ "TIMER",    HISTORY, 0,  5, false, false, put_fired },
	{ "OUT",      HISTORY, 0,  5, true,  false, put_out },
	{ "LANE",     RUNNING, 0, 12, false, false, put_lane },
	{ "ENDPOINT", BOTH,    0, 21, false, true,  put_endpoint },
	{ "TIMER",    RUNNING, 0, 15, false, false, put_deadline },
	{ "LEFT",     RUNNING, 0,  6, true,  false, put_left },
	{ "LANE",     HISTORY, 1, 12, false, false, put_lane },
	{ "ROUTE",    BOTH,    2, 24, false, false, put_route },
	{ "CLIENT",   BOTH,    3, 21, false, true,  put_client },
	{ "IN",       BOTH,    5,  5, true,  false, put_in },
	{ "OUT",      RUNNING, 5,  5, true,  false, put_out },
	{ "IN/s",     RUNNING, 8,  5, true,  false, put_rate_in },
	{ "OUT/s",    RUNNING, 8,  5, true,  false, put_rate_out },
	{ "PROTOCOL", BOTH,    6,  8, false, false, put_protocol },
	{ "ID",       BOTH,    7, 16, false, false, put_id },
	{ "REQUEST",  BOTH,    4, 30, false, false, put_request },
};
/* clang-format on */

static bool is_listed(const struct top_view *view, const struct column *column)
{
	return column->lists & (view->is_history ? HISTORY : RUNNING);
}

/* The highest rank whose columns fit, with all of lower ranks. */
static unsigned int rank_that_fits(const struct top_view *view, size_t columns)
{
	enum { RANKS = 9 };
	size_t used = 0;

	for (unsigned int rank = 0; rank < RANKS; rank++) {
		for (size_t i = 0; i < ARRAY_LEN(column_list); i++)
			if (is_listed(view, &column_list[i]) && column_list[i].rank == rank)
				used += column_list[i].width + 1;
		if (columns && used > columns + 1)
			return rank ? rank - 1 : 0;
	}
	return RANKS - 1;
}

/* "very-long-name~:8080": of an address the host is cut. */
static void cut(char cell[CELL_BYTES], const struct column *column)
{
	size_t len = strlen(cell), tail;
	const char *port = column->is_address ? strrchr(cell, ':') : NULL;

	if (len <= column->width)
		return;
	tail = port ? strlen(port) : 0;
	if (!tail || tail > 6) {
		cell[column->width] = '\0';
		return;
	}
	memmove(cell + column->width - tail, port, tail + 1);
	cell[column->width - tail - 1] = '~';
}

static void add_cells(const struct top_view *view, const struct top_row *row, size_t columns,
		      struct text *out)
{
	unsigned int rank = rank_that_fits(view, columns);
	size_t start = out->len;
	bool is_first = true;

	for (size_t i = 0; i < ARRAY_LEN(column_list); i++) {
		const struct column *column = &column_list[i];
		char cell[CELL_BYTES] = "";

		if (!is_listed(view, column) || column->rank > rank)
			continue;
		if (row)
			column->put(cell, row);
		else
			snprintf(cell, sizeof(cell), "%s", column->title);
		cut(cell, column);
		text_fmt(out, "%s%*s", is_first ? "" : " ",
			 column->is_right ? (int)column->width : -(int)column->width, cell);
		is_first = false;
	}
	if (columns && out->len - start > columns)
		out->len = start + columns;
	while (out->len > start && out->data[out->len - 1] == ' ')
		out->len--;
}

void top_view_titles(const struct top_view *view, size_t columns, struct text *out)
{
	add_cells(view, NULL, columns, out);
}

void top_view_line(const struct top_view *view, const struct top_row *row, size_t columns, struct text *out)
{
	add_cells(view, row, columns, out);
}

void top_view_sum(const struct top_view *view, const struct top_table *table, size_t shown, struct text *out)
{
	char in[CELL_BYTES], to_client[CELL_BYTES];
	uint64_t sum_in = 0, sum_out = 0;

	for (size_t i = 0; i < table->row_count; i++) {
		sum_in += table->row_list[i].rate_in;
		sum_out += table->row_list[i].rate_out;
	}
	if (shown != table->row_count)
		text_fmt(out, "%zu of ", shown);
	text_fmt(out, "%zu %sstreams", table->row_count, view->is_history ? "ended " : "");
	if (view->is_history)
		return;
	put_size(in, sum_in);
	put_size(to_client, sum_out);
	text_fmt(out, ", %sB/s from clients, %sB/s to clients", in, to_client);
}

/* ---- order */

static int order(uint64_t a, uint64_t b)
{
	return a > b ? -1 : a < b;
}

/* The fastest or, of those that ended, the latest. */
static int by_rate(const struct top_row *a, const struct top_row *b)
{
	int result = strcmp(b->ended_at, a->ended_at);

	return result ? result : order(a->rate_in + a->rate_out, b->rate_in + b->rate_out);
}

static int by_bytes(const struct top_row *a, const struct top_row *b)
{
	return order(a->bytes_in + a->bytes_out, b->bytes_in + b->bytes_out);
}

static int by_age(const struct top_row *a, const struct top_row *b)
{
	return order(a->age_ms, b->age_ms);
}

/* The next deadline to expire; those without one are last. */
static int by_left(const struct top_row *a, const struct top_row *b)
{
	int result = strcmp(a->close_reason, b->close_reason);

	if (!result)
		result = order(a->has_deadline, b->has_deadline);
	return result ? result : -order(a->deadline_left_ms, b->deadline_left_ms);
}

static int by_endpoint(const struct top_row *a, const struct top_row *b)
{
	return strcmp(a->endpoint, b->endpoint);
}

static int by_route(const struct top_row *a, const struct top_row *b)
{
	return strcmp(a->route, b->route);
}

static const struct {
	const char *name;
	const char *name_in_history;
	int (*compare)(const struct top_row *a, const struct top_row *b);
} sort_list[] = {
	{ "rate", "end", by_rate },
	{ "bytes", "bytes", by_bytes },
	{ "age", "time taken", by_age },
	{ "time left", "reason", by_left },
	{ "endpoint", "endpoint", by_endpoint },
	{ "route", "route", by_route },
};

unsigned int top_sort_count(void)
{
	return ARRAY_LEN(sort_list);
}

const char *top_sort_name(const struct top_view *view)
{
	return view->is_history ? sort_list[view->sort].name_in_history : sort_list[view->sort].name;
}

/* Equal rows: most bytes first, then the oldest. */
static int compare_rows(const void *a, const void *b, void *context)
{
	const struct top_row *left = *(const struct top_row *const *)a,
			     *right = *(const struct top_row *const *)b;
	const struct top_view *view = context;
	int result = sort_list[view->sort].compare(left, right);

	if (view->is_reversed)
		result = -result;
	if (!result)
		result = by_bytes(left, right);
	if (!result)
		result = by_age(left, right);
	return result ? result : -order(left->id, right->id);
}

static bool passes(const struct top_view *view, const struct top_row *row)
{
	const char *const texts[] = { row->client, row->route,	  row->endpoint, row->protocol,	   row->state,
				      row->lane,   row->deadline, row->request,	 row->close_reason };
	char digits[CELL_BYTES];

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (strcasestr(texts[i], view->filter))
			return true;
	put_status(digits, row);
	return row->status && strcmp(digits, view->filter) == 0;
}

size_t top_view_rows(const struct top_view *view, const struct top_table *table,
		     const struct top_row **ret_list)
{
	size_t count = 0;

	for (size_t i = 0; i < table->row_count; i++)
		if (passes(view, &table->row_list[i]))
			ret_list[count++] = &table->row_list[i];
	qsort_r(ret_list, count, sizeof(ret_list[0]), compare_rows, (void *)view);
	return count;
}
