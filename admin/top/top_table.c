/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/top/top_table.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "user/base/mem.h"

/* Texts from clients must not reach a terminal as control sequences. */
static void copy_printable(char *out, size_t size, const char *text)
{
	size_t len = 0;

	for (; text[len] && len + 1 < size; len++)
		out[len] = text[len] >= 0x20 && text[len] < 0x7f ? text[len] : '?';
	out[len] = '\0';
}

static void copy_member(char *out, size_t size, const cJSON *stream, const char *key)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(stream, key));

	copy_printable(out, size, text ? text : "");
}

#define COPY(row, member) copy_member((row)->member, sizeof((row)->member), stream, #member)

/* Exact up to 2^53; 0 if the number is absent. */
static uint64_t whole_member(const cJSON *stream, const char *key)
{
	const cJSON *member = cJSON_GetObjectItemCaseSensitive(stream, key);
	double number = cJSON_IsNumber(member) ? member->valuedouble : 0;

	if (!(number > 0))
		return 0;
	return number < 18446744073709549568.0 ? (uint64_t)number : UINT64_MAX;
}

static void row_read(const cJSON *stream, struct top_row *row)
{
	row->id = whole_member(stream, "id");
	row->age_ms = whole_member(stream, "age_ms");
	row->bytes_in = whole_member(stream, "bytes_in");
	row->bytes_out = whole_member(stream, "bytes_out");
	row->has_deadline = cJSON_IsNumber(cJSON_GetObjectItemCaseSensitive(stream, "deadline_left_ms"));
	row->deadline_left_ms = whole_member(stream, "deadline_left_ms");
	COPY(row, client);
	COPY(row, route);
	COPY(row, endpoint);
	COPY(row, protocol);
	COPY(row, state);
	COPY(row, lane);
	COPY(row, deadline);
}

static int by_id(const void *a, const void *b)
{
	const struct top_row *left = a, *right = b;

	return left->id < right->id ? -1 : left->id > right->id;
}

int top_table_parse(struct span json, struct top_table *ret_table)
{
	static cJSON_Hooks hooks = { hg_malloc, hg_free };
	struct top_table table = { 0 };
	const cJSON *stream;
	cJSON *root;

	cJSON_InitHooks(&hooks);
	root = cJSON_ParseWithLength(json.data, json.len);
	table.row_list = cJSON_IsArray(root)
				 ? hg_calloc((size_t)cJSON_GetArraySize(root) + 1, sizeof(table.row_list[0]))
				 : NULL;
	if (!table.row_list) {
		int error = cJSON_IsArray(root) ? -ENOMEM : -EPROTO;

		cJSON_Delete(root);
		return error;
	}
	cJSON_ArrayForEach(stream, root) row_read(stream, &table.row_list[table.row_count++]);
	cJSON_Delete(root);
	qsort(table.row_list, table.row_count, sizeof(table.row_list[0]), by_id);
	*ret_table = table;
	return 0;
}

int top_table_copy(const struct top_table *table, struct top_table *ret_copy)
{
	struct top_row *list = hg_malloc((table->row_count ? table->row_count : 1) * sizeof(*list));

	if (!list)
		return -ENOMEM;
	memcpy(list, table->row_list, table->row_count * sizeof(*list));
	*ret_copy = (struct top_table){ list, table->row_count };
	return 0;
}

void top_table_done(struct top_table *table)
{
	hg_free(table->row_list);
	*table = (struct top_table){ 0 };
}

static uint64_t rate(uint64_t now, uint64_t before, uint64_t elapsed_ms)
{
	if (now <= before || elapsed_ms == 0)
		return 0;
	return (uint64_t)((double)(now - before) * 1000.0 / (double)elapsed_ms);
}

void top_table_rates(struct top_table *table, const struct top_table *before, uint64_t elapsed_ms)
{
	size_t at = 0;

	for (size_t i = 0; i < table->row_count; i++) {
		struct top_row *row = &table->row_list[i];
		const struct top_row *old = NULL;

		while (before && at < before->row_count && before->row_list[at].id < row->id)
			at++;
		if (before && at < before->row_count && before->row_list[at].id == row->id)
			old = &before->row_list[at];
		row->rate_in = rate(row->bytes_in, old ? old->bytes_in : 0, old ? elapsed_ms : row->age_ms);
		row->rate_out =
			rate(row->bytes_out, old ? old->bytes_out : 0, old ? elapsed_ms : row->age_ms);
	}
}

