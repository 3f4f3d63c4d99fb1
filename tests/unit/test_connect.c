/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/pair.h"
#include "tests/unit/play.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>

#include "user/base/clock.h"
#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/net/connect.h"

enum { HOLE_CLIENTS = 8 };

/* A listener whose queue is full: the kernel drops further SYNs, so a connect to it just hangs. */
struct hole {
	struct address address;
	int fd;
	int clients[HOLE_CLIENTS];
};

static void hole_open(struct hole *hole, const struct address *address)
{
	hole->address = *address;
	hole->fd = pair_listen(&hole->address, 0);
	for (int i = 0; i < HOLE_CLIENTS; i++) {
		assert_int_equal(socket_open(&hole->address, &hole->clients[i]), 0);
		connect(hole->clients[i], &hole->address.any, hole->address.len);
	}
}

static void hole_close(struct hole *hole)
{
	for (int i = 0; i < HOLE_CLIENTS; i++)
		close(hole->clients[i]);
	close(hole->fd);
}

/* A port on which nobody listens: bound, so that nobody else takes it meanwhile. */
static int refusing_port(struct address *address)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(address->v6);

	*address = pair_loopback();
	assert_int_equal(bind(fd, &address->any, address->len), 0);
	assert_int_equal(getsockname(fd, &address->any, &len), 0);
	return fd;
}

struct scene {
	struct loop *loop;
	struct net_connect job;
	unsigned int calls;
	unsigned int sockets; /* shown to on_socket */
	int result;
	int fd;
	uint32_t index;
	void (*at_done)(struct scene *scene);
};

static void on_done(struct net_connect *job, int result, int fd, uint32_t index)
{
	struct scene *scene = container_of(job, struct scene, job);

	scene->calls++;
	scene->result = result;
	scene->fd = fd;
	scene->index = index;
	assert_int_equal(job->state, NET_CONNECT_IDLE);
	if (scene->at_done)
		scene->at_done(scene);
	loop_stop(scene->loop);
}

static void scene_open(struct scene *scene)
{
	*scene = (struct scene){ .loop = loop_create(16), .fd = -1 };
	assert_non_null(scene->loop);
	net_connect_init(&scene->job, on_done);
}

static void scene_start(struct scene *scene, const struct address *list, uint32_t count, uint64_t timeout_ms)
{
	uint64_t deadline_ms;

	/* A turn without events brings the loop's clock up to date. */
	play_for(scene->loop, 0);
	deadline_ms = timeout_ms ? loop_now_ms(scene->loop) + timeout_ms : 0;
	net_connect_start(&scene->job, scene->loop, list, count, deadline_ms, NULL);
	assert_int_equal(scene->calls, 0);
	assert_int_not_equal(scene->job.state, NET_CONNECT_IDLE);
}

static void scene_close(struct scene *scene)
{
	net_connect_cancel(&scene->job);
	if (scene->fd >= 0)
		close(scene->fd);
	loop_free(scene->loop);
}

