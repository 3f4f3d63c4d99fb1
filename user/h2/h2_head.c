/* SPDX-License-Identifier: Apache-2.0 */
#include "user/h2/h2_head.h"

#include <errno.h>

#include "user/base/check.h"
#include "user/base/mem.h"
#include "user/http/head_check.h"
#include "user/base/char_class.h"
#include "user/http/target.h"

enum {
	HEAD_BLOCK_BYTES = 960, /* of the arena: half of a head, in a size that malloc caches */
	FIELD_OVERHEAD_BYTES = 32, /* RFC 9113 6.5.2 */
	REQUEST = 1 << H2_HEAD_REQUEST,
	RESPONSE = 1 << H2_HEAD_RESPONSE,
};

struct h2_head *h2_head_create(enum h2_head_kind kind)
{
	struct h2_head *head = hg_calloc(1, sizeof(*head));

	if (!head)
		return NULL;
	head->kind = kind;
	arena_init(&head->arena, HEAD_BLOCK_BYTES);
	fields_init(&head->fields, &head->arena);
	return head;
}

void h2_head_free(struct h2_head *head)
{
	if (!head)
		return;
	arena_done(&head->arena);
	hg_free(head);
}

/* ---- pseudo-header fields, RFC 9113 8.3 ---- */

static enum http_error method_check(struct span value)
{
	return char_class_is_token(value) ? HTTP_ERROR_NONE : HTTP_ERROR_METHOD;
}

static enum http_error scheme_check(struct span value)
{
	return span_eq_nocase(value, SPAN("http")) || span_eq_nocase(value, SPAN("https"))
		       ? HTTP_ERROR_NONE
		       : HTTP_ERROR_SCHEME;
}

static enum http_error authority_check(struct span value)
{
	return authority_is_valid(value) ? HTTP_ERROR_NONE : HTTP_ERROR_HOST_SYNTAX;
}

/* The allowed form depends on the method, which may come later: h2_head_finish(). */
static enum http_error path_check(struct span value)
{
	return value.len && char_class_is_target(value) ? HTTP_ERROR_NONE : HTTP_ERROR_TARGET;
}

static enum http_error protocol_check(struct span value)
{
	return char_class_is_token(value) ? HTTP_ERROR_NONE : HTTP_ERROR_PSEUDO_FIELD;
}

static enum http_error status_check(struct span value)
{
	bool is_status = value.len == 3 && char_class_all(value, OCTET_DIGIT) && value.data[0] >= '1' &&
			 value.data[0] <= '5' && !span_eq(value, SPAN("101"));

	return is_status ? HTTP_ERROR_NONE : HTTP_ERROR_STATUS;
}

enum { PSEUDO_METHOD, PSEUDO_SCHEME, PSEUDO_AUTHORITY, PSEUDO_PATH, PSEUDO_PROTOCOL, PSEUDO_STATUS };

static const struct pseudo {
	struct span name;
	unsigned int kinds;
	enum http_error (*check)(struct span value);
	size_t member; /* offset of the span in struct h2_head; 0: the status */
} pseudos[] = {
	[PSEUDO_METHOD] = { { ":method", 7 }, REQUEST, method_check, offsetof(struct h2_head, method) },
	[PSEUDO_SCHEME] = { { ":scheme", 7 }, REQUEST, scheme_check, offsetof(struct h2_head, scheme) },
	[PSEUDO_AUTHORITY] = { { ":authority", 10 },
			       REQUEST,
			       authority_check,
			       offsetof(struct h2_head, authority) },
	[PSEUDO_PATH] = { { ":path", 5 }, REQUEST, path_check, offsetof(struct h2_head, path) },
	[PSEUDO_PROTOCOL] = { { ":protocol", 9 },
			      REQUEST,
			      protocol_check,
			      offsetof(struct h2_head, protocol) },
	[PSEUDO_STATUS] = { { ":status", 7 }, RESPONSE, status_check, 0 },
};

/* The only pseudo-header field that a name of this length and these letters can be; the caller compares. */
static const struct pseudo *pseudo_candidate(struct span name)
{
	switch (name.len) {
	case 5:
		return &pseudos[PSEUDO_PATH];
	case 7:
		if (name.data[1] == 'm')
			return &pseudos[PSEUDO_METHOD];
		return name.data[2] == 'c' ? &pseudos[PSEUDO_SCHEME] : &pseudos[PSEUDO_STATUS];
	case 9:
		return &pseudos[PSEUDO_PROTOCOL];
	}
	return &pseudos[PSEUDO_AUTHORITY];
}

