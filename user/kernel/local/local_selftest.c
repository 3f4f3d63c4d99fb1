/* SPDX-License-Identifier: Apache-2.0 */
#include "user/kernel/local/local_selftest.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>

#include "user/base/check.h"
#include "user/kernel/common/selftest_ends.h"
#include "user/kernel/local/bypass.h"
#include "user/kernel/local/local_internal.h"
#include "user/kernel/local/local_worker.h"

/* Enough to exceed the limit of a receiver's queue, through every lane and back. */
#define TEST_BYTES (3u * 1024 * 1024)
#define TEST_LIMIT_NS 1000000000ull
#define TEST_SEED 1u
#define BYPASS_BYTES (100u * 1024)
#define TEST_PEAK_BYTES 8192u /* more than one message */

struct local_test {
	struct selftest_ends ends;
	struct local *local;
	struct local_worker *worker; /* owner */
	struct sockaddr_storage listener; /* registered with near; no family: none */
	struct local_direction direction; /* client to server */
	char buffer[16384]; /* of the gateway: read from front, not yet sent to back */
	size_t start, end;
	uint64_t sent_bytes, read_bytes;
};

static void listener_forget(struct local_test *t)
{
	if (t->listener.ss_family)
		local_listener_remove(t->local, (const struct sockaddr *)&t->listener);
	t->listener.ss_family = AF_UNSPEC;
}

