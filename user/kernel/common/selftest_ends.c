/* SPDX-License-Identifier: Apache-2.0 */
#include "user/kernel/common/selftest_ends.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "user/base/check.h"
#include "user/base/clock.h"

/* Checks needed after the limit, and the limit of the whole test in multiples of it, on a busy machine. */
enum {
	STUCK_LOOKS = 100,
	WHOLE_LIMITS = 10,
};

bool selftest_fail(struct selftest_ends *ends, const char *failure, int error)
{
	if (!ends->failure) {
		ends->failure = failure;
		ends->error = error;
	}
	return false;
}

bool selftest_is_late(struct selftest_ends *ends)
{
	uint64_t now_ns = clock_now_ns();
	bool is_stuck = now_ns - ends->moved_ns >= ends->limit_ns && ++ends->look_count >= STUCK_LOOKS;

	if (!is_stuck && now_ns - ends->start_ns < WHOLE_LIMITS * ends->limit_ns)
		return false;
	selftest_fail(ends, "bytes got stuck", -EIO);
	return true;
}

static void ends_moved(struct selftest_ends *ends)
{
	ends->moved_ns = clock_now_ns();
	ends->look_count = 0;
}

/* ---------------------------------------------------------------------------------------- connections */

static bool buffers_set(int fd, int bytes, bool is_end)
{
	return !bytes || (setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)) == 0 &&
			  (!is_end || setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)) == 0));
}

/* As an application that may use the same-host lanes: the descriptor is non-blocking at connect(). */
static int connect_by_poll(int fd, const struct sockaddr *to, socklen_t len)
{
	enum { CONNECT_MS = 5000 };
	struct pollfd connecting = { .fd = fd, .events = POLLOUT };

	if (fcntl(fd, F_SETFL, O_NONBLOCK))
		return -errno;
	if (connect(fd, to, len)) {
		if (errno != EINPROGRESS)
			return -errno;
		if (poll(&connecting, 1, CONNECT_MS) != 1)
			return -ETIMEDOUT;
	}
	return fcntl(fd, F_SETFL, 0) ? -errno : 0;
}

static int pair_connect(struct selftest_ends *ends, const struct selftest_options *o, int listener,
			bool is_client, struct sockaddr *to, socklen_t len)
{
	int *connected = is_client ? &ends->client : &ends->back;
	int *accepted = is_client ? &ends->front : &ends->server;
	int error = 0;

	/* The handshake fixes window scaling, so set the sizes before it. */
	if (!buffers_set(listener, o->buffer_bytes, !is_client) || bind(listener, to, len) ||
	    listen(listener, 1) || getsockname(listener, to, &len))
		return -errno;
	*connected = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	if (*connected < 0 || !buffers_set(*connected, o->buffer_bytes, is_client))
		return -errno;
	if (o->before_connect)
		error = o->before_connect(ends, is_client, *connected, to);
	if (error)
		return error;
	error = connect_by_poll(*connected, to, len);
	if (error)
		return error;
	*accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	return *accepted < 0 ? -errno : 0;
}

static int pair_open(struct selftest_ends *ends, const struct selftest_options *o, int family, bool is_client)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	bool is_in = family == AF_INET;
	int listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	int error;

	if (listener < 0)
		return -errno;
	error = pair_connect(ends, o, listener, is_client,
			     is_in ? (struct sockaddr *)&in : (struct sockaddr *)&in6,
			     is_in ? sizeof(in) : sizeof(in6));
	close(listener);
	return error;
}

static void ends_close(struct selftest_ends *ends)
{
	int *const fds[] = { &ends->client, &ends->front, &ends->back, &ends->server };

	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

bool selftest_begin(struct selftest_ends *ends, const struct selftest_options *o)
{
	static const int families[] = { AF_INET, AF_INET6 };

	*ends = (struct selftest_ends){ .client = -1, .front = -1, .back = -1, .server = -1 };
	ends->start_ns = clock_now_ns();
	ends->moved_ns = ends->start_ns;
	ends->limit_ns = o->limit_ns;
	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		if (pair_open(ends, o, families[i], true) == 0 && pair_open(ends, o, families[i], false) == 0)
			return true;
		ends_close(ends);
	}
	return selftest_fail(ends, "no connection on loopback to test with (is the interface lo up?)",
			     -ENETUNREACH);
}

int selftest_end(struct selftest_ends *ends, const char *name, struct text *why, uint64_t *ret_took_ns)
{
	ends_close(ends);
	*ret_took_ns = clock_now_ns() - ends->start_ns;
	if (ends->failure)
		text_fmt(why, "%s: %s (%s)", name, ends->failure, strerror(-ends->error));
	return ends->error;
}

/* ---------------------------------------------------------------------------------------- bytes */

static unsigned char pattern(uint32_t seed, uint64_t position)
{
	uint64_t mixed = (position + seed) * 0x9e3779b97f4a7c15ull;

	return (unsigned char)(mixed >> 56);
}

static size_t segment_len(size_t max, uint64_t position, uint64_t end)
{
	return end - position < max ? (size_t)(end - position) : max;
}

uint64_t selftest_write(struct selftest_ends *ends, int fd, uint32_t seed, uint64_t position, uint64_t end)
{
	unsigned char segment[7001];
	size_t len = segment_len(sizeof(segment), position, end);
	ssize_t sent;

	if (len == 0)
		return 0;
	for (size_t i = 0; i < len; i++)
		segment[i] = pattern(seed, position + i);
	sent = send(fd, segment, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent < 0 && errno != EAGAIN && !(errno == EPIPE && ends->may_be_refused))
		selftest_fail(ends, "a connection broke while bytes were sent", -EIO);
	if (sent <= 0)
		return 0;
	ends_moved(ends);
	return (uint64_t)sent;
}

uint64_t selftest_read(struct selftest_ends *ends, int fd, uint32_t seed, uint64_t position, uint64_t end,
		       bool *ret_is_end)
{
	unsigned char segment[16384];
	ssize_t got = recv(fd, segment, segment_len(sizeof(segment), position, end), MSG_DONTWAIT);

	*ret_is_end = got == 0;
	if (got < 0 && errno != EAGAIN)
		selftest_fail(ends, "a connection broke while bytes were read", -EIO);
	for (ssize_t i = 0; i < got; i++) {
		if (segment[i] != pattern(seed, position + (uint64_t)i)) {
			selftest_fail(ends, "bytes were lost, duplicated or out of order", -EIO);
			return 0;
		}
	}
	if (got <= 0)
		return 0;
	ends_moved(ends);
	return (uint64_t)got;
}
