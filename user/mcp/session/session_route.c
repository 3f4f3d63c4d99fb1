/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/base/text.h"
#include "user/mcp/session/access.h"
#include "user/mcp/session/session_internal.h"

/* The targets of a request, and how its text changes. */
struct routing {
	enum mcp_gather gather;
	uint8_t needs; /* of enum mcp_capability; required from each target of a request to several */
	bool is_one; /* to a single target */
	bool is_plain; /* the client used a URI without prefix */
	uint32_t target;
	struct span cut; /* the prefix in the message, removed for the target */
	struct span own; /* the target's own name of the object: inner text */
	bool has_cursor;
	struct span cursors[LIMIT_MCP_TARGETS]; /* with has_cursor: a target without one is left out */
	struct text room; /* owns the bytes of the cursors */
};

/* ---- choosing targets ---- */

static enum mcp_fault routing_one(struct routing *routing, uint32_t target, struct span own)
{
	routing->gather = MCP_PASS;
	routing->is_one = true;
	routing->target = target;
	routing->own = own;
	return MCP_NONE;
}

static enum mcp_fault routing_prefixed(const struct mcp_session *s, struct routing *routing,
				       struct span value, char separator)
{
	struct span inner = mcp_json_string(value);
	struct span own;
	uint32_t target;

	if (value.len == 0)
		return MCP_BAD_PARAMS;
	if (mcp_names_find(&s->setup.names, inner, separator, &target, &own) != 0)
		return MCP_UNKNOWN_NAME;
	routing->cut = span_of(inner.data, (size_t)(own.data - inner.data));
	return routing_one(routing, target, own);
}

/* Without prefixes, finds the target in the known lists, or by requesting the lists. */
static enum mcp_fault routing_owner(struct mcp_session *s, struct routing *routing,
				    const struct mcp_message *m)
{
	struct span inner = mcp_json_string(m->name);
	bool is_prompt = m->method != MCP_METHOD_TOOLS_CALL;
	uint32_t target;

	if (m->name.len == 0)
		return MCP_BAD_PARAMS;
	if (s->setup.names.count == 1)
		return routing_one(routing, 0, inner);
	target = mcp_owners_find(&s->owners, is_prompt, inner);
	if (target != UINT32_MAX && !s->targets[target].is_lost)
		return routing_one(routing, target, inner);
	routing->gather = MCP_GATHER_OWNER;
	routing->needs = is_prompt ? MCP_CAN_PROMPTS : MCP_CAN_TOOLS;
	return MCP_NONE;
}

static enum mcp_fault routing_named(struct mcp_session *s, struct routing *routing,
				    const struct mcp_message *m)
{
	if (mcp_names_prefix_tools(&s->setup.names))
		return routing_prefixed(s, routing, m->name, '_');
	return routing_owner(s, routing, m);
}

/* The only target with resources, or UINT32_MAX if there is not exactly one. */
static uint32_t only_resources(const struct mcp_session *s)
{
	uint32_t found = UINT32_MAX;

	for (uint32_t i = 0; i < s->setup.names.count; i++) {
		if (!(s->targets[i].capabilities & MCP_CAN_RESOURCES))
			continue;
		if (found != UINT32_MAX)
			return UINT32_MAX;
		found = i;
	}
	return found;
}

static enum mcp_fault routing_uri(const struct mcp_session *s, struct routing *routing, struct span value)
{
	enum mcp_fault fault;

	if (!mcp_names_prefix_uris(&s->setup.names))
		return routing_one(routing, 0, mcp_json_string(value));
	fault = routing_prefixed(s, routing, value, '+');
	/* With prefixMode never, a URI without prefix is allowed if only one target has resources. */
	if (fault != MCP_UNKNOWN_NAME || s->setup.names.mode != MCP_PREFIX_NEVER ||
	    only_resources(s) == UINT32_MAX)
		return fault;
	routing->is_plain = true;
	return routing_one(routing, only_resources(s), mcp_json_string(value));
}

