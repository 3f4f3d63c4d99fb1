/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that bypass TCP: bytes, ends compared with TCP, both ends blocked, kill -9 of either end,
 * tunnels.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bpf/actor.h"
#include "tests/bpf/bypass_rig.h"
#include "tests/bpf/local_rig.h"
#include "tests/lib/test.h"
#include "user/kernel/common/tcp_progress.h"
#include "user/kernel/local/local_selftest.h"
#include "user/kernel/local/local_worker.h"

static const struct local_options small = { .direction_count = 64, .receiver_bytes = 65536 };

static uint64_t tcp_received(int fd)
{
	struct tcp_progress_view view;

	assert_int_equal(tcp_progress_look(fd, &view), 0);
	return view.received_bytes;
}

/* Not one byte goes through TCP, on either side, with either family. */
TEST(every_byte_bypasses_tcp)
{
	struct local *local = local_rig_load(NULL);

	for (int round = 0; round < 4; round++) {
		struct bypass_pair_options options = { .is_backend = round & 1,
						       .family = round & 2 ? AF_INET6 : AF_INET };
		struct bypass_pair pair;
		struct bypass_stats stats;

		pair_open(local, &pair, &options);
		for (uint64_t at = 0; at < 50000; at += 1000) {
			pair_send(pair.app, 1, at, 1000);
			assert_true(pair_expect(pair.own, 1, at, 1000));
			pair_send(pair.own, 2, at, 1000);
			assert_true(pair_expect(pair.app, 2, at, 1000));
		}
		stats = bypass_stats(&pair.bypass);
		assert_int_equal(stats.in_bytes, 50000);
		assert_int_equal(stats.out_bytes, 50000);
		assert_int_equal(stats.falls, 0);
		assert_true(stats.is_in && stats.is_out);
		assert_int_equal(tcp_received(pair.own), 0);
		assert_int_equal(tcp_received(pair.app), 0);
		assert_int_equal(bypass_count(local), 1);
		pair_close(&pair);
		assert_int_equal(bypass_count(local), 0);
		assert_int_equal(local_count_directions(local), 0);
	}
	local_free(local);
}

TEST(others_do_not_bypass_tcp)
{
	struct local *local = local_rig_load(NULL);
	struct local_worker *worker;
	struct bypass bypass = { 0 };
	int fds[2];

	assert_int_equal(local_worker_create(local, &worker), 0);
	rig_connect(AF_INET, fds, 0, 0, 0, 0);
	assert_int_equal(bypass_start(&bypass, worker, fds[0]), -ENOENT);
	assert_int_equal(bypass_start(&bypass, worker, fds[1]), -ENOENT);
	rig_close(&fds[0]);
	rig_close(&fds[1]);
	local_worker_free(worker);
	local_free(local);
}

/* What an application notices that throws bytes away unseen: it is told so, and loses none. */
TEST(a_read_into_nowhere_fails_and_takes_nothing)
{
	struct local *local = local_rig_load(NULL);
	struct bypass_pair pair;

	pair_open(local, &pair, &(struct bypass_pair_options){ 0 });
	pair_send(pair.own, 1, 0, 1000);
	assert_int_equal(recv(pair.app, NULL, 1000, MSG_TRUNC | MSG_DONTWAIT), -1);
	assert_int_equal(errno, EFAULT);
	assert_true(pair_expect(pair.app, 1, 0, 1000));
	pair_close(&pair);
	local_free(local);
}

/* Slots are not lost when there are none left, and such a connection is an ordinary one. */
TEST(without_a_slot_it_is_tcp)
{
	struct local_options options = { .direction_count = 3 };
	struct bypass_pair_options late = { .is_late = true };
	struct local *local = local_rig_load(&options);
	struct bypass_pair one, other;

	pair_open(local, &one, &(struct bypass_pair_options){ 0 });
	pair_open(local, &other, &late);
	assert_int_equal(bypass_start(&other.bypass, one.worker, other.own), -ENOSPC);
	pair_send(other.app, 1, 0, 5000);
	assert_true(pair_expect(other.own, 1, 0, 5000));
	assert_int_equal(bypass_count(local), 1);
	assert_int_equal(local->free_count, 1);
	pair_close(&one);
	pair_close(&other);
	assert_int_equal(local->free_count, 3);
	local_free(local);
}

/* ------------------------------------------------------------ both ways, threads */

