/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/unit/admin_stage.h"
#include "user/base/clock.h"

/* ---- slow and gone clients */

TEST(a_reader_that_pauses_gets_every_byte_and_keeps_nobody_waiting)
{
	static const char request[] = "GET /many HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	struct stage stage;
	char *answer = malloc(MANY_BYTES + 4096), *body;
	size_t len = 0, got;
	int fd;

	stage_start(&stage, 1);
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
	uint64_t start_ms = clock_now_ms();
	char *answer = malloc(MANY_BYTES + 4096);
	size_t len;
	int fd;

	stage_start(&stage, 100); /* 300 ms without progress */
	fd = client_open(&stage.address);
	client_send(fd, request, sizeof(request) - 1);
	while (stage.closed == 0)
		usleep(1000);
	len = client_read(fd, answer, MANY_BYTES + 4096, SIZE_MAX);
	assert_true(len < MANY_BYTES);
	assert_in_range(clock_now_ms() - start_ms, 290, 20000);
	close(fd);
	free(answer);
	stage_stop(&stage);
}

TEST(a_reader_that_is_slow_but_steady_is_not_given_up)
{
	static const char request[] = "GET /many HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	struct stage stage;
	char *answer = malloc(MANY_BYTES + 4096);
	size_t len = 0, got;
	int fd;

	stage_start(&stage, 30); /* 1 s without progress; the whole takes longer */
	fd = client_open(&stage.address);
	client_send(fd, request, sizeof(request) - 1);
	do {
		usleep(150 * 1000);
		got = client_read(fd, answer + len, MANY_BYTES + 4096 - len, 1500 * 1024);
		len += got;
	} while (got > 0);
	assert_true(len > MANY_BYTES);
	close(fd);
	free(answer);
	stage_stop(&stage);
}

TEST(a_head_that_is_not_complete_in_time_gets_408)
{
	static const char *const pieces[] = { "GET / HT",
					      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12" };
	struct stage stage;

	stage_start(&stage, 50); /* 200 ms */
	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		uint64_t start_ms = clock_now_ms();
		char answer[4096];
		int fd = client_open(&stage.address);

		/* Trickling does not help: the time counts from the first byte. */
		for (const char *at = pieces[i]; *at; at++) {
			client_send(fd, at, 1);
			usleep(1000);
		}
		client_read(fd, answer, sizeof(answer), SIZE_MAX);
		assert_memory_equal(answer, "HTTP/1.1 408 ", 13);
		assert_in_range(clock_now_ms() - start_ms, 190, 20000);
		close(fd);
	}
	stage_stop(&stage);
}

TEST(a_silent_connection_is_closed_without_a_word)
{
	static const char request[] = "GET /once HTTP/1.1\r\nHost: x\r\n\r\n";
	struct stage stage;
	char answer[4096];
	size_t len = 0, got;
	int fd;

	stage_start(&stage, 20); /* 500 ms for the first head, 3750 ms between requests */
	fd = client_open(&stage.address);
	assert_true(client_sees_end(fd));
	close(fd);
	fd = client_open(&stage.address);
	client_send(fd, request, sizeof(request) - 1);
	do {
		got = client_read(fd, answer + len, sizeof(answer) - len, 1);
		assert_true(got > 0);
		len += got;
	} while (!strstr(answer, "GET /once\n"));
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

	stage_start(&stage, 1);
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

	stage_start(&stage, 1);
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

	stage_start(&stage, 100); /* 300 ms */
	fd = client_open(&stage.address);
	client_send(fd, request, sizeof(request) - 1);
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

	stage_start(&stage, 1);
	fd = client_open(&stage.address);
	client_send(fd, request, sizeof(request) - 1);
	wait_for_ticket(&stage);
	loop_play_do(&stage.play, stage_on_stop, &stage);
	loop_play_do(&stage.play, give_answer, &stage);
	close(fd);
	stage_stop(&stage);
}