static int order(uint64_t a, uint64_t b)
{
	return a > b ? -1 : a < b;
}

static int by_rate(const void *a, const void *b)
{
	const struct top_row *left = a, *right = b;
	int result = order(left->rate_in + left->rate_out, right->rate_in + right->rate_out);

	if (!result)
		result = order(left->bytes_in + left->bytes_out, right->bytes_in + right->bytes_out);
	if (!result)
		result = order(left->age_ms, right->age_ms);
	return result ? result : by_id(a, b);
}

void top_table_rank(struct top_table *table)
{
	qsort(table->row_list, table->row_count, sizeof(table->row_list[0]), by_rate);
}

/* "999", "1.0K", "12.3M": at most five characters. */
static const char *size_text(char out[16], uint64_t bytes)
{
	static const char units[] = "KMGTPE";
	double value = (double)bytes;
	size_t unit = 0;

	if (bytes < 1000) {
		snprintf(out, 16, "%u", (unsigned int)bytes);
		return out;
	}
	for (value /= 1000; value >= 999.95 && unit + 1 < sizeof(units) - 1; unit++)
		value /= 1000;
	snprintf(out, 16, value < 99.95 ? "%.1f%c" : "%.0f%c", value, units[unit]);
	return out;
}

/* "0.4s", "12s", "3m12s", "5h03m", "2d04h". */
static const char *time_text(char out[24], uint64_t ms)
{
	unsigned long long s = ms / 1000;

	if (s < 10)
		snprintf(out, 24, "%llu.%llus", s, (unsigned long long)(ms % 1000 / 100));
	else if (s < 60)
		snprintf(out, 24, "%llus", s);
	else if (s < 3600)
		snprintf(out, 24, "%llum%02llus", s / 60, s % 60);
	else if (s < 86400)
		snprintf(out, 24, "%lluh%02llum", s / 3600, s % 3600 / 60);
	else
		snprintf(out, 24, "%llud%02lluh", s / 86400, s % 86400 / 3600);
	return out;
}

static void add_line(struct text *out, const char *line, size_t columns)
{
	struct span s = span_str(line);

	if (columns)
		s = span_first(s, columns);
	while (s.len && s.data[s.len - 1] == ' ')
		s.len--;
	text_add(out, s);
	text_char(out, '\n');
}

static void draw_sum(const struct top_table *table, size_t columns, struct text *out)
{
	char in[16], to_client[16], line[160];
	uint64_t sum_in = 0, sum_out = 0;

	for (size_t i = 0; i < table->row_count; i++) {
		sum_in += table->row_list[i].rate_in;
		sum_out += table->row_list[i].rate_out;
	}
	snprintf(line, sizeof(line), "%zu streams, %sB/s from clients, %sB/s to clients", table->row_count,
		 size_text(in, sum_in), size_text(to_client, sum_out));
	add_line(out, line, columns);
}

static void draw_row(const struct top_row *row, size_t columns, struct text *out)
{
	char rate_in[16], rate_out[16], in[16], to_client[16], age[24], left[24], line[512];

	snprintf(line, sizeof(line), "%7s %7s %7s %7s %6s %-10s %-12s %-22s %-24s %-22s %-9s %-16s %6s %llu",
		 size_text(rate_in, row->rate_in), size_text(rate_out, row->rate_out),
		 size_text(in, row->bytes_in), size_text(to_client, row->bytes_out),
		 time_text(age, row->age_ms), row->state, row->lane, row->client, row->route, row->endpoint,
		 row->protocol, row->deadline,
		 row->has_deadline ? time_text(left, row->deadline_left_ms) : "",
		 (unsigned long long)row->id);
	add_line(out, line, columns);
}

void top_table_draw(const struct top_table *table, size_t rows, size_t columns, struct text *out)
{
	char header[512];
	size_t count = table->row_count;

	if (rows && count > (rows > 2 ? rows - 2 : 0))
		count = rows > 2 ? rows - 2 : 0;
	draw_sum(table, columns, out);
	snprintf(header, sizeof(header),
		 "%7s %7s %7s %7s %6s %-10s %-12s %-22s %-24s %-22s %-9s %-16s %6s %s", "IN/s", "OUT/s", "IN",
		 "OUT", "AGE", "STATE", "LANE", "CLIENT", "ROUTE", "ENDPOINT", "PROTOCOL", "TIMER", "LEFT",
		 "ID");
	add_line(out, header, columns);
	for (size_t i = 0; i < count; i++)
		draw_row(&table->row_list[i], columns, out);
}
