/* SPDX-License-Identifier: Apache-2.0 */
/* Clients without sessions: those of 2026-07-28 share one, those of older versions get one for each POST. */
#include "tests/unit/mcp_scene.h"

#include <stdlib.h>

static struct scene sc;

static int one_make(void **state __attribute__((unused)))
{
	scene_make(&sc, MCP_SESSION_SHARED, 1, MCP_PREFIX_CONDITIONAL, false);
	return 0;
}

static int two_make(void **state __attribute__((unused)))
{
	scene_make(&sc, MCP_SESSION_SHARED, 2, MCP_PREFIX_CONDITIONAL, false);
	return 0;
}

static int single_make(void **state __attribute__((unused)))
{
	scene_make(&sc, MCP_SESSION_SINGLE, 2, MCP_PREFIX_CONDITIONAL, false);
	return 0;
}

static int drop(void **state __attribute__((unused)))
{
	scene_drop(&sc);
	return 0;
}

#define ONE(name) TEST_WITH(name, one_make, drop)
#define TWO(name) TEST_WITH(name, two_make, drop)
#define SINGLE(name) TEST_WITH(name, single_make, drop)

#define META_OF(version)                                                                                     \
	"\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"" version "\","                            \
	"\"io.modelcontextprotocol/clientCapabilities\":{}}"
#define META META_OF("2026-07-28")

/* ---- 2026-07-28 ---- */

ONE(two_clients_may_use_the_same_number)
{
	struct scene_sink seen[2] = { 0 };
	uint64_t calls[2];
	char text[128];

	for (int i = 0; i < 2; i++) {
		scene_waits(&sc, &seen[i], REQUEST("1", "tools/call", "\"name\":\"a\"," META));
		calls[i] = sc.call[0];
	}
	for (int i = 0; i < 2; i++) {
		snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":%d}",
			 (unsigned long long)calls[i], i);
		scene_says(&sc, 0, text);
		snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":%d}", i);
		assert_string_equal(seen[i].last, text);
		assert_int_equal(seen[i].event, 0);
	}
}

ONE(one_client_takes_a_quarter_of_the_calls_at_most)
{
	enum { SHARE = LIMIT_MCP_SHARED_CALLS / 4 };
	static struct scene_sink seen[SHARE + 1];

	sc.client = 1;
	for (int i = 0; i < SHARE; i++)
		scene_waits(&sc, &seen[i], REQUEST("1", "tools/call", "\"name\":\"a\"," META));
	scene_refused(&sc, REQUEST("1", "tools/call", "\"name\":\"a\"," META), MCP_TOO_MANY_CALLS);
	sc.client = 2;
	scene_waits(&sc, &seen[SHARE], REQUEST("1", "tools/call", "\"name\":\"a\"," META));
}

ONE(a_request_says_its_version_and_what_it_can)
{
	scene_refused(&sc, REQUEST("1", "tools/list", ""), MCP_BAD_META);
	scene_refused(&sc, INITIALIZE, MCP_NO_METHOD_HTTP);
	scene_refused(&sc, REQUEST("1", "initialize", META), MCP_NO_METHOD_HTTP);
	scene_refused(&sc, REQUEST("1", "ping", META), MCP_NO_METHOD_HTTP);
	scene_refused(&sc, REQUEST("1", "resources/subscribe", META), MCP_NO_METHOD_HTTP);
	scene_refused(&sc, REQUEST("1", "tools/list", META_OF("2025-11-25")), MCP_VERSION);
	scene_refused(&sc, REQUEST("1", "tools/list", META_OF("1900-01-01")), MCP_VERSION);
	scene_refused(&sc,
		      REQUEST("1", "tools/list",
			      "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"}"),
		      MCP_BAD_META);
	scene_refused(&sc, "[" REQUEST("1", "tools/list", META) "]", MCP_BATCH);
	assert_int_equal(sc.sent[0], 0);
}

ONE(an_error_of_the_target_says_the_status)
{
	static const struct {
		const char *code;
		unsigned int status;
	} rows[] = {
		{ "-32601", 404 }, { "-32020", 400 }, { "-32022", 400 }, { "-32602", 200 }, { "-1", 200 }
	};
	struct scene_sink seen = { 0 };
	char text[128];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		scene_waits(&sc, &seen, REQUEST("1", "x/y", META));
		snprintf(text, sizeof(text), "\"error\":{\"code\":%s,\"message\":\"\"}", rows[i].code);
		scene_answers(&sc, 0, text);
		assert_int_equal(seen.status, rows[i].status);
	}
}