static uint8_t list_needs(enum mcp_method method)
{
	switch (method) {
	case MCP_METHOD_TOOLS_LIST:
		return MCP_CAN_TOOLS;
	case MCP_METHOD_PROMPTS_LIST:
		return MCP_CAN_PROMPTS;
	case MCP_METHOD_TASKS_LIST:
		return MCP_CAN_TASKS;
	default:
		return MCP_CAN_RESOURCES;
	}
}

/* A list: of all targets, or of those in its cursor. */
static enum mcp_fault routing_list(const struct mcp_session *s, struct routing *routing,
				   const struct mcp_message *m)
{
	const struct mcp_names *names = &s->setup.names;
	bool is_prefixed = m->method == MCP_METHOD_TOOLS_LIST || m->method == MCP_METHOD_PROMPTS_LIST
				   ? mcp_names_prefix_tools(names)
				   : mcp_names_prefix_uris(names);
	int error;

	if (names->count == 1 && !is_prefixed)
		return routing_one(routing, 0, (struct span){ NULL, 0 });
	routing->gather = MCP_GATHER_LIST;
	routing->needs = list_needs(m->method);
	if (m->cursor.len == 0)
		return MCP_NONE;
	routing->has_cursor = true;
	error = mcp_merge_cursor_read(mcp_json_string(m->cursor), &routing->room, names->count,
				      routing->cursors);
	return error == -ENOMEM ? MCP_NO_MEMORY : error ? MCP_BAD_CURSOR : MCP_NONE;
}

static enum mcp_fault routing_all(const struct mcp_session *s, struct routing *routing,
				  enum mcp_gather gather)
{
	if (s->setup.names.count == 1)
		return routing_one(routing, 0, (struct span){ NULL, 0 });
	routing->gather = gather;
	return MCP_NONE;
}

static enum mcp_fault routing_find(struct mcp_session *s, struct routing *routing,
				   const struct mcp_message *m)
{
	switch (m->method) {
	case MCP_METHOD_INITIALIZE:
		routing->gather = MCP_GATHER_INITIALIZE;
		return MCP_NONE;
	case MCP_METHOD_DISCOVER:
		return routing_all(s, routing, MCP_GATHER_DISCOVER);
	case MCP_METHOD_LISTEN:
		return routing_all(s, routing, MCP_GATHER_LISTEN);
	case MCP_METHOD_SET_LEVEL:
		routing->needs = MCP_CAN_LOG;
		return routing_all(s, routing, MCP_GATHER_EMPTY);
	case MCP_METHOD_TOOLS_LIST:
	case MCP_METHOD_PROMPTS_LIST:
	case MCP_METHOD_RESOURCES_LIST:
	case MCP_METHOD_TEMPLATES_LIST:
	case MCP_METHOD_TASKS_LIST:
		return routing_list(s, routing, m);
	case MCP_METHOD_TOOLS_CALL:
	case MCP_METHOD_PROMPTS_GET:
		return routing_named(s, routing, m);
	case MCP_METHOD_RESOURCES_READ:
	case MCP_METHOD_SUBSCRIBE:
	case MCP_METHOD_UNSUBSCRIBE:
		return routing_uri(s, routing, m->uri);
	case MCP_METHOD_COMPLETE:
		return m->uri.len ? routing_uri(s, routing, m->uri) : routing_named(s, routing, m);
	case MCP_METHOD_TASKS_GET:
	case MCP_METHOD_TASKS_RESULT:
	case MCP_METHOD_TASKS_CANCEL:
	case MCP_METHOD_TASKS_UPDATE:
		return routing_uri(s, routing, m->task);
	default:
		break;
	}
	if (s->setup.names.count == 1)
		return routing_one(routing, 0, mcp_json_string(m->name));
	return s->setup.kind == MCP_SESSION_SHARED ? MCP_NO_METHOD_HTTP : MCP_NO_METHOD;
}

/* ---- sending ---- */

