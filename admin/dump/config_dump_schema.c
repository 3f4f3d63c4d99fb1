/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/dump/config_dump_schema.h"

#include <stdio.h>

#include "config/core/engine/duration.h"
#include "user/http/head.h"

/* ---- numbers and lists */

/* The documentation shows the phrases of an older library than RFC 9110. */
static struct span documented_reason(uint16_t status)
{
	switch (status) {
	case 203:
		return SPAN("Non Authoritative Information");
	case 413:
		return SPAN("Payload Too Large");
	case 418:
		return SPAN("I'm a teapot");
	case 422:
		return SPAN("Unprocessable Entity");
	default:
		return status_reason(status);
	}
}

size_t status_text(uint16_t status, char out[STATUS_TEXT_BYTES])
{
	struct span reason = documented_reason(status);

	if (reason.len == 0)
		reason = SPAN("<unknown status code>");
	return (size_t)snprintf(out, STATUS_TEXT_BYTES, "%u %.*s", status, SPAN_FMT(reason));
}

void dump_duration(struct json_writer *w, const char *key, uint64_t ns)
{
	char text[DURATION_TEXT_BYTES];

	json_string(w, key, span_of(text, duration_format(ns, text)));
}

void dump_share(struct json_writer *w, const char *key, uint32_t per_million)
{
	char digits[24];
	size_t len = (size_t)snprintf(digits, sizeof(digits), "%u.%06u", per_million / 1000000u,
				      per_million % 1000000u);

	while (digits[len - 1] == '0' && digits[len - 2] != '.')
		len--;
	json_number(w, key, span_of(digits, len));
}

/* Omits the point of whole numbers, as in the documentation: 1, 0.5. */
static void dump_score(struct json_writer *w, const char *key, uint32_t per_million)
{
	if (per_million % 1000000u == 0)
		json_u64(w, key, per_million / 1000000u);
	else
		dump_share(w, key, per_million);
}

static void dump_codes(struct json_writer *w, const uint16_t *list, uint32_t count)
{
	char status[STATUS_TEXT_BYTES];

	for (uint32_t i = 0; i < count; i++)
		json_string(w, NULL, span_of(status, status_text(list[i], status)));
}

static void dump_cidrs(struct json_writer *w, const struct cidr *list, uint32_t count)
{
	char text[ADDRESS_TEXT_BYTES + sizeof("/128")];

	for (uint32_t i = 0; i < count; i++) {
		size_t len = address_host_text(&list[i].network, text);

		len += (size_t)snprintf(text + len, sizeof(text) - len, "/%u", list[i].prefix_bits);
		json_string(w, NULL, span_of(text, len));
	}
}

static void dump_names(struct json_writer *w, const struct span *list, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		json_string(w, NULL, list[i]);
}

static void dump_tuples(struct json_writer *w, const char *name, const struct header_pair *list,
			uint32_t count)
{
	json_open_array(w, name);
	for (uint32_t i = 0; i < count; i++) {
		json_open_array(w, NULL);
		json_string(w, NULL, list[i].name);
		json_string(w, NULL, list[i].value);
		json_close(w);
	}
	json_close(w);
}

static void dump_pairs(struct json_writer *w, const char *name, const struct header_pair *list,
		       uint32_t count)
{
	json_open_object(w, name);
	for (uint32_t i = 0; i < count; i++) {
		json_key(w, list[i].name);
		json_string(w, NULL, list[i].value);
	}
	json_close(w);
}

void dump_backend_reference(struct json_writer *w, const struct backend_ref *ref)
{
	if (!ref || ref->is_invalid) {
		json_null(w, "invalid");
	} else if (ref->service_name.len) {
		json_open_object(w, "service");
		json_string(w, "name", ref->service_name);
		json_u64(w, "port", ref->service_port);
		json_close(w);
	} else {
		json_string(w, "backend", ref->backend_name);
	}
}

