/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes through the lane: in order, all of them, none twice, and none on the wrong side. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/bpf/actor.h"
#include "tests/bpf/rig.h"
#include "tests/bpf/traffic.h"
#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/base/mem.h"
#include "user/kernel/sockmap/selftest.h"

/* ---------------------------------------------------------------------------------------- tunnels */

struct traffic {
	const char *name;
	struct rig_buffers buffers;
	uint64_t up_bytes, down_bytes;
	uint32_t write_max, read_max;
	uint32_t pause_every; /* readers */
	uint32_t credit_bytes;
};

/* clang-format off */
static struct traffic traffics[] = {
	{ "a tunnel keeps every byte, fast readers", { 0 }, 24 << 20, 24 << 20, 60000, 60000, 0, 0 },
	{ "a tunnel keeps every byte, pausing readers", { 0 }, 8 << 20, 8 << 20, 30000, 30000, 8, 0 },
	{ "a tunnel keeps every byte, small buffers",
	  { .front_send = 16384, .back_send = 16384, .front_receive = 65536, .back_receive = 65536 },
	  1 << 20, 1 << 20, 9000, 9000, 32, 0 },
	{ "a tunnel keeps every byte, credit beyond the buffers",
	  { .front_send = 32768, .back_send = 32768, .server_receive = 32768, .client_receive = 32768 },
	  4 << 20, 0, 20000, 20000, 16, 300000 },
	{ "a tunnel keeps every byte, tiny writes", { 0 }, 60000, 60000, 3, 4000, 64, 0 },
	{ "a tunnel keeps every byte, tiny writes into small buffers",
	  { .front_send = 8192, .back_send = 8192 }, 40000, 40000, 3, 500, 16, 0 },
	{ "a tunnel keeps every byte over IPv6",
	  { .family = AF_INET6 }, 8 << 20, 8 << 20, 30000, 30000, 16, 0 },
	{ "a one-way tunnel keeps every byte", { 0 }, 0, 32 << 20, 60000, 60000, 0, 0 },
};
/* clang-format on */

static void reader_prepare(struct actor *reader, const struct traffic *t)
{
	*reader = (struct actor){ .expects_eof = true, .pause_us = 300, .pause_every = t->pause_every };
}

static void actor_check(struct actor *reader, const struct actor *writer, uint64_t bytes)
{
	assert_int_equal(writer->error, 0);
	assert_int_equal(reader->error, 0);
	assert_int_equal(reader->wrong_at, -1);
	assert_int_equal(reader->done, bytes);
	assert_true(reader->saw_eof);
}

/* All of them were counted, and some of them went through the kernel. */
static void stats_check(const struct rig_direction *direction, uint64_t bytes)
{
	struct sockmap_direction_stats stats = sockmap_direction_stats(&direction->direction);

	/* By hand, after small pieces were taken out. */
	assert_int_equal(stats.redirected_bytes + stats.copied_bytes + direction->copied_bytes, bytes);
	if (bytes)
		assert_in_range(stats.redirected_bytes, 1, bytes);
}

static void tunnel_keeps_every_byte(void **state)
{
	const struct traffic *t = *state;
	struct sockmap *sockmap;
	struct rig *rig = rig_setup(&sockmap);
	struct rig_stream s;
	struct actor up_writer = { .shuts_down = true }, down_writer = { .shuts_down = true };
	struct actor up_reader, down_reader;

	rig_stream_open(rig, &s, &t->buffers);
	rig_tunnel(&s, t->credit_bytes);
	reader_prepare(&up_reader, t);
	reader_prepare(&down_reader, t);
	actor_read(&up_reader, s.server, 1, t->up_bytes, t->read_max);
	actor_read(&down_reader, s.client, 2, t->down_bytes, t->read_max);
	actor_write(&up_writer, s.client, 1, t->up_bytes, t->write_max);
	actor_write(&down_writer, s.server, 2, t->down_bytes, t->write_max);
	assert_true(rig_run(rig, actor_finished, &up_reader, 20000));
	assert_true(rig_run(rig, actor_finished, &down_reader, 20000));
	actor_join(&up_writer);
	actor_join(&down_writer);
	actor_join(&up_reader);
	actor_join(&down_reader);
	if (s.up.end != RIG_EOF || s.down.end != RIG_EOF)
		fail_msg("up %d %s, down %d %s", s.up.end, sockmap_reason_text(s.up.reason), s.down.end,
			 sockmap_reason_text(s.down.reason));
	actor_check(&up_reader, &up_writer, t->up_bytes);
	actor_check(&down_reader, &down_writer, t->down_bytes);
	assert_int_equal(s.up.end, RIG_EOF);
	assert_int_equal(s.down.end, RIG_EOF);
	stats_check(&s.up, t->up_bytes);
	assert_int_equal(s.down.copied_bytes, t->down_bytes);
	rig_stream_close(&s);
	rig_teardown(rig, sockmap);
}

