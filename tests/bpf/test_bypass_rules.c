/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each rule of connections that bypass TCP twice: kept, the claim holds; broken, it does not. The broken
 * programs are local_broken.bpf.c, the broken user space is compiled into this file.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "gen/local_broken.skel.h"
#include "tests/bpf/actor.h"
#include "tests/bpf/broken.h"
#include "tests/bpf/bypass_rig.h"
#include "tests/bpf/local_rig.h"
#include "tests/lib/test.h"

static uint32_t broken;
#define SOCKMAP_BROKEN(rule) (broken & (rule))
#include "user/kernel/local/bypass.c"
#include "user/kernel/local/local_worker.c"

struct scene {
	struct local *local;
	struct bypass_pair pair;
};

/* ---------------------------------------------------------------------------------------- scenarios */

static bool says(int fd, const char *text)
{
	char bytes[64] = "";
	size_t done = 0, len = strlen(text);

	for (int i = 0; i < rig_patience_ms(50) && done < len; i++) {
		ssize_t got = recv(fd, bytes + done, len - done, MSG_DONTWAIT);

		if (got > 0)
			done += (size_t)got;
		else
			usleep(1000);
	}
	return done == len && memcmp(bytes, text, len) == 0;
}

/* What was sent before it bypassed TCP waits in TCP's queue, and is read second. */
static bool scenario_order(struct scene *s)
{
	assert_int_equal(send(s->pair.app, "first ", 6, 0), 6);
	pair_start(&s->pair);
	assert_int_equal(send(s->pair.app, "second", 6, 0), 6);
	return says(s->pair.own, "first second");
}

/* As conn_send_now() does. */
static void send_on(struct scene *s, const char *text)
{
	size_t len = strlen(text);
	ssize_t sent = send(s->pair.own, text, len, MSG_NOSIGNAL);

	if (sent < 0 && bypass_leave(&s->pair.bypass))
		sent = send(s->pair.own, text, len, MSG_NOSIGNAL);
	assert_int_equal(sent, len);
}

/* The same, the other way. */
static bool scenario_order_out(struct scene *s)
{
	assert_int_equal(send(s->pair.own, "first ", 6, 0), 6);
	pair_start(&s->pair);
	send_on(s, "second");
	return says(s->pair.app, "first second");
}

/* An application that asks how much it may read is told of what came through TCP, too. */
static bool scenario_asks(struct scene *s)
{
	int unread = 0;

	assert_int_equal(send(s->pair.own, "first ", 6, 0), 6);
	pair_start(&s->pair);
	send_on(s, "second");
	for (int i = 0; i < rig_patience_ms(50) && unread < 12; i++) {
		assert_int_equal(ioctl(s->pair.app, FIONREAD, &unread), 0);
		usleep(1000);
	}
	return unread == 12 && says(s->pair.app, "first second");
}

static bool scenario_room(struct scene *s)
{
	pair_start(&s->pair);
	return pair_fill(s->pair.app, 1, 0, 64 << 20) < 32 << 20;
}

/*
 * Single bytes to a receiver that sleeps cost as many messages as its limit allows; after it has read them,
 * others follow, and all arrive.
 */
static bool scenario_small(struct scene *s)
{
	struct bypass_pair *p = &s->pair;
	uint64_t sent, first;

	pair_start(p);
	for (sent = 0; sent < 1000; sent++)
		pair_send(p->app, 1, sent, 1);
	first = bypass_received_bytes(&p->bypass);
	assert_true(pair_expect(p->own, 1, 0, sent));
	pair_send(p->app, 1, sent++, 1);
	assert_true(pair_expect(p->own, 1, sent - 1, 1));
	return first > 0 && first <= 65536 / LOCAL_MESSAGE_BYTES + 1 &&
	       bypass_received_bytes(&p->bypass) == first + 1;
}

