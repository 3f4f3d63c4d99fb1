/* SPDX-License-Identifier: Apache-2.0 */
#include "user/cluster/status_patch.h"

#include "config/gatewayapi/condition.h"
#include "user/mcp/json/json_text.h"

#define CONTROLLER "headgate.dev/gateway"

/* ------------------------------------------------------------------------------------ comparing */

static unsigned count_of(struct span value)
{
	struct mcp_json_walk walk = mcp_json_walk_of(value);
	struct span key, element;
	unsigned count = 0;

	while (mcp_json_next(&walk, &key, &element))
		count++;
	return count;
}

static bool is_same_object(struct span a, struct span b)
{
	struct mcp_json_walk walk = mcp_json_walk_of(a);
	struct span key, value;

	if (count_of(a) != count_of(b))
		return false;
	while (mcp_json_next(&walk, &key, &value)) {
		struct span other = mcp_json_member(b, key);

		if (!other.len || !json_is_same(value, other))
			return false;
	}
	return true;
}

static bool is_same_array(struct span a, struct span b)
{
	struct mcp_json_walk walk_a = mcp_json_walk_of(a), walk_b = mcp_json_walk_of(b);
	struct span key, value, other;
	bool has_other = true;

	while (mcp_json_next(&walk_a, &key, &value)) {
		has_other = mcp_json_next(&walk_b, &key, &other);
		if (!has_other || !json_is_same(value, other))
			return false;
	}
	return !mcp_json_next(&walk_b, &key, &other);
}

/* The same characters may be escaped in another way. */
static bool is_same_string(struct span a, struct span b)
{
	struct text plain_a, plain_b;
	bool is_same;

	if (span_eq(a, b))
		return true;
	text_init(&plain_a);
	text_init(&plain_b);
	mcp_json_unescape(&plain_a, mcp_json_string(a));
	mcp_json_unescape(&plain_b, mcp_json_string(b));
	is_same = !plain_a.failed && !plain_b.failed && span_eq(text_span(&plain_a), text_span(&plain_b));
	text_done(&plain_a);
	text_done(&plain_b);
	return is_same;
}

bool json_is_same(struct span a, struct span b)
{
	enum mcp_json_type type = mcp_json_type(a);

	if (type != mcp_json_type(b))
		return false;
	switch (type) {
	case MCP_JSON_OBJECT:
		return is_same_object(a, b);
	case MCP_JSON_ARRAY:
		return is_same_array(a, b);
	case MCP_JSON_STRING:
		return is_same_string(a, b);
	default:
		return span_eq(mcp_json_trim(a), mcp_json_trim(b));
	}
}

static bool has_members(struct span whole, struct span part)
{
	struct mcp_json_walk walk = mcp_json_walk_of(part);
	struct span key, value;

	while (mcp_json_next(&walk, &key, &value))
		if (!json_has(mcp_json_member(whole, key), value))
			return false;
	return true;
}

static bool has_elements(struct span whole, struct span part)
{
	struct mcp_json_walk walk = mcp_json_walk_of(part), other = mcp_json_walk_of(whole);
	struct span key, value, found;

	while (mcp_json_next(&walk, &key, &value))
		if (!mcp_json_next(&other, &key, &found) || !json_has(found, value))
			return false;
	return !mcp_json_next(&other, &key, &found);
}

bool json_has(struct span whole, struct span part)
{
	enum mcp_json_type type = mcp_json_type(part);

	if (type != mcp_json_type(whole))
		return false;
	if (type == MCP_JSON_OBJECT)
		return has_members(whole, part);
	return type == MCP_JSON_ARRAY ? has_elements(whole, part) : json_is_same(whole, part);
}

/* ------------------------------------------------------------------------------------ writing */

struct merge {
	struct text *out;
	struct span now;
};

static void separate(struct text *out)
{
	if (out->len && !strchr("[{:", out->data[out->len - 1]))
		text_char(out, ',');
}

static void add_key(struct text *out, struct span key)
{
	separate(out);
	text_char(out, '"');
	text_add(out, key);
	text_str(out, "\":");
}

static void add_element(struct text *out, struct span value)
{
	separate(out);
	text_add(out, value);
}

/* The element of a list whose member `name` is this string; an empty span: none. */
static struct span element_named(struct span list, struct span name, struct span value)
{
	struct mcp_json_walk walk = mcp_json_walk_of(list);
	struct span key, element;

	while (mcp_json_next(&walk, &key, &element))
		if (span_eq(mcp_json_string(mcp_json_member(element, name)), value))
			return element;
	return (struct span){ 0 };
}

static void add_condition(struct merge *merge, struct span condition, struct span stored)
{
	struct span type = mcp_json_string(mcp_json_member(condition, SPAN("type")));
	struct span old = element_named(stored, SPAN("type"), type);
	struct span since = mcp_json_string(mcp_json_member(old, SPAN("lastTransitionTime")));
	struct mcp_json_walk walk = mcp_json_walk_of(condition);
	struct span key, value;

	if (!since.len ||
	    !json_is_same(mcp_json_member(condition, SPAN("status")), mcp_json_member(old, SPAN("status"))))
		since = merge->now;
	separate(merge->out);
	text_char(merge->out, '{');
	while (mcp_json_next(&walk, &key, &value)) {
		add_key(merge->out, key);
		text_add(merge->out, value);
	}
	add_key(merge->out, SPAN("lastTransitionTime"));
	text_fmt(merge->out, "\"%.*s\"}", SPAN_FMT(since));
}

