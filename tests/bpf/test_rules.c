/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each rule of the lane twice: kept, the claim holds; broken, it does not. The broken program is
 * gate_broken.bpf.c, the broken user space is compiled into this file.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>

#include "gen/gate_broken.skel.h"
#include "tests/bpf/actor.h"
#include "tests/bpf/broken.h"
#include "tests/bpf/rig.h"
#include "user/gate/flush.h"
#include "user/gate/selftest.h"

static uint32_t broken;
#define GATE_BROKEN(rule) (broken & (rule))

/* Lets one more byte arrive between the last look at the counters and the commit. */
static int late_fd = -1;
static char late_byte;

static int writable_after_late_byte(int fd, bool *ret_is_writable)
{
	int error = flush_is_writable(fd, ret_is_writable);

	if (late_fd >= 0 && *ret_is_writable) {
		assert_int_equal(send(late_fd, &late_byte, 1, MSG_DONTWAIT), 1);
		late_fd = -1;
	}
	return error;
}

#define flush_is_writable writable_after_late_byte
#include "user/gate/forward.c"
#undef flush_is_writable
#include "user/gate/pair.c"
#include "user/gate/socket.c"

struct play {
	struct gate *gate;
	struct rig *rig;
	struct rig_stream stream;
};

static void play_open(struct play *p, const struct rig_buffers *buffers)
{
	struct gate_options options = { .slot_count = 64, .worker_count = 2, .max_credit_bytes = 1ull << 30,
					.before_load = rig_break, .before_load_arg = &broken };

	options.object = gate_broken_bpf__elf_bytes(&options.object_bytes);
	p->gate = rig_gate(&options);
	p->rig = rig_create(p->gate);
	rig_stream_open(p->rig, &p->stream, buffers);
}

static void play_close(struct play *p)
{
	rig_stream_close(&p->stream);
	rig_free(p->rig);
	gate_free(p->gate);
}

static const struct rig_buffers small = {
	.front_receive = 32768, .front_send = 32768, .back_receive = 32768, .back_send = 32768,
	.client_receive = 32768, .client_send = 32768, .server_receive = 32768, .server_send = 32768,
};

static uint64_t write_until_full(struct play *p, int fd, uint64_t seed, uint64_t position, uint64_t max)
{
	return send_until_full(p->rig, fd, seed, position, max, 30);
}

/* Reads and checks `len` bytes; false: too few in time, or wrong ones. */
static bool read_pattern(struct play *p, int fd, uint64_t seed, uint64_t position, uint64_t len)
{
	char piece[16384];

	while (len > 0) {
		size_t want = len < sizeof(piece) ? (size_t)len : sizeof(piece);
		size_t got = receive_some(p->rig, fd, piece, want, 300);

		if (got == 0 || pattern_check(piece, seed, position, got) >= 0)
			return false;
		position += got;
		len -= got;
	}
	return true;
}

static bool says(struct play *p, int fd, const char *text)
{
	char bytes[256] = "";
	size_t got = receive_some(p->rig, fd, bytes, strlen(text), 150);

	return got == strlen(text) && memcmp(bytes, text, got) == 0;
}

static bool is_silent(struct play *p, int fd)
{
	char bytes[64];

	return receive_some(p->rig, fd, bytes, sizeof(bytes), 20) == 0;
}

static bool put(struct play *p, int fd, const char *text)
{
	return send_all(p->rig, fd, text, strlen(text));
}

/* ---------------------------------------------------------------------------------------- plays */

/* A half-close without data, and the answer after it. */
static bool play_bare_fin(struct play *p)
{
	rig_tunnel(&p->stream, 0);
	put(p, p->stream.client, "question");
	if (!says(p, p->stream.server, "question"))
		return false;
	shutdown(p->stream.client, SHUT_WR);
	if (!rig_run(p->rig, rig_way_ended, &p->stream.up, 300) || p->stream.up.end != RIG_EOF)
		return false;
	return put(p, p->stream.server, "answer") && says(p, p->stream.client, "answer") &&
	       p->stream.down.end == RIG_RUNNING;
}

