/* SPDX-License-Identifier: Apache-2.0 */
/* One client and one target: nothing is merged, nothing has a prefix. */
#include "tests/unit/mcp_scene.h"

#include <stdlib.h>

static struct scene sc;

static int stateful_make(void **state __attribute__((unused)))
{
	scene_make(&sc, MCP_SESSION_STATEFUL, 1, MCP_PREFIX_CONDITIONAL, false);
	scene_open(&sc, 1);
	return 0;
}

static int new_make(void **state __attribute__((unused)))
{
	scene_make(&sc, MCP_SESSION_STATEFUL, 1, MCP_PREFIX_CONDITIONAL, false);
	return 0;
}

static int drop(void **state __attribute__((unused)))
{
	scene_drop(&sc);
	return 0;
}

#define STATEFUL(name) TEST_WITH(name, stateful_make, drop)
#define NEW(name) TEST_WITH(name, new_make, drop)

/* ---- initialize ---- */

NEW(initialize_goes_through_and_its_answer_is_not_touched)
{
	struct scene_sink seen = { 0 };

	scene_waits(&sc, &seen, REQUEST("\"first\"", "initialize", "\"protocolVersion\":\"2025-11-25\""));
	assert_holds(sc.to[0], "\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-11-25\"}}");
	assert_lacks(sc.to[0], "first");
	assert_int_equal(mcp_session_state(sc.s), MCP_SESSION_OPENING);
	scene_answers(&sc, 0, "\"result\":{\"protocolVersion\":\"2025-06-18\",  \"x\":[1]}");
	assert_string_equal(seen.last, "{\"jsonrpc\":\"2.0\",\"id\":\"first\",\"result\":{"
				       "\"protocolVersion\":\"2025-06-18\",  "
				       "\"x\":[1]}}");
	assert_true(seen.is_done);
	assert_int_equal(mcp_session_state(sc.s), MCP_SESSION_READY);
	assert_int_equal(mcp_session_version(sc.s), MCP_2025_06_18);
	assert_int_equal(mcp_session_target_version(sc.s, 0), MCP_2025_06_18);
	scene_refused(&sc, INITIALIZE, MCP_TWICE_READY);
}

NEW(nothing_but_ping_comes_before_initialize)
{
	struct scene_sink seen = { 0 };

	scene_refused(&sc, REQUEST("1", "tools/list", ""), MCP_NOT_READY);
	scene_accepted(&sc, NOTICE("notifications/initialized", ""));
	assert_int_equal(sc.sent[0], 0);
	scene_waits(&sc, &seen, REQUEST("1", "ping", ""));
	assert_string_equal(seen.last, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}");
	assert_true(seen.is_done);
	assert_int_equal(sc.sent[0], 0);
}

NEW(an_initialize_that_fails_ends_the_session)
{
	struct scene_sink seen = { 0 };

	scene_waits(&sc, &seen, INITIALIZE);
	scene_answers(&sc, 0, "\"error\":{\"code\":-32602,\"message\":\"no such version\"}");
	assert_holds(seen.last, "no such version");
	assert_holds(seen.last, "\"id\":0");
	assert_true(seen.is_done);
	assert_int_equal(mcp_session_state(sc.s), MCP_SESSION_OVER);
	scene_refused(&sc, REQUEST("1", "tools/list", ""), MCP_ENDED);
}

NEW(an_initialize_result_that_is_none_does_not_reach_the_client)
{
	static const char *const lies[] = {
		"7",
		"{}",
		"{\"protocolVersion\":7,\"capabilities\":{}}",
		"{\"protocolVersion\":\"2025-06-18\",\"capabilities\":[]}",
	};

	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		struct scene_sink seen = { 0 };
		char text[128];

		scene_drop(&sc);
		scene_make(&sc, MCP_SESSION_STATEFUL, 1, MCP_PREFIX_CONDITIONAL, false);
		scene_waits(&sc, &seen, INITIALIZE);
		snprintf(text, sizeof(text), "\"result\":%s", lies[i]);
		scene_answers(&sc, 0, text);
		assert_holds(seen.last, "breaks the protocol");
		assert_int_equal(mcp_session_state(sc.s), MCP_SESSION_OVER);
	}
}