static void both_ways(const struct bypass_pair_options *options, uint64_t bytes, bool expects_falls)
{
	struct local *local = local_rig_load(&small);
	struct actor writers[2] = { 0 }, readers[2] = { 0 };
	struct bypass_stats stats;
	struct bypass_pair pair;
	int fds[2];

	pair_open(local, &pair, options);
	fds[0] = pair.own;
	fds[1] = pair.app;
	for (int i = 0; i < 2; i++) {
		set_blocking(fds[i], true);
		writers[i].shuts_down = readers[i].expects_eof = true;
		writers[i].pause_us = readers[i].pause_us = 3000;
		writers[i].pause_every = readers[i].pause_every = 40;
	}
	writers[0].await_room = pair_await_room;
	for (int i = 0; i < 2; i++) {
		actor_read(&readers[i], fds[1 - i], 7 + (uint64_t)i, bytes, 100000);
		actor_write(&writers[i], fds[i], 7 + (uint64_t)i, bytes, 200000);
	}
	for (int i = 0; i < 2; i++) {
		actor_join(&writers[i]);
		actor_join(&readers[i]);
		assert_int_equal(readers[i].wrong_at, -1);
		assert_int_equal(readers[i].done, bytes);
		assert_true(readers[i].saw_eof);
	}
	stats = bypass_stats(&pair.bypass);
	if (expects_falls) {
		/* What the application sent went to TCP, and came back. */
		assert_true(stats.falls > 0);
		assert_true(stats.in_bytes > 0 && stats.out_bytes > 0);
		assert_true(stats.in_bytes < bytes);
		/* The gateway waits for room. */
		assert_int_equal(stats.out_bytes, bytes);
	}
	assert_int_equal(bypass_end(&pair.bypass, pair.own, bytes), 0);
	pair_close(&pair);
	local_free(local);
}

TEST(random_pieces_and_pauses_keep_every_byte)
{
	both_ways(&(struct bypass_pair_options){ 0 }, 48 << 20, true);
	both_ways(&(struct bypass_pair_options){ .is_backend = true, .family = AF_INET6 }, 24 << 20, true);
}

TEST(small_buffers_keep_every_byte)
{
	both_ways(
		&(struct bypass_pair_options){
			.app_receive = 16384, .app_send = 16384, .own_receive = 16384, .own_send = 16384 },
		8 << 20, false);
}

/*
 * A message that cannot bypass TCP is refused, and nobody lets the connection leave then. A later one has to
 * wait for bytes that bypassed TCP meanwhile: they must not be thrown away with the receiver's queue.
 */
TEST(what_waits_unread_keeps_the_lane)
{
	static const char big[60000];
	struct bypass_pair_options options = { .app_receive = 16384 };
	struct local *local = local_rig_load(NULL);
	struct bypass_pair pair;
	struct bypass *bypass = &pair.bypass;

	pair_open(local, &pair, &options);
	for (int i = 0; i < 2; i++)
		assert_int_equal(send(pair.own, big, sizeof(big), MSG_DONTWAIT | MSG_NOSIGNAL), -1);
	assert_int_equal(bypass_refusals(bypass), 2);
	pair_send(pair.own, 1, 0, 100);
	assert_int_equal(bypass_sent_bytes(bypass), 100);
	assert_int_equal(send(pair.own, big, sizeof(big), MSG_DONTWAIT | MSG_NOSIGNAL), -1);
	assert_false(bypass_leave(bypass));
	assert_true(pair_expect(pair.app, 1, 0, 100));
	assert_int_equal(send(pair.own, big, sizeof(big), MSG_DONTWAIT | MSG_NOSIGNAL), -1);
	assert_true(bypass_leave(bypass));
	pair_send(pair.own, 1, 100, 1000);
	assert_true(pair_expect(pair.app, 1, 100, 1000));
	assert_int_equal(bypass_refusals(bypass), 4);
	assert_int_equal(tcp_received(pair.app), 1000);
	pair_close(&pair);
	local_free(local);
}

/* ------------------------------------------------------------ ends, as TCP has them */

static const char *end_fin(struct bypass_pair *p)
{
	pair_send(p->app, 1, 0, 10000);
	shutdown(p->app, SHUT_WR);
	if (!pair_expect(p->own, 1, 0, 10000))
		return "bytes were lost";
	return pair_next(p->own);
}

static const char *end_half_closed(struct bypass_pair *p)
{
	shutdown(p->app, SHUT_WR);
	if (strcmp(pair_next(p->own), "end") != 0)
		return "no end";
	pair_send(p->own, 2, 0, 100000);
	shutdown(p->own, SHUT_WR);
	if (!pair_expect(p->app, 2, 0, 100000))
		return "bytes were lost";
	return pair_next(p->app);
}

