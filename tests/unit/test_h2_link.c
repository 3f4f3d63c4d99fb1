/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/clock_ahead.h"
#include "tests/unit/h2_link_play.h"

/* ---- streams ---- */

SCENE_TEST(requests_are_handed_out_and_answers_leave_at_the_end_of_the_turn)
{
	struct scene *scene = *state;
	struct h2_stream *asked = h2_play_open(scene->peer, H2_GET_A, true);

	UNTIL(scene, scene->stream_count == 1);
	h2_play_expect_head(scene->streams[0], ":method=GET\n:scheme=http\n:authority=a\n:path=/\n");
	assert_int_equal(h2_play_answer(scene->streams[0], ":status=200\n", false), 0);
	assert_int_equal(h2_play_write(scene->streams[0], SPAN("body")), 0);
	assert_int_equal(h2_stream_end(scene->streams[0], NULL), 0);
	h2_link_touch(&scene->link);
	assert_true(h2_session_wants_output(scene->link.session)); /* not yet */
	UNTIL(scene, asked->has_end);
	h2_play_expect_head(asked, ":status=200\n");
	h2_play_expect_data(asked, "body");
	h2_stream_release(asked, H2_CANCEL);
	assert_int_equal(scene->ends, 0);
}

SCENE_TEST(bytes_that_somebody_else_received_come_first)
{
	struct scene *scene = *state;
	struct buf first = { 0 };
	struct h2_stream *asked = h2_play_open(scene->peer, H2_GET_A, true);

	assert_int_equal(h2_session_output(scene->peer, &first, SIZE_MAX), 0);
	h2_link_feed(&scene->link, span_first(buf_span(&first), 18));
	assert_int_equal(scene->ends, 0);
	peer_bytes(scene, span_from(buf_span(&first), 18));
	UNTIL(scene, scene->stream_count == 1);
	buf_done(&first);
	h2_stream_release(asked, H2_CANCEL);
}

SCENE_TEST(nobody_is_told_of_streams_once_the_link_is_closed)
{
	struct scene *scene = *state;
	struct h2_stream *asked[3];

	shake_hands(scene);
	for (int i = 0; i < 3; i++)
		asked[i] = h2_play_open(scene->peer, H2_GET_A, true);
	scene->closes = true;
	UNTIL(scene, scene->news > 0);
	for (int i = 0; i < 10; i++)
		step(scene);
	h2_link_feed(&scene->link, SPAN("\0\0\x04\x08\0\0\0\0\0\0\0\0\0")); /* a protocol error */
	assert_int_equal(scene->news, 1);
	assert_int_equal(scene->ends, 0);
	for (int i = 0; i < 3; i++)
		h2_stream_release(asked[i], H2_CANCEL);
}

/* ---- bounds ---- */

/* A turn reads its budget and goes on in the next one without an event. */
SCENE_TEST(a_peer_that_sends_much_is_read_in_turns)
{
	enum { LEN = 1000 * 1000 };
	struct scene *scene = *state;
	struct h2_stream *asked;
	uint64_t before;

	shake_hands(scene);
	asked = peer_fills_the_socket(scene, LEN);
	before = scene->conn.received_bytes;
	scene->conn.can_read = true; /* the event */
	h2_link_run(&scene->link);
	assert_in_range(scene->conn.received_bytes - before, LIMIT_TURN_BYTES,
			LIMIT_TURN_BYTES + LIMIT_READ_BYTES - 1);
	/* The last edge is consumed by this: what follows comes without one. */
	UNTIL(scene, scene->stream_count == 1 && scene->streams[0]->received_bytes == LEN);
	h2_stream_release(asked, H2_CANCEL);
}

