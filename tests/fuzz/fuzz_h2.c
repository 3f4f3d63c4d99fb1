/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/2 connections. The first byte of an input chooses who we are, the next two how bytes are cut and what
 * our owner does meanwhile. To a server the rest is what a client says behind its preface, to a client what a
 * server says; the third kind are two sessions that talk with each other, and the rest is what their owners
 * do. What has to hold:
 *   - no stream keeps more than its window, and no more streams are open than we allow;
 *   - what is refused stays refused, and every stream is told of its end exactly once;
 *   - what we say is a sequence of whole frames that a peer of ours may send;
 *   - a head that is accepted becomes a request, and the same again on its way through another connection;
 *   - between two of ours nothing is lost, added or reordered, and nobody calls the other a bad peer.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "user/base/limits.h"
#include "user/h2/h2_internal.h"
#include "user/h2/h2_watch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition) must((condition), __LINE__, #condition)

static void must(bool condition, int line, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "line %d: broken: %s\n", line, what);
	abort();
}

enum {
	STREAMS = 24, /* that an owner keeps */
	WINDOW = 30000,
	HELD_MAX = 65535, /* before the peer has seen our SETTINGS */
};

/* ---- an end of a connection and its owner ---- */

/* What an owner remembers of a stream. */
struct held {
	struct h2_stream *stream; /* NULL: free */
	uint32_t sent; /* bytes of the pattern */
	uint32_t received;
	uint32_t interims;
	bool has_answered;
	bool is_reset_told;
};

struct end {
	struct h2_session *session;
	struct held held[STREAMS];
	struct buf out;
	struct h2_watch watch; /* of what it says */
	uint64_t now_ms;
	bool is_pair;
	bool is_broken;
};

static uint32_t random_state;

static uint32_t chance(uint32_t bound)
{
	random_state = random_state * 1664525u + 1013904223u;
	return (random_state >> 8) % bound;
}

static void end_begin(struct end *end, enum h2_role role, bool is_pair)
{
	struct h2_options options = {
		.role = role,
		.window_bytes = WINDOW,
		.connection_window_bytes = 100000,
		.frame_bytes = 16384,
		.max_streams = 10,
		.allows_connect_protocol = true,
		.head_limits = { .bytes = 4096, .fields = 20 },
		.flood_limits = h2_flood_defaults,
	};

	/* Owners that reset and ping without end are what the third kind is about. */
	if (is_pair)
		options.flood_limits = (struct h2_flood_limits){ { 0 }, { 0 } };
	*end = (struct end){ .session = h2_session_create(&options), .now_ms = 1000, .is_pair = is_pair };
	MUST(end->session);
	h2_watch_init(&end->watch, role == H2_CLIENT);
}

static struct held *held_of(struct end *end, const struct h2_stream *stream)
{
	for (size_t i = 0; i < STREAMS; i++) {
		if (end->held[i].stream == stream)
			return &end->held[i];
	}
	return NULL;
}

static void held_release(struct held *held)
{
	h2_stream_release(held->stream, H2_CANCEL);
	*held = (struct held){ 0 };
}

static void end_done(struct end *end)
{
	if (chance(2))
		h2_session_abort(end->session);
	h2_session_free(end->session);
	for (size_t i = 0; i < STREAMS; i++) {
		struct h2_stream *stream = end->held[i].stream;

		if (!stream)
			continue;
		MUST(!stream->session && (stream->is_reset || (stream->has_end && stream->is_end_sent)));
		held_release(&end->held[i]);
	}
	buf_done(&end->out);
}

/* ---- heads ---- */

static void must_same(const struct request_head *a, const struct request_head *b)
{
	MUST(a->method == b->method && span_eq(a->method_text, b->method_text));
	MUST(span_eq(a->target, b->target) && span_eq(a->authority, b->authority));
	MUST(a->fields.count == b->fields.count);
	for (uint32_t i = 0; i < a->fields.count; i++) {
		MUST(span_eq(a->fields.list[i].name, b->fields.list[i].name));
		MUST(span_eq(a->fields.list[i].value, b->fields.list[i].value));
	}
}

