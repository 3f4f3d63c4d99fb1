/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/clock_ahead.h"
#include "tests/unit/mcp_play.h"

#include "config/model_openapi.h"
#include "user/mcp/target/api.h"

static struct openapi_parameter parameters[] = {
	{ SPAN("id"), OPENAPI_PATH, false, true },
	{ SPAN("X-Tag"), OPENAPI_HEADER, false, false },
	{ SPAN("X-Key"), OPENAPI_HEADER, false, false },
	{ SPAN("X-Gone"), OPENAPI_HEADER, false, false },
};
static struct openapi_operation operations[] = {
	{ .tool = SPAN("get"),
	  .description = SPAN("{\"name\":\"get\"}"),
	  .method = SPAN("GET"),
	  .path = SPAN("/v1/{id}"),
	  .parameter_list = parameters,
	  .parameter_count = 4 },
	{ .tool = SPAN("add"),
	  .description = SPAN("{\"name\":\"add\"}"),
	  .method = SPAN("PATCH"),
	  .path = SPAN("/v1"),
	  .content_type = SPAN("application/merge-patch+json") },
};
static void free_nothing(struct fetched_value *value)
{
	(void)value;
}

static struct openapi_api document = { .value = { 1, 1, free_nothing },
				       .title = SPAN("A \"b\""),
				       .version = SPAN("1.2"),
				       .operation_list = operations,
				       .operation_count = 2 };
static struct header_pair set[] = { { SPAN("x-key"), SPAN("secret") } };
static struct span gone[] = { SPAN("x-gone") };
static const struct header_modifier modifier = {
	.set_list = set, .set_count = 1, .remove_list = gone, .remove_count = 1
};

static void drop_fetched(void *fetched)
{
	fetched_unref(fetched);
}

static int open_fetched(struct scene *scene, struct fetched *fetched)
{
	struct api_options options = { .place = scene_place(scene), .api = fetched, .name = SPAN("a") };

	options.place.modifier = &modifier;
	options.place.snapshot = scene->snapshot;
	return api_open(&scene->targets, &options, &scene_events, scene, &scene->target);
}

/* api: NULL for one that has not been fetched. The snapshot owns *ret. */
static struct fetched *fetched_of(struct scene *scene, struct openapi_api *api)
{
	struct fetched *fetched = fetched_create(api ? fetched_value_ref(&api->value) : NULL);

	assert_non_null(fetched);
	assert_int_equal(snapshot_add_destructor(scene->snapshot, drop_fetched, fetched), 0);
	return fetched;
}

static int open_target(struct scene *scene, struct openapi_api *api)
{
	return open_fetched(scene, fetched_of(scene, api));
}

static int setup(void **state)
{
	struct scene *scene = scene_create();

	scene->targets.checker = mcp_json_checker_create();
	assert_int_equal(open_target(scene, &document), 0);
	*state = scene;
	return 0;
}

static int drop(void **state)
{
	struct mcp_json_checker *checker = ((struct scene *)*state)->targets.checker;

	scene_drop(state);
	mcp_json_checker_free(checker);
	return 0;
}

#define PLAYED(name) TEST_WITH(name, setup, drop)

static void expect(struct scene *scene, const char *text)
{
	UNTIL(scene, scene->got.len);
	assert_string_equal(scene->got.data, text);
	text_clear(&scene->got);
}

static void close_target(struct scene *scene)
{
	mcp_target_close(scene->target);
	scene->target = NULL;
}

#define RESULT_OF_1 "1:{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":"
#define ERROR_OF_1 "1:{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":"
#define SERVER "\"serverInfo\":{\"name\":\"A \\\"b\\\"\",\"version\":\"1.2\"}"
#define ARGUMENTS(text) "{\"params\":{\"arguments\":" text "}}"

static int call(struct scene *scene, uint64_t number, const char *tool, const char *message)
{
	return tell(scene, number, "tools/call", tool, MCP_2025_06_18, message);
}