static bool is_our_type(struct span type)
{
	for (unsigned i = 0; i < CONDITION_TYPE_COUNT; i++)
		if (span_eq(type, span_str(condition_name((enum condition_type)i))))
			return true;
	return false;
}

static void add_conditions(struct merge *merge, struct span wanted, struct span stored)
{
	struct mcp_json_walk walk = mcp_json_walk_of(wanted);
	struct span key, value;

	text_char(merge->out, '[');
	while (mcp_json_next(&walk, &key, &value))
		add_condition(merge, value, stored);
	walk = mcp_json_walk_of(stored);
	while (mcp_json_next(&walk, &key, &value))
		if (!is_our_type(mcp_json_string(mcp_json_member(value, SPAN("type")))))
			add_element(merge->out, value);
	text_char(merge->out, ']');
}

/* A listener, a parent or an ancestor: as wanted, with the times of the stored conditions. */
static void add_part(struct merge *merge, struct span wanted, struct span stored)
{
	struct mcp_json_walk walk = mcp_json_walk_of(wanted);
	struct span key, value;

	separate(merge->out);
	text_char(merge->out, '{');
	while (mcp_json_next(&walk, &key, &value)) {
		add_key(merge->out, key);
		if (span_eq(key, SPAN("conditions")))
			add_conditions(merge, value, mcp_json_member(stored, key));
		else
			text_add(merge->out, value);
	}
	text_char(merge->out, '}');
}

static bool is_ours(struct span entry)
{
	return span_eq(mcp_json_string(mcp_json_member(entry, SPAN("controllerName"))), SPAN(CONTROLLER));
}

/* Our entry of a list that refers to the same object; an empty span: none. */
static struct span entry_of(struct span list, struct span ref_name, struct span ref)
{
	struct mcp_json_walk walk = mcp_json_walk_of(list);
	struct span key, entry;

	while (mcp_json_next(&walk, &key, &entry))
		if (is_ours(entry) && json_is_same(mcp_json_member(entry, ref_name), ref))
			return entry;
	return (struct span){ 0 };
}

static void add_entries(struct merge *merge, struct span wanted, struct span stored, struct span ref_name)
{
	struct mcp_json_walk walk = mcp_json_walk_of(wanted);
	struct span key, entry;

	text_char(merge->out, '[');
	while (mcp_json_next(&walk, &key, &entry))
		add_part(merge, entry, entry_of(stored, ref_name, mcp_json_member(entry, ref_name)));
	walk = mcp_json_walk_of(stored);
	while (mcp_json_next(&walk, &key, &entry))
		if (!is_ours(entry))
			add_element(merge->out, entry);
	text_char(merge->out, ']');
}

static void add_listeners(struct merge *merge, struct span wanted, struct span stored)
{
	struct mcp_json_walk walk = mcp_json_walk_of(wanted);
	struct span key, listener;

	text_char(merge->out, '[');
	while (mcp_json_next(&walk, &key, &listener))
		add_part(merge, listener,
			 element_named(stored, SPAN("name"),
				       mcp_json_string(mcp_json_member(listener, SPAN("name")))));
	text_char(merge->out, ']');
}

static void add_member(struct merge *merge, struct span key, struct span wanted, struct span stored)
{
	add_key(merge->out, key);
	if (span_eq(key, SPAN("conditions")))
		add_conditions(merge, wanted, stored);
	else if (span_eq(key, SPAN("listeners")))
		add_listeners(merge, wanted, stored);
	else if (span_eq(key, SPAN("parents")))
		add_entries(merge, wanted, stored, SPAN("parentRef"));
	else if (span_eq(key, SPAN("ancestors")))
		add_entries(merge, wanted, stored, SPAN("ancestorRef"));
	else
		text_add(merge->out, wanted);
}

bool status_patch(struct text *out, struct span wanted, struct span stored, struct span now)
{
	struct mcp_json_walk walk = mcp_json_walk_of(wanted);
	struct merge merge = { out, now };
	size_t start = out->len;
	struct span key, value;
	bool is_same = true;

	text_char(out, '{');
	while (mcp_json_next(&walk, &key, &value))
		add_member(&merge, key, value, mcp_json_member(stored, key));
	text_char(out, '}');
	if (out->failed)
		return true;
	walk = mcp_json_walk_of(span_from(text_span(out), start));
	while (is_same && mcp_json_next(&walk, &key, &value)) {
		struct span old = mcp_json_member(stored, key);

		/* An empty list is as good as none, and so is the number 0. */
		is_same = json_is_same(value, old) ||
			  (!old.len && (span_eq(value, SPAN("[]")) || span_eq(value, SPAN("0"))));
	}
	if (is_same) {
		out->len = start;
		out->data[start] = '\0';
	}
	return !is_same;
}