NEW(a_client_that_leaves_before_it_has_a_session_ends_it)
{
	struct scene_sink seen = { 0 };

	scene_waits(&sc, &seen, INITIALIZE);
	mcp_session_sink_gone(sc.s, &seen.sink, MCP_GONE_CLIENT, sc.now_ms);
	assert_int_equal(mcp_session_state(sc.s), MCP_SESSION_OVER);
	assert_false(seen.is_done);
}

/* ---- requests ---- */

STATEFUL(an_answer_comes_back_with_the_id_of_the_client)
{
	static const char *const ids[] = { "1", "-5", "\"a\\\"b\"", "\"\"",
					   "123456789012345678901234567890" };
	struct scene_sink seen = { 0 };
	char text[256];
	char expected[256];

	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		snprintf(text, sizeof(text),
			 "{\"method\":\"tools/call\", \"id\" : %s,\"params\":{\"name\":\"echo\"},"
			 "\"jsonrpc\":\"2.0\"}",
			 ids[i]);
		scene_waits(&sc, &seen, text);
		snprintf(expected, sizeof(expected),
			 "{\"method\":\"tools/call\", \"id\" : "
			 "%llu,\"params\":{\"name\":\"echo\"},\"jsonrpc\":\"2.0\"}",
			 (unsigned long long)sc.call[0]);
		assert_string_equal(sc.to[0], expected);
		assert_string_equal(sc.name[0], "echo");
		assert_int_equal(seen.count, 0);
		scene_answers(&sc, 0, "\"result\":{\"content\":[]}");
		snprintf(expected, sizeof(expected),
			 "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"content\":[]}}", ids[i]);
		assert_string_equal(seen.last, expected);
		assert_true(seen.is_done);
	}
	assert_int_equal(mcp_session_calls(sc.s), 0);
}

STATEFUL(a_message_of_several_lines_becomes_one)
{
	struct scene_sink seen = { 0 };
	char text[256];

	scene_waits(&sc, &seen,
		    "{\n\"jsonrpc\":\"2.0\",\r\n\"id\":1,\n\"method\":\"x\",\"params\":\n{\"a\":\"\\n\"}\n}"
		    "\n");
	snprintf(text, sizeof(text),
		 "{ \"jsonrpc\":\"2.0\",  \"id\":%llu, \"method\":\"x\",\"params\": {\"a\":\"\\n\"} }",
		 (unsigned long long)sc.call[0]);
	assert_string_equal(sc.to[0], text);
	snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\",\n\"id\":%llu,\n\"result\":{\r}}",
		 (unsigned long long)sc.call[0]);
	scene_says(&sc, 0, text);
	assert_string_equal(seen.last, "{\"jsonrpc\":\"2.0\", \"id\":1, \"result\":{ }}");
}

STATEFUL(answers_find_their_requests_in_any_order)
{
	struct scene_sink seen[3] = { 0 };
	uint64_t calls[3];
	char text[128];

	for (size_t i = 0; i < 3; i++) {
		snprintf(text, sizeof(text), REQUEST("%zu", "tools/call", "\"name\":\"a\""), i + 1);
		scene_waits(&sc, &seen[i], text);
		calls[i] = sc.call[0];
	}
	for (size_t i = 3; i-- > 0;) {
		snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\",\"result\":%zu,\"id\":%llu}", i + 70,
			 (unsigned long long)calls[i]);
		scene_says(&sc, 0, text);
		snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\",\"result\":%zu,\"id\":%zu}", i + 70,
			 i + 1);
		assert_string_equal(seen[i].last, text);
	}
}

STATEFUL(a_number_under_way_is_not_used_twice)
{
	struct scene_sink seen = { 0 };

	scene_waits(&sc, &seen, REQUEST("7", "tools/call", "\"name\":\"a\""));
	scene_refused(&sc, REQUEST("7", "tools/call", "\"name\":\"b\""), MCP_DOUBLE_ID);
	scene_answers(&sc, 0, "\"result\":{}");
	scene_waits(&sc, &seen, REQUEST("7", "tools/call", "\"name\":\"b\""));
}

