/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gate/selftest.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "user/base/check.h"
#include "user/base/clock.h"
#include "user/gate/pair.h"

#define TEST_BUFFER_BYTES 16384 /* SO_SNDBUF and SO_RCVBUF: partial sends happen all the time */
#define TEST_HEAD_BYTES 83u /* with the begin of the body in one piece, read before the socket joins */
#define TEST_BODY_BYTES 150001u
#define TEST_NEXT_BYTES 97u /* of the next message behind the body */
#define TEST_BODY_END (TEST_HEAD_BYTES + TEST_BODY_BYTES)
#define TEST_NEXT_END (TEST_BODY_END + TEST_NEXT_BYTES)
#define TEST_DOWN_BYTES 131101u
#define TEST_CREDIT_BYTES 8192u
#define TEST_LIMIT_NS 3000000000ull
#define TEST_PAUSE_TURNS 8 /* the reader starts after that many, and skips every such one */

struct selftest {
	struct gate_worker *worker;
	struct gate_socket front_socket, back_socket;
	struct gate_direction direction;
	enum gate_step step;
	int client, front, back, server;
	uint64_t written; /* of the client's TEST_NEXT_END bytes */
	uint64_t until_ns;
	const char *failure;
};

static unsigned char pattern(uint32_t seed, uint64_t position)
{
	uint64_t mixed = (position + seed) * 0x9e3779b97f4a7c15ull;

	return (unsigned char)(mixed >> 56);
}

static bool socket_shrink(int fd)
{
	int bytes = TEST_BUFFER_BYTES;

	return setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)) == 0 &&
	       setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)) == 0;
}

static int pair_open(int family, int *ret_connected, int *ret_accepted)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr *address = family == AF_INET ? (struct sockaddr *)&in : (struct sockaddr *)&in6;
	socklen_t len = family == AF_INET ? sizeof(in) : sizeof(in6);
	int listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	int error = 0;

	if (listener < 0)
		return -errno;
	if (!socket_shrink(listener) || bind(listener, address, len) || listen(listener, 1) ||
	    getsockname(listener, address, &len))
		error = -errno;
	if (!error) {
		*ret_connected = socket(family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
		if (*ret_connected < 0 || !socket_shrink(*ret_connected) ||
		    connect(*ret_connected, address, len))
			error = -errno;
	}
	if (!error) {
		*ret_accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (*ret_accepted < 0)
			error = -errno;
	}
	close(listener);
	return error;
}

static int sockets_open(struct selftest *t)
{
	static const int families[] = { AF_INET, AF_INET6 };

	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		if (pair_open(families[i], &t->client, &t->front) == 0 &&
		    pair_open(families[i], &t->back, &t->server) == 0)
			return 0;
		for (int *fd = &t->client; fd <= &t->server; fd++) {
			if (*fd >= 0)
				close(*fd);
			*fd = -1;
		}
	}
	return -ENETUNREACH;
}

static void on_event(struct gate_direction *direction)
{
	struct selftest *t = container_of(direction, struct selftest, direction);

	if (gate_direction_is_running(direction))
		t->step = gate_direction_step(direction, clock_now_ms());
}

static bool start(struct selftest *t, struct gate_socket *source, struct gate_socket *target,
		  uint64_t length_bytes)
{
	struct gate_direction_options options = {
		.source = source,
		.target = target,
		.framing = length_bytes ? GATE_LENGTH : GATE_UNTIL_CLOSE,
		.length_bytes = length_bytes,
		/* Where the total allows it: a backlog behind a full send buffer, sent in parts. */
		.credit_bytes = TEST_CREDIT_BYTES,
	};

	t->direction.on_event = on_event;
	if (gate_direction_start(&t->direction, &options)) {
		t->failure = "a direction could not be started";
		return false;
	}
	on_event(&t->direction);
	return true;
}

/* Lets the lane work; waits a millisecond when neither end could do anything. */
static void turn(struct selftest *t, bool is_moving)
{
	struct pollfd fds[2] = {
		{ .fd = gate_worker_fd(t->worker), .events = POLLIN },
		{ .fd = t->direction.wants_target_writable ? t->direction.target->fd : -1,
		  .events = POLLOUT },
	};

	poll(fds, 2, is_moving ? 0 : 1);
	if (fds[0].revents)
		gate_worker_poll(t->worker);
	if (fds[1].revents)
		on_event(&t->direction);
	gate_worker_tick(t->worker, clock_now_ms());
}

static bool is_late(struct selftest *t)
{
	if (clock_now_ns() < t->until_ns)
		return false;
	t->failure = "bytes got stuck";
	return true;
}

