/* SPDX-License-Identifier: Apache-2.0 */
#include "user/kernel/sockmap/selftest.h"

#include <errno.h>
#include <poll.h>

#include "user/base/check.h"
#include "user/base/clock.h"
#include "user/kernel/common/selftest_ends.h"
#include "user/kernel/sockmap/direction.h"

#define TEST_BUFFER_BYTES 16384 /* small, to get partial sends */
#define TEST_HEAD_BYTES 83u /* comes in one skb with the start of the body, read before the socket joins */
#define TEST_BODY_BYTES 150001u
#define TEST_NEXT_BYTES 97u /* of the next message, after the body */
#define TEST_BODY_END (TEST_HEAD_BYTES + TEST_BODY_BYTES)
#define TEST_NEXT_END (TEST_BODY_END + TEST_NEXT_BYTES)
#define TEST_DOWN_BYTES 131101u
#define TEST_CREDIT_BYTES 8192u
#define TEST_LIMIT_NS 3000000000ull
#define TEST_PAUSE_TURNS 8 /* the reader starts after this many turns, and skips every such one */

enum { SEED_UP = 1, SEED_DOWN = 2 };

struct selftest {
	struct selftest_ends ends;
	struct sockmap_worker *worker;
	struct sockmap_socket front_socket, back_socket;
	struct sockmap_direction direction;
	enum sockmap_step step;
	uint64_t written; /* of the TEST_NEXT_END bytes that the client writes */
};

static bool goes_on(struct selftest *t)
{
	return !t->ends.failure && !selftest_is_late(&t->ends);
}

static void on_event(struct sockmap_direction *direction)
{
	struct selftest *t = container_of(direction, struct selftest, direction);

	if (sockmap_direction_is_running(direction))
		t->step = sockmap_direction_step(direction, clock_now_ms());
}

static bool start(struct selftest *t, struct sockmap_socket *source, struct sockmap_socket *target,
		  uint64_t length_bytes)
{
	struct sockmap_direction_options options = {
		.source = source,
		.target = target,
		.framing = length_bytes ? SOCKMAP_LENGTH : SOCKMAP_UNTIL_CLOSE,
		.length_bytes = length_bytes,
		/* Where the total allows it: causes a backlog after a full send buffer, sent in parts. */
		.credit_bytes = TEST_CREDIT_BYTES,
	};

	t->direction.on_event = on_event;
	if (sockmap_direction_start(&t->direction, &options))
		return selftest_fail(&t->ends, "a direction could not be started", -EIO);
	on_event(&t->direction);
	return true;
}

/* Lets the lane work; waits a millisecond if neither end could do anything. */
static void turn(struct selftest *t, bool is_moving)
{
	struct pollfd fds[2] = {
		{ .fd = sockmap_worker_fd(t->worker), .events = POLLIN },
		{ .fd = t->direction.wants_target_writable ? t->direction.target->fd : -1,
		  .events = POLLOUT },
	};

	poll(fds, 2, is_moving ? 0 : 1);
	if (fds[0].revents)
		sockmap_worker_poll(t->worker);
	if (fds[1].revents)
		on_event(&t->direction);
	sockmap_worker_tick(t->worker, clock_now_ms());
}

static void client_writes(struct selftest *t)
{
	t->written += selftest_write(&t->ends, t->ends.client, SEED_UP, t->written, TEST_NEXT_END);
}

/* User space reads a head; the rest of its skb stays in the receive queue. */
static bool test_head(struct selftest *t)
{
	struct pollfd front = { .fd = t->ends.front, .events = POLLIN };
	uint64_t read = 0;
	bool is_end;

	client_writes(t);
	while (read < TEST_HEAD_BYTES && goes_on(t)) {
		poll(&front, 1, 1);
		read += selftest_read(&t->ends, t->ends.front, SEED_UP, read, TEST_HEAD_BYTES, &is_end);
	}
	return !t->ends.failure;
}

/* The next message after the body is on the side that it was sent to, complete. */
static bool test_next(struct selftest *t)
{
	uint64_t read = TEST_BODY_END;
	bool is_end;

	while (t->written < TEST_NEXT_END && goes_on(t))
		client_writes(t);
	while (read < TEST_NEXT_END && goes_on(t)) {
		uint64_t got = selftest_read(&t->ends, t->ends.front, SEED_UP, read, UINT64_MAX, &is_end);

		sockmap_socket_note_read(&t->front_socket, got);
		read += got;
	}
	if (!t->ends.failure && sockmap_socket_detach(&t->front_socket))
		selftest_fail(&t->ends, "the program could not be detached from a socket", -EIO);
	return !t->ends.failure;
}

