/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/guard/ext_authz.h"

#include <errno.h>

#include "policy/guard/service.h"
#include "policy/guard/struct_value.h"
#include "policy/headers.h"
#include "user/base/char_class.h"
#include "user/base/limits.h"
#include "user/base/protobuf.h"
#include "user/base/units.h"
#include "user/net/address.h"

/*
 * The messages of Envoy's API v3: CheckRequest, AttributeContext and CheckResponse of service.auth.v3. The
 * numbers are those of their fields.
 */
#define CHECK_METHOD SPAN("/envoy.service.auth.v3.Authorization/Check")

/* -------------------------------------------------------------------------------- the call */

/* AttributeContext.Peer {address 1 {socket_address 1 {address 2, port_value 3}}, principal 4} */
static void put_peer(struct protobuf_writer *w, uint32_t number, const struct address *address,
		     struct span principal)
{
	char text[ADDRESS_TEXT_BYTES];
	struct address plain;

	protobuf_open(w, number);
	if (address && address->len) {
		plain = *address;
		address_unmap(&plain);
		protobuf_open(w, 1);
		protobuf_open(w, 1);
		protobuf_bytes(w, 2, span_of(text, address_host_text(&plain, text)));
		protobuf_number(w, 3, address_port(address));
		protobuf_close(w);
		protobuf_close(w);
	}
	protobuf_bytes(w, 4, principal);
	protobuf_close(w);
}

/* google.protobuf.Timestamp {seconds 1, nanos 2} */
static void put_time(struct protobuf_writer *w, uint32_t number, uint64_t ns)
{
	protobuf_open(w, number);
	protobuf_number(w, 1, ns / NS_PER_S);
	protobuf_number(w, 2, ns % NS_PER_S);
	protobuf_close(w);
}

static bool is_sent(const struct ext_authz_policy *policy, struct span name)
{
	for (uint32_t i = 0; i < policy->request_header_count; i++)
		if (span_eq_nocase(policy->request_header_list[i], name))
			return true;
	return policy->request_header_count == 0;
}

static bool is_first_of_name(const struct fields *fields, uint32_t index)
{
	for (uint32_t i = 0; i < index; i++)
		if (span_eq_nocase(fields->list[i].name, fields->list[index].name))
			return false;
	return true;
}

/* A map: each name once, in lower case. */
static int put_headers(struct protobuf_writer *w, uint32_t number, const struct ext_authz_policy *policy,
		       const struct fields *fields, struct arena *arena)
{
	int error = 0;

	for (uint32_t i = 0; i < fields->count; i++) {
		struct span name, value;

		if (!is_sent(policy, fields->list[i].name) || !is_first_of_name(fields, i) ||
		    span_eq_nocase(fields->list[i].name, EXT_AUTHZ_PARTIAL))
			continue;
		name = service_lower(arena, fields->list[i].name);
		value = service_values(fields, fields->list[i].name, arena, &error);
		value = service_utf8(arena, value);
		if (error || !name.data || !value.data)
			return -ENOMEM;
		protobuf_entry(w, number, name, value);
	}
	return 0;
}

static struct span protocol_of(const struct request_head *head)
{
	if (head->version_major == 2)
		return SPAN("HTTP/2");
	return head->version_minor ? SPAN("HTTP/1.1") : SPAN("HTTP/1.0");
}

static struct span id_of(const struct fields *fields)
{
	const struct field *id = fields_get(fields, FIELD_X_REQUEST_ID);

	return id ? id->value : (struct span){ 0 };
}

/* As service_utf8(), without a copy in the memory of the request: a body can be large. */
static void put_body(struct protobuf_writer *w, uint32_t number, struct span body)
{
	protobuf_bytes(w, number, body);
	if (!w->error)
		service_make_utf8(buf_tail(w->out) - body.len, body.len);
}

