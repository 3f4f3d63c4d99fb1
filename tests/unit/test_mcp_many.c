/* SPDX-License-Identifier: Apache-2.0 */
/* One client and several targets, which are one server to it. */
#include "tests/unit/mcp_scene.h"

#include <errno.h>
#include <stdlib.h>

#include "tests/lib/alloc.h"
#include "user/http/fields.h"

static struct scene sc;

static void make(uint32_t targets, enum mcp_prefix_mode mode, bool fail_open)
{
	scene_make(&sc, MCP_SESSION_STATEFUL, targets, mode, fail_open);
	scene_open(&sc, targets);
}

static int closed_make(void **state __attribute__((unused)))
{
	make(3, MCP_PREFIX_CONDITIONAL, false);
	return 0;
}

static int open_make(void **state __attribute__((unused)))
{
	make(3, MCP_PREFIX_CONDITIONAL, true);
	return 0;
}

static int never_make(void **state __attribute__((unused)))
{
	make(2, MCP_PREFIX_NEVER, false);
	return 0;
}

static int always_make(void **state __attribute__((unused)))
{
	make(1, MCP_PREFIX_ALWAYS, false);
	return 0;
}

static int fresh_make(void **state __attribute__((unused)))
{
	scene_make(&sc, MCP_SESSION_STATEFUL, 3, MCP_PREFIX_CONDITIONAL, true);
	return 0;
}

static int drop(void **state __attribute__((unused)))
{
	scene_drop(&sc);
	return 0;
}

#define CLOSED(name) TEST_WITH(name, closed_make, drop)
#define OPEN(name) TEST_WITH(name, open_make, drop)
#define NEVER(name) TEST_WITH(name, never_make, drop)
#define ALWAYS(name) TEST_WITH(name, always_make, drop)
#define FRESH(name) TEST_WITH(name, fresh_make, drop)

/* ---- initialize ---- */

FRESH(the_answers_to_initialize_become_one)
{
	struct scene_sink seen = { 0 };

	scene_waits(&sc, &seen, INITIALIZE);
	scene_answers(&sc, 1,
		      "\"result\":{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{\"tools\":{"
		      "\"listChanged\":false},"
		      "\"logging\":{},\"experimental\":{\"a\":1}},\"instructions\":\"say \\\"please\\\"\"}");
	scene_answers(&sc, 0,
		      "\"result\":{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"tools\":{},"
		      "\"experimental\":{\"b\":2}}}");
	assert_int_equal(seen.count, 0);
	scene_answers(&sc, 2,
		      "\"result\":{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"tools\":{"
		      "\"listChanged\":true},"
		      "\"resources\":{\"subscribe\":true}},\"instructions\":\"hi\"}");
	assert_string_equal(seen.last, "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{\"protocolVersion\":\"2025-"
				       "06-18\",\"capabilities\":{"
				       "\"tools\":{\"listChanged\":true},\"experimental\":{\"b\":2,\"a\":1},"
				       "\"logging\":{},"
				       "\"resources\":{\"subscribe\":true}},\"serverInfo\":{\"name\":"
				       "\"headgate\",\"version\":\"1\"},"
				       "\"instructions\":\"[two]\\nsay \\\"please\\\"\\n\\n[three]\\nhi\"}}");
	assert_true(seen.is_done);
	assert_int_equal(mcp_session_version(sc.s), MCP_2025_06_18);
	assert_int_equal(mcp_session_target_version(sc.s, 0), MCP_2025_11_25);
}

