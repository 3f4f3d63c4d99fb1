/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/pair.h"
#include "tests/unit/play.h"

#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "user/base/clock.h"
#include "user/base/limits.h"
#include "user/net/syn_filter.h"
#include "user/net/listen.h"
#include "user/net/listener.h"
#include "user/net/socket.h"
#include "user/gateway/privilege.h"

/* A listener that is to end; the last connections it accepted stay open. */
struct scene {
	struct loop *loop;
	struct net_listener listener;
	struct address address;
	unsigned int accepted;
	int fds[512];
};

/* The oldest ends with FIN when there is no room. */
static void on_accept(struct net_listener *listener, int fd, const struct address *peer)
{
	struct scene *scene = container_of(listener, struct scene, listener);
	int *oldest = &scene->fds[scene->accepted % ARRAY_LEN(scene->fds)];

	(void)peer;
	if (scene->accepted++ >= ARRAY_LEN(scene->fds))
		close(*oldest);
	*oldest = fd;
}

static void scene_open(struct scene *scene, struct address address)
{
	int fd;

	*scene = (struct scene){ .loop = loop_create(16) };
	assert_non_null(scene->loop);
	assert_int_equal(net_listen_open_group(&address, LIMIT_LISTEN_BACKLOG, 0, 1, &fd, &scene->address),
			 0);
	assert_int_equal(net_listener_start(&scene->listener, scene->loop, fd, on_accept), 0);
}

static void scene_close(struct scene *scene)
{
	net_listener_stop(&scene->listener);
	for (unsigned int i = 0; i < scene->accepted && i < ARRAY_LEN(scene->fds); i++)
		close(scene->fds[i]);
	loop_free(scene->loop);
}

static int begin_connect(const struct address *address)
{
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	if (connect(fd, &address->any, address->len) < 0)
		assert_int_equal(errno, EINPROGRESS);
	return fd;
}

static bool is_quiet(int fd, short events, int for_ms)
{
	struct pollfd item = { .fd = fd, .events = events };

	return poll(&item, 1, for_ms) == 0;
}

static void assert_no_filter(int fd)
{
	socklen_t len = 0;

	int ttl = -1;

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &len), 0);
	assert_int_equal(len, 0);
	len = sizeof(ttl);
	assert_int_equal(getsockopt(fd, IPPROTO_IP, IP_MINTTL, &ttl, &len), 0);
	assert_int_equal(ttl, 0);
}

/* tcp(7): a handshake is under way until the first byte comes. */
static void set_defer_accept(const struct net_listener *listener)
{
	int one = 1;

	assert_int_equal(setsockopt(listener->source.fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &one, sizeof(one)),
			 0);
}

static void bar_between_two_connections(int program)
{
	struct scene scene;
	int queued, begun, late, next;
	uint64_t late_ms;
	bool is_in_time;

	scene_open(&scene, pair_loopback());
	queued = pair_connect(&scene.address);
	set_defer_accept(&scene.listener);
	begun = pair_connect(&scene.address);
	assert_int_equal(net_listener_bar(&scene.listener, program), 0);
	assert_int_equal(net_listener_bar(&scene.listener, program), 0);
	late_ms = clock_now_ms();
	late = begin_connect(&scene.address);
	assert_true(is_quiet(late, POLLOUT, 50));
	assert_int_equal(write(begun, "x", 1), 1);
	for (int i = 0; scene.accepted < 2 && i < PAIR_WAIT_MS; i++)
		play_for(scene.loop, 1);
	assert_int_equal(scene.accepted, 2);
	assert_int_equal(net_listener_flush(&scene.listener), 0);
	assert_no_filter(scene.fds[0]);
	assert_no_filter(scene.fds[1]);
	net_listener_stop(&scene.listener);
	assert_true(is_quiet(queued, POLLIN, 0));
	assert_true(is_quiet(begun, POLLIN, 0));

	/* Its SYN is repeated after a second: whoever owns the port then has it. */
	assert_int_equal(net_listen_open(&scene.address, 1, &next), 0);
	is_in_time = clock_now_ms() - late_ms < 900;
	assert_true(pair_wait(late, POLLOUT) & POLLOUT);
	if (is_in_time)
		assert_int_equal(socket_error(late), 0);
	close(next);
	close(late);
	close(begun);
	close(queued);
	scene_close(&scene);
}

