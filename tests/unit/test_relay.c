/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/relay_play.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/alloc.h"

/* ---- every split */

struct message {
	const char *in; /* the body as it comes */
	const char *behind; /* bytes of the next message */
	const char *payload;
	const char *end; /* what follows the payload in chunked encoding */
	const struct body_framing *framing;
};

/* The payload out of chunks of any size. */
static size_t unchunk(const char *bytes, size_t len, char *payload, size_t *ret_payload_len)
{
	size_t at = 0;

	*ret_payload_len = 0;
	while (at < len) {
		char *line_end;
		size_t size = strtoul(bytes + at, &line_end, 16);
		size_t start = (size_t)(line_end - bytes) + 2;

		if (size == 0)
			return at;
		assert_true(start + size + 2 <= len);
		memcpy(payload + *ret_payload_len, bytes + start, size);
		*ret_payload_len += size;
		at = start + size + 2;
	}
	return at;
}

static void assert_message(const struct message *message, enum relay_encoding encoding)
{
	static char payload[4096];
	size_t payload_len;
	size_t end;

	for (int tries = 0; tries < 10 * PAIR_WAIT_MS; tries++) {
		collect();
		stage.got[stage.got_len] = '\0';
		if (encoding == ENCODE_PLAIN ? stage.got_len >= strlen(message->payload)
					     : strstr(stage.got, message->end) != NULL)
			break;
		usleep(100);
	}
	if (encoding == ENCODE_PLAIN) {
		assert_string_equal(stage.got, message->payload);
		return;
	}
	end = unchunk(stage.got, stage.got_len, payload, &payload_len);
	assert_int_equal(payload_len, strlen(message->payload));
	assert_memory_equal(payload, message->payload, payload_len);
	assert_string_equal(stage.got + end, message->end);
}

/* What was not used: still in the queue of the source, or in its socket. */
static void assert_behind(const char *want)
{
	char rest[256] = { 0 };
	size_t len = buf_len(&stage.source.in);
	ssize_t more;

	if (len)
		memcpy(rest, buf_span(&stage.source.in).data, len);
	more = recv(conn_fd(&stage.source), rest + len, sizeof(rest) - 1 - len, MSG_DONTWAIT);
	if (more > 0)
		len += (size_t)more;
	assert_int_equal(len, strlen(want));
	assert_string_equal(rest, want);
}

/* queued: the first piece was received together with the head, before the relay began. */
static void run_split(const struct message *message, enum relay_encoding encoding, size_t cut, bool queued)
{
	char text[512];
	size_t len = (size_t)snprintf(text, sizeof(text), "%s%s", message->in, message->behind);

	scene_open(message->framing, encoding, true);
	if (queued)
		assert_int_equal(buf_append(&stage.source.in, span_of(text, cut), 1024), 0);
	else
		put(span_of(text, cut));
	pump();
	put(span_of(text + cut, len - cut));
	pump();
	if (message->framing->kind == BODY_UNTIL_CLOSE) {
		shutdown(stage.near, SHUT_WR);
		pair_wait(conn_fd(&stage.source), POLLRDHUP);
		stage.source.has_hup = true;
		pump();
	}
	assert_int_equal(stage.relay.state, RELAY_DONE);
	assert_true(stage.relay.decoder.is_done);
	assert_int_equal(stage.relay.payload_bytes, strlen(message->payload));
	assert_message(message, encoding);
	assert_behind(message->behind);
	scene_close();
}

