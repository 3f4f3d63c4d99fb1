/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>

#include "admin/http/access.h"
#include "policy/guard/guard.h"
#include "tests/lib/alloc.h"
#include "tests/unit/admin_stage.h"
#include "user/base/limits.h"

/* ---- the table */

TEST(every_state_has_a_deadline_and_a_way_to_closed)
{
	static const uint32_t deadlines_ms[] = {
#define SERVER_STATE(id, deadline_ms, next) deadline_ms,
#include "user/http1/server_states.def"
#undef SERVER_STATE
	};

	for (enum http1_server_state from = 0; from < HTTP1_SERVER_STATE_COUNT; from++) {
		if (from == HTTP1_SERVER_CLOSED)
			continue;
		assert_true(deadlines_ms[from] > 0);
		assert_true(http1_server_allows(from, HTTP1_SERVER_CLOSED));
	}
	for (enum http1_server_state to = 0; to < HTTP1_SERVER_STATE_COUNT; to++)
		assert_false(http1_server_allows(HTTP1_SERVER_CLOSED, to));
}

/* ---- requests */

TEST(requests_are_answered_in_order_on_one_connection)
{
	static const char requests[] =
		"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
		"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345"
		"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
		"HEAD /d HTTP/1.1\r\nHost: x\r\n\r\n"
		"GET /e HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	static const char *const want[] = { "\r\n\r\nGET /a\nHTTP/1.1 200 OK\r\n",
					    "POST /b\nHTTP/1.1 200 OK\r\n",
					    "POST /c\nHTTP/1.1 200 OK\r\n",
					    "\r\n\r\nHTTP/1.1 200 OK\r\n",
					    "Connection: close",
					    "\r\n\r\nGET /e\n" };
	struct stage stage;

	stage_start(&stage);
	/* Cut at every byte: pieces of 1, 2, 3, … bytes. */
	for (size_t segment = sizeof(requests); segment > 0;
	     segment = segment > 40 ? segment / 2 : segment - 1) {
		char answer[8192];
		const char *at = answer;
		int fd = client_open(&stage.address);

		for (size_t i = 0; i < sizeof(requests) - 1; i += segment)
			client_send(fd, requests + i,
				    sizeof(requests) - 1 - i < segment ? sizeof(requests) - 1 - i : segment);
		client_read(fd, answer, sizeof(answer), SIZE_MAX);
		for (size_t i = 0; i < ARRAY_LEN(want); i++) {
			at = strcasestr(at, want[i]);
			if (!at)
				fail_msg("piece %zu: \"%s\" is missing in\n%s", segment, want[i], answer);
			at++;
		}
		close(fd);
	}
	stage_stop(&stage);
}

TEST(a_flood_of_pipelined_requests_is_answered_to_the_last)
{
	enum { COUNT = 500 };
	static const char request[] = "GET /p HTTP/1.1\r\nHost: x\r\n\r\n";
	struct stage stage;
	char *all = malloc(COUNT * sizeof(request)), *answer = malloc(1024 * 1024);
	size_t len = 0, answers = 0;
	int fd;

	stage_start(&stage);
	for (int i = 0; i < COUNT; i++, len += sizeof(request) - 1)
		memcpy(all + len, request, sizeof(request) - 1);
	fd = client_open(&stage.address);
	client_send(fd, all, len);
	shutdown(fd, SHUT_WR);
	client_read(fd, answer, 1024 * 1024, SIZE_MAX);
	for (const char *at = answer; (at = strstr(at, "GET /p\n")); at++)
		answers++;
	assert_int_equal(answers, COUNT);
	close(fd);
	stage_stop(&stage);
	free(all);
	free(answer);
}

TEST(a_client_that_sends_fin_after_its_request_gets_the_answer)
{
	static const char request[] = "GET /fin HTTP/1.1\r\nHost: x\r\n\r\n";
	struct stage stage;
	char answer[4096];
	int fd;

	stage_start(&stage);
	fd = client_open(&stage.address);
	client_send(fd, request, sizeof(request) - 1);
	shutdown(fd, SHUT_WR);
	client_read(fd, answer, sizeof(answer), SIZE_MAX);
	assert_non_null(strstr(answer, "GET /fin\n"));
	close(fd);
	stage_stop(&stage);
}