static uint16_t status_of(struct span value)
{
	return (uint16_t)((value.data[0] - '0') * 100 + (value.data[1] - '0') * 10 + (value.data[2] - '0'));
}

/*
 * Checks name and value. Returns where the caller stores the value; NULL for the status, and for violations.
 */
static struct span *pseudo_take(struct h2_head *head, struct span name, struct span value)
{
	const struct pseudo *pseudo = pseudo_candidate(name);
	unsigned int bit = 1u << (pseudo - pseudos);

	head->http_error = HTTP_ERROR_PSEUDO_FIELD;
	if (!span_eq(name, pseudo->name))
		return NULL;
	if ((pseudo->kinds & (1u << head->kind)) && !(head->seen & bit) && !head->fields.count)
		head->http_error = pseudo->check(value);
	head->seen |= bit;
	if (head->http_error != HTTP_ERROR_NONE)
		return NULL;
	if (pseudo->member)
		return (struct span *)(void *)((char *)head + pseudo->member);
	head->status = status_of(value);
	return NULL;
}

/* ---- fields ---- */

static bool is_upper_case(char c)
{
	return c >= 'A' && c <= 'Z';
}

static bool has_upper_case(struct span name)
{
	for (size_t i = 0; i < name.len; i++) {
		if (is_upper_case(name.data[i]))
			return true;
	}
	return false;
}

/* RFC 9113 8.2.2 */
static enum http_error field_id_check(const struct h2_head *head, enum field_id id, struct span value)
{
	if (id == FIELD_TE && !span_eq_nocase(value, SPAN("trailers")))
		return HTTP_ERROR_CONNECTION_FIELD;
	if (id != FIELD_TE && (field_flags_of(id) & FIELD_HOP))
		return HTTP_ERROR_CONNECTION_FIELD;
	/* As in body_trailers(): a legitimate sender does not use these. */
	if (head->kind == H2_HEAD_TRAILERS && (id == FIELD_CONTENT_LENGTH || id == FIELD_HOST))
		return HTTP_ERROR_TRAILER;
	return HTTP_ERROR_NONE;
}

/* Checks a received name. */
static enum http_error name_check(enum field_id id, struct span name)
{
	if (id != FIELD_OTHER ? span_eq(name, field_name_of(id)) : char_class_all(name, OCTET_LOWER_TOKEN))
		return HTTP_ERROR_NONE;
	return has_upper_case(name) ? HTTP_ERROR_FIELD_CASE : HTTP_ERROR_FIELD_NAME;
}

static enum http_error value_check(const struct h2_head *head, enum field_id id, struct span value)
{
	if (!char_class_is_text(value))
		return HTTP_ERROR_CONTROL_BYTE;
	if (span_trim(value).len != value.len)
		return HTTP_ERROR_FIELD_BLANKS;
	return id == FIELD_OTHER ? HTTP_ERROR_NONE : field_id_check(head, id, value);
}

/* Stores copies of a valid name, in lower case, and its value. */
static int field_store(struct h2_head *head, enum field_id id, struct span name, struct span value)
{
	bool is_known = id != FIELD_OTHER;
	char *bytes = arena_bytes(&head->arena, (is_known ? 0 : name.len) + value.len);
	struct field field = { .name = is_known ? field_name_of(id) : span_of(bytes, name.len), .id = id };

	if (!bytes)
		return -ENOMEM;
	if (!is_known) {
		span_lower(name, bytes);
		bytes += name.len;
	}
	if (value.len)
		memcpy(bytes, value.data, value.len);
	field.value = span_of(bytes, value.len);
	return fields_put(&head->fields, &field);
}

static int field_add(struct h2_head *head, enum field_id id, struct span name, struct span value)
{
	head->http_error = name_check(id, name);
	if (head->http_error == HTTP_ERROR_NONE)
		head->http_error = value_check(head, id, value);
	return head->http_error == HTTP_ERROR_NONE ? field_store(head, id, name, value) : 0;
}

static uint32_t add_bytes(uint32_t sum, size_t more)
{
	return more > UINT32_MAX - sum ? UINT32_MAX : sum + (uint32_t)more;
}

static int pseudo_add(struct h2_head *head, struct span name, struct span value)
{
	struct span *member = pseudo_take(head, name, value);

	if (!member)
		return 0;
	*member = arena_copy(&head->arena, value);
	return member->data ? 0 : -ENOMEM;
}

