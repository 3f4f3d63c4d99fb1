/* SPDX-License-Identifier: Apache-2.0 */
/* How requests and sessions end, and how broken streams are taken up again. */
#include "tests/unit/mcp_scene.h"

#include <errno.h>
#include <stdlib.h>

#include "tests/lib/alloc.h"

static struct scene sc;

static int stateful_make(void **state __attribute__((unused)))
{
	scene_make(&sc, MCP_SESSION_STATEFUL, 1, MCP_PREFIX_CONDITIONAL, false);
	scene_open(&sc, 1);
	return 0;
}

static int drop(void **state __attribute__((unused)))
{
	scene_drop(&sc);
	return 0;
}

#define STATEFUL(name) TEST_WITH(name, stateful_make, drop)

/* ---- ends ---- */

STATEFUL(a_deadline_cancels_the_request)
{
	struct scene_sink seen = { 0 };
	char text[256];

	scene_waits(&sc, &seen, REQUEST("1", "tools/call", "\"name\":\"a\""));
	mcp_session_sink_gone(sc.s, &seen.sink, MCP_GONE_TIMEOUT, sc.now_ms);
	snprintf(text, sizeof(text),
		 NOTICE("notifications/cancelled", "\"requestId\":%llu,\"reason\":\"request timeout\""),
		 (unsigned long long)sc.call[0]);
	assert_string_equal(sc.to[0], text);
	assert_int_equal(sc.forgotten[0], sc.call[0]);
	assert_int_equal(mcp_session_calls(sc.s), 0);
	scene_answers(&sc, 0, "\"result\":{}");
	assert_int_equal(seen.count, 0);
	assert_int_equal(mcp_session_state(sc.s), MCP_SESSION_READY);
}

STATEFUL(a_client_cancels_its_request)
{
	struct scene_sink seen = { 0 };

	scene_waits(&sc, &seen, REQUEST("\"x\"", "tools/call", "\"name\":\"a\""));
	scene_accepted(&sc, NOTICE("notifications/cancelled", "\"requestId\":\"y\""));
	assert_false(seen.is_done);
	scene_accepted(&sc, NOTICE("notifications/cancelled", "\"requestId\":\"x\",\"reason\":\"bored "
							      "\\u00e9\""));
	assert_holds(sc.to[0], "notifications/cancelled");
	assert_holds(sc.to[0], "\"reason\":\"bored \\u00e9\"}}");
	assert_true(seen.is_done);
	assert_int_equal(seen.count, 0);
}

STATEFUL(a_client_that_does_not_read_loses_its_request)
{
	struct scene_sink seen = { .is_full = true };

	scene_waits(&sc, &seen, REQUEST("1", "tools/call", "\"name\":\"a\""));
	scene_says(&sc, 0, NOTICE("notifications/message", ""));
	assert_false(seen.is_done);
	assert_null(seen.sink.session);
	assert_holds(sc.to[0], "notifications/cancelled");
	assert_int_equal(mcp_session_calls(sc.s), 0);
}

STATEFUL(a_target_that_is_gone_answers_with_an_error_and_ends_the_session)
{
	struct scene_sink seen[2] = { 0 };
	struct scene_sink stream;

	scene_sink_make(&stream);
	assert_int_equal(mcp_session_on_stream(sc.s, &stream.sink, 0).turn, MCP_WAITING);
	scene_waits(&sc, &seen[0], REQUEST("1", "tools/call", "\"name\":\"a\""));
	scene_waits(&sc, &seen[1], REQUEST("2", "tools/call", "\"name\":\"a\""));
	mcp_session_on_target_lost(sc.s, 0, SPAN("it \"died\""), sc.now_ms);
	for (int i = 0; i < 2; i++) {
		assert_holds(seen[i].last, "\"error\":{\"code\":-32000,");
		assert_holds(seen[i].last, "it \\\"died\\\"");
		assert_true(seen[i].is_done);
	}
	assert_true(stream.is_done);
	assert_int_equal(mcp_session_state(sc.s), MCP_SESSION_OVER);
}

STATEFUL(a_target_that_takes_nothing_is_lost)
{
	struct scene_sink seen = { 0 };

	sc.is_gone[0] = true;
	scene_waits(&sc, &seen, REQUEST("1", "tools/call", "\"name\":\"a\""));
	assert_holds(seen.last, "does not read");
	assert_true(seen.is_done);
	assert_int_equal(mcp_session_state(sc.s), MCP_SESSION_OVER);
}