STATEFUL(progress_comes_with_the_token_of_the_client)
{
	struct scene_sink seen = { 0 };
	char text[256];

	scene_waits(&sc, &seen,
		    REQUEST("1", "tools/call", "\"name\":\"a\",\"_meta\":{\"progressToken\":\"mine\"}"));
	snprintf(text, sizeof(text), "\"progressToken\":%llu}", (unsigned long long)sc.call[0]);
	assert_holds(sc.to[0], text);
	snprintf(text, sizeof(text),
		 NOTICE("notifications/progress", "\"progressToken\":%llu,\"progress\":1"),
		 (unsigned long long)sc.call[0]);
	scene_says(&sc, 0, text);
	assert_string_equal(seen.last, NOTICE("notifications/progress", "\"progressToken\":\"mine\","
									"\"progress\":1"));
	assert_false(seen.is_done);
	scene_answers(&sc, 0, "\"result\":{}");
	assert_int_equal(seen.count, 2);
	/* Too late. */
	scene_says(&sc, 0, text);
	assert_int_equal(seen.count, 2);
	assert_int_equal(sc.oddities[MCP_ODD_UNKNOWN_TOKEN], 1);
}

STATEFUL(too_many_requests_are_refused)
{
	static struct scene_sink seen[LIMIT_MCP_CALLS];
	char text[128];

	for (size_t i = 0; i < LIMIT_MCP_CALLS; i++) {
		snprintf(text, sizeof(text), REQUEST("%zu", "tools/call", "\"name\":\"a\""), i);
		scene_waits(&sc, &seen[i], text);
	}
	scene_refused(&sc, REQUEST("999", "tools/call", "\"name\":\"a\""), MCP_TOO_MANY_CALLS);
	scene_answers(&sc, 0, "\"result\":{}");
	scene_waits(&sc, &seen[LIMIT_MCP_CALLS - 1], REQUEST("999", "tools/call", "\"name\":\"a\""));
}

/* ---- batches ---- */

STATEFUL(batches_are_of_one_version_only)
{
	scene_refused(&sc, "[" REQUEST("1", "ping", "") "]", MCP_BATCH);
}

NEW(every_request_of_a_batch_is_answered)
{
	struct scene_sink seen = { 0 };

	scene_waits(&sc, &seen, INITIALIZE);
	scene_answers(&sc, 0, "\"result\":{\"protocolVersion\":\"2025-03-26\"}");
	scene_waits(
		&sc, &seen,
		"[" REQUEST("1", "ping", "") "," NOTICE("notifications/roots/list_changed", "") "," REQUEST(
			"2", "tools/call", "\"name\":\"a\"") "," REQUEST("2", "tools/call",
									 "\"name\":\"b\"") ",{\"jsonrpc\":"
											   "\"2.0\",\"id\":3,"
											   "\"result\":{}}]");
	assert_int_equal(seen.count, 2);
	assert_holds(seen.last, "under way");
	assert_false(seen.is_done);
	assert_int_equal(sc.sent[0], 3);
	scene_answers(&sc, 0, "\"result\":{}");
	assert_int_equal(seen.count, 3);
	assert_true(seen.is_done);
	scene_accepted(&sc, "[" NOTICE("notifications/roots/list_changed", "") "]");
}

/* ---- what a target asks and tells ---- */

STATEFUL(a_target_asks_the_client_and_gets_its_answer)
{
	struct scene_sink seen = { 0 };
	char text[256];
	const char *id;

	scene_waits(&sc, &seen, REQUEST("1", "tools/call", "\"name\":\"a\""));
	scene_says(&sc, 0,
		   REQUEST("\"ask\"", "sampling/createMessage", "\"_meta\":{\"progressToken\":\"tok\"}"));
	assert_int_equal(seen.count, 1);
	assert_holds(seen.last, "sampling/createMessage");
	assert_lacks(seen.last, "ask");
	assert_lacks(seen.last, "tok\"");
	id = strstr(seen.last, "\"id\":") + 5;
	snprintf(text, sizeof(text),
		 NOTICE("notifications/progress", "\"progressToken\":%llu,\"progress\":1"),
		 strtoull(id, NULL, 10));
	scene_accepted(&sc, text);
	assert_holds(sc.to[0], "\"progressToken\":\"tok\"");
	snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":{\"model\":\"m\"}}",
		 strtoull(id, NULL, 10));
	scene_accepted(&sc, text);
	assert_string_equal(sc.to[0], "{\"jsonrpc\":\"2.0\",\"id\":\"ask\",\"result\":{\"model\":\"m\"}}");
	/* Once. */
	sc.to[0][0] = '\0';
	scene_accepted(&sc, text);
	assert_string_equal(sc.to[0], "");
	scene_answers(&sc, 0, "\"result\":{}");
	assert_true(seen.is_done);
}

