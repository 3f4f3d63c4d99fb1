/* SPDX-License-Identifier: Apache-2.0 */
/* The same-host lanes: bytes, ends, readers that stop. */
#include <errno.h>
#include <linux/sock_diag.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bpf/actor.h"
#include "tests/bpf/local_rig.h"
#include "tests/bpf/rig.h"
#include "tests/lib/test.h"

static const struct local_tunnel_options plain = { 0 };

static bool says(struct local_tunnel *t, int from, int to, const char *text)
{
	char bytes[256] = "";

	return tunnel_send(t, from, text, strlen(text), 20000) == strlen(text) &&
	       tunnel_receive(t, to, bytes, strlen(text), 20000) == strlen(text) &&
	       memcmp(bytes, text, strlen(text)) == 0;
}

static void check_first_words(int family)
{
	struct local *local = local_rig_load(NULL);
	struct local_tunnel_options options = { .family = family };
	struct local_tunnel t;

	tunnel_open(local, &t, &options);
	assert_int_equal(local_look(local, t.front), 1);
	assert_true(says(&t, t.client, t.server, "passed before"));
	assert_int_equal(local_look(local, t.back), 1);
	tunnel_start(&t);
	assert_true(says(&t, t.client, t.server, "request"));
	assert_true(says(&t, t.server, t.client, "answer"));
	assert_int_equal(local_direction_stats(&t.up.direction).lane, LOCAL_LANE_DIRECT);
	assert_int_equal(local_direction_stats(&t.down.direction).lane, LOCAL_LANE_DIRECT);
	assert_int_equal(local_direction_stats(&t.up.direction).direct_bytes, 7);
	assert_int_equal(t.up.copied_bytes, 13);
	assert_int_equal(t.down.copied_bytes, 0);
	assert_true(local_direction_stats(&t.down.direction).last_active_ns > 0);
	assert_int_equal(local_count_directions(local), 2);
	tunnel_close(&t);
	assert_int_equal(local_count_directions(local), 0);
	local_free(local);
}

TEST(words_go_direct)
{
	check_first_words(AF_INET);
	check_first_words(AF_INET6);
}

/* ---------------------------------------------------------------------------------------- integrity */

struct traffic {
	struct actor writers[2], readers[2]; /* client to server, server to client */
};

static bool traffic_is_over(void *arg)
{
	struct traffic *f = arg;

	return f->readers[0].is_finished && f->readers[1].is_finished && f->writers[0].is_finished &&
	       f->writers[1].is_finished;
}

static bool both_are_over(void *arg)
{
	struct local_tunnel *t = arg;

	return t->up.is_over && t->down.is_over;
}

static bool up_failed(void *arg)
{
	return ((struct local_tunnel *)arg)->up.error != 0;
}

/* Both ways at once until both ends have seen the end of the other; what each lane carried is added. */
static void check_traffic(const struct local_tunnel_options *options, uint64_t seed, bool starts_late,
			  const struct traffic *shape, uint64_t bytes, uint32_t piece,
			  uint64_t carried[LOCAL_LANE_COUNT])
{
	struct local *local = local_rig_load(NULL);
	struct local_tunnel t;
	struct traffic f = *shape;
	int fds[2];

	tunnel_open(local, &t, options);
	fds[0] = t.client;
	fds[1] = t.server;
	if (!starts_late)
		tunnel_start(&t);
	for (int i = 0; i < 2; i++) {
		f.readers[i].expects_eof = f.writers[i].shuts_down = true;
		actor_read(&f.readers[i], fds[1 - i], seed + (uint64_t)i, bytes, piece);
		actor_write(&f.writers[i], fds[i], seed + (uint64_t)i, bytes, piece);
	}
	/* Bytes are under way in every buffer when the lanes begin. */
	tunnel_run_for(&t, 2);
	if (starts_late)
		tunnel_start(&t);
	assert_true(tunnel_run(&t, traffic_is_over, &f, 60000));
	for (int i = 0; i < 2; i++) {
		actor_join(&f.readers[i]);
		actor_join(&f.writers[i]);
		assert_int_equal(f.readers[i].wrong_at, -1);
		assert_int_equal(f.readers[i].done, bytes);
		assert_true(f.readers[i].saw_eof);
		assert_int_equal(f.writers[i].error, 0);
	}
	/* The FIN may be read before the gateway has looked for the other one. */
	assert_true(tunnel_run(&t, both_are_over, &t, 20000));
	const struct local_rig_direction *directions[2] = { &t.up, &t.down };
	for (int i = 0; i < 2; i++) {
		struct local_stats stats = local_direction_stats(&directions[i]->direction);

		assert_int_equal(directions[i]->error, 0);
		assert_true(directions[i]->is_over);
		assert_int_equal(stats.direct_bytes + directions[i]->copied_bytes, bytes);
		carried[LOCAL_LANE_COPY] += directions[i]->copied_bytes;
		carried[LOCAL_LANE_DIRECT] += stats.direct_bytes;
	}
	tunnel_close(&t);
	local_free(local);
}

