/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each rule of the lane twice: kept, the claim holds; broken, it does not. The broken program is
 * sockmap_broken.bpf.c, the broken user space is compiled into this file.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "gen/sockmap_broken.skel.h"
#include "tests/bpf/actor.h"
#include "tests/bpf/broken.h"
#include "tests/bpf/rig.h"
#include "tests/bpf/traffic.h"
#include "tests/lib/test.h"
#include "user/kernel/common/tcp_progress.h"
#include "user/kernel/sockmap/selftest.h"

static uint32_t broken;
#define SOCKMAP_BROKEN(rule) (broken & (rule))

/* Lets one more byte arrive between the last look at the counters and the commit. */
static int late_fd = -1;
static char late_byte;

static int writable_after_late_byte(int fd, bool *ret_is_writable)
{
	int error = tcp_progress_is_writable(fd, ret_is_writable);

	if (late_fd >= 0 && *ret_is_writable) {
		assert_int_equal(send(late_fd, &late_byte, 1, MSG_DONTWAIT), 1);
		late_fd = -1;
	}
	return error;
}

#define tcp_progress_is_writable writable_after_late_byte
#include "user/kernel/sockmap/forward.c"
#undef tcp_progress_is_writable
#include "user/kernel/sockmap/direction.c"
#include "user/kernel/sockmap/socket.c"

struct scenario {
	struct sockmap *sockmap;
	struct rig *rig;
	struct rig_stream stream;
};

static void scenario_open(struct scenario *p, const struct rig_buffers *buffers)
{
	struct sockmap_options options = { .slot_count = 64,
					   .worker_count = 2,
					   .max_credit_bytes = 1ull << 30,
					   .override = { .before_load = rig_break, .arg = &broken } };

	options.override.elf = sockmap_broken_bpf__elf_bytes(&options.override.elf_bytes);
	p->sockmap = rig_sockmap(&options);
	p->rig = rig_create(p->sockmap);
	rig_stream_open(p->rig, &p->stream, buffers);
}

static void scenario_close(struct scenario *p)
{
	rig_stream_close(&p->stream);
	rig_free(p->rig);
	sockmap_free(p->sockmap);
}

/* As large as a local source gets where rmem_max is small. */
static const struct rig_buffers plain = { .front_receive = 524288 };
static const struct rig_buffers small = {
	.front_receive = 131072,
	.front_send = 32768,
	.back_receive = 131072,
	.back_send = 32768,
	.client_receive = 32768,
	.client_send = 32768,
	.server_receive = 32768,
	.server_send = 32768,
};

/* ---------------------------------------------------------------------------------------- scenarios */

/* A half-close without data, and the answer after it. */
static bool scenario_bare_fin(struct scenario *p)
{
	rig_tunnel(&p->stream, 0);
	put(p->rig, p->stream.client, "question");
	if (!says(p->rig, p->stream.server, "question"))
		return false;
	shutdown(p->stream.client, SHUT_WR);
	if (!rig_run(p->rig, rig_direction_ended, &p->stream.up, rig_patience_ms(300)) ||
	    p->stream.up.end != RIG_EOF)
		return false;
	return put(p->rig, p->stream.server, "answer") && says(p->rig, p->stream.client, "answer") &&
	       p->stream.down.end == RIG_RUNNING;
}

/* A half-close of a server that still has megabytes to read, part of which wait in the kernel. */
static bool scenario_fin_behind_backlog(struct scenario *p)
{
	struct sockmap_direction_options direction = { .framing = SOCKMAP_UNTIL_CLOSE,
						       .credit_bytes = 400000 };
	uint64_t written;

	/* Redirects wait in front of a FIN only where a target is a source as well. */
	broken |= BREAK_ROLES;
	rig_stream_add(&p->stream);
	rig_start(&p->stream.up, &direction);
	rig_start(&p->stream.down, &direction);
	written = send_until_full(p->rig, p->stream.client, 1, 0, 16 << 20, 30);
	shutdown(p->stream.server, SHUT_WR);
	if (!rig_run(p->rig, rig_direction_ended, &p->stream.down, rig_patience_ms(300)) ||
	    p->stream.down.end != RIG_EOF)
		return false;
	rig_run_for(p->rig, 20);
	return p->stream.up.end == RIG_RUNNING && read_pattern(p->rig, p->stream.server, 1, 0, written);
}