static uint64_t write_some(int fd, uint32_t seed, uint64_t position, uint64_t end)
{
	unsigned char piece[7001];
	size_t len = end - position < sizeof(piece) ? (size_t)(end - position) : sizeof(piece);

	for (size_t i = 0; i < len; i++)
		piece[i] = pattern(seed, position + i);
	ssize_t sent = send(fd, piece, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	return sent > 0 ? (uint64_t)sent : 0;
}

/* Bytes read, at most up to `end`, and right; *ret_is_end at the end of the stream. */
static uint64_t read_some(struct selftest *t, int fd, uint32_t seed, uint64_t position, uint64_t end,
			  bool *ret_is_end)
{
	unsigned char piece[16384];
	size_t len = end - position < sizeof(piece) ? (size_t)(end - position) : sizeof(piece);
	ssize_t got = recv(fd, piece, len, MSG_DONTWAIT);

	*ret_is_end = got == 0;
	for (ssize_t i = 0; i < got; i++) {
		if (piece[i] != pattern(seed, position + (uint64_t)i)) {
			t->failure = "bytes came out different from what went in";
			return 0;
		}
	}
	return got > 0 ? (uint64_t)got : 0;
}

/* A head that user space reads: the rest of its piece stays behind in the receive queue. */
static bool test_head(struct selftest *t)
{
	struct pollfd front = { .fd = t->front, .events = POLLIN };
	uint64_t read = 0;
	bool is_end = false;

	t->written = write_some(t->client, 1, 0, TEST_NEXT_END);
	while (read < TEST_HEAD_BYTES && !t->failure && !is_late(t)) {
		poll(&front, 1, 1);
		read += read_some(t, t->front, 1, read, TEST_HEAD_BYTES, &is_end);
	}
	return !t->failure;
}

/* A body of known length with the next message right behind it; the reader starts late and pauses. */
static bool test_body(struct selftest *t)
{
	uint64_t read = TEST_HEAD_BYTES;
	uint32_t turns = 0;
	bool is_end = false;

	if (!start(t, &t->front_socket, &t->back_socket, TEST_BODY_BYTES))
		return false;
	while ((read < TEST_BODY_END || t->step != GATE_STEP_DONE) && !t->failure && !is_late(t)) {
		uint64_t before = t->written + read;

		t->written += write_some(t->client, 1, t->written, TEST_NEXT_END);
		if (++turns > TEST_PAUSE_TURNS && turns % TEST_PAUSE_TURNS != 0)
			read += read_some(t, t->server, 1, read, UINT64_MAX, &is_end);
		turn(t, t->written + read != before);
	}
	if (!t->failure && gate_direction_stats(&t->direction).redirected_bytes == 0)
		t->failure = "the kernel redirected nothing";
	if (t->failure)
		return false;
	while (t->written < TEST_NEXT_END && !is_late(t))
		t->written += write_some(t->client, 1, t->written, TEST_NEXT_END);
	uint64_t next = TEST_BODY_END;
	while (next < TEST_NEXT_END && !t->failure && !is_late(t)) {
		uint64_t got = read_some(t, t->front, 1, next, UINT64_MAX, &is_end);

		gate_socket_note_read(&t->front_socket, got);
		next += got;
	}
	if (!t->failure &&
	    (read != TEST_BODY_END || read_some(t, t->server, 1, read, UINT64_MAX, &is_end) != 0))
		t->failure = "bytes behind the end of a body reached the wrong side";
	return !t->failure;
}

/* The other way until close, over the same sockets. */
static bool test_half_close(struct selftest *t)
{
	uint64_t written = 0, read = 0;
	bool is_end = false, has_shut = false;

	if (!start(t, &t->back_socket, &t->front_socket, 0))
		return false;
	while (!is_end && !t->failure && !is_late(t)) {
		uint64_t before = written + read;

		written += write_some(t->server, 2, written, TEST_DOWN_BYTES);
		if (written == TEST_DOWN_BYTES && !has_shut) {
			has_shut = true;
			shutdown(t->server, SHUT_WR);
		}
		read += read_some(t, t->client, 2, read, UINT64_MAX, &is_end);
		if (t->step == GATE_STEP_EOF) {
			t->step = GATE_STEP_WAIT;
			shutdown(t->front, SHUT_WR);
		} else if (t->step == GATE_STEP_RESET || t->step == GATE_STEP_POISON) {
			t->failure = "the lane gave up on a sound connection";
		}
		turn(t, written + read != before);
	}
	if (!t->failure && read != TEST_DOWN_BYTES)
		t->failure = "bytes were lost before a half-close";
	return !t->failure;
}

static int run(struct selftest *t)
{
	int error = sockets_open(t);

	if (error) {
		t->failure = "no connection on loopback to test with (is the interface lo up?)";
		return error;
	}
	if (!test_head(t))
		return -EIO;
	error = gate_socket_add(t->worker, &t->front_socket, t->front);
	if (!error)
		error = gate_socket_add(t->worker, &t->back_socket, t->back);
	if (error) {
		t->failure = "a socket could not be put into the map";
		return error;
	}
	return test_body(t) && test_half_close(t) ? 0 : -EIO;
}

int gate_selftest(struct gate *gate, struct text *why, uint64_t *ret_took_ns)
{
	struct selftest t = { .client = -1, .front = -1, .back = -1, .server = -1 };
	uint64_t start_ns = clock_now_ns();
	int error = gate_worker_create(gate, &t.worker);

	if (error) {
		text_str(why, "self-test: ");
		gate_worker_explain(error, why);
		return error;
	}
	t.until_ns = start_ns + TEST_LIMIT_NS;
	error = run(&t);
	gate_direction_stop(&t.direction);
	gate_socket_remove(&t.front_socket);
	gate_socket_remove(&t.back_socket);
	for (int *fd = &t.client; fd <= &t.server; fd++) {
		if (*fd >= 0)
			close(*fd);
	}
	gate_worker_free(t.worker);
	*ret_took_ns = clock_now_ns() - start_ns;
	if (error)
		text_fmt(why, "self-test: %s (%s)", t.failure, strerror(-error));
	return error;
}