static const char *end_reset(struct bypass_pair *p)
{
	pair_send(p->app, 1, 0, 10000);
	rig_reset(&p->app);
	usleep(20000);
	if (!pair_expect(p->own, 1, 0, 10000))
		return "bytes were lost";
	return pair_next(p->own);
}

static const char *end_close_of_gateway(struct bypass_pair *p)
{
	pair_send(p->own, 1, 0, 10000);
	pair_close_own(p);
	usleep(20000);
	if (!pair_expect(p->app, 1, 0, 10000))
		return "bytes were lost";
	return pair_next(p->app);
}

/* Nothing that the gateway sends is read here first: a reset comes behind it. */
static const char *end_unread_by_gateway(struct bypass_pair *p)
{
	pair_send(p->own, 1, 0, 10000);
	pair_send(p->app, 2, 0, 10000);
	pair_close_own(p);
	usleep(20000);
	if (!pair_expect(p->app, 1, 0, 10000))
		return "bytes were lost";
	return pair_next(p->app);
}

static const char *end_write_into_closed(struct bypass_pair *p)
{
	rig_close(&p->app);
	usleep(20000);
	for (int i = 0; i < PAIR_WAIT_MS / 20; i++) {
		if (send(p->own, "late", 4, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			return errno == EPIPE || errno == ECONNRESET ? "refused" : strerrorname_np(errno);
		usleep(20000);
	}
	return "taken";
}

static const char *end_unread_by_application(struct bypass_pair *p)
{
	pair_send(p->own, 2, 0, 10000);
	rig_close(&p->app);
	usleep(20000);
	return pair_next(p->own);
}

/* TCP cannot know of what bypassed TCP and was not read: the one row that differs (the README says so). */
static struct end_row {
	const char *name;
	const char *(*play)(struct bypass_pair *pair);
	const char *tcp, *bypass;
} end_rows[] = {
	{ "FIN behind bytes", end_fin, "end", "end" },
	{ "half closed", end_half_closed, "end", "end" },
	{ "RST behind bytes", end_reset, "reset", "reset" },
	{ "close by the gateway", end_close_of_gateway, "end", "end" },
	{ "close by the gateway, unread", end_unread_by_gateway, "reset", "reset" },
	{ "writes after a close", end_write_into_closed, "refused", "refused" },
	{ "close by the application, unread", end_unread_by_application, "reset", "end" },
};

static void check_end(void **state)
{
	const struct end_row *row = *state;
	struct local *local = local_rig_load(NULL);

	for (int round = 0; round < 4; round++) {
		struct bypass_pair_options options = { .is_backend = round & 1, .is_tcp = round & 2 };
		struct bypass_pair pair;

		pair_open(local, &pair, &options);
		assert_string_equal(row->play(&pair), options.is_tcp ? row->tcp : row->bypass);
		pair_close(&pair);
	}
	local_free(local);
}

/* ---------------------------------------------------------------------------------------- blocked */

/*
 * Both ends send until nothing is taken, then both wait for an edge, as programs with epoll do, and read only
 * when they have sent everything: it moves on, and bypasses TCP again afterwards.
 */
TEST(both_ends_blocked_move_on)
{
	struct local *local = local_rig_load(&small);
	struct epoll_event event = { .events = EPOLLOUT | EPOLLET };
	struct bypass_stats stats;
	struct bypass_pair pair;
	uint64_t up, down;
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

	pair_open(local, &pair, &(struct bypass_pair_options){ 0 });
	up = pair_fill(pair.app, 1, 0, 256 << 20);
	down = pair_fill(pair.own, 2, 0, 256 << 20);
	/* The queue's bound, and TCP's buffers: not all of it. */
	assert_true(up > 65536 && up < 256 << 20);
	assert_true(down > 65536 && down < 256 << 20);
	assert_int_equal(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, pair.app, &event), 0);
	(void)epoll_wait(epoll_fd, &event, 1, 0); /* the state at registration */
	assert_true(pair_expect(pair.own, 1, 0, up));
	assert_int_equal(epoll_wait(epoll_fd, &event, 1, PAIR_WAIT_MS), 1);
	assert_true(pair_expect(pair.app, 2, 0, down));
	/* The application's bytes went on through TCP, the gateway's did not: it is told of room. */
	stats = bypass_stats(&pair.bypass);
	assert_true(stats.falls >= 1);
	assert_false(stats.is_in);
	assert_true(stats.is_out);
	/* They return to the bypass when the last segment is acknowledged, which TCP may delay. */
	for (int i = 0; i < 100 && !(stats.is_in && stats.is_out); i++) {
		usleep(10000);
		pair_send(pair.app, 1, up, 100);
		pair_send(pair.own, 2, down, 100);
		assert_true(pair_expect(pair.own, 1, up, 100));
		assert_true(pair_expect(pair.app, 2, down, 100));
		up += 100;
		down += 100;
		stats = bypass_stats(&pair.bypass);
	}
	assert_true(stats.is_in && stats.is_out);
	close(epoll_fd);
	pair_close(&pair);
	local_free(local);
}

/* Alive in the queue only: no timer of TCP takes it for dead. */
TEST(keepalive_and_user_timeout_leave_it_alone)
{
	struct local *local = local_rig_load(NULL);
	int on = 1, seconds = 1, probes = 2, timeout_ms = 1500;
	struct bypass_pair pair;

	pair_open(local, &pair, &(struct bypass_pair_options){ 0 });
	for (int i = 0; i < 2; i++) {
		int fd = i ? pair.own : pair.app;

		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
		setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof(seconds));
		setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &seconds, sizeof(seconds));
		setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
		setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
	}
	for (uint64_t i = 0; i < 20; i++) {
		pair_send(pair.app, 1, i * 10, 10);
		usleep(250000);
		assert_true(pair_expect(pair.own, 1, i * 10, 10));
	}
	assert_int_equal(bypass_stats(&pair.bypass).in_bytes, 200);
	pair_close(&pair);
	local_free(local);
}