TEST(every_split_of_a_message_gives_the_same_bytes_and_leaves_what_follows)
{
	static const struct body_framing five = { .kind = BODY_LENGTH, .length = 26 };
	static const struct message messages[] = {
		{ "abcdefghijklmnopqrstuvwxyz", "GET / HTTP/1.1\r\n", "abcdefghijklmnopqrstuvwxyz",
		  "0\r\n\r\n", &five },
		{ "3\r\nabc\r\nA;x=\"y\"\r\n0123456789\r\n0\r\n\r\n", "GET ", "abc0123456789", "0\r\n\r\n",
		  &chunked },
		{ "1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\nX-A: 1\r\nHost-Like: 2\r\n\r\n", "POST", "abc",
		  "0\r\nX-A: 1\r\nHost-Like: 2\r\n\r\n", &chunked },
		{ "2\r\nok\r\n0\r\nAuthorization: x\r\nConnection: y\r\nX: z\r\n\r\n", "", "ok",
		  "0\r\nX: z\r\n\r\n", &chunked },
		{ "0\r\n\r\n", "more", "", "0\r\n\r\n", &chunked },
		{ "all of it", "", "all of it", "0\r\n\r\n", &until_close },
	};

	for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
		const struct message *message = &messages[i];
		size_t len = strlen(message->in) + strlen(message->behind);

		for (size_t cut = 0; cut <= len; cut++) {
			for (int encoding = ENCODE_PLAIN; encoding <= ENCODE_CHUNKED; encoding++) {
				run_split(message, encoding, cut, false);
				run_split(message, encoding, cut, true);
			}
		}
	}
}

TEST(one_byte_after_the_other_gives_the_same_message)
{
	static const char text[] = "3;a=b\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nX-A: 1\r\n\r\n";

	scene_open(&chunked, ENCODE_CHUNKED, true);
	for (size_t i = 0; i < strlen(text); i++) {
		put(span_of(text + i, 1));
		pump();
	}
	assert_int_equal(stage.relay.state, RELAY_DONE);
	assert_got("1\r\na\r\n1\r\nb\r\n1\r\nc\r\n1\r\n0\r\n1\r\n1\r\n1\r\n2\r\n1\r\n3\r\n1\r\n4\r\n1\r\n5\r"
		   "\n1\r\n6\r\n1\r\n7\r\n1\r\n8\r\n1\r\n9"
		   "\r\n1\r\na\r\n1\r\nb\r\n1\r\nc\r\n1\r\nd\r\n1\r\ne\r\n1\r\nf\r\n0\r\nX-A: 1\r\n\r\n");
	scene_close();
}

/* ---- how it ends */

TEST(a_direction_without_body_only_flushes_the_head)
{
	static const struct body_framing none = { .kind = BODY_NONE };

	scene_open(&none, ENCODE_PLAIN, true);
	assert_int_equal(stage.relay.state, RELAY_DONE);
	scene_close();

	scene_open(&tunnel, ENCODE_PLAIN, true);
	relay_stop(&stage.relay);
	relay_init(&stage.relay, &stage.shared, RELAY_IN);
	assert_int_equal(buf_append(&stage.sink.out, SPAN("head"), 100), 0);
	put(SPAN("not mine"));
	relay_start(&stage.relay, of_conn(&stage.source), of_conn(&stage.sink), &none, ENCODE_PLAIN, true, 1);
	assert_int_equal(stage.relay.state, RELAY_FLUSH);
	pump();
	assert_int_equal(stage.relay.state, RELAY_DONE);
	assert_got("head");
	assert_behind("not mine");
	scene_close();
}

TEST(head_and_body_leave_in_one_segment)
{
	struct body_framing framing = length_of(4);
	char memory[64];

	scene_open(&framing, ENCODE_PLAIN, true);
	assert_int_equal(buf_append(&stage.sink.out, SPAN("head "), 100), 0);
	put(SPAN("body"));
	pump();
	pair_wait(stage.far, POLLIN);
	assert_int_equal(recv(stage.far, memory, sizeof(memory), 0), 9);
	scene_close();
}