static void resend(struct h2_head *to, struct span name, struct span value)
{
	static const struct h2_head_limits wide = { .bytes = UINT32_MAX, .fields = UINT32_MAX };

	if (value.len || name.data[0] != ':')
		MUST(h2_head_add(to, name, value, &wide) == 0);
}

/* The head as another hop gets it. */
static struct h2_head *head_again(const struct h2_head *sent, bool has_end)
{
	struct h2_head *head = h2_head_create(H2_HEAD_REQUEST);

	resend(head, SPAN(":method"), sent->method);
	resend(head, SPAN(":scheme"), sent->scheme);
	resend(head, SPAN(":authority"), sent->authority);
	resend(head, SPAN(":path"), sent->path);
	for (uint32_t i = 0; i < sent->fields.count; i++)
		resend(head, sent->fields.list[i].name, sent->fields.list[i].value);
	head->has_end = has_end;
	MUST(h2_head_finish(head) == HTTP_ERROR_NONE);
	return head;
}

static void request_check(const struct h2_head *head)
{
	struct body_framing framing;
	struct request_head request;
	struct request_head again;
	struct h2_head *sent;
	struct h2_head *received;
	struct span protocol;
	struct arena arena;

	arena_init(&arena, 1024);
	if (h2_head_to_request(head, &arena, &request, &protocol) == HTTP_ERROR_NONE &&
	    h2_head_request_framing(head, &request, &framing) == HTTP_ERROR_NONE) {
		MUST(request.fields.count > 0 && request.fields.list[0].id == FIELD_HOST);
		MUST(request.version_major == 2 && request.authority.len > 0);
		fields_remove_id(&request.fields, FIELD_CONTENT_LENGTH);
		sent = h2_head_from_request(&request, &framing);
		MUST(sent && sent->http_error == HTTP_ERROR_NONE);
		received = head_again(sent, head->has_end);
		MUST(h2_head_to_request(received, &arena, &again, &protocol) == HTTP_ERROR_NONE);
		fields_remove_id(&again.fields, FIELD_CONTENT_LENGTH);
		must_same(&again, &request);
		h2_head_free(sent);
		h2_head_free(received);
	}
	arena_done(&arena);
}

static struct h2_head *head_make(enum h2_head_kind kind, uint32_t choice)
{
	static const char *const requests[] = { ":method",    "POST", ":scheme", "http",
						":authority", "a",    ":path",	 "/" };
	static const char *const fields[] = { "cookie", "a=b",
					      "x-long", "0123456789012345678901234567890123456789",
					      "te",	"trailers",
					      "cookie", "c" };
	struct h2_head *head = h2_head_create(kind);

	for (size_t i = 0; kind == H2_HEAD_REQUEST && i < 8; i += 2)
		h2_head_put_pseudo(head, span_str(requests[i]), span_str(requests[i + 1]));
	if (kind == H2_HEAD_RESPONSE)
		h2_head_put_pseudo(head, SPAN(":status"), choice & 16 ? SPAN("103") : SPAN("200"));
	for (size_t i = 0; i < 8; i += 2) {
		if ((choice >> i / 2 & 1) && !(kind != H2_HEAD_REQUEST && i == 4))
			resend(head, span_str(fields[i]), span_str(fields[i + 1]));
	}
	MUST(head->http_error == HTTP_ERROR_NONE);
	return head;
}

/* ---- what an owner does ---- */

static char pattern_at(const struct h2_stream *stream, uint32_t at)
{
	return (char)(at * 7 + at / 251 + (uint32_t)stream->id);
}

static void owner_open(struct end *end)
{
	struct held *held = held_of(end, NULL);
	bool is_end = chance(2);
	struct h2_head *head;

	if (!held)
		return;
	head = head_make(H2_HEAD_REQUEST, chance(16));
	*held = (struct held){ .stream = h2_stream_open(end->session, head, is_end) };
	MUST(held->stream || h2_session_capacity(end->session) == 0);
	h2_head_free(head);
}