/* User space has read the first bytes of a piece before the lane takes over. */
static bool scenario_partly_read(struct scenario *p)
{
	struct sockmap_direction_options options = { .framing = SOCKMAP_UNTIL_CLOSE };
	char head[5];

	put(p->rig, p->stream.client, "head.body");
	assert_int_equal(receive_some(p->rig, p->stream.front, head, sizeof(head), 10000), 5);
	rig_stream_add(&p->stream);
	rig_start(&p->stream.up, &options);
	return says(p->rig, p->stream.server, "body") && is_silent(p->rig, p->stream.server);
}

/* A reader that keeps up badly: the gate closes and reopens all the time. */
static bool scenario_pauses(struct scenario *p)
{
	struct actor writer = { .shuts_down = true };
	struct actor reader = { .expects_eof = true, .pause_us = 300, .pause_every = 4 };
	bool is_whole;

	rig_tunnel(&p->stream, 100000);
	actor_read(&reader, p->stream.server, 3, 3 << 20, 20000);
	actor_write(&writer, p->stream.client, 3, 3 << 20, 20000);
	is_whole = rig_run(p->rig, actor_finished, &reader, rig_patience_ms(3000)) && reader.wrong_at < 0 &&
		   !reader.error;
	if (!is_whole) {
		/* Whoever is blocked in send() or recv() gets out. */
		shutdown(p->stream.client, SHUT_RDWR);
		shutdown(p->stream.server, SHUT_RDWR);
	}
	actor_join(&reader);
	actor_join(&writer);
	return is_whole && reader.done == 3 << 20 && reader.saw_eof && p->stream.up.end == RIG_EOF;
}

/* A body and, in the same piece, the beginning of the next message. */
static bool scenario_pipelined(struct scenario *p)
{
	struct sockmap_direction_options options = { .framing = SOCKMAP_LENGTH, .length_bytes = 4 };

	rig_stream_add(&p->stream);
	rig_start(&p->stream.up, &options);
	put(p->rig, p->stream.client, "bodyNEXT");
	if (!says(p->rig, p->stream.server, "body") || !is_silent(p->rig, p->stream.server))
		return false;
	return p->stream.up.end == RIG_DONE && says(p->rig, p->stream.front, "NEXT");
}

/* A reader that stops for good: what the gateway takes in is bounded. */
static bool scenario_stopped_reader(struct scenario *p)
{
	rig_tunnel(&p->stream, 100000);
	return send_until_full(p->rig, p->stream.client, 4, 0, 16 << 20, 30) < 1 << 20;
}

/* The target leaves the map under an open gate: nothing is lost, user space forwards. */
static bool scenario_lost_target(struct scenario *p)
{
	rig_tunnel(&p->stream, 0);
	put(p->rig, p->stream.client, "one");
	if (!says(p->rig, p->stream.server, "one"))
		return false;
	bpf_map_delete_elem(p->sockmap->map_fds[SOCKMAP_MAP_TARGETS], &p->stream.back_socket.slot.index);
	put(p->rig, p->stream.client, "two");
	return says(p->rig, p->stream.server, "two");
}

/* The kernel loses what comes just when the verdict is taken off: that must not look whole. */
static bool scenario_late_loss(struct scenario *p)
{
	rig_tunnel(&p->stream, 0);
	put(p->rig, p->stream.client, "one");
	if (!says(p->rig, p->stream.server, "one"))
		return false;
	sockmap_direction_stop(&p->stream.up.direction);
	put(p->rig, p->stream.client, "two");
	await_received(p->rig, p->stream.front, 6);
	return sockmap_socket_detach(&p->stream.front_socket) == -EPROTO;
}

