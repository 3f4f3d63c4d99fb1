/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gate/near_selftest.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "user/base/clock.h"
#include "user/base/log.h"
#include "user/base/mem.h"
#include "user/gate/near_internal.h"

/* Enough to go past the bound of a receiver's queue, through every lane and back. */
#define TEST_BYTES (3u * 1024 * 1024)
#define TEST_PIECE 32768u
#define TEST_LIMIT_MS 1000u

struct near_test {
	struct near *near;
	int listener, backend; /* listening sockets; -1: none. All to be closed, in this order */
	int client, front, back, server;
	struct near_direction direction; /* client to server */
	char *buffer; /* TEST_PIECE of the gateway */
	size_t start, end; /* read from front, not sent to back */
	uint64_t sent_bytes, read_bytes;
	uint64_t end_ms;
	const char *failure;
};

static unsigned char pattern_byte(uint64_t position)
{
	return (unsigned char)(position * 2654435761u >> 16);
}

static int test_fail(struct near_test *t, const char *failure, int error)
{
	t->failure = failure;
	return error;
}

static int listen_loopback(int *ret_fd, struct sockaddr_in *address)
{
	socklen_t len = sizeof(*address);

	*address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	*ret_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	if (*ret_fd < 0 || bind(*ret_fd, (struct sockaddr *)address, len) || listen(*ret_fd, 1) ||
	    getsockname(*ret_fd, (struct sockaddr *)address, &len))
		return -errno;
	return 0;
}

static int connect_loopback(int *ret_fds, int listener, const struct sockaddr_in *address,
			    struct near *announced)
{
	ret_fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	if (ret_fds[0] < 0)
		return -errno;
	if (announced) {
		int error = near_announce(announced, ret_fds[0]);

		if (error)
			return error;
	}
	if (connect(ret_fds[0], (const struct sockaddr *)address, sizeof(*address)))
		return -errno;
	ret_fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (ret_fds[1] < 0 || fcntl(ret_fds[0], F_SETFL, O_NONBLOCK))
		return -errno;
	return 0;
}

static int test_connect(struct near_test *t)
{
	struct sockaddr_in address, backend;
	int error = listen_loopback(&t->listener, &address);

	if (!error)
		error = listen_loopback(&t->backend, &backend);
	if (!error)
		error = near_listener_add(t->near, (struct sockaddr *)&address, true);
	if (error)
		return test_fail(t, "listening on loopback", error);
	error = connect_loopback(&t->client, t->listener, &address, NULL);
	near_listener_remove(t->near, (struct sockaddr *)&address);
	if (!error)
		error = connect_loopback(&t->back, t->backend, &backend, t->near);
	return error ? test_fail(t, "connecting on loopback", error) : 0;
}

/* What passed: from front to back. */
static int test_copy(struct near_test *t)
{
	ssize_t count;

	if (t->start == t->end) {
		count = recv(t->front, t->buffer, TEST_PIECE, 0);
		if (count < 0)
			return errno == EAGAIN ? 0 : test_fail(t, "reading what passed", -errno);
		t->start = 0;
		t->end = (size_t)count;
	}
	count = send(t->back, t->buffer + t->start, t->end - t->start, MSG_NOSIGNAL);
	if (count < 0)
		return errno == EAGAIN ? 0 : test_fail(t, "forwarding what passed", -errno);
	t->start += (size_t)count;
	near_direction_forwarded(&t->direction, (uint64_t)count);
	return 0;
}

/* The application sends as long as anything is taken; *ret_sent: anything was. */
static int test_send(struct near_test *t, uint64_t until, bool *ret_sent)
{
	unsigned char piece[4096];
	size_t len = sizeof(piece);
	ssize_t sent;

	*ret_sent = false;
	if (t->sent_bytes >= until)
		return 0;
	if (len > until - t->sent_bytes)
		len = (size_t)(until - t->sent_bytes);
	for (size_t i = 0; i < len; i++)
		piece[i] = pattern_byte(t->sent_bytes + i);
	sent = send(t->client, piece, len, MSG_NOSIGNAL);
	if (sent < 0)
		return errno == EAGAIN ? 0 : test_fail(t, "sending", -errno);
	t->sent_bytes += (uint64_t)sent;
	*ret_sent = true;
	return 0;
}

