/* SPDX-License-Identifier: Apache-2.0 */
#include "user/phase/direct.h"

#include <errno.h>

#include "policy/expression/expression.h"
#include "user/phase/connect_tunnel.h"
#include "user/stream/facts.h"

static uint32_t needs_of(const struct direct_response *direct)
{
	uint32_t needs = direct->body_expression ? direct->body_expression->needs : 0;

	for (uint32_t i = 0; i < direct->header_count; i++)
		needs |= direct->header_expressions[i]->needs;
	for (uint32_t i = 0; i < direct->case_count; i++) {
		const struct direct_case *at = &direct->case_list[i];

		needs |= at->condition.expression ? at->condition.expression->needs : 0;
		needs |= needs_of(&at->response);
	}
	return needs;
}

static bool is_fixed(const struct direct_response *direct)
{
	return !direct->case_count && !direct->header_count && !direct->body_expression;
}

/* Returns the case that counts; NULL: none. */
static const struct direct_response *choose(const struct direct_response *direct,
					    const struct expression_facts *facts, bool *ret_gave_up)
{
	if (!direct->case_count)
		return direct;
	for (uint32_t i = 0; i < direct->case_count; i++) {
		const struct direct_case *at = &direct->case_list[i];

		switch (at->condition.expression ? expression_test(at->condition.expression, facts)
						 : EXPRESSION_IS_TRUE) {
		case EXPRESSION_IS_TRUE:
			return &at->response;
		case EXPRESSION_IS_FALSE:
			break;
		case EXPRESSION_GAVE_UP:
			*ret_gave_up = true;
			return NULL;
		}
	}
	return NULL;
}

/* A client may have chosen the bytes: they must not end the field. */
static bool is_field_value(struct span value)
{
	for (size_t i = 0; i < value.len; i++)
		if (((unsigned char)value.data[i] < ' ' && value.data[i] != '\t') || value.data[i] == 0x7f)
			return false;
	return true;
}

/* Copies the value of an expression, because the scratch memory is used again. 0 without a value: empty. */
static int text_of(struct stream *stream, const struct expression *expression,
		   const struct expression_facts *facts, struct span *ret)
{
	struct span text = { 0 };
	int result;

	expression_scratch_init(facts->scratch);
	result = expression_text(expression, facts, &text);
	*ret = (struct span){ 0 };
	if (result == -ENODATA)
		return -ENODATA;
	if (result < 0)
		return result;
	*ret = arena_copy(&stream->exchange->arena, text);
	return ret->data ? 0 : -ENOMEM;
}

static int add_headers(struct stream *stream, const struct direct_response *direct,
		       const struct expression_facts *facts)
{
	struct exchange *exchange = stream->exchange;

	if (direct->header_count && !exchange->guard_fields.arena)
		fields_init(&exchange->guard_fields, &exchange->arena);
	for (uint32_t i = 0; i < direct->header_count; i++) {
		struct span value;
		int result = text_of(stream, direct->header_expressions[i], facts, &value);

		if (result == 0 && is_field_value(value))
			result = fields_add(&exchange->guard_fields, direct->header_list[i].name, value);
		if (result < 0 && result != -ENODATA)
			return result;
	}
	return 0;
}

static enum stream_step answer(struct stream *stream, const struct direct_response *direct,
			       const struct expression_facts *facts)
{
	struct span body = direct->body;
	int result = add_headers(stream, direct, facts);

	if (result == 0 && direct->body_expression)
		result = text_of(stream, direct->body_expression, facts, &body);
	if (result == -E2BIG)
		return step_reply(stream, 400, SPAN("too long to be evaluated"), END_MATCH_GAVE_UP);
	if (result < 0 && result != -ENODATA)
		return step_reply(stream, 500, SPAN("no memory"), END_INTERNAL);
	return step_local_reply(stream, direct->status, body, (struct span){ 0 });
}

bool direct_answers(struct stream *stream, const struct direct_response *direct, enum stream_step *ret_step)
{
	struct stream_facts f;
	bool gave_up = false;

	if (!is_fixed(direct) &&
	    stream_facts_fill(&f, stream, needs_of(direct), &stream->exchange->arena) < 0) {
		*ret_step = step_reply(stream, 500, SPAN("no memory"), END_INTERNAL);
		return true;
	}
	direct = choose(direct, &f.facts, &gave_up);
	if (gave_up)
		*ret_step = step_reply(stream, 400, SPAN("too long to be matched"), END_MATCH_GAVE_UP);
	else if (!direct)
		return false;
	/* A client that would take it for a successful tunnel gets an error instead. */
	else if (stream->exchange->upgrade.must_switch && direct->status < 300)
		*ret_step = step_reply(stream, 501, SPAN("no WebSocket here"), END_UPGRADE_MISMATCH);
	else if (connect_tunnel_is_asked(stream) && direct->status < 300)
		*ret_step = connect_tunnel_refuse(stream);
	else
		*ret_step = answer(stream, direct, &f.facts);
	return true;
}