/* It is told again what it has not heard; only what it cannot do without loses it. */
STATEFUL(a_request_that_finds_no_room_is_refused_and_the_target_lives)
{
	struct scene_sink seen = { 0 };

	sc.is_full[0] = true;
	scene_refused(&sc, REQUEST("1", "tools/call", "\"name\":\"a\""), MCP_TARGET_BUSY);
	assert_int_equal(mcp_session_calls(sc.s), 0);
	sc.is_full[0] = false;
	scene_waits(&sc, &seen, REQUEST("1", "tools/call", "\"name\":\"a\""));
	assert_false(seen.is_done);
	assert_int_equal(mcp_session_state(sc.s), MCP_SESSION_READY);
	sc.is_full[0] = true;
	scene_accepted(&sc, NOTICE("notifications/roots/list_changed", ""));
	assert_true(seen.is_done);
	assert_int_equal(mcp_session_state(sc.s), MCP_SESSION_OVER);
}

STATEFUL(a_call_that_fails_alone_leaves_the_session)
{
	struct scene_sink seen[2] = { 0 };

	scene_waits(&sc, &seen[0], REQUEST("1", "tools/call", "\"name\":\"a\""));
	mcp_session_on_call_lost(sc.s, 0, sc.call[0], SPAN("status 500"), sc.now_ms);
	assert_holds(seen[0].last, "status 500");
	assert_true(seen[0].is_done);
	mcp_session_on_call_lost(sc.s, 0, sc.call[0], SPAN("again"), sc.now_ms);
	scene_waits(&sc, &seen[1], REQUEST("1", "tools/call", "\"name\":\"a\""));
}

/* Whatever a text is: one that names a request and no method was to answer it. */
STATEFUL(a_text_that_names_a_request_and_is_no_message_ends_that_request)
{
	static const struct {
		const char *rest;
		const char *why;
	} rows[] = {
		{ "\"jsonrpc\":\"2.0\",\"result\":{},\"error\":null}", "not a JSON-RPC 2.0 message" },
		{ "\"result\":{}}", "not a JSON-RPC 2.0 message" },
		{ "\"jsonrpc\":\"1.0\",\"result\":{}}", "not a JSON-RPC 2.0 message" },
	};
	char text[256];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct scene_sink seen = { 0 };
		uint64_t call;

		scene_waits(&sc, &seen, REQUEST("1", "tools/call", "\"name\":\"a\""));
		call = sc.call[0];
		snprintf(text, sizeof(text), "{\"id\":%llu,\"method\":\"x\",%s", (unsigned long long)call,
			 rows[i].rest);
		scene_says(&sc, 0, text);
		assert_false(seen.is_done); /* a broken request of the target */
		snprintf(text, sizeof(text), "{\"id\":%llu,%s", (unsigned long long)call, rows[i].rest);
		assert_true(mcp_session_waits(sc.s, 0, call));
		scene_says(&sc, 0, text);
		assert_false(mcp_session_waits(sc.s, 0, call));
		assert_true(seen.is_done);
		assert_holds(seen.last, "-32000");
		assert_holds(seen.last, rows[i].why);
	}
	assert_int_equal(sc.oddities[MCP_ODD_NOT_JSON], 2 * (int)ARRAY_LEN(rows));
	assert_int_equal(mcp_session_state(sc.s), MCP_SESSION_READY);
}

STATEFUL(an_error_without_our_number_is_about_the_request_on_whose_response_it_came)
{
	struct scene_sink seen = { 0 };
	const char *text = "{\"jsonrpc\":\"2.0\",\"id\":null,"
			   "\"error\":{\"code\":-32600,\"message\":\"not \\\"you\\\"\"}}";

	scene_waits(&sc, &seen, REQUEST("1", "tools/call", "\"name\":\"a\""));
	assert_int_equal(mcp_session_on_target(sc.s, 0, 0, span_str(text), sc.now_ms), MCP_NONE);
	assert_false(seen.is_done); /* on a pipe it may be about anything */
	assert_int_equal(mcp_session_on_target(sc.s, 0, sc.call[0], span_str(text), sc.now_ms), MCP_NONE);
	assert_true(seen.is_done);
	assert_holds(seen.last, "one: not \\\"you\\\"");
}

