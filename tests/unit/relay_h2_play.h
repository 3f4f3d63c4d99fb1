/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/unit/h2_play.h"
#include "tests/unit/relay_play.h"

#include <stdio.h>

/*
 * Relays with a stream of an HTTP/2 connection at one end or both. Each such end has a pair of sessions in
 * memory: the relay holds one end of the stream (`ours`), the test plays the peer at the other (`theirs`).
 */
struct side {
	struct h2_play play;
	struct h2_stream *ours;
	struct h2_stream *theirs;
	bool is_open;
};

static struct side from, to;

#define H2_POST ":method=POST\n:scheme=http\n:path=/\n:authority=a\n"

static inline struct h2_stream *take_stream(struct h2_session *session, struct h2_stream *wanted)
{
	struct h2_stream *stream = h2_session_next(session);

	assert_non_null(stream);
	assert_true(!wanted || stream == wanted);
	stream->news = 0;
	if (stream->head)
		h2_head_free(h2_stream_head(stream));
	return stream;
}

/* The client's side of a stream, in a pair that has begun: what a request's body comes from. */
static inline struct relay_end from_stream(const char *head)
{
	from.is_open = true;
	from.theirs = h2_play_open(from.play.client, head, false);
	assert_non_null(from.theirs);
	assert_int_equal(h2_play_turn(&from.play), 0);
	from.ours = take_stream(from.play.server, NULL);
	return (struct relay_end){ .h2 = from.ours };
}

static inline struct relay_end from_open(const char *head)
{
	h2_play_begin_default(&from.play);
	return from_stream(head);
}

/* The backend's side: where it goes to. */
static inline struct relay_end to_open(bool is_end)
{
	h2_play_begin_default(&to.play);
	to.is_open = true;
	to.ours = h2_play_open(to.play.client, H2_POST, is_end);
	assert_non_null(to.ours);
	to.theirs = NULL;
	if (is_end)
		return (struct relay_end){ .h2 = to.ours };
	assert_int_equal(h2_play_turn(&to.play), 0);
	to.theirs = take_stream(to.play.server, NULL);
	return (struct relay_end){ .h2 = to.ours };
}

static inline void side_close(struct side *side)
{
	if (!side->is_open)
		return;
	if (side->ours)
		h2_stream_release(side->ours, H2_CANCEL);
	if (side->theirs)
		h2_stream_release(side->theirs, H2_CANCEL);
	h2_play_end(&side->play);
	*side = (struct side){ 0 };
}

static inline void begin(struct relay_end source, struct relay_end sink, const struct body_framing *framing,
			 enum relay_encoding encoding)
{
	relay_start(&stage.relay, source, sink, framing, encoding, true, 1);
}

static inline void end(void)
{
	relay_stop(&stage.relay);
	side_close(&from);
	side_close(&to);
	scene_close();
}

/* What all of them can do without a new event from outside. */
static inline void turn(void)
{
	uint64_t before;

	do {
		before = stage.relay.payload_bytes + (to.is_open ? to.ours->sent_bytes : 0);
		if (from.is_open)
			assert_int_equal(h2_play_turn(&from.play), 0);
		pump();
		if (to.is_open)
			assert_int_equal(h2_play_turn(&to.play), 0);
		pump();
	} while (before != stage.relay.payload_bytes + (to.is_open ? to.ours->sent_bytes : 0));
}

static inline void say(const char *text, size_t len)
{
	if (len)
		assert_int_equal(h2_play_write(from.theirs, span_of(text, len)), 0);
}

static inline void say_end(const char *trailers)
{
	struct h2_head *head = trailers ? h2_head_of(H2_HEAD_TRAILERS, span_str(trailers), true) : NULL;

	assert_int_equal(h2_stream_end(from.theirs, head), 0);
}

/* ---- whole messages */

enum source_kind {
	FROM_H2,
	FROM_LENGTH,
	FROM_CHUNKED,
	FROM_CLOSE,
	SOURCE_KINDS,
};