/* The same from the gateway, which is refused, and told when the queue is empty. */
static bool scenario_small_out(struct scene *s)
{
	struct bypass_pair *p = &s->pair;
	uint64_t sent = 0, read;

	pair_start(p);
	while (sent < 1000) {
		char byte = (char)sent;

		if (send(p->own, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL) != 1)
			break;
		sent++;
	}
	if (sent != 65536 / LOCAL_MESSAGE_BYTES + 1 || bypass_refusals(&p->bypass) != 1)
		return false;
	bypass_wait(&p->bypass);
	for (read = 0; read < sent; read++) {
		char byte;

		local_worker_poll(p->worker);
		assert_true(bypass_waits(&p->bypass));
		assert_int_equal(recv(p->app, &byte, 1, MSG_DONTWAIT), 1);
		assert_int_equal(byte, (char)read);
	}
	local_worker_poll(p->worker);
	return !bypass_waits(&p->bypass) && send(p->own, "x", 1, MSG_DONTWAIT) == 1 && says(p->app, "x");
}

/* Both queues have bytes behind one edge; the reader stops where recv() was short and it may. */
static bool scenario_empty(struct scene *s)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	struct bypass_pair *p = &s->pair;
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	uint64_t sent, read_bytes = 0;
	static char memory[1 << 20];

	pair_start(p);
	assert_int_equal(recv(p->own, memory, 1, MSG_DONTWAIT), -1);
	bypass_note_empty(&p->bypass, bypass_passed(&p->bypass));
	assert_int_equal(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, p->own, &event), 0);
	/* Beyond the bound of the queue: what comes then goes through TCP. So little of it is one segment. */
	sent = 2 * 65536 + 100;
	pair_send(p->app, 1, 0, sent);
	for (int i = 0; i < PAIR_WAIT_MS && !(bypass_passed(&p->bypass) && bypass_received_bytes(&p->bypass));
	     i++)
		usleep(1000);
	assert_true(bypass_passed(&p->bypass) > 0 && bypass_received_bytes(&p->bypass) > 0);
	while (read_bytes < sent && epoll_wait(epoll_fd, &event, 1, rig_patience_ms(50)) == 1) {
		for (bool goes_on = true; goes_on;) {
			uint64_t passed = bypass_passed(&p->bypass);
			ssize_t got = recv(p->own, memory, sizeof(memory), MSG_DONTWAIT);

			if (got < 0)
				bypass_note_empty(&p->bypass, passed);
			if (got > 0)
				read_bytes += (uint64_t)got;
			goes_on = got > 0 && !bypass_is_empty(&p->bypass, passed);
		}
	}
	close(epoll_fd);
	return read_bytes == sent;
}

/* Nobody is told by a count that nothing waits, as long as something does in either queue. */
static bool scenario_drained(struct scene *s)
{
	struct bypass_pair *p = &s->pair;
	uint64_t sent = 2 * 65536 + 100, hopped;
	bool is_hidden;

	pair_start(p);
	assert_false(bypass_is_drained(&p->bypass, 0));
	bypass_note_before(&p->bypass, 0);
	bypass_note_silent(&p->bypass, bypass_look(&p->bypass, 0));
	assert_true(bypass_is_drained(&p->bypass, 0));
	pair_send(p->app, 1, 0, sent);
	hopped = bypass_received_bytes(&p->bypass);
	assert_true(hopped > 0 && hopped < sent);
	is_hidden = bypass_is_drained(&p->bypass, 0);
	assert_true(pair_expect(p->own, 1, 0, hopped));
	is_hidden = is_hidden || bypass_is_drained(&p->bypass, hopped);
	assert_true(pair_expect(p->own, 1, hopped, sent - hopped));
	/* Some of it went through TCP: the kernel is to be asked first. */
	is_hidden = is_hidden || bypass_is_drained(&p->bypass, sent);
	bypass_note_silent(&p->bypass, bypass_look(&p->bypass, sent));
	return !is_hidden && bypass_is_drained(&p->bypass, sent);
}

/* The gateway closes what it has not read: the application is to know. */
static bool scenario_unread(struct scene *s)
{
	pair_start(&s->pair);
	pair_send(s->pair.app, 1, 0, 1000);
	pair_close_own(&s->pair);
	return strcmp(pair_next(s->pair.app), "reset") == 0;
}