PLAYED(the_gateway_itself_answers_what_is_no_call)
{
	static const struct {
		const char *method, *message, *want;
		enum mcp_version version;
	} rows[] = {
		{ "initialize", "{\"params\":{\"protocolVersion\":\"2025-06-18\"}}",
		  RESULT_OF_1 "{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{\"tools\":{}}," SERVER
			      "}}\n",
		  MCP_VERSION_NONE },
		{ "initialize", "{\"params\":{\"protocolVersion\":\"1\"}}",
		  RESULT_OF_1 "{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"tools\":{}}," SERVER
			      "}}\n",
		  MCP_VERSION_NONE },
		{ "server/discover", "{}",
		  RESULT_OF_1
		  "{\"resultType\":\"complete\",\"supportedVersions\":[\"2024-11-05\","
		  "\"2025-03-26\",\"2025-06-18\",\"2025-11-25\",\"2026-07-28\"],"
		  "\"capabilities\":{\"tools\":{}},\"_meta\":{\"io.modelcontextprotocol/serverInfo\":"
		  "{\"name\":\"A \\\"b\\\"\",\"version\":\"1.2\"}},"
		  "\"ttlMs\":0,\"cacheScope\":\"private\"}}\n",
		  MCP_2026_07_28 },
		{ "tools/list", "{}", RESULT_OF_1 "{\"tools\":[{\"name\":\"get\"},{\"name\":\"add\"}]}}\n",
		  MCP_2025_06_18 },
		{ "tools/list", "{}",
		  RESULT_OF_1
		  "{\"resultType\":\"complete\",\"tools\":[{\"name\":\"get\"},{\"name\":\"add\"}],"
		  "\"ttlMs\":0,\"cacheScope\":\"private\"}}\n",
		  MCP_2026_07_28 },
		{ "tools/list", "{\"params\":{\"cursor\":\"2\"}}",
		  ERROR_OF_1 "{\"code\":-32602,\"message\":\"Invalid cursor\"}}\n", MCP_2025_06_18 },
		{ "tools/list", "{\"params\":{\"cursor\":{}}}",
		  ERROR_OF_1 "{\"code\":-32602,\"message\":\"Invalid cursor\"}}\n", MCP_2025_06_18 },
		{ "ping", "{}", RESULT_OF_1 "{}}\n", MCP_2025_06_18 },
		{ "prompts/list", "{}", ERROR_OF_1 "{\"code\":-32601,\"message\":\"Method not found\"}}\n",
		  MCP_2025_06_18 },
		{ "tools/call", "{}", ERROR_OF_1 "{\"code\":-32602,\"message\":\"Unknown tool\"}}\n",
		  MCP_2025_06_18 },
		{ "subscriptions/listen", "{}",
		  "1:{\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/acknowledged\","
		  "\"params\":{\"_meta\":{\"io.modelcontextprotocol/subscriptionId\":1},"
		  "\"notifications\":{}}}\n",
		  MCP_2026_07_28 },
	};
	struct scene *scene = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(tell(scene, 1, rows[i].method, "x", rows[i].version, rows[i].message), 0);
		/* Never from within the session's own call. */
		assert_int_equal(scene->got.len, 0);
		expect(scene, rows[i].want);
	}
	assert_int_equal(tell(scene, 0, "notifications/initialized", "", MCP_2025_06_18, "{}"), 0);
	play_for(scene->loop, 5);
	assert_int_equal(scene->got.len, 0);
	assert_false(is_readable(scene->listener));
}

PLAYED(a_call_is_a_request_and_its_response_the_result)
{
	struct scene *scene = *state;
	const char *request;
	int fd;

	assert_int_equal(call(scene, 7, "get", ARGUMENTS("{\"path\":{\"id\":\"a/b\"}}")), 0);
	fd = accept_one(scene);
	request = read_request(scene, fd);
	assert_int_equal(strncmp(request, "GET /v1/a%2Fb HTTP/1.1\r\n", 24), 0);
	assert_non_null(strcasestr(request, "\r\nhost: tools.example:81\r\n"));
	assert_non_null(strcasestr(request, "\r\naccept: application/json, */*;q=0.5\r\n"));
	assert_null(strcasestr(request, "content-"));
	assert_null(strcasestr(request, "mcp-"));
	say_json(fd, "", " {\"a\":\n1}\n");
	expect(scene, "7:{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"content\":[{\"type\":\"text\",\"text\":"
		      "\"{\\\"a\\\":\\n1}\"}],\"structuredContent\":{\"a\":\n1}}}\n");
	/* The next one goes over the same connection. */
	assert_int_equal(call(scene, 8, "add", ARGUMENTS("{\"body\":{\"x\": 1}}")), 0);
	request = read_request(scene, fd);
	assert_int_equal(strncmp(request, "PATCH /v1 HTTP/1.1\r\n", 20), 0);
	assert_non_null(strcasestr(request, "\r\ncontent-type: application/merge-patch+json\r\n"));
	assert_non_null(strcasestr(request, "\r\ncontent-length: 8\r\n"));
	assert_non_null(strstr(request, "\r\n\r\n{\"x\": 1}"));
	say(fd, "HTTP/1.1 204 No Content\r\n\r\n");
	expect(scene, "8:{\"jsonrpc\":\"2.0\",\"id\":8,\"result\":{\"content\":[{\"type\":\"text\",\"text\":"
		      "\"status 204\"}]}}\n");
	/* Without its optional body the length is zero. */
	assert_int_equal(call(scene, 9, "add", "{}"), 0);
	request = read_request(scene, fd);
	assert_non_null(strcasestr(request, "\r\ncontent-length: 0\r\n"));
	assert_null(strcasestr(request, "content-type"));
	say(fd,
	    "HTTP/1.1 500 Oops\r\nContent-Type: text/event-stream\r\nContent-Length: 9\r\n\r\ndata: x\n\n");
	expect(scene, "9:{\"jsonrpc\":\"2.0\",\"id\":9,\"result\":{\"content\":[{\"type\":\"text\",\"text\":"
		      "\"status 500\"},{\"type\":\"text\",\"text\":\"data: x\\n\\n\"}],\"isError\":true}}\n");
	assert_int_equal(scene->lost_calls.len, 0);
	close(fd);
}