static void dump_list(struct json_writer *w, const char *name, const struct schema_row *row,
		      const void *object)
{
	const void *member = schema_member(row, object);
	uint64_t bits = schema_number(row, object);

	json_open_array(w, name);
	if (row->type == SCHEMA_CODES)
		dump_codes(w, *(uint16_t *const *)member, schema_count(row, object));
	else if (row->type == SCHEMA_CIDRS)
		dump_cidrs(w, *(struct cidr *const *)member, schema_count(row, object));
	else if (row->type == SCHEMA_NAMES)
		dump_names(w, *(struct span *const *)member, schema_count(row, object));
	else
		for (uint32_t i = 0; i < row->word_count; i++)
			if (bits >> i & 1)
				json_str(w, NULL, row->words[i]);
	json_close(w);
}

/* ---- rows */

/* Lists that other code does not dump say so: DUMP_NOT_ZERO. */
static void dump_objects(struct json_writer *w, const char *name, const struct schema_row *row,
			 const void *object)
{
	const char *list = *(const char *const *)schema_member(row, object);

	if (row->dump != DUMP_NOT_ZERO)
		return;
	json_open_array(w, name);
	for (uint32_t i = 0; i < schema_count(row, object); i++) {
		json_open_object(w, NULL);
		dump_rows(w, row->child, list + i * row->child_bytes);
		json_close(w);
	}
	json_close(w);
}

static void dump_value(struct json_writer *w, const char *name, const struct schema_row *row,
		       const void *object)
{
	switch (row->type) {
	case SCHEMA_NOTHING:
		json_str(w, name, row->default_text);
		return;
	case SCHEMA_BOOL:
		json_bool(w, name, schema_number(row, object));
		return;
	case SCHEMA_U16:
	case SCHEMA_U32:
	case SCHEMA_U64:
		json_u64(w, name, schema_number(row, object));
		return;
	case SCHEMA_DURATION:
		dump_duration(w, name, schema_number(row, object));
		return;
	case SCHEMA_SHARE:
		if (row->dump == DUMP_DECIMAL)
			dump_share(w, name, (uint32_t)schema_number(row, object));
		else
			dump_score(w, name, (uint32_t)schema_number(row, object));
		return;
	case SCHEMA_BYTES:
		json_base64(w, name, schema_text(row, object));
		return;
	case SCHEMA_TEXT:
	case SCHEMA_WORD:
	case SCHEMA_WORD_TEXT:
		json_string(w, name, schema_text(row, object));
		return;
	case SCHEMA_FLAGS:
	case SCHEMA_CODES:
	case SCHEMA_CIDRS:
	case SCHEMA_NAMES:
		dump_list(w, name, row, object);
		return;
	case SCHEMA_PAIRS:
		(row->dump == DUMP_TUPLES ? dump_tuples : dump_pairs)(
			w, name, *(struct header_pair *const *)schema_member(row, object),
			schema_count(row, object));
		return;
	case SCHEMA_REF:
		json_open_object(w, name);
		dump_backend_reference(w, *(struct backend_ref *const *)schema_member(row, object));
		json_close(w);
		return;
	case SCHEMA_OBJECTS:
		dump_objects(w, name, row, object);
		return;
	case SCHEMA_REST:
		return;
	case SCHEMA_MAP:
		json_open_object(w, name);
		dump_rows(w, row->child, schema_member(row, object));
		json_close(w);
		return;
	}
}

static bool is_zero(const struct schema_row *row, const void *object)
{
	return schema_number(row, object) == 0 && schema_text(row, object).len == 0 &&
	       schema_count(row, object) == 0;
}

static bool is_shown(const struct schema_row *row, const void *object)
{
	if (row->style == STYLE_MANIFEST)
		return false;
	if (row->type == SCHEMA_NOTHING)
		return row->shown_as;
	if (!schema_is_set(row, object))
		return row->dump == DUMP_NULL;
	return (row->dump != DUMP_NOT_ZERO && row->dump != DUMP_TUPLES) || !is_zero(row, object);
}

void dump_rows(struct json_writer *w, const struct schema *schema, const void *object)
{
	for (size_t i = 0; i < schema->row_count; i++) {
		const struct schema_row *row = &schema->rows[i];
		const char *name = row->shown_as ? row->shown_as : row->key;

		if (!is_shown(row, object))
			continue;
		if (schema_is_set(row, object))
			dump_value(w, name, row, object);
		else
			json_null(w, name);
	}
}
