/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Applications that wait in recv(): in a sock map the kernel would return EAGAIN there at a signal, so they
 * are left to TCP.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gen/local_broken.skel.h"
#include "tests/bpf/broken.h"
#include "tests/bpf/bypass_rig.h"
#include "tests/bpf/local_rig.h"
#include "tests/lib/test.h"

static uint32_t broken;
#define SOCKMAP_BROKEN(rule) (broken & (rule))
#include "user/kernel/local/bypass.c"

/* A thread in recv() of a blocking socket. */
struct waiter {
	pthread_t thread;
	int fd;
	char bytes[16];
	ssize_t got;
	int error;
	_Atomic bool is_over;
};

static void on_signal(int number)
{
	(void)number;
}

static void *waiter_run(void *arg)
{
	struct waiter *w = arg;

	w->got = recv(w->fd, w->bytes, sizeof(w->bytes), 0);
	w->error = w->got < 0 ? errno : 0;
	w->is_over = true;
	return NULL;
}

/* Signals the thread until its recv() has returned, or for a while. */
static void waiter_start(struct waiter *w, int fd)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	*w = (struct waiter){ .fd = fd };
	sigaction(SIGUSR1, &action, NULL);
	assert_int_equal(pthread_create(&w->thread, NULL, waiter_run, w), 0);
	for (int i = 0; i < 300 && !w->is_over; i++) {
		usleep(1000);
		pthread_kill(w->thread, SIGUSR1);
	}
}

static bool waiter_reads(struct waiter *w, const char *text)
{
	pthread_join(w->thread, NULL);
	return w->got == (ssize_t)strlen(text) && memcmp(w->bytes, text, strlen(text)) == 0;
}

/* As conn_send_now() does. */
static bool send_on(struct bypass *bypass, int fd, const char *text)
{
	ssize_t sent = send(fd, text, strlen(text), MSG_NOSIGNAL);

	if (sent < 0 && bypass_leave(bypass))
		sent = send(fd, text, strlen(text), MSG_NOSIGNAL);
	return sent == (ssize_t)strlen(text);
}

struct scene {
	struct local *local;
	struct local_worker *worker;
	struct sockaddr_storage address;
	struct bypass bypass;
	int listener, own, app;
};

static void scene_open(struct scene *s, bool is_broken)
{
	struct local_options options = { .override = { .before_load = rig_break, .arg = &broken } };

	broken = is_broken ? LOCAL_BREAK_BLOCKING : 0;
	options.override.elf = local_broken_bpf__elf_bytes(&options.override.elf_bytes);
	*s = (struct scene){ .local = local_rig_load(&options), .own = -1, .app = -1 };
	assert_int_equal(local_worker_create(s->local, &s->worker), 0);
	s->listener = rig_listen(AF_INET, &s->address, 0, 0);
}

static void scene_close(struct scene *s)
{
	bypass_stop(&s->bypass);
	rig_close(&s->own);
	rig_close(&s->app);
	rig_close(&s->listener);
	local_worker_free(s->worker);
	local_free(s->local);
	broken = 0;
}

static bool is_named_for_us(const struct local_end *end)
{
	return strncmp(end->program, program_invocation_short_name, LOCAL_PROGRAM_BYTES - 1) == 0;
}

static uint64_t left_for_blocking(struct local *local)
{
	uint64_t counts[LOCAL_REASON_COUNT];

	bypass_read_left(local, counts);
	return counts[LOCAL_REASON_BLOCKING];
}

static int client_connects(struct scene *s)
{
	assert_int_equal(local_listener_add(s->local, (struct sockaddr *)&s->address), 0);
	s->app = rig_socket(AF_INET, 0, 0);
	assert_int_equal(connect(s->app, (struct sockaddr *)&s->address, sizeof(s->address)), 0);
	s->own = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	return bypass_start(&s->bypass, s->worker, s->own);
}

/* True: recv() of the client returns what the gateway sends, and signals do not end it. */
static bool client_waits(struct scene *s)
{
	struct waiter w;

	waiter_start(&w, s->app);
	assert_int_equal(send(s->own, "late", 4, MSG_NOSIGNAL), 4);
	return waiter_reads(&w, "late");
}

TEST(a_client_that_waits_in_recv_is_left_to_tcp)
{
	struct local_end end = { 0 };
	struct scene s;

	scene_open(&s, false);
	assert_int_equal(client_connects(&s), -EOPNOTSUPP);
	assert_int_equal(left_for_blocking(s.local), 1);
	assert_true(client_waits(&s));
	scene_close(&s);

	scene_open(&s, true);
	assert_int_equal(client_connects(&s), 0);
	assert_int_equal(local_end_find(s.local, s.bypass.far_cookie, &end), 0);
	assert_true(is_named_for_us(&end));
	assert_false(client_waits(&s));
	scene_close(&s);
}

/* The gateway connects; the server accepts, blocking. */
static int server_accepts(struct scene *s)
{
	s->own = rig_socket(AF_INET, 0, 0);
	assert_int_equal(local_announce(s->local, s->own), 0);
	s->app = rig_accept(s->own, s->listener, &s->address);
	set_blocking(s->app, true);
	return bypass_start(&s->bypass, s->worker, s->own);
}

static bool server_waits(struct scene *s)
{
	struct waiter w;
	char byte;

	assert_true(send_on(&s->bypass, s->own, "a"));
	assert_int_equal(recv(s->app, &byte, 1, 0), 1);
	assert_true(send_on(&s->bypass, s->own, "b"));
	assert_int_equal(recv(s->app, &byte, 1, 0), 1);
	waiter_start(&w, s->app);
	assert_true(send_on(&s->bypass, s->own, "late"));
	return waiter_reads(&w, "late");
}

TEST(a_server_that_waits_in_recv_leaves_and_does_not_return)
{
	struct local_end end = { 0 };
	struct scene s;

	scene_open(&s, false);
	assert_int_equal(server_accepts(&s), 0);
	assert_true(server_waits(&s));
	assert_true(s.bypass.has_left);
	assert_int_equal(left_for_blocking(s.local), 1);
	assert_int_equal(local_end_find(s.local, s.bypass.far_cookie, &end), 0);
	assert_true(is_named_for_us(&end));
	bypass_stop(&s.bypass);
	rig_close(&s.own);
	rig_close(&s.app);
	assert_int_equal(server_accepts(&s), -EOPNOTSUPP);
	assert_int_equal(left_for_blocking(s.local), 2);
	scene_close(&s);

	scene_open(&s, true);
	assert_int_equal(server_accepts(&s), 0);
	assert_false(server_waits(&s));
	scene_close(&s);
}
