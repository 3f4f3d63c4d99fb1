/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/engine/schema.h"

#include <stdio.h>
#include <string.h>

enum {
	SCHEMA_KEYS = 64, /* of one map */
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
	case SCHEMA_U16:
		return *(const uint16_t *)member;
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
	default:
		return 0;
	}
}

uint32_t schema_count(const struct schema_row *row, const void *object)
{
	return row->element_bytes ? *(const uint32_t *)((const char *)object + row->count_offset) : 0;
}

struct span schema_text(const struct schema_row *row, const void *object)
{
	uint64_t index;

	if (row->type == SCHEMA_TEXT || row->type == SCHEMA_WORD_TEXT || row->type == SCHEMA_BYTES)
		return *(const struct span *)schema_member(row, object);
	if (row->type != SCHEMA_WORD)
		return (struct span){ 0 };
	index = schema_number(row, object) - row->word_base;
	return index < row->word_count ? span_str(row->words[index]) : (struct span){ 0 };
}

static bool is_any_set(const struct schema *schema, const void *object)
{
	for (size_t i = 0; i < schema->row_count; i++)
		if (schema_is_set(&schema->rows[i], object))
			return true;
	return false;
}

bool schema_is_set(const struct schema_row *row, const void *object)
{
	if (row->is_optional)
		return *(const bool *)((const char *)object + row->set_offset);
	if (row->is_choice)
		return *(const unsigned *)((const char *)object + row->choice_offset) == row->choice;
	if (row->type == SCHEMA_MAP && row->child->is_one_of)
		return is_any_set(row->child, schema_member(row, object));
	return row->type != SCHEMA_WORD || schema_number(row, object) >= row->word_base;
}

static void set_number(const struct schema_row *row, void *object, uint64_t value)
{
	void *member = member_of(row, object);

	switch (row->type) {
	case SCHEMA_BOOL:
		*(bool *)member = value;
		return;
	case SCHEMA_U16:
		*(uint16_t *)member = (uint16_t)value;
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
		if (row->default_text)
			*(struct span *)member = span_str(row->default_text);
		return;
	case SCHEMA_MAP:
		schema_default(row->child, member);
		return;
	default:
		return;
	}
}

void schema_default(const struct schema *schema, void *object)
{
	if (schema->default_object)
		memcpy(object, schema->default_object, schema->size_bytes);
	for (size_t i = 0; !schema->default_object && i < schema->row_count; i++)
		if (schema->rows[i].style != STYLE_MANIFEST)
			set_number(&schema->rows[i], object, schema->rows[i].default_value);
}

/* -------------------------------------------------------------------------------- decoding */

bool schema_decode_list(struct decoder *d, const struct yaml_node *node,
			bool (*element)(struct decoder *d, const struct yaml_node *node, void *element),
			size_t element_bytes, void *ret_list, uint32_t *ret_count)
{
	uint32_t count = 0;
	char *list;

	if (!node)
		return false;
	list = decode_take(d, node->count, element_bytes);
	if (!list)
		return false;
	yaml_each(child, node)
		if (element(d, child, list + count * element_bytes))
			count++;
	*(void **)ret_list = list;
	*ret_count = count;
	return true;
}

static bool decode_name_element(struct decoder *d, const struct yaml_node *node, void *ret)
{
	return decode_name(d, node, ret);
}

