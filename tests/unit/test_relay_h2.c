/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/relay_h2_play.h"

#include "tests/lib/alloc.h"

/* How many turns lie between the parts of the message. */
enum pace {
	PACE_EACH, /* one after every part */
	PACE_LAST, /* the end comes together with the last bytes */
	PACE_WHOLE, /* all of it is there before the relay looks */
	PACES,
};

static void run_message(enum source_kind source, enum sink_kind sink, size_t cut, enum pace pace)
{
	struct body_framing framing = framing_of(source);
	bool has_trailers = source == FROM_H2 || source == FROM_CHUNKED;
	struct relay_end source_end_of, sink_end_of;

	scene_prepare();
	source_end_of = source_open(source);
	sink_end_of = sink_open(sink);
	begin(source_end_of, sink_end_of, &framing, sink == TO_CHUNKED ? ENCODE_CHUNKED : ENCODE_PLAIN);
	source_send(source, span_first(SPAN(PAYLOAD), cut));
	if (pace != PACE_WHOLE)
		turn();
	source_send(source, span_from(SPAN(PAYLOAD), cut));
	if (pace == PACE_EACH)
		turn();
	source_end(source);
	turn();
	assert_int_equal(stage.relay.state, RELAY_DONE);
	assert_int_equal(stage.relay.payload_bytes, PAYLOAD_BYTES);
	assert_int_equal(stage.relay.lane_bytes[LANE_COPY], PAYLOAD_BYTES);
	assert_int_equal(relay_buffered(&stage.relay), 0);
	assert_arrived(sink, has_trailers);
	end();
}

TEST(a_message_is_the_same_between_all_kinds_of_ends_however_it_is_cut)
{
	for (int source = 0; source < SOURCE_KINDS; source++) {
		for (int sink = 0; sink < SINK_KINDS; sink++) {
			if (source != FROM_H2 && sink != TO_H2)
				continue; /* test_relay.c */
			for (size_t cut = 0; cut <= PAYLOAD_BYTES; cut++) {
				for (int pace = 0; pace < PACES; pace++)
					run_message((enum source_kind)source, (enum sink_kind)sink, cut,
						    (enum pace)pace);
			}
		}
	}
}

TEST(what_follows_a_message_stays_with_its_connection)
{
	struct body_framing framing = length_of(3);
	char rest[16] = { 0 };

	scene_prepare();
	begin(of_conn(&stage.source), to_open(false), &framing, ENCODE_PLAIN);
	put(SPAN("abcGET "));
	turn();
	assert_int_equal(stage.relay.state, RELAY_DONE);
	h2_play_expect_data(to.theirs, "abc");
	assert_true(to.theirs->has_end);
	assert_span(buf_span(&stage.source.in), "GET ");
	assert_int_equal(recv(conn_fd(&stage.source), rest, sizeof(rest), MSG_DONTWAIT), -1);
	end();
}

TEST(a_message_without_a_body_ends_with_its_head)
{
	static const struct body_framing none = { .kind = BODY_NONE };

	scene_prepare();
	begin(of_conn(&stage.source), to_open(true), &none, ENCODE_PLAIN);
	assert_int_equal(stage.relay.state, RELAY_FLUSH); /* the head has not left yet */
	turn();
	assert_int_equal(stage.relay.state, RELAY_DONE);
	to.theirs = take_stream(to.play.server, NULL);
	assert_true(to.theirs->has_end);
	assert_int_equal(to.theirs->received_bytes, 0);
	end();

	scene_prepare();
	begin(from_open(H2_POST), of_conn(&stage.sink), &none, ENCODE_PLAIN);
	assert_int_equal(stage.relay.state, RELAY_DONE);
	end();
}

/* The end of a stream has no place in the bytes of a tunnel, and the other way round. */
TEST(the_ends_of_a_tunnel_are_a_fin_and_the_end_of_the_stream)
{
	scene_prepare();
	begin(of_conn(&stage.source), to_open(false), &tunnel, ENCODE_PLAIN);
	put(SPAN("0\r\n\r\nany"));
	turn();
	h2_play_expect_data(to.theirs, "0\r\n\r\nany");
	assert_false(to.theirs->has_end);
	source_end(FROM_CLOSE);
	turn();
	assert_true(to.theirs->has_end);
	assert_int_equal(stage.relay.state, RELAY_DONE);
	end();

	scene_prepare();
	begin(from_open(H2_POST), of_conn(&stage.sink), &tunnel, ENCODE_PLAIN);
	say("any", 3);
	turn();
	assert_int_equal(stage.relay.state, RELAY_OPEN);
	say_end(NULL);
	turn();
	assert_int_equal(stage.relay.state, RELAY_DONE);
	assert_got("any");
	end();
}