TEST(a_source_that_ends_early_is_short_and_what_it_sent_is_delivered)
{
	static const struct body_framing ten = { .kind = BODY_LENGTH, .length = 10 };
	static const struct {
		const struct body_framing *framing;
		const char *text;
		const char *want;
	} table[] = {
		{ &ten, "12345", "12345" },
		{ &ten, "", "" },
		{ &chunked, "3\r\nabc\r\n", "3\r\nabc\r\n" },
		{ &chunked, "3\r\nab", "2\r\nab\r\n" },
		{ &chunked, "3\r\nabc\r\n0\r\n", "3\r\nabc\r\n" },
		{ &chunked, "3\r\nabc\r\n0\r\nX: y\r\n", "3\r\nabc\r\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		scene_open(table[i].framing, table[i].framing == &chunked ? ENCODE_CHUNKED : ENCODE_PLAIN,
			   true);
		put(span_str(table[i].text));
		shutdown(stage.near, SHUT_WR);
		pair_wait(conn_fd(&stage.source), POLLRDHUP);
		stage.source.has_hup = true;
		pump();
		assert_int_equal(stage.relay.state, RELAY_FAILED);
		assert_int_equal(stage.relay.fail, RELAY_FAIL_SOURCE_SHORT);
		assert_got(table[i].want);
		scene_close();
	}
}

