/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/target/api.h"

#include <errno.h>

#include "config/model_openapi.h"
#include "config/snapshot.h"
#include "user/base/json_writer.h"
#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/mcp/target/api_call.h"
#include "user/mcp/target/api_result.h"
#include "user/mcp/target/remote_fields.h"

struct api {
	struct mcp_target target;
	struct remote_peer peer; /* without modifier: arguments are below it */
	struct snapshot *snapshot; /* one reference, for the next three */
	struct fetched *fetched;
	const struct header_modifier *modifier; /* NULL: none */
	struct span name;
	struct openapi_api *document; /* one reference; NULL: not fetched yet, or not needed yet */
	struct list requests;
	struct list answers; /* to be delivered at the end of the turn, or after a hold */
	bool is_held;
	bool is_closed;
	struct loop_deferred deliver;
	struct loop_deferred release;
};

/* An answer of ours. */
struct api_answer {
	struct list node;
	uint64_t call;
	struct text text;
};

/* One request to the API. */
struct api_post {
	struct api *api;
	enum mcp_version version;
	unsigned int status;
};

/* ------------------------------------------------------------------------------------ end */

static struct loop *api_loop(const struct api *api)
{
	return api->peer.targets->loop;
}

static void answer_free(struct api_answer *answer)
{
	list_remove(&answer->node);
	text_done(&answer->text);
	hg_free(answer);
}

static void api_stop_request(struct remote_request *request)
{
	struct api_post *post = request->owner;

	remote_request_stop(request);
	hg_free(post);
}

static void api_stop_all(struct api *api)
{
	list_each(node, next, &api->requests)
		api_stop_request(list_entry(node, struct remote_request, node));
	list_each(node, next, &api->answers)
		answer_free(list_entry(node, struct api_answer, node));
}

static void api_free(struct api *api)
{
	struct mcp_targets *targets = api->peer.targets;

	list_remove(&api->target.node);
	loop_deferred_cancel(&api->deliver);
	loop_deferred_cancel(&api->release);
	remote_peer_done(&api->peer);
	openapi_unref(api->document);
	snapshot_unref(api->snapshot);
	hg_free(api);
	if (list_is_empty(&targets->list) && targets->on_empty)
		targets->on_empty(targets);
}

static void api_on_release(struct loop_deferred *deferred)
{
	api_free(container_of(deferred, struct api, release));
}

/* ------------------------------------------------------------------------------------ answers */

static void api_deliver(struct api *api, uint64_t call, struct span text)
{
	api->target.received++;
	if (api->target.events)
		(void)api->target.events->on_message(api->target.owner, call, text);
}

static void api_on_deliver(struct loop_deferred *deferred)
{
	struct api *api = container_of(deferred, struct api, deliver);

	while (!list_is_empty(&api->answers) && !api->is_held && !api->is_closed) {
		struct api_answer *answer = list_entry(api->answers.next, struct api_answer, node);
		struct text text = answer->text;
		uint64_t call = answer->call;

		/* The session may forget the call, or close the target. */
		text_init(&answer->text);
		answer_free(answer);
		api_deliver(api, call, text_span(&text));
		text_done(&text);
	}
}

/* Takes the text. 0 or -ENOMEM. */
static int api_answer(struct api *api, uint64_t call, struct text *text)
{
	struct api_answer *answer = text_error(text) ? NULL : hg_calloc(1, sizeof(*answer));

	if (!answer) {
		text_done(text);
		return -ENOMEM;
	}
	answer->call = call;
	answer->text = *text;
	list_add_tail(&api->answers, &answer->node);
	loop_defer(api_loop(api), &api->deliver);
	return 0;
}

static void begin(struct text *text, uint64_t call)
{
	text_init(text);
	text_fmt(text, "{\"jsonrpc\":\"2.0\",\"id\":%llu,", (unsigned long long)call);
}

static void begin_result(struct text *text, const struct mcp_out *out)
{
	begin(text, out->call);
	text_str(text, "\"result\":{");
	text_str(text, out->version == MCP_2026_07_28 ? "\"resultType\":\"complete\"," : "");
}

static void write_error(struct text *text, const struct mcp_out *out, int code, const char *what)
{
	begin(text, out->call);
	text_fmt(text, "\"error\":{\"code\":%d,\"message\":\"%s\"}}", code, what);
}

/* ------------------------------------------------------------------------------------ what MCP asks */

static void add_server(struct text *text, const struct api *api)
{
	text_str(text, "{\"name\":");
	json_quote(text, api->document->title.len ? api->document->title : api->name);
	text_str(text, ",\"version\":");
	json_quote(text, api->document->version);
	text_char(text, '}');
}