ONE(what_could_be_of_another_client_reaches_nobody)
{
	struct scene_sink seen[2] = { 0 };

	scene_waits(&sc, &seen[0], REQUEST("1", "tools/call", "\"name\":\"a\"," META));
	scene_says(&sc, 0, NOTICE("notifications/message", "\"data\":1"));
	assert_int_equal(seen[0].count, 1);
	scene_waits(&sc, &seen[1], REQUEST("1", "tools/call", "\"name\":\"a\"," META));
	scene_says(&sc, 0, NOTICE("notifications/message", "\"data\":2"));
	assert_int_equal(seen[0].count, 1);
	assert_int_equal(seen[1].count, 0);
	mcp_session_on_target(sc.s, 0, sc.call[0], span_str(NOTICE("notifications/message", "\"data\":3")),
			      sc.now_ms);
	assert_holds(seen[1].last, "\"data\":3");
	assert_int_equal(sc.oddities[MCP_ODD_DROPPED], 1);
	/* Nobody speaks for others. */
	sc.sent[0] = 0;
	scene_accepted(&sc, NOTICE("notifications/cancelled", "\"requestId\":1"));
	assert_int_equal(sc.sent[0], 0);
}

ONE(a_target_must_not_ask)
{
	struct scene_sink seen = { 0 };

	scene_waits(&sc, &seen, REQUEST("1", "tools/call", "\"name\":\"a\"," META));
	scene_says(&sc, 0, REQUEST("9", "sampling/createMessage", ""));
	assert_holds(sc.to[0], "\"id\":9,\"error\":{\"code\":-32601");
	assert_int_equal(seen.count, 0);
	assert_int_equal(sc.oddities[MCP_ODD_WRONG_KIND], 1);
}

ONE(a_target_that_died_comes_back)
{
	struct scene_sink seen = { 0 };

	scene_waits(&sc, &seen, REQUEST("1", "tools/call", "\"name\":\"a\"," META));
	mcp_session_on_target_lost(sc.s, 0, SPAN("died"), sc.now_ms);
	assert_holds(seen.last, "died");
	assert_int_equal(mcp_session_state(sc.s), MCP_SESSION_READY);
	scene_waits(&sc, &seen, REQUEST("1", "tools/call", "\"name\":\"a\"," META));
	assert_holds(seen.last, "no target answers");
	mcp_session_on_target_back(sc.s, 0, sc.now_ms);
	scene_waits(&sc, &seen, REQUEST("1", "tools/call", "\"name\":\"a\"," META));
	scene_answers(&sc, 0, "\"result\":{}");
	assert_holds(seen.last, "\"result\"");
}

ONE(events_of_a_subscription_find_their_client)
{
	struct scene_sink seen[2] = { 0 };
	uint64_t call;
	char text[256];

	scene_waits(&sc, &seen[0],
		    REQUEST("\"s\"", "subscriptions/listen",
			    META ",\"notifications\":{\"toolsListChanged\":true}"));
	call = sc.call[0];
	scene_waits(&sc, &seen[1], REQUEST("\"s\"", "subscriptions/listen", META ",\"notifications\":{}"));
	snprintf(text, sizeof(text),
		 NOTICE("notifications/tools/list_changed",
			"\"_meta\":{\"io.modelcontextprotocol/subscriptionId\":%llu}"),
		 (unsigned long long)call);
	scene_says(&sc, 0, text);
	assert_string_equal(seen[0].last,
			    NOTICE("notifications/tools/list_changed", "\"_meta\":{\"io.modelcontextprotocol/"
								       "subscriptionId\":\"s\"}"));
	assert_int_equal(seen[1].count, 0);
	scene_says(&sc, 0,
		   NOTICE("notifications/tools/list_changed",
			  "\"_meta\":{\"io.modelcontextprotocol/subscriptionId\":\"s\"}"));
	assert_int_equal(seen[0].count + seen[1].count, 1);
	sc.call[0] = call;
	snprintf(text, sizeof(text),
		 "\"result\":{\"_meta\":{\"io.modelcontextprotocol/subscriptionId\":%llu}}",
		 (unsigned long long)call);
	scene_answers(&sc, 0, text);
	assert_holds(seen[0].last, "\"io.modelcontextprotocol/subscriptionId\":\"s\"");
	assert_true(seen[0].is_done);
}