TEST(a_reset_of_the_source_is_an_error_and_no_end)
{
	struct linger hard = { .l_onoff = 1, .l_linger = 0 };
	const struct body_framing *framings[] = { &until_close, &chunked, &tunnel };

	for (size_t i = 0; i < ARRAY_LEN(framings); i++) {
		scene_open(framings[i], ENCODE_PLAIN, true);
		pump();
		setsockopt(stage.near, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
		close(stage.near);
		stage.near = -1;
		pair_wait(conn_fd(&stage.source), POLLERR);
		pump();
		assert_int_equal(stage.relay.state, RELAY_FAILED);
		assert_int_equal(stage.relay.fail, RELAY_FAIL_SOURCE_ERROR);
		assert_int_equal(stage.source.error, -ECONNRESET);
		scene_close();
	}
}

TEST(malformed_framing_stops_at_the_fault)
{
	static const struct {
		const char *text;
		const char *want;
		enum http_error http_error;
	} table[] = {
		{ "x\r\n", "", HTTP_ERROR_CHUNK_SIZE },
		{ "3\r\nabcd\r\n", "3\r\nabc\r\n", HTTP_ERROR_CHUNK_END },
		{ "3\r\nabc\r\n3 \r\nabc\r\n", "3\r\nabc\r\n", HTTP_ERROR_CHUNK_SIZE },
		{ "3\nabc", "", HTTP_ERROR_CHUNK_LINE },
		{ "1\r\na\r\n0\r\nContent-Length: 3\r\n\r\n", "1\r\na\r\n", HTTP_ERROR_TRAILER },
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		scene_open(&chunked, ENCODE_CHUNKED, true);
		put(span_str(table[i].text));
		pump();
		assert_int_equal(stage.relay.state, RELAY_FAILED);
		assert_int_equal(stage.relay.fail, RELAY_FAIL_SOURCE_BAD);
		assert_int_equal(stage.relay.decoder.http_error, table[i].http_error);
		assert_got(table[i].want);
		scene_close();
	}
}

TEST(a_sink_that_left_is_a_failure_of_the_sink)
{
	for (int pipe = 0; pipe <= 1; pipe++) {
		struct body_framing framing = length_of(LIMIT_PIPE_MIN_BODY_BYTES * 4);
		static char segment[65536];

		scene_open(&framing, ENCODE_PLAIN, pipe);
		close(stage.far);
		stage.far = -1;
		for (int i = 0; i < PAIR_WAIT_MS && stage.relay.state == RELAY_OPEN; i++) {
			if (send(stage.near, segment, 1000, MSG_NOSIGNAL) > 0)
				pair_wait(conn_fd(&stage.source), POLLIN);
			pump();
			usleep(1000);
		}
		assert_int_equal(stage.relay.state, RELAY_FAILED);
		assert_int_equal(stage.relay.fail, RELAY_FAIL_SINK);
		assert_true(stage.sink.send_error == -EPIPE || stage.sink.send_error == -ECONNRESET);
		assert_int_equal(stage.relay.lane->id, pipe ? LANE_PIPE : LANE_COPY);
		scene_close();
	}
}

/* ---- repeated tries */

/* Another backend in the place of the one that died. */
static void new_sink(void)
{
	relay_detach(&stage.relay);
	assert_int_equal(relay_buffered(&stage.relay), 0);
	conn_close(&stage.sink, true);
	close(stage.far);
	side_open(&stage.sink, &stage.far);
	stage.got_len = 0;
}

TEST(a_repeated_try_gets_everything_again_at_every_point)
{
	static const char text[] = "3\r\nabc\r\n5\r\ndefgh\r\n0\r\nX: y\r\n\r\n";
	static const struct message want = { text, "", "abcdefgh", "0\r\nX: y\r\n\r\n", &chunked };

	for (size_t cut = 0; cut <= strlen(text); cut++) {
		scene_open(&chunked, ENCODE_CHUNKED, true);
		stage.relay.replay = &stage.replay;
		put(span_of(text, cut));
		pump();
		assert_true(relay_can_replay(&stage.relay));
		new_sink();
		assert_int_equal(relay_replay(&stage.relay, of_conn(&stage.sink), stage.relay.encoding), 0);
		put(span_of(text + cut, strlen(text) - cut));
		pump();
		assert_int_equal(stage.relay.state, RELAY_DONE);
		assert_message(&want, ENCODE_CHUNKED);
		scene_close();
	}
}

TEST(a_body_is_held_before_there_is_a_sink_and_sent_once_there_is_one)
{
	static const char text[] = "3\r\nabc\r\n5\r\ndefgh\r\n0\r\nX: y\r\n\r\nGET /";
	static const struct message want = { text, "GET /", "abcdefgh", "0\r\nX: y\r\n\r\n", &chunked };
	static const uint32_t wanted[] = { 1, 8, 9 };

	for (size_t cut = 0; cut <= 3 * strlen(text); cut++) {
		size_t at = cut / 3;

		scene_prepare();
		stage.replay.wanted_bytes = wanted[cut % 3];
		relay_hold(&stage.relay, of_conn(&stage.source), &chunked, &stage.replay, 1);
		put(span_of(text, at));
		pump();
		assert_int_equal(stage.relay.state, RELAY_OPEN);
		assert_int_equal(stage.relay.payload_bytes, stage.replay.bytes);
		assert_true(relay_has_held(&stage.relay) || !stage.relay.decoder.is_done);
		assert_true(relay_can_replay(&stage.relay));
		relay_detach(&stage.relay);
		assert_int_equal(relay_replay(&stage.relay, of_conn(&stage.sink), ENCODE_CHUNKED), 0);
		put(span_of(text + at, strlen(text) - at));
		pump();
		assert_int_equal(stage.relay.state, RELAY_DONE);
		assert_int_equal(stage.relay.payload_bytes, 8);
		assert_message(&want, ENCODE_CHUNKED);
		assert_behind("GET /");
		scene_close();
	}
}

TEST(no_more_is_held_than_was_asked_for)
{
	enum { HELD_BYTES = 128 * 1024 };
	static char body[HELD_BYTES + 8192];
	struct body_framing framing = length_of(sizeof(body));
	struct span joined;

	for (size_t i = 0; i < sizeof(body); i++)
		body[i] = (char)('a' + i % 23);
	scene_prepare();
	stage.replay.wanted_bytes = HELD_BYTES + 1;
	relay_hold(&stage.relay, of_conn(&stage.source), &framing, &stage.replay, 1);
	for (size_t at = 0; at < sizeof(body); at += 8192) {
		put(span_of(body + at, 8192));
		pump();
	}
	assert_true(relay_has_held(&stage.relay));
	assert_false(stage.replay.is_lost);
	assert_in_range(stage.replay.bytes, HELD_BYTES + 1, HELD_BYTES + 1 + REPLAY_STEP_BYTES);
	assert_int_equal(replay_join(&stage.replay, &joined), 0);
	assert_int_equal(joined.len, stage.replay.bytes);
	assert_memory_equal(joined.data, body, joined.len);
	/* Nothing of it is read by chance: the client waits. */
	pump();
	assert_true(stage.replay.bytes < sizeof(body));
	relay_detach(&stage.relay);
	assert_int_equal(relay_replay(&stage.relay, of_conn(&stage.sink), ENCODE_PLAIN), 0);
	for (int tries = 0; tries < 10 * PAIR_WAIT_MS && stage.got_len < sizeof(body); tries++) {
		pump();
		collect();
		usleep(100);
	}
	assert_int_equal(stage.got_len, sizeof(body));
	assert_memory_equal(stage.got, body, sizeof(body));
	assert_int_equal(stage.relay.state, RELAY_DONE);
	scene_close();
}

TEST(a_body_that_outgrew_the_buffer_or_was_not_kept_is_not_repeated)
{
	static char segment[LIMIT_RETRY_BODY_BYTES];
	char line[32];
	struct body_framing framing = length_of(100);

	scene_open(&chunked, ENCODE_CHUNKED, true);
	stage.relay.replay = &stage.replay;
	put(span_of(line, (size_t)snprintf(line, sizeof(line), "%zx\r\n", sizeof(segment))));
	put(span_of(segment, sizeof(segment)));
	pump();
	assert_true(relay_can_replay(&stage.relay));
	put(SPAN("\r\n1\r\nx\r\n"));
	pump();
	assert_false(relay_can_replay(&stage.relay));
	assert_int_equal(stage.replay.held_bytes, 0);
	assert_int_equal(counter_get(&stage.counters, COUNTER_REPLAY_LOST), 1);
	scene_close();

	scene_open(&framing, ENCODE_PLAIN, true);
	assert_true(relay_can_replay(&stage.relay));
	put(SPAN("x"));
	pump();
	assert_false(relay_can_replay(&stage.relay));
	scene_close();
}

/* The first send fails: nothing was sent, but the bytes are gone from the source. */
TEST(bytes_that_a_dead_sink_refused_count_as_taken)
{
	struct body_framing framing = length_of(100);

	scene_open(&framing, ENCODE_PLAIN, true);
	stage.sink.send_error = -EPIPE;
	put(SPAN("0123456789"));
	pump();
	assert_int_equal(stage.relay.state, RELAY_FAILED);
	assert_int_equal(stage.relay.payload_bytes, 0);
	assert_false(relay_can_replay(&stage.relay));
	scene_close();

	scene_open(&framing, ENCODE_PLAIN, true);
	stage.relay.replay = &stage.replay;
	stage.sink.send_error = -EPIPE;
	put(SPAN("0123456789"));
	pump();
	assert_true(relay_can_replay(&stage.relay));
	new_sink();
	assert_int_equal(relay_replay(&stage.relay, of_conn(&stage.sink), stage.relay.encoding), 0);
	assert_got("0123456789");
	scene_close();
}

/* ---- memory */

static int relay_once(void *context)
{
	static const char text[] = "3\r\nabc\r\n0\r\nX-A: 1\r\nX-B: 2\r\n\r\nnext";
	enum relay_state state;
	enum relay_fail fail;

	(void)context;
	relay_init(&stage.relay, &stage.shared, RELAY_IN);
	relay_start(&stage.relay, of_conn(&stage.source), of_conn(&stage.sink), &chunked, ENCODE_CHUNKED,
		    true, 1);
	replay_init(&stage.replay, &stage.counters, &stage.replay_bytes);
	stage.relay.replay = &stage.replay;
	put(span_str(text));
	pump();
	state = stage.relay.state;
	fail = stage.relay.fail;
	relay_stop(&stage.relay);
	replay_drop(&stage.replay);
	buf_done(&stage.source.in);
	buf_done(&stage.sink.out);
	collect();
	stage.got_len = 0;
	while (recv(conn_fd(&stage.source), stage.scratch, sizeof(stage.scratch), MSG_DONTWAIT) > 0)
		;
	if (state == RELAY_DONE)
		return 0;
	assert_int_equal(state, RELAY_FAILED);
	return fail == RELAY_FAIL_MEMORY || fail == RELAY_FAIL_SINK || fail == RELAY_FAIL_SOURCE_BAD
		       ? -ENOMEM
		       : -EINVAL;
}

TEST(each_allocation_may_fail)
{
	scene_open(&tunnel, ENCODE_PLAIN, false);
	relay_stop(&stage.relay);
	assert_true(alloc_fail_each(relay_once, NULL) >= 4);
	scene_close();
}
