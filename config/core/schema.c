/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/schema.h"

#include <stdio.h>
#include <string.h>

enum {
	SCHEMA_KEYS = 64,	/* of one map */
	SCHEMA_PATH_BYTES = 96, /* of the longest path */
};

/* -------------------------------------------------------------------------------- values */

static void *member_of(const struct schema_row *row, void *object)
{
	return (char *)object + row->offset;
}

const void *schema_member(const struct schema_row *row, const void *object)
{
	return (const char *)object + row->offset;
}

static uint64_t flags_of(const struct schema_row *row, const bool *flags)
{
	uint64_t bits = 0;

	for (uint32_t i = 0; i < row->word_count; i++)
		bits |= (uint64_t)flags[i] << i;
	return bits;
}

uint64_t schema_number(const struct schema_row *row, const void *object)
{
	const void *member = schema_member(row, object);

	switch (row->type) {
	case SCHEMA_BOOL:
		return *(const bool *)member;
	case SCHEMA_U32:
	case SCHEMA_SHARE:
		return *(const uint32_t *)member;
	case SCHEMA_U64:
	case SCHEMA_DURATION:
		return *(const uint64_t *)member;
	case SCHEMA_WORD:
		return *(const unsigned *)member;
	case SCHEMA_FLAGS:
		return flags_of(row, member);
	case SCHEMA_NOTHING:
	case SCHEMA_TEXT:
	case SCHEMA_WORD_TEXT:
	case SCHEMA_CODES:
	case SCHEMA_CIDRS:
	case SCHEMA_MAP:
		break;
	}
	return 0;
}

uint32_t schema_count(const struct schema_row *row, const void *object)
{
	return *(const uint32_t *)((const char *)object + row->count_offset);
}

struct span schema_text(const struct schema_row *row, const void *object)
{
	uint64_t index;

	if (row->type == SCHEMA_TEXT || row->type == SCHEMA_WORD_TEXT)
		return *(const struct span *)schema_member(row, object);
	if (row->type != SCHEMA_WORD)
		return (struct span){ 0 };
	index = schema_number(row, object) - row->word_base;
	return index < row->word_count ? span_str(row->words[index]) : (struct span){ 0 };
}

bool schema_is_set(const struct schema_row *row, const void *object)
{
	if (row->is_optional)
		return *(const bool *)((const char *)object + row->set_offset);
	return row->type != SCHEMA_WORD || schema_number(row, object) >= row->word_base;
}

static void set_number(const struct schema_row *row, void *object, uint64_t value)
{
	void *member = member_of(row, object);

	switch (row->type) {
	case SCHEMA_BOOL:
		*(bool *)member = value;
		return;
	case SCHEMA_U32:
	case SCHEMA_SHARE:
		*(uint32_t *)member = (uint32_t)value;
		return;
	case SCHEMA_U64:
	case SCHEMA_DURATION:
		*(uint64_t *)member = value;
		return;
	case SCHEMA_WORD:
		*(unsigned *)member = (unsigned)value;
		return;
	case SCHEMA_FLAGS:
		for (uint32_t i = 0; i < row->word_count; i++)
			((bool *)member)[i] = value >> i & 1;
		return;
	case SCHEMA_TEXT:
	case SCHEMA_WORD_TEXT:
		if (row->preset_text)
			*(struct span *)member = span_str(row->preset_text);
		return;
	case SCHEMA_MAP:
		schema_preset(row->child, member);
		return;
	case SCHEMA_NOTHING:
	case SCHEMA_CODES:
	case SCHEMA_CIDRS:
		return;
	}
}

void schema_preset(const struct schema *schema, void *object)
{
	if (schema->preset_object)
		memcpy(object, schema->preset_object, schema->size_bytes);
	for (size_t i = 0; !schema->preset_object && i < schema->row_count; i++)
		if (schema->rows[i].style != STYLE_MANIFEST)
			set_number(&schema->rows[i], object, schema->rows[i].preset);
}

/* -------------------------------------------------------------------------------- decoding */

static bool is_of_style(const struct decoder *d, const struct schema_row *row)
{
	return row->style == STYLE_BOTH || (row->style == STYLE_MANIFEST) == d->is_manifest;
}

static bool decode_rows_keys(struct decoder *d, const struct yaml_node *node, const struct schema *schema)
{
	struct decode_key keys[SCHEMA_KEYS];
	size_t count = 0;

	for (size_t i = 0; i < schema->row_count; i++) {
		const struct schema_row *row = &schema->rows[i];

		if (!row->key || !is_of_style(d, row))
			continue;
		CHECK(count < SCHEMA_KEYS);
		keys[count++] = (struct decode_key){ row->key, row->refusal };
	}
	return decode_map(d, node, keys, count);
}