/* A frame is work whether it holds much or a byte: who sends tiny ones is read a little at a time. */
SCENE_TEST(a_peer_whose_frames_are_tiny_is_read_in_turns_of_so_many)
{
	enum { FRAMES = 40000 };
	static const char one[] = { 0, 0, 1, 0, 0, 0, 0, 0, 1, 'x' };
	struct scene *scene = *state;
	struct h2_stream *asked;
	uint64_t frames;

	shake_hands(scene);
	asked = h2_play_open(scene->peer, ":method=POST\n:scheme=http\n:authority=a\n:path=/\n", false);
	UNTIL(scene, scene->stream_count == 1);
	for (int i = 0; i < FRAMES; i++)
		assert_int_equal(buf_append(&scene->from_peer, span_of(one, sizeof(one)), SIZE_MAX), 0);
	peer_send(scene);
	for (int turn = 0; turn < 5; turn++) {
		frames = h2_session_frames(scene->link.session);
		scene->conn.can_read = true; /* the event */
		h2_link_run(&scene->link);
		/* The first read finds out. */
		if (turn)
			assert_in_range(h2_session_frames(scene->link.session) - frames, 1,
					LIMIT_H2_TURN_FRAMES + LIMIT_H2_TINY_BYTES / sizeof(one));
	}
	UNTIL(scene, scene->streams[0]->received_bytes == FRAMES);
	h2_stream_release(asked, H2_CANCEL);
}

/* More than a turn's part, to a socket that takes all of it: no event will bring the rest. */
SCENE_TEST(frames_go_on_leaving_turn_after_turn)
{
	struct scene *scene = *state;
	int buffer = 2 * 1024 * 1024;
	struct h2_stream *asked;

	setsockopt(conn_fd(&scene->conn), SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	setsockopt(conn_fd(&scene->conn), SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer));
	shake_hands(scene);
	asked = h2_play_open(scene->peer, H2_GET_A, true);
	UNTIL(scene, scene->stream_count == 1);
	h2_head_free(h2_stream_head(scene->streams[0]));
	scene->is_deaf = true;
	assert_int_equal(h2_play_answer(scene->streams[0], ":status=200\n", false), 0);
	assert_int_equal(h2_play_write(scene->streams[0], h2_zeros(1000 * 1000)), 0);
	h2_link_touch(&scene->link);
	UNTIL(scene, buf_len(&scene->streams[0]->out) == 0);
	h2_stream_release(asked, H2_CANCEL);
}