FRESH(what_a_target_announces_at_length_counts_as_nothing)
{
	static char text[LIMIT_MCP_CAPABILITIES_BYTES + 256];
	struct scene_sink seen = { 0 };

	scene_waits(&sc, &seen, INITIALIZE);
	for (uint32_t i = 0; i < 3; i++) {
		snprintf(text, sizeof(text),
			 "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":{\"protocolVersion\":\"2025-06-18\","
			 "\"capabilities\":"
			 "{\"c%u\":{%*s}}}}",
			 (unsigned long long)sc.call[i], i, i == 1 ? LIMIT_MCP_CAPABILITIES_BYTES : 1, "");
		scene_says(&sc, i, text);
	}
	assert_holds(seen.last, "\"c0\"");
	assert_lacks(seen.last, "\"c1\"");
	assert_holds(seen.last, "\"c2\"");
}

FRESH(fail_open_goes_on_without_those_that_refuse)
{
	struct scene_sink seen = { 0 };

	scene_waits(&sc, &seen, INITIALIZE);
	scene_answers(&sc, 0, "\"error\":{\"code\":-32601,\"message\":\"no\"}");
	mcp_session_on_target_lost(sc.s, 2, SPAN("gone"), sc.now_ms);
	scene_answers(&sc, 1, INITIALIZED);
	assert_true(seen.is_done);
	assert_holds(seen.last, "\"result\"");
	assert_int_equal(mcp_session_state(sc.s), MCP_SESSION_READY);
	assert_true(mcp_session_is_lost(sc.s, 0));
	assert_false(mcp_session_is_lost(sc.s, 1));
	scene_waits(&sc, &seen, REQUEST("1", "tools/call", "\"name\":\"one_a\""));
	assert_holds(seen.last, "no target answers");
}

FRESH(fail_open_does_not_wait_without_end)
{
	struct scene_sink seen = { 0 };

	scene_waits(&sc, &seen, INITIALIZE);
	assert_int_equal(mcp_session_tick(sc.s, sc.now_ms + 100000), 0);
	scene_answers(&sc, 1, INITIALIZED);
	assert_int_equal(mcp_session_tick(sc.s, sc.now_ms), sc.now_ms + LIMIT_MCP_OPEN_MS);
	assert_false(seen.is_done);
	sc.now_ms += LIMIT_MCP_OPEN_MS;
	assert_int_equal(mcp_session_tick(sc.s, sc.now_ms), 0);
	assert_true(seen.is_done);
	assert_int_equal(mcp_session_state(sc.s), MCP_SESSION_READY);
	assert_true(mcp_session_is_lost(sc.s, 0) && mcp_session_is_lost(sc.s, 2));
}

FRESH(fail_open_goes_on_without_those_that_lie)
{
	struct scene_sink seen = { 0 };

	scene_waits(&sc, &seen, INITIALIZE);
	scene_answers(&sc, 0, "\"result\":[\"protocolVersion\"]");
	scene_answers(&sc, 1, INITIALIZED);
	scene_answers(&sc, 2, INITIALIZED);
	assert_holds(seen.last, "\"result\"");
	assert_true(mcp_session_is_lost(sc.s, 0));
}

FRESH(only_targets_that_have_something_are_asked_for_it)
{
	static const char *const has[] = { "\"tools\":{}", "\"resources\":{},\"logging\":{}", "" };
	struct scene_sink seen = { 0 };
	char text[256];

	scene_waits(&sc, &seen, INITIALIZE);
	for (uint32_t i = 0; i < ARRAY_LEN(has); i++) {
		snprintf(text, sizeof(text),
			 "\"result\":{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{%s}}", has[i]);
		scene_answers(&sc, i, text);
		sc.to[i][0] = '\0';
	}
	scene_waits(&sc, &seen, REQUEST("1", "tools/list", ""));
	scene_answers(&sc, 0, "\"result\":{\"tools\":[]}");
	assert_true(seen.is_done);
	scene_waits(&sc, &seen, REQUEST("1", "logging/setLevel", ""));
	assert_holds(sc.to[1], "setLevel");
	scene_answers(&sc, 1, "\"result\":{}");
	assert_true(seen.is_done);
	scene_waits(&sc, &seen, REQUEST("1", "prompts/list", ""));
	assert_holds(seen.last, "-32601");
	assert_string_equal(sc.to[2], "");
}

/* ---- names ---- */

CLOSED(a_tool_is_called_by_the_name_its_target_knows)
{
	struct scene_sink seen = { 0 };

	scene_waits(
		&sc, &seen,
		REQUEST("1", "tools/call", "\"arguments\":{\"name\":\"one_x\"},\"name\":\"two_echo_it\""));
	assert_holds(sc.to[1], "\"arguments\":{\"name\":\"one_x\"},\"name\":\"echo_it\"}}");
	assert_string_equal(sc.name[1], "echo_it");
	scene_answers(&sc, 1,
		      "\"result\":{\"content\":[{\"type\":\"resource_link\",\"uri\":\"file:///a\"},"
		      "{\"type\":\"text\",\"text\":\"file:///b\",\"uri\":\"no\"},"
		      "{\"type\":\"resource\",\"resource\":{\"uri\":\"x:y\",\"text\":\"\"}}]}");
	assert_string_equal(
		seen.last,
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[{\"type\":\"resource_link\","
		"\"uri\":\"two+file:///a\"},{\"type\":\"text\",\"text\":\"file:///b\",\"uri\":\"no\"},"
		"{\"type\":\"resource\",\"resource\":{\"uri\":\"two+x:y\",\"text\":\"\"}}]}}");
}

CLOSED(a_name_of_no_target_is_an_error)
{
	static const char *const bads[] = { "echo",    "four_echo", "_echo", "ONE_echo",
					    "on_echo", "onee_echo", "" };
	struct scene_sink seen = { 0 };
	char text[128];

	for (size_t i = 0; i < ARRAY_LEN(bads); i++) {
		snprintf(text, sizeof(text), REQUEST("1", "tools/call", "\"name\":\"%s\""), bads[i]);
		scene_waits(&sc, &seen, text);
		assert_holds(seen.last, "\"code\":-32602");
		assert_true(seen.is_done);
	}
	scene_waits(&sc, &seen, REQUEST("1", "tools/call", "\"name\":7"));
	assert_holds(seen.last, "\"code\":-32602");
	scene_waits(&sc, &seen, REQUEST("1", "some/thing", ""));
	assert_holds(seen.last, "\"code\":-32601");
}

CLOSED(resources_and_tasks_have_prefixes_too)
{
	struct scene_sink seen = { 0 };

	scene_waits(&sc, &seen, REQUEST("1", "resources/read", "\"uri\":\"three+file:\\/\\/\\/a+b\""));
	assert_holds(sc.to[2], "\"uri\":\"file:\\/\\/\\/a+b\"");
	scene_answers(&sc, 2, "\"result\":{\"contents\":[{\"uri\":\"file:///a+b\",\"text\":\"\"}]}");
	assert_holds(seen.last, "\"uri\":\"three+file:///a+b\"");
	scene_waits(&sc, &seen,
		    REQUEST("1", "completion/complete",
			    "\"ref\":{\"type\":\"ref/prompt\",\"name\":\"one_p\"},\"argument\":{}"));
	assert_holds(sc.to[0], "\"name\":\"p\"");
	scene_answers(&sc, 0, "\"result\":{}");
	scene_waits(&sc, &seen, REQUEST("2", "tasks/get", "\"taskId\":\"two+77\""));
	assert_holds(sc.to[1], "\"taskId\":\"77\"");
	scene_answers(&sc, 1, "\"result\":{\"taskId\":\"77\",\"status\":\"working\"}");
	assert_holds(seen.last, "\"taskId\":\"two+77\"");
	scene_says(&sc, 2, NOTICE("notifications/resources/updated", "\"uri\":\"file:///c\""));
	scene_sink_make(&seen);
	assert_int_equal(mcp_session_on_stream(sc.s, &seen.sink, 0).turn, MCP_WAITING);
	assert_holds(seen.last, "\"uri\":\"three+file:///c\"");
}

ALWAYS(one_target_may_have_a_prefix)
{
	struct scene_sink seen = { 0 };

	scene_waits(&sc, &seen, REQUEST("1", "tools/list", ""));
	scene_answers(&sc, 0, "\"result\":{\"tools\":[{\"name\":\"a\"}]}");
	assert_holds(seen.last, "{\"tools\":[{\"name\":\"one_a\"}]}");
	scene_waits(&sc, &seen, REQUEST("1", "tools/call", "\"name\":\"one_a\""));
	assert_holds(sc.to[0], "\"name\":\"a\"");
}

/* ---- lists ---- */

CLOSED(lists_become_one_and_a_cursor_leads_on)
{
	struct scene_sink seen = { 0 };
	char text[512];
	char *cursor;

	scene_waits(&sc, &seen, REQUEST("1", "tools/list", ""));
	scene_answers(&sc, 2,
		      "\"result\":{\"tools\":[{\"x\":{\"name\":1},\"name\":\"c\"}],\"nextCursor\":"
		      "\"p\\u00e92\"}");
	scene_answers(&sc, 0, "\"result\":{\"tools\":[{\"name\":\"a\"},{\"name\":7},{\"name\":\"b\"}]}");
	scene_answers(&sc, 1, "\"error\":{\"code\":-32601,\"message\":\"no tools here\"}");
	assert_holds(seen.last, "{\"tools\":[{\"name\":\"one_a\"},{\"name\":\"one_b\"},{\"x\":{\"name\":1},"
				"\"name\":\"three_c\"}],"
				"\"nextCursor\":\"");
	cursor = strstr(seen.last, "nextCursor\":\"") + 13;
	*strchr(cursor, '"') = '\0';
	snprintf(text, sizeof(text), REQUEST("2", "tools/list", "\"cursor\":\"%s\""), cursor);
	sc.sent[0] = sc.sent[1] = sc.sent[2] = 0;
	scene_waits(&sc, &seen, text);
	assert_int_equal(sc.sent[0] + sc.sent[1], 0);
	assert_holds(sc.to[2], "\"cursor\":\"p\\u00e92\"");
	scene_answers(&sc, 2, "\"result\":{\"tools\":[]}");
	assert_holds(seen.last, "\"result\":{\"tools\":[]}}");
}

CLOSED(a_cursor_that_is_not_ours_is_refused)
{
	static const char *const bads[] = { "",	    "x",     "3-",   "0",     "0-1",
					    "0-1g", "0-.0-", "-",    "0-00.", ".",
					    "0-22", "0-0a",  "0-5c", "0-ff",  "99999999999999999999-" };
	struct scene_sink seen = { 0 };
	char text[256];

	for (size_t i = 0; i < ARRAY_LEN(bads); i++) {
		sc.sent[0] = 0;
		snprintf(text, sizeof(text), REQUEST("1", "tools/list", "\"cursor\":\"%s\""), bads[i]);
		scene_waits(&sc, &seen, text);
		assert_holds(seen.last, "cursor");
		assert_int_equal(sc.sent[0], 0);
	}
}

CLOSED(a_list_that_is_none_is_a_lie)
{
	struct scene_sink seen = { 0 };

	scene_waits(&sc, &seen, REQUEST("1", "tools/list", ""));
	scene_answers(&sc, 0, "\"result\":{\"tools\":{}}");
	scene_answers(&sc, 1, "\"result\":{\"tools\":[]}");
	scene_answers(&sc, 2, "\"result\":17");
	assert_holds(seen.last, "-32603");
	assert_true(seen.is_done);
}

CLOSED(fail_closed_passes_on_an_error_and_fail_open_does_not)
{
	struct scene_sink seen = { 0 };

	scene_waits(&sc, &seen, REQUEST("\"l\"", "tools/list", ""));
	scene_answers(&sc, 0, "\"result\":{\"tools\":[]}");
	scene_answers(&sc, 1, "\"error\":{\"code\":-5,\"message\":\"ill\"}");
	scene_answers(&sc, 2, "\"result\":{\"tools\":[]}");
	assert_string_equal(seen.last, "{\"jsonrpc\":\"2.0\",\"id\":\"l\",\"error\":{\"code\":-5,\"message\":"
				       "\"ill\"}}");
}

OPEN(fail_open_lists_what_there_is)
{
	struct scene_sink seen = { 0 };

	scene_waits(&sc, &seen, REQUEST("1", "tools/list", ""));
	scene_answers(&sc, 0, "\"result\":{\"tools\":[{\"name\":\"a\"}]}");
	scene_answers(&sc, 1, "\"error\":{\"code\":-5,\"message\":\"ill\"}");
	mcp_session_on_target_lost(sc.s, 2, SPAN("gone"), sc.now_ms);
	assert_holds(seen.last, "{\"tools\":[{\"name\":\"one_a\"}]}");
	assert_int_equal(mcp_session_state(sc.s), MCP_SESSION_READY);
	mcp_session_on_target_lost(sc.s, 0, SPAN("gone"), sc.now_ms);
	mcp_session_on_target_lost(sc.s, 1, SPAN("gone"), sc.now_ms);
	assert_int_equal(mcp_session_state(sc.s), MCP_SESSION_OVER);
}

CLOSED(fail_closed_ends_with_the_first_target_that_is_gone)
{
	struct scene_sink seen = { 0 };

	scene_waits(&sc, &seen, REQUEST("1", "tools/list", ""));
	mcp_session_on_target_lost(sc.s, 1, SPAN("gone"), sc.now_ms);
	assert_holds(seen.last, "\"error\"");
	assert_true(seen.is_done);
	assert_int_equal(mcp_session_state(sc.s), MCP_SESSION_OVER);
}

CLOSED(the_log_level_goes_to_all)
{
	struct scene_sink seen = { 0 };

	scene_waits(&sc, &seen, REQUEST("1", "logging/setLevel", "\"level\":\"debug\""));
	scene_answers(&sc, 0, "\"result\":{\"x\":1}");
	scene_answers(&sc, 1, "\"error\":{\"code\":-32601,\"message\":\"\"}");
	assert_int_equal(seen.count, 0);
	scene_answers(&sc, 2, "\"result\":{}");
	assert_string_equal(seen.last, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}");
}

/* ---- lies ---- */

CLOSED(a_target_cannot_answer_for_another)
{
	struct scene_sink seen = { 0 };
	char text[256];

	scene_waits(&sc, &seen,
		    REQUEST("1", "tools/call", "\"name\":\"two_a\",\"_meta\":{\"progressToken\":1}"));
	snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":{}}",
		 (unsigned long long)sc.call[1]);
	scene_says(&sc, 0, text);
	assert_int_equal(sc.oddities[MCP_ODD_UNKNOWN_ID], 1);
	snprintf(text, sizeof(text), NOTICE("notifications/progress", "\"progressToken\":%llu"),
		 (unsigned long long)sc.call[1]);
	scene_says(&sc, 0, text);
	assert_int_equal(sc.oddities[MCP_ODD_UNKNOWN_TOKEN], 1);
	assert_int_equal(seen.count, 0);
	mcp_session_on_call_lost(sc.s, 0, sc.call[1], SPAN("not mine"), sc.now_ms);
	assert_int_equal(seen.count, 0);
	scene_answers(&sc, 1, "\"result\":{}");
	assert_int_equal(seen.count, 1);
}

CLOSED(questions_of_targets_with_the_same_number_find_back)
{
	struct scene_sink stream;
	unsigned long long ids[2];
	char text[256];

	scene_sink_make(&stream);
	assert_int_equal(mcp_session_on_stream(sc.s, &stream.sink, 0).turn, MCP_WAITING);
	for (uint32_t i = 0; i < 2; i++) {
		scene_says(&sc, i, REQUEST("1", "roots/list", ""));
		ids[i] = strtoull(strstr(stream.last, "\"id\":") + 5, NULL, 10);
	}
	assert_true(ids[0] != ids[1]);
	snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":{\"for\":\"two\"}}",
		 ids[1]);
	scene_accepted(&sc, text);
	assert_string_equal(sc.to[1], "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"for\":\"two\"}}");
	assert_lacks(sc.to[0], "for");
}

/* ---- without prefixes ---- */

NEVER(without_prefixes_the_first_target_of_a_name_has_it)
{
	struct scene_sink seen = { 0 };

	scene_waits(&sc, &seen, REQUEST("1", "tools/list", ""));
	scene_answers(&sc, 1, "\"result\":{\"tools\":[{\"name\":\"a\",\"of\":2},{\"name\":\"b\",\"of\":2}]}");
	scene_answers(&sc, 0, "\"result\":{\"tools\":[{\"name\":\"a\",\"of\":1}]}");
	assert_holds(seen.last, "{\"tools\":[{\"name\":\"a\",\"of\":1},{\"name\":\"b\",\"of\":2}]}");
	scene_waits(&sc, &seen, REQUEST("2", "tools/call", "\"name\":\"b\""));
	assert_holds(sc.to[1], "tools/call");
	scene_answers(&sc, 1, "\"result\":{}");
	assert_true(seen.is_done);
	scene_waits(&sc, &seen, REQUEST("3", "tools/call", "\"name\":\"a\""));
	assert_holds(sc.to[0], "tools/call");
}

NEVER(a_name_that_is_not_known_is_looked_for)
{
	struct scene_sink seen = { 0 };

	scene_waits(&sc, &seen, REQUEST("\"c\"", "tools/call", "\"name\":\"z\",\"arguments\":{\"k\":1}"));
	assert_holds(sc.to[0], "tools/list");
	assert_holds(sc.to[1], "tools/list");
	scene_answers(&sc, 0, "\"result\":{\"tools\":[{\"name\":\"a\"}]}");
	scene_answers(&sc, 1, "\"result\":{\"tools\":[],\"nextCursor\":\"n\"}");
	assert_holds(sc.to[1], "\"cursor\":\"n\"");
	scene_answers(&sc, 1, "\"result\":{\"tools\":[{\"name\":\"z\"}]}");
	assert_holds(sc.to[1], "\"method\":\"tools/"
			       "call\",\"params\":{\"name\":\"z\",\"arguments\":{\"k\":1}}}");
	assert_false(seen.is_done);
	scene_answers(&sc, 1, "\"result\":{\"ok\":1}");
	assert_string_equal(seen.last, "{\"jsonrpc\":\"2.0\",\"id\":\"c\",\"result\":{\"ok\":1}}");
	assert_int_equal(seen.count, 1);
	assert_true(seen.is_done);
	/* Known now. */
	scene_waits(&sc, &seen, REQUEST("5", "tools/call", "\"name\":\"z\""));
	assert_holds(sc.to[1], "tools/call");
	scene_answers(&sc, 1, "\"result\":{}");
	/* And not any more. */
	scene_says(&sc, 1, NOTICE("notifications/tools/list_changed", ""));
	scene_waits(&sc, &seen, REQUEST("6", "tools/call", "\"name\":\"z\""));
	assert_holds(sc.to[1], "tools/list");
	scene_answers(&sc, 0, "\"result\":{\"tools\":[]}");
	scene_answers(&sc, 1, "\"result\":{\"tools\":[]}");
	assert_holds(seen.last, "no target has this name");
	assert_true(seen.is_done);
}

NEVER(a_search_for_a_name_carries_the_headers_of_its_client_on_each_page)
{
	struct scene_sink seen = { 0 };
	struct fields fields = { 0 };

	sc.client_fields = &fields;
	scene_waits(&sc, &seen, REQUEST("1", "tools/call", "\"name\":\"z\""));
	assert_ptr_equal(sc.fields[1], &fields);
	scene_answers(&sc, 0, "\"result\":{\"tools\":[]}");
	for (int page = 0; page < 2; page++) {
		scene_answers(&sc, 1, "\"result\":{\"tools\":[],\"nextCursor\":\"n\"}");
		assert_holds(sc.to[1], "\"cursor\":\"n\"");
		assert_ptr_equal(sc.fields[1], &fields);
	}
	scene_answers(&sc, 1, "\"result\":{\"tools\":[{\"name\":\"z\"}]}");
	assert_holds(sc.to[1], "tools/call");
	assert_ptr_equal(sc.fields[1], &fields);
	scene_answers(&sc, 1, "\"result\":{}");
	assert_true(seen.is_done);
	/* What nobody sends carries no headers. */
	scene_says(&sc, 1, REQUEST("\"p\"", "ping", ""));
	assert_null(sc.fields[1]);
}

NEVER(without_prefixes_the_only_target_with_resources_has_every_uri)
{
	struct scene_sink seen = { 0 };

	/* Both have resources. */
	scene_waits(&sc, &seen, REQUEST("1", "resources/read", "\"uri\":\"test://a\""));
	assert_holds(seen.last, "-32602");
	scene_drop(&sc);
	scene_make(&sc, MCP_SESSION_STATEFUL, 2, MCP_PREFIX_NEVER, false);
	scene_waits(&sc, &seen, INITIALIZE);
	scene_answers(&sc, 0, "\"result\":{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{}}");
	scene_answers(&sc, 1, INITIALIZED);
	scene_waits(&sc, &seen, REQUEST("1", "resources/read", "\"uri\":\"test://a\""));
	assert_holds(sc.to[1], "\"uri\":\"test://a\"");
	scene_answers(&sc, 1, "\"result\":{\"contents\":[{\"uri\":\"test://a\"}]}");
	assert_holds(seen.last, "\"uri\":\"test://a\"");
	scene_waits(&sc, &seen, REQUEST("1", "resources/read", "\"uri\":\"two+test://a\""));
	scene_answers(&sc, 1, "\"result\":{\"contents\":[{\"uri\":\"test://a\"}]}");
	assert_holds(seen.last, "\"uri\":\"two+test://a\"");
}

NEVER(a_list_has_no_more_names_than_can_be_looked_up)
{
	static char text[16 * (LIMIT_MCP_OWNERS + 2)];

	for (int more = 0; more < 2; more++) {
		struct scene_sink seen = { 0 };
		size_t len = (size_t)snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\",\"id\":");

		scene_waits(&sc, &seen, REQUEST("1", "tools/list", ""));
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%llu,\"result\":{\"tools\":[",
					(unsigned long long)sc.call[0]);
		for (int i = 0; i < LIMIT_MCP_OWNERS + more; i++)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s{\"name\":7}",
						i ? "," : "");
		snprintf(text + len, sizeof(text) - len, "]}}");
		scene_says(&sc, 0, text);
		scene_answers(&sc, 1, "\"result\":{\"tools\":[]}");
		assert_holds(seen.last, more ? "breaks the protocol" : "\"tools\":[]");
	}
}

