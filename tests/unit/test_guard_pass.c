/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "policy/guard/guard.h"
#include "tests/lib/test.h"
#include "user/client/client.h"
#include "user/driver/expire.h"
#include "user/obs/requests.h"
#include "user/phase/guard.h"

/* A stream without sockets, and guards that answer as a test says. */
static struct scene {
	struct proxy proxy;
	struct proxy_shared shared;
	struct counters counters;
	struct snapshot snapshot;
	struct lease lease;
	struct trace trace;
	struct client client;
	struct exchange exchange;
	struct stream stream;
} scene;

/* The object of a guard: its verdict, and how often it was asked. */
struct opinion {
	int verdict;
	unsigned int asked;
	const char *field;
};

static int check_opinion(const void *object, const struct guard_facts *facts, struct guard_answer *answer)
{
	struct opinion *opinion = (struct opinion *)object;

	assert_ptr_equal(facts->head, &scene.exchange.head);
	opinion->asked++;
	answer->status = 403;
	answer->body = SPAN("no");
	if (opinion->field)
		assert_int_equal(fields_set(&answer->fields, span_str(opinion->field), SPAN("x")), 0);
	return opinion->verdict;
}

static const struct guard_kind kind = { .name = "fake", .reason = END_REQUEST_BAD, .check = check_opinion };

static int open_scene(void **state)
{
	(void)state;
	memset(&scene, 0, sizeof(scene));
	scene.proxy.loop = loop_create(16);
	assert_non_null(scene.proxy.loop);
	scene.proxy.shared = &scene.shared;
	scene.proxy.counters = &scene.counters;
	scene.proxy.trace = &scene.trace;
	scene.proxy.metrics = request_metrics_create();
	assert_non_null(scene.proxy.metrics);
	scene.lease.snapshot = &scene.snapshot;
	scene.stream.proxy = &scene.proxy;
	scene.stream.client = &scene.client;
	scene.stream.lease = &scene.lease;
	scene.stream.exchange = &scene.exchange;
	arena_init(&scene.exchange.arena, 1024);
	timer_init(&scene.stream.timer, expire_on_timer);
	return 0;
}

static int close_scene(void **state)
{
	(void)state;
	timer_cancel(loop_timers(scene.proxy.loop), &scene.stream.timer);
	arena_done(&scene.exchange.arena);
	request_metrics_free(scene.proxy.metrics);
	loop_free(scene.proxy.loop);
	return 0;
}

#define SCENE_TEST(name) TEST_WITH(name, open_scene, close_scene)

static bool pass(struct opinion *first, struct opinion *second, enum stream_step *ret_step)
{
	struct guard_use uses[] = { { &kind, first, SPAN("default/one"), NULL },
				    { &kind, second, SPAN("default/two"), NULL } };
	const struct guard_list list = { uses, 2 };

	return guard_pass(&scene.stream, &list, ret_step);
}

SCENE_TEST(all_guards_of_a_list_pass_and_leave_their_fields)
{
	struct opinion first = { .verdict = GUARD_PASS, .field = "a" },
		       second = { .verdict = GUARD_PASS, .field = "b" };
	enum stream_step step = STEP_COUNT;

	assert_true(pass(&first, &second, &step));
	assert_int_equal(step, STEP_COUNT);
	assert_int_equal(scene.exchange.guard_fields.count, 2);
	/* The guards of the other phase begin with the first one. */
	assert_true(pass(&first, &second, &step));
	assert_int_equal(first.asked, 2);
}

SCENE_TEST(a_refusal_is_the_response_with_its_rule_in_log_and_metric)
{
	struct opinion first = { .verdict = GUARD_REFUSE }, second = { .verdict = GUARD_PASS };
	const struct series_table *table = request_metrics_table(scene.proxy.metrics);
	const struct series *series;
	enum stream_step step;

	assert_false(pass(&first, &second, &step));
	assert_int_equal(step, STEP_REPLY);
	assert_int_equal(second.asked, 0);
	assert_int_equal(scene.exchange.reply.status, 403);
	assert_int_equal(scene.exchange.reply.reason, END_REQUEST_BAD);
	assert_true(span_eq(scene.exchange.reply.body, SPAN("no")));
	assert_true(span_eq(scene.exchange.error, SPAN("no (fake of default/one)")));
	series = series_table_at(table, series_table_count(table) - 1);
	assert_true(span_eq(series->labels[LABEL_OF_RULE], SPAN("default/one")));
}

SCENE_TEST(a_guard_that_cannot_decide_refuses)
{
	static const int errors[] = { -ENOMEM, -EIO, -1, 77 };

	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		struct opinion first = { .verdict = errors[i] }, second = { .verdict = GUARD_PASS };
		enum stream_step step;

		assert_false(pass(&first, &second, &step));
		assert_int_equal(step, STEP_REPLY);
		assert_int_equal(scene.exchange.reply.status, 500);
		assert_int_equal(second.asked, 0);
		scene.exchange.guards_passed = 0;
	}
}

SCENE_TEST(a_guard_that_waits_is_asked_again_and_those_before_it_are_not)
{
	struct opinion first = { .verdict = GUARD_PASS }, second = { .verdict = GUARD_WAIT };
	enum stream_step step;

	for (unsigned int i = 1; i < 4; i++) {
		assert_false(pass(&first, &second, &step));
		assert_int_equal(step, STEP_WAIT);
		assert_int_equal(scene.stream.state, STREAM_GUARD);
		assert_int_equal(first.asked, 1);
		assert_int_equal(second.asked, i);
	}
	second.verdict = GUARD_PASS;
	assert_true(pass(&first, &second, &step));
	assert_int_equal(first.asked, 1);
}