/* A half-close of a server that still has megabytes to read, part of which wait in the kernel. */
static bool play_fin_behind_backlog(struct play *p)
{
	uint64_t written;

	rig_tunnel(&p->stream, 400000);
	written = write_until_full(p, p->stream.client, 1, 0, 16 << 20);
	shutdown(p->stream.server, SHUT_WR);
	if (!rig_run(p->rig, rig_way_ended, &p->stream.down, 300) || p->stream.down.end != RIG_EOF)
		return false;
	rig_run_for(p->rig, 20);
	return p->stream.up.end == RIG_RUNNING && read_pattern(p, p->stream.server, 1, 0, written);
}

/* User space has read the first bytes of a piece before the lane takes over. */
static bool play_partly_read(struct play *p)
{
	struct gate_direction_options options = { .framing = GATE_UNTIL_CLOSE };
	char head[5];

	put(p, p->stream.client, "head.body");
	assert_int_equal(receive_some(p->rig, p->stream.front, head, sizeof(head), 200), 5);
	rig_stream_add(&p->stream);
	rig_start(&p->stream.up, &options);
	return says(p, p->stream.server, "body") && is_silent(p, p->stream.server);
}

/* A reader that keeps up badly: the gate closes and reopens all the time. */
static bool play_pauses(struct play *p)
{
	struct actor writer = { .shuts_down = true };
	struct actor reader = { .expects_eof = true, .pause_us = 300, .pause_every = 4 };
	bool is_whole;

	rig_tunnel(&p->stream, 100000);
	actor_read(&reader, p->stream.server, 3, 3 << 20, 20000);
	actor_write(&writer, p->stream.client, 3, 3 << 20, 20000);
	is_whole = rig_run(p->rig, actor_finished, &reader, 3000) && reader.wrong_at < 0 && !reader.error;
	if (!is_whole) {
		/* Whoever is blocked in send() or recv() gets out. */
		shutdown(p->stream.client, SHUT_RDWR);
		shutdown(p->stream.server, SHUT_RDWR);
	}
	actor_join(&reader);
	actor_join(&writer);
	return is_whole && reader.done == 3 << 20 && reader.saw_eof && p->stream.up.end == RIG_EOF;
}

/* A body and, in the same piece, the begin of the next message. */
static bool play_pipelined(struct play *p)
{
	struct gate_direction_options options = { .framing = GATE_LENGTH, .length_bytes = 4 };

	rig_stream_add(&p->stream);
	rig_start(&p->stream.up, &options);
	put(p, p->stream.client, "bodyNEXT");
	if (!says(p, p->stream.server, "body") || !is_silent(p, p->stream.server))
		return false;
	return p->stream.up.end == RIG_DONE && says(p, p->stream.front, "NEXT");
}

/* A reader that stops for good: what the gateway takes in is bounded. */
static bool play_stopped_reader(struct play *p)
{
	rig_tunnel(&p->stream, 100000);
	return write_until_full(p, p->stream.client, 4, 0, 16 << 20) < 1 << 20;
}

/* A client that uploads before it reads: its bytes must come up while its download stands still. */
static bool play_upload_while_stalled(struct play *p)
{
	struct gate_direction_options body = { .framing = GATE_LENGTH, .length_bytes = 4 };
	struct gate_direction_options tunnel = { .framing = GATE_UNTIL_CLOSE, .credit_bytes = 0 };

	/* With the rule broken there is nothing but credit. */
	if (broken & BREAK_ROOM)
		tunnel.credit_bytes = 400000;
	rig_stream_add(&p->stream);
	rig_start(&p->stream.up, &body);
	put(p, p->stream.client, "body");
	if (!says(p, p->stream.server, "body"))
		return false;
	rig_start(&p->stream.down, &tunnel);
	write_until_full(p, p->stream.server, 5, 0, 16 << 20);
	put(p, p->stream.client, "next");
	return says(p, p->stream.front, "next");
}

/* The target leaves the map under an open gate: nothing is lost, user space forwards. */
static bool play_lost_target(struct play *p)
{
	rig_tunnel(&p->stream, 0);
	put(p, p->stream.client, "one");
	if (!says(p, p->stream.server, "one"))
		return false;
	bpf_map_delete_elem(p->gate->map_fds[GATE_MAP_TARGETS], &p->stream.back_socket.slot.index);
	put(p, p->stream.client, "two");
	return says(p, p->stream.server, "two");
}