NEVER(a_list_without_end_is_left)
{
	struct scene_sink seen = { 0 };

	scene_waits(&sc, &seen, REQUEST("1", "tools/call", "\"name\":\"z\""));
	scene_answers(&sc, 0, "\"result\":{\"tools\":[]}");
	for (int i = 0; i < LIMIT_MCP_LIST_PAGES; i++) {
		assert_false(seen.is_done);
		scene_answers(&sc, 1, "\"result\":{\"tools\":[],\"nextCursor\":\"n\"}");
	}
	assert_holds(seen.last, "no target has this name");
	assert_true(seen.is_done);
}

NEVER(a_look_up_ends_with_its_client)
{
	struct scene_sink seen = { 0 };

	scene_waits(&sc, &seen, REQUEST("1", "tools/call", "\"name\":\"z\""));
	mcp_session_sink_gone(sc.s, &seen.sink, MCP_GONE_TIMEOUT, sc.now_ms);
	assert_holds(sc.to[0], "notifications/cancelled");
	assert_int_equal(mcp_session_calls(sc.s), 0);
}

/* ---- no memory ---- */

static int play(void *context __attribute__((unused)))
{
	struct scene_sink seen[4] = { 0 };
	struct mcp_post post;
	struct span texts[] = {
		SPAN(INITIALIZE),
		SPAN(REQUEST("1", "tools/list", "")),
		SPAN(REQUEST("2", "resources/read", "\"uri\":\"two+a:b\",\"_meta\":{\"progressToken\":1}")),
		SPAN(REQUEST("3", "tools/call", "\"name\":\"one_a\"")),
	};
	bool is_whole = true;
	static struct scene scene;

	scene = (struct scene){ .checker = mcp_json_checker_create(), .now_ms = 1 };
	if (!scene.checker)
		return -ENOMEM;
	scene.s = mcp_session_create(&(struct mcp_session_setup){
		.kind = MCP_SESSION_STATEFUL,
		.names = { scene_names, 2, MCP_PREFIX_CONDITIONAL },
		.checker = scene.checker,
		.link = &scene_link_ops,
		.context = &scene,
		.server_name = SPAN("h"),
		.server_version = SPAN("1"),
	});
	for (size_t i = 0; scene.s && i < ARRAY_LEN(texts); i++) {
		scene_sink_make(&seen[i]);
		if (mcp_post_read(scene.checker, texts[i], &post) != MCP_NONE ||
		    mcp_session_on_post(scene.s, &seen[i].sink, &post, NULL, 1).turn == MCP_REFUSED) {
			is_whole = false;
			break;
		}
		scene_says(&scene, 0, NOTICE("notifications/message", "\"data\":1"));
		scene_says(&scene, 1, REQUEST("1", "roots/list", ""));
		scene_answers(&scene, 0,
			      i ? "\"result\":{\"tools\":[{\"name\":\"x\"}],\"nextCursor\":\"c\"}"
				: INITIALIZED);
		scene_answers(&scene, 1,
			      i ? "\"result\":{\"tools\":[],\"contents\":[{\"uri\":\"a:b\"}]}" : INITIALIZED);
		is_whole &= strstr(seen[i].last, "\"result\"") != NULL;
		mcp_session_sink_gone(scene.s, &seen[i].sink, MCP_GONE_TIMEOUT, 1);
	}
	is_whole &= scene.s != NULL;
	mcp_session_free(scene.s);
	mcp_json_checker_free(scene.checker);
	return is_whole ? 0 : -ENOMEM;
}

TEST(every_allocation_may_fail)
{
	assert_true(alloc_fail_each(play, NULL) > 20);
}