/* AttributeContext.HttpRequest */
static int put_http(struct protobuf_writer *w, uint32_t number, const struct ext_authz_policy *policy,
		    const struct guard_facts *facts, const struct guard_body *body, struct arena *arena)
{
	const struct request_head *head = facts->head;
	const struct span parts[] = { head->path, head->has_query ? SPAN("?") : SPAN(""), head->query };
	int error;

	protobuf_open(w, number);
	protobuf_bytes(w, 1, service_utf8(arena, id_of(&head->fields)));
	protobuf_bytes(w, 2, head->method_text);
	error = put_headers(w, 3, policy, &head->fields, arena);
	if (policy->body.most_bytes)
		protobuf_entry(w, 3, EXT_AUTHZ_PARTIAL, body->is_whole ? SPAN("false") : SPAN("true"));
	protobuf_bytes(w, 4, service_utf8(arena, service_join(arena, parts, 3)));
	protobuf_bytes(w, 5, service_utf8(arena, head->authority));
	protobuf_bytes(w, 6, facts->scheme);
	/* An int64: -1 if it is not known. */
	protobuf_number(w, 9, facts->has_unknown_body ? UINT64_MAX : facts->declared_bytes);
	protobuf_bytes(w, 10, protocol_of(head));
	if (policy->body.is_packed)
		protobuf_bytes(w, 12, body->bytes);
	else
		put_body(w, 11, body->bytes);
	protobuf_close(w);
	return error;
}

/* A member of Metadata.filter_metadata {name 1, Struct 2}. */
static int put_struct(struct protobuf_writer *w, struct span name, const struct expression_value *map,
		      struct arena *arena)
{
	int error;

	protobuf_open(w, 1);
	protobuf_bytes(w, 1, name);
	protobuf_open(w, 2);
	error = struct_value_write(map, arena, w);
	protobuf_close(w);
	protobuf_close(w);
	return error;
}

/* As Envoy's filter jwt_authn names them, with `payload_in_metadata: jwt_payload`. */
static int put_claims(struct protobuf_writer *w, const struct guard_facts *facts, struct arena *arena)
{
	const struct expression_facts *values;
	int error = facts->facts(facts->context, 0, &values);
	struct expression_member payload = { .name = SPAN("jwt_payload") };
	const struct expression_value map = { .type = EXPRESSION_MAP, .count = 1, .members = &payload };

	if (error || !values->jwt)
		return error;
	payload.value = *values->jwt;
	return put_struct(w, SPAN("envoy.filters.http.jwt_authn"), &map, arena);
}

/* An expression without a map as its value is left out. 0; -E2BIG: nobody can tell, or too deep; -ENOMEM. */
static int put_metadata(struct protobuf_writer *w, const struct ext_authz_policy *policy,
			const struct guard_facts *facts, struct arena *arena)
{
	const struct named_expressions *metadata = &policy->grpc.metadata;
	int error = metadata->count ? 0 : put_claims(w, facts, arena);

	for (uint32_t i = 0; i < metadata->count && !error; i++) {
		const struct expression *expression = metadata->expression_list[i];
		const struct expression_facts *values;
		struct expression_value value;

		error = facts->facts(facts->context, expression->needs, &values);
		if (error)
			return error;
		value = expression_evaluate(expression, values);
		if (value.type == EXPRESSION_NONE && value.gave_up)
			return -E2BIG;
		if (value.type == EXPRESSION_MAP)
			error = put_struct(w, metadata->list[i].name, &value, arena);
	}
	return error;
}

static int put_attributes(struct protobuf_writer *w, const struct ext_authz_policy *policy,
			  const struct guard_facts *facts, const struct guard_body *body, struct arena *arena)
{
	const uint32_t needs =
		EXPRESSION_NEEDS_ADDRESS | EXPRESSION_NEEDS_CERTIFICATE | EXPRESSION_NEEDS_DESTINATION;
	const struct expression_facts *values;
	const struct expression_source *source;
	int error = facts->facts(facts->context, needs, &values);

	if (error)
		return error;
	source = values->source;
	protobuf_open(w, 1);
	if (source)
		put_peer(w, 1, source->address,
			 source->spiffe_id.len ? source->spiffe_id : service_utf8(arena, source->subject));
	put_peer(w, 2, values->destination, (struct span){ 0 });
	protobuf_open(w, 4);
	put_time(w, 1, values->start_ns);
	error = put_http(w, 2, policy, facts, body, arena);
	protobuf_close(w);
	for (uint32_t i = 0; i < policy->grpc.context_count; i++)
		protobuf_entry(w, 10, policy->grpc.context_list[i].name, policy->grpc.context_list[i].value);
	if (values->sni.len) {
		protobuf_open(w, 12);
		protobuf_bytes(w, 1, service_utf8(arena, values->sni));
		protobuf_close(w);
	}
	/* Last: the facts are valid until others are asked for. */
	protobuf_open(w, 11);
	if (!error)
		error = put_metadata(w, policy, facts, arena);
	protobuf_close(w);
	protobuf_close(w);
	return error ? error : w->error;
}