/* As if the kernel had lost a message: its sender has counted it. */
static bool scenario_end(struct scene *s)
{
	struct bypass_pair *p = &s->pair;

	pair_start(p);
	pair_send(p->app, 1, 0, 1000);
	assert_true(pair_expect(p->own, 1, 0, 1000));
	__atomic_fetch_add(&p->bypass.in->kernel.lane_bytes[LOCAL_LANE_BYPASS], 500, __ATOMIC_RELAXED);
	shutdown(p->app, SHUT_WR);
	assert_string_equal(pair_next(p->own), "end");
	return bypass_end(&p->bypass, p->own, 1000) == -EBADMSG &&
	       bypass_stats(&p->bypass).reason == LOCAL_REASON_INTEGRITY_LOST;
}

/* A stale entry of a socket whose slot belongs to another connection by now. */
static bool scenario_recycled_slot(struct scene *s)
{
	struct bypass_pair *p = &s->pair, other;
	struct local_handle stale;
	uint64_t cookie;
	char byte;
	bool is_safe;

	pair_start(p);
	stale = p->bypass.in_slot;
	cookie = p->bypass.far_cookie;
	bypass_stop(&p->bypass);
	assert_int_equal(
		bpf_map_update_elem(s->local->map_fds[LOCAL_MAP_BYPASS_OF], &cookie, &stale, BPF_ANY), 0);
	/* Next, and rested. */
	s->local->free_slots[s->local->free_first] = (struct local_free_slot){ .index = stale.index };
	pair_open(s->local, &other, &(struct bypass_pair_options){ 0 });
	assert_int_equal(other.bypass.in_slot.index, stale.index);
	assert_int_equal(send(p->app, "secret", 6, 0), 6);
	usleep(20000);
	is_safe = recv(other.own, &byte, 1, MSG_DONTWAIT) < 0 && says(p->own, "secret");
	pair_close(&other);
	return is_safe;
}

/* What bypassed TCP and was not forwarded is overtaken by a direction that does not know of it. */
static bool scenario_position(struct scene *s)
{
	struct local_tunnel_options options = { 0 };
	struct local_direction_options start;
	struct bypass front = { 0 };
	struct local_worker *worker;
	struct local_tunnel t;
	bool is_right;

	tunnel_open(s->local, &t, &options);
	assert_int_equal(local_worker_create(s->local, &worker), 0);
	assert_int_equal(bypass_start(&front, worker, t.front), 0);
	assert_int_equal(send(t.client, "first ", 6, 0), 6);
	start = (struct local_direction_options){ .source_fd = t.front,
						  .target_fd = t.back,
						  .source_bypasses = true };
	assert_int_equal(local_direction_start(&t.up.direction, s->local, &start), 0);
	assert_int_equal(send(t.client, "second", 6, 0), 6);
	/* From here on the gateway works. */
	tunnel_run_for(&t, 50);
	is_right = says(t.server, "first second");
	tunnel_close(&t);
	bypass_stop(&front);
	local_worker_free(worker);
	return is_right;
}

/* The application's turn: at an edge it reads until a read is short. Bytes that it has now. */
static uint64_t edge_read(int epoll_fd, int fd, uint64_t got)
{
	static char memory[1 << 20];
	struct epoll_event event;
	ssize_t len = sizeof(memory);

	if (epoll_wait(epoll_fd, &event, 1, 10) == 1)
		while (len == sizeof(memory)) {
			len = recv(fd, memory, sizeof(memory), MSG_DONTWAIT);
			got += len > 0 ? (uint64_t)len : 0;
		}
	return got;
}

/* Edge-triggered, and a short read is the last one: epoll(7) allows that. */
static bool scenario_short_reads(struct scene *s)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	static const char piece[20000];
	uint64_t want = 6 * sizeof(piece), sent = 0, got = 0;
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

	pair_start(&s->pair);
	assert_int_equal(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, s->pair.app, &event), 0);
	for (int i = 0; i < rig_patience_ms(50) && got < want; i++) {
		ssize_t len = 1;

		while (len > 0 && sent < want) {
			len = send(s->pair.own, piece, sizeof(piece), MSG_DONTWAIT | MSG_NOSIGNAL);
			sent += len > 0 ? (uint64_t)len : 0;
			if (len < 0 && bypass_refusals(&s->pair.bypass) && !bypass_waits(&s->pair.bypass)) {
				bypass_wait(&s->pair.bypass);
				len = 1;
			}
		}
		got = edge_read(epoll_fd, s->pair.app, got);
		local_worker_poll(s->pair.worker);
	}
	close(epoll_fd);
	return got == want;
}

