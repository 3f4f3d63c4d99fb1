/* SPDX-License-Identifier: Apache-2.0 */
/* Messages through the lane: bodies, chunked ones too, keep-alive, pooled sockets, changes of lane. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bpf/chunked.h"
#include "tests/bpf/actor.h"
#include "tests/bpf/rig.h"
#include "tests/bpf/traffic.h"
#include "tests/lib/test.h"
#include "user/base/check.h"

static const struct sockmap_direction_options until_close = { .framing = SOCKMAP_UNTIL_CLOSE };

/* ---------------------------------------------------------------------------------------- messages */

/* Takes bytes out of a gateway socket the way the proxy does between two bodies. */
static void expect_in_gateway(struct rig *rig, struct sockmap_socket *socket, uint64_t seed,
			      uint64_t position, size_t len)
{
	expect(rig, socket->fd, seed, position, len);
	sockmap_socket_note_read(socket, len);
}

/* Body and next message cross the boundary at every byte of one piece, on one connection all the time. */
TEST(pipelined_bytes_stay_on_their_side_at_every_boundary)
{
	enum { PIECE = 64 };
	struct sockmap *sockmap;
	struct rig *rig = rig_setup(&sockmap);
	struct rig_stream s;
	uint64_t position = 0;

	rig_stream_open(rig, &s, NULL);
	rig_stream_add(&s);
	for (size_t body = 1; body <= PIECE; body++) {
		struct sockmap_direction_options options = { .framing = SOCKMAP_LENGTH,
							     .length_bytes = body };

		rig_start(&s.up, &options);
		send_pattern(rig, s.client, 1, position, PIECE);
		expect(rig, s.server, 1, position, body);
		assert_true(rig_run(rig, rig_direction_ended, &s.up, 20000));
		assert_int_equal(s.up.end, RIG_DONE);
		if (body < PIECE)
			expect_in_gateway(rig, &s.front_socket, 1, position + body, PIECE - body);
		if (body % 16 == 0)
			expect_nothing(rig, s.server);
		position += PIECE;
	}
	/* The same, the message in two pieces: split before, at and behind the end of the body. */
	for (size_t split = 1; split < PIECE; split++) {
		struct sockmap_direction_options options = { .framing = SOCKMAP_LENGTH,
							     .length_bytes = PIECE / 2 };

		rig_start(&s.up, &options);
		send_pattern(rig, s.client, 1, position, split);
		rig_turn(rig, 0);
		send_pattern(rig, s.client, 1, position + split, PIECE - split);
		expect(rig, s.server, 1, position, PIECE / 2);
		assert_true(rig_run(rig, rig_direction_ended, &s.up, 20000));
		expect_in_gateway(rig, &s.front_socket, 1, position + PIECE / 2, PIECE / 2);
		position += PIECE;
	}
	expect_nothing(rig, s.server);
	rig_stream_close(&s);
	rig_teardown(rig, sockmap);
}

/* Heads through user space, bodies through the lane, both ways in turn. */
TEST(a_connection_carries_many_messages)
{
	enum { HEAD = 120 };
	struct sockmap *sockmap;
	struct rig *rig = rig_setup(&sockmap);
	struct rig_stream s;
	uint64_t random = 3, up = 0, down = 0;
	char head[HEAD];

	rig_stream_open(rig, &s, NULL);
	rig_stream_add(&s);
	for (int message = 0; message < 60; message++) {
		uint64_t body = random_u32(&random) % 100000 + 1;
		struct sockmap_direction_options options = { .framing = SOCKMAP_LENGTH,
							     .length_bytes = body };

		send_pattern(rig, s.client, 1, up, HEAD);
		assert_int_equal(receive_some(rig, s.front, head, HEAD, 20000), HEAD);
		sockmap_socket_note_read(&s.front_socket, HEAD);
		assert_true(send_all(rig, s.back, head, HEAD));
		rig_start(&s.up, &options);
		send_pattern(rig, s.client, 1, up + HEAD, body);
		expect(rig, s.server, 1, up, HEAD + body);
		assert_true(rig_run(rig, rig_direction_ended, &s.up, 20000));
		assert_int_equal(s.up.end, RIG_DONE);
		up += HEAD + body;

		send_pattern(rig, s.server, 2, down, HEAD + body);
		assert_int_equal(receive_some(rig, s.back, head, HEAD, 20000), HEAD);
		sockmap_socket_note_read(&s.back_socket, HEAD);
		assert_true(send_all(rig, s.front, head, HEAD));
		rig_start(&s.down, &options);
		expect(rig, s.client, 2, down, HEAD + body);
		assert_true(rig_run(rig, rig_direction_ended, &s.down, 20000));
		assert_int_equal(s.down.end, RIG_DONE);
		down += HEAD + body;
	}
	rig_stream_close(&s);
	rig_teardown(rig, sockmap);
}

