/* SPDX-License-Identifier: Apache-2.0 */
/* Names without prefix: the lists of the targets, which say whose a name is. */
#include "user/base/limits.h"
#include "user/mcp/session/session_internal.h"

static void learn(struct mcp_session *s, struct mcp_sub_request *sub_request, struct span list)
{
	struct mcp_request *r = sub_request->request;
	bool is_prompt = r->method != MCP_METHOD_TOOLS_CALL;
	struct mcp_json_walk walk = mcp_json_walk_of(list);
	uint32_t left = LIMIT_MCP_OWNERS;
	struct span key, value;

	while (left-- && !walk.is_object && mcp_json_next(&walk, &key, &value)) {
		struct span name = mcp_json_string(mcp_json_member(value, SPAN("name")));

		if (name.len == 0)
			continue;
		(void)mcp_owners_learn(&s->owners, is_prompt, name, sub_request->target);
		sub_request->has_name |= span_eq(name, r->name);
	}
}

bool mcp_session_take_page(struct mcp_session *s, struct mcp_sub_request *sub_request,
			   const struct mcp_message *m)
{
	struct mcp_request *r = sub_request->request;
	enum mcp_method list =
		r->method == MCP_METHOD_TOOLS_CALL ? MCP_METHOD_TOOLS_LIST : MCP_METHOD_PROMPTS_LIST;
	struct span next = mcp_json_member(m->result, SPAN("nextCursor"));
	int error;

	learn(s, sub_request, mcp_json_member(m->result, mcp_merge_list_key(list)));
	if (sub_request->has_name || mcp_json_type(next) != MCP_JSON_STRING ||
	    ++sub_request->pages == LIMIT_MCP_LIST_PAGES)
		return false;
	if (mcp_ids_put(&s->sub_requests, MCP_IDS_MAX, sub_request, &sub_request->id) != 0)
		return false;
	s->speaker = r->sink;
	error = mcp_session_ask_list(s, sub_request, mcp_json_string(next));
	s->speaker = NULL;
	if (error) {
		mcp_ids_drop(&s->sub_requests, sub_request->id);
		sub_request->id = 0;
		return false;
	}
	r->waiting++;
	return true;
}

static void refuse_owner(struct mcp_session *s, struct mcp_request *r, enum mcp_fault fault, uint64_t now_ms)
{
	struct text name;

	text_init(&name);
	if (mcp_fault_is_denial(fault))
		mcp_json_unescape(&name, r->name);
	mcp_request_fail(s, r, fault, text_error(&name) ? (struct span){ 0 } : text_span(&name), now_ms);
	text_done(&name);
}

void mcp_session_finish_owner(struct mcp_session *s, struct mcp_request *r, uint64_t now_ms)
{
	const struct mcp_sub_request *owner = NULL;
	enum mcp_fault fault = MCP_UNKNOWN_NAME;
	struct mcp_post post;

	for (uint32_t i = 0; i < r->sub_request_count && !owner; i++)
		owner = r->sub_requests[i].has_name ? &r->sub_requests[i] : NULL;
	if (owner && r->sink) {
		r->sink->open++;
		fault = mcp_post_read(s->setup.checker, r->held, &post);
		s->speaker = r->sink;
		s->access = r->access;
		if (!fault)
			fault = mcp_session_route_to(s, r->sink, &post.first, owner->target, now_ms);
		s->speaker = NULL;
		s->access = NULL;
		if (fault)
			r->sink->open--;
	}
	/* With rules, a name that does not exist is refused like one that the client may not use. */
	if (fault == MCP_UNKNOWN_NAME && r->access)
		fault = r->method == MCP_METHOD_TOOLS_CALL ? MCP_UNKNOWN_TOOL : MCP_UNKNOWN_PROMPT;
	if (fault)
		refuse_owner(s, r, fault, now_ms);
	else
		mcp_request_end(s, r);
}
