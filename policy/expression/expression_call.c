/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/expression/expression_call.h"

#include <errno.h>
#include <stdio.h>

#include "config/core/engine/duration.h"
#include "policy/expression/expression_ip.h"
#include "policy/expression/expression_primary.h"
#include "policy/match/match_regex.h"
#include "user/base/check.h"

/* A call that is being read. */
struct call {
	const struct expression_function *function;
	const struct expression_node *receiver; /* NULL: a function */
	struct token name;
	char shown[32]; /* "startsWith()" */
};

static struct expression_node *call_node(struct reader *r, const struct call *call, enum expression_op op,
					 const struct expression_node *left,
					 const struct expression_node *right)
{
	struct expression_node *node = reader_node(r, op, call->function->type, left, right);

	if (node) {
		node->id = (uint32_t)(call->function - expression_functions);
		if (call->function->item != EXPRESSION_NONE)
			node->item = call->function->item;
	}
	return node;
}

static const struct expression_node *refuse_count(struct reader *r, const struct call *call)
{
	return reader_fail(r, call->name.at, "%s has another number of values; write it as in %s",
			   call->shown, call->function->example);
}

static const struct expression_node *read_value(struct reader *r, const struct call *call, uint32_t set)
{
	size_t at = r->token.at;

	return reader_need(r, expression_read_choice(r), set, at, call->shown);
}

/* ---- functions of values */

/* size(x) is x.size(). */
static bool read_receiver(struct reader *r, struct call *call)
{
	if (!call->function->receiver || call->receiver)
		return true;
	call->receiver = read_value(r, call, call->function->receiver);
	return call->receiver != NULL;
}

static const struct expression_node *read_plain(struct reader *r, struct call *call)
{
	const struct expression_node *values[3] = { NULL };
	uint32_t most = expression_function_most(call->function), count = 0, first;
	struct expression_node *node;

	if (!read_receiver(r, call))
		return NULL;
	values[0] = call->receiver;
	first = call->receiver ? 1 : 0;
	while (r->result == 0 && !reader_at_sign(r, ")") && r->token.kind != TOKEN_END) {
		if (count == most || (count && !reader_accept(r, ",")))
			return r->result ? NULL : refuse_count(r, call);
		values[first + count] = read_value(r, call, call->function->arguments[count]);
		if (!values[first + count])
			return NULL;
		count++;
	}
	if (count < call->function->least)
		return refuse_count(r, call);
	node = call_node(r, call, EXPRESSION_CALL, values[0], values[1]);
	if (node)
		node->other = values[2];
	return node;
}

/* ---- arguments that are written out */

static const struct expression_node *convert_duration(struct reader *r, struct token text, struct span value)
{
	uint64_t ns = 0;
	enum duration_result result = duration_parse(value, &ns);

	if (result != DURATION_OK)
		return reader_fail(r, text.at, "this duration %s", duration_advice(result));
	return reader_constant(r,
			       (struct expression_value){ .type = EXPRESSION_DURATION, .duration_ns = ns });
}

static const struct expression_node *convert_network(struct reader *r, struct token text, struct span value)
{
	struct expression_value network = expression_network_parse(value);

	if (network.type == EXPRESSION_NONE)
		return reader_fail(r, text.at,
				   "%.*s is no network; write cidr(\"10.0.0.0/8\") or "
				   "cidr(\"2001:db8::/32\")",
				   WORD(text));
	return reader_constant(r, network);
}

static const struct expression_node *convert_pattern(struct reader *r, const struct call *call,
						     struct token text, struct span value)
{
	char memory[EXPRESSION_ERROR_BYTES];
	struct match_regex *regex;
	struct expression_node *node;
	struct text reason;
	int result;

	text_borrow(&reason, memory, sizeof(memory));
	result = match_regex_create(value, LIMIT_REGEX_LEAST_BYTES, &regex, &reason);
	if (result == -EINVAL)
		return reader_fail(r, text.at, "this regular expression does not compile: %.*s",
				   SPAN_FMT(text_span(&reason)));
	if (result == 0) {
		result = arena_own(r->arena, match_regex_free, regex);
		if (result < 0)
			match_regex_free(regex);
	}
	if (result < 0) {
		r->result = r->result ? r->result : result;
		return NULL;
	}
	node = call_node(r, call, EXPRESSION_MATCHES, call->receiver, NULL);
	if (node)
		node->regex = regex;
	return node;
}