/* A pooled backend connection serves another client after the first: nothing of one reaches the other. */
TEST(sockets_find_new_partners)
{
	struct sockmap *sockmap;
	struct rig *rig = rig_setup(&sockmap);
	struct rig_stream first, second;
	struct sockmap_direction_options body = { .framing = SOCKMAP_LENGTH, .length_bytes = 5000 };

	rig_stream_open(rig, &first, NULL);
	rig_stream_open(rig, &second, NULL);
	rig_stream_add(&first);
	assert_int_equal(sockmap_socket_add(rig->worker, &second.front_socket, second.front), 0);
	for (int round = 0; round < 20; round++) {
		struct rig_stream *client = round % 2 ? &second : &first;
		uint64_t position = (uint64_t)round / 2 * 5000;

		/* The one backend connection, whoever the client is. */
		client->up.source = client->down.target = &client->front_socket;
		client->up.target = client->down.source = &first.back_socket;
		rig_start(&client->up, &body);
		send_pattern(rig, client->client, 1 + (uint64_t)(round % 2), position, 5000);
		expect(rig, first.server, 1 + (uint64_t)(round % 2), position, 5000);
		assert_true(rig_run(rig, rig_direction_ended, &client->up, 20000));
		rig_start(&client->down, &body);
		send_pattern(rig, first.server, 7, (uint64_t)round * 5000, 5000);
		expect(rig, client->client, 7, (uint64_t)round * 5000, 5000);
		assert_true(rig_run(rig, rig_direction_ended, &client->down, 20000));
		assert_int_equal(client->down.end, RIG_DONE);
	}
	expect_nothing(rig, first.client);
	expect_nothing(rig, second.client);
	rig_stream_close(&second);
	rig_stream_close(&first);
	rig_teardown(rig, sockmap);
}

TEST(a_body_of_length_zero_is_done_at_once)
{
	struct sockmap *sockmap;
	struct rig *rig = rig_setup(&sockmap);
	struct rig_stream s;
	struct sockmap_direction_options options = { .framing = SOCKMAP_LENGTH, .length_bytes = 0 };

	rig_stream_open(rig, &s, NULL);
	rig_stream_add(&s);
	rig_start(&s.up, &options);
	assert_int_equal(s.up.end, RIG_DONE);
	rig_stream_close(&s);
	rig_teardown(rig, sockmap);
}

TEST(a_short_body_says_how_much_is_missing)
{
	struct sockmap *sockmap;
	struct rig *rig = rig_setup(&sockmap);
	struct rig_stream s;
	struct sockmap_direction_options options = { .framing = SOCKMAP_LENGTH, .length_bytes = 1000 };

	rig_stream_open(rig, &s, NULL);
	rig_stream_add(&s);
	rig_start(&s.up, &options);
	send_pattern(rig, s.client, 1, 0, 600);
	shutdown(s.client, SHUT_WR);
	assert_true(rig_run(rig, rig_direction_ended, &s.up, 20000));
	assert_int_equal(s.up.end, RIG_EOF);
	assert_int_equal(s.up.direction.left_bytes, 400);
	expect(rig, s.server, 1, 0, 600);
	rig_stream_close(&s);
	rig_teardown(rig, sockmap);
}

/* ---------------------------------------------------------------------------------------- changes of lane */