TWO(a_subscription_to_several_targets_is_one)
{
	struct scene_sink seen = { 0 };
	char text[512];

	scene_waits(&sc, &seen,
		    REQUEST("4", "subscriptions/listen",
			    META ",\"notifications\":{\"toolsListChanged\":true,"
				 "\"resourceSubscriptions\":[\"one+a:b\",\"two+c:d\",\"two+e\",\"x\"]}"));
	assert_holds(sc.to[0], "\"notifications\":{\"toolsListChanged\":true,\"resourceSubscriptions\":[\"a:"
			       "b\"]}}");
	assert_holds(sc.to[1], "\"resourceSubscriptions\":[\"c:d\",\"e\"]}}");
	snprintf(text, sizeof(text),
		 NOTICE("notifications/resources/updated", "\"_meta\":{\"io.modelcontextprotocol/"
							   "subscriptionId\":%llu},\"uri\":\"c:d\""),
		 (unsigned long long)sc.call[1]);
	scene_says(&sc, 1, text);
	assert_int_equal(seen.count, 0);
	for (uint32_t i = 0; i < 2; i++) {
		char ack[512];

		snprintf(ack, sizeof(ack),
			 NOTICE("notifications/subscriptions/acknowledged",
				"\"_meta\":{\"io.modelcontextprotocol/subscriptionId\":%llu},"
				"\"notifications\":{\"toolsListChanged\":true,\"resourceSubscriptions\":[\"%"
				"s\"]}"),
			 (unsigned long long)sc.call[i], i ? "c:d" : "a:b");
		assert_int_equal(seen.count, 0);
		scene_says(&sc, i, ack);
	}
	assert_string_equal(seen.last, NOTICE("notifications/subscriptions/acknowledged",
					      "\"_meta\":{\"io.modelcontextprotocol/"
					      "subscriptionId\":4},\"notifications\":{"
					      "\"toolsListChanged\":true,\"resourceSubscriptions\":[\"one+a:"
					      "b\",\"two+c:d\"]}"));
	scene_says(&sc, 1, text);
	assert_string_equal(seen.last, NOTICE("notifications/resources/updated",
					      "\"_meta\":{\"io.modelcontextprotocol/"
					      "subscriptionId\":4},\"uri\":\"two+c:d\""));
	scene_answers(&sc, 0, "\"result\":{}");
	assert_false(seen.is_done);
	scene_answers(&sc, 1, "\"result\":{}");
	assert_holds(seen.last, "{\"resultType\":\"complete\",\"_meta\":{\"io.modelcontextprotocol/"
				"subscriptionId\":4}}");
	assert_true(seen.is_done);
}

TWO(an_acknowledgement_that_cannot_be_kept_holds_up_nobody_elses_events)
{
	struct scene_sink seen = { 0 };
	size_t len = LIMIT_MCP_GATHER_BYTES + 1024;
	char *text = malloc(len), ack[512];

	assert_non_null(text);
	scene_waits(
		&sc, &seen,
		REQUEST("4", "subscriptions/listen", META ",\"notifications\":{\"toolsListChanged\":true}"));
	snprintf(text, len,
		 NOTICE("notifications/subscriptions/acknowledged",
			"\"_meta\":{\"io.modelcontextprotocol/subscriptionId\":%llu},\"x\":\"%0*d\""),
		 (unsigned long long)sc.call[0], LIMIT_MCP_GATHER_BYTES, 0);
	scene_says(&sc, 0, text);
	free(text);
	snprintf(ack, sizeof(ack),
		 NOTICE("notifications/subscriptions/acknowledged",
			"\"_meta\":{\"io.modelcontextprotocol/subscriptionId\":%llu},"
			"\"notifications\":{\"toolsListChanged\":true}"),
		 (unsigned long long)sc.call[1]);
	scene_says(&sc, 1, ack);
	assert_holds(seen.last, "acknowledged");
	assert_int_equal(seen.count, 1);
	assert_int_equal(sc.failed, 1);
}