enum sink_kind {
	TO_H2,
	TO_PLAIN,
	TO_CHUNKED,
	SINK_KINDS,
};

#define PAYLOAD "abcdefghijklmnop"
enum { PAYLOAD_BYTES = sizeof(PAYLOAD) - 1 };

/* With fields that do not belong there: they are left out. */
#define TRAILERS_H1 "x-sum: 1\r\nAuthorization: x\r\ngrpc-status: 0\r\n"
#define TRAILERS_H2 "x-sum=1\nauthorization=x\ngrpc-status=0\n"

static inline struct relay_end source_open(enum source_kind kind)
{
	return kind == FROM_H2 ? from_open(H2_POST "content-length=16\n") : of_conn(&stage.source);
}

static inline struct relay_end sink_open(enum sink_kind kind)
{
	return kind == TO_H2 ? to_open(false) : of_conn(&stage.sink);
}

static inline struct body_framing framing_of(enum source_kind kind)
{
	switch (kind) {
	case FROM_H2: /* trailers follow it all the same */
	case FROM_LENGTH:
		return length_of(PAYLOAD_BYTES);
	case FROM_CHUNKED:
		return chunked;
	case FROM_CLOSE:
	case SOURCE_KINDS:
		break;
	}
	return until_close;
}

static inline void source_send(enum source_kind kind, struct span payload)
{
	char text[128];

	if (payload.len == 0)
		return;
	if (kind == FROM_H2)
		say(payload.data, payload.len);
	else if (kind == FROM_CHUNKED)
		put(span_of(text, (size_t)snprintf(text, sizeof(text), "%zx\r\n%.*s\r\n", payload.len,
						   SPAN_FMT(payload))));
	else
		put(payload);
}

static inline void source_end(enum source_kind kind)
{
	switch (kind) {
	case FROM_H2:
		say_end(TRAILERS_H2);
		break;
	case FROM_CHUNKED:
		put(SPAN("0\r\n" TRAILERS_H1 "\r\n"));
		break;
	case FROM_CLOSE:
		shutdown(stage.near, SHUT_WR);
		pair_wait(conn_fd(&stage.source), POLLRDHUP);
		stage.source.has_hup = true;
		break;
	case FROM_LENGTH:
	case SOURCE_KINDS:
		break;
	}
}

/* The payload out of chunks of any size; what follows it is compared. */
static inline void assert_chunks(const char *end_text)
{
	char payload[PAYLOAD_BYTES + 1] = { 0 };
	size_t len = 0;
	const char *at = stage.got;
	unsigned int size;
	int digits;

	for (int tries = 0; tries < 10 * PAIR_WAIT_MS && !strstr(stage.got, end_text); tries++) {
		collect();
		stage.got[stage.got_len] = '\0';
		usleep(100);
	}
	while (sscanf(at, "%x%n", &size, &digits) == 1 && size) {
		assert_true(len + size <= PAYLOAD_BYTES);
		memcpy(payload + len, at + digits + 2, size);
		len += size;
		at += (size_t)digits + 2 + size + 2;
	}
	assert_string_equal(payload, PAYLOAD);
	assert_string_equal(at, end_text);
}

static inline void assert_arrived(enum sink_kind kind, bool has_trailers)
{
	switch (kind) {
	case TO_H2:
		h2_play_expect_data(to.theirs, PAYLOAD);
		assert_true(to.theirs->has_end);
		if (has_trailers)
			assert_string_equal(h2_text_of(to.theirs->trailers), "x-sum=1\ngrpc-status=0\n");
		else
			assert_null(to.theirs->trailers);
		break;
	case TO_PLAIN:
		assert_got(PAYLOAD);
		break;
	case TO_CHUNKED:
		assert_chunks(has_trailers ? "0\r\nx-sum: 1\r\ngrpc-status: 0\r\n\r\n" : "0\r\n\r\n");
		break;
	case SINK_KINDS:
		break;
	}
}