PLAYED(wrong_arguments_are_a_result_and_no_request)
{
	struct scene *scene = *state;

	assert_int_equal(call(scene, 1, "get", ARGUMENTS("{\"path\":{\"id\":\"..\"}}")), 0);
	expect(scene,
	       "1:{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"path "
	       "leads to another path; no value may have a segment . or ..\"}],\"isError\":true}}\n");
	assert_false(is_readable(scene->listener));
}

/* An argument is no more than a header of the client: policies come last, and the client's own is first. */
PLAYED(arguments_replace_no_header_of_the_client_or_a_policy)
{
	static const char message[] =
		ARGUMENTS("{\"path\":{\"id\":1},\"header\":{\"X-Tag\":\"mine\",\"X-Key\":"
			  "\"mine\",\"X-Gone\":\"mine\"}}");
	struct scene *scene = *state;
	struct iovec segment = { (char *)(uintptr_t)message, strlen(message) };
	struct arena arena;
	struct fields client;
	struct mcp_out out = { .segments = &segment,
			       .count = 1,
			       .bytes = segment.iov_len,
			       .kind = MCP_REQUEST,
			       .method = SPAN("tools/call"),
			       .name = SPAN("get"),
			       .version = MCP_2025_06_18,
			       .call = 1,
			       .fields = &client };
	const char *request;
	int fd;

	arena_init(&arena, 256);
	fields_init(&client, &arena);
	assert_int_equal(fields_add(&client, SPAN("x_tag"), SPAN("client")), 0);
	assert_int_equal(fields_add(&client, SPAN("Authorization"), SPAN("Bearer t")), 0);
	assert_int_equal(fields_add(&client, SPAN("Content-Length"), SPAN("99")), 0);
	assert_int_equal(mcp_target_send(scene->target, &out), 0);
	arena_done(&arena);
	fd = accept_one(scene);
	request = read_request(scene, fd);
	assert_non_null(strcasestr(request, "\r\nx_tag: client\r\n"));
	assert_non_null(strcasestr(request, "\r\nx-key: secret\r\n"));
	assert_non_null(strcasestr(request, "\r\nauthorization: Bearer t\r\n"));
	assert_null(strcasestr(request, "mine"));
	assert_null(strcasestr(request, "gone"));
	assert_null(strcasestr(request, "content-length"));
	close(fd);
}

PLAYED(a_body_cannot_become_a_member_of_the_message)
{
	static const char *const bodies[] = {
		"{}},\"id\":2,\"error\":{",
		"{\"a\":1} {}",
		"{\"a\":1",
		"{\"a\":\"\xff\"}",
		"[1]",
		"null",
		"{\"\\q\":1}",
	};
	struct scene *scene = *state;
	int fd = -1;

	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		assert_int_equal(call(scene, 1, "add", "{}"), 0);
		fd = fd < 0 ? accept_one(scene) : fd;
		read_request(scene, fd);
		say_json(fd, "", bodies[i]);
		UNTIL(scene, scene->got.len);
		assert_null(strstr(scene->got.data, "structuredContent"));
		assert_non_null(strstr(scene->got.data, "\"content\":[{\"type\":\"text\","));
		text_clear(&scene->got);
	}
	close(fd);
}