/* Copies in user space what the lane has left, as the copy lane would, up to a bound. */
static void copy_by_hand(struct rig_stream *s, size_t max)
{
	char bytes[8192];

	while (max > 0) {
		ssize_t got = recv(s->front, bytes, max < sizeof(bytes) ? max : sizeof(bytes), MSG_DONTWAIT);

		if (got <= 0)
			return;
		sockmap_socket_note_read(&s->front_socket, (uint64_t)got);
		assert_true(send_all(s->rig, s->back, bytes, (size_t)got));
		max -= (size_t)got;
	}
}

/* One stream of 6 MiB that goes in and out of the lane until it has arrived; returns how often. */
static int change_lanes(struct rig *rig, uint64_t *random)
{
	struct rig_stream s;
	struct actor writer = { .pause_us = 50, .pause_every = 64 };
	struct actor reader = { .pause_us = 200, .pause_every = 32 };
	int changes = 0;

	rig_stream_open(rig, &s, NULL);
	rig_stream_add(&s);
	actor_read(&reader, s.server, 1, 6 << 20, 20000);
	actor_write(&writer, s.client, 1, 6 << 20, 2000);
	while (!reader.is_finished && changes < 100000) {
		rig_start(&s.up, &until_close);
		for (uint32_t i = random_u32(random) % 8; i > 0; i--)
			rig_turn(rig, 0);
		/* Small pieces for a reader that was late have been taken out: the rest goes by hand. */
		if (s.up.is_copied)
			break;
		if (!sockmap_direction_is_running(&s.up.direction))
			fail_msg("the way ended by itself: %d, %s", s.up.end,
				 sockmap_reason_text(s.up.reason));
		sockmap_direction_leave(&s.up.direction);
		rig_step(&s.up);
		assert_true(rig_run(rig, rig_direction_ended, &s.up, 20000));
		assert_int_equal(s.up.end, RIG_BYTES);
		if (random_u32(random) % 4)
			copy_by_hand(&s, random_u32(random) % 20000);
		changes++;
	}
	assert_true(rig_run(rig, actor_finished, &reader, 20000));
	actor_join(&writer);
	actor_join(&reader);
	assert_int_equal(reader.wrong_at, -1);
	assert_int_equal(reader.done, 6 << 20);
	rig_stream_close(&s);
	return changes;
}

/* At random moments, under a writer that never stops. On a busy machine one stream may be over too soon. */
TEST(bytes_survive_random_changes_of_lane)
{
	struct sockmap *sockmap;
	struct rig *rig = rig_setup(&sockmap);
	uint64_t random = 5;
	int changes = 0;

	for (int round = 0; round < 20 && changes <= 20; round++)
		changes += change_lanes(rig, &random);
	assert_true(changes > 20);
	rig_teardown(rig, sockmap);
}

/* ---------------------------------------------------------------------------------------- chunked */

static size_t chunked_make(char *out, uint64_t *random, int chunks)
{
	size_t len = 0;

	for (int i = 0; i < chunks; i++) {
		uint32_t payload = random_u32(random) % 40 + 1;

		len += (size_t)sprintf(out + len, "%x\r\n", payload);
		for (uint32_t j = 0; j < payload; j++)
			out[len++] = (char)random_u32(random);
		len += (size_t)sprintf(out + len, "\r\n");
	}
	return len;
}