static void owner_write(struct held *held)
{
	static char bytes[20000];
	struct h2_stream *stream = held->stream;
	size_t len = chance(4) ? chance(100) : chance(sizeof(bytes));
	struct iovec segments[2] = { { bytes, len / 3 }, { bytes + len / 3, len - len / 3 } };

	for (size_t i = 0; i < len; i++)
		bytes[i] = pattern_at(stream, held->sent + (uint32_t)i);
	if (h2_stream_can_write(stream) && h2_stream_write(stream, segments, 2, LIMIT_RELAY_BYTES) == 0)
		held->sent += (uint32_t)len;
	MUST(buf_len(&stream->out) <= LIMIT_RELAY_BYTES);
}

static void owner_end(struct h2_stream *stream)
{
	struct h2_head *trailers = chance(3) ? NULL : head_make(H2_HEAD_TRAILERS, chance(16));

	if (h2_stream_end(stream, trailers) != 0)
		h2_head_free(trailers);
}

static void owner_answer(struct held *held)
{
	bool is_final = chance(3) || held->interims >= LIMIT_INTERIM_RESPONSES;
	bool is_end = is_final && chance(3) == 0;
	struct h2_head *head;
	int error;

	if (held->has_answered)
		return;
	held->interims += !is_final;
	head = head_make(H2_HEAD_RESPONSE, chance(16) | (is_final ? 0 : 16));
	error = h2_stream_send_head(held->stream, head, is_end);
	MUST(error == 0 || error == -EPIPE);
	held->has_answered = is_final && !error;
	h2_head_free(head);
}

static void owner_consume(struct end *end, struct held *held)
{
	struct h2_stream *stream = held->stream;
	struct span in = buf_span(&stream->in);
	size_t len = chance(2) ? in.len : chance((uint32_t)in.len + 1);

	MUST(in.len <= HELD_MAX && stream->received_bytes >= in.len);
	for (size_t i = 0; end->is_pair && i < len; i++)
		MUST(in.data[i] == pattern_at(stream, held->received + (uint32_t)i));
	held->received += (uint32_t)len;
	h2_stream_consume(stream, len);
	MUST(stream->received_bytes == held->received + buf_len(&stream->in));
}

static void owner_act(struct end *end, struct held *held, bool is_server, uint32_t act)
{
	struct h2_stream *stream = held->stream;

	switch (act % 16) {
	case 0:
		h2_stream_reset(stream, chance(14));
		held->is_reset_told = true;
		break;
	case 1:
		held_release(held);
		break;
	case 2:
	case 3:
		if (!is_server || held->has_answered)
			owner_end(stream);
		break;
	case 4:
	case 5:
	case 6:
	case 7:
		if (is_server)
			owner_answer(held);
		break;
	case 8:
	case 9:
	case 10:
		owner_write(held);
		break;
	default:
		owner_consume(end, held);
		break;
	}
}

static void owner_look(struct end *end, struct h2_stream *stream)
{
	struct held *held = held_of(end, stream);
	struct h2_head *head;

	if (!held) {
		MUST(stream->news & H2_NEWS_HEAD);
		held = held_of(end, NULL);
		if (!held) {
			h2_stream_release(stream, H2_REFUSED_STREAM);
			return;
		}
		*held = (struct held){ .stream = stream };
	}
	MUST(stream->news != 0);
	MUST(!(stream->news & H2_NEWS_RESET) || (stream->is_reset && !held->is_reset_told));
	held->is_reset_told |= (stream->news & H2_NEWS_RESET) != 0;
	MUST(stream->is_reset == held->is_reset_told);
	MUST(!end->is_pair || !stream->is_invalid);
	stream->news = 0;
	while ((head = h2_stream_head(stream))) {
		MUST(head->http_error == HTTP_ERROR_NONE || stream->is_invalid);
		if (head->kind == H2_HEAD_REQUEST && head->http_error == HTTP_ERROR_NONE)
			request_check(head);
		h2_head_free(head);
	}
}

static void end_look(struct end *end)
{
	struct h2_stream *stream;

	while ((stream = h2_session_next(end->session)))
		owner_look(end, stream);
	MUST(end->session->open_streams <= 2 * STREAMS + 100);
}

/* ---- bytes ---- */

