/* SPDX-License-Identifier: Apache-2.0 */
#include "user/http/hop_by_hop.h"

#include <errno.h>

#include "user/base/text.h"
#include "user/base/limits.h"
#include "user/http/field_name.h"
#include "user/http/wire.h"

/* Fields whose name was emptied are removed by the next strip_retain(). No parsed field has an empty name. */
static void mark_named(struct fields *fields, struct span name)
{
	enum field_id id = field_id_of(name);

	/*
	 * Do not let clients remove fields that route, frame or authorise: they could delete what this proxy,
	 * or one before it, has added.
	 */
	if (name.len == 0 || !fields_have(fields, id) ||
	    (field_flags_of(id) & (FIELD_PROTECTED | FIELD_HOP)) || field_name_is_forwarding(name))
		return;
	for (uint32_t i = 0; i < fields->count; i++) {
		if (fields->list[i].id == id && span_eq_nocase(fields->list[i].name, name))
			fields->list[i].name.len = 0;
	}
}

static int mark_nominated(struct fields *fields)
{
	uint32_t count = 0;

	for (uint32_t i = 0; fields_have(fields, FIELD_CONNECTION) && i < fields->count; i++) {
		struct span rest = fields->list[i].value;
		struct span name;

		if (fields->list[i].id != FIELD_CONNECTION)
			continue;
		while (span_split(&rest, ',', &name)) {
			if (++count > LIMIT_HEADERS)
				return -E2BIG;
			mark_named(fields, span_trim(name));
		}
	}
	return 0;
}

static bool is_end_to_end(const struct field *field, void *context)
{
	const struct field *kept = context;

	if (field == kept)
		return true;
	return field->name.len > 0 && field->id != FIELD_CONTENT_LENGTH &&
	       (field_flags_of(field->id) & FIELD_HOP) == 0 && !field_name_is_framing_lookalike(field);
}

/* Keeps "trailers", the only value of TE that concerns the next hop, RFC 9110 10.1.4. */
static struct field *te_of_request(struct fields *fields)
{
	if (!fields_list_has(fields, FIELD_TE, SPAN("trailers")))
		return NULL;
	for (uint32_t i = 0; i < fields->count; i++) {
		if (fields->list[i].id == FIELD_TE)
			return &fields->list[i];
	}
	return NULL;
}

int hop_by_hop_strip_request(struct request_head *head)
{
	struct fields *fields = &head->fields;
	int error = mark_nominated(fields);
	struct field *te;

	if (error)
		return error;
	te = te_of_request(fields);
	if (te)
		te->value = SPAN("trailers");
	fields_retain(fields, is_end_to_end, te);
	if (head->version_major == 1 && head->version_minor == 0)
		fields_remove_id(fields, FIELD_EXPECT);
	return 0;
}

int hop_by_hop_strip_response(struct response_head *head)
{
	int error = mark_nominated(&head->fields);

	if (error)
		return error;
	fields_retain(&head->fields, is_end_to_end, NULL);
	return 0;
}

/* All values of X-Forwarded-For and `last`, joined with ", ". data == NULL without memory. */
static struct span forwarded_for(const struct fields *fields, struct span last)
{
	size_t size = last.len;
	char *bytes;
	char *at;

	for (uint32_t i = 0; i < fields->count; i++) {
		if (fields->list[i].id == FIELD_X_FORWARDED_FOR && fields->list[i].value.len)
			size += fields->list[i].value.len + 2;
	}
	bytes = arena_bytes(fields->arena, size);
	if (!bytes)
		return (struct span){ NULL, 0 };
	at = bytes;
	for (uint32_t i = 0; i < fields->count; i++) {
		if (fields->list[i].id != FIELD_X_FORWARDED_FOR || fields->list[i].value.len == 0)
			continue;
		at = wire_put(at, fields->list[i].value);
		at = wire_put(at, SPAN(", "));
	}
	wire_put(at, last);
	return span_of(bytes, size);
}

/* False for fields that only a gateway in front of us could know, except those that we replace. */
static bool is_not_forwarding(const struct field *field, void *context)
{
	(void)context;
	return field->id == FIELD_X_FORWARDED_FOR || field->id == FIELD_X_FORWARDED_PROTO ||
	       field->id == FIELD_X_FORWARDED_HOST || !field_name_is_forwarding(field->name);
}