/* A body of known length followed directly by the next message; the reader starts late and pauses. */
static bool test_body(struct selftest *t)
{
	uint64_t read = TEST_HEAD_BYTES;
	uint32_t turns = 0;
	bool is_end;

	if (!start(t, &t->front_socket, &t->back_socket, TEST_BODY_BYTES))
		return false;
	while ((read < TEST_BODY_END || t->step != SOCKMAP_STEP_DONE) && goes_on(t)) {
		uint64_t before = t->written + read;

		client_writes(t);
		if (++turns > TEST_PAUSE_TURNS && turns % TEST_PAUSE_TURNS != 0)
			read += selftest_read(&t->ends, t->ends.server, SEED_UP, read, UINT64_MAX, &is_end);
		turn(t, t->written + read != before);
	}
	if (sockmap_direction_stats(&t->direction).redirected_bytes == 0)
		selftest_fail(&t->ends, "the kernel redirected nothing", -EIO);
	if (t->ends.failure || !test_next(t))
		return false;
	if (read != TEST_BODY_END ||
	    selftest_read(&t->ends, t->ends.server, SEED_UP, read, UINT64_MAX, &is_end) != 0)
		selftest_fail(&t->ends, "bytes after the end of a body reached the wrong side", -EIO);
	return !t->ends.failure;
}

/* The opposite direction until close, over the same sockets. */
static bool test_half_close(struct selftest *t)
{
	uint64_t written = 0, read = 0;
	bool is_end = false, has_shut = false;

	if (!start(t, &t->back_socket, &t->front_socket, 0))
		return false;
	while (!is_end && goes_on(t)) {
		uint64_t before = written + read;

		written += selftest_write(&t->ends, t->ends.server, SEED_DOWN, written, TEST_DOWN_BYTES);
		if (written == TEST_DOWN_BYTES && !has_shut) {
			has_shut = true;
			shutdown(t->ends.server, SHUT_WR);
		}
		read += selftest_read(&t->ends, t->ends.client, SEED_DOWN, read, UINT64_MAX, &is_end);
		if (t->step == SOCKMAP_STEP_EOF) {
			t->step = SOCKMAP_STEP_WAIT;
			shutdown(t->ends.front, SHUT_WR);
		} else if (t->step == SOCKMAP_STEP_RESET || t->step == SOCKMAP_STEP_INTEGRITY_ERROR) {
			selftest_fail(&t->ends, "the lane failed on a working connection", -EIO);
		}
		turn(t, written + read != before);
	}
	if (read != TEST_DOWN_BYTES)
		selftest_fail(&t->ends, "bytes were lost before a half-close", -EIO);
	return !t->ends.failure;
}

static bool test_run(struct selftest *t)
{
	int error;

	if (!test_head(t))
		return false;
	error = sockmap_socket_add(t->worker, &t->front_socket, t->ends.front);
	if (!error)
		error = sockmap_socket_add(t->worker, &t->back_socket, t->ends.back);
	if (error)
		return selftest_fail(&t->ends, "a socket could not be put into the map", error);
	return test_body(t) && test_half_close(t);
}

int sockmap_selftest(struct sockmap *sockmap, struct text *why, uint64_t *ret_took_ns)
{
	static const struct selftest_options options = { .limit_ns = TEST_LIMIT_NS,
							 .buffer_bytes = TEST_BUFFER_BYTES };
	struct selftest t = { 0 };
	int error = sockmap_worker_create(sockmap, &t.worker);

	if (error) {
		text_str(why, "self-test: ");
		sockmap_worker_explain(error, why);
		return error;
	}
	if (selftest_begin(&t.ends, &options))
		(void)test_run(&t);
	sockmap_direction_stop(&t.direction);
	sockmap_socket_remove(&t.front_socket);
	sockmap_socket_remove(&t.back_socket);
	error = selftest_end(&t.ends, "self-test", why, ret_took_ns);
	sockmap_worker_free(t.worker);
	return error;
}
