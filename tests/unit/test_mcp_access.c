/* SPDX-License-Identifier: Apache-2.0 */
/* What rules do not allow reaches no target and no list, however a message is written. */
#include "tests/unit/mcp_scene.h"

static struct scene sc;
static struct mcp_access access_of_test;

static const char *const allowed[] = { "tool one/echo",
				       "tool two/echo",
				       "prompt one/hello",
				       "resource one/a://b",
				       "resource one/a://{x}",
				       "task one/t1",
				       NULL };

static void begin(enum mcp_session_kind kind, uint32_t targets, enum mcp_prefix_mode mode)
{
	scene_make(&sc, kind, targets, mode, false);
	if (kind == MCP_SESSION_STATEFUL)
		scene_open(&sc, targets);
	access_of_test = (struct mcp_access){ .allowed = allowed };
	sc.access = &access_of_test;
}

static int one_make(void **state __attribute__((unused)))
{
	begin(MCP_SESSION_STATEFUL, 1, MCP_PREFIX_CONDITIONAL);
	return 0;
}

static int two_make(void **state __attribute__((unused)))
{
	begin(MCP_SESSION_STATEFUL, 2, MCP_PREFIX_CONDITIONAL);
	return 0;
}

static int never_make(void **state __attribute__((unused)))
{
	begin(MCP_SESSION_STATEFUL, 2, MCP_PREFIX_NEVER);
	return 0;
}

static int always_make(void **state __attribute__((unused)))
{
	begin(MCP_SESSION_STATEFUL, 1, MCP_PREFIX_ALWAYS);
	return 0;
}

static int shared_make(void **state __attribute__((unused)))
{
	begin(MCP_SESSION_SHARED, 2, MCP_PREFIX_CONDITIONAL);
	return 0;
}

static int shared_one_make(void **state __attribute__((unused)))
{
	begin(MCP_SESSION_SHARED, 1, MCP_PREFIX_CONDITIONAL);
	return 0;
}

static int single_make(void **state __attribute__((unused)))
{
	begin(MCP_SESSION_SINGLE, 1, MCP_PREFIX_CONDITIONAL);
	return 0;
}

/* Nothing holds an access when the session is gone. */
static int drop(void **state __attribute__((unused)))
{
	scene_drop(&sc);
	assert_int_equal(access_of_test.refs, 0);
	return 0;
}

#define ONE(name) TEST_WITH(name, one_make, drop)
#define TWO(name) TEST_WITH(name, two_make, drop)
#define NEVER(name) TEST_WITH(name, never_make, drop)
#define ALWAYS(name) TEST_WITH(name, always_make, drop)
#define SHARED(name) TEST_WITH(name, shared_make, drop)
#define SHARED_ONE(name) TEST_WITH(name, shared_one_make, drop)
#define SINGLE(name) TEST_WITH(name, single_make, drop)

#define META                                                                                                 \
	"\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\","                             \
	"\"io.modelcontextprotocol/clientCapabilities\":{}}"

#define LISTEN(filter) REQUEST("1", "subscriptions/listen", "\"notifications\":{" filter "}," META)

static int sent_to_targets(void)
{
	int sent = 0;

	for (int i = 0; i < SCENE_TARGETS; i++)
		sent += sc.sent[i];
	return sent;
}

/* The client gets an error with this text and the status 400, and no target gets a byte. */
static void denied(const char *text, const char *message)
{
	struct scene_sink seen = { 0 };
	int before = sent_to_targets();
	struct mcp_verdict verdict = scene_post(&sc, &seen, text);

	if (verdict.turn != MCP_WAITING || !mcp_fault_is_denial(verdict.denied))
		fail_msg("%s: turn %d, fault %d", text, (int)verdict.turn, (int)verdict.denied);
	assert_holds(seen.last, "\"error\":{\"code\":-32");
	assert_holds(seen.last, message);
	assert_int_equal(seen.status, 400);
	assert_true(seen.is_done);
	assert_int_equal(sent_to_targets(), before);
	assert_int_equal(access_of_test.refs, 0);
}