/* 20 answers of 200 KB to a peer that has asked for them and does not read. */
SCENE_TEST(what_waits_for_a_peer_that_does_not_read_stays_with_its_streams)
{
	enum { STREAMS = 20, LEN = 200 * 1000 };
	struct scene *scene = *state;
	struct h2_stream *asked[STREAMS];
	int bytes = 16 * 1024;
	uint64_t wakeups, turns;
	size_t kept = 0;

	setsockopt(conn_fd(&scene->conn), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	setsockopt(scene->far, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	shake_hands(scene);
	for (int i = 0; i < STREAMS; i++)
		asked[i] = h2_play_open(scene->peer, H2_GET_A, true);
	UNTIL(scene, scene->stream_count == STREAMS);
	scene->is_deaf = true;
	for (int i = 0; i < STREAMS; i++) {
		h2_head_free(h2_stream_head(scene->streams[i]));
		assert_int_equal(h2_play_answer(scene->streams[i], ":status=200\n", false), 0);
		assert_int_equal(h2_play_write(scene->streams[i], h2_zeros(LEN)), 0);
		assert_int_equal(h2_stream_end(scene->streams[i], NULL), 0);
	}
	h2_link_touch(&scene->link);
	UNTIL(scene, conn_is_blocked(&scene->conn));
	for (int i = 0; i < 50; i++)
		step(scene);
	assert_in_range(scene->most_out, 1, 64 * 1024 + 9 + 16384);
	for (int i = 0; i < STREAMS; i++)
		kept += buf_len(&scene->streams[i]->out);
	assert_true(kept > STREAMS * LEN / 2);
	/* The loop sleeps meanwhile. */
	wakeups = loop_wakeups(scene->loop);
	turns = loop_turn(scene->loop);
	play_for(scene->loop, 30);
	assert_in_range(loop_turn(scene->loop) - turns, 1, 10);
	assert_true(loop_wakeups(scene->loop) - wakeups < 10);
	scene->is_deaf = false;
	for (int i = 0; i < STREAMS; i++) {
		UNTIL(scene, asked[i]->has_end);
		assert_int_equal(asked[i]->received_bytes, LEN);
		h2_stream_release(asked[i], H2_CANCEL);
	}
	assert_in_range(scene->most_out, 1, 64 * 1024 + 9 + 16384);
}

/* ---- PING ---- */

SCENE_TEST(a_peer_that_answers_is_asked_again_after_each_interval)
{
	enum { INTERVAL_MS = 10000 };
	struct scene *scene = *state;

	shake_hands(scene);
	h2_link_set_ping(&scene->link, INTERVAL_MS, 60000);
	for (uint64_t id = 1; id <= 4; id++) {
		clock_put_forward(INTERVAL_MS / 2);
		step(scene);
		assert_int_equal(scene->link.ping_id, id - 1);
		clock_put_forward(INTERVAL_MS / 2);
		UNTIL(scene, h2_session_ping_acked(scene->link.session) == id);
		assert_int_equal(scene->link.ping_id, id);
	}
	assert_int_equal(scene->ends, 0);
}

SCENE_TEST(while_a_ping_waits_no_other_is_sent)
{
	struct scene *scene = *state;

	shake_hands(scene);
	scene->is_deaf = true;
	h2_link_set_ping(&scene->link, 5, 20000);
	UNTIL(scene, scene->link.ping_id == 1);
	play_for(scene->loop, 60);
	assert_int_equal(scene->link.ping_id, 1);
	assert_int_equal(h2_session_ping_acked(scene->link.session), 0);
	assert_int_equal(scene->ends, 0);
	scene->is_deaf = false; /* late, but in time */
	UNTIL(scene, h2_session_ping_acked(scene->link.session) == 1);
	assert_int_equal(scene->ends, 0);
	/* It looks again when the time for the answer is over, and that is not waited for here. */
	assert_int_equal(scene->link.ping_timer.deadline_ms, scene->link.ping_sent_ms + 20000);
	timer_arm(loop_timers(scene->loop), &scene->link.ping_timer, loop_now_ms(scene->loop));
	UNTIL(scene, scene->link.ping_id == 2);
}

static void assert_ping_end(struct scene *scene, uint64_t interval_ms, uint64_t timeout_ms)
{
	uint64_t start_ms;

	shake_hands(scene);
	scene->is_deaf = true;
	start_ms = clock_now_ms();
	h2_link_set_ping(&scene->link, interval_ms, timeout_ms);
	UNTIL(scene, scene->ends);
	assert_int_equal(scene->end, H2_LINK_PING);
	assert_true(scene->end_ms - start_ms >= interval_ms + timeout_ms - 1);
	assert_int_equal(scene->link.ping_id, 1);
	play_for(scene->loop, 2 * timeout_ms);
	assert_int_equal(scene->ends, 1);
}

SCENE_TEST(a_ping_without_an_answer_in_time_ends_the_link)
{
	assert_ping_end(*state, 20, 60);
}

SCENE_TEST(the_time_for_an_answer_may_be_shorter_than_the_interval)
{
	struct scene *scene = *state;

	assert_ping_end(scene, 100, 20);
	/* It was looked at then, and not when the next ping would have gone. */
	assert_int_equal(scene->link.ping_timer.deadline_ms, scene->link.ping_sent_ms + 20);
}

/* Frames that are no acknowledgement prove nothing about what was sent before. */
SCENE_TEST(only_the_answer_counts_as_one)
{
	struct scene *scene = *state;

	shake_hands(scene);
	scene->is_deaf = true;
	h2_link_set_ping(&scene->link, 10, 50);
	while (!scene->ends) {
		peer_bytes(scene, SPAN("\0\0\x04\x08\0\0\0\0\0\0\0\0\x01")); /* WINDOW_UPDATE */
		peer_bytes(scene, SPAN("\0\0\x08\x06\x01\0\0\0\0"
				       "\0\0\0\0\0\0\0\0")); /* of another PING */
		step(scene);
		play_for(scene->loop, 10);
	}
	assert_int_equal(scene->end, H2_LINK_PING);
}

SCENE_TEST(without_an_interval_there_are_no_pings)
{
	struct scene *scene = *state;

	h2_link_set_ping(&scene->link, 0, 1);
	shake_hands(scene);
	play_for(scene->loop, 20);
	assert_int_equal(scene->link.ping_id, 0);
	assert_false(timer_is_armed(&scene->link.ping_timer));
	h2_link_set_ping(&scene->link, 5, 5);
	h2_link_close(&scene->link);
	play_for(scene->loop, 20);
	assert_int_equal(scene->link.ping_id, 0);
	assert_int_equal(scene->ends, 0);
}