/* ---------------------------------------------------------------------------------------- rules */

struct rule {
	const char *name;
	uint32_t bit;
	bool (*scenario)(struct scene *scene);
	uint32_t receiver_bytes; /* 0: the default */
	uint32_t always; /* broken in both */
};

static bool rule_holds(const struct rule *rule, uint32_t broken_now)
{
	struct local_options options = { .direction_count = 64,
					 .receiver_bytes = rule->receiver_bytes,
					 .override = { .before_load = rig_break, .arg = &broken } };
	struct bypass_pair_options late = { .is_late = true };
	struct scene scene = { 0 };
	bool holds;

	broken = broken_now | rule->always;
	options.override.elf = local_broken_bpf__elf_bytes(&options.override.elf_bytes);
	rig_is_impatient = broken_now != 0;
	scene.local = local_rig_load(&options);
	pair_open(scene.local, &scene.pair, &late);
	holds = rule->scenario(&scene);
	pair_close(&scene.pair);
	local_free(scene.local);
	rig_is_impatient = false;
	broken = 0;
	return holds;
}

static void check_rule(void **state)
{
	const struct rule *rule = *state;

	assert_true(rule_holds(rule, 0));
	if (rule_holds(rule, rule->bit))
		fail_msg("the rule \"%s\" was off and nobody noticed", rule->name);
}

static struct rule rules[] = {
	{ "TCP bytes are read before others bypass TCP", LOCAL_BREAK_UNREAD, scenario_order, 0, 0 },
	{ "the same from the gateway", LOCAL_BREAK_UNREAD, scenario_order_out, 0, 0 },
	{ "whoever gets bytes through TCP has left the map", BYPASS_BREAK_LEAVE, scenario_asks, 0, 0 },
	{ "a receiver's queue is bounded", LOCAL_BREAK_RECEIVER, scenario_room, 65536, 0 },
	{ "a queued message costs more than its bytes", LOCAL_BREAK_SMALL, scenario_small, 65536, 0 },
	{ "the same from the gateway", LOCAL_BREAK_SMALL, scenario_small_out, 65536, 0 },
	{ "a short read is the last one when TCP has nothing", BYPASS_BREAK_EMPTY, scenario_empty, 65536, 0 },
	{ "what was counted and not read waits", BYPASS_BREAK_DRAINED, scenario_drained, 65536, 0 },
	{ "who closes what was not read says so", BYPASS_BREAK_UNREAD, scenario_unread, 0, 0 },
	{ "an end with bytes missing is no end", BYPASS_BREAK_END, scenario_end, 0, 0 },
	/* Positions would tell most of them apart, too. */
	{ "a recycled slot is inert", LOCAL_BREAK_GENERATION, scenario_recycled_slot, 0, LOCAL_BREAK_UNREAD },
	{ "nothing is put behind an unread queue", BYPASS_BREAK_WAIT, scenario_short_reads, 65536, 0 },
	{ "what bypassed TCP is part of the position of its sender", BYPASS_BREAK_COUNT, scenario_position, 0,
	  0 },
};

/* test_bypass_rules [pattern] */

TEST_ROWS(check_rule, rules);

/* A reader that empties its queue just as a message is refused keeps the connection in the lane. */
TEST(a_reader_that_keeps_up_stays_in_the_lane)
{
	enum { BYTES = 600 * 1000 };
	struct local *local =
		local_rig_load(&(struct local_options){ .direction_count = 64, .receiver_bytes = 65536 });
	struct actor reader = { 0 };
	struct bypass_pair pair;

	pair_open(local, &pair, &(struct bypass_pair_options){ 0 });
	set_blocking(pair.app, true);
	actor_read(&reader, pair.app, 7, BYTES, 100000);
	for (uint64_t at = 0; at < BYTES; at++)
		pair_send(pair.own, 7, at, 1);
	actor_join(&reader);
	assert_int_equal(reader.wrong_at, -1);
	assert_int_equal(reader.done, BYTES);
	assert_false(pair.bypass.has_left);
	pair_close(&pair);
	local_free(local);
}