/* Ends the test as skipped without the right to load it. */
static int need_program(void)
{
	int program = syn_filter_load();

	if (program < 0) {
		print_message("skipped: no BPF: %s\n", strerror(-program));
		skip();
	}
	return program;
}

TEST(a_barred_listener_completes_what_has_begun_and_begins_nothing_new)
{
	int program = need_program();

	bar_between_two_connections(program);
	bar_between_two_connections(-1);
	close(program);
}

/* Some kernels let nobody without CAP_NET_ADMIN attach a classic filter. */
TEST(a_program_loaded_before_is_attached_without_any_capability)
{
	struct address any = pair_loopback();
	int program = need_program();
	int status, fd;
	pid_t child;

	assert_int_equal(net_listen_open(&any, 1, &fd), 0);
	child = fork();
	if (child == 0)
		_exit(privilege_drop() == 0 && syn_filter_attach(fd, program) == 0 ? 0 : 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	close(fd);
	close(program);
}

TEST(without_any_capability_or_program_a_listener_is_barred_all_the_same)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		assert_int_equal(privilege_drop(), 0);
		bar_between_two_connections(-1);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* A thread that opens connection after connection until one is not answered. The last ones stay open. */
struct crowd {
	pthread_t thread;
	const struct address *address;
	int fds[64];
	unsigned int connected;
};

static void *crowd_run(void *argument)
{
	struct crowd *crowd = argument;

	for (;;) {
		int *oldest = &crowd->fds[crowd->connected % ARRAY_LEN(crowd->fds)];
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		struct pollfd item = { .fd = fd, .events = POLLOUT };

		if ((connect(fd, &crowd->address->any, crowd->address->len) < 0 && errno != EINPROGRESS) ||
		    poll(&item, 1, 100) != 1 || socket_error(fd) < 0) {
			close(fd);
			return NULL;
		}
		if (crowd->connected++ >= ARRAY_LEN(crowd->fds))
			close(*oldest);
		*oldest = fd;
	}
}

static unsigned int crowd_count_reset(struct crowd *crowd)
{
	unsigned int open =
		crowd->connected < ARRAY_LEN(crowd->fds) ? crowd->connected : ARRAY_LEN(crowd->fds);
	unsigned int reset = 0;

	for (unsigned int i = 0; i < open; i++) {
		char byte;

		reset += recv(crowd->fds[i], &byte, 1, MSG_DONTWAIT) < 0 && errno != EAGAIN;
		close(crowd->fds[i]);
	}
	return reset;
}

static unsigned int crowd_at_the_end(unsigned int *connected)
{
	struct crowd crowds[3];
	struct scene scene;
	unsigned int reset = 0;

	scene_open(&scene, pair_loopback());
	for (size_t i = 0; i < ARRAY_LEN(crowds); i++) {
		crowds[i] = (struct crowd){ .address = &scene.address };
		assert_int_equal(pthread_create(&crowds[i].thread, NULL, crowd_run, &crowds[i]), 0);
	}
	play_for(scene.loop, 10);
	assert_int_equal(net_listener_bar(&scene.listener, -1), 0);
	play_for(scene.loop, 50);
	net_listener_flush(&scene.listener);
	net_listener_stop(&scene.listener);
	for (size_t i = 0; i < ARRAY_LEN(crowds); i++) {
		pthread_join(crowds[i].thread, NULL);
		*connected += crowds[i].connected;
		reset += crowd_count_reset(&crowds[i]);
	}
	scene_close(&scene);
	return reset;
}

TEST(no_connection_is_reset_when_a_barred_listener_stops_in_a_crowd)
{
	unsigned int connected = 0;

	for (int round = 0; round < 20; round++)
		assert_int_equal(crowd_at_the_end(&connected), 0);
	assert_true(connected > 0);
}

TEST(a_unix_listener_and_a_stopped_one_cannot_be_barred)
{
	char folder[] = "/tmp/headgate-test-XXXXXX";
	struct scene scene;
	struct address a;
	char path[64];

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/s", folder);
	assert_int_equal(address_set_unix(&a, span_str(path)), 0);
	scene_open(&scene, a);
	assert_int_equal(net_listener_bar(&scene.listener, -1), -EOPNOTSUPP);
	net_listener_stop(&scene.listener);
	assert_int_equal(net_listener_bar(&scene.listener, -1), -EBADF);
	scene_close(&scene);
	net_listen_unlink(&a);
	assert_int_equal(rmdir(folder), 0);
}