static void write_initialize(struct text *text, const struct api *api, const struct mcp_out *out,
			     struct span params)
{
	struct span wanted = mcp_json_string(mcp_json_member(params, SPAN("protocolVersion")));
	enum mcp_version version = mcp_version_of(wanted);

	if (version == MCP_VERSION_NONE || version > MCP_2025_11_25)
		version = MCP_2025_11_25;
	begin_result(text, out);
	text_fmt(text, "\"protocolVersion\":\"%.*s\",\"capabilities\":{\"tools\":{}},\"serverInfo\":",
		 SPAN_FMT(mcp_version_text(version)));
	add_server(text, api);
	text_str(text, "}}");
}

static void write_discover(struct text *text, const struct api *api, const struct mcp_out *out)
{
	begin_result(text, out);
	text_str(text, "\"supportedVersions\":[");
	for (enum mcp_version v = MCP_VERSION_NONE + 1; v < MCP_VERSION_COUNT; v++)
		text_fmt(text, "%s\"%.*s\"", v > MCP_VERSION_NONE + 1 ? "," : "",
			 SPAN_FMT(mcp_version_text(v)));
	text_str(text,
		 "],\"capabilities\":{\"tools\":{}},\"_meta\":{\"io.modelcontextprotocol/serverInfo\":");
	add_server(text, api);
	text_str(text, "},\"ttlMs\":0,\"cacheScope\":\"private\"}}");
}

/* A cursor is the number of the first tool of a page. */
static void write_list(struct text *text, const struct api *api, const struct mcp_out *out,
		       struct span params)
{
	struct span cursor = mcp_json_member(params, SPAN("cursor"));
	const struct openapi_api *document = api->document;
	uint64_t at = 0;
	size_t start;

	if (cursor.len &&
	    (span_parse_u63(mcp_json_string(cursor), &at) != 0 || at >= document->operation_count)) {
		write_error(text, out, -32602, "Invalid cursor");
		return;
	}
	begin_result(text, out);
	text_str(text, "\"tools\":[");
	start = text->len;
	do {
		text_str(text, text->len > start ? "," : "");
		text_add(text, document->operation_list[at].description);
		at++;
	} while (at < document->operation_count &&
		 text->len - start + document->operation_list[at].description.len < LIMIT_OPENAPI_PAGE_BYTES);
	text_char(text, ']');
	if (at < document->operation_count)
		text_fmt(text, ",\"nextCursor\":\"%llu\"", (unsigned long long)at);
	text_str(text, out->version == MCP_2026_07_28 ? ",\"ttlMs\":0,\"cacheScope\":\"private\"}}" : "}}");
}

static bool is_method(const struct mcp_out *out, enum mcp_method method)
{
	return span_eq(out->method, mcp_method_text(method));
}

/* A session keeps the document that it began with; each request without a session gets the current one. */
static bool has_document(struct api *api, const struct mcp_out *out)
{
	if (!api->document || out->version == MCP_2026_07_28) {
		openapi_unref(api->document);
		api->document = openapi_hold(api->fetched);
	}
	return api->document != NULL;
}

/* Everything but tools/call. */
static int answer(struct api *api, const struct mcp_out *out, struct span params)
{
	struct text text;

	text_init(&text);
	if (!api->document) {
		begin(&text, out->call);
		text_fmt(&text,
			 "\"error\":{\"code\":-32000,\"message\":\"the OpenAPI document of %.*s has not been "
			 "fetched yet\"}}",
			 SPAN_FMT(api->name));
	} else if (is_method(out, MCP_METHOD_TOOLS_LIST)) {
		write_list(&text, api, out, params);
	} else if (is_method(out, MCP_METHOD_INITIALIZE)) {
		write_initialize(&text, api, out, params);
	} else if (is_method(out, MCP_METHOD_DISCOVER)) {
		write_discover(&text, api, out);
	} else if (is_method(out, MCP_METHOD_PING)) {
		begin(&text, out->call);
		text_str(&text, "\"result\":{}}");
	} else if (is_method(out, MCP_METHOD_LISTEN)) {
		/* Tools do not change in a session: there will be no events. */
		text_fmt(&text,
			 "{\"jsonrpc\":\"2.0\",\"method\":\"%.*s\",\"params\":{\"_meta\":{"
			 "\"io.modelcontextprotocol/subscriptionId\":%llu},\"notifications\":{}}}",
			 SPAN_FMT(mcp_method_text(MCP_METHOD_ACKNOWLEDGED)), (unsigned long long)out->call);
	} else {
		write_error(&text, out, -32601, "Method not found");
	}
	return api_answer(api, out->call, &text);
}

/* ------------------------------------------------------------------------------------ calls */

static bool on_head(struct remote_request *request, const struct response_head *head)
{
	struct api_post *post = request->owner;

	post->status = head->status;
	/* Whatever it is, all of it is needed. */
	request->is_events = false;
	request->is_text = true;
	return true;
}