/* One cookie may come in many fields, so that each is compressed alone; their bytes count like any other. */
static bool is_crumb(struct h2_head *head, enum field_id id)
{
	bool is_one = head->has_cookie;

	if (id != FIELD_COOKIE || head->kind != H2_HEAD_REQUEST)
		return false;
	head->has_cookie = true;
	head->crumbs += is_one;
	return is_one;
}

int h2_head_add(struct h2_head *head, struct span name, struct span value,
		const struct h2_head_limits *limits)
{
	bool is_pseudo = name.len && name.data[0] == ':';
	enum field_id id;

	head->list_bytes = add_bytes(head->list_bytes, name.len + value.len + FIELD_OVERHEAD_BYTES);
	if (head->http_error != HTTP_ERROR_NONE)
		return 0;
	if (head->list_bytes > limits->bytes) {
		head->http_error = HTTP_ERROR_HEAD_TOO_LONG;
		return 0;
	}
	if (is_pseudo)
		return pseudo_add(head, name, value);
	id = field_id_of(name);
	if (!is_crumb(head, id) && head->fields.count - head->crumbs >= limits->fields) {
		head->http_error = HTTP_ERROR_TOO_MANY_FIELDS;
		return 0;
	}
	return field_add(head, id, name, value);
}

void h2_head_put_pseudo(struct h2_head *head, struct span name, struct span value)
{
	struct span *member = head->http_error == HTTP_ERROR_NONE ? pseudo_take(head, name, value) : NULL;

	if (member)
		*member = value;
}

int h2_head_put(struct h2_head *head, const struct field *field)
{
	struct field own = { .name = field->name, .value = span_trim(field->value), .id = field->id };

	if (head->http_error != HTTP_ERROR_NONE)
		return 0;
	head->http_error = value_check(head, own.id, own.value);
	if (own.id == FIELD_OTHER && !char_class_is_token(own.name))
		head->http_error = HTTP_ERROR_FIELD_NAME;
	if (head->http_error != HTTP_ERROR_NONE)
		return 0;
	if (head->kind == H2_HEAD_TRAILERS || (own.id == FIELD_OTHER && has_upper_case(own.name)))
		return field_store(head, own.id, own.name, own.value);
	if (own.id != FIELD_OTHER)
		own.name = field_name_of(own.id);
	return fields_put(&head->fields, &own);
}

/* ---- the end of a section ---- */

static enum http_error connect_finish(const struct h2_head *head)
{
	if (head->protocol.len)
		return head->scheme.len && head->path.len && head->authority.len ? HTTP_ERROR_NONE
										 : HTTP_ERROR_PSEUDO_FIELD;
	if (head->scheme.len || head->path.len || !head->authority.len)
		return HTTP_ERROR_PSEUDO_FIELD;
	return authority_port(head->authority).len ? HTTP_ERROR_NONE : HTTP_ERROR_TARGET;
}

static enum http_error host_finish(const struct h2_head *head)
{
	struct request_head request = {
		.method = method_of(head->method),
		.authority = head->authority,
		.version_major = 2,
		.fields = head->fields,
	};
	uint16_t default_port = span_eq_nocase(head->scheme, SPAN("https")) ? 443 : 80;

	return head_check_host(&request, head->scheme.len ? default_port : 0);
}

/* RFC 9113 8.3.1: required fields of a request, and the two forms of :path. */
static enum http_error request_finish(const struct h2_head *head)
{
	enum http_method method = method_of(head->method);
	enum http_error http_error = HTTP_ERROR_NONE;

	if (!head->method.len)
		return HTTP_ERROR_PSEUDO_FIELD;
	if (method == METHOD_CONNECT) {
		http_error = connect_finish(head);
		if (http_error != HTTP_ERROR_NONE)
			return http_error;
	} else if (!head->scheme.len || !head->path.len || head->protocol.len) {
		return HTTP_ERROR_PSEUDO_FIELD;
	}
	if (head->path.len && head->path.data[0] != '/' &&
	    (method != METHOD_OPTIONS || !span_eq(head->path, SPAN("*"))))
		return HTTP_ERROR_TARGET;
	return host_finish(head);
}

enum http_error h2_head_finish(struct h2_head *head)
{
	if (head->http_error != HTTP_ERROR_NONE)
		return head->http_error;
	switch (head->kind) {
	case H2_HEAD_REQUEST:
		head->http_error = request_finish(head);
		break;
	case H2_HEAD_RESPONSE:
		if (!head->status)
			head->http_error = HTTP_ERROR_PSEUDO_FIELD;
		else if (head->status < 200 && head->has_end)
			head->http_error = HTTP_ERROR_STATUS;
		break;
	case H2_HEAD_TRAILERS:
		break;
	}
	return head->http_error;
}
