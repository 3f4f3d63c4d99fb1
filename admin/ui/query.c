/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/ui/query.h"

#include <errno.h>

#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/http/form.h"
#include "user/stream/selection.h"

#define INCOMPLETE_ESCAPE "the query has an incomplete escape: write %25 for a percent sign"

static const char *const part_names[UI_PART_COUNT] = {
#define UI_PART(id, name, explanation) name,
#include "admin/ui/parts.def"
#undef UI_PART
};

static const char *const sort_names[] = {
	[STREAM_SORT_ID] = "id",       [STREAM_SORT_DEADLINE] = "deadline", [STREAM_SORT_AGE] = "age",
	[STREAM_SORT_BYTES] = "bytes", [STREAM_SORT_IDLE] = "idle",
};

struct span query_value(struct span query, struct span name, bool *ret_found)
{
	struct span pair, key;

	*ret_found = false;
	while (span_split(&query, '&', &pair)) {
		struct span value = pair;

		if (!span_split(&value, '=', &key) || !span_eq(key, name))
			continue;
		*ret_found = true;
		return value.data ? value : (struct span){ 0 };
	}
	return (struct span){ 0 };
}

/* "history", "history=1"; not "history=0" and "history=false". */
static bool is_on(struct span query, const char *name)
{
	bool is_found;
	struct span value = query_value(query, span_str(name), &is_found);

	return is_found && !span_eq(value, SPAN("0")) && !span_eq(value, SPAN("false"));
}

/* 0, -ENOMEM, or -EINVAL for an escape that is none. */
static int read_text(struct span query, const char *name, struct arena *arena, struct span *ret)
{
	bool is_found;
	struct span written = query_value(query, span_str(name), &is_found);
	char *out = arena_bytes(arena, written.len + 1);
	ssize_t len = out ? form_decode(written, out) : -ENOMEM;

	*ret = span_of(out, len < 0 ? 0 : (size_t)len);
	return len < 0 ? (int)len : 0;
}

static int read_number(struct span query, const char *name, uint64_t most, uint64_t *ret)
{
	bool is_found;
	struct span written = query_value(query, span_str(name), &is_found);

	if (!is_found)
		return 0;
	return span_parse_u63(written, ret) == 0 && *ret <= most ? 0 : -EINVAL;
}

static int read_sort(struct span query, enum stream_sort *ret)
{
	bool is_found;
	struct span written = query_value(query, SPAN("sort"), &is_found);

	for (uint32_t i = 0; i < ARRAY_LEN(sort_names) && is_found; i++) {
		if (span_eq(written, span_str(sort_names[i]))) {
			*ret = (enum stream_sort)i;
			return 0;
		}
	}
	return is_found ? -EINVAL : 0;
}

static int read_labels(struct span query, struct arena *arena, struct stream_query *ret)
{
	const struct {
		const char *name;
		struct span *label;
	} rows[] = {
		{ "listener", &ret->listener }, { "route", &ret->route },   { "backend", &ret->backend },
		{ "endpoint", &ret->endpoint }, { "reason", &ret->reason }, { "state", &ret->state },
	};
	int error = 0;

	for (size_t i = 0; i < ARRAY_LEN(rows) && !error; i++)
		error = read_text(query, rows[i].name, arena, rows[i].label);
	return error;
}

int stream_query_read(struct span query, struct arena *arena, struct stream_query *ret, const char **ret_why)
{
	uint64_t limit = 0;
	int error;

	*ret = (struct stream_query){ .is_history = is_on(query, "history"),
				      .is_failed_only = is_on(query, "failed") };
	*ret_why = "";
	if (read_number(query, "limit", SELECTION_MAX, &limit) < 0) {
		*ret_why = "limit is a number up to 256";
		return -EINVAL;
	}
	if (read_sort(query, &ret->sort) < 0) {
		*ret_why = "sort is id, deadline, age, bytes or idle";
		return -EINVAL;
	}
	ret->limit = (uint32_t)limit;
	error = read_labels(query, arena, ret);
	if (error == -EINVAL)
		*ret_why = INCOMPLETE_ESCAPE;
	return error;
}

static int read_parts(struct span query, struct arena *arena, uint32_t *ret)
{
	struct span list, name;
	int error = read_text(query, "parts", arena, &list);

	*ret = 0;
	if (error || !list.len)
		return error;
	while (span_split(&list, ',', &name)) {
		uint32_t part = 0;

		while (part < UI_PART_COUNT && !span_eq(name, span_str(part_names[part])))
			part++;
		if (part == UI_PART_COUNT)
			return -EINVAL;
		*ret |= 1u << part;
	}
	return 0;
}

int ui_query_read(struct span query, struct arena *arena, struct ui_query *ret, const char **ret_why)
{
	int error;

	*ret = (struct ui_query){ 0 };
	error = stream_query_read(query, arena, &ret->streams, ret_why);
	if (!error)
		error = read_text(query, "key", arena, &ret->route);
	if (error) {
		if (!**ret_why)
			*ret_why = INCOMPLETE_ESCAPE;
		return error;
	}
	error = read_parts(query, arena, &ret->parts);
	if (error) {
		*ret_why =
			"parts is a list of: totals, samples, map, streams, ends, words, policies, refusals, "
			"config, conditions, certificates, sessions, restarts";
		return error;
	}
	if (read_number(query, "since", INT64_MAX, &ret->since) < 0) {
		*ret_why = "since is a number of seconds";
		return -EINVAL;
	}
	ret->limit = ret->streams.limit ? ret->streams.limit : UI_ROWS;
	if (ret->limit > UI_ROWS_MAX)
		ret->limit = UI_ROWS_MAX;
	ret->streams.limit = ret->limit;
	ret->streams.is_history = false;
	ret->ends = ret->streams;
	ret->ends.is_history = true;
	return 0;
}
