/* SPDX-License-Identifier: Apache-2.0 */
#include "user/kernel/near/near_selftest.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>

#include "user/base/check.h"
#include "user/kernel/common/selftest_ends.h"
#include "user/kernel/near/hop.h"
#include "user/kernel/near/near_internal.h"
#include "user/kernel/near/near_worker.h"

/* Enough to exceed the limit of a receiver's queue, through every lane and back. */
#define TEST_BYTES (3u * 1024 * 1024)
#define TEST_LIMIT_NS 1000000000ull
#define TEST_SEED 1u
#define HOP_BYTES (100u * 1024)
#define TEST_PEAK_BYTES 8192u /* more than one message */

struct near_test {
	struct selftest_ends ends;
	struct near *near;
	struct near_worker *worker; /* owner */
	struct sockaddr_storage listener; /* registered with near; no family: none */
	struct near_direction direction; /* client to server */
	char buffer[16384]; /* of the gateway: read from front, not yet sent to back */
	size_t start, end;
	uint64_t sent_bytes, read_bytes;
};

static void listener_forget(struct near_test *t)
{
	if (t->listener.ss_family)
		near_listener_remove(t->near, (const struct sockaddr *)&t->listener);
	t->listener.ss_family = AF_UNSPEC;
}

static int before_connect(struct selftest_ends *ends, bool is_client, int fd, const struct sockaddr *to)
{
	struct near_test *t = container_of(ends, struct near_test, ends);

	if (!is_client)
		return near_announce(t->near, fd);
	listener_forget(t);
	memcpy(&t->listener, to,
	       to->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
	return near_listener_add(t->near, to);
}

static const struct selftest_options test_options = { .limit_ns = TEST_LIMIT_NS,
						      .before_connect = before_connect };

/* Copies passed bytes from front to back. */
static void gateway_copies(struct near_test *t)
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
	near_direction_forwarded(&t->direction, (uint64_t)count);
}

/* The application sends, the gateway copies. True if the client could send something. */
static bool client_sends(struct near_test *t, uint64_t until)
{
	uint64_t sent = selftest_write(&t->ends, t->ends.client, TEST_SEED, t->sent_bytes, until);

	t->sent_bytes += sent;
	gateway_copies(t);
	return sent > 0;
}

/* Sends until nothing is taken any more: every queue is full while the reader does not read. */
static bool test_fill(struct near_test *t)
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
static bool test_drain(struct near_test *t, uint64_t until)
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

static bool end_arrives(struct near_test *t, int fd)
{
	bool is_end = false;

	while (!is_end && !t->ends.failure && !selftest_is_late(&t->ends)) {
		t->read_bytes += selftest_read(&t->ends, fd, TEST_SEED, t->read_bytes, UINT64_MAX, &is_end);
		if (!is_end)
			poll(NULL, 0, 1);
	}
	return is_end;
}

static bool test_end(struct near_test *t)
{
	if (near_direction_check(&t->direction))
		return selftest_fail(&t->ends, "the counters contradict each other", -EIO);
	shutdown(t->ends.client, SHUT_WR);
	if (!end_arrives(t, t->ends.front))
		return false;
	if (near_direction_check(&t->direction))
		return selftest_fail(&t->ends, "the counters contradict each other at the end", -EIO);
	shutdown(t->ends.back, SHUT_WR);
	if (end_arrives(t, t->ends.server) && t->read_bytes != t->sent_bytes)
		selftest_fail(&t->ends, "bytes came twice", -EIO);
	return !t->ends.failure;
}

/* The first bytes pass before the direction starts, the next ones fill every queue, the last ones are few. */
static bool test_run(struct near_test *t)
{
	struct near_direction_options options = { .source_fd = t->ends.front, .target_fd = t->ends.back };
	int error;

	t->sent_bytes = selftest_write(&t->ends, t->ends.client, TEST_SEED, 0, 1000);
	error = near_direction_start(&t->direction, t->near, &options);
	if (error)
		return selftest_fail(&t->ends, "a direction could not be started", error);
	if (!test_drain(t, 2000) || !test_fill(t))
		return false;
	/* The limit itself is not checked: the queue takes less while TCP of the host is short of memory. */
	if (t->direction.record->kernel.receiver_peak_bytes < TEST_PEAK_BYTES)
		return selftest_fail(&t->ends, "receivers are not charged for redirected bytes", -EOPNOTSUPP);
	if (!test_drain(t, t->sent_bytes) || !test_drain(t, t->sent_bytes + 1000))
		return false;
	if (near_direction_stats(&t->direction).direct_bytes == 0)
		return selftest_fail(&t->ends, "nothing was carried", -EIO);
	return test_end(t);
}

