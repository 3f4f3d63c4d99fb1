/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/play.h"

#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/lib/alloc.h"
#include "user/base/clock.h"
#include "user/base/limits.h"

/* A source that is readable from the begin and writes down when it was called. */
struct bell {
	struct loop_source source;
	struct loop *loop;
	unsigned int rings;
	unsigned int stop_at;
	uint32_t events;
	void (*then)(struct bell *bell);
	struct bell *other;
	struct loop_deferred *deferred;
	uint64_t now_ns;
};

static char journal[64]; /* one letter per thing that happened */

static void note(char c)
{
	size_t len = strlen(journal);

	if (len + 1 < sizeof(journal))
		journal[len] = c;
}

static void bell_on_event(struct loop_source *source, uint32_t events)
{
	struct bell *bell = container_of(source, struct bell, source);

	note('e');
	bell->rings++;
	bell->events = events;
	bell->now_ns = loop_now_ns(bell->loop);
	if (bell->then)
		bell->then(bell);
	if (bell->rings == bell->stop_at)
		loop_stop(bell->loop);
}

static void bell_open(struct bell *bell, struct loop *loop)
{
	int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);

	assert_true(fd >= 0);
	*bell = (struct bell){ .loop = loop };
	loop_source_init(&bell->source, fd, bell_on_event);
	assert_int_equal(loop_source_add(loop, &bell->source, EPOLLIN), 0);
}

static void bell_silence(struct bell *bell)
{
	uint64_t value;

	assert_int_equal(read(bell->source.fd, &value, sizeof(value)), sizeof(value));
}

static void bell_close(struct bell *bell)
{
	loop_source_remove(bell->loop, &bell->source);
	close(bell->source.fd);
}

/* How long the loop wanted to sleep in all: its call of the kernel goes through here. */
static uint64_t waits_ms;

int epoll_wait(int fd, struct epoll_event *events, int count, int timeout_ms)
{
	waits_ms += (uint64_t)timeout_ms;
	return epoll_pwait(fd, events, count, timeout_ms, NULL);
}

static struct loop *loop;

static int loop_make(void **state)
{
	(void)state;
	memset(journal, 0, sizeof(journal));
	loop = loop_create(1000);
	return loop ? 0 : -1;
}

static int loop_drop(void **state)
{
	(void)state;
	loop_free(loop);
	return 0;
}

#define TEST_CASE(name) TEST_WITH(name, loop_make, loop_drop)

TEST_CASE(a_readable_source_is_called_again_until_it_is_read)
{
	struct bell bell;
	uint64_t turn = loop_turn(loop), wakeups = loop_wakeups(loop);

	bell_open(&bell, loop);
	bell.stop_at = 3;
	play(loop);
	assert_int_equal(bell.rings, 3);
	assert_int_equal(bell.events, EPOLLIN);
	assert_int_equal(loop_turn(loop), turn + 3);
	assert_int_equal(loop_wakeups(loop), wakeups + 3);
	bell_silence(&bell);
	bell.stop_at = 0;
	play_for(loop, 10);
	assert_int_equal(bell.rings, 3);
	bell_close(&bell);
}

TEST_CASE(interest_can_be_changed_and_the_same_again_is_free)
{
	struct bell bell;

	bell_open(&bell, loop);
	assert_int_equal(loop_source_modify(loop, &bell.source, 0), 0);
	play_for(loop, 10);
	assert_int_equal(bell.rings, 0);
	assert_int_equal(loop_source_modify(loop, &bell.source, EPOLLOUT), 0);
	bell.stop_at = 1;
	play(loop);
	assert_int_equal(bell.events, EPOLLOUT);
	/* With the descriptor gone a call would fail: an equal interest makes none. */
	close(bell.source.fd);
	assert_int_equal(loop_source_modify(loop, &bell.source, EPOLLOUT), 0);
	assert_int_equal(loop_source_modify(loop, &bell.source, EPOLLIN), -EBADF);
	loop_source_remove(loop, &bell.source);
}