/* Decodes lists; pairs are a map in standalone files. */
static bool decode_elements(struct decoder *d, const struct yaml_node *node, const struct schema_row *row,
			    void *object)
{
	bool is_map = row->type == SCHEMA_PAIRS && !d->is_manifest;

	if (!(is_map ? decode_any_map(d, node) : decode_list(d, node)))
		return false;
	if (row->range.max && node->count > row->range.max) {
		config_error(d->report, node, "has %u entries; %llu are the most", node->count,
			     (unsigned long long)row->range.max);
		return false;
	}
	return schema_decode_list(d, node, row->element ? row->element : decode_name_element,
				  row->element_bytes, member_of(row, object),
				  (uint32_t *)((char *)object + row->count_offset));
}

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

		if (!row->key || !is_of_style(d, row) || (row->form && row->form != FORM_WORD))
			continue;
		CHECK(count < SCHEMA_KEYS);
		keys[count++] = (struct decode_key){ row->key, row->refusal, false };
	}
	if (node && node->kind != YAML_MAP && schema->example) {
		config_error(d->report, node, "expected a map, found %s; write %s", FOUND(node),
			     schema->example);
		return false;
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

static bool decode_text_into(struct decoder *d, const struct yaml_node *node, struct span *ret)
{
	struct span text;

	if (!decode_string(d, node, &text))
		return false;
	*ret = decode_keep(d, text);
	return ret->data != NULL;
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
	if (row->element || row->type == SCHEMA_NAMES)
		return decode_elements(d, node, row, object);
	switch (row->type) {
	case SCHEMA_BOOL:
		return decode_bool(d, node, member);
	case SCHEMA_U16:
		if (!decode_u32(d, node, (uint32_t)range->min, (uint32_t)range->max, &index))
			return false;
		set_number(row, object, index);
		return true;
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
	case SCHEMA_BYTES:
		return decode_text_into(d, node, member);
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
	default:
		return false;
	}
}

static bool takes_maps(const struct decoder *d, const struct schema *schema, const char *key)
{
	for (size_t i = 0; i < schema->row_count; i++) {
		const struct schema_row *row = &schema->rows[i];

		if (row->form == FORM_MAP && is_of_style(d, row) && strcmp(row->key, key) == 0)
			return true;
	}
	return false;
}

/* Another row takes the other form of the value. If there is none, this row says what is wrong with it. */
static bool is_for_another(const struct decoder *d, const struct yaml_node *node, const struct schema *schema,
			   const struct schema_row *row)
{
	if (!row->form || (row->form == FORM_WORD) == (node->kind == YAML_SCALAR))
		return false;
	return row->form == FORM_MAP || takes_maps(d, schema, row->key);
}

static void decode_row(struct decoder *d, const struct yaml_node *node, const struct schema *schema,
		       const struct schema_row *row, void *object)
{
	if (!node || is_for_another(d, node, schema, row))
		return;
	/* Set first: a later row may set a more specific value. */
	if (row->is_choice)
		*(unsigned *)((char *)object + row->choice_offset) = row->choice;
	if (!decode_value(d, node, row, object))
		return;
	if (row->is_optional)
		*(bool *)((char *)object + row->set_offset) = true;
}

bool schema_refuses(const struct schema *schema, const struct yaml_node *node)
{
	for (size_t i = 0; i < schema->row_count; i++)
		if (schema->rows[i].refusal && decode_get(node, schema->rows[i].key))
			return true;
	return false;
}

/* A refused key has its own message: do not also report a missing key. */
static void decode_one_of(struct decoder *d, const struct yaml_node *node, const struct schema *schema,
			  void *object)
{
	const struct schema_row *rows[SCHEMA_KEYS];
	const char *keys[SCHEMA_KEYS];
	const struct yaml_node *chosen;
	size_t count = 0;
	unsigned index;

	CHECK(schema->row_count <= SCHEMA_KEYS);
	for (size_t i = 0; i < schema->row_count; i++) {
		if (schema->rows[i].refusal)
			continue;
		rows[count] = &schema->rows[i];
		keys[count++] = schema->rows[i].key;
	}
	if (schema_refuses(schema, node))
		return;
	chosen = decode_choice(d, node, keys, count, &index);
	if (chosen)
		decode_row(d, chosen, schema, rows[index], object);
}

void schema_decode_members(struct decoder *d, const struct yaml_node *node, const struct schema *schema,
			   void *object)
{
	if (schema->is_one_of)
		decode_one_of(d, node, schema, object);
	for (size_t i = 0; !schema->is_one_of && i < schema->row_count; i++) {
		const struct schema_row *row = &schema->rows[i];

		const struct yaml_node *value;

		if (!row->key || row->type == SCHEMA_NOTHING || !is_of_style(d, row))
			continue;
		value = row->need ? decode_need(d, node, row->key, row->need) : decode_get(node, row->key);
		if (row->type != SCHEMA_REST || row->decode)
			decode_row(d, value, schema, row, object);
	}
	if (schema->check)
		schema->check(d, node, object);
}

bool schema_decode(struct decoder *d, const struct yaml_node *node, const struct schema *schema, void *object)
{
	if (!decode_rows_keys(d, node, schema))
		return false;
	schema_decode_members(d, node, schema, object);
	return true;
}

void *schema_decode_new(struct decoder *d, const struct yaml_node *node, const struct schema *schema)
{
	void *object = decode_take(d, 1, schema->size_bytes);

	if (!object)
		return NULL;
	schema_default(schema, object);
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