int ext_authz_grpc_call(const struct ext_authz_policy *policy, const struct guard_facts *facts,
			const struct ext_authz_question *question, struct guard_answer *answer)
{
	const struct request_head head = { .path = CHECK_METHOD };
	struct guard_call call = { .kind = CALLOUT_EXT_AUTHZ,
				   .ref = policy->ref,
				   .head = &head,
				   .is_grpc = true,
				   .subject = policy,
				   .cache_key = question->cache_key,
				   .most_entries = policy->cache.most_entries,
				   .reply = question->reply };
	struct protobuf_writer writer;
	struct buf message;
	int result;

	buf_init(&message);
	protobuf_init(&writer, &message, LIMIT_CALLOUT_REQUEST_BYTES + question->body.bytes.len);
	result = put_attributes(&writer, policy, facts, &question->body, answer->fields.arena);
	call.body = buf_span(&message);
	if (!result)
		result = facts->verifier->call(facts->verifier->context, &call);
	buf_done(&message);
	return result >= 0 ? result : ext_authz_not_asked(policy, answer, result);
}

/* -------------------------------------------------------------------------------- the response */

/* One HeaderValueOption. */
struct option {
	struct span name, value;
	enum append_action action;
};

/* What a CheckResponse says. Spans are in its message. */
struct check {
	bool has_status; /* or an OkHttpResponse */
	uint64_t code; /* google.rpc.Code; 0: the request may come in */
	struct span denied; /* DeniedHttpResponse */
	struct span ok; /* OkHttpResponse */
	struct span metadata; /* Struct: for expressions */
	bool has_metadata;
	bool has_denied;
};

/* google.protobuf.BoolValue {value 1}: what `append` says about a field that is there. */
static int read_append(struct span message, enum append_action *ret)
{
	struct protobuf_field field;
	int result;

	*ret = APPEND_REPLACES;
	while ((result = protobuf_next(&message, &field)) > 0)
		if (protobuf_is(&field, 1, PROTOBUF_VARINT))
			*ret = field.value ? APPEND_ALWAYS : APPEND_REPLACES;
	return result;
}

/*
 * HeaderValueOption {header 1, append 2, append_action 3}. If it has neither of the two, `usual` counts; an
 * append_action of 0 (APPEND_IF_EXISTS_OR_ADD) cannot be told from none.
 */
static int read_option(struct span message, enum append_action usual, struct option *ret)
{
	struct protobuf_field field;
	uint64_t action = 0;
	int result;

	*ret = (struct option){ .action = usual };
	while ((result = protobuf_next(&message, &field)) > 0) {
		if (protobuf_is(&field, 1, PROTOBUF_LEN))
			result = service_read_header(field.bytes, &ret->name, &ret->value);
		else if (protobuf_is(&field, 2, PROTOBUF_LEN))
			result = read_append(field.bytes, &ret->action);
		else if (protobuf_is(&field, 3, PROTOBUF_VARINT))
			action = field.value;
		if (result < 0)
			return result;
	}
	if (action)
		ret->action = (enum append_action)action;
	return result == 0 && (!ret->name.len || action >= APPEND_ACTION_COUNT) ? -EBADMSG : result;
}

/* google.rpc.Status {code 1} */
static int read_status(struct span message, struct check *ret)
{
	struct protobuf_field field;
	int result;

	ret->has_status = true;
	ret->code = 0;
	while ((result = protobuf_next(&message, &field)) > 0)
		if (protobuf_is(&field, 1, PROTOBUF_VARINT))
			ret->code = field.value;
	return result;
}