STATEFUL(a_target_that_asks_without_end_is_refused)
{
	struct scene_sink stream;
	char text[256];

	scene_sink_make(&stream);
	assert_int_equal(mcp_session_on_stream(sc.s, &stream.sink, 0).turn, MCP_WAITING);
	for (int i = 0; i < LIMIT_MCP_CALLS + 1; i++) {
		snprintf(text, sizeof(text), REQUEST("%d", "roots/list", ""), i);
		scene_says(&sc, 0, text);
	}
	assert_int_equal(stream.count, LIMIT_MCP_CALLS);
	snprintf(text, sizeof(text), "\"id\":%d,\"error\"", LIMIT_MCP_CALLS);
	assert_holds(sc.to[0], text);
}

STATEFUL(a_target_takes_its_question_back)
{
	struct scene_sink seen = { 0 };
	unsigned long long id;
	char text[256];

	scene_waits(&sc, &seen, REQUEST("1", "tools/call", "\"name\":\"a\""));
	scene_says(&sc, 0, REQUEST("5", "elicitation/create", ""));
	id = strtoull(strstr(seen.last, "\"id\":") + 5, NULL, 10);
	scene_says(&sc, 0, NOTICE("notifications/cancelled", "\"requestId\":6"));
	assert_int_equal(seen.count, 1);
	assert_int_equal(sc.oddities[MCP_ODD_UNKNOWN_ID], 1);
	scene_says(&sc, 0, NOTICE("notifications/cancelled", "\"requestId\":5"));
	snprintf(text, sizeof(text), NOTICE("notifications/cancelled", "\"requestId\":%llu"), id);
	assert_string_equal(seen.last, text);
	sc.to[0][0] = '\0';
	snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":{}}", id);
	scene_accepted(&sc, text);
	assert_string_equal(sc.to[0], "");
}

STATEFUL(a_ping_of_a_target_is_answered_here)
{
	scene_says(&sc, 0, REQUEST("\"p\"", "ping", ""));
	assert_string_equal(sc.to[0], "{\"jsonrpc\":\"2.0\",\"id\":\"p\",\"result\":{}}");
}

STATEFUL(log_messages_go_to_the_request_under_way_and_else_to_the_stream)
{
	struct scene_sink seen = { 0 };
	struct scene_sink stream;

	/* Nobody reads: it waits. */
	scene_says(&sc, 0, NOTICE("notifications/message", "\"data\":1"));
	scene_sink_make(&stream);
	assert_int_equal(mcp_session_on_stream(sc.s, &stream.sink, 0).turn, MCP_WAITING);
	assert_int_equal(stream.count, 1);
	assert_holds(stream.last, "\"data\":1");
	scene_waits(&sc, &seen, REQUEST("1", "tools/call", "\"name\":\"a\""));
	scene_says(&sc, 0, NOTICE("notifications/message", "\"data\":2"));
	assert_holds(seen.last, "\"data\":2");
	scene_says(&sc, 0, NOTICE("notifications/tools/list_changed", ""));
	assert_holds(stream.last, "list_changed");
	mcp_session_sink_gone(sc.s, &stream.sink, MCP_GONE_CLIENT, sc.now_ms);
	scene_says(&sc, 0, NOTICE("notifications/prompts/list_changed", ""));
	assert_holds(seen.last, "\"data\":2");
	scene_sink_make(&stream);
	assert_int_equal(mcp_session_on_stream(sc.s, &stream.sink, 0).turn, MCP_WAITING);
	assert_holds(stream.last, "prompts");
	scene_answers(&sc, 0, "\"result\":{}");
	scene_says(&sc, 0, NOTICE("notifications/message", "\"data\":3"));
	assert_holds(stream.last, "\"data\":3");
	assert_false(stream.is_done);
}

