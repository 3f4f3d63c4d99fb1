/* SPDX-License-Identifier: Apache-2.0 */
/* Readers that stop for good: what the gateway takes in for them is bounded, and others do not feel it. */
#include <errno.h>
#include <linux/sock_diag.h>
#include <stdlib.h>
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
	.front_receive = BUFFER,
	.front_send = BUFFER,
	.back_receive = BUFFER,
	.back_send = BUFFER,
	.client_receive = BUFFER,
	.client_send = BUFFER,
	.server_receive = BUFFER,
	.server_send = BUFFER,
};

static uint32_t charged_bytes(int fd, int queue, int limit)
{
	uint32_t memory[SK_MEMINFO_VARS];
	socklen_t len = sizeof(memory);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &len), 0);
	/* A queue with any room at all takes a whole piece more. */
	assert_in_range(memory[queue], 0, memory[limit] + 2 * 65536);
	return memory[queue];
}

/* What the queues of its four sockets take in the kernel, overhead included. */
static uint64_t stream_charged_bytes(const struct rig_stream *s)
{
	const int fds[] = { s->client, s->front, s->back, s->server };
	uint64_t bytes = 0;

	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		bytes += charged_bytes(fds[i], SK_MEMINFO_RMEM_ALLOC, SK_MEMINFO_RCVBUF) +
			 charged_bytes(fds[i], SK_MEMINFO_WMEM_QUEUED, SK_MEMINFO_SNDBUF);
	return bytes;
}

static struct rig_stream stalled[100];
static uint64_t taken[ARRAY_LEN(stalled)];

TEST(stalled_readers_cost_their_buffers_and_no_more)
{
	struct sockmap *sockmap = rig_sockmap(NULL);
	struct rig *rig = rig_create(sockmap);
	const uint32_t credit = 100000;
	uint64_t charged = 0;

	for (size_t i = 0; i < ARRAY_LEN(stalled); i++) {
		struct sockmap_direction_options down = { .framing = SOCKMAP_UNTIL_CLOSE,
							  .credit_bytes = credit };

		rig_stream_open(rig, &stalled[i], &fixed);
		rig_stream_add(&stalled[i]);
		rig_start(&stalled[i].down, &down);
	}
	/* Again and again: nothing more goes in. */
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < ARRAY_LEN(stalled); i++)
			taken[i] += send_until_full(rig, stalled[i].server, 2, taken[i], 64 << 20, 10);
	}
	for (size_t i = 0; i < ARRAY_LEN(stalled); i++)
		assert_in_range(taken[i], BUFFER, STREAM_MAX_BYTES + credit);
	/* What waits between sockets is payload and within the credit; in queues it has its overhead. */
	for (size_t i = 0; i < ARRAY_LEN(stalled); i++)
		charged += stream_charged_bytes(&stalled[i]);
	print_message("%zu bytes of each are taken, %zu bytes of memory\n", taken[0],
		      charged / ARRAY_LEN(stalled));
	assert_in_range(charged, ARRAY_LEN(stalled) * BUFFER, ARRAY_LEN(stalled) * 2 * STREAM_MAX_BYTES);

	/* User space sleeps: a stalled stream costs no polling. */
	uint64_t wakeups, until = now_ms() + 20000;
	do { /* the last acknowledgements */
		wakeups = rig->wakeups;
		rig_run_for(rig, 100);
	} while (rig->wakeups != wakeups && now_ms() < until);
	wakeups = rig->wakeups;
	rig_run_for(rig, 300);
	assert_in_range(rig->wakeups - wakeups, 0, 10);

	/* Another stream over the same worker goes on beside them. */
	struct rig_stream other;
	struct actor writer = { .shuts_down = true }, reader = { .expects_eof = true };
	rig_stream_open(rig, &other, NULL);
	rig_tunnel(&other, 0);
	actor_read(&reader, other.server, 1, 16 << 20, 60000);
	actor_write(&writer, other.client, 1, 16 << 20, 60000);
	assert_true(rig_run(rig, actor_finished, &reader, 60000));
	actor_join(&writer);
	actor_join(&reader);
	assert_int_equal(reader.done, 16 << 20);
	assert_int_equal(reader.wrong_at, -1);
	rig_stream_close(&other);

	for (size_t i = 0; i < ARRAY_LEN(stalled); i++) {
		assert_int_equal(stalled[i].down.end, RIG_RUNNING);
		rig_stream_close(&stalled[i]);
	}
	assert_int_equal(sockmap_count_taken(sockmap), 0);
	assert_int_equal(atomic_load(&sockmap->slots.credit_bytes), 0);
	rig_free(rig);
	sockmap_free(sockmap);
}

/* A client that never reads its download uploads all the same; the server gets everything at once. */
TEST(an_upload_flows_while_the_download_stands_still)
{
	struct sockmap *sockmap = rig_sockmap(NULL);
	struct rig *rig = rig_create(sockmap);
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
	assert_true(rig_run(rig, actor_finished, &reader, 60000));
	actor_join(&writer);
	actor_join(&reader);
	assert_int_equal(reader.done, 8 << 20);
	assert_int_equal(reader.wrong_at, -1);
	assert_int_equal(s.up.end, RIG_EOF);
	assert_int_equal(s.down.end, RIG_RUNNING);
	rig_stream_close(&s);
	rig_free(rig);
	sockmap_free(sockmap);
}

/* A tunnel is two sockets and two directions here, and two shared records of kernel memory. */
static_assert(2 * (sizeof(struct sockmap_socket) + sizeof(struct sockmap_direction)) <= 1024,
	      "an idle tunnel");

TEST(idle_tunnels_wake_nobody)
{
	enum { COUNT = 500 };
	struct sockmap *sockmap = rig_sockmap(NULL);
	struct rig *rig = rig_create(sockmap);
	struct rig_stream *streams = calloc(COUNT, sizeof(*streams));

	assert_non_null(streams);
	for (int i = 0; i < COUNT; i++) {
		rig_stream_open(rig, &streams[i], NULL);
		rig_tunnel(&streams[i], 0);
	}
	uint64_t wakeups = rig->wakeups;
	rig_run_for(rig, 100);
	assert_int_equal(rig->wakeups, wakeups);
	assert_int_equal(sockmap_count_taken(sockmap), 2 * COUNT);
	for (int i = 0; i < COUNT; i++)
		rig_stream_close(&streams[i]);
	free(streams);
	rig_free(rig);
	sockmap_free(sockmap);
}

static int allow_files(void **state)
{
	struct rlimit files = { 8192, 8192 };

	(void)state;
	setrlimit(RLIMIT_NOFILE, &files);
	return 0;
}

TEST_GROUP(allow_files, NULL);