static const struct expression_node *read_written(struct reader *r, const struct call *call)
{
	struct token text = r->token;
	const struct expression_node *value;

	if (text.kind == TOKEN_END || reader_at_sign(r, ")"))
		return refuse_count(r, call);
	value = expression_read_choice(r);
	if (!value)
		return NULL;
	if (value->op != EXPRESSION_CONSTANT || value->type != EXPRESSION_TEXT)
		return reader_fail(r, text.at, "%s needs a text in quotes, as in %s", call->shown,
				   call->function->example);
	if (!reader_at_sign(r, ")") && r->token.kind != TOKEN_END)
		return refuse_count(r, call);
	switch (call->function - expression_functions) {
	case EXPRESSION_FUNCTION_DURATION:
		return convert_duration(r, text, value->value.text);
	case EXPRESSION_FUNCTION_CIDR:
		return convert_network(r, text, value->value.text);
	default:
		return convert_pattern(r, call, text, value->value.text);
	}
}

/* ---- special forms */

static const struct expression_node *read_has(struct reader *r, const struct call *call)
{
	size_t at = r->token.at;
	bool before = r->may_be_object;
	const struct expression_node *name;

	r->may_be_object = true;
	name = expression_read_choice(r);
	r->may_be_object = before;
	if (!name || name->op == EXPRESSION_HAS_OBJECT)
		return name;
	if (name->op != EXPRESSION_SELECT && name->op != EXPRESSION_VARIABLE)
		return reader_fail(r, at, "has() needs the name of a value, as in has(jwt.sub)");
	return call_node(r, call, EXPRESSION_HAS, name, NULL);
}

static const struct expression_node *typed(struct reader *r, size_t at, const struct call *call,
					   struct expression_node *node, enum expression_type type)
{
	if (type == EXPRESSION_NONE || type == EXPRESSION_HEADERS)
		return reader_fail(r, at, "the values of %s are of one type", call->shown);
	if (node)
		node->type = type;
	return node;
}

static const struct expression_node *read_default(struct reader *r, const struct call *call)
{
	size_t at = r->token.at;
	const struct expression_node *a = expression_read_choice(r), *b;

	if (!a)
		return NULL;
	if (!reader_at_sign(r, ","))
		return refuse_count(r, call);
	reader_advance(r);
	b = expression_read_choice(r);
	if (!b)
		return NULL;
	return typed(r, at, call, call_node(r, call, EXPRESSION_OR_ELSE, a, b),
		     reader_common_type(a->type, b->type));
}

static const struct expression_node *read_coalesce(struct reader *r, const struct call *call)
{
	struct expression_node *first = NULL, *last = NULL;
	enum expression_type type = EXPRESSION_NONE;
	size_t at = r->token.at;

	for (uint32_t count = 0; r->result == 0; count++) {
		const struct expression_node *value = expression_read_choice(r);
		struct expression_node *link = reader_node(r, EXPRESSION_ITEMS, EXPRESSION_LIST, value, NULL);

		if (!value || !link)
			return NULL;
		if (count == LIMIT_EXPRESSION_ARGUMENTS)
			return reader_fail(r, at, "coalesce() has at most %d values",
					   (int)LIMIT_EXPRESSION_ARGUMENTS);
		if (last)
			last->right = link;
		else
			first = link;
		last = link;
		type = count ? reader_common_type(type, value->type) : value->type;
		if (type == EXPRESSION_NONE || !reader_accept(r, ","))
			break;
	}
	return typed(r, at, call, call_node(r, call, EXPRESSION_FIRST, first, NULL), type);
}

/* Other texts would need memory for a tree. */
static const struct expression_node *read_json(struct reader *r, const struct call *call)
{
	size_t at = r->token.at;
	const struct expression_node *body = expression_read_choice(r);
	struct expression_node *node;

	if (!body)
		return NULL;
	if (body->op != EXPRESSION_VARIABLE ||
	    (body->id != EXPRESSION_VARIABLE_REQUEST_BODY && body->id != EXPRESSION_VARIABLE_RESPONSE_BODY))
		return reader_fail(r, at, "json() reads only request.body and response.body, as in %s",
				   call->function->example);
	node = call_node(r, call, EXPRESSION_BODY_JSON, NULL, NULL);
	if (node)
		node->id = body->id;
	r->needs |= EXPRESSION_NEEDS_JSON;
	return node;
}