/* It reaches the target, whose answer reaches the client. */
static void passes(const char *text, uint32_t target)
{
	struct scene_sink seen = { 0 };
	int before = sc.sent[target];

	scene_waits(&sc, &seen, text);
	assert_int_equal(sc.sent[target], before + 1);
	assert_int_equal(access_of_test.refs, 1);
	scene_answers(&sc, target, "\"result\":{}");
	assert_true(seen.is_done);
	assert_lacks(seen.last, "error");
	assert_int_equal(access_of_test.refs, 0);
}

/* ---- requests that name something */

ONE(only_what_is_allowed_reaches_the_target)
{
	passes(REQUEST("1", "tools/call", "\"name\":\"echo\""), 0);
	passes(REQUEST("1", "prompts/get", "\"name\":\"hello\""), 0);
	passes(REQUEST("1", "resources/read", "\"uri\":\"a://b\""), 0);
	passes(REQUEST("1", "resources/subscribe", "\"uri\":\"a://b\""), 0);
	passes(REQUEST("1", "tasks/get", "\"taskId\":\"t1\""), 0);
	passes(REQUEST("1", "logging/setLevel", "\"level\":\"debug\""), 0);
	passes(REQUEST("1", "completion/complete", "\"ref\":{\"type\":\"ref/prompt\",\"name\":\"hello\"}"),
	       0);
	passes(REQUEST("1", "completion/complete", "\"ref\":{\"type\":\"ref/resource\",\"uri\":\"a://{x}\"}"),
	       0);
}