/* ---------------------------------------------------------------------------------------- kill -9 */

enum { KILL_BYTES = 600000 };

static void tell(int fd, uint16_t value)
{
	if (write(fd, &value, sizeof(value)) != sizeof(value))
		_exit(1);
}

static uint16_t hear(int fd)
{
	uint16_t value = 0;

	assert_int_equal(read(fd, &value, sizeof(value)), sizeof(value));
	return value;
}

/* Accepts one connection, sends, says so, and waits to be killed. */
static void doomed_gateway(int report_fd)
{
	struct sockaddr_storage address;
	struct local *local = local_rig_load(NULL);
	struct local_worker *worker;
	struct bypass bypass = { 0 };
	int listener, fd;

	alarm(30);
	listener = rig_listen(AF_INET, &address, 0, 0);
	assert_int_equal(local_listener_add(local, (struct sockaddr *)&address), 0);
	tell(report_fd, ((struct sockaddr_in *)&address)->sin_port);
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0 || local_worker_create(local, &worker) || bypass_start(&bypass, worker, fd))
		_exit(1);
	pair_send(fd, 3, 0, KILL_BYTES);
	tell(report_fd, bypass_sent_bytes(&bypass) == KILL_BYTES);
	pause();
	_exit(1);
}

static pid_t child_start(void (*run)(int fd), int *ret_fd)
{
	int fds[2];
	pid_t child;

	assert_int_equal(pipe(fds), 0);
	child = fork();
	if (child == 0) {
		close(fds[0]);
		run(fds[1]);
		_exit(1);
	}
	close(fds[1]);
	*ret_fd = fds[0];
	return child;
}