/* Whole frames of known types and lawful size, RFC 9113 6. */
static void end_output(struct end *end)
{
	size_t before = buf_len(&end->out);
	struct h2_frame frame;
	struct span rest;

	MUST(h2_session_output(end->session, &end->out, before + 1 + chance(40000)) == 0);
	rest = span_from(buf_span(&end->out), before);
	while (h2_watch_next(&end->watch, &rest, &frame)) {
		MUST(frame.length <= 16384 && frame.type <= 9);
		MUST(frame.type != 5 && frame.type != 2);
	}
	MUST(end->watch.skip == 0 && end->watch.head_bytes == 0);
	end_look(end);
}

static void end_feed(struct end *end, struct span bytes)
{
	int error;

	end->now_ms += chance(100);
	error = h2_session_feed(end->session, bytes, end->now_ms);
	MUST(error == 0 || error == -EPROTO);
	MUST(!end->is_broken || error == -EPROTO);
	MUST(!end->is_pair || error == 0);
	end->is_broken |= error != 0;
	end_look(end);
}

static void end_act(struct end *end, bool is_server, uint32_t act)
{
	struct held *held = &end->held[chance(STREAMS)];

	if (act % 64 == 0)
		MUST(h2_session_ping(end->session, 1 + chance(1000)) == 0);
	else if (act % 64 == 1 && !end->is_pair)
		MUST(h2_session_announce_end(end->session) == 0);
	else if (act % 64 == 2 && !end->is_pair)
		MUST(h2_session_refuse_more(end->session) == 0);
	else if (!is_server && act % 8 == 4)
		owner_open(end);
	for (size_t i = 0; i < STREAMS && !held->stream; i++)
		held = &end->held[i];
	if (held->stream)
		owner_act(end, held, is_server, act / 4);
}

/* ---- the three kinds of input ---- */

static void one_end(enum h2_role role, struct span in)
{
	struct end end;

	end_begin(&end, role, false);
	if (role == H2_SERVER)
		end_feed(&end, SPAN("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
	else
		owner_open(&end);
	while (in.len) {
		struct span piece = span_first(in, chance(4) ? 1 + chance(200) : 1 + chance(4));
		char *copy = malloc(piece.len);

		MUST(copy);
		memcpy(copy, piece.data, piece.len);
		end_feed(&end, span_of(copy, piece.len));
		free(copy);
		in = span_from(in, piece.len);
		for (uint32_t acts = chance(3); acts > 0; acts--)
			end_act(&end, role == H2_SERVER, chance(1024));
		if (chance(4) == 0)
			end_output(&end);
		if (chance(8) == 0)
			buf_consume(&end.out, buf_len(&end.out));
	}
	end_output(&end);
	MUST(!end.is_broken || !h2_session_wants_output(end.session) ||
	     h2_session_output(end.session, &end.out, SIZE_MAX) == 0);
	MUST(!end.is_broken || h2_session_is_over(end.session));
	end_done(&end);
}

/* Some of what one said. */
static void carry(struct end *from, struct end *to)
{
	size_t len = buf_len(&from->out);

	if (chance(3))
		len = chance((uint32_t)len + 1);
	if (len == 0)
		return;
	end_feed(to, span_first(buf_span(&from->out), len));
	buf_consume(&from->out, len);
}

static void two_ends(struct span in)
{
	struct end client;
	struct end server;

	end_begin(&client, H2_CLIENT, true);
	end_begin(&server, H2_SERVER, true);
	for (size_t i = 0; i < in.len && i < 400; i++) {
		uint32_t act = (unsigned char)in.data[i] * 4u + chance(4);

		if (i % 2)
			end_act(&client, false, act);
		else
			end_act(&server, true, act);
		if (act % 8 < 3)
			end_output(&client);
		if (act % 8 > 4)
			end_output(&server);
		carry(&client, &server);
		carry(&server, &client);
	}
	end_done(&client);
	end_done(&server);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in;

	if (size < 3)
		return 0;
	random_state = (uint32_t)data[1] << 8 | data[2];
	in = span_of(data + 3, size - 3);
	if (data[0] % 4 == 0)
		one_end(H2_CLIENT, in);
	else if (data[0] % 4 == 1)
		two_ends(in);
	else
		one_end(H2_SERVER, in);
	return 0;
}