STATEFUL(the_end_of_a_session_answers_everything)
{
	struct scene_sink seen = { 0 };

	scene_waits(&sc, &seen, REQUEST("1", "tools/call", "\"name\":\"a\""));
	mcp_session_end(sc.s, MCP_ENDED, sc.now_ms);
	assert_holds(seen.last, "Session ended");
	assert_true(seen.is_done);
	scene_refused(&sc, REQUEST("2", "tools/list", ""), MCP_ENDED);
}

/* ---- clients with a single stream ---- */

TEST_WITH(everything_comes_on_the_only_stream_and_the_session_ends_with_it, NULL, drop)
{
	struct scene_sink only;
	struct mcp_post post;
	static const char *const texts[] = {
		REQUEST("1", "tools/list", ""),
		"[" REQUEST("2", "ping", "") "," REQUEST("3", "ping", "") "]",
		INITIALIZE,
		NOTICE("notifications/initialized", ""),
		REQUEST("4", "tools/call", "\"name\":\"a\""),
		REQUEST("5", "tools/call", "\"name\":\"b\""),
	};
	static const int counts[] = { 1, 3, 4, 4, 4, 4 };

	scene_make(&sc, MCP_SESSION_STATEFUL, 1, MCP_PREFIX_CONDITIONAL, false);
	scene_sink_make(&only);
	only.sink.is_only = true;
	mcp_session_begin_stream(sc.s, &only.sink);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		assert_int_equal(mcp_post_read(sc.checker, span_str(texts[i]), &post), MCP_NONE);
		assert_int_equal(mcp_session_on_post(sc.s, &only.sink, &post, NULL, sc.now_ms).turn,
				 post.requests ? MCP_WAITING : MCP_ACCEPTED);
		if (i == 2)
			scene_answers(&sc, 0, INITIALIZED);
		assert_int_equal(only.count, counts[i]);
	}
	scene_says(&sc, 0, NOTICE("notifications/message", "\"data\":1"));
	assert_holds(only.last, "\"data\":1");
	scene_answers(&sc, 0, "\"result\":{}");
	assert_holds(only.last, "\"id\":5");
	assert_false(only.is_done);
	mcp_session_sink_gone(sc.s, &only.sink, MCP_GONE_CLIENT, sc.now_ms);
	assert_holds(sc.to[0], "notifications/cancelled");
	assert_int_equal(mcp_session_state(sc.s), MCP_SESSION_OVER);
	assert_false(only.is_done);
}

TEST_WITH(an_only_stream_that_takes_nothing_ends_its_session, NULL, drop)
{
	struct scene_sink only;
	struct mcp_post post;

	scene_make(&sc, MCP_SESSION_STATEFUL, 1, MCP_PREFIX_CONDITIONAL, false);
	scene_sink_make(&only);
	only.sink.is_only = true;
	only.is_full = true;
	mcp_session_begin_stream(sc.s, &only.sink);
	assert_int_equal(mcp_post_read(sc.checker, span_str(REQUEST("1", "ping", "")), &post), MCP_NONE);
	assert_int_equal(mcp_session_on_post(sc.s, &only.sink, &post, NULL, sc.now_ms).turn, MCP_WAITING);
	assert_int_equal(mcp_session_state(sc.s), MCP_SESSION_OVER);
	assert_null(only.sink.session);
	assert_false(only.is_done);
}

static int only_post(struct scene_sink *only, const char *text)
{
	struct mcp_post post;

	assert_int_equal(mcp_post_read(sc.checker, span_str(text), &post), MCP_NONE);
	return (int)mcp_session_on_post(sc.s, &only->sink, &post, NULL, sc.now_ms).turn;
}

static void only_open(struct scene_sink *only, uint32_t targets)
{
	scene_make(&sc, MCP_SESSION_STATEFUL, targets, MCP_PREFIX_CONDITIONAL, false);
	scene_sink_make(only);
	only->sink.is_only = true;
	mcp_session_begin_stream(sc.s, &only->sink);
}