/* Fast, and with random pauses of writers and readers, so that every change of lane comes up. */
TEST(bytes_stay_in_order)
{
	struct local_tunnel_options options = { 0 };
	uint64_t carried[LOCAL_LANE_COUNT] = { 0 };

	for (uint64_t round = 0; round < 8; round++) {
		struct traffic shape = { 0 };

		for (int i = 0; i < 2; i++) {
			shape.readers[i].pause_us = round % 2 ? 3000 : 0;
			shape.readers[i].pause_every = round % 2 ? 100 : 0;
			shape.writers[i].pause_us = round % 4 == 2 ? 300 : 0;
			shape.writers[i].pause_every = round % 4 == 2 ? 10 : 0;
		}
		options.family = round % 3 == 2 ? AF_INET6 : AF_INET;
		options.server_receive = options.client_receive = round >= 4 ? 32768 : 0;
		options.back_send = options.front_send = round >= 6 ? 32768 : 0;
		check_traffic(&options, 10 * round, round % 4 == 3, &shape, 12 << 20,
			      round % 2 ? 30000 : 100000, carried);
	}
	printf("copy %llu, direct %llu KiB\n", (unsigned long long)carried[LOCAL_LANE_COPY] >> 10,
	       (unsigned long long)carried[LOCAL_LANE_DIRECT] >> 10);
	assert_true(carried[LOCAL_LANE_COPY] > 0);
	assert_true(carried[LOCAL_LANE_DIRECT] > 0);
}

/* Messages of a few bytes, back and forth: the lanes begin and end at every byte position. */
TEST(small_messages_stay_in_order)
{
	struct local_tunnel_options options = { 0 };
	struct traffic shape = { 0 };
	uint64_t carried[LOCAL_LANE_COUNT] = { 0 };

	shape.readers[0].pause_us = shape.readers[1].pause_us = 200;
	shape.readers[0].pause_every = shape.readers[1].pause_every = 50;
	check_traffic(&options, 77, true, &shape, 300000, 7, carried);
}

/* ---------------------------------------------------------------------------------------- ends */

static uint32_t receive_memory(int fd)
{
	uint32_t memory[SK_MEMINFO_VARS];
	socklen_t len = sizeof(memory);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &len), 0);
	return memory[SK_MEMINFO_RMEM_ALLOC];
}

/* A tunnel whose up direction has been filled until it took nothing more; how much it took. */
static uint64_t filled_tunnel(struct local *local, struct local_tunnel *t,
			      const struct local_tunnel_options *options)
{
	tunnel_open(local, t, options);
	assert_true(says(t, t->client, t->server, "hello"));
	tunnel_start(t);
	return tunnel_fill(t, t->client, 5, 0, 64 << 20, 50);
}

