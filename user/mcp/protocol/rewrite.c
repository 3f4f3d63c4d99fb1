/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/protocol/rewrite.h"

struct mcp_rewrite mcp_rewrite_of(struct text *to, struct span text)
{
	return (struct mcp_rewrite){ .to = to, .left = text };
}

void mcp_rewrite_prefix(struct mcp_rewrite *rw, struct span value, struct span prefix, char separator)
{
	size_t until = (size_t)(value.data + 1 - rw->left.data);

	text_add(rw->to, span_first(rw->left, until));
	text_add(rw->to, prefix);
	text_char(rw->to, separator);
	rw->left = span_from(rw->left, until);
}

void mcp_rewrite_end(struct mcp_rewrite *rw)
{
	text_add(rw->to, rw->left);
	rw->left.len = 0;
}

/* Walks over a result and rewrites the strings it finds, in the order of the text. */
struct visit {
	struct mcp_rewrite rw;
	struct span target;
	bool is_changed;
};

static void visit_string(struct visit *v, struct span value)
{
	if (mcp_json_type(value) != MCP_JSON_STRING || value.len < 3)
		return;
	mcp_rewrite_prefix(&v->rw, value, v->target, '+');
	v->is_changed = true;
}

/* Calls `visit` for the members of an object with this name. */
static void visit_members(struct visit *v, struct span object, struct span name,
			  void (*visit)(struct visit *v, struct span value))
{
	struct mcp_json_walk walk = mcp_json_walk_of(object);
	struct span key, value;

	while (walk.is_object && mcp_json_next(&walk, &key, &value)) {
		if (mcp_json_means(key, name))
			visit(v, value);
	}
}

static void visit_elements(struct visit *v, struct span array,
			   void (*visit)(struct visit *v, struct span value))
{
	struct mcp_json_walk walk = mcp_json_walk_of(array);
	struct span key, value;

	while (!walk.is_object && mcp_json_next(&walk, &key, &value))
		visit(v, value);
}

static void visit_uri(struct visit *v, struct span object)
{
	visit_members(v, object, SPAN("uri"), visit_string);
}

/*
 * A content block: a resource link has `uri`, an embedded resource has it in `resource`. Others have
 * neither.
 */
static void visit_block(struct visit *v, struct span block)
{
	struct span type = mcp_json_string(mcp_json_member(block, SPAN("type")));

	if (span_eq(type, SPAN("resource_link")))
		visit_uri(v, block);
	else if (span_eq(type, SPAN("resource")))
		visit_members(v, block, SPAN("resource"), visit_uri);
}

static void visit_blocks(struct visit *v, struct span content)
{
	if (mcp_json_type(content) == MCP_JSON_ARRAY)
		visit_elements(v, content, visit_block);
	else
		visit_block(v, content);
}

static void visit_message(struct visit *v, struct span message)
{
	visit_members(v, message, SPAN("content"), visit_blocks);
}

static void visit_messages(struct visit *v, struct span messages)
{
	visit_elements(v, messages, visit_message);
}

static void visit_contents(struct visit *v, struct span contents)
{
	visit_elements(v, contents, visit_uri);
}

static void visit_task(struct visit *v, struct span task)
{
	visit_members(v, task, SPAN("taskId"), visit_string);
}

/* The result of a tool call, immediate or by a task: content, or a task to poll. */
static void visit_outcome(struct visit *v, struct span result)
{
	struct mcp_json_walk walk = mcp_json_walk_of(result);
	struct span key, value;

	while (walk.is_object && mcp_json_next(&walk, &key, &value)) {
		if (span_eq(key, SPAN("content")))
			visit_blocks(v, value);
		else if (span_eq(key, SPAN("task")))
			visit_task(v, value);
		else if (span_eq(key, SPAN("taskId")))
			visit_string(v, value);
	}
}

bool mcp_rewrite_result(struct text *to, enum mcp_method method, struct span result, struct span target)
{
	size_t before = to->len;
	struct visit v = { .rw = mcp_rewrite_of(to, result), .target = target };

	switch (method) {
	case MCP_METHOD_RESOURCES_READ:
		visit_members(&v, result, SPAN("contents"), visit_contents);
		break;
	case MCP_METHOD_PROMPTS_GET:
		visit_members(&v, result, SPAN("messages"), visit_messages);
		break;
	case MCP_METHOD_TOOLS_CALL:
	case MCP_METHOD_TASKS_GET:
	case MCP_METHOD_TASKS_RESULT:
	case MCP_METHOD_TASKS_CANCEL:
		visit_outcome(&v, result);
		break;
	default:
		break;
	}
	if (v.is_changed)
		mcp_rewrite_end(&v.rw);
	else
		to->len = before;
	return v.is_changed;
}
