/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/expression/expression_primary.h"

#include <errno.h>
#include <stdio.h>

#include "policy/expression/expression_call.h"
#include "user/base/check.h"

#define TEXT EXPRESSION_SET(TEXT)
#define INT EXPRESSION_SET(INT)
#define LIST EXPRESSION_SET(LIST)
#define MAP EXPRESSION_SET(MAP)
#define HEADERS EXPRESSION_SET(HEADERS)

/* ---- variables */

/* The name of a variable, of several tokens. */
struct path {
	char bytes[64];
	size_t len;
};

static struct span path_span(const struct path *path)
{
	return span_of(path->bytes, path->len);
}

/* False: longer than any name. */
static bool path_add(struct path *path, struct span name)
{
	size_t dot = path->len != 0;

	if (sizeof(path->bytes) - path->len < name.len + dot)
		return false;
	if (dot)
		path->bytes[path->len++] = '.';
	memcpy(path->bytes + path->len, name.data, name.len);
	path->len += name.len;
	return true;
}

static const struct expression_node *refuse_variable(struct reader *r, size_t at, struct span name)
{
	char memory[EXPRESSION_ERROR_BYTES];
	struct text sentence;

	text_borrow(&sentence, memory, sizeof(memory));
	expression_refuse_variable(name, r->point, &sentence);
	return reader_fail_text(r, at, &sentence);
}

static uint32_t needs_of(const struct expression_variable *variable)
{
	ptrdiff_t id = variable - expression_variables;

	if (id == EXPRESSION_VARIABLE_REQUEST_BODY || id == EXPRESSION_VARIABLE_RESPONSE_BODY)
		return EXPRESSION_NEEDS_BODY;
	if (id < EXPRESSION_VARIABLE_SOURCE_ADDRESS || id > EXPRESSION_VARIABLE_DESTINATION_PORT)
		return 0;
	if (id <= EXPRESSION_VARIABLE_SOURCE_RAW_PORT)
		return EXPRESSION_NEEDS_ADDRESS;
	return id <= EXPRESSION_VARIABLE_SOURCE_ACCOUNT ? EXPRESSION_NEEDS_CERTIFICATE
							: EXPRESSION_NEEDS_DESTINATION;
}

static bool is_under(struct span object, const struct expression_variable *variable)
{
	return span_starts(span_str(variable->name), object) && variable->name[object.len] == '.';
}

/* Its first variable at this point; NULL: none. */
static const struct expression_variable *first_of(const struct reader *r, struct span object)
{
	for (size_t i = 0; i < EXPRESSION_VARIABLES; i++) {
		const struct expression_variable *variable = &expression_variables[i];

		if (is_under(object, variable) && expression_exists_at(variable, r->point))
			return variable;
	}
	return NULL;
}

/* A name with variables under it, alone: only has() takes one. */
static const struct expression_node *read_object(struct reader *r, size_t at, struct span name)
{
	const struct expression_variable *first = first_of(r, name);
	struct expression_node *node;

	if (!first)
		return refuse_variable(r, at, name);
	if (!r->may_be_object || !reader_at_sign(r, ")"))
		return reader_fail(r, r->token.at, "expected a member, as in %s", first->name);
	for (size_t i = 0; i < EXPRESSION_VARIABLES; i++) {
		if (is_under(name, &expression_variables[i]))
			r->needs |= needs_of(&expression_variables[i]);
	}
	node = reader_node(r, EXPRESSION_HAS_OBJECT, EXPRESSION_BOOL, NULL, NULL);
	if (node)
		/* The table has the bytes for as long as the program runs. */
		node->value.text = span_first(span_str(first->name), name.len);
	return node;
}

static const struct expression_node *variable_node(struct reader *r,
						   const struct expression_variable *variable)
{
	struct expression_node *node = reader_node(r, EXPRESSION_VARIABLE, variable->type, NULL, NULL);

	r->needs |= needs_of(variable);
	if (node) {
		node->id = (uint32_t)(variable - expression_variables);
		if (variable->item != EXPRESSION_NONE)
			node->item = variable->item;
	}
	return node;
}

static const struct expression_node *read_variable(struct reader *r, struct token name)
{
	struct path path = { .len = 0 };
	bool fits = path_add(&path, name.text);

	while (r->result == 0) {
		const struct expression_variable *variable = expression_find_variable(path_span(&path));

		if (variable && expression_exists_at(variable, r->point))
			return variable_node(r, variable);
		if (variable || !fits || !expression_is_object(path_span(&path)))
			return refuse_variable(r, name.at, fits ? path_span(&path) : name.text);
		if (!reader_accept(r, "."))
			return read_object(r, name.at, path_span(&path));
		if (r->token.kind != TOKEN_NAME)
			return reader_fail(r, r->token.at, "expected a name after the dot");
		fits = path_add(&path, r->token.text);
		reader_advance(r);
	}
	return NULL;
}

/* ---- names */

