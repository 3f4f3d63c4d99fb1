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
#include "user/kernel/local/local_programs.h"

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
	_Atomic bool has_begun, is_over;
};

static void on_signal(int number)
{
	(void)number;
}

static void *waiter_run(void *arg)
{
	struct waiter *w = arg;

	w->has_begun = true;
	w->got = recv(w->fd, w->bytes, sizeof(w->bytes), 0);
	w->error = w->got < 0 ? errno : 0;
	w->is_over = true;
	return NULL;
}

/* Signals the thread until its recv() has returned; if it should not, for a while only. */
static void waiter_start(struct waiter *w, int fd, bool should_end)
{
	int rounds = should_end ? PAIR_WAIT_MS : 300;
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	*w = (struct waiter){ .fd = fd };
	sigaction(SIGUSR1, &action, NULL);
	assert_int_equal(pthread_create(&w->thread, NULL, waiter_run, w), 0);
	for (int i = 0; i < rounds && !w->is_over; i += w->has_begun) {
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

static void scene_open(struct scene *s, uint32_t rules)
{
	struct local_options options = { .override = { .before_load = rig_break, .arg = &broken } };

	broken = rules;
	options.override.elf = local_broken_bpf__elf_bytes(&options.override.elf_bytes);
	*s = (struct scene){ .local = local_rig_load(&options), .own = -1, .app = -1 };
	assert_int_equal(local_worker_create(s->local, &s->worker), 0);
	s->listener = rig_listen(AF_INET, &s->address, 0, 0);
}

static void ends_close(struct scene *s)
{
	bypass_stop(&s->bypass);
	rig_close(&s->own);
	rig_close(&s->app);
}

static void scene_close(struct scene *s)
{
	ends_close(s);
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

/* Its descriptor is blocking from the beginning, or, as that of hiredis, from the end of connect() on. */
static int client_connects(struct scene *s, bool is_late)
{
	struct sockaddr *address = (struct sockaddr *)&s->address;

	assert_int_equal(local_listener_add(s->local, address), 0);
	s->app = rig_socket(AF_INET, 0, 0);
	if (is_late)
		rig_connect_to(s->app, &s->address);
	else
		assert_int_equal(connect(s->app, address, sizeof(s->address)), 0);
	set_blocking(s->app, true);
	s->own = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	return bypass_start(&s->bypass, s->worker, s->own);
}

/* True: recv() of the application returns what the gateway sends, and signals do not end it. */
static bool app_waits(struct scene *s)
{
	struct waiter w;

	waiter_start(&w, s->app, broken != 0);
	assert_true(send_on(&s->bypass, s->own, "late"));
	return waiter_reads(&w, "late");
}

TEST(a_client_that_waits_in_recv_is_left_to_tcp)
{
	struct local_end end = { 0 };
	struct scene s;

	scene_open(&s, 0);
	assert_int_equal(client_connects(&s, false), -EOPNOTSUPP);
	assert_int_equal(left_for_blocking(s.local), 1);
	assert_true(app_waits(&s));
	scene_close(&s);

	scene_open(&s, LOCAL_BREAK_BLOCKING);
	assert_int_equal(client_connects(&s, false), 0);
	assert_int_equal(local_end_find(s.local, s.bypass.far_cookie, &end), 0);
	assert_true(is_named_for_us(&end));
	assert_false(app_waits(&s));
	scene_close(&s);
}

static void app_reads(struct scene *s, const char *text)
{
	char bytes[16];

	assert_true(send_on(&s->bypass, s->own, text));
	assert_int_equal(recv(s->app, bytes, sizeof(bytes), 0), strlen(text));
}

/* Its first connection enters the lane, because nothing is known yet. Returns how the second one begins. */
static int second_begins(struct scene *s)
{
	assert_int_equal(client_connects(s, true), 0);
	app_reads(s, "a");
	app_reads(s, "b");
	assert_true(s->bypass.has_left);
	ends_close(s);
	return client_connects(s, true);
}

TEST(a_client_that_waits_only_after_connect_does_not_return)
{
	struct local_program rows[LOCAL_PROGRAMS_MAX];
	struct scene s;
	size_t count;

	scene_open(&s, 0);
	assert_int_equal(second_begins(&s), -EOPNOTSUPP);
	assert_int_equal(left_for_blocking(s.local), 2);
	assert_false(local_programs(s.local, rows, &count));
	assert_int_equal(count, 1);
	assert_true(rows[0].is_client && !rows[0].bypasses);
	assert_int_equal(rows[0].reason, LOCAL_REASON_BLOCKING);
	assert_true(app_waits(&s));
	scene_close(&s);

	scene_open(&s, LOCAL_BREAK_EXECUTABLE);
	assert_int_equal(second_begins(&s), 0);
	assert_false(app_waits(&s));
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
	app_reads(s, "a");
	app_reads(s, "b");
	return app_waits(s);
}

TEST(a_server_that_waits_in_recv_leaves_and_does_not_return)
{
	struct local_end end = { 0 };
	struct scene s;

	scene_open(&s, 0);
	assert_int_equal(server_accepts(&s), 0);
	assert_true(server_waits(&s));
	assert_true(s.bypass.has_left);
	assert_int_equal(left_for_blocking(s.local), 1);
	assert_int_equal(local_end_find(s.local, s.bypass.far_cookie, &end), 0);
	assert_true(is_named_for_us(&end));
	ends_close(&s);
	assert_int_equal(server_accepts(&s), -EOPNOTSUPP);
	assert_int_equal(left_for_blocking(s.local), 2);
	scene_close(&s);

	scene_open(&s, LOCAL_BREAK_BLOCKING);
	assert_int_equal(server_accepts(&s), 0);
	assert_false(server_waits(&s));
	scene_close(&s);
}

/* Its first recv() has nothing to read yet, and is what shows that it waits. */
TEST(a_server_whose_recv_has_failed_does_not_return)
{
	struct waiter w;
	struct scene s;

	scene_open(&s, 0);
	assert_int_equal(server_accepts(&s), 0);
	waiter_start(&w, s.app, true);
	assert_true(w.is_over);
	pthread_join(w.thread, NULL);
	assert_int_equal(w.error, EAGAIN);
	ends_close(&s);
	assert_int_equal(server_accepts(&s), -EOPNOTSUPP);
	assert_true(app_waits(&s));
	scene_close(&s);
}

/* The same descriptor, read with and without MSG_DONTWAIT. */
TEST(a_server_that_waits_once_is_one_that_waits)
{
	struct scene s;
	char byte;

	scene_open(&s, 0);
	assert_int_equal(server_accepts(&s), 0);
	for (int i = 0; i < 3; i++) {
		assert_true(send_on(&s.bypass, s.own, "a"));
		assert_int_equal(recv(s.app, &byte, 1, MSG_DONTWAIT), 1);
	}
	assert_false(s.bypass.has_left);
	app_reads(&s, "b");
	assert_true(send_on(&s.bypass, s.own, "c"));
	assert_true(s.bypass.has_left);
	assert_string_equal(pair_next(s.app), "bytes");
	ends_close(&s);
	assert_int_equal(server_accepts(&s), -EOPNOTSUPP);
	assert_int_equal(recv(s.app, &byte, 1, MSG_DONTWAIT), -1);
	ends_close(&s);
	assert_int_equal(server_accepts(&s), -EOPNOTSUPP);
	scene_close(&s);
}

static void listen_again(struct scene *s)
{
	rig_close(&s->listener);
	s->listener = rig_socket(AF_INET, 0, 0);
	assert_int_equal(bind(s->listener, (struct sockaddr *)&s->address, sizeof(s->address)), 0);
	assert_int_equal(listen(s->listener, 8), 0);
}

/* The last test: the process stays in the other network namespace. */
TEST(an_address_is_known_in_its_namespace_and_an_executable_in_each)
{
	struct scene s;

	scene_open(&s, 0);
	assert_int_equal(server_accepts(&s), 0);
	app_reads(&s, "a");
	ends_close(&s);
	assert_int_equal(second_begins(&s), -EOPNOTSUPP);
	ends_close(&s);
	assert_int_equal(local_listener_remove(s.local, (struct sockaddr *)&s.address), 0);
	assert_int_equal(server_accepts(&s), -EOPNOTSUPP);
	ends_close(&s);
	rig_enter_network();
	listen_again(&s);
	assert_int_equal(server_accepts(&s), 0);
	ends_close(&s);
	assert_int_equal(client_connects(&s, true), -EOPNOTSUPP);
	scene_close(&s);
}