/* A first piece that the gate does not even open for. */
static bool play_refused_first(struct play *p)
{
	struct gate_direction_options options = { .framing = GATE_CHUNKED_BODY };

	rig_stream_add(&p->stream);
	rig_start(&p->stream.up, &options);
	put(p, p->stream.client, "0\r\n\r\n");
	return rig_run(p->rig, rig_way_ended, &p->stream.up, 200) && p->stream.up.end == RIG_BYTES;
}

/* The last chunk and the next message in one piece. */
static bool play_chunked_end(struct play *p)
{
	struct gate_direction_options options = { .framing = GATE_CHUNKED_BODY };

	rig_stream_add(&p->stream);
	rig_start(&p->stream.up, &options);
	put(p, p->stream.client, "5\r\nhello\r\n");
	if (!says(p, p->stream.server, "5\r\nhello\r\n"))
		return false;
	put(p, p->stream.client, "2\r\nab\r\n0\r\n\r\nNEXT");
	return is_silent(p, p->stream.server) && p->stream.up.end == RIG_BYTES &&
	       says(p, p->stream.front, "2\r\nab\r\n0\r\n\r\nNEXT");
}

/* A stale pair record whose target's slot belongs to somebody else by now. */
static bool play_recycled_slot(struct play *p)
{
	struct rig_stream other;
	bool is_safe;

	rig_tunnel(&p->stream, 0);
	put(p, p->stream.client, "mine");
	if (!says(p, p->stream.server, "mine"))
		return false;
	struct gate_record *record = gate_socket_record(&p->stream.front_socket);
	uint32_t index = p->stream.back_socket.slot.index;
	gate_direction_stop(&p->stream.up.direction);
	gate_direction_stop(&p->stream.down.direction);
	gate_socket_remove(&p->stream.back_socket);
	rig_stream_open(p->rig, &other, NULL);
	p->rig->worker->slot_cursor = index;
	assert_int_equal(gate_socket_add(p->rig->worker, &other.back_socket, other.back), 0);
	assert_int_equal(other.back_socket.slot.index, index);
	record->user.mode = GATE_MODE_KERNEL;
	put(p, p->stream.client, "secret");
	is_safe = is_silent(p, other.server) && says(p, p->stream.front, "secret");
	record->user.mode = GATE_MODE_USER;
	gate_socket_remove(&other.back_socket);
	rig_stream_close(&other);
	return is_safe;
}

/* This thread, and those it starts, on one of the allowed processors: the first or the last. */
static void stay_on(const cpu_set_t *allowed, bool is_first)
{
	cpu_set_t one;
	int found = -1;

	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET(cpu, allowed) && (found < 0 || !is_first))
			found = cpu;
	}
	CPU_ZERO(&one);
	CPU_SET(found, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
}