/* Every split of a chunked body in two pieces; the state comes out where user space expects it. */
TEST(chunked_bodies_survive_every_split)
{
	struct sockmap *sockmap;
	struct rig *rig = rig_setup(&sockmap);
	struct rig_stream s;
	uint64_t random = 9;
	char body[400], got[400];

	rig_stream_open(rig, &s, NULL);
	rig_stream_add(&s);
	size_t len = chunked_make(body, &random, 5);
	for (size_t split = 1; split < len; split++) {
		struct sockmap_direction_options options = { .framing = SOCKMAP_CHUNKED_BODY };
		struct sockmap_chunk expected = { 0 };
		const char *end = "0\r\n\r\nGET";

		rig_start(&s.up, &options);
		assert_true(send_all(rig, s.client, body, split));
		assert_int_equal(receive_some(rig, s.server, got, split, 20000), split);
		assert_true(send_all(rig, s.client, body + split, len - split));
		assert_int_equal(receive_some(rig, s.server, got + split, len - split, 20000), len - split);
		assert_memory_equal(got, body, len);
		assert_true(send_all(rig, s.client, end, strlen(end)));
		assert_true(rig_run(rig, rig_direction_ended, &s.up, 20000));
		assert_int_equal(s.up.end, RIG_BYTES);
		assert_int_equal(s.up.reason, SOCKMAP_REASON_CHUNK_LAST);
		chunk_walk(&expected, (const unsigned char *)body, len);
		assert_memory_equal(&s.up.direction.chunk, &expected, sizeof(expected));
		assert_int_equal(receive_some(rig, s.front, got, strlen(end), 20000), strlen(end));
		sockmap_socket_note_read(&s.front_socket, strlen(end));
		assert_memory_equal(got, end, strlen(end));
	}
	assert_int_equal(sockmap_direction_stats(&s.up.direction).copied_bytes, 0);
	rig_stream_close(&s);
	rig_teardown(rig, sockmap);
}

/* Random piece sizes, a slow reader, something for the full parser in between, the lane again after it. */
TEST(chunked_bodies_go_on_after_an_extension)
{
	struct sockmap *sockmap;
	struct rig *rig = rig_setup(&sockmap);
	struct rig_buffers buffers = { .back_send = 16384, .server_receive = 16384 };
	struct rig_stream s;
	uint64_t random = 10;
	static char body[120000], got[120000];
	size_t len, sent = 0, have = 0;
	struct sockmap_chunk chunk = { 0 };

	len = chunked_make(body, &random, 1000);
	len += (size_t)sprintf(body + len, "3;name=value\r\nabc\r\n");
	len += chunked_make(body + len, &random, 1000);
	rig_stream_open(rig, &s, &buffers);
	rig_stream_add(&s);
	while (have < len) {
		if (!sockmap_direction_is_running(&s.up.direction)) {
			struct sockmap_direction_options options = { .framing = SOCKMAP_CHUNKED_BODY };

			options.chunk = chunk;
			rig_start(&s.up, &options);
		}
		size_t piece = random_u32(&random) % 3000 + 1;
		if (piece > len - sent)
			piece = len - sent;
		ssize_t put = send(s.client, body + sent, piece, MSG_DONTWAIT);
		sent += put > 0 ? (size_t)put : 0;
		if (random_u32(&random) % 3 == 0 || sent == len)
			have += receive_some(rig, s.server, got + have, len - have, 1);
		rig_turn(rig, 0);
		if (s.up.end != RIG_BYTES || sockmap_direction_is_running(&s.up.direction))
			continue;
		/* The full parser's turn: here it takes one line with an extension, or nothing yet. */
		char line[64];
		ssize_t peeked = recv(s.front, line, sizeof(line), MSG_PEEK | MSG_DONTWAIT);
		chunk = s.up.direction.chunk;
		if (peeked >= 19 && memcmp(line, "3;name=value\r\nabc\r\n", 19) == 0) {
			assert_int_equal(recv(s.front, line, 19, MSG_DONTWAIT), 19);
			sockmap_socket_note_read(&s.front_socket, 19);
			assert_true(send_all(rig, s.back, line, 19));
		} else if (peeked > 0) {
			/* Plain bytes before it. */
			size_t take = 1;
			assert_int_equal(chunk_walk(&chunk, (unsigned char *)line, take), WALK_COVERED);
			assert_int_equal(recv(s.front, line, take, MSG_DONTWAIT), take);
			sockmap_socket_note_read(&s.front_socket, take);
			assert_true(send_all(rig, s.back, line, take));
		}
		s.up.end = RIG_RUNNING;
	}
	assert_int_equal(have, len);
	assert_memory_equal(got, body, len);
	rig_stream_close(&s);
	rig_teardown(rig, sockmap);
}