/* TCP then has to carry what would bypass it otherwise, and the test cannot check as much. */
static bool is_short_of_memory(const struct hop *hop)
{
	return hop_stats(hop).reason == NEAR_REASON_MEMORY;
}

/* Bytes bypass TCP in both directions of a connection, and every byte arrives once. */
static bool hop_run(struct near_test *t, struct hop *hop, int own, int app)
{
	const int ways[2][2] = { { app, own }, { own, app } };
	int error = hop_start(hop, t->worker, own);
	bool is_end;

	if (error)
		return selftest_fail(&t->ends, "a connection could not hop", error);
	for (int way = 0; way < 2; way++) {
		uint64_t sent = 0, got = 0;

		while (got < HOP_BYTES && !t->ends.failure && !selftest_is_late(&t->ends)) {
			sent += selftest_write(&t->ends, ways[way][0], TEST_SEED, sent, HOP_BYTES);
			got += selftest_read(&t->ends, ways[way][1], TEST_SEED, got, HOP_BYTES, &is_end);
		}
	}
	if (!t->ends.failure && !is_short_of_memory(hop) &&
	    (hop_received_bytes(hop) != HOP_BYTES || hop_sent_bytes(hop) != HOP_BYTES))
		return selftest_fail(&t->ends, "bytes went through TCP that could have hopped", -EIO);
	if (!t->ends.failure && hop_end(hop, own, HOP_BYTES))
		return selftest_fail(&t->ends, "the counters of a hop contradict each other", -EIO);
	return !t->ends.failure;
}

static void hop_on_room(struct hop *hop)
{
	*(bool *)hop->owner = true;
}

/* Sends until the reader is full: the sender is refused, and gets an event when it may continue. */
static bool hop_fill(struct near_test *t, struct hop *hop, int own, int app)
{
	uint64_t sent = 0, got = 0;
	bool is_told = false, is_end;
	char byte = 0;

	hop->on_room = hop_on_room;
	hop->owner = &is_told;
	t->ends.may_be_refused = true;
	while (hop_refusals(hop) == 0 && !is_short_of_memory(hop) && !t->ends.failure &&
	       !selftest_is_late(&t->ends))
		sent += selftest_write(&t->ends, own, TEST_SEED, sent, UINT64_MAX);
	t->ends.may_be_refused = false;
	hop_wait(hop);
	while (got < sent && !t->ends.failure && !selftest_is_late(&t->ends))
		got += selftest_read(&t->ends, app, TEST_SEED, got, sent, &is_end);
	near_worker_poll(t->worker);
	if (!t->ends.failure && !is_told && !is_short_of_memory(hop))
		return selftest_fail(&t->ends, "a sender that waited was not told of room", -EIO);
	if (!t->ends.failure && send(own, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL) != 1)
		return selftest_fail(&t->ends, "a hop does not go on", -EIO);
	while (!t->ends.failure && recv(app, &byte, 1, MSG_DONTWAIT) != 1)
		(void)selftest_is_late(&t->ends);
	return !t->ends.failure;
}

static int tunnel_selftest(struct near *near, struct text *why, uint64_t *ret_took_ns)
{
	struct near_test t = { .near = near };

	if (selftest_begin(&t.ends, &test_options))
		(void)test_run(&t);
	near_direction_stop(&t.direction);
	listener_forget(&t);
	return selftest_end(&t.ends, "self-test of the same-host lanes", why, ret_took_ns);
}

static int hop_selftest(struct near *near, struct text *why, uint64_t *ret_took_ns)
{
	struct near_test t = { .near = near };
	struct hop front = { 0 }, back = { 0 };

	if (near_worker_create(near, &t.worker)) {
		text_str(why, "self-test of lane hop: no ring");
		return -ENOSPC;
	}
	if (selftest_begin(&t.ends, &test_options) && hop_run(&t, &front, t.ends.front, t.ends.client) &&
	    hop_run(&t, &back, t.ends.back, t.ends.server))
		(void)hop_fill(&t, &back, t.ends.back, t.ends.server);
	hop_stop(&front);
	hop_stop(&back);
	near_worker_free(t.worker);
	listener_forget(&t);
	return selftest_end(&t.ends, "self-test of lane hop", why, ret_took_ns);
}

int near_selftest(struct near *near, struct text *why, uint64_t *ret_took_ns)
{
	uint64_t hop_ns = 0;
	int error = tunnel_selftest(near, why, ret_took_ns);

	if (!error)
		error = hop_selftest(near, why, &hop_ns);
	*ret_took_ns += hop_ns;
	return error;
}