/* A stream is torn down while a verdict is between its last look at the target's slot and the redirect. */
static bool play_reused_target(struct play *p)
{
	struct actor writer = { 0 };
	struct rig_stream other;
	cpu_set_t allowed;
	bool is_safe;

	rig_tunnel(&p->stream, 0);
	rig_stream_open(p->rig, &other, NULL);
	const volatile struct gate_kernel *k = &gate_socket_record(&p->stream.front_socket)->kernel;
	uint32_t index = p->stream.back_socket.slot.index;
	uint64_t until = now_ms() + 1000;
	/* The verdict runs where the writer does, and nothing else does meanwhile. */
	assert_int_equal(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
	stay_on(&allowed, false);
	actor_write(&writer, p->stream.client, 13, 1, 1);
	stay_on(&allowed, true);
	while (k->opens == 0 && now_ms() < until)
		;
	gate_direction_stop(&p->stream.up.direction);
	gate_direction_stop(&p->stream.down.direction);
	gate_socket_remove(&p->stream.back_socket);
	p->rig->worker->slot_cursor = index;
	assert_int_equal(gate_socket_add(p->rig->worker, &other.back_socket, other.back), 0);
	assert_int_equal(other.back_socket.slot.index, index);
	actor_join(&writer);
	sched_setaffinity(0, sizeof(allowed), &allowed);
	assert_int_equal(k->opens, 1);
	is_safe = is_silent(p, other.server);
	rig_stream_close(&other);
	return is_safe;
}

/* Bytes that arrived before the socket entered the map, and none after. */
static bool play_early_bytes(struct play *p)
{
	put(p, p->stream.client, "early");
	usleep(5000);
	rig_tunnel(&p->stream, 0);
	return says(p, p->stream.server, "early");
}

/* A last byte that arrives in the one moment in which the program sends no event. */
static bool play_late_byte(struct play *p)
{
	uint64_t written = 0;

	rig_tunnel(&p->stream, 0);
	/* Piece by piece until one waits for the server, so that nothing but the late byte is behind it. */
	while (!p->stream.up.direction.wants_target_writable && written < 1 << 20) {
		written += write_until_full(p, p->stream.client, 8, written, 1);
		rig_run_for(p->rig, 5);
	}
	pattern_fill(&late_byte, 8, written, 1);
	late_fd = p->stream.client;
	return read_pattern(p, p->stream.server, 8, 0, written) && late_fd < 0 &&
	       read_pattern(p, p->stream.server, 8, written, 1);
}

/* As fast as it goes: does the sender ever wait for its persist timer? 200 ms each time. */
static bool play_full_speed(struct play *p)
{
	enum { BYTES = 256 << 20 };
	struct actor writer = { .shuts_down = true };
	struct actor reader = { .expects_eof = true };
	bool is_whole;

	/* Who reads a lot at once holds the lock of the source for long; the lane itself does not. */
	broken |= BREAK_STEPS;
	rig_tunnel(&p->stream, 0);
	actor_read(&reader, p->stream.server, 12, BYTES, 65536);
	actor_write(&writer, p->stream.client, 12, BYTES, 65536);
	is_whole = rig_run(p->rig, actor_finished, &reader, 2200) && reader.wrong_at < 0;
	shutdown(p->stream.client, SHUT_RDWR);
	shutdown(p->stream.server, SHUT_RDWR);
	actor_join(&reader);
	actor_join(&writer);
	return is_whole && reader.done == BYTES;
}

/* Passed bytes that wait behind a backlog of the other way: recv() says EAGAIN for as long as that stands. */
static bool play_hidden_bytes(struct play *p)
{
	struct gate_direction_options up = { .framing = GATE_UNTIL_CLOSE };
	struct gate_direction_options down = { .framing = GATE_UNTIL_CLOSE, .credit_bytes = 400000 };
	uint64_t uploaded, downloaded, early;

	rig_stream_add(&p->stream);
	rig_start(&p->stream.up, &up);
	rig_start(&p->stream.down, &down);
	downloaded = write_until_full(p, p->stream.server, 9, 0, 16 << 20);
	uploaded = write_until_full(p, p->stream.client, 10, 0, 150000);
	/* What the kernel carried arrives; then the gate would reopen, were it not for the hidden bytes. */
	early = gate_direction_stats(&p->stream.up.direction).redirected_bytes;
	if (!read_pattern(p, p->stream.server, 10, 0, early))
		return false;
	rig_run_for(p->rig, 10);
	uploaded += write_until_full(p, p->stream.client, 10, uploaded, 65536);
	return read_pattern(p, p->stream.client, 9, 0, downloaded) &&
	       read_pattern(p, p->stream.server, 10, early, uploaded - early);
}

/* The same as an attack: whatever is written disappears in the kernel, unless somebody notices. */
static bool play_hidden_flood(struct play *p)
{
	struct gate_direction_options up = { .framing = GATE_UNTIL_CLOSE };
	struct gate_direction_options down = { .framing = GATE_UNTIL_CLOSE, .credit_bytes = 400000 };

	rig_stream_add(&p->stream);
	rig_start(&p->stream.up, &up);
	rig_start(&p->stream.down, &down);
	write_until_full(p, p->stream.server, 9, 0, 16 << 20);
	return write_until_full(p, p->stream.client, 10, 0, 16 << 20) < 2 << 20 &&
	       (p->stream.up.reason == GATE_REASON_POISON_OVERRUN ||
		p->stream.down.reason == GATE_REASON_POISON_OVERRUN);
}

/* What the gateway does before it trusts a kernel: it has to notice by itself, and say what it saw. */
static bool play_selftest(struct play *p)
{
	struct text why;
	uint64_t took_ns = 0;
	int error;

	text_init(&why);
	error = gate_selftest(p->gate, &why, &took_ns);
	assert_true(error == 0 || error == -EIO);
	assert_int_equal(why.len > 0, error != 0);
	assert_true(took_ns > 0);
	text_done(&why);
	assert_int_equal(gate_count_taken(p->gate), 0);
	return error == 0;
}

struct rule {
	const char *name;
	uint32_t bit;
	bool (*play)(struct play *play);
	const struct rig_buffers *buffers;
	int tries; /* a race: broken in one of so many */
};

static bool rule_holds(const struct rule *rule, uint32_t broken_now)
{
	struct play play = { 0 };
	bool holds;

	/* The race of this one is never won otherwise. */
	broken = broken_now | (rule->bit == BREAK_BARRIER ? PAUSE_REDIRECT : 0);
	play_open(&play, rule->buffers);
	holds = rule->play(&play);
	play_close(&play);
	broken = 0;
	return holds;
}

static void check_rule(void **state)
{
	const struct rule *rule = *state;
	bool seen_broken = false;

	assert_true(rule_holds(rule, 0));
	for (int i = 0; i < rule->tries && !seen_broken; i++)
		seen_broken = !rule_holds(rule, rule->bit);
	if (!seen_broken)
		fail_msg("the rule \"%s\" was off and nobody noticed", rule->name);
}

static struct rule rules[] = {
	{ "a bare FIN is not redirected", BREAK_FIN, play_bare_fin, NULL, 1 },
	{ "a bare FIN is not passed behind a backlog", BREAK_FIN_PASS, play_fin_behind_backlog, &small, 1 },
	{ "delivered bytes are trimmed off a piece", BREAK_TRIM, play_partly_read, NULL, 1 },
	{ "counting starts where the reader was", BREAK_SEED, play_partly_read, NULL, 1 },
	{ "the gate opens only when all passed bytes are forwarded", BREAK_EQUALITY, play_pauses, &small, 3 },
	{ "the piece that crosses the end of a body is passed whole", BREAK_LIMIT, play_pipelined, NULL, 1 },
	{ "the backlog is bounded", BREAK_CREDIT, play_stopped_reader, &small, 1 },
	{ "the backlog fits the send buffer", BREAK_ROOM, play_upload_while_stalled, &small, 1 },
	{ "bytes passed behind a backlog are bounded", BREAK_OVERRUN, play_hidden_flood, &small, 1 },
	{ "a piece is never dropped", BREAK_DROP, play_lost_target, NULL, 1 },
	{ "a passed piece wakes whoever sleeps", BREAK_WAKE, play_refused_first, NULL, 1 },
	{ "what the chunk walk refuses is passed", BREAK_CHUNK, play_chunked_end, NULL, 1 },
	{ "a recycled slot is inert", BREAK_GENERATION, play_recycled_slot, NULL, 1 },
	{ "a target's slot is free when no verdict aims at it", BREAK_BARRIER, play_reused_target, NULL, 5 },
	{ "bytes from before the insertion are kicked", BREAK_KICK, play_early_bytes, NULL, 1 },
	{ "nothing is sent before the flush proof", BREAK_FLUSH, play_pauses, &small, 5 },
	{ "EAGAIN is no proof", BREAK_COUNT, play_hidden_bytes, &small, 1 },
	{ "a window does not starve", BREAK_WINDOW, play_full_speed, NULL, 4 },
	{ "look at the counters again before sleeping", BREAK_LOOK, play_late_byte, &small, 1 },
	{ "the self-test sees a body without an end", BREAK_LIMIT, play_selftest, NULL, 1 },
	{ "the self-test sees delivered bytes again", BREAK_TRIM, play_selftest, NULL, 1 },
	{ "the self-test sees bytes out of order", BREAK_EQUALITY, play_selftest, NULL, 8 },
};

/* test_rules [pattern] */
int main(int argc, char **argv)
{
	struct CMUnitTest tests[sizeof(rules) / sizeof(rules[0])];

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		tests[i] = (struct CMUnitTest){ rules[i].name, check_rule, NULL, NULL, &rules[i] };
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return _cmocka_run_group_tests("rules", tests, sizeof(tests) / sizeof(tests[0]), NULL, NULL);
}
