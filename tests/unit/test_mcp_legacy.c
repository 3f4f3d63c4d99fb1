/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/clock_ahead.h"
#include "tests/unit/mcp_play.h"

#include "user/mcp/target/legacy.h"

static int setup(void **state)
{
	struct scene *scene = scene_create();
	struct legacy_options options = { .place = scene_place(scene), .path = SPAN("/base/sse?k=v") };

	assert_int_equal(legacy_open(&scene->targets, &options, &scene_events, scene, &scene->target), 0);
	*state = scene;
	return 0;
}

#define PLAYED(name) TEST_WITH(name, setup, scene_drop)

static int open_stream(struct scene *scene)
{
	int fd = accept_one(scene);
	const char *request = read_request(scene, fd);

	assert_int_equal(strncmp(request, "GET /base/sse?k=v HTTP/1.1\r\n", 28), 0);
	assert_non_null(strcasestr(request, "\r\naccept: text/event-stream\r\n"));
	say(fd, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
	return fd;
}

PLAYED(messages_wait_for_the_endpoint_and_answers_come_on_the_stream)
{
	struct scene *scene = *state;
	const char *request;
	int stream, post;

	assert_int_equal(tell(scene, 1, "initialize", "", MCP_VERSION_NONE, "{\"id\":1}"), 0);
	stream = open_stream(scene);
	play_for(scene->loop, 50);
	assert_false(is_readable(scene->listener));
	say(stream, "event: endpoint\ndata: /messages?session=7\n\n");
	post = accept_one(scene);
	request = read_request(scene, post);
	assert_int_equal(strncmp(request, "POST /messages?session=7 HTTP/1.1\r\n", 35), 0);
	assert_non_null(strstr(request, "\r\n\r\n{\"id\":1}"));
	say(post, "HTTP/1.1 202 Accepted\r\nContent-Length: 8\r\n\r\nAccepted");
	say(stream, "event: message\ndata: {\"id\":1,\"result\":{}}\n\n");
	UNTIL(scene, scene->got.len);
	assert_string_equal(text_of(&scene->got), "0:{\"id\":1,\"result\":{}}\n");
	assert_int_equal(tell(scene, 2, "tools/list", "", MCP_2024_11_05, "{\"id\":2}"), 0);
	read_request(scene, post);
	say(post, "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n");
	UNTIL(scene, scene->lost_calls.len);
	assert_string_equal(text_of(&scene->lost_calls), "2:it refused the message with status 500\n");
	close(stream);
	UNTIL(scene, scene->lost.len);
	assert_string_equal(text_of(&scene->lost), "its event stream has ended");
	assert_int_equal(tell(scene, 3, "tools/list", "", MCP_2024_11_05, "{}"), -EPIPE);
	close(post);
}

/* Up to the endpoint, with an initialize that has its answer. */
static int open_legacy(struct scene *scene)
{
	int stream, post;

	tell(scene, 1, "initialize", "", MCP_VERSION_NONE, "{\"id\":1}");
	stream = open_stream(scene);
	say(stream, "event: endpoint\ndata: /messages\n\n");
	post = accept_one(scene);
	read_request(scene, post);
	say(post, "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
	say(stream, "data: {\"id\":1,\"result\":{}}\n\n");
	UNTIL(scene, scene->got.len && is_closed(post));
	close(post);
	return stream;
}

PLAYED(what_a_target_says_to_a_POST_without_end_is_not_read_for_ever)
{
	/* Nothing before the answer on the stream, a body without end, nothing to a notification. */
	static const struct {
		uint64_t call;
		const char *response, *event;
		uint64_t ms;
	} rows[] = {
		{ 2, "", "data: {\"id\":2,\"result\":{}}\n\n", LIMIT_MCP_CHILD_PAUSE_MS },
		{ 3, "HTTP/1.1 202 Accepted\r\nContent-Length: 9\r\n\r\n", "", LIMIT_MCP_CHILD_PAUSE_MS },
		{ 0, "HTTP/1.1 202 Accepted\r\nContent-Length: 9\r\n\r\n", "", LIMIT_MCP_CHILD_PAUSE_MS },
		{ 0, "", "", LIMIT_MCP_NOTICE_MS },
	};
	struct scene *scene = *state;
	int stream = open_legacy(scene);

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int post;

		assert_int_equal(tell(scene, rows[i].call, "x", "", MCP_2024_11_05, "{}"), 0);
		post = accept_one(scene);
		read_request(scene, post);
		say(post, rows[i].response);
		say(stream, rows[i].event);
		play_for(scene->loop, 50);
		assert_false(is_closed(post));
		clock_put_forward(rows[i].ms);
		UNTIL(scene, is_closed(post));
		close(post);
	}
	assert_int_equal(scene->lost_calls.len, 0);
	assert_int_equal(scene->lost.len, 0);
	close(stream);
}

PLAYED(an_endpoint_elsewhere_gets_no_message)
{
	struct scene *scene = *state;
	int stream;

	tell(scene, 1, "initialize", "", MCP_VERSION_NONE, "{\"id\":1}");
	stream = open_stream(scene);
	say(stream, "event: endpoint\ndata: http://elsewhere.example/messages\n\n");
	UNTIL(scene, scene->lost.len);
	assert_string_equal(text_of(&scene->lost),
			    "its endpoint event does not name a path of the same server");
	UNTIL(scene, is_closed(stream));
	close(stream);
}

PLAYED(a_stream_that_is_refused_loses_the_target)
{
	struct scene *scene = *state;
	int fd = accept_one(scene);

	read_request(scene, fd);
	say(fd, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
	UNTIL(scene, scene->lost.len);
	assert_string_equal(text_of(&scene->lost), "no event stream, but a response with status 404");
	mcp_target_close(scene->target);
	UNTIL(scene, scene->is_empty);
	close(fd);
}

PLAYED(what_waits_for_an_endpoint_that_does_not_come_is_bounded)
{
	struct scene *scene = *state;
	char *message = calloc(1, LIMIT_MCP_MESSAGE_BYTES + 1);
	struct mcp_target_view view;
	int sent = 0, error;

	memset(message, 'x', LIMIT_MCP_MESSAGE_BYTES);
	while ((error = tell(scene, 1, "x", "", MCP_VERSION_NONE, message)) == 0)
		sent++;
	assert_int_equal(error, -ENOBUFS);
	mcp_target_describe(scene->target, &view);
	assert_string_equal(view.state, "opening");
	assert_int_equal(sent, 1);
	assert_int_equal(tell(scene, 1, "x", "", MCP_VERSION_NONE, "{}"), 0);
	assert_int_equal(scene->lost.len, 0);
	free(message);
}

TEST(an_endpoint_is_a_path_of_the_same_server)
{
	static const struct {
		const char *data;
		const char *path;
	} rows[] = {
		{ "/messages?a=b", "/messages?a=b" },
		{ "messages", "/base/messages" },
		{ "?a=http://x/", "/base/?a=http://x/" },
		{ "http://tools.example:81/m", "/m" },
		{ "http://TOOLS.example:81/m", "/m" },
		{ "http://tools.example:811/m", "" },
		{ "http://tools.example:81", "" },
		{ "https://tools.example:81/m", "" },
		{ "//elsewhere/m", "" },
		{ "data:x", "" },
		{ "/a b", "" },
		{ "/a#b", "" },
		{ "/\xc3\xa4", "" },
		{ "", "" },
	};
	struct remote_base place = { SPAN("tools.example:81"), SPAN("/base/sse?k=/v"), false };
	struct arena arena;

	arena_init(&arena, 256);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct span path = remote_reference(&arena, &place, span_str(rows[i].data));

		if (!span_eq(path, span_str(rows[i].path)))
			fail_msg("%s: %.*s", rows[i].data, SPAN_FMT(path));
	}
	/* A stream inside TLS is not left for plain text. */
	place.is_tls = true;
	assert_true(
		span_eq(remote_reference(&arena, &place, SPAN("https://tools.example:81/m")), SPAN("/m")));
	assert_int_equal(remote_reference(&arena, &place, SPAN("http://tools.example:81/m")).len, 0);
	arena_done(&arena);
}
