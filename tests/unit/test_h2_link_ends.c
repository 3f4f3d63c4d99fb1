/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/h2_link_play.h"

static void assert_one_end(struct scene *scene, enum h2_link_end end)
{
	UNTIL(scene, scene->ends);
	assert_int_equal(scene->end, end);
	scene->is_deaf = true;
	for (int i = 0; i < 5; i++)
		step(scene);
	assert_int_equal(scene->ends, 1);
}

SCENE_TEST(a_fin_is_an_end)
{
	struct scene *scene = *state;

	shake_hands(scene);
	shutdown(scene->far, SHUT_WR);
	assert_one_end(scene, H2_LINK_EOF);
}

SCENE_TEST(a_reset_is_an_error)
{
	struct scene *scene = *state;

	shake_hands(scene);
	setsockopt(scene->far, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger));
	close(scene->far);
	scene->far = -1;
	assert_one_end(scene, H2_LINK_ERROR);
	assert_int_equal(scene->conn.error, -ECONNRESET);
}

/* Sending meets the reset first, with more left to read than a turn reads. */
SCENE_TEST(what_came_before_sending_broke_is_heard)
{
	enum { LEN = 1000 * 1000 };
	struct scene *scene = *state;
	struct h2_stream *asked;

	shake_hands(scene);
	asked = peer_fills_the_socket(scene, LEN);
	setsockopt(scene->far, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger));
	close(scene->far);
	scene->far = -1;
	assert_int_equal(h2_session_ping(scene->link.session, 1), 0); /* something to send */
	scene->conn.can_read = true; /* the event */
	h2_link_run(&scene->link);
	UNTIL(scene, scene->ends);
	assert_int_equal(scene->end, H2_LINK_ERROR);
	assert_int_equal(scene->conn.send_error, -ECONNRESET);
	assert_int_equal(scene->stream_count, 1);
	assert_int_equal(scene->streams[0]->received_bytes, LEN);
	assert_true(scene->streams[0]->has_end);
	h2_stream_release(asked, H2_CANCEL);
}

/* The code of the last GOAWAY in all that came. */
static uint32_t last_goaway(struct scene *scene)
{
	static unsigned char bytes[64 * 1024];
	uint32_t code = UINT32_MAX;
	size_t len = 0;
	ssize_t got;

	usleep(1000);
	while ((got = recv(scene->far, bytes + len, sizeof(bytes) - len, 0)) > 0)
		len += (size_t)got;
	for (size_t at = 0; at + 17 <= len;) {
		size_t payload = (size_t)bytes[at] << 16 | (size_t)bytes[at + 1] << 8 | bytes[at + 2];

		if (bytes[at + 3] == 7)
			code = (uint32_t)bytes[at + 13] << 24 | (uint32_t)bytes[at + 14] << 16 |
			       (uint32_t)bytes[at + 15] << 8 | bytes[at + 16];
		at += 9 + payload;
	}
	return code;
}

SCENE_TEST(a_peer_that_breaks_the_protocol_is_told)
{
	struct scene *scene = *state;

	shake_hands(scene);
	scene->is_deaf = true;
	peer_bytes(scene, SPAN("\0\0\x04\x08\0\0\0\0\0\0\0\0\0")); /* WINDOW_UPDATE of nothing */
	assert_one_end(scene, H2_LINK_PROTOCOL);
	assert_int_equal(last_goaway(scene), H2_PROTOCOL_ERROR);
}

SCENE_TEST(a_flood_is_called_so)
{
	struct scene *scene = *state;

	shake_hands(scene);
	scene->is_deaf = true;
	for (int i = 0; i < 300; i++)
		peer_bytes(scene, SPAN("\0\0\x08\x06\0\0\0\0\0"
				       "12345678"));
	assert_one_end(scene, H2_LINK_FLOOD);
	assert_int_equal(h2_session_flood(scene->link.session), H2_FLOOD_PING);
	assert_int_equal(last_goaway(scene), H2_ENHANCE_YOUR_CALM);
}