TEST(the_first_address_that_accepts_wins)
{
	struct socket_keepalive keepalive = { .is_on = true, .idle_s = 33 };
	struct address list[2] = { pair_loopback(), pair_loopback() };
	int servers[2] = { pair_listen(&list[0], 1), pair_listen(&list[1], 1) };
	struct scene scene;
	struct address peer;
	socklen_t len = sizeof(int);
	int value;

	scene_open(&scene);
	net_connect_start(&scene.job, scene.loop, list, 2, 0, &keepalive);
	keepalive.idle_s = 44;
	assert_int_equal(scene.calls, 0);
	play(scene.loop);
	assert_int_equal(scene.result, 0);
	assert_int_equal(scene.index, 0);
	assert_int_equal(socket_peer(scene.fd, &peer), 0);
	assert_true(address_eq(&peer, &list[0]));
	assert_true(fcntl(scene.fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(getsockopt(scene.fd, IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
	assert_int_equal(value, 1);
	assert_int_equal(getsockopt(scene.fd, IPPROTO_TCP, TCP_KEEPIDLE, &value, &len), 0);
	assert_int_equal(value, 33);
	scene_close(&scene);
	close(servers[0]);
	close(servers[1]);
}

static void note_socket(struct net_connect *job, int fd)
{
	struct scene *scene = container_of(job, struct scene, job);
	struct address peer;

	assert_int_equal(socket_peer(fd, &peer), -ENOTCONN);
	scene->sockets++;
}

TEST(each_socket_is_shown_before_it_connects)
{
	struct address list[2];
	int refusing = refusing_port(&list[0]), server;
	struct scene scene;

	list[1] = pair_loopback();
	server = pair_listen(&list[1], 1);
	scene_open(&scene);
	scene.job.on_socket = note_socket;
	scene_start(&scene, list, 2, 0);
	play(scene.loop);
	assert_int_equal(scene.result, 0);
	assert_int_equal(scene.index, 1);
	assert_int_equal(scene.sockets, 2);
	scene_close(&scene);
	close(refusing);
	close(server);
}

TEST(refused_addresses_are_passed_over)
{
	struct address list[3];
	int refusing[2] = { refusing_port(&list[0]), refusing_port(&list[1]) };
	struct scene scene;
	int server;

	list[2] = pair_loopback();
	server = pair_listen(&list[2], 1);
	scene_open(&scene);
	scene_start(&scene, list, 3, 10000);
	play(scene.loop);
	assert_int_equal(scene.result, 0);
	assert_int_equal(scene.index, 2);
	scene_close(&scene);
	close(server);
	close(refusing[0]);
	close(refusing[1]);
}

TEST(when_all_refuse_the_last_error_is_reported_once)
{
	struct address list[2];
	int refusing[2] = { refusing_port(&list[0]), refusing_port(&list[1]) };
	struct scene scene;

	scene_open(&scene);
	scene_start(&scene, list, 2, 10000);
	play(scene.loop);
	assert_int_equal(scene.result, -ECONNREFUSED);
	assert_int_equal(scene.fd, -1);
	play_for(scene.loop, 20);
	assert_int_equal(scene.calls, 1);
	scene_close(&scene);
	close(refusing[0]);
	close(refusing[1]);
}

/* The first of so many addresses swallows packets, the second accepts. */
struct beside_hole {
	struct address list[LIMIT_ADDRESSES];
	struct hole hole;
	struct scene scene;
	int server;
	uint64_t start_ms;
};

static void beside_hole_open(struct beside_hole *b, uint32_t count, uint64_t timeout_ms)
{
	struct address any = pair_loopback();

	hole_open(&b->hole, &any);
	for (uint32_t i = 0; i < count; i++)
		b->list[i] = b->hole.address;
	b->list[1] = pair_loopback();
	b->server = pair_listen(&b->list[1], 1);
	scene_open(&b->scene);
	scene_start(&b->scene, b->list, count, timeout_ms);
	b->start_ms = loop_now_ms(b->scene.loop);
}

static void beside_hole_close(struct beside_hole *b)
{
	scene_close(&b->scene);
	close(b->server);
	hole_close(&b->hole);
}

TEST(an_address_that_swallows_packets_costs_only_its_share)
{
	struct beside_hole b;

	beside_hole_open(&b, 16, 8000);
	assert_int_equal(b.scene.job.try_deadline_ms - b.start_ms, 8000 / 16);
	play(b.scene.loop);
	assert_true(loop_now_ms(b.scene.loop) - b.start_ms >= 8000 / 16);
	/* More than all of the time is a timeout. */
	assert_int_equal(b.scene.result, 0);
	assert_int_equal(b.scene.index, 1);
	beside_hole_close(&b);
}

TEST(a_share_is_never_shorter_than_the_minimum_nor_longer_than_what_is_left)
{
	struct beside_hole b;

	beside_hole_open(&b, 16, 1000);
	assert_int_equal(b.scene.job.try_deadline_ms - b.start_ms, NET_CONNECT_SHARE_MIN_MS);
	beside_hole_close(&b);
	beside_hole_open(&b, 16, NET_CONNECT_SHARE_MIN_MS / 2);
	assert_int_equal(b.scene.job.try_deadline_ms - b.start_ms, NET_CONNECT_SHARE_MIN_MS / 2);
	beside_hole_close(&b);
}

TEST(the_deadline_ends_it_and_not_before)
{
	struct address list[3], any = pair_loopback();
	struct hole hole;
	struct scene scene;
	uint64_t start_ms;

	hole_open(&hole, &any);
	list[0] = list[1] = list[2] = hole.address;
	scene_open(&scene);
	scene_start(&scene, list, 3, 300);
	start_ms = loop_now_ms(scene.loop);
	play(scene.loop);
	assert_int_equal(scene.result, -ETIMEDOUT);
	assert_int_equal(scene.fd, -1);
	assert_true(loop_now_ms(scene.loop) - start_ms >= 300);
	scene_close(&scene);
	hole_close(&hole);
}

TEST(a_deadline_in_the_past_is_a_timeout_without_a_try)
{
	struct address any = pair_loopback();
	int server = pair_listen(&any, 1);
	struct scene scene;

	scene_open(&scene);
	net_connect_start(&scene.job, scene.loop, &any, 1, 1, NULL);
	play(scene.loop);
	assert_int_equal(scene.result, -ETIMEDOUT);
	assert_int_equal(poll(&(struct pollfd){ .fd = server, .events = POLLIN }, 1, 0), 0);
	scene_close(&scene);
	close(server);
}

TEST(errors_known_at_once_are_delivered_later_all_the_same)
{
	struct address nowhere;
	struct scene scene;

	scene_open(&scene);
	assert_int_equal(address_parse(SPAN("unix:/nonexistent/socket"), &nowhere), 0);
	scene_start(&scene, &nowhere, 1, 0);
	play(scene.loop);
	assert_int_equal(scene.result, -ENOENT);
	assert_int_equal(socket_failure_of(scene.result), SOCKET_FAILURE_REFUSED);
	scene.calls = 0;
	scene_start(&scene, NULL, 0, 0);
	play(scene.loop);
	assert_int_equal(scene.result, -EDESTADDRREQ);
	scene_close(&scene);
}

static struct address second_address;

static void start_nowhere_again(struct scene *scene)
{
	if (scene->calls < 100)
		net_connect_start(&scene->job, scene->loop, &second_address, 1, 0, NULL);
}

TEST(who_fails_at_once_and_tries_again_leaves_turns_to_others)
{
	struct scene scene;
	uint64_t begin;

	scene_open(&scene);
	assert_int_equal(address_parse(SPAN("unix:/nonexistent/socket"), &second_address), 0);
	scene.at_done = start_nowhere_again;
	scene_start(&scene, &second_address, 1, 0);
	begin = loop_turn(scene.loop);
	for (unsigned int i = 1; i <= 100; i++) {
		play(scene.loop);
		assert_int_equal(scene.calls, i);
	}
	assert_true(loop_turn(scene.loop) - begin >= 100);
	scene_close(&scene);
}

TEST(cancel_prevents_the_callback_in_every_state)
{
	struct address any = pair_loopback(), server_address = pair_loopback(), nowhere;
	int server = pair_listen(&server_address, 1);
	struct hole hole;
	struct scene scene;

	hole_open(&hole, &any);
	assert_int_equal(address_parse(SPAN("unix:/nonexistent/socket"), &nowhere), 0);
	scene_open(&scene);
	net_connect_cancel(&scene.job);
	scene_start(&scene, &hole.address, 1, 50);
	net_connect_cancel(&scene.job);
	net_connect_cancel(&scene.job);
	assert_int_equal(scene.job.state, NET_CONNECT_IDLE);
	scene_start(&scene, &nowhere, 1, 50);
	net_connect_cancel(&scene.job);
	scene_start(&scene, &server_address, 1, 50);
	net_connect_cancel(&scene.job);
	play_for(scene.loop, 100);
	assert_int_equal(scene.calls, 0);
	scene_close(&scene);
	close(server);
	hole_close(&hole);
}

static void start_again(struct scene *scene)
{
	scene->at_done = NULL;
	if (scene->fd >= 0)
		close(scene->fd);
	net_connect_start(&scene->job, scene->loop, &second_address, 1, 0, NULL);
}

TEST(the_callback_may_start_the_same_object_again)
{
	struct address first;
	int refusing = refusing_port(&first);
	struct scene scene;
	int server;

	second_address = pair_loopback();
	server = pair_listen(&second_address, 1);
	scene_open(&scene);
	scene.at_done = start_again;
	scene_start(&scene, &first, 1, 0);
	play(scene.loop);
	assert_int_equal(scene.result, -ECONNREFUSED);
	play(scene.loop);
	assert_int_equal(scene.result, 0);
	assert_int_equal(scene.calls, 2);
	scene_close(&scene);
	close(server);
	close(refusing);
}

struct heap_scene {
	struct loop *loop;
	struct net_connect job;
};

static void free_in_callback(struct net_connect *job, int result, int fd, uint32_t index)
{
	struct heap_scene *scene = container_of(job, struct heap_scene, job);

	(void)result;
	(void)index;
	loop_stop(scene->loop);
	socket_close(fd);
	memset(scene, 0xdd, sizeof(*scene));
	free(scene);
}

TEST(the_callback_may_free_the_object)
{
	struct address list[3];
	struct hole hole;
	int server, refusing;

	list[0] = pair_loopback();
	server = pair_listen(&list[0], 1);
	refusing = refusing_port(&list[1]);
	list[2] = pair_loopback();
	hole_open(&hole, &list[2]);
	list[2] = hole.address;
	for (int i = 0; i < 3; i++) {
		struct loop *loop = loop_create(16);
		struct heap_scene *scene = malloc(sizeof(*scene));

		scene->loop = loop;
		net_connect_init(&scene->job, free_in_callback);
		net_connect_start(&scene->job, loop, &list[i], 1, loop_now_ms(loop) + 300, NULL);
		play(loop);
		loop_free(loop);
	}
	close(server);
	close(refusing);
	hole_close(&hole);
}

static void unix_path(char folder[32], struct address *ret_address)
{
	char path[64];

	snprintf(folder, 32, "/tmp/headgate-test-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/s", folder);
	assert_int_equal(address_set_unix(ret_address, span_str(path)), 0);
}

static void unix_path_remove(const char *folder, const struct address *address)
{
	unlink(address->un.sun_path);
	assert_int_equal(rmdir(folder), 0);
}

TEST(a_unix_listener_is_connected_at_the_end_of_the_turn)
{
	struct address address;
	char folder[32];
	struct scene scene;
	int server;

	unix_path(folder, &address);
	server = pair_listen(&address, 1);
	scene_open(&scene);
	scene_start(&scene, &address, 1, 10000);
	assert_int_equal(scene.job.state, NET_CONNECT_DELIVER);
	play(scene.loop);
	assert_int_equal(scene.result, 0);
	scene_close(&scene);
	close(server);
	unix_path_remove(folder, &address);
}

static void on_room(struct timer *timer, uint64_t now_ms)
{
	struct play_limit *pause = container_of(timer, struct play_limit, timer);

	(void)now_ms;
	for (int i = 0; i < HOLE_CLIENTS; i++) {
		int fd = accept4((int)(intptr_t)pause->loop, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0)
			close(fd);
	}
}

TEST(a_full_unix_queue_is_tried_again_until_there_is_room_or_the_time_is_over)
{
	struct play_limit room = { .is_reached = false };
	struct address address;
	char folder[32];
	struct scene scene;
	struct hole hole;
	uint64_t start_ms;

	unix_path(folder, &address);
	hole_open(&hole, &address);
	scene_open(&scene);
	scene_start(&scene, &address, 1, 60);
	assert_int_equal(scene.job.state, NET_CONNECT_RETRY);
	start_ms = loop_now_ms(scene.loop);
	play(scene.loop);
	assert_int_equal(scene.result, -ETIMEDOUT);
	assert_true(loop_now_ms(scene.loop) - start_ms >= 60);

	assert_int_equal(fcntl(hole.fd, F_SETFL, O_NONBLOCK), 0);
	scene.calls = 0;
	scene_start(&scene, &address, 1, 5000);
	room.loop = (struct loop *)(intptr_t)hole.fd;
	timer_init(&room.timer, on_room);
	timer_arm(loop_timers(scene.loop), &room.timer, loop_now_ms(scene.loop) + 40);
	play(scene.loop);
	assert_int_equal(scene.result, 0);
	scene_close(&scene);
	hole_close(&hole);
	unix_path_remove(folder, &address);
}

TEST(a_connection_to_itself_is_no_connection)
{
	struct address any = pair_loopback();
	unsigned int met = 0;

	/* A socket bound to the port it connects to meets itself: here on purpose, elsewhere by bad luck. */
	for (int i = 0; i < 3; i++) {
		struct scene scene;
		struct address self;
		int fd;

		scene_open(&scene);
		assert_int_equal(socket_open(&any, &fd), 0);
		assert_int_equal(bind(fd, &any.any, any.len), 0);
		assert_int_equal(socket_local(fd, &self), 0);
		scene.job.source.fd = fd;
		assert_int_equal(connect(fd, &self.any, self.len), -1);
		pair_wait(fd, POLLOUT);
		met += socket_error(fd) == 0;
		scene.job.loop = scene.loop;
		scene.job.list = &self;
		scene.job.count = 1;
		scene.job.state = NET_CONNECT_TRYING;
		scene.job.source.on_event(&scene.job.source, POLLOUT);
		assert_int_equal(scene.result, -ECONNREFUSED);
		scene_close(&scene);
	}
	assert_int_equal(met, 3);
}

TEST(a_loop_without_room_is_an_error_and_nothing_is_allocated)
{
	struct address address = pair_loopback();
	int server = pair_listen(&address, 1);
	struct loop *loop = loop_create(0);
	struct scene scene;

	scene_open(&scene);
	scene_start(&scene, &address, 1, 10000);
	net_connect_cancel(&scene.job);
	mem_fail_nth(0);
	scene_start(&scene, &address, 1, 10000);
	play(scene.loop);
	assert_int_equal(mem_count(), 0);
	assert_int_equal(scene.result, 0);
	scene_close(&scene);

	scene = (struct scene){ .loop = loop, .fd = -1 };
	net_connect_init(&scene.job, on_done);
	scene_start(&scene, &address, 1, 10000);
	play(loop);
	assert_int_equal(scene.result, -ENOSPC);
	scene_close(&scene);
	close(server);
}