static const struct expression_node *read_random(struct reader *r, const struct call *call)
{
	struct expression_node *node = call_node(r, call, EXPRESSION_RANDOM, NULL, NULL);

	if (node)
		node->serial = r->serial++;
	return node;
}

/* exists(x, condition) from behind the parenthesis: the name of the item. */
static bool read_local_name(struct reader *r, const struct call *call)
{
	struct reader_local *local = &r->locals[r->local_count];

	if (r->local_count == LIMIT_EXPRESSION_LOCALS) {
		reader_fail(
			r, call->name.at,
			"at most %d of exists(), all(), map(), filter() and filterKeys() within each other",
			(int)LIMIT_EXPRESSION_LOCALS);
		return false;
	}
	if (r->token.kind != TOKEN_NAME) {
		reader_fail(r, r->token.at, "%s needs a name for the items, as in %s", call->shown,
			    call->function->example);
		return false;
	}
	local->name = r->token.text;
	local->type = call->receiver->type == EXPRESSION_LIST ? call->receiver->item
		      : call->receiver->type == EXPRESSION_MAP || call->receiver->type == EXPRESSION_HEADERS
			      ? EXPRESSION_TEXT
			      : EXPRESSION_DYNAMIC;
	reader_advance(r);
	return reader_expect(r, ",");
}

static const struct expression_node *read_each(struct reader *r, const struct call *call)
{
	bool is_map = call->function == &expression_functions[EXPRESSION_FUNCTION_MAP];
	const struct expression_node *body;
	struct expression_node *node;
	size_t at;

	if (!read_local_name(r, call))
		return NULL;
	at = r->token.at;
	r->local_count++;
	body = expression_read_choice(r);
	r->local_count--;
	if (!is_map)
		body = reader_need(r, body, EXPRESSION_SET(BOOL), at, call->shown);
	if (!body)
		return NULL;
	node = call_node(r, call, EXPRESSION_EACH, call->receiver, body);
	if (!node)
		return NULL;
	node->serial = r->local_count;
	if (is_map)
		node->item = body->type;
	else if (node->type == EXPRESSION_LIST)
		node->item = call->receiver->type == EXPRESSION_MAP ? EXPRESSION_TEXT : call->receiver->item;
	return node;
}

static const struct expression_node *read_special(struct reader *r, const struct call *call)
{
	switch (call->function - expression_functions) {
	case EXPRESSION_FUNCTION_HAS:
		return read_has(r, call);
	case EXPRESSION_FUNCTION_DEFAULT:
		return read_default(r, call);
	case EXPRESSION_FUNCTION_COALESCE:
		return read_coalesce(r, call);
	case EXPRESSION_FUNCTION_JSON:
		return read_json(r, call);
	case EXPRESSION_FUNCTION_RANDOM:
		return read_random(r, call);
	default:
		return read_each(r, call);
	}
}

/* ---- all calls */

static const struct expression_node *refuse_call(struct reader *r, const struct expression_node *receiver,
						 struct token name)
{
	char memory[EXPRESSION_ERROR_BYTES];
	struct text sentence;

	text_borrow(&sentence, memory, sizeof(memory));
	if (receiver)
		expression_refuse_method(name.text, receiver->type, &sentence);
	else
		expression_refuse_function(name.text, &sentence);
	return reader_fail_text(r, name.at, &sentence);
}

const struct expression_node *expression_read_call(struct reader *r, const struct expression_node *receiver,
						   struct token name)
{
	struct call call = { .receiver = receiver, .name = name };
	const struct expression_node *node;

	call.function = expression_find_function(name.text, receiver != NULL);
	if (!receiver && span_eq(name.text, SPAN("size")))
		call.function = &expression_functions[EXPRESSION_FUNCTION_SIZE];
	if (!call.function || (receiver && !reader_fits(receiver->type, call.function->receiver)))
		return refuse_call(r, receiver, name);
	snprintf(call.shown, sizeof(call.shown), "%s()", call.function->name);
	if (call.function->form == EXPRESSION_CALL_FORM)
		node = read_plain(r, &call);
	else if (call.function->form == EXPRESSION_WRITTEN_FORM)
		node = read_written(r, &call);
	else
		node = read_special(r, &call);
	return node && reader_expect(r, ")") ? node : NULL;
}