/* A first piece that the gate does not even open for. */
static bool scenario_refused_first(struct scenario *p)
{
	struct sockmap_direction_options options = { .framing = SOCKMAP_CHUNKED_BODY };

	rig_stream_add(&p->stream);
	rig_start(&p->stream.up, &options);
	put(p->rig, p->stream.client, "0\r\n\r\n");
	return rig_run(p->rig, rig_direction_ended, &p->stream.up, rig_patience_ms(200)) &&
	       p->stream.up.end == RIG_BYTES;
}

/* The last chunk and the next message in one piece. */
static bool scenario_chunked_end(struct scenario *p)
{
	struct sockmap_direction_options options = { .framing = SOCKMAP_CHUNKED_BODY };

	rig_stream_add(&p->stream);
	rig_start(&p->stream.up, &options);
	put(p->rig, p->stream.client, "5\r\nhello\r\n");
	if (!says(p->rig, p->stream.server, "5\r\nhello\r\n"))
		return false;
	put(p->rig, p->stream.client, "2\r\nab\r\n0\r\n\r\nNEXT");
	return is_silent(p->rig, p->stream.server) && p->stream.up.end == RIG_BYTES &&
	       says(p->rig, p->stream.front, "2\r\nab\r\n0\r\n\r\nNEXT");
}

/* A stale pair record whose target's slot belongs to somebody else by now. */
static bool scenario_recycled_slot(struct scenario *p)
{
	struct rig_stream other;
	bool is_safe;

	rig_tunnel(&p->stream, 0);
	put(p->rig, p->stream.client, "mine");
	if (!says(p->rig, p->stream.server, "mine"))
		return false;
	struct sockmap_record *record = sockmap_socket_record(&p->stream.front_socket);
	uint32_t index = p->stream.back_socket.slot.index;
	sockmap_direction_stop(&p->stream.up.direction);
	sockmap_direction_stop(&p->stream.down.direction);
	sockmap_socket_remove(&p->stream.back_socket);
	rig_stream_open(p->rig, &other, NULL);
	p->rig->worker->slot_cursor = index;
	assert_int_equal(sockmap_socket_add(p->rig->worker, &other.back_socket, other.back), 0);
	assert_int_equal(other.back_socket.slot.index, index);
	record->user.mode = SOCKMAP_MODE_KERNEL;
	put(p->rig, p->stream.client, "secret");
	is_safe = is_silent(p->rig, other.server) && says(p->rig, p->stream.front, "secret");
	record->user.mode = SOCKMAP_MODE_USER;
	sockmap_socket_remove(&other.back_socket);
	rig_stream_close(&other);
	return is_safe;
}

