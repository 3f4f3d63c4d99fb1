/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/top/top_table.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "user/base/check.h"
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

/* Exact up to 2^53; 0 if the number is absent. */
static uint64_t whole_member(const cJSON *stream, const char *key)
{
	const cJSON *member = cJSON_GetObjectItemCaseSensitive(stream, key);
	double number = cJSON_IsNumber(member) ? member->valuedouble : 0;

	if (!(number > 0))
		return 0;
	return number < 18446744073709549568.0 ? (uint64_t)number : UINT64_MAX;
}

/* Of a TLS tunnel the name that the client asked for. */
static void read_request(const cJSON *stream, struct top_row *row)
{
	char method[16], host[64], path[96];

	copy_member(method, sizeof(method), stream, "method");
	copy_member(host, sizeof(host), stream, *method ? "host" : "sni");
	copy_member(path, sizeof(path), stream, "path");
	snprintf(row->request, sizeof(row->request), "%.15s%s%.40s%.38s", method, *method ? " " : "", host,
		 path);
}

static void row_read(const cJSON *stream, struct top_row *row)
{
	row->id = whole_member(stream, "id");
	row->age_ms = whole_member(stream, "age_ms");
	row->bytes_in = whole_member(stream, "bytes_in");
	row->bytes_out = whole_member(stream, "bytes_out");
	row->has_deadline = cJSON_IsNumber(cJSON_GetObjectItemCaseSensitive(stream, "deadline_left_ms"));
	row->deadline_left_ms = whole_member(stream, "deadline_left_ms");
	row->status = whole_member(stream, "status");
#define COPY(member) copy_member(row->member, sizeof(row->member), stream, #member)
	COPY(client);
	COPY(route);
	COPY(endpoint);
	COPY(protocol);
	COPY(state);
	COPY(lane);
	COPY(deadline);
	COPY(ended_at);
	COPY(close_reason);
	COPY(timer);
#undef COPY
	read_request(stream, row);
}

static int by_id(const void *a, const void *b)
{
	const struct top_row *left = a, *right = b;

	return left->id < right->id ? -1 : left->id > right->id;
}

/* 0 with a list, which the caller deletes, -EPROTO or -ENOMEM. */
static int read_list(struct span json, cJSON **ret_root)
{
	static cJSON_Hooks hooks = { hg_malloc, hg_free };
	cJSON *root;

	cJSON_InitHooks(&hooks);
	root = cJSON_ParseWithLength(json.data, json.len);
	if (!cJSON_IsArray(root)) {
		cJSON_Delete(root);
		return -EPROTO;
	}
	*ret_root = root;
	return 0;
}

int top_table_parse(struct span json, struct top_table *ret_table)
{
	struct top_table table = { 0 };
	const cJSON *stream;
	cJSON *root;
	int error = read_list(json, &root);

	if (error)
		return error;
	table.row_list = hg_calloc((size_t)cJSON_GetArraySize(root) + 1, sizeof(table.row_list[0]));
	if (!table.row_list) {
		cJSON_Delete(root);
		return -ENOMEM;
	}
	cJSON_ArrayForEach(stream, root) row_read(stream, &table.row_list[table.row_count++]);
	cJSON_Delete(root);
	qsort(table.row_list, table.row_count, sizeof(table.row_list[0]), by_id);
	*ret_table = table;
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

static void add_printable(struct text *out, const char *text)
{
	for (; *text; text++)
		text_char(out, *text >= 0x20 && *text < 0x7f ? *text : '?');
}

/* What somebody who looks for a reason wants first. */
static const char *const first_members[] = { "state",	     "state_explanation",
					     "deadline",     "deadline_left_ms",
					     "close_reason", "close_explanation",
					     "timer",	     "error" };

static bool is_first(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(first_members); i++)
		if (strcmp(name, first_members[i]) == 0)
			return true;
	return false;
}

static void add_member(const char *name, const cJSON *member, struct text *out)
{
	char number[32];

	snprintf(number, sizeof(number), "%.0f", member->valuedouble);
	text_fmt(out, "%-24s ", name);
	add_printable(out, cJSON_IsString(member) ? member->valuestring : number);
	text_char(out, '\n');
}

/* Null members are left out; those of an object follow its name. */
static void add_members(const cJSON *object, bool first, struct text *out)
{
	const cJSON *member, *inner;

	cJSON_ArrayForEach(member, object)
	{
		if (is_first(member->string) != first)
			continue;
		if (cJSON_IsString(member) || cJSON_IsNumber(member))
			add_member(member->string, member, out);
		cJSON_ArrayForEach(inner, member)
		{
			char name[64];

			if (!cJSON_IsObject(member) || !cJSON_IsNumber(inner))
				continue;
			snprintf(name, sizeof(name), "%.30s.%.30s", member->string, inner->string);
			add_member(name, inner, out);
		}
	}
}

int top_table_detail(struct span json, uint64_t id, struct text *out)
{
	const cJSON *stream;
	cJSON *root;
	int error = read_list(json, &root);

	if (error)
		return error;
	error = -ENOENT;
	cJSON_ArrayForEach(stream, root)
	{
		if (!cJSON_IsObject(stream) || whole_member(stream, "id") != id)
			continue;
		add_members(stream, true, out);
		add_members(stream, false, out);
		error = text_error(out);
		break;
	}
	cJSON_Delete(root);
	return error;
}