static int before_connect(struct selftest_ends *ends, bool is_client, int fd, const struct sockaddr *to)
{
	struct local_test *t = container_of(ends, struct local_test, ends);

	if (!is_client)
		return local_announce(t->local, fd);
	listener_forget(t);
	memcpy(&t->listener, to,
	       to->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
	return local_listener_add(t->local, to);
}

static const struct selftest_options test_options = { .limit_ns = TEST_LIMIT_NS,
						      .before_connect = before_connect };

/* Copies passed bytes from front to back. */
static void gateway_copies(struct local_test *t)
{
	ssize_t count;

	if (t->start == t->end) {
		count = recv(t->ends.front, t->buffer, sizeof(t->buffer), MSG_DONTWAIT);
		if (count < 0 && errno != EAGAIN)
			selftest_fail(&t->ends, "a connection broke while the gateway read", -EIO);
		if (count <= 0)
			return;
		t->start = 0;
		t->end = (size_t)count;
	}
	count = send(t->ends.back, t->buffer + t->start, t->end - t->start, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (count < 0 && errno != EAGAIN)
		selftest_fail(&t->ends, "a connection broke while the gateway sent", -EIO);
	if (count <= 0)
		return;
	t->start += (size_t)count;
	local_direction_forwarded(&t->direction, (uint64_t)count);
}

/* The application sends, the gateway copies. True if the client could send something. */
static bool client_sends(struct local_test *t, uint64_t until)
{
	uint64_t sent = selftest_write(&t->ends, t->ends.client, TEST_SEED, t->sent_bytes, until);

	t->sent_bytes += sent;
	gateway_copies(t);
	return sent > 0;
}

/* Sends until nothing is taken any more: every queue is full while the reader does not read. */
static bool test_fill(struct local_test *t)
{
	for (int idle = 0; idle < 3 && t->sent_bytes < TEST_BYTES && !t->ends.failure;) {
		if (client_sends(t, TEST_BYTES) || selftest_is_late(&t->ends))
			continue;
		idle++;
		poll(NULL, 0, 1);
	}
	return !t->ends.failure;
}

/* Reads until everything has arrived. */
static bool test_drain(struct local_test *t, uint64_t until)
{
	while (t->read_bytes < until && !t->ends.failure) {
		bool is_end, is_moving = client_sends(t, until);
		uint64_t got = selftest_read(&t->ends, t->ends.server, TEST_SEED, t->read_bytes, UINT64_MAX,
					     &is_end);

		t->read_bytes += got;
		if (is_end)
			selftest_fail(&t->ends, "the stream ended too early", -EIO);
		if (!is_moving && !got && !selftest_is_late(&t->ends))
			poll(NULL, 0, 1);
	}
	return !t->ends.failure;
}

static bool end_arrives(struct local_test *t, int fd)
{
	bool is_end = false;

	while (!is_end && !t->ends.failure && !selftest_is_late(&t->ends)) {
		t->read_bytes += selftest_read(&t->ends, fd, TEST_SEED, t->read_bytes, UINT64_MAX, &is_end);
		if (!is_end)
			poll(NULL, 0, 1);
	}
	return is_end;
}

static bool test_end(struct local_test *t)
{
	if (local_direction_check(&t->direction))
		return selftest_fail(&t->ends, "the counters contradict each other", -EIO);
	shutdown(t->ends.client, SHUT_WR);
	if (!end_arrives(t, t->ends.front))
		return false;
	if (local_direction_check(&t->direction))
		return selftest_fail(&t->ends, "the counters contradict each other at the end", -EIO);
	shutdown(t->ends.back, SHUT_WR);
	if (end_arrives(t, t->ends.server) && t->read_bytes != t->sent_bytes)
		selftest_fail(&t->ends, "bytes came twice", -EIO);
	return !t->ends.failure;
}

/* The first bytes pass before the direction starts, the next ones fill every queue, the last ones are few. */
static bool test_run(struct local_test *t)
{
	struct local_direction_options options = { .source_fd = t->ends.front, .target_fd = t->ends.back };
	int error;

	t->sent_bytes = selftest_write(&t->ends, t->ends.client, TEST_SEED, 0, 1000);
	error = local_direction_start(&t->direction, t->local, &options);
	if (error)
		return selftest_fail(&t->ends, "a direction could not be started", error);
	if (!test_drain(t, 2000) || !test_fill(t))
		return false;
	/* The limit itself is not checked: the queue takes less while TCP of the host is short of memory. */
	if (t->direction.record->kernel.receiver_peak_bytes < TEST_PEAK_BYTES)
		return selftest_fail(&t->ends, "receivers are not charged for redirected bytes", -EOPNOTSUPP);
	if (!test_drain(t, t->sent_bytes) || !test_drain(t, t->sent_bytes + 1000))
		return false;
	if (local_direction_stats(&t->direction).direct_bytes == 0)
		return selftest_fail(&t->ends, "nothing was carried", -EIO);
	return test_end(t);
}

/* TCP then has to carry what would bypass it otherwise, and the test cannot check as much. */
static bool is_short_of_memory(const struct bypass *bypass)
{
	return bypass_stats(bypass).reason == LOCAL_REASON_MEMORY;
}

/* Bytes bypass TCP in both directions of a connection, and every byte arrives once. */
static bool bypass_run(struct local_test *t, struct bypass *bypass, int own, int app)
{
	const int directions[2][2] = { { app, own }, { own, app } };
	int error = bypass_start(bypass, t->worker, own);
	bool is_end;

	if (error)
		return selftest_fail(&t->ends, "a connection could not bypass TCP", error);
	for (int direction = 0; direction < 2; direction++) {
		uint64_t sent = 0, got = 0;

		while (got < BYPASS_BYTES && !t->ends.failure && !selftest_is_late(&t->ends)) {
			sent += selftest_write(&t->ends, directions[direction][0], TEST_SEED, sent,
					       BYPASS_BYTES);
			got += selftest_read(&t->ends, directions[direction][1], TEST_SEED, got, BYPASS_BYTES,
					     &is_end);
		}
	}
	if (!t->ends.failure && !is_short_of_memory(bypass) &&
	    (bypass_received_bytes(bypass) != BYPASS_BYTES || bypass_sent_bytes(bypass) != BYPASS_BYTES))
		return selftest_fail(&t->ends, "bytes went through TCP that could have bypassed TCP", -EIO);
	if (!t->ends.failure && bypass_end(bypass, own, BYPASS_BYTES))
		return selftest_fail(&t->ends, "the counters of a bypass contradict each other", -EIO);
	return !t->ends.failure;
}

static void bypass_on_room(struct bypass *bypass)
{
	*(bool *)bypass->owner = true;
}

/* Sends until the reader is full: the sender is refused, and gets an event when it may continue. */
static bool bypass_fill(struct local_test *t, struct bypass *bypass, int own, int app)
{
	uint64_t sent = 0, got = 0;
	bool is_told = false, is_end;
	char byte = 0;

	bypass->on_room = bypass_on_room;
	bypass->owner = &is_told;
	t->ends.may_be_refused = true;
	while (bypass_refusals(bypass) == 0 && !is_short_of_memory(bypass) && !t->ends.failure &&
	       !selftest_is_late(&t->ends))
		sent += selftest_write(&t->ends, own, TEST_SEED, sent, UINT64_MAX);
	t->ends.may_be_refused = false;
	bypass_wait(bypass);
	while (got < sent && !t->ends.failure && !selftest_is_late(&t->ends))
		got += selftest_read(&t->ends, app, TEST_SEED, got, sent, &is_end);
	local_worker_poll(t->worker);
	if (!t->ends.failure && !is_told && !is_short_of_memory(bypass))
		return selftest_fail(&t->ends, "a sender that waited was not told of room", -EIO);
	if (!t->ends.failure && send(own, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL) != 1)
		return selftest_fail(&t->ends, "a bypass does not go on", -EIO);
	while (!t->ends.failure && recv(app, &byte, 1, MSG_DONTWAIT) != 1)
		(void)selftest_is_late(&t->ends);
	return !t->ends.failure;
}

static int tunnel_selftest(struct local *local, struct text *why, uint64_t *ret_took_ns)
{
	struct local_test t = { .local = local };

	if (selftest_begin(&t.ends, &test_options))
		(void)test_run(&t);
	local_direction_stop(&t.direction);
	listener_forget(&t);
	return selftest_end(&t.ends, "self-test of the same-host lanes", why, ret_took_ns);
}

static int bypass_selftest(struct local *local, struct text *why, uint64_t *ret_took_ns)
{
	struct local_test t = { .local = local };
	struct bypass front = { 0 }, back = { 0 };

	if (local_worker_create(local, &t.worker)) {
		text_str(why, "self-test of lane bypass: no ring");
		return -ENOSPC;
	}
	if (selftest_begin(&t.ends, &test_options) && bypass_run(&t, &front, t.ends.front, t.ends.client) &&
	    bypass_run(&t, &back, t.ends.back, t.ends.server))
		(void)bypass_fill(&t, &back, t.ends.back, t.ends.server);
	bypass_stop(&front);
	bypass_stop(&back);
	local_worker_free(t.worker);
	listener_forget(&t);
	return selftest_end(&t.ends, "self-test of lane bypass", why, ret_took_ns);
}

int local_selftest(struct local *local, struct text *why, uint64_t *ret_took_ns)
{
	uint64_t bypass_ns = 0;
	int error = tunnel_selftest(local, why, ret_took_ns);

	if (!error)
		error = bypass_selftest(local, why, &bypass_ns);
	*ret_took_ns += bypass_ns;
	return error;
}
