/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/play.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "user/loop/signals.h"

struct watch {
	struct signals signals;
	struct loop *loop;
	int numbers[8];
	int count;
	int stop_at;
	bool stops_itself;
};

static void on_signal(struct signals *signals, int number)
{
	struct watch *watch = container_of(signals, struct watch, signals);

	watch->numbers[watch->count++] = number;
	if (watch->stops_itself)
		signals_stop(signals, watch->loop);
	if (watch->count == watch->stop_at)
		loop_stop(watch->loop);
}

static void watch_open(struct watch *watch)
{
	*watch = (struct watch){ .loop = loop_create(8) };
	assert_int_equal(signals_block(), 0);
	assert_int_equal(signals_start(&watch->signals, watch->loop, on_signal), 0);
}

static void watch_close(struct watch *watch)
{
	signals_stop(&watch->signals, watch->loop);
	signals_stop(&watch->signals, watch->loop);
	loop_free(watch->loop);
}

TEST(term_int_and_hup_become_events)
{
	static const int numbers[] = { SIGTERM, SIGINT, SIGHUP };

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		struct watch watch;

		watch_open(&watch);
		watch.stop_at = 1;
		kill(getpid(), numbers[i]);
		play(watch.loop);
		assert_int_equal(watch.numbers[0], numbers[i]);
		watch_close(&watch);
	}
}

TEST(several_at_once_are_all_told)
{
	struct watch watch;
	int seen = 0;

	watch_open(&watch);
	watch.stop_at = 3;
	kill(getpid(), SIGTERM);
	kill(getpid(), SIGINT);
	kill(getpid(), SIGHUP);
	play(watch.loop);
	for (int i = 0; i < 3; i++)
		seen |= 1 << watch.numbers[i];
	assert_int_equal(seen, 1 << SIGTERM | 1 << SIGINT | 1 << SIGHUP);
	watch_close(&watch);
}

TEST(the_callback_may_stop_it)
{
	struct watch watch;
	sigset_t left;
	int number;

	watch_open(&watch);
	watch.stop_at = 1;
	watch.stops_itself = true;
	kill(getpid(), SIGTERM);
	kill(getpid(), SIGINT);
	play(watch.loop);
	assert_int_equal(watch.count, 1);
	watch_close(&watch);
	/* The other one is still pending; it must not end the test program later. */
	sigemptyset(&left);
	sigaddset(&left, SIGTERM);
	sigaddset(&left, SIGINT);
	assert_int_equal(sigwait(&left, &number), 0);
	assert_true(number != watch.numbers[0]);
}

TEST(a_broken_pipe_is_no_signal)
{
	int fds[2];

	assert_int_equal(signals_block(), 0);
	assert_int_equal(pipe(fds), 0);
	close(fds[0]);
	assert_int_equal(write(fds[1], "x", 1), -1);
	assert_int_equal(errno, EPIPE);
	close(fds[1]);
}

static void *look_at_mask(void *argument)
{
	pthread_sigmask(SIG_SETMASK, NULL, argument);
	return NULL;
}

TEST(threads_started_later_inherit_the_block)
{
	pthread_t thread;
	sigset_t mask;

	assert_int_equal(signals_block(), 0);
	sigemptyset(&mask);
	assert_int_equal(pthread_create(&thread, NULL, look_at_mask, &mask), 0);
	pthread_join(thread, NULL);
	assert_int_equal(sigismember(&mask, SIGTERM), 1);
	assert_int_equal(sigismember(&mask, SIGINT), 1);
	assert_int_equal(sigismember(&mask, SIGHUP), 1);
	assert_int_equal(sigismember(&mask, SIGSEGV), 0);
}

TEST(a_full_loop_is_an_error_that_leaves_nothing)
{
	struct watch watch = { .loop = loop_create(0) };

	assert_int_equal(signals_start(&watch.signals, watch.loop, on_signal), -ENOSPC);
	signals_stop(&watch.signals, watch.loop);
	loop_free(watch.loop);
}
