/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/clock_ahead.h"
#include "tests/unit/mcp_play.h"

#include "tests/lib/alloc.h"
#include "user/mcp/target/remote.h"
#include "user/mcp/target/remote_fields.h"

static int open_target(struct scene *scene)
{
	struct remote_options options = { .place = scene_place(scene), .path = SPAN("/mcp?a=b") };

	return remote_open(&scene->targets, &options, &scene_events, scene, &scene->target);
}

static int setup(void **state)
{
	struct scene *scene = scene_create();

	assert_int_equal(open_target(scene), 0);
	*state = scene;
	return 0;
}

#define PLAYED(name) TEST_WITH(name, setup, scene_drop)

#define EVENTS_HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"

static int ask(struct scene *scene, uint64_t call)
{
	char message[64];

	snprintf(message, sizeof(message), "{\"id\":%llu,\"method\":\"x\"}", (unsigned long long)call);
	return tell(scene, call, "tools/call", "echo", MCP_2025_06_18, message);
}

static void close_target(struct scene *scene)
{
	mcp_target_close(scene->target);
	scene->target = NULL;
}

/* ---- one message, one POST */

PLAYED(a_message_is_a_POST_and_its_answer_may_be_JSON)
{
	struct scene *scene = *state;
	const char *request;
	int fd;

	assert_int_equal(tell(scene, 1, "initialize", "", MCP_VERSION_NONE, "{\"id\":1}"), 0);
	fd = accept_one(scene);
	request = read_request(scene, fd);
	assert_int_equal(strncmp(request, "POST /mcp?a=b HTTP/1.1\r\n", 24), 0);
	assert_non_null(strcasestr(request, "\r\nhost: tools.example:81\r\n"));
	assert_non_null(strcasestr(request, "\r\naccept: application/json, text/event-stream\r\n"));
	assert_non_null(strcasestr(request, "\r\ncontent-type: application/json\r\n"));
	assert_null(strcasestr(request, "mcp-"));
	assert_non_null(strstr(request, "\r\n\r\n{\"id\":1}"));
	say_json(fd, "Mcp-Session-Id: s-1\r\n", "{\"id\":1,\"result\":{}}");
	UNTIL(scene, scene->got.len);
	assert_string_equal(text_of(&scene->got), "1:{\"id\":1,\"result\":{}}\n");
	/* The session and the version go with what follows, on the same connection. */
	assert_int_equal(ask(scene, 2), 0);
	request = read_request(scene, fd);
	assert_non_null(strcasestr(request, "\r\nmcp-session-id: s-1\r\n"));
	assert_non_null(strcasestr(request, "\r\nmcp-protocol-version: 2025-06-18\r\n"));
	assert_null(strcasestr(request, "mcp-method"));
	say(fd, "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
	UNTIL(scene, scene->lost_calls.len);
	assert_string_equal(text_of(&scene->lost_calls),
			    "2:a response with status 202 and without the answer\n");
	close(fd);
}

PLAYED(an_answer_may_be_a_stream_of_events_in_any_pieces)
{
	static const char events[] = ": hi\r\n\r\ndata: {\"method\":\"progress\"}\n\nevent: ping\ndata: x\n\n"
				     "id: 7\ndata: {\"id\":1,\ndata: \"result\":2}\n\n";
	struct scene *scene = *state;
	int fd;

	ask(scene, 1);
	fd = accept_one(scene);
	read_request(scene, fd);
	say(fd, EVENTS_HEAD "Transfer-Encoding: chunked\r\n\r\n");
	for (size_t i = 0; i < sizeof(events) - 1; i++) {
		char chunk[] = "1\r\n?\r\n";

		chunk[3] = events[i];
		say(fd, chunk);
		if (i % 5 == 0)
			play_for(scene->loop, 1);
	}
	say(fd, "0\r\n\r\n");
	UNTIL(scene, strstr(text_of(&scene->got), "\"result\":2"));
	assert_string_equal(text_of(&scene->got),
			    "1:{\"method\":\"progress\"}\n1:{\"id\":1,\n\"result\":2}\n");
	/* Answered and complete: nothing is asked for again, and the connection is used again. */
	ask(scene, 2);
	read_request(scene, fd);
	assert_int_equal(scene->lost_calls.len, 0);
	close(fd);
}

PLAYED(requests_under_way_at_the_same_time_have_a_connection_each)
{
	struct scene *scene = *state;
	int first, second;

	ask(scene, 1);
	first = accept_one(scene);
	read_request(scene, first);
	ask(scene, 2);
	second = accept_one(scene);
	read_request(scene, second);
	say_json(second, "", "{\"id\":2,\"result\":2}");
	UNTIL(scene, scene->got.len);
	say_json(first, "", "{\"id\":1,\"result\":1}");
	UNTIL(scene, strstr(text_of(&scene->got), "1:"));
	assert_string_equal(text_of(&scene->got), "2:{\"id\":2,\"result\":2}\n1:{\"id\":1,\"result\":1}\n");
	close(first);
	close(second);
}

PLAYED(since_2026_the_head_says_what_the_body_says)
{
	struct scene *scene = *state;
	const char *request;
	int fd;

	assert_int_equal(tell(scene, 1, "tools/call", "caf\\u00e9", MCP_2026_07_28, "{\"id\":1}"), 0);
	fd = accept_one(scene);
	request = read_request(scene, fd);
	assert_non_null(strcasestr(request, "\r\nmcp-protocol-version: 2026-07-28\r\n"));
	assert_non_null(strcasestr(request, "\r\nmcp-method: tools/call\r\n"));
	assert_non_null(strcasestr(request, "\r\nmcp-name: =?base64?Y2Fmw6k=?=\r\n"));
	/* A request that nobody waits for any more is cancelled by closing, and by nothing else. */
	assert_int_equal(tell(scene, 0, "notifications/cancelled", "", MCP_2026_07_28, "{}"), 0);
	mcp_target_forget(scene->target, 1);
	UNTIL(scene, is_closed(fd));
	assert_int_equal(scene->lost_calls.len, 0);
	close(fd);
	assert_int_equal(tell(scene, 2, "tools/list", "", MCP_2026_07_28, "{\"id\":2}"), 0);
	fd = accept_one(scene);
	assert_non_null(strcasestr(read_request(scene, fd), "\r\nmcp-method: tools/list\r\n"));
	close(fd);
}

TEST(what_a_header_cannot_hold_is_encoded)
{
	static const struct {
		const char *plain;
		const char *value;
	} rows[] = {
		{ "echo", "echo" },
		{ "file:///a b", "file:///a b" },
		{ "", "=?base64?"
		      "?=" },
		{ " x", "=?base64?IHg=?=" },
		{ "x ", "=?base64?eCA=?=" },
		{ "a\r\nb: c", "=?base64?YQ0KYjogYw==?=" },
		{ "=?base64?eA==?=", "=?base64?PT9iYXNlNjQ/ZUE9PT89?=" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct text value;

		text_init(&value);
		remote_header_value(&value, span_str(rows[i].plain));
		assert_string_equal(text_of(&value), rows[i].value);
		text_done(&value);
	}
}

/* ---- what goes wrong */

PLAYED(a_request_that_gets_no_answer_is_lost_alone)
{
	static const struct {
		const char *response;
		const char *why;
	} rows[] = {
		{ "HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\nno",
		  "a response with status 500 and without the answer" },
		{ "HTTP/1.1 307 There\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n",
		  "a redirect with status 307 that is not followed" },
		{ EVENTS_HEAD "Content-Length: 0\r\n\r\n",
		  "a response with status 200 and without the answer" },
		{ "HTTP/1.1 nonsense\r\n\r\n", "a malformed response" },
		{ EVENTS_HEAD "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", "a malformed response" },
		{ EVENTS_HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\ndata",
		  "the connection ended in the response" },
		{ "", "the connection ended before a response" },
	};
	struct scene *scene = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char want[128];
		int fd;

		text_clear(&scene->lost_calls);
		assert_int_equal(ask(scene, i + 1), 0);
		fd = accept_one(scene);
		read_request(scene, fd);
		say(fd, rows[i].response);
		close(fd);
		UNTIL(scene, scene->lost_calls.len);
		snprintf(want, sizeof(want), "%zu:%s\n", i + 1, rows[i].why);
		assert_string_equal(text_of(&scene->lost_calls), want);
	}
	assert_int_equal(scene->got.len, 0);
	assert_int_equal(scene->lost.len, 0);
}

PLAYED(a_text_that_is_no_message_is_no_answer)
{
	struct scene *scene = *state;
	int fd;

	scene->fault = MCP_NOT_JSON;
	ask(scene, 1);
	fd = accept_one(scene);
	read_request(scene, fd);
	say_json(fd, "", "{\"id\":1");
	UNTIL(scene, scene->lost_calls.len);
	assert_string_equal(text_of(&scene->lost_calls),
			    "1:a response with status 200 and an invalid message "
			    "(Parse error: the body is not JSON)\n");
	close(fd);
}

/* Frameworks that add a slash do so; messages to another server are messages that nobody meant for it. */
PLAYED(a_redirect_within_the_server_is_followed_before_it_has_served_anything)
{
	struct scene *scene = *state;
	const char *request;
	int fd;

	assert_int_equal(tell(scene, 1, "initialize", "", MCP_VERSION_NONE, "{\"id\":1}"), 0);
	fd = accept_one(scene);
	read_request(scene, fd);
	say(fd,
	    "HTTP/1.1 307 Elsewhere\r\nLocation: http://tools.example:81/mcp/\r\nContent-Length: 0\r\n\r\n");
	close(fd);
	fd = accept_one(scene);
	request = read_request(scene, fd);
	assert_int_equal(strncmp(request, "POST /mcp/ HTTP/1.1\r\n", 21), 0);
	assert_non_null(strstr(request, "\r\n\r\n{\"id\":1}"));
	say_json(fd, "", "{\"id\":1,\"result\":{}}");
	UNTIL(scene, scene->got.len);
	assert_int_equal(scene->lost_calls.len, 0);
	/* It is the path from now on, and the last one. */
	assert_int_equal(ask(scene, 2), 0);
	request = read_request(scene, fd);
	assert_int_equal(strncmp(request, "POST /mcp/ HTTP/1.1\r\n", 21), 0);
	say(fd, "HTTP/1.1 307 Elsewhere\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n");
	UNTIL(scene, scene->lost_calls.len);
	assert_string_equal(text_of(&scene->lost_calls),
			    "2:a redirect with status 307 that is not followed\n");
	close(fd);
}

PLAYED(redirects_are_bounded)
{
	struct scene *scene = *state;

	assert_int_equal(ask(scene, 1), 0);
	for (int i = 0; i <= LIMIT_MCP_REDIRECTS; i++) {
		int fd = accept_one(scene);

		read_request(scene, fd);
		say(fd, "HTTP/1.1 308 Again\r\nLocation: /mcp?a=b\r\nContent-Length: 0\r\n\r\n");
		close(fd);
	}
	UNTIL(scene, scene->lost_calls.len);
	assert_string_equal(text_of(&scene->lost_calls),
			    "1:a redirect with status 308 that is not followed\n");
}

PLAYED(an_error_may_carry_the_answer)
{
	struct scene *scene = *state;
	int fd;

	ask(scene, 1);
	fd = accept_one(scene);
	read_request(scene, fd);
	say(fd, "HTTP/1.1 400 Bad\r\nContent-Type: application/json\r\nContent-Length: 18\r\n\r\n"
		"{\"id\":1,\"error\":0}");
	UNTIL(scene, scene->got.len);
	assert_string_equal(text_of(&scene->got), "1:{\"id\":1,\"error\":0}\n");
	close(fd);
}

PLAYED(nobody_there_or_no_such_name_is_an_error_of_the_request)
{
	struct scene *scene = *state;

	close(scene->listener);
	scene->listener = open("/dev/null", O_RDONLY | O_CLOEXEC);
	ask(scene, 1);
	assert_int_equal(scene->lost_calls.len, 0); /* never from within a call */
	UNTIL(scene, scene->lost_calls.len);
	assert_string_equal(text_of(&scene->lost_calls), "1:no connection\n");
	close_target(scene);
	UNTIL(scene, scene->is_empty);
	text_clear(&scene->lost_calls);
	scene->endpoint.is_resolved = false;
	assert_int_equal(open_target(scene), 0);
	ask(scene, 2);
	UNTIL(scene, scene->lost_calls.len);
	assert_string_equal(text_of(&scene->lost_calls), "2:its name does not resolve\n");
}

PLAYED(a_session_that_is_over_loses_the_target)
{
	struct scene *scene = *state;
	int fd;

	tell(scene, 1, "initialize", "", MCP_VERSION_NONE, "{\"id\":1}");
	fd = accept_one(scene);
	read_request(scene, fd);
	say_json(fd, "Mcp-Session-Id: s-1\r\n", "{\"id\":1,\"result\":{}}");
	UNTIL(scene, scene->got.len);
	ask(scene, 2);
	read_request(scene, fd);
	say(fd, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
	UNTIL(scene, scene->lost.len);
	assert_string_equal(text_of(&scene->lost), "its session has ended (404)");
	assert_int_equal(ask(scene, 3), -EPIPE);
	/* There is nothing to DELETE. */
	close_target(scene);
	UNTIL(scene, scene->is_empty);
	close(fd);
}

PLAYED(a_stream_that_breaks_is_asked_for_again_when_its_events_have_ids)
{
	struct scene *scene = *state;
	const char *request;
	int fd;

	ask(scene, 1);
	fd = accept_one(scene);
	read_request(scene, fd);
	say(fd, EVENTS_HEAD "\r\nid: e1\ndata: {\"method\":\"m\"}\n\n");
	UNTIL(scene, scene->got.len);
	for (int i = 0; i < LIMIT_MCP_RESUMES; i++) {
		close(fd);
		fd = accept_one(scene);
		request = read_request(scene, fd);
		assert_int_equal(strncmp(request, "GET /mcp?a=b HTTP/1.1\r\n", 23), 0);
		assert_non_null(
			strcasestr(request, i ? "\r\nlast-event-id: e2\r\n" : "\r\nlast-event-id: e1\r\n"));
		assert_non_null(strcasestr(request, "\r\naccept: text/event-stream\r\n"));
		say(fd, EVENTS_HEAD "\r\nid: e2\ndata: {\"method\":\"n\"}\n\n");
		text_clear(&scene->got);
		UNTIL(scene, scene->got.len);
		assert_int_equal(scene->lost_calls.len, 0);
	}
	close(fd);
	UNTIL(scene, scene->lost_calls.len);
	assert_string_equal(text_of(&scene->got), "1:{\"method\":\"n\"}\n");
}

PLAYED(an_event_that_is_too_large_is_not_kept)
{
	struct scene *scene = *state;
	char *megabyte = malloc(1 << 20);
	size_t sent = 0;
	int fd;

	memset(megabyte, 'x', 1 << 20);
	ask(scene, 1);
	fd = accept_one(scene);
	read_request(scene, fd);
	say(fd, EVENTS_HEAD "\r\ndata: ");
	while (!scene->lost_calls.len) {
		ssize_t len = send(fd, megabyte, 1 << 20, MSG_NOSIGNAL | MSG_DONTWAIT);

		sent += len > 0 ? (size_t)len : 0;
		assert_true(sent < 64u << 20);
		play_for(scene->loop, 1);
	}
	assert_string_equal(text_of(&scene->lost_calls), "1:an event that is too large\n");
	free(megabyte);
	close(fd);
}

PLAYED(while_it_is_held_nothing_is_read)
{
	struct scene *scene = *state;
	int fd;

	ask(scene, 1);
	fd = accept_one(scene);
	read_request(scene, fd);
	mcp_target_hold(scene->target, true);
	say_json(fd, "", "{\"id\":1,\"result\":1}");
	play_for(scene->loop, 100);
	assert_int_equal(scene->got.len, 0);
	mcp_target_hold(scene->target, false);
	UNTIL(scene, scene->got.len);
	close(fd);
}

/* ---- the stream of the GET */

static int open_session(struct scene *scene)
{
	int fd;

	tell(scene, 1, "initialize", "", MCP_VERSION_NONE, "{\"id\":1}");
	fd = accept_one(scene);
	read_request(scene, fd);
	say_json(fd, "Mcp-Session-Id: s-1\r\n", "{\"id\":1,\"result\":{}}");
	UNTIL(scene, scene->got.len);
	text_clear(&scene->got);
	tell(scene, 0, "notifications/initialized", "", MCP_2025_06_18, "{}");
	read_request(scene, fd);
	say(fd, "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
	return fd;
}

/* The request may come over the first connection or one of its own. */
static int accept_stream(struct scene *scene, int *first)
{
	UNTIL(scene, is_readable(*first) || is_readable(scene->listener));
	if (is_readable(scene->listener))
		return accept_one(scene);
	return *first;
}

PLAYED(a_session_has_a_stream_that_is_opened_again_where_it_broke_and_a_DELETE_at_its_end)
{
	struct scene *scene = *state;
	int first = open_session(scene), stream = accept_stream(scene, &first), gone;
	const char *request = read_request(scene, stream);

	assert_int_equal(strncmp(request, "GET /mcp?a=b HTTP/1.1\r\n", 23), 0);
	assert_non_null(strcasestr(request, "\r\nmcp-session-id: s-1\r\n"));
	assert_null(strcasestr(request, "last-event-id"));
	say(stream, EVENTS_HEAD "\r\nid: 5\ndata: {\"method\":\"a\"}\n\n");
	UNTIL(scene, scene->got.len);
	assert_string_equal(text_of(&scene->got), "18446744073709551615:{\"method\":\"a\"}\n");
	close(stream);
	gone = stream == first ? -1 : first;
	stream = accept_stream(scene, &gone);
	request = read_request(scene, stream);
	assert_non_null(strcasestr(request, "\r\nlast-event-id: 5\r\n"));
	say(stream, EVENTS_HEAD "\r\n");
	close_target(scene);
	UNTIL(scene, is_closed(stream));
	if (gone >= 0 && is_readable(gone) && !is_closed(gone)) {
		request = read_request(scene, gone);
	} else {
		gone = accept_one(scene);
		request = read_request(scene, gone);
	}
	assert_int_equal(strncmp(request, "DELETE /mcp?a=b HTTP/1.1\r\n", 26), 0);
	assert_non_null(strcasestr(request, "\r\nmcp-session-id: s-1\r\n"));
	assert_false(scene->is_empty);
	say(gone, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	UNTIL(scene, scene->is_empty);
	close(stream);
}

PLAYED(a_target_that_does_not_end_its_response_to_DELETE_is_left_after_a_pause)
{
	struct scene *scene = *state;
	int first = open_session(scene), stream = accept_stream(scene, &first), fd;

	read_request(scene, stream);
	say(stream, EVENTS_HEAD "\r\n");
	close_target(scene);
	UNTIL(scene, is_closed(stream));
	fd = stream != first && is_readable(first) && !is_closed(first) ? first : accept_one(scene);
	assert_int_equal(strncmp(read_request(scene, fd), "DELETE ", 7), 0);
	say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
	play_for(scene->loop, 50);
	assert_false(scene->is_empty);
	clock_put_forward(LIMIT_MCP_CHILD_PAUSE_MS);
	UNTIL(scene, scene->is_empty);
	assert_true(is_closed(fd));
	close(fd);
	close(stream);
}

PLAYED(a_stream_that_stays_open_behind_a_response_that_was_too_large_is_closed_after_a_pause)
{
	struct scene *scene = *state;
	char large[512];
	int fd;

	scene->targets.message_bytes = 256;
	ask(scene, 1);
	fd = accept_one(scene);
	read_request(scene, fd);
	snprintf(large, sizeof(large), "data: {\"id\":1,\"result\":\"%0300d\"}\n\n", 0);
	say(fd, EVENTS_HEAD "\r\n");
	say(fd, large);
	UNTIL(scene, scene->lost_calls.len);
	assert_string_equal(text_of(&scene->lost_calls), "1:" EVENTS_TOO_LARGE "\n");
	assert_false(is_closed(fd));
	clock_put_forward(LIMIT_MCP_CHILD_PAUSE_MS);
	UNTIL(scene, is_closed(fd));
	assert_string_equal(text_of(&scene->lost_calls), "1:" EVENTS_TOO_LARGE "\n");
	close(fd);
}

PLAYED(notifications_that_get_no_response_are_bounded_in_number_and_time)
{
	struct scene *scene = *state;
	int fds[LIMIT_MCP_NOTICES], request;

	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		assert_int_equal(tell(scene, 0, "notifications/x", "", MCP_2025_06_18, "{}"), 0);
		fds[i] = accept_one(scene);
		read_request(scene, fds[i]);
	}
	assert_int_equal(tell(scene, 0, "notifications/x", "", MCP_2025_06_18, "{}"), -ENOBUFS);
	assert_int_equal(ask(scene, 1), 0); /* requests are counted elsewhere */
	request = accept_one(scene);
	read_request(scene, request);
	/* A body that does not end. */
	say(fds[0], "HTTP/1.1 202 Accepted\r\nContent-Length: 9\r\n\r\n");
	play_for(scene->loop, 50);
	clock_put_forward(LIMIT_MCP_CHILD_PAUSE_MS);
	UNTIL(scene, is_closed(fds[0]));
	clock_put_forward(LIMIT_MCP_NOTICE_MS);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		UNTIL(scene, is_closed(fds[i]));
		close(fds[i]);
	}
	assert_false(is_closed(request));
	assert_int_equal(tell(scene, 0, "notifications/x", "", MCP_2025_06_18, "{}"), 0);
	close(accept_one(scene));
	assert_int_equal(scene->lost_calls.len, 0);
	close(request);
}

PLAYED(a_stream_that_is_refused_is_not_asked_for_again)
{
	struct scene *scene = *state;
	int first = open_session(scene), stream = accept_stream(scene, &first);

	read_request(scene, stream);
	say(stream, "HTTP/1.1 405 Not Allowed\r\nContent-Length: 0\r\n\r\n");
	play_for(scene->loop, 1300);
	assert_false(is_readable(scene->listener));
	assert_false(is_readable(stream));
	assert_int_equal(scene->lost.len, 0);
	close(first);
}

PLAYED(an_owner_may_close_it_while_it_is_told_a_message)
{
	struct scene *scene = *state;
	int fd;

	scene->closes_at_message = true;
	ask(scene, 1);
	fd = accept_one(scene);
	read_request(scene, fd);
	say(fd, EVENTS_HEAD "\r\ndata: {\"method\":\"a\"}\n\ndata: {\"method\":\"b\"}\n\n");
	UNTIL(scene, scene->is_empty);
	assert_string_equal(text_of(&scene->got), "1:{\"method\":\"a\"}\n");
	assert_true(is_closed(fd));
	close(fd);
}

PLAYED(without_memory_nothing_is_left_behind)
{
	struct scene *scene = *state;
	int result = -ENOMEM;

	close_target(scene);
	UNTIL(scene, scene->is_empty);
	for (unsigned long nth = 1; result < 0; nth++) {
		mem_fail_nth(nth);
		result = open_target(scene);
		mem_fail_nth(0);
		assert_true(result == 0 || list_is_empty(&scene->targets.list));
	}
	result = -ENOMEM;
	for (unsigned long nth = 1; result < 0; nth++) {
		mem_fail_nth(nth);
		result = ask(scene, 1);
		mem_fail_nth(0);
	}
}