/* False: the result is no message that the session would take. */
static bool write_result(struct text *text, const struct api *api, const struct mcp_out *out,
			 const struct api_response *response)
{
	begin_result(text, out);
	api_result_add(text, response);
	text_str(text, "}}");
	return !text_error(text) && text->len <= api->peer.targets->message_bytes &&
	       mcp_json_check(api->peer.targets->checker, text_span(text)) == 0;
}

static void api_complete(struct api *api, uint64_t call, const struct api_post *post, struct span body)
{
	const struct mcp_out out = { .call = call, .version = post->version };
	struct api_response response = { .status = post->status, .body = mcp_json_trim(body) };
	struct text text;
	bool is_valid;

	/* Only what is one JSON value by itself may become a part of the message. */
	response.is_object = response.body.len && response.body.data[0] == '{' &&
			     mcp_json_check(api->peer.targets->checker, response.body) == 0;
	response.body = response.is_object ? response.body : body;
	is_valid = write_result(&text, api, &out, &response);
	if (!is_valid && response.is_object) {
		/* It may be too deep, or too large twice. */
		response.is_object = false;
		text_done(&text);
		is_valid = write_result(&text, api, &out, &response);
	}
	if (is_valid)
		api_deliver(api, call, text_span(&text));
	else if (api->target.events)
		api->target.events->on_call_lost(api->target.owner, call,
						 SPAN("a response that is too large"));
	text_done(&text);
}

static void on_end(struct remote_request *request, struct span why)
{
	struct api_post post = *(struct api_post *)request->owner;
	struct api *api = post.api;

	hg_free(request->owner);
	if (!why.len)
		api_complete(api, request->call, &post, buf_span(&request->text));
	else if (api->target.events)
		api->target.events->on_call_lost(api->target.owner, request->call, why);
}

/* It needs no texts and events: on_end() takes what was read. */
static const struct remote_request_ops request_ops = { .on_head = on_head, .on_end = on_end };

static int add_fields(const struct api *api, const struct openapi_operation *operation,
		      const struct mcp_out *out, const struct api_call *call, struct fields *fields)
{
	struct fields asked;
	int error = fields_add(fields, SPAN("accept"), SPAN("application/json, */*;q=0.5"));

	if (!error && call->body.len)
		error = fields_add(fields, SPAN("content-type"), operation->content_type);
	/* An argument is what a client could have sent itself: it replaces nothing; policies change it. */
	fields_init(&asked, fields->arena);
	for (uint32_t i = 0; out->fields && i < out->fields->count && !error; i++)
		error = fields_add(&asked, out->fields->list[i].name, out->fields->list[i].value);
	for (uint32_t i = 0; i < call->fields.count && !error; i++) {
		const struct field *field = &call->fields.list[i];
		bool is_there = false;

		for (uint32_t k = 0; k < asked.count; k++)
			is_there |= field_names_are_alike(asked.list[k].name, field->name);
		if (!is_there)
			error = fields_add(&asked, field->name, field->value);
	}
	return error ? error : remote_add_client(fields, &asked, api->modifier);
}

static int start(struct api *api, const struct openapi_operation *operation, const struct mcp_out *out,
		 const struct api_call *call)
{
	struct iovec segment = { (char *)(uintptr_t)call->body.data, call->body.len };
	struct api_post *post = hg_calloc(1, sizeof(*post));
	struct remote_request *request = NULL;
	struct arena arena;
	struct fields fields;
	struct remote_ask ask = { .method = method_of(operation->method),
				  .may_repeat = method_is_idempotent(method_of(operation->method)),
				  .path = text_span(&call->target),
				  .fields = &fields,
				  .segments = &segment,
				  .count = call->body.len > 0,
				  .bytes = call->body.len };

	if (!post)
		return -ENOMEM;
	*post = (struct api_post){ .api = api, .version = out->version };
	arena_init(&arena, 1024);
	fields_init(&fields, &arena);
	if (add_fields(api, operation, out, call, &fields) == 0)
		request = remote_request_start(&api->peer, &ask, &request_ops, post);
	arena_done(&arena);
	if (!request) {
		hg_free(post);
		return -ENOMEM;
	}
	request->call = out->call;
	list_add_tail(&api->requests, &request->node);
	remote_request_limit(request, LIMIT_OPENAPI_CALL_MS);
	if (api->is_held)
		remote_request_hold(request, true);
	return 0;
}

static const struct openapi_operation *operation_of(const struct openapi_api *document, struct span name)
{
	for (uint32_t i = 0; i < document->operation_count; i++)
		if (mcp_json_means(name, document->operation_list[i].tool))
			return &document->operation_list[i];
	return NULL;
}

