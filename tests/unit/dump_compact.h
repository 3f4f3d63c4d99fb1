/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Comparing dumps: JSON without the blanks between its tokens, so that order, casing and nulls all count. */
#include <stdio.h>
#include <stdlib.h>

#include "admin/dump/config_dump.h"
#include "admin/dump/config_dump_policy.h"
#include "tests/unit/json_tree.h"
#include "tests/lib/test.h"

static inline char *compact(struct span json)
{
	char *out = malloc(json.len + 1);
	size_t len = 0;
	bool is_string = false;

	for (size_t i = 0; i < json.len; i++) {
		char c = json.data[i];

		if (c == '"' && (i == 0 || json.data[i - 1] != '\\'))
			is_string = !is_string;
		if (is_string || !strchr(" \t\r\n", c))
			out[len++] = c;
	}
	out[len] = '\0';
	return out;
}

static inline char *compact_file(const char *name)
{
	char path[128], data[16384];
	size_t len;
	FILE *file;

	snprintf(path, sizeof(path), "tests/data/dumps/%s.json", name);
	file = fopen(path, "r");
	if (!file)
		fail_msg("%s cannot be read: run the tests from the root of the tree", path);
	len = fread(data, 1, sizeof(data), file);
	fclose(file);
	return compact(span_of(data, len));
}

static const struct config_dump_facts facts = {
	.worker_count = 2,
	.admin_addr = { "localhost:15000", 15 },
	.stats_addr = { "[::]:15020", 10 },
	.readiness_addr = { "off", 3 },
};

static inline char *compact_dump(const struct snapshot *snapshot)
{
	struct json_value *root;
	struct text out;
	char *result;

	text_init(&out);
	assert_int_equal(config_dump(snapshot, &facts, &out), 0);
	root = json_parse(text_span(&out));
	assert_non_null(root);
	json_free(root);
	result = compact(text_span(&out));
	text_done(&out);
	return result;
}

static inline void assert_has(const char *dump, const char *want)
{
	if (!strstr(dump, want))
		fail_msg("missing: %s\nin: %s", want, dump);
}

/* The dump of one policy. */
static inline void assert_dumped(enum policy_kind kind, const void *object, const char *want)
{
	struct policy_value value = { kind, object };
	struct json_writer w;
	struct text out;
	char *have;

	text_init(&out);
	json_begin(&w, &out);
	json_open_object(&w, NULL);
	dump_policy_value(&w, &value);
	json_close(&w);
	have = compact(text_span(&out));
	assert_string_equal(have, want);
	free(have);
	text_done(&out);
}
