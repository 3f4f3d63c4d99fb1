/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/test.h"
#include "user/codec/codec.h"
#include "user/client/client.h"
#include "user/stream/attempt_hold.h"
#include "user/stream/attempt_wait.h"
#include "user/stream/deadline.h"
#include "user/driver/expire.h"
#include "user/stream/stream.h"

/* The two tables of states, walked in the same way. */
struct machine {
	unsigned int count;
	unsigned int first;
	unsigned int closed;
	bool (*allows)(unsigned int from, unsigned int to);
	const char *(*name)(unsigned int state);
};

static bool stream_allows(unsigned int from, unsigned int to)
{
	return stream_state_allows((enum stream_state)from, (enum stream_state)to);
}

static const char *stream_name(unsigned int state)
{
	return stream_state_name((enum stream_state)state);
}

static bool client_allows(unsigned int from, unsigned int to)
{
	return client_state_allows((enum client_state)from, (enum client_state)to);
}

static const char *client_name(unsigned int state)
{
	static const char *const names[] = {
#define CLIENT_STATE(id, name, action, next) name,
#include "user/client/client_states.def"
#undef CLIENT_STATE
	};

	return names[state];
}

static const struct machine machines[] = {
	{ STREAM_STATE_COUNT, STREAM_NEW, STREAM_CLOSED, stream_allows, stream_name },
	{ CLIENT_STATE_COUNT, CLIENT_IDLE, CLIENT_CLOSED, client_allows, client_name },
};

TEST(every_state_but_closed_has_a_way_to_closed_and_closed_has_none)
{
	for (size_t m = 0; m < ARRAY_LEN(machines); m++) {
		const struct machine *machine = &machines[m];

		for (unsigned int from = 0; from < machine->count; from++) {
			if (machine->allows(from, machine->closed) != (from != machine->closed))
				fail_msg("%s to %s", machine->name(from), machine->name(machine->closed));
			if (machine->allows(machine->closed, from))
				fail_msg("a way from closed to %s", machine->name(from));
		}
	}
}

/* A client that reads a PROXY header begins in that state: client_proxy_start() sets it at once. */
TEST(every_state_can_be_reached)
{
	for (size_t m = 0; m < ARRAY_LEN(machines); m++) {
		const struct machine *machine = &machines[m];
		unsigned int seen = 1u << machine->first | (machine->allows == client_allows)
								   << CLIENT_READ_PROXY;
		unsigned int before = 0;

		while (seen != before) {
			before = seen;
			for (unsigned int from = 0; from < machine->count; from++) {
				for (unsigned int to = 0; to < machine->count; to++) {
					if (seen >> from & 1 && machine->allows(from, to))
						seen |= 1u << to;
				}
			}
		}
		assert_int_equal(seen, (1u << machine->count) - 1);
	}
}

TEST(names_are_given_once)
{
	for (size_t m = 0; m < ARRAY_LEN(machines); m++) {
		const struct machine *machine = &machines[m];

		for (unsigned int a = 0; a < machine->count; a++) {
			assert_true(strlen(machine->name(a)) > 0);
			for (unsigned int b = 0; b < a; b++)
				assert_string_not_equal(machine->name(a), machine->name(b));
		}
	}
	for (unsigned int a = 1; a < DEADLINE_COUNT; a++) {
		assert_true(strlen(stream_deadline_name(a)) > 0);
		for (unsigned int b = 0; b < a; b++)
			assert_string_not_equal(stream_deadline_name(a), stream_deadline_name(b));
	}
}

/* ---- one stream without connections */

struct scene {
	struct proxy proxy;
	struct proxy_shared shared; /* without a keeper */
	struct counters counters;
	struct snapshot snapshot;
	struct lease lease;
	struct trace trace;
	struct exchange exchange;
	struct attempt_dial dial;
	struct attempt_wait wait;
	struct stream stream;
};

static void scene_open(struct scene *scene)
{
	struct timeouts_config *timeouts = &scene->snapshot.config.timeouts;
	struct stream *stream = &scene->stream;

	memset(scene, 0, sizeof(*scene));
	scene->proxy.loop = loop_create(16);
	assert_non_null(scene->proxy.loop);
	scene->proxy.shared = &scene->shared;
	scene->proxy.counters = &scene->counters;
	scene->proxy.trace = &scene->trace;
	scene->proxy.relay.counters = &scene->counters;
	scene->lease.snapshot = &scene->snapshot;
	timeouts->stream_idle_ns = 60000000000;
	timeouts->tunnel_idle_ns = 60000000000;
	timeouts->half_closed_ns = 60000000000;
	stream->proxy = &scene->proxy;
	stream->lease = &scene->lease;
	stream->exchange = &scene->exchange;
	stream->downstream = &downstream_codec_h1;
	scene->dial.deadline_ms = loop_now_ms(scene->proxy.loop) + 60000;
	scene->wait.deadline_ms = scene->dial.deadline_ms;
	stream->attempt.dial = &scene->dial;
	stream->attempt.wait = &scene->wait;
	stream->exchange->request_deadline_ms = loop_now_ms(scene->proxy.loop) + 60000;
	stream->exchange->reply_deadline_ms = stream->exchange->request_deadline_ms;
	stream->exchange->backoff_end_ms = stream->exchange->request_deadline_ms;
	relay_init(&stream->upload, &scene->proxy.relay, RELAY_IN);
	relay_init(&stream->download, &scene->proxy.relay, RELAY_OUT);
	timer_init(&stream->timer, expire_on_timer);
}

