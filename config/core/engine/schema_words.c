/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/engine/schema_words.h"

#include "config/core/engine/duration.h"

static void print_range(const struct schema_row *row, struct text *out)
{
	if (row->range.max == INT64_MAX)
		text_fmt(out, "%llu and more", (unsigned long long)row->range.min);
	else
		text_fmt(out, "%llu..%llu", (unsigned long long)row->range.min,
			 (unsigned long long)row->range.max);
}

static void print_duration(uint64_t ns, struct text *out)
{
	char shown[DURATION_TEXT_BYTES];

	text_fmt(out, "`%.*s`", (int)duration_format(ns, shown), shown);
}

static void print_words(const struct schema_row *row, uint64_t bits, struct text *out)
{
	const char *before = "";

	for (uint32_t i = 0; i < row->word_count; i++) {
		if (bits >> i & 1) {
			text_fmt(out, "%s`%s`", before, row->words[i]);
			before = ", ";
		}
	}
}

void schema_value_words(const struct schema_row *row, struct text *out)
{
	if (row->value_doc) {
		text_str(out, row->value_doc);
		return;
	}
	switch (row->type) {
	case SCHEMA_BOOL:
		text_str(out, "`true`, `false`");
		return;
	case SCHEMA_U16:
	case SCHEMA_U32:
	case SCHEMA_U64:
		print_range(row, out);
		return;
	case SCHEMA_DURATION:
		if (row->range.min)
			print_duration(row->range.min, out);
		text_str(out, row->range.min ? " and more" : "duration");
		return;
	case SCHEMA_SHARE:
		text_str(out, "0.0..1.0");
		return;
	case SCHEMA_TEXT:
	case SCHEMA_BYTES:
		text_str(out, "string");
		return;
	case SCHEMA_FLAGS:
		text_str(out, "list of ");
		print_words(row, UINT64_MAX, out);
		return;
	case SCHEMA_WORD:
	case SCHEMA_WORD_TEXT:
		print_words(row, UINT64_MAX, out);
		return;
	case SCHEMA_CODES:
		text_str(out, "list of 100..999");
		return;
	case SCHEMA_CIDRS:
		text_str(out, "list of `address/bits`");
		return;
	case SCHEMA_NAMES:
		text_str(out, "list");
		return;
	case SCHEMA_PAIRS:
		text_str(out, "`{name: value}`");
		return;
	case SCHEMA_MAP:
		text_str(out, "map");
		return;
	case SCHEMA_OBJECTS:
		text_str(out, "list");
		return;
	case SCHEMA_REST:
		text_str(out, "list");
		return;
	case SCHEMA_REF:
	case SCHEMA_NOTHING:
		return;
	}
}

void schema_default_words(const struct schema_row *row, const void *object, struct text *out)
{
	struct span text = schema_text(row, object);

	if (row->default_doc)
		text_str(out, row->default_doc);
	else if (row->need)
		text_str(out, "required");
	else if (!schema_is_set(row, object))
		text_str(out, "–");
	else if (text.len)
		text_fmt(out, "`%.*s`", SPAN_FMT(text));
	else if (row->type == SCHEMA_DURATION)
		print_duration(schema_number(row, object), out);
	else if (row->type == SCHEMA_BOOL)
		text_str(out, schema_number(row, object) ? "`true`" : "`false`");
	else if (row->type == SCHEMA_FLAGS)
		print_words(row, schema_number(row, object), out);
	else if (row->type == SCHEMA_U16 || row->type == SCHEMA_U32 || row->type == SCHEMA_U64)
		text_fmt(out, "%llu", (unsigned long long)schema_number(row, object));
	else
		text_str(out, "–");
}

const char *schema_reload_words(const struct schema_row *row)
{
	static const char *const words[] = {
		[RELOAD_AT_ONCE] = "at once",
		[RELOAD_ACCEPT] = "new connections",
		[RELOAD_START] = "next start",
	};

	return row->needs_start ? "next start, to turn it on" : words[row->reload];
}
