/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/pair.h"
#include "tests/unit/play.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "user/base/clock.h"
#include "user/base/limits.h"
#include "user/net/listen.h"
#include "user/net/listener.h"
#include "user/net/socket.h"

/* What on_accept saw, and what it does at the `stop_at`th connection. */
struct scene {
	struct loop *loop;
	struct net_listener listener;
	struct address address;
	unsigned int accepted;
	unsigned int stop_at; /* ends the play */
	void (*at_stop)(struct scene *scene);
	uint64_t last_turn;
	unsigned int in_turn;
	unsigned int most_in_turn;
	struct address peer;
	unsigned int pauses;
	unsigned int stop_at_pause; /* ends the play, too */
	bool stops_on_pause;
	int fds[512];
};

static void on_pause(struct net_listener *listener)
{
	struct scene *scene = container_of(listener, struct scene, listener);

	scene->pauses++;
	if (scene->stops_on_pause)
		net_listener_stop(listener);
	if (scene->pauses == scene->stop_at_pause)
		loop_stop(scene->loop);
}

static void on_accept(struct net_listener *listener, int fd, const struct address *peer)
{
	struct scene *scene = container_of(listener, struct scene, listener);

	if (scene->last_turn != loop_turn(scene->loop))
		scene->in_turn = 0;
	scene->last_turn = loop_turn(scene->loop);
	scene->in_turn++;
	if (scene->in_turn > scene->most_in_turn)
		scene->most_in_turn = scene->in_turn;
	scene->peer = *peer;
	scene->fds[scene->accepted++] = fd;
	if (scene->accepted == scene->stop_at) {
		if (scene->at_stop)
			scene->at_stop(scene);
		loop_stop(scene->loop);
	}
}

static void scene_open_at(struct scene *scene, const struct address *address)
{
	int fd;

	*scene = (struct scene){ .loop = loop_create(16) };
	assert_non_null(scene->loop);
	assert_int_equal(net_listen_open_group(address, LIMIT_LISTEN_BACKLOG, 0, 1, &fd, &scene->address), 0);
	assert_int_equal(net_listener_start(&scene->listener, scene->loop, fd, on_accept), 0);
	scene->listener.on_pause = on_pause;
}

static void scene_open(struct scene *scene)
{
	struct address any = pair_loopback();

	scene_open_at(scene, &any);
}

static void scene_close(struct scene *scene)
{
	net_listener_stop(&scene->listener);
	for (unsigned int i = 0; i < scene->accepted; i++)
		close(scene->fds[i]);
	loop_free(scene->loop);
}

static unsigned int open_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	unsigned int count = 0;

	while (readdir(folder))
		count++;
	closedir(folder);
	return count - 3; /* ".", "..", and the one of the listing */
}

static int count_before(void **state)
{
	static unsigned int count;

	count = open_descriptors();
	*state = &count;
	return 0;
}

static int count_after(void **state)
{
	unsigned int now = open_descriptors();

	if (now != *(unsigned int *)*state) {
		print_error("%u descriptors before the test, %u after it\n", *(unsigned int *)*state, now);
		return -1;
	}
	return 0;
}

#define TEST_CASE(name) TEST_WITH(name, count_before, count_after)

TEST_CASE(each_connection_is_handed_over_non_blocking_with_its_peer)
{
	struct scene scene;
	struct address want;
	int client;

	scene_open(&scene);
	client = pair_connect(&scene.address);
	scene.stop_at = 1;
	play(scene.loop);
	assert_int_equal(socket_local(client, &want), 0);
	assert_true(address_eq(&scene.peer, &want));
	assert_true(fcntl(scene.fds[0], F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(scene.fds[0], F_GETFD) & FD_CLOEXEC);
	assert_int_equal(scene.listener.accepted_count, 1);
	close(client);
	scene_close(&scene);
}

TEST_CASE(an_ipv4_client_of_an_ipv6_listener_is_shown_as_ipv4)
{
	struct scene scene;
	struct address any, v4 = pair_loopback();
	int client;

	pair_need_ipv6();
	address_set_any(&any, true, 0);
	scene_open_at(&scene, &any);
	address_set_port(&v4, address_port(&scene.address));
	client = pair_connect(&v4);
	scene.stop_at = 1;
	play(scene.loop);
	assert_int_equal(scene.peer.any.sa_family, AF_INET);
	close(client);
	scene_close(&scene);
}

TEST_CASE(one_wake_up_accepts_no_more_than_the_burst)
{
	struct scene scene;
	int clients[2 * LIMIT_ACCEPT_BURST + 3];

	scene_open(&scene);
	for (size_t i = 0; i < ARRAY_LEN(clients); i++)
		clients[i] = pair_connect(&scene.address);
	scene.stop_at = ARRAY_LEN(clients);
	play(scene.loop);
	assert_int_equal(scene.most_in_turn, LIMIT_ACCEPT_BURST);
	for (size_t i = 0; i < ARRAY_LEN(clients); i++)
		close(clients[i]);
	scene_close(&scene);
}

static void stop_in_callback(struct scene *scene)
{
	net_listener_stop(&scene->listener);
}

TEST_CASE(a_callback_may_stop_the_listener)
{
	struct scene scene;
	int clients[3];

	scene_open(&scene);
	scene.at_stop = stop_in_callback;
	scene.stop_at = 1;
	for (size_t i = 0; i < ARRAY_LEN(clients); i++)
		clients[i] = pair_connect(&scene.address);
	play(scene.loop);
	assert_int_equal(scene.accepted, 1);
	assert_int_equal(scene.listener.state, NET_LISTENER_STOPPED);
	net_listener_stop(&scene.listener);
	assert_int_equal(net_listener_flush(&scene.listener), 0);
	play_for(scene.loop, 10);
	assert_int_equal(scene.accepted, 1);
	for (size_t i = 0; i < ARRAY_LEN(clients); i++)
		close(clients[i]);
	scene_close(&scene);
}

TEST_CASE(a_flush_takes_what_is_queued)
{
	struct scene scene;
	int clients[100];

	scene_open(&scene);
	for (size_t i = 0; i < ARRAY_LEN(clients); i++)
		clients[i] = pair_connect(&scene.address);
	assert_int_equal(net_listener_flush(&scene.listener), ARRAY_LEN(clients));
	assert_int_equal(net_listener_flush(&scene.listener), 0);
	for (size_t i = 0; i < ARRAY_LEN(clients); i++)
		close(clients[i]);
	scene_close(&scene);
}

/* The highest descriptor in use becomes the last one allowed. */
static void forbid_new_descriptors(struct rlimit *ret_before)
{
	struct rlimit limit;
	int next = dup(0);

	assert_int_equal(getrlimit(RLIMIT_NOFILE, ret_before), 0);
	limit = *ret_before;
	limit.rlim_cur = (rlim_t)next;
	close(next);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(dup(0), -1);
}

struct silence {
	int kept;
	int read_fd;
};

static void stderr_to_pipe(struct silence *silence)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	silence->kept = dup(STDERR_FILENO);
	dup2(fds[1], STDERR_FILENO);
	close(fds[1]);
	silence->read_fd = fds[0];
}

