/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include <stdio.h>

#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/mcp/hub/call_metrics.h"
#include "user/mcp/server/server_check.h"

static struct arena arena;

static struct fields fields_of(const char *name, const char *value)
{
	struct fields fields;

	fields_init(&fields, &arena);
	if (name)
		assert_int_equal(fields_add(&fields, span_str(name), span_str(value)), 0);
	return fields;
}

static int setup(void **state)
{
	(void)state;
	arena_init(&arena, 4096);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_done(&arena);
	return 0;
}

TEST_WITH(ranges_of_accept_are_those_of_http, setup, teardown)
{
	static const struct {
		const char *value;
		bool json, events;
	} rows[] = {
		{ "application/json, text/event-stream", true, true },
		{ "Application/JSON;charset=utf-8 ,\ttext/EVENT-stream;q=0.5", true, true },
		{ "*/*", true, true },
		{ "application/*, text/*;q=0.001", true, true },
		{ "application/json", true, false },
		{ "text/event-stream;q=0, application/json", true, false },
		{ "*/*;q=0.0", false, false },
		{ "text/event-streams, application/json5, text", false, false },
		{ "", false, false },
		{ ",;,/", false, false },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fields fields = fields_of("Accept", rows[i].value);

		if (server_accepts(&fields, SPAN("application/json")) != rows[i].json ||
		    server_accepts(&fields, SPAN("text/event-stream")) != rows[i].events)
			fail_msg("%s", rows[i].value);
	}
}

TEST_WITH(a_post_needs_both_types_and_is_json, setup, teardown)
{
	struct fields fields = fields_of("accept", "application/json");

	assert_int_equal(server_check_types(&fields), MCP_NOT_ACCEPTABLE);
	assert_int_equal(fields_add(&fields, SPAN("accept"), SPAN("text/event-stream")), 0);
	assert_int_equal(server_check_types(&fields), MCP_MEDIA_TYPE);
	assert_int_equal(fields_add(&fields, SPAN("content-type"), SPAN("application/json ; a=b")), 0);
	assert_int_equal(server_check_types(&fields), MCP_NONE);
	fields_remove(&fields, SPAN("content-type"));
	assert_int_equal(fields_add(&fields, SPAN("content-type"), SPAN("application/jsonp")), 0);
	assert_int_equal(server_check_types(&fields), MCP_MEDIA_TYPE);
}

TEST_WITH(only_names_of_this_host_are_this_host, setup, teardown)
{
	static const struct {
		const char *host, *origin;
		bool is_valid;
	} rows[] = {
		{ "localhost", NULL, true },
		{ "LOCALHOST:3000", "http://localhost:5173", true },
		{ "127.0.0.1:1", "https://[::1]:2", true },
		{ "[::1]", "http://127.0.0.1", true },
		{ "localhost.evil.example", NULL, false },
		{ "127.0.0.1.evil.example", NULL, false },
		{ "localhost:", NULL, false },
		{ "localhost:80@evil.example", NULL, false },
		{ "evil.example", NULL, false },
		{ "", NULL, false },
		{ "localhost", "http://evil.example", false },
		{ "localhost", "http://localhost.evil.example", false },
		{ "localhost", "null", false },
		{ "localhost", "file://localhost", false },
		{ "localhost", "", false },
	};

	struct mcp_servers servers = { .only_localhost = true };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct request_head head = { .authority = span_str(rows[i].host) };

		head.fields = fields_of(rows[i].origin ? "Origin" : NULL, rows[i].origin);
		if ((server_check_site(&head, &servers, SPAN("::ffff:127.0.0.1")) == MCP_NONE) !=
		    rows[i].is_valid)
			fail_msg("%s, %s", rows[i].host, rows[i].origin ? rows[i].origin : "no origin");
	}
}

TEST_WITH(fields_say_what_the_body_says, setup, teardown)
{
	static const struct {
		const char *name;
		bool is_valid;
	} rows[] = {
		{ "d\xc3\xa9j\xc3\xa0 vu", true }, /* of a client that does not care */
		{ "=?base64?ZMOpasOgIHZ1?=", true },
		{ "=?base64?ZMOpasOgIHZ1", false },
		{ "=?base64?ZMOpasOgIHZ=?=", false },
		{ "=?base64?!!!!?=", false },
		{ "=?base64?\?=", false },
		{ "=?base64?=", false },
		{ "d\xc3\xa9j\xc3\xa0", false },
		{ "", false },
	};
	struct mcp_message m = { .kind = MCP_REQUEST,
				 .method = MCP_METHOD_TOOLS_CALL,
				 .method_text = SPAN("tools/call"),
				 .name = SPAN("\"d\\u00e9j\\u00e0 vu\""),
				 .version_text = SPAN("2026-07-28") };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fields fields = fields_of("Mcp-Name", rows[i].name);

		assert_int_equal(server_check_mirrors(&fields, &m), MCP_HEADER_MISMATCH);
		assert_int_equal(fields_add(&fields, SPAN("mcp-method"), SPAN("tools/call")), 0);
		assert_int_equal(fields_add(&fields, SPAN("mcp-protocol-version"), SPAN("2026-07-28")), 0);
		if ((server_check_mirrors(&fields, &m) == MCP_NONE) != rows[i].is_valid)
			fail_msg("%s", rows[i].name);
		/* A route may have looked at the other one. */
		assert_int_equal(fields_add(&fields, SPAN("mcp-method"), SPAN("tools/call")), 0);
		assert_int_equal(server_check_mirrors(&fields, &m), MCP_HEADER_MISMATCH);
		fields_remove(&fields, SPAN("mcp-method"));
		assert_int_equal(fields_add(&fields, SPAN("mcp-method"), SPAN("tools/list")), 0);
		assert_int_equal(server_check_mirrors(&fields, &m), MCP_HEADER_MISMATCH);
	}
}