/* ---------------------------------------------------------------------------------------- ends */

/* Last data and FIN, together or in any distance, thousands of times: nothing is lost, no false alarm. */
TEST(a_fin_right_behind_data_loses_nothing)
{
	struct sockmap *sockmap;
	struct rig *rig = rig_setup(&sockmap);
	uint64_t random = 11;

	for (int round = 0; round < 2000; round++) {
		struct rig_stream s;
		size_t len = random_u32(&random) % 3000;
		char bytes[3000], eof;

		rig_stream_open(rig, &s, NULL);
		rig_tunnel(&s, 0);
		pattern_fill(bytes, 1, 0, len);
		if (round % 3 == 0)
			send(s.client, bytes, len, MSG_MORE); /* the FIN rides on the data */
		else
			send(s.client, bytes, len, 0);
		if (round % 3 == 1)
			rig_turn(rig, 0);
		shutdown(s.client, SHUT_WR);
		assert_int_equal(receive_some(rig, s.server, bytes, len, 20000), len);
		assert_int_equal(pattern_check(bytes, 1, 0, len), -1);
		assert_true(rig_run(rig, rig_direction_ended, &s.up, 20000));
		assert_int_equal(s.up.end, RIG_EOF);
		set_blocking(s.server, true);
		assert_int_equal(recv(s.server, &eof, 1, 0), 0);
		rig_stream_close(&s);
	}
	rig_teardown(rig, sockmap);
}

TEST(the_other_way_goes_on_after_a_half_close)
{
	struct sockmap *sockmap;
	struct rig *rig = rig_setup(&sockmap);

	for (int round = 0; round < 2; round++) {
		struct rig_stream s;
		int early = 0, late = 0;
		struct rig_direction *early_way, *late_way;

		rig_stream_open(rig, &s, NULL);
		rig_tunnel(&s, 0);
		early = round ? s.server : s.client;
		late = round ? s.client : s.server;
		early_way = round ? &s.down : &s.up;
		late_way = round ? &s.up : &s.down;
		send_pattern(rig, early, 1, 0, 1000);
		shutdown(early, SHUT_WR);
		assert_true(rig_run(rig, rig_direction_ended, early_way, 20000));
		expect(rig, late, 1, 0, 1000);
		for (uint64_t position = 0; position < 2000000; position += 100000) {
			send_pattern(rig, late, 2, position, 100000);
			expect(rig, early, 2, position, 100000);
		}
		assert_int_equal(late_way->end, RIG_RUNNING);
		shutdown(late, SHUT_WR);
		assert_true(rig_run(rig, rig_direction_ended, late_way, 20000));
		assert_int_equal(late_way->end, RIG_EOF);
		rig_stream_close(&s);
	}
	rig_teardown(rig, sockmap);
}