TEST_CASE(adding_fails_at_the_bound_and_for_bad_descriptors)
{
	struct loop *small = loop_create(1);
	struct bell bell, more;

	bell_open(&bell, small);
	more = (struct bell){ .loop = small };
	loop_source_init(&more.source, bell.source.fd, bell_on_event);
	assert_int_equal(loop_source_add(small, &more.source, EPOLLIN), -ENOSPC);
	assert_int_equal(more.source.handle, 0);
	loop_source_remove(small, &more.source);
	loop_source_remove(small, &bell.source);
	loop_source_remove(small, &bell.source);
	more.source.fd = 1 << 20;
	assert_int_equal(loop_source_add(small, &more.source, EPOLLIN), -EBADF);
	assert_int_equal(more.source.handle, 0);
	more.source.fd = bell.source.fd;
	assert_int_equal(loop_source_add(small, &more.source, EPOLLIN), 0);
	loop_source_remove(small, &more.source);
	close(bell.source.fd);
	loop_free(small);
}

static void close_other(struct bell *bell)
{
	bell_close(bell->other);
	bell->then = NULL;
	bell->other->then = NULL;
}

TEST_CASE(a_source_closed_earlier_in_the_turn_is_not_called)
{
	struct bell a, b;

	bell_open(&a, loop);
	bell_open(&b, loop);
	a.other = &b;
	b.other = &a;
	a.then = b.then = close_other;
	a.stop_at = b.stop_at = 1;
	play(loop);
	assert_int_equal(a.rings + b.rings, 1);
	bell_close(a.rings ? &a : &b);
}

static struct bell reborn;

/* The new source has the number of the closed one: only the handle tells them apart. */
static void close_other_and_reuse_its_number(struct bell *bell)
{
	int number = bell->other->source.fd;

	close_other(bell);
	bell_open(&reborn, bell->loop);
	assert_int_equal(reborn.source.fd, number);
}

TEST_CASE(an_event_of_a_closed_source_does_not_reach_its_successor)
{
	struct bell a, b;

	bell_open(&a, loop);
	bell_open(&b, loop);
	a.other = &b;
	b.other = &a;
	a.then = b.then = close_other_and_reuse_its_number;
	a.stop_at = b.stop_at = 1;
	play(loop);
	assert_int_equal(reborn.rings, 0);
	reborn.stop_at = 1;
	play(loop);
	assert_int_equal(reborn.rings, 1);
	bell_close(&reborn);
	bell_close(a.rings ? &a : &b);
}

TEST_CASE(more_events_than_one_turn_takes_are_served_in_the_next)
{
	enum { COUNT = LIMIT_EPOLL_EVENTS + 50 };
	static struct bell bells[COUNT];
	unsigned int served = 0;

	for (int i = 0; i < COUNT; i++) {
		bell_open(&bells[i], loop);
		bells[i].then = bell_close;
	}
	play_turn(loop);
	for (int i = 0; i < COUNT; i++)
		served += bells[i].rings;
	assert_int_equal(served, LIMIT_EPOLL_EVENTS);
	play_turn(loop);
	for (int i = 0; i < COUNT; i++)
		assert_int_equal(bells[i].rings, 1);
}

struct chore {
	struct loop_deferred deferred;
	struct loop *loop;
	char letter;
	unsigned int runs;
	unsigned int again_until;
	bool stops;
	struct chore *next;
};

static void chore_run(struct loop_deferred *deferred)
{
	struct chore *chore = container_of(deferred, struct chore, deferred);

	note(chore->letter);
	if (++chore->runs < chore->again_until)
		loop_again(chore->loop, &chore->deferred);
	if (chore->stops)
		loop_stop(chore->loop);
	if (chore->next)
		loop_defer(chore->loop, &chore->next->deferred);
}

static void chore_init(struct chore *chore, char letter)
{
	*chore = (struct chore){ .loop = loop, .letter = letter };
	loop_deferred_init(&chore->deferred, chore_run);
}

static void defer_three_times(struct bell *bell)
{
	for (int i = 0; i < 3; i++)
		loop_defer(bell->loop, bell->deferred);
}

static void note_timer(struct timer *timer, uint64_t now_ms)
{
	(void)timer;
	(void)now_ms;
	note('t');
}