/* The other application reads what there is; *ret_read: anything. */
static int test_read(struct near_test *t, bool *ret_read)
{
	unsigned char piece[16384];
	ssize_t got = recv(t->server, piece, sizeof(piece), 0);

	*ret_read = got > 0;
	if (got < 0)
		return errno == EAGAIN ? 0 : test_fail(t, "reading", -errno);
	for (ssize_t i = 0; i < got; i++) {
		if (piece[i] != pattern_byte(t->read_bytes + (uint64_t)i))
			return test_fail(t, "bytes were lost, doubled or out of order", -EIO);
	}
	t->read_bytes += (uint64_t)got;
	return 0;
}

static int test_wait(struct near_test *t, const char *what)
{
	if (clock_now_ms() > t->end_ms)
		return test_fail(t, what, -EIO);
	poll(NULL, 0, 1);
	return 0;
}

/* Until nothing is taken any more: every bound is reached, while the reader stands still. */
static int test_fill(struct near_test *t)
{
	int error = 0;

	for (int idle = 0; idle < 3 && !error && t->sent_bytes < TEST_BYTES;) {
		bool is_sent;

		error = test_send(t, TEST_BYTES, &is_sent);
		if (!error)
			error = test_copy(t);
		if (error || is_sent)
			continue;
		idle++;
		error = test_wait(t, "the sender got stuck");
	}
	return error;
}

/* Everything arrives. */
static int test_drain(struct near_test *t, uint64_t until)
{
	int error = 0;

	while (!error && t->read_bytes < until) {
		bool is_sent, is_read = false;

		error = test_send(t, until, &is_sent);
		if (!error)
			error = test_copy(t);
		if (!error)
			error = test_read(t, &is_read);
		if (!error && !is_sent && !is_read)
			error = test_wait(t, "bytes got stuck");
	}
	return error;
}

static int test_end(struct near_test *t)
{
	char byte;

	if (near_direction_check(&t->direction))
		return test_fail(t, "the counters contradict each other", -EIO);
	if (shutdown(t->client, SHUT_WR))
		return test_fail(t, "closing", -errno);
	while (recv(t->front, &byte, 1, 0) != 0) {
		int error = test_wait(t, "the end got stuck");

		if (error)
			return error;
	}
	if (near_direction_check(&t->direction) || shutdown(t->back, SHUT_WR))
		return test_fail(t, "the counters contradict each other at the end", -EIO);
	while (recv(t->server, &byte, 1, 0) != 0) {
		int error = test_wait(t, "the end got stuck");

		if (error)
			return error;
	}
	return 0;
}

/* First bytes pass before the direction starts, the next ones fill every queue, the last ones are few. */
static int test_run(struct near_test *t)
{
	struct near_direction_options options = { .source_fd = t->front, .target_fd = t->back,
						  .wants_direct = true };
	bool is_sent, had_direct = near_has_direct(t->near);
	int error = test_send(t, 1000, &is_sent);

	if (!error)
		error = near_direction_start(&t->direction, t->near, &options);
	if (error)
		return t->failure ? error : test_fail(t, "starting", error);
	error = test_drain(t, 2000);
	if (!error)
		error = test_fill(t);
	if (!error && had_direct &&
	    t->direction.record->kernel.receiver_peak_bytes < t->near->receiver_bytes / 2) {
		log_info("this kernel does not charge receivers for redirected bytes: no lane direct");
		near_disable_direct(t->near);
	}
	if (!error)
		error = test_drain(t, t->sent_bytes);
	if (!error)
		error = test_drain(t, t->sent_bytes + 1000);
	if (!error && near_direction_stats(&t->direction).near_bytes == 0)
		return test_fail(t, "nothing was carried", -EIO);
	return error ? error : test_end(t);
}

int near_selftest(struct near *near, struct text *why, uint64_t *ret_took_ns)
{
	struct near_test t = { .near = near, .listener = -1, .backend = -1, .client = -1, .front = -1,
			       .back = -1, .server = -1 };
	uint64_t start_ns = clock_now_ns();
	int error;

	t.end_ms = clock_now_ms() + TEST_LIMIT_MS;
	t.buffer = hg_malloc(TEST_PIECE);
	error = t.buffer ? test_connect(&t) : test_fail(&t, "no memory", -ENOMEM);
	if (!error)
		error = test_run(&t);
	near_direction_stop(&t.direction);
	for (int *fd = &t.listener; fd <= &t.server; fd++) {
		if (*fd >= 0)
			close(*fd);
	}
	hg_free(t.buffer);
	*ret_took_ns = clock_now_ns() - start_ns;
	if (error)
		text_fmt(why, "self-test of the same-host lanes: %s (%s)", t.failure, strerror(-error));
	return error;
}