/* A broken connection is never shown as a clean end. */
TEST(a_reset_is_passed_on_as_a_reset)
{
	struct sockmap *sockmap;
	struct rig *rig = rig_setup(&sockmap);

	for (int round = 0; round < 40; round++) {
		struct rig_stream s;
		struct linger linger = { .l_onoff = 1, .l_linger = 0 };
		int *victim, other;
		char bytes[4096];
		ssize_t got;

		rig_stream_open(rig, &s, NULL);
		rig_tunnel(&s, 0);
		victim = round % 2 ? &s.server : &s.client;
		other = round % 2 ? s.client : s.server;
		send_pattern(rig, *victim, 1, 0, 3000);
		setsockopt(*victim, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
		close(*victim);
		*victim = -1;
		assert_true(rig_run(rig, rig_direction_ended, round % 2 ? &s.down : &s.up, 20000));
		set_blocking(other, true);
		do
			got = recv(other, bytes, sizeof(bytes), 0);
		while (got > 0);
		assert_int_equal(got, -1);
		assert_int_equal(errno, ECONNRESET);
		rig_stream_close(&s);
	}
	assert_int_equal(rig->worker->integrity_errors, 0);
	rig_teardown(rig, sockmap);
}

/* ---------------------------------------------------------------------------------------- quiet */

/* 400 events through an open gate wake the gateway at most for its own reasons, not for them. */
/* The clock of the program: a jiffy behind, or more where the machine stood still. */
static uint64_t coarse_ns(void)
{
	struct timespec now;

	assert_int_equal(clock_gettime(CLOCK_MONOTONIC_COARSE, &now), 0);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

TEST(an_open_gate_lets_user_space_sleep)
{
	struct sockmap *sockmap;
	struct rig *rig = rig_setup(&sockmap);
	struct rig_stream s;
	char event[200];

	rig_stream_open(rig, &s, NULL);
	rig_tunnel(&s, 0);
	set_blocking(s.server, true);
	rig_run_for(rig, 5);
	uint64_t wakeups = rig->wakeups;
	uint64_t started_ns = coarse_ns();
	for (int i = 0; i < 400; i++) {
		pattern_fill(event, 1, (uint64_t)i * sizeof(event), sizeof(event));
		assert_int_equal(send(s.client, event, sizeof(event), 0), sizeof(event));
		assert_int_equal(recv(s.server, event, sizeof(event), MSG_WAITALL), sizeof(event));
		if (i % 20 == 0)
			rig_turn(rig, 0);
	}
	rig_run_for(rig, 5);
	assert_int_equal(rig->wakeups, wakeups);
	struct sockmap_direction_stats stats = sockmap_direction_stats(&s.up.direction);
	assert_int_equal(stats.redirected_bytes, 400 * sizeof(event));
	assert_true(stats.is_open);
	/* Idle timers read this without a system call. */
	assert_in_range(stats.last_active_ns, started_ns, coarse_ns());
	uint64_t active_ns = stats.last_active_ns;
	rig_run_for(rig, 30);
	assert_true(sockmap_direction_stats(&s.up.direction).last_active_ns == active_ns);
	rig_stream_close(&s);
	rig_teardown(rig, sockmap);
}

/* A connection carries one request after the other; what closed the gate of one says nothing of the next. */
TEST(a_reason_is_of_the_direction_that_asks)
{
	struct sockmap *sockmap;
	struct rig *rig = rig_setup(&sockmap);
	struct rig_stream s;
	struct sockmap_direction_options options = { .framing = SOCKMAP_LENGTH, .length_bytes = 1000 };

	rig_stream_open(rig, &s, NULL);
	rig_stream_add(&s);
	rig_start(&s.up, &options);
	send_pattern(rig, s.client, 1, 0, 1000);
	expect(rig, s.server, 1, 0, 1000);
	assert_true(rig_run(rig, rig_direction_ended, &s.up, 20000));
	assert_int_equal(sockmap_direction_stats(&s.up.direction).reason, SOCKMAP_REASON_LIMIT);
	options.framing = SOCKMAP_UNTIL_CLOSE;
	rig_start(&s.up, &options);
	assert_int_equal(sockmap_direction_stats(&s.up.direction).reason, SOCKMAP_REASON_NONE);
	send_pattern(rig, s.client, 2, 0, 1000);
	expect(rig, s.server, 2, 0, 1000);
	assert_true(sockmap_direction_stats(&s.up.direction).is_open);
	assert_int_equal(sockmap_direction_stats(&s.up.direction).reason, SOCKMAP_REASON_NONE);
	/* One that never opens has a reason, too. */
	sockmap_direction_leave(&s.up.direction);
	rig_step(&s.up);
	assert_int_equal(s.up.end, RIG_BYTES);
	options.framing = SOCKMAP_CHUNKED_BODY;
	rig_start(&s.down, &options);
	assert_true(send_all(rig, s.server, "0\r\n\r\n", 5));
	assert_true(rig_run(rig, rig_direction_ended, &s.down, 20000));
	assert_int_equal(sockmap_direction_stats(&s.down.direction).pauses, 0);
	assert_int_equal(sockmap_direction_stats(&s.down.direction).reason, SOCKMAP_REASON_CHUNK_LAST);
	rig_stream_close(&s);
	rig_teardown(rig, sockmap);
}

/* A ring that nobody read for long loses events; the next look finds every gate all the same. */
TEST(lost_events_are_made_up_for)
{
	struct sockmap *sockmap;
	struct rig *rig = rig_setup(&sockmap);
	struct rig_stream noisy, late;
	struct sockmap_direction_options refuse = { .framing = SOCKMAP_CHUNKED_BODY };

	rig_stream_open(rig, &noisy, NULL);
	rig_stream_open(rig, &late, NULL);
	rig_stream_add(&noisy);
	rig_start(&noisy.up, &refuse);
	rig_tunnel(&late, 0);
	struct sockmap_record *record = sockmap_socket_record(&noisy.front_socket);
	/* Pieces that come together are one event: how many it takes is not known. */
	for (uint64_t until = now_ms() + 60000; now_ms() < until && record->kernel.lost_events == 0;) {
		char byte;

		assert_int_equal(send(noisy.client, "x", 1, 0), 1);
		recv(noisy.front, &byte, 1, MSG_DONTWAIT);
		/* As if user space were awake and quick, only that it does not empty the ring. */
		__atomic_store_n(&record->user.forwarded_bytes, record->kernel.passed_bytes,
				 __ATOMIC_SEQ_CST);
	}
	assert_true(record->kernel.lost_events > 0);
	/* The event of this one has no room any more. */
	shutdown(late.client, SHUT_WR);
	assert_true(rig_run(rig, rig_direction_ended, &late.up, 20000));
	assert_int_equal(late.up.end, RIG_EOF);
	assert_true(rig->worker->lost_events > 0);
	rig_stream_close(&noisy);
	rig_stream_close(&late);
	rig_free(rig);
	sockmap_free(sockmap);
}

TEST(a_lost_integrity_is_made_up_for)
{
	struct sockmap *sockmap;
	struct rig *rig = rig_setup(&sockmap);
	struct rig_stream s;
	struct sockmap_direction_options options = { .framing = SOCKMAP_UNTIL_CLOSE };

	rig_stream_open(rig, &s, NULL);
	rig_stream_add(&s);
	rig_start(&s.down, &options);
	sockmap_socket_record(&s.back_socket)->kernel.integrity_error = SOCKMAP_REASON_INTEGRITY_GAP;
	sockmap_worker_poll(rig->worker);
	assert_int_equal(s.down.end, RIG_RUNNING);
	/* As the program does when the ring is full. */
	__atomic_add_fetch(&sockmap->workers[rig->worker->ring].lost_events, 1, __ATOMIC_RELAXED);
	sockmap_worker_poll(rig->worker);
	assert_int_equal(s.down.end, RIG_INTEGRITY_ERROR);
	assert_int_equal(s.down.reason, SOCKMAP_REASON_INTEGRITY_GAP);
	rig_stream_close(&s);
	rig_free(rig);
	sockmap_free(sockmap);
}

/* The parameter of the test below hides the function of this name. */
static int socket_udp(void)
{
	return socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

TEST(sockets_that_cannot_be_spliced_are_refused)
{
	struct sockmap *sockmap;
	struct rig *rig = rig_setup(&sockmap);
	struct rig_stream s;
	struct sockmap_socket socket = { 0 };
	int datagram = socket_udp();

	assert_int_equal(sockmap_socket_add(rig->worker, &socket, datagram), -EOPNOTSUPP);
	assert_false(sockmap_socket_is_added(&socket));
	close(datagram);
	/* The peer has closed: too late for the map. */
	rig_stream_open(rig, &s, NULL);
	shutdown(s.client, SHUT_WR);
	assert_int_equal(poll(&(struct pollfd){ .fd = s.front, .events = POLLIN }, 1, 20000), 1);
	assert_int_equal(sockmap_socket_add(rig->worker, &s.front_socket, s.front), -EOPNOTSUPP);
	assert_int_equal(sockmap_socket_add(rig->worker, &s.back_socket, s.back), 0);
	struct sockmap_direction_options self = { .source = &s.back_socket, .target = &s.back_socket };
	struct sockmap_direction direction = { 0 };
	assert_int_equal(sockmap_direction_start(&direction, &self), -EINVAL);
	self.source = &s.front_socket;
	assert_int_equal(sockmap_direction_start(&direction, &self), -EINVAL);
	rig_stream_close(&s);
	rig_teardown(rig, sockmap);
}

/* What is redirected into a socket and what is passed up on it would wait in one queue of the kernel. */
TEST(a_socket_is_source_or_target_and_changes_between_directions)
{
	struct sockmap *sockmap;
	struct rig *rig = rig_setup(&sockmap);
	struct rig_stream s;
	struct sockmap_direction_options until_close = { .framing = SOCKMAP_UNTIL_CLOSE };
	struct sockmap_direction_options body = { .framing = SOCKMAP_LENGTH, .length_bytes = 4000 };

	rig_stream_open(rig, &s, NULL);
	rig_stream_add(&s);
	for (uint64_t round = 0; round < 200; round++) {
		struct rig_direction *direction = round % 2 ? &s.down : &s.up;
		struct rig_direction *other = round % 2 ? &s.up : &s.down;
		int from = round % 2 ? s.server : s.client;
		int to = round % 2 ? s.client : s.server;

		rig_start(direction, &body);
		assert_int_equal(rig_try_start(other, &until_close), -EBUSY);
		send_pattern(rig, from, 1 + round % 2, round / 2 * 4000, 4000);
		expect(rig, to, 1 + round % 2, round / 2 * 4000, 4000);
		assert_true(rig_run(rig, rig_direction_ended, direction, 20000));
		assert_int_equal(direction->end, RIG_DONE);
		assert_false(direction->source->is_source);
	}
	/* Bytes of the next message keep it a source until they are read. */
	rig_start(&s.up, &body);
	send_pattern(rig, s.client, 3, 0, 4001);
	assert_true(rig_run(rig, rig_direction_ended, &s.up, 20000));
	assert_int_equal(rig_try_start(&s.down, &body), -EBUSY);
	expect(rig, s.front, 3, 4000, 1);
	sockmap_socket_note_read(&s.front_socket, 1);
	rig_start(&s.down, &body);
	rig_stream_close(&s);
	rig_teardown(rig, sockmap);
}

/* Taking the verdict off and putting it on again, at any moment of a stream. */
static void come_and_go(unsigned int bytes, int pause_us)
{
	struct sockmap *sockmap;
	struct rig *rig = rig_setup(&sockmap);
	struct rig_stream s;
	struct sockmap_direction_options options = { .framing = SOCKMAP_UNTIL_CLOSE };
	struct actor writer = { .shuts_down = true, .pause_us = pause_us, .pause_every = 16 };
	struct actor reader = { .expects_eof = true };
	uint64_t random = 5;
	unsigned int changes = 0;

	rig_stream_open(rig, &s, NULL);
	rig_stream_add(&s);
	actor_read(&reader, s.server, 1, bytes, 60000);
	actor_write(&writer, s.client, 1, bytes, 60000);
	while (!actor_finished(&reader)) {
		int error = rig_try_start(&s.up, &options);

		if (error == -EAGAIN)
			continue;
		if (error)
			break;
		changes++;
		rig_run_for(rig, (int)(random_u32(&random) % 3));
		if (s.up.end != RIG_RUNNING)
			break;
		sockmap_direction_leave(&s.up.direction);
		rig_step(&s.up);
		assert_true(rig_run(rig, rig_direction_ended, &s.up, 20000));
		if (s.up.end != RIG_BYTES)
			break;
		assert_true(rig_drain(&s.up));
	}
	if (s.up.end == RIG_BYTES || s.up.end == RIG_RUNNING)
		rig_copy(&s.up);
	assert_true(rig_run(rig, actor_finished, &reader, 20000));
	actor_join(&writer);
	actor_join(&reader);
	actor_check(&reader, &writer, bytes);
	assert_in_range(changes, 2, UINT32_MAX);
	rig_stream_close(&s);
	rig_teardown(rig, sockmap);
}

TEST(bytes_survive_the_coming_and_going_of_the_verdict)
{
	come_and_go(64 << 20, 1000);
}

/* Bytes that come in faster than they can be counted are no sign of a loss. */
TEST(a_sender_that_never_pauses_is_not_taken_for_one_that_lost_bytes)
{
	come_and_go(256 << 20, 0);
}

/* Bytes under way while the clock jumps by a minute a look. False: the kernel's worker was not late. */
static bool pause_of_the_machine(void)
{
	struct rig_stream stream;
	struct sockmap *sockmap;
	struct rig *rig = rig_setup(&sockmap);
	struct starver starver = { .ms = 100 };
	struct sockmap_direction *up = &stream.up.direction;
	uint64_t at = now_ms(), looks = 0;
	cpu_set_t allowed;

	rig_stream_open(rig, &stream, NULL);
	rig_tunnel(&stream, 0);
	assert_true(put(rig, stream.client, "ready"));
	assert_true(says(rig, stream.server, "ready"));
	starver.fd = stream.client;
	assert_int_equal(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
	starver_start(&starver, &allowed);
	while (!atomic_load(&starver.has_sent))
		;
	sockmap_direction_leave(up);
	for (; sockmap_direction_is_running(up) && looks < 3; looks++) {
		enum sockmap_step step = sockmap_direction_step(up, at);

		assert_true(step == SOCKMAP_STEP_TICK || step == SOCKMAP_STEP_WAIT ||
			    step == SOCKMAP_STEP_BYTES);
		at += 60000;
	}
	pthread_join(starver.thread, NULL);
	sched_setaffinity(0, sizeof(allowed), &allowed);
	for (int i = 0; i < 100 && sockmap_direction_is_running(up); i++) {
		rig_run_for(rig, 5);
		if (sockmap_direction_is_running(up))
			(void)sockmap_direction_step(up, at += SOCKMAP_TICK_MAX_MS);
	}
	assert_false(sockmap_direction_is_running(up));
	assert_int_equal(sockmap_direction_stats(up).reason, SOCKMAP_REASON_NONE);
	rig_stream_close(&stream);
	rig_teardown(rig, sockmap);
	return looks > 1;
}

/* The clock says that the machine stood still for a minute while bytes were under way: none is lost. */
TEST(a_pause_of_the_machine_is_no_loss)
{
	int tries = 0;

	/* The kernel schedules its worker where and when it likes: most tries find it late. */
	while (!pause_of_the_machine())
		assert_in_range(++tries, 1, 20);
}

/* What a sequence that broke does to a socket that no direction watches. */
TEST(a_broken_socket_is_known_and_starts_nothing)
{
	struct sockmap *sockmap;
	struct rig *rig = rig_setup(&sockmap);
	struct rig_stream s;
	struct sockmap_direction_options options = { .framing = SOCKMAP_LENGTH, .length_bytes = 3 };
	struct sockmap_direction again = { 0 };

	rig_stream_open(rig, &s, NULL);
	rig_stream_add(&s);
	rig_start(&s.up, &options);
	send_pattern(rig, s.client, 1, 0, 3);
	assert_true(rig_run(rig, rig_direction_ended, &s.up, 20000));
	assert_false(sockmap_socket_has_integrity_error(&s.front_socket));
	sockmap_socket_record(&s.front_socket)->kernel.integrity_error = SOCKMAP_REASON_INTEGRITY_GAP;
	assert_true(sockmap_socket_has_integrity_error(&s.front_socket));
	options.source = &s.front_socket;
	options.target = &s.back_socket;
	assert_int_equal(sockmap_direction_start(&again, &options), -EPROTO);
	/* As the target of the other way, too. */
	assert_int_equal(rig_try_start(&s.down, &options), -EPROTO);
	rig_stream_close(&s);
	rig_teardown(rig, sockmap);
}

/* Memory that is not there at any point of loading and starting: -ENOMEM, and everything is given back. */
TEST(each_failed_allocation_is_an_error_and_no_leak)
{
	static const struct sockmap_options options = { .slot_count = 16, .worker_count = 2 };
	unsigned long nth;

	sockmap_free(rig_sockmap(&options));
	for (nth = 1; nth < 50; nth++) {
		struct sockmap *sockmap = NULL;
		struct sockmap_worker *worker = NULL;
		struct text why;

		text_init(&why);
		mem_fail_nth(nth);
		int error = sockmap_load(&options, &sockmap, &why);
		if (!error)
			error = sockmap_worker_create(sockmap, &worker);
		mem_fail_nth(0);
		sockmap_worker_free(worker);
		sockmap_free(sockmap);
		text_done(&why);
		if (!error)
			break;
		assert_int_equal(error, -ENOMEM);
	}
	assert_in_range(nth, 4, 49);
}

TEST(the_self_test_passes_here)
{
	struct sockmap *sockmap = rig_sockmap(NULL);
	struct text why;
	uint64_t took_ns = 0;

	text_init(&why);
	for (int i = 0; i < 5; i++)
		assert_int_equal(sockmap_selftest(sockmap, &why, &took_ns), 0);
	assert_int_equal(sockmap_count_taken(sockmap), 0);
	text_done(&why);
	sockmap_free(sockmap);
}

TEST_ROWS(tunnel_keeps_every_byte, traffics);