TEST_WITH(an_only_stream_ends_when_its_initialize_is_refused, NULL, drop)
{
	struct scene_sink only;

	/* No target takes the message, one refuses it, one answers something else. */
	only_open(&only, 1);
	sc.is_full[0] = true;
	assert_int_equal(only_post(&only, INITIALIZE), MCP_WAITING);
	assert_holds(only.last, "\"error\"");
	assert_true(only.is_done);
	assert_int_equal(mcp_session_state(sc.s), MCP_SESSION_OVER);
	scene_drop(&sc);

	only_open(&only, 1);
	assert_int_equal(only_post(&only, INITIALIZE), MCP_WAITING);
	scene_answers(&sc, 0, "\"error\":{\"code\":-32600,\"message\":\"no\"}");
	assert_holds(only.last, "-32600");
	assert_true(only.is_done);
	scene_drop(&sc);

	only_open(&only, 2);
	assert_int_equal(only_post(&only, "[" INITIALIZE "," REQUEST("1", "ping", "") "]"), MCP_WAITING);
	scene_answers(&sc, 0, INITIALIZED);
	scene_answers(&sc, 1, "\"result\":7");
	assert_holds(only.last, "\"error\"");
	assert_true(only.is_done);
	assert_int_equal(mcp_session_state(sc.s), MCP_SESSION_OVER);
}

/* An initialize on an only stream; whatever fails, an ended session has let go of the stream. */
static int only_play(void *context __attribute__((unused)))
{
	struct scene_sink only;
	struct scene scene = { .checker = mcp_json_checker_create(), .now_ms = 1 };
	struct mcp_post post;
	bool is_ready;

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
	if (scene.s && mcp_post_read(scene.checker, SPAN(INITIALIZE), &post) == MCP_NONE) {
		scene_sink_make(&only);
		only.sink.is_only = true;
		mcp_session_begin_stream(scene.s, &only.sink);
		assert_int_equal(mcp_session_on_post(scene.s, &only.sink, &post, NULL, 1).turn, MCP_WAITING);
		for (uint32_t i = 0; i < 2; i++)
			scene_answers(&scene, i, INITIALIZED);
		if (mcp_session_state(scene.s) == MCP_SESSION_OVER)
			assert_null(only.sink.session);
	}
	is_ready = scene.s && mcp_session_state(scene.s) == MCP_SESSION_READY;
	mcp_session_free(scene.s);
	mcp_json_checker_free(scene.checker);
	return is_ready ? 0 : -ENOMEM;
}

TEST(an_only_stream_ends_when_there_is_no_memory_for_its_initialize)
{
	assert_true(alloc_fail_each(only_play, NULL) > 5);
}

TEST_WITH(a_target_whose_answer_is_too_large_when_it_comes_back_is_lost_again, NULL, drop)
{
	size_t len = LIMIT_MCP_GATHER_BYTES + 1024;
	char *text = malloc(len + 1);

	assert_non_null(text);
	scene_make(&sc, MCP_SESSION_STATEFUL, 2, MCP_PREFIX_CONDITIONAL, true);
	scene_open(&sc, 2);
	mcp_session_on_target_lost(sc.s, 1, SPAN("gone"), sc.now_ms);
	mcp_session_on_target_back(sc.s, 1, sc.now_ms);
	assert_holds(sc.to[1], "\"method\":\"initialize\"");
	snprintf(text, len + 1,
		 "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":{\"protocolVersion\":\"2025-06-18\","
		 "\"capabilities\":{},\"instructions\":\"%0*d\"}}",
		 (unsigned long long)sc.call[1], LIMIT_MCP_GATHER_BYTES, 0);
	scene_says(&sc, 1, text);
	free(text);
	assert_true(mcp_session_is_lost(sc.s, 1));
	assert_int_equal(sc.came_back, 0);
	/* The next time it answers better. */
	mcp_session_on_target_back(sc.s, 1, sc.now_ms);
	scene_answers(&sc, 1, INITIALIZED);
	assert_int_equal(sc.came_back, 1);
	assert_false(mcp_session_is_lost(sc.s, 1));
}

/* ---- resumption ---- */

STATEFUL(a_broken_stream_is_taken_up_where_it_broke)
{
	struct scene_sink seen = { .is_resumable = true };
	struct scene_sink again;
	uint64_t call;
	uint64_t first;

	scene_waits(&sc, &seen, REQUEST("1", "tools/call", "\"name\":\"a\""));
	call = sc.call[0];
	scene_says(&sc, 0, NOTICE("notifications/message", "\"data\":1"));
	first = seen.event;
	assert_true(first != 0);
	scene_says(&sc, 0, NOTICE("notifications/message", "\"data\":2"));
	mcp_session_sink_gone(sc.s, &seen.sink, MCP_GONE_RESUMABLE, sc.now_ms);
	assert_lacks(sc.to[0], "cancelled");
	scene_says(&sc, 0, NOTICE("notifications/message", "\"data\":3"));
	scene_sink_make(&again);
	assert_int_equal(mcp_session_on_stream(sc.s, &again.sink, first).turn, MCP_WAITING);
	assert_int_equal(again.count, 2);
	assert_holds(again.last, "\"data\":3");
	assert_false(again.is_done);
	sc.call[0] = call;
	scene_answers(&sc, 0, "\"result\":{}");
	assert_int_equal(again.count, 3);
	assert_true(again.is_done);
}

STATEFUL(the_stream_of_a_session_repeats_what_did_not_arrive)
{
	struct scene_sink streams[3];
	uint64_t first;

	for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
		scene_sink_make(&streams[i]);
		streams[i].is_resumable = true;
	}
	assert_int_equal(mcp_session_on_stream(sc.s, &streams[0].sink, 0).turn, MCP_WAITING);
	scene_says(&sc, 0, NOTICE("notifications/message", "\"data\":1"));
	first = streams[0].event;
	scene_says(&sc, 0, NOTICE("notifications/message", "\"data\":2"));
	mcp_session_sink_gone(sc.s, &streams[0].sink, MCP_GONE_RESUMABLE, sc.now_ms);
	scene_says(&sc, 0, NOTICE("notifications/message", "\"data\":3"));
	assert_int_equal(mcp_session_on_stream(sc.s, &streams[1].sink, first).turn, MCP_WAITING);
	assert_int_equal(streams[1].count, 2);
	assert_holds(streams[1].last, "\"data\":3");
	/* Who says nothing of what has arrived gets what was never sent. */
	mcp_session_sink_gone(sc.s, &streams[1].sink, MCP_GONE_RESUMABLE, sc.now_ms);
	assert_int_equal(mcp_session_on_stream(sc.s, &streams[2].sink, 0).turn, MCP_WAITING);
	assert_int_equal(streams[2].count, 0);
}