TEST(http_1_0_needs_no_host_and_ends_unless_asked_to_stay)
{
	struct stage stage;
	char *answer;

	stage_start(&stage);
	answer = client_ask(&stage.address, "GET /old HTTP/1.0\r\n\r\n", NULL);
	assert_non_null(strstr(answer, "GET /old\n"));
	free(answer);
	answer = client_ask(&stage.address,
			    "GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /2 HTTP/1.0\r\n\r\n", NULL);
	assert_non_null(strcasestr(answer, "connection: keep-alive\r\n"));
	assert_non_null(strstr(strstr(answer, "GET /1\n"), "GET /2\n"));
	free(answer);
	stage_stop(&stage);
}

TEST(what_is_not_http_is_refused_and_the_connection_ends)
{
	static const struct {
		const char *request;
		const char *status;
	} cases[] = {
		{ "GET / HTTP/1.1\nHost: x\n\n", "HTTP/1.1 400 " },
		{ "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 " },
		{ "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "HTTP/1.1 400 " },
		{ "GET /  HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400 " },
		{ "GET / HTTP/2.0\r\nHost: x\r\n\r\n", "HTTP/1.1 505 " },
		{ "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
		  "HTTP/1.1 400 " },
		{ "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 501 " },
		{ "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 400 " },
		{ "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 16385\r\n\r\n", "HTTP/1.1 413 " },
	};
	struct stage stage;

	stage_start(&stage);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *answer = client_ask(&stage.address, cases[i].request, NULL);

		if (strncmp(answer, cases[i].status, strlen(cases[i].status)) != 0)
			fail_msg("%s\ngave\n%s", cases[i].request, answer);
		assert_non_null(strcasestr(answer, "connection: close\r\n"));
		free(answer);
	}
	assert_int_equal(stage.requests, 0);
	stage_stop(&stage);
}

/* `head` then `count` times `byte`, then what was answered. */
static char *ask_long(struct stage *stage, const char *head, char byte, size_t count)
{
	size_t len = strlen(head);
	char *request = malloc(len + count + 1), *answer;

	memcpy(request, head, len);
	memset(request + len, byte, count);
	request[len + count] = '\0';
	answer = client_ask(&stage->address, request, NULL);
	free(request);
	return answer;
}

TEST(what_is_too_large_is_refused_with_the_answer_readable)
{
	struct stage stage;
	char *answer;

	stage_start(&stage);
	answer = ask_long(&stage, "GET /", 'a', 60000);
	assert_memory_equal(answer, "HTTP/1.1 414 ", 13);
	free(answer);
	answer = ask_long(&stage, "GET / HTTP/1.1\r\nHost: x\r\nX-Long: ", 'a', 60000);
	assert_memory_equal(answer, "HTTP/1.1 431 ", 13);
	free(answer);
	/* A chunk of 64 KiB: the size is fine, the sum is not. */
	answer = ask_long(&stage, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n10000\r\n",
			  'a', 60000);
	assert_memory_equal(answer, "HTTP/1.1 413 ", 13);
	free(answer);
	stage_stop(&stage);
}

TEST(a_refusal_ends_with_fin_although_bytes_were_not_read)
{
	struct stage stage;
	char head[] = "GET /", filler[4096], answer[4096];
	ssize_t got;
	int fd;

	stage_start(&stage);
	memset(filler, 'a', sizeof(filler));
	fd = client_open(&stage.address);
	client_send(fd, head, sizeof(head) - 1);
	/* More than the limit, and more again when the refusal is on its way. */
	for (int i = 0; i < 8; i++) {
		assert_int_equal(send(fd, filler, sizeof(filler), MSG_NOSIGNAL), sizeof(filler));
		usleep(1000);
	}
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	do
		got = recv(fd, answer, sizeof(answer), 0);
	while (got > 0);
	/* RST would be an error here or above, and might have destroyed the answer before it was read. */
	assert_int_equal(got, 0);
	close(fd);
	stage_stop(&stage);
}