/* ---- broken messages */

static void assert_not_ended(enum sink_kind kind, const char *payload)
{
	if (kind == TO_H2) {
		h2_play_expect_data(to.theirs, payload);
		assert_false(to.theirs->has_end);
	} else {
		char chunk[64];

		snprintf(chunk, sizeof(chunk), "%zx\r\n%s\r\n", strlen(payload), payload);
		assert_got(kind == TO_PLAIN ? payload : chunk);
	}
}

TEST(a_reset_of_the_source_is_an_error_and_no_end)
{
	for (int sink = 0; sink < SINK_KINDS; sink++) {
		for (int how = 0; how < 2; how++) {
			scene_prepare();
			begin(from_open(H2_POST), sink_open((enum sink_kind)sink), &until_close,
			      sink == TO_CHUNKED ? ENCODE_CHUNKED : ENCODE_PLAIN);
			say("abc", 3);
			assert_int_equal(h2_play_turn(&from.play), 0);
			if (how == 0) {
				h2_stream_reset(from.theirs, H2_CANCEL);
				assert_int_equal(h2_play_turn(&from.play), 0);
			} else {
				h2_session_abort(from.play.server); /* the connection is gone */
			}
			turn(); /* what came before it is delivered */
			assert_int_equal(stage.relay.state, RELAY_FAILED);
			assert_int_equal(stage.relay.fail, RELAY_FAIL_SOURCE_ERROR);
			assert_int_equal(relay_source_error(&stage.relay), -ECONNRESET);
			assert_not_ended((enum sink_kind)sink, "abc");
			end();
		}
	}
}

TEST(a_body_that_is_not_as_announced_is_malformed)
{
	static const struct {
		const char *payload;
		const char *want;
	} table[] = { { "abc", "abc" }, { "abcdefgh", "" } };

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		scene_prepare();
		begin(from_open(H2_POST "content-length=5\n"), to_open(false), &until_close, ENCODE_PLAIN);
		say(table[i].payload, strlen(table[i].payload));
		say_end(NULL);
		turn();
		assert_int_equal(stage.relay.state, RELAY_FAILED);
		assert_int_equal(stage.relay.fail, RELAY_FAIL_SOURCE_BAD);
		assert_int_equal(stage.relay.decoder.http_error, HTTP_ERROR_LENGTH_MISMATCH);
		assert_not_ended(TO_H2, table[i].want);
		end();
	}
}

/* As in a chunked body: the message is not complete without them, and they are not to be believed. */
TEST(trailers_that_are_malformed_break_the_message)
{
	for (int sink = 0; sink < SINK_KINDS; sink++) {
		struct h2_head *head;

		scene_prepare();
		begin(from_open(H2_POST), sink_open((enum sink_kind)sink), &until_close,
		      sink == TO_CHUNKED ? ENCODE_CHUNKED : ENCODE_PLAIN);
		say("abc", 3);
		head = h2_head_of(H2_HEAD_TRAILERS, SPAN("x-sum=1\n"), true);
		/* A peer that does not check what it sends. */
		assert_int_equal(fields_add(&head->fields, SPAN("host"), SPAN("b")), 0);
		assert_int_equal(h2_stream_end(from.theirs, head), 0);
		turn();
		assert_int_equal(stage.relay.state, RELAY_FAILED);
		assert_int_equal(stage.relay.fail, RELAY_FAIL_SOURCE_BAD);
		assert_int_equal(stage.relay.decoder.http_error, HTTP_ERROR_TRAILER);
		assert_not_ended((enum sink_kind)sink, "abc");
		end();
	}
}

TEST(a_short_source_does_not_end_the_stream)
{
	static const struct body_framing ten = { .kind = BODY_LENGTH, .length = 10 };
	static const struct body_framing *const framings[] = { &ten, &chunked };
	static const char *const texts[] = { "abc", "3\r\nabc\r\n" };

	for (size_t i = 0; i < ARRAY_LEN(framings); i++) {
		scene_prepare();
		begin(of_conn(&stage.source), to_open(false), framings[i], ENCODE_PLAIN);
		put(span_str(texts[i]));
		source_end(FROM_CLOSE);
		turn();
		assert_int_equal(stage.relay.state, RELAY_FAILED);
		assert_int_equal(stage.relay.fail, RELAY_FAIL_SOURCE_SHORT);
		assert_not_ended(TO_H2, "abc");
		end();
	}
}