STATEFUL(what_belongs_to_no_request_stays_off_its_stream)
{
	struct scene_sink seen[2] = { 0 };
	struct scene_sink stream;
	const char *text = REQUEST("9", "roots/list", "");

	scene_waits(&sc, &seen[0], REQUEST("1", "tools/call", "\"name\":\"a\""));
	mcp_session_on_target(sc.s, 0, MCP_CALL_NONE, span_str(text), sc.now_ms);
	assert_int_equal(seen[0].count, 0);
	/* On a pipe nobody knows: the newest, as long as there is no better stream. */
	scene_waits(&sc, &seen[1], REQUEST("2", "tools/call", "\"name\":\"a\""));
	scene_says(&sc, 0, text);
	assert_int_equal(seen[0].count, 0);
	assert_int_equal(seen[1].count, 1);
	scene_sink_make(&stream);
	assert_int_equal(mcp_session_on_stream(sc.s, &stream.sink, 0).turn, MCP_WAITING);
	assert_int_equal(stream.count, 1);
	scene_says(&sc, 0, text);
	assert_int_equal(stream.count, 2);
	assert_int_equal(seen[1].count, 1);
}

STATEFUL(a_session_has_one_stream)
{
	struct scene_sink streams[2];

	scene_sink_make(&streams[0]);
	scene_sink_make(&streams[1]);
	assert_int_equal(mcp_session_on_stream(sc.s, &streams[0].sink, 0).turn, MCP_WAITING);
	assert_int_equal(mcp_session_on_stream(sc.s, &streams[1].sink, 0).fault, MCP_STREAM_TAKEN);
	mcp_session_sink_gone(sc.s, &streams[0].sink, MCP_GONE_CLIENT, sc.now_ms);
	assert_int_equal(mcp_session_on_stream(sc.s, &streams[1].sink, 0).turn, MCP_WAITING);
}

STATEFUL(a_flood_for_a_client_that_does_not_read_is_bounded)
{
	char text[1100];

	memset(text, ' ', sizeof(text));
	memcpy(text, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}", 50);
	text[sizeof(text) - 1] = '\0';
	for (int i = 0; i < 10 * LIMIT_MCP_QUEUE_MESSAGES; i++)
		scene_says(&sc, 0, text);
	assert_true(mcp_session_bytes(sc.s) < 2 * LIMIT_MCP_QUEUE_BYTES);
	assert_int_equal(sc.oddities[MCP_ODD_DROPPED], 9 * LIMIT_MCP_QUEUE_MESSAGES);
	sc.now_ms += LIMIT_MCP_RESUME_MS;
	assert_int_equal(mcp_session_tick(sc.s, sc.now_ms), 0);
	assert_true(mcp_session_bytes(sc.s) < 1024);
}

/* ---- lies ---- */

STATEFUL(what_is_no_message_of_a_target_is_dropped)
{
	struct scene_sink seen = { 0 };

	scene_waits(&sc, &seen, REQUEST("1", "tools/call", "\"name\":\"a\""));
	scene_says(&sc, 0, "hello");
	scene_says(&sc, 0, "{\"id\":1}");
	scene_says(&sc, 0, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{},\"error\":{}}");
	assert_int_equal(sc.oddities[MCP_ODD_NOT_JSON], 3);
	scene_says(&sc, 0, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}");
	scene_says(&sc, 0, "{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"result\":{}}");
	scene_says(&sc, 0, "{\"jsonrpc\":\"2.0\",\"id\":-1,\"result\":{}}");
	scene_says(&sc, 0, "{\"jsonrpc\":\"2.0\",\"error\":{}}");
	assert_int_equal(sc.oddities[MCP_ODD_UNKNOWN_ID], 4);
	scene_says(&sc, 0, NOTICE("notifications/progress", "\"progressToken\":1,\"progress\":1"));
	scene_says(&sc, 0, NOTICE("notifications/progress", "\"progress\":1"));
	assert_int_equal(sc.oddities[MCP_ODD_UNKNOWN_TOKEN], 2);
	assert_int_equal(seen.count, 0);
	scene_answers(&sc, 0, "\"result\":{}");
	assert_int_equal(seen.count, 1);
	scene_answers(&sc, 0, "\"result\":{}");
	assert_int_equal(sc.oddities[MCP_ODD_UNKNOWN_ID], 5);
	assert_int_equal(seen.count, 1);
}
