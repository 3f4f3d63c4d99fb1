/* SPDX-License-Identifier: Apache-2.0 */
/* Clients that are slow or gone. The clock is put past the deadlines of user/http1/server_states.def. */

#include "tests/unit/admin_stage.h"
#include "tests/unit/clock_ahead.h"

/* ---- time */

static void do_nothing(void *context)
{
	(void)context;
}

/* So much time passes, and what was due has happened. */
static void pass(struct stage *stage, uint64_t ms)
{
	clock_put_forward(ms);
	/* The second is done in a later turn than the first: its timers are over. */
	for (int i = 0; i < 2; i++)
		loop_play_do(&stage->play, do_nothing, NULL);
}

struct look {
	struct stage *stage;
	enum http1_server_state state;
	uint64_t waits_ms;
};

/* Of the only connection. */
static void look_on_loop(void *context)
{
	struct look *look = context;
	const struct admin_conn *conn = look->stage->conns[0];

	look->state = conn ? conn->http.state : HTTP1_SERVER_CLOSED;
	look->waits_ms = conn ? http1_server_waits_ms(&conn->http) : 0;
}

static struct look look_at(struct stage *stage)
{
	struct look look = { .stage = stage };

	loop_play_do(&stage->play, look_on_loop, &look);
	return look;
}

static void await_state(struct stage *stage, enum http1_server_state state)
{
	for (int i = 0; i < PLAY_SILENCE_MS && look_at(stage).state != state; i++)
		usleep(1000);
	assert_int_equal(look_at(stage).state, state);
}

static bool is_silent(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, 0) == 0;
}

/* ---- slow and gone clients */

TEST(a_reader_that_pauses_gets_every_byte_and_keeps_nobody_waiting)
{
	static const char request[] = "GET /many HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	struct stage stage;
	char *answer = malloc(MANY_BYTES + 4096), *body;
	size_t len = 0, got;
	int fd;

	stage_start(&stage);
	fd = client_open(&stage.address);
	client_send(fd, request, sizeof(request) - 1);
	do {
		got = client_read(fd, answer + len, MANY_BYTES + 4096 - len, 4 * 1024 * 1024);
		len += got;
		/* While that answer is under way, others are served. */
		free(client_ask(&stage.address, "GET /other HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
				NULL));
	} while (got > 0);
	body = strstr(answer, "\r\n\r\n") + 4;
	assert_many_body(body, len - (size_t)(body - answer));
	close(fd);
	free(answer);
	stage_stop(&stage);
}

TEST(a_reader_that_stops_is_given_up)
{
	static const char request[] = "GET /many HTTP/1.1\r\nHost: x\r\n\r\n";
	struct stage stage;
	char *answer = malloc(MANY_BYTES + 4096);
	struct look look, last = { 0 };
	size_t len;
	int fd;

	stage_start(&stage);
	fd = client_open(&stage.address);
	client_send(fd, request, sizeof(request) - 1);
	await_state(&stage, HTTP1_SERVER_SEND);
	/* 30 s behind the last bytes that the kernel took. */
	while ((look = look_at(&stage)).state == HTTP1_SERVER_SEND) {
		last = look;
		pass(&stage, 5000);
	}
	assert_true(last.waits_ms + 5000 >= 30000);
	assert_int_equal(stage.closed, 1);
	len = client_read(fd, answer, MANY_BYTES + 4096, SIZE_MAX);
	assert_true(len < MANY_BYTES);
	close(fd);
	free(answer);
	stage_stop(&stage);
}

TEST(a_reader_that_is_slow_but_steady_is_not_given_up)
{
	enum { PAUSE_MS = 4500 }; /* 30 s without progress are too long; the whole takes longer */
	static const char request[] = "GET /many HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	static char segment[1500 * 1024];
	struct stage stage;
	size_t len = 0, got;
	unsigned int pauses = 0;
	int fd;

	stage_start(&stage);
	fd = client_open(&stage.address);
	client_send(fd, request, sizeof(request) - 1);
	while ((got = client_read(fd, segment, sizeof(segment), sizeof(segment) - 1)) > 0) {
		pass(&stage, PAUSE_MS);
		pauses++;
		len += got;
	}
	assert_true(len > MANY_BYTES);
	assert_true(pauses * PAUSE_MS > 2 * 30000);
	close(fd);
	stage_stop(&stage);
}

TEST(a_request_that_is_not_complete_in_time_gets_408)
{
	static const struct {
		const char *first, *second;
		enum http1_server_state state;
	} rows[] = {
		{ "GET / HT", "TP/1.1\r\n", HTTP1_SERVER_HEAD },
		{ "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n1", "2", HTTP1_SERVER_BODY },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct stage stage;
		char answer[4096];
		int fd;

		stage_start(&stage);
		fd = client_open(&stage.address);
		client_send(fd, rows[i].first, strlen(rows[i].first));
		await_state(&stage, rows[i].state);
		pass(&stage, 4000);
		assert_true(is_silent(fd));
		/* Trickling does not help: the time counts from the first byte. */
		client_send(fd, rows[i].second, strlen(rows[i].second));
		pass(&stage, 7000);
		assert_int_not_equal(look_at(&stage).state, rows[i].state);
		client_read(fd, answer, sizeof(answer), SIZE_MAX);
		assert_memory_equal(answer, "HTTP/1.1 408 ", 13);
		close(fd);
		stage_stop(&stage);
	}
}

