/* SPDX-License-Identifier: Apache-2.0 */
#include "config/standalone/json_schema.h"

#include <stdio.h>

#include "config/core/engine/schema_words.h"
#include "config/standalone/key.h"
#include "config/standalone/policy.h"

#define DURATION "^([0-9]+(\\.[0-9]+)?(ns|us|ms|s|m|h))+$"

enum { LEVELS_MAX = 256 };

struct json_schema {
	struct json_writer *w;
	struct arena arena;
	int error;
	struct key_level level_list[LEVELS_MAX]; /* under $defs, by index */
	uint32_t level_count;
};

/* ---- values */

static void write_types(struct json_writer *w, const char *type)
{
	json_open_array(w, "type");
	json_str(w, NULL, type);
	json_str(w, NULL, "null");
	json_close(w);
}

/* The value, none, or a variable. */
static void open_choice(struct json_writer *w)
{
	json_open_array(w, "anyOf");
	json_open_object(w, NULL);
	json_str(w, "type", "null");
	json_close(w);
	json_open_object(w, NULL);
	json_str(w, "type", "string");
	json_str(w, "pattern", "\\$");
	json_close(w);
	json_open_object(w, NULL);
}

static void close_choice(struct json_writer *w)
{
	json_close(w);
	json_close(w);
}

static void write_words(struct json_writer *w, const struct schema_row *row)
{
	json_open_array(w, "enum");
	for (uint32_t i = 0; i < row->word_count; i++)
		json_str(w, NULL, row->words[i]);
	json_close(w);
}

static void write_number(struct json_writer *w, const struct schema_row *row)
{
	json_str(w, "type", row->type == SCHEMA_SHARE ? "number" : "integer");
	json_u64(w, "minimum", row->range.min);
	if (row->type == SCHEMA_SHARE)
		json_u64(w, "maximum", 1);
	else if (row->range.max)
		json_u64(w, "maximum", row->range.max);
}

/* Of a row without keys below and without a decoder of its own. */
static void write_value(struct json_writer *w, const struct schema_row *row)
{
	switch (row->type) {
	case SCHEMA_TEXT:
	case SCHEMA_BYTES:
		write_types(w, "string");
		return;
	case SCHEMA_BOOL:
		open_choice(w);
		json_str(w, "type", "boolean");
		close_choice(w);
		return;
	case SCHEMA_U16:
	case SCHEMA_U32:
	case SCHEMA_U64:
	case SCHEMA_SHARE:
		open_choice(w);
		write_number(w, row);
		close_choice(w);
		return;
	case SCHEMA_DURATION:
		open_choice(w);
		json_str(w, "type", "string");
		json_str(w, "pattern", DURATION);
		close_choice(w);
		return;
	case SCHEMA_WORD:
	case SCHEMA_WORD_TEXT:
		open_choice(w);
		write_words(w, row);
		close_choice(w);
		return;
	default:
		return;
	}
}

static void write_text(struct json_writer *w, const struct schema_row *row)
{
	if (row->doc)
		json_str(w, "description", row->doc);
}

/* ---- levels */

static void write_level(struct json_schema *s, const struct key_level *level);

static bool is_list(const struct schema_row *row)
{
	return row->type == SCHEMA_OBJECTS || (row->value_doc && strncmp(row->value_doc, "list", 4) == 0) ||
	       (row->type == SCHEMA_REST && row->child && row->doc && !row->value_doc);
}

static void write_below(struct json_schema *s, const struct schema_row *row, const struct key_level *below)
{
	struct json_writer *w = s->w;

	if (is_list(row)) {
		write_types(w, "array");
		json_open_object(w, "items");
		write_level(s, below);
		json_close(w);
	} else if (below->has_names) {
		struct key_level named = *below;

		named.has_names = false;
		write_types(w, "object");
		json_open_object(w, "additionalProperties");
		write_level(s, &named);
		json_close(w);
	} else {
		write_level(s, below);
	}
}

/* A key that may be a word or a map has two rows. */
static bool has_two_forms(const struct schema *schema, const struct schema_row *row)
{
	for (size_t i = 0; i < schema->row_count; i++)
		if (&schema->rows[i] != row && schema->rows[i].key && row->key &&
		    strcmp(schema->rows[i].key, row->key) == 0 && schema->rows[i].style != STYLE_MANIFEST)
			return true;
	return false;
}