/* Whatever is not in the list of the test, in each place where a request can name something. */
ONE(what_is_not_allowed_seems_not_to_exist)
{
	static const struct {
		const char *text, *message;
	} rows[] = {
		{ REQUEST("1", "tools/call", "\"name\":\"rm\""), "Unknown tool: rm" },
		{ REQUEST("\"1\"", "tools/call", "\"name\":\"rm\""), "Unknown tool: rm" },
		{ REQUEST("1", "tools/call", "\"name\":\"Echo\""), "Unknown tool: Echo" },
		{ REQUEST("1", "tools/call", "\"name\":\"echo \""), "Unknown tool: echo " },
		{ REQUEST("1", "tools/call", "\"name\":\"r\\u006d\""), "Unknown tool: rm" },
		{ REQUEST("1", "tools/call", "\"name\":\"echo\\u0000\""), "Unknown tool: echo" },
		{ REQUEST("1", "tools/call", "\"name\":\"\""), "Unknown tool" },
		{ REQUEST("1", "tools/call", "\"name\":\"one_echo\""), "Unknown tool: one_echo" },
		{ REQUEST("1", "tools/call", "\"name\":\"hello\""), "Unknown tool: hello" },
		{ REQUEST("1", "prompts/get", "\"name\":\"echo\""), "Unknown prompt: echo" },
		{ REQUEST("1", "prompts/get", "\"name\":\"rm\""), "Unknown prompt: rm" },
		{ REQUEST("1", "resources/read", "\"uri\":\"a://c\""), "Unknown resource: a://c" },
		{ REQUEST("1", "resources/read", "\"uri\":\"a:\\/\\/c\""), "Unknown resource: a://c" },
		{ REQUEST("1", "resources/subscribe", "\"uri\":\"a://c\""), "Unknown resource: a://c" },
		{ REQUEST("1", "resources/unsubscribe", "\"uri\":\"a://c\""), "Unknown resource: a://c" },
		{ REQUEST("1", "completion/complete", "\"ref\":{\"type\":\"ref/prompt\",\"name\":\"rm\"}"),
		  "Unknown prompt: rm" },
		{ REQUEST("1", "completion/complete",
			  "\"ref\":{\"type\":\"ref/resource\",\"uri\":\"a://c\"}"),
		  "Unknown resource: a://c" },
		/* The type decides which one the target reads. */
		{ REQUEST("1", "completion/complete",
			  "\"ref\":{\"type\":\"ref/prompt\",\"name\":\"rm\",\"uri\":\"a://b\"}"),
		  "Unknown prompt: rm" },
		{ REQUEST("1", "completion/complete",
			  "\"ref\":{\"type\":\"ref/prompt\",\"name\":\"hello\",\"uri\":\"a://c\"}"),
		  "Unknown resource" },
		{ REQUEST("1", "tasks/get", "\"taskId\":\"t2\""), "Unknown task: t2" },
		{ REQUEST("1", "tasks/result", "\"taskId\":\"t2\""), "Unknown task: t2" },
		{ REQUEST("1", "tasks/cancel", "\"taskId\":\"t2\""), "Unknown task: t2" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		denied(rows[i].text, rows[i].message);
}

/* A name that is missing or no text is refused with or without rules. */
ONE(a_request_without_a_name_is_refused)
{
	static const char *const texts[] = {
		REQUEST("1", "tools/call", ""),
		REQUEST("1", "tools/call", "\"name\":7"),
		REQUEST("1", "tools/call", "\"name\":null"),
		REQUEST("1", "tools/call", "\"name\":[\"rm\"]"),
		REQUEST("1", "prompts/get", "\"uri\":\"a://b\""),
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\"}",
	};
	struct scene_sink seen = { 0 };
	int before = sent_to_targets();

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		scene_waits(&sc, &seen, texts[i]);
		assert_holds(seen.last, "Invalid params");
		assert_int_equal(sent_to_targets(), before);
	}
	denied(REQUEST("1", "resources/read", "\"name\":\"echo\""), "Unknown resource");
	denied(REQUEST("1", "resources/read", "\"uri\":[]"), "Unknown resource");
	denied(REQUEST("1", "tasks/get", "\"taskId\":1"), "Unknown task");
}

/* ---- the form of a message */

/* Readers that ignore case, as encoding/json of Go does, would find another name. */
ONE(a_message_that_others_read_differently_is_refused)
{
	static const char *const texts[] = {
		REQUEST("1", "tools/call", "\"name\":\"echo\",\"Name\":\"rm\""),
		REQUEST("1", "tools/call", "\"NAME\":\"rm\",\"name\":\"echo\""),
		REQUEST("1", "tools/call", "\"name\":\"echo\",\"\\u004eame\":\"rm\""),
		REQUEST("1", "tools/call", "\"name\":\"echo\",\"x\\u0079\":1"),
		REQUEST("1", "tasks/get", "\"taskId\":\"t1\",\"tas\xe2\x84\xaaId\":\"t2\""),
		REQUEST("1", "resources/read", "\"uri\":\"a://b\",\"URI\":\"a://c\""),
		REQUEST("1", "completion/complete", "\"ref\":{\"name\":\"hello\",\"Name\":\"rm\"}"),
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"echo\"},"
		"\"Params\":{\"name\":\"rm\"}}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"echo\"},"
		"\"param\xc5\xbf\":{\"name\":\"rm\"}}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"Method\":\"tools/call\","
		"\"params\":{\"name\":\"rm\"}}",
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		denied(texts[i], "only in its case");
}

/* What a tool gets is not for the gateway to read. */
ONE(arguments_may_have_any_names)
{
	passes(REQUEST("1", "tools/call",
		       "\"name\":\"echo\",\"arguments\":{\"Name\":1,\"NAME\":2,\"\\u006eame\":3}"),
	       0);
}

ONE(a_name_that_occurs_twice_is_no_message)
{
	static const char *const texts[] = {
		REQUEST("1", "tools/call", "\"name\":\"echo\",\"name\":\"rm\""),
		REQUEST("1", "tools/call", "\"name\":\"echo\",\"n\\u0061me\":\"rm\""),
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"method\":\"tools/call\"}",
	};
	struct mcp_post post;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		assert_int_equal(mcp_post_read(sc.checker, span_str(texts[i]), &post), MCP_DOUBLE_KEY);
}

/* Without rules a single target gets methods that the gateway does not know. */
ONE(methods_that_the_gateway_does_not_know_are_refused)
{
	struct scene_sink seen = { 0 };

	denied(REQUEST("1", "tools/Call", "\"name\":\"rm\""), "Method not found");
	denied(REQUEST("1", "vendor/run", "\"name\":\"echo\""), "Method not found");
	denied(REQUEST("1", "notifications/message", ""), "Method not found");
	sc.access = NULL;
	scene_waits(&sc, &seen, REQUEST("1", "vendor/run", ""));
	assert_false(seen.is_done);
	scene_answers(&sc, 0, "\"result\":{}");
}

/* A notification has no id, so that nobody would notice its effect. */
ONE(a_call_as_a_notification_is_refused)
{
	int before = sent_to_targets();
	struct scene_sink seen = { 0 };

	scene_refused(&sc, NOTICE("tools/call", "\"name\":\"rm\""), MCP_DENIED_METHOD);
	scene_refused(&sc, NOTICE("tools/call", "\"name\":\"echo\""), MCP_DENIED_METHOD);
	scene_refused(&sc, NOTICE("notifications/x", "\"Name\":\"rm\""), MCP_DENIED_FORM);
	assert_int_equal(sent_to_targets(), before);
	assert_int_equal(scene_post(&sc, &seen, NOTICE("notifications/roots/list_changed", "")).turn,
			 MCP_ACCEPTED);
	assert_int_equal(sent_to_targets(), before + 1);
}

/* ---- lists */

ONE(lists_contain_only_what_is_allowed)
{
	static const struct {
		const char *method, *result, *shown;
	} rows[] = {
		{ "tools/list",
		  "{\"tools\":[{\"name\":\"rm\"},{\"name\":\"echo\",\"x\":1},{\"name\":\"e\\u0063ho\"},{},1],"
		  "\"nextCursor\":\"c\",\"_meta\":{}}",
		  "{\"tools\":[{\"name\":\"echo\",\"x\":1},{\"name\":\"e\\u0063ho\"}],\"nextCursor\":\"c\","
		  "\"_meta\":{}}" },
		{ "tools/list", "{\"a\":1,\"tools\":[{\"name\":\"rm\"}]}", "{\"a\":1,\"tools\":[]}" },
		{ "tools/list", "{\"tools\":[{\"name\":\"echo\"}],\"tools\":[{\"name\":\"rm\"}]}",
		  "{\"tools\":[{\"name\":\"echo\"}],\"tools\":[]}" },
		{ "tools/list", "{\"t\\u006fols\":[{\"name\":\"rm\"}]}", "{\"t\\u006fols\":[]}" },
		{ "prompts/list", "{\"prompts\":[{\"name\":\"rm\"},{\"name\":\"hello\"}]}",
		  "{\"prompts\":[{\"name\":\"hello\"}]}" },
		{ "resources/list", "{\"resources\":[{\"uri\":\"a://c\"},{\"uri\":\"a://b\"}]}",
		  "{\"resources\":[{\"uri\":\"a://b\"}]}" },
		{ "resources/templates/list",
		  "{\"resourceTemplates\":[{\"uriTemplate\":\"a://{x}\"},{\"uriTemplate\":\"c://{x}\"}]}",
		  "{\"resourceTemplates\":[{\"uriTemplate\":\"a://{x}\"}]}" },
		{ "tasks/list", "{\"tasks\":[{\"taskId\":\"t1\"},{\"taskId\":\"t2\"}]}",
		  "{\"tasks\":[{\"taskId\":\"t1\"}]}" },
	};
	char request[256], answer[512];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct scene_sink seen = { 0 };

		snprintf(request, sizeof(request), REQUEST("1", "%s", ""), rows[i].method);
		scene_waits(&sc, &seen, request);
		snprintf(answer, sizeof(answer), "\"result\":%s", rows[i].result);
		scene_answers(&sc, 0, answer);
		assert_holds(seen.last, rows[i].shown);
	}
}

/* What is no list cannot be filtered. */
ONE(a_list_that_is_none_is_an_error)
{
	static const char *const results[] = { "{\"tools\":{\"name\":\"rm\"}}", "{\"tools\":\"rm\"}",
					       "[{\"name\":\"rm\"}]" };
	char answer[128];

	for (size_t i = 0; i < ARRAY_LEN(results); i++) {
		struct scene_sink seen = { 0 };

		scene_waits(&sc, &seen, REQUEST("1", "tools/list", ""));
		snprintf(answer, sizeof(answer), "\"result\":%s", results[i]);
		scene_answers(&sc, 0, answer);
		assert_holds(seen.last, "breaks the protocol");
		assert_lacks(seen.last, "rm");
	}
}

TWO(lists_of_several_targets_contain_only_what_is_allowed)
{
	struct scene_sink seen = { 0 };

	scene_waits(&sc, &seen, REQUEST("1", "tools/list", ""));
	scene_answers(&sc, 0, "\"result\":{\"tools\":[{\"name\":\"rm\"},{\"name\":\"echo\"}]}");
	scene_answers(&sc, 1, "\"result\":{\"tools\":[{\"name\":\"echo\"},{\"name\":\"ls\"}]}");
	assert_holds(seen.last, "{\"tools\":[{\"name\":\"one_echo\"},{\"name\":\"two_echo\"}]}");
	scene_waits(&sc, &seen, REQUEST("1", "resources/list", ""));
	scene_answers(&sc, 0, "\"result\":{\"resources\":[{\"uri\":\"a://b\"},{\"uri\":\"a://c\"}]}");
	scene_answers(&sc, 1, "\"result\":{\"resources\":[{\"uri\":\"a://b\"}]}");
	assert_holds(seen.last, "{\"resources\":[{\"uri\":\"one+a://b\"}]}");
}

/* ---- prefixes */

TWO(the_target_is_part_of_what_is_allowed)
{
	passes(REQUEST("1", "tools/call", "\"name\":\"one_echo\""), 0);
	passes(REQUEST("1", "tools/call", "\"name\":\"two_echo\""), 1);
	passes(REQUEST("1", "resources/read", "\"uri\":\"one+a://b\""), 0);
	denied(REQUEST("1", "resources/read", "\"uri\":\"two+a://b\""), "Unknown resource: two+a://b");
	denied(REQUEST("1", "tools/call", "\"name\":\"one_rm\""), "Unknown tool: one_rm");
	denied(REQUEST("1", "tools/call", "\"name\":\"one_\\u0072m\""), "Unknown tool: one_rm");
	denied(REQUEST("1", "prompts/get", "\"name\":\"two_hello\""), "Unknown prompt: two_hello");
	denied(REQUEST("1", "tasks/get", "\"taskId\":\"two+t1\""), "Unknown task: two+t1");
}

ALWAYS(a_prefix_is_not_part_of_the_name)
{
	passes(REQUEST("1", "tools/call", "\"name\":\"one_echo\""), 0);
	denied(REQUEST("1", "tools/call", "\"name\":\"one_rm\""), "Unknown tool: one_rm");
	denied(REQUEST("1", "tools/call", "\"name\":\"one_one_echo\""), "Unknown tool: one_one_echo");
}

/* Without prefixes the gateway asks the targets for their lists first. */
NEVER(the_owner_of_a_name_is_found_before_the_rules_decide)
{
	struct scene_sink seen = { 0 };

	scene_waits(&sc, &seen, REQUEST("1", "tools/call", "\"name\":\"rm\""));
	assert_holds(sc.to[0], "tools/list");
	scene_answers(&sc, 0, "\"result\":{\"tools\":[{\"name\":\"echo\"}]}");
	scene_answers(&sc, 1, "\"result\":{\"tools\":[{\"name\":\"rm\"}]}");
	assert_holds(seen.last, "Unknown tool: rm");
	assert_lacks(sc.to[1], "tools/call");
	/* The owner is known now. */
	denied(REQUEST("1", "tools/call", "\"name\":\"rm\""), "Unknown tool: rm");
	scene_waits(&sc, &seen, REQUEST("1", "tools/call", "\"name\":\"echo\""));
	assert_holds(sc.to[0], "\"name\":\"echo\"");
	scene_answers(&sc, 0, "\"result\":{}");
	/* One that nobody has is refused in the same words. */
	scene_waits(&sc, &seen, REQUEST("1", "tools/call", "\"name\":\"none\""));
	scene_answers(&sc, 0, "\"result\":{\"tools\":[]}");
	scene_answers(&sc, 1, "\"result\":{\"tools\":[]}");
	assert_holds(seen.last, "Unknown tool: none");
}

/* ---- batches, and clients without a session */

/* Batches exist in 2025-03-26. */
static void open_old(void)
{
	struct scene_sink seen = { 0 };

	scene_drop(&sc);
	scene_make(&sc, MCP_SESSION_STATEFUL, 1, MCP_PREFIX_CONDITIONAL, false);
	scene_waits(&sc, &seen, INITIALIZE);
	scene_answers(&sc, 0, "\"result\":{\"protocolVersion\":\"2025-03-26\",\"capabilities\":{}}");
	sc.access = &access_of_test;
}

ONE(each_message_of_a_batch_is_checked)
{
	struct scene_sink seen = { 0 };
	struct mcp_verdict verdict;
	int before;

	open_old();
	before = sent_to_targets();
	verdict = scene_post(&sc, &seen,
			     "[" REQUEST("1", "tools/call", "\"name\":\"echo\"") "," NOTICE(
				     "tools/call", "\"name\":\"rm\"") "," REQUEST("2", "tools/call",
										  "\"name\":\"rm\"") "]");
	assert_int_equal(verdict.turn, MCP_WAITING);
	assert_true(mcp_fault_is_denial(verdict.denied));
	assert_int_equal(sent_to_targets(), before + 1);
	assert_holds(sc.to[0], "\"echo\"");
	assert_holds(seen.last, "Unknown tool: rm");
	assert_holds(seen.last, "\"id\":2");
	scene_answers(&sc, 0, "\"result\":{}");
	assert_true(seen.is_done);
	assert_int_equal(seen.count, 2);
}

SHARED_ONE(clients_of_a_shared_session_have_rules_of_their_own)
{
	static const char *const nothing[] = { NULL };
	struct mcp_access other = { .allowed = nothing };

	sc.access = &other;
	denied(REQUEST("1", "tools/call", "\"name\":\"echo\"," META), "Unknown tool: echo");
	sc.access = &access_of_test;
	passes(REQUEST("1", "tools/call", "\"name\":\"echo\"," META), 0);
	assert_int_equal(other.refs, 0);
}

SHARED_ONE(each_list_is_filtered_for_the_client_that_asked)
{
	static const char *const nothing[] = { NULL };
	struct mcp_access other = { .allowed = nothing };
	struct scene_sink seen[2] = { 0 };
	uint64_t calls[2];
	char text[256];

	for (int i = 0; i < 2; i++) {
		sc.access = i ? &other : &access_of_test;
		scene_waits(&sc, &seen[i], REQUEST("1", "tools/list", META));
		calls[i] = sc.call[0];
	}
	for (int i = 1; i >= 0; i--) {
		snprintf(text, sizeof(text),
			 "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":{\"tools\":[{\"name\":\"echo\"},"
			 "{\"name\":\"rm\"}]}}",
			 (unsigned long long)calls[i]);
		scene_says(&sc, 0, text);
	}
	assert_holds(seen[0].last, "{\"tools\":[{\"name\":\"echo\"}]}");
	assert_holds(seen[1].last, "{\"tools\":[]}");
	assert_int_equal(other.refs, 0);
}

SHARED(each_resource_of_a_subscription_is_checked)
{
	static const char *const refused[] = {
		"\"resourceSubscriptions\":[\"one+a://b\",\"one+a://c\"]",
		"\"resourceSubscriptions\":[\"two+a://b\"]",
		"\"resourceSubscriptions\":[\"one+a://b\"],\"ResourceSubscriptions\":[\"one+a://c\"]",
		"\"resourceSubscriptions\":[\"one+a://b\"],\"resourceSubscriptions\":[\"one+a://c\"]",
		"\"resource\\u0053ubscriptions\":[\"one+a://c\"]",
		"\"resourceSubscriptions\":\"one+a://c\"",
		"\"resourceSubscriptions\":[1]",
	};
	char text[512];

	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		snprintf(text, sizeof(text),
			 REQUEST("1", "subscriptions/listen", "\"notifications\":{%s},%s"), refused[i], META);
		denied(text, "error");
	}
	denied(REQUEST("1", "subscriptions/listen",
		       "\"Notifications\":{\"resourceSubscriptions\":[\"one+a://c\"]}," META),
	       "error");
	snprintf(text, sizeof(text), REQUEST("1", "subscriptions/listen", "\"notifications\":{%s},%s"),
		 "\"toolsListChanged\":true,\"resourceSubscriptions\":[\"one+a://b\"]", META);
	{
		static struct scene_sink seen;

		scene_waits(&sc, &seen, text);
		assert_holds(sc.to[0], "\"resourceSubscriptions\":[\"a://b\"]");
		mcp_session_sink_gone(sc.s, &seen.sink, MCP_GONE_CLIENT, sc.now_ms);
	}
}

/* The extension for tasks subscribes to them, too; what other members name is not known. */
SHARED_ONE(each_task_of_a_subscription_is_checked)
{
	static struct scene_sink seen;
	int before = sent_to_targets();

	denied(LISTEN("\"taskIds\":[\"t2\"]"), "Unknown task");
	denied(LISTEN("\"taskIds\":[\"t1\",\"t2\"]"), "Unknown task");
	denied(LISTEN("\"taskIds\":[\"t1\"],\"TaskIds\":[\"t2\"]"), "only in its case");
	denied(LISTEN("\"taskIds\":\"t2\""), "error");
	denied(LISTEN("\"promptNames\":[\"rm\"]"), "error");
	assert_int_equal(sent_to_targets(), before);
	scene_waits(&sc, &seen, LISTEN("\"promptsListChanged\":false,\"taskIds\":[\"t1\"]"));
	assert_holds(sc.to[0], "\"taskIds\":[\"t1\"]");
	mcp_session_sink_gone(sc.s, &seen.sink, MCP_GONE_CLIENT, sc.now_ms);
}

SHARED(a_target_gets_the_tasks_of_a_subscription_that_are_its_own)
{
	static struct scene_sink seen;

	denied(LISTEN("\"taskIds\":[\"two+t1\"]"), "Unknown task");
	scene_waits(&sc, &seen, LISTEN("\"taskIds\":[\"one+t1\",\"t2\"]"));
	assert_holds(sc.to[0], "\"taskIds\":[\"t1\"]");
	assert_holds(sc.to[1], "\"taskIds\":[]");
	mcp_session_sink_gone(sc.s, &seen.sink, MCP_GONE_CLIENT, sc.now_ms);
}

/* The post waits until the targets are initialized, and has its rules then, too. */
SINGLE(a_post_that_waits_keeps_its_rules)
{
	struct scene_sink seen = { 0 };

	scene_waits(&sc, &seen, REQUEST("1", "tools/call", "\"name\":\"rm\""));
	assert_int_equal(access_of_test.refs, 1 + 1); /* of the post, and of our initialize */
	scene_answers(&sc, 0, INITIALIZED);
	assert_holds(seen.last, "Unknown tool: rm");
	assert_lacks(sc.to[0], "tools/call");
	assert_int_equal(access_of_test.refs, 0);
}

/* The only stream of a client of 2024-11-05 carries the responses to posts with rules of their own. */
ONE(a_post_to_a_stream_of_its_own_has_its_rules)
{
	struct scene_sink only = { 0 };
	struct mcp_verdict verdict;
	struct mcp_post post;
	int before;

	scene_drop(&sc);
	scene_make(&sc, MCP_SESSION_STATEFUL, 1, MCP_PREFIX_CONDITIONAL, false);
	scene_sink_make(&only);
	only.sink.is_only = true;
	mcp_session_begin_stream(sc.s, &only.sink);
	assert_int_equal(mcp_post_read(sc.checker, span_str(INITIALIZE), &post), MCP_NONE);
	(void)mcp_session_on_post(sc.s, &only.sink, &post, &access_of_test, sc.now_ms);
	scene_answers(&sc, 0, INITIALIZED);
	before = sent_to_targets();
	assert_int_equal(
		mcp_post_read(sc.checker, span_str(REQUEST("1", "tools/call", "\"name\":\"rm\"")), &post),
		MCP_NONE);
	verdict = mcp_session_on_post(sc.s, &only.sink, &post, &access_of_test, sc.now_ms);
	assert_int_equal(verdict.turn, MCP_WAITING);
	assert_int_equal(verdict.denied, MCP_UNKNOWN_TOOL);
	assert_holds(only.last, "Unknown tool: rm");
	assert_int_equal(sent_to_targets(), before);
}