TEST_WITH(a_version_is_one_of_ours_or_not_said, setup, teardown)
{
	struct fields none = fields_of(NULL, NULL), known = fields_of("MCP-Protocol-Version", "2025-06-18"),
		      other = fields_of("mcp-protocol-version", "1999-01-01");
	enum mcp_version version;

	assert_true(server_version(&none, &version) && version == MCP_VERSION_NONE);
	assert_true(server_version(&known, &version) && version == MCP_2025_06_18);
	assert_false(server_version(&other, &version));
}

/* ---- numbers */

static uint64_t calls_of(const struct series_table *m, const char *tool, const char *status)
{
	uint64_t count = 0;

	for (uint32_t i = 0; i < series_table_count(m); i++) {
		const struct series *series = series_table_at(m, i);
		struct histogram_totals totals = { 0 };

		histogram_collect(&series->duration, &histogram_http, &totals);
		if (span_eq(series->labels[CALL_TOOL], span_str(tool)) &&
		    span_eq(series->labels[CALL_STATUS], span_str(status)))
			count += totals.count;
	}
	return count;
}

static void add(struct mcp_call_metrics *m, const char *method, const char *tool, bool is_error)
{
	struct mcp_call_tool made = { SPAN("mcp"), SPAN("one"), span_str(method), span_str(tool) };

	mcp_call_metrics_add(m, &made, made.name, is_error, 1000);
}

static void list_tool(struct mcp_call_metrics *m, const char *target, const char *method, const char *name)
{
	struct mcp_call_tool made = { SPAN("mcp"), span_str(target), span_str(method), span_str(name) };

	mcp_call_metrics_learn(m, &made);
}

TEST(what_a_client_invents_makes_no_series)
{
	struct mcp_call_metrics calls, *m = &calls;
	uint32_t before;

	assert_true(mcp_call_metrics_init(m));
	list_tool(m, "one", "tools/call", "echo");
	list_tool(m, "one", "tools/call", "echo");
	list_tool(m, "two", "tools/call", "invented1");
	list_tool(m, "one", "prompts/get", "invented2");
	add(m, "tools/call", "echo", false);
	add(m, "tools/call", "echo", true);
	add(m, "tools/call", "nothing", true);
	add(m, "tools/call", "nothing", false); /* a server that says so in its result */
	add(m, "resources/read", "file:///a", false);
	add(m, "invented/method", "x", false);
	before = series_table_count(m->shown);
	for (int i = 0; i < 1000; i++) {
		char name[32];

		snprintf(name, sizeof(name), "invented%d", i);
		add(m, "tools/call", name, i % 2);
		add(m, name, name, false);
		add(m, "resources/read", name, false);
	}
	assert_int_equal(series_table_count(m->shown), before);
	assert_int_equal(calls_of(m->shown, "echo", "ok"), 1);
	assert_int_equal(calls_of(m->shown, "echo", "error"), 1);
	assert_int_equal(calls_of(m->shown, "other", "error"), 501);
	assert_int_equal(calls_of(m->shown, "other", "ok"), 501);
	assert_int_equal(calls_of(m->shown, "", "ok"), 2002);
	mcp_call_metrics_done(m);
}

TEST(past_the_bound_one_series_has_the_rest)
{
	struct mcp_call_metrics calls, *m = &calls;

	assert_true(mcp_call_metrics_init(m));
	for (int i = 0; i < 2 * LIMIT_MCP_SERIES; i++) {
		char name[32];

		snprintf(name, sizeof(name), "tool%d", i);
		list_tool(m, "one", "tools/call", name);
		add(m, "tools/call", name, false);
	}
	assert_int_equal(series_table_count(m->shown), LIMIT_MCP_SERIES);
	assert_int_equal(calls_of(m->shown, "overflow", "overflow"), LIMIT_MCP_SERIES + 1);
	mcp_call_metrics_done(m);
}
