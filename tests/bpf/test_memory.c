/* SPDX-License-Identifier: Apache-2.0 */
/* Readers that stop for good: what the gateway takes in for them is bounded, and others do not feel it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bpf/actor.h"
#include "tests/bpf/rig.h"
#include "tests/bpf/traffic.h"
#include "tests/lib/test.h"
#include "user/base/check.h"

#define BUFFER 65536
/*
 * The kernel doubles SO_SNDBUF and SO_RCVBUF; four of each lie between a client and a server. A send queue
 * with any room at all takes a whole piece more.
 */
#define STREAM_MAX_BYTES (4 * 2 * BUFFER + 2 * 65536)

static const struct rig_buffers fixed = {
	.front_receive = BUFFER, .front_send = BUFFER, .back_receive = BUFFER, .back_send = BUFFER,
	.client_receive = BUFFER, .client_send = BUFFER, .server_receive = BUFFER, .server_send = BUFFER,
};

static uint64_t meminfo_bytes(const char *name)
{
	FILE *file = fopen("/proc/meminfo", "re");
	char line[128];
	uint64_t kb = 0;

	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		if (strncmp(line, name, strlen(name)) == 0)
			kb = strtoull(line + strlen(name), NULL, 10);
	}
	fclose(file);
	return kb * 1024;
}

static struct rig_stream stalled[100];
static uint64_t taken[ARRAY_LEN(stalled)];

TEST(stalled_readers_cost_their_buffers_and_no_more)
{
	struct gate *gate = rig_gate(NULL);
	struct rig *rig = rig_create(gate);
	const uint32_t credit = 100000;
	uint64_t before;

	for (size_t i = 0; i < ARRAY_LEN(stalled); i++) {
		struct gate_direction_options down = { .framing = GATE_UNTIL_CLOSE, .credit_bytes = credit };

		rig_stream_open(rig, &stalled[i], &fixed);
		rig_stream_add(&stalled[i]);
		rig_start(&stalled[i].down, &down);
	}
	before = meminfo_bytes("MemAvailable:");
	/* Again and again: nothing more goes in. */
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < ARRAY_LEN(stalled); i++)
			taken[i] += send_until_full(rig, stalled[i].server, 2, taken[i], 64 << 20, 10);
	}
	for (size_t i = 0; i < ARRAY_LEN(stalled); i++)
		assert_in_range(taken[i], BUFFER, STREAM_MAX_BYTES + credit);
	/*
	 * Truesize is up to twice the payload. Others use memory, too: a gigabyte is left to them, and the
	 * best of some looks counts. Without a bound it would be 6400 MiB.
	 */
	uint64_t bound = ARRAY_LEN(stalled) * 2 * (STREAM_MAX_BYTES + credit) + (1 << 30);
	uint64_t after = meminfo_bytes("MemAvailable:");
	for (int look = 0; look < 60 && after + bound < before; look++) {
		rig_run_for(rig, 50);
		after = meminfo_bytes("MemAvailable:");
	}
	if (after + bound < before)
		fail_msg("%llu bytes of memory are gone", (unsigned long long)(before - after));

	/* User space sleeps: a stalled stream costs no polling. */
	uint64_t wakeups, until = now_ms() + 20000;
	do { /* the last acknowledgements */
		wakeups = rig->wakeups;
		rig_run_for(rig, 100);
	} while (rig->wakeups != wakeups && now_ms() < until);
	wakeups = rig->wakeups;
	rig_run_for(rig, 300);
	assert_in_range(rig->wakeups - wakeups, 0, 10);

	/* Another stream over the same worker keeps its speed. */
	struct rig_stream other;
	struct actor writer = { .shuts_down = true }, reader = { .expects_eof = true };
	rig_stream_open(rig, &other, NULL);
	rig_tunnel(&other, 0);
	actor_read(&reader, other.server, 1, 64 << 20, 60000);
	actor_write(&writer, other.client, 1, 64 << 20, 60000);
	assert_true(rig_run(rig, actor_finished, &reader, 20000));
	actor_join(&writer);
	actor_join(&reader);
	assert_int_equal(reader.done, 64 << 20);
	assert_int_equal(reader.wrong_at, -1);
	rig_stream_close(&other);

	for (size_t i = 0; i < ARRAY_LEN(stalled); i++) {
		assert_int_equal(stalled[i].down.end, RIG_RUNNING);
		rig_stream_close(&stalled[i]);
	}
	assert_int_equal(gate_count_taken(gate), 0);
	assert_int_equal(atomic_load(&gate->slots.credit_bytes), 0);
	rig_free(rig);
	gate_free(gate);
}

/* A client that never reads its download uploads all the same; the server gets everything at once. */
TEST(an_upload_flows_while_the_download_stands_still)
{
	struct gate *gate = rig_gate(NULL);
	struct rig *rig = rig_create(gate);
	struct rig_stream s;
	struct actor reader = { .expects_eof = true, .pause_us = 200, .pause_every = 8 };
	struct actor writer = { .shuts_down = true };
	uint64_t stuck;

	rig_stream_open(rig, &s, &fixed);
	rig_tunnel(&s, 0);
	stuck = send_until_full(rig, s.server, 2, 0, 64 << 20, 30);
	assert_in_range(stuck, BUFFER, STREAM_MAX_BYTES);
	actor_read(&reader, s.server, 1, 8 << 20, 30000);
	actor_write(&writer, s.client, 1, 8 << 20, 30000);
	assert_true(rig_run(rig, actor_finished, &reader, 20000));
	actor_join(&writer);
	actor_join(&reader);
	assert_int_equal(reader.done, 8 << 20);
	assert_int_equal(reader.wrong_at, -1);
	assert_int_equal(s.up.end, RIG_EOF);
	assert_int_equal(s.down.end, RIG_RUNNING);
	rig_stream_close(&s);
	rig_free(rig);
	gate_free(gate);
}

/* A tunnel is two sockets and two directions here, and two shared records of kernel memory. */
static_assert(2 * (sizeof(struct gate_socket) + sizeof(struct gate_direction)) <= 1024, "an idle tunnel");

TEST(idle_tunnels_wake_nobody)
{
	enum { COUNT = 500 };
	struct gate *gate = rig_gate(NULL);
	struct rig *rig = rig_create(gate);
	struct rig_stream *streams = calloc(COUNT, sizeof(*streams));

	assert_non_null(streams);
	for (int i = 0; i < COUNT; i++) {
		rig_stream_open(rig, &streams[i], NULL);
		rig_tunnel(&streams[i], 0);
	}
	uint64_t wakeups = rig->wakeups;
	rig_run_for(rig, 100);
	assert_int_equal(rig->wakeups, wakeups);
	assert_int_equal(gate_count_taken(gate), 2 * COUNT);
	for (int i = 0; i < COUNT; i++)
		rig_stream_close(&streams[i]);
	free(streams);
	rig_free(rig);
	gate_free(gate);
}

static int allow_files(void **state)
{
	struct rlimit files = { 8192, 8192 };

	(void)state;
	setrlimit(RLIMIT_NOFILE, &files);
	return 0;
}

TEST_GROUP(allow_files, NULL);