/* A stream is torn down while a verdict is between its last look at the target's slot and the redirect. */
static bool scenario_reused_target(struct scenario *p)
{
	struct actor writer = { 0 };
	struct rig_stream other;
	cpu_set_t allowed;
	bool is_safe;

	rig_tunnel(&p->stream, 0);
	rig_stream_open(p->rig, &other, NULL);
	const volatile struct sockmap_kernel *k = &sockmap_socket_record(&p->stream.front_socket)->kernel;
	uint32_t index = p->stream.back_socket.slot.index;
	uint64_t until = now_ms() + 10000;
	/* The verdict runs where the writer does, and nothing else does meanwhile. */
	assert_int_equal(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
	stay_on(&allowed, false);
	actor_write(&writer, p->stream.client, 13, 1, 1);
	stay_on(&allowed, true);
	while (k->opens == 0 && now_ms() < until)
		;
	sockmap_direction_stop(&p->stream.up.direction);
	sockmap_direction_stop(&p->stream.down.direction);
	sockmap_socket_remove(&p->stream.back_socket);
	p->rig->worker->slot_cursor = index;
	assert_int_equal(sockmap_socket_add(p->rig->worker, &other.back_socket, other.back), 0);
	assert_int_equal(other.back_socket.slot.index, index);
	actor_join(&writer);
	sched_setaffinity(0, sizeof(allowed), &allowed);
	assert_int_equal(k->opens, 1);
	is_safe = is_silent(p->rig, other.server);
	rig_stream_close(&other);
	return is_safe;
}

/* Bytes that arrived before the socket entered the map, and none after. */
static bool scenario_early_bytes(struct scenario *p)
{
	put(p->rig, p->stream.client, "early");
	await_unread(p->stream.front, 5);
	rig_tunnel(&p->stream, 0);
	return says(p->rig, p->stream.server, "early");
}

/* A last byte that arrives in the one moment in which the program sends no event. */
static bool scenario_late_byte(struct scenario *p)
{
	uint64_t written = 0;

	rig_tunnel(&p->stream, 0);
	/* Piece by piece until one waits for the server, so that nothing but the late byte is behind it. */
	while (!p->stream.up.direction.wants_target_writable && written < 1 << 20) {
		written += send_until_full(p->rig, p->stream.client, 8, written, 1, 30);
		rig_run_for(p->rig, 5);
	}
	pattern_fill(&late_byte, 8, written, 1);
	late_fd = p->stream.client;
	return read_pattern(p->rig, p->stream.server, 8, 0, written) && late_fd < 0 &&
	       read_pattern(p->rig, p->stream.server, 8, written, 1);
}

/* As fast as it goes: does the sender ever wait for its persist timer? 200 ms each time. */
static bool scenario_full_speed(struct scenario *p)
{
	enum { BYTES = 128 << 20, STALLS = 3 };

	/* Who reads a lot at once holds the source's lock for long; the lane does not. */
	broken |= BREAK_STEPS | BREAK_TIGHT;
	rig_tunnel(&p->stream, 0);
	setsockopt(p->stream.front, SOL_SOCKET, SO_RCVBUF, &plain.front_receive, sizeof(int));
	return carry_stalls(&p->stream, BYTES, STALLS) < STALLS;
}

/* Passed bytes that wait behind a backlog of the other way: recv() says EAGAIN for as long as that stands. */
static bool scenario_hidden_bytes(struct scenario *p)
{
	struct sockmap_direction_options up = { .framing = SOCKMAP_UNTIL_CLOSE };
	struct sockmap_direction_options down = { .framing = SOCKMAP_UNTIL_CLOSE, .credit_bytes = 400000 };
	uint64_t uploaded, downloaded, early;

	/* Redirects wait in front of passed bytes only where a target is a source as well. */
	broken |= BREAK_ROLES;
	rig_stream_add(&p->stream);
	rig_start(&p->stream.up, &up);
	rig_start(&p->stream.down, &down);
	downloaded = send_until_full(p->rig, p->stream.server, 9, 0, 16 << 20, 30);
	uploaded = send_until_full(p->rig, p->stream.client, 10, 0, 150000, 30);
	/* What the kernel carried arrives; then the gate would reopen, were it not for the hidden bytes. */
	early = sockmap_direction_stats(&p->stream.up.direction).redirected_bytes;
	if (!read_pattern(p->rig, p->stream.server, 10, 0, early))
		return false;
	rig_run_for(p->rig, 10);
	uploaded += send_until_full(p->rig, p->stream.client, 10, uploaded, 65536, 30);
	return read_pattern(p->rig, p->stream.client, 9, 0, downloaded) &&
	       read_pattern(p->rig, p->stream.server, 10, early, uploaded - early);
}

/* Charged beyond the receive buffer TCP takes back the window that it has announced, and drops what comes. */
static bool has_memory(int fd)
{
	uint32_t memory[SK_MEMINFO_VARS];
	socklen_t len = sizeof(memory);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &len), 0);
	return memory[SK_MEMINFO_RMEM_ALLOC] <= memory[SK_MEMINFO_RCVBUF];
}

static bool direction_is_copied(void *arg)
{
	return ((struct rig_direction *)arg)->is_copied;
}