static const struct expression_node *read_local(struct reader *r, struct span name)
{
	for (uint32_t i = r->local_count; i-- > 0;) {
		struct expression_node *node;

		if (!span_eq(r->locals[i].name, name))
			continue;
		node = reader_node(r, EXPRESSION_LOCAL, r->locals[i].type, NULL, NULL);
		if (node)
			node->id = i;
		return node;
	}
	return NULL;
}

static const struct expression_node *read_named(struct reader *r)
{
	struct token name = r->token;
	const struct expression_node *local;

	reader_advance(r);
	if (span_eq(name.text, SPAN("true")) || span_eq(name.text, SPAN("false")))
		return reader_constant(r, expression_bool(name.text.len == 4));
	if (span_eq(name.text, SPAN("null")))
		return reader_constant(r, (struct expression_value){ .type = EXPRESSION_NULL });
	if (reader_accept(r, "("))
		return expression_read_call(r, NULL, name);
	local = read_local(r, name.text);
	return local || r->result ? local : read_variable(r, name);
}

/* ---- primary expressions */

static const struct expression_node *read_text(struct reader *r)
{
	struct token token = r->token;
	struct span text = token.text;

	reader_advance(r);
	if (token.has_escapes) {
		char *bytes = arena_bytes(r->arena, text.len);
		ptrdiff_t len = bytes ? token_unescape(&token, bytes) : 0;

		if (!bytes)
			r->result = r->result ? r->result : -ENOMEM;
		if (len < 0)
			return reader_fail(r, token.at,
					   "%.*s has an unknown escape; write \\\\ for a backslash, or "
					   "r\"...\" for a text in which a backslash means itself",
					   WORD(token));
		text = span_of(bytes, (size_t)len);
	}
	return reader_constant(r, expression_span(text));
}

/* The items as a constant, if they all are. */
static const struct expression_node *list_constant(struct reader *r, const struct expression_node *first,
						   uint32_t count)
{
	struct expression_value list = { .type = EXPRESSION_LIST, .count = count };
	struct expression_node *node;
	struct expression_value *items;
	uint32_t i = 0;

	for (const struct expression_node *item = first; item && count; item = item->right) {
		if (item->left->op != EXPRESSION_CONSTANT)
			return first;
	}
	items = arena_take(r->arena, count * sizeof(*items));
	node = reader_node(r, EXPRESSION_CONSTANT, EXPRESSION_LIST, NULL, NULL);
	if (!items || !node) {
		r->result = r->result ? r->result : -ENOMEM;
		return NULL;
	}
	for (const struct expression_node *item = first; item && count; item = item->right)
		items[i++] = item->left->value;
	list.items = items;
	node->item = first->item;
	node->value = list;
	return node;
}

/* Adds an item to a chain of which only the first link may be empty. */
static struct expression_node *chain_add(struct reader *r, struct expression_node *last,
					 const struct expression_node *item)
{
	struct expression_node *next = last;

	if (last->left) {
		next = reader_node(r, EXPRESSION_ITEMS, EXPRESSION_LIST, NULL, NULL);
		last->right = next;
	}
	if (next)
		next->left = item;
	return next;
}

static const struct expression_node *read_list(struct reader *r)
{
	struct expression_node *first = reader_node(r, EXPRESSION_ITEMS, EXPRESSION_LIST, NULL, NULL);
	struct expression_node *last = first;
	uint32_t count = 0;

	if (reader_accept(r, "]"))
		return list_constant(r, first, 0);
	while (r->result == 0 && last) {
		size_t at = r->token.at;
		const struct expression_node *item = expression_read_choice(r);

		if (!item)
			return NULL;
		if (count && !reader_comparable(first->item, item->type))
			return reader_fail(r, at, "the items of a list are of one type, and this one is %s",
					   expression_type_name(item->type));
		first->item = count ? reader_common_type(first->item, item->type) : item->type;
		count++;
		last = chain_add(r, last, item);
		if (!reader_accept(r, ","))
			return reader_expect(r, "]") ? list_constant(r, first, count) : NULL;
	}
	return NULL;
}

/* A name in quotes and its value. */
static struct expression_node *read_named_value(struct reader *r)
{
	struct token token = r->token;
	const struct expression_node *name, *value;
	struct expression_node *member;
	size_t at;

	if (token.kind != TOKEN_TEXT) {
		reader_fail(r, token.at, "a map has names in quotes, as in {\"name\": value}");
		return NULL;
	}
	name = read_text(r);
	if (!name || !reader_expect(r, ":"))
		return NULL;
	at = r->token.at;
	value = expression_read_choice(r);
	if (value && value->type == EXPRESSION_HEADERS) {
		reader_fail(r, at, "a set of headers cannot be a member; name one of them");
		return NULL;
	}
	member = value ? reader_node(r, EXPRESSION_MEMBERS, EXPRESSION_MAP, value, NULL) : NULL;
	if (member)
		member->value = name->value;
	return member;
}

/* Puts a member where its name belongs. */
static bool chain_insert(struct reader *r, const struct expression_node **first,
			 struct expression_node *member, size_t at)
{
	const struct expression_node **link = first;