static bool is_meant(const struct mcp_session *s, const struct routing *routing, uint32_t target)
{
	if (s->targets[target].is_lost || s->targets[target].is_joining)
		return false;
	if (routing->is_one)
		return target == routing->target;
	if ((s->targets[target].capabilities & routing->needs) != routing->needs)
		return false;
	return !routing->has_cursor || routing->cursors[target].data;
}

/* The list that contains the object of a method. */
static struct span list_for(enum mcp_method method)
{
	return method == MCP_METHOD_TOOLS_CALL ? mcp_method_text(MCP_METHOD_TOOLS_LIST)
					       : mcp_method_text(MCP_METHOD_PROMPTS_LIST);
}

static struct span modern_meta(const struct mcp_session *s)
{
	if (s->setup.kind != MCP_SESSION_SHARED)
		return (struct span){ NULL, 0 };
	return SPAN("\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\","
		    "\"io.modelcontextprotocol/clientCapabilities\":{}}");
}

int mcp_session_ask_list(struct mcp_session *s, struct mcp_sub_request *sub_request, struct span cursor)
{
	struct span method = list_for(sub_request->request->method);
	struct span meta = modern_meta(s);
	struct iovec segment;
	struct mcp_out out = { .segments = &segment, .count = 1, .kind = MCP_REQUEST, .method = method };
	struct text text;
	int error;

	text_init(&text);
	text_fmt(&text, "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"method\":\"%.*s\",\"params\":{",
		 (unsigned long long)sub_request->id, SPAN_FMT(method));
	text_add(&text, meta);
	if (cursor.data) {
		text_str(&text, meta.len ? ",\"cursor\":\"" : "\"cursor\":\"");
		text_add(&text, cursor);
		text_char(&text, '"');
	}
	text_str(&text, "}}");
	segment = (struct iovec){ .iov_base = text.data, .iov_len = text.len };
	out.bytes = text.len;
	out.call = sub_request->id;
	error = text_error(&text);
	if (!error)
		error = mcp_send_target(s, sub_request->target, &out);
	text_done(&text);
	return error;
}

/* Sends the client's message to one target. */
static int sub_request_send(struct mcp_session *s, struct mcp_sub_request *sub_request,
			    const struct mcp_message *m, const struct routing *routing)
{
	struct mcp_patch splice = mcp_patch_of(m->text);
	struct iovec segments[MCP_SEGMENTS];
	struct mcp_out out = {
		.segments = segments,
		.kind = MCP_REQUEST,
		.method = m->method_text,
		.name = routing->own,
		.call = sub_request->id,
	};
	char digits[MCP_ID_DIGITS];
	struct span id = span_of(digits, text_u64(digits, sub_request->id));
	struct text params;
	int error;

	text_init(&params);
	mcp_patch_edit(&splice, m->id, id);
	if (routing->gather == MCP_GATHER_LISTEN && m->params.len) {
		mcp_merge_listen(&params, &s->setup.names, m->params, sub_request->target);
		mcp_patch_edit(&splice, m->params, text_span(&params));
	} else {
		if (m->token.len)
			mcp_patch_edit(&splice, m->token, id);
		if (routing->cut.len)
			mcp_patch_edit(&splice, routing->cut, (struct span){ NULL, 0 });
		if (routing->has_cursor)
			mcp_patch_edit(&splice, mcp_json_string(m->cursor),
				       routing->cursors[sub_request->target]);
	}
	error = text_error(&params);
	out.count = mcp_patch_segments(&splice, segments, &out.bytes);
	if (!error)
		error = mcp_send_target(s, sub_request->target, &out);
	text_done(&params);
	return error;
}

static uint32_t count_meant(const struct mcp_session *s, const struct routing *routing)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < s->setup.names.count; i++)
		count += is_meant(s, routing, i);
	return count;
}

static bool nobody_can(const struct mcp_session *s, const struct routing *routing)
{
	for (uint32_t i = 0; i < s->setup.names.count; i++) {
		if (s->targets[i].capabilities & routing->needs)
			return false;
	}
	return !routing->is_one;
}