/* A reader stops for good, and comes back after all: falls back, stays bounded, returns to its lane. */
TEST(a_stopped_reader_is_bounded)
{
	struct local *local = local_rig_load(NULL);
	struct local_tunnel_options options = { .back_send = 65536, .front_receive = 65536 };
	struct local_tunnel t;
	uint64_t written;

	written = filled_tunnel(local, &t, &options);
	/* The bound, one message, and what TCP has for a socket of 64 KiB. */
	assert_true(receive_memory(t.server) <= LOCAL_RECEIVER_BYTES + (544 << 10) + 4 * 65536);
	assert_true(receive_memory(t.server) > LOCAL_RECEIVER_BYTES / 2);
	assert_true(written < 12 << 20);
	struct local_stats stats = local_direction_stats(&t.up.direction);
	assert_int_equal(stats.lane, LOCAL_LANE_COPY);
	assert_true(stats.direct_bytes > 0 && t.up.copied_bytes > 0);
	assert_true(t.up.direction.record->kernel.receiver_peak_bytes <= LOCAL_RECEIVER_BYTES);
	assert_true(tunnel_check(&t, t.server, 5, 0, written, 20000));
	assert_int_equal(receive_memory(t.server), 0);
	assert_true(says(&t, t.client, t.server, "again"));
	assert_int_equal(local_direction_stats(&t.up.direction).lane, LOCAL_LANE_DIRECT);
	assert_int_equal(local_direction_check(&t.up.direction), 0);
	tunnel_close(&t);
	local_free(local);
}

/* Whose buffer has a size that was chosen: TCP must not take back the window that it has announced. */
TEST(a_chosen_receive_buffer_is_not_exceeded)
{
	struct local *local = local_rig_load(NULL);
	struct local_tunnel_options options = { .back_send = 65536,
						.server_receive = 65536,
						.front_receive = 65536 };
	struct local_tunnel t;
	uint64_t written;

	written = filled_tunnel(local, &t, &options);
	assert_true(local_direction_stats(&t.up.direction).direct_bytes > 0);
	assert_true(receive_memory(t.server) <= 2 * 65536);
	assert_true(tunnel_check(&t, t.server, 5, 0, written, 20000));
	tunnel_close(&t);
	local_free(local);
}

/* A sender that does not block waits for EPOLLOUT, as programs do, while its reader is slow. */
TEST(a_sender_that_waits_for_an_edge_gets_it)
{
	struct local *local = local_rig_load(NULL);
	struct local_tunnel_options options = { .back_send = 65536,
						.server_receive = 65536,
						.front_receive = 65536 };
	struct epoll_event event = { .events = EPOLLOUT | EPOLLET };
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	struct local_tunnel t;
	uint64_t written;

	written = filled_tunnel(local, &t, &options);
	assert_int_equal(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, t.client, &event), 0);
	/* The state at registration. */
	while (epoll_wait(epoll_fd, &event, 1, 0) == 1)
		written += tunnel_fill(&t, t.client, 5, written, 64 << 20, 20);
	assert_true(tunnel_check(&t, t.server, 5, 0, written, 20000));
	assert_int_equal(epoll_wait(epoll_fd, &event, 1, 20000), 1);
	close(epoll_fd);
	tunnel_close(&t);
	local_free(local);
}

/* The gateway has passed both FINs on and closed before the receiver reads the first byte. */
TEST(queued_bytes_outlive_the_gateway)
{
	struct local *local = local_rig_load(NULL);
	struct local_tunnel t;
	char bytes[16384];
	uint64_t position = 0;
	ssize_t got;

	tunnel_open(local, &t, &plain);
	tunnel_start(&t);
	assert_int_equal(tunnel_fill(&t, t.client, 6, 0, 200000, 50), 200000);
	assert_int_equal(local_direction_stats(&t.up.direction).direct_bytes, 200000);
	assert_int_equal(shutdown(t.client, SHUT_WR), 0);
	assert_int_equal(shutdown(t.server, SHUT_WR), 0);
	assert_true(tunnel_run(&t, both_are_over, &t, 20000));
	local_direction_stop(&t.up.direction);
	local_direction_stop(&t.down.direction);
	assert_int_equal(close(t.front), 0);
	assert_int_equal(close(t.back), 0);
	t.front = t.back = -1;
	set_blocking(t.server, true);
	while ((got = recv(t.server, bytes, sizeof(bytes), 0)) > 0) {
		assert_int_equal(pattern_check(bytes, 6, position, (size_t)got), -1);
		position += (uint64_t)got;
	}
	assert_int_equal(got, 0);
	assert_int_equal(position, 200000);
	tunnel_close(&t);
	local_free(local);
}