static bool decode_flags(struct decoder *d, const struct yaml_node *node, const struct schema_row *row,
			 void *object)
{
	uint64_t bits = 0;
	unsigned index;

	if (!decode_list(d, node))
		return false;
	yaml_each(child, node)
		if (decode_word(d, child, row->words, row->word_count, &index))
			bits |= 1ull << index;
	set_number(row, object, bits);
	return true;
}

static bool decode_share(struct decoder *d, const struct yaml_node *node, uint32_t *ret_per_million)
{
	uint32_t percent;

	if (!d->is_manifest)
		return decode_fraction(d, node, ret_per_million);
	if (!decode_u32(d, node, 0, 100, &percent))
		return false;
	*ret_per_million = percent * 10000;
	return true;
}

static bool decode_value(struct decoder *d, const struct yaml_node *node, const struct schema_row *row,
			 void *object)
{
	const struct schema_range *range =
		d->is_manifest && row->manifest_range.max ? &row->manifest_range : &row->range;
	const char *const *words = d->is_manifest && row->manifest_words ? row->manifest_words : row->words;
	void *member = member_of(row, object);
	unsigned index;

	if (row->decode)
		return row->decode(d, node, member);
	switch (row->type) {
	case SCHEMA_BOOL:
		return decode_bool(d, node, member);
	case SCHEMA_U32:
		return decode_u32(d, node, (uint32_t)range->min, (uint32_t)range->max, member);
	case SCHEMA_U64:
		return decode_u64(d, node, range->min, range->max, member);
	case SCHEMA_DURATION:
		return decode_duration(d, node, range->min, member);
	case SCHEMA_SHARE:
		return decode_share(d, node, member);
	case SCHEMA_TEXT:
		return decode_name(d, node, member);
	case SCHEMA_WORD:
		if (!decode_word(d, node, words, row->word_count, &index))
			return false;
		set_number(row, object, row->word_base + index);
		return true;
	case SCHEMA_WORD_TEXT:
		if (!decode_word(d, node, words, row->word_count, &index))
			return false;
		*(struct span *)member = span_str(row->words[index]);
		return true;
	case SCHEMA_FLAGS:
		return decode_flags(d, node, row, object);
	case SCHEMA_MAP:
		return schema_decode(d, node, row->child, member);
	case SCHEMA_CODES:
	case SCHEMA_CIDRS:
	case SCHEMA_NOTHING:
		break;
	}
	return false;
}

static void decode_row(struct decoder *d, const struct yaml_node *map, const struct schema_row *row,
		       void *object)
{
	const struct yaml_node *node =
		row->need ? decode_need(d, map, row->key, row->need) : decode_get(map, row->key);

	if (node && decode_value(d, node, row, object) && row->is_optional)
		*(bool *)((char *)object + row->set_offset) = true;
}

bool schema_decode(struct decoder *d, const struct yaml_node *node, const struct schema *schema, void *object)
{
	if (!decode_rows_keys(d, node, schema))
		return false;
	for (size_t i = 0; i < schema->row_count; i++)
		if (schema->rows[i].type != SCHEMA_NOTHING && is_of_style(d, &schema->rows[i]))
			decode_row(d, node, &schema->rows[i], object);
	if (schema->check)
		schema->check(d, node, object);
	return true;
}

void *schema_decode_new(struct decoder *d, const struct yaml_node *node, const struct schema *schema)
{
	void *object = decode_take(d, 1, schema->size_bytes);

	if (!object)
		return NULL;
	schema_preset(schema, object);
	return schema_decode(d, node, schema, object) ? object : NULL;
}

/* -------------------------------------------------------------------------------- reload */

static bool needs_start(const struct schema_row *row, const void *old, const void *new)
{
	if (row->reload != RELOAD_START)
		return false;
	if (row->needs_start)
		return row->needs_start(schema_member(row, old), schema_member(row, new));
	return schema_is_set(row, old) != schema_is_set(row, new) ||
	       schema_number(row, old) != schema_number(row, new) ||
	       !span_eq(schema_text(row, old), schema_text(row, new));
}

static void late_keys(const struct schema *schema, const char *path, const void *old, const void *new,
		      struct text *out)
{
	for (size_t i = 0; i < schema->row_count; i++) {
		const struct schema_row *row = &schema->rows[i];
		char child[SCHEMA_PATH_BYTES];

		if (row->type == SCHEMA_MAP) {
			snprintf(child, sizeof(child), "%s%s.", path, row->key);
			late_keys(row->child, child, schema_member(row, old), schema_member(row, new), out);
		} else if (needs_start(row, old, new)) {
			text_fmt(out, "%s%s%s", out->len ? ", " : "", path, row->key);
		}
	}
}

void schema_late_keys(const struct schema *schema, const void *old, const void *new, struct text *out)
{
	late_keys(schema, "", old, new, out);
}