static bool has_lost(const struct mcp_session *s)
{
	for (uint32_t i = 0; i < s->setup.names.count; i++) {
		if (s->targets[i].is_lost)
			return true;
	}
	return false;
}

/* Assigns ids to all sub-requests. After an error the caller frees the request. */
static int take_ids(struct mcp_session *s, const struct routing *routing, struct mcp_request *r)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < s->setup.names.count; i++) {
		int error;

		if (!is_meant(s, routing, i))
			continue;
		r->sub_requests[at].target = i;
		error = mcp_ids_put(&s->sub_requests, MCP_IDS_MAX, &r->sub_requests[at],
				    &r->sub_requests[at].id);
		if (error)
			return error;
		at++;
	}
	r->waiting = at;
	return 0;
}

/* Sends to all targets of the request, or to none. */
static enum mcp_fault parts_send(struct mcp_session *s, struct mcp_request *r, const struct mcp_message *m,
				 const struct routing *routing)
{
	for (uint32_t i = 0; i < r->sub_request_count; i++) {
		int error = r->gather == MCP_GATHER_OWNER
				    ? mcp_session_ask_list(s, &r->sub_requests[i], (struct span){ NULL, 0 })
				    : sub_request_send(s, &r->sub_requests[i], m, routing);

		if (!error)
			continue;
		mcp_request_recall(s, r, i);
		return error == -ENOBUFS ? MCP_TARGET_BUSY : MCP_NO_MEMORY;
	}
	return MCP_NONE;
}

static enum mcp_fault request_send(struct mcp_session *s, struct mcp_sink *sink, const struct mcp_message *m,
				   const struct routing *routing, uint64_t now_ms)
{
	uint32_t count = count_meant(s, routing);
	struct mcp_request *r;
	int error;

	if (routing->needs && nobody_can(s, routing))
		return s->setup.kind == MCP_SESSION_SHARED ? MCP_NO_METHOD_HTTP : MCP_NO_METHOD;
	if (count == 0 || (!routing->is_one && !s->setup.fail_open && has_lost(s)))
		return MCP_NO_TARGET;
	r = mcp_request_create(s, sink, m, count, now_ms);
	if (!r)
		return MCP_NO_MEMORY;
	r->gather = routing->gather;
	r->is_plain = routing->is_plain;
	error = take_ids(s, routing, r);
	if (!error && r->gather == MCP_GATHER_OWNER) {
		char *held = hg_strndup(m->text.data, m->text.len);

		error = held ? 0 : -ENOMEM;
		r->held = span_of(held, held ? m->text.len : 0);
	}
	if (error) {
		mcp_request_free(s, r);
		return error == -ENOSPC ? MCP_TOO_MANY_CALLS : MCP_NO_MEMORY;
	}
	return parts_send(s, r, m, routing);
}

/* A session that all clients share keeps room for the others: one client takes a quarter at most. */
static bool has_its_share(const struct mcp_session *s, const struct mcp_sink *sink)
{
	uint32_t count = 0;

	if (s->setup.kind != MCP_SESSION_SHARED || !sink || s->calls < LIMIT_MCP_SHARED_CALLS / 4)
		return false;
	list_each(node, next, &s->requests)
		count += list_entry(node, struct mcp_request, all)->client == sink->client;
	return count >= LIMIT_MCP_SHARED_CALLS / 4;
}

enum mcp_fault mcp_session_route(struct mcp_session *s, struct mcp_sink *sink, const struct mcp_message *m,
				 uint64_t now_ms)
{
	uint32_t limit = s->setup.kind == MCP_SESSION_SHARED ? LIMIT_MCP_SHARED_CALLS : LIMIT_MCP_CALLS;
	struct routing routing = { .gather = MCP_PASS };
	enum mcp_fault fault;

	if (s->calls >= limit || has_its_share(s, sink))
		return MCP_TOO_MANY_CALLS;
	text_init(&routing.room);
	fault = routing_find(s, &routing, m);
	if (!fault && routing.is_one)
		fault = mcp_access_check(s, m, routing.target, routing.own);
	if (!fault)
		fault = request_send(s, sink, m, &routing, now_ms);
	text_done(&routing.room);
	return fault;
}