	while (*link && span_compare((*link)->value.text, member->value.text) < 0)
		/* The links are ours until the map is complete. */
		link = (const struct expression_node **)(uintptr_t) & (*link)->right;
	if (*link && span_eq((*link)->value.text, member->value.text)) {
		reader_fail(r, at, "a map has each name once, and this one is there twice");
		return false;
	}
	member->right = *link;
	*link = member;
	return true;
}

static const struct expression_node *read_map(struct reader *r)
{
	const struct expression_node *first = NULL;

	if (reader_accept(r, "}"))
		return reader_node(r, EXPRESSION_MEMBERS, EXPRESSION_MAP, NULL, NULL);
	while (r->result == 0) {
		size_t at = r->token.at;
		struct expression_node *member = read_named_value(r);

		if (!member || !chain_insert(r, &first, member, at))
			return NULL;
		if (!reader_accept(r, ","))
			return reader_expect(r, "}") ? first : NULL;
	}
	return NULL;
}

static const struct expression_node *read_sign(struct reader *r)
{
	struct token token = r->token;
	const struct expression_node *inner;

	if (reader_accept(r, "["))
		return read_list(r);
	if (reader_accept(r, "{"))
		return read_map(r);
	if (reader_accept(r, "(")) {
		inner = expression_read_choice(r);
		return inner && reader_expect(r, ")") ? inner : NULL;
	}
	return reader_fail(r, token.at, "expected a value before %.*s", WORD(token));
}

static const struct expression_node *read_primary(struct reader *r)
{
	struct token token = r->token;

	if (r->result)
		return NULL;
	switch (token.kind) {
	case TOKEN_NAME:
		return read_named(r);
	case TOKEN_INT:
		reader_advance(r);
		return reader_constant(r, expression_int(token.whole));
	case TOKEN_DOUBLE:
		reader_advance(r);
		return reader_constant(r, expression_double(token.decimal));
	case TOKEN_TEXT:
		return read_text(r);
	case TOKEN_SIGN:
		return read_sign(r);
	case TOKEN_END:
		return reader_fail(r, token.at, "expected a value, and the text ends");
	case TOKEN_BAD:
		break;
	}
	return NULL;
}

/* ---- members */

static const struct expression_node *select_node(struct reader *r, const struct expression_node *from,
						 const struct expression_node *name)
{
	enum expression_type type = from->type == EXPRESSION_HEADERS ? EXPRESSION_TEXT
				    : from->type == EXPRESSION_LIST  ? from->item
								     : EXPRESSION_DYNAMIC;

	return reader_node(r, EXPRESSION_SELECT, type, from, name);
}

static const struct expression_node *read_position(struct reader *r, const struct expression_node *from)
{
	struct token token = r->token;
	uint32_t set = from->type == EXPRESSION_LIST	  ? INT
		       : from->type == EXPRESSION_DYNAMIC ? INT | TEXT
							  : TEXT;
	const struct expression_node *position;

	reader_advance(r);
	if (!reader_fits(from->type, LIST | MAP | HEADERS) || from->type == EXPRESSION_TEXT)
		return reader_fail(r, token.at, "[] works on headers, lists and claims, not on %s",
				   expression_type_name(from->type));
	position = expression_read_choice(r);
	if (position && from->type == EXPRESSION_DYNAMIC && !reader_fits(position->type, set))
		return reader_fail(r, token.at + 1, "[] needs a name or a position, not %s",
				   expression_type_name(position->type));
	position = reader_need(r, position, from->type == EXPRESSION_DYNAMIC ? ~0u : set, token.at + 1,
			       from->type == EXPRESSION_HEADERS ? "headers[]" : "[]");
	return position && reader_expect(r, "]") ? select_node(r, from, position) : NULL;
}

static const struct expression_node *read_dot(struct reader *r, const struct expression_node *from)
{
	struct token name;

	reader_advance(r);
	name = r->token;
	if (name.kind != TOKEN_NAME)
		return reader_fail(r, name.at,
				   from->type == EXPRESSION_HEADERS ? "expected the name of a header"
								    : "expected a name after the dot");
	reader_advance(r);
	if (reader_accept(r, "("))
		return expression_read_call(r, from, name);
	if (expression_find_function(name.text, true) && !(reader_fits(from->type, MAP | HEADERS)))
		return reader_fail(r, name.at, "%.*s is called, as in %s", WORD(name),
				   expression_find_function(name.text, true)->example);
	if (!reader_fits(from->type, MAP | HEADERS))
		return reader_fail(r, name.at, "%.*s is not known; %s has no members", WORD(name),
				   expression_type_name(from->type));
	return select_node(r, from, reader_constant(r, expression_span(name.text)));
}

const struct expression_node *expression_read_member(struct reader *r)
{
	const struct expression_node *node = read_primary(r);

	for (uint32_t links = 1; node && r->result == 0 && (reader_at_sign(r, ".") || reader_at_sign(r, "["));
	     links++) {
		if (!reader_may_link(r, links))
			return NULL;
		node = reader_at_sign(r, ".") ? read_dot(r, node) : read_position(r, node);
	}
	return r->result ? NULL : node;
}
