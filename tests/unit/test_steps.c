/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "tests/lib/test.h"
#include "user/client/client.h"
#include "user/stream/downstream.h"
#include "user/stream/step.h"
#include "user/phase/tunnel.h"

/* A stream without sockets: what a phase returns is all that happens. */
struct scene {
	struct counters counters;
	struct proxy proxy;
	struct proxy_bind bind;
	struct client client;
	struct exchange exchange;
	struct stream stream;
	int broken; /* what the client's side says of the client */
};

static struct scene scene;

static int check_client(struct stream *stream)
{
	(void)stream;
	return scene.broken;
}

static const struct downstream downstream = { .check = check_client };

static struct stream *fresh_stream(void)
{
	scene = (struct scene){ 0 };
	scene.proxy.counters = &scene.counters;
	scene.client.bind = &scene.bind;
	scene.stream.proxy = &scene.proxy;
	scene.stream.client = &scene.client;
	scene.stream.exchange = &scene.exchange;
	scene.stream.downstream = &downstream;
	return &scene.stream;
}

TEST(an_error_of_ours_is_an_answer_and_the_text_of_the_log)
{
	struct stream *stream = fresh_stream();

	assert_int_equal(step_reply(stream, 503, SPAN("no healthy backends"), END_NO_BACKEND), STEP_REPLY);
	assert_int_equal(stream->exchange->reply.status, 503);
	assert_int_equal(stream->exchange->reply.reason, END_NO_BACKEND);
	assert_true(span_eq(stream->exchange->reply.body, SPAN("no healthy backends")));
	assert_true(span_eq(stream->exchange->error, SPAN("no healthy backends")));
}

TEST(where_no_answer_can_follow_an_error_is_a_reset)
{
	struct stream *stream = fresh_stream();

	stream->head_sent = true;
	assert_int_equal(step_reply(stream, 504, SPAN("request timeout"), END_REQUEST_TIMEOUT), STEP_END);
	assert_int_equal(stream->ending_reason, END_REQUEST_TIMEOUT);
	assert_int_equal(stream->ending, STREAM_END_RESET);
	stream = fresh_stream();
	stream->is_tcp = true;
	stream->exchange = NULL;
	assert_int_equal(step_reply(stream, 503, SPAN("x"), END_CONNECT_REFUSED), STEP_END);
	assert_int_equal(stream->ending_reason, END_CONNECT_REFUSED);
}

TEST(a_rule_that_answers_is_no_error)
{
	struct stream *stream = fresh_stream();

	assert_int_equal(step_local_reply(stream, 301, (struct span){ 0 }, SPAN("/there")), STEP_REPLY);
	assert_int_equal(stream->exchange->reply.reason, END_LOCAL_REPLY);
	assert_true(span_eq(stream->exchange->reply.location, SPAN("/there")));
	assert_int_equal(stream->exchange->error.len, 0);
}

TEST(a_bad_request_is_answered_unless_its_stream_was_reset_for_it)
{
	struct stream *stream = fresh_stream();

	assert_int_equal(step_bad_request(stream, HTTP_ERROR_HEAD_LATE), STEP_REPLY);
	assert_int_equal(stream->exchange->reply.status, 408);
	assert_int_equal(stream->exchange->reply.reason, END_HEAD_TIMEOUT);
	assert_true(stream->close_client);
	stream = fresh_stream();
	scene.broken = -EPROTO;
	assert_int_equal(step_bad_request(stream, HTTP_ERROR_LENGTH_MISMATCH), STEP_END);
	assert_int_equal(stream->ending_reason, END_REQUEST_BAD);
	assert_int_equal(stream->ending, STREAM_END_RESET);
	assert_int_equal(counter_get(&scene.counters, COUNTER_BAD_REQUESTS), 1);
}

TEST(a_failed_attempt_is_told_with_its_error)
{
	struct stream *stream = fresh_stream();

	assert_int_equal(step_fail(stream, TRY_CONNECT_FAILED, -ECONNREFUSED), STEP_FAILED);
	assert_int_equal(stream->attempt.failed_outcome, TRY_CONNECT_FAILED);
	assert_int_equal(stream->attempt.failed_error, -ECONNREFUSED);
}

TEST(a_tunnel_from_a_port_that_was_removed_ends)
{
	struct stream *stream = fresh_stream();

	stream->is_tcp = true;
	assert_int_equal(tunnel_open(stream, (struct span){ 0 }), STEP_END);
	assert_int_equal(stream->ending_reason, END_NO_ROUTE);
}