enum mcp_fault mcp_session_route_to(struct mcp_session *s, struct mcp_sink *sink, const struct mcp_message *m,
				    uint32_t target, uint64_t now_ms)
{
	struct routing routing = { 0 };
	enum mcp_fault fault = routing_one(&routing, target, mcp_json_string(m->name));

	if (!fault)
		fault = mcp_access_check(s, m, target, routing.own);
	return fault ? fault : request_send(s, sink, m, &routing, now_ms);
}

/* ---- sessions that we initialize ourselves ---- */

static void open_write(const struct mcp_session *s, struct text *text, uint64_t id)
{
	enum mcp_version version = s->setup.version ? s->setup.version : MCP_2025_03_26;

	text_fmt(text, "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"method\":\"initialize\",\"params\":",
		 (unsigned long long)id);
	if (s->opening.len) {
		text_add(text, s->opening);
		text_char(text, '}');
		return;
	}
	text_fmt(text, "{\"protocolVersion\":\"%.*s\"", SPAN_FMT(mcp_version_text(version)));
	text_str(text, ",\"capabilities\":{},\"clientInfo\":{\"name\":");
	json_quote(text, s->setup.server_name);
	text_str(text, ",\"version\":");
	json_quote(text, s->setup.server_version);
	text_str(text, "}}}");
}

static int open_send(struct mcp_session *s, const struct mcp_sub_request *sub_request)
{
	struct iovec segment;
	struct mcp_out out = {
		.segments = &segment,
		.count = 1,
		.kind = MCP_REQUEST,
		.method = mcp_method_text(MCP_METHOD_INITIALIZE),
		.call = sub_request->id,
	};
	struct text text;
	int error;

	text_init(&text);
	open_write(s, &text, sub_request->id);
	segment = (struct iovec){ .iov_base = text.data, .iov_len = text.len };
	out.bytes = text.len;
	error = text_error(&text);
	if (!error)
		error = mcp_send_target(s, sub_request->target, &out);
	text_done(&text);
	return error;
}

static const struct mcp_message open_message = {
	.kind = MCP_REQUEST,
	.method = MCP_METHOD_INITIALIZE,
	.method_text = SPAN("initialize"),
};

int mcp_session_rejoin(struct mcp_session *s, uint32_t target, uint64_t now_ms)
{
	struct mcp_request *r = mcp_request_create(s, NULL, &open_message, 1, now_ms);
	int error;

	if (!r)
		return -ENOMEM;
	r->gather = MCP_GATHER_REJOIN;
	r->sub_requests[0].target = target;
	r->waiting = 1;
	error = mcp_ids_put(&s->sub_requests, MCP_IDS_MAX, &r->sub_requests[0], &r->sub_requests[0].id);
	if (!error)
		error = open_send(s, &r->sub_requests[0]);
	if (error)
		mcp_request_free(s, r);
	else
		mcp_session_open_within(s, s->setup.open_ms, now_ms);
	return error;
}

int mcp_session_open_targets(struct mcp_session *s, uint64_t now_ms)
{
	struct routing routing = { .gather = MCP_GATHER_OPEN };
	struct mcp_request *r = mcp_request_create(s, NULL, &open_message, count_meant(s, &routing), now_ms);
	int error;

	if (!r)
		return -ENOMEM;
	r->gather = MCP_GATHER_OPEN;
	error = take_ids(s, &routing, r);
	for (uint32_t i = 0; i < r->sub_request_count && !error; i++)
		error = open_send(s, &r->sub_requests[i]);
	if (error)
		mcp_request_free(s, r);
	return error;
}