/* Wrong arguments are a result: the model reads it, and can correct them (MCP 2025-11-25, tools). */
static int call_tool(struct api *api, const struct mcp_out *out, struct span params)
{
	const struct openapi_operation *operation = operation_of(api->document, out->name);
	struct api_call call;
	struct text text;
	int error;

	text_init(&text);
	if (!operation) {
		write_error(&text, out, -32602, "Unknown tool");
		return api_answer(api, out->call, &text);
	}
	api_call_init(&call);
	error = api_call_make(&call, operation, mcp_json_member(params, SPAN("arguments")));
	if (error == 0) {
		error = start(api, operation, out, &call);
	} else if (error == -EINVAL) {
		begin_result(&text, out);
		api_result_refuse(&text, text_span(&call.why));
		text_str(&text, "}}");
		error = api_answer(api, out->call, &text);
	}
	api_call_done(&call);
	return error;
}

/* ------------------------------------------------------------------------------------ the target */

static int api_send(struct mcp_target *target, const struct mcp_out *out)
{
	struct api *api = container_of(target, struct api, target);
	struct span params;
	struct text text;
	int error;

	target->sent++;
	if (!out->call) /* a notification: all of them are about what it does not do */
		return 0;
	if (!remote_requests_have_room(api->peer.targets, &api->requests, 0, out))
		return -ENOBUFS;
	text_init(&text);
	for (int i = 0; i < out->count; i++)
		text_add(&text, span_of(out->segments[i].iov_base, out->segments[i].iov_len));
	error = text_error(&text);
	if (!error) {
		/* The session has validated it. */
		params = mcp_json_member(text_span(&text), SPAN("params"));
		error = has_document(api, out) && is_method(out, MCP_METHOD_TOOLS_CALL)
				? call_tool(api, out, params)
				: answer(api, out, params);
	}
	text_done(&text);
	return error;
}

static void api_forget(struct mcp_target *target, uint64_t call)
{
	struct api *api = container_of(target, struct api, target);

	list_each(node, next, &api->requests) {
		struct remote_request *request = list_entry(node, struct remote_request, node);

		if (request->call == call)
			api_stop_request(request);
	}
	/* Calls that are cancelled while the session is held do not count as running any more. */
	list_each(node, next, &api->answers) {
		struct api_answer *answer = list_entry(node, struct api_answer, node);

		if (answer->call == call)
			answer_free(answer);
	}
}

static void api_hold(struct mcp_target *target, bool is_held)
{
	struct api *api = container_of(target, struct api, target);

	api->is_held = is_held;
	list_each(node, next, &api->requests)
		remote_request_hold(list_entry(node, struct remote_request, node), is_held);
	if (!is_held && !list_is_empty(&api->answers))
		loop_defer(api_loop(api), &api->deliver);
}

static void api_describe(const struct mcp_target *target, struct mcp_target_view *ret_view)
{
	const struct api *api = container_of(target, const struct api, target);

	*ret_view = (struct mcp_target_view){ .state = "open",
					      .sent = target->sent,
					      .received = target->received,
					      .queued_bytes = remote_requests_bytes(&api->requests) };
}

static void api_close(struct mcp_target *target)
{
	struct api *api = container_of(target, struct api, target);

	api->is_closed = true;
	api_stop_all(api);
	loop_defer(api_loop(api), &api->release);
}

static void api_abort(struct mcp_target *target)
{
	struct api *api = container_of(target, struct api, target);

	api_stop_all(api);
	api_free(api);
}

static const struct mcp_target_ops api_ops = {
	.send = api_send,
	.forget = api_forget,
	.hold = api_hold,
	.describe = api_describe,
	.close = api_close,
	.abort = api_abort,
};

int api_open(struct mcp_targets *targets, const struct api_options *options,
	     const struct mcp_target_events *events, void *owner, struct mcp_target **ret_target)
{
	struct api *api = hg_calloc(1, sizeof(*api));
	struct remote_place place = options->place;

	if (!api)
		return -ENOMEM;
	place.modifier = NULL;
	if (remote_peer_init(&api->peer, targets, &place) < 0) {
		hg_free(api);
		return -ENOMEM;
	}
	api->snapshot = snapshot_ref(options->place.snapshot);
	api->fetched = options->api;
	api->modifier = options->place.modifier;
	api->name = options->name;
	api->target.ops = &api_ops;
	api->target.events = events;
	api->target.owner = owner;
	list_init(&api->requests);
	list_init(&api->answers);
	loop_deferred_init(&api->deliver, api_on_deliver);
	loop_deferred_init(&api->release, api_on_release);
	list_add_tail(&targets->list, &api->target.node);
	*ret_target = &api->target;
	return 0;
}