/*
 * CheckResponse {status 1, denied_response 2, ok_response 3, dynamic_metadata 4}; of 2 and 3 the later one
 * counts.
 */
static int read_check(struct span message, struct check *ret)
{
	struct protobuf_field field;
	int result;

	*ret = (struct check){ 0 };
	while ((result = protobuf_next(&message, &field)) > 0) {
		if (protobuf_is(&field, 1, PROTOBUF_LEN))
			result = read_status(field.bytes, ret);
		if (protobuf_is(&field, 2, PROTOBUF_LEN)) {
			ret->denied = field.bytes;
			ret->has_denied = true;
		}
		if (protobuf_is(&field, 3, PROTOBUF_LEN)) {
			ret->ok = field.bytes;
			ret->has_status = true;
			ret->has_denied = false;
		}
		if (protobuf_is(&field, 4, PROTOBUF_LEN)) {
			ret->metadata = field.bytes;
			ret->has_metadata = true;
		}
		if (result < 0)
			return result;
	}
	return result;
}

/* DeniedHttpResponse {status 1 {code 1}, headers 2, body 3} */
static int read_denied(struct span message, uint16_t *ret_status, struct fields *fields,
		       struct span *ret_body)
{
	struct protobuf_field field;
	struct check status;
	struct option option;
	int result;

	while ((result = protobuf_next(&message, &field)) > 0) {
		if (protobuf_is(&field, 1, PROTOBUF_LEN)) {
			result = read_status(field.bytes, &status);
			if (result == 0 && status.code)
				*ret_status = status.code < 1000 ? (uint16_t)status.code : 0;
		} else if (protobuf_is(&field, 2, PROTOBUF_LEN)) {
			result = read_option(field.bytes, APPEND_ALWAYS, &option);
			if (result == 0)
				result = fields_add(fields, option.name, option.value);
		} else if (protobuf_is(&field, 3, PROTOBUF_LEN)) {
			*ret_body = field.bytes;
		}
		if (result < 0)
			return result;
	}
	return result;
}

static int deny(const struct ext_authz_policy *policy, const struct check *check, struct guard_answer *answer)
{
	struct span body = check->has_denied ? (struct span){ 0 } : EXT_AUTHZ_REFUSED;
	uint16_t status = 403;
	struct fields fields;
	int error;

	fields_init(&fields, answer->fields.arena);
	error = read_denied(check->denied, &status, &fields, &body);
	if (error == -ENOMEM)
		return error;
	/* A refusal with the status of a success would look as if the request had been served. */
	if (error || status < 300 || status > 599)
		return ext_authz_deny(policy, answer, SPAN("a malformed refusal of the service"));
	return ext_authz_refuse(answer, status, &fields, body);
}

/* What the request will have of a field: from the service, if it has named it before, else its own. */
static struct span value_so_far(const struct header_modifier *changes, const struct fields *request,
				struct span name, struct arena *arena, int *ret_error)
{
	for (uint32_t i = changes->set_count; i-- > 0;)
		if (span_eq_nocase(changes->set_list[i].name, name))
			return changes->set_list[i].value;
	return service_values(request, name, arena, ret_error);
}

static int take_option(const struct option *option, const struct fields *request, struct arena *arena,
		       struct header_modifier *changes)
{
	struct span old = { 0 }, value = option->value;
	int error = 0;

	if (option->action != APPEND_REPLACES)
		old = value_so_far(changes, request, option->name, arena, &error);
	if (error)
		return error;
	if (option->action == (old.data ? APPEND_IF_ABSENT : APPEND_REPLACES_ONLY))
		return headers_may_modify(option->name) ? 0 : -EBADMSG;
	if (option->action == APPEND_ALWAYS) {
		const struct span parts[] = { old, old.data ? SPAN(",") : SPAN(""), value };

		value = service_join(arena, parts, 3);
		if (!value.data)
			return -ENOMEM;
	}
	return service_take_header(changes, arena, option->name, value);
}

static int take_removal(struct span name, struct arena *arena, struct header_modifier *changes)
{
	struct span lower = service_lower(arena, name);

	if (!char_class_is_token(name) || !headers_may_modify(name))
		return -EBADMSG;
	if (!lower.data)
		return -ENOMEM;
	service_remove(changes, lower);
	return 0;
}