TEST(a_sink_that_is_reset_is_a_failure_of_the_sink)
{
	for (int source = FROM_H2; source <= FROM_LENGTH; source++) {
		for (int how = 0; how < 2; how++) {
			struct body_framing framing = framing_of((enum source_kind)source);
			struct relay_end source_end_of;

			scene_prepare();
			source_end_of = source_open((enum source_kind)source);
			begin(source_end_of, to_open(false), &framing, ENCODE_PLAIN);
			source_send((enum source_kind)source, SPAN("abc"));
			turn();
			assert_int_equal(stage.relay.state, RELAY_OPEN);
			if (how == 0) {
				h2_stream_reset(to.theirs, H2_REFUSED_STREAM);
				assert_int_equal(h2_play_turn(&to.play), 0);
			} else {
				h2_session_abort(to.play.client);
			}
			turn();
			assert_int_equal(stage.relay.state, RELAY_FAILED);
			assert_int_equal(stage.relay.fail, RELAY_FAIL_SINK);
			assert_int_equal(relay_sink_error(&stage.relay), -ECONNRESET);
			end();
		}
	}
}

/* RFC 9113 8.1: a server may answer and reset with NO_ERROR; the request has left already. */
TEST(a_reset_behind_our_end_is_no_failure)
{
	struct body_framing framing = length_of(3);

	scene_prepare();
	begin(of_conn(&stage.source), to_open(false), &framing, ENCODE_PLAIN);
	put(SPAN("abc"));
	pump();
	assert_int_equal(stage.relay.state, RELAY_FLUSH);
	assert_int_equal(h2_play_turn(&to.play), 0);
	h2_stream_reset(to.theirs, H2_NO_ERROR);
	assert_int_equal(h2_play_turn(&to.play), 0);
	assert_true(to.ours->is_reset);
	pump();
	assert_int_equal(stage.relay.state, RELAY_DONE);
	end();
}

/* ---- memory */

enum { RUNS = 40 };

struct supply {
	struct h2_stream *peers[RUNS];
	struct h2_stream *sources[RUNS];
	struct h2_stream *sinks[RUNS];
	int next;
};

/* A message that has arrived, to a stream that is open. */
static int relay_once(void *context)
{
	struct supply *supply = context;
	int run = supply->next++ % RUNS;
	struct h2_stream *sink = supply->sinks[run];
	enum relay_state state;
	enum relay_fail fail;

	relay_init(&stage.relay, &stage.shared, RELAY_IN);
	begin((struct relay_end){ .h2 = supply->sources[run] }, (struct relay_end){ .h2 = sink },
	      &until_close, ENCODE_PLAIN);
	replay_init(&stage.replay, &stage.counters, &stage.replay_bytes);
	stage.relay.replay = &stage.replay;
	relay_pump(&stage.relay, 2);
	state = stage.relay.state;
	fail = stage.relay.fail;
	relay_stop(&stage.relay);
	replay_drop(&stage.replay);
	if (state == RELAY_FLUSH) {
		assert_true(sink->is_end_queued);
		assert_non_null(sink->end_trailers);
		return 0;
	}
	assert_int_equal(state, RELAY_FAILED);
	return fail == RELAY_FAIL_MEMORY || fail == RELAY_FAIL_SINK ? -ENOMEM : -EINVAL;
}

TEST(each_allocation_may_fail)
{
	struct supply supply = { 0 };
	unsigned long count;

	scene_prepare();
	h2_play_begin_default(&from.play);
	h2_play_begin_default(&to.play);
	for (int i = 0; i < RUNS; i++) {
		from.theirs = h2_play_open(from.play.client, H2_POST, false);
		supply.peers[i] = from.theirs;
		say("abc", 3);
		say_end(TRAILERS_H2);
		assert_int_equal(h2_play_turn(&from.play), 0);
		supply.sources[i] = take_stream(from.play.server, NULL);
		assert_true(supply.sources[i]->has_end);
		supply.sinks[i] = h2_play_open(to.play.client, H2_POST, false);
	}
	count = alloc_fail_each(relay_once, &supply);
	assert_in_range(count, 4, RUNS - 1);
	from.theirs = NULL;
	for (int i = 0; i < RUNS; i++) {
		h2_stream_release(supply.peers[i], H2_CANCEL);
		h2_stream_release(supply.sources[i], H2_CANCEL);
		h2_stream_release(supply.sinks[i], H2_CANCEL);
	}
	h2_play_end(&from.play);
	h2_play_end(&to.play);
	scene_close();
}