TEST(a_silent_connection_is_closed_without_a_word)
{
	static const char request[] = "GET /once HTTP/1.1\r\nHost: x\r\n\r\n";
	struct stage stage;
	char answer[4096];
	size_t len = 0, got;
	int fd;

	stage_start(&stage);
	fd = client_open(&stage.address);
	await_state(&stage, HTTP1_SERVER_HEAD);
	pass(&stage, 4000);
	assert_int_equal(stage.closed, 0);
	pass(&stage, 7000);
	assert_int_equal(stage.closed, 1);
	assert_true(client_sees_end(fd));
	close(fd);
	fd = client_open(&stage.address);
	client_send(fd, request, sizeof(request) - 1);
	do {
		got = client_read(fd, answer + len, sizeof(answer) - len, 1);
		assert_true(got > 0);
		len += got;
	} while (!strstr(answer, "GET /once\n"));
	await_state(&stage, HTTP1_SERVER_IDLE);
	pass(&stage, 60000);
	assert_int_equal(stage.closed, 1);
	pass(&stage, 16000);
	assert_int_equal(stage.closed, 2);
	assert_true(client_sees_end(fd));
	close(fd);
	stage_stop(&stage);
}

/* ---- answers given later */

static void give_answer(void *context)
{
	struct stage *stage = context;
	struct admin_conn *conn = admin_ticket_redeem(stage->ticket);

	stage->ticket = NULL;
	if (conn)
		admin_conn_say(conn, 200, "late\n");
}

static void wait_for_ticket(struct stage *stage)
{
	while (!stage->ticket)
		usleep(1000);
}

TEST(an_answer_may_come_later)
{
	static const char request[] =
		"GET /later HTTP/1.1\r\nHost: x\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n"
		"Connection: close\r\n\r\n";
	struct stage stage;
	char answer[4096];
	int fd;

	stage_start(&stage);
	fd = client_open(&stage.address);
	client_send(fd, request, sizeof(request) - 1);
	wait_for_ticket(&stage);
	loop_play_do(&stage.play, give_answer, &stage);
	client_read(fd, answer, sizeof(answer), SIZE_MAX);
	assert_non_null(strstr(answer, "\r\n\r\nlate\n"));
	assert_non_null(strstr(strstr(answer, "late\n"), "GET /next\n"));
	close(fd);
	stage_stop(&stage);
}

TEST(an_answer_for_a_client_that_is_gone_goes_nowhere)
{
	static const char request[] = "GET /later HTTP/1.1\r\nHost: x\r\n\r\n";
	struct stage stage;
	struct linger reset = { 1, 0 };
	int fd;

	stage_start(&stage);
	fd = client_open(&stage.address);
	client_send(fd, request, sizeof(request) - 1);
	wait_for_ticket(&stage);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(fd);
	while (stage.closed == 0)
		usleep(1000);
	loop_play_do(&stage.play, give_answer, &stage);
	stage_stop(&stage);
}

TEST(workers_that_do_not_answer_make_504)
{
	static const char request[] = "GET /later HTTP/1.1\r\nHost: x\r\n\r\n";
	struct stage stage;
	char answer[4096];
	int fd;

	stage_start(&stage);
	fd = client_open(&stage.address);
	client_send(fd, request, sizeof(request) - 1);
	await_state(&stage, HTTP1_SERVER_ANSWER);
	pass(&stage, 20000);
	assert_true(is_silent(fd));
	pass(&stage, 11000);
	assert_int_not_equal(look_at(&stage).state, HTTP1_SERVER_ANSWER);
	client_read(fd, answer, sizeof(answer), SIZE_MAX);
	assert_memory_equal(answer, "HTTP/1.1 504 ", 13);
	/* The late answer finds nobody. */
	loop_play_do(&stage.play, give_answer, &stage);
	close(fd);
	stage_stop(&stage);
}

TEST(stopping_with_a_promise_open_leaks_nothing)
{
	static const char request[] = "GET /later HTTP/1.1\r\nHost: x\r\n\r\n";
	struct stage stage;
	int fd;

	stage_start(&stage);
	fd = client_open(&stage.address);
	client_send(fd, request, sizeof(request) - 1);
	wait_for_ticket(&stage);
	loop_play_do(&stage.play, stage_on_stop, &stage);
	loop_play_do(&stage.play, give_answer, &stage);
	close(fd);
	stage_stop(&stage);
}