static void write_row(struct json_schema *s, const struct key_level *level, const struct schema_row *row)
{
	struct json_writer *w = s->w;
	struct key_level below = { 0 };

	json_open_object(w, row->key);
	if (row->refusal) {
		json_str(w, "description", row->refusal);
		json_open_object(w, "not");
		json_close(w);
	} else {
		write_text(w, row);
		if (!s->error)
			s->error = key_level_below(level, row, &s->arena, &below);
		if (has_two_forms(level->schema, row) || s->error)
			;
		else if ((below.schema || below.entry_list) && !row->decode)
			write_below(s, row, &below);
		else if (!row->decode)
			write_value(w, row);
	}
	json_close(w);
}

static void write_entries(struct json_schema *s, const struct key_level *level)
{
	struct json_writer *w = s->w;

	for (size_t i = 0; i < level->entry_count; i++) {
		const struct policy_entry *entry = &level->entry_list[i];
		struct key_level below = { 0 };

		json_open_object(w, entry->name);
		if (entry->refusal) {
			json_str(w, "description", entry->refusal);
			json_open_object(w, "not");
			json_close(w);
		} else if (!s->error) {
			s->error = key_level_of_entry(entry, &s->arena, &below);
			/* A list of limits, not one. */
			if (below.schema && entry->kind != POLICY_LOCAL_RATE_LIMIT)
				write_level(s, &below);
		}
		json_close(w);
	}
}

/* `conditional` stands instead of the other keys. */
static bool has_cases(const struct schema *schema)
{
	for (size_t i = 0; i < schema->row_count; i++)
		if (schema->rows[i].key && strcmp(schema->rows[i].key, "conditional") == 0)
			return true;
	return false;
}

static void write_required(struct json_writer *w, const struct schema *schema)
{
	if (has_cases(schema))
		return;
	json_open_array(w, "required");
	for (size_t i = 0; i < schema->row_count; i++) {
		const struct schema_row *row = &schema->rows[i];

		if (row->need && row->key && row->style != STYLE_MANIFEST && !row->refusal)
			json_str(w, NULL, row->key);
	}
	json_close(w);
}

static void write_definition(struct json_schema *s, const struct key_level *level)
{
	struct json_writer *w = s->w;
	const struct schema *schema = level->schema;
	const char *before = "";

	write_types(w, "object");
	json_open_object(w, "properties");
	for (size_t i = 0; schema && i < schema->row_count; i++) {
		const struct schema_row *row = &schema->rows[i];

		if (!row->key || row->style == STYLE_MANIFEST || strcmp(row->key, before) == 0)
			continue;
		before = row->key;
		write_row(s, level, row);
	}
	if (level->entry_list)
		write_entries(s, level);
	json_close(w);
	json_bool(w, "additionalProperties", false);
	if (schema)
		write_required(w, schema);
	if (schema && schema->is_one_of) {
		json_u64(w, "minProperties", 1);
		json_u64(w, "maxProperties", 1);
	}
}

/* Levels occur at several places: each is written once. */
static void write_level(struct json_schema *s, const struct key_level *level)
{
	uint32_t i = 0;
	char text[32];

	while (i < s->level_count &&
	       (s->level_list[i].schema != level->schema || s->level_list[i].entry_list != level->entry_list))
		i++;
	if (i == LEVELS_MAX)
		return;
	if (i == s->level_count)
		s->level_list[s->level_count++] = *level;
	snprintf(text, sizeof(text), "#/$defs/%u", i);
	json_str(s->w, "$ref", text);
}

static void write_definitions(struct json_schema *s)
{
	json_open_object(s->w, "$defs");
	/* Each may add further ones. */
	for (uint32_t i = 0; i < s->level_count && !s->error; i++) {
		char key[16];

		snprintf(key, sizeof(key), "%u", i);
		json_key(s->w, span_str(key));
		json_open_object(s->w, NULL);
		write_definition(s, &s->level_list[i]);
		json_close(s->w);
	}
	json_close(s->w);
}

int json_schema_write(struct json_writer *w)
{
	static struct json_schema s;
	struct text fault;
	struct key root;

	s = (struct json_schema){ .w = w };
	arena_init(&s.arena, 64 * 1024);
	text_init(&fault);
	s.error = key_find(SPAN(""), &s.arena, &root, &fault);
	json_open_object(w, NULL);
	json_str(w, "$schema", "https://json-schema.org/draft/2020-12/schema");
	json_str(w, "title", "headgate: a standalone file");
	if (!s.error)
		write_level(&s, &root.below);
	write_definitions(&s);
	json_close(w);
	text_done(&fault);
	arena_done(&s.arena);
	return s.error ? s.error : text_error(w->out);
}