static int client_of(uint16_t port)
{
	struct sockaddr_storage address = { 0 };
	int fd = rig_socket(AF_INET, 0, 0);

	*(struct sockaddr_in *)&address = (struct sockaddr_in){ .sin_family = AF_INET,
								.sin_port = port,
								.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	rig_connect_to(fd, &address);
	return fd;
}

/* What the gateway has sent belongs to the application, also when the gateway and its maps are gone. */
TEST(a_killed_gateway_leaves_its_bytes)
{
	int report_fd, client;
	pid_t child;

	local_free(local_rig_load(NULL)); /* skips where there is no BPF */
	child = child_start(doomed_gateway, &report_fd);
	client = client_of(hear(report_fd));
	assert_int_equal(hear(report_fd), 1);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	/* Maps are freed behind a grace period. */
	usleep(500000);
	assert_true(pair_expect(client, 3, 0, KILL_BYTES));
	assert_string_equal(pair_next(client), "end");
	/* Nobody sleeps forever: it is told. */
	assert_true(send(client, "x", 1, MSG_NOSIGNAL) == 1 || errno == EPIPE);
	close(client);
	close(report_fd);
}

static uint16_t application_port;
static int application_start[2]; /* a byte: its connection bypasses TCP */

static void doomed_application(int report_fd)
{
	int fd;

	alarm(30);
	fd = client_of(application_port);
	if (read(application_start[0], &(char){ 0 }, 1) != 1)
		_exit(1);
	pair_send(fd, 4, 0, KILL_BYTES);
	tell(report_fd, 1);
	pause();
}

TEST(a_killed_application_leaves_its_bytes)
{
	struct local *local = local_rig_load(NULL);
	struct sockaddr_storage address;
	int listener = rig_listen(AF_INET, &address, 0, 0), report_fd, fd;
	struct local_worker *worker;
	struct bypass bypass = { 0 };
	pid_t child;

	application_port = ((struct sockaddr_in *)&address)->sin_port;
	assert_int_equal(local_listener_add(local, (struct sockaddr *)&address), 0);
	assert_int_equal(pipe(application_start), 0);
	child = child_start(doomed_application, &report_fd);
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_int_equal(local_worker_create(local, &worker), 0);
	assert_int_equal(bypass_start(&bypass, worker, fd), 0);
	assert_int_equal(write(application_start[1], "x", 1), 1);
	assert_int_equal(hear(report_fd), 1);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_true(bypass_received_bytes(&bypass) > 0);
	assert_true(pair_expect(fd, 4, 0, KILL_BYTES));
	assert_string_equal(pair_next(fd), "end");
	assert_int_equal(bypass_end(&bypass, fd, KILL_BYTES), 0);
	bypass_stop(&bypass);
	close(fd);
	close(listener);
	close(report_fd);
	close(application_start[0]);
	close(application_start[1]);
	local_worker_free(worker);
	local_free(local);
}

/* ---------------------------------------------------------------------------------------- tunnels */

/* A connection that bypassed TCP goes on in lane direct, back, and on: both counts fit all the time. */
TEST(a_tunnel_goes_on_past_the_gateway)
{
	struct local *local = local_rig_load(NULL);
	struct local_tunnel_options options = { 0 };
	struct local_direction_options start;
	struct bypass front = { 0 }, back = { 0 };
	struct local_worker *worker;
	struct local_tunnel t;
	char bytes[100];

	tunnel_open(local, &t, &options);
	assert_int_equal(local_worker_create(local, &worker), 0);
	assert_int_equal(bypass_start(&front, worker, t.front), 0);
	assert_int_equal(bypass_start(&back, worker, t.back), 0);
	/* A head and its answer. */
	assert_int_equal(send(t.client, "upgrade", 7, 0), 7);
	assert_int_equal(recv(t.front, bytes, sizeof(bytes), 0), 7);
	assert_int_equal(send(t.back, "upgrade", 7, 0), 7);
	assert_int_equal(recv(t.server, bytes, sizeof(bytes), 0), 7);
	start = (struct local_direction_options){
		.source_fd = t.front, .target_fd = t.back, .source_bypasses = true, .read_bytes = 7
	};
	assert_int_equal(local_direction_start(&t.up.direction, local, &start), 0);
	start = (struct local_direction_options){ .source_fd = t.back,
						  .target_fd = t.front,
						  .source_bypasses = true };
	assert_int_equal(local_direction_start(&t.down.direction, local, &start), 0);
	t.up.target_bypasses = t.down.target_bypasses = true;
	for (uint64_t at = 0; at < 20000; at += 1000) {
		pair_send(t.client, 5, at, 1000);
		assert_true(pair_expect(t.server, 5, at, 1000));
		pair_send(t.server, 6, at, 1000);
		assert_true(pair_expect(t.client, 6, at, 1000));
	}
	assert_int_equal(local_direction_stats(&t.up.direction).direct_bytes, 20000);
	assert_int_equal(local_direction_stats(&t.down.direction).direct_bytes, 20000);
	/* A reader that stands still: copy, and what passes bypasses TCP to the gateway. */
	uint64_t filled = tunnel_fill(&t, t.client, 5, 20000, 64 << 20, 50);

	assert_true(tunnel_check(&t, t.server, 5, 20000, filled, 20000));
	assert_int_equal(local_direction_check(&t.up.direction), 0);
	assert_int_equal(local_direction_check(&t.down.direction), 0);
	tunnel_close(&t);
	bypass_stop(&front);
	bypass_stop(&back);
	local_worker_free(worker);
	local_free(local);
}

TEST(selftest_bypasses)
{
	struct local *local = local_rig_load(NULL);
	struct text why;
	uint64_t took_ns;

	text_init(&why);
	assert_int_equal(local_selftest(local, &why, &took_ns), 0);
	assert_int_equal(bypass_count(local), 0);
	text_done(&why);
	local_free(local);
}

TEST_ROWS(check_end, end_rows);