TEST(expect_100_continue_is_answered_before_the_body)
{
	static const char head[] =
		"POST /x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
	struct stage stage;
	char answer[4096];
	int fd;

	stage_start(&stage);
	fd = client_open(&stage.address);
	client_send(fd, head, sizeof(head) - 1);
	client_read(fd, answer, sizeof(answer), 25);
	assert_string_equal(answer, "HTTP/1.1 100 Continue\r\n\r\n");
	client_send(fd, "body", 4);
	shutdown(fd, SHUT_WR);
	client_read(fd, answer, sizeof(answer), SIZE_MAX);
	assert_memory_equal(answer, "HTTP/1.1 200 OK\r\n", 17);
	assert_non_null(strstr(answer, "POST /x\n"));
	close(fd);
	stage_stop(&stage);
}

TEST(head_has_the_length_of_the_body_and_not_the_body)
{
	struct stage stage;
	char *answer;

	stage_start(&stage);
	answer = client_ask(&stage.address, "HEAD /many HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
			    NULL);
	assert_non_null(strcasestr(answer, "content-length: 25165824\r\n"));
	assert_int_equal(strlen(strstr(answer, "\r\n\r\n")), 4);
	free(answer);
	stage_stop(&stage);
}

/* ---- gzip */

/* What `gzip -dc` makes of the bytes. */
static char *gunzip(const char *data, size_t len, size_t *ret_len)
{
	char name[] = "/tmp/headgate-gzip-XXXXXX", command[64];
	char *out = malloc(MANY_BYTES + 1);
	int fd = mkstemp(name);
	FILE *in;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	snprintf(command, sizeof(command), "gzip -dc < %s", name);
	in = popen(command, "r");
	*ret_len = fread(out, 1, MANY_BYTES + 1, in);
	assert_int_equal(pclose(in), 0);
	close(fd);
	unlink(name);
	return out;
}

TEST(a_client_that_asks_for_gzip_gets_it)
{
	struct stage stage;
	size_t len, plain_len;
	char *answer, *body, *plain;

	stage_start(&stage);
	answer = client_ask(
		&stage.address,
		"GET /many HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n", &len);
	assert_non_null(strcasestr(answer, "content-encoding: gzip\r\n"));
	assert_non_null(strcasestr(answer, "vary: accept-encoding\r\n"));
	body = strstr(answer, "\r\n\r\n") + 4;
	plain = gunzip(body, len - (size_t)(body - answer), &plain_len);
	assert_many_body(plain, plain_len);
	free(plain);
	free(answer);
	answer = client_ask(&stage.address, "GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", &len);
	assert_null(strcasestr(answer, "content-encoding"));
	free(answer);
	stage_stop(&stage);
}

/* ---- lack of memory: everything in this thread, one request from accept to the end of the connection */

static void memory_request(void *context, struct admin_conn *conn, const struct request_head *head)
{
	struct admin_answer answer = { .status = 200, .allow = "GET", .close = true };

	(void)context;
	(void)head;
	text_init(&answer.body);
	for (int i = 0; i < 1000; i++)
		text_fmt(&answer.body, "line %d\n", i);
	admin_conn_answer(conn, &answer);
}

static void memory_closed(void *context, struct admin_conn *conn)
{
	(void)conn;
	loop_stop(context);
}