TWO(discovery_says_what_all_of_them_can)
{
	struct scene_sink seen = { 0 };

	scene_waits(&sc, &seen, REQUEST("1", "server/discover", META));
	scene_answers(&sc, 0,
		      "\"result\":{\"supportedVersions\":[\"2026-07-28\",\"2025-11-25\"],\"capabilities\":{"
		      "\"tools\":{}}}");
	scene_answers(&sc, 1,
		      "\"result\":{\"supportedVersions\":[\"2026-07-28\",\"2099-01-01\"],\"capabilities\":{"
		      "\"prompts\":{}}}");
	assert_holds(seen.last, "\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{\"tools\":{},"
				"\"prompts\":{}}");
	scene_waits(&sc, &seen, REQUEST("1", "tools/list", META));
	scene_answers(&sc, 0, "\"result\":{\"tools\":[]}");
	scene_answers(&sc, 1, "\"result\":{\"tools\":[]}");
	assert_holds(seen.last, "\"resultType\":\"complete\",\"ttlMs\":0,\"cacheScope\":\"private\"");
	scene_refused(&sc, REQUEST("1", "ping", META), MCP_NO_METHOD_HTTP);
}

ONE(the_versions_we_speak_are_told)
{
	struct text text;

	text_init(&text);
	mcp_merge_version_data(&text, SPAN("19\"00"));
	assert_true(span_eq(text_span(&text), SPAN("{\"supported\":[\"2026-07-28\",\"2025-11-25\",\"2025-06-"
						   "18\",\"2025-03-26\","
						   "\"2024-11-05\"],\"requested\":\"19\\\"00\"}")));
	text_done(&text);
}

/* ---- a session for one POST ---- */

SINGLE(targets_are_initialized_for_a_client_that_does_not)
{
	struct scene_sink seen = { 0 };

	scene_waits(&sc, &seen, REQUEST("\"c\"", "tools/call", "\"name\":\"two_a\""));
	for (uint32_t i = 0; i < 2; i++) {
		assert_holds(sc.to[i], "\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-03-"
				       "26\"");
		assert_int_equal(sc.sent[i], 1);
		scene_answers(&sc, i, INITIALIZED);
	}
	assert_holds(sc.to[0], "notifications/initialized");
	assert_holds(sc.to[1], "tools/call");
	assert_int_equal(sc.sent[1], 3);
	scene_answers(&sc, 1, "\"result\":{\"ok\":1}");
	assert_string_equal(seen.last, "{\"jsonrpc\":\"2.0\",\"id\":\"c\",\"result\":{\"ok\":1}}");
	assert_true(seen.is_done);
	assert_int_equal(seen.event, 0);
}

SINGLE(a_target_that_is_not_to_be_initialized_is_an_error)
{
	struct scene_sink seen = { 0 };

	scene_waits(&sc, &seen, REQUEST("\"c\"", "tools/call", "\"name\":\"two_a\""));
	scene_answers(&sc, 0, INITIALIZED);
	scene_answers(&sc, 1, "\"error\":{\"code\":-1,\"message\":\"no\"}");
	assert_holds(seen.last, "\"id\":\"c\",\"error\"");
	assert_holds(seen.last, "two: no");
	assert_true(seen.is_done);
	assert_int_equal(mcp_session_state(sc.s), MCP_SESSION_OVER);
}

SINGLE(its_client_leaves_and_it_is_over)
{
	struct scene_sink seen = { 0 };

	scene_waits(&sc, &seen, REQUEST("\"c\"", "tools/call", "\"name\":\"two_a\""));
	mcp_session_sink_gone(sc.s, &seen.sink, MCP_GONE_CLIENT, sc.now_ms);
	assert_int_equal(mcp_session_state(sc.s), MCP_SESSION_OVER);
	assert_int_equal(seen.count, 0);
}

SINGLE(a_ping_needs_no_target)
{
	struct scene_sink seen = { 0 };

	scene_waits(&sc, &seen, REQUEST("1", "ping", ""));
	assert_true(seen.is_done);
	assert_int_equal(sc.sent[0], 0);
	scene_accepted(&sc, NOTICE("notifications/initialized", ""));
	assert_int_equal(sc.sent[0], 0);
}
