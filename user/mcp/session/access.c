/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/session/access.h"

#include "user/mcp/protocol/merge.h"
#include "user/mcp/session/session_internal.h"

/* ---- items ---- */

static bool may(const struct mcp_session *s, const struct mcp_access *access, enum mcp_item_kind kind,
		uint32_t target, struct span method, struct span inner)
{
	struct mcp_item item = { .kind = kind, .target = s->setup.names.targets[target], .method = method };
	bool is_allowed;
	struct text name;

	text_init(&name);
	mcp_json_unescape(&name, inner);
	item.name = text_span(&name);
	/* A target in C would read another name than the rules: the part before the NUL. */
	is_allowed = inner.len && !text_error(&name) && span_find(item.name, '\0') < 0 &&
		     s->setup.access->may(access, &item);
	text_done(&name);
	return is_allowed;
}

/* Not "forbidden": whether there is such a thing is not for the client to know. */
static enum mcp_fault denial_of(enum mcp_item_kind kind)
{
	static const enum mcp_fault faults[] = {
		[MCP_ITEM_TOOL] = MCP_UNKNOWN_TOOL,
		[MCP_ITEM_PROMPT] = MCP_UNKNOWN_PROMPT,
		[MCP_ITEM_RESOURCE] = MCP_UNKNOWN_RESOURCE,
		[MCP_ITEM_TASK] = MCP_UNKNOWN_TASK,
	};

	return faults[kind];
}

static enum mcp_fault check_item(const struct mcp_session *s, const struct mcp_message *m,
				 enum mcp_item_kind kind, uint32_t target, struct span inner)
{
	return may(s, s->access, kind, target, m->method_text, inner) ? MCP_NONE : denial_of(kind);
}

/* A target may look at either part of the reference, whichever the message was routed by. */
static enum mcp_fault check_reference(const struct mcp_session *s, const struct mcp_message *m,
				      uint32_t target, struct span own)
{
	enum mcp_fault fault = MCP_NONE;

	if (m->uri.len)
		fault = check_item(s, m, MCP_ITEM_RESOURCE, target, own);
	if (!fault && (m->name.len || !m->uri.len))
		fault = check_item(s, m, MCP_ITEM_PROMPT, target,
				   m->uri.len ? mcp_json_string(m->name) : own);
	return fault;
}

enum mcp_fault mcp_access_check(const struct mcp_session *s, const struct mcp_message *m, uint32_t target,
				struct span own)
{
	if (!s->access)
		return MCP_NONE;
	switch (m->method) {
	case MCP_METHOD_TOOLS_CALL:
		return check_item(s, m, MCP_ITEM_TOOL, target, own);
	case MCP_METHOD_PROMPTS_GET:
		return check_item(s, m, MCP_ITEM_PROMPT, target, own);
	case MCP_METHOD_RESOURCES_READ:
	case MCP_METHOD_SUBSCRIBE:
	case MCP_METHOD_UNSUBSCRIBE:
		return check_item(s, m, MCP_ITEM_RESOURCE, target, own);
	case MCP_METHOD_COMPLETE:
		return check_reference(s, m, target, own);
	case MCP_METHOD_TASKS_GET:
	case MCP_METHOD_TASKS_RESULT:
	case MCP_METHOD_TASKS_CANCEL:
	case MCP_METHOD_TASKS_UPDATE:
		return check_item(s, m, MCP_ITEM_TASK, target, own);
	default:
		return MCP_NONE;
	}
}

bool mcp_access_shows(const struct mcp_session *s, const struct mcp_access *access, enum mcp_method list,
		      uint32_t target, struct span name)
{
	enum mcp_item_kind kind = MCP_ITEM_RESOURCE;

	if (!access)
		return true;
	if (list == MCP_METHOD_TOOLS_LIST)
		kind = MCP_ITEM_TOOL;
	else if (list == MCP_METHOD_PROMPTS_LIST)
		kind = MCP_ITEM_PROMPT;
	else if (list == MCP_METHOD_TASKS_LIST)
		kind = MCP_ITEM_TASK;
	return may(s, access, kind, target, mcp_method_text(list), name);
}

/* ---- the form of a message ---- */

/* One URI or task of a subscription, as the target will see it. */
static enum mcp_fault check_one(const struct mcp_session *s, const struct mcp_message *m,
				enum mcp_item_kind kind, struct span value)
{
	struct span own = mcp_json_string(value);
	uint32_t target = 0;

	if (mcp_json_type(value) != MCP_JSON_STRING)
		return MCP_DENIED_FORM;
	/* One of no target is not sent to any (mcp_merge_listen()). */
	if (s->setup.names.count > 1 && mcp_names_find(&s->setup.names, own, '+', &target, &own) != 0)
		return MCP_NONE;
	return check_item(s, m, kind, target, own);
}

/* A member of the filter: a list of things to hear about, or a flag, which names nothing. */
static enum mcp_fault check_filter(const struct mcp_session *s, const struct mcp_message *m, struct span key,
				   struct span list)
{
	bool is_task = mcp_json_means(key, MCP_MERGE_TASKS);
	enum mcp_json_type type = mcp_json_type(list);
	enum mcp_fault fault = MCP_NONE;
	struct mcp_json_walk walk;
	struct span none, value;

	if (!is_task && !mcp_json_means(key, MCP_MERGE_URIS))
		return type == MCP_JSON_TRUE || type == MCP_JSON_FALSE ? MCP_NONE : MCP_DENIED_FORM;
	if (type != MCP_JSON_ARRAY)
		return MCP_DENIED_FORM;
	walk = mcp_json_walk_of(list);
	while (!fault && mcp_json_next(&walk, &none, &value))
		fault = check_one(s, m, is_task ? MCP_ITEM_TASK : MCP_ITEM_RESOURCE, value);
	return fault;
}

/* subscriptions/listen: all that params.notifications names. */
static enum mcp_fault check_listen(const struct mcp_session *s, const struct mcp_message *m)
{
	static const struct span filter_name = SPAN("notifications");
	static const struct span lists[] = { MCP_MERGE_URIS, MCP_MERGE_TASKS };
	struct span filter, key, value, found[ARRAY_LEN(lists)];
	enum mcp_fault fault = MCP_NONE;
	struct mcp_json_walk walk;
	bool has_alias = false;

	if (!mcp_json_members_strict(m->params, &filter_name, 1, &filter, &has_alias) ||
	    !mcp_json_members_strict(filter, lists, ARRAY_LEN(lists), found, &has_alias) || has_alias ||
	    (filter.len && mcp_json_type(filter) != MCP_JSON_OBJECT))
		return MCP_DENIED_FORM;
	walk = mcp_json_walk_of(filter);
	while (!fault && filter.len && mcp_json_next(&walk, &key, &value))
		fault = check_filter(s, m, key, value);
	return fault;
}

enum mcp_fault mcp_access_check_form(const struct mcp_session *s, const struct mcp_message *m)
{
	bool is_notification = span_starts(m->method_text, SPAN("notifications/"));

	if (!s->access)
		return MCP_NONE;
	if (m->has_alias)
		return MCP_DENIED_FORM;
	if (m->kind == MCP_NOTIFICATION)
		return is_notification ? MCP_NONE : MCP_DENIED_METHOD;
	if (m->kind != MCP_REQUEST)
		return MCP_NONE;
	/* What it names is not known, and a target may know more methods than the gateway. */
	if (m->method == MCP_METHOD_OTHER || is_notification)
		return MCP_DENIED_METHOD;
	return m->method == MCP_METHOD_LISTEN ? check_listen(s, m) : MCP_NONE;
}