static void abort_and_close(int *fd)
{
	struct linger linger = { .l_onoff = 1 };

	setsockopt(*fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(*fd);
	*fd = -1;
}

/* The sender resets: what it had sent is read, then ECONNRESET, never a clean end. */
TEST(a_reset_arrives_behind_the_bytes)
{
	struct local *local = local_rig_load(NULL);
	struct local_tunnel t;

	tunnel_open(local, &t, &plain);
	tunnel_start(&t);
	assert_int_equal(tunnel_fill(&t, t.client, 7, 0, 100000, 50), 100000);
	abort_and_close(&t.client);
	assert_true(tunnel_run(&t, up_failed, &t, 20000));
	assert_int_equal(t.up.error, -ECONNRESET);
	assert_true(tunnel_check(&t, t.server, 7, 0, 100000, 20000));
	char byte;
	set_blocking(t.server, true);
	assert_int_equal(recv(t.server, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	tunnel_close(&t);
	local_free(local);
}

/* The receiver closes with unread bytes: the sender is told, by the next things that it sends. */
TEST(a_receiver_that_closes_ends_the_sender)
{
	struct local *local = local_rig_load(NULL);
	struct local_tunnel t;
	ssize_t sent = 0;

	tunnel_open(local, &t, &plain);
	tunnel_start(&t);
	assert_int_equal(tunnel_fill(&t, t.client, 8, 0, 100000, 50), 100000);
	close(t.server);
	t.server = -1;
	for (int i = 0; i < 100 && sent >= 0; i++) {
		sent = send(t.client, "more", 4, MSG_NOSIGNAL);
		tunnel_run_for(&t, 2);
	}
	assert_int_equal(sent, -1);
	assert_true(errno == EPIPE || errno == ECONNRESET);
	assert_true(t.up.error != 0);
	tunnel_close(&t);
	local_free(local);
}

/* A sender that waits inside send() for a reader that has stopped gets out when the gateway resets. */
TEST(a_blocked_sender_gets_out)
{
	struct local_tunnel_options options = { .front_send = 65536, .client_receive = 65536 };
	struct local *local = local_rig_load(NULL);
	struct local_tunnel t;
	struct actor writer = { 0 };

	tunnel_open(local, &t, &options);
	tunnel_start(&t);
	assert_true(says(&t, t.server, t.client, "carried"));
	assert_int_equal(local_direction_stats(&t.down.direction).direct_bytes, 7);
	actor_write(&writer, t.server, 9, 64 << 20, 300000);
	tunnel_run_for(&t, 50);
	assert_false(writer.is_finished);
	local_direction_stop(&t.up.direction);
	local_direction_stop(&t.down.direction);
	abort_and_close(&t.front);
	abort_and_close(&t.back);
	for (int i = 0; i < 20000 && !writer.is_finished; i++)
		usleep(1000);
	assert_true(writer.is_finished);
	actor_join(&writer);
	assert_true(writer.error == EPIPE || writer.error == ECONNRESET);
	tunnel_close(&t);
	local_free(local);
}

/* sendfile() and large writev()s of the application go the same way. */
TEST(sendfile_is_carried)
{
	struct local *local = local_rig_load(NULL);
	struct local_tunnel t;
	char path[] = "/tmp/headgate-near-XXXXXX";
	char bytes[65536];
	int fd = mkstemp(path);
	off_t offset = 0;

	assert_true(fd >= 0);
	unlink(path);
	for (uint64_t at = 0; at < 1 << 20; at += sizeof(bytes)) {
		pattern_fill(bytes, 11, at, sizeof(bytes));
		assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	}
	tunnel_open(local, &t, &plain);
	tunnel_start(&t);
	for (uint64_t done = 0; done < 1 << 20;) {
		ssize_t sent = sendfile(t.server, fd, &offset, 1 << 20);

		assert_true(sent > 0);
		assert_true(tunnel_check(&t, t.client, 11, done, (uint64_t)sent, 20000));
		done += (uint64_t)sent;
	}
	assert_int_equal(local_direction_stats(&t.down.direction).direct_bytes, 1 << 20);
	close(fd);
	tunnel_close(&t);
	local_free(local);
}

/* Errors of a start leave nothing behind. */
TEST(a_start_says_why_not)
{
	struct local *local = local_rig_load(NULL);
	struct local_tunnel t;
	struct local_direction d = { 0 };
	char bytes[4];
	int fds[2];

	tunnel_open(local, &t, &plain);
	struct local_direction_options up = { .source_fd = t.front, .target_fd = t.back };
	struct local_direction_options down = { .source_fd = t.back, .target_fd = t.front };
	rig_connect(AF_INET, fds, 0, 0, 0, 0);
	assert_int_equal(local_look(local, fds[0]), -ENOENT);
	up.source_fd = fds[0];
	assert_int_equal(local_direction_start(&d, local, &up), -ENOENT);
	down.unsent_bytes = 1;
	assert_int_equal(local_direction_start(&d, local, &down), -EINVAL);
	down.unsent_bytes = 0;
	assert_int_equal(local_direction_start(&d, local, &down), 0);
	struct local_direction second = { 0 };
	assert_int_equal(local_direction_start(&second, local, &down), -EBUSY);
	assert_int_equal(local_count_directions(local), 1);
	local_direction_stop(&d);
	/* How far the source was read is not known while an urgent mark hides what is behind it. */
	assert_int_equal(send(t.server, "mark", 4, MSG_OOB), 4);
	assert_int_equal(local_direction_start(&d, local, &down), -EAGAIN);
	assert_int_equal(tunnel_receive(&t, t.client, bytes, 4, 20000), 4);
	assert_int_equal(local_direction_start(&d, local, &down), 0);
	assert_int_equal(send(t.server, "word", 4, 0), 4);
	assert_int_equal(tunnel_receive(&t, t.client, bytes, 4, 20000), 4);
	assert_int_equal(local_direction_check(&d), 0);
	assert_int_equal(local_direction_stats(&d).direct_bytes, 4);
	local_direction_stop(&d);
	assert_int_equal(shutdown(t.server, SHUT_WR), 0);
	tunnel_run_for(&t, 5);
	assert_int_equal(local_direction_start(&d, local, &down), -ENOTCONN);
	assert_int_equal(local_count_directions(local), 0);
	close(fds[0]);
	close(fds[1]);
	tunnel_close(&t);
	local_free(local);
}

/* More told than sent would let bytes overtake: the program notices at the next message. */
TEST(a_wrong_count_is_an_integrity_error)
{
	struct local *local = local_rig_load(NULL);
	struct local_tunnel t;
	uint64_t falls[LOCAL_REASON_COUNT];

	tunnel_open(local, &t, &plain);
	tunnel_start(&t);
	assert_true(says(&t, t.client, t.server, "fine"));
	local_direction_forwarded(&t.up.direction, 1);
	assert_true(says(&t, t.client, t.server, "passed"));
	assert_int_equal(local_direction_check(&t.up.direction), -EIO);
	assert_int_equal(local_direction_stats(&t.up.direction).reason, LOCAL_REASON_INTEGRITY_FORWARDED);
	local_read_falls(local, falls);
	assert_int_equal(falls[LOCAL_REASON_INTEGRITY_FORWARDED], 1);
	tunnel_close(&t);
	local_free(local);
}