/* For responses; one that the gateway writes itself is left out. */
static int take_addition(const struct option *option, struct guard_answer *answer)
{
	struct arena *arena = answer->fields.arena;
	struct guard_additions *list = &answer->additions;
	struct guard_addition *addition;

	if (!headers_may_modify(option->name))
		return 0;
	addition = arena_take(arena, sizeof(*addition));
	if (!addition)
		return -ENOMEM;
	*addition = (struct guard_addition){ .field = { service_lower(arena, option->name),
							arena_copy(arena, option->value),
							field_id_of(option->name) },
					     .action = option->action };
	if (!addition->field.name.data || !addition->field.value.data)
		return -ENOMEM;
	if (list->last)
		list->last->next = addition;
	else
		list->first = addition;
	list->last = addition;
	return 0;
}

/*
 * OkHttpResponse {headers 2, headers_to_remove 5, response_headers_to_add 6, query parameters 7 and 8}.
 * Changes of the query are not supported, and to leave them out could let something pass.
 */
static int read_ok(struct span message, const struct guard_facts *facts, struct guard_answer *answer,
		   struct header_modifier *changes)
{
	struct arena *arena = answer->fields.arena;
	struct protobuf_field field;
	struct option option;
	int result;

	while ((result = protobuf_next(&message, &field)) > 0) {
		if (field.wire != PROTOBUF_LEN)
			continue;
		switch (field.number) {
		case 2:
			/* What a client sends must not stand beside what the service says. */
			result = read_option(field.bytes, APPEND_REPLACES, &option);
			if (result == 0)
				result = take_option(&option, &facts->head->fields, arena, changes);
			break;
		case 5:
			result = take_removal(field.bytes, arena, changes);
			break;
		case 6:
			result = read_option(field.bytes, APPEND_ALWAYS, &option);
			if (result == 0)
				result = take_addition(&option, answer);
			break;
		case 7:
		case 8:
			result = -EBADMSG;
			break;
		}
		if (result < 0)
			return result;
	}
	return result;
}

/* OkHttpResponse had its own before CheckResponse got it: dynamic_metadata 3. */
static int read_metadata(struct check *check, const struct guard_facts *facts, struct arena *arena)
{
	struct protobuf_field field;
	struct span ok = check->ok;
	struct expression_value map;
	int error;

	if (!check->has_metadata) {
		while (protobuf_next(&ok, &field) > 0) {
			if (!protobuf_is(&field, 3, PROTOBUF_LEN))
				continue;
			check->metadata = field.bytes;
			check->has_metadata = true;
		}
	}
	if (!check->has_metadata)
		return 0;
	error = struct_value_read(check->metadata, arena, &map);
	return error ? error : ext_authz_note(facts, arena, &map);
}

int ext_authz_grpc_read(const struct ext_authz_policy *policy, const struct guard_facts *facts,
			struct guard_answer *answer)
{
	const struct guard_additions before = answer->additions;
	struct header_modifier *changes;
	struct check check;
	int error = read_check(facts->reply->body, &check);

	/* Without a status the message says nothing: an empty one must not admit. */
	if (error || !check.has_status)
		return ext_authz_failed(policy, answer, SPAN("a malformed answer of the service"));
	error = read_metadata(&check, facts, answer->fields.arena);
	if (error == -ENOMEM)
		return error;
	if (check.code != 0 || check.has_denied)
		return deny(policy, &check, answer);
	if (error)
		return ext_authz_failed(policy, answer, SPAN("malformed metadata of the service"));
	changes = service_changes(answer->fields.arena, service_count_fields(check.ok));
	if (!changes)
		return -ENOMEM;
	error = read_ok(check.ok, facts, answer, changes);
	if (error == -ENOMEM)
		return error;
	if (error) {
		/* Nothing of it counts: neither for the request nor for the response. */
		answer->additions = before;
		if (before.last)
			before.last->next = NULL;
		return ext_authz_failed(policy, answer,
					SPAN("the service asks for a change that cannot be made"));
	}
	answer->request = changes;
	return ext_authz_admit(policy, facts);
}