TEST_CASE(a_turn_is_again_events_timers_deferred)
{
	struct chore at_end, next_turn, chained;
	struct timer timer;
	struct bell bell;

	play_for(loop, 0);
	memset(journal, 0, sizeof(journal));
	bell_open(&bell, loop);
	chore_init(&at_end, 'd');
	chore_init(&next_turn, 'a');
	chore_init(&chained, 'c');
	at_end.next = &chained;
	bell.deferred = &at_end.deferred;
	bell.then = defer_three_times;
	bell.stop_at = 1;
	timer_init(&timer, note_timer);
	timer_arm(loop_timers(loop), &timer, loop_now_ms(loop) + 2);
	usleep(5000);
	loop_again(loop, &next_turn.deferred);
	loop_again(loop, &next_turn.deferred);
	play(loop);
	assert_string_equal(journal, "aetdc");
	bell_close(&bell);
}

static void ask_soon(struct bell *bell)
{
	loop_defer(bell->loop, bell->deferred);
	loop_soon(bell->loop, bell->deferred);
	loop_soon(bell->loop, bell->deferred);
}

TEST_CASE(urgent_work_is_done_before_the_next_event)
{
	struct chore urgent, late;
	struct bell first, second;

	bell_open(&first, loop);
	bell_open(&second, loop);
	chore_init(&urgent, 'u');
	chore_init(&late, 'd');
	first.deferred = &urgent.deferred;
	first.then = ask_soon;
	second.stop_at = 1;
	urgent.next = &late;
	play(loop);
	assert_string_equal(journal, "eued");
	bell_close(&first);
	bell_close(&second);
}

static void ask_soon_at_the_end(struct loop_deferred *deferred)
{
	struct chore *chore = container_of(deferred, struct chore, deferred);

	note(chore->letter);
	loop_soon(chore->loop, &chore->next->deferred);
}

TEST_CASE(urgent_work_of_the_end_of_a_turn_does_not_wait_for_another)
{
	struct chore asks, urgent;
	uint64_t turn = loop_turn(loop);

	chore_init(&asks, 'd');
	chore_init(&urgent, 'u');
	loop_deferred_init(&asks.deferred, ask_soon_at_the_end);
	asks.next = &urgent;
	urgent.stops = true;
	loop_defer(loop, &asks.deferred);
	play(loop);
	assert_string_equal(journal, "du");
	assert_int_equal(loop_turn(loop), turn + 1);
}

TEST_CASE(work_for_the_next_turn_does_not_starve_the_rest)
{
	struct chore busy;
	struct bell bell;

	bell_open(&bell, loop);
	chore_init(&busy, 'a');
	busy.again_until = 1000000;
	loop_again(loop, &busy.deferred);
	bell.stop_at = 5;
	play(loop);
	assert_int_equal(busy.runs, 5);
	assert_string_equal(journal, "aeaeaeaeae");
	loop_deferred_cancel(&busy.deferred);
	bell_close(&bell);
}

TEST_CASE(work_for_the_next_turn_does_not_wait)
{
	struct chore chore;
	uint64_t start_ms = clock_now_ms();

	chore_init(&chore, 'a');
	chore.again_until = 3;
	loop_again(loop, &chore.deferred);
	play_for(loop, 200);
	assert_int_equal(chore.runs, 3);
	assert_int_equal(loop_turn(loop) <= 8, 1);
	assert_true(clock_now_ms() - start_ms >= 199);
}

TEST_CASE(work_put_off_before_the_first_turn_does_not_wait)
{
	struct chore chore;

	chore_init(&chore, 'd');
	loop_defer(loop, &chore.deferred);
	chore.stops = true;
	waits_ms = 0;
	play(loop);
	assert_int_equal(chore.runs, 1);
	assert_int_equal(waits_ms, 0);
}

TEST_CASE(work_asked_for_twice_is_done_once_in_its_first_place)
{
	struct chore a, b;

	chore_init(&a, 'a');
	chore_init(&b, 'b');
	loop_again(loop, &a.deferred);
	loop_again(loop, &b.deferred);
	loop_again(loop, &a.deferred);
	play_for(loop, 10);
	assert_string_equal(journal, "ab");
	loop_defer(loop, &b.deferred);
	loop_defer(loop, &a.deferred);
	loop_defer(loop, &b.deferred);
	play_for(loop, 10);
	assert_string_equal(journal, "abba");
}