STATEFUL(an_answer_waits_for_a_client_that_comes_back)
{
	struct scene_sink seen = { .is_resumable = true };
	struct scene_sink again;

	scene_waits(&sc, &seen, REQUEST("1", "tools/call", "\"name\":\"a\""));
	scene_says(&sc, 0, NOTICE("notifications/message", "\"data\":1"));
	mcp_session_sink_gone(sc.s, &seen.sink, MCP_GONE_RESUMABLE, sc.now_ms);
	scene_answers(&sc, 0, "\"result\":{\"late\":1}");
	scene_sink_make(&again);
	assert_int_equal(mcp_session_on_stream(sc.s, &again.sink, seen.event).turn, MCP_WAITING);
	assert_int_equal(again.count, 1);
	assert_holds(again.last, "late");
	assert_true(again.is_done);
}

STATEFUL(a_client_that_does_not_come_back_is_given_up)
{
	struct scene_sink seen = { .is_resumable = true };

	scene_waits(&sc, &seen, REQUEST("1", "tools/call", "\"name\":\"a\""));
	scene_says(&sc, 0, NOTICE("notifications/message", "\"data\":1"));
	mcp_session_sink_gone(sc.s, &seen.sink, MCP_GONE_RESUMABLE, sc.now_ms);
	assert_in_range(mcp_session_tick(sc.s, sc.now_ms), sc.now_ms + LIMIT_MCP_RESUME_MS,
			sc.now_ms + 2 * LIMIT_MCP_RESUME_MS);
	assert_int_equal(mcp_session_calls(sc.s), 1);
	sc.now_ms += LIMIT_MCP_RESUME_MS;
	assert_int_equal(mcp_session_tick(sc.s, sc.now_ms), 0);
	assert_holds(sc.to[0], "notifications/cancelled");
	assert_int_equal(mcp_session_calls(sc.s), 0);
}

TEST(an_event_id_is_read_as_it_was_written)
{
	static const uint64_t events[] = { 1, (uint64_t)7 << 32 | 9, UINT64_MAX };
	static const char *const bads[] = {
		"", "-", "1", "1-", "-1", "1-2-3", "a-1", "4294967296-1", "1-4294967296"
	};
	char text[MCP_EVENT_ID_BYTES];
	uint64_t event;

	for (size_t i = 0; i < ARRAY_LEN(events); i++) {
		size_t len = mcp_event_id_write(text, events[i]);

		assert_true(len <= sizeof(text));
		assert_int_equal(mcp_event_id_read(span_of(text, len), &event), 0);
		assert_true(event == events[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(bads); i++)
		assert_int_equal(mcp_event_id_read(span_str(bads[i]), &event), -EINVAL);
}