/* As deep as a message may be by itself: in the result it is too deep, and only a text. */
PLAYED(an_object_that_is_too_deep_is_a_text)
{
	struct scene *scene = *state;
	char json[1024] = "{\"a\":";
	size_t len = strlen(json);
	int fd;

	memset(json + len, '[', LIMIT_MCP_DEPTH - 2);
	memset(json + len + LIMIT_MCP_DEPTH - 2, ']', LIMIT_MCP_DEPTH - 2);
	strcat(json, "}");
	assert_int_equal(mcp_json_check(scene->targets.checker, span_str(json)), 0);
	call(scene, 1, "add", "{}");
	fd = accept_one(scene);
	read_request(scene, fd);
	say_json(fd, "", json);
	UNTIL(scene, scene->got.len);
	assert_null(strstr(scene->got.data, "structuredContent"));
	close(fd);
}

PLAYED(a_large_response_is_a_text_and_a_larger_one_fails_its_call)
{
	struct scene *scene = *state;
	char json[512];
	int fd;

	scene->targets.message_bytes = 600;
	snprintf(json, sizeof(json), "{\"a\":\"%0300d\"}", 0);
	call(scene, 1, "add", "{}");
	fd = accept_one(scene);
	read_request(scene, fd);
	say_json(fd, "", json);
	UNTIL(scene, scene->got.len);
	assert_null(strstr(scene->got.data, "structuredContent"));
	text_clear(&scene->got);
	/* Escaped it is larger than it may be. */
	memset(json, '\\', 400);
	json[400] = '\0';
	call(scene, 2, "add", "{}");
	read_request(scene, fd);
	say_json(fd, "", json);
	UNTIL(scene, scene->lost_calls.len);
	assert_string_equal(text_of(&scene->lost_calls), "2:a response that is too large\n");
	text_clear(&scene->lost_calls);
	call(scene, 3, "add", "{}");
	read_request(scene, fd);
	say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 700\r\n\r\n");
	for (int i = 0; i < 7; i++)
		say(fd,
		    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
		    "890123456789");
	UNTIL(scene, scene->lost_calls.len);
	assert_string_equal(text_of(&scene->lost_calls), "3:a message that is too large\n");
	assert_int_equal(scene->got.len, 0);
	close(fd);
}

PLAYED(a_call_ends_with_its_deadline_or_its_connection)
{
	struct scene *scene = *state;
	int fd;

	call(scene, 1, "add", "{}");
	fd = accept_one(scene);
	read_request(scene, fd);
	close(fd);
	UNTIL(scene, scene->lost_calls.len);
	assert_string_equal(text_of(&scene->lost_calls), "1:the connection ended before a response\n");
	text_clear(&scene->lost_calls);
	call(scene, 2, "add", "{}");
	fd = accept_one(scene);
	read_request(scene, fd);
	clock_put_forward(LIMIT_OPENAPI_CALL_MS + 1000);
	UNTIL(scene, scene->lost_calls.len);
	assert_string_equal(text_of(&scene->lost_calls), "2:no response head in time\n");
	assert_int_equal(scene->lost.len, 0);
	close(fd);
}

PLAYED(a_call_that_is_forgotten_closes_its_connection)
{
	struct scene *scene = *state;
	int fd;

	call(scene, 1, "add", "{}");
	fd = accept_one(scene);
	read_request(scene, fd);
	mcp_target_forget(scene->target, 1);
	UNTIL(scene, is_closed(fd));
	assert_int_equal(scene->lost_calls.len + scene->got.len, 0);
	close(fd);
}

PLAYED(while_held_nothing_is_delivered)
{
	struct scene *scene = *state;

	mcp_target_hold(scene->target, true);
	tell(scene, 1, "ping", "", MCP_2025_06_18, "{}");
	play_for(scene->loop, 10);
	assert_int_equal(scene->got.len, 0);
	mcp_target_hold(scene->target, false);
	UNTIL(scene, scene->got.len);
}

PLAYED(the_target_may_be_closed_in_each_callback)
{
	struct scene *scene = *state;
	int fd;

	tell(scene, 1, "ping", "", MCP_2025_06_18, "{}");
	tell(scene, 2, "ping", "", MCP_2025_06_18, "{}");
	scene->closes_at_message = true;
	UNTIL(scene, scene->is_empty);
	assert_string_equal(scene->got.data, "1:{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n");
	text_clear(&scene->got);
	scene->is_empty = false;
	assert_int_equal(open_target(scene, &document), 0);
	call(scene, 3, "add", "{}");
	fd = accept_one(scene);
	read_request(scene, fd);
	say_json(fd, "", "{}");
	UNTIL(scene, scene->is_empty);
	assert_non_null(strstr(scene->got.data, "3:"));
	close(fd);
	assert_int_equal(open_target(scene, &document), 0);
	call(scene, 4, "add", "{}");
	close_target(scene);
	UNTIL(scene, list_is_empty(&scene->targets.list));
}