static int serve_one(void *context)
{
	struct loop *loop = loop_create(8);
	struct admin_owner owner = { loop, memory_request, memory_closed };
	const char *request = context;
	struct admin_conn *conn;
	struct address peer;
	char answer[16384];
	int pair[2], error;
	size_t len;

	if (!loop)
		return -ENOMEM;
	CHECK(address_set_unix(&peer, SPAN("/admin")) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
	client_send(pair[1], request, strlen(request));
	shutdown(pair[1], SHUT_WR);
	error = admin_conn_start(loop, pair[0], &peer, &owner, &conn);
	if (error == 0)
		error = loop_run(loop);
	loop_free(loop);
	len = client_read(pair[1], answer, sizeof(answer), SIZE_MAX);
	close(pair[1]);
	/* Either a whole answer came, or none, or one that says what is missing. */
	if (error == 0 && strncmp(answer, "HTTP/1.1 200 OK\r\n", 17) != 0)
		error = -ENOMEM;
	if (error == 0 && !strstr(request, "gzip") && !strstr(answer, "line 999\n"))
		fail_msg("cut off after %zu bytes", len);
	/* The loop says the same of its bound and of memory. */
	return error == -ENOSPC ? -ENOMEM : error;
}

TEST(a_connection_survives_lack_of_memory_at_every_step)
{
	static const char *const requests[] = {
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(requests); i++)
		assert_true(alloc_fail_each(serve_one, (void *)requests[i]) >= 8);
}

/* ---- passwords of other hosts */

/* A reload replaces the passwords by keys while the first password is verified. */
struct access_stage {
	struct stage stage;
	struct admin_hooks hooks;
	struct snapshot snapshot;
	struct basic_auth_policy basic;
	struct api_key_policy key;
	unsigned int verified;
};

static const struct snapshot *access_snapshot(void *context)
{
	struct access_stage *own = context;

	return &own->snapshot;
}

static void access_verify(void *context, const struct htpasswd *users, struct span name, struct span password,
			  uint64_t client, void (*done)(void *argument, int verdict), void *argument)
{
	struct access_stage *own = context;
	bool is_first = own->verified++ == 0;

	(void)users, (void)name, (void)client;
	own->snapshot.config.admin_basic = is_first ? NULL : &own->basic;
	done(argument, span_eq(password, SPAN("right")) ? GUARD_PASS : GUARD_REFUSE);
	own->snapshot.config.admin_basic = &own->basic;
}

static void access_serve(void *context, struct admin_conn *conn)
{
	struct access_stage *own = context;

	if (access_check(&(struct access_request){ &own->hooks, conn, &conn->http.head, access_serve, own }))
		admin_conn_say(conn, 200, "served\n");
}

static void access_on_request(void *context, struct admin_conn *conn, const struct request_head *head)
{
	(void)head;
	conn->is_local = false;
	access_serve(container_of((struct stage *)context, struct access_stage, stage), conn);
}

TEST(a_verdict_is_for_no_other_request_of_the_connection)
{
	/* alice:right, alice:wrong, alice:right */
	static const char requests[] =
		"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YWxpY2U6cmlnaHQ=\r\n\r\n"
		"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YWxpY2U6d3Jvbmc=\r\n\r\n"
		"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YWxpY2U6cmlnaHQ=\r\n"
		"Connection: close\r\n\r\n";
	static const struct credential_location location = { .kind = LOCATION_HEADER,
							     .name = SPAN("authorization"),
							     .prefix = SPAN("Basic ") };
	static const char *const statuses[] = { "401", "401", "200" };
	static struct access_stage own;
	char answer[8192];
	const char *at = answer;
	int fd;

	stage_start(&own.stage);
	own.hooks = (struct admin_hooks){ .context = &own,
					  .snapshot = access_snapshot,
					  .verify_password = access_verify };
	own.basic.location = location;
	own.key.location = (struct credential_location){ .kind = LOCATION_HEADER, .name = SPAN("x-key") };
	own.snapshot.config.admin_basic = &own.basic;
	own.snapshot.config.admin_key = &own.key;
	own.stage.owner.on_request = access_on_request;
	fd = client_open(&own.stage.address);
	client_send(fd, requests, sizeof(requests) - 1);
	client_read(fd, answer, sizeof(answer), SIZE_MAX);
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		at = strstr(at, "HTTP/1.1 ");
		assert_non_null(at);
		at += strlen("HTTP/1.1 ");
		assert_memory_equal(at, statuses[i], 3);
	}
	assert_int_equal(own.verified, 3);
	close(fd);
	stage_stop(&own.stage);
}