static void scene_close(struct scene *scene)
{
	timer_cancel(loop_timers(scene->proxy.loop), &scene->stream.timer);
	loop_free(scene->proxy.loop);
}

TEST(every_state_that_waits_has_a_deadline)
{
	static struct scene scene;
	uint64_t at_ms;

	scene_open(&scene);
	for (unsigned int i = 0; i < STREAM_STATE_COUNT; i++) {
		/* NEW is left in the turn that made it. */
		bool waits = i != STREAM_NEW && i != STREAM_CLOSED;

		scene.stream.state = (enum stream_state)i;
		if ((deadline_next(&scene.stream, &at_ms) != DEADLINE_NONE) != waits)
			fail_msg("%s", stream_state_name(scene.stream.state));
	}
	scene_close(&scene);
}

TEST(a_guard_waits_no_longer_than_the_limit_from_the_request_or_its_delay_on)
{
	static struct scene scene;
	struct stream *stream = &scene.stream;
	uint64_t at_ms;

	scene_open(&scene);
	stream->state = STREAM_GUARD;
	stream->start_ns = 5 * NS_PER_S;
	stream->exchange->request_deadline_ms = 0;
	assert_int_equal(deadline_next(stream, &at_ms), DEADLINE_GUARD);
	assert_int_equal(at_ms, 5000 + LIMIT_GUARD_MS);
	stream->exchange->delay_end_ms = 5000 + LIMIT_GUARD_MS + 1;
	assert_int_equal(deadline_next(stream, &at_ms), DEADLINE_GUARD);
	assert_int_equal(at_ms, 5000 + LIMIT_GUARD_MS + 1 + LIMIT_GUARD_MS);
	stream->exchange->request_deadline_ms = 5001;
	assert_int_equal(deadline_next(stream, &at_ms), DEADLINE_REQUEST);
	assert_int_equal(at_ms, 5001);
	scene_close(&scene);
}

TEST(the_nearest_deadline_of_a_state_counts)
{
	static struct scene scene;
	struct stream *stream = &scene.stream;
	uint64_t at_ms;

	scene_open(&scene);
	stream->state = STREAM_CONNECT;
	stream->exchange->request_deadline_ms = 5000;
	stream->exchange->try_deadline_ms = 4000;
	scene.dial.deadline_ms = 3000;
	assert_int_equal(deadline_next(stream, &at_ms), DEADLINE_CONNECT);
	assert_int_equal(at_ms, 3000);
	scene.dial.deadline_ms = 0;
	assert_int_equal(deadline_next(stream, &at_ms), DEADLINE_PER_TRY);
	stream->exchange->try_deadline_ms = 6000;
	assert_int_equal(deadline_next(stream, &at_ms), DEADLINE_REQUEST);
	assert_int_equal(at_ms, 5000);
	stream->state = STREAM_PENDING;
	scene.wait.deadline_ms = 5001;
	assert_int_equal(deadline_next(stream, &at_ms), DEADLINE_REQUEST);
	scene.wait.deadline_ms = 2999;
	assert_int_equal(deadline_next(stream, &at_ms), DEADLINE_PENDING);
	assert_int_equal(at_ms, 2999);
	stream->state = STREAM_BACKOFF;
	stream->exchange->backoff_end_ms = 4999;
	assert_int_equal(deadline_next(stream, &at_ms), DEADLINE_BACKOFF);
	stream->state = STREAM_DELAY;
	stream->exchange->delay_end_ms = 4998;
	assert_int_equal(deadline_next(stream, &at_ms), DEADLINE_DELAY);
	assert_int_equal(at_ms, 4998);
	stream->exchange->delay_end_ms = 5001;
	assert_int_equal(deadline_next(stream, &at_ms), DEADLINE_REQUEST);
	assert_int_equal(at_ms, 5000);
	scene_close(&scene);
}

/* How a child ended that sets one state after another. */
static int status_of_step(enum stream_state from, enum stream_state to)
{
	int status = -1;
	pid_t child = fork();

	if (child == 0) {
		struct rlimit no_core = { 0, 0 };
		static struct scene scene;

		setrlimit(RLIMIT_CORE, &no_core);
		if (!freopen("/dev/null", "w", stderr))
			_exit(2);
		/* A sanitizer's own handler would end with another status. */
		signal(SIGABRT, SIG_DFL);
		scene_open(&scene);
		scene.stream.state = from;
		stream_set_state(&scene.stream, to);
		_exit(scene.stream.state == to ? 0 : 1);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

TEST(the_setter_takes_legal_steps_and_dies_of_others)
{
	for (unsigned int from = 0; from < STREAM_STATE_COUNT; from++) {
		for (unsigned int to = 0; to < STREAM_STATE_COUNT; to++) {
			int status = status_of_step((enum stream_state)from, (enum stream_state)to);
			bool is_fine = WIFEXITED(status) && WEXITSTATUS(status) == 0;
			bool is_dead = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;

			if (stream_allows(from, to) ? !is_fine : !is_dead)
				fail_msg("%s to %s: wait status %#x", stream_name(from), stream_name(to),
					 (unsigned int)status);
		}
	}
}

TEST(the_setter_arms_and_cancels_the_timer)
{
	static struct scene scene;

	scene_open(&scene);
	stream_set_state(&scene.stream, STREAM_CONNECT);
	assert_true(timer_is_armed(&scene.stream.timer));
	assert_int_equal(scene.stream.deadline, DEADLINE_REQUEST);
	stream_set_state(&scene.stream, STREAM_CLOSED);
	assert_false(timer_is_armed(&scene.stream.timer));
	scene_close(&scene);
}