TEST_WITH(long_lists_come_page_by_page, setup, drop)
{
	enum { COUNT = 40, BYTES = 10000 };
	struct scene *scene = *state;
	struct fetched *fetched;
	struct openapi_operation *list = calloc(COUNT, sizeof(*list));
	struct openapi_api api = { .value = { 1, 2, free_nothing },
				   .operation_list = list,
				   .operation_count = COUNT };
	char *filler = malloc(BYTES + 3);
	int tools = 0, pages = 0;
	char message[64] = "{}";

	assert_true(list && filler);
	memset(filler, 'x', BYTES + 2);
	filler[0] = filler[BYTES + 1] = '"';
	filler[BYTES + 2] = '\0';
	for (int i = 0; i < COUNT; i++)
		list[i] = (struct openapi_operation){ .tool = SPAN("t"), .description = span_str(filler) };
	close_target(scene);
	fetched = fetched_of(scene, &api);
	assert_int_equal(open_fetched(scene, fetched), 0);
	while (message[0]) {
		const char *next;

		assert_int_equal(tell(scene, 1, "tools/list", "", MCP_2025_06_18, message), 0);
		UNTIL(scene, scene->got.len);
		assert_true(scene->got.len < LIMIT_OPENAPI_PAGE_BYTES + 1000);
		for (const char *at = scene->got.data; (at = strstr(at, "\"xxx")); at++)
			tools++;
		pages++;
		next = strstr(scene->got.data, "\"nextCursor\":\"");
		message[0] = '\0';
		if (next)
			snprintf(message, sizeof(message), "{\"params\":{\"cursor\":\"%ld\"}}",
				 strtol(next + 14, NULL, 10));
		text_clear(&scene->got);
	}
	assert_int_equal(tools, COUNT);
	assert_int_equal(pages, 2);
	close_target(scene);
	play_for(scene->loop, 2);
	fetched_replace(fetched, fetched_value_ref(&document.value), 1);
	free(list);
	free(filler);
}

TEST_WITH(without_a_document_requests_are_refused_and_a_session_keeps_its_first_one, setup, drop)
{
	struct openapi_api other = document;
	struct scene *scene = *state;
	struct fetched *fetched = fetched_of(scene, NULL);
	static const char *const methods[] = { "initialize", "tools/list", "tools/call", "ping" };

	other.value.id = 2;
	other.operation_list++;
	other.operation_count = 1;
	close_target(scene);
	assert_int_equal(open_fetched(scene, fetched), 0);
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		assert_int_equal(tell(scene, 1, methods[i], "get", MCP_2025_06_18, "{}"), 0);
		expect(scene, ERROR_OF_1 "{\"code\":-32000,\"message\":\"the OpenAPI document of a has not "
					 "been fetched yet\"}}\n");
	}
	fetched_replace(fetched, fetched_value_ref(&document.value), 5);
	assert_int_equal(fetched_s(fetched), 5);
	tell(scene, 1, "tools/list", "", MCP_2025_06_18, "{}");
	expect(scene, RESULT_OF_1 "{\"tools\":[{\"name\":\"get\"},{\"name\":\"add\"}]}}\n");
	fetched_replace(fetched, fetched_value_ref(&other.value), 6);
	tell(scene, 1, "tools/list", "", MCP_2025_06_18, "{}");
	expect(scene, RESULT_OF_1 "{\"tools\":[{\"name\":\"get\"},{\"name\":\"add\"}]}}\n");
	tell(scene, 1, "tools/list", "", MCP_2026_07_28, "{}");
	expect(scene, RESULT_OF_1 "{\"resultType\":\"complete\",\"tools\":[{\"name\":\"add\"}],"
				  "\"ttlMs\":0,\"cacheScope\":\"private\"}}\n");
	close_target(scene);
	play_for(scene->loop, 2);
	fetched_replace(fetched, fetched_value_ref(&document.value), 7);
}

static int try_all(struct scene *scene)
{
	int error = tell(scene, 1, "tools/list", "", MCP_2025_06_18, "{}");

	if (!error)
		error = call(scene, 2, "get",
			     ARGUMENTS("{\"path\":{\"id\":\"x\"},\"header\":{\"X-Tag\":\"y\"}}"));
	return error;
}

PLAYED(without_memory_a_message_fails_and_nothing_leaks)
{
	struct scene *scene = *state;
	int error = -ENOMEM;

	for (size_t n = 1; error; n++) {
		assert_true(n < 200);
		mem_fail_nth(n);
		error = try_all(scene);
		mem_fail_nth(0);
		assert_true(error == 0 || error == -ENOMEM);
		play_for(scene->loop, 1);
	}
}