TEST_CASE(cancelled_work_is_not_done_and_the_loop_does_what_is_left_at_its_end)
{
	struct chore cancelled, left;
	struct loop *short_lived = loop_create(1);

	chore_init(&cancelled, 'x');
	chore_init(&left, 'l');
	loop_defer(short_lived, &cancelled.deferred);
	loop_defer(short_lived, &left.deferred);
	loop_deferred_cancel(&cancelled.deferred);
	loop_deferred_cancel(&cancelled.deferred);
	loop_free(short_lived);
	assert_string_equal(journal, "l");
	loop_free(NULL);
}

struct alarm {
	struct timer timer;
	uint64_t armed_ns;
	uint64_t fired_ns;
};

static void alarm_fire(struct timer *timer, uint64_t now_ms)
{
	struct alarm *alarm = container_of(timer, struct alarm, timer);

	assert_true(now_ms >= timer->deadline_ms);
	alarm->fired_ns = clock_now_ns();
	loop_stop(loop);
}

TEST_CASE(timers_fire_on_time_as_the_clock_sees_it)
{
	for (uint64_t ms = 1; ms < 60; ms += 7) {
		struct alarm alarm;

		play_for(loop, 0);
		timer_init(&alarm.timer, alarm_fire);
		timer_arm(loop_timers(loop), &alarm.timer, loop_now_ms(loop) + ms);
		alarm.armed_ns = loop_now_ns(loop);
		play(loop);
		assert_in_range(alarm.fired_ns - alarm.armed_ns, ms * 1000000, (ms + 10000) * 1000000);
	}
}

/* Armed late in a millisecond, in a loop that never waits: what was left of it does not count. */
TEST_CASE(a_timer_armed_late_in_a_millisecond_is_not_early)
{
	for (int round = 0; round < 20; round++) {
		struct alarm alarm;
		struct bell bell;

		bell_open(&bell, loop);
		bell.stop_at = 1;
		while (clock_now_ns() % 1000000 < 900000)
			;
		play(loop);
		timer_init(&alarm.timer, alarm_fire);
		timer_arm(loop_timers(loop), &alarm.timer, loop_now_ms(loop) + 3);
		alarm.armed_ns = bell.now_ns;
		play(loop);
		assert_true(alarm.fired_ns >= alarm.armed_ns + 3 * 1000000);
		bell_close(&bell);
	}
}

static void be_slow(struct bell *bell)
{
	uint64_t before = loop_now_ns(bell->loop);

	usleep(3000);
	assert_true(loop_now_ns(bell->loop) == before);
	assert_true(loop_now_ms(bell->loop) == before / 1000000);
}

TEST_CASE(the_time_stands_still_within_a_turn_and_catches_up_in_the_next)
{
	struct bell bell;
	uint64_t first_ns;

	bell_open(&bell, loop);
	bell.then = be_slow;
	bell.stop_at = 1;
	play(loop);
	first_ns = bell.now_ns;
	bell.stop_at = 2;
	play(loop);
	assert_true(bell.now_ns >= first_ns + 3000000);
	bell_close(&bell);
}

static void on_alarm_signal(int number)
{
	(void)number;
}

TEST_CASE(a_signal_does_not_end_the_loop)
{
	struct sigaction action = { .sa_handler = on_alarm_signal }, before;
	struct itimerval often = { { 0, 2000 }, { 0, 2000 } }, off = { { 0, 0 }, { 0, 0 } };
	uint64_t start_ms = clock_now_ms();

	sigaction(SIGALRM, &action, &before);
	setitimer(ITIMER_REAL, &often, NULL);
	play_for(loop, 50);
	setitimer(ITIMER_REAL, &off, NULL);
	sigaction(SIGALRM, &before, NULL);
	assert_true(clock_now_ms() - start_ms >= 49);
}

static int make_loop(void *context)
{
	struct loop *made = loop_create(8);
	struct bell bell;

	(void)context;
	if (!made)
		return -ENOMEM;
	bell = (struct bell){ .loop = made };
	loop_source_init(&bell.source, eventfd(0, EFD_CLOEXEC), bell_on_event);
	if (loop_source_add(made, &bell.source, EPOLLIN) < 0) {
		close(bell.source.fd);
		loop_free(made);
		return -ENOMEM;
	}
	bell_close(&bell);
	loop_free(made);
	return 0;
}

TEST_CASE(each_allocation_may_fail)
{
	assert_true(alloc_fail_each(make_loop, NULL) >= 3);
}