static size_t stderr_back(struct silence *silence, char *out, size_t size)
{
	ssize_t len = read(silence->read_fd, out, size - 1);

	dup2(silence->kept, STDERR_FILENO);
	close(silence->kept);
	close(silence->read_fd);
	out[len > 0 ? len : 0] = '\0';
	return len > 0 ? (size_t)len : 0;
}

TEST_CASE(without_descriptors_it_refuses_one_pauses_logs_once_and_recovers)
{
	enum { CLIENTS = 3 };
	struct silence silence;
	struct rlimit before;
	struct scene scene;
	char log[4096], byte;
	int clients[CLIENTS];
	unsigned int lines = 0;
	uint64_t start_ms;

	scene_open(&scene);
	for (int i = 0; i < CLIENTS; i++)
		clients[i] = pair_connect(&scene.address);
	stderr_to_pipe(&silence);
	forbid_new_descriptors(&before);
	start_ms = clock_now_ms();
	scene.stop_at_pause = 2;
	play(scene.loop);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	stderr_back(&silence, log, sizeof(log));

	assert_int_equal(scene.accepted, 0);
	assert_int_equal(scene.listener.backoff_count, 2);
	assert_int_equal(scene.listener.refused_count, 2);
	assert_int_equal(scene.pauses, 2);
	assert_int_equal(scene.listener.state, NET_LISTENER_BACKOFF);
	assert_true(scene.listener.reserve_fd >= 0);
	for (const char *at = log; (at = strchr(at, '\n')) != NULL; at++)
		lines++;
	assert_int_equal(lines, 1);
	assert_non_null(strstr(log, "accepting paused for 100 ms: Too many open files"));
	pair_wait(clients[0], POLLHUP);
	assert_int_equal(read(clients[0], &byte, 1), -1);
	assert_int_equal(errno, ECONNRESET);

	scene.stop_at = 1;
	play(scene.loop);
	assert_true(clock_now_ms() - start_ms >= 2 * LIMIT_ACCEPT_PAUSE_MS);
	assert_int_equal(scene.listener.state, NET_LISTENER_ACCEPTING);
	for (int i = 0; i < CLIENTS; i++)
		close(clients[i]);
	scene_close(&scene);
}

TEST_CASE(the_owner_may_stop_when_told_of_a_backoff)
{
	struct silence silence;
	struct rlimit before;
	struct scene scene;
	char log[4096];
	int client;

	scene_open(&scene);
	scene.stops_on_pause = true;
	client = pair_connect(&scene.address);
	stderr_to_pipe(&silence);
	forbid_new_descriptors(&before);
	play_for(scene.loop, LIMIT_ACCEPT_PAUSE_MS + 20);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	stderr_back(&silence, log, sizeof(log));
	assert_int_equal(scene.pauses, 1);
	assert_int_equal(scene.listener.state, NET_LISTENER_STOPPED);
	close(client);
	scene_close(&scene);
}

TEST_CASE(a_failed_start_takes_nothing_and_can_be_stopped)
{
	struct address any = pair_loopback();
	struct net_listener listener;
	struct loop *loop = loop_create(0);
	int fd;

	assert_int_equal(net_listen_open(&any, 1, &fd), 0);
	assert_int_equal(net_listener_start(&listener, loop, fd, on_accept), -ENOSPC);
	net_listener_stop(&listener);
	net_listener_stop(&listener);
	assert_true(fcntl(fd, F_GETFD) >= 0);
	assert_int_equal(net_listener_start(&listener, loop, -1, on_accept), -EBADF);
	close(fd);
	loop_free(loop);
}

TEST_CASE(unix_clients_are_accepted)
{
	char folder[] = "/tmp/headgate-test-XXXXXX";
	struct scene scene;
	struct address a;
	char path[64];
	int client;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/s", folder);
	assert_int_equal(address_set_unix(&a, span_str(path)), 0);
	scene_open_at(&scene, &a);
	client = pair_connect(&a);
	scene.stop_at = 1;
	play(scene.loop);
	assert_true(address_is_unix(&scene.peer));
	close(client);
	scene_close(&scene);
	net_listen_unlink(&a);
	assert_int_equal(rmdir(folder), 0);
}