static bool is_no_identity(const struct field *field, void *context)
{
	(void)context;
	return !spelling_is_identity(field->name);
}

void bypass_drop_identities(struct fields *fields)
{
	fields_retain(fields, is_no_identity, NULL);
}

/* From a trusted peer, keeps an existing field; otherwise sets our own value. */
static int forwarded_set(struct fields *fields, const struct field *own, bool is_trusted)
{
	if (is_trusted && fields_have(fields, own->id))
		return 0;
	if (own->value.len)
		return fields_replace(fields, own);
	fields_remove_id(fields, own->id);
	return 0;
}

int hop_by_hop_add_forwarded(struct request_head *head, const struct forwarded_facts *facts)
{
	struct fields *fields = &head->fields;
	struct field client = { SPAN("X-Forwarded-For"), facts->client_ip, FIELD_X_FORWARDED_FOR };
	struct field proto = { SPAN("X-Forwarded-Proto"), facts->proto, FIELD_X_FORWARDED_PROTO };
	struct field host = { SPAN("X-Forwarded-Host"), head->authority, FIELD_X_FORWARDED_HOST };
	int error;

	if (!facts->is_trusted)
		fields_retain(fields, is_not_forwarding, NULL);
	if (facts->is_trusted && fields_have(fields, FIELD_X_FORWARDED_FOR)) {
		client.value = forwarded_for(fields, facts->client_ip);
		if (!client.value.data)
			return -ENOMEM;
	}
	error = fields_replace(fields, &client);
	if (!error)
		error = forwarded_set(fields, &proto, facts->is_trusted);
	return error ? error : forwarded_set(fields, &host, facts->is_trusted);
}

int hop_by_hop_add_via(struct fields *fields, uint8_t version_major, uint8_t version_minor)
{
	struct span via = version_minor ? SPAN("1.1 headgate") : SPAN("1.0 headgate");

	return fields_add(fields, SPAN("Via"), version_major == 2 ? SPAN("2.0 headgate") : via);
}

uint32_t hop_by_hop_count_laps(const struct fields *fields, struct span id)
{
	uint32_t laps = 0;

	for (uint32_t i = 0; fields_have(fields, FIELD_CDN_LOOP) && i < fields->count; i++) {
		struct span rest = fields->list[i].value;
		struct span member;

		while (fields->list[i].id == FIELD_CDN_LOOP && span_split(&rest, ',', &member)) {
			struct span name;

			laps += span_split(&member, ';', &name) && span_eq(span_trim(name), id);
		}
	}
	return laps;
}

int hop_by_hop_add_lap(struct fields *fields, struct span id)
{
	return fields_add(fields, SPAN("CDN-Loop"), id);
}

bool hop_by_hop_was_forwarded(const struct fields *fields)
{
	return fields_have(fields, FIELD_X_FORWARDED_FOR) || fields_have(fields, FIELD_FORWARDED) ||
	       fields_have(fields, FIELD_VIA) || fields_have(fields, FIELD_CDN_LOOP);
}

enum hop_by_hop_limit hop_by_hop_count_down(struct request_head *head)
{
	const struct field *field = fields_get(&head->fields, FIELD_MAX_FORWARDS);
	char digits[24];
	struct span less;
	uint64_t left;

	if (!field || (head->method != METHOD_TRACE && head->method != METHOD_OPTIONS))
		return HOP_BY_HOP_GOES_ON;
	if (fields_count_of(&head->fields, FIELD_MAX_FORWARDS) > 1 || span_parse_u63(field->value, &left) < 0)
		return HOP_BY_HOP_IS_INVALID;
	if (left == 0)
		return HOP_BY_HOP_ENDS_HERE;
	less = arena_copy(head->fields.arena, span_of(digits, text_u64(digits, left - 1)));
	if (!less.data || fields_set(&head->fields, SPAN("max-forwards"), less) < 0)
		return HOP_BY_HOP_NO_MEMORY;
	return HOP_BY_HOP_GOES_ON;
}