/*
 * So many frames are answered at once that the answer to `last` is only made when they were sent: those of 9
 * SETTINGS and 959 PINGs, which are as long as they.
 */
static void assert_end_seen_while_sending(struct scene *scene, struct span last, enum h2_link_end end,
					  uint32_t code)
{
	struct buf bytes = { 0 };

	shake_hands(scene);
	scene->is_deaf = true;
	for (int i = 0; i < 9; i++)
		assert_int_equal(buf_append(&bytes, SPAN("\0\0\0\x04\0\0\0\0\0"), SIZE_MAX), 0);
	for (int i = 0; i < 959; i++)
		assert_int_equal(buf_append(&bytes,
					    SPAN("\0\0\x08\x06\0\0\0\0\0"
						 "12345678"),
					    SIZE_MAX),
				 0);
	assert_int_equal(buf_len(&bytes), LIMIT_H2_STAGED_BYTES);
	assert_int_equal(buf_append(&bytes, last, SIZE_MAX), 0);
	h2_link_feed(&scene->link, buf_span(&bytes));
	buf_done(&bytes);
	assert_int_equal(scene->ends, 0);
	assert_one_end(scene, end);
	assert_int_equal(last_goaway(scene), code);
}

PATIENT_TEST(a_broken_protocol_that_sending_brings_to_light_is_called_so)
{
	assert_end_seen_while_sending(*state, SPAN("\0\0\x04\x08\0\0\0\0\0\0\0\0\0"), H2_LINK_PROTOCOL,
				      H2_PROTOCOL_ERROR);
}

PATIENT_TEST(a_flood_that_sending_brings_to_light_is_called_so)
{
	char settings[9 + 33 * 6] = "\0\0\xc6\x04";

	for (size_t i = 9; i < sizeof(settings); i += 6)
		settings[i + 1] = 3; /* MAX_CONCURRENT_STREAMS */
	assert_end_seen_while_sending(*state, span_of(settings, sizeof(settings)), H2_LINK_FLOOD,
				      H2_ENHANCE_YOUR_CALM);
}

SCENE_TEST(a_polite_end_is_over_when_the_last_stream_is)
{
	struct scene *scene = *state;
	struct h2_stream *asked;

	shake_hands(scene);
	asked = h2_play_open(scene->peer, H2_GET_A, true);
	UNTIL(scene, scene->stream_count == 1);
	h2_head_free(h2_stream_head(scene->streams[0]));
	assert_int_equal(h2_session_announce_end(scene->link.session), 0);
	assert_int_equal(h2_session_refuse_more(scene->link.session), 0);
	h2_link_touch(&scene->link);
	UNTIL(scene, h2_session_has_goaway(scene->peer));
	assert_int_equal(scene->ends, 0);
	assert_int_equal(h2_play_answer(scene->streams[0], ":status=200\n", true), 0);
	h2_link_touch(&scene->link);
	UNTIL(scene, asked->has_end);
	for (int i = 0; i < 5; i++)
		step(scene);
	assert_int_equal(scene->ends, 0); /* complete, but its owner is not done with it */
	h2_stream_release(scene->streams[0], H2_CANCEL);
	scene->stream_count = 0;
	h2_link_touch(&scene->link);
	UNTIL(scene, scene->ends);
	assert_int_equal(scene->end, H2_LINK_OVER);
	h2_stream_release(asked, H2_CANCEL);
}

/* Before a close: what the session still has to say leaves now and not with the turn. */
SCENE_TEST(a_push_sends_what_the_socket_takes)
{
	struct scene *scene = *state;

	shake_hands(scene);
	assert_int_equal(h2_session_refuse_more(scene->link.session), 0);
	h2_link_push(&scene->link);
	assert_false(h2_session_wants_output(scene->link.session));
	assert_int_equal(last_goaway(scene), H2_NO_ERROR);
	conn_close(&scene->conn, false);
	h2_link_push(&scene->link); /* of a closed one: nothing */
}