/* Single bytes towards a reader that stands still, far more than their buffers would hold one by one. */
static bool scenario_small_segments(struct scenario *p)
{
	uint64_t position = 0;
	int on = 1;
	rig_tunnel(&p->stream, 0);
	while (!p->stream.up.direction.wants_target_writable && position < 1 << 20) {
		position += send_until_full(p->rig, p->stream.client, 14, position, 1, 30);
		rig_run_for(p->rig, 60);
	}
	/* Each on its own: faster, the client would merge them while it waits for acknowledgements. */
	for (int i = 0; i < 800; i++) {
		char byte;

		pattern_fill(&byte, 14, position, 1);
		position += send(p->stream.client, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL) > 0;
		setsockopt(p->stream.front, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
		rig_run_for(p->rig, 1);
	}
	if (!(broken & BREAK_TIGHT))
		assert_true(rig_run(p->rig, direction_is_copied, &p->stream.up, 20000));
	return has_memory(p->stream.front) && read_pattern(p->rig, p->stream.server, 14, 0, position);
}

/*
 * Both ends send, the server reads late, and the worker of the kernel is kept from its processor for a while.
 * Every TCP connection would end this.
 */
static bool scenario_starved_worker(struct scenario *p)
{
	enum { DOWN_BYTES = 8 << 20 };
	struct sockmap_direction_options direction = { .framing = SOCKMAP_UNTIL_CLOSE };
	struct starver starver = { .fd = p->stream.server, .ms = 300 };
	cpu_set_t allowed;
	static char piece[65536];
	uint64_t until, moved = 0;
	int quiet_turns = 0;

	rig_stream_add(&p->stream);
	rig_start(&p->stream.up, &direction);
	if (broken & BREAK_ROLES)
		rig_start(&p->stream.down, &direction);
	else
		rig_copy(&p->stream.down);
	/* Until the gate closes, and no further: the window stays open. */
	until = now_ms() + FILL_LIMIT_MS;
	while (sockmap_direction_stats(&p->stream.up.direction).pauses == 0 && now_ms() < until)
		send_until_full(p->rig, p->stream.client, 15, 0, 1, 30);
	assert_int_equal(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
	starver_start(&starver, &allowed);
	while (!atomic_load(&starver.has_sent))
		rig_turn(p->rig, 0);
	for (until = now_ms() + 150; now_ms() < until; rig_turn(p->rig, 0))
		(void)send(p->stream.client, piece, sizeof(piece), MSG_DONTWAIT | MSG_NOSIGNAL);
	pthread_join(starver.thread, NULL);
	rig_run_for(p->rig, 100);
	/* Two segments: one is taken although there is no memory, and the window is taken back. */
	(void)send(p->stream.client, piece, sizeof(piece), MSG_DONTWAIT | MSG_NOSIGNAL);
	sched_setaffinity(0, sizeof(allowed), &allowed);
	rig_run_for(p->rig, 50);
	/* Turns that move nothing are counted: slow is not what it stands for. */
	while (moved < DOWN_BYTES && quiet_turns < rig_patience_ms(500)) {
		ssize_t got = recv(p->stream.client, piece, sizeof(piece), MSG_DONTWAIT);
		ssize_t sent = send(p->stream.server, piece, sizeof(piece), MSG_DONTWAIT | MSG_NOSIGNAL);

		moved += got > 0 ? (uint64_t)got : 0;
		quiet_turns = got > 0 || sent > 0 ? 0 : quiet_turns + 1;
		rig_turn(p->rig, quiet_turns > 0);
	}
	return moved >= DOWN_BYTES;
}

/* What the gateway does before it trusts a kernel: it has to notice by itself, and say what it saw. */
static bool scenario_selftest(struct scenario *p)
{
	struct text why;
	uint64_t took_ns = 0;
	int error;

	text_init(&why);
	error = sockmap_selftest(p->sockmap, &why, &took_ns);
	assert_true(error == 0 || error == -EIO);
	assert_int_equal(why.len > 0, error != 0);
	assert_true(took_ns > 0);
	text_done(&why);
	assert_int_equal(sockmap_count_taken(p->sockmap), 0);
	return error == 0;
}

struct rule {
	const char *name;
	uint32_t bit;
	bool (*scenario)(struct scenario *scenario);
	const struct rig_buffers *buffers;
	int tries; /* a race: broken in one of so many */
};

static bool rule_holds(const struct rule *rule, uint32_t broken_now)
{
	struct scenario scenario = { 0 };
	bool holds;

	/* Races that are never won otherwise. */
	broken = broken_now | (rule->bit == BREAK_BARRIER ? PAUSE_REDIRECT : 0) |
		 (rule->bit == BREAK_PROVE ? LOSE_LATE : 0);
	rig_is_impatient = broken_now != 0;
	scenario_open(&scenario, rule->buffers);
	holds = rule->scenario(&scenario);
	scenario_close(&scenario);
	rig_is_impatient = false;
	broken = 0;
	return holds;
}

static void check_rule(void **state)
{
	const struct rule *rule = *state;
	bool seen_broken = false;

	/*
	 * Two scenarios need sockets that are source and target at once, which a kernel worker that is late
	 * may break by itself. Without the rule they would fail again and again.
	 */
	int kept_tries = rule->bit & (BREAK_FIN_PASS | BREAK_COUNT) ? 4 : 1;
	bool holds = false;
	for (int i = 0; i < kept_tries && !holds; i++)
		holds = rule_holds(rule, 0);
	assert_true(holds);
	for (int i = 0; i < rule->tries && !seen_broken; i++)
		seen_broken = !rule_holds(rule, rule->bit);
	if (!seen_broken)
		fail_msg("the rule \"%s\" was off and nobody noticed", rule->name);
}

static struct rule rules[] = {
	{ "a bare FIN is not redirected", BREAK_FIN, scenario_bare_fin, NULL, 40 },
	{ "a bare FIN is not passed behind a backlog", BREAK_FIN_PASS, scenario_fin_behind_backlog, &small,
	  1 },
	{ "delivered bytes are trimmed off a piece", BREAK_TRIM, scenario_partly_read, NULL, 1 },
	{ "counting starts where the reader was", BREAK_SEED, scenario_partly_read, NULL, 1 },
	{ "the gate opens only when all passed bytes are forwarded", BREAK_EQUALITY, scenario_pauses, &small,
	  3 },
	{ "the piece that crosses the end of a body is passed whole", BREAK_LIMIT, scenario_pipelined, NULL,
	  1 },
	{ "the backlog is bounded", BREAK_CREDIT, scenario_stopped_reader, &small, 1 },
	{ "a socket is a source or a target", BREAK_ROLES, scenario_starved_worker, &plain, 6 },
	{ "small pieces are taken out before memory is used up", BREAK_TIGHT, scenario_small_segments, &small,
	  3 },
	{ "a piece is never dropped", BREAK_DROP, scenario_lost_target, NULL, 1 },
	{ "a passed piece wakes whoever sleeps", BREAK_WAKE, scenario_refused_first, NULL, 1 },
	{ "what the chunk walk refuses is passed", BREAK_CHUNK, scenario_chunked_end, NULL, 1 },
	{ "a recycled slot is inert", BREAK_GENERATION, scenario_recycled_slot, NULL, 1 },
	{ "a target's slot is free when no verdict aims at it", BREAK_BARRIER, scenario_reused_target, NULL,
	  20 },
	{ "nothing was lost when the verdict came off", BREAK_PROVE, scenario_late_loss, NULL, 1 },
	{ "bytes from before the insertion are kicked", BREAK_KICK, scenario_early_bytes, NULL, 1 },
	{ "nothing is sent before the flush proof", BREAK_FLUSH, scenario_pauses, &small, 5 },
	{ "EAGAIN is no proof", BREAK_COUNT, scenario_hidden_bytes, &small, 1 },
	{ "a window does not starve", BREAK_WINDOW, scenario_full_speed, NULL, 30 },
	{ "look at the counters again before sleeping", BREAK_LOOK, scenario_late_byte, &small, 1 },
	{ "the self-test sees a body without an end", BREAK_LIMIT, scenario_selftest, NULL, 40 },
	{ "the self-test sees delivered bytes again", BREAK_TRIM, scenario_selftest, NULL, 1 },
	{ "the self-test sees bytes out of order", BREAK_EQUALITY, scenario_selftest, NULL, 40 },
};

/* test_rules [pattern] */

TEST_ROWS(check_rule, rules);
